//! Files that are not JSON lines: delimited text, folders, packed files, Avro's containers.

use std::io::Write;

use flate2::write::GzEncoder;

use super::command::Sandbox;

/// Rows of orders in a folder, in three files of which one is packed.
fn folder(sandbox: &Sandbox) {
    for folder in ["in", "in/more"] {
        std::fs::create_dir_all(sandbox.path(folder)).expect("made");
    }
    sandbox.write("in/a.csv", "id,note,price\n1,\"two\nlines\",1.50\n2,,\n");
    sandbox.write("in/_SUCCESS", "");
    sandbox.write("in/more/b.csv", "id,note,price\n# nothing\n3,\"a \"\"b\"\"\",2\n");
    let file = std::fs::File::create(sandbox.path("in/c.csv.gz")).expect("made");
    let mut packed = GzEncoder::new(file, flate2::Compression::default());
    packed.write_all(b"id,note,price\n4,d,0.25\n").expect("written");
    packed.finish().expect("written");
}

const ORDERS: &str = "CREATE TABLE orders (id INT, note STRING, price DECIMAL(6, 2)) WITH (
    'connector' = 'filesystem', 'path' = 'in', 'format' = 'csv', 'csv.header' = 'true',
    'csv.allow-comments' = 'true');";

const ROWS: [&str; 4] = [
    "{\"id\":1,\"note\":\"two\\nlines\",\"price\":1.50}",
    "{\"id\":2,\"note\":\"\",\"price\":null}",
    "{\"id\":3,\"note\":\"a \\\"b\\\"\",\"price\":2.00}",
    "{\"id\":4,\"note\":\"d\",\"price\":0.25}",
];

/// Lines in order.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

#[test]
fn a_folder_of_csv_is_read_whole_and_its_listing_is_kept() {
    let sandbox = Sandbox::new();
    folder(&sandbox);
    let whole = sandbox.read("in/more/b.csv");
    sandbox.write("in/more/b.csv", format!("{whole}x,no number,1\n"));
    let program = format!(
        "{ORDERS} CREATE STREAM o WITH (connector = 'file', path = 'o.jsonl', format = 'json');
         INSERT INTO o SELECT * FROM orders;"
    );
    sandbox.write("p.flow", program);
    let run = ["run", "p.flow", "-D", "epoch.max.records=1", "--parallelism=1"];
    sandbox.flow(&run).expect(4, &["record in/more/b.csv-2@", "id: cannot be read"]);
    sandbox.write("in/z.csv", "id,note,price\n9,new,9\n");
    let other = sandbox.read("in/a.csv");
    sandbox.write("in/a.csv", "id,note,price\n7,other,7\n");
    sandbox.flow(&run).expect(4, &["in/a.csv is not the one that this job began to read"]);
    sandbox.write("in/a.csv", &other);
    let skip = [&run[..], &["-D", "error.policy=skip"]].concat();
    sandbox.flow(&skip).expect(0, &["p finished"]);
    assert_eq!(sorted(&sandbox.read("o.jsonl")), ROWS);
}

#[test]
fn csv_is_written_with_a_header_and_read_back() {
    let sandbox = Sandbox::new();
    folder(&sandbox);
    let program = format!(
        "{ORDERS} CREATE TABLE o (id INT, note STRING, price DECIMAL(6, 2)) WITH (
             connector = 'file', path = 'o.csv', format = 'csv', 'csv.header' = 'true',
             'csv.field-delimiter' = '|');
         INSERT INTO o SELECT * FROM orders;"
    );
    sandbox.write("p.flow", program);
    sandbox.flow(&["run", "p.flow"]).expect(0, &["p finished"]);
    let written = sandbox.read("o.csv");
    assert!(written.starts_with("id|note|price\n"), "{written}");
    assert!(written.contains("1|\"two\nlines\"|1.50\n"), "{written}");
    let back = "CREATE TABLE o (id INT, note STRING, price DECIMAL(6, 2)) WITH (
            connector = 'file', path = 'o.csv', format = 'csv', 'csv.header' = 'true',
            'csv.field-delimiter' = '|');
        CREATE STREAM j WITH (connector = 'file', path = 'j.jsonl', format = 'json');
        INSERT INTO j SELECT * FROM o;";
    sandbox.write("back.flow", back);
    sandbox.flow(&["run", "back.flow"]).expect(0, &["back finished"]);
    assert_eq!(sorted(&sandbox.read("j.jsonl")), ROWS);
}

#[test]
fn containers_are_written_and_read_by_their_own_schema_or_as_declared() {
    let sandbox = Sandbox::new();
    folder(&sandbox);
    for codec in ["null", "deflate", "snappy"] {
        let write = format!(
            "{ORDERS} CREATE STREAM o WITH (connector = 'file', path = '{codec}.avro',
                 format = 'avro', 'avro.codec' = '{codec}');
             INSERT INTO o SELECT * FROM orders;"
        );
        let read = format!(
            "CREATE TABLE o WITH (connector = 'file', path = '{codec}.avro', format = 'avro');
             CREATE TABLE d (price DECIMAL(8, 3), id BIGINT, more STRING)
             WITH (connector = 'file', path = '{codec}.avro', format = 'avro');
             CREATE STREAM j WITH (connector = 'file', path = '{codec}.jsonl', format = 'json');
             CREATE STREAM k WITH (connector = 'file', path = '{codec}-d.jsonl', format = 'json');
             INSERT INTO j SELECT * FROM o;
             INSERT INTO k SELECT * FROM d;"
        );
        let (writes, reads) = (format!("{codec}-w.flow"), format!("{codec}-r.flow"));
        sandbox.write(&writes, write);
        sandbox.flow(&["run", &writes, "-D", "epoch.max.records=1"]).expect(0, &["finished"]);
        sandbox.write(&reads, read);
        sandbox.flow(&["run", &reads]).expect(0, &["finished"]);
        assert_eq!(sorted(&sandbox.read(&format!("{codec}.jsonl"))), ROWS);
        let declared = sandbox.read(&format!("{codec}-d.jsonl"));
        assert!(declared.contains("{\"price\":1.500,\"id\":1,\"more\":null}"), "{declared}");
        assert_eq!(declared.lines().count(), ROWS.len());
    }
    sandbox.write("bad.avro", "no container");
    let bad =
        "CREATE TABLE o (id INT) WITH (connector = 'file', path = 'bad.avro', format = 'avro');
        SELECT * FROM o;";
    sandbox.write("bad.flow", bad);
    let told = ["bad.avro cannot be read at byte 0", "no Avro object container file"];
    sandbox.flow(&["run", "bad.flow"]).expect(4, &told);
}

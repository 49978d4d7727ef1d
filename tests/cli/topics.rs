//! `flow topic` and `flow schema`.

use super::command::Sandbox;

const SCHEMA: &str = r#"{"type": "record", "name": "Click", "fields": [
  {"name": "page", "type": "string"}, {"name": "n", "type": "long"}]}"#;

#[test]
fn topics_are_created_filled_listed_and_read() {
    let sandbox = Sandbox::new();
    let made = sandbox.must(&["topic", "create", "t", "--partitions", "3", "--local", "data"]);
    assert_eq!(made, "t: 3 partitions\n");
    sandbox.write("in.jsonl", "{\"k\":\"a\"}\n\n{\"k\":\"b\"}\n{\"k\":\"a\",\"x\":1}\n");
    let produce = ["topic", "produce", "t", "in.jsonl", "--key", "k", "--local", "data"];
    assert!(sandbox.must(&produce).starts_with("t: 3 records"));
    assert_eq!(sandbox.must(&["topic", "list", "--local", "data"]), "t  3 partitions, 3 records\n");
    let shown = sandbox.must(&["topic", "consume", "t", "--keys", "--local", "data"]);
    let of_a: Vec<_> = shown.lines().filter(|line| line.starts_with("a\t")).collect();
    assert_eq!(of_a, ["a\t{\"k\":\"a\"}", "a\t{\"k\":\"a\",\"x\":1}"], "in order per key");
    let one = sandbox.must(&["topic", "consume", "t", "--max", "1", "--local", "data"]);
    assert_eq!(one.lines().count(), 1);
}

#[test]
fn a_topic_is_deleted_when_that_is_confirmed() {
    let sandbox = Sandbox::new();
    sandbox.fill("t", 1, "k", "{\"k\":\"a\"}\n");
    let delete = ["topic", "delete", "t", "--local", "data"];
    let asked = sandbox.flow_with_input(&delete, "n\n");
    asked.expect(2, &["Delete t with its 1 records?", "nothing was changed"]);
    assert_eq!(sandbox.flow_with_input(&delete, "y\n").stdout, "t: deleted\n");
    sandbox.flow(&[&delete[..], &["--yes"]].concat()).expect(4, &["there is no topic t"]);
    assert_eq!(sandbox.must(&["topic", "list", "--local", "data"]), "");
}

#[test]
fn headers_are_shown_as_text_or_digits() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", "{\"k\":\"a\"}\n{\"k\":\"b\"}\n");
    sandbox.write(
        "copy.flow",
        "CREATE STREAM i (k STRING) WITH (connector = 'file', path = 'in.jsonl', format = 'json');
         CREATE STREAM o WITH (connector = 'kafka', format = 'json', 'sink.epoch-header' = 'true');
         SET 'epoch.max.records' = '1';
         INSERT INTO o SELECT k FROM i;",
    );
    sandbox.must(&["run", "copy.flow", "--local", "data"]);
    let shown = sandbox.must(&["topic", "consume", "o", "--headers", "--local", "data"]);
    let mut lines: Vec<_> = shown.lines().filter_map(|line| line.split_once('\t')).collect();
    lines.sort_unstable_by_key(|(_, value)| *value);
    let [(first, a), (second, b)] = lines[..] else { panic!("two records: {shown}") };
    assert_eq!((a, b), (r#"{"k":"a"}"#, r#"{"k":"b"}"#));
    let digits = |header: &str| {
        let epoch = header.strip_prefix(r#"[["flow.epoch","0x"#)?.strip_suffix(r#""]]"#)?;
        u64::from_str_radix(epoch, 16).ok()
    };
    let (first, second) = (digits(first).expect("an epoch"), digits(second).expect("an epoch"));
    assert!(first < second, "one record an epoch: {shown}");
}

#[test]
fn a_topic_is_described_with_its_offsets_times_and_schemas() {
    let sandbox = Sandbox::new();
    sandbox.must(&["topic", "create", "t", "--partitions", "2", "--local", "data"]);
    let describe = ["topic", "describe", "t", "--local", "data"];
    let head = "partition         start           end       records  newest\n";
    let empty = "           0             0             0  -\n";
    assert_eq!(
        sandbox.must(&describe),
        format!(
            "t  2 partitions, 0 records\n{head}        0  {empty}        1  {empty}\
             no schemas of t in data/schemas\n"
        )
    );
    sandbox.produce("t", "k", "{\"k\":\"a\"}\n{\"k\":\"a\"}\n");
    sandbox.write("t.avsc", SCHEMA);
    sandbox.must(&["schema", "register", "t-value", "t.avsc", "--local", "data"]);
    let told = sandbox.must(&describe);
    assert!(told.starts_with("t  2 partitions, 2 records\n"), "{told}");
    assert!(told.ends_with("\nvalue  t-value: id 1, version 1, BACKWARD\n"), "{told}");
    let rows: Vec<Vec<&str>> =
        told.lines().skip(2).take(2).map(|line| line.split_whitespace().collect()).collect();
    let filled = rows.iter().find(|row| row[2] == "2").expect("both records are in one partition");
    assert_eq!(filled[1..4], ["0", "2", "2"]);
    assert!(filled[4].starts_with("20"), "the time of writing: {told}");
    assert!(rows.iter().any(|row| row[1..] == ["0", "0", "0", "-"]), "{told}");
    let absent = sandbox.flow(&["topic", "describe", "absent", "--local", "data"]);
    absent.expect(4, &["there is no topic absent"]);
}

#[test]
fn what_cannot_be_written_is_told_with_its_line() {
    let sandbox = Sandbox::new();
    let produce = ["topic", "produce", "t", "--key", "k", "--local", "data"];
    sandbox.flow_with_input(&produce, "{}").expect(4, &["there is no topic t"]);
    sandbox.must(&["topic", "create", "t", "--local", "data"]);
    sandbox.flow_with_input(&produce, "{\"k\":1}\nnonsense\n").expect(4, &["line 2", "not JSON"]);
    sandbox.flow_with_input(&produce, "{\"k\":1}\n{}\n").expect(4, &["line 2", "no field k"]);
    assert_eq!(sandbox.must(&["topic", "list", "--local", "data"]), "t  1 partitions, 0 records\n");
    let bad = sandbox.flow(&["topic", "create", "no/name", "--local", "data"]);
    bad.expect(4, &["\"no/name\" is not a name for a topic", "letters"]);
    let none = sandbox.flow(&["topic", "create", "n", "--partitions", "9999", "--local", "data"]);
    none.expect(4, &["9999 partitions", "1024"]);
    let absent = sandbox.flow(&["topic", "consume", "absent", "--local", "data"]);
    absent.expect(4, &["there is no topic absent", "flow topic create"]);
}

#[test]
fn a_topic_gets_partitions_and_loses_none() {
    let sandbox = Sandbox::new();
    sandbox.fill("t", 2, "k", "{\"k\":\"a\"}\n");
    let alter = |partitions| ["topic", "alter", "t", "--partitions", partitions, "--local", "data"];
    assert_eq!(sandbox.must(&alter("3")), "t: 3 partitions\n");
    assert_eq!(sandbox.must(&["topic", "list", "--local", "data"]), "t  3 partitions, 1 records\n");
    sandbox.flow(&alter("2")).expect(4, &["topic t has 3 partitions", "only ever added"]);
    sandbox.flow(&alter("9999")).expect(4, &["9999 partitions", "1024"]);
    let absent = ["topic", "alter", "absent", "--partitions", "2", "--local", "data"];
    sandbox.flow(&absent).expect(4, &["there is no topic absent"]);
}

#[test]
fn avro_is_written_and_shown_by_the_registered_schema() {
    let sandbox = Sandbox::new();
    sandbox.write("click.avsc", SCHEMA);
    sandbox.must(&["topic", "create", "clicks", "--local", "data"]);
    let produce = ["topic", "produce", "clicks", "--format", "avro", "--local", "data"];
    let line = "{\"page\":\"p\",\"n\":7}";
    sandbox.flow_with_input(&produce, line).expect(4, &["clicks-value is not in"]);
    let register = ["schema", "register", "clicks-value", "click.avsc", "--local", "data"];
    assert_eq!(sandbox.must(&register), "clicks-value: id 1\n");
    sandbox.flow_with_input(&produce, line).expect(0, &[]);
    assert_eq!(sandbox.all("clicks"), [super::command::canonical(line)]);
    sandbox.flow_with_input(&produce, "{\"page\":\"p\",\"n\":\"x\"}").expect(4, &["line 1", "n"]);
}

#[test]
fn schemas_are_listed_shown_and_held_to_compatibility() {
    let sandbox = Sandbox::new();
    let register = ["schema", "register", "s-value", "s.avsc", "--local", "data"];
    sandbox.write("s.avsc", SCHEMA);
    sandbox.must(&register);
    sandbox.write("s.avsc", SCHEMA.replace("\"long\"", "\"long\", \"doc\": \"how many\""));
    sandbox.must(&register);
    sandbox.write("s.avsc", SCHEMA.replace("\"long\"", "\"string\""));
    sandbox.flow(&register).expect(1, &["BACKWARD", "s-value", "n"]);
    sandbox.write("s.avsc", "{\"type\": \"rec\"}");
    sandbox.flow(&register).expect(4, &["s.avsc is no Avro schema"]);
    let listed = sandbox.must(&["schema", "list", "--local", "data"]);
    assert_eq!(listed, "s-value  versions 1, 2\n");
    let first = sandbox.must(&["schema", "get", "s-value", "--version", "1", "--local", "data"]);
    assert!(first.contains("Click") && !first.contains("how many"), "{first}");
    let last = sandbox.must(&["schema", "get", "s-value", "--local", "data"]);
    assert!(last.contains("how many"), "{last}");
    let absent = sandbox.flow(&["schema", "get", "other", "--local", "data"]);
    absent.expect(4, &["other is not in"]);
}

#[test]
fn a_schema_is_checked_without_being_registered() {
    let sandbox = Sandbox::new();
    let check = ["schema", "check", "s-value", "new.avsc", "--local", "data"];
    sandbox.write("new.avsc", SCHEMA);
    let told = "s-value: compatible with anything: there is no version to compare (BACKWARD)\n";
    assert_eq!(sandbox.must(&check), told);
    assert_eq!(sandbox.must(&["schema", "list", "--local", "data"]), "");

    sandbox.must(&["schema", "register", "s-value", "new.avsc", "--local", "data"]);
    let more = r#"{"name": "n", "type": "long"}, {"name": "by", "type": "string", "default": ""}"#;
    sandbox.write("new.avsc", SCHEMA.replace(r#"{"name": "n", "type": "long"}"#, more));
    assert_eq!(sandbox.must(&check), "s-value: compatible with version 1 (BACKWARD)\n");
    assert_eq!(sandbox.must(&["schema", "list", "--local", "data"]), "s-value  versions 1\n");

    sandbox.write("new.avsc", SCHEMA.replace("\"long\"", "\"string\""));
    sandbox.flow(&check).expect(1, &["breaks BACKWARD of s-value", "version 1: n: "]);
    sandbox.write("new.avsc", "{\"type\": \"rec\"}");
    sandbox.flow(&check).expect(1, &["new.avsc is no Avro schema"]);
    let absent = sandbox.flow(&["schema", "check", "s-value", "absent.avsc", "--local", "data"]);
    absent.expect(4, &["absent.avsc cannot be read"]);
}

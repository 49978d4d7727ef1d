//! Records that cannot be read and rows that fail: by default the job stops before the commit and
//! names record and ways on; nothing is lost.

use super::command::Sandbox;
use super::{bounded, clicks, counted, counts};

const WAYS_ON: [&str; 3] = ["'error.policy' = 'skip'", "'null'", "'dead_letter' = 'TOPIC'"];

/// Clicks as Avro, counted by page.
const AVRO: &str = "
CREATE STREAM clicks
WITH (connector = 'kafka', format = 'avro', 'scan.bounded.mode' = 'latest-offset');
CREATE TABLE counts (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO counts SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM clicks GROUP BY page;
";

const SCHEMA: &str = r#"{"type": "record", "name": "Click", "fields": [
  {"name": "page", "type": "string"}, {"name": "n", "type": "long"}]}"#;

/// Thirty clicks as Avro in one partition, and then this payload.
fn avro(payload: &[u8]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("avro.flow", AVRO);
    sandbox.write("click.avsc", SCHEMA);
    sandbox.must(&["schema", "register", "clicks-value", "click.avsc", "--local", "data"]);
    sandbox.must(&["topic", "create", "clicks", "--local", "data"]);
    let produce = ["topic", "produce", "clicks", "--format", "avro", "--local", "data"];
    sandbox.flow_with_input(&produce, &clicks(0..30)).expect(0, &[]);
    sandbox.produce_bytes("clicks", payload);
    sandbox
}

/// Runs over a payload that cannot be read, by each policy.
fn refuse(payload: &[u8], why: &str) {
    let sandbox = avro(payload);
    let run = ["run", "avro.flow", "--local", "data"];
    let ended = sandbox.flow(&run);
    ended.expect(4, &["record clicks-0@30 cannot be read", why]);
    ended.expect(4, &WAYS_ON);
    let listed = sandbox.must(&["topic", "list", "--local", "data"]);
    assert!(listed.contains("counts  1 partitions, 0 records"), "nothing is committed: {listed}");
    let skip = [&run[..], &["-D", "error.policy=skip", "--stats", "stats.json"]].concat();
    sandbox.flow(&skip).expect(0, &["avro finished", "skipped 1"]);
    assert_eq!(counts(&sandbox), counted(0..30));
    let aside = [&run[..], &["-D", "dead_letter=bad", "--name", "aside"]].concat();
    sandbox.flow(&aside).expect(0, &["dead letters 1"]);
    let listed = sandbox.must(&["topic", "list", "--local", "data"]);
    assert!(listed.contains("bad  1 partitions, 1 records"), "{listed}");
}

#[test]
fn a_payload_without_the_registrys_frame() {
    refuse(b"{\"page\":\"p\"}", "it does not begin with a schema id");
}

#[test]
fn a_payload_that_is_cut_short() {
    refuse(&[0, 0, 0, 0, 1, 8, b'p'], "the payload ends too early");
}

#[test]
fn a_schema_that_the_registry_does_not_know() {
    refuse(&[0, 0, 0, 0, 99, 2, b'p', 2], "99");
}

#[test]
fn json_that_is_none_or_has_another_type() {
    let sandbox = Sandbox::new();
    sandbox.write("counts.flow", bounded(super::COUNTS));
    sandbox.must(&["topic", "create", "clicks", "--local", "data"]);
    sandbox.produce_bytes("clicks", b"{\"page\":\"p0\",\"n\":0}");
    sandbox.produce_bytes("clicks", b"{\"page\":");
    let run = ["run", "counts.flow", "--local", "data"];
    sandbox.flow(&run).expect(4, &["record clicks-0@1 cannot be read"]);
    sandbox.produce_bytes("clicks", b"{\"page\":\"p0\",\"n\":\"many\"}");
    let skip = [&run[..], &["-D", "error.policy=skip", "--fresh", "--yes"]].concat();
    sandbox.flow(&skip).expect(0, &["skipped 2"]);
}

#[test]
fn a_row_that_fails_is_named_by_its_record_and_the_place_in_the_program() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "divide.flow",
        "CREATE STREAM pairs (a BIGINT, b BIGINT)
WITH (connector = 'kafka', format = 'json', 'scan.bounded.mode' = 'latest-offset');
CREATE STREAM quotients WITH (connector = 'kafka', format = 'json');
INSERT INTO quotients
SELECT a / b AS q FROM pairs;",
    );
    sandbox.fill("pairs", 1, "a", "{\"a\":6,\"b\":2}\n{\"a\":1,\"b\":0}\n{\"a\":8,\"b\":2}\n");
    let run = ["run", "divide.flow", "--local", "data"];
    let ended = sandbox.flow(&run);
    ended.expect(4, &["record pairs-0@1", "divide.flow:5:8", "division by zero"]);
    ended.expect(4, &WAYS_ON);
    let null = [&run[..], &["-D", "error.policy=null"]].concat();
    sandbox.flow(&null).expect(0, &["divide finished"]);
    assert_eq!(sandbox.all("quotients"), ["{\"q\":3}", "{\"q\":4}", "{\"q\":null}"]);
}

#[test]
fn a_program_that_is_larger_than_a_job_may_be() {
    let sandbox = Sandbox::new();
    let many = |n: u32, each: &dyn Fn(u32) -> String| -> String {
        (0..n).map(each).collect::<Vec<_>>().join(", ")
    };
    let wide = format!("SELECT {};", many(5_000, &|n| format!("{n} AS c{n}")));
    let numbers = "CREATE STREAM d (n BIGINT) WITH (connector = 'datagen', 'number-of-rows' = '1')";
    let listed = many(40_000, &|n| n.to_string());
    let long = format!("{numbers};\nSELECT n FROM d WHERE n IN ({listed});");
    for (program, why) in [(wide, "too many columns"), (long, "too many instructions")] {
        sandbox.write("large.flow", program);
        let told = sandbox.flow(&["run", "large.flow", "--local", "data"]);
        told.expect(1, &["E0901", "a larger job than there may be", why, "help: "]);
        // A line of so many bytes is not repeated.
        assert!(told.stderr.len() < 1_000, "{}", told.stderr.len());
    }
}

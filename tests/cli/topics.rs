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

//! `examples/orders` from end to end, as `./demo` runs it, against answers that were computed from
//! the input without Flow (`examples/orders/expected/compute.py`).

#[path = "../support/command.rs"]
mod command;

use std::path::PathBuf;

use command::{Sandbox, canonical};

/// The repository's folder of the example.
fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/orders").join(name)
}

fn text(name: &str) -> String {
    example(name).display().to_string()
}

/// Registers the schemas, creates the topics and fills them.
fn filled() -> Sandbox {
    let sandbox = Sandbox::new();
    for (topic, key) in
        [("customers", "customer_id"), ("orders", "customer_id"), ("payments", "order_id")]
    {
        let (subject, schema) =
            (format!("{topic}-value"), text(&format!("schemas/{topic}-value.avsc")));
        sandbox.must(&["schema", "register", &subject, &schema, "--local", "data"]);
        sandbox.must(&["topic", "create", topic, "--partitions", "2", "--local", "data"]);
        let input = text(&format!("input/{topic}.jsonl"));
        let produce = ["topic", "produce", topic, &input, "--format", "avro", "--key", key];
        sandbox.must(&[&produce[..], &["--local", "data"]].concat());
    }
    sandbox
}

fn expected(topic: &str) -> Vec<String> {
    let path = example(&format!("expected/{topic}.jsonl"));
    let text = std::fs::read_to_string(path).expect("the answers are there");
    let mut lines: Vec<String> = text.lines().map(canonical).collect();
    lines.sort();
    lines
}

fn assert_answers(sandbox: &Sandbox) {
    for topic in ["enriched_orders", "paid_orders", "revenue"] {
        assert_eq!(sandbox.all(topic), expected(topic), "{topic}");
    }
    let mut totals: Vec<String> = sandbox.last_of_each_key("totals").into_values().collect();
    totals.sort();
    assert_eq!(totals, expected("totals"));
}

#[test]
fn the_answers_are_those_of_a_batch_evaluation() {
    let sandbox = filled();
    let run = sandbox.flow(&["run", &text("orders.flow"), "--local", "data"]);
    run.expect(0, &["orders finished", "orders               in 120"]);
    assert_answers(&sandbox);
}

#[test]
fn cut_into_many_epochs_at_parallelism_4_they_are_the_same() {
    let sandbox = filled();
    sandbox.must(&[
        "run",
        &text("orders.flow"),
        "--local",
        "data",
        "--parallelism",
        "4",
        "-D",
        "epoch.max.records=7",
    ]);
    assert_answers(&sandbox);
}

#[test]
fn what_the_job_writes_is_avro_with_registered_schemas() {
    let sandbox = filled();
    sandbox.must(&["run", &text("orders.flow"), "--local", "data"]);
    let subjects = sandbox.must(&["schema", "list", "--local", "data"]);
    for topic in ["enriched_orders", "paid_orders", "revenue", "totals"] {
        assert!(subjects.contains(&format!("{topic}-value")), "{subjects}");
    }
    let schema = sandbox.must(&["schema", "get", "revenue-value", "--local", "data"]);
    assert!(schema.contains("\"revenue\"") && schema.contains("decimal"), "{schema}");
}

#[test]
fn the_program_has_no_mistakes() {
    let sandbox = filled();
    let checked = sandbox.flow(&["check", &text("orders.flow"), "--local", "data"]);
    checked.expect(0, &[]);
    assert!(checked.stdout.contains("no mistakes"), "{checked:?}");
}

//! Files as sources and sinks, standard input and output among them.

use std::io::Write;
use std::time::{Duration, Instant};

use super::command::Sandbox;

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// Doubles numbers from one path to another.
fn program(from: &str, to: &str) -> String {
    format!(
        "CREATE STREAM numbers (n BIGINT)
         WITH (connector = 'file', path = '{from}', format = 'json');
         CREATE STREAM doubled WITH (connector = 'file', path = '{to}', format = 'json');
         INSERT INTO doubled SELECT n * 2 AS n FROM numbers;"
    )
}

fn sandbox(from: &str, to: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("double.flow", program(from, to));
    sandbox.write("in.jsonl", "{\"n\":1}\n\n{\"n\":2}\r\n{\"n\":3}");
    sandbox
}

const DOUBLED: &str = "{\"n\":2}\n{\"n\":4}\n{\"n\":6}\n";

#[test]
fn from_a_file_to_a_file_once() {
    let sandbox = sandbox("in.jsonl", "out.jsonl");
    let run = ["run", "double.flow"];
    sandbox.flow(&run).expect(0, &["double finished", "in 3"]);
    assert_eq!(sandbox.read("out.jsonl"), DOUBLED);
    sandbox.flow(&run).expect(0, &["has finished before"]);
    assert_eq!(sandbox.read("out.jsonl"), DOUBLED);
    assert!(sandbox.path(".flow/double").is_dir(), "its state is there");
    let fresh = ["run", "double.flow", "--fresh", "--yes"];
    sandbox.flow(&fresh).expect(0, &["double finished"]);
    assert_eq!(sandbox.read("out.jsonl"), DOUBLED);
}

#[test]
fn from_standard_input_to_standard_output_every_time() {
    let sandbox = sandbox("-", "-");
    for input in ["{\"n\":1}\n{\"n\":2}\n", "{\"n\":5}\n"] {
        let ended = sandbox.flow_with_input(&["run", "double.flow"], input);
        ended.expect(0, &["standard input, which cannot be read again", "double finished"]);
        let expected = input.replace('2', "4").replace('1', "2").replace('5', "10");
        assert_eq!(ended.stdout, expected);
    }
}

#[test]
fn a_line_of_standard_input_does_not_wait_for_more() {
    let sandbox = sandbox("-", "out.jsonl");
    let (job, mut input) = sandbox.start_with_pipe(&["run", "double.flow"]);
    let mut written = String::new();
    for n in 1..4 {
        writeln!(input, "{{\"n\":{n}}}").expect("it reads");
        written.push_str(&format!("{{\"n\":{}}}\n", n * 2));
        let began = Instant::now();
        while !sandbox.path("out.jsonl").exists() || sandbox.read("out.jsonl") != written {
            assert!(began.elapsed() < PATIENCE, "line {n} never comes out");
            std::thread::yield_now();
        }
    }
    drop(input);
    job.end().expect(0, &["double finished"]);
}

#[test]
fn a_file_that_is_not_there_or_was_changed_is_named() {
    let sandbox = sandbox("none.jsonl", "out.jsonl");
    sandbox.flow(&["run", "double.flow"]).expect(4, &["none.jsonl cannot be read", "'path'"]);
    let run = ["run", "d.flow", "-D", "epoch.max.records=1"];
    sandbox.write("d.flow", program("in.jsonl", "out.jsonl"));
    sandbox.write("in.jsonl", "{\"n\":1}\n{\"n\":\"x\"}\n");
    sandbox.flow(&run).expect(4, &["record in.jsonl-0@8"]);
    sandbox.write("in.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    let changed = ["in.jsonl is not the one that this job began to read", "--fresh"];
    sandbox.flow(&run).expect(4, &changed);
    sandbox.flow(&[&run[..], &["--fresh", "--yes"]].concat()).expect(0, &["d finished"]);
    assert_eq!(sandbox.read("out.jsonl"), DOUBLED);
}

#[test]
fn a_full_disk_and_a_folder_that_is_missing_are_told() {
    let full = sandbox("in.jsonl", "/dev/full");
    full.flow(&["run", "double.flow"]).expect(4, &["/dev/full", "No space left on device"]);
    let missing = sandbox("in.jsonl", "no/such/out.jsonl");
    missing.flow(&["run", "double.flow"]).expect(4, &["no/such/out.jsonl", "'path'"]);
}

//! What a program says of how it is run.

use super::command::Sandbox;
use super::{COUNTS, bounded, clicks, counted, counting, counts};

const RUN: [&str; 4] = ["run", "bounded.flow", "--local", "data"];

/// A sandbox whose bounded job has these settings, and epochs of ten records.
fn set(settings: &str) -> Sandbox {
    let sandbox = counting();
    let epochs = "SET 'epoch.max.records' = '10';\n";
    sandbox.write("bounded.flow", epochs.to_string() + settings + &bounded(COUNTS));
    sandbox
}

#[test]
fn state_in_memory_alone_goes_on_from_the_changelog() {
    let sandbox = set("SET 'state.store' = 'memory';\n");
    sandbox.flow(&RUN).expect(0, &["bounded finished", "in 50"]);
    assert_eq!(counts(&sandbox), counted(0..50));
    // Unbounded, it goes on where the bounded one ended.
    let unbounded = "SET 'job.name' = 'bounded';\nSET 'state.store' = 'memory';\n";
    sandbox.write("counts.flow", unbounded.to_string() + COUNTS);
    sandbox.produce("clicks", "page", &clicks(50..80));
    let mut job = sandbox.start(&["run", "counts.flow", "--local", "data", "--fresh", "--yes"]);
    sandbox.wait_for_input(&mut job, "bounded", &[("clicks", 80)]);
    job.kill();
    sandbox.produce("clicks", "page", &clicks(80..90));
    let mut job = sandbox.start(&["run", "counts.flow", "--local", "data"]);
    sandbox.wait_for_input(&mut job, "bounded", &[("clicks", 90)]);
    job.interrupt().expect(0, &["bounded stopped", "in 10"]);
    assert_eq!(counts(&sandbox), counted(0..90));
}

#[test]
fn state_that_memory_cannot_hold_ends_a_job_that_has_nothing_else() {
    let sandbox = set("SET 'state.store' = 'memory';\nSET 'memory' = '10';\n");
    let told = ["the job's memory 10", "SET 'state.store' = 'disk'"];
    sandbox.flow(&RUN).expect(4, &told);
    // A flag says more than the program, and nothing is lost.
    sandbox.flow(&[&RUN[..], &["--memory", "64MB"]].concat()).expect(0, &["bounded finished"]);
    assert_eq!(counts(&sandbox), counted(0..50));
    let sandbox = set("SET 'memory' = '10';\n");
    sandbox.flow(&RUN).expect(0, &["bounded finished", "in 50"]);
    assert_eq!(counts(&sandbox), counted(0..50));
}

#[test]
fn state_lies_where_the_program_says() {
    let sandbox = set("SET 'state.dir' = 'here';\nSET 'parallelism' = '2';\n");
    sandbox.flow(&RUN).expect(0, &["bounded finished"]);
    assert!(sandbox.path("here").is_dir() && !sandbox.path("data/jobs/bounded").exists());
    let given = [&RUN[..], &["--state-dir", "there", "--fresh", "--yes"]].concat();
    sandbox.flow(&given).expect(0, &["bounded finished"]);
    assert!(sandbox.path("there").is_dir());
}

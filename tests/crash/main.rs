//! `kill -9` of the real `flow run` while it works through its input, again and again, on the
//! embedded log: after the last start the committed output is that of a run that nobody disturbed.
//!
//! Moments are given by progress, not by time. Three sequences of ten: anywhere; between the begin
//! of a transaction and what the job makes of the commit's answer (`FLOW_CRASH_AT`, see
//! `runtime/src/commit/driver.rs`); and with the local store deleted after each.

#[path = "../support/command.rs"]
mod command;
#[path = "../support/survival.rs"]
mod survival;

use command::Sandbox;
use survival::{Input, Job, Moment, SIGKILL, Until, ten_commits, ten_epochs, ten_of_all_kinds};

/// The job survives, and its output is an undisturbed run's.
fn survives(moments: &[Moment], delete_store: bool) {
    let input = Input::new();
    let expected = Job::undisturbed(Sandbox::new(), &input, Until::End);
    let job = Job::filled(Sandbox::new(), "crash", &input);
    job.survive(moments, delete_store);
    assert_eq!(job.output(), expected);
}

#[test]
fn killed_at_ten_epochs() {
    survives(&ten_epochs(), false);
}

#[test]
fn killed_ten_times_between_begin_and_the_commits_answer() {
    survives(&ten_commits(), false);
}

#[test]
fn killed_ten_times_and_the_local_store_deleted() {
    survives(&ten_of_all_kinds(), true);
}

#[test]
fn killed_while_another_process_produces() {
    let input = Input::new();
    let expected = Job::undisturbed(Sandbox::new(), &input, Until::Stopped);
    let job = Job::new(Sandbox::new(), "crash");
    for i in 0..10 {
        let mut run = job.start(Until::Stopped);
        assert!(job.sandbox.client(&mut run).is_some(), "it runs until it is killed");
        job.produce(&input.part(i, 10));
        assert_eq!(run.kill().signal(), Some(SIGKILL));
    }
    job.stop_at_end(job.start(Until::Stopped));
    assert_eq!(job.output(), expected);
}

//! `kill -9` of the real `flow run`, and of the broker below it, while the job works through its
//! input: what read_committed shows in the end is what an undisturbed run on Kafka left.
//!
//! Moments are given by progress, not by time; see `tests/support/survival.rs`.

use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use flow_ir::kernel::Record;
use flow_runtime::connect::{Assignment, Log, OffsetQuery};

use crate::command::Sandbox;
use crate::log::open;
use crate::support::Broker;
use crate::survival::{
    EPOCHS, Input, Job, Moment, Output, SIGKILL, STATE, Until, ten_commits, ten_epochs,
    ten_of_all_kinds,
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one look for records waits.
const POLL: Duration = Duration::from_millis(100);

/// What the job makes of its whole input.
fn expected(broker: &Broker) -> &'static Output {
    static EXPECTED: OnceLock<Output> = OnceLock::new();
    let sandbox = || Sandbox::on_kafka(&broker.bootstrap());
    EXPECTED.get_or_init(|| Job::undisturbed(sandbox(), &Input::new(), Until::End))
}

/// The job survives, and its output is an undisturbed run's.
fn survives(name: &'static str, moments: &[Moment], delete_store: bool) {
    let broker = Broker::shared();
    let job = Job::filled(Sandbox::on_kafka(&broker.bootstrap()), name, &Input::new());
    job.survive(moments, delete_store);
    assert_eq!(&job.output(), expected(&broker));
}

#[test]
fn killed_at_ten_epochs() {
    survives("crash-epochs", &ten_epochs(), false);
}

#[test]
fn killed_ten_times_between_begin_and_the_commits_answer() {
    survives("crash-commits", &ten_commits(), false);
}

#[test]
fn killed_ten_times_and_the_local_store_deleted() {
    survives("crash-deleted", &ten_of_all_kinds(), true);
}

#[test]
fn killed_while_other_processes_produce() {
    const PARTS: usize = 10;
    let (broker, input) = (Broker::shared(), Input::new());
    let sandbox = || Sandbox::on_kafka(&broker.bootstrap());
    let job = Job::new(sandbox(), "crash-produced");
    let produce = |topic: &str| {
        job.sandbox.start_with_pipe(&["topic", "produce", topic, "--key", "order_id"])
    };
    let (orders, mut to_orders) = produce(&job.topic("orders"));
    let (payments, mut to_payments) = produce(&job.topic("payments"));
    for i in 0..PARTS {
        let (orders, payments) = input.part(i, PARTS);
        to_orders.write_all(orders.as_bytes()).expect("it reads");
        to_payments.write_all(payments.as_bytes()).expect("it reads");
        let mut run = job.start(Until::Stopped);
        job.wait_for_epochs(&mut run, 1 + i as u64 * EPOCHS / 11);
        assert_eq!(run.kill().signal(), Some(SIGKILL));
    }
    drop((to_orders, to_payments));
    orders.end().expect(0, &[]);
    payments.end().expect(0, &[]);
    job.stop_at_end(job.start(Until::Stopped));
    assert_eq!(job.output(), Job::undisturbed(sandbox(), &input, Until::Stopped));
}

/// Records that read_committed shows of a topic, none of which is the last thing in its partition:
/// that is the marker which ended the last transaction there.
fn records_before_markers(log: &dyn Log, topic: &str) -> u64 {
    let ends = log.offsets(topic, OffsetQuery::End).expect("the topic is there");
    let start = |partition| Assignment { topic: topic.into(), partition, offset: 0 };
    let starts: Vec<Assignment> = (0..ends.len() as u32).map(start).collect();
    let mut reader = log.reader(&starts).expect("a reader is made");
    let (mut count, began) = (0, Instant::now());
    while ends.iter().enumerate().any(|(p, end)| reader.position(p) < *end) {
        assert!(began.elapsed() < PATIENCE, "the end of {topic} never comes");
        let Some(fetched) = reader.poll(POLL).expect("it can be read") else { continue };
        let mut records: Vec<Record<'_>> = Vec::new();
        fetched.batch.records(&mut records);
        let last = records.last().map_or(-1, |r| r.offset);
        assert!(last + 1 < ends[fetched.partition], "no marker after {last} of {topic}");
        count += records.len() as u64;
    }
    count
}

#[test]
fn a_restore_reads_on_to_the_marker_that_ends_the_last_transaction() {
    let broker = Broker::shared();
    let job = Job::filled(Sandbox::on_kafka(&broker.bootstrap()), "crash-marked", &Input::new());
    job.live_until(&Moment::Action("commit:9".into()));
    job.live_until(&Moment::Action("stage:4".into()));
    job.delete_store();
    let log = open(&broker.bootstrap(), &[]);
    drop(log.writer("flow-crash-marked-0").expect("it settles what the dead job left open"));
    let records = records_before_markers(&log, "flow.crash-marked.changelog");
    assert!(records > 100, "{records} records are no state to speak of");
    job.start_with(Until::End, STATE, &["--stats", "stats.json"], &[]).end().expect(0, &[]);
    let stats = job.sandbox.read("stats.json");
    assert!(stats.contains(&format!("\"restored\": {records},")), "{records}: {stats}");
    assert_eq!(&job.output(), expected(&broker));
}

#[test]
fn a_busy_job_that_is_taken_over_exits_and_names_its_successor() {
    let broker = Broker::shared();
    let job = Job::filled(Sandbox::on_kafka(&broker.bootstrap()), "crash-fenced", &Input::new());
    let mut first = job.start(Until::End);
    job.wait_for_epochs(&mut first, EPOCHS / 6);
    let second = job.start_with(Until::End, "elsewhere", &[], &[]);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("the host has a name");
    let named = format!("process {} on host {}", second.pid(), host.trim());
    first.end().expect(3, &["another process has taken over", &named]);
    second.end().expect(0, &["crash-fenced finished"]);
    assert_eq!(&job.output(), expected(&broker));
}

#[test]
fn a_job_outlives_its_broker() {
    let mut broker = Broker::start();
    let job = Job::filled(Sandbox::on_kafka(&broker.bootstrap()), "crash-broker", &Input::new());
    // An end that is not clear for so long ends the attempt.
    let patience = ["-D", "properties.transaction.timeout.ms=3000"];
    let mut run = job.start_with(Until::End, STATE, &patience, &[]);
    job.wait_for_epochs(&mut run, EPOCHS / 6);
    broker.kill();
    broker.restart();
    job.wait_for_epochs(&mut run, EPOCHS / 2);
    broker.kill();
    run.wait_until_told("the job starts again from its last committed epoch");
    broker.restart();
    run.end().expect(0, &["crash-broker finished"]);
    let calm = Job::undisturbed(Sandbox::on_kafka(&broker.bootstrap()), &Input::new(), Until::End);
    assert_eq!(job.output(), calm);
}

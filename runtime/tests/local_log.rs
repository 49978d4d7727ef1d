//! The embedded log against the suite that every log must pass, in memory, on disk, and on disk
//! again after it was closed.

use std::sync::Arc;

use flow_runtime::connect::local::LocalLog;
use flow_runtime::connect::{Assignment, Log, NewTopic, OffsetQuery, Outcome, Outgoing};

#[path = "../../tests/support/conformance.rs"]
mod conformance;

#[test]
fn in_memory() {
    let log: Arc<dyn Log> = Arc::new(LocalLog::memory());
    conformance::run(&log, "m");
}

#[test]
fn on_disk_and_opened_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn Log> = Arc::new(LocalLog::open(dir.path()).expect("opens"));
    conformance::run(&log, "first");
    let (cluster, topics) = (log.cluster(), log.topics().expect("listed"));
    let ends = log.offsets("order-first", OffsetQuery::End).expect("answered");
    drop(log);
    let log: Arc<dyn Log> = Arc::new(LocalLog::open(dir.path()).expect("opens again"));
    assert_eq!(log.cluster(), cluster);
    assert_eq!(log.topics().expect("listed"), topics);
    assert_eq!(log.offsets("order-first", OffsetQuery::End).expect("answered"), ends);
    conformance::run(&log, "second");
}

#[test]
fn readers_stop_before_a_held_marker() {
    let log = LocalLog::memory();
    let topic = NewTopic { name: "t".into(), partitions: 1, compacted: false, config: vec![] };
    log.create_topic(&topic).expect("created");
    log.hold_markers(true);
    let mut writer = log.writer("w").expect("a writer");
    writer.begin().expect("begins");
    let record = Outgoing { topic: "t", value: Some(b"v"), ..Outgoing::default() };
    writer.send(&record).expect("taken");
    assert_eq!(writer.commit(), Outcome::Committed);
    let start = Assignment { topic: "t".into(), partition: 0, offset: 0 };
    let mut reader = log.reader(&[start]).expect("a reader");
    assert!(reader.poll(std::time::Duration::ZERO).expect("read").is_none());
    assert!(!reader.at_end(0), "the end is known before it can be read");
    assert_eq!(log.held_markers(), [("t".to_string(), 0)]);
    log.release_marker("t", 0);
    let fetched = reader.poll(std::time::Duration::ZERO).expect("read").expect("it is there now");
    assert_eq!(fetched.next_offset, 1);
}

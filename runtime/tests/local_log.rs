//! The embedded log against the suite that every log must pass: in memory, on disk, on disk again
//! after it was closed, and by way of its owner's socket.

use std::sync::Arc;
use std::time::Duration;

use flow_runtime::connect::local::{Access, LocalLog, Purpose};
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
fn behind_its_owners_socket() {
    let dir = tempfile::tempdir().expect("a folder");
    let owner = Access::open(dir.path(), Purpose::Job).expect("the first opens it");
    let client = Access::open(dir.path(), Purpose::Command).expect("the second is a client");
    conformance::run(client.log(), "remote");
    conformance::run(owner.log(), "owner");
    assert_eq!(client.log().cluster(), owner.log().cluster());
    let topics = owner.log().topics().expect("listed");
    assert_eq!(client.log().topics().expect("listed"), topics);
    let end = owner.log().offsets("order-remote", OffsetQuery::End).expect("answered");
    assert_eq!(end, [4, 1], "what a client wrote is in the owner's log");
}

#[test]
fn a_client_follows_what_the_owner_writes_and_is_told_when_it_goes() {
    let dir = tempfile::tempdir().expect("a folder");
    let owner = Access::open(dir.path(), Purpose::Job).expect("opens");
    let client = Access::open(dir.path(), Purpose::Command).expect("opens");
    let topic = NewTopic { name: "t".into(), partitions: 1, compacted: false, config: vec![] };
    client.log().create_topic(&topic).expect("created");
    let start = Assignment { topic: "t".into(), partition: 0, offset: 0 };
    let mut reader = client.log().reader(&[start]).expect("a reader");
    assert!(reader.poll(Duration::ZERO).expect("read").is_none());
    assert!(reader.at_end(0));
    let mut writer = owner.log().writer("w").expect("a writer");
    writer.begin().expect("begins");
    let record = Outgoing { topic: "t", value: Some(b"v"), ..Outgoing::default() };
    writer.send(&record).expect("taken");
    assert_eq!(writer.commit(), Outcome::Committed);
    let fetched = reader.poll(Duration::from_secs(30)).expect("read").expect("it came");
    assert_eq!((fetched.batch.len(), fetched.next_offset), (1, 1));
    drop(writer);
    drop(owner);
    let error = reader.poll(Duration::ZERO).err().expect("the owner is gone");
    assert!(error.to_string().contains("does not answer"), "{error}");
    let again = Access::open(dir.path(), Purpose::Command).expect("the folder is free");
    assert_eq!(again.log().offsets("t", OffsetQuery::End).expect("answered"), [1]);
}

#[test]
fn a_job_gets_the_log_from_a_command_and_not_from_a_job() {
    let dir = tempfile::tempdir().expect("a folder");
    let command = Access::open(dir.path(), Purpose::Command).expect("opens");
    assert!(!command.must_yield());
    let path = dir.path().to_path_buf();
    let job = std::thread::spawn(move || Access::open(&path, Purpose::Job));
    while !command.must_yield() {
        std::thread::yield_now();
    }
    drop(command);
    let job = job.join().expect("no panic").expect("the job has the log now");
    assert!(!job.must_yield());
    let refused = Access::open(dir.path(), Purpose::Job).err().expect("one job at a time");
    let pid = std::process::id().to_string();
    assert!(refused.to_string().contains(&pid), "{refused}");
    assert!(refused.help.is_some_and(|help| help.contains("--local")));
}

#[test]
fn a_socket_whose_path_would_be_too_long_is_in_the_temporary_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let deep = dir.path().join("d".repeat(60)).join("e".repeat(60));
    let owner = Access::open(&deep, Purpose::Job).expect("opens");
    let client = Access::open(&deep, Purpose::Command).expect("the lock says where it is");
    assert_eq!(client.log().cluster(), owner.log().cluster());
    assert!(!deep.join("socket").exists());
}

#[test]
fn tombstones_reach_a_reader_that_is_behind() {
    let log = LocalLog::memory();
    let topic = NewTopic { name: "c".into(), partitions: 1, compacted: true, config: vec![] };
    log.create_topic(&topic).expect("created");
    let mut writer = log.writer("w").expect("a writer");
    let mut put = |value: Option<&[u8]>, timestamp: Option<i64>| {
        writer.begin().expect("begins");
        let record =
            Outgoing { topic: "c", key: Some(b"k"), value, timestamp, ..Outgoing::default() };
        writer.send(&record).expect("taken");
        assert_eq!(writer.commit(), Outcome::Committed);
    };
    let read = |offset| {
        let start = Assignment { topic: "c".into(), partition: 0, offset };
        let mut reader = log.reader(&[start]).expect("a reader");
        let fetched = reader.poll(Duration::ZERO).expect("read")?;
        let mut records = Vec::new();
        fetched.batch.records(&mut records);
        assert_eq!(records.len(), 1, "the last record of the key, and no other");
        Some((records[0].value.map(<[u8]>::to_vec), records[0].offset))
    };
    put(Some(b"v"), None);
    assert_eq!(read(0), Some((Some(b"v".to_vec()), 0)));
    put(None, Some(0));
    assert_eq!(read(1), Some((None, 1)), "a reader that has the value hears that it is gone");
    put(None, None);
    assert_eq!(read(0), Some((None, 2)), "the old one is taken away, the new one is not");
    put(Some(b"w"), None);
    assert_eq!(read(0), Some((Some(b"w".to_vec()), 3)));
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
    assert!(reader.poll(Duration::ZERO).expect("read").is_none());
    assert!(!reader.at_end(0), "the end is known before it can be read");
    assert_eq!(log.held_markers(), [("t".to_string(), 0)]);
    log.release_marker("t", 0);
    let fetched = reader.poll(Duration::ZERO).expect("read").expect("it is there now");
    assert_eq!(fetched.next_offset, 1);
}

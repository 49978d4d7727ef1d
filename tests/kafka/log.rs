//! Kafka as a log, on a real broker: the suite that every log must pass, and what only a cluster
//! does: fences, goes away, comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_ir::kernel::Record;
use flow_runtime::connect::kafka::{BOOTSTRAP_SERVERS, KafkaLog};
use flow_runtime::connect::{
    Assignment, Log, NewTopic, OffsetQuery, Outcome, Outgoing, Reader, Writer,
};
use flow_runtime::error::{Retry, Who};

use crate::conformance;
use crate::support::Broker;

/// How long a cluster may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// The log of a broker, with more properties.
pub(crate) fn open(bootstrap: &str, more: &[(&str, &str)]) -> KafkaLog {
    let own = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
    let mut properties: BTreeMap<String, String> = more.iter().map(own).collect();
    properties.insert(BOOTSTRAP_SERVERS.into(), bootstrap.into());
    KafkaLog::open(&properties).expect("the broker answers")
}

pub(crate) fn create(log: &dyn Log, name: &str, partitions: u32) {
    let topic = NewTopic { name: name.into(), partitions, compacted: false, config: Vec::new() };
    log.create_topic(&topic).expect("the topic is made");
}

fn send(writer: &mut dyn Writer, topic: &str, value: &str) {
    let record = Outgoing { topic, value: Some(value.as_bytes()), ..Outgoing::default() };
    writer.send(&record).expect("the record is taken");
}

fn reader(log: &dyn Log, topic: &str) -> Box<dyn Reader> {
    let start = Assignment { topic: topic.into(), partition: 0, offset: 0 };
    log.reader(&[start]).expect("a reader is made")
}

/// Reads values until this many are there.
fn read(reader: &mut dyn Reader, count: usize) -> Vec<String> {
    let (start, mut values) = (Instant::now(), Vec::new());
    while values.len() < count {
        values.extend(poll(reader));
        assert!(start.elapsed() < PATIENCE, "{values:?} are all that came of {count}");
    }
    values
}

/// Reads values up to the end.
fn read_to_end(reader: &mut dyn Reader) -> Vec<String> {
    let (start, mut values) = (Instant::now(), Vec::new());
    loop {
        let some = poll(reader);
        if some.is_empty() && reader.at_end(0) {
            return values;
        }
        values.extend(some);
        assert!(start.elapsed() < PATIENCE, "the end never comes after {values:?}");
    }
}

fn poll(reader: &mut dyn Reader) -> Vec<String> {
    let Some(fetched) = reader.poll(Duration::from_millis(50)).expect("it can be read") else {
        return Vec::new();
    };
    let mut records: Vec<Record<'_>> = Vec::new();
    fetched.batch.records(&mut records);
    let text = |r: &Record<'_>| String::from_utf8_lossy(r.value.unwrap_or(b"")).into_owned();
    records.iter().map(text).collect()
}

#[test]
fn kafka_is_a_log() {
    let broker = Broker::shared();
    let log: Arc<dyn Log> = Arc::new(open(&broker.bootstrap(), &[]));
    conformance::run(&log, "k");
    let other = open(&broker.bootstrap(), &[]);
    assert_eq!(other.cluster(), log.cluster());
}

#[test]
fn topics_have_kafkas_identity_and_the_brokers_partitions() {
    let broker = Broker::shared();
    let log = open(&broker.bootstrap(), &[]);
    create(&log, "again", 0);
    let first = log.topic("again").expect("asked").expect("it is there");
    assert_eq!(first.partitions, 2, "as many as the broker makes by default");
    let shown = broker.tool("topics", &["--describe", "--topic", "again"]);
    assert!(shown.contains(&format!("TopicId: {}", first.id)), "{shown}");
    broker.tool("topics", &["--delete", "--topic", "again"]);
    let start = Instant::now();
    while log.topic("again").expect("asked").is_some() {
        assert!(start.elapsed() < PATIENCE, "the topic is never deleted");
    }
    create(&log, "again", 1);
    let second = log.topic("again").expect("asked").expect("it is there again");
    assert_ne!(first.id, second.id);
    assert!(log.topics().expect("listed").iter().all(|t| !t.name.starts_with("__")));
}

#[test]
fn aborted_records_are_never_read() {
    let broker = Broker::shared();
    let log = open(&broker.bootstrap(), &[]);
    create(&log, "mixed", 1);
    let mut writer = log.writer("mixed").expect("a writer");
    let mut reader = reader(&log, "mixed");
    let mut kept = Vec::new();
    for round in 0..20 {
        writer.begin().expect("begins");
        for i in 0..50 {
            send(&mut *writer, "mixed", &format!("{round}-{i}"));
        }
        if round % 2 == 0 {
            writer.abort().expect("aborted");
        } else {
            assert_eq!(writer.commit(), Outcome::Committed);
            kept.extend((0..50).map(|i| format!("{round}-{i}")));
        }
    }
    assert_eq!(read_to_end(&mut *reader), kept);
    let end = log.offsets("mixed", OffsetQuery::End).expect("asked")[0];
    assert_eq!((reader.position(0), reader.lag(0)), (end, 0));
    assert_eq!(writer.written_until("mixed", 0), Some(end - 1), "a marker is the last");
}

#[test]
fn a_running_producer_is_fenced() {
    let broker = Broker::shared();
    let log = open(&broker.bootstrap(), &[]);
    create(&log, "fenced", 1);
    let mut first = log.writer("fenced").expect("a writer");
    first.begin().expect("begins");
    send(&mut *first, "fenced", "committed");
    assert_eq!(first.commit(), Outcome::Committed);
    let mut second = log.writer("fenced").expect("another writer");
    // It may hear of it at any step, and always as the same.
    let begun = first.begin();
    let outcome = match begun {
        Ok(()) => {
            let record = Outgoing { topic: "fenced", value: Some(b"lost"), ..Outgoing::default() };
            match first.send(&record) {
                Ok(()) => first.commit(),
                Err(error) => {
                    assert_eq!(error.who, Who::Successor, "{error}");
                    Outcome::Fenced
                }
            }
        }
        Err(error) => {
            assert_eq!(error.who, Who::Successor, "{error}");
            Outcome::Fenced
        }
    };
    assert_eq!(outcome, Outcome::Fenced);
    assert!(first.is_fenced());
    let error = first.begin().expect_err("never again");
    assert_eq!(error.who, Who::Successor, "{error}");
    second.begin().expect("begins");
    send(&mut *second, "fenced", "second");
    assert_eq!(second.commit(), Outcome::Committed);
    assert_eq!(read_to_end(&mut *reader(&log, "fenced")), ["committed", "second"]);
}

#[test]
fn a_reader_outlives_its_broker() {
    let mut broker = Broker::start();
    let log = open(&broker.bootstrap(), &[]);
    create(&log, "t", 1);
    let mut writer = log.writer("w").expect("a writer");
    writer.begin().expect("begins");
    send(&mut *writer, "t", "before");
    assert_eq!(writer.commit(), Outcome::Committed);
    let mut reader = reader(&log, "t");
    assert_eq!(read(&mut *reader, 1), ["before"]);
    broker.kill();
    for _ in 0..20 {
        assert!(poll(&mut *reader).is_empty());
    }
    broker.restart();
    let mut writer = log.writer("w").expect("a writer after the restart");
    writer.begin().expect("begins");
    send(&mut *writer, "t", "after");
    assert_eq!(writer.commit(), Outcome::Committed);
    assert_eq!(read(&mut *reader, 1), ["after"]);
}

#[test]
fn a_transaction_over_a_broker_restart_is_whole_or_not_there() {
    let mut broker = Broker::start();
    let log = open(&broker.bootstrap(), &[]);
    create(&log, "t", 1);
    let mut writer = log.writer("w").expect("a writer");
    writer.begin().expect("begins");
    for i in 0..100 {
        send(&mut *writer, "t", &format!("{i}"));
    }
    broker.kill();
    let committing = std::thread::spawn(move || (writer.commit(), writer));
    broker.restart();
    let (outcome, old) = committing.join().expect("the commit ends");
    let mut next = log.writer("w").expect("a new writer settles it");
    let seen = read_to_end(&mut *reader(&log, "t"));
    match outcome {
        Outcome::Committed => assert_eq!(seen.len(), 100),
        Outcome::Aborted(_) => assert!(seen.is_empty(), "{seen:?}"),
        Outcome::Unknown(_) => assert!([0, 100].contains(&seen.len()), "{seen:?}"),
        Outcome::Fenced => panic!("nobody else was there when it ended"),
    }
    drop(old);
    next.begin().expect("begins");
    send(&mut *next, "t", "next");
    assert_eq!(next.commit(), Outcome::Committed);
    assert_eq!(read_to_end(&mut *reader(&log, "t")).last().map(String::as_str), Some("next"));
}

#[test]
fn a_commit_that_no_broker_answers_is_unknown_and_the_writer_is_done() {
    let mut broker = Broker::start();
    let log = open(&broker.bootstrap(), &[("transaction.timeout.ms", "3000")]);
    create(&log, "t", 1);
    let mut writer = log.writer("w").expect("a writer");
    writer.begin().expect("begins");
    send(&mut *writer, "t", "lost");
    broker.kill();
    let outcome = writer.commit();
    assert!(matches!(outcome, Outcome::Unknown(_) | Outcome::Aborted(_)), "{outcome:?}");
    let error = writer.begin().expect_err("a new writer must settle it");
    assert_eq!((error.who, error.retry), (Who::External, Retry::Backoff), "{error}");
    broker.restart();
    let mut next = log.writer("w").expect("a new writer settles it");
    next.begin().expect("begins");
    send(&mut *next, "t", "kept");
    assert_eq!(next.commit(), Outcome::Committed);
    let seen = read_to_end(&mut *reader(&log, "t"));
    assert_eq!(seen.last().map(String::as_str), Some("kept"));
}

#[test]
fn an_unreachable_broker_is_told_with_address_and_setting() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("bound").to_string();
    drop(free);
    let properties = BTreeMap::from([(BOOTSTRAP_SERVERS.to_string(), address.clone())]);
    let error = KafkaLog::open(&properties).err().expect("nobody is there");
    assert_eq!((error.who, error.retry), (Who::External, Retry::Backoff));
    assert!(error.message.contains(&address), "{error}");
    assert!(error.message.contains("'properties.bootstrap.servers'"), "{error}");
}

#[test]
fn an_option_that_the_client_does_not_know_is_named() {
    let properties = BTreeMap::from([
        (BOOTSTRAP_SERVERS.to_string(), "127.0.0.1:1".to_string()),
        ("fetch.weight".to_string(), "9".to_string()),
    ]);
    let error = KafkaLog::open(&properties).err().expect("there is no such option");
    assert_eq!((error.who, error.retry), (Who::User, Retry::Never));
    assert!(error.message.contains("'properties.fetch.weight'"), "{error}");
}

#[test]
fn records_that_retention_took_are_told_with_their_position() {
    let broker = Broker::shared();
    let log = open(&broker.bootstrap(), &[]);
    create(&log, "short", 1);
    let mut writer = log.writer("short").expect("a writer");
    writer.begin().expect("begins");
    (0..10).for_each(|i| send(&mut *writer, "short", &format!("{i}")));
    assert_eq!(writer.commit(), Outcome::Committed);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let json = r#"{"partitions":[{"topic":"short","partition":0,"offset":5}],"version":1}"#;
    std::fs::write(file.path(), json).expect("written");
    let path = file.path().display().to_string();
    broker.tool("org.apache.kafka.tools.DeleteRecordsCommand", &["--offset-json-file", &path]);
    let mut reader = reader(&log, "short");
    let start = Instant::now();
    let error = loop {
        match reader.poll(Duration::from_millis(50)) {
            Ok(fetched) => assert!(fetched.is_none(), "record 0 is gone"),
            Err(error) => break error,
        }
        assert!(start.elapsed() < PATIENCE, "the reader never fails");
    };
    assert_eq!((error.who, error.retry), (Who::User, Retry::Never));
    assert!(error.message.contains("short-0@0") && error.message.contains("at 5"), "{error}");
}

#[test]
fn a_paused_partition_keeps_what_was_fetched() {
    let broker = Broker::shared();
    let log = open(&broker.bootstrap(), &[]);
    create(&log, "pauses", 2);
    let mut writer = log.writer("pauses").expect("a writer");
    writer.begin().expect("begins");
    for i in 0..20_000 {
        let value = format!("{i}");
        let record = Outgoing {
            topic: "pauses",
            partition: i % 2,
            value: Some(value.as_bytes()),
            ..Outgoing::default()
        };
        writer.send(&record).expect("taken");
    }
    assert_eq!(writer.commit(), Outcome::Committed);
    let part = |partition| Assignment { topic: "pauses".into(), partition, offset: 0 };
    let mut reader = log.reader(&[part(0), part(1)]).expect("a reader");
    let (start, mut next, mut polls) = (Instant::now(), [0_i64, 0], 0);
    while next.iter().any(|&n| n < 10_000) {
        assert!(start.elapsed() < PATIENCE, "{next:?} is all that came");
        // One partition is paused for some polls, then the other, then none.
        polls += 1;
        let turn = polls / 3 % 3;
        reader.pause(0, turn == 0);
        reader.pause(1, turn == 1);
        let Some(fetched) = reader.poll(Duration::from_millis(5)).expect("read") else { continue };
        assert!(turn == 2 || fetched.partition != turn, "a paused partition is silent");
        let mut records: Vec<Record<'_>> = Vec::new();
        fetched.batch.records(&mut records);
        for record in &records {
            assert_eq!(record.offset, next[fetched.partition], "no record twice or left out");
            next[fetched.partition] += 1;
        }
    }
}

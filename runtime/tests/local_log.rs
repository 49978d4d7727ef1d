//! The embedded log against the suite that every log must pass: in memory, on disk, on disk again
//! after it was closed, and by way of its owner's socket.

use std::sync::Arc;
use std::time::Duration;

use flow_ir::kernel::Record;
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

/// Records of the one partition of `c` from an offset to its end: key and value, by offset.
fn last_records(log: &LocalLog, reader: &mut dyn flow_runtime::connect::Reader) -> Vec<Seen> {
    let end = log.offsets("c", OffsetQuery::End).expect("answered")[0];
    let mut seen = Vec::new();
    while reader.position(0) < end {
        let Some(fetched) = reader.poll(Duration::ZERO).expect("read") else { continue };
        let mut records = Vec::new();
        fetched.batch.records(&mut records);
        let seen_of = |r: &Record<'_>| {
            let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).to_string());
            (r.offset, text(r.key).unwrap_or_default(), text(r.value))
        };
        seen.extend(records.iter().map(seen_of));
    }
    seen
}

type Seen = (i64, String, Option<String>);

/// What was seen last of each key, by offset.
fn last_of_each_key(seen: &[Seen]) -> Vec<Seen> {
    let by_key = |(offset, key, value): &Seen| (key.clone(), (*offset, value.clone()));
    let last: std::collections::BTreeMap<_, _> = seen.iter().map(by_key).collect();
    let mut last: Vec<Seen> = last.into_iter().map(|(k, (at, v))| (at, k, v)).collect();
    last.sort();
    last
}

/// A position in a compacted topic holds what stands before it was read, all that comes after not:
/// so its records come in the order of their offsets.
#[test]
fn records_of_a_compacted_topic_come_by_offset_old_and_new_ones() {
    // With short tails batches are taken apart all the time, with long ones never.
    for tail_bytes in [0, 100_000, u64::MAX] {
        records_come_by_offset(tail_bytes);
    }
}

fn records_come_by_offset(tail_bytes: u64) {
    let log = LocalLog::memory();
    log.limit_tails(tail_bytes);
    let topic = NewTopic { name: "c".into(), partitions: 1, compacted: true, config: vec![] };
    log.create_topic(&topic).expect("created");
    let mut writer = log.writer("w").expect("a writer");
    let mut model: Vec<Seen> = Vec::new();
    let mut write = |model: &mut Vec<Seen>, numbers: std::ops::Range<i64>| {
        writer.begin().expect("begins");
        let mut sent: Vec<Seen> = Vec::new();
        for n in numbers {
            // Keys come against their order, and again and again.
            let (key, value) = (format!("k{:04}", (7_919 * n) % 997), (n % 5 > 0).then_some(n));
            let value = value.map(|n| n.to_string());
            let record = Outgoing {
                topic: "c",
                key: Some(key.as_bytes()),
                value: value.as_deref().map(str::as_bytes),
                ..Outgoing::default()
            };
            writer.send(&record).expect("taken");
            sent.push((n, key, value));
        }
        assert_eq!(writer.commit(), Outcome::Committed);
        model.retain(|(_, old, _)| sent.iter().all(|(_, key, _)| key != old));
        let later = |i: usize| sent[i + 1..].iter().all(|(_, key, _)| *key != sent[i].1);
        model.extend((0..sent.len()).filter(|&i| later(i)).map(|i| sent[i].clone()));
    };
    let reader = |offset| {
        log.reader(&[Assignment { topic: "c".into(), partition: 0, offset }]).expect("a reader")
    };
    write(&mut model, 0..700);
    write(&mut model, 700..9_000);
    let mut follows = reader(0);
    let mut read = last_records(&log, &mut *follows);
    assert_eq!(last_of_each_key(&read), model);
    for from in [1, 8_004, 8_503, 8_999] {
        let expected: Vec<Seen> = model.iter().filter(|r| r.0 >= from).cloned().collect();
        let read = last_records(&log, &mut *reader(from));
        assert!(read.is_sorted_by(|a, b| a.0 < b.0), "each offset once, in order");
        assert_eq!(last_of_each_key(&read), expected, "from {from}");
    }
    // What is written while it follows, superseded records as well as last ones.
    for step in 0..40 {
        write(&mut model, 9_000 + step * 300..9_300 + step * 300);
        if step % 3 > 0 {
            read.extend(last_records(&log, &mut *follows));
        }
    }
    read.extend(last_records(&log, &mut *follows));
    assert!(read.is_sorted_by(|a, b| a.0 < b.0), "each offset once, in order");
    assert_eq!(last_of_each_key(&read), model);
    let by_key = Assignment { topic: "c".into(), partition: 0, offset: 0 };
    let found = last_records(&log, &mut *log.reader_of_last(&[by_key]).expect("a reader"));
    assert_eq!(last_of_each_key(&found), model);
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

#[test]
fn a_deleted_topic_takes_all_that_is_its_own_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = LocalLog::open(folder.path()).expect("it opens");
    let create = |log: &LocalLog, partitions| {
        let topic = NewTopic { name: "t".into(), partitions, compacted: true, config: Vec::new() };
        log.create_topic(&topic).expect("made")
    };
    let at = || Assignment { topic: "t".into(), partition: 1, offset: 0 };
    let record = Outgoing { topic: "t", partition: 1, key: Some(b"k"), ..Outgoing::default() };
    create(&log, 2);
    let mut writer = log.writer("w").expect("made");
    writer.begin().expect("begun");
    writer.send(&record).expect("taken");
    writer.send_offsets("g", &[at()]).expect("taken");
    assert_eq!(writer.commit(), Outcome::Committed);
    let mut reader = log.reader(&[at()]).expect("made");
    writer.begin().expect("begun");
    writer.send(&record).expect("taken");
    log.delete_topics(&["t"]).expect("deleted");
    // Whoever is about to read or write it is told, also when its name is given to another.
    for partitions in [0, 1, 2] {
        if partitions > 0 {
            create(&log, partitions);
        }
        let failed = reader.poll(Duration::ZERO).err().expect("it is gone").to_string();
        assert!(failed.contains("topic t") && failed.contains("was deleted"), "{failed}");
        if partitions > 0 {
            log.delete_topics(&["t"]).expect("deleted");
        }
    }
    let Outcome::Aborted(why) = writer.commit() else { panic!("it is gone") };
    assert!(why.to_string().contains("was deleted"), "{why}");
    drop((reader, writer, log));
    let log = LocalLog::open(folder.path()).expect("it opens again");
    assert_eq!(log.topics().expect("listed"), []);
    create(&log, 2);
    assert_eq!(log.offsets("t", OffsetQuery::End).expect("asked"), [0, 0]);
    assert_eq!(log.group_offsets("g", "t").expect("asked"), [None, None]);
    let mut reader = log.reader(&[at()]).expect("made");
    assert!(reader.poll(Duration::ZERO).expect("read").is_none());
}

/// Files of large batches in the folder of a log.
fn files(dir: &std::path::Path) -> usize {
    std::fs::read_dir(dir.join("segments")).expect("a folder").count()
}

#[test]
fn large_batches_lie_in_files_that_go_with_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut log = LocalLog::open(dir.path()).expect("opens");
    for (name, compacted) in [("long", false), ("c", true)] {
        let topic = NewTopic { name: name.into(), partitions: 1, compacted, config: vec![] };
        log.create_topic(&topic).expect("created");
    }
    let value = vec![b'v'; 40 << 10];
    for round in 0u8..12 {
        if round % 4 == 0 {
            drop(log);
            log = LocalLog::open(dir.path()).expect("opens again");
            log.limit_tails(100 << 10);
        }
        let mut writer = log.writer("w").expect("a writer");
        writer.begin().expect("begins");
        for topic in ["long", "c"] {
            let key = [round % 3];
            let (key, value) = (Some(&key[..]), Some(&value[..]));
            writer.send(&Outgoing { topic, key, value, ..Outgoing::default() }).expect("taken");
        }
        assert_eq!(writer.commit(), Outcome::Committed);
    }
    let start = |topic: &str| Assignment { topic: topic.into(), partition: 0, offset: 0 };
    let mut reader = log.reader(&[start("long")]).expect("a reader");
    let mut read = 0;
    while let Some(fetched) = reader.poll(Duration::ZERO).expect("read") {
        let mut records: Vec<Record<'_>> = Vec::new();
        fetched.batch.records(&mut records);
        assert!(records.iter().all(|record| record.value == Some(&value)));
        read += records.len();
    }
    assert_eq!(read, 12, "of a topic that keeps all");
    drop(reader);
    let mut reader = log.reader_of_last(&[start("c")]).expect("a reader");
    assert!(last_records(&log, &mut *reader).len() >= 3, "of each key the last");
    drop(reader);
    assert!(files(dir.path()) <= 6, "one of each kind a start, and none that is not needed");
    let kept = files(dir.path());
    log.delete_topics(&["long", "c"]).expect("deleted");
    assert!(files(dir.path()) < kept);
    drop(log);
    LocalLog::open(dir.path()).expect("opens again");
    assert_eq!(files(dir.path()), 0, "nothing names them");
}

/// Whatever was cleaned, and when: the last records of the keys are there, those of deleted keys do
/// not come back when their marks go, and what was replaced goes.
#[test]
fn a_cleaned_topic_holds_the_last_record_of_each_key() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut log = LocalLog::open(dir.path()).expect("opens");
    let topic = NewTopic { name: "c".into(), partitions: 1, compacted: true, config: vec![] };
    log.create_topic(&topic).expect("created");
    let mut model = std::collections::BTreeMap::new();
    // Numbers that look random and are the same each time.
    let mut state = 7u64;
    let mut random = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for step in 0..120u64 {
        if step % 40 == 0 {
            drop(log);
            log = LocalLog::open(dir.path()).expect("opens again");
            log.limit_tails(60 << 10);
        }
        let mut writer = log.writer("w").expect("a writer");
        for _ in 0..5 {
            writer.begin().expect("begins");
            // Keys that change, keys that stay, and a few that come and go.
            for _ in 0..random(40) + 1 {
                let number = if random(2) == 0 { random(30) } else { 100 + step * 10 + random(10) };
                let key = format!("k{number:05}");
                let value = (random(5) > 0).then(|| "v".repeat(random(900) as usize + 1));
                writer
                    .send(&Outgoing {
                        topic: "c",
                        key: Some(key.as_bytes()),
                        value: value.as_deref().map(str::as_bytes),
                        // Half of the marks are old enough to go with the next pass.
                        timestamp: (random(2) == 0).then_some(0),
                        ..Outgoing::default()
                    })
                    .expect("taken");
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
            assert_eq!(writer.commit(), Outcome::Committed);
        }
        if step % 6 == 0 {
            let start = || Assignment { topic: "c".into(), partition: 0, offset: 0 };
            let readers = [log.reader(&[start()]), log.reader_of_last(&[start()])];
            for reader in readers {
                let mut reader = reader.expect("a reader");
                let seen = last_records(&log, &mut *reader);
                let last = last_of_each_key(&seen).into_iter();
                let found: std::collections::BTreeMap<_, _> =
                    last.filter_map(|(_, key, value)| Some((key, value?))).collect();
                assert!(found == model, "after step {step}");
                let most = 4 * model.len() + 1_000;
                assert!(seen.len() < most, "{} records of {} keys", seen.len(), model.len());
            }
        }
    }
}

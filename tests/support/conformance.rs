//! What every log must do, whatever it is made of: topics, transactions, fencing, committed reads.
//! Run over the embedded log, on disk and in memory, and over a real Kafka broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_ir::kernel::Record;
use flow_runtime::connect::{
    Assignment, Log, NewTopic, OffsetQuery, Outcome, Outgoing, Reader, Writer,
};

/// How long a log may take to show what is committed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every check, by name, over one log. Topics and ids carry `tag`, so that runs do not meet.
pub(crate) fn run(log: &Arc<dyn Log>, tag: &str) {
    let suite = Suite { log: log.clone(), tag: tag.to_string() };
    suite.topics_are_created_once();
    suite.a_commit_shows_all_its_records_in_order();
    suite.an_abort_shows_nothing();
    suite.an_open_transaction_shows_nothing();
    suite.keys_headers_timestamps_and_tombstones_come_back();
    suite.an_earlier_writer_is_fenced();
    suite.an_open_transaction_is_settled_by_the_next_writer();
    suite.offsets_are_found_by_end_and_time();
    suite.a_group_s_offsets_are_committed_with_the_records();
    suite.reading_starts_anywhere_and_stops_at_the_end();
    suite.compacted_topics_keep_the_last_record_of_a_key();
    suite.a_paused_partition_is_not_read();
    suite.a_topic_gets_more_partitions();
    suite.a_reader_takes_more_partitions();
    suite.a_missing_topic_is_named();
    suite.a_deleted_topic_is_gone_and_one_of_its_name_is_another();
}

struct Suite {
    log: Arc<dyn Log>,
    tag: String,
}

type Copied = (Option<Vec<u8>>, Option<Vec<u8>>, i64);

impl Suite {
    fn topic(&self, name: &str, partitions: u32, compacted: bool) -> String {
        let name = format!("{name}-{}", self.tag);
        let topic = NewTopic { name: name.clone(), partitions, compacted, config: Vec::new() };
        let made = self.log.create_topic(&topic).expect("the topic is created");
        assert_eq!((made.name.as_str(), made.partitions), (name.as_str(), partitions));
        name
    }

    fn writer(&self, id: &str) -> Box<dyn Writer> {
        self.log.writer(&format!("{id}-{}", self.tag)).expect("a writer is made")
    }

    fn send(&self, writer: &mut dyn Writer, topic: &str, partition: u32, values: &[&str]) {
        for value in values {
            let record =
                Outgoing { topic, partition, value: Some(value.as_bytes()), ..Outgoing::default() };
            writer.send(&record).expect("the record is taken");
        }
    }

    fn commit(&self, writer: &mut dyn Writer, topic: &str, values: &[&str]) {
        writer.begin().expect("a transaction begins");
        self.send(writer, topic, 0, values);
        assert_eq!(writer.commit(), Outcome::Committed);
    }

    fn reader(&self, topic: &str, partition: u32, offset: i64) -> Box<dyn Reader> {
        let assignment = Assignment { topic: topic.into(), partition, offset };
        self.log.reader(&[assignment]).expect("a reader is made")
    }

    /// Reads until the reader is at the end.
    fn drain(&self, reader: &mut dyn Reader) -> Vec<Copied> {
        let (start, mut all) = (Instant::now(), Vec::new());
        loop {
            if let Some(fetched) = reader.poll(Duration::from_millis(50)).expect("it can be read") {
                let mut records: Vec<Record<'_>> = Vec::new();
                fetched.batch.records(&mut records);
                let own = |b: Option<&[u8]>| b.map(<[u8]>::to_vec);
                all.extend(records.iter().map(|r| (own(r.key), own(r.value), r.offset)));
            } else if reader.at_end(0) {
                return all;
            }
            assert!(start.elapsed() < PATIENCE, "the reader never reaches the end");
        }
    }

    fn values(&self, topic: &str, partition: u32) -> Vec<String> {
        let records = self.drain(&mut *self.reader(topic, partition, 0));
        let text = |v: Option<Vec<u8>>| String::from_utf8(v.unwrap_or_default()).expect("text");
        records.into_iter().map(|(_, value, _)| text(value)).collect()
    }

    fn topics_are_created_once(&self) {
        let name = self.topic("made", 3, false);
        let first = self.log.topic(&name).expect("asked").expect("it is there");
        let again =
            NewTopic { name: name.clone(), partitions: 5, compacted: false, config: vec![] };
        assert_eq!(self.log.create_topic(&again).expect("asked").partitions, 3);
        assert!(self.log.topics().expect("listed").contains(&first));
        assert_eq!(self.log.topic(&format!("absent-{}", self.tag)).expect("asked"), None);
    }

    fn a_commit_shows_all_its_records_in_order(&self) {
        let topic = self.topic("order", 2, false);
        let mut writer = self.writer("order");
        writer.begin().expect("begins");
        self.send(&mut *writer, &topic, 0, &["a", "b"]);
        self.send(&mut *writer, &topic, 1, &["x"]);
        self.send(&mut *writer, &topic, 0, &["c"]);
        assert_eq!(writer.commit(), Outcome::Committed);
        self.commit(&mut *writer, &topic, &["d"]);
        assert_eq!(self.values(&topic, 0), ["a", "b", "c", "d"]);
        assert_eq!(self.values(&topic, 1), ["x"]);
        let until = writer.written_until(&topic, 0).expect("it wrote there");
        let offsets: Vec<i64> =
            self.drain(&mut *self.reader(&topic, 0, 0)).iter().map(|r| r.2).collect();
        assert_eq!(offsets.last().copied(), Some(until - 1));
        assert!(offsets.is_sorted());
    }

    fn an_abort_shows_nothing(&self) {
        let topic = self.topic("abort", 1, false);
        let mut writer = self.writer("abort");
        writer.begin().expect("begins");
        self.send(&mut *writer, &topic, 0, &["gone"]);
        writer.abort().expect("the abort is clear");
        self.commit(&mut *writer, &topic, &["kept"]);
        assert_eq!(self.values(&topic, 0), ["kept"]);
    }

    fn an_open_transaction_shows_nothing(&self) {
        let topic = self.topic("open", 1, false);
        let mut writer = self.writer("open");
        self.commit(&mut *writer, &topic, &["before"]);
        writer.begin().expect("begins");
        self.send(&mut *writer, &topic, 0, &["hidden"]);
        let mut reader = self.reader(&topic, 0, 0);
        let first = loop {
            if let Some(fetched) = reader.poll(Duration::from_millis(50)).expect("read") {
                break fetched;
            }
        };
        assert_eq!(first.batch.len(), 1);
        assert!(reader.poll(Duration::ZERO).expect("read").is_none());
        assert_eq!(writer.commit(), Outcome::Committed);
        assert_eq!(self.values(&topic, 0), ["before", "hidden"]);
    }

    fn keys_headers_timestamps_and_tombstones_come_back(&self) {
        let topic = self.topic("parts", 1, false);
        let mut headers = Vec::new();
        flow_ir::kernel::Headers::push("epoch", Some(b"7"), &mut headers);
        flow_ir::kernel::Headers::push("none", None, &mut headers);
        let record = Outgoing {
            topic: &topic,
            partition: 0,
            key: Some(b"k"),
            value: None,
            timestamp: Some(1_700_000_000_123),
            headers: flow_ir::kernel::Headers(&headers),
        };
        let mut writer = self.writer("parts");
        writer.begin().expect("begins");
        writer.send(&record).expect("taken");
        assert_eq!(writer.commit(), Outcome::Committed);
        let mut reader = self.reader(&topic, 0, 0);
        let start = Instant::now();
        let fetched = loop {
            if let Some(fetched) = reader.poll(Duration::from_millis(50)).expect("read") {
                break fetched;
            }
            assert!(start.elapsed() < PATIENCE, "the record never comes");
        };
        let mut records = Vec::new();
        fetched.batch.records(&mut records);
        let [got] = records[..] else { panic!("one record, not {}", records.len()) };
        assert_eq!((got.key, got.value, got.offset), (Some(&b"k"[..]), None, 0));
        assert_eq!(got.timestamp, Some(1_700_000_000_123_000));
        let names: Vec<_> = got.headers.collect();
        assert_eq!(names, [("epoch", Some(&b"7"[..])), ("none", None)]);
    }

    fn an_earlier_writer_is_fenced(&self) {
        let topic = self.topic("fence", 1, false);
        let mut first = self.writer("fence");
        self.commit(&mut *first, &topic, &["one"]);
        first.begin().expect("begins");
        self.send(&mut *first, &topic, 0, &["lost"]);
        let mut second = self.writer("fence");
        assert_eq!(first.commit(), Outcome::Fenced);
        self.commit(&mut *second, &topic, &["two"]);
        assert!(first.is_fenced() && !second.is_fenced());
        assert_eq!(self.values(&topic, 0), ["one", "two"]);
    }

    fn an_open_transaction_is_settled_by_the_next_writer(&self) {
        let topic = self.topic("settle", 1, false);
        let mut first = self.writer("settle");
        first.begin().expect("begins");
        self.send(&mut *first, &topic, 0, &["lost"]);
        drop(first);
        let mut second = self.writer("settle");
        self.commit(&mut *second, &topic, &["kept"]);
        assert_eq!(self.values(&topic, 0), ["kept"]);
    }

    fn offsets_are_found_by_end_and_time(&self) {
        let topic = self.topic("offsets", 1, false);
        let mut writer = self.writer("offsets");
        writer.begin().expect("begins");
        for at in [1_000_i64, 2_000, 3_000] {
            let record = Outgoing {
                topic: &topic,
                value: Some(b"v"),
                timestamp: Some(at),
                ..Outgoing::default()
            };
            writer.send(&record).expect("taken");
        }
        assert_eq!(writer.commit(), Outcome::Committed);
        let ask = |query| self.log.offsets(&topic, query).expect("answered");
        assert_eq!(ask(OffsetQuery::Earliest), [0]);
        assert_eq!(ask(OffsetQuery::Timestamp(1_500)), [1]);
        assert_eq!(ask(OffsetQuery::Timestamp(3_000)), [2]);
        assert!(ask(OffsetQuery::End)[0] >= 3, "markers may follow the records");
        assert!(ask(OffsetQuery::Timestamp(9_000))[0] >= 3);
    }

    fn a_group_s_offsets_are_committed_with_the_records(&self) {
        let topic = self.topic("groups", 2, false);
        let group = format!("group-{}", self.tag);
        let offsets = || self.log.group_offsets(&group, &topic).expect("answered");
        assert_eq!(offsets(), [None, None]);
        let mut writer = self.writer("groups");
        for (offset, commits) in [(7, true), (9, false)] {
            writer.begin().expect("begins");
            self.send(&mut *writer, &topic, 0, &["v"]);
            let at = Assignment { topic: topic.clone(), partition: 1, offset };
            writer.send_offsets(&group, &[at]).expect("taken");
            match commits {
                true => assert_eq!(writer.commit(), Outcome::Committed),
                false => writer.abort().expect("given up"),
            }
        }
        assert_eq!(offsets(), [None, Some(7)]);
    }

    fn reading_starts_anywhere_and_stops_at_the_end(&self) {
        let topic = self.topic("seek", 1, false);
        let mut writer = self.writer("seek");
        self.commit(&mut *writer, &topic, &["a", "b", "c", "d"]);
        let mut reader = self.reader(&topic, 0, 2);
        let got = self.drain(&mut *reader);
        assert_eq!(got.iter().map(|r| r.2).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(reader.lag(0), 0);
        let end = self.log.offsets(&topic, OffsetQuery::End).expect("answered")[0];
        assert_eq!(reader.position(0), end, "the position passes markers");
    }

    fn compacted_topics_keep_the_last_record_of_a_key(&self) {
        let topic = self.topic("compact", 1, true);
        let mut writer = self.writer("compact");
        for (key, value) in [("a", Some("1")), ("b", Some("2")), ("a", Some("3")), ("b", None)] {
            writer.begin().expect("begins");
            let record = Outgoing {
                topic: &topic,
                key: Some(key.as_bytes()),
                value: value.map(str::as_bytes),
                ..Outgoing::default()
            };
            writer.send(&record).expect("taken");
            assert_eq!(writer.commit(), Outcome::Committed);
        }
        // A broker may compact later: what counts is the last record of each key.
        let mut last = std::collections::BTreeMap::new();
        for (key, value, _) in self.drain(&mut *self.reader(&topic, 0, 0)) {
            last.insert(key, value);
        }
        last.retain(|_, value| value.is_some());
        let expected = (Some(b"a".to_vec()), Some(b"3".to_vec()));
        assert_eq!(last.into_iter().collect::<Vec<_>>(), [expected]);
    }

    fn a_paused_partition_is_not_read(&self) {
        let topic = self.topic("pause", 2, false);
        let mut writer = self.writer("pause");
        writer.begin().expect("begins");
        self.send(&mut *writer, &topic, 0, &["a"]);
        self.send(&mut *writer, &topic, 1, &["b"]);
        assert_eq!(writer.commit(), Outcome::Committed);
        let part = |partition| Assignment { topic: topic.clone(), partition, offset: 0 };
        let mut reader = self.log.reader(&[part(0), part(1)]).expect("a reader is made");
        reader.pause(0, true);
        let mut next = || {
            let start = Instant::now();
            loop {
                if let Some(fetched) = reader.poll(Duration::from_millis(50)).expect("read") {
                    return (fetched.partition, reader.pause(0, false));
                }
                assert!(start.elapsed() < PATIENCE, "nothing comes");
            }
        };
        assert_eq!(next().0, 1);
        assert_eq!(next().0, 0);
    }

    fn a_topic_gets_more_partitions(&self) {
        let topic = self.topic("grow", 1, false);
        self.commit(&mut *self.writer("grow"), &topic, &["a"]);
        let before = self.log.topic(&topic).expect("asked").expect("it is there");
        let grown = self.log.add_partitions(&topic, 3).expect("it grows");
        assert_eq!((&grown.id, grown.partitions), (&before.id, 3));
        assert_eq!(self.log.topic(&topic).expect("asked"), Some(grown.clone()));
        assert_eq!(self.log.add_partitions(&topic, 3).expect("it has them"), grown);
        let error = self.log.add_partitions(&topic, 2).expect_err("none is taken away");
        assert!(error.to_string().contains("has 3 partitions"), "{error}");
        let mut writer = self.writer("grow");
        writer.begin().expect("begins");
        self.send(&mut *writer, &topic, 2, &["z"]);
        assert_eq!(writer.commit(), Outcome::Committed);
        assert_eq!(self.values(&topic, 0), ["a"]);
        assert_eq!(self.values(&topic, 2), ["z"]);
    }

    fn a_reader_takes_more_partitions(&self) {
        let [topic, other] = ["take", "take-other"].map(|name| self.topic(name, 1, false));
        self.commit(&mut *self.writer("take"), &topic, &["a", "b"]);
        let mut reader = self.reader(&topic, 0, 0);
        assert_eq!(self.drain(&mut *reader).len(), 2);
        let position = reader.position(0);
        self.log.add_partitions(&topic, 3).expect("it grows");
        let mut writer = self.writer("take");
        writer.begin().expect("begins");
        for (topic, partition, values) in
            [(&topic, 0, &["c"][..]), (&topic, 1, &["x", "y"]), (&other, 0, &["o"])]
        {
            self.send(&mut *writer, topic, partition, values);
        }
        assert_eq!(writer.commit(), Outcome::Committed);
        let at = |topic: &String, partition, offset| Assignment {
            topic: topic.clone(),
            partition,
            offset,
        };
        // The new partition that is empty is read beside the others, one of them from its middle.
        let more = [at(&topic, 1, 1), at(&topic, 2, 0), at(&other, 0, 0)];
        reader.add(&more).expect("it reads them too");
        assert!(reader.position(0) >= position, "what it had stays where it was");
        let (start, mut came) = (Instant::now(), Vec::new());
        while came.len() < 3 || !(0..4).all(|p| reader.at_end(p)) {
            assert!(start.elapsed() < PATIENCE, "only {came:?} comes");
            let polled = reader.poll(Duration::from_millis(50)).expect("it can be read");
            let Some(fetched) = polled else { continue };
            let mut records: Vec<Record<'_>> = Vec::new();
            fetched.batch.records(&mut records);
            let text =
                |r: &Record<'_>| String::from_utf8_lossy(r.value.unwrap_or(b"")).into_owned();
            came.extend(records.iter().map(|r| (fetched.partition, text(r))));
        }
        came.sort();
        let expected = [(0, "c"), (1, "y"), (3, "o")];
        assert_eq!(came, expected.map(|(partition, value)| (partition, value.to_string())));
        assert_eq!(reader.position(2), 0);
    }

    fn a_missing_topic_is_named(&self) {
        let name = format!("absent-{}", self.tag);
        let assignment = Assignment { topic: name.clone(), partition: 0, offset: 0 };
        let error = self.log.reader(&[assignment]).err().expect("there is nothing to read");
        assert!(error.to_string().contains(&name), "{error}");
        let error = self.log.group_offsets("g", &name).expect_err("no such topic");
        assert!(error.to_string().contains(&name), "{error}");
        let error = self.log.offsets(&name, OffsetQuery::End).expect_err("no such topic");
        assert!(error.to_string().contains(&name), "{error}");
        let error = self.log.add_partitions(&name, 2).expect_err("no such topic");
        assert!(error.to_string().contains(&name), "{error}");
    }

    fn a_deleted_topic_is_gone_and_one_of_its_name_is_another(&self) {
        for compacted in [false, true] {
            let kept = self.topic(&format!("kept-{compacted}"), 1, compacted);
            let topic = self.topic(&format!("deleted-{compacted}"), 2, compacted);
            let mut writer = self.writer("deleted");
            for to in [&kept, &topic] {
                writer.begin().expect("begins");
                let (key, value) = (Some(&b"k"[..]), Some(&b"v"[..]));
                let record = Outgoing { topic: to, key, value, ..Outgoing::default() };
                writer.send(&record).expect("taken");
                assert_eq!(writer.commit(), Outcome::Committed);
            }
            let before = self.log.topic(&topic).expect("asked").expect("it is there");
            let absent = format!("absent-{}", self.tag);
            for _ in 0..2 {
                self.log.delete_topics(&[&topic, &absent]).expect("it is deleted");
                assert_eq!(self.log.topic(&topic).expect("asked"), None);
            }
            assert_eq!(self.values(&kept, 0), ["v"]);
            let again = self.topic(&format!("deleted-{compacted}"), 3, compacted);
            let made = self.log.topic(&again).expect("asked").expect("it is there");
            assert_ne!(made.id, before.id);
            assert_eq!(self.log.offsets(&again, OffsetQuery::End).expect("asked"), [0; 3]);
            assert!(self.values(&again, 0).is_empty());
        }
    }
}

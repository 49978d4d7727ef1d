//! Topics, offsets and commits of the embedded log.
//!
//! Keys of the store, all numbers big-endian, so that they order as the numbers do:
//!
//! ```text
//!  n                             number of the next topic: none is given twice
//!  t NAME                        topic: number, partitions, identity, compacted (JSON)
//!  d TOPIC PARTITION OFFSET      a batch of records; OFFSET of its first. A large one lies in a
//!                                file, and here stands where (`kv`, `segments`)
//!  m TOPIC PARTITION             compacted topic: where its tail begins, and how much of it there
//!                                is (`Tail`)
//!  c TOPIC PARTITION KEY         compacted topic: the last record of KEY before the tail, offset
//!                                in front
//!  x TOPIC PARTITION OFFSET      compacted topic: time and KEY of the tombstone at OFFSET
//!  e TOPIC PARTITION             offset after the last record
//!  w ID                          generation of a transactional id
//!  g GROUP 0 TOPIC 0 PARTITION   offset that tools show for a group
//! ```
//!
//! What little is written to a compacted topic at first is kept by its key. As soon as a
//! transaction brings more, the topic has a tail: batches as in any topic, which are cleaned
//! (`clean`).

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::batch::Walk;
use super::kv::{Changes, Kv};
use super::reader::{LocalReader, Order};
use super::recent::Recent;
use super::tail::Tail;
use super::writer::LocalWriter;
use crate::connect::{
    Assignment, DELETED_HELP, Log, NewTopic, OffsetQuery, Reader, TopicInfo, Writer,
    fewer_partitions,
};
use crate::error::{Result, RuntimeError};

/// Under what the number of the next topic is kept.
const NEXT_NUMBER: &[u8] = b"n";

/// The kinds of entries that belong to one topic.
const TOPIC_KINDS: [u8; 5] = [b'd', b'm', b'c', b'x', b'e'];

/// Tails of compacted topics are cleaned when more than this has come, bytes.
const TAIL_BYTES: u64 = 64 << 20;

/// Partitions of a topic at most.
const PARTITIONS_MAX: u32 = 1_024;

/// The log; clones share it.
#[derive(Clone)]
pub struct LocalLog {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) kv: Kv,
    /// Where it lies, for messages.
    place: String,
    pub(super) state: Mutex<State>,
    /// Told of every change of `state`.
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    topics: HashMap<String, Topic>,
    generations: HashMap<String, u64>,
    next_number: u32,
    /// Test hook: commits leave their markers out until they are released.
    hold_markers: bool,
    /// A partition of a compacted topic is cleaned when more has come, bytes.
    pub(super) tail_bytes: u64,
    /// Identity of the log.
    cluster: String,
}

/// A topic and where its partitions end.
#[derive(Clone)]
pub(super) struct Topic {
    pub(super) meta: TopicMeta,
    /// One past the last record, a partition.
    pub(super) ends: Vec<i64>,
    /// Up to where readers may go, a partition: less than the end while a marker is held.
    pub(super) stable: Vec<i64>,
    /// Of a compacted topic, a partition.
    pub(super) tails: Vec<Tail>,
    /// Of a compacted topic with readers: what was last written, a partition.
    pub(super) recent: Vec<Recent>,
    /// Readers that follow it, of a compacted topic.
    readers: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TopicMeta {
    pub(super) number: u32,
    partitions: u32,
    id: String,
    pub(super) compacted: bool,
}

impl LocalLog {
    /// A log in memory, gone with the process.
    pub fn memory() -> Self {
        Self::with(Kv::memory(), "memory".into()).expect("an empty tree can be read")
    }

    /// The log in a folder, made when missing.
    ///
    /// # Errors
    /// If the folder cannot be written or another process has it open.
    pub fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| {
            RuntimeError::user(format!("cannot make the folder {}: {e}", dir.display()))
        })?;
        Self::with(Kv::open(dir)?, dir.display().to_string())
    }

    fn with(kv: Kv, place: String) -> Result<Self> {
        let state = State::load(&kv)?;
        let shared = Shared { kv, place, state: Mutex::new(state), changed: Condvar::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Test hook: from now on commits are answered before readers can see them; `release_marker`
    /// lets a partition's readers go on.
    pub fn hold_markers(&self, hold: bool) {
        self.shared.lock().hold_markers = hold;
    }

    /// Test hook: lets the readers of a partition see everything that is committed.
    pub fn release_marker(&self, topic: &str, partition: u32) {
        let mut state = self.shared.lock();
        if let Some(topic) = state.topics.get_mut(topic) {
            let partition = partition as usize;
            topic.stable[partition] = topic.ends[partition];
        }
        self.shared.changed.notify_all();
    }

    /// Test hook: the partitions whose readers are held back.
    pub fn held_markers(&self) -> Vec<(String, u32)> {
        let state = self.shared.lock();
        let held = |(name, topic): (&String, &Topic)| {
            let partitions = 0..topic.ends.len();
            let held = partitions.filter(|&p| topic.stable[p] < topic.ends[p]);
            held.map(|p| (name.clone(), p as u32)).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = state.topics.iter().flat_map(held).collect();
        all.sort();
        all
    }

    /// Test hook: tails of compacted topics are cleaned when more has come, bytes.
    pub fn limit_tails(&self, bytes: u64) {
        self.shared.lock().tail_bytes = bytes;
    }

    /// The offset that a group has committed for a partition.
    fn group_offset(&self, group: &str, topic: &str, partition: u32) -> Result<Option<i64>> {
        let value = self.shared.kv.get(&group_key(group, topic, partition))?;
        Ok(value.and_then(|v| v.try_into().ok()).map(i64::from_be_bytes))
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Waits until something changed, at most `wait`.
    pub(super) fn wait_for_change(&self, wait: Duration, changed: impl Fn(&State) -> bool) {
        let state = self.lock();
        let _ = self.changed.wait_timeout_while(state, wait, |state| !changed(state));
    }

    /// A topic that was there when it was first asked for.
    pub(super) fn gone(&self, topic: &str) -> RuntimeError {
        RuntimeError::user(format!(
            "topic {topic} in the embedded log ({}) was deleted while it was in use",
            self.place
        ))
        .with_help(DELETED_HELP)
    }

    pub(super) fn missing(&self, topic: &str) -> RuntimeError {
        RuntimeError::user(format!(
            "there is no topic {topic} in the embedded log ({})",
            self.place
        ))
        .with_help("Create it with `flow topic create`, or check the option 'topic'.")
    }
}

impl State {
    fn load(kv: &Kv) -> Result<Self> {
        let mut state = State { tail_bytes: TAIL_BYTES, ..State::default() };
        let mut broken = None;
        kv.scan(b"t", b"t", |key, value| {
            let name = String::from_utf8_lossy(&key[1..]).into_owned();
            match serde_json::from_slice::<TopicMeta>(value) {
                Ok(meta) => {
                    let ends = vec![0; meta.partitions as usize];
                    state.topics.insert(name, Topic::new(meta, ends));
                }
                Err(e) => broken = Some(format!("topic {name}: {e}")),
            }
            true
        })?;
        if let Some(why) = broken {
            return Err(RuntimeError::user(format!("the embedded log is damaged: {why}")));
        }
        let next = kv.get(NEXT_NUMBER)?.and_then(|v| v.try_into().ok()).map(u32::from_be_bytes);
        let after = state.topics.values().map(|t| t.meta.number + 1).max();
        state.next_number = next.max(after).unwrap_or(0);
        for topic in state.topics.values_mut() {
            for (partition, end) in topic.ends.iter_mut().enumerate() {
                let stored = kv.get(&end_key(topic.meta.number, partition as u32))?;
                *end = stored.and_then(|v| v.try_into().ok()).map_or(0, i64::from_be_bytes);
            }
            topic.stable.clone_from(&topic.ends);
            for (partition, tail) in topic.tails.iter_mut().enumerate() {
                let stored = kv.get(&tail_key(topic.meta.number, partition as u32))?;
                let empty = Tail::empty(topic.ends[partition]);
                *tail = stored.and_then(|v| Tail::read(&v)).unwrap_or(empty);
            }
        }
        kv.scan(b"w", b"w", |key, value| {
            let generation = value.try_into().map_or(0, u64::from_be_bytes);
            state.generations.insert(String::from_utf8_lossy(&key[1..]).into_owned(), generation);
            true
        })?;
        state.cluster = match kv.get(b"i")? {
            Some(id) => String::from_utf8_lossy(&id).into_owned(),
            None => {
                let id = format!("local-{}", uuid::Uuid::new_v4().simple());
                kv.write(Changes::one(b"i", id.as_bytes()))?;
                id
            }
        };
        Ok(state)
    }

    pub(super) fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// Whether there is a topic of this number.
    pub(super) fn has_topic(&self, number: u32) -> bool {
        self.topics.values().any(|topic| topic.meta.number == number)
    }

    /// Whether the writer of this generation is the last that was made.
    pub(super) fn is_current(&self, id: &str, generation: u64) -> bool {
        self.generations.get(id) == Some(&generation)
    }

    /// A reader of a compacted topic begins or ends: what is written is kept for it meanwhile.
    pub(super) fn follow(&mut self, name: &str, number: u32, begins: bool) {
        let topic = self.topics.get_mut(name).filter(|topic| topic.meta.number == number);
        let Some(topic) = topic else { return };
        match begins {
            true => topic.readers += 1,
            false => topic.readers = topic.readers.saturating_sub(1),
        }
        if topic.readers == 0 {
            topic.recent.clear();
        } else {
            topic.recent.resize_with(topic.ends.len(), Recent::default);
        }
    }

    /// Keeps a batch of a compacted topic for its readers.
    pub(super) fn keep_recent(
        &mut self,
        topic: &str,
        partition: u32,
        base: i64,
        batch: Arc<Vec<u8>>,
    ) {
        let topic = self.topics.get_mut(topic);
        if let Some(recent) = topic.and_then(|topic| topic.recent.get_mut(partition as usize)) {
            recent.push(base, batch);
        }
    }

    /// Notes the new end of a partition after a commit, and its tail.
    pub(super) fn advance(&mut self, topic: &str, partition: u32, end: i64, tail: Tail) {
        let hold = self.hold_markers;
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.ends[partition as usize] = end;
            topic.tails[partition as usize] = tail;
            if !hold {
                topic.stable[partition as usize] = end;
            }
        }
    }
}

impl Topic {
    fn new(meta: TopicMeta, ends: Vec<i64>) -> Self {
        let (stable, tails) = (ends.clone(), vec![Tail::default(); ends.len()]);
        Self { meta, stable, tails, ends, recent: Vec::new(), readers: 0 }
    }

    /// Takes on more partitions, empty ones.
    fn grow(&mut self, meta: TopicMeta) {
        let partitions = meta.partitions as usize;
        self.meta = meta;
        self.ends.resize(partitions, 0);
        self.stable.resize(partitions, 0);
        self.tails.resize(partitions, Tail::default());
        if self.is_followed() {
            self.recent.resize_with(partitions, Recent::default);
        }
    }

    /// Whether what is written is kept in memory for readers.
    pub(super) fn is_followed(&self) -> bool {
        self.readers > 0
    }

    /// An error unless the topic of this name has the partition.
    pub(super) fn refuse_unless_has(&self, partition: u32, name: &str) -> Result<()> {
        match (partition as usize) < self.ends.len() {
            true => Ok(()),
            false => Err(RuntimeError::user(format!("topic {name} has no partition {partition}"))),
        }
    }
}

impl TopicMeta {
    fn info(&self, name: &str) -> TopicInfo {
        TopicInfo { name: name.into(), id: self.id.clone(), partitions: self.partitions }
    }

    /// As it is kept, under the topic's name.
    fn stored(&self, name: &str) -> Changes {
        let json = serde_json::to_vec(self).expect("a topic is plain data");
        Changes::one(&topic_key(name), &json)
    }
}

impl Log for LocalLog {
    fn cluster(&self) -> String {
        self.shared.lock().cluster.clone()
    }

    fn describe_self(&self) -> String {
        format!("the embedded log ({})", self.shared.place)
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        let state = self.shared.lock();
        let mut all: Vec<_> = state.topics.iter().map(|(n, t)| t.meta.info(n)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        Ok(self.shared.lock().topics.get(name).map(|t| t.meta.info(name)))
    }

    fn create_topic(&self, topic: &NewTopic) -> Result<TopicInfo> {
        let topic = &NewTopic { partitions: topic.partitions.max(1), ..topic.clone() };
        check_topic(topic)?;
        let mut state = self.shared.lock();
        if let Some(existing) = state.topics.get(&topic.name) {
            return Ok(existing.meta.info(&topic.name));
        }
        let meta = TopicMeta {
            number: state.next_number,
            partitions: topic.partitions,
            id: uuid::Uuid::new_v4().simple().to_string(),
            compacted: topic.compacted,
        };
        let mut changes = meta.stored(&topic.name);
        changes.put(NEXT_NUMBER, &(meta.number + 1).to_be_bytes());
        self.shared.kv.write(changes)?;
        state.next_number = meta.number + 1;
        let ends = vec![0; topic.partitions as usize];
        let info = meta.info(&topic.name);
        state.topics.insert(topic.name.clone(), Topic::new(meta, ends));
        self.shared.changed.notify_all();
        Ok(info)
    }

    fn add_partitions(&self, topic: &str, partitions: u32) -> Result<TopicInfo> {
        let mut state = self.shared.lock();
        let found = state.topics.get_mut(topic).ok_or_else(|| self.shared.missing(topic))?;
        if partitions < found.meta.partitions {
            return Err(fewer_partitions(&found.meta.info(topic), partitions));
        }
        check_partitions(topic, partitions)?;
        let meta = TopicMeta { partitions, ..found.meta.clone() };
        self.shared.kv.write(meta.stored(topic))?;
        found.grow(meta);
        let info = found.meta.info(topic);
        self.shared.changed.notify_all();
        Ok(info)
    }

    fn delete_topics(&self, names: &[&str]) -> Result<()> {
        let mut state = self.shared.lock();
        let mut changes = Changes::default();
        for name in names {
            let Some(topic) = state.topics.get(*name) else { continue };
            let number = topic.meta.number;
            changes.delete(&topic_key(name));
            for kind in TOPIC_KINDS {
                changes.delete_range(keys_of(kind, number)..keys_of(kind, number + 1));
            }
        }
        self.shared.kv.scan(b"g", b"g", |key, _| {
            if names.iter().any(|name| is_group_key_of(key, name)) {
                changes.delete(key);
            }
            true
        })?;
        self.shared.kv.write(changes)?;
        for name in names {
            state.topics.remove(*name);
        }
        self.shared.changed.notify_all();
        Ok(())
    }

    fn offsets(&self, topic: &str, query: OffsetQuery) -> Result<Vec<i64>> {
        let found = self.shared.lock().topic(topic).cloned();
        let found = found.ok_or_else(|| self.shared.missing(topic))?;
        match query {
            OffsetQuery::Earliest => Ok(vec![0; found.ends.len()]),
            OffsetQuery::End => Ok(found.ends),
            OffsetQuery::Timestamp(at) => {
                let partitions = 0..found.ends.len() as u32;
                partitions.map(|p| first_at(&self.shared.kv, &found, p, at)).collect()
            }
        }
    }

    fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>> {
        let info = self.topic(topic)?.ok_or_else(|| self.shared.missing(topic))?;
        (0..info.partitions).map(|p| self.group_offset(group, topic, p)).collect()
    }

    fn reader(&self, assignment: &[Assignment]) -> Result<Box<dyn Reader>> {
        Ok(Box::new(LocalReader::new(self.shared.clone(), assignment, Order::Offset)?))
    }

    fn reader_of_last(&self, assignment: &[Assignment]) -> Result<Box<dyn Reader>> {
        Ok(Box::new(LocalReader::new(self.shared.clone(), assignment, Order::Key)?))
    }

    fn writer(&self, transactional_id: &str) -> Result<Box<dyn Writer>> {
        let mut state = self.shared.lock();
        let generation = state.generations.get(transactional_id).map_or(1, |g| g + 1);
        let key = [b"w", transactional_id.as_bytes()].concat();
        self.shared.kv.write(Changes::one(&key, &generation.to_be_bytes()))?;
        state.generations.insert(transactional_id.to_string(), generation);
        let id = transactional_id.to_string();
        Ok(Box::new(LocalWriter::new(self.shared.clone(), id, generation)))
    }
}

/// Kafka's rules for topic names, and a bound for partitions.
fn check_topic(topic: &NewTopic) -> Result<()> {
    let name = &topic.name;
    let legal = (1..=249).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && name != "."
        && name != "..";
    if !legal {
        return Err(RuntimeError::user(format!("{name:?} is not a name for a topic"))
            .with_help("Use 1 to 249 letters, digits, dots, underscores and hyphens."));
    }
    check_partitions(name, topic.partitions)
}

fn check_partitions(topic: &str, partitions: u32) -> Result<()> {
    match (1..=PARTITIONS_MAX).contains(&partitions) {
        true => Ok(()),
        false => Err(RuntimeError::user(format!(
            "topic {topic}: {partitions} partitions; 1 to {PARTITIONS_MAX} are possible"
        ))),
    }
}

/// The first offset with a timestamp at or after `at` milliseconds, else the end.
fn first_at(kv: &Kv, topic: &Topic, partition: u32, at: i64) -> Result<i64> {
    let prefix = data_prefix(topic.meta.number, partition);
    let mut found = None;
    kv.scan(&prefix, &prefix, |key, value| {
        let base = offset_of(key);
        let at_us = at.saturating_mul(1_000);
        found = Walk::new(base, value)
            .find(|record| record.timestamp_ms.saturating_mul(1_000) >= at_us)
            .map(|record| record.offset);
        found.is_none()
    })?;
    Ok(found.unwrap_or(topic.ends[partition as usize]))
}

fn topic_key(name: &str) -> Vec<u8> {
    [b"t", name.as_bytes()].concat()
}

/// How the keys of a topic's entries of one kind begin.
fn keys_of(kind: u8, topic: u32) -> Vec<u8> {
    [&[kind], &topic.to_be_bytes()[..]].concat()
}

pub(super) fn data_prefix(topic: u32, partition: u32) -> Vec<u8> {
    [&keys_of(b'd', topic)[..], &partition.to_be_bytes()].concat()
}

pub(super) fn data_key(topic: u32, partition: u32, offset: i64) -> Vec<u8> {
    [&data_prefix(topic, partition)[..], &offset.to_be_bytes()].concat()
}

pub(super) fn compacted_prefix(topic: u32, partition: u32) -> Vec<u8> {
    [&keys_of(b'c', topic)[..], &partition.to_be_bytes()].concat()
}

pub(super) fn tail_key(topic: u32, partition: u32) -> Vec<u8> {
    [&keys_of(b'm', topic)[..], &partition.to_be_bytes()].concat()
}

pub(super) fn tombstone_prefix(topic: u32, partition: u32) -> Vec<u8> {
    [&keys_of(b'x', topic)[..], &partition.to_be_bytes()].concat()
}

pub(super) fn tombstone_key(topic: u32, partition: u32, offset: &[u8; 8]) -> Vec<u8> {
    [&tombstone_prefix(topic, partition)[..], offset].concat()
}

pub(super) fn end_key(topic: u32, partition: u32) -> Vec<u8> {
    [&keys_of(b'e', topic)[..], &partition.to_be_bytes()].concat()
}

pub(super) fn group_key(group: &str, topic: &str, partition: u32) -> Vec<u8> {
    format!("g{group}\0{topic}\0{partition}").into_bytes()
}

fn is_group_key_of(key: &[u8], topic: &str) -> bool {
    key.split(|byte| *byte == 0).nth(1) == Some(topic.as_bytes())
}

/// The offset at the end of a data key.
pub(super) fn offset_of(key: &[u8]) -> i64 {
    key.last_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

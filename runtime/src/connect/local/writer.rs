//! Transactions of the embedded log: records wait in memory, a commit writes all of them at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::batch::{Batch, StoredRecord, Walk, push_single};
use super::clean::Pass;
use super::kv::Changes;
use super::log::{
    Shared, State, compacted_prefix, data_key, end_key, group_key, tail_key, tombstone_key,
    tombstone_prefix,
};
use super::segments::Keep;
use super::tail::Tail;
use crate::connect::{Assignment, Outcome, Outgoing, Writer};
use crate::error::{Result, RuntimeError};

/// How long the mark of a deleted key is kept: a store that is older is restored whole.
pub(super) const TOMBSTONE_RETENTION_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// Records of a partition are cut into stored batches of this size, bytes.
pub(super) const BATCH_BYTES: usize = 256 << 10;

/// Of the batches that were written so much room is kept, bytes.
const SPENT_BYTES_MAX: usize = 16 << 20;

/// Of a compacted topic without a tail, what a transaction writes to a partition is kept by key at
/// once if it is not more than this, bytes: a topic of few keys never has a tail to be read.
const KEYED_BYTES: u64 = 16 << 10;

/// Writes transactions under one transactional id.
pub(super) struct LocalWriter {
    shared: Arc<Shared>,
    id: String,
    generation: u64,
    open: Option<Transaction>,
    written: BTreeMap<(String, u32), i64>,
    /// The topics that it has written, with their numbers: another one of the name is not meant.
    known: BTreeMap<String, u32>,
    /// The partition that is cleaned: one at a time.
    pass: Option<Pass>,
    /// Batches that were written: the next are written in their room.
    spent: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Transaction {
    /// When it began: of records that do not say otherwise.
    began_ms: i64,
    /// Records as they were sent, by topic and partition.
    topics: BTreeMap<String, BTreeMap<u32, Vec<Batch>>>,
    offsets: Vec<(String, Assignment)>,
}

/// Where a partition ends after a transaction: topic, partition, offset, what its tail is then.
type End = (String, u32, i64, Tail);

/// A batch for the readers of a compacted topic: topic, partition, offset of its first record.
type Followed = (String, u32, i64, Arc<Vec<u8>>);

/// What a transaction comes to.
#[derive(Default)]
struct Made {
    changes: Changes,
    ends: Vec<End>,
    followed: Vec<Followed>,
    /// All batches.
    batches: Vec<Arc<Vec<u8>>>,
}

impl LocalWriter {
    pub(super) fn new(shared: Arc<Shared>, id: String, generation: u64) -> Self {
        let (written, known) = (BTreeMap::new(), BTreeMap::new());
        Self { shared, id, generation, open: None, written, known, pass: None, spent: Vec::new() }
    }

    fn refuse_if_fenced(&self) -> Result<()> {
        if self.is_fenced() { Err(RuntimeError::fenced()) } else { Ok(()) }
    }

    /// Keeps the room of these batches, those that filled it and that nobody reads any more, and no
    /// other room: a topic that falls silent takes none.
    fn keep_room(&mut self, batches: Vec<Arc<Vec<u8>>>) {
        let mut bytes = 0;
        let unread = batches.into_iter().filter_map(Arc::into_inner);
        self.spent = unread
            .filter(|batch| batch.len() >= batch.capacity() / 4)
            .take_while(|batch| {
                bytes += batch.capacity();
                bytes <= SPENT_BYTES_MAX
            })
            .collect();
    }

    /// What the transaction writes, and where its partitions end with it.
    fn make(&self, transaction: Transaction, state: &State) -> Result<Made> {
        let mut made = Made::default();
        let changes = &mut made.changes;
        for (name, partitions) in transaction.topics {
            let topic = state.topic(&name).ok_or_else(|| self.shared.gone(&name))?;
            let number = topic.meta.number;
            if self.known.get(&name).is_some_and(|known| *known != number) {
                return Err(self.shared.gone(&name));
            }
            for (partition, batches) in partitions {
                topic.refuse_unless_has(partition, &name)?;
                let (mut end, mut stored) = (topic.ends[partition as usize], Vec::new());
                for batch in batches {
                    let count = i64::from(batch.count());
                    stored.push((end, batch.finish()));
                    end += count;
                }
                made.batches.extend(stored.iter().map(|(_, batch)| batch.clone()));
                let mut tail = topic.tails[partition as usize];
                if topic.meta.compacted {
                    tail = self.put_in_tail((number, partition), tail, end, &stored, changes)?;
                } else {
                    put_batches((number, partition), &stored, Keep::Long, changes);
                }
                changes.put(&end_key(number, partition), &end.to_be_bytes());
                made.ends.push((name.clone(), partition, end, tail));
                if topic.meta.compacted && topic.is_followed() {
                    let kept = stored.into_iter();
                    let kept = kept.map(|(base, batch)| (name.clone(), partition, base, batch));
                    made.followed.extend(kept);
                }
            }
        }
        for (group, at) in transaction.offsets {
            let key = group_key(&group, &at.topic, at.partition);
            changes.put(&key, &at.offset.to_be_bytes());
        }
        Ok(made)
    }

    /// Adds batches to a partition of a compacted topic that ends at `end` with them. Returns what
    /// its tail is then.
    fn put_in_tail(
        &self,
        (topic, partition): (u32, u32),
        mut tail: Tail,
        end: i64,
        batches: &[(i64, Arc<Vec<u8>>)],
        changes: &mut Changes,
    ) -> Result<Tail> {
        let bytes: u64 = batches.iter().map(|(_, batch)| batch.len() as u64).sum();
        if tail.bytes + tail.clean_bytes == 0 && bytes <= KEYED_BYTES {
            self.put_compacted(topic, partition, batches, changes)?;
            (tail.from, tail.cleaned) = (end, end);
        } else {
            put_batches((topic, partition), batches, Keep::Short, changes);
            tail.bytes += bytes;
        }
        changes.put(&tail_key(topic, partition), &tail.stored());
        Ok(tail)
    }

    /// Goes on with the pass over the partition that is cleaned, if the transaction writes to it;
    /// or begins one over a partition that it writes to, if that is due.
    fn clean(&mut self, state: &State, made: &mut Made) -> Result<()> {
        let Made { changes, ends, .. } = made;
        let number = |name: &String| state.topic(name).map(|topic| topic.meta.number);
        if self.pass.is_none() {
            let due = |tail: &Tail| tail.bytes > state.tail_bytes.max(tail.clean_bytes);
            let Some((name, partition, _, tail)) = ends.iter().find(|end| due(&end.3)) else {
                return Ok(());
            };
            let Some(number) = number(name) else { return Ok(()) };
            self.pass = Pass::begin((number, *partition), *tail, &self.shared.kv)?;
        }
        let Some(mut pass) = self.pass.take() else { return Ok(()) };
        let over = ends.iter_mut().find(|(name, partition, ..)| {
            (number(name), *partition) == (Some(pass.topic), pass.partition)
        });
        let done = match over {
            Some((.., tail)) => {
                let done = pass.go_on(*tail, &self.shared.kv, changes)?;
                if let Some(done) = done {
                    *tail = done;
                    changes.put(&tail_key(pass.topic, pass.partition), &done.stored());
                }
                done.is_some()
            }
            None => !state.has_topic(pass.topic),
        };
        if !done {
            self.pass = Some(pass);
        }
        Ok(())
    }

    /// Adds the last record of each key in these batches, which have their first offsets in front.
    fn put_compacted(
        &self,
        topic: u32,
        partition: u32,
        batches: &[(i64, Arc<Vec<u8>>)],
        changes: &mut Changes,
    ) -> Result<()> {
        let last = last_of_each_key(batches);
        let tombstones = last.iter().filter(|record| record.value.is_none()).count();
        self.expire(topic, partition, tombstones, changes)?;
        let mut key = compacted_prefix(topic, partition);
        let (prefix, mut value) = (key.len(), Vec::new());
        for record in last {
            let offset = record.offset.to_be_bytes();
            let record_key = record.key_bytes();
            if record.value.is_none() {
                value.clear();
                value.extend_from_slice(&record.timestamp_ms.to_be_bytes());
                value.extend_from_slice(record_key);
                changes.put(&tombstone_key(topic, partition, &offset), &value);
            }
            key.truncate(prefix);
            key.extend_from_slice(record_key);
            value.clear();
            value.extend_from_slice(&offset);
            push_single(record.stored, &mut value);
            changes.put(&key, &value);
        }
        Ok(())
    }

    /// Takes away tombstones that were kept long enough: twice as many as are added, so that they
    /// do not pile up.
    fn expire(
        &self,
        topic: u32,
        partition: u32,
        added: usize,
        changes: &mut Changes,
    ) -> Result<()> {
        if added == 0 {
            return Ok(());
        }
        let prefix = tombstone_prefix(topic, partition);
        let old = now_ms() - TOMBSTONE_RETENTION_MS;
        let mut expired = Vec::new();
        self.shared.kv.scan(&prefix, &prefix, |key, marked| {
            let Some((timestamp, of)) = marked.split_first_chunk::<8>() else { return false };
            if i64::from_be_bytes(*timestamp) >= old || expired.len() >= 2 * added {
                return false;
            }
            expired.push((key.to_vec(), of.to_vec()));
            true
        })?;
        for (key, of) in expired {
            let stored = [&compacted_prefix(topic, partition)[..], &of].concat();
            let last = self.shared.kv.get(&stored)?;
            // The key may have been written again since.
            if last.is_some_and(|last| key.ends_with(last.first_chunk::<8>().unwrap_or(&[0; 8]))) {
                changes.delete(&stored);
            }
            changes.delete(&key);
        }
        Ok(())
    }
}

fn put_batches(
    (topic, partition): (u32, u32),
    batches: &[(i64, Arc<Vec<u8>>)],
    keep: Keep,
    changes: &mut Changes,
) {
    for (offset, batch) in batches {
        changes.put_batch(data_key(topic, partition, *offset), batch.clone(), keep);
    }
}

/// The last record of each key, in the order of the keys.
fn last_of_each_key(batches: &[(i64, Arc<Vec<u8>>)]) -> Vec<StoredRecord<'_>> {
    let records = batches.iter().flat_map(|(base, batch)| Walk::new(*base, batch));
    let mut records: Vec<_> = records.collect();
    records.sort_unstable_by(|a, b| a.key_bytes().cmp(b.key_bytes()).then(b.offset.cmp(&a.offset)));
    records.dedup_by(|next, kept| next.key_bytes() == kept.key_bytes());
    records
}

pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

impl Writer for LocalWriter {
    fn begin(&mut self) -> Result<()> {
        self.refuse_if_fenced()?;
        assert!(self.open.is_none(), "one transaction at a time");
        self.open = Some(Transaction { began_ms: now_ms(), ..Transaction::default() });
        Ok(())
    }

    fn send(&mut self, record: &Outgoing<'_>) -> Result<()> {
        let open = self.open.as_mut().expect("a transaction is begun before records are sent");
        let known = open.topics.get_mut(record.topic);
        let batches = match known.and_then(|topic| topic.get_mut(&record.partition)) {
            Some(batches) => batches,
            None => {
                let state = self.shared.lock();
                let topic = state.topic(record.topic);
                let topic = topic.ok_or_else(|| match self.known.contains_key(record.topic) {
                    true => self.shared.gone(record.topic),
                    false => self.shared.missing(record.topic),
                })?;
                topic.refuse_unless_has(record.partition, record.topic)?;
                let topic = open.topics.entry(record.topic.to_string()).or_default();
                topic.entry(record.partition).or_default()
            }
        };
        if batches.last().is_none_or(|last| last.len() >= BATCH_BYTES) {
            batches.push(Batch::in_room_of(self.spent.pop().unwrap_or_default()));
        }
        let last = batches.len() - 1;
        batches[last].push(record, record.timestamp.unwrap_or(open.began_ms));
        Ok(())
    }

    fn send_offsets(&mut self, group: &str, offsets: &[Assignment]) -> Result<()> {
        let open = self.open.as_mut().expect("a transaction is begun before offsets are sent");
        open.offsets.extend(offsets.iter().map(|o| (group.to_string(), o.clone())));
        Ok(())
    }

    fn commit(&mut self) -> Outcome {
        let open = self.open.take().expect("a transaction is begun before its commit");
        let shared = self.shared.clone();
        let mut state = shared.lock();
        if !state.is_current(&self.id, self.generation) {
            return Outcome::Fenced;
        }
        let made = self.make(open, &state);
        let cleaned = made.and_then(|mut made| self.clean(&state, &mut made).map(|()| made));
        let Made { changes, ends, followed, batches } = match cleaned {
            Ok(made) => made,
            Err(error) => return Outcome::Aborted(error),
        };
        if let Err(error) = self.shared.kv.write(changes) {
            // The store's own log decides whether the batch is there; only opening it again tells.
            return Outcome::Unknown(error.to_string());
        }
        for (topic, partition, base, batch) in followed {
            state.keep_recent(&topic, partition, base, batch);
        }
        for (topic, partition, end, tail) in ends {
            state.advance(&topic, partition, end, tail);
            if let Some(written) = state.topic(&topic).filter(|_| !self.known.contains_key(&topic))
            {
                self.known.insert(topic.clone(), written.meta.number);
            }
            self.written.insert((topic, partition), end);
        }
        self.shared.changed.notify_all();
        self.keep_room(batches);
        Outcome::Committed
    }

    fn abort(&mut self) -> Result<()> {
        self.open = None;
        self.refuse_if_fenced()
    }

    fn written_until(&self, topic: &str, partition: u32) -> Option<i64> {
        self.written.get(&(topic.to_string(), partition)).copied()
    }

    fn is_fenced(&self) -> bool {
        !self.shared.lock().is_current(&self.id, self.generation)
    }
}

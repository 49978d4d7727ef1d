//! Transactions of the embedded log: records wait in memory, a commit writes all of them at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::batch::Batch;
use super::kv::Changes;
use super::log::{
    Shared, State, compacted_prefix, data_key, end_key, group_key, tombstone_key, tombstone_prefix,
};
use crate::connect::{Assignment, Outcome, Outgoing, Writer};
use crate::error::{Result, RuntimeError};

/// How long the mark of a deleted key is kept: a store that is older is restored whole.
const TOMBSTONE_RETENTION_MS: i64 = 7 * 24 * 3_600 * 1_000;

/// Records of a partition are cut into stored batches of this size, bytes.
const BATCH_BYTES: usize = 256 << 10;

/// Writes transactions under one transactional id.
pub(super) struct LocalWriter {
    shared: Arc<Shared>,
    id: String,
    generation: u64,
    open: Option<Transaction>,
    written: BTreeMap<(String, u32), i64>,
}

#[derive(Default)]
struct Transaction {
    partitions: BTreeMap<(String, u32), Pending>,
    offsets: Vec<(String, Assignment)>,
}

/// What waits for one partition.
enum Pending {
    /// Batches in order.
    Plain(Vec<Batch>),
    /// Compacted: the last record of each key.
    Compacted { last: BTreeMap<Vec<u8>, Last>, count: i64 },
}

/// Where a partition ends after a transaction: topic, partition, offset.
type End = (String, u32, i64);

/// The last record of a key in a transaction.
struct Last {
    /// Position in the transaction.
    at: i64,
    timestamp: i64,
    is_tombstone: bool,
    batch: Vec<u8>,
}

impl LocalWriter {
    pub(super) fn new(shared: Arc<Shared>, id: String, generation: u64) -> Self {
        Self { shared, id, generation, open: None, written: BTreeMap::new() }
    }

    fn refuse_if_fenced(&self) -> Result<()> {
        if self.is_fenced() { Err(RuntimeError::fenced()) } else { Ok(()) }
    }

    /// What the transaction writes, and where its partitions end with it.
    fn changes(&self, transaction: Transaction, state: &State) -> Result<(Changes, Vec<End>)> {
        let mut changes = Changes::default();
        let mut ends = Vec::new();
        for ((name, partition), pending) in transaction.partitions {
            let Some(topic) = state.topic(&name) else { continue };
            let number = topic.meta.number;
            let mut end = topic.ends[partition as usize];
            match pending {
                Pending::Plain(batches) => {
                    for batch in batches {
                        let count = i64::from(batch.count());
                        changes.put(data_key(number, partition, end), batch.finish());
                        end += count;
                    }
                }
                Pending::Compacted { last, count } => {
                    let tombstones = last.values().filter(|l| l.is_tombstone).count();
                    self.expire(number, partition, tombstones, &mut changes)?;
                    for (key, last) in last {
                        let offset = (end + last.at).to_be_bytes();
                        if last.is_tombstone {
                            let marked = [&last.timestamp.to_be_bytes()[..], &key].concat();
                            changes.put(tombstone_key(number, partition, &offset), marked);
                        }
                        let key = [&compacted_prefix(number, partition)[..], &key].concat();
                        changes.put(key, [&offset[..], &last.batch].concat());
                    }
                    end += count;
                }
            }
            changes.put(end_key(number, partition), end.to_be_bytes().to_vec());
            ends.push((name, partition, end));
        }
        for (group, at) in transaction.offsets {
            let key = group_key(&group, &at.topic, at.partition);
            changes.put(key, at.offset.to_be_bytes().to_vec());
        }
        Ok((changes, ends))
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
                changes.0.push((stored, None));
            }
            changes.0.push((key, None));
        }
        Ok(())
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

impl Writer for LocalWriter {
    fn begin(&mut self) -> Result<()> {
        self.refuse_if_fenced()?;
        assert!(self.open.is_none(), "one transaction at a time");
        self.open = Some(Transaction::default());
        Ok(())
    }

    fn send(&mut self, record: &Outgoing<'_>) -> Result<()> {
        let key = (record.topic.to_string(), record.partition);
        let open = self.open.as_mut().expect("a transaction is begun before records are sent");
        let timestamp = record.timestamp.unwrap_or_else(now_ms);
        if !open.partitions.contains_key(&key) {
            let state = self.shared.lock();
            let topic = state.topic(record.topic);
            let topic = topic.ok_or_else(|| self.shared.missing(record.topic))?;
            topic.refuse_unless_has(record.partition, record.topic)?;
            let pending = if topic.meta.compacted {
                Pending::Compacted { last: BTreeMap::new(), count: 0 }
            } else {
                Pending::Plain(Vec::new())
            };
            open.partitions.insert(key.clone(), pending);
        }
        match open.partitions.get_mut(&key).expect("it was just put there") {
            Pending::Plain(batches) => {
                if batches.last().is_none_or(|b| b.len() >= BATCH_BYTES) {
                    batches.push(Batch::default());
                }
                let last = batches.len() - 1;
                batches[last].push(record, timestamp);
            }
            Pending::Compacted { last, count } => {
                let mut batch = Batch::default();
                batch.push(record, timestamp);
                let is_tombstone = record.value.is_none();
                let newer = Last { at: *count, timestamp, is_tombstone, batch: batch.finish() };
                last.insert(record.key.unwrap_or(&[]).to_vec(), newer);
                *count += 1;
            }
        }
        Ok(())
    }

    fn send_offsets(&mut self, group: &str, offsets: &[Assignment]) -> Result<()> {
        let open = self.open.as_mut().expect("a transaction is begun before offsets are sent");
        open.offsets.extend(offsets.iter().map(|o| (group.to_string(), o.clone())));
        Ok(())
    }

    fn commit(&mut self) -> Outcome {
        let open = self.open.take().expect("a transaction is begun before its commit");
        let mut state = self.shared.lock();
        if !state.is_current(&self.id, self.generation) {
            return Outcome::Fenced;
        }
        let (changes, ends) = match self.changes(open, &state) {
            Ok(made) => made,
            Err(error) => return Outcome::Aborted(error.to_string()),
        };
        if let Err(error) = self.shared.kv.write(changes) {
            // The store's own log decides whether the batch is there; only opening it again tells.
            return Outcome::Unknown(error.to_string());
        }
        for (topic, partition, end) in ends {
            state.advance(&topic, partition, end);
            self.written.insert((topic, partition), end);
        }
        self.shared.changed.notify_all();
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

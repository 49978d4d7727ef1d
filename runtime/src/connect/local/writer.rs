//! Transactions of the embedded log: records wait in memory, a commit writes all of them at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::batch::Batch;
use super::kv::Changes;
use super::log::{Shared, State, compacted_prefix, data_key, end_key, group_key};
use crate::connect::{Assignment, Outcome, Outgoing, Writer};
use crate::error::{Result, RuntimeError};

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
    /// Compacted: record by key, with its position in the transaction; `None` is a tombstone.
    Compacted { last: BTreeMap<Vec<u8>, (i64, Option<Vec<u8>>)>, count: i64 },
}

impl LocalWriter {
    pub(super) fn new(shared: Arc<Shared>, id: String, generation: u64) -> Self {
        Self { shared, id, generation, open: None, written: BTreeMap::new() }
    }

    fn refuse_if_fenced(&self) -> Result<()> {
        if self.is_fenced() {
            return Err(RuntimeError::user(format!(
                "another writer of {} has taken over",
                self.id
            )));
        }
        Ok(())
    }

    fn changes(transaction: Transaction, state: &State) -> (Changes, Vec<(String, u32, i64)>) {
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
                    for (key, (at, record)) in last {
                        let key = [&compacted_prefix(number, partition)[..], &key].concat();
                        let stored = |r: Vec<u8>| [&(end + at).to_be_bytes()[..], &r].concat();
                        changes.0.push((key, record.map(stored)));
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
        (changes, ends)
    }
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
        let now =
            || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let timestamp = record.timestamp.unwrap_or_else(now);
        if !open.partitions.contains_key(&key) {
            let state = self.shared.lock();
            let topic = state.topic(record.topic);
            let topic = topic.ok_or_else(|| self.shared.missing(record.topic))?;
            if record.partition as usize >= topic.ends.len() {
                return Err(RuntimeError::user(format!(
                    "topic {} has no partition {}",
                    record.topic, record.partition
                )));
            }
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
                let stored = record.value.is_some().then(|| {
                    let mut batch = Batch::default();
                    batch.push(record, timestamp);
                    batch.finish()
                });
                last.insert(record.key.unwrap_or(&[]).to_vec(), (*count, stored));
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
        let (changes, ends) = Self::changes(open, &state);
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

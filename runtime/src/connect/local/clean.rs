//! Cleaning of compacted topics. What is written to such a topic stays in batches as in any other;
//! when as much has come as was left before, a pass goes over the partition and leaves out what a
//! later record of its key replaces. So a record is read and written a few times however often its
//! neighbours change, and one that is replaced soon is never more than its bytes in a batch.
//!
//! A pass first notes the last record of each key in what has come; then it goes over the batches
//! from the first on, a piece with each commit. What it noted stays true meanwhile: a record that
//! was replaced is so for ever. Batches of which little is replaced stay as they are.
//!
//! A mark that a key is gone is kept for some days, for readers that are behind; then it is left
//! out, too. Nothing of its key may stand before it by then, or that would come back: so no batch
//! stays in which a record is followed by such a mark.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::batch::{SPARSE_DISTANCE_MAX, Sparse, StoredRecord, Walk};
use super::kv::{Changes, Kv, LARGE_BYTES_MIN};
use super::log::{compacted_prefix, data_key, data_prefix, offset_of};
use super::segments::Keep;
use super::tail::Tail;
use super::writer::{BATCH_BYTES, TOMBSTONE_RETENTION_MS, now_ms};
use crate::error::Result;

/// A pass looks at no more than this of what has come, bytes: so much is noted of its keys.
const NEW_BYTES_MAX: u64 = 128 << 20;
/// A pass goes over so much with one commit, bytes.
const PIECE_BYTES: u64 = 32 << 20;
/// A batch stays as it is where less than this part of it is replaced.
const REPLACED_PART: usize = 8;

/// A pass over a partition.
pub(super) struct Pass {
    pub(super) topic: u32,
    pub(super) partition: u32,
    last: LastRecords,
    /// The batch at which it goes on, and the one at which it ends.
    at: i64,
    until: i64,
    /// Bytes that were new when it began.
    new_bytes: u64,
    /// Bytes that it has left.
    left_bytes: u64,
}

/// The last record of each key, by the key's hash: two keyed ones, which nobody can foresee.
#[derive(Default)]
struct LastRecords {
    hashers: [RandomState; 2],
    /// Twice the offset, and one more of a mark that the key is gone.
    records: HashMap<u128, i64>,
}

/// What is known of a record's key.
struct Last {
    offset: i64,
    is_tombstone: bool,
}

impl LastRecords {
    fn hash(&self, key: &[u8]) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        high << 64 | low
    }

    fn note(&mut self, record: &StoredRecord<'_>) {
        let last = record.offset * 2 + i64::from(record.value.is_none());
        self.records.insert(self.hash(record.key_bytes()), last);
    }

    fn of(&self, record: &StoredRecord<'_>) -> Option<Last> {
        let last = *self.records.get(&self.hash(record.key_bytes()))?;
        Some(Last { offset: last >> 1, is_tombstone: last & 1 == 1 })
    }
}

impl Pass {
    /// Begins a pass over a partition, if something has come to it that is not its last batch.
    pub(super) fn begin(
        (topic, partition): (u32, u32),
        tail: Tail,
        kv: &Kv,
    ) -> Result<Option<Self>> {
        let mut last = LastRecords::default();
        let (mut new_bytes, mut pending, mut until) = (0, 0, None);
        let from = data_key(topic, partition, tail.cleaned);
        kv.scan(&data_prefix(topic, partition), &from, |key, batch| {
            let base = offset_of(key);
            (new_bytes, until) = (new_bytes + pending, Some(base));
            if new_bytes >= NEW_BYTES_MAX {
                return false;
            }
            Walk::new(base, batch).for_each(|record| last.note(&record));
            pending = batch.len() as u64;
            true
        })?;
        // The last batch stays as it is: it tells where the partition ends.
        let pass = until.filter(|_| new_bytes > 0).map(|until| Self {
            topic,
            partition,
            last,
            at: tail.from,
            until,
            new_bytes,
            left_bytes: 0,
        });
        Ok(pass)
    }

    /// Goes on over a piece. Gives the tail as it is then, when the pass has come to its end.
    pub(super) fn go_on(
        &mut self,
        tail: Tail,
        kv: &Kv,
        changes: &mut Changes,
    ) -> Result<Option<Tail>> {
        let mut output = Output::new(self.topic, self.partition, changes);
        let (mut bytes, mut at, until) = (0, self.at, self.until);
        let old = now_ms() - TOMBSTONE_RETENTION_MS;
        let from = data_key(self.topic, self.partition, self.at);
        kv.scan(&data_prefix(self.topic, self.partition), &from, |key, batch| {
            at = offset_of(key);
            if at >= until || bytes >= PIECE_BYTES {
                return false;
            }
            bytes += batch.len() as u64;
            output.batch(at, batch, &self.last, old);
            at = i64::MAX;
            true
        })?;
        self.left_bytes += output.finish();
        self.at = at;
        let done = Tail {
            cleaned: until,
            clean_bytes: self.left_bytes,
            bytes: tail.bytes.saturating_sub(self.new_bytes),
            ..tail
        };
        Ok((at >= until).then_some(done))
    }
}

/// What becomes of the batches of a piece.
struct Output<'c> {
    topic: u32,
    partition: u32,
    changes: &'c mut Changes,
    /// The batches that were taken in since one stayed: offsets of the first and of the last.
    taken: Option<(i64, i64)>,
    open: Sparse,
    left_bytes: u64,
}

impl<'c> Output<'c> {
    fn new(topic: u32, partition: u32, changes: &'c mut Changes) -> Self {
        let open = Sparse::default();
        Self { topic, partition, changes, taken: None, open, left_bytes: 0 }
    }

    /// Adds the next batch: as it is, or what is left of it. Marks from before `old` go.
    fn batch(&mut self, base: i64, batch: &[u8], last: &LastRecords, old: i64) {
        let (mut left, mut replaced, mut must_go) = (Vec::new(), 0, false);
        for record in Walk::new(base, batch) {
            let last = last.of(&record).filter(|last| last.offset > record.offset);
            let is_old = record.value.is_none() && record.timestamp_ms < old;
            if is_old && last.is_none() {
                let of = [&compacted_prefix(self.topic, self.partition)[..], record.key_bytes()];
                self.changes.delete(&of.concat());
            }
            if last.is_none() && !is_old {
                left.push(record);
                continue;
            }
            replaced += record.stored.len();
            must_go |= is_old || last.is_some_and(|last| last.is_tombstone);
        }
        let stays = !must_go && replaced * REPLACED_PART < batch.len();
        if stays && (batch.len() >= LARGE_BYTES_MIN) {
            self.close();
            self.left_bytes += batch.len() as u64;
            return;
        }
        let first = self.taken.map_or(base, |(first, _)| first);
        self.taken = Some((first, base));
        for record in left {
            let too_far = self.open.distance(record.offset) > SPARSE_DISTANCE_MAX;
            if too_far || self.open.len() >= BATCH_BYTES {
                self.put();
            }
            self.open.push(record.offset, record.stored);
        }
    }

    /// Writes what was taken in, and deletes where it was.
    fn close(&mut self) {
        self.put();
        if let Some((first, last)) = self.taken.take() {
            let key = |offset| data_key(self.topic, self.partition, offset);
            self.changes.delete_range(key(first)..key(last + 1));
        }
    }

    fn put(&mut self) {
        if let Some((base, batch)) = std::mem::take(&mut self.open).finish() {
            self.left_bytes += batch.len() as u64;
            let key = data_key(self.topic, self.partition, base);
            self.changes.put_batch(key, Arc::new(batch), Keep::Long);
        }
    }

    /// Bytes that are left.
    fn finish(mut self) -> u64 {
        self.close();
        self.left_bytes
    }
}

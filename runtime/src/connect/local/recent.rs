//! What was last written to a partition of a compacted topic, in the order of its offsets: for its
//! readers, who would else look through all keys for each transaction.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::Stored;
use crate::connect::FETCH_RECORDS_MAX;

/// Bytes of one partition that are kept.
const RECENT_BYTES: usize = 4 << 20;

/// The last batches of a partition, without gap up to its end, oldest first.
#[derive(Clone, Default)]
pub(super) struct Recent {
    batches: VecDeque<(i64, Arc<Vec<u8>>)>,
    bytes: usize,
}

impl Recent {
    /// Adds the batch that was written next.
    pub(super) fn push(&mut self, base: i64, batch: Arc<Vec<u8>>) {
        self.bytes += batch.len();
        self.batches.push_back((base, batch));
        while self.bytes > RECENT_BYTES
            && let Some((_, old)) = self.batches.pop_front()
        {
            self.bytes -= old.len();
        }
    }

    /// Records from this offset on, of batches that begin before `stable`, and the offset after
    /// them; `None` if some of them are no longer here.
    pub(super) fn read(&self, from: i64, stable: i64) -> Option<(Stored, i64)> {
        // The batch that holds the offset may begin before it.
        let first = self.batches.partition_point(|(base, _)| *base <= from).checked_sub(1)?;
        let (mut stored, mut position) = (Stored::new(from), from);
        for (base, batch) in self.batches.range(first..) {
            if *base >= stable || stored.records_len() >= FETCH_RECORDS_MAX {
                break;
            }
            position = position.max(stored.push(*base, batch.to_vec()));
        }
        Some((stored, position))
    }
}

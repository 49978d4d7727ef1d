//! Slot numbers by hash: open addressing with linear probing in one array of words, so that a probe
//! touches one cache line, and the line to prefetch is known from the hash alone.
//!
//! A bucket holds the upper half of the hash and the slot number + 1; 0 is empty. The home bucket
//! is the hash's top bits, so buckets move (growth, removal) without a look at the slots. Key
//! groups are the hash's lowest bits: a worker that owns few groups still spreads over all buckets.

use super::prefetch::prefetch;

/// Fewest buckets of an index that is not empty.
const BUCKETS_MIN: usize = 16;

/// Slot numbers by hash. The caller compares keys.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// A power of two of them, or none.
    buckets: Vec<u64>,
    used: usize,
}

impl Index {
    /// Bytes of the buckets.
    pub(super) fn bytes(&self) -> usize {
        self.buckets.len() * 8
    }

    /// Starts to load the bucket where a probe for `hash` begins.
    pub(super) fn prefetch(&self, hash: u64) {
        if !self.buckets.is_empty() {
            prefetch(&self.buckets, self.home(hash));
        }
    }

    /// The first slot for which `is_key` holds among those with this hash.
    pub(super) fn find(&self, hash: u64, mut is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.buckets.is_empty() {
            return None;
        }
        let mask = self.buckets.len() - 1;
        let mut at = self.home(hash);
        loop {
            let bucket = self.buckets[at];
            if bucket == 0 {
                return None;
            }
            if bucket >> 32 == hash >> 32 && is_key(bucket as u32 - 1) {
                return Some(bucket as u32 - 1);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a slot; the caller knows that its key is not there.
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        if (self.used + 1) * 3 > self.buckets.len() * 2 {
            self.grow();
        }
        self.place((hash >> 32 << 32) | u64::from(slot + 1));
        self.used += 1;
    }

    /// Removes a slot that is there: later entries of its run move up, so no marks are left.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let entry = (hash >> 32 << 32) | u64::from(slot + 1);
        let mask = self.buckets.len() - 1;
        let mut hole = self.home(hash);
        while self.buckets[hole] != entry {
            assert_ne!(self.buckets[hole], 0, "the slot is in the index");
            hole = (hole + 1) & mask;
        }
        let mut next = (hole + 1) & mask;
        while self.buckets[next] != 0 {
            let home = self.home(self.buckets[next]);
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.buckets[hole] = self.buckets[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.buckets[hole] = 0;
        self.used -= 1;
    }

    /// Forgets all slots, keeps the buckets.
    pub(super) fn clear(&mut self) {
        if self.used > 0 {
            self.buckets.fill(0);
            self.used = 0;
        }
    }

    /// The bucket where probes for a hash, or for a bucket's own bits, begin.
    fn home(&self, hash: u64) -> usize {
        (hash >> (64 - self.buckets.len().trailing_zeros())) as usize
    }

    fn place(&mut self, entry: u64) {
        let mask = self.buckets.len() - 1;
        let mut at = self.home(entry);
        while self.buckets[at] != 0 {
            at = (at + 1) & mask;
        }
        self.buckets[at] = entry;
    }

    fn grow(&mut self) {
        let larger = (self.buckets.len() * 2).max(BUCKETS_MIN);
        assert!(larger <= 1 << 32, "a table of one worker stays under 2^32 keys");
        let old = std::mem::replace(&mut self.buckets, vec![0; larger]);
        for entry in old.into_iter().filter(|&entry| entry != 0) {
            self.place(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flow_ir::row::key_hash;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any order of insertions and removals leaves exactly the slots that were not removed,
        /// with hashes that collide as well as with good ones.
        #[test]
        fn finds_what_was_inserted(
            ops in prop::collection::vec((any::<bool>(), 0u32..60), 1..300),
            bad_hash: bool,
        ) {
            let hash = |slot: u32| match bad_hash {
                true => u64::from(slot % 3).wrapping_neg(),
                false => key_hash(&slot.to_be_bytes()),
            };
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            for (insert, slot) in ops {
                match (insert, model.contains_key(&slot)) {
                    (true, false) => {
                        index.insert(hash(slot), slot);
                        model.insert(slot, ());
                    }
                    (false, true) => {
                        index.remove(hash(slot), slot);
                        model.remove(&slot);
                    }
                    (true, true) | (false, false) => {}
                }
                for slot in 0..60 {
                    let found = index.find(hash(slot), |s| s == slot);
                    prop_assert_eq!(found.is_some(), model.contains_key(&slot));
                }
            }
        }
    }
}

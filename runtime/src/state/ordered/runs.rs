//! Runs: the keys of an ordered table that begin with the same bytes and end with so many more. Of
//! what is only on disk it is known which runs it is of, so that nothing is looked for there in
//! vain: what an input brings is new most often, and what it meets has been met before.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Bound;

use flow_ir::row::key_hash;
use rocksdb::Direction;

use super::super::error::StateError;
use super::super::spill::{OnlyOnDisk, prefix_end};
use super::{OrderedEntry, OrderedTable};

/// Memory of a run that is noted, bytes: hash, count, and the table's room.
const RUN_BYTES: usize = 24;

/// The runs of which keys are only on disk.
#[derive(Debug)]
pub(super) struct Runs {
    /// Bytes of a key behind its run's.
    suffix: usize,
    /// Keys that are only on disk, by the hash of their run: of all runs that have it.
    away: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
}

/// Takes a hash as it is.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = key_hash(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Runs {
    fn run(&self, key: &[u8]) -> u64 {
        key_hash(&key[..key.len().saturating_sub(self.suffix)])
    }

    /// A key left memory.
    pub(super) fn left(&mut self, key: &[u8]) {
        *self.away.entry(self.run(key)).or_default() += 1;
    }

    /// A key that was only on disk is in memory.
    pub(super) fn came_back(&mut self, key: &[u8]) {
        let run = self.run(key);
        if let Some(count) = self.away.get_mut(&run) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.away.remove(&run);
            }
        }
    }

    /// Whether keys of a run may be only on disk.
    fn may_be_away(&self, run: &[u8]) -> bool {
        self.away.contains_key(&key_hash(run))
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.away.capacity() * RUN_BYTES
    }
}

impl OrderedTable {
    /// Says that all keys end with so many bytes behind those of their run. What has left memory
    /// before that is said is not told apart.
    pub fn set_runs(&mut self, suffix: usize) {
        if self.runs.is_none() {
            self.runs = Some(Runs { suffix, away: HashMap::default() });
            self.only_on_disk.iter_mut().filter(|group| group.any()).for_each(OnlyOnDisk::more);
        }
    }

    /// The entries of a run, in key order.
    pub fn run(
        &mut self,
        group: u8,
        run: &[u8],
    ) -> Result<impl Iterator<Item = OrderedEntry<'_>> + Clone, StateError> {
        let end = prefix_end(run);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        if self.may_be_away(group, run) {
            self.read_range(Some(group), Bound::Included(run), to)?;
        }
        Ok(self.in_memory(Some(group), Bound::Included(run), to))
    }

    /// The last entry of a run to which keys are only added, each behind all others: those that
    /// came later are in memory for longer, so what is last in memory is the last.
    pub fn last_of_run(
        &mut self,
        group: u8,
        run: &[u8],
    ) -> Result<Option<OrderedEntry<'_>>, StateError> {
        let end = prefix_end(run);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let from = Bound::Included(run);
        if self.may_be_away(group, run) {
            let is_counted = self.only_on_disk[usize::from(group)].are_counted();
            let in_memory = self.in_memory(Some(group), from, to).next_back();
            if !(is_counted && in_memory.is_some()) {
                self.read_end(group, from, to, Direction::Reverse)?;
            }
        }
        Ok(self.in_memory(Some(group), from, to).next_back())
    }

    /// Whether a key of a run, or the run of a key, may be only on disk.
    fn may_be_away(&self, group: u8, run: &[u8]) -> bool {
        let of_group = self.only_on_disk[usize::from(group)];
        of_group.any()
            && !(of_group.are_counted()
                && self.runs.as_ref().is_some_and(|runs| !runs.may_be_away(run)))
    }

    /// The same of the run of a key.
    pub(super) fn key_may_be_away(&self, group: u8, key: &[u8]) -> bool {
        match &self.runs {
            Some(runs) => self.may_be_away(group, &key[..key.len().saturating_sub(runs.suffix)]),
            None => self.only_on_disk[usize::from(group)].any(),
        }
    }
}

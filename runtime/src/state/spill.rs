//! What of a table lives only on disk, and reading it back. Rows from disk are verified before
//! anything else looks at them.
//!
//! A key is *only on disk* if its row is in RocksDB and neither a row nor a mark that it is gone
//! is in memory. While a table has no such key, it reads nothing from disk.

use std::ops::ControlFlow;
use std::sync::Arc;

use flow_ir::row::{RowLayout, RowRef};
use rocksdb::Direction;

use super::error::StateError;
use super::overlay::{KEY_PREFIX_BYTES, push_full_key};
use super::rocks::Disk;

/// How many keys are only on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OnlyOnDisk {
    count: u64,
    /// The start filled memory and did not count the rest.
    uncounted: bool,
}

impl OnlyOnDisk {
    /// Whether there may be any.
    pub(super) fn any(self) -> bool {
        self.uncounted || self.count > 0
    }

    /// A key left memory.
    pub(super) fn left(&mut self) {
        self.count += 1;
    }

    /// A key that was only on disk is in memory, or is gone.
    pub(super) fn came_back(&mut self) {
        debug_assert!(self.any(), "only keys that were on disk come back from there");
        self.count = self.count.saturating_sub(1);
    }

    /// Whether all of them are counted.
    pub(super) fn are_counted(self) -> bool {
        !self.uncounted
    }

    /// There may be more than were counted.
    pub(super) fn more(&mut self) {
        self.uncounted = true;
    }

    /// All keys are in memory.
    pub(super) fn none(&mut self) {
        *self = Self::default();
    }
}

/// A table's part of the disk: the entries under its number and a prefix (a window's end, or
/// nothing).
#[derive(Clone, Debug)]
pub(super) struct DiskTable {
    disk: Arc<Disk>,
    table: u32,
    layout: Arc<RowLayout>,
    prefix: Vec<u8>,
    groups: Arc<[u8]>,
}

impl DiskTable {
    /// The entries of table `table`, whose rows have this layout, in these key groups.
    pub(super) fn new(
        disk: Arc<Disk>,
        table: u32,
        layout: Arc<RowLayout>,
        groups: Arc<[u8]>,
    ) -> Self {
        Self { disk, table, layout, prefix: Vec::new(), groups }
    }

    /// The key groups of the worker, ascending.
    pub(super) fn groups(&self) -> &[u8] {
        &self.groups
    }

    /// The entries whose keys begin with `prefix`, which the keys given and received leave out.
    pub(super) fn under(&self, prefix: &[u8]) -> Self {
        Self { prefix: prefix.to_vec(), ..self.clone() }
    }

    /// Reads one row.
    pub(super) fn get(&self, group: u8, key: &[u8]) -> Result<Option<Vec<u64>>, StateError> {
        let mut full_key = Vec::new();
        self.push_key(group, key, &mut full_key);
        self.disk.get(&full_key)?.map(|row| self.verified(&full_key, &row)).transpose()
    }

    /// Reads the rows of many keys at once, sorted; calls `each` with the place of those found.
    pub(super) fn multi_get<'k>(
        &self,
        keys: impl Iterator<Item = (usize, u8, &'k [u8])>,
        mut each: impl FnMut(usize, &[u64]),
    ) -> Result<(), StateError> {
        let (mut arena, mut spans) = (Vec::new(), Vec::new());
        for (place, group, key) in keys {
            let start = arena.len();
            self.push_key(group, key, &mut arena);
            spans.push((start..arena.len(), place));
        }
        let mut sorted: Vec<(&[u8], usize)> =
            spans.into_iter().map(|(span, place)| (&arena[span], place)).collect();
        sorted.sort_unstable();
        sorted.dedup_by(|later, first| later.0 == first.0);
        let full_keys: Vec<&[u8]> = sorted.iter().map(|(key, _)| *key).collect();
        self.disk.multi_get(&full_keys, |i, row| {
            each(sorted[i].1, &self.verified(full_keys[i], row)?);
            Ok(())
        })
    }

    /// Reads the rows of a group whose keys lie from `from` to before `to` (`None`: to the end),
    /// until `each` breaks.
    pub(super) fn scan(
        &self,
        group: u8,
        from: &[u8],
        to: Option<&[u8]>,
        direction: Direction,
        mut each: impl FnMut(&[u8], &[u64]) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let (mut low, mut high) = (Vec::new(), Vec::new());
        self.push_key(group, from, &mut low);
        self.push_key(group, to.unwrap_or(&[]), &mut high);
        let high = match to {
            Some(_) => high,
            None => prefix_end(&high).expect("table numbers stay below the last"),
        };
        let skip = KEY_PREFIX_BYTES + self.prefix.len();
        self.disk.scan(&low, &high, direction, |full_key, row| {
            let row = self.verified(full_key, row)?;
            Ok(each(full_key.get(skip..).unwrap_or(&[]), &row))
        })
    }

    /// The first key at or after `from` in a group, without a look at the row.
    pub(super) fn first_key(&self, group: u8, from: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let (mut low, mut whole) = (Vec::new(), Vec::new());
        self.push_key(group, from, &mut low);
        self.push_key(group, &[], &mut whole);
        let high = prefix_end(&whole).expect("table numbers stay below the last");
        let mut first = None;
        let skip = KEY_PREFIX_BYTES + self.prefix.len();
        self.disk.scan(&low, &high, Direction::Forward, |full_key, _| {
            first = full_key.get(skip..).map(<[u8]>::to_vec);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    }

    fn push_key(&self, group: u8, key: &[u8], out: &mut Vec<u8>) {
        push_full_key(self.table, group, [&self.prefix, key], out);
    }

    fn verified(&self, full_key: &[u8], row: &[u8]) -> Result<Vec<u64>, StateError> {
        row_words(row, &self.layout).ok_or_else(|| {
            let key = hex(full_key);
            self.disk.corrupt(format!("no row of table {} under key {key}", self.table))
        })
    }

    /// The error that a key is none of the table's.
    pub(super) fn corrupt_key(&self, key: &[u8]) -> StateError {
        self.disk.corrupt(format!("{} is no key of table {}", hex(key), self.table))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The words of row bytes from outside; `None` if they are no row of the layout.
pub(crate) fn row_words(bytes: &[u8], layout: &RowLayout) -> Option<Vec<u64>> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let words: Vec<u64> = chunks.iter().map(|chunk| u64::from_ne_bytes(*chunk)).collect();
    (rest.is_empty() && RowRef::new(&words).verify(layout)).then_some(words)
}

/// The least byte string above all that begin with `prefix`; `None` if there is no such (the
/// prefix is empty or all 255).
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

//! The ordered table: key bytes in order, each with a row, read by key, prefix and range.
//!
//! * A key has one key group for ever. The caller gives it, since it is the group of the operator's
//!   partition key, which is a part of the table's key. Reads may ask for all groups at once.
//! * Entries of all groups are in one tree. What is only on disk is known per key group: a read
//!   first brings what it covers of such groups into memory, and then looks at memory alone.
//! * As in a point table, a key that is gone and may be on disk stays as a mark until its removal
//!   is there, and only rows that are on disk and were not touched since are evicted: whole key
//!   groups, in turn.

mod entry;
mod read;
mod runs;

use std::collections::{BTreeMap, btree_map};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use flow_ir::row::{KEY_GROUPS, RowLayout, RowRef};
use flow_ir::types::DataType;
use rocksdb::Direction;

use super::error::StateError;
use super::overlay::OverlayBuilder;
use super::small::{Key, Row};
use super::spill::{DiskTable, OnlyOnDisk, prefix_end};
use entry::{Before, Entry, Marks, PLACES, Touched, note};
use runs::Runs;

/// Memory of an entry in the tree, bytes: key, entry, and the nodes' unused third.
const ENTRY_BYTES: usize = (size_of::<Key>() + size_of::<Entry>()) * 3 / 2;

/// An entry as reads give it.
#[derive(Clone, Copy, Debug)]
pub struct OrderedEntry<'a> {
    /// The key's group.
    pub group: u8,
    /// The key bytes.
    pub key: &'a [u8],
    /// The row.
    pub row: RowRef<'a>,
}

/// Key bytes, in order, to one row each.
#[derive(Debug)]
pub struct OrderedTable {
    layout: Arc<RowLayout>,
    tree: BTreeMap<Key, Entry>,
    /// The epoch under way, from 1.
    epoch: u32,
    /// The last epoch whose rows were handed out for the disk.
    stored_until: u32,
    /// The last sealed epoch that touched anything; 0: none.
    last_touch: u32,
    touched: Vec<Touched>,
    /// Keys that were there when the epoch began, never on disk, and left the tree: group, where
    /// they lie in `touched_keys`, length. Some may have come again since.
    gone: Vec<(u8, usize, usize)>,
    touched_keys: Vec<u8>,
    disk: Option<DiskTable>,
    /// By key group.
    only_on_disk: Box<[OnlyOnDisk]>,
    /// Which runs these are of, if keys are told apart so.
    runs: Option<Runs>,
    /// The key group that is evicted next.
    hand: u8,
    /// Memory of keys and rows outside of the tree.
    heap_bytes: usize,
}

impl OrderedTable {
    /// An empty table, in this epoch.
    pub(super) fn new(layout: Arc<RowLayout>, disk: Option<DiskTable>, epoch: u32) -> Self {
        Self {
            layout,
            tree: BTreeMap::new(),
            epoch,
            stored_until: epoch - 1,
            last_touch: 0,
            touched: Vec::new(),
            gone: Vec::new(),
            touched_keys: Vec::new(),
            disk,
            only_on_disk: vec![OnlyOnDisk::default(); KEY_GROUPS as usize].into(),
            runs: None,
            hand: 0,
            heap_bytes: 0,
        }
    }

    /// The layout of the rows.
    pub fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }

    /// The row of a key.
    pub fn get(&mut self, group: u8, key: &[u8]) -> Result<Option<RowRef<'_>>, StateError> {
        self.read_key(group, key)?;
        Ok(self.tree.get(&Key::new(key)).and_then(|entry| entry.row.as_ref()).map(Row::row))
    }

    /// Reads many keys (group, key) from disk at once, those that are only there; later reads of
    /// them in this epoch find them in memory.
    pub fn prepare<'k>(
        &mut self,
        keys: impl Iterator<Item = (u8, &'k [u8])>,
    ) -> Result<(), StateError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let wanted: Vec<(u8, &[u8])> = keys
            .filter(|&(group, key)| {
                self.only_on_disk[usize::from(group)].any()
                    && !self.tree.contains_key(&Key::new(key))
            })
            .collect();
        let mut rows = Vec::new();
        let places = wanted.iter().enumerate().map(|(i, (group, key))| (i, *group, *key));
        disk.multi_get(places, |i, row| rows.push((i, row.to_vec())))?;
        for (i, row) in rows {
            self.came_back(wanted[i].0, wanted[i].1, RowRef::new(&row));
        }
        Ok(())
    }

    /// Sets the row of a key.
    pub fn put(&mut self, group: u8, key: &[u8], row: RowRef<'_>) -> Result<(), StateError> {
        self.read_key(group, key)?;
        self.write(group, key, Some(Row::new(row)));
        Ok(())
    }

    /// Removes a key; nothing if it is not there.
    pub fn delete(&mut self, group: u8, key: &[u8]) -> Result<(), StateError> {
        self.read_key(group, key)?;
        self.change(group, key, |_| None);
        Ok(())
    }

    /// Adds to the weight of a key, in a table whose rows are one BIGINT; a key without an entry
    /// has weight 0, and at weight 0 the entry goes. Returns the weight before and after. Weights
    /// wrap at 64 bits.
    pub fn add_weight(
        &mut self,
        group: u8,
        key: &[u8],
        delta: i64,
    ) -> Result<(i64, i64), StateError> {
        debug_assert!(
            self.layout.len() == 1 && self.layout.types()[0].data == DataType::BigInt,
            "only a row of one BIGINT is a weight"
        );
        self.read_key(group, key)?;
        let column = self.layout.column(0);
        let sum = |old: Option<&Row>| {
            let old = old.map_or(0, |row| row.row().i64(column));
            (old, old.wrapping_add(delta))
        };
        let row = |weight: i64| {
            // Length, null bits, the column.
            let words = [24, 0, weight as u64];
            (weight != 0).then(|| Row::new(RowRef::new(&words)))
        };
        if delta == 0 {
            let old = self.tree.get(&Key::new(key)).and_then(|entry| entry.row.as_ref());
            return Ok(sum(old));
        }
        let mut weights = (0, delta);
        self.change(group, key, |old| {
            weights = sum(old);
            row(weights.1)
        });
        Ok(weights)
    }

    /// The entries of a group, or of all groups, with keys in the range, in key order.
    pub fn range(
        &mut self,
        group: Option<u8>,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<impl DoubleEndedIterator<Item = OrderedEntry<'_>>, StateError> {
        self.read_range(group, from, to)?;
        Ok(self.in_memory(group, from, to))
    }

    /// The entries of a group, or of all groups, whose keys begin with `prefix`, in key order.
    pub fn scan(
        &mut self,
        group: Option<u8>,
        prefix: &[u8],
    ) -> Result<impl DoubleEndedIterator<Item = OrderedEntry<'_>>, StateError> {
        let end = prefix_end(prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.read_range(group, Bound::Included(prefix), to)?;
        Ok(self.in_memory(group, Bound::Included(prefix), to))
    }

    /// Gives the entries of a group in the range, in key order, until `each` breaks. Reads little
    /// more of them from disk than it must.
    pub fn walk(
        &mut self,
        group: u8,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        mut each: impl FnMut(OrderedEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let mut start = from.map(<[u8]>::to_vec);
        loop {
            let from = start.as_ref().map(Vec::as_slice);
            let read = self.read_some(group, from, to)?;
            let until = read.as_deref().map_or(to, Bound::Included);
            for entry in self.in_memory(Some(group), from, until) {
                if each(entry).is_break() {
                    return Ok(());
                }
            }
            match read {
                Some(key) => start = Bound::Excluded(key),
                None => return Ok(()),
            }
        }
    }

    /// The first entry of a group in the range. Reads no more of it from disk than it must.
    pub fn first(
        &mut self,
        group: u8,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<Option<OrderedEntry<'_>>, StateError> {
        self.read_end(group, from, to, Direction::Forward)?;
        Ok(self.in_memory(Some(group), from, to).next())
    }

    /// The last entry of a group in the range. Reads no more of it from disk than it must.
    pub fn last(
        &mut self,
        group: u8,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<Option<OrderedEntry<'_>>, StateError> {
        self.read_end(group, from, to, Direction::Reverse)?;
        Ok(self.in_memory(Some(group), from, to).next_back())
    }

    /// Removes the entries of a group, or of all groups, in the range; calls `each` with them
    /// first, in key order. Those of earlier epochs that are not on disk leave the tree at once.
    pub fn drain(
        &mut self,
        group: Option<u8>,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        mut each: impl FnMut(OrderedEntry<'_>),
    ) -> Result<(), StateError> {
        self.read_range(group, from, to)?;
        if is_empty(from, to) {
            return Ok(());
        }
        let Self { tree, gone, touched, touched_keys, heap_bytes, epoch, .. } = self;
        let range = (from.map(Key::new), to.map(Key::new));
        let mut kept_bytes = 0;
        let left = tree.extract_if(range, |key, entry| {
            let Some(row) = &entry.row else { return false };
            let of = entry.marks.group();
            if group.is_some_and(|group| group != of) {
                return false;
            }
            each(OrderedEntry { group: of, key: key.bytes(), row: row.row() });
            if entry.marks.is_stored() || entry.epoch == *epoch {
                kept_bytes += row.heap_bytes();
                entry.replace(None, *epoch, key.bytes(), touched, touched_keys);
                return false;
            }
            gone.push((of, touched_keys.len(), key.bytes().len()));
            touched_keys.extend_from_slice(key.bytes());
            true
        });
        for (key, entry) in left {
            *heap_bytes -= key.heap_bytes() + entry.row.as_ref().map_or(0, Row::heap_bytes);
        }
        *heap_bytes -= kept_bytes;
        Ok(())
    }

    /// Keys in memory.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether no key is in memory.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// Memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.tree.len() * ENTRY_BYTES
            + self.heap_bytes
            + self.touched.len() * size_of::<Touched>()
            + self.gone.len() * size_of::<(u8, usize, usize)>()
            + self.touched_keys.len()
            + self.runs.as_ref().map_or(0, Runs::bytes)
    }

    fn in_memory<'t>(
        &'t self,
        group: Option<u8>,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = OrderedEntry<'t>> + Clone + use<'t> {
        let range = (from.map(Key::new), to.map(Key::new));
        let entries = (!is_empty(from, to)).then(|| self.tree.range(range));
        entries.into_iter().flatten().filter_map(move |(key, entry)| {
            let row = entry.row.as_ref()?.row();
            let of = entry.marks.group();
            let wanted = group.is_none_or(|group| group == of);
            wanted.then(|| OrderedEntry { group: of, key: key.bytes(), row })
        })
    }

    /// Sets what a key is, and keeps what it was when the epoch began. What of it is on disk is
    /// in memory.
    fn write(&mut self, group: u8, key: &[u8], row: Option<Row>) {
        self.change(group, key, |_| row);
    }

    /// The same with what `make` makes of its row. Nothing if there is none and is to be none.
    fn change(&mut self, group: u8, key: &[u8], make: impl FnOnce(Option<&Row>) -> Option<Row>) {
        let Self { tree, heap_bytes, touched, touched_keys, epoch, .. } = self;
        match tree.entry(Key::new(key)) {
            btree_map::Entry::Occupied(mut entry) => {
                let entry = entry.get_mut();
                debug_assert_eq!(entry.marks.group(), group, "a key has one group for ever");
                let row = make(entry.row.as_ref());
                if row.is_none() && entry.row.is_none() {
                    return;
                }
                *heap_bytes += row.as_ref().map_or(0, Row::heap_bytes);
                *heap_bytes -= entry.row.as_ref().map_or(0, Row::heap_bytes);
                entry.replace(row, *epoch, key, touched, touched_keys);
            }
            btree_map::Entry::Vacant(place) => {
                let Some(row) = make(None) else { return };
                *heap_bytes += place.key().heap_bytes() + row.heap_bytes();
                let (marks, now) = (Marks::new(group, false, touched.len()), Some(row.clone()));
                note(touched, touched_keys, (group, key), Before::Absent, now);
                place.insert(Entry { epoch: *epoch, marks, row: Some(row) });
            }
        }
    }

    fn came_back(&mut self, group: u8, key: &[u8], row: RowRef<'_>) {
        self.only_on_disk[usize::from(group)].came_back();
        if let Some(runs) = &mut self.runs {
            runs.came_back(key);
        }
        self.insert_clean(group, key, row);
    }

    fn insert_clean(&mut self, group: u8, key: &[u8], row: RowRef<'_>) {
        let (key, row) = (Key::new(key), Row::new(row));
        self.heap_bytes += key.heap_bytes() + row.heap_bytes();
        let stored = self.disk.is_some();
        let marks = Marks::new(group, stored, PLACES);
        let old = self.tree.insert(key, Entry { epoch: 0, marks, row: Some(row) });
        debug_assert!(old.is_none(), "what is only on disk is not in memory");
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some((key, entry)) = self.tree.remove_entry(&Key::new(key)) {
            self.heap_bytes -= key.heap_bytes() + entry.row.as_ref().map_or(0, Row::heap_bytes);
        }
    }
}

/// What the store does with its ordered tables.
impl OrderedTable {
    /// Copies what the epoch changed, under this table number; begins the next. If it is `for_disk`
    /// as well, nothing else awaits to be handed out for the disk.
    pub(super) fn seal(&mut self, table: u32, for_disk: bool, out: &mut OverlayBuilder) {
        if !self.touched.is_empty() {
            self.last_touch = self.epoch;
        }
        // In the changelog what came last of a key counts, so these go first.
        for (group, at, len) in std::mem::take(&mut self.gone) {
            out.push(table, group, [&self.touched_keys[at..at + len], &[]], |_| {});
        }
        for (place, touched) in std::mem::take(&mut self.touched).into_iter().enumerate() {
            let Touched { key_at, key_len, group, before, mut now } = touched;
            let key = &self.touched_keys[key_at..key_at + key_len];
            // A mark stays only for what may still be on disk.
            if place >= PLACES || now.is_none() || for_disk {
                let of_tree = Key::new(key);
                let entry = self.tree.get_mut(&of_tree).expect("a touched key stays in the tree");
                now.clone_from(&entry.row);
                if now.is_some() && for_disk && self.disk.is_some() {
                    entry.marks.set_stored();
                }
                if now.is_none() && !entry.marks.is_stored() {
                    self.tree.remove(&of_tree);
                    self.heap_bytes -= of_tree.heap_bytes();
                }
            }
            let written = match (&now, &before) {
                (None, Before::Absent) => false,
                (Some(now), Before::Row(then)) => now.row().words() != then.row().words(),
                (Some(_), Before::Absent | Before::Gone)
                | (None, Before::Row(_) | Before::Gone) => true,
            };
            if written {
                out.push_row(table, group, key, now);
            }
        }
        self.touched_keys.clear();
        if for_disk {
            self.stored_until = self.epoch;
        }
        self.epoch += 1;
    }

    /// Copies what was changed in the sealed epochs since rows were last handed out for the disk.
    pub(super) fn seal_for_disk(&mut self, table: u32, out: &mut OverlayBuilder) {
        let since = std::mem::replace(&mut self.stored_until, self.epoch - 1);
        if self.last_touch <= since {
            return;
        }
        for (key, entry) in self.tree.iter_mut().filter(|(_, entry)| entry.epoch > since) {
            entry.marks.set_stored();
            out.push_row(table, entry.marks.group(), key.bytes(), entry.row.clone());
        }
    }

    /// Puts a key as a restored changelog has it; clean.
    pub(super) fn restore(&mut self, group: u8, key: &[u8], row: Option<RowRef<'_>>) {
        self.forget(key);
        if let Some(row) = row {
            self.insert_clean(group, key, row);
        }
    }

    /// There is more of a group on disk than was read.
    pub(super) fn more_on_disk(&mut self, group: u8) {
        self.only_on_disk[usize::from(group)].more();
    }

    /// Drops the mark of a key whose removal is on disk; `published` is the last epoch there.
    pub(super) fn bury(&mut self, key: &[u8], published: u32) {
        let is_mark = |entry: &Entry| entry.row.is_none() && entry.epoch <= published;
        if self.tree.get(&Key::new(key)).is_some_and(is_mark) {
            self.forget(key);
        }
    }

    /// Evicts the clean rows of whole key groups, in turn, about `want` bytes of them; returns the
    /// bytes freed. One pass over the tree for all groups together.
    pub(super) fn evict(&mut self, want: usize, published: u32) -> usize {
        let Some(disk) = &self.disk else { return 0 };
        let mut sizes = [0; 256];
        for (key, entry) in &self.tree {
            sizes[usize::from(entry.marks.group())] += clean_bytes(key, entry, published);
        }
        let (mut chosen, mut freed) = ([false; 256], 0);
        let start = disk.groups().partition_point(|&group| group < self.hand);
        let (before, after) = disk.groups().split_at(start);
        for &group in after.iter().chain(before) {
            if freed >= want {
                self.hand = group;
                break;
            }
            chosen[usize::from(group)] = true;
            freed += sizes[usize::from(group)];
        }
        let Self { only_on_disk, heap_bytes, runs, .. } = self;
        self.tree.retain(|key, entry| {
            let group = usize::from(entry.marks.group());
            let evicted = chosen[group] && clean_bytes(key, entry, published) > 0;
            if evicted {
                only_on_disk[group].left();
                if let Some(runs) = runs {
                    runs.left(key.bytes());
                }
                *heap_bytes -= key.heap_bytes() + entry.row.as_ref().map_or(0, Row::heap_bytes);
            }
            !evicted
        });
        freed
    }
}

/// Memory that the eviction of an entry frees, bytes; 0: it must stay.
fn clean_bytes(key: &Key, entry: &Entry, published: u32) -> usize {
    match &entry.row {
        Some(row) if entry.epoch <= published => ENTRY_BYTES + key.heap_bytes() + row.heap_bytes(),
        Some(_) | None => 0,
    }
}

fn is_empty(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
    }
}

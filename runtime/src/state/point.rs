//! The point table: key bytes to one row, in a hash table whose values change in place.
//!
//! * Whole batches are looked up at once, so that memory is waited for once a batch.
//! * The first change of a key in an epoch keeps the row it had (`before`) and lists the slot
//!   (`touched`). `seal` copies the touched rows out and begins the next epoch.
//! * A key that is gone and may be on disk (`stored`) keeps its slot as a mark until its removal is
//!   there, for otherwise a miss would find the old row. One that never got there is forgotten.
//! * The key group of a key is that of its hash. Where the caller gives it (`KeyBatch::push_in`) it
//!   is known again from the record, and the hash from both.
//! * Rows not yet on disk, and rows touched in the epoch, are never evicted.

use std::ops::Range;
use std::sync::Arc;

use flow_ir::kernel::Blocks;
use flow_ir::row::{
    BatchBuilder, KeyBatch, RowLayout, RowRef, ValueMut, ValueRef, key_group, key_hash, key_hash_in,
};
use rocksdb::Direction;

use super::error::StateError;
use super::index::Index;
use super::overlay::OverlayBuilder;
use super::slots::{Slots, State};
use super::spill::{DiskTable, OnlyOnDisk};

/// Keys that are looked up side by side: about as many as lines of memory can be under way, times
/// the lines that a key needs, and few enough to stay in the first cache.
const BLOCK_KEYS: usize = 32;
/// A smaller table lies in the caches anyway, bytes.
const PREFETCH_TABLE_BYTES_MIN: usize = 256 << 10;

/// An entry of a point table. Good until the end of the batch that it was looked up for; that of a
/// touched entry until the epoch's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(u32);

impl SlotId {
    /// In a scratch table: how many keys came before it.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// What a touched key was when the epoch began.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// Nowhere.
    Absent,
    /// Gone, and its removal perhaps not on disk yet.
    Gone,
    /// A row in `before_words`.
    Row { at: usize, len: usize },
}

/// Key bytes to one row.
#[derive(Debug)]
pub struct PointTable {
    slots: Slots,
    index: Index,
    /// The epoch under way, from 1.
    epoch: u32,
    /// The last sealed epoch that touched anything; 0: none.
    last_touch: u32,
    /// The last epoch whose rows were handed out for the disk.
    stored_until: u32,
    touched: Vec<SlotId>,
    /// Beside `touched`.
    befores: Vec<Before>,
    before_words: Vec<u64>,
    disk: Option<DiskTable>,
    only_on_disk: OnlyOnDisk,
    /// The next slot that eviction looks at.
    hand: u32,
    /// What `lookup` found for each key of the batch.
    found: Vec<Option<SlotId>>,
}

impl PointTable {
    /// An empty table that lives for itself: nothing is sealed, evicted or read from disk.
    pub fn scratch(layout: Arc<RowLayout>) -> Self {
        Self::new(layout, None, 1)
    }

    /// An empty table, in this epoch.
    pub(super) fn new(layout: Arc<RowLayout>, disk: Option<DiskTable>, epoch: u32) -> Self {
        Self {
            slots: Slots::new(layout),
            index: Index::default(),
            epoch,
            last_touch: 0,
            stored_until: epoch - 1,
            touched: Vec::new(),
            befores: Vec::new(),
            before_words: Vec::new(),
            disk,
            only_on_disk: OnlyOnDisk::default(),
            hand: 0,
            found: Vec::new(),
        }
    }

    /// The layout of the values.
    pub fn layout(&self) -> &Arc<RowLayout> {
        self.slots.layout()
    }

    /// The entry of each key, in order. A key that is not there is inserted with all columns
    /// NULL: it is touched, and `is_new` until its value is first asked for.
    pub fn upsert(&mut self, keys: &KeyBatch, out: &mut Vec<SlotId>) -> Result<(), StateError> {
        self.lookup(keys)?;
        out.clear();
        for i in 0..keys.len() {
            // A key that comes twice in the batch was not there for either at first.
            let found = self.found[i].or_else(|| self.probe(keys.hash(i), keys.key(i)));
            let slot = match found {
                Some(slot) => self.revived(slot),
                None => self.inserted(keys.hash(i), keys.key(i)),
            };
            out.push(slot);
        }
        Ok(())
    }

    /// The entry of each key, in order, if it is there.
    pub fn find(
        &mut self,
        keys: &KeyBatch,
        out: &mut Vec<Option<SlotId>>,
    ) -> Result<(), StateError> {
        self.lookup(keys)?;
        out.clear();
        out.extend(self.found.iter().map(|found| found.filter(|&slot| self.is_live(slot))));
        Ok(())
    }

    /// The entry of one key, if it is there, in the group of its own hash. For batches use `find`.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<SlotId>, StateError> {
        let hash = key_hash(key);
        let found = match (self.probe(hash, key), &self.disk) {
            (None, Some(disk)) if self.only_on_disk.any() => {
                let row = disk.get(key_group(hash), key)?;
                row.map(|row| self.came_back(hash, key, RowRef::new(&row)))
            }
            (found, _) => found,
        };
        Ok(found.filter(|&slot| self.is_live(slot)))
    }

    /// Marks an entry as changed: at the first touch in an epoch the row that it has is kept for
    /// `before`. `value`, `set_row` and `remove` do it themselves.
    #[inline]
    pub fn touch(&mut self, slot: SlotId) {
        if self.slots.meta(slot.0).epoch != self.epoch {
            self.touch_first(slot);
        }
    }

    #[inline(never)]
    fn touch_first(&mut self, slot: SlotId) {
        let meta = self.slots.meta_mut(slot.0);
        meta.epoch = self.epoch;
        meta.touch = self.touched.len() as u32;
        let before = match meta.state {
            State::Live => {
                let at = self.before_words.len();
                self.slots.value(slot.0).append_row(&mut self.before_words);
                Before::Row { at, len: self.before_words.len() - at }
            }
            State::Gone => Before::Gone,
            State::Free => unreachable!("a slot is not used after it was given back"),
        };
        self.touched.push(slot);
        self.befores.push(before);
    }

    /// Whether `upsert` inserted the entry and nobody has asked for its value since.
    #[inline]
    pub fn is_new(&self, slot: SlotId) -> bool {
        self.slots.meta(slot.0).fresh
    }

    /// Whether the entry was inserted or changed in this epoch.
    #[inline]
    pub fn is_touched(&self, slot: SlotId) -> bool {
        self.slots.meta(slot.0).epoch == self.epoch
    }

    /// Whether the key is there: false after `remove`.
    #[inline]
    pub fn is_live(&self, slot: SlotId) -> bool {
        self.slots.meta(slot.0).state == State::Live
    }

    /// The key bytes of an entry.
    pub fn key(&self, slot: SlotId) -> &[u8] {
        self.slots.key(slot.0)
    }

    /// The value of an entry that is there, to change; touches it.
    #[inline]
    pub fn value(&mut self, slot: SlotId) -> ValueMut<'_> {
        self.touch(slot);
        debug_assert!(self.is_live(slot), "a removed entry has no value");
        self.slots.meta_mut(slot.0).fresh = false;
        self.slots.value_mut(slot.0)
    }

    /// The values of these entries, to change what is of fixed width in them; touches the entries.
    /// Fills `places` with where each lies.
    pub fn blocks<'t>(&'t mut self, slots: &[SlotId], places: &'t mut Vec<u32>) -> Blocks<'t> {
        places.clear();
        for &slot in slots {
            self.value(slot);
            places.push(slot.0);
        }
        self.slots.blocks(places)
    }

    /// The value of an entry, to read; all NULL after `remove`.
    #[inline]
    pub fn value_ref(&self, slot: SlotId) -> ValueRef<'_> {
        self.slots.value(slot.0)
    }

    /// Replaces the value by a row of the table's layout; touches the entry.
    pub fn set_row(&mut self, slot: SlotId, row: RowRef<'_>) {
        self.value(slot).set_row(row);
    }

    /// Writes the value's columns to the open row of `out`, the first into column `first`.
    pub fn write(&self, slot: SlotId, out: &mut BatchBuilder, first: usize) {
        self.slots.value(slot.0).write(out, first);
    }

    /// The row that a touched entry had when the epoch began; `None`: it was not there.
    pub fn before(&self, slot: SlotId) -> Option<RowRef<'_>> {
        let meta = self.slots.meta(slot.0);
        debug_assert_eq!(meta.epoch, self.epoch, "only touched entries keep what they were");
        match self.befores[meta.touch as usize] {
            Before::Absent | Before::Gone => None,
            Before::Row { at, len } => Some(RowRef::new(&self.before_words[at..at + len])),
        }
    }

    /// The entries touched in this epoch, in the order of their first touch; removed ones too.
    pub fn touched(&self) -> &[SlotId] {
        &self.touched
    }

    /// Removes the key; its slot stays listed among the touched until the epoch's end.
    pub fn remove(&mut self, slot: SlotId) {
        self.touch(slot);
        self.slots.clear_value(slot.0);
        let meta = self.slots.meta_mut(slot.0);
        meta.state = State::Gone;
        meta.fresh = false;
    }

    /// All entries that are there, in no order. Reads those only on disk into memory.
    pub fn entries(&mut self) -> Result<Vec<SlotId>, StateError> {
        self.read_all()?;
        Ok((0..self.slots.len()).map(SlotId).filter(|&slot| self.is_live(slot)).collect())
    }

    /// Forgets everything, keeps the buffers. For scratch tables.
    pub fn clear(&mut self) {
        debug_assert!(self.disk.is_none(), "a stored table is not forgotten");
        self.slots.clear();
        self.index.clear();
        self.end_epoch();
    }

    /// Keys in memory.
    pub fn len(&self) -> usize {
        self.slots.used()
    }

    /// Whether no key is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.slots.bytes() + self.index.bytes() + self.before_words.len() * 8
    }

    /// Fills `found`, for every key whether it is in memory or on disk.
    fn lookup(&mut self, keys: &KeyBatch) -> Result<(), StateError> {
        let mut found = std::mem::take(&mut self.found);
        found.clear();
        let large = self.slots.bytes() >= PREFETCH_TABLE_BYTES_MIN;
        for start in (0..keys.len()).step_by(BLOCK_KEYS) {
            let block = start..(start + BLOCK_KEYS).min(keys.len());
            if large {
                self.prefetch(keys, block.clone());
            }
            found.extend(block.map(|i| self.probe(keys.hash(i), keys.key(i))));
        }
        self.found = found;
        if self.only_on_disk.any() { self.read_back(keys) } else { Ok(()) }
    }

    /// Starts to load what the probes of a block will look at: first all buckets, then all slots,
    /// then all keys.
    fn prefetch(&self, keys: &KeyBatch, block: Range<usize>) {
        for i in block.clone() {
            self.index.prefetch(keys.hash(i));
        }
        let mut likely = [None; BLOCK_KEYS];
        for (i, likely) in block.zip(&mut likely) {
            *likely = self.index.find(keys.hash(i), |_| true);
            if let Some(slot) = *likely {
                self.slots.prefetch(slot);
            }
        }
        for slot in likely.into_iter().flatten() {
            self.slots.prefetch_key(slot);
        }
    }

    fn probe(&mut self, hash: u64, key: &[u8]) -> Option<SlotId> {
        let slot = self.index.find(hash, |slot| self.slots.key(slot) == key)?;
        let meta = self.slots.meta_mut(slot);
        if !meta.recent {
            meta.recent = true;
        }
        Some(SlotId(slot))
    }

    /// Reads the keys of the batch that are not in memory from disk, all at once.
    fn read_back(&mut self, keys: &KeyBatch) -> Result<(), StateError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let absent = (0..keys.len()).filter(|&i| self.found[i].is_none());
        let wanted = absent.map(|i| (i, key_group(keys.hash(i)), keys.key(i)));
        let mut rows = Vec::new();
        disk.multi_get(wanted, |i, row| rows.push((i, row.to_vec())))?;
        for (i, row) in &rows {
            self.came_back(keys.hash(*i), keys.key(*i), RowRef::new(row));
        }
        if !rows.is_empty() {
            for i in 0..keys.len() {
                if self.found[i].is_none() {
                    self.found[i] = self.probe(keys.hash(i), keys.key(i));
                }
            }
        }
        Ok(())
    }

    fn read_all(&mut self) -> Result<(), StateError> {
        let Some(disk) = self.disk.clone().filter(|_| self.only_on_disk.any()) else {
            return Ok(());
        };
        for &group in disk.groups() {
            disk.scan(group, &[], None, Direction::Forward, |key, row| {
                let hash = key_hash_in(group, key);
                if self.probe(hash, key).is_none() {
                    self.came_back(hash, key, RowRef::new(row));
                }
                std::ops::ControlFlow::Continue(())
            })?;
        }
        self.only_on_disk.none();
        Ok(())
    }

    fn came_back(&mut self, hash: u64, key: &[u8], row: RowRef<'_>) -> SlotId {
        self.only_on_disk.came_back();
        self.insert_clean(hash, key, row)
    }

    /// Inserts a key as it is on disk; it is not in memory.
    fn insert_clean(&mut self, hash: u64, key: &[u8], row: RowRef<'_>) -> SlotId {
        let slot = self.slots.take(hash, key, 0);
        self.index.insert(hash, slot);
        self.slots.value_mut(slot).set_row(row);
        self.slots.meta_mut(slot).stored = self.disk.is_some();
        SlotId(slot)
    }

    fn inserted(&mut self, hash: u64, key: &[u8]) -> SlotId {
        let slot = self.slots.take(hash, key, self.epoch);
        self.index.insert(hash, slot);
        let meta = self.slots.meta_mut(slot);
        meta.touch = self.touched.len() as u32;
        meta.fresh = true;
        self.touched.push(SlotId(slot));
        self.befores.push(Before::Absent);
        SlotId(slot)
    }

    fn revived(&mut self, slot: SlotId) -> SlotId {
        if !self.is_live(slot) {
            self.touch(slot);
            let meta = self.slots.meta_mut(slot.0);
            meta.state = State::Live;
            meta.fresh = true;
        }
        slot
    }

    fn end_epoch(&mut self) {
        self.touched.clear();
        self.befores.clear();
        self.before_words.clear();
    }
}

/// What the store does with its point tables.
impl PointTable {
    /// Copies what the epoch changed, under this table number and key prefix; begins the next. If
    /// it is `for_disk` as well, nothing else awaits to be handed out for the disk.
    pub(super) fn seal(
        &mut self,
        table: u32,
        prefix: &[u8],
        for_disk: bool,
        out: &mut OverlayBuilder,
    ) {
        let mut row = Vec::new();
        for i in 0..self.touched.len() {
            let slot = self.touched[i].0;
            let meta = self.slots.meta_mut(slot);
            meta.fresh = false;
            meta.stored |= for_disk && meta.state == State::Live && self.disk.is_some();
            let (state, stored) = (meta.state, meta.stored);
            row.clear();
            let written = match (state, self.befores[i]) {
                (State::Live, Before::Row { at, len }) => {
                    self.slots.value(slot).append_row(&mut row);
                    row != self.before_words[at..at + len]
                }
                (State::Live, Before::Absent | Before::Gone) => {
                    self.slots.value(slot).append_row(&mut row);
                    true
                }
                (State::Gone, Before::Row { .. } | Before::Gone) => true,
                (State::Gone, Before::Absent) => false,
                (State::Free, _) => unreachable!("a touched slot is not given back"),
            };
            if written {
                let parts = [prefix, self.slots.key(slot)];
                let group = key_group(self.slots.meta(slot).hash);
                out.push(table, group, parts, |words| words.extend_from_slice(&row));
            }
            // A mark stays only for what may still be on disk.
            if state == State::Gone && !stored {
                self.forget(slot);
            }
        }
        if !self.touched.is_empty() {
            self.last_touch = self.epoch;
        }
        self.end_epoch();
        if for_disk {
            self.stored_until = self.epoch;
        }
        self.epoch += 1;
        if self.slots.is_wasteful() {
            self.compact();
        }
    }

    /// Copies what was changed in the sealed epochs since rows were last handed out for the disk.
    pub(super) fn seal_for_disk(&mut self, table: u32, prefix: &[u8], out: &mut OverlayBuilder) {
        let since = std::mem::replace(&mut self.stored_until, self.epoch - 1);
        if self.last_touch <= since {
            return;
        }
        for slot in 0..self.slots.len() {
            let meta = self.slots.meta_mut(slot);
            if meta.epoch <= since || meta.state == State::Free {
                continue;
            }
            let (group, is_live) = (key_group(meta.hash), meta.state == State::Live);
            meta.stored = true;
            out.push(table, group, [prefix, self.slots.key(slot)], |words| {
                if is_live {
                    self.slots.value(slot).append_row(words);
                }
            });
        }
    }

    /// Adds the removal of every key that was there when the epoch began, and for the disk of every
    /// one that may be there: the table is about to be dropped.
    pub(super) fn seal_dropped(
        &mut self,
        table: u32,
        prefix: &[u8],
        out: &mut OverlayBuilder,
        on_disk: &mut OverlayBuilder,
    ) -> Result<(), StateError> {
        for slot in 0..self.slots.len() {
            let meta = self.slots.meta(slot);
            let touched = meta.epoch == self.epoch;
            let known = match (meta.state, touched) {
                (State::Free, _) | (State::Gone, false) => false,
                (State::Live, false) => true,
                (State::Live | State::Gone, true) => {
                    !matches!(self.befores[meta.touch as usize], Before::Absent)
                }
            };
            let (group, key) = (key_group(meta.hash), [prefix, self.slots.key(slot)]);
            if known {
                out.push(table, group, key, |_| {});
            }
            if meta.state != State::Free && meta.stored {
                on_disk.push(table, group, key, |_| {});
            }
        }
        let Some(disk) = self.disk.clone().filter(|_| self.only_on_disk.any()) else {
            return Ok(());
        };
        for &group in disk.groups() {
            disk.scan(group, &[], None, Direction::Forward, |key, _| {
                if self.probe(key_hash_in(group, key), key).is_none() {
                    out.push(table, group, [prefix, key], |_| {});
                    on_disk.push(table, group, [prefix, key], |_| {});
                }
                std::ops::ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }

    /// Puts a key as a restored changelog has it; clean.
    pub(super) fn restore(&mut self, group: u8, key: &[u8], row: Option<RowRef<'_>>) {
        let hash = key_hash_in(group, key);
        match (self.probe(hash, key), row) {
            (Some(slot), Some(row)) => self.slots.value_mut(slot.0).set_row(row),
            (Some(slot), None) => self.forget(slot.0),
            (None, Some(row)) => {
                self.insert_clean(hash, key, row);
            }
            (None, None) => {}
        }
    }

    /// There is more on disk than was read.
    pub(super) fn more_on_disk(&mut self) {
        self.only_on_disk.more();
    }

    /// Drops the mark of a key whose removal is on disk; `published` is the last epoch there.
    pub(super) fn bury(&mut self, group: u8, key: &[u8], published: u32) {
        let hash = key_hash_in(group, key);
        if let Some(slot) = self.index.find(hash, |slot| self.slots.key(slot) == key) {
            let meta = self.slots.meta(slot);
            if meta.state == State::Gone && meta.epoch <= published {
                self.forget(slot);
            }
        }
    }

    /// Evicts clean rows until `want` bytes are free or none is left; returns the bytes freed. The
    /// hand goes round: a row that was used since it last passed gets a second chance.
    pub(super) fn evict(&mut self, want: usize, published: u32) -> usize {
        let (slots, mut freed) = (self.slots.len(), 0);
        for _ in 0..2 * u64::from(slots) {
            if freed >= want {
                break;
            }
            let slot = self.hand % slots;
            self.hand = (slot + 1) % slots;
            let meta = self.slots.meta_mut(slot);
            if meta.state != State::Live || meta.epoch > published {
                continue;
            }
            if std::mem::take(&mut meta.recent) {
                continue;
            }
            freed += self.slots.bytes_of(slot);
            self.forget(slot);
            self.only_on_disk.left();
        }
        freed
    }

    /// The last sealed epoch that touched any row, or 0.
    pub(super) fn last_touch(&self) -> u32 {
        self.last_touch
    }

    fn forget(&mut self, slot: u32) {
        self.index.remove(self.slots.meta(slot).hash, slot);
        self.slots.release(slot);
    }

    fn compact(&mut self) {
        self.slots = self.slots.compacted();
        self.index = Index::default();
        self.hand = 0;
        for slot in 0..self.slots.len() {
            self.index.insert(self.slots.meta(slot).hash, slot);
        }
    }
}

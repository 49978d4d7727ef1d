//! Where a point table's entries lie: per slot a `Meta`, the fixed words of its value in a slab of
//! equal strides, its key in an arena; variable columns are in a heap. Slots are reused; the arena
//! is not, until `compact` copies what is left.

use std::sync::Arc;

use flow_ir::kernel::Blocks;
use flow_ir::row::{RowLayout, RowRef, ValueMut, ValueRef, VarHeap};
use flow_ir::types::Slot;

use super::prefetch::prefetch;

/// Dead key bytes, or bytes of free slots, under which compaction is not worth it.
const WASTE_BYTES_MIN: usize = 1 << 20;
/// What a variable value takes beside its bytes: its cell and the allocator's share.
const CELL_BYTES: usize = 40;

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Free,
    /// A key with its value.
    Live,
    /// A key that is gone, but perhaps still on disk.
    Gone,
}

/// What is known of a slot without its key and value.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) hash: u64,
    /// In units of eight bytes.
    key_at: u32,
    key_len: u32,
    /// The epoch that touched it last; 0: none since it was read from disk.
    pub(super) epoch: u32,
    /// Its place among the touched of that epoch.
    pub(super) touch: u32,
    pub(super) state: State,
    /// Inserted, and its value not yet set.
    pub(super) fresh: bool,
    /// Used since the eviction hand last passed.
    pub(super) recent: bool,
    /// A row of the key may be on disk.
    pub(super) stored: bool,
}

/// The entries of a point table.
#[derive(Debug)]
pub(super) struct Slots {
    layout: Arc<RowLayout>,
    /// The fixed words of a value whose columns are all NULL.
    blank: Vec<u64>,
    metas: Vec<Meta>,
    words: Vec<u64>,
    keys: Vec<u8>,
    heap: VarHeap,
    free: Vec<u32>,
    /// Bytes of the keys in use, padding included.
    key_bytes: usize,
    /// Variable columns in use, at most.
    var_cells: usize,
}

impl Slots {
    /// No slots, for values of this layout.
    pub(super) fn new(layout: Arc<RowLayout>) -> Self {
        let mut blank = vec![0; layout.fixed_words()];
        for column in layout.columns() {
            blank[column.null_word as usize] |= column.null_mask;
        }
        Self {
            var_cells: layout.columns().iter().filter(|c| c.slot == Slot::Var).count(),
            layout,
            blank,
            metas: Vec::new(),
            words: Vec::new(),
            keys: Vec::new(),
            heap: VarHeap::default(),
            free: Vec::new(),
            key_bytes: 0,
        }
    }

    /// The layout of the values.
    pub(super) fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }

    /// Slots, free ones too.
    pub(super) fn len(&self) -> u32 {
        self.metas.len() as u32
    }

    /// Slots in use.
    pub(super) fn used(&self) -> usize {
        self.metas.len() - self.free.len()
    }

    /// Bytes of the slots in use.
    pub(super) fn bytes(&self) -> usize {
        self.used() * self.slot_bytes() + self.key_bytes + self.heap.bytes()
    }

    /// What is known of a slot.
    #[inline]
    pub(super) fn meta(&self, slot: u32) -> &Meta {
        &self.metas[slot as usize]
    }

    /// The same, to change.
    #[inline]
    pub(super) fn meta_mut(&mut self, slot: u32) -> &mut Meta {
        &mut self.metas[slot as usize]
    }

    /// The key of a slot.
    #[inline]
    pub(super) fn key(&self, slot: u32) -> &[u8] {
        let meta = self.meta(slot);
        let start = meta.key_at as usize * 8;
        &self.keys[start..start + meta.key_len as usize]
    }

    /// The value of a slot.
    #[inline]
    pub(super) fn value(&self, slot: u32) -> ValueRef<'_> {
        let at = slot as usize * self.blank.len();
        ValueRef::new(&self.layout, &self.words[at..at + self.blank.len()], &self.heap)
    }

    /// The value of a slot, to change.
    #[inline]
    pub(super) fn value_mut(&mut self, slot: u32) -> ValueMut<'_> {
        let at = slot as usize * self.blank.len();
        let words = &mut self.words[at..at + self.blank.len()];
        ValueMut::new(&self.layout, words, &mut self.heap)
    }

    /// The fixed words of all values, to change those of these slots.
    pub(super) fn blocks<'s>(&'s mut self, places: &'s [u32]) -> Blocks<'s> {
        Blocks { layout: &self.layout, words: &mut self.words, places }
    }

    /// Takes a slot for a key, live, its value all NULL.
    pub(super) fn take(&mut self, hash: u64, key: &[u8], epoch: u32) -> u32 {
        let key_at = u32::try_from(self.keys.len() / 8).expect("keys of a table stay < 32 GiB");
        let key_len = u32::try_from(key.len()).expect("a key stays < 4 GiB");
        self.keys.extend_from_slice(key);
        self.keys.resize(self.keys.len().next_multiple_of(8), 0);
        self.key_bytes += key.len().next_multiple_of(8);
        let state = State::Live;
        let meta = Meta {
            hash,
            key_at,
            key_len,
            epoch,
            touch: 0,
            state,
            fresh: false,
            recent: true,
            stored: false,
        };
        match self.free.pop() {
            Some(slot) => {
                self.metas[slot as usize] = meta;
                let at = slot as usize * self.blank.len();
                self.words[at..at + self.blank.len()].copy_from_slice(&self.blank);
                slot
            }
            None => {
                let slot = u32::try_from(self.metas.len()).expect("the index refuses more sooner");
                self.metas.push(meta);
                self.words.extend_from_slice(&self.blank);
                slot
            }
        }
    }

    /// Gives a slot back.
    pub(super) fn release(&mut self, slot: u32) {
        self.clear_value(slot);
        let meta = &mut self.metas[slot as usize];
        assert_ne!(meta.state, State::Free, "a slot is released once");
        meta.state = State::Free;
        self.key_bytes -= (meta.key_len as usize).next_multiple_of(8);
        self.free.push(slot);
    }

    /// Makes all columns of a value NULL.
    pub(super) fn clear_value(&mut self, slot: u32) {
        if self.var_cells > 0 {
            self.value_mut(slot).clear();
        } else {
            let at = slot as usize * self.blank.len();
            self.words[at..at + self.blank.len()].copy_from_slice(&self.blank);
        }
    }

    /// Memory that `release` would free, in bytes.
    pub(super) fn bytes_of(&self, slot: u32) -> usize {
        let key = (self.meta(slot).key_len as usize).next_multiple_of(8);
        let value = self.value(slot);
        let vars = self.layout.columns().iter().enumerate();
        let vars = vars.filter(|(_, column)| column.slot == Slot::Var);
        self.slot_bytes() + key + vars.map(|(i, _)| value.var(i).len()).sum::<usize>()
    }

    /// Forgets all slots, keeps the buffers.
    pub(super) fn clear(&mut self) {
        if self.var_cells > 0 {
            self.heap = VarHeap::default();
        }
        self.metas.clear();
        self.words.clear();
        self.keys.clear();
        self.free.clear();
        self.key_bytes = 0;
    }

    /// Starts to load the lines of a slot that a probe and an update need, but for the key.
    pub(super) fn prefetch(&self, slot: u32) {
        let at = slot as usize * self.blank.len();
        prefetch(&self.metas, slot as usize);
        prefetch(&self.words, at);
        prefetch(&self.words, at + self.blank.len() - 1);
    }

    /// Starts to load the line where a slot's key begins.
    pub(super) fn prefetch_key(&self, slot: u32) {
        prefetch(&self.keys, self.meta(slot).key_at as usize * 8);
    }

    /// Whether more than half of the memory is of no use.
    pub(super) fn is_wasteful(&self) -> bool {
        let dead = self.keys.len() - self.key_bytes + self.free.len() * self.slot_bytes();
        dead > WASTE_BYTES_MIN && dead > self.bytes()
    }

    /// The slots in use, copied together; slot numbers change.
    pub(super) fn compacted(&self) -> Self {
        let mut out = Self::new(self.layout.clone());
        let mut row = Vec::new();
        for slot in (0..self.len()).filter(|&slot| self.meta(slot).state != State::Free) {
            let meta = self.meta(slot);
            let new = out.take(meta.hash, self.key(slot), meta.epoch);
            let (state, recent, stored) = (meta.state, meta.recent, meta.stored);
            let copy = out.meta_mut(new);
            (copy.state, copy.recent, copy.stored) = (state, recent, stored);
            row.clear();
            self.value(slot).append_row(&mut row);
            out.value_mut(new).set_row(RowRef::new(&row));
        }
        out
    }

    fn slot_bytes(&self) -> usize {
        self.blank.len() * 8 + size_of::<Meta>() + self.var_cells * CELL_BYTES
    }
}

const _: () = assert!(size_of::<Meta>() == 32, "two slots share a cache line");

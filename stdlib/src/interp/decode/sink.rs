//! Where a value that was read goes: a column of the open row, or the next element of a container.

use flow_ir::row::{ArrayRef, BatchBuilder, ContainerBuilder};
use flow_ir::types::Slot;

use super::Bad;
use crate::host::HostOut;

/// Takes one value.
pub(super) trait Sink {
    fn null(&mut self) -> Result<(), Bad>;
    fn word(&mut self, value: u64);
    fn wide(&mut self, value: [u64; 2]);
    fn bytes(&mut self, value: &[u8]);
    fn container(&mut self, words: &[u64]);
}

/// A column of the open row. NULL sets nothing: rows begin so, and whether the column may be NULL
/// is asked once at the row's end.
pub(super) struct ColumnSink<'a> {
    pub(super) row: &'a mut BatchBuilder,
    pub(super) column: usize,
}

impl Sink for ColumnSink<'_> {
    fn null(&mut self) -> Result<(), Bad> {
        Ok(())
    }

    fn word(&mut self, value: u64) {
        self.row.set_word(self.column, value);
    }

    fn wide(&mut self, value: [u64; 2]) {
        self.row.set_wide(self.column, value);
    }

    fn bytes(&mut self, value: &[u8]) {
        self.row.set_bytes(self.column, value);
    }

    fn container(&mut self, words: &[u64]) {
        self.row.set_container(self.column, words);
    }
}

/// A value by itself.
impl Sink for HostOut<'_> {
    fn null(&mut self) -> Result<(), Bad> {
        Ok(())
    }

    fn word(&mut self, value: u64) {
        HostOut::word(self, value);
    }

    fn wide(&mut self, value: [u64; 2]) {
        HostOut::wide(self, value);
    }

    fn bytes(&mut self, value: &[u8]) {
        HostOut::bytes(self, value);
    }

    fn container(&mut self, words: &[u64]) {
        HostOut::container(self).extend_from_slice(words);
    }
}

/// What elements of a container are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    pub(super) slot: Slot,
    pub(super) nullable: bool,
}

/// The next element of a container.
pub(super) struct ElementSink<'a> {
    pub(super) elements: &'a mut ContainerBuilder,
    pub(super) element: Element,
}

impl Sink for ElementSink<'_> {
    fn null(&mut self) -> Result<(), Bad> {
        if !self.element.nullable {
            return Err(Bad::Null);
        }
        self.elements.push_null(self.element.slot);
        Ok(())
    }

    fn word(&mut self, value: u64) {
        self.elements.push_word(value);
    }

    fn wide(&mut self, value: [u64; 2]) {
        self.elements.push_wide(value);
    }

    fn bytes(&mut self, value: &[u8]) {
        self.elements.push_bytes(value);
    }

    fn container(&mut self, words: &[u64]) {
        self.elements.push_container(words);
    }
}

/// Collects a MAP with STRING keys in any order. Buffers are kept from map to map.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    pub(super) keys: ContainerBuilder,
    pub(super) values: ContainerBuilder,
    words: Vec<u64>,
    scratch: Vec<u64>,
    order: Vec<u32>,
}

impl MapBuilder {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
    }

    /// The map's words: keys ascending, of equal keys the last one's value. Key bytes of texts
    /// order as the texts do.
    pub(super) fn finish(&mut self, value_slot: Slot, is_container: bool) -> &[u64] {
        self.scratch.clear();
        self.keys.finish_array(&mut self.scratch);
        let keys = ArrayRef::new(&self.scratch, Slot::Var);
        if (1..keys.len()).all(|i| keys.var(i - 1) < keys.var(i)) {
            self.words.clear();
            self.keys.finish_map(&self.values, &mut self.words);
            return &self.words;
        }
        self.sort(value_slot, is_container)
    }

    /// Copies the entries in the order of their keys. `scratch` holds the keys.
    fn sort(&mut self, value_slot: Slot, is_container: bool) -> &[u64] {
        let keys_end = self.scratch.len();
        self.values.finish_array(&mut self.scratch);
        let (keys, values) = self.scratch.split_at(keys_end);
        let (keys, values) = (ArrayRef::new(keys, Slot::Var), ArrayRef::new(values, value_slot));
        self.order.clear();
        self.order.extend(0..keys.len() as u32);
        let key = |i: u32| keys.var(i as usize);
        self.order.sort_unstable_by(|&a, &b| key(a).cmp(key(b)).then(b.cmp(&a)));
        self.order.dedup_by(|next, kept| key(*next) == key(*kept));
        self.keys.clear();
        self.values.clear();
        for &i in &self.order {
            self.keys.push_bytes(key(i));
            let i = i as usize;
            match value_slot {
                slot if values.is_null(i) => self.values.push_null(slot),
                Slot::Word => self.values.push_word(values.word(i)),
                Slot::Wide => self.values.push_wide(values.wide(i)),
                Slot::Var if is_container => self.values.push_container(values.container(i)),
                Slot::Var => self.values.push_bytes(values.var(i)),
            }
        }
        self.words.clear();
        self.keys.finish_map(&self.values, &mut self.words);
        &self.words
    }
}

//! Containers in a row's tail: ROW, ARRAY and MAP. `ContainerBuilder` collects slots and their
//! variable parts; `finish_*` lays them out with offsets from the container's own first word.

use super::{RowLayout, RowRef, pack_var, unpack_var, words_for};
use crate::types::{Slot, Type};

/// Collects the elements of one container, or the keys or values of a map.
#[derive(Clone, Debug, Default)]
pub struct ContainerBuilder {
    nulls: Vec<bool>,
    /// Slots of the elements; variable ones hold offsets into `tail`.
    slots: Vec<u64>,
    /// Which slots are variable.
    vars: Vec<u32>,
    tail: Vec<u64>,
}

impl ContainerBuilder {
    /// Elements so far.
    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.nulls.is_empty()
    }

    /// Forgets all elements, keeps the buffers.
    pub fn clear(&mut self) {
        self.nulls.clear();
        self.slots.clear();
        self.vars.clear();
        self.tail.clear();
    }

    /// The words of element `index` of elements that are all containers.
    pub fn container(&self, index: usize) -> &[u64] {
        let (offset, len) = unpack_var(self.slots[index]);
        &self.tail[offset / 8..(offset + len) / 8]
    }

    /// The word of element `index` of elements that are all of one word.
    pub fn word_mut(&mut self, index: usize) -> &mut u64 {
        &mut self.slots[index]
    }

    /// Adds NULL of a type with this slot.
    pub fn push_null(&mut self, slot: Slot) {
        self.nulls.push(true);
        self.slots.resize(self.slots.len() + slot.words(), 0);
    }

    /// Adds a one-word value.
    pub fn push_word(&mut self, value: u64) {
        self.nulls.push(false);
        self.slots.push(value);
    }

    /// Adds a two-word value, low word first.
    pub fn push_wide(&mut self, value: [u64; 2]) {
        self.nulls.push(false);
        self.slots.extend_from_slice(&value);
    }

    /// Adds a STRING, BYTES or JSON.
    pub fn push_bytes(&mut self, value: &[u8]) {
        let at = self.tail.len();
        self.push_var(value.len());
        self.tail.resize(at + words_for(value.len()), 0);
        bytemuck::cast_slice_mut(&mut self.tail[at..])[..value.len()].copy_from_slice(value);
    }

    /// Adds a ROW, ARRAY or MAP.
    pub fn push_container(&mut self, value: &[u64]) {
        self.push_var(value.len() * 8);
        self.tail.extend_from_slice(value);
    }

    fn push_var(&mut self, len: usize) {
        self.nulls.push(false);
        self.vars.push(self.slots.len() as u32);
        self.slots.push(pack_var(self.tail.len() * 8, len));
    }

    /// Appends the elements, one a column, as a ROW.
    pub fn finish_row(&self, out: &mut Vec<u64>) {
        let start = out.len();
        out.push(0);
        self.write_nulls(out);
        self.write_slots(out, start, 0);
        out.extend_from_slice(&self.tail);
        out[start] = ((out.len() - start) * 8) as u64;
    }

    /// Appends the elements as an ARRAY.
    pub fn finish_array(&self, out: &mut Vec<u64>) {
        let start = out.len();
        out.push(0);
        out.push(self.len() as u64);
        self.write_nulls(out);
        self.write_slots(out, start, 0);
        out.extend_from_slice(&self.tail);
        out[start] = ((out.len() - start) * 8) as u64;
    }

    /// Appends these keys and `values` as a MAP. Keys are unique, not NULL and ascend by their
    /// key bytes: the caller sorts (`push_value` and the decoders do).
    pub fn finish_map(&self, values: &ContainerBuilder, out: &mut Vec<u64>) {
        assert_eq!(self.len(), values.len(), "a value a key");
        let start = out.len();
        out.push(0);
        out.push(self.len() as u64);
        values.write_nulls(out);
        self.write_slots(out, start, values.slots.len());
        values.write_slots(out, start, self.tail.len());
        out.extend_from_slice(&self.tail);
        out.extend_from_slice(&values.tail);
        out[start] = ((out.len() - start) * 8) as u64;
    }

    fn write_nulls(&self, out: &mut Vec<u64>) {
        for chunk in self.nulls.chunks(64) {
            let word = chunk.iter().enumerate().fold(0, |w, (i, null)| w | (u64::from(*null) << i));
            out.push(word);
        }
    }

    /// Writes the slots; the tail of this builder will begin `words_between` words after them.
    fn write_slots(&self, out: &mut Vec<u64>, start: usize, words_between: usize) {
        let at = out.len();
        out.extend_from_slice(&self.slots);
        let tail = (out.len() - start + words_between) * 8;
        for &slot in &self.vars {
            let (offset, len) = unpack_var(self.slots[slot as usize]);
            out[at + slot as usize] = pack_var(tail + offset, len);
        }
    }
}

/// Elements of one slot kind inside a container. Reads outside give 0, empty or NULL.
#[derive(Clone, Copy, Debug)]
pub struct ArrayRef<'a> {
    words: &'a [u64],
    count: usize,
    /// Word where the null bits begin; `None`: no element is NULL.
    nulls_at: Option<usize>,
    slots_at: usize,
    slot: Slot,
}

/// A MAP in a tail.
#[derive(Clone, Copy, Debug)]
pub struct MapRef<'a> {
    words: &'a [u64],
    key: Slot,
    value: Slot,
}

impl<'a> ArrayRef<'a> {
    /// The array in `words`, with elements of this slot kind.
    pub fn new(words: &'a [u64], slot: Slot) -> Self {
        let count = count_of(words);
        let slots_at = 2 + count.div_ceil(64);
        Self { words, count, nulls_at: Some(2), slots_at, slot }
    }

    /// Elements.
    pub fn len(self) -> usize {
        self.count
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Whether element `index` (from 0) is NULL.
    pub fn is_null(self, index: usize) -> bool {
        self.nulls_at.is_some_and(|at| {
            self.words.get(at + index / 64).is_none_or(|w| w >> (index % 64) & 1 == 1)
        })
    }

    /// The word of a one-word element.
    pub fn word(self, index: usize) -> u64 {
        self.words.get(self.slots_at + index * self.slot.words()).copied().unwrap_or(0)
    }

    /// A two-word element, low word first.
    pub fn wide(self, index: usize) -> [u64; 2] {
        let at = self.slots_at + index * 2;
        match self.words.get(at..at + 2) {
            Some(words) => [words[0], words[1]],
            None => [0, 0],
        }
    }

    /// The bytes of a variable element.
    pub fn var(self, index: usize) -> &'a [u8] {
        let (offset, len) = unpack_var(self.word(index));
        bytemuck::cast_slice(self.words).get(offset..offset + len).unwrap_or(&[])
    }

    /// The words of an element that is a container.
    pub fn container(self, index: usize) -> &'a [u64] {
        let (offset, len) = unpack_var(self.word(index));
        self.words.get(offset / 8..offset / 8 + len / 8).unwrap_or(&[])
    }

    pub(super) fn verify(self, item: &Type) -> bool {
        length_holds(self.words) && self.verify_slots(item)
    }

    fn verify_slots(self, item: &Type) -> bool {
        let end = self.count.checked_mul(self.slot.words()).map(|n| n + self.slots_at);
        end.is_some_and(|end| end <= self.words.len())
            && (self.slot != Slot::Var
                || (0..self.count).all(|i| {
                    let (offset, len) = unpack_var(self.word(i));
                    self.is_null(i)
                        || bytemuck::cast_slice::<u64, u8>(self.words)
                            .get(offset..offset.saturating_add(len))
                            .is_some_and(|bytes| {
                                super::batch::verify_value(bytes, offset, item, || {
                                    self.container(i)
                                })
                            })
                }))
    }
}

impl<'a> MapRef<'a> {
    /// The map in `words`, with keys and values of these slot kinds.
    pub fn new(words: &'a [u64], key: Slot, value: Slot) -> Self {
        Self { words, key, value }
    }

    /// Entries.
    pub fn len(self) -> usize {
        count_of(self.words)
    }

    /// Whether there is no entry.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The keys, in order.
    pub fn keys(self) -> ArrayRef<'a> {
        let count = self.len();
        let slots_at = 2 + count.div_ceil(64);
        ArrayRef { words: self.words, count, nulls_at: None, slots_at, slot: self.key }
    }

    /// The values, in the order of their keys.
    pub fn values(self) -> ArrayRef<'a> {
        let keys = self.keys();
        let slots_at = keys.slots_at + keys.count * self.key.words();
        ArrayRef { nulls_at: Some(2), slots_at, slot: self.value, ..keys }
    }

    pub(super) fn verify(self, key: &Type, value: &Type) -> bool {
        length_holds(self.words)
            && self.keys().verify_slots(key)
            && self.values().verify_slots(value)
    }
}

/// The count of an array or map; never more than its words could hold.
fn count_of(words: &[u64]) -> usize {
    words.get(1).map_or(0, |&count| (count as usize).min(words.len()))
}

fn length_holds(words: &[u64]) -> bool {
    words.len() >= 2 && words[0] == (words.len() * 8) as u64 && words[1] as usize <= words.len() - 2
}

/// The fields of a ROW in a tail.
pub(super) fn row_of(words: &[u64]) -> RowRef<'_> {
    RowRef::new(words)
}

/// The words of an ARRAY of these elements.
pub fn array_words(elements: &ContainerBuilder) -> Vec<u64> {
    let mut out = Vec::new();
    elements.finish_array(&mut out);
    out
}

/// The words of a MAP of these keys and values.
pub fn map_words(keys: &ContainerBuilder, values: &ContainerBuilder) -> Vec<u64> {
    let mut out = Vec::new();
    keys.finish_map(values, &mut out);
    out
}

/// The layout of a ROW's fields.
pub(super) fn fields_layout(fields: &[crate::types::Field]) -> RowLayout {
    RowLayout::new(fields.iter().map(|f| f.ty.clone()).collect::<Vec<_>>())
}

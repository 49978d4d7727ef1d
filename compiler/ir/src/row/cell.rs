//! Values that change in place: the fixed words of a row where they lie, the variable columns in a
//! heap beside. State tables keep accumulators so; `write` turns one into an ordinary row.

use super::{BatchBuilder, Column, RowLayout, RowRef, pack_var, words_for};
use crate::types::Slot;

/// Variable parts of many values, by handle. Handle 0 is the empty value and owns nothing.
#[derive(Debug, Default)]
pub struct VarHeap {
    cells: Vec<Vec<u8>>,
    free: Vec<u32>,
    bytes: usize,
}

impl VarHeap {
    /// Bytes of all parts.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes behind a handle.
    #[inline]
    pub fn get(&self, handle: u64) -> &[u8] {
        match handle {
            0 => &[],
            _ => &self.cells[handle as usize - 1],
        }
    }

    /// The bytes behind a handle, to change without changing their number.
    pub fn get_mut(&mut self, handle: u64) -> &mut [u8] {
        match handle {
            0 => &mut [],
            _ => &mut self.cells[handle as usize - 1],
        }
    }

    /// Replaces the bytes behind a handle and gives the handle that now holds them.
    pub fn set(&mut self, handle: u64, value: &[u8]) -> u64 {
        let handle = match (handle, self.free.pop()) {
            (0, Some(free)) => u64::from(free) + 1,
            (0, None) => {
                self.cells.push(Vec::new());
                self.cells.len() as u64
            }
            (used, free) => {
                self.free.extend(free);
                used
            }
        };
        let cell = &mut self.cells[handle as usize - 1];
        self.bytes = self.bytes - cell.len() + value.len();
        cell.clear();
        cell.extend_from_slice(value);
        handle
    }

    /// Gives a handle's cell back.
    pub fn release(&mut self, handle: u64) {
        if handle == 0 {
            return;
        }
        let cell = &mut self.cells[handle as usize - 1];
        self.bytes -= cell.len();
        *cell = Vec::new();
        self.free.push(handle as u32 - 1);
    }
}

/// A value in place. Its words are laid out as `RowLayout` says, except that word 0 is unused and a
/// variable slot holds a heap handle.
#[derive(Debug)]
pub struct ValueMut<'a> {
    layout: &'a RowLayout,
    words: &'a mut [u64],
    heap: &'a mut VarHeap,
}

impl<'a> ValueMut<'a> {
    /// The value in `words` (`layout.fixed_words()` of them).
    #[inline]
    pub fn new(layout: &'a RowLayout, words: &'a mut [u64], heap: &'a mut VarHeap) -> Self {
        assert_eq!(words.len(), layout.fixed_words(), "the words are of this layout");
        Self { layout, words, heap }
    }

    /// Where a column lies.
    pub fn column(&self, index: usize) -> Column {
        self.layout.column(index)
    }

    /// Where the columns lie, and the words that they lie in: for columns of fixed width.
    #[inline]
    pub fn fixed(&mut self) -> (&[Column], &mut [u64]) {
        (self.layout.columns(), self.words)
    }

    /// Makes every column NULL. To be called once on fresh words.
    pub fn clear(&mut self) {
        for index in 0..self.layout.len() {
            self.set_null(index);
        }
    }

    /// Whether a column is NULL.
    #[inline]
    pub fn is_null(&self, index: usize) -> bool {
        let column = self.layout.column(index);
        self.words[column.null_word as usize] & column.null_mask != 0
    }

    /// Makes a column NULL.
    pub fn set_null(&mut self, index: usize) {
        let column = self.layout.column(index);
        let word = column.word as usize;
        if column.slot == Slot::Var {
            self.heap.release(self.words[word]);
        }
        self.words[word..word + column.slot.words()].fill(0);
        self.words[column.null_word as usize] |= column.null_mask;
    }

    /// A one-word column; 0 where it is NULL.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        self.words[self.layout.column(index).word as usize]
    }

    /// Sets a one-word column.
    #[inline]
    pub fn set_word(&mut self, index: usize, value: u64) {
        let word = self.not_null(index);
        self.words[word] = value;
    }

    /// Adds to a one-word column, which is 0 where it is NULL. Wraps at 64 bits.
    #[inline]
    pub fn add_word(&mut self, index: usize, more: u64) {
        let word = self.not_null(index);
        self.words[word] = self.words[word].wrapping_add(more);
    }

    /// A two-word column as a 128-bit integer; 0 where it is NULL.
    #[inline]
    pub fn i128(&self, index: usize) -> i128 {
        let word = self.layout.column(index).word as usize;
        i128::from(self.words[word]) | (i128::from(self.words[word + 1] as i64) << 64)
    }

    /// Sets a two-word column.
    #[inline]
    pub fn set_i128(&mut self, index: usize, value: i128) {
        let word = self.not_null(index);
        self.words[word] = value as u64;
        self.words[word + 1] = (value >> 64) as u64;
    }

    /// A variable column; empty where it is NULL.
    #[inline]
    pub fn var(&self, index: usize) -> &[u8] {
        self.heap.get(self.word(index))
    }

    /// A variable column, to change without changing its length; empty where it is NULL.
    pub fn var_mut(&mut self, index: usize) -> &mut [u8] {
        self.heap.get_mut(self.words[self.layout.column(index).word as usize])
    }

    /// Sets a variable column.
    pub fn set_var(&mut self, index: usize, value: &[u8]) {
        let word = self.not_null(index);
        self.words[word] = self.heap.set(self.words[word], value);
    }

    /// Replaces all columns by those of a row of the same layout.
    pub fn set_row(&mut self, row: RowRef<'_>) {
        for index in 0..self.layout.len() {
            let column = self.layout.column(index);
            match column.slot {
                _ if row.is_null(column) => self.set_null(index),
                Slot::Word => self.set_word(index, row.word(column)),
                Slot::Wide => {
                    let [low, high] = row.wide(column);
                    self.set_i128(index, i128::from(low) | (i128::from(high as i64) << 64));
                }
                Slot::Var => self.set_var(index, row.var(column)),
            }
        }
    }

    /// Writes the columns to the open row of `out`, the first into column `first`.
    pub fn write(&self, out: &mut BatchBuilder, first: usize) {
        self.as_ref().write(out, first);
    }

    /// The value, to read.
    pub fn as_ref(&self) -> ValueRef<'_> {
        ValueRef { layout: self.layout, words: self.words, heap: self.heap }
    }

    #[inline]
    fn not_null(&mut self, index: usize) -> usize {
        let column = self.layout.column(index);
        self.words[column.null_word as usize] &= !column.null_mask;
        column.word as usize
    }
}

/// A value in place, to read.
#[derive(Clone, Copy, Debug)]
pub struct ValueRef<'a> {
    layout: &'a RowLayout,
    words: &'a [u64],
    heap: &'a VarHeap,
}

impl<'a> ValueRef<'a> {
    /// The value in `words` (`layout.fixed_words()` of them).
    #[inline]
    pub fn new(layout: &'a RowLayout, words: &'a [u64], heap: &'a VarHeap) -> Self {
        assert_eq!(words.len(), layout.fixed_words(), "the words are of this layout");
        Self { layout, words, heap }
    }

    /// Whether a column is NULL.
    #[inline]
    pub fn is_null(self, index: usize) -> bool {
        let column = self.layout.column(index);
        self.words[column.null_word as usize] & column.null_mask != 0
    }

    /// A one-word column; 0 where it is NULL.
    #[inline]
    pub fn word(self, index: usize) -> u64 {
        self.words[self.layout.column(index).word as usize]
    }

    /// A two-word column as a 128-bit integer; 0 where it is NULL.
    #[inline]
    pub fn i128(self, index: usize) -> i128 {
        let word = self.layout.column(index).word as usize;
        i128::from(self.words[word]) | (i128::from(self.words[word + 1] as i64) << 64)
    }

    /// A variable column; empty where it is NULL.
    #[inline]
    pub fn var(self, index: usize) -> &'a [u8] {
        self.heap.get(self.word(index))
    }

    /// Writes the columns to the open row of `out`, the first into column `first`.
    pub fn write(self, out: &mut BatchBuilder, first: usize) {
        for index in 0..self.layout.len() {
            if self.is_null(index) {
                continue;
            }
            match self.layout.column(index).slot {
                Slot::Word => out.set_word(first + index, self.word(index)),
                Slot::Wide => {
                    let word = self.layout.column(index).word as usize;
                    out.set_wide(first + index, [self.words[word], self.words[word + 1]]);
                }
                Slot::Var => out.set_bytes(first + index, self.var(index)),
            }
        }
    }

    /// Appends the value as a row, its tail in the order of the columns: equal values give equal
    /// words.
    pub fn append_row(self, out: &mut Vec<u64>) {
        let start = out.len();
        out.extend_from_slice(self.words);
        for (index, column) in self.layout.columns().iter().enumerate() {
            if column.slot == Slot::Var && !self.is_null(index) {
                let (value, tail) = (self.var(index), out.len());
                out[start + column.word as usize] = pack_var((tail - start) * 8, value.len());
                out.resize(tail + words_for(value.len()), 0);
                bytemuck::cast_slice_mut(&mut out[tail..])[..value.len()].copy_from_slice(value);
            }
        }
        out[start] = ((out.len() - start) * 8) as u64;
    }
}

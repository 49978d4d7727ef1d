//! The only writer of batches. A row begins with every column NULL; setting a column clears its
//! null bit; `finish` closes the row, `abandon` forgets it. Buffers are reused from batch to batch.

use std::sync::Arc;

use super::{RowBatch, RowLayout, RowRef, pack_var};
use crate::types::Slot;

/// Writes rows of one layout.
#[derive(Debug)]
pub struct BatchBuilder {
    layout: Arc<RowLayout>,
    /// The fixed words of a row whose columns are all NULL.
    blank: Vec<u64>,
    words: Vec<u64>,
    starts: Vec<u32>,
    weights: Option<Vec<i64>>,
}

impl BatchBuilder {
    /// A builder of rows of this layout.
    pub fn new(layout: Arc<RowLayout>) -> Self {
        let mut blank = vec![0; layout.fixed_words()];
        for column in layout.columns() {
            blank[column.null_word as usize] |= column.null_mask;
        }
        Self { layout, blank, words: Vec::new(), starts: vec![0], weights: None }
    }

    /// The layout of the rows.
    pub fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }

    /// Finished rows.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether no row is finished.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes written.
    pub fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// Begins a row with every column NULL.
    #[inline]
    pub fn begin(&mut self) {
        debug_assert_eq!(self.start(), self.words.len(), "the last row was finished or abandoned");
        self.words.extend_from_slice(&self.blank);
    }

    /// Sets a one-word column.
    #[inline]
    pub fn set_word(&mut self, column: usize, value: u64) {
        let at = self.not_null(column, Slot::Word);
        self.words[at] = value;
    }

    /// Sets a column of a signed one-word type.
    #[inline]
    pub fn set_i64(&mut self, column: usize, value: i64) {
        self.set_word(column, value as u64);
    }

    /// Sets a REAL or DOUBLE column.
    #[inline]
    pub fn set_f64(&mut self, column: usize, value: f64) {
        self.set_word(column, value.to_bits());
    }

    /// Sets a two-word column, low word first.
    #[inline]
    pub fn set_wide(&mut self, column: usize, value: [u64; 2]) {
        let at = self.not_null(column, Slot::Wide);
        self.words[at..at + 2].copy_from_slice(&value);
    }

    /// Sets a STRING, BYTES or JSON column.
    #[inline]
    pub fn set_bytes(&mut self, column: usize, value: &[u8]) {
        let at = self.not_null(column, Slot::Var);
        self.words[at] = pack_var((self.words.len() - self.start()) * 8, value.len());
        let (whole, rest) = value.as_chunks::<8>();
        self.words.extend(whole.iter().map(|word| u64::from_ne_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.words.push(u64::from_ne_bytes(last));
        }
    }

    /// Sets a ROW, ARRAY or MAP column to a container's words.
    pub fn set_container(&mut self, column: usize, value: &[u64]) {
        let at = self.not_null(column, Slot::Var);
        self.words[at] = pack_var((self.words.len() - self.start()) * 8, value.len() * 8);
        self.words.extend_from_slice(value);
    }

    /// Copies a column of a row of another layout, whose slot is of the same kind.
    pub fn copy_column(&mut self, column: usize, row: RowRef<'_>, from: super::Column) {
        if row.is_null(from) {
            return;
        }
        match from.slot {
            Slot::Word => self.set_word(column, row.word(from)),
            Slot::Wide => self.set_wide(column, row.wide(from)),
            Slot::Var => self.set_bytes(column, row.var(from)),
        }
    }

    /// The words of the open row so far, for writers that keep its layout at hand.
    #[inline]
    pub fn open_row(&mut self) -> &mut [u64] {
        let start = self.start();
        &mut self.words[start..]
    }

    /// Sets a one-word column whose place the caller looked up before.
    #[inline]
    pub fn set_word_at(&mut self, column: super::Column, value: u64) {
        let row = self.open_row();
        row[column.word as usize] = value;
        row[column.null_word as usize] &= !column.null_mask;
    }

    /// Writes the open row's length and gives its words, to be copied as a ROW into a container;
    /// the row stays open.
    pub fn seal(&mut self) -> &[u64] {
        let row = self.open_row();
        row[0] = (row.len() * 8) as u64;
        row
    }

    /// Closes the row.
    #[inline]
    pub fn finish(&mut self, weight: i64) {
        let start = self.start();
        self.words[start] = ((self.words.len() - start) * 8) as u64;
        self.close(weight);
    }

    /// Forgets the row that was begun.
    #[inline]
    pub fn abandon(&mut self) {
        self.words.truncate(self.start());
    }

    /// Appends a whole row of this layout.
    pub fn push_row(&mut self, row: RowRef<'_>, weight: i64) {
        self.words.extend_from_slice(row.words());
        self.close(weight);
    }

    /// Appends all rows of a batch of this layout, with their weights.
    pub fn push_batch(&mut self, batch: &RowBatch) {
        for (i, row) in batch.rows().enumerate() {
            self.push_row(row, batch.weight(i));
        }
    }

    /// Takes the finished rows as a batch; the builder starts anew.
    pub fn take(&mut self) -> RowBatch {
        debug_assert_eq!(self.start(), self.words.len(), "no row is open");
        let rows = self.starts.len();
        let words = std::mem::replace(&mut self.words, Vec::with_capacity(0));
        let starts = std::mem::replace(&mut self.starts, Vec::with_capacity(rows));
        self.starts.push(0);
        RowBatch::from_parts(self.layout.clone(), words, starts, self.weights.take())
    }

    /// Gives the buffers of a spent batch back, so that the next rows need no allocation.
    pub fn recycle(&mut self, batch: RowBatch) {
        if !self.words.is_empty() || self.starts.len() > 1 {
            return;
        }
        let (mut words, mut starts, _) = batch.into_buffers();
        words.clear();
        starts.clear();
        starts.push(0);
        self.words = words;
        self.starts = starts;
    }

    #[inline]
    fn start(&self) -> usize {
        self.starts[self.starts.len() - 1] as usize
    }

    #[inline]
    fn not_null(&mut self, column: usize, slot: Slot) -> usize {
        let column = self.layout.column(column);
        debug_assert_eq!(column.slot, slot, "the slot is of the column's kind");
        let start = self.start();
        self.words[start + column.null_word as usize] &= !column.null_mask;
        start + column.word as usize
    }

    #[inline]
    fn close(&mut self, weight: i64) {
        let end = u32::try_from(self.words.len()).expect("a batch stays under 32 GiB");
        self.starts.push(end);
        match &mut self.weights {
            Some(weights) => weights.push(weight),
            None if weight == 1 => {}
            None => {
                let mut weights = vec![1; self.starts.len() - 2];
                weights.push(weight);
                self.weights = Some(weights);
            }
        }
    }
}

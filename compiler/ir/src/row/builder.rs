//! The only writer of batches. A row begins with every column NULL; setting a column clears its
//! null bit; `finish` closes the row, `abandon` forgets it. Buffers are reused from batch to batch.
//! A builder may be given a limit: rows beyond it are left out, and that is told.

use std::sync::Arc;

use super::{Column, RowBatch, RowLayout, RowRef, pack_var, unpack_var};
use crate::types::Slot;

/// Writes rows of one layout.
#[derive(Debug)]
pub struct BatchBuilder {
    layout: Arc<RowLayout>,
    /// The fixed words of a row whose columns are all NULL.
    blank: Vec<u64>,
    pub(super) words: Vec<u64>,
    /// First word of the open row: where the last finished row ends.
    pub(super) start: usize,
    pub(super) starts: Vec<u32>,
    pub(super) weights: Option<Vec<i64>>,
    /// Words that the finished rows may take.
    limit: usize,
    /// Whether a row was left out because of it.
    is_over: bool,
}

/// Words of a batch at most: it stays under 32 GiB.
const WORDS_MAX: usize = u32::MAX as usize;

impl BatchBuilder {
    /// A builder of rows of this layout.
    pub fn new(layout: Arc<RowLayout>) -> Self {
        let mut blank = vec![0; layout.fixed_words()];
        for column in layout.columns() {
            blank[column.null_word as usize] |= column.null_mask;
        }
        Self {
            layout,
            blank,
            words: Vec::new(),
            start: 0,
            starts: vec![0],
            weights: None,
            limit: WORDS_MAX,
            is_over: false,
        }
    }

    /// From now on leaves out rows that would make it more than these bytes; `is_over` tells.
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit = (bytes / 8).min(WORDS_MAX - 1);
    }

    /// Whether rows were left out since the builder was made: what it has is then of no use.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Adds a row so often, each time with weight 1. Ends where the limit is reached: `is_over`.
    pub fn push_copies(&mut self, row: RowRef<'_>, times: i64) {
        for _ in 0..times {
            if self.is_over {
                return;
            }
            self.push_row(row, 1);
        }
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

    /// Makes room for rows of so many bytes.
    pub fn reserve(&mut self, bytes: usize) {
        self.words.reserve(bytes / 8);
    }

    /// Bytes written.
    pub fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// Begins a row with every column NULL.
    #[inline]
    pub fn begin(&mut self) {
        debug_assert_eq!(self.start, self.words.len(), "the last row was finished or abandoned");
        self.words.extend_from_slice(&self.blank);
    }

    /// Begins a row with fixed words that the caller made: null bits, and slots where they are
    /// clear.
    #[inline]
    pub fn begin_with(&mut self, fixed: impl ExactSizeIterator<Item = u64>) {
        debug_assert_eq!(self.start, self.words.len(), "the last row was finished or abandoned");
        debug_assert_eq!(fixed.len(), self.blank.len(), "all fixed words are given");
        self.words.extend(fixed);
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
        self.words[at] = pack_var((self.words.len() - self.start) * 8, value.len());
        append_padded(&mut self.words, value);
    }

    /// Sets a ROW, ARRAY or MAP column to a container's words.
    pub fn set_container(&mut self, column: usize, value: &[u64]) {
        let at = self.not_null(column, Slot::Var);
        self.words[at] = pack_var((self.words.len() - self.start) * 8, value.len() * 8);
        self.words.extend_from_slice(value);
    }

    /// Copies a column of a row of another layout, whose slot is of the same kind.
    pub fn copy_column(&mut self, column: usize, row: RowRef<'_>, from: Column) {
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
        &mut self.words[self.start..]
    }

    /// Makes a column NULL again.
    pub fn set_null(&mut self, column: Column) {
        let row = self.open_row();
        row[column.null_word as usize] |= column.null_mask;
        row[column.word as usize..][..column.slot.words()].fill(0);
    }

    /// Moves texts into the tail and checks that they are UTF-8. The slots of these STRING columns,
    /// where they are not NULL, say as `pack_var` does how far before the end of `from` their texts
    /// begin, and their lengths. `false`, with the tail as it was, if one is not UTF-8.
    #[inline(always)]
    #[must_use]
    pub fn put_texts(&mut self, columns: &[Column], from: &[u8]) -> bool {
        const NOT_ASCII: u64 = 0x8080_8080_8080_8080;
        let before = self.words.len();
        for column in columns {
            let row = &self.words[self.start..];
            if row[column.null_word as usize] & column.null_mask != 0 {
                continue;
            }
            let slot = self.start + column.word as usize;
            let (before_end, len) = unpack_var(self.words[slot]);
            let end = self.words.len();
            let text = from.len().checked_sub(before_end).and_then(|at| from.get(at..at + len));
            let fits = text.is_some_and(|text| {
                let any = append_padded(&mut self.words, text);
                any & NOT_ASCII == 0 || std::str::from_utf8(text).is_ok()
            });
            if !fits {
                self.words.truncate(before);
                return false;
            }
            self.words[slot] = pack_var((end - self.start) * 8, len);
        }
        true
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
        self.words[self.start] = ((self.words.len() - self.start) * 8) as u64;
        self.close(weight);
    }

    /// Forgets the row that was begun.
    #[inline]
    pub fn abandon(&mut self) {
        self.words.truncate(self.start);
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
        debug_assert_eq!(self.start, self.words.len(), "no row is open");
        let rows = self.starts.len();
        let words = std::mem::replace(&mut self.words, Vec::with_capacity(0));
        let starts = std::mem::replace(&mut self.starts, Vec::with_capacity(rows));
        self.starts.push(0);
        self.start = 0;
        RowBatch::from_parts(self.layout.clone(), words, starts, self.weights.take())
    }

    /// Appends all rows of a batch of this layout and gives a spent batch back for its buffers. An
    /// empty builder takes them over without a copy.
    pub fn append(&mut self, batch: RowBatch) -> RowBatch {
        if self.is_empty() && self.words.is_empty() {
            let spent = self.take();
            let (words, starts, weights) = batch.into_buffers();
            self.start = words.len();
            (self.words, self.starts, self.weights) = (words, starts, weights);
            return spent;
        }
        self.push_batch(&batch);
        batch
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
    fn not_null(&mut self, column: usize, slot: Slot) -> usize {
        let column = self.layout.column(column);
        debug_assert_eq!(column.slot, slot, "the slot is of the column's kind");
        self.words[self.start + column.null_word as usize] &= !column.null_mask;
        self.start + column.word as usize
    }

    #[inline]
    fn close(&mut self, weight: i64) {
        if self.words.len() > self.limit {
            return self.leave_out();
        }
        self.starts.push(self.words.len() as u32);
        self.start = self.words.len();
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

impl BatchBuilder {
    #[cold]
    fn leave_out(&mut self) {
        assert!(self.limit < WORDS_MAX, "a batch without a limit stays under 32 GiB");
        self.words.truncate(self.start);
        self.is_over = true;
    }
}

/// Appends bytes as words, the last one padded with zeros; gives the OR of those words.
#[inline]
pub(super) fn append_padded(words: &mut Vec<u64>, bytes: &[u8]) -> u64 {
    let (whole, rest) = bytes.as_chunks::<8>();
    let mut any = 0;
    words.extend(whole.iter().map(|word| {
        let word = u64::from_ne_bytes(*word);
        any |= word;
        word
    }));
    if !rest.is_empty() {
        let last = match bytes.last_chunk::<8>() {
            Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
            None => rest.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
        };
        words.push(last.to_le());
        any |= last;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{DataType, Type};

    #[test]
    fn bytes_of_every_length_are_padded_with_zeros() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in 0..=bytes.len() {
            let mut words = vec![7];
            let any = append_padded(&mut words, &bytes[..length]);
            let mut expected = bytes[..length].to_vec();
            expected.resize(length.next_multiple_of(8), 0);
            assert_eq!(bytemuck::cast_slice::<u64, u8>(&words[1..]), expected);
            assert_eq!(any, words[1..].iter().fold(0, |any, word| any | word));
        }
    }

    #[test]
    fn texts_are_checked_and_refused_ones_leave_the_tail_as_it_was() {
        let text = Type { data: DataType::String, nullable: true };
        let layout = Arc::new(RowLayout::new(vec![text.clone(), text.clone(), text]));
        let columns = [layout.column(0), layout.column(2)];
        let mut rows = BatchBuilder::new(layout.clone());
        let texts: [&[u8]; 5] = [b"", b"plain", "f\u{fc}r".as_bytes(), b"\xff", b"12345678\xc3"];
        for text in texts {
            let from = [b"ab", text].concat();
            rows.begin();
            rows.set_bytes(1, b"before");
            for (column, slot) in
                columns.iter().zip([pack_var(2 + text.len(), 2), pack_var(text.len(), text.len())])
            {
                rows.open_row()[column.word as usize] = slot;
                rows.open_row()[column.null_word as usize] &= !column.null_mask;
            }
            if !rows.put_texts(&columns, &from) {
                columns.iter().for_each(|column| rows.set_null(*column));
            }
            rows.finish(1);
        }
        let batch = rows.take();
        for (row, text) in batch.rows().zip(texts) {
            assert!(row.verify(&layout));
            let expected = std::str::from_utf8(text).ok();
            let read = |column: Column| (!row.is_null(column)).then(|| row.str(column));
            assert_eq!(read(columns[0]), expected.map(|_| "ab"));
            assert_eq!(read(columns[1]), expected);
            let tail = 1 + expected.map_or(0, |text| 1 + text.len().div_ceil(8));
            assert_eq!(row.words().len(), layout.fixed_words() + tail);
        }
    }
}

//! A batch of rows and checked reads from them. Reads never go outside the row: a slot that
//! points elsewhere (only possible in bytes that skipped `RowRef::verify`) reads as empty.

use std::sync::Arc;

use super::{ArrayRef, Column, MapRef, RowLayout, unpack_var};
use crate::types::{DataType, Slot, Type};

/// Rows end to end with their starts and, where the edge is not append-only, their weights.
#[derive(Clone, Debug)]
pub struct RowBatch {
    layout: Arc<RowLayout>,
    words: Vec<u64>,
    /// First word of each row, and at the end the number of words.
    starts: Vec<u32>,
    /// Signed multiplicity of each row; `None` is +1 for all.
    weights: Option<Vec<i64>>,
}

impl RowBatch {
    /// A batch of rows as a builder wrote them: `starts` has one entry more than there are rows.
    pub(super) fn from_parts(
        layout: Arc<RowLayout>,
        words: Vec<u64>,
        starts: Vec<u32>,
        weights: Option<Vec<i64>>,
    ) -> Self {
        assert_eq!(starts.last().copied(), Some(words.len() as u32), "rows end where words end");
        if let Some(weights) = &weights {
            assert_eq!(weights.len() + 1, starts.len(), "one weight a row");
        }
        Self { layout, words, starts, weights }
    }

    /// A batch without rows.
    pub fn empty(layout: Arc<RowLayout>) -> Self {
        Self { layout, words: Vec::new(), starts: vec![0], weights: None }
    }

    /// The layout of the rows.
    pub fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }

    /// Rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory of the rows in bytes.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.words.len() * 8
    }

    /// Row `index`.
    #[inline]
    pub fn row(&self, index: usize) -> RowRef<'_> {
        let (start, end) = (self.starts[index] as usize, self.starts[index + 1] as usize);
        RowRef { words: &self.words[start..end] }
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> {
        (0..self.len()).map(|i| self.row(i))
    }

    /// Multiplicity of row `index`: 1 where the batch has no weights.
    #[inline]
    pub fn weight(&self, index: usize) -> i64 {
        self.weights.as_ref().map_or(1, |w| w[index])
    }

    /// The weights, if the batch has any.
    pub fn weights(&self) -> Option<&[i64]> {
        self.weights.as_deref()
    }

    /// The words of all rows, for loops over a fixed slot.
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// First word of each row, and at the end the number of words.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Overwrites a one-word slot of row `index` and marks it not NULL.
    pub fn set_word(&mut self, index: usize, column: Column, value: u64) {
        assert_eq!(column.slot, Slot::Word, "only one-word slots are set in place");
        let start = self.starts[index] as usize;
        self.words[start + column.word as usize] = value;
        self.words[start + column.null_word as usize] &= !column.null_mask;
    }

    /// Takes the buffers back for the next batch.
    pub(super) fn into_buffers(self) -> (Vec<u64>, Vec<u32>, Option<Vec<i64>>) {
        (self.words, self.starts, self.weights)
    }
}

/// One row: its words, from the length word to the end of its tail.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    words: &'a [u64],
}

impl<'a> RowRef<'a> {
    /// A row over words that a builder wrote, or that `verify` accepted.
    #[inline]
    pub fn new(words: &'a [u64]) -> Self {
        Self { words }
    }

    /// All its words.
    #[inline]
    pub fn words(self) -> &'a [u64] {
        self.words
    }

    /// All its bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        bytemuck::cast_slice(self.words)
    }

    /// Whether the column is NULL.
    #[inline]
    pub fn is_null(self, column: Column) -> bool {
        self.words[column.null_word as usize] & column.null_mask != 0
    }

    /// The word of a one-word slot; 0 where the column is NULL.
    #[inline]
    pub fn word(self, column: Column) -> u64 {
        self.words[column.word as usize]
    }

    /// A one-word slot as a signed integer.
    #[inline]
    pub fn i64(self, column: Column) -> i64 {
        self.word(column) as i64
    }

    /// A one-word slot as a float.
    #[inline]
    pub fn f64(self, column: Column) -> f64 {
        f64::from_bits(self.word(column))
    }

    /// A two-word slot, low word first.
    #[inline]
    pub fn wide(self, column: Column) -> [u64; 2] {
        let word = column.word as usize;
        [self.words[word], self.words[word + 1]]
    }

    /// The bytes of a variable value.
    #[inline]
    pub fn var(self, column: Column) -> &'a [u8] {
        let (offset, len) = unpack_var(self.word(column));
        self.bytes().get(offset..offset + len).unwrap_or(&[])
    }

    /// The words of a container in the tail.
    pub fn container(self, column: Column) -> &'a [u64] {
        let (offset, len) = unpack_var(self.word(column));
        self.words.get(offset / 8..offset / 8 + len / 8).unwrap_or(&[])
    }

    /// The text of a STRING; empty if the bytes are not UTF-8.
    pub fn str(self, column: Column) -> &'a str {
        std::str::from_utf8(self.var(column)).unwrap_or("")
    }

    /// Whether these words are a row of `layout`: lengths and offsets inside, texts UTF-8,
    /// containers well formed. To be asked of every row that comes from disk or a changelog.
    pub fn verify(self, layout: &RowLayout) -> bool {
        let whole = self.words.first() == Some(&((self.words.len() * 8) as u64));
        whole
            && self.words.len() >= layout.fixed_words()
            && layout.columns().iter().zip(layout.types().iter()).all(|(column, ty)| {
                self.is_null(*column) || column.slot != Slot::Var || self.verify_var(*column, ty)
            })
    }

    fn verify_var(self, column: Column, ty: &Type) -> bool {
        let (offset, len) = unpack_var(self.word(column));
        let Some(bytes) = self.bytes().get(offset..offset.saturating_add(len)) else {
            return false;
        };
        verify_value(bytes, offset, ty, || self.container(column))
    }
}

/// Whether a variable value is well formed for its type.
pub(super) fn verify_value<'a>(
    bytes: &[u8],
    offset: usize,
    ty: &Type,
    words: impl FnOnce() -> &'a [u64],
) -> bool {
    match &ty.data {
        DataType::String | DataType::Json => std::str::from_utf8(bytes).is_ok(),
        DataType::Row(fields) => {
            let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
            aligned(offset, bytes.len()) && RowRef::new(words()).verify(&RowLayout::new(types))
        }
        DataType::Array(item) => {
            aligned(offset, bytes.len()) && ArrayRef::new(words(), item.slot()).verify(item)
        }
        DataType::Map(key, value) => {
            aligned(offset, bytes.len())
                && MapRef::new(words(), key.slot(), value.slot()).verify(key, value)
        }
        DataType::Null
        | DataType::Boolean
        | DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Real
        | DataType::Double
        | DataType::Decimal { .. }
        | DataType::Bytes
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Interval
        | DataType::Uuid => true,
    }
}

fn aligned(offset: usize, len: usize) -> bool {
    offset.is_multiple_of(8) && len.is_multiple_of(8)
}

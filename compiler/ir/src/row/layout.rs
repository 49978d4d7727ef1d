//! Where each column of a row lies. A layout follows from the column types alone.

use std::sync::Arc;

use crate::types::{Slot, Type};

/// Where one column lies in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// First word of its slot, counted from the row's start.
    pub word: u32,
    /// The word that holds its null bit.
    pub null_word: u32,
    /// Its bit in that word.
    pub null_mask: u64,
    /// How the value lies.
    pub slot: Slot,
}

/// The columns of a row and the words before its tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    types: Arc<[Type]>,
    columns: Vec<Column>,
    fixed_words: usize,
}

impl RowLayout {
    /// The layout of rows with columns of these types.
    pub fn new(types: impl Into<Arc<[Type]>>) -> Self {
        let types = types.into();
        let null_words = types.len().div_ceil(64);
        let mut word = 1 + null_words;
        let columns = types
            .iter()
            .enumerate()
            .map(|(i, ty)| {
                let slot = ty.slot();
                let column = Column {
                    word: word as u32,
                    null_word: (1 + i / 64) as u32,
                    null_mask: 1 << (i % 64),
                    slot,
                };
                word += slot.words();
                column
            })
            .collect();
        Self { types, columns, fixed_words: word }
    }

    /// Types of the columns.
    #[inline]
    pub fn types(&self) -> &Arc<[Type]> {
        &self.types
    }

    /// Where the columns lie, in order.
    #[inline]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Where column `index` lies.
    #[inline]
    pub fn column(&self, index: usize) -> Column {
        self.columns[index]
    }

    /// Columns.
    #[inline]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Words before the tail: length, null bits, slots.
    #[inline]
    pub fn fixed_words(&self) -> usize {
        self.fixed_words
    }

    /// Whether a row may have a tail.
    pub fn has_tail(&self) -> bool {
        self.columns.iter().any(|c| c.slot == Slot::Var)
    }
}

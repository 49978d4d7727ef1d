//! Room for rows that generated code writes into a builder's own buffers.

use super::BatchBuilder;

/// Where rows may be written: pointers into a builder's spare capacity, good until the builder is
/// used again.
#[derive(Clone, Copy, Debug)]
pub struct RowRoom {
    /// Where the next row begins.
    pub words: *mut u64,
    /// How many words may be written.
    pub words_len: usize,
    /// Number of that first word in the batch: row ends count from the batch's beginning.
    pub first_word: usize,
    /// Where the end of each row goes, as a word number in the batch.
    pub ends: *mut u32,
}

impl BatchBuilder {
    /// Makes room for rows of so many words together. No row is open.
    ///
    /// # Panics
    /// If the batch would come over 32 GiB.
    pub fn room(&mut self, words: usize, rows: usize) -> RowRoom {
        assert_eq!(self.start, self.words.len(), "no row is open");
        assert!(u32::try_from(self.words.len() + words).is_ok(), "a batch stays under 32 GiB");
        self.words.reserve(words);
        self.starts.reserve(rows);
        RowRoom {
            first_word: self.words.len(),
            words_len: words,
            words: self.words.spare_capacity_mut().as_mut_ptr().cast(),
            ends: self.starts.spare_capacity_mut().as_mut_ptr().cast(),
        }
    }

    /// Takes over rows that were written into the room that was asked for last, each with weight 1.
    ///
    /// # Safety
    /// Since `room` was called, so many words and row ends were written there, from the beginning
    /// and without gaps; the ends ascend, the last one is the end of the words, and each row is one
    /// of this builder's layout.
    #[expect(unsafe_code, reason = "rows that generated code wrote")]
    pub unsafe fn take_over(&mut self, words: usize, rows: usize) {
        let (end, count) = (self.words.len() + words, self.starts.len() + rows);
        assert!(end <= self.words.capacity() && count <= self.starts.capacity(), "within the room");
        // SAFETY: both lengths are within the capacity (asserted above), and the caller vouches
        // that the elements up to them were written.
        unsafe {
            self.words.set_len(end);
            self.starts.set_len(count);
        }
        assert_eq!(self.starts.last().copied(), Some(end as u32), "rows end where words end");
        self.start = end;
        if let Some(weights) = &mut self.weights {
            weights.resize(count - 1, 1);
        }
    }

    /// Sets the weights of the last rows.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub fn weigh_last(&mut self, weights: impl ExactSizeIterator<Item = i64>) {
        let rows = self.len();
        let first = rows.checked_sub(weights.len()).expect("no more weights than rows");
        let all = self.weights.get_or_insert_with(|| vec![1; rows]);
        all.truncate(first);
        all.extend(weights);
    }
}

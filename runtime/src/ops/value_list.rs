//! Values of multisets on their way from a `PreAggregate`: a list of them in one column, so that a
//! group with many values sends few rows.
//!
//! ```text
//! multiset (u16), length (u32), value, the multiset's words (u64 each): little-endian
//! ```

use super::OpError;
use super::aggregation::Values;

/// A list that is being written.
#[derive(Default)]
pub(super) struct ValueList {
    bytes: Vec<u8>,
}

/// One value of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    /// The number of its multiset.
    pub(super) multiset: usize,
    /// The value's bytes.
    pub(super) value: &'a [u8],
    words: &'a [u8],
}

impl ValueList {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins a value; its words follow.
    pub(super) fn push(&mut self, multiset: u16, value: &[u8]) {
        let length = u32::try_from(value.len()).expect("a value stays under 4 GiB");
        self.bytes.extend_from_slice(&multiset.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn push_word(&mut self, word: u64) {
        self.bytes.extend_from_slice(&word.to_le_bytes());
    }
}

impl<'a> Item<'a> {
    /// Its words: bits, or weights.
    pub(super) fn words(self) -> impl Iterator<Item = u64> + use<'a> {
        self.words.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
    }

    /// Takes the first value of a list with values of these multisets.
    pub(super) fn take(list: &mut &'a [u8], multisets: &[Values]) -> Result<Self, OpError> {
        let take = || {
            let (number, rest) = list.split_first_chunk::<2>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let multiset = usize::from(u16::from_le_bytes(*number));
            let words = multisets.get(multiset)?.words();
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (value, rest) = rest.split_at_checked(length)?;
            let (words, rest) = rest.split_at_checked(words * 8)?;
            Some((Item { multiset, value, words }, rest))
        };
        let (item, rest) = take().ok_or(OpError::Internal("a list of values cannot be read"))?;
        *list = rest;
        Ok(item)
    }
}

#[cfg(test)]
mod tests {
    use flow_stdlib::aggregates::DistinctSet;

    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_no_further() {
        let filters = vec![None, Some(1)];
        let set = DistinctSet { members: vec![(0, 0), (1, 1)], filters, weighs: true };
        let multisets = [Values::Ordered(2), Values::Distinct(set)];
        let mut list = ValueList::default();
        list.push(1, b"abc");
        list.push_word(7);
        list.push_word(u64::MAX);
        list.push(0, b"");
        list.push_word(1);
        let mut rest = list.bytes();
        let item = Item::take(&mut rest, &multisets).expect("a value");
        assert_eq!((item.multiset, item.value), (1, &b"abc"[..]));
        assert_eq!(item.words().collect::<Vec<_>>(), [7, u64::MAX]);
        let item = Item::take(&mut rest, &multisets).expect("a value");
        assert_eq!((item.multiset, item.value), (0, &b""[..]));
        assert_eq!(item.words().collect::<Vec<_>>(), [1]);
        assert!(rest.is_empty());
        for end in 0..list.bytes().len() {
            let mut rest = &list.bytes()[..end];
            while let Ok(item) = Item::take(&mut rest, &multisets) {
                assert!(item.value.len() < end);
            }
        }
        let mut unknown = &[2, 0, 0, 0, 0, 0, 0, 0][..];
        assert!(Item::take(&mut unknown, &multisets).is_err());
    }
}

//! Keys and rows of ordered tables, in place where they are short: an entry of a join or of a
//! multiset then needs no allocation beyond the tree's nodes.

use std::cmp::Ordering;
use std::sync::Arc;

use flow_ir::row::RowRef;

/// Keys up to this many bytes lie in the tree's nodes: a span of time, a number, a time and the
/// number of a row, as interval joins have them.
const INLINE_KEY_BYTES: usize = 38;
/// Rows up to this many words do: length, null bits, two one-word columns.
const INLINE_ROW_WORDS: usize = 4;
/// What an allocation takes beside its bytes, about.
const ALLOCATION_BYTES: usize = 16;
/// The two counts in front of what is shared.
const COUNTS_BYTES: usize = 16;

/// Bytes of a longer key that lie in the nodes as well: most comparisons need no more of it.
const HEAD_BYTES: usize = 23;

/// Key bytes; equal and ordered as the bytes are.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Inline { len: u8, bytes: [u8; INLINE_KEY_BYTES] },
    Heap { head: [u8; HEAD_BYTES], bytes: Box<[u8]> },
}

impl Key {
    #[inline]
    pub(super) fn new(key: &[u8]) -> Self {
        match u8::try_from(key.len()) {
            Ok(len) if key.len() <= INLINE_KEY_BYTES => {
                let mut bytes = [0; INLINE_KEY_BYTES];
                bytes[..key.len()].copy_from_slice(key);
                Self::Inline { len, bytes }
            }
            Ok(_) | Err(_) => {
                let mut head = [0; HEAD_BYTES];
                head.copy_from_slice(&key[..HEAD_BYTES]);
                Self::Heap { head, bytes: key.into() }
            }
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Heap { bytes, .. } => bytes,
        }
    }

    /// Memory outside of the tree's nodes, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline { .. } => 0,
            Self::Heap { bytes, .. } => bytes.len() + ALLOCATION_BYTES,
        }
    }

    /// The first bytes, behind a short key zeros: what differs in them is ordered by them.
    #[inline]
    fn head(&self) -> &[u8; HEAD_BYTES] {
        match self {
            Self::Inline { bytes, .. } => bytes.first_chunk().expect("an array is longer"),
            Self::Heap { head, .. } => head,
        }
    }
}

/// The first bytes as a number that orders as they do, and those from the last of them on.
#[inline]
fn numbers(head: &[u8; HEAD_BYTES]) -> (u128, u64) {
    let first = head.first_chunk().expect("there are more bytes");
    let last = head.last_chunk().expect("there are more bytes");
    (u128::from_be_bytes(*first), u64::from_be_bytes(*last))
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match numbers(self.head()).cmp(&numbers(other.head())) {
            Ordering::Equal => self.bytes().cmp(other.bytes()),
            order @ (Ordering::Less | Ordering::Greater) => order,
        }
    }
}

/// The words of a row. Those of a long one never change, and overlays hold them as well.
#[derive(Clone, Debug)]
pub(super) enum Row {
    Inline { len: u8, words: [u64; INLINE_ROW_WORDS] },
    Shared(Arc<[u64]>),
}

impl Row {
    pub(super) fn new(row: RowRef<'_>) -> Self {
        let row = row.words();
        match u8::try_from(row.len()) {
            Ok(len) if row.len() <= INLINE_ROW_WORDS => {
                let mut words = [0; INLINE_ROW_WORDS];
                words[..row.len()].copy_from_slice(row);
                Self::Inline { len, words }
            }
            Ok(_) | Err(_) => Self::Shared(row.into()),
        }
    }

    pub(super) fn row(&self) -> RowRef<'_> {
        match self {
            Self::Inline { len, words } => RowRef::new(&words[..usize::from(*len)]),
            Self::Shared(words) => RowRef::new(words),
        }
    }

    /// Memory outside of the tree's nodes, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline { .. } => 0,
            Self::Shared(words) => words.len() * 8 + COUNTS_BYTES + ALLOCATION_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_ordered_as_their_bytes_are(
            start in prop::collection::vec(0u8..2, 0..30),
            ends in [prop::collection::vec(0u8..2, 0..30), prop::collection::vec(0u8..2, 0..30)],
        ) {
            let [a, b] = ends.map(|end| [&start[..], &end[..]].concat());
            let (left, right) = (Key::new(&a), Key::new(&b));
            prop_assert_eq!((left.bytes(), right.bytes()), (&a[..], &b[..]));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(left == right, a == b);
        }
    }
}

//! What is known of the batches of a compacted topic.

/// The records of a partition of a compacted topic that stand in batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Offset of the first.
    pub(super) from: i64,
    /// Offset of the first that came since the tail was cleaned.
    pub(super) cleaned: i64,
    /// Bytes of the batches before that one.
    pub(super) clean_bytes: u64,
    /// Bytes of the others.
    pub(super) bytes: u64,
}

/// Bytes of a tail as it is kept, and as it was when no tail was cleaned.
const TAIL_STORED_BYTES: usize = 32;
const OLD_TAIL_STORED_BYTES: usize = 16;

impl Tail {
    /// No batch, in a partition that ends here.
    pub(super) fn empty(end: i64) -> Self {
        Self { from: end, cleaned: end, clean_bytes: 0, bytes: 0 }
    }

    /// As it is kept.
    pub(super) fn stored(self) -> [u8; TAIL_STORED_BYTES] {
        let numbers = [self.from as u64, self.bytes, self.cleaned as u64, self.clean_bytes];
        let mut stored = [0; TAIL_STORED_BYTES];
        for (place, number) in stored.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        stored
    }

    pub(super) fn read(stored: &[u8]) -> Option<Self> {
        let (numbers, rest) = stored.as_chunks::<8>();
        let number = |i: usize| numbers.get(i).map(|bytes| u64::from_be_bytes(*bytes));
        let (from, bytes) = (number(0)? as i64, number(1)?);
        match stored.len() {
            TAIL_STORED_BYTES if rest.is_empty() => {
                let (cleaned, clean_bytes) = (number(2)? as i64, number(3)?);
                Some(Self { from, bytes, cleaned, clean_bytes })
            }
            OLD_TAIL_STORED_BYTES => Some(Self { from, bytes, cleaned: from, clean_bytes: 0 }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_what_was_kept_before_tails_were_cleaned() {
        let tail = Tail { from: 3, cleaned: 1 << 40, clean_bytes: 5, bytes: u64::MAX };
        assert_eq!(Tail::read(&tail.stored()), Some(tail));
        let old = [3u64.to_be_bytes(), 9u64.to_be_bytes()].concat();
        let read = Tail { from: 3, cleaned: 3, clean_bytes: 0, bytes: 9 };
        assert_eq!(Tail::read(&old), Some(read));
        assert_eq!(Tail::read(&tail.stored()[..20]), None);
    }
}

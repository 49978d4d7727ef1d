//! The rows of a batch, those of one key next to each other: what a key has is looked up once.

use flow_ir::row::{KeyBatch, RowBatch, RowRef};

/// Rows of a batch in the order of their keys' hashes, of one key in the order of the batch.
#[derive(Default)]
pub(super) struct ByKey {
    /// Hash and row.
    order: Vec<(u64, u32)>,
}

/// Rows of one key.
pub(super) type Run<'a> = &'a [(u64, u32)];

impl ByKey {
    /// Takes up the rows of a batch that are wanted.
    pub(super) fn sort(&mut self, keys: &KeyBatch, wanted: impl Fn(usize) -> bool) {
        self.order.clear();
        let rows = (0..keys.len()).filter(|&i| wanted(i));
        self.order.extend(rows.map(|i| (keys.hash(i), i as u32)));
        self.order.sort_unstable();
    }

    /// The rows, key by key. Keys with one hash may come more than once.
    pub(super) fn runs<'a>(&'a self, keys: &'a KeyBatch) -> impl Iterator<Item = Run<'a>> {
        self.order.chunk_by(|(a_hash, a), (b_hash, b)| {
            a_hash == b_hash && keys.key(*a as usize) == keys.key(*b as usize)
        })
    }
}

/// The rows of a run with their weights.
pub(super) fn rows_of<'a>(
    run: Run<'a>,
    rows: &'a RowBatch,
) -> impl Iterator<Item = (RowRef<'a>, i64)> + Clone {
    run.iter().map(|&(_, i)| (rows.row(i as usize), rows.weight(i as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_key_stand_together_in_their_order() {
        let mut keys = KeyBatch::default();
        let wanted = [b"b", b"a", b"b", b"c", b"a", b"b"];
        wanted.iter().for_each(|key| keys.push(*key));
        let mut by_key = ByKey::default();
        by_key.sort(&keys, |i| i != 5);
        let mut runs: Vec<Vec<u32>> =
            by_key.runs(&keys).map(|run| run.iter().map(|(_, i)| *i).collect()).collect();
        runs.sort();
        assert_eq!(runs, [vec![0, 2], vec![1, 4], vec![3]]);
        by_key.sort(&KeyBatch::default(), |_| true);
        assert_eq!(by_key.runs(&keys).count(), 0);
    }
}

//! ORDER BY, LIMIT and OFFSET of a query's result, over all of its rows.

use flow_ir::physical::Direction;
use flow_ir::row::{BatchBuilder, RowBatch};

use crate::ops::Order;

/// How the rows of a result are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrangement {
    /// ORDER BY: columns of the result, most significant first. Ties, and results without it, go by
    /// the whole row, so that the same question gives the same answer.
    pub order: Vec<(usize, Direction)>,
    /// OFFSET.
    pub offset: u64,
    /// LIMIT.
    pub limit: Option<u64>,
}

impl Arrangement {
    /// The rows of a result that are shown, in their order, each as often as its weight says.
    ///
    /// # Errors
    /// The number of rows, if it is more than `most`.
    pub fn arrange(&self, rows: &RowBatch, most: u64) -> Result<RowBatch, u64> {
        let types = rows.layout().types();
        let order = Order::new(rows.layout(), types, &self.order);
        let mut ranks = Vec::with_capacity(rows.len());
        for (index, row) in rows.rows().enumerate() {
            let mut rank = Vec::new();
            order.rank(row, &mut rank);
            ranks.push((rank, index));
        }
        ranks.sort_unstable();
        let mut shown: Vec<(usize, u64)> = Vec::new();
        let (mut skip, mut left) = (self.offset, self.limit.unwrap_or(u64::MAX));
        // Equal rows have equal ranks: what cancels out is gone.
        for equal in ranks.chunk_by(|a, b| a.0 == b.0) {
            let weight: i64 = equal.iter().map(|&(_, index)| rows.weight(index)).sum();
            let copies = u64::try_from(weight).unwrap_or(0);
            let index = equal[0].1;
            let skipped = skip.min(copies);
            skip -= skipped;
            let times = (copies - skipped).min(left);
            left -= times;
            shown.push((index, times));
            if left == 0 {
                break;
            }
        }
        let count = shown.iter().fold(0, |sum: u64, (_, times)| sum.saturating_add(*times));
        if count > most {
            return Err(count);
        }
        let mut out = BatchBuilder::new(rows.layout().clone());
        for (index, times) in shown {
            // As few as `most`.
            out.push_copies(rows.row(index), times as i64);
        }
        Ok(out.take())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow_ir::row::RowLayout;
    use flow_ir::types::{DataType, Type};

    use super::*;

    /// The numbers that are shown of these, with their weights.
    fn arranged(rows: &[(i64, i64)], arrangement: &Arrangement) -> Result<Vec<i64>, u64> {
        let layout = Arc::new(RowLayout::new(vec![Type::not_null(DataType::BigInt)]));
        let mut all = BatchBuilder::new(layout.clone());
        for (value, weight) in rows {
            all.begin();
            all.set_i64(0, *value);
            all.finish(*weight);
        }
        let shown = arrangement.arrange(&all.take(), 100)?;
        Ok(shown.rows().map(|row| row.i64(layout.column(0))).collect())
    }

    #[test]
    fn rows_are_shown_as_often_as_they_are_there_and_never_more_than_fit() {
        let often = 1_000_000_000_000;
        let all = [(1, often), (2, 1), (3, 2), (3, -1), (4, 1), (4, -1)];
        let part = |offset, limit| Arrangement { offset, limit, ..Arrangement::default() };
        assert_eq!(arranged(&all, &part(0, Some(2))), Ok(vec![1, 1]));
        assert_eq!(arranged(&all, &part(often as u64 - 1, None)), Ok(vec![1, 2, 3]));
        assert_eq!(arranged(&all, &part(0, None)), Err(often as u64 + 2));
        assert_eq!(
            arranged(&[(1, i64::MAX), (2, i64::MAX), (3, 2)], &part(0, None)),
            Err(u64::MAX)
        );
    }
}

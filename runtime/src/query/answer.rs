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
    pub fn arrange(&self, rows: &RowBatch) -> RowBatch {
        let types = rows.layout().types();
        let order = Order::new(rows.layout(), types, &self.order);
        let mut ranks = Vec::with_capacity(rows.len());
        for (index, row) in rows.rows().enumerate() {
            let mut rank = Vec::new();
            order.rank(row, &mut rank);
            ranks.push((rank, index));
        }
        ranks.sort_unstable();
        let mut out = BatchBuilder::new(rows.layout().clone());
        let (mut skip, mut left) = (self.offset, self.limit.unwrap_or(u64::MAX));
        // Equal rows have equal ranks: what cancels out is gone.
        for equal in ranks.chunk_by(|a, b| a.0 == b.0) {
            let weight: i64 = equal.iter().map(|&(_, index)| rows.weight(index)).sum();
            let copies = u64::try_from(weight).unwrap_or(0);
            let index = equal[0].1;
            let skipped = skip.min(copies);
            skip -= skipped;
            for _ in 0..(copies - skipped).min(left) {
                out.push_row(rows.row(index), 1);
                left -= 1;
            }
            if left == 0 {
                break;
            }
        }
        out.take()
    }
}

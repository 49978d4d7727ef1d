//! The rows that come first in an order, of each partition.

use flow_ir::ids::{NodeId, VertexId};
use flow_ir::logical;
use flow_ir::physical::{Deduplicate, Direction, PhysicalOp, TableKind, TopN};
use flow_ir::types::{DataType, Type};

use super::Lowering;
use super::aggregate::bigint;

impl Lowering<'_> {
    pub(super) fn deduplicate(&mut self, id: NodeId, dedup: &logical::Deduplicate) -> VertexId {
        let rows = self.rows_table(self.plan.node(id), &dedup.keys);
        let (keys, order, keep) = (dedup.keys.clone(), dedup.order.clone(), dedup.keep);
        let op = Deduplicate { keys: keys.clone(), order, keep, rows };
        self.keyed(id, PhysicalOp::Deduplicate(op), keys)
    }

    pub(super) fn top_n(&mut self, id: NodeId, top: &logical::TopN) -> VertexId {
        let row = self.types(self.lowered[&self.plan.node(id).inputs[0]]);
        let mut key = sorted_key(&row, &top.keys, &top.order);
        if top.window.is_some() {
            key.insert(0, bigint());
        }
        let weight = vec![Type::not_null(DataType::BigInt)];
        let op = TopN {
            keys: top.keys.clone(),
            order: top.order.clone(),
            numbering: top.numbering,
            offset: top.offset,
            limit: top.limit,
            rank: top.rank,
            window: top.window,
            rows: self.table("rows", TableKind::Ordered, key, weight),
        };
        self.keyed(id, PhysicalOp::TopN(op), top.keys.clone())
    }
}

/// What a table of partitions' rows in order is keyed by: partition, order, row.
fn sorted_key(row: &[Type], keys: &[usize], order: &[(usize, Direction)]) -> Vec<Type> {
    let columns = keys.iter().copied().chain(order.iter().map(|&(column, _)| column));
    columns.map(|column| row[column].clone()).chain(row.iter().cloned()).collect()
}

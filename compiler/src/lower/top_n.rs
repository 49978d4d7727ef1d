//! The first rows of each partition.

use flow_ir::logical::{self, Node};
use flow_ir::physical::{Direction, TableKind, TopN};
use flow_ir::types::{DataType, Type};

use super::Lowering;

impl Lowering<'_> {
    pub(super) fn top_n(&mut self, node: &Node, top: &logical::TopN) -> TopN {
        let row = self.types(self.lowered[&node.inputs[0]]);
        let key = sorted_key(&row, &top.keys, &top.order);
        let weight = vec![Type::not_null(DataType::BigInt)];
        TopN {
            keys: top.keys.clone(),
            order: top.order.clone(),
            numbering: top.numbering,
            offset: top.offset,
            limit: top.limit,
            rank: top.rank,
            rows: self.table("rows", TableKind::Ordered, key, weight),
        }
    }
}

/// What a table of partitions' rows in order is keyed by: partition, order, row.
pub(super) fn sorted_key(row: &[Type], keys: &[usize], order: &[(usize, Direction)]) -> Vec<Type> {
    let columns = keys.iter().copied().chain(order.iter().map(|&(column, _)| column));
    columns.map(|column| row[column].clone()).chain(row.iter().cloned()).collect()
}

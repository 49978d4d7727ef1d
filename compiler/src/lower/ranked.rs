//! The rows that come first in an order, of each partition.

use flow_ir::ids::{NodeId, VertexId};
use flow_ir::logical;
use flow_ir::physical::{Deduplicate, Direction, Over, OverTime, PhysicalOp, TableKind, TopN};
use flow_ir::types::{DataType, Type};
use flow_stdlib::over::running_state;

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

impl Lowering<'_> {
    pub(super) fn over(&mut self, id: NodeId, over: &logical::Over) -> VertexId {
        let row = self.types(self.lowered[&self.plan.node(id).inputs[0]]);
        let sorted = sorted_key(&row, &over.keys, &over.order);
        let number = || vec![Type::not_null(DataType::BigInt)];
        let rows = self.table("rows", TableKind::Ordered, sorted.clone(), number());
        let time = over.time.map(|time| {
            let key: Vec<Type> = over.keys.iter().map(|&column| row[column].clone()).collect();
            let timed = |key: &[Type]| [number(), key.to_vec()].concat();
            let gone = [number(), number()].concat();
            let running = over.calls.iter().filter_map(|call| running_state(call, &row));
            let running = running.collect::<Vec<_>>().into_iter();
            let carried = gone.into_iter().chain(running.flatten()).collect();
            OverTime {
                time,
                reach: over.reach,
                pending: self.table("pending", TableKind::Ordered, timed(&sorted), number()),
                carried: self.table("carried", TableKind::Point, key.clone(), carried),
                timers: self.table("timers", TableKind::Ordered, timed(&key), number()),
            }
        });
        let op = Over {
            keys: over.keys.clone(),
            order: over.order.clone(),
            peers: over.peers,
            calls: over.calls.clone(),
            rows,
            time,
        };
        self.keyed(id, PhysicalOp::Over(op), over.keys.clone())
    }
}

/// What a table of partitions' rows in order is keyed by: partition, order, row.
fn sorted_key(row: &[Type], keys: &[usize], order: &[(usize, Direction)]) -> Vec<Type> {
    let columns = keys.iter().copied().chain(order.iter().map(|&(column, _)| column));
    columns.map(|column| row[column].clone()).chain(row.iter().cloned()).collect()
}

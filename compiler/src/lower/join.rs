//! Joins: both inputs hashed by their keys, and the tables of each kind of join.

use flow_ir::ids::{NodeId, VertexId};
use flow_ir::kernel::KernelSpec;
use flow_ir::logical::{Hidden, Join, JoinClass, Node};
use flow_ir::physical::{
    self, IntervalJoin, LookupJoin, Partitioning, PhysicalOp, TableKind, TemporalJoin, WindowJoin,
};
use flow_ir::types::{DataType, Type};

use super::Lowering;
use super::aggregate::bigint;

/// An input of a join: its row, and the columns that it is keyed by.
struct Side {
    row: Vec<Type>,
    keys: Vec<usize>,
}

impl Side {
    fn key(&self) -> impl Iterator<Item = Type> {
        self.keys.iter().map(|&k| self.row[k].clone())
    }

    /// Key of a table that keeps rows one by one: key, row.
    fn keyed_row(&self) -> Vec<Type> {
        self.key().chain(self.row.iter().cloned()).collect()
    }

    /// The same behind a window's end.
    fn windowed_row(&self) -> Vec<Type> {
        std::iter::once(bigint()).chain(self.keyed_row()).collect()
    }

    /// Key of a table that keeps rows as values: key, number of the row.
    fn numbered(&self) -> Vec<Type> {
        self.key().chain([bigint()]).collect()
    }

    /// The same by time: span of time, key, time, number of the row; or the number of a list alone.
    fn timed(&self, in_lists: bool) -> Vec<Type> {
        let time = (!in_lists).then(bigint);
        std::iter::once(bigint()).chain(self.key()).chain(time).chain([bigint()]).collect()
    }
}

impl Lowering<'_> {
    pub(super) fn join(&mut self, id: NodeId, join: &Join) -> VertexId {
        let node = self.plan.node(id);
        let inputs = [self.lowered[&node.inputs[0]], self.lowered[&node.inputs[1]]];
        let left = Side { row: self.types(inputs[0]), keys: join.left_keys() };
        let right = Side { row: self.types(inputs[1]), keys: join.right_keys() };
        let both = [left.row.clone(), right.row.clone()].concat();
        let condition = join.condition.as_ref().map(|c| self.sites.filter_kernel(&both, c));
        let op = match join.class {
            JoinClass::Regular => self.regular(join, condition, inputs, [left, right]),
            JoinClass::Window { left_end, right_end, by_clock } => {
                PhysicalOp::WindowJoin(WindowJoin {
                    kind: join.kind,
                    nulls_equal: join.nulls_equal.clone(),
                    left_end,
                    right_end,
                    by_clock,
                    condition,
                    left: self.table(
                        "left",
                        TableKind::Ordered,
                        left.windowed_row(),
                        vec![bigint()],
                    ),
                    right: {
                        let key = right.windowed_row();
                        self.table("right", TableKind::Ordered, key, vec![bigint()])
                    },
                    left_keys: left.keys,
                    right_keys: right.keys,
                })
            }
            JoinClass::Interval { .. } => self.interval(join, condition, left, right),
            JoinClass::Temporal { .. } => self.temporal(node, join, condition, left, right),
            JoinClass::Lookup => PhysicalOp::LookupJoin(LookupJoin {
                kind: join.kind,
                condition,
                right: self.table("right", TableKind::Ordered, right.keyed_row(), vec![bigint()]),
                left_keys: left.keys,
                right_keys: right.keys,
            }),
        };
        let name = super::snake(op.kind());
        let vertex = self.vertex(self.part(id, name, op));
        for (port, keys) in (0u8..).zip([join.left_keys(), join.right_keys()]) {
            self.edge(inputs[usize::from(port)], vertex, port, Partitioning::Hash(keys));
        }
        vertex
    }

    fn regular(
        &mut self,
        join: &Join,
        condition: Option<KernelSpec>,
        inputs: [VertexId; 2],
        [left, right]: [Side; 2],
    ) -> PhysicalOp {
        let value = |side: usize, of: &Side| {
            let changelog = self.graph.vertices[inputs[side].index()].changelog;
            physical::Join::kept(join.kind, side, &of.row, changelog)
        };
        let values = [value(0, &left), value(1, &right)];
        let [left_value, right_value] = values;
        PhysicalOp::Join(physical::Join {
            kind: join.kind,
            nulls_equal: join.nulls_equal.clone(),
            condition,
            left: self.table("left", TableKind::Ordered, left.numbered(), left_value),
            right: self.table("right", TableKind::Ordered, right.numbered(), right_value),
            left_keys: left.keys,
            right_keys: right.keys,
        })
    }

    fn interval(
        &mut self,
        join: &Join,
        condition: Option<KernelSpec>,
        left: Side,
        right: Side,
    ) -> PhysicalOp {
        let JoinClass::Interval { left_time, right_time, lower, upper } = join.class else {
            unreachable!("called for interval joins");
        };
        let timer = [bigint(), Type::not_null(DataType::Int), bigint()].into_iter();
        let timer = timer.chain(left.key()).collect();
        let mut table = |name: &str, side: usize, of: &Side| {
            let key = of.timed(!join.kind.counts_partners(side));
            self.table(name, TableKind::Ordered, key, IntervalJoin::kept(join.kind, side, &of.row))
        };
        let [left_table, right_table] = [table("left", 0, &left), table("right", 1, &right)];
        let timers = self.table("timers", TableKind::Ordered, timer, Vec::new());
        PhysicalOp::IntervalJoin(IntervalJoin {
            kind: join.kind,
            nulls_equal: join.nulls_equal.clone(),
            left_keys: left.keys,
            right_keys: right.keys,
            left_time,
            right_time,
            lower,
            upper,
            condition,
            left: left_table,
            right: right_table,
            timers,
        })
    }

    fn temporal(
        &mut self,
        node: &Node,
        join: &Join,
        condition: Option<KernelSpec>,
        left: Side,
        right: Side,
    ) -> PhysicalOp {
        let JoinClass::Temporal { left_time, right_time } = join.class else {
            unreachable!("called for temporal joins");
        };
        self.may_fall_silent(node.inputs[1]);
        let pending = std::iter::once(bigint()).chain(left.keyed_row()).collect();
        let pending = self.table("pending", TableKind::Ordered, pending, vec![bigint()]);
        let version = right.key().chain([bigint()]).collect();
        let deleted = Type::not_null(DataType::Boolean);
        let row = right.row.iter().cloned().chain([deleted]).collect();
        let versions = self.table("versions", TableKind::Ordered, version, row);
        let schema = self.plan.schema(node.inputs[1]);
        PhysicalOp::TemporalJoin(TemporalJoin {
            kind: join.kind,
            left_keys: left.keys,
            right_keys: right.keys,
            left_time,
            right_time,
            right_watermark: schema.hidden(Hidden::Watermark),
            right_tombstone: schema.hidden(Hidden::Tombstone),
            condition,
            pending,
            versions,
        })
    }
}

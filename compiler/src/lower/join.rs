//! Joins: both inputs hashed by their keys, and the tables of each kind of join.

use flow_ir::ids::VertexId;
use flow_ir::logical::{Hidden, Join, JoinClass, Node};
use flow_ir::physical::{self, IntervalJoin, Partitioning, PhysicalOp, TableKind, TemporalJoin};
use flow_ir::types::{DataType, Type};

use super::Lowering;
use super::aggregate::bigint;

impl<'a> Lowering<'a> {
    pub(super) fn join(&mut self, node: &'a Node, join: &Join) -> VertexId {
        let inputs = [self.lowered[&node.inputs[0]], self.lowered[&node.inputs[1]]];
        let (left, right) = (self.types(inputs[0]), self.types(inputs[1]));
        let both = [left.clone(), right.clone()].concat();
        let condition = join.condition.as_ref().map(|c| self.sites.filter_kernel(&both, c));
        let (left_keys, right_keys) = (join.left_keys(), join.right_keys());
        let keyed = |row: &[Type], keys: &[usize], time: bool| -> Vec<Type> {
            let key = keys.iter().map(|&k| row[k].clone());
            key.chain(time.then(bigint)).chain(row.iter().cloned()).collect()
        };
        let kind = join.kind;
        let op = match join.class {
            JoinClass::Regular => {
                let ordered = TableKind::Ordered;
                let weight = vec![bigint()];
                let left =
                    self.table("left", ordered, keyed(&left, &left_keys, false), weight.clone());
                let right = self.table("right", ordered, keyed(&right, &right_keys, false), weight);
                let (left_keys, right_keys) = (left_keys.clone(), right_keys.clone());
                PhysicalOp::Join(physical::Join {
                    kind,
                    left_keys,
                    right_keys,
                    condition,
                    left,
                    right,
                })
            }
            JoinClass::Interval { left_time, right_time, lower, upper } => {
                let ordered = TableKind::Ordered;
                let counts = vec![bigint(), Type::not_null(DataType::Boolean)];
                let mut timer = vec![bigint(), Type::not_null(DataType::Int)];
                timer.extend(left_keys.iter().map(|&k| left[k].clone()));
                let left =
                    self.table("left", ordered, keyed(&left, &left_keys, true), counts.clone());
                let right = self.table("right", ordered, keyed(&right, &right_keys, true), counts);
                let timers = self.table("timers", ordered, timer, Vec::new());
                PhysicalOp::IntervalJoin(IntervalJoin {
                    kind,
                    left_keys: left_keys.clone(),
                    right_keys: right_keys.clone(),
                    left_time,
                    right_time,
                    lower,
                    upper,
                    condition,
                    left,
                    right,
                    timers,
                })
            }
            JoinClass::Temporal { left_time, right_time } => {
                self.may_fall_silent(node.inputs[1]);
                let ordered = TableKind::Ordered;
                let pending = [vec![bigint()], keyed(&left, &left_keys, false)].concat();
                let pending = self.table("pending", ordered, pending, vec![bigint()]);
                let mut version: Vec<Type> = right_keys.iter().map(|&k| right[k].clone()).collect();
                version.push(bigint());
                let deleted = Type::not_null(DataType::Boolean);
                let versioned = [right, vec![deleted]].concat();
                let versions = self.table("versions", ordered, version, versioned);
                let schema = self.plan.schema(node.inputs[1]);
                PhysicalOp::TemporalJoin(TemporalJoin {
                    kind,
                    left_keys: left_keys.clone(),
                    right_keys: right_keys.clone(),
                    left_time,
                    right_time,
                    right_watermark: schema.hidden(Hidden::Watermark),
                    right_tombstone: schema.hidden(Hidden::Tombstone),
                    condition,
                    pending,
                    versions,
                })
            }
        };
        let name = super::snake(op.kind());
        let vertex = self.vertex(self.part(node, name, op));
        for (port, keys) in (0u8..).zip([join.left_keys(), join.right_keys()]) {
            self.edge(inputs[usize::from(port)], vertex, port, Partitioning::Hash(keys));
        }
        vertex
    }
}

//! Aggregates: a `PreAggregate` on the worker, an exchange by the group's key, and the operator
//! that keeps the groups.

use flow_ir::aggregate::AggregateCall;
use flow_ir::ids::{NodeId, VertexId};
use flow_ir::logical::Aggregate;
use flow_ir::physical::{
    Changelog, GroupAggregate, Partitioning, PhysicalOp, PreAggregate, TableKind, WindowAggregate,
    WindowInput,
};
use flow_ir::types::{DataType, Field, Type};
use flow_stdlib::aggregates::{Multiset, distinct_words, multiset, state_types};

use super::{Lowering, Part};

impl Lowering<'_> {
    pub(super) fn aggregate(&mut self, id: NodeId, aggregate: &Aggregate) -> VertexId {
        if let Some(of) = self.aggregated.get(&id).cloned() {
            return self.session_aggregate(id, aggregate, &of);
        }
        let node = self.plan.node(id);
        let before = self.lowered[&node.inputs[0]];
        let input = self.graph.vertices[before.index()].columns.clone();
        let pre = PreAggregate {
            keys: aggregate.keys.clone(),
            calls: aggregate.calls.clone(),
            window: aggregate.window,
            lateness: aggregate.lateness,
        };
        let part = Part {
            id,
            node,
            name: "pre-aggregate".into(),
            columns: partial_columns(aggregate, &input),
            op: PhysicalOp::PreAggregate(pre),
            changelog: Changelog::Append,
        };
        let pre = self.vertex(part);
        self.edge(before, pre, 0, Partitioning::Forward);

        let keys = aggregate.keys.len();
        let op = self.groups(aggregate, &input);
        let name = super::snake(op.kind());
        let vertex = self.vertex(self.part(id, name, op));
        self.edge(pre, vertex, 0, Partitioning::Hash((0..keys).collect()));
        vertex
    }

    /// The operator that keeps the groups, with its tables.
    fn groups(&mut self, aggregate: &Aggregate, input: &[Field]) -> PhysicalOp {
        let keys = aggregate.keys.len();
        let calls = aggregate.calls.clone();
        let key: Vec<Type> = aggregate.keys.iter().map(|&k| input[k].ty.clone()).collect();
        let mut state = states(&calls);
        let ordered = |call: &AggregateCall| {
            multiset(call).is_some_and(|multiset| multiset != Multiset::Distinct)
        };
        let ordered = calls.iter().any(ordered);
        let distinct = distinct_words(&calls).map(|words| vec![bigint(); words]);
        let value = [key.clone(), vec![int(), bytes()]].concat();
        let Some(window) = aggregate.window else {
            state.push(bigint());
            let groups = self.table("groups", TableKind::Point, key, state);
            let mut table = |role, kind, row| self.table(role, kind, value.clone(), row);
            let values = ordered.then(|| table("values", TableKind::Ordered, vec![bigint()]));
            let distinct = distinct.map(|row| table("distinct", TableKind::Point, row));
            let op = GroupAggregate { keys, calls, groups, values, distinct };
            return PhysicalOp::GroupAggregate(op);
        };
        state.extend([bigint(), bigint()]);
        let groups = self.table("groups", TableKind::Windowed, key, state);
        let values = ordered.then(|| {
            let value = [vec![bigint()], value.clone()].concat();
            self.table("values", TableKind::Ordered, value, vec![bigint()])
        });
        let distinct = distinct.map(|row| self.table("distinct", TableKind::Windowed, value, row));
        let window = match window {
            WindowInput::Time { window, .. } => Some(window),
            WindowInput::Carried { .. } => None,
        };
        PhysicalOp::WindowAggregate(WindowAggregate {
            keys,
            calls,
            window,
            lateness: aggregate.lateness,
            emits_changes: aggregate.emits.changes,
            by_clock: aggregate.emits.by_clock,
            groups,
            values,
            distinct,
        })
    }
}

pub(super) fn states(calls: &[AggregateCall]) -> Vec<Type> {
    calls.iter().flat_map(state_types).collect()
}

/// The columns of a `PreAggregate`.
fn partial_columns(aggregate: &Aggregate, input: &[Field]) -> Vec<Field> {
    let mut columns: Vec<Field> = aggregate.keys.iter().map(|&k| input[k].clone()).collect();
    if aggregate.window.is_some() {
        columns.push(Field::new("$slice_end", bigint()));
        columns.push(Field::new("$first_end", bigint()));
    }
    for (call, name) in aggregate.calls.iter().zip(&aggregate.names) {
        for (i, ty) in state_types(call).into_iter().enumerate() {
            columns.push(Field::new(format!("${name}.{i}"), ty));
        }
    }
    columns.push(Field::new("$rows", bigint().with_nullable(true)));
    columns.push(Field::new("$values", bytes().with_nullable(true)));
    columns
}

pub(super) fn bigint() -> Type {
    Type::not_null(DataType::BigInt)
}

fn int() -> Type {
    Type::not_null(DataType::Int)
}

fn bytes() -> Type {
    Type::not_null(DataType::Bytes)
}

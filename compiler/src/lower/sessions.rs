//! Sessions: the rows with the bounds of their sessions, or what the rows come to where nothing
//! else is asked of them.

use std::collections::HashMap;

use flow_ir::ids::{NodeId, VertexId};
use flow_ir::logical::{Aggregate, Changes, LogicalOp, Plan, Session};
use flow_ir::physical::{
    Partitioning, PhysicalOp, SessionAggregate, SessionWindow, TableKind, WindowInput,
};
use flow_ir::types::{DataType, Type};
use flow_stdlib::aggregates::is_multiset;

use super::Lowering;
use super::aggregate::{bigint, states};

/// The aggregates that add up the rows of sessions as they come, with the sessions: those of the
/// sessions' own keys, which need no values and show no changes, where nothing else reads them.
pub(super) fn aggregated(plan: &Plan) -> HashMap<NodeId, (NodeId, Session)> {
    let readers = plan.readers();
    let session = |id: NodeId| {
        let LogicalOp::Aggregate(aggregate) = &plan.node(id).op else { return None };
        let below = plan.node(id).inputs[0];
        let LogicalOp::Session(session) = &plan.node(below).op else { return None };
        let input = plan.node(below).inputs[0];
        let width = plan.schema(input).width();
        let appends = plan.schema(input).changes == Changes::Append;
        let fits = appends && readers[below.index()] == 1 && fits(aggregate, session, width);
        fits.then(|| (id, (below, session.clone())))
    };
    plan.order().into_iter().filter_map(session).collect()
}

fn fits(aggregate: &Aggregate, session: &Session, width: usize) -> bool {
    let sorted = |keys: &[usize]| {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys
    };
    let bounds = WindowInput::Carried { start: width, end: width + 1 };
    aggregate.window == Some(bounds)
        && sorted(&aggregate.keys) == sorted(&session.keys)
        && !aggregate.emits.changes
        && aggregate.emits.by_clock == session.by_clock
        && aggregate.lateness == session.lateness
        && aggregate.calls.iter().all(|call| {
            !is_multiset(call) && call.order.is_empty() && call.columns().all(|at| at < width)
        })
}

impl Lowering<'_> {
    pub(super) fn session(&mut self, id: NodeId, session: &Session) -> VertexId {
        let node = self.plan.node(id);
        let row = self.types(self.lowered[&node.inputs[0]]);
        let key: Vec<Type> = session.keys.iter().map(|&k| row[k].clone()).collect();
        let timed = || [key.clone(), vec![bigint()]].concat();
        let state = vec![bigint(), Type::not_null(DataType::Boolean)];
        let site = self.sites.site(node.origin);
        let op = SessionWindow {
            keys: session.keys.clone(),
            time: session.time,
            gap: session.gap,
            lateness: session.lateness,
            by_clock: session.by_clock,
            site: Some(site),
            sessions: self.table("sessions", TableKind::Ordered, timed(), state),
            rows: self.table("rows", TableKind::Ordered, [timed(), row].concat(), vec![bigint()]),
            timers: {
                let timer = [vec![bigint()], key.clone()].concat();
                self.table("timers", TableKind::Ordered, timer, Vec::new())
            },
        };
        self.keyed(id, PhysicalOp::SessionWindow(op), session.keys.clone())
    }

    /// An aggregate of sessions, in place of both.
    pub(super) fn session_aggregate(
        &mut self,
        id: NodeId,
        aggregate: &Aggregate,
        (of, session): &(NodeId, Session),
    ) -> VertexId {
        let node = self.plan.node(*of);
        let before = self.lowered[&node.inputs[0]];
        let row = self.types(before);
        let key: Vec<Type> = aggregate.keys.iter().map(|&k| row[k].clone()).collect();
        let head = vec![bigint(), Type::not_null(DataType::Boolean)];
        let state = [head, states(&aggregate.calls), vec![bigint()]].concat();
        let (by_start, by_time) =
            ([key.clone(), vec![bigint()]].concat(), [vec![bigint()], key].concat());
        let op = SessionAggregate {
            keys: aggregate.keys.clone(),
            calls: aggregate.calls.clone(),
            time: session.time,
            gap: session.gap,
            lateness: session.lateness,
            by_clock: session.by_clock,
            site: Some(self.sites.site(node.origin)),
            sessions: self.table("sessions", TableKind::Ordered, by_start, state),
            timers: self.table("timers", TableKind::Ordered, by_time, Vec::new()),
        };
        let op = PhysicalOp::SessionAggregate(op);
        let name = super::snake(op.kind());
        let vertex = self.vertex(self.part(id, name, op));
        self.edge(before, vertex, 0, Partitioning::Hash(aggregate.keys.clone()));
        vertex
    }
}

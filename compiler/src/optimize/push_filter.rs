//! Filters move towards the sources: through projections, below unions, into the inputs of joins,
//! windows and, where they read only keys, aggregates and tables.
//!
//! A filter never passes a `Late`: lateness is decided after the filters before a window, and only
//! after those. What might fail moves only where it meets the same rows. Nothing moves into a node
//! that others read too.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{Filter, JoinClass, LogicalOp, Plan};
use flow_ir::physical::JoinKind;

use super::Pass;
use crate::exprs::{
    both, conjunction, conjuncts, is_repeatable, is_timeless, is_total, may_substitute, substitute,
};

/// The pass.
pub(crate) struct PushFilter;

impl Pass for PushFilter {
    fn name(&self) -> &'static str {
        "push_filter"
    }

    fn reason(&self) -> &'static str {
        "a row that is left out early costs nothing above"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        while push_once(plan) {
            plan.refresh();
            changed = true;
        }
        changed
    }
}

/// Makes the first move that is possible, from the sinks on: a filter takes those that it meets
/// along.
fn push_once(plan: &mut Plan) -> bool {
    let readers = plan.readers();
    for id in plan.order().into_iter().rev() {
        let (filter, has_moved) = push_through(plan, id, &readers);
        let node = plan.node(filter);
        if let LogicalOp::Filter(op) = &node.op {
            let below = node.inputs[0];
            let predicate = op.predicate.clone();
            if readers[below.index()] == 1 && push(plan, filter, predicate, below) {
                return true;
            }
        }
        if has_moved || push_join_condition(plan, id) {
            return true;
        }
    }
    false
}

/// Moves a filter through projections, which leaves readers and schemas as they are, and into one
/// with the filters that it meets. Returns where it is then, and whether anything was done.
fn push_through(plan: &mut Plan, mut filter: NodeId, readers: &[usize]) -> (NodeId, bool) {
    let mut has_moved = false;
    loop {
        let node = plan.node(filter);
        let LogicalOp::Filter(Filter { predicate }) = &node.op else { break };
        let below = node.inputs[0];
        if readers[below.index()] != 1 {
            break;
        }
        let lower = plan.node(below);
        if let LogicalOp::Filter(inner) = &lower.op {
            let all = both(Some(inner.predicate.clone()), Some(predicate.clone()));
            let inputs = lower.inputs.clone();
            set_filter(plan, filter, all);
            plan.nodes[filter.index()].inputs = inputs;
        } else if let LogicalOp::Project(project) = &lower.op
            && predicate.columns().iter().all(|&c| is_repeatable(&project.exprs[c]))
            && may_substitute(predicate, &project.exprs)
        {
            let moved = substitute(predicate, &project.exprs);
            swap(plan, filter, below, moved);
            filter = below;
        } else {
            break;
        }
        has_moved = true;
    }
    (filter, has_moved)
}

/// Moves a filter, or some conjuncts of it, below the node under it.
fn push(plan: &mut Plan, filter: NodeId, predicate: Expr, below: NodeId) -> bool {
    match &plan.node(below).op {
        LogicalOp::Union(_) => {
            let inputs = plan.node(below).inputs.clone();
            let pushed = inputs.into_iter().map(|i| add_filter(plan, predicate.clone(), i));
            let pushed = pushed.collect();
            plan.nodes[below.index()].inputs = pushed;
            remove(plan, filter, below);
            true
        }
        LogicalOp::Join(_) => push_into_join(plan, filter, predicate, below),
        LogicalOp::Window(_) | LogicalOp::Unnest(_) => {
            let width = plan.schema(plan.node(below).inputs[0]).width();
            let own = (0..width).map(Some).collect::<Vec<_>>();
            push_mapped(plan, filter, predicate, below, &own)
        }
        LogicalOp::Session(session) => {
            let own = keys_only(&session.keys);
            push_mapped(plan, filter, predicate, below, &own)
        }
        LogicalOp::Aggregate(aggregate) => {
            let own = aggregate.keys.iter().map(|&k| Some(k)).collect::<Vec<_>>();
            push_mapped(plan, filter, predicate, below, &own)
        }
        LogicalOp::Deduplicate(dedup) => {
            let own = keys_only(&dedup.keys);
            push_mapped(plan, filter, predicate, below, &own)
        }
        LogicalOp::Over(over) => {
            let own = keys_only(&over.keys);
            push_mapped(plan, filter, predicate, below, &own)
        }
        LogicalOp::TopN(top) => {
            let own = keys_only(&top.keys);
            push_mapped(plan, filter, predicate, below, &own)
        }
        LogicalOp::Normalize(normalize) => {
            let own = keys_only(&normalize.keys);
            push_mapped(plan, filter, predicate, below, &own)
        }
        // What `push_through` has left there stays.
        LogicalOp::Filter(_) | LogicalOp::Project(_) => false,
        LogicalOp::Scan(_)
        | LogicalOp::Materialize(_)
        | LogicalOp::Late(_)
        | LogicalOp::Sink(_) => false,
    }
}

fn keys_only(keys: &[usize]) -> Vec<Option<usize>> {
    let width = keys.iter().max().map_or(0, |max| max + 1);
    (0..width).map(|c| keys.contains(&c).then_some(c)).collect()
}

/// Moves the conjuncts that read only output columns with a place in the input (`own`).
fn push_mapped(
    plan: &mut Plan,
    filter: NodeId,
    predicate: Expr,
    below: NodeId,
    own: &[Option<usize>],
) -> bool {
    let place = |c: usize| own.get(c).copied().flatten();
    let fits = |e: &Expr| {
        let columns = e.columns();
        !columns.is_empty() && may_move(e) && columns.iter().all(|&c| place(c).is_some())
    };
    let (mut moved, kept): (Vec<Expr>, Vec<Expr>) =
        conjuncts(predicate).into_iter().partition(fits);
    if moved.is_empty() {
        return false;
    }
    moved.iter_mut().for_each(|e| e.map_columns(&|c| place(c).unwrap_or(c)));
    let input = plan.node(below).inputs[0];
    let moved = conjunction(moved).map_or(input, |moved| add_filter(plan, moved, input));
    plan.nodes[below.index()].inputs[0] = moved;
    leave(plan, filter, below, kept);
    true
}

/// Whether a condition may be decided for rows and at times that it did not meet before.
fn may_move(expr: &Expr) -> bool {
    is_total(expr) && is_timeless(expr)
}

/// Where a conjunct over a join's columns may go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
    Both,
}

fn side(expr: &Expr, left_width: usize) -> Side {
    let columns = expr.columns();
    let left = columns.iter().any(|&c| c < left_width);
    let right = columns.iter().any(|&c| c >= left_width);
    match (left, right) {
        (true, false) => Side::Left,
        (false, true) => Side::Right,
        (true, true) | (false, false) => Side::Both,
    }
}

/// WHERE over a join: what reads one side goes there, what reads both into an inner join's
/// condition.
fn push_into_join(plan: &mut Plan, filter: NodeId, predicate: Expr, join: NodeId) -> bool {
    let LogicalOp::Join(op) = &plan.node(join).op else { return false };
    let (kind, class) = (op.kind, op.class);
    let width = plan.schema(plan.node(join).inputs[0]).width();
    let inner = kind == JoinKind::Inner;
    let left_may_shrink = !kind.keeps_lonely(1);
    let (mut left, mut right, mut on, mut kept) = (vec![], vec![], vec![], vec![]);
    for conjunct in conjuncts(predicate) {
        match side(&conjunct, width) {
            Side::Left if left_may_shrink && may_move(&conjunct) => left.push(conjunct),
            Side::Right if inner && may_move(&conjunct) && right_may_shrink(class) => {
                right.push(conjunct);
            }
            Side::Both if inner && is_timeless(&conjunct) && !conjunct.columns().is_empty() => {
                on.push(conjunct);
            }
            Side::Left | Side::Right | Side::Both => kept.push(conjunct),
        }
    }
    if left.is_empty() && right.is_empty() && on.is_empty() {
        return false;
    }
    push_sides(plan, join, left, right);
    if let LogicalOp::Join(op) = &mut plan.nodes[join.index()].op {
        op.condition = both(op.condition.take(), conjunction(on));
    }
    leave(plan, filter, join, kept);
    true
}

/// ON: what reads one side goes there, except to a side whose rows without a partner stay.
fn push_join_condition(plan: &mut Plan, join: NodeId) -> bool {
    let LogicalOp::Join(op) = &plan.node(join).op else { return false };
    let Some(condition) = op.condition.clone() else { return false };
    let (kind, class) = (op.kind, op.class);
    let width = plan.schema(plan.node(join).inputs[0]).width();
    let (mut left, mut right, mut kept) = (vec![], vec![], vec![]);
    for conjunct in conjuncts(condition) {
        match side(&conjunct, width) {
            Side::Left if !kind.keeps_lonely(0) && may_move(&conjunct) => left.push(conjunct),
            Side::Right
                if !kind.keeps_lonely(1) && may_move(&conjunct) && right_may_shrink(class) =>
            {
                right.push(conjunct);
            }
            Side::Left | Side::Right | Side::Both => kept.push(conjunct),
        }
    }
    if left.is_empty() && right.is_empty() {
        return false;
    }
    push_sides(plan, join, left, right);
    if let LogicalOp::Join(op) = &mut plan.nodes[join.index()].op {
        op.condition = conjunction(kept);
    }
    true
}

/// Whether fewer right rows mean fewer pairs and nothing else: a temporal join that misses a
/// version would find an older one.
fn right_may_shrink(class: JoinClass) -> bool {
    match class {
        JoinClass::Regular
        | JoinClass::Interval { .. }
        | JoinClass::Window { .. }
        | JoinClass::Lookup => true,
        JoinClass::Temporal { .. } => false,
    }
}

fn push_sides(plan: &mut Plan, join: NodeId, left: Vec<Expr>, mut right: Vec<Expr>) {
    let inputs = plan.node(join).inputs.clone();
    let width = plan.schema(inputs[0]).width();
    right.iter_mut().for_each(|e| e.map_columns(&|c| c - width));
    for (port, moved) in [left, right].into_iter().enumerate() {
        if let Some(moved) = conjunction(moved) {
            // A left join's right columns are nullable only above it.
            let moved = retyped(moved, plan, inputs[port]);
            let pushed = add_filter(plan, moved, inputs[port]);
            plan.nodes[join.index()].inputs[port] = pushed;
        }
    }
}

/// The expression with its columns typed as this relation has them.
fn retyped(mut expr: Expr, plan: &Plan, over: NodeId) -> Expr {
    expr.rewrite(&mut |e| {
        if let ExprKind::Column(index) = e.kind {
            e.ty = plan.schema(over).columns[index].ty.clone();
        }
    });
    expr
}

fn add_filter(plan: &mut Plan, predicate: Expr, input: NodeId) -> NodeId {
    let span = predicate.span;
    plan.add(LogicalOp::Filter(Filter { predicate }), vec![input], span)
}

fn set_filter(plan: &mut Plan, filter: NodeId, predicate: Option<Expr>) {
    if let Some(predicate) = predicate {
        plan.nodes[filter.index()].op = LogicalOp::Filter(Filter { predicate });
    }
}

/// The filter keeps these conjuncts, or goes.
fn leave(plan: &mut Plan, filter: NodeId, below: NodeId, kept: Vec<Expr>) {
    match conjunction(kept) {
        Some(kept) => set_filter(plan, filter, Some(kept)),
        None => remove(plan, filter, below),
    }
}

/// Lets the readers of a node read another one instead.
fn remove(plan: &mut Plan, id: NodeId, instead: NodeId) {
    for node in &mut plan.nodes {
        node.inputs.iter_mut().filter(|input| **input == id).for_each(|input| *input = instead);
    }
}

/// Project over Filter in place of Filter over Project; the upper node keeps its readers.
fn swap(plan: &mut Plan, filter: NodeId, project: NodeId, moved: Expr) {
    let project_op = plan.node(project).op.clone();
    let origins = (plan.node(filter).origin, plan.node(project).origin);
    let lower = &mut plan.nodes[project.index()];
    (lower.op, lower.origin) = (LogicalOp::Filter(Filter { predicate: moved }), origins.0);
    let upper = &mut plan.nodes[filter.index()];
    (upper.op, upper.origin) = (project_op, origins.1);
}

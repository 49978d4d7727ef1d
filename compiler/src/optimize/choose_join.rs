//! Finds what an unbounded join did not say outright: equalities between expressions become keys,
//! and a join on times that both sides' watermarks bound keeps its rows no longer than those.
//!
//! The second is only done where neither side reads records directly: a row of a source may come
//! late, and a join bounded by time would drop it.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{Changes, Join, JoinClass, LogicalOp, Node, Plan, Project};
use flow_ir::physical::JoinKind;

use super::Pass;
use crate::exprs::{conjunction, conjuncts, is_timeless, is_total};

/// The pass.
pub(crate) struct ChooseJoin;

impl Pass for ChooseJoin {
    fn name(&self) -> &'static str {
        "choose_join"
    }

    fn reason(&self) -> &'static str {
        "an equality finds partners by key; a bounded time lets rows go"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for id in plan.order() {
            changed |= extract_keys(plan, id) | bound_by_time(plan, id);
        }
        changed
    }
}

fn join_of(node: &Node) -> Option<&Join> {
    if let LogicalOp::Join(join) = &node.op { Some(join) } else { None }
}

/// A regular join on equal time columns of derived, append-only inputs becomes an interval join of
/// distance 0: a window join.
fn bound_by_time(plan: &mut Plan, id: NodeId) -> bool {
    let node = plan.node(id);
    let Some(join) = join_of(node) else { return false };
    let (left, right) = (plan.schema(node.inputs[0]), plan.schema(node.inputs[1]));
    let append = left.changes == Changes::Append && right.changes == Changes::Append;
    let unbounded = join.class == JoinClass::Regular && join.kind == JoinKind::Inner;
    if !unbounded || !append || !node.inputs.iter().all(|&input| is_derived(plan, input)) {
        return false;
    }
    let bounded = |&(l, r): &(usize, usize)| left.times.contains(&l) && right.times.contains(&r);
    let Some(&(left_time, right_time)) = join.keys.iter().find(|pair| bounded(pair)) else {
        return false;
    };
    if let LogicalOp::Join(join) = &mut plan.nodes[id.index()].op {
        join.class = JoinClass::Interval { left_time, right_time, lower: 0, upper: 0 };
    }
    true
}

/// Whether every row comes out of an operator with state, so that none can be late.
fn is_derived(plan: &Plan, id: NodeId) -> bool {
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        let node = plan.node(id);
        match &node.op {
            LogicalOp::Scan(_) | LogicalOp::Sink(_) => return false,
            LogicalOp::Filter(_)
            | LogicalOp::Project(_)
            | LogicalOp::Unnest(_)
            | LogicalOp::Window(_)
            | LogicalOp::Late(_)
            | LogicalOp::Union(_) => open.extend(&node.inputs),
            LogicalOp::Join(_)
            | LogicalOp::Session(_)
            | LogicalOp::Aggregate(_)
            | LogicalOp::Deduplicate(_)
            | LogicalOp::TopN(_)
            | LogicalOp::Over(_)
            | LogicalOp::Normalize(_)
            | LogicalOp::Materialize(_) => {}
        }
    }
    true
}

/// The two sides of an equality between an expression over the left and one over the right columns.
fn equal_sides(conjunct: &Expr, left_width: usize) -> Option<(Expr, Expr)> {
    let ExprKind::Call { function, args, .. } = &conjunct.kind else { return None };
    let [a, b] = &args[..] else { return None };
    let movable = |e: &Expr| is_total(e) && is_timeless(e) && !e.columns().is_empty();
    if function != "=" || a.ty.data != b.ty.data || !movable(a) || !movable(b) {
        return None;
    }
    let is_left = |e: &Expr| e.columns().iter().all(|&c| c < left_width);
    let is_right = |e: &Expr| e.columns().iter().all(|&c| c >= left_width);
    match (is_left(a) && is_right(b), is_left(b) && is_right(a)) {
        (true, _) => Some((a.clone(), b.clone())),
        (false, true) => Some((b.clone(), a.clone())),
        (false, false) => None,
    }
}

/// Moves equalities out of a join's condition into its keys, computing the expressions below it.
fn extract_keys(plan: &mut Plan, id: NodeId) -> bool {
    let node = plan.node(id);
    let Some(join) = join_of(node) else { return false };
    let temporal = matches!(join.class, JoinClass::Temporal { .. });
    let (Some(condition), false) = (join.condition.clone(), temporal) else { return false };
    let (inputs, origin, identity) = (node.inputs.clone(), node.origin, node.identity);
    let names: Vec<String> = node.schema.columns.iter().map(|c| c.name.clone()).collect();
    let widths = [plan.schema(inputs[0]).width(), plan.schema(inputs[1]).width()];

    let (mut pairs, mut kept) = (Vec::new(), Vec::new());
    for conjunct in conjuncts(condition) {
        match equal_sides(&conjunct, widths[0]) {
            Some(pair) => pairs.push(pair),
            None => kept.push(conjunct),
        }
    }
    if pairs.is_empty() {
        return false;
    }
    let mut keyed = join.clone();
    let (left, mut right): (Vec<Expr>, Vec<Expr>) = pairs.into_iter().unzip();
    right.iter_mut().for_each(|e| e.map_columns(&|c| c - widths[0]));
    let (left, left_keys) = with_columns(plan, inputs[0], left);
    let (right, right_keys) = with_columns(plan, inputs[1], right);
    keyed.keys.extend(left_keys.into_iter().zip(right_keys));
    let added = plan.schema(left).width() - widths[0];
    let place = |c: usize| if c < widths[0] { c } else { c + added };
    kept.iter_mut().for_each(|e| e.map_columns(&place));
    keyed.condition = conjunction(kept);

    let join = plan.add(LogicalOp::Join(keyed), vec![left, right], origin);
    plan.nodes[join.index()].identity = identity;
    let columns = &plan.schema(join).columns;
    let exprs =
        (0..names.len()).map(|c| Expr::column(place(c), columns[place(c)].ty.clone(), origin));
    let project = Project { exprs: exprs.collect(), names, time: None };
    let node = &mut plan.nodes[id.index()];
    (node.op, node.inputs) = (LogicalOp::Project(project), vec![join]);
    true
}

/// The relation with these expressions as further columns, plain columns staying where they are.
fn with_columns(plan: &mut Plan, input: NodeId, exprs: Vec<Expr>) -> (NodeId, Vec<usize>) {
    let schema = plan.schema(input);
    let origin = plan.node(input).origin;
    let mut project = Project { exprs: Vec::new(), names: Vec::new(), time: None };
    for (index, column) in schema.columns.iter().enumerate() {
        project.exprs.push(Expr::column(index, column.ty.clone(), origin));
        project.names.push(column.name.clone());
    }
    let width = project.exprs.len();
    let mut places = Vec::new();
    for expr in exprs {
        if let ExprKind::Column(index) = expr.kind {
            places.push(index);
        } else {
            places.push(project.exprs.len());
            project.names.push(format!("$key{}", project.exprs.len() - width));
            project.exprs.push(expr);
        }
    }
    if project.exprs.len() == width {
        return (input, places);
    }
    (plan.add(LogicalOp::Project(project), vec![input], origin), places)
}

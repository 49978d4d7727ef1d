//! A window table function under an aggregate over its windows becomes the aggregate's own window,
//! so that rows are added to slices and never multiplied by the windows they lie in. Only filters
//! and projections that leave the bounds alone may lie between.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{Aggregate, Hidden, LogicalOp, Plan, PlanNode, Project, Window};
use flow_ir::physical::WindowInput;

use super::Pass;

/// The pass.
pub(crate) struct FuseWindow;

impl Pass for FuseWindow {
    fn name(&self) -> &'static str {
        "fuse_window"
    }

    fn reason(&self) -> &'static str {
        "a row is added to slices, and not to each window that it lies in"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for id in plan.order() {
            changed |= fuse(plan, id).is_some();
        }
        changed
    }
}

/// What an output column of a node between is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// A bound of the window: 0 start, 1 end, 2 time.
    Bound(usize),
    /// Anything else.
    Row,
}

fn fuse(plan: &mut Plan, id: NodeId) -> Option<()> {
    let LogicalOp::Aggregate(aggregate) = &plan.node(id).op else { return None };
    let Some(WindowInput::Carried { start, end }) = aggregate.window else { return None };
    let aggregate = aggregate.clone();
    let (between, window_id) = chain(plan, plan.node(id).inputs[0])?;
    let LogicalOp::Window(window) = plan.node(window_id).op.clone() else { return None };
    let columns = trace(plan, &between, window_id)?;
    let bounds = [columns[start], columns[end]] == [From::Bound(0), From::Bound(1)];
    let mut others = aggregate.clone();
    others.window = None;
    let alone = others.columns().iter().all(|&c| columns[c] == From::Row);
    if !bounds || !alone {
        return None;
    }
    rewrite(plan, id, aggregate, &between, window_id, &window);
    Some(())
}

/// The filters and projections from `top` down to a window, top first; none that others read.
fn chain(plan: &Plan, top: NodeId) -> Option<(Vec<NodeId>, NodeId)> {
    let readers = plan.readers();
    let mut between = Vec::new();
    let mut id = top;
    loop {
        if readers[id.index()] != 1 {
            return None;
        }
        match &plan.node(id).op {
            LogicalOp::Window(_) => return Some((between, id)),
            LogicalOp::Filter(_) | LogicalOp::Project(_) => {
                between.push(id);
                id = plan.node(id).inputs[0];
            }
            LogicalOp::Scan(_)
            | LogicalOp::Unnest(_)
            | LogicalOp::Join(_)
            | LogicalOp::Session(_)
            | LogicalOp::Aggregate(_)
            | LogicalOp::Deduplicate(_)
            | LogicalOp::TopN(_)
            | LogicalOp::Over(_)
            | LogicalOp::Normalize(_)
            | LogicalOp::Materialize(_)
            | LogicalOp::Union(_)
            | LogicalOp::Late(_)
            | LogicalOp::Sink(_) => return None,
        }
    }
}

/// What the top's columns are; `None` if an expression between reads a bound.
fn trace(plan: &Plan, between: &[NodeId], window: NodeId) -> Option<Vec<From>> {
    let width = plan.schema(plan.node(window).inputs[0]).width();
    let mut columns = vec![From::Row; width];
    columns.extend((0..3).map(From::Bound));
    for &id in between.iter().rev() {
        let node = plan.node(id);
        let reads_bound = |e: &Expr| e.columns().iter().any(|&c| columns[c] != From::Row);
        if let LogicalOp::Project(project) = &node.op {
            let mut next = Vec::with_capacity(project.exprs.len());
            for (i, expr) in project.exprs.iter().enumerate() {
                match project.passes(i) {
                    Some(column) => next.push(columns[column]),
                    None if reads_bound(expr) => return None,
                    None => next.push(From::Row),
                }
            }
            columns = next;
        } else if node.op.exprs().into_iter().any(reads_bound) {
            return None;
        }
    }
    Some(columns)
}

/// Takes the window out, its columns out of the projections, and carries time and watermark up.
fn rewrite(
    plan: &mut Plan,
    id: NodeId,
    mut aggregate: Aggregate,
    between: &[NodeId],
    window_id: NodeId,
    window: &Window,
) {
    let mut input = plan.node(window_id).inputs[0];
    let (mut time, mut watermark) = (window.time, window.watermark);
    let width = plan.schema(input).width();
    let mut places: Vec<Option<usize>> = (0..width).map(Some).chain([None; 3]).collect();
    for &between_id in between.iter().rev() {
        let mut op = plan.node(between_id).op.clone();
        if let LogicalOp::Project(project) = &mut op {
            (places, time, watermark) = shrink(project, &places, time, watermark, plan, input);
        } else {
            let place = |c: usize| places[c].unwrap_or(c);
            for expr in op.exprs_mut() {
                expr.map_columns(&place);
            }
        }
        let schema = plan.derive(&op, &[input]);
        let node = &mut plan.nodes[between_id.index()];
        (node.op, node.inputs, node.schema) = (op, vec![input], schema);
        input = between_id;
    }
    aggregate.window = None;
    aggregate.map_columns(&|c| places[c].unwrap_or(c));
    aggregate.window = Some(WindowInput::Time { time, watermark, window: window.window });
    aggregate.lateness = window.lateness;
    let node = &mut plan.nodes[id.index()];
    (node.op, node.inputs) = (LogicalOp::Aggregate(aggregate), vec![input]);
}

/// The projection without bounds, with time and watermark; where its old columns, time and
/// watermark are then.
fn shrink(
    project: &mut Project,
    below: &[Option<usize>],
    time: usize,
    watermark: Option<usize>,
    plan: &Plan,
    input: NodeId,
) -> (Vec<Option<usize>>, usize, Option<usize>) {
    let columns = &plan.schema(input).columns;
    let old = std::mem::replace(project, Project { exprs: vec![], names: vec![], time: None });
    let mut places = Vec::with_capacity(old.exprs.len());
    for (index, (mut expr, name)) in old.exprs.into_iter().zip(old.names).enumerate() {
        if matches!(expr.kind, ExprKind::Column(c) if below[c].is_none()) {
            places.push(None);
            continue;
        }
        expr.map_columns(&|c| below[c].unwrap_or(c));
        places.push(Some(project.exprs.len()));
        if old.time == Some(index) {
            project.time = Some(project.exprs.len());
        }
        project.exprs.push(expr);
        project.names.push(name);
    }
    let mut carry = |column: usize| {
        let passed = (0..project.exprs.len()).find(|&i| project.passes(i) == Some(column));
        let is_hidden = columns[column].name == Hidden::Watermark.name();
        let named = |i: &usize| !is_hidden || project.names[*i] == Hidden::Watermark.name();
        passed.filter(named).unwrap_or_else(|| {
            let span = plan.node(input).origin;
            project.exprs.push(Expr::column(column, columns[column].ty.clone(), span));
            project.names.push(columns[column].name.clone());
            project.exprs.len() - 1
        })
    };
    let time = carry(time);
    let watermark = watermark.map(&mut carry);
    (places, time, watermark)
}

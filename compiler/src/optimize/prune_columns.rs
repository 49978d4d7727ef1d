//! Columns that nobody reads go, down to the decoder's request. What a stateful operator keeps is
//! cut to what it and its readers need, by a projection below it where filters left more.

use std::collections::BTreeSet;

use flow_ir::expr::Expr;
use flow_ir::ids::NodeId;
use flow_ir::logical::{
    Hidden, Join, JoinClass, LogicalOp, Over, Plan, Project, Scan, Schema, Session, TopN,
};
use flow_ir::physical::{Direction, Numbering};
use flow_ir::types::Type;

use super::Pass;
use super::merge_projects::drop_repeats;

/// The pass.
pub(crate) struct PruneColumns;

impl Pass for PruneColumns {
    fn name(&self) -> &'static str {
        "prune_columns"
    }

    fn reason(&self) -> &'static str {
        "a column that nobody reads is not decoded, sent or kept"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let order = plan.order();
        let widths = |plan: &Plan| order.iter().map(|&id| plan.schema(id).width()).sum::<usize>();
        let before = widths(plan);
        let needs = needs(plan, &order);
        let mut places: Vec<Vec<Option<usize>>> = vec![Vec::new(); plan.nodes.len()];
        for &id in &order {
            let place = prune(plan, id, &needs, &places);
            places[id.index()] = place;
            let schema = plan.derive(&plan.node(id).op, &plan.node(id).inputs);
            plan.nodes[id.index()].schema = schema;
        }
        let narrower = widths(plan) != before;
        drop_repeats(plan) || narrower
    }
}

/// Columns by node, as they are before anything is cut.
struct Needs {
    /// Those of a node's output that its readers need.
    outputs: Vec<BTreeSet<usize>>,
    /// Those of a node's inputs, by port, that it reads.
    inputs: Vec<Vec<BTreeSet<usize>>>,
}

fn needs(plan: &Plan, order: &[NodeId]) -> Needs {
    let count = plan.nodes.len();
    let mut needs = Needs { outputs: vec![BTreeSet::new(); count], inputs: vec![vec![]; count] };
    for &id in order.iter().rev() {
        let node = plan.node(id);
        let inputs: Vec<&Schema> = node.inputs.iter().map(|&i| plan.schema(i)).collect();
        if plan.keep_positions
            && let Some(position) = node.schema.hidden(Hidden::Position)
        {
            needs.outputs[id.index()].insert(position);
        }
        let read = reads(&node.op, &needs.outputs[id.index()], &inputs);
        let read: Vec<BTreeSet<usize>> =
            read.into_iter().map(|columns| columns.into_iter().collect()).collect();
        for (input, columns) in node.inputs.iter().zip(&read) {
            needs.outputs[input.index()].extend(columns);
        }
        needs.inputs[id.index()] = read;
    }
    needs
}

/// Which columns of its inputs an operator reads to make the needed ones of its output.
fn reads(op: &LogicalOp, needed: &BTreeSet<usize>, inputs: &[&Schema]) -> Vec<Vec<usize>> {
    let all = |schema: &Schema| (0..schema.width()).collect::<Vec<_>>();
    let and = |more: &[usize]| vec![needed.iter().chain(more).copied().collect::<Vec<_>>()];
    match op {
        LogicalOp::Scan(_) => Vec::new(),
        LogicalOp::Filter(filter) => and(&filter.predicate.columns()),
        LogicalOp::Project(project) => {
            vec![needed.iter().flat_map(|&c| project.exprs[c].columns()).collect()]
        }
        LogicalOp::Join(join) => join_reads(join, needed, inputs),
        LogicalOp::Unnest(unnest) => {
            let width = inputs[0].width();
            let own = needed.iter().copied().filter(|&c| c < width);
            vec![own.chain(unnest.columns.iter().copied()).collect()]
        }
        LogicalOp::Window(window) => {
            let width = inputs[0].width();
            let own = needed.iter().copied().filter(|&c| c < width);
            vec![own.chain([window.time]).chain(window.watermark).collect()]
        }
        LogicalOp::Session(session) => {
            let width = inputs[0].width();
            let own = needed.iter().copied().filter(|&c| c < width);
            vec![own.chain(session.keys.iter().copied()).chain([session.time]).collect()]
        }
        LogicalOp::Aggregate(aggregate) => {
            let mut read = aggregate.clone();
            let keys = aggregate.keys.len();
            let mut index = keys..;
            read.calls.retain(|_| index.next().is_some_and(|i| needed.contains(&i)));
            vec![read.columns()]
        }
        LogicalOp::Deduplicate(dedup) if !is_total_order(&dedup.keys, &dedup.order, inputs[0]) => {
            vec![all(inputs[0])]
        }
        LogicalOp::Deduplicate(dedup) => {
            let order = dedup.order.iter().map(|&(column, _)| column);
            and(&dedup.keys.iter().copied().chain(order).collect::<Vec<_>>())
        }
        LogicalOp::TopN(top) => vec![top_n_reads(top, needed, inputs[0])],
        LogicalOp::Over(over) => vec![over_reads(over, needed, inputs[0])],
        LogicalOp::Normalize(normalize) => {
            let hidden = [Some(normalize.tombstone), normalize.weight, normalize.watermark];
            let hidden = hidden.into_iter().flatten();
            and(&normalize.keys.iter().copied().chain(hidden).collect::<Vec<_>>())
        }
        LogicalOp::Union(_) => vec![needed.iter().copied().collect(); inputs.len()],
        LogicalOp::Late(late) => and(&[late.time, late.watermark, late.position]),
        LogicalOp::Materialize(_) | LogicalOp::Sink(_) => vec![all(inputs[0])],
    }
}

/// The columns that the operator reads to make the needed ones of its output: what the calls read
/// that are needed, and where the order is not total all that breaks ties.
pub(super) fn over_reads(over: &Over, needed: &BTreeSet<usize>, input: &Schema) -> Vec<usize> {
    let width = input.width();
    if !is_total_order(&over.keys, &over.order, input) {
        return (0..width).collect();
    }
    let mut read = over.clone();
    let mut index = width..;
    read.calls.retain(|_| index.next().is_some_and(|i| needed.contains(&i)));
    let own = needed.iter().copied().filter(|&c| c < width);
    own.chain(read.columns()).collect()
}

/// The columns that the operator reads to make the needed ones of its output.
pub(super) fn top_n_reads(top: &TopN, needed: &BTreeSet<usize>, input: &Schema) -> Vec<usize> {
    if top.numbering == Numbering::RowNumber && !is_total_order(&top.keys, &top.order, input) {
        return (0..input.width()).collect();
    }
    let order = top.order.iter().map(|&(column, _)| column);
    let own = needed.iter().copied().filter(|&c| c < input.width());
    let end = top.window.map(|window| window.end);
    own.chain(top.keys.iter().copied()).chain(order).chain(end).collect()
}

/// Whether no two rows of a partition are equal in the order: else the whole row decides and must
/// stay whole.
pub(super) fn is_total_order(keys: &[usize], order: &[(usize, Direction)], input: &Schema) -> bool {
    let mut columns = keys.to_vec();
    columns.extend(order.iter().map(|&(column, _)| column));
    let ordered = |at: usize| columns.contains(&at);
    let place = input.hidden(Hidden::Offset).is_some_and(ordered)
        && input.hidden(Hidden::Element).is_none_or(ordered);
    place || input.is_unique(&columns)
}

fn join_reads(join: &Join, needed: &BTreeSet<usize>, inputs: &[&Schema]) -> Vec<Vec<usize>> {
    let width = inputs[0].width();
    let condition = join.condition.iter().flat_map(Expr::columns);
    let both: Vec<usize> = needed.iter().copied().chain(condition).collect();
    let mut left: Vec<usize> = both.iter().copied().filter(|&c| c < width).collect();
    let mut right: Vec<usize> = both.iter().filter_map(|c| c.checked_sub(width)).collect();
    left.extend(join.left_keys());
    right.extend(join.right_keys());
    match join.class {
        JoinClass::Regular | JoinClass::Lookup => {}
        JoinClass::Window { left_end, right_end, .. } => {
            left.push(left_end);
            right.push(right_end);
        }
        JoinClass::Interval { left_time, right_time, .. } => {
            left.push(left_time);
            right.push(right_time);
        }
        JoinClass::Temporal { left_time, right_time } => {
            left.push(left_time);
            right.extend(right_time);
            let hidden = [Hidden::Watermark, Hidden::Tombstone];
            right.extend(hidden.into_iter().filter_map(|h| inputs[1].hidden(h)));
        }
    }
    vec![left, right]
}

/// Cuts a node to what is needed of it; where its old output columns are then.
fn prune(
    plan: &mut Plan,
    id: NodeId,
    needs: &Needs,
    places: &[Vec<Option<usize>>],
) -> Vec<Option<usize>> {
    let need = &needs.outputs[id.index()];
    let inputs = plan.node(id).inputs.clone();
    let of = |port: usize| &places[inputs[port].index()];
    let at = |port: usize, c: usize| of(port)[c].expect("a column that is read was kept");
    let mut op = plan.node(id).op.clone();
    let kept = match &mut op {
        LogicalOp::Scan(scan) => prune_scan(scan, need),
        LogicalOp::Filter(filter) => {
            filter.predicate.map_columns(&|c| at(0, c));
            of(0).clone()
        }
        LogicalOp::Project(project) => {
            let kept = positions(need, project.exprs.len());
            let old = project.clone();
            project.time = old.time.and_then(|c| kept[c]);
            project.exprs = need.iter().map(|&c| old.exprs[c].clone()).collect();
            project.names = need.iter().map(|&c| old.names[c].clone()).collect();
            project.exprs.iter_mut().for_each(|e| e.map_columns(&|c| at(0, c)));
            kept
        }
        LogicalOp::Window(window) => {
            window.time = at(0, window.time);
            window.watermark = window.watermark.map(|c| at(0, c));
            let width = plan.schema(inputs[0]).width();
            of(0).iter().copied().chain((0..3).map(|bound| Some(width + bound))).collect()
        }
        LogicalOp::Unnest(unnest) => {
            unnest.columns.iter_mut().for_each(|c| *c = at(0, *c));
            let width = plan.schema(inputs[0]).width();
            let made = plan.schema(id).width() - of(0).len();
            of(0).iter().copied().chain((0..made).map(|at| Some(width + at))).collect()
        }
        LogicalOp::Aggregate(aggregate) => {
            let keys = aggregate.keys.len();
            let results = keys..keys + aggregate.calls.len();
            let dropped = |c: &usize| results.contains(c) && !need.contains(c);
            let width = plan.schema(id).width();
            let keep: BTreeSet<usize> = (0..width).filter(|c| !dropped(c)).collect();
            for c in results.clone().rev().filter(|c| dropped(c)) {
                aggregate.calls.remove(c - keys);
                aggregate.names.remove(c - keys);
            }
            aggregate.map_columns(&|c| at(0, c));
            positions(&keep, width)
        }
        LogicalOp::Late(late) => {
            for column in [&mut late.time, &mut late.watermark, &mut late.position] {
                *column = at(0, *column);
            }
            of(0).clone()
        }
        LogicalOp::Join(_)
        | LogicalOp::Session(_)
        | LogicalOp::Deduplicate(_)
        | LogicalOp::TopN(_)
        | LogicalOp::Over(_)
        | LogicalOp::Normalize(_)
        | LogicalOp::Materialize(_)
        | LogicalOp::Union(_)
        | LogicalOp::Sink(_) => return fit(plan, id, op, needs, places),
    };
    plan.nodes[id.index()].op = op;
    kept
}

/// Cuts a scan; its key and what its watermark reads stay.
fn prune_scan(scan: &mut Scan, need: &BTreeSet<usize>) -> Vec<Option<usize>> {
    let watermark = scan.watermark.iter().flat_map(Expr::columns);
    let keep: BTreeSet<usize> =
        need.iter().copied().chain(watermark).chain(scan.key.iter().copied()).collect();
    let kept = positions(&keep, scan.columns.len());
    let mut index = 0..;
    scan.columns.retain(|_| index.next().is_some_and(|i| kept[i].is_some()));
    let place = |c: usize| kept[c].expect("a column that is read was kept");
    scan.key.iter_mut().for_each(|c| *c = place(*c));
    scan.watermark.iter_mut().for_each(|e| e.map_columns(&place));
    scan.time = scan.time.and_then(|c| kept[c]);
    kept
}

/// Where the kept columns are among themselves.
fn positions(keep: &BTreeSet<usize>, width: usize) -> Vec<Option<usize>> {
    let mut next = 0..;
    (0..width).map(|c| if keep.contains(&c) { next.next() } else { None }).collect()
}

/// As `prune`, for operators whose inputs must have exactly the columns that they read.
fn fit(
    plan: &mut Plan,
    id: NodeId,
    mut op: LogicalOp,
    needs: &Needs,
    places: &[Vec<Option<usize>>],
) -> Vec<Option<usize>> {
    let inputs = plan.node(id).inputs.clone();
    let old: Vec<&Vec<Option<usize>>> = inputs.iter().map(|i| &places[i.index()]).collect();
    let widths: Vec<usize> = old.iter().map(|old| old.len()).collect();
    let (fitted, kept) = fit_inputs(plan, &inputs, &old, &needs.inputs[id.index()]);
    let at = |port: usize, c: usize| kept[port][c].expect("a column that is read was kept");
    let output = match &mut op {
        LogicalOp::Join(join) => {
            fit_join(join, widths[0], plan.schema(fitted[0]).width(), &at);
            let width = plan.schema(fitted[0]).width();
            let right = kept[1].iter().filter(|_| join.kind.has_pairs());
            let right = right.map(|place| place.map(|c| width + c));
            kept[0].iter().copied().chain(right).collect()
        }
        LogicalOp::Session(session) => {
            fit_session(session, &kept[0], plan.schema(fitted[0]).width())
        }
        LogicalOp::Deduplicate(dedup) => {
            dedup.keys.iter_mut().for_each(|c| *c = at(0, *c));
            dedup.order.iter_mut().for_each(|(c, _)| *c = at(0, *c));
            kept[0].clone()
        }
        LogicalOp::TopN(top) => {
            let is_read = needs.outputs[id.index()].contains(&widths[0]);
            fit_top_n(top, &kept[0], is_read, plan.schema(fitted[0]).width())
        }
        LogicalOp::Over(over) => {
            let needed = &needs.outputs[id.index()];
            fit_over(over, &kept[0], needed, plan.schema(fitted[0]).width())
        }
        LogicalOp::Normalize(normalize) => {
            normalize.keys.iter_mut().for_each(|c| *c = at(0, *c));
            normalize.tombstone = at(0, normalize.tombstone);
            let more = normalize.weight.iter_mut().chain(&mut normalize.watermark);
            more.for_each(|c| *c = at(0, *c));
            kept[0].clone()
        }
        LogicalOp::Materialize(view) => {
            view.keys.iter_mut().for_each(|c| *c = at(0, *c));
            kept[0].clone()
        }
        LogicalOp::Scan(_)
        | LogicalOp::Filter(_)
        | LogicalOp::Project(_)
        | LogicalOp::Unnest(_)
        | LogicalOp::Window(_)
        | LogicalOp::Aggregate(_)
        | LogicalOp::Late(_)
        | LogicalOp::Union(_)
        | LogicalOp::Sink(_) => kept[0].clone(),
    };
    let node = &mut plan.nodes[id.index()];
    (node.op, node.inputs) = (op, fitted);
    output
}

/// Inputs with exactly the columns that are read, and where their old columns are then.
fn fit_inputs(
    plan: &mut Plan,
    inputs: &[NodeId],
    old: &[&Vec<Option<usize>>],
    read: &[BTreeSet<usize>],
) -> (Vec<NodeId>, Vec<Vec<Option<usize>>>) {
    let fitted = inputs.iter().enumerate().map(|(port, &input)| {
        let now: Vec<usize> = read[port].iter().filter_map(|&c| old[port][c]).collect();
        (only(plan, input, &now), positions(&read[port], old[port].len()))
    });
    fitted.unzip()
}

/// A session's columns among those that were kept of its input; where its output columns are.
fn fit_session(session: &mut Session, kept: &[Option<usize>], width: usize) -> Vec<Option<usize>> {
    let at = |c: usize| kept[c].expect("a column that is read was kept");
    session.keys.iter_mut().for_each(|c| *c = at(*c));
    session.time = at(session.time);
    kept.iter().copied().chain((0..3).map(|bound| Some(width + bound))).collect()
}

/// Calls go that nobody reads.
fn fit_over(
    over: &mut Over,
    kept: &[Option<usize>],
    needed: &BTreeSet<usize>,
    width: usize,
) -> Vec<Option<usize>> {
    let mut places = kept.to_vec();
    let mut next = width..;
    for at in kept.len()..kept.len() + over.calls.len() {
        places.push(if needed.contains(&at) { next.next() } else { None });
    }
    let mut results = places[kept.len()..].iter();
    over.calls.retain(|_| results.next().is_some_and(Option::is_some));
    let mut results = places[kept.len()..].iter();
    over.names.retain(|_| results.next().is_some_and(Option::is_some));
    over.map_columns(|c| kept[c].expect("a column that is read was kept"));
    places
}

/// The number goes where it is not read: shifts of it are then no changes.
fn fit_top_n(
    top: &mut TopN,
    kept: &[Option<usize>],
    is_read: bool,
    width: usize,
) -> Vec<Option<usize>> {
    let at = |c: usize| kept[c].expect("a column that is read was kept");
    top.keys.iter_mut().for_each(|c| *c = at(*c));
    top.order.iter_mut().for_each(|(c, _)| *c = at(*c));
    top.window.iter_mut().for_each(|window| window.end = at(window.end));
    let mut places = kept.to_vec();
    if top.rank {
        top.rank = is_read;
        places.push(is_read.then_some(width));
    }
    places
}

/// A join over inputs of which `at` says where the columns of a port are; the left one had `old`
/// columns and has `new`.
fn fit_join(join: &mut Join, old: usize, new: usize, at: &impl Fn(usize, usize) -> usize) {
    let place = |c: usize| match c.checked_sub(old) {
        None => at(0, c),
        Some(c) => new + at(1, c),
    };
    join.condition.iter_mut().for_each(|e| e.map_columns(&place));
    join.keys.iter_mut().for_each(|(l, r)| (*l, *r) = (at(0, *l), at(1, *r)));
    match &mut join.class {
        JoinClass::Regular | JoinClass::Lookup => {}
        JoinClass::Window { left_end, right_end, .. } => {
            *left_end = at(0, *left_end);
            *right_end = at(1, *right_end);
        }
        JoinClass::Interval { left_time, right_time, .. } => {
            *left_time = at(0, *left_time);
            *right_time = at(1, *right_time);
        }
        JoinClass::Temporal { left_time, right_time } => {
            *left_time = at(0, *left_time);
            right_time.iter_mut().for_each(|time| *time = at(1, *time));
        }
    }
}

/// A projection to these columns, in order; nothing where they are all there is.
fn only(plan: &mut Plan, input: NodeId, columns: &[usize]) -> NodeId {
    let schema = plan.schema(input);
    if columns.iter().copied().eq(0..schema.width()) {
        return input;
    }
    let origin = plan.node(input).origin;
    let column = |&c: &usize| -> (Expr, String) {
        let ty: Type = schema.columns[c].ty.clone();
        (Expr::column(c, ty, origin), schema.columns[c].name.clone())
    };
    let (exprs, names) = columns.iter().map(column).unzip();
    plan.add(LogicalOp::Project(Project { exprs, names, time: None }), vec![input], origin)
}

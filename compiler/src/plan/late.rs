//! Where late rows are dropped: in the pipeline of the source they come from, above its filters and
//! below whatever first minds the time. Above a stateful operator nothing is late. A window
//! function alone minds no time, it only adds columns: late rows go where an aggregate over its
//! windows is to keep state, and in the aggregate's own copy of what lies between.

use flow_ir::expr::Expr;
use flow_ir::ids::{NodeId, StreamId};
use flow_ir::logical::{Filter, Hidden, Late, LogicalOp, Plan, Project, Union, Window};
use flow_ir::physical::{Changelog, LateRule};
use flow_ir::types::Field;
use flow_ir::value::Value;

use super::{Planner, Relation};
use crate::check::typed::{QueryId, QueryOp, RelationId, TypedModule};
use crate::exprs::{conjunction, conjuncts, is_repeatable, is_total, substitute};

impl Planner<'_> {
    /// The node's rows without those that are late by `rule` at column `time`. The output has the
    /// node's columns.
    pub(super) fn without_late(&mut self, node: NodeId, time: usize, rule: LateRule) -> NodeId {
        if self.plan.in_source_pipeline(node) {
            return self.late_in_pipeline(node, time, rule);
        }
        let Some((chain, union)) = down_to_union(&self.plan, node) else { return node };
        let branches = self.plan.node(union).inputs.clone();
        let mut inputs = Vec::with_capacity(branches.len());
        for branch in branches {
            // What stands above the union is put into each branch, so that its filters still come
            // before the lateness.
            let mut input = branch;
            for &id in chain.iter().rev() {
                let (op, origin) = (self.plan.node(id).op.clone(), self.plan.node(id).origin);
                input = self.add(op, input, origin);
            }
            inputs.push(self.without_late(input, time, rule));
        }
        let origin = self.plan.node(union).origin;
        self.plan.add(LogicalOp::Union(Union), inputs, origin)
    }

    /// The node's rows in those of their windows that are still open, for an operator with state by
    /// the windows that column `bound` is of: open for late rows as the streams allow, or `longer`
    /// (microseconds). The output has the node's columns.
    pub(super) fn with_open_windows(
        &mut self,
        node: NodeId,
        bound: usize,
        longer: Option<i64>,
    ) -> NodeId {
        match window_below(&self.plan, node, bound) {
            true => self.open_windows(node, bound, longer, Vec::new()),
            false => node,
        }
    }

    /// The same of those rows for which all that is asked is TRUE. What does not ask for the window
    /// is asked below it: lateness is decided after that.
    fn open_windows(
        &mut self,
        top: NodeId,
        bound: usize,
        longer: Option<i64>,
        mut asked: Vec<Expr>,
    ) -> NodeId {
        let mut above = Vec::new();
        let (mut node, mut bound) = (top, bound);
        let opened = loop {
            let inputs = self.plan.node(node).inputs.clone();
            match self.plan.node(node).op.clone() {
                LogicalOp::Filter(filter) => {
                    asked.splice(0..0, conjuncts(filter.predicate));
                }
                LogicalOp::Project(project) => {
                    let mut read = asked.iter().flat_map(Expr::columns);
                    if read.all(|column| is_repeatable(&project.exprs[column])) {
                        let below = |e: &Expr| substitute(e, &project.exprs);
                        asked = asked.iter().map(below).collect();
                    } else {
                        above.extend(filter(std::mem::take(&mut asked)));
                    }
                    bound = project.passes(bound).unwrap_or(bound);
                    above.push(LogicalOp::Project(project));
                }
                op @ LogicalOp::Unnest(_) => {
                    above.extend(filter(std::mem::take(&mut asked)));
                    above.push(op);
                }
                LogicalOp::Window(window)
                    if window.by_clock || bound < self.plan.schema(inputs[0]).width() =>
                {
                    above.extend(filter(std::mem::take(&mut asked)));
                    above.push(LogicalOp::Window(window));
                }
                LogicalOp::Window(window) => {
                    let lateness = longer.unwrap_or(window.lateness);
                    break self.open_window(&Window { lateness, ..window }, node, asked);
                }
                LogicalOp::Union(_) => {
                    let opened =
                        inputs.iter().map(|&i| self.open_windows(i, bound, longer, asked.clone()));
                    let opened = opened.collect();
                    let origin = self.plan.node(node).origin;
                    break self.plan.add(LogicalOp::Union(Union), opened, origin);
                }
                LogicalOp::Scan(_)
                | LogicalOp::Join(_)
                | LogicalOp::Session(_)
                | LogicalOp::Aggregate(_)
                | LogicalOp::Deduplicate(_)
                | LogicalOp::TopN(_)
                | LogicalOp::Over(_)
                | LogicalOp::Normalize(_)
                | LogicalOp::Materialize(_)
                | LogicalOp::Late(_)
                | LogicalOp::Sink(_) => break self.asking(node, asked),
            }
            node = inputs[0];
        };
        let origin = self.plan.node(top).origin;
        above.into_iter().rev().fold(opened, |input, op| self.add(op, input, origin))
    }

    fn open_window(&mut self, window: &Window, id: NodeId, asked: Vec<Expr>) -> NodeId {
        let (input, origin) = (self.plan.node(id).inputs[0], self.plan.node(id).origin);
        let width = self.plan.schema(input).width();
        let (mut of_row, mut of_window) = (Vec::new(), Vec::new());
        for conjunct in asked {
            let own = conjunct.columns().iter().all(|&column| column < width);
            // What might fail is still asked only where all before it is not FALSE.
            let may_pass = of_window.is_empty() || is_total(&conjunct);
            match own && may_pass && is_repeatable(&conjunct) {
                true => of_row.push(conjunct),
                false => of_window.push(conjunct),
            }
        }
        let input = self.asking(input, of_row);
        let rule = LateRule::Windows { window: window.window, lateness: window.lateness };
        let input = self.without_late(input, window.time, rule);
        let watermark = self.plan.schema(input).hidden(Hidden::Watermark);
        let op = LogicalOp::Window(Window { watermark, ..window.clone() });
        let opened = self.add(op, input, origin);
        self.asking(opened, of_window)
    }

    fn asking(&mut self, node: NodeId, asked: Vec<Expr>) -> NodeId {
        let origin = self.plan.node(node).origin;
        filter(asked).map_or(node, |filter| self.add(filter, node, origin))
    }

    /// A node's first columns, of an operator that lets each record through by itself: with the
    /// watermark, where the node has it, and no position in a source's batch.
    pub(super) fn no_longer_records(&mut self, node: NodeId, width: usize) -> Relation {
        let relation = Relation::first(node, width);
        let node = self.shape(&relation, &[Hidden::Watermark]);
        if self.plan.schema(node).hidden(Hidden::Watermark).is_none() {
            return Relation::first(node, width);
        }
        let origin = self.plan.node(node).origin;
        let fields = &self.plan.schema(node).columns;
        let column = |(at, field): (usize, &Field)| Expr::column(at, field.ty.clone(), origin);
        let mut exprs: Vec<Expr> = fields.iter().enumerate().map(column).collect();
        let mut names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
        let position = Hidden::Position.column();
        exprs.push(Expr::literal(Value::Int(i64::MIN), position.ty, origin));
        names.push(position.name);
        let project = LogicalOp::Project(Project { exprs, names, time: None });
        Relation::first(self.add(project, node, origin), width)
    }

    fn late_in_pipeline(&mut self, node: NodeId, time: usize, rule: LateRule) -> NodeId {
        let schema = self.plan.schema(node);
        let hidden = (schema.hidden(Hidden::Watermark), schema.hidden(Hidden::Position));
        let (Some(watermark), Some(position)) = hidden else {
            return self.late_below(node, time, rule);
        };
        let stream = stream_of(&self.plan, node);
        let origin = self.plan.node(node).origin;
        let late = Late { stream, time, watermark, position, rule };
        self.add(LogicalOp::Late(late), node, origin)
    }

    /// For a projection that lost the hidden columns: below it.
    fn late_below(&mut self, node: NodeId, time: usize, rule: LateRule) -> NodeId {
        let LogicalOp::Project(project) = &self.plan.node(node).op else { return node };
        let Some(time) = project.passes(time) else { return node };
        let project: Project = project.clone();
        let (below, origin) = (self.plan.node(node).inputs[0], self.plan.node(node).origin);
        let below = self.late_in_pipeline(below, time, rule);
        self.add(LogicalOp::Project(project), below, origin)
    }
}

/// The relations whose changes a query that takes rows back passes on with their times.
pub(super) fn timed_changes(module: &TypedModule, query: QueryId) -> Vec<RelationId> {
    let (mut open, mut found) = (vec![query], Vec::new());
    while let Some(id) = open.pop() {
        let query = module.query(id);
        match &query.op {
            _ if query.changelog == Changelog::Append => {}
            QueryOp::Scan(relation) => found.push(*relation),
            QueryOp::Join(join) => open.push(join.left),
            QueryOp::Filter { .. }
            | QueryOp::Project { .. }
            | QueryOp::Unnest(_)
            | QueryOp::Window(_)
            | QueryOp::UnionAll(_) => open.extend(query.inputs()),
            QueryOp::Aggregate(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::TopN(_)
            | QueryOp::Over(_) => {}
        }
    }
    found
}

/// Whether a column is the bound of a window function, before an operator with state comes.
fn window_below(plan: &Plan, node: NodeId, bound: usize) -> bool {
    let mut open = vec![(node, bound)];
    while let Some((id, bound)) = open.pop() {
        let node = plan.node(id);
        match &node.op {
            LogicalOp::Window(window) if bound >= plan.schema(node.inputs[0]).width() => {
                if !window.by_clock {
                    return true;
                }
            }
            LogicalOp::Filter(_)
            | LogicalOp::Unnest(_)
            | LogicalOp::Window(_)
            | LogicalOp::Union(_) => {
                open.extend(node.inputs.iter().map(|&input| (input, bound)));
            }
            LogicalOp::Project(project) => {
                open.extend(project.passes(bound).map(|bound| (node.inputs[0], bound)));
            }
            LogicalOp::Scan(_)
            | LogicalOp::Join(_)
            | LogicalOp::Session(_)
            | LogicalOp::Aggregate(_)
            | LogicalOp::Deduplicate(_)
            | LogicalOp::TopN(_)
            | LogicalOp::Over(_)
            | LogicalOp::Normalize(_)
            | LogicalOp::Materialize(_)
            | LogicalOp::Late(_)
            | LogicalOp::Sink(_) => {}
        }
    }
    false
}

fn filter(asked: Vec<Expr>) -> Option<LogicalOp> {
    conjunction(asked).map(|predicate| LogicalOp::Filter(Filter { predicate }))
}

/// The filters and projections above a union, top first, and the union; `None` if an operator with
/// state comes first.
fn down_to_union(plan: &Plan, mut id: NodeId) -> Option<(Vec<NodeId>, NodeId)> {
    let mut chain = Vec::new();
    loop {
        match &plan.node(id).op {
            LogicalOp::Union(_) => return Some((chain, id)),
            LogicalOp::Filter(_)
            | LogicalOp::Project(_)
            | LogicalOp::Unnest(_)
            | LogicalOp::Window(_) => {
                chain.push(id);
                id = plan.node(id).inputs[0];
            }
            LogicalOp::Scan(_)
            | LogicalOp::Join(_)
            | LogicalOp::Session(_)
            | LogicalOp::Aggregate(_)
            | LogicalOp::Deduplicate(_)
            | LogicalOp::TopN(_)
            | LogicalOp::Over(_)
            | LogicalOp::Normalize(_)
            | LogicalOp::Materialize(_)
            | LogicalOp::Late(_)
            | LogicalOp::Sink(_) => return None,
        }
    }
}

/// The stream of a source's pipeline.
fn stream_of(plan: &Plan, mut id: NodeId) -> StreamId {
    loop {
        let node = plan.node(id);
        if let LogicalOp::Scan(scan) = &node.op {
            return scan.stream;
        }
        id = node.inputs[0];
    }
}

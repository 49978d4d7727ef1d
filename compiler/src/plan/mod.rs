//! Typed module to logical plan: node by node, each query once, so that views are shared sub-plans.
//! What the typed module leaves implicit is put in: the hidden columns that event time needs, the
//! dropping of late rows, the change from a table's records to −old/+new, what breaks ties.

mod join;
mod late;
mod ranked;
mod scan;
mod zone;

use std::collections::{HashMap, HashSet};

use flow_ir::aggregate::{AggregateCall, OrderColumn, WindowSpec};
use flow_ir::expr::Expr;
use flow_ir::ids::{NodeId, StreamId};
use flow_ir::logical::{
    Aggregate, Changes, Emission, Filter, Hidden, JoinClass, LogicalOp, Materialize, Plan, Project,
    Session, Sink, Union, Unnest, Window,
};
use flow_ir::physical::{ClockSetting, Direction, ErrorPolicy, LateRule, SinkMode, WindowInput};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::aggregates::{self, OrderUse};

use crate::check::typed::{
    self, Output, Query, QueryId, QueryOp, RelationId, TypedModule, WindowSource,
};

/// Inputs of one union operator at most.
const UNION_INPUTS_MAX: usize = 255;

/// The logical plan of a module that was checked without errors.
pub fn plan(module: &TypedModule) -> Plan {
    let mut planner = Planner::new(module);
    for query in &module.queries {
        let relation = planner.query(query);
        planner.relations.push(relation);
    }
    for view in &module.materialized {
        planner.materialize(view);
    }
    for output in &module.outputs {
        planner.output(output);
    }
    zone::in_zone(&mut planner.plan, &module.settings.time_zone);
    planner.plan
}

/// A planned query: its node, and where in the node's output its columns are.
#[derive(Clone, Debug)]
struct Relation {
    node: NodeId,
    columns: Vec<usize>,
}

impl Relation {
    /// A node whose first columns are the query's.
    fn first(node: NodeId, width: usize) -> Self {
        Self { node, columns: (0..width).collect() }
    }

    /// An expression over the query's columns as one over the node's.
    fn place(&self, expr: &Expr) -> Expr {
        let mut expr = expr.clone();
        expr.map_columns(&|c| self.columns[c]);
        expr
    }
}

/// What says where a row stands in the log.
const PLACE: [Hidden; 3] = [Hidden::Partition, Hidden::Offset, Hidden::Element];

/// Whether a call takes the rows of a log in an order.
fn in_order(call: &AggregateCall) -> bool {
    let order = aggregates::lookup(&call.function).map(|def| def.order);
    !call.retracts && matches!(order, Some(OrderUse::Rows | OrderUse::LastArgument { .. }))
}

struct Planner<'a> {
    module: &'a TypedModule,
    plan: Plan,
    /// What was planned, by `QueryId`.
    relations: Vec<Relation>,
    /// Scans by relation: one each.
    scans: HashMap<RelationId, NodeId>,
    /// Tables that some temporal join looks into.
    versioned: Vec<RelationId>,
    /// Tables and changelogs whose changes some window minds the times of.
    windowed: HashSet<RelationId>,
    /// Hidden columns that streams are read with.
    hidden: Vec<Hidden>,
}

impl<'a> Planner<'a> {
    fn new(module: &'a TypedModule) -> Self {
        let mut hidden = Vec::new();
        let mut versioned = Vec::new();
        let mut windowed = HashSet::new();
        for query in &module.queries {
            let more: &[Hidden] = match &query.op {
                QueryOp::Window(window) => {
                    windowed.extend(late::timed_changes(module, window.input));
                    &[Hidden::Watermark, Hidden::Position]
                }
                QueryOp::Join(join) => {
                    if let JoinClass::Temporal { .. } = join.class
                        && let QueryOp::Scan(relation) = module.query(join.right).op
                    {
                        versioned.push(relation);
                    }
                    match join.class {
                        JoinClass::Regular | JoinClass::Lookup => &[],
                        JoinClass::Window { .. }
                        | JoinClass::Interval { .. }
                        | JoinClass::Temporal { .. } => &[Hidden::Watermark, Hidden::Position],
                    }
                }
                QueryOp::Over(over) if over.passes => {
                    &[Hidden::Watermark, Hidden::Position, Hidden::Partition, Hidden::Offset]
                }
                QueryOp::Deduplicate(_) | QueryOp::TopN(_) | QueryOp::Over(_) => {
                    &[Hidden::Partition, Hidden::Offset]
                }
                QueryOp::Aggregate(aggregate) if aggregate.calls.iter().any(in_order) => {
                    &[Hidden::Partition, Hidden::Offset]
                }
                QueryOp::Scan(_)
                | QueryOp::Filter { .. }
                | QueryOp::Project { .. }
                | QueryOp::Unnest(_)
                | QueryOp::Aggregate(_)
                | QueryOp::UnionAll(_) => &[],
            };
            for &column in more {
                if !hidden.contains(&column) {
                    hidden.push(column);
                }
            }
        }
        let keep_positions = sends_records_on(module);
        if keep_positions && !hidden.contains(&Hidden::Position) {
            hidden.push(Hidden::Position);
        }
        let keep_watermarks = module.settings.clock == ClockSetting::Event;
        let plan = Plan { keep_positions, keep_watermarks, ..Plan::default() };
        let (relations, scans) = (vec![], HashMap::new());
        Self { module, plan, relations, scans, versioned, windowed, hidden }
    }

    fn relation(&self, id: QueryId) -> &Relation {
        &self.relations[id.0 as usize]
    }

    fn query(&mut self, query: &Query) -> Relation {
        let width = query.columns.len();
        match &query.op {
            QueryOp::Scan(id) => self.scan(*id),
            QueryOp::Filter { input, condition } => {
                let input = self.relation(*input).clone();
                let filter = Filter { predicate: input.place(condition) };
                let node = self.add(LogicalOp::Filter(filter), input.node, query.span);
                Relation { node, columns: input.columns }
            }
            QueryOp::Project { input, exprs } => {
                let input = self.relation(*input).clone();
                let exprs = exprs.iter().map(|e| input.place(e)).collect();
                let names = query.columns.iter().map(|c| c.name.clone()).collect();
                let mut project = Project { exprs, names, time: None };
                self.pass_hidden(&mut project, input.node, &Hidden::ALL);
                let node = self.add(LogicalOp::Project(project), input.node, query.span);
                Relation::first(node, width)
            }
            QueryOp::Unnest(unnest) => self.unnest(unnest, query.span),
            QueryOp::Join(join) => self.join(join, query),
            QueryOp::Window(window) => self.window(window, query.span),
            QueryOp::Aggregate(aggregate) => self.aggregate(aggregate, query),
            QueryOp::Deduplicate(dedup) => self.deduplicate(dedup, query),
            QueryOp::TopN(top) => self.top_n(top, query),
            QueryOp::Over(over) => self.over(over, query),
            QueryOp::UnionAll(inputs) => self.union(inputs, query),
        }
    }

    fn add(&mut self, op: LogicalOp, input: NodeId, origin: Span) -> NodeId {
        self.plan.add(op, vec![input], origin)
    }

    /// Lets a projection pass on those of these hidden columns that its input has.
    fn pass_hidden(&self, project: &mut Project, input: NodeId, hidden: &[Hidden]) {
        let node = self.plan.node(input);
        for hidden in hidden {
            if let Some(at) = node.schema.hidden(*hidden) {
                let ty = node.schema.columns[at].ty.clone();
                project.exprs.push(Expr::column(at, ty, node.origin));
                project.names.push(hidden.name().to_string());
            }
        }
    }

    /// The relation as a node with the query's columns in order and then those of these hidden
    /// ones that it has.
    fn shape(&mut self, relation: &Relation, keep: &[Hidden]) -> NodeId {
        let node = self.plan.node(relation.node);
        let schema = &node.schema;
        let column = |&at: &usize| Expr::column(at, schema.columns[at].ty.clone(), node.origin);
        let exprs = relation.columns.iter().map(column).collect();
        let names = relation.columns.iter().map(|&at| schema.columns[at].name.clone()).collect();
        let mut project = Project { exprs, names, time: None };
        self.pass_hidden(&mut project, relation.node, keep);
        let all_there = project.exprs.len() == schema.width();
        if all_there && (0..schema.width()).all(|i| project.passes(i) == Some(i)) {
            return relation.node;
        }
        let origin = node.origin;
        self.add(LogicalOp::Project(project), relation.node, origin)
    }

    /// A record's place in the log and an element's among its elements tell rows apart. Of elements
    /// of elements nothing does: the place goes.
    fn unnest(&mut self, unnest: &typed::Unnest, span: Span) -> Relation {
        let input = self.relation(unnest.input).clone();
        let schema = self.plan.schema(input.node);
        let hidden = |h| schema.hidden(h).is_some();
        let placed = hidden(Hidden::Offset) && !hidden(Hidden::Element);
        let mut kept = vec![Hidden::Watermark, Hidden::Position, Hidden::Timestamp];
        if placed {
            kept.extend([Hidden::Partition, Hidden::Offset]);
        }
        let width = input.columns.len();
        let node = self.shape(&input, &kept);
        let all = self.plan.schema(node).width();
        let op = Unnest {
            columns: unnest.columns.clone(),
            ordinality: unnest.ordinality || placed,
            outer: unnest.outer,
        };
        let node = self.add(LogicalOp::Unnest(op), node, span);
        let mut end = self.plan.schema(node).width();
        if !placed {
            return Relation { node, columns: (0..width).chain(all..end).collect() };
        }
        let fields = &self.plan.schema(node).columns;
        let column = |at: usize| Expr::column(at, fields[at].ty.clone(), span);
        let mut exprs: Vec<Expr> = (0..end).map(column).collect();
        let mut names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
        match unnest.ordinality {
            true => exprs.push(column(end - 1)),
            false => {
                end -= 1;
                names.pop();
            }
        }
        names.push(Hidden::Element.name().to_string());
        let project = Project { exprs, names, time: None };
        let node = self.add(LogicalOp::Project(project), node, span);
        Relation { node, columns: (0..width).chain(all..end).collect() }
    }

    fn window(&mut self, window: &typed::Window, span: Span) -> Relation {
        let input = self.relation(window.input).clone();
        if let WindowSpec::Session { gap } = window.spec {
            return self.session(window, gap, input, span);
        }
        let width = self.plan.schema(input.node).width();
        let op = Window {
            time: input.columns[window.time],
            watermark: None,
            window: window.spec,
            lateness: window.lateness,
            by_clock: window.by_clock,
        };
        let node = self.add(LogicalOp::Window(op), input.node, span);
        let columns = input.columns.into_iter().chain(width..width + 3).collect();
        Relation { node, columns }
    }

    /// Sessions keep their rows: late ones are dropped below, and whatever the rows were read with.
    fn session(
        &mut self,
        window: &typed::Window,
        gap: i64,
        mut input: Relation,
        span: Span,
    ) -> Relation {
        if !window.by_clock {
            let lateness = window.lateness;
            let rule = match self.plan.schema(input.node).changes {
                Changes::Append => LateRule::Sessions { lateness },
                Changes::Retract | Changes::Upsert => LateRule::SessionChanges { gap, lateness },
            };
            input.node = self.without_late(input.node, input.columns[window.time], rule);
        }
        let width = input.columns.len();
        let node = self.shape(&input, &[]);
        let op = Session {
            keys: window.keys.clone(),
            time: window.time,
            gap,
            lateness: window.lateness,
            by_clock: window.by_clock,
        };
        let node = self.add(LogicalOp::Session(op), node, span);
        Relation::first(node, width + 3)
    }

    fn aggregate(&mut self, aggregate: &typed::Aggregate, query: &Query) -> Relation {
        let mut input = self.relation(aggregate.input).clone();
        if let Some(window) = &aggregate.window {
            input.node = self.with_open_windows(input.node, input.columns[window.start], None);
        }
        let mut keys: Vec<usize> = aggregate.keys.iter().map(|&k| input.columns[k]).collect();
        let mut calls = aggregate.calls.clone();
        let schema = self.plan.schema(input.node);
        let places = PLACE.map(|h| schema.hidden(h));
        for call in &mut calls {
            call.map_columns(|c| input.columns[c]);
            // Rows of equal order count as the log has them.
            if in_order(call) {
                let by = |column: usize| OrderColumn {
                    column,
                    ty: schema.columns[column].ty.clone(),
                    direction: Direction { descending: false, nulls_first: false },
                };
                call.order.extend(places.into_iter().flatten().map(by));
            }
        }
        let names = query.columns[keys.len()..keys.len() + calls.len()].iter();
        // Windows are told apart by their ends. Where these do not say the start, it is a key.
        let ends_alone = |w: &WindowSource| w.spec.bounds_say_each_other()[0];
        let start = aggregate.window.filter(|w| !ends_alone(w)).map(|w| input.columns[w.start]);
        let start = start.map(|start| {
            keys.push(start);
            keys.len() - 1
        });
        let op = Aggregate {
            names: names.map(|c| c.name.clone()).collect(),
            window: aggregate.window.map(|window| WindowInput::Carried {
                start: input.columns[window.start],
                end: input.columns[window.end],
            }),
            lateness: aggregate.window.map_or(0, |window| window.lateness),
            emits: Emission {
                changes: aggregate.emits_changes,
                by_clock: aggregate.window.is_some_and(|window| window.by_clock),
            },
            keys,
            calls,
        };
        let node = self.add(LogicalOp::Aggregate(op), input.node, query.span);
        let width = query.columns.len();
        if aggregate.window.is_none() {
            return Relation::first(node, width);
        }
        self.with_window_time(node, query, start)
    }

    /// Adds window_time, the last instant of the window: its end − 1 ms; without column `but`.
    fn with_window_time(&mut self, node: NodeId, query: &Query, but: Option<usize>) -> Relation {
        let schema = self.plan.schema(node);
        let column = |at: usize| Expr::column(at, schema.columns[at].ty.clone(), query.span);
        let columns = (0..schema.width()).filter(|at| Some(*at) != but);
        let mut exprs: Vec<Expr> = columns.map(column).collect();
        if let Some(end) = exprs.last().cloned() {
            exprs.push(millisecond_before(end));
        }
        let names = query.columns.iter().map(|c| c.name.clone()).collect();
        let project = LogicalOp::Project(Project { exprs, names, time: None });
        Relation::first(self.add(project, node, query.span), query.columns.len())
    }

    fn union(&mut self, inputs: &[QueryId], query: &Query) -> Relation {
        let inputs: Vec<Relation> = inputs.iter().map(|&id| self.relation(id).clone()).collect();
        let late = [Hidden::Watermark, Hidden::Position];
        let carried = late.iter().filter(|h| {
            inputs.iter().any(|input| self.plan.schema(input.node).hidden(**h).is_some())
        });
        let carried: Vec<Hidden> = carried.copied().collect();
        let mut nodes: Vec<NodeId> =
            inputs.iter().map(|input| self.branch(input, &carried, query)).collect();
        while nodes.len() > UNION_INPUTS_MAX {
            let groups = nodes.chunks(UNION_INPUTS_MAX).map(<[NodeId]>::to_vec);
            let groups: Vec<_> = groups.collect();
            let union = |group| self.plan.add(LogicalOp::Union(Union), group, query.span);
            nodes = groups.into_iter().map(union).collect();
        }
        let node = self.plan.add(LogicalOp::Union(Union), nodes, query.span);
        Relation::first(node, query.columns.len())
    }

    /// A union's input: its columns named and typed as the union's, then the hidden ones. Derived
    /// rows have none of their own: they are never late, and come from no record.
    fn branch(&mut self, input: &Relation, carried: &[Hidden], query: &Query) -> NodeId {
        let node = self.plan.node(input.node);
        let mut project = Project { exprs: vec![], names: vec![], time: None };
        for (&at, column) in input.columns.iter().zip(&query.columns) {
            let expr = Expr::column(at, node.schema.columns[at].ty.clone(), node.origin);
            project.exprs.push(cast_to(expr, &column.ty));
            project.names.push(column.name.clone());
        }
        for &hidden in carried {
            if node.schema.hidden(hidden).is_some() {
                self.pass_hidden(&mut project, input.node, &[hidden]);
            } else {
                let ty = hidden.column().ty;
                project.exprs.push(Expr::literal(Value::Int(i64::MIN), ty, node.origin));
                project.names.push(hidden.name().to_string());
            }
        }
        let origin = node.origin;
        self.add(LogicalOp::Project(project), input.node, origin)
    }

    /// The node with exactly a target's columns, which may allow NULL where the query has none.
    fn typed_for(&mut self, target: RelationId, node: NodeId) -> NodeId {
        let schema = self.plan.schema(node);
        let types = self.module.relation(target).stream.types();
        if schema.types() == types {
            return node;
        }
        let origin = self.plan.node(node).origin;
        let columns = schema.columns.iter().enumerate();
        let columns = columns.map(|(at, column)| Expr::column(at, column.ty.clone(), origin));
        let exprs = columns.zip(&types).map(|(column, ty)| cast_to(column, ty)).collect();
        let names = schema.columns.iter().map(|c| c.name.clone()).collect();
        self.add(LogicalOp::Project(Project { exprs, names, time: None }), node, origin)
    }

    /// A view's rows in the order of its key, and from these the orders of its indexes.
    fn materialize(&mut self, view: &typed::Materialized) {
        let query = self.relation(view.query).clone();
        let input = self.shape(&query, &[]);
        let input = self.typed_for(view.relation, input);
        let (keys, counted) = (view.key.clone(), view.counted);
        let hashed = keys.len();
        let op = LogicalOp::Materialize(Materialize { keys, hashed, counted });
        let rows = self.add(op, input, view.span);
        self.view_sink(view.relation, rows, view.span);
        for index in &view.indexes {
            let (keys, hashed) = (view.order_of(index), index.columns.len());
            let op = LogicalOp::Materialize(Materialize { keys, hashed, counted });
            let ordered = self.add(op, rows, index.span);
            self.view_sink(index.relation, ordered, index.span);
        }
    }

    fn view_sink(&mut self, relation: RelationId, rows: NodeId, span: Span) {
        let stream = &self.module.relation(relation).stream;
        let sink = Sink {
            stream: StreamId(relation.0),
            name: stream.name.clone(),
            mode: SinkMode::Changes,
            keys: stream.primary_key.clone(),
        };
        self.plan.add_sink(sink, rows, span);
    }

    fn output(&mut self, output: &Output) {
        let query = self.relation(output.query).clone();
        let input = self.shape(&query, &[]);
        let input = self.typed_for(output.target, input);
        let sink = Sink {
            stream: StreamId(output.target.0),
            name: self.module.relation(output.target).stream.name.clone(),
            mode: output.mode,
            keys: output.keys.clone(),
        };
        self.plan.add_sink(sink, input, output.span);
    }
}

/// Whether some policy sends source records to a topic when a row of theirs fails.
fn sends_records_on(module: &TypedModule) -> bool {
    let by_stream = module.relations.iter().any(|r| r.stream.option("dead_letter").is_some());
    matches!(module.settings.error_policy, ErrorPolicy::DeadLetter(_)) || by_stream
}

/// The expression as this type; no conversion where only NULL is allowed or not.
fn cast_to(expr: Expr, ty: &Type) -> Expr {
    if expr.ty.data == ty.data {
        return Expr { ty: ty.clone(), ..expr };
    }
    let span = expr.span;
    let kind = flow_ir::expr::ExprKind::Cast { arg: Box::new(expr), lenient: false };
    Expr { kind, ty: ty.clone(), span }
}

/// `time − INTERVAL '0.001' SECOND`, of the time's type.
fn millisecond_before(time: Expr) -> Expr {
    let (ty, span) = (time.ty.clone(), time.span);
    let interval = Type::not_null(DataType::Interval);
    let minus = flow_stdlib::builtin::lookup("-").expect("`-` is a builtin");
    let resolved = minus.resolve(&[ty.clone(), interval.clone()]);
    let resolved = resolved.expect("an interval can be taken from a timestamp");
    let value = Value::Interval { months: 0, micros: 1_000 };
    let millisecond = Expr::literal(value, interval, span);
    let args = [time, millisecond].into_iter().zip(&resolved.arg_types);
    let kind = flow_ir::expr::ExprKind::Call {
        function: minus.name.to_string(),
        overload: resolved.overload,
        args: args.map(|(arg, ty)| cast_to(arg, ty)).collect(),
    };
    cast_to(Expr { kind, ty: resolved.ty, span }, &ty)
}

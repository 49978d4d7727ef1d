//! GROUP BY: aggregate calls, the columns that a group has, and the windows that its keys name.
//!
//! Expressions above a GROUP BY are first typed over the aggregate's input, each aggregate call
//! standing as a column behind the input's; then every group key in them, and every such column,
//! becomes a column of the aggregate's output. An input column that is left is not grouped.

use flow_ir::aggregate::{AggregateCall, OrderColumn, WindowSpec};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::physical::{Changelog, Direction};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::aggregates::{self, OrderUse};

use super::Checker;
use super::expr::{ExprCx, same};
use super::from::plain_column;
use super::grouping::{is_grouping, is_of_set};
use super::ksql_calls::{rows_by_offset, top_rows};
use super::ksql_names::of_records;
use super::subquery::FIRST_COLUMN;
use super::typed::{Aggregate, Bound, QueryId, QueryOp, WindowBound, WindowSource};
use super::window::Kind;
use crate::diagnostics::{aggregates as problems, windows};
use crate::syntax::ast::Call;

/// An aggregate call over the input's columns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AggregateExpr {
    /// Its name in the table of aggregates, `GROUPING` or `GROUP_ID`.
    pub function: String,
    pub args: Vec<Expr>,
    pub params: Vec<Value>,
    pub order: Vec<(Expr, Direction)>,
    pub distinct: bool,
    pub ignore_nulls: bool,
    pub filter: Option<Expr>,
    /// Rows are in the order in which they came, whatever their event time.
    pub by_offset: bool,
    pub ty: Type,
}

/// The window of the older `GROUP BY TUMBLE(…)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupWindow {
    pub kind: Kind,
    /// Time column of the input.
    pub time: usize,
    pub spec: WindowSpec,
    /// Where window_start stands behind the input's columns.
    pub first: usize,
    /// Columns of the windowed input.
    pub width: usize,
    /// Whether it is cut from the event time of FROM, which its call does not name.
    pub of_lengths: bool,
}

/// A GROUP BY with everything above it typed over its input.
pub(super) struct Grouping {
    pub input: QueryId,
    pub keys: Vec<Expr>,
    /// Keys of other grouping sets: NULL here.
    pub missing: Vec<Expr>,
    /// How many sets of the same keys stand before this one.
    pub again: i64,
    pub calls: Vec<AggregateExpr>,
    pub span: Span,
    /// The clause, if there is one, for messages.
    pub clause: Option<Span>,
}

/// An aggregate node and how to reach its columns.
pub(super) struct Grouped {
    pub node: QueryId,
    /// Each key and the output column that holds it.
    keys: Vec<(Expr, usize)>,
    /// Keys of other grouping sets.
    missing: Vec<Expr>,
    /// What stands for each call.
    calls: Vec<CallPlace>,
    /// Columns of the input; aggregate i stood as column `width + i`.
    width: usize,
    clause: Option<Span>,
}

/// What stands for a call above a GROUP BY.
enum CallPlace {
    /// An output column.
    Column(usize),
    /// The number that GROUPING gives in this grouping set.
    Number(i64),
}

impl Checker<'_> {
    /// An aggregate call as written: a column behind the input's.
    pub(super) fn aggregate_call(
        &mut self,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        if let Some((rows, bounds)) = rows_by_offset(call).or_else(|| top_rows(call, span)) {
            let rows = self.aggregate_column(&rows, span, cx, true)?;
            let bound =
                |at: i64| Expr::literal(Value::Int(at), Type::not_null(DataType::Int), span);
            let [from, to] = bounds.map(bound);
            let rows = self.operator("ARRAY_SLICE", vec![rows, from, to], span)?;
            return match of_records(cx.scope) {
                true => self.ksql_aggregate("", rows, span),
                false => Some(rows),
            };
        }
        let name = call.name.last().text.to_uppercase();
        let value = self.aggregate_column(call, span, cx, name.ends_with("_BY_OFFSET"))?;
        match of_records(cx.scope) {
            true => self.ksql_aggregate(&name, value, span),
            false => Some(value),
        }
    }

    /// The column of a call behind the input's.
    fn aggregate_column(
        &mut self,
        call: &Call,
        span: Span,
        cx: &mut ExprCx<'_>,
        by_offset: bool,
    ) -> Option<Expr> {
        if cx.aggregates.is_none() {
            let name = call.name.last().text.to_uppercase();
            return self.report(problems::not_allowed_here(&name, cx.place, span));
        }
        let mut inner =
            ExprCx { group_window: cx.group_window, ..ExprCx::rows(cx.scope, "an aggregate") };
        inner.subqueries = cx.subqueries;
        inner.aggregates = cx.inner_aggregates.take();
        let call = match is_grouping(call) {
            true => self.grouping_expr(call, span, &mut inner)?,
            false => {
                let typed = self.aggregate_expr(call, span, &mut inner)?;
                AggregateExpr { by_offset, ..typed }
            }
        };
        let width = cx.group_window.map_or(cx.scope.columns.len(), |window| window.width);
        let calls = cx.aggregates.as_deref_mut()?;
        let at = calls.iter().position(|c| c.same_as(&call)).unwrap_or(calls.len());
        let ty = call.ty.clone();
        if at == calls.len() {
            calls.push(call);
        }
        Some(Expr::column(width + at, ty, span))
    }

    /// The aggregate node of a GROUP BY.
    pub(super) fn group(&mut self, grouping: Grouping) -> Option<Grouped> {
        let Grouping { input, keys, missing, again, calls, span, clause } = grouping;
        let width = self.query_node(input).columns.len();
        let changelog = self.query_node(input).changelog;
        let read = calls.iter().flat_map(AggregateExpr::exprs);
        for expr in keys.iter().chain(read.collect::<Vec<_>>()) {
            self.deny_clock(expr, changelog)?;
        }
        let bounds: Vec<Option<WindowBound>> = keys
            .iter()
            .map(|key| plain_column(key).and_then(|at| self.query_node(input).columns[at].window))
            .collect();
        let origin = self.whole_window(&bounds, clause.unwrap_or(span));
        let mut columns = Columns::default();
        let is_bound = |at: usize| bounds[at].is_some_and(|b| Some(b.origin) == origin);
        let mut places = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate().filter(|(at, _)| !is_bound(*at)) {
            let name = self.column_name(input, key).unwrap_or_else(|| format!("$key{at}"));
            places.push(columns.add(name, key));
        }
        let window =
            origin.and_then(|origin| self.window_source(input, origin, &mut columns, span));
        let first_call = places.len();
        let mut call_places = Vec::with_capacity(calls.len());
        let mut real: Vec<AggregateCall> = Vec::with_capacity(calls.len());
        for call in calls {
            if is_of_set(&call.function) {
                let number = self.grouping_number(&call, (&keys, &missing), again, span)?;
                call_places.push(CallPlace::Number(number));
                continue;
            }
            call_places.push(CallPlace::Column(first_call + real.len()));
            real.push(self.lower_call(call, input, &mut columns));
        }
        let calls = real;
        let first_bound = first_call + calls.len();
        let projected = self.project(input, columns.items, span);
        let emits_changes = false;
        let node = Aggregate { input: projected, keys: places, calls, window, emits_changes };
        let node = self.aggregate(node, span);
        let mut plain = 0..;
        let mut placed: Vec<(Expr, usize)> = Vec::with_capacity(keys.len());
        for (at, key) in keys.into_iter().enumerate() {
            let place = match bounds[at].filter(|_| is_bound(at)) {
                Some(bound) => first_bound + bound_shift(bound.bound),
                None => plain.next().unwrap_or(0),
            };
            placed.push((key, place));
        }
        if let Some(origin) = origin {
            let all = self.query_node(input).columns.iter().enumerate();
            let of_window = all.filter_map(|(at, c)| {
                let bound = c.window.filter(|w| w.origin == origin)?;
                let place = first_bound + bound_shift(bound.bound);
                Some((Expr::column(at, c.ty.clone(), span), place))
            });
            placed.extend(of_window.collect::<Vec<_>>());
        }
        Some(Grouped { node, keys: placed, missing, calls: call_places, width, clause })
    }

    /// A call over the columns that the projection under the aggregate computes.
    fn lower_call(
        &self,
        call: AggregateExpr,
        input: QueryId,
        columns: &mut Columns,
    ) -> AggregateCall {
        let of = self.query_node(input);
        let args = call.args.iter().map(|e| columns.add_hidden(e)).collect();
        let arg_types = call.args.iter().map(|e| e.ty.clone()).collect();
        let mut order: Vec<(Expr, Direction)> = call.order;
        // Rows that the call leaves equal count by event time; what breaks ties then the planner
        // adds.
        let retracts = of.changelog != Changelog::Append;
        let time = of.columns.iter().position(|c| c.event_time && !retracts);
        let in_order = counts_in_order(&call.function) && !call.by_offset;
        if let Some(at) = time.filter(|_| in_order) {
            let ascending = Direction { descending: false, nulls_first: false };
            order.push((Expr::column(at, of.columns[at].ty.clone(), of.span), ascending));
        }
        let by = |(expr, direction): (Expr, Direction)| OrderColumn {
            column: columns.add_hidden(&expr),
            ty: expr.ty,
            direction,
        };
        let order = order.into_iter().map(by).collect();
        let filter = call.filter.as_ref().map(|e| columns.add_hidden(e));
        AggregateCall {
            params: call.params,
            order,
            distinct: call.distinct,
            ignore_nulls: call.ignore_nulls,
            filter,
            retracts,
            ..AggregateCall::new(&call.function, args, arg_types, call.ty)
        }
    }

    /// The window of which GROUP BY has both bounds.
    fn whole_window(&mut self, bounds: &[Option<WindowBound>], span: Span) -> Option<QueryId> {
        let present: Vec<WindowBound> = bounds.iter().flatten().copied().collect();
        let has = |origin: QueryId, bound: Bound| {
            present.iter().any(|b| b.origin == origin && b.bound == bound)
        };
        let whole =
            present.iter().find(|b| has(b.origin, Bound::Start) && has(b.origin, Bound::End));
        if whole.is_none()
            && let Some(half) = present.first()
        {
            let (has, lacks) = match half.bound {
                Bound::Start => ("window_start", "window_end"),
                Bound::End => ("window_end", "window_start"),
                Bound::Time => ("window_time", "window_start and window_end"),
            };
            self.found.push(windows::half_window(has, lacks, span));
        }
        whole.map(|whole| whole.origin)
    }

    /// The bounds of a window among the projected columns.
    fn window_source(
        &self,
        input: QueryId,
        origin: QueryId,
        columns: &mut Columns,
        span: Span,
    ) -> Option<WindowSource> {
        let all = &self.query_node(input).columns;
        let mut of = |bound: Bound| {
            let (at, column, found) = all.iter().enumerate().find_map(|(at, c)| {
                let is = c.window.filter(|w| w.origin == origin && w.bound == bound)?;
                Some((at, c, is))
            })?;
            let expr = Expr::column(at, column.ty.clone(), span);
            Some((columns.add(column.name.clone(), &expr), found))
        };
        let (start, WindowBound { spec, by_clock, .. }) = of(Bound::Start)?;
        let (end, _) = of(Bound::End)?;
        let lateness = self.window_lateness(origin);
        Some(WindowSource { start, end, spec, lateness, by_clock })
    }

    /// `'allowed.lateness'` of the window that gave a bound.
    pub(super) fn window_lateness(&self, origin: QueryId) -> i64 {
        match &self.query_node(origin).op {
            QueryOp::Window(window) => window.lateness,
            QueryOp::Aggregate(aggregate) => aggregate.window.map_or(0, |w| w.lateness),
            QueryOp::Scan(_)
            | QueryOp::Filter { .. }
            | QueryOp::Project { .. }
            | QueryOp::Unnest(_)
            | QueryOp::Join(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::TopN(_)
            | QueryOp::Over(_)
            | QueryOp::UnionAll(_) => self.lateness(origin),
        }
    }

    /// Calls of aggregates over columns of a node: each of the argument at its place, if there is
    /// one.
    pub(super) fn calls_of(
        &self,
        input: QueryId,
        functions: &[&str],
        args: &[usize],
    ) -> Option<Vec<AggregateCall>> {
        let of = self.query_node(input);
        let call = |(at, function): (usize, &&str)| {
            let args: Vec<usize> = args.get(at).copied().into_iter().collect();
            let arg_types: Vec<Type> = args.iter().map(|a| of.columns[*a].ty.clone()).collect();
            let ty = (aggregates::lookup(function)?.result)(&arg_types).ok()?;
            let retracts = of.changelog != Changelog::Append;
            Some(AggregateCall { retracts, ..AggregateCall::new(function, args, arg_types, ty) })
        };
        functions.iter().enumerate().map(call).collect()
    }

    fn column_name(&self, input: QueryId, expr: &Expr) -> Option<String> {
        plain_column(expr).map(|at| self.query_node(input).columns[at].name.clone())
    }

    /// An expression that was typed over the aggregate's input, over its output.
    pub(super) fn regroup(&mut self, mut expr: Expr, grouped: &Grouped) -> Option<Expr> {
        let stray = self.regroup_in_place(&mut expr, grouped);
        match stray {
            None => Some(expr),
            Some(span) => {
                let name = self.sources.text(span).to_string();
                self.report(problems::not_grouped(&name, span, grouped.clause))
            }
        }
    }

    /// The place of an input column that is not grouped, if there is one.
    fn regroup_in_place(&self, expr: &mut Expr, grouped: &Grouped) -> Option<Span> {
        if let Some((key, place)) = grouped.keys.iter().find(|(key, _)| alike(key, expr)) {
            expr.kind = ExprKind::Column(*place);
            expr.ty = key.ty.clone();
            return None;
        }
        if grouped.missing.iter().any(|key| alike(key, expr)) {
            expr.kind = ExprKind::Literal(Value::Null);
            expr.ty.nullable = true;
            return None;
        }
        if let ExprKind::Column(at) = &mut expr.kind {
            if *at >= FIRST_COLUMN {
                return None;
            }
            return match at.checked_sub(grouped.width) {
                Some(call) => {
                    match grouped.calls.get(call) {
                        Some(CallPlace::Column(place)) => *at = *place,
                        Some(CallPlace::Number(number)) => {
                            expr.kind = ExprKind::Literal(Value::Int(*number));
                        }
                        None => return Some(expr.span),
                    }
                    None
                }
                None => Some(expr.span),
            };
        }
        let mut stray = None;
        for child in expr.children_mut() {
            stray = stray.or(self.regroup_in_place(child, grouped));
        }
        stray
    }
}

impl AggregateExpr {
    /// All expressions over the input's rows.
    pub(super) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let order = self.order.iter().map(|(expr, _)| expr);
        self.args.iter().chain(order).chain(&self.filter)
    }

    /// What it is, its expressions apart.
    pub(super) fn shape(&self) -> String {
        let directions: Vec<Direction> = self.order.iter().map(|(_, d)| *d).collect();
        let (args, filtered, params) = (self.args.len(), self.filter.is_some(), &self.params);
        let (distinct, nulls) = (self.distinct, self.ignore_nulls);
        let (function, offset) = (&self.function, self.by_offset);
        format!(
            "{function} {args} {params:?} {distinct} {nulls} {filtered} {offset} {directions:?}"
        )
    }

    /// The same, to be rewritten in place.
    pub(super) fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let order = self.order.iter_mut().map(|(expr, _)| expr);
        self.args.iter_mut().chain(order).chain(&mut self.filter)
    }

    fn same_as(&self, other: &Self) -> bool {
        let directions = |call: &Self| call.order.iter().map(|(_, d)| *d).collect::<Vec<_>>();
        self.function == other.function
            && self.params == other.params
            && self.distinct == other.distinct
            && self.ignore_nulls == other.ignore_nulls
            && self.by_offset == other.by_offset
            && self.args.len() == other.args.len()
            && self.filter.is_some() == other.filter.is_some()
            && directions(self) == directions(other)
            && self.exprs().zip(other.exprs()).all(|(a, b)| same(a, b))
    }
}

/// Whether an aggregate takes rows in an order.
pub(super) fn counts_in_order(function: &str) -> bool {
    aggregates::lookup(function).is_some_and(|def| match def.order {
        OrderUse::Rows | OrderUse::LastArgument { .. } => true,
        OrderUse::Nothing | OrderUse::FirstArgument => false,
    })
}

/// Whether two expressions compute the same, whether or not they may be NULL.
pub(super) fn alike(a: &Expr, b: &Expr) -> bool {
    let bare = |e: &Expr| {
        let mut e = e.clone();
        e.rewrite(&mut |part| part.ty.nullable = true);
        e
    };
    same(&bare(a), &bare(b))
}

/// The columns that a `Project` under an aggregate computes, each once.
#[derive(Default)]
struct Columns {
    items: Vec<(String, Option<Expr>)>,
}

impl Columns {
    fn add(&mut self, name: String, expr: &Expr) -> usize {
        let known = self.items.iter().position(|(_, e)| e.as_ref().is_some_and(|e| same(e, expr)));
        known.unwrap_or_else(|| {
            self.items.push((name, Some(expr.clone())));
            self.items.len() - 1
        })
    }

    fn add_hidden(&mut self, expr: &Expr) -> usize {
        self.add(format!("$arg{}", self.items.len()), expr)
    }
}

fn bound_shift(bound: Bound) -> usize {
    match bound {
        Bound::Start => 0,
        Bound::End => 1,
        Bound::Time => 2,
    }
}

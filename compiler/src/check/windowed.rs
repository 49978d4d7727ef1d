//! A SELECT with calls of OVER: the columns that they stand for. Calls of one window share a node,
//! several windows are a chain of them. Where a filter keeps the first numbers of a ROW_NUMBER,
//! RANK or DENSE_RANK, in QUALIFY or around the query, the rows behind them are not kept at all.

use std::ops::RangeInclusive;

use flow_ir::aggregate::{AggregateCall, OrderColumn};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::over::{Frame, FrameBound, OverCall, OverFunction};
use flow_ir::physical::{Changelog, Direction};
use flow_ir::span::Span;
use flow_ir::value::Value;

use super::Checker;
use super::aggregate::{AggregateExpr, alike, counts_in_order};
use super::expr::{all_of, same};
use super::frame::{BoundExpr, FrameExpr};
use super::from::plain_column;
use super::literal::constant;
use super::over::{FIRST_OVER, OverExpr, OverKind};
use super::subquery::{FIRST_COLUMN, Place, subqueries_in};
use super::typed::{Column, Over, QueryId, QueryOp, TopN};
use crate::diagnostics::aggregates as problems;
use crate::exprs::{is_repeatable, substitute};

/// A SELECT's rows and what is computed over them.
#[derive(Clone, Debug)]
pub(super) struct Windowed {
    /// The rows, filtered and grouped.
    pub input: QueryId,
    /// The calls, over the input's columns.
    pub calls: Vec<OverExpr>,
    /// The columns, over the input's and the calls.
    pub items: Vec<(String, Option<Expr>)>,
    /// Conjuncts of QUALIFY, likewise.
    pub qualify: Vec<Expr>,
    /// The SELECT.
    pub span: Span,
}

/// Numbers of a call that stay.
#[derive(Clone, Debug)]
struct First {
    call: usize,
    numbers: RangeInclusive<u64>,
}

/// A call whose expressions are columns.
struct Placed {
    keys: Vec<usize>,
    order: Vec<(usize, Direction)>,
    call: OverCall,
    looks_back: bool,
    reach: Option<i64>,
}

impl Windowed {
    /// The same under other column names.
    pub(super) fn renamed(&self, columns: &[Column]) -> Windowed {
        let items = self.items.iter().zip(columns);
        let items = items.map(|((_, expr), c)| (c.name.clone(), expr.clone())).collect();
        Windowed { items, ..self.clone() }
    }

    /// Of rows that are grouped, what is computed of groups: the keys, and the aggregates, which
    /// stand as columns from `width` on. `None` where nothing is computed over the groups.
    pub(super) fn reads(
        &self,
        keys: &[Vec<Expr>],
        calls: &[AggregateExpr],
        width: usize,
    ) -> Option<Vec<Expr>> {
        let call = |(at, call): (usize, &AggregateExpr)| {
            Expr::column(width + at, call.ty.clone(), self.span)
        };
        let all = keys.iter().flatten().cloned().chain(calls.iter().enumerate().map(call));
        (!self.calls.is_empty() || !self.qualify.is_empty()).then(|| all.collect())
    }

    /// All expressions.
    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let items = self.items.iter_mut().filter_map(|(_, expr)| expr.as_mut());
        let calls = self.calls.iter_mut().flat_map(OverExpr::exprs_mut);
        items.chain(calls).chain(&mut self.qualify).collect()
    }

    /// The number that an expression is: the call.
    fn number(&self, expr: &Expr) -> Option<usize> {
        let call = plain_column(expr)?.checked_sub(FIRST_OVER)?;
        let is_number = matches!(self.calls.get(call)?.function, OverKind::Number(_));
        is_number.then_some(call)
    }
}

impl Checker<'_> {
    /// The columns of a SELECT, with the values of subqueries and of calls of OVER. `place` as
    /// `settle` has it.
    pub(super) fn with_overs(&mut self, mut rows: Windowed, place: Place<'_>) -> Option<QueryId> {
        if rows.calls.is_empty() && rows.qualify.is_empty() {
            let ranked = self.above_numbers(&rows);
            let found = self.project_settled(rows.input, rows.items, rows.span, place)?;
            self.ranks.extend(ranked.map(|ranked| (found, ranked)));
            return Some(found);
        }
        let mut exprs: Vec<Expr> = rows.exprs_mut().into_iter().map(|e| e.clone()).collect();
        if !subqueries_in(&exprs).is_empty() {
            rows.input = self.settle(rows.input, &mut exprs, place)?;
            for (expr, settled) in rows.exprs_mut().into_iter().zip(exprs) {
                *expr = settled;
            }
        }
        self.over_select(rows)
    }

    /// A SELECT without calls over one that numbers its rows, as one that numbers them itself: so
    /// that filters around it, too, can keep the first ones. What it filters comes after the
    /// numbers.
    fn above_numbers(&self, rows: &Windowed) -> Option<Windowed> {
        let (mut input, mut filters) = (rows.input, Vec::new());
        let below = loop {
            match (self.ranks.get(&input), &self.query_node(input).op) {
                (Some(below), _) => break below,
                (None, QueryOp::Filter { input: from, condition }) => {
                    filters.push(condition);
                    input = *from;
                }
                (None, _) => return None,
            }
        };
        let given: Vec<Expr> =
            below.items.iter().map(|(_, expr)| expr.clone()).collect::<Option<_>>()?;
        let placed = |expr: &Expr| {
            let plain = subqueries_in(std::slice::from_ref(expr)).is_empty();
            let columns = expr.columns();
            let repeats = columns.iter().all(|at| given.get(*at).is_some_and(is_repeatable));
            (plain && repeats).then(|| substitute(expr, &given))
        };
        let items = rows.items.iter();
        let items = items.map(|(name, expr)| Some((name.clone(), Some(placed(expr.as_ref()?)?))));
        let mut qualify = below.qualify.clone();
        for condition in filters {
            qualify.push(placed(condition)?);
        }
        Some(Windowed { items: items.collect::<Option<_>>()?, qualify, ..below.clone() })
    }

    /// The columns of a grouped SELECT with calls of OVER: over the groups, whose columns these
    /// expressions gave.
    pub(super) fn over_groups(
        &mut self,
        mut rows: Windowed,
        flat: &[Expr],
        clause: Option<Span>,
    ) -> Option<QueryId> {
        let groups = rows.input;
        for expr in rows.exprs_mut() {
            *expr = self.over_flat(expr.clone(), groups, flat, clause)?;
        }
        self.with_overs(rows, &|checker, expr| checker.over_flat(expr, groups, flat, clause))
    }

    /// An expression over the columns of groups.
    fn over_flat(
        &mut self,
        mut expr: Expr,
        groups: QueryId,
        flat: &[Expr],
        clause: Option<Span>,
    ) -> Option<Expr> {
        let stray = place_flat(&mut expr, flat, &self.query_node(groups).columns);
        let Some(span) = stray else { return Some(expr) };
        let name = self.sources.text(span).to_string();
        self.report(problems::not_grouped(&name, span, clause))
    }

    /// The rows of a SELECT with OVER.
    fn over_select(&mut self, mut windowed: Windowed) -> Option<QueryId> {
        let changelog = self.query_node(windowed.input).changelog;
        for call in &mut windowed.calls {
            for expr in call.exprs_mut() {
                self.deny_clock(expr, changelog)?;
            }
        }
        let number = |condition: &Expr| {
            let (side, _) = bounded(condition)?;
            windowed.number(side)
        };
        let first = windowed.qualify.iter().find_map(number).and_then(|call| {
            let numbers = first_numbers(&windowed.qualify, |e| windowed.number(e) == Some(call))?;
            Some(First { call, numbers })
        });
        if let Some(first) = &first {
            let asks = |e: &Expr| asks_only(e, |e| windowed.number(e) == Some(first.call));
            let left = windowed.qualify.iter().filter(|e| !asks(e)).cloned().collect();
            windowed.qualify = left;
        }
        let found = self.over_rows(&windowed, first.as_ref())?;
        if first.is_none() {
            self.ranks.insert(found, windowed);
        }
        Some(found)
    }

    /// A query in FROM whose first column has position `base`. If it numbers its rows and
    /// conditions in `pool` keep the first numbers, these are taken out, and so are the other rows.
    pub(super) fn settle_rank(
        &mut self,
        query: QueryId,
        base: usize,
        pool: &mut Vec<Expr>,
    ) -> Option<QueryId> {
        let Some(windowed) = self.ranks.get(&query).cloned() else { return Some(query) };
        for (at, (_, item)) in windowed.items.iter().enumerate() {
            let Some(call) = item.as_ref().and_then(|item| windowed.number(item)) else { continue };
            let is_number = |e: &Expr| plain_column(e) == Some(base + at);
            if let Some(numbers) = first_numbers(pool, is_number) {
                pool.retain(|condition| !asks_only(condition, is_number));
                return self.over_rows(&windowed, Some(&First { call, numbers }));
            }
        }
        Some(query)
    }

    /// The rows with their columns; with `first` those whose number of a call stays.
    fn over_rows(&mut self, windowed: &Windowed, first: Option<&First>) -> Option<QueryId> {
        let Windowed { input, calls, items, qualify, span } = windowed;
        let mut more = Vec::new();
        let width = self.query_node(*input).columns.len();
        let retracts = self.query_node(*input).changelog != Changelog::Append;
        let mut placed: Vec<Placed> = Vec::with_capacity(calls.len());
        for call in calls {
            placed.push(placed_call(call, &mut Columns { width, more: &mut more }, retracts));
        }
        let mut node = self.extend(*input, more, *span);
        let mut at = vec![0; calls.len()];
        let mut rest: Vec<usize> = (0..calls.len()).collect();
        rest.retain(|call| first.is_none_or(|first| first.call != *call));
        while let Some(&lead) = rest.first() {
            let window = |call: &usize| (&placed[*call].keys, &placed[*call].order);
            let (same, others) = rest.iter().partition(|call| window(call) == window(&lead));
            let same: Vec<usize> = same;
            let next = self.query_node(node).columns.len();
            same.iter().enumerate().for_each(|(nth, call)| at[*call] = next + nth);
            let of: Vec<&Placed> = same.iter().map(|call| &placed[*call]).collect();
            node = self.over_node(node, &of, *span);
            rest = others;
        }
        if let Some(First { call, numbers }) = first
            && let OverKind::Number(numbering) = calls[*call].function
        {
            let Placed { keys, order, .. } = &placed[*call];
            let offset = numbers.start().saturating_sub(1);
            let limit = Some(numbers.end().saturating_sub(offset));
            let (input, keys, order) = (node, keys.clone(), order.clone());
            let top = TopN { input, keys, order, numbering, offset, limit, rank: true };
            node = self.top_n(top, calls[*call].span);
            at[*call] = self.query_node(node).columns.len() - 1;
        }
        let place = |expr: &Expr| {
            let mut expr = expr.clone();
            expr.map_columns(&|c| c.checked_sub(FIRST_OVER).map_or(c, |call| at[call]));
            expr
        };
        let changelog = self.query_node(node).changelog;
        if let Some(condition) = all_of(qualify.iter().map(place).collect()) {
            self.deny_clock(&condition, changelog)?;
            let span = condition.span;
            node = self.filter(node, condition, span);
        }
        let mut columns = Vec::with_capacity(items.len());
        for (name, expr) in items {
            let expr = expr.as_ref().map(place);
            if let Some(expr) = &expr {
                self.deny_clock(expr, changelog)?;
            }
            columns.push((name.clone(), expr));
        }
        Some(self.project(node, columns, *span))
    }

    /// One node for calls of one window.
    fn over_node(&mut self, input: QueryId, placed: &[&Placed], span: Span) -> QueryId {
        let Some(lead) = placed.first() else { return input };
        let of = self.query_node(input);
        let by_time = lead.order.first().is_some_and(|(column, direction)| {
            !direction.descending && of.columns[*column].event_time
        });
        let appends = of.changelog == Changelog::Append;
        let passes = appends && by_time && placed.iter().all(|call| call.looks_back);
        let reach = placed.iter().map(|call| call.reach).collect::<Option<Vec<i64>>>();
        let over = Over {
            input,
            keys: lead.keys.clone(),
            order: lead.order.clone(),
            calls: placed.iter().map(|placed| placed.call.clone()).collect(),
            passes,
            reach: reach.and_then(|all| all.into_iter().max()),
        };
        self.over(over, span)
    }

    /// The rows of an append-only query in the order of their event time, as the watermark passes
    /// them, or of the clock, as they come; `None` for another query or order.
    pub(super) fn sorted_by_time(
        &mut self,
        input: QueryId,
        order: &[(usize, Direction)],
        span: Span,
    ) -> Option<QueryId> {
        let of = self.query_node(input);
        let (first, direction) = order.first()?;
        let in_order = order.len() == 1 && of.changelog == Changelog::Append;
        if in_order && !direction.descending && self.is_clock(input, *first) {
            return Some(input);
        }
        let sorts = of.changelog == Changelog::Append
            && of.columns[*first].event_time
            && !direction.descending;
        let (keys, calls) = (Vec::new(), Vec::new());
        let over = Over { input, keys, order: order.to_vec(), calls, passes: true, reach: None };
        sorts.then(|| self.over(over, span))
    }
}

/// Puts an expression over columns that these expressions gave; the place of what is none of them.
fn place_flat(expr: &mut Expr, flat: &[Expr], columns: &[Column]) -> Option<Span> {
    if let Some(at) = flat.iter().position(|known| alike(known, expr)) {
        *expr = Expr::column(at, columns[at].ty.clone(), expr.span);
        return None;
    }
    if let ExprKind::Column(at) = expr.kind {
        return (at < FIRST_COLUMN).then_some(expr.span);
    }
    let mut stray = None;
    for child in expr.children_mut() {
        stray = stray.or(place_flat(child, flat, columns));
    }
    stray
}

/// Expressions as columns: those of the input, and more behind them.
struct Columns<'c> {
    width: usize,
    more: &'c mut Vec<(String, Option<Expr>)>,
}

impl Columns<'_> {
    fn place(&mut self, expr: &Expr) -> usize {
        if let Some(column) = plain_column(expr) {
            return column;
        }
        let known = self.more.iter().position(|(_, e)| e.as_ref().is_some_and(|e| same(e, expr)));
        let at = known.unwrap_or(self.more.len());
        if known.is_none() {
            self.more.push((format!("$over{at}"), Some(expr.clone())));
        }
        self.width + at
    }
}

fn placed_call(call: &OverExpr, columns: &mut Columns<'_>, retracts: bool) -> Placed {
    let keys = call.partition.iter().map(|e| columns.place(e)).collect();
    let order = call.order.iter().map(|(e, direction)| (columns.place(e), *direction)).collect();
    let frame = placed_frame(&call.frame, columns);
    let mut looks_back = call.frame.looks_back();
    let mut reach = call.frame.reach();
    let function = match &call.function {
        OverKind::Number(numbering) => {
            (looks_back, reach) = (true, Some(0));
            OverFunction::Number(*numbering)
        }
        OverKind::PercentRank => {
            looks_back = false;
            OverFunction::PercentRank
        }
        OverKind::CumeDist => {
            looks_back = false;
            OverFunction::CumeDist
        }
        OverKind::Ntile(buckets) => {
            looks_back = false;
            OverFunction::Ntile(*buckets)
        }
        OverKind::Shift { arg, by, default, ignore_nulls } => {
            (looks_back, reach) = (*by <= 0, None);
            let default = default.as_ref().map(|e| columns.place(e));
            let (by, ignore_nulls) = (*by, *ignore_nulls);
            OverFunction::Shift { arg: columns.place(arg), by, default, ignore_nulls }
        }
        OverKind::Nth { arg, nth, from_last, ignore_nulls } => OverFunction::Nth {
            arg: columns.place(arg),
            nth: *nth,
            from_last: *from_last,
            ignore_nulls: *ignore_nulls,
        },
        OverKind::Aggregate(aggregate) => {
            OverFunction::Aggregate(placed_aggregate(aggregate, call, columns, retracts))
        }
    };
    // What a running frame came to is kept, not its rows.
    if frame.is_running() && matches!(function, OverFunction::Aggregate(_)) {
        reach = None;
    }
    let call = OverCall { function, frame, ty: call.ty.clone() };
    Placed { keys, order, call, looks_back, reach }
}

/// An aggregate that takes rows in an order takes them in the window's, unless it has its own.
fn placed_aggregate(
    aggregate: &AggregateExpr,
    over: &OverExpr,
    columns: &mut Columns<'_>,
    retracts: bool,
) -> AggregateCall {
    let order = if aggregate.order.is_empty() { &over.order } else { &aggregate.order };
    let order = order.iter().filter(|_| counts_in_order(&aggregate.function));
    let by = |(expr, direction): &(Expr, Direction)| OrderColumn {
        column: columns.place(expr),
        ty: expr.ty.clone(),
        direction: *direction,
    };
    let order = order.map(by).collect();
    let args = aggregate.args.iter().map(|e| columns.place(e)).collect();
    let arg_types = aggregate.args.iter().map(|e| e.ty.clone()).collect();
    let ty = aggregate.ty.clone();
    AggregateCall {
        params: aggregate.params.clone(),
        order,
        distinct: aggregate.distinct,
        ignore_nulls: aggregate.ignore_nulls,
        filter: aggregate.filter.as_ref().map(|e| columns.place(e)),
        retracts,
        ..AggregateCall::new(&aggregate.function, args, arg_types, ty)
    }
}

fn placed_frame(frame: &FrameExpr, columns: &mut Columns<'_>) -> Frame {
    let mut bound = |bound: &BoundExpr| match bound {
        BoundExpr::Fixed(bound) => bound.clone(),
        BoundExpr::Value { value, .. } => FrameBound::Value(columns.place(value)),
    };
    let (start, end) = (bound(&frame.start), bound(&frame.end));
    Frame { unit: frame.unit, start, end, exclude: frame.exclude }
}

/// The numbers that conditions on a number let pass, if they have an end.
fn first_numbers(
    conditions: &[Expr],
    is_number: impl Fn(&Expr) -> bool,
) -> Option<RangeInclusive<u64>> {
    let (mut low, mut high) = (1, None);
    for condition in conditions {
        let Some((side, range)) = bounded(condition) else { continue };
        if is_number(side) {
            low = low.max(range.0);
            high = range.1.map(|end| high.map_or(end, |high: u64| high.min(end))).or(high);
        }
    }
    high.map(|high| low..=high)
}

/// Whether a condition is one that `first_numbers` reads.
fn asks_only(condition: &Expr, is_number: impl Fn(&Expr) -> bool) -> bool {
    bounded(condition).is_some_and(|(side, _)| is_number(side))
}

/// What a comparison with a whole number bounds, and to which values from 1 on.
fn bounded(condition: &Expr) -> Option<(&Expr, (u64, Option<u64>))> {
    let ExprKind::Call { function, args, .. } = &condition.kind else { return None };
    let [a, b] = args.as_slice() else { return None };
    let number = |e: &Expr| match constant(e) {
        Some(Value::Int(number)) => Some(*number),
        Some(_) | None => None,
    };
    let (side, number, function) = match (number(a), number(b)) {
        (None, Some(number)) => (a, number, function.as_str()),
        (Some(number), None) => (b, number, mirrored(function)),
        _ => return None,
    };
    let to = |number: i64| u64::try_from(number).unwrap_or(0);
    let range = match function {
        "=" if number < 1 => (1, Some(0)),
        "=" => (to(number), Some(to(number))),
        "<=" => (1, Some(to(number))),
        "<" => (1, Some(to(number.saturating_sub(1)))),
        ">=" => (to(number).max(1), None),
        ">" => (to(number.saturating_add(1)).max(1), None),
        _ => return None,
    };
    Some((side, range))
}

fn mirrored(function: &str) -> &str {
    match function {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

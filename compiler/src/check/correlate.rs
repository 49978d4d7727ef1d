//! A SELECT and the queries around and within it. As a subquery it has the columns of those around
//! as a relation of its FROM, as keys of its groups, as its last columns; or leaves conditions on
//! them to whoever asks. Of those within it puts the values into its groups, HAVING and items.

use flow_ir::aggregate::AggregateCall;
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::logical::JoinClass;
use flow_ir::physical::JoinKind;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::aggregate::{AggregateExpr, Grouped, Grouping};
use super::attach::{boolean, unless_null};
use super::expr::{ExprCx, all_of, conjuncts};
use super::from::{Tree, plain_column};
use super::join::Equality;
use super::scope::Scope;
use super::select::Item;
use super::subquery::{FIRST_COLUMN, Outer, Place, asks, subqueries_in};
use super::typed::{QueryId, QueryOp};
use crate::syntax::ast::{Distinct, Select};

/// Aggregates that are 0 over no rows; the others are NULL.
const ZERO_OF_NOTHING: &[&str] =
    &["COUNT", "COUNT_DISTINCT", "COUNT_IF", "APPROX_COUNT_DISTINCT", "REGR_COUNT"];

impl Checker<'_> {
    /// The columns of the queries around: the first of the scope.
    pub(super) fn outer_columns(&self, scope: &Scope) -> Vec<Expr> {
        self.outer_items(scope).into_iter().filter_map(|(_, e)| e).collect()
    }

    /// The same as items behind a query's own.
    pub(super) fn outer_items(&self, scope: &Scope) -> Vec<(String, Option<Expr>)> {
        let columns = scope.columns[..self.body.outer].iter().enumerate();
        let item = |(at, column): (usize, &super::scope::ScopeColumn)| {
            let span = column.declared.unwrap_or_default();
            (format!("$outer{at}"), Some(Expr::column(at, column.ty.clone(), span)))
        };
        columns.map(item).collect()
    }

    /// Where the columns of the queries around are in what a SELECT gives.
    pub(super) fn outer_places(&self, query: QueryId) -> Vec<usize> {
        let columns = self.query_node(query).columns.iter().enumerate();
        let outer = columns.filter(|(_, c)| self.body.outer > 0 && c.name.starts_with("$outer"));
        outer.map(|(at, _)| at).collect()
    }

    /// FROM as a node. Where WHERE equates every outer column with an expression of the query's
    /// own, these stand in their place, and the relation of outer columns is left out.
    pub(super) fn assemble_over(
        &mut self,
        tree: &Tree,
        outer: Option<&Outer>,
        pool: &mut Vec<Expr>,
    ) -> Option<QueryId> {
        let width = outer.map_or(0, |outer| outer.scope.columns.len());
        let own = outer.and_then(|_| tree.without_first());
        let equated = outer.and_then(|outer| equated(pool, &outer.scope));
        let (Some(own), Some(equated)) = (own, equated) else {
            return self.assemble(tree, 0, pool);
        };
        if own.reads_before(width) {
            return self.assemble(tree, 0, pool);
        }
        let equal: Vec<Expr> = equated.iter().map(|(_, e)| e.clone()).collect();
        let mut used: Vec<usize> = equated.iter().map(|(at, _)| *at).collect();
        used.sort_unstable();
        used.into_iter().rev().for_each(|at| drop(pool.remove(at)));
        let node = self.assemble(&own, width, pool)?;
        let mut items = Vec::new();
        let mut given = Vec::new();
        for (at, mut expr) in equal.into_iter().enumerate() {
            expr.map_columns(&|column| column - width);
            if expr.ty.nullable {
                let ty = Type::not_null(DataType::Boolean);
                let column = Expr::column(at, expr.ty.clone(), expr.span);
                let null = ExprKind::IsNull(Box::new(column));
                let null = Expr { kind: null, ty: ty.clone(), span: expr.span };
                given.push(super::expr::not(null, expr.span));
            }
            items.push((format!("$outer{at}"), Some(expr)));
        }
        let span = self.query_node(node).span;
        let own = 0..self.query_node(node).columns.len();
        items.extend(own.map(|at| self.pass_column(node, at, span)));
        let node = self.project(node, items, span);
        Some(match all_of(given) {
            Some(condition) => self.filter(node, condition, span),
            None => node,
        })
    }

    /// A SELECT of plain rows that leaves its conditions on outer columns to whoever asks whether
    /// it has a row; `None` where it is more than that.
    pub(super) fn pull_up(
        &mut self,
        select: &Select,
        items: &[Item<'_>],
        scope: &Scope,
        (tree, outer): (&Tree, &Outer),
        pool: &[Expr],
    ) -> Option<QueryId> {
        let plain = select.group_by.is_none()
            && select.having.is_none()
            && select.qualify.is_none()
            && matches!(select.distinct, Distinct::All | Distinct::Distinct(_));
        let width = outer.scope.columns.len();
        let own = tree.without_first().filter(|own| plain && !own.reads_before(width))?;
        let found = self.found.len();
        let (mut calls, mut overs) = (Vec::new(), Vec::new());
        let mut cx = ExprCx {
            aggregates: Some(&mut calls),
            overs: Some(&mut overs),
            windows: &select.windows,
            ..ExprCx::with_subqueries(scope, "SELECT")
        };
        let typed = self.type_items(items, &[], &mut cx);
        let typed: Option<Vec<Expr>> = typed.into_iter().collect();
        let plain = calls.is_empty() && overs.is_empty();
        let Some(columns) = typed.filter(|t| plain && subqueries_in(t).is_empty()) else {
            self.found.truncate(found);
            return None;
        };
        let reads_outer = |e: &Expr| e.columns().iter().any(|at| *at < width);
        let (left_over, mut own_pool): (Vec<Expr>, Vec<Expr>) =
            pool.iter().cloned().partition(reads_outer);
        let mut node = self.assemble(&own, width, &mut own_pool)?;
        if let Some(mut condition) = all_of(own_pool) {
            condition.map_columns(&|at| at - width);
            let span = condition.span;
            node = self.filter(node, condition, span);
        }
        self.body.pulled = Some((left_over, columns));
        Some(node)
    }

    /// What items over one group, typed over its input, are where it has no rows, over the outer
    /// columns.
    pub(super) fn over_nothing(
        &mut self,
        grouped: &Grouped,
        items: &[(String, Option<Expr>)],
    ) -> Option<Vec<Expr>> {
        let mut values = Vec::with_capacity(items.len());
        for (_, item) in items {
            let mut value = self.regroup(item.clone()?, grouped)?;
            let nothing = self.of_nothing(grouped.node)?;
            value.rewrite(&mut |part| {
                if let ExprKind::Column(at) = part.kind
                    && let Some(call) = at.checked_sub(self.body.outer)
                    && let Some(nothing) = nothing.get(call)
                {
                    *part = nothing.clone();
                }
            });
            values.push(value);
        }
        Some(values)
    }

    /// What the aggregates of a node are over no rows.
    fn of_nothing(&self, node: QueryId) -> Option<Vec<Expr>> {
        let query = self.query_node(node);
        let QueryOp::Aggregate(aggregate) = &query.op else { return None };
        let nothing = |call: &AggregateCall| {
            let zero = ZERO_OF_NOTHING.contains(&call.function.as_str());
            let value = if zero { Value::Int(0) } else { Value::Null };
            let ty = call.ty.with_nullable(call.ty.nullable || !zero);
            Expr::literal(value, ty, query.span)
        };
        Some(aggregate.calls.iter().map(nothing).collect())
    }

    /// One group for each row of `outer`, whose columns are the keys: where it has no rows, with
    /// what the aggregates are over none.
    pub(super) fn complete(
        &mut self,
        groups: QueryId,
        outer: QueryId,
        span: Span,
    ) -> Option<QueryId> {
        let nothing = self.of_nothing(groups)?;
        let keys = self.body.outer;
        let there = Expr::literal(Value::Boolean(true), boolean(), span);
        let marked = self.extend(groups, vec![("$there".to_string(), Some(there))], span);
        let column = |checker: &Self, node: QueryId, at: usize| {
            Expr::column(at, checker.query_node(node).columns[at].ty.clone(), span)
        };
        let equality = |at: usize| {
            let (left, right) = (column(self, outer, at), column(self, marked, at));
            Equality { left, condition: right.clone(), right, nulls_equal: true }
        };
        let equal = (0..keys).map(equality).collect();
        let (class, kind) = (JoinClass::Regular, JoinKind::Left);
        let joined = self.keyed_join(outer, marked, kind, equal, Vec::new(), class, span)?;
        let mut items: Vec<_> = (0..keys).map(|at| self.pass_column(joined, at, span)).collect();
        let marker = self.query_node(joined).columns.len() - 1;
        for (call, nothing) in nothing.into_iter().enumerate() {
            let value = column(self, joined, 2 * keys + call);
            let name = self.query_node(groups).columns[keys + call].name.clone();
            let marker = column(self, joined, marker);
            items.push((name, Some(unless_null(marker, value, nothing, span))));
        }
        Some(self.project(joined, items, span))
    }

    /// Rows that read no outer columns, for each of the rows around.
    pub(super) fn beside_outer(
        &mut self,
        rows: QueryId,
        outer: Option<Outer>,
        span: Span,
    ) -> Option<QueryId> {
        let Some(outer) = outer else { return Some(rows) };
        let (own, width) = (self.query_node(rows).columns.len(), outer.scope.columns.len());
        let (none, class) = (Vec::new(), JoinClass::Regular);
        let inner = JoinKind::Inner;
        let both = self.keyed_join(rows, outer.node, inner, none, Vec::new(), class, span)?;
        self.body.outer = width;
        let mut items: Vec<_> = (0..own).map(|at| self.pass_column(both, at, span)).collect();
        for at in 0..width {
            items.push((format!("$outer{at}"), self.pass_column(both, own + at, span).1));
        }
        Some(self.project(both, items, span))
    }

    /// HAVING.
    pub(super) fn having(
        &mut self,
        node: QueryId,
        condition: Expr,
        grouped: &Grouped,
    ) -> Option<QueryId> {
        let (asked, plain): (Vec<Expr>, Vec<Expr>) =
            conjuncts(condition).into_iter().partition(asks);
        let mut node = node;
        if let Some(condition) = all_of(plain) {
            let changelog = self.query_node(node).changelog;
            self.deny_clock(&condition, changelog)?;
            let span = condition.span;
            node = self.filter(node, condition, span);
        }
        self.settle_conditions(node, asked, &|checker, e| checker.regroup(e, grouped))
    }

    /// Puts in the values of subqueries in keys and arguments of aggregates. What stands above
    /// counts the aggregates behind the columns of the input, which has more of them then.
    pub(super) fn settle_grouping<'e>(
        &mut self,
        grouping: &mut Grouping,
        above: impl Iterator<Item = &'e mut Expr>,
    ) -> Option<()> {
        let arguments = grouping.calls.iter_mut().flat_map(AggregateExpr::exprs_mut);
        let keys = grouping.keys.iter_mut().chain(&mut grouping.missing);
        let mut below: Vec<&mut Expr> = keys.chain(arguments).collect();
        let mut exprs: Vec<Expr> = below.iter().map(|e| (**e).clone()).collect();
        if subqueries_in(&exprs).is_empty() {
            return Some(());
        }
        let width = self.query_node(grouping.input).columns.len();
        grouping.input = self.settle(grouping.input, &mut exprs, &|_, e| Some(e))?;
        for (expr, settled) in below.iter_mut().zip(exprs) {
            **expr = settled;
        }
        let added = self.query_node(grouping.input).columns.len() - width;
        for expr in above {
            expr.map_columns(&|at| match at {
                at if (width..FIRST_COLUMN).contains(&at) => at + added,
                at => at,
            });
        }
        Some(())
    }

    /// Projects items that may hold values of subqueries.
    pub(super) fn project_settled(
        &mut self,
        input: QueryId,
        items: Vec<(String, Option<Expr>)>,
        span: Span,
        place: Place<'_>,
    ) -> Option<QueryId> {
        let mut items = items;
        let mut exprs: Vec<Expr> = items.iter().filter_map(|(_, e)| e.clone()).collect();
        if subqueries_in(&exprs).is_empty() {
            return self.project_items(input, items, span);
        }
        let input = self.settle(input, &mut exprs, place)?;
        let mut settled = exprs.into_iter();
        for (_, expr) in items.iter_mut().filter(|(_, e)| e.is_some()) {
            *expr = settled.next();
        }
        self.project_items(input, items, span)
    }
}

/// For each outer column a conjunct that equates it with an expression of the query's own: its
/// place and the expression.
fn equated(pool: &[Expr], outer: &Scope) -> Option<Vec<(usize, Expr)>> {
    let width = outer.columns.len();
    let own = |e: &Expr| !e.columns().is_empty() && e.columns().iter().all(|at| *at >= width);
    let find = |column: usize| {
        pool.iter().enumerate().find_map(|(at, conjunct)| {
            let ExprKind::Call { function, args, .. } = &conjunct.kind else { return None };
            let ([a, b], "=") = (args.as_slice(), function.as_str()) else { return None };
            let is_column = |e: &Expr| plain_column(e) == Some(column);
            let other = match (is_column(a), is_column(b)) {
                (true, _) if own(b) => b,
                (_, true) if own(a) => a,
                _ => return None,
            };
            (other.ty.data == outer.columns[column].ty.data).then(|| (at, other.clone()))
        })
    };
    (0..width).map(find).collect()
}

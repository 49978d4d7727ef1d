//! Subqueries in expressions. Where one is written, its value stands as a column past
//! `FIRST_COLUMN`; once the rows that it is asked for are a node, `settle` joins what the subquery
//! gives to them and puts the real column in place.
//!
//! A subquery that reads columns of the queries around it is asked once per combination of their
//! values, not per row (Neumann and Kemper, "Unnesting Arbitrary Queries", BTW 2015): the distinct
//! combinations are a relation of its FROM, the first one, and stay columns of every step of it:
//! keys of its groups, partitions of its order, the last columns of what it gives. The result is
//! joined to the outer rows by them. Where WHERE equates each of them with an expression of the
//! subquery's own, that expression takes its place and the relation goes.
//!
//! A subquery is looked at twice: first with all outer columns in reach, to learn its type and
//! which of them it reads; then over those alone.

use std::collections::BTreeSet;

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::physical::Changelog;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::expr::{ExprCx, conjuncts};
use super::from::{Kind, plain_column};
use super::join::{Equality, Sides};
use super::literal::constant;
use super::over::FIRST_OVER;
use super::scope::Scope;
use super::typed::{Bound, Column, Query, QueryId, QueryOp, WindowBound};
use crate::diagnostics::{Diagnostic, plans, syntax};
use crate::syntax::ast::{self, BinaryOp, Quantifier};

/// Columns from here on stand for values of subqueries.
pub(super) const FIRST_COLUMN: usize = 1 << 32;

/// Subqueries within subqueries at most: each is looked at twice by the one around it.
const SUBQUERY_DEPTH_MAX: usize = 8;

/// What the queries around it give to a subquery's SELECT.
#[derive(Clone, Debug)]
pub(super) struct Outer {
    /// The distinct values of the columns that it reads.
    pub node: QueryId,
    /// What they are called.
    pub scope: Scope,
    /// Whether conditions on them may be left to whoever asks.
    pub pull: bool,
    /// Whether whoever asks puts in what one group is over no rows.
    pub defaults: bool,
}

/// What a subquery may leave to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Nothing,
    /// Its conditions on outer columns: `Outer::pull`.
    Conditions,
    /// What it is over no rows: `Outer::defaults`.
    Defaults,
}

/// What a subquery's SELECT found out beside its columns.
#[derive(Clone, Debug, Default)]
pub(super) struct BodyNotes {
    /// The last columns, those of the queries around; 0 where they were not put in.
    pub outer: usize,
    /// Of one group without keys: its columns where there are no rows, over the outer columns.
    /// Without it the body has a row of such a group, whether there are rows or not.
    pub empty: Option<Vec<Expr>>,
    /// The conditions that were left, over outer columns and those of the node behind them; then
    /// the node is FROM's rows, and these are the columns, likewise.
    pub pulled: Option<(Vec<Expr>, Vec<Expr>)>,
}

/// What is asked of a subquery.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// Its one value.
    Value,
    /// Whether it has rows.
    Exists,
    /// How a value compares with any of its values: `=`, `<>`, `<`, `<=`, `>`, `>=`.
    Any(&'static str, Expr),
}

/// A subquery in an expression.
#[derive(Clone, Debug)]
pub(super) struct Subquery {
    pub asked: Asked,
    query: ast::Query,
    /// The names around it, and the columns among them that it reads, ascending.
    scope: Scope,
    pub used: Vec<usize>,
    pub span: Span,
}

/// A subquery over the rows that it is asked for.
pub(super) struct Body {
    pub node: QueryId,
    /// Number of its own columns; those of the queries around follow.
    pub width: usize,
    pub notes: BodyNotes,
}

/// How an expression over the names of a SELECT is put over a node.
pub(super) type Place<'p> = &'p dyn Fn(&mut Checker<'_>, Expr) -> Option<Expr>;

impl Checker<'_> {
    /// `EXISTS (…)`.
    pub(super) fn exists(
        &mut self,
        query: &ast::Query,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        self.look_at(query, span, cx)?;
        let ty = Type::not_null(DataType::Boolean);
        self.stand_for(Asked::Exists, query, ty, span, cx)
    }

    /// `(SELECT …)` as a value.
    pub(super) fn scalar_subquery(
        &mut self,
        query: &ast::Query,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let ty = self.one_column(query, span, cx)?;
        self.stand_for(Asked::Value, query, ty.with_nullable(true), span, cx)
    }

    /// `arg OP ANY (SELECT …)`; IN is `= ANY`.
    pub(super) fn any_of(
        &mut self,
        op: BinaryOp,
        arg: Expr,
        query: &ast::Query,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let ty = self.one_column(query, span, cx)?;
        // Both sides as the comparison's type.
        let of_query = Expr::column(FIRST_COLUMN, ty, span);
        let symbol = super::operators::symbol(op);
        self.operator(symbol, vec![arg.clone(), of_query], span)?;
        let ty = Type::nullable(DataType::Boolean);
        self.stand_for(Asked::Any(symbol, arg), query, ty, span, cx)
    }

    /// `arg OP ANY | ALL (…)`.
    pub(super) fn quantified(
        &mut self,
        (arg, op): (&ast::Expr, BinaryOp),
        quantifier: Quantifier,
        set: &ast::Expr,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let ast::ExprKind::Subquery(query) = &set.kind else {
            return self.quantified_elements((arg, op), quantifier, set, span, cx);
        };
        let all = quantifier == Quantifier::All;
        let asked = if all { negated(op) } else { Some(op) };
        let Some(asked) = asked else {
            return self.report(plans::not_available("this operator with ANY or ALL", span, None));
        };
        let arg = self.expr(arg, cx)?;
        let any = self.any_of(asked, arg, query, span, cx)?;
        Some(if all { super::expr::not(any, span) } else { any })
    }

    /// The type of a subquery's only column.
    fn one_column(&mut self, query: &ast::Query, span: Span, cx: &mut ExprCx<'_>) -> Option<Type> {
        let columns = self.look_at(query, span, cx)?;
        match columns.as_slice() {
            [only] => Some(only.clone()),
            _ => self.report(plans::wrong_count("a subquery as a value", 1, columns.len(), span)),
        }
    }

    /// Looks at a subquery with all names in reach: the types of its columns. `outer_used` is then
    /// what it reads of the scope.
    pub(super) fn look_at(
        &mut self,
        query: &ast::Query,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Vec<Type>> {
        if !cx.subqueries {
            let instead = "Join the subquery in FROM instead.";
            let what = format!("a subquery in {}", cx.place);
            return self.report(plans::not_available(&what, span, Some(instead)));
        }
        if self.subquery_depth == SUBQUERY_DEPTH_MAX {
            return self.report(syntax::nested_too_deeply(span, SUBQUERY_DEPTH_MAX));
        }
        let (columns, used) = self.probe(query, cx.scope)?;
        // What is read of the queries further out, this one must get from them.
        let inherited = used.iter().filter(|at| cx.scope.columns[**at].level > 0).copied();
        self.outer_used.extend(inherited);
        cx.used.clone_from(&used);
        Some(columns)
    }

    /// Types of a subquery's own columns, and which columns of the scope around it reads.
    pub(super) fn probe(
        &mut self,
        query: &ast::Query,
        scope: &Scope,
    ) -> Option<(Vec<Type>, Vec<usize>)> {
        let all: Vec<usize> = (0..scope.columns.len()).collect();
        let scope = scope.around(&all);
        let node = self.stand_in(&scope);
        let found = self.found.len();
        let read = std::mem::take(&mut self.outer_used);
        let body = self.body(query, Some(Outer { node, scope, pull: false, defaults: false }));
        let used = std::mem::replace(&mut self.outer_used, read);
        let body = body?;
        if self.found[found..].iter().any(Diagnostic::is_error) {
            return None;
        }
        self.found.truncate(found);
        let columns = &self.query_node(body.node).columns[..body.width];
        Some((columns.iter().map(|c| c.ty.clone()).collect(), used.into_iter().collect()))
    }

    /// A relation that nothing reads in the end: it only has columns.
    fn stand_in(&mut self, scope: &Scope) -> QueryId {
        let columns = scope.columns.iter().map(|c| Column::new(c.name.clone(), c.ty.clone()));
        self.add(Query {
            op: QueryOp::UnionAll(Vec::new()),
            columns: columns.collect(),
            changelog: Changelog::Append,
            unique_keys: Vec::new(),
            span: Span::default(),
        })
    }

    /// A subquery as a node.
    pub(super) fn body(&mut self, query: &ast::Query, outer: Option<Outer>) -> Option<Body> {
        let around = (self.outer.take(), std::mem::take(&mut self.body));
        self.subquery_depth += 1;
        self.outer = outer;
        let node = self.query(query).map(|node| self.without_hidden_windows(node));
        self.subquery_depth -= 1;
        let notes = std::mem::replace(&mut self.body, around.1);
        self.outer = around.0;
        let node = node?;
        let width = match &notes.pulled {
            Some((_, columns)) => columns.len(),
            None => self.query_node(node).columns.len() - notes.outer,
        };
        Some(Body { node, width, notes })
    }

    fn stand_for(
        &mut self,
        asked: Asked,
        query: &ast::Query,
        ty: Type,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let column = FIRST_COLUMN + self.subqueries.len();
        let (query, scope) = (query.clone(), cx.scope.clone());
        let used = std::mem::take(&mut cx.used);
        self.subqueries.push(Subquery { asked, query, scope, used, span });
        Some(Expr::column(column, ty, span))
    }

    /// Puts the values of subqueries into expressions: the input with further columns. `place`
    /// puts an expression over the names where they were written over the input.
    pub(super) fn settle(
        &mut self,
        mut input: QueryId,
        exprs: &mut [Expr],
        place: Place<'_>,
    ) -> Option<QueryId> {
        for number in subqueries_in(exprs) {
            let subquery = self.subqueries[number].clone();
            let (wider, value) = self.attach(input, subquery, place)?;
            input = wider;
            let column = FIRST_COLUMN + number;
            for expr in exprs.iter_mut() {
                expr.rewrite(&mut |e| {
                    if e.kind == ExprKind::Column(column) {
                        *e = value.clone();
                    }
                });
            }
        }
        Some(input)
    }

    /// WHERE and HAVING with subqueries: the rows of the input for which all conditions are TRUE.
    pub(super) fn settle_conditions(
        &mut self,
        mut input: QueryId,
        conditions: Vec<Expr>,
        place: Place<'_>,
    ) -> Option<QueryId> {
        let width = self.query_node(input).columns.len();
        for condition in conditions.into_iter().flat_map(decided) {
            let span = condition.span;
            if let Some(joined) = self.as_semi_join(input, &condition, place) {
                input = joined?;
                continue;
            }
            let mut settled = [condition];
            let wider = self.settle(input, &mut settled, place)?;
            let [condition] = settled;
            let changelog = self.query_node(wider).changelog;
            self.deny_clock(&condition, changelog)?;
            let kept = self.filter(wider, condition, span);
            input = self.select_columns(kept, 0..width, span);
        }
        Some(input)
    }

    /// `[NOT] EXISTS` and `IN` as a join; the outer `None` where it is something else.
    fn as_semi_join(
        &mut self,
        input: QueryId,
        condition: &Expr,
        place: Place<'_>,
    ) -> Option<Option<QueryId>> {
        let (inner, negated) = match &condition.kind {
            ExprKind::Not(inner) => (&**inner, true),
            _ => (condition, false),
        };
        let number = plain_column(inner)?.checked_sub(FIRST_COLUMN)?;
        let subquery = self.subqueries[number].clone();
        let kind = if negated { Kind::Anti } else { Kind::Semi };
        match &subquery.asked {
            Asked::Exists => Some(self.semi_join(input, kind, subquery, None, place)),
            Asked::Any("=", arg) if !negated => {
                let arg = arg.clone();
                Some(self.semi_join(input, kind, subquery, Some(arg), place))
            }
            Asked::Value | Asked::Any(..) => None,
        }
    }

    fn semi_join(
        &mut self,
        input: QueryId,
        kind: Kind,
        subquery: Subquery,
        arg: Option<Expr>,
        place: Place<'_>,
    ) -> Option<QueryId> {
        let span = subquery.span;
        let mut arg: Vec<Expr> = match arg {
            Some(arg) => vec![place(self, arg)?],
            None => Vec::new(),
        };
        let l = self.query_node(input).columns.len();
        let wider = self.settle(input, &mut arg, place)?;
        let (body, outer) = self.asked_over(wider, &subquery, Leave::Conditions, place)?;
        let width = self.query_node(wider).columns.len();
        let mut conditions = Vec::new();
        let first = match &body.notes.pulled {
            Some((left_over, columns)) => {
                let over_both = |mut e: Expr| {
                    e.rewrite(&mut |e| {
                        if let ExprKind::Column(at) = e.kind {
                            *e = match outer.get(at) {
                                Some(outer) => outer.clone(),
                                None => {
                                    let at = at - outer.len() + width;
                                    Expr::column(at, e.ty.clone(), e.span)
                                }
                            };
                        }
                    });
                    e
                };
                conditions.extend(left_over.iter().cloned().map(over_both));
                columns.first().cloned().map(over_both)
            }
            None => {
                let columns = &self.query_node(body.node).columns;
                let first = Expr::column(width, columns[0].ty.clone(), span);
                let correlated = self.correlations(&body, &outer, span);
                for Equality { left, mut right, .. } in correlated {
                    right.map_columns(&|at| at + width);
                    let equal = self.operator("IS NOT DISTINCT FROM", vec![left, right], span)?;
                    conditions.push(equal);
                }
                Some(first)
            }
        };
        if let Some((arg, first)) = arg.pop().zip(first) {
            conditions.push(self.operator("=", vec![arg, first], span)?);
        }
        let conditions = conditions.into_iter().flat_map(conjuncts).collect();
        let right = body.node;
        let sides = Sides { kind, left: wider, right, conditions, as_of: None, span };
        let joined = self.join_sides(sides)?;
        Some(if width == l { joined } else { self.select_columns(joined, 0..l, span) })
    }

    /// The subquery over the distinct values that these rows have of what it reads, and those
    /// columns of the rows.
    pub(super) fn asked_over(
        &mut self,
        input: QueryId,
        subquery: &Subquery,
        leave: Leave,
        place: Place<'_>,
    ) -> Option<(Body, Vec<Expr>)> {
        let outer = subquery.used.iter().map(|&at| {
            let ty = subquery.scope.columns[at].ty.clone();
            place(self, Expr::column(at, ty, subquery.span))
        });
        let outer: Vec<Expr> = outer.collect::<Option<_>>()?;
        let body =
            self.body_over(input, &subquery.query, &subquery.scope, &subquery.used, &outer, leave)?;
        Some((body, outer))
    }

    pub(super) fn body_over(
        &mut self,
        input: QueryId,
        query: &ast::Query,
        scope: &Scope,
        used: &[usize],
        outer: &[Expr],
        leave: Leave,
    ) -> Option<Body> {
        if used.is_empty() {
            return self.body(query, None);
        }
        let scope = scope.around(used);
        let items =
            outer.iter().zip(&scope.columns).map(|(e, c)| (c.name.clone(), Some(e.clone())));
        let items = items.collect();
        let span = query.span;
        let columns = self.project(input, items, span);
        let node = self.distinct_values(columns, span);
        let (pull, defaults) = (leave == Leave::Conditions, leave == Leave::Defaults);
        let read = std::mem::take(&mut self.outer_used);
        let body = self.body(query, Some(Outer { node, scope, pull, defaults }));
        self.outer_used = read;
        body
    }

    /// The distinct rows. Half a window among the columns is only a time.
    pub(super) fn distinct_values(&mut self, input: QueryId, span: Span) -> QueryId {
        let bounds: Vec<_> = self.query_node(input).columns.iter().map(|c| c.window).collect();
        let has = |origin: QueryId, bound: Bound| {
            bounds.iter().flatten().any(|b| b.origin == origin && b.bound == bound)
        };
        let whole = |b: &WindowBound| has(b.origin, Bound::Start) && has(b.origin, Bound::End);
        let halves: Vec<usize> = (0..bounds.len())
            .filter(|at| bounds[*at].is_some_and(|bound| !whole(&bound)))
            .collect();
        let columns = &mut self.module.queries[input.0 as usize].columns;
        halves.into_iter().for_each(|at| columns[at].window = None);
        self.distinct(input, span)
    }

    /// The equalities of outer columns and the last ones of the body.
    pub(super) fn correlations(&self, body: &Body, outer: &[Expr], span: Span) -> Vec<Equality> {
        let columns = &self.query_node(body.node).columns;
        let pairs = outer.iter().zip(body.width..).take(body.notes.outer);
        let equality = |(left, at): (&Expr, usize)| {
            let right = Expr::column(at, columns[at].ty.clone(), span);
            Equality { left: left.clone(), condition: right.clone(), right, nulls_equal: true }
        };
        pairs.map(equality).collect()
    }
}

/// The subqueries whose values stand in expressions, in order.
pub(super) fn subqueries_in(exprs: &[Expr]) -> Vec<usize> {
    let columns = exprs.iter().flat_map(Expr::columns);
    let columns = columns.filter(|at| *at < FIRST_OVER);
    let numbers: BTreeSet<usize> = columns.filter_map(|at| at.checked_sub(FIRST_COLUMN)).collect();
    numbers.into_iter().collect()
}

/// Whether an expression has the value of a subquery in it.
pub(super) fn asks(expr: &Expr) -> bool {
    !subqueries_in(std::slice::from_ref(expr)).is_empty()
}

/// What has to be TRUE for a condition to be: of `CASE WHEN c THEN TRUE …` whose other results are
/// not TRUE it is `c`; of its negation that nothing holds which makes it TRUE or NULL.
fn decided(condition: Expr) -> Vec<Expr> {
    let span = condition.span;
    let (case, negated) = match &condition.kind {
        ExprKind::Not(inner) => (&**inner, true),
        _ => (&condition, false),
    };
    let ExprKind::Case { branches, otherwise: Some(otherwise) } = &case.kind else {
        return vec![condition];
    };
    let is = |e: &Expr, value: &Value| constant(e) == Some(value);
    let first = branches.first().filter(|(_, then)| is(then, &Value::Boolean(true)));
    let unknown = branches.iter().skip(1).all(|(_, then)| is(then, &Value::Null));
    match first {
        Some((first, _)) if unknown && is(otherwise, &Value::Boolean(false)) => match negated {
            true => {
                let not = |(when, _): &(Expr, Expr)| super::expr::not(when.clone(), span);
                branches.iter().map(not).collect()
            }
            false => vec![first.clone()],
        },
        Some(_) | None => vec![condition],
    }
}

/// What holds where `a op b` does not.
fn negated(op: BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        BinaryOp::Eq => BinaryOp::NotEq,
        BinaryOp::NotEq => BinaryOp::Eq,
        BinaryOp::Lt => BinaryOp::GtEq,
        BinaryOp::LtEq => BinaryOp::Gt,
        BinaryOp::Gt => BinaryOp::LtEq,
        BinaryOp::GtEq => BinaryOp::Lt,
        BinaryOp::Add
        | BinaryOp::Subtract
        | BinaryOp::Multiply
        | BinaryOp::Divide
        | BinaryOp::Modulo
        | BinaryOp::Concat
        | BinaryOp::Arrow
        | BinaryOp::ArrowText
        | BinaryOp::Power
        | BinaryOp::BitAnd
        | BinaryOp::BitOr
        | BinaryOp::BitXor
        | BinaryOp::ShiftLeft
        | BinaryOp::ShiftRight
        | BinaryOp::Matches
        | BinaryOp::MatchesAnyCase
        | BinaryOp::NotMatches
        | BinaryOp::NotMatchesAnyCase
        | BinaryOp::Contains
        | BinaryOp::ContainedIn
        | BinaryOp::Overlaps
        | BinaryOp::HasKey
        | BinaryOp::HasAnyKey
        | BinaryOp::HasAllKeys
        | BinaryOp::Path
        | BinaryOp::PathText
        | BinaryOp::DeletePath
        | BinaryOp::StartsWith => return None,
    })
}

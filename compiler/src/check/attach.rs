//! What subqueries give, joined to the rows that they are asked for: each row with the value, the
//! counts that tell whether there is a row or a match, or the columns.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::logical::JoinClass;
use flow_ir::physical::JoinKind;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::join::Equality;
use super::scope::Scope;
use super::subquery::{Asked, Body, BodyNotes, Leave, Place, Subquery};
use super::typed::{Aggregate, Query, QueryId};
use crate::syntax::ast;

impl Checker<'_> {
    /// The value of a subquery for each row: the rows with further columns, and the value over
    /// them.
    pub(super) fn attach(
        &mut self,
        input: QueryId,
        subquery: Subquery,
        place: Place<'_>,
    ) -> Option<(QueryId, Expr)> {
        let span = subquery.span;
        match subquery.asked.clone() {
            Asked::Value => {
                let (body, outer) = self.asked_over(input, &subquery, Leave::Defaults, place)?;
                self.attach_values(input, body, &outer, JoinKind::Left, span)
                    .map(|(node, mut values)| (node, values.remove(0)))
            }
            Asked::Exists => {
                let (body, outer) = self.asked_over(input, &subquery, Leave::Nothing, place)?;
                let (node, counts) = self.attach_counts(input, &body, &outer, &["COUNT"], span)?;
                let zero = Expr::literal(Value::Int(0), counts[0].ty.clone(), span);
                let exists = self.operator(">", vec![counts[0].clone(), zero], span)?;
                Some((node, exists))
            }
            Asked::Any(op, arg) => {
                let mut arg = [place(self, arg)?];
                let input = self.settle(input, &mut arg, place)?;
                let (body, outer) = self.asked_over(input, &subquery, Leave::Nothing, place)?;
                let [arg] = arg;
                self.attach_any(input, body, &outer, (op, arg), span)
            }
        }
    }

    /// The body's columns for each row; NULL, or what it gives over no rows, where it has none.
    fn attach_values(
        &mut self,
        input: QueryId,
        body: Body,
        outer: &[Expr],
        kind: JoinKind,
        span: Span,
    ) -> Option<(QueryId, Vec<Expr>)> {
        let keys: Vec<usize> = (body.width..body.width + body.notes.outer).collect();
        let keyed = |q: &Query| q.unique_keys.iter().any(|k| k.iter().all(|c| keys.contains(c)));
        let node = match keyed(self.query_node(body.node)) {
            true => body.node,
            false => self.single_row(body.node, body.width, span)?,
        };
        let body = Body { node, ..body };
        self.attach_rows(input, body, outer, kind, span)
    }

    /// The same for a body that may have several rows.
    fn attach_rows(
        &mut self,
        input: QueryId,
        body: Body,
        outer: &[Expr],
        kind: JoinKind,
        span: Span,
    ) -> Option<(QueryId, Vec<Expr>)> {
        let width = self.query_node(input).columns.len();
        let there = Expr::literal(Value::Boolean(true), boolean(), span);
        let marked = self.extend(body.node, vec![("$there".to_string(), Some(there))], span);
        let marker = width + self.query_node(marked).columns.len() - 1;
        let equalities = self.correlations(&body, outer, span);
        let class = JoinClass::Regular;
        let joined = self.keyed_join(input, marked, kind, equalities, Vec::new(), class, span)?;
        let columns = self.query_node(joined).columns.clone();
        let mut values = Vec::with_capacity(body.width);
        for at in 0..body.width {
            let value = Expr::column(width + at, columns[width + at].ty.clone(), span);
            let Some(empty) = body.notes.empty.as_ref().map(|all| all[at].clone()) else {
                values.push(value);
                continue;
            };
            let mut empty = empty;
            empty.rewrite(&mut |e| {
                if let ExprKind::Column(at) = e.kind {
                    *e = outer[at].clone();
                }
            });
            let marker = Expr::column(marker, columns[marker].ty.clone(), span);
            values.push(unless_null(marker, value, empty, span));
        }
        Some((joined, values))
    }

    /// One row per combination of the last columns: the only one; more are an error at run time.
    fn single_row(&mut self, node: QueryId, width: usize, span: Span) -> Option<QueryId> {
        let total = self.query_node(node).columns.len();
        let keys: Vec<usize> = (width..total).collect();
        let functions = vec!["SINGLE_VALUE"; width];
        let args: Vec<usize> = (0..width).collect();
        let calls = self.calls_of(node, &functions, &args)?;
        let grouped = self.aggregate(
            Aggregate { input: node, keys, calls, window: None, emits_changes: false },
            span,
        );
        let outer = total - width;
        Some(self.select_columns(grouped, (outer..total).chain(0..outer), span))
    }

    /// Aggregates of the body's first column for each row: COUNT of its rows, COUNT_VALUES of those
    /// that are not NULL (both 0 where it has none), MIN and MAX.
    fn attach_counts(
        &mut self,
        input: QueryId,
        body: &Body,
        outer: &[Expr],
        wanted: &[&str],
        span: Span,
    ) -> Option<(QueryId, Vec<Expr>)> {
        let keys: Vec<usize> = (body.width..body.width + body.notes.outer).collect();
        let width = keys.len();
        let functions: Vec<&str> = wanted.iter().map(|w| w.trim_end_matches("_VALUES")).collect();
        let mut calls = Vec::with_capacity(wanted.len());
        for (function, wanted) in functions.iter().zip(wanted) {
            let args: &[usize] = if *wanted == "COUNT" { &[] } else { &[0] };
            calls.extend(self.calls_of(body.node, &[function], args)?);
        }
        let op = Aggregate { input: body.node, keys, calls, window: None, emits_changes: false };
        let counted = self.aggregate(op, span);
        let total = wanted.len();
        let order = (width..width + total).chain(0..width);
        let node = self.select_columns(counted, order, span);
        let mut empty = Vec::with_capacity(total);
        for (at, function) in functions.iter().enumerate() {
            let ty = self.query_node(node).columns[at].ty.clone();
            let value = if *function == "COUNT" { Value::Int(0) } else { Value::Null };
            let ty = ty.with_nullable(ty.nullable || value == Value::Null);
            empty.push(Expr::literal(value, ty, span));
        }
        let (empty, outer_columns) = (Some(empty), body.notes.outer);
        let notes = BodyNotes { outer: outer_columns, empty, ..BodyNotes::default() };
        let counts = Body { node, width: total, notes };
        self.attach_rows(input, counts, outer, JoinKind::Left, span)
    }

    /// `arg OP ANY (body)` for each row, in three-valued logic.
    fn attach_any(
        &mut self,
        input: QueryId,
        body: Body,
        outer: &[Expr],
        (op, arg): (&'static str, Expr),
        span: Span,
    ) -> Option<(QueryId, Expr)> {
        let extremes: &[&str] = match op {
            "<" | "<=" => &["MAX"],
            ">" | ">=" => &["MIN"],
            "<>" => &["MIN", "MAX"],
            _ => &[],
        };
        let wanted = [&["COUNT", "COUNT_VALUES"], extremes].concat();
        let (mut node, counts) = self.attach_counts(input, &body, outer, &wanted, span)?;
        let mut holds = Vec::new();
        for extreme in &counts[2..] {
            holds.push(self.operator(op, vec![arg.clone(), extreme.clone()], span)?);
        }
        if op == "=" {
            let (wider, found) = self.attach_match(node, &body, outer, arg.clone(), span)?;
            (node, holds) = (wider, vec![found]);
        }
        let holds = match holds.len() {
            1 => holds.remove(0),
            _ => Expr { kind: ExprKind::Or(holds), ty: Type::nullable(DataType::Boolean), span },
        };
        let zero = Expr::literal(Value::Int(0), counts[0].ty.clone(), span);
        let none = self.operator("=", vec![counts[0].clone(), zero], span)?;
        let some_null = self.operator("<", vec![counts[1].clone(), counts[0].clone()], span)?;
        let is_null = ExprKind::IsNull(Box::new(arg));
        let is_null = Expr { kind: is_null, ty: boolean(), span };
        let unknown = Expr { kind: ExprKind::Or(vec![is_null, some_null]), ty: boolean(), span };
        let ty = Type::nullable(DataType::Boolean);
        let constant = |value: Value| Expr::literal(value, ty.clone(), span);
        let branches = vec![
            (none, constant(Value::Boolean(false))),
            (holds, constant(Value::Boolean(true))),
            (unknown, constant(Value::Null)),
        ];
        let otherwise = Some(Box::new(constant(Value::Boolean(false))));
        Some((node, Expr { kind: ExprKind::Case { branches, otherwise }, ty, span }))
    }

    /// Whether the body's first column has a value for each row.
    fn attach_match(
        &mut self,
        input: QueryId,
        body: &Body,
        outer: &[Expr],
        arg: Expr,
        span: Span,
    ) -> Option<(QueryId, Expr)> {
        let width = self.query_node(input).columns.len();
        let first = Expr::column(0, self.query_node(body.node).columns[0].ty.clone(), span);
        let last = body.width..body.width + body.notes.outer;
        let columns = std::iter::once(0).chain(last);
        let values = self.select_columns(body.node, columns, span);
        let values = self.distinct(values, span);
        let there = Expr::literal(Value::Boolean(true), boolean(), span);
        let values = self.extend(values, vec![("$there".to_string(), Some(there))], span);
        let narrow = Body { node: values, width: 1, notes: body.notes.clone() };
        let mut equalities = self.correlations(&narrow, outer, span);
        // As the comparison casts the two.
        let mut right = first;
        right.map_columns(&|_| width);
        let equal = self.operator("=", vec![arg, right], span)?;
        let ExprKind::Call { args, .. } = &equal.kind else { return None };
        let [left, right] = args.as_slice() else { return None };
        let (left, mut right) = (left.clone(), right.clone());
        right.map_columns(&|at| at - width);
        equalities.push(Equality { left, right, condition: equal, nulls_equal: false });
        let class = JoinClass::Regular;
        let kind = JoinKind::Left;
        let joined = self.keyed_join(input, values, kind, equalities, Vec::new(), class, span)?;
        let marker = self.query_node(joined).columns.len() - 1;
        let marker = Expr::column(marker, Type::nullable(DataType::Boolean), span);
        let null = Expr { kind: ExprKind::IsNull(Box::new(marker)), ty: boolean(), span };
        Some((joined, super::expr::not(null, span)))
    }

    /// LATERAL: the left rows with the columns that a subquery has for each. `kind` is inner or
    /// left. Gives the node, with the subquery's own columns behind the left ones.
    pub(super) fn lateral(
        &mut self,
        left: QueryId,
        scope: &Scope,
        query: &ast::Query,
        kind: JoinKind,
    ) -> Option<QueryId> {
        let span = query.span;
        let (_, used) = self.probe(query, scope)?;
        let inherited = used.iter().filter(|at| scope.columns[**at].level > 0).copied();
        self.outer_used.extend(inherited);
        let column = |&at: &usize| Expr::column(at, scope.columns[at].ty.clone(), span);
        let outer: Vec<Expr> = used.iter().map(column).collect();
        let body = self.body_over(left, query, scope, &used, &outer, Leave::Defaults)?;
        let names: Vec<String> = self.query_node(body.node).columns[..body.width]
            .iter()
            .map(|c| c.name.clone())
            .collect();
        let kind = if body.notes.empty.is_some() { JoinKind::Left } else { kind };
        let width = self.query_node(left).columns.len();
        let (joined, values) = self.attach_rows(left, body, &outer, kind, span)?;
        let mut items: Vec<_> = (0..width).map(|at| self.pass_column(joined, at, span)).collect();
        items.extend(names.into_iter().zip(values.into_iter().map(Some)));
        Some(self.project(joined, items, span))
    }
}

pub(super) fn boolean() -> Type {
    Type::not_null(DataType::Boolean)
}

/// `CASE WHEN marker IS NOT NULL THEN value ELSE otherwise END`.
pub(super) fn unless_null(marker: Expr, value: Expr, otherwise: Expr, span: Span) -> Expr {
    let nullable = value.ty.nullable || otherwise.ty.nullable;
    let ty = value.ty.with_nullable(nullable);
    let null = Expr { kind: ExprKind::IsNull(Box::new(marker)), ty: boolean(), span };
    let branches = vec![(null, otherwise)];
    Expr { kind: ExprKind::Case { branches, otherwise: Some(Box::new(value)) }, ty, span }
}

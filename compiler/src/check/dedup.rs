//! Deduplication: `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …)` of which a filter keeps the
//! first. A query with such a column waits, as a `Rank`, for the filter above it (or for QUALIFY).

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::physical::{self, Direction};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::expr::ExprCx;
use super::from::plain_column;
use super::literal::constant;
use super::order::direction;
use super::scope::Scope;
use super::typed::{Column, QueryId, TopN};
use crate::diagnostics::aggregates as problems;
use crate::syntax::ast::{self, BinaryOp, Call, NamedWindow, Over, WindowSpec};

/// A query of which one column is the row number.
#[derive(Clone, Debug)]
pub(super) struct Rank {
    /// Position of the row number among `items`.
    column: usize,
    /// What is numbered.
    order: Numbering,
    /// The query's columns over the numbered rows; the row number as the constant 1.
    items: Vec<(String, Option<Expr>)>,
    /// The call.
    span: Span,
}

/// How rows are numbered: partitions and order, as columns of `input`.
#[derive(Clone, Debug)]
pub(super) struct Numbering {
    input: QueryId,
    keys: Vec<usize>,
    order: Vec<(usize, Direction)>,
}

impl Rank {
    pub(super) fn new(
        column: usize,
        order: Numbering,
        items: Vec<(String, Option<Expr>)>,
        span: Span,
    ) -> Self {
        Self { column, order, items, span }
    }

    /// The same under other column names.
    pub(super) fn renamed(&self, columns: &[Column]) -> Rank {
        let items = self.items.iter().zip(columns);
        let items = items.map(|((_, expr), c)| (c.name.clone(), expr.clone())).collect();
        Rank { items, ..self.clone() }
    }
}

/// The constant 1 that a kept row number is.
pub(super) fn first_number(span: Span) -> Expr {
    Expr::literal(Value::Int(1), Type::not_null(DataType::BigInt), span)
}

/// The ROW_NUMBER call that an expression is.
pub(super) fn row_number(e: &ast::Expr) -> Option<&Call> {
    let ast::ExprKind::Call(call) = &e.kind else { return None };
    let named = call.name.last().text.eq_ignore_ascii_case("ROW_NUMBER");
    (named && call.over.is_some()).then_some(call)
}

/// `rn = 1`, `rn <= 1`, `rn < 2` and their mirror images: the side that is not the number, and
/// whether only the first row passes.
pub(super) fn keeps_first(e: &ast::Expr) -> Option<(&ast::Expr, bool)> {
    let ast::ExprKind::Binary { op, left, right } = &e.kind else { return None };
    let number = |e: &ast::Expr| {
        let ast::ExprKind::Literal(literal) = &e.kind else { return None };
        let ast::Literal::Number { text, .. } = literal else { return None };
        text.parse::<i64>().ok()
    };
    let (side, op, limit) = match (number(left), number(right)) {
        (None, Some(limit)) => (left, *op, limit),
        (Some(limit), None) => (right, mirrored(*op), limit),
        _ => return None,
    };
    Some((side, is_first(op_symbol(op), limit)))
}

fn op_symbol(op: BinaryOp) -> &'static str {
    super::expr::symbol(op)
}

fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::LtEq => BinaryOp::GtEq,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::GtEq => BinaryOp::LtEq,
        BinaryOp::Add
        | BinaryOp::Subtract
        | BinaryOp::Multiply
        | BinaryOp::Divide
        | BinaryOp::Modulo
        | BinaryOp::Concat
        | BinaryOp::Eq
        | BinaryOp::NotEq => op,
    }
}

fn is_first(op: &str, limit: i64) -> bool {
    matches!((op, limit), ("=" | "<=", 1) | ("<", 2))
}

impl Checker<'_> {
    /// The numbering of an OVER, over a select's input.
    pub(super) fn numbering(
        &mut self,
        call: &Call,
        span: Span,
        windows: &[NamedWindow],
        scope: &Scope,
        input: QueryId,
    ) -> Option<Numbering> {
        let spec = self.over_spec(call.over.as_ref()?, windows, span)?;
        if let Some(frame) = &spec.frame {
            return self.report(problems::modifier_not_taken("ROW_NUMBER", "a frame", frame.span));
        }
        if spec.order_by.is_empty() {
            return self.report(problems::not_deduplication(
                "ROW_NUMBER needs an ORDER BY",
                "no order",
                spec.span,
            ));
        }
        let mut cx = ExprCx::rows(scope, "OVER");
        let keys = self.exprs(&spec.partition_by, &mut cx);
        let sorted: Vec<&ast::Expr> = spec.order_by.iter().map(|o| &o.expr).collect();
        let sorted: Vec<Option<Expr>> = sorted.iter().map(|e| self.expr(e, &mut cx)).collect();
        let sorted = sorted.into_iter().collect::<Option<Vec<Expr>>>();
        let (keys, sorted) = keys.zip(sorted)?;
        let width = self.query_node(input).columns.len();
        let mut more = Vec::new();
        let mut place = |e: Expr| {
            plain_column(&e).unwrap_or_else(|| {
                more.push((format!("$over{}", more.len()), Some(e)));
                width + more.len() - 1
            })
        };
        let keys = keys.into_iter().map(&mut place).chain(0..self.body.outer).collect();
        let sorted: Vec<usize> = sorted.into_iter().map(&mut place).collect();
        let order = sorted.into_iter().zip(spec.order_by.iter().map(direction)).collect();
        let input = self.extend(input, more, span);
        Some(Numbering { input, keys, order })
    }

    fn over_spec<'s>(
        &mut self,
        over: &'s Over,
        windows: &'s [NamedWindow],
        span: Span,
    ) -> Option<&'s WindowSpec> {
        let spec = match over {
            Over::Spec(spec) => spec,
            Over::Named(name) => match windows.iter().find(|w| w.name.text == name.text) {
                Some(window) => &window.spec,
                None => {
                    let known: Vec<String> = windows.iter().map(|w| w.name.text.clone()).collect();
                    let problem =
                        crate::diagnostics::names::unknown_alias(&name.text, name.span, &known);
                    return self.report(problem);
                }
            },
        };
        match &spec.base {
            Some(_) => self.later("a window that builds on another", span),
            None => Some(spec),
        }
    }

    /// One row per partition.
    pub(super) fn keep_one(&mut self, numbering: Numbering, span: Span) -> QueryId {
        let Numbering { input, keys, order } = numbering;
        let (numbering, limit) = (physical::Numbering::RowNumber, Some(1));
        self.top_n(TopN { input, keys, order, numbering, offset: 0, limit, rank: false }, span)
    }

    /// A query in FROM whose first column has position `base`. If it has a row number, the
    /// condition in `pool` that keeps the first row is taken out and makes it a deduplication.
    pub(super) fn settle_rank(
        &mut self,
        query: QueryId,
        base: usize,
        pool: &mut Vec<Expr>,
    ) -> Option<QueryId> {
        let Some(rank) = self.ranks.get(&query).cloned() else { return Some(query) };
        let number = base + rank.column;
        let at = pool.iter().position(|condition| keeps_first_of(condition, number));
        let Some(at) = at else {
            let problem = match pool.iter().find(|c| c.columns().contains(&number)) {
                Some(condition) => problems::not_deduplication(
                    "a filter on ROW_NUMBER must keep the first row",
                    "keeps other rows",
                    condition.span,
                ),
                None => problems::not_deduplication(
                    "ROW_NUMBER needs a filter that keeps the first row",
                    "not filtered",
                    rank.span,
                ),
            };
            return self.report(problem);
        };
        let condition = pool.remove(at);
        let kept = self.keep_one(rank.order, rank.span);
        Some(self.project(kept, rank.items, condition.span))
    }

    /// Refuses a row number that nothing above can filter.
    pub(super) fn no_rank(&mut self, query: QueryId) -> Option<QueryId> {
        self.settle_rank(query, 0, &mut Vec::new())
    }
}

fn keeps_first_of(condition: &Expr, number: usize) -> bool {
    let ExprKind::Call { function, args, .. } = &condition.kind else { return false };
    let [a, b] = args.as_slice() else { return false };
    let limit = |e: &Expr| match constant(e) {
        Some(Value::Int(limit)) => Some(*limit),
        Some(_) | None => None,
    };
    let is_number = |e: &Expr| plain_column(e) == Some(number);
    match (limit(a), limit(b)) {
        (None, Some(limit)) if is_number(a) => is_first(function, limit),
        (Some(1), None) if is_number(b) => matches!(function.as_str(), "=" | ">="),
        (Some(2), None) if is_number(b) => function == ">",
        _ => false,
    }
}

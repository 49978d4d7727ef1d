//! UNION, INTERSECT and EXCEPT. The latter two count how often each row is in either arm: both arms
//! in one relation, with a 1 in the column of their own, grouped by the whole row.

use flow_ir::expr::Expr;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::coerce::common_type;

use super::Checker;
use super::from::same_name;
use super::typed::{Aggregate, QueryId, Unnest};
use crate::diagnostics::{plans, types};
use crate::syntax::ast::SetOp;

impl Checker<'_> {
    /// Two arms as one query, each column as the common type.
    pub(super) fn set_op(
        &mut self,
        op: SetOp,
        all: bool,
        (left, right): (QueryId, QueryId),
        span: Span,
    ) -> Option<QueryId> {
        let [left, right] = [left, right].map(|arm| self.without_hidden_windows(arm));
        let (left, right) = match op {
            SetOp::UnionByName => (
                self.with_columns_of(left, right, left, span),
                self.with_columns_of(left, right, right, span),
            ),
            SetOp::Union | SetOp::Intersect | SetOp::Except => (left, right),
        };
        let arms = self.alike(op, left, right, span)?;
        match op {
            SetOp::Union | SetOp::UnionByName => {
                let both = self.union_all(arms.to_vec(), span);
                Some(if all { both } else { self.distinct(both, span) })
            }
            SetOp::Intersect | SetOp::Except => self.counted(op, all, arms, span),
        }
    }

    /// One of two arms with the columns of the first, and those that the second one adds, in this
    /// order; what it lacks is NULL.
    fn with_columns_of(
        &mut self,
        first: QueryId,
        second: QueryId,
        arm: QueryId,
        span: Span,
    ) -> QueryId {
        let place = |checker: &Self, query: QueryId, name: &str| {
            checker.query_node(query).columns.iter().position(|c| same_name(&c.name, name))
        };
        let mut columns = self.query_node(first).columns.clone();
        let more = self.query_node(second).columns.iter();
        columns.extend(more.filter(|c| place(self, first, &c.name).is_none()).cloned());
        let items = columns.into_iter().map(|column| match place(self, arm, &column.name) {
            Some(at) => (column.name, self.pass_column(arm, at, span).1),
            None => {
                let null = Expr::literal(Value::Null, column.ty.with_nullable(true), span);
                (column.name, Some(null))
            }
        });
        let items = items.collect();
        self.project(arm, items, span)
    }

    /// The arms with columns of the same types.
    fn alike(
        &mut self,
        op: SetOp,
        left: QueryId,
        right: QueryId,
        span: Span,
    ) -> Option<[QueryId; 2]> {
        let (l, r) = (&self.query_node(left).columns, &self.query_node(right).columns);
        let name = match op {
            SetOp::Union | SetOp::UnionByName => "UNION",
            SetOp::Intersect => "INTERSECT",
            SetOp::Except => "EXCEPT",
        };
        if l.len() != r.len() {
            let (wants, has) = (l.len(), r.len());
            let at = self.query_node(right).span;
            let arm = format!("the first arm of {name}");
            return self.report(plans::wrong_count(&arm, wants, has, at));
        }
        let pairs: Vec<(Type, Type, String)> =
            l.iter().zip(r).map(|(l, r)| (l.ty.clone(), r.ty.clone(), l.name.clone())).collect();
        let mut common = Vec::with_capacity(pairs.len());
        for (l, r, column) in pairs {
            match common_type(&[l.clone(), r.clone()]) {
                Some(ty) => common.push(ty.data),
                None => {
                    let place = format!("column {column} of {name}");
                    return self.report(types::no_common_type(&place, &[l, r], span, None));
                }
            }
        }
        Some([self.as_types(left, &common), self.as_types(right, &common)])
    }

    /// A query whose columns have these data types, to which its own widen.
    fn as_types(&mut self, query: QueryId, wanted: &[DataType]) -> QueryId {
        let node = self.query_node(query);
        if node.columns.iter().zip(wanted).all(|(c, data)| c.ty.data == *data) {
            return query;
        }
        let span = node.span;
        let items = wanted.iter().enumerate().map(|(at, data)| {
            let (name, expr) = self.pass_column(query, at, span);
            let cast = |e: Expr| {
                if e.ty.data == *data { e } else { super::coerce::cast(e, data, false, span) }
            };
            (name, expr.map(cast))
        });
        let items = items.collect();
        self.project(query, items, span)
    }

    /// INTERSECT and EXCEPT.
    fn counted(&mut self, op: SetOp, all: bool, arms: [QueryId; 2], span: Span) -> Option<QueryId> {
        let width = self.query_node(arms[0]).columns.len();
        let number = |value: i64| {
            Some(Expr::literal(Value::Int(value), Type::not_null(DataType::BigInt), span))
        };
        let mut marked = Vec::with_capacity(2);
        for (arm, [left, right]) in arms.into_iter().zip([[1, 0], [0, 1]]) {
            let marks = vec![("$left".into(), number(left)), ("$right".into(), number(right))];
            marked.push(self.extend(arm, marks, span));
        }
        let both = self.union_all(marked, span);
        let calls = self.calls_of(both, &["SUM", "SUM"], &[width, width + 1])?;
        let keys = (0..width).collect();
        let counted = self.aggregate(
            Aggregate { input: both, keys, calls, window: None, emits_changes: false },
            span,
        );
        let ty = self.query_node(counted).columns[width].ty.clone();
        let [left, right] = [0, 1].map(|side| Expr::column(width + side, ty.clone(), span));
        let zero = Expr::literal(Value::Int(0), Type::not_null(DataType::BigInt), span);
        let times = match (op, all) {
            (SetOp::Except, true) => self.operator("-", vec![left, right], span)?,
            (SetOp::Intersect, true) => self.operator("LEAST", vec![left, right], span)?,
            (_, _) => {
                let is = if op == SetOp::Except { "=" } else { ">" };
                let in_left = self.operator(">", vec![left, zero.clone()], span)?;
                let in_right = self.operator(is, vec![right, zero], span)?;
                let condition = super::expr::all_of(vec![in_left, in_right])?;
                let kept = self.filter(counted, condition, span);
                return Some(self.select_columns(kept, 0..width, span));
            }
        };
        let some = self.operator(">", vec![times.clone(), zero], span)?;
        let kept = self.filter(counted, some, span);
        let one = Expr::literal(Value::Int(1), Type::not_null(DataType::BigInt), span);
        let each = self.operator("GENERATE_SERIES", vec![one, times], span)?;
        let input = self.extend(kept, vec![("$times".to_string(), Some(each))], span);
        let columns = vec![width + 2];
        let unnest = Unnest { input, columns, ordinality: false, outer: false };
        let repeated = self.unnest(unnest, span);
        Some(self.select_columns(repeated, 0..width, span))
    }
}

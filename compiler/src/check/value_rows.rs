//! Rows that the program brings itself: they all come at once, and have no time of theirs. So what
//! waits for a watermark elsewhere is there at once: windows are columns computed of the rows, and
//! an order says nothing.

use flow_ir::aggregate::WindowSpec;
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::expr::joined;
use super::typed::{QueryId, Unnest};
use super::values::is_one_row;

/// How far `window_time` lies before the end, microseconds.
const MILLISECOND: i64 = 1_000;
/// Windows that one row is put into at most.
const WINDOWS_MAX: i64 = 10_000;

impl Checker<'_> {
    /// Whether a query reads nothing but VALUES and the like.
    pub(super) fn is_of_values(&self, query: QueryId) -> bool {
        self.scanned(query).all(|id| is_one_row(self.module.relation(id)))
    }

    /// The rows in their windows, each bound behind their columns as `window` has it; `None` where
    /// these are no windows of such rows.
    pub(super) fn windows_of_values(
        &mut self,
        input: QueryId,
        time: usize,
        spec: WindowSpec,
        span: Span,
    ) -> Option<QueryId> {
        let column = self.query_node(input).columns[time].clone();
        if !column.ty.data.is_timestamp() || !self.is_of_values(input) {
            return None;
        }
        let of_instants = matches!(column.ty.data, DataType::TimestampLtz { .. });
        let spec = if of_instants { self.in_session_zone(spec, span)? } else { spec };
        let (size, step, offset) = match spec {
            WindowSpec::Tumble { size, offset } => (size, size, offset),
            WindowSpec::Hop { size, slide, offset } => (size, slide, offset),
            WindowSpec::Cumulate { .. } | WindowSpec::Session { .. } => return None,
        };
        let count = size.checked_add(step - 1)? / step;
        if count > WINDOWS_MAX {
            return None;
        }
        let width = self.query_node(input).columns.len();
        let at = Expr::column(time, column.ty.clone(), span);
        let origin = match of_instants {
            true => Value::TimestampLtz(offset),
            false => Value::Timestamp(offset),
        };
        let origin = Expr::literal(origin, column.ty.with_nullable(false), span);
        let last =
            self.operator("DATE_BIN", vec![interval(step, span), at.clone(), origin], span)?;
        let mut starts = Vec::new();
        for nth in 0..count {
            let back = interval(nth * step, span);
            starts.push(self.operator("-", vec![last.clone(), back], span)?);
        }
        let starts = self.array_of(starts, span)?;
        let input = self.extend(input, vec![("$starts".to_owned(), Some(starts))], span);
        let columns = vec![width];
        let each = self.unnest(Unnest { input, columns, ordinality: false, outer: false }, span);
        let start_ty = self.query_node(each).columns[width + 1].ty.clone();
        let start = Expr::column(width + 1, start_ty, span);
        let end = self.operator("+", vec![start.clone(), interval(size, span)], span)?;
        let inside = [
            self.operator(">", vec![end.clone(), at], span)?,
            Expr {
                ty: Type::not_null(DataType::Boolean),
                kind: ExprKind::Not(Box::new(is_null(&start, span))),
                span,
            },
        ];
        let inside = joined(inside.into(), span, ExprKind::And);
        let kept = self.filter(each, inside, span);
        let latest = self.operator("-", vec![end.clone(), interval(MILLISECOND, span)], span)?;
        let mut items: Vec<_> =
            (0..width).map(|column| self.pass_column(kept, column, span)).collect();
        let bounds = [("window_start", start), ("window_end", end), ("window_time", latest)];
        for (name, bound) in bounds {
            let ty = column.ty.with_nullable(false);
            items.push((name.to_owned(), Some(Expr { ty, ..bound })));
        }
        Some(self.project(kept, items, span))
    }
}

fn is_null(e: &Expr, span: Span) -> Expr {
    let kind = ExprKind::IsNull(Box::new(e.clone()));
    Expr { kind, ty: Type::not_null(DataType::Boolean), span }
}

fn interval(micros: i64, span: Span) -> Expr {
    let value = Value::Interval { months: 0, micros };
    Expr::literal(value, Type::not_null(DataType::Interval), span)
}

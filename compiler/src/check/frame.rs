//! The frames of OVER: ROWS, RANGE and GROUPS with their bounds.

use flow_ir::expr::Expr;
use flow_ir::over::{FrameBound, FrameExclude, FrameUnit};
use flow_ir::physical::Direction;
use flow_ir::value::Value;
use flow_stdlib::coerce::common_type;

use super::Checker;
use super::coerce::cast;
use super::expr::ExprCx;
use super::literal::{constant, constant_interval};
use crate::diagnostics::{aggregates as problems, types};
use crate::syntax::ast;

/// A frame over the columns of a SELECT's rows.
#[derive(Clone, Debug)]
pub(super) struct FrameExpr {
    pub unit: FrameUnit,
    pub start: BoundExpr,
    pub end: BoundExpr,
    pub exclude: FrameExclude,
}

/// One end of a frame.
#[derive(Clone, Debug)]
pub(super) enum BoundExpr {
    /// Any but a value; `FrameBound::Value` is none of these.
    Fixed(FrameBound),
    /// RANGE: at this value of the order.
    Value {
        value: Expr,
        /// PRECEDING.
        back: bool,
        /// How far it is, microseconds, where that is fixed.
        micros: Option<i64>,
    },
}

impl FrameExpr {
    pub(super) fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let value = |bound| match bound {
            &mut BoundExpr::Fixed(_) => None,
            BoundExpr::Value { value, .. } => Some(value),
        };
        [&mut self.start, &mut self.end].into_iter().filter_map(value)
    }

    /// Whether no row of it comes behind the current one and those equal to it.
    pub(super) fn looks_back(&self) -> bool {
        match &self.end {
            BoundExpr::Fixed(bound) => match bound {
                FrameBound::UnboundedPreceding
                | FrameBound::Preceding(_)
                | FrameBound::CurrentRow => true,
                FrameBound::Following(_)
                | FrameBound::UnboundedFollowing
                | FrameBound::Value(_) => false,
            },
            BoundExpr::Value { back, .. } => *back,
        }
    }

    /// How far back its rows are at most, microseconds of the order's only column; `None`: not
    /// fixed.
    pub(super) fn reach(&self) -> Option<i64> {
        match (&self.start, self.unit) {
            (BoundExpr::Value { micros, .. }, _) => *micros,
            (BoundExpr::Fixed(FrameBound::CurrentRow), FrameUnit::Range | FrameUnit::Groups) => {
                Some(0)
            }
            (BoundExpr::Fixed(_), _) => None,
        }
    }

    /// What it is, its expressions apart.
    pub(super) fn shape(&self) -> String {
        let bound = |bound: &BoundExpr| match bound {
            BoundExpr::Fixed(bound) => bound.to_string(),
            BoundExpr::Value { back, .. } => format!("VALUE {back}"),
        };
        format!("{:?} {} {} {:?}", self.unit, bound(&self.start), bound(&self.end), self.exclude)
    }
}

impl Checker<'_> {
    /// The frame of a window; as SQL has it where none is written. RANGE may give the order's
    /// column another type, that of its bounds.
    pub(super) fn frame(
        &mut self,
        frame: Option<&ast::Frame>,
        order: &mut [(Expr, Direction)],
        cx: &mut ExprCx<'_>,
    ) -> Option<FrameExpr> {
        let Some(frame) = frame else {
            let ordered = !order.is_empty();
            let end = if ordered { FrameBound::CurrentRow } else { FrameBound::UnboundedFollowing };
            return Some(FrameExpr {
                unit: FrameUnit::Range,
                start: BoundExpr::Fixed(FrameBound::UnboundedPreceding),
                end: BoundExpr::Fixed(end),
                exclude: FrameExclude::NoOthers,
            });
        };
        let end = frame.end.as_ref().unwrap_or(&ast::FrameBound::CurrentRow);
        if place(&frame.start) > place(end)
            || matches!(frame.start, ast::FrameBound::UnboundedFollowing)
            || matches!(end, ast::FrameBound::UnboundedPreceding)
        {
            let message = "the frame ends before it begins";
            return self.report(problems::bad_frame(message, "no row", frame.span));
        }
        let unit = match frame.unit {
            ast::FrameUnit::Rows => FrameUnit::Rows,
            ast::FrameUnit::Range => FrameUnit::Range,
            ast::FrameUnit::Groups => FrameUnit::Groups,
        };
        if unit == FrameUnit::Groups && order.is_empty() {
            let message = "GROUPS needs an ORDER BY";
            return self.report(problems::bad_frame(message, "no order", frame.span));
        }
        let start = self.bound(&frame.start, unit, order, frame, cx);
        let end = self.bound(end, unit, order, frame, cx);
        let (mut start, mut end) = (start?, end?);
        as_one_type(order, &mut start, &mut end);
        let exclude = match frame.exclude {
            None | Some(ast::FrameExclude::NoOthers) => FrameExclude::NoOthers,
            Some(ast::FrameExclude::CurrentRow) => FrameExclude::CurrentRow,
            Some(ast::FrameExclude::Group) => FrameExclude::Group,
            Some(ast::FrameExclude::Ties) => FrameExclude::Ties,
        };
        Some(FrameExpr { unit, start, end, exclude })
    }

    fn bound(
        &mut self,
        bound: &ast::FrameBound,
        unit: FrameUnit,
        order: &[(Expr, Direction)],
        frame: &ast::Frame,
        cx: &mut ExprCx<'_>,
    ) -> Option<BoundExpr> {
        let (distance, back) = match bound {
            ast::FrameBound::UnboundedPreceding => {
                return Some(BoundExpr::Fixed(FrameBound::UnboundedPreceding));
            }
            ast::FrameBound::CurrentRow => return Some(BoundExpr::Fixed(FrameBound::CurrentRow)),
            ast::FrameBound::UnboundedFollowing => {
                return Some(BoundExpr::Fixed(FrameBound::UnboundedFollowing));
            }
            ast::FrameBound::Preceding(distance) => (distance, true),
            ast::FrameBound::Following(distance) => (distance, false),
        };
        let distance = self.expr(distance, cx)?;
        if !is_forward(&distance) {
            return self
                .report(types::not_constant("a frame's distance, 0 or more,", distance.span));
        }
        if unit != FrameUnit::Range {
            let Some(Value::Int(count)) = constant(&distance) else {
                return self.report(types::not_constant("a frame's distance", distance.span));
            };
            let count = count.unsigned_abs();
            let bound =
                if back { FrameBound::Preceding(count) } else { FrameBound::Following(count) };
            return Some(BoundExpr::Fixed(bound));
        }
        let [(by, direction)] = order else {
            let message = "RANGE with a distance needs one column to order by";
            return self.report(problems::bad_frame(message, "a distance", frame.span));
        };
        let micros = constant_interval(&distance).filter(|(months, _)| *months == 0);
        let micros = micros.map(|(_, micros)| if back { micros } else { 0 });
        let operator = if back != direction.descending { "-" } else { "+" };
        let mut of = by.clone();
        if of.ty.data.is_integer() {
            of = cast(of, &flow_ir::types::DataType::BigInt, false, distance.span);
        }
        let span = distance.span;
        let value = self.operator(operator, vec![of, distance], span)?;
        Some(BoundExpr::Value { value, back, micros })
    }
}

/// Gives the order's column and the values of the bounds one type.
fn as_one_type(order: &mut [(Expr, Direction)], start: &mut BoundExpr, end: &mut BoundExpr) {
    let value = |bound| match bound {
        &mut BoundExpr::Fixed(_) => None,
        BoundExpr::Value { value, .. } => Some(value),
    };
    let mut values: Vec<&mut Expr> = [start, end].into_iter().filter_map(value).collect();
    let [(by, _)] = order else { return };
    if values.is_empty() {
        return;
    }
    values.push(by);
    let types: Vec<_> = values.iter().map(|e| e.ty.clone()).collect();
    let Some(common) = common_type(&types) else { return };
    for expr in values.into_iter().filter(|e| e.ty.data != common.data) {
        *expr = cast(expr.clone(), &common.data, false, expr.span);
    }
}

/// Whether a distance is a constant that is not negative.
fn is_forward(distance: &Expr) -> bool {
    match constant(distance) {
        Some(Value::Int(n)) => *n >= 0,
        Some(Value::Float(n)) => *n >= 0.0,
        Some(Value::Interval { months, micros }) => *months >= 0 && *micros >= 0,
        Some(Value::Decimal(n)) => *n >= 0,
        Some(_) | None => false,
    }
}

/// Where a bound lies, roughly.
fn place(bound: &ast::FrameBound) -> u8 {
    match bound {
        ast::FrameBound::UnboundedPreceding => 0,
        ast::FrameBound::Preceding(_) => 1,
        ast::FrameBound::CurrentRow => 2,
        ast::FrameBound::Following(_) => 3,
        ast::FrameBound::UnboundedFollowing => 4,
    }
}

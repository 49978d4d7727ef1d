//! Making a value fit its place: implicit casts, which only widen; literals, which take the type
//! of their place; and assignment, which may narrow numbers.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::builtin::lookup;
use flow_stdlib::coerce::{assignable, castable, common_type, decimal_of, decimal_parts, widens};
use flow_stdlib::text::format_value;

use super::Checker;
use super::aggregate_call::MEANS;
use super::expr::ExprCx;
use super::ksql_names::of_records;
use super::literal::constant;
use crate::diagnostics::types;
use crate::syntax::ast;

/// Precision and scale of a DECIMAL of which nothing is known.
const ANY_DECIMAL: (u32, u32) = (38, 18);

/// Whether an expression is text or NULL whose type its place decides.
pub(super) fn is_untyped(expr: &Expr) -> bool {
    match constant(expr) {
        Some(Value::String(_)) => expr.ty.data == DataType::String,
        Some(Value::Null) => expr.ty.data == DataType::Null,
        Some(_) | None => false,
    }
}

/// The type by which `resolve` and `common_type` see an expression, untyped literals as NULL.
pub(super) fn open_type(expr: &Expr) -> Type {
    if is_untyped(expr) {
        return Type { data: DataType::Null, nullable: expr.ty.nullable };
    }
    expr.ty.clone()
}

/// A conversion, by CAST or by TRY_CAST.
pub(super) fn cast(arg: Expr, to: &DataType, lenient: bool, span: Span) -> Expr {
    let nullable = arg.ty.nullable || lenient;
    let ty = Type { data: to.clone(), nullable };
    Expr { kind: ExprKind::Cast { arg: Box::new(arg), lenient }, ty, span }
}

/// What `x::NUMERIC` makes of a type: as Postgres has it, it keeps what there is.
pub(super) fn any_decimal(arg: &Expr) -> DataType {
    let written = match constant(arg) {
        Some(Value::String(text)) => digits(text.trim()),
        Some(_) | None => decimal_parts(&arg.ty.data),
    };
    let (precision, scale) = written.unwrap_or(ANY_DECIMAL);
    decimal_of(precision, scale)
}

/// Precision and scale of a plain number.
fn digits(text: &str) -> Option<(u32, u32)> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    let scale = fraction.len() as u32;
    plain.then_some((whole.len() as u32 + scale, scale))
}

/// Integer literals that are compared with decimals as the least DECIMAL that holds them, so that
/// the other side need not be cast.
pub(super) fn fit_literals(args: &mut [Expr]) {
    if !args.iter().any(|e| is_decimal(&e.ty.data)) {
        return;
    }
    for arg in args {
        if let Some(Value::Int(value)) = constant(arg)
            && arg.ty.data.is_integer()
        {
            let digits = value.unsigned_abs().checked_ilog10().unwrap_or(0) as u8 + 1;
            let data = DataType::Decimal { precision: digits, scale: 0 };
            let value = Value::Decimal(i128::from(*value));
            *arg = Expr::literal(value, Type::not_null(data), arg.span);
        }
    }
}

fn is_decimal(data: &DataType) -> bool {
    matches!(data, DataType::Decimal { .. })
}

impl Checker<'_> {
    /// The expression as a value of `to`, to which its type is known to widen.
    pub(super) fn widen(&mut self, expr: Expr, to: &DataType) -> Option<Expr> {
        if expr.ty.data == *to {
            return Some(expr);
        }
        match constant(&expr) {
            Some(Value::Null) => Some(Expr { ty: Type::nullable(to.clone()), ..expr }),
            Some(Value::String(text)) if expr.ty.data == DataType::String => {
                let value = self.parse(&text.clone(), to, expr.span)?;
                Some(Expr::literal(value, Type::not_null(to.clone()), expr.span))
            }
            Some(Value::Int(value)) if to.is_integer() => {
                let value = Value::Int(*value);
                Some(Expr::literal(value, Type::not_null(to.clone()), expr.span))
            }
            Some(Value::Int(_) | Value::Decimal(_)) if is_decimal(to) => {
                let text = format_value(constant(&expr)?, &expr.ty.data);
                let value = self.parse(&text, to, expr.span)?;
                Some(Expr::literal(value, Type::not_null(to.clone()), expr.span))
            }
            Some(_) | None => {
                let span = expr.span;
                Some(cast(expr, to, false, span))
            }
        }
    }

    /// The expressions as values of one type; `place` says where, for the message.
    pub(super) fn unify(&mut self, exprs: Vec<Expr>, place: &str, span: Span) -> Option<Vec<Expr>> {
        let written: Vec<Type> = exprs.iter().map(|e| e.ty.clone()).collect();
        let open: Vec<Type> = exprs.iter().map(open_type).collect();
        let common = common_type(&written).or_else(|| common_type(&open));
        let Some(common) = common else {
            let cast = cast_to_write(self, &exprs);
            return self.report(types::no_common_type(place, &written, span, cast));
        };
        let data = match common.data {
            DataType::Null if exprs.iter().any(|e| e.ty.data == DataType::String) => {
                DataType::String
            }
            data => data,
        };
        exprs.into_iter().map(|e| self.widen(e, &data)).collect()
    }

    /// The expression as a BOOLEAN; `place` needs one.
    pub(super) fn boolean(&mut self, expr: Expr, place: &str) -> Option<Expr> {
        if expr.ty.data == DataType::Boolean {
            return Some(expr);
        }
        if expr.ty.data == DataType::Null {
            return self.widen(expr, &DataType::Boolean);
        }
        let problem = types::not_boolean(place, &expr.ty, expr.span);
        self.report(problem)
    }

    /// CAST or TRY_CAST as written.
    pub(super) fn explicit_cast(
        &mut self,
        arg: Expr,
        to: &DataType,
        lenient: bool,
        span: Span,
    ) -> Option<Expr> {
        match (&arg.ty.data, to) {
            (DataType::Json, to) if to.is_numeric() || *to == DataType::Boolean => {
                return self.json_as(arg, to, lenient, span);
            }
            (DataType::Boolean, to) if to.is_float() || matches!(to, DataType::Decimal { .. }) => {
                let number = cast(arg, &DataType::Int, false, span);
                return Some(cast(number, to, lenient, span));
            }
            (from, DataType::Boolean)
                if from.is_float() || matches!(from, DataType::Decimal { .. }) =>
            {
                let zero = Expr::literal(Value::Int(0), Type::not_null(DataType::Int), span);
                return self.operator("<>", vec![arg, zero], span);
            }
            (DataType::String, DataType::Array(item)) => {
                return self.text_as_array(arg, item, lenient, span);
            }
            _ => {}
        }
        if !castable(&arg.ty.data, to) {
            return self.report(types::no_cast(&arg.ty, &Type::nullable(to.clone()), span));
        }
        if constant(&arg).is_some_and(Value::is_null) {
            return self.widen(arg, to).map(|e| Expr { span, ..e });
        }
        Some(cast(arg, to, lenient, span))
    }

    /// CAST as written.
    pub(super) fn written_cast(
        &mut self,
        arg: &ast::Expr,
        (written, colons): (&ast::TypeExpr, bool),
        lenient: bool,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let arg = self.expr(arg, cx);
        let mut ty = self.type_of(written)?;
        if let (true, Some(arg)) = (colons && written.is_open_decimal(), &arg) {
            ty.data = any_decimal(arg);
        }
        let mut arg = arg?;
        if of_records(cx.scope) {
            arg = match self.ksql_cast(arg, &ty.data, span) {
                Ok(cast) => return cast,
                Err(arg) => arg,
            };
        }
        self.cast_lints(&arg, &ty, span);
        let cast = self.explicit_cast(arg, &ty.data, lenient, span)?;
        if written.is_jsonb() {
            return self.operator("JSON_CANONICAL", vec![cast], span);
        }
        self.to_length(cast, written, span)
    }

    /// The expression as a value of a sink's column: what widens, and numbers that narrow.
    pub(super) fn assign(&mut self, expr: Expr, column: &str, to: &Type) -> Option<Expr> {
        let span = expr.span;
        let open = open_type(&expr);
        if !assignable(&open.data, &to.data) {
            return self.report(types::not_assignable(column, &expr.ty, to, span));
        }
        if expr.ty.nullable && !to.nullable {
            self.found.push(types::null_into_not_null(column, &expr.ty, span));
            return None;
        }
        if widens(&open.data, &to.data) {
            return self.widen(expr, &to.data);
        }
        if narrows(&expr.ty.data, &to.data) {
            if to.data.is_integer() {
                // Cut off by INSERT, a mean of integers is what Flink makes of it.
                let notes = MEANS.map(|function| types::mean_with_fraction(function, span));
                self.found.retain(|found| !notes.contains(found));
            }
            self.found.push(types::narrowed(column, &expr.ty, to, span));
        }
        let expr = if to.data.is_integer() { truncated(expr) } else { expr };
        Some(cast(expr, &to.data, false, span))
    }
}

/// Whether a number may lose something; a time only loses digits that are not shown.
fn narrows(from: &DataType, to: &DataType) -> bool {
    from.is_numeric() && to.is_numeric()
}

/// The number without its fraction, toward zero.
pub(super) fn truncated(expr: Expr) -> Expr {
    if expr.ty.data.is_integer() {
        return expr;
    }
    let resolved =
        lookup("TRUNC").and_then(|b| Some((b, b.resolve(std::slice::from_ref(&expr.ty)).ok()?)));
    let Some((builtin, resolved)) = resolved else { return expr };
    let span = expr.span;
    let arg = match resolved.arg_types.first() {
        Some(ty) if ty.data != expr.ty.data => cast(expr, &ty.data, false, span),
        Some(_) | None => expr,
    };
    let function = builtin.name.to_string();
    let kind = ExprKind::Call { function, overload: resolved.overload, args: vec![arg] };
    Expr { kind, ty: resolved.ty, span }
}

/// The CAST that would give the expressions a common type, if one is easily named: the odd one out
/// cast to the type of the first.
fn cast_to_write(checker: &Checker<'_>, exprs: &[Expr]) -> Option<String> {
    let first = exprs.first()?;
    let other = exprs.iter().find(|e| common_type(&[open_type(first), open_type(e)]).is_none())?;
    let (expr, to) = if castable(&other.ty.data, &first.ty.data) {
        (other, &first.ty.data)
    } else if castable(&first.ty.data, &other.ty.data) {
        (first, &other.ty.data)
    } else {
        return None;
    };
    let text = checker.sources.text(expr.span);
    Some(format!("CAST({text} AS {to})"))
}

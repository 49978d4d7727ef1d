//! Literals to values: numbers take the least of INT, BIGINT, DECIMAL that holds them; times keep
//! the digits that are written; intervals are months and microseconds.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DECIMAL_MAX_PRECISION, DataType, TIME_MAX_PRECISION, Type};
use flow_ir::value::Value;
use flow_stdlib::scalar::zone::Zone;
use flow_stdlib::text;

use super::Checker;
use crate::diagnostics::types;
use crate::syntax::ast::{IntervalUnits, Literal, NumberKind, Text, TimeUnit, TypedKind};

impl Checker<'_> {
    /// A literal's constant.
    pub(super) fn literal(&mut self, literal: &Literal, span: Span) -> Option<Expr> {
        let constant = |value, data| Some(Expr::literal(value, Type::not_null(data), span));
        match literal {
            Literal::Null => Some(Expr::literal(Value::Null, Type::nullable(DataType::Null), span)),
            Literal::Boolean(value) => constant(Value::Boolean(*value), DataType::Boolean),
            Literal::String(value) => constant(Value::String(value.clone()), DataType::String),
            Literal::Bytes(value) => constant(Value::Bytes(value.clone()), DataType::Bytes),
            Literal::Number { text, kind } => self.number(text, *kind, span),
            Literal::Typed { kind, value } => {
                let data = typed_data(*kind, &value.value);
                let value = self.parse(&value.value, &data, value.span)?;
                constant(value, data)
            }
            Literal::Interval { negative, value, units } => {
                let (months, micros) = self.interval(value, units.as_ref(), span)?;
                let sign = if *negative { -1 } else { 1 };
                let value = Value::Interval { months: sign * months, micros: sign * micros };
                constant(value, DataType::Interval)
            }
        }
    }

    fn number(&mut self, written: &str, kind: NumberKind, span: Span) -> Option<Expr> {
        let digits: String = written.chars().filter(|c| *c != '_').collect();
        let data = match kind {
            NumberKind::Float => DataType::Double,
            NumberKind::Integer if digits.parse::<i32>().is_ok() => DataType::Int,
            NumberKind::Integer if digits.parse::<i64>().is_ok() => DataType::BigInt,
            NumberKind::Integer | NumberKind::Decimal => {
                let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
                let scale = fraction.len();
                let precision = (whole.trim_start_matches('0').len() + scale).max(1);
                if precision > usize::from(DECIMAL_MAX_PRECISION) {
                    let help = "Write it with an exponent (1e50) for a DOUBLE.";
                    let ty = format!("DECIMAL({precision})");
                    return self.report(types::bad_literal(written, &ty, span, Some(help)));
                }
                DataType::Decimal { precision: precision as u8, scale: scale as u8 }
            }
        };
        let value = self.parse(&digits, &data, span)?;
        Some(Expr::literal(value, Type::not_null(data), span))
    }

    /// Text as a value of a type, as CAST would read it at run time.
    pub(super) fn parse(&mut self, written: &str, ty: &DataType, span: Span) -> Option<Value> {
        match self.read_text(written, ty) {
            Some(value) => Some(value),
            None => {
                let help = example_of(ty).map(|example| format!("Write it like {example}."));
                let shown = format!("'{written}'");
                self.report(types::bad_literal(&shown, &ty.to_string(), span, help.as_deref()))
            }
        }
    }

    /// An instant that names no offset is the time in the session's zone.
    fn read_text(&self, written: &str, ty: &DataType) -> Option<Value> {
        if matches!(ty, DataType::TimestampLtz { .. }) {
            let zone = Zone::parse(&self.module.settings.time_zone).ok()?;
            return zone.read(written).ok().map(Value::TimestampLtz);
        }
        text::parse_value(written, ty).ok()
    }

    /// (months, microseconds) of an interval's text.
    fn interval(
        &mut self,
        value: &Text,
        units: Option<&IntervalUnits>,
        span: Span,
    ) -> Option<(i64, i64)> {
        let read = match units {
            None => text::parse_interval(&value.value),
            Some(IntervalUnits { from, to: None, .. }) => {
                text::parse_interval(&format!("{} {}", value.value.trim(), unit_word(*from)?))
            }
            Some(IntervalUnits { from, to: Some(to), .. }) => {
                interval_of_fields(&value.value, *from, *to)
            }
        };
        match read {
            Some(read) => Some(read),
            None => {
                let shown = format!("'{}'", value.value);
                let help = "Write INTERVAL '90' SECOND, or INTERVAL '1 02:03:04' DAY TO SECOND.";
                self.report(types::bad_literal(&shown, "INTERVAL", span, Some(help)))
            }
        }
    }
}

/// The constant of a literal, if the expression is one.
pub(super) fn constant(expr: &Expr) -> Option<&Value> {
    if let ExprKind::Literal(value) = &expr.kind { Some(value) } else { None }
}

/// (months, microseconds) of a constant interval.
pub(super) fn constant_interval(expr: &Expr) -> Option<(i64, i64)> {
    if let Value::Interval { months, micros } = constant(expr)? {
        return Some((*months, *micros));
    }
    None
}

/// The type of `TIMESTAMP '…'`: as many digits of seconds as are written.
fn typed_data(kind: TypedKind, written: &str) -> DataType {
    let fraction = written.rsplit_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let precision = digits.min(usize::from(TIME_MAX_PRECISION)) as u8;
    match kind {
        TypedKind::Date => DataType::Date,
        TypedKind::Time => DataType::Time { precision },
        TypedKind::Timestamp => DataType::Timestamp { precision },
        TypedKind::TimestampLtz => DataType::TimestampLtz { precision },
        TypedKind::Uuid => DataType::Uuid,
        TypedKind::Json => DataType::Json,
    }
}

/// How a value of the type is written, for help.
fn example_of(ty: &DataType) -> Option<&'static str> {
    Some(match ty {
        DataType::Date => "'2026-01-31'",
        DataType::Time { .. } => "'23:59:59'",
        DataType::Timestamp { .. } => "'2026-01-31 23:59:59'",
        DataType::TimestampLtz { .. } => "'2026-01-31 23:59:59Z'",
        DataType::Interval => "'1 day 02:03:04'",
        DataType::Uuid => "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'",
        DataType::Boolean => "TRUE or FALSE",
        DataType::Json => "'{\"a\": 1}'",
        DataType::Null
        | DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Real
        | DataType::Double
        | DataType::Decimal { .. }
        | DataType::String
        | DataType::Bytes
        | DataType::Array(_)
        | DataType::Map(..)
        | DataType::Row(_) => return None,
    })
}

/// The unit's name for intervals; none for what only EXTRACT knows.
fn unit_word(unit: TimeUnit) -> Option<&'static str> {
    Some(match unit {
        TimeUnit::Century => "century",
        TimeUnit::Decade => "decade",
        TimeUnit::Year => "year",
        TimeUnit::Quarter => "quarter",
        TimeUnit::Month => "month",
        TimeUnit::Week => "week",
        TimeUnit::Day => "day",
        TimeUnit::Hour => "hour",
        TimeUnit::Minute => "minute",
        TimeUnit::Second => "second",
        TimeUnit::Millisecond => "millisecond",
        TimeUnit::Microsecond => "microsecond",
        TimeUnit::Millennium
        | TimeUnit::Nanosecond
        | TimeUnit::Epoch
        | TimeUnit::DayOfWeek
        | TimeUnit::IsoDayOfWeek
        | TimeUnit::DayOfYear
        | TimeUnit::IsoYear => return None,
    })
}

/// `1-2` of YEAR TO MONTH, `1 02:03:04.5` of DAY TO SECOND: one number per unit from the first to
/// the last.
fn interval_of_fields(written: &str, from: TimeUnit, to: TimeUnit) -> Option<(i64, i64)> {
    const YEARS: &[TimeUnit] = &[TimeUnit::Year, TimeUnit::Month];
    const DAYS: &[TimeUnit] = &[TimeUnit::Day, TimeUnit::Hour, TimeUnit::Minute, TimeUnit::Second];
    let written = written.trim();
    let (negative, digits) = match written.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, written.strip_prefix('+').unwrap_or(written)),
    };
    let family = if YEARS.contains(&from) { YEARS } else { DAYS };
    let first = family.iter().position(|u| *u == from)?;
    let last = family.iter().position(|u| *u == to)?;
    let units = family.get(first..=last)?;
    let parts: Vec<&str> = digits.split([' ', ':', '-']).filter(|p| !p.is_empty()).collect();
    if parts.len() != units.len() {
        return None;
    }
    let mut words = String::new();
    for (part, unit) in parts.iter().zip(units) {
        let whole = *unit != TimeUnit::Second && part.contains('.');
        if whole || part.starts_with('+') {
            return None;
        }
        words.push_str(&format!("{part} {} ", unit_word(*unit)?));
    }
    let (months, micros) = text::parse_interval(&words)?;
    let sign = if negative { -1 } else { 1 };
    Some((sign * months, sign * micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_intervals() {
        let read = |text, from, to| interval_of_fields(text, from, to);
        assert_eq!(read("1-2", TimeUnit::Year, TimeUnit::Month), Some((14, 0)));
        let day = 86_400_000_000;
        assert_eq!(
            read("-1 02:03:04.5", TimeUnit::Day, TimeUnit::Second),
            Some((0, -(day + 7_384_500_000)))
        );
        assert_eq!(read("01:30", TimeUnit::Hour, TimeUnit::Minute), Some((0, 5_400_000_000)));
        assert_eq!(read("1", TimeUnit::Day, TimeUnit::Second), None);
        assert_eq!(read("1 2", TimeUnit::Hour, TimeUnit::Day), None);
    }
}

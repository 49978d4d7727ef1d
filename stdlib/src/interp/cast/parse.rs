//! Casts from STRING.

use flow_ir::kernel::ErrorCode;
use flow_ir::types::{DataType, Slot};

use super::super::arith::{check_bits, digits_of};
use super::number::to_real;
use super::truncate;
use crate::decimal::Digits;
use crate::host::{HostError, HostOut};
use crate::text;

/// Characters of a bad text that an error shows.
const SHOWN_CHARS_MAX: usize = 64;

/// Casts a text.
pub(super) fn cast(value: &str, to: &DataType, out: &mut HostOut<'_>) -> Result<(), HostError> {
    parse(value, to, out).map_err(|code| {
        let shown: String = value.chars().take(SHOWN_CHARS_MAX).collect();
        HostError { code, detail: Some(format!("'{shown}' as {to}").into()) }
    })
}

/// The integer in a text; of a fraction the nearest one, half away from zero.
fn whole(value: &str) -> Result<i64, ErrorCode> {
    text::parse_i64(value).or_else(|code| {
        let rounded = text::parse_decimal(value, Digits { precision: 38, scale: 0 });
        rounded.ok().and_then(|v| i64::try_from(v).ok()).ok_or(code)
    })
}

fn parse(value: &str, to: &DataType, out: &mut HostOut<'_>) -> Result<(), ErrorCode> {
    let bad = ErrorCode::BadCast;
    match to {
        DataType::Boolean => out.bool(text::parse_bool(value).ok_or(bad)?),
        DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt => {
            let bits = to.integer_bits().unwrap_or(64);
            out.i64(check_bits(whole(value)?, bits)?);
        }
        DataType::Real => out.f64(to_real(text::parse_f64(value).ok_or(bad)?)?),
        DataType::Double => out.f64(text::parse_f64(value).ok_or(bad)?),
        DataType::Decimal { .. } => {
            let digits = digits_of(to).unwrap_or(Digits { precision: 38, scale: 0 });
            out.i128(text::parse_decimal(value, digits)?, to.slot());
        }
        DataType::Date => out.i64(i64::from(text::parse_date(value).ok_or(bad)?)),
        DataType::Time { precision } => {
            out.i64(truncate(text::parse_time(value).ok_or(bad)?, *precision));
        }
        DataType::Timestamp { precision } | DataType::TimestampLtz { precision } => {
            out.i64(truncate(text::parse_timestamp(value).ok_or(bad)?, *precision));
        }
        DataType::Interval => {
            let (months, micros) = text::parse_interval(value).ok_or(bad)?;
            out.interval(months, micros);
        }
        DataType::Uuid => out.i128(text::parse_uuid(value).ok_or(bad)? as i128, Slot::Wide),
        DataType::Json => {
            serde_json::from_str::<serde::de::IgnoredAny>(value).map_err(|_| bad)?;
            out.str(value);
        }
        DataType::String | DataType::Bytes => out.str(value),
        DataType::Null | DataType::Array(_) | DataType::Map(..) | DataType::Row(_) => {
            return Err(bad);
        }
    }
    Ok(())
}

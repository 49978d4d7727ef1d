//! Values as text and back, the one form that CAST, printing and the text formats share. What is
//! written reads back as the same value.

mod interval;
mod number;
mod time;

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{ArrayRef, MapRef, RowLayout, RowRef};
use flow_ir::types::{DataType, Slot, Type};
use flow_ir::value::Value;

pub use interval::{interval_of_unit, parse_interval, write_interval};
pub use number::{
    parse_decimal, parse_f64, parse_i64, write_decimal, write_f32, write_f64, write_i64,
};
pub use time::{
    TimeStyle, parse_date, parse_local, parse_offset, parse_time, parse_timestamp, write_date,
    write_time, write_timestamp,
};

use crate::host::HostArg;

/// Writes a BOOLEAN.
pub fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"TRUE" } else { b"FALSE" });
}

/// Writes bytes as hexadecimal digits.
pub fn write_hex(bytes: &[u8], upper: bool, out: &mut Vec<u8>) {
    let digits: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    for byte in bytes {
        out.push(digits[usize::from(byte >> 4)]);
        out.push(digits[usize::from(byte & 15)]);
    }
}

/// Reads hexadecimal digits, two a byte.
pub fn parse_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Writes a UUID in lower case with dashes.
pub fn write_uuid(value: u128, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    for (i, range) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
        if i > 0 {
            out.push(b'-');
        }
        write_hex(&bytes[range], false, out);
    }
}

/// Reads a UUID in any of the usual forms.
pub fn parse_uuid(text: &str) -> Option<u128> {
    uuid::Uuid::try_parse(text.trim()).ok().map(|uuid| uuid.as_u128())
}

/// Reads TRUE, FALSE and their short forms.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Writes a value of this type; NULL as `NULL`, BYTES inside containers as x'…'.
pub fn write_value(value: HostArg<'_>, ty: &DataType, out: &mut Vec<u8>) {
    if value.is_null() {
        out.extend_from_slice(b"NULL");
        return;
    }
    match ty {
        DataType::Null => out.extend_from_slice(b"NULL"),
        DataType::Boolean => write_bool(value.bool(), out),
        DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt => {
            write_i64(value.i64(), out);
        }
        DataType::Real => write_f32(value.f64() as f32, out),
        DataType::Double => write_f64(value.f64(), out),
        DataType::Decimal { scale, .. } => write_decimal(value.i128(), u32::from(*scale), out),
        DataType::String | DataType::Json => out.extend_from_slice(value.bytes()),
        DataType::Bytes => {
            out.extend_from_slice(b"x'");
            write_hex(value.bytes(), false, out);
            out.push(b'\'');
        }
        DataType::Date => write_date(value.i64(), out),
        DataType::Time { .. } => write_time(value.i64(), out),
        DataType::Timestamp { .. } => write_timestamp(value.i64(), TimeStyle::SQL, out),
        DataType::TimestampLtz { .. } => write_timestamp(value.i64(), TimeStyle::SQL_UTC, out),
        DataType::Interval => {
            let (months, micros) = value.interval();
            write_interval(months, micros, out);
        }
        DataType::Uuid => write_uuid(value.i128() as u128, out),
        DataType::Array(item) => {
            let array = ArrayRef::new(value.container(), item.slot());
            write_list(b"[]", array.len(), out, |i, out| {
                write_value(HostArg::element(array, i, item), &item.data, out);
            });
        }
        DataType::Map(key, item) => {
            let map = MapRef::new(value.container(), key.slot(), item.slot());
            let (keys, values) = (map.keys(), map.values());
            write_list(b"{}", map.len(), out, |i, out| {
                write_value(HostArg::element(keys, i, key), &key.data, out);
                out.push(b'=');
                write_value(HostArg::element(values, i, item), &item.data, out);
            });
        }
        DataType::Row(fields) => {
            let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
            let layout = RowLayout::new(types);
            let row = value.container();
            if row.len() < layout.fixed_words() {
                return;
            }
            write_list(b"()", fields.len(), out, |i, out| {
                let field = field_of(RowRef::new(row), &layout, i);
                write_value(field, &fields[i].ty.data, out);
            });
        }
    }
}

fn write_list(
    brackets: &[u8; 2],
    count: usize,
    out: &mut Vec<u8>,
    mut item: impl FnMut(usize, &mut Vec<u8>),
) {
    out.push(brackets[0]);
    for i in 0..count {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        item(i, out);
    }
    out.push(brackets[1]);
}

/// A column of a row as an argument.
pub fn field_of<'a>(row: RowRef<'a>, layout: &RowLayout, index: usize) -> HostArg<'a> {
    let column = layout.column(index);
    if row.is_null(column) {
        return HostArg::Null;
    }
    match column.slot {
        Slot::Word => HostArg::Word(row.word(column)),
        Slot::Wide => HostArg::Wide(row.wide(column)),
        Slot::Var if layout.types()[index].data.is_container() => {
            HostArg::Container(row.container(column))
        }
        Slot::Var => HostArg::Bytes(row.var(column)),
    }
}

/// Prints an owned value of this type.
pub fn format_value(value: &Value, ty: &DataType) -> String {
    let layout = std::sync::Arc::new(RowLayout::new(vec![Type::nullable(ty.clone())]));
    let mut row = flow_ir::row::BatchBuilder::new(layout.clone());
    row.begin();
    flow_ir::row::push_value(&mut row, 0, value);
    row.finish(1);
    let batch = row.take();
    let mut out = Vec::new();
    write_value(field_of(batch.row(0), &layout, 0), ty, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads a value of a type that is not a container.
///
/// # Errors
/// `BadCast` where the text has no meaning in the type, `Overflow` where it does not fit.
pub fn parse_value(text: &str, ty: &DataType) -> Result<Value, ErrorCode> {
    let bad = ErrorCode::BadCast;
    Ok(match ty {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Boolean(parse_bool(text).ok_or(bad)?),
        DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt => {
            let value = Value::Int(parse_i64(text)?);
            if !flow_ir::scalar::value_fits(&value, ty) {
                return Err(ErrorCode::Overflow);
            }
            value
        }
        DataType::Real => Value::Float(f64::from(parse_f64(text).ok_or(bad)? as f32)),
        DataType::Double => Value::Float(parse_f64(text).ok_or(bad)?),
        DataType::Decimal { precision, scale } => {
            let (precision, scale) = (u32::from(*precision), u32::from(*scale));
            Value::Decimal(parse_decimal(text, crate::decimal::Digits { precision, scale })?)
        }
        DataType::String => Value::String(text.to_string()),
        DataType::Bytes => Value::Bytes(text.as_bytes().to_vec()),
        DataType::Date => Value::Date(parse_date(text).ok_or(bad)?),
        DataType::Time { .. } => Value::Time(parse_time(text).ok_or(bad)?),
        DataType::Timestamp { .. } => Value::Timestamp(parse_timestamp(text).ok_or(bad)?),
        DataType::TimestampLtz { .. } => Value::TimestampLtz(parse_timestamp(text).ok_or(bad)?),
        DataType::Interval => {
            let (months, micros) = parse_interval(text).ok_or(bad)?;
            Value::Interval { months, micros }
        }
        DataType::Uuid => Value::Uuid(parse_uuid(text).ok_or(bad)?),
        DataType::Json => {
            let valid = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            if !valid {
                return Err(bad);
            }
            Value::Json(text.to_string())
        }
        DataType::Array(_) | DataType::Map(..) | DataType::Row(_) => return Err(bad),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let decimal = DataType::Decimal { precision: 20, scale: 3 };
        for (value, ty, text) in [
            (Value::Boolean(true), DataType::Boolean, "TRUE"),
            (Value::Int(-7), DataType::TinyInt, "-7"),
            (Value::Float(0.1), DataType::Double, "0.1"),
            (Value::Float(1.0), DataType::Double, "1.0"),
            (Value::Float(1e300), DataType::Double, "1e300"),
            (Value::Float(f64::NEG_INFINITY), DataType::Double, "-Infinity"),
            (Value::Float(f64::from(0.1f32)), DataType::Real, "0.1"),
            (Value::Decimal(-5), decimal, "-0.005"),
            (Value::Date(-1), DataType::Date, "1969-12-31"),
            (Value::Time(1), DataType::Time { precision: 6 }, "00:00:00.000001"),
            (
                Value::Timestamp(1_500_000),
                DataType::Timestamp { precision: 3 },
                "1970-01-01 00:00:01.5",
            ),
            (
                Value::TimestampLtz(-1),
                DataType::TimestampLtz { precision: 6 },
                "1969-12-31 23:59:59.999999Z",
            ),
            (
                Value::Interval { months: 14, micros: -1 },
                DataType::Interval,
                "1 year 2 months -00:00:00.000001",
            ),
            (Value::Uuid(1), DataType::Uuid, "00000000-0000-0000-0000-000000000001"),
            (Value::Json("[1]".into()), DataType::Json, "[1]"),
        ] {
            assert_eq!(format_value(&value, &ty), text);
            assert_eq!(parse_value(text, &ty), Ok(value));
        }
    }

    #[test]
    fn containers_print() {
        let item = Type::nullable(DataType::Int);
        let array = Value::Array(vec![Value::Int(1), Value::Null]);
        assert_eq!(format_value(&array, &DataType::Array(Box::new(item.clone()))), "[1, NULL]");
        let map = Value::Map(vec![(Value::String("a".into()), Value::Int(1))]);
        let key = Type::not_null(DataType::String);
        assert_eq!(format_value(&map, &DataType::Map(Box::new(key), Box::new(item))), "{a=1}");
        assert_eq!(format_value(&Value::Null, &DataType::Int), "NULL");
    }

    #[test]
    fn nonsense_is_refused() {
        for ty in [DataType::Boolean, DataType::Int, DataType::Date, DataType::Uuid, DataType::Json]
        {
            assert_eq!(parse_value("x", &ty), Err(ErrorCode::BadCast), "{ty}");
            assert_eq!(parse_value("", &ty), Err(ErrorCode::BadCast), "{ty}");
        }
        assert_eq!(parse_value("300", &DataType::TinyInt), Err(ErrorCode::Overflow));
    }
}

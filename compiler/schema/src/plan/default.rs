//! Defaults: the JSON value in a schema that stands in for a field which is not there.

use apache_avro::Schema;
use apache_avro::schema::InnerDecimalSchema;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use serde_json::Value as Json;

use super::avro_read::scalar;
use crate::avro::{Names, branch_name, branches};

/// The value of a field's default as a value of this type; `None` if it is not one. A union's
/// default may be of any branch. Bytes are written as text, a character a byte.
pub(super) fn default_value<'a>(
    json: &Json,
    schema: &'a Schema,
    names: &Names<'a>,
    ty: &Type,
) -> Option<Value> {
    if json.is_null() {
        return ty.nullable.then_some(Value::Null);
    }
    let schema = names.resolve(schema);
    match (schema, &ty.data) {
        (Schema::Union(union), DataType::Row(fields)) if branches(union).len() > 1 => {
            branches(union).into_iter().find_map(|(_, branch)| {
                let at = fields.iter().position(|f| f.name == branch_name(branch))?;
                let value = default_value(json, branch, names, &fields[at].ty)?;
                let mut row = vec![Value::Null; fields.len()];
                row[at] = value;
                Some(Value::Row(row))
            })
        }
        (Schema::Union(union), _) => branches(union)
            .into_iter()
            .find_map(|(_, branch)| default_value(json, branch, names, ty)),
        (Schema::Array(array), DataType::Array(item)) => {
            let items = json.as_array()?.iter();
            let items = items.map(|json| default_value(json, &array.items, names, item));
            items.collect::<Option<_>>().map(Value::Array)
        }
        (Schema::Map(map), DataType::Map(_, value)) => {
            let entries = json.as_object()?.iter().map(|(key, json)| {
                let value = default_value(json, &map.types, names, value)?;
                Some((Value::String(key.clone()), value))
            });
            entries.collect::<Option<_>>().map(Value::Map)
        }
        (Schema::Record(record), DataType::Row(fields)) => {
            let value = |f: &Field| {
                let field = record.fields.iter().find(|inner| inner.name == f.name)?;
                let json = json.get(&f.name).or(field.default.as_ref())?;
                default_value(json, &field.schema, names, &f.ty)
            };
            fields.iter().map(value).collect::<Option<_>>().map(Value::Row)
        }
        _ => {
            scalar(schema, None, &ty.data)?;
            scalar_value(json, schema, &ty.data)
        }
    }
}

fn scalar_value(json: &Json, schema: &Schema, ty: &DataType) -> Option<Value> {
    let time = |unit_per_micro: i64, micros_per_unit: i64| {
        Some(json.as_i64()?.checked_mul(micros_per_unit)?.div_euclid(unit_per_micro))
    };
    let micros = match schema {
        Schema::TimeMillis | Schema::TimestampMillis | Schema::LocalTimestampMillis => {
            time(1, 1_000)
        }
        Schema::TimestampNanos | Schema::LocalTimestampNanos => time(1_000, 1),
        _ => time(1, 1),
    };
    Some(match ty {
        DataType::Boolean => Value::Boolean(json.as_bool()?),
        DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt => {
            let value = json.as_i64()?;
            let bits = ty.integer_bits()?;
            let shift = 64 - bits;
            ((value << shift) >> shift == value).then_some(Value::Int(value))?
        }
        DataType::Real => Value::Float(f64::from(json.as_f64()? as f32)),
        DataType::Double => Value::Float(json.as_f64()?),
        DataType::String => Value::String(json.as_str()?.to_string()),
        DataType::Json => Value::Json(json.as_str()?.to_string()),
        DataType::Bytes => Value::Bytes(bytes(json)?),
        DataType::Date => Value::Date(i32::try_from(json.as_i64()?).ok()?),
        DataType::Time { .. } => Value::Time(micros?),
        DataType::Timestamp { .. } => Value::Timestamp(micros?),
        DataType::TimestampLtz { .. } => Value::TimestampLtz(micros?),
        DataType::Decimal { precision, scale } => {
            let (unscaled, from) = match schema {
                Schema::Decimal(decimal) => (big_endian(&bytes(json)?)?, decimal.scale),
                _ => (i128::from(json.as_i64()?), 0),
            };
            let up = u32::try_from(usize::from(*scale).checked_sub(from)?).ok()?;
            let value = unscaled.checked_mul(10i128.checked_pow(up)?)?;
            let fits = value.unsigned_abs() < 10u128.checked_pow(u32::from(*precision))?;
            fits.then_some(Value::Decimal(value))?
        }
        DataType::Uuid
        | DataType::Interval
        | DataType::Null
        | DataType::Array(_)
        | DataType::Map(_, _)
        | DataType::Row(_) => return None,
    })
}

/// The bytes of a bytes or fixed default: code points 0 to 255.
fn bytes(json: &Json) -> Option<Vec<u8>> {
    json.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// A two's-complement big-endian integer of at most 16 bytes.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let (&first, rest) = bytes.split_first()?;
    (bytes.len() <= 16)
        .then(|| rest.iter().fold(i128::from(first as i8), |sum, &b| (sum << 8) | i128::from(b)))
}

/// Data of one default at most: a record's default may lean on its fields' defaults, and those on
/// the record's own.
const DEFAULT_DATA_MAX: usize = 1_000;

/// The Avro bytes of a default, for a field that no column is written to. Arrays and maps only
/// when empty; `None` for what is not supported.
pub(super) fn default_bytes<'a>(
    json: &Json,
    schema: &'a Schema,
    names: &Names<'a>,
) -> Option<Vec<u8>> {
    bytes_of(json, schema, names, &mut 0)
}

fn bytes_of<'a>(
    json: &Json,
    schema: &'a Schema,
    names: &Names<'a>,
    made: &mut usize,
) -> Option<Vec<u8>> {
    *made += 1;
    if *made > DEFAULT_DATA_MAX {
        return None;
    }
    let mut out = Vec::new();
    let schema = names.resolve(schema);
    match schema {
        Schema::Null => json.is_null().then_some(())?,
        Schema::Boolean => out.push(u8::from(json.as_bool()?)),
        Schema::Int | Schema::Date | Schema::TimeMillis => {
            varint(i64::from(i32::try_from(json.as_i64()?).ok()?), &mut out);
        }
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => varint(json.as_i64()?, &mut out),
        Schema::Float => out.extend_from_slice(&(json.as_f64()? as f32).to_le_bytes()),
        Schema::Double => out.extend_from_slice(&json.as_f64()?.to_le_bytes()),
        Schema::String | Schema::Uuid(apache_avro::schema::UuidSchema::String) => {
            lengthed(json.as_str()?.as_bytes(), &mut out);
        }
        Schema::Bytes | Schema::BigDecimal => lengthed(&bytes(json)?, &mut out),
        Schema::Decimal(decimal) => match &decimal.inner {
            InnerDecimalSchema::Bytes => lengthed(&bytes(json)?, &mut out),
            InnerDecimalSchema::Fixed(fixed) => out = fixed_bytes(json, fixed.size)?,
        },
        Schema::Fixed(fixed) | Schema::Duration(fixed) => out = fixed_bytes(json, fixed.size)?,
        Schema::Enum(schema) => {
            let at = schema.symbols.iter().position(|s| Some(s.as_str()) == json.as_str())?;
            varint(at as i64, &mut out);
        }
        Schema::Array(_) => json.as_array()?.is_empty().then(|| out.push(0))?,
        Schema::Map(_) => json.as_object()?.is_empty().then(|| out.push(0))?,
        Schema::Record(record) => {
            for field in &record.fields {
                let json = json.get(&field.name).or(field.default.as_ref())?;
                out.extend(bytes_of(json, &field.schema, names, made)?);
            }
        }
        Schema::Union(union) => {
            let branch = |(at, branch)| Some((at, bytes_of(json, branch, names, made)?));
            let (at, bytes) = union.variants().iter().enumerate().find_map(branch)?;
            varint(at as i64, &mut out);
            out.extend(bytes);
        }
        Schema::Uuid(_) | Schema::Ref { .. } => return None,
    }
    Some(out)
}

fn fixed_bytes(json: &Json, size: usize) -> Option<Vec<u8>> {
    bytes(json).filter(|bytes| bytes.len() == size)
}

fn lengthed(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// Avro's zig-zag variable-length integer.
pub(super) fn varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

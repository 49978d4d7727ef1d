//! Random values of a schema as apache-avro has them, and what each is as a Flow value.

use std::collections::HashMap;

use apache_avro::schema::{InnerDecimalSchema, NamesRef};
use apache_avro::types::Value as Avro;
use apache_avro::{Days, Decimal, Duration, Millis, Months, Schema, Uuid};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use crate::source::Source;
use crate::values::value_of;

/// Levels to which records that hold themselves are made.
const DEPTH_MAX: usize = 6;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Days whose microseconds have 63 bits.
const DAYS_MAX: u32 = 106_000_000;

/// Makes values of schemas.
pub(super) struct Values<'s, 'a, 'n> {
    pub(super) s: &'s mut Source<'a>,
    pub(super) names: &'n NamesRef<'n>,
}

impl Values<'_, '_, '_> {
    /// A value that apache-avro writes and a plan reads.
    pub(super) fn of(&mut self, schema: &Schema, depth: usize) -> Avro {
        match schema {
            Schema::Ref { name } => {
                let named = self.names[name];
                self.of(named, depth)
            }
            Schema::Array(array) => {
                let empty = takes_no_bytes(&array.items, self.names);
                // There are to be no more items than bytes; the array's end is one.
                let count = self.length(depth).min(if empty { 1 } else { usize::MAX });
                Avro::Array((0..count).map(|_| self.of(&array.items, depth + 1)).collect())
            }
            Schema::Map(map) => {
                let count = self.length(depth);
                let entries = (0..count).map(|_| (self.text(), self.of(&map.types, depth + 1)));
                Avro::Map(entries.collect::<HashMap<_, _>>())
            }
            Schema::Union(union) => {
                let null = union.variants().iter().position(|v| matches!(v, Schema::Null));
                let branch = match null {
                    Some(null) if depth >= DEPTH_MAX => null,
                    _ => self.s.below(union.variants().len()),
                };
                let value = self.of(&union.variants()[branch], depth + 1);
                Avro::Union(branch as u32, Box::new(value))
            }
            Schema::Record(record) => {
                let fields = record.fields.iter();
                let field = |f: &apache_avro::schema::RecordField| {
                    (f.name.clone(), self.of(&f.schema, depth + 1))
                };
                Avro::Record(fields.map(field).collect())
            }
            scalar => self.scalar(scalar),
        }
    }

    fn length(&mut self, depth: usize) -> usize {
        match self.s.below(16) {
            _ if depth >= DEPTH_MAX => 0,
            15 => 64 + self.s.below(6),
            other => other % 4,
        }
    }

    fn scalar(&mut self, schema: &Schema) -> Avro {
        let near = |s: &mut Source<'_>| s.short_word() / 1_000_000;
        let s = &mut *self.s;
        match schema {
            Schema::Null => Avro::Null,
            Schema::Boolean => Avro::Boolean(s.below(2) == 1),
            Schema::Int => Avro::Int(int(s, &DataType::Int) as i32),
            Schema::Long => Avro::Long(int(s, &DataType::BigInt)),
            Schema::Float => Avro::Float(float(s, &DataType::Real) as f32),
            Schema::Double => Avro::Double(float(s, &DataType::Double)),
            Schema::Bytes => Avro::Bytes(bytes(s)),
            Schema::String => Avro::String(self.text()),
            Schema::Enum(schema) => {
                let symbol = s.below(schema.symbols.len());
                Avro::Enum(symbol as u32, schema.symbols[symbol].clone())
            }
            Schema::Fixed(fixed) => {
                Avro::Fixed(fixed.size, (0..fixed.size).map(|_| s.below(256) as u8).collect())
            }
            Schema::Decimal(decimal) => {
                let ty = DataType::Decimal { precision: decimal.precision as u8, scale: 0 };
                let Value::Decimal(value) = value_of(s, &ty) else { return Avro::Null };
                let size = match &decimal.inner {
                    InnerDecimalSchema::Bytes => 16,
                    InnerDecimalSchema::Fixed(fixed) => fixed.size,
                };
                Avro::Decimal(Decimal::from(big_endian(value, size)))
            }
            Schema::Uuid(_) => {
                let bits = u128::from(s.word()) << 64 | u128::from(s.word());
                Avro::Uuid(Uuid::from_u128(bits))
            }
            Schema::Date => Avro::Date(int(s, &DataType::Int) as i32),
            Schema::TimeMillis => Avro::TimeMillis(s.below(86_400_000) as i32),
            Schema::TimeMicros => Avro::TimeMicros(s.below(DAY as usize) as i64),
            Schema::TimestampMillis => Avro::TimestampMillis(near(s)),
            Schema::TimestampMicros => Avro::TimestampMicros(int(s, &DataType::BigInt)),
            Schema::TimestampNanos => Avro::TimestampNanos(int(s, &DataType::BigInt)),
            Schema::LocalTimestampMillis => Avro::LocalTimestampMillis(near(s)),
            Schema::LocalTimestampMicros => Avro::LocalTimestampMicros(int(s, &DataType::BigInt)),
            Schema::LocalTimestampNanos => Avro::LocalTimestampNanos(int(s, &DataType::BigInt)),
            Schema::Duration(_) => Avro::Duration(Duration::new(
                Months::new(s.word() as u32),
                Days::new(s.word() as u32 % DAYS_MAX),
                Millis::new(s.word() as u32),
            )),
            other => panic!("not generated: {other:?}"),
        }
    }

    fn text(&mut self) -> String {
        match value_of(self.s, &DataType::String) {
            Value::String(text) => text,
            _ => String::new(),
        }
    }
}

/// Whether data of a schema are no bytes.
fn takes_no_bytes(schema: &Schema, names: &NamesRef<'_>) -> bool {
    match resolved(schema, names) {
        Schema::Null => true,
        Schema::Fixed(fixed) => fixed.size == 0,
        Schema::Record(record) => record.fields.iter().all(|f| takes_no_bytes(&f.schema, names)),
        _ => false,
    }
}

fn int(s: &mut Source<'_>, ty: &DataType) -> i64 {
    match value_of(s, ty) {
        Value::Int(value) => value,
        _ => 0,
    }
}

fn float(s: &mut Source<'_>, ty: &DataType) -> f64 {
    match value_of(s, ty) {
        Value::Float(value) => value,
        _ => 0.0,
    }
}

fn bytes(s: &mut Source<'_>) -> Vec<u8> {
    match value_of(s, &DataType::Bytes) {
        Value::Bytes(bytes) => bytes,
        _ => Vec::new(),
    }
}

/// An integer in so many bytes.
fn big_endian(value: i128, size: usize) -> Vec<u8> {
    let sign = if value < 0 { 0xff } else { 0 };
    let bytes = value.to_be_bytes();
    let mut out = vec![sign; size.saturating_sub(bytes.len())];
    out.extend_from_slice(&bytes[bytes.len().saturating_sub(size)..]);
    out
}

/// What a datum that apache-avro read is as a Flow value of a type. The type tells which of a
/// union's branches are fields, and says nothing else that the schema does not.
pub(super) fn expected(value: &Avro, schema: &Schema, names: &NamesRef<'_>, ty: &Type) -> Value {
    let schema = resolved(schema, names);
    match (value, schema, &ty.data) {
        (Avro::Union(branch, inner), Schema::Union(union), _) => {
            let variants = union.variants();
            let inside = &variants[*branch as usize];
            let others = || variants.iter().filter(|v| !matches!(v, Schema::Null));
            let number = others().position(|v| std::ptr::eq(v, inside));
            match (number, &ty.data) {
                (None, _) => Value::Null,
                (Some(number), DataType::Row(fields)) if others().count() > 1 => {
                    let mut row = vec![Value::Null; fields.len()];
                    row[number] = expected(inner, inside, names, &fields[number].ty);
                    Value::Row(row)
                }
                (Some(_), _) => expected(inner, inside, names, ty),
            }
        }
        (Avro::Array(items), Schema::Array(array), DataType::Array(item)) => {
            Value::Array(items.iter().map(|v| expected(v, &array.items, names, item)).collect())
        }
        (Avro::Map(entries), Schema::Map(map), DataType::Map(_, item)) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_bytes());
            let entry = |(k, v): (&String, &Avro)| {
                (Value::String(k.clone()), expected(v, &map.types, names, item))
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
        (Avro::Record(values), Schema::Record(record), DataType::Row(fields)) => {
            let fields = values.iter().zip(&record.fields).zip(fields.iter());
            Value::Row(fields.map(|((v, f), t)| expected(&v.1, &f.schema, names, &t.ty)).collect())
        }
        (scalar, _, _) => expected_scalar(scalar),
    }
}

/// The schema itself or what it refers to.
pub(super) fn resolved<'n>(schema: &'n Schema, names: &NamesRef<'n>) -> &'n Schema {
    match schema {
        Schema::Ref { name } => names[name],
        other => other,
    }
}

/// Whether a union of several branches beside null is in a schema, which does not hold itself.
pub(super) fn has_branches(schema: &Schema, names: &NamesRef<'_>) -> bool {
    match resolved(schema, names) {
        Schema::Union(union) => {
            let others = union.variants().iter().filter(|v| !matches!(v, Schema::Null));
            others.clone().count() > 1 || others.into_iter().any(|v| has_branches(v, names))
        }
        Schema::Array(array) => has_branches(&array.items, names),
        Schema::Map(map) => has_branches(&map.types, names),
        Schema::Record(record) => record.fields.iter().any(|f| has_branches(&f.schema, names)),
        _ => false,
    }
}

fn expected_scalar(value: &Avro) -> Value {
    let millis = |v: i64| v.wrapping_mul(1_000);
    match value {
        Avro::Null => Value::Null,
        Avro::Boolean(v) => Value::Boolean(*v),
        Avro::Int(v) => Value::Int(i64::from(*v)),
        Avro::Long(v) => Value::Int(*v),
        Avro::Float(v) => Value::Float(f64::from(*v)),
        Avro::Double(v) => Value::Float(*v),
        Avro::Bytes(v) | Avro::Fixed(_, v) => Value::Bytes(v.clone()),
        Avro::String(v) | Avro::Enum(_, v) => Value::String(v.clone()),
        Avro::Uuid(v) => Value::Uuid(v.as_u128()),
        Avro::Date(v) => Value::Date(*v),
        Avro::TimeMillis(v) => Value::Time(millis(i64::from(*v))),
        Avro::TimeMicros(v) => Value::Time(*v),
        Avro::TimestampMillis(v) => Value::TimestampLtz(millis(*v)),
        Avro::TimestampMicros(v) => Value::TimestampLtz(*v),
        Avro::TimestampNanos(v) => Value::TimestampLtz(v.div_euclid(1_000)),
        Avro::LocalTimestampMillis(v) => Value::Timestamp(millis(*v)),
        Avro::LocalTimestampMicros(v) => Value::Timestamp(*v),
        Avro::LocalTimestampNanos(v) => Value::Timestamp(v.div_euclid(1_000)),
        Avro::Duration(v) => Value::Interval {
            months: i64::from(u32::from(v.months())),
            micros: i64::from(u32::from(v.days())) * DAY + millis(i64::from(u32::from(v.millis()))),
        },
        Avro::Decimal(v) => {
            // A decimal of no bytes, which apache-avro reads as 0, it does not write.
            let bytes = Vec::<u8>::try_from(v).unwrap_or_default();
            let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
            let start = if negative { -1 } else { 0 };
            Value::Decimal(bytes.iter().fold(start, |sum, b| sum << 8 | i128::from(*b)))
        }
        other => panic!("not generated: {other:?}"),
    }
}

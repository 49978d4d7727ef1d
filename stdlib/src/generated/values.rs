//! Values of generated columns: what their options say, and how a row's are made, as Avro data of
//! the schema that is derived from the columns.

use flow_ir::connector::parse_duration;
use flow_ir::types::{DataType, Type};

use super::avro::{put_bytes, put_decimal, put_long};
use super::random::Random;
use super::{BadOption, Options};
use crate::decimal::Digits;
use crate::text::parse_decimal;

/// Length of texts and containers where the options do not say, and of all of a value at most.
const LENGTH: u64 = 100;
const LENGTH_MAX: u64 = 1 << 20;

const DAY_MICROS: i64 = 86_400_000_000;

/// The row that a value is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) number: u64,
    /// When it happens, microseconds since 1970.
    pub(super) micros: i64,
}

/// What makes the values of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Maker {
    nullable: bool,
    null_rate: f64,
    values: Values,
}

#[derive(Clone, Debug, PartialEq)]
enum Values {
    /// From here on, one more a row.
    Sequence(i64, Form),
    Boolean,
    Integer(i64, i64),
    Float {
        min: f64,
        max: f64,
        form: Form,
    },
    /// Digits without the point.
    Decimal(i128, i128),
    Text(Length, Form),
    Date,
    Time {
        is_millis: bool,
    },
    Timestamp {
        is_millis: bool,
        max_past: i64,
    },
    Uuid,
    Interval,
    Array(Length, Box<Maker>),
    Map(Length, Box<Maker>),
    Row(Vec<Maker>),
}

/// How a number or text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Long,
    Text,
    Json,
    Bytes,
    Real,
    Double,
    Decimal { scale: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Length {
    most: u64,
    varies: bool,
}

impl Length {
    fn draw(self, random: &mut Random) -> u64 {
        if self.varies { 1 + random.below(self.most.max(1)) } else { self.most }
    }
}

/// What makes a field's values, and how many there are of a sequence. `known` takes the names of
/// the options that the field has.
pub(super) fn of_field(
    prefix: &str,
    ty: &Type,
    options: &Options<'_>,
    known: &mut Vec<String>,
) -> Result<(Maker, Option<u64>), BadOption> {
    let mut field = FieldOptions { prefix, options, known };
    let kind = field.read("kind", "'random' or 'sequence'", |text| match text {
        "random" => Some(false),
        "sequence" => Some(true),
        _ => None,
    })?;
    if kind == Some(true) {
        let (values, count) = field.sequence(&ty.data)?;
        return Ok((Maker { nullable: ty.nullable, null_rate: 0.0, values }, Some(count)));
    }
    let maker = field.random(ty)?;
    let size = maker.size();
    if size > LENGTH_MAX {
        let takes = format!("a length that makes values of at most {LENGTH_MAX} bytes");
        return Err(BadOption { name: format!("{prefix}.length"), takes });
    }
    Ok((maker, None))
}

/// What makes the values of a part of a field, of which there are no sequences.
fn of_part(
    prefix: &str,
    ty: &Type,
    options: &Options<'_>,
    known: &mut Vec<String>,
) -> Result<Maker, BadOption> {
    let mut field = FieldOptions { prefix, options, known };
    field.read("kind", "'random'", |text| (text == "random").then_some(()))?;
    field.random(ty)
}

/// The options of one field.
struct FieldOptions<'a, 'o> {
    prefix: &'a str,
    options: &'a Options<'o>,
    known: &'a mut Vec<String>,
}

impl FieldOptions<'_, '_> {
    fn read<T>(
        &mut self,
        name: &str,
        takes: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, BadOption> {
        let name = format!("{}.{name}", self.prefix);
        let value = self.options.read(&name, takes, read);
        self.known.push(name);
        value
    }

    fn nested(&mut self, name: &str) -> (String, &Options<'_>, &mut Vec<String>) {
        (format!("{}.{name}", self.prefix), self.options, self.known)
    }

    fn sequence(&mut self, ty: &DataType) -> Result<(Values, u64), BadOption> {
        let form = match ty {
            DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt => Form::Long,
            DataType::Real => Form::Real,
            DataType::Double => Form::Double,
            DataType::Decimal { scale, .. } => Form::Decimal { scale: u32::from(*scale) },
            DataType::String => Form::Text,
            DataType::Null
            | DataType::Boolean
            | DataType::Bytes
            | DataType::Json
            | DataType::Uuid
            | DataType::Date
            | DataType::Time { .. }
            | DataType::Timestamp { .. }
            | DataType::TimestampLtz { .. }
            | DataType::Interval
            | DataType::Array(_)
            | DataType::Map(_, _)
            | DataType::Row(_) => {
                let takes = format!("'random': there is no sequence of {ty}");
                return Err(BadOption { name: format!("{}.kind", self.prefix), takes });
            }
        };
        let most = match ty {
            DataType::Decimal { precision, scale } => {
                10i128.pow(u32::from(precision - scale)).min(1 << 62) as i64 - 1
            }
            ty => integer_range(ty).map_or(i64::MAX, |(_, max)| max),
        };
        let takes = format!("a whole number from {} to {most}", -most);
        let whole = |text: &str| text.parse().ok().filter(|n| (-most..=most).contains(n));
        let start: Option<i64> = self.read("start", &takes, whole)?;
        let end: Option<i64> = self.read("end", &takes, whole)?;
        let missing = |name: &str| {
            let takes = format!("a whole number from {} to {most}.", -most);
            BadOption { name: format!("{}.{name}", self.prefix), takes }
        };
        let start = start.ok_or_else(|| missing("start"))?;
        let end = end.ok_or_else(|| missing("end"))?;
        let count = i128::from(end) - i128::from(start) + 1;
        Ok((Values::Sequence(start, form), count.clamp(0, i64::MAX.into()) as u64))
    }

    fn random(&mut self, ty: &Type) -> Result<Maker, BadOption> {
        let rate = |text: &str| text.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
        let null_rate = self.read("null-rate", "a number from 0 to 1", rate)?.unwrap_or(0.0);
        if null_rate > 0.0 && !ty.nullable {
            let takes = "0: the column is NOT NULL".to_string();
            return Err(BadOption { name: format!("{}.null-rate", self.prefix), takes });
        }
        Ok(Maker { nullable: ty.nullable, null_rate, values: self.values(&ty.data)? })
    }

    fn values(&mut self, ty: &DataType) -> Result<Values, BadOption> {
        Ok(match ty {
            DataType::Boolean => Values::Boolean,
            DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt => {
                let (min, max) = integer_range(ty).unwrap_or((i64::MIN, i64::MAX));
                let takes = format!("a whole number from {min} to {max}");
                let whole = |text: &str| text.parse().ok().filter(|n| (min..=max).contains(n));
                let low = self.read("min", &takes, whole)?.unwrap_or(min);
                let high = self.read("max", &takes, whole)?.unwrap_or(max);
                Values::Integer(low, self.ordered(low, high)?)
            }
            DataType::Real => self.float(f64::from(f32::MAX), Form::Real)?,
            DataType::Double => self.float(f64::MAX, Form::Double)?,
            DataType::Decimal { precision, scale } => {
                let digits = Digits { precision: u32::from(*precision), scale: u32::from(*scale) };
                let takes = format!("a {ty}");
                let read = |text: &str| parse_decimal(text, digits).ok();
                let most = 10i128.pow(digits.precision) - 1;
                let low = self.read("min", &takes, read)?.unwrap_or(0);
                let high = self.read("max", &takes, read)?.unwrap_or(most);
                Values::Decimal(low, self.ordered(low, high)?)
            }
            DataType::String => Values::Text(self.length()?, Form::Text),
            DataType::Json => Values::Text(self.length()?, Form::Json),
            DataType::Bytes => Values::Text(self.length()?, Form::Bytes),
            DataType::Date => Values::Date,
            DataType::Time { precision } => Values::Time { is_millis: *precision <= 3 },
            DataType::Timestamp { precision } | DataType::TimestampLtz { precision } => {
                let past = self.read("max-past", "a time such as '5 s'", parse_duration)?;
                Values::Timestamp { is_millis: *precision <= 3, max_past: past.unwrap_or(0) }
            }
            DataType::Uuid => Values::Uuid,
            DataType::Interval | DataType::Null => Values::Interval,
            DataType::Array(item) => {
                let length = self.length()?;
                let (prefix, options, known) = self.nested("element");
                Values::Array(length, Box::new(of_part(&prefix, item, options, known)?))
            }
            DataType::Map(_, value) => {
                let length = self.length()?;
                let (prefix, options, known) = self.nested("value");
                Values::Map(length, Box::new(of_part(&prefix, value, options, known)?))
            }
            DataType::Row(fields) => {
                let mut makers = Vec::with_capacity(fields.len());
                for field in fields.iter() {
                    let (prefix, options, known) = self.nested(&field.name);
                    makers.push(of_part(&prefix, &field.ty, options, known)?);
                }
                Values::Row(makers)
            }
        })
    }

    fn float(&mut self, most: f64, form: Form) -> Result<Values, BadOption> {
        let takes = format!("a number from {:e} to {most:e}", -most);
        let read = |text: &str| text.parse().ok().filter(|n| (-most..=most).contains(n));
        let min = self.read("min", &takes, read)?.unwrap_or(0.0);
        let max = self.read("max", &takes, read)?.unwrap_or(most);
        Ok(Values::Float { min, max: self.ordered(min, max)?, form })
    }

    /// The upper bound, if it is not below the lower one.
    fn ordered<T: PartialOrd>(&self, min: T, max: T) -> Result<T, BadOption> {
        if min <= max {
            return Ok(max);
        }
        let takes = "a number that is not below '.min'".to_string();
        Err(BadOption { name: format!("{}.max", self.prefix), takes })
    }

    fn length(&mut self) -> Result<Length, BadOption> {
        let takes = format!("a whole number up to {LENGTH_MAX}");
        let read = |text: &str| text.parse().ok().filter(|n| *n <= LENGTH_MAX);
        let most = self.read("length", &takes, read)?.unwrap_or(LENGTH);
        let flag = |text: &str| text.parse::<bool>().ok();
        let varies = self.read("var-len", "'true' or 'false'", flag)?.unwrap_or(false);
        Ok(Length { most, varies })
    }
}

/// The least and the greatest of an integer type.
fn integer_range(ty: &DataType) -> Option<(i64, i64)> {
    let bits = ty.integer_bits()?;
    Some((i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)))
}

impl Maker {
    /// Bytes of a value at most, about.
    fn size(&self) -> u64 {
        match &self.values {
            Values::Text(length, _) => 2 + length.most,
            Values::Array(length, item) => length.most.saturating_mul(item.size()),
            Values::Map(length, value) => length.most.saturating_mul(24 + value.size()),
            Values::Row(fields) => fields.iter().map(Maker::size).sum(),
            Values::Sequence(..)
            | Values::Boolean
            | Values::Integer(..)
            | Values::Float { .. }
            | Values::Decimal(..)
            | Values::Date
            | Values::Time { .. }
            | Values::Timestamp { .. }
            | Values::Uuid
            | Values::Interval => 16,
        }
    }

    /// Appends a row's value.
    pub(super) fn put(&self, at: Moment, random: &mut Random, out: &mut Vec<u8>) {
        if self.nullable {
            let is_null = self.null_rate > 0.0 && random.unit() < self.null_rate;
            put_long(i64::from(!is_null), out);
            if is_null {
                return;
            }
        }
        match &self.values {
            Values::Sequence(start, form) => {
                put_number(start.saturating_add(at.number as i64), *form, out);
            }
            Values::Boolean => out.push((random.word() >> 63) as u8),
            Values::Integer(min, max) => put_long(random.between(*min, *max), out),
            Values::Float { min, max, form } => {
                put_float(min + random.unit() * (max - min), *form, out);
            }
            Values::Decimal(min, max) => {
                let span = max.wrapping_sub(*min) as u128;
                let word = u128::from(random.word()) << 64 | u128::from(random.word());
                let within = if span == u128::MAX { word } else { word % (span + 1) };
                put_decimal(min.wrapping_add(within as i128), out);
            }
            Values::Text(length, form) => put_text(length.draw(random), *form, random, out),
            Values::Date => put_long(at.micros.div_euclid(DAY_MICROS), out),
            Values::Time { is_millis } => {
                let micros = at.micros.rem_euclid(DAY_MICROS);
                put_long(if *is_millis { micros / 1_000 } else { micros }, out);
            }
            Values::Timestamp { is_millis, max_past } => {
                let micros = at.micros.saturating_sub(random.between(0, (*max_past).max(0)));
                put_long(if *is_millis { micros.div_euclid(1_000) } else { micros }, out);
            }
            Values::Uuid => put_uuid(random, out),
            Values::Interval => {
                for unit in [0, random.below(31) as u32, random.below(86_400_000) as u32] {
                    out.extend_from_slice(&unit.to_le_bytes());
                }
            }
            Values::Array(length, item) => {
                put_items(length.draw(random), out, |out| item.put(at, random, out));
            }
            Values::Map(length, value) => put_items(length.draw(random), out, |out| {
                put_text(16, Form::Text, random, out);
                value.put(at, random, out);
            }),
            Values::Row(fields) => fields.iter().for_each(|field| field.put(at, random, out)),
        }
    }
}

/// A block of items and the end of blocks.
fn put_items(count: u64, out: &mut Vec<u8>, mut item: impl FnMut(&mut Vec<u8>)) {
    if count > 0 {
        put_long(count as i64, out);
        (0..count).for_each(|_| item(out));
    }
    put_long(0, out);
}

fn put_number(value: i64, form: Form, out: &mut Vec<u8>) {
    match form {
        Form::Long => put_long(value, out),
        Form::Real | Form::Double => put_float(value as f64, form, out),
        Form::Decimal { scale } => put_decimal(i128::from(value) * 10i128.pow(scale), out),
        Form::Text | Form::Json | Form::Bytes => put_bytes(value.to_string().as_bytes(), out),
    }
}

fn put_float(value: f64, form: Form, out: &mut Vec<u8>) {
    match form {
        Form::Real => out.extend_from_slice(&(value as f32).to_le_bytes()),
        _ => out.extend_from_slice(&value.to_le_bytes()),
    }
}

/// Hexadecimal digits, or any bytes.
fn put_text(length: u64, form: Form, random: &mut Random, out: &mut Vec<u8>) {
    let quote: &[u8] = if form == Form::Json { b"\"" } else { b"" };
    put_long(length as i64 + 2 * quote.len() as i64, out);
    out.extend_from_slice(quote);
    let mut word = 0;
    for i in 0..length {
        if i % 8 == 0 {
            word = random.word();
        }
        let byte = (word & 0xff) as u8;
        word >>= 8;
        out.push(if form == Form::Bytes {
            byte
        } else {
            b"0123456789abcdef"[usize::from(byte & 15)]
        });
    }
    out.extend_from_slice(quote);
}

fn put_uuid(random: &mut Random, out: &mut Vec<u8>) {
    let bytes = [random.word().to_be_bytes(), random.word().to_be_bytes()].concat();
    let bytes = <[u8; 16]>::try_from(bytes).unwrap_or_default();
    let text = uuid::Builder::from_random_bytes(bytes).into_uuid().to_string();
    put_bytes(text.as_bytes(), out);
}

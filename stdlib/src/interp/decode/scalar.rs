//! Reading Avro scalars: a wire form and a type, resolved once into one conversion.

use flow_ir::decode_plan::AvroScalar;
use flow_ir::types::{DataType, Slot};

use super::Bad;
use super::input::Input;
use super::json_scan::Scan;
use super::sink::Sink;
use crate::calendar::DAY;
use crate::decimal::{Digits, check, from_parts};
use crate::text::parse_uuid;

/// How a scalar's bytes become a value.
#[derive(Debug)]
pub(super) enum Scalar {
    Boolean,
    /// An int, range-checked to this many bits.
    Int(u32),
    Long,
    /// An int or a long as a float; REAL rounds.
    IntAsFloat {
        int: bool,
        real: bool,
    },
    IntAsDecimal {
        int: bool,
        to: Decimal,
    },
    Float,
    Double,
    Bytes,
    Text,
    /// Text that must be JSON.
    JsonText,
    Fixed(usize),
    Enum(Vec<String>),
    Decimal {
        size: Option<usize>,
        scale: i32,
        to: Decimal,
    },
    UuidText,
    UuidFixed,
    UuidBytes,
    /// Milliseconds of the day, as microseconds.
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampNanos,
    Duration,
}

/// The DECIMAL type that is read into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    pub(super) digits: Digits,
    pub(super) wide: bool,
}

impl Decimal {
    pub(super) fn new(ty: &DataType) -> Self {
        let digits = match ty {
            DataType::Decimal { precision, scale } => {
                Digits { precision: u32::from(*precision), scale: u32::from(*scale) }
            }
            _ => Digits { precision: 0, scale: 0 },
        };
        Self { digits, wide: ty.slot() == Slot::Wide }
    }

    pub(super) fn put<S: Sink>(self, value: i128, sink: &mut S) {
        if self.wide {
            sink.wide([value as u64, (value >> 64) as u64]);
        } else {
            sink.word(value as u64);
        }
    }
}

impl Scalar {
    /// The conversion; the plan was verified, so that each form has one for its type.
    pub(super) fn new(form: &AvroScalar, ty: &DataType) -> Self {
        let int = matches!(form, AvroScalar::Int);
        match form {
            AvroScalar::Boolean => Scalar::Boolean,
            AvroScalar::Int | AvroScalar::Long => match ty {
                DataType::Real | DataType::Double => {
                    Scalar::IntAsFloat { int, real: *ty == DataType::Real }
                }
                DataType::Decimal { .. } => Scalar::IntAsDecimal { int, to: Decimal::new(ty) },
                _ if int => Scalar::Int(ty.integer_bits().unwrap_or(64)),
                _ => Scalar::Long,
            },
            AvroScalar::Float => Scalar::Float,
            AvroScalar::Double => Scalar::Double,
            AvroScalar::Bytes => Scalar::Bytes,
            AvroScalar::String if *ty == DataType::Json => Scalar::JsonText,
            AvroScalar::String => Scalar::Text,
            AvroScalar::Fixed(size) => Scalar::Fixed(*size as usize),
            AvroScalar::Enum(symbols) => Scalar::Enum(symbols.clone()),
            AvroScalar::Decimal { size, scale } => Scalar::Decimal {
                size: size.map(|size| size as usize),
                scale: i32::from(*scale),
                to: Decimal::new(ty),
            },
            AvroScalar::UuidText => Scalar::UuidText,
            AvroScalar::UuidFixed => Scalar::UuidFixed,
            AvroScalar::UuidBytes => Scalar::UuidBytes,
            AvroScalar::Date => Scalar::Int(32),
            AvroScalar::TimeMillis => Scalar::TimeMillis,
            AvroScalar::TimeMicros => Scalar::TimeMicros,
            AvroScalar::TimestampMillis => Scalar::TimestampMillis,
            AvroScalar::TimestampMicros => Scalar::Long,
            AvroScalar::TimestampNanos => Scalar::TimestampNanos,
            AvroScalar::Duration => Scalar::Duration,
        }
    }

    /// Reads one. After an error that is about the value (`Bad::is_value`) the input stands behind
    /// it, and the sink was not touched.
    #[inline]
    pub(super) fn read<S: Sink>(&self, input: &mut Input<'_>, sink: &mut S) -> Result<(), Bad> {
        match self {
            Scalar::Long => sink.word(input.long()? as u64),
            Scalar::Text => {
                let bytes = input.lengthed()?;
                check_utf8(bytes)?;
                sink.bytes(bytes);
            }
            Scalar::Int(bits) => {
                let value = i64::from(input.int()?);
                let shift = 64 - bits;
                if (value << shift) >> shift != value {
                    return Err(Bad::Range);
                }
                sink.word(value as u64);
            }
            Scalar::TimestampMillis => {
                let micros = input.long()?.checked_mul(1_000).ok_or(Bad::Range)?;
                sink.word(micros as u64);
            }
            Scalar::Boolean => match input.take(1)? {
                [0] => sink.word(0),
                [1] => sink.word(1),
                _ => return Err(Bad::Boolean),
            },
            Scalar::Double => sink.word(u64::from_le_bytes(input.array()?)),
            Scalar::Float => {
                let value = f32::from_le_bytes(input.array()?);
                sink.word(f64::from(value).to_bits());
            }
            Scalar::Bytes => sink.bytes(input.lengthed()?),
            Scalar::Fixed(size) => sink.bytes(input.take(*size)?),
            Scalar::Enum(symbols) => {
                let number = usize::try_from(input.int()?).map_err(|_| Bad::Symbol)?;
                sink.bytes(symbols.get(number).ok_or(Bad::Symbol)?.as_bytes());
            }
            _ => return self.read_rest(input, sink),
        }
        Ok(())
    }

    /// The forms that are rarer or cost more than the call.
    fn read_rest<S: Sink>(&self, input: &mut Input<'_>, sink: &mut S) -> Result<(), Bad> {
        match self {
            Scalar::IntAsFloat { int, real } => {
                let value = if *int { i64::from(input.int()?) } else { input.long()? };
                let float = if *real { f64::from(value as f32) } else { value as f64 };
                sink.word(float.to_bits());
            }
            Scalar::IntAsDecimal { int, to } => {
                let value = if *int { i64::from(input.int()?) } else { input.long()? };
                let value = from_parts(i128::from(value), 0, to.digits).map_err(|_| Bad::Range)?;
                to.put(value, sink);
            }
            Scalar::Decimal { size, scale, to } => {
                let bytes = match size {
                    Some(size) => input.take(*size)?,
                    None => input.lengthed()?,
                };
                let value = big_endian(bytes).ok_or(Bad::Range)?;
                let same = i64::from(*scale) == i64::from(to.digits.scale);
                let value = match same {
                    true => check(value, to.digits.precision),
                    false => from_parts(value, -scale, to.digits),
                };
                to.put(value.map_err(|_| Bad::Range)?, sink);
            }
            Scalar::JsonText => {
                let bytes = input.lengthed()?;
                put_json(bytes, sink)?;
            }
            Scalar::UuidText => {
                let text = std::str::from_utf8(input.lengthed()?).map_err(|_| Bad::Utf8)?;
                put_uuid(parse_uuid(text).ok_or(Bad::Uuid)?, sink);
            }
            Scalar::UuidFixed => put_uuid(u128::from_be_bytes(input.array()?), sink),
            Scalar::UuidBytes => {
                let bytes = <[u8; 16]>::try_from(input.lengthed()?).map_err(|_| Bad::Uuid)?;
                put_uuid(u128::from_be_bytes(bytes), sink);
            }
            Scalar::TimeMillis => put_time(i64::from(input.int()?).checked_mul(1_000), sink)?,
            Scalar::TimeMicros => put_time(Some(input.long()?), sink)?,
            Scalar::TimestampNanos => sink.word(input.long()?.div_euclid(1_000) as u64),
            Scalar::Duration => {
                let part = |input: &mut Input<'_>| {
                    input.array().map(|bytes| i64::from(u32::from_le_bytes(bytes)))
                };
                let (months, days, millis) = (part(input)?, part(input)?, part(input)?);
                let micros =
                    days.checked_mul(DAY).and_then(|days| days.checked_add(millis * 1_000));
                sink.wide([months as u64, micros.ok_or(Bad::Range)? as u64]);
            }
            Scalar::Boolean
            | Scalar::Int(_)
            | Scalar::Long
            | Scalar::Float
            | Scalar::Double
            | Scalar::Bytes
            | Scalar::Text
            | Scalar::Fixed(_)
            | Scalar::Enum(_)
            | Scalar::TimestampMillis => return self.read(input, sink),
        }
        Ok(())
    }
}

/// Text is mostly ASCII, which is told faster than UTF-8 at large.
#[inline]
pub(super) fn check_utf8(bytes: &[u8]) -> Result<(), Bad> {
    if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() { Ok(()) } else { Err(Bad::Utf8) }
}

/// Sets JSON text, which must be one whole value.
pub(super) fn put_json<S: Sink>(bytes: &[u8], sink: &mut S) -> Result<(), Bad> {
    std::str::from_utf8(bytes).map_err(|_| Bad::Utf8)?;
    let mut scan = Scan::new(bytes);
    scan.token().map_err(|_| Bad::Convert)?;
    if !scan.is_done() {
        return Err(Bad::Convert);
    }
    sink.bytes(bytes);
    Ok(())
}

pub(super) fn put_uuid<S: Sink>(value: u128, sink: &mut S) {
    sink.wide([value as u64, (value >> 64) as u64]);
}

fn put_time<S: Sink>(micros: Option<i64>, sink: &mut S) -> Result<(), Bad> {
    let micros = micros.filter(|m| (0..DAY).contains(m)).ok_or(Bad::Range)?;
    sink.word(micros as u64);
    Ok(())
}

/// A two's-complement big-endian integer; `None` if it needs more than 128 bits. No bytes are 0.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let sign = if negative { 0xff } else { 0 };
    let (head, tail) = bytes.split_at(bytes.len().saturating_sub(16));
    let value = tail
        .iter()
        .fold(if negative { -1 } else { 0 }, |sum: i128, &byte| (sum << 8) | i128::from(byte));
    let extends = head.iter().all(|&byte| byte == sign) && (value < 0) == negative;
    extends.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_length() {
        assert_eq!(big_endian(&[]), Some(0));
        assert_eq!(big_endian(&[0xff]), Some(-1));
        assert_eq!(big_endian(&[0x00, 0x80]), Some(128));
        assert_eq!(big_endian(&[0xff; 40]), Some(-1));
        assert_eq!(big_endian(&i128::MIN.to_be_bytes()), Some(i128::MIN));
        let mut long = vec![0; 4];
        long.extend(i128::MAX.to_be_bytes());
        assert_eq!(big_endian(&long), Some(i128::MAX));
        long[0] = 1;
        assert_eq!(big_endian(&long), None);
        let mut wraps = vec![0; 1];
        wraps.extend((-1i128).to_be_bytes());
        assert_eq!(big_endian(&wraps), None);
    }
}

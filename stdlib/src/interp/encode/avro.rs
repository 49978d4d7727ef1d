//! Avro data written from rows, in the schema's order.

use flow_ir::decode_plan::AvroScalar;
use flow_ir::encode_plan::{AvroPut, AvroWrite};
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{ArrayRef, MapRef, RowLayout, RowRef};
use flow_ir::types::{DataType, Field, Type};

use super::Unfit;
use crate::calendar::DAY;
use crate::decimal::{Digits, from_parts};
use crate::host::HostArg;
use crate::text::{field_of, write_uuid};

/// Digits of the widest DECIMAL.
const DIGITS_MAX: u32 = 38;

/// Data written one after the other from the fields of a row.
#[derive(Debug)]
pub(super) struct AvroPuts {
    layout: RowLayout,
    puts: Vec<Put>,
}

#[derive(Debug)]
enum Put {
    Constant(Vec<u8>),
    Column { column: usize, field: String, datum: Datum },
}

#[derive(Debug)]
pub(super) enum Datum {
    Scalar(AvroScalar, DataType),
    Array(Box<Datum>, Type),
    Map(Box<Datum>, Type),
    Row(AvroPuts),
    Union { null: Option<u32>, value: u32, datum: Box<Datum> },
    Variant { layout: RowLayout, branches: Vec<(u32, Datum)>, null: Option<u32> },
}

impl AvroPuts {
    pub(super) fn new(puts: &[AvroPut], fields: &[Field]) -> Self {
        let put = |put: &AvroPut| match put {
            AvroPut::Constant(bytes) => Put::Constant(bytes.clone()),
            AvroPut::Column { column, field, datum } => {
                let column = *column as usize;
                let datum = Datum::new(datum, &fields[column].ty.data);
                Put::Column { column, field: field.clone(), datum }
            }
        };
        Self { layout: layout_of(fields), puts: puts.iter().map(put).collect() }
    }

    pub(super) fn write(&self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        for put in &self.puts {
            match put {
                Put::Constant(bytes) => out.extend_from_slice(bytes),
                Put::Column { column, field, datum } => {
                    let value = field_of(row, &self.layout, *column);
                    datum.write(value, out).map_err(|unfit| unfit.at(field))?;
                }
            }
        }
        Ok(())
    }
}

fn layout_of(fields: &[Field]) -> RowLayout {
    RowLayout::new(fields.iter().map(|f| f.ty.clone()).collect::<Vec<_>>())
}

impl Datum {
    pub(super) fn new(datum: &AvroWrite, ty: &DataType) -> Self {
        match (datum, ty) {
            (AvroWrite::Scalar(form), _) => Datum::Scalar(form.clone(), ty.clone()),
            (AvroWrite::Union { null, value, datum }, _) => {
                Datum::Union { null: *null, value: *value, datum: Box::new(Datum::new(datum, ty)) }
            }
            (AvroWrite::Array(item), DataType::Array(ty)) => {
                Datum::Array(Box::new(Datum::new(item, &ty.data)), (**ty).clone())
            }
            (AvroWrite::Map(value), DataType::Map(_, ty)) => {
                Datum::Map(Box::new(Datum::new(value, &ty.data)), (**ty).clone())
            }
            (AvroWrite::Row(puts), DataType::Row(fields)) => {
                Datum::Row(AvroPuts::new(puts, fields))
            }
            (AvroWrite::Variant { branches, null }, DataType::Row(fields)) => Datum::Variant {
                layout: layout_of(fields),
                branches: branches
                    .iter()
                    .zip(fields.iter())
                    .map(|((number, datum), f)| (*number, Datum::new(datum, &f.ty.data)))
                    .collect(),
                null: *null,
            },
            // A verified plan has containers only where their types are.
            (
                AvroWrite::Array(_)
                | AvroWrite::Map(_)
                | AvroWrite::Row(_)
                | AvroWrite::Variant { .. },
                _,
            ) => Datum::Scalar(AvroScalar::Bytes, DataType::Null),
        }
    }

    pub(super) fn write(&self, value: HostArg<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        match self {
            Datum::Union { null, value: branch, datum } => {
                if !value.is_null() {
                    varint(i64::from(*branch), out);
                    return datum.write(value, out);
                }
                varint(i64::from(null.ok_or_else(Unfit::null)?), out);
                Ok(())
            }
            _ if value.is_null() => match self {
                Datum::Variant { null: Some(null), .. } => {
                    varint(i64::from(*null), out);
                    Ok(())
                }
                _ => Err(Unfit::null()),
            },
            Datum::Scalar(form, ty) => write_scalar(form, ty, value, out),
            Datum::Row(puts) => {
                let words = value.container();
                if words.len() < puts.layout.fixed_words() {
                    return Err(Unfit::null());
                }
                puts.write(RowRef::new(words), out)
            }
            Datum::Array(datum, item) => {
                let array = ArrayRef::new(value.container(), item.slot());
                write_items(array.len(), out, |i, out| {
                    datum.write(HostArg::element(array, i, item), out)
                })
            }
            Datum::Map(datum, ty) => {
                let string = Type::not_null(DataType::String);
                let map = MapRef::new(value.container(), string.slot(), ty.slot());
                let (keys, values) = (map.keys(), map.values());
                write_items(map.len(), out, |i, out| {
                    lengthed(keys.var(i), out);
                    datum.write(HostArg::element(values, i, ty), out)
                })
            }
            Datum::Variant { layout, branches, null } => {
                let words = value.container();
                if words.len() < layout.fixed_words() {
                    return Err(Unfit::null());
                }
                let row = RowRef::new(words);
                for (i, (number, datum)) in branches.iter().enumerate() {
                    let value = field_of(row, layout, i);
                    if !value.is_null() {
                        varint(i64::from(*number), out);
                        return datum.write(value, out);
                    }
                }
                varint(i64::from(null.ok_or_else(Unfit::null)?), out);
                Ok(())
            }
        }
    }
}

/// One block of items and the end.
fn write_items(
    count: usize,
    out: &mut Vec<u8>,
    mut item: impl FnMut(usize, &mut Vec<u8>) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    if count > 0 {
        varint(count as i64, out);
        (0..count).try_for_each(|i| item(i, out))?;
    }
    varint(0, out);
    Ok(())
}

fn write_scalar(
    form: &AvroScalar,
    ty: &DataType,
    value: HostArg<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    let word = value.i64();
    let overflow = || Unfit::new(ErrorCode::Overflow, "out of the schema's range");
    match form {
        AvroScalar::Boolean => out.push(u8::from(word != 0)),
        AvroScalar::Int
        | AvroScalar::Long
        | AvroScalar::Date
        | AvroScalar::TimeMicros
        | AvroScalar::TimestampMicros => varint(word, out),
        AvroScalar::TimeMillis | AvroScalar::TimestampMillis => {
            varint(word.div_euclid(1_000), out);
        }
        AvroScalar::TimestampNanos => varint(word.checked_mul(1_000).ok_or_else(overflow)?, out),
        AvroScalar::Float => out.extend_from_slice(&(value.f64() as f32).to_le_bytes()),
        AvroScalar::Double => out.extend_from_slice(&value.f64().to_le_bytes()),
        AvroScalar::Bytes | AvroScalar::String => lengthed(value.bytes(), out),
        AvroScalar::Fixed(size) => {
            let bytes = value.bytes();
            if bytes.len() != *size as usize {
                return Err(Unfit::new(
                    ErrorCode::BadCast,
                    "not as many bytes as the schema's fixed",
                ));
            }
            out.extend_from_slice(bytes);
        }
        AvroScalar::Enum(symbols) => {
            let number = symbols.iter().position(|symbol| symbol.as_bytes() == value.bytes());
            let unknown = || Unfit::new(ErrorCode::BadCast, "not a symbol of the schema's enum");
            varint(number.ok_or_else(unknown)? as i64, out);
        }
        AvroScalar::Decimal { size, scale } => {
            let from = match ty {
                DataType::Decimal { scale, .. } => i32::from(*scale),
                _ => 0,
            };
            let to = Digits { precision: DIGITS_MAX, scale: u32::from(*scale) };
            let unscaled = from_parts(value.i128(), -from, to).map_err(|_| overflow())?;
            write_big_endian(unscaled, *size, out).ok_or_else(overflow)?;
        }
        AvroScalar::UuidText => {
            varint(36, out);
            write_uuid(value.i128() as u128, out);
        }
        AvroScalar::UuidFixed => out.extend_from_slice(&value.i128().to_be_bytes()),
        AvroScalar::UuidBytes => lengthed(&value.i128().to_be_bytes(), out),
        AvroScalar::Duration => {
            let (months, micros) = value.interval();
            let (days, millis) = (micros.div_euclid(DAY), micros.rem_euclid(DAY) / 1_000);
            for part in [months, days, millis] {
                let unsigned = "an Avro duration is not negative and has 32 bits a part";
                let part = u32::try_from(part);
                let part = part.map_err(|_| Unfit::new(ErrorCode::Overflow, unsigned))?;
                out.extend_from_slice(&part.to_le_bytes());
            }
        }
    }
    Ok(())
}

/// Two's complement, in as few bytes as it takes after their count, or in exactly `size` bytes;
/// `None` if those are too few.
fn write_big_endian(value: i128, size: Option<u32>, out: &mut Vec<u8>) -> Option<()> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let redundant = |pair: &&[u8]| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0;
    let first = bytes.windows(2).take_while(redundant).count();
    let shortest = &bytes[first..];
    match size {
        None => lengthed(shortest, out),
        Some(size) => {
            let padding = (size as usize).checked_sub(shortest.len())?;
            out.extend(std::iter::repeat_n(sign, padding));
            out.extend_from_slice(shortest);
        }
    }
    Some(())
}

fn lengthed(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// Avro's zig-zag variable-length integer. Numbers of up to eight bytes are spread to groups of
/// seven bits in one word, of which as many bytes are kept as the number takes.
fn varint(value: i64, out: &mut Vec<u8>) {
    let number = ((value << 1) ^ (value >> 63)) as u64;
    if number < 0x80 {
        return out.push(number as u8);
    }
    if number >= 1 << 56 {
        return varint_bytewise(number, out);
    }
    let length = (number.ilog2() / 7 + 1) as usize;
    let x = (number & 0x0fff_ffff) | (number >> 28 << 32);
    let x = (x & 0x0000_3fff_0000_3fff) | ((x & 0x0fff_c000_0fff_c000) << 2);
    let x = (x & 0x007f_007f_007f_007f) | ((x & 0x3f80_3f80_3f80_3f80) << 1);
    let more = 0x8080_8080_8080_8080 & ((1 << (8 * (length - 1))) - 1);
    let end = out.len() + length;
    out.extend_from_slice(&(x | more).to_le_bytes());
    out.truncate(end);
}

fn varint_bytewise(number: u64, out: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: i128, size: Option<u32>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        write_big_endian(value, size, &mut out).map(|()| out)
    }

    #[test]
    fn varints_of_every_length_are_those_written_byte_by_byte() {
        let near = |shift: u32| [1i64 << shift, (1i64 << shift) - 1, -(1i64 << shift)];
        let values = (0..63).flat_map(near).chain([0, -1, i64::MIN, i64::MAX, 0x0123_4567_89ab]);
        for value in values {
            let (mut written, mut expected) = (vec![9], vec![9]);
            varint(value, &mut written);
            varint_bytewise(((value << 1) ^ (value >> 63)) as u64, &mut expected);
            assert_eq!(written, expected, "{value}");
        }
    }

    #[test]
    fn decimals_take_as_few_bytes_as_they_need() {
        assert_eq!(written(0, None), Some(vec![2, 0]));
        assert_eq!(written(-1, None), Some(vec![2, 0xff]));
        assert_eq!(written(127, None), Some(vec![2, 127]));
        assert_eq!(written(128, None), Some(vec![4, 0, 128]));
        assert_eq!(written(-128, None), Some(vec![2, 0x80]));
        assert_eq!(written(-129, Some(4)), Some(vec![0xff, 0xff, 0xff, 0x7f]));
        assert_eq!(written(128, Some(1)), None);
        assert_eq!(written(i128::MIN, None).map(|b| b.len()), Some(17));
        assert_eq!(written(1, Some(20)).map(|b| b.len()), Some(20));
    }
}

//! Raw payloads: the bytes are the value. Numbers are big-endian, of their type's own width.

use flow_ir::types::DataType;

use super::Bad;
use super::scalar::{put_json, put_uuid};
use super::sink::Sink;

/// Sets a column to a whole payload.
pub(super) fn read<S: Sink>(payload: &[u8], ty: &DataType, sink: &mut S) -> Result<(), Bad> {
    match ty {
        DataType::String => {
            std::str::from_utf8(payload).map_err(|_| Bad::Utf8)?;
            sink.bytes(payload);
        }
        DataType::Json => put_json(payload, sink)?,
        DataType::Bytes => sink.bytes(payload),
        DataType::Boolean => match payload {
            [0] => sink.word(0),
            [1] => sink.word(1),
            [_] => return Err(Bad::Boolean),
            _ => return Err(Bad::Width),
        },
        DataType::TinyInt => sink.word(i64::from(i8::from_be_bytes(exactly(payload)?)) as u64),
        DataType::SmallInt => sink.word(i64::from(i16::from_be_bytes(exactly(payload)?)) as u64),
        DataType::Int => sink.word(i64::from(i32::from_be_bytes(exactly(payload)?)) as u64),
        DataType::BigInt => sink.word(u64::from_be_bytes(exactly(payload)?)),
        DataType::Real => {
            sink.word(f64::from(f32::from_be_bytes(exactly(payload)?)).to_bits());
        }
        DataType::Double => sink.word(u64::from_be_bytes(exactly(payload)?)),
        DataType::Uuid => put_uuid(u128::from_be_bytes(exactly(payload)?), sink),
        DataType::Null
        | DataType::Decimal { .. }
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Interval
        | DataType::Array(_)
        | DataType::Map(_, _)
        | DataType::Row(_) => return Err(Bad::Refused),
    }
    Ok(())
}

fn exactly<const N: usize>(payload: &[u8]) -> Result<[u8; N], Bad> {
    payload.try_into().map_err(|_| Bad::Width)
}

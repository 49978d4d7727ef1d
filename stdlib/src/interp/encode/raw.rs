//! Raw payloads: a column's bytes; numbers big-endian, of their type's own width. NULL is empty.

use flow_ir::types::DataType;

use crate::host::HostArg;

pub(super) fn write(value: HostArg<'_>, ty: &DataType, out: &mut Vec<u8>) {
    if value.is_null() {
        return;
    }
    let word = value.i64();
    match ty {
        DataType::String | DataType::Bytes | DataType::Json => {
            if let HostArg::Bytes(bytes) = value {
                out.extend_from_slice(bytes);
            }
        }
        DataType::Boolean => out.push(u8::from(word != 0)),
        DataType::TinyInt => out.push(word as u8),
        DataType::SmallInt => out.extend_from_slice(&(word as i16).to_be_bytes()),
        DataType::Int => out.extend_from_slice(&(word as i32).to_be_bytes()),
        DataType::BigInt => out.extend_from_slice(&word.to_be_bytes()),
        DataType::Real => {
            out.extend_from_slice(&(f64::from_bits(word as u64) as f32).to_be_bytes());
        }
        DataType::Double => out.extend_from_slice(&word.to_be_bytes()),
        DataType::Uuid => {
            if let HostArg::Wide([low, high]) = value {
                out.extend_from_slice(&high.to_be_bytes());
                out.extend_from_slice(&low.to_be_bytes());
            }
        }
        // A verified plan writes no other type raw.
        DataType::Null
        | DataType::Decimal { .. }
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Interval
        | DataType::Array(_)
        | DataType::Map(_, _)
        | DataType::Row(_) => {}
    }
}

//! Raw payloads to CLIF: the bytes are the value. Numbers are big-endian, of their type's width.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use flow_ir::types::DataType;

use super::emit::{Cell, Emit, Null};
use super::rows::is_text;
use super::shims::Shim;

/// Whether payloads of this type are read by code.
pub(super) fn is_compiled(ty: &DataType) -> bool {
    width(ty).is_some() || matches!(ty, DataType::String | DataType::Bytes)
}

/// Bytes of a number.
fn width(ty: &DataType) -> Option<i64> {
    match ty {
        DataType::Boolean | DataType::TinyInt => Some(1),
        DataType::SmallInt => Some(2),
        DataType::Int | DataType::Real => Some(4),
        DataType::BigInt | DataType::Double => Some(8),
        DataType::Uuid => Some(16),
        DataType::Null
        | DataType::Decimal { .. }
        | DataType::String
        | DataType::Bytes
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Interval
        | DataType::Json
        | DataType::Array(_)
        | DataType::Map(_, _)
        | DataType::Row(_) => None,
    }
}

/// A whole payload as a value of a type that `is_compiled`.
pub(super) fn read(
    e: &mut Emit<'_>,
    ty: &DataType,
    [start, len]: [Value; 2],
    check_texts: bool,
) -> Cell {
    let Some(width) = width(ty) else {
        if check_texts && is_text(ty) {
            let text = e.call(Shim::IsText, &[start, len]);
            e.demand(text);
        }
        return Cell { null: Null::Never, low: start, high: len };
    };
    let fits = e.b.ins().icmp_imm_s(IntCC::Equal, len, width);
    e.demand(fits);
    let low = match width {
        1 => e.load_byte(start, 0),
        2 => {
            let (high, low) = (e.load_byte(start, 0), e.load_byte(start, 1));
            let high = e.b.ins().ishl_imm_u(high, 8);
            e.b.ins().bor(high, low)
        }
        4 => {
            let bytes = e.load_4_bytes(start);
            let bytes = e.b.ins().ireduce(I32, bytes);
            let number = e.b.ins().bswap(bytes);
            if *ty == DataType::Real {
                let float = e.b.ins().bitcast(F32, MemFlagsData::new(), number);
                let wide = e.b.ins().fpromote(F64, float);
                e.b.ins().bitcast(I64, MemFlagsData::new(), wide)
            } else {
                e.b.ins().sextend(I64, number)
            }
        }
        // Of a UUID the second half is the low word.
        width => {
            let bytes = e.load_bytes(start, width as i32 - 8);
            e.b.ins().bswap(bytes)
        }
    };
    let low = match ty {
        DataType::Boolean => {
            let valid = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, low, 2);
            e.demand(valid);
            low
        }
        DataType::TinyInt | DataType::SmallInt => {
            let shift = 64 - width * 8;
            let shifted = e.b.ins().ishl_imm_u(low, shift);
            e.b.ins().sshr_imm_u(shifted, shift)
        }
        _ => low,
    };
    let high = match width {
        16 => {
            let bytes = e.load_bytes(start, 0);
            e.b.ins().bswap(bytes)
        }
        _ => low,
    };
    Cell { null: Null::Never, low, high }
}

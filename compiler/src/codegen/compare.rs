//! Comparisons to CLIF: words, wide numbers and floats in a few instructions, bytes by a call.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use flow_ir::scalar::CompareOp;
use flow_ir::types::{DataType, Slot};

use super::emit::{Cell, Emit, Null};
use super::scalar::{as_float, whole};
use super::shims::Shim;

/// A comparison of two values of a type; `None` if it takes a call of its own function.
pub(super) fn compare(
    e: &mut Emit<'_>,
    op: CompareOp,
    ty: &DataType,
    a: Cell,
    b: Cell,
) -> Option<Cell> {
    let null = e.either_null(a.null, b.null);
    let bit = match ty {
        DataType::Real | DataType::Double => compare_floats(e, op, a.low, b.low),
        DataType::Decimal { .. } | DataType::Uuid if ty.slot() == Slot::Wide => {
            let (a, b) = (whole(e, a, ty), whole(e, b, ty));
            e.b.ins().icmp(condition(op, *ty == DataType::Uuid), a, b)
        }
        DataType::String | DataType::Bytes | DataType::Json => compare_bytes(e, op, null, a, b),
        DataType::Interval | DataType::Array(_) | DataType::Map(..) | DataType::Row(_) => {
            return None;
        }
        DataType::Null
        | DataType::Boolean
        | DataType::TinyInt
        | DataType::SmallInt
        | DataType::Int
        | DataType::BigInt
        | DataType::Decimal { .. }
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Uuid => e.b.ins().icmp(condition(op, false), a.low, b.low),
    };
    Some(e.boolean(bit, null))
}

fn condition(op: CompareOp, unsigned: bool) -> IntCC {
    let signed = match op {
        CompareOp::Eq => IntCC::Equal,
        CompareOp::Ne => IntCC::NotEqual,
        CompareOp::Lt => IntCC::SignedLessThan,
        CompareOp::Le => IntCC::SignedLessThanOrEqual,
        CompareOp::Gt => IntCC::SignedGreaterThan,
        CompareOp::Ge => IntCC::SignedGreaterThanOrEqual,
    };
    if unsigned { signed.unsigned() } else { signed }
}

/// Floats with −0.0 = 0.0 and NaN equal to itself and above all others.
fn compare_floats(e: &mut Emit<'_>, op: CompareOp, a: Value, b: Value) -> Value {
    let (a, b) = (as_float(e, a), as_float(e, b));
    let nan = |e: &mut Emit<'_>, x: Value| e.b.ins().fcmp(FloatCC::Unordered, x, x);
    match op {
        CompareOp::Eq | CompareOp::Ne => {
            let (a_nan, b_nan) = (nan(e, a), nan(e, b));
            let both = e.b.ins().band(a_nan, b_nan);
            let equal = e.b.ins().fcmp(FloatCC::Equal, a, b);
            let equal = e.b.ins().bor(equal, both);
            if op == CompareOp::Eq { equal } else { e.not(equal) }
        }
        CompareOp::Lt | CompareOp::Ge => {
            let less = float_less(e, a, b);
            if op == CompareOp::Lt { less } else { e.not(less) }
        }
        CompareOp::Gt | CompareOp::Le => {
            let less = float_less(e, b, a);
            if op == CompareOp::Gt { less } else { e.not(less) }
        }
    }
}

fn float_less(e: &mut Emit<'_>, a: Value, b: Value) -> Value {
    let less = e.b.ins().fcmp(FloatCC::LessThan, a, b);
    let number = e.b.ins().fcmp(FloatCC::Ordered, a, a);
    let nan = e.b.ins().fcmp(FloatCC::Unordered, b, b);
    let below = e.b.ins().band(number, nan);
    e.b.ins().bor(less, below)
}

/// Byte strings. Equality looks at the lengths first. Where either is NULL nothing is read.
fn compare_bytes(e: &mut Emit<'_>, op: CompareOp, null: Null, a: Cell, b: Cell) -> Value {
    let join = e.b.create_block();
    let order = e.b.append_block_param(join, I64);
    let (zero, other) = (e.word(0), e.word(1));
    if let Null::When(bit) = null {
        let there = e.not(bit);
        let on = e.b.create_block();
        e.b.ins().brif(there, on, &[], join, &[zero.into()]);
        e.b.switch_to_block(on);
    }
    if matches!(op, CompareOp::Eq | CompareOp::Ne) {
        let same = e.b.ins().icmp(IntCC::Equal, a.high, b.high);
        let on = e.b.create_block();
        e.b.ins().brif(same, on, &[], join, &[other.into()]);
        e.b.switch_to_block(on);
    }
    let compared = match null {
        Null::Always => zero,
        Null::Never | Null::When(_) => e.call(Shim::CompareBytes, &[a.low, a.high, b.low, b.high]),
    };
    e.b.ins().jump(join, &[compared.into()]);
    e.b.switch_to_block(join);
    e.b.ins().icmp_imm_s(condition(op, false), order, 0)
}

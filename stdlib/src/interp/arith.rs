//! Checked arithmetic on single values.

use flow_ir::kernel::ErrorCode;
use flow_ir::scalar::ArithOp;
use flow_ir::types::{DataType, Slot};

use crate::decimal::Digits;

/// What arithmetic on a type computes with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arithmetic {
    /// Integers of this many bits.
    Integer(u32),
    /// Floats rounded to 32 bits.
    Real,
    /// Floats.
    Double,
    /// DECIMAL operands with these scales, and the result.
    Decimal {
        /// Scale and slot of the left operand.
        a: (u32, Slot),
        /// Scale and slot of the right operand.
        b: (u32, Slot),
        /// The result's digits.
        to: Digits,
        /// The result's slot.
        slot: Slot,
    },
}

/// Precision and scale of a DECIMAL type.
pub(super) fn digits_of(ty: &DataType) -> Option<Digits> {
    match ty {
        DataType::Decimal { precision, scale } => {
            Some(Digits { precision: u32::from(*precision), scale: u32::from(*scale) })
        }
        _ => None,
    }
}

impl Arithmetic {
    /// For operands of types `a` and `b`; `None` if they are no numbers.
    pub(super) fn of(a: &DataType, b: &DataType, to: &DataType) -> Option<Self> {
        match to {
            DataType::Real => Some(Arithmetic::Real),
            DataType::Double => Some(Arithmetic::Double),
            DataType::Decimal { .. } => Some(Arithmetic::Decimal {
                a: (digits_of(a)?.scale, a.slot()),
                b: (digits_of(b)?.scale, b.slot()),
                to: digits_of(to)?,
                slot: to.slot(),
            }),
            other => other.integer_bits().map(Arithmetic::Integer),
        }
    }
}

/// An integer that fits this many bits.
pub(super) fn check_bits(value: i64, bits: u32) -> Result<i64, ErrorCode> {
    let unused = 64 - bits;
    if (value << unused) >> unused == value { Ok(value) } else { Err(ErrorCode::Overflow) }
}

/// Integer arithmetic: division cuts toward zero, the remainder has the dividend's sign.
pub(super) fn integer(op: ArithOp, a: i64, b: i64, bits: u32) -> Result<i64, ErrorCode> {
    let value = match op {
        ArithOp::Add => a.checked_add(b),
        ArithOp::Sub => a.checked_sub(b),
        ArithOp::Mul => a.checked_mul(b),
        ArithOp::Div | ArithOp::Rem if b == 0 => return Err(ErrorCode::DivisionByZero),
        ArithOp::Div => a.checked_div(b),
        ArithOp::Rem => Some(a.wrapping_rem(b)),
    };
    check_bits(value.ok_or(ErrorCode::Overflow)?, bits)
}

/// Float arithmetic as IEEE 754 has it: never fails.
pub(super) fn float(op: ArithOp, a: f64, b: f64) -> f64 {
    match op {
        ArithOp::Add => a + b,
        ArithOp::Sub => a - b,
        ArithOp::Mul => a * b,
        ArithOp::Div => a / b,
        ArithOp::Rem => a % b,
    }
}

/// A 128-bit integer from its slot.
pub(super) fn wide(value: [u64; 2]) -> i128 {
    (u128::from(value[0]) | (u128::from(value[1]) << 64)) as i128
}

/// A 128-bit integer as it lies in a slot.
pub(super) fn split(value: i128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

//! Casts from numbers and BOOLEAN to numbers and BOOLEAN.

use flow_ir::kernel::ErrorCode;
use flow_ir::types::DataType;

use crate::decimal::{self, Digits};
use crate::host::{HostArg, HostError, HostOut};

/// A number in the widest form of its kind.
#[derive(Clone, Copy)]
enum Number {
    /// An integer or BOOLEAN.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A DECIMAL and its scale.
    Decimal(i128, u32),
}

/// Casts a number.
pub(super) fn cast(
    value: HostArg<'_>,
    from: &DataType,
    to: &DataType,
    out: &mut HostOut<'_>,
) -> Result<(), HostError> {
    let number = match from {
        DataType::Decimal { scale, .. } => Number::Decimal(value.i128(), u32::from(*scale)),
        DataType::Real | DataType::Double => Number::Float(value.f64()),
        _ => Number::Integer(value.i64()),
    };
    match to {
        DataType::Boolean => out.bool(to_integer(number)? != 0),
        DataType::Real => out.f64(to_real(to_float(number))?),
        DataType::Double => out.f64(to_float(number)),
        DataType::Decimal { precision, scale } => {
            let to_digits = Digits { precision: u32::from(*precision), scale: u32::from(*scale) };
            let value = match number {
                Number::Integer(v) => decimal::rescale(i128::from(v), 0, to_digits),
                Number::Float(v) => decimal::from_f64(v, to_digits),
                Number::Decimal(v, scale) => decimal::rescale(v, scale, to_digits),
            }?;
            out.i128(value, to.slot());
        }
        other => {
            let bits = other.integer_bits().ok_or(ErrorCode::BadCast)?;
            out.i64(super::super::arith::check_bits(to_integer(number)?, bits)?);
        }
    }
    Ok(())
}

fn to_float(number: Number) -> f64 {
    match number {
        Number::Integer(v) => v as f64,
        Number::Float(v) => v,
        Number::Decimal(v, scale) => decimal::to_f64(v, scale),
    }
}

/// Rounds to 32 bits; a finite value must stay finite.
pub(super) fn to_real(value: f64) -> Result<f64, ErrorCode> {
    let real = value as f32;
    if real.is_infinite() && value.is_finite() {
        return Err(ErrorCode::Overflow);
    }
    Ok(f64::from(real))
}

/// Rounds: floats half to even, DECIMAL half away from zero.
fn to_integer(number: Number) -> Result<i64, ErrorCode> {
    match number {
        Number::Integer(v) => Ok(v),
        Number::Float(v) => {
            let rounded = v.round_ties_even();
            let limit = 2f64.powi(63);
            if rounded >= -limit && rounded < limit {
                Ok(rounded as i64)
            } else {
                Err(ErrorCode::Overflow)
            }
        }
        Number::Decimal(v, scale) => {
            let rounded = decimal::round_div(v, decimal::power(scale));
            i64::try_from(rounded).map_err(|_| ErrorCode::Overflow)
        }
    }
}

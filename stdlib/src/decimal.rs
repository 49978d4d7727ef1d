//! DECIMAL arithmetic: a value is an integer over 10^scale, at most 38 digits. Results are exact
//! and then rounded half away from zero to the scale of the result; what does not fit its
//! precision is an overflow. 128-bit arithmetic does where it can, 256-bit where it must.

use std::cmp::Ordering;

use flow_ir::kernel::ErrorCode;
use flow_ir::scalar::ArithOp;

/// Largest power of ten that fits an `i128`.
const POWER_MAX: u32 = 38;

/// Precision and scale of a DECIMAL type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Digits in all.
    pub precision: u32,
    /// Digits after the point.
    pub scale: u32,
}

/// The powers of ten that fit an `i128`.
const POWERS: [i128; POWER_MAX as usize + 1] = {
    let mut powers = [1; POWER_MAX as usize + 1];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// 10^`exponent`, for exponents up to 38 (larger ones count as 38).
pub fn power(exponent: u32) -> i128 {
    POWERS[exponent.min(POWER_MAX) as usize]
}

/// `value` × 10^`exponent` if it fits.
fn times_power(value: i128, exponent: u32) -> Option<i128> {
    match POWERS.get(exponent as usize) {
        Some(1) => Some(value),
        Some(power) => value.checked_mul(*power),
        None => (value == 0).then_some(0),
    }
}

/// The value if it has at most `precision` digits.
///
/// # Errors
/// `Overflow` if it has more.
pub fn check(value: i128, precision: u32) -> Result<i128, ErrorCode> {
    if value.unsigned_abs() < power(precision).unsigned_abs() {
        Ok(value)
    } else {
        Err(ErrorCode::Overflow)
    }
}

/// A value of scale `from` at scale `to.scale`.
///
/// # Errors
/// `Overflow` if it does not fit.
pub fn rescale(value: i128, from: u32, to: Digits) -> Result<i128, ErrorCode> {
    let rescaled = if to.scale >= from {
        times_power(value, to.scale - from).ok_or(ErrorCode::Overflow)?
    } else {
        round_div(value, power(from - to.scale))
    };
    check(rescaled, to.precision)
}

/// `value / by` rounded half away from zero, for a positive divisor.
pub fn round_div(value: i128, by: i128) -> i128 {
    let (quotient, rest) = (value / by, (value % by).unsigned_abs());
    if rest >= by.unsigned_abs() - rest { quotient + value.signum() } else { quotient }
}

/// `a op b`, where the operands have scales `sa` and `sb`.
///
/// # Errors
/// `Overflow`, `DivisionByZero`.
pub fn arith(
    op: ArithOp,
    (a, sa): (i128, u32),
    (b, sb): (i128, u32),
    to: Digits,
) -> Result<i128, ErrorCode> {
    if b == 0 && matches!(op, ArithOp::Div | ArithOp::Rem) {
        return Err(ErrorCode::DivisionByZero);
    }
    if let Some(value) = narrow(op, (a, sa), (b, sb), to) {
        return check(value, to.precision);
    }
    let value = wide(op, (a, sa), (b, sb), to).ok_or(ErrorCode::Overflow)?;
    check(value, to.precision)
}

/// The result if all intermediate values fit 128 bits.
fn narrow(op: ArithOp, (a, sa): (i128, u32), (b, sb): (i128, u32), to: Digits) -> Option<i128> {
    let scale = sa.max(sb);
    let up = |v: i128, from: u32| times_power(v, scale - from);
    let (value, scale) = match op {
        ArithOp::Add => (up(a, sa)?.checked_add(up(b, sb)?)?, scale),
        ArithOp::Sub => (up(a, sa)?.checked_sub(up(b, sb)?)?, scale),
        ArithOp::Mul => (a.checked_mul(b)?, sa + sb),
        ArithOp::Rem => (up(a, sa)?.checked_rem(up(b, sb)?)?, scale),
        ArithOp::Div => {
            let shift = to.scale + sb;
            let (mut n, mut d) = (a, b);
            if shift >= sa {
                n = times_power(n, shift - sa)?;
            } else {
                d = times_power(d, sa - shift)?;
            }
            if d < 0 {
                (n, d) = (n.checked_neg()?, d.checked_neg()?);
            }
            return Some(round_div(n, d));
        }
    };
    if scale > to.scale {
        let down = POWERS.get((scale - to.scale) as usize)?;
        return Some(round_div(value, *down));
    }
    times_power(value, to.scale - scale)
}

/// The result by sign and 256-bit magnitude; `None` if even that is too small or the result does
/// not fit 128 bits.
fn wide(op: ArithOp, (a, sa): (i128, u32), (b, sb): (i128, u32), to: Digits) -> Option<i128> {
    let (ma, mb) = (U256::from(a.unsigned_abs()), U256::from(b.unsigned_abs()));
    let scale = sa.max(sb);
    let (negative, magnitude, scale) = match op {
        ArithOp::Add | ArithOp::Sub => {
            let (x, y) = (ma.times_power(scale - sa)?, mb.times_power(scale - sb)?);
            let b_negative = (b < 0) != matches!(op, ArithOp::Sub);
            if (a < 0) == b_negative {
                (a < 0, x.add(y)?, scale)
            } else if x >= y {
                (a < 0, x.sub(y), scale)
            } else {
                (b_negative, y.sub(x), scale)
            }
        }
        ArithOp::Mul => ((a < 0) != (b < 0), U256::product(ma.low, mb.low), sa + sb),
        ArithOp::Rem => {
            let (x, y) = (ma.times_power(scale - sa)?, mb.times_power(scale - sb)?);
            (a < 0, x.div_rem(y).1, scale)
        }
        ArithOp::Div => {
            let shift = to.scale + sb;
            let (x, y) = if shift >= sa {
                (ma.times_power(shift - sa)?, mb)
            } else {
                (ma, mb.times_power(sa - shift)?)
            };
            ((a < 0) != (b < 0), x.round_div(y), to.scale)
        }
    };
    let magnitude = if scale > to.scale {
        magnitude.round_div(U256::from(1).times_power(scale - to.scale)?)
    } else {
        magnitude.times_power(to.scale - scale)?
    };
    let value =
        if magnitude.high == 0 { i128::try_from(magnitude.low).ok()? } else { return None };
    Some(if negative { -value } else { value })
}

/// An unsigned 256-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct U256 {
    high: u128,
    low: u128,
}

impl From<u128> for U256 {
    fn from(low: u128) -> Self {
        Self { high: 0, low }
    }
}

impl U256 {
    fn product(a: u128, b: u128) -> Self {
        let mask = u128::from(u64::MAX);
        let (a1, a0, b1, b0) = (a >> 64, a & mask, b >> 64, b & mask);
        let (cross, carry) = (a1 * b0).overflowing_add(a0 * b1);
        let (low, low_carry) = (a0 * b0).overflowing_add(cross << 64);
        let high = a1 * b1 + (cross >> 64) + (u128::from(carry) << 64) + u128::from(low_carry);
        Self { high, low }
    }

    fn times_power(self, exponent: u32) -> Option<Self> {
        let mut value = self;
        let mut left = exponent;
        while left > 0 {
            let step = left.min(POWER_MAX);
            let by = power(step).unsigned_abs();
            let low = Self::product(value.low, by);
            let high = Self::product(value.high, by);
            let sum = low.high.checked_add(high.low)?;
            if high.high != 0 {
                return None;
            }
            value = Self { high: sum, low: low.low };
            left -= step;
        }
        Some(value)
    }

    fn add(self, other: Self) -> Option<Self> {
        let (low, carry) = self.low.overflowing_add(other.low);
        let high = self.high.checked_add(other.high)?.checked_add(u128::from(carry))?;
        Some(Self { high, low })
    }

    /// `self − other`, which must not be larger.
    fn sub(self, other: Self) -> Self {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        let high = self.high.wrapping_sub(other.high).wrapping_sub(u128::from(borrow));
        Self { high, low }
    }

    /// Quotient and remainder, bit by bit; the divisor is not 0.
    fn div_rem(self, by: Self) -> (Self, Self) {
        let (mut quotient, mut rest) = (Self::from(0), Self::from(0));
        for bit in (0..256).rev() {
            let overflow = rest.high >> 127 == 1;
            rest = Self { high: (rest.high << 1) | (rest.low >> 127), low: rest.low << 1 };
            let word = if bit >= 128 { self.high } else { self.low };
            rest.low |= (word >> (bit % 128)) & 1;
            if overflow || rest >= by {
                rest = rest.sub(by);
                if bit >= 128 {
                    quotient.high |= 1 << (bit % 128);
                } else {
                    quotient.low |= 1 << bit;
                }
            }
        }
        (quotient, rest)
    }

    /// The quotient rounded half up.
    fn round_div(self, by: Self) -> Self {
        let (quotient, rest) = self.div_rem(by);
        match rest.cmp(&by.sub(rest)) {
            Ordering::Less => quotient,
            Ordering::Equal | Ordering::Greater => quotient.add(Self::from(1)).unwrap_or(quotient),
        }
    }
}

/// The DECIMAL nearest to the shortest decimal form of a float, ties away from zero.
///
/// # Errors
/// `Overflow` for NaN, infinities and what does not fit.
pub fn from_f64(value: f64, to: Digits) -> Result<i128, ErrorCode> {
    if !value.is_finite() {
        return Err(ErrorCode::Overflow);
    }
    let text = format!("{value:e}");
    let (digits, exponent) = parse_scientific(&text).ok_or(ErrorCode::Overflow)?;
    from_parts(digits, exponent, to)
}

/// `digits` × 10^`exponent` as a DECIMAL.
///
/// # Errors
/// `Overflow` if it does not fit.
pub fn from_parts(digits: i128, exponent: i32, to: Digits) -> Result<i128, ErrorCode> {
    if digits == 0 {
        return Ok(0);
    }
    let shift = i64::from(exponent) + i64::from(to.scale);
    if shift >= 0 {
        if shift > i64::from(POWER_MAX) {
            return Err(ErrorCode::Overflow);
        }
        let value = digits.checked_mul(power(shift as u32)).ok_or(ErrorCode::Overflow)?;
        return check(value, to.precision);
    }
    if -shift > i64::from(POWER_MAX) {
        return Ok(0);
    }
    check(round_div(digits, power(-shift as u32)), to.precision)
}

fn parse_scientific(text: &str) -> Option<(i128, i32)> {
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let fraction = mantissa.split_once('.').map_or(0, |(_, f)| f.len() as i32);
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    Some((digits.parse().ok()?, exponent - fraction))
}

/// The DOUBLE nearest to a DECIMAL.
pub fn to_f64(value: i128, scale: u32) -> f64 {
    if scale == 0 {
        return value as f64;
    }
    if value.unsigned_abs() < 1 << 53 && scale <= 22 {
        return value as f64 / power(scale) as f64;
    }
    format!("{value}e-{scale}").parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(precision: u32, scale: u32) -> Digits {
        Digits { precision, scale }
    }

    #[test]
    fn rounds_half_away_from_zero() {
        assert_eq!(rescale(125, 2, digits(10, 1)), Ok(13));
        assert_eq!(rescale(-125, 2, digits(10, 1)), Ok(-13));
        assert_eq!(rescale(124, 2, digits(10, 1)), Ok(12));
        assert_eq!(rescale(999, 0, digits(3, 1)), Err(ErrorCode::Overflow));
    }

    #[test]
    fn arithmetic_is_exact() {
        let to = digits(38, 6);
        assert_eq!(arith(ArithOp::Add, (15, 1), (25, 2), to), Ok(1_750_000));
        assert_eq!(arith(ArithOp::Div, (1, 0), (3, 0), to), Ok(333_333));
        assert_eq!(arith(ArithOp::Div, (2, 0), (-3, 0), to), Ok(-666_667));
        assert_eq!(arith(ArithOp::Rem, (-75, 1), (2, 0), to), Ok(-1_500_000));
        assert_eq!(arith(ArithOp::Div, (1, 0), (0, 0), to), Err(ErrorCode::DivisionByZero));
    }

    #[test]
    fn extremes_take_the_wide_way() {
        let max = power(38) - 1;
        let all = digits(38, 0);
        assert_eq!(arith(ArithOp::Mul, (max, 0), (max, 0), all), Err(ErrorCode::Overflow));
        assert_eq!(arith(ArithOp::Mul, (max, 38), (max, 38), digits(38, 38)), Ok(max - 1));
        assert_eq!(arith(ArithOp::Div, (max, 0), (max, 0), digits(38, 37)), Ok(power(37)));
        assert_eq!(arith(ArithOp::Sub, (max, 0), (max, 0), all), Ok(0));
        assert_eq!(arith(ArithOp::Add, (max, 38), (max, 0), all), Err(ErrorCode::Overflow));
        assert_eq!(arith(ArithOp::Add, (max, 38), (-max, 0), all), Ok(-max + 1));
        assert!(arith(ArithOp::Rem, (max, 0), (7, 38), digits(38, 38)).is_ok());
    }

    #[test]
    fn wide_and_narrow_agree() {
        let values = [0, 1, -1, 7, 12_345, -99_999, 1_000_000_007, -123_456_789_012];
        for op in [ArithOp::Add, ArithOp::Sub, ArithOp::Mul, ArithOp::Div, ArithOp::Rem] {
            for a in values {
                for b in values.into_iter().filter(|b| *b != 0) {
                    let to = digits(38, 4);
                    assert_eq!(narrow(op, (a, 2), (b, 3), to), wide(op, (a, 2), (b, 3), to));
                }
            }
        }
    }

    #[test]
    fn floats() {
        assert_eq!(from_f64(1.005, digits(10, 2)), Ok(101));
        assert_eq!(from_f64(-2.5, digits(10, 0)), Ok(-3));
        assert_eq!(from_f64(1e30, digits(38, 0)), Ok(power(30)));
        assert_eq!(from_f64(1e300, digits(38, 0)), Err(ErrorCode::Overflow));
        assert_eq!(from_f64(1e-300, digits(38, 10)), Ok(0));
        assert_eq!(from_f64(f64::NAN, digits(38, 0)), Err(ErrorCode::Overflow));
        assert_eq!(to_f64(12_345, 2), 123.45);
        assert_eq!(to_f64(power(38) - 1, 0), 1e38);
    }
}

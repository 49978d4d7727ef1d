//! Numbers as text.

use std::io::Write;

use flow_ir::kernel::ErrorCode;

use crate::decimal::{Digits, check, from_parts};

/// Significant digits that are read; more only decide the rounding.
const DIGITS_MAX: u32 = 38;

/// Writes an integer.
pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("a Vec takes all bytes");
}

/// Writes the shortest text that reads back as the same DOUBLE.
pub fn write_f64(value: f64, out: &mut Vec<u8>) {
    if !write_special(value, out) {
        write!(out, "{value:?}").expect("a Vec takes all bytes");
    }
}

/// Writes the shortest text that reads back as the same REAL.
pub fn write_f32(value: f32, out: &mut Vec<u8>) {
    if !write_special(f64::from(value), out) {
        write!(out, "{value:?}").expect("a Vec takes all bytes");
    }
}

fn write_special(value: f64, out: &mut Vec<u8>) -> bool {
    let text: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value == f64::INFINITY {
        b"Infinity"
    } else if value == f64::NEG_INFINITY {
        b"-Infinity"
    } else {
        return false;
    };
    out.extend_from_slice(text);
    true
}

/// Writes a DECIMAL with all digits of its scale.
pub fn write_decimal(value: i128, scale: u32, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let magnitude = value.unsigned_abs();
    if scale == 0 {
        write!(out, "{magnitude}").expect("a Vec takes all bytes");
        return;
    }
    let one = 10u128.pow(scale.min(DIGITS_MAX));
    let (whole, fraction) = (magnitude / one, magnitude % one);
    write!(out, "{whole}.{fraction:0>width$}", width = scale as usize)
        .expect("a Vec takes all bytes");
}

/// Reads an integer.
///
/// # Errors
/// `BadCast` if it is none, `Overflow` if it does not fit 64 bits.
pub fn parse_i64(text: &str) -> Result<i64, ErrorCode> {
    use std::num::IntErrorKind;
    text.trim().parse::<i64>().map_err(|e| match e.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => ErrorCode::Overflow,
        _ => ErrorCode::BadCast,
    })
}

/// Reads a float.
pub fn parse_f64(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Reads a DECIMAL, with or without an exponent, and rounds it half away from zero.
///
/// # Errors
/// `BadCast` if it is no number, `Overflow` if it does not fit.
pub fn parse_decimal(text: &str, to: Digits) -> Result<i128, ErrorCode> {
    let text = text.trim();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| ErrorCode::BadCast)?)
        }
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.as_bytes().first() {
        Some(b'-') => (true, &mantissa[1..]),
        Some(b'+') => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (magnitude, exponent, next) = read_digits(unsigned, exponent)?;
    let value = if negative { -magnitude } else { magnitude };
    let shift = i64::from(exponent) + i64::from(to.scale);
    if shift == 0 && next >= 5 {
        return check(value + if negative { -1 } else { 1 }, to.precision);
    }
    from_parts(value, exponent, to)
}

/// (leading digits, exponent, first digit left out) of digits with at most one point.
fn read_digits(text: &str, exponent: i32) -> Result<(i128, i32, u8), ErrorCode> {
    let (mut value, mut kept, mut dropped) = (0i128, 0u32, None);
    let (mut exponent, mut point, mut any) = (exponent, false, false);
    for byte in text.bytes() {
        match byte {
            b'.' if !point => point = true,
            b'0'..=b'9' => {
                any = true;
                let digit = byte - b'0';
                if kept < DIGITS_MAX {
                    value = value * 10 + i128::from(digit);
                    kept += u32::from(value != 0);
                    exponent = exponent.saturating_sub(i32::from(point));
                } else {
                    dropped.get_or_insert(digit);
                    exponent = exponent.saturating_add(i32::from(!point));
                }
            }
            _ => return Err(ErrorCode::BadCast),
        }
    }
    if any { Ok((value, exponent, dropped.unwrap_or(0))) } else { Err(ErrorCode::BadCast) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        let to = Digits { precision: 10, scale: 2 };
        let parse = |text| parse_decimal(text, to);
        assert_eq!(parse("1"), Ok(100));
        assert_eq!(parse(" -1.005 "), Ok(-101));
        assert_eq!(parse("+.5"), Ok(50));
        assert_eq!(parse("12e-1"), Ok(120));
        assert_eq!(parse("1e7"), Ok(1_000_000_000));
        assert_eq!(parse("1e8"), Err(ErrorCode::Overflow));
        assert_eq!(parse("0.0000000000000000000000000000000000000000001"), Ok(0));
        for bad in ["", ".", "-", "1.2.3", "1e", "x", "1 2"] {
            assert_eq!(parse(bad), Err(ErrorCode::BadCast), "{bad:?}");
        }
    }

    #[test]
    fn digits_beyond_38_round() {
        let to = Digits { precision: 38, scale: 0 };
        let nines = "9".repeat(38);
        assert_eq!(parse_decimal(&format!("{nines}.4"), to), Ok(10i128.pow(38) - 1));
        assert_eq!(parse_decimal(&format!("{nines}.5"), to), Err(ErrorCode::Overflow));
        assert_eq!(parse_decimal(&"9".repeat(50), to), Err(ErrorCode::Overflow));
        assert_eq!(parse_decimal("1e2147483647", to), Err(ErrorCode::Overflow));
        assert_eq!(parse_decimal("1e-2147483648", to), Ok(0));
    }

    #[test]
    fn integers() {
        assert_eq!(parse_i64(" 42 "), Ok(42));
        assert_eq!(parse_i64("9223372036854775808"), Err(ErrorCode::Overflow));
        assert_eq!(parse_i64("4.2"), Err(ErrorCode::BadCast));
    }
}

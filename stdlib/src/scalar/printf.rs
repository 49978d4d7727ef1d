//! Texts from formats: PRINTF as C and Java have it, FORMAT as Postgres has it.

use flow_ir::types::{DataType, Type};

use super::text::window;
use crate::builtin::{Builtin, Family, NullRule};
use crate::host::{HostArg, HostCx, HostError, HostOut, check_size, host_sees_nulls};
use crate::signature::{Pattern as P, sig};
use crate::text::{write_decimal, write_f64, write_value};

const TEXT: Builtin =
    Builtin { family: Family::Text, nulls: NullRule::SeesNulls, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "PRINTF",
        aliases: &["FORMAT_STRING"],
        doc: "A text with %s, %d, %x, %.2f and their kin replaced by the arguments.",
        overloads: &[
            sig(&[P::String], P::String, host_sees_nulls("printf", printf)).may_be_null(),
            sig(&[P::String, P::Anything], P::String, host_sees_nulls("printf", printf))
                .variadic()
                .may_be_null(),
        ],
        examples: &[
            ("PRINTF('%s has %05d of %.1f%%', 'a', 42, 99.95)", "a has 00042 of 100.0%"),
            ("PRINTF('%2$s %1$s', 'a', 'b')", "b a"),
            ("PRINTF('%-4s|%,d', 'c', 1234567)", "c   |1,234,567"),
            ("PRINTF('%s', NULL)", "null"),
            ("PRINTF(NULL, 1)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "FORMAT",
        doc: "A text with %s, %I (a name) and %L (a literal) replaced by the arguments.",
        overloads: &[
            sig(&[P::String], P::String, host_sees_nulls("format", format)).may_be_null(),
            sig(&[P::String, P::Anything], P::String, host_sees_nulls("format", format))
                .variadic()
                .may_be_null(),
        ],
        examples: &[
            ("FORMAT('%s, %s', 'a', 1.50)", "a, 1.50"),
            ("FORMAT('%2$s %1$L', NULL, 7)", "7 NULL"),
            ("FORMAT(NULL)", "NULL"),
        ],
        ..TEXT
    },
];

/// One `%…` of a format.
#[derive(Clone, Copy, Debug, Default)]
struct Spec {
    /// Position of the argument, from 0; the next one if not given.
    index: Option<usize>,
    left: bool,
    plus: bool,
    blank: bool,
    zero: bool,
    group: bool,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

impl Spec {
    /// The specification behind a `%`, and what comes after it.
    fn parse(text: &str) -> Result<(Spec, &str), HostError> {
        let bad = || {
            let shown: String = text.chars().take(8).collect();
            HostError::bad_argument(format!("'%{shown}' in a format"))
        };
        let mut spec = Spec::default();
        let mut rest = text;
        let (number, after) = digits(rest);
        if let (Some(position), Some(after)) = (number, after.strip_prefix('$')) {
            spec.index = Some(position.checked_sub(1).ok_or_else(bad)?);
            rest = after;
        }
        while let Some(c) = rest.chars().next() {
            match c {
                '-' => spec.left = true,
                '+' => spec.plus = true,
                ' ' => spec.blank = true,
                '0' => spec.zero = true,
                ',' => spec.group = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        let (width, after) = digits(rest);
        spec.width = width.unwrap_or(0);
        rest = after;
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = digits(after);
            spec.precision = Some(precision.ok_or_else(bad)?);
            rest = after;
        }
        check_size(spec.width.max(spec.precision.unwrap_or(0)))?;
        spec.conversion = rest.chars().next().ok_or_else(bad)?;
        Ok((spec, &rest[spec.conversion.len_utf8()..]))
    }

    /// Appends a text filled up to the width; a number may be filled up with zeros.
    fn put(&self, text: &str, number: bool, out: &mut Vec<u8>) {
        let fill = self.width.saturating_sub(text.chars().count());
        let blanks = |out: &mut Vec<u8>| out.resize(out.len() + fill, b' ');
        if self.left {
            out.extend_from_slice(text.as_bytes());
            blanks(out);
        } else if self.zero && number {
            let sign = usize::from(text.starts_with(['-', '+', ' ']));
            out.extend_from_slice(&text.as_bytes()[..sign]);
            out.resize(out.len() + fill, b'0');
            out.extend_from_slice(&text.as_bytes()[sign..]);
        } else {
            blanks(out);
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// A number's digits with its sign, and commas between thousands.
    fn signed(&self, number: String) -> String {
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits.to_string()),
            None => (false, number),
        };
        let digits = if self.group { grouped(&digits) } else { digits };
        match (negative, self.plus, self.blank) {
            (true, ..) => format!("-{digits}"),
            (false, true, _) => format!("+{digits}"),
            (false, false, true) => format!(" {digits}"),
            (false, false, false) => digits,
        }
    }
}

/// The number that a text begins with.
fn digits(text: &str) -> (Option<usize>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().ok(), &text[end..])
}

fn grouped(digits: &str) -> String {
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut out = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out + fraction
}

/// Replaces each `%…` of the first argument by what `write` makes of it and its argument.
fn fill(
    cx: &HostCx,
    args: &[HostArg<'_>],
    out: &mut HostOut<'_>,
    write: fn(&Spec, HostArg<'_>, &Type, &mut Vec<u8>) -> Done,
) -> Done {
    if args[0].is_null() {
        return Ok(());
    }
    let result = out.open();
    let start = result.len();
    let (mut rest, mut next) = (args[0].str(), 1);
    while let Some((before, after)) = rest.split_once('%') {
        result.extend_from_slice(before.as_bytes());
        if let Some(after) = after.strip_prefix('%') {
            result.push(b'%');
            rest = after;
            continue;
        }
        let (spec, after) = Spec::parse(after)?;
        rest = after;
        if spec.conversion == 'n' {
            result.push(b'\n');
            continue;
        }
        let at = match spec.index {
            Some(index) => index.saturating_add(1),
            None => {
                next += 1;
                next - 1
            }
        };
        let (Some(arg), Some(ty)) = (args.get(at), cx.args.get(at)) else {
            return Err(HostError::bad_argument(format!("the format asks for argument {at}")));
        };
        write(&spec, *arg, ty, result)?;
        check_size(result.len() - start)?;
    }
    result.extend_from_slice(rest.as_bytes());
    Ok(())
}

fn printf(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    fill(cx, args, out, |spec, arg, ty, out| {
        if arg.is_null() {
            spec.put("null", false, out);
            return Ok(());
        }
        let number = |text: String| (spec.signed(text), true);
        let (text, numeric) = match spec.conversion {
            's' | 'S' => {
                let text = text_of(arg, ty);
                let cut = window(&text, 0, spec.precision.unwrap_or(usize::MAX)).to_string();
                (if spec.conversion == 'S' { cut.to_uppercase() } else { cut }, false)
            }
            'd' | 'i' | 'u' if ty.data.is_integer() => number(arg.i64().to_string()),
            'x' => (format!("{:x}", bits_of(arg, ty).ok_or_else(|| unfit(spec, ty))?), true),
            'X' => (format!("{:X}", bits_of(arg, ty).ok_or_else(|| unfit(spec, ty))?), true),
            'o' => (format!("{:o}", bits_of(arg, ty).ok_or_else(|| unfit(spec, ty))?), true),
            'c' if ty.data.is_integer() => {
                let code = u32::try_from(arg.i64()).ok().and_then(char::from_u32);
                (code.ok_or_else(|| unfit(spec, ty))?.to_string(), false)
            }
            'c' if ty.data == DataType::String => (window(arg.str(), 0, 1).to_string(), false),
            'b' if ty.data == DataType::Boolean => (arg.bool().to_string(), false),
            'f' if ty.data.is_numeric() => number(fixed(arg, &ty.data, spec.precision)),
            'e' | 'E' if ty.data.is_numeric() => number(scientific(arg, &ty.data, spec)),
            'g' | 'G' if ty.data.is_numeric() => {
                let mut text = Vec::new();
                write_f64(as_f64(arg, &ty.data), &mut text);
                number(String::from_utf8_lossy(&text).into_owned())
            }
            _ => return Err(unfit(spec, ty)),
        };
        spec.put(&text, numeric, out);
        Ok(())
    })
}

fn format(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    fill(cx, args, out, |spec, arg, ty, out| {
        let text = match (spec.conversion, arg.is_null()) {
            ('s', true) => String::new(),
            ('s', false) => text_of(arg, ty),
            ('L', true) => "NULL".to_string(),
            ('L', false) => format!("'{}'", text_of(arg, ty).replace('\'', "''")),
            ('I', false) => format!("\"{}\"", text_of(arg, ty).replace('"', "\"\"")),
            _ => return Err(unfit(spec, ty)),
        };
        spec.put(&text, false, out);
        Ok(())
    })
}

fn unfit(spec: &Spec, ty: &Type) -> HostError {
    HostError::bad_argument(format!("%{} does not take {}", spec.conversion, ty.data))
}

fn text_of(arg: HostArg<'_>, ty: &Type) -> String {
    let mut text = Vec::new();
    match ty.data {
        DataType::Bytes => text.extend_from_slice(arg.bytes()),
        _ => write_value(arg, &ty.data, &mut text),
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The bits of an integer, as many as its type has.
fn bits_of(arg: HostArg<'_>, ty: &Type) -> Option<u64> {
    let bits = ty.data.integer_bits()?;
    Some(arg.i64() as u64 & (u64::MAX >> (64 - bits)))
}

fn as_f64(arg: HostArg<'_>, ty: &DataType) -> f64 {
    match ty {
        DataType::Decimal { scale, .. } => arg.i128() as f64 / 10f64.powi(i32::from(*scale)),
        ty if ty.is_integer() => arg.i64() as f64,
        _ => arg.f64(),
    }
}

/// A number with so many digits behind the point, 6 if nothing is said.
fn fixed(arg: HostArg<'_>, ty: &DataType, precision: Option<usize>) -> String {
    let precision = precision.unwrap_or(6);
    let (value, scale) = match ty {
        DataType::Decimal { scale, .. } => (arg.i128(), usize::from(*scale)),
        ty if ty.is_integer() => (i128::from(arg.i64()), 0),
        _ => return format!("{:.*}", precision, arg.f64()),
    };
    let (value, scale) = if precision < scale {
        let unit = 10i128.pow((scale - precision) as u32);
        let half = if value < 0 { -(unit / 2) } else { unit / 2 };
        ((value + half) / unit, precision)
    } else {
        (value, scale)
    };
    let mut text = Vec::new();
    write_decimal(value, scale as u32, &mut text);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if scale == 0 && precision > 0 {
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', precision - scale));
    text
}

/// `1.500000e+02`.
fn scientific(arg: HostArg<'_>, ty: &DataType, spec: &Spec) -> String {
    let text = format!("{:.*e}", spec.precision.unwrap_or(6), as_f64(arg, ty));
    let text = match text.split_once('e') {
        Some((digits, power)) => {
            let (sign, power) = match power.strip_prefix('-') {
                Some(power) => ('-', power),
                None => ('+', power),
            };
            format!("{digits}e{sign}{power:0>2}")
        }
        None => text,
    };
    if spec.conversion == 'E' { text.to_uppercase() } else { text }
}

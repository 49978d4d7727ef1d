//! Random values of a type: what functions and casts have a meaning for, and the ends of ranges.

use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use crate::source::Source;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// 2026-08-13T12:00:00Z.
const NOON: i64 = 1_786_622_400_000_000;

/// Texts that some function or cast has a meaning for, and texts that are hard to cut.
const TEXTS: [&str; 56] = [
    "",
    "a",
    "abc",
    "Hello World",
    "  padded  ",
    "12",
    "-7",
    "+1.50",
    "1e3",
    "NaN",
    "-Infinity",
    "true",
    "F",
    "9223372036854775808",
    "2026-08-13",
    "2026-08-13 12:34:56.789",
    "2026-08-13T12:34:56+02:00",
    "-0044-03-15",
    "12:34:56",
    "25:00",
    "1 month 2 days -3:00",
    "00000000-0000-0000-0000-00000000000A",
    "{\"a\":{\"b\":[1,2]}}",
    "[1, null, \"x\"]",
    "$.a.b[1]",
    "lax $.a",
    "%",
    "a%_c",
    "a\\%",
    "(a|b)*",
    "([a-z]+)-(\\d+)",
    "[",
    "g",
    "\\2$1",
    "UTC",
    "Europe/Berlin",
    "+05:30",
    "yyyy-MM-dd HH:mm:ss.SSS",
    "YYYY Mon DD",
    "EEE, d MMM",
    "'",
    "DAY",
    "month",
    "second",
    "http://u@h:80/p?a=b&c=%20#f",
    "HOST",
    "aGVsbG8=",
    "ff0a",
    "a,b,,c",
    "ü",
    "straße",
    "😀é",
    "e\u{301}",
    "İ",
    "exactly8",
    "more than sixteen bytes of plain text",
];

/// JSON documents.
const DOCUMENTS: [&str; 12] = [
    "null",
    "true",
    "-1.5e3",
    "\"a\\u00fc\\n\"",
    "{}",
    "[]",
    "{\"a\":{\"b\":[1,2,{\"c\":null}]}}",
    "[1,\"\u{fc}\",null,false]",
    " { \"a\" : 1 ,\n \"a\" : 2 } ",
    "123456789012345678901234567890",
    "{\"\":0}",
    "[[[[]]]]",
];

/// Some values of a type.
pub fn values(s: &mut Source<'_>, ty: &Type) -> Vec<Value> {
    let count = 1 + s.below(10);
    (0..count).map(|_| value(s, ty)).collect()
}

/// A value of a type, NULL now and then if it may be.
pub fn value(s: &mut Source<'_>, ty: &Type) -> Value {
    if ty.nullable && s.once_in(6) { Value::Null } else { value_of(s, &ty.data) }
}

/// A value that is not NULL.
pub fn value_of(s: &mut Source<'_>, ty: &DataType) -> Value {
    match ty {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Boolean(s.below(2) == 1),
        DataType::TinyInt => Value::Int(integer(s, 8)),
        DataType::SmallInt => Value::Int(integer(s, 16)),
        DataType::Int => Value::Int(integer(s, 32)),
        DataType::BigInt => Value::Int(integer(s, 64)),
        DataType::Real => Value::Float(f64::from(real(s))),
        DataType::Double => Value::Float(double(s)),
        DataType::Decimal { precision, .. } => Value::Decimal(decimal(s, *precision)),
        DataType::String => Value::String(text(s)),
        DataType::Bytes => Value::Bytes(bytes(s)),
        DataType::Date => Value::Date(date(s)),
        DataType::Time { .. } => {
            let between = s.short_word().rem_euclid(DAY);
            Value::Time(*s.pick(&[0, 1, DAY - 1, DAY / 2, between]))
        }
        DataType::Timestamp { .. } => Value::Timestamp(instant(s)),
        DataType::TimestampLtz { .. } => Value::TimestampLtz(instant(s)),
        DataType::Interval => {
            let months = *s.pick(&[0, 1, -1, 12, 25, i64::MAX, i64::MIN]);
            let days = s.short_word() % 1_000;
            let micros = *s.pick(&[0, DAY, -1, 3_600_000_000, days * DAY, i64::MAX, i64::MIN]);
            Value::Interval { months, micros }
        }
        DataType::Uuid => {
            let bits = u128::from(s.word()) << 64 | u128::from(s.word());
            Value::Uuid(*s.pick(&[bits, 0, u128::MAX, 1 << 127, 10]))
        }
        DataType::Json => Value::Json((*s.pick(&DOCUMENTS)).to_string()),
        DataType::Array(item) => {
            let count = length(s);
            Value::Array((0..count).map(|_| value(s, item)).collect())
        }
        DataType::Map(key, item) => {
            let count = length(s);
            Value::Map((0..count).map(|_| (value_of(s, &key.data), value(s, item))).collect())
        }
        DataType::Row(fields) => Value::Row(fields.iter().map(|f| value(s, &f.ty)).collect()),
    }
}

/// Elements of a container: few, and at times more than one word has null bits for.
fn length(s: &mut Source<'_>) -> usize {
    if s.once_in(24) { 60 + s.below(10) } else { s.below(4) }
}

fn integer(s: &mut Source<'_>, bits: u32) -> i64 {
    let (least, most) = (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits));
    match s.below(4) {
        0 => s.below(12) as i64,
        1 => -(s.below(8) as i64),
        2 => *s.pick(&[most, least, most - 1, least + 1, most / 2 + 1]),
        _ => s.short_word() << (64 - bits) >> (64 - bits),
    }
}

fn double(s: &mut Source<'_>) -> f64 {
    const ENDS: [f64; 14] = [
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        0.1,
        2.5,
        -0.5,
        9_007_199_254_740_993.0,
        9_223_372_036_854_775_807.0,
        1e38,
    ];
    match s.below(4) {
        0 => s.below(12) as f64,
        1 => *s.pick(&ENDS),
        2 => s.short_word() as f64 / 8.0,
        _ => f64::from_bits(s.word()),
    }
}

fn real(s: &mut Source<'_>) -> f32 {
    const ENDS: [f32; 8] =
        [-0.0, f32::NAN, f32::INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, 0.1];
    match s.below(4) {
        0 => s.below(12) as f32,
        1 => *s.pick(&ENDS),
        2 => s.short_word() as f32 / 8.0,
        _ => f32::from_bits(s.word() as u32),
    }
}

fn decimal(s: &mut Source<'_>, precision: u8) -> i128 {
    let limit = 10i128.pow(u32::from(precision));
    let digits = i128::from(s.word()) << 64 | i128::from(s.word());
    let short = digits >> s.below(127);
    *s.pick(&[0, 1, -1, limit - 1, 1 - limit, limit / 2, digits, short]) % limit
}

fn date(s: &mut Source<'_>) -> i32 {
    let near = s.below(40_000) as i32 - 10_000;
    *s.pick(&[near, 0, -1, 20_678, 60, i32::MAX, i32::MIN])
}

fn instant(s: &mut Source<'_>) -> i64 {
    let near = s.short_word() >> 12;
    let ends = [near, 0, -1, NOON, NOON + near, -62_135_596_800_000_000, i64::MAX, i64::MIN];
    *s.pick(&ends)
}

fn text(s: &mut Source<'_>) -> String {
    match s.below(8) {
        0..=4 => (*s.pick(&TEXTS)).to_string(),
        5 | 6 => (0..1 + s.below(4)).map(|_| *s.pick(&TEXTS)).collect(),
        _ => {
            let (part, times) = (*s.pick(&TEXTS), s.below(40));
            part.repeat(times)
        }
    }
}

fn bytes(s: &mut Source<'_>) -> Vec<u8> {
    match s.below(3) {
        0 => s.bytes(20),
        1 => text(s).into_bytes(),
        _ => vec![0xc3; s.below(33)],
    }
}

/// A value with each scalar in it changed.
pub fn each_scalar(value: Value, change: &dyn Fn(Value) -> Value) -> Value {
    let all = |values: Vec<Value>| values.into_iter().map(|v| each_scalar(v, change)).collect();
    match value {
        Value::Array(items) => Value::Array(all(items)),
        Value::Row(values) => Value::Row(all(values)),
        Value::Map(entries) => {
            let (keys, values) = entries.into_iter().unzip();
            Value::Map(std::iter::zip::<Vec<_>, Vec<_>>(all(keys), all(values)).collect())
        }
        scalar => change(scalar),
    }
}

/// A scalar that JSON tells from NULL: no document that is nothing but null.
pub fn told_from_null(scalar: Value) -> Value {
    match scalar {
        Value::Json(text) if text == "null" => Value::Json("{}".into()),
        other => other,
    }
}

/// A scalar as it comes out of JSON: documents without blanks around them, on one line.
pub fn through_json(scalar: Value) -> Value {
    match scalar {
        Value::Json(text) => Value::Json(text.trim().replace(['\n', '\r'], " ")),
        other => other,
    }
}

/// A scalar whose milliseconds are in the range of its microseconds.
pub fn in_whole_millis(scalar: Value) -> Value {
    let least = i64::MIN / 1_000 * 1_000;
    match scalar {
        Value::Timestamp(micros) => Value::Timestamp(micros.max(least)),
        Value::TimestampLtz(micros) => Value::TimestampLtz(micros.max(least)),
        Value::Interval { months, micros } => Value::Interval { months, micros: micros.max(least) },
        other => other,
    }
}

//! Sign and rounding of numbers, and of times to units. DECIMAL rounds half away from zero, DOUBLE
//! half to even.

use flow_ir::scalar::{ArithOp, CompareOp};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use crate::builder::{Operand, ScalarBuilder};
use crate::builtin::{Builtin, Family, Meaning};
use crate::coerce::{decimal_of, decimal_parts};
use crate::decimal::{self, Digits};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{FLOAT, INSTANT, INTEGER, NUMBER, Pattern as P, sig};

const MATH: Builtin = Builtin { family: Family::Math, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "ABS",
        doc: "The number without its sign.",
        overloads: &[
            sig(&[INTEGER], INTEGER, Meaning::Ops(abs)),
            sig(
                &[FLOAT],
                FLOAT,
                host("abs_float", |_, a, out| {
                    out.f64(a[0].f64().abs());
                    Ok(())
                }),
            ),
            sig(
                &[NUMBER],
                NUMBER,
                host("abs_decimal", |cx, a, out| {
                    out.i128(a[0].i128().wrapping_abs(), cx.result.slot());
                    Ok(())
                }),
            ),
            sig(&[P::Interval], P::Interval, host("abs_interval", abs_interval)),
        ],
        examples: &[("ABS(-3)", "3"), ("ABS(-2.50)", "2.50"), ("ABS(NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "SIGN",
        aliases: &["SIGNUM"],
        doc: "−1, 0 or 1 as the number is below, at or above 0.",
        overloads: &[
            sig(
                &[INTEGER],
                INTEGER,
                host("sign_integer", |_, a, out| {
                    out.i64(a[0].i64().signum());
                    Ok(())
                }),
            ),
            sig(
                &[FLOAT],
                FLOAT,
                host("sign_float", |_, a, out| {
                    let x = a[0].f64();
                    out.f64(if x == 0.0 || x.is_nan() { x } else { x.signum() });
                    Ok(())
                }),
            ),
            sig(
                &[P::Decimal],
                P::Int,
                host("sign_decimal", |_, a, out| {
                    out.i64(a[0].i128().signum() as i64);
                    Ok(())
                }),
            ),
        ],
        examples: &[("SIGN(-3)", "-1"), ("SIGN(2.5)", "1"), ("SIGN(NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "CEIL",
        aliases: &["CEILING"],
        doc: "The least whole number not below; a time's next start of a unit, weeks from Sunday.",
        overloads: &[
            sig(&[INTEGER], INTEGER, Meaning::Ops(|_, a, _| a[0])),
            sig(
                &[FLOAT],
                FLOAT,
                host("ceil_float", |_, a, out| {
                    out.f64(a[0].f64().ceil());
                    Ok(())
                }),
            ),
            sig(&[P::Decimal], P::Double, host("ceil_decimal", ceil_decimal)).returns(whole_type),
            sig(&[P::Date, P::String], P::Date, host("time_ceil", super::time_unit::ceil)),
            sig(&[P::Time, P::String], P::Time, host("ceil_time", super::time_unit::ceil_time))
                .returns(same_type),
            sig(&[INSTANT, P::String], INSTANT, host("time_ceil", super::time_unit::ceil)),
        ],
        examples: &[
            ("CEIL(1.2)", "2"),
            ("CEIL(TIMESTAMP '2026-01-15 00:00:00' TO MONTH)", "2026-02-01 00:00:00"),
            ("CEIL(TIME '23:15:00' TO HOUR)", "00:00:00"),
            ("CEIL(NULL)", "NULL"),
        ],
        ..MATH
    },
    Builtin {
        name: "FLOOR",
        doc: "The greatest whole number not above; a time's start of a unit, weeks from Sunday.",
        overloads: &[
            sig(&[INTEGER], INTEGER, Meaning::Ops(|_, a, _| a[0])),
            sig(
                &[FLOAT],
                FLOAT,
                host("floor_float", |_, a, out| {
                    out.f64(a[0].f64().floor());
                    Ok(())
                }),
            ),
            sig(&[P::Decimal], P::Double, host("floor_decimal", floor_decimal)).returns(whole_type),
            sig(&[P::Date, P::String], P::Date, host("time_floor", super::time_unit::floor)),
            sig(&[P::Time, P::String], P::Time, host("floor_time", super::time_unit::floor_time))
                .returns(same_type),
            sig(&[INSTANT, P::String], INSTANT, host("time_floor", super::time_unit::floor)),
        ],
        examples: &[
            ("FLOOR(-1.2)", "-2"),
            ("FLOOR(TIMESTAMP '2026-01-15 10:30:00' TO HOUR)", "2026-01-15 10:00:00"),
            ("FLOOR(DATE '2026-01-15' TO WEEK)", "2026-01-11"),
            ("FLOOR(TIME '10:31:59' TO MINUTE)", "10:31:00"),
            ("FLOOR(NULL)", "NULL"),
        ],
        ..MATH
    },
    Builtin {
        name: "ROUND",
        doc: "The number rounded to so many digits after the point, 0 when left out.",
        overloads: &[
            sig(&[INTEGER], INTEGER, Meaning::Ops(|_, a, _| a[0])),
            sig(&[INTEGER, P::Int], INTEGER, host("round_integer", round_integer)),
            sig(&[FLOAT], FLOAT, host("round_float", round_float)),
            sig(&[FLOAT, P::Int], FLOAT, host("round_float", round_float)),
            sig(&[P::Decimal], P::Double, host("round_decimal", round_decimal)).returns(round_type),
            sig(&[P::Decimal, P::Int], P::Double, host("round_decimal", round_decimal))
                .returns(round_type),
        ],
        examples: &[
            ("ROUND(2.5)", "3"),
            ("ROUND(2.5e0)", "2.0"),
            ("ROUND(1.255, 2)", "1.26"),
            ("ROUND(155, -1)", "160"),
            ("ROUND(NULL)", "NULL"),
        ],
        ..MATH
    },
    Builtin {
        name: "TRUNCATE",
        aliases: &["TRUNC"],
        doc: "The number cut to so many digits after the point, 0 when left out.",
        overloads: &[
            sig(&[INTEGER], INTEGER, Meaning::Ops(|_, a, _| a[0])),
            sig(&[INTEGER, P::Int], INTEGER, host("truncate_integer", truncate_integer)),
            sig(&[FLOAT], FLOAT, host("truncate_float", truncate_float)),
            sig(&[FLOAT, P::Int], FLOAT, host("truncate_float", truncate_float)),
            sig(&[P::Decimal], P::Double, host("truncate_decimal", truncate_decimal))
                .returns(round_type),
            sig(&[P::Decimal, P::Int], P::Double, host("truncate_decimal", truncate_decimal))
                .returns(round_type),
        ],
        examples: &[
            ("TRUNCATE(2.9)", "2"),
            ("TRUNCATE(-1.259, 2)", "-1.25"),
            ("TRUNCATE(NULL)", "NULL"),
        ],
        ..MATH
    },
];

fn abs(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    let data = ty.data.clone();
    let zero = b.constant(Value::Int(0), Type::not_null(data));
    let negative = b.compare(CompareOp::Lt, args[0], zero);
    let negated = b.guarded(negative, |b| b.arith(ArithOp::Sub, zero, args[0], ty));
    b.select(negative, negated, args[0], ty)
}

fn abs_interval(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (months, micros) = args[0].interval();
    match (months.checked_abs(), micros.checked_abs()) {
        (Some(months), Some(micros)) => out.interval(months, micros),
        _ => return Err(HostError::overflow()),
    }
    Ok(())
}

/// Precision and scale of an argument that is a DECIMAL.
fn parts(ty: &DataType) -> (u32, u32) {
    decimal_parts(ty).unwrap_or((38, 0))
}

/// The type of a DECIMAL rounded to a whole number, which may take a digit more.
fn same_type(args: &[Type], _: &[Option<&Value>]) -> DataType {
    args.first().map_or(DataType::Null, |ty| ty.data.clone())
}

fn whole_type(args: &[Type], _: &[Option<&Value>]) -> DataType {
    let (precision, scale) = args.first().map_or((38, 0), |ty| parts(&ty.data));
    decimal_of((precision - scale + u32::from(scale > 0)).min(38), 0)
}

/// The type of a DECIMAL rounded to a scale: the literal's, if it is known.
fn round_type(args: &[Type], literals: &[Option<&Value>]) -> DataType {
    let (precision, scale) = args.first().map_or((38, 0), |ty| parts(&ty.data));
    let kept = match (args.len(), literals.get(1)) {
        (1, _) => 0,
        (_, Some(Some(Value::Int(n)))) => (*n).clamp(0, i64::from(scale)) as u32,
        _ => scale,
    };
    let grows = u32::from(kept < scale || scale == 0);
    decimal_of((precision - scale + kept + grows).min(38), kept)
}

fn scaled(cx: &HostCx, value: i128, from: u32, out: &mut HostOut<'_>) -> Done {
    let (precision, scale) = parts(&cx.result.data);
    let value = decimal::rescale(value, from, Digits { precision, scale })?;
    out.i128(value, cx.result.slot());
    Ok(())
}

fn ceil_decimal(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unit = decimal::power(parts(&cx.args[0].data).1);
    let value = args[0].i128();
    scaled(cx, value.div_euclid(unit) + i128::from(value.rem_euclid(unit) > 0), 0, out)
}

fn floor_decimal(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unit = decimal::power(parts(&cx.args[0].data).1);
    scaled(cx, args[0].i128().div_euclid(unit), 0, out)
}

/// Digits after the point to keep: the second argument, 0 when left out.
fn kept(args: &[HostArg<'_>]) -> i64 {
    args.get(1).map_or(0, |n| n.i64())
}

/// `value` (of this scale) with zeros for the digits behind `keep`; `divide` says how they go.
fn cut(
    value: i128,
    scale: u32,
    keep: i64,
    divide: fn(i128, i128) -> i128,
) -> Result<i128, HostError> {
    let drop = i64::from(scale) - keep;
    if drop <= 0 {
        return Ok(value);
    }
    if drop > 38 {
        return Ok(0);
    }
    let unit = decimal::power(drop as u32);
    divide(value, unit).checked_mul(unit).ok_or_else(HostError::overflow)
}

fn toward_zero(value: i128, unit: i128) -> i128 {
    value / unit
}

fn round_decimal(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let scale = parts(&cx.args[0].data).1;
    let value = cut(args[0].i128(), scale, kept(args), decimal::round_div)?;
    scaled(cx, value, scale, out)
}

fn truncate_decimal(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let scale = parts(&cx.args[0].data).1;
    let value = cut(args[0].i128(), scale, kept(args), toward_zero)?;
    scaled(cx, value, scale, out)
}

fn put_integer(cx: &HostCx, value: i128, out: &mut HostOut<'_>) -> Done {
    let bits = cx.result.data.integer_bits().unwrap_or(64);
    let value = i64::try_from(value).map_err(|_| HostError::overflow())?;
    if (value << (64 - bits)) >> (64 - bits) != value {
        return Err(HostError::overflow());
    }
    out.i64(value);
    Ok(())
}

fn round_integer(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let value = cut(i128::from(args[0].i64()), 0, kept(args), decimal::round_div)?;
    put_integer(cx, value, out)
}

fn truncate_integer(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let value = cut(i128::from(args[0].i64()), 0, kept(args), toward_zero)?;
    put_integer(cx, value, out)
}

/// `x` with the digits behind `keep` taken away by `whole`.
fn float_digits(x: f64, keep: i64, whole: fn(f64) -> f64) -> f64 {
    let exponent = keep.clamp(-400, 400) as i32;
    if exponent == 0 {
        return whole(x);
    }
    let unit = 10f64.powi(exponent.abs());
    let y = if exponent > 0 { whole(x * unit) / unit } else { whole(x / unit) * unit };
    if y.is_finite() { y } else { x }
}

fn round_float(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.f64(float_digits(args[0].f64(), kept(args), f64::round_ties_even));
    Ok(())
}

fn truncate_float(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.f64(float_digits(args[0].f64(), kept(args), f64::trunc));
    Ok(())
}

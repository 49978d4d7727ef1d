//! Powers, logarithms, angles, random numbers: functions of DOUBLE. An argument outside a
//! function's domain is an error, an overflow is infinity.

use flow_ir::value::Value;

use crate::builtin::{Builtin, Family, Meaning, Volatility};
use crate::host::{HostArg, HostCx, HostError, HostFn, HostOut, host};
use crate::signature::{Pattern as P, sig};

const MATH: Builtin = Builtin { family: Family::Math, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// A function from DOUBLE to DOUBLE, with its domain.
macro_rules! double {
    ($name:literal, $aliases:expr, $host:literal, $doc:literal, $compute:expr, $examples:expr) => {
        Builtin {
            name: $name,
            aliases: $aliases,
            doc: $doc,
            overloads: &[sig(
                &[P::Double],
                P::Double,
                host($host, |_, a, out| {
                    let compute: fn(f64) -> f64 = $compute;
                    of_double($name, a[0].f64(), compute, out)
                }),
            )],
            examples: $examples,
            ..MATH
        }
    };
}

/// Sine and cosine of an angle in degrees, exact where they are 0, a half or 1.
fn in_degrees(angle: f64) -> (f64, f64) {
    let sine = |angle: f64| {
        let turned = angle.rem_euclid(360.0);
        let (sign, turned) = if turned >= 180.0 { (-1.0, turned - 180.0) } else { (1.0, turned) };
        let acute = if turned > 90.0 { 180.0 - turned } else { turned };
        let value = match acute {
            0.0 => 0.0,
            30.0 => 0.5,
            90.0 => 1.0,
            _ => acute.to_radians().sin(),
        };
        sign * value
    };
    let (sine, cosine) = (sine(angle), sine(angle + 90.0));
    // The two are equal where a tangent is 1.
    if angle.rem_euclid(90.0) == 45.0 {
        (sine, cosine.signum() * sine.abs())
    } else {
        (sine, cosine)
    }
}

/// Puts `compute(x)`; NaN for a number is an argument outside the domain.
fn of_double(name: &str, x: f64, compute: fn(f64) -> f64, out: &mut HostOut<'_>) -> Done {
    let y = compute(x);
    if y.is_nan() && !x.is_nan() {
        return Err(HostError::bad_argument(format!("{name} of {x}")));
    }
    out.f64(y);
    Ok(())
}

/// The logarithm if there is one.
fn ln(x: f64) -> f64 {
    if x > 0.0 { x.ln() } else { f64::NAN }
}

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "POWER",
        aliases: &["POW"],
        doc: "The first number to the power of the second.",
        overloads: &[sig(&[P::Double, P::Double], P::Double, host("power", power))],
        examples: &[("POWER(2, 10)", "1024.0"), ("POWER(2, NULL)", "NULL")],
        ..MATH
    },
    double!(
        "SQRT",
        &[],
        "sqrt",
        "The square root.",
        f64::sqrt,
        &[("SQRT(9)", "3.0"), ("SQRT(NULL)", "NULL"),]
    ),
    double!(
        "CBRT",
        &[],
        "cbrt",
        "The cube root.",
        f64::cbrt,
        &[("CBRT(27)", "3.0"), ("CBRT(NULL)", "NULL"),]
    ),
    double!(
        "EXP",
        &[],
        "exp",
        "Euler's number to a power.",
        f64::exp,
        &[("EXP(0)", "1.0"), ("EXP(NULL)", "NULL"),]
    ),
    double!(
        "LN",
        &[],
        "ln",
        "The natural logarithm.",
        ln,
        &[("LN(1)", "0.0"), ("LN(NULL)", "NULL")]
    ),
    double!(
        "LOG10",
        &[],
        "log10",
        "The logarithm of base 10.",
        log10,
        &[("LOG10(1000)", "3.0"), ("LOG10(NULL)", "NULL"),]
    ),
    double!(
        "LOG2",
        &[],
        "log2",
        "The logarithm of base 2.",
        log2,
        &[("LOG2(8)", "3.0"), ("LOG2(NULL)", "NULL"),]
    ),
    Builtin {
        name: "LOG",
        doc: "The logarithm of base 10, or of the first number as base.",
        overloads: &[
            sig(
                &[P::Double],
                P::Double,
                host("log", |_, a, out| of_double("LOG", a[0].f64(), log10, out)),
            ),
            sig(&[P::Double, P::Double], P::Double, host("log_of_base", log_of_base)),
        ],
        examples: &[("LOG(100)", "2.0"), ("LOG(2, 8)", "3.0"), ("LOG(NULL)", "NULL")],
        ..MATH
    },
    double!(
        "SIN",
        &[],
        "sin",
        "The sine of an angle in radians.",
        f64::sin,
        &[("SIN(0)", "0.0"), ("SIN(NULL)", "NULL"),]
    ),
    double!(
        "COS",
        &[],
        "cos",
        "The cosine of an angle in radians.",
        f64::cos,
        &[("COS(0)", "1.0"), ("COS(NULL)", "NULL"),]
    ),
    double!(
        "TAN",
        &[],
        "tan",
        "The tangent of an angle in radians.",
        f64::tan,
        &[("TAN(0)", "0.0"), ("TAN(NULL)", "NULL"),]
    ),
    double!(
        "COT",
        &[],
        "cot",
        "The cotangent of an angle in radians.",
        |x| 1.0 / x.tan(),
        &[("ROUND(COT(1), 4)", "0.6421"), ("COT(NULL)", "NULL"),]
    ),
    double!(
        "SIND",
        &[],
        "sind",
        "The sine of an angle in degrees.",
        |x| in_degrees(x).0,
        &[("SIND(30)", "0.5"), ("SIND(NULL)", "NULL"),]
    ),
    double!(
        "COSD",
        &[],
        "cosd",
        "The cosine of an angle in degrees.",
        |x| in_degrees(x).1,
        &[("COSD(60)", "0.5"), ("COSD(NULL)", "NULL"),]
    ),
    double!(
        "TAND",
        &[],
        "tand",
        "The tangent of an angle in degrees.",
        |x| in_degrees(x).0 / in_degrees(x).1,
        &[("TAND(45)", "1.0"), ("TAND(NULL)", "NULL"),]
    ),
    double!(
        "ASIN",
        &[],
        "asin",
        "The angle in radians of a sine.",
        f64::asin,
        &[("ASIN(0)", "0.0"), ("ASIN(NULL)", "NULL"),]
    ),
    double!(
        "ACOS",
        &[],
        "acos",
        "The angle in radians of a cosine.",
        f64::acos,
        &[("ACOS(1)", "0.0"), ("ACOS(NULL)", "NULL"),]
    ),
    double!(
        "ATAN",
        &[],
        "atan",
        "The angle in radians of a tangent.",
        f64::atan,
        &[("ATAN(0)", "0.0"), ("ATAN(NULL)", "NULL"),]
    ),
    Builtin {
        name: "ATAN2",
        doc: "The angle in radians of the point (second, first).",
        overloads: &[sig(
            &[P::Double, P::Double],
            P::Double,
            host("atan2", |_, a, out| {
                out.f64(a[0].f64().atan2(a[1].f64()));
                Ok(())
            }),
        )],
        examples: &[("ATAN2(0, 1)", "0.0"), ("ATAN2(NULL, 1)", "NULL")],
        ..MATH
    },
    double!(
        "SINH",
        &[],
        "sinh",
        "The hyperbolic sine.",
        f64::sinh,
        &[("SINH(0)", "0.0"), ("SINH(NULL)", "NULL"),]
    ),
    double!(
        "ASINH",
        &[],
        "asinh",
        "The inverse hyperbolic sine.",
        f64::asinh,
        &[("ASINH(0)", "0.0"), ("ASINH(NULL)", "NULL"),]
    ),
    double!(
        "ACOSH",
        &[],
        "acosh",
        "The inverse hyperbolic cosine; NaN below 1.",
        f64::acosh,
        &[("ACOSH(1)", "0.0"), ("ACOSH(NULL)", "NULL"),]
    ),
    double!(
        "ATANH",
        &[],
        "atanh",
        "The inverse hyperbolic tangent; NaN beyond 1.",
        f64::atanh,
        &[("ATANH(0)", "0.0"), ("ATANH(NULL)", "NULL"),]
    ),
    double!(
        "COSH",
        &[],
        "cosh",
        "The hyperbolic cosine.",
        f64::cosh,
        &[("COSH(0)", "1.0"), ("COSH(NULL)", "NULL"),]
    ),
    double!(
        "TANH",
        &[],
        "tanh",
        "The hyperbolic tangent.",
        f64::tanh,
        &[("TANH(0)", "0.0"), ("TANH(NULL)", "NULL"),]
    ),
    double!(
        "DEGREES",
        &[],
        "degrees",
        "Radians as degrees.",
        f64::to_degrees,
        &[("DEGREES(PI())", "180.0"), ("DEGREES(NULL)", "NULL"),]
    ),
    double!(
        "RADIANS",
        &[],
        "radians",
        "Degrees as radians.",
        f64::to_radians,
        &[("RADIANS(180) = PI()", "TRUE"), ("RADIANS(NULL)", "NULL"),]
    ),
    Builtin {
        name: "PI",
        doc: "The circumference of a circle of diameter 1.",
        overloads: &[sig(
            &[],
            P::Double,
            Meaning::Ops(|b, _, ty| b.constant(Value::Float(std::f64::consts::PI), ty.clone())),
        )],
        examples: &[("PI()", "3.141592653589793"), ("PI() IS NULL", "FALSE")],
        ..MATH
    },
    Builtin {
        name: "E",
        doc: "Euler's number.",
        overloads: &[sig(
            &[],
            P::Double,
            Meaning::Ops(|b, _, ty| b.constant(Value::Float(std::f64::consts::E), ty.clone())),
        )],
        examples: &[("E()", "2.718281828459045"), ("E() IS NULL", "FALSE")],
        ..MATH
    },
    Builtin {
        name: "RAND",
        aliases: &["RANDOM"],
        doc: "A random DOUBLE from 0 up to 1, another at each call.",
        overloads: &[sig(
            &[],
            P::Double,
            Meaning::Host(HostFn::impure("rand", |_, _, out| {
                out.f64(random());
                Ok(())
            })),
        )],
        volatility: Volatility::NonDeterministic,
        examples: &[("RAND() < 1", "TRUE"), ("RAND() IS NULL", "FALSE")],
        ..MATH
    },
    Builtin {
        name: "RAND_INTEGER",
        doc: "A random integer from 0 up to a bound, another at each call.",
        overloads: &[sig(
            &[P::Int],
            P::Int,
            Meaning::Host(HostFn::impure("rand_integer", rand_integer)),
        )],
        volatility: Volatility::NonDeterministic,
        examples: &[("RAND_INTEGER(1)", "0"), ("RAND_INTEGER(NULL)", "NULL")],
        ..MATH
    },
];

fn log10(x: f64) -> f64 {
    if x > 0.0 { x.log10() } else { f64::NAN }
}

fn log2(x: f64) -> f64 {
    if x > 0.0 { x.log2() } else { f64::NAN }
}

fn power(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (x, y) = (args[0].f64(), args[1].f64());
    let result = x.powf(y);
    if (result.is_nan() && !x.is_nan() && !y.is_nan()) || (x == 0.0 && y < 0.0) {
        return Err(HostError::bad_argument(format!("POWER of {x} and {y}")));
    }
    out.f64(result);
    Ok(())
}

fn log_of_base(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (base, x) = (args[0].f64(), args[1].f64());
    let result = if base == 2.0 {
        log2(x)
    } else if base == 10.0 {
        log10(x)
    } else {
        ln(x) / ln(base)
    };
    if !result.is_finite() && base.is_finite() && x.is_finite() {
        return Err(HostError::bad_argument(format!("LOG of base {base} of {x}")));
    }
    out.f64(result);
    Ok(())
}

/// A random number from 0 up to 1, of 53 random bits.
fn random() -> f64 {
    let bits = uuid::Uuid::new_v4().as_u128() as u64 >> 2;
    (bits & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
}

fn rand_integer(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let bound = args[0].i64();
    if bound < 1 {
        return Err(HostError::bad_argument(format!("a bound of {bound}")));
    }
    out.i64((random() * bound as f64) as i64);
    Ok(())
}

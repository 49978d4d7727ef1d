//! Whole numbers, buckets, distances, and what a float is.

use super::arrays::elements;
use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{Pattern as P, sig};

const MATH: Builtin = Builtin { family: Family::Math, ..Builtin::STRICT };

/// The mean radius of the earth in kilometres, and kilometres a mile.
const EARTH_KM: f64 = 6371.0;
const KM_PER_MILE: f64 = 1.609_344;

type Done = Result<(), HostError>;

macro_rules! asks {
    ($name:literal, $aliases:expr, $host:literal, $doc:literal, $holds:expr, $examples:expr) => {
        Builtin {
            name: $name,
            aliases: $aliases,
            doc: $doc,
            overloads: &[sig(
                &[P::Double],
                P::Boolean,
                host($host, |_, a, out| {
                    let holds: fn(f64) -> bool = $holds;
                    out.bool(holds(a[0].f64()));
                    Ok(())
                }),
            )],
            examples: $examples,
            ..MATH
        }
    };
}

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "GCD",
        aliases: &["GREATEST_COMMON_DIVISOR"],
        doc: "The greatest integer that divides both.",
        overloads: &[sig(
            &[P::BigInt, P::BigInt],
            P::BigInt,
            host("gcd", |_, a, out| {
                out.i64(whole(gcd(a[0].i64(), a[1].i64()))?);
                Ok(())
            }),
        )],
        examples: &[("GCD(42, 57)", "3"), ("GCD(0, -7)", "7"), ("GCD(1, NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "LCM",
        aliases: &["LEAST_COMMON_MULTIPLE"],
        doc: "The least positive integer that both divide; 0 if one is 0.",
        overloads: &[sig(
            &[P::BigInt, P::BigInt],
            P::BigInt,
            host("lcm", |_, a, out| {
                let (x, y) = (a[0].i64(), a[1].i64());
                let divisor = gcd(x, y).max(1);
                let product = u128::from(x.unsigned_abs()) * u128::from(y.unsigned_abs());
                out.i64(whole(product / divisor)?);
                Ok(())
            }),
        )],
        examples: &[("LCM(4, 6)", "12"), ("LCM(0, 6)", "0"), ("LCM(1, NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "FACTORIAL",
        doc: "The product of the integers from 1 to a number of at most 20.",
        overloads: &[sig(&[P::BigInt], P::BigInt, host("factorial", factorial))],
        examples: &[("FACTORIAL(5)", "120"), ("FACTORIAL(NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "DIV",
        doc: "The quotient of two integers, cut toward zero.",
        overloads: &[sig(
            &[P::BigInt, P::BigInt],
            P::BigInt,
            crate::builtin::Meaning::Ops(|b, a, ty| {
                b.arith(flow_ir::scalar::ArithOp::Div, a[0], a[1], ty)
            }),
        )],
        examples: &[("DIV(-7, 2)", "-3"), ("DIV(1, NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "PMOD",
        doc: "The remainder of a division, never below 0 for a positive divisor.",
        overloads: &[sig(&[P::BigInt, P::BigInt], P::BigInt, host("pmod", pmod))],
        examples: &[("PMOD(-7, 3)", "2"), ("PMOD(7, NULL)", "NULL")],
        ..MATH
    },
    Builtin {
        name: "WIDTH_BUCKET",
        doc: "The number of the equal bucket between two bounds that a number lies in, from 1.",
        overloads: &[
            sig(
                &[P::Double, P::Double, P::Double, P::Int],
                P::Int,
                host("width_bucket", width_bucket),
            ),
            sig(
                &[P::Double, P::Array(&P::Double)],
                P::Int,
                host("width_bucket_of", width_bucket_of),
            ),
        ],
        examples: &[
            ("WIDTH_BUCKET(5.35, 0.024, 10.06, 5)", "3"),
            ("WIDTH_BUCKET(-1, 0, 10, 5)", "0"),
            ("WIDTH_BUCKET(10, 0, 10, 5)", "6"),
            ("WIDTH_BUCKET(7, ARRAY[1, 5, 10])", "2"),
            ("WIDTH_BUCKET(7, 0, NULL, 5)", "NULL"),
        ],
        ..MATH
    },
    Builtin {
        name: "CONV",
        doc: "The digits of a number in one base of 2 to 36 as those of another.",
        overloads: &[
            sig(
                &[P::String, P::BigInt, P::BigInt],
                P::String,
                host("conv", |_, args, out| conv(args[0].str(), args[1], args[2], out)),
            ),
            sig(
                &[P::BigInt, P::BigInt, P::BigInt],
                P::String,
                host("conv_number", |_, args, out| {
                    conv(&args[0].i64().to_string(), args[1], args[2], out)
                }),
            ),
        ],
        examples: &[
            ("CONV(10, 10, 2)", "1010"),
            ("CONV('ff', 16, 2)", "11111111"),
            ("CONV('-10', 10, 16)", "-A"),
            ("CONV(NULL, 10, 2)", "NULL"),
        ],
        ..MATH
    },
    Builtin {
        name: "GEO_DISTANCE",
        doc: "Kilometres (or 'miles') between two points: latitude, longitude, twice, in degrees.",
        overloads: &[
            sig(
                &[P::Double, P::Double, P::Double, P::Double],
                P::Double,
                host("geo_distance", geo_distance),
            ),
            sig(
                &[P::Double, P::Double, P::Double, P::Double, P::String],
                P::Double,
                host("geo_distance", geo_distance),
            ),
        ],
        examples: &[
            ("ROUND(GEO_DISTANCE(37.4439, -122.1663, 51.5257, -0.1122))", "8635.0"),
            ("ROUND(GEO_DISTANCE(0, 0, 0, 1, 'miles'), 2)", "69.09"),
            ("GEO_DISTANCE(0, 0, 0, NULL)", "NULL"),
        ],
        ..MATH
    },
    asks!(
        "IS_NAN",
        &["ISNAN"],
        "is_nan",
        "Whether a float is not a number.",
        f64::is_nan,
        &[("IS_NAN(CAST('NaN' AS DOUBLE))", "TRUE"), ("IS_NAN(NULL)", "NULL")]
    ),
    asks!(
        "IS_INF",
        &["ISINF"],
        "is_inf",
        "Whether a float is one of the infinities.",
        f64::is_infinite,
        &[("IS_INF(-1.0e0 / 0)", "TRUE"), ("IS_INF(NULL)", "NULL")]
    ),
    asks!(
        "IS_FINITE",
        &["ISFINITE"],
        "is_finite",
        "Whether a float is neither infinite nor NaN.",
        f64::is_finite,
        &[("IS_FINITE(1.5)", "TRUE"), ("IS_FINITE(NULL)", "NULL")]
    ),
];

fn gcd(a: i64, b: i64) -> u128 {
    let (mut a, mut b) = (u128::from(a.unsigned_abs()), u128::from(b.unsigned_abs()));
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn whole(value: u128) -> Result<i64, HostError> {
    i64::try_from(value).map_err(|_| HostError::overflow())
}

fn factorial(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let n = args[0].i64();
    if n < 0 {
        return Err(HostError::bad_argument(format!("FACTORIAL of {n}")));
    }
    if n > 20 {
        return Err(HostError::overflow());
    }
    out.i64((1..=n).product());
    Ok(())
}

fn pmod(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (a, b) = (args[0].i64(), args[1].i64());
    if b == 0 {
        return Err(flow_ir::kernel::ErrorCode::DivisionByZero.into());
    }
    let rest = a.wrapping_rem(b);
    out.i64(if rest < 0 && b > 0 { rest + b } else { rest });
    Ok(())
}

fn width_bucket(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (x, low, high, count) = (args[0].f64(), args[1].f64(), args[2].f64(), args[3].i64());
    let counts = (1..i64::from(i32::MAX)).contains(&count);
    if !counts || low == high || !low.is_finite() || !high.is_finite() || x.is_nan() {
        return Err(HostError::bad_argument(format!(
            "WIDTH_BUCKET of {x} among {count} between {low} and {high}"
        )));
    }
    let (below, above) = if low < high { (x < low, x >= high) } else { (x > low, x <= high) };
    let bucket = ((x - low) / (high - low) * count as f64).floor() as i64;
    out.i64(match (below, above) {
        (true, _) => 0,
        (false, true) => count + 1,
        (false, false) => bucket.min(count - 1) + 1,
    });
    Ok(())
}

/// How many of ascending bounds a number reaches.
fn width_bucket_of(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let bounds = elements(args[1], &cx.args[1]);
    if bounds.iter().any(|bound| bound.is_null()) {
        return Err(HostError::bad_argument("a bound is NULL"));
    }
    out.i64(bounds.iter().filter(|bound| args[0].f64() >= bound.f64()).count() as i64);
    Ok(())
}

fn conv(text: &str, from: HostArg<'_>, to: HostArg<'_>, out: &mut HostOut<'_>) -> Done {
    let base = |arg: HostArg<'_>| {
        let base = u32::try_from(arg.i64()).ok().filter(|base| (2..=36).contains(base));
        base.ok_or_else(|| HostError::bad_argument(format!("a base of {}", arg.i64())))
    };
    let (from, to) = (base(from)?, base(to)?);
    let mut value = i128::from_str_radix(text.trim(), from)
        .map_err(|_| HostError::bad_argument(format!("no digits of base {from}")))?;
    let negative = value < 0;
    let mut digits = Vec::new();
    while digits.is_empty() || value != 0 {
        let digit = (value % i128::from(to)).unsigned_abs() as u32;
        digits.push(char::from_digit(digit, to).unwrap_or('0').to_ascii_uppercase() as u8);
        value /= i128::from(to);
    }
    if negative {
        digits.push(b'-');
    }
    digits.reverse();
    out.bytes(&digits);
    Ok(())
}

fn geo_distance(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let [a, b, c, d] = [0, 1, 2, 3].map(|i: usize| args[i].f64());
    let holds = |latitude: f64, longitude: f64| {
        (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude)
    };
    if !holds(a, b) || !holds(c, d) {
        return Err(HostError::bad_argument(format!("no points ({a}, {b}) and ({c}, {d})")));
    }
    let unit = match args.get(4).map(|unit| unit.str().to_ascii_lowercase()) {
        None => 1.0,
        Some(unit) if unit.starts_with("km") || unit.starts_with("kilo") => 1.0,
        Some(unit) if unit.starts_with("mi") => KM_PER_MILE,
        Some(unit) => return Err(HostError::bad_argument(format!("no unit '{unit}'"))),
    };
    let [lat_a, lat_b] = [a, c].map(f64::to_radians);
    let half = |x: f64, y: f64| ((y - x).to_radians() / 2.0).sin().powi(2);
    let haversine = half(a, c) + lat_a.cos() * lat_b.cos() * half(b, d);
    out.f64(2.0 * EARTH_KM * haversine.sqrt().min(1.0).asin() / unit);
    Ok(())
}

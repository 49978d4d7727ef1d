//! Operators: arithmetic, comparison, concatenation, element access, AT TIME ZONE. AND, OR, NOT
//! and IS NULL are forms of expressions, not builtins.

use flow_ir::scalar::{ArithOp, CompareOp};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::interval as time;
use crate::builder::{Operand, ScalarBuilder};
use crate::builtin::{Builtin, Family, Meaning, NullRule};
use crate::coerce::{decimal_of, decimal_parts};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{
    ANY, ARRAY, FLOAT, INSTANT, INTEGER, MAP, NUMBER, Nullability, OCTETS, OTHER, Pattern as P, sig,
};

const OPERATOR: Builtin = Builtin { family: Family::Operator, ..Builtin::STRICT };

macro_rules! comparison {
    ($name:literal, $aliases:expr, $op:ident, $doc:literal, $holds:literal, $null:literal) => {
        Builtin {
            name: $name,
            aliases: $aliases,
            doc: $doc,
            overloads: &[sig(
                &[ANY, ANY],
                P::Boolean,
                Meaning::Ops(|b, a, _| b.compare(CompareOp::$op, a[0], a[1])),
            )],
            examples: &[($holds, "TRUE"), ($null, "NULL")],
            ..OPERATOR
        }
    };
}

/// The operators.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "+",
        doc: "The sum; a timestamp, date or time moved forward by an interval.",
        overloads: &[
            sig(&[INTEGER, INTEGER], INTEGER, ADD),
            sig(&[FLOAT, FLOAT], FLOAT, ADD),
            sig(&[P::Decimal, P::Decimal], P::Double, ADD).returns(sum_type),
            sig(&[P::Date, P::Interval], P::Date, Meaning::Ops(time::date_plus))
                .returns(time::moved_date),
            sig(
                &[INSTANT, P::Interval],
                INSTANT,
                Meaning::Ops(|b, a, ty| time::shift(b, a[0], a[1], ty)),
            ),
            sig(&[P::Interval, P::Date], P::Date, Meaning::Ops(time::date_plus_swapped))
                .returns(time::moved_date),
            sig(
                &[P::Interval, INSTANT],
                INSTANT,
                Meaning::Ops(|b, a, ty| time::shift(b, a[1], a[0], ty)),
            ),
            sig(&[P::Interval, P::Interval], P::Interval, host("interval_add", time::interval_add)),
            sig(&[P::Time, P::Interval], P::Time, host("time_add", time::time_add)),
            sig(&[P::Date, P::Int], P::Date, host("date_add_days", time::date_add_days)),
        ],
        examples: &[
            ("1 + 2", "3"),
            ("1.5 + 2", "3.5"),
            ("TIMESTAMP '2026-01-31 00:00:00' + INTERVAL '1' MONTH", "2026-02-28 00:00:00"),
            ("NULL + 1", "NULL"),
        ],
        ..OPERATOR
    },
    Builtin {
        name: "-",
        doc: "The difference; between two timestamps or dates an interval.",
        overloads: &[
            sig(&[INTEGER, INTEGER], INTEGER, SUB),
            sig(&[FLOAT, FLOAT], FLOAT, SUB),
            sig(&[P::Decimal, P::Decimal], P::Double, SUB).returns(sum_type),
            sig(&[P::Date, P::Date], P::Interval, host("date_diff", time::date_diff)),
            sig(&[INSTANT, INSTANT], P::Interval, host("timestamp_diff", time::timestamp_diff)),
            sig(&[P::Date, P::Interval], P::Date, Meaning::Ops(time::date_minus))
                .returns(time::moved_date),
            sig(&[INSTANT, P::Interval], INSTANT, Meaning::Ops(time::instant_minus)),
            sig(&[P::Interval, P::Interval], P::Interval, host("interval_sub", time::interval_sub)),
            sig(&[P::Time, P::Time], P::Interval, host("timestamp_diff", time::timestamp_diff)),
            sig(&[P::Time, P::Interval], P::Time, host("time_sub", time::time_sub)),
            sig(&[P::Date, P::Int], P::Date, host("date_sub_days", time::date_sub_days)),
        ],
        examples: &[
            ("5 - 7", "-2"),
            ("DATE '2026-01-03' - DATE '2026-01-01'", "2 days"),
            ("TIMESTAMP '2026-01-01 00:00:05' - INTERVAL '5' SECOND", "2026-01-01 00:00:00"),
            ("1 - NULL", "NULL"),
        ],
        ..OPERATOR
    },
    Builtin {
        name: "*",
        doc: "The product; an interval times a number.",
        overloads: &[
            sig(&[INTEGER, INTEGER], INTEGER, MUL),
            sig(&[FLOAT, FLOAT], FLOAT, MUL),
            sig(&[P::Decimal, P::Decimal], P::Double, MUL).returns(product_type),
            sig(&[P::Interval, P::BigInt], P::Interval, host("interval_mul", time::interval_mul)),
            sig(&[P::BigInt, P::Interval], P::Interval, host("mul_interval", time::mul_interval)),
            sig(
                &[P::Interval, P::Double],
                P::Interval,
                host("interval_scale", time::interval_scale),
            ),
            sig(
                &[P::Double, P::Interval],
                P::Interval,
                host("scale_interval", time::scale_interval),
            ),
        ],
        examples: &[
            ("6 * 7", "42"),
            ("0.908 * 100", "90.800"),
            ("INTERVAL '5' SECOND * 3", "00:00:15"),
            ("INTERVAL '1' HOUR * 1.5", "01:30:00"),
            ("0.5 * INTERVAL '3' MONTH", "1 month 15 days"),
            ("NULL * 2", "NULL"),
        ],
        ..OPERATOR
    },
    Builtin {
        name: "/",
        doc: "The quotient; of integers, cut toward zero.",
        overloads: &[
            sig(&[INTEGER, INTEGER], INTEGER, DIV),
            sig(&[FLOAT, FLOAT], FLOAT, DIV),
            sig(&[P::Decimal, P::Decimal], P::Double, DIV).returns(quotient_type),
            sig(&[P::Interval, P::BigInt], P::Interval, host("interval_div", time::interval_div)),
            sig(&[P::Interval, P::Double], P::Interval, host("interval_part", time::interval_part)),
        ],
        examples: &[
            ("7 / 2", "3"),
            ("-7 / 2", "-3"),
            ("7.0 / 2", "3.500000000000"),
            ("1 / NULL", "NULL"),
        ],
        ..OPERATOR
    },
    Builtin {
        name: "%",
        aliases: &["MOD"],
        doc: "The remainder, with the sign of the dividend.",
        overloads: &[
            sig(&[INTEGER, INTEGER], INTEGER, REM),
            sig(&[FLOAT, FLOAT], FLOAT, REM),
            sig(&[P::Decimal, P::Decimal], P::Double, REM).returns(remainder_type),
        ],
        examples: &[("7 % 3", "1"), ("-7 % 3", "-1"), ("MOD(7.5, 2)", "1.5"), ("NULL % 2", "NULL")],
        ..OPERATOR
    },
    Builtin {
        name: "neg",
        doc: "The number or interval with the other sign: unary minus.",
        overloads: &[
            sig(&[NUMBER], NUMBER, Meaning::Ops(|b, a, ty| b.neg(a[0], ty))),
            sig(&[P::Interval], P::Interval, Meaning::Ops(|b, a, ty| b.neg(a[0], ty))),
        ],
        examples: &[("-(1 + 2)", "-3"), ("-CAST(NULL AS INT)", "NULL")],
        ..OPERATOR
    },
    comparison!("=", &[], Eq, "Whether two values are equal.", "1 = 1.0", "1 = NULL"),
    comparison!("<>", &["!="], Ne, "Whether two values differ.", "1 <> 2", "1 <> NULL"),
    comparison!("<", &[], Lt, "Whether the first comes before.", "1 < 2", "NULL < 2"),
    comparison!("<=", &[], Le, "Whether the first does not come after.", "2 <= 2", "NULL <= 2"),
    comparison!(">", &[], Gt, "Whether the first comes after.", "'b' > 'a'", "1 > NULL"),
    comparison!(">=", &[], Ge, "Whether the first does not come before.", "3 >= 2", "1 >= NULL"),
    Builtin {
        name: "IS DISTINCT FROM",
        doc: "Whether two values differ, NULL being a value like any other.",
        overloads: &[
            sig(&[ANY, ANY], P::Boolean, Meaning::Ops(is_distinct)).nullability(Nullability::Never)
        ],
        nulls: NullRule::SeesNulls,
        examples: &[("1 IS DISTINCT FROM NULL", "TRUE"), ("NULL IS DISTINCT FROM NULL", "FALSE")],
        ..OPERATOR
    },
    Builtin {
        name: "IS NOT DISTINCT FROM",
        doc: "Whether two values are equal, NULL being equal to NULL.",
        overloads: &[sig(&[ANY, ANY], P::Boolean, Meaning::Ops(is_not_distinct))
            .nullability(Nullability::Never)],
        nulls: NullRule::SeesNulls,
        examples: &[
            ("1 IS NOT DISTINCT FROM NULL", "FALSE"),
            ("NULL IS NOT DISTINCT FROM NULL", "TRUE"),
        ],
        ..OPERATOR
    },
    Builtin {
        name: "IS TRUE",
        doc: "TRUE where the condition is TRUE, else FALSE.",
        overloads: &[
            sig(&[P::Boolean], P::Boolean, Meaning::Ops(is_true)).nullability(Nullability::Never)
        ],
        nulls: NullRule::SeesNulls,
        examples: &[("(1 = 1) IS TRUE", "TRUE"), ("CAST(NULL AS BOOLEAN) IS TRUE", "FALSE")],
        ..OPERATOR
    },
    Builtin {
        name: "IS FALSE",
        doc: "TRUE where the condition is FALSE, else FALSE.",
        overloads: &[
            sig(&[P::Boolean], P::Boolean, Meaning::Ops(is_false)).nullability(Nullability::Never)
        ],
        nulls: NullRule::SeesNulls,
        examples: &[("(1 = 2) IS FALSE", "TRUE"), ("CAST(NULL AS BOOLEAN) IS FALSE", "FALSE")],
        ..OPERATOR
    },
    Builtin {
        name: "||",
        doc: "The two texts, byte strings or arrays end to end; NULL if one is NULL.",
        overloads: &[
            sig(&[OCTETS, OCTETS], OCTETS, host("concat_octets", concat_octets)),
            sig(&[ARRAY, ARRAY], ARRAY, host("array_concat", super::arrays::array_concat)),
        ],
        examples: &[
            ("'a' || 'b'", "ab"),
            ("ARRAY[1] || ARRAY[2]", "[1, 2]"),
            ("'a' || NULL", "NULL"),
        ],
        ..OPERATOR
    },
    Builtin {
        name: "[]",
        doc: "An array's element, counted from 1, or a map's value of a key; NULL if none.",
        overloads: &[
            sig(&[ARRAY, P::BigInt], ANY, Meaning::Ops(|b, a, ty| b.element(a[0], a[1], ty)))
                .may_be_null(),
            sig(&[MAP, ANY], OTHER, host("map_get", super::maps::map_get)).may_be_null(),
        ],
        examples: &[
            ("ARRAY['a', 'b'][1]", "a"),
            ("ARRAY['a', 'b'][3]", "NULL"),
            ("MAP['a', 1]['a']", "1"),
        ],
        ..OPERATOR
    },
    Builtin {
        name: "AT TIME ZONE",
        doc: "A TIMESTAMP taken as the time in a zone, or an instant as the time shown there.",
        overloads: &[
            sig(
                &[P::Timestamp, P::String],
                P::TimestampLtz,
                host("zone_to_utc", super::zone::to_utc),
            ),
            sig(
                &[P::TimestampLtz, P::String],
                P::Timestamp,
                host("utc_to_zone", super::zone::of_utc),
            ),
        ],
        examples: &[
            (
                "TIMESTAMP '2026-07-01 12:00:00' AT TIME ZONE 'Europe/Berlin'",
                "2026-07-01 10:00:00Z",
            ),
            ("CAST(NULL AS TIMESTAMP) AT TIME ZONE 'UTC'", "NULL"),
        ],
        ..OPERATOR
    },
];

const ADD: Meaning = Meaning::Ops(|b, a, ty| b.arith(ArithOp::Add, a[0], a[1], ty));
const SUB: Meaning = Meaning::Ops(|b, a, ty| b.arith(ArithOp::Sub, a[0], a[1], ty));
const MUL: Meaning = Meaning::Ops(|b, a, ty| b.arith(ArithOp::Mul, a[0], a[1], ty));
const DIV: Meaning = Meaning::Ops(|b, a, ty| b.arith(ArithOp::Div, a[0], a[1], ty));
const REM: Meaning = Meaning::Ops(|b, a, ty| b.arith(ArithOp::Rem, a[0], a[1], ty));

/// Precision and scale.
type Digits = (u32, u32);

fn digits(args: &[Type]) -> Option<(Digits, Digits)> {
    match args {
        [a, b] => Some((decimal_parts(&a.data)?, decimal_parts(&b.data)?)),
        _ => None,
    }
}

fn decimal_type(args: &[Type], rule: fn(Digits, Digits) -> Digits) -> DataType {
    let (precision, scale) = digits(args).map_or((38, 0), |(a, b)| rule(a, b));
    decimal_of(precision, scale)
}

fn sum_type(args: &[Type], _: &[Option<&Value>]) -> DataType {
    decimal_type(args, |(p, s), (q, t)| ((p - s).max(q - t) + s.max(t) + 1, s.max(t)))
}

fn product_type(args: &[Type], _: &[Option<&Value>]) -> DataType {
    decimal_type(args, |(p, s), (q, t)| (p + q + 1, s + t))
}

fn quotient_type(args: &[Type], _: &[Option<&Value>]) -> DataType {
    decimal_type(args, |(p, s), (q, t)| {
        let scale = (s + q + 1).max(6);
        (p - s + t + scale, scale)
    })
}

fn remainder_type(args: &[Type], _: &[Option<&Value>]) -> DataType {
    decimal_type(args, |(p, s), (q, t)| ((p - s).min(q - t) + s.max(t), s.max(t)))
}

fn is_distinct(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    let (left, right) = (b.is_null(args[0]), b.is_null(args[1]));
    let (either, both) = (b.or(left, right), b.and(left, right));
    let one = b.not(both);
    let differ = b.compare(CompareOp::Ne, args[0], args[1]);
    b.select(either, one, differ, ty)
}

fn is_not_distinct(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    let distinct = is_distinct(b, args, ty);
    b.not(distinct)
}

fn is_true(b: &mut ScalarBuilder, args: &[Operand], _: &Type) -> Operand {
    let null = b.is_null(args[0]);
    let known = b.not(null);
    b.and(known, args[0])
}

fn is_false(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    let not = b.not(args[0]);
    is_true(b, &[not], ty)
}

fn concat_octets(
    _: &mut HostCx,
    args: &[HostArg<'_>],
    out: &mut HostOut<'_>,
) -> Result<(), HostError> {
    let text = out.open();
    for arg in args {
        text.extend_from_slice(arg.bytes());
    }
    Ok(())
}

//! Dates, times and timestamps: fields, units, patterns, epochs, the clock.

use flow_ir::types::{DataType, Type};

use super::time_make::{convert_timestamp, time_of};
use super::time_pattern::{TimePattern, day_name, month_name};
use super::time_read::{read, to_date, to_timestamp, to_timestamp_of};
use super::time_unit;
use super::zone::Zone;
use crate::builder::{Operand, ScalarBuilder};
use crate::builtin::{Builtin, Family, Meaning, Volatility};
use crate::calendar::{
    Civil, DAY, SECOND, check_days, checked_days, civil_of_days, days_in_month, days_of_civil,
    weekday,
};
use crate::host::{HostArg, HostCx, HostError, HostFn, HostOut, host};
use crate::signature::{INSTANT, Nullability, Pattern as P, sig};
use crate::text;

const TIME: Builtin = Builtin { family: Family::Time, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// Host functions that expansions call.
pub(super) static HELPERS: &[HostFn] = &[EXTRACT];

const EXTRACT: HostFn = HostFn::strict("extract", time_unit::extract);

/// A field of a date or timestamp by a name of its own.
macro_rules! field {
    ($name:literal, $aliases:expr, $unit:literal, $doc:literal, $value:literal) => {
        Builtin {
            name: $name,
            aliases: $aliases,
            doc: $doc,
            overloads: &[
                sig(&[P::Date], P::BigInt, Meaning::Ops(|b, a, ty| field(b, $unit, a[0], ty))),
                sig(&[INSTANT], P::BigInt, Meaning::Ops(|b, a, ty| field(b, $unit, a[0], ty))),
                sig(&[P::Time], P::BigInt, Meaning::Ops(|b, a, ty| field(b, $unit, a[0], ty))),
            ],
            examples: &[
                (concat!($name, "(TIMESTAMP '2026-08-13 14:15:16.789')"), $value),
                (concat!($name, "(CAST(NULL AS DATE))"), "NULL"),
            ],
            ..TIME
        }
    };
}

/// A function of the epoch's clock without arguments.
macro_rules! clock {
    ($name:literal, $aliases:expr, $returns:expr, $doc:literal, $call:literal, $expand:expr) => {
        Builtin {
            name: $name,
            aliases: $aliases,
            doc: $doc,
            overloads: &[sig(&[], $returns, Meaning::Ops($expand)).nullability(Nullability::Never)],
            volatility: Volatility::EpochClock,
            examples: &[
                (concat!($call, " IS NULL"), "FALSE"),
                (concat!($call, " = ", $call), "TRUE"),
            ],
            ..TIME
        }
    };
}

const ADD: Meaning = host("timestampadd", time_unit::timestamp_add);

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "EXTRACT",
        aliases: &["DATE_PART", "DATEPART"],
        doc: "A field such as YEAR, ISODOW or EPOCH of a date, time, timestamp or interval.",
        overloads: &[
            sig(&[P::String, P::Date], P::BigInt, Meaning::Host(EXTRACT)),
            sig(&[P::String, INSTANT], P::BigInt, Meaning::Host(EXTRACT)),
            sig(&[P::String, P::Time], P::BigInt, Meaning::Host(EXTRACT)),
            sig(&[P::String, P::Interval], P::BigInt, Meaning::Host(EXTRACT)),
        ],
        examples: &[
            ("EXTRACT(YEAR FROM DATE '2026-08-13')", "2026"),
            ("EXTRACT(DOW FROM DATE '2026-08-16')", "0"),
            ("EXTRACT(HOUR FROM INTERVAL '26' HOUR)", "2"),
            ("EXTRACT(YEAR FROM CAST(NULL AS DATE))", "NULL"),
        ],
        ..TIME
    },
    field!("YEAR", &[], "YEAR", "The year.", "2026"),
    field!("QUARTER", &[], "QUARTER", "The quarter, 1 to 4.", "3"),
    field!("MONTH", &[], "MONTH", "The month, 1 to 12.", "8"),
    field!("WEEK", &["WEEKOFYEAR"], "WEEK", "The ISO week, 1 to 53.", "33"),
    field!("DAYOFMONTH", &["DAY"], "DAY", "The day of the month, 1 to 31.", "13"),
    field!("DAYOFYEAR", &[], "DOY", "The day of the year, 1 to 366.", "225"),
    Builtin {
        name: "DAYOFWEEK",
        doc: "The day of the week, 1 for Sunday to 7 (EXTRACT's DOW counts from 0).",
        overloads: &[
            sig(&[P::Date], P::BigInt, Meaning::Ops(day_of_week)),
            sig(&[INSTANT], P::BigInt, Meaning::Ops(day_of_week)),
        ],
        examples: &[
            ("DAYOFWEEK(DATE '2026-08-16')", "1"),
            ("DAYOFWEEK(CAST(NULL AS DATE))", "NULL"),
        ],
        ..TIME
    },
    field!("HOUR", &[], "HOUR", "The hour, 0 to 23.", "14"),
    field!("MINUTE", &[], "MINUTE", "The minute, 0 to 59.", "15"),
    field!("SECOND", &[], "SECOND", "The second, 0 to 59.", "16"),
    Builtin {
        name: "DAYNAME",
        doc: "The name of the day of the week.",
        overloads: &[sig(
            &[P::Date],
            P::String,
            host("dayname", |_, a, out| {
                out.str(day_name(weekday(a[0].i64())));
                Ok(())
            }),
        )],
        examples: &[
            ("DAYNAME(DATE '2026-08-13')", "Thursday"),
            ("DAYNAME(CAST(NULL AS DATE))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "MONTHNAME",
        doc: "The name of the month.",
        overloads: &[sig(
            &[P::Date],
            P::String,
            host("monthname", |_, a, out| {
                out.str(month_name(civil_of_days(a[0].i64()).month));
                Ok(())
            }),
        )],
        examples: &[
            ("MONTHNAME(DATE '2026-08-13')", "August"),
            ("MONTHNAME(CAST(NULL AS DATE))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "DATE_TRUNC",
        aliases: &["DATETRUNC"],
        doc: "The start of the unit that a date or timestamp lies in.",
        overloads: &[
            sig(&[P::String, P::Date], P::Date, host("date_trunc", time_unit::date_trunc)),
            sig(&[P::String, INSTANT], INSTANT, host("date_trunc", time_unit::date_trunc)),
        ],
        examples: &[
            ("DATE_TRUNC('hour', TIMESTAMP '2026-08-13 14:15:16')", "2026-08-13 14:00:00"),
            ("DATE_TRUNC('week', DATE '2026-08-13')", "2026-08-10"),
            ("DATE_TRUNC('day', CAST(NULL AS DATE))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TIMESTAMPADD",
        doc: "A date or timestamp so many units later.",
        overloads: &[
            sig(&[P::String, P::BigInt, P::Date], P::Date, ADD).returns(time_unit::added_type),
            sig(&[P::String, P::BigInt, INSTANT], INSTANT, ADD),
        ],
        examples: &[
            ("TIMESTAMPADD(MONTH, 1, TIMESTAMP '2026-01-31 00:00:00')", "2026-02-28 00:00:00"),
            ("TIMESTAMPADD(WEEK, 1, DATE '2026-01-31')", "2026-02-07"),
            ("TIMESTAMPADD(HOUR, 1, DATE '2026-01-31')", "2026-01-31 01:00:00"),
            ("TIMESTAMPADD(DAY, NULL, TIMESTAMP '2026-01-31 00:00:00')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TIMESTAMPDIFF",
        doc: "Whole units from the first to the second date or timestamp.",
        overloads: &[sig(
            &[P::String, INSTANT, INSTANT],
            P::BigInt,
            host("timestampdiff", time_unit::timestamp_diff),
        )],
        examples: &[
            ("TIMESTAMPDIFF(HOUR, DATE '2026-01-01', TIMESTAMP '2026-01-02 01:30:00')", "25"),
            ("TIMESTAMPDIFF(DAY, CAST(NULL AS TIMESTAMP), DATE '2026-01-01')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "DATEDIFF",
        doc: "Days from the second date to the first; with a unit, DATE_DIFF.",
        overloads: &[
            sig(
                &[P::Date, P::Date],
                P::Int,
                host("datediff", |_, a, out| {
                    out.i64(check_days(a[0].i64() - a[1].i64())?);
                    Ok(())
                }),
            ),
            sig(
                &[P::String, INSTANT, INSTANT],
                P::BigInt,
                host("date_diff_unit", time_unit::boundaries),
            ),
        ],
        examples: &[
            ("DATEDIFF(DATE '2026-03-01', DATE '2026-02-01')", "28"),
            ("DATEDIFF(DATE '2026-03-01', NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "DATE_ADD",
        doc: "The date so many days later.",
        overloads: &[sig(
            &[P::Date, P::Int],
            P::Date,
            host("date_add_days", super::interval::date_add_days),
        )],
        examples: &[
            ("DATE_ADD(DATE '2026-01-31', 1)", "2026-02-01"),
            ("DATE_ADD(DATE '2026-01-31', NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "DATE_SUB",
        doc: "The date so many days earlier.",
        overloads: &[sig(
            &[P::Date, P::Int],
            P::Date,
            host("date_sub_days", super::interval::date_sub_days),
        )],
        examples: &[
            ("DATE_SUB(DATE '2026-02-01', 1)", "2026-01-31"),
            ("DATE_SUB(DATE '2026-02-01', NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "LAST_DAY",
        doc: "The last day of a date's month.",
        overloads: &[sig(
            &[P::Date],
            P::Date,
            host("last_day", |_, a, out| {
                let date = civil_of_days(a[0].i64());
                let day = days_in_month(date.year, date.month);
                out.i64(check_days(days_of_civil(Civil { day, ..date }))?);
                Ok(())
            }),
        )],
        examples: &[
            ("LAST_DAY(DATE '2024-02-10')", "2024-02-29"),
            ("LAST_DAY(CAST(NULL AS DATE))", "NULL"),
        ],
        ..TIME
    },
    clock!(
        "CURRENT_TIMESTAMP",
        &["NOW", "PROCTIME", "CURRENT_ROW_TIMESTAMP"],
        P::TimestampLtz,
        "The epoch's clock: one instant for all rows of an epoch.",
        "NOW()",
        |b, _, ty| b.clock(ty.clone())
    ),
    clock!(
        "LOCALTIMESTAMP",
        &[],
        P::Timestamp,
        "The epoch's clock as a TIMESTAMP in UTC.",
        "LOCALTIMESTAMP",
        |b, _, ty| b.clock(ty.clone())
    ),
    clock!(
        "CURRENT_DATE",
        &[],
        P::Date,
        "The date of the epoch's clock in UTC.",
        "CURRENT_DATE",
        clock_as
    ),
    clock!(
        "CURRENT_TIME",
        &["LOCALTIME"],
        P::Time,
        "The time of day of the epoch's clock in UTC.",
        "CURRENT_TIME",
        clock_as
    ),
];

/// Functions from and to text and counts since 1970.
pub(super) static CONVERSIONS: &[Builtin] = &[
    Builtin {
        name: "DATE_FORMAT",
        doc: "A date or timestamp as text of a Java pattern.",
        overloads: &[sig(&[INSTANT, P::String], P::String, host("date_format", date_format))],
        examples: &[
            (
                "DATE_FORMAT(TIMESTAMP '2026-08-13 14:15:16', 'yyyy-MM-dd HH:mm')",
                "2026-08-13 14:15",
            ),
            ("DATE_FORMAT(CAST(NULL AS TIMESTAMP), 'yyyy')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TO_CHAR",
        doc: "A date or timestamp as text of a Postgres pattern.",
        overloads: &[sig(
            &[INSTANT, P::String],
            P::String,
            host("to_char", |cx, a, out| {
                cx.cached(a[1].bytes(), TimePattern::postgres)?.write(a[0].i64(), out.open());
                Ok(())
            }),
        )],
        examples: &[
            (
                "TO_CHAR(TIMESTAMP '2026-08-13 14:15:16', 'DD Mon YYYY HH24:MI')",
                "13 Aug 2026 14:15",
            ),
            ("TO_CHAR(CAST(NULL AS TIMESTAMP), 'YYYY')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TO_TIMESTAMP",
        doc: "The TIMESTAMP in a text, in ISO form or that of a Java pattern; NULL if there is \
              none.",
        overloads: &[
            sig(&[P::String], P::Timestamp, host("to_timestamp", to_timestamp)).may_be_null(),
            sig(&[P::String, P::String], P::Timestamp, host("to_timestamp", to_timestamp))
                .may_be_null(),
        ],
        examples: &[
            ("TO_TIMESTAMP('13.08.2026 14:15', 'dd.MM.yyyy HH:mm')", "2026-08-13 14:15:00"),
            ("TO_TIMESTAMP('2026-08-13T14:15:00+02:00')", "2026-08-13 12:15:00"),
            ("TO_TIMESTAMP('yesterday')", "NULL"),
            ("TO_TIMESTAMP(NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TO_TIMESTAMP_LTZ",
        doc: "The instant in a text, NULL if there is none; or so many milliseconds after 1970 \
              (precision 0: seconds).",
        overloads: &[
            sig(&[P::BigInt, P::Int], P::TimestampLtz, host("to_timestamp_ltz", of_count)),
            sig(&[P::BigInt], P::TimestampLtz, host("to_timestamp_ltz", of_count)),
            sig(&[P::String], P::TimestampLtz, host("to_timestamp", to_timestamp)).may_be_null(),
            sig(&[P::String, P::String], P::TimestampLtz, host("to_timestamp", to_timestamp))
                .may_be_null(),
            sig(
                &[P::String, P::String, P::String],
                P::TimestampLtz,
                host("to_timestamp_of", to_timestamp_of),
            )
            .may_be_null(),
        ],
        examples: &[
            ("TO_TIMESTAMP_LTZ(1500, 3)", "1970-01-01 00:00:01.5Z"),
            ("TO_TIMESTAMP_LTZ(1500)", "1970-01-01 00:00:01.5Z"),
            ("TO_TIMESTAMP_LTZ(60, 0)", "1970-01-01 00:01:00Z"),
            ("TO_TIMESTAMP_LTZ(NULL, 3)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TO_DATE",
        doc: "The DATE in a text, in ISO form or that of a Java pattern; NULL if there is none.",
        overloads: &[
            sig(&[P::String], P::Date, host("to_date", to_date)).may_be_null(),
            sig(&[P::String, P::String], P::Date, host("to_date", to_date)).may_be_null(),
        ],
        examples: &[
            ("TO_DATE('2026-08-13')", "2026-08-13"),
            ("TO_DATE('13/8/26', 'd/M/yy')", "2026-08-13"),
            ("TO_DATE('tomorrow')", "NULL"),
            ("TO_DATE(NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "FROM_UNIXTIME",
        doc: "Seconds since 1970 as text: yyyy-MM-dd HH:mm:ss, or of a Java pattern.",
        overloads: &[
            sig(&[P::BigInt], P::String, host("from_unixtime", from_unixtime)),
            sig(&[P::BigInt, P::String], P::String, host("from_unixtime", from_unixtime)),
        ],
        examples: &[
            ("FROM_UNIXTIME(61)", "1970-01-01 00:01:01"),
            ("FROM_UNIXTIME(61, 'mm:ss')", "01:01"),
            ("FROM_UNIXTIME(NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "UNIX_TIMESTAMP",
        doc: "Seconds from 1970 to the epoch's clock, a timestamp, or the timestamp in a text.",
        overloads: &[
            sig(&[], P::BigInt, Meaning::Ops(clock_seconds)).nullability(Nullability::Never),
            sig(&[INSTANT], P::BigInt, host("epoch_seconds", epoch_seconds)),
            sig(&[P::String], P::BigInt, host("unix_timestamp", unix_timestamp)),
            sig(&[P::String, P::String], P::BigInt, host("unix_timestamp", unix_timestamp)),
        ],
        volatility: Volatility::EpochClock,
        examples: &[
            ("UNIX_TIMESTAMP('1970-01-01 00:01:01')", "61"),
            ("UNIX_TIMESTAMP('01:01', 'mm:ss')", "61"),
            ("UNIX_TIMESTAMP(CAST(NULL AS STRING))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "EPOCH",
        doc: "Whole seconds from 1970 to a date or timestamp.",
        overloads: &[sig(&[INSTANT], P::BigInt, host("epoch_seconds", epoch_seconds))],
        examples: &[
            ("EPOCH(TIMESTAMP '1970-01-01 00:01:01.5')", "61"),
            ("EPOCH(CAST(NULL AS TIMESTAMP))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "EPOCH_MILLIS",
        aliases: &["EPOCH_MS", "UNIX_MILLIS"],
        doc: "Whole milliseconds from 1970 to a date or timestamp.",
        overloads: &[sig(
            &[INSTANT],
            P::BigInt,
            host("epoch_millis", |_, a, out| {
                out.i64(a[0].i64().div_euclid(1_000));
                Ok(())
            }),
        )],
        examples: &[
            ("EPOCH_MILLIS(TIMESTAMP '1970-01-01 00:00:01.5')", "1500"),
            ("EPOCH_MILLIS(CAST(NULL AS TIMESTAMP))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "CONVERT_TZ",
        doc: "A local time in one zone as the local time in another; of text, as text.",
        overloads: &[
            sig(&[P::String, P::String, P::String], P::String, host("convert_tz", convert_tz)),
            sig(
                &[P::Timestamp, P::String, P::String],
                P::Timestamp,
                host("convert_tz_timestamp", convert_timestamp),
            ),
        ],
        examples: &[
            ("CONVERT_TZ('2026-01-01 00:00:00', 'UTC', 'America/New_York')", "2025-12-31 19:00:00"),
            ("CONVERT_TZ(NULL, 'UTC', 'UTC')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "MAKE_DATE",
        doc: "The date of a year, month and day.",
        overloads: &[sig(
            &[P::BigInt, P::BigInt, P::BigInt],
            P::Date,
            host("make_date", |_, a, out| {
                out.i64(days_of(a)?);
                Ok(())
            }),
        )],
        examples: &[("MAKE_DATE(2026, 8, 13)", "2026-08-13"), ("MAKE_DATE(2026, 8, NULL)", "NULL")],
        ..TIME
    },
    Builtin {
        name: "MAKE_TIMESTAMP",
        doc: "The timestamp of a year, month, day, hour, minute and second.",
        overloads: &[sig(
            &[P::BigInt, P::BigInt, P::BigInt, P::BigInt, P::BigInt, P::Double],
            P::Timestamp,
            host("make_timestamp", make_timestamp),
        )],
        examples: &[
            ("MAKE_TIMESTAMP(2026, 8, 13, 14, 15, 16.5)", "2026-08-13 14:15:16.5"),
            ("MAKE_TIMESTAMP(2026, 8, 13, 14, 15, NULL)", "NULL"),
        ],
        ..TIME
    },
];

/// A field of a date, time or timestamp.
pub(super) fn field(b: &mut ScalarBuilder, unit: &str, of: Operand, ty: &Type) -> Operand {
    let unit = b.text(unit);
    b.host(&EXTRACT, &[unit, of], ty)
}

fn day_of_week(b: &mut ScalarBuilder, args: &[Operand], ty: &Type) -> Operand {
    let from_zero = field(b, "DOW", args[0], ty);
    let one = b.int(1);
    b.arith(flow_ir::scalar::ArithOp::Add, from_zero, one, ty)
}

const CLOCK: DataType = DataType::TimestampLtz { precision: 6 };

fn clock_as(b: &mut ScalarBuilder, _: &[Operand], ty: &Type) -> Operand {
    let clock = b.clock(Type::not_null(CLOCK));
    b.cast(clock, ty)
}

fn clock_seconds(b: &mut ScalarBuilder, _: &[Operand], ty: &Type) -> Operand {
    let clock = b.clock(Type::not_null(CLOCK));
    b.host(&HostFn::strict("epoch_seconds", epoch_seconds), &[clock], ty)
}

fn date_format(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    cx.cached(args[1].bytes(), TimePattern::java)?.write(args[0].i64(), out.open());
    Ok(())
}

fn of_count(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let count = args[0].i64();
    let micros = match args.get(1).map_or(3, |precision| precision.i64()) {
        0 => count.checked_mul(SECOND),
        3 => count.checked_mul(1_000),
        6 => Some(count),
        9 => Some(count.div_euclid(1_000)),
        other => return Err(HostError::bad_argument(format!("a precision of {other}"))),
    };
    out.i64(micros.ok_or_else(HostError::overflow)?);
    Ok(())
}

fn from_unixtime(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let micros = args[0].i64().checked_mul(SECOND).ok_or_else(HostError::overflow)?;
    match args.get(1) {
        Some(pattern) => {
            cx.cached(pattern.bytes(), TimePattern::java)?.write(micros, out.open());
        }
        None => text::write_timestamp(micros, text::TimeStyle::SQL, out.open()),
    }
    Ok(())
}

fn epoch_seconds(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(args[0].i64().div_euclid(SECOND));
    Ok(())
}

fn unix_timestamp(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(read(cx, args)?.div_euclid(SECOND));
    Ok(())
}

fn convert_tz(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let from = *cx.cached(args[1].bytes(), Zone::parse)?;
    let to = *cx.cached(args[2].bytes(), Zone::parse)?;
    let utc = from.instant(read(cx, &args[..1])?)?;
    text::write_timestamp(to.local(utc)?, text::TimeStyle::SQL, out.open());
    Ok(())
}

fn days_of(args: &[HostArg<'_>]) -> Result<i64, HostError> {
    let (year, month, day) = (args[0].i64(), args[1].i64(), args[2].i64());
    checked_days(year, month, day)
        .ok_or_else(|| HostError::bad_argument(format!("no date {year}-{month}-{day}")))
}

fn make_timestamp(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let time = time_of(args[3].i64(), args[4].i64(), args[5].f64())?;
    let micros = days_of(args)?.checked_mul(DAY).and_then(|d| d.checked_add(time));
    out.i64(micros.ok_or_else(HostError::overflow)?);
    Ok(())
}

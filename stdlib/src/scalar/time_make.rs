//! Times made of parts and moved: AGE, bins, buckets, intervals of units, fields of other names.

use flow_ir::kernel::ErrorCode;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::interval;
use super::time::field;
use super::time_unit::{self, Unit};
use super::zone::Zone;
use crate::builder::{Operand, ScalarBuilder};
use crate::builtin::{Builtin, Family, Meaning};
use crate::calendar::{
    DAY, HOUR, MINUTE, SECOND, add_interval, add_months, check_days, civil_of_days, days_in_month,
    join_micros, split_micros, weekday,
};
use crate::host::{HostArg, HostCx, HostError, HostFn, HostOut, host};
use crate::signature::{INSTANT, Pattern as P, sig};

const TIME: Builtin = Builtin { family: Family::Time, ..Builtin::STRICT };

/// Where buckets of months, and of less, begin: the first is a January, the second a Monday.
const BUCKETS_OF_MONTHS: i64 = 10_957 * DAY;
const BUCKETS_OF_DAYS: i64 = 10_959 * DAY;

type Done = Result<(), HostError>;

/// A field under a name of its own.
macro_rules! part {
    ($name:literal, $aliases:expr, $unit:literal, $doc:literal, $value:literal) => {
        Builtin {
            name: $name,
            aliases: $aliases,
            doc: $doc,
            overloads: &[
                sig(&[P::Date], P::BigInt, Meaning::Ops(|b, a, ty| field(b, $unit, a[0], ty))),
                sig(&[INSTANT], P::BigInt, Meaning::Ops(|b, a, ty| field(b, $unit, a[0], ty))),
            ],
            examples: &[
                (concat!($name, "(TIMESTAMP '2026-08-16 14:15:16.789')"), $value),
                (concat!($name, "(CAST(NULL AS DATE))"), "NULL"),
            ],
            ..TIME
        }
    };
}

/// So many units as an INTERVAL.
macro_rules! units {
    ($name:literal, $months:expr, $micros:expr, $doc:literal, $of_two:literal) => {
        Builtin {
            name: $name,
            doc: $doc,
            overloads: &[sig(
                &[P::BigInt],
                P::Interval,
                Meaning::Ops(|b, a, ty| many(b, ($months, $micros), a[0], ty)),
            )],
            examples: &[(concat!($name, "(2)"), $of_two), (concat!($name, "(NULL)"), "NULL")],
            ..TIME
        }
    };
}

/// Fields, and intervals of units.
pub(super) static PARTS: &[Builtin] = &[
    part!("MILLENNIUM", &[], "MILLENNIUM", "The millennium: 3 from 2001 on.", "3"),
    part!("CENTURY", &[], "CENTURY", "The century: 21 from 2001 on.", "21"),
    part!("DECADE", &[], "DECADE", "The year divided by 10.", "202"),
    part!("ISOYEAR", &[], "ISOYEAR", "The year that the ISO week belongs to.", "2026"),
    part!("ISODOW", &[], "ISODOW", "The day of the week, Monday 1 to Sunday 7.", "7"),
    part!("WEEKDAY", &[], "DOW", "The day of the week, Sunday 0 to Saturday 6.", "0"),
    part!("MILLISECOND", &[], "MILLISECOND", "The milliseconds within the second.", "789"),
    part!("MICROSECOND", &[], "MICROSECOND", "The microseconds within the second.", "789000"),
    units!("TO_YEARS", 12, 0, "So many years as an interval.", "2 years"),
    units!("TO_MONTHS", 1, 0, "So many months as an interval.", "2 months"),
    units!("TO_WEEKS", 0, 7 * DAY, "So many weeks as an interval.", "14 days"),
    units!("TO_DAYS", 0, DAY, "So many days as an interval.", "2 days"),
    units!("TO_HOURS", 0, HOUR, "So many hours as an interval.", "02:00:00"),
    units!("TO_MINUTES", 0, MINUTE, "So many minutes as an interval.", "00:02:00"),
    units!("TO_SECONDS", 0, SECOND, "So many seconds as an interval.", "00:00:02"),
    units!("TO_MILLISECONDS", 0, 1_000, "So many milliseconds as an interval.", "00:00:00.002"),
    units!("TO_MICROSECONDS", 0, 1, "So many microseconds as an interval.", "00:00:00.000002"),
];

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "AGE",
        doc: "From the second timestamp to the first in years, months, days and time.",
        overloads: &[sig(&[INSTANT, INSTANT], P::Interval, host("age", age))],
        examples: &[
            ("AGE(DATE '2001-04-10', DATE '1957-06-13')", "43 years 9 months 27 days"),
            ("AGE(DATE '2001-04-10', NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "JUSTIFY_HOURS",
        doc: "An interval; a day is 24 hours here anyway.",
        overloads: &[sig(&[P::Interval], P::Interval, host("justify_hours", justify_hours))],
        examples: &[
            ("JUSTIFY_HOURS(INTERVAL '27' HOUR)", "1 day 03:00:00"),
            ("JUSTIFY_HOURS(NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "JUSTIFY_DAYS",
        aliases: &["JUSTIFY_INTERVAL"],
        doc: "An interval with 30 days as a month.",
        overloads: &[sig(&[P::Interval], P::Interval, host("justify_days", justify_days))],
        examples: &[
            ("JUSTIFY_DAYS(INTERVAL '35' DAY)", "1 month 5 days"),
            ("JUSTIFY_DAYS(NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "DATE_BIN",
        doc: "The start of a timestamp's bin: bins of an interval, from an origin on.",
        overloads: &[
            sig(&[P::Interval, INSTANT], INSTANT, host("date_bin", date_bin)),
            sig(&[P::Interval, INSTANT, INSTANT], INSTANT, host("date_bin", date_bin)),
        ],
        examples: &[
            (
                "DATE_BIN(INTERVAL '6' HOUR, TIMESTAMP '2026-02-11 15:44:17', DATE '2001-01-01')",
                "2026-02-11 12:00:00",
            ),
            ("DATE_BIN(INTERVAL '1' HOUR, TIMESTAMP '1969-12-31 23:30:00')", "1969-12-31 23:00:00"),
            ("DATE_BIN(INTERVAL '1' HOUR, CAST(NULL AS TIMESTAMP))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TIME_BUCKET",
        doc: "DATE_BIN with weeks from Monday, and months; from an origin if one is given.",
        overloads: &[
            sig(&[P::Interval, P::Date], P::Date, host("time_bucket", time_bucket)),
            sig(&[P::Interval, INSTANT], INSTANT, host("time_bucket", time_bucket)),
            sig(&[P::Interval, INSTANT, INSTANT], INSTANT, host("time_bucket", time_bucket)),
        ],
        examples: &[
            ("TIME_BUCKET(INTERVAL '7' DAY, DATE '2026-08-16')", "2026-08-10"),
            ("TIME_BUCKET(INTERVAL '3' MONTH, DATE '2026-08-16')", "2026-07-01"),
            ("TIME_BUCKET(INTERVAL '7' DAY, CAST(NULL AS DATE))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "MAKE_TIME",
        doc: "The time of an hour, minute and second.",
        overloads: &[sig(
            &[P::BigInt, P::BigInt, P::Double],
            P::Time,
            host("make_time", |_, a, out| {
                out.i64(time_of(a[0].i64(), a[1].i64(), a[2].f64())?);
                Ok(())
            }),
        )],
        examples: &[("MAKE_TIME(8, 15, 23.5)", "08:15:23.5"), ("MAKE_TIME(8, NULL, 0)", "NULL")],
        ..TIME
    },
    Builtin {
        name: "MAKE_INTERVAL",
        doc: "The interval of years, months, weeks, days, hours, minutes and seconds.",
        overloads: &[
            sig(&[P::BigInt], P::Interval, host("make_interval", make_interval)).variadic(),
            sig(
                &[P::BigInt, P::BigInt, P::BigInt, P::BigInt, P::BigInt, P::BigInt, P::Double],
                P::Interval,
                host("make_interval", make_interval),
            ),
        ],
        examples: &[
            ("MAKE_INTERVAL(1, 2, 0, 3)", "1 year 2 months 3 days"),
            ("MAKE_INTERVAL(0, 0, 0, 0, 1, 0, 1.5)", "01:00:01.5"),
            ("MAKE_INTERVAL(1, NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "ADD_MONTHS",
        doc: "The date so many months later, on the last day of a shorter month.",
        overloads: &[sig(
            &[P::Date, P::BigInt],
            P::Date,
            host("add_months", |_, a, out| {
                out.i64(add_months(a[0].i64(), a[1].i64())?);
                Ok(())
            }),
        )],
        examples: &[
            ("ADD_MONTHS(DATE '2026-01-31', 1)", "2026-02-28"),
            ("ADD_MONTHS(DATE '2026-01-31', NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "NEXT_DAY",
        doc: "The first date after another that is a day of the week, named in English.",
        overloads: &[sig(&[P::Date, P::String], P::Date, host("next_day", next_day))],
        examples: &[
            ("NEXT_DAY(DATE '2026-08-13', 'Mon')", "2026-08-17"),
            ("NEXT_DAY(DATE '2026-08-13', NULL)", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "DATE_DIFF",
        doc: "How many starts of a unit lie between two times (TIMESTAMPDIFF counts whole units).",
        overloads: &[sig(
            &[P::String, INSTANT, INSTANT],
            P::BigInt,
            host("date_diff_unit", time_unit::boundaries),
        )],
        examples: &[
            ("DATE_DIFF('month', DATE '2026-01-31', DATE '2026-02-01')", "1"),
            ("DATE_DIFF('day', TIMESTAMP '2026-01-02 23:00:00', DATE '2026-01-01')", "-1"),
            ("DATE_DIFF('day', CAST(NULL AS DATE), DATE '2026-01-01')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "DATEADD",
        doc: "A date or timestamp so many units later.",
        overloads: &[
            sig(
                &[P::String, P::BigInt, P::Date],
                P::Date,
                host("timestampadd", time_unit::timestamp_add),
            ),
            sig(
                &[P::String, P::BigInt, INSTANT],
                INSTANT,
                host("timestampadd", time_unit::timestamp_add),
            ),
        ],
        examples: &[
            ("DATEADD('day', 3, DATE '2026-01-31')", "2026-02-03"),
            ("DATEADD('day', NULL, DATE '2026-01-31')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "DATESUB",
        aliases: &["TIMESTAMPSUB"],
        doc: "A date or timestamp so many units earlier.",
        overloads: &[
            sig(&[P::String, P::BigInt, P::Date], P::Date, host("timestampsub", timestamp_sub)),
            sig(&[P::String, P::BigInt, INSTANT], INSTANT, host("timestampsub", timestamp_sub)),
        ],
        examples: &[
            ("DATESUB('day', 31, DATE '2026-01-31')", "2025-12-31"),
            ("DATESUB('day', 1, CAST(NULL AS DATE))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TO_INSTANT",
        doc: "The instant that a text says: by its own offset, else as the time in the zone.",
        overloads: &[sig(
            &[P::String, P::String],
            P::TimestampLtz,
            host("to_instant", super::zone::to_instant),
        )],
        examples: &[
            ("TO_INSTANT('2026-07-01 12:00:00', 'Europe/Berlin')", "2026-07-01 10:00:00Z"),
            ("TO_INSTANT('2026-07-01 12:00:00Z', 'Europe/Berlin')", "2026-07-01 12:00:00Z"),
            ("TO_INSTANT(NULL, 'Europe/Berlin')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TIMEADD",
        doc: "A time of day so many units later, around midnight.",
        overloads: &[sig(
            &[P::String, P::BigInt, P::Time],
            P::Time,
            host("timeadd", |cx, a, out| time_move(cx, a, 1, out)),
        )],
        examples: &[
            ("TIMEADD('hour', 2, TIME '23:00:00')", "01:00:00"),
            ("TIMEADD('hour', NULL, TIME '23:00:00')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TIMESUB",
        doc: "A time of day so many units earlier, around midnight.",
        overloads: &[sig(
            &[P::String, P::BigInt, P::Time],
            P::Time,
            host("timesub", |cx, a, out| time_move(cx, a, -1, out)),
        )],
        examples: &[
            ("TIMESUB('hour', 2, TIME '01:00:00')", "23:00:00"),
            ("TIMESUB('hour', 2, CAST(NULL AS TIME))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "FROM_UTC_TIMESTAMP",
        doc: "The local time in a zone at a time in UTC.",
        overloads: &[sig(
            &[P::Timestamp, P::String],
            P::Timestamp,
            host("from_utc_timestamp", super::zone::of_utc),
        )],
        examples: &[
            (
                "FROM_UTC_TIMESTAMP(TIMESTAMP '2026-07-01 10:00:00', 'Europe/Berlin')",
                "2026-07-01 12:00:00",
            ),
            ("FROM_UTC_TIMESTAMP(CAST(NULL AS TIMESTAMP), 'UTC')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TO_UTC_TIMESTAMP",
        doc: "The time in UTC at a local time in a zone.",
        overloads: &[sig(
            &[P::Timestamp, P::String],
            P::Timestamp,
            host("to_utc_timestamp", super::zone::to_utc),
        )],
        examples: &[
            (
                "TO_UTC_TIMESTAMP(TIMESTAMP '2026-07-01 12:00:00', 'Europe/Berlin')",
                "2026-07-01 10:00:00",
            ),
            ("TO_UTC_TIMESTAMP(CAST(NULL AS TIMESTAMP), 'UTC')", "NULL"),
        ],
        ..TIME
    },
];

/// CONVERT_TZ of a timestamp: (local time, zone, other zone).
pub(super) fn convert_timestamp(
    cx: &mut HostCx,
    args: &[HostArg<'_>],
    out: &mut HostOut<'_>,
) -> Done {
    let from = *cx.cached(args[1].bytes(), Zone::parse)?;
    let to = *cx.cached(args[2].bytes(), Zone::parse)?;
    out.i64(to.local(from.instant(args[0].i64())?)?);
    Ok(())
}

fn many(b: &mut ScalarBuilder, (months, micros): (i64, i64), by: Operand, ty: &Type) -> Operand {
    let one = Value::Interval { months, micros };
    let one = b.constant(one, Type::not_null(DataType::Interval));
    b.host(&HostFn::strict("interval_mul", interval::interval_mul), &[one, by], ty)
}

/// Microseconds of a time of day.
pub(super) fn time_of(hour: i64, minute: i64, second: f64) -> Result<i64, HostError> {
    let holds =
        (0..24).contains(&hour) && (0..60).contains(&minute) && (0.0..60.0).contains(&second);
    if !holds {
        return Err(HostError::bad_argument(format!("no time {hour}:{minute}:{second}")));
    }
    let micros = (second * SECOND as f64).round_ties_even() as i64;
    Ok(hour * HOUR + minute * MINUTE + micros)
}

/// As Postgres counts: days are borrowed from the month of the earlier date.
fn age(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (to, from) = (args[0].i64(), args[1].i64());
    let (sign, late, early) = if to >= from { (1, to, from) } else { (-1, from, to) };
    let ((late_days, late_time), (early_days, early_time)) =
        (split_micros(late), split_micros(early));
    let (a, b) = (civil_of_days(late_days), civil_of_days(early_days));
    let mut months = (a.year - b.year) * 12 + a.month - b.month;
    let mut days = a.day - b.day;
    let mut time = late_time - early_time;
    if time < 0 {
        time += DAY;
        days -= 1;
    }
    if days < 0 {
        days += days_in_month(b.year, b.month);
        months -= 1;
    }
    out.interval(sign * months, sign * (days * DAY + time));
    Ok(())
}

fn binned(width: i64, at: i64, origin: i64) -> Result<i64, HostError> {
    let since = at.checked_sub(origin).ok_or_else(HostError::overflow)?;
    let start = since.div_euclid(width).checked_mul(width);
    start.and_then(|start| start.checked_add(origin)).ok_or_else(HostError::overflow)
}

fn width_of(interval: HostArg<'_>) -> Result<(i64, i64), HostError> {
    match interval.interval() {
        (0, micros) if micros > 0 => Ok((0, micros)),
        (months, 0) if months > 0 => Ok((months, 0)),
        _ => Err(HostError::bad_argument("a width is months, or a time, above 0")),
    }
}

fn justify_hours(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (months, micros) = args[0].interval();
    out.interval(months, micros);
    Ok(())
}

fn justify_days(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (months, micros) = args[0].interval();
    let month = 30 * DAY;
    let more = micros.div_euclid(month);
    // Both parts have one sign where they can.
    let (mut months, mut rest) =
        (months.checked_add(more).ok_or_else(HostError::overflow)?, micros.rem_euclid(month));
    if months < 0 && rest > 0 {
        (months, rest) = (months + 1, rest - month);
    }
    out.interval(months, rest);
    Ok(())
}

fn date_bin(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (0, micros) = width_of(args[0])? else {
        return Err(HostError::bad_argument("a bin has no months"));
    };
    out.i64(binned(micros, args[1].i64(), args.get(2).map_or(0, |origin| origin.i64()))?);
    Ok(())
}

fn time_bucket(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (months, micros) = width_of(args[0])?;
    let date = cx.args[1].data == DataType::Date;
    let at = if date { join_micros(args[1].i64(), 0)? } else { args[1].i64() };
    let usual = if months > 0 { BUCKETS_OF_MONTHS } else { BUCKETS_OF_DAYS };
    let origin = args.get(2).map_or(usual, |origin| origin.i64());
    let start = match months {
        0 => binned(micros, at, origin)?,
        months => bucket_of_months(months, at, origin)?,
    };
    out.i64(if date { split_micros(start).0 } else { start });
    Ok(())
}

fn bucket_of_months(width: i64, at: i64, origin: i64) -> Result<i64, HostError> {
    let index = |micros: i64| {
        let date = civil_of_days(split_micros(micros).0);
        date.year * 12 + date.month - 1
    };
    let steps = (index(at) - index(origin)).div_euclid(width);
    let start = |steps: i64| {
        let months = steps.checked_mul(width).ok_or(ErrorCode::Overflow)?;
        add_interval(origin, months, 0)
    };
    let found = start(steps)?;
    Ok(if found > at { start(steps - 1)? } else { found })
}

fn make_interval(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    const UNITS: [(i64, i64); 7] =
        [(12, 0), (1, 0), (0, 7 * DAY), (0, DAY), (0, HOUR), (0, MINUTE), (0, SECOND)];
    if args.len() > UNITS.len() {
        return Err(HostError::bad_argument("MAKE_INTERVAL has seven parts"));
    }
    let (mut months, mut micros) = (0i64, 0i64);
    let add = |sum: &mut i64, unit: i64, count: i64| {
        let more = unit.checked_mul(count).and_then(|more| sum.checked_add(more));
        *sum = more.ok_or_else(HostError::overflow)?;
        Ok::<(), HostError>(())
    };
    for (i, (arg, (of_months, of_micros))) in args.iter().zip(UNITS).enumerate() {
        if cx.args[i].data == DataType::Double {
            let seconds = (arg.f64() * SECOND as f64).round_ties_even();
            if seconds.is_nan() || seconds.abs() >= i64::MAX as f64 {
                return Err(HostError::overflow());
            }
            add(&mut micros, 1, seconds as i64)?;
        } else {
            add(&mut months, of_months, arg.i64())?;
            add(&mut micros, of_micros, arg.i64())?;
        }
    }
    out.interval(months, micros);
    Ok(())
}

fn next_day(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    const DAYS: [&str; 7] = ["su", "mo", "tu", "we", "th", "fr", "sa"];
    let name = args[1].str().trim().to_ascii_lowercase();
    let known = DAYS.iter().position(|day| name.starts_with(day));
    let wanted = known.ok_or_else(|| HostError::bad_argument(format!("no day '{name}'")))? as i64;
    let days = args[0].i64();
    out.i64(check_days(days + (wanted - weekday(days) + 6) % 7 + 1)?);
    Ok(())
}

fn timestamp_sub(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let back = args[1].i64().checked_neg().ok_or_else(HostError::overflow)?;
    time_unit::timestamp_add(cx, &[args[0], HostArg::Word(back as u64), args[2]], out)
}

fn time_move(cx: &mut HostCx, args: &[HostArg<'_>], sign: i64, out: &mut HostOut<'_>) -> Done {
    let unit = *cx.cached(args[0].bytes(), Unit::parse)?;
    let (0, micros) = unit.counted()? else {
        return Err(HostError::bad_argument("a time of day has no months"));
    };
    let moved = i128::from(micros) * i128::from(args[1].i64()) * i128::from(sign);
    out.i64((i128::from(args[2].i64()) + moved).rem_euclid(i128::from(DAY)) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{Civil, days_of_civil};

    #[test]
    fn buckets_begin_where_they_say() {
        let day = |micros: i64| civil_of_days(split_micros(micros).0);
        let january = Civil { year: 2000, month: 1, day: 1 };
        assert_eq!(day(BUCKETS_OF_MONTHS), january);
        assert_eq!(weekday(split_micros(BUCKETS_OF_DAYS).0), 1);
        assert_eq!(days_of_civil(january) * DAY, BUCKETS_OF_MONTHS);
    }
}

//! Times as text and back under the names of ksqlDB, DuckDB and Spark. Patterns are Java's, those
//! of STRFTIME and STRPTIME C's; a zone says in which one the text is.

use super::strftime;
use super::time_pattern::TimePattern;
use super::time_read::unread;
use super::zone::Zone;
use crate::builtin::{Builtin, Family, Meaning};
use crate::calendar::{DAY, check_days, split_micros};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{INSTANT, Pattern as P, sig};

const TIME: Builtin = Builtin { family: Family::Time, ..Builtin::STRICT };

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "FORMAT_TIMESTAMP",
        doc: "A timestamp as text of a Java pattern, in a zone if one is given.",
        overloads: &[
            sig(&[INSTANT, P::String], P::String, host("format_timestamp", format_timestamp)),
            sig(
                &[INSTANT, P::String, P::String],
                P::String,
                host("format_timestamp", format_timestamp),
            ),
        ],
        examples: &[
            ("FORMAT_TIMESTAMP(TIMESTAMP '2026-08-13 14:15:16', 'yyyy/MM/dd')", "2026/08/13"),
            (
                "FORMAT_TIMESTAMP(TIMESTAMP '2026-08-13 14:15:16', 'HH:mm', 'Europe/Berlin')",
                "16:15",
            ),
            ("FORMAT_TIMESTAMP(CAST(NULL AS TIMESTAMP), 'yyyy')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "PARSE_TIMESTAMP",
        doc: "The timestamp in a text of a Java pattern, in UTC, read in a zone if one is given.",
        overloads: &[
            sig(&[P::String, P::String], P::Timestamp, host("parse_timestamp", parse_timestamp)),
            sig(
                &[P::String, P::String, P::String],
                P::Timestamp,
                host("parse_timestamp", parse_timestamp),
            ),
        ],
        examples: &[
            ("PARSE_TIMESTAMP('13.8.2026 14:15', 'd.M.yyyy HH:mm')", "2026-08-13 14:15:00"),
            (
                "PARSE_TIMESTAMP('2026-08-13 16:15', 'yyyy-MM-dd HH:mm', 'Europe/Berlin')",
                "2026-08-13 14:15:00",
            ),
            ("PARSE_TIMESTAMP(NULL, 'yyyy')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "FORMAT_DATE",
        doc: "A date as text of a Java pattern.",
        overloads: &[sig(
            &[P::Date, P::String],
            P::String,
            host("format_date", |cx, a, out| {
                let micros = days_to_micros(a[0].i64())?;
                java(cx, a[1])?.write(micros, out.open());
                Ok(())
            }),
        )],
        examples: &[
            ("FORMAT_DATE(DATE '2026-08-13', 'dd.MM.yy')", "13.08.26"),
            ("FORMAT_DATE(CAST(NULL AS DATE), 'yyyy')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "PARSE_DATE",
        doc: "The date in a text of a Java pattern.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Date,
            host("parse_date", |cx, a, out| {
                let micros = read_in_zone(cx, a)?;
                out.i64(check_days(split_micros(micros).0)?);
                Ok(())
            }),
        )],
        examples: &[
            ("PARSE_DATE('13.08.26', 'dd.MM.yy')", "2026-08-13"),
            ("PARSE_DATE(NULL, 'yyyy')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "FORMAT_TIME",
        doc: "A time of day as text of a Java pattern.",
        overloads: &[sig(
            &[P::Time, P::String],
            P::String,
            host("format_time", |cx, a, out| {
                java(cx, a[1])?.write(a[0].i64(), out.open());
                Ok(())
            }),
        )],
        examples: &[
            ("FORMAT_TIME(TIME '14:15:16', 'h:mm a')", "2:15 PM"),
            ("FORMAT_TIME(CAST(NULL AS TIME), 'HH')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "PARSE_TIME",
        doc: "The time of day in a text of a Java pattern.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Time,
            host("parse_time", |cx, a, out| {
                let micros = read_in_zone(cx, a)?;
                out.i64(split_micros(micros).1);
                Ok(())
            }),
        )],
        examples: &[
            ("PARSE_TIME('02:15 PM', 'hh:mm a')", "14:15:00"),
            ("PARSE_TIME(NULL, 'HH')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TIMESTAMPTOSTRING",
        doc: "Milliseconds since 1970 as text of a Java pattern, in a zone if one is given.",
        overloads: &[
            sig(&[P::BigInt, P::String], P::String, host("timestamptostring", millis_to_text)),
            sig(
                &[P::BigInt, P::String, P::String],
                P::String,
                host("timestamptostring", millis_to_text),
            ),
        ],
        examples: &[
            ("TIMESTAMPTOSTRING(61000, 'HH:mm:ss')", "00:01:01"),
            ("TIMESTAMPTOSTRING(0, 'HH:mm', 'Asia/Tokyo')", "09:00"),
            ("TIMESTAMPTOSTRING(NULL, 'HH')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "STRINGTOTIMESTAMP",
        doc: "Milliseconds from 1970 to the timestamp in a text of a Java pattern.",
        overloads: &[
            sig(&[P::String, P::String], P::BigInt, host("stringtotimestamp", text_to_millis)),
            sig(
                &[P::String, P::String, P::String],
                P::BigInt,
                host("stringtotimestamp", text_to_millis),
            ),
        ],
        examples: &[
            ("STRINGTOTIMESTAMP('00:01:01', 'HH:mm:ss')", "61000"),
            ("STRINGTOTIMESTAMP('1970-01-01 09', 'yyyy-MM-dd HH', 'Asia/Tokyo')", "0"),
            ("STRINGTOTIMESTAMP(NULL, 'HH')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "DATETOSTRING",
        doc: "Days since 1970 as text of a Java pattern.",
        overloads: &[sig(
            &[P::Int, P::String],
            P::String,
            host("datetostring", |cx, a, out| {
                let micros = days_to_micros(a[0].i64())?;
                java(cx, a[1])?.write(micros, out.open());
                Ok(())
            }),
        )],
        examples: &[
            ("DATETOSTRING(1, 'yyyy-MM-dd')", "1970-01-02"),
            ("DATETOSTRING(NULL, 'yyyy')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "STRINGTODATE",
        doc: "Days from 1970 to the date in a text of a Java pattern.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Int,
            host("stringtodate", |cx, a, out| {
                let micros = read_in_zone(cx, a)?;
                out.i64(check_days(split_micros(micros).0)?);
                Ok(())
            }),
        )],
        examples: &[
            ("STRINGTODATE('1970-01-02', 'yyyy-MM-dd')", "1"),
            ("STRINGTODATE(NULL, 'yyyy')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "STRFTIME",
        doc: "A timestamp as text of C's pattern: %Y-%m-%d %H:%M:%S and their kin.",
        overloads: &[sig(
            &[INSTANT, P::String],
            P::String,
            host("strftime", |cx, a, out| {
                c_pattern(cx, a[1])?.write(a[0].i64(), out.open());
                Ok(())
            }),
        )],
        examples: &[
            (
                "STRFTIME(TIMESTAMP '2026-08-03 14:15:16', '%d.%m.%Y, %-d. %B')",
                "03.08.2026, 3. August",
            ),
            ("STRFTIME(CAST(NULL AS TIMESTAMP), '%Y')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "STRPTIME",
        doc: "The timestamp in a text of C's pattern.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Timestamp,
            host("strptime", |cx, a, out| {
                let read = c_pattern(cx, a[1])?.read(a[0].str().trim());
                out.i64(read.ok_or_else(|| unread(a[0].str()))?);
                Ok(())
            }),
        )],
        examples: &[
            ("STRPTIME('13.08.2026 14h', '%d.%m.%Y %Hh')", "2026-08-13 14:00:00"),
            ("STRPTIME(NULL, '%Y')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TRY_STRPTIME",
        doc: "The timestamp in a text of C's pattern; NULL if the text is not of it.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Timestamp,
            host("try_strptime", |cx, a, out| {
                if let Some(read) = c_pattern(cx, a[1])?.read(a[0].str().trim()) {
                    out.i64(read);
                }
                Ok(())
            }),
        )
        .may_be_null()],
        examples: &[
            ("TRY_STRPTIME('2026-08-13', '%Y-%m-%d')", "2026-08-13 00:00:00"),
            ("TRY_STRPTIME('soon', '%Y-%m-%d')", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "FROM_DAYS",
        aliases: &["DATE_FROM_UNIX_DATE"],
        doc: "The date so many days after 1970-01-01.",
        overloads: &[sig(
            &[P::Int],
            P::Date,
            host("from_days", |_, a, out| {
                out.i64(check_days(a[0].i64())?);
                Ok(())
            }),
        )],
        examples: &[("FROM_DAYS(31)", "1970-02-01"), ("FROM_DAYS(NULL)", "NULL")],
        ..TIME
    },
    Builtin {
        name: "UNIX_DATE",
        doc: "Days from 1970-01-01 to a date.",
        overloads: &[sig(
            &[P::Date],
            P::Int,
            Meaning::Ops(|b, a, ty| b.reinterpret(a[0], ty.data.clone())),
        )],
        examples: &[
            ("UNIX_DATE(DATE '1970-02-01')", "31"),
            ("UNIX_DATE(CAST(NULL AS DATE))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "EPOCH_MICROS",
        aliases: &["EPOCH_US", "UNIX_MICROS"],
        doc: "Microseconds from 1970 to a date or timestamp.",
        overloads: &[sig(
            &[INSTANT],
            P::BigInt,
            Meaning::Ops(|b, a, ty| b.reinterpret(a[0], ty.data.clone())),
        )],
        examples: &[
            ("EPOCH_MICROS(TIMESTAMP '1970-01-01 00:00:01.5')", "1500000"),
            ("EPOCH_MICROS(CAST(NULL AS TIMESTAMP))", "NULL"),
        ],
        ..TIME
    },
    Builtin {
        name: "TIMESTAMP_MILLIS",
        aliases: &["MAKE_TIMESTAMP_MS"],
        doc: "The timestamp so many milliseconds after 1970.",
        overloads: &[sig(
            &[P::BigInt],
            P::Timestamp,
            host("timestamp_millis", |_, a, out| {
                out.i64(millis(a[0])?);
                Ok(())
            }),
        )],
        examples: &[
            ("TIMESTAMP_MILLIS(1500)", "1970-01-01 00:00:01.5"),
            ("TIMESTAMP_MILLIS(NULL)", "NULL"),
        ],
        ..TIME
    },
];

fn java<'a>(cx: &'a mut HostCx, pattern: HostArg<'_>) -> Result<&'a TimePattern, HostError> {
    cx.cached(pattern.bytes(), TimePattern::java)
}

/// What a pattern of C makes, apart from Java's of the same text.
struct CPattern(TimePattern);

fn c_pattern<'a>(cx: &'a mut HostCx, pattern: HostArg<'_>) -> Result<&'a TimePattern, HostError> {
    let kept = cx.cached(pattern.bytes(), |text| strftime::pattern(text).map(CPattern));
    kept.map(|pattern| &pattern.0)
}

/// The zone of a call, if it has one.
fn zone(cx: &mut HostCx, args: &[HostArg<'_>]) -> Result<Option<Zone>, HostError> {
    args.get(2).map(|zone| cx.cached(zone.bytes(), Zone::parse).copied()).transpose()
}

/// The timestamp in the first argument by the pattern in the second, in UTC.
/// The instant in a text: (text, pattern, zone or none).
pub(super) fn read_in_zone(cx: &mut HostCx, args: &[HostArg<'_>]) -> Result<i64, HostError> {
    let zone = zone(cx, args)?;
    let read = java(cx, args[1])?.read(args[0].str().trim());
    let local = read.ok_or_else(|| unread(args[0].str()))?;
    zone.map_or(Ok(local), |zone| zone.instant(local))
}

fn write(cx: &mut HostCx, micros: i64, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let local = zone(cx, args)?.map_or(Ok(micros), |zone| zone.local(micros))?;
    java(cx, args[1])?.write(local, out.open());
    Ok(())
}

fn format_timestamp(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    write(cx, args[0].i64(), args, out)
}

fn parse_timestamp(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(read_in_zone(cx, args)?);
    Ok(())
}

fn millis(arg: HostArg<'_>) -> Result<i64, HostError> {
    arg.i64().checked_mul(1_000).ok_or_else(HostError::overflow)
}

fn millis_to_text(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    write(cx, millis(args[0])?, args, out)
}

fn text_to_millis(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    out.i64(read_in_zone(cx, args)?.div_euclid(1_000));
    Ok(())
}

fn days_to_micros(days: i64) -> Result<i64, HostError> {
    days.checked_mul(DAY).ok_or_else(HostError::overflow)
}

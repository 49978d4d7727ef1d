//! Units of time: a field of a date or timestamp, its start, and counting in it. Weeks are ISO
//! weeks, from Monday; everything is in UTC (`AT TIME ZONE` shifts).

use flow_ir::kernel::ErrorCode;
use flow_ir::types::{DataType, TIME_MAX_PRECISION, Type};
use flow_ir::value::Value;

use crate::calendar::{
    Civil, DAY, HOUR, MINUTE, SECOND, add_interval, civil_of_days, day_of_year, days_of_civil,
    iso_week, join_micros, split_micros, weekday,
};
use crate::host::{HostArg, HostCx, HostError, HostOut};

type Done = Result<(), HostError>;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// 1000 years.
    Millennium,
    /// 100 years.
    Century,
    /// 10 years.
    Decade,
    /// A year.
    Year,
    /// The year that an ISO week belongs to.
    IsoYear,
    /// 3 months.
    Quarter,
    /// A month.
    Month,
    /// An ISO week.
    Week,
    /// A day.
    Day,
    /// Day of the week, Sunday 0.
    DayOfWeek,
    /// Day of the week, Monday 1.
    IsoDayOfWeek,
    /// Day of the year.
    DayOfYear,
    /// An hour.
    Hour,
    /// A minute.
    Minute,
    /// A second.
    Second,
    /// A thousandth of a second.
    Millisecond,
    /// A millionth of a second.
    Microsecond,
    /// A billionth of a second.
    Nanosecond,
    /// Seconds since 1970.
    Epoch,
}

impl Unit {
    /// The unit of this name, whatever its case, in singular or plural.
    ///
    /// # Errors
    /// `BadArgument` if there is none.
    pub(super) fn parse(name: &str) -> Result<Unit, HostError> {
        let upper = name.trim().to_ascii_uppercase();
        let unknown = || HostError::bad_argument(format!("no unit of time '{name}'"));
        let upper = upper.strip_prefix("SQL_TSI_").unwrap_or(&upper);
        let single = match upper.strip_suffix('S') {
            Some(single) if single.len() > 1 => single,
            _ => upper,
        };
        Ok(match single {
            "MILLENNIUM" | "MILLENNIA" => Unit::Millennium,
            "CENTURY" | "CENTURIE" => Unit::Century,
            "DECADE" => Unit::Decade,
            "YEAR" | "YYYY" => Unit::Year,
            "ISOYEAR" => Unit::IsoYear,
            "QUARTER" => Unit::Quarter,
            "MONTH" | "MON" => Unit::Month,
            "WEEK" => Unit::Week,
            "DAY" | "DAYOFMONTH" => Unit::Day,
            "DOW" => Unit::DayOfWeek,
            "ISODOW" => Unit::IsoDayOfWeek,
            "DOY" => Unit::DayOfYear,
            "HOUR" => Unit::Hour,
            "MINUTE" | "MIN" => Unit::Minute,
            "SECOND" | "SEC" => Unit::Second,
            "MILLISECOND" | "MS" => Unit::Millisecond,
            "MICROSECOND" | "US" => Unit::Microsecond,
            "NANOSECOND" | "NS" => Unit::Nanosecond,
            "EPOCH" => Unit::Epoch,
            _ => return Err(unknown()),
        })
    }

    /// One of the unit as (months, microseconds); `None` for units that do not count.
    fn length(self) -> Option<(i64, i64)> {
        Some(match self {
            Unit::Millennium => (12_000, 0),
            Unit::Century => (1_200, 0),
            Unit::Decade => (120, 0),
            Unit::Year => (12, 0),
            Unit::Quarter => (3, 0),
            Unit::Month => (1, 0),
            Unit::Week => (0, 7 * DAY),
            Unit::Day => (0, DAY),
            Unit::Hour => (0, HOUR),
            Unit::Minute => (0, MINUTE),
            Unit::Second => (0, SECOND),
            Unit::Millisecond => (0, 1_000),
            Unit::Microsecond => (0, 1),
            Unit::IsoYear
            | Unit::DayOfWeek
            | Unit::IsoDayOfWeek
            | Unit::DayOfYear
            | Unit::Nanosecond
            | Unit::Epoch => return None,
        })
    }

    /// The field of a timestamp.
    fn of_timestamp(self, micros: i64) -> i64 {
        let (days, time) = split_micros(micros);
        let date = civil_of_days(days);
        match self {
            Unit::Millennium => (date.year - 1).div_euclid(1000) + 1,
            Unit::Century => (date.year - 1).div_euclid(100) + 1,
            Unit::Decade => date.year.div_euclid(10),
            Unit::Year => date.year,
            Unit::IsoYear => iso_week(days).0,
            Unit::Quarter => (date.month + 2) / 3,
            Unit::Month => date.month,
            Unit::Week => iso_week(days).1,
            Unit::Day => date.day,
            Unit::DayOfWeek => weekday(days),
            Unit::IsoDayOfWeek => (weekday(days) + 6) % 7 + 1,
            Unit::DayOfYear => day_of_year(days),
            Unit::Hour => time / HOUR,
            Unit::Minute => time / MINUTE % 60,
            Unit::Second => time / SECOND % 60,
            Unit::Millisecond => time / 1_000 % 1_000,
            Unit::Microsecond => time % SECOND,
            Unit::Nanosecond => time % SECOND * 1_000,
            Unit::Epoch => micros.div_euclid(SECOND),
        }
    }

    /// The field of an interval.
    fn of_interval(self, months: i64, micros: i64) -> Option<i64> {
        Some(match self {
            Unit::Year => months / 12,
            Unit::Quarter => months % 12 / 3 + 1,
            Unit::Month => months % 12,
            Unit::Day => micros / DAY,
            Unit::Hour => micros / HOUR % 24,
            Unit::Minute => micros / MINUTE % 60,
            Unit::Second => micros / SECOND % 60,
            Unit::Millisecond => micros / 1_000 % 1_000,
            Unit::Microsecond => micros % SECOND,
            Unit::Nanosecond => micros % SECOND * 1_000,
            Unit::Epoch => (micros / SECOND).checked_add(months.checked_mul(30 * 86_400)?)?,
            Unit::Millennium
            | Unit::Century
            | Unit::Decade
            | Unit::IsoYear
            | Unit::Week
            | Unit::DayOfWeek
            | Unit::IsoDayOfWeek
            | Unit::DayOfYear => return None,
        })
    }

    /// The start of the unit that a timestamp lies in.
    fn start(self, micros: i64) -> Result<i64, HostError> {
        let (days, _) = split_micros(micros);
        let date = civil_of_days(days);
        let year = |year: i64| days_of_civil(Civil { year, month: 1, day: 1 });
        let month = |month: i64| days_of_civil(Civil { year: date.year, month, day: 1 });
        let day = match self {
            Unit::Millennium => year((date.year - 1).div_euclid(1000) * 1000 + 1),
            Unit::Century => year((date.year - 1).div_euclid(100) * 100 + 1),
            Unit::Decade => year(date.year.div_euclid(10) * 10),
            Unit::Year => year(date.year),
            Unit::Quarter => month((date.month - 1) / 3 * 3 + 1),
            Unit::Month => month(date.month),
            Unit::Week => days - (weekday(days) + 6) % 7,
            Unit::Day
            | Unit::Hour
            | Unit::Minute
            | Unit::Second
            | Unit::Millisecond
            | Unit::Microsecond
            | Unit::Nanosecond
            | Unit::IsoYear
            | Unit::DayOfWeek
            | Unit::IsoDayOfWeek
            | Unit::DayOfYear
            | Unit::Epoch => {
                let (_, length) = self.counted()?;
                return floor_to(micros, length);
            }
        };
        Ok(join_micros(day, 0)?)
    }

    pub(super) fn counted(self) -> Result<(i64, i64), HostError> {
        self.length().ok_or_else(|| HostError::bad_argument(format!("{self:?} does not count")))
    }
}

fn floor_to(micros: i64, length: i64) -> Result<i64, HostError> {
    micros.div_euclid(length).checked_mul(length).ok_or_else(HostError::overflow)
}

/// A date as its midnight, a timestamp as it is.
fn instant(value: i64, ty: &DataType) -> Result<i64, HostError> {
    if *ty == DataType::Date { Ok(join_micros(value, 0)?) } else { Ok(value) }
}

/// A timestamp as a value of the result's type.
fn put(cx: &HostCx, micros: i64, out: &mut HostOut<'_>) {
    let date = cx.result.data == DataType::Date;
    out.i64(if date { split_micros(micros).0 } else { micros });
}

/// EXTRACT: (unit, value).
pub(super) fn extract(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unit = *cx.cached(args[0].bytes(), Unit::parse)?;
    let field = match &cx.args[1].data {
        DataType::Interval => {
            let (months, micros) = args[1].interval();
            unit.of_interval(months, micros)
                .ok_or_else(|| HostError::bad_argument(format!("an interval has no {unit:?}")))?
        }
        ty => unit.of_timestamp(instant(args[1].i64(), ty)?),
    };
    out.i64(field);
    Ok(())
}

/// DATE_TRUNC: (unit, value).
pub(super) fn date_trunc(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unit = *cx.cached(args[0].bytes(), Unit::parse)?;
    let micros = instant(args[1].i64(), &cx.result.data)?;
    put(cx, unit.start(micros)?, out);
    Ok(())
}

/// The start of the unit as FLOOR and CEIL have it: their weeks begin on Sunday.
fn floored(unit: Unit, micros: i64) -> Result<i64, HostError> {
    match unit {
        Unit::Week => {
            let next = micros.checked_add(DAY).ok_or_else(HostError::overflow)?;
            Ok(unit.start(next)? - DAY)
        }
        _ => unit.start(micros),
    }
}

/// FLOOR … TO: (value, unit).
pub(super) fn floor(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unit = *cx.cached(args[1].bytes(), Unit::parse)?;
    let micros = instant(args[0].i64(), &cx.result.data)?;
    put(cx, floored(unit, micros)?, out);
    Ok(())
}

/// CEIL … TO: (value, unit).
pub(super) fn ceil(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unit = *cx.cached(args[1].bytes(), Unit::parse)?;
    let micros = instant(args[0].i64(), &cx.result.data)?;
    let start = floored(unit, micros)?;
    let (months, length) = unit.counted()?;
    let end = if start == micros { micros } else { add_interval(start, months, length)? };
    put(cx, end, out);
    Ok(())
}

/// FLOOR of a time of day: (value, unit).
pub(super) fn floor_time(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let length = of_a_day(*cx.cached(args[1].bytes(), Unit::parse)?)?;
    out.i64(args[0].i64() / length * length);
    Ok(())
}

/// CEIL of a time of day: (value, unit). Midnight comes after the last hour.
pub(super) fn ceil_time(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let length = of_a_day(*cx.cached(args[1].bytes(), Unit::parse)?)?;
    out.i64((args[0].i64() + length - 1) / length * length % DAY);
    Ok(())
}

/// The length of a unit that days are made of.
fn of_a_day(unit: Unit) -> Result<i64, HostError> {
    match unit.counted()? {
        (0, length) if length < DAY => Ok(length),
        _ => Err(HostError::bad_argument(format!("a time of day has no {unit:?}"))),
    }
}

/// The type of a date moved by a unit: DATE if that is known to be of whole days.
pub(super) fn added_type(_: &[Type], literals: &[Option<&Value>]) -> DataType {
    let unit = match literals.first() {
        Some(Some(Value::String(unit))) => Unit::parse(unit).ok(),
        _ => None,
    };
    match unit.and_then(Unit::length) {
        Some((_, length)) if length % DAY == 0 => DataType::Date,
        _ => DataType::Timestamp { precision: TIME_MAX_PRECISION },
    }
}

/// TIMESTAMPADD: (unit, count, value).
pub(super) fn timestamp_add(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unit = *cx.cached(args[0].bytes(), Unit::parse)?;
    let (months, micros) = unit.counted()?;
    let count = args[1].i64();
    let times = |length: i64| length.checked_mul(count).ok_or_else(HostError::overflow);
    let from = instant(args[2].i64(), &cx.args[2].data)?;
    put(cx, add_interval(from, times(months)?, times(micros)?)?, out);
    Ok(())
}

/// TIMESTAMPDIFF: (unit, from, to), whole units only.
pub(super) fn timestamp_diff(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unit = *cx.cached(args[0].bytes(), Unit::parse)?;
    let from = instant(args[1].i64(), &cx.args[1].data)?;
    let to = instant(args[2].i64(), &cx.args[2].data)?;
    let (months, micros) = unit.counted()?;
    out.i64(if months > 0 {
        whole_months(from, to)? / months
    } else {
        to.checked_sub(from).ok_or_else(HostError::overflow)? / micros
    });
    Ok(())
}

/// DATE_DIFF: (unit, from, to), how many starts of the unit lie between.
pub(super) fn boundaries(cx: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let unit = *cx.cached(args[0].bytes(), Unit::parse)?;
    let from = unit.start(instant(args[1].i64(), &cx.args[1].data)?)?;
    let to = unit.start(instant(args[2].i64(), &cx.args[2].data)?)?;
    let (months, micros) = unit.counted()?;
    out.i64(if months > 0 {
        whole_months(from, to)? / months
    } else {
        to.checked_sub(from).ok_or_else(HostError::overflow)? / micros
    });
    Ok(())
}

/// Months from one timestamp to another, cut toward zero.
fn whole_months(from: i64, to: i64) -> Result<i64, ErrorCode> {
    if to < from {
        return whole_months(to, from).map(|months| -months);
    }
    let month = |micros: i64| {
        let date = civil_of_days(split_micros(micros).0);
        date.year * 12 + date.month
    };
    let months = month(to) - month(from);
    let over = months > 0 && add_interval(from, months, 0)? > to;
    Ok(months - i64::from(over))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse_timestamp;

    fn at(text: &str) -> i64 {
        parse_timestamp(text).expect("a timestamp")
    }

    #[test]
    fn starts() {
        let t = at("2026-08-13 14:15:16.789");
        for (unit, start) in [
            (Unit::Century, "2001-01-01"),
            (Unit::Decade, "2020-01-01"),
            (Unit::Year, "2026-01-01"),
            (Unit::Quarter, "2026-07-01"),
            (Unit::Month, "2026-08-01"),
            (Unit::Week, "2026-08-10"),
            (Unit::Day, "2026-08-13"),
            (Unit::Hour, "2026-08-13 14:00"),
            (Unit::Millisecond, "2026-08-13 14:15:16.789"),
        ] {
            assert_eq!(unit.start(t), Ok(at(start)), "{unit:?}");
        }
        assert_eq!(Unit::Hour.start(-1), Ok(-HOUR));
        assert!(Unit::Day.start(i64::MIN).is_err());
        assert!(Unit::Epoch.start(0).is_err());
    }

    #[test]
    fn months_between() {
        assert_eq!(whole_months(at("2026-01-31"), at("2026-02-28")), Ok(1));
        assert_eq!(whole_months(at("2026-01-15"), at("2026-02-14")), Ok(0));
        assert_eq!(whole_months(at("2026-02-15"), at("2026-01-15")), Ok(-1));
    }

    #[test]
    fn names() {
        assert_eq!(Unit::parse("hours"), Ok(Unit::Hour));
        assert_eq!(Unit::parse("ms"), Ok(Unit::Millisecond));
        assert_eq!(Unit::parse("SQL_TSI_DAY"), Ok(Unit::Day));
        assert!(Unit::parse("fortnight").is_err());
    }
}

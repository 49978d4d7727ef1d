//! The proleptic Gregorian calendar over integers: days and microseconds since 1970-01-01 to
//! fields and back, for every value of the types. Algorithms after Howard Hinnant, "chrono-
//! Compatible Low-Level Date Algorithms".

use flow_ir::kernel::ErrorCode;

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds of an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds of a day.
pub const DAY: i64 = 24 * HOUR;

/// Years before and after 0 in which all dates lie: DATE has 32 bits.
const YEARS_MAX: i64 = 5_900_000;

/// A date by its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Astronomical year: 0 is 1 BC.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
}

/// The date that is `days` after 1970-01-01.
pub fn civil_of_days(days: i64) -> Civil {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    Civil { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
}

/// Days from 1970-01-01 to a date whose month is 1 to 12; days past the month's end run on.
pub fn days_of_civil(date: Civil) -> i64 {
    let year = date.year - i64::from(date.month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = (date.month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + date.day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Whether a year has 366 days.
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date that exists and is in the range of DATE.
pub fn checked_days(year: i64, month: i64, day: i64) -> Option<i64> {
    let holds = (-YEARS_MAX..=YEARS_MAX).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day);
    let days = holds.then(|| days_of_civil(Civil { year, month, day }));
    days.filter(|days| i32::try_from(*days).is_ok())
}

/// (days, microseconds of the day) of a timestamp.
pub fn split_micros(micros: i64) -> (i64, i64) {
    (micros.div_euclid(DAY), micros.rem_euclid(DAY))
}

/// The timestamp at a microsecond of a day.
///
/// # Errors
/// `Overflow` outside the range of timestamps.
pub fn join_micros(days: i64, micros: i64) -> Result<i64, ErrorCode> {
    days.checked_mul(DAY).and_then(|m| m.checked_add(micros)).ok_or(ErrorCode::Overflow)
}

/// Days as a DATE.
///
/// # Errors
/// `Overflow` outside the range of dates.
pub fn check_days(days: i64) -> Result<i64, ErrorCode> {
    i32::try_from(days).map(i64::from).map_err(|_| ErrorCode::Overflow)
}

/// A date `months` later; the day is cut to the month's length.
///
/// # Errors
/// `Overflow` outside the calendar.
pub fn add_months(days: i64, months: i64) -> Result<i64, ErrorCode> {
    let date = civil_of_days(days);
    let month = (date.year * 12 + date.month - 1).checked_add(months);
    let month = month
        .filter(|m| m.unsigned_abs() < 12 * YEARS_MAX.unsigned_abs())
        .ok_or(ErrorCode::Overflow)?;
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    let day = date.day.min(days_in_month(year, month));
    Ok(days_of_civil(Civil { year, month, day }))
}

/// A timestamp plus an interval: months first, then microseconds.
///
/// # Errors
/// `Overflow` outside the range of timestamps.
pub fn add_interval(micros: i64, months: i64, more: i64) -> Result<i64, ErrorCode> {
    let moved = if months == 0 {
        micros
    } else {
        let (days, rest) = split_micros(micros);
        join_micros(add_months(days, months)?, rest)?
    };
    moved.checked_add(more).ok_or(ErrorCode::Overflow)
}

/// Day of the week, 0 for Sunday.
pub fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// Day of the year, from 1.
pub fn day_of_year(days: i64) -> i64 {
    let year = civil_of_days(days).year;
    days - days_of_civil(Civil { year, month: 1, day: 1 }) + 1
}

/// (year, week) by ISO 8601: weeks begin on Monday, week 1 holds January 4th.
pub fn iso_week(days: i64) -> (i64, i64) {
    let monday = days - (weekday(days) + 6) % 7;
    let year = civil_of_days(monday + 3).year;
    let fourth = days_of_civil(Civil { year, month: 1, day: 4 });
    let first_monday = fourth - (weekday(fourth) + 6) % 7;
    (year, (monday - first_monday) / 7 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (days, year, month, day) in [
            (0, 1970, 1, 1),
            (-1, 1969, 12, 31),
            (11_016, 2000, 2, 29),
            (20_454, 2026, 1, 1),
            (-719_468, 0, 3, 1),
        ] {
            assert_eq!(civil_of_days(days), Civil { year, month, day });
            assert_eq!(days_of_civil(Civil { year, month, day }), days);
        }
        assert_eq!(weekday(0), 4);
        assert_eq!(day_of_year(20_454 + 31), 32);
    }

    #[test]
    fn every_day_round_trips() {
        let ends = [i64::from(i32::MIN), i64::from(i32::MAX)];
        for days in (-1_000_000..1_000_000).step_by(17).chain(ends) {
            let date = civil_of_days(days);
            assert_eq!(checked_days(date.year, date.month, date.day), Some(days));
            assert_eq!(days_of_civil(date), days);
        }
        let after = civil_of_days(ends[1] + 1);
        assert_eq!(checked_days(after.year, after.month, after.day), None);
    }

    #[test]
    fn iso_weeks() {
        let week = |y, m, d| iso_week(checked_days(y, m, d).expect("exists"));
        assert_eq!(week(2021, 1, 3), (2020, 53));
        assert_eq!(week(2021, 1, 4), (2021, 1));
        assert_eq!(week(2025, 12, 29), (2026, 1));
        assert_eq!(week(2026, 12, 31), (2026, 53));
    }

    #[test]
    fn months_keep_to_the_month() {
        let day = |y, m, d| checked_days(y, m, d).expect("exists");
        assert_eq!(add_months(day(2024, 1, 31), 1), Ok(day(2024, 2, 29)));
        assert_eq!(add_months(day(2024, 3, 31), -13), Ok(day(2023, 2, 28)));
        assert_eq!(add_months(0, i64::MAX), Err(ErrorCode::Overflow));
        assert_eq!(add_interval(i64::MAX, 0, 1), Err(ErrorCode::Overflow));
        assert_eq!(add_interval(i64::MIN, -1, 0), Err(ErrorCode::Overflow));
        assert_eq!(checked_days(2023, 2, 29), None);
    }
}

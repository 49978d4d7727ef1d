//! Dates, times and timestamps as text: ISO 8601 with a blank or T between date and time. An
//! offset or Z that is read is applied; digits beyond microseconds are cut.

use std::io::Write;

use crate::calendar::{DAY, HOUR, MINUTE, SECOND, checked_days, civil_of_days, split_micros};

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeStyle {
    /// Between date and time.
    pub separator: u8,
    /// Whether Z is appended.
    pub zulu: bool,
}

impl TimeStyle {
    /// `2026-01-31 12:00:00`
    pub const SQL: Self = Self { separator: b' ', zulu: false };
    /// `2026-01-31 12:00:00Z`
    pub const SQL_UTC: Self = Self { separator: b' ', zulu: true };
    /// `2026-01-31T12:00:00`
    pub const ISO: Self = Self { separator: b'T', zulu: false };
    /// `2026-01-31T12:00:00Z`
    pub const ISO_UTC: Self = Self { separator: b'T', zulu: true };
}

/// Writes a DATE (days since 1970-01-01); years outside 0 to 9999 with a sign.
pub fn write_date(days: i64, out: &mut Vec<u8>) {
    let date = civil_of_days(days);
    if (0..=9999).contains(&date.year) {
        let (high, low) = (date.year / 100, date.year % 100);
        write_two(high, out);
        write_two(low, out);
    } else {
        write!(out, "{:+05}", date.year).expect("a Vec takes all bytes");
    }
    out.push(b'-');
    write_two(date.month, out);
    out.push(b'-');
    write_two(date.day, out);
}

/// Writes a TIME (microseconds since midnight), without trailing zeros of the fraction.
pub fn write_time(micros: i64, out: &mut Vec<u8>) {
    write_two(micros / HOUR, out);
    out.push(b':');
    write_two(micros / MINUTE % 60, out);
    out.push(b':');
    write_two(micros / SECOND % 60, out);
    write_fraction(micros % SECOND, out);
}

/// Writes the fraction of a second, nothing where it is 0.
pub(super) fn write_fraction(micros: i64, out: &mut Vec<u8>) {
    if micros == 0 {
        return;
    }
    write!(out, ".{micros:06}").expect("a Vec takes all bytes");
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

/// Writes a timestamp (microseconds since 1970).
pub fn write_timestamp(micros: i64, style: TimeStyle, out: &mut Vec<u8>) {
    let (days, time) = split_micros(micros);
    write_date(days, out);
    out.push(style.separator);
    write_time(time, out);
    if style.zulu {
        out.push(b'Z');
    }
}

/// Writes a number of two digits; more where it has more.
pub(super) fn write_two(value: i64, out: &mut Vec<u8>) {
    if (0..100).contains(&value) {
        out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
    } else {
        write!(out, "{value:02}").expect("a Vec takes all bytes");
    }
}

/// Reads a DATE, also from the text of a timestamp.
pub fn parse_date(text: &str) -> Option<i32> {
    let text = text.trim();
    let mut scan = Scan(text.as_bytes());
    let days = scan.date()?;
    if !scan.0.is_empty() {
        parse_timestamp(text)?;
    }
    i32::try_from(days).ok()
}

/// Reads a TIME.
pub fn parse_time(text: &str) -> Option<i64> {
    let mut scan = Scan(text.trim().as_bytes());
    let micros = scan.time()?;
    scan.0.is_empty().then_some(micros)
}

/// Reads a timestamp in UTC, or with an offset that is applied; a date alone is its midnight.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (days, time, offset) = timestamp(text)?;
    instant(days, time - offset.unwrap_or(0))
}

/// Reads a timestamp as the local time that is written, and the offset that is written with it.
pub fn parse_local(text: &str) -> Option<(i64, Option<i64>)> {
    let (days, time, offset) = timestamp(text)?;
    Some((instant(days, time)?, offset))
}

/// Days, microseconds of the day, and the offset if there is one.
fn timestamp(text: &str) -> Option<(i64, i64, Option<i64>)> {
    let mut scan = Scan(text.trim().as_bytes());
    let days = scan.date()?;
    let mut time = 0;
    if scan.eat(b'T') || scan.eat(b't') || scan.eat(b' ') {
        time = scan.time()?;
    }
    while scan.eat(b' ') {}
    let offset = if scan.0.is_empty() { None } else { Some(scan.offset()?) };
    scan.0.is_empty().then_some((days, time, offset))
}

/// Microseconds since 1970. The first day of all began before the first timestamp.
fn instant(days: i64, micros: i64) -> Option<i64> {
    let micros = i128::from(days) * i128::from(DAY) + i128::from(micros);
    i64::try_from(micros).ok()
}

/// Reads an offset from UTC such as `Z`, `+02`, `+02:00` or `-0530`, in microseconds.
pub fn parse_offset(text: &str) -> Option<i64> {
    let mut scan = Scan(text.trim().as_bytes());
    let offset = scan.offset()?;
    (scan.0.is_empty() && !text.trim().is_empty()).then_some(offset)
}

struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        let hit = self.0.first() == Some(&byte);
        if hit {
            self.0 = &self.0[1..];
        }
        hit
    }

    /// A number of `least` to `most` digits.
    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let count = self.0.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    }

    fn date(&mut self) -> Option<i64> {
        let negative = self.eat(b'-');
        let signed = negative || self.eat(b'+');
        let year = self.number(4, if signed { 7 } else { 4 })?;
        let year = if negative { -year } else { year };
        self.eat(b'-').then_some(())?;
        let month = self.number(1, 2)?;
        self.eat(b'-').then_some(())?;
        let day = self.number(1, 2)?;
        checked_days(year, month, day)
    }

    fn time(&mut self) -> Option<i64> {
        let hour = self.number(1, 2).filter(|h| *h < 24)?;
        self.eat(b':').then_some(())?;
        let minute = self.number(2, 2).filter(|m| *m < 60)?;
        let mut micros = hour * HOUR + minute * MINUTE;
        if self.eat(b':') {
            micros += self.number(2, 2).filter(|s| *s < 60)? * SECOND;
            if self.eat(b'.') {
                micros += self.fraction()?;
            }
        }
        Some(micros)
    }

    fn fraction(&mut self) -> Option<i64> {
        let before = self.0.len();
        let value = self.number(1, 6)?;
        let digits = (before - self.0.len()) as u32;
        while self.0.first().is_some_and(u8::is_ascii_digit) {
            self.0 = &self.0[1..];
        }
        Some(value * 10i64.pow(6 - digits))
    }

    /// An offset from UTC in microseconds; 0 where there is none.
    fn offset(&mut self) -> Option<i64> {
        while self.eat(b' ') {}
        if self.0.is_empty() || self.eat(b'Z') || self.eat(b'z') {
            return Some(0);
        }
        if self.0.eq_ignore_ascii_case(b"UTC") {
            self.0 = &[];
            return Some(0);
        }
        let negative = self.eat(b'-');
        if !negative {
            self.eat(b'+').then_some(())?;
        }
        let hour = self.number(1, 2).filter(|h| *h <= 18)?;
        let colon = self.eat(b':');
        let minute = if colon || !self.0.is_empty() { self.number(2, 2)? } else { 0 };
        let offset = hour * HOUR + Some(minute).filter(|m| *m < 60)? * MINUTE;
        Some(if negative { -offset } else { offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_applied() {
        let noon = parse_timestamp("2026-01-01 12:00:00").expect("reads");
        for text in [
            "2026-01-01T12:00",
            "2026-01-01T12:00:00Z",
            "2026-01-01 14:00:00+02:00",
            "2026-01-01 06:30:00 -0530",
            "2026-01-01 14:00:00.000+02",
            "2026-01-01 12:00:00 UTC",
        ] {
            assert_eq!(parse_timestamp(text), Some(noon), "{text}");
        }
        assert_eq!(parse_timestamp("2026-01-01"), Some(noon - 12 * HOUR));
        assert_eq!(parse_date("2026-01-01T12:00:00Z"), Some(20_454));
        assert_eq!(parse_offset("-05:30"), Some(-(5 * HOUR + 30 * MINUTE)));
        assert_eq!(parse_offset(""), None);
    }

    #[test]
    fn fractions() {
        assert_eq!(parse_time("00:00:00.5"), Some(500_000));
        assert_eq!(parse_time("00:00:00.123456789"), Some(123_456));
        let mut out = Vec::new();
        write_time(12 * HOUR + 120_000, &mut out);
        assert_eq!(out, b"12:00:00.12");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "2026-01-01 25:00",
            "2026-01-01 12:60",
            "2026-01-01 12:00:00+99",
            "2026-01-01x",
            "+9999999-01-01",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text:?}");
        }
    }

    #[test]
    fn far_years_round_trip() {
        for micros in [i64::MIN, i64::MAX, -62_200_000_000_000_000] {
            let mut out = Vec::new();
            write_timestamp(micros, TimeStyle::ISO_UTC, &mut out);
            let text = String::from_utf8(out).expect("text");
            assert_eq!(parse_timestamp(&text), Some(micros), "{text}");
        }
        for days in [i32::MIN, i32::MAX] {
            let mut out = Vec::new();
            write_date(i64::from(days), &mut out);
            let text = String::from_utf8(out).expect("text");
            assert_eq!(parse_date(&text), Some(days), "{text}");
        }
    }
}

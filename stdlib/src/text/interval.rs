//! INTERVAL as text: written like `1 year 2 months 3 days 04:05:06.7`; read in that form, with any
//! unit names, and as ISO 8601 durations (`P1Y2M3DT4H5M6.7S`).

use super::time::{write_fraction, write_two};
use super::write_i64;
use crate::calendar::{DAY, HOUR, MINUTE, SECOND};

/// Writes an interval of months and microseconds; a part of 0 is left out.
pub fn write_interval(months: i64, micros: i64, out: &mut Vec<u8>) {
    let start = out.len();
    let parts = [(months / 12, "year"), (months % 12, "month"), (micros / DAY, "day")];
    for (count, unit) in parts {
        if count == 0 {
            continue;
        }
        if out.len() > start {
            out.push(b' ');
        }
        write_i64(count, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if count != 1 {
            out.push(b's');
        }
    }
    let rest = micros % DAY;
    if rest == 0 && out.len() > start {
        return;
    }
    if out.len() > start {
        out.push(b' ');
    }
    if rest < 0 {
        out.push(b'-');
    }
    let rest = rest.abs();
    write_two(rest / HOUR, out);
    out.push(b':');
    write_two(rest / MINUTE % 60, out);
    out.push(b':');
    write_two(rest / SECOND % 60, out);
    write_fraction(rest % SECOND, out);
}

/// (months, microseconds) of one of a unit.
pub fn interval_of_unit(unit: &str) -> Option<(i64, i64)> {
    let unit = unit.to_ascii_lowercase();
    let single = match unit.strip_suffix('s') {
        Some(single) if single.len() > 1 => single,
        _ => unit.as_str(),
    };
    Some(match single {
        "century" | "centurie" => (1200, 0),
        "decade" => (120, 0),
        "year" | "yr" | "y" => (12, 0),
        "quarter" => (3, 0),
        "month" | "mon" => (1, 0),
        "week" | "w" => (0, 7 * DAY),
        "day" | "d" => (0, DAY),
        "hour" | "hr" | "h" => (0, HOUR),
        "minute" | "min" | "m" => (0, MINUTE),
        "second" | "sec" | "s" => (0, SECOND),
        "millisecond" | "msec" | "ms" => (0, 1_000),
        "microsecond" | "usec" | "us" => (0, 1),
        _ => return None,
    })
}

/// Reads an interval as (months, microseconds).
pub fn parse_interval(text: &str) -> Option<(i64, i64)> {
    let text = text.trim();
    if let Some(iso) = text.strip_prefix(['P', 'p']) {
        return parse_iso(iso);
    }
    let mut total = (0i64, 0i64);
    let mut words = text.split_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        if word.contains(':') {
            total.1 = total.1.checked_add(parse_clock(word)?)?;
            continue;
        }
        let split = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (number, glued) = word.split_at(split);
        let unit = if glued.is_empty() { words.next()? } else { glued };
        total = add(total, number, interval_of_unit(unit)?)?;
    }
    Some(total)
}

fn parse_iso(text: &str) -> Option<(i64, i64)> {
    let mut total = (0i64, 0i64);
    let mut rest = text;
    let mut in_time = false;
    let mut any = false;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(['T', 't']) {
            in_time = true;
            rest = after;
            continue;
        }
        let split = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let unit = match (rest.as_bytes()[split].to_ascii_uppercase(), in_time) {
            (b'Y', false) => (12, 0),
            (b'M', false) => (1, 0),
            (b'W', false) => (0, 7 * DAY),
            (b'D', false) => (0, DAY),
            (b'H', true) => (0, HOUR),
            (b'M', true) => (0, MINUTE),
            (b'S', true) => (0, SECOND),
            _ => return None,
        };
        total = add(total, &rest[..split], unit)?;
        rest = &rest[split + 1..];
        any = true;
    }
    any.then_some(total)
}

/// Adds `number` units; a fraction counts in microseconds, of months only whole ones.
fn add(total: (i64, i64), number: &str, unit: (i64, i64)) -> Option<(i64, i64)> {
    if let Ok(count) = number.parse::<i64>() {
        let months = total.0.checked_add(unit.0.checked_mul(count)?)?;
        return Some((months, total.1.checked_add(unit.1.checked_mul(count)?)?));
    }
    let digits = crate::decimal::Digits { precision: 38, scale: 9 };
    let nanos = super::parse_decimal(number, digits).ok()?;
    let scale = |unit: i64| {
        let scaled = i128::from(unit).checked_mul(nanos)?;
        i64::try_from(crate::decimal::round_div(scaled, 1_000_000_000)).ok()
    };
    Some((total.0.checked_add(scale(unit.0)?)?, total.1.checked_add(scale(unit.1)?)?))
}

/// Reads `[-]h:mm[:ss[.f]]`; the hours may be many.
fn parse_clock(word: &str) -> Option<i64> {
    let (negative, word) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let mut parts = word.split(':');
    let hours = parts.next()?;
    let minutes: i64 = parts.next()?.parse().ok().filter(|m| (0..60).contains(m))?;
    let (_, micros) = add((0, minutes * MINUTE), hours, (0, HOUR))?;
    let (_, micros) = match parts.next() {
        Some(seconds) if seconds.starts_with(|c: char| c.is_ascii_digit()) => {
            add((0, micros), seconds, (0, SECOND))?
        }
        Some(_) => return None,
        None => (0, micros),
    };
    parts.next().is_none().then_some(if negative { -micros } else { micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, months, micros) in [
            ("1 year 2 months", 14, 0),
            ("3 days 04:05:06", 0, 3 * DAY + 4 * HOUR + 5 * MINUTE + 6 * SECOND),
            ("90s", 0, 90 * SECOND),
            ("1.5 hours", 0, 90 * MINUTE),
            ("-00:00:01.5", 0, -1_500_000),
            ("P1Y2M3DT4H5M6.5S", 14, 3 * DAY + 4 * HOUR + 5 * MINUTE + 6_500_000),
            ("PT-15M", 0, -15 * MINUTE),
            ("100:00", 0, 100 * HOUR),
        ] {
            assert_eq!(parse_interval(text), Some((months, micros)), "{text}");
        }
        for bad in ["", "5", "x", "5 parsecs", "P", "PT", "1:2:3:4", "9e30 years", "P5X"] {
            assert_eq!(parse_interval(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn extremes_round_trip() {
        for (months, micros) in [(0, 0), (-13, i64::MAX), (i64::MIN, 5), (1, -DAY)] {
            let mut out = Vec::new();
            write_interval(months, micros, &mut out);
            let text = String::from_utf8(out).expect("text");
            assert_eq!(parse_interval(&text), Some((months, micros)), "{text}");
        }
    }
}

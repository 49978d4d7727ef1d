//! Patterns of dates and times: Java's (`yyyy-MM-dd HH:mm:ss.SSS`) and Postgres' (`YYYY-MM-DD
//! HH24:MI:SS.MS`). Both become one list of items, which writes and reads.

use crate::calendar::{
    Civil, DAY, HOUR, MINUTE, SECOND, checked_days, civil_of_days, day_of_year, iso_week,
    split_micros, weekday,
};
use crate::host::HostError;
use crate::text::parse_offset;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Name of a month, 1 to 12.
pub(super) fn month_name(month: i64) -> &'static str {
    MONTHS.get(usize::try_from(month - 1).unwrap_or(0)).copied().unwrap_or("")
}

/// Name of a day of the week, Sunday 0.
pub(super) fn day_name(day: i64) -> &'static str {
    DAYS.get(usize::try_from(day).unwrap_or(0)).copied().unwrap_or("")
}

/// How letters of a name are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Title,
    Upper,
    Lower,
}

/// One piece of a pattern; numbers with the digits they are filled up to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Literal(String),
    Year(usize),
    YearOfCentury,
    IsoYear(usize),
    Quarter(usize),
    Month(usize),
    MonthName {
        short: bool,
        case: Case,
        pad: bool,
    },
    Day(usize),
    DayOfYear(usize),
    DayOfWeek,
    IsoDayOfWeek,
    DayName {
        short: bool,
        case: Case,
        pad: bool,
    },
    Week(usize),
    Hour(usize),
    HourOf12(usize),
    Minute(usize),
    Second(usize),
    /// Digits of the fraction of a second.
    Fraction(usize),
    HalfDay(Case),
    /// The offset from UTC; `true` writes Z.
    Offset(bool),
    ZoneName,
}

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimePattern(Vec<Item>);

impl TimePattern {
    /// A pattern as Java's `DateTimeFormatter` has it.
    ///
    /// # Errors
    /// `BadArgument` for a letter without meaning, or an open quote.
    pub fn java(text: &str) -> Result<Self, HostError> {
        let mut items = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c == '\'' {
                let (literal, after) = quoted(&rest[1..], text)?;
                push_literal(&mut items, &literal);
                rest = after;
                continue;
            }
            let run = rest.len() - rest.trim_start_matches(c).len();
            if c.is_ascii_alphabetic() {
                items.push(java_item(c, run).ok_or_else(|| {
                    HostError::bad_argument(format!("'{c}' in the pattern '{text}'"))
                })?);
            } else {
                push_literal(&mut items, &rest[..run]);
            }
            rest = &rest[run..];
        }
        Ok(Self(items))
    }

    /// A pattern to read by: Java's, or Postgres' where it has words that mean nothing in Java's.
    ///
    /// # Errors
    /// As `java`.
    pub fn read_as(text: &str) -> Result<Self, HostError> {
        let has = |word: &str| text.contains(word);
        let dates = (has("YYYY") || has("YY")) && (has("DD") || has("MON") || has("Mon"));
        let is_postgres = dates || has("HH24") || has("HH12") || has("MI");
        if is_postgres { Self::postgres(text) } else { Self::java(text) }
    }

    /// A pattern as Postgres' `to_char` has it.
    ///
    /// # Errors
    /// None: what means nothing stands for itself.
    pub fn postgres(text: &str) -> Result<Self, HostError> {
        let mut items = Vec::new();
        let mut rest = text;
        let mut fill = true;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("FM") {
                fill = false;
                rest = after;
            } else if let Some(after) = rest.strip_prefix('"') {
                let end = after.find('"').unwrap_or(after.len());
                push_literal(&mut items, &after[..end]);
                rest = after.get(end + 1..).unwrap_or("");
            } else if let Some((word, item)) = POSTGRES.iter().find(|(w, _)| rest.starts_with(w)) {
                items.push(item(fill));
                fill = true;
                rest = &rest[word.len()..];
            } else {
                push_literal(&mut items, &rest[..c.len_utf8()]);
                rest = &rest[c.len_utf8()..];
            }
        }
        Ok(Self(items))
    }

    /// Writes a timestamp.
    pub fn write(&self, micros: i64, out: &mut Vec<u8>) {
        let (days, time) = split_micros(micros);
        let date = civil_of_days(days);
        for item in &self.0 {
            item.write((days, date), time, out);
        }
    }

    /// Reads a timestamp; parts that the pattern lacks are those of 1970-01-01. An offset is
    /// applied. `None` if the text is not of the pattern.
    pub fn read(&self, text: &str) -> Option<i64> {
        let mut found = Found { year: 1970, month: 1, day: 1, ..Found::default() };
        let mut rest = text;
        for (i, item) in self.0.iter().enumerate() {
            let tight = self.0.get(i + 1).is_some_and(Item::is_number);
            rest = item.read(rest, tight, &mut found)?;
        }
        if !rest.is_empty() {
            return None;
        }
        found.micros()
    }
}

fn push_literal(items: &mut Vec<Item>, text: &str) {
    match items.last_mut() {
        Some(Item::Literal(before)) => before.push_str(text),
        _ => items.push(Item::Literal(text.to_string())),
    }
}

/// The text up to the closing quote, a doubled quote being one, and what comes after.
fn quoted<'a>(text: &'a str, pattern: &str) -> Result<(String, &'a str), HostError> {
    if let Some(after) = text.strip_prefix('\'') {
        return Ok(("'".to_string(), after));
    }
    let mut literal = String::new();
    let mut rest = text;
    loop {
        let open = || HostError::bad_argument(format!("an open quote in the pattern '{pattern}'"));
        let (before, after) = rest.split_once('\'').ok_or_else(open)?;
        literal.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                literal.push('\'');
                rest = more;
            }
            None => return Ok((literal, after)),
        }
    }
}

fn java_item(letter: char, run: usize) -> Option<Item> {
    let name = |short| (short, Case::Title, false);
    Some(match letter {
        'y' | 'u' if run == 2 => Item::YearOfCentury,
        'y' | 'u' => Item::Year(run),
        'Y' => Item::IsoYear(run),
        'Q' | 'q' => Item::Quarter(run),
        'M' | 'L' if run <= 2 => Item::Month(run),
        'M' | 'L' => {
            let (short, case, pad) = name(run == 3);
            Item::MonthName { short, case, pad }
        }
        'd' => Item::Day(run),
        'D' => Item::DayOfYear(run),
        'E' => {
            let (short, case, pad) = name(run <= 3);
            Item::DayName { short, case, pad }
        }
        'e' => Item::IsoDayOfWeek,
        'w' => Item::Week(run),
        'H' => Item::Hour(run),
        'h' => Item::HourOf12(run),
        'm' => Item::Minute(run),
        's' => Item::Second(run),
        'S' => Item::Fraction(run),
        'a' => Item::HalfDay(Case::Upper),
        'X' => Item::Offset(true),
        'x' | 'Z' => Item::Offset(false),
        'z' | 'V' => Item::ZoneName,
        _ => return None,
    })
}

type Make = fn(bool) -> Item;

/// The words of Postgres' patterns, longer ones first; the argument is whether to fill up.
const POSTGRES: &[(&str, Make)] = &[
    ("YYYY", |fill| Item::Year(if fill { 4 } else { 1 })),
    ("yyyy", |fill| Item::Year(if fill { 4 } else { 1 })),
    ("IYYY", |fill| Item::IsoYear(if fill { 4 } else { 1 })),
    ("YY", |_| Item::YearOfCentury),
    ("yy", |_| Item::YearOfCentury),
    ("MONTH", |pad| Item::MonthName { short: false, case: Case::Upper, pad }),
    ("Month", |pad| Item::MonthName { short: false, case: Case::Title, pad }),
    ("month", |pad| Item::MonthName { short: false, case: Case::Lower, pad }),
    ("MON", |_| Item::MonthName { short: true, case: Case::Upper, pad: false }),
    ("Mon", |_| Item::MonthName { short: true, case: Case::Title, pad: false }),
    ("mon", |_| Item::MonthName { short: true, case: Case::Lower, pad: false }),
    ("MM", |fill| Item::Month(if fill { 2 } else { 1 })),
    ("mm", |fill| Item::Month(if fill { 2 } else { 1 })),
    ("DAY", |pad| Item::DayName { short: false, case: Case::Upper, pad }),
    ("Day", |pad| Item::DayName { short: false, case: Case::Title, pad }),
    ("day", |pad| Item::DayName { short: false, case: Case::Lower, pad }),
    ("DY", |_| Item::DayName { short: true, case: Case::Upper, pad: false }),
    ("Dy", |_| Item::DayName { short: true, case: Case::Title, pad: false }),
    ("dy", |_| Item::DayName { short: true, case: Case::Lower, pad: false }),
    ("DDD", |fill| Item::DayOfYear(if fill { 3 } else { 1 })),
    ("DD", |fill| Item::Day(if fill { 2 } else { 1 })),
    ("dd", |fill| Item::Day(if fill { 2 } else { 1 })),
    ("ID", |_| Item::IsoDayOfWeek),
    ("D", |_| Item::DayOfWeek),
    ("IW", |fill| Item::Week(if fill { 2 } else { 1 })),
    ("WW", |fill| Item::Week(if fill { 2 } else { 1 })),
    ("Q", |_| Item::Quarter(1)),
    ("HH24", |fill| Item::Hour(if fill { 2 } else { 1 })),
    ("hh24", |fill| Item::Hour(if fill { 2 } else { 1 })),
    ("HH12", |fill| Item::HourOf12(if fill { 2 } else { 1 })),
    ("hh12", |fill| Item::HourOf12(if fill { 2 } else { 1 })),
    ("HH", |fill| Item::HourOf12(if fill { 2 } else { 1 })),
    ("hh", |fill| Item::HourOf12(if fill { 2 } else { 1 })),
    ("MI", |fill| Item::Minute(if fill { 2 } else { 1 })),
    ("mi", |fill| Item::Minute(if fill { 2 } else { 1 })),
    ("SS", |fill| Item::Second(if fill { 2 } else { 1 })),
    ("ss", |fill| Item::Second(if fill { 2 } else { 1 })),
    ("MS", |_| Item::Fraction(3)),
    ("ms", |_| Item::Fraction(3)),
    ("US", |_| Item::Fraction(6)),
    ("us", |_| Item::Fraction(6)),
    ("AM", |_| Item::HalfDay(Case::Upper)),
    ("PM", |_| Item::HalfDay(Case::Upper)),
    ("am", |_| Item::HalfDay(Case::Lower)),
    ("pm", |_| Item::HalfDay(Case::Lower)),
    ("TZ", |_| Item::ZoneName),
    ("OF", |_| Item::Offset(false)),
];

impl Item {
    fn write(&self, (days, date): (i64, Civil), time: i64, out: &mut Vec<u8>) {
        let half = time / HOUR % 12;
        match self {
            Item::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Item::Year(digits) => fill(date.year, *digits, out),
            Item::YearOfCentury => fill(date.year.rem_euclid(100), 2, out),
            Item::IsoYear(digits) => fill(iso_week(days).0, *digits, out),
            Item::Quarter(digits) => fill((date.month + 2) / 3, *digits, out),
            Item::Month(digits) => fill(date.month, *digits, out),
            Item::MonthName { short, case, pad } => {
                write_name(month_name(date.month), *short, *case, *pad, out);
            }
            Item::Day(digits) => fill(date.day, *digits, out),
            Item::DayOfYear(digits) => fill(day_of_year(days), *digits, out),
            Item::DayOfWeek => fill(weekday(days) + 1, 1, out),
            Item::IsoDayOfWeek => fill((weekday(days) + 6) % 7 + 1, 1, out),
            Item::DayName { short, case, pad } => {
                write_name(day_name(weekday(days)), *short, *case, *pad, out);
            }
            Item::Week(digits) => fill(iso_week(days).1, *digits, out),
            Item::Hour(digits) => fill(time / HOUR, *digits, out),
            Item::HourOf12(digits) => fill(if half == 0 { 12 } else { half }, *digits, out),
            Item::Minute(digits) => fill(time / MINUTE % 60, *digits, out),
            Item::Second(digits) => fill(time / SECOND % 60, *digits, out),
            Item::Fraction(digits) => write_fraction(time % SECOND, *digits, out),
            Item::HalfDay(case) => {
                let text = if time < DAY / 2 { "AM" } else { "PM" };
                write_name(text, false, *case, false, out);
            }
            Item::Offset(true) => out.push(b'Z'),
            Item::Offset(false) => out.extend_from_slice(b"+0000"),
            Item::ZoneName => out.extend_from_slice(b"UTC"),
        }
    }

    fn is_number(&self) -> bool {
        match self {
            Item::Year(_)
            | Item::YearOfCentury
            | Item::IsoYear(_)
            | Item::Quarter(_)
            | Item::Month(_)
            | Item::Day(_)
            | Item::DayOfYear(_)
            | Item::DayOfWeek
            | Item::IsoDayOfWeek
            | Item::Week(_)
            | Item::Hour(_)
            | Item::HourOf12(_)
            | Item::Minute(_)
            | Item::Second(_)
            | Item::Fraction(_) => true,
            Item::Literal(_)
            | Item::MonthName { .. }
            | Item::DayName { .. }
            | Item::HalfDay(_)
            | Item::Offset(_)
            | Item::ZoneName => false,
        }
    }

    /// Reads the item at the start of a text and gives the rest. Where a number follows at once
    /// (`tight`), exactly the item's digits are taken.
    fn read<'a>(&self, text: &'a str, tight: bool, found: &mut Found) -> Option<&'a str> {
        let number = |digits: usize, most: usize| {
            let (least, most) = if tight { (digits, digits) } else { (1, most.max(digits)) };
            read_number(text, least, most)
        };
        let (slot, (value, rest)) = match self {
            Item::Literal(literal) => return text.strip_prefix(literal.as_str()),
            Item::Year(digits) => (&mut found.year, number(*digits, 9)?),
            Item::YearOfCentury => {
                let (value, rest) = read_number(text, 2, 2)?;
                (&mut found.year, (value + 2000, rest))
            }
            Item::Month(digits) => (&mut found.month, number(*digits, 2)?),
            Item::Day(digits) => (&mut found.day, number(*digits, 2)?),
            Item::DayOfYear(digits) => {
                let (value, rest) = number(*digits, 3)?;
                found.day_of_year = Some(value);
                return Some(rest);
            }
            Item::Hour(digits) => (&mut found.hour, number(*digits, 2)?),
            Item::HourOf12(digits) => {
                let (value, rest) = number(*digits, 2)?;
                (&mut found.hour, (value % 12, rest))
            }
            Item::Minute(digits) => (&mut found.minute, number(*digits, 2)?),
            Item::Second(digits) => (&mut found.second, number(*digits, 2)?),
            Item::Fraction(_) => return read_fraction(text, found),
            Item::MonthName { short, .. } => {
                let (index, rest) = read_name(text, &MONTHS, *short)?;
                (&mut found.month, (index + 1, rest))
            }
            Item::DayName { short, .. } => return read_name(text, &DAYS, *short).map(|(_, r)| r),
            Item::HalfDay(_) => {
                let half = text.get(..2)?;
                found.afternoon = half.eq_ignore_ascii_case("pm");
                let known = found.afternoon || half.eq_ignore_ascii_case("am");
                return known.then(|| &text[2..]);
            }
            Item::Offset(_) => {
                let end = text.find([' ', ',']).unwrap_or(text.len());
                found.offset = parse_offset(&text[..end])?;
                return Some(&text[end..]);
            }
            Item::ZoneName => return text.strip_prefix("UTC").or(text.strip_prefix("GMT")),
            Item::IsoYear(_)
            | Item::Quarter(_)
            | Item::DayOfWeek
            | Item::IsoDayOfWeek
            | Item::Week(_) => return number(1, 4).map(|(_, rest)| rest),
        };
        *slot = value;
        Some(rest)
    }
}

/// What was read.
#[derive(Debug, Default)]
struct Found {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    afternoon: bool,
    offset: i64,
}

impl Found {
    fn micros(&self) -> Option<i64> {
        let days = match self.day_of_year {
            Some(day) => checked_days(self.year, 1, 1)?.checked_add(day - 1)?,
            None => checked_days(self.year, self.month, self.day)?,
        };
        let hour = self.hour + if self.afternoon && self.hour < 12 { 12 } else { 0 };
        if hour > 23 || self.minute > 59 || self.second > 59 {
            return None;
        }
        let time = hour * HOUR + self.minute * MINUTE + self.second * SECOND + self.micros;
        days.checked_mul(DAY)?.checked_add(time)?.checked_sub(self.offset)
    }
}

fn fill(value: i64, digits: usize, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    // As many digits as there are at most.
    let (mut text, mut first, mut rest) = ([0; 20], 20, value.saturating_abs());
    while first == 20 || rest > 0 {
        first -= 1;
        text[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend(std::iter::repeat_n(b'0', digits.saturating_sub(text.len() - first)));
    out.extend_from_slice(&text[first..]);
}

fn write_fraction(micros: i64, digits: usize, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    fill(micros, 6, &mut text);
    text.resize(digits, b'0');
    out.extend_from_slice(&text);
}

/// Characters that Postgres fills names up to.
const NAME_WIDTH: usize = 9;

fn write_name(name: &str, short: bool, case: Case, pad: bool, out: &mut Vec<u8>) {
    let name = if short { &name[..name.len().min(3)] } else { name };
    let start = out.len();
    out.extend_from_slice(name.as_bytes());
    match case {
        Case::Title => {}
        Case::Upper => out[start..].make_ascii_uppercase(),
        Case::Lower => out[start..].make_ascii_lowercase(),
    }
    if pad {
        let width = NAME_WIDTH.max(name.len());
        out.resize(start + width, b' ');
    }
}

fn read_number(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    Some((text[..count].parse().ok()?, &text[count..]))
}

fn read_fraction<'a>(text: &'a str, found: &mut Found) -> Option<&'a str> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let kept = count.min(6);
    let value: i64 = text[..kept].parse().ok()?;
    found.micros = value * 10i64.pow(6 - kept as u32);
    Some(&text[count..])
}

fn read_name<'a>(text: &'a str, names: &[&str], short: bool) -> Option<(i64, &'a str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if short { &name[..3] } else { name };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| (index as i64, &text[name.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse_timestamp;

    fn at(text: &str) -> i64 {
        parse_timestamp(text).expect("a timestamp")
    }

    fn written(pattern: &TimePattern, text: &str) -> String {
        let mut out = Vec::new();
        pattern.write(at(text), &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn java_patterns() {
        for (pattern, text) in [
            ("yyyy-MM-dd HH:mm:ss.SSS", "2026-01-05 14:03:02.120"),
            ("d.M.yy h:m:s a", "5.1.26 2:3:2 PM"),
            ("yyyyMMddHHmm", "202601051403"),
            ("EEE, dd MMM yyyy 'at' HH 'o''clock' XXX", "Mon, 05 Jan 2026 at 14 o'clock Z"),
            ("EEEE D 'Q'Q ww", "Monday 5 Q1 02"),
        ] {
            let pattern = TimePattern::java(pattern).expect("a pattern");
            assert_eq!(written(&pattern, "2026-01-05 14:03:02.12"), text);
        }
        assert!(TimePattern::java("bb").is_err());
        assert!(TimePattern::java("'open").is_err());
    }

    #[test]
    fn postgres_patterns() {
        for (pattern, text) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "2026-01-05 14:03:02.120000"),
            ("FMMonth FMDD, YYYY", "January 5, 2026"),
            ("[Month]", "[January  ]"),
            ("DY HH12:MI am \"MI\"", "MON 02:03 pm MI"),
        ] {
            let pattern = TimePattern::postgres(pattern).expect("a pattern");
            assert_eq!(written(&pattern, "2026-01-05 14:03:02.12"), text);
        }
    }

    #[test]
    fn reading() {
        let read = |pattern: &str, text: &str| TimePattern::java(pattern).ok()?.read(text);
        let want = Some(at("2026-01-05 14:03:00"));
        assert_eq!(read("yyyy-MM-dd HH:mm", "2026-01-05 14:03"), want);
        assert_eq!(read("yyyyMMddHHmm", "202601051403"), want);
        assert_eq!(read("d MMM yyyy h:mm a", "5 Jan 2026 2:03 PM"), want);
        assert_eq!(read("yyyy-MM-dd'T'HH:mmXXX", "2026-01-05T16:03+02:00"), want);
        assert_eq!(read("yyyy-DDD HH:mm", "2026-005 14:03"), want);
        for (pattern, text) in [
            ("yyyy-MM-dd", "2026-02-30"),
            ("yyyy-MM-dd", "2026-01-05x"),
            ("yyyy-MM-dd", "é"),
            ("HH", "24"),
            ("a", "é"),
            ("MMM", "Jä"),
        ] {
            assert_eq!(read(pattern, text), None, "{pattern} {text}");
        }
    }
}

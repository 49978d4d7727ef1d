//! Numbers as text of a Postgres pattern, such as `FM9,999.00`.

use crate::builtin::{Builtin, Family};
use crate::host::{HostError, check_size, host};
use crate::signature::{Pattern as P, sig};

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[Builtin {
    name: "NUMBER_TO_CHAR",
    doc: "A number, given as its text, as text of a Postgres pattern: what TO_CHAR is of numbers.",
    overloads: &[sig(
        &[P::String, P::String],
        P::String,
        host("number_to_char", |cx, a, out| {
            let number =
                Number::parse(a[0].str()).ok_or_else(|| HostError::bad_argument("no number"))?;
            let text = cx.cached(a[1].bytes(), NumberPattern::parse)?.written(&number);
            check_size(text.len())?;
            out.str(&text);
            Ok(())
        }),
    )],
    examples: &[
        ("NUMBER_TO_CHAR('1234.5', 'FM9,999.00')", "1,234.50"),
        ("NUMBER_TO_CHAR('-485', '999MI')", "485-"),
        ("NUMBER_TO_CHAR('7', '000')", " 007"),
        ("NUMBER_TO_CHAR('12345', '999')", " ###"),
        ("NUMBER_TO_CHAR('485', 'FMRN')", "CDLXXXV"),
        ("NUMBER_TO_CHAR('0.0004859', '9.99EEEE')", " 4.86e-04"),
        ("NUMBER_TO_CHAR('2.5', 'FM9.99')", "2.5"),
        ("NUMBER_TO_CHAR(NULL, '9')", "NULL"),
    ],
    family: Family::Math,
    ..Builtin::STRICT
}];

/// Digits that a pattern has at most.
const DIGITS_MAX: usize = 1_000;
/// Places of RN.
const ROMAN_WIDTH: usize = 15;

/// A decimal number: `0.digits × 10^point`, without zeros before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Number {
    negative: bool,
    /// Of '0' to '9'; empty for zero.
    digits: Vec<u8>,
    point: i64,
}

/// One item of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    /// `9`, or `0`, which shows zeros before the number.
    Digit(bool),
    /// `.` and `D`.
    Point,
    /// `,` and `G`.
    Group,
    /// `S`, `MI`, `PL` and `SG`.
    Sign(Sign),
    /// `TH` or `th`.
    Ordinal(bool),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Anchored,
    Minus,
    Plus,
    Both,
}

/// A pattern.
#[derive(Clone, Debug, Default)]
struct NumberPattern {
    items: Vec<Item>,
    /// FM: nothing is filled up.
    compact: bool,
    /// PR: a negative number in angle brackets.
    brackets: bool,
    /// EEEE.
    exponent: bool,
    /// RN and rn: whether it is in small letters.
    roman: Option<bool>,
    /// Digits behind V.
    shift: usize,
}

impl Number {
    /// The number that a text like `-12.5` or `1e20` is.
    fn parse(text: &str) -> Option<Number> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if all.is_empty() || !all.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = all.iter().take_while(|digit| **digit == b'0').count();
        let point = whole.len() as i64 - zeros as i64 + exponent;
        let mut digits = all[zeros..].to_vec();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let point = if digits.is_empty() { 0 } else { point };
        Some(Number { negative, digits, point })
    }

    /// Rounded, half away from zero, to this many places behind the point.
    fn rounded(&self, places: i64) -> Number {
        let kept = self.point.saturating_add(places);
        let mut out = self.clone();
        if kept >= self.digits.len() as i64 {
            return out;
        }
        let up = usize::try_from(kept).is_ok_and(|kept| self.digits[kept] >= b'5');
        out.digits.truncate(usize::try_from(kept).unwrap_or(0));
        if up {
            let nines = out.digits.iter().rev().take_while(|digit| **digit == b'9').count();
            out.digits.truncate(out.digits.len() - nines);
            match out.digits.last_mut() {
                Some(last) => *last += 1,
                None => {
                    out.digits.push(b'1');
                    out.point += 1;
                }
            }
        }
        while out.digits.last() == Some(&b'0') {
            out.digits.pop();
        }
        if out.digits.is_empty() {
            out.point = 0;
        }
        out
    }

    /// The digit at a place: 0 is the first one behind the point, -1 the last before it.
    fn digit(&self, place: i64) -> u8 {
        let at = usize::try_from(self.point.saturating_add(place)).ok();
        at.and_then(|at| self.digits.get(at)).copied().unwrap_or(b'0')
    }
}

impl NumberPattern {
    fn parse(text: &str) -> Result<NumberPattern, HostError> {
        let mut pattern = NumberPattern::default();
        let (mut rest, mut behind_v, mut digits) = (text, false, 0);
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix('"') {
                let end = after.find('"').unwrap_or(after.len());
                pattern.items.push(Item::Text(after[..end].to_owned()));
                rest = after[end..].strip_prefix('"').unwrap_or("");
                continue;
            }
            let word = |len: usize| rest.get(..len).map(str::to_ascii_uppercase);
            let two = word(2).unwrap_or_default();
            let item = match two.as_str() {
                "FM" => {
                    pattern.compact = true;
                    None
                }
                "MI" => Some(Item::Sign(Sign::Minus)),
                "PL" => Some(Item::Sign(Sign::Plus)),
                "SG" => Some(Item::Sign(Sign::Both)),
                "PR" => {
                    pattern.brackets = true;
                    None
                }
                "RN" => {
                    pattern.roman = Some(rest.starts_with('r'));
                    None
                }
                "TH" => Some(Item::Ordinal(rest.starts_with('T'))),
                "EE" if word(4).as_deref() == Some("EEEE") => {
                    pattern.exponent = true;
                    rest = &rest[4..];
                    continue;
                }
                _ => {
                    rest = &rest[first.len_utf8()..];
                    match first.to_ascii_uppercase() {
                        digit @ ('0' | '9') => {
                            digits += 1;
                            pattern.shift += usize::from(behind_v);
                            pattern.items.push(Item::Digit(digit == '0'));
                        }
                        '.' | 'D' => pattern.items.push(Item::Point),
                        ',' | 'G' => pattern.items.push(Item::Group),
                        'S' => pattern.items.push(Item::Sign(Sign::Anchored)),
                        'L' => pattern.items.push(Item::Text("$".to_owned())),
                        'V' => behind_v = true,
                        _ => pattern.items.push(Item::Text(first.to_string())),
                    }
                    continue;
                }
            };
            pattern.items.extend(item);
            rest = &rest[2..];
        }
        let points = pattern.items.iter().filter(|item| **item == Item::Point).count();
        if digits > DIGITS_MAX || points > 1 || (points == 1 && behind_v) {
            let why = format!("'{text}' is no pattern of a number");
            return Err(HostError::bad_argument(why));
        }
        Ok(pattern)
    }

    /// How many digits stand before the point, and behind it.
    fn places(&self) -> (usize, usize) {
        let is_digit = |item: &&Item| matches!(item, Item::Digit(_));
        let point = self.items.iter().position(|item| *item == Item::Point);
        let (before, behind) = self.items.split_at(point.unwrap_or(self.items.len()));
        (before.iter().filter(is_digit).count(), behind.iter().filter(is_digit).count())
    }

    fn written(&self, number: &Number) -> String {
        if let Some(small) = self.roman {
            return self.roman(number, small);
        }
        let (before, behind) = self.places();
        if self.exponent {
            return self.scientific(number, behind);
        }
        let shifted = Number { point: number.point + self.shift as i64, ..number.clone() };
        let rounded = match number.digits.is_empty() {
            true => number.clone(),
            false => shifted.rounded(behind as i64),
        };
        let negative = rounded.negative && !rounded.digits.is_empty();
        let body = self.body(&rounded, before, behind, negative);
        match (self.brackets, negative) {
            (false, _) => body,
            (true, true) => {
                let start = body.len() - body.trim_start_matches(' ').len();
                format!("{}<{}>", &body[..start], &body[start..])
            }
            (true, false) if self.compact => body,
            (true, false) => format!(" {body} "),
        }
    }

    fn body(&self, number: &Number, before: usize, behind: usize, negative: bool) -> String {
        let has_point = self.items.contains(&Item::Point);
        // A number without whole part has a zero there where nothing comes behind it.
        let whole = match usize::try_from(number.point).unwrap_or(0) {
            0 if !has_point => 1,
            digits => digits,
        };
        let too_long = whole > before;
        let before_point = self.items.iter().take_while(|item| **item != Item::Point);
        let zeros_from = before_point
            .filter(|item| matches!(item, Item::Digit(_)))
            .position(|item| *item == Item::Digit(true))
            .unwrap_or(before);
        let first = if too_long { 0 } else { zeros_from.min(before - whole) };
        let last = self.last_shown(number, behind);
        let explicit = |item: &Item| matches!(item, Item::Sign(_));
        let sign = match (negative, self.anchor()) {
            _ if self.brackets => "",
            (true, Some(true)) => "-",
            (false, Some(true)) => "+",
            (_, Some(false)) => "",
            (true, None) if !self.items.iter().any(explicit) => "-",
            (true, None) if self.items.iter().all(|i| *i != Item::Sign(Sign::Plus)) => "",
            (true, None) => "-",
            (false, None) if self.compact || self.items.iter().any(explicit) => "",
            (false, None) => " ",
        };
        let (mut out, mut place, mut begun, mut behind_point) = (String::new(), 0, false, false);
        let begin = |out: &mut String, begun: &mut bool| {
            if !std::mem::replace(begun, true) {
                out.push_str(sign);
            }
        };
        for item in &self.items {
            match item {
                Item::Digit(_) if !behind_point && place < first => {
                    out.push_str(if self.compact { "" } else { " " });
                    place += 1;
                }
                Item::Digit(_) => {
                    begin(&mut out, &mut begun);
                    let at = place as i64 - before as i64;
                    let shown = at < 0 || (at as usize) < last;
                    if too_long {
                        out.push('#');
                    } else if shown {
                        out.push(char::from(number.digit(at)));
                    }
                    place += 1;
                }
                Item::Point => {
                    begin(&mut out, &mut begun);
                    out.push('.');
                    (behind_point, place) = (true, before);
                }
                Item::Group if begun => out.push(','),
                Item::Group => out.push_str(if self.compact { "" } else { " " }),
                Item::Sign(kind) => self.push_sign(*kind, negative, begun, &mut out),
                Item::Ordinal(capital) if !negative && !has_point && !too_long => {
                    let suffix = ordinal(number);
                    out.push_str(&if *capital { suffix.to_uppercase() } else { suffix.to_owned() });
                }
                Item::Ordinal(_) => {}
                Item::Text(text) => out.push_str(text),
            }
        }
        out
    }

    /// Whether S stands before the digits (or behind them); none without S.
    fn anchor(&self) -> Option<bool> {
        let at = self.items.iter().position(|item| *item == Item::Sign(Sign::Anchored))?;
        Some(self.items[at..].iter().any(|item| matches!(item, Item::Digit(_))))
    }

    fn push_sign(&self, kind: Sign, negative: bool, begun: bool, out: &mut String) {
        let blank = if self.compact { "" } else { " " };
        out.push_str(match (kind, negative) {
            // Before the digits it is written with the first of them.
            (Sign::Anchored, _) if !begun => "",
            (Sign::Anchored | Sign::Both, true) | (Sign::Minus, true) => "-",
            (Sign::Anchored | Sign::Both | Sign::Plus, false) => "+",
            (Sign::Minus, false) | (Sign::Plus, true) => blank,
        });
    }

    /// How many digits behind the point are shown: under FM without the zeros at the end, unless
    /// a 0 of the pattern stands for them.
    fn last_shown(&self, number: &Number, behind: usize) -> usize {
        if !self.compact {
            return behind;
        }
        let digits = self.items.iter().skip_while(|item| **item != Item::Point);
        let digits: Vec<&Item> = digits.filter(|item| matches!(item, Item::Digit(_))).collect();
        let zero = digits.iter().rposition(|item| **item == Item::Digit(true));
        let own = number.digits.len() as i64 - number.point;
        let own = usize::try_from(own).unwrap_or(0);
        own.max(zero.map_or(0, |at| at + 1)).min(behind)
    }

    fn scientific(&self, number: &Number, behind: usize) -> String {
        let mantissa = Number { point: 1, ..number.clone() };
        let rounded = match number.digits.is_empty() {
            true => number.clone(),
            false => mantissa.rounded(behind as i64),
        };
        let carried = rounded.point - 1;
        let exponent = match number.digits.is_empty() {
            true => 0,
            false => number.point - 1 + carried,
        };
        let rounded = Number { point: rounded.point - carried, ..rounded };
        let sign = match (number.negative && !number.digits.is_empty(), self.compact) {
            (true, _) => "-",
            (false, true) => "",
            (false, false) => " ",
        };
        let mut out = format!("{sign}{}", char::from(rounded.digit(-1)));
        if behind > 0 {
            out.push('.');
            out.extend((0..behind as i64).map(|place| char::from(rounded.digit(place))));
        }
        let (mark, exponent) = (if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs());
        out + &format!("e{mark}{exponent:02}")
    }

    fn roman(&self, number: &Number, small: bool) -> String {
        const NUMERALS: &[(u32, &str)] = &[
            (1000, "M"),
            (900, "CM"),
            (500, "D"),
            (400, "CD"),
            (100, "C"),
            (90, "XC"),
            (50, "L"),
            (40, "XL"),
            (10, "X"),
            (9, "IX"),
            (5, "V"),
            (4, "IV"),
            (1, "I"),
        ];
        let rounded = number.rounded(0);
        let places = usize::try_from(rounded.point).unwrap_or(0).min(5) as i64;
        let digit = |place: i64| u32::from(rounded.digit(place) - b'0');
        let mut value = (-places..0).fold(0, |value, place| value * 10 + digit(place));
        let mut text = String::new();
        if rounded.negative || value == 0 || value > 3999 {
            text = "#".repeat(ROMAN_WIDTH);
        } else {
            for (worth, numeral) in NUMERALS {
                while value >= *worth {
                    text.push_str(numeral);
                    value -= worth;
                }
            }
        }
        let text = if small { text.to_lowercase() } else { text };
        if self.compact { text } else { format!("{text:>ROMAN_WIDTH$}") }
    }
}

/// What stands behind an ordinal number.
fn ordinal(number: &Number) -> &'static str {
    match (number.digit(-2), number.digit(-1)) {
        (b'1', _) => "th",
        (_, b'1') => "st",
        (_, b'2') => "nd",
        (_, b'3') => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_postgres_writes_them() {
        for (number, pattern, text) in [
            ("-0.1", "99.99", "  -.10"),
            ("-0.1", "FM9.99", "-.1"),
            ("0.1", "0.9", " 0.1"),
            ("12", "9990999.9", "    0012.0"),
            ("12", "FM9990999.9", "0012."),
            ("485", "999", " 485"),
            ("-485", "999", "-485"),
            ("485", "9 9 9", " 4 8 5"),
            ("1485", "9,999", " 1,485"),
            ("485", "9,999", "   485"),
            ("148.5", "999.999", " 148.500"),
            ("148.5", "FM999.999", "148.5"),
            ("148.5", "FM999.990", "148.500"),
            ("-485", "999S", "485-"),
            ("12", "S9999", "  +12"),
            ("-485", "999MI", "485-"),
            ("485", "999MI", "485 "),
            ("485", "FM999MI", "485"),
            ("485", "PL999", "+485"),
            ("485", "SG999", "+485"),
            ("-485", "9SG99", "4-85"),
            ("-485", "999PR", "<485>"),
            ("485", "RN", "        CDLXXXV"),
            ("5.2", "FMRN", "V"),
            ("482", "999th", " 482nd"),
            ("485", "\"Good number:\"999", "Good number: 485"),
            ("12", "99V999", " 12000"),
            ("12.4", "99V999", " 12400"),
            ("12.45", "99V9", " 125"),
            ("0.0004859", "9.99EEEE", " 4.86e-04"),
            ("0", "999", "   0"),
            ("0", "9.99", "  .00"),
            ("9.99", "9.9", " #.#"),
            ("1e3", "9999", " 1000"),
        ] {
            let pattern_of = NumberPattern::parse(pattern).expect("a pattern");
            let number_of = Number::parse(number).expect("a number");
            assert_eq!(pattern_of.written(&number_of), text, "{number} as {pattern}");
        }
    }
}

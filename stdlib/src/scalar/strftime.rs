//! Patterns of times as C's strftime has them (`%Y-%m-%d`), in terms of Java's.

use super::time_pattern::TimePattern;
use crate::host::HostError;

/// The pattern.
///
/// # Errors
/// `BadArgument` for a letter without meaning.
pub(super) fn pattern(text: &str) -> Result<TimePattern, HostError> {
    let mut java = String::new();
    let mut literal = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            literal.push(c);
            continue;
        }
        let unknown = || HostError::bad_argument(format!("'%' in the pattern '{text}'"));
        let letter = chars.next().ok_or_else(unknown)?;
        let bare = letter == '-';
        let letter = if bare { chars.next().ok_or_else(unknown)? } else { letter };
        if letter == '%' {
            literal.push('%');
            continue;
        }
        quote(&mut java, &mut literal);
        java.push_str(word(letter, bare).ok_or_else(|| {
            HostError::bad_argument(format!("'%{letter}' in the pattern '{text}'"))
        })?);
    }
    quote(&mut java, &mut literal);
    TimePattern::java(&java)
}

/// Appends what stands for itself.
fn quote(java: &mut String, literal: &mut String) {
    if !literal.is_empty() {
        java.push('\'');
        java.push_str(&literal.replace('\'', "''"));
        java.push('\'');
        literal.clear();
    }
}

/// Java's word for a letter; `bare` numbers are not filled up with zeros.
fn word(letter: char, bare: bool) -> Option<&'static str> {
    Some(match (letter, bare) {
        ('Y', _) => "yyyy",
        ('y', _) => "yy",
        ('m', false) => "MM",
        ('m', true) => "M",
        ('d', false) => "dd",
        ('d', true) => "d",
        ('H', false) => "HH",
        ('H', true) => "H",
        ('I', false) => "hh",
        ('I', true) => "h",
        ('M', false) => "mm",
        ('M', true) => "m",
        ('S', false) => "ss",
        ('S', true) => "s",
        ('f', _) => "SSSSSS",
        ('g', _) => "SSS",
        ('p', _) => "a",
        ('b' | 'h', _) => "MMM",
        ('B', _) => "MMMM",
        ('a', _) => "EEE",
        ('A', _) => "EEEE",
        ('j', false) => "DDD",
        ('j', true) => "D",
        ('G', _) => "YYYY",
        ('V', false) => "ww",
        ('V', true) => "w",
        ('u', _) => "e",
        ('z', _) => "xx",
        ('Z', _) => "z",
        ('F', _) => "yyyy-MM-dd",
        ('T' | 'X', _) => "HH:mm:ss",
        ('R', _) => "HH:mm",
        ('D' | 'x', _) => "MM/dd/yy",
        ('c', _) => "EEE MMM dd HH:mm:ss yyyy",
        _ => return None,
    })
}

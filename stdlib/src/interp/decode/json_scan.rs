//! A small pull reader over JSON text: passes over values, strings and numbers, and checks RFC
//! 8259's grammar as it goes, that strings are UTF-8, too. Nothing is built; callers get the text
//! of a value.

use super::Bad;

/// Levels of arrays and objects in one payload.
const DEPTH_MAX: usize = 128;

/// A place in JSON text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

/// A string as it stands between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RawString<'a> {
    pub(super) text: &'a [u8],
    /// Whether there is a backslash in it.
    pub(super) escaped: bool,
}

/// A value as it stands in the text. That it is one was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a [u8],
    /// Whether it is a string with a backslash in it.
    pub(super) escaped: bool,
}

/// Where a value stands; nowhere by default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    start: usize,
    /// 0: nowhere.
    end: usize,
    escaped: bool,
}

/// Bytes to compare with, the first sixteen of them at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginning {
    bytes: Vec<u8>,
    first: u128,
    mask: u128,
}

impl Beginning {
    pub(super) fn set(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        let (mut first, mut mask) = ([0; 16], [0; 16]);
        for (i, byte) in bytes.iter().take(16).enumerate() {
            (first[i], mask[i]) = (*byte, 0xff);
        }
        (self.first, self.mask) = (u128::from_le_bytes(first), u128::from_le_bytes(mask));
    }
}

impl Place {
    pub(super) fn is_somewhere(self) -> bool {
        self.end > 0
    }
}

impl<'a> Token<'a> {
    /// Its first byte, which tells its kind.
    #[inline]
    pub(super) fn first(&self) -> u8 {
        self.text.first().copied().unwrap_or(b'n')
    }

    /// A string's text between its quotes.
    #[inline]
    pub(super) fn string(&self) -> RawString<'a> {
        let text = self.text.get(1..self.text.len().saturating_sub(1)).unwrap_or(&[]);
        RawString { text, escaped: self.escaped }
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The same text from another place.
    #[inline]
    pub(super) fn at(&self, place: Place) -> Self {
        Self { at: place.start, ..*self }
    }

    /// The value at a place.
    #[inline]
    pub(super) fn token_at(&self, place: Place) -> Token<'a> {
        let text = self.text.get(place.start..place.end).unwrap_or(&[]);
        Token { text, escaped: place.escaped }
    }

    /// Takes these bytes if they are next.
    #[inline]
    pub(super) fn eat_all(&mut self, bytes: &Beginning) -> bool {
        let rest = &self.text[self.at..];
        let hit = match rest.first_chunk::<16>() {
            Some(chunk) => {
                (u128::from_le_bytes(*chunk) ^ bytes.first) & bytes.mask == 0
                    && (bytes.bytes.len() <= 16 || rest[16..].starts_with(&bytes.bytes[16..]))
            }
            None => rest.starts_with(&bytes.bytes),
        };
        self.at += if hit { bytes.bytes.len() } else { 0 };
        hit
    }

    /// The text from `start` to here.
    #[inline]
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or(&[])
    }

    /// The next byte that is not white space, which stays.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, Bad> {
        match self.text.get(self.at) {
            Some(&byte) if byte > b' ' => Ok(byte),
            Some(_) | None => self.peek_on(),
        }
    }

    #[cold]
    fn peek_on(&mut self) -> Result<u8, Bad> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err(Bad::Truncated),
            }
        }
    }

    /// Whether only white space is left.
    pub(super) fn is_done(&mut self) -> bool {
        self.peek().is_err()
    }

    /// Takes the next byte if it is this one.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> Result<bool, Bad> {
        let hit = self.peek()? == byte;
        self.at += usize::from(hit);
        Ok(hit)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Bad> {
        if self.eat(byte)? { Ok(()) } else { Err(Bad::Json) }
    }

    /// Opens an array or object; whether it has a first item.
    pub(super) fn open(&mut self, open: u8, close: u8) -> Result<bool, Bad> {
        self.expect(open)?;
        Ok(!self.eat(close)?)
    }

    /// After an item: whether there is another.
    #[inline]
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Bad> {
        if self.eat(b',')? {
            return Ok(true);
        }
        self.expect(close).map(|()| false)
    }

    /// A member's name and the colon after it.
    #[inline]
    pub(super) fn name(&mut self) -> Result<RawString<'a>, Bad> {
        self.peek()?;
        let name = self.string()?;
        self.expect(b':')?;
        Ok(name)
    }

    /// Takes `null` if that is the next value.
    #[inline]
    pub(super) fn null(&mut self) -> Result<bool, Bad> {
        match self.peek()? {
            b'n' => self.literal(b"null").map(|()| true),
            _ => Ok(false),
        }
    }

    /// A string.
    #[inline]
    pub(super) fn string(&mut self) -> Result<RawString<'a>, Bad> {
        if self.text.get(self.at) != Some(&b'"') {
            return Err(if self.at == self.text.len() { Bad::Truncated } else { Bad::Json });
        }
        let start = self.at + 1;
        let (mut escaped, mut ascii) = (false, true);
        self.at = start;
        loop {
            let (run, is_ascii) = plain_run(&self.text[self.at..]);
            self.at += run;
            ascii &= is_ascii;
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    let text = &self.text[start..self.at - 1];
                    if !ascii && std::str::from_utf8(text).is_err() {
                        return Err(Bad::Json);
                    }
                    return Ok(RawString { text, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(Bad::Json),
                None => return Err(Bad::Truncated),
            }
        }
    }

    /// A backslash and what belongs to it.
    fn escape(&mut self) -> Result<(), Bad> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6).ok_or(Bad::Truncated)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Bad::Json);
                }
                self.at += 6;
            }
            Some(_) => return Err(Bad::Json),
            None => return Err(Bad::Truncated),
        }
        Ok(())
    }

    /// A number.
    #[inline]
    pub(super) fn number(&mut self) -> Result<&'a [u8], Bad> {
        let start = self.at;
        self.at += usize::from(self.text.get(self.at) == Some(&b'-'));
        let whole = self.at;
        self.digits()?;
        if self.text[whole] == b'0' && self.at > whole + 1 {
            return Err(Bad::Json);
        }
        if let Some(b',' | b'}') = self.text.get(self.at) {
            return Ok(&self.text[start..self.at]);
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Bad> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match self.at == start {
            true if self.at == self.text.len() => Err(Bad::Truncated),
            true => Err(Bad::Json),
            false => Ok(()),
        }
    }

    pub(super) fn literal(&mut self, word: &[u8]) -> Result<(), Bad> {
        let rest = &self.text[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(if word.starts_with(rest) { Bad::Truncated } else { Bad::Json })
    }

    /// Passes over the next value and checks it; says where it stands.
    #[inline]
    pub(super) fn place(&mut self) -> Result<Place, Bad> {
        let first = self.peek()?;
        let start = self.at;
        let escaped = match first {
            b'"' => self.string()?.escaped,
            b'-' | b'0'..=b'9' => {
                self.number()?;
                false
            }
            _ => {
                self.skip_at(0)?;
                false
            }
        };
        Ok(Place { start, end: self.at, escaped })
    }

    /// Where the value stands that was passed over since `start`, which is no string.
    pub(super) fn place_since(&self, start: usize) -> Place {
        Place { start, end: self.at, escaped: false }
    }

    /// Passes over the next value and checks it.
    #[inline]
    pub(super) fn token(&mut self) -> Result<Token<'a>, Bad> {
        let place = self.place()?;
        Ok(self.token_at(place))
    }

    fn skip_at(&mut self, depth: usize) -> Result<(), Bad> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number().map(|_| ()),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            b'{' | b'[' if depth == DEPTH_MAX => Err(Bad::Depth),
            b'{' => {
                let mut more = self.open(b'{', b'}')?;
                while more {
                    self.name()?;
                    self.skip_at(depth + 1)?;
                    more = self.more(b'}')?;
                }
                Ok(())
            }
            b'[' => {
                let mut more = self.open(b'[', b']')?;
                while more {
                    self.skip_at(depth + 1)?;
                    more = self.more(b']')?;
                }
                Ok(())
            }
            _ => Err(Bad::Json),
        }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The high bits of quotes, backslashes and control characters in eight bytes. Carries can only
/// disturb bytes after the first hit, and bytes above 127 are masked out.
#[inline(always)]
fn stops(word: u64) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGHS
}

/// Bytes before the first quote, backslash or control character, and whether they, and perhaps some
/// after them, are ASCII.
#[inline]
fn plain_run(text: &[u8]) -> (usize, bool) {
    let (mut run, mut any) = (0, 0);
    while let Some(chunk) = text[run..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let hit = stops(word);
        any |= word;
        if hit != 0 {
            return (run + hit.trailing_zeros() as usize / 8, any & HIGHS == 0);
        }
        run += 8;
    }
    let stops = |b: &u8| *b == b'"' || *b == b'\\' || *b < 0x20;
    let rest = &text[run..];
    let last = rest.iter().position(stops).unwrap_or(rest.len());
    (run + last, any & HIGHS == 0 && rest[..last].is_ascii())
}

/// Appends a string's characters with its escapes resolved.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
    let mut rest = raw;
    while let Some(plain) = rest.iter().position(|&b| b == b'\\') {
        out.extend_from_slice(&rest[..plain]);
        let escape = *rest.get(plain + 1).ok_or(Bad::Truncated)?;
        rest = &rest[plain + 2..];
        let byte = match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (character, after) = code_point(rest).ok_or(Bad::Json)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
                continue;
            }
            other => other,
        };
        out.push(byte);
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// The character of one `\u` escape, or of two that are a surrogate pair; and what follows. Half a
/// pair is no character.
fn code_point(digits: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = hex4(digits)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let (second, rest) = hex4(rest.strip_prefix(b"\\u")?)?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)?, rest))
}

fn hex4(digits: &[u8]) -> Option<(u32, &[u8])> {
    let (four, rest) = digits.split_first_chunk::<4>()?;
    let value = four.iter().try_fold(0, |sum, &d| Some(sum * 16 + char::from(d).to_digit(16)?))?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skips(text: &str) -> Result<usize, Bad> {
        let mut scan = Scan::new(text.as_bytes());
        scan.token()?;
        Ok(scan.position())
    }

    #[test]
    fn values_are_passed_over_whole() {
        for text in [
            "{}",
            "[]",
            r#"{"a":[1,-2.5e+3,true,false,null,"x\"\\\u0041"],"b":{"c":{}}}"#,
            "0",
            "-0.0",
            "1E5",
            "\"a long string of more than eight bytes, with ü and \\n\"",
        ] {
            assert_eq!(skips(text), Ok(text.len()), "{text}");
            assert_eq!(skips(&format!(" \n{text},")), Ok(text.len() + 2), "{text}");
        }
    }

    #[test]
    fn what_serde_json_refuses_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{,}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "tru",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a\nb\"",
            "{a:1}",
            "'a'",
            "[1 2]",
            "NaN",
        ] {
            assert!(skips(text).is_err(), "{text}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_err(), "{text}");
        }
        assert_eq!(skips(&"[".repeat(200)), Err(Bad::Depth));
    }

    #[test]
    fn runs_end_at_the_first_special_byte() {
        for length in 0..40 {
            for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
                let mut text: Vec<u8> =
                    (0..length).map(|i| [b'a', 0xc3, b'!', 0x80][i % 4]).collect();
                let ascii = length < 2;
                assert_eq!(plain_run(&text), (length, ascii));
                text.push(special);
                text.extend_from_slice(b"\"\\\0more");
                assert_eq!(plain_run(&text), (length, ascii));
            }
        }
    }

    #[test]
    fn strings_are_utf8() {
        let fill = "x".repeat(40);
        for good in ["\u{fc}", "\u{1f600}", ""] {
            for at in 0..36 {
                let text = format!("\"{}{good}{}\"", &fill[..at], &fill[at..]);
                assert!(skips(&text).is_ok(), "{text}");
            }
        }
        for bad in [&b"\"\xff\""[..], b"\"\xc3\"", b"\"aaaaaaaaaaaaaaaaaaaa\xc3\\n\xbc\""] {
            assert_eq!(Scan::new(bad).token(), Err(Bad::Json));
        }
    }

    #[test]
    fn escapes() {
        let mut out = Vec::new();
        unescape(br#"a\n\"\u00e4\ud83d\ude00\/"#, &mut out).expect("valid");
        assert_eq!(String::from_utf8(out).expect("text"), "a\n\"ä😀/");
        assert_eq!(unescape(br"\ud83d", &mut Vec::new()), Err(Bad::Json));
        assert_eq!(unescape(br"\ud83d\u0041", &mut Vec::new()), Err(Bad::Json));
    }
}

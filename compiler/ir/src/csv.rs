//! Delimiter-separated text: how fields are written. Formats, plans and the reader of files, which
//! must know where a record ends, go by the same dialect.

use serde::{Deserialize, Serialize};

/// How records of a CSV text are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvDialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around a field that has what would end it; twice inside stands for itself. None: nothing is
    /// quoted.
    pub quote: Option<u8>,
    /// Before a character that stands for itself.
    pub escape: Option<u8>,
    /// Whether lines that begin with `#` are no records.
    pub comments: bool,
    /// Whether a file's first line names the columns.
    pub header: bool,
    /// What stands for NULL; none: nothing does in texts, an empty field in other types.
    pub null: Option<String>,
    /// Between the elements of an ARRAY.
    pub elements: String,
}

impl Default for CsvDialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            comments: false,
            header: false,
            null: None,
            elements: ";".into(),
        }
    }
}

impl CsvDialect {
    /// The dialect that options name, without the `csv.` before them.
    ///
    /// # Errors
    /// The option that is of no use, and what it takes.
    pub fn of<'a>(
        option: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, (&'static str, &'static str)> {
        const ONE: &str = "one character of ASCII, `\\t` for a tab";
        let flag = |name: &str| option(name) == Some("true");
        let byte = |name: &'static str, otherwise: Option<u8>| match option(name) {
            None => Ok(otherwise),
            Some(text) => single(text).map(Some).ok_or((name, ONE)),
        };
        let plain = Self::default();
        let delimiter = byte("field-delimiter", Some(plain.delimiter))?;
        let quote = match flag("disable-quote-character") {
            true => None,
            false => byte("quote-character", plain.quote)?,
        };
        let dialect = Self {
            delimiter: delimiter.unwrap_or(plain.delimiter),
            quote,
            escape: byte("escape-character", None)?,
            comments: flag("allow-comments"),
            header: flag("header"),
            null: option("null-literal").map(str::to_string),
            elements: option("array-element-delimiter").unwrap_or(";").to_string(),
        };
        let marks = [Some(dialect.delimiter), dialect.quote, dialect.escape];
        let mut marks: Vec<u8> = marks.into_iter().flatten().collect();
        marks.sort_unstable();
        match marks.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(("field-delimiter", "another character than quotes and escapes are")),
            false if dialect.elements.is_empty() => {
                Err(("array-element-delimiter", "at least one character"))
            }
            false => Ok(dialect),
        }
    }
}

/// One character that stands between others.
fn single(text: &str) -> Option<u8> {
    match text.as_bytes() {
        b"\\t" => Some(b'\t'),
        b"\\\\" => Some(b'\\'),
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Some(*byte),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(
        options: &[(&str, &'static str)],
    ) -> Result<CsvDialect, (&'static str, &'static str)> {
        CsvDialect::of(|name| options.iter().find(|(n, _)| *n == name).map(|(_, value)| *value))
    }

    #[test]
    fn options_make_a_dialect() {
        assert_eq!(dialect(&[]), Ok(CsvDialect::default()));
        let made = dialect(&[
            ("field-delimiter", "\\t"),
            ("escape-character", "\\"),
            ("disable-quote-character", "true"),
            ("null-literal", ""),
        ]);
        let made = made.expect("fine options");
        assert_eq!((made.delimiter, made.quote, made.escape), (b'\t', None, Some(b'\\')));
        assert_eq!(made.null.as_deref(), Some(""));
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        for (name, value) in
            [("field-delimiter", "\""), ("field-delimiter", ""), ("quote-character", "ab")]
        {
            assert!(dialect(&[(name, value)]).is_err(), "{name} {value}");
        }
        assert!(dialect(&[("escape-character", ",")]).is_err());
    }
}

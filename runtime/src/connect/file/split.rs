//! Where a record of a text file ends: at the end of its line, or of the line that closes the
//! quotes that it opened.

use std::ops::Range;

use flow_ir::csv::CsvDialect;

/// How a file's text is split into records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Split {
    /// A line is a record; blanks around it do not count.
    #[default]
    Lines,
    /// A line is a record as it is.
    Whole,
    /// Delimited text.
    Csv(CsvDialect),
}

/// Whether a record goes on in the next line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open(bool);

impl Open {
    pub(super) fn is_open(self) -> bool {
        self.0
    }
}

impl Split {
    /// Whether a file begins with a line that is no record.
    pub(super) fn has_header(&self) -> bool {
        matches!(self, Split::Csv(dialect) if dialect.header)
    }

    /// How a record stands after another line.
    pub(super) fn after(&self, line: &[u8], before: Open) -> Open {
        let Split::Csv(dialect) = self else { return Open(false) };
        let Some(quote) = dialect.quote else { return Open(false) };
        if !before.0 && (!line.contains(&quote) || is_comment(dialect, line)) {
            return Open(false);
        }
        Open(quotes_after(line, dialect, quote, before.0))
    }

    /// The part of a record's bytes, line ends and all, that is the record; `None` if it is none.
    pub(super) fn record(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let end = match self {
            Split::Lines => bytes.trim_ascii_end().len(),
            Split::Whole | Split::Csv(_) => {
                let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                bytes.strip_suffix(b"\r").unwrap_or(bytes).len()
            }
        };
        let comment = matches!(self, Split::Csv(dialect) if is_comment(dialect, bytes));
        (end > 0 && !comment).then_some(0..end)
    }
}

fn is_comment(dialect: &CsvDialect, line: &[u8]) -> bool {
    dialect.comments && line.first() == Some(&b'#')
}

/// Whether quotes are open at the end of a line. They open at the beginning of a field only.
fn quotes_after(line: &[u8], dialect: &CsvDialect, quote: u8, open: bool) -> bool {
    let (mut open, mut begins, mut escaped) = (open, !open, false);
    for &byte in line {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match byte {
            _ if open && Some(byte) == dialect.escape => escaped = true,
            _ if byte == quote && open => {
                // Twice, it opens them again: a field may begin where another did not end.
                open = false;
                begins = true;
            }
            _ if byte == quote && begins => open = true,
            _ => begins = !open && byte == dialect.delimiter,
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv() -> Split {
        Split::Csv(CsvDialect::default())
    }

    #[test]
    fn quotes_carry_a_record_over_lines() {
        let ends = |lines: &[&str], split: &Split| {
            let mut open = Open::default();
            let after = |line: &&str| {
                open = split.after(line.as_bytes(), open);
                !open.is_open()
            };
            lines.iter().map(after).collect::<Vec<_>>()
        };
        assert_eq!(ends(&["a,b\n", "\"a\",b\n"], &csv()), [true, true]);
        assert_eq!(ends(&["a,\"b\n", "\n", "c\",d\n", "e\n"], &csv()), [false, false, true, true]);
        assert_eq!(ends(&["a,\"x\"\"y\n", "z\"\n"], &csv()), [false, true]);
        assert_eq!(ends(&["5\" pipe,b\n", "\"\"\n"], &csv()), [true, true]);
        let escape = CsvDialect { escape: Some(b'\\'), ..CsvDialect::default() };
        assert_eq!(ends(&["\"a\\\"\n", "b\"\n"], &Split::Csv(escape)), [false, true]);
        let none = CsvDialect { quote: None, ..CsvDialect::default() };
        assert_eq!(ends(&["\"a\n"], &Split::Csv(none)), [true]);
        assert_eq!(ends(&["\"a\n"], &Split::Lines), [true]);
    }

    #[test]
    fn what_is_a_record() {
        assert_eq!(Split::Lines.record(b"{} \r\n"), Some(0..2));
        assert_eq!(Split::Whole.record(b"a \r\n"), Some(0..2));
        assert_eq!(csv().record(b"a,\t\n"), Some(0..3));
        assert_eq!(csv().record(b"\r\n"), None);
        let comments = Split::Csv(CsvDialect { comments: true, ..CsvDialect::default() });
        assert_eq!(comments.record(b"# no\n"), None);
        assert_eq!(csv().record(b"# yes\n"), Some(0..5));
    }
}

//! Open files. The protocol counts lines from 0 and columns in UTF-16 code units; everything else
//! counts bytes. A place past a line's end is the line's end, one past the text is the text's end,
//! and one inside a character is the character's start, so no position of a client is wrong.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flow_compiler::check::CheckOptions;
use flow_compiler::diagnostics::{Code, Diagnostic};
use flow_compiler::source::SourceMap;
use flow_ir::span::FileId;

use super::registry::{Remembered, WAITING};
use crate::ide::{Analysis, Program};

/// The file of a document in its program.
pub(super) const FILE: FileId = FileId(0);

/// Line from 0, UTF-16 code unit from 0.
pub(super) type Position = (u32, u32);

/// An edit of a client: a range, or the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// What is replaced; `None` is all.
    pub range: Option<(Position, Position)>,
    /// What takes its place.
    pub text: String,
}

/// An open file.
pub(super) struct Document {
    /// The version that the client gave the text.
    pub version: i32,
    text: String,
    lines: Lines,
    checked: Option<Checked>,
}

/// What was found in a text.
pub(super) struct Checked {
    /// The program: one file.
    pub sources: SourceMap,
    /// What it says; `None` if the compiler has a bug there.
    pub analysis: Option<Analysis>,
    /// Whether a registry was asked.
    pub asks: bool,
    /// Whether a registry has not answered yet.
    pub waits: bool,
}

impl Document {
    pub(super) fn new(version: i32, text: String) -> Self {
        let lines = Lines::new(&text);
        Self { version, text, lines, checked: None }
    }

    pub(super) fn change(&mut self, version: i32, changes: Vec<Change>) {
        for change in changes {
            match change.range {
                None => self.text = change.text,
                Some((from, to)) => {
                    let from = self.offset(from);
                    let to = self.offset(to).max(from);
                    self.text.replace_range(from..to, &change.text);
                }
            }
            self.lines = Lines::new(&self.text);
        }
        self.version = version;
        self.checked = None;
    }

    /// What was found is not to be believed any more.
    pub(super) fn forget(&mut self) {
        self.checked = None;
    }

    pub(super) fn offset(&self, at: Position) -> usize {
        self.lines.offset(&self.text, at)
    }

    pub(super) fn position(&self, offset: usize) -> Position {
        self.lines.position(&self.text, offset)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it depends on a registry, as far as it is known.
    pub(super) fn asks(&self) -> bool {
        self.checked.as_ref().is_some_and(|checked| checked.asks)
    }

    /// Whether it waits for a registry, as far as it is known.
    pub(super) fn waits(&self) -> bool {
        self.checked.as_ref().is_some_and(|checked| checked.waits)
    }

    /// Finds what there is in the text, unless that is done.
    pub(super) fn check(&mut self, name: &str, catalog: &Remembered, options: &CheckOptions) {
        if self.checked.is_some() {
            return;
        }
        let mut sources = SourceMap::new();
        sources.add(name, self.text.as_str());
        let before = (catalog.asked(), catalog.unanswered());
        let program = Program { sources: &sources, catalog, options };
        let analysis = catch_unwind(AssertUnwindSafe(|| program.analyse())).ok();
        let (asks, waits) = (catalog.asked() != before.0, catalog.unanswered() != before.1);
        self.checked = Some(Checked { sources, analysis, asks, waits });
    }

    /// What was found by `check`.
    pub(super) fn checked(&self) -> Option<&Checked> {
        self.checked.as_ref()
    }
}

impl Checked {
    /// What is to be shown: all but that a registry has not answered yet.
    pub(super) fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        let all = self.analysis.iter().flat_map(|analysis| &analysis.diagnostics);
        all.filter(|d| !(d.code == Code::E0710 && d.message.contains(WAITING)))
    }
}

/// Where lines begin. Lines end in `\n`, `\r\n` or `\r`.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let ends = (0..bytes.len()).filter(|&at| match bytes[at] {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        Self { starts: std::iter::once(0).chain(ends.map(|at| at + 1)).collect() }
    }

    fn line<'t>(&self, text: &'t str, line: usize) -> &'t str {
        let start = self.starts.get(line).copied().unwrap_or(text.len());
        let end = self.starts.get(line + 1).copied().unwrap_or(text.len());
        text.get(start..end).unwrap_or("")
    }

    fn offset(&self, text: &str, (line, column): Position) -> usize {
        let line = line as usize;
        let Some(start) = self.starts.get(line) else { return text.len() };
        let content = self.line(text, line).trim_end_matches(['\r', '\n']);
        let mut units = 0;
        for (at, c) in content.char_indices() {
            units += c.len_utf16();
            if units > column as usize {
                return start + at;
            }
        }
        start + content.len()
    }

    fn position(&self, text: &str, offset: usize) -> Position {
        let offset = offset.min(text.len());
        let line = self.starts.partition_point(|&start| start <= offset) - 1;
        let before = self.line(text, line).char_indices();
        let before = before.take_while(|(at, _)| self.starts[line] + at < offset);
        let units: usize = before.map(|(_, c)| c.len_utf16()).sum();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (count(line), count(units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_utf16_units() {
        let document = Document::new(1, "aé😀b\r\nzwei\rdrei\n".into());
        for (at, offset) in [
            ((0, 0), 0),
            ((0, 1), 1),
            ((0, 2), 3),
            ((0, 4), 7),
            ((0, 5), 8),
            ((1, 0), 10),
            ((2, 4), 19),
            ((3, 0), 20),
        ] {
            assert_eq!(document.offset(at), offset, "{at:?}");
            assert_eq!(document.position(offset), at, "{offset}");
        }
    }

    #[test]
    fn no_position_is_wrong() {
        let document = Document::new(1, "a😀\nb".into());
        assert_eq!(document.offset((0, 2)), 1, "inside a surrogate pair");
        assert_eq!(document.offset((0, 99)), 5);
        assert_eq!(document.offset((9, 9)), 7);
        assert_eq!(document.position(999), (1, 1));
    }

    #[test]
    fn changes_apply_in_order() {
        let mut document = Document::new(1, "SELECT é FROM t".into());
        let change = |range, text: &str| Change { range, text: text.into() };
        document.change(
            2,
            vec![
                change(Some(((0, 7), (0, 8))), "😀😀"),
                change(Some(((0, 9), (0, 11))), "x"),
                change(Some(((0, 99), (5, 0))), ";"),
                change(Some(((0, 3), (0, 1))), "-"),
            ],
        );
        assert_eq!(document.text(), "SEL-ECT 😀x FROM t;");
        document.change(3, vec![change(None, "new")]);
        assert_eq!((document.text(), document.version), ("new", 3));
    }
}

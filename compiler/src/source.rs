//! Source files and places in them. A `FileId` indexes the map; line starts are computed once per
//! file. Lines and columns count from 1; a column counts characters, not bytes.

use std::sync::Arc;

use flow_ir::span::{FileId, Span};

/// Bytes of a job's name at most: with what its topics add it stays below Kafka's 249.
pub const JOB_NAME_BYTES_MAX: usize = 200;

/// One source file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    name: String,
    text: Arc<str>,
    line_starts: Vec<u32>,
}

/// The files of one compilation, by `FileId`.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    /// The file that the program is called after.
    main: usize,
}

/// A line and a column, both from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl SourceMap {
    /// A map without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        let id = FileId(self.files.len() as u32);
        self.files.push(SourceFile::new(name.into(), text.into()));
        id
    }

    /// Calls the program after a file; without this after the first.
    pub fn set_main(&mut self, id: FileId) {
        self.main = id.0 as usize;
    }

    /// The file, if `id` came from this map.
    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// All files with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(i, file)| (FileId(i as u32), file))
    }

    /// The name of a job whose program gives none: that of the main file, without folder and
    /// ending, in the characters that a name may have.
    pub fn job_name(&self) -> String {
        let file = self.files.get(self.main).map_or("job", |file| file.name());
        let base = file.rsplit('/').next().unwrap_or(file);
        let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
        let valid = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let name: String = stem.chars().take(JOB_NAME_BYTES_MAX).map(valid).collect();
        if name.is_empty() { "job".into() } else { name }
    }

    /// The text under a span; empty when the span does not lie in a file of this map.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file)
            .and_then(|file| file.text.get(span.start as usize..span.end as usize))
            .unwrap_or("")
    }

    /// `file:line:column` of a span's start.
    pub fn place(&self, span: Span) -> String {
        match self.get(span.file) {
            Some(file) => {
                let at = file.line_column(span.start);
                format!("{}:{}:{}", file.name, at.line, at.column)
            }
            None => String::from("<unknown>"),
        }
    }
}

impl SourceFile {
    fn new(name: String, text: Arc<str>) -> Self {
        let newlines = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(i, _)| i as u32 + 1)).collect();
        Self { name, text, line_starts }
    }

    /// The name it was given: a path, or `<stdin>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole text, shared.
    pub fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// Line and column of a byte offset; an offset past the end is the end.
    pub fn line_column(&self, offset: u32) -> LineColumn {
        let offset = offset.min(self.text.len() as u32);
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts[line - 1] as usize;
        let before = self.text.as_bytes().get(start..offset as usize).unwrap_or(&[]);
        let is_char_start = |byte: &&u8| (**byte & 0xC0) != 0x80;
        LineColumn { line, column: before.iter().filter(is_char_start).count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let mut map = SourceMap::new();
        let id = map.add("a.flow", "één\r\ntwo\n");
        let file = map.get(id).expect("just added");
        let at = |offset| {
            let at = file.line_column(offset);
            (at.line, at.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (1, 2));
        assert_eq!(at(4), (1, 3));
        assert_eq!(at(7), (2, 1));
        assert_eq!(at(10), (2, 4));
        assert_eq!(at(11), (3, 1));
        assert_eq!(at(9999), (3, 1));
    }

    #[test]
    fn a_span_gives_its_text_and_place() {
        let mut map = SourceMap::new();
        let id = map.add("a.flow", "SELECT\n  x");
        assert_eq!(map.text(Span::new(id, 9, 10)), "x");
        assert_eq!(map.place(Span::new(id, 9, 10)), "a.flow:2:3");
        assert_eq!(map.text(Span::new(FileId(7), 0, 1)), "");
        assert_eq!(map.text(Span::new(id, 5, 500)), "");
    }
}

//! Diagnostics as text: the only place that knows miette. The same diagnostics, files and style
//! always give the same text; nothing is read from the terminal or the environment.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan};

use super::{Diagnostic, Label, Severity};
use crate::source::SourceMap;

/// Columns of a report that is not for a terminal.
const PLAIN_WIDTH_COLUMNS: usize = 100;

/// A longer line is not shown.
const LINE_BYTES_MAX: usize = 4_000;

/// How diagnostics are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderStyle {
    /// Reports with source lines, without colour, 100 columns wide.
    Plain,
    /// Reports with source lines and colour, for a terminal.
    Colour {
        /// Width of the terminal.
        columns: usize,
    },
    /// One line each: `file:line:column: error[E0101]: message`.
    Short,
}

/// The diagnostics as text, sorted by place.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, style: RenderStyle) -> String {
    let mut sorted = diagnostics.to_vec();
    super::sort(&mut sorted);
    sorted.iter_mut().for_each(disarm);
    let mut out = String::new();
    for (i, diagnostic) in sorted.iter().enumerate() {
        if i > 0 && style != RenderStyle::Short {
            out.push('\n');
        }
        match style {
            RenderStyle::Plain => {
                let theme = GraphicalTheme::unicode_nocolor();
                report(diagnostic, sources, theme, PLAIN_WIDTH_COLUMNS, &mut out);
            }
            RenderStyle::Colour { columns } => {
                report(diagnostic, sources, GraphicalTheme::unicode(), columns, &mut out);
            }
            RenderStyle::Short => out.push_str(&short(diagnostic, sources)),
        }
    }
    out
}

fn short(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let place = sources.place(diagnostic.at.span);
    format!("{}: {severity}[{}]: {}\n", harmless(&place), diagnostic.code, diagnostic.message)
}

fn report(
    diagnostic: &Diagnostic,
    sources: &SourceMap,
    theme: GraphicalTheme,
    columns: usize,
    out: &mut String,
) {
    if !has_short_lines(diagnostic, sources) {
        out.push_str(&short(diagnostic, sources));
        if let Some(help) = &diagnostic.help {
            out.push_str(&format!("  help: {help}\n"));
        }
        return;
    }
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(columns)
        .with_links(false)
        .with_urls(false)
        .with_context_lines(1);
    let adapter = Adapter::new(diagnostic, sources);
    if handler.render_report(out, &adapter).is_err() {
        out.push_str(&short(diagnostic, sources));
    }
}

/// Whether the lines that a report of it shows can be shown: of a program that a program has
/// written one alone may be megabytes.
fn has_short_lines(diagnostic: &Diagnostic, sources: &SourceMap) -> bool {
    let mut labels = std::iter::once(&diagnostic.at).chain(&diagnostic.related);
    labels.all(|label| {
        let text = sources.get(label.span.file).map_or("", |file| file.text());
        let part = |from, to| text.get(from..to).unwrap_or("");
        let (start, end) = (label.span.start as usize, label.span.end as usize);
        // Whole lines, and one more on either side.
        let before = part(0, start).rmatch_indices('\n').nth(1).map_or(0, |(at, _)| at);
        let after = part(end, text.len()).match_indices('\n').nth(1);
        let after = after.map_or(text.len(), |(at, _)| end + at);
        part(before, after).lines().all(|line| line.len() <= LINE_BYTES_MAX)
    })
}

/// One diagnostic as miette wants it: labels of its own file, and a child for each other file.
#[derive(Debug)]
struct Adapter<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedSource<Arc<str>>>,
    labels: Vec<LabeledSpan>,
    elsewhere: Vec<Elsewhere<'a>>,
}

/// A label in another file.
#[derive(Debug)]
struct Elsewhere<'a> {
    label: &'a Label,
    source: Option<NamedSource<Arc<str>>>,
    mark: LabeledSpan,
}

impl<'a> Adapter<'a> {
    fn new(diagnostic: &'a Diagnostic, sources: &SourceMap) -> Self {
        let file = diagnostic.at.span.file;
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            diagnostic.related.iter().partition(|label| label.span.file == file);
        let others = here.into_iter().map(|label| mark(label, sources, false));
        let labels = std::iter::once(mark(&diagnostic.at, sources, true)).chain(others).collect();
        let elsewhere = elsewhere
            .into_iter()
            .map(|label| Elsewhere {
                label,
                source: named(label, sources),
                mark: mark(&Label::new(label.span, ""), sources, true),
            })
            .collect();
        Self { diagnostic, source: named(&diagnostic.at, sources), labels, elsewhere }
    }
}

fn named(label: &Label, sources: &SourceMap) -> Option<NamedSource<Arc<str>>> {
    let file = sources.get(label.span.file)?;
    let text = match harmless(file.text()) {
        Cow::Borrowed(_) => file.shared_text(),
        Cow::Owned(text) => text.into(),
    };
    Some(NamedSource::new(harmless(file.name()), text))
}

/// Takes out of all texts of a diagnostic what a terminal would obey.
fn disarm(diagnostic: &mut Diagnostic) {
    let labels = diagnostic.related.iter_mut().chain([&mut diagnostic.at]);
    let texts = labels.map(|label| &mut label.text).chain(&mut diagnostic.help);
    for text in texts.chain([&mut diagnostic.message]) {
        if let Cow::Owned(harmless) = harmless(text) {
            *text = harmless;
        }
    }
}

/// A text with marks in the place of what a terminal would obey, or hide; as many bytes as before,
/// so that places in it stay.
fn harmless(text: &str) -> Cow<'_, str> {
    let turns = |c: char| {
        matches!(c, '\u{200E}' | '\u{200F}')
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    let obeyed = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || turns(c);
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => out.push(c),
            c if !obeyed(c) => out.push(c),
            c if c.len_utf8() == '\u{FFFD}'.len_utf8() => out.push('\u{FFFD}'),
            c => out.extend(std::iter::repeat_n('?', c.len_utf8())),
        }
    }
    Cow::Owned(out)
}

/// A label, kept inside its file; an empty span is shown as the character at its start.
fn mark(label: &Label, sources: &SourceMap, primary: bool) -> LabeledSpan {
    let len = sources.get(label.span.file).map_or(0, |file| file.text().len());
    let start = (label.span.start as usize).min(len);
    let end = (label.span.end as usize).clamp(start, len);
    let span = SourceSpan::from((start, end - start));
    let text = (!label.text.is_empty()).then(|| label.text.clone());
    if primary {
        LabeledSpan::new_primary_with_span(text, span)
    } else {
        LabeledSpan::new_with_span(text, span)
    }
}

impl fmt::Display for Adapter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Adapter<'_> {}

impl miette::Diagnostic for Adapter<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|source| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.source.as_ref().map(|_| Box::new(self.labels.iter().cloned()) as Box<_>)
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        if self.elsewhere.is_empty() {
            return None;
        }
        Some(Box::new(self.elsewhere.iter().map(|e| e as &dyn miette::Diagnostic)))
    }
}

impl fmt::Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label.text)
    }
}

impl std::error::Error for Elsewhere<'_> {}

impl miette::Diagnostic for Elsewhere<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(miette::Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|source| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(self.mark.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::{Code, Diagnostic};
    use flow_ir::span::Span;

    #[test]
    fn nothing_that_a_terminal_obeys_is_rendered_and_places_stay() {
        let mut sources = SourceMap::new();
        let text = "SELECT \"\u{1b}[31m\u{9b}\u{202e}\",\r\n\tnothing";
        let file = sources.add("a\u{1b}[2J.flow", text);
        let at = text.find("nothing").unwrap() as u32;
        let span = Span::new(file, at, at + 7);
        let found = Diagnostic::new(Code::E0202, "no \u{1b}[0m", span, "x\u{7}")
            .with_help("write\r \u{1b}]0;t\u{7}");
        for style in [RenderStyle::Plain, RenderStyle::Short] {
            let shown = render(&[found.clone()], &sources, style);
            assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}']), "{shown:?}");
            assert!(shown.contains("no ?[0m"), "{shown}");
        }
        let shown = render(&[found], &sources, RenderStyle::Plain);
        assert!(shown.contains(":2:2]") && shown.contains("\"?[31m??\u{FFFD}\","), "{shown}");
        assert_eq!(harmless("a\r\n\tb"), "a\r\n\tb");
    }
}

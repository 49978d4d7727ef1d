//! Diagnostics as text: the only place that knows miette. The same diagnostics, files and style
//! always give the same text; nothing is read from the terminal or the environment.

use std::fmt;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceSpan};

use super::{Diagnostic, Label, Severity};
use crate::source::SourceMap;

/// Columns of a report that is not for a terminal.
const PLAIN_WIDTH_COLUMNS: usize = 100;

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
    format!("{place}: {severity}[{}]: {}\n", diagnostic.code, diagnostic.message)
}

fn report(
    diagnostic: &Diagnostic,
    sources: &SourceMap,
    theme: GraphicalTheme,
    columns: usize,
    out: &mut String,
) {
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
    sources.get(label.span.file).map(|file| NamedSource::new(file.name(), file.shared_text()))
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

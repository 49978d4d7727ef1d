//! Every message that a user can get, as data. Passes collect diagnostics and go on; only
//! `render` turns them into text for people, and only the area files word them.
//!
//! To add one: a line in `codes.rs`, a constructor in the area's file, a page
//! `explain/CODE.md` with a failing and a fixed example. To add an area: its file, and its `mod`
//! line here. A test checks that table, constructors and pages agree.
//!
//! A message is short, factual and has no full stop; help is a full sentence that says what to do.

pub mod aggregates;
pub mod codes;
pub mod connectors;
pub mod joins;
pub mod names;
pub mod plans;
pub mod render;
pub mod syntax;
pub mod types;
pub mod windows;

use flow_ir::span::Span;

pub use codes::Code;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program cannot run.
    Error,
    /// The program runs, but probably not as meant.
    Warning,
    /// Good to know.
    Note,
}

/// A place in the source and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is there; may be empty.
    pub text: String,
}

/// One replacement of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; an empty span inserts.
    pub span: Span,
    /// What takes its place.
    pub replacement: String,
}

/// A change of the source that removes the problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, as an editor would show it: "insert a comma".
    pub title: String,
    /// Its edits, which do not overlap.
    pub edits: Vec<Edit>,
}

/// A problem: where it is, what it is, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which problem it is.
    pub code: Code,
    /// How bad it is; the code's severity unless changed.
    pub severity: Severity,
    /// What is wrong, in a line.
    pub message: String,
    /// The place that it is about.
    pub at: Label,
    /// Other places that matter.
    pub related: Vec<Label>,
    /// What to do, in full sentences.
    pub help: Option<String>,
    /// A change that an editor can make.
    pub fix: Option<Fix>,
}

impl Label {
    /// A label with text.
    pub fn new(span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into() }
    }
}

impl Diagnostic {
    /// A diagnostic with the code's default severity, marked at `span` with `label`.
    pub fn new(
        code: Code,
        message: impl Into<String>,
        span: Span,
        label: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: code.severity(),
            message: message.into(),
            at: Label::new(span, label),
            related: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// Adds another place that matters.
    pub fn with_related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label::new(span, text));
        self
    }

    /// Sets the help.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets a fix of one edit.
    pub fn with_fix(
        mut self,
        title: impl Into<String>,
        span: Span,
        text: impl Into<String>,
    ) -> Self {
        let edits = vec![Edit { span, replacement: text.into() }];
        self.fix = Some(Fix { title: title.into(), edits });
        self
    }

    /// Whether the program cannot run because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Whether any of them is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// Sorts by file, place and code, and drops exact repetitions.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.at.span, d.code);
        key(a).cmp(&key(b))
    });
    diagnostics.dedup();
}

/// The candidate nearest to what was written, if one is near enough to be meant: at most a third
/// of its characters differ, blind to case.
pub fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase();
    candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests;

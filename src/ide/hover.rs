//! What stands at a position, as Markdown: an option, a name, a function, or an expression's type.

use flow_compiler::check::notes::{ColumnNote, NameNote, RelationKind, RelationNote};
use flow_compiler::source::SourceMap;
use flow_compiler::syntax::TokenKind;
use flow_ir::span::{FileId, Span};
use flow_ir::types::Type;

use super::Analysis;
use super::functions;
use super::options::{OptionPlace, takes, unquoted};
use super::place::Place;

/// Columns of a relation that are shown at most.
const COLUMNS_SHOWN_MAX: usize = 60;
/// Characters of an expression that are shown at most.
const EXPRESSION_CHARS_MAX: usize = 120;

/// What stands somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// The text that it is about.
    pub span: Span,
    /// What it is, as Markdown.
    pub markdown: String,
}

/// What stands at a byte offset of a file.
pub fn hover(
    sources: &SourceMap,
    analysis: &Analysis,
    file: FileId,
    offset: usize,
) -> Option<Hover> {
    let place = Place::at(sources.get(file)?.text(), offset)?;
    if place.in_comment() {
        return None;
    }
    option(&place, file)
        .or_else(|| name(analysis, file, offset))
        .or_else(|| function(&place, file))
        .or_else(|| expression(sources, analysis, file, offset))
}

/// Whether a span holds a position; the end counts, for a cursor behind a word.
pub(super) fn holds(span: Span, file: FileId, offset: usize) -> bool {
    span.file == file && (span.start as usize..=span.end as usize).contains(&offset)
}

fn span(file: FileId, start: usize, end: usize) -> Span {
    let at = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
    Span::new(file, at(start), at(end))
}

fn option(place: &Place<'_>, file: FileId) -> Option<Hover> {
    let found = OptionPlace::at(place)?;
    let end = found.written.end.max(place.offset);
    let text = place.text.get(found.written.start..end)?;
    if text.is_empty() {
        return None;
    }
    let key = match &found.key {
        Some(key) => key.clone(),
        None => unquoted(whole(place, &found)).to_string(),
    };
    let spec = found.spec(&key)?;
    let needed = if spec.required { ", required" } else { "" };
    let markdown = format!("**{key}** ({}{needed})\n\n{}", takes(spec.kind), spec.doc);
    Some(Hover { span: span(file, found.written.start, end), markdown })
}

/// The whole key around the cursor: a bare one is several tokens.
fn whole<'t>(place: &Place<'t>, found: &OptionPlace) -> &'t str {
    let inside = |t: &&flow_compiler::syntax::Token| t.start >= found.written.start;
    let ends = |text: &str| matches!(text, "=" | "," | ")");
    let key = place.tokens.iter().filter(inside).take_while(|t| !ends(place.text_of(t)));
    let end = key.last().map_or(found.written.end, |t| t.end);
    place.text.get(found.written.start..end).unwrap_or("")
}

fn name(analysis: &Analysis, file: FileId, offset: usize) -> Option<Hover> {
    let around = analysis.notes.names.iter().filter(|n| holds(n.span, file, offset));
    let found = around.min_by_key(|n| (n.span.end - n.span.start, n.span.start))?;
    let markdown = match &found.means {
        NameNote::Relation(relation) => relation_markdown(relation),
        NameNote::Column { of, column } => column_markdown(of.as_deref(), column),
        NameNote::Function(function) => code(&function.usage),
    };
    Some(Hover { span: found.span, markdown })
}

fn function(place: &Place<'_>, file: FileId) -> Option<Hover> {
    let at = place
        .tokens
        .iter()
        .position(|t| t.kind == TokenKind::Word && (t.start..=t.end).contains(&place.offset))?;
    let token = place.tokens[at];
    let found = functions::find(place.text_of(&token))?;
    let called = found.is_bare || place.is(at + 1, "(");
    called.then(|| Hover { span: span(file, token.start, token.end), markdown: found.markdown() })
}

fn expression(
    sources: &SourceMap,
    analysis: &Analysis,
    file: FileId,
    offset: usize,
) -> Option<Hover> {
    let around = analysis.notes.types.iter().filter(|(span, _)| holds(*span, file, offset));
    let (span, ty) = around.min_by_key(|(span, _)| span.end - span.start)?;
    let written: String = sources.text(*span).split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = match written.char_indices().nth(EXPRESSION_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &written[..end]),
        None => written,
    };
    Some(Hover { span: *span, markdown: code(&format!("{shown} : {}", type_text(ty))) })
}

fn code(text: &str) -> String {
    format!("```flow\n{text}\n```")
}

/// A type as it is declared.
pub(super) fn type_text(ty: &Type) -> String {
    ty.to_string()
}

/// What kind of relation it is, in a word.
pub(super) fn kind_word(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Stream => "stream",
        RelationKind::Table => "table",
        RelationKind::View => "view",
        RelationKind::Cte => "WITH",
        RelationKind::Alias => "in FROM",
    }
}

fn column_line(column: &ColumnNote) -> String {
    let ty = column.ty.as_ref().map_or("(its expression is wrong)".to_string(), type_text);
    let time = if column.event_time { "  -- event time" } else { "" };
    format!("{} {ty}{time}", column.name)
}

/// A relation with its columns.
pub(super) fn relation_markdown(relation: &RelationNote) -> String {
    let mut lines = vec![format!("{} {}", kind_word(relation.kind), relation.name)];
    let shown = relation.columns.iter().take(COLUMNS_SHOWN_MAX);
    lines.extend(shown.map(|column| format!("  {}", column_line(column))));
    if relation.columns.len() > COLUMNS_SHOWN_MAX {
        lines.push(format!("  … {} more", relation.columns.len() - COLUMNS_SHOWN_MAX));
    }
    code(&lines.join("\n"))
}

fn column_markdown(of: Option<&str>, column: &ColumnNote) -> String {
    let of = of.filter(|of| !of.is_empty()).map_or(String::new(), |of| format!("{of}."));
    code(&format!("{of}{}", column_line(column)))
}

//! A file in canonical form (`flow fmt`): keywords in capitals, lines of at most 100 columns where
//! the text can be broken, a clause a line in what does not fit on one.
//!
//! Only blanks, line breaks and the case of keywords change, comments behind a comma or semicolon
//! that they stood before, and a last semicolon is added; so the meaning stays and every comment is
//! kept. Empty lines that group stay, one of them. Formatting twice is formatting once. What does
//! not parse stays byte for byte.

mod comments;
mod layout;
mod marks;

use flow_ir::span::FileId;
use pest::Parser;

use comments::{Comment, Gap};
use layout::{Layout, Line};
use marks::Marks;

use super::grammar::{FlowParser, Rule};
use super::scan::{Piece, Scan, Token, TokenKind};
use super::{SHALLOW_LEVELS, SOURCE_MAX_BYTES, build, on_deep_stack, scan};
use crate::diagnostics::has_errors;

/// Columns of a line at most.
const COLUMNS_MAX: usize = 100;

/// A file's text in canonical form.
pub fn format(text: &str) -> String {
    format_in(text, COLUMNS_MAX)
}

/// The same with lines of at most so many columns.
fn format_in(text: &str, columns: usize) -> String {
    if text.len() > SOURCE_MAX_BYTES {
        return text.to_string();
    }
    let scan = scan::scan(FileId(0), text);
    let deepest = scan.pieces.iter().map(|piece| piece.nesting).max().unwrap_or(0);
    let formatted = match deepest <= SHALLOW_LEVELS {
        true => Some(file(text, &scan, columns)),
        false => on_deep_stack(|| file(text, &scan, columns)),
    };
    formatted.unwrap_or_else(|| text.to_string())
}

fn file(text: &str, scan: &Scan, columns: usize) -> String {
    let mut line = Line::default();
    let mut before = 0;
    // Comments that stood before the semicolon of the last statement.
    let mut moved: Vec<Comment<'_>> = Vec::new();
    for piece in &scan.pieces {
        let tokens = scan.tokens.get(piece.tokens.clone()).unwrap_or(&[]);
        let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { continue };
        let mut gap = Gap::of(text.get(before..first.start).unwrap_or(""), before == 0);
        gap.comments.splice(..0, std::mem::take(&mut moved));
        between(&mut line, gap.clone());
        line.end(0, gap.blank_before);
        let is_ended = text.get(piece.end..).is_some_and(|rest| rest.starts_with(';'));
        match statement(text, tokens, piece) {
            Some(statement) => {
                Layout::new(&statement, &mut line, columns).print();
                line.push(";");
                moved = Gap::of(text.get(last.end..piece.end).unwrap_or(""), false).comments;
            }
            None => {
                let end = if is_ended { piece.end + 1 } else { last.end };
                line.push(text.get(first.start..end).unwrap_or(""));
                if !is_ended {
                    moved = Gap::of(text.get(last.end..piece.end).unwrap_or(""), false).comments;
                }
            }
        }
        before = piece.end;
    }
    let mut gap = Gap::of(text.get(before..).unwrap_or(""), before == 0);
    if scan.pieces.last().is_none_or(|piece| piece.end < text.len()) {
        gap.comments.splice(..0, moved);
    } else {
        gap.comments = moved;
    }
    between(&mut line, gap);
    line.finish()
}

/// Comments between statements.
fn between(line: &mut Line, mut gap: Gap<'_>) {
    if !line.is_empty() {
        for comment in gap.take_trailing() {
            line.push(" ");
            line.push(comment.text);
        }
    }
    for comment in gap.comments {
        line.end(0, comment.blank_before);
        line.push(comment.text);
    }
}

/// What is known of the tokens of a statement.
pub(super) struct Statement<'a> {
    words: Vec<String>,
    /// Comments on lines of their own before a token.
    leading: Vec<Vec<Comment<'a>>>,
    /// Comments behind a token on its line.
    trailing: Vec<Vec<Comment<'a>>>,
    /// A blank stands before it, on one line.
    spaced: Vec<bool>,
    /// An empty line stands before it.
    blank_before: Vec<bool>,
    marks: Marks,
}

/// A statement that parses.
fn statement<'a>(text: &'a str, tokens: &[Token], piece: &Piece) -> Option<Statement<'a>> {
    let base = tokens.first()?.start;
    if piece.broken {
        return None;
    }
    let own = text.get(base..piece.end)?;
    let parsed = FlowParser::parse(Rule::piece, own).ok()?.next()?;
    if has_errors(&build::build(FileId(0), base, tokens, parsed.clone()).diagnostics) {
        return None;
    }
    let marks = Marks::of(parsed, tokens);
    let written: Vec<&str> =
        tokens.iter().map(|token| text.get(token.start..token.end).unwrap_or("")).collect();
    let words = written.iter().zip(tokens).zip(&marks.name);
    let words = words.map(|((word, token), is_name)| match (token.kind, is_name) {
        (TokenKind::Word, false) => word.to_ascii_uppercase(),
        _ => (*word).to_string(),
    });
    let words = words.collect();
    let mut gaps: Vec<Gap<'a>> = vec![Gap::default()];
    for (before, behind) in tokens.iter().zip(tokens.iter().skip(1)) {
        gaps.push(Gap::of(text.get(before.end..behind.start).unwrap_or(""), false));
    }
    let mut trailing = vec![Vec::new(); tokens.len()];
    for i in 1..tokens.len() {
        // A comma stands behind its item, whatever comment was between them.
        if written[i] == ","
            && let Some((gap, next)) = gaps.get_mut(i..).and_then(<[_]>::split_first_mut)
            && let Some(next) = next.first_mut()
        {
            next.comments.splice(..0, std::mem::take(&mut gap.comments));
        }
        trailing[i - 1] = gaps[i].take_trailing();
    }
    let spaced = (0..tokens.len()).map(|i| i > 0 && is_spaced(i, tokens, &written, &marks));
    Some(Statement {
        words,
        trailing,
        spaced: spaced.collect(),
        blank_before: gaps.iter().map(|gap| gap.blank_before).collect(),
        leading: gaps.into_iter().map(|gap| gap.comments).collect(),
        marks,
    })
}

/// Whether a blank stands between a token and the one before it.
fn is_spaced(i: usize, tokens: &[Token], written: &[&str], marks: &Marks) -> bool {
    let (before, word) = (written[i - 1], written[i]);
    let apart = tokens[i - 1].end < tokens[i].start;
    let symbols = tokens[i - 1].kind == TokenKind::Symbol && tokens[i].kind == TokenKind::Symbol;
    if marks.as_written[i] && marks.as_written[i - 1] {
        return apart;
    }
    if matches!((before, word), ("-", "-") | ("/", "*")) {
        // Together they would begin a comment.
        return true;
    }
    if marks.glued[i] || matches!(word, "," | ")" | "]" | ".") || matches!(before, "(" | "[" | ".")
    {
        return false;
    }
    // The grammar has operators of several symbols that are no part of their own.
    let is_rest = marks.inner[i] || (symbols && !marks.begins[i]);
    apart || !is_rest
}

#[cfg(test)]
mod tests;

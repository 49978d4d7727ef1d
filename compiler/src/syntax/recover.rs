//! From pieces of text to statements. A piece that does not parse is cut again where a line begins
//! like a statement, so that one mistake, or one forgotten semicolon, hides nothing else. Each part
//! that still does not parse gives one diagnostic and is left out.

use std::ops::Range;

use flow_ir::span::{FileId, Span};
use pest::Parser;

use super::ast::{Ast, Insert, Statement, StatementKind};
use super::build::{Built, build};
use super::errors;
use super::grammar::{FlowParser, Rule};
use super::scan::{Piece, Scan, Token, TokenKind};
use crate::diagnostics::{Diagnostic, has_errors, syntax};

/// Parses each piece and puts statement sets together.
pub(crate) fn statements(file: FileId, text: &str, scan: Scan) -> (Ast, Vec<Diagnostic>) {
    let mut recovery = Recovery {
        file,
        text,
        tokens: &scan.tokens,
        ast: Ast::default(),
        diagnostics: scan.diagnostics,
        set: None,
    };
    for piece in &scan.pieces {
        match piece.broken {
            true => recovery.note_broken(piece.tokens.clone()),
            false => recovery.piece(piece),
        }
    }
    recovery.finish()
}

/// A statement set whose END has not come yet.
struct OpenSet {
    span: Span,
    explain: bool,
    inserts: Vec<Insert>,
    has_errors: bool,
}

struct Recovery<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    ast: Ast,
    diagnostics: Vec<Diagnostic>,
    set: Option<OpenSet>,
}

impl Recovery<'_> {
    fn piece(&mut self, piece: &Piece) {
        let whole = match self.parse(piece.tokens.clone(), piece.end) {
            Ok(built) => return self.accept(built),
            Err(diagnostic) => diagnostic,
        };
        let parts = self.parts(piece.tokens.clone());
        if parts.len() == 1 {
            return self.refuse(*whole, piece.tokens.clone());
        }
        for (i, part) in parts.iter().enumerate() {
            let next = parts.get(i + 1).and_then(|next| self.tokens.get(next.start));
            let end = next.map_or(piece.end, |token| token.start);
            match (self.parse(part.clone(), end), next) {
                (Ok(built), Some(next)) => {
                    self.accept(built);
                    let last = self.tokens.get(part.end - 1).map_or(end, |token| token.end);
                    let word = self.text.get(next.start..next.end).unwrap_or("");
                    self.diagnostics.push(syntax::missing_semicolon(
                        self.span(last, last),
                        self.span(next.start, next.end),
                        word,
                    ));
                }
                (Ok(built), None) => self.accept(built),
                (Err(diagnostic), _) => self.refuse(*diagnostic, part.clone()),
            }
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start as u32, end as u32)
    }

    /// Parses the tokens of one statement; its text ends at `end`.
    fn parse(&self, range: Range<usize>, end: usize) -> Result<Built, Box<Diagnostic>> {
        let tokens = self.tokens.get(range).unwrap_or(&[]);
        let base = tokens.first().map_or(end, |token| token.start);
        let text = self.text.get(base..end).unwrap_or("");
        match FlowParser::parse(Rule::piece, text) {
            Ok(mut pairs) => {
                let piece = pairs.next().expect("the rule gives one pair");
                Ok(build(self.file, base, tokens, piece))
            }
            Err(error) => {
                let place = errors::Place { file: self.file, text: self.text, tokens, end };
                Err(Box::new(errors::explain(&place, base, &error)))
            }
        }
    }

    fn refuse(&mut self, diagnostic: Diagnostic, range: Range<usize>) {
        self.diagnostics.push(diagnostic);
        self.note_broken(range);
    }

    /// A piece is left out; if it begins or belongs to a set, the set is not complained about.
    fn note_broken(&mut self, range: Range<usize>) {
        let words: Vec<&str> = range.clone().take(5).map(|i| self.word(i)).collect();
        let begin = words.windows(3).position(|three| {
            let is = |i: usize, word| three[i].eq_ignore_ascii_case(word);
            is(0, "statement") && is(1, "set") && is(2, "begin")
        });
        if begin.is_some_and(|at| at < 3) {
            self.abandon_set();
            let span = self.tokens.get(range.start).map_or(0..0, |token| token.start..token.end);
            let span = self.span(span.start, span.end);
            let inserts = Vec::new();
            self.set = Some(OpenSet { span, explain: false, inserts, has_errors: true });
        } else if let Some(set) = &mut self.set {
            set.has_errors = true;
        }
    }

    /// The text of a token.
    fn word(&self, i: usize) -> &str {
        self.tokens.get(i).and_then(|t| self.text.get(t.start..t.end)).unwrap_or("")
    }

    /// The parts of a piece that begin like statements at the beginning of a line.
    fn parts(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let mut starts = vec![range.start];
        starts.extend(range.clone().skip(1).filter(|&i| self.begins_statement(i)));
        let ends = starts.iter().skip(1).copied().chain([range.end]);
        starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
    }

    fn begins_statement(&self, i: usize) -> bool {
        let (Some(before), Some(token)) = (self.tokens.get(i - 1), self.tokens.get(i)) else {
            return false;
        };
        let gap = self.text.get(before.end..token.start).unwrap_or("");
        if token.kind != TokenKind::Word || !gap.contains('\n') {
            return false;
        }
        let next = self.word(i + 1).to_ascii_uppercase();
        let before = self.word(i - 1).to_ascii_uppercase();
        match self.word(i).to_ascii_uppercase().as_str() {
            "CREATE" => matches!(
                next.as_str(),
                "STREAM"
                    | "TABLE"
                    | "VIEW"
                    | "MATERIALIZED"
                    | "TEMPORARY"
                    | "TEMP"
                    | "OR"
                    | "FUNCTION"
                    | "SEARCH"
                    | "INDEX"
            ),
            "INSERT" => {
                matches!(next.as_str(), "INTO" | "OVERWRITE")
                    && !matches!(before.as_str(), "EXPLAIN" | "FOR" | "EXECUTE" | "BEGIN")
            }
            "DROP" => matches!(
                next.as_str(),
                "STREAM"
                    | "TABLE"
                    | "VIEW"
                    | "MATERIALIZED"
                    | "TEMPORARY"
                    | "FUNCTION"
                    | "SEARCH"
                    | "INDEX"
            ),
            "SET" | "RESET" => next.starts_with('\'') && before != "STATEMENT",
            "IMPORT" => next.starts_with('\''),
            "EXPLAIN" => matches!(next.as_str(), "SELECT" | "INSERT" | "PLAN" | "WITH" | "ANALYZE"),
            "EXECUTE" => matches!(next.as_str(), "STATEMENT" | "INSERT" | "SELECT"),
            "SUBSCRIBE" => next == "TO",
            "PRINT" => next.starts_with('\''),
            _ => false,
        }
    }

    /// Takes a parsed piece: into the open set, or as a statement of its own.
    fn accept(&mut self, built: Built) {
        let failed = has_errors(&built.diagnostics);
        self.diagnostics.extend(built.diagnostics);
        if let Some((span, explain)) = built.set_begin {
            self.abandon_set();
            self.set = Some(OpenSet { span, explain, inserts: Vec::new(), has_errors: false });
        }
        if let Some(set) = &mut self.set {
            set.has_errors |= failed;
        }
        if let Some(statement) = built.statement
            && !failed
        {
            self.take(statement);
        }
        if let Some(end) = built.set_end {
            self.close_set(end);
        }
    }

    fn take(&mut self, statement: Statement) {
        match (self.set.as_mut(), statement.kind) {
            (Some(set), StatementKind::Insert(insert)) => {
                set.span = set.span.to(statement.span);
                set.inserts.push(*insert);
            }
            (None, kind) => self.ast.statements.push(Statement { kind, span: statement.span }),
            (Some(set), StatementKind::Query(_) | StatementKind::Subscribe(_)) => {
                set.has_errors = true;
                let why = "only INSERT may stand in a statement set";
                self.diagnostics.push(syntax::incomplete_statement_set(statement.span, why));
            }
            (Some(_), kind) => {
                // Another kind of statement: END has been forgotten before it.
                self.abandon_set();
                self.ast.statements.push(Statement { kind, span: statement.span });
            }
        }
    }

    fn close_set(&mut self, end: Span) {
        let Some(set) = self.set.take() else {
            let why = "END without STATEMENT SET";
            self.diagnostics.push(syntax::incomplete_statement_set(end, why));
            return;
        };
        if set.inserts.is_empty() {
            if !set.has_errors {
                let why = "a statement set without INSERT";
                self.diagnostics.push(syntax::incomplete_statement_set(set.span.to(end), why));
            }
            return;
        }
        let span = set.span.to(end);
        let mut kind = StatementKind::StatementSet(set.inserts);
        if set.explain {
            let statement = Box::new(Statement { kind, span });
            kind = StatementKind::Explain { details: Vec::new(), statement };
        }
        self.ast.statements.push(Statement { kind, span });
    }

    /// Drops a set whose END is missing.
    fn abandon_set(&mut self) {
        if let Some(set) = self.set.take() {
            let why = "statement set without END";
            self.diagnostics.push(syntax::incomplete_statement_set(set.span, why));
        }
    }

    fn finish(mut self) -> (Ast, Vec<Diagnostic>) {
        self.abandon_set();
        (self.ast, self.diagnostics)
    }
}

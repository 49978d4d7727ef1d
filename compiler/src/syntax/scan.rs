//! The look over the text before it is parsed: cuts a file into pieces at semicolons, finds what
//! is wrong with single tokens (strings, comments and names that are never closed, characters that
//! mean nothing), and measures nesting. Tokens here only serve this and error messages; the grammar
//! reads the text itself.
//!
//! Always holds: pieces and tokens are in order and do not overlap; token borders are character
//! borders; a piece that is not `broken` has at most `DEPTH_MAX` brackets open at once.

use std::ops::Range;

use flow_ir::span::{FileId, Span};

use super::DEPTH_MAX;
use crate::diagnostics::{Diagnostic, syntax};

/// What kind of token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A word: keyword or name.
    Word,
    /// A name in quotes or backticks.
    QuotedName,
    /// A string or bytes literal.
    String,
    /// A number.
    Number,
    /// One character of punctuation.
    Symbol,
}

/// One token and where it is, in bytes of the file.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// Which kind.
    pub kind: TokenKind,
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

/// The text of one statement.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Its tokens, as a range of `Scan::tokens`; never empty.
    pub(crate) tokens: Range<usize>,
    /// Where its text ends: at the semicolon or the file's end.
    pub(crate) end: usize,
    /// It has an error that has been reported; it cannot be parsed.
    pub(crate) broken: bool,
    /// At least as many levels of nesting as the parser will meet.
    pub(crate) nesting: usize,
}

/// What the look over the text found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) tokens: Vec<Token>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Looks over a file.
pub(crate) fn scan(file: FileId, text: &str) -> Scan {
    let scanner = Scanner {
        file,
        text,
        at: 0,
        first: 0,
        broken: false,
        nesting: Nesting::default(),
        out: Scan::default(),
    };
    scanner.run()
}

struct Scanner<'a> {
    file: FileId,
    text: &'a str,
    at: usize,
    /// First token of the current piece.
    first: usize,
    broken: bool,
    nesting: Nesting,
    out: Scan,
}

impl Scanner<'_> {
    fn run(mut self) -> Scan {
        while let Some(next) = self.peek(0) {
            match next {
                ' ' | '\t' | '\r' | '\n' | '\u{B}' | '\u{C}' | '\u{FEFF}' => {
                    self.at += next.len_utf8();
                }
                '-' if self.peek(1) == Some('-') => self.line_comment(),
                '/' if self.peek(1) == Some('*') => self.block_comment(),
                ';' => {
                    self.end_piece();
                    self.at += 1;
                    self.first = self.out.tokens.len();
                }
                _ => self.token(next),
            }
        }
        self.end_piece();
        self.out
    }

    /// The character `ahead` characters further on.
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest().chars().nth(ahead)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start as u32, end as u32)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.out.diagnostics.push(diagnostic);
        self.broken = true;
    }

    fn end_piece(&mut self) {
        let tokens = self.first..self.out.tokens.len();
        let nesting = std::mem::take(&mut self.nesting);
        let broken = std::mem::take(&mut self.broken);
        if !tokens.is_empty() {
            self.out.pieces.push(Piece { tokens, end: self.at, broken, nesting: nesting.bound });
        }
    }

    fn line_comment(&mut self) {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
    }

    fn block_comment(&mut self) {
        let start = self.at;
        // The body begins after `/*`, so that `/*/` does not close itself.
        let body = self.text.get(start + 2..).unwrap_or("");
        match body.find("*/") {
            Some(len) => {
                self.at = start + 2 + len + 2;
                if let Some(hint) = body.strip_prefix('+') {
                    let name: String =
                        hint.trim_start().chars().take_while(|c| is_word_start(*c)).collect();
                    let span = self.span(start, self.at);
                    self.out.diagnostics.push(syntax::hint_without_effect(span, &name));
                }
            }
            None => {
                self.report(syntax::unterminated_comment(self.span(start, start + 2)));
                self.at = self.text.len();
            }
        }
    }

    fn token(&mut self, first: char) {
        let start = self.at;
        let kind = match first {
            '\'' => self.string(0, false),
            'e' | 'E' if self.peek(1) == Some('\'') => self.string(1, true),
            'x' | 'X' if self.peek(1) == Some('\'') => self.string(1, false),
            '$' if self.peek(1) == Some('$') => self.dollar_string(),
            '"' | '`' => self.quoted_name(first),
            '0'..='9' => self.number(),
            '.' if self.peek(1).is_some_and(|c| c.is_ascii_digit()) => self.number(),
            c if is_word_start(c) => self.word(),
            c if "()[]{}<>=!+-*/%|,.:^$?~@&#".contains(c) => {
                self.at += 1;
                TokenKind::Symbol
            }
            c => {
                self.at += c.len_utf8();
                self.report(syntax::unexpected_character(self.span(start, self.at), c));
                TokenKind::Symbol
            }
        };
        self.out.tokens.push(Token { kind, start, end: self.at });
        let text = self.text.get(start..self.at).unwrap_or("");
        if self.nesting.note(text, kind) > DEPTH_MAX && !self.broken {
            self.report(syntax::nested_too_deeply(self.span(start, self.at), DEPTH_MAX));
        }
    }

    fn string(&mut self, prefix: usize, escapes: bool) -> TokenKind {
        let open = self.at + prefix;
        self.at = open + 1;
        match close(self.rest(), '\'', escapes) {
            Some(len) => self.at += len,
            None => {
                self.report(syntax::unterminated_string(self.span(open, open + 1)));
                self.at = self.text.len();
            }
        }
        TokenKind::String
    }

    /// `$$…$$`, in which quotes mean nothing.
    fn dollar_string(&mut self) -> TokenKind {
        let open = self.at;
        self.at = open + 2;
        match self.rest().find("$$") {
            Some(len) => self.at += len + 2,
            None => {
                self.report(syntax::unterminated_string(self.span(open, open + 2)));
                self.at = self.text.len();
            }
        }
        TokenKind::String
    }

    fn quoted_name(&mut self, quote: char) -> TokenKind {
        let open = self.at;
        self.at = open + 1;
        match close(self.rest(), quote, false) {
            Some(len) => self.at += len,
            None => {
                self.report(syntax::unterminated_name(self.span(open, open + 1), quote));
                self.at = self.text.len();
            }
        }
        TokenKind::QuotedName
    }

    fn number(&mut self) -> TokenKind {
        let start = self.at;
        self.skip_while(|c| c.is_ascii_digit());
        if self.peek(0) == Some('.') {
            self.at += 1;
            self.skip_while(|c| c.is_ascii_digit());
        }
        if let Some('e' | 'E') = self.peek(0) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1 + sign;
                self.skip_while(|c| c.is_ascii_digit());
            }
        }
        if self.peek(0).is_some_and(is_word_start) {
            self.skip_while(is_word_part);
            let text = self.text.get(start..self.at).unwrap_or("");
            let why = format!("{text} is neither a number nor a name");
            let help = "Put a blank after the number, or quote the whole: a name in \"…\", an \
                        option's value in '…'.";
            self.report(syntax::malformed_literal(self.span(start, self.at), &why, help));
        }
        TokenKind::Number
    }

    fn word(&mut self) -> TokenKind {
        self.skip_while(is_word_part);
        // A `$` belongs to a name only with more of the name after it.
        let trimmed = self.text.get(..self.at).unwrap_or("").trim_end_matches('$');
        self.at = trimmed.len();
        TokenKind::Word
    }

    fn skip_while(&mut self, belongs: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    }
}

/// Bytes up to and including the closing quote. A doubled quote is part of the text, and so is a
/// character after a backslash where backslashes escape.
fn close(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => {
                    chars.next();
                }
                _ => return Some(i + 1),
            }
        }
    }
    None
}

fn is_word_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn is_word_part(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphanumeric() || (!c.is_ascii() && !is_gap(c))
}

/// Characters outside ASCII that no name has: blanks, quotes, dashes and the like.
fn is_gap(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{2000}'..='\u{206F}' | '\u{3000}'..='\u{3003}' | '\u{FEFF}')
        || matches!(c, '\u{FF00}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}' | '\u{37E}' | '\u{2212}')
}

/// Counts what is open.
#[derive(Debug, Default)]
struct Nesting {
    open: Vec<char>,
    last_opens_angle: bool,
    /// CASE and `<` so far: END and `>` may be a name and an operator, so they lower no bound.
    unsure: usize,
    bound: usize,
}

impl Nesting {
    /// Notes a token; returns how much is open.
    fn note(&mut self, text: &str, kind: TokenKind) -> usize {
        let after_type = std::mem::replace(&mut self.last_opens_angle, false);
        match (kind, text) {
            (TokenKind::Symbol, "(" | "[" | "{") => {
                self.open.push(text.chars().next().unwrap_or('('));
            }
            (TokenKind::Symbol, "<") if after_type => {
                self.unsure += 1;
                self.open.push('<');
            }
            (TokenKind::Symbol, ">") if self.open.last() == Some(&'<') => {
                self.open.pop();
            }
            (TokenKind::Symbol, ")") => self.close('('),
            (TokenKind::Symbol, "]") => self.close('['),
            (TokenKind::Symbol, "}") => self.close('{'),
            (TokenKind::Word, word) if word.eq_ignore_ascii_case("case") => {
                self.unsure += 1;
                self.open.push('C');
            }
            (TokenKind::Word, word) if word.eq_ignore_ascii_case("end") => {
                self.open.pop_if(|open| *open == 'C');
            }
            (TokenKind::Word, word) => {
                self.last_opens_angle = ["array", "map", "row", "struct", "multiset"]
                    .iter()
                    .any(|opener| word.eq_ignore_ascii_case(opener));
            }
            _ => {}
        }
        self.bound = self.bound.max(self.open.len() + self.unsure);
        self.open.len()
    }

    fn close(&mut self, bracket: char) {
        while matches!(self.open.last(), Some('<' | 'C')) {
            self.open.pop();
        }
        if self.open.last() == Some(&bracket) {
            self.open.pop();
        }
    }
}

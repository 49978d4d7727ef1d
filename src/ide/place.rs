//! The statement around a cursor as tokens, whether it parses or not.

use std::ops::Range;

use flow_compiler::syntax::{StatementText, Token, TokenKind, statement_texts};

/// A cursor and the statement around it.
#[derive(Clone, Debug)]
pub(super) struct Place<'t> {
    /// The file's text.
    pub text: &'t str,
    /// Bytes before the cursor.
    pub offset: usize,
    /// The statement's tokens; none between statements.
    pub tokens: Vec<Token>,
    /// Where the statement begins and ends.
    pub statement: Range<usize>,
}

impl<'t> Place<'t> {
    /// The place of a cursor; `None` if it is not between two characters.
    pub(super) fn at(text: &'t str, offset: usize) -> Option<Self> {
        if !text.is_char_boundary(offset) {
            return None;
        }
        let begins = |s: &StatementText| s.tokens.first().map_or(s.end, |t| t.start);
        let around =
            statement_texts(text).into_iter().find(|s| (begins(s)..=s.end).contains(&offset));
        let (tokens, statement) = match around {
            Some(s) => (s.tokens.clone(), begins(&s)..s.end),
            None => (Vec::new(), offset..offset),
        };
        Some(Self { text, offset, tokens, statement })
    }

    /// The text of a token.
    pub(super) fn text_of(&self, token: &Token) -> &'t str {
        self.text.get(token.start..token.end).unwrap_or("")
    }

    /// Whether a token is this word, in any case.
    pub(super) fn is(&self, index: usize, word: &str) -> bool {
        self.tokens.get(index).is_some_and(|t| self.text_of(t).eq_ignore_ascii_case(word))
    }

    /// The token that the cursor is in or behind.
    pub(super) fn touched(&self) -> Option<usize> {
        self.tokens.iter().rposition(|t| t.start < self.offset && self.offset <= t.end)
    }

    /// The word or quoted name that is being typed, else the empty range at the cursor.
    pub(super) fn typed(&self) -> Range<usize> {
        match self.touched().map(|at| self.tokens[at]) {
            Some(Token { kind: TokenKind::Word | TokenKind::QuotedName, start, end }) => start..end,
            Some(_) | None => self.offset..self.offset,
        }
    }

    /// How many tokens lie before what is being typed.
    pub(super) fn before(&self) -> usize {
        let start = self.typed().start;
        self.tokens.iter().take_while(|t| t.end <= start).count()
    }

    /// Whether the cursor is inside a string.
    pub(super) fn in_string(&self) -> bool {
        let inside = |t: &Token| t.kind == TokenKind::String && t.start < self.offset;
        self.tokens.iter().any(|t| inside(t) && (self.offset < t.end || !self.is_closed(t)))
    }

    /// Whether a string's token ends with its quote.
    fn is_closed(&self, token: &Token) -> bool {
        let text = self.text_of(token);
        text.len() > 1 && text.ends_with('\'')
    }

    /// Whether the cursor is in a comment.
    pub(super) fn in_comment(&self) -> bool {
        let ends = statement_texts(self.text).into_iter().flat_map(|s| s.tokens);
        let last = ends.map(|t| t.end).take_while(|end| *end <= self.offset).last().unwrap_or(0);
        if self.touched().is_some() {
            return false;
        }
        let mut gap = self.text.get(last..self.offset).unwrap_or("");
        while let Some(at) = gap.find(['-', '/']) {
            let rest = &gap[at..];
            let (opens, end) = match () {
                () if rest.starts_with("--") => (2, "\n"),
                () if rest.starts_with("/*") => (2, "*/"),
                () => (0, ""),
            };
            if opens == 0 {
                gap = &rest[1..];
                continue;
            }
            match rest[opens..].find(end) {
                Some(closed) => gap = &rest[opens + closed + end.len()..],
                None => return true,
            }
        }
        false
    }

    /// The innermost bracket that is open before a token, by position among the tokens.
    pub(super) fn open_bracket(&self, before: usize) -> Option<usize> {
        let mut closed = 0usize;
        for at in (0..before.min(self.tokens.len())).rev() {
            match self.text_of(&self.tokens[at]) {
                ")" | "]" => closed += 1,
                "(" | "[" if closed == 0 => return Some(at),
                "(" | "[" => closed -= 1,
                _ => {}
            }
        }
        None
    }

    /// The word before a token in upper case, or the symbol; empty at the statement's beginning.
    pub(super) fn word_before(&self, index: usize) -> String {
        let before = index.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.map_or("", |token| self.text_of(token)).to_uppercase()
    }
}

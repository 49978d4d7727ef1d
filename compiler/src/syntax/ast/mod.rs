//! The untyped AST: what was written, with a span on every node. Names are not resolved and
//! literals are not read; both keep their text. Parentheses leave no trace but the tree's shape.
//!
//! No tree is deeper than `syntax::DEPTH_MAX` levels, whatever the input, so a recursive walk of
//! modest frames is safe.

mod children;
mod expr;
mod operator;
mod query;
mod statement;
mod types;

use std::fmt;

use flow_ir::span::Span;

pub use expr::*;
pub use operator::*;
pub use query::*;
pub use statement::*;
pub use types::*;

/// A file: its statements in order. Pieces of text that did not parse are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ast {
    /// The statements.
    pub statements: Vec<Statement>,
}

/// A name as written, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ident {
    /// The name; a doubled quote inside quotes is one.
    pub text: String,
    /// Whether it stood in quotes or backticks.
    pub quoted: bool,
    /// Where, quotes included.
    pub span: Span,
}

/// A name of one or more parts: `t`, `catalog.db.t`, `t.column.field`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// The parts; never empty.
    pub parts: Vec<Ident>,
}

/// A string literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text; a doubled quote inside is one.
    pub value: String,
    /// Where, quotes included.
    pub span: Span,
}

impl Ident {
    /// Whether it is this word, unquoted, in any case.
    pub fn is_word(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }
}

impl ObjectName {
    /// A name of one part.
    pub fn single(ident: Ident) -> Self {
        Self { parts: vec![ident] }
    }

    /// The last part: the object's own name.
    pub fn last(&self) -> &Ident {
        self.parts.last().expect("a name has at least one part")
    }

    /// The only part, if there is one part.
    pub fn as_single(&self) -> Option<&Ident> {
        match self.parts.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// From the first part to the last.
    pub fn span(&self) -> Span {
        self.parts.iter().fold(self.last().span, |all, part| part.span.to(all))
    }
}

impl Query {
    /// A query of this and nothing else.
    pub fn of(body: SetExpr) -> Self {
        let span = body.span;
        Self {
            with: None,
            body,
            order_by: Vec::new(),
            limit: None,
            with_ties: false,
            offset: None,
            emit: None,
            span,
        }
    }
}

impl fmt::Display for Ident {
    /// The name without quotes, as messages show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            write!(f, "{}{part}", if i == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

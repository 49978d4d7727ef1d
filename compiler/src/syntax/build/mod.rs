//! From pest's pairs to the AST, by area: `statement`, `query`, `pattern`, `expr`, `call`,
//! `literal`, `types`. What the grammar guarantees is expected here by name; what it leaves open
//! becomes a diagnostic.
//!
//! A builder counts levels from the root, every operator of a chain as one, and refuses more than
//! `DEPTH_MAX`; that bounds the depth of the tree and the recursion of everything that walks it.

mod call;
mod expr;
mod like;
mod literal;
mod pattern;
mod pivot;
mod query;
mod statement;
mod types;
mod within;

use flow_ir::span::{FileId, Span};
use pest::iterators::{Pair, Pairs};

pub(crate) use expr::BARE_FUNCTIONS;
pub(crate) use query::CLAUSE_ORDER;

use super::DEPTH_MAX;
use super::ast::{Expr, ExprKind, Ident, Literal, ObjectName, Statement, Text};
use super::grammar::Rule;
use super::scan::Token;
use crate::diagnostics::{Diagnostic, syntax};

/// What one piece turned out to be.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// `STATEMENT SET BEGIN` in front, and whether EXPLAIN stood before it.
    pub(crate) set_begin: Option<(Span, bool)>,
    /// The statement.
    pub(crate) statement: Option<Statement>,
    /// `END` behind.
    pub(crate) set_end: Option<Span>,
    /// What is wrong with it. With an error, `statement` is not to be used.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Builds one piece from its parse. `base` is where the piece begins in the file; `tokens` are the
/// piece's.
pub(crate) fn build(file: FileId, base: usize, tokens: &[Token], piece: Pair<'_, Rule>) -> Built {
    let mut builder = Builder {
        file,
        base,
        tokens,
        diagnostics: Vec::new(),
        level: 0,
        too_deep: false,
        cases: 0,
    };
    let mut built = Built::default();
    for part in piece.into_inner() {
        match part.as_rule() {
            Rule::set_begin => {
                let explain = has(&part, Rule::k_explain);
                built.set_begin = Some((builder.span(&part), explain));
            }
            Rule::statement => built.statement = Some(builder.statement(part)),
            Rule::set_end => built.set_end = Some(builder.span(&part)),
            _ => {}
        }
    }
    built.diagnostics = builder.diagnostics;
    built
}

struct Builder<'a> {
    file: FileId,
    base: usize,
    tokens: &'a [Token],
    diagnostics: Vec<Diagnostic>,
    level: usize,
    too_deep: bool,
    /// How many CASE are open.
    cases: usize,
}

type Node<'i> = Pair<'i, Rule>;

impl Builder<'_> {
    /// Where a pair is. pest counts blanks and comments behind it in; this does not.
    fn span(&self, pair: &Node<'_>) -> Span {
        let raw = pair.as_span();
        let (start, end) = (self.base + raw.start(), self.base + raw.end());
        let count = self.tokens.partition_point(|token| token.end <= end);
        let last = self.tokens.get(..count).and_then(|tokens| tokens.last());
        let end = last.map_or(end, |token| token.end).max(start);
        Span::new(self.file, start as u32, end as u32)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Goes `levels` down; false, with one diagnostic, when that is too deep.
    fn enter(&mut self, levels: usize, at: &Node<'_>) -> bool {
        if self.level + levels > DEPTH_MAX {
            if !self.too_deep {
                let span = self.span(at);
                self.report(syntax::nested_too_deeply(span, DEPTH_MAX));
            }
            self.too_deep = true;
            return false;
        }
        self.level += levels;
        true
    }

    fn leave(&mut self, levels: usize) {
        self.level -= levels;
    }

    /// What stands for an expression that was refused; the statement is dropped anyway.
    fn refused(&self, span: Span) -> Expr {
        Expr { kind: ExprKind::Literal(Literal::Null), span }
    }

    fn ident(&self, pair: &Node<'_>) -> Ident {
        let raw = pair.as_str();
        let span = self.span(pair);
        for quote in ["\"", "`"] {
            if let Some(inner) = raw.strip_prefix(quote) {
                let inner = inner.strip_suffix(quote).unwrap_or(inner);
                let text = inner.replace(&quote.repeat(2), quote);
                return Ident { text, quoted: true, span };
            }
        }
        Ident { text: raw.to_owned(), quoted: false, span }
    }

    /// The names directly below.
    fn idents(&self, pair: &Node<'_>) -> Vec<Ident> {
        let children = pair.clone().into_inner();
        children.filter(|c| c.as_rule() == Rule::ident).map(|c| self.ident(&c)).collect()
    }

    /// The first name directly below.
    fn first_ident(&self, pair: &Node<'_>) -> Ident {
        self.ident(&must(child(pair, Rule::ident)))
    }

    /// The names in the first parenthesised list directly below; empty without one.
    fn ident_list(&self, pair: &Node<'_>) -> Vec<Ident> {
        child(pair, Rule::ident_list).map_or_else(Vec::new, |list| self.idents(&list))
    }

    fn object_name(&self, pair: &Node<'_>) -> ObjectName {
        let children = pair.clone().into_inner();
        let parts = children
            .filter(|c| !matches!(c.as_rule(), Rule::lparen | Rule::rparen))
            .map(|c| self.ident(&c))
            .collect();
        ObjectName { parts }
    }

    /// The first object's name directly below.
    fn first_name(&self, pair: &Node<'_>) -> ObjectName {
        self.object_name(&must(child(pair, Rule::object_name)))
    }

    fn text(&self, pair: &Node<'_>) -> Text {
        Text { value: literal::unquote(pair.as_str()), span: self.span(pair) }
    }

    /// The first string directly below.
    fn first_text(&self, pair: &Node<'_>) -> Option<Text> {
        child(pair, Rule::string).map(|c| self.text(&c))
    }
}

/// What the grammar guarantees.
fn must<T>(found: Option<T>) -> T {
    found.expect("the grammar puts it there")
}

fn child<'i>(pair: &Node<'i>, rule: Rule) -> Option<Node<'i>> {
    pair.clone().into_inner().find(|c| c.as_rule() == rule)
}

fn children<'i>(pair: &Node<'i>, rule: Rule) -> impl Iterator<Item = Node<'i>> + use<'i> {
    let inner: Pairs<'i, Rule> = pair.clone().into_inner();
    inner.filter(move |c| c.as_rule() == rule)
}

fn has(pair: &Node<'_>, rule: Rule) -> bool {
    child(pair, rule).is_some()
}

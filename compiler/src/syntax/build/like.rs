//! LIKE, ILIKE, SIMILAR TO and their signs; of one pattern, or of any or all of several.

use flow_ir::span::Span;

use super::expr::Paren;
use super::{Builder, Node, child, children, has, must};
use crate::diagnostics::plans;
use crate::syntax::ast::{Expr, ExprKind, LikeKind};
use crate::syntax::grammar::Rule;
use crate::syntax::pratt::{Fold, Precedence};

impl Builder<'_> {
    pub(super) fn like(&mut self, part: &Node<'_>, not: bool, fold: &mut Fold, end: Span) {
        let (kind, sign_not) = kind_of(part);
        let negated = not ^ sign_not;
        if let Some(paren) = child(part, Rule::paren) {
            let all = has(part, Rule::k_all);
            let patterns = self.patterns(&paren);
            let each = move |arg, pattern| ExprKind::Like {
                kind,
                arg,
                pattern: Box::new(pattern),
                escape: None,
                negated,
            };
            fold.predicate(Precedence::Range, |left| like_each(left, patterns, all, each));
            return;
        }
        let mut sides = children(part, Rule::arith);
        let pattern = Box::new(self.expr(must(sides.next())));
        let escape = sides.next().map(|c| Box::new(self.expr(c)));
        fold.predicate(Precedence::Range, |left| {
            let span = left.span.to(end);
            let kind = ExprKind::Like { kind, arg: Box::new(left), pattern, escape, negated };
            Expr { kind, span }
        });
    }

    /// What stands behind LIKE ANY and LIKE ALL.
    fn patterns(&mut self, paren: &Node<'_>) -> Vec<Expr> {
        let span = self.span(paren);
        let mut patterns = match self.paren(paren) {
            Paren::Exprs(patterns) => patterns,
            Paren::Query(_) => {
                let instead = "Join the subquery, and write LIKE without ANY.";
                self.report(plans::not_available("LIKE ANY of a subquery", span, Some(instead)));
                Vec::new()
            }
        };
        match patterns.pop() {
            Some(Expr { kind: ExprKind::Array(items), .. }) if patterns.is_empty() => items,
            last => {
                patterns.extend(last);
                patterns
            }
        }
    }
}

/// `a LIKE ANY (p, q)`, which is `a LIKE p OR a LIKE q`.
fn like_each(
    arg: Expr,
    patterns: Vec<Expr>,
    all: bool,
    each: impl Fn(Box<Expr>, Expr) -> ExprKind,
) -> Expr {
    let like = |pattern: Expr| {
        let span = arg.span.to(pattern.span);
        Expr { kind: each(Box::new(arg.clone()), pattern), span }
    };
    let mut asked: Vec<Expr> = patterns.into_iter().map(like).collect();
    let span = asked.last().map_or(arg.span, |last| arg.span.to(last.span));
    match asked.len() {
        0 => arg,
        1 => asked.remove(0),
        _ if all => Expr { kind: ExprKind::And(asked), span },
        _ => Expr { kind: ExprKind::Or(asked), span },
    }
}

/// Which of them it is, and whether its sign says NOT.
fn kind_of(pair: &Node<'_>) -> (LikeKind, bool) {
    let sign = child(pair, Rule::like_sign).map_or("", |sign| sign.as_str());
    let kind = if has(pair, Rule::k_ilike) || sign.ends_with('*') {
        LikeKind::ILike
    } else if has(pair, Rule::k_similar) {
        LikeKind::SimilarTo
    } else {
        LikeKind::Like
    };
    (kind, sign.starts_with('!'))
}

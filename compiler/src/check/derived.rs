//! Queries in FROM of a subquery. One that reads columns of the queries around has them as its last
//! columns, and is joined by them to the relation of outer columns, to the left of all.

use flow_ir::expr::Expr;
use flow_ir::span::Span;

use super::Checker;
use super::from::Factor;
use super::subquery::Leave;
use super::typed::QueryId;
use crate::diagnostics::Diagnostic;
use crate::syntax::ast::{self, Ident, JoinKind, TableFactorKind, TableRef};

impl Checker<'_> {
    /// What is read where the columns of the queries around are not at hand.
    pub(super) fn apart<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.enclosing.take();
        let read = read(self);
        self.enclosing = outer;
        read
    }

    /// A query in FROM and the columns of the queries around that it reads, which are its last
    /// ones.
    pub(super) fn from_query(&mut self, query: &ast::Query) -> Option<(QueryId, Vec<usize>)> {
        let Some(outer) = self.enclosing.clone() else {
            return self.query(query).map(|query| (query, Vec::new()));
        };
        let told = self.found.len();
        let alone = self.apart(|checker| checker.query(query));
        let failed = self.found[told..].iter().any(Diagnostic::is_error);
        if let Some(alone) = alone.filter(|_| !failed) {
            return Some((alone, Vec::new()));
        }
        let mistakes = self.found.split_off(told);
        let Some((_, used)) = self.probe(query, &outer.scope).filter(|(_, u)| !u.is_empty()) else {
            if self.found.len() == told {
                self.found.extend(mistakes);
            }
            return None;
        };
        self.outer_used.extend(&used);
        let column = |&at: &usize| Expr::column(at, outer.scope.columns[at].ty.clone(), query.span);
        let values: Vec<Expr> = used.iter().map(column).collect();
        let none = Leave::Nothing;
        let body = self.body_over(outer.node, query, &outer.scope, &used, &values, none)?;
        Some((body.node, used))
    }

    /// The rows of a query in FROM are those of the outer columns beside them, from position 0.
    pub(super) fn same_outer(
        &mut self,
        factor: &Factor<'_>,
        split: usize,
        span: Span,
    ) -> Option<Vec<Expr>> {
        let first = split + factor.scope.columns.len() - factor.outer.len();
        let mut equal = Vec::with_capacity(factor.outer.len());
        for (nth, at) in factor.outer.iter().enumerate() {
            let own = &factor.scope.columns[first - split + nth];
            let ty = self.enclosing.as_ref()?.scope.columns[*at].ty.clone();
            let sides =
                vec![Expr::column(*at, ty, span), Expr::column(first + nth, own.ty.clone(), span)];
            equal.push(self.operator("IS NOT DISTINCT FROM", sides, span)?);
        }
        Some(equal)
    }
}

/// Whether the rows to the left of all joins stay rows to the left.
pub(super) fn keeps_left(item: &TableRef) -> bool {
    let keeps = |join: &ast::Join| !matches!(join.kind, JoinKind::Right | JoinKind::Full);
    !matches!(item.first.kind, TableFactorKind::Nested(_)) && item.joins.iter().all(keeps)
}

/// The name of an outer column behind those of a query in FROM.
pub(super) fn outer_name(at: usize, span: Span) -> Ident {
    Ident { text: format!("$outer{at}"), quoted: true, span }
}

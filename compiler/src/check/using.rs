//! USING and NATURAL: the columns that both sides of a join have, and which of them their name
//! means.

use flow_ir::expr::Expr;
use flow_ir::span::Span;

use super::Checker;
use super::from::{Kind, same_name};
use super::scope::{Scope, ScopeColumn, ScopeTable, visible};
use crate::syntax::ast::{Ident, ObjectName};

impl Checker<'_> {
    /// The equalities of USING, over the left columns and the right ones behind them.
    pub(super) fn using(
        &mut self,
        names: &[Ident],
        left: &Scope,
        right: &Scope,
        span: Span,
    ) -> Option<Vec<Expr>> {
        let mut equal = Vec::with_capacity(names.len());
        for name in names {
            let written = ObjectName::single(name.clone());
            let l = self.resolve(&written, left).map(|(at, _)| at);
            let r = self.resolve(&written, right).map(|(at, _)| at);
            let (l, r) = (l?, r?);
            let at = |scope: &Scope, column: usize, shift: usize| {
                Expr::column(column + shift, scope.columns[column].ty.clone(), name.span)
            };
            let sides = vec![at(left, l, 0), at(right, r, left.columns.len())];
            equal.push(self.operator("=", sides, span)?);
        }
        Some(equal)
    }
}

impl Scope {
    /// After a join, columns of a side of which there may be no row may be NULL.
    pub(super) fn may_lack(&mut self, kind: Kind, split: usize) {
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.ty.nullable |= match kind {
                Kind::Inner | Kind::Semi | Kind::Anti => false,
                Kind::Left => at >= split,
                Kind::Right => at < split,
                Kind::Full => true,
            };
        }
    }

    /// The common columns of a FULL JOIN by USING, behind those of its sides.
    pub(super) fn common_columns(&self, columns: Vec<ScopeColumn>) -> Scope {
        let rounds = self.columns.iter().map(|c| c.shared).max().unwrap_or(0);
        let columns: Vec<ScopeColumn> =
            columns.into_iter().map(|c| ScopeColumn { shared: rounds + 1, ..c }).collect();
        let table = ScopeTable { name: None, columns: 0..columns.len(), level: 0 };
        Scope { tables: vec![table], columns, row_key: None }
    }

    /// The columns that NATURAL joins by.
    pub(super) fn common_names(&self, right: &Scope, span: Span) -> Vec<Ident> {
        let right = right.bare_names();
        let own = self.columns.iter().filter(|c| c.bare && visible(&c.name) && c.level == 0);
        let common = own.filter(|l| right.iter().any(|r| *r == l.name));
        common.map(|c| Ident { text: c.name.clone(), quoted: false, span }).collect()
    }

    /// After a join by these names, whose right side begins at `split`: the name alone means the
    /// column of the side that is always there, and `*` has it first.
    pub(super) fn share(&mut self, names: &[Ident], kind: Kind, split: usize) {
        let rounds = self.columns.iter().map(|c| c.shared).max().unwrap_or(0);
        for (at, column) in self.columns.iter_mut().enumerate() {
            let is = |name: &Ident| same_name(&name.text, &column.name);
            if column.level > 0 || !column.bare || !names.iter().any(is) {
                continue;
            }
            let hidden = kind == Kind::Full || (kind == Kind::Right) == (at < split);
            match hidden {
                true => column.bare = false,
                false => column.shared = rounds + 1,
            }
        }
    }
}

//! Names of the columns of a join as ksqlDB gives them: `*` puts the relation's name in front of
//! each, and so does a column without alias that another relation has, too. ROWKEY is what its rows
//! are joined by.

use flow_ir::expr::Expr;

use super::Checker;
use super::from::{Kind, same_name};
use super::join::equality;
use super::record_time::ROWTIME;
use super::scope::{Found, Scope, ScopeTable, find, visible};
use super::select::Item;
use crate::syntax::ast::{self, BinaryOp};

/// What is in front of the number of an item that has no name.
pub(super) const UNNAMED: &str = "KSQL_COL_";

/// Whether a stream or table is read that is declared as ksqlDB does.
pub(super) fn of_records(scope: &Scope) -> bool {
    scope.columns.iter().any(|column| column.name == ROWTIME)
}

/// Whether several streams and tables that are declared as ksqlDB does are joined.
fn is_join(scope: &Scope) -> bool {
    let has_time = |table: &ScopeTable| {
        scope.columns[table.columns.clone()].iter().any(|column| column.name == ROWTIME)
    };
    scope.tables.len() > 1 && scope.tables.iter().all(|table| table.level == 0 && has_time(table))
}

impl Checker<'_> {
    /// What the rows of a join are joined by, where that is one equality: the column that is always
    /// there, or the one that is. The right columns begin at `split`.
    pub(super) fn row_key(&mut self, kind: Kind, on: &[Expr], split: usize) -> Option<Expr> {
        let mut equalities = on.iter().filter_map(|e| equality(e, split));
        let (left, right, _) = equalities.next().filter(|_| equalities.next().is_none())?;
        match kind {
            Kind::Inner | Kind::Left | Kind::Semi | Kind::Anti => Some(left),
            Kind::Right => Some(right),
            Kind::Full => {
                let span = left.span.to(right.span);
                let either = |e: &Expr| Expr { ty: e.ty.with_nullable(true), ..e.clone() };
                self.operator("COALESCE", vec![either(&left), either(&right)], span)
            }
        }
    }
}

/// The name of a column that `*` stands for.
pub(super) fn starred(scope: &Scope, at: usize) -> Option<String> {
    let table = scope.tables.iter().find(|table| table.columns.contains(&at))?;
    is_join(scope).then(|| prefixed(scope, table, at))?
}

/// Whether it is a column or a field, which is named as that is.
pub(super) fn is_reference(item: &ast::Expr) -> bool {
    match &item.kind {
        ast::ExprKind::Name(_) | ast::ExprKind::Field { .. } => true,
        ast::ExprKind::Binary { op: BinaryOp::Arrow, right, .. } => is_reference(right),
        _ => false,
    }
}

/// The name of an item without alias.
pub(super) fn of_item(item: &ast::Expr, scope: &Scope, before: &[Item<'_>]) -> Option<String> {
    if of_records(scope) && !is_reference(item) {
        let numbered = before.iter().filter(|item| item.name.starts_with(UNNAMED));
        return Some(format!("{UNNAMED}{}", numbered.count()));
    }
    let ast::ExprKind::Name(name) = &item.kind else { return None };
    let [table, column] = name.parts.as_slice() else { return None };
    let Found::One(table) = scope.table(&table.text) else { return None };
    let table = &scope.tables[table];
    let names = scope.columns[table.columns.clone()].iter().map(|c| c.name.as_str());
    let Found::One(at) = find(&column.text, names) else { return None };
    let shared = scope.columns.iter().enumerate().any(|(other, c)| {
        !table.columns.contains(&other) && visible(&c.name) && same_name(&c.name, &column.text)
    });
    (shared && is_join(scope)).then(|| prefixed(scope, table, table.columns.start + at))?
}

fn prefixed(scope: &Scope, table: &ScopeTable, at: usize) -> Option<String> {
    Some(format!("{}_{}", table.name.as_ref()?.text, scope.columns[at].name))
}

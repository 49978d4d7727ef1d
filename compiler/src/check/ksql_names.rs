//! Names of the columns of a join as ksqlDB gives them: `*` puts the relation's name in front of
//! each, and so does a column without alias that another relation has, too.

use super::from::same_name;
use super::record_time::ROWTIME;
use super::scope::{Found, Scope, ScopeTable, find, visible};
use crate::syntax::ast;

/// Whether several streams and tables that are declared as ksqlDB does are joined.
fn is_join(scope: &Scope) -> bool {
    let has_time = |table: &ScopeTable| {
        scope.columns[table.columns.clone()].iter().any(|column| column.name == ROWTIME)
    };
    scope.tables.len() > 1 && scope.tables.iter().all(|table| table.level == 0 && has_time(table))
}

/// The name of a column that `*` stands for.
pub(super) fn starred(scope: &Scope, at: usize) -> Option<String> {
    let table = scope.tables.iter().find(|table| table.columns.contains(&at))?;
    is_join(scope).then(|| prefixed(scope, table, at))?
}

/// The name of an item without alias.
pub(super) fn of_item(item: &ast::Expr, scope: &Scope) -> Option<String> {
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

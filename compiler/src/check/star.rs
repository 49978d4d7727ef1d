//! `*`, `t.*`, and `r.*` where `r` is a ROW, as items; EXCLUDE, REPLACE and RENAME.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};

use super::Checker;
use super::expr::ExprCx;
use super::ksql_names;
use super::scope::{Found, Scope, find, visible};
use super::select::{Item, Value};
use super::window_rows::column_or_window;
use crate::diagnostics::{names, types};
use crate::syntax::ast::{self, Ident, ObjectName, SelectItem, SelectItemKind};

/// A column or field that `*` stands for.
struct Part {
    name: String,
    /// `None` is poisoned.
    value: Option<Expr>,
    declared: Option<Span>,
}

/// The row of a relation that is named like a column, where no column has the name.
pub(super) fn whole_row(name: &ObjectName, scope: &Scope) -> Option<Expr> {
    let name = name.as_single()?;
    let (Found::None, Found::One(table)) = (scope.bare(&name.text), scope.table(&name.text)) else {
        return None;
    };
    let table = scope.tables.get(table).filter(|table| table.level == 0)?;
    let columns = table.columns.clone().filter(|at| {
        let column = &scope.columns[*at];
        visible(&column.name) && !column.poisoned
    });
    let part = |at: usize| {
        let column = &scope.columns[at];
        let value = Expr::column(at, column.ty.clone(), name.span);
        (Field::new(column.name.clone(), column.ty.clone()), value)
    };
    let (fields, values): (Vec<Field>, Vec<Expr>) = columns.map(part).unzip();
    let ty = Type::not_null(DataType::Row(fields.into()));
    Some(Expr { kind: ExprKind::Row(values), ty, span: name.span })
}

impl Checker<'_> {
    /// The items that a wildcard stands for.
    pub(super) fn starred<'s>(
        &mut self,
        item: &'s SelectItem,
        scope: &Scope,
    ) -> Option<Vec<Item<'s>>> {
        let SelectItemKind::Wildcard { qualifier, row, exclude, replace, rename } = &item.kind
        else {
            return Some(Vec::new());
        };
        let parts = match (row, qualifier) {
            (Some(row), _) => self.fields_of(row, item.span, scope)?,
            (None, Some(name)) if self.is_row(name, scope) => {
                let kind = ast::ExprKind::Name(name.clone());
                let row = ast::Expr { kind, span: name.span() };
                self.fields_of(&row, item.span, scope)?
            }
            (None, name) => self.columns_of(name.as_ref(), item.span, scope)?,
        };
        let listed = exclude.iter().chain(replace.iter().map(|(_, name)| name));
        self.known_parts(listed.chain(rename.iter().map(|(name, _)| name)), &parts)?;
        let mut items = Vec::with_capacity(parts.len());
        for part in parts {
            let is = |name: &Ident| name.text.eq_ignore_ascii_case(&part.name);
            if exclude.iter().any(is) {
                continue;
            }
            let value = match replace.iter().find(|(_, name)| is(name)) {
                Some((written, _)) => Value::Written(written),
                None => Value::Column(part.value),
            };
            let renamed = rename.iter().find(|(name, _)| is(name)).map(|(_, to)| to);
            let named = renamed.map_or(part.declared, |to| Some(to.span));
            let name = renamed.map_or(part.name, |to| to.text.clone());
            items.push(Item { name, value, named, aliased: true });
        }
        Some(items)
    }

    /// Whether what stands before `.*` begins with a column rather than with a relation.
    fn is_row(&self, name: &ObjectName, scope: &Scope) -> bool {
        let first = &name.parts[0].text;
        match scope.table(first) {
            Found::None => matches!(scope.bare(first), Found::One(_)),
            Found::One(_) | Found::Many(_) => name.parts.len() > 1,
        }
    }

    /// The fields of a ROW.
    fn fields_of(&mut self, row: &ast::Expr, span: Span, scope: &Scope) -> Option<Vec<Part>> {
        let row = self.expr(row, &mut ExprCx::rows(scope, "SELECT"))?;
        let DataType::Row(fields) = row.ty.data.clone() else {
            return self.report(types::no_parts("fields", &row.ty, row.span));
        };
        let mut parts = Vec::with_capacity(fields.len());
        for field in fields.iter() {
            let name = Ident { text: field.name.clone(), quoted: true, span: row.span };
            let value = Some(self.field(row.clone(), &name)?);
            parts.push(Part { name: field.name.clone(), value, declared: Some(span) });
        }
        Some(parts)
    }

    /// The columns of `*` or `t.*`.
    fn columns_of(
        &mut self,
        qualifier: Option<&ObjectName>,
        span: Span,
        scope: &Scope,
    ) -> Option<Vec<Part>> {
        let at = self.wildcard(qualifier, scope)?;
        let part = |at: usize| {
            let column = &scope.columns[at];
            let value = (!column.poisoned).then(|| column_or_window(scope, at, span));
            let name = ksql_names::starred(scope, at).unwrap_or_else(|| column.name.clone());
            Part { name, value, declared: column.declared }
        };
        Some(at.into_iter().map(part).collect())
    }

    fn wildcard(&mut self, qualifier: Option<&ObjectName>, scope: &Scope) -> Option<Vec<usize>> {
        let shown = |at: &usize| visible(&scope.columns[*at].name);
        let Some(qualifier) = qualifier else {
            let own = |at: &usize| scope.columns[*at].bare && scope.columns[*at].level == 0;
            let mut all: Vec<usize> = (0..scope.columns.len()).filter(own).filter(shown).collect();
            // The common columns of the last join by USING come first.
            all.sort_by_key(|at| std::cmp::Reverse(scope.columns[*at].shared));
            return Some(all);
        };
        match scope.table(&qualifier.last().text) {
            Found::One(table) => Some(scope.tables[table].columns.clone().filter(shown).collect()),
            Found::None | Found::Many(_) => {
                let named = scope.tables.iter().filter_map(|t| t.name.as_ref());
                let known: Vec<String> = named.map(|n| n.text.clone()).collect();
                let name = qualifier.to_string();
                self.report(names::unknown_alias(&name, qualifier.span(), &known))
            }
        }
    }

    /// Refuses names in EXCLUDE, REPLACE and RENAME that are none of the parts.
    fn known_parts<'i>(
        &mut self,
        listed: impl Iterator<Item = &'i Ident>,
        parts: &[Part],
    ) -> Option<()> {
        let known: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
        for name in listed {
            if find(&name.text, known.iter().map(String::as_str)) == Found::None {
                return self.report(names::unknown_column(&name.text, name.span, &known));
            }
        }
        Some(())
    }
}

//! WITH. A table of a subquery's WITH that reads columns of the queries around it is none by
//! itself: wherever it is named, its query stands in FROM in its place.

use flow_ir::span::Span;

use super::Checker;
use super::derived::outer_name;
use super::scope::{Found, find};
use super::subquery::Outer;
use super::typed::QueryId;
use crate::diagnostics::{Diagnostic, names, plans};
use crate::syntax::ast::{self, Ident, ObjectName, With};

/// A table of WITH.
#[derive(Clone, Debug)]
pub(super) struct Cte {
    pub name: Ident,
    /// Its rows; none where it failed, or where it is written.
    pub query: Option<QueryId>,
    /// What stands in its place.
    written: Option<Box<Written>>,
}

/// A query that reads columns of the queries around.
#[derive(Clone, Debug)]
struct Written {
    query: ast::Query,
    /// Names for its columns.
    columns: Vec<Ident>,
    /// How many tables of WITH are in its reach: those before it.
    reach: usize,
}

impl Checker<'_> {
    /// The tables of WITH, of a subquery with the queries around it.
    pub(super) fn with(&mut self, with: &With, outer: Option<&Outer>) {
        if with.recursive {
            self.found.push(plans::not_available("WITH RECURSIVE", with.span, None));
        }
        let first = self.ctes.len();
        for table in &with.tables {
            let name = &table.name;
            if self.ctes[first..].iter().any(|cte| name.text == cte.name.text) {
                let first = with.tables.iter().find(|t| t.name.text == name.text);
                let first = first.map_or(with.span, |t| t.name.span);
                self.found.push(names::declared_twice(&name.text, name.span, first));
            }
            let told = self.found.len();
            let query = self.query(&table.query).and_then(|query| self.cte_columns(query, table));
            let failed = self.found[told..].iter().any(Diagnostic::is_error);
            let written = outer.filter(|_| failed).and_then(|outer| {
                let mistakes = self.found.split_off(told);
                if self.reads_around(&table.query, outer) {
                    let (query, columns) = (table.query.clone(), table.columns.clone());
                    let reach = self.ctes.len();
                    return Some(Box::new(Written { query, columns, reach }));
                }
                if self.found.len() == told {
                    self.found.extend(mistakes);
                }
                None
            });
            let query = query.filter(|_| written.is_none());
            self.note_cte(name.span, name, query);
            self.ctes.push(Cte { name: name.clone(), query, written });
        }
    }

    fn cte_columns(&mut self, query: QueryId, table: &ast::Cte) -> Option<QueryId> {
        if table.columns.is_empty() {
            return Some(query);
        }
        let place = format!("{} in WITH", table.name);
        self.rename(query, &table.columns, &place, table.name.span)
    }

    /// Whether a query is right where columns of the queries around can be named, and names some.
    fn reads_around(&mut self, query: &ast::Query, outer: &Outer) -> bool {
        let told = self.found.len();
        let read = std::mem::take(&mut self.outer_used);
        let outer = Outer { pull: false, defaults: false, ..outer.clone() };
        let body = self.body(query, Some(outer));
        let used = std::mem::replace(&mut self.outer_used, read);
        let right = body.is_some() && !self.found[told..].iter().any(Diagnostic::is_error);
        if right {
            self.found.truncate(told);
        }
        right && !used.is_empty()
    }

    /// The innermost table of WITH of a name.
    fn cte_named(&self, name: &ObjectName) -> Option<usize> {
        let single = name.as_single()?;
        let innermost = self.ctes.iter().rev().map(|cte| cte.name.text.as_str());
        let at = match find(&single.text, innermost) {
            Found::One(at) => at,
            Found::Many(all) => *all.first()?,
            Found::None => return None,
        };
        Some(self.ctes.len() - 1 - at)
    }

    /// The rows of a table of WITH; the outer `None` where it has not this name.
    pub(super) fn cte(&mut self, name: &ObjectName) -> Option<Option<QueryId>> {
        let at = self.cte_named(name)?;
        let Cte { name: cte, query, written } = self.ctes[at].clone();
        self.note_cte(name.span(), &cte, query);
        if written.is_some() {
            let what = "a table of WITH that reads columns around it, in this place";
            return Some(self.report(plans::not_available(what, name.span(), None)));
        }
        Some(query)
    }

    /// The query that stands for a table of WITH in FROM, and the columns of the queries around
    /// that it reads, which are its last ones; the outer `None` where it is another table.
    pub(super) fn cte_in_place(
        &mut self,
        name: &ObjectName,
        span: Span,
    ) -> Option<Option<(QueryId, Vec<usize>)>> {
        let at = self.cte_named(name)?;
        let written = self.ctes[at].written.clone()?;
        let behind = self.ctes.split_off(written.reach);
        let read = self.from_query(&written.query);
        self.ctes.extend(behind);
        let Some((query, outer)) = read else { return Some(None) };
        if written.columns.is_empty() {
            return Some(Some((query, outer)));
        }
        let place = format!("{} in WITH", name.last());
        let mut columns = written.columns;
        columns.extend((0..outer.len()).map(|at| outer_name(at, span)));
        Some(self.rename(query, &columns, &place, span).map(|query| (query, outer)))
    }
}

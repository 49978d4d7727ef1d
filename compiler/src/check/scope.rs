//! What names mean inside one SELECT: the relations of FROM, side by side, and their columns by
//! position. An exact-case match wins, else a unique case-blind one.

use std::ops::Range;

use flow_ir::expr::Expr;
use flow_ir::physical::Changelog;
use flow_ir::span::Span;
use flow_ir::types::Type;

use super::Checker;
use super::typed::{QueryId, QueryOp};
use crate::diagnostics::names;
use crate::syntax::ast::{Ident, ObjectName};

/// The result of looking a name up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing fits.
    None,
    /// The position of what is meant.
    One(usize),
    /// Several fit equally.
    Many(Vec<usize>),
}

/// Looks a name up among others.
pub(super) fn find<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Found {
    let mut exact = Vec::new();
    let mut blind = Vec::new();
    for (at, candidate) in known.enumerate() {
        if candidate == name {
            exact.push(at);
        } else if candidate.to_lowercase() == name.to_lowercase() {
            blind.push(at);
        }
    }
    match (exact.as_slice(), blind.as_slice()) {
        ([one], _) | ([], [one]) => Found::One(*one),
        ([], []) => Found::None,
        ([], _) => Found::Many(blind),
        _ => Found::Many(exact),
    }
}

/// A column in scope.
#[derive(Clone, Debug)]
pub(super) struct ScopeColumn {
    pub name: String,
    pub ty: Type,
    /// Its expression failed and was reported.
    pub poisoned: bool,
    /// Whether its bare name and `*` reach it; not for the right column of USING.
    pub bare: bool,
    /// Whether it is event time.
    pub event_time: bool,
    /// Where it is named; only when somebody asks.
    pub declared: Option<Span>,
    /// Whose it is: 0 for the query's own relations, 1 for those of the query around it, and so on.
    pub level: usize,
    /// Which join by USING made it stand for the columns of both sides, counted from 1; 0: none.
    pub shared: usize,
}

/// A relation of FROM.
#[derive(Clone, Debug)]
pub(super) struct ScopeTable {
    /// Its alias or name; none for an unnamed subquery.
    pub name: Option<Ident>,
    /// Its columns, as positions in `Scope::columns`.
    pub columns: Range<usize>,
    /// As `ScopeColumn::level`.
    pub level: usize,
}

/// The relations of FROM and their columns, from left to right.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub tables: Vec<ScopeTable>,
    pub columns: Vec<ScopeColumn>,
    /// What ROWKEY means: by what the rows of a join are joined.
    pub row_key: Option<Expr>,
}

impl Scope {
    /// Puts another scope to the right of this one.
    pub(super) fn append(&mut self, other: Scope) {
        let base = self.columns.len();
        self.columns.extend(other.columns);
        self.tables.extend(other.tables.into_iter().map(|table| ScopeTable {
            columns: table.columns.start + base..table.columns.end + base,
            ..table
        }));
    }

    /// Keeps the first columns, and the relations that they are of.
    pub(super) fn truncate(&mut self, columns: usize) {
        self.columns.truncate(columns);
        self.tables.retain(|table| table.columns.end <= columns);
    }

    fn column_names(&self, range: Range<usize>) -> Vec<String> {
        let columns = self.columns.get(range).unwrap_or(&[]);
        columns.iter().filter(|c| visible(&c.name)).map(|c| c.name.clone()).collect()
    }

    /// `table.column` where the column's table has a name, for messages.
    fn full_name(&self, column: usize) -> String {
        let table = self.tables.iter().find(|t| t.columns.contains(&column));
        let name = self.columns.get(column).map_or("", |c| c.name.as_str());
        match table.and_then(|t| t.name.as_ref()) {
            Some(table) => format!("{table}.{name}"),
            None => name.to_string(),
        }
    }

    /// Names of the columns that a bare name reaches.
    pub(super) fn bare_names(&self) -> Vec<String> {
        let reached = self.columns.iter().filter(|c| c.bare && visible(&c.name));
        reached.map(|c| c.name.clone()).collect()
    }

    /// Looks a bare column name up: the innermost query that has it counts.
    pub(super) fn bare(&self, name: &str) -> Found {
        let reached = |c: &ScopeColumn| c.bare && visible(&c.name);
        self.nearest(name, self.columns.iter().map(|c| (c.level, reached(c).then_some(&c.name))))
    }

    /// The column that Flink calls `EXPR$` and its number where a query leaves it without a name.
    fn numbered(&self, name: &str) -> Option<usize> {
        let (prefix, number) = name.split_once('$')?;
        let mut own = self.tables.iter().filter(|table| table.level == 0);
        let (table, None) = (own.next()?, own.next()) else { return None };
        let at = table.columns.start.checked_add(number.parse().ok()?)?;
        let is = prefix.eq_ignore_ascii_case("EXPR") && table.columns.contains(&at);
        (is && visible(&self.columns[at].name)).then_some(at)
    }

    /// Looks a relation up by its name, likewise.
    pub(super) fn table(&self, name: &str) -> Found {
        let names = self.tables.iter().map(|t| (t.level, t.name.as_ref().map(|n| &n.text)));
        self.nearest(name, names)
    }

    fn nearest<'n>(
        &self,
        name: &str,
        known: impl Iterator<Item = (usize, Option<&'n String>)> + Clone,
    ) -> Found {
        let outermost = self.columns.iter().map(|c| c.level).max().unwrap_or(0);
        let of = |level: usize| {
            let names = known.clone().map(move |(at, name)| name.filter(|_| at == level));
            find(name, names.map(|name| name.map_or("", String::as_str)))
        };
        (0..=outermost).map(of).find(|found| *found != Found::None).unwrap_or(Found::None)
    }

    /// The scope as a query inside of this one sees it: these columns, one level further out.
    pub(super) fn around(&self, used: &[usize]) -> Scope {
        let columns = used.iter().map(|&at| {
            let column = &self.columns[at];
            ScopeColumn { level: column.level + 1, ..column.clone() }
        });
        let tables = self.tables.iter().map(|table| {
            let first = used.partition_point(|at| *at < table.columns.start);
            let end = used.partition_point(|at| *at < table.columns.end);
            ScopeTable { columns: first..end, level: table.level + 1, ..table.clone() }
        });
        Scope { tables: tables.collect(), columns: columns.collect(), row_key: None }
    }

    fn in_table(&self, table: usize, name: &str) -> Found {
        let range = self.tables[table].columns.clone();
        match find(name, self.columns[range.clone()].iter().map(|c| c.name.as_str())) {
            Found::One(at) => Found::One(at + range.start),
            Found::Many(all) => Found::Many(all.iter().map(|at| at + range.start).collect()),
            Found::None => Found::None,
        }
    }
}

/// A column's name behind those of a catalog and a database, `catalog.database.table.column`, and
/// how many parts these are; `None` where the first part means something.
fn behind_catalog(name: &ObjectName, scope: &Scope) -> Option<(ObjectName, usize)> {
    let first = &name.parts[0].text;
    if scope.table(first) != Found::None || scope.bare(first) != Found::None {
        return None;
    }
    (1..name.parts.len().saturating_sub(1).min(3)).find_map(|before| {
        let Found::One(_) = scope.table(&name.parts[before].text) else { return None };
        Some((ObjectName { parts: name.parts[before..].to_vec() }, before))
    })
}

/// The checker's own columns begin with `$`.
pub(super) fn visible(name: &str) -> bool {
    !name.starts_with('$')
}

impl Checker<'_> {
    /// The scope of one relation: a query's columns under a name.
    pub(super) fn scope_of(&self, query: QueryId, name: Option<Ident>) -> Scope {
        let node = self.query_node(query);
        let appends = node.changelog == Changelog::Append;
        let columns: Vec<ScopeColumn> = node
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| ScopeColumn {
                name: column.name.clone(),
                ty: column.ty.clone(),
                poisoned: self.poisoned.contains(&(query, at)),
                bare: true,
                event_time: column.event_time && appends,
                declared: self.declared_at(query, at),
                level: 0,
                shared: 0,
            })
            .collect();
        let tables = vec![ScopeTable { name, columns: 0..columns.len(), level: 0 }];
        Scope { tables, columns, row_key: None }
    }

    /// The column that a dotted name begins with, and how many of its parts name it; the rest are
    /// fields. A poisoned column gives `None` without a word.
    pub(super) fn resolve(&mut self, name: &ObjectName, scope: &Scope) -> Option<(usize, usize)> {
        if let Some((inner, before)) = behind_catalog(name, scope) {
            let (at, used) = self.resolve(&inner, scope)?;
            return Some((at, used + before));
        }
        let (at, used) = match self.resolve_qualified(name, scope)? {
            Some(found) => found,
            None => (self.resolve_bare(name, scope)?, 1),
        };
        self.note_column(name, used, at, scope);
        if scope.columns[at].level > 0 {
            self.outer_used.insert(at);
        }
        (!scope.columns[at].poisoned).then_some((at, used))
    }

    /// `t.c…`; the inner `None` where the first part is no relation, or one without that column
    /// while a column has the name.
    fn resolve_qualified(
        &mut self,
        name: &ObjectName,
        scope: &Scope,
    ) -> Option<Option<(usize, usize)>> {
        let [first, second, ..] = name.parts.as_slice() else { return Some(None) };
        let table = match scope.table(&first.text) {
            Found::One(table) => table,
            Found::None => return Some(None),
            Found::Many(all) => {
                let all: Vec<String> = all
                    .iter()
                    .filter_map(|t| scope.tables[*t].name.as_ref())
                    .map(|n| n.text.clone())
                    .collect();
                return self.report(names::ambiguous("the name", &first.text, first.span, &all));
            }
        };
        match scope.in_table(table, &second.text) {
            Found::One(at) => Some(Some((at, 2))),
            Found::None if scope.bare(&first.text) != Found::None => Some(None),
            Found::None => {
                let known = scope.column_names(scope.tables[table].columns.clone());
                self.report(names::unknown_column_of(
                    &first.text,
                    &second.text,
                    second.span,
                    &known,
                ))
            }
            Found::Many(all) => {
                let all: Vec<String> = all.iter().map(|at| scope.full_name(*at)).collect();
                self.report(names::ambiguous("the column", &second.text, second.span, &all))
            }
        }
    }

    fn resolve_bare(&mut self, name: &ObjectName, scope: &Scope) -> Option<usize> {
        let first = &name.parts[0];
        match scope.bare(&first.text) {
            Found::One(at) => Some(at),
            Found::Many(all) => {
                let all: Vec<String> = all.iter().map(|at| scope.full_name(*at)).collect();
                self.report(names::ambiguous("the column", &first.text, first.span, &all))
            }
            Found::None if name.parts.len() > 1 => {
                let named = scope.tables.iter().filter_map(|t| t.name.as_ref());
                let known: Vec<String> = named.map(|n| n.text.clone()).collect();
                self.report(names::unknown_alias(&first.text, first.span, &known))
            }
            Found::None if scope.numbered(&first.text).is_some() => scope.numbered(&first.text),
            Found::None => {
                let known = scope.bare_names();
                let text = self.sources.text(first.span);
                self.report(if text.starts_with('"') {
                    names::quoted_string(&first.text, first.span, &known)
                } else {
                    names::unknown_column(&first.text, first.span, &known)
                })
            }
        }
    }

    /// Reports relations of one name on both sides of a join.
    pub(super) fn unique_tables(&mut self, left: &Scope, right: &Scope) -> Option<()> {
        let named = |scope: &Scope| -> Vec<Ident> {
            let own = scope.tables.iter().filter(|t| t.level == 0);
            own.filter_map(|t| t.name.clone()).collect()
        };
        let left = named(left);
        for name in named(right) {
            if let Some(first) = left.iter().find(|n| n.text == name.text) {
                return self.report(names::duplicate_alias(&name.text, name.span, first.span));
            }
        }
        Some(())
    }

    /// Reports names that a query gives to two columns.
    pub(super) fn unique_names(&mut self, query: QueryId, place: &str, span: Span) {
        let columns = &self.query_node(query).columns;
        let twice = columns.iter().enumerate().find_map(|(at, column)| {
            let first = columns[..at].iter().position(|c| c.name == column.name)?;
            Some((column.name.clone(), first, at))
        });
        if let Some((name, first, second)) = twice {
            let (first, second) = (self.item(query, first), self.item(query, second));
            let at = second.unwrap_or(span);
            self.found.push(names::duplicate_column(&name, place, at, first));
        }
    }

    /// The item of a SELECT that gives a query's column; of the first SELECT of a union.
    fn item(&self, mut query: QueryId, column: usize) -> Option<Span> {
        loop {
            match &self.query_node(query).op {
                QueryOp::Project { exprs, .. } => return Some(exprs[column].span),
                QueryOp::Filter { input, .. } => query = *input,
                QueryOp::UnionAll(inputs) => query = *inputs.first()?,
                QueryOp::Scan(_)
                | QueryOp::Join(_)
                | QueryOp::Window(_)
                | QueryOp::Aggregate(_)
                | QueryOp::Unnest(_)
                | QueryOp::Deduplicate(_)
                | QueryOp::TopN(_)
                | QueryOp::Over(_) => return None,
            }
        }
    }
}

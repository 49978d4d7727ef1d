//! What a check found names and expressions to mean, for editors and shells. The checker notes it
//! on the way, only when asked; nothing in the compiler reads it, and no result depends on it.
//!
//! Always holds: every span lies in a file of the check's source map, or is the default span of a
//! name that nobody wrote.

use std::collections::HashMap;

use flow_ir::span::{FileId, Span};
use flow_ir::types::Type;

use super::from::plain_column;
use super::scope::{Scope, visible};
use super::typed::{QueryId, QueryOp, RelationId};
use super::{CheckOptions, Checker, Meaning, Named, check_with};
use crate::check::catalog::Catalog;
use crate::check::typed::TypedModule;
use crate::diagnostics::Diagnostic;
use crate::source::SourceMap;
use crate::syntax::ast::{self, Ast, Ident, ObjectName};

/// A place in a source file: the byte offset of a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The file.
    pub file: FileId,
    /// Bytes before the cursor.
    pub offset: u32,
}

/// What names and expressions mean.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Names that were looked up, and names where they are declared.
    pub names: Vec<NamedPlace>,
    /// Types of expressions.
    pub types: Vec<(Span, Type)>,
    /// Everything declared, in order, then the views that a server offers.
    pub relations: Vec<RelationNote>,
    /// The functions of the program, in order.
    pub functions: Vec<FunctionNote>,
    /// What the innermost query or expression around the cursor can name.
    pub scope: Option<ScopeNote>,
    cursor: Option<Cursor>,
    /// Where columns of query nodes are named, if not in their inputs.
    defined: HashMap<(QueryId, usize), Span>,
}

/// A name and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedPlace {
    /// Where it stands.
    pub span: Span,
    /// What it means.
    pub means: NameNote,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq)]
pub enum NameNote {
    /// A relation.
    Relation(RelationNote),
    /// A column.
    Column {
        /// The relation it is of, where that has a name.
        of: Option<String>,
        /// The column.
        column: ColumnNote,
    },
    /// A function of the program.
    Function(FunctionNote),
}

/// A function of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionNote {
    /// Its name.
    pub name: String,
    /// Its parameters and what it gives: `f(a INT) → INT`.
    pub usage: String,
    /// Where it is named.
    pub declared: Span,
}

/// Kinds of relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// CREATE STREAM, or a table without a key.
    Stream,
    /// CREATE TABLE with a key.
    Table,
    /// CREATE VIEW.
    View,
    /// A table of WITH.
    Cte,
    /// A relation of FROM under the name it has there.
    Alias,
}

/// A relation that a name can mean.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationNote {
    /// Its name.
    pub name: String,
    /// Which kind.
    pub kind: RelationKind,
    /// Its columns, those that only the checker knows left out; none if its declaration failed.
    pub columns: Vec<ColumnNote>,
    /// Where it is named.
    pub declared: Span,
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnNote {
    /// Its name.
    pub name: String,
    /// Its type; `None`: its expression failed.
    pub ty: Option<Type>,
    /// Whether the watermark holds for it.
    pub event_time: bool,
    /// Where it is named, or its relation where a registry named it.
    pub declared: Option<Span>,
}

/// What can be named at the cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeNote {
    /// The query or expression; of several around the cursor the smallest counts.
    pub span: Span,
    /// The relations of FROM, from left to right.
    pub tables: Vec<RelationNote>,
    /// The tables of WITH, innermost last.
    pub ctes: Vec<RelationNote>,
    /// Names of SELECT's items, where they count.
    pub aliases: Vec<String>,
}

/// Checks a program as `check` does, and tells what names mean.
pub fn check_noting(
    ast: &Ast,
    sources: &SourceMap,
    catalog: &dyn Catalog,
    options: &CheckOptions,
    cursor: Option<Cursor>,
) -> (TypedModule, Vec<Diagnostic>, Notes) {
    let notes = Notes { cursor, ..Notes::default() };
    let (module, found, notes) = check_with(ast, sources, catalog, options, Some(Box::new(notes)));
    (module, found, notes.map(|notes| *notes).unwrap_or_default())
}

impl Notes {
    fn concerns(&self, span: Span) -> bool {
        self.cursor.is_some_and(|cursor| {
            span.file == cursor.file && (span.start..=span.end).contains(&cursor.offset)
        })
    }

    /// Takes the scope if no smaller one is known around the cursor.
    fn keep_scope(&mut self, scope: ScopeNote) {
        let size = |scope: &ScopeNote| scope.span.end - scope.span.start;
        if self.scope.as_ref().is_none_or(|kept| size(&scope) <= size(kept)) {
            self.scope = Some(scope);
        }
    }
}

impl Checker<'_> {
    pub(super) fn note_type(&mut self, span: Span, ty: &Type) {
        if let Some(notes) = &mut self.notes {
            notes.types.push((span, ty.clone()));
        }
    }

    /// What an expression or query can name.
    pub(super) fn note_scope(
        &mut self,
        span: Span,
        scope: &Scope,
        aliases: &[(&Ident, &ast::Expr)],
    ) {
        if !self.notes.as_ref().is_some_and(|notes| notes.concerns(span)) {
            return;
        }
        let tables = (0..scope.tables.len()).map(|at| scope_table(scope, at)).collect();
        let ctes = self.ctes.iter().map(|cte| self.cte_note(&cte.name, cte.query)).collect();
        let aliases = aliases.iter().map(|(name, _)| name.text.clone()).collect();
        if let Some(notes) = &mut self.notes {
            notes.keep_scope(ScopeNote { span, tables, ctes, aliases });
        }
    }

    fn note_name(&mut self, span: Span, means: NameNote) {
        if let Some(notes) = &mut self.notes {
            notes.names.push(NamedPlace { span, means });
        }
    }

    /// A dotted name whose first parts are a column.
    pub(super) fn note_column(&mut self, name: &ObjectName, used: usize, at: usize, scope: &Scope) {
        if self.notes.is_none() {
            return;
        }
        let table = scope.tables.iter().position(|t| t.columns.contains(&at));
        if used > 1
            && let Some(table) = table
        {
            let relation = NameNote::Relation(scope_table(scope, table));
            self.note_name(name.parts[0].span, relation);
        }
        let of = table.and_then(|t| scope.tables[t].name.as_ref()).map(|n| n.text.clone());
        let means = NameNote::Column { of, column: scope_column(scope, at) };
        self.note_name(name.parts[used - 1].span, means);
    }

    /// A use of a declared name.
    pub(super) fn note_use(&mut self, name: &ObjectName, named: &Named) {
        if self.notes.is_some() {
            let relation = NameNote::Relation(self.named_note(named));
            self.note_name(name.last().span, relation);
        }
    }

    /// A use of a function, by position.
    pub(super) fn note_call(&mut self, used: Span, at: usize) {
        if self.notes.is_some() {
            let means = NameNote::Function(self.functions[at].note());
            self.note_name(used, means);
        }
    }

    /// A use of a table of WITH.
    pub(super) fn note_cte(&mut self, used: Span, cte: &Ident, query: Option<QueryId>) {
        if self.notes.is_some() {
            let relation = NameNote::Relation(self.cte_note(cte, query));
            self.note_name(used, relation);
        }
    }

    /// An alias of FROM, where it is written.
    pub(super) fn note_alias(&mut self, alias: &Ident, scope: &Scope) {
        if self.notes.is_some() && !scope.tables.is_empty() {
            self.note_name(alias.span, NameNote::Relation(scope_table(scope, 0)));
        }
    }

    /// A column of a relation, named outside an expression.
    pub(super) fn note_relation_column(&mut self, span: Span, id: RelationId, name: &str) {
        if self.notes.is_none() {
            return;
        }
        let relation = self.module.relation(id);
        let found = relation.columns.iter().find(|c| c.name == name).map(|c| ColumnNote {
            name: c.name.clone(),
            ty: Some(c.ty.clone()),
            event_time: false,
            declared: Some(c.span),
        });
        let of = Some(relation.stream.name.clone());
        if let Some(column) = found {
            self.note_name(span, NameNote::Column { of, column });
        }
    }

    /// Where the columns of a node are named.
    pub(super) fn note_defined(&mut self, query: QueryId, spans: &[Option<Span>]) {
        if let Some(notes) = &mut self.notes {
            let defined = spans.iter().enumerate().filter_map(|(at, span)| Some((at, (*span)?)));
            notes.defined.extend(defined.map(|(at, span)| ((query, at), span)));
        }
    }

    /// Where a column is named: in the node, or where its input has it from.
    pub(super) fn declared_at(&self, query: QueryId, at: usize) -> Option<Span> {
        let notes = self.notes.as_ref()?;
        if let Some(span) = notes.defined.get(&(query, at)) {
            return Some(*span);
        }
        match &self.query_node(query).op {
            QueryOp::Scan(id) => self.module.relation(*id).columns.get(at).map(|c| c.span),
            QueryOp::Project { input, exprs } => {
                self.declared_at(*input, plain_column(exprs.get(at)?)?)
            }
            QueryOp::Aggregate(aggregate) => {
                self.declared_at(aggregate.input, *aggregate.keys.get(at)?)
            }
            QueryOp::Join(join) => {
                let width = self.query_node(join.left).columns.len();
                match at.checked_sub(width) {
                    None => self.declared_at(join.left, at),
                    Some(at) => self.declared_at(join.right, at),
                }
            }
            QueryOp::Filter { .. }
            | QueryOp::Unnest(_)
            | QueryOp::Window(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::TopN(_)
            | QueryOp::Over(_)
            | QueryOp::UnionAll(_) => {
                let input = *self.query_node(query).inputs().first()?;
                let is_its = at < self.query_node(input).columns.len();
                if is_its { self.declared_at(input, at) } else { None }
            }
        }
    }

    /// At the end: everything declared, at its declaration.
    pub(super) fn note_declarations(&mut self) {
        if self.notes.is_none() {
            return;
        }
        self.read_unread();
        let readable = self.named.iter().filter(|n| !matches!(n.meaning, Meaning::Index));
        let mut relations: Vec<RelationNote> =
            readable.map(|named| self.named_note(named)).collect();
        for relation in &relations {
            self.note_name(relation.declared, NameNote::Relation(relation.clone()));
            for column in &relation.columns {
                let of = Some(relation.name.clone());
                let means = NameNote::Column { of, column: column.clone() };
                match column.declared {
                    Some(span) if span != relation.declared => self.note_name(span, means),
                    Some(_) | None => {}
                }
            }
        }
        let served = self.options.views.iter().enumerate().map(|(at, view)| {
            let (name, span) = (view.name.clone(), Span::default());
            self.named_note(&Named { name, span, meaning: Meaning::Served(at) })
        });
        relations.extend(served);
        let functions: Vec<FunctionNote> = self.functions.iter().map(|f| f.note()).collect();
        for function in &functions {
            self.note_name(function.declared, NameNote::Function(function.clone()));
        }
        if let Some(notes) = &mut self.notes {
            notes.relations = relations;
            notes.functions = functions;
        }
    }

    /// Finds the columns of what no statement reads; its mistakes are none of the program's.
    fn read_unread(&mut self) {
        for named in self.named.clone() {
            if let Meaning::Relation(id) = named.meaning
                && self.declared(id).open
            {
                let before = self.found.len();
                self.read(id, named.span);
                self.found.truncate(before);
            }
        }
    }

    fn named_note(&self, named: &Named) -> RelationNote {
        let (kind, columns) = match named.meaning {
            Meaning::Relation(id) => {
                let relation = self.module.relation(id);
                let time = relation.watermark.as_ref().map(|w| w.column);
                let columns = relation.columns.iter().enumerate().map(|(at, c)| ColumnNote {
                    name: c.name.clone(),
                    ty: Some(c.ty.clone()),
                    event_time: time == Some(at),
                    declared: Some(c.span),
                });
                let keyed = !relation.primary_key.is_empty();
                let kind = if keyed { RelationKind::Table } else { RelationKind::Stream };
                (kind, columns.collect())
            }
            Meaning::View(query) => (RelationKind::View, self.query_columns(query)),
            Meaning::Served(at) => {
                let columns = self.options.views[at].columns.iter().map(|field| ColumnNote {
                    name: field.name.clone(),
                    ty: Some(field.ty.clone()),
                    event_time: false,
                    declared: None,
                });
                (RelationKind::View, columns.collect())
            }
            Meaning::Index => (RelationKind::View, Vec::new()),
            Meaning::Poisoned => (RelationKind::Stream, Vec::new()),
        };
        RelationNote { name: named.name.clone(), kind, columns, declared: named.span }
    }

    fn cte_note(&self, name: &Ident, query: Option<QueryId>) -> RelationNote {
        let columns = query.map(|query| self.query_columns(query)).unwrap_or_default();
        let (kind, declared) = (RelationKind::Cte, name.span);
        RelationNote { name: name.text.clone(), kind, columns, declared }
    }

    fn query_columns(&self, query: QueryId) -> Vec<ColumnNote> {
        let columns = self.query_node(query).columns.iter().enumerate();
        let note = |(at, column): (usize, &super::typed::Column)| ColumnNote {
            name: column.name.clone(),
            ty: (!self.poisoned.contains(&(query, at))).then(|| column.ty.clone()),
            event_time: column.event_time,
            declared: self.declared_at(query, at),
        };
        columns.filter(|(_, column)| visible(&column.name)).map(note).collect()
    }
}

fn scope_column(scope: &Scope, at: usize) -> ColumnNote {
    let column = &scope.columns[at];
    ColumnNote {
        name: column.name.clone(),
        ty: (!column.poisoned).then(|| column.ty.clone()),
        event_time: false,
        declared: column.declared,
    }
}

fn scope_table(scope: &Scope, at: usize) -> RelationNote {
    let table = &scope.tables[at];
    let name = table.name.clone().unwrap_or_else(|| Ident {
        text: String::new(),
        quoted: false,
        span: Span::default(),
    });
    let shown = table.columns.clone().filter(|at| visible(&scope.columns[*at].name));
    let columns = shown.map(|at| scope_column(scope, at)).collect();
    RelationNote { name: name.text, kind: RelationKind::Alias, columns, declared: name.span }
}

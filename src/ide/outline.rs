//! What a file declares, in order, and where a name is declared.

use flow_compiler::check::notes::NameNote;
use flow_compiler::syntax::ast::{Ident, Statement, StatementKind, TableElement, TableKind};
use flow_ir::span::{FileId, Span};

use super::Analysis;
use super::hover::holds;

/// How many steps a name is followed: from a use over an alias to the declaration.
const STEPS_MAX: usize = 4;

/// Kinds of what an outline lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// CREATE STREAM.
    Stream,
    /// CREATE TABLE.
    Table,
    /// CREATE VIEW.
    View,
    /// CREATE FUNCTION.
    Function,
    /// CREATE INDEX.
    Index,
    /// INSERT, SELECT.
    Query,
    /// A column.
    Column,
}

/// A line of the outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// The whole of it.
    pub span: Span,
    /// Its name in the text.
    pub named: Span,
    /// What is in it.
    pub children: Vec<Symbol>,
}

/// What a file declares and runs.
pub fn symbols(analysis: &Analysis, file: FileId) -> Vec<Symbol> {
    let statements = analysis.ast.statements.iter().filter(|s| s.span.file == file);
    statements.flat_map(of_statement).collect()
}

fn of_statement(statement: &Statement) -> Vec<Symbol> {
    let span = statement.span;
    let one = |name: &Ident, kind, children| {
        vec![Symbol { name: name.text.clone(), kind, span, named: name.span, children }]
    };
    match &statement.kind {
        StatementKind::CreateTable(create) => {
            let kind = match create.kind {
                TableKind::Stream => SymbolKind::Stream,
                TableKind::Table => SymbolKind::Table,
            };
            let elements = create.elements.as_deref().unwrap_or(&[]);
            one(create.name.last(), kind, elements.iter().filter_map(column).collect())
        }
        StatementKind::CreateView(create) => one(create.name.last(), SymbolKind::View, Vec::new()),
        StatementKind::CreateIndex(create) => {
            one(create.name.last(), SymbolKind::Index, Vec::new())
        }
        StatementKind::CreateFunction(create) => {
            one(create.name.last(), SymbolKind::Function, Vec::new())
        }
        StatementKind::Insert(insert) => inserts(std::slice::from_ref(&**insert)),
        StatementKind::StatementSet(all) => inserts(all),
        StatementKind::Query(_) => vec![Symbol {
            name: "SELECT".into(),
            kind: SymbolKind::Query,
            span,
            named: span,
            children: Vec::new(),
        }],
        // What only looks, sets or drops declares nothing.
        StatementKind::Subscribe(_)
        | StatementKind::CreateType(_)
        | StatementKind::Change(_)
        | StatementKind::Explain { .. }
        | StatementKind::AnalyzeJob(_)
        | StatementKind::Control { .. }
        | StatementKind::Show { .. }
        | StatementKind::Describe { .. }
        | StatementKind::DescribeFunction { .. }
        | StatementKind::Drop { .. }
        | StatementKind::Set(_)
        | StatementKind::Reset(_)
        | StatementKind::Import(_)
        | StatementKind::Print { .. } => Vec::new(),
    }
}

fn inserts(all: &[flow_compiler::syntax::ast::Insert]) -> Vec<Symbol> {
    let symbol = |insert: &flow_compiler::syntax::ast::Insert| Symbol {
        name: format!("INSERT INTO {}", insert.table),
        kind: SymbolKind::Query,
        span: insert.span,
        named: insert.table.span(),
        children: Vec::new(),
    };
    all.iter().map(symbol).collect()
}

fn column(element: &TableElement) -> Option<Symbol> {
    let TableElement::Column(column) = element else { return None };
    let (name, named) = (column.name.text.clone(), column.name.span);
    let kind = SymbolKind::Column;
    Some(Symbol { name, kind, span: column.span, named, children: Vec::new() })
}

/// Where the name at a byte offset of a file is declared.
pub fn declaration(analysis: &Analysis, file: FileId, offset: usize) -> Option<Span> {
    let names = &analysis.notes.names;
    let around = names.iter().filter(|n| holds(n.span, file, offset));
    let found = around.min_by_key(|n| (n.span.end - n.span.start, n.span.start))?;
    let mut at = declared(&found.means)?;
    // A relation without an alias is named in FROM; the name there leads on.
    for _ in 0..STEPS_MAX {
        let next = names.iter().find(|n| n.span == at && declared(&n.means) != Some(at));
        let is_relation = matches!(found.means, NameNote::Relation(_));
        match next.filter(|_| is_relation).and_then(|n| declared(&n.means)) {
            Some(next) => at = next,
            None => break,
        }
    }
    (at != Span::default()).then_some(at)
}

fn declared(means: &NameNote) -> Option<Span> {
    match means {
        NameNote::Relation(relation) => Some(relation.declared),
        NameNote::Column { column, .. } => column.declared,
        NameNote::Function(function) => Some(function.declared),
    }
}

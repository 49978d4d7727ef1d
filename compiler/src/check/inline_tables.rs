//! `CREATE TABLE t (a INT, …)` without a connector: what the program inserts into it, all together,
//! in the types of its columns. So programs that bring their rows with them need no topic.

use super::from::same_name;
use super::inline_rows::{Contents, asks};
use crate::syntax::ast::{
    Ast, ColumnDef, ColumnKind, CreateTable, CreateView, Expr, Ident, Insert, ObjectName, Query,
    SetExpr, SetExprKind, Statement, StatementKind, TableElement, TypeExpr,
};

/// The program with such tables as views of what is inserted; `None` where it has none.
pub(super) fn expand(ast: &Ast) -> Option<Ast> {
    let tables: Vec<(usize, &CreateTable, Columns<'_>)> = ast
        .statements
        .iter()
        .enumerate()
        .filter_map(|(at, statement)| match &statement.kind {
            StatementKind::CreateTable(create) => Some((at, &**create, columns_of(create)?)),
            _ => None,
        })
        .collect();
    let mut expanded: Vec<Option<Statement>> = ast.statements.iter().cloned().map(Some).collect();
    let mut any = false;
    for (at, create, columns) in tables {
        let later = &ast.statements[at + 1..];
        let end =
            later.iter().position(|s| ends(s, create)).map_or(ast.statements.len(), |n| at + 1 + n);
        let mut place = at;
        let mut table = Contents::of(create, &columns);
        let mut taken = Vec::new();
        for (at, statement) in ast.statements.iter().enumerate().take(end).skip(at + 1) {
            match &statement.kind {
                StatementKind::Insert(insert) if takes(insert, create) => {
                    table.insert(insert);
                    place = if reads(&insert.query) { at } else { place };
                }
                StatementKind::Change(change) if is_of(&change.table, create) => {
                    table.change(change);
                    place = if asks(change) { at } else { place };
                }
                _ => continue,
            }
            taken.push(at);
        }
        let Some(query) = table.query() else { continue };
        for at in taken {
            expanded[at] = None;
        }
        expanded[at] = None;
        let span = ast.statements[at].span;
        let view = view_of(create, query);
        expanded[place] = Some(Statement { kind: StatementKind::CreateView(Box::new(view)), span });
        any = true;
    }
    any.then(|| Ast { statements: expanded.into_iter().flatten().collect() })
}

/// The columns of such a table.
pub(super) struct Columns<'a> {
    /// Those that are inserted.
    pub plain: Vec<(&'a Ident, &'a TypeExpr)>,
    /// All, with what the others are computed by.
    pub all: Vec<(&'a Ident, Option<&'a Expr>)>,
    /// The primary key.
    pub key: Vec<&'a Ident>,
}

/// The columns of a declaration that has nothing else, but a watermark: such rows have no time.
fn columns_of(create: &CreateTable) -> Option<Columns<'_>> {
    let CreateTable { source: false, like: None, query: None, .. } = create else { return None };
    if !create.options.is_empty() || !create.partitioned_by.is_empty() {
        return None;
    }
    let mut columns = Columns { plain: Vec::new(), all: Vec::new(), key: Vec::new() };
    for element in create.elements.as_ref()? {
        match element {
            TableElement::Column(ColumnDef { record_key: Some(_), .. }) => return None,
            TableElement::Column(ColumnDef { name, kind, primary_key, .. }) => match kind {
                ColumnKind::Physical(ty) => {
                    columns.plain.push((name, ty));
                    columns.all.push((name, None));
                    columns.key.extend(primary_key.map(|_| name));
                }
                ColumnKind::Computed(expr) => columns.all.push((name, Some(expr))),
                ColumnKind::Metadata { .. } | ColumnKind::Headers { .. } => return None,
            },
            TableElement::PrimaryKey(key) => columns.key.extend(&key.columns),
            TableElement::Watermark(_) => {}
        }
    }
    Some(columns)
}

/// Whether a statement ends the life of the table.
fn ends(statement: &Statement, create: &CreateTable) -> bool {
    match &statement.kind {
        StatementKind::CreateTable(other) => is_of(&other.name, create),
        StatementKind::Drop { name, .. } => is_of(name, create),
        _ => false,
    }
}

fn is_of(name: &ObjectName, create: &CreateTable) -> bool {
    same_name(&name.last().text, &create.name.last().text)
}

fn takes(insert: &Insert, create: &CreateTable) -> bool {
    let plain = !insert.overwrite && insert.partition.is_empty();
    plain && is_of(&insert.table, create)
}

/// Whether a query may read another relation.
fn reads(query: &Query) -> bool {
    match &query.body.kind {
        SetExprKind::Values(_) => false,
        SetExprKind::Select(select) => !select.from.is_empty(),
        SetExprKind::Table(_) | SetExprKind::Query(_) | SetExprKind::SetOp { .. } => true,
    }
}

fn view_of(create: &CreateTable, body: SetExpr) -> CreateView {
    CreateView {
        materialized: false,
        temporary: create.temporary,
        or_replace: create.or_replace,
        if_not_exists: create.if_not_exists,
        name: create.name.clone(),
        columns: Vec::new(),
        comment: create.comment.clone(),
        options: Vec::new(),
        query: Query::of(body),
    }
}

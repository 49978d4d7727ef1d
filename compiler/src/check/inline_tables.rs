//! `CREATE TABLE t (a INT, …)` without a connector: what the program inserts into it, all together,
//! in the types of its columns. So programs that bring their rows with them need no topic.

use super::from::same_name;
use crate::syntax::ast::{
    Ast, ColumnDef, ColumnKind, CreateTable, CreateView, Distinct, Expr, ExprKind, Ident, Insert,
    Literal, ObjectName, Query, Select, SelectItem, SelectItemKind, SetExpr, SetExprKind, SetOp,
    Statement, StatementKind, TableAlias, TableElement, TableFactor, TableFactorKind, TableRef,
    TypeExpr,
};

/// The program with such tables as views of what is inserted; `None` where it has none.
pub(super) fn expand(ast: &Ast) -> Option<Ast> {
    let tables: Vec<(usize, &CreateTable, Vec<(&Ident, &TypeExpr)>)> = ast
        .statements
        .iter()
        .enumerate()
        .filter_map(|(at, statement)| match &statement.kind {
            StatementKind::CreateTable(create) => Some((at, &**create, plain_columns(create)?)),
            _ => None,
        })
        .collect();
    let mut expanded: Vec<Option<Statement>> = ast.statements.iter().cloned().map(Some).collect();
    let mut any = false;
    for (at, create, columns) in tables {
        let into = |statement: &Statement| match &statement.kind {
            StatementKind::Insert(insert) => takes(insert, create).then(|| (**insert).clone()),
            _ => None,
        };
        let later = &ast.statements[at + 1..];
        let end =
            later.iter().position(|s| ends(s, create)).map_or(ast.statements.len(), |n| at + 1 + n);
        let inserts: Vec<(usize, Insert)> =
            (at..end).filter_map(|at| Some((at, into(&ast.statements[at])?))).collect();
        let Some((last, _)) = inserts.last() else { continue };
        let reads = inserts.iter().any(|(_, insert)| reads(&insert.query));
        let place = if reads { *last } else { at };
        let query = inserts.iter().map(|(_, insert)| rows(insert, &columns));
        let Some(query) = query.reduce(both) else { continue };
        for (at, _) in &inserts {
            expanded[*at] = None;
        }
        expanded[at] = None;
        let span = ast.statements[at].span;
        let view = view_of(create, query);
        expanded[place] = Some(Statement { kind: StatementKind::CreateView(Box::new(view)), span });
        any = true;
    }
    any.then(|| Ast { statements: expanded.into_iter().flatten().collect() })
}

/// The columns of a declaration that has nothing else.
fn plain_columns(create: &CreateTable) -> Option<Vec<(&Ident, &TypeExpr)>> {
    let CreateTable { source: false, like: None, query: None, .. } = create else { return None };
    if !create.options.is_empty() || !create.partitioned_by.is_empty() {
        return None;
    }
    let mut columns = Vec::new();
    for element in create.elements.as_ref()? {
        match element {
            TableElement::Column(ColumnDef {
                name,
                kind: ColumnKind::Physical(ty),
                record_key: None,
                ..
            }) => columns.push((name, ty)),
            TableElement::PrimaryKey(_) => {}
            TableElement::Column(_) | TableElement::Watermark(_) => return None,
        }
    }
    Some(columns)
}

/// Whether a statement ends the life of the table.
fn ends(statement: &Statement, create: &CreateTable) -> bool {
    let is = |name: &ObjectName| same_name(&name.last().text, &create.name.last().text);
    match &statement.kind {
        StatementKind::CreateTable(other) => is(&other.name),
        StatementKind::Drop { name, .. } => is(name),
        _ => false,
    }
}

fn takes(insert: &Insert, create: &CreateTable) -> bool {
    let plain = !insert.overwrite && insert.partition.is_empty();
    plain && same_name(&insert.table.last().text, &create.name.last().text)
}

/// Whether a query may read another relation.
fn reads(query: &Query) -> bool {
    match &query.body.kind {
        SetExprKind::Values(_) => false,
        SetExprKind::Select(select) => !select.from.is_empty(),
        SetExprKind::Table(_) | SetExprKind::Query(_) | SetExprKind::SetOp { .. } => true,
    }
}

/// The rows of an INSERT in the columns of its table, what it leaves out as NULL.
fn rows(insert: &Insert, columns: &[(&Ident, &TypeExpr)]) -> SetExpr {
    let span = insert.query.span;
    let all = || columns.iter().map(|(name, _)| (*name).clone()).collect();
    let named: Vec<Ident> = match insert.columns.is_empty() {
        true => all(),
        false => insert.columns.clone(),
    };
    let item = |(name, ty): &(&Ident, &TypeExpr)| {
        let given = named.iter().find(|given| same_name(&given.text, &name.text));
        let kind = match given {
            Some(given) => ExprKind::Name(ObjectName::single(given.clone())),
            None => ExprKind::Literal(Literal::Null),
        };
        let arg = Box::new(Expr { kind, span });
        let kind = ExprKind::Cast { arg, ty: (*ty).clone(), lenient: false, colons: false };
        let kind = SelectItemKind::Expr { expr: Expr { kind, span }, alias: Some((*name).clone()) };
        SelectItem { kind, span }
    };
    let items = columns.iter().map(item).collect();
    let alias = TableAlias { name: insert.table.last().clone(), columns: named.clone() };
    let kind = TableFactorKind::Query(Box::new(typed_values(&insert.query, &named, columns)));
    let first = TableFactor { lateral: false, kind, alias: Some(alias), span };
    let from = vec![TableRef { first, joins: Vec::new(), span }];
    let select = Select {
        distinct: Distinct::All,
        items,
        from,
        time_window: None,
        filter: None,
        key_by: Vec::new(),
        group_by: None,
        having: None,
        windows: Vec::new(),
        qualify: None,
        span,
    };
    SetExpr { kind: SetExprKind::Select(Box::new(select)), span }
}

/// The query; of VALUES each value in the type of its column, so that texts need not agree with
/// what stands below them.
fn typed_values(query: &Query, named: &[Ident], columns: &[(&Ident, &TypeExpr)]) -> Query {
    let mut query = query.clone();
    let SetExprKind::Values(rows) = &mut query.body.kind else { return query };
    for row in rows {
        for (value, name) in row.iter_mut().zip(named) {
            let column = columns.iter().find(|(column, _)| same_name(&column.text, &name.text));
            let Some((_, ty)) = column else { continue };
            let (span, arg) = (value.span, Box::new(value.clone()));
            let kind = ExprKind::Cast { arg, ty: (*ty).clone(), lenient: false, colons: false };
            *value = Expr { kind, span };
        }
    }
    query
}

fn both(left: SetExpr, right: SetExpr) -> SetExpr {
    let span = left.span;
    let (left, right) = (Box::new(left), Box::new(right));
    SetExpr { kind: SetExprKind::SetOp { op: SetOp::Union, all: true, left, right }, span }
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

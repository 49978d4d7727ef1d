//! What a table without a connector holds: the rows of each INSERT, without those that a later one
//! of its key, a DELETE or an UPDATE replaces, in the order of the program.

use std::collections::BTreeSet;

use flow_ir::span::Span;

use super::from::same_name;
use super::inline_tables::Columns;
use crate::syntax::ast::{
    BinaryOp, Call, Change, CreateTable, Distinct, Expr, ExprKind, Ident, Insert, IsTest, Literal,
    NumberKind, ObjectName, OrderItem, Over, Query, Select, SelectItem, SelectItemKind, SetExpr,
    SetExprKind, SetOp, TableAlias, TableFactor, TableFactorKind, TableRef, TypeExpr, WindowSpec,
};

/// The column that says which of two rows of a key is the later one.
const LATER: &str = "later of two";

/// The rows of such a table.
pub(super) struct Contents<'a> {
    name: &'a Ident,
    columns: &'a Columns<'a>,
    rows: Option<SetExpr>,
    /// The keys so far, while all are known.
    keys: Option<BTreeSet<Vec<String>>>,
}

impl<'a> Contents<'a> {
    pub(super) fn of(create: &'a CreateTable, columns: &'a Columns<'a>) -> Self {
        let keys = Some(BTreeSet::new());
        Self { name: create.name.last(), columns, rows: None, keys }
    }

    /// INSERT: with a key, a row in the place of that which has it.
    pub(super) fn insert(&mut self, insert: &Insert) {
        let known = self.keys_of(insert).filter(|_| self.keys.is_some());
        let Some(keys) = known.filter(|_| !self.columns.key.is_empty()) else {
            let new = rows(insert, &self.columns.plain);
            self.add(new, !self.columns.key.is_empty());
            self.keys = None;
            return;
        };
        let distinct = keys.iter().collect::<BTreeSet<_>>().len() == keys.len();
        let known = self.keys.get_or_insert_default();
        if distinct {
            let replaces = keys.iter().any(|key| known.contains(key));
            known.extend(keys);
            return self.add(rows(insert, &self.columns.plain), replaces);
        }
        known.extend(keys);
        let SetExprKind::Values(values) = &insert.query.body.kind else { return };
        for row in values {
            let mut one = insert.clone();
            one.query.body.kind = SetExprKind::Values(vec![row.clone()]);
            self.add(rows(&one, &self.columns.plain), true);
        }
    }

    fn add(&mut self, new: SetExpr, replaces: bool) {
        self.rows = Some(match self.rows.take() {
            None => new,
            Some(rows) if replaces => self.newest(rows, new),
            Some(rows) => both(rows, new),
        });
    }

    /// The rows of both; of one key the new ones.
    fn newest(&self, old: SetExpr, new: SetExpr) -> SetExpr {
        let span = new.span;
        let later = Ident { text: LATER.to_owned(), quoted: true, span };
        let numbered = |rows: SetExpr, number: &str| {
            let text = number.to_owned();
            let literal = Literal::Number { text, kind: NumberKind::Integer };
            let mut items = self.items();
            items.push(item(expr(ExprKind::Literal(literal), span), &later));
            set_of(self.select(items, rows))
        };
        let rows = both(numbered(old, "0"), numbered(new, "1"));
        let order = OrderItem { expr: name(&later, span), descending: true, nulls_first: None };
        let spec = WindowSpec {
            base: None,
            partition_by: self.columns.key.iter().map(|key| name(key, span)).collect(),
            order_by: vec![order],
            frame: None,
            span,
        };
        let function = Ident { text: String::from("ROW_NUMBER"), quoted: false, span };
        let number = Call {
            over: Some(Over::Spec(Box::new(spec))),
            ..Call::plain(ObjectName::single(function), Vec::new())
        };
        let one = Literal::Number { text: String::from("1"), kind: NumberKind::Integer };
        let first = ExprKind::Binary {
            op: BinaryOp::Eq,
            left: Box::new(expr(ExprKind::Call(Box::new(number)), span)),
            right: Box::new(expr(ExprKind::Literal(one), span)),
        };
        let mut select = self.select(self.items(), rows);
        select.qualify = Some(expr(first, span));
        set_of(select)
    }

    /// DELETE, UPDATE.
    pub(super) fn change(&mut self, change: &Change) {
        let Some(rows) = self.rows.take() else { return };
        let span = change.span;
        let filter = change.filter.clone();
        let mut select = self.select(self.items(), rows);
        match &change.set {
            None => {
                let arg =
                    filter.unwrap_or_else(|| expr(ExprKind::Literal(Literal::Boolean(true)), span));
                let arg = Box::new(arg);
                let kept = ExprKind::Is { arg, test: IsTest::True, negated: true };
                select.filter = Some(expr(kept, span));
            }
            Some(sets) => {
                let items = self.columns.plain.iter().map(|(column, ty)| {
                    let set = sets.iter().find(|(set, _)| same_name(&set.text, &column.text));
                    let old = name(column, span);
                    let value = match set {
                        None => old,
                        Some((_, value)) => {
                            let value = cast(value.clone(), ty);
                            match &filter {
                                None => value,
                                Some(filter) => expr(
                                    ExprKind::Case {
                                        operand: None,
                                        branches: vec![(filter.clone(), value)],
                                        otherwise: Some(Box::new(old)),
                                    },
                                    span,
                                ),
                            }
                        }
                    };
                    item(value, column)
                });
                select.items = items.collect();
                self.keys = None;
            }
        }
        self.rows = Some(set_of(select));
    }

    /// All the rows, with the columns that are computed; none where nothing was inserted.
    pub(super) fn query(mut self) -> Option<SetExpr> {
        let rows = self.rows.take()?;
        if self.columns.all.len() == self.columns.plain.len() {
            return Some(rows);
        }
        let span = rows.span;
        let items = self.columns.all.iter().map(|(column, computed)| {
            let value = computed.map_or_else(|| name(column, span), |computed| computed.clone());
            item(value, column)
        });
        Some(set_of(self.select(items.collect(), rows)))
    }

    /// The columns that are inserted.
    fn items(&self) -> Vec<SelectItem> {
        let own = |(column, _): &(&Ident, &TypeExpr)| item(name(column, column.span), column);
        self.columns.plain.iter().map(own).collect()
    }

    /// These items of the rows, which have the table's name.
    fn select(&self, items: Vec<SelectItem>, rows: SetExpr) -> Select {
        let span = rows.span;
        let alias = TableAlias { name: self.name.clone(), columns: Vec::new() };
        select_of(items, Query::of(rows), alias, span)
    }

    /// The keys that an INSERT brings, where they are constants.
    fn keys_of(&self, insert: &Insert) -> Option<Vec<Vec<String>>> {
        let all = || self.columns.plain.iter().map(|(name, _)| (*name).clone()).collect();
        let named: Vec<Ident> =
            if insert.columns.is_empty() { all() } else { insert.columns.clone() };
        let rows: Vec<Vec<&Expr>> = match &insert.query.body.kind {
            SetExprKind::Values(rows) => rows.iter().map(|row| row.iter().collect()).collect(),
            SetExprKind::Select(select) if select.from.is_empty() => {
                let value = |item: &'_ SelectItem| match &item.kind {
                    SelectItemKind::Expr { .. } => true,
                    SelectItemKind::Wildcard { .. } => false,
                };
                if !select.items.iter().all(value) {
                    return None;
                }
                let values = select.items.iter().filter_map(|item| match &item.kind {
                    SelectItemKind::Expr { expr, .. } => Some(expr),
                    SelectItemKind::Wildcard { .. } => None,
                });
                vec![values.collect()]
            }
            SetExprKind::Select(_)
            | SetExprKind::Table(_)
            | SetExprKind::Query(_)
            | SetExprKind::SetOp { .. } => return None,
        };
        let part = |row: &Vec<&Expr>, key: &Ident| {
            let at = named.iter().position(|name| same_name(&name.text, &key.text))?;
            match &row.get(at)?.kind {
                ExprKind::Literal(literal) => Some(format!("{literal:?}")),
                _ => None,
            }
        };
        let key = |row: &Vec<&Expr>| self.columns.key.iter().map(|key| part(row, key)).collect();
        rows.iter().map(key).collect()
    }
}

/// Whether a DELETE or UPDATE may read another relation.
pub(super) fn asks(change: &Change) -> bool {
    fn has_query(e: &mut Expr) -> bool {
        let is_query = matches!(
            e.kind,
            ExprKind::Subquery(_) | ExprKind::Exists(_) | ExprKind::InQuery { .. }
        );
        is_query || e.children_mut().into_iter().any(has_query)
    }
    let sets = change.set.iter().flatten().map(|(_, value)| value);
    sets.chain(&change.filter).any(|e| has_query(&mut e.clone()))
}

fn expr(kind: ExprKind, span: Span) -> Expr {
    Expr { kind, span }
}

fn name(column: &Ident, span: Span) -> Expr {
    expr(ExprKind::Name(ObjectName::single(column.clone())), span)
}

fn cast(arg: Expr, ty: &TypeExpr) -> Expr {
    let (span, arg) = (arg.span, Box::new(arg));
    expr(ExprKind::Cast { arg, ty: ty.clone(), lenient: false, colons: true }, span)
}

fn item(expr: Expr, alias: &Ident) -> SelectItem {
    let span = expr.span;
    SelectItem { kind: SelectItemKind::Expr { expr, alias: Some(alias.clone()) }, span }
}

fn set_of(select: Select) -> SetExpr {
    let span = select.span;
    SetExpr { kind: SetExprKind::Select(Box::new(select)), span }
}

fn select_of(items: Vec<SelectItem>, query: Query, alias: TableAlias, span: Span) -> Select {
    let kind = TableFactorKind::Query(Box::new(query));
    let first = TableFactor { lateral: false, kind, alias: Some(alias), span };
    Select {
        distinct: Distinct::All,
        items,
        from: vec![TableRef { first, joins: Vec::new(), span }],
        time_window: None,
        filter: None,
        key_by: Vec::new(),
        group_by: None,
        having: None,
        windows: Vec::new(),
        qualify: None,
        span,
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
        let kind = ExprKind::Cast { arg, ty: (*ty).clone(), lenient: false, colons: true };
        let kind = SelectItemKind::Expr { expr: Expr { kind, span }, alias: Some((*name).clone()) };
        SelectItem { kind, span }
    };
    let items = columns.iter().map(item).collect();
    let alias = TableAlias { name: insert.table.last().clone(), columns: named.clone() };
    let query = typed_values(&insert.query, &named, columns);
    set_of(select_of(items, query, alias, span))
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
            let kind = ExprKind::Cast { arg, ty: (*ty).clone(), lenient: false, colons: true };
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

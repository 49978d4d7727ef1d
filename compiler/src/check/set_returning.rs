//! Functions in SELECT that give a row for each element: `SELECT unnest(xs) FROM t`, as Postgres
//! has them, ksqlDB's EXPLODE. Several of one SELECT go side by side, the shorter ones filled up
//! with NULL.

use flow_ir::expr::Expr;
use flow_ir::span::Span;
use flow_ir::types::DataType;

use super::Checker;
use super::ksql_names::of_records;
use super::scope::Scope;
use super::select::{Item, Value, default_name};
use super::typed::{QueryId, Unnest};
use crate::diagnostics::types;
use crate::syntax::ast::{
    self, Arg, ArgValue, Call, Ident, ObjectName, Select, SelectItem, SelectItemKind,
};

/// Functions that give the elements of their argument.
const ELEMENTS: &[&str] = &["UNNEST", "EXPLODE"];

/// What an element is called in the lambda around an item.
const ELEMENT: &str = "$element";

/// Functions whose arrays Postgres or ksqlDB has as rows.
const ROWS: &[&str] = &[
    "CUBE_EXPLODE",
    "JSON_ARRAY_ELEMENTS",
    "JSON_ARRAY_ELEMENTS_TEXT",
    "JSONB_ARRAY_ELEMENTS",
    "JSONB_ARRAY_ELEMENTS_TEXT",
    "JSON_OBJECT_KEYS",
    "JSONB_OBJECT_KEYS",
    "REGEXP_SPLIT_TO_TABLE",
    "STRING_TO_TABLE",
];

/// Functions whose arrays Postgres has as rows where one is an item; ksqlDB has them as arrays, and
/// so have other functions around it.
const SERIES: &[&str] = &["GENERATE_SERIES", "GENERATE_SUBSCRIPTS"];

/// Whether an item is a series.
fn is_series(item: &ast::Expr) -> bool {
    let ast::ExprKind::Call(call) = &item.kind else { return false };
    let name = call.name.as_single().map(|name| name.text.to_uppercase());
    call.over.is_none() && name.is_some_and(|name| SERIES.contains(&name.as_str()))
}

/// What an item gives a row for each element of.
fn array_of(item: &ast::Expr) -> Option<&ast::Expr> {
    let ast::ExprKind::Call(call) = &item.kind else { return None };
    let Call { args, over: None, filter: None, distinct: false, .. } = &**call else { return None };
    let name = call.name.as_single()?.text.to_uppercase();
    match args.as_slice() {
        [ast::Arg { name: None, value: ArgValue::Expr(array), .. }]
            if ELEMENTS.contains(&name.as_str()) =>
        {
            Some(array)
        }
        _ => ROWS.contains(&name.as_str()).then_some(item),
    }
}

/// A SELECT in which such a call stands inside an item, with the item as a call around it:
/// `unnest(xs) + k` is `unnest(TRANSFORM(xs, x -> x + k))`.
pub(super) fn lifted(select: &Select) -> Option<Select> {
    let mut lifted = None;
    for (at, item) in select.items.iter().enumerate() {
        let SelectItemKind::Expr { expr, alias } = &item.kind else { continue };
        if array_of(expr).is_some() {
            continue;
        }
        let mut body = expr.clone();
        let Some(array) = take_array(&mut body) else { continue };
        let name = default_name(expr).unwrap_or_else(|| format!("expr{}", at + 1));
        let alias = alias.clone().unwrap_or_else(|| own(&name, expr.span));
        let lambda = ArgValue::Lambda { params: vec![own(ELEMENT, expr.span)], body };
        let elements = call("TRANSFORM", vec![ArgValue::Expr(array), lambda], expr.span);
        let rows = call(ELEMENTS[0], vec![ArgValue::Expr(elements)], expr.span);
        let kind = SelectItemKind::Expr { expr: rows, alias: Some(alias) };
        lifted.get_or_insert_with(|| select.clone()).items[at] =
            SelectItem { kind, span: item.span };
    }
    lifted
}

/// Takes the first array out of an expression; its element stands in its place.
fn take_array(e: &mut ast::Expr) -> Option<ast::Expr> {
    // x IN (UNNEST(xs)) asks the elements themselves.
    if let ast::ExprKind::InList { arg, .. } = &mut e.kind {
        return take_array(arg);
    }
    e.children_mut().into_iter().find_map(|child| match array_of(child).cloned() {
        Some(array) => {
            let name = ObjectName::single(own(ELEMENT, child.span));
            child.kind = ast::ExprKind::Name(name);
            Some(array)
        }
        None => take_array(child),
    })
}

/// A name that the program does not write.
fn own(name: &str, span: Span) -> Ident {
    Ident { text: name.to_owned(), quoted: true, span }
}

fn call(function: &str, args: Vec<ArgValue>, span: Span) -> ast::Expr {
    let args = args.into_iter().map(|value| Arg { name: None, value, span }).collect();
    let call = Call::plain(ObjectName::single(own(function, span)), args);
    ast::Expr { kind: ast::ExprKind::Call(Box::new(call)), span }
}

/// Puts the arrays in the place of such calls: which items are to become their elements.
pub(super) fn take_arrays(items: &mut [Item<'_>], scope: &Scope) -> Vec<(usize, Span)> {
    let series = !of_records(scope);
    let mut found = Vec::new();
    for (at, item) in items.iter_mut().enumerate() {
        if let Value::Written(written) = item.value
            && let Some(array) =
                array_of(written).or((series && is_series(written)).then_some(written))
        {
            item.value = Value::Written(array);
            found.push((at, array.span));
        }
    }
    found
}

impl Checker<'_> {
    /// The rows with these columns as their elements.
    pub(super) fn rows_of_items(
        &mut self,
        input: QueryId,
        arrays: Vec<(usize, Span)>,
        span: Span,
    ) -> Option<QueryId> {
        if arrays.is_empty() {
            return Some(input);
        }
        let width = self.query_node(input).columns.len();
        for (at, written) in &arrays {
            let ty = self.query_node(input).columns[*at].ty.clone();
            if self.poisoned.contains(&(input, *at)) {
                return None;
            }
            if !matches!(ty.data, DataType::Array(_)) {
                return self.report(types::no_parts("elements", &ty, *written));
            }
        }
        let columns: Vec<usize> = arrays.into_iter().map(|(at, _)| at).collect();
        let unnest = Unnest { input, columns: columns.clone(), ordinality: false, outer: false };
        let rows = self.unnest(unnest, span);
        let mut items = Vec::with_capacity(width);
        for at in 0..width {
            let (name, passed) = self.pass_column(rows, at, span);
            let element = columns.iter().position(|column| *column == at).map(|nth| {
                let ty = self.query_node(rows).columns[width + nth].ty.clone();
                Expr::column(width + nth, ty, span)
            });
            items.push((name, element.or(passed)));
        }
        Some(self.project(rows, items, span))
    }
}

//! Rows and sets compared: `(a, b) = (c, d)`, `(a, b) IN (…)`, `x = ANY (array)`, and the array of
//! a query's rows. What asks a query is written as other subqueries.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::coerce::is_untyped;
use super::expr::{ExprCx, joined, not};
use super::literal::constant;
use super::operators::symbol;
use crate::diagnostics::{plans, types};
use crate::syntax::ast::{
    self, Arg, ArgValue, BinaryOp, Call, Distinct, Ident, IsTest, Literal, NumberKind, ObjectName,
    OrderItem, Quantifier, Query, Select, SelectItem, SelectItemKind, SetExpr, SetExprKind,
    TableAlias, TableFactor, TableFactorKind, TableRef,
};

/// The name of a query that was put into FROM, which nobody writes.
const ROWS: &str = "(rows)";

impl Checker<'_> {
    /// `(a, b) op (c, d)`; the outer `None` where these are no rows or this is no comparison.
    pub(super) fn compare_rows(
        &mut self,
        op: BinaryOp,
        [left, right]: [&ast::Expr; 2],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Option<Expr>> {
        use ast::ExprKind::{Row, Subquery};
        let width = match (&left.kind, &right.kind) {
            (Row(left), Row(_) | Subquery(_)) => left.len(),
            (Subquery(_), Row(right)) => right.len(),
            _ => return None,
        };
        let compares = matches!(symbol(op), "=" | "<>" | "<" | "<=" | ">" | ">=");
        compares.then(|| {
            let left = self.columns_of_row(left, width, cx)?;
            let right = self.columns_of_row(right, width, cx)?;
            self.rows_compared(op, (left, right), span)
        })
    }

    /// The columns of a row as written, or of the only row of a subquery; without one they are
    /// NULL.
    fn columns_of_row(
        &mut self,
        row: &ast::Expr,
        width: usize,
        cx: &mut ExprCx<'_>,
    ) -> Option<Vec<Expr>> {
        let span = row.span;
        let query = match &row.kind {
            ast::ExprKind::Row(items) => return self.exprs(items, cx),
            ast::ExprKind::Subquery(query) => query,
            _ => return None,
        };
        let names: Vec<Ident> = (0..width).map(|at| hidden(at, span)).collect();
        let whole = ast::ExprKind::Row(names.iter().map(column_of_rows).collect());
        let whole = ast::Expr { kind: whole, span };
        let query = select_from(vec![whole], (**query).clone(), names, None, span);
        let row = self.scalar_subquery(&query, span, cx)?;
        let DataType::Row(fields) = row.ty.data.clone() else { return None };
        let column = |index: usize| {
            let kind = ExprKind::Field { arg: Box::new(row.clone()), index };
            Expr { kind, ty: fields[index].ty.with_nullable(true), span }
        };
        Some((0..fields.len()).map(column).collect())
    }

    /// Two rows, by their columns.
    pub(super) fn rows_compared(
        &mut self,
        op: BinaryOp,
        (left, right): (Vec<Expr>, Vec<Expr>),
        span: Span,
    ) -> Option<Expr> {
        if left.len() != right.len() {
            let what = "the row to its left";
            return self.report(plans::wrong_count(what, left.len(), right.len(), span));
        }
        match op {
            BinaryOp::Eq | BinaryOp::NotEq => {
                let mut equal = Vec::with_capacity(left.len());
                for (left, right) in left.into_iter().zip(right) {
                    equal.push(self.operator("=", vec![left, right], span)?);
                }
                let equal = joined(equal, span, ExprKind::And);
                Some(if op == BinaryOp::Eq { equal } else { not(equal, span) })
            }
            _ => self.rows_ordered(op, &left, &right, span),
        }
    }

    /// By the first columns that differ.
    fn rows_ordered(
        &mut self,
        op: BinaryOp,
        left: &[Expr],
        right: &[Expr],
        span: Span,
    ) -> Option<Expr> {
        let strict = match op {
            BinaryOp::LtEq => "<",
            BinaryOp::GtEq => ">",
            other => symbol(other),
        };
        let ([a, left @ ..], [b, right @ ..]) = (left, right) else { return None };
        if left.is_empty() {
            return self.operator(symbol(op), vec![a.clone(), b.clone()], span);
        }
        let first = self.operator(strict, vec![a.clone(), b.clone()], span)?;
        let equal = self.operator("=", vec![a.clone(), b.clone()], span)?;
        let rest = self.rows_ordered(op, left, right, span)?;
        let later = joined(vec![equal, rest], span, ExprKind::And);
        Some(joined(vec![first, later], span, ExprKind::Or))
    }

    /// `(a, b) IN ((c, d), …)`.
    pub(super) fn row_in_list(
        &mut self,
        row: &[ast::Expr],
        list: &[ast::Expr],
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let row = self.exprs(row, cx)?;
        let mut found = Vec::with_capacity(list.len());
        for item in list {
            let ast::ExprKind::Row(items) = &item.kind else {
                return self.report(plans::wrong_count("the row", row.len(), 1, item.span));
            };
            let items = self.exprs(items, cx)?;
            found.push(self.rows_compared(BinaryOp::Eq, (row.clone(), items), item.span)?);
        }
        Some(if found.len() == 1 { found.pop()? } else { joined(found, span, ExprKind::Or) })
    }

    /// `(a, b) IN (SELECT …)`: whether a row is equal; else, with NULLs, whether one may be.
    pub(super) fn row_in_query(
        &mut self,
        row: &[ast::Expr],
        query: &Query,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let nulls = self.exprs(row, cx)?.iter().any(|e| e.ty.nullable);
        let columns = self.look_at(query, span, cx)?;
        if columns.len() != row.len() {
            let (wants, has) = (row.len(), columns.len());
            return self.report(plans::wrong_count("the row", wants, has, span));
        }
        let names: Vec<Ident> = (0..row.len()).map(|at| hidden(at, span)).collect();
        let equal = |lenient: bool| {
            let equal = row.iter().zip(&names).map(|(item, name)| {
                let (left, right) = (Box::new(item.clone()), Box::new(column_of_rows(name)));
                let kind = ast::ExprKind::Binary { op: BinaryOp::Eq, left, right };
                let equal = ast::Expr { kind, span };
                if !lenient {
                    return equal;
                }
                let (arg, test) = (Box::new(equal), IsTest::False);
                let kind = ast::ExprKind::Is { arg, test, negated: true };
                ast::Expr { kind, span }
            });
            let filter = ast::Expr { kind: ast::ExprKind::And(equal.collect()), span };
            let kind = ast::ExprKind::Literal(Literal::Number {
                text: String::from("1"),
                kind: NumberKind::Integer,
            });
            let one = ast::Expr { kind, span };
            let select = select_from(vec![one], query.clone(), names.clone(), Some(filter), span);
            ast::Expr { kind: ast::ExprKind::Exists(Box::new(select)), span }
        };
        let found = self.expr(&equal(false), cx)?;
        if !nulls && !columns.iter().any(|ty| ty.nullable) {
            return Some(found);
        }
        let perhaps = self.expr(&equal(true), cx)?;
        let ty = Type::nullable(DataType::Boolean);
        let constant = |value: Value| Expr::literal(value, ty.clone(), span);
        let branches =
            vec![(found, constant(Value::Boolean(true))), (perhaps, constant(Value::Null))];
        let otherwise = Some(Box::new(constant(Value::Boolean(false))));
        Some(Expr { kind: ExprKind::Case { branches, otherwise }, ty, span })
    }

    /// `arg op ANY | ALL (array)`.
    pub(super) fn quantified_elements(
        &mut self,
        (arg, op): (&ast::Expr, BinaryOp),
        quantifier: Quantifier,
        set: &ast::Expr,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let arg = self.expr(arg, cx)?;
        let array = match (self.expr(set, cx)?, &arg.ty) {
            // As Postgres writes an array: '{1,2}'.
            (text, item) if is_untyped(&text) && !constant(&text).is_some_and(Value::is_null) => {
                self.text_as_array(text, item, false, set.span)?
            }
            (array, _) => array,
        };
        if !matches!(array.ty.data, DataType::Array(_)) {
            return self.report(types::no_parts("elements", &array.ty, set.span));
        }
        let tests = self.each_element(array, span, |checker, element| {
            let test = checker.operator(symbol(op), vec![arg, element], span)?;
            checker.boolean(test, "ANY and ALL")
        })?;
        let name = match quantifier {
            Quantifier::Any => "ARRAY_BOOL_OR",
            Quantifier::All => "ARRAY_BOOL_AND",
        };
        self.operator(name, vec![tests], span)
    }

    /// `ARRAY(SELECT …)`: the values in the query's order; without rows an array of none.
    pub(super) fn array_of_query(
        &mut self,
        query: &Query,
        span: Span,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        let mut query = query.clone();
        let mut names = vec![hidden(0, span)];
        let order_by = match &mut query.body.kind {
            SetExprKind::Select(select) if !matches!(select.distinct, Distinct::Distinct(_)) => {
                order_items(select, &query.order_by, &mut names)
            }
            // There is only one column to sort by.
            _ => {
                let items = query.order_by.iter();
                let by = |item: &OrderItem| OrderItem {
                    expr: column_of_rows(&names[0]),
                    ..item.clone()
                };
                let plain = |item: &&OrderItem| {
                    matches!(item.expr.kind, ast::ExprKind::Name(_) | ast::ExprKind::Literal(_))
                };
                if let Some(item) = items.clone().find(|item| !plain(item)) {
                    let what = "this order of an array";
                    return self.report(plans::not_available(what, item.expr.span, None));
                }
                items.map(by).collect()
            }
        };
        if query.limit.is_none() && query.offset.is_none() {
            query.order_by.clear();
        }
        let args = vec![Arg { name: None, value: ArgValue::Expr(column_of_rows(&names[0])), span }];
        let name = Ident { text: String::from("ARRAY_AGG"), quoted: false, span };
        let call = Call { order_by, ..Call::plain(ObjectName::single(name), args) };
        let call = ast::Expr { kind: ast::ExprKind::Call(Box::new(call)), span };
        let whole = select_from(vec![call], query, names, None, span);
        let array = self.scalar_subquery(&whole, span, cx)?;
        let none = self.array_of(Vec::new(), span)?;
        self.operator("COALESCE", vec![array, none], span)
    }
}

/// The query's order as that of an aggregate over it: what it is sorted by becomes columns.
fn order_items(select: &mut Select, order: &[OrderItem], names: &mut Vec<Ident>) -> Vec<OrderItem> {
    let mut of_aggregate = Vec::with_capacity(order.len());
    for item in order {
        let at = names.len();
        let span = item.expr.span;
        let first = |e: &ast::Expr| {
            let position = ast::ExprKind::Literal(Literal::Number {
                text: String::from("1"),
                kind: NumberKind::Integer,
            });
            let named = |name: &ObjectName| match &select.items.first().map(|item| &item.kind) {
                Some(SelectItemKind::Expr { alias: Some(alias), .. }) => {
                    name.as_single().is_some_and(|name| name.text == alias.text)
                }
                _ => false,
            };
            e.kind == position || matches!(&e.kind, ast::ExprKind::Name(name) if named(name))
        };
        let name = match first(&item.expr) {
            true => names[0].clone(),
            false => {
                let name = hidden(at, span);
                names.push(name.clone());
                let (expr, alias) = (item.expr.clone(), Some(name.clone()));
                let kind = SelectItemKind::Expr { expr, alias };
                select.items.push(SelectItem { kind, span });
                name
            }
        };
        of_aggregate.push(OrderItem { expr: column_of_rows(&name), ..item.clone() });
    }
    of_aggregate
}

/// A name that nobody writes.
fn hidden(at: usize, span: Span) -> Ident {
    Ident { text: format!("({at})"), quoted: true, span }
}

fn column_of_rows(name: &Ident) -> ast::Expr {
    let table = Ident { text: ROWS.to_string(), quoted: true, span: name.span };
    let name = ObjectName { parts: vec![table, name.clone()] };
    let span = name.span();
    ast::Expr { kind: ast::ExprKind::Name(name), span }
}

/// `SELECT items FROM (query) AS "(rows)" (columns) WHERE filter`.
fn select_from(
    items: Vec<ast::Expr>,
    query: Query,
    columns: Vec<Ident>,
    filter: Option<ast::Expr>,
    span: Span,
) -> Query {
    let item = |expr: ast::Expr| {
        let kind = SelectItemKind::Expr { expr, alias: None };
        SelectItem { kind, span }
    };
    let name = Ident { text: ROWS.to_string(), quoted: true, span };
    let alias = Some(TableAlias { name, columns });
    let kind = TableFactorKind::Query(Box::new(query));
    let first = TableFactor { kind, alias, lateral: false, span };
    plain_select(items.into_iter().map(item).collect(), first, filter, span)
}

/// `SELECT items FROM first WHERE filter`.
pub(super) fn plain_select(
    items: Vec<SelectItem>,
    first: TableFactor,
    filter: Option<ast::Expr>,
    span: Span,
) -> Query {
    let select = Select {
        distinct: Distinct::All,
        items,
        from: vec![TableRef { first, joins: Vec::new(), span }],
        time_window: None,
        filter,
        key_by: Vec::new(),
        group_by: None,
        having: None,
        windows: Vec::new(),
        qualify: None,
        span,
    };
    Query::of(SetExpr { kind: SetExprKind::Select(Box::new(select)), span })
}

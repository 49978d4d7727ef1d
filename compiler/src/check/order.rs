//! ORDER BY, LIMIT, OFFSET, FETCH and DISTINCT ON: what a query is sorted by, and the first rows of
//! that. Where nothing is cut off, the order of a changelog's rows has no meaning.

use flow_ir::expr::Expr;
use flow_ir::physical::{Direction, Numbering};
use flow_ir::span::Span;
use flow_ir::value::Value;

use super::Checker;
use super::expr::ExprCx;
use super::from::plain_column;
use super::literal::constant;
use super::scope::{Found, Scope, find, visible};
use super::select::default_name;
use super::typed::{QueryId, TopN};
use crate::diagnostics::{aggregates, plans};
use crate::syntax::ast::{
    self, Distinct, ExprKind, Ident, Literal, NumberKind, OrderItem, Select, SelectItem,
    SelectItemKind, SetExprKind,
};

/// Columns that a query is sorted by, most significant first.
pub(super) type SortOrder = Vec<(usize, Direction)>;

/// LIMIT, OFFSET and FETCH.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Rows at most.
    pub limit: Option<u64>,
    /// Rows before them that are left out.
    pub offset: u64,
    /// WITH TIES.
    pub ties: bool,
}

/// What an item of ORDER BY is.
enum SortKey<'q> {
    /// The column at a position, from 1.
    Position(&'q str),
    /// The column of a name.
    Named(&'q Ident),
    /// A column that is not shown, of this name.
    Hidden(String),
}

impl Checker<'_> {
    /// A query's body under its ORDER BY and LIMIT. `top`: it is what a statement runs.
    pub(super) fn limited(&mut self, query: &ast::Query, top: bool) -> Option<QueryId> {
        let cuts = query.limit.is_some() || query.offset.is_some();
        let limits = self.limits(query);
        let Some(first) = query.order_by.first() else {
            if !cuts {
                return self.set_expr(&query.body);
            }
            let (body, order) = self.ordered(query)?;
            return Some(self.cut(body, &order, limits?, query.span));
        };
        let picks = matches!(&query.body.kind, SetExprKind::Select(select)
            if matches!(select.distinct, Distinct::On(_)));
        if !cuts && !top && !picks {
            self.found.push(plans::order_without_effect(first.expr.span, false));
            return self.set_expr(&query.body);
        }
        let (body, order) = self.ordered(query)?;
        let limits = limits?;
        let found = match cuts || picks {
            true => self.cut(body, &order, limits, query.span),
            false => match self.sorted_by_time(body, &order, query.span) {
                Some(sorted) => sorted,
                None if self.is_of_values(body) => {
                    self.found.push(plans::order_without_effect(first.expr.span, true));
                    body
                }
                None => return self.report(plans::order_without_end(first.expr.span)),
            },
        };
        let mut columns = self.visible_columns(found);
        columns.extend(self.outer_places(found));
        let all = columns.len() == self.query_node(found).columns.len();
        Some(if all { found } else { self.select_columns(found, columns, query.span) })
    }

    /// LIMIT, OFFSET and FETCH of a query.
    pub(super) fn limits(&mut self, query: &ast::Query) -> Option<Limits> {
        let ties = query.with_ties;
        let clause = if ties { "FETCH" } else { "LIMIT" };
        let limit = query.limit.as_ref().map(|limit| self.count(limit, clause));
        let offset = query.offset.as_ref().map(|offset| self.count(offset, "OFFSET"));
        if ties && query.order_by.is_empty() {
            let modifier = "WITH TIES without ORDER BY";
            return self.report(aggregates::modifier_not_taken("FETCH", modifier, query.span));
        }
        let limit = match limit {
            Some(limit) => Some(limit?),
            None => None,
        };
        Some(Limits { limit, offset: offset.unwrap_or(Some(0))?, ties })
    }

    /// The first rows of a query in an order.
    pub(super) fn cut(
        &mut self,
        input: QueryId,
        order: &[(usize, Direction)],
        limits: Limits,
        span: Span,
    ) -> QueryId {
        let Limits { limit, offset, ties } = limits;
        let order = order.to_vec();
        let rows = TopN {
            input,
            keys: self.outer_places(input),
            order,
            numbering: Numbering::RowNumber,
            offset,
            limit,
            rank: false,
        };
        let Some(limit) = limit.filter(|_| ties) else { return self.top_n(rows, span) };
        // Rows that are equal to the last one have its rank.
        let limit = Some(offset.saturating_add(limit));
        let ranked = TopN { numbering: Numbering::Rank, offset: 0, limit, ..rows.clone() };
        let input = self.top_n(ranked, span);
        self.top_n(TopN { input, limit: None, ..rows }, span)
    }

    /// DISTINCT ON: the first row of each key in an order.
    pub(super) fn distinct_on(&mut self, select: &Select) -> Option<QueryId> {
        let (found, _) = self.ordered_select(select, &[])?;
        let mut columns = self.visible_columns(found);
        columns.extend(self.outer_places(found));
        Some(self.select_columns(found, columns, select.span))
    }

    /// The body of a query, and its columns that ORDER BY sorts by. What is no column of the body
    /// becomes one, with a name that is not shown.
    pub(super) fn ordered(&mut self, query: &ast::Query) -> Option<(QueryId, SortOrder)> {
        let order_by = query.order_by.as_slice();
        let (body, columns) = match &query.body.kind {
            SetExprKind::Select(select) if !matches!(select.distinct, Distinct::Distinct(_)) => {
                self.ordered_select(select, order_by)?
            }
            SetExprKind::Select(_)
            | SetExprKind::Values(_)
            | SetExprKind::Table(_)
            | SetExprKind::Query(_)
            | SetExprKind::SetOp { .. } => {
                let body = self.set_expr(&query.body)?;
                self.ordered_rows(body, order_by, query.span)?
            }
        };
        Some((body, columns.into_iter().zip(order_by.iter().map(direction)).collect()))
    }

    /// ORDER BY of a SELECT: by its columns, or by expressions over what it selects from.
    fn ordered_select(
        &mut self,
        select: &Select,
        order_by: &[OrderItem],
    ) -> Option<(QueryId, Vec<usize>)> {
        let mut extended = select.clone();
        let on = match &select.distinct {
            Distinct::On(on) => on.as_slice(),
            Distinct::All | Distinct::Distinct(_) => &[],
        };
        if !on.is_empty() {
            extended.distinct = Distinct::All;
        }
        let mut keys = Vec::with_capacity(on.len() + order_by.len());
        for (nth, e) in on.iter().chain(order_by.iter().map(|item| &item.expr)).enumerate() {
            let key = sort_key(e, &select.items, nth);
            if let SortKey::Hidden(name) = &key {
                let span = e.span;
                let alias = Some(Ident { text: name.clone(), quoted: true, span });
                let kind = SelectItemKind::Expr { expr: e.clone(), alias };
                extended.items.push(SelectItem { kind, span });
            }
            keys.push((key, e.span));
        }
        let body = self.select(&extended)?;
        let columns = keys.iter().map(|(key, span)| self.sort_column(body, key, *span));
        let columns: Vec<Option<usize>> = columns.collect();
        let mut keys = columns.into_iter().collect::<Option<Vec<usize>>>()?;
        let columns = keys.split_off(on.len());
        if on.is_empty() {
            return Some((body, columns));
        }
        // The order among the keys picks no rows.
        let order = columns.iter().copied().zip(order_by.iter().map(direction));
        let order = order.filter(|(column, _)| !keys.contains(column)).collect();
        keys.extend(self.outer_places(body));
        let first = TopN {
            input: body,
            keys,
            order,
            numbering: Numbering::RowNumber,
            offset: 0,
            limit: Some(1),
            rank: false,
        };
        Some((self.top_n(first, select.span), columns))
    }

    fn sort_column(&mut self, body: QueryId, key: &SortKey<'_>, span: Span) -> Option<usize> {
        match key {
            SortKey::Position(text) => self.sort_position(body, text, span),
            SortKey::Named(name) => {
                let scope = self.scope_of(body, None);
                self.resolve(&ast::ObjectName::single((*name).clone()), &scope).map(|(at, _)| at)
            }
            SortKey::Hidden(name) => {
                self.query_node(body).columns.iter().position(|column| column.name == *name)
            }
        }
    }

    fn sort_position(&mut self, body: QueryId, text: &str, span: Span) -> Option<usize> {
        let columns = self.visible_columns(body);
        let at = text.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        match at.and_then(|at| columns.get(at)) {
            Some(column) => Some(*column),
            None => self.report(aggregates::bad_position(text, columns.len(), span)),
        }
    }

    /// ORDER BY of any other body: by its columns, and expressions over them.
    fn ordered_rows(
        &mut self,
        body: QueryId,
        order_by: &[OrderItem],
        span: Span,
    ) -> Option<(QueryId, Vec<usize>)> {
        let scope = self.scope_of(body, None);
        let width = scope.columns.len();
        let mut more: Vec<(String, Option<Expr>)> = Vec::new();
        let mut columns = Vec::with_capacity(order_by.len());
        for item in order_by {
            if let Some(text) = position(&item.expr) {
                columns.push(self.sort_position(body, text, item.expr.span));
                continue;
            }
            let typed = self.expr(&item.expr, &mut ExprCx::rows(&scope, "ORDER BY"));
            columns.push(typed.map(|expr| {
                plain_column(&expr).unwrap_or_else(|| {
                    more.push((format!("$order{}", more.len()), Some(expr)));
                    width + more.len() - 1
                })
            }));
        }
        let columns = columns.into_iter().collect::<Option<Vec<usize>>>()?;
        Some((self.extend(body, more, span), columns))
    }

    /// The number of LIMIT or OFFSET.
    pub(super) fn count(&mut self, written: &ast::Expr, clause: &'static str) -> Option<u64> {
        let scope = Scope::default();
        let typed = self.expr(written, &mut ExprCx::rows(&scope, clause))?;
        let count = match constant(&typed) {
            Some(Value::Int(count)) => u64::try_from(*count).ok(),
            Some(_) | None => None,
        };
        match count {
            Some(count) => Some(count),
            None => self.report(plans::not_a_count(clause, written.span)),
        }
    }
}

/// NULL is the largest value unless it is moved.
pub(super) fn direction(item: &OrderItem) -> Direction {
    let (descending, nulls_first) = (item.descending, item.nulls_first);
    Direction { descending, nulls_first: nulls_first.unwrap_or(descending) }
}

/// An item of ORDER BY over a SELECT: names of its items come before those of columns.
fn sort_key<'q>(e: &'q ast::Expr, items: &[SelectItem], nth: usize) -> SortKey<'q> {
    if let Some(text) = position(e) {
        return SortKey::Position(text);
    }
    let named = if let ExprKind::Name(name) = &e.kind { name.as_single() } else { None };
    let names = items.iter().filter_map(|item| match &item.kind {
        SelectItemKind::Expr { alias: Some(alias), .. } => Some(alias.text.clone()),
        SelectItemKind::Expr { expr, alias: None } => default_name(expr),
        SelectItemKind::Wildcard { .. } => None,
    });
    let names: Vec<String> = names.filter(|name| visible(name)).collect();
    match named {
        Some(name) if find(&name.text, names.iter().map(String::as_str)) != Found::None => {
            SortKey::Named(name)
        }
        Some(_) | None => SortKey::Hidden(format!("$order{nth}")),
    }
}

/// The text of a position.
fn position(e: &ast::Expr) -> Option<&str> {
    let ExprKind::Literal(literal) = &e.kind else { return None };
    let Literal::Number { text, kind: NumberKind::Integer } = literal else { return None };
    Some(text)
}

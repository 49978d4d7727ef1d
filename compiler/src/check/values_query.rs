//! VALUES whose rows are not constants: those that read columns to the left or of the queries
//! around are elements of an array, those with subqueries are SELECTs.

use flow_ir::span::Span;

use super::Checker;
use super::rows::plain_select;
use crate::syntax::ast::{
    Distinct, Expr, ExprKind, Ident, Query, Select, SelectItem, SelectItemKind, SetExpr,
    SetExprKind, SetOp, TableAlias, TableFactor, TableFactorKind,
};

/// The name of VALUES in FROM, which nobody writes.
const VALUES: &str = "(values)";

impl Checker<'_> {
    /// The query that VALUES are here; `None` where they are plain rows.
    pub(super) fn values_as_query(&self, rows: &[Vec<Expr>], span: Span) -> Option<SetExpr> {
        if has(rows, &asks) {
            return union_of(rows, span);
        }
        if self.outer.is_none() || !has(rows, &|e| matches!(e.kind, ExprKind::Name(_))) {
            return None;
        }
        let every = vec![SelectItem::every(span)];
        Some(plain_select(every, elements(rows, None, span), None, span).body)
    }
}

/// LATERAL VALUES that read columns to their left, as UNNEST of an array of the rows.
pub(super) fn lateral_values(factor: &TableFactor) -> Option<TableFactor> {
    let TableFactorKind::Query(query) = &factor.kind else { return None };
    let Query { with: None, body, order_by, limit: None, offset: None, emit: None, .. } = &**query
    else {
        return None;
    };
    let SetExprKind::Values(rows) = &body.kind else { return None };
    let plain = order_by.is_empty() && !has(rows, &asks);
    plain.then(|| elements(rows, factor.alias.as_ref(), factor.span))
}

fn elements(rows: &[Vec<Expr>], alias: Option<&TableAlias>, span: Span) -> TableFactor {
    let row = |row: &Vec<Expr>| Expr { kind: ExprKind::Row(row.clone()), span };
    let array = Expr { kind: ExprKind::Array(rows.iter().map(row).collect()), span };
    let kind = TableFactorKind::Unnest { args: vec![array], ordinality: false };
    let width = rows.first().map_or(0, Vec::len);
    let usual = || (1..=width).map(|at| ident(format!("column{at}"), span)).collect();
    let alias = match alias {
        Some(alias) if !alias.columns.is_empty() => alias.clone(),
        Some(alias) => TableAlias { name: alias.name.clone(), columns: usual() },
        None => TableAlias { name: ident(VALUES.to_string(), span), columns: usual() },
    };
    TableFactor { kind, alias: Some(alias), lateral: true, span }
}

/// `SELECT row UNION ALL …`.
fn union_of(rows: &[Vec<Expr>], span: Span) -> Option<SetExpr> {
    let selects = rows.iter().map(|row| {
        let item = |(at, expr): (usize, &Expr)| {
            let alias = Some(ident(format!("column{}", at + 1), expr.span));
            let kind = SelectItemKind::Expr { expr: expr.clone(), alias };
            SelectItem { kind, span: expr.span }
        };
        let select = Select {
            distinct: Distinct::All,
            items: row.iter().enumerate().map(item).collect(),
            from: Vec::new(),
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
    });
    selects.reduce(|left, right| {
        let (left, right) = (Box::new(left), Box::new(right));
        SetExpr { kind: SetExprKind::SetOp { op: SetOp::Union, all: true, left, right }, span }
    })
}

fn ident(text: String, span: Span) -> Ident {
    Ident { text, quoted: true, span }
}

fn asks(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Exists(_) | ExprKind::Subquery(_) | ExprKind::InQuery { .. })
}

/// Whether some part of some row is this.
fn has(rows: &[Vec<Expr>], is: &dyn Fn(&Expr) -> bool) -> bool {
    fn within(e: &mut Expr, is: &dyn Fn(&Expr) -> bool) -> bool {
        is(e) || e.children_mut().into_iter().any(|child| within(child, is))
    }
    rows.iter().flatten().any(|e| within(&mut e.clone(), is))
}

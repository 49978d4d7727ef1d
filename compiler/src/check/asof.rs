//! ASOF JOIN: each left row with the nearest row of the right side, by the one inequality of ON.
//! It is a join with the first row of a subquery that reads the left row.

use flow_ir::span::Span;

use super::Checker;
use super::from::same_name;
use super::rows::plain_select;
use crate::diagnostics::syntax;
use crate::syntax::ast::{
    BinaryOp, Expr, ExprKind, Ident, Join, JoinConstraint, Literal, NumberKind, OrderItem, Query,
    SelectItem, SelectItemKind, TableAlias, TableFactor, TableFactorKind,
};

/// What the help shows.
const FORM: &str = "a ASOF JOIN b ON a.key = b.key AND a.time >= b.time";

impl Checker<'_> {
    /// The join with the nearest row as one with a subquery.
    pub(super) fn nearest(&mut self, join: &Join) -> Option<Join> {
        let JoinConstraint::On(condition) = &join.constraint else {
            return self.report(syntax::malformed_call(join.span, "ASOF JOIN", FORM));
        };
        let name = match (&join.right.alias, &join.right.kind) {
            (Some(alias), _) => Some(alias.name.clone()),
            (None, TableFactorKind::Named { name, .. }) => Some(name.last().clone()),
            (None, _) => None,
        };
        let conditions = match &condition.kind {
            ExprKind::And(conditions) => conditions.as_slice(),
            _ => std::slice::from_ref(condition),
        };
        let mut nearness = conditions.iter().filter_map(|e| nearness(e, name.as_ref()));
        let (Some(order), None) = (nearness.next(), nearness.next()) else {
            return self.report(syntax::malformed_call(condition.span, "ASOF JOIN", FORM));
        };
        let rows = first_row(&join.right, condition, order, join.span);
        let alias = name.map(|name| TableAlias { name, columns: Vec::new() });
        let kind = TableFactorKind::Query(Box::new(rows));
        let right = TableFactor { kind, alias, lateral: true, span: join.right.span };
        let all = Literal::Boolean(true);
        let always = Expr { kind: ExprKind::Literal(all), span: condition.span };
        let constraint = JoinConstraint::On(always);
        Some(Join { right, asof: false, constraint, ..join.clone() })
    }
}

/// The order in which the rows of the right side come, the nearest first, if a condition is an
/// inequality. The right side of it is that of the join unless its left side is named so.
fn nearness(condition: &Expr, right: Option<&Ident>) -> Option<OrderItem> {
    let ExprKind::Binary { op, left: a, right: b } = &condition.kind else { return None };
    let above = match op {
        BinaryOp::Gt | BinaryOp::GtEq => true,
        BinaryOp::Lt | BinaryOp::LtEq => false,
        _ => return None,
    };
    let of_right = |e: &mut Expr| reads(e, right);
    let turned = of_right(&mut a.as_ref().clone()) && !of_right(&mut b.as_ref().clone());
    let expr = if turned { a } else { b };
    // What is below the left row is nearest where it is greatest.
    Some(OrderItem { expr: (**expr).clone(), descending: above != turned, nulls_first: None })
}

/// Whether an expression names columns of this relation.
fn reads(e: &mut Expr, relation: Option<&Ident>) -> bool {
    if let (ExprKind::Name(name), Some(relation)) = (&e.kind, relation)
        && let [table, _, ..] = name.parts.as_slice()
        && same_name(&table.text, &relation.text)
    {
        return true;
    }
    e.children_mut().into_iter().any(|child| reads(child, relation))
}

/// The first row in the order of those that meet the condition.
fn first_row(from: &TableFactor, condition: &Expr, order: OrderItem, span: Span) -> Query {
    let all = SelectItemKind::Wildcard {
        qualifier: None,
        row: None,
        exclude: Vec::new(),
        replace: Vec::new(),
        rename: Vec::new(),
    };
    let items = vec![SelectItem { kind: all, span }];
    let rows = plain_select(items, from.clone(), Some(condition.clone()), span);
    let one = Literal::Number { text: String::from("1"), kind: NumberKind::Integer };
    let limit = Some(Expr { kind: ExprKind::Literal(one), span });
    Query { order_by: vec![order], limit, ..rows }
}

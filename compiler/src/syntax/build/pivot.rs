//! PIVOT and UNPIVOT of a table in FROM, as the queries that they stand for: an aggregate with a
//! FILTER for each value, grouped by the other columns; and UNNEST of the columns with their names.

use flow_ir::span::Span;

use super::{Builder, Node, child, children, must};
use crate::diagnostics::syntax;
use crate::syntax::ast::{
    BinaryOp, Call, Distinct, Expr, ExprKind, GroupBy, Ident, IsTest, Join, JoinConstraint,
    JoinKind, Literal, ObjectName, Query, Select, SelectItem, SelectItemKind, SetExpr, SetExprKind,
    TableAlias, TableFactor, TableFactorKind, TableRef,
};
use crate::syntax::grammar::Rule;

/// What a relation is called that nobody names.
const NAMELESS: &str = "(unpivot)";

impl Builder<'_> {
    /// `table PIVOT (SUM(x) FOR column IN ('a', 'b'))`.
    pub(super) fn pivot(&mut self, source: TableFactor, pair: &Node<'_>) -> Query {
        let span = source.span.to(self.span(pair));
        let column = self.first_ident(pair);
        let calls: Vec<Node<'_>> = children(pair, Rule::pivot_call).collect();
        let mut aggregates = Vec::with_capacity(calls.len());
        for written in &calls {
            let expr = self.first_expr(written);
            let alias = child(written, Rule::column_alias).map(|c| self.first_ident(&c));
            match expr.kind {
                ExprKind::Call(call) => aggregates.push((*call, expr.span, alias)),
                _ => {
                    let form = "PIVOT (SUM(x) FOR column IN ('a', 'b'))";
                    self.report(syntax::malformed_call(expr.span, "PIVOT", form));
                }
            }
        }
        let mut used = vec![column.clone()];
        for (call, at, _) in &aggregates {
            names_in(
                &mut Expr { kind: ExprKind::Call(Box::new(call.clone())), span: *at },
                &mut used,
            );
        }
        let mut items = vec![every_but(used, span)];
        let values: Vec<Node<'_>> = children(pair, Rule::pivot_value).collect();
        for value in &values {
            let alias = child(value, Rule::column_alias).map(|c| self.first_ident(&c));
            let value = self.first_expr(value);
            let shown = alias.map_or_else(|| self.shown(&value), |alias| alias.text);
            for (call, at, suffix) in &aggregates {
                let more = suffix.as_ref().map(|alias| alias.text.clone());
                let function = || call.name.last().text.to_lowercase();
                let more = more.or_else(|| (aggregates.len() > 1).then(function));
                let text = more.map_or_else(|| shown.clone(), |more| format!("{shown}_{more}"));
                let expr = filtered(call.clone(), &column, value.clone(), *at);
                let alias = Some(Ident { text, quoted: true, span: value.span });
                items.push(SelectItem { kind: SelectItemKind::Expr { expr, alias }, span: *at });
            }
        }
        let from = TableRef { first: source, joins: Vec::new(), span };
        query_of(items, from, None, Some(GroupBy::All(span)), span)
    }

    /// `table UNPIVOT (value FOR name IN (a, b))`.
    pub(super) fn unpivot(&mut self, source: TableFactor, pair: &Node<'_>) -> Query {
        let span = source.span.to(self.span(pair));
        let mut names = self.idents(pair).into_iter();
        let (value, name) = (must(names.next()), must(names.next()));
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        let written: Vec<Node<'_>> = children(pair, Rule::unpivot_column).collect();
        for column in &written {
            let own = self.first_ident(column);
            let shown = self.first_text(column).map_or_else(|| own.text.clone(), |text| text.value);
            let text = Expr { kind: ExprKind::Literal(Literal::String(shown)), span: own.span };
            let of = ExprKind::Name(ObjectName::single(own.clone()));
            let of = Expr { kind: of, span: own.span };
            rows.push(Expr { kind: ExprKind::Row(vec![text, of]), span: own.span });
            columns.push(own);
        }
        let args = vec![Expr { kind: ExprKind::Array(rows), span }];
        let kind = TableFactorKind::Unnest { args, ordinality: false };
        let alias = Ident { text: NAMELESS.to_owned(), quoted: true, span };
        let there = ExprKind::Name(ObjectName::single(value.clone()));
        let there = Box::new(Expr { kind: there, span: value.span });
        let alias = Some(TableAlias { name: alias, columns: vec![name, value] });
        let right = TableFactor { kind, alias, lateral: false, span };
        let join = Join {
            kind: JoinKind::Cross,
            natural: false,
            asof: false,
            right,
            within: None,
            constraint: JoinConstraint::None,
            span,
        };
        let there = ExprKind::Is { arg: there, test: IsTest::Null, negated: true };
        let from = TableRef { first: source, joins: vec![join], span };
        let filter = Some(Expr { kind: there, span });
        query_of(vec![every_but(columns, span)], from, filter, None, span)
    }

    /// What a value of the list is called.
    fn shown(&self, value: &Expr) -> String {
        match &value.kind {
            ExprKind::Literal(Literal::String(text) | Literal::Number { text, .. }) => text.clone(),
            ExprKind::Literal(Literal::Boolean(value)) => value.to_string(),
            ExprKind::Name(name) => name.last().text.clone(),
            _ => format!("expr{}", value.span.start),
        }
    }
}

/// The columns that an expression names.
fn names_in(e: &mut Expr, used: &mut Vec<Ident>) {
    if let ExprKind::Name(name) = &e.kind
        && !used.iter().any(|known| known.text == name.last().text)
    {
        used.push(name.last().clone());
    }
    e.children_mut().into_iter().for_each(|child| names_in(child, used));
}

/// `* EXCLUDE (columns)`.
fn every_but(exclude: Vec<Ident>, span: Span) -> SelectItem {
    let (replace, rename) = (Vec::new(), Vec::new());
    let kind = SelectItemKind::Wildcard { qualifier: None, row: None, exclude, replace, rename };
    SelectItem { kind, span }
}

/// The call with `FILTER (WHERE column = value)`.
fn filtered(mut call: Call, column: &Ident, value: Expr, span: Span) -> Expr {
    let left = ExprKind::Name(ObjectName::single(column.clone()));
    let left = Box::new(Expr { kind: left, span: column.span });
    let at = value.span;
    let equal = ExprKind::Binary { op: BinaryOp::Eq, left, right: Box::new(value) };
    let equal = Expr { kind: equal, span: at };
    call.filter = Some(match call.filter.take() {
        Some(filter) => Expr { kind: ExprKind::And(vec![filter, equal]), span: at },
        None => equal,
    });
    Expr { kind: ExprKind::Call(Box::new(call)), span }
}

fn query_of(
    items: Vec<SelectItem>,
    from: TableRef,
    filter: Option<Expr>,
    group_by: Option<GroupBy>,
    span: Span,
) -> Query {
    let select = Select {
        distinct: Distinct::All,
        items,
        from: vec![from],
        time_window: None,
        filter,
        key_by: Vec::new(),
        group_by,
        having: None,
        windows: Vec::new(),
        qualify: None,
        span,
    };
    Query::of(SetExpr { kind: SetExprKind::Select(Box::new(select)), span })
}

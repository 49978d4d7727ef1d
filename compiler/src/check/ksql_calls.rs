//! Aggregates that ksqlDB writes with more arguments than others: they are ARRAY_AGG, of which some
//! elements are meant.

use flow_ir::span::Span;

use crate::syntax::ast::{
    Arg, ArgValue, Call, Expr, ExprKind, Ident, IsTest, Literal, NullTreatment, NumberKind,
    ObjectName, OrderItem,
};

/// `EARLIEST_BY_OFFSET(x, n)` and LATEST_BY_OFFSET: all values as an ARRAY, and which of them are
/// meant. A third argument FALSE keeps NULL among them.
pub(super) fn rows_by_offset(call: &Call) -> Option<(Call, [i64; 2])> {
    let name = call.name.as_single()?;
    let latest = name.is_word("latest_by_offset");
    if !latest && !name.is_word("earliest_by_offset") {
        return None;
    }
    let (value, count, more) = match call.args.as_slice() {
        [value, count, more @ ..] if more.len() <= 1 => (value, count, more),
        [] | [..] => return None,
    };
    let count = count_of(count)?;
    let keeps_nulls = match more {
        [] => false,
        [more, ..] => literal(more)? == &Literal::Boolean(false),
    };
    let all = Ident { text: String::from("ARRAY_AGG"), ..name.clone() };
    let nulls = if keeps_nulls { NullTreatment::Respect } else { NullTreatment::Ignore };
    let rows = Call {
        name: ObjectName::single(all),
        args: vec![value.clone()],
        nulls: Some(nulls),
        ..call.clone()
    };
    Some((rows, if latest { [-count, -1] } else { [1, count] }))
}

/// `TOPK(x, y, …, n)`: rows of x and the others, those of the largest x first, as an ARRAY, and
/// which of them are meant. Of equal ones the earlier comes first.
pub(super) fn top_rows(call: &Call, span: Span) -> Option<(Call, [i64; 2])> {
    let name = call.name.as_single().filter(|name| name.is_word("topk"))?;
    let (count, columns) = call.args.split_last()?;
    let [by, _, ..] = columns else { return None };
    let count = count_of(count)?;
    let ArgValue::Expr(by) = &by.value else { return None };
    let ident = |text: String| Ident { text, ..name.clone() };
    let field = |(at, arg): (usize, &Arg)| {
        let named = at.checked_sub(1).map_or("sort_col".to_owned(), |at| format!("col{at}"));
        Arg { name: Some(ident(named)), ..arg.clone() }
    };
    let fields = columns.iter().enumerate().map(field).collect();
    let row = Call::plain(ObjectName::single(ident("STRUCT".to_owned())), fields);
    let expr = |kind: ExprKind| Expr { kind, span };
    let is = ExprKind::Is { arg: Box::new(by.clone()), test: IsTest::Null, negated: true };
    let filter = match &call.filter {
        Some(filter) => ExprKind::And(vec![filter.clone(), expr(is)]),
        None => is,
    };
    let value = ArgValue::Expr(expr(ExprKind::Call(Box::new(row))));
    let order = OrderItem { expr: by.clone(), descending: true, nulls_first: None };
    let rows = Call {
        name: ObjectName::single(ident("ARRAY_AGG".to_owned())),
        args: vec![Arg { name: None, value, span }],
        order_by: vec![order],
        filter: Some(expr(filter)),
        ..call.clone()
    };
    Some((rows, [1, count]))
}

fn literal(arg: &Arg) -> Option<&Literal> {
    match &arg.value {
        ArgValue::Expr(Expr { kind: ExprKind::Literal(literal), .. }) => Some(literal),
        _ => None,
    }
}

/// A constant that says how many, from 1.
fn count_of(arg: &Arg) -> Option<i64> {
    let Literal::Number { text, kind: NumberKind::Integer } = literal(arg)? else { return None };
    text.parse::<i64>().ok().filter(|count| *count > 0)
}

//! Windows as values, as Arroyo writes them: `TUMBLE(INTERVAL '1' HOUR)` is the window of event
//! time that GROUP BY names, a ROW of its start and end. What passes such a ROW on passes its
//! bounds on as hidden columns, so that who groups, joins or parts by it does so by a window's.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};

use super::Checker;
use super::aggregate::GroupWindow;
use super::expr::ExprCx;
use super::group_window::group_bound;
use super::scope::{Found, Scope, find};
use super::select::{Item, Key, Value};
use super::typed::QueryId;
use super::window::window_function;
use crate::diagnostics::windows as problems;
use crate::syntax::ast::{self, ArgValue, Call, Ident, Literal};

/// How the hidden columns of windows begin.
const HIDDEN: &str = "$window.";
/// The event time of the rows of a window.
const TIME: &str = "$window.time";
/// The fields of a window.
const FIELDS: [&str; 2] = ["start", "end"];

/// A call that is a window of event time: of lengths alone.
pub(super) fn window_value(e: &ast::Expr) -> Option<&Call> {
    let ast::ExprKind::Call(call) = &e.kind else { return None };
    (window_function(&call.name.last().text).is_some() && is_of_lengths(call)).then_some(call)
}

/// Whether the window of a call is cut from event time, which it does not name.
pub(super) fn is_of_lengths(call: &Call) -> bool {
    let is_length = |value: &ArgValue| match value {
        ArgValue::Expr(e) => matches!(&e.kind, ast::ExprKind::Literal(Literal::Interval { .. })),
        _ => false,
    };
    call.args.first().is_some_and(|arg| is_length(&arg.value))
}

/// A key of GROUP BY as written: a window, also by the name of the item that is one.
pub(super) fn written_key<'s>(e: &'s ast::Expr, items: &[Item<'s>], scope: &Scope) -> Key<'s> {
    let named = match &e.kind {
        ast::ExprKind::Name(name) => {
            name.as_single().filter(|n| scope.bare(&n.text) == Found::None)
        }
        _ => None,
    };
    let named = named.and_then(|name| {
        let names = items.iter().map(|item| if item.aliased { item.name.as_str() } else { "" });
        match find(&name.text, names) {
            Found::One(at) => Some(&items[at].value),
            Found::None | Found::Many(_) => None,
        }
    });
    let item = match named {
        Some(Value::Written(item)) => item,
        Some(Value::Column(_)) | None => e,
    };
    window_value(item).map_or(Key::Written(e), |call| Key::Window(call, item.span))
}

/// The bounds that a window's ROW is made of.
pub(super) fn bounds_of(row: &Expr) -> Option<&[Expr]> {
    let (ExprKind::Row(items), DataType::Row(fields)) = (&row.kind, &row.ty.data) else {
        return None;
    };
    let is_window = fields.iter().map(|f| f.name.as_str()).eq(FIELDS);
    (is_window && items.iter().all(|e| matches!(e.kind, ExprKind::Column(_)))).then_some(items)
}

/// Keys with windows as their bounds.
pub(super) fn flat(keys: Vec<Expr>) -> Vec<Expr> {
    keys.into_iter()
        .flat_map(|key| bounds_of(&key).map(<[Expr]>::to_vec).unwrap_or(vec![key]))
        .collect()
}

/// The column of a scope, a window as a ROW of its bounds.
pub(super) fn column_or_window(scope: &Scope, at: usize, span: Span) -> Expr {
    let column = &scope.columns[at];
    let plain = || Expr::column(at, column.ty.clone(), span);
    let Some(table) = scope.tables.iter().find(|t| t.columns.contains(&at)) else { return plain() };
    let bound = |field: &str| {
        let name = hidden(field, &column.name);
        let place = table.columns.clone().find(|at| scope.columns[*at].name == name)?;
        Some(Expr::column(place, scope.columns[place].ty.clone(), span))
    };
    match (bound(FIELDS[0]), bound(FIELDS[1])) {
        (Some(start), Some(end)) => row_of([start, end], span),
        _ => plain(),
    }
}

fn hidden(field: &str, column: &str) -> String {
    format!("{HIDDEN}{field}.{column}")
}

fn row_of(bounds: [Expr; 2], span: Span) -> Expr {
    let fields: Vec<Field> =
        FIELDS.iter().zip(&bounds).map(|(name, e)| Field::new(*name, e.ty.clone())).collect();
    let ty = Type::not_null(DataType::Row(fields.into()));
    Expr { kind: ExprKind::Row(bounds.into()), ty, span }
}

/// What the items of a SELECT are over: what FROM reads, the window that GROUP BY makes, its keys.
pub(super) type Over<'s> = (&'s Scope, Option<&'s GroupWindow>, Option<&'s [Vec<Expr>]>);

/// The items with the hidden columns that go along with their windows; without any where nothing
/// is said of what they are over.
pub(super) fn with_hidden(
    items: impl Iterator<Item = (String, Option<Expr>)>,
    over: Option<Over<'_>>,
    span: Span,
) -> Vec<(String, Option<Expr>)> {
    let mut items: Vec<_> = items.collect();
    if let Some((scope, window, keys)) = over {
        items.extend(hidden_bounds(&items));
        items.extend(hidden_time(scope, window, keys, span));
    }
    items
}

/// The hidden columns that go along with items that are windows.
fn hidden_bounds(items: &[(String, Option<Expr>)]) -> Vec<(String, Option<Expr>)> {
    let windows = items.iter().filter_map(|(name, e)| Some((name, bounds_of(e.as_ref()?)?)));
    let bound = |(name, bounds): (&String, &[Expr])| {
        let both = FIELDS.iter().zip(bounds);
        both.map(|(field, e)| (hidden(field, name), Some(e.clone()))).collect::<Vec<_>>()
    };
    windows.flat_map(bound).collect()
}

/// The time of rows that goes along with them: of those of a window that GROUP BY makes, else that
/// of rows which have it along already and are not grouped, or grouped by their window.
fn hidden_time(
    scope: &Scope,
    window: Option<&GroupWindow>,
    keys: Option<&[Vec<Expr>]>,
    span: Span,
) -> Option<(String, Option<Expr>)> {
    let time = match window {
        Some(window) if window.of_lengths => {
            let ty = Type::not_null(scope.columns[window.time].ty.data.clone());
            Expr::column(window.first + 2, ty, span)
        }
        Some(_) => return None,
        None => {
            let at = time_of_windows(scope)?;
            let table = scope.tables.iter().find(|t| t.columns.contains(&at))?;
            let is_bound = |e: &Expr| match e.kind {
                ExprKind::Column(key) => {
                    table.columns.contains(&key) && scope.columns[key].name.starts_with(HIDDEN)
                }
                _ => false,
            };
            if keys.is_some_and(|keys| !keys.iter().flatten().any(is_bound)) {
                return None;
            }
            Expr::column(at, scope.columns[at].ty.clone(), span)
        }
    };
    Some((TIME.to_owned(), Some(time)))
}

fn time_of_windows(scope: &Scope) -> Option<usize> {
    scope.columns.iter().position(|c| c.name == TIME && c.level == 0 && c.event_time)
}

/// The event time that a window is cut from where its call names none.
pub(super) fn event_time(scope: &Scope) -> Option<usize> {
    time_of_windows(scope).or_else(|| scope.columns.iter().position(|c| c.event_time))
}

impl Checker<'_> {
    /// A window as a value, a ROW of its bounds, or one bound of it; the outer `None` where the
    /// call is neither.
    pub(super) fn window_call(
        &mut self,
        name: &str,
        call: &Call,
        span: Span,
        cx: &ExprCx<'_>,
    ) -> Option<Option<Expr>> {
        if let Some(bound) = group_bound(name) {
            return Some(self.group_window_bound(name, bound, call, span, cx));
        }
        let kind = window_function(name)?;
        if !is_of_lengths(call) {
            return None;
        }
        let Some((_, time, spec)) = self.group_window_call(call, span, cx.scope) else {
            return Some(None);
        };
        let window = cx.group_window.filter(|w| w.kind == kind && w.time == time && w.spec == spec);
        let Some(window) = window else {
            return Some(self.report(problems::no_such_window(kind.name(), span)));
        };
        let ty = Type::not_null(cx.scope.columns[time].ty.data.clone());
        let bound = |shift| Expr::column(window.first + shift, ty.clone(), span);
        Some(Some(row_of([bound(0), bound(1)], span)))
    }

    /// A field of a window that its column stands for.
    pub(super) fn window_field(&self, row: &Expr, name: &Ident) -> Option<Expr> {
        let bounds = bounds_of(row)?;
        let at = FIELDS.iter().position(|field| name.text.eq_ignore_ascii_case(field))?;
        Some(Expr { span: row.span.to(name.span), ..bounds[at].clone() })
    }

    /// A query without the hidden columns of its windows.
    pub(super) fn without_hidden_windows(&mut self, query: QueryId) -> QueryId {
        let node = self.query_node(query);
        let shown = |at: &usize| !node.columns[*at].name.starts_with(HIDDEN);
        let all = 0..node.columns.len();
        let (width, span) = (all.len(), node.span);
        let shown: Vec<usize> = all.filter(shown).collect();
        if shown.len() == width { query } else { self.select_columns(query, shown, span) }
    }
}

//! The older windows: `GROUP BY TUMBLE(ts, …)` with TUMBLE_START, TUMBLE_END, TUMBLE_ROWTIME and
//! TUMBLE_PROCTIME, and the same of HOP, CUMULATE and SESSION.

use flow_ir::aggregate::WindowSpec;
use flow_ir::expr::{Expr, ExprKind as Typed};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};

use super::Checker;
use super::aggregate::GroupWindow;
use super::expr::ExprCx;
use super::from::plain_column;
use super::scope::Scope;
use super::typed::{Bound, QueryId};
use super::window::{Kind, Windowing, window_function};
use super::window_rows::{event_time, is_of_lengths};
use crate::diagnostics::{plans, windows as problems};
use crate::syntax::ast::{ArgValue, Call};

/// Columns that a window adds: start, end, time.
pub(super) const WINDOW_COLUMNS: usize = 3;

/// What TUMBLE_START and its kin give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// A bound of the window.
    Bound(Bound),
    /// The clock, of windows over processing time.
    Clock,
}

/// What a call of this name gives of which window.
pub(super) fn group_bound(name: &str) -> Option<(Kind, Given)> {
    let (kind, given) = name.split_once('_')?;
    let given = match given {
        "START" => Given::Bound(Bound::Start),
        "END" => Given::Bound(Bound::End),
        "ROWTIME" => Given::Bound(Bound::Time),
        "PROCTIME" => Given::Clock,
        _ => return None,
    };
    Some((window_function(kind)?, given))
}

impl Checker<'_> {
    /// The window under the aggregate, of a session parted by these keys: the node with the bounds
    /// behind the input's columns.
    pub(super) fn group_window(
        &mut self,
        call: &Call,
        span: Span,
        scope: &Scope,
        input: QueryId,
        keys: Vec<Expr>,
    ) -> Option<(QueryId, GroupWindow)> {
        let (kind, time, spec) = self.group_window_call(call, span, scope)?;
        let time_span = call.args.first().map_or(span, |arg| arg.span);
        let window =
            self.windowed(Windowing { input, time, time_span, spec, keys, grace: None, span })?;
        let width = self.query_node(window).columns.len();
        let (first, of_lengths) = (width - WINDOW_COLUMNS, is_of_lengths(call));
        Some((window, GroupWindow { kind, time, spec, first, width, of_lengths }))
    }

    /// The window of a call, the place of its time, and how it is cut.
    pub(super) fn group_window_call(
        &mut self,
        call: &Call,
        span: Span,
        scope: &Scope,
    ) -> Option<(Kind, usize, WindowSpec)> {
        let name = call.name.last().text.to_uppercase();
        let kind = match window_function(name.split('_').next().unwrap_or(&name)) {
            Some(kind) => kind,
            None => return self.report(plans::not_available(&name, span, None)),
        };
        if is_of_lengths(call) {
            let Some(at) = event_time(scope) else {
                let message = format!("{name} goes by event time, and nothing in FROM has it");
                let problem = problems::bad_window(message, "no event time", span);
                let help =
                    "Add WATERMARK FOR column AS column - INTERVAL '5' SECOND to the stream.";
                return self.report(problem.with_help(help));
            };
            let lengths: Vec<Option<i64>> =
                call.args.iter().map(|arg| self.length_argument(arg)).collect();
            let lengths = lengths.into_iter().collect::<Option<Vec<i64>>>()?;
            return Some((kind, at, self.window_spec(kind, &lengths, span)?));
        }
        let [time, lengths @ ..] = call.args.as_slice() else {
            let message = format!("{name} needs its time column");
            return self.report(problems::bad_window(message, "no arguments", span));
        };
        let ArgValue::Expr(e) = &time.value else {
            let message = "the first argument of a group window is its time column";
            return self.report(problems::bad_window(message, "not a column", time.span));
        };
        let typed = self.expr(e, &mut ExprCx::rows(scope, "a window"))?;
        let Some(at) = plain_column(&typed) else {
            let text = self.sources.text(e.span).to_string();
            let help = "Window a column: compute it in a subquery or in CREATE STREAM.";
            let problem =
                problems::not_event_time(&text, "computed here", e.span, help.to_string());
            return self.report(problem);
        };
        let lengths: Vec<Option<i64>> =
            lengths.iter().map(|arg| self.length_argument(arg)).collect();
        let lengths = lengths.into_iter().collect::<Option<Vec<i64>>>()?;
        Some((kind, at, self.window_spec(kind, &lengths, span)?))
    }

    /// TUMBLE_START and its kin: a bound of the window in GROUP BY.
    pub(super) fn group_window_bound(
        &mut self,
        name: &str,
        (kind, given): (Kind, Given),
        call: &Call,
        span: Span,
        cx: &ExprCx<'_>,
    ) -> Option<Expr> {
        let (_, time, spec) = self.group_window_call(call, span, cx.scope)?;
        let window = cx.group_window.filter(|w| w.kind == kind && w.time == time && w.spec == spec);
        let Some(window) = window else {
            return self.report(problems::no_such_window(name, span));
        };
        let shift = match given {
            Given::Bound(Bound::Start) => 0,
            Given::Bound(Bound::End) => 1,
            Given::Bound(Bound::Time) => 2,
            Given::Clock => {
                let ty = Type::not_null(DataType::TimestampLtz { precision: 3 });
                return Some(Expr { kind: Typed::Clock, ty, span });
            }
        };
        let ty = Type::not_null(cx.scope.columns[time].ty.data.clone());
        Some(Expr::column(window.first + shift, ty, span))
    }
}

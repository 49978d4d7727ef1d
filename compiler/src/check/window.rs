//! TUMBLE and HOP: as table functions in FROM, and as the older call in GROUP BY with its
//! TUMBLE_START, TUMBLE_END and TUMBLE_ROWTIME.

use flow_ir::aggregate::WindowSpec;
use flow_ir::expr::Expr;
use flow_ir::physical::Changelog;
use flow_ir::span::Span;
use flow_ir::types::Type;
use flow_stdlib::windows;

use super::Checker;
use super::aggregate::GroupWindow;
use super::expr::ExprCx;
use super::from::plain_column;
use super::literal::constant_interval;
use super::scope::{Found, Scope, find};
use super::typed::{Bound, QueryId, QueryOp, Window};
use crate::diagnostics::{names, plans, types, windows as problems};
use crate::syntax::ast::{self, Arg, ArgValue, Call, ExprKind, Ident, ObjectName, TableArgSource};

/// Which of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tumble,
    Hop,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Tumble => "TUMBLE",
            Kind::Hop => "HOP",
        }
    }

    /// Names of the table function's arguments, in order; the last may be left out.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Kind::Tumble => &["DATA", "TIMECOL", "SIZE", "OFFSET"],
            Kind::Hop => &["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"],
        }
    }
}

/// The window function of this name; `Err` for one that does not run yet.
pub(super) fn window_function(name: &str) -> Option<Result<Kind, &'static str>> {
    Some(match name.to_uppercase().as_str() {
        "TUMBLE" => Ok(Kind::Tumble),
        "HOP" => Ok(Kind::Hop),
        "SESSION" => Err("SESSION"),
        "CUMULATE" => Err("CUMULATE"),
        _ => return None,
    })
}

/// The bound that TUMBLE_START and its kin give.
pub(super) fn group_bound(name: &str) -> Option<(Kind, Bound)> {
    let (kind, bound) = name.split_once('_')?;
    let kind = window_function(kind)?.ok()?;
    let bound = match bound {
        "START" => Bound::Start,
        "END" => Bound::End,
        "ROWTIME" => Bound::Time,
        _ => return None,
    };
    Some((kind, bound))
}

impl Checker<'_> {
    /// A table function in FROM, and the name by which it is known without an alias.
    pub(super) fn table_function(
        &mut self,
        name: &ObjectName,
        args: &[Arg],
        span: Span,
    ) -> Option<(QueryId, Option<Ident>)> {
        let written = &name.last().text;
        let kind = match window_function(written) {
            Some(Ok(kind)) => kind,
            Some(Err(later)) => {
                return self.later(&format!("the window {later}"), span);
            }
            None => {
                let known = ["TUMBLE", "HOP"].map(str::to_string);
                return self.report(names::unknown_function(written, name.span(), &known));
            }
        };
        let args = self.arrange(kind, args, span)?;
        let (input, table) = self.table_argument(args[0])?;
        let scope = self.scope_of(input, table.clone());
        let time = self.time_argument(args[1], &scope);
        let lengths: Vec<Option<i64>> =
            args[2..].iter().map(|arg| self.length_argument(arg)).collect();
        let lengths = lengths.into_iter().collect::<Option<Vec<i64>>>()?;
        let spec = self.window_spec(kind, &lengths, span)?;
        let window = self.windowed(input, time?, args[1].span, spec, span)?;
        Some((window, table))
    }

    /// The arguments in the order of `Kind::arguments`.
    fn arrange<'f>(&mut self, kind: Kind, args: &'f [Arg], span: Span) -> Option<Vec<&'f Arg>> {
        let wanted = kind.arguments();
        let mut found: Vec<Option<&Arg>> = vec![None; wanted.len()];
        for (at, arg) in args.iter().enumerate() {
            let at = match &arg.name {
                Some(name) => match find(&name.text, wanted.iter().copied()) {
                    Found::One(at) => at,
                    Found::None | Found::Many(_) => {
                        let message = format!("{} has no argument {name}", kind.name());
                        return self.report(problems::bad_window(message, "unknown", arg.span));
                    }
                },
                None => at,
            };
            match found.get_mut(at) {
                Some(place @ None) => *place = Some(arg),
                Some(Some(_)) | None => {
                    let message = format!("{} has an argument too many", kind.name());
                    return self.report(problems::bad_window(message, "not taken", arg.span));
                }
            }
        }
        let needed = wanted.len() - 1;
        if let Some(at) = found[..needed].iter().position(Option::is_none) {
            let message = format!("{} needs {}", kind.name(), wanted[at]);
            return self.report(problems::bad_window(message, "an argument is missing", span));
        }
        Some(found.into_iter().flatten().collect())
    }

    fn table_argument(&mut self, arg: &Arg) -> Option<(QueryId, Option<Ident>)> {
        match &arg.value {
            ArgValue::Table(table) => {
                if !table.partition_by.is_empty() || !table.order_by.is_empty() {
                    return self.later("PARTITION BY of a window", arg.span);
                }
                match &table.source {
                    TableArgSource::Named(name) => {
                        Some((self.named_query(name)?, Some(name.last().clone())))
                    }
                    TableArgSource::Query(query) => Some((self.query(query)?, None)),
                }
            }
            ArgValue::Expr(ast::Expr { kind: ExprKind::Name(name), .. }) => {
                Some((self.named_query(name)?, Some(name.last().clone())))
            }
            ArgValue::Expr(ast::Expr { kind: ExprKind::Subquery(query), .. }) => {
                Some((self.query(query)?, None))
            }
            ArgValue::Expr(_)
            | ArgValue::Wildcard
            | ArgValue::Unit(_)
            | ArgValue::Lambda { .. }
            | ArgValue::Descriptor(_) => {
                let message = "the first argument of a window is a table";
                self.report(problems::bad_window(message, "not a table", arg.span))
            }
        }
    }

    /// Position of the time column.
    fn time_argument(&mut self, arg: &Arg, scope: &Scope) -> Option<usize> {
        let name = match &arg.value {
            ArgValue::Descriptor(columns) => match columns.as_slice() {
                [only] => ObjectName::single(only.clone()),
                _ => {
                    let message = "a window has one time column";
                    return self.report(problems::bad_window(message, "several", arg.span));
                }
            },
            ArgValue::Expr(ast::Expr { kind: ExprKind::Name(name), .. }) => name.clone(),
            ArgValue::Expr(_)
            | ArgValue::Wildcard
            | ArgValue::Unit(_)
            | ArgValue::Lambda { .. }
            | ArgValue::Table(_) => {
                let message = "the second argument of a window is its time column";
                return self.report(problems::bad_window(message, "not a column", arg.span));
            }
        };
        self.resolve(&name, scope).map(|(at, _)| at)
    }

    fn length_argument(&mut self, arg: &Arg) -> Option<i64> {
        let ArgValue::Expr(e) = &arg.value else {
            let message = "a window's lengths are intervals";
            return self.report(problems::bad_window(message, "not an interval", arg.span));
        };
        self.length(e)
    }

    /// A constant interval without months, in microseconds.
    fn length(&mut self, e: &ast::Expr) -> Option<i64> {
        if let ExprKind::Name(_) = &e.kind {
            return self.report(types::not_constant("a window's length", e.span));
        }
        let scope = Scope::default();
        let typed = self.expr(e, &mut ExprCx::rows(&scope, "a window"))?;
        match constant_interval(&typed) {
            Some((0, micros)) => Some(micros),
            Some(_) => {
                let message = "months differ in length";
                self.report(problems::bad_window(message, "in months", e.span))
            }
            None if typed.ty.data == flow_ir::types::DataType::Interval => {
                self.report(types::not_constant("a window's length", e.span))
            }
            None => {
                let message = format!("a window's length is an INTERVAL, not {}", typed.ty.data);
                self.report(problems::bad_window(message, "not an interval", e.span))
            }
        }
    }

    /// Lengths are SIZE, or SLIDE and SIZE; then perhaps OFFSET.
    fn window_spec(&mut self, kind: Kind, lengths: &[i64], span: Span) -> Option<WindowSpec> {
        let spec = match (kind, lengths) {
            (Kind::Tumble, [size, rest @ ..]) => {
                WindowSpec::Tumble { size: *size, offset: rest.first().copied().unwrap_or(0) }
            }
            (Kind::Hop, [slide, size, rest @ ..]) => {
                let offset = rest.first().copied().unwrap_or(0);
                WindowSpec::Hop { size: *size, slide: *slide, offset }
            }
            (Kind::Tumble, []) | (Kind::Hop, [] | [_]) => {
                let message = format!("{} needs its lengths", kind.name());
                return self.report(problems::bad_window(message, "arguments are missing", span));
            }
        };
        match windows::check(spec) {
            Ok(()) => Some(spec),
            Err(why) => self.report(problems::bad_window(why, "these lengths", span)),
        }
    }

    /// The window over an event time column.
    pub(super) fn windowed(
        &mut self,
        input: QueryId,
        time: usize,
        time_span: Span,
        spec: WindowSpec,
        span: Span,
    ) -> Option<QueryId> {
        let of = self.query_node(input);
        let column = &of.columns[time];
        if !column.event_time {
            if of.changelog != Changelog::Append {
                return self.report(problems::window_over_updates(time_span));
            }
            let name = column.name.clone();
            let (why, help) = self.why_no_time(input, time);
            return self.report(problems::not_event_time(&name, &why, time_span, help));
        }
        let lateness = self.lateness(input);
        Some(self.window(Window { input, time, spec, lateness }, span))
    }

    /// Why a column is no event time, and what to do.
    fn why_no_time(&self, query: QueryId, at: usize) -> (String, String) {
        let column = &self.query_node(query).columns[at];
        let name = &column.name;
        if !column.ty.data.is_timestamp() {
            let why = format!("{}, not a timestamp", column.ty.data);
            let help = format!(
                "Declare a timestamp column and its watermark: WATERMARK FOR {name} AS {name} - \
                 INTERVAL '5' SECOND."
            );
            return (why, help);
        }
        match self.declared_time(query) {
            None => (
                String::from("its stream has no WATERMARK"),
                format!(
                    "Add to the stream's columns: WATERMARK FOR {name} AS {name} - INTERVAL '5' \
                     SECOND."
                ),
            ),
            Some(declared) if self.query_node(query).columns.iter().any(|c| c.event_time) => (
                String::from("the watermark is not about it"),
                format!("The event time here is {declared}."),
            ),
            Some(declared) => (
                format!("{declared} was event time, until an aggregate or join"),
                String::from(
                    "Window the stream before the aggregate or join, or keep window_time of a \
                     windowed aggregate.",
                ),
            ),
        }
    }

    /// Name of the event time column nearest below a node.
    fn declared_time(&self, query: QueryId) -> Option<String> {
        let below = self.below(query);
        let times = below.iter().flat_map(|id| &self.query_node(*id).columns);
        times.into_iter().find(|c| c.event_time).map(|c| c.name.clone())
    }

    /// The largest allowed lateness of the streams below.
    pub(super) fn lateness(&self, query: QueryId) -> i64 {
        let of = |id: QueryId| match &self.query_node(id).op {
            QueryOp::Scan(id) => self.module.relation(*id).lateness,
            QueryOp::Filter { .. }
            | QueryOp::Project { .. }
            | QueryOp::Join(_)
            | QueryOp::Window(_)
            | QueryOp::Aggregate(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::TopN(_)
            | QueryOp::UnionAll(_) => 0,
        };
        self.below(query).into_iter().map(of).max().unwrap_or(0)
    }

    /// The older `GROUP BY TUMBLE(ts, …)`: a window under the aggregate. Gives the node with the
    /// bounds behind the input's columns.
    pub(super) fn group_window(
        &mut self,
        call: &Call,
        span: Span,
        scope: &Scope,
        input: QueryId,
    ) -> Option<(QueryId, GroupWindow)> {
        let (kind, time, spec) = self.group_window_call(call, span, scope)?;
        let first = self.query_node(input).columns.len();
        let time_span = call.args.first().map_or(span, |arg| arg.span);
        let window = self.windowed(input, time, time_span, spec, span)?;
        Some((window, GroupWindow { kind, time, spec, first }))
    }

    fn group_window_call(
        &mut self,
        call: &Call,
        span: Span,
        scope: &Scope,
    ) -> Option<(Kind, usize, WindowSpec)> {
        let name = call.name.last().text.to_uppercase();
        let kind = match window_function(name.split('_').next().unwrap_or(&name)) {
            Some(Ok(kind)) => kind,
            Some(Err(later)) => return self.later(&format!("the window {later}"), span),
            None => return self.report(plans::not_available(&name, span, None)),
        };
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
        (kind, bound): (Kind, Bound),
        call: &Call,
        span: Span,
        cx: &ExprCx<'_>,
    ) -> Option<Expr> {
        let (_, time, spec) = self.group_window_call(call, span, cx.scope)?;
        let window = cx.group_window.filter(|w| w.kind == kind && w.time == time && w.spec == spec);
        let Some(window) = window else {
            return self.report(problems::no_such_window(name, span));
        };
        let shift = match bound {
            Bound::Start => 0,
            Bound::End => 1,
            Bound::Time => 2,
        };
        let ty = Type::not_null(cx.scope.columns[time].ty.data.clone());
        Some(Expr::column(window.first + shift, ty, span))
    }
}

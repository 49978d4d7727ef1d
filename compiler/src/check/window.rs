//! TUMBLE, HOP, CUMULATE and SESSION as table functions in FROM: their arguments, what they are cut
//! to, and which columns can be windowed: event time, or the clock.

use flow_ir::aggregate::WindowSpec;
use flow_ir::expr::{Expr, ExprKind as Typed};
use flow_ir::physical::Changelog;
use flow_ir::span::Span;
use flow_ir::types::DataType;
use flow_stdlib::scalar::zone::Zone;
use flow_stdlib::windows;

use super::Checker;
use super::expr::ExprCx;
use super::from::plain_column;
use super::literal::constant_interval;
use super::scope::{Found, Scope, find};
use super::typed::{ColumnSource, QueryId, QueryOp, Window};
use crate::diagnostics::{names, plans, types, windows as problems};
use crate::syntax::ast::{self, Arg, ArgValue, ExprKind, Ident, ObjectName, TableArgSource};

/// A quarter of an hour in microseconds.
const QUARTER_HOUR: i64 = 15 * 60 * 1_000_000;

/// Which of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tumble,
    Hop,
    Cumulate,
    Session,
}

/// A window function's input and time, and how time is cut.
pub(super) struct Windowing {
    pub input: QueryId,
    pub time: usize,
    pub time_span: Span,
    pub spec: WindowSpec,
    /// Of a session, what parts its rows: over the input's columns.
    pub keys: Vec<Expr>,
    /// GRACE PERIOD, microseconds.
    pub grace: Option<i64>,
    pub span: Span,
}

impl Kind {
    /// The windows by name.
    pub(super) const ALL: [Kind; 4] = [Kind::Tumble, Kind::Hop, Kind::Cumulate, Kind::Session];

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Tumble => "TUMBLE",
            Kind::Hop => "HOP",
            Kind::Cumulate => "CUMULATE",
            Kind::Session => "SESSION",
        }
    }

    /// Names of the table function's arguments, in order, and how many of them must be there.
    fn arguments(self) -> (&'static [&'static str], usize) {
        match self {
            Kind::Tumble => (&["DATA", "TIMECOL", "SIZE", "OFFSET"], 3),
            Kind::Hop => (&["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"], 4),
            Kind::Cumulate => (&["DATA", "TIMECOL", "STEP", "SIZE", "OFFSET"], 4),
            Kind::Session => (&["DATA", "TIMECOL", "GAP"], 3),
        }
    }
}

/// Flink's other functions that take a table.
const PROCESS_FUNCTIONS: &[&str] = &[
    "FROM_CHANGELOG",
    "KEY_SEARCH",
    "LATE_EVENTS",
    "ML_EVALUATE",
    "ML_PREDICT",
    "SNAPSHOT",
    "TEXT_SEARCH",
    "TO_CHANGELOG",
    "VECTOR_SEARCH",
];

/// The window function of this name.
pub(super) fn window_function(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| name.eq_ignore_ascii_case(kind.name()))
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
        let Some(kind) = window_function(written) else {
            if PROCESS_FUNCTIONS.iter().any(|known| known.eq_ignore_ascii_case(written)) {
                let what = format!("the table function {}", written.to_uppercase());
                let instead = "Of functions that take a table there are TUMBLE, HOP, CUMULATE and \
                               SESSION.";
                return self.report(plans::not_available(&what, name.span(), Some(instead)));
            }
            let known = Kind::ALL.map(|kind| kind.name().to_string());
            return self.report(names::unknown_function(written, name.span(), &known));
        };
        let (args, more_keys) = without_keys(kind, args);
        let args = self.arrange(kind, &args, span)?;
        let (input, table) = self.table_argument(kind, args[0])?;
        let scope = self.scope_of(input, table.clone());
        let mut keys = self.partition(args[0], &scope)?;
        for key in more_keys {
            let at = self.column_argument(key, &scope)?;
            keys.push(Expr::column(at, scope.columns[at].ty.clone(), key.span));
        }
        let time = self.column_argument(args[1], &scope);
        let lengths: Vec<Option<i64>> =
            args[2..].iter().map(|arg| self.length_argument(arg)).collect();
        let lengths = lengths.into_iter().collect::<Option<Vec<i64>>>()?;
        let spec = self.window_spec(kind, &lengths, span)?;
        let (time, time_span) = (time?, args[1].span);
        let window =
            self.windowed(Windowing { input, time, time_span, spec, keys, grace: None, span })?;
        Some((window, table))
    }

    /// The arguments in the order of `Kind::arguments`.
    fn arrange<'f>(&mut self, kind: Kind, args: &[&'f Arg], span: Span) -> Option<Vec<&'f Arg>> {
        let (wanted, needed) = kind.arguments();
        let mut found: Vec<Option<&Arg>> = vec![None; wanted.len()];
        for (at, &arg) in args.iter().enumerate() {
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
        if let Some(at) = found[..needed].iter().position(Option::is_none) {
            let message = format!("{} needs {}", kind.name(), wanted[at]);
            return self.report(problems::bad_window(message, "an argument is missing", span));
        }
        Some(found.into_iter().flatten().collect())
    }

    fn table_argument(&mut self, kind: Kind, arg: &Arg) -> Option<(QueryId, Option<Ident>)> {
        match &arg.value {
            ArgValue::Table(table) => {
                if let Some(order) = table.order_by.first() {
                    let message = "a window has its order from its time column";
                    let at = order.expr.span;
                    return self.report(problems::bad_window(message, "not taken", at));
                }
                if let Some(key) = table.partition_by.first()
                    && kind != Kind::Session
                {
                    let message = format!("{} takes no PARTITION BY", kind.name());
                    return self.report(problems::bad_window(message, "not taken", key.span));
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

    /// PARTITION BY of the table argument.
    fn partition(&mut self, arg: &Arg, scope: &Scope) -> Option<Vec<Expr>> {
        let ArgValue::Table(table) = &arg.value else { return Some(Vec::new()) };
        self.exprs(&table.partition_by, &mut ExprCx::rows(scope, "PARTITION BY"))
    }

    /// Position of a column that is given as an argument.
    fn column_argument(&mut self, arg: &Arg, scope: &Scope) -> Option<usize> {
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

    pub(super) fn length_argument(&mut self, arg: &Arg) -> Option<i64> {
        let ArgValue::Expr(e) = &arg.value else {
            let message = "a window's lengths are intervals";
            return self.report(problems::bad_window(message, "not an interval", arg.span));
        };
        self.length(e)
    }

    /// A constant interval without months, in microseconds.
    pub(super) fn length(&mut self, e: &ast::Expr) -> Option<i64> {
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

    /// Lengths are SIZE, SLIDE or STEP and SIZE, or GAP; then perhaps OFFSET.
    pub(super) fn window_spec(
        &mut self,
        kind: Kind,
        lengths: &[i64],
        span: Span,
    ) -> Option<WindowSpec> {
        let spec = match (kind, lengths) {
            (Kind::Tumble, &[size]) => WindowSpec::Tumble { size, offset: 0 },
            (Kind::Tumble, &[size, offset]) => WindowSpec::Tumble { size, offset },
            (Kind::Hop, &[slide, size]) => WindowSpec::Hop { size, slide, offset: 0 },
            (Kind::Hop, &[slide, size, offset]) => WindowSpec::Hop { size, slide, offset },
            (Kind::Cumulate, &[step, size]) => WindowSpec::Cumulate { size, step, offset: 0 },
            (Kind::Cumulate, &[step, size, offset]) => WindowSpec::Cumulate { size, step, offset },
            (Kind::Session, &[gap]) => WindowSpec::Session { gap },
            (Kind::Tumble | Kind::Hop | Kind::Cumulate | Kind::Session, _) => {
                let (names, _) = kind.arguments();
                let message = format!("{} takes {}", kind.name(), names[1..].join(", "));
                let label = "too few or too many lengths";
                return self.report(problems::bad_window(message, label, span));
            }
        };
        let checked = match spec {
            WindowSpec::Session { gap } => windows::check_length("gap", gap),
            WindowSpec::Tumble { .. } | WindowSpec::Hop { .. } | WindowSpec::Cumulate { .. } => {
                windows::check(spec)
            }
        };
        match checked {
            Ok(()) => Some(spec),
            Err(why) => self.report(problems::bad_window(why, "these lengths", span)),
        }
    }

    /// The window over an event time column, or over the clock.
    pub(super) fn windowed(&mut self, windowing: Windowing) -> Option<QueryId> {
        let Windowing { mut input, time, time_span, spec, keys, grace, span } = windowing;
        if !self.query_node(input).columns[time].event_time {
            input = self.settled(input).unwrap_or(input);
        }
        let of = self.query_node(input);
        let column = &of.columns[time];
        let by_clock = !column.event_time && self.is_clock(input, time);
        if of.changelog != Changelog::Append && !column.event_time {
            return self.report(problems::window_over_updates(time_span));
        }
        let event_time = column.event_time;
        if !event_time
            && !by_clock
            && keys.is_empty()
            && let Some(rows) = self.windows_of_values(input, time, spec, span)
        {
            return Some(rows);
        }
        let of = self.query_node(input);
        let column = &of.columns[time];
        if !event_time && !by_clock {
            let name = column.name.clone();
            let (why, help) = self.why_no_time(input, time);
            return self.report(problems::not_event_time(&name, &why, time_span, help));
        }
        let width = of.columns.len();
        let of_instants = matches!(column.ty.data, DataType::TimestampLtz { .. });
        let lateness = match grace {
            _ if by_clock => 0,
            Some(grace) => self.grace_lateness(input, grace),
            None => self.lateness(input),
        };
        let spec = if of_instants { self.in_session_zone(spec, span)? } else { spec };
        let mut more = Vec::new();
        let mut place = |key: Expr| {
            plain_column(&key).unwrap_or_else(|| {
                more.push((format!("$part{}", more.len()), Some(key)));
                width + more.len() - 1
            })
        };
        let keys = keys.into_iter().map(&mut place).collect();
        let input = self.extend(input, more, span);
        Some(self.window(Window { input, time, keys, by_clock, spec, lateness }, span))
    }

    /// Windows over instants, that begin with the days and hours of the session's zone.
    pub(super) fn in_session_zone(&mut self, spec: WindowSpec, span: Span) -> Option<WindowSpec> {
        let zone = Zone::parse(&self.module.settings.time_zone).ok()?;
        let shifted = |offset: i64, period: i64| match zone {
            Zone::Fixed(east) => Some((offset - east) % period),
            // All offsets of our time are whole quarters of an hour.
            Zone::Named(_) if zone.is_utc() || QUARTER_HOUR % period == 0 => Some(offset),
            Zone::Named(_) => zone.offset_within(period).map(|east| (offset - east) % period),
        };
        let in_zone = match spec {
            WindowSpec::Tumble { size, offset } => {
                shifted(offset, size).map(|offset| WindowSpec::Tumble { size, offset })
            }
            WindowSpec::Hop { size, slide, offset } => {
                shifted(offset, slide).map(|offset| WindowSpec::Hop { size, slide, offset })
            }
            WindowSpec::Cumulate { size, step, offset } => {
                shifted(offset, size).map(|offset| WindowSpec::Cumulate { size, step, offset })
            }
            WindowSpec::Session { .. } => Some(spec),
        };
        let instead = "Window the local time: a column AS CAST(at AS TIMESTAMP(3)), with a \
                       WATERMARK of its own; or name the zone by its offset: \
                       SET 'time.zone' = '+01:00'.";
        let what = "a window over TIMESTAMP_LTZ in a time zone whose offset changes";
        let found = || plans::not_available(what, span, Some(instead));
        in_zone.or_else(|| self.report(found()))
    }

    /// Whether a column is the clock as it is now: no operator that waits lies below it.
    pub(super) fn is_clock(&self, query: QueryId, column: usize) -> bool {
        let is_now = |e: &Expr| e.kind == Typed::Clock;
        let mut open = vec![(query, column)];
        while let Some((query, at)) = open.pop() {
            let is = match &self.query_node(query).op {
                QueryOp::Scan(id) => match &self.module.relation(*id).columns[at].source {
                    ColumnSource::Computed(e) => is_now(e),
                    ColumnSource::Record(_) => false,
                },
                QueryOp::Project { input, exprs } => {
                    let below = plain_column(&exprs[at]);
                    open.extend(below.map(|at| (*input, at)));
                    below.is_some() || is_now(&exprs[at])
                }
                QueryOp::Filter { input, .. } => {
                    open.push((*input, at));
                    true
                }
                QueryOp::Unnest(unnest) => {
                    open.push((unnest.input, at));
                    at < self.query_node(unnest.input).columns.len()
                }
                QueryOp::Window(window) => {
                    open.push((window.input, at));
                    at < self.query_node(window.input).columns.len()
                        && !matches!(window.spec, WindowSpec::Session { .. })
                }
                QueryOp::UnionAll(inputs) => {
                    open.extend(inputs.iter().map(|input| (*input, at)));
                    true
                }
                QueryOp::Join(_)
                | QueryOp::Aggregate(_)
                | QueryOp::Deduplicate(_)
                | QueryOp::TopN(_)
                | QueryOp::Over(_) => false,
            };
            if !is {
                return false;
            }
        }
        true
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
        self.scanned(query).map(|id| self.module.relation(id).lateness).max().unwrap_or(0)
    }
}

/// The arguments of SESSION without its keys where these stand among them: between PARTITION BY and
/// the time's descriptor, or as a descriptor behind it, as the SQL standard has it.
fn without_keys(kind: Kind, args: &[Arg]) -> (Vec<&Arg>, Vec<&Arg>) {
    let is_column = |arg: &&Arg| matches!(arg.value, ArgValue::Descriptor(_));
    let described: Vec<usize> =
        args.iter().enumerate().filter(|(_, arg)| is_column(arg)).map(|(at, _)| at).collect();
    let is_key = |at: usize| match described[..] {
        [time] => (1..time).contains(&at),
        [_, key] => at == key,
        [] | [..] => false,
    };
    let is_key = |at: usize| kind == Kind::Session && args[at].name.is_none() && is_key(at);
    let (keys, others): (Vec<usize>, Vec<usize>) = (0..args.len()).partition(|&at| is_key(at));
    let of = |places: Vec<usize>| places.into_iter().map(|at| &args[at]).collect();
    (of(others), of(keys))
}

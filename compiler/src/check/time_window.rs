//! `WINDOW TUMBLING (…) … GROUP BY` and `JOIN … WITHIN …`, and joins of a stream with a table that
//! is declared as ksqlDB does: the table as it was at the stream's time.

use flow_ir::expr::Expr;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::aggregate::GroupWindow;
use super::from::{AsOf, Kind as JoinKind, Tree};
use super::group_window::WINDOW_COLUMNS;
use super::scope::Scope;
use super::typed::{QueryId, QueryOp};
use super::window::{Kind, Windowing};
use crate::diagnostics::windows as problems;
use crate::syntax::ast::{JoinWithin, TableKind, TimeWindow, TimeWindowKind};

impl Checker<'_> {
    /// The window of WINDOW, under the aggregate; `keys` part a session's rows.
    pub(super) fn time_window(
        &mut self,
        window: &TimeWindow,
        scope: &Scope,
        input: QueryId,
        keys: Vec<Expr>,
    ) -> Option<(QueryId, GroupWindow)> {
        let span = window.span;
        let Some(time) = scope.columns.iter().position(|column| column.event_time) else {
            let message = "WINDOW goes by event time, and nothing in FROM has it";
            let problem = problems::bad_window(message, "no event time", span);
            let help = "Add WATERMARK FOR column AS column - INTERVAL '5' SECOND to the stream.";
            return self.report(problem.with_help(help));
        };
        let size = self.length(&window.size)?;
        let advance = match &window.advance {
            Some(advance) => Some(self.length(advance)?),
            None => None,
        };
        let (kind, lengths) = match (window.kind, advance) {
            (TimeWindowKind::Hopping, Some(advance)) => (Kind::Hop, vec![advance, size]),
            (TimeWindowKind::Tumbling | TimeWindowKind::Hopping, _) => (Kind::Tumble, vec![size]),
            (TimeWindowKind::Session, _) => (Kind::Session, vec![size]),
        };
        let grace = match &window.grace {
            Some(grace) => Some(self.length(grace)?),
            None => None,
        };
        let spec = self.window_spec(kind, &lengths, span)?;
        let windowing = Windowing { input, time, time_span: span, spec, keys, grace, span };
        let node = self.windowed(windowing)?;
        let width = self.query_node(node).columns.len();
        let first = width - WINDOW_COLUMNS;
        Some((node, GroupWindow { kind, time, spec, first, width, of_lengths: false }))
    }

    /// The conditions that WITHIN says, over the left columns and the right ones from `split` on.
    pub(super) fn within_conditions(
        &mut self,
        within: &JoinWithin,
        scope: &Scope,
        split: usize,
    ) -> Option<Vec<Expr>> {
        let span = within.span;
        let before = self.length(&within.before)?;
        let after = match &within.after {
            Some(after) => self.length(after)?,
            None => before,
        };
        let time = |side: std::ops::Range<usize>| {
            side.into_iter().find(|at| scope.columns[*at].event_time)
        };
        let times = time(0..split).zip(time(split..scope.columns.len()));
        let Some((left, right)) = times else {
            let message = "WITHIN goes by event time, which both sides must have";
            let problem = problems::bad_window(message, "no event time", span);
            let help = "Add WATERMARK FOR column AS column - INTERVAL '5' SECOND to the streams.";
            return self.report(problem.with_help(help));
        };
        let column = |at: usize| Expr::column(at, scope.columns[at].ty.clone(), span);
        let distance = |micros: i64| {
            let value = Value::Interval { months: 0, micros };
            Expr::literal(value, Type::not_null(DataType::Interval), span)
        };
        let earliest = self.operator("-", vec![column(left), distance(before)], span)?;
        let latest = self.operator("+", vec![column(left), distance(after)], span)?;
        let from = self.operator(">=", vec![column(right), earliest], span)?;
        let to = self.operator("<=", vec![column(right), latest], span)?;
        Some(vec![from, to])
    }

    /// The time of the version that a stream is joined with, where the right side is a table of
    /// ksqlDB's: there a row of a stream meets the table as it was then.
    pub(super) fn stream_table_time(
        &self,
        kind: JoinKind,
        (left, right): (&Tree, &Tree),
        scope: &Scope,
        base: usize,
        span: Span,
    ) -> Option<AsOf> {
        let Tree::Leaf(table, _) = right else { return None };
        let alias = if self.versions_in(*table).is_some() {
            String::from("the table")
        } else {
            let QueryOp::Scan(id) = self.query_node(*table).op else { return None };
            let declared = &self.declared[id.0 as usize];
            let is_table = declared.create.is_some_and(|create| create.kind == TableKind::Table);
            let relation = self.module.relation(id);
            if !(declared.ksql && is_table && !relation.primary_key.is_empty()) {
                return None;
            }
            relation.stream.name.clone()
        };
        if !self.meets_versions(kind, left) {
            return None;
        }
        let at = scope.columns.iter().position(|column| column.event_time)?;
        let mut time = Expr::column(at, scope.columns[at].ty.clone(), span);
        time.map_columns(&|at| at + base);
        Some(AsOf { time, alias })
    }
}

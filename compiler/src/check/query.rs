//! Queries around SELECT: set operations, and the clauses that do not run yet.

use flow_ir::physical::Changelog;
use flow_ir::span::Span;

use super::Checker;
use super::typed::{Aggregate, QueryId};
use crate::diagnostics::{plans, syntax};
use crate::syntax::ast::{self, Emit, EmitMode, SetExpr, SetExprKind};

/// Levels of subqueries at most, so that a thread's stack holds them.
const QUERY_DEPTH_MAX: usize = 100;

impl Checker<'_> {
    /// A query as one node.
    pub(super) fn query(&mut self, query: &ast::Query) -> Option<QueryId> {
        if self.depth == QUERY_DEPTH_MAX {
            return self.report(syntax::nested_too_deeply(query.span, QUERY_DEPTH_MAX));
        }
        self.depth += 1;
        let found = self.nested_query(query);
        self.depth -= 1;
        found
    }

    fn nested_query(&mut self, query: &ast::Query) -> Option<QueryId> {
        let top = std::mem::take(&mut self.is_top);
        let outer = self.ctes.len();
        if let Some(with) = &query.with {
            let around = self.outer.take();
            self.with(with, around.as_ref());
            self.outer = around;
        }
        if let Some(outer) = &mut self.outer {
            let cuts = query.limit.is_some() || query.offset.is_some();
            outer.pull &= query.order_by.is_empty() && !cuts;
            outer.defaults &= !cuts;
        }
        let body = self.limited(query, top);
        self.ctes.truncate(outer);
        let body = body?;
        match &query.emit {
            Some(emit) => self.emit(body, emit),
            None => Some(body),
        }
    }

    /// EMIT FINAL where it says what happens anyway, EMIT CHANGES.
    pub(super) fn emit(&mut self, query: QueryId, emit: &Emit) -> Option<QueryId> {
        match emit.mode {
            EmitMode::Final if self.query_node(query).changelog == Changelog::Append => Some(query),
            EmitMode::Final => {
                let instead = "Group by window_start and window_end: a window emits once.";
                let what = "EMIT FINAL of an updating query";
                self.report(plans::not_available(what, emit.span, Some(instead)))
            }
            EmitMode::Changes => self.emitting_changes(query, emit.span),
        }
    }

    pub(super) fn set_expr(&mut self, set: &SetExpr) -> Option<QueryId> {
        match &set.kind {
            SetExprKind::Select(select) => self.select(select),
            SetExprKind::Query(query) => self.query(query),
            SetExprKind::Table(name) => {
                let outer = self.outer.take();
                let rows = self.named_query(name)?;
                self.beside_outer(rows, outer, set.span)
            }
            SetExprKind::Values(rows) => {
                if let Some(written) = self.values_as_query(rows, set.span) {
                    return self.set_expr(&written);
                }
                let outer = self.outer.take();
                let rows = self.values(rows, set.span)?;
                self.beside_outer(rows, outer, set.span)
            }
            SetExprKind::SetOp { op, all, left, right } => {
                if let Some(outer) = &mut self.outer {
                    (outer.pull, outer.defaults) = (false, false);
                }
                let around = self.outer.clone();
                let mut arms = [None; 2];
                for (arm, written) in arms.iter_mut().zip([left, right]) {
                    self.outer = around.clone();
                    *arm = self.set_expr(written);
                }
                let [left, right] = arms;
                self.set_op(*op, *all, left.zip(right)?, set.span)
            }
        }
    }

    /// DISTINCT: groups by all columns; windowed where both bounds of a window are among them.
    pub(super) fn distinct(&mut self, query: QueryId, span: Span) -> QueryId {
        let columns = self.query_node(query).columns.clone();
        let at = |bound: super::typed::Bound, origin: QueryId| {
            columns
                .iter()
                .position(|c| c.window.is_some_and(|w| w.bound == bound && w.origin == origin))
        };
        let window = columns.iter().filter_map(|c| c.window).find_map(|w| {
            let start = at(super::typed::Bound::Start, w.origin)?;
            let end = at(super::typed::Bound::End, w.origin)?;
            let (spec, by_clock) = (w.spec, w.by_clock);
            let lateness = self.window_lateness(w.origin);
            Some((w.origin, super::typed::WindowSource { start, end, spec, lateness, by_clock }))
        });
        let origin = window.map(|(origin, _)| origin);
        let is_bound = |at: &usize| columns[*at].window.is_some_and(|w| Some(w.origin) == origin);
        let keys: Vec<usize> = (0..columns.len()).filter(|at| !is_bound(at)).collect();
        let window = window.map(|(_, source)| source);
        let width = keys.len();
        let aggregate = Aggregate {
            input: query,
            keys: keys.clone(),
            calls: Vec::new(),
            window,
            emits_changes: false,
        };
        let node = self.aggregate(aggregate, span);
        if origin.is_none() {
            return node;
        }
        let items = columns.iter().enumerate().map(|(at, column)| {
            let place = match column.window.filter(|_| is_bound(&at)) {
                Some(w) => width + w.bound as usize,
                None => keys.iter().position(|key| *key == at).unwrap_or(0),
            };
            let (_, expr) = self.pass_column(node, place, span);
            (column.name.clone(), expr)
        });
        let items = items.collect();
        self.project(node, items, span)
    }
}

//! The versions of a query that makes a table of a stream, for a stream that is joined with it:
//! each row meets the table as it was at the row's time. What an aggregate came to at a time is the
//! same aggregate OVER the rows up to then, and the last row of a key is each of its rows in turn;
//! so the versions are rows that append.

use flow_ir::aggregate::OrderColumn;
use flow_ir::over::{Frame, FrameBound, FrameExclude, FrameUnit, OverCall, OverFunction};
use flow_ir::physical::{Changelog, Direction, Keep};
use flow_ir::span::Span;

use super::Checker;
use super::aggregate::counts_in_order;
use super::expr::all_of;
use super::from::{AsOf, Kind, Tree, plain_column};
use super::scope::Scope;
use super::typed::{Aggregate, Deduplicate, Over, QueryId, QueryOp};
use crate::syntax::ast::{self, TableKind};

const ASCENDING: Direction = Direction { descending: false, nulls_first: false };

/// The rows of a table, each from its time on.
#[derive(Clone, Debug)]
pub(super) struct Versions {
    /// The table's key.
    pub key: Vec<usize>,
    /// From when on a row is that of its key.
    pub time: usize,
    /// Whether the table has it then; without one it has.
    pub present: Option<usize>,
}

impl Checker<'_> {
    /// The right side of a join in the form in which a version of it can be asked for: where the
    /// join asks, or is one of a stream with a table that the program makes as ksqlDB does.
    pub(super) fn with_versions(
        &mut self,
        join: &ast::Join,
        as_of: Option<&AsOf>,
        (left, right): (&Tree, Tree),
        (left_scope, scope): (&Scope, Scope),
        base: usize,
    ) -> (Tree, Scope) {
        let Tree::Leaf(table, _) = right else { return (right, scope) };
        let is_time = |at: usize| {
            let column = at.checked_sub(base).and_then(|at| left_scope.columns.get(at));
            column.is_some_and(|column| column.event_time)
        };
        let wanted = match as_of {
            Some(as_of) => plain_column(&as_of.time).is_some_and(is_time),
            None => {
                let meets = self.meets_versions(Kind::of(join.kind), left);
                join.within.is_none() && meets && self.is_made_table(table)
            }
        };
        let versions = if wanted { self.versions_of(table, join.span) } else { None };
        let Some(versions) = versions else { return (right, scope) };
        let name = scope.tables.first().and_then(|table| table.name.clone());
        let scope = self.scope_of(versions, name);
        (Tree::Leaf(versions, scope.columns.len()), scope)
    }

    /// Whether the rows that come first in a join are those of a stream, and the join is one in
    /// which they can meet versions.
    pub(super) fn meets_versions(&self, kind: Kind, left: &Tree) -> bool {
        let mut first = left;
        while let Tree::Join(join) = first {
            first = &join.left;
        }
        let Tree::Leaf(stream, _) = first else { return false };
        matches!(kind, Kind::Inner | Kind::Left)
            && self.query_node(*stream).changelog == Changelog::Append
    }

    /// Whether a query is that of a CREATE TABLE … AS as ksqlDB has it.
    fn is_made_table(&self, query: QueryId) -> bool {
        let made = self.made.iter().find(|(_, made)| **made == query);
        made.is_some_and(|(id, _)| {
            let declared = &self.declared[id.0 as usize];
            declared.ksql && declared.create.is_some_and(|c| c.kind == TableKind::Table)
        })
    }

    /// What a node that holds versions has beside the columns of its query.
    pub(super) fn versions_in(&self, node: QueryId) -> Option<&Versions> {
        let mut known = self.versions.values().flatten();
        known.find(|(versions, _)| *versions == node).map(|(_, versions)| versions)
    }

    /// The versions of a keyed query, where they follow from the rows of one stream: its columns,
    /// and behind them what `Versions` names.
    fn versions_of(&mut self, query: QueryId, at: Span) -> Option<QueryId> {
        if let Some(known) = self.versions.get(&query) {
            return known.as_ref().map(|(node, _)| *node);
        }
        let key = self.query_node(query).unique_keys.iter().find(|key| !key.is_empty()).cloned();
        let found = key.and_then(|key| {
            let (node, time, present) = self.versions_below(query, at)?;
            Some((node, Versions { key, time, present }))
        });
        let node = found.as_ref().map(|(node, _)| *node);
        self.versions.insert(query, found);
        node
    }

    /// A node with the columns of a query before all others, the place of their time, and that of
    /// whether the query has the row.
    fn versions_below(
        &mut self,
        query: QueryId,
        at: Span,
    ) -> Option<(QueryId, usize, Option<usize>)> {
        let node = self.query_node(query);
        let span = node.span;
        let names: Vec<String> = node.columns.iter().map(|c| c.name.clone()).collect();
        match node.op.clone() {
            QueryOp::Aggregate(aggregate) => {
                self.running(aggregate, names, at).map(|(node, time)| (node, time, None))
            }
            QueryOp::Filter { input, condition } => {
                let (below, time, present) = self.versions_below(input, at)?;
                let column = |at: usize| self.pass_column(below, at, span).1;
                let before = present.and_then(column);
                let all = all_of(before.into_iter().chain([condition]).collect());
                let place = self.query_node(below).columns.len();
                let node = self.extend(below, vec![("$present".to_owned(), all)], span);
                Some((node, time, Some(place)))
            }
            QueryOp::Project { input, exprs } => {
                let mut items: Vec<_> =
                    names.into_iter().zip(exprs.into_iter().map(Some)).collect();
                let (below, time, present) = self.versions_below(input, at)?;
                let width = items.len();
                items.push(self.pass_column(below, time, span));
                items.extend(present.map(|present| self.pass_column(below, present, span)));
                let node = self.project(below, items, span);
                Some((node, width, present.map(|_| width + 1)))
            }
            QueryOp::Deduplicate(dedup) => {
                self.last_rows(dedup, at).map(|(node, time)| (node, time, None))
            }
            QueryOp::Scan(_)
            | QueryOp::Unnest(_)
            | QueryOp::Join(_)
            | QueryOp::Window(_)
            | QueryOp::TopN(_)
            | QueryOp::Over(_)
            | QueryOp::UnionAll(_) => None,
        }
    }

    /// The groups of rows that append, after each time: the aggregate's columns, then the time.
    fn running(
        &mut self,
        aggregate: Aggregate,
        names: Vec<String>,
        at: Span,
    ) -> Option<(QueryId, usize)> {
        let Aggregate { input, keys, calls, window: None, .. } = aggregate else { return None };
        if keys.is_empty() || self.query_node(input).changelog != Changelog::Append {
            return None;
        }
        let timed = self.with_time(input, at)?;
        let width = self.query_node(timed).columns.len();
        let time = width - 1;
        let ty = self.query_node(timed).columns[time].ty.clone();
        let calls: Vec<OverCall> = calls
            .into_iter()
            .map(|mut call| {
                if counts_in_order(&call.function) && call.order.is_empty() {
                    let ty = ty.clone();
                    call.order.push(OrderColumn { column: time, ty, direction: ASCENDING });
                }
                let (ty, frame) = (call.ty.clone(), peers_from(FrameBound::UnboundedPreceding));
                OverCall { function: OverFunction::Aggregate(call), frame, ty }
            })
            .collect();
        let results = width..width + calls.len();
        let places: Vec<usize> = keys.iter().copied().chain(results).chain([time]).collect();
        let order = vec![(time, ASCENDING)];
        let over = Over { input: timed, keys, order, calls, passes: true, reach: None };
        let over = self.over(over, at);
        let place = |place: &usize| self.pass_column(over, *place, at);
        let mut items: Vec<_> = places.iter().map(place).collect();
        for ((name, _), given) in items.iter_mut().zip(names) {
            *name = given;
        }
        let time = items.len() - 1;
        Some((self.project(over, items, at), time))
    }

    /// The last row of each key at each time of rows that append, and the place of the time.
    fn last_rows(&mut self, dedup: Deduplicate, at: Span) -> Option<(QueryId, usize)> {
        let Deduplicate { input, keys, order, keep: Keep::Last } = dedup else { return None };
        let [(time, _)] = order[..] else { return None };
        let of = self.query_node(input);
        if !of.columns[time].event_time || of.changelog != Changelog::Append {
            return None;
        }
        let width = of.columns.len();
        let given = |at: &usize| *at == time || keys.contains(at);
        let rest: Vec<usize> = (0..width).filter(|at| !given(at)).collect();
        let last = |arg: &usize| {
            let (arg, nth, from_last, ignore_nulls) = (*arg, 1, true, false);
            let function = OverFunction::Nth { arg, nth, from_last, ignore_nulls };
            let frame = peers_from(FrameBound::CurrentRow);
            OverCall { function, frame, ty: of.columns[arg].ty.clone() }
        };
        let calls: Vec<OverCall> = rest.iter().map(last).collect();
        let order = vec![(time, ASCENDING)];
        let over = Over { input, keys, order, calls, passes: true, reach: Some(0) };
        let over = self.over(over, at);
        let items = (0..width).map(|column| {
            let last = rest.iter().position(|rest| *rest == column);
            let (_, expr) = self.pass_column(over, last.map_or(column, |nth| width + nth), at);
            (self.query_node(input).columns[column].name.clone(), expr)
        });
        let items = items.collect();
        Some((self.project(over, items, at), time))
    }
}

/// The rows from this one to the current one and those of the same time.
fn peers_from(start: FrameBound) -> Frame {
    let (unit, end) = (FrameUnit::Range, FrameBound::CurrentRow);
    Frame { unit, start, end, exclude: FrameExclude::NoOthers }
}

//! One join: which conditions are equal columns, which bound time, what is left; and which of the
//! three joins it is.

use std::collections::HashSet;

use flow_ir::connector::VIEW_JOB;
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::physical::{Changelog, JoinKind};
use flow_ir::span::Span;

use super::Checker;
use super::expr::all_of;
use super::from::{AsOf, Kind, plain_column};
use super::interval;
use super::typed::{Join, JoinTime, QueryId, QueryOp};
use crate::diagnostics::{joins, plans};

/// What is to be joined; conditions over the left columns and the right ones behind them.
pub(super) struct Sides {
    pub kind: Kind,
    pub left: QueryId,
    pub right: QueryId,
    pub conditions: Vec<Expr>,
    pub as_of: Option<AsOf>,
    pub span: Span,
}

/// An equality of one expression over the left side and one over the right.
struct Equality {
    left: Expr,
    right: Expr,
    /// As it was written.
    condition: Expr,
}

impl Checker<'_> {
    /// The node of a join.
    pub(super) fn join_sides(&mut self, sides: Sides) -> Option<QueryId> {
        if sides.as_of.is_some() {
            return self.temporal_join(sides);
        }
        if sides.kind == Kind::Right {
            return self.turned_round(sides);
        }
        let Sides { kind, left, right, conditions, span, .. } = sides;
        let width = self.query_node(left).columns.len();
        let (left_columns, right_columns) =
            (&self.query_node(left).columns, &self.query_node(right).columns);
        let found = interval::find(&conditions, left_columns, right_columns);
        let (time, conditions) = match found {
            interval::Found::Between(time, rest) => (time, rest),
            interval::Found::Nothing => (JoinTime::Unbounded, conditions),
            interval::Found::Empty(at) => return self.report(joins::empty_interval(at)),
        };
        let kind = match (kind, time) {
            (Kind::Inner, _) => JoinKind::Inner,
            (Kind::Left | Kind::Right, JoinTime::Unbounded) => {
                return self.report(joins::outer_join_unbounded("LEFT", span, None));
            }
            (Kind::Left | Kind::Right, _) => JoinKind::Left,
        };
        let (equalities, rest) = split_equalities(conditions, width);
        if equalities.is_empty()
            && time == JoinTime::Unbounded
            && !self.at_most_one_row(left, right)
        {
            self.found.push(joins::cross_join(span));
        }
        self.keyed_join(left, right, kind, equalities, rest, time, span)
    }

    fn at_most_one_row(&self, left: QueryId, right: QueryId) -> bool {
        let one = |q: QueryId| self.query_node(q).unique_keys.iter().any(Vec::is_empty);
        one(left) || one(right)
    }

    /// A right join as a left one, its columns put back in order.
    fn turned_round(&mut self, sides: Sides) -> Option<QueryId> {
        let Sides { left, right, mut conditions, span, .. } = sides;
        let l = self.query_node(left).columns.len();
        let r = self.query_node(right).columns.len();
        for condition in &mut conditions {
            condition.map_columns(&|at| if at < l { at + r } else { at - l });
        }
        let bounded = matches!(
            interval::find(
                &conditions,
                &self.query_node(right).columns,
                &self.query_node(left).columns,
            ),
            interval::Found::Between(..) | interval::Found::Empty(_)
        );
        if !bounded {
            return self.report(joins::outer_join_unbounded("RIGHT", span, None));
        }
        let (left, right) = (right, left);
        let turned = Sides { kind: Kind::Left, left, right, conditions, as_of: None, span };
        let joined = self.join_sides(turned)?;
        Some(self.select_columns(joined, (r..r + l).chain(0..r), span))
    }

    /// The join with its keys as columns; keys that are computed get hidden columns, which are
    /// projected away again.
    #[expect(clippy::too_many_arguments, reason = "the parts of one join")]
    fn keyed_join(
        &mut self,
        left: QueryId,
        right: QueryId,
        kind: JoinKind,
        equalities: Vec<Equality>,
        rest: Vec<Expr>,
        time: JoinTime,
        span: Span,
    ) -> Option<QueryId> {
        let l = self.query_node(left).columns.len();
        let r = self.query_node(right).columns.len();
        let (mut more_left, mut more_right) = (Vec::new(), Vec::new());
        let mut keys = Vec::with_capacity(equalities.len());
        for Equality { left, right, .. } in equalities {
            let key =
                (column_or_add(left, l, &mut more_left), column_or_add(right, r, &mut more_right));
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let widened = !more_left.is_empty() || !more_right.is_empty();
        let added = more_left.len();
        let (left, right) =
            (self.extend(left, more_left, span), self.extend(right, more_right, span));
        let mut condition = all_of(rest);
        if let Some(condition) = &mut condition {
            condition.map_columns(&|at| if at < l { at } else { at + added });
            for side in [left, right] {
                let changelog = self.query_node(side).changelog;
                self.deny_clock(condition, changelog)?;
            }
        }
        let joined = self.join(Join { left, right, kind, keys, condition, time }, span);
        if !widened {
            return Some(joined);
        }
        Some(self.select_columns(joined, (0..l).chain(l + added..l + added + r), span))
    }

    /// FOR SYSTEM_TIME AS OF.
    fn temporal_join(&mut self, sides: Sides) -> Option<QueryId> {
        let Sides { kind, left, right, conditions, as_of, span } = sides;
        let AsOf { time: as_of, alias } = as_of?;
        let declared = self.query_node(right).span;
        let Some((primary_key, right_time)) = self.versions(right) else {
            let name = self.leaf_name(right);
            let problem = match self.served_by(right) {
                Some(job) => plans::view_without_versions(&name, job, span),
                None => joins::temporal_needs_table(&name, span, Some(declared)),
            };
            return self.report(problem);
        };
        let kind = match kind {
            Kind::Inner => JoinKind::Inner,
            Kind::Left => JoinKind::Left,
            Kind::Right => {
                return self.report(joins::outer_join_unbounded("RIGHT", span, Some("temporal")));
            }
        };
        let of = self.query_node(left);
        let width = of.columns.len();
        let updating = of.changelog != Changelog::Append;
        let left_time = plain_column(&as_of)
            .filter(|at| of.columns.get(*at).is_some_and(|column| column.event_time));
        let Some(left_time) = left_time else {
            return self.report(joins::temporal_time(as_of.span, updating));
        };
        let (equalities, mut rest) = split_equalities(conditions, width);
        let mut said = HashSet::new();
        let (keys, others): (Vec<_>, Vec<_>) = equalities.into_iter().partition(|e| {
            plain_column(&e.right).is_some_and(|at| primary_key.contains(&at) && said.insert(at))
        });
        rest.extend(others.into_iter().map(|e| e.condition));
        self.whole_key((left, right), &alias, &primary_key, &keys, &rest, span)?;
        self.clock_mismatch(left, left_time, right, right_time, declared, as_of.span);
        let time = JoinTime::Temporal { left_time, right_time };
        self.keyed_join(left, right, kind, keys, rest, time, span)
    }

    /// Primary key and event time of a keyed table that a node scans.
    fn versions(&self, query: QueryId) -> Option<(Vec<usize>, Option<usize>)> {
        let QueryOp::Scan(id) = &self.query_node(query).op else { return None };
        let relation = self.module.relation(*id);
        let time = relation.watermark.as_ref().map(|w| w.column);
        let versioned = !relation.primary_key.is_empty() && !relation.is_view();
        versioned.then(|| (relation.primary_key.clone(), time))
    }

    /// The job whose view a node reads.
    fn served_by(&self, query: QueryId) -> Option<&str> {
        let QueryOp::Scan(id) = &self.query_node(query).op else { return None };
        self.module.relation(*id).stream.option(VIEW_JOB)
    }

    /// Whether the equalities say every column of the primary key.
    fn whole_key(
        &mut self,
        (left, right): (QueryId, QueryId),
        alias: &str,
        primary_key: &[usize],
        keys: &[Equality],
        rest: &[Expr],
        span: Span,
    ) -> Option<()> {
        let width = self.query_node(left).columns.len();
        let said: Vec<usize> = keys.iter().filter_map(|e| plain_column(&e.right)).collect();
        let columns = &self.query_node(right).columns;
        let missing = primary_key.iter().filter(|at| !said.contains(at));
        let missing: Vec<usize> = missing.copied().collect();
        let Some(first) = missing.first() else { return Some(()) };
        let names: Vec<String> = missing.iter().map(|at| columns[*at].name.clone()).collect();
        let cast = rest.iter().find(|e| e.columns().contains(&(first + width)));
        let mut problem = joins::temporal_needs_key(&self.leaf_name(right), alias, &names, span);
        if let Some(cast) = cast {
            let ty = &columns[*first].ty.data;
            problem = problem
                .with_related(cast.span, "converts the key, or is no equality")
                .with_help(format!("Write … = {alias}.{}, with a {ty} on the left.", names[0]));
        }
        self.report(problem)
    }

    /// Warns where the two sides of a temporal join go by different clocks.
    fn clock_mismatch(
        &mut self,
        left: QueryId,
        left_time: usize,
        right: QueryId,
        right_time: Option<usize>,
        declared: Span,
        span: Span,
    ) {
        let is_file = matches!(
            &self.query_node(right).op,
            QueryOp::Scan(id) if self.module.relation(*id).stream.connector == "file"
        );
        if right_time.is_some() || is_file || self.is_record_time(left, left_time) {
            return;
        }
        let name = self.leaf_name(right);
        self.found.push(joins::temporal_clock_mismatch(&name, span, declared));
    }

    /// Whether an event time column is the record's own timestamp, wherever it comes from.
    fn is_record_time(&self, query: QueryId, column: usize) -> bool {
        let mut seen = HashSet::from([(query, column)]);
        let mut open = vec![(query, column)];
        while let Some((query, column)) = open.pop() {
            match self.time_sources(query, column) {
                Some(sources) => open.extend(sources.into_iter().filter(|s| seen.insert(*s))),
                None => return false,
            }
        }
        true
    }

    /// The columns below that a column is passed on from; none of them for a record's timestamp,
    /// `None` for anything else.
    fn time_sources(&self, query: QueryId, column: usize) -> Option<Vec<(QueryId, usize)>> {
        match &self.query_node(query).op {
            QueryOp::Scan(id) => {
                let watermark = self.module.relation(*id).watermark.as_ref();
                watermark.filter(|w| w.column == column && w.record_time).map(|_| Vec::new())
            }
            QueryOp::Filter { input, .. } => Some(vec![(*input, column)]),
            QueryOp::Project { input, exprs } => {
                plain_column(&exprs[column]).map(|at| vec![(*input, at)])
            }
            QueryOp::Join(join) => {
                let width = self.query_node(join.left).columns.len();
                Some(match column.checked_sub(width) {
                    None => vec![(join.left, column)],
                    Some(at) => vec![(join.right, at)],
                })
            }
            QueryOp::UnionAll(inputs) => Some(inputs.iter().map(|i| (*i, column)).collect()),
            QueryOp::Window(_)
            | QueryOp::Aggregate(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::TopN(_) => None,
        }
    }
}

/// The column that a key expression is, or a new one behind the others.
fn column_or_add(expr: Expr, width: usize, more: &mut Vec<(String, Option<Expr>)>) -> usize {
    if let Some(at) = plain_column(&expr) {
        return at;
    }
    let known =
        more.iter().position(|(_, e)| e.as_ref().is_some_and(|e| super::expr::same(e, &expr)));
    let at = known.unwrap_or(more.len());
    if known.is_none() {
        more.push((format!("$key{at}"), Some(expr)));
    }
    width + at
}

/// Equalities of the two sides, each over its own side's positions, and the other conditions.
fn split_equalities(conditions: Vec<Expr>, width: usize) -> (Vec<Equality>, Vec<Expr>) {
    let mut equalities = Vec::new();
    let mut rest = Vec::new();
    for condition in conditions {
        match equality(&condition, width) {
            Some((left, mut right)) => {
                right.map_columns(&|at| at - width);
                equalities.push(Equality { left, right, condition });
            }
            None => rest.push(condition),
        }
    }
    (equalities, rest)
}

/// The two operands of an equality that reads one side in each, the left one first.
fn equality(condition: &Expr, width: usize) -> Option<(Expr, Expr)> {
    let ExprKind::Call { function, args, .. } = &condition.kind else { return None };
    let [a, b] = args.as_slice() else { return None };
    let is_left = |e: &Expr| !e.columns().is_empty() && e.columns().iter().all(|at| *at < width);
    let is_right = |e: &Expr| !e.columns().is_empty() && e.columns().iter().all(|at| *at >= width);
    match function.as_str() {
        "=" if is_left(a) && is_right(b) => Some((a.clone(), b.clone())),
        "=" if is_right(a) && is_left(b) => Some((b.clone(), a.clone())),
        _ => None,
    }
}

//! One join: which conditions are equal columns, which bound time, what is left; and which of the
//! three joins it is.

use std::collections::HashSet;

use flow_ir::connector::{FILE, VIEW_JOB, is_bounded, is_generated};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::logical::JoinClass;
use flow_ir::physical::{Changelog, JoinKind};
use flow_ir::span::Span;

use super::Checker;
use super::expr::all_of;
use super::from::{AsOf, Kind, plain_column};
use super::interval;
use super::typed::{Join, QueryId, QueryOp};
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
pub(super) struct Equality {
    pub left: Expr,
    pub right: Expr,
    /// As it was written.
    pub condition: Expr,
    /// IS NOT DISTINCT FROM.
    pub nulls_equal: bool,
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
        let kind = match kind {
            Kind::Inner => JoinKind::Inner,
            Kind::Left | Kind::Right => JoinKind::Left,
            Kind::Full => JoinKind::Full,
            Kind::Semi => JoinKind::Semi,
            Kind::Anti => JoinKind::Anti,
        };
        let append = |id: QueryId| self.query_node(id).changelog == Changelog::Append;
        let found = match append(left) && append(right) {
            true => interval::find(&conditions, left_columns, right_columns),
            false => interval::Found::Nothing,
        };
        let (class, conditions) = match found {
            interval::Found::Between(class, rest) => (class, rest),
            interval::Found::Nothing => (JoinClass::Regular, conditions),
            interval::Found::Empty(at) => return self.report(joins::empty_interval(at)),
        };
        let (equalities, rest) = split_equalities(conditions, width);
        if equalities.is_empty()
            && class == JoinClass::Regular
            && kind.has_pairs()
            && !self.at_most_one_row(left, right)
        {
            self.found.push(joins::cross_join(span));
        }
        self.keyed_join(left, right, kind, equalities, rest, class, span)
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
        let (left, right) = (right, left);
        let turned = Sides { kind: Kind::Left, left, right, conditions, as_of: None, span };
        let joined = self.join_sides(turned)?;
        Some(self.select_columns(joined, (r..r + l).chain(0..r), span))
    }

    /// The join with its keys as columns; keys that are computed get hidden columns, which are
    /// projected away again.
    #[expect(clippy::too_many_arguments, reason = "the parts of one join")]
    pub(super) fn keyed_join(
        &mut self,
        left: QueryId,
        right: QueryId,
        kind: JoinKind,
        equalities: Vec<Equality>,
        rest: Vec<Expr>,
        class: JoinClass,
        span: Span,
    ) -> Option<QueryId> {
        let l = self.query_node(left).columns.len();
        let r = self.query_node(right).columns.len();
        let (mut more_left, mut more_right) = (Vec::new(), Vec::new());
        let mut keys = Vec::with_capacity(equalities.len());
        let mut nulls_equal = Vec::new();
        for equality in equalities {
            let Equality { left, right, .. } = equality;
            let key =
                (column_or_add(left, l, &mut more_left), column_or_add(right, r, &mut more_right));
            let at = keys.iter().position(|known| *known == key).unwrap_or(keys.len());
            if at == keys.len() {
                keys.push(key);
                nulls_equal.extend(equality.nulls_equal.then_some(at));
            } else if !equality.nulls_equal {
                nulls_equal.retain(|known| *known != at);
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
        let join = Join { left, right, kind, keys, nulls_equal, condition, class };
        let joined = self.join(join, span);
        if !widened {
            return Some(joined);
        }
        let right = if kind.has_pairs() { l + added..l + added + r } else { 0..0 };
        Some(self.select_columns(joined, (0..l).chain(right), span))
    }

    /// FOR SYSTEM_TIME AS OF.
    fn temporal_join(&mut self, sides: Sides) -> Option<QueryId> {
        let Sides { kind, left, right, conditions, as_of, span } = sides;
        let AsOf { time: as_of, alias } = as_of?;
        if self.is_now(left, &as_of) && self.is_settled(right) {
            return self.lookup_join(left, right, kind, conditions, span);
        }
        let declared = self.query_node(right).span;
        let Some((primary_key, right_time)) = self.versions(right) else {
            let name = self.leaf_name(right);
            let problem = match self.served_by(right) {
                Some(job) => plans::view_without_versions(&name, job, span),
                None => joins::temporal_needs_table(&name, span, Some(declared)),
            };
            return self.report(problem);
        };
        let kind = self.temporal_kind(kind, span)?;
        let of = self.query_node(left);
        let width = of.columns.len();
        let updating = of.changelog != Changelog::Append;
        let left_time = plain_column(&as_of)
            .filter(|at| !updating && of.columns.get(*at).is_some_and(|c| c.event_time));
        let Some(left_time) = left_time else {
            return self.report(joins::temporal_time(as_of.span, updating));
        };
        let (equalities, mut rest) = split_equalities(conditions, width);
        let mut said = HashSet::new();
        let (keys, others): (Vec<_>, Vec<_>) = equalities.into_iter().partition(|e| {
            let at = plain_column(&e.right).filter(|at| !e.nulls_equal && primary_key.contains(at));
            at.is_some_and(|at| said.insert(at))
        });
        rest.extend(others.into_iter().map(|e| e.condition));
        rest.extend(self.is_present(right, width, span));
        self.whole_key((left, right), &alias, &primary_key, &keys, &rest, span)?;
        self.clock_mismatch(left, left_time, right, right_time, declared, as_of.span);
        let class = JoinClass::Temporal { left_time, right_time };
        self.keyed_join(left, right, kind, keys, rest, class, span)
    }

    /// FOR SYSTEM_TIME AS OF the clock, of what is read before all else.
    fn lookup_join(
        &mut self,
        left: QueryId,
        right: QueryId,
        kind: Kind,
        conditions: Vec<Expr>,
        span: Span,
    ) -> Option<QueryId> {
        let kind = self.temporal_kind(kind, span)?;
        let width = self.query_node(left).columns.len();
        let (equalities, rest) = split_equalities(conditions, width);
        let (strict, loose): (Vec<_>, Vec<_>) =
            equalities.into_iter().partition(|e| !e.nulls_equal);
        let rest = rest.into_iter().chain(loose.into_iter().map(|e| e.condition)).collect();
        self.keyed_join(left, right, kind, strict, rest, JoinClass::Lookup, span)
    }

    fn temporal_kind(&mut self, kind: Kind, span: Span) -> Option<JoinKind> {
        let refused = match kind {
            Kind::Inner => return Some(JoinKind::Inner),
            Kind::Left => return Some(JoinKind::Left),
            Kind::Right => "RIGHT",
            Kind::Full => "FULL",
            Kind::Semi => "SEMI",
            Kind::Anti => "ANTI",
        };
        self.report(joins::temporal_kind(refused, span))
    }

    /// Whether an expression over a node is the clock.
    fn is_now(&self, query: QueryId, expr: &Expr) -> bool {
        expr.kind == ExprKind::Clock
            || plain_column(expr).is_some_and(|at| self.is_clock(query, at))
    }

    /// Whether all rows are read before those of other inputs: of files and generated streams that
    /// end and have no event time.
    fn is_settled(&self, query: QueryId) -> bool {
        self.below(query).into_iter().all(|id| match &self.query_node(id).op {
            QueryOp::Scan(id) => {
                let relation = self.module.relation(*id);
                let stream = &relation.stream;
                let ends = is_bounded(&stream.connector, |name| stream.option(name));
                let here = stream.connector == FILE || is_generated(&stream.connector);
                relation.watermark.is_none() && ends && here
            }
            QueryOp::Filter { .. } | QueryOp::Project { .. } | QueryOp::Unnest(_) => true,
            QueryOp::Join(_) | QueryOp::UnionAll(_) | QueryOp::Aggregate(_) => true,
            QueryOp::Window(_) | QueryOp::Deduplicate(_) | QueryOp::TopN(_) | QueryOp::Over(_) => {
                true
            }
        })
    }

    /// Primary key and event time of a keyed table that a node scans, or of the versions that it
    /// holds.
    fn versions(&self, query: QueryId) -> Option<(Vec<usize>, Option<usize>)> {
        if let Some(versions) = self.versions_in(query) {
            return Some((versions.key.clone(), Some(versions.time)));
        }
        let QueryOp::Scan(id) = &self.query_node(query).op else { return None };
        let relation = self.module.relation(*id);
        let time = relation.watermark.as_ref().map(|w| w.column);
        let versioned = !relation.primary_key.is_empty() && !relation.is_view();
        versioned.then(|| (relation.primary_key.clone(), time))
    }

    /// The condition that a version is one, over a left side of this width and the versions.
    fn is_present(&self, query: QueryId, width: usize, span: Span) -> Option<Expr> {
        let at = self.versions_in(query)?.present?;
        let ty = self.query_node(query).columns[at].ty.clone();
        Some(Expr::column(width + at, ty, span))
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
            QueryOp::Unnest(unnest) => {
                let own = column < self.query_node(unnest.input).columns.len();
                own.then(|| vec![(unnest.input, column)])
            }
            QueryOp::UnionAll(inputs) => Some(inputs.iter().map(|i| (*i, column)).collect()),
            QueryOp::Window(_)
            | QueryOp::Aggregate(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::TopN(_)
            | QueryOp::Over(_) => None,
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
            Some((left, mut right, nulls_equal)) => {
                right.map_columns(&|at| at - width);
                equalities.push(Equality { left, right, condition, nulls_equal });
            }
            None => rest.push(condition),
        }
    }
    (equalities, rest)
}

/// The two operands of an equality that reads one side in each, the left one first, and whether
/// NULL equals NULL in it.
pub(super) fn equality(condition: &Expr, width: usize) -> Option<(Expr, Expr, bool)> {
    let ExprKind::Call { function, args, .. } = &condition.kind else { return None };
    let [a, b] = args.as_slice() else { return None };
    let is_left = |e: &Expr| !e.columns().is_empty() && e.columns().iter().all(|at| *at < width);
    let is_right = |e: &Expr| !e.columns().is_empty() && e.columns().iter().all(|at| *at >= width);
    let nulls_equal = match function.as_str() {
        "=" => false,
        "IS NOT DISTINCT FROM" => true,
        _ => return None,
    };
    match (is_left(a) && is_right(b), is_right(a) && is_left(b)) {
        (true, _) => Some((a.clone(), b.clone(), nulls_equal)),
        (false, true) => Some((b.clone(), a.clone(), nulls_equal)),
        (false, false) => None,
    }
}

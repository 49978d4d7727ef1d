//! Query nodes and what is known of their rows: changelog kind, unique keys, event time, windows.
//! Each constructor derives the properties that `typed` promises; nothing else makes a node.

use std::collections::HashSet;

use flow_ir::aggregate::{AggregateCall, WindowSpec};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::logical::{JoinClass, element_columns};
use flow_ir::over::OverFunction;
use flow_ir::physical::{Changelog, JoinKind, Keep, Numbering};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};

use super::Checker;
use super::from::plain_column;
use super::typed::{
    Aggregate, Bound, Column, Deduplicate, Join, Over, Query, QueryId, QueryOp, RelationId, TopN,
    TypedModule, Unnest, Window, WindowBound, WindowSource, window_of_rows,
};

/// Unique keys kept of a node; more are forgotten.
const UNIQUE_KEYS_MAX: usize = 8;

impl Checker<'_> {
    /// A node and all below it, each once, nearest first.
    pub(super) fn below(&self, query: QueryId) -> Vec<QueryId> {
        let mut seen = HashSet::from([query]);
        let mut found = vec![query];
        let mut next = 0;
        while let Some(id) = found.get(next).copied() {
            next += 1;
            found.extend(self.query_node(id).inputs().into_iter().filter(|i| seen.insert(*i)));
        }
        found
    }

    /// The relations that are read by a node or below it.
    pub(super) fn scanned(&self, query: QueryId) -> impl Iterator<Item = RelationId> + '_ {
        self.below(query).into_iter().filter_map(|id| match self.query_node(id).op {
            QueryOp::Scan(relation) => Some(relation),
            QueryOp::Filter { .. }
            | QueryOp::Project { .. }
            | QueryOp::Unnest(_)
            | QueryOp::Join(_)
            | QueryOp::Window(_)
            | QueryOp::Aggregate(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::TopN(_)
            | QueryOp::Over(_)
            | QueryOp::UnionAll(_) => None,
        })
    }

    pub(super) fn add(&mut self, query: Query) -> QueryId {
        let id = QueryId(u32::try_from(self.module.queries.len()).unwrap_or(u32::MAX));
        self.module.queries.push(query);
        id
    }

    /// Reads a relation; one node per relation.
    pub(super) fn scan(&mut self, id: RelationId) -> QueryId {
        if let Some(scan) = self.scans.get(&id) {
            return *scan;
        }
        let relation = self.module.relation(id);
        let keyed = !relation.primary_key.is_empty();
        let updates = keyed || relation.is_view() || relation.says_changes();
        let time = relation.watermark.as_ref().map(|w| w.column);
        let columns = relation.columns.iter().enumerate().map(|(at, column)| Column {
            event_time: time == Some(at),
            ..Column::new(column.name.clone(), column.ty.clone())
        });
        let query = Query {
            op: QueryOp::Scan(id),
            columns: columns.collect(),
            changelog: if updates { Changelog::Retract } else { Changelog::Append },
            unique_keys: if keyed { vec![relation.primary_key.clone()] } else { Vec::new() },
            span: relation.span,
        };
        let scan = self.add(query);
        let poisoned = self.declared(id).poisoned.clone();
        self.poisoned.extend(poisoned.into_iter().map(|at| (scan, at)));
        self.scans.insert(id, scan);
        scan
    }

    /// Rows where the condition is TRUE.
    pub(super) fn filter(&mut self, input: QueryId, condition: Expr, span: Span) -> QueryId {
        let of = self.query_node(input);
        let query = Query {
            columns: of.columns.clone(),
            changelog: of.changelog,
            unique_keys: of.unique_keys.clone(),
            op: QueryOp::Filter { input, condition },
            span,
        };
        let id = self.add(query);
        self.pass_poison(input, id);
        id
    }

    /// Columns of `from` that failed are failed in `to` at the same positions.
    fn pass_poison(&mut self, from: QueryId, to: QueryId) {
        let width = self.query_node(from).columns.len();
        let poisoned = (0..width).filter(|at| self.poisoned.contains(&(from, *at)));
        let poisoned: Vec<_> = poisoned.map(|at| (to, at)).collect();
        self.poisoned.extend(poisoned);
    }

    /// One column per (name, expression); a `None` expression failed.
    pub(super) fn project(
        &mut self,
        input: QueryId,
        items: Vec<(String, Option<Expr>)>,
        span: Span,
    ) -> QueryId {
        let of = self.query_node(input);
        let mut columns = Vec::with_capacity(items.len());
        let mut exprs = Vec::with_capacity(items.len());
        let mut poisoned = Vec::new();
        for (at, (name, expr)) in items.into_iter().enumerate() {
            let expr = expr.unwrap_or_else(|| {
                poisoned.push(at);
                let null = Type::nullable(DataType::Null);
                Expr::literal(flow_ir::value::Value::Null, null, span)
            });
            let source = plain_column(&expr).and_then(|from| of.columns.get(from));
            columns.push(Column {
                name,
                ty: expr.ty.clone(),
                event_time: source.is_some_and(|c| c.event_time),
                window: source.and_then(|c| c.window),
            });
            exprs.push(expr);
        }
        let unique_keys = of
            .unique_keys
            .iter()
            .filter_map(|key| key.iter().map(|at| position_of(&exprs, *at)).collect())
            .collect();
        let changelog = of.changelog;
        let op = QueryOp::Project { input, exprs };
        let id = self.add(Query { op, columns, changelog, unique_keys, span });
        self.poisoned.extend(poisoned.into_iter().map(|at| (id, at)));
        id
    }

    /// The input's columns at these positions, unchanged.
    pub(super) fn select_columns(
        &mut self,
        input: QueryId,
        at: impl IntoIterator<Item = usize>,
        span: Span,
    ) -> QueryId {
        let items = at.into_iter().map(|at| self.pass_column(input, at, span)).collect();
        self.project(input, items, span)
    }

    /// A projection's item that passes a column on; a poisoned one stays poisoned.
    pub(super) fn pass_column(
        &self,
        input: QueryId,
        at: usize,
        span: Span,
    ) -> (String, Option<Expr>) {
        let column = &self.query_node(input).columns[at];
        let expr = (!self.poisoned.contains(&(input, at)))
            .then(|| Expr::column(at, column.ty.clone(), span));
        (column.name.clone(), expr)
    }

    /// The input with further columns behind; the input itself where there are none.
    pub(super) fn extend(
        &mut self,
        input: QueryId,
        more: Vec<(String, Option<Expr>)>,
        span: Span,
    ) -> QueryId {
        if more.is_empty() {
            return input;
        }
        let width = self.query_node(input).columns.len();
        let mut items: Vec<_> = (0..width).map(|at| self.pass_column(input, at, span)).collect();
        items.extend(more);
        self.project(input, items, span)
    }

    /// A row per element.
    pub(super) fn unnest(&mut self, unnest: Unnest, span: Span) -> QueryId {
        let of = self.query_node(unnest.input);
        let input = unnest.input;
        let mut columns = of.columns.clone();
        for &at in &unnest.columns {
            let elements = element_columns(&of.columns[at].ty).into_iter();
            columns.extend(elements.map(|field| Column::new(field.name, field.ty)));
        }
        let mut unique_keys = Vec::new();
        if unnest.ordinality {
            let position = columns.len();
            let ty = Type { data: DataType::BigInt, nullable: unnest.outer };
            columns.push(Column::new("ordinality", ty));
            unique_keys.clone_from(&of.unique_keys);
            unique_keys.iter_mut().for_each(|key| key.push(position));
        }
        let changelog = of.changelog;
        let op = QueryOp::Unnest(unnest);
        let id = self.add(Query { op, columns, changelog, unique_keys, span });
        self.pass_poison(input, id);
        id
    }

    /// Pairs of rows.
    pub(super) fn join(&mut self, join: Join, span: Span) -> QueryId {
        let (left, right) = (self.query_node(join.left), self.query_node(join.right));
        let width = left.columns.len();
        let append = |q: &Query| q.changelog == Changelog::Append;
        let changelog = match join.class {
            JoinClass::Temporal { .. } | JoinClass::Interval { .. } | JoinClass::Window { .. } => {
                Changelog::Append
            }
            JoinClass::Lookup => left.changelog,
            JoinClass::Regular
                if append(left)
                    && append(right)
                    && matches!(join.kind, JoinKind::Inner | JoinKind::Semi) =>
            {
                Changelog::Append
            }
            JoinClass::Regular => Changelog::Retract,
        };
        let (outer, both) = (join.kind.keeps_lonely(0), join.kind.has_pairs());
        let left_stays = !join.kind.keeps_lonely(1);
        let origin = |q: &Query, at: usize| q.columns[at].window.map(|w| w.origin);
        // Rows of windows wait until these close: what is known of other times is then behind.
        let of_window = |q: &Query, at: usize, c: &Column| {
            c.window.is_some_and(|w| Some(w.origin) == origin(q, at))
        };
        let left_time = |c: &Column| match join.class {
            JoinClass::Regular => false,
            JoinClass::Temporal { .. } | JoinClass::Lookup => true,
            JoinClass::Interval { .. } => left_stays,
            JoinClass::Window { left_end, .. } => left_stays && of_window(left, left_end, c),
        };
        let right_time = |c: &Column| match join.class {
            JoinClass::Regular | JoinClass::Temporal { .. } | JoinClass::Lookup => false,
            JoinClass::Interval { .. } => !outer,
            JoinClass::Window { right_end, .. } => !outer && of_window(right, right_end, c),
        };
        let left_columns = left.columns.iter().map(|c| {
            let nullable = c.ty.nullable || join.kind.keeps_lonely(1);
            Column { ty: c.ty.with_nullable(nullable), ..timed(c, left_time(c)) }
        });
        let right_columns = right.columns.iter().map(|c| {
            let nullable = c.ty.nullable || outer;
            Column { ty: c.ty.with_nullable(nullable), ..timed(c, right_time(c)) }
        });
        let columns = left_columns.chain(right_columns.filter(|_| both)).collect();
        let unique_keys = join_keys(&join, left, right, width);
        let inputs = (join.left, join.right);
        let op = QueryOp::Join(join);
        let id = self.add(Query { op, columns, changelog, unique_keys, span });
        self.pass_poison(inputs.0, id);
        if !both {
            return id;
        }
        let right_width = self.query_node(inputs.1).columns.len();
        let poisoned = (0..right_width).filter(|at| self.poisoned.contains(&(inputs.1, *at)));
        let poisoned: Vec<_> = poisoned.map(|at| (id, at + width)).collect();
        self.poisoned.extend(poisoned);
        id
    }

    /// A row per window, or each row in its session.
    pub(super) fn window(&mut self, window: Window, span: Span) -> QueryId {
        let id = QueryId(u32::try_from(self.module.queries.len()).unwrap_or(u32::MAX));
        let input = window.input;
        let of = self.query_node(input);
        // Rows wait until their session is over; their times are then behind.
        let waits = matches!(window.spec, WindowSpec::Session { .. });
        let mut columns: Vec<Column> = of.columns.iter().map(|c| timed(c, !waits)).collect();
        let time = columns[window.time].ty.data.clone();
        let corrected = waits && window.lateness > 0;
        let kind = WindowBound {
            spec: window.spec,
            origin: id,
            bound: Bound::Start,
            by_clock: window.by_clock,
        };
        columns.extend(bound_columns(kind, &time, !corrected, true));
        let of_rows = if waits { Changelog::Append } else { of.changelog };
        let query = Query {
            columns,
            changelog: if corrected { Changelog::Retract } else { of_rows },
            unique_keys: Vec::new(),
            op: QueryOp::Window(window),
            span,
        };
        let id = self.add(query);
        self.pass_poison(input, id);
        id
    }

    /// Groups. `names` are those of the results.
    pub(super) fn aggregate(&mut self, aggregate: Aggregate, span: Span) -> QueryId {
        let id = QueryId(u32::try_from(self.module.queries.len()).unwrap_or(u32::MAX));
        let of = self.query_node(aggregate.input);
        let plain = |at: &usize| timed(&of.columns[*at], false);
        let mut columns: Vec<Column> = aggregate.keys.iter().map(plain).collect();
        let result = |(at, call): (usize, &AggregateCall)| {
            Column::new(format!("${}{at}", call.function.to_lowercase()), call.ty.clone())
        };
        columns.extend(aggregate.calls.iter().enumerate().map(result));
        let key: Vec<usize> = (0..aggregate.keys.len()).collect();
        let (changelog, unique_keys) = match &aggregate.window {
            Some(WindowSource { start, spec, lateness, by_clock, .. }) => {
                let time = of.columns[*start].ty.data.clone();
                let first = columns.len();
                let updates = *lateness > 0 || aggregate.emits_changes;
                let (spec, by_clock) = (*spec, *by_clock);
                let kind = WindowBound { spec, origin: id, bound: Bound::Start, by_clock };
                columns.extend(bound_columns(kind, &time, !updates, !updates));
                let with = |bounds: &[usize]| -> Vec<usize> {
                    key.iter().copied().chain(bounds.iter().map(|bound| first + bound)).collect()
                };
                let changelog = if updates { Changelog::Retract } else { Changelog::Append };
                let keys = match spec.bounds_say_each_other() {
                    [_, true] => vec![with(&[0]), with(&[1])],
                    [true, false] => vec![with(&[1])],
                    // Within a key no two sessions share a time; of different keys they may.
                    [false, false] => vec![with(&[0, 1])],
                };
                (changelog, keys)
            }
            None if aggregate.calls.is_empty() && !aggregate.keys.is_empty() => {
                (of.changelog, vec![key])
            }
            None => (Changelog::Retract, vec![key]),
        };
        let (input, keys) = (aggregate.input, aggregate.keys.clone());
        let op = QueryOp::Aggregate(aggregate);
        let id = self.add(Query { op, columns, changelog, unique_keys, span });
        let failed = keys.iter().enumerate().filter(|(_, k)| self.poisoned.contains(&(input, **k)));
        let failed: Vec<_> = failed.map(|(at, _)| (id, at)).collect();
        self.poisoned.extend(failed);
        id
    }

    /// One row per key.
    pub(super) fn deduplicate(&mut self, dedup: Deduplicate, span: Span) -> QueryId {
        let of = self.query_node(dedup.input);
        let input = dedup.input;
        let stays = dedup.keep == Keep::Once;
        let query = Query {
            columns: of.columns.iter().map(|c| timed(c, stays)).collect(),
            changelog: if stays { Changelog::Append } else { Changelog::Retract },
            unique_keys: vec![dedup.keys.clone()],
            op: QueryOp::Deduplicate(dedup),
            span,
        };
        let id = self.add(query);
        self.pass_poison(input, id);
        id
    }

    /// The rows whose numbers lie in a range.
    pub(super) fn first_rows(&mut self, top: TopN, span: Span) -> QueryId {
        let of = self.query_node(top.input);
        let (input, width) = (top.input, of.columns.len());
        let window = window_of_rows(of, &top.keys).filter(|_| top.limit.is_some());
        let of_window = |column: &Column| {
            let origin = |c: &Column| c.window.map(|w| w.origin);
            let end = window.map(|window| &of.columns[window.end]);
            column.window.is_some() && end.is_some_and(|end| origin(end) == origin(column))
        };
        let mut columns: Vec<Column> = of.columns.iter().map(|c| timed(c, of_window(c))).collect();
        let mut unique_keys = of.unique_keys.clone();
        if top.rank {
            columns.push(Column::new("$rank", Type::not_null(DataType::BigInt)));
        }
        match top.numbering {
            Numbering::RowNumber if top.limit == Some(1) => unique_keys.insert(0, top.keys.clone()),
            Numbering::RowNumber if top.rank => {
                unique_keys.push(top.keys.iter().copied().chain([width]).collect());
            }
            Numbering::RowNumber | Numbering::Rank | Numbering::DenseRank => {}
        }
        unique_keys.truncate(UNIQUE_KEYS_MAX);
        let changelog = if window.is_some() { Changelog::Append } else { Changelog::Retract };
        let op = QueryOp::TopN(top);
        let id = self.add(Query { op, columns, changelog, unique_keys, span });
        self.pass_poison(input, id);
        id
    }

    /// The rows with values computed from those around them.
    pub(super) fn over(&mut self, over: Over, span: Span) -> QueryId {
        let of = self.query_node(over.input);
        let (input, width) = (over.input, of.columns.len());
        let mut columns: Vec<Column> = of.columns.iter().map(|c| timed(c, over.passes)).collect();
        let mut unique_keys = of.unique_keys.clone();
        for (at, call) in over.calls.iter().enumerate() {
            columns.push(Column::new(format!("$call{at}"), call.ty.clone()));
            if call.function == OverFunction::Number(Numbering::RowNumber) {
                unique_keys.push(over.keys.iter().copied().chain([width + at]).collect());
            }
        }
        unique_keys.truncate(UNIQUE_KEYS_MAX);
        let changelog = if over.passes { Changelog::Append } else { Changelog::Retract };
        let op = QueryOp::Over(over);
        let id = self.add(Query { op, columns, changelog, unique_keys, span });
        self.pass_poison(input, id);
        id
    }

    /// The rows of all inputs, whose columns agree in data type.
    pub(super) fn union_all(&mut self, inputs: Vec<QueryId>, span: Span) -> QueryId {
        let id = QueryId(u32::try_from(self.module.queries.len()).unwrap_or(u32::MAX));
        let all: Vec<&Query> = inputs.iter().map(|i| self.query_node(*i)).collect();
        let width = all.first().map_or(0, |q| q.columns.len());
        let append = all.iter().all(|q| q.changelog == Changelog::Append);
        let columns = (0..width).map(|at| {
            let of: Vec<&Column> = all.iter().map(|q| &q.columns[at]).collect();
            let nullable = of.iter().any(|c| c.ty.nullable);
            let bound = of[0].window.filter(|w| {
                let same = |b: WindowBound| WindowBound { origin: w.origin, ..b } == *w;
                of.iter().all(|c| c.window.is_some_and(same))
            });
            Column {
                name: of[0].name.clone(),
                ty: of[0].ty.with_nullable(nullable),
                event_time: of.iter().all(|c| c.event_time),
                window: bound.filter(|_| append).map(|w| WindowBound { origin: id, ..w }),
            }
        });
        let columns = columns.collect();
        let changelog = if append { Changelog::Append } else { Changelog::Retract };
        let op = QueryOp::UnionAll(inputs.clone());
        let id = self.add(Query { op, columns, changelog, unique_keys: Vec::new(), span });
        for input in inputs {
            self.pass_poison(input, id);
        }
        id
    }
}

/// A column that keeps its time properties or loses them.
fn timed(column: &Column, keeps: bool) -> Column {
    Column {
        event_time: column.event_time && keeps,
        window: column.window.filter(|_| keeps),
        ..column.clone()
    }
}

/// window_start, window_end and window_time of a new window.
/// `timed`: what closes the windows bounds them; `known`: they are known as a window's.
fn bound_columns(window: WindowBound, time: &DataType, timed: bool, known: bool) -> [Column; 3] {
    [(Bound::Start, "window_start"), (Bound::End, "window_end"), (Bound::Time, "window_time")].map(
        |(bound, name)| Column {
            name: name.to_string(),
            ty: Type::not_null(time.clone()),
            event_time: timed && !window.by_clock && bound != Bound::Start,
            window: known.then_some(WindowBound { bound, ..window }),
        },
    )
}

/// Where a projection passes a column on.
fn position_of(exprs: &[Expr], column: usize) -> Option<usize> {
    exprs.iter().position(|e| e.kind == ExprKind::Column(column))
}

/// Unique keys of pairs: a side's keys alone where the other side has at most one partner, else
/// one key of each.
fn join_keys(join: &Join, left: &Query, right: &Query, width: usize) -> Vec<Vec<usize>> {
    if !join.kind.has_pairs() {
        return left.unique_keys.clone();
    }
    let equal_left: Vec<usize> = join.keys.iter().map(|(l, _)| *l).collect();
    let equal_right: Vec<usize> = join.keys.iter().map(|(_, r)| *r).collect();
    let covered = |q: &Query, equal: &[usize]| {
        q.unique_keys.iter().any(|key| key.iter().all(|at| equal.contains(at)))
    };
    let shifted = |key: &[usize]| key.iter().map(|at| at + width).collect::<Vec<_>>();
    let temporal = matches!(join.class, JoinClass::Temporal { .. });
    let mut keys: Vec<Vec<usize>> = Vec::new();
    let full = join.kind == JoinKind::Full;
    if temporal || (!full && covered(right, &equal_right)) {
        keys.extend(left.unique_keys.iter().cloned());
    }
    if join.kind == JoinKind::Inner && !temporal && covered(left, &equal_left) {
        keys.extend(right.unique_keys.iter().map(|key| shifted(key)));
    }
    if keys.is_empty() && !temporal {
        for l in &left.unique_keys {
            keys.extend(
                right
                    .unique_keys
                    .iter()
                    .map(|r| l.iter().copied().chain(shifted(r)).collect::<Vec<_>>()),
            );
        }
    }
    // Two rows alone, one of each side, are the same in a key that is NULL in both.
    let column = |at: usize| left.columns.iter().chain(&right.columns).nth(at);
    let is_given = |at: &usize| column(*at).is_some_and(|c| !c.ty.nullable);
    keys.retain(|key| !full || key.iter().any(is_given));
    keys.truncate(UNIQUE_KEYS_MAX);
    match join.kind {
        JoinKind::Inner => with_equals(keys, &join.keys, width),
        JoinKind::Left | JoinKind::Full | JoinKind::Semi | JoinKind::Anti => keys,
    }
}

/// The keys, and for each the one in which equal columns of the other side stand.
fn with_equals(
    mut keys: Vec<Vec<usize>>,
    equal: &[(usize, usize)],
    width: usize,
) -> Vec<Vec<usize>> {
    for key in keys.clone() {
        for (l, r) in equal {
            let (l, r) = (*l, *r + width);
            for (from, to) in [(l, r), (r, l)] {
                if key.contains(&from) && keys.len() < UNIQUE_KEYS_MAX {
                    let swapped = key.iter().map(|at| if *at == from { to } else { *at });
                    let swapped: Vec<usize> = swapped.collect();
                    if !keys.contains(&swapped) {
                        keys.push(swapped);
                    }
                }
            }
        }
    }
    keys
}

/// Drops the nodes that no output and no view reads, and renumbers the others.
pub(super) fn drop_unread(module: &mut TypedModule) {
    let mut read = vec![false; module.queries.len()];
    let views = module.views.iter().map(|v| v.query);
    let kept = module.materialized.iter().map(|v| v.query);
    for root in module.outputs.iter().map(|o| o.query).chain(views).chain(kept) {
        read[root.0 as usize] = true;
    }
    for at in (0..module.queries.len()).rev() {
        if read[at] {
            for input in module.queries[at].inputs() {
                read[input.0 as usize] = true;
            }
        }
    }
    let mut next = 0;
    let renumbered: Vec<QueryId> = read
        .iter()
        .map(|kept| {
            let id = QueryId(next);
            next += u32::from(*kept);
            id
        })
        .collect();
    let new = |id: QueryId| renumbered[id.0 as usize];
    let mut kept = read.iter();
    module.queries.retain(|_| kept.next().copied().unwrap_or(false));
    for query in &mut module.queries {
        query.renumber(&new);
    }
    for output in &mut module.outputs {
        output.query = new(output.query);
    }
    for view in &mut module.views {
        view.query = new(view.query);
    }
    for view in &mut module.materialized {
        view.query = new(view.query);
    }
}

impl Query {
    fn renumber(&mut self, new: &impl Fn(QueryId) -> QueryId) {
        match &mut self.op {
            QueryOp::Scan(_) => {}
            QueryOp::Filter { input, .. } | QueryOp::Project { input, .. } => *input = new(*input),
            QueryOp::Join(join) => {
                join.left = new(join.left);
                join.right = new(join.right);
            }
            QueryOp::Unnest(unnest) => unnest.input = new(unnest.input),
            QueryOp::Window(window) => window.input = new(window.input),
            QueryOp::Aggregate(aggregate) => aggregate.input = new(aggregate.input),
            QueryOp::Deduplicate(dedup) => dedup.input = new(dedup.input),
            QueryOp::TopN(top) => top.input = new(top.input),
            QueryOp::Over(over) => over.input = new(over.input),
            QueryOp::UnionAll(inputs) => inputs.iter_mut().for_each(|input| *input = new(*input)),
        }
        for window in self.columns.iter_mut().filter_map(|c| c.window.as_mut()) {
            window.origin = new(window.origin);
        }
    }
}

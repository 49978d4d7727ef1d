//! What bounds the state of a job: for each table, how long its rows stay, and whether they grow
//! with the input for ever. One walk over the graph in topological order.

use flow_ir::connector::{VIEW, is_bounded, is_changelog};
use flow_ir::ids::{TableId, VertexId};
use flow_ir::physical::{
    Changelog, Deduplicate, Edge, GroupAggregate, JobGraph, Join, Materialize, Over, PhysicalOp,
    Source, TopN, Vertex,
};
use flow_ir::types::{DataType, Type};

use crate::diagnostics::{Diagnostic, plans};

/// How many rows of a relation are there at one time. In ascending order: what is made of several
/// relations is as large as the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    /// A number that the query fixes.
    Fixed,
    /// What an input has that ends.
    Input,
    /// As many as tables and changelogs hold: what is deleted there goes here, too.
    Tables,
    /// More with every record.
    Records,
}

impl Extent {
    /// What is to be said of rows that stay as long as the relation's.
    fn text(self) -> &'static str {
        match self {
            Extent::Fixed => "",
            Extent::Input => " of an input that ends",
            Extent::Tables => " that its tables hold",
            Extent::Records => ", for ever",
        }
    }
}

/// What bounds a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Which rows it keeps, and until when: "a row per [user], for ever".
    pub text: String,
    /// Whether nothing bounds it: it grows as long as the job runs.
    pub grows: bool,
}

impl Bound {
    fn until(text: impl Into<String>) -> Self {
        Self { text: text.into(), grows: false }
    }

    fn of(extent: Extent, what: &str) -> Self {
        Self { text: format!("{what}{}", extent.text()), grows: extent == Extent::Records }
    }
}

/// The bound of each table, by its id.
pub fn state_bounds(graph: &JobGraph) -> Vec<Bound> {
    let mut bounds = vec![Bound::until(""); graph.tables.len()];
    let mut walk = Walk { graph, extents: Vec::new() };
    for index in 0..graph.vertices.len() {
        for (table, bound) in walk.tables(VertexId::from(index)) {
            bounds[table.index()] = bound;
        }
        walk.extents.push(walk.extent(VertexId::from(index)));
    }
    bounds
}

/// A warning for each operator whose state nothing bounds, in the order of the program.
pub fn unbounded_state(graph: &JobGraph) -> Vec<Diagnostic> {
    let bounds = state_bounds(graph);
    let mut found: Vec<Diagnostic> = Vec::new();
    for vertex in &graph.vertices {
        let tables = vertex.op.tables();
        let growing = tables.iter().map(|table| &bounds[table.index()]).filter(|b| b.grows);
        let mut kept: Vec<&str> = growing.map(|bound| bound.text.as_str()).collect();
        kept.dedup();
        if let Some(remedy) = remedy(&vertex.op).filter(|_| !kept.is_empty()) {
            let what = format!("{} keeps {}", vertex.op.kind(), kept.join(", and "));
            let warning = plans::unbounded_state(&what, remedy, vertex.span);
            if !found.contains(&warning) {
                found.push(warning);
            }
        }
    }
    crate::diagnostics::sort(&mut found);
    found
}

struct Walk<'a> {
    graph: &'a JobGraph,
    /// Of the vertices so far.
    extents: Vec<Extent>,
}

impl Walk<'_> {
    fn vertex(&self, id: VertexId) -> &Vertex {
        &self.graph.vertices[id.index()]
    }

    fn edge(&self, id: VertexId, port: usize) -> Option<&Edge> {
        self.graph.inputs(id).into_iter().nth(port)
    }

    /// The extent of an input.
    fn input(&self, id: VertexId, port: usize) -> Extent {
        self.edge(id, port).map_or(Extent::Records, |edge| self.extents[edge.from.index()])
    }

    /// The extent of all inputs together.
    fn inputs(&self, id: VertexId) -> Extent {
        let edges = self.graph.inputs(id);
        let extents = edges.iter().map(|edge| self.extents[edge.from.index()]);
        extents.max().unwrap_or(Extent::Fixed)
    }

    /// The extent of what a vertex gives.
    fn extent(&self, id: VertexId) -> Extent {
        match &self.vertex(id).op {
            PhysicalOp::Source(op) => self.source(op),
            PhysicalOp::Normalize(_) => self.input(id, 0).min(Extent::Tables),
            PhysicalOp::GroupAggregate(op) => self.per_key(id, &first(op.keys)),
            PhysicalOp::Deduplicate(op) => self.per_key(id, &op.keys),
            PhysicalOp::TopN(op) if op.limit.is_some() && op.window.is_none() => {
                self.per_key(id, &op.keys)
            }
            PhysicalOp::TemporalJoin(_) | PhysicalOp::LookupJoin(_) => self.input(id, 0),
            PhysicalOp::Join(op) if !op.kind.has_pairs() => self.input(id, 0),
            PhysicalOp::WindowJoin(op) if !op.kind.has_pairs() => self.input(id, 0),
            PhysicalOp::IntervalJoin(op) if !op.kind.has_pairs() => self.input(id, 0),
            PhysicalOp::Map(_)
            | PhysicalOp::Unnest(_)
            | PhysicalOp::Late(_)
            | PhysicalOp::WindowExpand(_)
            | PhysicalOp::SessionWindow(_)
            | PhysicalOp::SessionAggregate(_)
            | PhysicalOp::PreAggregate(_)
            | PhysicalOp::WindowAggregate(_)
            | PhysicalOp::WindowJoin(_)
            | PhysicalOp::Join(_)
            | PhysicalOp::IntervalJoin(_)
            | PhysicalOp::TopN(_)
            | PhysicalOp::Over(_)
            | PhysicalOp::Materialize(_)
            | PhysicalOp::Union(_)
            | PhysicalOp::Sink(_) => self.inputs(id),
        }
    }

    fn source(&self, op: &Source) -> Extent {
        let stream = self.graph.stream(op.stream);
        let changes = stream.value_format.as_deref().is_some_and(is_changelog);
        if is_bounded(&stream.connector, |name| stream.option(name)) {
            Extent::Input
        } else if stream.connector == VIEW || changes || !stream.primary_key.is_empty() {
            Extent::Tables
        } else {
            Extent::Records
        }
    }

    /// Of something that is there once per value of these columns of the input.
    fn per_key(&self, id: VertexId, keys: &[usize]) -> Extent {
        let input = self.edge(id, 0).map(|edge| &self.vertex(edge.from).columns);
        let few = |ty: &Type| matches!(ty.data, DataType::Boolean | DataType::Null);
        let few = |&key: &usize| {
            input.and_then(|columns| columns.get(key)).is_some_and(|column| few(&column.ty))
        };
        if keys.iter().all(few) { Extent::Fixed } else { self.input(id, 0) }
    }

    /// The tables of a vertex.
    fn tables(&self, id: VertexId) -> Vec<(TableId, Bound)> {
        let until = |table: TableId, text: &str| (table, Bound::until(text));
        match &self.vertex(id).op {
            PhysicalOp::Source(_)
            | PhysicalOp::Map(_)
            | PhysicalOp::Unnest(_)
            | PhysicalOp::Late(_)
            | PhysicalOp::WindowExpand(_)
            | PhysicalOp::PreAggregate(_)
            | PhysicalOp::Union(_)
            | PhysicalOp::Sink(_) => Vec::new(),
            PhysicalOp::SessionWindow(op) => {
                let tables = [op.sessions, op.rows, op.timers];
                tables.map(|table| until(table, "until the session is over")).into()
            }
            PhysicalOp::SessionAggregate(op) => {
                let tables = [op.sessions, op.timers];
                tables.map(|table| until(table, "until the session is over")).into()
            }
            PhysicalOp::GroupAggregate(op) => self.group(id, op),
            PhysicalOp::WindowAggregate(op) => {
                let tables = std::iter::once(op.groups).chain(op.values).chain(op.distinct);
                tables.map(|table| until(table, "until the window closes")).collect()
            }
            PhysicalOp::WindowJoin(op) => {
                [op.left, op.right].map(|table| until(table, "until the window closes")).into()
            }
            PhysicalOp::Join(op) => self.join(id, op),
            PhysicalOp::IntervalJoin(op) => {
                let tables = [op.left, op.right, op.timers];
                tables.map(|table| until(table, "while partners can come")).into()
            }
            PhysicalOp::TemporalJoin(op) => vec![
                until(op.pending, "until the watermark passes"),
                until(op.versions, "the newest version of a key, and those still asked for"),
            ],
            PhysicalOp::LookupJoin(op) => {
                vec![(op.right, Bound::of(self.input(id, 1), "every row"))]
            }
            PhysicalOp::Deduplicate(op) => self.deduplicate(id, op),
            PhysicalOp::TopN(op) => self.top_n(id, op),
            PhysicalOp::Over(op) => self.over(id, op),
            PhysicalOp::Normalize(op) => {
                let by = self.names(id, &op.keys);
                vec![(op.rows, Bound::of(self.extent(id), &format!("a row per [{by}]")))]
            }
            PhysicalOp::Materialize(op) => self.materialize(id, op),
        }
    }

    fn group(&self, id: VertexId, op: &GroupAggregate) -> Vec<(TableId, Bound)> {
        let keys = first(op.keys);
        let groups = match op.keys {
            0 => Bound::until("one group"),
            _ => self.one_per_key(id, &keys),
        };
        let by = self.names(id, &keys);
        let per = if by.is_empty() { String::new() } else { format!(" per [{by}]") };
        let all =
            |table, what: &str| (table, Bound::of(self.input(id, 0), &format!("{what}{per}")));
        let values = op.values.map(|table| all(table, "every value"));
        let distinct = op.distinct.map(|table| all(table, "every different value"));
        std::iter::once((op.groups, groups)).chain(values).chain(distinct).collect()
    }

    fn one_per_key(&self, id: VertexId, keys: &[usize]) -> Bound {
        let by = self.names(id, keys);
        Bound::of(self.per_key(id, keys), &format!("a row per [{by}]"))
    }

    fn join(&self, id: VertexId, op: &Join) -> Vec<(TableId, Bound)> {
        let side = |port, what| Bound::of(self.input(id, port), what);
        vec![(op.left, side(0, "every left row")), (op.right, side(1, "every right row"))]
    }

    fn deduplicate(&self, id: VertexId, op: &Deduplicate) -> Vec<(TableId, Bound)> {
        vec![(op.rows, self.one_per_key(id, &op.keys))]
    }

    fn top_n(&self, id: VertexId, op: &TopN) -> Vec<(TableId, Bound)> {
        let appended = self
            .edge(id, 0)
            .is_some_and(|edge| self.vertex(edge.from).changelog == Changelog::Append);
        let bound = match op.limit {
            _ if op.window.is_some() => Bound::until("until the window closes"),
            Some(limit) if appended => {
                let rows = limit.saturating_add(op.offset);
                let by = self.names(id, &op.keys);
                let per = if by.is_empty() { String::new() } else { format!(" per [{by}]") };
                let what = format!("the first {rows}{per}");
                Bound::of(self.per_key(id, &op.keys), &what)
            }
            _ => Bound::of(self.input(id, 0), "every row"),
        };
        vec![(op.rows, bound)]
    }

    fn over(&self, id: VertexId, op: &Over) -> Vec<(TableId, Bound)> {
        let Some(time) = &op.time else {
            return vec![(op.rows, Bound::of(self.input(id, 0), "every row"))];
        };
        let pending = Bound::until("until the watermark passes");
        let carried = match time.reach {
            Some(_) => Bound::until("while frames reach back"),
            None => self.one_per_key(id, &op.keys),
        };
        vec![
            (op.rows, carried.clone()),
            (time.pending, pending),
            (time.carried, carried.clone()),
            (time.timers, carried),
        ]
    }

    fn materialize(&self, id: VertexId, op: &Materialize) -> Vec<(TableId, Bound)> {
        vec![(op.rows, Bound::of(self.input(id, 0), "every row of the view"))]
    }

    fn names(&self, id: VertexId, columns: &[usize]) -> String {
        let input = self.edge(id, 0).map(|edge| &self.vertex(edge.from).columns);
        let name = |&c: &usize| {
            input.and_then(|columns| columns.get(c)).map_or("?", |field| field.name.as_str())
        };
        columns.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// The first columns, so many.
fn first(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// What would bound the operator's state, for those whose state may grow.
fn remedy(op: &PhysicalOp) -> Option<&'static str> {
    match op {
        PhysicalOp::Join(_) => Some(
            "Bound the distance in time: AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '1' HOUR; or \
             join windows of both sides: AND a.window_end = b.window_end; or join the versions of \
             a table: FOR SYSTEM_TIME AS OF a.ts.",
        ),
        PhysicalOp::GroupAggregate(_) => Some(
            "Group by a window, too: FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' \
             HOUR)) … GROUP BY window_start, window_end. If there are few keys, all is well.",
        ),
        PhysicalOp::Deduplicate(_) | PhysicalOp::TopN(_) => Some(
            "Partition by a window, too: FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' \
             HOUR)), PARTITION BY window_start, window_end, …. If there are few keys, all is well.",
        ),
        PhysicalOp::Over(_) => Some(
            "Order by event time, ascending, and bound the frame: RANGE BETWEEN INTERVAL '1' HOUR \
             PRECEDING AND CURRENT ROW; or partition by a window.",
        ),
        PhysicalOp::Materialize(_) => Some(
            "A view of windows, or of a table whose rows are deleted, is as large as they are; or \
             let the view aggregate.",
        ),
        PhysicalOp::LookupJoin(_)
        | PhysicalOp::Source(_)
        | PhysicalOp::Map(_)
        | PhysicalOp::Unnest(_)
        | PhysicalOp::Late(_)
        | PhysicalOp::WindowExpand(_)
        | PhysicalOp::SessionWindow(_)
        | PhysicalOp::SessionAggregate(_)
        | PhysicalOp::PreAggregate(_)
        | PhysicalOp::WindowAggregate(_)
        | PhysicalOp::WindowJoin(_)
        | PhysicalOp::IntervalJoin(_)
        | PhysicalOp::TemporalJoin(_)
        | PhysicalOp::Normalize(_)
        | PhysicalOp::Union(_)
        | PhysicalOp::Sink(_) => None,
    }
}

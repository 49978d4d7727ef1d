//! EXPLAIN of a job graph: one line a vertex, in order, with what it does, where its input comes
//! from and how it is partitioned, what it keeps and what it waits for.

use std::fmt::Write;
use std::ops::Bound;

use flow_ir::aggregate::AggregateCall;
use flow_ir::ids::{TableId, VertexId};
use flow_ir::logical::value_text;
use flow_ir::physical::{
    Changelog, Deduplicate, Direction, Edge, IntervalJoin, JobGraph, KeyRange, Late, LateRule,
    Materialize, Over, OverTime, Partitioning, PhysicalOp, SessionWindow, Sink, SinkMode, Source,
    TemporalJoin, TopN, Vertex, WindowAggregate, WindowInput, WindowJoin,
};
use flow_ir::types::Field;

use super::bounds::{self, state_bounds};

/// Ranges of one source that are written out at most.
const RANGES_SHOWN_MAX: usize = 3;

/// The graph as text; the same graph gives the same text.
pub fn explain_graph(graph: &JobGraph) -> String {
    explain_graph_with(graph, |_| None)
}

/// The graph as text, with a line below each vertex of which there is something to say.
pub fn explain_graph_with(graph: &JobGraph, remark: impl Fn(VertexId) -> Option<String>) -> String {
    let mut out = String::new();
    let (bounds, settled) = (state_bounds(graph), graph.settled_edges());
    for (index, vertex) in graph.vertices.iter().enumerate() {
        let id = VertexId::from(index);
        let line = Line { graph, id, vertex, bounds: &bounds, settled: &settled };
        let remark = remark(id).map_or_else(String::new, |remark| format!("     {remark}\n"));
        let (what, from, keeps, gives) = (line.what(), line.from(), line.keeps(), line.gives());
        write!(out, "{index}: {what}{from}{keeps}{gives}\n{remark}")
            .expect("writing to a string does not fail");
    }
    out
}

struct Line<'a> {
    graph: &'a JobGraph,
    id: VertexId,
    vertex: &'a Vertex,
    /// By table.
    bounds: &'a [bounds::Bound],
    /// By edge.
    settled: &'a [bool],
}

impl Line<'_> {
    /// Columns of the input on a port.
    fn input(&self, port: usize) -> &[Field] {
        let edges = self.graph.inputs(self.id);
        edges.get(port).map_or(&[], |e| &self.graph.vertices[e.from.index()].columns)
    }

    fn names(&self, port: usize, columns: &[usize]) -> String {
        let input = self.input(port);
        let name = |&c: &usize| input.get(c).map_or("?", |field| field.name.as_str());
        columns.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    fn own_names(&self) -> String {
        self.vertex.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn stream(&self, id: flow_ir::ids::StreamId) -> &str {
        &self.graph.stream(id).name
    }

    fn what(&self) -> String {
        let kind = self.vertex.op.kind();
        match &self.vertex.op {
            PhysicalOp::Source(op) => format!("{kind} {}", self.source(op)),
            PhysicalOp::Map(op) => {
                let filter = if op.kernel.filter.is_some() { "filter, " } else { "" };
                let count = op.kernel.program.insts.len();
                format!("{kind} {filter}[{}] ({count} instructions)", self.own_names())
            }
            PhysicalOp::Late(op) => format!("{kind} {}", self.late(op)),
            PhysicalOp::WindowExpand(op) => {
                let lateness = lateness_text(op.lateness);
                format!("{kind} {} of {}{lateness}", op.window, self.names(0, &[op.time]))
            }
            PhysicalOp::SessionWindow(op) => format!("{kind} {}", self.session(op)),
            PhysicalOp::SessionAggregate(op) => {
                let (keys, time) = (self.names(0, &op.keys), self.names(0, &[op.time]));
                let (gap, lateness) = (seconds(op.gap), lateness_text(op.lateness));
                let (calls, clock) = (self.calls(&op.calls), clock_text(op.by_clock));
                let over = format!("over after {gap} without rows{lateness}{clock}");
                format!("{kind} by [{keys}] of {time}, {over}, computes [{calls}]")
            }
            PhysicalOp::Unnest(op) => {
                let outer = if op.outer { " outer" } else { "" };
                format!("{kind}{outer} [{}]", self.names(0, &op.columns))
            }
            PhysicalOp::PreAggregate(op) => {
                let window = self.window(op.window) + &lateness_text(op.lateness);
                let calls = self.calls(&op.calls);
                format!("{kind} by [{}] computes [{calls}]{window}", self.names(0, &op.keys))
            }
            PhysicalOp::GroupAggregate(op) => {
                format!("{kind} by [{}]", self.own_keys(op.keys))
            }
            PhysicalOp::WindowAggregate(op) => format!("{kind} {}", self.window_aggregate(op)),
            PhysicalOp::WindowJoin(op) => format!("{kind} {}", self.window_join(op)),
            PhysicalOp::Join(op) => {
                let on = self.on(&op.left_keys, &op.right_keys, op.condition.is_some());
                format!("{kind} {}{on}", op.kind.name())
            }
            PhysicalOp::IntervalJoin(op) => format!("{kind} {}", self.interval_join(op)),
            PhysicalOp::TemporalJoin(op) => format!("{kind} {}", self.temporal_join(op)),
            PhysicalOp::LookupJoin(op) => {
                let on = self.on(&op.left_keys, &op.right_keys, op.condition.is_some());
                format!("{kind} {}{on}, the right side read before", op.kind.name())
            }
            PhysicalOp::Deduplicate(op) => format!("{kind} {}", self.deduplicate(op)),
            PhysicalOp::TopN(op) => format!("{kind} {}", self.top_n(op)),
            PhysicalOp::Over(op) => format!("{kind} {}", self.over(op)),
            PhysicalOp::Normalize(op) => {
                let counted = if op.weight.is_some() { ", rows counted" } else { "" };
                let each = if op.watermark.is_some() { ", each record" } else { "" };
                format!("{kind} by [{}]{counted}{each}", self.names(0, &op.keys))
            }
            PhysicalOp::Materialize(op) => format!("{kind} {}", self.materialize(op)),
            PhysicalOp::Union(_) => kind.to_string(),
            PhysicalOp::Sink(op) => format!("{kind} {}", self.sink(op)),
        }
    }

    fn sink(&self, op: &Sink) -> String {
        let mode = match op.mode {
            SinkMode::Append => "append",
            SinkMode::Upsert => "upsert",
            SinkMode::Changes => "changes",
        };
        let key = match op.keys.is_empty() {
            true => String::new(),
            false => format!(" key [{}]", self.names(0, &op.keys)),
        };
        format!("{} {mode}{key}", self.stream(op.stream))
    }

    fn late(&self, op: &Late) -> String {
        let rule = match op.rule {
            LateRule::Windows { window, lateness } => {
                format!("{window}{}", lateness_text(lateness))
            }
            LateRule::SessionChanges { lateness, .. } => {
                format!("sessions of changes{}", lateness_text(lateness))
            }
            LateRule::Sessions { lateness } => format!("sessions{}", lateness_text(lateness)),
            LateRule::Rows => "rows".into(),
        };
        format!("{} by {} for {rule}", self.stream(op.stream), self.names(0, &[op.time]))
    }

    fn window_aggregate(&self, op: &WindowAggregate) -> String {
        let window = op.window.map_or("carried windows".into(), |w| w.to_string());
        let (keys, lateness) = (self.own_keys(op.keys), lateness_text(op.lateness));
        let changes = if op.emits_changes { ", emits changes" } else { "" };
        format!("by [{keys}] in {window}{lateness}{changes}{}", clock_text(op.by_clock))
    }

    fn session(&self, op: &SessionWindow) -> String {
        let (keys, time) = (self.names(0, &op.keys), self.names(0, &[op.time]));
        let (gap, lateness) = (seconds(op.gap), lateness_text(op.lateness));
        let clock = clock_text(op.by_clock);
        format!("by [{keys}] of {time}, over after {gap} without rows{lateness}{clock}")
    }

    fn window_join(&self, op: &WindowJoin) -> String {
        let on = self.on(&op.left_keys, &op.right_keys, op.condition.is_some());
        format!("{}{on}{}", op.kind.name(), clock_text(op.by_clock))
    }

    fn interval_join(&self, op: &IntervalJoin) -> String {
        let on = self.on(&op.left_keys, &op.right_keys, op.condition.is_some());
        let (left, right) = (self.names(0, &[op.left_time]), self.names(1, &[op.right_time]));
        let (lower, upper) = (seconds(op.lower), seconds(op.upper));
        format!("{}{on}, {right} - {left} in [{lower}, {upper}]", op.kind.name())
    }

    fn temporal_join(&self, op: &TemporalJoin) -> String {
        let on = self.on(&op.left_keys, &op.right_keys, op.condition.is_some());
        let time = self.names(0, &[op.left_time]);
        let waits = match op.right_time {
            Some(version) => {
                let version = self.names(1, &[version]);
                format!("each row waits until the table's watermark ({version}) passes its {time}")
            }
            None => "the table is valid always".into(),
        };
        format!("{}{on} at {time}; {waits}", op.kind.name())
    }

    fn deduplicate(&self, op: &Deduplicate) -> String {
        let keep = op.keep.text();
        let order = self.order(&op.order);
        format!("keeps {keep} by [{}] ordered [{order}]", self.names(0, &op.keys))
    }

    fn top_n(&self, op: &TopN) -> String {
        let range = op.numbering.range_text(op.offset, op.limit);
        let (by, order) = (self.names(0, &op.keys), self.order(&op.order));
        let window = match op.window {
            Some(window) => format!(" of each window{}", clock_text(window.by_clock)),
            None => String::new(),
        };
        format!("keeps {range} by [{by}] ordered [{order}]{window}")
    }

    fn over(&self, op: &Over) -> String {
        let calls = op.calls.iter().map(|call| call.text(|columns| self.names(0, columns)));
        let calls = calls.collect::<Vec<_>>().join(", ");
        let (by, order) = (self.names(0, &op.keys), self.order(&op.order));
        let waits = match &op.time {
            Some(OverTime { time, .. }) => {
                let time = self.names(0, &[*time]);
                format!("; each row waits until the watermark passes its {time}")
            }
            None => String::new(),
        };
        format!("computes [{calls}] by [{by}] ordered [{order}]{waits}")
    }

    fn order(&self, order: &[(usize, Direction)]) -> String {
        let order = order.iter().map(|(column, direction)| {
            let descending = if direction.descending { " DESC" } else { "" };
            format!("{}{descending}", self.names(0, &[*column]))
        });
        order.collect::<Vec<_>>().join(", ")
    }

    fn materialize(&self, op: &Materialize) -> String {
        let by = self.names(0, &op.keys[..op.hashed]);
        match (op.counted, &op.keys[op.hashed..]) {
            (true, _) => format!("by [{by}], rows counted"),
            (false, []) => format!("by [{by}]"),
            (false, then) => format!("by [{by}] then [{}]", self.names(0, then)),
        }
    }

    /// What is read, and what of the stream is not.
    fn source(&self, op: &Source) -> String {
        let stream = self.graph.stream(op.stream);
        let read = |name: &str| {
            let inside =
                |column: &str| column.strip_prefix(name).is_some_and(|r| r.starts_with('.'));
            op.columns.iter().any(|c| c.name == name || inside(&c.name))
        };
        let unread = stream.columns.iter().map(|c| c.name.as_str()).filter(|name| !read(name));
        let unread: Vec<&str> = unread.collect();
        let mut text = format!("{} reads [{}]", stream.name, self.own_names());
        if !unread.is_empty() {
            text += &format!(", skips [{}]", unread.join(", "));
        }
        if op.watermark.is_some() {
            text += ", makes a watermark";
        }
        if let Some(since) = op.since {
            text += &format!(", since {}", value_text(&flow_ir::value::Value::TimestampLtz(since)));
        }
        text + &key_ranges(&op.ranges)
    }

    fn own_keys(&self, count: usize) -> String {
        let names = self.vertex.columns.iter().take(count).map(|c| c.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    }

    fn window(&self, window: Option<WindowInput>) -> String {
        match window {
            Some(WindowInput::Time { time, window, .. }) => {
                format!(" in {window} of {}", self.names(0, &[time]))
            }
            Some(WindowInput::Carried { start, end }) => {
                format!(" in windows [{}, {})", self.names(0, &[start]), self.names(0, &[end]))
            }
            None => String::new(),
        }
    }

    fn calls(&self, calls: &[AggregateCall]) -> String {
        let one = |call: &AggregateCall| {
            let filter = call
                .filter
                .map_or(String::new(), |column| format!(" FILTER {}", self.names(0, &[column])));
            call.text(|columns| self.names(0, columns)) + &filter
        };
        calls.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn on(&self, left: &[usize], right: &[usize], condition: bool) -> String {
        let pair = |(l, r): (&usize, &usize)| {
            format!("{} = {}", self.names(0, &[*l]), self.names(1, &[*r]))
        };
        let pairs: Vec<String> = left.iter().zip(right).map(pair).collect();
        let more = if condition { " and a condition" } else { "" };
        format!(" on [{}]{more}", pairs.join(", "))
    }

    /// Where the input comes from, and how it gets here.
    fn from(&self) -> String {
        let mut edges: Vec<_> = self.graph.edges.iter().zip(self.settled).collect();
        edges.retain(|(edge, _)| edge.to == self.id);
        edges.sort_by_key(|(edge, _)| edge.port);
        let edge = |(edge, settled): &(&Edge, &bool)| match &edge.partitioning {
            Partitioning::Forward => edge.from.0.to_string(),
            Partitioning::Hash(keys) => {
                let keys = self.names(usize::from(edge.port), keys);
                let how = if **settled { "in place by" } else { "by hash" };
                format!("{} {how} [{keys}]", edge.from.0)
            }
        };
        if edges.is_empty() {
            return String::new();
        }
        format!(" <- {}", edges.iter().map(edge).collect::<Vec<_>>().join(", "))
    }

    fn keeps(&self) -> String {
        let tables = self.vertex.op.tables();
        let one = |id: &TableId| {
            let table = self.graph.tables.get(id.index())?;
            let kind = format!("{:?}", table.kind).to_lowercase();
            Some(format!("{} ({kind}: {})", table.role, self.bounds.get(id.index())?.text))
        };
        let kept: Vec<String> = tables.iter().filter_map(one).collect();
        if kept.is_empty() { String::new() } else { format!(" keeps {}", kept.join(", ")) }
    }

    /// The changelog kind, unless rows are only added.
    fn gives(&self) -> &'static str {
        match self.vertex.changelog {
            Changelog::Retract if !matches!(self.vertex.op, PhysicalOp::Sink(_)) => {
                " gives changes"
            }
            Changelog::Append | Changelog::Retract => "",
        }
    }
}

/// What of a view is read: the first values of its order's columns, then bounds of the next one.
fn key_ranges(ranges: &[KeyRange]) -> String {
    let Some(first) = ranges.first() else { return String::new() };
    let one = |range: &KeyRange| {
        let equal = range.equal.iter().map(value_text);
        let from = match &range.from {
            Bound::Included(value) => Some(format!(">= {}", value_text(value))),
            Bound::Excluded(value) => Some(format!("> {}", value_text(value))),
            Bound::Unbounded => None,
        };
        let to = match &range.to {
            Bound::Included(value) => Some(format!("<= {}", value_text(value))),
            Bound::Excluded(value) => Some(format!("< {}", value_text(value))),
            Bound::Unbounded => None,
        };
        format!("({})", equal.chain(from).chain(to).collect::<Vec<_>>().join(", "))
    };
    let shown: Vec<String> = ranges.iter().take(RANGES_SHOWN_MAX).map(one).collect();
    let what = if ranges.len() == 1 { "key range" } else { "key ranges" };
    let of = first.index.as_ref().map_or(String::new(), |index| format!(" of index {index}"));
    let more = match ranges.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(", {what}{of} {}{more}", shown.join(", "))
}

fn seconds(micros: i64) -> String {
    format!("{}s", micros as f64 / 1e6)
}

fn clock_text(by_clock: bool) -> &'static str {
    if by_clock { ", closed by the clock" } else { "" }
}

fn lateness_text(micros: i64) -> String {
    if micros > 0 { format!(", open {} longer", seconds(micros)) } else { String::new() }
}

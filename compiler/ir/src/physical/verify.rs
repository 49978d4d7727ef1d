//! Everything a job graph must satisfy before code is made from it: run by lowering, by the reader
//! of artifacts and at start. The runtime may rely on all of it.

use std::collections::BTreeSet;
use std::fmt;

use super::{
    Changelog, Edge, IntervalJoin, JobGraph, JoinKind, Materialize, Numbering, Over, Partitioning,
    PhysicalOp, PreAggregate, SessionAggregate, Sink, SinkMode, Source, TopN, Vertex, WindowInput,
    WindowJoin,
};
use crate::aggregate::AggregateCall;
use crate::connector;
use crate::ids::{TableId, VertexId};
use crate::kernel::KernelSpec;
use crate::over::OverCall;
use crate::types::{DataType, Field, TYPE_DEPTH_MAX, Type};

/// Vertices of one graph at most.
pub(super) const VERTICES_MAX: usize = 10_000;
/// Columns of one relation at most.
pub(super) const COLUMNS_MAX: usize = 4_096;

/// The rule that a graph breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidGraph {
    /// The vertex, if it is about one.
    pub vertex: Option<VertexId>,
    /// What is wrong.
    pub why: String,
}

impl InvalidGraph {
    /// Whether it is sound, and only larger than a graph may be.
    pub fn is_too_large(&self) -> bool {
        self.why.contains("too many")
    }
}

impl fmt::Display for InvalidGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vertex {
            Some(VertexId(v)) => write!(f, "vertex {v}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// Checks a graph.
///
/// # Errors
/// The first rule that it breaks.
pub fn verify(graph: &JobGraph) -> Result<(), InvalidGraph> {
    let whole = |why: Result<(), String>| why.map_err(|why| InvalidGraph { vertex: None, why });
    whole(verify_whole(graph))?;
    for (i, vertex) in graph.vertices.iter().enumerate() {
        let id = VertexId::from(i);
        let check = verify_vertex(graph, id, vertex);
        check.map_err(|why| InvalidGraph { vertex: Some(id), why })?;
    }
    Ok(())
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

fn verify_whole(graph: &JobGraph) -> Result<(), String> {
    let name_ok = (1..=200).contains(&graph.name.len())
        && graph.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    ensure(name_ok, || "the job's name is not valid".into())?;
    let shards = graph.settings.shards;
    ensure(shards.is_power_of_two() && shards <= 256, || "shards: a power of two to 256".into())?;
    ensure(graph.vertices.len() <= VERTICES_MAX, || "too many vertices".into())?;
    for (i, vertex) in graph.vertices.iter().enumerate() {
        let deep = vertex.columns.iter().any(|c| c.ty.data.depth() > TYPE_DEPTH_MAX);
        ensure(!deep, || format!("vertex {i}: a type is nested too deeply"))?;
    }
    for edge in &graph.edges {
        verify_edge(graph, edge)?;
    }
    for (i, table) in graph.tables.iter().enumerate() {
        let owner = graph.vertices.get(table.owner.index());
        let owned = owner.is_some_and(|v| v.op.tables().contains(&TableId::from(i)));
        ensure(owned, || format!("table {i} has no owner"))?;
    }
    Ok(())
}

fn verify_edge(graph: &JobGraph, edge: &Edge) -> Result<(), String> {
    let forward = edge.from < edge.to && edge.to.index() < graph.vertices.len();
    ensure(forward, || format!("edge {} → {} goes backwards", edge.from.0, edge.to.0))?;
    match &edge.partitioning {
        Partitioning::Forward => Ok(()),
        Partitioning::Hash(columns) => {
            verify_columns(columns, graph.vertices[edge.from.index()].columns.len())
        }
    }
}

fn verify_columns<'a>(
    columns: impl IntoIterator<Item = &'a usize>,
    count: usize,
) -> Result<(), String> {
    ensure(columns.into_iter().all(|&c| c < count), || "a column number is out of range".into())
}

fn verify_vertex(graph: &JobGraph, id: VertexId, vertex: &Vertex) -> Result<(), String> {
    ensure(vertex.columns.len() <= COLUMNS_MAX, || "too many columns".into())?;
    let edges = graph.inputs(id);
    let ports_ok = edges.iter().enumerate().all(|(i, e)| usize::from(e.port) == i);
    ensure(ports_ok && edges.len() == arity(&vertex.op), || "wrong number of inputs".into())?;
    let inputs: Vec<&Vertex> = edges.iter().map(|e| &graph.vertices[e.from.index()]).collect();
    for table in vertex.op.tables() {
        let spec = graph.tables.get(table.index()).ok_or("a table is missing")?;
        ensure(spec.owner == id, || "a table belongs to another operator".into())?;
    }
    verify_op(graph, vertex, &inputs)?;
    verify_exchange(&vertex.op, &edges)
}

fn arity(op: &PhysicalOp) -> usize {
    match op {
        PhysicalOp::Source(_) => 0,
        PhysicalOp::Map(_)
        | PhysicalOp::Unnest(_)
        | PhysicalOp::Late(_)
        | PhysicalOp::WindowExpand(_)
        | PhysicalOp::SessionWindow(_)
        | PhysicalOp::SessionAggregate(_)
        | PhysicalOp::PreAggregate(_)
        | PhysicalOp::GroupAggregate(_)
        | PhysicalOp::WindowAggregate(_)
        | PhysicalOp::Deduplicate(_)
        | PhysicalOp::TopN(_)
        | PhysicalOp::Over(_)
        | PhysicalOp::Normalize(_)
        | PhysicalOp::Materialize(_)
        | PhysicalOp::Sink(_) => 1,
        PhysicalOp::WindowJoin(_)
        | PhysicalOp::Join(_)
        | PhysicalOp::IntervalJoin(_)
        | PhysicalOp::TemporalJoin(_)
        | PhysicalOp::LookupJoin(_) => 2,
        PhysicalOp::Union(op) => usize::from(op.inputs),
    }
}

fn types(columns: &[Field]) -> Vec<Type> {
    columns.iter().map(|c| c.ty.clone()).collect()
}

fn verify_kernel(kernel: &KernelSpec, input: &[Field]) -> Result<(), String> {
    kernel.verify().map_err(|e| e.to_string())?;
    ensure(kernel.program.input == types(input), || "a kernel reads other columns".into())
}

fn verify_condition(condition: Option<&KernelSpec>, inputs: &[&Vertex]) -> Result<(), String> {
    let Some(kernel) = condition else { return Ok(()) };
    let both: Vec<Field> = inputs.iter().flat_map(|v| v.columns.iter().cloned()).collect();
    verify_kernel(kernel, &both)
}

/// The kinds of the joins with versions, or with what was read before.
fn pairs_or_left(kind: JoinKind) -> Result<(), String> {
    ensure(matches!(kind, JoinKind::Inner | JoinKind::Left), || {
        format!("a {} join that looks rows up", kind.name())
    })
}

fn appends(input: &Vertex) -> Result<(), String> {
    ensure(input.changelog == Changelog::Append, || "the input must be append-only".into())
}

fn verify_window_join(op: &WindowJoin, inputs: &[&Vertex]) -> Result<(), String> {
    inputs.iter().try_for_each(|input| appends(input))?;
    let [left, right] = [0, 1].map(|port| inputs[port].columns.len());
    verify_columns(op.left_keys.iter().chain([&op.left_end]), left)?;
    verify_columns(op.right_keys.iter().chain([&op.right_end]), right)?;
    verify_condition(op.condition.as_ref(), inputs)
}

fn verify_interval_join(op: &IntervalJoin, inputs: &[&Vertex]) -> Result<(), String> {
    inputs.iter().try_for_each(|input| appends(input))?;
    let [left, right] = [0, 1].map(|port| inputs[port].columns.len());
    verify_columns(op.left_keys.iter().chain([&op.left_time]), left)?;
    verify_columns(op.right_keys.iter().chain([&op.right_time]), right)?;
    ensure(op.lower <= op.upper, || "the interval is empty".into())?;
    verify_condition(op.condition.as_ref(), inputs)
}

fn verify_op(graph: &JobGraph, vertex: &Vertex, inputs: &[&Vertex]) -> Result<(), String> {
    let width = |port: usize| inputs[port].columns.len();
    let append = |port: usize| appends(inputs[port]);
    let same_columns = |port: usize| {
        let same = types(&inputs[port].columns) == types(&vertex.columns);
        ensure(same, || "the output columns are not the input's".into())
    };
    match &vertex.op {
        PhysicalOp::Source(op) => verify_source(graph, op, vertex),
        PhysicalOp::Map(op) => {
            verify_kernel(&op.kernel, &inputs[0].columns)?;
            let made = op.kernel.output_types() == types(&vertex.columns);
            ensure(made, || "other columns than the kernel makes".into())
        }
        PhysicalOp::Unnest(op) => verify_columns(&op.columns, width(0)),
        PhysicalOp::Late(op) => {
            verify_columns([&op.time, &op.watermark, &op.position], width(0))?;
            same_columns(0)
        }
        PhysicalOp::WindowExpand(op) => {
            verify_columns(std::iter::once(&op.time).chain(&op.watermark), width(0))
        }
        PhysicalOp::SessionWindow(op) => timed(&op.keys, op.time, &[], width(0)),
        PhysicalOp::SessionAggregate(op) => append(0).and(verify_sessions(op, width(0))),
        PhysicalOp::PreAggregate(op) => verify_pre_aggregate(op, width(0)),
        PhysicalOp::GroupAggregate(op) => pre_aggregated(inputs[0], op.keys),
        PhysicalOp::WindowAggregate(op) => pre_aggregated(inputs[0], op.keys),
        PhysicalOp::Join(op) => {
            verify_columns(&op.left_keys, width(0))?;
            verify_columns(&op.right_keys, width(1))?;
            verify_condition(op.condition.as_ref(), inputs)
        }
        PhysicalOp::WindowJoin(op) => verify_window_join(op, inputs),
        PhysicalOp::IntervalJoin(op) => verify_interval_join(op, inputs),
        PhysicalOp::TemporalJoin(op) => {
            append(0)?;
            verify_columns(op.left_keys.iter().chain([&op.left_time]), width(0))?;
            let right = op.right_keys.iter().chain(&op.right_time).chain(&op.right_watermark);
            verify_columns(right.chain(&op.right_tombstone), width(1))?;
            pairs_or_left(op.kind)?;
            verify_condition(op.condition.as_ref(), inputs)
        }
        PhysicalOp::LookupJoin(op) => {
            verify_columns(&op.left_keys, width(0))?;
            verify_columns(&op.right_keys, width(1))?;
            pairs_or_left(op.kind)?;
            verify_condition(op.condition.as_ref(), inputs)
        }
        PhysicalOp::Deduplicate(op) => {
            append(0)?;
            verify_columns(op.keys.iter().chain(op.order.iter().map(|(c, _)| c)), width(0))?;
            same_columns(0)
        }
        PhysicalOp::TopN(op) => verify_first_rows(op, inputs[0], vertex),
        PhysicalOp::Over(op) => verify_over(op, inputs[0], vertex),
        PhysicalOp::Normalize(op) => {
            let more = std::iter::once(&op.tombstone).chain(&op.weight).chain(&op.watermark);
            verify_columns(op.keys.iter().chain(more), width(0))?;
            let all_in_order = op.keys.iter().copied().eq(0..op.keys.len());
            ensure(all_in_order || op.weight.is_none(), || "counted rows are not whole".into())?;
            same_columns(0)
        }
        PhysicalOp::Materialize(op) => {
            verify_kept(op, width(0))?;
            same_columns(0)
        }
        PhysicalOp::Union(_) => (0..inputs.len()).try_for_each(same_columns),
        PhysicalOp::Sink(op) => verify_sink(graph, op, inputs[0]),
    }
}

fn verify_source(graph: &JobGraph, op: &Source, vertex: &Vertex) -> Result<(), String> {
    ensure(op.stream.index() < graph.streams.len(), || "no such stream".into())?;
    let decoded: Vec<Type> = op.columns.iter().map(|c| c.ty.clone()).collect();
    ensure(decoded == types(&vertex.columns), || "other columns than decoded".into())?;
    let is_view = graph.stream(op.stream).connector == connector::VIEW;
    ensure(is_view || op.ranges.is_empty(), || "ranges of a stream without keys".into())?;
    op.watermark.as_ref().map_or(Ok(()), |k| verify_kernel(k, &vertex.columns))
}

fn timed(keys: &[usize], time: usize, calls: &[AggregateCall], width: usize) -> Result<(), String> {
    let read: Vec<usize> = calls.iter().flat_map(AggregateCall::columns).collect();
    verify_columns(keys.iter().chain([&time]).chain(&read), width)
}

fn verify_sessions(op: &SessionAggregate, width: usize) -> Result<(), String> {
    timed(&op.keys, op.time, &op.calls, width)
}

fn verify_pre_aggregate(op: &PreAggregate, width: usize) -> Result<(), String> {
    verify_columns(&op.keys, width)?;
    for call in &op.calls {
        verify_columns(&call.columns().collect::<Vec<_>>(), width)?;
    }
    match &op.window {
        Some(WindowInput::Time { time, watermark, .. }) => {
            verify_columns(std::iter::once(time).chain(watermark), width)
        }
        Some(WindowInput::Carried { start, end }) => verify_columns([start, end], width),
        None => Ok(()),
    }
}

fn verify_kept(op: &Materialize, width: usize) -> Result<(), String> {
    verify_columns(&op.keys, width)?;
    ensure(op.hashed <= op.keys.len(), || "more columns hashed than kept".into())?;
    let all_once: BTreeSet<usize> = op.keys.iter().copied().collect();
    let whole = all_once.len() == op.keys.len() && op.keys.len() == width;
    ensure(whole || !op.counted, || "counted rows are not whole".into())
}

fn verify_first_rows(op: &TopN, input: &Vertex, vertex: &Vertex) -> Result<(), String> {
    let ordered = op.order.iter().map(|(column, _)| column);
    verify_columns(op.keys.iter().chain(ordered), input.columns.len())?;
    let endless = op.limit.is_none();
    let plain = op.numbering == Numbering::RowNumber && !op.rank;
    ensure(plain || !endless, || "numbers without an end".into())?;
    if let Some(window) = op.window {
        verify_columns([&window.end], input.columns.len())?;
        ensure(!endless, || "a window's first rows have no end".into())?;
        appends(input)?;
    }
    let number = op.rank.then_some(DataType::BigInt);
    let columns = input.columns.iter().map(|c| c.ty.data.clone()).chain(number);
    let made = columns.eq(vertex.columns.iter().map(|c| c.ty.data.clone()));
    ensure(made, || "the output columns are not the input's and the number".into())
}

fn verify_over(op: &Over, input: &Vertex, vertex: &Vertex) -> Result<(), String> {
    let ordered = op.order.iter().map(|(column, _)| *column);
    let called = op.calls.iter().flat_map(OverCall::columns);
    let time = op.time.as_ref().map(|time| time.time);
    let read: Vec<usize> =
        op.keys.iter().copied().chain(ordered).chain(called).chain(time).collect();
    verify_columns(&read, input.columns.len())?;
    ensure(op.peers <= op.order.len(), || "more columns are equal than ordered".into())?;
    let append = input.changelog == Changelog::Append;
    ensure(append || time.is_none(), || "the input must be append-only".into())?;
    let results = op.calls.iter().map(|call| call.ty.data.clone());
    let columns = input.columns.iter().map(|c| c.ty.data.clone()).chain(results);
    let made = columns.eq(vertex.columns.iter().map(|c| c.ty.data.clone()));
    ensure(made, || "the output columns are not the input's and the results".into())
}

fn pre_aggregated(input: &Vertex, keys: usize) -> Result<(), String> {
    match &input.op {
        PhysicalOp::PreAggregate(pre) if pre.keys.len() == keys => Ok(()),
        _ => Err("an aggregate's input is not its pre-aggregate".into()),
    }
}

fn verify_sink(graph: &JobGraph, op: &Sink, input: &Vertex) -> Result<(), String> {
    let stream = graph.streams.get(op.stream.index()).ok_or("no such stream")?;
    let same = stream.types() == types(&input.columns);
    ensure(same, || "the sink's columns are not its stream's".into())?;
    verify_columns(&op.keys, input.columns.len())?;
    match op.mode {
        SinkMode::Append => ensure(input.changelog == Changelog::Append, || {
            "an appending sink cannot take rows back".into()
        }),
        SinkMode::Upsert => ensure(!op.keys.is_empty(), || "an upsert sink needs a key".into()),
        SinkMode::Changes => Ok(()),
    }
}

/// Keyed operators must get their input hashed by exactly their key; others on the worker.
fn verify_exchange(op: &PhysicalOp, edges: &[&Edge]) -> Result<(), String> {
    let first = |n: usize| (0..n).collect::<Vec<_>>();
    let wanted: Vec<Option<Vec<usize>>> = match op {
        PhysicalOp::SessionWindow(op) => vec![Some(op.keys.clone())],
        PhysicalOp::SessionAggregate(op) => vec![Some(op.keys.clone())],
        PhysicalOp::GroupAggregate(op) => vec![Some(first(op.keys))],
        PhysicalOp::WindowAggregate(op) => vec![Some(first(op.keys))],
        PhysicalOp::WindowJoin(op) => {
            vec![Some(op.left_keys.clone()), Some(op.right_keys.clone())]
        }
        PhysicalOp::Join(op) => vec![Some(op.left_keys.clone()), Some(op.right_keys.clone())],
        PhysicalOp::IntervalJoin(op) => {
            vec![Some(op.left_keys.clone()), Some(op.right_keys.clone())]
        }
        PhysicalOp::TemporalJoin(op) => {
            vec![Some(op.left_keys.clone()), Some(op.right_keys.clone())]
        }
        PhysicalOp::LookupJoin(op) => {
            vec![Some(op.left_keys.clone()), Some(op.right_keys.clone())]
        }
        PhysicalOp::Deduplicate(op) => vec![Some(op.keys.clone())],
        PhysicalOp::TopN(op) => vec![Some(op.keys.clone())],
        PhysicalOp::Over(op) => vec![Some(op.keys.clone())],
        PhysicalOp::Normalize(op) => vec![Some(op.keys.clone())],
        PhysicalOp::Materialize(op) => vec![Some(op.keys[..op.hashed].to_vec())],
        PhysicalOp::Sink(op) if op.mode == SinkMode::Upsert => vec![Some(op.keys.clone())],
        PhysicalOp::Source(_)
        | PhysicalOp::Map(_)
        | PhysicalOp::Unnest(_)
        | PhysicalOp::Late(_)
        | PhysicalOp::WindowExpand(_)
        | PhysicalOp::PreAggregate(_)
        | PhysicalOp::Union(_)
        | PhysicalOp::Sink(_) => vec![None; edges.len()],
    };
    edges.iter().zip(wanted).try_for_each(|(edge, wanted)| match (&edge.partitioning, wanted) {
        (Partitioning::Forward, None) | (Partitioning::Hash(_), None) => Ok(()),
        (Partitioning::Hash(columns), Some(keys)) if *columns == keys => Ok(()),
        (Partitioning::Forward | Partitioning::Hash(_), Some(_)) => {
            Err("a keyed input is not hashed by its key".into())
        }
    })
}

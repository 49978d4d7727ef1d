//! The graph on one worker: who feeds whom, what has ended, and where rows go. Rows are pushed
//! depth first; an edge that is hashed goes through the exchange, also to the worker itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_ir::ids::{StreamId, VertexId};
use flow_ir::kernel::{ErrorBuffer, KernelCx, OnError};
use flow_ir::physical::{Edge, JobGraph, Partitioning, PhysicalOp};
use flow_ir::row::{BatchBuilder, Column, KeyEncoder, RowBatch, RowLayout, key_group, key_hash};

use super::asides::Failed;
use super::inbox::{Exchange, Message};
use super::outputs::{SinkWriter, Staged};
use super::{operator_error, too_much};
use crate::error::Result;
use crate::metrics::{Counts, done_by};
use crate::ops::{Failure, OpCx, Operator, Reports};
use crate::state::{Sealed, StateStore, TableSize, shard_of};

/// Rows for another worker are sent when this many wait, or at the end.
const EXCHANGE_ROWS: usize = 1_024;

/// Bytes of rows that an epoch may hold on a worker, however little memory it has for state.
const EPOCH_BYTES_MIN: usize = 16 << 20;

/// Name of the hidden column `Metadata::BatchPosition`.
const POSITION_COLUMN: &str = "$position";

/// The graph on one worker.
pub(crate) struct Wiring {
    nodes: Vec<Node>,
    exchange: Exchange,
    store: StateStore,
    groups: Vec<u8>,
    shards: u32,
    kernel: KernelCx,
    pub(super) reports: Reports,
    /// Rows that failed and are not yet dealt with.
    pub(crate) failed: Vec<Failed>,
    bad: ErrorBuffer,
    ended: usize,
    /// Bytes of rows that an operator may emit at once, and a sink keep until the epoch's end.
    limit_bytes: usize,
    /// State in memory when the epoch began, bytes.
    state_before: usize,
}

/// A vertex on one worker.
struct Node {
    name: String,
    role: Role,
    emit: BatchBuilder,
    routes: Vec<Route>,
    ports: Vec<Port>,
    ended: bool,
    /// The watermark of the epoch before.
    mark: i64,
    /// Whether its time is that of the partitions that this worker reads.
    is_local: bool,
    /// The input column that holds a row's position in its source batch.
    position: Option<Column>,
    /// Whether its input is a source's batch as it is, row by row.
    is_first: bool,
    /// The vertex that counts what it does.
    counted_by: VertexId,
    /// What was done in this epoch.
    counts: Counts,
}

enum Role {
    Source,
    Operator(Box<dyn Operator>),
    Sink(Box<SinkWriter>),
}

/// Where a vertex's output goes.
enum Route {
    Local {
        to: VertexId,
        port: usize,
    },
    /// An exchange that moves nothing.
    Settled {
        to: VertexId,
        port: usize,
    },
    Hash {
        to: VertexId,
        port: usize,
        keys: KeyEncoder,
        waiting: Vec<BatchBuilder>,
    },
}

/// How far an input of a vertex has ended in this epoch.
#[derive(Clone, Copy)]
struct Port {
    /// End marks that come in an epoch: one, or one of each worker.
    marks: usize,
    missing: usize,
    watermark: i64,
}

/// What the wiring hands over at the end of an epoch.
pub(crate) struct Handed {
    /// Records by sink, with the number that counts for the stream.
    pub(crate) outputs: Vec<(VertexId, StreamId, Staged, u64)>,
    pub(crate) state: Sealed,
    /// By vertex: the watermark that it got.
    pub(crate) marks: Vec<i64>,
    /// By vertex.
    pub(crate) counts: Vec<Counts>,
    /// By table.
    pub(crate) tables: Vec<TableSize>,
    /// State in memory, bytes.
    pub(crate) state_bytes: usize,
}

/// What a worker makes its wiring from.
pub(crate) struct Parts {
    /// By vertex; `None` for sources and sinks.
    pub(crate) operators: Vec<Option<Box<dyn Operator>>>,
    pub(crate) sinks: Vec<SinkWriter>,
    pub(crate) exchange: Exchange,
    pub(crate) store: StateStore,
    pub(crate) groups: Vec<u8>,
    /// By vertex: the watermark that it got before.
    pub(crate) marks: Vec<i64>,
    /// Memory of this worker: for its state, and as much again for an epoch's rows.
    pub(crate) memory_bytes: usize,
}

impl Wiring {
    pub(crate) fn new(graph: &JobGraph, parts: Parts) -> Self {
        let workers = parts.exchange.workers();
        let mut sinks: Vec<Option<SinkWriter>> = graph.vertices.iter().map(|_| None).collect();
        for sink in parts.sinks {
            let vertex = sink.vertex.index();
            sinks[vertex] = Some(sink);
        }
        let roles = parts.operators.into_iter().zip(sinks).map(|pair| match pair {
            (Some(operator), _) => Role::Operator(operator),
            (None, Some(sink)) => Role::Sink(Box::new(sink)),
            (None, None) => Role::Source,
        });
        let is_local = local(graph);
        // One worker owns everything.
        let settled = match workers {
            1 => vec![true; graph.edges.len()],
            _ => graph.settled_edges(),
        };
        let done_by = done_by(graph);
        let nodes = roles.enumerate().zip(parts.marks).map(|((i, role), mark)| {
            let (id, vertex) = (VertexId::from(i), &graph.vertices[i]);
            let types: Vec<_> = vertex.columns.iter().map(|c| c.ty.clone()).collect();
            let layout = Arc::new(RowLayout::new(types));
            Node {
                name: vertex.name.clone(),
                role,
                routes: routes(graph, &settled, id, &layout, workers),
                emit: BatchBuilder::new(layout),
                ports: ports(graph, &settled, id, workers),
                ended: false,
                mark,
                is_local: is_local[i],
                position: position_column(graph, id),
                is_first: is_first(graph, id),
                counted_by: done_by[i].unwrap_or(id),
                counts: Counts::default(),
            }
        });
        let mut wiring = Self {
            nodes: nodes.collect(),
            exchange: parts.exchange,
            store: parts.store,
            groups: parts.groups,
            shards: graph.settings.shards,
            kernel: KernelCx { clock: 0, on_error: OnError::DropRow },
            reports: Reports::default(),
            failed: Vec::new(),
            bad: ErrorBuffer::default(),
            ended: 0,
            limit_bytes: 0,
            state_before: 0,
        };
        wiring.set_memory(parts.memory_bytes);
        wiring
    }

    /// The memory of this worker changes.
    pub(crate) fn set_memory(&mut self, bytes: usize) {
        self.store.set_budget(bytes);
        self.limit_bytes = bytes.max(EPOCH_BYTES_MIN);
        for node in &mut self.nodes {
            node.emit.set_limit(self.limit_bytes);
            if let Role::Sink(sink) = &mut node.role {
                sink.set_limit(self.limit_bytes);
            }
        }
    }

    /// Whether the epoch has filled memory with what its commit lets go.
    pub(crate) fn is_full(&self) -> bool {
        let grown = self.store.memory_bytes().saturating_sub(self.state_before);
        let kept = |node: &Node| match &node.role {
            Role::Sink(sink) => sink.bytes(),
            Role::Source | Role::Operator(_) => 0,
        };
        grown + self.nodes.iter().map(kept).sum::<usize>() > self.limit_bytes
    }

    /// Begins an epoch.
    pub(crate) fn begin(&mut self, kernel: KernelCx, keep_rows: bool) {
        self.kernel = kernel;
        self.reports.keep_rows = keep_rows;
        self.ended = 0;
        self.state_before = self.store.memory_bytes();
        for node in &mut self.nodes {
            node.ended = false;
            for port in &mut node.ports {
                port.missing = port.marks;
                port.watermark = i64::MAX;
            }
        }
    }

    pub(crate) fn all_ended(&self) -> bool {
        self.ended == self.nodes.len()
    }

    pub(crate) fn receive(&self) -> Message {
        self.exchange.receive()
    }

    pub(crate) fn try_receive(&self) -> Option<Message> {
        self.exchange.try_receive()
    }

    pub(crate) fn published(&mut self, seal: u32) {
        self.store.published(seal);
    }

    /// Rows that wait in sinks for the epoch's end.
    pub(crate) fn waiting_rows(&self) -> usize {
        let waiting = |node: &Node| match &node.role {
            Role::Sink(sink) => sink.waiting_rows(),
            Role::Source | Role::Operator(_) => 0,
        };
        self.nodes.iter().map(waiting).sum()
    }

    pub(crate) fn state_bytes(&self) -> usize {
        self.store.memory_bytes()
    }

    /// Takes what another worker sent.
    pub(crate) fn take(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Rows { to, port, rows } => self.deliver(to, port, &rows, None),
            Message::End { to, port, watermark } => self.end_input(to, port, watermark),
            Message::Abandon => {
                Err(crate::error::RuntimeError::external("another worker has failed"))
            }
        }
    }

    /// Counts what a source read: records, and the time that it took to make rows of them.
    pub(crate) fn count_source(&mut self, vertex: VertexId, records: usize, busy: Duration) {
        let counts = self.counts(vertex);
        counts.rows_in += records as u64;
        counts.busy += busy;
    }

    /// Where what a vertex does is counted.
    fn counts(&mut self, vertex: VertexId) -> &mut Counts {
        let by = self.nodes[vertex.index()].counted_by;
        &mut self.nodes[by.index()].counts
    }

    /// Pushes rows of a source partition.
    pub(crate) fn push_source(
        &mut self,
        vertex: VertexId,
        rows: &RowBatch,
        partition: u32,
        kernel: KernelCx,
    ) -> Result<()> {
        let of_job = std::mem::replace(&mut self.kernel, kernel);
        let pushed = self.push(vertex, rows, Some(partition));
        self.kernel = of_job;
        pushed
    }

    /// Takes over rows that failed in a map that a scan does, by the positions of their records.
    pub(crate) fn failed_records(&mut self, map: VertexId, failed: &mut ErrorBuffer) {
        self.failed.extend(failed.errors.drain(..).map(|error| Failed {
            vertex: map,
            position: Some(error.row as usize),
            source_row: None,
            error,
            row: None,
        }));
    }

    /// Ends a source vertex.
    pub(crate) fn end_source(&mut self, vertex: VertexId, watermark: i64) -> Result<()> {
        self.end_vertex(vertex, watermark)
    }

    /// Sends rows on along all outputs of a vertex.
    fn push(&mut self, from: VertexId, rows: &RowBatch, partition: Option<u32>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.counts(from).rows_out += rows.len() as u64;
        for route in 0..self.nodes[from.index()].routes.len() {
            match &mut self.nodes[from.index()].routes[route] {
                Route::Local { to, port } => {
                    let (to, port) = (*to, *port);
                    self.deliver(to, port, rows, partition)?;
                }
                Route::Settled { to, port } => {
                    let (to, port) = (*to, *port);
                    self.deliver(to, port, rows, None)?;
                }
                Route::Hash { to, port, keys, waiting } => {
                    let begun = Instant::now();
                    let mut key = Vec::new();
                    for (i, row) in rows.rows().enumerate() {
                        key.clear();
                        keys.append(row, &mut key);
                        let shard = shard_of(key_group(key_hash(&key)), self.shards);
                        let worker = shard as usize * waiting.len() / self.shards as usize;
                        waiting[worker].push_row(row, rows.weight(i));
                        if waiting[worker].len() >= EXCHANGE_ROWS {
                            let rows = waiting[worker].take();
                            // As much again will wait, but perhaps not in this epoch.
                            waiting[worker].reserve(rows.bytes());
                            let message = Message::Rows { to: *to, port: *port, rows };
                            self.exchange.send(worker, message);
                        }
                    }
                    self.counts(from).busy += begun.elapsed();
                }
            }
        }
        Ok(())
    }

    /// Gives rows to an input of a vertex, and sends on what comes out.
    fn deliver(
        &mut self,
        to: VertexId,
        port: usize,
        rows: &RowBatch,
        partition: Option<u32>,
    ) -> Result<()> {
        let node = &mut self.nodes[to.index()];
        node.counts.rows_in += rows.len() as u64;
        if let Role::Sink(sink) = &mut node.role {
            let begun = Instant::now();
            sink.rows(rows, partition, &mut self.bad);
            node.counts.busy += begun.elapsed();
            if sink.bytes() > self.limit_bytes {
                return Err(too_much(&node.name, self.limit_bytes));
            }
            self.reports.take_failures(rows, &mut self.bad);
            self.collect_failures(to);
            return Ok(());
        }
        self.call(to, partition, |op, cx| op.on_batch(port, rows, cx))
    }

    /// Calls an operator and sends on what it emits.
    fn call(
        &mut self,
        vertex: VertexId,
        partition: Option<u32>,
        call: impl FnOnce(&mut dyn Operator, &mut OpCx<'_>) -> Result<(), crate::ops::OpError>,
    ) -> Result<()> {
        let node = &mut self.nodes[vertex.index()];
        let Role::Operator(operator) = &mut node.role else { return Ok(()) };
        let mut cx = OpCx {
            state: &mut self.store,
            emit: &mut node.emit,
            kernel: self.kernel,
            mark: node.mark,
            groups: &self.groups,
            limit_bytes: self.limit_bytes,
            reports: &mut self.reports,
        };
        let begun = Instant::now();
        let called = call(&mut **operator, &mut cx).and_then(|()| cx.refuse_too_much(0));
        called.map_err(|e| operator_error(&node.name, self.limit_bytes, &e))?;
        self.counts(vertex).busy += begun.elapsed();
        self.collect_failures(vertex);
        let node = &mut self.nodes[vertex.index()];
        if node.emit.is_empty() {
            return Ok(());
        }
        let emitted = node.emit.take();
        self.push(vertex, &emitted, partition)?;
        self.nodes[vertex.index()].emit.recycle(emitted);
        Ok(())
    }

    /// Takes over the failures that an operator noted.
    fn collect_failures(&mut self, vertex: VertexId) {
        let node = &self.nodes[vertex.index()];
        let failed = self.reports.failures.drain(..).map(|failure| {
            let row = failure.row.as_ref().map(|rows| rows.row(0));
            let position = row.zip(node.position).map(|(row, column)| row.i64(column));
            Failed {
                vertex,
                position: position.and_then(|p| usize::try_from(p).ok()),
                source_row: node.is_first.then_some(failure.error.row as usize),
                error: failure.error,
                row: failure.row,
            }
        });
        self.failed.extend(failed);
    }

    /// Notes the end of an input; the last one ends the vertex.
    fn end_input(&mut self, to: VertexId, port: usize, watermark: i64) -> Result<()> {
        let node = &mut self.nodes[to.index()];
        let at = &mut node.ports[port];
        assert!(at.missing > 0, "an input ends once an epoch");
        at.missing -= 1;
        at.watermark = at.watermark.min(watermark);
        if node.ports.iter().any(|p| p.missing > 0) {
            return Ok(());
        }
        let mark = node.ports.iter().map(|p| p.watermark).min().unwrap_or(i64::MAX);
        self.end_vertex(to, mark)
    }

    /// Ends a vertex: watermark, epoch's end, then its outputs.
    fn end_vertex(&mut self, vertex: VertexId, mark: i64) -> Result<()> {
        // Time never goes back. Before an exchange it is that of this worker's partitions alone,
        // and is held back by one that joins in at the time that all workers have reached.
        let node = &self.nodes[vertex.index()];
        let mark = if node.is_local { mark } else { mark.max(node.mark) };
        self.call(vertex, None, |op, cx| op.on_watermark(mark, cx))?;
        self.call(vertex, None, |op, cx| op.on_epoch_end(cx))?;
        let node = &mut self.nodes[vertex.index()];
        assert!(!node.ended, "a vertex ends once an epoch");
        node.ended = true;
        node.mark = mark;
        let out = match &node.role {
            Role::Operator(operator) => operator.watermark_out(mark),
            Role::Source | Role::Sink(_) => mark,
        };
        self.ended += 1;
        for route in 0..self.nodes[vertex.index()].routes.len() {
            match &mut self.nodes[vertex.index()].routes[route] {
                Route::Local { to, port } | Route::Settled { to, port } => {
                    let (to, port) = (*to, *port);
                    self.end_input(to, port, out)?;
                }
                Route::Hash { to, port, waiting, .. } => {
                    for (worker, waiting) in waiting.iter_mut().enumerate() {
                        if !waiting.is_empty() {
                            let rows = waiting.take();
                            let message = Message::Rows { to: *to, port: *port, rows };
                            self.exchange.send(worker, message);
                        }
                    }
                    self.exchange.send_end(*to, *port, out);
                }
            }
        }
        Ok(())
    }

    /// Collects what the epoch wrote and what it took; `to_disk`: the disk is to follow it.
    ///
    /// # Errors
    /// If a sink would write more than there is memory for.
    pub(crate) fn end_epoch(&mut self, to_disk: bool) -> Result<Handed> {
        let mut outputs = Vec::new();
        for node in &mut self.nodes {
            let Role::Sink(sink) = &mut node.role else { continue };
            let begun = Instant::now();
            let (staged, count) = sink
                .finish(&mut self.bad, &mut self.reports)
                .ok_or_else(|| too_much(&node.name, self.limit_bytes))?;
            node.counts.busy += begun.elapsed();
            node.counts.rows_out += count;
            let failed = self.reports.failures.drain(..).map(|Failure { error, row }| Failed {
                vertex: sink.vertex,
                error,
                row,
                position: None,
                source_row: None,
            });
            self.failed.extend(failed);
            outputs.push((sink.vertex, sink.stream, staged, count));
        }
        let state = self.store.seal(to_disk);
        Ok(Handed {
            outputs,
            state,
            marks: self.nodes.iter().map(|n| n.mark).collect(),
            counts: self.nodes.iter_mut().map(|n| std::mem::take(&mut n.counts)).collect(),
            tables: self.store.table_sizes().collect(),
            state_bytes: self.state_bytes(),
        })
    }
}

fn routes(
    graph: &JobGraph,
    settled: &[bool],
    id: VertexId,
    layout: &Arc<RowLayout>,
    workers: usize,
) -> Vec<Route> {
    let route = |(edge, settled): (&Edge, &bool)| {
        let (to, port) = (edge.to, usize::from(edge.port));
        match &edge.partitioning {
            Partitioning::Forward => Route::Local { to, port },
            Partitioning::Hash(_) if *settled => Route::Settled { to, port },
            Partitioning::Hash(columns) => Route::Hash {
                to,
                port,
                keys: KeyEncoder::new(layout, columns),
                waiting: (0..workers).map(|_| BatchBuilder::new(layout.clone())).collect(),
            },
        }
    };
    graph.edges.iter().zip(settled).filter(|(edge, _)| edge.from == id).map(route).collect()
}

fn ports(graph: &JobGraph, settled: &[bool], id: VertexId, workers: usize) -> Vec<Port> {
    let into = graph.edges.iter().zip(settled).filter(|(edge, _)| edge.to == id);
    let mut ports: Vec<(u8, Port)> = into
        .map(|(edge, settled)| {
            let marks = match edge.partitioning {
                Partitioning::Forward => 1,
                Partitioning::Hash(_) if *settled => 1,
                Partitioning::Hash(_) => workers,
            };
            (edge.port, Port { marks, missing: marks, watermark: i64::MAX })
        })
        .collect();
    ports.sort_by_key(|(port, _)| *port);
    ports.into_iter().map(|(_, port)| port).collect()
}

/// By vertex, whether it gets its rows from sources of the same worker and keeps nothing.
fn local(graph: &JobGraph) -> Vec<bool> {
    let mut local: Vec<bool> = Vec::with_capacity(graph.vertices.len());
    for (i, vertex) in graph.vertices.iter().enumerate() {
        let here =
            |edge: &Edge| edge.partitioning == Partitioning::Forward && local[edge.from.index()];
        let inputs = graph.inputs(VertexId::from(i));
        let is_source = matches!(vertex.op, PhysicalOp::Source(_));
        let is_fed = inputs.into_iter().any(here) && vertex.op.tables().is_empty();
        local.push(is_source || is_fed);
    }
    local
}

/// Whether a vertex works row by row on what a source hands out, so that a row that fails is known
/// by its number.
fn is_first(graph: &JobGraph, id: VertexId) -> bool {
    let by_row = matches!(graph.vertices[id.index()].op, PhysicalOp::Map(_) | PhysicalOp::Sink(_));
    let of_source = |edge: &Edge| {
        let from = &graph.vertices[edge.from.index()].op;
        edge.partitioning == Partitioning::Forward && matches!(from, PhysicalOp::Source(_))
    };
    by_row && graph.inputs(id).into_iter().all(of_source)
}

/// The column of an operator's input that holds the record's position in its source batch.
fn position_column(graph: &JobGraph, id: VertexId) -> Option<Column> {
    let input = graph.inputs(id).first().map(|edge| &graph.vertices[edge.from.index()])?;
    let index = input.columns.iter().position(|c| c.name == POSITION_COLUMN)?;
    let types: Vec<_> = input.columns.iter().map(|c| c.ty.clone()).collect();
    Some(RowLayout::new(types).column(index))
}

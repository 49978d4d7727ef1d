//! Runs a small graph as workers do: epochs, exchanges by key, watermarks, seals; and compares the
//! net changelog over all ways to cut the input.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_ir::decode_plan::{DecodeColumn, Origin};
use flow_ir::ids::{StreamId, TableId, VertexId};
use flow_ir::kernel::{KernelCx, OnError};
use flow_ir::physical::{
    Changelog, Edge, JobGraph, Partitioning, PhysicalOp, Settings, Source, Stream, StreamSchemas,
    TableKind, TableSpec, Vertex, verify,
};
use flow_ir::row::{
    BatchBuilder, KeyEncoder, RowBatch, RowLayout, key_group, key_hash, push_value, read_value,
};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_stdlib::interp::Interpreter;

use crate::ops::{LateRow, OpCx, Operator, Reports, instantiate};
use crate::state::{StateStore, StoreConfig};

/// A row that comes in, and the watermark of its source after it.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Which source, in the order of the graph.
    pub(super) port: usize,
    pub(super) row: Vec<Value>,
    pub(super) weight: i64,
    pub(super) mark: i64,
}

/// Rows and their net weights.
pub(super) type Net = BTreeMap<String, i64>;

/// A row and its weight.
pub(super) type Weighted = (Vec<Value>, i64);

/// Adds a row to a net changelog.
pub(super) fn add(net: &mut Net, row: &[Value], weight: i64) {
    let show = format!("{:?}", row.iter().map(canonical).collect::<Vec<_>>());
    let sum = net.entry(show.clone()).or_default();
    *sum += weight;
    if *sum == 0 {
        net.remove(&show);
    }
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Float(v) if *v == 0.0 => Value::Float(0.0),
        other => other.clone(),
    }
}

/// Where the workers read a source's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// Any row on any worker.
    Rows,
    /// A source on one worker: the order of its rows counts.
    Sources,
}

/// Makes graphs.
pub(super) struct Graph {
    pub(super) graph: JobGraph,
}

impl Graph {
    pub(super) fn new() -> Self {
        let graph = JobGraph {
            name: "law".into(),
            settings: Settings::default(),
            streams: Vec::new(),
            vertices: Vec::new(),
            edges: Vec::new(),
            tables: Vec::new(),
            sites: Vec::new(),
            sources: Vec::new(),
        };
        Self { graph }
    }

    pub(super) fn source(&mut self, types: &[Type], changelog: Changelog) -> VertexId {
        let stream = StreamId::from(self.graph.streams.len());
        let columns = types.iter().enumerate().map(|(i, ty)| DecodeColumn {
            name: format!("c{i}"),
            ty: ty.clone(),
            origin: Origin::Value(vec![format!("c{i}")]),
        });
        let source = Source {
            stream,
            columns: columns.collect(),
            watermark: None,
            ranges: Vec::new(),
            since: None,
        };
        self.graph.streams.push(Stream {
            name: format!("s{}", stream.0),
            connector: "case".into(),
            options: BTreeMap::new(),
            value_format: None,
            key_format: None,
            columns: Vec::new(),
            primary_key: Vec::new(),
            schemas: StreamSchemas::default(),
        });
        self.vertex(PhysicalOp::Source(source), types.to_vec(), changelog)
    }

    /// A table of the vertex that is added next.
    pub(super) fn table(&mut self, kind: TableKind, value: Vec<Type>) -> TableId {
        let id = TableId::from(self.graph.tables.len());
        let owner = VertexId::from(self.graph.vertices.len());
        let role = format!("t{}", id.0);
        self.graph.tables.push(TableSpec { owner, role, kind, key: Vec::new(), value });
        id
    }

    /// An operator; inputs are hashed by these columns.
    pub(super) fn add(
        &mut self,
        op: PhysicalOp,
        inputs: &[(VertexId, Option<Vec<usize>>)],
        types: Vec<Type>,
        changelog: Changelog,
    ) -> VertexId {
        let to = self.vertex(op, types, changelog);
        for (port, (from, keys)) in inputs.iter().enumerate() {
            let partitioning = keys.clone().map_or(Partitioning::Forward, Partitioning::Hash);
            self.graph.edges.push(Edge { from: *from, to, port: port as u8, partitioning });
        }
        to
    }

    fn vertex(&mut self, op: PhysicalOp, types: Vec<Type>, changelog: Changelog) -> VertexId {
        let id = VertexId::from(self.graph.vertices.len());
        let column = |(i, ty)| Field::new(format!("c{i}"), ty);
        self.graph.vertices.push(Vertex {
            name: format!("v{}", id.0),
            identity: u64::from(id.0),
            op,
            columns: types.into_iter().enumerate().map(column).collect(),
            changelog,
            span: Span::default(),
        });
        id
    }
}

/// How the input is cut.
#[derive(Clone, Debug)]
pub(super) struct Regime {
    /// Events an epoch, in turn.
    pub(super) epochs: Vec<usize>,
    /// Events a batch at most.
    pub(super) batch: usize,
    pub(super) workers: usize,
    /// Operators are made anew before each epoch.
    pub(super) restarts: bool,
}

/// One row an epoch, everything at once, and as `sizes` say.
pub(super) fn regimes(sizes: &[usize]) -> Vec<Regime> {
    let sizes = if sizes.is_empty() { vec![3] } else { sizes.to_vec() };
    let regime = |epochs: &[usize], batch, workers, restarts| Regime {
        epochs: epochs.to_vec(),
        batch,
        workers,
        restarts,
    };
    vec![
        regime(&[usize::MAX], usize::MAX, 1, false),
        regime(&[1], 1, 1, true),
        regime(&sizes, 2, 1, true),
        regime(&sizes, usize::MAX, 4, false),
        regime(&[1], 1, 4, false),
    ]
}

/// What a run gave.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) net: Net,
    pub(super) late: Vec<LateRow>,
    pub(super) failures: usize,
    /// Rows that were both taken back and put in the same epoch.
    pub(super) wavering: usize,
    /// Entries of ordered and windowed tables that are left in the end.
    pub(super) entries: usize,
    /// Every row with the watermark that went on before its epoch.
    pub(super) rows: Vec<Weighted>,
}

struct Worker {
    store: StateStore,
    groups: Vec<u8>,
    ops: Vec<Option<Box<dyn Operator>>>,
}

struct Runner<'a> {
    graph: &'a JobGraph,
    workers: Vec<Worker>,
    /// Watermark that each vertex got in the epoch before, and gave.
    marks: Vec<i64>,
    marks_out: Vec<i64>,
    epoch: Vec<Weighted>,
    run: Run,
}

/// Runs a graph whose last vertex is the result.
pub(super) fn run(graph: &JobGraph, events: &[Event], spread: Spread, regime: &Regime) -> Run {
    verify(graph).expect("the graph is valid");
    let mut runner = Runner::new(graph, regime.workers);
    let sources = graph.streams.len();
    let mut marks = vec![i64::MIN; sources];
    let (mut rest, mut sizes, mut turn) = (events, regime.epochs.iter().cycle(), 0);
    loop {
        let size = (*sizes.next().expect("there is a size")).clamp(1, rest.len().max(1));
        let (now, later) = rest.split_at(size.min(rest.len()));
        let mut left = now;
        while let Some(first) = left.first() {
            let same = left.iter().take_while(|e| e.port == first.port).count();
            let (batch, after) = left.split_at(same.min(regime.batch));
            turn += 1;
            let worker = match spread {
                Spread::Rows => turn % regime.workers,
                Spread::Sources => first.port % regime.workers,
            };
            runner.feed(worker, first.port, batch);
            left = after;
        }
        for event in now {
            marks[event.port] = marks[event.port].max(event.mark);
        }
        rest = later;
        if rest.is_empty() {
            marks.fill(i64::MAX);
        }
        runner.end_epoch(&marks);
        if rest.is_empty() {
            runner.run.entries = runner.entries();
            return runner.run;
        }
        if regime.restarts {
            runner.restart();
        }
    }
}

/// Asserts the law for these events.
pub(super) fn assert_law(
    graph: &JobGraph,
    events: &[Event],
    spread: Spread,
    sizes: &[usize],
    expected: &Net,
) -> Vec<Run> {
    let run = |regime: &Regime| {
        let run = run(graph, events, spread, regime);
        assert_eq!(&run.net, expected, "{regime:?}");
        run
    };
    regimes(sizes).iter().map(run).collect()
}

fn operators(graph: &JobGraph) -> Vec<Option<Box<dyn Operator>>> {
    let operator = |i: usize| match graph.vertices[i].op {
        PhysicalOp::Source(_) => None,
        _ => Some(instantiate(graph, VertexId::from(i), &Interpreter).expect("an operator")),
    };
    (0..graph.vertices.len()).map(operator).collect()
}

impl<'a> Runner<'a> {
    fn new(graph: &'a JobGraph, workers: usize) -> Self {
        let numbers: Vec<u32> = (0..graph.tables.len() as u32).collect();
        let worker = |w: usize| {
            let groups: Vec<u8> =
                (0..=255u8).filter(|g| usize::from(*g) * workers / 256 == w).collect();
            let store = StateStore::new(&StoreConfig {
                specs: &graph.tables,
                numbers: &numbers,
                groups: &groups,
                disk: None,
                budget_bytes: 1 << 30,
            });
            Worker { store, groups, ops: operators(graph) }
        };
        Self {
            graph,
            workers: (0..workers).map(worker).collect(),
            marks: vec![i64::MIN; graph.vertices.len()],
            marks_out: vec![i64::MIN; graph.vertices.len()],
            epoch: Vec::new(),
            run: Run::default(),
        }
    }

    fn restart(&mut self) {
        for worker in &mut self.workers {
            worker.ops = operators(self.graph);
        }
    }

    fn entries(&mut self) -> usize {
        let kinds = self.graph.tables.iter().map(|spec| spec.kind).enumerate();
        let tables: Vec<(TableId, TableKind)> =
            kinds.map(|(i, kind)| (TableId::from(i), kind)).collect();
        let entries = |store: &mut StateStore| {
            let of = |(id, kind): &(TableId, TableKind)| match kind {
                TableKind::Ordered => store.ordered(*id).len(),
                TableKind::Windowed => store.windowed(*id).len(),
                TableKind::Point => 0,
            };
            tables.iter().map(of).sum::<usize>()
        };
        self.workers.iter_mut().map(|worker| entries(&mut worker.store)).sum()
    }

    fn layout(&self, vertex: usize) -> Arc<RowLayout> {
        let types = self.graph.vertices[vertex].columns.iter().map(|c| c.ty.clone());
        Arc::new(RowLayout::new(types.collect::<Vec<_>>()))
    }

    fn feed(&mut self, worker: usize, source: usize, events: &[Event]) {
        let mut rows = BatchBuilder::new(self.layout(source));
        for event in events {
            rows.begin();
            for (i, value) in event.row.iter().enumerate() {
                push_value(&mut rows, i, value);
            }
            rows.finish(event.weight);
        }
        self.deliver(worker, source, rows.take());
    }

    /// Sends what a vertex gave to its readers.
    fn deliver(&mut self, worker: usize, from: usize, rows: RowBatch) {
        if rows.is_empty() {
            return;
        }
        if from + 1 == self.graph.vertices.len() {
            self.collect(&rows);
        }
        let edges: Vec<Edge> = self.graph.outputs(VertexId::from(from)).cloned().collect();
        for edge in edges {
            let parts = match &edge.partitioning {
                Partitioning::Forward => vec![(worker, rows.clone())],
                Partitioning::Hash(columns) => self.exchange(&rows, columns),
            };
            for (worker, rows) in parts {
                let port = usize::from(edge.port);
                self.call(worker, edge.to.index(), |op, cx| {
                    op.on_batch(port, &rows, cx).expect("on_batch");
                });
            }
        }
    }

    fn exchange(&self, rows: &RowBatch, columns: &[usize]) -> Vec<(usize, RowBatch)> {
        let encoder = KeyEncoder::new(rows.layout(), columns);
        let mut parts: Vec<BatchBuilder> =
            self.workers.iter().map(|_| BatchBuilder::new(rows.layout().clone())).collect();
        let mut key = Vec::new();
        for (i, row) in rows.rows().enumerate() {
            key.clear();
            encoder.append(row, &mut key);
            let to = usize::from(key_group(key_hash(&key))) * self.workers.len() / 256;
            parts[to].push_row(row, rows.weight(i));
        }
        let parts = parts.iter_mut().map(BatchBuilder::take).enumerate();
        parts.filter(|(_, rows)| !rows.is_empty()).collect()
    }

    fn call(
        &mut self,
        worker: usize,
        vertex: usize,
        f: impl FnOnce(&mut dyn Operator, &mut OpCx<'_>),
    ) {
        let mut emit = BatchBuilder::new(self.layout(vertex));
        let mut reports = Reports { keep_rows: true, ..Reports::default() };
        let Worker { store, groups, ops } = &mut self.workers[worker];
        let mut cx = OpCx {
            state: store,
            emit: &mut emit,
            kernel: KernelCx { clock: 0, on_error: OnError::DropRow },
            mark: self.marks[vertex],
            groups,
            limit_bytes: usize::MAX,
            reports: &mut reports,
        };
        f(ops[vertex].as_deref_mut().expect("an operator"), &mut cx);
        self.run.late.append(&mut reports.late);
        self.run.failures += reports.failures.len();
        self.deliver(worker, vertex, emit.take());
    }

    fn end_epoch(&mut self, sources: &[i64]) {
        for vertex in 0..self.graph.vertices.len() {
            if let Some(mark) = sources.get(vertex) {
                self.marks_out[vertex] = *mark;
                continue;
            }
            let inputs = self.graph.inputs(VertexId::from(vertex));
            let mark = inputs.iter().map(|e| self.marks_out[e.from.index()]).min();
            let mark = mark.unwrap_or(i64::MAX);
            for worker in 0..self.workers.len() {
                self.call(worker, vertex, |op, cx| op.on_watermark(mark, cx).expect("mark"));
                self.call(worker, vertex, |op, cx| op.on_epoch_end(cx).expect("end"));
            }
            self.marks[vertex] = mark;
            let op = self.workers[0].ops[vertex].as_ref().expect("an operator");
            let last = vertex + 1 == self.graph.vertices.len();
            let before = std::mem::replace(&mut self.marks_out[vertex], op.watermark_out(mark));
            if last {
                self.settle(before);
            }
        }
        for worker in &mut self.workers {
            worker.store.seal(false);
        }
    }

    fn collect(&mut self, rows: &RowBatch) {
        let layout = rows.layout().clone();
        for (i, row) in rows.rows().enumerate() {
            let value = |c: usize| read_value(row, layout.column(c), &layout.types()[c]);
            let values: Vec<Value> = (0..layout.len()).map(value).collect();
            self.epoch.push((values, rows.weight(i)));
        }
    }

    /// Ends the epoch of the result, before which the watermark `mark` went on.
    fn settle(&mut self, mark: i64) {
        let mut signs: BTreeMap<String, [bool; 2]> = BTreeMap::new();
        for (row, weight) in std::mem::take(&mut self.epoch) {
            assert_ne!(weight, 0, "a row without weight");
            add(&mut self.run.net, &row, weight);
            signs.entry(format!("{row:?}")).or_default()[usize::from(weight > 0)] = true;
            self.run.rows.push((row, mark));
        }
        self.run.wavering += signs.values().filter(|s| s[0] && s[1]).count();
    }
}

/// A nullable type.
pub(super) fn null(data: DataType) -> Type {
    Type::nullable(data)
}

/// A type that is never NULL.
pub(super) fn not_null(data: DataType) -> Type {
    Type::not_null(data)
}

/// TIMESTAMP(3), never NULL.
pub(super) fn timestamp() -> Type {
    Type::not_null(DataType::Timestamp { precision: 3 })
}

/// An integer value, or NULL.
pub(super) fn int(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Int)
}

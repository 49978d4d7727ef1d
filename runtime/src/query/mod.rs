//! Queries over materialized views: the operators of a query's graph, run on the caller's thread
//! with all state in memory, by the same rules as in a job.
//!
//! A query goes in steps, as a job in epochs. The first step takes the rows of a snapshot; whoever
//! subscribed gives each later step the changes of an epoch. A step answers with the net changes of
//! the result. Nothing here knows where the rows come from.

mod answer;
mod json;

use std::sync::Arc;

use flow_ir::connector::{ANSWER, VIEW, VIEW_JOB};
use flow_ir::decode_plan::Origin;
use flow_ir::ids::VertexId;
use flow_ir::kernel::{KernelCx, KernelFactory, OnError};
use flow_ir::physical::{JobGraph, KeyRange, PhysicalOp, Source};
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout};

pub use answer::Arrangement;
pub use json::JsonRows;

use crate::error::{Result, RuntimeError};
use crate::format::encoding;
use crate::ops::instantiate;
use crate::state::{StateStore, StoreConfig};
use crate::view::ViewSpec;
use crate::worker::{Exchange, Failed, Parts, SinkWriter, Wiring, describe};

/// A query that runs.
pub struct Query {
    graph: Arc<JobGraph>,
    wiring: Wiring,
    sources: Vec<ViewSource>,
    /// The answer's layout.
    answer: Arc<RowLayout>,
    memory_bytes: usize,
    clock: i64,
    begun: bool,
}

/// A view that a query reads.
pub struct ViewSource {
    vertex: VertexId,
    source: Source,
    /// The job that keeps the view.
    pub job: String,
    /// Name of the view.
    pub view: String,
    rows: BatchBuilder,
    /// By column of the source, the view's.
    columns: Vec<Column>,
}

impl ViewSource {
    /// The rows that the query needs of the view; none given: all.
    pub fn ranges(&self) -> &[KeyRange] {
        &self.source.ranges
    }
}

impl Query {
    /// A query from a graph of which the compiler says that it reads only views. `clock`: what
    /// NOW() gives in the first step, microseconds since 1970. Its state may take `memory_bytes`.
    ///
    /// # Errors
    /// If the graph breaks a rule or reads something else.
    pub fn new(
        graph: Arc<JobGraph>,
        factory: &dyn KernelFactory,
        clock: i64,
        memory_bytes: usize,
    ) -> Result<Self> {
        flow_ir::physical::verify(&graph).map_err(|e| RuntimeError::internal(e.to_string()))?;
        let (mut operators, mut sinks, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        let mut answer: Option<Arc<RowLayout>> = None;
        for (i, vertex) in graph.vertices.iter().enumerate() {
            let id = VertexId::from(i);
            match &vertex.op {
                PhysicalOp::Source(source) => {
                    sources.push(view_source(&graph, id, source)?);
                    operators.push(None);
                }
                PhysicalOp::Sink(sink) => {
                    let stream = graph.stream(sink.stream);
                    if stream.connector != ANSWER || answer.is_some() {
                        return Err(RuntimeError::internal("a query has one answer"));
                    }
                    let layout = Arc::new(RowLayout::new(stream.types()));
                    answer = Some(layout.clone());
                    let encoding = encoding(stream, sink, factory, None)?;
                    sinks.push(SinkWriter::new(id, sink, layout, encoding));
                    operators.push(None);
                }
                _ => operators.push(Some(instantiate(&graph, id, factory)?)),
            }
        }
        let answer = answer.ok_or_else(|| RuntimeError::internal("a query has no answer"))?;
        let groups: Vec<u8> = (0..=u8::MAX).collect();
        let numbers: Vec<u32> = (0..graph.tables.len() as u32).collect();
        let store = StateStore::new(&StoreConfig {
            specs: &graph.tables,
            numbers: &numbers,
            groups: &groups,
            disk: None,
            budget_bytes: memory_bytes,
        });
        let (mut exchange, _) = Exchange::connect(1);
        let exchange = exchange.pop().expect("an exchange of one has one end");
        let marks = vec![i64::MIN; graph.vertices.len()];
        let parts = Parts { operators, sinks, exchange, store, groups, marks, memory_bytes };
        Ok(Self {
            wiring: Wiring::new(&graph, parts),
            sources,
            answer,
            memory_bytes,
            clock,
            begun: false,
            graph,
        })
    }

    /// The views that it reads, one entry for each time that it reads one.
    pub fn sources(&self) -> &[ViewSource] {
        &self.sources
    }

    /// Tells where the columns of a source are in its view's rows. To be called once for each.
    ///
    /// # Errors
    /// If the view is not the one that the query was compiled for.
    pub fn bind(&mut self, source: usize, view: &ViewSpec) -> Result<()> {
        let source = &mut self.sources[source];
        let place = |column: &flow_ir::decode_plan::DecodeColumn| {
            let Origin::Value(path) = &column.origin else { return None };
            let [name] = &path[..] else { return None };
            let place = view.columns.iter().position(|c| c.name == *name)?;
            let same = view.columns[place].ty.data == column.ty.data;
            same.then(|| view.layout().column(place))
        };
        let columns: Option<Vec<Column>> = source.source.columns.iter().map(place).collect();
        let changed = || {
            RuntimeError::user(format!("view {} is not what it was a moment ago", view.name))
                .with_help("It was made anew with other columns. Ask again.")
        };
        source.columns = columns.ok_or_else(changed)?;
        Ok(())
    }

    /// Takes rows of a bound source's view, with their weights.
    ///
    /// # Errors
    /// If an expression fails for a row, or the query needs more memory than it may take.
    pub fn push(&mut self, source: usize, rows: &RowBatch) -> Result<()> {
        self.begin();
        let of = &mut self.sources[source];
        for (index, row) in rows.rows().enumerate() {
            of.rows.begin();
            for (to, &from) in of.columns.iter().enumerate() {
                of.rows.copy_column(to, row, from);
            }
            of.rows.finish(rows.weight(index));
        }
        let (vertex, taken) = (of.vertex, of.rows.take());
        self.wiring.push_source(vertex, &taken, 0, kernel(self.clock))?;
        self.sources[source].rows.recycle(taken);
        self.settle()?;
        if self.wiring.state_bytes() > self.memory_bytes {
            let megabytes = self.memory_bytes >> 20;
            return Err(RuntimeError::user(format!(
                "the query needs more than the {megabytes} MB of memory that a query may take"
            ))
            .with_help("Filter more, or keep its result in a materialized view."));
        }
        Ok(())
    }

    /// Ends a step: the net changes of the result since the last one, of equal keys rows that go
    /// before rows that come. `next_clock` is what NOW() gives from then on.
    ///
    /// # Errors
    /// If an expression fails for a row.
    pub fn step(&mut self, next_clock: i64) -> Result<RowBatch> {
        self.begin();
        for at in 0..self.sources.len() {
            self.wiring.end_source(self.sources[at].vertex, i64::MAX)?;
        }
        self.settle()?;
        while !self.wiring.all_ended() {
            let message = self.wiring.receive();
            self.wiring.take(message)?;
            self.settle()?;
        }
        let outputs = self.wiring.end_epoch(false)?.outputs;
        (self.begun, self.clock) = (false, next_clock);
        self.refuse_failures()?;
        let mut staged = outputs.into_iter().flat_map(|(.., staged, _)| staged.rows);
        Ok(staged.next().unwrap_or_else(|| RowBatch::empty(self.answer.clone())))
    }

    /// Whether its answer to a row does not depend on other rows.
    pub fn is_stateless(&self) -> bool {
        self.graph.tables.is_empty()
    }

    /// Rows of the answer that this step has so far, those that cancel out counted too.
    pub fn answered(&self) -> usize {
        self.wiring.waiting_rows()
    }

    fn begin(&mut self) {
        if !self.begun {
            self.wiring.begin(kernel(self.clock), false);
            self.begun = true;
        }
    }

    /// Lets rows that wait in the exchange go on.
    fn settle(&mut self) -> Result<()> {
        while let Some(message) = self.wiring.try_receive() {
            self.wiring.take(message)?;
        }
        self.refuse_failures()
    }

    /// A row for which an expression failed ends the query.
    fn refuse_failures(&mut self) -> Result<()> {
        let Some(Failed { error, .. }) = self.wiring.failed.first() else { return Ok(()) };
        let site = error.site.and_then(|site| self.graph.sites.get(site.index()));
        let at = site.map_or_else(String::new, |s| format!(" at {}:{}", s.line, s.column));
        let message = format!("the query failed for a row{at}: {}", describe(error));
        Err(RuntimeError::user(message).at(error.site))
    }
}

fn kernel(clock: i64) -> KernelCx {
    KernelCx { clock, on_error: OnError::DropRow }
}

fn view_source(graph: &JobGraph, vertex: VertexId, source: &Source) -> Result<ViewSource> {
    let stream = graph.stream(source.stream);
    if stream.connector != VIEW {
        let message = format!("{} is no view: it cannot be read at once", stream.name);
        return Err(RuntimeError::internal(message));
    }
    let types: Vec<_> = source.columns.iter().map(|c| c.ty.clone()).collect();
    Ok(ViewSource {
        vertex,
        source: source.clone(),
        job: stream.option(VIEW_JOB).unwrap_or_default().to_string(),
        view: stream.name.clone(),
        rows: BatchBuilder::new(Arc::new(RowLayout::new(types))),
        columns: Vec::new(),
    })
}

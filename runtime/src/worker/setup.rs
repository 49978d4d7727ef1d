//! What a worker is made from.

use std::sync::Arc;

use flow_ir::ids::VertexId;
use flow_ir::kernel::KernelFactory;
use flow_ir::physical::{JobGraph, PhysicalOp};
use flow_ir::row::RowLayout;
use flow_registry::Registry;

use super::outputs::SinkWriter;
use super::record_metadata::MetadataColumns;
use super::source::Scan;
use super::wiring::{Parts, Wiring};
use super::{Exchange, Inputs, Policies, Worker};
use crate::config::Memory;
use crate::error::Result;
use crate::format::encoding;
use crate::metrics::Metrics;
use crate::ops::instantiate;
use crate::state::StateStore;
use crate::world::Clock;

/// Everything that a worker owns or shares from the start.
pub(crate) struct WorkerSetup {
    pub(crate) id: usize,
    pub(crate) graph: Arc<JobGraph>,
    pub(crate) factory: Arc<dyn KernelFactory>,
    /// By stream; `None` where no format of the stream needs one.
    pub(crate) registries: Arc<Vec<Option<Arc<dyn Registry>>>>,
    /// By stream: of a view of another job, the number of its table there.
    pub(crate) view_tables: Arc<Vec<Option<u32>>>,
    pub(crate) inputs: Inputs,
    pub(crate) exchange: Exchange,
    pub(crate) store: StateStore,
    /// Key groups that the worker owns, ascending.
    pub(crate) groups: Vec<u8>,
    /// By vertex: the watermark that it got before.
    pub(crate) marks: Vec<i64>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) batch_rows: usize,
    /// Of the job, and by how many workers it is shared.
    pub(crate) memory: Memory,
    pub(crate) workers: usize,
}

impl Worker {
    /// Makes the operators, scans and sinks.
    ///
    /// # Errors
    /// If the graph does not fit together, or a sink's schema cannot be registered.
    pub(crate) fn new(setup: WorkerSetup) -> Result<Self> {
        let graph = setup.graph;
        let mut operators = Vec::with_capacity(graph.vertices.len());
        let mut sinks = Vec::new();
        let mut scans: Vec<Vec<Scan>> = graph.streams.iter().map(|_| Vec::new()).collect();
        for (i, vertex) in graph.vertices.iter().enumerate() {
            let id = VertexId::from(i);
            if let PhysicalOp::Source(source) = &vertex.op {
                let stream = source.stream.index();
                let registry = setup.registries[stream].clone();
                let table = setup.view_tables[stream];
                let scan = Scan::new(&graph, id, source, &setup.factory, registry, table)?;
                scans[stream].push(scan);
                operators.push(None);
            } else if let PhysicalOp::Sink(sink) = &vertex.op {
                let stream = graph.stream(sink.stream);
                let registry = setup.registries[sink.stream.index()].as_ref();
                let encoding = encoding(stream, sink, &*setup.factory, registry)?;
                let layout = Arc::new(RowLayout::new(stream.types()));
                let metadata = MetadataColumns::of(stream);
                sinks.push(SinkWriter::new(id, sink, layout, encoding).with_metadata(metadata));
                operators.push(None);
            } else {
                operators.push(Some(instantiate(&graph, id, &*setup.factory)?));
            }
        }
        let parts = Parts {
            operators,
            sinks,
            exchange: setup.exchange,
            store: setup.store,
            groups: setup.groups,
            marks: setup.marks,
            memory_bytes: setup.memory.bytes() / setup.workers,
        };
        Ok(Self {
            id: setup.id,
            wiring: Wiring::new(&graph, parts),
            inputs: setup.inputs,
            scans,
            by_clock: graph.streams_by_clock(),
            policies: setup.policies,
            partitions: setup.metrics.partitions(),
            metrics: setup.metrics,
            factory: setup.factory,
            clock: setup.clock,
            batch_rows: setup.batch_rows,
            memory: setup.memory,
            workers: setup.workers,
            drift: graph.settings.watermark_max_drift,
            graph,
            asides: Vec::new(),
            event_time: i64::MIN,
        })
    }
}

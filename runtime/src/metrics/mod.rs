//! What a running job counts. Counters only grow; gauges hold the last value. Written by workers
//! and coordinator without locks, read by whoever shows them.

mod histogram;
mod operator;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use flow_ir::ids::{StreamId, VertexId};
use flow_ir::physical::{JobGraph, Vertex};

pub use histogram::{BOUNDS_MICROS, Durations, Histogram};
pub(crate) use operator::Counts;
pub use operator::OperatorMetrics;

/// A number that only grows, or the last value of something.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Replaces it.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of one stream.
#[derive(Debug, Default)]
pub struct StreamMetrics {
    /// Name in the program.
    pub name: String,
    /// Records read.
    pub records_in: Counter,
    /// Bytes of keys and values read.
    pub bytes_in: Counter,
    /// Records written by committed epochs.
    pub records_out: Counter,
    /// Bytes of keys and values written by committed epochs; rows of a view are not counted.
    pub bytes_out: Counter,
    /// Rows left out because they came too late.
    pub late: Counter,
    /// Rows behind the watermark that a silent partition was raised to when it spoke again.
    pub late_after_idle: Counter,
    /// Rows dated further ahead than 'max.future.skew' allows, which did not move the watermark.
    pub ahead: Counter,
    /// Records that could not be read or computed and were left out.
    pub skipped: Counter,
    /// Records that went to the dead-letter topic.
    pub dead_lettered: Counter,
}

/// A partition that is read.
#[derive(Debug)]
pub struct PartitionMetrics {
    /// Stream that it belongs to.
    pub stream: StreamId,
    /// `TOPIC-PARTITION`, or the path of a file.
    pub name: String,
    /// Its watermark, microseconds since 1970; `i64::MIN` before any.
    pub watermark: AtomicI64,
    /// Whether its stream has event time.
    pub timed: bool,
    /// Records between position and end, as last known.
    pub lag: Counter,
    /// 1 when nothing more will come.
    pub ended: Counter,
    /// 1 while it is passed over.
    pub idle: Counter,
    /// 1 while it waits for a schema that the registry could not be asked for.
    pub waits: Counter,
}

/// The partitions that a job reads, in an order that stays: more may follow, none goes.
pub type Partitions = Arc<Vec<Arc<PartitionMetrics>>>;

/// By vertex, the one that does its work too: a scan does the map above it.
pub(crate) fn done_by(graph: &JobGraph) -> Vec<Option<VertexId>> {
    let mut by = vec![None; graph.vertices.len()];
    for source in (0..by.len()).map(VertexId::from) {
        if let Some((map, _)) = graph.map_above(source) {
            by[map.index()] = Some(source);
        }
    }
    by
}

/// Everything that a job counts.
#[derive(Debug)]
pub struct Metrics {
    /// The program that it is counted for.
    pub graph: Arc<JobGraph>,
    /// By `StreamId`.
    pub streams: Vec<StreamMetrics>,
    /// By `VertexId`.
    pub operators: Vec<OperatorMetrics>,
    partitions: RwLock<Partitions>,
    /// Committed epochs.
    pub epochs: Counter,
    /// Attempts that were started again after a failure.
    pub restarts: Counter,
    /// State in memory, bytes.
    pub state_memory_bytes: Counter,
    /// State in the local store, bytes, as last looked up.
    pub state_disk_bytes: Counter,
    /// Records that were read back from the changelog at start.
    pub restored: Counter,
    /// Microseconds from start to the first committed output; 0 before it.
    pub first_output_micros: Counter,
    /// Of epochs in which something moved: from the beginning to the end on all workers.
    pub epoch_durations: Histogram,
    /// Of commits: from the first record sent to the epoch's showing in views.
    pub commit_durations: Histogram,
}

impl Metrics {
    /// Counters for a graph, without partitions yet.
    pub fn new(graph: &Arc<JobGraph>) -> Self {
        let stream = |s: &flow_ir::physical::Stream| StreamMetrics {
            name: s.name.clone(),
            ..StreamMetrics::default()
        };
        let operator = |done_by: Option<VertexId>| OperatorMetrics {
            done_by,
            watermark: AtomicI64::new(i64::MIN),
            ..OperatorMetrics::default()
        };
        Self {
            streams: graph.streams.iter().map(stream).collect(),
            operators: done_by(graph).into_iter().map(operator).collect(),
            graph: graph.clone(),
            partitions: RwLock::default(),
            epochs: Counter::default(),
            restarts: Counter::default(),
            state_memory_bytes: Counter::default(),
            state_disk_bytes: Counter::default(),
            restored: Counter::default(),
            first_output_micros: Counter::default(),
            epoch_durations: Histogram::default(),
            commit_durations: Histogram::default(),
        }
    }

    /// The operators with their vertices.
    pub fn by_operator(&self) -> impl Iterator<Item = (VertexId, &Vertex, &OperatorMetrics)> {
        let pairs = self.graph.vertices.iter().zip(&self.operators).enumerate();
        pairs.map(|(index, (vertex, metrics))| (VertexId::from(index), vertex, metrics))
    }

    /// Seconds that workers spent in all operators.
    pub fn busy_seconds(&self) -> f64 {
        self.operators.iter().map(OperatorMetrics::busy_seconds).sum()
    }

    /// The partitions read now.
    pub fn partitions(&self) -> Partitions {
        self.partitions.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Adds partitions behind those that there are. Returns all.
    pub fn add_partitions(&self, more: impl IntoIterator<Item = PartitionMetrics>) -> Partitions {
        let mut partitions = self.partitions.write().unwrap_or_else(|e| e.into_inner());
        Arc::make_mut(&mut partitions).extend(more.into_iter().map(Arc::new));
        partitions.clone()
    }

    /// The lowest watermark of partitions that still deliver, and which one holds it.
    pub fn watermark(&self) -> Option<(i64, String)> {
        let partitions = self.partitions();
        let delivers =
            partitions.iter().filter(|p| p.timed && p.ended.get() == 0 && p.idle.get() == 0);
        let lowest = delivers.map(|p| (p.watermark.load(Ordering::Relaxed), &p.name)).min()?;
        Some((lowest.0, lowest.1.clone()))
    }

    /// Records read, all streams.
    pub fn records_in(&self) -> u64 {
        self.streams.iter().map(|s| s.records_in.get()).sum()
    }

    /// Records written by committed epochs, all streams.
    pub fn records_out(&self) -> u64 {
        self.streams.iter().map(|s| s.records_out.get()).sum()
    }

    /// Records still to read, as last known.
    pub fn lag(&self) -> u64 {
        self.partitions().iter().map(|p| p.lag.get()).sum()
    }
}

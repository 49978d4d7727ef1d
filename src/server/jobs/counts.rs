//! What a job counts, as the API shows it. Counters begin anew with each start of the job.

use flow_ir::ids::VertexId;
use flow_ir::physical::Vertex;
use flow_runtime::metrics::{Durations, Metrics, OperatorMetrics, StreamMetrics};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a job counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct JobMetrics {
    /// Records read.
    pub records_in: u64,
    /// Records written by committed epochs.
    pub records_out: u64,
    /// Records still to read, as last known.
    pub lag: u64,
    /// The lowest watermark, microseconds since 1970; none before any, or without event time.
    pub watermark_micros: Option<i64>,
    /// The partition that holds it.
    pub watermark_held_by: Option<String>,
    /// Committed epochs.
    pub epochs: u64,
    /// Seconds spent in commits.
    pub commit_seconds: f64,
    /// Seconds that workers spent in operators.
    #[serde(default)]
    pub busy_seconds: f64,
    /// State in memory, bytes.
    pub state_memory_bytes: u64,
    /// State in the local store, bytes.
    pub state_disk_bytes: u64,
    /// Records read back from the changelog at start.
    pub restored: u64,
    /// Attempts that failed and began anew since the job was started.
    #[serde(default)]
    pub restarts: u64,
    /// By stream.
    pub streams: Vec<StreamCounts>,
}

/// Counts of one stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct StreamCounts {
    /// Its name in the program.
    pub stream: String,
    /// Records read.
    pub records_in: u64,
    /// Bytes of keys and values read.
    pub bytes_in: u64,
    /// Records written by committed epochs.
    pub records_out: u64,
    /// Bytes of keys and values written by committed epochs; rows of a view are not counted.
    #[serde(default)]
    pub bytes_out: u64,
    /// Rows left out because they came too late.
    pub late: u64,
    /// Rows behind the watermark of a partition that had been passed over.
    pub late_after_idle: u64,
    /// Rows dated too far ahead to move the watermark.
    pub ahead: u64,
    /// Records that could not be read or computed and were left out.
    pub skipped: u64,
    /// Records that went to the dead-letter topic.
    pub dead_lettered: u64,
}

/// What a job counts, with its operators.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct JobDetails {
    /// The whole job.
    #[serde(flatten)]
    pub job: JobMetrics,
    /// Of epochs in which something moved, from the beginning to the end on all workers.
    pub epoch_durations: DurationFigures,
    /// Of commits.
    pub commit_durations: DurationFigures,
    /// By operator, in the order of the plan; of epochs that have ended on all workers.
    pub operators: Vec<OperatorCounts>,
}

/// How long something takes.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct DurationFigures {
    /// How many there were.
    pub count: u64,
    /// All of them together, seconds.
    pub seconds: f64,
    /// Half of them took at most this many seconds; none if there are none or they took longer than
    /// the last class of the histogram.
    pub p50_seconds: Option<f64>,
    /// The same of 99 in 100.
    pub p99_seconds: Option<f64>,
}

/// Counts of one operator, all workers together.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct OperatorCounts {
    /// Its number in the plan.
    pub vertex: u32,
    /// Its name.
    pub operator: String,
    /// What it is, as the plan calls it.
    pub kind: String,
    /// The operator that does its work too, in one loop; the counts are that one's.
    pub done_by: Option<u32>,
    /// Rows that came in; of a source, records. An update is two rows.
    pub rows_in: u64,
    /// Rows that went out; of a sink, what it wrote.
    pub rows_out: u64,
    /// Seconds that workers spent in it.
    pub busy_seconds: f64,
    /// Its watermark, microseconds since 1970; none before any, without event time, or at the end.
    pub watermark_micros: Option<i64>,
    /// Keys of its tables in memory; none if it has no table.
    pub state_rows: Option<u64>,
    /// The most of these at the end of an epoch, since the start.
    #[serde(default)]
    pub state_rows_most: Option<u64>,
    /// Memory of its tables, bytes; none if it has no table.
    pub state_bytes: Option<u64>,
}

impl From<&Metrics> for JobMetrics {
    fn from(metrics: &Metrics) -> Self {
        let held = metrics.watermark();
        Self {
            records_in: metrics.records_in(),
            records_out: metrics.records_out(),
            lag: metrics.lag(),
            watermark_micros: held.as_ref().map(|(at, _)| *at).filter(|&at| at != i64::MIN),
            watermark_held_by: held.map(|(_, name)| name),
            epochs: metrics.epochs.get(),
            commit_seconds: metrics.commit_durations.read().sum.as_secs_f64(),
            busy_seconds: metrics.busy_seconds(),
            state_memory_bytes: metrics.state_memory_bytes.get(),
            state_disk_bytes: metrics.state_disk_bytes.get(),
            restored: metrics.restored.get(),
            restarts: metrics.restarts.get(),
            streams: metrics.streams.iter().map(StreamCounts::from).collect(),
        }
    }
}

impl From<&StreamMetrics> for StreamCounts {
    fn from(s: &StreamMetrics) -> Self {
        Self {
            stream: s.name.clone(),
            records_in: s.records_in.get(),
            bytes_in: s.bytes_in.get(),
            records_out: s.records_out.get(),
            bytes_out: s.bytes_out.get(),
            late: s.late.get(),
            late_after_idle: s.late_after_idle.get(),
            ahead: s.ahead.get(),
            skipped: s.skipped.get(),
            dead_lettered: s.dead_lettered.get(),
        }
    }
}

impl From<&Metrics> for JobDetails {
    fn from(metrics: &Metrics) -> Self {
        Self {
            job: metrics.into(),
            epoch_durations: metrics.epoch_durations.read().into(),
            commit_durations: metrics.commit_durations.read().into(),
            operators: operators(metrics),
        }
    }
}

impl From<Durations> for DurationFigures {
    fn from(durations: Durations) -> Self {
        let within = |share| durations.within(share).map(|bound| bound.as_secs_f64());
        Self {
            count: durations.count(),
            seconds: durations.sum.as_secs_f64(),
            p50_seconds: within(0.5),
            p99_seconds: within(0.99),
        }
    }
}

fn operators(metrics: &Metrics) -> Vec<OperatorCounts> {
    let one = |(id, vertex, counts): (VertexId, &Vertex, &OperatorMetrics)| {
        let keeps = !vertex.op.tables().is_empty();
        OperatorCounts {
            vertex: id.0,
            operator: vertex.name.clone(),
            kind: vertex.op.kind().to_string(),
            done_by: counts.done_by.map(|by| by.0),
            rows_in: counts.rows_in.get(),
            rows_out: counts.rows_out.get(),
            busy_seconds: counts.busy_seconds(),
            watermark_micros: counts.watermark(),
            state_rows: keeps.then(|| counts.state_rows.get()),
            state_rows_most: keeps.then(|| counts.state_rows_most.get()),
            state_bytes: keeps.then(|| counts.state_bytes.get()),
        }
    };
    metrics.by_operator().map(one).collect()
}

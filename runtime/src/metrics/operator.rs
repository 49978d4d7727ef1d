//! What is counted of one operator. A worker counts in plain numbers while it computes; the
//! coordinator adds them up when the epoch has ended on all workers, so that what is shown is
//! always of whole epochs.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use flow_ir::ids::VertexId;

use super::Counter;

/// Counts of one operator, all workers together.
#[derive(Debug, Default)]
pub struct OperatorMetrics {
    /// The operator that does its work too, in one loop, and counts it: of a map, the source.
    pub done_by: Option<VertexId>,
    /// Rows that came in; of a source, records. An update is two rows.
    pub rows_in: Counter,
    /// Rows that went out; of a sink, records and rows that it wrote.
    pub rows_out: Counter,
    /// Nanoseconds that workers spent in it, and in dealing its output out to other workers.
    pub busy_nanos: Counter,
    /// The watermark that it has got, microseconds since 1970; `i64::MIN` before any, `i64::MAX`
    /// where nothing holds it back.
    pub watermark: AtomicI64,
    /// Keys of its tables in memory, also those that are gone and not yet gone from disk.
    pub state_rows: Counter,
    /// The most of these at the end of an epoch, since the start.
    pub state_rows_most: Counter,
    /// Memory of its tables, bytes.
    pub state_bytes: Counter,
}

impl OperatorMetrics {
    /// The watermark, if it has one that time sets.
    pub fn watermark(&self) -> Option<i64> {
        let at = self.watermark.load(Ordering::Relaxed);
        (at != i64::MIN && at != i64::MAX).then_some(at)
    }

    /// Seconds that workers spent in it.
    pub fn busy_seconds(&self) -> f64 {
        self.busy_nanos.get() as f64 / 1e9
    }
}

/// What one worker counted of an operator in one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) rows_in: u64,
    pub(crate) rows_out: u64,
    pub(crate) busy: Duration,
}

impl OperatorMetrics {
    /// Adds what a worker counted.
    pub(crate) fn add(&self, counts: &Counts) {
        self.rows_in.add(counts.rows_in);
        self.rows_out.add(counts.rows_out);
        self.busy_nanos.add(u64::try_from(counts.busy.as_nanos()).unwrap_or(u64::MAX));
    }
}

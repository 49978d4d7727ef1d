//! What coordinator and workers say to each other, and the budget of an epoch.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use super::inputs::Input;
use super::wiring::Handed;
use crate::connect::Log;
use crate::error::RuntimeError;
use crate::metrics::Partitions;

/// The budget of one epoch, shared by the workers: whoever uses it up cuts it for all.
#[derive(Debug)]
pub(crate) struct Budget {
    deadline: Instant,
    records_max: u64,
    bytes_max: u64,
    records: AtomicU64,
    bytes: AtomicU64,
    cut: AtomicBool,
}

impl Budget {
    pub(crate) fn new(deadline: Instant, records_max: u64, bytes_max: u64) -> Self {
        let (records, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { deadline, records_max, bytes_max, records, bytes, cut: AtomicBool::new(false) }
    }

    /// Takes from the budget what was read.
    pub(crate) fn take(&self, records: u64, bytes: u64) {
        let records = self.records.fetch_add(records, Ordering::Relaxed) + records;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if records >= self.records_max || bytes >= self.bytes_max {
            self.cut();
        }
    }

    /// Records that may still be read.
    pub(crate) fn records_left(&self) -> u64 {
        self.records_max.saturating_sub(self.records.load(Ordering::Relaxed))
    }

    /// Ends reading.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    /// Whether reading is over.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire) || Instant::now() >= self.deadline
    }
}

/// To a worker.
pub(crate) enum Command {
    /// Partitions join in with the next epoch.
    Join(Joining),
    /// Run an epoch.
    Epoch(EpochStart),
    /// An epoch is committed. What was handed out for the disk up to this seal is there: its rows
    /// may leave memory.
    Published(u32),
    /// End.
    Stop,
}

/// Partitions that join in.
pub(crate) struct Joining {
    /// Those that the worker is to read, each with its log.
    pub(crate) inputs: Vec<(Input, Arc<dyn Log>)>,
    /// All that the job reads from now on.
    pub(crate) partitions: Partitions,
}

/// What an epoch begins with.
#[derive(Clone)]
pub(crate) struct EpochStart {
    /// What PROCTIME() and NOW() give, microseconds since 1970.
    pub(crate) clock: i64,
    pub(crate) budget: Arc<Budget>,
    /// Per stream, the highest watermark that an operator fed by it has forwarded: a partition that
    /// was passed over goes on from there.
    pub(crate) floor: Arc<RwLock<Vec<i64>>>,
    /// Per stream, the watermark of one all of whose partitions are passed over; the end of time
    /// for the others.
    pub(crate) silent: Arc<[i64]>,
    /// Whether the disk is to follow the epoch.
    pub(crate) to_disk: bool,
}

/// A record that goes to a topic by itself: late, or one that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) topic: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: Option<i64>,
    /// In the form of `kernel::Headers`.
    pub(crate) headers: Vec<u8>,
    pub(crate) partition: u32,
}

/// Where a worker's reading of a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InputState {
    /// Position in the job's list of partitions.
    pub(crate) input: usize,
    pub(crate) offset: i64,
    pub(crate) watermark: i64,
    pub(crate) ended: bool,
    pub(crate) idle: bool,
}

/// What a worker hands over at the end of an epoch.
pub(crate) struct EpochEnd {
    pub(crate) inputs: Vec<InputState>,
    pub(crate) aside: Vec<Aside>,
    /// Highest event time that was read; `i64::MIN` if none.
    pub(crate) event_time: i64,
    /// What operators and sinks made.
    pub(crate) wrote: Handed,
    /// When the worker was done.
    pub(crate) ended: Instant,
}

/// From a worker: its number and the epoch's end, or why there is none.
pub(crate) type Reply = (usize, Result<EpochEnd, RuntimeError>);

//! Every limit and setting of a running job, each with its reason. Settings that change results
//! belong to the job graph (`physical::Settings`); these do not.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::view::Views;

/// Rows that a source decodes and pushes on at once: large enough to amortise the calls, small
/// enough that a batch stays in the second-level cache.
pub const BATCH_ROWS: usize = 1_024;

/// State kept in memory before tables spill, bytes.
pub const MEMORY_BYTES: usize = 1 << 30;

/// An epoch is cut after this time whatever else is set: a transaction must end well before the
/// broker's transaction.timeout.ms of a minute.
pub const EPOCH_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a worker without anything to do waits for records before it looks for a cut.
pub const POLL_WAIT: Duration = Duration::from_millis(5);

/// Pause before the first restart of a failed attempt; doubles up to `RESTART_WAIT_MAX`.
pub const RESTART_WAIT: Duration = Duration::from_millis(200);

/// Longest pause between attempts.
pub const RESTART_WAIT_MAX: Duration = Duration::from_secs(10);

/// Attempts in a row without a committed epoch after which the job gives up.
pub const RESTARTS_MAX: u32 = 8;

/// A job's memory in bytes, which may change while it runs.
#[derive(Clone, Debug)]
pub struct Memory(Arc<AtomicUsize>);

impl Memory {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// The bytes, as they are now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Changes them; the job takes notice after its next epoch.
    pub fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// For how long a partition waits for a schema that the registry cannot be asked for. Then the job
/// stops with the registry's error: a registry that is away for a minute is no reason, one that is
/// gone is.
pub const SCHEMA_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// Pause before the registry is asked again for a schema; doubles up to `SCHEMA_PAUSE_MAX`.
pub const SCHEMA_PAUSE: Duration = Duration::from_millis(200);

/// Longest such pause.
pub const SCHEMA_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What the local store, on disk beside the job, is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalStore {
    /// It follows the log: state beyond the job's memory is read from it, and a start has little to
    /// read from the changelog.
    #[default]
    Follows,
    /// It is written when the job starts only. State is in memory as a whole, a job whose state is
    /// more than its memory fails, and a start reads from the changelog what it missed. Of a job
    /// with views it follows all the same, since they are read from it.
    AtStarts,
}

/// How a job is run here.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the local store and lock.
    pub state_dir: PathBuf,
    /// Workers; `None`: the machine's cores, at most the job's shards.
    pub parallelism: Option<usize>,
    /// State kept in memory before tables spill, and as much again for the rows of an epoch.
    pub memory: Memory,
    /// What the local store is for.
    pub store: LocalStore,
    /// Rows that a source pushes on at once.
    pub batch_rows: usize,
    /// Forget the job's epochs and state and start anew.
    pub fresh: bool,
    /// The job's views, where they were read before this start; else the job makes its own.
    pub views: Option<Arc<Views>>,
}

impl Config {
    /// The defaults, with the local store in this folder.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            parallelism: None,
            memory: Memory::new(MEMORY_BYTES),
            store: LocalStore::Follows,
            batch_rows: BATCH_ROWS,
            fresh: false,
            views: None,
        }
    }

    /// Workers for a job with this many shards.
    pub fn workers(&self, shards: u32) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.parallelism.unwrap_or(cores).clamp(1, shards as usize)
    }
}

//! What a job cannot decide by itself: time, logs, registries, and where `print` goes. Real in the
//! command, replaced in tests and in the simulator.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flow_ir::physical::Stream;
use flow_registry::Registry;

use crate::connect::Log;
use crate::error::{Result, RuntimeError};

/// Two clocks.
pub trait Clock: Send + Sync {
    /// Wall clock, microseconds since 1970.
    fn now_micros(&self) -> i64;

    /// Milliseconds since some moment; never goes back.
    fn monotonic_ms(&self) -> u64;
}

/// The logs that a job reads and writes.
pub trait Logs: Send + Sync {
    /// The log in whose transactions the job commits.
    ///
    /// # Errors
    /// If it cannot be reached or opened.
    fn home(&self) -> Result<Arc<dyn Log>>;

    /// The log that holds a stream's topic.
    ///
    /// # Errors
    /// If it cannot be reached or opened.
    fn of(&self, stream: &Stream) -> Result<Arc<dyn Log>>;
}

/// Schema registries, by stream.
pub trait Registries: Send + Sync {
    /// The registry that a stream's schemas are in.
    ///
    /// # Errors
    /// If the stream names none and there is no default, or it cannot be opened.
    fn of(&self, stream: &Stream) -> Result<Arc<dyn Registry>>;
}

/// What people see of a job.
pub trait Printer: Send + Sync {
    /// Shows a line of a `print` stream, after the commit.
    fn line(&self, stream: &str, line: &str);

    /// Tells that an attempt failed, and that the job starts again.
    fn restart(&self, error: &RuntimeError) {
        warn_of_restart(error);
    }
}

/// The warning of a job that starts again.
pub fn warn_of_restart(error: &RuntimeError) {
    tracing::warn!(%error, "the job starts again from its last committed epoch");
}

/// Everything outside.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Logs.
    pub logs: Arc<dyn Logs>,
    /// Registries.
    pub registries: Arc<dyn Registries>,
    /// What people see.
    pub printer: Arc<dyn Printer>,
}

/// The machine's clocks.
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_micros(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
    }

    fn monotonic_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

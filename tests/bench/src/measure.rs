//! Counts what a client moves. Time and CPU time are for whoever starts the process to measure,
//! its start included, as for Flow.

use std::io::Write;
use std::time::Instant;

use serde_json::{Value, json};

/// Counts from its making on.
pub(crate) struct Meter {
    began: Instant,
    first: Option<Instant>,
    records: u64,
    bytes: u64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), first: None, records: 0, bytes: 0 }
    }

    /// Counts records, and the bytes of their values.
    pub(crate) fn add(&mut self, records: u64, bytes: u64) {
        self.first.get_or_insert_with(Instant::now);
        self.records += records;
        self.bytes += bytes;
    }

    /// The figures until now.
    pub(crate) fn figures(&self) -> Value {
        let first = self.first.map_or(0.0, |first| (first - self.began).as_secs_f64());
        json!({
            "records_in": self.records,
            "bytes_in": self.bytes,
            "wall_seconds": self.began.elapsed().as_secs_f64(),
            "first_record_seconds": first,
            "peak_memory_bytes": peak_memory_bytes(),
        })
    }
}

/// Prints figures.
pub(crate) fn tell(figures: &Value) {
    // Nobody is left to be told when standard output is closed.
    let _ = writeln!(std::io::stdout(), "{figures:#}");
}

/// The most memory this process has had; 0 where the kernel does not tell.
fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1_024
}

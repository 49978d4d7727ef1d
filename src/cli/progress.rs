//! What `flow run` tells: on a terminal a few lines that are redrawn in place, else a line a second
//! while it works; figures at the end.

use std::time::{Duration, Instant};

use flow_compiler::codegen::Compiled;
use flow_runtime::metrics::Metrics;
use serde_json::json;

use crate::figures::{bytes, time};
use crate::server::jobs::counts::JobDetails;
use crate::status;

/// Time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two drawings.
const DRAW_INTERVAL: Duration = Duration::from_millis(500);

/// Shows how a job gets on.
pub(super) struct Progress {
    job: String,
    /// Whether it is drawn in place.
    is_drawn: bool,
    began: Instant,
    shown: Instant,
    records_in: u64,
    records_out: u64,
}

impl Progress {
    /// Of a job that began then; drawn in place if that is wanted and can be done.
    pub(super) fn new(job: &str, began: Instant, draw: bool) -> Self {
        let is_drawn = draw && status::can_be_drawn();
        Self { job: job.into(), is_drawn, began, shown: began, records_in: 0, records_out: 0 }
    }

    /// Shows the figures if it is time to.
    pub(super) fn show(&mut self, metrics: &Metrics) {
        let since = self.shown.elapsed();
        let interval = if self.is_drawn { DRAW_INTERVAL } else { LINE_INTERVAL };
        if since < interval {
            return;
        }
        let (records_in, records_out) = (metrics.records_in(), metrics.records_out());
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / since.as_secs_f64();
        let rate_in = rate(records_in, self.records_in);
        match self.is_drawn {
            true => {
                status::draw(&self.block(metrics, rate_in, rate(records_out, self.records_out)))
            }
            false => eprintln!("{}", self.line(metrics, rate_in)),
        }
        self.shown = Instant::now();
        (self.records_in, self.records_out) = (records_in, records_out);
    }

    /// Takes away what is drawn in place.
    pub(super) fn end(self) {
        if self.is_drawn {
            status::clear();
        }
    }

    fn line(&self, metrics: &Metrics, rate_in: f64) -> String {
        format!(
            "{:>4}s  in {}  out {}  {rate_in:.0}/s  lag {}  watermark {}  state {}",
            self.began.elapsed().as_secs(),
            metrics.records_in(),
            metrics.records_out(),
            metrics.lag(),
            watermark(metrics),
            bytes(metrics.state_memory_bytes.get())
        )
    }

    /// The lines that are redrawn; rates in records a second.
    fn block(&self, metrics: &Metrics, rate_in: f64, rate_out: f64) -> Vec<String> {
        let restarts = match metrics.restarts.get() {
            0 => String::new(),
            n => format!(", {n} restarts"),
        };
        vec![
            format!("{}  running for {} s{restarts}", self.job, self.began.elapsed().as_secs()),
            format!("  in         {}  {rate_in:.0}/s", metrics.records_in()),
            format!("  out        {}  {rate_out:.0}/s", metrics.records_out()),
            format!("  lag        {}", metrics.lag()),
            format!("  watermark  {}", watermark(metrics)),
            format!(
                "  state      {} in memory, {} on disk",
                bytes(metrics.state_memory_bytes.get()),
                bytes(metrics.state_disk_bytes.get())
            ),
            format!("  epochs     {}", metrics.epochs.get()),
        ]
    }
}

/// The watermark and the partition that holds it.
fn watermark(metrics: &Metrics) -> String {
    match metrics.watermark() {
        Some((i64::MIN, name)) => format!("none yet ({name})"),
        Some((at, name)) => format!("{} ({name})", time(at)),
        None => "-".to_string(),
    }
}

/// The closing figures.
pub(super) struct Stats {
    job: String,
    wall: Duration,
    compile: Duration,
    /// What native code took; `None` where everything was interpreted.
    native: Option<Compiled>,
    cpu: Duration,
    peak_memory_bytes: u64,
    metrics: serde_json::Value,
    lines: Vec<String>,
}

impl Stats {
    pub(super) fn new(
        job: &str,
        metrics: &Metrics,
        wall: Duration,
        compile: Duration,
        native: Option<Compiled>,
    ) -> Self {
        let lines = metrics.streams.iter().filter_map(stream_line).collect();
        let first_output_seconds = metrics.first_output_micros.get() as f64 / 1e6;
        let mut metrics = json!(JobDetails::from(metrics));
        metrics["first_output_seconds"] = json!(first_output_seconds);
        let (cpu, peak_memory_bytes) = usage();
        Self { job: job.into(), wall, compile, native, cpu, peak_memory_bytes, metrics, lines }
    }

    /// All figures as JSON.
    pub(super) fn to_json(&self) -> String {
        let mut all = self.metrics.clone();
        if let Some(all) = all.as_object_mut() {
            all.insert("job".into(), json!(self.job));
            all.insert("wall_seconds".into(), json!(self.wall.as_secs_f64()));
            all.insert("cpu_seconds".into(), json!(self.cpu.as_secs_f64()));
            all.insert("compile_seconds".into(), json!(self.compile.as_secs_f64()));
            let native = self.native.map(|native| {
                json!({
                    "compile_seconds": native.time.as_secs_f64(),
                    "code_bytes": native.code_bytes,
                })
            });
            all.insert("native".into(), json!(native));
            all.insert("peak_memory_bytes".into(), json!(self.peak_memory_bytes));
        }
        format!("{all:#}\n")
    }

    /// The figures for people.
    pub(super) fn summary(&self, how: &str) -> String {
        let count = |name: &str| self.metrics[name].as_u64().unwrap_or(0);
        let mut out = format!(
            "{} {how} after {:.1} s: {} records in, {} out, {} epochs, {:.1} CPU-s, {} at most\n",
            self.job,
            self.wall.as_secs_f64(),
            count("records_in"),
            count("records_out"),
            count("epochs"),
            self.cpu.as_secs_f64(),
            bytes(self.peak_memory_bytes)
        );
        for line in &self.lines {
            out.push_str(line);
        }
        out
    }
}

/// A line for a stream that took part.
fn stream_line(stream: &flow_runtime::metrics::StreamMetrics) -> Option<String> {
    let counts = [
        ("in", stream.records_in.get()),
        ("out", stream.records_out.get()),
        ("late", stream.late.get()),
        ("late after idle", stream.late_after_idle.get()),
        ("too far ahead", stream.ahead.get()),
        ("skipped", stream.skipped.get()),
        ("dead letters", stream.dead_lettered.get()),
    ];
    let told: Vec<String> =
        counts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name} {n}")).collect();
    (!told.is_empty()).then(|| format!("  {:<20} {}\n", stream.name, told.join(", ")))
}

/// CPU time and peak memory of this process, from the kernel; zero where it does not tell.
fn usage() -> (Duration, u64) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
    let stat = read("/proc/self/stat");
    // The command's name may hold blanks; fields are counted after it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    (Duration::from_millis(ticks * 10), peak.unwrap_or(0) * 1_024)
}

//! Everything that is counted, as Prometheus reads it: by job, and by stream and partition where
//! that is known. Counters of a job begin anew with each of its starts, as Prometheus expects.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flow_runtime::metrics::{Metrics, PartitionMetrics, StreamMetrics};

use super::App;
use super::jobs::info::State;

/// What is counted of requests.
#[derive(Default)]
pub struct HttpCounts {
    /// By the first digit of the status.
    by_class: [AtomicU64; 6],
    micros: AtomicU64,
}

impl HttpCounts {
    /// Counts an answer.
    pub fn answered(&self, status: u16, after: Duration) {
        if let Some(class) = self.by_class.get(usize::from(status / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// A text that is put together.
struct Page(String);

/// A label and its value.
type Label<'a> = (&'a str, &'a str);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

/// How a count of a job or a stream is read.
type Read<T> = fn(&T) -> f64;

/// Of each job: name, kind, help, value.
const OF_JOB: [(&str, &str, &str, Read<Metrics>); 7] = [
    ("flow_epochs_total", "counter", "Committed epochs.", |m| m.epochs.get() as f64),
    ("flow_commit_seconds_total", "counter", "Seconds spent in commits.", |m| {
        m.commit_micros.get() as f64 / 1e6
    }),
    ("flow_attempts_restarted_total", "counter", "Attempts that failed and began anew.", |m| {
        m.restarts.get() as f64
    }),
    ("flow_state_memory_bytes", "gauge", "State in memory.", |m| m.state_memory_bytes.get() as f64),
    ("flow_state_disk_bytes", "gauge", "State in the local store.", |m| {
        m.state_disk_bytes.get() as f64
    }),
    ("flow_restored_records", "gauge", "Records read back from the changelog at start.", |m| {
        m.restored.get() as f64
    }),
    ("flow_lag_records", "gauge", "Records still to read, as last known.", |m| m.lag() as f64),
];

/// Of each stream: name, help, value.
const OF_STREAM: [(&str, &str, Read<StreamMetrics>); 8] = [
    ("flow_records_in_total", "Records read.", |s| s.records_in.get() as f64),
    ("flow_bytes_in_total", "Bytes of keys and values read.", |s| s.bytes_in.get() as f64),
    ("flow_records_out_total", "Records written by committed epochs.", |s| {
        s.records_out.get() as f64
    }),
    ("flow_late_total", "Rows left out because they came too late.", |s| s.late.get() as f64),
    ("flow_late_after_idle_total", "Rows behind the watermark of a silent partition.", |s| {
        s.late_after_idle.get() as f64
    }),
    ("flow_ahead_total", "Rows dated too far ahead.", |s| s.ahead.get() as f64),
    ("flow_skipped_total", "Records left out because they could not be read.", |s| {
        s.skipped.get() as f64
    }),
    ("flow_dead_letters_total", "Records that went to the dead-letter topic.", |s| {
        s.dead_lettered.get() as f64
    }),
];

/// The page.
pub(super) fn text(app: &App) -> String {
    let jobs = app.jobs.all();
    let named: Vec<(String, std::sync::Arc<Metrics>)> =
        jobs.iter().filter_map(|job| Some((job.name.to_string(), job.metrics()?))).collect();
    let mut page = Page(String::new());
    page.family("flow_job_state", "gauge", "1 for the state that the job is in.");
    for job in &jobs {
        let now = job.state();
        for state in State::ALL {
            let labels = [("job", job.name.as_str()), ("state", state.word())];
            page.sample("flow_job_state", &labels, u8::from(state == now));
        }
    }
    page.family("flow_job_failures", "gauge", "Failures of the job in a row.");
    for job in &jobs {
        page.sample("flow_job_failures", &[("job", job.name.as_str())], job.info().failures);
    }
    for (name, kind, help, value) in OF_JOB {
        page.family(name, kind, help);
        for (job, metrics) in &named {
            page.sample(name, &[("job", job)], value(metrics));
        }
    }
    for (name, help, value) in OF_STREAM {
        page.family(name, "counter", help);
        for (job, metrics) in &named {
            for stream in &metrics.streams {
                page.sample(name, &[("job", job), ("stream", &stream.name)], value(stream));
            }
        }
    }
    of_partitions(&mut page, &named);
    of_process(&mut page, app);
    page.0
}

/// The labels of a partition. Streams may share a topic.
fn labels<'a>(
    job: &'a str,
    metrics: &'a Metrics,
    partition: &'a PartitionMetrics,
) -> [(&'static str, &'a str); 3] {
    let stream = metrics.streams[partition.stream.index()].name.as_str();
    [("job", job), ("stream", stream), ("partition", &partition.name)]
}

fn of_partitions(page: &mut Page, named: &[(String, std::sync::Arc<Metrics>)]) {
    page.family("flow_partition_lag_records", "gauge", "Records still to read, by partition.");
    for (job, metrics) in named {
        for p in metrics.partitions().iter() {
            page.sample("flow_partition_lag_records", &labels(job, metrics, p), p.lag.get());
        }
    }
    let help = "Watermark of a partition, seconds since 1970.";
    page.family("flow_partition_watermark_seconds", "gauge", help);
    for (job, metrics) in named {
        for p in metrics.partitions().iter().filter(|p| p.timed) {
            let at = p.watermark.load(Ordering::Relaxed);
            if at != i64::MIN {
                let name = "flow_partition_watermark_seconds";
                page.sample(name, &labels(job, metrics, p), at as f64 / 1e6);
            }
        }
    }
    let help = "The job's watermark, and the partition that holds it.";
    page.family("flow_watermark_seconds", "gauge", help);
    for (job, metrics) in named {
        if let Some((at, held_by)) = metrics.watermark().filter(|(at, _)| *at != i64::MIN) {
            let labels = [("job", job.as_str()), ("held_by", held_by.as_str())];
            page.sample("flow_watermark_seconds", &labels, at as f64 / 1e6);
        }
    }
}

fn of_process(page: &mut Page, app: &App) {
    page.family("flow_http_requests_total", "counter", "Requests answered, by class of status.");
    for (class, count) in app.counts.by_class.iter().enumerate().skip(1) {
        let class = format!("{class}xx");
        let count = count.load(Ordering::Relaxed);
        page.sample("flow_http_requests_total", &[("status", &class)], count);
    }
    page.family("flow_http_seconds_total", "counter", "Seconds until requests were answered.");
    let seconds = app.counts.micros.load(Ordering::Relaxed) as f64 / 1e6;
    page.sample("flow_http_seconds_total", &[], seconds);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    if let Some(kilobytes) = number("VmRSS:") {
        page.family("process_resident_memory_bytes", "gauge", "Memory of the process.");
        page.sample("process_resident_memory_bytes", &[], kilobytes * 1_024);
    }
    if let Some(threads) = number("Threads:") {
        page.family("process_threads", "gauge", "Threads of the process.");
        page.sample("process_threads", &[], threads);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page(String::new());
        page.sample("n", &[("a", "x\"\\\n"), ("b", "y")], 1.5);
        page.sample("n", &[], 2);
        assert_eq!(page.0, "n{a=\"x\\\"\\\\\\n\",b=\"y\"} 1.5\nn 2\n");
    }
}

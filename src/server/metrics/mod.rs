//! Everything that is counted, as Prometheus reads it: by job, and by stream, partition and
//! operator where that is known. Counters of a job begin anew with each of its starts, as
//! Prometheus expects.

mod page;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flow_ir::physical::Vertex;
use flow_runtime::metrics::{
    Durations, Histogram, Metrics, OperatorMetrics, PartitionMetrics, StreamMetrics,
};

use super::App;
use super::jobs::info::{JobInfo, State};
use page::{Kind, Page};

/// What is counted of requests.
#[derive(Default)]
pub struct HttpCounts {
    /// By the first digit of the status.
    by_class: [AtomicU64; 6],
    durations: Histogram,
}

impl HttpCounts {
    /// Counts an answer, or the head of one that goes on.
    pub fn answered(&self, status: u16, after: Duration) {
        if let Some(class) = self.by_class.get(usize::from(status / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        self.durations.note(after);
    }
}

/// How a count is read.
type Read<T> = fn(&T) -> f64;

/// Of each job that has run: name, kind, help, value.
const OF_JOB: [(&str, Kind, &str, Read<Metrics>); 7] = [
    ("flow_epochs_total", Kind::Counter, "Committed epochs.", |m| m.epochs.get() as f64),
    ("flow_attempts_restarted_total", Kind::Counter, "Attempts that failed and began anew.", |m| {
        m.restarts.get() as f64
    }),
    ("flow_busy_seconds_total", Kind::Counter, "Seconds of workers in operators.", |m| {
        m.busy_seconds()
    }),
    ("flow_state_memory_bytes", Kind::Gauge, "State in memory.", |m| {
        m.state_memory_bytes.get() as f64
    }),
    ("flow_state_disk_bytes", Kind::Gauge, "State in the local store.", |m| {
        m.state_disk_bytes.get() as f64
    }),
    ("flow_restored_records", Kind::Gauge, "Records read back from the changelog at start.", |m| {
        m.restored.get() as f64
    }),
    ("flow_lag_records", Kind::Gauge, "Records still to read, as last known.", |m| m.lag() as f64),
];

/// How durations are read.
type ReadDurations = fn(&Metrics) -> Durations;

/// Durations of each job that has run: name, help, value.
const DURATIONS: [(&str, &str, ReadDurations); 2] = [
    ("flow_epoch_duration_seconds", "From an epoch's beginning to its end on all workers.", |m| {
        m.epoch_durations.read()
    }),
    ("flow_commit_duration_seconds", "From an epoch's first record sent to its showing.", |m| {
        m.commit_durations.read()
    }),
];

/// Of each stream: name, help, value.
const OF_STREAM: [(&str, &str, Read<StreamMetrics>); 9] = [
    ("flow_records_in_total", "Records read.", |s| s.records_in.get() as f64),
    ("flow_bytes_in_total", "Bytes of keys and values read.", |s| s.bytes_in.get() as f64),
    ("flow_records_out_total", "Records written by committed epochs.", |s| {
        s.records_out.get() as f64
    }),
    ("flow_bytes_out_total", "Bytes of keys and values written by committed epochs.", |s| {
        s.bytes_out.get() as f64
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

/// A value of an operator, if it has one.
type ReadOperator = fn(&Vertex, &OperatorMetrics) -> Option<f64>;

/// Of each operator: name, kind, help, value.
const OF_OPERATOR: [(&str, Kind, &str, ReadOperator); 6] = [
    ("flow_operator_rows_in_total", Kind::Counter, "Rows that came in.", |_, o| {
        o.done_by.is_none().then(|| o.rows_in.get() as f64)
    }),
    ("flow_operator_rows_out_total", Kind::Counter, "Rows that went out.", |_, o| {
        o.done_by.is_none().then(|| o.rows_out.get() as f64)
    }),
    ("flow_operator_busy_seconds_total", Kind::Counter, "Seconds of workers in it.", |_, o| {
        o.done_by.is_none().then(|| o.busy_seconds())
    }),
    ("flow_operator_state_rows", Kind::Gauge, "Keys of its tables in memory.", |vertex, o| {
        keeps(vertex).then(|| o.state_rows.get() as f64)
    }),
    ("flow_operator_state_bytes", Kind::Gauge, "Memory of its tables.", |vertex, o| {
        keeps(vertex).then(|| o.state_bytes.get() as f64)
    }),
    (
        "flow_operator_watermark_seconds",
        Kind::Gauge,
        "Its watermark, seconds since 1970.",
        |_, o| o.watermark().map(|at| at as f64 / 1e6),
    ),
];

fn keeps(vertex: &Vertex) -> bool {
    !vertex.op.tables().is_empty()
}

/// A job's name and what it counts.
type Counted = (String, Arc<Metrics>);

/// The page.
pub(super) fn text(app: &App) -> String {
    let jobs = app.jobs.all();
    let infos: Vec<JobInfo> = jobs.iter().map(|job| job.info()).collect();
    let counted: Vec<Counted> =
        jobs.iter().filter_map(|job| Some((job.name.to_string(), job.metrics()?))).collect();
    let mut page = Page::default();
    of_states(&mut page, &infos);
    of_jobs(&mut page, &counted);
    for (name, help, value) in OF_STREAM {
        page.family(name, Kind::Counter, help);
        for (job, metrics) in &counted {
            for stream in &metrics.streams {
                page.sample(name, &[("job", job), ("stream", &stream.name)], value(stream));
            }
        }
    }
    of_partitions(&mut page, &counted);
    of_operators(&mut page, &counted);
    of_process(&mut page, app);
    page.into_text()
}

/// What is known of jobs that do not run, too.
fn of_states(page: &mut Page, infos: &[JobInfo]) {
    page.family("flow_job_state", Kind::Gauge, "1 for the state that the job is in.");
    for job in infos {
        for state in State::ALL {
            let labels = [("job", job.name.as_str()), ("state", state.word())];
            page.sample("flow_job_state", &labels, u8::from(state == job.state));
        }
    }
    page.family("flow_job_failures", Kind::Gauge, "Failures of the job in a row.");
    for job in infos {
        page.sample("flow_job_failures", &[("job", job.name.as_str())], job.failures);
    }
    let help = "Memory that the job's state may take; 0 while it does not run.";
    page.family("flow_job_memory_bytes", Kind::Gauge, help);
    for job in infos {
        page.sample("flow_job_memory_bytes", &[("job", job.name.as_str())], job.memory_bytes);
    }
}

fn of_jobs(page: &mut Page, counted: &[Counted]) {
    for (name, kind, help, value) in OF_JOB {
        page.family(name, kind, help);
        for (job, metrics) in counted {
            page.sample(name, &[("job", job)], value(metrics));
        }
    }
    for (name, help, value) in DURATIONS {
        page.family(name, Kind::Histogram, help);
        for (job, metrics) in counted {
            page.histogram(name, &[("job", job)], &value(metrics));
        }
    }
}

/// Names of operators need not differ in a program from outside; their numbers do.
fn of_operators(page: &mut Page, counted: &[Counted]) {
    for (name, kind, help, value) in OF_OPERATOR {
        page.family(name, kind, help);
        for (job, metrics) in counted {
            for (id, vertex, operator) in metrics.by_operator() {
                if let Some(value) = value(vertex, operator) {
                    let number = id.0.to_string();
                    let labels =
                        [("job", job.as_str()), ("vertex", &number), ("operator", &vertex.name)];
                    page.sample(name, &labels, value);
                }
            }
        }
    }
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

fn of_partitions(page: &mut Page, counted: &[Counted]) {
    let help = "Records still to read, by partition.";
    page.family("flow_partition_lag_records", Kind::Gauge, help);
    for (job, metrics) in counted {
        for p in metrics.partitions().iter() {
            page.sample("flow_partition_lag_records", &labels(job, metrics, p), p.lag.get());
        }
    }
    let help = "1 while a partition waits for a schema, since the registry does not answer.";
    page.family("flow_partition_waits_for_schema", Kind::Gauge, help);
    for (job, metrics) in counted {
        for p in metrics.partitions().iter() {
            page.sample("flow_partition_waits_for_schema", &labels(job, metrics, p), p.waits.get());
        }
    }
    let help = "Watermark of a partition, seconds since 1970.";
    page.family("flow_partition_watermark_seconds", Kind::Gauge, help);
    for (job, metrics) in counted {
        for p in metrics.partitions().iter().filter(|p| p.timed) {
            let at = p.watermark.load(Ordering::Relaxed);
            if at != i64::MIN {
                let name = "flow_partition_watermark_seconds";
                page.sample(name, &labels(job, metrics, p), at as f64 / 1e6);
            }
        }
    }
    let help = "The job's watermark, and the partition that holds it.";
    page.family("flow_watermark_seconds", Kind::Gauge, help);
    for (job, metrics) in counted {
        if let Some((at, held_by)) = metrics.watermark().filter(|(at, _)| *at != i64::MIN) {
            let labels = [("job", job.as_str()), ("held_by", held_by.as_str())];
            page.sample("flow_watermark_seconds", &labels, at as f64 / 1e6);
        }
    }
}

fn of_process(page: &mut Page, app: &App) {
    page.family(
        "flow_http_requests_total",
        Kind::Counter,
        "Requests answered, by class of status.",
    );
    for (class, count) in app.counts.by_class.iter().enumerate().skip(1) {
        let class = format!("{class}xx");
        let count = count.load(Ordering::Relaxed);
        page.sample("flow_http_requests_total", &[("status", &class)], count);
    }
    let name = "flow_http_request_duration_seconds";
    page.family(name, Kind::Histogram, "From a request's head to the head of its answer.");
    page.histogram(name, &[], &app.counts.durations.read());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    if let Some(kilobytes) = number("VmRSS:") {
        page.family("process_resident_memory_bytes", Kind::Gauge, "Memory of the process.");
        page.sample("process_resident_memory_bytes", &[], kilobytes * 1_024);
    }
    if let Some(threads) = number("Threads:") {
        page.family("process_threads", Kind::Gauge, "Threads of the process.");
        page.sample("process_threads", &[], threads);
    }
}

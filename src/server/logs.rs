//! The log of each job: a ring of the last lines, and the layer that sorts what the process logs to
//! the jobs by the span `job` that the runtime puts around a job's threads. A slow reader of a ring
//! loses old lines, and is told so; it never holds a job up.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, Mutex, RwLock};

use flow_runtime::world::{Clock, Printer, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Bytes of a line at most; a row of a `print` stream can be long.
const LINE_BYTES_MAX: usize = 4 << 10;

/// The name of the span around a job's threads, and of its field that names the job.
const JOB: &str = "job";

/// A line of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogLine {
    /// Counts the lines of the job since the server started, from 1.
    pub number: u64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// `ERROR`, `WARN`, `INFO`, or `PRINT` for rows of `print` streams.
    pub level: String,
    /// The message.
    pub text: String,
}

/// The last lines of a job.
pub struct Ring {
    lines: Mutex<VecDeque<LogLine>>,
    capacity: usize,
    /// The number of the newest line.
    newest: watch::Sender<u64>,
}

impl Ring {
    fn new(capacity: usize) -> Self {
        Self { lines: Mutex::default(), capacity: capacity.max(1), newest: watch::Sender::new(0) }
    }

    /// Adds a line.
    pub fn add(&self, level: &str, text: &str) {
        let mut end = text.len().min(LINE_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut shown = text[..end].to_string();
        if end < text.len() {
            shown.push('…');
        }
        let mut lines = self.lines.lock().unwrap_or_else(|e| e.into_inner());
        let number = *self.newest.borrow() + 1;
        if lines.len() >= self.capacity {
            lines.pop_front();
        }
        let at_ms = SystemClock::default().now_micros() / 1_000;
        lines.push_back(LogLine { number, at_ms, level: level.to_string(), text: shown });
        self.newest.send_replace(number);
    }

    /// The lines that are kept and come after this number, at most so many of the newest.
    pub fn after(&self, number: u64, most: usize) -> Vec<LogLine> {
        let lines = self.lines.lock().unwrap_or_else(|e| e.into_inner());
        let new: Vec<LogLine> =
            lines.iter().rev().take_while(|l| l.number > number).take(most).cloned().collect();
        new.into_iter().rev().collect()
    }

    /// Tells when there are new lines.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

/// The rings of all jobs.
#[derive(Default)]
pub struct LogBook {
    rings: RwLock<HashMap<String, Arc<Ring>>>,
}

impl LogBook {
    /// The ring of a job, with room for so many lines if it is new.
    pub fn ring(&self, job: &str, capacity: usize) -> Arc<Ring> {
        if let Some(ring) = self.known(job) {
            return ring;
        }
        let mut rings = self.rings.write().unwrap_or_else(|e| e.into_inner());
        rings.entry(job.to_string()).or_insert_with(|| Arc::new(Ring::new(capacity))).clone()
    }

    /// Forgets a job's lines.
    pub fn forget(&self, job: &str) {
        self.rings.write().unwrap_or_else(|e| e.into_inner()).remove(job);
    }

    fn known(&self, job: &str) -> Option<Arc<Ring>> {
        self.rings.read().unwrap_or_else(|e| e.into_inner()).get(job).cloned()
    }
}

/// Sorts events to jobs.
pub struct JobLayer(pub Arc<LogBook>);

/// What a span remembers: whose threads it is around.
struct JobOf(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JobLayer {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, cx: Context<'_, S>) {
        if attributes.metadata().name() != JOB {
            return;
        }
        let mut text = Text { message: String::new(), fields: String::new(), job: None };
        attributes.record(&mut text);
        if let (Some(job), Some(span)) = (text.job, cx.span(id)) {
            span.extensions_mut().insert(JobOf(job));
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let Some(scope) = cx.event_scope(event) else { return };
        let job = scope.into_iter().find_map(|span| {
            span.extensions().get::<JobOf>().and_then(|JobOf(job)| self.0.known(job))
        });
        if let Some(ring) = job {
            let mut text = Text { message: String::new(), fields: String::new(), job: None };
            event.record(&mut text);
            ring.add(event.metadata().level().as_str(), &(text.message + &text.fields));
        }
    }
}

/// Collects the message of an event and its other fields.
struct Text {
    message: String,
    fields: String,
    job: Option<String>,
}

impl Text {
    fn field(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            JOB => self.job = Some(value),
            name => {
                // Writing to a string cannot fail.
                let _ = write!(self.fields, " {name}={value}");
            }
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.field(field, format!("{value:?}"));
    }
}

/// `print` streams of a job on a server go to its log.
pub struct LogPrinter(pub Arc<Ring>);

impl Printer for LogPrinter {
    fn line(&self, stream: &str, line: &str) {
        self.0.add("PRINT", &format!("{stream}> {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn a_ring_keeps_the_last_lines_and_counts_all() {
        let ring = Ring::new(2);
        for text in ["a", "b", "c"] {
            ring.add("INFO", text);
        }
        let shown = |after| -> Vec<(u64, String)> {
            ring.after(after, 10).into_iter().map(|l| (l.number, l.text)).collect()
        };
        assert_eq!(shown(0), [(2, "b".to_string()), (3, "c".to_string())]);
        assert_eq!(shown(2), [(3, "c".to_string())]);
        assert_eq!(ring.after(0, 1)[0].text, "c");
        ring.add("INFO", &"ä".repeat(LINE_BYTES_MAX));
        assert!(ring.after(3, 1)[0].text.len() <= LINE_BYTES_MAX + '…'.len_utf8());
    }

    #[test]
    fn what_a_jobs_threads_log_goes_to_its_ring_and_to_no_other() {
        let book = Arc::new(LogBook::default());
        let (one, two) = (book.ring("one", 9), book.ring("two", 9));
        let subscriber = tracing_subscriber::registry().with(JobLayer(book));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("job", job = %"one").in_scope(|| {
                tracing::warn!(failures = 3, "starts again");
            });
            tracing::warn!("of nobody");
        });
        let lines = one.after(0, 9);
        assert_eq!((lines.len(), lines[0].level.as_str()), (1, "WARN"));
        assert_eq!(lines[0].text, "starts again failures=3");
        assert!(two.after(0, 9).is_empty());
    }
}

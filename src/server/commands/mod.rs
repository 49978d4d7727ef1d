//! Typed commands: JSON objects into a stream of a running job, checked against its columns and
//! written as its formats say, once per idempotency key.

mod encode;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use flow_ir::physical::{JobGraph, Stream};
use flow_ir::row::key_hash;
use flow_runtime::RuntimeError;
use flow_runtime::connect::{Log, NewTopic};
use flow_runtime::error::Who;
use flow_runtime::world::Printer;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use encode::StreamEncoder;
use writer::Command;
pub use writer::Written;

use super::jobs::Job;
use super::jobs::info::State;
use super::logs::LogPrinter;
use crate::world::Surroundings;

/// Records of one request at most.
pub const RECORDS_MAX: usize = 1_000;

/// Bytes of an idempotency key at most.
pub const KEY_BYTES_MAX: usize = 200;

/// Why a command was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What kind of failure.
    pub kind: FailedKind,
    /// What happened.
    pub message: String,
    /// Whether it may be written all the same.
    pub unclear: bool,
}

/// Who has to do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedKind {
    /// There is no such stream.
    Missing,
    /// The caller: the data do not fit.
    Refused,
    /// The caller: not now, or not so.
    Conflict,
    /// The log or the registry is away.
    Away,
}

impl Failed {
    fn new(kind: FailedKind, message: String) -> Self {
        Self { kind, message, unclear: false }
    }

    fn refused(message: String) -> Self {
        Self::new(FailedKind::Refused, message)
    }

    fn conflict(message: String) -> Self {
        Self::new(FailedKind::Conflict, message)
    }

    fn away(message: String) -> Self {
        Self::new(FailedKind::Away, message)
    }

    fn of(error: RuntimeError) -> Self {
        match error.who {
            Who::User => Self::refused(error.to_string()),
            Who::External | Who::Internal | Who::Successor => Self::away(error.to_string()),
        }
    }
}

/// What a stream of a job needs to be written to.
struct Open {
    version: u32,
    encoder: Arc<Mutex<StreamEncoder>>,
    writer: Sender<Command>,
    topic: String,
}

/// Writes commands for all streams.
pub struct Commands {
    surroundings: Surroundings,
    server: String,
    /// By job and stream.
    streams: Mutex<HashMap<(String, String), Arc<Open>>>,
    /// Writers by the log's cluster; each lives as long as the server.
    writers: Mutex<BTreeMap<String, Sender<Command>>>,
}

impl Commands {
    /// Commands for jobs in these surroundings; `server` names the server among others.
    pub fn new(surroundings: Surroundings, server: &str) -> Self {
        Self {
            surroundings,
            server: server.to_string(),
            streams: Mutex::default(),
            writers: Mutex::default(),
        }
    }

    /// Writes objects to a stream of one of these jobs. Blocks.
    ///
    /// # Errors
    /// See `Failed`.
    pub fn write(
        &self,
        jobs: &[Arc<Job>],
        stream: &str,
        objects: &[Map<String, Value>],
        key: Option<&str>,
    ) -> Result<Written, Failed> {
        let (job, graph) = owner(jobs, stream)?;
        let open = self.open(&job, &graph, stream)?;
        send(&open, stream, objects, key)
    }

    /// Writes objects to a stream of a program that no job runs; a topic that is not there is
    /// made. Blocks.
    ///
    /// # Errors
    /// See `Failed`.
    pub fn write_to(
        &self,
        graph: &JobGraph,
        stream: &str,
        objects: &[Map<String, Value>],
        key: Option<&str>,
    ) -> Result<Written, Failed> {
        let declared = graph.streams.iter().find(|s| s.name == stream);
        if let Some(other) = declared.filter(|s| s.connector != "kafka") {
            let connector = &other.connector;
            return Err(Failed::conflict(format!("stream {stream} is no topic but {connector}")));
        }
        let (open, log) = self.opened(graph, stream, Arc::new(Unprinted), 0)?;
        let compacted = declared.is_some_and(|s| !s.primary_key.is_empty());
        let (name, config) = (open.topic.clone(), Vec::new());
        let topic = NewTopic { name, partitions: 0, compacted, config };
        log.create_topic(&topic).map_err(Failed::of)?;
        send(&open, stream, objects, key)
    }

    fn open(&self, job: &Job, graph: &JobGraph, name: &str) -> Result<Arc<Open>, Failed> {
        let key = (job.name.to_string(), name.to_string());
        let version = job.info().version;
        let known = self.streams.lock().unwrap_or_else(|e| e.into_inner()).get(&key).cloned();
        if let Some(open) = known.filter(|open| open.version == version) {
            return Ok(open);
        }
        // Outside the lock: a registry or broker that is slow holds no other stream up.
        let printer = Arc::new(LogPrinter(job.logs.clone()));
        let open = Arc::new(self.opened(graph, name, printer, version)?.0);
        self.streams.lock().unwrap_or_else(|e| e.into_inner()).insert(key, open.clone());
        Ok(open)
    }

    /// What a stream of a program needs to be written to, and the log that it is in.
    fn opened(
        &self,
        graph: &JobGraph,
        name: &str,
        printer: Arc<dyn Printer>,
        version: u32,
    ) -> Result<(Open, Arc<dyn Log>), Failed> {
        let stream = graph.streams.iter().find(|s| s.name == name);
        let stream =
            stream.ok_or_else(|| Failed::new(FailedKind::Missing, format!("no stream {name}")))?;
        let folder = std::env::temp_dir();
        let world = self.surroundings.world(graph, &folder, printer);
        let registry = || world.registries.of(stream).map_err(|e| e.to_string());
        let encoder = StreamEncoder::new(stream, registry).map_err(|why| {
            Failed::conflict(format!("stream {name} cannot be written from JSON: {why}"))
        })?;
        let log = world.logs.of(stream).map_err(Failed::of)?;
        let open = Open {
            version,
            encoder: Arc::new(Mutex::new(encoder)),
            writer: self.writer(log.clone())?,
            topic: stream.option("topic").unwrap_or(name).to_string(),
        };
        Ok((open, log))
    }

    fn writer(&self, log: Arc<dyn Log>) -> Result<Sender<Command>, Failed> {
        let cluster = log.cluster();
        let mut writers = self.writers.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(writer) = writers.get(&cluster) {
            return Ok(writer.clone());
        }
        let writer = writer::start(log, &self.server)?;
        writers.insert(cluster, writer.clone());
        Ok(writer)
    }
}

/// Writes objects to an open stream.
fn send(
    open: &Open,
    stream: &str,
    objects: &[Map<String, Value>],
    key: Option<&str>,
) -> Result<Written, Failed> {
    let mut records = Vec::with_capacity(objects.len());
    {
        let mut encoder = open.encoder.lock().unwrap_or_else(|e| e.into_inner());
        for (number, object) in objects.iter().enumerate() {
            let made = encoder.encode(object);
            records.push(made.map_err(|why| {
                let place = match objects.len() {
                    1 => String::new(),
                    _ => format!("record {}: ", number + 1),
                };
                Failed::refused(format!("{place}{why}"))
            })?);
        }
    }
    let hash = || {
        let text = serde_json::to_vec(objects).unwrap_or_default();
        key_hash(&[stream.as_bytes(), b"\0", &text].concat())
    };
    let key = key.map(|key| (key.to_string(), hash()));
    let (answer, receive) = oneshot::channel();
    let gone = || Failed::away("the writer of commands has ended".into());
    let command = Command { topic: open.topic.clone(), records, key, answer };
    open.writer.send(command).map_err(|_| gone())?;
    receive.blocking_recv().map_err(|_| gone())?
}

/// Output of a program that does not run.
struct Unprinted;

impl Printer for Unprinted {
    fn line(&self, _: &str, _: &str) {}
}

/// The job whose stream this is: one that runs, and the only one unless they mean the same topic.
fn owner(jobs: &[Arc<Job>], stream: &str) -> Result<(Arc<Job>, Arc<JobGraph>), Failed> {
    let mut found: Vec<(Arc<Job>, Arc<JobGraph>, Stream)> = Vec::new();
    let mut resting = false;
    for job in jobs {
        let Ok(graph) = job.graph() else { continue };
        let Some(own) = graph.streams.iter().find(|s| s.name == stream).cloned() else { continue };
        match matches!(job.state(), State::Running | State::Starting) {
            true => found.push((job.clone(), graph, own)),
            false => resting = true,
        }
    }
    let Some((job, graph, first)) = found.first() else {
        return Err(match resting {
            true => Failed::conflict(format!("no job with the stream {stream} runs")),
            false => Failed::new(FailedKind::Missing, format!("no job has a stream {stream}")),
        });
    };
    if first.connector != "kafka" {
        let connector = &first.connector;
        return Err(Failed::conflict(format!("stream {stream} is no topic but {connector}")));
    }
    if let Some((other, ..)) = found.iter().find(|(_, _, own)| own != first) {
        return Err(Failed::conflict(format!(
            "jobs {} and {} mean different streams by {stream}; say which with ?job=NAME",
            job.name, other.name
        )));
    }
    Ok((job.clone(), graph.clone()))
}

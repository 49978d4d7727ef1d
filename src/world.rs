//! The world of a job that runs in this process: which log holds which stream, registries, output.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flow_ir::physical::{JobGraph, Stream};
use flow_registry::{Registry, RegistryError};
use flow_runtime::connect::Log;
use flow_runtime::connect::local::{Access, Purpose};
use flow_runtime::error::{Result, RuntimeError};
use flow_runtime::world::{Logs, Printer, Registries as JobRegistries, SystemClock, World};

use crate::clusters::{Clusters, Properties};
use crate::engine::Engine;
use crate::registries::{Registries, of_stream};
use crate::secrets::Secrets;
use crate::status;

/// The log of a job that neither reads nor writes a broker, in its state folder.
const STATE_LOG: &str = "embedded";

/// What all jobs of a process have in common.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The embedded log in which all topics are, if they are in one.
    pub embedded: Option<Embedded>,
    /// Properties of Kafka clients, for what programs leave open.
    pub kafka: Properties,
    /// The registry of streams that name none, if it is not that of the embedded log.
    pub registry: Option<String>,
    /// Where secrets are looked up.
    pub secrets: Secrets,
    /// Whether programs come from others, who may not name folders of this machine.
    pub guarded: bool,
    /// What does the per-record work.
    pub engine: Engine,
}

/// An embedded log.
#[derive(Clone)]
pub struct Embedded {
    /// Its folder.
    pub folder: PathBuf,
    /// The log, if the process has opened it already; else a job opens it when it starts.
    pub open: Option<Arc<dyn Log>>,
}

impl Surroundings {
    /// The registries that streams name, and the one for those that name none.
    pub fn registries(&self) -> Registries {
        let local = self.embedded.as_ref().map(|embedded| embedded.folder.as_path());
        let all = Registries::with_local(local).or_at(self.registry.clone());
        let all = all.with_secrets(self.secrets.clone());
        if self.guarded { all.without_folders() } else { all }
    }

    /// The world of a job in these surroundings.
    ///
    /// A job without Kafka and embedded log keeps epochs and changelog in an embedded log of its
    /// own in its state folder.
    pub fn world(&self, graph: &JobGraph, state_dir: &Path, printer: Arc<dyn Printer>) -> World {
        let on_disk =
            |folder| -> Arc<dyn Logs> { Arc::new(EmbeddedLog { folder, open: Mutex::new(None) }) };
        let clusters = || Clusters::of_job(graph, &self.kafka, &self.secrets);
        let logs = match &self.embedded {
            Some(Embedded { open: Some(log), .. }) => Arc::new(OpenLog(log.clone())),
            Some(Embedded { folder, open: None }) => on_disk(folder.clone()),
            None => match clusters() {
                Some(clusters) => Arc::new(clusters),
                None => on_disk(state_dir.join(STATE_LOG)),
            },
        };
        World {
            clock: Arc::new(SystemClock::default()),
            logs,
            registries: Arc::new(StreamRegistries {
                open: self.registries(),
                settings: graph.settings.other.clone(),
            }),
            printer,
        }
    }
}

/// The world of a job that is alone in its process: with `local` all topics are in the embedded log
/// in that folder, without it on the Kafka clusters that the streams name.
pub fn world(graph: &JobGraph, local: Option<&Path>, state_dir: &Path) -> World {
    let embedded = local.map(|folder| Embedded { folder: folder.to_path_buf(), open: None });
    let alone = Surroundings { embedded, ..Surroundings::default() };
    alone.world(graph, state_dir, Arc::new(Stdout::new()))
}

/// Where a job's state lies: `--state-dir`, else with the embedded log, else `.flow/NAME`.
pub fn state_dir(given: Option<&Path>, local: Option<&Path>, name: &str) -> PathBuf {
    match (given, local) {
        (Some(dir), _) => dir.to_path_buf(),
        (None, Some(local)) => local.join("jobs").join(name),
        (None, None) => Path::new(".flow").join(name),
    }
}

/// One embedded log for everything.
struct EmbeddedLog {
    folder: PathBuf,
    open: Mutex<Option<Access>>,
}

impl Logs for EmbeddedLog {
    fn home(&self) -> Result<Arc<dyn Log>> {
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(access) = &*open {
            return Ok(access.log().clone());
        }
        let access = Access::open(&self.folder, Purpose::Job)?;
        let log = access.log().clone();
        *open = Some(access);
        Ok(log)
    }

    fn of(&self, _: &Stream) -> Result<Arc<dyn Log>> {
        self.home()
    }
}

/// An embedded log that the process has opened for all its jobs.
struct OpenLog(Arc<dyn Log>);

impl Logs for OpenLog {
    fn home(&self) -> Result<Arc<dyn Log>> {
        Ok(self.0.clone())
    }

    fn of(&self, _: &Stream) -> Result<Arc<dyn Log>> {
        self.home()
    }
}

/// Registries as streams and settings name them.
struct StreamRegistries {
    open: Registries,
    settings: BTreeMap<String, String>,
}

impl JobRegistries for StreamRegistries {
    fn of(&self, stream: &Stream) -> Result<Arc<dyn Registry>> {
        let options = of_stream(&stream.options, &self.settings);
        let url = options.get("avro-confluent.url").map(String::as_str);
        let told = |error: RegistryError| match error {
            RegistryError::Setting { .. } => RuntimeError::user(error.to_string()),
            other => RuntimeError::external(other.to_string()),
        };
        self.open.get(url, &options).map_err(told)?.ok_or_else(|| {
            RuntimeError::user(format!("stream {} names no schema registry", stream.name))
                .with_help("Set 'avro-confluent.url', or SCHEMA_REGISTRY_URL.")
        })
    }
}

/// Prints to standard output; on a terminal above the lines that show the job's progress.
struct Stdout {
    is_terminal: bool,
}

impl Stdout {
    fn new() -> Self {
        Self { is_terminal: std::io::stdout().is_terminal() }
    }
}

impl Printer for Stdout {
    fn line(&self, stream: &str, line: &str) {
        let print = || writeln!(std::io::stdout(), "{stream}> {line}");
        // A reader that went away is no reason to stop the job.
        let _ = if self.is_terminal { status::above(print) } else { print() };
    }
}

//! The world of a job that runs in this process: which log holds which stream, registries, output.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flow_ir::physical::Stream;
use flow_registry::Registry;
use flow_runtime::connect::Log;
use flow_runtime::connect::local::{Access, Purpose};
use flow_runtime::error::{Result, RuntimeError};
use flow_runtime::world::{Logs, Printer, Registries as JobRegistries, SystemClock, World};

use crate::registries::Registries;

/// The log of a job that neither reads nor writes a broker, in its state folder.
const STATE_LOG: &str = "embedded";

/// The world of a job.
///
/// With `local`, all topics are in the embedded log in that folder. Without it, a job's epochs and
/// changelog are in an embedded log in its state folder.
pub fn world(local: Option<&Path>, state_dir: &Path) -> World {
    let folder = local.map_or_else(|| state_dir.join(STATE_LOG), Path::to_path_buf);
    World {
        clock: Arc::new(SystemClock::default()),
        logs: Arc::new(EmbeddedLogs {
            folder,
            has_topics: local.is_some(),
            open: Mutex::new(None),
        }),
        registries: Arc::new(StreamRegistries(Registries::with_local(local))),
        printer: Arc::new(Stdout),
    }
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
struct EmbeddedLogs {
    folder: PathBuf,
    /// Whether streams live in it.
    has_topics: bool,
    open: Mutex<Option<Access>>,
}

impl Logs for EmbeddedLogs {
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

    fn of(&self, stream: &Stream) -> Result<Arc<dyn Log>> {
        if self.has_topics {
            return self.home();
        }
        let error = RuntimeError::user(format!(
            "stream {} is in a topic, and no log is given",
            stream.name
        ));
        Err(error.with_help("Run it on the embedded log with --local DIR."))
    }
}

/// Registries as streams name them.
struct StreamRegistries(Registries);

impl JobRegistries for StreamRegistries {
    fn of(&self, stream: &Stream) -> Result<Arc<dyn Registry>> {
        let found = self.0.get(stream.option("avro-confluent.url"), &stream.options);
        found.map_err(|e| RuntimeError::external(e.to_string()))?.ok_or_else(|| {
            RuntimeError::user(format!("stream {} names no schema registry", stream.name))
                .with_help("Set 'avro-confluent.url', or SCHEMA_REGISTRY_URL.")
        })
    }
}

/// Prints to standard output.
struct Stdout;

impl Printer for Stdout {
    fn line(&self, stream: &str, line: &str) {
        // A reader that went away is no reason to stop the job.
        let _ = writeln!(std::io::stdout(), "{stream}> {line}");
    }
}

//! The world of a job that runs in this process: which log holds which stream, registries, output.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use flow_ir::physical::{JobGraph, Stream};
use flow_registry::Registry;
use flow_runtime::connect::Log;
use flow_runtime::connect::local::{Access, Purpose};
use flow_runtime::error::{Result, RuntimeError};
use flow_runtime::world::{Logs, Printer, Registries as JobRegistries, SystemClock, World};

use crate::clusters::Clusters;
use crate::registries::Registries;
use crate::secrets::fill;

/// The log of a job that neither reads nor writes a broker, in its state folder.
const STATE_LOG: &str = "embedded";

/// The world of a job.
///
/// With `local`, all topics are in the embedded log in that folder. Without it they are on the
/// Kafka clusters that the streams name; a job without Kafka keeps epochs and changelog in an
/// embedded log in its state folder.
pub fn world(graph: &JobGraph, local: Option<&Path>, state_dir: &Path) -> World {
    let embedded =
        |folder| -> Arc<dyn Logs> { Arc::new(EmbeddedLog { folder, open: Mutex::new(None) }) };
    let logs = match (local, Clusters::of_job(graph)) {
        (Some(local), _) => embedded(local.to_path_buf()),
        (None, Some(clusters)) => Arc::new(clusters),
        (None, None) => embedded(state_dir.join(STATE_LOG)),
    };
    World {
        clock: Arc::new(SystemClock::default()),
        logs,
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

/// Registries as streams name them.
struct StreamRegistries(Registries);

impl JobRegistries for StreamRegistries {
    fn of(&self, stream: &Stream) -> Result<Arc<dyn Registry>> {
        let options = fill(&stream.options)
            .map_err(|why| RuntimeError::user(format!("stream {}: {why}", stream.name)))?;
        let url = options.get("avro-confluent.url").map(String::as_str);
        let found = self.0.get(url, &options);
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

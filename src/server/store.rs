//! What a server knows about its jobs, on disk. Every change is written beside the file that it
//! replaces, synced, renamed, and the folder synced: after a kill at any moment each file is whole,
//! as it was before or after.
//!
//! ```text
//!  DIR/server/lock                         locked by the server: its pid
//!  DIR/server/id                           names the server in the ids of its writers
//!  DIR/server/tokens.json                  hashes of tokens (`auth`)
//!  DIR/server/audit.jsonl                  who did what (`audit`)
//!  DIR/server/jobs/NAME/job.json           what is wanted of the job, and how it ended
//!  DIR/server/jobs/NAME/versions/N.flowjob every version of its program
//!  DIR/server/state/NAME                   the state of a job, unless it lies with the embedded
//!  log
//! ```

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use flow_ir::physical::{JobGraph, decode};
use serde::{Deserialize, Serialize};

use super::name::JobName;
use crate::exit::{Failure, Result};
use crate::lock::StateLock;

/// The data folder of a server, held by this process.
pub struct Store {
    root: PathBuf,
    id: String,
    _lock: StateLock,
}

/// What a user wants of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// It runs, also after a restart of the server.
    Running,
    /// It rests until it is resumed; a new version rests too.
    Paused,
    /// It is over; a new version of the program starts it.
    Stopped,
    /// It is taken away, with its state.
    Dropped,
    /// It is taken away; its state stays for a job of the same name.
    DroppedKeepingState,
}

/// How a job came to its end by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// All its inputs have ended.
    Finished,
    /// It cannot go on: the error as `flow run` shows it.
    Failed(String),
}

/// A job as the server remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// What is wanted.
    pub desired: Desired,
    /// The version that is to run, from 1.
    pub version: u32,
    /// Workers.
    pub parallelism: u16,
    /// The next start forgets the job's position and state.
    pub fresh: bool,
    /// Why it does not run although it should.
    pub settled: Option<Settled>,
    /// When the job was first submitted, milliseconds since 1970.
    pub created_ms: i64,
    /// When this version was submitted.
    pub submitted_ms: i64,
}

/// A job as it was found: its record, and its program or why there is none.
pub type Found = (JobName, JobRecord, std::result::Result<JobGraph, String>);

impl Store {
    /// Opens a data folder, which is made when missing.
    ///
    /// # Errors
    /// If another server holds it, or it cannot be used.
    pub fn open(data: &Path) -> Result<Self> {
        let root = folder_of(data);
        let lock = StateLock::take_or(&root, |pid| {
            format!(
                "process {pid} is a server on {} already; stop it, or choose another folder with \
                 --data",
                data.display()
            )
        })?;
        std::fs::create_dir_all(root.join("jobs")).map_err(|e| failed(&root, &e))?;
        let id = own_id(&root)?;
        Ok(Self { root, id, _lock: lock })
    }

    /// What names this server among those on the same logs.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The server's own folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a job.
    pub fn job_folder(&self, name: &JobName) -> PathBuf {
        self.root.join("jobs").join(name.as_str())
    }

    /// All jobs. A folder without a record is what a submission that never ended left behind.
    ///
    /// # Errors
    /// If the folder cannot be read, or a record in it.
    pub fn load(&self) -> Result<Vec<Found>> {
        let jobs = self.root.join("jobs");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&jobs).map_err(|e| failed(&jobs, &e))? {
            let entry = entry.map_err(|e| failed(&jobs, &e))?;
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str().and_then(|n| JobName::new(n).ok()) else {
                tracing::warn!("{} is no job and is left alone", entry.path().display());
                continue;
            };
            let path = entry.path().join("job.json");
            let Ok(text) = std::fs::read(&path) else { continue };
            let record: JobRecord = serde_json::from_slice(&text)
                .map_err(|e| Failure::failed(format!("{} cannot be read: {e}", path.display())))?;
            let graph = self.graph(&name, record.version);
            found.push((name, record, graph));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// A version of a program, verified like any other bytes from outside.
    fn graph(&self, name: &JobName, version: u32) -> std::result::Result<JobGraph, String> {
        let path = self.version_path(name, version);
        let told = |why: String| format!("{} cannot be used: {why}", path.display());
        let bytes = std::fs::read(&path).map_err(|e| told(e.to_string()))?;
        let graph = decode(&bytes).map_err(|e| told(e.to_string()))?;
        match graph.name == name.as_str() {
            true => Ok(graph),
            false => Err(told(format!("it is a version of job {}", graph.name))),
        }
    }

    fn version_path(&self, name: &JobName, version: u32) -> PathBuf {
        self.job_folder(name).join("versions").join(format!("{version}.flowjob"))
    }

    /// Keeps a version of a program. It counts when a record names it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put_version(&self, name: &JobName, version: u32, artifact: &[u8]) -> Result {
        let folder = self.job_folder(name);
        let versions = folder.join("versions");
        std::fs::create_dir_all(&versions).map_err(|e| failed(&versions, &e))?;
        sync_folder(&folder)?;
        sync_folder(&self.root.join("jobs"))?;
        write_durably(&self.version_path(name, version), artifact)
    }

    /// Keeps what is wanted of a job.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, name: &JobName, record: &JobRecord) -> Result {
        let text = serde_json::to_vec_pretty(record).map_err(Failure::failed)?;
        write_durably(&self.job_folder(name).join("job.json"), &text)
    }

    /// Forgets a job. What a kill in between leaves has no record, and no job comes of it.
    ///
    /// # Errors
    /// If the folder cannot be changed.
    pub fn remove(&self, name: &JobName) -> Result {
        let folder = self.job_folder(name);
        let record = folder.join("job.json");
        std::fs::remove_file(&record).map_err(|e| failed(&record, &e))?;
        sync_folder(&folder)?;
        std::fs::remove_dir_all(&folder).map_err(|e| failed(&folder, &e))?;
        sync_folder(&self.root.join("jobs"))
    }
}

/// The server's own folder in a data folder.
pub fn folder_of(data: &Path) -> PathBuf {
    data.join("server")
}

fn own_id(root: &Path) -> Result<String> {
    let path = root.join("id");
    if let Ok(id) = std::fs::read_to_string(&path)
        && !id.trim().is_empty()
    {
        return Ok(id.trim().to_string());
    }
    let id = super::auth::random_text(9)?;
    write_durably(&path, id.as_bytes())?;
    Ok(id)
}

/// Replaces a file such that it is whole whenever the process ends.
///
/// # Errors
/// If it cannot be written.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result {
    let beside = path.with_extension("new");
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    });
    written.map_err(|e| failed(path, &e))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

fn sync_folder(folder: &Path) -> Result {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| failed(folder, &e))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{} cannot be used: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: u32) -> JobRecord {
        JobRecord {
            desired: Desired::Running,
            version,
            parallelism: 1,
            fresh: false,
            settled: None,
            created_ms: 1,
            submitted_ms: 2,
        }
    }

    #[test]
    fn records_come_back_and_half_a_submission_does_not() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).unwrap();
        let (whole, half) = (JobName::new("whole").unwrap(), JobName::new("half").unwrap());
        store.put_version(&whole, 1, b"FLOWJOB no").unwrap();
        store.put(&whole, &record(1)).unwrap();
        store.put_version(&half, 1, b"x").unwrap();
        let found = store.load().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].0, &found[0].1), (&whole, &record(1)));
        let why = found[0].2.as_ref().unwrap_err();
        assert!(why.contains("1.flowjob") && why.contains("not a compiled job"), "{why}");
        store.remove(&whole).unwrap();
        assert!(store.load().unwrap().is_empty());
    }

    #[test]
    fn a_second_server_is_refused_and_the_first_is_named() {
        let data = tempfile::tempdir().unwrap();
        let first = Store::open(data.path()).unwrap();
        let refused = Store::open(data.path()).err().unwrap().message;
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        let id = first.id().to_string();
        drop(first);
        assert_eq!(Store::open(data.path()).unwrap().id(), id);
    }
}

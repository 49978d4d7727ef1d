//! Who may open the embedded log of a folder. One process owns it; the lock file names it, and
//! where its socket is. A job that finds a job is refused; a job that finds a command gets the log
//! from it; a command that finds an owner goes through its socket.
//!
//! ```text
//!  DIR/lock    locked by the owner: its pid, `job` or `command`, the socket's path, a line each
//!  DIR/log     the log
//!  DIR/socket  the owner's socket; in the temporary folder where the path would be too long
//! ```

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fs4::fs_std::FileExt;

use super::log::LocalLog;
use super::remote::RemoteLog;
use super::server::Server;
use crate::connect::Log;
use crate::error::{Result, RuntimeError};

/// Longest path that a Unix socket can have on every system, with some room.
const SOCKET_PATH_BYTES_MAX: usize = 100;
/// How long a job waits for a command to give the log up.
const YIELD_WAIT: Duration = Duration::from_secs(10);
/// How long a command that gave the log up waits for the job to take it.
const HAND_OVER_WAIT: Duration = Duration::from_secs(5);
/// How long a process waits between looks at the lock.
const LOOK: Duration = Duration::from_millis(20);
/// How long a command waits for a new owner to open its socket.
const SOCKET_WAIT: Duration = Duration::from_secs(10);

/// What the log is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run a job: the process must own the log.
    Job,
    /// To read or write a little.
    Command,
}

/// The embedded log of a folder, owned or by way of its owner.
pub struct Access {
    log: Arc<dyn Log>,
    owned: Option<Owned>,
}

/// Dropped in this order: no more clients, then the lock.
struct Owned {
    server: Server,
    _lock: File,
}

/// What a lock file says.
#[derive(PartialEq, Eq)]
struct Note {
    pid: String,
    is_job: bool,
    socket: PathBuf,
}

impl Access {
    /// Opens the log of a folder, which is made when missing.
    ///
    /// # Errors
    /// If a job runs on it already, or the folder cannot be used.
    pub fn open(dir: &Path, purpose: Purpose) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|e| unusable(dir, &e))?;
        let path = dir.join("lock");
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut lock = options.map_err(|e| unusable(dir, &e))?;
        let began = Instant::now();
        loop {
            if lock.try_lock_exclusive().map_err(|e| unusable(dir, &e))? {
                return Self::own(dir, lock, purpose);
            }
            match (Note::with_owner(&mut lock, dir), purpose) {
                (Some((_, remote)), Purpose::Command) => {
                    return Ok(Self { log: Arc::new(remote), owned: None });
                }
                (Some((note, _)), Purpose::Job) if note.is_job => {
                    let (pid, dir) = (note.pid, dir.display());
                    let message = format!("process {pid} runs a job on the embedded log in {dir}");
                    return Err(RuntimeError::user(message).with_help(
                        "Stop it first, or use another folder with --local. Where it is a \
                             server, submit the program to it: flow submit.",
                    ));
                }
                (Some((_, remote)), Purpose::Job) => {
                    // An owner that goes away before it answers gives the lock up as well.
                    let _ = remote.ask_to_yield();
                }
                // The owner has just taken the lock, or is about to give it up.
                (None, Purpose::Job | Purpose::Command) => {}
            }
            let patience = if purpose == Purpose::Job { YIELD_WAIT } else { SOCKET_WAIT };
            if began.elapsed() > patience {
                return Err(RuntimeError::external(format!(
                    "another process holds the embedded log in {} and does not answer",
                    dir.display()
                )));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn own(dir: &Path, mut lock: File, purpose: Purpose) -> Result<Self> {
        let socket = socket_path(dir);
        let kind = if purpose == Purpose::Job { "job" } else { "command" };
        let note = format!("{}\n{kind}\n{}\n", std::process::id(), socket.display());
        let written = lock.set_len(0).and_then(|()| lock.rewind());
        let written = written.and_then(|()| lock.write_all(note.as_bytes()));
        written.map_err(|e| unusable(dir, &e))?;
        // The note comes first: whoever answers at the socket is whom the lock names.
        let log = LocalLog::open(&dir.join("log"))?;
        let server = Server::start(&socket, log.clone()).map_err(|e| unusable(dir, &e))?;
        Ok(Self { log: Arc::new(log), owned: Some(Owned { server, _lock: lock }) })
    }

    /// Gives the log up to the job that waits for it, and goes on by way of that job.
    ///
    /// # Errors
    /// As `open`.
    pub fn hand_over(self, dir: &Path) -> Result<Self> {
        drop(self);
        let began = Instant::now();
        while began.elapsed() < HAND_OVER_WAIT {
            let lock = File::open(dir.join("lock")).ok();
            let owner = lock.and_then(|mut lock| Note::with_owner(&mut lock, dir));
            if let Some((_, remote)) = owner.filter(|(note, _)| note.is_job) {
                return Ok(Self { log: Arc::new(remote), owned: None });
            }
            std::thread::sleep(LOOK);
        }
        // The job went away before it took the log.
        Self::open(dir, Purpose::Command)
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Whether a job waits for this process to give the log up.
    pub fn must_yield(&self) -> bool {
        self.owned.as_ref().is_some_and(|owned| owned.server.must_yield())
    }
}

impl Note {
    /// Who holds the lock, if it answers at its socket. A note that was there before and after it
    /// answered is its own, and none that an earlier owner left behind.
    fn with_owner(lock: &mut File, dir: &Path) -> Option<(Self, RemoteLog)> {
        let note = Self::read(lock)?;
        let remote = RemoteLog::connect(&note.socket, &dir.display().to_string()).ok()?;
        (Self::read(lock)? == note).then_some((note, remote))
    }

    fn read(lock: &mut File) -> Option<Self> {
        let mut text = String::new();
        lock.rewind().ok()?;
        lock.read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let (pid, kind) = (lines.next()?.to_string(), lines.next()?);
        Some(Self { pid, is_job: kind == "job", socket: PathBuf::from(lines.next()?) })
    }
}

/// Where the owner of a folder listens.
fn socket_path(dir: &Path) -> PathBuf {
    // Absolute: a client may work in another folder.
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let path = whole.join("socket");
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return path;
    }
    let hash = flow_ir::row::key_hash(whole.as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("flow-{hash:016x}.socket"))
}

fn unusable(dir: &Path, error: &std::io::Error) -> RuntimeError {
    RuntimeError::user(format!("the folder {} cannot be used: {error}", dir.display()))
        .with_help("Choose another one with --local.")
}

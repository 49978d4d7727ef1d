//! The jobs of a server. One keeper thread looks at all of them, many times a second, and brings
//! each to what is wanted of it; requests only change what is wanted, durably, and wait.
//!
//! A job that rests is a record and its program: no thread, no client. A running job has the
//! runtime's thread, its workers, and the clients of its logs, all of its own.

pub mod analyze;
pub mod counts;
pub mod info;
mod job;
mod readers;
mod rules;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use flow_ir::physical::{JobGraph, encode};
use flow_runtime::job::{StateChange, compare};

pub use job::Job;
use job::Presence;

use super::logs::LogBook;
use super::name::JobName;
use super::now_ms;
use super::store::{Desired, JobRecord, Store};
use crate::deployment::Deployment;
use crate::exit::{Failure, Result};
use crate::world::Surroundings;

/// The answer to a wish.
pub type Answer<T> = std::result::Result<T, Refused>;

/// How often the keeper looks at the jobs.
const LOOK: Duration = Duration::from_millis(25);

/// How jobs are run on this server.
pub struct Setup {
    /// Logs, registries, secrets.
    pub surroundings: Surroundings,
    /// State in memory of all jobs together, bytes. Each that runs has an even share, which changes
    /// when others start or stop.
    pub memory_bytes: usize,
    /// Workers of a job that asks for no number.
    pub parallelism: u16,
    /// Restarts after failures in a row.
    pub restarts: u32,
    /// Lines of its log that are kept for a job.
    pub log_lines: usize,
}

/// What the keeper and the jobs share.
pub(in crate::server) struct Host {
    store: Store,
    setup: Setup,
    book: Arc<LogBook>,
    closing: AtomicBool,
}

impl Host {
    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Where a job's state lies: with the embedded log, as that of `flow run` does, else in the
    /// data folder.
    fn state_folder(&self, name: &JobName) -> PathBuf {
        match &self.setup.surroundings.embedded {
            Some(embedded) => crate::world::state_dir(None, Some(&embedded.folder), name.as_str()),
            None => self.store.root().join("state").join(name.as_str()),
        }
    }
}

type Table = RwLock<BTreeMap<JobName, Arc<Job>>>;

/// All jobs of a server.
pub struct Jobs {
    host: Arc<Host>,
    table: Arc<Table>,
    /// Submissions and drops come one after the other.
    submitting: Mutex<()>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// A program to run.
pub struct Submission {
    /// The job.
    pub name: JobName,
    /// The program, verified; its name is replaced by `name`.
    pub graph: JobGraph,
    /// Agrees to lose the job's state and position.
    pub fresh: bool,
    /// Workers; `None`: as before, or the server's number.
    pub parallelism: Option<u16>,
}

/// What became of a submission.
#[derive(Debug)]
pub struct Submitted {
    /// The version that it is now.
    pub version: u32,
    /// What becomes of the state of the version before, if there is one.
    pub change: Option<StateChange>,
    /// Whether the job has this very program already.
    pub unchanged: bool,
}

/// Why something was not done.
#[derive(Debug)]
pub enum Refused {
    /// There is no such job.
    NoJob(JobName),
    /// The job is being dropped.
    Dropping(JobName),
    /// The new program cannot go on with the old one's state.
    LosesState(StateChange),
    /// The job has another number of shards, which only changes where it starts anew.
    OtherShards(u32, u32),
    /// Jobs read its views: it is neither dropped nor started anew.
    IsRead(JobName, Vec<String>),
    /// What it would read is made of what it keeps.
    ReadsItself(String),
    /// The job does not keep the view that it would read, or no longer so.
    NoSuchView(String),
    /// The disk does not take it.
    Disk(Failure),
}

impl Jobs {
    /// The jobs of a data folder; those that are to run are started.
    ///
    /// # Errors
    /// If the folder cannot be read, or no thread can be made.
    pub fn open(store: Store, setup: Setup, book: Arc<LogBook>) -> Result<Self> {
        let mut table = BTreeMap::new();
        for (name, record, graph) in store.load()? {
            let logs = book.ring(name.as_str(), setup.log_lines);
            let job = Job::new(name.clone(), record, graph.map(Arc::new), logs);
            table.insert(name, Arc::new(job));
        }
        let host = Arc::new(Host { store, setup, book, closing: AtomicBool::new(false) });
        let table = Arc::new(RwLock::new(table));
        let (keeps, kept) = (host.clone(), table.clone());
        let keeper = std::thread::Builder::new()
            .name("keeper".into())
            .spawn(move || keep(&keeps, &kept))
            .map_err(|e| Failure::failed(format!("no thread to keep jobs: {e}")))?;
        let keeper = Mutex::new(Some(keeper));
        Ok(Self { host, table, submitting: Mutex::new(()), keeper })
    }

    /// All jobs, by name.
    pub fn all(&self) -> Vec<Arc<Job>> {
        self.table.read().unwrap_or_else(|e| e.into_inner()).values().cloned().collect()
    }

    /// A job.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn get(&self, name: &JobName) -> Answer<Arc<Job>> {
        let table = self.table.read().unwrap_or_else(|e| e.into_inner());
        table.get(name).cloned().ok_or_else(|| Refused::NoJob(name.clone()))
    }

    /// The data folder.
    pub fn store(&self) -> &Store {
        &self.host.store
    }

    /// How jobs are run.
    pub fn setup(&self) -> &Setup {
        &self.host.setup
    }

    /// Takes a program in: as a new job, or as the next version of one. The version before
    /// finishes its epoch first.
    ///
    /// # Errors
    /// See `Refused`.
    pub fn submit(&self, submission: Submission) -> Answer<Submitted> {
        let _one = self.one_by_one();
        let Submission { name, mut graph, fresh, parallelism } = submission;
        graph.name = name.to_string();
        self.check_views(&name, &graph, fresh)?;
        match self.get(&name) {
            Ok(job) => self.replace(&job, graph, fresh, parallelism),
            Err(_) => self.add(name, graph, fresh, parallelism),
        }
    }

    /// What a program would do to the job of this name: nothing is changed.
    ///
    /// # Errors
    /// If there is no such job, or its program cannot be used.
    pub fn preview(&self, name: &JobName, graph: &JobGraph) -> Answer<StateChange> {
        let before = self.get(name)?.graph().map_err(|e| Refused::Disk(Failure::failed(e)))?;
        Ok(compare(&before, graph))
    }

    fn one_by_one(&self) -> MutexGuard<'_, ()> {
        self.submitting.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn add(
        &self,
        name: JobName,
        graph: JobGraph,
        fresh: bool,
        parallelism: Option<u16>,
    ) -> Answer<Submitted> {
        let (host, now) = (&self.host, now_ms());
        let record = JobRecord {
            desired: Desired::Running,
            version: 1,
            parallelism: parallelism
                .or(Deployment::of(&graph.settings).parallelism)
                .unwrap_or(host.setup.parallelism),
            fresh,
            settled: None,
            created_ms: now,
            submitted_ms: now,
        };
        host.store.put_version(&name, 1, &encode(&graph)).map_err(Refused::Disk)?;
        host.store.put(&name, &record).map_err(Refused::Disk)?;
        let logs = host.book.ring(name.as_str(), host.setup.log_lines);
        let job = Arc::new(Job::new(name.clone(), record, Ok(Arc::new(graph)), logs));
        self.table.write().unwrap_or_else(|e| e.into_inner()).insert(name, job);
        Ok(Submitted { version: 1, change: None, unchanged: false })
    }

    fn replace(
        &self,
        job: &Job,
        graph: JobGraph,
        fresh: bool,
        parallelism: Option<u16>,
    ) -> Answer<Submitted> {
        let mut inner = job.lock();
        if is_dropped(inner.record.desired) {
            return Err(Refused::Dropping(job.name.clone()));
        }
        let change = inner.graph.as_ref().ok().map(|before| compare(before, &graph));
        if let Some((before, after)) = change.as_ref().and_then(|c| c.shards).filter(|_| !fresh) {
            return Err(Refused::OtherShards(before, after));
        }
        if let Some(change) = change.as_ref().filter(|c| !c.goes_on() && !fresh) {
            return Err(Refused::LosesState(change.clone()));
        }
        let said = Deployment::of(&graph.settings).parallelism;
        let workers = parallelism.or(said).unwrap_or(inner.record.parallelism);
        let same = inner.graph.as_ref().is_ok_and(|before| **before == graph);
        let unchanged = same && !fresh && workers == inner.record.parallelism;
        let mut record = inner.record.clone();
        if !unchanged {
            record.version += 1;
            record.submitted_ms = now_ms();
            self.host
                .store
                .put_version(&job.name, record.version, &encode(&graph))
                .map_err(Refused::Disk)?;
        }
        record.fresh |= fresh;
        record.settled = None;
        record.parallelism = workers;
        if record.desired == Desired::Stopped {
            record.desired = Desired::Running;
        }
        self.host.store.put(&job.name, &record).map_err(Refused::Disk)?;
        let version = record.version;
        inner.record = record;
        inner.graph = Ok(Arc::new(graph));
        inner.forgive();
        drop(inner);
        job.has_changed();
        Ok(Submitted { version, change, unchanged })
    }

    /// Changes what is wanted of a job.
    ///
    /// # Errors
    /// See `Refused`.
    pub fn want(&self, name: &JobName, desired: Desired) -> Answer<Arc<Job>> {
        // No reader is submitted while a job is dropped.
        let _one = is_dropped(desired).then(|| self.one_by_one());
        if is_dropped(desired) {
            self.refuse_if_read(name)?;
        }
        let job = self.get(name)?;
        let mut inner = job.lock();
        if is_dropped(inner.record.desired) && !is_dropped(desired) {
            return Err(Refused::Dropping(name.clone()));
        }
        let mut record = inner.record.clone();
        record.desired = desired;
        if desired == Desired::Running {
            record.settled = None;
            inner.forgive();
        }
        self.host.store.put(name, &record).map_err(Refused::Disk)?;
        inner.record = record;
        drop(inner);
        job.has_changed();
        Ok(job)
    }

    /// Ends all jobs with their epochs and waits for that; what is wanted of them stays.
    pub fn close(&self) {
        self.host.closing.store(true, Ordering::Release);
        let keeper = self.keeper.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(keeper) = keeper {
            let _ = keeper.join();
        }
    }
}

fn is_dropped(desired: Desired) -> bool {
    match desired {
        Desired::Dropped | Desired::DroppedKeepingState => true,
        Desired::Running | Desired::Paused | Desired::Stopped => false,
    }
}

/// The keeper's loop. It ends when the server closes and all jobs rest.
fn keep(host: &Host, table: &Table) {
    loop {
        let jobs: Vec<Arc<Job>> =
            table.read().unwrap_or_else(|e| e.into_inner()).values().cloned().collect();
        let running = |job: &&Arc<Job>| {
            let inner = job.lock();
            inner.record.desired == Desired::Running && inner.record.settled.is_none()
        };
        let share = host.setup.memory_bytes / jobs.iter().filter(running).count().max(1);
        for job in &jobs {
            if job.tick(host, share) == Presence::Gone {
                table.write().unwrap_or_else(|e| e.into_inner()).remove(&job.name);
            }
        }
        if host.is_closing() && jobs.iter().all(|job| job.lock().is_idle()) {
            return;
        }
        std::thread::sleep(LOOK);
    }
}

//! One job: its record, what runs of it, and the acts of the keeper on it. Everything about it is
//! behind its own lock, so that no job waits for another.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use flow_ir::physical::JobGraph;
use flow_runtime::metrics::Metrics;
use flow_runtime::view::Views;
use flow_runtime::{Config, Ended, JobHandle, Memory, RuntimeError, start};
use tokio::sync::watch;

use super::info::{JobInfo, State};
use super::rules::{Activity, Step, next, wait_after};
use super::{Host, is_dropped};
use crate::deployment::Deployment;
use crate::lock::StateLock;
use crate::query::Offer;
use crate::server::logs::{LogPrinter, Ring};
use crate::server::name::JobName;
use crate::server::store::{Desired, JobRecord, Settled};

/// A job of the server.
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// Its log.
    pub logs: Arc<Ring>,
    inner: Mutex<Inner>,
    /// Counts changes of its state.
    changed: watch::Sender<u64>,
}

/// What is behind the lock.
pub(super) struct Inner {
    pub(super) record: JobRecord,
    /// The version that is wanted, or why it cannot be used.
    pub(super) graph: Result<Arc<JobGraph>, String>,
    run: Run,
    failures: u32,
    error: Option<String>,
    /// What it may use, bytes.
    memory: Memory,
    metrics: Option<Arc<Metrics>>,
    /// The views of this version; they can be read while the job rests.
    views: Option<Kept>,
}

/// The views of a version that was started.
struct Kept {
    version: u32,
    store: Arc<Views>,
    /// What they are to others, made once; `None` if there are none.
    offer: Option<Offer>,
}

enum Run {
    Idle,
    Active(Active),
    Waiting(Instant),
    Dropping(JoinHandle<Result<(), String>>),
}

struct Active {
    handle: JobHandle,
    version: u32,
    stopping: bool,
    /// Whether it has committed an epoch since it started.
    commits: bool,
    _lock: StateLock,
}

/// Whether a job is still there after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is.
    Here,
    /// It is taken away.
    Gone,
}

impl Job {
    pub(super) fn new(
        name: JobName,
        record: JobRecord,
        graph: Result<Arc<JobGraph>, String>,
        logs: Arc<Ring>,
    ) -> Self {
        let inner = Inner {
            record,
            graph,
            run: Run::Idle,
            failures: 0,
            error: None,
            memory: Memory::new(0),
            metrics: None,
            views: None,
        };
        Self { name, logs, inner: Mutex::new(inner), changed: watch::Sender::new(0) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Tells when the job's state changes.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn has_changed(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// What the job does.
    pub fn state(&self) -> State {
        self.lock().state()
    }

    /// The program of the version that is wanted.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn graph(&self) -> Result<Arc<JobGraph>, String> {
        self.lock().graph.clone()
    }

    /// The views that it offers.
    pub fn offer(&self) -> Option<Offer> {
        self.lock().views.as_ref()?.offer.clone()
    }

    /// What the job counts now, or counted last.
    pub fn metrics(&self) -> Option<Arc<Metrics>> {
        self.lock().current_metrics()
    }

    /// Whether it is to be dropped.
    pub fn is_dropped(&self) -> bool {
        is_dropped(self.lock().record.desired)
    }

    /// The job as the API shows it, without those that read its views.
    pub fn info(&self) -> JobInfo {
        let inner = self.lock();
        let error = match &inner.record.settled {
            Some(Settled::Failed(why)) => Some(why.clone()),
            Some(Settled::Finished) | None => inner.error.clone(),
        };
        let is_active = matches!(inner.run, Run::Active(_));
        JobInfo {
            name: self.name.to_string(),
            state: inner.state(),
            desired: inner.record.desired,
            version: inner.record.version,
            error,
            failures: inner.failures,
            parallelism: inner.record.parallelism,
            memory_bytes: if is_active { inner.memory.bytes() as u64 } else { 0 },
            created_ms: inner.record.created_ms,
            submitted_ms: inner.record.submitted_ms,
            read_by: Vec::new(),
            metrics: inner.current_metrics().map(|m| (&*m).into()),
        }
    }

    /// Looks at the job and does what comes next. `share` is the memory that it may use from now
    /// on, where its program does not want less.
    pub(super) fn tick(self: &Arc<Self>, host: &Host, share: usize) -> Presence {
        let mut inner = self.lock();
        let said = inner.graph.as_ref().map_or(None, |g| Deployment::of(&g.settings).memory);
        inner.memory.set(said.map_or(share, |most| most.min(share)));
        let before = inner.state();
        let presence = self.look(&mut inner, host);
        if host.is_closing() {
            inner.rest();
        } else if presence == Presence::Here {
            match next(&inner.record, inner.activity()) {
                Step::Rest => {}
                Step::Start => self.start(&mut inner, host),
                Step::Stop => inner.stop(),
                Step::GiveUpWaiting => inner.run = Run::Idle,
                Step::Drop => self.begin_drop(&mut inner, host),
            }
        }
        let after = inner.state();
        drop(inner);
        // A job that rests because the server closes is about to start, with the next server.
        if before != after && !(host.is_closing() && after == State::Starting) {
            self.tell(after);
        }
        if presence == Presence::Gone {
            host.book.forget(self.name.as_str());
        }
        presence
    }

    fn tell(&self, state: State) {
        let word = state.word();
        tracing::info!(job = %self.name, "job {}: {word}", self.name);
        self.logs.add("INFO", word);
        self.has_changed();
    }

    /// Sees what has happened by itself: the first commit, the end, the end of a drop.
    fn look(&self, inner: &mut Inner, host: &Host) -> Presence {
        match std::mem::replace(&mut inner.run, Run::Idle) {
            Run::Active(active) if active.handle.is_finished() => {
                inner.metrics = Some(active.handle.metrics());
                let version = active.version;
                let ended = active.handle.join();
                self.ended(inner, host, version, ended);
            }
            Run::Active(mut active) => {
                if !active.commits && active.handle.metrics().epochs.get() > 0 {
                    active.commits = true;
                    (inner.failures, inner.error) = (0, None);
                    if inner.record.fresh && active.version == inner.record.version {
                        inner.record.fresh = false;
                        self.keep(inner, host);
                    }
                }
                inner.run = Run::Active(active);
            }
            Run::Dropping(thread) if thread.is_finished() => {
                let ended = thread.join().unwrap_or_else(|_| Err("dropping panicked".into()));
                let removed = ended.and_then(|()| {
                    host.store.remove(&self.name).map_err(|failure| failure.message)
                });
                match removed {
                    Ok(()) => {
                        self.has_changed();
                        return Presence::Gone;
                    }
                    Err(why) => {
                        inner.error = Some(format!("the job could not be dropped: {why}"));
                        inner.record.desired = Desired::Stopped;
                        self.keep(inner, host);
                    }
                }
            }
            other => inner.run = other,
        }
        Presence::Here
    }

    /// What becomes of a job whose run has ended.
    fn ended(
        &self,
        inner: &mut Inner,
        host: &Host,
        version: u32,
        ended: Result<Ended, RuntimeError>,
    ) {
        let is_current = version == inner.record.version;
        match ended {
            Ok(Ended::Stopped) => {}
            Ok(Ended::Finished | Ended::AlreadyFinished) if is_current => {
                inner.record.settled = Some(Settled::Finished);
                inner.record.fresh = false;
                self.keep(inner, host);
            }
            // The next version says itself that it has finished, or does more.
            Ok(Ended::Finished | Ended::AlreadyFinished) => {}
            Err(error) => {
                let text = error.to_string();
                tracing::warn!(job = %self.name, "job {} failed: {text}", self.name);
                self.logs.add("ERROR", &text);
                if is_current {
                    self.failed(inner, host, &error);
                }
            }
        }
    }

    fn failed(&self, inner: &mut Inner, host: &Host, error: &RuntimeError) {
        inner.failures = inner.failures.saturating_add(1);
        match wait_after(error, inner.failures, host.setup.restarts) {
            Some(wait) => {
                inner.error = Some(error.to_string());
                inner.run = Run::Waiting(Instant::now() + wait);
            }
            None => {
                inner.record.settled = Some(Settled::Failed(error.to_string()));
                self.keep(inner, host);
            }
        }
    }

    /// Writes the record down. The keeper goes on when that fails: what is in memory holds, and
    /// the next change writes it again.
    fn keep(&self, inner: &Inner, host: &Host) {
        if let Err(failure) = host.store.put(&self.name, &inner.record) {
            tracing::error!(job = %self.name, "job {}: {}", self.name, failure.message);
        }
    }

    fn start(&self, inner: &mut Inner, host: &Host) {
        let graph = match &inner.graph {
            Ok(graph) => JobGraph::clone(graph),
            Err(why) => {
                inner.record.settled = Some(Settled::Failed(why.clone()));
                self.keep(inner, host);
                return;
            }
        };
        let folder = host.state_folder(&self.name);
        let views = inner.views_of(&graph);
        let started = StateLock::take(&folder)
            .map_err(|failure| RuntimeError::external(failure.message))
            .and_then(|lock| {
                let views = views?;
                let mut config = Config::new(&folder);
                config.parallelism = Some(usize::from(inner.record.parallelism));
                config.memory = inner.memory.clone();
                config.store = Deployment::of(&graph.settings).store;
                config.fresh = inner.record.fresh;
                config.views = Some(views);
                let printer = Arc::new(LogPrinter(self.logs.clone()));
                let engine = host.setup.surroundings.engine.factory();
                let world = host.setup.surroundings.world(&graph, &folder, printer);
                Ok((start(graph, engine, config, world)?, lock))
            });
        match started {
            Ok((handle, lock)) => {
                inner.metrics = None;
                let version = inner.record.version;
                inner.run = Run::Active(Active {
                    handle,
                    version,
                    stopping: false,
                    commits: false,
                    _lock: lock,
                });
            }
            Err(error) => {
                self.logs.add("ERROR", &error.to_string());
                self.failed(inner, host, &error);
            }
        }
    }

    /// Takes the job's state away on a thread of its own, since that asks the log.
    fn begin_drop(&self, inner: &mut Inner, host: &Host) {
        let keeps_state = inner.record.desired == Desired::DroppedKeepingState;
        let folder = host.state_folder(&self.name);
        let graph = inner.graph.clone();
        let views = inner.views.take();
        let (surroundings, printer) =
            (host.setup.surroundings.clone(), Arc::new(LogPrinter(self.logs.clone())));
        let act = move || -> Result<(), String> {
            if let Some(kept) = views {
                kept.store.retire();
            }
            if keeps_state {
                return Ok(());
            }
            let lock = StateLock::take(&folder).map_err(|failure| failure.message)?;
            let graph = graph.map_err(|why| {
                format!("{why}; its state can only be kept: DELETE with state=keep")
            })?;
            let world = surroundings.world(&graph, &folder, printer);
            flow_runtime::job::forget(&graph, &folder, &world).map_err(|e| e.to_string())?;
            drop((world, lock));
            remove_folder(&folder)
        };
        match std::thread::Builder::new().name("drop".into()).spawn(act) {
            Ok(thread) => inner.run = Run::Dropping(thread),
            Err(e) => inner.error = Some(format!("no thread to drop the job: {e}")),
        }
    }
}

fn remove_folder(folder: &PathBuf) -> Result<(), String> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} cannot be removed: {e}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Inner {
    /// The views of the version that starts; those of another one let go of the store.
    fn views_of(&mut self, graph: &JobGraph) -> Result<Arc<Views>, RuntimeError> {
        let version = self.record.version;
        if let Some(kept) = &self.views {
            if kept.version == version {
                return Ok(kept.store.clone());
            }
            kept.store.retire();
        }
        let store = Arc::new(Views::new(graph)?);
        let offer = Offer::of(graph, version, &store);
        self.views = Some(Kept { version, store: store.clone(), offer });
        Ok(store)
    }

    /// A wish that begins anew: earlier failures no longer count.
    pub(super) fn forgive(&mut self) {
        (self.failures, self.error) = (0, None);
    }

    /// Whether nothing of it runs.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.run, Run::Idle)
    }

    fn activity(&self) -> Activity {
        match &self.run {
            Run::Idle => Activity::Idle,
            Run::Active(active) => {
                Activity::Active { version: active.version, stopping: active.stopping }
            }
            Run::Waiting(until) => Activity::Waiting { due: Instant::now() >= *until },
            Run::Dropping(_) => Activity::Dropping,
        }
    }

    fn stop(&mut self) {
        if let Run::Active(active) = &mut self.run {
            active.handle.stop();
            active.stopping = true;
        }
    }

    /// Ends what runs, without another wish: the server closes.
    fn rest(&mut self) {
        match &mut self.run {
            Run::Active(active) if !active.stopping => self.stop(),
            Run::Waiting(_) => self.run = Run::Idle,
            Run::Active(_) | Run::Dropping(_) | Run::Idle => {}
        }
    }

    /// Whether this version is to run.
    fn wants(&self, version: u32) -> bool {
        let is_current = self.record.version == version && self.record.settled.is_none();
        is_current && self.record.desired == Desired::Running
    }

    pub(super) fn state(&self) -> State {
        let is_dropped =
            matches!(self.record.desired, Desired::Dropped | Desired::DroppedKeepingState);
        match (&self.run, &self.record.settled) {
            (Run::Dropping(_), _) => State::Dropping,
            _ if is_dropped => State::Dropping,
            // Another version, or none, is wanted: the keeper is about to stop it.
            (Run::Active(active), _) if active.stopping || !self.wants(active.version) => {
                State::Stopping
            }
            (Run::Active(active), _) if active.commits => State::Running,
            (Run::Active(_), _) => State::Starting,
            (Run::Waiting(_), _) => State::Waiting,
            (Run::Idle, Some(Settled::Failed(_))) => State::Failed,
            (Run::Idle, Some(Settled::Finished)) => State::Finished,
            (Run::Idle, None) => match self.record.desired {
                Desired::Running => State::Starting,
                Desired::Paused => State::Paused,
                Desired::Stopped => State::Stopped,
                Desired::Dropped | Desired::DroppedKeepingState => State::Dropping,
            },
        }
    }

    fn current_metrics(&self) -> Option<Arc<Metrics>> {
        match &self.run {
            Run::Active(active) => Some(active.handle.metrics()),
            Run::Idle | Run::Waiting(_) | Run::Dropping(_) => self.metrics.clone(),
        }
    }
}

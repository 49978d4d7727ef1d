//! A running job: attempts, one after the other, until it ends, is stopped, or cannot go on.

mod assign;
mod attempt;
mod begun;
mod discovery;
mod first;
mod floor;
mod follow;
mod lost;
mod outputs;
mod read_views;
mod restore;
mod start;
mod versions;

use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use flow_ir::kernel::KernelFactory;
use flow_ir::physical::JobGraph;

use attempt::{Attempt, Control};
use outputs::Written;

pub use assign::reads_standard_input;
pub use attempt::Ended;
pub(crate) use restore::LocalPosition;
pub use versions::{StateChange, compare, forget};

pub(crate) use crate::connect::file::FileSink;

use crate::config::{Config, RESTART_WAIT, RESTART_WAIT_MAX, RESTARTS_MAX};
use crate::error::{Result, Retry, RuntimeError};
use crate::metrics::Metrics;
use crate::view::Views;
use crate::world::World;

/// A job that was started.
pub struct JobHandle {
    control: Arc<Control>,
    metrics: Arc<RwLock<Arc<Metrics>>>,
    views: Arc<Views>,
    thread: Option<JoinHandle<Result<Ended>>>,
}

/// Starts a job on a thread of its own.
///
/// # Errors
/// If the graph breaks a rule, or no thread can be made. Everything else is reported by `join`.
pub fn start(
    graph: JobGraph,
    factory: Arc<dyn KernelFactory>,
    config: Config,
    world: World,
) -> Result<JobHandle> {
    flow_ir::physical::verify(&graph).map_err(|e| RuntimeError::internal(e.to_string()))?;
    let graph = Arc::new(graph);
    let control = Arc::new(Control::default());
    let metrics = Arc::new(RwLock::new(Arc::new(Metrics::new(&graph))));
    let (shared, shown) = (control.clone(), metrics.clone());
    let views = match config.views.clone() {
        Some(views) => views,
        None => Arc::new(Views::new(&graph)?),
    };
    let of_job = views.clone();
    // What the job's threads log can be told from what other jobs of the process log.
    let span = tracing::info_span!("job", job = %graph.name);
    let thread = std::thread::Builder::new()
        .name("job".into())
        .spawn(move || {
            span.in_scope(|| supervise(&graph, &factory, &config, &world, &shared, &shown, &of_job))
        })
        .map_err(|e| RuntimeError::external(format!("no thread for the job: {e}")))?;
    Ok(JobHandle { control, metrics, views, thread: Some(thread) })
}

/// Asks a job to end, while someone else waits for its end.
#[derive(Clone)]
pub struct Stopper(Arc<Control>);

impl Stopper {
    /// As `JobHandle::stop`.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl JobHandle {
    /// Stops the job from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.control.clone())
    }

    /// Asks the job to finish and commit its epoch, and to end.
    pub fn stop(&self) {
        self.control.stop();
    }

    /// What the job counts now. Counters begin anew with each attempt.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// The job's views.
    pub fn views(&self) -> &Arc<Views> {
        &self.views
    }

    /// Whether the job has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Why the job could not go on.
    pub fn join(mut self) -> Result<Ended> {
        let thread = self.thread.take().expect("a handle is joined once");
        thread.join().unwrap_or_else(|_| Err(RuntimeError::internal("the job panicked")))
    }
}

/// Runs attempts until one ends well, or none can.
fn supervise(
    graph: &Arc<JobGraph>,
    factory: &Arc<dyn KernelFactory>,
    config: &Config,
    world: &World,
    control: &Arc<Control>,
    shown: &Arc<RwLock<Arc<Metrics>>>,
    views: &Arc<Views>,
) -> Result<Ended> {
    let started_ms = world.clock.monotonic_ms();
    let (mut failures, mut wait, mut restarts) = (0, RESTART_WAIT, 0);
    // What came from standard input is gone: such a job starts anew, and only once.
    let once = reads_standard_input(graph);
    let mut fresh = config.fresh || once;
    let written = &Written::default();
    loop {
        let attempt = Attempt {
            graph,
            factory,
            config,
            world,
            control,
            views,
            written,
            shown,
            started_ms,
            restarts,
            fresh,
        };
        let error = match attempt.run() {
            Ok(ended) => return Ok(ended),
            Err(error) => error,
        };
        let metrics = shown.read().unwrap_or_else(|e| e.into_inner()).clone();
        if metrics.epochs.get() > 0 {
            (failures, wait, fresh) = (0, RESTART_WAIT, false);
        }
        failures += 1;
        restarts += 1;
        let in_vain = error.retry == Retry::Never || failures > RESTARTS_MAX;
        if once || in_vain || control.is_stopping() {
            return Err(error);
        }
        world.printer.restart(&error);
        pause(wait, control);
        wait = (wait * 2).min(RESTART_WAIT_MAX);
    }
}

/// Waits, unless the job is asked to stop.
fn pause(wait: Duration, control: &Control) {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = wait;
    while !left.is_zero() && !control.is_stopping() {
        let step = left.min(STEP);
        std::thread::sleep(step);
        left -= step;
    }
}

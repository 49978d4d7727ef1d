//! A query over streams: a job of its own that keeps nothing. Its epochs go into a log in memory,
//! its state into a temporary folder; both go with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use flow_ir::physical::{JobGraph, Stream};
use flow_runtime::connect::Log;
use flow_runtime::connect::local::LocalLog;
use flow_runtime::view::{Step, Subscription, SubscriptionEnd, Views};
use flow_runtime::world::{Clock, Logs, Printer, World};
use flow_runtime::{Config, Ended as JobEnd, Memory, RuntimeError, Stopper, start};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::answer::{Answer, Changes, Column, Position, Shown};
use super::compile::Compiled;
use super::follow::Ended;
use super::once::{arrangement, fields, too_many};
use super::{ANSWER_ROWS_MAX, QUERY_MEMORY_BYTES, Unanswered};
use crate::world::Surroundings;

/// An epoch of such a job is cut after this time: rows are shown as they come.
const COMMIT_INTERVAL_MS: u64 = 50;

/// Counts queries: each has a name of its own.
static ASKED: AtomicU64 = AtomicU64::new(1);

/// A query over streams, while it runs.
pub struct Live {
    job: String,
    subscription: Subscription,
    ended: oneshot::Receiver<Result<JobEnd, RuntimeError>>,
    over: Option<Result<JobEnd, RuntimeError>>,
    shown: Shown,
    /// Stops the job when nobody asks any more.
    _job: Running,
}

struct Running {
    stopper: Stopper,
    _folder: Arc<TempDir>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}

impl Live {
    /// Starts a query that reads only streams. `bounded`: it ends where the streams end now.
    ///
    /// # Errors
    /// If it reads views too, or cannot be started.
    pub fn start(
        compiled: &Compiled,
        surroundings: &Surroundings,
        bounded: bool,
    ) -> Result<Self, Unanswered> {
        if !compiled.reads.is_empty() {
            return Err(Unanswered::Refused(
                "a query reads views or streams, not both".into(),
                Some("Join them in a materialized view, and ask that.".into()),
            ));
        }
        let mut graph = JobGraph::clone(&compiled.graph);
        graph.name = format!("query-{}", ASKED.fetch_add(1, Ordering::Relaxed));
        graph.settings.commit_interval_ms = COMMIT_INTERVAL_MS;
        if bounded {
            for stream in graph.streams.iter_mut().filter(|s| s.connector == "kafka") {
                let mode = stream.options.entry("scan.bounded.mode".into()).or_default();
                if mode.is_empty() || mode == "unbounded" {
                    *mode = "latest-offset".into();
                }
            }
        }
        let folder = tempfile::Builder::new().prefix("flow-query-").tempdir();
        let folder = folder.map_err(|e| {
            Unanswered::NotNow(format!("no temporary folder for the query's state: {e}"))
        })?;
        let folder = Arc::new(folder);
        let world = surroundings.world(&graph, folder.path(), Arc::new(Silent));
        let logs = Arc::new(Forgetful { home: Arc::new(LocalLog::memory()), streams: world.logs });
        let clock = Arc::new(NotBefore { at: compiled.asked_at, clock: world.clock });
        let world = World { logs, clock, ..world };
        let views = Arc::new(Views::new(&graph)?);
        let answer = (0..views.specs().len()).collect::<Vec<_>>();
        let subscription = views.resume(&answer, 0)?;
        let mut config = Config::new(folder.path());
        config.parallelism = Some(1);
        config.memory = Memory::new(QUERY_MEMORY_BYTES);
        config.views = Some(views);
        let job = graph.name.clone();
        let handle = start(graph, surroundings.engine.factory(), config, world)?;
        let (stopper, kept) = (handle.stopper(), folder.clone());
        let (over, ended) = oneshot::channel();
        let waiting = std::thread::Builder::new().name("query".into()).spawn(move || {
            let _ = over.send(handle.join());
            drop(kept);
        });
        waiting.map_err(|e| Unanswered::NotNow(format!("no thread for the query: {e}")))?;
        let shown = Shown::new(&fields(compiled), compiled.query.columns.len())?;
        let running = Running { stopper, _folder: folder };
        Ok(Self { job, subscription, ended, over: None, shown, _job: running })
    }

    /// The columns of its rows.
    pub fn columns(&self) -> &[Column] {
        &self.shown.columns
    }

    /// The next changes; `None` when all streams have ended.
    ///
    /// # Errors
    /// Why there are no more.
    pub async fn next(&mut self) -> Result<Option<Changes>, Ended> {
        let Some(step) = self.step().await? else { return Ok(None) };
        let mut changes = Vec::new();
        for (_, rows) in &step.changes {
            changes.extend(self.shown.rows(rows).map_err(Ended::Failed)?);
        }
        let at = vec![Position::of(&self.job, &step.at)];
        Ok(Some(Changes { changes, at }))
    }

    async fn step(&mut self) -> Result<Option<Step>, Ended> {
        if self.over.is_none() {
            let over = tokio::select! {
                biased;
                step = self.subscription.next() => match step {
                    Ok(step) => return Ok(Some(step)),
                    Err(SubscriptionEnd::TooSlow) => return Err(Ended::TooSlow),
                    // The job has let go of everything: how it ended follows.
                    Err(SubscriptionEnd::Gone) => (&mut self.ended).await,
                },
                over = &mut self.ended => over,
            };
            let panicked = || Err(RuntimeError::internal("the query panicked"));
            self.over = Some(over.unwrap_or_else(|_| panicked()));
        }
        if let Some(step) = self.subscription.try_next() {
            return Ok(Some(step));
        }
        match &self.over {
            Some(Err(error)) => Err(Ended::Failed(error.clone().into())),
            Some(Ok(JobEnd::Finished | JobEnd::Stopped | JobEnd::AlreadyFinished)) | None => {
                Ok(None)
            }
        }
    }

    /// All rows of a query whose streams end, arranged.
    ///
    /// # Errors
    /// See `Unanswered`.
    pub async fn collect(
        mut self,
        compiled: &Compiled,
        deadline: Instant,
    ) -> Result<Answer, Unanswered> {
        let began = Instant::now();
        let arrangement = arrangement(compiled);
        let mut all: Option<flow_ir::row::BatchBuilder> = None;
        let enough = match (arrangement.order.is_empty(), arrangement.limit) {
            (true, Some(limit)) => usize::try_from(limit.saturating_add(arrangement.offset)).ok(),
            (true | false, _) => None,
        };
        let mut appends = true;
        loop {
            let step = tokio::time::timeout_at(deadline.into(), self.step()).await;
            let step = step.map_err(|_| timed_out())?.map_err(|end| match end {
                Ended::Failed(why) => why,
                Ended::TooSlow | Ended::Gone => timed_out(),
            })?;
            let Some(step) = step else { break };
            for (_, rows) in &step.changes {
                appends &= rows.weights().is_none();
                let all = all
                    .get_or_insert_with(|| flow_ir::row::BatchBuilder::new(rows.layout().clone()));
                all.push_batch(rows);
            }
            let rows = all.as_ref().map_or(0, |all| all.len());
            if appends && enough.is_some_and(|enough| rows >= enough) {
                break;
            }
            if rows > ANSWER_ROWS_MAX {
                return Err(too_many(rows as u64));
            }
        }
        let rows = match all {
            Some(mut all) => {
                let rows = arrangement.arrange(&all.take(), ANSWER_ROWS_MAX as u64);
                let rows = self.shown.rows(&rows.map_err(too_many)?)?;
                rows.into_iter().map(|(_, row)| row).collect()
            }
            None => Vec::new(),
        };
        let elapsed_micros = began.elapsed().as_micros() as u64;
        Ok(Answer { columns: self.shown.columns.clone(), rows, at: Vec::new(), elapsed_micros })
    }
}

fn timed_out() -> Unanswered {
    Unanswered::TimedOut("the streams were not read to their end in time".into())
}

/// The streams' logs, and a home log that is forgotten.
struct Forgetful {
    home: Arc<dyn Log>,
    streams: Arc<dyn Logs>,
}

impl Logs for Forgetful {
    fn home(&self) -> flow_runtime::Result<Arc<dyn Log>> {
        Ok(self.home.clone())
    }

    fn of(&self, stream: &Stream) -> flow_runtime::Result<Arc<dyn Log>> {
        self.streams.of(stream)
    }
}

/// The clock of a question: where it began to read followed from when it was asked.
struct NotBefore {
    at: i64,
    clock: Arc<dyn Clock>,
}

impl Clock for NotBefore {
    fn now_micros(&self) -> i64 {
        self.clock.now_micros().max(self.at)
    }

    fn monotonic_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }
}

/// Nothing is printed: a query has an answer.
struct Silent;

impl Printer for Silent {
    fn line(&self, _: &str, _: &str) {}
}

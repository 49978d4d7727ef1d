//! Questions to the jobs of a server: what is offered, and how many are answered at once.

use std::sync::Arc;
use std::time::Instant;

use flow_ir::physical::JobGraph;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::jobs::Jobs;
use super::token::Token;
use crate::query::compile::Compiled;
use crate::query::follow::Follow;
use crate::query::streams::Live;
use crate::query::{Answer, Compiler, Offer, PATIENCE, Question, Unanswered, lookup, once};
use crate::world::Surroundings;

/// Queries that compute at once, for each core: more wait their turn.
const COMPUTING_PER_CORE: usize = 2;

/// Queries over streams that run at once: each is a job with threads and clients of its own.
const STREAM_QUERIES_MAX: usize = 64;

/// Asks the jobs of a server.
pub(in crate::server) struct Asker {
    compiler: Arc<Compiler>,
    surroundings: Surroundings,
    computing: Arc<Semaphore>,
    over_streams: Arc<Semaphore>,
}

/// An answer that goes on.
pub(in crate::server) enum Ongoing {
    /// Of views.
    Views(Box<Follow>),
    /// Of streams.
    Streams {
        /// The query.
        live: Box<Live>,
        /// Its place among those that run.
        _place: OwnedSemaphorePermit,
    },
}

impl Asker {
    /// Asks jobs in these surroundings.
    pub(in crate::server) fn new(surroundings: Surroundings) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            compiler: Arc::new(Compiler::new(surroundings.registries())),
            surroundings,
            computing: Arc::new(Semaphore::new(cores * COMPUTING_PER_CORE)),
            over_streams: Arc::new(Semaphore::new(STREAM_QUERIES_MAX)),
        }
    }

    /// Everything that jobs offer.
    pub(in crate::server) fn offers(jobs: &Jobs) -> Vec<Offer> {
        jobs.all().iter().filter_map(|job| job.offer()).collect()
    }

    /// Answers a question once.
    ///
    /// # Errors
    /// See `Unanswered`.
    pub(in crate::server) async fn ask(
        &self,
        jobs: &Jobs,
        question: Question,
        at_least: Option<&Token>,
        deadline: Instant,
    ) -> Result<Answer, Unanswered> {
        let compiled = self.compile(jobs, question, deadline).await?;
        if compiled.query.subscribe {
            return Err(Unanswered::Refused(
                "a subscription has no end".into(),
                Some("Ask for it as a stream of events: POST /v1/query/stream.".into()),
            ));
        }
        if compiled.query.streams {
            let _permit = self.stream_permit()?;
            let live = Live::start(&compiled, &self.surroundings, true)?;
            return live.collect(&compiled, deadline).await;
        }
        wait_for(&compiled.reads, at_least, deadline).await?;
        self.compute(deadline, move || once::once(&compiled, deadline)).await
    }

    /// Answers a question that goes on, from its beginning or after an epoch.
    ///
    /// # Errors
    /// See `Unanswered`.
    pub(in crate::server) async fn follow(
        &self,
        jobs: &Jobs,
        question: Question,
        after: Option<u64>,
        deadline: Instant,
    ) -> Result<Ongoing, Unanswered> {
        let compiled = self.compile(jobs, question, deadline).await?;
        if compiled.query.streams {
            let place = self.stream_permit()?;
            let live = Box::new(Live::start(&compiled, &self.surroundings, false)?);
            return Ok(Ongoing::Streams { live, _place: place });
        }
        let start = move || Follow::start(&compiled, after, deadline);
        Ok(Ongoing::Views(Box::new(self.compute(deadline, start).await?)))
    }

    /// A program that reads a declared stream, for who writes to it.
    ///
    /// # Errors
    /// See `Unanswered`.
    pub(in crate::server) async fn declared(
        &self,
        declarations: String,
        stream: &str,
    ) -> Result<JobGraph, Unanswered> {
        let sql = format!("SELECT * FROM `{}`", stream.replace('`', "``"));
        let compiler = self.compiler.clone();
        let question = Question { declarations, sql };
        let deadline = Instant::now() + PATIENCE;
        let compiled = self.compute(deadline, move || compiler.compile(&question, &[])).await?;
        Ok(JobGraph::clone(&compiled.graph))
    }

    /// Rows of a view by the values of columns.
    ///
    /// # Errors
    /// See `Unanswered`.
    pub(in crate::server) async fn lookup(
        &self,
        offer: Offer,
        view: String,
        wanted: Vec<(String, String)>,
        limit: usize,
        (at_least, deadline): (Option<&Token>, Instant),
    ) -> Result<Answer, Unanswered> {
        wait_for(std::slice::from_ref(&offer), at_least, deadline).await?;
        let look = move || lookup::lookup(&offer, &view, &wanted, limit, deadline);
        self.compute(deadline, look).await
    }

    async fn compile(
        &self,
        jobs: &Jobs,
        question: Question,
        deadline: Instant,
    ) -> Result<Arc<Compiled>, Unanswered> {
        let (compiler, offers) = (self.compiler.clone(), Self::offers(jobs));
        self.compute(deadline, move || compiler.compile(&question, &offers)).await
    }

    fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Unanswered> {
        self.over_streams.clone().try_acquire_owned().map_err(|_| {
            Unanswered::NotNow(format!(
                "{STREAM_QUERIES_MAX} queries over streams run already; a materialized view \
                 answers any number"
            ))
        })
    }

    /// Computes on a thread for that, when it is its turn.
    async fn compute<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> Result<T, Unanswered> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let turn = tokio::time::timeout_at(deadline.into(), self.computing.clone().acquire_owned());
        let late = || Unanswered::TimedOut("the query did not get its turn in time".into());
        let turn = turn.await.map_err(|_| late())?.map_err(|_| late())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.unwrap_or_else(|_| Err(Unanswered::Internal("a query panicked".into())))
    }
}

async fn wait_for(
    offers: &[Offer],
    token: Option<&Token>,
    deadline: Instant,
) -> Result<(), Unanswered> {
    let Some(token) = token else { return Ok(()) };
    for offer in offers {
        offer.reached(token, deadline).await?;
    }
    Ok(())
}

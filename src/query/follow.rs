//! Rows, then what changes them: a query over views that goes on with the epochs of their jobs.

use std::time::Instant;

use flow_runtime::query::Query;
use flow_runtime::view::{Step, Subscription, SubscriptionEnd};
use flow_runtime::world::{Clock, SystemClock};
use flow_stdlib::interp::Interpreter;
use futures_util::future::select_all;

use super::answer::{Changes, Column, Position, Shown};
use super::compile::Compiled;
use super::once::{bind, feed, fields};
use super::{QUERY_MEMORY_BYTES, Unanswered};

/// Why no more changes come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The reader was too slow.
    TooSlow,
    /// The views are gone, or were made anew: ask again.
    Gone,
    /// The query failed.
    Failed(Unanswered),
}

/// A query that is followed.
pub struct Follow {
    running: Option<Running>,
    jobs: Vec<Followed>,
    columns: Vec<Column>,
    /// What there is before the first change.
    first: Option<Changes>,
}

/// What moves to the thread that computes a step.
struct Running {
    query: Query,
    shown: Shown,
}

/// A job that is followed.
struct Followed {
    subscription: Subscription,
    /// Sources of the query, and the views that they read.
    places: Vec<(usize, usize)>,
    at: Position,
}

impl Follow {
    /// Begins with the rows of the views' last epochs; or, with `after`, goes on behind an epoch
    /// that the reader has seen. What is of one moment ends with its rows. Computes on the caller's
    /// thread.
    ///
    /// # Errors
    /// See `Unanswered`.
    pub fn start(
        compiled: &Compiled,
        after: Option<u64>,
        deadline: Instant,
    ) -> Result<Self, Unanswered> {
        let now = SystemClock::default().now_micros();
        let mut query = Query::new(compiled.graph.clone(), &Interpreter, now, QUERY_MEMORY_BYTES)?;
        let of_a_moment = compiled.query.of_a_moment;
        let goes_on = query.is_stateless() && compiled.reads.len() == 1 && !of_a_moment;
        if after.is_some() && !goes_on {
            return Err(Unanswered::Refused(
                "only what filters and projects one job's views, without the current time, can \
                 go on after an epoch"
                    .into(),
                Some("Subscribe without an epoch: the snapshot comes first.".into()),
            ));
        }
        let mut jobs = Vec::new();
        for offer in &compiled.reads {
            let places = bind(&mut query, offer)?;
            let mut views: Vec<usize> = places.iter().map(|&(_, view)| view).collect();
            views.sort_unstable();
            views.dedup();
            if let Some(epoch) = after {
                let subscription = offer.store.resume(&views, epoch)?;
                let at = Position { job: offer.job.clone(), epoch, offsets: Vec::new() };
                jobs.push(Followed { subscription, places, at });
                continue;
            }
            let (at, subscription) = offer.store.subscribe(&views, |snapshot| {
                let fed = feed(&mut query, &places, snapshot, None, deadline);
                Ok(fed.map(|()| Position::of(&offer.job, snapshot.at())))
            })?;
            let at = at?;
            jobs.push(Followed { subscription, places, at });
        }
        let shown = Shown::new(&fields(compiled), compiled.query.columns.len())?;
        let columns = shown.columns.clone();
        let mut running = Running { query, shown };
        let first = match after {
            Some(_) => None,
            None => {
                let rows = running.query.step(now)?;
                let changes = running.shown.rows(&rows)?;
                Some(Changes { changes, at: jobs.iter().map(|job| job.at.clone()).collect() })
            }
        };
        if of_a_moment {
            jobs.clear();
        }
        Ok(Self { running: Some(running), jobs, columns, first })
    }

    /// The columns of its rows.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next changes; the first are the rows that there are. `None`: nothing changes them.
    ///
    /// # Errors
    /// Why there are no more.
    pub async fn next(&mut self) -> Result<Option<Changes>, Ended> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if self.jobs.is_empty() {
            return Ok(None);
        }
        loop {
            let waits = self.jobs.iter_mut().map(|job| Box::pin(job.subscription.next()));
            let (step, place, _) = select_all(waits).await;
            let step = step.map_err(|end| match end {
                SubscriptionEnd::TooSlow => Ended::TooSlow,
                SubscriptionEnd::Gone => Ended::Gone,
            })?;
            let job = &mut self.jobs[place];
            job.at = Position::of(&job.at.job, &step.at);
            let places = job.places.clone();
            // Without it an earlier step was given up half-way.
            let Some(mut running) = self.running.take() else { return Err(Ended::Gone) };
            let computed = tokio::task::spawn_blocking(move || {
                let changes = running.step(&step, &places);
                (running, changes)
            });
            let (running, changes) = computed.await.map_err(|_| {
                Ended::Failed(Unanswered::Internal("a step of the query panicked".into()))
            })?;
            self.running = Some(running);
            let changes = changes.map_err(Ended::Failed)?;
            if !changes.is_empty() {
                let at = self.jobs.iter().map(|job| job.at.clone()).collect();
                return Ok(Some(Changes { changes, at }));
            }
        }
    }
}

type Rows = Vec<(i64, Box<serde_json::value::RawValue>)>;

impl Running {
    /// What the changes of an epoch change in the answer.
    fn step(&mut self, step: &Step, places: &[(usize, usize)]) -> Result<Rows, Unanswered> {
        for (view, rows) in &step.changes {
            for &(source, _) in places.iter().filter(|(_, of)| of == view) {
                self.query.push(source, rows)?;
            }
        }
        let rows = self.query.step(SystemClock::default().now_micros())?;
        self.shown.rows(&rows)
    }
}

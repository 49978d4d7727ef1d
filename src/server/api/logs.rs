//! A job's log: the lines that are kept, or those and all that come, as server-sent events. A
//! reader that is too slow for the ring misses lines, which their numbers show.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiResult, NamedRefusals, Problem};
use super::{Path, Query, Shared};
use crate::server::jobs::Job;
use crate::server::logs::LogLine;
use crate::server::name::JobName;

/// Lines of one answer at most, if nothing is said.
const LINES: usize = 1_000;

/// A comment is sent this often, so that a reader that has gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Which lines are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct LogQuery {
    /// Only lines after this number.
    #[serde(default)]
    after: u64,
    /// The newest so many.
    lines: Option<usize>,
    /// Goes on with those that come, as server-sent events.
    #[serde(default)]
    follow: bool,
}

/// Lines of a job's log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogLines {
    /// The oldest first.
    pub lines: Vec<LogLine>,
}

/// The log of a job.
#[utoipa::path(get, path = "/v1/jobs/{name}/logs", tag = "jobs",
    params(("name" = String, Path, description = "The job"), LogQuery),
    responses(
        (status = 200, description = "Lines; with follow, events with a line each as JSON",
            content((LogLines = "application/json"), (String = "text/event-stream"))),
        (status = 503, description = "Too many follow already", body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn logs(
    State(app): Shared,
    Path(name): Path<JobName>,
    Query(query): Query<LogQuery>,
) -> ApiResult<Response> {
    let job = app.jobs.get(&name)?;
    let most = query.lines.unwrap_or(LINES);
    if !query.follow {
        let lines = job.logs.after(query.after, most);
        return Ok(Json(LogLines { lines }).into_response());
    }
    let permit = app.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::away("too many follow something already"))?;
    let events = follow(job, query.after, most, permit, app.closing.subscribe());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// What a follower holds.
struct Follower {
    job: Arc<Job>,
    news: watch::Receiver<u64>,
    seen: u64,
    lines: std::vec::IntoIter<LogLine>,
    closing: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

/// Events of a log, until the reader goes, the job is dropped or the server closes.
fn follow(
    job: Arc<Job>,
    after: u64,
    most: usize,
    permit: OwnedSemaphorePermit,
    closing: watch::Receiver<bool>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let lines = job.logs.after(after, most).into_iter();
    let news = job.logs.watch();
    let follower = Follower { job, news, seen: after, lines, closing, _permit: permit };
    stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(line) = follower.lines.next() {
                follower.seen = line.number;
                let event = Event::default().id(line.number.to_string());
                // A line is plain text and numbers.
                let event = event.json_data(&line).unwrap_or_default();
                return Some((Ok(event), follower));
            }
            let is_over = tokio::select! {
                changed = follower.news.changed() => changed.is_err(),
                _ = follower.closing.wait_for(|closing| *closing) => true,
            };
            follower.lines = follower.job.logs.after(follower.seen, usize::MAX).into_iter();
            if is_over && follower.lines.len() == 0 {
                return None;
            }
        }
    })
}

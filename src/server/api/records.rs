//! The records of a topic as server-sent events, shown as `flow topic consume` shows them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use flow_ir::kernel::Record;
use flow_runtime::connect::{Assignment, OffsetQuery, Reader};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc::{self, Sender};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiResult, NamedRefusals, Problem};
use super::{Path, Query, Shared, blocking};
use crate::payload::Shower;
use crate::server::App;

/// A comment is sent this often, so that a reader that has gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long one look for records waits; then it is seen whether anyone still reads.
const POLL: Duration = Duration::from_millis(200);

/// Records on their way to a client that has not taken them.
const WAITING_MAX: usize = 256;

/// Which records are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct RecordQuery {
    /// Where reading begins; the end if nothing is said.
    #[serde(default)]
    from: From,
    /// Goes on with records that come.
    #[serde(default)]
    follow: bool,
    /// So many at most.
    limit: Option<u64>,
}

/// Where reading a topic begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::server) enum From {
    /// With the first record that is there.
    Beginning,
    /// With the next one.
    #[default]
    End,
}

/// A record.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordShown {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// Its key: JSON where it can be read as that, else text.
    #[schema(value_type = Object)]
    pub key: Value,
    /// Its value, likewise; null is a tombstone.
    #[schema(value_type = Object)]
    pub value: Value,
}

/// The records of a topic: events `record` with a record each, then `end` or `error`.
#[utoipa::path(get, path = "/v1/topics/{name}/records", tag = "topics",
    params(("name" = String, Path, description = "The topic"), RecordQuery),
    responses(
        (status = 200, description = "Events with a record each", body = RecordShown,
            content_type = "text/event-stream"),
        (status = 422, body = Problem),
        (status = 503, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn records(
    State(app): Shared,
    Path(name): Path<String>,
    Query(query): Query<RecordQuery>,
) -> ApiResult<Response> {
    let permit = app.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::away("too many follow something already"))?;
    let (events, waiting) = mpsc::channel(WAITING_MAX);
    let closing = app.closing.subscribe();
    let opened = blocking({
        let app = app.clone();
        move || open(&app, &name, query.from)
    });
    let (mut reader, mut shower, ends) = opened.await?;
    let reading = move || {
        let told = read(&mut *reader, &ends, &query, &mut shower, &events, || *closing.borrow());
        let end = match told {
            Ok(reason) => event("end", &serde_json::json!({ "reason": reason })),
            Err(error) => event("error", &*ApiError::from(error).problem),
        };
        let _ = events.blocking_send(end);
        drop(permit);
    };
    std::thread::Builder::new()
        .name("records".into())
        .spawn(reading)
        .map_err(|e| ApiError::away(format!("no thread to read the topic: {e}")))?;
    let events = stream::unfold(waiting, |mut waiting| async move {
        waiting.recv().await.map(|event| (Ok::<_, Infallible>(event), waiting))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

type Opened = (Box<dyn Reader>, Shower, Vec<i64>);

fn open(app: &Arc<App>, topic: &str, from: From) -> ApiResult<Opened> {
    let log = app.topics.log()?;
    if log.topic(topic)?.is_none() {
        return Err(ApiError::missing("no_topic", format!("there is no topic {topic}")));
    }
    let ends = log.offsets(topic, OffsetQuery::End)?;
    let starts = match from {
        From::Beginning => log.offsets(topic, OffsetQuery::Earliest)?,
        From::End => ends.clone(),
    };
    let assigned = |(partition, &offset): (usize, &i64)| Assignment {
        topic: topic.to_string(),
        partition: partition as u32,
        offset,
    };
    let assignment: Vec<Assignment> = starts.iter().enumerate().map(assigned).collect();
    let registry = app.topics.surroundings.registries().get(None, &Default::default());
    // Without a registry records are shown as they are.
    Ok((log.reader(&assignment)?, Shower::new(registry.ok().flatten()), ends))
}

/// Reads until there is no more, nobody reads, or the server closes; says why it ended.
fn read(
    reader: &mut dyn Reader,
    ends: &[i64],
    query: &RecordQuery,
    shower: &mut Shower,
    to: &Sender<Event>,
    closes: impl Fn() -> bool,
) -> flow_runtime::Result<&'static str> {
    let mut left = query.limit.unwrap_or(u64::MAX);
    loop {
        if left == 0 {
            return Ok("limit");
        }
        if closes() {
            return Ok("server_closes");
        }
        let at_end = ends.iter().enumerate().all(|(p, end)| reader.position(p) >= *end);
        if to.is_closed() || (at_end && !query.follow) {
            return Ok("finished");
        }
        let Some(fetched) = reader.poll(POLL)? else { continue };
        let mut records: Vec<Record<'_>> = Vec::new();
        fetched.batch.records(&mut records);
        for record in records {
            let shown = RecordShown {
                partition: fetched.partition as u32,
                offset: record.offset,
                timestamp: record.timestamp.map(|micros| micros / 1_000),
                key: value(shower.show(record.key), record.key.is_none()),
                value: value(shower.show(record.value), record.value.is_none()),
            };
            if left == 0 || to.blocking_send(event("record", &shown)).is_err() {
                break;
            }
            left -= 1;
        }
    }
}

/// What is shown of a payload: JSON, else text.
fn value(shown: String, absent: bool) -> Value {
    match absent {
        true => Value::Null,
        false => serde_json::from_str(&shown).unwrap_or(Value::String(shown)),
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    // Records and problems are plain JSON.
    Event::default().event(name).json_data(data).unwrap_or_default()
}

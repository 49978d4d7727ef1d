//! Typed commands over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiResult, Problem, Refusals};
use super::{Body, Path, Query, Shared, blocking, json};
use crate::server::admit::admit;
use crate::server::commands::{KEY_BYTES_MAX, RECORDS_MAX, Written};
use crate::server::name::JobName;

/// The header that makes a request safe to repeat.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Which stream is meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct StreamQuery {
    /// The job whose stream it is, if several have one of this name.
    job: Option<String>,
}

/// One object, or several that are written together or not at all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(in crate::server) enum Objects {
    /// One record: a value for each column.
    #[schema(value_type = Object)]
    One(Map<String, Value>),
    /// Several, at most 1,000.
    #[schema(value_type = Vec<Object>)]
    Many(Vec<Map<String, Value>>),
}

/// Records that are written.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WriteResult {
    /// Where they stand: give it to a query as `at_least` to read what is written.
    pub token: String,
    /// How many.
    pub records: usize,
    /// Whether an earlier request with the same key had written them.
    pub repeated: bool,
}

/// Writes records to a stream of a running job.
#[utoipa::path(post, path = "/v1/streams/{name}", tag = "streams",
    params(
        ("name" = String, Path, description = "The stream, as the program names it"),
        StreamQuery,
        ("Idempotency-Key" = Option<String>, Header,
            description = "Records are written once per key, for a day"),
    ),
    request_body(content = Objects, content_type = "application/json"),
    responses(
        (status = 200, description = "They are written", body = WriteResult),
        (status = 400, body = Problem),
        (status = 404, description = "No job has such a stream", body = Problem),
        (status = 409, description = "No running job has it, or several mean different ones",
            body = Problem),
        (status = 413, body = Problem),
        (status = 422, description = "The records do not fit the stream", body = Problem),
        (status = 503, description = "The log is away", body = Problem),
        Refusals,
    ))]
pub(super) async fn write(
    State(app): Shared,
    Path(name): Path<String>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
    Body(body): Body,
) -> ApiResult<Json<WriteResult>> {
    let key = headers.get(IDEMPOTENCY_KEY).map(readable).transpose()?;
    let objects = match json(&body)? {
        Objects::One(object) => vec![object],
        Objects::Many(objects) => objects,
    };
    check_number(objects.len())?;
    blocking(move || {
        let jobs = match &query.job {
            None => app.jobs.all(),
            Some(job) => vec![app.jobs.get(&JobName::new(job).map_err(ApiError::bad_request)?)?],
        };
        let written = app.commands.write(&jobs, &name, &objects, key.as_deref())?;
        Ok(Json(WriteResult::of(&written, objects.len())))
    })
    .await
}

/// Records for a stream that declarations describe.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Declared {
    /// CREATE statements, the stream's among them.
    declarations: String,
    /// The stream, as it is declared.
    stream: String,
    /// Objects with a value for each column, 1 to 1,000.
    #[schema(value_type = Vec<Object>)]
    records: Vec<Map<String, Value>>,
}

/// Writes records to a stream that the request declares, whether or not a job has it. A topic that
/// is not there is made.
#[utoipa::path(post, path = "/v1/streams", tag = "streams",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Records are written once per key, for a day")),
    request_body(content = Declared, content_type = "application/json"),
    responses(
        (status = 200, description = "They are written", body = WriteResult),
        (status = 400, body = Problem),
        (status = 409, description = "The stream is no topic", body = Problem),
        (status = 413, body = Problem),
        (status = 422, description = "Mistakes, or records that do not fit", body = Problem),
        (status = 503, description = "The log is away", body = Problem),
        Refusals,
    ))]
pub(super) async fn write_declared(
    State(app): Shared,
    headers: HeaderMap,
    Body(body): Body,
) -> ApiResult<Json<WriteResult>> {
    let key = headers.get(IDEMPOTENCY_KEY).map(readable).transpose()?;
    let Declared { declarations, stream, records } = json(&body)?;
    check_number(records.len())?;
    let graph = app.asker.declared(declarations, &stream).await?;
    blocking(move || {
        let mut graph = graph;
        admit(&mut graph, app.files.as_deref())
            .map_err(|why| ApiError::refused("forbidden", why))?;
        let written = app.commands.write_to(&graph, &stream, &records, key.as_deref())?;
        Ok(Json(WriteResult::of(&written, records.len())))
    })
    .await
}

impl WriteResult {
    fn of(written: &Written, records: usize) -> Self {
        Self { token: written.token.to_string(), records, repeated: written.repeated }
    }
}

fn check_number(records: usize) -> ApiResult<()> {
    match (1..=RECORDS_MAX).contains(&records) {
        true => Ok(()),
        false => Err(ApiError::bad_request(format!("a request has 1 to {RECORDS_MAX} records"))),
    }
}

fn readable(key: &axum::http::HeaderValue) -> ApiResult<String> {
    let text = key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    text.map(str::to_string).ok_or_else(|| {
        ApiError::bad_request(format!(
            "an Idempotency-Key is 1 to {KEY_BYTES_MAX} printable ASCII characters"
        ))
    })
}

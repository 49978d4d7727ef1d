//! Errors of the API: a status, and a JSON object that says what happened and what to do.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flow_runtime::RuntimeError;
use flow_runtime::error::Who;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{self, RefOr};
use utoipa::{IntoResponses, ToSchema};

use crate::server::commands::{Failed, FailedKind};
use crate::server::jobs::Refused;
use crate::server::jobs::info::StateChanges;

/// Seconds after which a caller that was turned away may try again.
const RETRY_AFTER: &str = "1";

/// What a request that fails is answered with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// For programs: a word that does not change, such as `no_job`.
    pub code: String,
    /// For people: what happened.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Mistakes in a program, each at its place, as `flow check` shows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<String>,
    /// What a new version would do to the state of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<StateChanges>,
}

/// A request that fails.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// The body, boxed: answers that succeed should not carry its size.
    pub problem: Box<Problem>,
}

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error of this status, code and message.
    pub fn new(status: StatusCode, code: &str, message: impl ToString) -> Self {
        let problem = Problem {
            code: code.to_string(),
            message: message.to_string(),
            help: None,
            diagnostics: None,
            changes: None,
        };
        Self { status, problem: Box::new(problem) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl ToString) -> Self {
        self.problem.help = Some(help.to_string());
        self
    }

    /// Something that the request names is not there.
    pub fn missing(code: &str, message: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// A request that makes no sense.
    pub fn bad_request(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// A request that is understood, and whose content does not fit.
    pub fn refused(code: &str, message: impl ToString) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// A bug in Flow.
    pub fn internal() -> Self {
        let message = "the server failed; its log says how";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// A broker, a registry or the disk does not answer.
    pub fn away(message: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

/// How every request that takes a token may be refused: a part of the responses of its description.
pub(super) struct Refusals;

/// The same of one that names something in its path.
pub(super) struct NamedRefusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        refusals(&[
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
        ])
    }
}

impl IntoResponses for NamedRefusals {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let mut all = Refusals::responses();
        all.append(&mut refusals(&[StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND]));
        all
    }
}

fn refusals(statuses: &[StatusCode]) -> BTreeMap<String, RefOr<openapi::Response>> {
    let problem = openapi::Ref::from_schema_name("Problem");
    let content = openapi::ContentBuilder::new().schema(Some(problem)).build();
    let refusal = |status: &StatusCode| {
        let response = openapi::ResponseBuilder::new()
            .description(status.canonical_reason().unwrap_or_default())
            .content("application/json", content.clone())
            .build();
        (status.as_str().to_string(), response.into())
    };
    statuses.iter().map(refusal).collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&*self.problem)).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            // What is left of the request is not read.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoJob(name) => Self::missing("no_job", format!("there is no job {name}")),
            Refused::Dropping(name) => {
                Self::new(StatusCode::CONFLICT, "dropping", format!("job {name} is being dropped"))
            }
            Refused::OtherShards(was, is) => Self::new(
                StatusCode::CONFLICT,
                "other_shards",
                format!("the job has {was} shards, the program says {is}: they are fixed"),
            )
            .with_help(format!(
                "SET 'job.shards' = '{was}'; or submit it under another name, or with fresh=true, \
                 which forgets the job's position and state."
            )),
            Refused::LosesState(change) => {
                let changes = StateChanges::from(&change);
                let mut error = Self::new(StatusCode::CONFLICT, "loses_state", loss(&changes))
                    .with_help(
                        "Submit it with fresh=true, which forgets the job's position and state and \
                         reads the inputs from their beginning; or under another name.",
                    );
                error.problem.changes = Some(changes);
                error
            }
            Refused::IsRead(name, readers) => {
                let readers = readers.join(", ");
                let message = format!("the views of job {name} are read by {readers}");
                Self::new(StatusCode::CONFLICT, "is_read", message).with_help(format!(
                    "It can neither be dropped nor be started anew while they read it: drop \
                     {readers} first."
                ))
            }
            Refused::ReadsItself(why) => Self::refused("reads_itself", why)
                .with_help("Put both into one job, or let one of them write a topic."),
            Refused::NoSuchView(why) => Self::refused("no_view", why)
                .with_help("Compile the program anew: it then reads the view as it is now."),
            Refused::Disk(failure) => Self::away(failure.message),
        }
    }
}

/// What a change of program costs, in words.
fn loss(changes: &StateChanges) -> String {
    let mut parts = Vec::new();
    if !changes.lost.is_empty() {
        let lost: Vec<String> =
            changes.lost.iter().map(|l| format!("{} ({})", l.operator, l.reason)).collect();
        parts.push(format!("state is lost of {}", lost.join(", ")));
    }
    if !changes.added.is_empty() {
        parts.push(format!("there is no state yet for {}", changes.added.join(", ")));
    }
    if !changes.kept.is_empty() {
        parts.push(format!("state could be kept of {}", changes.kept.join(", ")));
    }
    format!("this program cannot go on where the job stopped: {}", parts.join("; "))
}

impl From<RuntimeError> for ApiError {
    fn from(error: RuntimeError) -> Self {
        let made = match error.who {
            Who::User => Self::refused("refused", &error.message),
            Who::External | Who::Internal | Who::Successor => Self::away(&error.message),
        };
        match error.help {
            Some(help) => made.with_help(help),
            None => made,
        }
    }
}

impl From<Failed> for ApiError {
    fn from(failed: Failed) -> Self {
        match failed.kind {
            FailedKind::Missing => Self::missing("no_stream", failed.message),
            FailedKind::Refused => Self::refused("refused", failed.message),
            FailedKind::Conflict => Self::new(StatusCode::CONFLICT, "conflict", failed.message),
            FailedKind::Away => Self::away(failed.message),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "bad_body", rejection.body_text())
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), "bad_body", rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

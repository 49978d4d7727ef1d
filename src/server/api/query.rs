//! Questions: SELECT over views and streams, and SUBSCRIBE, answered once or as they change.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiResult, NamedRefusals, Problem, Refusals};
use super::{Body, Query, Shared, json};
use crate::query::answer::Changes;
use crate::query::follow::Ended;
use crate::query::{Answer, Column, PATIENCE, Question, Unanswered};
use crate::server::App;
use crate::server::asker::Ongoing;
use crate::server::token::Token;

/// A comment is sent this often, so that a reader that has gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A question.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// One SELECT or SUBSCRIBE.
    pub sql: String,
    /// CREATE statements for the streams that it reads.
    #[serde(default)]
    pub declarations: String,
    /// The token of a write that the answer must reflect.
    #[serde(default)]
    pub at_least: Option<String>,
    /// How long to wait and to compute, milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Goes on after this epoch, instead of beginning with the rows that there are.
    #[serde(default)]
    pub after_epoch: Option<u64>,
}

/// A question in a URL, for WebSockets.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct AskedInUrl {
    /// One SELECT or SUBSCRIBE.
    sql: String,
    /// CREATE statements for the streams that it reads.
    #[serde(default)]
    declarations: String,
    /// Goes on after this epoch.
    after_epoch: Option<u64>,
}

impl Asked {
    fn question(&self) -> Question {
        Question { declarations: self.declarations.clone(), sql: self.sql.clone() }
    }

    fn deadline(&self, app: &App) -> Instant {
        deadline(self.timeout_ms, app)
    }
}

/// When whoever asks will wait no longer.
pub(super) fn deadline(timeout_ms: Option<u64>, app: &App) -> Instant {
    let asked = timeout_ms.map_or(PATIENCE, Duration::from_millis);
    // A little less than the server gives the request, so that it is told why.
    let most = app.limits.patience().mul_f64(0.9);
    Instant::now() + asked.min(most)
}

/// Reads the token of a write.
pub(super) fn token(text: Option<&str>) -> ApiResult<Option<Token>> {
    text.map(Token::parse).transpose().map_err(ApiError::bad_request)
}

/// Asks once.
#[utoipa::path(post, path = "/v1/query", tag = "queries", request_body = Asked,
    responses(
        (status = 200, description = "The answer", body = Answer),
        (status = 400, description = "The question has mistakes", body = Problem),
        (status = 404, body = Problem),
        (status = 413, body = Problem),
        (status = 422, body = Problem),
        (status = 503, body = Problem),
        (status = 504, description = "It took too long, or the token was not reached",
            body = Problem),
        Refusals,
    ))]
pub(super) async fn ask(State(app): Shared, Body(body): Body) -> ApiResult<Json<Answer>> {
    let asked: Asked = json(&body)?;
    let token = token(asked.at_least.as_deref())?;
    let deadline = asked.deadline(&app);
    Ok(Json(app.asker.ask(&app.jobs, asked.question(), token.as_ref(), deadline).await?))
}

/// Asks, and goes on with what changes: server-sent events `columns`, `rows`, and in the end `end`
/// or `error`.
#[utoipa::path(post, path = "/v1/query/stream", tag = "queries", request_body = Asked,
    responses(
        (status = 200, description = "Events", body = String, content_type = "text/event-stream"),
        (status = 413, body = Problem),
        (status = 422, body = Problem),
        (status = 503, body = Problem),
        (status = 504, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn stream(State(app): Shared, Body(body): Body) -> ApiResult<Response> {
    let asked: Asked = json(&body)?;
    let following = following(&app, &asked).await?;
    let events = stream::unfold(following, |mut following| async move {
        let news = following.next().await?;
        let data = Event::default().event(news.name()).json_data(&news);
        // Rows and problems are plain JSON.
        Some((Ok::<_, Infallible>(data.unwrap_or_default()), following))
    });
    Ok(sse(events))
}

fn sse(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// The same over a WebSocket: messages are objects with one of `columns`, `changes`, `reason` and
/// `code`, as the events' data.
#[utoipa::path(get, path = "/v1/query/socket", tag = "queries", params(AskedInUrl),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 422, body = Problem),
        (status = 426, description = "Not a WebSocket request", body = Problem),
        (status = 503, body = Problem),
        (status = 504, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn socket(
    State(app): Shared,
    Query(asked): Query<AskedInUrl>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    let upgrade = upgrade.map_err(|rejection| {
        let status = match rejection.status() {
            StatusCode::UPGRADE_REQUIRED => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, "no_socket", rejection.body_text())
    })?;
    let AskedInUrl { sql, declarations, after_epoch } = asked;
    let asked = Asked { sql, declarations, after_epoch, ..Asked::default() };
    let following = following(&app, &asked).await?;
    Ok(upgrade.on_upgrade(move |socket| send(socket, following)))
}

async fn send(mut socket: WebSocket, mut following: Following) {
    loop {
        let news = tokio::select! {
            news = following.next() => news,
            said = socket.recv() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        let Some(news) = news else { break };
        let Ok(text) = serde_json::to_string(&news) else { break };
        if socket.send(Message::Text(text.into())).await.is_err() {
            return;
        }
    }
    let _ = socket.send(Message::Close(None)).await;
}

async fn following(app: &App, asked: &Asked) -> ApiResult<Following> {
    if asked.at_least.is_some() {
        return Err(ApiError::bad_request("at_least is for questions that are answered once"));
    }
    let permit = app.streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::away("too many follow something already"))?;
    let (question, deadline) = (asked.question(), asked.deadline(app));
    let ongoing = app.asker.follow(&app.jobs, question, asked.after_epoch, deadline).await?;
    Ok(Following {
        ongoing,
        stage: Stage::Columns,
        closing: app.closing.subscribe(),
        _permit: permit,
    })
}

/// An answer on its way to a reader.
struct Following {
    ongoing: Ongoing,
    stage: Stage,
    closing: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Columns,
    Rows,
    Over,
}

/// What a reader is told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum News {
    Columns { columns: Vec<Column> },
    Rows(Changes),
    End { reason: &'static str },
    Problem(Box<Problem>),
}

impl News {
    fn name(&self) -> &'static str {
        match self {
            News::Columns { .. } => "columns",
            News::Rows(_) => "rows",
            News::End { .. } => "end",
            News::Problem(_) => "error",
        }
    }
}

impl Following {
    /// What comes next; `None` after the end.
    async fn next(&mut self) -> Option<News> {
        match self.stage {
            Stage::Over => None,
            Stage::Columns => {
                self.stage = Stage::Rows;
                let columns = match &self.ongoing {
                    Ongoing::Views(follow) => follow.columns().to_vec(),
                    Ongoing::Streams { live, .. } => live.columns().to_vec(),
                };
                Some(News::Columns { columns })
            }
            Stage::Rows => {
                let ongoing = &mut self.ongoing;
                let changes = async {
                    match ongoing {
                        Ongoing::Views(follow) => follow.next().await,
                        Ongoing::Streams { live, .. } => live.next().await,
                    }
                };
                let news = tokio::select! {
                    changes = changes => match changes {
                        Ok(Some(changes)) => News::Rows(changes),
                        Ok(None) => News::End { reason: "finished" },
                        Err(Ended::TooSlow) => News::End { reason: "too_slow" },
                        Err(Ended::Gone) => News::End { reason: "gone" },
                        Err(Ended::Failed(why)) => News::Problem(ApiError::from(why).problem),
                    },
                    _ = self.closing.wait_for(|closing| *closing) => {
                        News::End { reason: "server_closes" }
                    }
                };
                if !matches!(news, News::Rows(_)) {
                    self.stage = Stage::Over;
                }
                Some(news)
            }
        }
    }
}

impl From<Unanswered> for ApiError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Mistakes(rendered) => {
                let mut error =
                    Self::new(StatusCode::BAD_REQUEST, "mistakes", "the question has mistakes");
                error.problem.diagnostics = Some(rendered);
                error
            }
            Unanswered::Refused(message, help) => {
                let error = Self::refused("refused", message);
                match help {
                    Some(help) => error.with_help(help),
                    None => error,
                }
            }
            Unanswered::Missing(message) => Self::missing("no_view", message),
            Unanswered::NotNow(message) => Self::away(message),
            Unanswered::TimedOut(message) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", message)
            }
            Unanswered::Internal(why) => {
                tracing::error!("a query failed: {why}");
                Self::internal()
            }
        }
    }
}

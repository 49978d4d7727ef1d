//! For whoever watches the server.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Shared;
use super::error::{Problem, Refusals};
use crate::server::metrics;

/// The media type of Prometheus' text.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether something holds.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, or `closing`.
    pub status: String,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/health", tag = "server", security(()), responses(
    (status = 200, description = "It does", body = Health), (status = 429, body = Problem),
))]
pub(super) async fn health() -> Json<Health> {
    Json(Health { status: "ok".into() })
}

/// Whether the server takes requests: it does from its first answer until it closes.
#[utoipa::path(get, path = "/ready", tag = "server", security(()), responses(
    (status = 200, description = "It does", body = Health), (status = 429, body = Problem),
    (status = 503, description = "It closes", body = Health),
))]
pub(super) async fn ready(State(app): Shared) -> (StatusCode, Json<Health>) {
    match *app.closing.borrow() {
        false => (StatusCode::OK, Json(Health { status: "ok".into() })),
        true => (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "closing".into() })),
    }
}

/// Everything that is counted, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "server", responses(
    (status = 200, description = "Prometheus' text", body = String, content_type = "text/plain"),
    Refusals,
))]
pub(super) async fn metrics(State(app): Shared) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS)], metrics::text(&app)).into_response()
}

//! The HTTP API: one file a resource. Routes and their description are one registration, so the
//! OpenAPI document at `/v1/openapi.json` is that of the code.
//!
//! | file | what |
//! | --- | --- |
//! | `guard` | who calls, may they, not too often, not too long; the audit log |
//! | `jobs` | submit, list, describe, pause, resume, stop, drop, plan, metrics |
//! | `logs` | a job's log, once or as server-sent events |
//! | `query`, `views` | questions, once or as they change; rows of views |
//! | `records` | the records of a topic |
//! | `streams` | typed commands |
//! | `topics`, `schemas` | what is in the log and the registry |
//! | `health` | for whoever watches the server: health, readiness, Prometheus |

pub mod error;
mod guard;
mod health;
pub mod jobs;
pub mod logs;
pub mod query;
pub mod records;
pub mod schemas;
pub mod streams;
pub mod topics;
pub mod views;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};
use serde::de::DeserializeOwned;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use error::{ApiError, ApiResult};

/// A path's parameters, refused as JSON.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(super) struct Path<T>(pub(super) T);

/// A query's parameters, refused as JSON.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(super) struct Query<T>(pub(super) T);

/// A body as it is, refused as JSON.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> ApiResult<Self> {
        Ok(Self(Bytes::from_request(request, state).await?))
    }
}

/// What handlers share.
pub(super) type Shared = axum::extract::State<Arc<App>>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Flow",
        description = "Jobs of a Flow server. Every request but those for health and this document \
                       takes a bearer token, unless the server has none and listens on loopback."
    ),
    components(schemas(error::Problem, jobs::StateOfDropped, records::From)),
    security(("token" = []))
)]
struct Document;

/// All routes, and what describes them.
fn described() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let mut document = Document::openapi();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    document
        .components
        .get_or_insert_default()
        .add_security_scheme("token", SecurityScheme::Http(bearer));
    let open = OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(openapi));
    let read = OpenApiRouter::new()
        .routes(routes!(health::metrics))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::plan))
        .routes(routes!(jobs::metrics))
        .routes(routes!(logs::logs))
        .routes(routes!(topics::list))
        .routes(routes!(topics::show))
        .routes(routes!(query::ask))
        .routes(routes!(query::stream))
        .routes(routes!(query::socket))
        .routes(routes!(records::records))
        .routes(routes!(views::list))
        .routes(routes!(views::rows))
        .routes(routes!(schemas::list))
        .routes(routes!(schemas::show))
        .route_layer(middleware::from_fn(guard::read));
    let write = OpenApiRouter::new()
        .routes(routes!(jobs::submit))
        .routes(routes!(jobs::pause))
        .routes(routes!(jobs::resume))
        .routes(routes!(jobs::stop))
        .routes(routes!(streams::write))
        .routes(routes!(streams::write_declared))
        .route_layer(middleware::from_fn(guard::write));
    let admin = OpenApiRouter::new()
        .routes(routes!(jobs::remove))
        .route_layer(middleware::from_fn(guard::admin));
    OpenApiRouter::with_openapi(document)
        .merge(open)
        .merge(read)
        .merge(write)
        .merge(admin)
        .split_for_parts()
}

/// The whole API.
pub fn router(app: Arc<App>) -> Router {
    let (routes, _) = described();
    routes
        .fallback(nothing)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(app.limits.body.0))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// The OpenAPI document of this server.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "server",
    security(()),
    responses((status = 200, description = "An OpenAPI 3.1 document", body = serde_json::Value))
)]
async fn openapi() -> Response {
    let (_, document) = described();
    Json(document).into_response()
}

async fn nothing() -> ApiError {
    ApiError::missing("no_such_path", "there is nothing at this path")
        .with_help("GET /v1/openapi.json lists what there is.")
}

async fn other_method() -> ApiError {
    let status = axum::http::StatusCode::METHOD_NOT_ALLOWED;
    ApiError::new(status, "no_such_method", "this path does not take this method")
}

/// Does what blocks on a thread for that.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> ApiResult<T> + Send + 'static,
) -> ApiResult<T> {
    tokio::task::spawn_blocking(act).await.unwrap_or_else(|_| Err(ApiError::internal()))
}

/// A JSON body.
fn json<T: DeserializeOwned>(body: &[u8]) -> ApiResult<T> {
    serde_json::from_slice(body)
        .map_err(|e| ApiError::bad_request(format!("the body is not what is expected: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_says_how_it_is_refused() {
        let (_, document) = described();
        let json = serde_json::to_value(&document).unwrap();
        let paths = json["paths"].as_object().unwrap();
        assert!(paths.len() >= 15, "{}", paths.len());
        let text = json.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(json.pointer(pointer).is_some(), "{pointer} is not there");
        }
        for (path, operations) in paths {
            for (method, operation) in operations.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                let open = operation["security"].as_array().is_some();
                assert!(open || responses.contains_key("401"), "{method} {path}");
            }
        }
    }
}

//! What stands before every handler: who calls, whether they may, how often and how long; and what
//! is noted of it.
//!
//! A server without tokens serves loopback only, and there only what no foreign web page can have
//! asked for: a browser on this machine sends the page's origin, or a host name that was made to
//! point here.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flow_runtime::TRACE;
use futures_util::FutureExt;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

use super::error::{ApiError, ApiResult};
use crate::server::App;
use crate::server::audit::Entry;
use crate::server::auth::{Caller, Scope};
use crate::traces;

/// Paths that need no token.
const OPEN: [&str; 3] = ["/health", "/ready", "/v1/openapi.json"];

/// The caller of a server without tokens.
const LOCAL: &str = "local";

/// Guards a request.
pub(super) async fn guard(
    State(app): State<Arc<App>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let address = address.ip().to_string();
    let span = span(&request, &address);
    traces::continue_trace(&span, request.headers());
    let (method, path) = (request.method().clone(), request.uri().to_string());
    let has_body = has_body(request.headers());
    let caller = admit(&app, &address, &request);
    let who = caller.as_ref().map_or("-".to_string(), |caller| caller.id.clone());
    let mut response =
        match caller.and_then(|caller| fits(&app, request.headers()).map(|()| caller)) {
            Err(error) => error.into_response(),
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                in_time(&app, request, next).instrument(span.clone()).await
            }
        };
    let status = response.status();
    if has_body && (status.is_client_error() || status.is_server_error()) {
        // Whoever was refused may not have been read to the end, and then the connection ends:
        // told, no client sends its next request into that.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    span.record("enduser.id", &who);
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let denied = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
    );
    if denied || !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS) {
        let (method, status) = (method.as_str(), status.as_u16());
        app.audit.note(&Entry { who: &who, address: &address, method, path: &path, status });
    }
    app.counts.answered(status.as_u16(), began.elapsed());
    response
}

/// The span of a request, named and described as OpenTelemetry does it. It ends with the head of
/// the answer.
fn span(request: &Request, address: &str) -> Span {
    let method = request.method().as_str();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let name = format!("{method} {route}");
    debug_span!(
        target: TRACE, parent: None, "request",
        otel.name = name.trim_end(), otel.kind = "server", otel.status_code = Empty,
        http.request.method = method, http.route = route, url.path = request.uri().path(),
        client.address = address, enduser.id = Empty, http.response.status_code = Empty
    )
}

/// Answers a request in the time that it has.
async fn in_time(app: &App, request: Request, next: Next) -> Response {
    let patience = app.limits.patience();
    let answered = async {
        // It is closed by nobody.
        let _permit = app.requests.acquire().await;
        // A panic is a bug, and this request's problem alone: its message is in the log.
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        answer.unwrap_or_else(|_| ApiError::internal().into_response())
    };
    tokio::time::timeout(patience, answered).await.unwrap_or_else(|_| {
        let message = format!("the request was not complete and answered in {patience:?}");
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message).into_response()
    })
}

/// Whether a request has more than its head.
fn has_body(headers: &HeaderMap) -> bool {
    let is_none = |length: &HeaderValue| length.as_bytes() == b"0";
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| !is_none(length))
}

/// Refuses a body that says at once that it is too large; one that does not is refused when it is.
fn fits(app: &App, headers: &HeaderMap) -> ApiResult<()> {
    let most = app.limits.body;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // Of what is no number nothing was read.
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > most.0 as u64 => {
            let message = format!("the body has {length} bytes, this server takes {most}");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
                .with_help("A larger one is allowed by body in [limits]."))
        }
        Some(_) | None => Ok(()),
    }
}

/// Who calls, if they may call now.
fn admit(app: &App, address: &str, request: &Request) -> ApiResult<Caller> {
    let now = Instant::now();
    if OPEN.contains(&request.uri().path()) {
        let anyone = Caller { id: "-".into(), scope: Scope::Read };
        return often(app, address, now).map(|()| anyone);
    }
    let failures = &app.failures;
    if !failures.may(address, now) {
        return Err(too_often("too many requests with a wrong token came from this address"));
    }
    let token = bearer(request.headers());
    let caller = match token {
        Some(token) => app.tokens.caller(token),
        None if app.loopback && app.tokens.all().is_empty() => {
            from_here(request.headers())?;
            Some(Caller { id: LOCAL.into(), scope: Scope::Admin })
        }
        None => None,
    };
    let Some(caller) = caller else {
        if token.is_some() {
            failures.take(address, now);
        }
        let message = match token {
            Some(_) => "this token is not known",
            None => "this server takes requests with a token only",
        };
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .with_help("Send Authorization: Bearer TOKEN; flow server token new makes a token."));
    };
    let of = if caller.id == LOCAL { address } else { &caller.id };
    often(app, of, now)?;
    Ok(caller)
}

fn often(app: &App, caller: &str, now: Instant) -> ApiResult<()> {
    match app.rates.take(caller, now) {
        true => Ok(()),
        false => Err(too_often("too many requests a second")),
    }
}

fn too_often(message: &str) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_often", message)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Refuses what a web page of another site may have asked for.
fn from_here(headers: &HeaderMap) -> ApiResult<()> {
    let text = |name| headers.get(name).map(|v: &header::HeaderValue| v.to_str().unwrap_or("?"));
    let host = text(header::HOST).is_none_or(is_loopback);
    let origin = text(header::ORIGIN)
        .is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| is_loopback(host)));
    match host && origin {
        true => Ok(()),
        false => {
            let message = "a server without tokens takes requests to localhost only";
            Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message))
        }
    }
}

/// Whether `HOST`, `HOST:PORT` or `[ADDRESS]:PORT` is this machine's loopback.
fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Routes that look.
pub(super) async fn read(request: Request, next: Next) -> Response {
    with_scope(Scope::Read, request, next).await
}

/// Routes that change something.
pub(super) async fn write(request: Request, next: Next) -> Response {
    with_scope(Scope::Write, request, next).await
}

/// Routes that lose something.
pub(super) async fn admin(request: Request, next: Next) -> Response {
    with_scope(Scope::Admin, request, next).await
}

async fn with_scope(needed: Scope, request: Request, next: Next) -> Response {
    match request
        .extensions()
        .get::<Caller>()
        .ok_or_else(ApiError::internal)
        .and_then(|caller| may(caller, needed))
    {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Whether a caller has a scope.
pub(super) fn may(caller: &Caller, needed: Scope) -> ApiResult<()> {
    match caller.scope >= needed {
        true => Ok(()),
        false => {
            let message =
                format!("this takes a token with the scope {needed}; yours has {}", caller.scope);
            Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_many_names() {
        for here in ["localhost", "localhost:80", "127.0.0.1:7878", "127.1.2.3", "[::1]:1", "[::1]"]
        {
            assert!(is_loopback(here), "{here}");
        }
        for there in ["example.org", "127.0.0.1.example.org:80", "10.0.0.1", "?", ""] {
            assert!(!is_loopback(there), "{there}");
        }
    }

    #[test]
    fn a_token_follows_its_scheme() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        headers.insert(header::AUTHORIZATION, "bearer  t".parse().unwrap());
        assert_eq!(bearer(&headers), Some("t"));
        headers.insert(header::AUTHORIZATION, "Basic t".parse().unwrap());
        assert_eq!(bearer(&headers), None);
    }
}

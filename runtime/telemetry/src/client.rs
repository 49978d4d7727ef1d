//! HTTP to the collector, by the client that the rest of Flow uses. It blocks: spans are sent from
//! a thread of their own.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
};
use ureq::Agent;

/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Sends requests to the collector.
#[derive(Debug)]
pub(crate) struct Client(Agent);

impl Client {
    /// With the time for a request that the environment gives.
    pub(crate) fn new() -> Self {
        let millis = |name| std::env::var(name).ok()?.parse().ok().map(Duration::from_millis);
        let time = millis(OTEL_EXPORTER_OTLP_TRACES_TIMEOUT)
            .or_else(|| millis(OTEL_EXPORTER_OTLP_TIMEOUT))
            .unwrap_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT);
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(time));
        Self(config.build().new_agent())
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let (head, mut body) = self.0.run(Request::from_parts(head, &body[..]))?.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(head, Bytes::from(body)))
    }
}

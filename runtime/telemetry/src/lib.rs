//! Spans of epochs, commits and requests, sent to an OpenTelemetry collector: OTLP over HTTP. The
//! code that makes the spans knows `tracing` alone; what is here turns them into traces.
//!
//! | module | what |
//! | --- | --- |
//! | `client` | how requests get to the collector |
//! | `worth` | which spans are worth sending |
//!
//! OpenTelemetry's integers are signed: an unsigned field would come out as text.
//!
//! Everything is said by OpenTelemetry's own environment variables: `OTEL_EXPORTER_OTLP_ENDPOINT`
//! (nothing is sent without it, or its variant for traces), `OTEL_EXPORTER_OTLP_HEADERS`,
//! `OTEL_EXPORTER_OTLP_TIMEOUT`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
//! `OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`. The protocol is `http/protobuf`.

mod client;
#[cfg(test)]
mod tests;
mod worth;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, SpanExporter,
    WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};
use ureq::http::HeaderMap;

use client::Client;
use worth::Worth;

/// Name of the service unless OTEL_SERVICE_NAME says another.
const SERVICE: &str = "flow";

/// A layer for a subscriber that takes spans.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The sending of spans. When it is dropped, those that wait are sent, and nothing more.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!("the last spans cannot be sent: {error}");
        }
    }
}

/// Whether the environment names a collector.
pub fn is_asked_for() -> bool {
    let says = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    says(OTEL_EXPORTER_OTLP_ENDPOINT) || says(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
}

/// What sends spans of a target to the collector that the environment names; `None` if it names
/// none.
///
/// # Errors
/// If what it says is not understood.
pub fn layer(target: &str) -> Result<Option<(SpanLayer, Traces)>, String> {
    if is_asked_for() { layer_to(target, None).map(Some) } else { Ok(None) }
}

/// What sends spans of a target to this address, or to that of the environment.
fn layer_to(target: &str, endpoint: Option<&str>) -> Result<(SpanLayer, Traces), String> {
    let mut exporter = SpanExporter::builder().with_http().with_http_client(Client::new());
    if let Some(endpoint) = endpoint {
        exporter = exporter.with_endpoint(endpoint);
    }
    let exporter = exporter.build().map_err(|e| format!("spans cannot be sent: {e}"))?;
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(SERVICE);
    }
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_span_processor(Worth(BatchSpanProcessor::builder(exporter).build()))
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SERVICE))
        .with_context_activation(false)
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(target, LevelFilter::DEBUG));
    Ok((Box::new(layer), Traces(provider)))
}

/// Makes a span part of the trace that a request's headers name, if they name one.
pub fn continue_trace(span: &tracing::Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    // Nobody takes the span: then there is nothing to do.
    let _ = span.set_parent(context);
}

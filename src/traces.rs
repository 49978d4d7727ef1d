//! Traces: spans of epochs, commits and requests for an OpenTelemetry collector, where the
//! environment names one. Built without the feature `otel`, none are sent, and that is told.

#[cfg(feature = "otel")]
mod sent {
    pub use flow_telemetry::{SpanLayer, Traces, continue_trace};

    /// What sends spans, if they are asked for.
    ///
    /// # Errors
    /// Why they cannot be sent.
    pub fn layer() -> Result<Option<(SpanLayer, Traces)>, String> {
        flow_telemetry::layer(flow_runtime::TRACE)
    }
}

#[cfg(not(feature = "otel"))]
mod sent {
    use axum::http::HeaderMap;
    use tracing_subscriber::{Layer, Registry};

    /// A layer for a subscriber that takes spans.
    pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

    /// The sending of spans: there is none.
    #[derive(Debug)]
    pub enum Traces {}

    /// Nothing.
    ///
    /// # Errors
    /// If spans are asked for.
    pub fn layer() -> Result<Option<(SpanLayer, Traces)>, String> {
        let variables = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        match variables.into_iter().find(|name| std::env::var_os(name).is_some()) {
            Some(name) => Err(format!(
                "{name} is set, and no span is sent: this flow was built without the feature otel"
            )),
            None => Ok(None),
        }
    }

    /// Nobody takes the span.
    pub fn continue_trace(_: &tracing::Span, _: &HeaderMap) {}
}

pub use sent::{SpanLayer, Traces, continue_trace, layer};

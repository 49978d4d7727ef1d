//! Which spans are worth sending. A job begins ten epochs a second, also while nothing comes: those
//! that committed nothing are left out. They have no children, so no trace is broken by it.

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use std::time::Duration;

/// The attribute of an epoch that says what became of it, and the value that is not sent.
const OUTCOME: &str = "flow.outcome";
const MERGED: &str = "merged";

/// Passes on what is worth it.
#[derive(Debug)]
pub(crate) struct Worth<P>(pub(crate) P);

impl<P: SpanProcessor> SpanProcessor for Worth<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.0.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        let is_merged =
            |a: &opentelemetry::KeyValue| a.key.as_str() == OUTCOME && a.value.as_str() == MERGED;
        if !span.attributes.iter().any(is_merged) {
            self.0.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

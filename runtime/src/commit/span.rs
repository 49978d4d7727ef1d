//! The spans of an epoch and its commit, for whoever traces. An epoch is a trace of its own: from
//! its beginning, over its computing and its wait for the commit before it, to its showing.

use tracing::field::Empty;
use tracing::{Span, debug_span};

use super::{Done, Epoch};
use crate::TRACE;
use crate::error::RuntimeError;

/// The span of an epoch that begins.
pub(crate) fn epoch_span(job: &str) -> Span {
    debug_span!(
        target: TRACE, parent: None, "epoch",
        flow.job = job, flow.epoch = Empty, flow.outcome = Empty,
        otel.status_code = Empty, otel.status_description = Empty
    )
}

/// The span of the commit of an epoch.
pub(super) fn commit_span(of: &Span, epoch: Epoch) -> Span {
    debug_span!(target: TRACE, parent: of, "commit", flow.epoch = epoch as i64)
}

/// Notes what became of an epoch.
pub(super) fn note_outcome(span: &Span, done: &Result<Done, RuntimeError>) {
    match done {
        Ok(Done::Committed(epoch)) => {
            span.record("flow.epoch", *epoch as i64);
            span.record("flow.outcome", "committed");
        }
        Ok(Done::Merged) => {
            span.record("flow.outcome", "merged");
        }
        Err(error) => {
            span.record("flow.outcome", "failed");
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", error.to_string());
        }
    }
}

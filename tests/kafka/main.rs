//! The tests that need a real Kafka broker or schema registry. They start and stop them themselves.

#[path = "../support/conformance.rs"]
mod conformance;
#[path = "../support/mod.rs"]
mod support;

mod infra;
mod job;
mod log;

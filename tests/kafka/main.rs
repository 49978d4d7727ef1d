//! The tests that need a real Kafka broker or schema registry. They start and stop them themselves.

#[path = "../support/command.rs"]
mod command;
#[path = "../support/conformance.rs"]
mod conformance;
#[path = "../support/full_disk.rs"]
mod full_disk;
#[path = "../support/growing.rs"]
mod growing;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/start_modes.rs"]
mod start_modes;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/survival.rs"]
mod survival;

mod crash;
mod disk;
mod formats;
mod infra;
mod job;
mod log;
mod lost;
mod modes;
mod outages;
mod partitions;
mod registry;
mod secure;
mod serving;
mod views;

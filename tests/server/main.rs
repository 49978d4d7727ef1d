//! `flow server` through the real binary: its API, what survives a kill, and what it refuses.

#[path = "../support/command.rs"]
mod command;
#[path = "../support/server.rs"]
mod server;

mod commands;
mod crowd;
mod deleted;
mod document;
mod exposition;
mod lifecycle;
mod limits;
mod memory;
mod metrics;
mod queries;
mod readers;
mod remote;
mod security;
mod tls;

use command::{Sandbox, canonical};
use server::{Answer, COPY, COUNTS, LOG, Server, clicks, try_until, until};

//! `flow repl` in a terminal, and behind a pipe. The terminal is a real pty with a terminal's
//! screen behind it; tests wait for what is on that screen, never for time.

mod editing;
mod local;
mod pipe;
#[path = "../support/terminal.rs"]
mod pty;
mod results;
mod server;

/// A stream that needs no registry.
const ORDERS: &str = "CREATE STREAM orders (id BIGINT, amount DOUBLE) WITH ('connector' = 'kafka', \
                      'topic' = 'orders', 'format' = 'json');";

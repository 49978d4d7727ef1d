//! Where the process's own log goes: to standard error, for people or as JSON. FLOW_LOG says what
//! is told, such as `info` or `kafka=debug`.

use std::io::IsTerminal;
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::server::config::LogFormat;
use crate::server::logs::{JobLayer, LogBook};

/// Warnings, or what FLOW_LOG says: for commands.
pub fn of_command() {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_ansi(colour)
        .with_env_filter(filter("warn"))
        .with_target(false)
        .without_time()
        .with_writer(|| crate::status::Stderr)
        .init();
}

/// What happens, or what FLOW_LOG says, with times: for a server. What jobs log is sorted to their
/// rings too.
pub fn of_server(format: LogFormat, book: Arc<LogBook>) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => Box::new(lines.with_ansi(colour)),
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter("info")))
        .with(JobLayer(book).with_filter(LevelFilter::INFO))
        .init();
}

/// Errors, or what FLOW_LOG says: for a server inside a shell, whose user is typing.
pub fn of_shell(book: Arc<LogBook>) {
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .without_time()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter("error")))
        .with(JobLayer(book).with_filter(LevelFilter::INFO))
        .init();
}

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_env("FLOW_LOG").unwrap_or_else(|_| EnvFilter::new(default))
}

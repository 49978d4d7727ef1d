//! Where the process's own log goes: to standard error, for people or as JSON; and its spans, to a
//! collector. FLOW_LOG says what is told, such as `info` or `kafka=debug`.

use std::io::IsTerminal;
use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::exit::{Failure, Result};
use crate::server::config::{LogConfig, LogFormat};
use crate::server::logs::{JobLayer, LogBook};
use crate::traces::{self, Traces};

/// The variable that says what is told.
const VARIABLE: &str = "FLOW_LOG";

/// What libraries tell at work is none of a user's business, unless it is asked for by name.
const LIBRARIES: &str = "cranelift_jit=warn,cranelift_codegen=warn";

/// Layers of a subscriber.
type Layers = Vec<Box<dyn Layer<Registry> + Send + Sync>>;

/// What is to be held until the process ends: spans that wait are sent when it is dropped.
#[must_use]
pub struct Logging(Option<Traces>);

impl Logging {
    /// Ends it.
    pub fn end(self) {
        drop(self.0);
    }
}

/// Warnings, or what FLOW_LOG says: for commands.
///
/// # Errors
/// If what FLOW_LOG says is not understood.
pub fn of_command() -> Result<Logging> {
    let lines = fmt::layer()
        .with_ansi(is_coloured())
        .with_target(false)
        .without_time()
        .with_writer(|| crate::status::Stderr);
    let (logging, _) = start(vec![Box::new(lines.with_filter(filter("warn")?))]);
    Ok(logging)
}

/// What happens, or what FLOW_LOG or else the settings say, with times: for a server. What jobs log
/// is sorted to their rings too.
///
/// # Errors
/// If what is to be told is not understood.
pub fn of_server(config: &LogConfig, book: Arc<LogBook>) -> Result<Logging> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Text => Box::new(lines.with_target(false).with_ansi(is_coloured())),
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
    };
    let filter = filter(config.level.as_deref().unwrap_or("info"))?;
    let (logging, problem) = start(vec![Box::new(lines.with_filter(filter)), of_jobs(book)]);
    if let Some(why) = problem {
        tracing::warn!("{why}");
    }
    Ok(logging)
}

/// Errors, or what FLOW_LOG says: for a server inside a shell, whose user is typing.
///
/// # Errors
/// If what FLOW_LOG says is not understood.
pub fn of_shell(book: Arc<LogBook>) -> Result<Logging> {
    let lines = fmt::layer()
        .with_target(false)
        .without_time()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    let lines = lines.with_filter(filter("error")?);
    let (logging, _) = start(vec![Box::new(lines), of_jobs(book)]);
    Ok(logging)
}

fn of_jobs(book: Arc<LogBook>) -> Box<dyn Layer<Registry> + Send + Sync> {
    let own = [("flow", LevelFilter::INFO), ("kafka", LevelFilter::INFO)];
    let told = Targets::new().with_default(LevelFilter::WARN).with_targets(own);
    Box::new(JobLayer(book).with_filter(told))
}

/// Starts with these layers, and with that for spans; and why there is none, though it is asked
/// for.
fn start(mut layers: Layers) -> (Logging, Option<String>) {
    let (traces, problem) = match traces::layer() {
        Ok(None) => (None, None),
        Ok(Some((layer, traces))) => {
            layers.push(layer);
            (Some(traces), None)
        }
        Err(why) => (None, Some(why)),
    };
    tracing_subscriber::registry().with(layers).init();
    (Logging(traces), problem)
}

fn is_coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// What the environment says is told, or this.
fn filter(default: &str) -> Result<EnvFilter> {
    let said = std::env::var(VARIABLE).ok().filter(|said| !said.is_empty());
    let (name, text) = match &said {
        Some(said) => (VARIABLE, said.as_str()),
        None => ("level in [log]", default),
    };
    EnvFilter::try_new(format!("{LIBRARIES},{text}"))
        .map_err(|e| Failure::usage(format!("{name} is not understood: {text}: {e}")))
}

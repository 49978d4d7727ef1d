//! `flow server`: many jobs in one process, and the API to them.
//!
//! | module | what | never |
//! | --- | --- | --- |
//! | `config` | `flow.toml` and the command line | guesses a key |
//! | `name` | names of jobs | lets a path through |
//! | `store` | jobs, versions and wishes on disk | leaves half a file |
//! | `jobs` | what runs, and what happens to it next | lets one job wait for another |
//! | `admit` | what programs of others may not do | |
//! | `asker` | questions to jobs, and how many at once | |
//! | `commands`, `token` | typed commands into streams, and where they stand | |
//! | `auth`, `audit`, `limits` | who, what, how much | keeps a token |
//! | `api`, `metrics`, `logs` | what is shown | shows a secret |
//! | `inside` | a server in its client's process | |
//! | `listen`, `tls` | connections | waits for a client for ever |
//!
//! Async tasks serve HTTP, and nothing else: whatever blocks is done on threads for that, and jobs
//! have threads of their own.

pub mod admit;
pub mod api;
mod asker;
pub mod audit;
pub mod auth;
pub mod commands;
pub mod config;
pub mod inside;
pub mod jobs;
pub mod limits;
mod listen;
pub mod logs;
pub mod metrics;
pub mod name;
pub mod store;
mod tls;
pub mod token;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow_runtime::connect::Log;
use flow_runtime::connect::kafka::{BOOTSTRAP_SERVERS, KafkaLog};
use flow_runtime::connect::local::{Access, Purpose};
use flow_runtime::error::RuntimeError;
use flow_runtime::world::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::clusters::properties_of_environment;
use crate::engine::Engine;
use crate::exit::{Failure, Result};
use crate::secrets::Secrets;
use crate::world::{Embedded, Surroundings};
use asker::Asker;
use audit::Audit;
use auth::Tokens;
use commands::Commands;
use config::{Config, LISTEN, Limits};
use jobs::{Jobs, Setup};
use limits::Rates;
use logs::LogBook;
use metrics::HttpCounts;
use store::Store;

/// State in memory of all jobs together, unless something else is said, bytes.
const MEMORY_BYTES: usize = 1 << 30;

/// Where a server keeps its data when nothing is said and topics are on Kafka.
const DATA: &str = ".flow";

/// Requests with a wrong token a second from one address, and at once: a typing mistake, no search.
const WRONG_TOKENS: (u32, u32) = (1, 20);

/// How often a signal is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// What the API works on.
pub struct App {
    /// The jobs.
    pub jobs: Jobs,
    commands: Commands,
    asker: Asker,
    topics: Topics,
    tokens: Tokens,
    audit: Audit,
    limits: Limits,
    rates: Rates,
    failures: Rates,
    counts: HttpCounts,
    requests: Semaphore,
    streams: Arc<Semaphore>,
    /// Whether only this machine can reach the server.
    loopback: bool,
    /// The folder in which jobs may use files.
    files: Option<PathBuf>,
    /// Turns true when the server closes.
    closing: watch::Sender<bool>,
}

/// The log of the server itself, for what is asked about topics; opened when first asked.
struct Topics {
    surroundings: Surroundings,
    open: Mutex<Option<Arc<dyn Log>>>,
}

impl Topics {
    fn log(&self) -> flow_runtime::Result<Arc<dyn Log>> {
        let embedded = self.surroundings.embedded.as_ref();
        if let Some(log) = embedded.and_then(|embedded| embedded.open.clone()) {
            return Ok(log);
        }
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(log) = &*open {
            return Ok(log.clone());
        }
        let mut properties = properties_of_environment();
        properties.extend(self.surroundings.kafka.clone());
        if !properties.contains_key(BOOTSTRAP_SERVERS) {
            return Err(RuntimeError::user("this server has no log of its own").with_help(
                "Start it with --local DIR, or set bootstrap.servers in [kafka] of flow.toml.",
            ));
        }
        let filled = self.surroundings.secrets.fill(&properties).map_err(RuntimeError::user)?;
        let log: Arc<dyn Log> = Arc::new(KafkaLog::open(&filled)?);
        *open = Some(log.clone());
        Ok(log)
    }
}

/// The folder of a server's data: as told, else that of the embedded log, else `.flow`.
pub fn data_folder(config: &Config) -> PathBuf {
    let told = config.data.clone().or_else(|| config.local.clone());
    told.unwrap_or_else(|| PathBuf::from(DATA))
}

/// Serves until a signal comes.
///
/// # Errors
/// If something that is needed at start cannot be had. What happens later is logged.
pub fn serve(config: Config, book: Arc<LogBook>) -> Result {
    let store = Store::open(&data_folder(&config))?;
    let tokens = Tokens::open(store.root())?;
    let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let asked = config.listen.clone().unwrap_or_else(|| LISTEN.to_string());
    let tcp = bind(&asked)?;
    let address = tcp.local_addr().map_err(Failure::failed)?;
    if tokens.all().is_empty() && !address.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "a server without tokens listens on loopback only, not on {asked}; make a token with \
             flow server token new, or listen on {LISTEN}"
        )));
    }
    // Held until the end: other processes go through it.
    let access = config.local.as_deref().map(open_log).transpose()?;
    let patience = config.limits.patience();
    let connections = config.limits.connections;
    let app = Arc::new(app(config, store, tokens, access.as_ref(), address, book)?);
    let closing = app.closing.subscribe();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listener = |tcp| listen::Listener { tcp, tls, connections, patience, closing };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        .build()
        .map_err(Failure::failed)?;
    crate::signals::on_interrupt();
    tracing::info!("listens on {scheme}://{address}");
    let served = runtime.block_on(async {
        let tcp = TcpListener::from_std(tcp).map_err(Failure::failed)?;
        let serving = tokio::spawn(listener(tcp).serve(api::router(app.clone())));
        while !crate::signals::interrupted() {
            tokio::time::sleep(LOOK).await;
        }
        tracing::info!("closes: jobs finish their epochs");
        app.closing.send_replace(true);
        let _ = serving.await;
        Ok(())
    });
    app.jobs.close();
    drop(access);
    served
}

fn bind(address: &str) -> Result<std::net::TcpListener> {
    let told = |e| Failure::failed(format!("the server cannot listen on {address}: {e}"));
    let tcp = std::net::TcpListener::bind(address).map_err(told)?;
    tcp.set_nonblocking(true).map_err(told)?;
    Ok(tcp)
}

fn open_log(folder: &Path) -> Result<(PathBuf, Access)> {
    Ok((folder.to_path_buf(), Access::open(folder, Purpose::Job)?))
}

/// Everything that requests are answered from; jobs that are to run start.
fn app(
    config: Config,
    store: Store,
    tokens: Tokens,
    access: Option<&(PathBuf, Access)>,
    address: SocketAddr,
    book: Arc<LogBook>,
) -> Result<App> {
    let embedded = access.map(|(folder, access)| Embedded {
        folder: folder.clone(),
        open: Some(access.log().clone()),
    });
    let surroundings = Surroundings {
        embedded,
        kafka: config.kafka,
        registry: config.registry.url,
        secrets: Secrets::with_folder(config.secrets.folder),
        guarded: true,
        engine: Engine::new(!config.jobs.jit),
    };
    let audit = Audit::open(store.root(), config.audit)?;
    let commands = Commands::new(surroundings.clone(), store.id());
    let asker = Asker::new(surroundings.clone());
    let topics = Topics { surroundings: surroundings.clone(), open: Mutex::default() };
    let setup = Setup {
        surroundings,
        memory_bytes: config.memory.map_or(MEMORY_BYTES, |size| size.0),
        parallelism: config.jobs.parallelism.clamp(1, 256),
        restarts: config.jobs.restarts,
        log_lines: config.jobs.log_lines,
    };
    let limits = config.limits;
    Ok(App {
        jobs: Jobs::open(store, setup, book)?,
        commands,
        asker,
        topics,
        tokens,
        audit,
        rates: Rates::new(limits.rate, limits.rate.saturating_mul(2)),
        failures: Rates::new(WRONG_TOKENS.0, WRONG_TOKENS.1),
        counts: HttpCounts::default(),
        requests: Semaphore::new(limits.requests.max(1)),
        streams: Arc::new(Semaphore::new(limits.streams)),
        loopback: address.ip().is_loopback(),
        files: config.jobs.files,
        closing: watch::Sender::new(false),
        limits,
    })
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemClock::default().now_micros() / 1_000
}

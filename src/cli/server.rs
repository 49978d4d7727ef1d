//! `flow server`, and the tokens of its data folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};

use super::{EngineArgs, say};
use crate::exit::Result;
use crate::server::auth::{self, Scope, Tokens};
use crate::server::config::{Config, LogFormat, Size};
use crate::server::logs::LogBook;
use crate::server::store::folder_of;
use crate::server::{data_folder, now_ms, serve};

/// The settings that are read when they are in the working folder.
const CONFIG: &str = "flow.toml";

/// Holds many jobs in one process, and serves an HTTP API to them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  flow server --local data\n  \
    KAFKA_BOOTSTRAP_SERVERS=HOST:9092 flow server --data /var/lib/flow\n  \
    flow server token new --scope write --data /var/lib/flow\n\n\
    Jobs, versions and states lie in the data folder and survive any end of the process.\n\
    Without a token the server listens on loopback only. Ctrl-C lets every job finish its epoch.")]
pub(super) struct ServerArgs {
    #[command(subcommand)]
    command: Option<ServerCommand>,
    #[command(flatten)]
    place: PlaceArgs,
    /// Address and port [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// State of all jobs kept in memory before it spills to disk, such as 4GB [default: 1GB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// How the log on standard error is written [default: text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Clone, Debug, Args)]
struct PlaceArgs {
    /// Settings; else flow.toml, if there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of jobs, tokens and states; else that of --local, else .flow
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the embedded log; else topics are on Kafka
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ServerCommand {
    /// Make, list and revoke tokens
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and show it, this once
    #[command(after_help = "Example:\n  flow server token new --scope write --note ci --data data")]
    New {
        /// What it allows: read looks; write also submits, pauses and writes to streams; admin also
        /// drops jobs and their state
        #[arg(long, value_enum)]
        scope: ScopeArg,
        /// Whose it is, or what for
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List tokens: ids, scopes and notes
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Take a token's rights away
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeArg {
    Read,
    Write,
    Admin,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Read => Scope::Read,
            ScopeArg::Write => Scope::Write,
            ScopeArg::Admin => Scope::Admin,
        }
    }
}

impl PlaceArgs {
    /// The settings, with what the command line says.
    fn config(&self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None if Path::new(CONFIG).exists() => Config::read(Path::new(CONFIG))?,
            None => Config::default(),
        };
        if self.data.is_some() {
            config.data.clone_from(&self.data);
        }
        if self.local.is_some() {
            config.local.clone_from(&self.local);
        }
        Ok(config)
    }

    /// The server's own folder.
    fn root(&self) -> Result<PathBuf> {
        Ok(folder_of(&data_folder(&self.config()?)))
    }
}

impl ServerArgs {
    /// Whether a server is started, which sets up its own log.
    pub(super) fn serves(&self) -> bool {
        self.command.is_none()
    }

    pub(super) fn run(self) -> Result {
        if let Some(ServerCommand::Token(command)) = self.command {
            return command.run();
        }
        let mut config = self.place.config()?;
        config.listen = self.listen.or(config.listen);
        config.memory = self.memory.or(config.memory);
        config.jobs.jit &= !self.engine.no_jit;
        config.log.format = self.log_format.unwrap_or(config.log.format);
        let book = Arc::new(LogBook::default());
        let logging = crate::logging::of_server(&config.log, book.clone())?;
        let served = serve(config, book);
        logging.end();
        served
    }
}

impl TokenCommand {
    fn run(self) -> Result {
        match self {
            TokenCommand::New { scope, note, place } => {
                let (record, token) = auth::create(&place.root()?, scope.into(), &note, now_ms())?;
                eprintln!(
                    "token {} with the scope {}; it is shown this once",
                    record.id, record.scope
                );
                say(&format!("{token}\n"))
            }
            TokenCommand::List { place } => {
                for record in Tokens::open(&place.root()?)?.all().iter() {
                    say(&format!("{}  {:<5}  {}\n", record.id, record.scope, record.note))?;
                }
                Ok(())
            }
            TokenCommand::Revoke { id, place } => auth::revoke(&place.root()?, &id),
        }
    }
}

//! `flow repl`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::jobs::RemoteArgs;
use crate::client::Client;
use crate::exit::{Failure, Result};
use crate::registries::Registries;
use crate::repl::{self, HttpServer};
use crate::server::inside::Inside;
use crate::server::logs::LogBook;

/// A shell for statements.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flow repl\n  flow repl --local data\n  \
    flow repl --server http://127.0.0.1:7878\n  flow repl --local data < statements.flow\n\n\
    Statements end with a semicolon; \\? lists commands, \\help statements. Ctrl-C stops a query,\n\
    Ctrl-D leaves. Without --local, --server, --context and FLOW_SERVER all topics, jobs and\n\
    states are in a temporary folder and gone at the end. From a pipe the first mistake ends it,\n\
    with exit code 1, unless \\set on_error continue.")]
pub(super) struct ReplArgs {
    /// Folder of the embedded log, its jobs and states; the server runs in this process
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "context"])]
    local: Option<PathBuf>,
    #[command(flatten)]
    at: RemoteArgs,
}

impl ReplArgs {
    pub(super) fn run(self) -> Result {
        let book = Arc::new(LogBook::default());
        let logging = crate::logging::of_shell(book.clone())?;
        let done = self.with(book);
        logging.end();
        done
    }

    fn with(self, book: Arc<LogBook>) -> Result {
        if self.local.is_none() && self.at.is_named() {
            let client = self.at.client()?;
            let place = format!("at {}", client.url());
            return shell(client, Registries::with_local(None), &place);
        }
        let temporary = match &self.local {
            Some(_) => None,
            None => {
                Some(tempfile::Builder::new().prefix("flow-repl-").tempdir().map_err(|e| {
                    Failure::failed(format!("there can be no temporary folder: {e}"))
                })?)
            }
        };
        let (folder, place) = match (&self.local, &temporary) {
            (Some(folder), _) => (folder.clone(), format!("on {}", folder.display())),
            (None, Some(folder)) => {
                let place = "on a temporary folder; --local DIR keeps what is done".to_string();
                (folder.path().to_path_buf(), place)
            }
            (None, None) => return Ok(()),
        };
        let inside = Inside::start(&folder, book)?;
        let client = Client::at(inside.url(), inside.token());
        let done = shell(client, Registries::with_local(Some(&folder)), &place);
        // Jobs finish their epochs before the folder goes.
        drop(inside);
        drop(temporary);
        done
    }
}

fn shell(client: Client, registries: Registries, place: &str) -> Result {
    let greeting = format!("Flow {} {place}. \\? helps.", env!("CARGO_PKG_VERSION"));
    repl::run(Arc::new(HttpServer::new(client)), registries, &greeting)
}

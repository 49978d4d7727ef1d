//! `flow query`: one question to a server, answered on standard output.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::jobs::{Format, RemoteArgs};
use crate::exit::{Failure, Result};
use crate::registries::Registries;
use crate::repl::{self, HttpServer};

/// Asks the jobs of a server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flow query 'SELECT * FROM totals WHERE customer_id = 7'\n  \
    flow query 'SUBSCRIBE TO totals' --format json\n  \
    flow query --declarations orders.flow 'SELECT * FROM orders LIMIT 10' --format csv\n\n\
    A query over views is answered from one epoch of each job. A query over streams needs their\n\
    declarations. SUBSCRIBE shows the rows, then their changes, until Ctrl-C.")]
pub(super) struct QueryArgs {
    /// SELECT or SUBSCRIBE
    sql: String,
    /// CREATE statements that stand before it
    #[arg(long, value_name = "FILE")]
    declarations: Option<PathBuf>,
    /// How
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    at: RemoteArgs,
}

impl QueryArgs {
    pub(super) fn run(self) -> Result {
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path)
                .map_err(|e| Failure::failed(format!("{} cannot be read: {e}", path.display())))
        };
        let declarations = self.declarations.map(read).transpose()?.unwrap_or_default();
        let format = match self.format {
            Format::Table => repl::Format::Table,
            Format::Json => repl::Format::Json,
            Format::Csv => repl::Format::Csv,
        };
        let server = Arc::new(HttpServer::new(self.at.client()?));
        repl::ask(server, Registries::with_local(None), &declarations, &self.sql, format)
    }
}

//! The command line: one file a command, thin.

mod build;
mod check;
mod completions;
#[cfg(feature = "run")]
mod describe;
mod explain;
mod fmt;
#[cfg(feature = "run")]
mod jobs;
mod lsp;
mod new;
#[cfg(feature = "run")]
mod produce;
#[cfg(feature = "run")]
mod progress;
#[cfg(feature = "run")]
mod query;
#[cfg(feature = "run")]
mod repl;
#[cfg(feature = "run")]
mod run;
mod schema;
#[cfg(feature = "run")]
mod server;
#[cfg(feature = "run")]
mod submit;
#[cfg(feature = "run")]
mod table;
#[cfg(feature = "run")]
mod test;
#[cfg(feature = "run")]
mod topic;

use crate::plain;
use clap::{Args, Parser, Subcommand};
#[cfg(feature = "run")]
use flow_ir::physical::{JobGraph, decode};
use std::collections::BTreeMap;
#[cfg(feature = "run")]
use std::path::Path;
use std::path::PathBuf;

use crate::driver::Additions;
use crate::exit::{Failure, Result};
use crate::registries::Registries;

/// Stream processing over Kafka in SQL: one binary, exactly once.
#[derive(Debug, Parser)]
#[command(name = "flow", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Examples:\n  \
    flow check orders.flow                 find mistakes before anything runs\n  \
    flow run orders.flow --local data      run it on the embedded log in the folder data\n  \
    flow topic consume totals --local data --follow\n\n\
    Exit codes: 0 done, 1 mistakes in the program, 2 wrong usage, 3 another process runs the job,\n\
    4 the job or what it needs failed, 5 a bug in Flow")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find mistakes in programs without running them
    Check(check::CheckArgs),
    /// Show how a program is understood and will be run
    Explain(explain::ExplainArgs),
    /// Put programs in canonical form
    Fmt(fmt::FmtArgs),
    /// Make a folder with an example that runs
    New(new::NewArgs),
    /// Compile a program into a job file
    Build(build::BuildArgs),
    /// Run a program or a job file
    #[cfg(feature = "run")]
    Run(run::RunArgs),
    /// Run test cases: program, input, expected output
    #[cfg(feature = "run")]
    Test(test::TestArgs),
    /// List, create, describe, fill and read topics
    #[cfg(feature = "run")]
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// Serve editors: the Language Server Protocol on standard input and output
    Lsp(lsp::LspArgs),
    /// Ask the jobs of a server one thing
    #[cfg(feature = "run")]
    Query(query::QueryArgs),
    /// Work with statements, their results and jobs in a shell
    #[cfg(feature = "run")]
    Repl(repl::ReplArgs),
    /// Hold many jobs, with an HTTP API to them
    #[cfg(feature = "run")]
    Server(server::ServerArgs),
    /// Submit a program or a job file to a server
    #[cfg(feature = "run")]
    Submit(submit::SubmitArgs),
    /// List, show and control the jobs of a server
    #[cfg(feature = "run")]
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// List, show, check and register schemas
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

impl Cli {
    /// Whether the command sets up the process's log itself.
    #[cfg(feature = "run")]
    pub fn logs_by_itself(&self) -> bool {
        match &self.command {
            Command::Server(args) => args.serves(),
            Command::Repl(_) => true,
            _ => false,
        }
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// Why it was not done, with the exit code.
    pub fn run(self) -> Result {
        match self.command {
            Command::Check(args) => args.run(),
            Command::Explain(args) => args.run(),
            Command::Fmt(args) => args.run(),
            Command::New(args) => args.run(),
            Command::Build(args) => args.run(),
            #[cfg(feature = "run")]
            Command::Run(args) => args.run(),
            #[cfg(feature = "run")]
            Command::Test(args) => args.run(),
            #[cfg(feature = "run")]
            Command::Topic(command) => command.run(),
            Command::Lsp(args) => args.run(),
            #[cfg(feature = "run")]
            Command::Query(args) => args.run(),
            #[cfg(feature = "run")]
            Command::Repl(args) => args.run(),
            #[cfg(feature = "run")]
            Command::Server(args) => args.run(),
            #[cfg(feature = "run")]
            Command::Submit(args) => args.run(),
            #[cfg(feature = "run")]
            Command::Jobs(command) => command.run(),
            Command::Schema(command) => command.run(),
            Command::Completions(args) => args.run(),
        }
    }
}

/// Arguments of every command that runs jobs.
#[derive(Clone, Debug, Args)]
struct EngineArgs {
    /// Interpret everything: no native code
    #[arg(long)]
    no_jit: bool,
}

/// Arguments of every command that compiles a program.
#[derive(Clone, Debug, Args)]
struct ProgramArgs {
    /// A setting (`-D epoch.max.records=100`), or a variable for `${NAME}` in the program
    #[arg(short = 'D', value_name = "NAME=VALUE", value_parser = define)]
    defines: Vec<(String, String)>,
    /// Folder of the embedded log; its schemas serve streams that name no registry
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
    /// Name of the job; else SET 'job.name', else the file's name
    #[arg(long)]
    name: Option<String>,
    /// Leave an optimiser pass out
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    without_pass: Vec<String>,
}

impl ProgramArgs {
    fn additions(&self) -> Additions {
        Additions {
            defines: self.defines.iter().cloned().collect::<BTreeMap<_, _>>(),
            name: self.name.clone(),
            without_passes: self.without_pass.clone(),
            views: Vec::new(),
            imported: true,
        }
    }

    /// The job of a file that `flow build` made, under the name that is given; `None`: the file is
    /// a program.
    #[cfg(feature = "run")]
    fn job_file(&self, file: &Path) -> Result<Option<JobGraph>> {
        if file.extension().is_none_or(|e| e != "flowjob") {
            return Ok(None);
        }
        let path = file.display();
        let bytes = std::fs::read(file)
            .map_err(|e| Failure::failed(format!("{path} cannot be read: {e}")))?;
        let mut graph = decode(&bytes).map_err(|e| Failure::failed(format!("{path}: {e}")))?;
        if let Some(name) = &self.name {
            graph.name.clone_from(name);
        }
        Ok(Some(graph))
    }
}

/// Arguments of commands that compile a program to be run or looked at here. Where they name a
/// server, the program may read the views of its jobs.
#[derive(Clone, Debug, Args)]
struct CompileArgs {
    #[command(flatten)]
    program: ProgramArgs,
    /// A server whose views the program may read
    #[cfg(feature = "run")]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The server of a context of ~/.config/flow/config.toml, likewise
    #[cfg(feature = "run")]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl CompileArgs {
    /// What the command line adds to a program.
    ///
    /// # Errors
    /// If a server is named and does not tell its views.
    fn additions(&self) -> Result<Additions> {
        let additions = self.program.additions();
        #[cfg(feature = "run")]
        if self.server.is_some() || self.context.is_some() {
            let client =
                crate::client::Client::new(self.server.as_deref(), self.context.as_deref())?;
            return Ok(Additions { views: crate::offered::views(&client)?, ..additions });
        }
        Ok(additions)
    }

    fn registries(&self) -> Registries {
        Registries::with_local(self.program.local.as_deref())
    }
}

fn define(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_string(), value.to_string()))
}

/// A size such as `512MB`, `1GB` or `65536`, in bytes.
#[cfg(feature = "run")]
pub(crate) fn size(text: &str) -> std::result::Result<usize, String> {
    let bytes = flow_ir::connector::parse_size(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "write it as 512MB or 1GB".into())
}

/// Writes text for people to standard output, whoever wrote the names in it.
fn say(text: &str) -> Result {
    write(&plain::lines(text))
}

/// Writes data to standard output: as it is, and harmless on a terminal.
fn put(text: &str) -> Result {
    match std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        true => say(text),
        false => write(text),
    }
}

/// A closed pipe is no error.
fn write(text: &str) -> Result {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => Err(Failure::failed(format!("standard output cannot be written: {e}"))),
    }
}

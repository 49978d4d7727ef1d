//! `flow submit`: compiles and checks here, shows what is new, and sends the artifact. The server
//! verifies it again.

use crate::plain;
use std::path::PathBuf;

use clap::Args;
use flow_ir::physical::{JobGraph, encode};
use ureq::http::Method;

use super::jobs::{RemoteArgs, confirmed};
use super::{ProgramArgs, say};
use crate::client::{Ask, Client};
use crate::driver::{Additions, compile_and_report, read_program};
use crate::exit::{Failure, Result};
use crate::offered;
use crate::registries::Registries;
use crate::server::api::jobs::{ARTIFACT, Outcome, Submitted};
use crate::server::jobs::info::StateChanges;
use crate::server::name::JobName;

/// Submits a program to a server, as a new job or the next version of one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flow submit orders.flow\n  \
    flow submit orders.flowjob --server http://127.0.0.1:7878 --yes\n\n\
    Mistakes are found before anything is sent. A changed program goes on with the state of the\n\
    version before where it can; where it cannot, you are told which operators lose theirs, and\n\
    asked. FLOW_SERVER and FLOW_TOKEN name the server and its token.")]
pub(super) struct SubmitArgs {
    /// A program, or a job file made by `flow build`
    #[arg(value_name = "FILE|JOB.flowjob")]
    file: PathBuf,
    #[command(flatten)]
    program: ProgramArgs,
    #[command(flatten)]
    at: RemoteArgs,
    /// Workers; else as before, or the server's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    parallelism: Option<u16>,
    /// Forget the job's position and state, and start anew
    #[arg(long)]
    fresh: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl SubmitArgs {
    pub(super) fn run(self) -> Result {
        let client = self.at.client()?;
        let graph = self.graph(&client)?;
        let name = JobName::new(&graph.name).map_err(Failure::usage)?;
        let artifact = encode(&graph);
        let would = self.send(&client, &name, &artifact, true, self.fresh)?;
        say(&plan(&would, &client))?;
        let mut fresh = self.fresh;
        if let Some(version) = would.version {
            if would.goes_on {
                eprintln!("{name} runs version {version}; this one goes on with its state");
            } else {
                let told = told(&would.changes.clone().unwrap_or_default());
                eprint!("{}", plain::lines(&told));
                if !fresh && self.yes {
                    return Err(Failure::usage(
                        "state would be lost; agree with --fresh, or use another name with --name",
                    ));
                }
                fresh =
                    fresh || confirmed(&format!("Forget the state of {name}, and start anew?"))?;
                if !fresh {
                    return Err(Failure::usage("nothing was changed"));
                }
            }
            if self.fresh
                && !self.yes
                && would.goes_on
                && !confirmed(&format!("Forget the position and state of {name}?"))?
            {
                return Err(Failure::usage("nothing was changed; --fresh --yes does not ask"));
            }
        }
        let fresh = fresh && would.version.is_some() || self.fresh;
        let done = self.send(&client, &name, &artifact, false, fresh)?;
        let version = done.version.unwrap_or(1);
        say(&match done.outcome {
            Outcome::Created => format!("{name}: submitted\n"),
            Outcome::Replaced => format!("{name}: version {version} takes over\n"),
            Outcome::Unchanged => format!("{name}: version {version} is this program already\n"),
            Outcome::Checked => format!("{name}: checked\n"),
        })
    }

    /// The program, compiled here to the views that the server offers.
    fn graph(&self, client: &Client) -> Result<JobGraph> {
        if let Some(graph) = self.program.job_file(&self.file)? {
            return Ok(graph);
        }
        let registries = Registries::with_local(self.program.local.as_deref());
        let views = offered::views(client)?;
        let additions = Additions { views, ..self.program.additions() };
        let sources = read_program(&self.file, &additions)?;
        Ok(compile_and_report(&sources, &registries, &additions)?.graph)
    }

    fn send(
        &self,
        client: &Client,
        name: &JobName,
        artifact: &[u8],
        dry_run: bool,
        fresh: bool,
    ) -> Result<Submitted> {
        let mut path = format!("/v1/jobs?name={name}&dry_run={dry_run}&fresh={fresh}");
        if let Some(workers) = self.parallelism {
            path.push_str(&format!("&parallelism={workers}"));
        }
        let ask = Ask { method: Method::POST, path: &path, body: Some((ARTIFACT, artifact)) };
        client.json(&ask)
    }
}

/// What will run.
fn plan(would: &Submitted, client: &Client) -> String {
    let indented: String = would.plan.lines().map(|line| format!("  {line}\n")).collect();
    let is = if would.version.is_some() { "changes" } else { "is new" };
    format!("{} {is} on {}:\n{indented}", would.name, client.url())
}

/// What becomes of the state.
fn told(changes: &StateChanges) -> String {
    let mut out = String::new();
    for operator in &changes.kept {
        out.push_str(&format!("  keeps its state   {operator}\n"));
    }
    for lost in &changes.lost {
        out.push_str(&format!("  loses its state   {} ({})\n", lost.operator, lost.reason));
    }
    for operator in &changes.added {
        out.push_str(&format!("  has no state yet  {operator}\n"));
    }
    out
}

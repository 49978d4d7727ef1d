//! `flow jobs`: the jobs of a server.

mod top;

use std::fmt::Write;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use ureq::http::Method;

use super::{put, say, table};
use crate::client::{Ask, Client};
use crate::exit::{Failure, Result};
use crate::figures::{duration, time};
use crate::server::api::jobs::JobList;
use crate::server::jobs::counts::{DurationFigures, JobDetails};
use crate::server::jobs::info::JobInfo;
use crate::server::logs::LogLine;
use crate::server::name::JobName;

/// Where the server is.
#[derive(Clone, Debug, Args)]
pub(super) struct RemoteArgs {
    /// Address of the server; else FLOW_SERVER, else that of the context, else this machine
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// A context of ~/.config/flow/config.toml
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
}

impl RemoteArgs {
    /// Whether a server is named, here or by the environment.
    pub(super) fn is_named(&self) -> bool {
        self.server.is_some() || self.context.is_some() || crate::client::is_named()
    }

    pub(super) fn client(&self) -> Result<Client> {
        Client::new(self.server.as_deref(), self.context.as_deref())
    }
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// JSON
    Json,
    /// CSV with a head
    Csv,
}

#[derive(Clone, Debug, Args)]
pub(super) struct JobArgs {
    /// The job
    #[arg(value_parser = JobName::new)]
    name: JobName,
    #[command(flatten)]
    at: RemoteArgs,
}

/// List, show and control the jobs of a server.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  flow jobs list\n  flow jobs logs orders --follow\n  \
    flow jobs pause orders --server https://flow.example.org:7878\n\n\
    FLOW_SERVER and FLOW_TOKEN name the server and its token.")]
pub(super) enum JobsCommand {
    /// List jobs
    List {
        /// How
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
        #[command(flatten)]
        at: RemoteArgs,
    },
    /// Show a job
    Show {
        #[command(flatten)]
        job: JobArgs,
        /// How
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Show the plan of a job
    Plan {
        #[command(flatten)]
        job: JobArgs,
        /// With rows, time, state and watermark of each operator
        #[arg(long)]
        analyze: bool,
    },
    /// Let a job rest after its epoch, to go on later
    Pause {
        #[command(flatten)]
        job: JobArgs,
    },
    /// Start a job that rests, was stopped, or failed
    Resume {
        #[command(flatten)]
        job: JobArgs,
    },
    /// Stop a job after its epoch
    Stop {
        #[command(flatten)]
        job: JobArgs,
    },
    /// Forget a job and its state; its outputs stay
    Drop {
        #[command(flatten)]
        job: JobArgs,
        /// Keep the state for a job of the same name
        #[arg(long)]
        keep_state: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show the log of a job
    Logs {
        #[command(flatten)]
        job: JobArgs,
        /// Go on with what comes
        #[arg(long, short)]
        follow: bool,
        /// The newest lines only
        #[arg(long, value_name = "N")]
        lines: Option<usize>,
    },
    /// Show what all jobs do, or the operators of one, again and again
    Top {
        /// The job whose operators are shown
        #[arg(value_parser = JobName::new)]
        name: Option<JobName>,
        /// Looks; else until Ctrl-C
        #[arg(long, value_name = "N")]
        looks: Option<u64>,
        #[command(flatten)]
        at: RemoteArgs,
    },
}

impl JobsCommand {
    pub(super) fn run(self) -> Result {
        match self {
            JobsCommand::List { format, at } => {
                let jobs: JobList = at.client()?.get("/v1/jobs")?;
                show(&jobs.jobs, format)
            }
            JobsCommand::Show { job, format } => {
                let client = job.at.client()?;
                let found: JobInfo = client.get(&format!("/v1/jobs/{}", job.name))?;
                match format {
                    Format::Table => say(&described(&found, &details(&client, &job.name)?)),
                    Format::Json | Format::Csv => show(&[found], format),
                }
            }
            JobsCommand::Plan { job, analyze } => {
                let path = format!("/v1/jobs/{}/plan?analyze={analyze}", job.name);
                let ask = Ask { method: Method::GET, path: &path, body: None };
                let plan = job.at.client()?.bytes(&ask)?.map_err(Failure::from)?;
                say(&String::from_utf8_lossy(&plan))
            }
            JobsCommand::Pause { job } => job.wish("pause"),
            JobsCommand::Resume { job } => job.wish("resume"),
            JobsCommand::Stop { job } => job.wish("stop"),
            JobsCommand::Drop { job, keep_state, yes } => job.forget(keep_state, yes),
            JobsCommand::Logs { job, follow, lines } => job.logs(follow, lines),
            JobsCommand::Top { name, looks, at } => {
                top::top(&at.client()?, name.as_ref(), looks.unwrap_or(u64::MAX))
            }
        }
    }
}

/// What a job counts, with its operators.
fn details(client: &Client, job: &JobName) -> Result<JobDetails> {
    client.get(&format!("/v1/jobs/{job}/metrics"))
}

impl JobArgs {
    fn wish(&self, what: &str) -> Result {
        let path = format!("/v1/jobs/{}/{what}", self.name);
        let ask = Ask { method: Method::POST, path: &path, body: None };
        let job: JobInfo = self.at.client()?.json(&ask)?;
        match job.error {
            Some(error) => Err(Failure::failed(format!("{} failed: {error}", job.name))),
            None => say(&format!("{}: {}\n", job.name, job.state.word())),
        }
    }

    fn forget(&self, keep_state: bool, yes: bool) -> Result {
        let what = if keep_state { "the job" } else { "the job and its state" };
        if !yes && !confirmed(&format!("Forget {what} {}?", self.name))? {
            return Err(Failure::usage("nothing was changed; --yes does not ask"));
        }
        let keep = if keep_state { "?state=keep" } else { "" };
        let path = format!("/v1/jobs/{}{keep}", self.name);
        let ask = Ask { method: Method::DELETE, path: &path, body: None };
        let left = self.at.client()?.bytes(&ask)?.map_err(Failure::from)?;
        let done =
            if left.is_empty() { "dropped" } else { "finishes its epoch, then it is dropped" };
        say(&format!("{}: {done}\n", self.name))
    }

    fn logs(&self, follow: bool, lines: Option<usize>) -> Result {
        let lines = lines.map(|n| format!("&lines={n}")).unwrap_or_default();
        let path = format!("/v1/jobs/{}/logs?follow={follow}{lines}", self.name);
        let client = self.at.client()?;
        if !follow {
            let found: Value = client.get(&path)?;
            let found: Vec<LogLine> =
                serde_json::from_value(found["lines"].clone()).map_err(Failure::failed)?;
            return found.iter().try_for_each(|line| say(&log_line(line)));
        }
        for event in client.events(&path)? {
            let event = event.map_err(|e| Failure::failed(format!("the server went: {e}")))?;
            let line: LogLine = serde_json::from_str(&event).map_err(Failure::failed)?;
            say(&log_line(&line))?;
        }
        Ok(())
    }
}

fn log_line(line: &LogLine) -> String {
    format!("{} {:<5} {}\n", time(line.at_ms * 1_000), line.level, line.text)
}

/// Asks on the terminal; anything but yes is no.
pub(super) fn confirmed(question: &str) -> Result<bool> {
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|e| Failure::usage(format!("no answer ({e}); say --yes")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The columns of the list.
const COLUMNS: [&str; 9] =
    ["name", "state", "version", "in", "out", "lag", "watermark", "state bytes", "error"];

fn row(job: &JobInfo) -> [String; 9] {
    let metrics = job.metrics.clone().unwrap_or_default();
    [
        job.name.clone(),
        job.state.word().to_string(),
        job.version.to_string(),
        metrics.records_in.to_string(),
        metrics.records_out.to_string(),
        metrics.lag.to_string(),
        optional(metrics.watermark_micros, time),
        metrics.state_memory_bytes.to_string(),
        error_line(job),
    ]
}

/// The first line of a job's error.
fn error_line(job: &JobInfo) -> String {
    job.error.as_deref().and_then(|e| e.lines().next()).unwrap_or("").to_string()
}

/// A cell that may be empty.
fn optional<T>(value: Option<T>, shown: impl FnOnce(T) -> String) -> String {
    value.map_or(String::new(), shown)
}

/// Shows jobs in a format.
fn show(jobs: &[JobInfo], format: Format) -> Result {
    let rows: Vec<[String; 9]> = jobs.iter().map(row).collect();
    match format {
        Format::Json => put(&format!("{:#}\n", json!(jobs))),
        Format::Csv => put(&table::csv(COLUMNS, &rows)),
        Format::Table => say(&table::aligned(COLUMNS, &rows)),
    }
}

/// A job for people, with what its operators did.
fn described(job: &JobInfo, details: &JobDetails) -> String {
    let metrics = job.metrics.clone().unwrap_or_default();
    let mut out = format!(
        "{}: {}, version {}\n  submitted     {}\n  workers       {}\n  memory        {} bytes\n  \
         records       {} in, {} out, {} to read\n  epochs        {}\n  commits       {}\n  \
         state         {} bytes in memory, {} on disk\n",
        job.name,
        job.state.word(),
        job.version,
        time(job.submitted_ms * 1_000),
        job.parallelism,
        job.memory_bytes,
        metrics.records_in,
        metrics.records_out,
        metrics.lag,
        metrics.epochs.to_string() + &spread(&details.epoch_durations),
        metrics.epochs.to_string() + &spread(&details.commit_durations),
        metrics.state_memory_bytes,
        metrics.state_disk_bytes,
    );
    if let (Some(at), Some(held_by)) = (metrics.watermark_micros, metrics.watermark_held_by) {
        let _ = writeln!(out, "  watermark     {} (held by {held_by})", time(at));
    }
    if !job.read_by.is_empty() {
        let _ = writeln!(out, "  read by       {}", job.read_by.join(", "));
    }
    if let Some(error) = &job.error {
        let _ = writeln!(out, "  error         {error}");
    }
    if !details.operators.is_empty() {
        let operators = top::operators(details);
        let _ = write!(out, "  operators\n{}", indented(&operators));
    }
    out
}

/// How long they took.
fn spread(figures: &DurationFigures) -> String {
    let within = |share: &str, bound: Option<f64>| {
        let bound = bound.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        optional(bound, |bound| format!(", {share} within {}", duration(bound)))
    };
    let (half, most) = (within("half", figures.p50_seconds), within("99 %", figures.p99_seconds));
    half + &most
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("    {line}\n")).collect()
}

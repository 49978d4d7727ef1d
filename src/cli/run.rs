//! `flow run`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use flow_ir::physical::JobGraph;
use flow_runtime::config::MEMORY_BYTES;
use flow_runtime::job::reads_standard_input;
use flow_runtime::{Config, Ended, JobHandle, Memory, start};

use super::progress::{Progress, Stats};
use super::{CompileArgs, EngineArgs, size};
use crate::deployment::Deployment;
use crate::driver::{compile_and_report, read_program};
use crate::engine::Engine;
use crate::exit::{Failure, Result};
use crate::world::{state_dir, world};

/// How often the command looks whether the job has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a program until its inputs end or Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flow run orders.flow --local data\n  \
    flow run orders.flowjob --parallelism 2 --stats stats.json\n\n\
    A run goes on where the last one stopped. Ctrl-C finishes and commits the epoch.\n\
    With a server, the program may read the views of its jobs: it reads them from the Kafka\n\
    cluster on which those jobs keep their state.")]
pub(super) struct RunArgs {
    /// A program, or a job file made by `flow build`
    #[arg(value_name = "FILE|JOB.flowjob")]
    file: PathBuf,
    #[command(flatten)]
    compile: CompileArgs,
    /// Folder of the local state; else what the program sets, or .flow/NAME, or a folder in --local
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Workers; else what the program sets, or one a core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    parallelism: Option<u16>,
    /// State kept in memory before it spills to disk, such as 512MB; else what the program sets,
    /// or 1GB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<usize>,
    /// Write the closing figures as JSON
    #[arg(long, value_name = "FILE")]
    stats: Option<PathBuf>,
    /// Forget the job's position and state, and start anew
    #[arg(long)]
    fresh: bool,
    /// Do not ask before forgetting
    #[arg(long, requires = "fresh")]
    yes: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

impl RunArgs {
    pub(super) fn run(self) -> Result {
        let began = Instant::now();
        let graph = self.graph()?;
        let compile_time = began.elapsed();
        let local = self.compile.program.local.as_deref();
        let said = Deployment::of(&graph.settings);
        let given = self.state_dir.as_deref().or(said.state_dir.as_deref());
        let state_dir = state_dir(given, local, &graph.name);
        if self.fresh && !self.yes && state_dir.exists() {
            confirm(&graph.name, &state_dir)?;
        }
        let _lock = crate::lock::StateLock::take(&state_dir)?;
        let mut config = Config::new(&state_dir);
        config.parallelism = self.parallelism.or(said.parallelism).map(usize::from);
        config.memory = Memory::new(self.memory.or(said.memory).unwrap_or(MEMORY_BYTES));
        config.store = said.store;
        config.fresh = self.fresh;
        let world = world(&graph, local, &state_dir);
        let name = graph.name.clone();
        let reads_input = reads_standard_input(&graph);
        if reads_input {
            eprintln!(
                "{name} reads standard input, which cannot be read again: every run starts anew"
            );
        }
        let engine = Engine::new(self.engine.no_jit);
        let job = start(graph, engine.factory(), config, world)?;
        crate::signals::on_interrupt();
        // Where somebody types, nothing is drawn over.
        let is_typed = reads_input && std::io::stdin().is_terminal();
        let mut progress = Progress::new(&name, began, !is_typed);
        watch(&job, &mut progress);
        progress.end();
        let metrics = job.metrics();
        let ended = job.join();
        let metrics = Stats::new(&name, &metrics, began.elapsed(), compile_time, engine.compiled());
        if let Some(path) = &self.stats {
            let json = metrics.to_json();
            std::fs::write(path, json).map_err(|e| {
                Failure::failed(format!("{} cannot be written: {e}", path.display()))
            })?;
        }
        match ended? {
            Ended::AlreadyFinished => {
                eprintln!(
                    "{name} has finished before: all its inputs have ended; --fresh starts it anew"
                );
            }
            Ended::Finished => eprint!("{}", metrics.summary("finished")),
            Ended::Stopped => eprint!("{}", metrics.summary("stopped")),
        }
        Ok(())
    }

    fn graph(&self) -> Result<JobGraph> {
        if let Some(graph) = self.compile.program.job_file(&self.file)? {
            return Ok(graph);
        }
        let additions = self.compile.additions()?;
        let sources = read_program(&self.file, &additions)?;
        Ok(compile_and_report(&sources, &self.compile.registries(), &additions)?.graph)
    }
}

/// Shows progress until the job ends; passes Ctrl-C on.
fn watch(job: &JobHandle, progress: &mut Progress) {
    while !job.is_finished() {
        if crate::signals::interrupted() {
            job.stop();
        }
        progress.show(&job.metrics());
        std::thread::sleep(LOOK);
    }
}

fn confirm(name: &str, state_dir: &Path) -> Result {
    eprint!("Forget the position and state of {name} ({})? [y/N] ", state_dir.display());
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Failure::usage(format!("no answer ({e}); say --yes")))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was changed; --fresh --yes does not ask")),
    }
}

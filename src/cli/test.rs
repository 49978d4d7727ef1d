//! `flow test`.

use std::path::PathBuf;

use clap::Args;

use super::say;
use crate::cases::{REGIMES, all_regimes, find, run_file};
use crate::exit::{Exit, Failure, Result};

/// Runs cases: a program, input records, expected output.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flow test tests/cases\n  \
    flow test tests/cases/windows/tumble.test --bless")]
pub(super) struct TestArgs {
    /// Case files, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Rewrite the expectations by what comes out
    #[arg(long)]
    bless: bool,
    /// Run every case in every regime, not only in the eight fixed ones
    #[arg(long)]
    all: bool,
}

impl TestArgs {
    pub(super) fn run(self) -> Result {
        let files = find(&self.paths).map_err(Failure::failed)?;
        let all = all_regimes();
        let regimes = if self.all { &all } else { &*REGIMES };
        let (mut failed, mut runs) = (0, 0);
        for file in &files {
            let report = run_file(file, regimes, self.bless);
            runs += report.runs;
            let path = report.path.display();
            if report.blessed {
                say(&format!("{path}: rewritten\n"))?;
            }
            if !report.failures.is_empty() {
                failed += 1;
                say(&format!("{path}: FAILED\n{}\n", report.failures.join("\n")))?;
            }
        }
        say(&format!("{} cases, {runs} runs, {failed} failed\n", files.len()))?;
        if failed > 0 { Err(Failure::shown(Exit::Mistakes)) } else { Ok(()) }
    }
}

//! `flow check`.

use std::path::PathBuf;

use clap::Args;

use super::{CompileArgs, say};
use crate::driver::{compile_and_report, read_program};
use crate::exit::{Exit, Failure, Result};

/// Each file is a program of its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flow check orders.flow\n  flow check examples/*/*.flow\n  \
    flow check totals.flow --server http://127.0.0.1:7878\n\n\
    With a server, programs may read the views of its jobs.")]
pub(super) struct CheckArgs {
    /// Programs
    #[arg(required_unless_present = "explain", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Explain a code that a report shows, such as E0203
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
    #[command(flatten)]
    compile: CompileArgs,
}

impl CheckArgs {
    pub(super) fn run(self) -> Result {
        if let Some(code) = &self.explain {
            let page = flow_compiler::diagnostics::codes::Code::parse(code)
                .ok_or_else(|| Failure::usage(format!("there is no code {code}")))?;
            return say(page.page());
        }
        let registries = self.compile.registries();
        let additions = self.compile.additions()?;
        let mut mistakes = false;
        for file in &self.files {
            let sources = read_program(file, &additions)?;
            match compile_and_report(&sources, &registries, &additions) {
                Ok(_) => say(&format!("{}: no mistakes\n", file.display()))?,
                Err(failure) if failure.exit == Exit::Mistakes => mistakes = true,
                Err(failure) => return Err(failure),
            }
        }
        if mistakes { Err(Failure::shown(Exit::Mistakes)) } else { Ok(()) }
    }
}

//! `flow check`.

use std::path::PathBuf;

use clap::Args;

#[cfg(feature = "run")]
use super::jobs::RemoteArgs;
use super::{ProgramArgs, say};
use crate::driver::{Additions, compile_and_report, read};
use crate::exit::{Exit, Failure, Result};
#[cfg(feature = "run")]
use crate::offered;
use crate::registries::Registries;

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
    program: ProgramArgs,
    #[cfg(feature = "run")]
    #[command(flatten)]
    at: RemoteArgs,
}

impl CheckArgs {
    /// What the command line adds; where it names a server, the views that programs may read there.
    fn additions(&self) -> Result<Additions> {
        let additions = self.program.additions();
        #[cfg(feature = "run")]
        if self.at.is_named() {
            return Ok(Additions { views: offered::views(&self.at.client()?)?, ..additions });
        }
        Ok(additions)
    }

    pub(super) fn run(self) -> Result {
        if let Some(code) = &self.explain {
            let page = flow_compiler::diagnostics::codes::Code::parse(code)
                .ok_or_else(|| Failure::usage(format!("there is no code {code}")))?;
            return say(page.page());
        }
        let registries = Registries::with_local(self.program.local.as_deref());
        let additions = self.additions()?;
        let mut mistakes = false;
        for file in &self.files {
            let sources = read(&[file])?;
            match compile_and_report(&sources, &registries, &additions) {
                Ok(_) => say(&format!("{}: no mistakes\n", file.display()))?,
                Err(failure) if failure.exit == Exit::Mistakes => mistakes = true,
                Err(failure) => return Err(failure),
            }
        }
        if mistakes { Err(Failure::shown(Exit::Mistakes)) } else { Ok(()) }
    }
}

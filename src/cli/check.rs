//! `flow check`.

use std::path::{Path, PathBuf};

use clap::Args;

use flow_compiler::diagnostics::{Code, Severity, has_errors};

use super::{CompileArgs, say};
use crate::driver::{compile_with, read_program, show};
use crate::exit::{Exit, Failure, Result};

/// Each file is a program of its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flow check orders.flow\n  flow check examples/*/*.flow\n  \
    flow check totals.flow --server http://127.0.0.1:7878\n  \
    flow check orders.flow --deny unbounded-state\n\n\
    With a server, programs may read the views of its jobs.")]
pub(super) struct CheckArgs {
    /// Programs
    #[arg(required_unless_present = "explain", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Explain a code that a report shows, such as E0203
    #[arg(long, value_name = "CODE")]
    explain: Option<String>,
    /// A warning or note that is to be an error: unbounded-state, differs-from-flink, or its code
    #[arg(long, value_name = "LINT", value_parser = lint)]
    deny: Vec<Code>,
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
        let mut mistakes = false;
        for file in &self.files {
            match self.has_mistakes(file)? {
                true => mistakes = true,
                false => say(&format!("{}: no mistakes\n", file.display()))?,
            }
        }
        if mistakes { Err(Failure::shown(Exit::Mistakes)) } else { Ok(()) }
    }

    /// Shows what is to be said of a program.
    fn has_mistakes(&self, file: &Path) -> Result<bool> {
        let additions = self.compile.additions()?;
        let sources = read_program(file, &additions)?;
        let mut found = match compile_with(&sources, &self.compile.registries(), &additions) {
            Ok(compiled) => [compiled.diagnostics.clone(), compiled.unbounded_state()].concat(),
            Err(found) => found,
        };
        for diagnostic in found.iter_mut().filter(|found| self.deny.contains(&found.code)) {
            diagnostic.severity = Severity::Error;
        }
        show(&found, &sources);
        Ok(has_errors(&found))
    }
}

/// A warning or note by its name or code.
fn lint(name: &str) -> std::result::Result<Code, String> {
    match name {
        "unbounded-state" => Ok(Code::W0815),
        "differs-from-flink" => Ok(Code::W0311),
        _ => Code::parse(name)
            .ok_or_else(|| "it is unbounded-state, differs-from-flink, or a code: W0406".into()),
    }
}

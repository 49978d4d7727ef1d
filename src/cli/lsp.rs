//! `flow lsp`.

use std::io::IsTerminal;

use clap::Args;

use super::ProgramArgs;
use crate::driver::{Additions, check_options};
use crate::exit::{Failure, Result};
use crate::registries::Registries;

/// Editors start it.
#[derive(Debug, Args)]
#[command(after_help = "Editors start this command and talk to it over standard input and \
                        output; editors/vscode is an extension for Visual Studio Code.")]
pub(super) struct LspArgs {
    /// What clients say that could speak otherwise too
    #[arg(long, hide = true)]
    stdio: bool,
    #[command(flatten)]
    program: ProgramArgs,
}

impl LspArgs {
    pub(super) fn run(self) -> Result {
        if std::io::stdin().is_terminal() {
            return Err(Failure::usage(
                "flow lsp talks to an editor over standard input; an editor has to start it",
            ));
        }
        let registries = Registries::with_local(self.program.local.as_deref());
        let variables = std::env::vars().collect();
        // A document is checked by itself.
        let additions = Additions { imported: false, ..self.program.additions() };
        crate::lsp::run(registries, check_options(&additions, variables))
    }
}

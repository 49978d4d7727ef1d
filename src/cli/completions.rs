//! `flow completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, put};
use crate::exit::Result;

/// Prints a script that lets the shell complete commands and options.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    flow completions bash > ~/.local/share/bash-completion/completions/flow\n  \
    flow completions zsh > ~/.zfunc/_flow\n  \
    flow completions fish > ~/.config/fish/completions/flow.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(self) -> Result {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "flow", &mut script);
        put(&String::from_utf8_lossy(&script))
    }
}

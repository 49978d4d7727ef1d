//! `flow fmt`.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use flow_compiler::diagnostics::has_errors;
use flow_compiler::source::SourceMap;
use flow_compiler::syntax::{format::format, parse};

use super::{put, say};
use crate::driver::{read, show};
use crate::exit::{Exit, Failure, Result};

/// Keywords in capitals, lines of at most 100 columns, comments and groups kept. Statements that do
/// not parse stay as they are.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  flow fmt orders.flow\n  flow fmt --check examples/*/*.flow\n  \
    flow fmt - < orders.flow"
)]
pub(super) struct FmtArgs {
    /// Programs; `-` is standard input, written to standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write nothing; name the files that would change, and fail if there are any
    #[arg(long)]
    check: bool,
}

impl FmtArgs {
    pub(super) fn run(self) -> Result {
        let mut fine = true;
        for path in &self.files {
            let is_stdin = path.as_os_str() == "-";
            let sources = if is_stdin { standard_input()? } else { read(&[path])? };
            let (file, source) = sources.iter().next().expect("one was read");
            let text = source.text();
            let (_, problems) = parse(file, text);
            show(&problems, &sources);
            fine &= !has_errors(&problems);
            let formatted = format(text);
            let changed = formatted != text;
            if self.check {
                fine &= !changed;
                if changed {
                    say(&format!("{}\n", path.display()))?;
                }
            } else if is_stdin {
                put(&formatted)?;
            } else if changed {
                std::fs::write(path, &formatted).map_err(|e| {
                    Failure::failed(format!("{} cannot be written: {e}", path.display()))
                })?;
            }
        }
        if fine { Ok(()) } else { Err(Failure::shown(Exit::Mistakes)) }
    }
}

fn standard_input() -> Result<SourceMap> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| Failure::failed(format!("standard input cannot be read: {e}")))?;
    let mut sources = SourceMap::new();
    sources.add("standard input", text);
    Ok(sources)
}

//! `flow explain`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{CompileArgs, say};
use crate::driver::{Stage, compile_and_report, read_program};
use crate::exit::Result;

/// Shows how a program is understood.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  flow explain orders.flow\n  \
    flow explain orders.flow --stage logical --without-pass push_filter")]
pub(super) struct ExplainArgs {
    /// The program
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to show
    #[arg(long, default_value = "physical", value_parser = stages())]
    stage: String,
    #[command(flatten)]
    compile: CompileArgs,
}

impl ExplainArgs {
    pub(super) fn run(self) -> Result {
        let additions = self.compile.additions()?;
        let sources = read_program(&self.file, &additions)?;
        let compiled = compile_and_report(&sources, &self.compile.registries(), &additions)?;
        let stage = Stage::ALL.iter().find(|(name, _)| *name == self.stage);
        stage.map_or(Ok(()), |(_, stage)| say(&stage.explain(&compiled)))
    }
}

fn stages() -> PossibleValuesParser {
    PossibleValuesParser::new(Stage::ALL.map(|(name, _)| name))
}

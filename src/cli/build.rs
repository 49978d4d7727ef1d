//! `flow build`.

use std::path::PathBuf;

use clap::Args;
use flow_ir::physical::encode;

use super::{CompileArgs, say};
use crate::driver::{compile_and_report, read_program};
use crate::exit::{Failure, Result};

/// Compiles a program into a file that `flow run` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  flow build orders.flow -o orders.flowjob")]
pub(super) struct BuildArgs {
    /// The program
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The job file
    #[arg(short, long, value_name = "JOB.flowjob")]
    output: PathBuf,
    #[command(flatten)]
    compile: CompileArgs,
}

impl BuildArgs {
    pub(super) fn run(self) -> Result {
        let additions = self.compile.additions()?;
        let sources = read_program(&self.file, &additions)?;
        let compiled = compile_and_report(&sources, &self.compile.registries(), &additions)?;
        let bytes = encode(&compiled.graph);
        let output = self.output.display();
        std::fs::write(&self.output, &bytes)
            .map_err(|e| Failure::failed(format!("{output} cannot be written: {e}")))?;
        let (name, operators) = (&compiled.graph.name, compiled.graph.vertices.len());
        say(&format!("{output}: job {name}, {operators} operators, {} bytes\n", bytes.len()))
    }
}

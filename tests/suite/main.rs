//! The project's own suite: house rules, whole-program cases in every regime, Nexmark. One binary,
//! so that it links once; one named test per rule, case file and query.
//!
//! `FLOW_TEST_ALL=1` runs each case in the whole product of the regimes, not only in the eight
//! fixed ones. `FLOW_BLESS=1` rewrites the expectations: the diff is what reviewers read.

mod cases;
mod examples;
mod functions;
mod growth;
mod nexmark;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = tidy::trials();
    trials.extend(cases::trials());
    trials.extend(examples::trials());
    trials.extend(nexmark::trials());
    trials.extend(functions::trials());
    trials.extend(growth::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A path in the repository.
fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

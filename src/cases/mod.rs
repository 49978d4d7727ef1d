//! Whole-program cases as data: a program, input records, expected output. One runner serves
//! `flow test` and the project's own suite. Every case runs in several regimes, which must agree.
//!
//! ```text
//! -- cases/windows/tumble_late_row.test        a comment, up to the first section
//! === schema SUBJECT                           an Avro schema, registered before all else
//! === flow                                     the program
//! === feed STREAM [PARTITION]                  records of a stream, a JSON object a line
//! === expect STREAM                            what must come out, a JSON object a line
//! === expect late TOPIC                        records of a topic that is no stream
//! === errors                                   the rendered diagnostics; nothing is run
//! === explain STAGE                            typed, logical, optimized or physical
//! === fails                                    the message with which the job must stop
//! === regimes REASON                           the only regimes it runs in, one a line
//! ```
//!
//! Streams of connector `case` live in a log in memory; topics that are fed end where the feed
//! ends. Output of an updating query is compared after folding: the last record of a key, or the
//! net rows of `debezium-json`.

mod compare;
mod faults;
mod format;
mod regimes;
mod run;

use std::path::{Path, PathBuf};

pub use format::{Case, Section};
pub use regimes::{REGIMES, Regime, all_regimes};
pub use run::run_in;

/// What became of a case in one regime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected; says what differs.
    Failed(String),
}

/// How a case file fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// What failed, with the regime.
    pub failures: Vec<String>,
    /// Regimes that it ran in.
    pub runs: usize,
    /// Whether the file was rewritten.
    pub blessed: bool,
}

/// Runs a case file in these regimes, as far as the case allows them. With `bless`, expectations
/// are rewritten from the first regime's results.
pub fn run_file(path: &Path, regimes: &[Regime], bless: bool) -> Report {
    let mut report =
        Report { path: path.to_path_buf(), failures: Vec::new(), runs: 0, blessed: false };
    let case = std::fs::read_to_string(path)
        .map_err(|e| e.to_string())
        .and_then(|text| Case::parse(path, &text));
    let mut case = match case {
        Ok(case) => case,
        Err(why) => {
            report.failures.push(why);
            return report;
        }
    };
    let regimes: Vec<&Regime> = regimes.iter().filter(|r| case.allows(r)).collect();
    // A case that runs nothing is the same in every regime.
    let regimes = if case.runs_a_job() { &regimes[..] } else { &regimes[..regimes.len().min(1)] };
    if bless && let Some(regime) = regimes.first() {
        match run::bless(&mut case, regime) {
            Ok(changed) => {
                report.blessed = changed;
                if changed && let Err(e) = std::fs::write(path, case.to_text()) {
                    report.failures.push(format!("cannot be rewritten: {e}"));
                }
            }
            Err(why) => report.failures.push(why),
        }
    }
    for regime in regimes {
        report.runs += 1;
        if let Verdict::Failed(why) = run_in(&case, regime) {
            report.failures.push(format!("in regime {}:\n{why}", regime.name));
        }
    }
    report
}

/// All case files under these paths, sorted.
///
/// # Errors
/// If a path cannot be read.
pub fn find(paths: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = paths.to_vec();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else if path.extension().is_some_and(|e| e == "test") || paths.contains(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

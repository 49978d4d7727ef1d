//! The case files of `tests/cases`, one test each.

use std::path::Path;

use flow::cases::{REGIMES, Regime, all_regimes, find, run_file};
use libtest_mimic::{Failed, Trial};

use crate::in_repository;

/// A test per case file, named after its path.
pub(crate) fn trials() -> Vec<Trial> {
    let folder = in_repository("tests/cases");
    let regimes: &'static [Regime] = match is_set("FLOW_TEST_ALL") {
        true => all_regimes().leak(),
        false => &REGIMES,
    };
    let files = find(std::slice::from_ref(&folder)).expect("tests/cases can be read");
    let trial =
        |path: std::path::PathBuf| Trial::test(name(&folder, &path), move || run(&path, regimes));
    files.into_iter().map(trial).collect()
}

/// `cases::windows::tumble_late_row`.
fn name(folder: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(folder).unwrap_or(path).with_extension("");
    let words = inner.components().map(|part| part.as_os_str().to_string_lossy());
    std::iter::once("cases".into()).chain(words).collect::<Vec<_>>().join("::")
}

fn run(path: &Path, regimes: &[Regime]) -> Result<(), Failed> {
    let report = run_file(path, regimes, is_set("FLOW_BLESS"));
    if report.runs == 0 && report.failures.is_empty() {
        return Err("it ran in no regime: `=== regimes` names none that there is".into());
    }
    match report.failures.is_empty() {
        true => Ok(()),
        false => Err(format!("{}\n{}", path.display(), report.failures.join("\n")).into()),
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == "1")
}

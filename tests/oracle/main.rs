//! Random programs of the whole algebra against another engine: `oracle.py` makes them, runs them
//! with the command, and compares what its changes come to with DuckDB's answer over the same
//! input: in the end, and after epochs before it, over what had been read by then. By hand it takes
//! any number from any seed.
#![cfg(feature = "run")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the Python package, which a script installs where it is missing.
fn duckdb(root: &Path) -> PathBuf {
    let made = Command::new(root.join("scripts/duckdb")).output().expect("a shell");
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "scripts/duckdb failed: {told}");
    PathBuf::from(String::from_utf8_lossy(&made.stdout).trim())
}

/// Checks what `oracle.py` makes of these arguments.
fn check(arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked = Command::new("/usr/bin/python3")
        .env("PYTHONPATH", duckdb(root))
        .arg(root.join("tests/oracle/oracle.py"))
        .arg(env!("CARGO_BIN_EXE_flow"))
        .args(arguments)
        .output()
        .expect("Python");
    let (out, told) =
        (String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success(), "{out}\n{told}");
}

#[test]
fn random_programs_give_the_answers_of_duckdb() {
    check(&["--programs", "40", "--seed", "1"]);
}

#[test]
fn random_programs_give_the_same_answers_over_their_deaths() {
    check(&["--programs", "12", "--seed", "101", "--kills", "3"]);
}

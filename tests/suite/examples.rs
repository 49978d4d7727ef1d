//! The queries of `examples/nexmark` over generated events: with one worker and with four they give
//! the same answer, which is not empty.

use std::collections::BTreeMap;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::in_repository;

/// The queries.
const QUERIES: std::ops::RangeInclusive<u32> = 0..=23;

/// Events of all kinds: enough for auctions that end and windows that close.
const EVENTS: u32 = 20_000;

/// A test per query.
pub(crate) fn trials() -> Vec<Trial> {
    let trial =
        |query: u32| Trial::test(format!("examples::nexmark_q{query}"), move || one_answer(query));
    QUERIES.map(trial).collect()
}

/// Rows with the number of times they are there.
type Rows = BTreeMap<String, i64>;

fn one_answer(query: u32) -> Result<(), Failed> {
    let (one, four) = (rows(query, 1)?, rows(query, 4)?);
    if one.is_empty() {
        return Err("there is no row".into());
    }
    if one != four {
        let differs = |(row, n): &(&String, &i64)| four.get(*row) != Some(*n);
        let first = one.iter().find(differs).map_or("only four workers have", |(row, _)| row);
        let (one, four) = (one.len(), four.len());
        return Err(format!("{one} rows and {four} are not the same, from {first} on").into());
    }
    Ok(())
}

/// The rows that a query leaves, its changes taken together.
fn rows(query: u32, workers: usize) -> Result<Rows, Failed> {
    let state = tempfile::tempdir()?;
    let folder = in_repository("examples/nexmark");
    let ended = Command::new(env!("CARGO_BIN_EXE_flow"))
        .arg("run")
        .arg(folder.join(format!("q{query}.flow")))
        .args(["-DSINK=print", "-DPARTITIONS=2", "-DRATE=500", "-DLIMITED=false"])
        .args(["-Dclock=2026-01-01T00:00:00Z".to_string(), format!("-DEVENTS={EVENTS}")])
        .arg(format!("-DNEXMARK_DIR={}", folder.display()))
        .arg(format!("--parallelism={workers}"))
        .arg("--state-dir")
        .arg(state.path())
        .output()?;
    if !ended.status.success() {
        let told = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("q{query} ended with {}:\n{told}", ended.status).into());
    }
    let mut rows = Rows::new();
    for line in String::from_utf8_lossy(&ended.stdout).lines() {
        let Some((_, change)) = line.split_once("> ") else { continue };
        let (row, weight) = match (change.strip_prefix('+'), change.strip_prefix('-')) {
            (Some(row), _) => (row, 1),
            (None, Some(row)) => (row, -1),
            (None, None) => continue,
        };
        *rows.entry(row.to_string()).or_default() += weight;
    }
    rows.retain(|_, weight| *weight != 0);
    Ok(rows)
}

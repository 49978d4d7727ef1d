//! Nexmark's queries in Flink's text over an input of 100,000 events, against the answers of
//! another engine (see `tests/nexmark/README.md`): through the command, with one worker and with
//! four.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use flow_ir::row::key_hash;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use crate::in_repository;

/// The queries with an answer, and the two that copy their input.
const QUERIES: [&str; 18] = [
    "q0", "q1", "q2", "q3", "q4", "q5", "q7", "q8", "q9", "q11", "q15", "q16", "q17", "q18", "q19",
    "q20", "q21", "q22",
];

/// Those whose answers are too large to be kept: their number of rows, and the sum of the rows'
/// hashes, are.
const LARGE: [&str; 5] = ["q9", "q19", "q20", "q21", "q22"];

const WORKERS: [usize; 2] = [1, 4];

/// How many differing rows a failure shows.
const SHOWN_ROWS: usize = 5;

type Result<T> = std::result::Result<T, Failed>;

/// A test per query and number of workers.
pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for query in QUERIES {
        for workers in WORKERS {
            let name = format!("nexmark::{query}::{workers}_workers");
            trials.push(Trial::test(name, move || answers(query, workers)));
        }
    }
    trials
}

/// The inputs, unpacked into the target folder once a run.
static INPUTS: LazyLock<std::result::Result<PathBuf, String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nexmark");
    let unpack = |stream: &str| -> std::io::Result<()> {
        let from = in_repository(&format!("tests/nexmark/input/{stream}.jsonl.gz"));
        let mut to = File::create(folder.join(format!("{stream}.jsonl")))?;
        std::io::copy(&mut GzDecoder::new(File::open(from)?), &mut to).map(|_| ())
    };
    std::fs::create_dir_all(&folder)
        .and_then(|()| ["person", "auction", "bid"].into_iter().try_for_each(unpack))
        .map_err(|e| format!("the inputs cannot be unpacked: {e}"))?;
    Ok(folder)
});

fn answers(query: &str, workers: usize) -> Result<()> {
    let inputs = INPUTS.as_ref().map_err(String::as_str)?;
    let folder = tempfile::tempdir()?;
    let output = run(query, workers, inputs, folder.path())?;
    if LARGE.contains(&query) {
        return same_digest(query, &net_rows(&output)?);
    }
    let (expected, actual) = match query {
        // Byte by byte, so that the digits of a DECIMAL count.
        "q0" => (projected(inputs, |price| price.to_string())?, counted(output)),
        "q1" => (projected(inputs, in_euro)?, counted(output)),
        _ => (answer(query)?, net_rows(&output)?),
    };
    match difference(&expected, &actual) {
        None => Ok(()),
        Some(told) => Err(told.into()),
    }
}

/// Runs a query; what it wrote.
fn run(query: &str, workers: usize, inputs: &Path, folder: &Path) -> Result<Vec<String>> {
    let program = folder.join(format!("{query}.flow"));
    let mut file = File::create(&program)?;
    for part in ["inputs", query] {
        let path = in_repository(&format!("tests/nexmark/{part}.flow"));
        file.write_all(&std::fs::read(path)?)?;
    }
    let output = folder.join("output.jsonl");
    let ended = Command::new(env!("CARGO_BIN_EXE_flow"))
        .arg("run")
        .arg(&program)
        .arg(format!("-Dinput={}", inputs.display()))
        .arg(format!("-Doutput={}", output.display()))
        .arg("--state-dir")
        .arg(folder.join("state"))
        .arg(format!("--parallelism={workers}"))
        .output()?;
    if !ended.status.success() {
        let told = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("{query} ended with {}:\n{told}", ended.status).into());
    }
    Ok(BufReader::new(File::open(output)?).lines().collect::<std::io::Result<_>>()?)
}

/// Rows with the number of times they are there.
type Rows = BTreeMap<String, i64>;

fn counted(lines: impl IntoIterator<Item = String>) -> Rows {
    let mut rows = Rows::new();
    for line in lines {
        *rows.entry(line).or_default() += 1;
    }
    rows
}

/// Lines that are rows, or debezium envelopes, as rows; columns in the order of their names.
fn net_rows(lines: &[String]) -> Result<Rows> {
    let mut rows = Rows::new();
    for line in lines {
        let value: Value = serde_json::from_str(line)?;
        let sides = match value.get("op") {
            Some(_) => vec![(&value["before"], -1), (&value["after"], 1)],
            None => vec![(&value, 1)],
        };
        for (row, weight) in sides.into_iter().filter(|(row, _)| !row.is_null()) {
            *rows.entry(row.to_string()).or_default() += weight;
        }
    }
    rows.retain(|_, weight| *weight != 0);
    Ok(rows)
}

fn answer(query: &str) -> Result<Rows> {
    let path = in_repository(&format!("tests/nexmark/answers/{query}.jsonl.gz"));
    let lines = BufReader::new(GzDecoder::new(File::open(path)?)).lines();
    net_rows(&lines.collect::<std::io::Result<Vec<_>>>()?)
}

/// Compares rows with the digest of a large answer.
fn same_digest(query: &str, rows: &Rows) -> Result<()> {
    let path = in_repository(&format!("tests/nexmark/answers/{query}.digest"));
    let (mut count, mut sum) = (0i64, 0u64);
    for (row, times) in rows {
        count += times;
        sum = sum.wrapping_add(key_hash(row.as_bytes()).wrapping_mul(*times as u64));
    }
    let (expected, actual) = (std::fs::read_to_string(path)?, format!("{count} {sum:016x}"));
    match expected.trim() == actual {
        true => Ok(()),
        false => Err(format!("the answer is {}, not {actual}", expected.trim()).into()),
    }
}

/// The bids without channel and URL, and with this price.
fn projected(inputs: &Path, price: impl Fn(i64) -> String) -> Result<Rows> {
    let mut rows = Vec::new();
    for line in BufReader::new(File::open(inputs.join("bid.jsonl"))?).lines() {
        let bid: Value = serde_json::from_str(&line?)?;
        let paid = bid["price"].as_i64().ok_or("a bid has a price")?;
        let mut row = String::from("{");
        for column in ["auction", "bidder", "price", "dateTime", "extra"] {
            let value = if column == "price" { price(paid) } else { bid[column].to_string() };
            let comma = if column == "auction" { "" } else { "," };
            row.push_str(&format!("{comma}\"{column}\":{value}"));
        }
        row.push('}');
        rows.push(row);
    }
    Ok(counted(rows))
}

/// 0.908 euro a dollar, to three places.
fn in_euro(dollars: i64) -> String {
    let thousandths = dollars * 908;
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

/// The first rows that are missing and too much, if any.
fn difference(expected: &Rows, actual: &Rows) -> Option<String> {
    let only = |a: &Rows, b: &Rows| -> Vec<String> {
        let more = |(row, n): (&String, &i64)| n - b.get(row).unwrap_or(&0) > 0;
        a.iter().filter(|&entry| more(entry)).map(|(row, _)| row.clone()).collect()
    };
    let (missing, excess) = (only(expected, actual), only(actual, expected));
    if missing.is_empty() && excess.is_empty() {
        return None;
    }
    let mut told = format!("{} rows are missing, {} too much\n", missing.len(), excess.len());
    for (word, rows) in [("missing", missing), ("too much", excess)] {
        for row in rows.iter().take(SHOWN_ROWS) {
            told.push_str(&format!("  {word}  {row}\n"));
        }
    }
    Some(told)
}

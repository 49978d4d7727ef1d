//! State that a query bounds does not grow with its input: each program runs over an input and over
//! one a hundred times as long, with the same rows alive at a time. What each operator has kept at
//! the end of an epoch, at most, may not be more for it.

use std::fmt::Write as _;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

type Result<T> = std::result::Result<T, Failed>;

/// Records of an epoch, over all inputs, and of each input in the short run.
const EPOCH_RECORDS: usize = 100;
const SHORT: usize = 300;
const TIMES: usize = 100;
/// Keys that may be there for what has gone, since their removal is not on disk yet: those of some
/// epochs, of a few tables, and those that the disk got when it last followed.
const NOT_YET_GONE: u64 = 32 * EPOCH_RECORDS as u64;

/// `a` and `b` have a record each 100 ms, out of order by up to a second: `k` is one of ten for
/// ever, `g` another one every five seconds, `v` one of seven. `t` has versions of `k`.
const INPUTS: &str = "
CREATE STREAM a (k INT, g INT, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
  WITH (connector = 'file', path = '${DIR}/a.jsonl', format = 'json');
CREATE STREAM b (k INT, g INT, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
  WITH (connector = 'file', path = '${DIR}/b.jsonl', format = 'json');
CREATE TABLE t (k INT, v INT, ts TIMESTAMP(3), PRIMARY KEY (k) NOT ENFORCED,
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
  WITH (connector = 'file', path = '${DIR}/b.jsonl', format = 'json');
";

/// Programs whose state is bounded, by name.
const BOUNDED: [(&str, &str); 26] = [
    (
        "tumble",
        "SELECT g, window_end, COUNT(*) AS n, SUM(v) AS s FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts),
           INTERVAL '2' SECOND)) GROUP BY g, window_start, window_end",
    ),
    (
        "hop_with_values",
        "SELECT g, window_end, COUNT(DISTINCT v) AS d, COUNT(DISTINCT v) FILTER (WHERE v > 2) AS e,
           ARRAY_AGG(v) AS l, MEDIAN(v) AS m FROM TABLE(HOP(TABLE a, DESCRIPTOR(ts),
           INTERVAL '1' SECOND, INTERVAL '3' SECOND)) GROUP BY g, window_start, window_end",
    ),
    (
        "cumulate",
        "SELECT g, window_end, COUNT(DISTINCT v) AS d FROM TABLE(CUMULATE(TABLE a, DESCRIPTOR(ts),
           INTERVAL '1' SECOND, INTERVAL '4' SECOND)) GROUP BY g, window_start, window_end",
    ),
    (
        "session_of_keys",
        "SELECT g, window_end, COUNT(*) AS n, COUNT(DISTINCT v) AS d FROM TABLE(SESSION(TABLE a
           PARTITION BY g, DESCRIPTOR(ts), INTERVAL '2' SECOND))
         GROUP BY g, window_start, window_end",
    ),
    (
        "distinct_in_windows",
        "SELECT DISTINCT g, window_start, window_end FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts),
           INTERVAL '2' SECOND))",
    ),
    (
        "grouping_sets_in_windows",
        "SELECT g, v, window_end, COUNT(*) AS n FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts),
           INTERVAL '2' SECOND)) GROUP BY window_start, window_end, GROUPING SETS ((g), (v), ())",
    ),
    (
        "window_of_windows",
        "SELECT window_end, SUM(n) AS n FROM TABLE(TUMBLE(TABLE w, DESCRIPTOR(at),
           INTERVAL '4' SECOND)) GROUP BY window_start, window_end",
    ),
    (
        "top_n_of_windows",
        "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, g
           ORDER BY v DESC) AS n FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND)))
         WHERE n <= 3",
    ),
    (
        "deduplicated_in_windows",
        "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, g
           ORDER BY ts DESC) AS n FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND)))
         WHERE n = 1",
    ),
    (
        "window_join",
        "SELECT l.g, r.v, l.window_end
           FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND)) l
           FULL JOIN TABLE(TUMBLE(TABLE b, DESCRIPTOR(ts), INTERVAL '2' SECOND)) r
           ON l.g = r.g AND l.window_start = r.window_start AND l.window_end = r.window_end",
    ),
    (
        "window_semi_join",
        "SELECT l.g, l.v FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '2' SECOND)) l WHERE
           NOT EXISTS (SELECT 1 FROM TABLE(TUMBLE(TABLE b, DESCRIPTOR(ts), INTERVAL '2' SECOND)) r
           WHERE l.g = r.g AND l.window_start = r.window_start AND l.window_end = r.window_end)",
    ),
    (
        "interval_join",
        "SELECT a.g, b.v FROM a JOIN b ON a.g = b.g
           AND b.ts BETWEEN a.ts - INTERVAL '1' SECOND AND a.ts + INTERVAL '1' SECOND",
    ),
    (
        "interval_full_join",
        "SELECT a.g, b.v FROM a FULL JOIN b ON a.g = b.g AND a.v = b.v
           AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '2' SECOND",
    ),
    (
        "interval_anti_join",
        "SELECT a.g, a.v FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE a.g = b.g AND a.v = b.v
           AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '2' SECOND)",
    ),
    (
        "versions_join",
        "SELECT a.g, t.v FROM a LEFT JOIN t FOR SYSTEM_TIME AS OF a.ts ON a.k = t.k",
    ),
    (
        "over_rows",
        "SELECT g, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 4 PRECEDING AND CURRENT ROW)
           AS s FROM a",
    ),
    (
        "over_range_of_changing_keys",
        "SELECT g, MAX(v) OVER (PARTITION BY g ORDER BY ts
           RANGE BETWEEN INTERVAL '2' SECOND PRECEDING AND CURRENT ROW) AS m FROM a",
    ),
    (
        "over_running_sums",
        "SELECT g, SUM(v) OVER (PARTITION BY k ORDER BY ts) AS s,
           ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS n FROM a",
    ),
    (
        "over_lag",
        "SELECT g, v - LAG(v) OVER (PARTITION BY k ORDER BY ts) AS d FROM a",
    ),
    (
        "over_distinct",
        "SELECT g, COUNT(DISTINCT v) OVER (PARTITION BY g ORDER BY ts
           RANGE BETWEEN INTERVAL '2' SECOND PRECEDING AND CURRENT ROW) AS d FROM a",
    ),
    ("groups", "SELECT k, COUNT(*) AS n, SUM(v) AS s, MAX(ts) AS l FROM a GROUP BY k"),
    ("groups_of_values", "SELECT k, COUNT(DISTINCT v) AS d, MODE(v) AS m FROM a GROUP BY k"),
    (
        "last_row",
        "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS n FROM a)
         WHERE n = 1",
    ),
    (
        "top_n",
        "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM a)
         WHERE n <= 3",
    ),
    (
        "top_n_renamed_and_filtered",
        "SELECT key, place + 1 AS place FROM (SELECT k AS key, v + 1 AS more, n AS place FROM
           (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM a))
         WHERE place BETWEEN 1 AND 2 AND more > 3",
    ),
    ("updating_table", "SELECT v, COUNT(*) AS n FROM t GROUP BY v"),
];

/// A test per program.
pub(crate) fn trials() -> Vec<Trial> {
    let trial = |(name, query): (&'static str, &'static str)| {
        Trial::test(format!("growth::{name}"), move || does_not_grow(query))
    };
    BOUNDED.map(trial).into()
}

fn does_not_grow(query: &str) -> Result<()> {
    let short = kept(query, SHORT)?;
    let long = kept(query, SHORT * TIMES)?;
    for ((operator, short), (_, long)) in short.iter().zip(&long) {
        if *long > 2 * short + NOT_YET_GONE {
            let told = format!("{operator} kept {short} keys at most, and {long} of a long input");
            return Err(told.into());
        }
    }
    Ok(())
}

/// The keys that each operator with state had at the end of an epoch, at most.
fn kept(query: &str, records: usize) -> Result<Vec<(String, u64)>> {
    let folder = tempfile::tempdir()?;
    for (name, seed) in [("a", 0), ("b", 3)] {
        std::fs::write(folder.path().join(format!("{name}.jsonl")), input(records, seed))?;
    }
    let program = folder.path().join("growth.flow");
    let windows = "CREATE VIEW w AS SELECT k, COUNT(*) AS n, window_time AS at FROM TABLE(TUMBLE(
      TABLE a, DESCRIPTOR(ts), INTERVAL '1' SECOND))
      GROUP BY k, window_start, window_end, window_time;";
    let windows = if query.contains("TABLE w") { windows } else { "" };
    let sink = "CREATE STREAM sink WITH (connector = 'blackhole');";
    let inputs = used(INPUTS, query);
    std::fs::write(&program, format!("{inputs}{windows}{sink}INSERT INTO sink {query};"))?;
    let stats = folder.path().join("stats.json");
    let ended = Command::new(env!("CARGO_BIN_EXE_flow"))
        .args(["run", "--no-jit", "--parallelism=1"])
        .arg(&program)
        .arg(format!("-DDIR={}", folder.path().display()))
        .arg(format!("-Depoch.max.records={EPOCH_RECORDS}"))
        .arg("--state-dir")
        .arg(folder.path().join("state"))
        .arg("--stats")
        .arg(&stats)
        .output()?;
    if !ended.status.success() {
        let told = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("it ended with {}:\n{told}", ended.status).into());
    }
    let stats: Value = serde_json::from_slice(&std::fs::read(stats)?)?;
    let operators = stats["operators"].as_array().ok_or("no operators")?.iter();
    let most = |operator: &Value| {
        let most = operator["state_rows_most"].as_u64()?;
        Some((operator["operator"].as_str()?.to_string(), most))
    };
    let kept: Vec<_> = operators.filter_map(most).collect();
    match kept.iter().any(|(_, most)| *most > 0) {
        true => Ok(kept),
        false => Err("no operator kept anything".into()),
    }
}

/// The declarations of the inputs that a query reads.
fn used(inputs: &str, query: &str) -> String {
    let reads = |declared: &&str| {
        let name = declared.split_whitespace().nth(2).unwrap_or_default();
        let names = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()) == name;
        query.split_whitespace().any(names) || (name == "a" && query.contains("TABLE w"))
    };
    let declared = inputs.split_inclusive(';').filter(reads);
    declared.collect()
}

fn input(records: usize, seed: usize) -> String {
    let mut lines = String::new();
    for i in 0..records {
        let (k, g, v) = ((i + seed) % 10, i / 50, (i * 31 + seed) % 7);
        let millis = 1_767_225_600_000 + i * 100 + (i * 37 + seed) % 10 * 100;
        let line = format!("{{\"k\":{k},\"g\":{g},\"v\":{v},\"ts\":{millis}}}");
        writeln!(lines, "{line}").expect("a text takes more");
    }
    lines
}

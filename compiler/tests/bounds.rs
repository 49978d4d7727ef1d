//! What `flow check` says of state: which operators it names, and which are bounded.

use flow_compiler::check::catalog::MemoryCatalog;
use flow_compiler::compile::{CompileOptions, compile};
use flow_compiler::diagnostics::{Code, has_errors};
use flow_compiler::source::SourceMap;

/// Two streams without end, one that ends, a table, a changelog.
const DECLARATIONS: &str = "
CREATE STREAM a (k BIGINT, flag BOOLEAN, v BIGINT, ts TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'kafka', 'topic' = 'a', 'format' = 'json');
CREATE STREAM b (k BIGINT, w BIGINT, ts TIMESTAMP(3) NOT NULL,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'kafka', 'topic' = 'b', 'format' = 'json');
CREATE STREAM ends (k BIGINT, w BIGINT)
WITH ('connector' = 'kafka', 'topic' = 'e', 'format' = 'json',
  'scan.bounded.mode' = 'latest-offset');
CREATE TABLE t (k BIGINT NOT NULL, name STRING, at TIMESTAMP(3) NOT NULL,
  WATERMARK FOR at AS at, PRIMARY KEY (k) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka', 'topic' = 't', 'key.format' = 'json', 'value.format' = 'json');
CREATE STREAM c (k BIGINT, v BIGINT)
WITH ('connector' = 'kafka', 'topic' = 'c', 'format' = 'debezium-json');
";

/// What is said of a query, a line each.
fn said(query: &str) -> Vec<String> {
    let mut sources = SourceMap::new();
    sources.add("bounds.flow", format!("{DECLARATIONS}{query};"));
    let compiled = compile(&sources, &MemoryCatalog::default(), &CompileOptions::default());
    let compiled = compiled.unwrap_or_else(|found| panic!("{query}: {found:?}"));
    let found = compiled.unbounded_state();
    assert!(found.iter().all(|d| d.code == Code::W0815 && d.help.is_some()), "{found:?}");
    found.into_iter().map(|diagnostic| diagnostic.message).collect()
}

#[test]
fn what_grows_with_records_is_named() {
    let cases: [(&str, &[&str]); 14] = [
        (
            "SELECT a.v, b.w FROM a JOIN b ON a.k = b.k",
            &["Join keeps every left row, for ever, and every right row, for ever"],
        ),
        ("SELECT a.v, t.name FROM a JOIN t ON a.k = t.k", &["Join keeps every left row, for ever"]),
        (
            "SELECT v FROM a WHERE k IN (SELECT k FROM t)",
            &["Join keeps every left row, for ever"],
        ),
        (
            "SELECT k, COUNT(*) AS n FROM a GROUP BY k",
            &["GroupAggregate keeps a row per [k], for ever"],
        ),
        ("SELECT DISTINCT k FROM a", &["GroupAggregate keeps a row per [k], for ever"]),
        (
            "SELECT COUNT(DISTINCT v) AS n FROM a",
            &["GroupAggregate keeps every different value, for ever"],
        ),
        (
            "SELECT k, COUNT(DISTINCT v) AS n FROM a GROUP BY k",
            &["GroupAggregate keeps a row per [k], for ever, \
               and every different value per [k], for ever"],
        ),
        (
            "SELECT k, v FROM (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS n
              FROM a) WHERE n = 1",
            &["Deduplicate keeps a row per [k], for ever"],
        ),
        (
            "SELECT k, v FROM (SELECT k, v, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) AS n
              FROM a) WHERE n <= 3",
            &["TopN keeps the first 3 per [k], for ever"],
        ),
        (
            "SELECT k, RANK() OVER (PARTITION BY k ORDER BY v) AS r FROM a",
            &["Over keeps every row, for ever"],
        ),
        (
            "SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts) AS s FROM a",
            &["Over keeps a row per [k], for ever"],
        ),
        (
            "CREATE MATERIALIZED VIEW m AS SELECT k, v FROM a",
            &["Materialize keeps every row of the view, for ever"],
        ),
        (
            "SELECT w.n, b.w FROM (SELECT k, COUNT(*) AS n FROM
              TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
              GROUP BY k, window_start, window_end) AS w JOIN b ON w.k = b.k",
            &["Join keeps every left row, for ever, and every right row, for ever"],
        ),
        (
            "SELECT k, COUNT(*) AS n FROM (SELECT k FROM a UNION ALL SELECT k FROM ends)
              GROUP BY k",
            &["GroupAggregate keeps a row per [k], for ever"],
        ),
    ];
    for (query, expected) in cases {
        assert_eq!(said(query), expected, "{query}");
    }
}

#[test]
fn what_a_clause_or_an_input_bounds_is_not() {
    let windowed = "TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' MINUTE))";
    let queries = [
        "SELECT k, v FROM a WHERE v > 1".to_string(),
        "SELECT COUNT(*) AS n, SUM(v) AS s FROM a".into(),
        "SELECT flag, COUNT(*) AS n FROM a GROUP BY flag".into(),
        "SELECT * FROM a ORDER BY v LIMIT 10".into(),
        format!(
            "SELECT k, COUNT(DISTINCT v) AS n FROM {windowed} GROUP BY k, window_start, window_end"
        ),
        format!(
            "SELECT k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k
              ORDER BY v) AS n FROM {windowed}) WHERE n <= 3"
        ),
        "SELECT a.v, b.w FROM a JOIN b ON a.k = b.k AND
          b.ts BETWEEN a.ts AND a.ts + INTERVAL '1' HOUR"
            .into(),
        "SELECT a.v, t.name FROM a JOIN t FOR SYSTEM_TIME AS OF a.ts ON a.k = t.k".into(),
        "SELECT k, SUM(v) OVER (PARTITION BY k ORDER BY ts
          RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS s FROM a"
            .into(),
        "SELECT k, COUNT(*) AS n FROM ends GROUP BY k".into(),
        "SELECT name, COUNT(*) AS n FROM t GROUP BY name".into(),
        "SELECT c.v, t.name FROM c JOIN t ON c.k = t.k".into(),
        "CREATE MATERIALIZED VIEW m AS SELECT name, COUNT(*) AS n FROM t GROUP BY name".into(),
    ];
    for query in queries {
        assert_eq!(said(&query), [String::new(); 0], "{query}");
    }
}

#[test]
fn the_page_is_right() {
    for (at, example) in Code::W0815.examples().into_iter().enumerate() {
        let mut sources = SourceMap::new();
        sources.add("page.flow", example);
        let compiled = compile(&sources, &MemoryCatalog::default(), &CompileOptions::default());
        let compiled = compiled.unwrap_or_else(|found| panic!("example {at}: {found:?}"));
        assert!(!has_errors(&compiled.diagnostics), "example {at}");
        assert_eq!(compiled.unbounded_state().is_empty(), at > 0, "example {at}");
    }
}

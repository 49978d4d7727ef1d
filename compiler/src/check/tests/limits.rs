//! What is hard to see in a golden file: deep programs, settings, variables.

use std::collections::BTreeMap;

use flow_ir::physical::{ClockSetting, ErrorPolicy};

use super::{TestCatalog, checked, checked_with};
use crate::check::{CheckOptions, check};
use crate::source::SourceMap;

const STREAM: &str = "CREATE STREAM s (x BIGINT) WITH ('connector' = 'file', 'path' = 's', \
                      'format' = 'json');\n";

#[test]
fn deep_and_wide_expressions_check() {
    let nested = format!("{}x{}", "(1 + ".repeat(400), ")".repeat(400));
    let wide = vec!["x"; 5_000].join(" + ");
    for e in [nested, wide] {
        let program = format!("{STREAM}SELECT {e} AS y FROM s;");
        let found = checked(&program).short();
        assert!(found.is_empty() || found.contains("E0108"), "{found}");
    }
}

#[test]
fn what_nests_too_deeply_is_told() {
    let calls = format!("SELECT {}x{} AS y FROM s;", "ABS(".repeat(490), ")".repeat(490));
    assert_eq!(checked(&format!("{STREAM}{calls}")).short(), "");
    let queries = format!("{}s{};", "SELECT x FROM (".repeat(150), ")".repeat(150));
    let joins = format!("SELECT s.x FROM s{};", " JOIN s ON 1 = 1".repeat(5_000));
    for program in [queries, joins] {
        let found = checked(&format!("{STREAM}{program}")).short();
        assert!(found.contains("E0108"), "{found}");
    }
}

/// Every level reads the one below twice: work must not double with it.
#[test]
fn shared_views_cost_once() {
    let mut program = format!("{STREAM}CREATE VIEW v0 AS SELECT x FROM s;\n");
    for level in 1..60 {
        let below = level - 1;
        let view = if level % 2 == 0 {
            format!("SELECT x FROM v{below} UNION ALL SELECT x FROM v{below}")
        } else {
            format!("SELECT a.x FROM v{below} a JOIN v{below} b ON a.x = b.x")
        };
        program.push_str(&format!("CREATE VIEW v{level} AS {view};\n"));
    }
    program.push_str("SELECT COUNT(*) FROM v59 EMIT CHANGES;");
    assert_eq!(checked(&program).short(), "");
}

#[test]
fn settings_have_an_order() {
    let program = "SET 'job.shards' = '16'; SET 'commit.interval' = '1 s'; SET 'clock' = 'event';\n\
                   SET 'dead_letter' = 'bad'; SET 'pipeline.name' = 'mine';";
    let mut sources = SourceMap::new();
    let file = sources.add("s.flow", program);
    let (ast, _) = crate::syntax::parse(file, program);
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect::<BTreeMap<_, _>>()
    };
    let options = CheckOptions {
        overrides: map(&[("job.shards", "32")]),
        defaults: map(&[("commit.interval", "5 s"), ("epoch.max.records", "7")]),
        ..CheckOptions::default()
    };
    let (module, found) = check(&ast, &sources, &TestCatalog::new(), &options);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(module.name.as_deref(), Some("mine"));
    assert_eq!(module.settings.shards, 32);
    assert_eq!(module.settings.commit_interval_ms, 1_000);
    assert_eq!(module.settings.epoch_max_records, 7);
    assert_eq!(module.settings.clock, ClockSetting::Event);
    assert_eq!(module.settings.error_policy, ErrorPolicy::DeadLetter("bad".into()));
}

#[test]
fn a_bad_override_is_told() {
    let options = CheckOptions {
        overrides: BTreeMap::from([("job.shards".to_string(), "12".to_string())]),
        ..CheckOptions::default()
    };
    let found = checked_with("", &options).short();
    assert!(found.contains("E0709"), "{found}");
}

//! The examples of the functions, written into programs as users write them: their grammar and
//! their types. `tests/engines` calls them in native code.

use std::path::Path;

use flow::cases::{REGIMES, Regime, run_file};
use flow_stdlib::builtin::{self, Builtin, Volatility};
use libtest_mimic::{Failed, Trial};

/// Functions of one program.
const FUNCTIONS: usize = 24;
/// The regime. What has no columns is a constant, whose value is computed by the compiler.
const REGIME: &str = "b7-p4-spilled-native";

/// A test per some functions, named after the first of them.
pub(crate) fn trials() -> Vec<Trial> {
    let shown = |b: &&Builtin| b.volatility == Volatility::Immutable;
    let all: Vec<&'static Builtin> = builtin::all().filter(shown).collect();
    let trial = |part: &[&'static Builtin]| {
        let part = part.to_vec();
        let name = part[0].name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        Trial::test(format!("functions::{}", name.to_lowercase()), move || run(&part))
    };
    all.chunks(FUNCTIONS).map(trial).collect()
}

/// What an example prints as a text: BYTES have other texts there.
fn is_comparable(result: &str) -> bool {
    !result.contains("x'")
}

/// Whether a call is a value in SELECT, and not a row for each element.
fn is_value(expression: &str) -> bool {
    !expression.contains("_ARRAY_ELEMENTS") && !expression.contains("CUBE_EXPLODE")
}

fn run(part: &[&'static Builtin]) -> Result<(), Failed> {
    let examples = part.iter().flat_map(|b| b.examples);
    let examples = examples.filter(|(e, result)| is_value(e) && is_comparable(result));
    let (mut items, mut row) = (Vec::new(), serde_json::Map::new());
    for (at, (expression, result)) in examples.enumerate() {
        items.push(format!("  CAST({expression} AS STRING) AS e{at}"));
        let value = if *result == "NULL" { None } else { Some(*result) };
        row.insert(format!("e{at}"), value.into());
    }
    let text = format!(
        "=== flow\nCREATE STREAM s (one INT) WITH (connector = 'case');\nCREATE STREAM o WITH \
         (connector = 'case');\nINSERT INTO o SELECT\n{}\nFROM s;\n=== feed s\n{{\"one\":1}}\n\
         === expect o\n{}\n",
        items.join(",\n"),
        serde_json::Value::Object(row),
    );
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("examples.test");
    std::fs::write(&path, text).map_err(|e| e.to_string())?;
    told(&path)
}

fn told(path: &Path) -> Result<(), Failed> {
    let regime: Vec<Regime> = REGIMES.iter().filter(|r| r.name == REGIME).cloned().collect();
    if regime.is_empty() {
        return Err(format!("no regime is named {REGIME}").into());
    }
    let report = run_file(path, &regime, false);
    match report.failures.first() {
        None => Ok(()),
        Some(failure) => Err(failure.clone().into()),
    }
}

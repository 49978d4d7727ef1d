//! Rules about which module may name which.

use libtest_mimic::Failed;

use super::text::{lines_where, names};
use super::{Source, all_sources, sources};

/// The compiler's stages in order, with what each may name beside itself.
const STAGES: [(&str, &[&str]); 8] = [
    ("source", &[]),
    ("diagnostics", &["source"]),
    ("syntax", &["source", "diagnostics"]),
    ("check", &["source", "diagnostics", "syntax"]),
    ("plan", &["source", "diagnostics", "check", "scalar"]),
    ("optimize", &["source", "diagnostics", "scalar"]),
    ("lower", &["source", "diagnostics", "check", "scalar"]),
    ("codegen", &[]),
];

/// What operators must not name.
const NOT_IN_OPERATORS: [&str; 5] = ["tokio", "connect", "commit", "rocksdb", "rdkafka"];

/// Libraries with the only places that may name them.
const LIBRARY_HOMES: [(&str, &[&str]); 6] = [
    ("cranelift_codegen", &["compiler/src/codegen/"]),
    ("miette", &["compiler/src/diagnostics/render.rs"]),
    ("pest", &["compiler/src/syntax/"]),
    (
        "apache_avro",
        &[
            "compiler/schema/",
            "stdlib/tests/",
            "compiler/examples/",
            "tests/bench/",
            "tests/engines/",
        ],
    ),
    ("rdkafka", &["runtime/src/connect/kafka/", "tests/"]),
    ("rocksdb", &["runtime/src/state/", "runtime/src/connect/local/"]),
];

/// Stages of the compiler that name a later one.
pub(super) fn compiler_stages() -> Result<Vec<String>, Failed> {
    let mut broken = Vec::new();
    for (stage, may_name) in STAGES {
        let later: Vec<String> = STAGES
            .iter()
            .map(|(other, _)| *other)
            .chain(["scalar", "compile"])
            .filter(|other| *other != stage && !may_name.contains(other))
            .map(|other| format!("crate::{other}"))
            .collect();
        let inside = |file: &Source| {
            file.path.starts_with(&format!("compiler/src/{stage}/"))
                || file.path == format!("compiler/src/{stage}.rs")
        };
        let mut files = sources(&["compiler/src"])?;
        files.retain(|file| inside(file) && !is_test(&file.path));
        broken.extend(lines_where(without_tests(files), |_, line| {
            let code = line.split("//").next().unwrap_or(line);
            later.iter().any(|path| code.contains(path.as_str()))
        }));
    }
    Ok(broken)
}

/// Operators that name the outside world.
pub(super) fn operators() -> Result<Vec<String>, Failed> {
    let mut files = sources(&["runtime/src/ops"])?;
    files.retain(|file| !is_test(&file.path));
    Ok(lines_where(without_tests(files), |_, line| {
        NOT_IN_OPERATORS.iter().any(|word| names(line, word))
    }))
}

/// Libraries that are named outside their homes.
pub(super) fn library_homes() -> Result<Vec<String>, Failed> {
    let at_home = |path: &str, homes: &[&str]| homes.iter().any(|home| path.starts_with(home));
    let mut files = all_sources()?;
    files.retain(|file| !file.path.starts_with("tests/suite/tidy"));
    Ok(lines_where(files, |path, line| {
        let names_it = |library: &str| line.contains(&format!("{library}::"));
        LIBRARY_HOMES.iter().any(|(library, homes)| names_it(library) && !at_home(path, homes))
    }))
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// The files up to their tests.
fn without_tests(files: Vec<Source>) -> Vec<Source> {
    let cut = |file: Source| {
        let code = file.text.lines().take_while(|line| *line != "#[cfg(test)]");
        Source { text: code.collect::<Vec<_>>().join("\n"), path: file.path }
    };
    files.into_iter().map(cut).collect()
}

//! House rules that a test can hold. Each failure says where, and what to do instead.

mod arrows;
mod text;

use std::path::PathBuf;
use std::process::Command;

use flow_compiler::diagnostics::Code;
use libtest_mimic::{Failed, Trial};

use crate::in_repository;

/// A source file.
struct Source {
    /// Its path in the repository, with `/`.
    path: String,
    text: String,
}

/// A rule: what breaks it, one line each.
type Rule = fn() -> Result<Vec<String>, Failed>;

/// The rules, each with what to do where one is broken.
const RULES: &[(&str, Rule, &str)] = &[
    (
        "files_say_what_they_are_for",
        text::headless,
        "begin the file with `//!`: what it is for and what always holds",
    ),
    (
        "files_are_short",
        text::long_files,
        "split the file by subject into files of at most 600 lines without tests",
    ),
    (
        "functions_are_short",
        text::long_functions,
        "give a part of the function that has a meaning of its own a name: at most 70 lines each",
    ),
    ("lines_are_short", text::wide_lines, "break the line at 100 columns; cargo fmt does most"),
    (
        "unsafe_stays_in_its_files",
        text::unsafe_words,
        "do it without `unsafe`, or in a file of UNSAFE_HOMES in tests/suite/tidy/text.rs",
    ),
    (
        "compiler_stages_go_one_way",
        arrows::compiler_stages,
        "move what both stages need into the earlier one, or pass it as an argument",
    ),
    (
        "operators_do_no_io",
        arrows::operators,
        "give the operator what it needs through its context: operators are pure and synchronous",
    ),
    (
        "one_home_per_library",
        arrows::library_homes,
        "call the module that wraps the library instead of the library",
    ),
    (
        "codes_have_cases",
        codes_without_case,
        "write tests/cases/diagnostics/CODE_what.test with `=== errors`",
    ),
    (
        "codes_have_pages",
        codes_without_page,
        "write a page with a failing example and a right one, each after a line ```flow",
    ),
    (
        "checking_links_no_broker",
        heavy_crates,
        "put the dependency behind the feature `run` of the root package",
    ),
    ("architecture_names_what_exists", lost_paths, "correct the path in ARCHITECTURE.md"),
];

/// A test per rule.
pub(crate) fn trials() -> Vec<Trial> {
    let trial = |&(name, rule, remedy): &(&'static str, Rule, &'static str)| {
        Trial::test(format!("tidy::{name}"), move || {
            let broken = rule()?;
            match broken.is_empty() {
                true => Ok(()),
                false => Err(format!("{}\n\nTo do: {remedy}.", broken.join("\n")).into()),
            }
        })
    };
    RULES.iter().map(trial).collect()
}

/// The Rust files below these folders.
fn sources(folders: &[&str]) -> Result<Vec<Source>, Failed> {
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| in_repository(folder)).collect();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inner = path.strip_prefix(in_repository("")).unwrap_or(&path);
            let path = inner.to_string_lossy().replace('\\', "/");
            found.push(Source { text: std::fs::read_to_string(in_repository(&path))?, path });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Codes that no case file can show: E0119 takes a source of 16 MiB, the others a server's views or
/// a question to it. The compiler's tests have them.
const WITHOUT_CASE: [Code; 4] = [Code::E0119, Code::E0810, Code::E0811, Code::E0812];

/// All Rust files of the project.
fn all_sources() -> Result<Vec<Source>, Failed> {
    sources(&["compiler", "stdlib", "runtime", "src", "tests", "fuzz/fuzz_targets"])
}

fn codes_without_case() -> Result<Vec<String>, Failed> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(in_repository("tests/cases/diagnostics"))? {
        let path = entry?.path();
        cases.push((file_name(&path), std::fs::read_to_string(&path)?));
    }
    let shown = |code: &Code| {
        let start = format!("{code}_");
        let mut own = cases.iter().filter(|(name, _)| name.starts_with(&start));
        own.any(|(_, text)| {
            let rendered = text.split_once("=== errors").map_or("", |(_, rendered)| rendered);
            rendered.lines().any(|line| line.trim() == code.id())
        })
    };
    let lacking = Code::ALL.iter().filter(|code| !WITHOUT_CASE.contains(code) && !shown(code));
    Ok(lacking.map(|code| format!("{code}: no case renders it")).collect())
}

fn codes_without_page() -> Result<Vec<String>, Failed> {
    let lacking = Code::ALL.iter().filter(|code| code.examples().len() < 2);
    Ok(lacking.map(|code| format!("compiler/src/diagnostics/explain/{code}.md")).collect())
}

/// The crates that check, explain, build and fmt must do without.
fn heavy_crates() -> Result<Vec<String>, Failed> {
    let listed = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package=flow", "--no-default-features"])
        .args(["--edges=normal,build", "--prefix=none", "--format={p}"])
        .current_dir(in_repository(""))
        .output()?;
    if !listed.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&listed.stderr)).into());
    }
    let names = String::from_utf8(listed.stdout)?;
    let mut found: Vec<String> = names
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("rdkafka") || name.contains("rocksdb"))
        .map(|name| format!("flow --no-default-features links {name}"))
        .collect();
    found.dedup();
    Ok(found)
}

/// Words in backticks that look like paths of the repository and are none.
fn lost_paths() -> Result<Vec<String>, Failed> {
    let Ok(page) = std::fs::read_to_string(in_repository("ARCHITECTURE.md")) else {
        return Ok(Vec::new());
    };
    let mut lost = Vec::new();
    for (number, line) in page.lines().enumerate() {
        // Odd pieces stand between two backticks.
        for word in line.split('`').skip(1).step_by(2) {
            for path in text::expand_braces(word) {
                if text::looks_like_a_path(&path) && !in_repository(&path).exists() {
                    lost.push(format!("ARCHITECTURE.md:{}: {path}", number + 1));
                }
            }
        }
    }
    Ok(lost)
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

//! Programs in, typed modules and diagnostics out. A case is a file of `cases/`: the program under
//! `=== flow`, then what is expected under `=== typed` (the module) and `=== diagnostics` (one line
//! each). A program that begins with `-- asked` is a query that is asked once.
//! `BLESS=1 cargo test -p flow-compiler check` rewrites what is expected.

mod codes;
mod limits;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use flow_ir::types::{DataType, Field, Type};

use super::answer::{Answer, check_query};
use super::catalog::{Catalog, CatalogError, CatalogSchema, MemoryCatalog, RegistryRef};
use super::views::{IndexDecl, ViewDecl};
use super::{CheckOptions, check, print};
use crate::diagnostics::render::{RenderStyle, render};
use crate::diagnostics::{Diagnostic, has_errors};
use crate::source::SourceMap;

/// The registry of the tests: `sales-value` is a record of id (long) and amount (double).
struct TestCatalog {
    subjects: MemoryCatalog,
}

impl TestCatalog {
    fn new() -> Self {
        let sales = r#"{"type": "record", "name": "Sale", "namespace": "shop", "fields": [
            {"name": "id", "type": "long"}, {"name": "amount", "type": "double"}]}"#;
        let orders = r#"{"type": "record", "name": "Order", "fields": [
            {"name": "id", "type": "string"},
            {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal",
                "precision": 12, "scale": 2}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "note", "type": ["null", "string"], "default": null}]}"#;
        let subjects = [("sales-value", sales), ("avro_orders-value", orders)]
            .map(|(name, text)| (name.to_string(), text.to_string()));
        Self { subjects: MemoryCatalog { subjects: BTreeMap::from(subjects) } }
    }

    fn reach(&self, registry: &RegistryRef) -> Result<(), CatalogError> {
        match registry.url.as_deref() {
            Some(url) if url.contains("unreachable") => Err(CatalogError {
                message: format!("the schema registry at {url} does not answer"),
                help: None,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

impl Catalog for TestCatalog {
    fn subject(
        &self,
        registry: &RegistryRef,
        subject: &str,
    ) -> Result<Option<CatalogSchema>, CatalogError> {
        self.reach(registry)?;
        self.subjects.subject(registry, subject)
    }

    fn compatibility(
        &self,
        registry: &RegistryRef,
        subject: &str,
    ) -> Result<flow_schema::Level, CatalogError> {
        self.reach(registry)?;
        self.subjects.compatibility(registry, subject)
    }
}

/// A checked program.
struct Checked {
    typed: String,
    found: Vec<Diagnostic>,
    sources: SourceMap,
}

impl Checked {
    fn short(&self) -> String {
        let mut out = String::new();
        for line in render(&self.found, &self.sources, RenderStyle::Short).lines() {
            writeln!(out, "{line}").expect("a String takes all");
        }
        out
    }
}

fn checked_with(text: &str, options: &CheckOptions) -> Checked {
    let mut sources = SourceMap::new();
    let file = sources.add("test.flow", text);
    let (ast, syntax) = crate::syntax::parse(file, text);
    let (module, mut found) = check(&ast, &sources, &TestCatalog::new(), options);
    found.extend(syntax);
    let typed = if has_errors(&found) { String::new() } else { print(&module) };
    Checked { typed, found, sources }
}

/// The surroundings of the tests: a variable, and a server whose job `sales` keeps two views.
fn options() -> CheckOptions {
    let variables = [("TOPIC", "from-variable")].map(|(k, v)| (k.to_string(), v.to_string()));
    let decimal = DataType::Decimal { precision: 38, scale: 2 };
    let columns = vec![
        Field::new("customer", Type::nullable(DataType::String)),
        Field::new("total", Type::nullable(decimal)),
        Field::new("changed", Type::nullable(DataType::Timestamp { precision: 3 })),
    ];
    let view = |name: &str, primary_key: Option<Vec<usize>>| ViewDecl {
        name: name.to_string(),
        job: "sales".to_string(),
        table: format!("{name}/rows"),
        columns: columns.clone(),
        primary_key,
        indexes: vec![IndexDecl { name: format!("{name}_by_total"), columns: vec![1] }],
    };
    let views = vec![view("totals", Some(vec![0])), view("visits", None)];
    CheckOptions { variables: variables.into(), views, ..CheckOptions::default() }
}

fn checked(text: &str) -> Checked {
    checked_with(text, &options())
}

/// A query that is asked once: its module, then what becomes of its rows.
fn asked(text: &str) -> Checked {
    let mut sources = SourceMap::new();
    let file = sources.add("test.flow", text);
    let (ast, syntax) = crate::syntax::parse(file, text);
    let (module, answer, mut found) = check_query(&ast, &sources, &TestCatalog::new(), &options());
    found.extend(syntax);
    let whole = |answer| format!("{}{}", print(&module), answer_text(answer));
    let typed = answer.as_ref().filter(|_| !has_errors(&found)).map_or_else(String::new, whole);
    Checked { typed, found, sources }
}

fn answer_text(answer: &Answer) -> String {
    let order = answer.order.iter().map(|(column, direction)| {
        let descending = if direction.descending { " desc" } else { "" };
        let nulls_first = if direction.nulls_first { " nulls first" } else { "" };
        format!("{column}{descending}{nulls_first}")
    });
    let order = order.collect::<Vec<_>>().join(", ");
    let limit = answer.limit.map_or(String::new(), |limit| format!(", limit {limit}"));
    let subscribe = if answer.subscribe { ", and changes" } else { "" };
    let (shown, offset) = (answer.visible, answer.offset);
    format!("answer: {shown} shown, order [{order}]{limit}, offset {offset}{subscribe}\n")
}

/// Compares with what a file holds, or rewrites it.
fn expect(path: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, actual).expect("a writable test folder");
        return Ok(());
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    Err(format!("{} differs; it should hold:\n{actual}", path.display()))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check/tests")
}

/// The program of a case, up to the first `===` line behind `=== flow`.
fn program(case: &str) -> &str {
    let body = case.split_once("=== flow\n").map_or(case, |(_, body)| body);
    body.split("\n===").next().unwrap_or(body)
}

fn outcome(program: &str) -> String {
    let asks = program.starts_with("-- asked");
    let checked = if asks { asked(program) } else { checked(program) };
    let mut out = format!("=== flow\n{program}\n");
    for (title, text) in [("typed", checked.typed.clone()), ("diagnostics", checked.short())] {
        if !text.is_empty() {
            write!(out, "=== {title}\n{text}").expect("a String takes all");
        }
    }
    out
}

#[test]
fn cases() {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder().join("cases"))
        .expect("the cases are part of the crate")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() > 20, "{} cases", paths.len());
    let mut failures = Vec::new();
    for path in paths {
        let case = std::fs::read_to_string(&path).expect("a readable case");
        failures.extend(expect(&path, &outcome(program(&case).trim_end())).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The Nexmark queries in Flink's words have no errors.
#[test]
fn nexmark_is_clean() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder().join("cases")).expect("the cases") {
        let path = entry.expect("a readable entry").path();
        if !path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("nexmark")) {
            continue;
        }
        count += 1;
        let case = std::fs::read_to_string(&path).expect("a readable case");
        let checked = checked(program(&case));
        assert!(!has_errors(&checked.found), "{}: {}", path.display(), checked.short());
    }
    assert_eq!(count, 11);
}

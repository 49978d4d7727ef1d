//! Programs and the plans that come of them: each file of `plans/` holds a program, its optimised
//! logical plan and its job graph. `BLESS=1` writes what is, and the diff is for reviewers.
//! Programs named `nexmark_…` have the benchmark's declarations before them. Whatever the checker's
//! own cases accept must come through as well.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use flow_compiler::check::catalog::MemoryCatalog;
use flow_compiler::compile::{CompileOptions, Compiled, compile};
use flow_compiler::lower::explain_graph;
use flow_compiler::optimize::{OptimizeOptions, pass_names};
use flow_compiler::source::SourceMap;
use flow_ir::ids::NodeId;
use flow_ir::logical::{LogicalOp, explain};
use flow_ir::physical::{Partitioning, PhysicalOp};

const LOGICAL: &str = "=== optimized\n";
const PHYSICAL: &str = "=== physical\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

fn compile_program(name: &str, program: &str, without: &[&str]) -> Compiled {
    let mut sources = SourceMap::new();
    if name.starts_with("nexmark_") {
        let text = std::fs::read_to_string(folder().join("nexmark.flow"));
        sources.add("nexmark.flow", text.expect("the declarations are there"));
    }
    sources.add(format!("{name}.flow"), program);
    let optimize = OptimizeOptions { without: without.iter().map(ToString::to_string).collect() };
    let options = CompileOptions { optimize, ..CompileOptions::default() };
    compile(&sources, &MemoryCatalog::default(), &options).unwrap_or_else(|found| {
        let mut text = String::new();
        for diagnostic in found {
            let place = sources.place(diagnostic.at.span);
            writeln!(text, "{place}: {}", diagnostic.message).expect("a string takes it");
        }
        panic!("{name} does not compile:\n{text}")
    })
}

/// The programs: name, text, expected plans.
fn cases() -> Vec<(String, String, String)> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder()).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_some_and(|e| e == "plan") {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let at = text.find(LOGICAL).unwrap_or(text.len());
            let name = path.file_stem().expect("it has a name").to_string_lossy().to_string();
            cases.push((name, text[..at].to_string(), text[at..].to_string()));
        }
    }
    cases.sort();
    assert!(cases.len() >= 10, "the programs are found");
    cases
}

#[test]
fn programs_have_these_plans() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, program, expected) in cases() {
        let compiled = compile_program(&name, &program, &[]);
        let logical = explain(&compiled.optimized);
        let physical = explain_graph(&compiled.graph);
        let found = format!("{LOGICAL}{logical}{PHYSICAL}{physical}");
        if bless {
            let text = format!("{program}{found}");
            std::fs::write(folder().join(format!("{name}.plan")), text).expect("can be written");
        } else if found != expected {
            wrong.push(format!("{name}:\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_program_lowers_without_each_pass_and_without_all() {
    let all: Vec<&str> = pass_names().collect();
    for (name, program, _) in cases() {
        for pass in &all {
            compile_program(&name, &program, &[pass]);
        }
        let compiled = compile_program(&name, &program, &all);
        assert!(compiled.passes.is_empty());
        assert_eq!(explain(&compiled.optimized), explain(&compiled.logical));
    }
}

#[test]
fn state_keeps_its_identity_whatever_passes_run() {
    for (name, program, _) in cases() {
        let identities = |without: &[&str]| {
            let plan = compile_program(&name, &program, without).optimized;
            let keeps_state = |id: &NodeId| match plan.node(*id).op {
                LogicalOp::Join(_)
                | LogicalOp::Session(_)
                | LogicalOp::Aggregate(_)
                | LogicalOp::Deduplicate(_)
                | LogicalOp::TopN(_)
                | LogicalOp::Over(_)
                | LogicalOp::Normalize(_)
                | LogicalOp::Materialize(_) => true,
                LogicalOp::Scan(_)
                | LogicalOp::Filter(_)
                | LogicalOp::Project(_)
                | LogicalOp::Window(_)
                | LogicalOp::Unnest(_)
                | LogicalOp::Union(_)
                | LogicalOp::Late(_)
                | LogicalOp::Sink(_) => false,
            };
            let nodes = plan.order().into_iter().filter(keeps_state);
            nodes.map(|id| plan.node(id).identity).collect::<BTreeSet<u64>>()
        };
        let with_all = identities(&[]);
        assert!(!with_all.contains(&0), "{name}: each has one");
        for pass in pass_names() {
            assert_eq!(identities(&[pass]), with_all, "{name} without {pass}");
        }
    }
}

#[test]
fn state_keeps_its_identity_when_another_query_reads_whole_rows() {
    let mut programs = cases().into_iter().filter(|case| case.0 == "nested_views");
    let (name, program, _) = programs.next().expect("the program is there");
    let identities = |program: &str| {
        let vertices = compile_program(&name, program, &[]).graph.vertices.into_iter();
        let stateful = vertices.filter(|vertex| !vertex.op.tables().is_empty());
        stateful.map(|vertex| vertex.identity).collect::<Vec<u64>>()
    };
    let more = "CREATE STREAM all_of_it WITH (connector = 'case'); \
                INSERT INTO all_of_it SELECT * FROM nexmark;";
    let before = identities(&program);
    assert!(before.len() >= 3, "it keeps state: {before:?}");
    assert_eq!(identities(&format!("{program}{more}")), before);
}

/// The programs of the checker's cases.
fn checked_programs() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check/tests/cases");
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let program = text.strip_prefix("=== flow\n").expect("a case begins with its program");
        let end = program.find("\n===").unwrap_or(program.len());
        let name = path.file_stem().expect("it has a name").to_string_lossy().to_string();
        programs.push((name, program[..end].to_string()));
    }
    programs.sort();
    programs
}

#[test]
fn what_the_checker_accepts_has_a_graph_with_and_without_passes() {
    let mut compiled = 0;
    for (name, program) in checked_programs() {
        let mut sources = SourceMap::new();
        sources.add(format!("{name}.flow"), program);
        let without = pass_names().map(str::to_string).collect();
        for optimize in [OptimizeOptions::default(), OptimizeOptions { without }] {
            let options = CompileOptions { optimize, ..CompileOptions::default() };
            let done = compile(&sources, &MemoryCatalog::default(), &options);
            compiled += usize::from(done.is_ok());
        }
    }
    assert!(compiled > 40, "{compiled} compiled");
}

#[test]
fn the_same_program_gives_the_same_artifact() {
    for (name, program, _) in cases() {
        let artifact = || flow_ir::physical::encode(&compile_program(&name, &program, &[]).graph);
        let bytes = artifact();
        assert_eq!(bytes, artifact(), "{name}");
        let read = flow_ir::physical::decode(&bytes).expect("an artifact can be read");
        assert_eq!(flow_ir::physical::encode(&read), bytes, "{name}");
    }
}

/// Of each exchange of a query over a stream `s (a, b, n)`, whether it moves nothing.
fn settled(query: &str) -> Vec<bool> {
    let program = format!(
        "CREATE STREAM s (a INT, b INT, n INT) WITH (connector = 'datagen');
         CREATE STREAM o WITH (connector = 'blackhole');
         INSERT INTO o {query};"
    );
    let graph = compile_program("settled", &program, &[]).graph;
    let edges = graph.edges.iter().zip(graph.settled_edges());
    let exchanges = edges.filter(|(edge, _)| matches!(edge.partitioning, Partitioning::Hash(_)));
    exchanges.map(|(_, settled)| settled).collect()
}

#[test]
fn exchanges_that_move_nothing_are_known() {
    let by_a = "(SELECT a, COUNT(*) AS n FROM s GROUP BY a)";
    let by_both = "(SELECT a, b, COUNT(*) AS n FROM s GROUP BY a, b)";
    let max = |of: &str, by: &str| format!("SELECT {by}, MAX(n) AS m FROM {of} AS q GROUP BY {by}");
    assert_eq!(settled(&max(by_a, "a")), [false, true]);
    assert_eq!(settled(&max(by_both, "a")), [false, false], "a part of the key");
    assert_eq!(settled(&max(by_both, "b, a")), [false, false], "another order of it");
    let join = |kind: &str| {
        let to = format!("{kind} JOIN {by_both} AS r ON l.a = r.b");
        format!("(SELECT l.a, r.n FROM {by_a} AS l {to})")
    };
    assert_eq!(settled(&max(&join("LEFT"), "a")), [false, false, true, false, true]);
    assert_eq!(settled(&max(&join("FULL"), "a")), [false, false, true, false, false]);
}

/// Each view reads a column of the one below twice: what a condition would become over the first
/// doubles with each.
#[test]
fn conditions_over_views_of_views_stay_small() {
    let with = "WITH ('connector' = 'file', 'path' = 's', 'format' = 'json')";
    let mut program = format!("CREATE STREAM s (a BIGINT, b STRING) {with};\n");
    program += "CREATE VIEW v0 AS SELECT a, b FROM s;\n";
    for level in 1..200 {
        let below = level - 1;
        let view = format!("SELECT a * a AS a, b FROM v{below} WHERE a > {level}");
        writeln!(program, "CREATE VIEW v{level} AS {view};").expect("a string takes it");
    }
    program += "CREATE STREAM o WITH ('connector' = 'blackhole');\n";
    program += "INSERT INTO o SELECT * FROM v199 WHERE b = 'x';\n";
    let graph = compile_program("views", &program, &[]).graph;
    let instructions = |op: &PhysicalOp| match op {
        PhysicalOp::Map(map) => map.kernel.program.insts.len(),
        _ => 0,
    };
    let count: usize = graph.vertices.iter().map(|vertex| instructions(&vertex.op)).sum();
    assert!((200..20_000).contains(&count), "{count}");
}

//! Queries that are asked once and the graphs that come of them: each `.plan` of `asked/` holds a
//! query over the views of `asked/views.flow`, its job graph and what becomes of its rows.
//! `BLESS=1` writes what is, and the diff is for reviewers.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use flow_compiler::check::CheckOptions;
use flow_compiler::check::catalog::MemoryCatalog;
use flow_compiler::check::views::{IndexDecl, ViewDecl, views_of};
use flow_compiler::compile::{CompileOptions, Compiled, CompiledQuery, compile, compile_query};
use flow_compiler::diagnostics::Diagnostic;
use flow_compiler::lower::explain_graph;
use flow_compiler::optimize::{OptimizeOptions, pass_names};
use flow_compiler::source::SourceMap;
use flow_ir::connector;
use flow_ir::physical::PhysicalOp;

const PHYSICAL: &str = "=== physical\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/asked")
}

fn job() -> Compiled {
    let mut sources = SourceMap::new();
    let text = std::fs::read_to_string(folder().join("views.flow"));
    sources.add("bank.flow", text.expect("the views are there"));
    let compiled = compile(&sources, &MemoryCatalog::default(), &CompileOptions::default());
    compiled.expect("the views compile")
}

fn ask(text: &str, without: &[&str]) -> Result<CompiledQuery, Vec<Diagnostic>> {
    let mut sources = SourceMap::new();
    sources.add("query.flow", text);
    let check = CheckOptions { views: views_of(&job().graph), ..CheckOptions::default() };
    let without = without.iter().map(ToString::to_string).collect();
    let optimize = OptimizeOptions { without };
    let options = CompileOptions { check, optimize, asked_at: None };
    compile_query(&sources, &MemoryCatalog::default(), &options)
}

fn asked(name: &str, text: &str, without: &[&str]) -> CompiledQuery {
    ask(text, without).unwrap_or_else(|found| panic!("{name}: {found:?}"))
}

fn cases() -> Vec<(String, String, String)> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder()).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_some_and(|e| e == "plan") {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let at = text.find(PHYSICAL).unwrap_or(text.len());
            let name = path.file_stem().expect("it has a name").to_string_lossy().to_string();
            cases.push((name, text[..at].to_string(), text[at..].to_string()));
        }
    }
    cases.sort();
    assert!(cases.len() >= 10, "the queries are found");
    cases
}

fn outcome(query: &CompiledQuery) -> String {
    let mut out = format!("{PHYSICAL}{}=== answer\n", explain_graph(&query.graph));
    for column in &query.columns {
        writeln!(out, "{} {}", column.name, column.ty).expect("a string takes it");
    }
    let order = query.order.iter().map(|(column, direction)| {
        let descending = if direction.descending { " desc" } else { "" };
        let nulls_first = if direction.nulls_first { " nulls first" } else { "" };
        format!("{column}{descending}{nulls_first}")
    });
    let order = order.collect::<Vec<_>>().join(", ");
    let limit = query.limit.map_or("none".into(), |limit| limit.to_string());
    writeln!(out, "order [{order}] limit {limit} offset {}", query.offset).expect("likewise");
    let reads = query.reads.join(", ");
    let (streams, subscribe) = (query.streams, query.subscribe);
    writeln!(out, "reads [{reads}] streams {streams} subscribe {subscribe}").expect("likewise");
    out
}

#[test]
fn queries_have_these_graphs() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, text, expected) in cases() {
        let found = outcome(&asked(&name, &text, &[]));
        if bless {
            let path = folder().join(format!("{name}.plan"));
            std::fs::write(path, format!("{text}{found}")).expect("it can be written");
        } else if found != expected {
            wrong.push(format!("{name}:\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_query_lowers_without_passes_and_answers_alike() {
    let all: Vec<&str> = pass_names().collect();
    for (name, text, _) in cases() {
        let with = asked(&name, &text, &[]);
        let bare = asked(&name, &text, &all);
        assert_eq!((&with.columns, &with.order), (&bare.columns, &bare.order), "{name}");
        assert_eq!((with.reads, with.streams), (bare.reads, bare.streams), "{name}");
    }
}

#[test]
fn every_graph_ends_in_one_answer_and_names_the_job_of_each_view() {
    for (name, text, _) in cases() {
        let graph = asked(&name, &text, &[]).graph;
        let mut answers = 0;
        for vertex in &graph.vertices {
            match &vertex.op {
                PhysicalOp::Sink(sink) => {
                    answers += 1;
                    assert_eq!(graph.stream(sink.stream).connector, connector::ANSWER, "{name}");
                }
                PhysicalOp::Source(source) => {
                    let stream = graph.stream(source.stream);
                    let is_view = stream.connector == connector::VIEW;
                    let job = stream.option(connector::VIEW_JOB);
                    assert_eq!(job, is_view.then_some("bank"), "{name}");
                }
                _ => {}
            }
        }
        assert_eq!(answers, 1, "{name}");
    }
}

#[test]
fn a_job_tells_its_views() {
    let views = views_of(&job().graph);
    let names: Vec<&str> = views.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(names, ["account", "branches", "openings"]);
    let account: &ViewDecl = &views[0];
    assert_eq!(account.job, "bank");
    assert_eq!(account.primary_key, Some(vec![0]));
    assert_eq!(account.columns.len(), 6);
    let index = |name: &str, columns: &[usize]| IndexDecl {
        name: name.to_string(),
        columns: columns.to_vec(),
    };
    let expected = [index("account_by_owner", &[1, 4]), index("account_by_branch", &[2, 3])];
    assert_eq!(account.indexes, expected);
    assert_eq!(views[2].primary_key, None, "rows are counted");
}

fn read_by(name: &str, text: &str) -> Result<Compiled, Vec<Diagnostic>> {
    let mut sources = SourceMap::new();
    sources.add(format!("{name}.flow"), text);
    let check = CheckOptions { views: views_of(&job().graph), ..CheckOptions::default() };
    let options = CompileOptions { check, ..CompileOptions::default() };
    compile(&sources, &MemoryCatalog::default(), &options)
}

#[test]
fn a_program_reads_the_view_of_another_job_as_a_table() {
    let text = "CREATE MATERIALIZED VIEW rich AS
        SELECT a.id, a.owner, b.balance
        FROM account a JOIN bank.branches b ON a.branch = b.branch;";
    let graph = read_by("reader", text).expect("it compiles").graph;
    let read: Vec<(&str, &str)> =
        graph.views_read().into_iter().map(|(job, view)| (job, view.name.as_str())).collect();
    assert_eq!(read, [("bank", "bank.account"), ("bank", "bank.branches")]);
    let views = views_of(&job().graph);
    for (view, (_, stream)) in views.iter().zip(graph.views_read()) {
        assert_eq!(stream.option(connector::VIEW_TABLE), Some(view.table.as_str()));
        assert_eq!(Some(stream.primary_key.clone()), view.primary_key);
    }
    let normalizes = graph.vertices.iter().filter(|v| matches!(v.op, PhysicalOp::Normalize(_)));
    assert_eq!(normalizes.count(), 2, "{}", explain_graph(&graph));
    let own: Vec<String> = views_of(&graph).into_iter().map(|view| view.name).collect();
    assert_eq!(own, ["rich"], "what it reads is none of its own views");
}

#[test]
fn a_view_of_one_row_is_a_table_of_one_row() {
    let mut sources = SourceMap::new();
    let text = std::fs::read_to_string(folder().join("views.flow")).expect("the views are there");
    let text = text + "CREATE MATERIALIZED VIEW all_of_it AS SELECT COUNT(*) AS n FROM accounts;";
    sources.add("bank.flow", text);
    let bank = compile(&sources, &MemoryCatalog::default(), &CompileOptions::default());
    let views = views_of(&bank.expect("the views compile").graph);
    assert_eq!(views.last().expect("it is there").primary_key, Some(vec![]));
    let mut sources = SourceMap::new();
    sources
        .add("reader.flow", "CREATE MATERIALIZED VIEW half AS SELECT n / 2 AS n FROM all_of_it;");
    let check = CheckOptions { views, ..CheckOptions::default() };
    let options = CompileOptions { check, ..CompileOptions::default() };
    let graph = compile(&sources, &MemoryCatalog::default(), &options).expect("it compiles").graph;
    let normalizes = graph.vertices.iter().any(|v| matches!(v.op, PhysicalOp::Normalize(_)));
    assert!(normalizes, "{}", explain_graph(&graph));
}

#[test]
fn state_over_a_view_changes_its_identity_with_the_view() {
    let text = "CREATE MATERIALIZED VIEW n AS SELECT branch, balance FROM branches;";
    let identities = |graph: &flow_ir::physical::JobGraph| {
        graph.tables.iter().map(|table| graph.table_name(table)).collect::<Vec<String>>()
    };
    let before = read_by("reader", text).expect("it compiles").graph;
    let mut sources = SourceMap::new();
    sources.add("reader.flow", text);
    let mut views = views_of(&job().graph);
    views.iter_mut().for_each(|view| view.table.push_str("-changed"));
    let check = CheckOptions { views, ..CheckOptions::default() };
    let options = CompileOptions { check, ..CompileOptions::default() };
    let after = compile(&sources, &MemoryCatalog::default(), &options).expect("it compiles").graph;
    assert!(identities(&before).iter().zip(identities(&after)).all(|(old, new)| *old != new));
}

fn refused(name: &str, text: &str) -> Vec<&'static str> {
    let found = read_by(name, text).expect_err("it is refused");
    found.iter().map(|d| d.code.id()).collect()
}

#[test]
fn the_views_of_the_own_job_are_not_read() {
    let itself = "SET 'job.name' = 'bank'; SELECT * FROM account;";
    assert_eq!(refused("bank", itself), ["E0201"]);
}

#[test]
fn a_view_whose_rows_are_counted_is_read_with_their_numbers() {
    // No column is left out: all of them tell which row it is.
    let text = "CREATE MATERIALIZED VIEW n AS SELECT COUNT(*) AS n FROM openings;";
    let graph = read_by("reader", text).expect("it compiles").graph;
    let views = views_of(&job().graph);
    let openings = views.iter().find(|view| view.name == "openings").expect("it is there");
    let all: Vec<usize> = (0..openings.columns.len()).collect();
    let [(_, stream)] = graph.views_read()[..] else { panic!("one view is read") };
    assert_eq!(stream.primary_key, all);
    let normalize = graph.vertices.iter().find_map(|vertex| match &vertex.op {
        PhysicalOp::Normalize(op) => Some((op.clone(), &graph.tables[op.rows.index()])),
        _ => None,
    });
    let (op, table) = normalize.expect("it is a table");
    assert_eq!((op.keys, op.weight), (all.clone(), Some(all.len() + 1)));
    assert_eq!((table.key.len(), table.value.len()), (all.len(), 1));
    // Equal rows are no duplicates: DISTINCT is not left out.
    let distinct = "CREATE MATERIALIZED VIEW d AS SELECT DISTINCT * FROM openings;";
    let graph = read_by("reader", distinct).expect("it compiles").graph;
    let groups = graph.vertices.iter().any(|v| matches!(v.op, PhysicalOp::GroupAggregate(_)));
    assert!(groups, "{}", explain_graph(&graph));
}

#[test]
fn a_view_has_no_versions() {
    let join =
        "CREATE STREAM visits (account BIGINT, ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
          WATERMARK FOR ts AS ts) WITH (connector = 'kafka', format = 'json');
        SELECT v.account FROM visits AS v
        JOIN account FOR SYSTEM_TIME AS OF v.ts AS a ON v.account = a.id;";
    assert_eq!(refused("reader", join), ["E0810"]);
    let found = ask(join, &[]).expect_err("nor in a question");
    assert_eq!(found.iter().map(|d| d.code.id()).collect::<Vec<_>>(), ["E0810"]);
}

/// From when on a question over a stream reads, asked at 1,000 seconds.
fn since(condition: &str) -> Option<i64> {
    let mut sources = SourceMap::new();
    sources.add(
        "query.flow",
        format!(
            "CREATE STREAM s (k BIGINT, at TIMESTAMP_LTZ(3) METADATA FROM 'timestamp')
             WITH (connector = 'kafka', format = 'json');
             SELECT k FROM s WHERE {condition};"
        ),
    );
    let options = CompileOptions { asked_at: Some(1_000_000_000), ..CompileOptions::default() };
    let query = compile_query(&sources, &MemoryCatalog::default(), &options);
    let query = query.unwrap_or_else(|found| panic!("{condition}: {found:?}"));
    let sources = query.graph.vertices.iter().filter_map(|vertex| match &vertex.op {
        PhysicalOp::Source(source) => Some(source.since),
        _ => None,
    });
    sources.collect::<Vec<_>>()[0]
}

#[test]
fn a_question_over_a_stream_begins_where_its_time_does() {
    let seconds = |n: i64| Some(n * 1_000_000);
    let at = |n: u32| format!("CAST('1970-01-01 00:00:{n:02}Z' AS TIMESTAMP_LTZ(3))");
    assert_eq!(since(&format!("at >= {}", at(7))), seconds(7));
    assert_eq!(since(&format!("k > 3 AND at > {} AND at < {}", at(7), at(9))), seconds(7));
    assert_eq!(since(&format!("at BETWEEN {} AND {}", at(7), at(9))), seconds(7));
    assert_eq!(since(&format!("{} <= at AND at = {}", at(7), at(9))), seconds(9));
    assert_eq!(since("at > NOW() - INTERVAL '10' MINUTE"), seconds(400));
    assert_eq!(since("NOW() + INTERVAL '1' SECOND < at"), seconds(1_001));
    // Records before such a time may be wanted.
    for open in [
        &format!("at <= {}", at(7)),
        &format!("at >= {} OR k = 1", at(7)),
        "k = 7",
        "at + INTERVAL '1' HOUR > NOW()",
        &format!("at > {} - (NOW() - {})", at(7), at(1)),
    ] {
        assert_eq!(since(open), None, "{open}");
    }
}

#[test]
fn the_whole_stream_is_read_where_its_watermark_counts() {
    let mut sources = SourceMap::new();
    sources.add(
        "query.flow",
        "CREATE STREAM s (k BIGINT, at TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
           WATERMARK FOR at AS at) WITH (connector = 'kafka', format = 'json');
         SELECT window_end, COUNT(*) AS n
         FROM TABLE(TUMBLE(TABLE s, DESCRIPTOR(at), INTERVAL '1' MINUTE))
         WHERE at > NOW() - INTERVAL '10' MINUTE GROUP BY window_start, window_end;",
    );
    let options = CompileOptions { asked_at: Some(1_000_000_000), ..CompileOptions::default() };
    let query = compile_query(&sources, &MemoryCatalog::default(), &options).expect("it compiles");
    let whole = |vertex: &flow_ir::physical::Vertex| match &vertex.op {
        PhysicalOp::Source(source) => source.since.is_none() && source.watermark.is_some(),
        _ => false,
    };
    assert!(query.graph.vertices.iter().any(whole), "{}", explain_graph(&query.graph));
}

#[test]
fn a_program_names_its_own_view_before_that_of_another_job() {
    let text = "CREATE STREAM account (x BIGINT) WITH (connector = 'kafka', format = 'json');
        SELECT x FROM account;";
    let query = asked("own", text, &[]);
    assert!(query.streams && query.reads.is_empty());
    let qualified = asked("qualified", "SELECT id FROM bank.account;", &[]);
    assert_eq!(qualified.reads, ["account"]);
    let found = ask("SELECT id FROM shop.account;", &[]).expect_err("there is no such job");
    assert_eq!(found.len(), 1);
}

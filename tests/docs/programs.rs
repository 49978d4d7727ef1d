//! Programs of the book: compiled, asked, or run as cases.

use std::collections::BTreeMap;

use flow::cases::{REGIMES, run_file};
use flow::catalog::RegistryCatalog;
use flow::driver::{Additions, compile_among};
use flow::registries::Registries;
use flow_compiler::check::views::{ViewDecl, views_of};
use flow_compiler::compile::{CompileOptions, Compiled, compile_query};
use flow_compiler::diagnostics::Diagnostic;
use flow_compiler::diagnostics::render::{RenderStyle, render};
use flow_compiler::source::SourceMap;
use flow_registry::Schema;
use libtest_mimic::{Failed, Trial};

use crate::block::{Block, Page};
use crate::in_repository;

/// Schemas that programs of the book find in their registry: those of `examples/orders`.
const SCHEMAS: [&str; 3] = ["customers", "orders", "payments"];

/// What a block that only declares is warned of.
const NOTHING_RUNS: &str = "W0805";

/// A test per program.
pub(crate) fn trials(page: &'static Page) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (index, block) in page.blocks.iter().enumerate() {
        if block.language != "flow" {
            continue;
        }
        let name = format!("{}:{}", page.name, block.line);
        trials.push(match block.is("case") {
            true => Trial::test(format!("case::{name}"), move || case(page, index)),
            false => Trial::test(format!("program::{name}"), move || program(page, index)),
        });
    }
    trials
}

/// The programs that a block goes on from, in order.
fn before(page: &Page, index: usize) -> String {
    let mut chain = Vec::new();
    for block in page.blocks[..index].iter().rev() {
        let compiles = ["fails", "warns", "each"].iter().all(|name| block.value(name).is_none());
        if block.language != "flow"
            || !compiles
            || ["asked", "reads", "case"].iter().any(|name| block.is(name))
        {
            continue;
        }
        chain.push(block.text.as_str());
        if !block.is("continues") {
            break;
        }
    }
    chain.reverse();
    chain.concat()
}

/// Compiles a block, and compares what is said of it.
fn program(page: &Page, index: usize) -> Result<(), Failed> {
    let block = &page.blocks[index];
    if let Some(code) = block.value("each") {
        let first = before(page, index);
        let mut statements = block.text.split_inclusive(";\n");
        return statements.try_for_each(|one| says(page, index, &first, one, &[code]));
    }
    let first = if block.is("continues") { before(page, index) } else { String::new() };
    let wanted: Vec<&str> = block.value("fails").or(block.value("warns")).into_iter().collect();
    says(page, index, &first, &block.text, &wanted)
}

/// Whether a program of a block gives just these codes.
fn says(page: &Page, index: usize, first: &str, text: &str, wanted: &[&str]) -> Result<(), Failed> {
    let block = &page.blocks[index];
    let folder = registry()?;
    let registries = Registries::with_local(Some(folder.path()));
    let mut sources = SourceMap::new();
    let found = if block.is("asked") {
        ask(page, index, &registries, &mut sources)?
    } else {
        sources.add(title(page, block), format!("{first}{text}"));
        let views = if block.is("reads") { views(page, index, &registries)? } else { Vec::new() };
        match compiled(&sources, &registries, views) {
            Ok(compiled) => compiled.diagnostics,
            Err(diagnostics) => diagnostics,
        }
    };
    let rendered = render(&found, &sources, RenderStyle::Plain);
    let codes: Vec<&str> =
        found.iter().map(|d| d.code.id()).filter(|code| *code != NOTHING_RUNS).collect();
    match codes == wanted {
        true => Ok(()),
        false => Err(format!("{text}\nexpected {wanted:?}, and it gives:\n{rendered}").into()),
    }
}

fn title(page: &Page, block: &Block) -> String {
    format!("{}:{}", page.name, block.line)
}

fn compiled(
    sources: &SourceMap,
    registries: &Registries,
    views: Vec<ViewDecl>,
) -> Result<Compiled, Vec<Diagnostic>> {
    let additions = Additions { views, ..Additions::default() };
    compile_among(sources, registries, &additions, BTreeMap::new())
}

/// The views that the programs before a block keep.
fn views(page: &Page, index: usize, registries: &Registries) -> Result<Vec<ViewDecl>, Failed> {
    let mut job = SourceMap::new();
    job.add("job", before(page, index));
    match compiled(&job, registries, Vec::new()) {
        Ok(kept) => Ok(views_of(&kept.graph)),
        Err(found) => {
            let rendered = render(&found, &job, RenderStyle::Plain);
            Err(format!("the programs before it:\n{rendered}").into())
        }
    }
}

/// Compiles a question to the views of the programs before it.
fn ask(
    page: &Page,
    index: usize,
    registries: &Registries,
    sources: &mut SourceMap,
) -> Result<Vec<Diagnostic>, Failed> {
    let mut options = CompileOptions::default();
    options.check.views = views(page, index, registries)?;
    let block = &page.blocks[index];
    sources.add(title(page, block), block.text.clone());
    match compile_query(sources, &RegistryCatalog::new(registries), &options) {
        Ok(_) => Ok(Vec::new()),
        Err(found) => Ok(found),
    }
}

/// A folder with a registry that has the schemas of the example.
fn registry() -> Result<tempfile::TempDir, Failed> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir_all(folder.path().join("schemas"))?;
    let registry = Registries::of_folder(folder.path()).map_err(|e| e.to_string())?;
    for name in SCHEMAS {
        let path = format!("examples/orders/schemas/{name}-value.avsc");
        let schema = std::fs::read_to_string(in_repository(&path))?;
        let schema = Schema::avro(&schema);
        registry.register(&format!("{name}-value"), &schema).map_err(|e| e.to_string())?;
    }
    Ok(folder)
}

/// Runs a block with the records behind it as a case. Its topics are in a log in memory, which ends
/// where the records end: that is what `'connector' = 'case'` stands for.
fn case(page: &Page, index: usize) -> Result<(), Failed> {
    let block = &page.blocks[index];
    let mut text = format!("=== flow\n{}", block.text.replace("= 'kafka'", "= 'case'"));
    let records = page.blocks[index + 1..].iter().take_while(|block| block.language == "jsonl");
    let mut expects = 0;
    for block in records {
        let heading = match (block.value("feed"), block.value("expect")) {
            (Some(stream), None) => format!("feed {}", stream.replace(':', " ")),
            (None, Some(stream)) => {
                expects += 1;
                format!("expect {stream}")
            }
            (Some(_), Some(_)) | (None, None) => return Err("neither fed nor expected".into()),
        };
        text.push_str(&format!("=== {heading}\n{}", block.text));
    }
    if expects == 0 {
        return Err("nothing is expected of the case".into());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(format!("line_{}.test", block.line));
    std::fs::write(&path, text)?;
    let report = run_file(&path, &REGIMES, false);
    match report.failures.first() {
        None => Ok(()),
        Some(why) => Err(why.clone().into()),
    }
}

//! The whole way in one call: source files to a verified job graph, with every stage's result for
//! EXPLAIN. Pure: the caller reads the files and answers for the registries.

use std::collections::BTreeSet;

use flow_ir::connector;
use flow_ir::logical::Plan;
use flow_ir::physical::{Direction, JobGraph, PhysicalOp};
use flow_ir::span::{FileId, Span};
use flow_ir::types::Field;

use crate::check::answer::check_query;
use crate::check::catalog::Catalog;
use crate::check::typed::TypedModule;
use crate::check::{CheckOptions, check};
use crate::diagnostics::{self, Diagnostic, has_errors, plans};
use crate::lower::{lower, unbounded_state};
use crate::optimize::{OptimizeOptions, PassTiming, optimize};
use crate::plan::plan;
use crate::source::SourceMap;
use crate::syntax::ast::Ast;
use crate::syntax::parse;

/// What the caller adds to a program.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// Variables and settings.
    pub check: CheckOptions,
    /// Which passes run.
    pub optimize: OptimizeOptions,
    /// When a query is asked, microseconds since 1970: its clock never shows less.
    pub asked_at: Option<i64>,
}

/// A program after every stage.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Names and types resolved.
    pub typed: TypedModule,
    /// As written.
    pub logical: Plan,
    /// After the passes.
    pub optimized: Plan,
    /// What each pass did.
    pub passes: Vec<PassTiming>,
    /// What runs.
    pub graph: JobGraph,
    /// Warnings.
    pub diagnostics: Vec<Diagnostic>,
}

impl Compiled {
    /// A warning for each operator whose state nothing bounds, in the order of the program. They
    /// are not among the diagnostics: who runs a program knows what it keeps.
    pub fn unbounded_state(&self) -> Vec<Diagnostic> {
        unbounded_state(&self.graph)
    }
}

/// A query that is asked once, or a subscription. Its rows come to the one sink of the graph, of
/// connector `answer`, as changes: `columns`, and behind them columns that only order the rows.
#[derive(Clone, Debug)]
pub struct CompiledQuery {
    /// What runs.
    pub graph: JobGraph,
    /// The columns to show, the first of the sink's.
    pub columns: Vec<Field>,
    /// ORDER BY: columns of the sink, most significant first. The plan does not sort: who collects
    /// the rows does.
    pub order: Vec<(usize, Direction)>,
    /// LIMIT, likewise.
    pub limit: Option<u64>,
    /// OFFSET, likewise; 0 where there is none.
    pub offset: u64,
    /// Names of the views that it reads, each once, ascending. (Their streams in the graph name the
    /// jobs.)
    pub reads: Vec<String>,
    /// Whether it reads other streams, too.
    pub streams: bool,
    /// Whether its changes are wanted after its rows.
    pub subscribe: bool,
    /// Whether it is of one moment: it reads the clock for rows that views may take back.
    pub of_a_moment: bool,
    /// Warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles the files of one program, read in the order of the map.
///
/// # Errors
/// All diagnostics if one is an error, sorted by place.
///
/// # Panics
/// If a stage breaks its own rules: a bug in the compiler.
pub fn compile(
    sources: &SourceMap,
    catalog: &dyn Catalog,
    options: &CompileOptions,
) -> Result<Compiled, Vec<Diagnostic>> {
    let (ast, mut found) = parse_all(sources);
    let (typed, more) = check(&ast, sources, catalog, &options.check);
    found.extend(more);
    diagnostics::sort(&mut found);
    if has_errors(&found) {
        return Err(found);
    }
    let logical = plan(&typed);
    let (optimized, passes) = optimize(logical.clone(), &options.optimize);
    let graph = lower(&optimized, &typed, sources, &job_name(&typed, sources), None);
    let graph = verified(graph).map_err(|too_large| vec![too_large])?;
    Ok(Compiled { typed, logical, optimized, passes, graph, diagnostics: found })
}

/// Compiles a query over the views that a server offers (`CheckOptions::views`), and over streams
/// that the statements before it declare.
///
/// # Errors
/// All diagnostics if one is an error, sorted by place.
///
/// # Panics
/// If a stage breaks its own rules: a bug in the compiler.
pub fn compile_query(
    sources: &SourceMap,
    catalog: &dyn Catalog,
    options: &CompileOptions,
) -> Result<CompiledQuery, Vec<Diagnostic>> {
    let (ast, mut found) = parse_all(sources);
    if has_errors(&found) {
        return Err(found);
    }
    let (typed, answer, more) = check_query(&ast, sources, catalog, &options.check);
    found.extend(more);
    diagnostics::sort(&mut found);
    if has_errors(&found) {
        return Err(found);
    }
    let (answer, output) = answer.zip(typed.outputs.first()).expect("what fails was reported");
    let columns = typed.query(output.query).fields().into_iter().take(answer.visible).collect();
    let (optimized, _) = optimize(plan(&typed), &options.optimize);
    let name = job_name(&typed, sources);
    let graph = lower(&optimized, &typed, sources, &name, options.asked_at);
    let graph = verified(graph).map_err(|too_large| vec![too_large])?;
    let read = graph.vertices.iter().filter_map(|vertex| {
        let PhysicalOp::Source(source) = &vertex.op else { return None };
        Some(graph.stream(source.stream))
    });
    let (views, streams): (Vec<_>, Vec<_>) =
        read.partition(|stream| stream.connector == connector::VIEW);
    let reads: BTreeSet<String> = views.iter().map(|view| view.name.clone()).collect();
    Ok(CompiledQuery {
        columns,
        order: answer.order,
        limit: answer.limit,
        offset: answer.offset,
        reads: reads.into_iter().collect(),
        streams: !streams.is_empty(),
        subscribe: answer.subscribe,
        of_a_moment: answer.of_a_moment,
        diagnostics: found,
        graph,
    })
}

/// The statements of all files, and what is wrong with their text.
fn parse_all(sources: &SourceMap) -> (Ast, Vec<Diagnostic>) {
    let mut ast = Ast::default();
    let mut found = Vec::new();
    for (id, file) in sources.iter() {
        let (one, more) = parse(id, file.text());
        ast.statements.extend(one.statements);
        found.extend(more);
    }
    (ast, found)
}

/// The graph, unless the program asks for a larger one than there may be.
fn verified(graph: JobGraph) -> Result<JobGraph, Diagnostic> {
    match flow_ir::physical::verify(&graph) {
        Ok(()) => Ok(graph),
        Err(broken) if broken.is_too_large() => {
            let at = broken.vertex.map(|vertex| &graph.vertices[vertex.index()]);
            let at = at.or(graph.vertices.last()).map(|vertex| vertex.span);
            let at = at.unwrap_or(Span::new(FileId(0), 0, 0));
            Err(plans::too_large(&broken.why, at))
        }
        Err(broken) => panic!("lowering made a graph that breaks a rule: {broken}"),
    }
}

/// The job's name: what the program or the caller says, else that of the first file.
fn job_name(module: &TypedModule, sources: &SourceMap) -> String {
    module.name.clone().unwrap_or_else(|| sources.job_name())
}

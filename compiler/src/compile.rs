//! The whole way in one call: source files to a verified job graph, with every stage's result for
//! EXPLAIN. Pure: the caller reads the files and answers for the registries.

use flow_ir::logical::Plan;
use flow_ir::physical::JobGraph;

use crate::check::catalog::Catalog;
use crate::check::typed::TypedModule;
use crate::check::{CheckOptions, check};
use crate::diagnostics::{self, Diagnostic, has_errors};
use crate::lower::lower;
use crate::optimize::{OptimizeOptions, PassTiming, optimize};
use crate::plan::plan;
use crate::source::SourceMap;
use crate::syntax::ast::Ast;
use crate::syntax::parse;

/// Bytes of a job's name at most.
const NAME_BYTES_MAX: usize = 200;

/// What the caller adds to a program.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// Variables and settings.
    pub check: CheckOptions,
    /// Which passes run.
    pub optimize: OptimizeOptions,
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
    let mut ast = Ast::default();
    let mut found = Vec::new();
    for (id, file) in sources.iter() {
        let (one, more) = parse(id, file.text());
        ast.statements.extend(one.statements);
        found.extend(more);
    }
    let (typed, more) = check(&ast, sources, catalog, &options.check);
    found.extend(more);
    diagnostics::sort(&mut found);
    if has_errors(&found) {
        return Err(found);
    }
    let logical = plan(&typed);
    let (optimized, passes) = optimize(logical.clone(), &options.optimize);
    let graph = lower(&optimized, &typed, sources, &job_name(&typed, sources));
    if let Err(broken) = flow_ir::physical::verify(&graph) {
        panic!("lowering made a graph that breaks a rule: {broken}");
    }
    Ok(Compiled { typed, logical, optimized, passes, graph, diagnostics: found })
}

/// The job's name: what the program or the caller says, else that of the first file without folder
/// and ending.
fn job_name(module: &TypedModule, sources: &SourceMap) -> String {
    if let Some(name) = &module.name {
        return name.clone();
    }
    let file = sources.iter().next().map_or("job", |(_, file)| file.name());
    let base = file.rsplit('/').next().unwrap_or(file);
    let stem = base.rsplit_once('.').map_or(base, |(stem, _)| stem);
    let valid = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = stem.chars().take(NAME_BYTES_MAX).map(valid).collect();
    if name.is_empty() { "job".into() } else { name }
}

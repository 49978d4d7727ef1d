//! Files to diagnostics or a job graph: what every command does first.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use flow_compiler::check::views::ViewDecl;

use flow_compiler::check::{CheckOptions, is_setting};
use flow_compiler::codegen::{Form, Native};
use flow_compiler::compile::{CompileOptions, Compiled, compile};
use flow_compiler::diagnostics::Diagnostic;
use flow_compiler::diagnostics::render::{RenderStyle, render};
use flow_compiler::source::SourceMap;

use crate::catalog::RegistryCatalog;
use crate::exit::{Exit, Failure, Result};
use crate::imports;
use crate::registries::Registries;

/// Columns of a report on a terminal that does not tell its width.
const TERMINAL_COLUMNS: usize = 100;

/// What the command line adds to a program.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// `-D NAME=VALUE`: settings that win over SET, and variables for `${NAME}`.
    pub defines: BTreeMap<String, String>,
    /// `--name`.
    pub name: Option<String>,
    /// `--without-pass`.
    pub without_passes: Vec<String>,
    /// The views of a server that the program may read.
    pub views: Vec<ViewDecl>,
    /// Whether the files that the program imports are among its sources.
    pub imported: bool,
}

/// Reads files into a source map.
///
/// # Errors
/// If one cannot be read.
pub fn read(files: &[impl AsRef<Path>]) -> Result<SourceMap> {
    let mut sources = SourceMap::new();
    for file in files {
        let file = file.as_ref();
        sources.add(file.display().to_string(), text_of(file)?);
    }
    Ok(sources)
}

/// The text of a file.
pub(crate) fn text_of(file: &Path) -> Result<String> {
    let text = std::fs::read(file)
        .map_err(|e| Failure::failed(format!("{} cannot be read: {e}", file.display())))?;
    String::from_utf8(text)
        .map_err(|_| Failure::failed(format!("{} is not UTF-8 text", file.display())))
}

/// Reads the files of a program: one, and those that it imports.
///
/// # Errors
/// If one cannot be read.
pub fn read_program(file: &Path, additions: &Additions) -> Result<SourceMap> {
    let mut variables: BTreeMap<String, String> = std::env::vars().collect();
    variables.extend(additions.defines.clone());
    imports::read(file, &variables)
}

/// Compiles a program against these registries.
///
/// # Errors
/// All diagnostics, if one is an error.
pub fn compile_with(
    sources: &SourceMap,
    registries: &Registries,
    additions: &Additions,
) -> std::result::Result<Compiled, Vec<Diagnostic>> {
    compile_among(sources, registries, additions, std::env::vars().collect())
}

/// The same with these variables instead of those of the environment: for programs of others, who
/// must not see it.
///
/// # Errors
/// As `compile_with`.
pub fn compile_among(
    sources: &SourceMap,
    registries: &Registries,
    additions: &Additions,
    variables: BTreeMap<String, String>,
) -> std::result::Result<Compiled, Vec<Diagnostic>> {
    let check = check_options(additions, variables);
    let mut options = CompileOptions { check, ..CompileOptions::default() };
    options.optimize.without.clone_from(&additions.without_passes);
    compile(sources, &RegistryCatalog::new(registries), &options)
}

/// What the command line and these variables add to a check.
pub fn check_options(additions: &Additions, variables: BTreeMap<String, String>) -> CheckOptions {
    let views = additions.views.clone();
    let imported = additions.imported;
    let mut options = CheckOptions { variables, views, imported, ..CheckOptions::default() };
    options.variables.extend(additions.defines.clone());
    // A name with a dot is no variable's: if it is no setting either, it is misspelt.
    let is_override = |name: &str| name.contains('.') || is_setting(name);
    let settings = additions.defines.iter().filter(|(name, _)| is_override(name));
    options.overrides = settings.map(|(n, value)| (n.clone(), value.clone())).collect();
    if let Some(name) = &additions.name {
        options.overrides.insert("job.name".into(), name.clone());
    }
    options
}

/// Compiles, and shows whatever there is to say.
///
/// # Errors
/// If the program has mistakes; they are shown.
pub fn compile_and_report(
    sources: &SourceMap,
    registries: &Registries,
    additions: &Additions,
) -> Result<Compiled> {
    match compile_with(sources, registries, additions) {
        Ok(compiled) => {
            show(&compiled.diagnostics, sources);
            Ok(compiled)
        }
        Err(diagnostics) => {
            show(&diagnostics, sources);
            Err(Failure::shown(Exit::Mistakes))
        }
    }
}

/// Shows diagnostics on standard error, in colour on a terminal.
pub fn show(diagnostics: &[Diagnostic], sources: &SourceMap) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let style = match colour {
        true => RenderStyle::Colour { columns: TERMINAL_COLUMNS },
        false => RenderStyle::Plain,
    };
    eprint!("{}", render(diagnostics, sources, style));
}

/// What is compiled for a program's operators.
fn native(compiled: &Compiled, form: Form) -> String {
    let text = Native::new().and_then(|native| native.explain(&compiled.graph, form));
    text.unwrap_or_else(|why| format!("no native code: {}\n", why.0))
}

/// A representation that `flow explain` and cases can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Names and types resolved.
    Typed,
    /// The plan as written.
    Logical,
    /// The plan after the optimiser.
    Optimized,
    /// The operators, their keys, state and exchanges.
    Physical,
    /// The programs and plans of the operators.
    Scalar,
    /// The same as Cranelift's IR.
    Clif,
    /// The same as machine code.
    Assembly,
}

impl Stage {
    /// All stages with their names.
    pub const ALL: [(&'static str, Stage); 7] = [
        ("typed", Stage::Typed),
        ("logical", Stage::Logical),
        ("optimized", Stage::Optimized),
        ("physical", Stage::Physical),
        ("scalar", Stage::Scalar),
        ("clif", Stage::Clif),
        ("asm", Stage::Assembly),
    ];

    /// A program at this stage, as text.
    pub fn explain(self, compiled: &Compiled) -> String {
        match self {
            Stage::Typed => flow_compiler::check::print(&compiled.typed),
            Stage::Logical => flow_ir::logical::explain(&compiled.logical),
            Stage::Optimized => {
                let plan = flow_ir::logical::explain(&compiled.optimized);
                let rewrites = compiled.passes.iter().filter(|pass| pass.changed);
                let reasons = rewrites.map(|pass| format!("{}: {}\n", pass.pass, pass.reason));
                format!("{plan}\nRewritten by\n{}", reasons.collect::<String>())
            }
            Stage::Physical => flow_compiler::lower::explain_graph(&compiled.graph),
            Stage::Scalar => native(compiled, Form::Scalar),
            Stage::Clif => native(compiled, Form::Clif),
            Stage::Assembly => native(compiled, Form::Assembly),
        }
    }
}

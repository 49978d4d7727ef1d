//! IMPORT: the files that a program's file names, and those that they name, each once and before
//! whatever names it. A path is relative to the file that it stands in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flow_compiler::check::fill_in;
use flow_compiler::source::SourceMap;
use flow_compiler::syntax::ast::StatementKind;
use flow_compiler::syntax::parse;
use flow_ir::span::FileId;

use crate::driver::text_of;
use crate::exit::{Failure, Result};

/// Files of one program at most.
const FILES_MAX: usize = 1_000;

/// Reads a program with all that it imports.
///
/// # Errors
/// If a file cannot be read, or a path names a variable that is not set.
pub(crate) fn read(file: &Path, variables: &BTreeMap<String, String>) -> Result<SourceMap> {
    let mut loader = Loader { variables, sources: SourceMap::new(), seen: BTreeSet::new() };
    let main = loader.load(file)?;
    if let Some(main) = main {
        loader.sources.set_main(main);
    }
    Ok(loader.sources)
}

struct Loader<'a> {
    variables: &'a BTreeMap<String, String>,
    sources: SourceMap,
    seen: BTreeSet<PathBuf>,
}

impl Loader<'_> {
    /// Adds a file behind those that it imports; `None` if it is there, or on its way.
    fn load(&mut self, file: &Path) -> Result<Option<FileId>> {
        let text = text_of(file)?;
        let whole = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
        if !self.seen.insert(whole) {
            return Ok(None);
        }
        if self.seen.len() > FILES_MAX {
            return Err(Failure::failed(format!("the program has over {FILES_MAX} files")));
        }
        // What cannot be parsed is told when the program is compiled.
        let (ast, _) = parse(FileId(0), &text);
        for statement in &ast.statements {
            let StatementKind::Import(path) = &statement.kind else { continue };
            let path = fill_in(&path.value, self.variables).map_err(|name| {
                let shown = file.display();
                Failure::failed(format!("{shown} imports '{}', but {name} is not set", path.value))
            })?;
            let beside = file.parent().unwrap_or(Path::new("")).join(path);
            self.load(&beside)?;
        }
        Ok(Some(self.sources.add(file.display().to_string(), text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_once_and_before_those_that_name_them() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).expect("written");
        };
        write("main.flow", "IMPORT 'a.flow'; IMPORT '${WHICH:-b}.flow'; SELECT 1 FROM a;");
        write("a.flow", "IMPORT 'b.flow'; IMPORT 'main.flow';");
        write("b.flow", "");
        let main = dir.path().join("main.flow");
        let sources = read(&main, &BTreeMap::new()).expect("all are there");
        let name = |file: &flow_compiler::source::SourceFile| {
            file.name().rsplit('/').next().unwrap_or_default().to_string()
        };
        let names: Vec<_> = sources.iter().map(|(_, file)| name(file)).collect();
        assert_eq!(names, ["b.flow", "a.flow", "main.flow"]);
        assert_eq!(sources.job_name(), "main");
        let which = BTreeMap::from([("WHICH".to_string(), "none".to_string())]);
        assert!(read(&main, &which).is_err());
    }
}

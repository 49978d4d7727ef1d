//! What an editor or a shell asks of a program while it is written: what is wrong, what stands at a
//! position, what can come there, where a name is declared. Knows no protocol and does no I/O: the
//! caller supplies the texts and answers for the registries, as for a compilation.
//!
//! Positions are byte offsets into a file of the program's source map. An offset past the end, or
//! inside a character, finds nothing.
//!
//! | file | what it does |
//! | --- | --- |
//! | `place` | the statement and the tokens around a cursor |
//! | `options` | WITH and SET around a cursor, and what they take |
//! | `functions` | functions with signatures, documentation, examples |
//! | `repair` | a statement that is half written, made whole around the cursor |
//! | `complete` | what can come at a cursor |
//! | `call` | the call around a cursor, for the signature of its function |
//! | `hover` | what stands at a position, as Markdown |
//! | `outline` | what a file declares, and where names are declared |

mod call;
mod complete;
mod functions;
mod hover;
mod options;
mod outline;
mod place;
mod repair;

use flow_compiler::check::CheckOptions;
use flow_compiler::check::catalog::Catalog;
use flow_compiler::check::notes::{Cursor, Notes, check_noting};
use flow_compiler::diagnostics::{self, Diagnostic};
use flow_compiler::source::SourceMap;
use flow_compiler::syntax::ast::Ast;
use flow_compiler::syntax::parse;

pub use call::{Call, call};
pub use complete::{Completion, Completions, Kind, complete};
#[cfg(feature = "run")]
pub(crate) use functions::find as function;
pub use hover::{Hover, hover};
pub use outline::{Symbol, SymbolKind, declaration, symbols};

/// A program and what it is checked against.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// Its files, in the order in which they are read.
    pub sources: &'a SourceMap,
    /// Its registries.
    pub catalog: &'a dyn Catalog,
    /// Variables and settings.
    pub options: &'a CheckOptions,
}

/// A program, looked at once.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The statements that parse.
    pub ast: Ast,
    /// Everything there is to say, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// What names and expressions mean.
    pub notes: Notes,
}

impl Program<'_> {
    /// Parses and checks.
    pub fn analyse(&self) -> Analysis {
        self.analyse_at(None)
    }

    fn analyse_at(&self, cursor: Option<Cursor>) -> Analysis {
        let mut ast = Ast::default();
        let mut found = Vec::new();
        for (id, file) in self.sources.iter() {
            let (one, more) = parse(id, file.text());
            ast.statements.extend(one.statements);
            found.extend(more);
        }
        let (_, more, notes) = check_noting(&ast, self.sources, self.catalog, self.options, cursor);
        found.extend(more);
        diagnostics::sort(&mut found);
        Analysis { ast, diagnostics: found, notes }
    }
}

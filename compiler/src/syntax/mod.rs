//! Text to untyped AST and back. `parse` always gives an AST, with a diagnostic for each piece of
//! text that is not in it. It never panics and never overflows the stack, whatever the input:
//! brackets are counted before parsing, and no tree is deeper than `DEPTH_MAX`.

pub mod ast;
mod build;
mod errors;
mod expect;
pub mod format;
mod grammar;
mod pratt;
pub mod print;
mod recover;
mod scan;

use std::thread;

use flow_ir::span::{FileId, Span};

use crate::diagnostics::{self, Diagnostic, syntax};
use ast::Ast;
pub use expect::{Expected, Thing, expected};
pub use scan::{Token, TokenKind};

/// Most levels of nesting: of brackets in the text, and of nodes in the tree.
pub const DEPTH_MAX: usize = 500;
/// Largest file, in bytes.
pub const SOURCE_MAX_BYTES: usize = 16 << 20;

/// Up to this many levels a statement is parsed on the caller's stack.
const SHALLOW_LEVELS: usize = 24;
/// Stack for statements that nest deeper.
const DEEP_STACK_BYTES: usize = 256 << 20;

/// Parses a file: its statements, and what is wrong with the rest, sorted by place.
pub fn parse(file: FileId, text: &str) -> (Ast, Vec<Diagnostic>) {
    if text.len() > SOURCE_MAX_BYTES {
        let at = Span::new(file, 0, 0);
        let problem = syntax::source_too_large(at, text.len(), SOURCE_MAX_BYTES);
        return (Ast::default(), vec![problem]);
    }
    let scan = scan::scan(file, text);
    let deepest = scan.pieces.iter().map(|piece| piece.nesting).max().unwrap_or(0);
    let (ast, mut diagnostics) = if deepest <= SHALLOW_LEVELS {
        recover::statements(file, text, scan)
    } else {
        on_deep_stack(|| recover::statements(file, text, scan)).unwrap_or_else(|| {
            // Refuse what needs more room than the system has.
            let at = Span::new(file, 0, 0);
            (Ast::default(), vec![syntax::nested_too_deeply(at, SHALLOW_LEVELS)])
        })
    };
    diagnostics::sort(&mut diagnostics);
    (ast, diagnostics)
}

/// The tokens of a text, comments and semicolons left out, in order. What is never closed reaches
/// to the end.
pub fn tokens(text: &str) -> Vec<Token> {
    scan::scan(FileId(0), text).tokens
}

/// The text of one statement, as cut at semicolons.
#[derive(Clone, Debug)]
pub struct StatementText {
    /// Its tokens; never empty.
    pub tokens: Vec<Token>,
    /// Where it ends: at the semicolon or the text's end.
    pub end: usize,
}

/// The statements of a text, whether they parse or not, in order.
pub fn statement_texts(text: &str) -> Vec<StatementText> {
    let scan = scan::scan(FileId(0), text);
    let of = |piece: &scan::Piece| StatementText {
        tokens: scan.tokens[piece.tokens.clone()].to_vec(),
        end: piece.end,
    };
    scan.pieces.iter().map(of).collect()
}

/// Functions that are called without parentheses.
pub fn bare_functions() -> &'static [&'static str] {
    build::BARE_FUNCTIONS
}

/// Whether a word is never a name unless it is quoted.
pub fn is_reserved(word: &str) -> bool {
    errors::is_reserved(word)
}

/// Works on a thread with a stack large enough for `DEPTH_MAX` levels; `None` if the system has no
/// room for another thread.
fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    let builder = thread::Builder::new().name("parse".to_owned()).stack_size(DEEP_STACK_BYTES);
    thread::scope(|scope| match builder.spawn_scoped(scope, work) {
        Ok(handle) => match handle.join() {
            Ok(done) => Some(done),
            Err(panic) => std::panic::resume_unwind(panic),
        },
        Err(_) => None,
    })
}

#[cfg(test)]
mod tests;

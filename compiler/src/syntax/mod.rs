//! Text to untyped AST and back.

pub mod ast;

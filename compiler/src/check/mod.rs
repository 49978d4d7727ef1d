//! Names, types and everything else that can be wrong with a program: AST and catalog to the typed
//! module, plus diagnostics.

pub mod catalog;
pub mod typed;

//! The builtin functions and operators, a file a family. A new one is one entry in its family's
//! table, examples included; nothing else changes.

mod arrays;
pub mod interval;
mod maps;
mod operators;
pub mod zone;

use crate::builtin::Builtin;
use crate::host::HostFn;

/// The tables of all families.
pub static FAMILIES: &[&[Builtin]] = &[operators::BUILTINS, arrays::BUILTINS, maps::BUILTINS];

/// Host functions that expansions call and that are no builtin's whole meaning.
pub static HELPERS: &[&[HostFn]] = &[interval::HELPERS];

//! The builtin functions and operators, a file a family. A new one is one entry in its family's
//! table, examples included; nothing else changes.

mod arrays;
mod bits;
mod codec;
mod conditional;
mod hash;
mod interval;
mod json;
mod maps;
mod math;
mod operators;
mod pattern;
mod round;
mod search;
mod text;
mod time;
pub mod time_pattern;
mod time_unit;
pub mod zone;

pub(crate) use maps::put_map;

use crate::builtin::Builtin;
use crate::host::HostFn;

/// The tables of all families.
pub static FAMILIES: &[&[Builtin]] = &[
    operators::BUILTINS,
    text::BUILTINS,
    search::BUILTINS,
    pattern::BUILTINS,
    codec::BUILTINS,
    round::BUILTINS,
    math::BUILTINS,
    bits::BUILTINS,
    time::BUILTINS,
    time::CONVERSIONS,
    conditional::BUILTINS,
    arrays::BUILTINS,
    maps::BUILTINS,
    hash::BUILTINS,
    json::BUILTINS,
];

/// Host functions that expansions call and that are no builtin's whole meaning.
pub static HELPERS: &[&[HostFn]] = &[interval::HELPERS, time::HELPERS];

//! The builtin functions and operators, a file a family. A new one is one entry in its family's
//! table, examples included; nothing else changes.

mod arrays;
mod bits;
mod byte_numbers;
mod codec;
mod collections;
mod conditional;
mod hash;
mod interval;
mod json;
mod json_make;
mod json_parts;
mod json_path;
mod json_status;
mod jsonb;
mod lambdas;
mod lists;
mod maps;
mod mask;
mod math;
mod number_pattern;
mod numbers;
mod operators;
mod pattern;
mod pg_arrays;
mod pieces;
mod printf;
mod regexp;
mod round;
mod search;
mod similarity;
mod strftime;
mod text;
mod time;
mod time_format;
mod time_make;
pub mod time_pattern;
mod time_read;
mod time_unit;
mod url;
pub mod zone;

pub(crate) use maps::put_map;

pub(crate) use json_make::{write_json, write_json_name};

use crate::builtin::Builtin;
use crate::host::HostFn;

/// The tables of all families.
pub static FAMILIES: &[&[Builtin]] = &[
    operators::BUILTINS,
    text::BUILTINS,
    search::BUILTINS,
    pattern::BUILTINS,
    regexp::BUILTINS,
    pieces::BUILTINS,
    printf::BUILTINS,
    mask::BUILTINS,
    similarity::BUILTINS,
    byte_numbers::BUILTINS,
    codec::BUILTINS,
    url::BUILTINS,
    round::BUILTINS,
    math::BUILTINS,
    numbers::BUILTINS,
    number_pattern::BUILTINS,
    bits::BUILTINS,
    time::BUILTINS,
    time_make::PARTS,
    time_make::BUILTINS,
    time::CONVERSIONS,
    time_format::BUILTINS,
    conditional::BUILTINS,
    arrays::BUILTINS,
    pg_arrays::BUILTINS,
    collections::BUILTINS,
    lists::BUILTINS,
    maps::BUILTINS,
    lambdas::BUILTINS,
    hash::BUILTINS,
    json::BUILTINS,
    json_parts::BUILTINS,
    json_make::BUILTINS,
    json_status::BUILTINS,
    jsonb::BUILTINS,
];

/// Host functions that expansions call and that are no builtin's whole meaning.
pub static HELPERS: &[&[HostFn]] = &[interval::HELPERS, time::HELPERS];

//! Tests of the state store: `model` holds random histories of all table kinds against plain maps,
//! `runs` those of keys in runs;
//! `disk` and `changelog` test what comes from outside; `tables` shows properties by example.

mod changelog;
mod disk;
mod model;
mod runs;
mod tables;

use std::sync::Arc;

use flow_ir::ids::VertexId;
use flow_ir::physical::{TableKind, TableSpec};
use flow_ir::row::{BatchBuilder, KeyBatch, RowLayout, key_group, key_hash, push_value};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::*;

/// The tables of all tests, by `TableId`.
const POINT: TableId = TableId(0);
const WEIGHTS: TableId = TableId(1);
const ROWS: TableId = TableId(2);
const WINDOWS: TableId = TableId(3);
/// Their numbers.
const NUMBERS: [u32; 4] = [7, 2, 70_000, 3];

const ALL_GROUPS: std::ops::RangeInclusive<u8> = 0..=255;

fn value_types() -> Vec<Type> {
    vec![
        Type::nullable(DataType::BigInt),
        Type::nullable(DataType::String),
        Type::nullable(DataType::Decimal { precision: 38, scale: 0 }),
    ]
}

fn specs() -> Vec<TableSpec> {
    let big_int = || vec![Type::not_null(DataType::BigInt)];
    let spec = |kind, role: &str, value| TableSpec {
        owner: VertexId(0),
        role: role.to_string(),
        kind,
        key: big_int(),
        value,
    };
    vec![
        spec(TableKind::Point, "groups", value_types()),
        spec(TableKind::Ordered, "weights", big_int()),
        spec(TableKind::Ordered, "rows", value_types()),
        spec(TableKind::Windowed, "windows", value_types()),
    ]
}

/// A store of the test tables, not loaded.
fn store(groups: impl Iterator<Item = u8>, disk: Option<&Arc<Disk>>, budget: usize) -> StateStore {
    let groups: Vec<u8> = groups.collect();
    StateStore::new(&StoreConfig {
        specs: &specs(),
        numbers: &NUMBERS,
        groups: &groups,
        disk: disk.cloned(),
        budget_bytes: budget,
    })
}

fn disk() -> (tempfile::TempDir, Arc<Disk>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = Arc::new(Disk::open(folder.path()).expect("an empty store opens"));
    (folder, disk)
}

/// A row of `value_types`: the seed decides on values and NULLs.
fn value_row(seed: u32) -> Vec<u64> {
    let text = "x".repeat(seed as usize % 23);
    let values = [
        if seed.is_multiple_of(5) { Value::Null } else { Value::Int(i64::from(seed) - 7) },
        if seed.is_multiple_of(3) { Value::Null } else { Value::String(text) },
        if seed.is_multiple_of(7) { Value::Null } else { Value::Decimal(-i128::from(seed) << 70) },
    ];
    row(&value_types(), &values)
}

fn row(types: &[Type], values: &[Value]) -> Vec<u64> {
    let mut out = BatchBuilder::new(Arc::new(RowLayout::new(types.to_vec())));
    out.begin();
    for (column, value) in values.iter().enumerate() {
        push_value(&mut out, column, value);
    }
    out.finish(1);
    out.take().row(0).words().to_vec()
}

/// Key bytes of a key number: short, or too long to lie in a tree node, or with a shared prefix.
fn key(number: u8) -> Vec<u8> {
    match number % 3 {
        0 => vec![number],
        1 => [&[1, 1, 1][..], &[number; 50]].concat(),
        _ => vec![1, 1, number, 0],
    }
}

fn group_of(key: &[u8]) -> u8 {
    key_group(key_hash(key))
}

fn key_batch(numbers: &[u8]) -> KeyBatch {
    let mut out = KeyBatch::default();
    numbers.iter().for_each(|&number| out.push(&key(number)));
    out
}

//! How fast the state store is: per table kind, updates a second in memory, and what sealing and
//! publishing an epoch costs a key. `cargo run --release -p flow-runtime --example state_rate`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_ir::ids::{TableId, VertexId};
use flow_ir::physical::{TableKind, TableSpec};
use flow_ir::row::{KeyBatch, key_group, key_hash, order_i64};
use flow_ir::types::{DataType, Type};
use flow_runtime::state::{Disk, StateStore, StoreConfig};

const UPDATES: u64 = 2_000_000;
const BATCH: u64 = 1024;

const POINT: TableId = TableId(0);
const ORDERED: TableId = TableId(1);

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:>9} {:>9} {:>12} {:>12} {:>12}",
        "table", "keys", "update ns", "seal ns", "disk ns"
    );
    for keys in [10_000, 100_000, 1_000_000] {
        for (name, table) in [("point", POINT), ("ordered", ORDERED)] {
            let folder = std::env::temp_dir().join(format!("state_rate_{}", std::process::id()));
            let [update, seal, disk] = measure(table, keys, &folder)?;
            println!("{name:>9} {keys:>9} {update:>12.1} {seal:>12.1} {disk:>12.1}");
            std::fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}

/// Nanoseconds an update, and to seal and to publish a changed key.
fn measure(
    table: TableId,
    keys: u64,
    folder: &std::path::Path,
) -> Result<[f64; 3], Box<dyn Error>> {
    let disk = Arc::new(Disk::open(folder)?);
    let mut store = StateStore::new(&StoreConfig {
        specs: &specs(),
        numbers: &[0, 1],
        groups: &(0..=255).collect::<Vec<u8>>(),
        disk: Some(disk.clone()),
        budget_bytes: 4 << 30,
    });
    // The first round inserts all keys; the second is measured.
    update_all(&mut store, table, keys, keys)?;
    store.seal(true);
    let update = update_all(&mut store, table, UPDATES, keys)?;
    let begun = Instant::now();
    let overlay = store.seal(true).changes;
    let seal = begun.elapsed();
    let begun = Instant::now();
    disk.publish(&[&overlay], b"end")?;
    let publish = begun.elapsed();
    let nanos = |time: Duration, count: u64| time.as_nanos() as f64 / count as f64;
    let changed = overlay.len() as u64;
    Ok([nanos(update, UPDATES), nanos(seal, changed), nanos(publish, changed)])
}

fn update_all(
    store: &mut StateStore,
    table: TableId,
    updates: u64,
    keys: u64,
) -> Result<Duration, Box<dyn Error>> {
    let (mut batch, mut slots, mut spent) = (KeyBatch::default(), Vec::new(), Duration::ZERO);
    for start in (0..updates).step_by(BATCH as usize) {
        batch.clear();
        for i in start..(start + BATCH).min(updates) {
            // Every key once a round, in an order without pattern.
            let key = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys;
            let mut bytes = [1; 9];
            bytes[1..].copy_from_slice(&order_i64(key as i64));
            batch.push(&bytes);
        }
        let begun = Instant::now();
        if table == POINT {
            let rows = store.point(POINT);
            rows.upsert(&batch, &mut slots)?;
            for &slot in &slots {
                let mut value = rows.value(slot);
                value.set_word(0, value.word(0) + 1);
                value.set_i128(1, value.i128(1) + i128::from(start));
                value.set_word(2, value.word(2).max(start));
            }
        } else {
            let rows = store.ordered(ORDERED);
            for i in 0..batch.len() {
                let key = batch.key(i);
                rows.add_weight(key_group(key_hash(key)), key, 1)?;
            }
        }
        spent += begun.elapsed();
    }
    Ok(spent)
}

fn specs() -> [TableSpec; 2] {
    let big_int = || Type::not_null(DataType::BigInt);
    let sum = Type::not_null(DataType::Decimal { precision: 38, scale: 0 });
    let spec = |kind, value| TableSpec {
        owner: VertexId(0),
        role: "rows".to_string(),
        kind,
        key: vec![big_int()],
        value,
    };
    [
        spec(TableKind::Point, vec![big_int(), sum, big_int()]),
        spec(TableKind::Ordered, vec![big_int()]),
    ]
}

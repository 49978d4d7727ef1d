//! Single properties of the tables, by example.

use std::ops::Bound;

use flow_ir::row::{KeyEncoder, RowRef};

use super::*;

#[test]
fn stores_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<StateStore>();
    is_send::<PointTable>();
    is_send::<Arc<Overlay>>();
    fn is_sync<T: Sync>() {}
    is_sync::<Disk>();
}

#[test]
fn a_key_is_new_until_its_value_is_asked_for() {
    let mut table = PointTable::scratch(Arc::new(RowLayout::new(value_types())));
    let mut slots = Vec::new();
    table.upsert(&key_batch(&[1, 2, 1]), &mut slots).expect("no disk, no error");
    assert_eq!(slots[0], slots[2]);
    assert!(table.is_new(slots[0]) && table.is_new(slots[1]));
    table.value(slots[0]).set_word(0, 5);
    assert!(!table.is_new(slots[2]));
    assert_eq!(table.touched(), &[slots[0], slots[1]]);
    assert!(table.before(slots[0]).is_none());
    table.clear();
    assert!(table.is_empty() && table.touched().is_empty());
    table.upsert(&key_batch(&[1]), &mut slots).expect("no disk, no error");
    assert!(table.is_new(slots[0]) && table.value_ref(slots[0]).is_null(0));
}

#[test]
fn unchanged_rows_are_not_in_the_overlay() {
    let mut store = store(ALL_GROUPS, None, usize::MAX);
    let mut slots = Vec::new();
    let group = group_of(&[1]);
    for round in 0..2 {
        let table = store.point(POINT);
        table.upsert(&key_batch(&[1, 2]), &mut slots).expect("no disk, no error");
        table.set_row(slots[0], RowRef::new(&value_row(4)));
        table.set_row(slots[1], RowRef::new(&value_row(4 + round)));
        let weights = store.ordered(WEIGHTS);
        weights.add_weight(group, &[1], 2).expect("no disk, no error");
        weights.add_weight(group, &[1], if round == 0 { 1 } else { -2 }).expect("no error");
        let overlay = store.seal(true).changes;
        let mut keys: Vec<_> = overlay.changes().map(|c| (c.table(), c.key().to_vec())).collect();
        keys.sort();
        let point = |number| (NUMBERS[POINT.index()], key(number));
        match round {
            0 => assert_eq!(keys, [(NUMBERS[WEIGHTS.index()], vec![1]), point(1), point(2)]),
            _ => assert_eq!(keys, [point(2)]),
        }
    }
}

#[test]
fn timers_of_all_groups_come_due_in_time_order() {
    let time = Type::not_null(DataType::BigInt);
    let at = |time_value: i64, name: &[u8]| {
        [KeyEncoder::value_bytes(&Value::Int(time_value), &time), name.to_vec()].concat()
    };
    let mut store = store(ALL_GROUPS, None, usize::MAX);
    let table = store.ordered(ROWS);
    for (time, name) in [(30, b"a"), (-5, b"b"), (10, b"c"), (11, b"d")] {
        let row = value_row(1);
        table.put(group_of(name), &at(time, name), RowRef::new(&row)).expect("no disk, no error");
    }
    let until = prefix_end(&at(10, b"")).expect("a time is not the last of all keys");
    let mut due = Vec::new();
    table
        .drain(None, Bound::Unbounded, Bound::Excluded(&until), |e| due.push(e.key.to_vec()))
        .expect("no disk, no error");
    assert_eq!(due, [at(-5, b"b"), at(10, b"c")]);
    assert_eq!(table.range(None, Bound::Unbounded, Bound::Unbounded).expect("no disk").count(), 2);
}

#[test]
fn windows_close_up_to_the_mark() {
    let mut store = store(ALL_GROUPS, None, usize::MAX);
    let table = store.windowed(WINDOWS);
    let mut slots = Vec::new();
    for end in [20, -10, 10, 30] {
        table.at(end).upsert(&key_batch(&[1, 2]), &mut slots).expect("no disk, no error");
    }
    assert_eq!(table.ends_until(20), [-10, 10, 20]);
    assert_eq!(table.touched_ends(), [-10, 10, 20, 30]);
    store.seal(true);
    let table = store.windowed(WINDOWS);
    assert!(table.touched_ends().is_empty());
    table.remove_window(10).expect("no disk, no error");
    assert_eq!(table.ends().collect::<Vec<_>>(), [-10, 20, 30]);
    let overlay = store.seal(true).changes;
    assert_eq!(overlay.len(), 2);
    assert!(overlay.changes().all(|change| change.row().is_none()));
}

#[test]
fn the_budget_is_kept_and_hot_keys_stay() {
    let (_folder, disk) = disk();
    let budget = 200_000;
    let mut store = store(ALL_GROUPS, Some(&disk), budget);
    let mut slots = Vec::new();
    for epoch in 0..50u32 {
        let mut keys = KeyBatch::default();
        keys.push(b"hot");
        (0..100u32).for_each(|i| keys.push(&(epoch * 100 + i).to_be_bytes()));
        let table = store.point(POINT);
        table.upsert(&keys, &mut slots).expect("the disk works");
        for &slot in &slots {
            table.value(slot).set_var(1, &[b'x'; 100]);
        }
        let overlay = store.seal(true).changes;
        disk.publish(&[&overlay], b"p").expect("the disk works");
        store.published(overlay.seal());
        assert!(store.memory_bytes() <= budget, "{} bytes", store.memory_bytes());
    }
    assert!(store.point(POINT).len() < 2_000, "most of 5,001 keys are on disk only");
    let mut all = store.point(POINT).entries().expect("the disk works");
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 5_001);
}

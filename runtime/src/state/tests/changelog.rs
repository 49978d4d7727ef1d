//! Records out and in: restored is what was sealed; strangers are refused.

use std::collections::BTreeMap;

use flow_ir::row::RowRef;
use proptest::prelude::*;

use super::*;

/// Keys and values in the order they were written, by shard.
type Topic = Vec<Vec<(Vec<u8>, Option<Vec<u8>>)>>;

/// Some epochs of changes, as records by shard in the order they were written.
fn history(shards: u32) -> (StateStore, Topic) {
    let mut source = store(ALL_GROUPS, None, usize::MAX);
    let mut topic = vec![Vec::new(); shards as usize];
    let mut slots = Vec::new();
    for epoch in 0..6u8 {
        let table = source.point(POINT);
        table.upsert(&key_batch(&[epoch, epoch + 1, 30]), &mut slots).expect("no disk");
        for (i, &slot) in slots.iter().enumerate() {
            table.set_row(slot, RowRef::new(&value_row(u32::from(epoch) + i as u32)));
        }
        if epoch == 4 {
            table.remove(slots[0]);
        }
        let weights = source.ordered(WEIGHTS);
        weights
            .add_weight(group_of(&[epoch % 4]), &[epoch % 4, 9], 1 - 2 * i64::from(epoch / 4))
            .expect("no disk");
        let windows = source.windowed(WINDOWS);
        windows.at(i64::from(epoch)).upsert(&key_batch(&[1, 2]), &mut slots).expect("no disk");
        windows.remove_window(i64::from(epoch) - 2).expect("no disk");
        let overlay = source.seal(false).changes;
        for record in records(&overlay, shards) {
            topic[record.shard as usize]
                .push((record.key.to_vec(), record.value.map(<[u8]>::to_vec)));
        }
    }
    (source, topic)
}

/// All rows of a store, by full key.
fn contents(store: &mut StateStore) -> BTreeMap<(u32, Vec<u8>), Vec<u64>> {
    let mut out = BTreeMap::new();
    let mut add = |table: TableId, end: i64, rows: &mut PointTable| {
        for slot in rows.entries().expect("the disk works") {
            let mut words = Vec::new();
            rows.value_ref(slot).append_row(&mut words);
            let key = [&end.to_be_bytes()[..], rows.key(slot)].concat();
            out.insert((table.0, key), words);
        }
    };
    add(POINT, 0, store.point(POINT));
    for end in store.windowed(WINDOWS).ends_until(i64::MAX) {
        add(WINDOWS, end, store.windowed(WINDOWS).at(end));
    }
    for table in [WEIGHTS, ROWS] {
        for entry in store.ordered(table).scan(None, &[]).expect("the disk works") {
            out.insert((table.0, entry.key.to_vec()), entry.row.words().to_vec());
        }
    }
    out
}

#[test]
fn restored_equals_original() {
    let (mut source, topic) = history(8);
    let expected = contents(&mut source);
    assert!(expected.len() > 10);
    let (_folder, disk) = disk();
    let mut restorer = Restorer::new(&specs(), &NUMBERS, &disk);
    let mut in_memory = store(ALL_GROUPS, None, usize::MAX);
    for (key, value) in topic.iter().flatten() {
        restorer.apply(key, value.as_deref()).expect("our own records");
        in_memory.restore(key, value.as_deref()).expect("our own records");
    }
    restorer.finish(b"end").expect("the disk works");
    assert_eq!(contents(&mut in_memory), expected);
    for budget in [0, usize::MAX] {
        let mut restored = store(ALL_GROUPS, Some(&disk), budget);
        restored.load().expect("our own rows");
        assert_eq!(contents(&mut restored), expected);
    }
    assert_eq!(disk.position(), Ok(Some(b"end".to_vec())));
}

#[test]
fn a_shard_is_a_range_of_key_groups() {
    let shards: Vec<u32> = ALL_GROUPS.map(|group| shard_of(group, 8)).collect();
    assert!(shards.is_sorted());
    assert_eq!((shards[0], shards[31], shards[32], shards[255]), (0, 0, 1, 7));
    assert_eq!(shard_of(255, 256), 255);
    assert_eq!(shard_of(255, 1), 0);
}

#[test]
fn strangers_are_refused_with_the_reason() {
    let mut target = store(ALL_GROUPS, None, usize::MAX);
    let row: Vec<u8> = value_row(4).iter().flat_map(|word| word.to_ne_bytes()).collect();
    let full = |number: u32, key: &[u8]| [&number.to_be_bytes()[..], &[0], key].concat();
    let point = NUMBERS[POINT.index()];
    let windows = NUMBERS[WINDOWS.index()];
    let cases = [
        (vec![1, 2], Some(&row[..]), RecordError::ShortKey { len: 2 }),
        (full(windows, &[1, 2]), Some(&row[..]), RecordError::ShortKey { len: 7 }),
        (full(9, &[1]), Some(&row[..]), RecordError::UnknownTable { number: 9 }),
        (full(point, &[1]), Some(&row[1..]), RecordError::BadRow { number: point }),
        (full(point, &[1]), Some(&[][..]), RecordError::BadRow { number: point }),
        (full(point, &[1]), Some(&[8; 64][..]), RecordError::BadRow { number: point }),
    ];
    for (key, value, expected) in cases {
        assert_eq!(target.restore(&key, value), Err(expected));
    }
    assert!(contents(&mut target).is_empty());
}

proptest! {
    /// No bytes make `restore` panic, and what it takes is a row.
    #[test]
    fn any_bytes_are_a_row_or_refused(
        table in prop::sample::select(NUMBERS.to_vec()),
        key in prop::collection::vec(any::<u8>(), 0..20),
        words in prop::collection::vec(prop_oneof![0..100u64, any::<u64>()], 0..10),
        right_length: bool,
    ) {
        let mut words = words;
        let bytes = words.len() as u64 * 8;
        if let (Some(first), true) = (words.first_mut(), right_length) {
            *first = bytes;
        }
        let value: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut target = store(ALL_GROUPS, None, usize::MAX);
        let full_key = [&table.to_be_bytes()[..], &[5], &key].concat();
        let taken = target.restore(&full_key, Some(&value)).is_ok();
        prop_assert_eq!(contents(&mut target).len(), usize::from(taken));
    }
}

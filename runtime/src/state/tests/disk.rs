//! The store on disk: positions, workers, damage, locks.

use flow_ir::row::RowRef;

use super::*;

fn put(store: &mut StateStore, numbers: &[u8], seed: u32) {
    let mut slots = Vec::new();
    let table = store.point(POINT);
    table.upsert(&key_batch(numbers), &mut slots).expect("the disk works");
    for slot in slots {
        table.set_row(slot, RowRef::new(&value_row(seed)));
    }
}

#[test]
fn the_position_survives_and_goes_with_the_rows() {
    let (folder, disk) = disk();
    assert_eq!(disk.position(), Ok(None));
    let mut writer = store(ALL_GROUPS, Some(&disk), usize::MAX);
    put(&mut writer, &[1, 2, 3], 4);
    disk.publish(&[&writer.seal(true).changes], b"offsets").expect("the disk works");
    drop((writer, disk));
    let disk = Arc::new(Disk::open(folder.path()).expect("it opens again"));
    assert_eq!(disk.position(), Ok(Some(b"offsets".to_vec())));
    let mut reader = store(ALL_GROUPS, Some(&disk), usize::MAX);
    reader.load().expect("our own rows");
    assert_eq!(reader.point(POINT).len(), 3);
    let mut rows = 0;
    disk.load(NUMBERS[POINT.index()], ALL_GROUPS, |group, key, _| {
        assert_eq!(group, group_of(key));
        rows += 1;
        Ok(std::ops::ControlFlow::Continue(()))
    })
    .expect("the disk works");
    assert_eq!(rows, 3);
    assert!(disk.bytes() > 0);
    disk.wipe().expect("the disk works");
    assert_eq!(disk.position(), Ok(None));
    let mut empty = store(ALL_GROUPS, Some(&disk), usize::MAX);
    empty.load().expect("nothing to read");
    assert!(empty.point(POINT).is_empty());
}

#[test]
fn a_file_that_a_crash_left_is_not_written_again() {
    let (folder, disk) = disk();
    let mut writer = store(ALL_GROUPS, Some(&disk), usize::MAX);
    put(&mut writer, &[1], 4);
    disk.publish(&[&writer.seal(true).changes], b"few").expect("the disk works");
    put(&mut writer, &[2, 3], 4);
    disk.take_in(&[&writer.seal(true).changes], b"many").expect("the disk works");
    // It died before it took the second name of its new file away.
    let files = std::fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("one"));
    let paths = files.map(|file| file.path());
    let newest = paths.filter(|path| path.extension().is_some_and(|e| e == "sst")).max();
    std::fs::hard_link(newest.expect("a file"), folder.path().join("incoming")).expect("linked");
    drop((writer, disk));
    let disk = Arc::new(Disk::open(folder.path()).expect("it opens again"));
    assert_eq!(disk.position(), Ok(Some(b"many".to_vec())), "with the file, what came before");
    let mut writer = store(ALL_GROUPS, Some(&disk), usize::MAX);
    writer.load().expect("our own rows");
    put(&mut writer, &[3, 4], 5);
    disk.take_in(&[&writer.seal(true).changes], b"more").expect("the disk works");
    drop((writer, disk));
    let disk = Arc::new(Disk::open(folder.path()).expect("it opens again"));
    let mut reader = store(ALL_GROUPS, Some(&disk), usize::MAX);
    reader.load().expect("our own rows");
    assert_eq!(reader.point(POINT).len(), 4);
}

#[test]
fn workers_share_a_disk_by_key_group() {
    let (_folder, disk) = disk();
    let numbers: Vec<u8> = (0..100).collect();
    let owned = |worker: u8| ALL_GROUPS.filter(move |group| group % 3 == worker);
    let mut workers: Vec<_> = (0..3).map(|w| store(owned(w), Some(&disk), 0)).collect();
    for (w, worker) in workers.iter_mut().enumerate() {
        let mine: Vec<u8> =
            numbers.iter().copied().filter(|&n| usize::from(group_of(&key(n)) % 3) == w).collect();
        put(worker, &mine, 4);
    }
    let overlays: Vec<_> = workers.iter_mut().map(|worker| worker.seal(true).changes).collect();
    let overlays: Vec<&Overlay> = overlays.iter().map(AsRef::as_ref).collect();
    disk.publish(&overlays, b"p").expect("the disk works");
    let mut rows = 0;
    for worker in &mut workers {
        worker.published(1);
        assert!(worker.point(POINT).is_empty(), "a budget of nothing keeps nothing");
        rows += worker.point(POINT).entries().expect("the disk works").len();
    }
    assert_eq!(rows, numbers.len());
}

#[test]
fn a_second_opener_is_told_so() {
    let (folder, _disk) = disk();
    let error = Disk::open(folder.path()).expect_err("it is open");
    assert!(matches!(error, StateError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
}

#[test]
fn damaged_rows_and_positions_are_refused() {
    let (folder, disk) = disk();
    let mut writer = store(ALL_GROUPS, Some(&disk), usize::MAX);
    put(&mut writer, &[1], 4);
    let overlay = writer.seal(true).changes;
    disk.publish(&[&overlay], b"p").expect("the disk works");
    let full_key = overlay.changes().next().expect("one change").full_key().to_vec();
    for bad in [&b"short"[..], &[0; 48], &[255; 80], b""] {
        let mut batch = rocks::DiskBatch::with_room(0);
        batch.push(&full_key, Some(bad));
        disk.write(batch).expect("the disk works");
        for budget in [usize::MAX, 0] {
            let mut reader = store(ALL_GROUPS, Some(&disk), budget);
            let read = reader.load().and_then(|()| reader.point(POINT).get(&key(1)).map(drop));
            assert!(matches!(read, Err(StateError::Corrupt { .. })), "{read:?}");
        }
    }
    let mut batch = rocks::DiskBatch::with_room(0);
    batch.push(b"\xff\xff\xff\xff\0position", Some(b"12345678 another"));
    disk.write(batch).expect("the disk works");
    drop((writer, disk));
    let error = Disk::open(folder.path()).expect_err("its position is damaged");
    assert!(matches!(error, StateError::Corrupt { .. }), "{error:?}");
}

#[test]
fn errors_are_told_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, b"no folder").expect("the disk works");
    let error = Disk::open(&file).expect_err("a file is no store");
    assert!(matches!(error, StateError::Io { .. }), "{error:?}");
}

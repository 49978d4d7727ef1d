//! Random histories: changes, seals, publications, evictions and restarts, with budgets from
//! nothing to plenty, and a disk that follows every epoch or some. After every step the tables
//! answer as plain maps do, the overlays so far fold to the tables' contents, and the changelog
//! restores them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use flow_ir::row::{RowRef, order_i64};
use proptest::prelude::*;

use super::*;

/// Table contents by (table, group, key); the key of a window's entry begins with its end.
type Contents = BTreeMap<(u32, u8, Vec<u8>), Vec<u64>>;

#[derive(Clone, Debug)]
enum Op {
    Upsert { keys: Vec<u8>, seed: u32 },
    Remove { key: u8 },
    Find { keys: Vec<u8> },
    AddWeight { key: u8, delta: i64 },
    Put { key: u8, seed: u32 },
    Delete { key: u8 },
    Range { from: u8, to: u8, one_group: bool },
    Drain { from: u8, to: u8, one_group: bool },
    WindowUpsert { end: i64, keys: Vec<u8>, seed: u32 },
    WindowRemove { end: i64, key: u8 },
    DropWindow { end: i64 },
    WindowEntries { end: i64 },
    Seal { to_disk: bool },
    Publish,
    Restart,
}

/// Few, so that the same key meets every step of a history.
const KEYS: u8 = 6;

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let key = || 0..KEYS;
    let keys = || prop::collection::vec(0..KEYS, 1..4);
    let end = || (0..3i64).prop_map(|end| end * 10 - 20);
    let op = prop_oneof![
        4 => (keys(), 0..100u32).prop_map(|(keys, seed)| Op::Upsert { keys, seed }),
        3 => key().prop_map(|key| Op::Remove { key }),
        2 => keys().prop_map(|keys| Op::Find { keys }),
        4 => (key(), -2..3i64).prop_map(|(key, delta)| Op::AddWeight { key, delta }),
        4 => (key(), 0..100u32).prop_map(|(key, seed)| Op::Put { key, seed }),
        3 => key().prop_map(|key| Op::Delete { key }),
        2 => (key(), key(), any::<bool>())
            .prop_map(|(from, to, one_group)| Op::Range { from, to, one_group }),
        1 => (key(), key(), any::<bool>())
            .prop_map(|(from, to, one_group)| Op::Drain { from, to, one_group }),
        4 => (end(), keys(), 0..100u32)
            .prop_map(|(end, keys, seed)| Op::WindowUpsert { end, keys, seed }),
        2 => (end(), key()).prop_map(|(end, key)| Op::WindowRemove { end, key }),
        1 => end().prop_map(|end| Op::DropWindow { end }),
        1 => end().prop_map(|end| Op::WindowEntries { end }),
        5 => any::<bool>().prop_map(|to_disk| Op::Seal { to_disk }),
        5 => Just(Op::Publish),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..200)
}

/// A store beside the maps that say what it must hold.
struct Run {
    store: StateStore,
    disk: Option<Arc<Disk>>,
    budget: usize,
    /// What the tables hold, and what they held when the epoch began.
    now: Contents,
    sealed: Contents,
    /// Sealed and not committed.
    pending: VecDeque<Sealed>,
    /// The changelog that the disk is behind.
    behind: Vec<Arc<Overlay>>,
    /// All sealed overlays folded.
    folded: BTreeMap<Vec<u8>, Vec<u64>>,
}

fn weight_row(weight: i64) -> Vec<u64> {
    row(&[Type::not_null(DataType::BigInt)], &[Value::Int(weight)])
}

fn windowed_key(end: i64, key: &[u8]) -> Vec<u8> {
    [&order_i64(end), key].concat()
}

fn number_of(table: TableId) -> u32 {
    NUMBERS[table.index()]
}

/// Keys of ordered tables: the partition key decides on the group, and a part follows it.
fn ordered_key(number: u8) -> (u8, Vec<u8>) {
    let partition = [number % 3];
    (group_of(&partition), [&partition[..], &key(number)].concat())
}

fn words_of(table: &PointTable, slot: SlotId) -> Vec<u64> {
    let mut words = Vec::new();
    table.value_ref(slot).append_row(&mut words);
    words
}

impl Run {
    fn new(disk: Option<Arc<Disk>>, budget: usize) -> Self {
        Self {
            store: store(ALL_GROUPS, disk.as_ref(), budget),
            disk,
            budget,
            now: Contents::new(),
            sealed: Contents::new(),
            pending: VecDeque::new(),
            behind: Vec::new(),
            folded: BTreeMap::new(),
        }
    }

    fn step(&mut self, op: &Op) -> Result<(), StateError> {
        match op {
            Op::Upsert { keys, seed } => {
                upsert(self.store.point(POINT), keys, *seed)?;
                self.model_upsert(POINT, &[], keys, *seed);
                self.check_befores(&[]);
            }
            Op::Remove { key: number } => {
                let table = self.store.point(POINT);
                if let Some(slot) = table.get(&key(*number))? {
                    table.remove(slot);
                }
                self.model_set(POINT, group_of(&key(*number)), key(*number), None);
                self.check_befores(&[]);
            }
            Op::Find { keys } => {
                let table = self.store.point(POINT);
                let mut found = Vec::new();
                table.find(&key_batch(keys), &mut found)?;
                for (&number, found) in keys.iter().zip(found) {
                    let at = (number_of(POINT), group_of(&key(number)), key(number));
                    let words = found.map(|slot| words_of(table, slot));
                    assert_eq!(words.as_ref(), self.now.get(&at));
                }
            }
            Op::AddWeight { key, delta } => {
                let (group, key) = ordered_key(*key);
                let (old, new) = self.store.ordered(WEIGHTS).add_weight(group, &key, *delta)?;
                let then = self.now.get(&(number_of(WEIGHTS), group, key.clone()));
                assert_eq!(then, (old != 0).then(|| weight_row(old)).as_ref());
                assert_eq!(new, old + delta);
                self.model_set(WEIGHTS, group, key, (new != 0).then(|| weight_row(new)));
            }
            Op::Put { key, seed } => {
                let ((group, key), row) = (ordered_key(*key), value_row(*seed));
                self.store.ordered(ROWS).put(group, &key, RowRef::new(&row))?;
                self.model_set(ROWS, group, key, Some(row));
            }
            Op::Delete { key } => {
                let (group, key) = ordered_key(*key);
                self.store.ordered(ROWS).delete(group, &key)?;
                self.model_set(ROWS, group, key, None);
            }
            Op::Range { from, to, one_group } => self.check_range(*from, *to, *one_group)?,
            Op::Drain { from, to, one_group } => self.drain(*from, *to, *one_group)?,
            Op::WindowUpsert { end, keys, seed } => {
                upsert(self.store.windowed(WINDOWS).at(*end), keys, *seed)?;
                self.model_upsert(WINDOWS, &order_i64(*end), keys, *seed);
            }
            Op::WindowRemove { end, key } => self.remove_from_window(*end, &super::key(*key))?,
            Op::DropWindow { end } => {
                self.store.windowed(WINDOWS).remove_window(*end)?;
                self.now.retain(|(table, _, key), _| {
                    *table != number_of(WINDOWS) || !key.starts_with(&order_i64(*end))
                });
            }
            Op::WindowEntries { end } => self.check_window(*end)?,
            Op::Seal { to_disk } => self.seal(*to_disk),
            Op::Publish => self.publish()?,
            Op::Restart => self.restart()?,
        }
        self.check_windows();
        Ok(())
    }

    fn remove_from_window(&mut self, end: i64, key: &[u8]) -> Result<(), StateError> {
        if let Some(window) = self.store.windowed(WINDOWS).window(end)
            && let Some(slot) = window.get(key)?
        {
            window.remove(slot);
        }
        self.model_set(WINDOWS, group_of(key), windowed_key(end, key), None);
        Ok(())
    }

    fn model_set(&mut self, table: TableId, group: u8, key: Vec<u8>, row: Option<Vec<u64>>) {
        match row {
            Some(row) => self.now.insert((number_of(table), group, key), row),
            None => self.now.remove(&(number_of(table), group, key)),
        };
    }

    fn model_upsert(&mut self, table: TableId, prefix: &[u8], keys: &[u8], seed: u32) {
        for (i, &number) in keys.iter().enumerate() {
            let at = [prefix, &key(number)].concat();
            self.model_set(table, group_of(&key(number)), at, Some(value_row(seed + i as u32)));
        }
    }

    /// What touched entries were at the epoch's start.
    fn check_befores(&mut self, prefix: &[u8]) {
        let table = self.store.point(POINT);
        let mut seen = BTreeSet::new();
        for &slot in table.touched() {
            let key = table.key(slot);
            assert!(seen.insert(key.to_vec()), "a key is listed once");
            let at = (number_of(POINT), group_of(key), [prefix, key].concat());
            let before = table.before(slot).map(|row| row.words().to_vec());
            assert_eq!(before.as_ref(), self.sealed.get(&at));
            assert_eq!(table.is_live(slot), self.now.contains_key(&at));
        }
    }

    fn expected_range(&self, group: Option<u8>, from: &[u8], to: &[u8]) -> Contents {
        let wanted = |(table, g, key): &(u32, u8, Vec<u8>)| {
            *table == number_of(ROWS)
                && group.is_none_or(|group| group == *g)
                && key.as_slice() >= from
                && key.as_slice() < to
        };
        let entries = self.now.iter().filter(|(at, _)| wanted(at));
        entries.map(|(at, row)| (at.clone(), row.clone())).collect()
    }

    fn check_range(&mut self, from: u8, to: u8, one_group: bool) -> Result<(), StateError> {
        let ((group, from), (_, to)) = (ordered_key(from), ordered_key(to));
        let (low, high) = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
        let chosen = one_group.then_some(group);
        let expected = self.expected_range(chosen, &from, &to);
        let of_group = self.expected_range(Some(group), &from, &to);
        let at = |e: OrderedEntry<'_>| (number_of(ROWS), e.group, e.key.to_vec());
        let table = self.store.ordered(ROWS);
        let first = table.first(group, low, high)?.map(at);
        assert_eq!(first.as_ref(), of_group.keys().next());
        let last = table.last(group, low, high)?.map(at);
        assert_eq!(last.as_ref(), of_group.keys().next_back());
        let entries: Vec<_> =
            table.range(chosen, low, high)?.map(|e| (at(e), e.row.words().to_vec())).collect();
        assert!(entries.is_sorted_by(|a, b| a.0.2 < b.0.2), "in key order");
        assert_eq!(entries.into_iter().collect::<Contents>(), expected);
        let prefix = &from[..2];
        let scanned: Vec<Vec<u8>> = table.scan(chosen, prefix)?.map(|e| e.key.to_vec()).collect();
        let mut wanted: Vec<Vec<u8>> = (self.now.keys())
            .filter(|(t, g, key)| {
                *t == number_of(ROWS)
                    && chosen.is_none_or(|group| group == *g)
                    && key.starts_with(prefix)
            })
            .map(|(_, _, key)| key.clone())
            .collect();
        wanted.sort();
        assert_eq!(scanned, wanted);
        Ok(())
    }

    fn drain(&mut self, from: u8, to: u8, one_group: bool) -> Result<(), StateError> {
        let ((group, from), (_, to)) = (ordered_key(from), ordered_key(to));
        let chosen = one_group.then_some(group);
        let expected = self.expected_range(chosen, &from, &to);
        let mut drained = Contents::new();
        let (low, high) = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
        self.store.ordered(ROWS).drain(chosen, low, high, |e| {
            drained.insert((number_of(ROWS), e.group, e.key.to_vec()), e.row.words().to_vec());
        })?;
        assert_eq!(drained, expected);
        self.now.retain(|at, _| !expected.contains_key(at));
        Ok(())
    }

    fn check_window(&mut self, end: i64) -> Result<(), StateError> {
        let of_window = self.now.iter().filter(|((table, _, key), _)| {
            *table == number_of(WINDOWS) && key.starts_with(&order_i64(end))
        });
        let expected: BTreeMap<Vec<u8>, Vec<u64>> =
            of_window.map(|((_, _, key), row)| (key[8..].to_vec(), row.clone())).collect();
        let mut found = BTreeMap::new();
        if let Some(window) = self.store.windowed(WINDOWS).window(end) {
            for slot in window.entries()? {
                found.insert(window.key(slot).to_vec(), words_of(window, slot));
            }
        }
        assert_eq!(found, expected);
        Ok(())
    }

    /// Every window that has a key is listed.
    fn check_windows(&mut self) {
        let listed: BTreeSet<i64> = self.store.windowed(WINDOWS).ends().collect();
        for (table, _, key) in self.now.keys() {
            if *table == number_of(WINDOWS) {
                let end = windowed::split_end(key).expect("a window's key").0;
                assert!(listed.contains(&end));
            }
        }
    }

    fn seal(&mut self, to_disk: bool) {
        let sealed = self.store.seal(to_disk);
        for change in sealed.changes.changes() {
            match change.row() {
                Some(row) => {
                    self.folded.insert(change.full_key().to_vec(), row.words().to_vec());
                }
                None => {
                    self.folded.remove(change.full_key());
                }
            }
        }
        if let Some(overlay) = &sealed.for_disk {
            let changes: Vec<_> = overlay.changes().map(Change::full_key).collect();
            assert!(changes.is_sorted_by(|a, b| a < b), "one change a key, in key order");
        }
        assert_eq!(sealed.for_disk.is_some(), to_disk && self.disk.is_some());
        assert_eq!(fold_of(&self.now), self.folded);
        self.sealed = self.now.clone();
        self.pending.push_back(sealed);
    }

    fn publish(&mut self) -> Result<(), StateError> {
        let Some(Sealed { changes, for_disk }) = self.pending.pop_front() else { return Ok(()) };
        self.behind.push(changes);
        if let (Some(disk), Some(overlay)) = (&self.disk, for_disk) {
            let position = overlay.seal().to_be_bytes();
            // As a few changes are written, and as many are.
            match overlay.seal() % 2 {
                0 => disk.publish(&[&overlay], &position)?,
                _ => disk.take_in(&[&overlay], &position)?,
            }
            assert_eq!(disk.position()?.as_deref(), Some(&position[..]));
            self.store.published(overlay.seal());
            self.behind.clear();
        }
        Ok(())
    }

    /// The process dies after the commit: the disk is brought to the end of the changelog, the
    /// epoch under way is lost.
    fn restart(&mut self) -> Result<(), StateError> {
        while !self.pending.is_empty() {
            self.publish()?;
        }
        let disk = self.disk.clone();
        self.store = store(ALL_GROUPS, disk.as_ref(), self.budget);
        self.now = self.sealed.clone();
        match &self.disk {
            Some(disk) => {
                let (specs, behind) = (specs(), std::mem::take(&mut self.behind));
                let mut restorer = Restorer::new(&specs, &NUMBERS, disk);
                for record in behind.iter().flat_map(|changes| records(changes, 8)) {
                    restorer.apply(record.key, record.value).expect("our own records");
                }
                restorer.finish(b"end").expect("the disk works");
                self.store.load()?;
            }
            None => {
                for (key, row) in &self.folded {
                    let bytes: Vec<u8> = row.iter().flat_map(|word| word.to_ne_bytes()).collect();
                    self.store.restore(key, Some(&bytes)).expect("our own records");
                }
            }
        }
        Ok(())
    }

    /// Reads everything, one way or another.
    fn check_all(&mut self) -> Result<(), StateError> {
        self.step(&Op::Find { keys: (0..KEYS).collect() })?;
        for (table, keys) in [(WEIGHTS, 0..KEYS), (ROWS, 0..KEYS)] {
            for number in keys {
                let (group, key) = ordered_key(number);
                let row = self.store.ordered(table).get(group, &key)?;
                let row = row.map(|row| row.words().to_vec());
                assert_eq!(row.as_ref(), self.now.get(&(number_of(table), group, key)));
            }
        }
        for end in 0..3 {
            self.check_window(end * 10 - 20)?;
        }
        Ok(())
    }
}

fn fold_of(contents: &Contents) -> BTreeMap<Vec<u8>, Vec<u64>> {
    let full_key = |(table, group, key): &(u32, u8, Vec<u8>)| {
        [&table.to_be_bytes()[..], &[*group], key].concat()
    };
    contents.iter().map(|(at, row)| (full_key(at), row.clone())).collect()
}

fn upsert(table: &mut PointTable, keys: &[u8], seed: u32) -> Result<(), StateError> {
    let mut slots = Vec::new();
    table.upsert(&key_batch(keys), &mut slots)?;
    for (i, (slot, &number)) in slots.into_iter().zip(keys).enumerate() {
        assert_eq!(table.key(slot), key(number));
        if table.is_new(slot) {
            assert!((0..3).all(|column| table.value_ref(slot).is_null(column)));
        }
        table.set_row(slot, RowRef::new(&value_row(seed + i as u32)));
        assert!(!table.is_new(slot));
    }
    Ok(())
}

fn check(ops: &[Op], with_disk: bool, budget: usize) {
    let (_folder, disk) = disk();
    let mut run = Run::new(with_disk.then_some(disk), budget);
    for op in ops {
        run.step(op).expect("the disk works");
    }
    run.check_all().expect("the disk works");
    run.step(&Op::Seal { to_disk: false }).expect("the disk works");
    run.step(&Op::Restart).expect("the disk works");
    run.check_all().expect("the disk works");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Nothing stays in memory that may leave it.
    #[test]
    fn everything_spilled(ops in ops()) {
        check(&ops, true, 0);
    }

    /// A part fits.
    #[test]
    fn partly_spilled(ops in ops(), budget in 500usize..4_000) {
        check(&ops, true, budget);
    }

    /// Everything fits; then also without a disk.
    #[test]
    fn all_in_memory(ops in ops()) {
        check(&ops, true, usize::MAX);
        check(&ops, false, usize::MAX);
    }
}

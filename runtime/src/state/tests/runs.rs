//! Runs of keys: whatever has left memory, a run is read whole, its last key is found, and keys
//! that are nowhere are not there.

use std::collections::{BTreeMap, VecDeque};

use flow_ir::row::RowRef;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    /// A key behind the last of a run.
    Append {
        run: u8,
    },
    /// The row of the last key of a run.
    PutLast {
        run: u8,
        seed: u32,
    },
    AddWeight {
        run: u8,
        key: u8,
        delta: i64,
    },
    Read {
        run: u8,
    },
    ReadWeights {
        run: u8,
    },
    Seal,
    Publish,
    /// What is published is loaded, as much as there is room for.
    Restart,
}

/// Runs: few, some of which share a key group.
const RUNS: u8 = 5;

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let run = || 0..RUNS;
    let op = prop_oneof![
        6 => run().prop_map(|run| Op::Append { run }),
        2 => (run(), 0..100u32).prop_map(|(run, seed)| Op::PutLast { run, seed }),
        5 => (run(), 0..4u8, -2..3i64)
            .prop_map(|(run, key, delta)| Op::AddWeight { run, key, delta }),
        3 => run().prop_map(|run| Op::Read { run }),
        2 => run().prop_map(|run| Op::ReadWeights { run }),
        4 => Just(Op::Seal),
        4 => Just(Op::Publish),
        1 => Just(Op::Restart),
    ];
    prop::collection::vec(op, 1..150)
}

/// A run and its group.
fn run_of(run: u8) -> (u8, Vec<u8>) {
    (group_of(&[run % 2]), vec![run, 7])
}

fn key_of(run: u8, number: u8) -> (u8, Vec<u8>) {
    let (group, mut key) = run_of(run);
    key.push(number);
    (group, key)
}

struct Run {
    store: StateStore,
    disk: Arc<Disk>,
    budget: usize,
    rows: BTreeMap<Vec<u8>, Vec<u64>>,
    weights: BTreeMap<Vec<u8>, i64>,
    /// Sealed and not on disk.
    pending: VecDeque<Sealed>,
}

impl Run {
    fn step(&mut self, op: &Op) -> Result<(), StateError> {
        self.store.ordered(ROWS).set_runs(1);
        self.store.ordered(WEIGHTS).set_runs(1);
        match op {
            Op::Append { run } => {
                let next = self.last(*run)?.map_or(0, |last| last + 1);
                if next < u8::MAX {
                    self.put(*run, next, u32::from(next))?;
                }
            }
            Op::PutLast { run, seed } => {
                if let Some(last) = self.last(*run)? {
                    self.put(*run, last, *seed)?;
                }
            }
            Op::AddWeight { run, key, delta } => {
                let (group, key) = key_of(*run, *key);
                let (old, new) = self.store.ordered(WEIGHTS).add_weight(group, &key, *delta)?;
                let known = self.weights.entry(key.clone()).or_default();
                assert_eq!((old, new), (*known, *known + delta));
                *known += delta;
                if *known == 0 {
                    self.weights.remove(&key);
                }
            }
            Op::Read { run } => {
                let (group, run) = run_of(*run);
                let found: Vec<(Vec<u8>, Vec<u64>)> =
                    (self.store.ordered(ROWS).run(group, &run)?)
                        .map(|entry| (entry.key.to_vec(), entry.row.words().to_vec()))
                        .collect();
                let wanted = self.rows.iter().filter(|(key, _)| key.starts_with(&run));
                let wanted: Vec<_> = wanted.map(|(k, row)| (k.clone(), row.clone())).collect();
                assert_eq!(found, wanted);
            }
            Op::ReadWeights { run } => {
                let (group, run) = run_of(*run);
                let found = self.store.ordered(WEIGHTS).run(group, &run)?;
                let found: Vec<Vec<u8>> = found.map(|entry| entry.key.to_vec()).collect();
                let wanted = self.weights.keys().filter(|key| key.starts_with(&run));
                assert_eq!(found, wanted.cloned().collect::<Vec<_>>());
            }
            Op::Seal => self.pending.push_back(self.store.seal(true)),
            Op::Publish => self.publish()?,
            Op::Restart => self.restart()?,
        }
        Ok(())
    }

    fn last(&mut self, run: u8) -> Result<Option<u8>, StateError> {
        let (group, run) = run_of(run);
        let last = self.store.ordered(ROWS).last_of_run(group, &run)?;
        let last = last.map(|entry| (entry.key.to_vec(), entry.row.words().to_vec()));
        let wanted = self.rows.iter().filter(|(key, _)| key.starts_with(&run)).next_back();
        assert_eq!(last, wanted.map(|(key, row)| (key.clone(), row.clone())));
        Ok(last.and_then(|(key, _)| key.last().copied()))
    }

    fn put(&mut self, run: u8, number: u8, seed: u32) -> Result<(), StateError> {
        let ((group, key), row) = (key_of(run, number), value_row(seed));
        self.store.ordered(ROWS).put(group, &key, RowRef::new(&row))?;
        self.rows.insert(key, row);
        Ok(())
    }

    fn publish(&mut self) -> Result<(), StateError> {
        if let Some(overlay) = self.pending.pop_front().and_then(|sealed| sealed.for_disk) {
            self.disk.publish(&[&overlay], b"position")?;
            self.store.published(overlay.seal());
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), StateError> {
        self.step(&Op::Seal)?;
        while !self.pending.is_empty() {
            self.publish()?;
        }
        self.store = store(ALL_GROUPS, Some(&self.disk), self.budget);
        self.store.load()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn runs_are_whole(ops in ops(), budget in prop_oneof![Just(0usize), 500..4_000usize]) {
        let (_folder, disk) = disk();
        let store = store(ALL_GROUPS, Some(&disk), budget);
        let (rows, weights) = (BTreeMap::new(), BTreeMap::new());
        let mut run = Run { store, disk, budget, rows, weights, pending: VecDeque::new() };
        for op in &ops {
            run.step(op).expect("the disk works");
        }
        for of in 0..RUNS {
            run.step(&Op::Read { run: of }).expect("the disk works");
            run.step(&Op::ReadWeights { run: of }).expect("the disk works");
        }
    }
}

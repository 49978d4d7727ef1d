//! Materialize passes on the net of its input, whether rows have a key or are counted. (What it
//! keeps for readers is tested where they read.)

use std::collections::BTreeMap;

use flow_ir::physical::{Changelog, Materialize, PhysicalOp, TableKind};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use proptest::prelude::*;

use super::harness::*;

/// Columns: key, text.
fn types() -> Vec<Type> {
    vec![null(DataType::Int), null(DataType::String)]
}

fn view(keys: &[usize], hashed: usize, counted: bool) -> Graph {
    let mut graph = Graph::new();
    let source = graph.source(&types(), Changelog::Retract);
    let value = if counted { vec![not_null(DataType::BigInt)] } else { types() };
    let rows = graph.table(TableKind::Ordered, value);
    let op = PhysicalOp::Materialize(Materialize { keys: keys.to_vec(), hashed, counted, rows });
    let by = keys[..hashed].to_vec();
    graph.add(op, &[(source, Some(by))], types(), Changelog::Retract);
    graph
}

/// Rows by key, each change as the old row taken back and the new row.
fn keyed(changes: Vec<(Option<i64>, Option<String>)>) -> (Vec<Event>, Net) {
    let mut rows: BTreeMap<Option<i64>, Vec<Value>> = BTreeMap::new();
    let mut events = Vec::new();
    let mut event =
        |row: Vec<Value>, weight| events.push(Event { port: 0, row, weight, mark: i64::MIN });
    for (key, text) in changes {
        if let Some(old) = rows.remove(&key) {
            event(old, -1);
        }
        if let Some(text) = text {
            let row = vec![int(key), Value::String(text)];
            rows.insert(key, row.clone());
            event(row, 1);
        }
    }
    let mut net = Net::new();
    rows.values().for_each(|row| add(&mut net, row, 1));
    (events, net)
}

#[test]
pub(super) fn views_pass_on_net_changes() {
    let key = || prop::option::weighted(0.9, 0i64..4);
    let change = (key(), prop::option::weighted(0.8, "[ab]{0,1}"));
    let row = (key(), "[ab]{0,1}", -2i64..3);
    proptest!(ProptestConfig::with_cases(256), |(
        changes in prop::collection::vec(change, 0..30),
        rows in prop::collection::vec(row, 0..30),
        hashed in 0usize..3,
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let (events, expected) = keyed(changes);
        // Ordered by text, then key: an index.
        let keys: &[usize] = if hashed == 0 { &[0] } else { &[1, 0] };
        let graph = view(keys, hashed.max(1), false);
        for run in assert_law(&graph.graph, &events, Spread::Sources, &sizes, &expected) {
            prop_assert_eq!(run.wavering, 0);
        }
        let (mut events, mut expected) = (Vec::new(), Net::new());
        for (key, text, weight) in rows.into_iter().filter(|(_, _, weight)| *weight != 0) {
            let row = vec![int(key), Value::String(text)];
            add(&mut expected, &row, weight);
            events.push(Event { port: 0, row, weight, mark: i64::MIN });
        }
        let graph = view(&[1, 0], hashed, true);
        assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected);
    });
}

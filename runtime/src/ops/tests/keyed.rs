//! Deduplicate and Normalize against the row that stays by definition.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use flow_ir::physical::{
    Changelog, Deduplicate, Direction, Keep, Normalize, PhysicalOp, TableKind,
};
use flow_ir::row::KeyEncoder;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use proptest::prelude::*;

use super::harness::*;

/// Columns: key, time, text, number.
pub(super) fn types() -> Vec<Type> {
    let time = DataType::Timestamp { precision: 3 };
    [DataType::Int, time, DataType::String, DataType::Double].map(null).to_vec()
}

pub(super) fn row() -> impl Strategy<Value = Vec<Value>> {
    let text = prop_oneof![Just(""), Just("a"), Just("a\0"), Just("ab"), Just("b")];
    (
        prop::option::weighted(0.8, 0i64..4).prop_map(int),
        prop::option::weighted(0.9, -3i64..6).prop_map(|v| v.map_or(Value::Null, Value::Timestamp)),
        prop::option::weighted(0.8, text)
            .prop_map(|v| v.map_or(Value::Null, |v| Value::String(v.into()))),
        prop::option::weighted(0.8, -2i32..2)
            .prop_map(|v| v.map_or(Value::Null, |v| Value::Float(v.into()))),
    )
        .prop_map(|(k, t, s, x)| vec![k, t, s, x])
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        other => panic!("{other:?}"),
    }
}

/// The order by its definition: columns with directions, then the row's key bytes.
pub(super) fn order(a: &[Value], b: &[Value], columns: &[(usize, Direction)]) -> Ordering {
    let by_column = |&(column, direction): &(usize, Direction)| {
        let (a, b) = (&a[column], &b[column]);
        let null_side = if direction.nulls_first { Ordering::Less } else { Ordering::Greater };
        match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => null_side,
            (false, true) => null_side.reverse(),
            (false, false) if direction.descending => compare(b, a),
            (false, false) => compare(a, b),
        }
    };
    let bytes = |row: &[Value]| -> Vec<u8> {
        let bytes = row.iter().zip(types()).map(|(v, ty)| KeyEncoder::value_bytes(v, &ty));
        bytes.collect::<Vec<_>>().concat()
    };
    let ordering = columns.iter().map(by_column).find(|o| o.is_ne());
    ordering.unwrap_or_else(|| bytes(a).cmp(&bytes(b)))
}

#[test]
pub(super) fn first_or_last_row_stays() {
    let direction = || {
        (any::<bool>(), any::<bool>())
            .prop_map(|(descending, nulls_first)| Direction { descending, nulls_first })
    };
    proptest!(ProptestConfig::with_cases(256), |(
        rows in prop::collection::vec(row(), 0..30),
        columns in prop::collection::vec((1usize..4, direction()), 0..3),
        keep in prop_oneof![Just(Keep::First), Just(Keep::Once), Just(Keep::Last)],
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        // What the clock orders comes in its order.
        let once = keep == Keep::Once;
        let ascending = Direction { descending: false, nulls_first: false };
        let columns = if once { vec![(1, ascending)] } else { columns };
        let mut graph = Graph::new();
        let source = graph.source(&types(), Changelog::Append);
        let op = PhysicalOp::Deduplicate(Deduplicate {
            keys: vec![0],
            order: columns.clone(),
            keep,
            rows: graph.table(TableKind::Point, types()),
        });
        let changes = if once { Changelog::Append } else { Changelog::Retract };
        graph.add(op, &[(source, Some(vec![0]))], types(), changes);
        let mut groups: BTreeMap<String, Vec<Vec<Value>>> = BTreeMap::new();
        let mut events = Vec::new();
        for (at, mut row) in rows.into_iter().enumerate() {
            if once {
                row[1] = Value::Timestamp(at as i64);
            }
            groups.entry(format!("{:?}", row[0])).or_default().push(row.clone());
            events.push(Event { port: 0, row, weight: 1, mark: i64::MIN });
        }
        let mut expected = Net::new();
        for rows in groups.values() {
            let by = |a: &&Vec<Value>, b: &&Vec<Value>| order(a, b, &columns);
            let row = match keep {
                Keep::First | Keep::Once => rows.iter().min_by(by),
                Keep::Last => rows.iter().max_by(by),
            };
            add(&mut expected, row.expect("a group has rows"), 1);
        }
        for run in assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected) {
            prop_assert_eq!(run.wavering, 0);
        }
    });
}

#[test]
pub(super) fn last_row_per_key_stays() {
    let types = [
        null(DataType::Int),
        null(DataType::String),
        not_null(DataType::Boolean),
        null(DataType::BigInt),
    ];
    let row = (prop::option::weighted(0.9, 0i64..4), "[ab]{0,1}", any::<bool>());
    proptest!(ProptestConfig::with_cases(256), |(
        rows in prop::collection::vec(row, 0..30),
        each in any::<bool>(),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let mut graph = Graph::new();
        let source = graph.source(&types, Changelog::Append);
        let op = PhysicalOp::Normalize(Normalize {
            keys: vec![0],
            tombstone: 2,
            weight: None,
            watermark: each.then_some(3),
            rows: graph.table(TableKind::Point, types.to_vec()),
        });
        graph.add(op, &[(source, Some(vec![0]))], types.to_vec(), Changelog::Retract);
        let mut last: BTreeMap<Option<i64>, Vec<Value>> = BTreeMap::new();
        let mut events = Vec::new();
        for (key, text, dead) in rows {
            let text = if dead { Value::Null } else { Value::String(text) };
            let row = vec![int(key), text, Value::Boolean(dead), Value::Int(7)];
            if dead {
                last.remove(&key);
            } else {
                last.insert(key, row.clone());
            }
            events.push(Event { port: 0, row, weight: 1, mark: i64::MIN });
        }
        let mut expected = Net::new();
        last.values().for_each(|row| add(&mut expected, row, 1));
        for run in assert_law(&graph.graph, &events, Spread::Sources, &sizes, &expected) {
            prop_assert!(each || run.wavering == 0);
        }
    });
}

#[test]
fn what_is_taken_back_says_when() {
    let types = [
        null(DataType::Int),
        null(DataType::String),
        not_null(DataType::Boolean),
        not_null(DataType::BigInt),
    ];
    let mut graph = Graph::new();
    let source = graph.source(&types, Changelog::Append);
    let op = PhysicalOp::Normalize(Normalize {
        keys: vec![0],
        tombstone: 2,
        weight: None,
        watermark: Some(3),
        rows: graph.table(TableKind::Point, types.to_vec()),
    });
    graph.add(op, &[(source, Some(vec![0]))], types.to_vec(), Changelog::Retract);
    let row = |text: &str, dead: bool, mark: i64| {
        let text = Value::String(text.into());
        vec![Value::Int(1), text, Value::Boolean(dead), Value::Int(mark)]
    };
    // The second says the same; the third and the last take back as of their own watermarks.
    let records = [row("a", false, 1), row("a", false, 2), row("b", false, 3), row("", true, 4)];
    let events: Vec<Event> =
        records.map(|row| Event { port: 0, row, weight: 1, mark: i64::MIN }).into();
    let mut expected = Net::new();
    add(&mut expected, &row("a", false, 1), 1);
    add(&mut expected, &row("a", false, 3), -1);
    add(&mut expected, &row("b", false, 3), 1);
    add(&mut expected, &row("b", false, 4), -1);
    for sizes in [vec![], vec![1], vec![2], vec![3, 1]] {
        assert_law(&graph.graph, &events, Spread::Sources, &sizes, &expected);
    }
}

#[test]
fn a_counted_row_is_there_as_often_as_its_last_record_says() {
    let types = [
        null(DataType::Int),
        null(DataType::String),
        not_null(DataType::Boolean),
        null(DataType::BigInt),
    ];
    let mut graph = Graph::new();
    let source = graph.source(&types, Changelog::Append);
    let op = PhysicalOp::Normalize(Normalize {
        keys: vec![0, 1],
        tombstone: 2,
        weight: Some(3),
        watermark: None,
        rows: graph.table(TableKind::Point, vec![not_null(DataType::BigInt)]),
    });
    graph.add(op, &[(source, Some(vec![0, 1]))], types.to_vec(), Changelog::Retract);
    let row = (prop::option::weighted(0.9, 0i64..2), "[ab]{0,1}", 0i64..4);
    proptest!(ProptestConfig::with_cases(256), |(
        rows in prop::collection::vec(row, 0..30),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let mut last: BTreeMap<(Option<i64>, String), i64> = BTreeMap::new();
        let mut events = Vec::new();
        for (key, text, weight) in rows {
            let number = if weight == 0 { Value::Null } else { Value::Int(weight) };
            let gone = Value::Boolean(weight == 0);
            let row = vec![int(key), Value::String(text.clone()), gone, number];
            last.insert((key, text), weight);
            events.push(Event { port: 0, row, weight: 1, mark: i64::MIN });
        }
        let mut expected = Net::new();
        for ((key, text), weight) in last {
            let row = vec![int(key), Value::String(text), Value::Boolean(false), Value::Null];
            add(&mut expected, &row, weight);
        }
        for run in assert_law(&graph.graph, &events, Spread::Sources, &sizes, &expected) {
            prop_assert_eq!(run.wavering, 0);
        }
    });
}

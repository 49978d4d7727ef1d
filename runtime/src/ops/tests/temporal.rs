//! TemporalJoin against the newest version by definition.

use flow_ir::physical::{Changelog, JoinKind, PhysicalOp, TableKind, TemporalJoin};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use proptest::prelude::*;

use super::harness::*;
use super::joins::{interleave, time_of, timed};
use super::stateless::at_most;

/// Columns: key, number, time.
fn left_types() -> Vec<Type> {
    vec![null(DataType::Int), null(DataType::BigInt), timestamp()]
}

/// Columns: key, number, tombstone, watermark, time.
fn right_types() -> Vec<Type> {
    vec![
        null(DataType::Int),
        null(DataType::BigInt),
        not_null(DataType::Boolean),
        not_null(DataType::BigInt),
        null(DataType::Timestamp { precision: 3 }),
    ]
}

fn left_row() -> impl Strategy<Value = Vec<Value>> {
    let key = prop::option::weighted(0.9, 0i64..3);
    (key, prop::option::weighted(0.9, 0i64..4)).prop_map(|(k, x)| vec![int(k), int(x)])
}

/// Versions in disorder, some behind the watermark, some tombstones without a time.
fn versions() -> impl Strategy<Value = Vec<Weighted>> {
    let key = prop::option::weighted(0.95, 0i64..3);
    let row = (key, prop::option::weighted(0.9, 0i64..4), 0..5, -25i64..10, any::<bool>());
    (prop::collection::vec(row, 0..25), 0i64..15).prop_map(|(rows, delay)| {
        let (mut mark, mut out) = (i64::MIN, Vec::new());
        for (i, (key, x, dead, jitter, timeless)) in rows.into_iter().enumerate() {
            let (ts, dead) = (i as i64 * 4 - 20 + jitter, dead == 0);
            let timeless = dead && timeless;
            let row = vec![
                int(key),
                if dead { Value::Null } else { int(x) },
                Value::Boolean(dead),
                Value::Int(mark),
                if timeless { Value::Null } else { Value::Timestamp(ts) },
            ];
            if !timeless {
                mark = mark.max(ts - delay);
            }
            out.push((row, mark));
        }
        out
    })
}

fn graph(kind: JoinKind, timed: bool, condition: bool) -> Graph {
    let mut graph = Graph::new();
    let (left, right) = (left_types(), right_types());
    let l = graph.source(&left, Changelog::Append);
    let r = graph.source(&right, Changelog::Append);
    let input: Vec<Type> = left.iter().chain(&right).cloned().collect();
    let output = left.iter().cloned().chain(right.iter().map(|ty| ty.with_nullable(true)));
    let output = output.collect();
    let version = right.iter().cloned().chain([not_null(DataType::Boolean)]).collect();
    let join = PhysicalOp::TemporalJoin(TemporalJoin {
        kind,
        left_keys: vec![0],
        right_keys: vec![0],
        left_time: 2,
        right_time: timed.then_some(4),
        right_watermark: timed.then_some(3),
        right_tombstone: Some(2),
        condition: condition.then(|| at_most(&input, 1, 4, 8)),
        pending: graph.table(TableKind::Ordered, vec![not_null(DataType::BigInt)]),
        versions: graph.table(TableKind::Ordered, version),
    });
    graph.add(join, &[(l, Some(vec![0])), (r, Some(vec![0]))], output, Changelog::Append);
    graph
}

/// The version of a key at a time: of the newest version time the row that came last.
fn version_at<'a>(
    right: &'a [(Vec<Value>, i64)],
    key: &Value,
    time: i64,
    timed: bool,
) -> Option<&'a Vec<Value>> {
    let of = |row: &Vec<Value>| match (&row[3], &row[4]) {
        _ if !timed => i64::MIN,
        (Value::Int(w), Value::Timestamp(ts)) => *ts.max(w),
        (Value::Int(w), _) => *w,
        other => panic!("{other:?}"),
    };
    let rows = right.iter().map(|(row, _)| row).filter(|row| row[0] == *key && of(row) <= time);
    let newest = rows.enumerate().max_by_key(|(i, row)| (of(row), *i))?.1;
    (newest[2] == Value::Boolean(false)).then_some(newest)
}

fn evaluate(
    kind: JoinKind,
    timed: bool,
    condition: bool,
    left: &[(Vec<Value>, i64)],
    right: &[(Vec<Value>, i64)],
) -> Net {
    let mut expected = Net::new();
    for (l, _) in left {
        let version = match l[0].is_null() {
            true => None,
            false => version_at(right, &l[0], time_of(l), timed),
        };
        let passes = |r: &&Vec<Value>| match (&l[1], &r[1]) {
            (Value::Int(a), Value::Int(b)) => !condition || a <= b,
            _ => !condition,
        };
        let version = version.filter(passes);
        if version.is_some() || kind == JoinKind::Left {
            let nothing = vec![Value::Null; 5];
            let row: Vec<Value> = l.iter().chain(version.unwrap_or(&nothing)).cloned().collect();
            add(&mut expected, &row, 1);
        }
    }
    expected
}

fn kinds() -> impl Strategy<Value = JoinKind> {
    prop_oneof![Just(JoinKind::Inner), Just(JoinKind::Left)]
}

#[test]
pub(super) fn versions_join() {
    proptest!(ProptestConfig::with_cases(256), |(
        left in timed(left_row(), 25), right in versions(), kind in kinds(),
        condition in any::<bool>(), picks in prop::collection::vec(any::<bool>(), 1..20),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let expected = evaluate(kind, true, condition, &left, &right);
        let event = |(port, (row, mark))| Event { port, row, weight: 1, mark };
        let events: Vec<Event> = interleave(left, right, &picks).into_iter().map(event).collect();
        let graph = graph(kind, true, condition).graph;
        for run in assert_law(&graph, &events, Spread::Sources, &sizes, &expected) {
            for (row, mark) in run.rows.iter().filter(|(row, _)| !row[0].is_null()) {
                prop_assert!(matches!(row[2], Value::Timestamp(ts) if ts >= *mark));
            }
        }
    });
}

#[test]
fn a_table_without_times_is_valid_always() {
    proptest!(ProptestConfig::with_cases(256), |(
        left in timed(left_row(), 25), right in versions(), kind in kinds(),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let expected = evaluate(kind, false, false, &left, &right);
        // The table has no watermark until it has ended.
        let last = right.len();
        let right = right.into_iter().enumerate().map(|(i, (row, _))| Event {
            port: 1,
            row,
            weight: 1,
            mark: if i + 1 == last { i64::MAX } else { i64::MIN },
        });
        let left = left.into_iter().map(|(row, mark)| Event { port: 0, row, weight: 1, mark });
        let events: Vec<Event> = right.chain(left).collect();
        let graph = graph(kind, false, false).graph;
        assert_law(&graph, &events, Spread::Sources, &sizes, &expected);
    });
}

#[test]
fn old_versions_go() {
    let graph = graph(JoinKind::Inner, true, false).graph;
    let version = |ts: i64, mark| {
        let (key, x) = (Value::Int(1), Value::Int(ts));
        let row = vec![key, x, Value::Boolean(false), Value::Int(i64::MIN), Value::Timestamp(ts)];
        Event { port: 1, row, weight: 1, mark }
    };
    let left = |ts: i64| {
        let row = vec![Value::Int(1), Value::Int(0), Value::Timestamp(ts)];
        Event { port: 0, row, weight: 1, mark: ts }
    };
    let events = vec![version(1, 1), version(2, 2), version(3, 3), left(10), version(9, 9)];
    let mut expected = Net::new();
    let newest = [1, 0].map(Value::Int).into_iter().chain([Value::Timestamp(10)]);
    let newest = newest.chain([Value::Int(1), Value::Int(9), Value::Boolean(false)]);
    let newest = newest.chain([Value::Int(i64::MIN), Value::Timestamp(9)]);
    add(&mut expected, &newest.collect::<Vec<_>>(), 1);
    for run in assert_law(&graph, &events, Spread::Sources, &[2], &expected) {
        assert!(run.entries <= 1, "{} versions and waiting rows are kept", run.entries);
    }
}

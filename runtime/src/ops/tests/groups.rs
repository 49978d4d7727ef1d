//! PreAggregate with GroupAggregate: results of changelogs and of append-only streams, with and
//! without keys.

use std::collections::BTreeMap;

use flow_ir::aggregate::{AggregateCall, OrderColumn};
use flow_ir::physical::{
    Changelog, Direction, GroupAggregate, PhysicalOp, PreAggregate, TableKind,
};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::aggregates::{self, OrderUse};
use proptest::prelude::*;

use super::harness::*;

/// Columns: group INT, x BIGINT, y DOUBLE, s STRING, f BOOLEAN.
pub(super) fn input_types() -> Vec<Type> {
    let types =
        [DataType::Int, DataType::BigInt, DataType::Double, DataType::String, DataType::Boolean];
    types.map(null).to_vec()
}

/// A row with many NULLs and few different values; y adds up exactly.
pub(super) fn input_row() -> impl Strategy<Value = Vec<Value>> {
    let text = prop_oneof![Just("a"), Just("b"), Just("b\0"), Just("")];
    (
        prop::option::weighted(0.8, 0i64..4).prop_map(int),
        prop::option::weighted(0.7, -4i64..4).prop_map(int),
        prop::option::weighted(0.7, -8i32..8)
            .prop_map(|v| v.map_or(Value::Null, |v| Value::Float(f64::from(v) / 4.0))),
        prop::option::weighted(0.7, text)
            .prop_map(|v| v.map_or(Value::Null, |v| Value::String(v.into()))),
        prop::option::weighted(0.8, any::<bool>())
            .prop_map(|v| v.map_or(Value::Null, Value::Boolean)),
    )
        .prop_map(|(k, x, y, s, f)| vec![k, x, y, s, f])
}

/// The calls that are tried: (function, argument, DISTINCT, filter).
const CALLS: [(&str, Option<usize>, bool, Option<usize>); 21] = [
    ("COUNT", None, false, None),
    ("COUNT", Some(1), false, None),
    ("SUM", Some(1), false, None),
    ("SUM", Some(2), false, None),
    ("AVG", Some(1), false, None),
    ("MIN", Some(1), false, None),
    ("MAX", Some(3), false, Some(4)),
    ("COUNT", Some(3), true, None),
    ("SUM", Some(1), true, Some(4)),
    ("SUM", Some(1), false, Some(4)),
    ("MAX", Some(2), true, None),
    ("ARRAY_AGG", Some(1), false, None),
    ("ARRAY_AGG", Some(3), true, Some(4)),
    ("FIRST_VALUE", Some(1), false, None),
    ("LAST_VALUE", Some(3), false, Some(4)),
    ("MEDIAN", Some(1), false, None),
    ("VAR_POP", Some(1), false, None),
    ("VAR_POP", Some(1), true, None),
    ("COUNT", Some(1), true, Some(4)),
    ("COUNT", Some(3), true, Some(4)),
    ("AVG", Some(1), true, None),
];

pub(super) fn calls(retracts: bool) -> Vec<AggregateCall> {
    let call = |(function, arg, distinct, filter): (&str, Option<usize>, bool, Option<usize>)| {
        let args: Vec<usize> = arg.into_iter().collect();
        let arg_types: Vec<Type> = args.iter().map(|i| input_types()[*i].clone()).collect();
        let def = aggregates::lookup(function).expect("an aggregate");
        let ty = (def.result)(&arg_types).expect("a type");
        let direction = Direction { descending: false, nulls_first: false };
        let by =
            |&column: &usize| OrderColumn { column, ty: input_types()[column].clone(), direction };
        let order = match def.order {
            OrderUse::Rows => args.iter().map(by).collect(),
            OrderUse::Nothing | OrderUse::FirstArgument | OrderUse::LastArgument { .. } => vec![],
        };
        let call = AggregateCall::new(function, args, arg_types, ty);
        AggregateCall { order, distinct, ignore_nulls: true, filter, retracts, ..call }
    };
    CALLS.map(call).to_vec()
}

pub(super) fn partial_types(keys: &[Type], windowed: bool, calls: &[AggregateCall]) -> Vec<Type> {
    let bounds = if windowed { vec![not_null(DataType::BigInt); 2] } else { Vec::new() };
    let tail = [DataType::BigInt, DataType::Bytes].map(null);
    let state = calls.iter().flat_map(aggregates::state_types);
    keys.iter().cloned().chain(bounds).chain(state).chain(tail).collect()
}

/// The results over rows with weights, by definition.
pub(super) fn evaluate(rows: &[(Vec<Value>, i64)]) -> Vec<Value> {
    let call = |(function, arg, distinct, filter): (&str, Option<usize>, bool, Option<usize>)| {
        let counted = rows.iter().filter(|(row, _)| {
            filter.is_none_or(|f| row[f] == Value::Boolean(true))
                && arg.is_none_or(|a| !row[a].is_null())
        });
        let mut values: Vec<(Value, i64)> = Vec::new();
        for (row, weight) in counted {
            let value = arg.map_or(Value::Int(0), |a| row[a].clone());
            match values.iter_mut().find(|(v, _)| *v == value) {
                Some((_, sum)) => *sum += weight,
                None => values.push((value, *weight)),
            }
        }
        values.retain(|(_, weight)| *weight > 0);
        if distinct {
            values.iter_mut().for_each(|(_, weight)| *weight = 1);
        }
        result(function, &values)
    };
    CALLS.into_iter().map(call).collect()
}

fn result(function: &str, values: &[(Value, i64)]) -> Value {
    let count: i64 = values.iter().map(|(_, weight)| weight).sum();
    let sum: f64 = values.iter().map(|(v, weight)| number(v) * *weight as f64).sum();
    let integers = values.iter().all(|(v, _)| matches!(v, Value::Int(_)));
    let extreme = |max: bool| {
        let mut sorted: Vec<&Value> = values.iter().map(|(v, _)| v).collect();
        sorted.sort_by(|a, b| compare(a, b));
        let value = if max { sorted.last() } else { sorted.first() };
        value.map_or(Value::Null, |v| (*v).clone())
    };
    match (function, count) {
        ("COUNT", _) => Value::Int(count),
        (_, 0) => Value::Null,
        ("SUM", _) if integers => Value::Int(sum as i64),
        ("SUM", _) => Value::Float(sum),
        ("AVG", _) => Value::Float(sum / count as f64),
        ("MIN" | "FIRST_VALUE", _) => extreme(false),
        ("MAX" | "LAST_VALUE", _) => extreme(true),
        ("ARRAY_AGG", _) => Value::Array(sorted(values)),
        ("MEDIAN", _) => {
            let sorted = sorted(values);
            let middle = |at: usize| number(&sorted[at]);
            let half = sorted.len() / 2;
            let low = if sorted.len() % 2 == 0 { middle(half - 1) } else { middle(half) };
            Value::Float((low + middle(half)) / 2.0)
        }
        ("VAR_POP", _) => {
            let squares = values.iter().map(|(v, weight)| number(v).powi(2) * *weight as f64);
            let (n, squares) = (count as f64, squares.sum::<f64>());
            Value::Float((n * squares - sum * sum) / (n * n))
        }
        other => panic!("{other:?}"),
    }
}

/// The values in order, each as often as it is there.
fn sorted(values: &[(Value, i64)]) -> Vec<Value> {
    let repeated = |(v, weight): &(Value, i64)| std::iter::repeat_n(v.clone(), *weight as usize);
    let mut sorted: Vec<Value> = values.iter().flat_map(repeated).collect();
    sorted.sort_by(compare);
    sorted
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Int(v) => *v as f64,
        Value::Float(v) => *v,
        _ => 0.0,
    }
}

fn compare(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) => number(a).total_cmp(&number(b)),
    }
}

/// Inserts, and deletes of rows that are there.
pub(super) fn changelog(
    row: impl Strategy<Value = Vec<Value>>,
) -> impl Strategy<Value = Vec<Weighted>> {
    let step = (row, any::<prop::sample::Index>(), 0..10);
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let (mut log, mut live): (Vec<Weighted>, Vec<_>) = Default::default();
        for (row, index, choice) in steps {
            if choice < 4 && !live.is_empty() {
                let index = index.index(live.len());
                log.push((live.swap_remove(index), -1));
            } else {
                live.push(row.clone());
                log.push((row, 1));
            }
        }
        log
    })
}

fn graph(keys: &[usize], changelog: Changelog) -> Graph {
    let mut graph = Graph::new();
    let calls = calls(changelog == Changelog::Retract);
    let source = graph.source(&input_types(), changelog);
    let key_types: Vec<Type> = keys.iter().map(|i| input_types()[*i].clone()).collect();
    let pre = PreAggregate { keys: keys.to_vec(), calls: calls.clone(), window: None, lateness: 0 };
    let types = partial_types(&key_types, false, &calls);
    let pre = PhysicalOp::PreAggregate(pre);
    let pre = graph.add(pre, &[(source, None)], types, Changelog::Append);
    let state = calls.iter().flat_map(aggregates::state_types);
    let state = state.chain([not_null(DataType::BigInt)]).collect();
    let groups = graph.table(TableKind::Point, state);
    let values = graph.table(TableKind::Ordered, vec![not_null(DataType::BigInt)]);
    let words = aggregates::distinct_words(&calls).expect("DISTINCT");
    let distinct = graph.table(TableKind::Point, vec![not_null(DataType::BigInt); words]);
    let output = key_types.iter().cloned().chain(calls.iter().map(|c| c.ty.clone())).collect();
    let op = GroupAggregate {
        keys: keys.len(),
        calls,
        groups,
        values: Some(values),
        distinct: Some(distinct),
    };
    let by_key = Some((0..keys.len()).collect());
    let op = PhysicalOp::GroupAggregate(op);
    graph.add(op, &[(pre, by_key)], output, Changelog::Retract);
    graph
}

fn check(keys: &[usize], kind: Changelog, log: &[(Vec<Value>, i64)], sizes: &[usize]) {
    let mut groups: BTreeMap<String, Vec<Weighted>> = BTreeMap::new();
    if keys.is_empty() {
        groups.insert("[]".into(), Vec::new());
    }
    let mut events = Vec::new();
    for (row, weight) in log {
        let key: Vec<&Value> = keys.iter().map(|i| &row[*i]).collect();
        groups.entry(format!("{key:?}")).or_default().push((row.clone(), *weight));
        events.push(Event { port: 0, row: row.clone(), weight: *weight, mark: i64::MIN });
    }
    let mut expected = Net::new();
    for rows in groups.values() {
        let count: i64 = rows.iter().map(|(_, weight)| weight).sum();
        if count > 0 || keys.is_empty() {
            let key = keys.iter().map(|i| rows[0].0[*i].clone());
            let row: Vec<Value> = key.chain(evaluate(rows)).collect();
            add(&mut expected, &row, 1);
        }
    }
    let graph = graph(keys, kind).graph;
    for run in assert_law(&graph, &events, Spread::Rows, sizes, &expected) {
        assert_eq!(run.wavering, 0, "a row is taken back and put in one epoch");
    }
}

#[test]
pub(super) fn groups_of_a_changelog() {
    proptest!(ProptestConfig::with_cases(256), |(
        log in changelog(input_row()), sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        check(&[0], Changelog::Retract, &log, &sizes);
        check(&[], Changelog::Retract, &log, &sizes);
    });
}

#[test]
fn groups_of_a_stream() {
    proptest!(ProptestConfig::with_cases(256), |(
        rows in prop::collection::vec(input_row(), 0..40),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let log: Vec<_> = rows.into_iter().map(|row| (row, 1)).collect();
        check(&[0, 3], Changelog::Append, &log, &sizes);
        check(&[], Changelog::Append, &log, &sizes);
    });
}

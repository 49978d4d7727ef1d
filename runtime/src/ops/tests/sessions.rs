//! SessionWindow against sessions by definition, with and without lateness.

use std::collections::BTreeMap;

use flow_ir::aggregate::AggregateCall;
use flow_ir::ids::{StreamId, VertexId};
use flow_ir::physical::{
    Changelog, Late, LateRule, PhysicalOp, SessionAggregate, SessionWindow, TableKind,
};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::aggregates;
use proptest::prelude::*;

use super::groups::{self, input_row};
use super::harness::*;
use super::windows::{POSITION, TIME, Timed, WATERMARK, types};

#[derive(Clone, Copy, Debug)]
struct Shape {
    gap: i64,
    lateness: i64,
    delay: i64,
    /// Whether rows are parted by the first column.
    keyed: bool,
}

fn shapes() -> impl Strategy<Value = Shape> {
    (1i64..25, prop_oneof![Just(0i64), 1i64..40], 0i64..30, any::<bool>())
        .prop_map(|(gap, lateness, delay, keyed)| Shape { gap, lateness, delay, keyed })
}

/// Rows in disorder, with times and rows that repeat.
fn stream() -> impl Strategy<Value = Vec<Timed>> {
    prop::collection::vec((input_row(), -45i64..15, 0usize..3), 0..40).prop_map(|rows| {
        let mut out: Vec<Timed> = Vec::new();
        for (i, (row, jitter, again)) in rows.into_iter().enumerate() {
            let repeated = out.last().cloned().filter(|_| again == 0);
            out.push(repeated.unwrap_or((row, i as i64 * 6 - 60 + jitter)));
        }
        out
    })
}

fn graph(shape: Shape) -> Graph {
    let mut graph = Graph::new();
    let source = graph.source(&types(), Changelog::Append);
    let late = Late {
        stream: StreamId(0),
        time: TIME,
        watermark: WATERMARK,
        position: POSITION,
        rule: LateRule::Sessions { lateness: shape.lateness },
        site: None,
    };
    let late = PhysicalOp::Late(late);
    let late = graph.add(late, &[(source, None)], types(), Changelog::Append);
    let keys = if shape.keyed { vec![0] } else { Vec::new() };
    session_window(&mut graph, late, shape, keys);
    graph
}

fn session_window(graph: &mut Graph, input: VertexId, shape: Shape, keys: Vec<usize>) {
    let number = || not_null(DataType::BigInt);
    let op = PhysicalOp::SessionWindow(SessionWindow {
        keys: keys.clone(),
        time: TIME,
        gap: shape.gap,
        lateness: shape.lateness,
        by_clock: false,
        site: None,
        sessions: graph.table(TableKind::Ordered, vec![number(), not_null(DataType::Boolean)]),
        rows: graph.table(TableKind::Ordered, vec![number()]),
        timers: graph.table(TableKind::Ordered, Vec::new()),
    });
    let output: Vec<Type> = types().into_iter().chain([(); 3].map(|()| timestamp())).collect();
    let changelog = if shape.lateness > 0 { Changelog::Retract } else { Changelog::Append };
    graph.add(op, &[(input, Some(keys))], output, changelog);
}

/// The aggregates that are tried: those that need no values, with and without rows taken back.
fn calls(lateness: i64) -> Vec<AggregateCall> {
    let all = groups::calls(lateness > 0);
    all.into_iter().filter(|call| !aggregates::is_multiset(call) && call.order.is_empty()).collect()
}

fn aggregating(shape: Shape) -> Graph {
    let mut graph = Graph::new();
    let source = graph.source(&types(), Changelog::Append);
    let late = Late {
        stream: StreamId(0),
        time: TIME,
        watermark: WATERMARK,
        position: POSITION,
        rule: LateRule::Sessions { lateness: shape.lateness },
        site: None,
    };
    let late = PhysicalOp::Late(late);
    let late = graph.add(late, &[(source, None)], types(), Changelog::Append);
    let keys = if shape.keyed { vec![0] } else { Vec::new() };
    let calls = calls(shape.lateness);
    let number = || not_null(DataType::BigInt);
    let state = calls.iter().flat_map(aggregates::state_types);
    let head = [number(), not_null(DataType::Boolean)];
    let session = head.into_iter().chain(state).chain([number()]).collect();
    let key_types = keys.iter().map(|key| types()[*key].clone());
    let results = calls.iter().map(|call| call.ty.clone());
    let output = key_types.chain(results).chain([timestamp(), timestamp()]).collect();
    let op = PhysicalOp::SessionAggregate(SessionAggregate {
        keys: keys.clone(),
        calls,
        time: TIME,
        gap: shape.gap,
        lateness: shape.lateness,
        by_clock: false,
        site: None,
        sessions: graph.table(TableKind::Ordered, session),
        timers: graph.table(TableKind::Ordered, Vec::new()),
    });
    let changelog = if shape.lateness > 0 { Changelog::Retract } else { Changelog::Append };
    graph.add(op, &[(late, Some(keys))], output, changelog);
    graph
}

/// The results of sessions whose rows these are, each with the session's bounds.
fn results(rows: &Parts, shape: Shape) -> Net {
    let all = groups::calls(shape.lateness > 0);
    let tried = calls(shape.lateness);
    let mut expected = Net::new();
    for rows in rows.values() {
        for session in rows.chunk_by(|(a, _), (b, _)| b - a <= shape.gap) {
            let (start, end) = (session[0].0, session[session.len() - 1].0 + shape.gap);
            let weighted: Vec<Weighted> = session.iter().map(|(_, row)| (row.clone(), 1)).collect();
            let values = all.iter().zip(groups::evaluate(&weighted));
            let values = values.filter(|(call, _)| tried.contains(call)).map(|(_, value)| value);
            let key = session[0].1.first().filter(|_| shape.keyed).cloned().into_iter();
            let bounds = [start, end].map(Value::Timestamp);
            let row: Vec<Value> = key.chain(values).chain(bounds).collect();
            add(&mut expected, &row, 1);
        }
    }
    expected
}

#[test]
pub(super) fn sessions_come_to() {
    proptest!(ProptestConfig::with_cases(512), |(
        rows in stream(), shape in shapes(), sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let (events, parts, late) = parts(&rows, shape);
        let expected = results(&parts, shape);
        for run in assert_law(&aggregating(shape).graph, &events, Spread::Rows, &sizes, &expected) {
            assert_eq!(run.late.len(), late, "late rows are counted");
            assert_eq!(run.entries, 0, "nothing is kept of what is over");
            assert_eq!(run.wavering, 0, "a row is taken back and put in one epoch");
            if shape.lateness == 0 {
                for (row, mark) in &run.rows {
                    let end = &row[row.len() - 1];
                    assert!(matches!(end, Value::Timestamp(end) if end > mark), "{row:?} {mark}");
                }
            }
        }
    });
}

/// Rows with their times, in order, by the text of their key.
type Parts = BTreeMap<String, Vec<(i64, Vec<Value>)>>;

/// The events with their watermarks, the rows that are not late, and how many are.
fn parts(rows: &[Timed], shape: Shape) -> (Vec<Event>, Parts, usize) {
    let mut parts = Parts::new();
    let (mut events, mut mark, mut late) = (Vec::new(), i64::MIN, 0);
    for (i, (values, ts)) in rows.iter().enumerate() {
        let hidden = [Value::Timestamp(*ts), Value::Int(mark), Value::Int(i as i64)];
        let row: Vec<Value> = values.iter().cloned().chain(hidden).collect();
        if mark != i64::MIN && ts + shape.lateness < mark {
            late += 1;
        } else {
            let part = if shape.keyed { format!("{:?}", values[0]) } else { String::new() };
            parts.entry(part).or_default().push((*ts, row.clone()));
        }
        mark = mark.max(ts - shape.delay);
        events.push(Event { port: 0, row, weight: 1, mark });
    }
    parts.values_mut().for_each(|rows| rows.sort_by_key(|(ts, _)| *ts));
    (events, parts, late)
}

/// The events with their watermarks, the rows in their sessions, and how many are late.
fn evaluate(rows: &[Timed], shape: Shape) -> (Vec<Event>, Net, usize) {
    let (events, parts, late) = parts(rows, shape);
    let mut expected = Net::new();
    for rows in parts.values() {
        for session in rows.chunk_by(|(a, _), (b, _)| b - a <= shape.gap) {
            let (start, end) = (session[0].0, session[session.len() - 1].0 + shape.gap);
            let bounds = [start, end, end - 1_000].map(Value::Timestamp);
            for (_, row) in session {
                let row: Vec<Value> = row.iter().chain(&bounds).cloned().collect();
                add(&mut expected, &row, 1);
            }
        }
    }
    (events, expected, late)
}

#[test]
pub(super) fn sessions_of_a_stream() {
    proptest!(ProptestConfig::with_cases(512), |(
        rows in stream(), shape in shapes(), sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let (events, expected, late) = evaluate(&rows, shape);
        for run in assert_law(&graph(shape).graph, &events, Spread::Rows, &sizes, &expected) {
            assert_eq!(run.late.len(), late, "late rows are counted");
            assert_eq!(run.entries, 0, "nothing is kept of what is over");
            assert_eq!(run.wavering, 0, "a row is taken back and put in one epoch");
            if shape.lateness == 0 {
                for (row, mark) in &run.rows {
                    let end = &row[row.len() - 2];
                    assert!(matches!(end, Value::Timestamp(end) if end > mark), "{row:?} {mark}");
                }
            }
        }
    });
}

/// Sessions of rows that may be taken back, without what is late.
fn graph_of_changes(shape: Shape) -> Graph {
    let mut graph = Graph::new();
    let source = graph.source(&types(), Changelog::Retract);
    let keys = if shape.keyed { vec![0] } else { Vec::new() };
    session_window(&mut graph, source, shape, keys);
    graph
}

#[test]
pub(super) fn sessions_of_changes() {
    proptest!(ProptestConfig::with_cases(512), |(
        rows in stream(), shape in shapes(), sizes in prop::collection::vec(1usize..9, 0..8),
        goes in prop::collection::vec(any::<Option<prop::sample::Index>>(), 40),
    )| {
        let (mut events, mut mark) = (Vec::new(), i64::MIN);
        let mut all: Vec<(i64, Vec<Value>, bool)> = Vec::new();
        for (i, (values, ts)) in rows.iter().enumerate() {
            if mark == i64::MIN || ts + shape.lateness >= mark {
                let hidden = [Value::Timestamp(*ts), Value::Int(0), Value::Int(i as i64)];
                let row: Vec<Value> = values.iter().cloned().chain(hidden).collect();
                all.push((*ts, row.clone(), true));
                events.push(Event { port: 0, row, weight: 1, mark });
            }
            let gone = goes[i].filter(|_| !all.is_empty()).map(|index| index.index(all.len()));
            if let Some((ts, row, there)) = gone.map(|at| &mut all[at])
                && *there
                && (mark == i64::MIN || *ts + shape.gap + shape.lateness >= mark)
            {
                *there = false;
                events.push(Event { port: 0, row: row.clone(), weight: -1, mark });
            }
            mark = mark.max(ts - shape.delay);
            if let Some(last) = events.last_mut() {
                last.mark = mark;
            }
        }
        let mut parts: BTreeMap<String, Vec<(i64, Vec<Value>, bool)>> = BTreeMap::new();
        for (ts, row, there) in all {
            let part = if shape.keyed { format!("{:?}", row[0]) } else { String::new() };
            parts.entry(part).or_default().push((ts, row, there));
        }
        let mut expected = Net::new();
        for rows in parts.values_mut() {
            rows.sort_by_key(|(ts, ..)| *ts);
            for session in rows.chunk_by(|(a, ..), (b, ..)| b - a <= shape.gap) {
                let (start, end) = (session[0].0, session[session.len() - 1].0 + shape.gap);
                let bounds = [start, end, end - 1_000].map(Value::Timestamp);
                for (_, row, _) in session.iter().filter(|(.., there)| *there) {
                    let row: Vec<Value> = row.iter().chain(&bounds).cloned().collect();
                    add(&mut expected, &row, 1);
                }
            }
        }
        let graph = graph_of_changes(shape);
        for run in assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected) {
            assert_eq!(run.entries, 0, "nothing is kept of what is over");
            assert_eq!(run.wavering, 0, "a row is taken back and put in one epoch");
        }
    });
}

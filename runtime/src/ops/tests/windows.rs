//! PreAggregate with WindowAggregate over TUMBLE, HOP and CUMULATE, with and without lateness, once
//! or with all changes, from times and from windows that `WindowExpand` made.

use std::collections::BTreeMap;

use flow_ir::aggregate::WindowSpec;
use flow_ir::ids::{StreamId, VertexId};
use flow_ir::physical::{
    Changelog, Late, LateRule, PhysicalOp, PreAggregate, TableKind, WindowAggregate, WindowExpand,
    WindowInput,
};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::aggregates;
use proptest::prelude::*;

use super::groups::{calls, evaluate, input_row, input_types, partial_types};
use super::harness::*;

/// Columns after those of `groups`: time, watermark, position.
pub(super) const TIME: usize = 5;
pub(super) const WATERMARK: usize = 6;
pub(super) const POSITION: usize = 7;

/// Windows, lateness, and how far the watermark stays behind.
#[derive(Clone, Copy, Debug)]
struct Shape {
    window: WindowSpec,
    lateness: i64,
    delay: i64,
    /// Whether aggregates are told that rows may be taken back.
    multisets: bool,
    /// Whether changes are emitted before the window closes.
    changes: bool,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let window = prop_oneof![
        Just(WindowSpec::Tumble { size: 20, offset: 3 }),
        Just(WindowSpec::Hop { size: 30, slide: 10, offset: 0 }),
        Just(WindowSpec::Hop { size: 25, slide: 10, offset: -3 }),
        Just(WindowSpec::Hop { size: 10, slide: 15, offset: 0 }),
        Just(WindowSpec::Cumulate { size: 40, step: 10, offset: 5 }),
    ];
    let lateness = prop_oneof![Just(0i64), Just(25)];
    (window, lateness, 0i64..30, any::<bool>(), any::<bool>()).prop_map(
        |(window, lateness, delay, multisets, changes)| Shape {
            window,
            lateness,
            delay,
            multisets,
            changes,
        },
    )
}

/// The windows that hold a time, by definition.
fn windows_of(ts: i64, window: WindowSpec) -> Vec<(i64, i64)> {
    let (starts, lengths) = match window {
        WindowSpec::Tumble { size, .. } => (size, vec![size]),
        WindowSpec::Hop { size, slide, .. } => (slide, vec![size]),
        WindowSpec::Cumulate { size, step, .. } => {
            (size, (1..=size / step).map(|n| n * step).collect())
        }
        WindowSpec::Session { gap } => panic!("a session of {gap}"),
    };
    let aligned = |start: &i64| (start - window.offset()).rem_euclid(starts) == 0;
    let starts = (ts - window.size() + 1..=ts).filter(aligned);
    let all = starts.flat_map(|start| lengths.iter().map(move |length| (start, start + length)));
    all.filter(|(_, end)| ts < *end).collect()
}

pub(super) fn types() -> Vec<Type> {
    let number = not_null(DataType::BigInt);
    input_types().into_iter().chain([timestamp(), number.clone(), number]).collect()
}

/// A row and its event time.
pub(super) type Timed = (Vec<Value>, i64);

/// Rows in disorder around a time that goes on.
fn stream() -> impl Strategy<Value = Vec<Timed>> {
    prop::collection::vec((input_row(), -45i64..15), 0..40).prop_map(|rows| {
        let row = |(i, (row, jitter)): (usize, Timed)| (row, i as i64 * 4 - 60 + jitter);
        rows.into_iter().enumerate().map(row).collect()
    })
}

/// Sources up to the rows that are not late.
fn on_time(graph: &mut Graph, shape: Shape) -> VertexId {
    let source = graph.source(&types(), Changelog::Append);
    let late = Late {
        stream: StreamId(0),
        time: TIME,
        watermark: WATERMARK,
        position: POSITION,
        rule: LateRule::Windows { window: shape.window, lateness: shape.lateness },
        site: None,
    };
    graph.add(PhysicalOp::Late(late), &[(source, None)], types(), Changelog::Append)
}

/// Aggregates the windows of `input`, a relation that has the columns of `types()` first.
fn aggregate(graph: &mut Graph, input: VertexId, shape: Shape, by: WindowInput) {
    let calls = calls(shape.multisets);
    let keys = [input_types()[0].clone()];
    let partials = partial_types(&keys, true, &calls);
    let pre = PreAggregate {
        keys: vec![0],
        calls: calls.clone(),
        window: Some(by),
        lateness: shape.lateness,
    };
    let pre = PhysicalOp::PreAggregate(pre);
    let pre = graph.add(pre, &[(input, None)], partials, Changelog::Append);
    let state = calls.iter().flat_map(aggregates::state_types);
    let state = state.chain(vec![not_null(DataType::BigInt); 2]).collect();
    let groups = graph.table(TableKind::Windowed, state);
    let values = Some(graph.table(TableKind::Ordered, vec![not_null(DataType::BigInt)]));
    let words = aggregates::distinct_words(&calls).expect("DISTINCT");
    let distinct = graph.table(TableKind::Windowed, vec![not_null(DataType::BigInt); words]);
    let bounds = [timestamp(), timestamp()];
    let results = calls.iter().map(|call| call.ty.clone());
    let output = keys.iter().cloned().chain(results).chain(bounds).collect();
    let window = match by {
        WindowInput::Time { window, .. } => Some(window),
        WindowInput::Carried { .. } => None,
    };
    let op = WindowAggregate {
        keys: 1,
        calls,
        window,
        lateness: shape.lateness,
        emits_changes: shape.changes,
        by_clock: false,
        groups,
        values,
        distinct: Some(distinct),
    };
    let retracts = shape.lateness > 0 || shape.changes;
    let changelog = if retracts { Changelog::Retract } else { Changelog::Append };
    graph.add(PhysicalOp::WindowAggregate(op), &[(pre, Some(vec![0]))], output, changelog);
}

/// The events with their watermarks, and the results by definition.
fn evaluate_stream(rows: &[Timed], shape: Shape) -> (Vec<Event>, Net, usize) {
    let mut groups: BTreeMap<(String, i64, i64), Vec<Weighted>> = BTreeMap::new();
    let (mut events, mut mark, mut late) = (Vec::new(), i64::MIN, 0);
    for (i, (values, ts)) in rows.iter().enumerate() {
        let hidden = [Value::Timestamp(*ts), Value::Int(mark), Value::Int(i as i64)];
        let row: Vec<Value> = values.iter().cloned().chain(hidden).collect();
        let windows = windows_of(*ts, shape.window);
        let is_open = |end: i64| mark == i64::MIN || end + shape.lateness > mark;
        for (start, end) in windows.iter().filter(|(_, end)| is_open(*end)) {
            let key = (format!("{:?}", values[0]), *start, *end);
            groups.entry(key).or_default().push((values.clone(), 1));
        }
        late += usize::from(!windows.is_empty() && !windows.iter().any(|(_, end)| is_open(*end)));
        mark = mark.max(ts - shape.delay);
        events.push(Event { port: 0, row, weight: 1, mark });
    }
    let mut expected = Net::new();
    for ((_, start, end), rows) in &groups {
        let bounds = [Value::Timestamp(*start), Value::Timestamp(*end)];
        let key = rows[0].0[0].clone();
        let row: Vec<Value> = std::iter::once(key).chain(evaluate(rows)).chain(bounds).collect();
        add(&mut expected, &row, 1);
    }
    (events, expected, late)
}

fn check(graph: &Graph, rows: &[(Vec<Value>, i64)], shape: Shape, sizes: &[usize]) {
    let (events, expected, late) = evaluate_stream(rows, shape);
    for run in assert_law(&graph.graph, &events, Spread::Rows, sizes, &expected) {
        assert_eq!(run.late.len(), late, "late rows are counted");
        assert_eq!(run.wavering, 0, "a row is taken back and put in one epoch");
        assert_eq!(run.entries, 0, "nothing is kept of what is over");
        if shape.lateness == 0 {
            for (row, mark) in &run.rows {
                let end = row.last().expect("the window's end");
                assert!(matches!(end, Value::Timestamp(end) if end > mark), "{row:?} {mark}");
            }
        }
    }
}

#[test]
pub(super) fn windows_of_a_stream() {
    proptest!(ProptestConfig::with_cases(256), |(
        rows in stream(), shape in shapes(), sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let mut graph = Graph::new();
        let on_time = on_time(&mut graph, shape);
        let (time, watermark) = (TIME, Some(WATERMARK));
        let by = WindowInput::Time { time, watermark, window: shape.window };
        aggregate(&mut graph, on_time, shape, by);
        check(&graph, &rows, shape, &sizes);
    });
}

#[test]
pub(super) fn carried_windows_are_windows() {
    proptest!(ProptestConfig::with_cases(256), |(
        rows in stream(), shape in shapes(), sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let mut graph = Graph::new();
        let on_time = on_time(&mut graph, shape);
        let expand = PhysicalOp::WindowExpand(WindowExpand {
            time: TIME,
            watermark: Some(WATERMARK),
            window: shape.window,
            lateness: shape.lateness,
            site: None,
        });
        let bounds = [(); 3].map(|()| timestamp());
        let expanded: Vec<Type> = types().into_iter().chain(bounds).collect();
        let start = types().len();
        let expand = graph.add(expand, &[(on_time, None)], expanded, Changelog::Append);
        let by = WindowInput::Carried { start, end: start + 1 };
        aggregate(&mut graph, expand, shape, by);
        check(&graph, &rows, shape, &sizes);
    });
}

//! Over against the values of each row by definition: over changelogs, and over streams by time.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use flow_ir::aggregate::AggregateCall;
use flow_ir::over::{Frame, FrameBound, FrameExclude, FrameUnit, OverCall, OverFunction};
use flow_ir::physical::{Changelog, Direction, Numbering, Over, OverTime, PhysicalOp, TableKind};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::aggregates;
use flow_stdlib::over::running_state;
use proptest::prelude::*;

use super::harness::*;
use super::keyed::{order, row, types};
use super::top_n::{direction, events, numbered, peers};

type Row = Vec<Value>;
type Order = [(usize, Direction)];

fn frame(unit: FrameUnit, start: FrameBound, end: FrameBound, exclude: FrameExclude) -> Frame {
    Frame { unit, start, end, exclude }
}

fn running(unit: FrameUnit) -> Frame {
    let (start, end) = (FrameBound::UnboundedPreceding, FrameBound::CurrentRow);
    frame(unit, start, end, FrameExclude::NoOthers)
}

fn aggregate(function: &str, arg: Option<usize>, frame: Frame) -> OverCall {
    let args: Vec<usize> = arg.into_iter().collect();
    let arg_types: Vec<Type> = args.iter().map(|i| types()[*i].clone()).collect();
    let def = aggregates::lookup(function).expect("an aggregate");
    let ty = (def.result)(&arg_types).expect("a type");
    let call = AggregateCall::new(function, args, arg_types, ty.clone());
    let call = AggregateCall { retracts: true, ..call };
    OverCall { function: OverFunction::Aggregate(call), frame, ty }
}

fn number(numbering: Numbering) -> OverCall {
    let ty = not_null(DataType::BigInt);
    OverCall { function: OverFunction::Number(numbering), frame: Frame::whole(), ty }
}

fn value(function: OverFunction, frame: Frame) -> OverCall {
    OverCall { function, frame, ty: null(DataType::String) }
}

/// Calls that look back only.
fn backward() -> Vec<OverCall> {
    let (by, default, ignore_nulls) = (-1, None, true);
    let lag = OverFunction::Shift { arg: 2, by, default, ignore_nulls };
    let first = OverFunction::Nth { arg: 2, nth: 1, from_last: false, ignore_nulls: true };
    let last = (FrameBound::Preceding(1), FrameBound::CurrentRow);
    let two = frame(FrameUnit::Rows, last.0, last.1, FrameExclude::NoOthers);
    vec![
        number(Numbering::RowNumber),
        number(Numbering::DenseRank),
        aggregate("COUNT", None, running(FrameUnit::Range)),
        aggregate("SUM", Some(3), running(FrameUnit::Rows)),
        aggregate("MAX", Some(2), two),
        value(lag, Frame::whole()),
        value(first, running(FrameUnit::Rows)),
    ]
}

/// Calls of all kinds.
fn all() -> Vec<OverCall> {
    let around = (FrameBound::Preceding(1), FrameBound::Following(1));
    let groups = frame(FrameUnit::Groups, around.0, around.1, FrameExclude::Ties);
    let others = Frame { exclude: FrameExclude::CurrentRow, ..Frame::whole() };
    let lead = OverFunction::Shift { arg: 2, by: 2, default: None, ignore_nulls: false };
    let more = [
        number(Numbering::Rank),
        aggregate("COUNT", Some(3), groups),
        aggregate("SUM", Some(3), others),
        value(lead, Frame::whole()),
    ];
    backward().into_iter().chain(more).collect()
}

/// Calls that look at rows near theirs: so many rows or groups away, or between the values that
/// columns 4 and 5 have.
fn near() -> Vec<OverCall> {
    let between = |unit, start, end| frame(unit, start, end, FrameExclude::NoOthers);
    let (one, two) = (FrameBound::Preceding(1), FrameBound::Preceding(2));
    let (on, current) = (FrameBound::Following(1), FrameBound::CurrentRow);
    let shift = |by| OverFunction::Shift { arg: 2, by, default: None, ignore_nulls: false };
    let nth = OverFunction::Nth { arg: 2, nth: 1, from_last: false, ignore_nulls: true };
    let by_value = between(FrameUnit::Range, FrameBound::Value(4), FrameBound::Value(5));
    let ties = Frame { exclude: FrameExclude::Ties, ..by_value.clone() };
    vec![
        aggregate("SUM", Some(3), between(FrameUnit::Rows, two.clone(), current.clone())),
        aggregate("MAX", Some(2), between(FrameUnit::Rows, one.clone(), on.clone())),
        aggregate("COUNT", None, between(FrameUnit::Rows, on.clone(), FrameBound::Following(2))),
        value(shift(-1), Frame::whole()),
        value(shift(2), Frame::whole()),
        aggregate("SUM", Some(3), between(FrameUnit::Groups, one.clone(), current.clone())),
        aggregate("COUNT", Some(3), between(FrameUnit::Groups, current.clone(), on)),
        aggregate("COUNT", None, between(FrameUnit::Range, current.clone(), current)),
        value(nth, between(FrameUnit::Rows, two, one)),
        aggregate("SUM", Some(3), by_value),
        aggregate("MAX", Some(2), ties),
    ]
}

/// The rows of a frame, as places among the sorted rows.
fn framed(
    frame: &Frame,
    i: usize,
    groups: &[Range<usize>],
    (sorted, by): (&[Row], &Order),
) -> Vec<usize> {
    // How row j stands to the value that row i has in a column.
    let order_to = |j: usize, column: usize| {
        let mut bound = sorted[i].clone();
        bound[by[0].0] = sorted[i][column].clone();
        match peers(&sorted[j], &bound, by) {
            true => Ordering::Equal,
            false => order(&sorted[j], &bound, by),
        }
    };
    let len = groups.last().map_or(0, |group| group.end);
    let at = groups.iter().position(|group| group.contains(&i)).expect("a group");
    let by_rows = frame.unit == FrameUnit::Rows;
    let group = |shift: i64| groups.get((at as i64 + shift) as usize);
    let n = |n: &u64| *n as i64;
    let start = match &frame.start {
        FrameBound::UnboundedPreceding => 0,
        FrameBound::CurrentRow if by_rows => i as i64,
        FrameBound::CurrentRow => groups[at].start as i64,
        FrameBound::Preceding(k) if by_rows => i as i64 - n(k),
        FrameBound::Following(k) if by_rows => i as i64 + n(k),
        FrameBound::Preceding(k) => group(-n(k)).map_or(0, |g| g.start as i64),
        FrameBound::Value(column) => {
            let from = |j: &usize| order_to(*j, *column).is_ge();
            (0..len).find(from).map_or(len as i64, |j| j as i64)
        }
        other => panic!("{other:?}"),
    };
    let end = match &frame.end {
        FrameBound::UnboundedFollowing => len as i64,
        FrameBound::CurrentRow if by_rows => i as i64 + 1,
        FrameBound::Following(k) if by_rows => i as i64 + n(k) + 1,
        FrameBound::Preceding(k) if by_rows => i as i64 - n(k) + 1,
        FrameBound::CurrentRow => groups[at].end as i64,
        FrameBound::Following(k) => group(n(k)).map_or(len as i64, |g| g.end as i64),
        FrameBound::Value(column) => {
            let until = |j: &usize| order_to(*j, *column).is_le();
            (0..len).rfind(until).map_or(0, |j| j as i64 + 1)
        }
        other => panic!("{other:?}"),
    };
    let stays = |j: &usize| match frame.exclude {
        FrameExclude::NoOthers => true,
        FrameExclude::CurrentRow => *j != i,
        FrameExclude::Ties => *j == i || !groups[at].contains(j),
        FrameExclude::Group => !groups[at].contains(j),
    };
    (start.max(0) as usize..end.min(len as i64) as usize).filter(stays).collect()
}

/// The rows of a partition with their values.
fn evaluate(rows: &[Row], columns: &Order, peers_by: usize, calls: &[OverCall]) -> Vec<Row> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| order(a, b, columns));
    let mut groups: Vec<Range<usize>> = Vec::new();
    for i in 0..sorted.len() {
        match groups.last_mut() {
            Some(group) if peers(&sorted[group.start], &sorted[i], &columns[..peers_by]) => {
                group.end = i + 1;
            }
            _ => groups.push(i..i + 1),
        }
    }
    let of = |i: usize, call: &OverCall| match &call.function {
        OverFunction::Number(numbering) => {
            let by = match numbering {
                Numbering::RowNumber => columns,
                Numbering::Rank | Numbering::DenseRank => &columns[..peers_by],
            };
            Value::Int(numbered_at(&sorted, by, *numbering, i))
        }
        OverFunction::Shift { arg, by, ignore_nulls, .. } => {
            let counts = |j: &usize| !ignore_nulls || !sorted[*j][*arg].is_null();
            let step = by.unsigned_abs() as usize - 1;
            let found = match *by < 0 {
                true => (0..i).rev().filter(counts).nth(step),
                false => (i + 1..sorted.len()).filter(counts).nth(step),
            };
            found.map_or(Value::Null, |j| sorted[j][*arg].clone())
        }
        OverFunction::Nth { arg, .. } => {
            let mut found =
                framed(&call.frame, i, &groups, (&sorted, &columns[..peers_by])).into_iter();
            let found = found.find(|j| !sorted[*j][*arg].is_null());
            found.map_or(Value::Null, |j| sorted[j][*arg].clone())
        }
        OverFunction::Aggregate(aggregate) => {
            let rows = framed(&call.frame, i, &groups, (&sorted, &columns[..peers_by]));
            total(&aggregate.function, aggregate.args.first(), rows.iter().map(|j| &sorted[*j]))
        }
        other => panic!("{other:?}"),
    };
    let with_values = |i: usize| {
        let values = calls.iter().map(|call| of(i, call));
        sorted[i].iter().cloned().chain(values).collect()
    };
    (0..sorted.len()).map(with_values).collect()
}

fn numbered_at(sorted: &[Row], by: &Order, numbering: Numbering, i: usize) -> i64 {
    match numbering {
        Numbering::RowNumber => i as i64 + 1,
        Numbering::Rank | Numbering::DenseRank => {
            let numbers = numbered(sorted, by, numbering);
            numbers.iter().find(|(row, _)| *row == sorted[i]).map_or(0, |(_, n)| *n as i64)
        }
    }
}

fn total<'r>(function: &str, arg: Option<&usize>, rows: impl Iterator<Item = &'r Row>) -> Value {
    let values: Vec<Value> =
        rows.map(|row| arg.map_or(Value::Int(1), |a| row[*a].clone())).collect();
    let values: Vec<Value> = values.into_iter().filter(|v| !v.is_null()).collect();
    let float = |v: &Value| if let Value::Float(v) = v { *v } else { 0.0 };
    let text = |v: &Value| if let Value::String(v) = v { v.clone() } else { String::new() };
    match function {
        "COUNT" => Value::Int(values.len() as i64),
        _ if values.is_empty() => Value::Null,
        "SUM" => Value::Float(values.iter().map(float).sum()),
        "MAX" => Value::String(values.iter().map(text).max().unwrap_or_default()),
        other => panic!("{other}"),
    }
}

fn expected(rows: &[Row], columns: &Order, peers_by: usize, calls: &[OverCall]) -> Net {
    let mut groups: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(format!("{:?}", row[0])).or_default().push(row.clone());
    }
    let mut net = Net::new();
    for rows in groups.values() {
        evaluate(rows, columns, peers_by, calls).iter().for_each(|row| add(&mut net, row, 1));
    }
    net
}

fn output(input: &[Type], calls: &[OverCall]) -> Vec<Type> {
    input.iter().cloned().chain(calls.iter().map(|call| call.ty.clone())).collect()
}

#[test]
pub(super) fn values_over_partitions() {
    proptest!(ProptestConfig::with_cases(256), |(
        rows in prop::collection::vec((row(), prop::option::weighted(0.4, any::<usize>())), 0..24),
        columns in prop::collection::vec((1usize..3, direction()), 0..3),
        retracts in any::<bool>(),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let changelog = if retracts { Changelog::Retract } else { Changelog::Append };
        let mut graph = Graph::new();
        let source = graph.source(&types(), changelog);
        let peers = columns.len().min(1);
        let op = Over {
            keys: vec![0],
            order: columns.clone(),
            peers,
            calls: all(),
            rows: graph.table(TableKind::Ordered, vec![not_null(DataType::BigInt)]),
            time: None,
        };
        let made = output(&types(), &op.calls);
        graph.add(PhysicalOp::Over(op), &[(source, Some(vec![0]))], made, Changelog::Retract);
        let (events, present) = events(rows, retracts);
        let expected = expected(&present, &columns, peers, &all());
        for run in assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected) {
            prop_assert_eq!(run.wavering, 0);
        }
    });
}

/// Of each partition only the rows near a change are read: few calls at a time, each with its own
/// reach, over long partitions.
#[test]
fn values_near_changes() {
    let time = || null(DataType::Timestamp { precision: 3 });
    let input: Vec<Type> = types().into_iter().chain([time(), time()]).collect();
    let with_bounds = |mut row: Row, descending: bool| {
        let (from, to) = if descending { (1, -2) } else { (-1, 2) };
        let bound = |by: i64| match &row[1] {
            Value::Timestamp(time) => Value::Timestamp(time + by),
            _ => Value::Null,
        };
        let bounds = [bound(from), bound(to)];
        row[0] = Value::Int(i64::from(row[0] == Value::Int(1)));
        row.into_iter().chain(bounds).collect::<Row>()
    };
    proptest!(ProptestConfig::with_cases(512), |(
        rows in prop::collection::vec((row(), prop::option::weighted(0.5, any::<usize>())), 0..50),
        by in direction(),
        chosen in prop::sample::subsequence(near(), 1..3),
        retracts in any::<bool>(),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let changelog = if retracts { Changelog::Retract } else { Changelog::Append };
        let mut graph = Graph::new();
        let source = graph.source(&input, changelog);
        let op = Over {
            keys: vec![0],
            order: vec![(1, by)],
            peers: 1,
            calls: chosen.clone(),
            rows: graph.table(TableKind::Ordered, vec![not_null(DataType::BigInt)]),
            time: None,
        };
        let made = output(&input, &op.calls);
        graph.add(PhysicalOp::Over(op), &[(source, Some(vec![0]))], made, Changelog::Retract);
        let rows = rows.into_iter().map(|(row, gone)| (with_bounds(row, by.descending), gone));
        let (events, present) = events(rows.collect(), retracts);
        let expected = expected(&present, &[(1, by)], 1, &chosen);
        for run in assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected) {
            prop_assert_eq!(run.wavering, 0);
        }
    });
}

#[test]
fn rows_pass_with_their_values() {
    let ascending = Direction { descending: false, nulls_first: false };
    let columns = [(1, ascending), (2, ascending)];
    let mut input = types();
    input[1] = timestamp();
    let number = || vec![not_null(DataType::BigInt)];
    proptest!(ProptestConfig::with_cases(256), |(
        rows in prop::collection::vec((row(), 0i64..6), 0..30),
        peers in 1usize..3,
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let mut graph = Graph::new();
        let source = graph.source(&input, Changelog::Append);
        let calls = backward();
        let states = calls.iter().filter_map(|call| running_state(call, &input)).flatten();
        let carried = [number(), number()].concat().into_iter().chain(states).collect();
        let op = Over {
            keys: vec![0],
            order: columns.to_vec(),
            peers,
            calls: calls.clone(),
            rows: graph.table(TableKind::Ordered, number()),
            time: Some(OverTime {
                time: 1,
                reach: None,
                pending: graph.table(TableKind::Ordered, number()),
                carried: graph.table(TableKind::Point, carried),
                timers: graph.table(TableKind::Ordered, number()),
            }),
        };
        let made = output(&input, &calls);
        graph.add(PhysicalOp::Over(op), &[(source, Some(vec![0]))], made, Changelog::Append);
        let mut mark = 0;
        let (mut events, mut present) = (Vec::new(), Vec::new());
        for (mut row, ahead) in rows {
            row[1] = Value::Timestamp(mark + ahead);
            present.push(row.clone());
            mark = mark.max(mark + ahead - 3);
            events.push(Event { port: 0, row, weight: 1, mark });
        }
        let expected = expected(&present, &columns, peers, &calls);
        for run in assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected) {
            prop_assert_eq!(run.wavering, 0);
        }
    });
}

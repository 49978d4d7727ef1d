//! Join and IntervalJoin against pairs by definition.

use flow_ir::physical::{
    Changelog, IntervalJoin, Join, JoinKind, LookupJoin, PhysicalOp, TableKind,
};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use proptest::prelude::*;

use super::groups::changelog;
use super::harness::*;
use super::stateless::at_most;

/// Columns: key, number, text.
pub(super) fn types() -> Vec<Type> {
    [DataType::Int, DataType::BigInt, DataType::String].map(null).to_vec()
}

pub(super) fn row() -> impl Strategy<Value = Vec<Value>> {
    (
        prop::option::weighted(0.85, 0i64..3),
        prop::option::weighted(0.85, 0i64..4),
        prop::option::weighted(0.85, "[a\0]{0,1}"),
    )
        .prop_map(|(k, x, s)| vec![int(k), int(x), s.map_or(Value::Null, Value::String)])
}

/// Whether two rows are a pair: equal keys, and left number ≤ right number if that is asked.
pub(super) fn paired(left: &[Value], right: &[Value], condition: bool) -> bool {
    let numbers = match (&left[1], &right[1]) {
        (Value::Int(a), Value::Int(b)) => a <= b,
        _ => false,
    };
    !left[0].is_null() && left[0] == right[0] && (numbers || !condition)
}

pub(super) fn both(left: &[Value], right: &[Value]) -> Vec<Value> {
    left.iter().chain(right).cloned().collect()
}

/// Puts two lists into one, in an order that `picks` gives.
pub(super) fn interleave<T>(left: Vec<T>, right: Vec<T>, picks: &[bool]) -> Vec<(usize, T)> {
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut picks = picks.iter().cycle();
    let mut out = Vec::new();
    loop {
        let first = *picks.next().unwrap_or(&true);
        match (left.peek().is_some(), right.peek().is_some()) {
            (false, false) => return out,
            (true, other) if first || !other => out.extend(left.next().map(|e| (0, e))),
            _ => out.extend(right.next().map(|e| (1, e))),
        }
    }
}

fn join_graph(kind: JoinKind, nulls_equal: bool, changes: Changelog, condition: bool) -> Graph {
    let mut graph = Graph::new();
    let (left, right) = (graph.source(&types(), changes), graph.source(&types(), changes));
    let value = |side| Join::kept(kind, side, &types(), changes);
    let both: Vec<Type> = types().into_iter().chain(types()).collect();
    let output = if kind.has_pairs() { both.clone() } else { types() };
    let join = PhysicalOp::Join(Join {
        kind,
        nulls_equal: if nulls_equal { vec![0] } else { vec![] },
        left_keys: vec![0],
        right_keys: vec![0],
        condition: condition.then(|| at_most(&both, 1, 4, 6)),
        left: graph.table(TableKind::Ordered, value(0)),
        right: graph.table(TableKind::Ordered, value(1)),
    });
    let appends = matches!(kind, JoinKind::Inner | JoinKind::Semi);
    let made = if appends { changes } else { Changelog::Retract };
    graph.add(join, &[(left, Some(vec![0])), (right, Some(vec![0]))], output, made);
    graph
}

/// The rows that are there in the end, each once with its weight.
fn net_rows(log: &[Weighted]) -> Vec<Weighted> {
    let mut net: Vec<Weighted> = Vec::new();
    for (row, weight) in log {
        match net.iter_mut().find(|(known, _)| known == row) {
            Some((_, sum)) => *sum += weight,
            None => net.push((row.clone(), *weight)),
        }
    }
    net.retain(|(_, weight)| *weight != 0);
    net
}

/// The join of two relations by definition.
fn joined(kind: JoinKind, nulls_equal: bool, condition: bool, sides: &[Vec<Weighted>; 2]) -> Net {
    let pair = |left: &[Value], right: &[Value]| {
        let nulls = nulls_equal && left[0].is_null() && right[0].is_null();
        let key = |row: &[Value]| {
            let mut row = row.to_vec();
            row[0] = if nulls { Value::Int(0) } else { row[0].clone() };
            row
        };
        paired(&key(left), &key(right), condition)
    };
    let mut out = Net::new();
    let nothing = vec![Value::Null; types().len()];
    for (left, l) in &sides[0] {
        let partners: Vec<_> = sides[1].iter().filter(|(right, _)| pair(left, right)).collect();
        for (right, r) in partners.iter().filter(|_| kind.has_pairs()) {
            add(&mut out, &both(left, right), l * r);
        }
        match kind {
            JoinKind::Semi if !partners.is_empty() => add(&mut out, left, *l),
            JoinKind::Anti if partners.is_empty() => add(&mut out, left, *l),
            JoinKind::Left | JoinKind::Full if partners.is_empty() => {
                add(&mut out, &both(left, &nothing), *l);
            }
            JoinKind::Inner | JoinKind::Left | JoinKind::Full | JoinKind::Semi | JoinKind::Anti => {
            }
        }
    }
    for (right, r) in sides[1].iter().filter(|_| kind == JoinKind::Full) {
        if !sides[0].iter().any(|(left, _)| pair(left, right)) {
            add(&mut out, &both(&nothing, right), *r);
        }
    }
    out
}

fn check_join(
    (kind, nulls_equal): (JoinKind, bool),
    changes: Changelog,
    condition: bool,
    logs: [Vec<Weighted>; 2],
    picks: &[bool],
    sizes: &[usize],
) {
    let nets = [0, 1].map(|side: usize| net_rows(&logs[side]));
    let expected = joined(kind, nulls_equal, condition, &nets);
    let [left, right] = logs;
    let event = |(port, (row, weight))| Event { port, row, weight, mark: i64::MIN };
    let events: Vec<Event> = interleave(left, right, picks).into_iter().map(event).collect();
    let graph = join_graph(kind, nulls_equal, changes, condition).graph;
    for run in assert_law(&graph, &events, Spread::Sources, sizes, &expected) {
        assert_eq!(run.wavering, 0, "a row is taken back and put in one epoch");
    }
}

fn kinds() -> impl Strategy<Value = JoinKind> {
    prop_oneof![
        Just(JoinKind::Inner),
        Just(JoinKind::Left),
        Just(JoinKind::Full),
        Just(JoinKind::Semi),
        Just(JoinKind::Anti),
    ]
}

#[test]
pub(super) fn changelogs_join() {
    proptest!(ProptestConfig::with_cases(256), |(
        left in changelog(row()), right in changelog(row()), condition in any::<bool>(),
        kind in kinds(), nulls_equal in any::<bool>(),
        picks in prop::collection::vec(any::<bool>(), 1..20),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let kind = (kind, nulls_equal);
        check_join(kind, Changelog::Retract, condition, [left, right], &picks, &sizes);
    });
}

/// What takes nothing back is kept in lists, and joins as anything else does.
#[test]
fn rows_that_stay_join() {
    let log = || prop::collection::vec(row().prop_map(|row| (row, 1)), 0..60);
    proptest!(ProptestConfig::with_cases(128), |(
        left in log(), right in log(), condition in any::<bool>(),
        kind in kinds(), nulls_equal in any::<bool>(),
        picks in prop::collection::vec(any::<bool>(), 1..20),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let kind = (kind, nulls_equal);
        check_join(kind, Changelog::Append, condition, [left, right], &picks, &sizes);
    });
}

#[test]
pub(super) fn what_is_read_before_is_looked_up() {
    proptest!(ProptestConfig::with_cases(128), |(
        left in changelog(row()), right in changelog(row()), condition in any::<bool>(),
        outer in any::<bool>(), sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let kind = if outer { JoinKind::Left } else { JoinKind::Inner };
        let mut graph = Graph::new();
        let changes = Changelog::Retract;
        let sources = [graph.source(&types(), changes), graph.source(&types(), changes)];
        let output: Vec<Type> = types().into_iter().chain(types()).collect();
        let join = PhysicalOp::LookupJoin(LookupJoin {
            kind,
            left_keys: vec![0],
            right_keys: vec![0],
            condition: condition.then(|| at_most(&output, 1, 4, 6)),
            right: graph.table(TableKind::Ordered, vec![not_null(DataType::BigInt)]),
        });
        let inputs = sources.map(|source| (source, Some(vec![0])));
        graph.add(join, &inputs, output, changes);
        let expected = joined(kind, false, condition, &[net_rows(&left), net_rows(&right)]);
        let event = |port, (row, weight)| Event { port, row, weight, mark: i64::MIN };
        let before = right.into_iter().map(|row| event(1, row));
        let events: Vec<Event> = before.chain(left.into_iter().map(|row| event(0, row))).collect();
        assert_law(&graph.graph, &events, Spread::Sources, &sizes, &expected);
    });
}

#[test]
fn streams_join() {
    let side = || prop::collection::vec(row().prop_map(|row| (row, 1)), 0..20);
    proptest!(ProptestConfig::with_cases(256), |(
        left in side(), right in side(), condition in any::<bool>(), semi in any::<bool>(),
        picks in prop::collection::vec(any::<bool>(), 1..20),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let kind = (if semi { JoinKind::Semi } else { JoinKind::Inner }, false);
        check_join(kind, Changelog::Append, condition, [left, right], &picks, &sizes);
    });
}

/// An append-only stream with time last, without late rows, and its watermark after each row.
pub(super) fn timed(
    row: impl Strategy<Value = Vec<Value>>,
    len: usize,
) -> impl Strategy<Value = Vec<Weighted>> {
    let rows = prop::collection::vec((row, -20i64..10), 0..len);
    (rows, 0i64..20).prop_map(|(rows, delay)| {
        let (mut mark, mut out) = (i64::MIN, Vec::new());
        for (i, (mut row, jitter)) in rows.into_iter().enumerate() {
            let ts = i as i64 * 4 - 20 + jitter;
            if ts >= mark {
                mark = mark.max(ts - delay);
                row.push(Value::Timestamp(ts));
                out.push((row, mark));
            }
        }
        out
    })
}

/// The rows with their times replaced by the ends of windows of 10.
pub(super) fn in_windows(rows: Vec<Weighted>) -> Vec<Weighted> {
    let windowed = |(mut row, mark): Weighted| {
        let end = time_of(&row).div_euclid(10) * 10 + 10;
        row.pop();
        row.push(Value::Timestamp(end));
        (row, mark)
    };
    rows.into_iter().map(windowed).collect()
}

pub(super) fn time_of(row: &[Value]) -> i64 {
    match row.last() {
        Some(Value::Timestamp(ts)) => *ts,
        other => panic!("{other:?} is no time"),
    }
}

fn interval_graph(kind: JoinKind, bounds: (i64, i64), condition: bool) -> Graph {
    let mut graph = Graph::new();
    let side: Vec<Type> = types().into_iter().chain([timestamp()]).collect();
    let left = graph.source(&side, Changelog::Append);
    let right = graph.source(&side, Changelog::Append);
    let kept = |of| IntervalJoin::kept(kind, of, &side);
    let input: Vec<Type> = side.iter().chain(&side).cloned().collect();
    let nullable = || side.iter().map(|ty| ty.with_nullable(true));
    let right_side = nullable().filter(|_| kind.has_pairs());
    let output = nullable().chain(right_side).collect();
    let join = PhysicalOp::IntervalJoin(IntervalJoin {
        kind,
        nulls_equal: Vec::new(),
        left_keys: vec![0],
        right_keys: vec![0],
        left_time: 3,
        right_time: 3,
        lower: bounds.0,
        upper: bounds.1,
        condition: condition.then(|| at_most(&input, 1, 5, 8)),
        left: graph.table(TableKind::Ordered, kept(0)),
        right: graph.table(TableKind::Ordered, kept(1)),
        timers: graph.table(TableKind::Ordered, Vec::new()),
    });
    let inputs = [(left, Some(vec![0])), (right, Some(vec![0]))];
    graph.add(join, &inputs, output, Changelog::Append);
    graph
}

fn pairs_in_interval(
    kind: JoinKind,
    (lower, upper): (i64, i64),
    condition: bool,
    left: &[(Vec<Value>, i64)],
    right: &[(Vec<Value>, i64)],
) -> Net {
    let is_pair = |l: &[Value], r: &[Value]| {
        let distance = time_of(r) - time_of(l);
        paired(l, r, condition) && (lower..=upper).contains(&distance)
    };
    joined_streams(kind, &is_pair, left, right)
}

/// What a join of streams gives by definition.
pub(super) fn joined_streams(
    kind: JoinKind,
    is_pair: &dyn Fn(&[Value], &[Value]) -> bool,
    left: &[Weighted],
    right: &[Weighted],
) -> Net {
    let mut expected = Net::new();
    let nulls = vec![Value::Null; 4];
    for (l, _) in left {
        let partners: Vec<_> = right.iter().filter(|(r, _)| is_pair(l, r)).collect();
        match kind {
            JoinKind::Semi if !partners.is_empty() => add(&mut expected, l, 1),
            JoinKind::Anti if partners.is_empty() => add(&mut expected, l, 1),
            JoinKind::Left | JoinKind::Full if partners.is_empty() => {
                add(&mut expected, &both(l, &nulls), 1);
            }
            JoinKind::Inner | JoinKind::Left | JoinKind::Full => {
                partners.iter().for_each(|(r, _)| add(&mut expected, &both(l, r), 1));
            }
            JoinKind::Semi | JoinKind::Anti => {}
        }
    }
    if kind == JoinKind::Full {
        for (r, _) in right.iter().filter(|(r, _)| !left.iter().any(|(l, _)| is_pair(l, r))) {
            add(&mut expected, &both(&nulls, r), 1);
        }
    }
    expected
}

/// All kinds of joins.
pub(super) fn all_kinds() -> impl Strategy<Value = JoinKind> {
    use JoinKind::{Anti, Full, Inner, Left, Semi};
    prop_oneof![Just(Inner), Just(Left), Just(Full), Just(Semi), Just(Anti)]
}

#[test]
pub(super) fn intervals_join() {
    proptest!(ProptestConfig::with_cases(256), |(
        left in timed(row(), 25), right in timed(row(), 25),
        kind in all_kinds(),
        lower in -20i64..20, length in 0i64..25, condition in any::<bool>(),
        picks in prop::collection::vec(any::<bool>(), 1..20),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let bounds = (lower, lower + length);
        let expected = pairs_in_interval(kind, bounds, condition, &left, &right);
        let event = |(port, (row, mark))| Event { port, row, weight: 1, mark };
        let events: Vec<Event> = interleave(left, right, &picks).into_iter().map(event).collect();
        let graph = interval_graph(kind, bounds, condition).graph;
        for run in assert_law(&graph, &events, Spread::Sources, &sizes, &expected) {
            for (row, mark) in &run.rows {
                for time in [3, 7].iter().filter_map(|at| row.get(*at)) {
                    let held = !matches!(time, Value::Timestamp(ts) if ts < mark);
                    prop_assert!(held, "{:?} is behind {}", row, mark);
                }
            }
        }
    });
}

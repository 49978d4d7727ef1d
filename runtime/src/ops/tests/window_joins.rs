//! WindowJoin against pairs of equal windows by definition, of every kind.

use flow_ir::physical::{Changelog, JoinKind, PhysicalOp, TableKind, WindowJoin};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use proptest::prelude::*;

use super::harness::*;
use super::joins::{all_kinds, in_windows, interleave, joined_streams, paired, row, timed, types};
use super::stateless::at_most;

/// The column of the window's end.
const END: usize = 3;

fn graph(kind: JoinKind, condition: bool) -> Graph {
    let mut graph = Graph::new();
    let side: Vec<Type> = types().into_iter().chain([timestamp()]).collect();
    let left = graph.source(&side, Changelog::Append);
    let right = graph.source(&side, Changelog::Append);
    let weight = || vec![not_null(DataType::BigInt)];
    let pair: Vec<Type> = side.iter().chain(&side).cloned().collect();
    let outer = |side: &[Type], lonely: usize| -> Vec<Type> {
        side.iter().map(|t| t.with_nullable(t.nullable || kind.keeps_lonely(lonely))).collect()
    };
    let right_columns = if kind.has_pairs() { outer(&side, 0) } else { Vec::new() };
    let output = [outer(&side, 1), right_columns].concat();
    let join = PhysicalOp::WindowJoin(WindowJoin {
        kind,
        nulls_equal: Vec::new(),
        left_keys: vec![0, END],
        right_keys: vec![0, END],
        left_end: END,
        right_end: END,
        by_clock: false,
        condition: condition.then(|| at_most(&pair, 1, 5, 8)),
        left: graph.table(TableKind::Ordered, weight()),
        right: graph.table(TableKind::Ordered, weight()),
    });
    let inputs = [(left, Some(vec![0, END])), (right, Some(vec![0, END]))];
    graph.add(join, &inputs, output, Changelog::Append);
    graph
}

#[test]
pub(super) fn windows_join() {
    proptest!(ProptestConfig::with_cases(384), |(
        left in timed(row(), 25), right in timed(row(), 25),
        kind in all_kinds(), condition in any::<bool>(),
        picks in prop::collection::vec(any::<bool>(), 1..20),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let (left, right) = (in_windows(left), in_windows(right));
        let is_pair = |l: &[Value], r: &[Value]| l[END] == r[END] && paired(l, r, condition);
        let expected = joined_streams(kind, &is_pair, &left, &right);
        let event = |(port, (row, mark))| Event { port, row, weight: 1, mark };
        let events: Vec<Event> = interleave(left, right, &picks).into_iter().map(event).collect();
        let graph = graph(kind, condition).graph;
        for run in assert_law(&graph, &events, Spread::Sources, &sizes, &expected) {
            prop_assert_eq!(run.entries, 0, "nothing is kept of what is over");
            for (row, mark) in &run.rows {
                let over = |at: &usize| matches!(row[*at], Value::Timestamp(end) if end <= *mark);
                prop_assert!(![END, END + 4].iter().filter(|at| **at < row.len()).any(over));
            }
        }
    });
}

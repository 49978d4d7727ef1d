//! TopN over windows against the rows that are first by definition.

use std::collections::BTreeMap;

use flow_ir::physical::{Changelog, PhysicalOp, RowWindow, TableKind, TopN};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use proptest::prelude::*;

use super::harness::*;
use super::joins::{in_windows, timed};
use super::keyed::{row, types};
use super::top_n::{direction, numbered, numbering};

/// The column of the window's end.
const END: usize = 4;

#[test]
fn first_rows_of_windows() {
    proptest!(ProptestConfig::with_cases(256), |(
        rows in timed(row(), 30),
        columns in prop::collection::vec((1usize..4, direction()), 0..3),
        numbering in numbering(),
        (offset, limit) in (0u64..3, 0u64..4),
        rank in any::<bool>(),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let rows = in_windows(rows);
        let mut graph = Graph::new();
        let input: Vec<Type> = types().into_iter().chain([timestamp()]).collect();
        let source = graph.source(&input, Changelog::Append);
        let op = TopN {
            keys: vec![0, END],
            order: columns.clone(),
            numbering,
            offset,
            limit: Some(limit),
            rank,
            window: Some(RowWindow { end: END, by_clock: false }),
            rows: graph.table(TableKind::Ordered, vec![not_null(DataType::BigInt)]),
        };
        let number = rank.then(|| Type::not_null(DataType::BigInt));
        let output = input.into_iter().chain(number).collect();
        let by = Some(vec![0, END]);
        graph.add(PhysicalOp::TopN(op), &[(source, by)], output, Changelog::Append);
        let mut groups: BTreeMap<String, Vec<Vec<Value>>> = BTreeMap::new();
        for (row, _) in &rows {
            groups.entry(format!("{:?} {:?}", row[0], row[END])).or_default().push(row.clone());
        }
        let mut expected = Net::new();
        for rows in groups.values() {
            for (mut row, number) in numbered(rows, &columns, numbering) {
                if number > offset && number <= offset + limit {
                    row.extend(rank.then_some(Value::Int(number as i64)));
                    add(&mut expected, &row, 1);
                }
            }
        }
        let event = |(row, mark)| Event { port: 0, row, weight: 1, mark };
        let events: Vec<Event> = rows.into_iter().map(event).collect();
        for run in assert_law(&graph.graph, &events, Spread::Sources, &sizes, &expected) {
            prop_assert_eq!(run.entries, 0, "nothing is kept of what is over");
            for (row, mark) in &run.rows {
                let open = matches!(row[END], Value::Timestamp(end) if end > *mark);
                prop_assert!(open, "{:?} {}", row, mark);
            }
        }
    });
}

//! TopN against the rows that are first by definition.

use std::collections::BTreeMap;

use flow_ir::physical::{Changelog, Direction, Numbering, PhysicalOp, TableKind, TopN};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use proptest::prelude::*;

use super::harness::*;
use super::keyed::{order, row, types};

type Row = Vec<Value>;

/// The rows of a partition in order, each with its number.
pub(super) fn numbered(
    rows: &[Row],
    columns: &[(usize, Direction)],
    numbering: Numbering,
) -> Vec<(Row, u64)> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| order(a, b, columns));
    let mut out: Vec<(Row, u64)> = Vec::new();
    for (at, row) in sorted.into_iter().enumerate() {
        let first = at as u64 + 1;
        let number = match (numbering, out.last()) {
            (Numbering::RowNumber, _) | (_, None) => first,
            (_, Some((last, number))) if peers(last, &row, columns) => *number,
            (Numbering::Rank, Some(_)) => first,
            (Numbering::DenseRank, Some((_, number))) => number + 1,
        };
        out.push((row, number));
    }
    out
}

/// Whether two rows are equal in the columns.
pub(super) fn peers(a: &Row, b: &Row, columns: &[(usize, Direction)]) -> bool {
    let same = |column: usize| match (&a[column], &b[column]) {
        (Value::Float(a), Value::Float(b)) => a == b,
        (a, b) => a == b,
    };
    columns.iter().all(|(column, _)| same(*column))
}

/// Inserts, and where rows may be taken back some of these.
pub(super) fn events(rows: Vec<(Row, Option<usize>)>, retracts: bool) -> (Vec<Event>, Vec<Row>) {
    let (mut events, mut present) = (Vec::new(), Vec::<Row>::new());
    let mut push = |row: &Row, weight| {
        events.push(Event { port: 0, row: row.clone(), weight, mark: i64::MIN });
    };
    for (row, gone) in rows {
        push(&row, 1);
        present.push(row);
        if let Some(gone) = gone.filter(|_| retracts) {
            let gone = present.remove(gone % present.len());
            push(&gone, -1);
        }
    }
    (events, present)
}

pub(super) fn direction() -> impl Strategy<Value = Direction> {
    (any::<bool>(), any::<bool>())
        .prop_map(|(descending, nulls_first)| Direction { descending, nulls_first })
}

pub(super) fn numbering() -> impl Strategy<Value = Numbering> {
    prop_oneof![Just(Numbering::RowNumber), Just(Numbering::Rank), Just(Numbering::DenseRank)]
}

#[test]
pub(super) fn first_rows_stay() {
    proptest!(ProptestConfig::with_cases(384), |(
        rows in prop::collection::vec((row(), prop::option::weighted(0.4, any::<usize>())), 0..30),
        columns in prop::collection::vec((1usize..4, direction()), 0..3),
        numbering in numbering(),
        offset in 0u64..3,
        limit in prop::option::weighted(0.8, 0u64..4),
        rank in any::<bool>(),
        retracts in any::<bool>(),
        sizes in prop::collection::vec(1usize..9, 0..8),
    )| {
        let endless = limit.is_none();
        let numbering = if endless { Numbering::RowNumber } else { numbering };
        let rank = rank && !endless;
        let changelog = if retracts { Changelog::Retract } else { Changelog::Append };
        let mut graph = Graph::new();
        let source = graph.source(&types(), changelog);
        let op = TopN {
            keys: vec![0],
            order: columns.clone(),
            numbering,
            offset,
            limit,
            rank,
            window: None,
            rows: graph.table(TableKind::Ordered, vec![not_null(DataType::BigInt)]),
        };
        let number = rank.then(|| Type::not_null(DataType::BigInt));
        let output = types().into_iter().chain(number).collect();
        graph.add(PhysicalOp::TopN(op), &[(source, Some(vec![0]))], output, Changelog::Retract);
        let (events, present) = events(rows, retracts);
        let mut groups: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in present {
            groups.entry(format!("{:?}", row[0])).or_default().push(row);
        }
        let mut expected = Net::new();
        let mut kept = 0;
        for rows in groups.values() {
            for (mut row, number) in numbered(rows, &columns, numbering) {
                let last = limit.map_or(u64::MAX, |limit| offset + limit);
                kept += usize::from(number <= limit.map_or(offset, |limit| offset + limit));
                if number > offset && number <= last {
                    row.extend(rank.then_some(Value::Int(number as i64)));
                    add(&mut expected, &row, 1);
                }
            }
        }
        for run in assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected) {
            prop_assert_eq!(run.wavering, 0);
            prop_assert!(retracts || run.entries <= kept, "{} entries of {}", run.entries, kept);
        }
    });
}

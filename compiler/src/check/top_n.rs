//! The first rows of each partition, by the cheapest node that keeps them.

use flow_ir::expr::Expr;
use flow_ir::physical::{Changelog, Direction, Keep, Numbering};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::typed::{Deduplicate, QueryId, TopN, window_of_rows};

impl Checker<'_> {
    /// The rows of each partition whose numbers lie in a range; the number behind them, if it is
    /// asked for. Without a limit, rows can only be left out from the start.
    ///
    /// Where the keys hold both bounds of a window, the input's columns say so.
    pub(super) fn top_n(&mut self, top: TopN, span: Span) -> QueryId {
        if top.limit.is_none() && top.offset == 0 && !top.rank {
            return top.input;
        }
        let appends = self.query_node(top.input).changelog == Changelog::Append;
        let one = (top.numbering, top.offset, top.limit) == (Numbering::RowNumber, 0, Some(1));
        let of_windows = window_of_rows(self.query_node(top.input), &top.keys).is_some();
        if !appends || !one || of_windows {
            return self.first_rows(top, span);
        }
        let (order, end) = from_one_end(&top.order);
        let by_clock = order.first().is_some_and(|(first, _)| self.is_clock(top.input, *first));
        let keep = if end == Keep::First && by_clock { Keep::Once } else { end };
        let kept = Deduplicate { input: top.input, keys: top.keys, order, keep };
        let kept = self.deduplicate(kept, span);
        match top.rank {
            true => {
                let one = Expr::literal(Value::Int(1), Type::not_null(DataType::BigInt), span);
                self.extend(kept, vec![(String::from("$rank"), Some(one))], span)
            }
            false => kept,
        }
    }

    /// One row per key, where several come and nothing says which: the last one. That is of an
    /// append-only query the last by event time and then in the log, and else the one whose other
    /// columns are the largest, the first column first.
    pub(super) fn last_row(&mut self, input: QueryId, keys: &[usize], span: Span) -> QueryId {
        let node = self.query_node(input);
        let keys = keys.to_vec();
        if node.changelog == Changelog::Append {
            let time = node.columns.iter().position(|c| c.event_time);
            let ascending = Direction { descending: false, nulls_first: false };
            let order = time.into_iter().map(|time| (time, ascending)).collect();
            let last = Deduplicate { input, keys, order, keep: Keep::Last };
            return self.deduplicate(last, span);
        }
        let descending = Direction { descending: true, nulls_first: true };
        let others = (0..node.columns.len()).filter(|at| !keys.contains(at));
        let order = others.map(|at| (at, descending)).collect();
        let (numbering, limit) = (Numbering::RowNumber, Some(1));
        let last = TopN { input, keys, order, numbering, offset: 0, limit, rank: false };
        self.top_n(last, span)
    }
}

/// The order with its first column ascending, and which end of it the first row is.
fn from_one_end(order: &[(usize, Direction)]) -> (Vec<(usize, Direction)>, Keep) {
    let turned = order.first().is_some_and(|(_, direction)| direction.descending);
    let turn = |d: Direction| Direction {
        descending: d.descending != turned,
        nulls_first: d.nulls_first != turned,
    };
    let keep = if turned { Keep::Last } else { Keep::First };
    (order.iter().map(|&(column, direction)| (column, turn(direction))).collect(), keep)
}

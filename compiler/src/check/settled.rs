//! Queries that take rows back only because they do not wait: the first rows of each key by event
//! time. Where rows that stay are needed, each waits until the watermark has passed it, and none is
//! taken back.

use flow_ir::expr::Expr;
use flow_ir::over::{Frame, FrameBound, FrameExclude, FrameUnit, OverCall, OverFunction};
use flow_ir::physical::{Changelog, Direction, Keep, Numbering};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Checker;
use super::expr::all_of;
use super::typed::{Over, QueryId, QueryOp};

/// The first rows that are wanted of each key.
struct First {
    input: QueryId,
    keys: Vec<usize>,
    order: Vec<(usize, Direction)>,
    numbering: Numbering,
    offset: u64,
    limit: u64,
    /// Whether the number is a column.
    rank: bool,
}

/// From the first row of the partition to those equal to the current one.
const RUNNING: Frame = Frame {
    unit: FrameUnit::Range,
    start: FrameBound::UnboundedPreceding,
    end: FrameBound::CurrentRow,
    exclude: FrameExclude::NoOthers,
};

impl Checker<'_> {
    /// A query with the same rows and columns that only appends; `None` if there is none.
    pub(super) fn settled(&mut self, query: QueryId) -> Option<QueryId> {
        let node = self.query_node(query);
        if node.changelog == Changelog::Append {
            return Some(query);
        }
        let span = node.span;
        match node.op.clone() {
            QueryOp::Filter { input, condition } => {
                let input = self.settled(input)?;
                Some(self.filter(input, condition, span))
            }
            QueryOp::Project { input, exprs } => {
                let names: Vec<String> = node.columns.iter().map(|c| c.name.clone()).collect();
                let input = self.settled(input)?;
                let items = names.into_iter().zip(exprs.into_iter().map(Some));
                Some(self.project(input, items.collect(), span))
            }
            QueryOp::Deduplicate(dedup) if dedup.keep == Keep::First => {
                let (input, keys, order) = (dedup.input, dedup.keys, dedup.order);
                let numbering = Numbering::RowNumber;
                let first =
                    First { input, keys, order, numbering, offset: 0, limit: 1, rank: false };
                self.as_they_come(first, span)
            }
            QueryOp::TopN(top) => {
                let first = First {
                    input: top.input,
                    keys: top.keys,
                    order: top.order,
                    numbering: top.numbering,
                    offset: top.offset,
                    limit: top.limit?,
                    rank: top.rank,
                };
                self.as_they_come(first, span)
            }
            QueryOp::Scan(_)
            | QueryOp::Unnest(_)
            | QueryOp::Join(_)
            | QueryOp::Window(_)
            | QueryOp::Aggregate(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::Over(_)
            | QueryOp::UnionAll(_) => None,
        }
    }

    /// The rows numbered as the watermark passes them, where event time leads the order.
    fn as_they_come(&mut self, first: First, span: Span) -> Option<QueryId> {
        let First { input, keys, order, numbering, offset, limit, rank } = first;
        let of = self.query_node(input);
        let (lead, direction) = order.first()?;
        let by_time = of.columns[*lead].event_time && !direction.descending;
        if !by_time || of.changelog != Changelog::Append {
            return None;
        }
        let width = of.columns.len();
        let ty = Type::not_null(DataType::BigInt);
        let function = OverFunction::Number(numbering);
        let calls = vec![OverCall { function, frame: RUNNING, ty: ty.clone() }];
        let over = Over { input, keys, order, calls, passes: true, reach: Some(0) };
        let numbered = self.over(over, span);
        let bound = |value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            Expr::literal(Value::Int(value), ty.clone(), span)
        };
        let number = || Expr::column(width, ty.clone(), span);
        let mut asked =
            vec![self.operator("<=", vec![number(), bound(offset.saturating_add(limit))], span)?];
        if offset > 0 {
            asked.push(self.operator(">", vec![number(), bound(offset)], span)?);
        }
        let kept = self.filter(numbered, all_of(asked)?, span);
        Some(if rank { kept } else { self.select_columns(kept, 0..width, span) })
    }
}

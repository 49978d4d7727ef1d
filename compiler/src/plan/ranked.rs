//! The rows that come first in an order: what the order leaves equal goes by the log's order where
//! rows are records, by the columns that say it.

use flow_ir::expr::ExprKind;
use flow_ir::ids::NodeId;
use flow_ir::logical::{Deduplicate, Hidden, LogicalOp, Over, Plan, TopN};
use flow_ir::physical::{Changelog, Direction, Keep, LateRule, Numbering};

use super::{PLACE, Planner, Relation};
use crate::check::typed::{self, Query, QueryId};

/// What breaks ties, and says what is late.
const WITH_WATERMARK: [Hidden; 4] =
    [Hidden::Partition, Hidden::Offset, Hidden::Element, Hidden::Watermark];

impl Planner<'_> {
    pub(super) fn deduplicate(&mut self, dedup: &typed::Deduplicate, query: &Query) -> Relation {
        // Where nothing is asked the last row is the last in the log; where something is, the
        // first row in the log is the first also if the order was turned round.
        let descending = dedup.keep == Keep::Last && !dedup.order.is_empty();
        let input = self.relation(dedup.input).clone();
        let hidden: &[Hidden] = match dedup.keep {
            Keep::First | Keep::Last => &PLACE,
            Keep::Once => &WITH_WATERMARK,
        };
        let (node, order) = self.ranked(dedup.input, &input, &dedup.order, descending, hidden);
        let op = Deduplicate { keys: dedup.keys.clone(), order, keep: dedup.keep };
        let node = self.add(LogicalOp::Deduplicate(op), node, query.span);
        let width = query.columns.len();
        if dedup.keep == Keep::Once {
            return self.no_longer_records(node, width);
        }
        Relation::first(self.shape(&Relation::first(node, width), &[]), width)
    }

    pub(super) fn top_n(&mut self, top: &typed::TopN, query: &Query) -> Relation {
        let of = self.module.query(top.input);
        let appends = of.changelog == Changelog::Append;
        let window = typed::window_of_rows(of, &top.keys).filter(|_| top.limit.is_some());
        let mut input = self.relation(top.input).clone();
        if let Some(window) = window {
            input.node = self.with_open_windows(input.node, input.columns[window.end], Some(0));
        }
        let (node, order) = match top.numbering {
            Numbering::RowNumber if appends => {
                self.ranked(top.input, &input, &top.order, false, &PLACE)
            }
            Numbering::RowNumber | Numbering::Rank | Numbering::DenseRank => {
                (self.shape(&input, &[]), top.order.clone())
            }
        };
        let op = TopN {
            keys: top.keys.clone(),
            order,
            numbering: top.numbering,
            offset: top.offset,
            limit: top.limit,
            rank: top.rank,
            window,
        };
        let node = self.add(LogicalOp::TopN(op), node, query.span);
        // The number stands behind the input's hidden columns.
        let (width, last) = (query.columns.len(), self.plan.schema(node).width() - 1);
        let own = (0..width).map(|at| if top.rank && at + 1 == width { last } else { at });
        let relation = Relation { node, columns: own.collect() };
        Relation::first(self.shape(&relation, &[]), width)
    }

    pub(super) fn over(&mut self, over: &typed::Over, query: &Query) -> Relation {
        let of = self.module.query(over.input);
        let mut input = self.relation(over.input).clone();
        let time = over.order.first().map(|(column, _)| *column).filter(|_| over.passes);
        if let Some(time) = time {
            let time = input.columns[time];
            input.node = self.without_late(input.node, time, LateRule::Rows);
        }
        let (node, order) = match of.changelog {
            Changelog::Append => self.ranked(over.input, &input, &over.order, false, &PLACE),
            Changelog::Retract => (self.shape(&input, &[]), over.order.clone()),
        };
        let width = of.columns.len();
        let names = query.columns[width..].iter().map(|c| c.name.clone()).collect();
        let op = Over {
            keys: over.keys.clone(),
            order,
            peers: over.order.len(),
            calls: over.calls.clone(),
            names,
            time,
            reach: over.reach,
        };
        let inner = self.plan.schema(node).width();
        let node = self.add(LogicalOp::Over(op), node, query.span);
        // The results stand behind the input's hidden columns.
        let results = inner..inner + over.calls.len();
        let relation = Relation { node, columns: (0..width).chain(results).collect() };
        Relation::first(self.shape(&relation, &[]), query.columns.len())
    }

    /// The rows of an append-only query in its columns and these hidden ones, with which come
    /// those that break ties, and the order with these. Ties go in the direction of event time or
    /// of the clock where that is asked for, else in the one that is given.
    pub(super) fn ranked(
        &mut self,
        input: QueryId,
        relation: &Relation,
        order: &[(usize, Direction)],
        descending: bool,
        hidden: &[Hidden],
    ) -> (NodeId, Vec<(usize, Direction)>) {
        let node = self.shape(relation, hidden);
        let time = self.module.query(input).columns.iter().position(|c| c.event_time);
        let by_time = order.iter().find(|(column, _)| Some(*column) == time);
        // Records of one epoch have one clock: their order by it is the log's.
        let by_clock = order.iter().find(|(column, _)| is_clock(&self.plan, node, *column));
        let descending = by_time.or(by_clock).map_or(descending, |(_, d)| d.descending);
        let schema = self.plan.schema(node);
        let places = PLACE.map(|h| schema.hidden(h));
        let asked = by_time.is_some() || by_clock.is_some();
        let time = time.filter(|_| !asked && places[0].is_some());
        let direction = Direction { descending, nulls_first: false };
        let ties = time.into_iter().chain(places.into_iter().flatten());
        (node, order.iter().copied().chain(ties.map(|column| (column, direction))).collect())
    }
}

/// Whether a column is the clock, read for the row in the pipeline that the node ends.
fn is_clock(plan: &Plan, mut node: NodeId, mut column: usize) -> bool {
    loop {
        let this = plan.node(node);
        if let LogicalOp::Project(project) = &this.op {
            if matches!(project.exprs[column].kind, ExprKind::Clock) {
                return true;
            }
            let Some(below) = project.passes(column) else { return false };
            (node, column) = (this.inputs[0], below);
        } else if matches!(this.op, LogicalOp::Filter(_) | LogicalOp::Late(_)) {
            node = this.inputs[0];
        } else {
            return false;
        }
    }
}

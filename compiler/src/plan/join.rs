//! Joins: both sides lose their late rows where time bounds the join, and their hidden columns
//! where it does not need them.

use flow_ir::ids::NodeId;
use flow_ir::logical::{Hidden, Join, JoinClass, LogicalOp};
use flow_ir::physical::LateRule;

use super::{Planner, Relation};
use crate::check::typed::{self, Query, QueryId, QueryOp};

impl Planner<'_> {
    pub(super) fn join(&mut self, join: &typed::Join, query: &Query) -> Relation {
        let mut class = join.class;
        let (left, right) = match &mut class {
            JoinClass::Regular | JoinClass::Lookup => {
                (self.side(join.left, None), self.side(join.right, None))
            }
            JoinClass::Interval { left_time, right_time, .. } => {
                (self.side(join.left, Some(*left_time)), self.side(join.right, Some(*right_time)))
            }
            JoinClass::Window { left_end, right_end, .. } => (
                self.windowed_side(join.left, *left_end),
                self.windowed_side(join.right, *right_end),
            ),
            JoinClass::Temporal { left_time, right_time } => {
                let left = self.side(join.left, Some(*left_time));
                let (right, version) = self.table(join.right, *right_time);
                *right_time = right_time.or(version);
                (left, right)
            }
        };
        let op = Join {
            kind: join.kind,
            class,
            keys: join.keys.clone(),
            nulls_equal: join.nulls_equal.clone(),
            condition: join.condition.clone(),
        };
        let node = self.plan.add(LogicalOp::Join(op), vec![left, right], query.span);
        // The right side's hidden columns come last; nothing above may take them for a source's.
        let width = query.columns.len();
        Relation::first(self.shape(&Relation::first(node, width), &[]), width)
    }

    /// A side's rows in the query's columns, without late ones where a time is given.
    fn side(&mut self, id: QueryId, time: Option<usize>) -> NodeId {
        let mut relation = self.relation(id).clone();
        if let Some(time) = time {
            let time = relation.columns[time];
            relation.node = self.without_late(relation.node, time, LateRule::Rows);
        }
        self.shape(&relation, &[])
    }

    /// A side's rows in the query's columns, in those of their windows that are open. Nothing is
    /// joined anew for late rows.
    fn windowed_side(&mut self, id: QueryId, end: usize) -> NodeId {
        let mut relation = self.relation(id).clone();
        relation.node = self.with_open_windows(relation.node, relation.columns[end], Some(0));
        self.shape(&relation, &[])
    }

    /// The versions of a table, and the column of their time if it is the record's own. Of another
    /// query the rows are the versions.
    fn table(&mut self, id: QueryId, time: Option<usize>) -> (NodeId, Option<usize>) {
        let QueryOp::Scan(relation) = self.module.query(id).op else {
            return (self.side(id, time), None);
        };
        let versions = self.versions(relation);
        let hidden = [Hidden::Tombstone, Hidden::Watermark, Hidden::Timestamp];
        let node = self.shape(&versions, &hidden);
        (node, self.plan.schema(node).hidden(Hidden::Timestamp))
    }
}

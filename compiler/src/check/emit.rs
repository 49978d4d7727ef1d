//! EMIT CHANGES: the same query with its windowed aggregates emitting from a window's first row on.
//! Nodes are shared by all that read them, so those on the way are made anew.

use flow_ir::physical::Changelog;
use flow_ir::span::Span;

use super::Checker;
use super::typed::{Aggregate, QueryId, QueryOp, Unnest};

impl Checker<'_> {
    /// The query with its changes emitted as they come; itself where it does so anyway.
    pub(super) fn emitting_changes(&mut self, query: QueryId, span: Span) -> Option<QueryId> {
        let node = self.query_node(query).clone();
        match node.op {
            QueryOp::Aggregate(aggregate) if aggregate.window.is_some() => {
                let changing = Aggregate { emits_changes: true, ..aggregate };
                Some(self.aggregate(changing, node.span))
            }
            QueryOp::Filter { input, condition } => {
                let changing = self.emitting_changes(input, span)?;
                if changing == input {
                    return Some(query);
                }
                self.deny_clock(&condition, Changelog::Retract)?;
                Some(self.filter(changing, condition, node.span))
            }
            QueryOp::Project { input, exprs } => {
                let changing = self.emitting_changes(input, span)?;
                if changing == input {
                    return Some(query);
                }
                let names = node.columns.into_iter().map(|c| c.name).enumerate();
                let mut items = Vec::with_capacity(exprs.len());
                for ((at, name), expr) in names.zip(exprs) {
                    self.deny_clock(&expr, Changelog::Retract)?;
                    let failed = self.poisoned.contains(&(query, at));
                    items.push((name, (!failed).then_some(expr)));
                }
                Some(self.project(changing, items, node.span))
            }
            QueryOp::Unnest(unnest) => {
                let changing = self.emitting_changes(unnest.input, span)?;
                if changing == unnest.input {
                    return Some(query);
                }
                Some(self.unnest(Unnest { input: changing, ..unnest }, node.span))
            }
            QueryOp::UnionAll(inputs) => {
                let changing = inputs.iter().map(|input| self.emitting_changes(*input, span));
                let changing = changing.collect::<Option<Vec<QueryId>>>()?;
                if changing == inputs {
                    return Some(query);
                }
                Some(self.union_all(changing, node.span))
            }
            QueryOp::Scan(_)
            | QueryOp::Join(_)
            | QueryOp::Window(_)
            | QueryOp::Aggregate(_)
            | QueryOp::Deduplicate(_)
            | QueryOp::TopN(_)
            | QueryOp::Over(_) => Some(query),
        }
    }
}

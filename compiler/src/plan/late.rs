//! Where late rows are dropped: in the pipeline of the source they come from, above its filters and
//! below whatever first minds the time. Above a stateful operator nothing is late.

use flow_ir::ids::{NodeId, StreamId};
use flow_ir::logical::{Hidden, Late, LogicalOp, Plan, Project, Union};
use flow_ir::physical::LateRule;

use super::Planner;

impl Planner<'_> {
    /// The node's rows without those that are late by `rule` at column `time`. The output has the
    /// node's columns.
    pub(super) fn without_late(&mut self, node: NodeId, time: usize, rule: LateRule) -> NodeId {
        if self.plan.in_source_pipeline(node) {
            return self.late_in_pipeline(node, time, rule);
        }
        let Some((chain, union)) = down_to_union(&self.plan, node) else { return node };
        let branches = self.plan.node(union).inputs.clone();
        let mut inputs = Vec::with_capacity(branches.len());
        for branch in branches {
            // What stands above the union is put into each branch, so that its filters still come
            // before the lateness.
            let mut input = branch;
            for &id in chain.iter().rev() {
                let (op, origin) = (self.plan.node(id).op.clone(), self.plan.node(id).origin);
                input = self.add(op, input, origin);
            }
            inputs.push(self.without_late(input, time, rule));
        }
        let origin = self.plan.node(union).origin;
        self.plan.add(LogicalOp::Union(Union), inputs, origin)
    }

    fn late_in_pipeline(&mut self, node: NodeId, time: usize, rule: LateRule) -> NodeId {
        let schema = self.plan.schema(node);
        let hidden = (schema.hidden(Hidden::Watermark), schema.hidden(Hidden::Position));
        let (Some(watermark), Some(position)) = hidden else {
            return self.late_below(node, time, rule);
        };
        let stream = stream_of(&self.plan, node);
        let origin = self.plan.node(node).origin;
        let late = Late { stream, time, watermark, position, rule };
        self.add(LogicalOp::Late(late), node, origin)
    }

    /// For a projection that lost the hidden columns: below it.
    fn late_below(&mut self, node: NodeId, time: usize, rule: LateRule) -> NodeId {
        let LogicalOp::Project(project) = &self.plan.node(node).op else { return node };
        let Some(time) = project.passes(time) else { return node };
        let project: Project = project.clone();
        let (below, origin) = (self.plan.node(node).inputs[0], self.plan.node(node).origin);
        let below = self.late_in_pipeline(below, time, rule);
        self.add(LogicalOp::Project(project), below, origin)
    }
}

/// The filters and projections above a union, top first, and the union; `None` if an operator with
/// state comes first.
fn down_to_union(plan: &Plan, mut id: NodeId) -> Option<(Vec<NodeId>, NodeId)> {
    let mut chain = Vec::new();
    loop {
        match &plan.node(id).op {
            LogicalOp::Union(_) => return Some((chain, id)),
            LogicalOp::Filter(_) | LogicalOp::Project(_) | LogicalOp::Window(_) => {
                chain.push(id);
                id = plan.node(id).inputs[0];
            }
            LogicalOp::Scan(_)
            | LogicalOp::Join(_)
            | LogicalOp::Aggregate(_)
            | LogicalOp::Deduplicate(_)
            | LogicalOp::Normalize(_)
            | LogicalOp::Materialize(_)
            | LogicalOp::Late(_)
            | LogicalOp::Sink(_) => return None,
        }
    }
}

/// The stream of a source's pipeline.
fn stream_of(plan: &Plan, mut id: NodeId) -> StreamId {
    loop {
        let node = plan.node(id);
        if let LogicalOp::Scan(scan) = &node.op {
            return scan.stream;
        }
        id = node.inputs[0];
    }
}

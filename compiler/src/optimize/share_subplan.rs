//! Equal sub-plans become one node with several readers. Places in the text do not count; the first
//! one's stays.

use std::collections::HashMap;

use flow_ir::ids::NodeId;
use flow_ir::logical::{LogicalOp, Plan, PlanNode};
use flow_ir::span::Span;

use super::Pass;

/// The pass.
pub(crate) struct ShareSubplan;

impl Pass for ShareSubplan {
    fn name(&self) -> &'static str {
        "share_subplan"
    }

    fn reason(&self) -> &'static str {
        "what several readers want is computed, and kept, once"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let mut first: HashMap<(String, Vec<NodeId>), NodeId> = HashMap::new();
        let mut same: HashMap<NodeId, NodeId> = HashMap::new();
        for id in plan.order() {
            let node = &mut plan.nodes[id.index()];
            for input in &mut node.inputs {
                *input = *same.get(input).unwrap_or(input);
            }
            if !matches!(node.op, LogicalOp::Sink(_)) {
                let key = (text_without_places(&node.op), node.inputs.clone());
                let kept = *first.entry(key).or_insert(id);
                if kept != id {
                    same.insert(id, kept);
                }
            }
        }
        !same.is_empty()
    }
}

/// All that an operator is, apart from where it was written.
fn text_without_places(op: &LogicalOp) -> String {
    let mut op = op.clone();
    for expr in op.exprs_mut() {
        expr.rewrite(&mut |e| e.span = Span::default());
    }
    format!("{op:?}")
}

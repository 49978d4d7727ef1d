//! A stream whose event time nobody minds makes no watermark: its time column need not be decoded
//! for it.

use flow_ir::decode_plan::CURRENT_WATERMARK;
use flow_ir::logical::{JoinClass, LogicalOp, Node, Plan};
use flow_ir::physical::WindowInput;

use super::Pass;

/// The pass.
pub(crate) struct DropWatermark;

impl Pass for DropWatermark {
    fn name(&self) -> &'static str {
        "drop_watermark"
    }

    fn reason(&self) -> &'static str {
        "an event time that nobody minds need not be read"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        if plan.keep_watermarks {
            return false;
        }
        let mut minded = vec![false; plan.nodes.len()];
        let mut changed = false;
        for id in plan.order().into_iter().rev() {
            let above = minded[id.index()] || minds_time(plan.node(id));
            for input in &plan.node(id).inputs {
                minded[input.index()] |= above;
            }
            if let LogicalOp::Scan(scan) = &mut plan.nodes[id.index()].op
                && !above
                && !scan.columns.iter().any(|column| column.name == CURRENT_WATERMARK)
                && scan.watermark.is_some()
            {
                scan.watermark = None;
                scan.time = None;
                changed = true;
            }
        }
        changed
    }
}

/// Whether the operator's results depend on its inputs' watermarks.
fn minds_time(node: &Node) -> bool {
    match &node.op {
        LogicalOp::Late(_) => true,
        LogicalOp::Session(session) => !session.by_clock,
        LogicalOp::TopN(top) => top.window.is_some_and(|window| !window.by_clock),
        LogicalOp::Join(join) => match join.class {
            JoinClass::Regular | JoinClass::Lookup => false,
            JoinClass::Window { by_clock, .. } => !by_clock,
            JoinClass::Interval { .. } | JoinClass::Temporal { .. } => true,
        },
        LogicalOp::Aggregate(aggregate) => match aggregate.window {
            Some(WindowInput::Time { .. } | WindowInput::Carried { .. }) => {
                !aggregate.emits.by_clock
            }
            None => false,
        },
        LogicalOp::Over(over) => over.time.is_some(),
        LogicalOp::Scan(_)
        | LogicalOp::Filter(_)
        | LogicalOp::Project(_)
        | LogicalOp::Unnest(_)
        | LogicalOp::Window(_)
        | LogicalOp::Deduplicate(_)
        | LogicalOp::Normalize(_)
        | LogicalOp::Materialize(_)
        | LogicalOp::Union(_)
        | LogicalOp::Sink(_) => false,
    }
}

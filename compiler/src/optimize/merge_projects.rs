//! A projection over a projection becomes one, and one that changes nothing goes, unless something
//! would then be computed twice.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{LogicalOp, Plan, Project};

use super::Pass;
use super::exprs::{is_repeatable, substitute};

/// The pass.
pub(crate) struct MergeProjects;

impl Pass for MergeProjects {
    fn name(&self) -> &'static str {
        "merge_projects"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for id in plan.order() {
            while merge_into(plan, id) {
                changed = true;
            }
        }
        drop_repeats(plan) || changed
    }
}

/// Lets nodes read past projections that pass on all columns as they are.
pub(super) fn drop_repeats(plan: &mut Plan) -> bool {
    let mut changed = false;
    for id in plan.order() {
        for port in 0..plan.node(id).inputs.len() {
            let input = plan.node(id).inputs[port];
            if let Some(below) = what_it_repeats(plan, input) {
                plan.nodes[id.index()].inputs[port] = below;
                changed = true;
            }
        }
    }
    changed
}

/// Merges the projection below into this one, if both are projections.
fn merge_into(plan: &mut Plan, id: NodeId) -> bool {
    let LogicalOp::Project(upper) = &plan.node(id).op else { return false };
    let below = plan.node(id).inputs[0];
    let LogicalOp::Project(lower) = &plan.node(below).op else { return false };
    if !each_used_once(upper, lower) {
        return false;
    }
    let exprs = upper.exprs.iter().map(|e| substitute(e, &lower.exprs)).collect();
    // The time that the lower one declares is this one's where it passes it on.
    let passed = |time: usize| (0..upper.exprs.len()).find(|&i| upper.passes(i) == Some(time));
    let time = upper.time.or(lower.time.and_then(passed));
    let merged = Project { exprs, names: upper.names.clone(), time };
    let inputs = plan.node(below).inputs.clone();
    let node = &mut plan.nodes[id.index()];
    node.op = LogicalOp::Project(merged);
    node.inputs = inputs;
    true
}

/// Whether nothing that the lower one computes is used twice by the upper one.
fn each_used_once(upper: &Project, lower: &Project) -> bool {
    let mut uses = vec![0usize; lower.exprs.len()];
    for expr in &upper.exprs {
        expr.walk(&mut |e| {
            if let ExprKind::Column(index) = e.kind {
                uses[index] += 1;
            }
        });
    }
    let trivial = |e: &Expr| matches!(e.kind, ExprKind::Column(_) | ExprKind::Literal(_));
    let fine = |(e, &uses): (&Expr, &usize)| trivial(e) || (uses <= 1 && is_repeatable(e));
    lower.exprs.iter().zip(&uses).all(fine)
}

/// The input of a projection that passes on all columns as they are.
fn what_it_repeats(plan: &Plan, id: NodeId) -> Option<NodeId> {
    let LogicalOp::Project(project) = &plan.node(id).op else { return None };
    let below = plan.node(id).inputs[0];
    let same = (0..project.exprs.len()).all(|i| project.passes(i) == Some(i));
    (same && plan.schema(below).columns == plan.schema(id).columns).then_some(below)
}

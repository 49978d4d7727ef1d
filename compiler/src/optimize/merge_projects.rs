//! A projection over a projection becomes one, unless something would then be computed twice; one
//! that changes nothing goes; an aggregate reads past one that only picks columns.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{LogicalOp, Plan, Project};

use super::Pass;
use crate::exprs::{is_repeatable, may_substitute, substitute};

/// The pass.
pub(crate) struct MergeProjects;

impl Pass for MergeProjects {
    fn name(&self) -> &'static str {
        "merge_projects"
    }

    fn reason(&self) -> &'static str {
        "one projection copies a row once"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for id in plan.order() {
            while merge_into(plan, id) || read_past(plan, id) {
                changed = true;
            }
        }
        // Names decide what repeats, and an aggregate that reads past a projection may have others.
        plan.refresh();
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
    let fits = |e: &Expr| may_substitute(e, &lower.exprs);
    if !each_used_once(upper, lower) || !upper.exprs.iter().all(fits) {
        return false;
    }
    // A column may be passed on as one that allows NULL: that is kept.
    let merge = |e: &Expr| Expr { ty: e.ty.clone(), ..substitute(e, &lower.exprs) };
    let exprs = upper.exprs.iter().map(merge).collect();
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

/// Lets an aggregate read below a projection that only picks columns: it copies what it needs, by
/// place, and keeps no row.
fn read_past(plan: &mut Plan, id: NodeId) -> bool {
    let LogicalOp::Aggregate(aggregate) = &plan.node(id).op else { return false };
    let input = plan.node(id).inputs[0];
    let LogicalOp::Project(project) = &plan.node(input).op else { return false };
    let same_type = |at: usize, from: usize| {
        plan.schema(plan.node(input).inputs[0]).columns[from].ty == project.exprs[at].ty
    };
    let picked = |at: &usize| project.passes(*at).is_some_and(|from| same_type(*at, from));
    if !aggregate.columns().iter().all(picked) {
        return false;
    }
    let mut aggregate = aggregate.clone();
    aggregate.map_columns(&|at| project.passes(at).unwrap_or(at));
    let inputs = plan.node(input).inputs.clone();
    let node = &mut plan.nodes[id.index()];
    (node.op, node.inputs) = (LogicalOp::Aggregate(aggregate), inputs);
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

//! Expressions over constants become their values, as the interpreter computes them; conditions
//! that are decided go. What would fail stays, to fail where the program says so.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::NodeId;
use flow_ir::logical::{LogicalOp, Plan, PlanNode};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Pass;
use crate::exprs::{is_timeless, is_total};
use crate::scalar::constant_value;

/// The pass.
pub(crate) struct FoldConstants;

impl Pass for FoldConstants {
    fn name(&self) -> &'static str {
        "fold_constants"
    }

    fn reason(&self) -> &'static str {
        "what is constant is computed once, now"
    }

    fn run(&self, plan: &mut Plan) -> bool {
        let mut changed = false;
        for id in plan.order() {
            for expr in plan.nodes[id.index()].op.exprs_mut() {
                expr.rewrite(&mut |e| changed |= fold(e));
            }
            changed |= drop_filter(plan, id);
        }
        changed
    }
}

/// Lets a node read past filters that keep everything.
fn drop_filter(plan: &mut Plan, id: NodeId) -> bool {
    let mut changed = false;
    for port in 0..plan.node(id).inputs.len() {
        let input = plan.node(id).inputs[port];
        if let LogicalOp::Filter(filter) = &plan.node(input).op
            && boolean(&filter.predicate) == Some(Some(true))
        {
            let below = plan.node(input).inputs[0];
            plan.nodes[id.index()].inputs[port] = below;
            changed = true;
        }
    }
    changed
}

/// The value of a BOOLEAN constant; the inner `None` is NULL.
fn boolean(expr: &Expr) -> Option<Option<bool>> {
    match &expr.kind {
        ExprKind::Literal(Value::Boolean(value)) => Some(Some(*value)),
        ExprKind::Literal(Value::Null) => Some(None),
        ExprKind::Literal(_)
        | ExprKind::Column(_)
        | ExprKind::Call { .. }
        | ExprKind::Cast { .. }
        | ExprKind::Case { .. }
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Not(_)
        | ExprKind::IsNull(_)
        | ExprKind::Field { .. }
        | ExprKind::Row(_)
        | ExprKind::Array(_)
        | ExprKind::Param(_)
        | ExprKind::Each { .. }
        | ExprKind::Clock => None,
    }
}

/// Folds one expression whose operands are folded.
fn fold(expr: &mut Expr) -> bool {
    let (ty, span) = (expr.ty.clone(), expr.span);
    let folded = match &mut expr.kind {
        ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::Param(_) | ExprKind::Clock => {
            return false;
        }
        ExprKind::And(args) => connective(args, false),
        ExprKind::Or(args) => connective(args, true),
        ExprKind::Case { branches, otherwise } => case(branches, otherwise, &ty, span),
        ExprKind::IsNull(arg) if !arg.ty.nullable && is_total(arg) => {
            Some(Expr::literal(Value::Boolean(false), Type::not_null(DataType::Boolean), span))
        }
        ExprKind::Call { .. }
        | ExprKind::Cast { .. }
        | ExprKind::Not(_)
        | ExprKind::IsNull(_)
        | ExprKind::Field { .. }
        | ExprKind::Row(_)
        | ExprKind::Array(_)
        | ExprKind::Each { .. } => None,
    };
    if let Some(mut folded) = folded {
        // The place and the type stay: readers rely on the type to the last bit.
        folded.span = span;
        if folded.ty.data == ty.data {
            folded.ty = ty;
            *expr = folded;
            return true;
        }
        return false;
    }
    let constant = !expr.children().is_empty() && expr.columns().is_empty() && is_timeless(expr);
    let all = expr.children().iter().all(|child| matches!(child.kind, ExprKind::Literal(_)));
    if !constant || !all {
        return false;
    }
    let Some(value) = constant_value(expr) else { return false };
    *expr = Expr::literal(value, ty, span);
    true
}

/// AND (or OR) without the operands that decide nothing; the deciding constant where there is one
/// before anything that could fail.
fn connective(args: &mut Vec<Expr>, deciding: bool) -> Option<Expr> {
    if let Some(at) = args.iter().position(|arg| boolean(arg) == Some(Some(deciding)))
        && args[..at].iter().all(is_total)
    {
        return Some(args[at].clone());
    }
    let neutral = |arg: &Expr| boolean(arg) == Some(Some(!deciding));
    if args.iter().all(neutral) {
        return args.first().cloned();
    }
    args.retain(|arg| !neutral(arg));
    if args.len() == 1 {
        return args.pop();
    }
    None
}

/// CASE whose first open branch is decided.
fn case(
    branches: &mut Vec<(Expr, Expr)>,
    otherwise: &mut Option<Box<Expr>>,
    ty: &Type,
    span: Span,
) -> Option<Expr> {
    while let Some(decided) = branches.first().and_then(|(when, _)| boolean(when)) {
        let (_, then) = branches.remove(0);
        if decided == Some(true) {
            return Some(then);
        }
    }
    if !branches.is_empty() {
        return None;
    }
    let null = || Expr::literal(Value::Null, ty.clone(), span);
    Some(otherwise.take().map_or_else(null, |e| *e))
}

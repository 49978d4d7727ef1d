//! What the planner and the passes ask of expressions: their conjuncts, whether they may move, what
//! they become over other columns.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::builtin::{Volatility, lookup};
use flow_stdlib::coerce::widens;

/// The operands of AND, or the expression itself, in order.
pub(crate) fn conjuncts(expr: Expr) -> Vec<Expr> {
    if let ExprKind::And(args) = expr.kind {
        args.into_iter().flat_map(conjuncts).collect()
    } else {
        vec![expr]
    }
}

/// AND of these; `None` without any.
pub(crate) fn conjunction(mut conjuncts: Vec<Expr>) -> Option<Expr> {
    if conjuncts.len() <= 1 {
        return conjuncts.pop();
    }
    let span = conjuncts[0].span.to(conjuncts[conjuncts.len() - 1].span);
    let nullable = conjuncts.iter().any(|e| e.ty.nullable);
    let ty = Type { data: DataType::Boolean, nullable };
    Some(Expr { kind: ExprKind::And(conjuncts), ty, span })
}

/// Both, the first decided first.
pub(crate) fn both(first: Option<Expr>, second: Option<Expr>) -> Option<Expr> {
    conjunction(first.into_iter().chain(second).flat_map(conjuncts).collect())
}

/// The expression with each column replaced by what computes it.
pub(crate) fn substitute(expr: &Expr, columns: &[Expr]) -> Expr {
    let mut expr = expr.clone();
    expr.rewrite(&mut |e| {
        if let ExprKind::Column(index) = e.kind {
            // The place of a failure stays that of the definition, which can fail.
            *e = columns[index].clone();
        }
    });
    expr
}

/// A rewrite that would make a larger expression is left out: it would be computed where it is read
/// once more, and each definition that repeats its input doubles it.
const NODES_MAX: usize = 1_000;

/// Whether `substitute` makes an expression that is not too large, or no larger than before.
pub(crate) fn may_substitute(expr: &Expr, columns: &[Expr]) -> bool {
    if matches!(expr.kind, ExprKind::Column(_)) {
        return true;
    }
    let (mut before, mut after) = (0usize, 0usize);
    expr.walk(&mut |e| {
        before += 1;
        after += if let ExprKind::Column(index) = e.kind { size(&columns[index]) } else { 1 };
    });
    after <= NODES_MAX.max(before)
}

/// How many expressions it is made of.
fn size(expr: &Expr) -> usize {
    let mut size = 0;
    expr.walk(&mut |_| size += 1);
    size
}

/// Whether it gives the same at any time: neither the clock nor a call that differs each time.
pub(crate) fn is_timeless(expr: &Expr) -> bool {
    let mut timeless = true;
    expr.walk(&mut |e| match &e.kind {
        ExprKind::Clock => timeless = false,
        ExprKind::Call { function, .. } => {
            timeless &= lookup(function).is_some_and(|b| b.volatility == Volatility::Immutable);
        }
        ExprKind::Column(_)
        | ExprKind::Literal(_)
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
        | ExprKind::Each { .. } => {}
    });
    timeless
}

/// Whether a second evaluation gives the same: no call that differs each time.
pub(crate) fn is_repeatable(expr: &Expr) -> bool {
    let mut repeatable = true;
    expr.walk(&mut |e| {
        if let ExprKind::Call { function, .. } = &e.kind {
            let differs = |volatility| volatility == Volatility::NonDeterministic;
            repeatable &= lookup(function).is_some_and(|b| !differs(b.volatility));
        }
    });
    repeatable
}

/// Builtins that have a result for all arguments of their types.
const TOTAL: &[&str] = &[
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "IS DISTINCT FROM",
    "IS NOT DISTINCT FROM",
    "UPPER",
    "LOWER",
    "TRIM",
    "LTRIM",
    "RTRIM",
    "LENGTH",
    "STARTS_WITH",
    "COALESCE",
    "NULLIF",
    "CARDINALITY",
];

/// Whether it certainly cannot fail, so that it may be computed for rows that would not have
/// reached it.
pub(crate) fn is_total(expr: &Expr) -> bool {
    let mut total = true;
    expr.walk(&mut |e| match &e.kind {
        ExprKind::Call { function, args, .. } => {
            let listed = lookup(function).is_some_and(|b| TOTAL.contains(&b.name));
            total &= listed || divides_safely(function, args);
        }
        ExprKind::Cast { arg, lenient } => {
            total &= *lenient || arg.ty.data == e.ty.data || widens(&arg.ty.data, &e.ty.data);
        }
        ExprKind::Column(_)
        | ExprKind::Literal(_)
        | ExprKind::Case { .. }
        | ExprKind::And(_)
        | ExprKind::Or(_)
        | ExprKind::Not(_)
        | ExprKind::IsNull(_)
        | ExprKind::Field { .. }
        | ExprKind::Row(_)
        | ExprKind::Array(_)
        | ExprKind::Param(_)
        | ExprKind::Clock => {}
        // A result may be too large.
        ExprKind::Each { .. } => total = false,
    });
    total
}

/// Integer division by a constant other than 0 and −1.
fn divides_safely(function: &str, args: &[Expr]) -> bool {
    let divisor = args.last().map(|e| &e.kind);
    let safe = matches!(divisor, Some(ExprKind::Literal(Value::Int(v))) if !matches!(v, 0 | -1));
    safe && matches!(function, "%" | "/" | "MOD") && args.iter().all(|e| e.ty.data.is_integer())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_to_be_total_exists() {
        for name in TOTAL {
            assert_eq!(lookup(name).map(|b| b.name), Some(*name), "{name}");
        }
    }
}

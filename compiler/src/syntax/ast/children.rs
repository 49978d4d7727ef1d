//! The expressions directly inside another one.

use super::{ArgValue, Expr, ExprKind};

impl Expr {
    /// The operands, fields and arguments. What has rows or names of its own is left out:
    /// subqueries, lambdas, and what stands behind the arguments of an aggregate.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            ExprKind::Literal(_)
            | ExprKind::Name(_)
            | ExprKind::Exists(_)
            | ExprKind::Subquery(_) => Vec::new(),
            ExprKind::Not(arg)
            | ExprKind::Unary { arg, .. }
            | ExprKind::Is { arg, .. }
            | ExprKind::InQuery { arg, .. }
            | ExprKind::Cast { arg, .. }
            | ExprKind::Field { arg, .. } => vec![arg],
            ExprKind::Binary { left, right, .. } | ExprKind::IsDistinctFrom { left, right, .. } => {
                vec![left, right]
            }
            ExprKind::And(items)
            | ExprKind::Or(items)
            | ExprKind::Array(items)
            | ExprKind::Row(items) => items.iter_mut().collect(),
            ExprKind::Between { arg, low, high, .. } => vec![arg, low, high],
            ExprKind::InList { arg, list, .. } => {
                std::iter::once(&mut **arg).chain(list.iter_mut()).collect()
            }
            ExprKind::Like { arg, pattern, escape, .. } => {
                [arg, pattern].into_iter().chain(escape).map(|part| &mut **part).collect()
            }
            ExprKind::Quantified { arg, set, .. } => vec![arg, set],
            ExprKind::Case { operand, branches, otherwise } => {
                let branches = branches.iter_mut().flat_map(|(when, then)| [when, then]);
                let ends = [operand, otherwise].into_iter().flatten().map(|end| &mut **end);
                ends.chain(branches).collect()
            }
            ExprKind::AtTimeZone { arg, zone } => vec![arg, zone],
            ExprKind::Index { arg, index } => vec![arg, index],
            ExprKind::Slice { arg, from, to } => {
                let bounds = [from, to].into_iter().flatten();
                std::iter::once(arg).chain(bounds).map(|part| &mut **part).collect()
            }
            ExprKind::Map(entries) => entries.iter_mut().flat_map(|(k, v)| [k, v]).collect(),
            ExprKind::Trim { what, arg, .. } => {
                what.iter_mut().chain([arg]).map(|part| &mut **part).collect()
            }
            ExprKind::Call(call) => {
                let values = call.args.iter_mut().map(|arg| &mut arg.value);
                values
                    .filter_map(|value| match value {
                        ArgValue::Expr(e) => Some(e),
                        ArgValue::Wildcard
                        | ArgValue::Unit(_)
                        | ArgValue::Lambda { .. }
                        | ArgValue::Table(_)
                        | ArgValue::Descriptor(_) => None,
                    })
                    .collect()
            }
        }
    }
}

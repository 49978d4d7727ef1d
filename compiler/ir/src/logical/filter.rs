//! Filter: keeps the rows for which a condition is TRUE. Output: the input.

use super::{PlanNode, Schema};
use crate::expr::Expr;
use crate::logical::text::expr_text;

/// Keeps the rows for which the predicate is TRUE.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The condition, BOOLEAN.
    pub predicate: Expr,
}

impl PlanNode for Filter {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        inputs[0].clone()
    }

    fn exprs(&self) -> Vec<&Expr> {
        vec![&self.predicate]
    }

    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        vec![&mut self.predicate]
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        expr_text(&self.predicate, &inputs[0].columns)
    }
}

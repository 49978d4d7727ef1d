//! Project: computes columns. Output: one column an expression.

use super::{PlanNode, Schema};
use crate::expr::{Expr, ExprKind};
use crate::logical::text::expr_text;
use crate::types::Field;

/// Computes columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The columns.
    pub exprs: Vec<Expr>,
    /// Their names.
    pub names: Vec<String>,
    /// The output column that the watermark bounds by declaration, though it is computed here.
    pub time: Option<usize>,
}

impl Project {
    /// The input column that output `index` passes on unchanged.
    pub fn passes(&self, index: usize) -> Option<usize> {
        match self.exprs[index].kind {
            ExprKind::Column(column) => Some(column),
            ExprKind::Literal(_)
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
}

impl PlanNode for Project {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let columns = self.exprs.iter().zip(&self.names);
        let columns = columns.map(|(expr, name)| Field::new(name, expr.ty.clone())).collect();
        let places = |column: usize| {
            (0..self.exprs.len()).filter(|&i| self.passes(i) == Some(column)).collect()
        };
        let mut schema = inputs[0].moved(columns, places);
        if let Some(time) = self.time
            && !schema.times.contains(&time)
        {
            schema.times.push(time);
            schema.times.sort_unstable();
        }
        schema
    }

    fn exprs(&self) -> Vec<&Expr> {
        self.exprs.iter().collect()
    }

    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        self.exprs.iter_mut().collect()
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let columns = &inputs[0].columns;
        let one = |(i, name): (usize, &String)| match self.passes(i) {
            Some(column) if columns[column].name == *name => name.clone(),
            _ => format!("{name} := {}", expr_text(&self.exprs[i], columns)),
        };
        format!("[{}]", self.names.iter().enumerate().map(one).collect::<Vec<_>>().join(", "))
    }
}

//! Materialize: keeps a relation's rows for the readers of a view, in the order of some columns.
//! Output: the input.

use super::schema::names;
use super::{PlanNode, Schema};

/// Keeps rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Materialize {
    /// Columns of the order, a unique key among them or all columns.
    pub keys: Vec<usize>,
    /// So many of them, the first, say on which worker a row lies.
    pub hashed: usize,
    /// Whether equal rows are counted: `keys` are then all columns.
    pub counted: bool,
}

impl PlanNode for Materialize {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        inputs[0].clone()
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let by = names(inputs[0], &self.keys[..self.hashed]);
        match (self.counted, &self.keys[self.hashed..]) {
            (true, _) => format!("by [{by}], rows counted"),
            (false, []) => format!("by [{by}]"),
            (false, then) => format!("by [{by}] then [{}]", names(inputs[0], then)),
        }
    }
}

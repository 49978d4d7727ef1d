//! Normalize: turns the last-row-per-key records of a table into −old/+new. Output: the input.

use super::schema::names;
use super::{Changes, PlanNode, Schema};

/// Keeps the row per key, emits changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalize {
    /// Primary key columns.
    pub keys: Vec<usize>,
    /// The `$tombstone` column.
    pub tombstone: usize,
}

impl PlanNode for Normalize {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        Schema { changes: Changes::Retract, times: Vec::new(), ..inputs[0].clone() }
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        format!("by [{}]", names(inputs[0], &self.keys))
    }
}

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
    /// The `$weight` column, where records count equal rows: `keys` are then all columns that are
    /// not hidden.
    pub weight: Option<usize>,
    /// The `$watermark` column, where windows mind the changes' times: each record's change goes
    /// out by itself, and says the record's watermark.
    pub watermark: Option<usize>,
}

impl PlanNode for Normalize {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let keys = match self.weight {
            Some(_) => Vec::new(),
            None => inputs[0].keys.clone(),
        };
        Schema { changes: Changes::Retract, times: Vec::new(), keys, ..inputs[0].clone() }
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let counted = if self.weight.is_some() { ", rows counted" } else { "" };
        let each = if self.watermark.is_some() { ", each record" } else { "" };
        format!("by [{}]{counted}{each}", names(inputs[0], &self.keys))
    }
}

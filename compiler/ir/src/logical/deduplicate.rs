//! Deduplicate: keeps the first or last row per key. Output: the input.

use super::schema::{names, order_text};
use super::{Changes, PlanNode, Schema};
use crate::physical::{Direction, Keep};

/// One row per key, of an append-only input.
#[derive(Clone, Debug, PartialEq)]
pub struct Deduplicate {
    /// Key columns.
    pub keys: Vec<usize>,
    /// Columns of the order, most significant first.
    pub order: Vec<(usize, Direction)>,
    /// Which row stays.
    pub keep: Keep,
}

impl PlanNode for Deduplicate {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let mut key = self.keys.clone();
        key.sort_unstable();
        Schema {
            columns: inputs[0].columns.clone(),
            changes: match self.keep {
                Keep::First | Keep::Last => Changes::Retract,
                Keep::Once => Changes::Append,
            },
            keys: vec![key],
            times: Vec::new(),
        }
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let keep = self.keep.text();
        let order = order_text(inputs[0], &self.order);
        format!("keeps {keep} by [{}] ordered [{order}]", names(inputs[0], &self.keys))
    }
}

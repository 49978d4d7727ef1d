//! Late: drops rows that came too late, in the source's pipeline. Output: the input.

use super::schema::names;
use super::{PlanNode, Schema};
use crate::ids::StreamId;
use crate::physical::LateRule;

/// Drops late rows, which are counted for their stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Late {
    /// The stream whose records these are.
    pub stream: StreamId,
    /// Event time column.
    pub time: usize,
    /// The `$watermark` column.
    pub watermark: usize,
    /// The `$position` column.
    pub position: usize,
    /// When a row is late.
    pub rule: LateRule,
}

impl PlanNode for Late {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        inputs[0].clone()
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let time = names(inputs[0], &[self.time]);
        match self.rule {
            LateRule::Windows { window, lateness: 0 } => format!("{time} for {window}"),
            LateRule::Windows { window, lateness } => {
                format!("{time} for {window} lateness={}s", lateness as f64 / 1e6)
            }
            LateRule::Sessions { lateness: 0 } => format!("{time} for sessions"),
            LateRule::Sessions { lateness } => {
                format!("{time} for sessions lateness={}s", lateness as f64 / 1e6)
            }
            LateRule::SessionChanges { lateness: 0, .. } => {
                format!("{time} for sessions of changes")
            }
            LateRule::SessionChanges { lateness, .. } => {
                format!("{time} for sessions of changes lateness={}s", lateness as f64 / 1e6)
            }
            LateRule::Rows => format!("{time} for rows"),
        }
    }
}

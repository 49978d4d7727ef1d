//! Union: passes on the rows of all inputs, duplicates kept (UNION ALL). Output: the first input's
//! names; all inputs have the same types.

use super::{Changes, PlanNode, Schema};

/// Passes on the rows of all inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Union;

impl PlanNode for Union {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let append = inputs.iter().all(|schema| schema.changes == Changes::Append);
        let times = inputs[0].times.iter().copied();
        Schema {
            columns: inputs[0].columns.clone(),
            changes: if append { Changes::Append } else { Changes::Retract },
            keys: Vec::new(),
            times: times.filter(|t| inputs.iter().all(|s| s.times.contains(t))).collect(),
        }
    }

    fn explain(&self, _inputs: &[&Schema]) -> String {
        String::new()
    }
}

//! OVER: what is kept of rows that went by, in place of the rows.

use flow_ir::over::{OverCall, OverFunction};
use flow_ir::types::{DataType, Type};

use crate::aggregates;

/// The columns that a call over rows of these types keeps, however many rows went by: an
/// aggregate's accumulators, or for FIRST_VALUE the value and whether there is one. `None` for
/// calls that need rows again: their frames do not only grow, or every value counts.
pub fn running_state(call: &OverCall, input: &[Type]) -> Option<Vec<Type>> {
    if !call.frame.is_running() {
        return None;
    }
    match &call.function {
        OverFunction::Aggregate(call) if aggregates::is_multiset(call) => None,
        OverFunction::Aggregate(call) => Some(aggregates::state_types(call)),
        OverFunction::Nth { arg, nth: 1, from_last: false, .. } => {
            let value = input.get(*arg)?.with_nullable(true);
            Some(vec![value, Type::nullable(DataType::Boolean)])
        }
        OverFunction::Number(_)
        | OverFunction::PercentRank
        | OverFunction::CumeDist
        | OverFunction::Ntile(_)
        | OverFunction::Shift { .. }
        | OverFunction::Nth { .. } => None,
    }
}

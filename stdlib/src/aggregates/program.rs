//! The update programs of an operator's calls: those of its aggregates of fixed width that need no
//! multiset, and the count of rows.

use flow_ir::aggregate::AggregateCall;
use flow_ir::types::{DataType, Type};
use flow_ir::update::{Update, UpdateOp, UpdateProgram};

use super::{instantiate, is_multiset};

/// Adds rows of these types to groups: blocks of the accumulators of all calls, then the number of
/// rows.
///
/// # Errors
/// If a call is none that `instantiate` knows, or has another number of columns than it says.
pub fn adding(calls: &[AggregateCall], input: &[Type]) -> Result<UpdateProgram, String> {
    let (mut updates, mut state) = (Vec::new(), Vec::new());
    for call in calls {
        let aggregate = instantiate(call)?;
        let first = state.len() as u32;
        if let Some(of) = aggregate.updates().filter(|_| !is_multiset(call)) {
            let argument = |number: u32| call.args[number as usize] as u32;
            let filter = call.filter.map(|column| column as u32);
            updates.extend(of.adds.iter().map(|update| update.placed(argument, first, filter)));
        }
        state.extend(aggregate.state_types());
    }
    updates.push(Update::new([], state.len() as u32, UpdateOp::AddWeight));
    state.push(Type::not_null(DataType::BigInt));
    Ok(UpdateProgram { input: input.to_vec(), state, updates })
}

/// Merges what a `PreAggregate` by so many keys gives, rows of these types, into groups: blocks of
/// the accumulators of all calls, with windows the window's start, and the number of rows.
///
/// # Errors
/// If a call is none that `instantiate` knows.
pub fn merging(
    calls: &[AggregateCall],
    input: &[Type],
    keys: usize,
    windowed: bool,
) -> Result<UpdateProgram, String> {
    let first = keys + if windowed { 2 } else { 0 };
    let (mut updates, mut state) = (Vec::new(), Vec::new());
    for call in calls {
        let aggregate = instantiate(call)?;
        let at = state.len() as u32;
        if let Some(of) = aggregate.updates().filter(|_| !is_multiset(call)) {
            let partial = |number: u32| first as u32 + at + number;
            updates.extend(of.merges.iter().map(|update| update.placed(partial, at, None)));
        }
        state.extend(aggregate.state_types());
    }
    let rows = (first + state.len()) as u32;
    let number = || Type::not_null(DataType::BigInt);
    state.extend(windowed.then(number));
    updates.push(Update::new([], state.len() as u32, UpdateOp::Add(rows)));
    state.push(number());
    Ok(UpdateProgram { input: input.to_vec(), state, updates })
}

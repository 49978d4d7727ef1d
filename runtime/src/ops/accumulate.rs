//! What aggregating operators do with the rows of a batch: they are added to groups, or merged into
//! them if a `PreAggregate` made them. One kernel updates all accumulators of fixed width, and the
//! count of rows; the other aggregates follow, each by itself. Multisets are no part of it.

use flow_ir::kernel::{KernelFactory, Updater};
use flow_ir::row::{Column, RowBatch, RowLayout};
use flow_ir::types::Type;
use flow_ir::update::UpdateProgram;
use flow_stdlib::aggregates::{self, Aggregate, Input};

use super::aggregation::{Call, Calls, Partials};
use crate::state::{PointTable, SlotId};

/// Adds rows to groups, or merges them.
pub(super) struct Accumulate {
    updater: Box<dyn Updater>,
    others: Vec<Other>,
    places: Vec<u32>,
}

/// An aggregate that the kernel is not for.
struct Other {
    aggregate: Aggregate,
    /// Its first accumulator.
    first: usize,
    from: From,
}

/// What a row has for an aggregate.
enum From {
    /// Arguments, then the order, and the filter.
    Row(Vec<Column>, Option<Column>),
    /// Accumulators.
    Partial(Vec<Column>),
}

impl Accumulate {
    /// Adds rows of these types; a group is the accumulators, then the number of rows.
    pub(super) fn adding(
        calls: &Calls,
        input: &[Type],
        factory: &dyn KernelFactory,
    ) -> Result<Self, String> {
        let layout = RowLayout::new(input.to_vec());
        let row = |Call { call, .. }: &Call| {
            let order = call.order.iter().map(|by| by.column);
            let args = call.args.iter().copied().chain(order);
            let filter = call.filter.map(|i| layout.column(i));
            From::Row(args.map(|i| layout.column(i)).collect(), filter)
        };
        Self::new(calls, &aggregates::adding(&calls.data(), input)?, row, factory)
    }

    /// Merges rows of these types; a group is the accumulators, with windows the start, then the
    /// number of rows.
    pub(super) fn merging(
        calls: &Calls,
        partials: &Partials,
        input: &[Type],
        factory: &dyn KernelFactory,
    ) -> Result<Self, String> {
        let program =
            aggregates::merging(&calls.data(), input, partials.keys, partials.window.is_some())?;
        let partial = |call: &Call| From::Partial(partials.state[call.state.clone()].to_vec());
        Self::new(calls, &program, partial, factory)
    }

    fn new(
        calls: &Calls,
        program: &UpdateProgram,
        from: impl Fn(&Call) -> From,
        factory: &dyn KernelFactory,
    ) -> Result<Self, String> {
        let left = |call: &&Call| call.multiset.is_none() && call.aggregate.updates().is_none();
        let other = |call: &Call| Other {
            aggregate: call.aggregate.clone(),
            first: call.state.start,
            from: from(call),
        };
        Ok(Self {
            updater: factory.updater(program).map_err(|e| e.0)?,
            others: calls.calls.iter().filter(left).map(other).collect(),
            places: Vec::new(),
        })
    }

    /// Takes number `picks[i]` of the batch into group `slots[i]`.
    pub(super) fn run(
        &mut self,
        table: &mut PointTable,
        slots: &[SlotId],
        picks: &[u32],
        rows: &RowBatch,
    ) {
        self.updater.update(rows, picks, &mut table.blocks(slots, &mut self.places));
        for Other { aggregate, first, from } in &self.others {
            match from {
                From::Row(args, filter) => {
                    let input = Input { rows, args, filter: *filter };
                    aggregate.add(table, *first, slots, picks, input);
                }
                From::Partial(columns) => {
                    aggregate.merge(table, *first, slots, picks, rows, columns);
                }
            }
        }
    }
}

//! Running frames over rows that pass once: what they came to so far is kept in a row of a table,
//! and no row that went into it is.

use std::ops::Range;

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::over::{OverCall, OverFunction};
use flow_ir::row::{BatchBuilder, Column, RowLayout, RowRef};
use flow_ir::types::{Slot as Slots, Type};
use flow_stdlib::aggregates::{self, Aggregate};
use flow_stdlib::over::running_state;

use super::OpError;
use super::over_frame::{Frames, Partition};
use crate::state::{PointTable, SlotId};

/// Where the states of a partition's running frames are.
pub(super) struct Slot<'t> {
    pub(super) table: &'t mut PointTable,
    pub(super) slot: SlotId,
}

/// The arguments of an aggregate, then the columns of its order.
fn args_of(call: &AggregateCall) -> impl Iterator<Item = usize> {
    call.args.iter().copied().chain(call.order.iter().map(|by| by.column))
}

/// A call with a running frame.
pub(super) struct Running {
    /// Its first column in the table.
    first: usize,
    kind: Kind,
    types: Vec<Type>,
    /// A row of the table.
    row: Vec<u64>,
}

enum Kind {
    Aggregate {
        aggregate: Aggregate,
        args: Vec<Column>,
        filter: Option<Column>,
    },
    /// FIRST_VALUE.
    First {
        arg: Column,
        ignore_nulls: bool,
    },
}

impl Running {
    /// Whether a call over rows of these types is one.
    pub(super) fn is_one(call: &OverCall, types: &[Type]) -> bool {
        running_state(call, types).is_some()
    }

    pub(super) fn new(
        call: &OverCall,
        layout: &RowLayout,
        types: &[Type],
        first: usize,
    ) -> Result<Self, String> {
        let state = running_state(call, types).ok_or("no running frame")?;
        let kind = match &call.function {
            OverFunction::Aggregate(call) => Kind::Aggregate {
                aggregate: aggregates::instantiate(call)?,
                args: args_of(call).map(|i| layout.column(i)).collect(),
                filter: call.filter.map(|i| layout.column(i)),
            },
            OverFunction::Nth { arg, ignore_nulls, .. } => {
                Kind::First { arg: layout.column(*arg), ignore_nulls: *ignore_nulls }
            }
            OverFunction::Number(_)
            | OverFunction::PercentRank
            | OverFunction::CumeDist
            | OverFunction::Ntile(_)
            | OverFunction::Shift { .. } => return Err("no running frame".into()),
        };
        Ok(Self { first, kind, types: state, row: Vec::new() })
    }

    /// Columns of its state.
    pub(super) fn state_types(&self) -> Vec<Type> {
        self.types.clone()
    }

    /// Its value for each of these rows, which all go by.
    pub(super) fn evaluate(
        &mut self,
        carried: &mut Slot<'_>,
        frames: &Frames,
        partition: &Partition<'_>,
        rows: Range<usize>,
        out: &mut BatchBuilder,
        failures: &mut Vec<(usize, ErrorCode)>,
    ) -> Result<(), OpError> {
        let mut next = rows.start;
        for i in rows.clone() {
            let end = frames.of(i, partition).rows.end;
            while next < end {
                self.take(carried, partition.row(next));
                next += 1;
            }
            out.begin();
            let finished = self.finish(carried, out);
            failures.extend(finished.err().map(|code| (i - rows.start, code)));
            out.finish(1);
        }
        Ok(())
    }

    /// Takes a row into the state.
    fn take(&self, carried: &mut Slot<'_>, row: RowRef<'_>) {
        let mut state = carried.table.value(carried.slot);
        match &self.kind {
            Kind::Aggregate { aggregate, args, filter } => {
                if filter.is_none_or(|filter| !row.is_null(filter) && row.word(filter) != 0) {
                    aggregate.add_value(&mut state, self.first, row, args, 1);
                }
            }
            Kind::First { arg, ignore_nulls } => {
                let is_null = row.is_null(*arg);
                if !state.is_null(self.first + 1) || (is_null && *ignore_nulls) {
                    return;
                }
                state.set_word(self.first + 1, 1);
                match arg.slot {
                    _ if is_null => {}
                    Slots::Word => state.set_word(self.first, row.word(*arg)),
                    Slots::Wide => {
                        let [low, high] = row.wide(*arg);
                        let value = i128::from(low) | (i128::from(high as i64) << 64);
                        state.set_i128(self.first, value);
                    }
                    Slots::Var => state.set_var(self.first, row.var(*arg)),
                }
            }
        }
    }

    fn finish(&mut self, carried: &Slot<'_>, out: &mut BatchBuilder) -> Result<(), ErrorCode> {
        self.row.clear();
        carried.table.value_ref(carried.slot).append_row(&mut self.row);
        let layout = carried.table.layout();
        let row = RowRef::new(&self.row);
        match &self.kind {
            Kind::Aggregate { aggregate, .. } => {
                let columns = &layout.columns()[self.first..self.first + self.types.len()];
                aggregate.finish(row, columns, out, 0)
            }
            Kind::First { .. } => {
                out.copy_column(0, row, layout.column(self.first));
                Ok(())
            }
        }
    }
}

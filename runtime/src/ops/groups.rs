//! Groups of an aggregate after the exchange: what `GroupAggregate` and `WindowAggregate` do
//! alike. Groups lie in a point table: key → accumulators, for windows the window's start, then
//! the count of rows. Multisets lie in one ordered table: for windows the end, then key, call,
//! value → weight; the accumulators say what the multisets come to, so that the row which a group
//! had before the epoch gives the results that it had.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow_ir::aggregate::AggregateCall;
use flow_ir::ids::TableId;
use flow_ir::kernel::OnError;
use flow_ir::physical::TableKind;
use flow_ir::row::{
    BatchBuilder, Column, KeyBatch, KeyDecoder, KeyEncoder, RowBatch, RowLayout, RowRef, key_group,
    key_hash,
};
use flow_ir::types::{DataType, Type};
use flow_stdlib::aggregates::Multiset;

use super::aggregation::{Calls, Partials, Results, push_call, push_i64, values_of};
use super::{OpError, Plan, data};
use crate::state::{OrderedTable, PointTable, SlotId, StateStore};

pub(super) struct Groups {
    pub(super) calls: Calls,
    pub(super) partials: Partials,
    pub(super) keys: KeyEncoder,
    /// The table of multisets.
    pub(super) values: Option<TableId>,
    key_decoder: KeyDecoder,
    /// Where the accumulators lie in a row of the table.
    state: Vec<Column>,
    /// The window's start, with windows.
    start: Option<Column>,
    count: Column,
    accumulators: BatchBuilder,
    pub(super) results: Results,
    /// Window ends, groups and calls whose accumulators may no longer be what their values come to.
    moved: BTreeSet<(Option<i64>, SlotId, usize)>,
    key: Vec<u8>,
}

/// A row that carries a value, and where it goes.
pub(super) struct ValueRow<'a> {
    /// The window's end.
    pub(super) end: Option<i64>,
    /// The group's key bytes.
    pub(super) key: &'a [u8],
    pub(super) row: RowRef<'a>,
}

/// What a value did to its group's accumulators.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// It appeared (+1) or is no longer there (−1).
    Distinct(i64),
    /// The values that its accumulators are set from may be others.
    Moved,
}

impl Groups {
    /// Types of a row in the table of groups.
    pub(super) fn state_types(calls: &Calls, windowed: bool) -> Vec<Type> {
        let mut types = calls.state_types();
        let numbers = if windowed { 2 } else { 1 };
        types.extend(std::iter::repeat_n(Type::not_null(DataType::BigInt), numbers));
        types
    }

    pub(super) fn new(
        plan: &Plan<'_>,
        keys: usize,
        calls: &[AggregateCall],
        values: Option<TableId>,
        windowed: bool,
    ) -> Result<Self, String> {
        let input = plan.input(0)?;
        let calls = Calls::new(calls)?;
        let partials = Partials::of(&input, keys, windowed, &calls)?;
        let key_types = input[..keys].to_vec();
        let output = plan.output();
        let expected: Vec<DataType> = data(&key_types).into_iter().chain(calls.results()).collect();
        let bounds = output.get(expected.len()..).unwrap_or_default();
        let times = bounds.iter().all(|ty| ty.data.is_timestamp());
        if !data(&output).starts_with(&expected)
            || bounds.len() != if windowed { 2 } else { 0 }
            || !times
        {
            return Err("the output is not keys, results and the window's bounds".into());
        }
        if calls.calls.iter().any(|call| call.multiset.is_some()) && values.is_none() {
            return Err("its table of values is missing".into());
        }
        let weight = [DataType::BigInt];
        let values = values.map(|id| plan.table(id, TableKind::Ordered, &weight)).transpose()?;
        let layout = Arc::new(RowLayout::new(Self::state_types(&calls, windowed)));
        let all: Vec<usize> = (0..keys).collect();
        Ok(Self {
            partials,
            keys: KeyEncoder::new(&RowLayout::new(input), &all),
            values,
            key_decoder: KeyDecoder::new(key_types),
            state: layout.columns()[..calls.width].to_vec(),
            start: windowed.then(|| layout.column(calls.width)),
            count: layout.column(layout.len() - 1),
            accumulators: BatchBuilder::new(layout),
            results: Results::new(Arc::new(RowLayout::new(output))),
            moved: BTreeSet::new(),
            key: Vec::new(),
            calls,
        })
    }

    /// Position of the count of rows in a row of the table.
    fn count_index(&self) -> usize {
        self.calls.width + usize::from(self.start.is_some())
    }

    /// Merges rows that carry accumulators: number `picks[i]` of the batch into group `slots[i]`.
    pub(super) fn merge(
        &self,
        table: &mut PointTable,
        slots: &[SlotId],
        picks: &[u32],
        rows: &RowBatch,
    ) {
        let count = self.count_index();
        for (&slot, &pick) in slots.iter().zip(picks) {
            let more = rows.row(pick as usize).word(self.partials.weight);
            let mut group = table.value(slot);
            let sum = group.word(count).wrapping_add(more);
            group.set_word(count, sum);
        }
        for call in self.calls.calls.iter().filter(|call| call.multiset.is_none()) {
            let columns = &self.partials.state[call.state.clone()];
            call.aggregate.merge(table, call.state.start, slots, picks, rows, columns);
        }
    }

    /// Whether a row carries accumulators, and not a value.
    pub(super) fn is_partial(&self, row: RowRef<'_>) -> bool {
        row.is_null(self.partials.call)
    }

    /// Adds a value to its multiset.
    pub(super) fn add_value(
        &mut self,
        values: &mut OrderedTable,
        at: &ValueRow<'_>,
    ) -> Result<Effect, OpError> {
        let number = self.call_of(at.row)?;
        self.key.clear();
        push_prefix(at.end, at.key, number, &mut self.key);
        self.key.extend_from_slice(at.row.var(self.partials.value));
        let weight = at.row.i64(self.partials.weight);
        let group = key_group(key_hash(at.key));
        let (old, new) = values.add_weight(group, &self.key, weight)?;
        match self.calls.calls[number].multiset {
            Some(Multiset::Distinct) => {
                let appeared = i64::from(new > 0) - i64::from(old > 0);
                Ok(if appeared == 0 { Effect::None } else { Effect::Distinct(appeared) })
            }
            Some(Multiset::First | Multiset::Last | Multiset::Whole) => Ok(Effect::Moved),
            None => Err(OpError::Internal("a value belongs to no multiset")),
        }
    }

    /// Tells the group of what a value did.
    pub(super) fn apply(
        &mut self,
        effect: Effect,
        table: &mut PointTable,
        slot: SlotId,
        at: &ValueRow<'_>,
    ) -> Result<(), OpError> {
        let number = self.call_of(at.row)?;
        let value = at.row.var(self.partials.value);
        match effect {
            Effect::None => Ok(()),
            Effect::Distinct(weight) => {
                self.calls.calls[number].add_value(&mut table.value(slot), value, weight)
            }
            Effect::Moved => {
                table.touch(slot);
                self.moved.insert((at.end, slot, number));
                Ok(())
            }
        }
    }

    fn call_of(&self, row: RowRef<'_>) -> Result<usize, OpError> {
        let number = usize::try_from(row.i64(self.partials.call)).ok();
        let number = number.filter(|number| *number < self.calls.calls.len());
        number.ok_or(OpError::Internal("a value belongs to no aggregate"))
    }

    /// Sets the accumulators that multisets decide, MIN's over updates and ARRAY_AGG's, say.
    /// `table` gives the groups of a window. Windows that end after `until` are left: they have no
    /// results yet, and get them all when they close (`move_all`).
    pub(super) fn settle(
        &mut self,
        state: &mut StateStore,
        until: i64,
        table: impl Fn(&mut StateStore, Option<i64>) -> &mut PointTable,
    ) -> Result<(), OpError> {
        let Some(values) = self.values else { return Ok(()) };
        let mut prefix = Vec::new();
        for (end, slot, number) in std::mem::take(&mut self.moved) {
            if end.is_some_and(|end| end > until) {
                continue;
            }
            let key = table(state, end).key(slot);
            let group = key_group(key_hash(key));
            prefix.clear();
            push_prefix(end, key, number, &mut prefix);
            let call = &self.calls.calls[number];
            let found = values_of(call, state.ordered(values), group, &prefix)?;
            call.aggregate.set(&mut table(state, end).value(slot), call.state.start, &found);
        }
        Ok(())
    }

    /// Has `settle` set all accumulators of these groups of a window that multisets decide.
    pub(super) fn move_all(&mut self, end: i64, slots: &[SlotId]) {
        let kept = |which: Multiset| match which {
            Multiset::Distinct => false,
            Multiset::First | Multiset::Last | Multiset::Whole => true,
        };
        for (number, call) in self.calls.calls.iter().enumerate() {
            if call.multiset.is_some_and(kept) {
                self.moved.extend(slots.iter().map(|slot| (Some(end), *slot, number)));
            }
        }
    }

    /// Adds the changes of these groups to the results: from what they were when the epoch began
    /// (`updates`), or from nothing, to what they are. A group shows if it has rows, or `always`.
    pub(super) fn collect(
        &mut self,
        table: &PointTable,
        slots: &[SlotId],
        show: Show,
        on_error: OnError,
    ) -> Result<(), OpError> {
        for &slot in slots {
            self.accumulators.begin();
            table.write(slot, &mut self.accumulators, 0);
            self.accumulators.finish(1);
        }
        let now = self.accumulators.take();
        let Self { results, calls, state, key_decoder, partials, count, start, .. } = self;
        let shown = |row: &RowRef<'_>| show.always || row.i64(*count) > 0;
        for (&slot, now) in slots.iter().zip(now.rows()) {
            results.begin();
            let key = table.key(slot);
            let before = if show.updates { table.before(slot).filter(shown) } else { None };
            let now = Some(now).filter(|row| table.is_live(slot) && shown(row));
            for (new, row) in [(false, before), (true, now)] {
                let Some(row) = row else { continue };
                results.add(new, on_error, |out, errors| {
                    if !key_decoder.decode(key, out, 0) {
                        return Err(OpError::Internal("a group key cannot be read back"));
                    }
                    calls.finish(row, state, out, partials.keys, errors);
                    if let (Some(start), Some(end)) = (*start, show.end) {
                        let bounds = partials.keys + calls.calls.len();
                        out.set_word(bounds, row.word(start));
                        out.set_i64(bounds + 1, end);
                    }
                    Ok(())
                })?;
            }
        }
        self.accumulators.recycle(now);
        Ok(())
    }

    /// Removes the groups among the touched that have no rows.
    pub(super) fn remove_empty(&self, table: &mut PointTable) {
        let count = self.count_index();
        for slot in table.touched().to_vec() {
            if table.is_live(slot) && table.value_ref(slot).word(count) == 0 {
                table.remove(slot);
            }
        }
    }
}

/// Which rows of groups are results.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    /// The window's end.
    pub(super) end: Option<i64>,
    /// Whether what the groups were when the epoch began was shown.
    pub(super) updates: bool,
    /// Whether groups without rows show.
    pub(super) always: bool,
}

/// The key of a multiset: all its values' keys begin with it.
fn push_prefix(end: Option<i64>, key: &[u8], call: usize, out: &mut Vec<u8>) {
    if let Some(end) = end {
        push_i64(end, out);
    }
    out.extend_from_slice(key);
    push_call(call, out);
}

/// The numbers of a batch's rows that carry accumulators, with the entries of their keys.
#[derive(Default)]
pub(super) struct Picks {
    pub(super) keys: KeyBatch,
    pub(super) slots: Vec<SlotId>,
    pub(super) rows: Vec<u32>,
}

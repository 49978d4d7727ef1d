//! Groups of an aggregate after the exchange: what `GroupAggregate` and `WindowAggregate` do
//! alike. Groups lie in a point table: key → accumulators, for windows the window's start, then
//! the count of rows.
//!
//! Values that must be known in their order lie in one ordered table: for windows the end, then
//! key, call, value → weight; the accumulators say what they come to, so that the row which a group
//! had before the epoch gives the results that it had. Different values (`DISTINCT`) lie in a hash
//! table, once for all calls that count them: key, multiset, value → a bit for each filter that let
//! it through or, where rows may be taken back, a weight for each. Windows have such a table each.

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

use super::accumulate::Accumulate;
use super::aggregation::{Calls, Partials, Results, Values, push_call, push_i64, values_of};
use super::value_list::Item;
use super::{OpError, Plan, data};
use crate::state::{PointTable, SlotId, StateStore};

pub(super) struct Groups {
    pub(super) calls: Calls,
    accumulate: Accumulate,
    pub(super) partials: Partials,
    pub(super) keys: KeyEncoder,
    tables: Tables,
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
    found: Found,
    key: Vec<u8>,
}

/// The tables of an operator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    /// Point or windowed.
    pub(super) groups: TableId,
    /// Values in order.
    pub(super) values: Option<TableId>,
    /// Different values: as `groups`.
    pub(super) distinct: Option<TableId>,
}

/// Different values that came in a batch.
#[derive(Default)]
struct Found {
    keys: KeyBatch,
    slots: Vec<SlotId>,
    /// Of each the group, the multiset, and how long the value is.
    of: Vec<(SlotId, usize, usize)>,
    /// The words of all.
    words: Vec<u64>,
    /// The filters by which each is new, and no longer there: bits.
    turned: Vec<[u64; 2]>,
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
        tables: Tables,
        windowed: bool,
    ) -> Result<Self, String> {
        let input = plan.input(0)?;
        let calls = Calls::new(calls)?;
        tables.check(plan, &calls, windowed)?;
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
        let layout = Arc::new(RowLayout::new(Self::state_types(&calls, windowed)));
        let all: Vec<usize> = (0..keys).collect();
        Ok(Self {
            accumulate: Accumulate::merging(&calls, &partials, &input, plan.factory)?,
            partials,
            keys: KeyEncoder::new(&RowLayout::new(input), &all),
            tables,
            key_decoder: KeyDecoder::new(key_types),
            state: layout.columns()[..calls.width].to_vec(),
            start: windowed.then(|| layout.column(calls.width)),
            count: layout.column(layout.len() - 1),
            accumulators: BatchBuilder::new(layout),
            results: Results::new(Arc::new(RowLayout::new(output))),
            moved: BTreeSet::new(),
            found: Found::default(),
            key: Vec::new(),
            calls,
        })
    }

    /// Position of the count of rows in a row of the table.
    fn count_index(&self) -> usize {
        self.calls.width + usize::from(self.start.is_some())
    }

    /// Merges number `picks[i]` of the batch into group `slots[i]`.
    pub(super) fn merge(
        &mut self,
        table: &mut PointTable,
        slots: &[SlotId],
        picks: &[u32],
        rows: &RowBatch,
    ) {
        self.accumulate.run(table, slots, picks, rows);
    }

    /// Takes the values that number `picks[i]` of the batch has for group `slots[i]`, whose key is
    /// number i of `keys`, of the window that ends at `end`.
    pub(super) fn add_values(
        &mut self,
        end: Option<i64>,
        picks: &Picks,
        rows: &RowBatch,
        state: &mut StateStore,
    ) -> Result<(), OpError> {
        if self.calls.multisets.is_empty() {
            return Ok(());
        }
        self.found.clear();
        for (i, (&slot, &pick)) in picks.slots.iter().zip(&picks.rows).enumerate() {
            let row = rows.row(pick as usize);
            if row.is_null(self.partials.values) {
                continue;
            }
            let (key, group) = (picks.keys.key(i), key_group(picks.keys.hash(i)));
            let mut list = row.var(self.partials.values);
            while !list.is_empty() {
                let item = Item::take(&mut list, &self.calls.multisets)?;
                match self.calls.multisets[item.multiset] {
                    Values::Distinct(_) => self.found.push(slot, group, key, item),
                    Values::Ordered(call) => {
                        self.key.clear();
                        push_prefix(end, key, call, &mut self.key);
                        self.key.extend_from_slice(item.value);
                        let weight = item.words().next().unwrap_or(0) as i64;
                        let values = state.ordered(self.tables.values()?);
                        values.add_weight(group, &self.key, weight)?;
                        self.tables.groups(state, end).touch(slot);
                        self.moved.insert((end, slot, call));
                    }
                }
            }
        }
        match self.found.of.is_empty() {
            true => Ok(()),
            false => self.count_values(end, state),
        }
    }

    /// Adds the different values that came to their table, and tells the groups what they did.
    fn count_values(&mut self, end: Option<i64>, state: &mut StateStore) -> Result<(), OpError> {
        let Self { calls, tables, found, .. } = self;
        found.turn(&calls.multisets, tables.distinct(state, end)?)?;
        let groups = tables.groups(state, end);
        for (i, ((slot, multiset, length), turned)) in
            found.of.iter().zip(&found.turned).enumerate()
        {
            let Values::Distinct(set) = &calls.multisets[*multiset] else { continue };
            if *turned == [0, 0] {
                continue;
            }
            let key = found.keys.key(i);
            let value = &key[key.len() - length..];
            for &(call, filter) in &set.members {
                let [come, gone] = turned.map(|bits| (bits >> filter & 1) as i64);
                if come != gone {
                    calls.calls[call].add_value(&mut groups.value(*slot), value, come - gone)?;
                }
            }
        }
        Ok(())
    }

    /// Sets the accumulators that multisets decide, MIN's over updates and ARRAY_AGG's, say.
    /// Windows that end after `until` are left: they have no
    /// results yet, and get them all when they close (`move_all`).
    pub(super) fn settle(&mut self, state: &mut StateStore, until: i64) -> Result<(), OpError> {
        let (Some(values), tables) = (self.tables.values, self.tables) else { return Ok(()) };
        let mut prefix = Vec::new();
        for (end, slot, number) in std::mem::take(&mut self.moved) {
            if end.is_some_and(|end| end > until) {
                continue;
            }
            let key = tables.groups(state, end).key(slot);
            let group = key_group(key_hash(key));
            prefix.clear();
            push_prefix(end, key, number, &mut prefix);
            let call = &self.calls.calls[number];
            let found = values_of(call, state.ordered(values), group, &prefix)?;
            let groups = tables.groups(state, end);
            call.aggregate.set(&mut groups.value(slot), call.state.start, &found);
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

impl Tables {
    /// Checks that the tables are what these calls need.
    fn check(self, plan: &Plan<'_>, calls: &Calls, windowed: bool) -> Result<(), String> {
        let kind = if windowed { TableKind::Windowed } else { TableKind::Point };
        let state = Groups::state_types(calls, windowed);
        plan.table(self.groups, kind, &data(&state))?;
        let weight = [DataType::BigInt];
        self.values.map(|id| plan.table(id, TableKind::Ordered, &weight)).transpose()?;
        let words = |values: &Values| match values {
            Values::Distinct(set) => Some(set.words()),
            Values::Ordered(_) => None,
        };
        let most = calls.multisets.iter().filter_map(words).max();
        let words = vec![DataType::BigInt; most.unwrap_or(0)];
        self.distinct.map(|id| plan.table(id, kind, &words)).transpose()?;
        let ordered = calls.multisets.iter().any(|values| matches!(values, Values::Ordered(_)));
        match (self.distinct.is_some(), self.values.is_some()) == (most.is_some(), ordered) {
            true => Ok(()),
            false => Err("it has not the tables of values that it needs".into()),
        }
    }

    /// The groups, with windows those of the window that ends at `end`.
    pub(super) fn groups(self, state: &mut StateStore, end: Option<i64>) -> &mut PointTable {
        table(self.groups, state, end)
    }

    fn distinct(
        self,
        state: &mut StateStore,
        end: Option<i64>,
    ) -> Result<&mut PointTable, OpError> {
        let id = self.distinct.ok_or(OpError::Internal("a table of values is missing"))?;
        Ok(table(id, state, end))
    }

    fn values(self) -> Result<TableId, OpError> {
        self.values.ok_or(OpError::Internal("a table of values is missing"))
    }
}

fn table(id: TableId, state: &mut StateStore, end: Option<i64>) -> &mut PointTable {
    match end {
        Some(end) => state.windowed(id).at(end),
        None => state.point(id),
    }
}

impl Found {
    fn clear(&mut self) {
        self.keys.clear();
        self.of.clear();
        self.words.clear();
    }

    /// Adds a value of a group with this key, in this key group.
    fn push(&mut self, slot: SlotId, group: u8, key: &[u8], item: Item<'_>) {
        let multiset = (item.multiset as u16).to_be_bytes();
        self.keys.push_in(group, [key, &multiset, item.value]);
        self.of.push((slot, item.multiset, item.value.len()));
        self.words.extend(item.words());
    }

    /// Adds the values to their table; fills `turned`.
    fn turn(&mut self, multisets: &[Values], table: &mut PointTable) -> Result<(), OpError> {
        table.upsert(&self.keys, &mut self.slots)?;
        self.turned.clear();
        let (mut words, mut emptied) = (&self.words[..], Vec::new());
        for (&slot, (_, multiset, _)) in self.slots.iter().zip(&self.of) {
            let Values::Distinct(set) = &multisets[*multiset] else { continue };
            let (mine, rest) = words.split_at(set.words());
            words = rest;
            let mut turned = [0, 0];
            if !set.weighs {
                let old = table.value_ref(slot).word(0);
                turned[0] = mine[0] & !old;
                if turned[0] != 0 {
                    table.value(slot).set_word(0, old | mine[0]);
                }
            } else {
                let mut value = table.value(slot);
                for (at, more) in mine.iter().enumerate() {
                    let old = value.word(at) as i64;
                    let new = old.wrapping_add(*more as i64);
                    value.set_word(at, new as u64);
                    turned[0] |= u64::from(old <= 0 && new > 0) << at;
                    turned[1] |= u64::from(old > 0 && new <= 0) << at;
                }
                emptied.push((slot, mine.len()));
            }
            self.turned.push(turned);
        }
        for (slot, words) in emptied {
            let value = table.value_ref(slot);
            if table.is_live(slot) && (0..words).all(|at| value.word(at) == 0) {
                table.remove(slot);
            }
        }
        Ok(())
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

/// The numbers of rows of a batch, with the keys of their groups and the entries of these.
#[derive(Default)]
pub(super) struct Picks {
    pub(super) keys: KeyBatch,
    pub(super) slots: Vec<SlotId>,
    pub(super) rows: Vec<u32>,
}

//! What the three aggregating operators share: the calls with their accumulator columns, the
//! layout of the rows between `PreAggregate` and the others, and multisets.

use std::ops::Range;
use std::sync::Arc;

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::{ErrorCode, OnError, RowError};
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout, RowRef, ValueMut, order_i64};
use flow_ir::types::{DataType, Type};
use flow_stdlib::aggregates::{self, Accumulators, Aggregate, DistinctSet, Multiset, ValueReader};

use super::{OpError, Reports, columns_of, data};
use crate::state::{OrderedEntry, OrderedTable, PointTable, SlotId, prefix_end};

/// The columns that follow the accumulators in a `PreAggregate`'s output: the net number of rows,
/// and a list of values.
pub(super) const PARTIAL_TAIL: [DataType; 2] = [DataType::BigInt, DataType::Bytes];

/// Multisets of an operator at most: they are numbered in 16 bits.
const MULTISETS_MAX: usize = 1 << 16;

/// A row without columns, for aggregates that look at none.
const EMPTY_ROW: [u64; 1] = [8];

impl Accumulators for PointTable {
    type Slot = SlotId;

    fn accumulators(&mut self, slot: SlotId) -> ValueMut<'_> {
        self.value(slot)
    }
}

/// The aggregates of an operator.
pub(super) struct Calls {
    pub(super) calls: Vec<Call>,
    /// The multisets that they need.
    pub(super) multisets: Vec<Values>,
    /// Accumulator columns of all calls.
    pub(super) width: usize,
}

/// A multiset.
#[derive(Debug)]
pub(super) enum Values {
    /// Different values, for all calls that count them.
    Distinct(DistinctSet),
    /// The values of this call, in order.
    Ordered(usize),
}

impl Values {
    /// The first of its calls.
    pub(super) fn call(&self) -> usize {
        match self {
            Values::Distinct(set) => set.members[0].0,
            Values::Ordered(call) => *call,
        }
    }

    /// Words that go with a value.
    pub(super) fn words(&self) -> usize {
        match self {
            Values::Distinct(set) => set.words(),
            Values::Ordered(_) => 1,
        }
    }

    /// Filters, of which one at least lets a value through.
    pub(super) fn filters(&self, calls: &[Call]) -> Vec<Option<usize>> {
        match self {
            Values::Distinct(set) => set.filters.clone(),
            Values::Ordered(call) => vec![calls[*call].call.filter],
        }
    }
}

/// One aggregate.
pub(super) struct Call {
    pub(super) aggregate: Aggregate,
    /// Its accumulator columns among those of all calls.
    pub(super) state: Range<usize>,
    pub(super) multiset: Option<Multiset>,
    pub(super) call: AggregateCall,
    reader: ValueReader,
    /// Values read back.
    values: Arc<RowLayout>,
}

impl Calls {
    pub(super) fn new(calls: &[AggregateCall]) -> Result<Self, String> {
        let mut multisets: Vec<Values> =
            aggregates::distinct_sets(calls).into_iter().map(Values::Distinct).collect();
        let mut width = 0;
        let call = |call: &AggregateCall| {
            let aggregate = aggregates::instantiate(call)?;
            let first = width;
            width += aggregate.state_types().len();
            Ok(Call {
                aggregate,
                state: first..width,
                multiset: aggregates::multiset(call),
                reader: ValueReader::new(call),
                values: Arc::new(RowLayout::new(call.arg_types.clone())),
                call: call.clone(),
            })
        };
        let calls = calls.iter().map(call).collect::<Result<Vec<Call>, String>>()?;
        for (number, call) in calls.iter().enumerate() {
            match call.multiset {
                Some(Multiset::First | Multiset::Last | Multiset::Whole) => {
                    multisets.push(Values::Ordered(number));
                }
                Some(Multiset::Distinct) | None => {}
            }
        }
        match multisets.len() {
            0..=MULTISETS_MAX => Ok(Self { calls, multisets, width }),
            _ => Err("more multisets than can be numbered".into()),
        }
    }

    /// Checks that arguments and filters are columns of `input`.
    pub(super) fn check_input(&self, input: &[Type]) -> Result<(), String> {
        for Call { call, .. } in &self.calls {
            columns_of(&call.columns().collect::<Vec<_>>(), input)?;
            let args = call.args.iter().copied().zip(&call.arg_types);
            let order = call.order.iter().map(|by| (by.column, &by.ty));
            let same = args.chain(order).all(|(i, ty)| input[i].data == ty.data);
            let boolean = call.filter.is_none_or(|i| input[i].data == DataType::Boolean);
            if !same || !boolean {
                return Err("an aggregate's arguments are of other types".into());
            }
        }
        Ok(())
    }

    /// The calls as data.
    pub(super) fn data(&self) -> Vec<AggregateCall> {
        self.calls.iter().map(|call| call.call.clone()).collect()
    }

    /// Types of all accumulator columns.
    pub(super) fn state_types(&self) -> Vec<Type> {
        self.calls.iter().flat_map(|call| call.aggregate.state_types()).collect()
    }

    /// Types of all results.
    pub(super) fn results(&self) -> impl Iterator<Item = DataType> {
        self.calls.iter().map(|call| call.call.ty.data.clone())
    }

    /// Sets the results' columns of the open row, the first into column `first`. A result out of
    /// range is NULL and pushed to `errors`.
    pub(super) fn finish(
        &self,
        accumulators: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        first: usize,
        errors: &mut Vec<ErrorCode>,
    ) {
        for (i, call) in self.calls.iter().enumerate() {
            let state = &columns[call.state.clone()];
            let finished = call.aggregate.finish(accumulators, state, out, first + i);
            errors.extend(finished.err());
        }
    }
}

impl Call {
    /// Adds the value with these bytes, in which nothing is NULL that must not be, `weight` times.
    pub(super) fn add_value(
        &self,
        acc: &mut ValueMut<'_>,
        value: &[u8],
        weight: i64,
    ) -> Result<(), OpError> {
        if self.aggregate.is_count() {
            let row = RowRef::new(&EMPTY_ROW);
            self.aggregate.add_value(acc, self.state.start, row, &[], weight);
            return Ok(());
        }
        let value = self.read([(value, weight)].into_iter())?;
        let columns = value.layout().columns();
        self.aggregate.add_value(acc, self.state.start, value.row(0), columns, weight);
        Ok(())
    }

    /// The values with these bytes and weights, as rows of arguments.
    pub(super) fn read<'v>(
        &self,
        values: impl Iterator<Item = (&'v [u8], i64)>,
    ) -> Result<RowBatch, OpError> {
        let mut out = BatchBuilder::new(self.values.clone());
        for (value, weight) in values {
            out.begin();
            if !self.reader.read(value, &mut out) {
                return Err(OpError::Internal("a value of a multiset cannot be read back"));
            }
            out.finish(weight);
        }
        Ok(out.take())
    }
}

/// Where things stand in a row that a `PreAggregate` made.
pub(super) struct Partials {
    /// Key columns.
    pub(super) keys: usize,
    /// Slice end and first open end, for windows.
    pub(super) window: Option<[Column; 2]>,
    /// The accumulators of all calls.
    pub(super) state: Vec<Column>,
    /// A list of values, or NULL.
    pub(super) values: Column,
}

impl Partials {
    /// The rows of these types, if they are what a `PreAggregate` of these calls makes.
    pub(super) fn of(
        types: &[Type],
        keys: usize,
        windowed: bool,
        calls: &Calls,
    ) -> Result<Self, String> {
        let bounds = if windowed { 2 } else { 0 };
        let expected = std::iter::repeat_n(DataType::BigInt, bounds)
            .chain(data(&calls.state_types()))
            .chain(PARTIAL_TAIL);
        if types.len() < keys || !data(&types[keys..]).into_iter().eq(expected) {
            return Err("the columns are not those of a pre-aggregate".into());
        }
        let layout = RowLayout::new(types.to_vec());
        let state = keys + bounds;
        let tail = state + calls.width;
        Ok(Self {
            keys,
            window: windowed.then(|| [layout.column(keys), layout.column(keys + 1)]),
            state: layout.columns()[state..tail].to_vec(),
            values: layout.column(tail + 1),
        })
    }
}

/// Appends what a value's key in the multiset table begins with, after the group's key: the call.
pub(super) fn push_call(call: usize, key: &mut Vec<u8>) {
    push_i64(call as i64, key);
}

/// Bytes of a number in a key, as `push_i64` writes it.
pub(super) const NUMBER_BYTES: usize = 9;

/// Appends a number, not NULL, as key bytes.
pub(super) fn push_i64(value: i64, key: &mut Vec<u8>) {
    key.push(1);
    key.extend_from_slice(&order_i64(value));
}

/// Reads what `push_i64` wrote.
pub(super) fn read_i64(key: &[u8]) -> Option<i64> {
    let (_, bytes) = key.split_first_chunk::<1>()?;
    let (bytes, _) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*bytes) ^ (1 << 63)) as i64)
}

/// The values of a multiset that its call's accumulators are set from: all, the first or the
/// last; `prefix` is what their keys in the table begin with.
pub(super) fn values_of(
    call: &Call,
    table: &mut OrderedTable,
    group: u8,
    prefix: &[u8],
) -> Result<RowBatch, OpError> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let end = prefix_end(prefix);
    let (from, to) = (Included(prefix), end.as_deref().map_or(Unbounded, Excluded));
    let weight = table.layout().column(0);
    let value = |entry: OrderedEntry<'_>| entry.row.i64(weight);
    let one = match call.multiset {
        Some(Multiset::Whole) => {
            let entries = table.scan(Some(group), prefix)?;
            return call.read(entries.map(|e| (&e.key[prefix.len()..], value(e))));
        }
        Some(Multiset::Last) => table.last(group, from, to)?,
        Some(Multiset::First | Multiset::Distinct) | None => table.first(group, from, to)?,
    };
    call.read(one.into_iter().map(|e| (&e.key[prefix.len()..], value(e))))
}

/// Output rows of groups, before and after an epoch, from their accumulators.
pub(super) struct Results {
    rows: BatchBuilder,
    /// For each group the places in `rows` of the row taken back and of the new one.
    changes: Vec<[Option<usize>; 2]>,
    /// Results out of range, with the places of their rows.
    failures: Vec<(usize, ErrorCode)>,
    errors: Vec<ErrorCode>,
}

impl Results {
    /// For rows of this layout.
    pub(super) fn new(layout: Arc<RowLayout>) -> Self {
        let rows = BatchBuilder::new(layout);
        Self { rows, changes: Vec::new(), failures: Vec::new(), errors: Vec::new() }
    }

    /// Begins the change of a group.
    pub(super) fn begin(&mut self) {
        self.changes.push([None, None]);
    }

    /// Adds a row to the change begun last: the one taken back, or the new one. `write` writes the
    /// open row and pushes what failed.
    pub(super) fn add<E>(
        &mut self,
        new: bool,
        on_error: OnError,
        write: impl FnOnce(&mut BatchBuilder, &mut Vec<ErrorCode>) -> Result<(), E>,
    ) -> Result<(), E> {
        let place = self.rows.len();
        self.rows.begin();
        write(&mut self.rows, &mut self.errors)?;
        self.rows.finish(1);
        let keep = self.errors.is_empty() || on_error == OnError::KeepNull;
        if let Some(change) = self.changes.last_mut().filter(|_| keep) {
            change[usize::from(new)] = Some(place);
        }
        // What failed in a row taken back was told when the row was new.
        let told = self.errors.drain(..).filter(|_| new);
        self.failures.extend(told.map(|code| (place, code)));
        Ok(())
    }

    /// Emits the changes whose rows differ, and reports what failed.
    pub(super) fn emit(&mut self, emit: &mut BatchBuilder, reports: &mut Reports) {
        let rows = self.rows.take();
        for [old, new] in self.changes.drain(..) {
            let (old, new) = (old.map(|i| rows.row(i)), new.map(|i| rows.row(i)));
            if old.map(RowRef::words) == new.map(RowRef::words) {
                continue;
            }
            if let Some(old) = old {
                emit.push_row(old, -1);
            }
            if let Some(new) = new {
                emit.push_row(new, 1);
            }
        }
        for (place, code) in self.failures.drain(..) {
            let error = RowError { row: 0, site: None, code, detail: None };
            reports.fail(rows.layout(), rows.row(place), 1, error);
        }
        self.rows.recycle(rows);
    }
}

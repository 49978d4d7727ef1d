//! PreAggregate: aggregates within the epoch, before the exchange, so that a hot key sends one row
//! and not a million. Keeps nothing: what it holds goes out at the epoch's end, or earlier when it
//! has grown.
//!
//! With windows the key is the group, the slice and the first window that is open for the row: rows
//! of one slice that came under different watermarks belong to different windows.

use std::sync::Arc;

use flow_ir::aggregate::WindowSpec;
use flow_ir::physical::{PreAggregate, WindowInput};
use flow_ir::row::{
    BatchBuilder, Column, KeyBatch, KeyDecoder, KeyEncoder, RowBatch, RowLayout, RowRef,
};
use flow_ir::types::{DataType, Type};
use flow_stdlib::aggregates::ValueWriter;
use flow_stdlib::windows;

use super::accumulate::Accumulate;
use super::aggregation::{Call, Calls, NUMBER_BYTES, Partials, Values, push_i64, read_i64};
use super::value_list::ValueList;
use super::{OpCx, OpError, Operator, Plan, columns_of, words_of};
use crate::state::{PointTable, SlotId};

/// Groups and values that are held before they go out, entries.
const HELD_ENTRIES_MAX: usize = 1 << 18;
/// Bytes of values that a row carries, about.
const LIST_BYTES: usize = 16 << 10;

pub(super) struct PreAggregateOp {
    keys: KeyEncoder,
    key_decoder: KeyDecoder,
    calls: Calls,
    accumulate: Accumulate,
    /// For each multiset, where its values come from.
    sources: Vec<Source>,
    window: Option<Window>,
    /// Group (and bounds) → accumulators, then the number of rows.
    groups: PointTable,
    /// Number of the group (u32), multiset (u16), value → what the filters let through.
    values: PointTable,
    output: Output,
    buffers: Buffers,
}

/// Where the values of a multiset come from.
struct Source {
    filters: Vec<Option<Column>>,
    writer: ValueWriter,
    /// Whether a value has a weight for each filter, not a bit.
    weighs: bool,
}

impl Source {
    fn new(values: &Values, calls: &[Call], layout: &RowLayout) -> Self {
        let filters = values.filters(calls).into_iter();
        Self {
            filters: filters.map(|filter| filter.map(|i| layout.column(i))).collect(),
            writer: ValueWriter::new(&calls[values.call()].call, layout),
            weighs: match values {
                Values::Distinct(set) => set.weighs,
                Values::Ordered(_) => true,
            },
        }
    }

    /// The filters that let the row's value through, by bits.
    fn passed(&self, row: RowRef<'_>) -> u64 {
        if !self.writer.counts(row) {
            return 0;
        }
        let passes = |filter: &Option<Column>| {
            filter.is_none_or(|filter| !row.is_null(filter) && row.word(filter) != 0)
        };
        let bit = |(at, filter)| u64::from(passes(filter)) << at;
        self.filters.iter().enumerate().map(bit).fold(0, |all, bit| all | bit)
    }
}

/// Where a row's slice and first open window come from.
enum Window {
    Time { time: Column, watermark: Option<Column>, spec: WindowSpec, lateness: i64 },
    Carried { start: Column, end: Column },
}

/// Columns of the output.
struct Output {
    keys: usize,
    windowed: bool,
    /// The first accumulator.
    state: usize,
    values: usize,
}

/// Of the batch at hand.
#[derive(Default)]
struct Buffers {
    /// Numbers of the rows that count.
    picks: Vec<u32>,
    /// The groups of these rows, with bounds.
    keys: KeyBatch,
    slots: Vec<SlotId>,
    /// Values of one multiset, with the filters that let them through and their weights.
    values: KeyBatch,
    value_slots: Vec<SlotId>,
    passed: Vec<(u64, i64)>,
    key: Vec<u8>,
    list: ValueList,
}

impl PreAggregateOp {
    pub(super) fn new(op: &PreAggregate, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        let calls = Calls::new(&op.calls)?;
        calls.check_input(&input)?;
        Partials::of(&plan.output(), op.keys.len(), op.window.is_some(), &calls)?;
        let layout = RowLayout::new(input.clone());
        let number = || Type::not_null(DataType::BigInt);
        let mut state = calls.state_types();
        state.push(number());
        let words = calls.multisets.iter().map(Values::words).max().unwrap_or(0);
        let key_types = op.keys.iter().map(|i| input[*i].clone()).collect();
        let first_state = op.keys.len() + if op.window.is_some() { 2 } else { 0 };
        let source = |values: &Values| Source::new(values, &calls.calls, &layout);
        Ok(Self {
            keys: KeyEncoder::new(&layout, &op.keys),
            key_decoder: KeyDecoder::new(key_types),
            accumulate: Accumulate::adding(&calls, &input, plan.factory)?,
            sources: calls.multisets.iter().map(source).collect(),
            window: Window::new(op, &input, &layout)?,
            groups: PointTable::scratch(Arc::new(RowLayout::new(state))),
            values: PointTable::scratch(Arc::new(RowLayout::new(vec![number(); words]))),
            output: Output {
                keys: op.keys.len(),
                windowed: op.window.is_some(),
                state: first_state,
                values: first_state + calls.width + 1,
            },
            calls,
            buffers: Buffers::default(),
        })
    }

    /// Fills `buffers.keys` and `buffers.picks` with the rows that have an open window.
    fn read_keys(&mut self, rows: &RowBatch) {
        let Buffers { keys, key, picks, .. } = &mut self.buffers;
        picks.clear();
        let Some(window) = &self.window else {
            picks.extend(0..rows.len() as u32);
            self.keys.encode(rows, keys);
            return;
        };
        keys.clear();
        for (i, row) in rows.rows().enumerate() {
            let Some((slice_end, first_open)) = window.bounds(row) else { continue };
            key.clear();
            self.keys.append(row, key);
            push_i64(slice_end, key);
            push_i64(first_open, key);
            keys.push(key);
            picks.push(i as u32);
        }
    }

    /// Adds the values that the rows have for a multiset to `values`.
    fn add_values(&mut self, multiset: usize, rows: &RowBatch) -> Result<(), OpError> {
        let source = &self.sources[multiset];
        let Buffers { slots, key, values, value_slots, picks, passed, .. } = &mut self.buffers;
        values.clear();
        passed.clear();
        for (&slot, &pick) in slots.iter().zip(picks.iter()) {
            let row = rows.row(pick as usize);
            let filters = source.passed(row);
            if filters == 0 {
                continue;
            }
            key.clear();
            key.extend_from_slice(&slot.number().to_be_bytes());
            key.extend_from_slice(&(multiset as u16).to_be_bytes());
            source.writer.append(row, key);
            values.push(key);
            passed.push((filters, rows.weight(pick as usize)));
        }
        self.values.upsert(values, value_slots)?;
        for (&slot, &(filters, weight)) in value_slots.iter().zip(passed.iter()) {
            let mut value = self.values.value(slot);
            if !source.weighs {
                let all = value.word(0) | filters;
                value.set_word(0, all);
                continue;
            }
            for at in (0..source.filters.len()).filter(|at| filters >> at & 1 == 1) {
                value.add_word(at, weight as u64);
            }
        }
        Ok(())
    }

    /// Gives each group with its values, and begins anew.
    fn flush(&mut self, emit: &mut BatchBuilder) -> Result<(), OpError> {
        let mut values = Vec::with_capacity(self.values.len());
        for &slot in self.values.touched() {
            values.push((value_parts(self.values.key(slot))?.0, slot));
        }
        values.sort_unstable();
        let mut values = values.into_iter().peekable();
        for &group in self.groups.touched() {
            let mut first = true;
            loop {
                let list = &mut self.buffers.list;
                list.clear();
                while list.bytes().len() < LIST_BYTES
                    && let Some((_, slot)) = values.next_if(|(of, _)| *of == group.number())
                {
                    write_value(&self.calls, &self.values, slot, list)?;
                }
                if !first && list.bytes().is_empty() {
                    break;
                }
                emit.begin();
                self.output.write_group(&self.key_decoder, self.groups.key(group), emit)?;
                if std::mem::take(&mut first) {
                    self.groups.write(group, emit, self.output.state);
                }
                if !list.bytes().is_empty() {
                    emit.set_bytes(self.output.values, list.bytes());
                }
                emit.finish(1);
            }
        }
        self.groups.clear();
        self.values.clear();
        Ok(())
    }
}

/// Appends a value to a list, unless all its weights are 0.
fn write_value(
    calls: &Calls,
    table: &PointTable,
    slot: SlotId,
    list: &mut ValueList,
) -> Result<(), OpError> {
    let (_, multiset, value) = value_parts(table.key(slot))?;
    let words = calls.multisets.get(usize::from(multiset)).map_or(0, Values::words);
    let weights = table.value_ref(slot);
    if (0..words).any(|at| weights.word(at) != 0) {
        list.push(multiset, value);
        (0..words).for_each(|at| list.push_word(weights.word(at)));
    }
    Ok(())
}

/// Splits the key of a value into the number of its group, its multiset, and its bytes.
fn value_parts(key: &[u8]) -> Result<(u32, u16, &[u8]), OpError> {
    let parts = || {
        let (group, rest) = key.split_first_chunk::<4>()?;
        let (multiset, value) = rest.split_first_chunk::<2>()?;
        Some((u32::from_be_bytes(*group), u16::from_be_bytes(*multiset), value))
    };
    parts().ok_or(OpError::Internal("the key of a value cannot be read back"))
}

impl Output {
    /// Sets the columns of the group key and, with windows, of its bounds.
    fn write_group(
        &self,
        decoder: &KeyDecoder,
        key: &[u8],
        emit: &mut BatchBuilder,
    ) -> Result<(), OpError> {
        let bounds = if self.windowed { 2 * NUMBER_BYTES } else { 0 };
        let (group, bounds) = key.split_at(key.len().saturating_sub(bounds));
        for (i, bound) in bounds.chunks(NUMBER_BYTES).enumerate() {
            emit.set_i64(self.keys + i, read_i64(bound).unwrap_or_default());
        }
        match decoder.decode(group, emit, 0) {
            true => Ok(()),
            false => Err(OpError::Internal("a group key cannot be read back")),
        }
    }
}

impl Window {
    fn new(op: &PreAggregate, input: &[Type], layout: &RowLayout) -> Result<Option<Self>, String> {
        match op.window {
            None => Ok(None),
            Some(WindowInput::Time { time, watermark, window }) => {
                words_of(&[time], input)?;
                words_of(watermark.as_slice(), input)?;
                windows::check(window)?;
                Ok(Some(Window::Time {
                    time: layout.column(time),
                    watermark: watermark.map(|column| layout.column(column)),
                    spec: window,
                    lateness: op.lateness,
                }))
            }
            Some(WindowInput::Carried { start, end }) => {
                words_of(&[start, end], input)?;
                let (start, end) = (layout.column(start), layout.column(end));
                Ok(Some(Window::Carried { start, end }))
            }
        }
    }

    /// Slice end and first open end of a row (end and start of a carried window); `None`: all its
    /// windows are closed, or it has none.
    fn bounds(&self, row: RowRef<'_>) -> Option<(i64, i64)> {
        match *self {
            Window::Time { time, watermark, spec, lateness } => {
                if row.is_null(time) {
                    return None;
                }
                let watermark = watermark.filter(|column| !row.is_null(*column));
                let watermark = watermark.map_or(i64::MIN, |column| row.i64(column));
                let slice = windows::slice_end(row.i64(time), spec);
                let first = windows::first_open_end(slice, watermark, lateness, spec)?;
                Some((slice, first))
            }
            Window::Carried { start, end } => {
                let whole = !row.is_null(start) && !row.is_null(end);
                whole.then(|| (row.i64(end), row.i64(start)))
            }
        }
    }
}

impl Operator for PreAggregateOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.read_keys(rows);
        let Buffers { keys, slots, picks, .. } = &mut self.buffers;
        self.groups.upsert(keys, slots)?;
        self.accumulate.run(&mut self.groups, slots, picks, rows);
        for multiset in 0..self.sources.len() {
            self.add_values(multiset, rows)?;
        }
        if self.groups.len() + self.values.len() > HELD_ENTRIES_MAX {
            self.flush(cx.emit)?;
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.flush(cx.emit)
    }
}

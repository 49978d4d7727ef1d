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
use flow_stdlib::aggregates::{Input, ValueWriter};
use flow_stdlib::windows;

use super::aggregation::{Call, Calls, PARTIAL_TAIL, Partials, push_call, push_i64, read_i64};
use super::{OpCx, OpError, Operator, Plan, columns_of, words_of};
use crate::state::{PointTable, SlotId};

/// Groups and values that are held before they go out, entries.
const HELD_ENTRIES_MAX: usize = 1 << 18;
/// Bytes of a number in a key, as `push_i64` writes it.
const NUMBER_BYTES: usize = 9;
/// Bytes of the group key's length, at the end of a value's key.
const LENGTH_BYTES: usize = 4;

pub(super) struct PreAggregateOp {
    keys: KeyEncoder,
    key_decoder: KeyDecoder,
    calls: Calls,
    /// For each call, where arguments and order, and the filter, stand in the input.
    inputs: Vec<(Vec<Column>, Option<Column>)>,
    /// For each call, how its values are written.
    arguments: Vec<ValueWriter>,
    window: Option<Window>,
    /// Group (and bounds) → accumulators, then the output's last columns.
    groups: PointTable,
    /// Group (and bounds), call, value, the group key's length → weight.
    values: PointTable,
    output: Output,
    buffers: Buffers,
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
    call: usize,
}

/// Of the batch at hand.
#[derive(Default)]
struct Buffers {
    /// Numbers of the rows that count.
    picks: Vec<u32>,
    /// The groups of these rows, with bounds.
    keys: KeyBatch,
    slots: Vec<SlotId>,
    /// Values of one call, with their weights.
    values: KeyBatch,
    value_slots: Vec<SlotId>,
    weights: Vec<i64>,
    key: Vec<u8>,
}

impl PreAggregateOp {
    pub(super) fn new(op: &PreAggregate, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        let calls = Calls::new(&op.calls)?;
        calls.check_input(&input)?;
        Partials::of(&plan.output(), op.keys.len(), op.window.is_some(), &calls)?;
        let layout = RowLayout::new(input.clone());
        let columns = |call: &Call| {
            let order = call.call.order.iter().map(|by| by.column);
            let args = call.call.args.iter().copied().chain(order);
            let filter = call.call.filter.map(|i| layout.column(i));
            (args.map(|i| layout.column(i)).collect(), filter)
        };
        let mut state = calls.state_types();
        state.extend(PARTIAL_TAIL.map(Type::nullable));
        let weight = vec![Type::not_null(DataType::BigInt)];
        let key_types = op.keys.iter().map(|i| input[*i].clone()).collect();
        let first_state = op.keys.len() + if op.window.is_some() { 2 } else { 0 };
        Ok(Self {
            keys: KeyEncoder::new(&layout, &op.keys),
            key_decoder: KeyDecoder::new(key_types),
            inputs: calls.calls.iter().map(columns).collect(),
            arguments: calls.calls.iter().map(|c| ValueWriter::new(&c.call, &layout)).collect(),
            window: Window::new(op, &input, &layout)?,
            groups: PointTable::scratch(Arc::new(RowLayout::new(state))),
            values: PointTable::scratch(Arc::new(RowLayout::new(weight))),
            output: Output {
                keys: op.keys.len(),
                windowed: op.window.is_some(),
                state: first_state,
                call: first_state + calls.width,
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

    /// Adds the values of a call's rows to `values`.
    fn add_values(&mut self, call: usize, rows: &RowBatch) -> Result<(), OpError> {
        let (args, filter) = &self.inputs[call];
        let input = Input { rows, args, filter: *filter };
        let writer = &self.arguments[call];
        let Buffers { keys, key, values, value_slots, picks, weights, .. } = &mut self.buffers;
        values.clear();
        weights.clear();
        for (i, &pick) in picks.iter().enumerate() {
            let row = rows.row(pick as usize);
            if !input.passes(row) || !writer.counts(row) {
                continue;
            }
            key.clear();
            key.extend_from_slice(keys.key(i));
            push_call(call, key);
            writer.append(row, key);
            key.extend_from_slice(&(keys.key(i).len() as u32).to_be_bytes());
            values.push(key);
            weights.push(rows.weight(pick as usize));
        }
        self.values.upsert(values, value_slots)?;
        for (&slot, &weight) in value_slots.iter().zip(weights.iter()) {
            let mut value = self.values.value(slot);
            let sum = value.word(0).wrapping_add(weight as u64);
            value.set_word(0, sum);
        }
        Ok(())
    }

    fn flush(&mut self, emit: &mut BatchBuilder) -> Result<(), OpError> {
        for &slot in self.groups.touched() {
            emit.begin();
            self.output.write_group(&self.key_decoder, self.groups.key(slot), emit)?;
            self.groups.write(slot, emit, self.output.state);
            emit.finish(1);
        }
        for &slot in self.values.touched() {
            let weight = self.values.value_ref(slot).word(0);
            if weight == 0 {
                continue;
            }
            let (group, call, value) = split_value_key(self.values.key(slot))?;
            emit.begin();
            self.output.write_group(&self.key_decoder, group, emit)?;
            emit.set_i64(self.output.call, call);
            emit.set_bytes(self.output.call + 1, value);
            emit.set_word(self.output.call + 2, weight);
            emit.finish(1);
        }
        self.groups.clear();
        self.values.clear();
        Ok(())
    }
}

/// Splits the key of a value into the group's key, the call, and the value's key bytes.
fn split_value_key(key: &[u8]) -> Result<(&[u8], i64, &[u8]), OpError> {
    let split = || {
        let (rest, len) = key.split_last_chunk::<LENGTH_BYTES>()?;
        let (group, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        let (call, value) = rest.split_at_checked(NUMBER_BYTES)?;
        Some((group, read_i64(call)?, value))
    };
    split().ok_or(OpError::Internal("the key of a value cannot be read back"))
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
        let count = self.calls.width + 2;
        for (&slot, &pick) in slots.iter().zip(picks.iter()) {
            let mut group = self.groups.value(slot);
            let weight = rows.weight(pick as usize) as u64;
            let sum = group.word(count).wrapping_add(weight);
            group.set_word(count, sum);
        }
        for (call, (args, filter)) in self.calls.calls.iter().zip(&self.inputs) {
            if call.multiset.is_none() {
                let input = Input { rows, args, filter: *filter };
                call.aggregate.add(&mut self.groups, call.state.start, slots, picks, input);
            }
        }
        for call in 0..self.calls.calls.len() {
            if self.calls.calls[call].multiset.is_some() {
                self.add_values(call, rows)?;
            }
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

//! How the values of a call lie in a multiset: key bytes that order as the call orders its rows,
//! and from which the arguments can be read back.
//!
//! ```text
//! [order columns, each: NULL or value tag, key bytes inverted for DESC] arguments [length: u32]
//! ```
//!
//! The length of the order's part stands at the end where the call has an order: inverted bytes
//! cannot be read.

use flow_ir::aggregate::AggregateCall;
use flow_ir::physical::Direction;
use flow_ir::row::{BatchBuilder, Column, KeyDecoder, RowLayout, RowRef, append_column_key};
use flow_ir::types::Type;

use super::catalog::{NullUse, OrderUse, lookup};

/// What stands before a column's bytes in a rank.
const NULL_FIRST: u8 = 0;
const VALUE: u8 = 1;
const NULL_LAST: u8 = 2;
/// Bytes of the length at the end.
const LENGTH_BYTES: usize = 4;

/// Writes values of a call: of rows that have arguments and order columns in these places.
#[derive(Clone, Debug)]
pub struct ValueWriter {
    args: Vec<(Column, Type)>,
    order: Vec<(Column, Type, Direction)>,
    /// Rows where one of these is NULL have no value.
    required: Vec<Column>,
}

/// Reads values back.
#[derive(Clone, Debug)]
pub struct ValueReader {
    args: KeyDecoder,
    ordered: bool,
}

impl ValueWriter {
    /// For rows of the layout that the call's columns refer to.
    pub fn new(call: &AggregateCall, layout: &RowLayout) -> Self {
        let column = |&i: &usize| layout.column(i);
        let args: Vec<Column> = call.args.iter().map(column).collect();
        let order: Vec<Column> = call.order.iter().map(|by| layout.column(by.column)).collect();
        Self::over(call, &args, &order)
    }

    /// For rows that have them in these columns.
    pub(super) fn over(call: &AggregateCall, args: &[Column], order: &[Column]) -> Self {
        let with_order = args.iter().chain(order).copied().collect::<Vec<_>>();
        let required = required(call).into_iter().map(|i| with_order[i]).collect();
        let order = order.iter().zip(&call.order);
        Self {
            args: args.iter().copied().zip(call.arg_types.iter().cloned()).collect(),
            order: order.map(|(column, by)| (*column, by.ty.clone(), by.direction)).collect(),
            required,
        }
    }

    /// Whether the row has a value.
    pub fn counts(&self, row: RowRef<'_>) -> bool {
        !self.required.iter().any(|column| row.is_null(*column))
    }

    /// Appends the row's value. Values compare as the call orders its rows.
    pub fn append(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        for (column, ty, direction) in &self.order {
            append_rank(row, *column, ty, *direction, out);
        }
        let length = (out.len() - start) as u32;
        for (column, ty) in &self.args {
            append_column_key(row, *column, ty, out);
        }
        if !self.order.is_empty() {
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
}

impl ValueReader {
    /// For the values of this call.
    pub fn new(call: &AggregateCall) -> Self {
        Self { args: KeyDecoder::new(call.arg_types.clone()), ordered: !call.order.is_empty() }
    }

    /// Sets the open row's first columns to the arguments; false if the bytes are no such value.
    pub fn read(&self, value: &[u8], out: &mut BatchBuilder) -> bool {
        let args = if self.ordered { arguments(value) } else { Some(value) };
        args.is_some_and(|args| self.args.decode(args, out, 0))
    }
}

/// The arguments' part of a value with an order.
fn arguments(value: &[u8]) -> Option<&[u8]> {
    let (rest, length) = value.split_last_chunk::<LENGTH_BYTES>()?;
    rest.get(u32::from_be_bytes(*length) as usize..)
}

/// Appends bytes that order rows by a column. They are prefix-free in either direction.
fn append_rank(
    row: RowRef<'_>,
    column: Column,
    ty: &Type,
    direction: Direction,
    out: &mut Vec<u8>,
) {
    if row.is_null(column) {
        out.push(if direction.nulls_first { NULL_FIRST } else { NULL_LAST });
        return;
    }
    out.push(VALUE);
    let start = out.len();
    append_column_key(row, column, ty, out);
    if direction.descending {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Which of a call's arguments and, behind them, order columns must not be NULL.
pub(super) fn required(call: &AggregateCall) -> Vec<usize> {
    let args = call.args.len();
    let Some(def) = lookup(&call.function) else { return Vec::new() };
    let mut required: Vec<usize> = match def.nulls {
        NullUse::Skip => (0..args).collect(),
        NullUse::SkipFirst => vec![0],
        NullUse::Keep if call.ignore_nulls => (0..args).collect(),
        NullUse::Keep => Vec::new(),
    };
    if matches!(def.order, OrderUse::LastArgument { .. }) && !call.order.is_empty() {
        required.push(args);
    }
    required
}

//! Reading columns of a row, and writing rows of values, in the one row format (`flow_ir::row`).

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use flow_ir::row::{Column, RowLayout};
use flow_ir::types::{DataType, Slot};

use super::emit::{Cell, Emit, Null};
use super::io::at;
use super::shims::Shim;

/// The address of the row that the loop is at.
pub(super) fn input_row(e: &mut Emit<'_>) -> Value {
    let (words, starts) = (e.load(e.io, at::INPUT), e.load(e.io, at::STARTS));
    let row = e.b.use_var(e.row);
    let place = e.b.ins().ishl_imm_u(row, 2);
    let place = e.b.ins().iadd(starts, place);
    let word = e.load_u32(place, 0);
    let offset = e.b.ins().ishl_imm_u(word, 3);
    e.b.ins().iadd(words, offset)
}

/// A column of the row at this address. A variable value that does not lie within the row, which no
/// builder writes, is empty.
pub(super) fn load_column(e: &mut Emit<'_>, row: Value, column: Column) -> Cell {
    let bits = e.load(row, column.null_word as i32 * 8);
    let bit = e.b.ins().ushr_imm_u(bits, i64::from(column.null_mask.trailing_zeros()));
    let bit = e.b.ins().band_imm_s(bit, 1);
    let null = Null::When(e.b.ins().ireduce(cranelift_codegen::ir::types::I8, bit));
    let at = column.word as i32 * 8;
    let low = e.load(row, at);
    match column.slot {
        Slot::Word => Cell { null, low, high: low },
        Slot::Wide => Cell { null, low, high: e.load(row, at + 8) },
        Slot::Var => {
            let offset = e.b.ins().band_imm_s(low, 0xffff_ffff);
            let len = e.b.ins().ushr_imm_u(low, 32);
            let end = e.b.ins().iadd(offset, len);
            let row_len = e.load(row, 0);
            let inside = e.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, end, row_len);
            let zero = e.word(0);
            let (offset, high) =
                (e.b.ins().select(inside, offset, zero), e.b.ins().select(inside, len, zero));
            Cell { null, low: e.b.ins().iadd(row, offset), high }
        }
    }
}

/// Writes a row of these values behind the last one, with its end and the number of the row that it
/// came of, once there is room for it whole. Where texts are to be checked, they come from a
/// payload: the row is left to the interpreter if one is not UTF-8.
pub(super) fn write_row(e: &mut Emit<'_>, layout: &RowLayout, cells: &[Cell], check_texts: bool) {
    let fixed = e.word((layout.fixed_words() * 8) as i64);
    let zero = e.word(0);
    // Bytes of each variable value, 0 where it is NULL, and of the row.
    let mut bytes = fixed;
    let mut lengths = Vec::with_capacity(cells.len());
    for (column, cell) in layout.columns().iter().zip(cells) {
        let (Slot::Var, null) = (column.slot, cell.null) else {
            lengths.push(zero);
            continue;
        };
        let length = match null {
            Null::Never => cell.high,
            Null::Always => zero,
            Null::When(bit) => e.b.ins().select(bit, zero, cell.high),
        };
        let padded = e.b.ins().iadd_imm_s(length, 7);
        let padded = e.b.ins().band_imm_s(padded, -8);
        bytes = e.b.ins().iadd(bytes, padded);
        lengths.push(length);
    }
    e.demand_room(bytes);
    let out = e.b.use_var(e.out);
    e.store(bytes, out, 0);
    write_nulls(e, out, layout, cells);
    let mut tail = fixed;
    for (i, (column, cell)) in layout.columns().iter().zip(cells).enumerate() {
        let at = column.word as i32 * 8;
        match column.slot {
            Slot::Word => {
                let low = zero_if_null(e, cell.null, cell.low);
                e.store(low, out, at);
            }
            Slot::Wide => {
                let (low, high) =
                    (zero_if_null(e, cell.null, cell.low), zero_if_null(e, cell.null, cell.high));
                e.store(low, out, at);
                e.store(high, out, at + 8);
            }
            Slot::Var => {
                let text = check_texts && is_text(&layout.types()[i].data);
                tail = write_variable(e, [out, tail], at, *cell, lengths[i], text);
            }
        }
    }
    finish_row(e, out, bytes);
}

/// Whether values of a type are UTF-8.
pub(super) fn is_text(ty: &DataType) -> bool {
    matches!(ty, DataType::String | DataType::Json)
}

fn zero_if_null(e: &mut Emit<'_>, null: Null, word: Value) -> Value {
    match null {
        Null::Never => word,
        Null::Always => e.word(0),
        Null::When(bit) => {
            let zero = e.word(0);
            e.b.ins().select(bit, zero, word)
        }
    }
}

fn write_nulls(e: &mut Emit<'_>, out: Value, layout: &RowLayout, cells: &[Cell]) {
    let words = layout.columns().chunks(64).zip(cells.chunks(64)).enumerate();
    for (number, (columns, cells)) in words {
        let mut known = 0;
        let mut bits: Option<Value> = None;
        for (column, cell) in columns.iter().zip(cells) {
            match cell.null {
                Null::Never => {}
                Null::Always => known |= column.null_mask,
                Null::When(bit) => {
                    let bit = e.b.ins().uextend(I64, bit);
                    let shift = i64::from(column.null_mask.trailing_zeros());
                    let bit = e.b.ins().ishl_imm_u(bit, shift);
                    bits = Some(match bits {
                        None => bit,
                        Some(others) => e.b.ins().bor(others, bit),
                    });
                }
            }
        }
        let known_bits = e.word(known as i64);
        let word = match bits {
            None => known_bits,
            Some(bits) => e.b.ins().bor(bits, known_bits),
        };
        e.store(word, out, (1 + number as i32) * 8);
    }
}

/// Writes a variable value into the tail, and its slot. Gives where the tail then ends.
fn write_variable(
    e: &mut Emit<'_>,
    [out, tail]: [Value; 2],
    at: i32,
    cell: Cell,
    length: Value,
    text: bool,
) -> Value {
    let zero = e.word(0);
    let place = e.b.ins().ishl_imm_u(length, 32);
    let place = e.b.ins().bor(place, tail);
    let place = match cell.null {
        Null::Never => place,
        Null::Always => {
            e.store(zero, out, at);
            return tail;
        }
        Null::When(bit) => e.b.ins().select(bit, zero, place),
    };
    e.store(place, out, at);
    // A NULL has no bytes: its length here is 0, and its address is not used.
    let to = e.b.ins().iadd(out, tail);
    if text {
        let fits = e.call(Shim::CopyText, &[to, cell.low, length]);
        e.demand(fits);
    } else {
        e.call(Shim::CopyPadded, &[to, cell.low, length]);
    }
    let padded = e.b.ins().iadd_imm_s(length, 7);
    let padded = e.b.ins().band_imm_s(padded, -8);
    e.b.ins().iadd(tail, padded)
}

/// Copies a whole row to the output.
pub(super) fn copy_row(e: &mut Emit<'_>, row: Value) {
    let bytes = e.load(row, 0);
    e.demand_room(bytes);
    let out = e.b.use_var(e.out);
    e.call(Shim::CopyPadded, &[out, row, bytes]);
    finish_row(e, out, bytes);
}

/// Counts the row that was written at `out`.
fn finish_row(e: &mut Emit<'_>, out: Value, bytes: Value) {
    let end = e.b.ins().iadd(out, bytes);
    let zero = e.load(e.io, at::OUT_ZERO);
    let word = e.b.ins().isub(end, zero);
    let word = e.b.ins().ushr_imm_u(word, 3);
    let rows = e.b.use_var(e.rows);
    let place = e.b.ins().ishl_imm_u(rows, 2);
    let (ends, origin) = (e.load(e.io, at::ENDS), e.load(e.io, at::ORIGIN));
    let ends = e.b.ins().iadd(ends, place);
    e.store_u32(word, ends, 0);
    let origin = e.b.ins().iadd(origin, place);
    let row = e.b.use_var(e.row);
    e.store_u32(row, origin, 0);
    let rows = e.b.ins().iadd_imm_s(rows, 1);
    e.b.def_var(e.rows, rows);
    e.b.def_var(e.out, end);
}

//! Avro and JSON encoders as machine code: one loop that writes the columns of a row as a payload.
//! What is not a number, a text or a run of bytes is written by the interpreter (`Shim::Encode`)
//! and copied. Room for a whole payload is asked for before its first byte is written.

use std::sync::Arc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use flow_ir::decode_plan::AvroScalar;
use flow_ir::encode_plan::{
    AvroPut, AvroWrite, EncodePlan, JsonTimestamps, JsonWriter, PayloadWriter,
};
use flow_ir::kernel::{Encoder, ErrorBuffer, KernelError, PayloadArena, RowError};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout};
use flow_ir::types::{DataType, Type};
use flow_stdlib::interp::encode::{FieldWriter, PlanEncoder, write_string};

use super::emit::{Cell, Emit, Null, kind_of};
use super::io::{Exit, at};
use super::module::Code;
use super::rows::{input_row, load_column};
use super::scalar::result_cell;
use super::shims::{Shim, Writer};

/// Bytes of the longest varint.
const VARINT_BYTES_MAX: i64 = 10;
/// Numbers below this take at most eight bytes.
const SPREAD_MAX: i64 = 1 << 56;

/// A compiled encoder.
pub(super) struct NativeEncoder {
    code: Code,
    /// Writes the rows that the code leaves, one by one.
    interpreter: PlanEncoder,
    one: BatchBuilder,
}

/// What is written for one put, and how many bytes it takes at most beside its variable length.
enum Piece {
    /// These bytes.
    Constant(Vec<u8>),
    /// A varint, after a branch number or none.
    Varint(Option<u32>, Value),
    /// A word of so many bytes, likewise.
    Word(Option<u32>, Value, i64),
    /// Bytes at an address; after their length, or as they are.
    Bytes(Option<u32>, Cell, bool),
    /// A signed number in decimal.
    Decimal(Value),
    /// A text as a JSON string.
    JsonString(Cell),
    /// One of these, or `null` where this I8 is 1.
    OrJsonNull(Value, Box<Piece>),
    /// One of these, or the null branch where this I8 is 1.
    OrNull(Value, u32, Box<Piece>),
}

/// Whether a plan is compiled.
pub(super) fn is_compiled(plan: &EncodePlan) -> bool {
    matches!(plan.payload, PayloadWriter::Avro(_) | PayloadWriter::Json(_))
}

/// Writes the body of an encoder's loop.
pub(super) fn body(e: &mut Emit<'_>, plan: &EncodePlan) -> Result<(), KernelError> {
    let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
    let layout = RowLayout::new(types);
    let row = input_row(e);
    let column = |e: &mut Emit<'_>, number: u32| {
        let cell = load_column(e, row, layout.column(number as usize));
        let nullable = layout.types()[number as usize].nullable;
        Cell { null: if nullable { cell.null } else { Null::Never }, ..cell }
    };
    let mut pieces = vec![Piece::Constant(plan.prefix.clone())];
    match &plan.payload {
        PayloadWriter::Avro(puts) => pieces.extend(puts.iter().map(|put| match put {
            AvroPut::Constant(bytes) => Piece::Constant(bytes.clone()),
            AvroPut::Column { column: number, datum, .. } => {
                let cell = column(e, *number);
                piece(e, cell, datum, &plan.columns[*number as usize].ty.data)
            }
        })),
        PayloadWriter::Json(JsonWriter { columns, timestamps, bare: true }) => {
            for &number in columns {
                let cell = column(e, number);
                let ty = &plan.columns[number as usize].ty.data;
                pieces.push(member(e, cell, ty, *timestamps));
            }
        }
        PayloadWriter::Json(writer) => {
            let mut name = b"{".to_vec();
            for (i, &number) in writer.columns.iter().enumerate() {
                let field = &plan.columns[number as usize];
                if i > 0 {
                    name.push(b',');
                }
                write_string(field.name.as_bytes(), &mut name);
                name.push(b':');
                pieces.push(Piece::Constant(std::mem::take(&mut name)));
                let cell = column(e, number);
                pieces.push(member(e, cell, &field.ty.data, writer.timestamps));
            }
            name.push(b'}');
            pieces.push(Piece::Constant(name));
        }
        PayloadWriter::Empty | PayloadWriter::Raw(_) | PayloadWriter::Csv(_) => {
            return Err(KernelError("only Avro and JSON payloads are compiled".into()));
        }
    }
    e.check();
    // A varint is stored eight bytes at a time.
    let mut bytes = e.word(8);
    for piece in &pieces {
        let bound = bound(e, piece);
        bytes = e.b.ins().iadd(bytes, bound);
    }
    e.demand_room(bytes);
    for piece in pieces {
        write(e, piece);
    }
    finish(e);
    e.b.ins().jump(e.next, &[]);
    Ok(())
}

/// What a value is written as. A NULL that the schema does not allow leaves the row.
fn piece(e: &mut Emit<'_>, cell: Cell, datum: &AvroWrite, ty: &DataType) -> Piece {
    match datum {
        AvroWrite::Scalar(form) => {
            if let Null::When(null) = cell.null {
                e.fail_if(null);
            }
            scalar(e, cell, form, None, ty).unwrap_or_else(|| interpreted(e, cell, datum, ty))
        }
        AvroWrite::Union { null, value, datum: inner } => {
            let form = match &**inner {
                AvroWrite::Scalar(form) => scalar(e, cell, form, Some(*value), ty),
                _ => None,
            };
            match (form, null, cell.null) {
                (None, _, _) => interpreted(e, cell, datum, ty),
                (Some(piece), _, Null::Never) => piece,
                (Some(piece), Some(branch), null) => {
                    Piece::OrNull(e.null_bit(null), *branch, Box::new(piece))
                }
                (Some(piece), None, null) => {
                    let null = e.null_bit(null);
                    e.fail_if(null);
                    piece
                }
            }
        }
        AvroWrite::Array(_) | AvroWrite::Map(_) | AvroWrite::Row(_) | AvroWrite::Variant { .. } => {
            interpreted(e, cell, datum, ty)
        }
    }
}

/// A member's value.
fn member(e: &mut Emit<'_>, cell: Cell, ty: &DataType, timestamps: JsonTimestamps) -> Piece {
    let piece = match ty {
        DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt => {
            Piece::Decimal(cell.low)
        }
        DataType::Timestamp { .. } | DataType::TimestampLtz { .. }
            if timestamps == JsonTimestamps::Millis =>
        {
            Piece::Decimal(millis(e, cell.low))
        }
        DataType::String => Piece::JsonString(cell),
        _ => return by_writer(e, cell, FieldWriter::json(ty, timestamps), ty),
    };
    match cell.null {
        Null::Never => piece,
        null => Piece::OrJsonNull(e.null_bit(null), Box::new(piece)),
    }
}

/// A scalar; `None` for forms that the interpreter writes.
fn scalar(
    e: &mut Emit<'_>,
    cell: Cell,
    form: &AvroScalar,
    branch: Option<u32>,
    ty: &DataType,
) -> Option<Piece> {
    let word = cell.low;
    Some(match form {
        AvroScalar::Boolean => Piece::Word(branch, word, 1),
        AvroScalar::Int
        | AvroScalar::Long
        | AvroScalar::Date
        | AvroScalar::TimeMicros
        | AvroScalar::TimestampMicros => Piece::Varint(branch, word),
        AvroScalar::TimeMillis | AvroScalar::TimestampMillis => {
            Piece::Varint(branch, millis(e, word))
        }
        AvroScalar::Double => Piece::Word(branch, word, 8),
        AvroScalar::Float => {
            let wide = e.b.ins().bitcast(F64, MemFlagsData::new(), word);
            let float = e.b.ins().fdemote(F32, wide);
            let bits =
                e.b.ins().bitcast(cranelift_codegen::ir::types::I32, MemFlagsData::new(), float);
            Piece::Word(branch, e.b.ins().uextend(I64, bits), 4)
        }
        AvroScalar::Bytes | AvroScalar::String if !ty.is_container() => {
            Piece::Bytes(branch, cell, true)
        }
        AvroScalar::Bytes
        | AvroScalar::String
        | AvroScalar::Fixed(_)
        | AvroScalar::Enum(_)
        | AvroScalar::Decimal { .. }
        | AvroScalar::UuidText
        | AvroScalar::UuidFixed
        | AvroScalar::UuidBytes
        | AvroScalar::TimestampNanos
        | AvroScalar::Duration => return None,
    })
}

/// Microseconds as milliseconds, rounded down.
fn millis(e: &mut Emit<'_>, micros: Value) -> Value {
    let thousand = e.word(1_000);
    let quotient = e.b.ins().sdiv(micros, thousand);
    let rest = e.b.ins().imul(quotient, thousand);
    let below = e.b.ins().icmp(IntCC::SignedLessThan, micros, rest);
    let below = e.b.ins().uextend(I64, below);
    e.b.ins().isub(quotient, below)
}

/// Lets the interpreter write a value, NULL or not.
fn interpreted(e: &mut Emit<'_>, cell: Cell, datum: &AvroWrite, ty: &DataType) -> Piece {
    by_writer(e, cell, FieldWriter::avro(datum, ty), ty)
}

fn by_writer(e: &mut Emit<'_>, cell: Cell, writer: FieldWriter, ty: &DataType) -> Piece {
    let number = e.context.writers.len();
    e.context.writers.push(Writer { writer, kind: kind_of(ty) });
    let slot = e.cells(1);
    let memory = e.slot_address(slot);
    let bit = e.null_bit(cell.null);
    let bit = e.b.ins().uextend(I64, bit);
    e.store(bit, memory, 0);
    e.store(cell.low, memory, 8);
    e.store(cell.high, memory, 16);
    let (context, number) = (e.context(), e.word(number as i64));
    let done = e.call(Shim::Encode, &[context, number, memory]);
    e.demand(done);
    let written = result_cell(e, memory);
    Piece::Bytes(None, Cell { null: Null::Never, ..written }, false)
}

/// How many bytes a piece takes at most.
fn bound(e: &mut Emit<'_>, piece: &Piece) -> Value {
    match piece {
        Piece::Constant(bytes) => e.word(bytes.len().next_multiple_of(8) as i64),
        Piece::Varint(..) | Piece::Word(..) => e.word(2 * VARINT_BYTES_MAX),
        Piece::Bytes(_, cell, _) => e.b.ins().iadd_imm_s(cell.high, 2 * VARINT_BYTES_MAX + 8),
        Piece::Decimal(_) => e.word(24),
        Piece::JsonString(cell) => {
            let escaped = e.b.ins().imul_imm_s(cell.high, 6);
            e.b.ins().iadd_imm_s(escaped, 8)
        }
        Piece::OrJsonNull(null, piece) => {
            let there = bound(e, piece);
            let absent = e.word(8);
            e.b.ins().select(*null, absent, there)
        }
        Piece::OrNull(null, _, piece) => {
            let there = bound(e, piece);
            let absent = e.word(VARINT_BYTES_MAX);
            e.b.ins().select(*null, absent, there)
        }
    }
}

fn write(e: &mut Emit<'_>, piece: Piece) {
    match piece {
        Piece::Constant(bytes) => write_constant(e, &bytes),
        Piece::Decimal(value) => {
            let out = e.b.use_var(e.out);
            let written = e.call(Shim::PutDecimal, &[out, value]);
            let out = e.b.ins().iadd(out, written);
            e.b.def_var(e.out, out);
        }
        Piece::JsonString(cell) => {
            let out = e.b.use_var(e.out);
            let written = e.call(Shim::PutJsonString, &[out, cell.low, cell.high]);
            let out = e.b.ins().iadd(out, written);
            e.b.def_var(e.out, out);
        }
        Piece::OrJsonNull(null, piece) => {
            either(e, null, |e| write_constant(e, b"null"), |e| write(e, *piece));
        }
        Piece::Varint(branch, value) => {
            write_branch(e, branch);
            write_varint(e, value);
        }
        Piece::Word(branch, value, bytes) => {
            write_branch(e, branch);
            write_word(e, value, bytes);
        }
        Piece::Bytes(branch, cell, lengthed) => {
            write_branch(e, branch);
            if lengthed {
                write_varint(e, cell.high);
            }
            let out = e.b.use_var(e.out);
            e.call(Shim::CopyBytes, &[out, cell.low, cell.high]);
            let out = e.b.ins().iadd(out, cell.high);
            e.b.def_var(e.out, out);
        }
        Piece::OrNull(null, branch, piece) => {
            either(e, null, |e| write_branch(e, Some(branch)), |e| write(e, *piece));
        }
    }
}

/// Writes the one where this I8 is 1, else the other.
fn either(
    e: &mut Emit<'_>,
    null: Value,
    absent: impl FnOnce(&mut Emit<'_>),
    there: impl FnOnce(&mut Emit<'_>),
) {
    let [first, second, join] = std::array::from_fn(|_| e.b.create_block());
    e.b.ins().brif(null, first, &[], second, &[]);
    e.b.switch_to_block(first);
    absent(e);
    e.b.ins().jump(join, &[]);
    e.b.switch_to_block(second);
    there(e);
    e.b.ins().jump(join, &[]);
    e.b.switch_to_block(join);
}

fn write_constant(e: &mut Emit<'_>, bytes: &[u8]) {
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let word = e.word(i64::from_le_bytes(word));
        write_word(e, word, chunk.len() as i64);
    }
}

/// Writes eight bytes, of which so many count.
fn write_word(e: &mut Emit<'_>, word: Value, bytes: i64) {
    let out = e.b.use_var(e.out);
    e.store_bytes(word, out);
    let out = e.b.ins().iadd_imm_s(out, bytes);
    e.b.def_var(e.out, out);
}

fn write_branch(e: &mut Emit<'_>, branch: Option<u32>) {
    if let Some(branch) = branch {
        let branch = e.word(i64::from(branch));
        write_varint(e, branch);
    }
}

/// Writes a zig-zag varint: one byte, or groups of seven bits spread over one word, or by a call.
fn write_varint(e: &mut Emit<'_>, value: Value) {
    let doubled = e.b.ins().ishl_imm_u(value, 1);
    let sign = e.b.ins().sshr_imm_u(value, 63);
    let number = e.b.ins().bxor(doubled, sign);
    let out = e.b.use_var(e.out);
    let [wide, join] = std::array::from_fn(|_| e.b.create_block());
    let end = e.b.append_block_param(join, I64);
    let fits = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, number, SPREAD_MAX);
    e.go_on_if(fits, wide);
    let bits = e.b.ins().bor_imm_s(number, 1);
    let zeros = e.b.ins().clz(bits);
    let highest = e.word(63);
    let highest = e.b.ins().isub(highest, zeros);
    // Bytes beside the first: the highest bit / 7, which for these numbers is · 37 / 256.
    let more = e.b.ins().imul_imm_s(highest, 37);
    let more = e.b.ins().ushr_imm_u(more, 8);
    let spread = spread(e, number);
    let shift = e.b.ins().ishl_imm_u(more, 3);
    let one = e.word(1);
    let mask = e.b.ins().ishl(one, shift);
    let mask = e.b.ins().iadd_imm_s(mask, -1);
    let mask = e.b.ins().band_imm_s(mask, 0x8080_8080_8080_8080u64 as i64);
    let word = e.b.ins().bor(spread, mask);
    e.store_bytes(word, out);
    let length = e.b.ins().iadd_imm_s(more, 1);
    let after = e.b.ins().iadd(out, length);
    e.b.ins().jump(join, &[after.into()]);

    e.b.switch_to_block(wide);
    e.b.set_cold_block(wide);
    let length = e.call(Shim::PutVarint, &[out, number]);
    let after = e.b.ins().iadd(out, length);
    e.b.ins().jump(join, &[after.into()]);

    e.b.switch_to_block(join);
    e.b.def_var(e.out, end);
}

/// Groups of seven bits as bytes.
fn spread(e: &mut Emit<'_>, number: Value) -> Value {
    let part = |e: &mut Emit<'_>, word: Value, keep: i64, shift: i64| {
        let low = e.b.ins().band_imm_s(word, keep);
        let high = e.b.ins().bxor(word, low);
        let high = e.b.ins().ishl_imm_u(high, shift);
        e.b.ins().bor(low, high)
    };
    let word = part(e, number, 0x0fff_ffff, 4);
    let word = part(e, word, 0x0000_3fff_0000_3fff, 2);
    part(e, word, 0x007f_007f_007f_007f, 1)
}

/// Counts the payload that was written.
fn finish(e: &mut Emit<'_>) {
    let out = e.b.use_var(e.out);
    let zero = e.load(e.io, at::OUT_ZERO);
    let end = e.b.ins().isub(out, zero);
    let rows = e.b.use_var(e.rows);
    let place = e.b.ins().ishl_imm_u(rows, 2);
    let ends = e.load(e.io, at::ENDS);
    let place = e.b.ins().iadd(ends, place);
    e.store_u32(end, place, 0);
    let rows = e.b.ins().iadd_imm_s(rows, 1);
    e.b.def_var(e.rows, rows);
}

impl NativeEncoder {
    /// An encoder of code that `body` wrote.
    pub(super) fn new(plan: &EncodePlan, code: Code) -> Result<Self, KernelError> {
        let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
        let one = BatchBuilder::new(Arc::new(RowLayout::new(types)));
        Ok(Self { code, interpreter: PlanEncoder::new(plan)?, one })
    }
}

impl Encoder for NativeEncoder {
    fn encode(&mut self, rows: &RowBatch, out: &mut PayloadArena, bad: &mut ErrorBuffer) {
        assert_eq!(
            rows.layout().columns(),
            self.one.layout().columns(),
            "the batch is of the plan's columns"
        );
        let mut from = 0;
        while from < rows.len() {
            let (exit, at) = self.code.rows_to_bytes(rows, from, out);
            if exit == Exit::Done {
                break;
            }
            self.one.push_row(rows.row(at), 1);
            let row = self.one.take();
            let mut failed = ErrorBuffer::default();
            self.interpreter.encode(&row, out, &mut failed);
            bad.errors.extend(failed.errors.into_iter().map(|e| RowError { row: at as u32, ..e }));
            self.one.recycle(row);
            from = at + 1;
        }
    }
}

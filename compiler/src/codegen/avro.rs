//! Avro decode plans to CLIF: one walk over a payload, every length and branch checked against what
//! is left. Columns become values where the walk passes them, without being copied: a text is the
//! address of its bytes in the payload. Data of forms that are rare or long (containers, DECIMALs,
//! UUIDs, blocks that are skipped) are read by the interpreter's own steps (`Shim::Datum`).
//!
//! What holds: between steps, `cursor` ≤ `end`, and every byte before `cursor` was read within the
//! payload. A varint is taken in one eight-byte load only where eight bytes are left.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I32, I64};
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Value};
use cranelift_frontend::Variable;
use flow_ir::decode_plan::{
    AvroDatum, AvroOp, AvroPlan, AvroScalar, AvroSkip, AvroStep, DecodePlan,
};
use flow_ir::kernel::KernelError;
use flow_ir::types::DataType;
use flow_stdlib::interp::decode::{FieldReader, Left};

use super::emit::{Cell, CellVar, Emit, Null};
use super::rows::is_text;
use super::scalar::{constant, result_cell};
use super::shims::{RawCell, RawInput, Shim};

/// The high bits of eight bytes; a varint's last byte is the first where it is clear.
const STOP_BITS: i64 = 0x8080_8080_8080_8080u64 as i64;
/// Union branches that are told apart by their first byte.
const BRANCHES_MAX: usize = 64;

/// A payload that is being walked.
pub(super) struct Walk<'p> {
    plan: &'p DecodePlan,
    avro: &'p AvroPlan,
    cursor: Variable,
    end: Value,
    /// The input as `Shim::Datum` shares it, if any step needs it.
    shared: Option<cranelift_codegen::ir::StackSlot>,
    columns: Vec<Column>,
    /// Check texts where they are read; else whoever takes them does.
    check_texts: bool,
}

/// A column of the row that is being made.
#[derive(Clone, Copy)]
enum Column {
    /// Not read yet: NULL.
    Unset,
    /// Read for certain.
    Set(Cell),
    /// Read in some branches.
    Var(CellVar),
}

impl<'p> Walk<'p> {
    /// Walks the payload of `len` bytes at `start` to its end.
    pub(super) fn run(
        e: &mut Emit<'_>,
        plan: &'p DecodePlan,
        avro: &'p AvroPlan,
        [start, len]: [Value; 2],
        check_texts: bool,
    ) -> Result<Vec<Cell>, KernelError> {
        let cursor = e.b.declare_var(I64);
        e.b.def_var(cursor, start);
        let end = e.b.ins().iadd(start, len);
        let columns = vec![Column::Unset; plan.columns.len()];
        let mut walk = Self { plan, avro, cursor, end, shared: None, columns, check_texts };
        for column in branched(&avro.steps, false) {
            walk.columns[column] = Column::Var(e.declare_null());
        }
        if avro.steps.iter().any(|step| is_shared(&step.op)) {
            walk.share(e, len);
        }
        walk.steps(e, &avro.steps)?;
        let at = e.b.use_var(cursor);
        let done = e.b.ins().icmp(IntCC::Equal, at, end);
        e.demand(done);
        let cells = walk.columns.clone().into_iter().map(|column| match column {
            Column::Unset => e.null(),
            Column::Set(cell) => cell,
            Column::Var(var) => e.get(var),
        });
        Ok(cells.collect())
    }

    /// Puts the input where `Shim::Datum` finds it.
    fn share(&mut self, e: &mut Emit<'_>, len: Value) {
        let slot = e.slot(size_of::<RawInput>() as u32);
        let memory = e.slot_address(slot);
        let left = Left::new(0);
        let items = e.b.ins().iadd_imm_s(len, left.items as i64);
        let words = e.word(left.words as i64);
        e.store(self.end, memory, 8);
        e.store(items, memory, 16);
        e.store(words, memory, 24);
        self.shared = Some(slot);
    }

    fn steps(&mut self, e: &mut Emit<'_>, steps: &'p [AvroStep]) -> Result<(), KernelError> {
        steps.iter().try_for_each(|step| self.step(e, &step.op))
    }

    fn step(&mut self, e: &mut Emit<'_>, op: &'p AvroOp) -> Result<(), KernelError> {
        match op {
            AvroOp::Skip(skip) => self.skip(e, skip),
            AvroOp::Read(column, datum) => {
                let ty = &self.plan.columns[*column as usize].ty.data;
                let cell = self.datum(e, datum, ty);
                self.set(e, *column, cell);
            }
            AvroOp::Default(column, value) => {
                let ty = &self.plan.columns[*column as usize].ty;
                let cell = constant(e, ty, value);
                self.set(e, *column, cell);
            }
            AvroOp::Union(branches) => {
                let join = e.b.create_block();
                for (block, steps) in self.branch(e, branches.len()).into_iter().zip(branches) {
                    e.b.switch_to_block(block);
                    self.steps(e, steps)?;
                    e.b.ins().jump(join, &[]);
                }
                e.b.switch_to_block(join);
            }
            AvroOp::Peek(steps) => {
                let before = e.b.use_var(self.cursor);
                self.steps(e, steps)?;
                e.b.def_var(self.cursor, before);
            }
        }
        Ok(())
    }

    fn set(&mut self, e: &mut Emit<'_>, column: u32, cell: Cell) {
        match &mut self.columns[column as usize] {
            Column::Var(var) => e.set(*var, cell),
            unset => *unset = Column::Set(cell),
        }
    }

    /// Reads a branch number; gives the blocks to go on in, one a branch. Other numbers, and such
    /// as take more than a byte, leave the record.
    fn branch(&mut self, e: &mut Emit<'_>, branches: usize) -> Vec<Block> {
        let byte = self.byte(e);
        let mut blocks = Vec::with_capacity(branches);
        for number in 0..branches.min(BRANCHES_MAX) {
            let (taken, other) = (e.b.create_block(), e.b.create_block());
            let hit = e.b.ins().icmp_imm_s(IntCC::Equal, byte, number as i64 * 2);
            e.b.ins().brif(hit, taken, &[], other, &[]);
            e.b.switch_to_block(other);
            blocks.push(taken);
        }
        e.give_up();
        blocks
    }

    /// The next byte.
    fn byte(&mut self, e: &mut Emit<'_>) -> Value {
        let at = e.b.use_var(self.cursor);
        let some = e.b.ins().icmp(IntCC::UnsignedLessThan, at, self.end);
        e.demand(some);
        let byte = e.load_byte(at, 0);
        let after = e.b.ins().iadd_imm_s(at, 1);
        e.b.def_var(self.cursor, after);
        byte
    }

    /// The address of this many bytes, which are passed over.
    fn take(&mut self, e: &mut Emit<'_>, bytes: Value) -> Value {
        let at = e.b.use_var(self.cursor);
        let left = e.b.ins().isub(self.end, at);
        let enough = e.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, left, bytes);
        e.demand(enough);
        let after = e.b.ins().iadd(at, bytes);
        e.b.def_var(self.cursor, after);
        at
    }

    /// Bytes after their length: address and length. A length of one or two bytes is the rule.
    fn lengthed(&mut self, e: &mut Emit<'_>) -> [Value; 2] {
        let at = e.b.use_var(self.cursor);
        let left = e.b.ins().isub(self.end, at);
        let some = e.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, left, 1);
        let [long, short, two, join] = std::array::from_fn(|_| e.b.create_block());
        for _ in 0..2 {
            e.b.append_block_param(join, I64);
        }
        // A single last byte can only be the length of nothing.
        e.go_on_if(some, long);
        let first = e.load_byte(at, 0);
        let one = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, first, 0x80);
        e.b.ins().brif(one, short, &[], two, &[]);

        e.b.switch_to_block(short);
        let width = e.word(1);
        e.b.ins().jump(join, &[first.into(), width.into()]);

        e.b.switch_to_block(two);
        let second = e.load_byte(at, 1);
        let ends = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, second, 0x80);
        e.go_on_if(ends, long);
        let low = e.b.ins().band_imm_s(first, 0x7f);
        let high = e.b.ins().ishl_imm_u(second, 7);
        let both = e.b.ins().bor(low, high);
        let width = e.word(2);
        e.b.ins().jump(join, &[both.into(), width.into()]);

        e.b.switch_to_block(long);
        e.b.set_cold_block(long);
        let [value, width] = self.varint_by_call(e, at, left);
        let doubled = e.b.ins().ishl_imm_u(value, 1);
        let whole = e.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, value, 0);
        e.demand(whole);
        e.b.ins().jump(join, &[doubled.into(), width.into()]);

        e.b.switch_to_block(join);
        let params = e.b.block_params(join);
        let (zigzag, width) = (params[0], params[1]);
        let sign = e.b.ins().band_imm_s(zigzag, 1);
        let positive = e.b.ins().icmp_imm_s(IntCC::Equal, sign, 0);
        e.demand(positive);
        let len = e.b.ins().ushr_imm_u(zigzag, 1);
        let start = e.b.ins().iadd(at, width);
        e.b.def_var(self.cursor, start);
        [self.take(e, len), len]
    }

    /// A varint by a call: its value and its bytes.
    fn varint_by_call(&mut self, e: &mut Emit<'_>, at: Value, left: Value) -> [Value; 2] {
        let slot = e.cells(1);
        let memory = e.slot_address(slot);
        let width = e.call(Shim::Varint, &[at, left, memory]);
        e.demand(width);
        [e.load(memory, 0), width]
    }

    /// A varint.
    fn long(&mut self, e: &mut Emit<'_>) -> Value {
        self.varint(e, true)
    }

    /// Takes a varint; gives its value if that is wanted. Eight bytes are looked at in one word:
    /// the lowest byte without its high bit ends the number, mask-and-shift steps close the gaps.
    fn varint(&mut self, e: &mut Emit<'_>, wanted: bool) -> Value {
        let at = e.b.use_var(self.cursor);
        let left = e.b.ins().isub(self.end, at);
        let [call, join] = std::array::from_fn(|_| e.b.create_block());
        for _ in 0..2 {
            e.b.append_block_param(join, I64);
        }
        let whole = e.b.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, left, 8);
        e.go_on_if(whole, call);
        let word = e.load_bytes(at, 0);
        let stop = e.b.ins().bnot(word);
        let stop = e.b.ins().band_imm_s(stop, STOP_BITS);
        e.go_on_if(stop, call);
        let width = width_of(e, stop);
        let value = if wanted { close_gaps(e, word, stop) } else { width };
        e.b.ins().jump(join, &[value.into(), width.into()]);

        e.b.switch_to_block(call);
        e.b.set_cold_block(call);
        let [value, width] = self.varint_by_call(e, at, left);
        e.b.ins().jump(join, &[value.into(), width.into()]);

        e.b.switch_to_block(join);
        let params = e.b.block_params(join);
        let (value, width) = (params[0], params[1]);
        let after = e.b.ins().iadd(at, width);
        e.b.def_var(self.cursor, after);
        value
    }

    /// A varint of at most so many bits.
    fn int(&mut self, e: &mut Emit<'_>, bits: u32) -> Value {
        let value = self.long(e);
        if bits < 64 {
            let shift = i64::from(64 - bits);
            let cut = e.b.ins().ishl_imm_u(value, shift);
            let cut = e.b.ins().sshr_imm_u(cut, shift);
            let same = e.b.ins().icmp(IntCC::Equal, cut, value);
            e.demand(same);
        }
        value
    }

    fn skip(&mut self, e: &mut Emit<'_>, skip: &AvroSkip) {
        match skip {
            AvroSkip::Varints(count) => (0..*count).for_each(|_| {
                self.varint(e, false);
            }),
            AvroSkip::Strings(count) => (0..*count).for_each(|_| {
                self.lengthed(e);
            }),
            AvroSkip::Bytes(count) => {
                let bytes = e.word(i64::try_from(*count).unwrap_or(i64::MAX));
                self.take(e, bytes);
            }
            AvroSkip::Union(branches) if branches.len() <= BRANCHES_MAX => {
                let join = e.b.create_block();
                for (block, skips) in self.branch(e, branches.len()).into_iter().zip(branches) {
                    e.b.switch_to_block(block);
                    skips.iter().for_each(|skip| self.skip(e, skip));
                    e.b.ins().jump(join, &[]);
                }
                e.b.switch_to_block(join);
            }
            AvroSkip::Union(_) | AvroSkip::Blocks(_) | AvroSkip::Recursive(_) => {
                self.by_reader(e, FieldReader::skip(skip, &self.avro.recursive));
            }
        }
    }

    /// A datum as a value of a type.
    fn datum(&mut self, e: &mut Emit<'_>, datum: &AvroDatum, ty: &DataType) -> Cell {
        match datum {
            AvroDatum::Null => e.null(),
            AvroDatum::Scalar(form) => match self.scalar(e, form, ty) {
                Some(cell) => cell,
                None => self.by_reader(e, self.reader(datum, ty)),
            },
            AvroDatum::Union(branches) if branches.len() <= BRANCHES_MAX => {
                let (join, var) = (e.b.create_block(), e.declare_null());
                for (block, datum) in self.branch(e, branches.len()).into_iter().zip(branches) {
                    e.b.switch_to_block(block);
                    let cell = self.datum(e, datum, ty);
                    e.set(var, cell);
                    e.b.ins().jump(join, &[]);
                }
                e.b.switch_to_block(join);
                e.get(var)
            }
            AvroDatum::Refuse(_) => {
                e.give_up();
                e.null()
            }
            AvroDatum::Union(_) | AvroDatum::Array(_) | AvroDatum::Map(_) | AvroDatum::Row(_) => {
                self.by_reader(e, self.reader(datum, ty))
            }
        }
    }

    fn reader(&self, datum: &AvroDatum, ty: &DataType) -> FieldReader {
        FieldReader::datum(datum, ty, &self.avro.recursive)
    }

    /// Takes a step by the interpreter's reader.
    fn by_reader(&mut self, e: &mut Emit<'_>, reader: FieldReader) -> Cell {
        let number = e.context.fields.len();
        e.context.fields.push(reader);
        let shared = self.shared.expect("steps that share the input are found beforehand");
        let (input, result) = (e.slot_address(shared), e.cells(1));
        let result = e.slot_address(result);
        let at = e.b.use_var(self.cursor);
        e.store(at, input, 0);
        let (context, number) = (e.context(), e.word(number as i64));
        let done = e.call(Shim::Datum, &[context, number, input, result]);
        e.demand(done);
        let after = e.load(input, 0);
        e.b.def_var(self.cursor, after);
        debug_assert_eq!(size_of::<RawCell>(), 24, "a cell is three words");
        result_cell(e, result)
    }

    /// A scalar; `None` for forms that the interpreter's reader takes.
    fn scalar(&mut self, e: &mut Emit<'_>, form: &AvroScalar, ty: &DataType) -> Option<Cell> {
        let low = match form {
            AvroScalar::Int | AvroScalar::Long => {
                let int = matches!(form, AvroScalar::Int);
                let bits = match ty {
                    DataType::Real | DataType::Double | DataType::Decimal { .. } => {
                        return None;
                    }
                    _ if int => ty.integer_bits().unwrap_or(32).min(32),
                    _ => 64,
                };
                self.int(e, bits)
            }
            AvroScalar::Date => self.int(e, 32),
            AvroScalar::TimestampMicros => self.long(e),
            AvroScalar::TimestampMillis => {
                let millis = self.long(e);
                let thousand = e.word(1_000);
                let (micros, over) = e.b.ins().smul_overflow(millis, thousand);
                e.fail_if(over);
                e.check();
                micros
            }
            AvroScalar::Boolean => {
                let byte = self.byte(e);
                let valid = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, byte, 2);
                e.demand(valid);
                byte
            }
            AvroScalar::Double => {
                let bytes = e.word(8);
                let at = self.take(e, bytes);
                e.load_bytes(at, 0)
            }
            AvroScalar::Float => self.float(e),
            AvroScalar::Bytes => {
                let [low, high] = self.lengthed(e);
                return Some(Cell { null: Null::Never, low, high });
            }
            AvroScalar::String if *ty != DataType::Json => {
                let [low, high] = self.lengthed(e);
                if self.check_texts && is_text(ty) {
                    let text = e.call(Shim::IsText, &[low, high]);
                    e.demand(text);
                }
                return Some(Cell { null: Null::Never, low, high });
            }
            AvroScalar::Fixed(size) => {
                let high = e.word(i64::from(*size));
                let low = self.take(e, high);
                return Some(Cell { null: Null::Never, low, high });
            }
            AvroScalar::Enum(symbols) => return Some(self.symbol(e, symbols)),
            AvroScalar::String
            | AvroScalar::Decimal { .. }
            | AvroScalar::UuidText
            | AvroScalar::UuidFixed
            | AvroScalar::UuidBytes
            | AvroScalar::TimeMillis
            | AvroScalar::TimeMicros
            | AvroScalar::TimestampNanos
            | AvroScalar::Duration => return None,
        };
        Some(Cell { null: Null::Never, low, high: low })
    }

    /// Four bytes of a float, as the word of a double.
    fn float(&mut self, e: &mut Emit<'_>) -> Value {
        let bytes = e.word(4);
        let at = self.take(e, bytes);
        let bits = e.load_4_bytes(at);
        let bits = e.b.ins().ireduce(I32, bits);
        let float = e.b.ins().bitcast(F32, MemFlagsData::new(), bits);
        let wide = e.b.ins().fpromote(F64, float);
        e.b.ins().bitcast(I64, MemFlagsData::new(), wide)
    }

    /// A symbol, from a table of addresses and lengths.
    fn symbol(&mut self, e: &mut Emit<'_>, symbols: &[String]) -> Cell {
        let mut table = Vec::with_capacity(symbols.len() * 2);
        for symbol in symbols {
            table.extend([e.context.constant(symbol.as_bytes()), symbol.len() as i64]);
        }
        let table = e.context.constant(bytemuck::cast_slice(&table));
        let table = e.word(table);
        let number = self.long(e);
        let known = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, number, symbols.len() as i64);
        e.demand(known);
        let place = e.b.ins().ishl_imm_u(number, 4);
        let place = e.b.ins().iadd(table, place);
        Cell { null: Null::Never, low: e.load(place, 0), high: e.load(place, 8) }
    }
}

/// The bits of a varint whose first stop bit is set in `stop`, without the gaps, unzigzagged.
fn close_gaps(e: &mut Emit<'_>, word: Value, stop: Value) -> Value {
    let below = e.b.ins().iadd_imm_s(stop, -1);
    let mask = e.b.ins().bxor(stop, below);
    let word = e.b.ins().band(word, mask);
    let word = e.b.ins().band_imm_s(word, !STOP_BITS);
    let fold = |e: &mut Emit<'_>, word: Value, keep: i64, shift: i64| {
        let low = e.b.ins().band_imm_s(word, keep);
        let high = e.b.ins().bxor(word, low);
        let high = e.b.ins().ushr_imm_u(high, shift);
        e.b.ins().bor(low, high)
    };
    let word = fold(e, word, 0x007f_007f_007f_007f, 1);
    let word = fold(e, word, 0x0000_3fff_0000_3fff, 2);
    let word = fold(e, word, 0x0fff_ffff, 4);
    let magnitude = e.b.ins().ushr_imm_u(word, 1);
    let sign = e.b.ins().band_imm_s(word, 1);
    let sign = e.b.ins().ineg(sign);
    e.b.ins().bxor(magnitude, sign)
}

/// Bytes of a varint by its stop bits.
fn width_of(e: &mut Emit<'_>, stop: Value) -> Value {
    let bits = e.b.ins().ctz(stop);
    let bits = e.b.ins().iadd_imm_s(bits, 1);
    e.b.ins().ushr_imm_u(bits, 3)
}

/// Columns that are set in branches only, or more than once.
fn branched(steps: &[AvroStep], inside: bool) -> Vec<usize> {
    let mut found = Vec::new();
    for step in steps {
        match &step.op {
            AvroOp::Skip(_) => {}
            AvroOp::Read(column, _) | AvroOp::Default(column, _) => {
                if inside {
                    found.push(*column as usize);
                }
            }
            AvroOp::Union(branches) => {
                branches.iter().for_each(|steps| found.extend(branched(steps, true)));
            }
            AvroOp::Peek(steps) => found.extend(branched(steps, inside)),
        }
    }
    found
}

/// Whether a step may be taken by the interpreter's reader.
fn is_shared(op: &AvroOp) -> bool {
    match op {
        AvroOp::Skip(skip) => skip_is_shared(skip),
        AvroOp::Read(_, datum) => datum_is_shared(datum),
        AvroOp::Default(..) => false,
        AvroOp::Union(branches) => branches.iter().flatten().any(|step| is_shared(&step.op)),
        AvroOp::Peek(steps) => steps.iter().any(|step| is_shared(&step.op)),
    }
}

fn skip_is_shared(skip: &AvroSkip) -> bool {
    match skip {
        AvroSkip::Varints(_) | AvroSkip::Strings(_) | AvroSkip::Bytes(_) => false,
        AvroSkip::Union(branches) => {
            branches.len() > BRANCHES_MAX || branches.iter().flatten().any(skip_is_shared)
        }
        AvroSkip::Blocks(_) | AvroSkip::Recursive(_) => true,
    }
}

/// Scalars count as shared: which of them are is known only with their types.
fn datum_is_shared(datum: &AvroDatum) -> bool {
    match datum {
        AvroDatum::Null | AvroDatum::Refuse(_) => false,
        AvroDatum::Scalar(form) => !matches!(form, AvroScalar::Boolean | AvroScalar::Double),
        AvroDatum::Array(_) | AvroDatum::Map(_) | AvroDatum::Row(_) => true,
        AvroDatum::Union(branches) => {
            branches.len() > BRANCHES_MAX || branches.iter().any(datum_is_shared)
        }
    }
}

//! Scalar programs to CLIF: one exhaustive match over the operations. Integers, floats, DECIMALs,
//! comparisons and logic are spelled out; what costs more than a call is one (`Shim::Instruction`).
//!
//! What holds: every register is an SSA value, computed without branches unless it takes a call. A
//! failure where the operands are not NULL and the guard is TRUE leaves the row to the interpreter.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64, I128};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use flow_ir::ids::Reg;
use flow_ir::kernel::KernelError;
use flow_ir::row::{BatchBuilder, RowLayout, push_value};
use flow_ir::scalar::{ArithOp, Inst, ScalarOp, ScalarProgram};
use flow_ir::types::{DataType, Slot, Type};
use flow_ir::value::Value as Constant;
use flow_stdlib::interp::Single;

use super::compare::compare;
use super::emit::{Cell, Emit, Null, kind_of};
use super::io::at;
use super::rows::load_column;
use super::shims::{Outlined, RawCell, Shim};

/// Bits of the widest DECIMAL product that is computed here.
const DIGITS_MAX: u32 = 38;

/// A program whose registers become values.
pub(super) struct Registers<'p> {
    program: &'p ScalarProgram,
    cells: Vec<Option<Cell>>,
}

impl<'p> Registers<'p> {
    /// No register is computed yet.
    pub(super) fn new(program: &'p ScalarProgram) -> Self {
        Self { program, cells: vec![None; program.insts.len()] }
    }

    /// The value of a register that was computed.
    pub(super) fn cell(&self, reg: Reg) -> Cell {
        self.cells[reg.index()].expect("operands are computed first")
    }

    /// Computes what these registers need and is not there yet. Columns come from `column`.
    pub(super) fn compute(
        &mut self,
        e: &mut Emit<'_>,
        roots: impl Iterator<Item = Reg>,
        mut column: impl FnMut(&mut Emit<'_>, usize) -> Cell,
    ) -> Result<(), KernelError> {
        let needed = self.program.needed(roots);
        for (index, inst) in self.program.insts.iter().enumerate() {
            if !needed[index] || self.cells[index].is_some() {
                continue;
            }
            let cell = match inst.op {
                ScalarOp::Column(number) => {
                    let cell = column(e, number as usize);
                    self.guarded(e, inst, cell)
                }
                _ => self.instruction(e, inst)?,
            };
            self.cells[index] = Some(cell);
        }
        Ok(())
    }

    /// The same value, NULL where the guard is not TRUE.
    fn guarded(&self, e: &mut Emit<'_>, inst: &Inst, cell: Cell) -> Cell {
        let shut = self.shut(e, inst);
        Cell { null: e.either_null(cell.null, shut), ..cell }
    }

    /// Where the guard is not TRUE.
    fn shut(&self, e: &mut Emit<'_>, inst: &Inst) -> Null {
        match inst.guard {
            None => Null::Never,
            Some(guard) => {
                let open = e.is_true(self.cell(guard));
                Null::When(e.not(open))
            }
        }
    }

    fn instruction(&mut self, e: &mut Emit<'_>, inst: &Inst) -> Result<Cell, KernelError> {
        let ty = |r: &Reg| &self.program.ty(*r).data;
        let cell = match &inst.op {
            ScalarOp::Column(_) => unreachable!("columns are taken from the input"),
            // These are the same for all rows, and have no guard that matters.
            ScalarOp::Const(value) => return Ok(constant(e, &inst.ty, value)),
            ScalarOp::Clock => {
                let low = e.load(e.io, at::CLOCK);
                return Ok(Cell { null: Null::Never, low, high: low });
            }
            ScalarOp::And(a, b) => self.logic(e, *a, *b, false),
            ScalarOp::Or(a, b) => self.logic(e, *a, *b, true),
            ScalarOp::Not(a) => {
                let a = self.cell(*a);
                let bit = e.b.ins().icmp_imm_s(IntCC::Equal, a.low, 0);
                e.boolean(bit, a.null)
            }
            ScalarOp::IsNull(a) => {
                let bit = e.null_bit(self.cell(*a).null);
                e.boolean(bit, Null::Never)
            }
            ScalarOp::Select(c, a, b) => self.select(e, *c, *a, *b),
            ScalarOp::Reinterpret(a) => self.cell(*a),
            ScalarOp::Arith(op, a, b) => {
                let types = [ty(a), ty(b), &inst.ty.data];
                match self.arith(e, inst, *op, types, [self.cell(*a), self.cell(*b)]) {
                    Some(cell) => cell,
                    None => return self.outline(e, inst),
                }
            }
            ScalarOp::Neg(a) => match self.negate(e, inst, self.cell(*a)) {
                Some(cell) => cell,
                None => return self.outline(e, inst),
            },
            ScalarOp::Compare(op, a, b) => {
                match compare(e, *op, ty(a), self.cell(*a), self.cell(*b)) {
                    Some(cell) => cell,
                    None => return self.outline(e, inst),
                }
            }
            ScalarOp::Cast(a) | ScalarOp::TryCast(a) => {
                match self.cast(e, inst, ty(a), self.cell(*a)) {
                    Some(cell) => cell,
                    None => return self.outline(e, inst),
                }
            }
            ScalarOp::Field(row, number) => match ty(row) {
                DataType::Row(fields) => {
                    let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
                    field(e, self.cell(*row), &RowLayout::new(types), *number as usize)
                }
                _ => return self.outline(e, inst),
            },
            ScalarOp::Element(..)
            | ScalarOp::MakeRow(_)
            | ScalarOp::MakeArray(_)
            | ScalarOp::Host(..)
            | ScalarOp::Each(_) => return self.outline(e, inst),
        };
        Ok(self.guarded(e, inst, cell))
    }

    /// AND (`decides` FALSE) and OR (`decides` TRUE).
    fn logic(&self, e: &mut Emit<'_>, a: Reg, b: Reg, decides: bool) -> Cell {
        let (a, b) = (self.cell(a), self.cell(b));
        let wanted = if decides { IntCC::NotEqual } else { IntCC::Equal };
        let decided = [a, b].map(|operand| {
            let bit = e.b.ins().icmp_imm_s(wanted, operand.low, 0);
            e.unless_null(bit, operand.null)
        });
        let decided = e.b.ins().bor(decided[0], decided[1]);
        let null = match e.either_null(a.null, b.null) {
            Null::Never => Null::Never,
            null => {
                let bit = e.null_bit(null);
                Null::When(e.b.ins().band_not(bit, decided))
            }
        };
        let bit = if decides { decided } else { e.not(decided) };
        e.boolean(bit, null)
    }

    fn select(&self, e: &mut Emit<'_>, c: Reg, a: Reg, b: Reg) -> Cell {
        let condition = e.is_true(self.cell(c));
        let (a, b) = (self.cell(a), self.cell(b));
        let null = match (a.null, b.null) {
            (Null::Never, Null::Never) => Null::Never,
            (Null::Always, Null::Always) => Null::Always,
            (x, y) => {
                let (x, y) = (e.null_bit(x), e.null_bit(y));
                Null::When(e.b.ins().select(condition, x, y))
            }
        };
        let low = e.b.ins().select(condition, a.low, b.low);
        let high = e.b.ins().select(condition, a.high, b.high);
        Cell { null, low, high }
    }

    /// Notes a failure of this instruction where its operands are there and its guard is TRUE.
    fn fail(&self, e: &mut Emit<'_>, inst: &Inst, null: Null, condition: Value) {
        let shut = self.shut(e, inst);
        let quiet = e.either_null(null, shut);
        let failed = e.unless_null(condition, quiet);
        e.fail_if(failed);
    }

    fn arith(
        &self,
        e: &mut Emit<'_>,
        inst: &Inst,
        op: ArithOp,
        [a_type, b_type, ty]: [&DataType; 3],
        [a, b]: [Cell; 2],
    ) -> Option<Cell> {
        let null = e.either_null(a.null, b.null);
        match ty {
            DataType::Real | DataType::Double => {
                let low = match op {
                    ArithOp::Rem => e.call(Shim::FloatRemainder, &[a.low, b.low]),
                    op => float_arith(e, op, a.low, b.low),
                };
                let low = if *ty == DataType::Real { round_to_real(e, low) } else { low };
                Some(Cell { null, low, high: low })
            }
            DataType::Decimal { .. } => {
                let low_high = decimal_arith(e, op, [a_type, b_type, ty], [a, b])?;
                Some(Cell { null, low: low_high[0], high: low_high[1] })
            }
            _ => {
                let bits = ty.integer_bits()?;
                let low = match op {
                    ArithOp::Add | ArithOp::Sub | ArithOp::Mul => {
                        let ins = e.b.ins();
                        let (low, over) = match op {
                            ArithOp::Add => ins.sadd_overflow(a.low, b.low),
                            ArithOp::Sub => ins.ssub_overflow(a.low, b.low),
                            _ => ins.smul_overflow(a.low, b.low),
                        };
                        if bits == 64 {
                            self.fail(e, inst, null, over);
                        }
                        low
                    }
                    // Narrow operands cannot overflow 64 bits, so that the range check says all.
                    ArithOp::Div | ArithOp::Rem => {
                        let zero = e.b.ins().icmp_imm_s(IntCC::Equal, b.low, 0);
                        self.fail(e, inst, null, zero);
                        self.divide(e, inst, null, op, [a.low, b.low], zero)
                    }
                };
                if bits < 64 {
                    let out = out_of_range(e, low, bits);
                    self.fail(e, inst, null, out);
                }
                Some(Cell { null, low, high: low })
            }
        }
    }

    /// Integer division that never traps: a divisor of 0 or −1 is replaced.
    fn divide(
        &self,
        e: &mut Emit<'_>,
        inst: &Inst,
        null: Null,
        op: ArithOp,
        [a, b]: [Value; 2],
        zero: Value,
    ) -> Value {
        let minus_one = e.b.ins().icmp_imm_s(IntCC::Equal, b, -1);
        let special = e.b.ins().bor(zero, minus_one);
        let one = e.word(1);
        let divisor = e.b.ins().select(special, one, b);
        if op == ArithOp::Rem {
            // The remainder by 1 is that by −1: 0.
            return e.b.ins().srem(a, divisor);
        }
        let quotient = e.b.ins().sdiv(a, divisor);
        let least = e.b.ins().icmp_imm_s(IntCC::Equal, a, i64::MIN);
        let over = e.b.ins().band(least, minus_one);
        self.fail(e, inst, null, over);
        let negated = e.b.ins().ineg(a);
        e.b.ins().select(minus_one, negated, quotient)
    }

    fn negate(&self, e: &mut Emit<'_>, inst: &Inst, a: Cell) -> Option<Cell> {
        let low = match &inst.ty.data {
            DataType::Real | DataType::Double => {
                let sign = e.word(i64::MIN);
                e.b.ins().bxor(a.low, sign)
            }
            ty => {
                let bits = ty.integer_bits()?;
                let low = e.b.ins().ineg(a.low);
                let over = match bits {
                    64 => e.b.ins().icmp_imm_s(IntCC::Equal, a.low, i64::MIN),
                    bits => out_of_range(e, low, bits),
                };
                self.fail(e, inst, a.null, over);
                low
            }
        };
        Some(Cell { null: a.null, low, high: low })
    }

    /// A cast between numbers that is an instruction or two. A lenient one is NULL out of range.
    fn cast(&self, e: &mut Emit<'_>, inst: &Inst, from: &DataType, a: Cell) -> Option<Cell> {
        let to = &inst.ty.data;
        match (from.integer_bits(), to) {
            (Some(narrow), _) if to.integer_bits().is_some_and(|wide| wide >= narrow) => Some(a),
            (Some(_), DataType::Double) => {
                let float = e.b.ins().fcvt_from_sint(F64, a.low);
                let low = e.b.ins().bitcast(I64, MemFlagsData::new(), float);
                Some(Cell { low, high: low, ..a })
            }
            (Some(_), _) => match (to.integer_bits(), to) {
                (Some(bits), _) => {
                    let out = out_of_range(e, a.low, bits);
                    if let ScalarOp::TryCast(_) = inst.op {
                        let out = e.unless_null(out, a.null);
                        return Some(Cell { null: e.either_null(a.null, Null::When(out)), ..a });
                    }
                    self.fail(e, inst, a.null, out);
                    Some(a)
                }
                (None, DataType::Decimal { precision: 19.., scale: 0 }) => {
                    let high = e.b.ins().sshr_imm_u(a.low, 63);
                    Some(Cell { high, ..a })
                }
                _ => None,
            },
            (None, _) => None,
        }
    }

    /// Calls the instruction's own function where its operands are there and its guard is TRUE.
    fn outline(&mut self, e: &mut Emit<'_>, inst: &Inst) -> Result<Cell, KernelError> {
        let single = Single::new(self.program, inst)?;
        let operands = inst.op.operands();
        let cells: Vec<Cell> = operands.iter().map(|reg| self.cell(*reg)).collect();
        if single.is_forward() {
            return Ok(self.guarded(e, inst, cells[0]));
        }
        let mut null = self.shut(e, inst);
        if !single.sees_nulls() {
            for cell in &cells {
                null = e.either_null(null, cell.null);
            }
        }
        let kinds = operands.iter().map(|reg| kind_of(&self.program.ty(*reg).data)).collect();
        let number = e.context.instructions.len();
        e.context.instructions.push(Outlined { single, operands: kinds });
        Ok(match null {
            Null::Always => e.null(),
            Null::Never => call_instruction(e, number, &cells),
            Null::When(bit) => {
                let (call, join) = (e.b.create_block(), e.b.create_block());
                let var = e.declare_null();
                e.b.ins().brif(bit, join, &[], call, &[]);
                e.b.switch_to_block(call);
                let given = call_instruction(e, number, &cells);
                e.set(var, given);
                e.b.ins().jump(join, &[]);
                e.b.switch_to_block(join);
                e.get(var)
            }
        })
    }
}

/// Calls instruction `number` with operands in memory.
fn call_instruction(e: &mut Emit<'_>, number: usize, operands: &[Cell]) -> Cell {
    let slot = e.cells(operands.len().max(1));
    let memory = e.slot_address(slot);
    for (i, cell) in operands.iter().enumerate() {
        let at = (i * size_of::<RawCell>()) as i32;
        let null = e.null_bit(cell.null);
        let null = e.b.ins().uextend(I64, null);
        e.store(null, memory, at);
        e.store(cell.low, memory, at + 8);
        e.store(cell.high, memory, at + 16);
    }
    let (context, number) = (e.context(), e.word(number as i64));
    let done = e.call(Shim::Instruction, &[context, number, memory, memory]);
    e.demand(done);
    result_cell(e, memory)
}

/// The cell that a shim wrote.
pub(super) fn result_cell(e: &mut Emit<'_>, memory: Value) -> Cell {
    let null = e.load(memory, 0);
    let null = e.b.ins().ireduce(I8, null);
    Cell { null: Null::When(null), low: e.load(memory, 8), high: e.load(memory, 16) }
}

/// A constant.
pub(super) fn constant(e: &mut Emit<'_>, ty: &Type, value: &Constant) -> Cell {
    let layout = std::sync::Arc::new(RowLayout::new(vec![ty.with_nullable(true)]));
    let column = layout.column(0);
    let mut builder = BatchBuilder::new(layout);
    builder.begin();
    push_value(&mut builder, 0, value);
    builder.finish(1);
    let batch = builder.take();
    let row = batch.row(0);
    if row.is_null(column) {
        return e.null();
    }
    let (low, high) = match column.slot {
        Slot::Word => (row.i64(column), row.i64(column)),
        Slot::Wide => (row.wide(column)[0] as i64, row.wide(column)[1] as i64),
        Slot::Var => {
            let bytes = row.var(column);
            (e.context.constant(bytes), bytes.len() as i64)
        }
    };
    Cell { null: Null::Never, low: e.word(low), high: e.word(high) }
}

/// A field of a ROW; NULL where the row is.
fn field(e: &mut Emit<'_>, row: Cell, layout: &RowLayout, number: usize) -> Cell {
    // Where the row is NULL its address is none: read the fields of a row of NULLs instead.
    let base = match row.null {
        Null::Never => row.low,
        Null::Always => return e.null(),
        Null::When(null) => {
            let words = vec![u64::MAX; layout.fixed_words()];
            let blank = e.context.constant(bytemuck::cast_slice(&words));
            let blank = e.word(blank);
            e.b.ins().select(null, blank, row.low)
        }
    };
    let cell = load_column(e, base, layout.column(number));
    Cell { null: e.either_null(row.null, cell.null), ..cell }
}

/// Whether a word does not fit so many bits, as I8.
fn out_of_range(e: &mut Emit<'_>, value: Value, bits: u32) -> Value {
    let narrow = match bits {
        8 => I8,
        16 => I16,
        _ => I32,
    };
    let cut = e.b.ins().ireduce(narrow, value);
    let cut = e.b.ins().sextend(I64, cut);
    e.b.ins().icmp(IntCC::NotEqual, cut, value)
}

pub(super) fn as_float(e: &mut Emit<'_>, word: Value) -> Value {
    e.b.ins().bitcast(F64, MemFlagsData::new(), word)
}

fn float_arith(e: &mut Emit<'_>, op: ArithOp, a: Value, b: Value) -> Value {
    let (a, b) = (as_float(e, a), as_float(e, b));
    let ins = e.b.ins();
    let value = match op {
        ArithOp::Add => ins.fadd(a, b),
        ArithOp::Sub => ins.fsub(a, b),
        ArithOp::Mul => ins.fmul(a, b),
        ArithOp::Div | ArithOp::Rem => ins.fdiv(a, b),
    };
    e.b.ins().bitcast(I64, MemFlagsData::new(), value)
}

fn round_to_real(e: &mut Emit<'_>, word: Value) -> Value {
    let wide = as_float(e, word);
    let narrow = e.b.ins().fdemote(F32, wide);
    let wide = e.b.ins().fpromote(F64, narrow);
    e.b.ins().bitcast(I64, MemFlagsData::new(), wide)
}

/// Sum, difference or product of DECIMALs whose result needs no rounding and always fits.
fn decimal_arith(
    e: &mut Emit<'_>,
    op: ArithOp,
    types: [&DataType; 3],
    operands: [Cell; 2],
) -> Option<[Value; 2]> {
    let [a, b, to] = types.map(|ty| match ty {
        DataType::Decimal { precision, scale } => Some((u32::from(*precision), u32::from(*scale))),
        _ => None,
    });
    let (a, b, to) = (a?, b?, to?);
    let (digits, scale) = match op {
        ArithOp::Add | ArithOp::Sub if a.1 == b.1 => (a.0.max(b.0) + 1, a.1),
        ArithOp::Mul => (a.0 + b.0, a.1 + b.1),
        ArithOp::Add | ArithOp::Sub | ArithOp::Div | ArithOp::Rem => return None,
    };
    if scale != to.1 || digits > to.0 || digits > DIGITS_MAX {
        return None;
    }
    let words = |ty: &DataType| ty.slot() == Slot::Word;
    let [x, y] = operands;
    if types.into_iter().all(words) {
        let ins = e.b.ins();
        let low = match op {
            ArithOp::Add => ins.iadd(x.low, y.low),
            ArithOp::Sub => ins.isub(x.low, y.low),
            _ => ins.imul(x.low, y.low),
        };
        return Some([low, low]);
    }
    let x = whole(e, x, types[0]);
    let y = whole(e, y, types[1]);
    let ins = e.b.ins();
    let value = match op {
        ArithOp::Add => ins.iadd(x, y),
        ArithOp::Sub => ins.isub(x, y),
        _ => ins.imul(x, y),
    };
    let (low, high) = e.b.ins().isplit(value);
    Some([low, high])
}

/// A number of one or two words as one of 128 bits.
pub(super) fn whole(e: &mut Emit<'_>, cell: Cell, ty: &DataType) -> Value {
    match ty.slot() {
        Slot::Word => e.b.ins().sextend(I128, cell.low),
        Slot::Wide | Slot::Var => e.b.ins().iconcat(cell.low, cell.high),
    }
}

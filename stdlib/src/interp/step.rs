//! One instruction, made ready: types are looked at once, when the kernel is made, and each step
//! is then one loop over its rows.

use flow_ir::ids::SiteId;
use flow_ir::kernel::{ErrorBuffer, ErrorCode, KernelError, RowError};
use flow_ir::row::{ArrayRef, Column, ContainerBuilder, RowBatch, RowLayout, RowRef};
use flow_ir::scalar::{ArithOp, CompareOp, Inst, ScalarOp, ScalarProgram};
use flow_ir::types::{DataType, Slot, Type};

use super::arith::{self, Arithmetic, split, wide};
use super::cast::Caster;
use super::compare::{self, Order};
use super::each::{self, Loop};
use super::register::{Frame, Register, Rows};
use crate::builtin::NullRule;
use crate::host::{self, HostArg, HostCx, HostError, HostFn};

/// What a step does. Numbers are registers.
#[derive(Debug)]
pub(super) enum Action {
    /// Loads a column.
    Column(Column),
    /// Nothing to do: the value is there.
    Constant,
    /// The epoch's clock.
    Clock,
    And(usize, usize),
    Or(usize, usize),
    Not(usize),
    IsNull(usize),
    Select(usize, usize, usize),
    Arith(ArithOp, Arithmetic, usize, usize),
    Neg(Negation, usize),
    Compare(CompareOp, Order, usize, usize),
    Cast {
        caster: Caster,
        lenient: bool,
        from: usize,
    },
    /// The value as it is.
    Forward(usize),
    Field {
        row: usize,
        column: Column,
        fixed_words: usize,
    },
    Element {
        array: usize,
        index: usize,
        item: Slot,
    },
    MakeRow {
        fields: Vec<(usize, Slot)>,
        builder: ContainerBuilder,
    },
    MakeArray {
        items: Vec<usize>,
        item: Slot,
        builder: ContainerBuilder,
    },
    Host {
        host: HostFn,
        cx: Box<HostCx>,
        args: Vec<usize>,
    },
    Each {
        each: Box<Loop>,
        args: Vec<usize>,
    },
}

/// How a number is negated.
#[derive(Clone, Copy, Debug)]
pub(super) enum Negation {
    /// An integer of this many bits.
    Integer(u32),
    /// A float.
    Float,
    /// A DECIMAL or, by its parts, an INTERVAL.
    Decimal(Slot),
    /// Months and microseconds.
    Interval,
}

/// Where the failures of one step go.
pub(super) struct Failures<'a> {
    /// All failures of the call.
    pub(super) bad: &'a mut ErrorBuffer,
    /// The rows that failed.
    pub(super) failed: &'a mut [bool],
    /// The step's place in the source.
    pub(super) site: Option<SiteId>,
}

impl Failures<'_> {
    /// A failure of the step.
    pub(super) fn note(&mut self, row: usize, error: &HostError) {
        self.failed[row] = true;
        self.bad.note(row, self.site, error.code, error.detail.as_deref());
    }

    /// A failure that has its own place.
    pub(super) fn inner(&mut self, row: usize, error: &RowError) {
        self.failed[row] = true;
        self.bad.note(row, error.site.or(self.site), error.code, error.detail.as_deref());
    }

    fn code(&mut self, row: usize, code: ErrorCode) {
        self.failed[row] = true;
        self.bad.note(row, self.site, code, None);
    }
}

/// What a step of this call works with.
pub(super) struct StepCx<'a> {
    /// The input.
    pub(super) batch: &'a RowBatch,
    /// The rows to compute.
    pub(super) rows: Rows<'a>,
    /// The epoch's clock.
    pub(super) clock: i64,
}

impl Action {
    /// The step of instruction `inst`.
    ///
    /// # Errors
    /// If it names an unknown host function or a cast that does not exist.
    pub(super) fn new(
        program: &ScalarProgram,
        layout: &RowLayout,
        inst: &Inst,
    ) -> Result<Self, KernelError> {
        let data = |r: &flow_ir::ids::Reg| &program.ty(*r).data;
        Ok(match &inst.op {
            ScalarOp::Column(index) => Action::Column(layout.column(*index as usize)),
            ScalarOp::Const(_) => Action::Constant,
            ScalarOp::Clock => Action::Clock,
            ScalarOp::And(a, b) => Action::And(a.index(), b.index()),
            ScalarOp::Or(a, b) => Action::Or(a.index(), b.index()),
            ScalarOp::Not(a) => Action::Not(a.index()),
            ScalarOp::IsNull(a) => Action::IsNull(a.index()),
            ScalarOp::Select(c, a, b) => Action::Select(c.index(), a.index(), b.index()),
            ScalarOp::Arith(op, a, b) => {
                let arithmetic = Arithmetic::of(data(a), data(b), &inst.ty.data)
                    .ok_or_else(|| KernelError(format!("no arithmetic on {}", inst.ty)))?;
                Action::Arith(*op, arithmetic, a.index(), b.index())
            }
            ScalarOp::Neg(a) => Action::Neg(Negation::of(&inst.ty.data), a.index()),
            ScalarOp::Compare(op, a, b) => {
                Action::Compare(*op, Order::of(data(a)), a.index(), b.index())
            }
            ScalarOp::Cast(a) | ScalarOp::TryCast(a) => {
                let caster = Caster::new(data(a), &inst.ty.data).ok_or_else(|| {
                    KernelError(format!("no cast from {} to {}", data(a), inst.ty.data))
                })?;
                let lenient = matches!(inst.op, ScalarOp::TryCast(_));
                match caster {
                    Caster::Same => Action::Forward(a.index()),
                    caster => Action::Cast { caster, lenient, from: a.index() },
                }
            }
            ScalarOp::Reinterpret(a) => Action::Forward(a.index()),
            ScalarOp::Field(a, index) => {
                let layout = fields_layout(data(a));
                let column = layout.column(*index as usize);
                Action::Field { row: a.index(), column, fixed_words: layout.fixed_words() }
            }
            ScalarOp::Element(a, index) => {
                Action::Element { array: a.index(), index: index.index(), item: inst.ty.slot() }
            }
            ScalarOp::MakeRow(args) => Action::MakeRow {
                fields: args.iter().map(|r| (r.index(), data(r).slot())).collect(),
                builder: ContainerBuilder::default(),
            },
            ScalarOp::MakeArray(args) => Action::MakeArray {
                items: args.iter().map(|r| r.index()).collect(),
                item: item_slot(&inst.ty.data),
                builder: ContainerBuilder::default(),
            },
            ScalarOp::Host(name, args) => {
                let host = *host::lookup(name)
                    .ok_or_else(|| KernelError(format!("no host function {name}")))?;
                let types = args.iter().map(|r| program.ty(*r).clone()).collect();
                let cx = Box::new(HostCx::new(types, inst.ty.clone()));
                Action::Host { host, cx, args: args.iter().map(|r| r.index()).collect() }
            }
            ScalarOp::Each(each) => Action::Each {
                each: Box::new(Loop::new(program, each)?),
                args: each.operands().iter().map(|r| r.index()).collect(),
            },
        })
    }

    /// Computes the step's register `out`, number `frame.registers.len()`, for the rows of `cx`.
    pub(super) fn run(
        &mut self,
        frame: Frame<'_>,
        out: &mut Register,
        cx: &StepCx<'_>,
        failures: &mut Failures<'_>,
    ) {
        let (r, rows) = (frame.registers, cx.rows);
        match self {
            Action::Constant => {}
            Action::Column(column) => rows.each(|row| {
                out.load(row, cx.batch.row(row), *column, cx.batch.starts()[row] as usize);
            }),
            Action::Clock => out.set_word(0, cx.clock as u64),
            Action::And(a, b) => logic(&r[*a], &r[*b], out, rows, false),
            Action::Or(a, b) => logic(&r[*a], &r[*b], out, rows, true),
            Action::Not(a) => {
                unary(&r[*a], out, rows, failures, |word| Ok(u64::from(word == 0)));
            }
            Action::IsNull(a) => {
                rows.each(|row| out.set_word(row, u64::from(r[*a].is_null(row))));
            }
            Action::Select(c, a, b) => rows.each(|row| {
                out.forward(row, if r[*c].is_true(row) { &r[*a] } else { &r[*b] });
            }),
            Action::Arith(op, arithmetic, a, b) => {
                arithmetic_step(*op, *arithmetic, [&r[*a], &r[*b]], out, rows, failures);
            }
            Action::Neg(negation, a) => negate_step(*negation, &r[*a], out, rows, failures),
            Action::Compare(op, order, a, b) => {
                compare_step(*op, order, [&r[*a], &r[*b]], frame, out, rows);
            }
            Action::Cast { caster, lenient, from } => {
                cast_step(caster, *lenient, &r[*from], frame, out, rows, failures);
            }
            Action::Forward(a) => rows.each(|row| out.forward(row, &r[*a])),
            Action::Field { row: of, column, fixed_words } => {
                field_step(&r[*of], *column, *fixed_words, frame, out, rows);
            }
            Action::Element { array, index, item } => {
                element_step([&r[*array], &r[*index]], *item, frame, out, rows);
            }
            Action::MakeRow { fields, builder } => rows.each(|row| {
                builder.clear();
                for (field, slot) in fields.iter() {
                    frame.arg(&r[*field], row).push_to(builder, *slot);
                }
                out.put(row, r.len(), |out| builder.finish_row(out.container()));
            }),
            Action::MakeArray { items, item, builder } => rows.each(|row| {
                builder.clear();
                for index in items.iter() {
                    frame.arg(&r[*index], row).push_to(builder, *item);
                }
                out.put(row, r.len(), |out| builder.finish_array(out.container()));
            }),
            Action::Host { host, cx, args } => {
                host_step(host, cx, args, frame, out, rows, failures);
            }
            Action::Each { each, args } => each::each_step(each, args, frame, out, rows, failures),
        }
    }
}

impl Negation {
    fn of(ty: &DataType) -> Self {
        match ty.integer_bits() {
            Some(bits) => Negation::Integer(bits),
            None if ty.is_float() => Negation::Float,
            None if *ty == DataType::Interval => Negation::Interval,
            None => Negation::Decimal(ty.slot()),
        }
    }
}

/// The layout of a ROW's fields.
fn fields_layout(ty: &DataType) -> RowLayout {
    let fields: Vec<Type> = match ty {
        DataType::Row(fields) => fields.iter().map(|f| f.ty.clone()).collect(),
        _ => Vec::new(),
    };
    RowLayout::new(fields)
}

fn item_slot(ty: &DataType) -> Slot {
    match ty {
        DataType::Array(item) => item.slot(),
        _ => Slot::Word,
    }
}

/// AND (`decides` FALSE) and OR (`decides` TRUE): an operand of the deciding value decides, else
/// NULL if one is NULL.
fn logic(a: &Register, b: &Register, out: &mut Register, rows: Rows<'_>, decides: bool) {
    rows.each(|row| {
        let (a_null, b_null) = (a.is_null(row), b.is_null(row));
        let (a, b) = (a.word(row) != 0, b.word(row) != 0);
        if (!a_null && a == decides) || (!b_null && b == decides) {
            out.set_word(row, u64::from(decides));
        } else if a_null || b_null {
            out.set_null(row);
        } else {
            out.set_word(row, u64::from(!decides));
        }
    });
}

/// A strict step from one word to one word.
fn unary(
    a: &Register,
    out: &mut Register,
    rows: Rows<'_>,
    failures: &mut Failures<'_>,
    compute: impl Fn(u64) -> Result<u64, ErrorCode>,
) {
    rows.each(|row| {
        if a.is_null(row) {
            return out.set_null(row);
        }
        match compute(a.word(row)) {
            Ok(word) => out.set_word(row, word),
            Err(code) => {
                out.set_null(row);
                failures.code(row, code);
            }
        }
    });
}

/// A strict step from two words to one word.
fn binary(
    [a, b]: [&Register; 2],
    out: &mut Register,
    rows: Rows<'_>,
    failures: &mut Failures<'_>,
    compute: impl Fn(u64, u64) -> Result<u64, ErrorCode>,
) {
    rows.each(|row| {
        let (i, j) = (a.at(row), b.at(row));
        if a.nulls[i] | b.nulls[j] {
            return out.set_null(row);
        }
        match compute(a.low[i], b.low[j]) {
            Ok(word) => out.set_word(row, word),
            Err(code) => {
                out.set_null(row);
                failures.code(row, code);
            }
        }
    });
}

fn arithmetic_step(
    op: ArithOp,
    arithmetic: Arithmetic,
    operands: [&Register; 2],
    out: &mut Register,
    rows: Rows<'_>,
    failures: &mut Failures<'_>,
) {
    let float = |a: u64, b: u64| arith::float(op, f64::from_bits(a), f64::from_bits(b));
    match arithmetic {
        Arithmetic::Integer(bits) => binary(operands, out, rows, failures, |a, b| {
            arith::integer(op, a as i64, b as i64, bits).map(|v| v as u64)
        }),
        Arithmetic::Real => {
            binary(
                operands,
                out,
                rows,
                failures,
                |a, b| Ok(f64::from(float(a, b) as f32).to_bits()),
            )
        }
        Arithmetic::Double => {
            binary(operands, out, rows, failures, |a, b| Ok(float(a, b).to_bits()));
        }
        Arithmetic::Decimal { a, b, to, slot } => rows.each(|row| {
            let [x, y] = operands;
            if x.is_null(row) || y.is_null(row) {
                return out.set_null(row);
            }
            let (x, y) = (decimal_at(x, row, a.1), decimal_at(y, row, b.1));
            match crate::decimal::arith(op, (x, a.0), (y, b.0), to) {
                Ok(value) => set_decimal(out, row, value, slot),
                Err(code) => {
                    out.set_null(row);
                    failures.code(row, code);
                }
            }
        }),
    }
}

fn decimal_at(register: &Register, row: usize, slot: Slot) -> i128 {
    match slot {
        Slot::Word => i128::from(register.word(row) as i64),
        Slot::Wide | Slot::Var => wide(register.wide(row)),
    }
}

fn set_decimal(out: &mut Register, row: usize, value: i128, slot: Slot) {
    match slot {
        Slot::Word => out.set_word(row, value as u64),
        Slot::Wide | Slot::Var => out.set_wide(row, split(value)),
    }
}

fn negate_step(
    negation: Negation,
    a: &Register,
    out: &mut Register,
    rows: Rows<'_>,
    failures: &mut Failures<'_>,
) {
    match negation {
        Negation::Integer(bits) => unary(a, out, rows, failures, |word| {
            arith::integer(ArithOp::Sub, 0, word as i64, bits).map(|v| v as u64)
        }),
        Negation::Float => {
            unary(a, out, rows, failures, |word| Ok((-f64::from_bits(word)).to_bits()));
        }
        Negation::Decimal(slot) => rows.each(|row| {
            if a.is_null(row) {
                return out.set_null(row);
            }
            set_decimal(out, row, decimal_at(a, row, slot).wrapping_neg(), slot);
        }),
        Negation::Interval => rows.each(|row| {
            if a.is_null(row) {
                return out.set_null(row);
            }
            let [months, micros] = a.wide(row);
            match ((months as i64).checked_neg(), (micros as i64).checked_neg()) {
                (Some(months), Some(micros)) => out.set_wide(row, [months as u64, micros as u64]),
                _ => {
                    out.set_null(row);
                    failures.code(row, ErrorCode::Overflow);
                }
            }
        }),
    }
}

fn compare_step(
    op: CompareOp,
    order: &Order,
    [a, b]: [&Register; 2],
    frame: Frame<'_>,
    out: &mut Register,
    rows: Rows<'_>,
) {
    let mut each = |compare: &dyn Fn(usize) -> std::cmp::Ordering| {
        rows.each(|row| {
            if a.is_null(row) || b.is_null(row) {
                return out.set_null(row);
            }
            out.set_word(row, u64::from(compare::holds(op, compare(row))));
        });
    };
    match order {
        Order::Signed => signed(op, [a, b], out, rows),
        Order::Float => {
            each(&|row| compare::floats(f64::from_bits(a.word(row)), f64::from_bits(b.word(row))))
        }
        Order::SignedWide | Order::UnsignedWide | Order::Interval => {
            each(&|row| compare::wides(order, a.wide(row), b.wide(row)));
        }
        Order::Bytes => each(&|row| frame.bytes(a, row).cmp(frame.bytes(b, row))),
        Order::Container(ty) => {
            each(&|row| compare::containers(ty, frame.words(a, row), frame.words(b, row)));
        }
    }
}

/// The comparison that most filters are: of words, one loop an operation.
fn signed(op: CompareOp, [a, b]: [&Register; 2], out: &mut Register, rows: Rows<'_>) {
    let mut each = |holds: fn(i64, i64) -> bool| {
        rows.each(|row| {
            let (i, j) = (a.at(row), b.at(row));
            out.nulls[row] = a.nulls[i] | b.nulls[j];
            out.low[row] = u64::from(holds(a.low[i] as i64, b.low[j] as i64));
        });
    };
    match op {
        CompareOp::Eq => each(|a, b| a == b),
        CompareOp::Ne => each(|a, b| a != b),
        CompareOp::Lt => each(|a, b| a < b),
        CompareOp::Le => each(|a, b| a <= b),
        CompareOp::Gt => each(|a, b| a > b),
        CompareOp::Ge => each(|a, b| a >= b),
    }
}

fn cast_step(
    caster: &Caster,
    lenient: bool,
    from: &Register,
    frame: Frame<'_>,
    out: &mut Register,
    rows: Rows<'_>,
    failures: &mut Failures<'_>,
) {
    let home = frame.registers.len();
    rows.each(|row| {
        let arg = frame.arg(from, row);
        if arg.is_null() {
            return out.set_null(row);
        }
        let done = out.put(row, home, |out| {
            let done = caster.cast(arg, out);
            if done.is_err() {
                out.null();
            }
            done
        });
        if let Err(error) = done
            && !lenient
        {
            failures.note(row, &error);
        }
    });
}

fn field_step(
    of: &Register,
    column: Column,
    fixed_words: usize,
    frame: Frame<'_>,
    out: &mut Register,
    rows: Rows<'_>,
) {
    rows.each(|row| {
        if of.is_null(row) {
            return out.set_null(row);
        }
        let words = frame.words(of, row);
        if words.len() < fixed_words || RowRef::new(words).is_null(column) {
            return out.set_null(row);
        }
        let at = column.word as usize;
        let high = if column.slot == Slot::Wide { words[at + 1] } else { 0 };
        out.load_part(row, of, [words[at], high]);
    });
}

fn element_step(
    [array, index]: [&Register; 2],
    item: Slot,
    frame: Frame<'_>,
    out: &mut Register,
    rows: Rows<'_>,
) {
    rows.each(|row| {
        if array.is_null(row) || index.is_null(row) {
            return out.set_null(row);
        }
        let elements = ArrayRef::new(frame.words(array, row), item);
        let at = usize::try_from((index.word(row) as i64).wrapping_sub(1)).ok();
        match at.filter(|at| *at < elements.len() && !elements.is_null(*at)) {
            Some(at) if item == Slot::Wide => out.load_part(row, array, elements.wide(at)),
            Some(at) => out.load_part(row, array, [elements.word(at), 0]),
            None => out.set_null(row),
        }
    });
}

fn host_step(
    host: &HostFn,
    cx: &mut HostCx,
    args: &[usize],
    frame: Frame<'_>,
    out: &mut Register,
    rows: Rows<'_>,
    failures: &mut Failures<'_>,
) {
    let home = frame.registers.len();
    let mut values: Vec<HostArg<'_>> = Vec::with_capacity(args.len());
    rows.each(|row| {
        values.clear();
        values.extend(args.iter().map(|a| frame.arg(&frame.registers[*a], row)));
        if host.nulls == NullRule::Strict && values.iter().any(|v| v.is_null()) {
            return out.set_null(row);
        }
        let done = out.put(row, home, |out| {
            let done = (host.call)(cx, &values, out);
            if done.is_err() {
                out.null();
            }
            done
        });
        if let Err(error) = done {
            failures.note(row, &error);
        }
    });
}

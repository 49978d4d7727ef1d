//! Random well-typed programs: every operation over registers of every type, with guards, sites and
//! calls of every builtin. Types say NOT NULL where the compiler's own programs do, so a register
//! that says so is NULL at most where its instruction failed.

use flow_ir::ids::{Reg, SiteId};
use flow_ir::kernel::KernelSpec;
use flow_ir::scalar::{ArithOp, CompareOp, Inst, ScalarOp, ScalarProgram};
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_stdlib::coerce::castable;

use crate::batch::Pool;
use crate::source::Source;
use crate::types::{any_type, data_type, decimal_type, scalar_type};
use crate::values::value;

/// Columns of the input, and outputs; more than 64 have a second word of null bits.
const COLUMNS_MAX: usize = 70;
/// Steps of which a program is made; a builtin may take several instructions.
const STEPS_MAX: usize = 24;
/// Bytes that an operand takes at most, as far as can be told; results may be larger.
const OPERAND_BYTES_MAX: usize = 16 << 10;
/// Levels of the types that programs make.
pub(super) const DEPTH_MAX: usize = 5;
/// Places in the source that failures point to.
const SITES: usize = 6;

const ARITH: [ArithOp; 5] = [ArithOp::Add, ArithOp::Sub, ArithOp::Mul, ArithOp::Div, ArithOp::Rem];
const COMPARE: [CompareOp; 6] =
    [CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge];

/// A kernel's program and values for its input.
pub(super) fn random(s: &mut Source<'_>) -> (KernelSpec, Pool) {
    let types = column_types(s);
    let pool = Pool::new(s, types.clone());
    let size = |values: &Vec<Value>| values.iter().map(|v| format!("{v:?}").len()).max();
    let sizes = pool.columns().iter().map(|values| size(values).unwrap_or(0));
    (program(s, types, sizes.collect()), pool)
}

/// A kernel's program over rows that come from elsewhere.
pub(crate) fn random_over(s: &mut Source<'_>, types: Vec<Type>) -> KernelSpec {
    let sizes = types.iter().map(|ty| 8 * ty.slot().words() + 64).collect();
    program(s, types, sizes)
}

fn program(s: &mut Source<'_>, types: Vec<Type>, sizes: Vec<usize>) -> KernelSpec {
    let mut maker = Maker { s, program: ScalarProgram::new(types), sizes: Vec::new(), bodies: 0 };
    for (i, size) in sizes.into_iter().enumerate() {
        let ty = maker.program.input[i].clone();
        maker.add(Inst { op: ScalarOp::Column(i as u32), ty, guard: None, site: None }, size);
    }
    for _ in 0..maker.s.below(STEPS_MAX) {
        maker.step();
    }
    maker.finish()
}

fn column_types(s: &mut Source<'_>) -> Vec<Type> {
    let count = if s.once_in(24) { COLUMNS_MAX - s.below(10) } else { 1 + s.below(8) };
    let mut types: Vec<Type> = Vec::new();
    for _ in 0..count {
        let again = !types.is_empty() && s.once_in(3);
        types.push(if again { s.pick(&types).clone() } else { any_type(s, 2) });
    }
    types
}

/// A program under construction.
pub(super) struct Maker<'s, 'a> {
    pub(super) s: &'s mut Source<'a>,
    pub(super) program: ScalarProgram,
    /// Bytes that a value of each register takes, as far as can be told.
    pub(super) sizes: Vec<usize>,
    /// Bodies around this program.
    pub(super) bodies: usize,
}

impl Maker<'_, '_> {
    fn finish(self) -> KernelSpec {
        let Self { s, program, .. } = self;
        let count = program.insts.len();
        if count == 0 {
            return KernelSpec { program, filter: None, outputs: Vec::new() };
        }
        let columns = program.input.len();
        let booleans: Vec<usize> =
            (0..count).filter(|&i| program.insts[i].ty.data == DataType::Boolean).collect();
        let filter = (!booleans.is_empty() && s.once_in(2)).then(|| Reg::from(*s.pick(&booleans)));
        let outputs = match s.below(8) {
            0 => (0..count).map(Reg::from).collect(),
            1 => (0..columns).map(Reg::from).collect(),
            2 => Vec::new(),
            3 => (0..s.below(COLUMNS_MAX)).map(|_| Reg::from(s.below(count))).collect(),
            _ => (0..1 + s.below(8)).map(|_| Reg::from(count - 1 - s.below(count))).collect(),
        };
        KernelSpec { program, filter, outputs }
    }

    pub(super) fn step(&mut self) {
        match self.s.below(24) {
            0..=2 => self.arith(),
            3 | 4 => self.compare(),
            5 => self.logic(),
            6 => self.select(),
            7 | 8 => self.cast(),
            9 => self.is_null(),
            10 => self.negate(),
            11 => self.make_row(),
            12 => self.make_array(),
            13 => self.field(),
            14 => self.element(),
            15 => self.reinterpret(),
            16 if self.bodies == 0 => self.clock(),
            17 => self.each(),
            _ => self.call(),
        }
    }

    /// Appends an instruction.
    pub(super) fn add(&mut self, inst: Inst, size: usize) -> Reg {
        self.sizes.push(size);
        self.program.push(inst)
    }

    /// Appends an instruction, perhaps under a guard. It may be NULL where an operand may, unless
    /// `nullable` says that it may be anyway.
    pub(super) fn push(
        &mut self,
        op: ScalarOp,
        data: DataType,
        nullable: Option<bool>,
        size: usize,
    ) {
        let strict = || op.operands().iter().any(|r| self.program.ty(*r).nullable);
        let nullable = nullable.unwrap_or_else(strict);
        let guard = if self.s.once_in(5) { self.existing(&DataType::Boolean) } else { None };
        let site = self.s.once_in(2).then(|| SiteId::from(self.s.below(SITES)));
        let ty = Type { data, nullable: nullable || guard.is_some() };
        self.add(Inst { op, ty, guard, site }, size);
    }

    pub(super) fn ty(&self, reg: Reg) -> &DataType {
        &self.program.ty(reg).data
    }

    pub(super) fn size(&self, of: &[Reg]) -> usize {
        of.iter().map(|r| self.sizes[r.index()]).sum()
    }

    fn existing(&mut self, data: &DataType) -> Option<Reg> {
        self.fitting(|ty| ty == data)
    }

    /// A register whose type fits and whose values are not too large.
    fn fitting(&mut self, fits: impl Fn(&DataType) -> bool) -> Option<Reg> {
        let all = self.program.insts.iter().zip(&self.sizes).enumerate();
        let found: Vec<usize> = all
            .filter(|(_, (inst, size))| **size <= OPERAND_BYTES_MAX && fits(&inst.ty.data))
            .map(|(i, _)| i)
            .collect();
        (!found.is_empty()).then(|| Reg::from(*self.s.pick(&found)))
    }

    /// A register whose type fits, or a new constant.
    pub(super) fn operand(
        &mut self,
        fits: impl Fn(&DataType) -> bool,
        make: impl FnOnce(&mut Source<'_>) -> DataType,
    ) -> Reg {
        let found = if self.s.once_in(5) { None } else { self.fitting(fits) };
        found.unwrap_or_else(|| {
            let ty = Type { data: make(self.s), nullable: self.s.once_in(4) };
            let value = value(self.s, &ty);
            self.constant(value, ty.data)
        })
    }

    pub(super) fn operand_of(&mut self, data: &DataType) -> Reg {
        self.operand(|ty| ty == data, |_| data.clone())
    }

    pub(super) fn constant(&mut self, value: Value, data: DataType) -> Reg {
        let size = format!("{value:?}").len();
        let ty = Type { data, nullable: value.is_null() };
        self.add(Inst { op: ScalarOp::Const(value), ty, guard: None, site: None }, size)
    }

    fn any(&mut self) -> Reg {
        self.operand(|_| true, |s| data_type(s, 2))
    }

    fn boolean(&mut self) -> Reg {
        self.operand_of(&DataType::Boolean)
    }

    fn arith(&mut self) {
        let a = self.operand(DataType::is_numeric, scalar_number);
        let data = self.ty(a).clone();
        let decimal = |ty: &DataType| matches!(ty, DataType::Decimal { .. });
        let (b, data) = match decimal(&data) {
            true => (self.operand(decimal, decimal_type), decimal_type(self.s)),
            false => (self.operand_of(&data), data),
        };
        let op = *self.s.pick(&ARITH);
        self.push(ScalarOp::Arith(op, a, b), data, None, 16);
    }

    fn negate(&mut self) {
        let fits = |ty: &DataType| ty.is_numeric() || *ty == DataType::Interval;
        let a = self.operand(fits, |_| DataType::Interval);
        let data = self.ty(a).clone();
        self.push(ScalarOp::Neg(a), data, None, 16);
    }

    fn compare(&mut self) {
        let a = self.any();
        let data = self.ty(a).clone();
        let b = self.operand_of(&data);
        let op = *self.s.pick(&COMPARE);
        self.push(ScalarOp::Compare(op, a, b), DataType::Boolean, None, 8);
    }

    fn logic(&mut self) {
        let (a, b) = (self.boolean(), self.boolean());
        let op = match self.s.below(3) {
            0 => ScalarOp::And(a, b),
            1 => ScalarOp::Or(a, b),
            _ => ScalarOp::Not(a),
        };
        self.push(op, DataType::Boolean, None, 8);
    }

    fn is_null(&mut self) {
        let a = self.any();
        self.push(ScalarOp::IsNull(a), DataType::Boolean, Some(false), 8);
    }

    fn select(&mut self) {
        let (condition, a) = (self.boolean(), self.any());
        let data = self.ty(a).clone();
        let b = self.operand_of(&data);
        let nullable = self.program.ty(a).nullable || self.program.ty(b).nullable;
        let size = self.size(&[a]).max(self.size(&[b]));
        self.push(ScalarOp::Select(condition, a, b), data, Some(nullable), size);
    }

    fn clock(&mut self) {
        let data = DataType::TimestampLtz { precision: 6 };
        let ty = Type::not_null(data);
        self.add(Inst { op: ScalarOp::Clock, ty, guard: None, site: None }, 8);
    }

    /// A cast; once in a while one that does not exist.
    fn cast(&mut self) {
        let a = self.any();
        let from = self.ty(a).clone();
        let tries = if self.s.once_in(100) { 1 } else { 6 };
        let mut to = DataType::String;
        for _ in 0..tries {
            to = if self.s.once_in(3) { scalar_type(self.s) } else { vary(self.s, &from) };
            if castable(&from, &to) {
                break;
            }
        }
        if tries > 1 && !castable(&from, &to) {
            to = DataType::String;
        }
        let size = 4 * self.size(&[a]) + 64;
        match self.s.once_in(3) {
            true => self.push(ScalarOp::TryCast(a), to, Some(true), size),
            false => self.push(ScalarOp::Cast(a), to, None, size),
        }
    }

    fn reinterpret(&mut self) {
        let counts = |ty: &DataType| {
            ty.is_integer()
                || ty.is_timestamp()
                || matches!(ty, DataType::Date | DataType::Time { .. })
        };
        let texts = |ty: &DataType| matches!(ty, DataType::String | DataType::Json);
        let a = self.operand(|ty| counts(ty) || texts(ty), |_| DataType::BigInt);
        let data = match self.ty(a) {
            DataType::BigInt => DataType::Timestamp { precision: 6 },
            DataType::Json => DataType::String,
            DataType::String => DataType::Bytes,
            _ => DataType::BigInt,
        };
        let size = self.size(&[a]);
        self.push(ScalarOp::Reinterpret(a), data, None, size);
    }

    fn make_row(&mut self) {
        let mut args = Vec::new();
        for _ in 0..1 + self.s.below(4) {
            let shallow = |ty: &DataType| ty.depth() < DEPTH_MAX;
            args.push(self.operand(shallow, |s| data_type(s, 1)));
        }
        let field =
            |(i, r): (usize, &Reg)| Field::new(format!("f{i}"), self.program.ty(*r).clone());
        let data = DataType::Row(args.iter().enumerate().map(field).collect());
        let size = self.size(&args) + 16;
        self.push(ScalarOp::MakeRow(args), data, Some(false), size);
    }

    fn make_array(&mut self) {
        let first = self.operand(|ty| ty.depth() < DEPTH_MAX, |s| data_type(s, 1));
        let data = self.ty(first).clone();
        let mut args = Vec::new();
        for i in 0..self.s.below(4) {
            args.push(if i == 0 { first } else { self.operand_of(&data) });
        }
        let nullable = args.iter().any(|r| self.program.ty(*r).nullable);
        let data = DataType::Array(Box::new(Type { data, nullable }));
        let size = self.size(&args) + 32;
        self.push(ScalarOp::MakeArray(args), data, Some(false), size);
    }

    fn field(&mut self) {
        let row = |ty: &DataType| matches!(ty, DataType::Row(_));
        let make = |s: &mut Source<'_>| {
            DataType::Row((0..2).map(|i| Field::new(format!("f{i}"), any_type(s, 1))).collect())
        };
        let a = self.operand(row, make);
        let Type { data: DataType::Row(fields), nullable } = self.program.ty(a).clone() else {
            return;
        };
        if fields.is_empty() {
            return;
        }
        let index = self.s.below(fields.len());
        let Type { data, nullable: inner } = fields[index].ty.clone();
        let size = self.size(&[a]);
        self.push(ScalarOp::Field(a, index as u32), data, Some(nullable || inner), size);
    }

    fn element(&mut self) {
        let array = |ty: &DataType| matches!(ty, DataType::Array(_));
        let make = |s: &mut Source<'_>| DataType::Array(Box::new(any_type(s, 1)));
        let a = self.operand(array, make);
        let index = self.operand(DataType::is_integer, |_| DataType::Int);
        let DataType::Array(item) = self.ty(a).clone() else { return };
        let size = self.size(&[a]);
        self.push(ScalarOp::Element(a, index), item.data, Some(true), size);
    }
}

fn scalar_number(s: &mut Source<'_>) -> DataType {
    let ty = scalar_type(s);
    if ty.is_numeric() { ty } else { DataType::BigInt }
}

/// A type of the same shape with other parts.
fn vary(s: &mut Source<'_>, ty: &DataType) -> DataType {
    let mut part = |ty: &Type| Type { data: vary(s, &ty.data), nullable: !s.once_in(3) };
    match ty {
        DataType::Array(item) => DataType::Array(Box::new(part(item))),
        DataType::Map(key, value) => {
            let key = part(key).with_nullable(false);
            DataType::Map(Box::new(key), Box::new(part(value)))
        }
        DataType::Row(fields) => {
            DataType::Row(fields.iter().map(|f| Field::new(f.name.clone(), part(&f.ty))).collect())
        }
        scalar if s.once_in(3) => scalar.clone(),
        _ => scalar_type(s),
    }
}

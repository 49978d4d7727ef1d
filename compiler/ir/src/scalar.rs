//! Scalar programs: straight-line code over registers, one instruction a register. The closed set
//! of operations that the interpreter runs batch-wise and that native code is generated for; a new
//! builtin never adds to it.
//!
//! Rules that hold for every instruction:
//! * operands come before it (`verify`);
//! * where its guard is not TRUE the result is NULL and nothing is noted; columns, constants and
//!   the clock take none (`verify`);
//! * strict operations (all but AND, OR, IsNull, Select, MakeRow, MakeArray, Host and Each) give
//!   NULL where an operand is NULL;
//! * where it fails, the error (row, site, code) is noted and the result is NULL.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::each::Each;
use crate::ids::{Reg, SiteId};
use crate::types::{DataType, Slot, Type};
use crate::value::Value;

/// Instructions of one program at most.
pub const PROGRAM_INSTRUCTIONS_MAX: usize = 100_000;

/// Straight-line code over the columns of one row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScalarProgram {
    /// Types of the input row's columns.
    pub input: Vec<Type>,
    /// The instructions; number i writes register i.
    pub insts: Vec<Inst>,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inst {
    /// What it does.
    pub op: ScalarOp,
    /// Type of the register it writes.
    pub ty: Type,
    /// A BOOLEAN register; where it is not TRUE this instruction gives NULL and cannot fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Reg>,
    /// Where a failure points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteId>,
}

/// The operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ScalarOp {
    /// A column of the input row.
    Column(u32),
    /// A constant of the instruction's type.
    Const(Value),
    /// The epoch's clock, microseconds since 1970 (TIMESTAMP_LTZ).
    Clock,
    /// Three-valued AND.
    And(Reg, Reg),
    /// Three-valued OR.
    Or(Reg, Reg),
    /// Three-valued NOT.
    Not(Reg),
    /// TRUE where the operand is NULL, else FALSE.
    IsNull(Reg),
    /// The second where the first is TRUE, else the third.
    Select(Reg, Reg, Reg),
    /// Checked arithmetic. Integers and floats: both operands and the result of one type (REAL
    /// rounds to 32 bits after each operation). DECIMAL: operands of any precision and scale, the
    /// exact result rounded half away from zero to the result type. Integer division truncates,
    /// `Rem` keeps the dividend's sign, also for floats.
    Arith(ArithOp, Reg, Reg),
    /// Checked negation of a number or INTERVAL.
    Neg(Reg),
    /// Comparison of two values of one data type, by the order of their key bytes except that
    /// `−0.0 = 0.0` and NaN is one value above all others.
    Compare(CompareOp, Reg, Reg),
    /// Conversion to the instruction's type as CAST defines it.
    Cast(Reg),
    /// As `Cast`, NULL where it would fail.
    TryCast(Reg),
    /// The same bits under another type of the same slot.
    Reinterpret(Reg),
    /// A field of a ROW.
    Field(Reg, u32),
    /// An element of an ARRAY, counted from 1; NULL outside.
    Element(Reg, Reg),
    /// A ROW of these registers.
    MakeRow(Vec<Reg>),
    /// An ARRAY of these registers.
    MakeArray(Vec<Reg>),
    /// A host function by name (`stdlib::host`).
    Host(String, Vec<Reg>),
    /// A program for each element of arrays.
    Each(Box<Each>),
}

/// Arithmetic operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ArithOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CompareOp {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl ScalarOp {
    /// The registers it reads, in order.
    pub fn operands(&self) -> Vec<Reg> {
        match self {
            ScalarOp::Column(_) | ScalarOp::Const(_) | ScalarOp::Clock => Vec::new(),
            ScalarOp::Not(a)
            | ScalarOp::IsNull(a)
            | ScalarOp::Neg(a)
            | ScalarOp::Cast(a)
            | ScalarOp::TryCast(a)
            | ScalarOp::Reinterpret(a)
            | ScalarOp::Field(a, _) => vec![*a],
            ScalarOp::And(a, b)
            | ScalarOp::Or(a, b)
            | ScalarOp::Arith(_, a, b)
            | ScalarOp::Compare(_, a, b)
            | ScalarOp::Element(a, b) => vec![*a, *b],
            ScalarOp::Select(a, b, c) => vec![*a, *b, *c],
            ScalarOp::MakeRow(args) | ScalarOp::MakeArray(args) | ScalarOp::Host(_, args) => {
                args.clone()
            }
            ScalarOp::Each(each) => each.operands(),
        }
    }
}

/// Why a program is not well formed: a bug in the compiler, or altered bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProgram {
    /// The instruction.
    pub inst: usize,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for InvalidProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}: {}", self.inst, self.why)
    }
}

impl ScalarProgram {
    /// A program over rows with these columns.
    pub fn new(input: Vec<Type>) -> Self {
        Self { input, insts: Vec::new() }
    }

    /// Appends an instruction and gives its register.
    pub fn push(&mut self, inst: Inst) -> Reg {
        let reg = Reg::from(self.insts.len());
        self.insts.push(inst);
        reg
    }

    /// Type of a register.
    pub fn ty(&self, reg: Reg) -> &Type {
        &self.insts[reg.index()].ty
    }

    /// Which instructions these registers need, themselves included.
    pub fn needed(&self, roots: impl Iterator<Item = Reg>) -> Vec<bool> {
        let mut needed = vec![false; self.insts.len()];
        roots.for_each(|root| needed[root.index()] = true);
        for (index, inst) in self.insts.iter().enumerate().rev() {
            if needed[index] {
                for reg in inst.op.operands().into_iter().chain(inst.guard) {
                    needed[reg.index()] = true;
                }
            }
        }
        needed
    }

    /// Checks that every operand is defined before its use and has a type that the operation
    /// takes. Everything that runs a program may rely on it.
    ///
    /// # Errors
    /// The first instruction that breaks a rule.
    pub fn verify(&self) -> Result<(), InvalidProgram> {
        if self.insts.len() > PROGRAM_INSTRUCTIONS_MAX {
            return Err(InvalidProgram {
                inst: self.insts.len(),
                why: "too many instructions".into(),
            });
        }
        for (i, inst) in self.insts.iter().enumerate() {
            self.verify_inst(i, inst).map_err(|why| InvalidProgram { inst: i, why })?;
        }
        Ok(())
    }

    fn verify_inst(&self, at: usize, inst: &Inst) -> Result<(), String> {
        for reg in inst.op.operands().into_iter().chain(inst.guard) {
            if reg.index() >= at {
                return Err(format!("r{} is not defined before", reg.0));
            }
        }
        if let Some(guard) = inst.guard {
            expect(self.ty(guard).data == DataType::Boolean, "the guard is not BOOLEAN")?;
            let given =
                matches!(inst.op, ScalarOp::Column(_) | ScalarOp::Const(_) | ScalarOp::Clock);
            expect(!given, "what is given takes no guard")?;
        }
        let data = |reg: Reg| &self.ty(reg).data;
        let boolean = |reg: Reg| expect(*data(reg) == DataType::Boolean, "operand is not BOOLEAN");
        match &inst.op {
            ScalarOp::Column(index) => {
                let ty = self.input.get(*index as usize).ok_or("no such column")?;
                expect(ty.data == inst.ty.data, "the column is of another type")
            }
            ScalarOp::Const(value) => {
                expect(value_fits(value, &inst.ty.data), "the constant is of another type")
            }
            ScalarOp::Clock => expect(inst.ty.data.is_timestamp(), "the clock is a timestamp"),
            ScalarOp::And(a, b) | ScalarOp::Or(a, b) => boolean(*a).and(boolean(*b)),
            ScalarOp::Not(a) => boolean(*a),
            ScalarOp::IsNull(_) => {
                expect(inst.ty.data == DataType::Boolean, "the result is not BOOLEAN")
            }
            ScalarOp::Select(c, a, b) => {
                boolean(*c)?;
                let same = *data(*a) == inst.ty.data && *data(*b) == inst.ty.data;
                expect(same, "both branches must be of the result's type")
            }
            ScalarOp::Arith(_, a, b) => {
                let decimal = |d: &DataType| matches!(d, DataType::Decimal { .. });
                let all = [data(*a), data(*b), &inst.ty.data];
                let same = all[0] == all[1] && all[1] == all[2] && all[0].is_numeric();
                expect(same || all.into_iter().all(decimal), "operands are not one number type")
            }
            ScalarOp::Neg(a) => {
                let number = data(*a).is_numeric() || *data(*a) == DataType::Interval;
                expect(number && *data(*a) == inst.ty.data, "operand is not the result's type")
            }
            ScalarOp::Compare(_, a, b) => {
                expect(data(*a) == data(*b), "operands are of different types")
            }
            ScalarOp::Cast(_) | ScalarOp::TryCast(_) | ScalarOp::Host(..) => Ok(()),
            ScalarOp::Reinterpret(a) => {
                let slots = data(*a).slot() == inst.ty.slot();
                let containers = data(*a).is_container() || inst.ty.data.is_container();
                expect(slots && !containers, "the slots differ")
            }
            ScalarOp::Field(a, index) => verify_field(data(*a), *index as usize, &inst.ty.data),
            ScalarOp::Each(each) => each.verify(data, &inst.ty.data),
            ScalarOp::Element(a, index) => verify_element(data(*a), data(*index), &inst.ty.data),
            ScalarOp::MakeRow(args) => verify_row(args.iter().map(|a| data(*a)), &inst.ty.data),
            ScalarOp::MakeArray(args) => verify_array(args.iter().map(|a| data(*a)), &inst.ty.data),
        }
    }
}

fn verify_field(row: &DataType, index: usize, result: &DataType) -> Result<(), String> {
    let DataType::Row(fields) = row else { return Err(format!("{row} has no fields")) };
    let field = fields.get(index).ok_or("no such field")?;
    expect(field.ty.data == *result, "the field is of another type")
}

fn verify_element(array: &DataType, index: &DataType, result: &DataType) -> Result<(), String> {
    let DataType::Array(item) = array else { return Err(format!("{array} has no elements")) };
    expect(item.data == *result, "the element is of another type")?;
    expect(index.is_integer(), "the index is not an integer")
}

fn verify_row<'a>(
    args: impl Iterator<Item = &'a DataType>,
    result: &DataType,
) -> Result<(), String> {
    let DataType::Row(fields) = result else { return Err(format!("a row is not {result}")) };
    expect(args.eq(fields.iter().map(|f| &f.ty.data)), "the fields are of other types")
}

fn verify_array<'a>(
    mut args: impl Iterator<Item = &'a DataType>,
    result: &DataType,
) -> Result<(), String> {
    let DataType::Array(item) = result else { return Err(format!("an array is not {result}")) };
    expect(args.all(|arg| *arg == item.data), "the elements are of other types")
}

fn expect(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_string()) }
}

/// Whether a value may stand where this type is expected.
pub fn value_fits(value: &Value, ty: &DataType) -> bool {
    match (value, ty) {
        (Value::Null, _)
        | (Value::Boolean(_), DataType::Boolean)
        | (Value::Float(_), DataType::Real | DataType::Double)
        | (Value::String(_), DataType::String)
        | (Value::Bytes(_), DataType::Bytes)
        | (Value::Date(_), DataType::Date)
        | (Value::Time(_), DataType::Time { .. })
        | (Value::Timestamp(_), DataType::Timestamp { .. })
        | (Value::TimestampLtz(_), DataType::TimestampLtz { .. })
        | (Value::Interval { .. }, DataType::Interval)
        | (Value::Uuid(_), DataType::Uuid)
        | (Value::Json(_), DataType::Json) => true,
        (Value::Int(v), ty) => match ty.integer_bits() {
            Some(64) => true,
            Some(bits) => (-(1i64 << (bits - 1))..1i64 << (bits - 1)).contains(v),
            None => false,
        },
        (Value::Decimal(v), DataType::Decimal { precision, .. }) => {
            *precision <= crate::types::DECIMAL_MAX_PRECISION
                && v.unsigned_abs() < 10u128.pow(u32::from(*precision))
                && (ty.slot() == Slot::Wide || i64::try_from(*v).is_ok())
        }
        (Value::Array(values), DataType::Array(item)) => {
            values.iter().all(|v| value_fits(v, &item.data))
        }
        (Value::Map(entries), DataType::Map(key, item)) => entries
            .iter()
            .all(|(k, v)| !k.is_null() && value_fits(k, &key.data) && value_fits(v, &item.data)),
        (Value::Row(values), DataType::Row(fields)) => {
            values.len() == fields.len()
                && values.iter().zip(fields.iter()).all(|(v, f)| value_fits(v, &f.ty.data))
        }
        _ => false,
    }
}

impl fmt::Display for ScalarProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, inst) in self.insts.iter().enumerate() {
            write!(f, "r{i}: {} = {}", inst.ty, inst.op)?;
            match inst.guard {
                Some(guard) => writeln!(f, " if r{}", guard.0)?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for ScalarOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = match self {
            ScalarOp::Column(index) => return write!(f, "column {index}"),
            ScalarOp::Const(value) => return write!(f, "const {value:?}"),
            ScalarOp::Clock => "clock".into(),
            ScalarOp::And(..) => "and".into(),
            ScalarOp::Or(..) => "or".into(),
            ScalarOp::Not(_) => "not".into(),
            ScalarOp::IsNull(_) => "is_null".into(),
            ScalarOp::Select(..) => "select".into(),
            ScalarOp::Arith(op, ..) => format!("{op:?}").to_lowercase(),
            ScalarOp::Neg(_) => "neg".into(),
            ScalarOp::Compare(op, ..) => format!("{op:?}").to_lowercase(),
            ScalarOp::Cast(_) => "cast".into(),
            ScalarOp::TryCast(_) => "try_cast".into(),
            ScalarOp::Reinterpret(_) => "reinterpret".into(),
            ScalarOp::Field(_, index) => format!("field[{index}]"),
            ScalarOp::Element(..) => "element".into(),
            ScalarOp::MakeRow(_) => "row".into(),
            ScalarOp::MakeArray(_) => "array".into(),
            ScalarOp::Host(name, _) => format!("host {name}"),
            ScalarOp::Each(each) => return write!(f, "{each}"),
        };
        f.write_str(&name)?;
        for reg in self.operands() {
            write!(f, " r{}", reg.0)?;
        }
        Ok(())
    }
}

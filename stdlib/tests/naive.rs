//! The interpreter against a naive evaluator: random programs of arithmetic, comparison and logic
//! over random rows with NULLs and extremes, one row and one value at a time.

use std::cmp::Ordering;
use std::sync::Arc;

use flow_ir::ids::Reg;
use flow_ir::kernel::{ErrorBuffer, ErrorCode, Kernel, KernelCx, KernelSpec, OnError};
use flow_ir::row::{BatchBuilder, RowLayout, push_value, read_value};
use flow_ir::scalar::{ArithOp, CompareOp, Inst, ScalarOp, ScalarProgram};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::interp::InterpKernel;
use proptest::prelude::*;

const DECIMAL: DataType = DataType::Decimal { precision: 9, scale: 2 };
const WIDE: DataType = DataType::Decimal { precision: 30, scale: 4 };

/// Columns, two of each type.
fn input() -> Vec<Type> {
    let kinds = [
        DataType::Boolean,
        DataType::TinyInt,
        DataType::BigInt,
        DataType::Double,
        DataType::Real,
        DECIMAL,
        DataType::String,
    ];
    kinds.iter().flat_map(|d| [Type::nullable(d.clone()), Type::nullable(d.clone())]).collect()
}

fn value_of(ty: &DataType) -> BoxedStrategy<Value> {
    let value = match ty {
        DataType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        DataType::TinyInt => prop_oneof![Just(-128i64), Just(127), Just(-1), -128i64..128]
            .prop_map(Value::Int)
            .boxed(),
        DataType::BigInt => {
            prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(-1), -5i64..5, any::<i64>()]
                .prop_map(Value::Int)
                .boxed()
        }
        DataType::Double => prop_oneof![
            Just(f64::NAN),
            Just(-0.0),
            Just(f64::INFINITY),
            Just(f64::MIN_POSITIVE),
            -5.0..5.0f64,
            any::<f64>()
        ]
        .prop_map(Value::Float)
        .boxed(),
        DataType::Real => prop_oneof![Just(f32::MAX), Just(-0.0), any::<f32>()]
            .prop_map(|v| Value::Float(f64::from(v)))
            .boxed(),
        DataType::String => prop_oneof!["[a-c]{0,3}", ".{0,12}"].prop_map(Value::String).boxed(),
        _ => prop_oneof![Just(999_999_999i128), Just(-999_999_999), -300i128..300]
            .prop_map(Value::Decimal)
            .boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 5 => value].boxed()
}

/// What a random instruction does; its operands are chosen among the registers that fit.
#[derive(Clone, Debug)]
enum Choice {
    Arith(ArithOp),
    Neg,
    Compare(CompareOp),
    And,
    Or,
    Not,
    IsNull,
    Select,
}

fn choice() -> impl Strategy<Value = (Choice, [u16; 4])> {
    let op = prop_oneof![
        Just(ArithOp::Add),
        Just(ArithOp::Sub),
        Just(ArithOp::Mul),
        Just(ArithOp::Div),
        Just(ArithOp::Rem)
    ];
    let compare = prop_oneof![
        Just(CompareOp::Eq),
        Just(CompareOp::Ne),
        Just(CompareOp::Lt),
        Just(CompareOp::Le),
        Just(CompareOp::Gt),
        Just(CompareOp::Ge)
    ];
    let choice = prop_oneof![
        4 => op.prop_map(Choice::Arith),
        1 => Just(Choice::Neg),
        4 => compare.prop_map(Choice::Compare),
        2 => Just(Choice::And),
        2 => Just(Choice::Or),
        1 => Just(Choice::Not),
        1 => Just(Choice::IsNull),
        2 => Just(Choice::Select),
    ];
    (choice, any::<[u16; 4]>())
}

/// The program that the choices make over the columns; choices that nothing fits are left out.
fn program(choices: &[(Choice, [u16; 4])]) -> ScalarProgram {
    let mut program = ScalarProgram::new(input());
    for (i, ty) in input().into_iter().enumerate() {
        program.push(Inst { op: ScalarOp::Column(i as u32), ty, guard: None, site: None });
    }
    for (choice, pick) in choices {
        let count = program.insts.len();
        let first = Reg(u32::from(pick[0]) % count as u32);
        let data = program.ty(first).data.clone();
        let of = |data: &DataType, pick: u16| {
            let fits: Vec<u32> =
                (0..count as u32).filter(|r| program.ty(Reg(*r)).data == *data).collect();
            Reg(fits[usize::from(pick) % fits.len()])
        };
        let boolean = |pick| of(&DataType::Boolean, pick);
        let second = of(&data, pick[1]);
        let (op, data) = match choice {
            Choice::Arith(op) if data.is_numeric() => {
                let result = if matches!(data, DataType::Decimal { .. }) { WIDE } else { data };
                (ScalarOp::Arith(*op, first, second), result)
            }
            Choice::Neg if data.is_numeric() => (ScalarOp::Neg(first), data),
            Choice::Compare(op) => (ScalarOp::Compare(*op, first, second), DataType::Boolean),
            Choice::And => (ScalarOp::And(boolean(pick[1]), boolean(pick[2])), DataType::Boolean),
            Choice::Or => (ScalarOp::Or(boolean(pick[1]), boolean(pick[2])), DataType::Boolean),
            Choice::Not => (ScalarOp::Not(boolean(pick[1])), DataType::Boolean),
            Choice::IsNull => (ScalarOp::IsNull(first), DataType::Boolean),
            Choice::Select => (ScalarOp::Select(boolean(pick[2]), first, second), data),
            Choice::Arith(_) | Choice::Neg => continue,
        };
        let guard = (pick[3] % 3 == 0).then(|| boolean(pick[3] / 3));
        program.push(Inst { op, ty: Type::nullable(data), guard, site: None });
    }
    program
}

/// All registers of one row, and whether an instruction failed.
fn naive(program: &ScalarProgram, row: &[Value]) -> (Vec<Value>, bool) {
    let mut registers: Vec<Value> = Vec::new();
    let mut failed = false;
    for inst in &program.insts {
        let open = inst.guard.is_none_or(|g| registers[g.index()] == Value::Boolean(true));
        let value = match open {
            true => one(inst, row, &registers, program),
            false => Ok(Value::Null),
        };
        failed |= value.is_err();
        registers.push(value.unwrap_or(Value::Null));
    }
    (registers, failed)
}

fn one(
    inst: &Inst,
    row: &[Value],
    r: &[Value],
    program: &ScalarProgram,
) -> Result<Value, ErrorCode> {
    let get = |reg: &Reg| r[reg.index()].clone();
    let truth = |reg: &Reg| match get(reg) {
        Value::Boolean(v) => Some(v),
        _ => None,
    };
    let known = |v: Option<bool>| v.map_or(Value::Null, Value::Boolean);
    Ok(match &inst.op {
        ScalarOp::Column(index) => row[*index as usize].clone(),
        ScalarOp::And(a, b) => known(match (truth(a), truth(b)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }),
        ScalarOp::Or(a, b) => known(match (truth(a), truth(b)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }),
        ScalarOp::Not(a) => known(truth(a).map(|v| !v)),
        ScalarOp::IsNull(a) => Value::Boolean(get(a).is_null()),
        ScalarOp::Select(c, a, b) => get(if truth(c) == Some(true) { a } else { b }),
        ScalarOp::Compare(op, a, b) => match (get(a), get(b)) {
            (Value::Null, _) | (_, Value::Null) => Value::Null,
            (a, b) => Value::Boolean(compares(*op, order(&a, &b))),
        },
        ScalarOp::Neg(a) => match get(a) {
            Value::Int(v) => integer(v.checked_neg().map(i128::from), &inst.ty.data)?,
            Value::Float(v) => Value::Float(-v),
            Value::Decimal(v) => Value::Decimal(-v),
            _ => Value::Null,
        },
        ScalarOp::Arith(op, a, b) => match (get(a), get(b)) {
            (Value::Int(a), Value::Int(b)) => {
                integer(arith(*op, i128::from(a), i128::from(b))?, &inst.ty.data)?
            }
            (Value::Float(a), Value::Float(b)) => {
                let value = float(*op, a, b);
                let real = inst.ty.data == DataType::Real;
                Value::Float(if real { f64::from(value as f32) } else { value })
            }
            (Value::Decimal(x), Value::Decimal(y)) => {
                decimal(*op, (x, scale(program.ty(*a))), (y, scale(program.ty(*b))))?
            }
            _ => Value::Null,
        },
        other => panic!("{other} is not generated"),
    })
}

fn scale(ty: &Type) -> u32 {
    match ty.data {
        DataType::Decimal { scale, .. } => u32::from(scale),
        _ => 0,
    }
}

fn arith(op: ArithOp, a: i128, b: i128) -> Result<Option<i128>, ErrorCode> {
    Ok(match op {
        ArithOp::Add => a.checked_add(b),
        ArithOp::Sub => a.checked_sub(b),
        ArithOp::Mul => a.checked_mul(b),
        ArithOp::Div | ArithOp::Rem if b == 0 => return Err(ErrorCode::DivisionByZero),
        ArithOp::Div => a.checked_div(b),
        ArithOp::Rem => a.checked_rem(b),
    })
}

fn integer(value: Option<i128>, ty: &DataType) -> Result<Value, ErrorCode> {
    let bits = ty.integer_bits().expect("an integer type");
    let limit = 1i128 << (bits - 1);
    let value = value.filter(|v| (-limit..limit).contains(v)).ok_or(ErrorCode::Overflow)?;
    Ok(Value::Int(value as i64))
}

fn float(op: ArithOp, a: f64, b: f64) -> f64 {
    match op {
        ArithOp::Add => a + b,
        ArithOp::Sub => a - b,
        ArithOp::Mul => a * b,
        ArithOp::Div => a / b,
        ArithOp::Rem => a % b,
    }
}

/// A DECIMAL(30, 4) by schoolbook digits: both numbers as text fractions of 10^12, in 256 bits by
/// splitting into quotient and remainder.
fn decimal(op: ArithOp, (a, sa): (i128, u32), (b, sb): (i128, u32)) -> Result<Value, ErrorCode> {
    let pow = |n: u32| 10i128.pow(n);
    let aligned = |v: i128, s: u32| v.checked_mul(pow(4 - s)).ok_or(ErrorCode::Overflow);
    let (x, y) = (aligned(a, sa)?, aligned(b, sb)?);
    let value = match op {
        ArithOp::Add => x + y,
        ArithOp::Sub => x - y,
        ArithOp::Rem if y == 0 => return Err(ErrorCode::DivisionByZero),
        ArithOp::Rem => x % y,
        ArithOp::Div if y == 0 => return Err(ErrorCode::DivisionByZero),
        ArithOp::Div => {
            let (whole, rest) = (x / y, x % y);
            let sign = if (rest < 0) == (y < 0) { 1 } else { -1 };
            let (mut digits, mut rest) = (0i128, rest.abs());
            for _ in 0..4 {
                rest *= 10;
                digits = digits * 10 + rest / y.abs();
                rest %= y.abs();
            }
            digits += i128::from(rest >= y.abs() - rest);
            whole.checked_mul(10_000).ok_or(ErrorCode::Overflow)? + sign * digits
        }
        ArithOp::Mul => {
            let (high, low) = (x / 10_000, x % 10_000);
            let high = high.checked_mul(y).ok_or(ErrorCode::Overflow)?;
            let low = low.checked_mul(y).ok_or(ErrorCode::Overflow)?;
            let (rest, low) = (low % 10_000, low / 10_000);
            high.checked_add(low).ok_or(ErrorCode::Overflow)? + rest / 5_000
        }
    };
    if value.abs() < pow(30) { Ok(Value::Decimal(value)) } else { Err(ErrorCode::Overflow) }
}

fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => a.partial_cmp(b).expect("no NaN"),
        },
        other => panic!("{other:?} are of two types"),
    }
}

fn compares(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Eq => order == Ordering::Equal,
        CompareOp::Ne => order != Ordering::Equal,
        CompareOp::Lt => order == Ordering::Less,
        CompareOp::Le => order != Ordering::Greater,
        CompareOp::Gt => order == Ordering::Greater,
        CompareOp::Ge => order != Ordering::Less,
    }
}

fn rows() -> impl Strategy<Value = Vec<Vec<Value>>> {
    let row: Vec<_> = input().iter().map(|ty| value_of(&ty.data)).collect();
    prop::collection::vec(row, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_agrees_with_one_row_at_a_time(
        choices in prop::collection::vec(choice(), 1..25),
        rows in rows(),
        filtered in any::<bool>(),
        keep in any::<bool>(),
    ) {
        let program = program(&choices);
        prop_assert!(program.verify().is_ok());
        let last = Reg(program.insts.len() as u32 - 1);
        let filter = (0..program.insts.len() as u32)
            .map(Reg)
            .rfind(|r| program.ty(*r).data == DataType::Boolean)
            .filter(|_| filtered);
        let outputs: Vec<Reg> = (0..=last.0).map(Reg).collect();
        let spec = KernelSpec { program, filter, outputs };
        let mut input = BatchBuilder::new(Arc::new(RowLayout::new(spec.program.input.clone())));
        for row in &rows {
            input.begin();
            for (column, value) in row.iter().enumerate() {
                push_value(&mut input, column, value);
            }
            input.finish(1);
        }
        let on_error = if keep { OnError::KeepNull } else { OnError::DropRow };
        let mut out = BatchBuilder::new(spec.output_layout());
        let mut bad = ErrorBuffer::default();
        let mut kernel = InterpKernel::new(&spec).expect("a kernel");
        kernel.run(&input.take(), &KernelCx { clock: 0, on_error }, &mut out, &mut bad);
        let out = out.take();
        let mut want = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let (registers, failed) = naive(&spec.program, row);
            let passes = filter.is_none_or(|f| registers[f.index()] == Value::Boolean(true));
            if passes {
                let noted = bad.errors.iter().any(|e| e.row as usize == i);
                prop_assert_eq!(noted, failed, "row {} fails\n{}", i, spec.program);
            }
            if passes && (keep || !failed) {
                want.push(registers);
            }
        }
        prop_assert_eq!(out.len(), want.len(), "rows\n{}", spec.program);
        let layout = out.layout();
        for (i, registers) in want.iter().enumerate() {
            for (column, value) in registers.iter().enumerate() {
                let got = read_value(out.row(i), layout.column(column), &layout.types()[column]);
                prop_assert_eq!(&got, value, "r{}\n{}", column, spec.program);
            }
        }
    }
}

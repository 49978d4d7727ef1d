//! The interpreted kernel over whole batches: filter, projection, weights, errors, guards,
//! containers, reuse from batch to batch.

use std::sync::Arc;

use flow_ir::ids::SiteId;
use flow_ir::kernel::{
    ErrorBuffer, ErrorCode, Kernel, KernelCx, KernelFactory, KernelSpec, OnError,
};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout, push_value, read_value};
use flow_ir::scalar::{ArithOp, CompareOp, ScalarOp};
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_stdlib::builder::ScalarBuilder;
use flow_stdlib::builtin::lookup;
use flow_stdlib::interp::{InterpKernel, Interpreter, eval};

const INT: DataType = DataType::Int;

fn int() -> Type {
    Type::nullable(INT)
}

fn text() -> Type {
    Type::nullable(DataType::String)
}

fn batch(types: &[Type], rows: &[(Vec<Value>, i64)]) -> RowBatch {
    let mut out = BatchBuilder::new(Arc::new(RowLayout::new(types.to_vec())));
    for (values, weight) in rows {
        out.begin();
        for (column, value) in values.iter().enumerate() {
            push_value(&mut out, column, value);
        }
        out.finish(*weight);
    }
    out.take()
}

/// A row's values and its weight.
type Weighted = (Vec<Value>, i64);

fn values(batch: &RowBatch) -> Vec<Weighted> {
    let layout = batch.layout();
    let row = |i| {
        let value = |c| read_value(batch.row(i), layout.column(c), &layout.types()[c]);
        ((0..layout.len()).map(value).collect(), batch.weight(i))
    };
    (0..batch.len()).map(row).collect()
}

fn run(
    kernel: &mut dyn Kernel,
    spec: &KernelSpec,
    rows: &RowBatch,
    on_error: OnError,
) -> (Vec<Weighted>, Vec<(u32, ErrorCode)>) {
    let mut out = BatchBuilder::new(spec.output_layout());
    let mut bad = ErrorBuffer::default();
    kernel.run(rows, &KernelCx { clock: 7, on_error }, &mut out, &mut bad);
    let out = out.take();
    let layout = out.layout().clone();
    assert!(out.rows().all(|row| row.verify(&layout)), "rows are well formed");
    let mut errors: Vec<_> = bad.errors.iter().map(|e| (e.row, e.code)).collect();
    errors.sort_by_key(|(row, _)| *row);
    (values(&out), errors)
}

fn ints(values: &[Option<i64>]) -> Vec<Value> {
    values.iter().map(|v| v.map_or(Value::Null, Value::Int)).collect()
}

/// `SELECT name, 12 / x WHERE x >= 0`
fn quotients() -> KernelSpec {
    let mut b = ScalarBuilder::new(vec![text(), int()]);
    let (name, x) = (b.column(0), b.column(1));
    let zero = b.constant(Value::Int(0), Type::not_null(INT));
    let filter = b.compare(CompareOp::Ge, x, zero);
    let twelve = b.constant(Value::Int(12), Type::not_null(INT));
    b.set_site(Some(SiteId(3)));
    let quotient = b.arith(ArithOp::Div, twelve, x, &int());
    KernelSpec { program: b.finish(), filter: Some(filter), outputs: vec![name, quotient] }
}

fn named(name: &str, x: Option<i64>) -> Vec<Value> {
    vec![Value::String(name.into()), x.map_or(Value::Null, Value::Int)]
}

#[test]
fn rows_that_pass_keep_their_weights_and_failures_follow_the_policy() {
    let spec = quotients();
    let rows = batch(
        &spec.program.input,
        &[
            (named("a", Some(4)), 1),
            (named("b", Some(0)), -2),
            (named("c", Some(-1)), 1),
            (named("d", None), 1),
            (named("e", Some(5)), -3),
        ],
    );
    let mut kernel = Interpreter.kernel(&spec).expect("a kernel");
    let (out, errors) = run(&mut *kernel, &spec, &rows, OnError::DropRow);
    assert_eq!(out, vec![(named("a", Some(3)), 1), (named("e", Some(2)), -3)]);
    assert_eq!(errors, vec![(1, ErrorCode::DivisionByZero)]);
    let (out, errors) = run(&mut *kernel, &spec, &rows, OnError::KeepNull);
    assert_eq!(out[1], (named("b", None), -2));
    assert_eq!((out.len(), errors.len()), (3, 1));
}

#[test]
fn batches_of_any_size_follow_each_other() {
    let spec = quotients();
    let mut kernel = InterpKernel::new(&spec).expect("a kernel");
    for size in [100usize, 0, 3, 1_000, 1] {
        let input: Vec<_> =
            (0..size).map(|i| (named(&"x".repeat(i % 50), Some(i as i64 + 1)), 1)).collect();
        let rows = batch(&spec.program.input, &input);
        let (out, errors) = run(&mut kernel, &spec, &rows, OnError::DropRow);
        assert!(errors.is_empty());
        assert_eq!(out.len(), size);
        for (i, (row, _)) in out.iter().enumerate() {
            assert_eq!(*row, named(&"x".repeat(i % 50), Some(12 / (i as i64 + 1))));
        }
    }
}

#[test]
fn what_nobody_needs_does_not_run() {
    let mut b = ScalarBuilder::new(vec![int()]);
    let x = b.column(0);
    let zero = b.constant(Value::Int(0), Type::not_null(INT));
    b.arith(ArithOp::Div, x, zero, &int());
    let spec = KernelSpec { program: b.finish(), filter: None, outputs: vec![x] };
    let rows = batch(&[int()], &[(ints(&[Some(1)]), 5)]);
    let mut kernel = InterpKernel::new(&spec).expect("a kernel");
    let (out, errors) = run(&mut kernel, &spec, &rows, OnError::DropRow);
    assert_eq!((out, errors), (vec![(ints(&[Some(1)]), 5)], vec![]));
}

#[test]
fn only_the_branch_taken_fails() {
    let mut b = ScalarBuilder::new(vec![int()]);
    let x = |b: &mut ScalarBuilder| b.column(0);
    let divide = |b: &mut ScalarBuilder| {
        let (one, x) = (b.constant(Value::Int(100), Type::not_null(INT)), b.column(0));
        b.arith(ArithOp::Div, one, x, &int())
    };
    let nonzero = |b: &mut ScalarBuilder| {
        let (zero, x) = (b.constant(Value::Int(0), Type::not_null(INT)), b.column(0));
        b.compare(CompareOp::Ne, x, zero)
    };
    let large = |b: &mut ScalarBuilder| {
        let quotient = divide(b);
        let ten = b.constant(Value::Int(10), Type::not_null(INT));
        b.compare(CompareOp::Gt, quotient, ten)
    };
    let both = b.and_all(&[&nonzero, &large]);
    let either = b.case(&[(&nonzero, &divide)], Some(&x), &int());
    let coalesce = lookup("COALESCE").expect("known");
    let first = b.call(coalesce, 0, &[&x, &divide], &int());
    let spec = KernelSpec { program: b.finish(), filter: None, outputs: vec![both, either, first] };
    let rows = batch(&[int()], &[(ints(&[Some(0)]), 1), (ints(&[Some(5)]), 1), (ints(&[None]), 1)]);
    let mut kernel = InterpKernel::new(&spec).expect("a kernel");
    let (out, errors) = run(&mut kernel, &spec, &rows, OnError::DropRow);
    assert!(errors.is_empty(), "{errors:?}");
    let bool_or = |v: Option<bool>| v.map_or(Value::Null, Value::Boolean);
    assert_eq!(out[0].0, vec![bool_or(Some(false)), Value::Int(0), Value::Int(0)]);
    assert_eq!(out[1].0, vec![bool_or(Some(true)), Value::Int(20), Value::Int(5)]);
    assert_eq!(out[2].0, vec![bool_or(None), Value::Null, Value::Null]);
}

#[test]
fn parts_of_containers_are_passed_on() {
    let item = Type::nullable(DataType::String);
    let array = Type::nullable(DataType::Array(Box::new(item.clone())));
    let fields: Arc<[Field]> =
        vec![Field::new("n", int()), Field::new("tags", array.clone())].into();
    let row = Type::nullable(DataType::Row(fields));
    let mut b = ScalarBuilder::new(vec![row.clone(), int()]);
    let (r, i) = (b.column(0), b.column(1));
    let n = b.field(r, 0, &int());
    let tags = b.field(r, 1, &array);
    let tag = b.element(tags, i, &item);
    let made = b.array(vec![tag, tag], &array);
    let again = b.row(vec![n, made], &row);
    let inner = b.field(again, 1, &array);
    let two = b.constant(Value::Int(2), Type::not_null(INT));
    let second = b.element(inner, two, &item);
    let outputs = vec![n, tags, tag, again, second];
    let spec = KernelSpec { program: b.finish(), filter: None, outputs };
    let string = |s: &str| Value::String(s.into());
    let tags = Value::Array(vec![string("x"), Value::Null, string("a long enough tag")]);
    let input = |i: i64| vec![Value::Row(vec![Value::Int(9), tags.clone()]), Value::Int(i)];
    let rows = batch(
        &spec.program.input,
        &[
            (input(3), 1),
            (input(2), 1),
            (input(i64::from(i32::MIN)), 1),
            (vec![Value::Null, Value::Int(1)], 1),
            (vec![Value::Row(vec![Value::Null, Value::Null]), Value::Int(1)], 1),
        ],
    );
    let mut kernel = InterpKernel::new(&spec).expect("a kernel");
    let (out, errors) = run(&mut kernel, &spec, &rows, OnError::DropRow);
    assert!(errors.is_empty());
    let tag = string("a long enough tag");
    let pair = Value::Array(vec![tag.clone(), tag.clone()]);
    let expected =
        [Value::Int(9), tags.clone(), tag.clone(), Value::Row(vec![Value::Int(9), pair]), tag];
    assert_eq!(out[0].0, expected);
    assert_eq!(out[1].0[2], Value::Null);
    assert_eq!(out[2].0[2], Value::Null);
    assert_eq!(out[3].0[..3], [Value::Null, Value::Null, Value::Null]);
    assert_eq!(out[4].0[4], Value::Null);
}

#[test]
fn host_functions_write_beside_each_other() {
    let mut b = ScalarBuilder::new(vec![text()]);
    let a = b.column(0);
    let call = |b: &mut ScalarBuilder, name: &str, arg| {
        let builtin = lookup(name).expect("known");
        b.call(builtin, 0, &[&|_: &mut ScalarBuilder| arg], &text())
    };
    let upper = call(&mut b, "UPPER", a);
    let reversed = call(&mut b, "REVERSE", upper);
    let spec = KernelSpec { program: b.finish(), filter: None, outputs: vec![reversed, upper, a] };
    let texts = ["abc", "", "a longer text than one word", "é"];
    let mut rows: Vec<_> = texts.iter().map(|t| (vec![Value::String((*t).into())], 1)).collect();
    rows.push((vec![Value::Null], 1));
    let rows = batch(&[text()], &rows);
    let mut kernel = InterpKernel::new(&spec).expect("a kernel");
    let (out, _) = run(&mut kernel, &spec, &rows, OnError::DropRow);
    for (text, (row, _)) in texts.iter().zip(&out) {
        let upper = text.to_uppercase();
        let reversed: String = upper.chars().rev().collect();
        let want = [reversed, upper, (*text).to_string()].map(Value::String);
        assert_eq!(*row, want);
    }
    assert_eq!(out[4].0, vec![Value::Null; 3]);
}

#[test]
fn the_clock_is_one_value_an_epoch() {
    let local = Type::not_null(DataType::TimestampLtz { precision: 6 });
    let mut b = ScalarBuilder::new(vec![]);
    let clock = b.clock(local);
    assert_eq!(eval(&b.finish(), clock, &[], 42), Ok(Value::TimestampLtz(42)));
}

#[test]
fn a_broken_program_makes_no_kernel() {
    let mut spec = quotients();
    spec.program.insts[1].op = ScalarOp::Column(9);
    assert!(InterpKernel::new(&spec).is_err());
    let mut b = ScalarBuilder::new(vec![int()]);
    let x = b.column(0);
    b.cast(x, &Type::nullable(DataType::Uuid));
    let mut spec = KernelSpec { program: b.finish(), filter: None, outputs: vec![x] };
    spec.outputs = vec![flow_ir::ids::Reg(1)];
    assert!(InterpKernel::new(&spec).is_err(), "no such cast");
    spec.program.insts[1].op = ScalarOp::Host("no_such_function".into(), vec![]);
    assert!(InterpKernel::new(&spec).is_err(), "no such function");
}

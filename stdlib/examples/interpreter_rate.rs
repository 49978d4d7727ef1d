//! Measures interpreted kernels in memory: `cargo run --release -p flow-stdlib --example
//! interpreter_rate`. Rows are bids (auction, bidder, price, channel), batches of 1,024.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Instant;

use flow_ir::ids::Reg;
use flow_ir::kernel::{ErrorBuffer, Kernel, KernelCx, KernelSpec, OnError};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::builder::{Lazy, ScalarBuilder};
use flow_stdlib::builtin::lookup;
use flow_stdlib::interp::InterpKernel;

const ROWS: usize = 1_024;
const ROUNDS: usize = 4_000;

fn bids() -> RowBatch {
    let mut out = BatchBuilder::new(Arc::new(RowLayout::new(columns())));
    let channels = ["Google", "Facebook", "Baidu", "channel-1234"];
    for i in 0..ROWS {
        out.begin();
        out.set_i64(0, (i * 7_919 % 10_000) as i64);
        out.set_i64(1, (i * 104_729 % 1_000) as i64);
        out.set_i64(2, (i * 31) as i64);
        out.set_bytes(3, channels[i % 4].as_bytes());
        out.finish(1);
    }
    out.take()
}

fn columns() -> Vec<Type> {
    let long = Type::not_null(DataType::BigInt);
    vec![long.clone(), long.clone(), long, Type::not_null(DataType::String)]
}

/// A call over registers, with the widening casts that its overload asks for.
fn call(b: &mut ScalarBuilder, name: &str, args: &[Reg]) -> Reg {
    let builtin = lookup(name).expect("a builtin");
    let types: Vec<Type> = args.iter().map(|r| b.ty(*r).clone()).collect();
    let resolved = builtin.resolve(&types).expect("an overload");
    let cast: Vec<Reg> = args.iter().zip(&resolved.arg_types).map(|(r, t)| b.cast(*r, t)).collect();
    let args: Vec<_> = cast.iter().map(|&r| move |_: &mut ScalarBuilder| r).collect();
    let lazy: Vec<Lazy<'_>> = args.iter().map(|a| a as Lazy<'_>).collect();
    b.call(builtin, resolved.overload, &lazy, &resolved.ty)
}

fn literal(b: &mut ScalarBuilder, value: Value, data: DataType) -> Reg {
    b.constant(value, Type::not_null(data))
}

type Make = fn(&mut ScalarBuilder, [Reg; 4]) -> (Option<Reg>, Vec<Reg>);

fn measure(name: &str, make: Make) {
    let mut b = ScalarBuilder::new(columns());
    let columns = [0, 1, 2, 3].map(|i| b.column(i));
    let (filter, outputs) = make(&mut b, columns);
    let spec = KernelSpec { program: b.finish(), filter, outputs };
    let mut kernel = InterpKernel::new(&spec).expect("a kernel");
    let rows = bids();
    let mut out = BatchBuilder::new(spec.output_layout());
    let mut bad = ErrorBuffer::default();
    let cx = KernelCx { clock: 0, on_error: OnError::DropRow };
    let start = Instant::now();
    let mut passed = 0;
    for _ in 0..ROUNDS {
        kernel.run(&rows, &cx, &mut out, &mut bad);
        let batch = out.take();
        passed += batch.len();
        out.recycle(batch);
    }
    let nanos = start.elapsed().as_nanos() as f64 / (ROWS * ROUNDS) as f64;
    println!("{name:<40} {nanos:>6.1} ns a row, {passed} rows out");
}

fn main() {
    measure("all columns", |_, c| (None, c.to_vec()));
    measure("two columns", |_, c| (None, vec![c[0], c[2]]));
    measure("WHERE auction % 123 = 0", |b, c| {
        let n = literal(b, Value::Int(123), DataType::BigInt);
        let rest = call(b, "%", &[c[0], n]);
        let zero = literal(b, Value::Int(0), DataType::BigInt);
        (Some(call(b, "=", &[rest, zero])), vec![c[0], c[2]])
    });
    measure("0.908 * price", |b, c| {
        let rate = literal(b, Value::Decimal(908), DataType::Decimal { precision: 3, scale: 3 });
        let price = call(b, "*", &[rate, c[2]]);
        (None, vec![c[0], c[1], price])
    });
    measure("price * 2 + bidder", |b, c| {
        let two = literal(b, Value::Int(2), DataType::BigInt);
        let double = call(b, "*", &[c[2], two]);
        (None, vec![call(b, "+", &[double, c[1]])])
    });
    measure("channel = 'Baidu'", |b, c| {
        let name = literal(b, Value::String("Baidu".into()), DataType::String);
        (Some(call(b, "=", &[c[3], name])), vec![c[0]])
    });
    measure("channel LIKE 'channel%'", |b, c| {
        let pattern = literal(b, Value::String("channel%".into()), DataType::String);
        (Some(call(b, "LIKE", &[c[3], pattern])), vec![c[0]])
    });
    measure("UPPER(channel)", |b, c| (None, vec![call(b, "UPPER", &[c[3]])]));
}

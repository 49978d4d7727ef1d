//! Criterion benches of the kernels, native code beside the interpreter, over a batch of Nexmark
//! bids: `cargo bench -p flow-compiler`. `--example kernel_rate` compares with other readers.
#![expect(missing_docs, reason = "Criterion's macros make functions")]

#[path = "../examples/kernel_rate/accumulate.rs"]
mod accumulate;
#[path = "../examples/kernel_rate/bids.rs"]
mod bids;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flow_compiler::codegen::Native;
use flow_ir::kernel::{KernelFactory, Record, ScanSpec};
use flow_schema::{PayloadFormat, parse};
use flow_stdlib::interp::Interpreter;

use accumulate::accumulating;
use bids::{
    BATCH, Bids, FRAMING, PRICE, SCHEMA, above, avro_bid, encoding, json_bid, plan, scan, scanner,
};

fn kernels(criterion: &mut Criterion) {
    let native = Native::new().expect("there is native code for this processor");
    let engines: [(&str, &dyn KernelFactory); 2] =
        [("interpreted", &Interpreter), ("native", &native)];
    let schema = parse(SCHEMA).expect("a valid schema");
    let avro = PayloadFormat::Avro { writer: &schema, reader: None };
    let read = ScanSpec { decode: plan(avro), ..ScanSpec::default() };
    let filtered = ScanSpec { map: Some(above(&read.decode, PRICE)), ..read.clone() };
    let of_json = ScanSpec { decode: plan(PayloadFormat::Json), ..ScanSpec::default() };
    let (bids, json) = (Bids::generate(BATCH, avro_bid), Bids::generate(BATCH, json_bid));
    let record = |bid| Record { value: Some(bid), ..Record::default() };
    let records: Vec<Record<'_>> = bids.iter().map(record).collect();
    let json: Vec<Record<'_>> = json.iter().map(record).collect();
    let mut group = criterion.benchmark_group("kernels");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (engine, factory) in engines {
        for (name, spec, records, framing) in [
            ("read", &read, &records, FRAMING),
            ("read and filter", &filtered, &records, FRAMING),
            ("read JSON", &of_json, &json, 0),
        ] {
            let mut scanner = scanner(factory, spec).expect("a valid plan");
            group.bench_function(format!("{name}, {engine}"), |b| {
                b.iter(|| scan(&mut scanner, records, framing));
            });
        }
        for (name, as_json) in [("write", false), ("write JSON", true)] {
            let write = encoding(factory, &read.decode, &bids, BATCH, as_json);
            let mut write = write.expect("a valid plan");
            group.bench_function(format!("{name}, {engine}"), |b| b.iter(&mut write));
        }
        let mut accumulate = accumulating(factory, BATCH).expect("a valid program");
        group.bench_function(format!("accumulate, {engine}"), |b| b.iter(&mut accumulate));
    }
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);

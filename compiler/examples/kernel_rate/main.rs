//! How many records a second one thread reads in memory, of Nexmark bids of about 250 bytes: native
//! code beside the interpreter, apache-avro's generic reader, and a reader written by hand for just
//! these bids. Reading alone takes four columns into rows; the whole scan also drops half of the
//! rows by their price. And how many rows of four columns the Avro encoders write.
//! Run with `cargo run --release -p flow-compiler --example kernel_rate [RECORDS [PASSES]]`.
//! A million records come from memory; 20,000 stay in the cache, as a batch does that was just
//! fetched. Engines take turns, pass by pass; each figure is the best of its passes.

use std::cell::Cell;
use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use apache_avro::reader::datum::GenericDatumReader;
use flow_compiler::codegen::Native;
use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Origin};
use flow_ir::encode_plan::JsonTimestamps;
use flow_ir::ids::Reg;
use flow_ir::kernel::{
    ErrorBuffer, KernelCx, KernelFactory, KernelSpec, Marks, OnError, PayloadArena, Payloads,
    Record, ScanOut, ScanSpec, Scanner,
};
use flow_ir::row::{BatchBuilder, RowLayout, pack_var};
use flow_ir::scalar::{CompareOp, Inst, ScalarOp, ScalarProgram};
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_schema::{EncodeFormat, PayloadFormat, decode_plan, derive, encode_plan, parse};
use flow_stdlib::interp::Interpreter;

const SCHEMA: &str = r#"{"type":"record","name":"Bid","fields":[
    {"name":"auction","type":"long"},{"name":"bidder","type":"long"},
    {"name":"price","type":"long"},{"name":"channel","type":"string"},
    {"name":"url","type":"string"},
    {"name":"dateTime","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"extra","type":"string"}]}"#;

/// Bytes of registry framing before each Avro record.
const FRAMING: usize = 5;
/// Records of one batch.
const BATCH: usize = 2_048;
/// The generic reader is slow: it reads this part of the records only.
const GENERIC_SHARE: usize = 8;
/// Half of the bids are above this price.
const PRICE: i64 = 100_050;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|n| n.parse().ok());
    let records = arguments.next().flatten().unwrap_or(1_000_000).max(GENERIC_SHARE);
    let passes = arguments.next().flatten().unwrap_or(5);
    let mut out = io::stdout().lock();
    let schema = parse(SCHEMA).map_err(io::Error::other)?;
    let avro = Bids::generate(records, avro_bid);
    let json = Bids::generate(records, json_bid);
    // As a source hands them out: made before any pass, since that costs all readers alike.
    let record = |bid| Record { value: Some(bid), ..Record::default() };
    let (bids, json_bids): (Vec<_>, Vec<_>) =
        (avro.iter().map(record).collect(), json.iter().map(record).collect());
    let native = Native::new().map_err(|e| io::Error::other(e.0))?;

    let format = PayloadFormat::Avro { writer: &schema, reader: None };
    let read = ScanSpec { decode: plan(format), ..ScanSpec::default() };
    let whole = ScanSpec { map: Some(above(&read.decode)), ..read.clone() };
    let read_json = ScanSpec { decode: plan(PayloadFormat::Json), ..ScanSpec::default() };
    let rows = [Cell::new(0), Cell::new(0), Cell::new(0)];
    let mut interpreter_read = scanner(&Interpreter, &read)?;
    let mut native_read = scanner(&native, &read)?;
    let mut interpreter_whole = scanner(&Interpreter, &whole)?;
    let mut native_whole = scanner(&native, &whole)?;
    let mut interpreter_read_json = scanner(&Interpreter, &read_json)?;
    let rates = rates(
        passes,
        &mut [
            (records / GENERIC_SHARE, &mut || generic(&schema, &avro, records / GENERIC_SHARE)),
            (records, &mut || _ = scan(&mut interpreter_read, &bids, FRAMING)),
            (records, &mut || _ = scan(&mut native_read, &bids, FRAMING)),
            (records, &mut || rows[0].set(scan(&mut interpreter_whole, &bids, FRAMING))),
            (records, &mut || rows[1].set(scan(&mut native_whole, &bids, FRAMING))),
            (records, &mut || rows[2].set(by_hand_scan(&bids))),
            (records, &mut || _ = scan(&mut interpreter_read_json, &json_bids, 0)),
            (records, &mut encoding(&Interpreter, &read.decode, &avro, records, false)?),
            (records, &mut encoding(&native, &read.decode, &avro, records, false)?),
            (records, &mut encoding(&Interpreter, &read.decode, &avro, records, true)?),
            (records, &mut encoding(&native, &read.decode, &avro, records, true)?),
        ],
    );
    assert!(rows[0] == rows[1] && rows[0] == rows[2], "all give the same rows: {rows:?}");
    writeln!(out, "{:36} {records}, {} bytes each", "records", avro.bytes.len() / records)?;
    writeln!(out, "{:36} {}", "rows above the price", rows[0].get())?;
    show(&rates, &mut out)?;
    let compiled = native.compiled();
    writeln!(out, "compiled {} bytes in {:?}", compiled.code_bytes, compiled.time)
}

/// The rates, and what they are beside each other.
fn show(rates: &[f64], out: &mut impl Write) -> io::Result<()> {
    let names = [
        "apache-avro's generic reader",
        "4 of 7 columns, interpreted",
        "4 of 7 columns, native",
        "with filter, interpreted",
        "with filter, native",
        "with filter, by hand",
        "4 of 7 JSON members, interpreted",
        "4 columns written, interpreted",
        "4 columns written, native",
        "4 JSON members written, interpreted",
        "4 JSON members written, native",
    ];
    for (name, rate) in names.iter().zip(rates) {
        writeln!(out, "{name:36} {:6.2} M records/s", rate / 1e6)?;
    }
    let ratios = [
        ("with filter: native / generic reader", rates[4] / rates[0]),
        ("with filter: native / by hand", rates[4] / rates[5]),
        ("with filter: native / interpreted", rates[4] / rates[3]),
        ("reading: native / generic reader", rates[2] / rates[0]),
        ("reading: interpreted / generic reader", rates[1] / rates[0]),
        ("reading: native / interpreted", rates[2] / rates[1]),
        ("writing: native / interpreted", rates[8] / rates[7]),
        ("writing JSON: native / interpreted", rates[10] / rates[9]),
    ];
    for (name, ratio) in ratios {
        writeln!(out, "{name:38} {ratio:5.2}")?;
    }
    Ok(())
}

/// Records a second of the best of some passes, of work that takes turns.
fn rates(passes: usize, work: &mut [(usize, &mut dyn FnMut())]) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; work.len()];
    for _ in 0..passes {
        for ((_, pass), best) in work.iter_mut().zip(&mut best) {
            let start = Instant::now();
            pass();
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    work.iter().zip(best).map(|((records, _), seconds)| *records as f64 / seconds).collect()
}

fn generic(schema: &flow_schema::Schema, bids: &Bids, records: usize) {
    let reader = GenericDatumReader::builder(schema).build().expect("a valid schema");
    for bid in bids.iter().take(records) {
        let value = reader.read_value(&mut &bid[FRAMING..]).expect("a valid record");
        black_box(value);
    }
}

/// The filter by price; all columns go out.
fn above(plan: &DecodePlan) -> KernelSpec {
    let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
    let mut program = ScalarProgram::new(types.clone());
    let inst = |op, ty: Type| Inst { op, ty, guard: None, site: None };
    let columns: Vec<Reg> = (types.iter().enumerate())
        .map(|(i, ty)| program.push(inst(ScalarOp::Column(i as u32), ty.clone())))
        .collect();
    let limit = program.push(inst(ScalarOp::Const(Value::Int(PRICE)), types[1].clone()));
    let compare = ScalarOp::Compare(CompareOp::Gt, columns[1], limit);
    let filter = program.push(inst(compare, Type::not_null(DataType::Boolean)));
    KernelSpec { program, filter: Some(filter), outputs: columns }
}

fn plan(format: PayloadFormat<'_>) -> DecodePlan {
    let column = |name: &str, data| DecodeColumn {
        name: name.to_string(),
        ty: Type::not_null(data),
        origin: Origin::Value(vec![name.to_string()]),
    };
    let columns = [
        column("auction", DataType::BigInt),
        column("price", DataType::BigInt),
        column("url", DataType::String),
        column("dateTime", DataType::TimestampLtz { precision: 3 }),
    ];
    decode_plan(None, format, &columns).expect("all columns are in the schema")
}

/// A scan and a place for its rows.
fn scanner(
    factory: &dyn KernelFactory,
    spec: &ScanSpec,
) -> io::Result<(Box<dyn Scanner>, BatchBuilder)> {
    let layout = match &spec.map {
        Some(map) => map.output_layout(),
        None => flow_stdlib::interp::scan::layout_of(&spec.decode),
    };
    let scanner = factory.scanner(spec).map_err(|e| io::Error::other(e.0))?;
    Ok((scanner, BatchBuilder::new(layout)))
}

/// Reads all bids; gives how many rows came out.
fn scan(
    (scanner, rows): &mut (Box<dyn Scanner>, BatchBuilder),
    bids: &[Record<'_>],
    value_skip: usize,
) -> usize {
    let (mut origin, mut bad, mut failed) =
        (Vec::new(), ErrorBuffer::default(), ErrorBuffer::default());
    let cx = KernelCx { clock: 0, on_error: OnError::DropRow };
    let mut marks = Marks { watermark: i64::MIN, event_time: i64::MIN, ahead: 0 };
    let select: Vec<u32> = (0..BATCH as u32).collect();
    let mut count = 0;
    for records in bids.chunks(BATCH) {
        let select = &select[..records.len()];
        let from = Payloads { records, select, key_skip: 0, value_skip, topic: "", partition: 0 };
        origin.clear();
        let mut out = ScanOut { rows, origin: &mut origin, bad: &mut bad, failed: &mut failed };
        scanner.scan(&from, &cx, &mut marks, &mut out);
        let batch = black_box(rows.take());
        count += batch.len();
        rows.recycle(batch);
    }
    assert!(bad.is_empty() && failed.is_empty(), "every record can be read");
    count
}

/// The same scan of bids, as one would write it in Rust for them alone.
fn by_hand_scan(bids: &[Record<'_>]) -> usize {
    let (mut words, mut ends) = (Vec::<u64>::new(), Vec::<u32>::new());
    let mut count = 0;
    for (i, bid) in bids.iter().enumerate() {
        if i % BATCH == 0 {
            black_box((&words, &ends));
            words.clear();
            ends.clear();
        }
        let mut rest = &bid.value.expect("all have one")[FRAMING..];
        let row = (|| {
            let auction = hand_long(&mut rest)?;
            hand_long(&mut rest)?;
            let price = hand_long(&mut rest)?;
            hand_bytes(&mut rest)?;
            let url = hand_bytes(&mut rest)?;
            let time = hand_long(&mut rest)?.checked_mul(1_000)?;
            hand_bytes(&mut rest)?;
            (rest.is_empty() && (url.is_ascii() || std::str::from_utf8(url).is_ok()))
                .then_some((auction, price, url, time))
        })();
        let (auction, price, url, time) = row.expect("every record can be read");
        if price <= PRICE {
            continue;
        }
        count += 1;
        let tail = url.len().div_ceil(8);
        let (length, slot) = ((6 + tail) * 8, pack_var(6 * 8, url.len()));
        words.extend([length as u64, 0, auction as u64, price as u64, slot, time as u64]);
        let (whole, last) = url.as_chunks::<8>();
        words.extend(whole.iter().map(|word| u64::from_le_bytes(*word)));
        if !last.is_empty() {
            let mut word = [0; 8];
            word[..last.len()].copy_from_slice(last);
            words.push(u64::from_le_bytes(word));
        }
        ends.push(words.len() as u32);
    }
    count
}

fn hand_long(rest: &mut &[u8]) -> Option<i64> {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

fn hand_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(hand_long(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

/// A pass that writes a batch of bids again and again, `rows` rows in all.
fn encoding(
    factory: &dyn KernelFactory,
    plan: &DecodePlan,
    payloads: &Bids,
    rows: usize,
    json: bool,
) -> io::Result<impl FnMut()> {
    let fields: Vec<Field> =
        plan.columns.iter().map(|c| Field { name: c.name.clone(), ty: c.ty.clone() }).collect();
    let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
    let mut builder = BatchBuilder::new(Arc::new(RowLayout::new(types)));
    let records: Vec<Record<'_>> = (payloads.iter().take(BATCH))
        .map(|bid| Record { value: Some(bid), ..Record::default() })
        .collect();
    let select: Vec<u32> = (0..records.len() as u32).collect();
    let from = Payloads {
        records: &records,
        select: &select,
        key_skip: 0,
        value_skip: FRAMING,
        topic: "",
        partition: 0,
    };
    let cx = KernelCx { clock: 0, on_error: OnError::DropRow };
    let mut bad = ErrorBuffer::default();
    let mut decoder = Interpreter.decoder(plan).expect("a valid plan");
    decoder.decode(&from, &cx, &mut builder, &mut Vec::new(), &mut bad);
    let batch = builder.take();

    let schema = derive("bid", "nexmark", &fields).map_err(io::Error::other)?;
    let schema = parse(&schema).map_err(io::Error::other)?;
    let format = match json {
        true => EncodeFormat::Json(JsonTimestamps::Iso),
        false => EncodeFormat::Avro(&schema),
    };
    let plan = encode_plan(format, &fields, &[0, 1, 2, 3]);
    let mut encoder = factory.encoder(&plan.map_err(io::Error::other)?).expect("a valid plan");
    let mut arena = PayloadArena::default();
    Ok(move || {
        for _ in 0..rows.div_ceil(batch.len()) {
            arena.clear();
            encoder.encode(&batch, &mut arena, &mut bad);
            black_box(&arena);
        }
        assert!(bad.is_empty(), "every row can be written");
    })
}

/// A bid's fields.
struct Bid {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: String,
    url: String,
    date_time: u64,
    extra: String,
}

/// Payloads end to end, as a fetched batch holds them.
struct Bids {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Bids {
    fn generate(count: usize, write: fn(&Bid) -> Vec<u8>) -> Self {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(count));
        for i in 0..count {
            bytes.extend(write(&bid(i as u64, &mut random)));
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

fn bid(number: u64, random: &mut Random) -> Bid {
    let channel = random.below(8);
    let path = [random.word(5), random.word(5), random.word(5)].join("/");
    let extra = 70 + random.below(60) as usize;
    Bid {
        auction: 1_000 + random.below(10_000),
        bidder: 1_000 + random.below(50_000),
        price: 10u64.pow(2 + random.below(7) as u32) + random.below(100),
        channel: format!("channel-{channel}"),
        url: format!("https://www.nexmark.com/{path}/item.htm?query=1&channel_id={channel}"),
        date_time: 1_700_000_000_000 + number / 100,
        extra: random.word(extra),
    }
}

fn avro_bid(bid: &Bid) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, 1];
    let long = |value: u64, out: &mut Vec<u8>| {
        let mut rest = value << 1;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    };
    let text = |value: &str, out: &mut Vec<u8>| {
        long(value.len() as u64, out);
        out.extend_from_slice(value.as_bytes());
    };
    let mut numbers = Vec::new();
    text(&bid.channel, &mut numbers);
    text(&bid.url, &mut numbers);
    let mut extra = Vec::new();
    text(&bid.extra, &mut extra);
    for value in [bid.auction, bid.bidder, bid.price] {
        long(value, &mut out);
    }
    out.extend(numbers);
    long(bid.date_time, &mut out);
    out.extend(extra);
    out
}

fn json_bid(bid: &Bid) -> Vec<u8> {
    format!(
        "{{\"auction\":{},\"bidder\":{},\"price\":{},\"channel\":\"{}\",\"url\":\"{}\",\
         \"dateTime\":{},\"extra\":\"{}\"}}",
        bid.auction, bid.bidder, bid.price, bid.channel, bid.url, bid.date_time, bid.extra
    )
    .into_bytes()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn word(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }
}

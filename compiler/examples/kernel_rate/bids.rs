//! Nexmark bids in memory, and readers and writers of them: what figures and benches measure.

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Origin};
use flow_ir::encode_plan::JsonTimestamps;
use flow_ir::ids::Reg;
use flow_ir::kernel::{
    ErrorBuffer, KernelCx, KernelFactory, KernelSpec, Marks, OnError, PayloadArena, Payloads,
    Record, ScanOut, ScanSpec, Scanner,
};
use flow_ir::row::{BatchBuilder, RowLayout};
use flow_ir::scalar::{CompareOp, Inst, ScalarOp, ScalarProgram};
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_schema::{EncodeFormat, PayloadFormat, decode_plan, derive, encode_plan, parse};
use flow_stdlib::interp::Interpreter;

pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"Bid","fields":[
    {"name":"auction","type":"long"},{"name":"bidder","type":"long"},
    {"name":"price","type":"long"},{"name":"channel","type":"string"},
    {"name":"url","type":"string"},
    {"name":"dateTime","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"extra","type":"string"}]}"#;

/// Bytes of registry framing before each Avro record.
pub(crate) const FRAMING: usize = 5;
/// Records of one batch.
pub(crate) const BATCH: usize = 2_048;
/// Half of the bids are above this price.
pub(crate) const PRICE: i64 = 100_050;

/// Bids above a price; all columns go out.
pub(crate) fn above(plan: &DecodePlan, price: i64) -> KernelSpec {
    let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
    let mut program = ScalarProgram::new(types.clone());
    let inst = |op, ty: Type| Inst { op, ty, guard: None, site: None };
    let columns: Vec<Reg> = (types.iter().enumerate())
        .map(|(i, ty)| program.push(inst(ScalarOp::Column(i as u32), ty.clone())))
        .collect();
    let limit = program.push(inst(ScalarOp::Const(Value::Int(price)), types[1].clone()));
    let compare = ScalarOp::Compare(CompareOp::Gt, columns[1], limit);
    let filter = program.push(inst(compare, Type::not_null(DataType::Boolean)));
    KernelSpec { program, filter: Some(filter), outputs: columns }
}

/// Four of the bids' fields.
pub(crate) fn plan(format: PayloadFormat<'_>) -> DecodePlan {
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
pub(crate) fn scanner(
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
pub(crate) fn scan(
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

/// A pass that writes a batch of bids again and again, `rows` rows in all.
pub(crate) fn encoding(
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
pub(crate) struct Bid {
    pub(crate) auction: u64,
    bidder: u64,
    pub(crate) price: u64,
    channel: String,
    url: String,
    date_time: u64,
    extra: String,
}

/// Payloads end to end, as a fetched batch holds them.
pub(crate) struct Bids {
    pub(crate) bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Bids {
    /// So many bids.
    pub(crate) fn generate(count: usize, write: fn(&Bid) -> Vec<u8>) -> Self {
        let mut random = Random::new();
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(count));
        for i in 0..count {
            bytes.extend(write(&bid(i as u64, &mut random)));
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    /// The payloads.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

pub(crate) fn bid(number: u64, random: &mut Random) -> Bid {
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

/// A bid as a framed Avro record.
pub(crate) fn avro_bid(bid: &Bid) -> Vec<u8> {
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

/// A bid as a JSON object.
pub(crate) fn json_bid(bid: &Bid) -> Vec<u8> {
    format!(
        "{{\"auction\":{},\"bidder\":{},\"price\":{},\"channel\":\"{}\",\"url\":\"{}\",\
         \"dateTime\":{},\"extra\":\"{}\"}}",
        bid.auction, bid.bidder, bid.price, bid.channel, bid.url, bid.date_time, bid.extra
    )
    .into_bytes()
}

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    /// The same numbers each time.
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

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

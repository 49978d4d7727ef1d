//! How many records a second the interpreted decoders read on one thread, in memory, beside
//! apache-avro's generic reader: Nexmark bids of about 250 bytes, of which four columns are read;
//! and how many rows of those four columns the Avro encoder writes.
//! Run with `cargo run --release -p flow-stdlib --example decode_rate [RECORDS [PASSES]]`.
//! A million records come from memory; 20,000 stay in the cache, as a batch does that was just
//! fetched.

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use apache_avro::reader::datum::GenericDatumReader;
use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Origin};
use flow_ir::kernel::{
    Decoder, Encoder, ErrorBuffer, KernelCx, OnError, PayloadArena, Payloads, Record,
};
use flow_ir::row::{BatchBuilder, RowLayout};
use flow_ir::types::{DataType, Field, Type};
use flow_schema::{EncodeFormat, PayloadFormat, decode_plan, derive, encode_plan, parse};
use flow_stdlib::interp::decode::PlanDecoder;
use flow_stdlib::interp::encode::PlanEncoder;

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

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|n| n.parse().ok());
    let records = arguments.next().flatten().unwrap_or(1_000_000).max(GENERIC_SHARE);
    let passes = arguments.next().flatten().unwrap_or(5);
    let mut out = io::stdout().lock();
    let schema = parse(SCHEMA).map_err(io::Error::other)?;
    let avro = Bids::generate(records, avro_bid);
    let json = Bids::generate(records, json_bid);

    let generic = rate(passes, records / GENERIC_SHARE, || {
        let reader = GenericDatumReader::builder(&schema).build().expect("a valid schema");
        for bid in avro.iter().take(records / GENERIC_SHARE) {
            let value = reader.read_value(&mut &bid[FRAMING..]).expect("a valid record");
            black_box(value);
        }
    });
    let format = PayloadFormat::Avro { writer: &schema, reader: None };
    let planned = rate(passes, records, || decode(&plan(format), &avro, FRAMING));
    let read_json = rate(passes, records, || decode(&plan(PayloadFormat::Json), &json, 0));
    let written = rate(passes, records, encoding(&plan(format), &avro, records)?);

    writeln!(out, "records                       {records}")?;
    writeln!(out, "avro bytes a record           {}", avro.bytes.len() / records)?;
    writeln!(out, "json bytes a record           {}", json.bytes.len() / records)?;
    writeln!(out, "apache-avro generic reader    {:.2} M records/s", generic / 1e6)?;
    writeln!(out, "avro plan, 4 of 7 columns     {:.2} M records/s", planned / 1e6)?;
    writeln!(out, "json plan, 4 of 7 columns     {:.2} M records/s", read_json / 1e6)?;
    writeln!(out, "avro encoder, 4 columns       {:.2} M rows/s", written / 1e6)?;
    writeln!(out, "avro plan / generic reader    {:.1}", planned / generic)
}

/// Records a second of the best of some passes.
fn rate(passes: usize, records: usize, mut pass: impl FnMut()) -> f64 {
    let seconds = (0..passes).map(|_| {
        let start = Instant::now();
        pass();
        start.elapsed().as_secs_f64()
    });
    records as f64 / seconds.fold(f64::INFINITY, f64::min)
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

fn decode(plan: &DecodePlan, payloads: &Bids, value_skip: usize) {
    let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
    let mut rows = BatchBuilder::new(Arc::new(RowLayout::new(types)));
    let mut decoder = PlanDecoder::new(plan).expect("a valid plan");
    let (mut origin, mut bad) = (Vec::new(), ErrorBuffer::default());
    let cx = KernelCx { clock: 0, on_error: OnError::DropRow };
    let select: Vec<u32> = (0..BATCH as u32).collect();
    let mut records = Vec::with_capacity(BATCH);
    let mut payloads = payloads.iter();
    loop {
        records.clear();
        let next = payloads.by_ref().take(BATCH);
        records.extend(next.map(|p| Record { value: Some(p), ..Record::default() }));
        if records.is_empty() {
            break;
        }
        let select = &select[..records.len()];
        let from = Payloads {
            records: &records,
            select,
            key_skip: 0,
            value_skip,
            topic: "",
            partition: 0,
        };
        origin.clear();
        decoder.decode(&from, &cx, &mut rows, &mut origin, &mut bad);
        let batch = black_box(rows.take());
        rows.recycle(batch);
    }
    assert!(bad.is_empty(), "every record can be read");
}

/// A pass that writes a batch of bids again and again, `rows` rows in all.
fn encoding(plan: &DecodePlan, payloads: &Bids, rows: usize) -> io::Result<impl FnMut()> {
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
    let mut decoder = PlanDecoder::new(plan).expect("a valid plan");
    decoder.decode(&from, &cx, &mut builder, &mut Vec::new(), &mut bad);
    let batch = builder.take();

    let schema = derive("bid", "nexmark", &fields).map_err(io::Error::other)?;
    let schema = parse(&schema).map_err(io::Error::other)?;
    let plan = encode_plan(EncodeFormat::Avro(&schema), &fields, &[0, 1, 2, 3]);
    let mut encoder = PlanEncoder::new(&plan.map_err(io::Error::other)?).expect("a valid plan");
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

//! How many records a second one thread reads in memory, of Nexmark bids of about 250 bytes: native
//! code beside the interpreter, apache-avro's generic reader, and a reader written by hand for just
//! these bids. Reading alone takes four columns into rows; the whole scan also drops half of the
//! rows by their price. And how many rows of four columns the encoders write, and how many bids are
//! added to the accumulators of their groups.
//! Run with `cargo run --release -p flow-compiler --example kernel_rate [RECORDS [PASSES]]`.
//! A million records come from memory; 20,000 stay in the cache, as a batch does that was just
//! fetched. Engines take turns, pass by pass; each figure is the best of its passes.

mod accumulate;
mod bids;

use std::cell::Cell;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::Instant;

use apache_avro::reader::datum::GenericDatumReader;
use flow_compiler::codegen::Native;
use flow_ir::kernel::{Record, ScanSpec};
use flow_ir::row::pack_var;
use flow_schema::{PayloadFormat, parse};
use flow_stdlib::interp::Interpreter;

use accumulate::accumulating;
use bids::{
    BATCH, Bids, FRAMING, PRICE, SCHEMA, above, avro_bid, encoding, json_bid, plan, scan, scanner,
};

/// The generic reader is slow: it reads this part of the records only.
const GENERIC_SHARE: usize = 8;
/// Prices that a seventh of the bids are above, and all but a seventh.
const PRICES: [i64; 2] = [10_000_099, 199];

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
    let whole = ScanSpec { map: Some(above(&read.decode, PRICE)), ..read.clone() };
    let read_json = ScanSpec { decode: plan(PayloadFormat::Json), ..ScanSpec::default() };
    let rows = [Cell::new(0), Cell::new(0), Cell::new(0)];
    let mut interpreter_read = scanner(&Interpreter, &read)?;
    let mut native_read = scanner(&native, &read)?;
    let mut interpreter_whole = scanner(&Interpreter, &whole)?;
    let mut native_whole = scanner(&native, &whole)?;
    let mut interpreter_read_json = scanner(&Interpreter, &read_json)?;
    let few = ScanSpec { map: Some(above(&read.decode, PRICES[0])), ..read.clone() };
    let most = ScanSpec { map: Some(above(&read.decode, PRICES[1])), ..read.clone() };
    let (mut native_few, mut native_most) = (scanner(&native, &few)?, scanner(&native, &most)?);
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
            (records, &mut || _ = scan(&mut native_few, &bids, FRAMING)),
            (records, &mut || _ = scan(&mut native_most, &bids, FRAMING)),
            (records, &mut accumulating(&Interpreter, records)?),
            (records, &mut accumulating(&native, records)?),
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
        "with filter, native, 1 of 7 passes",
        "with filter, native, 6 of 7 pass",
        "q17's accumulators, interpreted",
        "q17's accumulators, native",
    ];
    for (name, rate) in names.iter().zip(rates) {
        writeln!(out, "{name:36} {:6.2} M records/s, {:5.1} ns each", rate / 1e6, 1e9 / rate)?;
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
        ("accumulators: native / interpreted", rates[14] / rates[13]),
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

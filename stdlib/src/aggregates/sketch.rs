//! APPROX_PERCENTILE: a DDSketch. Values are counted in buckets whose width is 1/256 of their
//! binary order of magnitude, so that what is found is less than 0.4 % from a value of that rank.
//! Counts add up, and go down when rows are taken back. Buckets follow from the bits of a double
//! alone: no logarithm, whose last bit machines differ in.
//!
//! Stored: bucket (i32) and count (i64) each, little-endian, ascending.

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, ContainerBuilder, RowRef, ValueMut, array_words};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Meaning;
use super::catalog::{AggregateDef, Example, OrderUse, Param, number};
use super::moments::read_f64;

pub(super) const DEF: AggregateDef = AggregateDef {
    name: "APPROX_PERCENTILE",
    aliases: &["APPROX_QUANTILE"],
    usage: "x, fraction",
    doc: "About the value at a fraction of the way through the ordered values, within 0.4 % of a \
          value of that rank, as a DOUBLE; NULL if there is none. An array of fractions gives an \
          array.",
    examples: &[Example {
        call: "APPROX_PERCENTILE(x, 0.5)",
        rows: &[Some(1), Some(2), Some(3), None],
        result: "2",
    }],
    params: &[Param::Fraction],
    order: OrderUse::FirstArgument,
    result: |args| number("APPROX_PERCENTILE", args).map(|_| Type::nullable(DataType::Double)),
    ..AggregateDef::PLAIN
};

/// Bits of the significand that a bucket knows.
const BUCKET_BITS: u32 = 8;
const SHIFT: u32 = f64::MANTISSA_DIGITS - 1 - BUCKET_BITS;
/// Bytes of a bucket with its count.
const ENTRY: usize = 12;

/// APPROX_PERCENTILE.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    arg: DataType,
    fractions: Vec<f64>,
    several: bool,
    descending: bool,
}

impl Sketch {
    pub(super) fn new(call: &AggregateCall) -> Option<Self> {
        let one = |value: &Value| if let Value::Float(v) = value { Some(*v) } else { None };
        let (fractions, several) = match call.params.first()? {
            Value::Array(items) => (items.iter().filter_map(one).collect(), true),
            value => (vec![one(value)?], false),
        };
        let descending = call.params.contains(&Value::Boolean(true));
        Some(Self { arg: call.arg_types.first()?.data.clone(), fractions, several, descending })
    }

    fn value(&self, stored: &[u8], fraction: f64) -> f64 {
        let count: i64 = entries(stored).map(|(_, count)| count.max(0)).sum();
        let fraction = if self.descending { 1.0 - fraction } else { fraction };
        let place = (fraction * (count - 1) as f64).floor() as i64;
        let mut before = 0i64;
        let found = entries(stored).find(|(_, count)| {
            before += (*count).max(0);
            before > place
        });
        found.map_or(f64::NAN, |(bucket, _)| value_of(bucket))
    }
}

/// The bucket of a value. Buckets ascend as the values do, NaN last.
fn bucket_of(value: f64) -> i32 {
    let magnitude = (value.abs().to_bits() >> SHIFT) as i32;
    if value < 0.0 { -magnitude } else { magnitude }
}

/// The value in a bucket that is nearest to zero.
fn value_of(bucket: i32) -> f64 {
    let magnitude = f64::from_bits(u64::from(bucket.unsigned_abs()) << SHIFT);
    if bucket < 0 { -magnitude } else { magnitude }
}

fn entries(stored: &[u8]) -> impl Iterator<Item = (i32, i64)> + '_ {
    stored.as_chunks::<ENTRY>().0.iter().map(read)
}

fn read(entry: &[u8; ENTRY]) -> (i32, i64) {
    let [b0, b1, b2, b3, count @ ..] = *entry;
    (i32::from_le_bytes([b0, b1, b2, b3]), i64::from_le_bytes(count))
}

fn add_to_bucket(acc: &mut ValueMut<'_>, at: usize, bucket: i32, weight: i64) {
    let stored = acc.var_mut(at).as_chunks_mut::<ENTRY>().0;
    let place = stored.binary_search_by_key(&bucket, |entry| read(entry).0);
    if let Ok(found) = place {
        let count = read(&stored[found]).1.wrapping_add(weight);
        stored[found][4..].copy_from_slice(&count.to_le_bytes());
        if count != 0 {
            return;
        }
    }
    let mut bytes = acc.var(at).to_vec();
    match place {
        Ok(found) => drop(bytes.drain(found * ENTRY..(found + 1) * ENTRY)),
        Err(place) => {
            let entry = bucket.to_le_bytes().into_iter().chain(weight.to_le_bytes());
            bytes.splice(place * ENTRY..place * ENTRY, entry);
        }
    }
    acc.set_var(at, &bytes);
}

impl Meaning for Sketch {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::Bytes)]
    }

    fn add(
        &self,
        acc: &mut ValueMut<'_>,
        first: usize,
        row: RowRef<'_>,
        args: &[Column],
        weight: i64,
    ) {
        if !row.is_null(args[0]) && weight != 0 {
            let value = read_f64(row, args[0], &self.arg);
            add_to_bucket(acc, first, bucket_of(value), weight);
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        if !from.is_null(columns[0]) {
            for (bucket, count) in entries(from.var(columns[0])) {
                add_to_bucket(acc, first, bucket, count);
            }
        }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        if acc.is_null(columns[0]) || acc.var(columns[0]).is_empty() {
            return Ok(());
        }
        let stored = acc.var(columns[0]);
        match (self.several, self.fractions.as_slice()) {
            (false, [fraction]) => out.set_f64(column, self.value(stored, *fraction)),
            (_, fractions) => {
                let mut items = ContainerBuilder::default();
                for fraction in fractions {
                    items.push_word(self.value(stored, *fraction).to_bits());
                }
                out.set_container(column, &array_words(&items));
            }
        }
        Ok(())
    }
}

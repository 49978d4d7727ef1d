//! Running plans on a few payloads, and random Avro schemas and values.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::schema::InnerDecimalSchema;
use apache_avro::types::Value as Avro;
use apache_avro::{Days, Decimal, Duration, Millis, Months, Schema};
use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Origin};
use flow_ir::encode_plan::EncodePlan;
use flow_ir::kernel::{
    Decoder, Encoder, ErrorBuffer, KernelCx, OnError, PayloadArena, Payloads, Record, RowError,
};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout, read_value};
use flow_ir::types::{Field, Type};
use flow_ir::value::Value;
use flow_stdlib::interp::decode::PlanDecoder;
use flow_stdlib::interp::encode::PlanEncoder;

/// Cases of each property.
pub(crate) fn config() -> proptest::test_runner::Config {
    let cases = proptest::test_runner::Config::default().cases.max(512);
    proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
}

/// Columns of the value, each the field of its name.
pub(crate) fn columns(fields: &[Field]) -> Vec<DecodeColumn> {
    let column = |f: &Field| DecodeColumn {
        name: f.name.clone(),
        ty: f.ty.clone(),
        origin: Origin::Value(vec![f.name.clone()]),
    };
    fields.iter().map(column).collect()
}

/// The rows of these records, and the failures.
pub(crate) fn decode_records(
    plan: &DecodePlan,
    records: &[Record<'_>],
    on_error: OnError,
) -> (RowBatch, Vec<RowError>) {
    let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
    let mut rows = BatchBuilder::new(Arc::new(RowLayout::new(types)));
    let mut decoder = PlanDecoder::new(plan).expect("the plan is well formed");
    let select: Vec<u32> = (0..records.len() as u32).collect();
    let (select, topic) = (&select[..], "orders");
    let from = Payloads { records, select, key_skip: 0, value_skip: 0, topic, partition: 3 };
    let (mut origin, mut bad) = (Vec::new(), ErrorBuffer::default());
    decoder.decode(&from, &KernelCx { clock: 0, on_error }, &mut rows, &mut origin, &mut bad);
    let rows = rows.take();
    assert_eq!(rows.len(), origin.len(), "an origin a row");
    assert!(rows.rows().all(|row| row.verify(rows.layout())), "rows are well formed");
    (rows, bad.errors)
}

/// The values of a batch's rows.
pub(crate) fn values(rows: &RowBatch) -> Vec<Vec<Value>> {
    let layout = rows.layout();
    let value = |row, i: usize| read_value(row, layout.column(i), &layout.types()[i]);
    rows.rows().map(|row| (0..layout.len()).map(|i| value(row, i)).collect()).collect()
}

/// The row of one value payload, or the failure as `field: message`.
pub(crate) fn decode(plan: &DecodePlan, payload: &[u8]) -> Result<Vec<Value>, String> {
    let record = Record { value: Some(payload), ..Record::default() };
    let (rows, errors) = decode_records(plan, &[record], OnError::DropRow);
    match (values(&rows).pop(), errors.first()) {
        (Some(row), None) => Ok(row),
        (None, Some(error)) => Err(error.detail.as_deref().unwrap_or("").to_string()),
        (row, error) => panic!("{row:?} and {error:?}"),
    }
}

/// The payloads of rows, and the failures.
pub(crate) fn encode(plan: &EncodePlan, rows: &RowBatch) -> (PayloadArena, Vec<RowError>) {
    let mut encoder = PlanEncoder::new(plan).expect("the plan is well formed");
    let (mut out, mut bad) = (PayloadArena::default(), ErrorBuffer::default());
    encoder.encode(rows, &mut out, &mut bad);
    assert_eq!(out.len(), rows.len(), "a payload a row");
    (out, bad.errors)
}

/// Rows of these columns.
pub(crate) fn batch(fields: &[Field], rows: &[Vec<Value>]) -> RowBatch {
    let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
    let mut builder = BatchBuilder::new(Arc::new(RowLayout::new(types)));
    for row in rows {
        builder.begin();
        row.iter().enumerate().for_each(|(i, v)| flow_ir::row::push_value(&mut builder, i, v));
        builder.finish(1);
    }
    builder.take()
}

/// Random schemas and values from a seed (splitmix64).
pub(crate) struct Random {
    state: u64,
    names: usize,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, names: 0 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("N{}", self.names)
    }

    /// A record schema's text.
    pub(crate) fn record(&mut self, depth: usize) -> String {
        let name = self.name();
        let count = 1 + self.below(6);
        let fields: Vec<String> = (0..count)
            .map(|i| format!("{{\"name\":\"f{i}\",\"type\":{}}}", self.schema(depth)))
            .collect();
        format!("{{\"type\":\"record\",\"name\":\"{name}\",\"fields\":[{}]}}", fields.join(","))
    }

    fn schema(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 8 } else { 14 }) {
            0..=6 => self.scalar(),
            7 => {
                let scalar = self.scalar();
                if self.below(2) == 0 {
                    format!("[\"null\",{scalar}]")
                } else {
                    format!("[{scalar},\"null\"]")
                }
            }
            8 => format!("{{\"type\":\"array\",\"items\":{}}}", self.schema(depth - 1)),
            9 => format!("{{\"type\":\"map\",\"values\":{}}}", self.schema(depth - 1)),
            10 => self.record(depth - 1),
            11 => format!("[\"null\",{}]", self.record(depth - 1)),
            12 => {
                let record = self.record(depth - 1);
                format!("[\"int\",\"string\",\"null\",{record},\"double\"]")
            }
            _ => format!("[{{\"type\":\"array\",\"items\":{}}},\"boolean\"]", self.scalar()),
        }
    }

    fn scalar(&mut self) -> String {
        const PLAIN: [&str; 8] =
            ["boolean", "int", "long", "float", "double", "string", "bytes", "string"];
        const LOGICAL: [(&str, &str); 10] = [
            ("string", "uuid"),
            ("int", "date"),
            ("int", "time-millis"),
            ("long", "time-micros"),
            ("long", "timestamp-millis"),
            ("long", "timestamp-micros"),
            ("long", "timestamp-nanos"),
            ("long", "local-timestamp-millis"),
            ("long", "local-timestamp-micros"),
            ("long", "local-timestamp-nanos"),
        ];
        let pick = self.below(26);
        let decimal = "\"logicalType\":\"decimal\"";
        match pick {
            0..=7 => format!("\"{}\"", PLAIN[pick]),
            8..=17 => {
                let (base, logical) = LOGICAL[pick - 8];
                format!("{{\"type\":\"{base}\",\"logicalType\":\"{logical}\"}}")
            }
            18 => format!("{{\"type\":\"bytes\",{decimal},\"precision\":9,\"scale\":3}}"),
            19 => format!("{{\"type\":\"bytes\",{decimal},\"precision\":38,\"scale\":10}}"),
            _ => {
                let name = self.name();
                let fixed = format!("\"type\":\"fixed\",\"name\":\"{name}\"");
                match pick {
                    20 => {
                        format!("{{{fixed},\"size\":8,{decimal},\"precision\":18,\"scale\":4}}")
                    }
                    21 => format!("{{{fixed},\"size\":16,\"logicalType\":\"uuid\"}}"),
                    22 => format!("{{{fixed},\"size\":12,\"logicalType\":\"duration\"}}"),
                    23 => format!("{{{fixed},\"size\":{}}}", self.below(5)),
                    _ => format!(
                        "{{\"type\":\"enum\",\"name\":\"{name}\",\"symbols\":[\"A\",\"B\",\"C\"]}}"
                    ),
                }
            }
        }
    }

    /// A value of a schema that apache-avro writes.
    pub(crate) fn value(&mut self, schema: &Schema) -> Avro {
        let wide = |r: &mut Self| r.next() as i64 >> r.below(64);
        let near = |r: &mut Self| wide(r) / 1_000_000;
        match schema {
            Schema::Null => Avro::Null,
            Schema::Boolean => Avro::Boolean(self.below(2) == 1),
            Schema::Int => Avro::Int(wide(self) as i32),
            Schema::Long => Avro::Long(wide(self)),
            Schema::Float => Avro::Float(wide(self) as f32 / 8.0),
            Schema::Double => Avro::Double(wide(self) as f64 / 1024.0),
            Schema::Bytes => Avro::Bytes(self.bytes()),
            Schema::String => Avro::String(self.text()),
            Schema::Array(array) => {
                let count = self.below(4);
                Avro::Array((0..count).map(|_| self.value(&array.items)).collect())
            }
            Schema::Map(map) => {
                let count = self.below(4);
                let entries = (0..count).map(|_| (self.text(), self.value(&map.types)));
                Avro::Map(entries.collect::<HashMap<_, _>>())
            }
            Schema::Union(union) => {
                let branch = self.below(union.variants().len());
                let value = self.value(&union.variants()[branch]);
                Avro::Union(branch as u32, Box::new(value))
            }
            Schema::Record(record) => {
                let fields = record.fields.iter();
                Avro::Record(fields.map(|f| (f.name.clone(), self.value(&f.schema))).collect())
            }
            Schema::Enum(schema) => {
                let symbol = self.below(schema.symbols.len());
                Avro::Enum(symbol as u32, schema.symbols[symbol].clone())
            }
            Schema::Fixed(fixed) => {
                Avro::Fixed(fixed.size, (0..fixed.size).map(|_| self.next() as u8).collect())
            }
            Schema::Decimal(decimal) => {
                let limit = 10i128.pow(decimal.precision as u32);
                let value = (i128::from(self.next()) << 64 | i128::from(self.next())) % limit;
                let bytes = value.to_be_bytes();
                let size = match &decimal.inner {
                    InnerDecimalSchema::Bytes => 16,
                    InnerDecimalSchema::Fixed(fixed) => fixed.size,
                };
                Avro::Decimal(Decimal::from(&bytes[16 - size..]))
            }
            Schema::Uuid(_) => {
                let bits = u128::from(self.next()) << 64 | u128::from(self.next());
                Avro::Uuid(uuid::Uuid::from_u128(bits))
            }
            Schema::Date => Avro::Date(self.below(40_000) as i32 - 10_000),
            Schema::TimeMillis => Avro::TimeMillis(self.below(86_400_000) as i32),
            Schema::TimeMicros => Avro::TimeMicros(self.below(86_400_000_000) as i64),
            Schema::TimestampMillis => Avro::TimestampMillis(near(self)),
            Schema::TimestampMicros => Avro::TimestampMicros(near(self)),
            Schema::TimestampNanos => Avro::TimestampNanos(near(self) * 1_000),
            Schema::LocalTimestampMillis => Avro::LocalTimestampMillis(near(self)),
            Schema::LocalTimestampMicros => Avro::LocalTimestampMicros(near(self)),
            Schema::LocalTimestampNanos => Avro::LocalTimestampNanos(near(self) * 1_000),
            Schema::Duration(_) => Avro::Duration(Duration::new(
                Months::new(self.below(1_000) as u32),
                Days::new(self.below(10_000) as u32),
                Millis::new(self.below(86_400_000) as u32),
            )),
            Schema::BigDecimal | Schema::Ref { .. } => panic!("not generated: {schema:?}"),
        }
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 8] = ["a", "Zz", "ü", "😀", "\"", "\\", "\n", "longer than eight "];
        let count = self.below(5);
        (0..count).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let count = self.below(20);
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Some bytes cut short, or with a bit turned.
    pub(crate) fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        if bytes.is_empty() || self.below(3) == 0 {
            damaged.truncate(self.below(bytes.len() + 1));
        } else {
            let at = self.below(bytes.len());
            damaged[at] ^= 1 << self.below(8);
        }
        damaged
    }
}

/// What a datum that apache-avro read is as a Flow value.
pub(crate) fn expected(value: &Avro, schema: &Schema) -> Value {
    let millis = |v: i64| v * 1_000;
    match value {
        Avro::Null => Value::Null,
        Avro::Boolean(v) => Value::Boolean(*v),
        Avro::Int(v) => Value::Int(i64::from(*v)),
        Avro::Long(v) => Value::Int(*v),
        Avro::Float(v) => Value::Float(f64::from(*v)),
        Avro::Double(v) => Value::Float(*v),
        Avro::Bytes(v) | Avro::Fixed(_, v) => Value::Bytes(v.clone()),
        Avro::String(v) | Avro::Enum(_, v) => Value::String(v.clone()),
        Avro::Uuid(v) => Value::Uuid(v.as_u128()),
        Avro::Date(v) => Value::Date(*v),
        Avro::TimeMillis(v) => Value::Time(millis(i64::from(*v))),
        Avro::TimeMicros(v) => Value::Time(*v),
        Avro::TimestampMillis(v) => Value::TimestampLtz(millis(*v)),
        Avro::TimestampMicros(v) => Value::TimestampLtz(*v),
        Avro::TimestampNanos(v) => Value::TimestampLtz(v.div_euclid(1_000)),
        Avro::LocalTimestampMillis(v) => Value::Timestamp(millis(*v)),
        Avro::LocalTimestampMicros(v) => Value::Timestamp(*v),
        Avro::LocalTimestampNanos(v) => Value::Timestamp(v.div_euclid(1_000)),
        Avro::Duration(v) => Value::Interval {
            months: i64::from(u32::from(v.months())),
            micros: i64::from(u32::from(v.days())) * 86_400_000_000
                + millis(i64::from(u32::from(v.millis()))),
        },
        Avro::Decimal(v) => {
            // A decimal of no bytes, which apache-avro reads as 0, it does not write.
            let bytes = Vec::<u8>::try_from(v).unwrap_or_default();
            let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
            let start = if negative { -1 } else { 0 };
            Value::Decimal(bytes.iter().fold(start, |sum, b| sum << 8 | i128::from(*b)))
        }
        Avro::Array(items) => {
            let Schema::Array(array) = schema else { panic!("{schema:?}") };
            Value::Array(items.iter().map(|v| expected(v, &array.items)).collect())
        }
        Avro::Map(entries) => {
            let Schema::Map(map) = schema else { panic!("{schema:?}") };
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_bytes());
            let entry =
                |(k, v): (&String, &Avro)| (Value::String(k.clone()), expected(v, &map.types));
            Value::Map(entries.into_iter().map(entry).collect())
        }
        Avro::Record(fields) => {
            let Schema::Record(record) = schema else { panic!("{schema:?}") };
            let fields = fields.iter().zip(&record.fields);
            Value::Row(fields.map(|((_, v), f)| expected(v, &f.schema)).collect())
        }
        Avro::Union(branch, inner) => expected_branch(*branch as usize, inner, schema),
        Avro::BigDecimal(_) => panic!("not generated"),
    }
}

fn expected_branch(branch: usize, value: &Avro, schema: &Schema) -> Value {
    let Schema::Union(union) = schema else { panic!("{schema:?}") };
    let variants = union.variants();
    let value = expected(value, &variants[branch]);
    let others = || variants.iter().enumerate().filter(|(_, s)| !matches!(s, Schema::Null));
    if value.is_null() || others().count() == 1 {
        return value;
    }
    Value::Row(
        others().map(|(i, _)| if i == branch { value.clone() } else { Value::Null }).collect(),
    )
}

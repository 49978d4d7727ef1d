//! Stretches and lanes against the steps that they stand for: the same rows, word by word, and the
//! same failures, for whole, cut and damaged payloads in any company.

use flow_ir::decode_plan::DecodeColumn;
use flow_ir::kernel::RowError;
use flow_schema::{PayloadFormat, Schema, decode_plan, parse};
use proptest::prelude::*;

use super::*;

/// Everything that a stretch can hold, and in the second plan an array that ends one.
const FIELDS: [(&str, &str); 14] = [
    ("id", r#""long""#),
    ("s1", r#""long""#),
    ("small", r#""int""#),
    ("s2", r#""string""#),
    ("name", r#""string""#),
    ("at", r#"{"type":"long","logicalType":"timestamp-millis"}"#),
    ("s3", r#""double""#),
    ("ratio", r#""double""#),
    ("maybe", r#"["null","long"]"#),
    ("note", r#"["string","null"]"#),
    ("day", r#"["null",{"type":"int","logicalType":"date"}]"#),
    ("items", r#"{"type":"array","items":"string"}"#),
    ("after", r#""string""#),
    ("s4", r#""bytes""#),
];

fn schema(with_items: bool) -> Schema {
    let fields = FIELDS.iter().filter(|(name, _)| with_items || *name != "items");
    let fields: Vec<String> =
        fields.map(|(name, ty)| format!(r#"{{"name":"{name}","type":{ty}}}"#)).collect();
    let fields = fields.join(",");
    parse(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)).expect("a schema")
}

fn plan(with_items: bool, nullable: bool) -> DecodePlan {
    let column = |name: &str, data: DataType| DecodeColumn {
        name: name.to_string(),
        ty: Type { data, nullable },
        origin: Origin::Value(vec![name.to_string()]),
    };
    let partition = DecodeColumn {
        name: "topic".to_string(),
        ty: Type::not_null(DataType::String),
        origin: Origin::Metadata(Metadata::Topic),
    };
    let mut columns = vec![
        column("after", DataType::String),
        column("id", DataType::BigInt),
        partition,
        column("small", DataType::BigInt),
        column("name", DataType::String),
        column("at", DataType::TimestampLtz { precision: 3 }),
        column("ratio", DataType::Double),
        DecodeColumn { ty: Type::nullable(DataType::BigInt), ..column("maybe", DataType::Null) },
        DecodeColumn { ty: Type::nullable(DataType::String), ..column("note", DataType::Null) },
        DecodeColumn { ty: Type::nullable(DataType::Date), ..column("day", DataType::Null) },
    ];
    if with_items {
        columns.push(column("items", DataType::Array(Box::new(Type::not_null(DataType::String)))));
    }
    let schema = schema(with_items);
    decode_plan(None, PayloadFormat::Avro { writer: &schema, reader: None }, &columns)
        .expect("columns of the schema")
}

fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}

prop_compose! {
    /// A payload whose texts may be no UTF-8 and whose times may be out of range.
    fn payload(with_items: bool)(
        numbers in prop::array::uniform3(any::<i64>().prop_map(|n| n >> (n & 63))),
        small: i32,
        at in prop_oneof![0..4_000_000_000_000i64, any::<i64>()],
        texts in prop::array::uniform4(prop_oneof![
            "[a-z]{0,90}".prop_map(String::into_bytes),
            "\\PC{0,9}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..5),
        ]),
        nulls: [bool; 3],
        ratio: f64,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        long(numbers[0], &mut out);
        long(numbers[1], &mut out);
        long(i64::from(small), &mut out);
        bytes(&texts[0], &mut out);
        bytes(&texts[1], &mut out);
        long(at, &mut out);
        out.extend(ratio.to_le_bytes());
        out.extend(ratio.to_le_bytes());
        long(i64::from(!nulls[0]), &mut out);
        if !nulls[0] {
            long(numbers[2], &mut out);
        }
        long(i64::from(nulls[1]), &mut out);
        if !nulls[1] {
            bytes(&texts[2], &mut out);
        }
        long(i64::from(!nulls[2]), &mut out);
        if !nulls[2] {
            long(i64::from(small), &mut out);
        }
        if with_items {
            long(1, &mut out);
            bytes(b"item", &mut out);
            long(0, &mut out);
        }
        bytes(&texts[3], &mut out);
        bytes(&texts[0], &mut out);
        out
    }
}

/// The rows, their origins, and the failures.
type Read = (Vec<u64>, Vec<u32>, Vec<u32>, Vec<RowError>);

fn read(decoder: &mut PlanDecoder, plan: &DecodePlan, values: &[&[u8]], on_error: OnError) -> Read {
    let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
    let mut rows = BatchBuilder::new(Arc::new(RowLayout::new(types)));
    // An empty payload is a tombstone.
    let records = values
        .iter()
        .map(|&value| Record { value: (!value.is_empty()).then_some(value), ..Record::default() });
    let records: Vec<Record<'_>> = records.collect();
    let select: Vec<u32> = (0..records.len() as u32).collect();
    let from = Payloads {
        records: &records,
        select: &select,
        key_skip: 0,
        value_skip: 0,
        topic: "orders",
        partition: 0,
    };
    let (mut origin, mut bad) = (Vec::new(), ErrorBuffer::default());
    decoder.decode(&from, &KernelCx { clock: 0, on_error }, &mut rows, &mut origin, &mut bad);
    let rows = rows.take();
    assert!(rows.rows().all(|row| row.verify(rows.layout())), "rows are well formed");
    (rows.words().to_vec(), rows.starts().to_vec(), origin, bad.errors)
}

/// A decoder that takes steps one by one.
fn unfused(plan: &DecodePlan) -> PlanDecoder {
    let mut decoder = PlanDecoder::new(plan).expect("a valid plan");
    decoder.lanes = None;
    if let Payload::Avro(reader) = &mut decoder.value {
        reader.unfuse();
    }
    decoder
}

/// Asserts that both decoders read the same under both ways to take errors.
fn check(plan: &DecodePlan, values: &[&[u8]]) {
    let mut fused = PlanDecoder::new(plan).expect("a valid plan");
    for on_error in [OnError::DropRow, OnError::KeepNull] {
        let expected = read(&mut unfused(plan), plan, values, on_error);
        assert_eq!(read(&mut fused, plan, values, on_error), expected, "{values:?}");
    }
}

#[test]
fn flat_values_are_read_in_lanes_and_others_are_not() {
    let decoder = |with_items| PlanDecoder::new(&plan(with_items, false)).expect("a valid plan");
    assert!(decoder(false).lanes.is_some());
    assert!(decoder(true).lanes.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whole_payloads(
        flat in prop::collection::vec(payload(false), 1..12),
        other in prop::collection::vec(payload(true), 1..12),
        nullable: bool,
    ) {
        check(&plan(false, nullable), &flat.iter().map(|p| &p[..]).collect::<Vec<_>>());
        check(&plan(true, nullable), &other.iter().map(|p| &p[..]).collect::<Vec<_>>());
    }

    #[test]
    fn payloads_cut_at_every_byte(
        flat in payload(false),
        other in payload(true),
        nullable: bool,
    ) {
        for (with_items, payload) in [(false, flat), (true, other)] {
            let plan = plan(with_items, nullable);
            // Cut ones alone, and each among whole ones.
            let cut: Vec<&[u8]> = (0..payload.len()).map(|end| &payload[..end]).collect();
            check(&plan, &cut);
            let mixed: Vec<&[u8]> = cut.iter().flat_map(|cut| [*cut, &payload, &payload]).collect();
            check(&plan, &mixed);
        }
    }

    #[test]
    fn payloads_with_a_byte_changed_or_added(
        flat in prop::collection::vec(
            (payload(false), any::<prop::sample::Index>(), any::<u8>()),
            1..12,
        ),
        nullable: bool,
    ) {
        let damaged: Vec<Vec<u8>> = flat.into_iter().map(|(mut payload, at, byte)| {
            match at.index(payload.len() + 1) {
                at if at < payload.len() => payload[at] = byte,
                _ => payload.push(byte),
            }
            payload
        }).collect();
        check(&plan(false, nullable), &damaged.iter().map(|p| &p[..]).collect::<Vec<_>>());
    }
}

//! Encoding: defaults, framing, derived names; values that do not fit are told by field.

use apache_avro::Schema;
use flow_ir::kernel::ErrorCode;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_schema::{EncodeFormat, derive, encode_plan, parse};
use flow_stdlib::interp::encode::debezium_envelope;

use crate::support::{batch, encode};

fn write(schema: &str, fields: &[Field], row: Vec<Value>) -> Result<Vec<u8>, String> {
    let schema: Schema = parse(schema).expect("a schema");
    let all: Vec<usize> = (0..fields.len()).collect();
    let plan = encode_plan(EncodeFormat::Avro(&schema), fields, &all).map_err(|e| e.to_string())?;
    let (payloads, errors) = encode(&plan, &batch(fields, &[row]));
    match errors.first() {
        None => Ok(payloads.get(0).to_vec()),
        Some(error) => {
            assert!(payloads.get(0).is_empty(), "a failed row has no payload");
            Err(error.detail.as_deref().unwrap_or("").to_string())
        }
    }
}

fn record_of(fields: &str) -> String {
    format!("{{\"type\":\"record\",\"name\":\"R\",\"fields\":[{fields}]}}")
}

#[test]
fn fields_that_no_column_gives_take_their_default() {
    let schema = record_of(
        r#"{"name":"a","type":"int"},{"name":"b","type":["null","int"]},
           {"name":"c","type":"string","default":"hi"},{"name":"d","type":["int","null"]},
           {"name":"e","type":{"type":"array","items":"int"},"default":[]}"#,
    );
    let fields = [Field::new("a", Type::not_null(DataType::Int))];
    assert_eq!(write(&schema, &fields, vec![Value::Int(1)]), Ok(vec![2, 0, 4, b'h', b'i', 2, 0]));
    let schema = record_of(r#"{"name":"a","type":"int"},{"name":"z","type":"int"}"#);
    let error = write(&schema, &fields, vec![Value::Int(1)]).expect_err("z has no default");
    assert!(error.contains("field z"), "{error}");
}

#[test]
fn columns_without_a_field_are_named() {
    let fields = [Field::new("b", Type::not_null(DataType::Int))];
    let schema = record_of(r#"{"name":"a","type":"int","default":0}"#);
    let error = write(&schema, &fields, vec![Value::Int(1)]).expect_err("no field b");
    assert!(error.contains("column b"), "{error}");
}

#[test]
fn values_that_do_not_fit_are_told_by_field() {
    let text = |nullable| Field::new("s", Type { data: DataType::String, nullable });
    let decimal = DataType::Decimal { precision: 20, scale: 2 };
    let fixed = r#"{"name":"s","type":{"type":"fixed","name":"F","size":2}}"#;
    let symbols = r#"{"name":"s","type":{"type":"enum","name":"E","symbols":["A"]}}"#;
    let small = r#"{"name":"s","type":{"type":"fixed","name":"D","size":1,
        "logicalType":"decimal","precision":2,"scale":2}}"#;
    let bytes = Field::new("s", Type::not_null(DataType::Bytes));
    for (field, schema, value, error) in [
        (text(true), r#"{"name":"s","type":"string"}"#, Value::Null, "s: NULL where"),
        (text(false), symbols, Value::String("B".into()), "s: not a symbol"),
        (bytes, fixed, Value::Bytes(vec![1]), "s: not as many bytes"),
        (
            Field::new("s", Type::not_null(decimal)),
            small,
            Value::Decimal(12_345),
            "s: out of the schema's range",
        ),
        (
            Field::new("s", Type::not_null(DataType::Interval)),
            r#"{"name":"s","type":{"type":"fixed","name":"I","size":12,"logicalType":"duration"}}"#,
            Value::Interval { months: 0, micros: -1 },
            "s: an Avro duration is not negative",
        ),
    ] {
        let told = write(&record_of(schema), &[field], vec![value]).expect_err(error);
        assert!(told.starts_with(error), "{told}");
    }
}

#[test]
fn framing_stands_before_each_payload() {
    let fields = [Field::new("a", Type::not_null(DataType::Int))];
    let schema = parse("\"int\"").expect("a schema");
    let mut plan = encode_plan(EncodeFormat::Avro(&schema), &fields, &[0]).expect("a plan");
    plan.prefix = vec![0, 0, 0, 0, 7];
    let (payloads, _) = encode(&plan, &batch(&fields, &[vec![Value::Int(1)], vec![Value::Int(2)]]));
    assert_eq!(payloads.get(0), [0, 0, 0, 0, 7, 2]);
    assert_eq!(payloads.get(1), [0, 0, 0, 0, 7, 4]);
}

#[test]
fn names_that_avro_does_not_allow_are_replaced_and_found_again() {
    let fields = [
        Field::new("a b", Type::not_null(DataType::Int)),
        Field::new("a_b", Type::not_null(DataType::Int)),
        Field::new("1st", Type::nullable(DataType::Int)),
    ];
    let text = derive("my stream", "x.2y", &fields).expect("a schema");
    assert_eq!(
        text,
        "{\"type\":\"record\",\"name\":\"my_stream\",\"namespace\":\"x._2y\",\"fields\":[\
         {\"name\":\"a_b\",\"type\":\"int\"},{\"name\":\"a_b_2\",\"type\":\"int\"},\
         {\"name\":\"_1st\",\"type\":[\"null\",\"int\"],\"default\":null}]}"
    );
    parse(&text).expect("valid");
}

#[test]
fn raw_numbers_are_big_endian() {
    let fields = [Field::new("a", Type::nullable(DataType::Int))];
    let plan = encode_plan(EncodeFormat::Raw, &fields, &[0]).expect("a plan");
    let rows = batch(&fields, &[vec![Value::Int(-2)], vec![Value::Null]]);
    let (payloads, errors) = encode(&plan, &rows);
    assert!(errors.is_empty());
    assert_eq!(payloads.get(0), [0xff, 0xff, 0xff, 0xfe]);
    assert!(payloads.get(1).is_empty());
}

#[test]
fn errors_carry_their_code() {
    let fields = [Field::new("s", Type::nullable(DataType::String))];
    let schema = parse("\"string\"").expect("a schema");
    let plan = encode_plan(EncodeFormat::Avro(&schema), &fields, &[0]).expect("a plan");
    let (_, errors) = encode(&plan, &batch(&fields, &[vec![Value::Null]]));
    assert_eq!(errors[0].code, ErrorCode::UnexpectedNull);
}

#[test]
fn envelopes() {
    let envelope = |before, after| {
        let mut out = Vec::new();
        debezium_envelope(before, after, &mut out);
        String::from_utf8(out).expect("text")
    };
    let (a, b) = (Some(&b"{\"a\":1}"[..]), Some(&b"{\"a\":2}"[..]));
    assert_eq!(envelope(None, a), r#"{"before":null,"after":{"a":1},"op":"c"}"#);
    assert_eq!(envelope(a, b), r#"{"before":{"a":1},"after":{"a":2},"op":"u"}"#);
    assert_eq!(envelope(a, None), r#"{"before":{"a":1},"after":null,"op":"d"}"#);
}

//! JSON: each type takes the forms that the decoder's table lists; what does not fit is told by
//! field.

use flow_ir::decode_plan::{DecodeColumn, Metadata, Origin};
use flow_ir::encode_plan::JsonTimestamps;
use flow_ir::kernel::{ErrorCode, Headers, OnError, Record};
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_schema::{EncodeFormat, PayloadFormat, decode_plan, encode_plan};

use crate::support::{batch, columns, decode, decode_records, encode, values};

fn one(data: DataType, json: &str) -> Result<Value, String> {
    let fields = [Field::new("v", Type::nullable(data))];
    let plan = decode_plan(None, PayloadFormat::Json, &columns(&fields)).expect("a plan");
    decode(&plan, format!("{{\"v\":{json}}}").as_bytes()).map(|mut row| row.remove(0))
}

#[test]
fn types_take_their_forms() {
    let decimal = DataType::Decimal { precision: 10, scale: 2 };
    let ltz = DataType::TimestampLtz { precision: 3 };
    let ts = DataType::Timestamp { precision: 3 };
    let text = |s: &str| Value::String(s.into());
    for (ty, json, value) in [
        (DataType::Boolean, "true", Value::Boolean(true)),
        (DataType::Boolean, "\"False\"", Value::Boolean(false)),
        (DataType::Int, "-7", Value::Int(-7)),
        (DataType::Int, "\" 12 \"", Value::Int(12)),
        (DataType::BigInt, "9223372036854775807", Value::Int(i64::MAX)),
        (DataType::BigInt, "1.0", Value::Int(1)),
        (DataType::BigInt, "1e3", Value::Int(1_000)),
        (DataType::Double, "1e-7", Value::Float(1e-7)),
        (DataType::Double, "\"-Infinity\"", Value::Float(f64::NEG_INFINITY)),
        (DataType::Double, "\"NaN\"", Value::Float(f64::NAN)),
        (DataType::Real, "0.1", Value::Float(f64::from(0.1f32))),
        (decimal.clone(), "0.1", Value::Decimal(10)),
        (decimal.clone(), "12345678.90", Value::Decimal(1_234_567_890)),
        (decimal.clone(), "\"1.005\"", Value::Decimal(101)),
        (DataType::String, "\"a\\u00e4\\n\"", text("aä\n")),
        (DataType::String, "{\"x\": [1]}", text("{\"x\": [1]}")),
        (DataType::String, "1.50", text("1.50")),
        (DataType::Bytes, "\"AQI=\"", Value::Bytes(vec![1, 2])),
        (DataType::Bytes, "\"AQI\"", Value::Bytes(vec![1, 2])),
        (DataType::Date, "\"1970-01-02\"", Value::Date(1)),
        (DataType::Time { precision: 3 }, "\"00:00:01\"", Value::Time(1_000_000)),
        (ltz.clone(), "1500", Value::TimestampLtz(1_500_000)),
        (ltz, "\"1970-01-01T01:00:00+01:00\"", Value::TimestampLtz(0)),
        (ts, "\"1970-01-01 00:00:00.5\"", Value::Timestamp(500_000)),
        (DataType::Json, " { \"a\" : 1 } ", Value::Json("{ \"a\" : 1 }".into())),
        (DataType::Json, "null", Value::Null),
        (DataType::Json, "\"x\"", Value::Json("\"x\"".into())),
        (DataType::Int, "null", Value::Null),
    ] {
        assert_eq!(one(ty.clone(), json), Ok(value), "{ty} {json}");
    }
}

#[test]
fn what_does_not_fit_is_told_by_field() {
    for (ty, json, told) in [
        (DataType::TinyInt, "128", "v: out of the type's range"),
        (DataType::BigInt, "9223372036854775808", "v: out of the type's range"),
        (DataType::Int, "1.5", "v: cannot be read as the column's type"),
        (DataType::Int, "true", "v: cannot be read as the column's type"),
        (DataType::Double, "1e999", "v: out of the type's range"),
        (DataType::Boolean, "1", "v: cannot be read as the column's type"),
        (DataType::Bytes, "\"?\"", "v: not base64"),
        (DataType::Uuid, "\"x\"", "v: not a UUID"),
        (DataType::Date, "\"2024-02-30\"", "v: cannot be read as the column's type"),
        (DataType::Array(Box::new(Type::nullable(DataType::Int))), "1", "v: not a JSON array"),
    ] {
        assert_eq!(one(ty.clone(), json), Err(told.to_string()), "{ty} {json}");
    }
}

#[test]
fn members_by_exact_name_last_one_counts_missing_is_null() {
    let fields = ["a", "A", "gone"].map(|n| Field::new(n, Type::nullable(DataType::Int)));
    let plan = decode_plan(None, PayloadFormat::Json, &columns(&fields)).expect("a plan");
    let row = decode(&plan, br#" {"a":1,"x":{"a":9},"\u0061":2,"A":3,"A":null} "#);
    assert_eq!(row, Ok(vec![Value::Int(2), Value::Null, Value::Null]));
    let required = [Field::new("gone", Type::not_null(DataType::Int))];
    let plan = decode_plan(None, PayloadFormat::Json, &columns(&required)).expect("a plan");
    let told = decode(&plan, b"{}").expect_err("gone is NOT NULL");
    assert_eq!(told, "gone: NULL where the column does not allow it");
}

fn at(path: &[&str], ty: DataType) -> DecodeColumn {
    let origin = Origin::Value(path.iter().map(|p| p.to_string()).collect());
    DecodeColumn { name: path.join("."), ty: Type::nullable(ty), origin }
}

#[test]
fn paths_containers_and_the_same_value_twice() {
    let point: DataType = DataType::Row(
        vec![
            Field::new("y", Type::nullable(DataType::Int)),
            Field::new("x", Type::not_null(DataType::Int)),
        ]
        .into(),
    );
    let map = DataType::Map(
        Box::new(Type::not_null(DataType::String)),
        Box::new(Type::nullable(DataType::Int)),
    );
    let columns = [
        at(&["p", "x"], DataType::Int),
        at(&["p"], point.clone()),
        at(&["p"], DataType::Json),
        at(&["m"], map),
        at(&["l"], DataType::Array(Box::new(Type::nullable(point)))),
    ];
    let plan = decode_plan(None, PayloadFormat::Json, &columns).expect("a plan");
    let row =
        decode(&plan, br#"{"m":{"b":1,"a":null,"b":2},"p":{"x":1},"l":[{"x":5,"y":6},null]}"#);
    let text = |s: &str| Value::String(s.into());
    assert_eq!(
        row,
        Ok(vec![
            Value::Int(1),
            Value::Row(vec![Value::Null, Value::Int(1)]),
            Value::Json("{\"x\":1}".into()),
            Value::Map(vec![(text("a"), Value::Null), (text("b"), Value::Int(2))]),
            Value::Array(vec![Value::Row(vec![Value::Int(6), Value::Int(5)]), Value::Null]),
        ])
    );
    assert_eq!(decode(&plan, br#"{"p":3}"#), Err("p: not a JSON object".into()));
    assert!(decode(&plan, br#"{"l":[{"y":1}]}"#).expect_err("x").contains("NULL where"));
    for bad in ["", "{", "[]", "{} {}", "{\"p\":{\"x\":1}", "\u{7f}"] {
        assert!(decode(&plan, bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_bad_value_may_be_null_instead() {
    let fields = [
        Field::new("a", Type::nullable(DataType::Int)),
        Field::new("b", Type::not_null(DataType::Int)),
    ];
    let plan = decode_plan(None, PayloadFormat::Json, &columns(&fields)).expect("a plan");
    let record = |json: &'static [u8]| Record { value: Some(json), ..Record::default() };
    let records = [record(br#"{"a":"x","b":2}"#), record(br#"{"a":1,"b":"x"}"#)];
    let (rows, errors) = decode_records(&plan, &records, OnError::KeepNull);
    assert_eq!(values(&rows), [[Value::Null, Value::Int(2)]]);
    let codes: Vec<_> = errors.iter().map(|e| (e.row, e.code)).collect();
    let bad_cast = ErrorCode::BadCast;
    assert_eq!(codes, [(0, bad_cast), (1, bad_cast), (1, ErrorCode::UnexpectedNull)]);
}

#[test]
fn keys_metadata_and_tombstones() {
    let metadata = |name: &str, what: Metadata| DecodeColumn {
        name: name.into(),
        ty: Type::nullable(what.data_type()),
        origin: Origin::Metadata(what),
    };
    let mut columns = vec![
        DecodeColumn {
            name: "id".into(),
            ty: Type::not_null(DataType::Int),
            origin: Origin::Key(vec!["id".into()]),
        },
        DecodeColumn { ty: Type::not_null(DataType::Int), ..at(&["v"], DataType::Int) },
        metadata("time", Metadata::Timestamp),
        metadata("offset", Metadata::Offset),
        metadata("topic", Metadata::Topic),
        metadata("headers", Metadata::Headers),
        metadata("tombstone", Metadata::Tombstone),
    ];
    let mut headers = Vec::new();
    for (name, value) in [("b", Some(&b"1"[..])), ("a", None), ("b", Some(&b"2"[..]))] {
        Headers::push(name, value, &mut headers);
    }
    let record = Record {
        key: Some(&[0, 0, 0, 9]),
        value: None,
        offset: 42,
        timestamp: Some(7),
        headers: Headers(&headers),
    };
    let (key, value) = (Some(PayloadFormat::Raw), PayloadFormat::Json);
    let plan = decode_plan(key, value, &columns).expect("a plan");
    let (rows, errors) = decode_records(&plan, &[record], OnError::DropRow);
    assert!(errors.is_empty(), "{errors:?}");
    let text = |s: &str| Value::String(s.into());
    let sent = vec![(text("a"), Value::Null), (text("b"), Value::Bytes(b"2".to_vec()))];
    assert_eq!(
        values(&rows),
        [[
            Value::Int(9),
            Value::Null,
            Value::TimestampLtz(7),
            Value::Int(42),
            text("orders"),
            Value::Map(sent),
            Value::Boolean(true),
        ]]
    );
    columns.pop();
    let plan = decode_plan(key, value, &columns).expect("a plan");
    let (rows, errors) = decode_records(&plan, &[record], OnError::DropRow);
    assert!(rows.is_empty());
    assert_eq!(errors[0].code, ErrorCode::UnexpectedNull);
}

#[test]
fn millis_and_floats_are_written_as_documented() {
    let fields = [
        Field::new("t", Type::not_null(DataType::TimestampLtz { precision: 3 })),
        Field::new("f", Type::not_null(DataType::Double)),
        Field::new("j", Type::not_null(DataType::Json)),
    ];
    let row = vec![Value::TimestampLtz(-1), Value::Float(f64::NAN), Value::Json("[1,\n2]".into())];
    let format = EncodeFormat::Json(JsonTimestamps::Millis);
    let plan = encode_plan(format, &fields, &[0, 1, 2]).expect("a plan");
    let (payloads, _) = encode(&plan, &batch(&fields, &[row]));
    assert_eq!(payloads.get(0), br#"{"t":-1,"f":"NaN","j":[1, 2]}"#);
}

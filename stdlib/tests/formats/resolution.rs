//! Reader and writer resolution, field by field: promotions, defaults, aliases, nullability,
//! unions, recursion; and what is refused when the plan is built.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use flow_ir::decode_plan::{AVRO_DEPTH_MAX, DecodeColumn, Origin};
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_schema::{PayloadFormat, decode_plan, parse};

use crate::support::{columns, decode};

fn record_of(fields: &str) -> String {
    format!("{{\"type\":\"record\",\"name\":\"R\",\"fields\":[{fields}]}}")
}

/// Reads one field `f` of this schema as a type.
fn field(schema: &str, value: Avro, ty: Type) -> Result<Value, String> {
    let schema = record_of(&format!("{{\"name\":\"f\",\"type\":{schema}}}"));
    read(&schema, None, Avro::Record(vec![("f".into(), value)]), "f", ty)
}

/// Reads a column from a record of a writer, declared by a reader's schema.
fn read(
    writer: &str,
    reader: Option<&str>,
    value: Avro,
    column: &str,
    ty: Type,
) -> Result<Value, String> {
    let writer = parse(writer).expect("a schema");
    let reader = reader.map(|text| parse(text).expect("a schema"));
    let mut bytes = Vec::new();
    let to = GenericDatumWriter::builder(&writer).build().expect("names resolve");
    to.write_value(&mut bytes, value).expect("a value of the schema");
    let format = PayloadFormat::Avro { writer: &writer, reader: reader.as_ref() };
    let plan = decode_plan(None, format, &columns(&[Field::new(column, ty)]));
    let plan = plan.map_err(|e| e.to_string())?;
    decode(&plan, &bytes).map(|mut row| row.remove(0))
}

#[test]
fn promotions() {
    let decimal = |precision, scale| DataType::Decimal { precision, scale };
    let cents = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#;
    let amount = || Avro::Decimal(apache_avro::Decimal::from(vec![0x04, 0xd2]));
    let millis = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    for (schema, value, ty, read) in [
        ("\"int\"", Avro::Int(5), DataType::BigInt, Value::Int(5)),
        ("\"int\"", Avro::Int(5), DataType::SmallInt, Value::Int(5)),
        ("\"int\"", Avro::Int(5), DataType::Double, Value::Float(5.0)),
        ("\"int\"", Avro::Int(5), decimal(12, 2), Value::Decimal(500)),
        ("\"long\"", Avro::Long(1 << 53), DataType::Double, Value::Float((1u64 << 53) as f64)),
        ("\"long\"", Avro::Long(16_777_217), DataType::Real, Value::Float(16_777_216.0)),
        ("\"float\"", Avro::Float(0.5), DataType::Double, Value::Float(0.5)),
        ("\"string\"", Avro::String("ä".into()), DataType::Bytes, Value::Bytes("ä".into())),
        ("\"bytes\"", Avro::Bytes("ä".into()), DataType::String, Value::String("ä".into())),
        (cents, amount(), decimal(10, 4), Value::Decimal(123_400)),
        (cents, amount(), decimal(10, 1), Value::Decimal(123)),
        (cents, amount(), decimal(38, 2), Value::Decimal(1_234)),
        (millis, Avro::TimestampMillis(7), DataType::BigInt, Value::Int(7)),
        (
            millis,
            Avro::TimestampMillis(7),
            DataType::Timestamp { precision: 3 },
            Value::Timestamp(7_000),
        ),
        ("\"string\"", Avro::String("[1]".into()), DataType::Json, Value::Json("[1]".into())),
    ] {
        let told = field(schema, value, Type::not_null(ty.clone()));
        assert_eq!(told, Ok(read), "{schema} as {ty}");
    }
}

#[test]
fn values_out_of_range_are_told_by_field() {
    let small = DataType::Decimal { precision: 3, scale: 2 };
    let cents = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#;
    for (schema, value, ty, told) in [
        ("\"int\"", Avro::Int(300), DataType::TinyInt, "f: out of the type's range"),
        ("\"int\"", Avro::Int(10), small.clone(), "f: out of the type's range"),
        (
            cents,
            Avro::Decimal(apache_avro::Decimal::from(vec![0x04, 0xd2])),
            small,
            "f: out of the type's range",
        ),
        ("\"bytes\"", Avro::Bytes(vec![0xff]), DataType::String, "f: not UTF-8"),
        (
            "\"string\"",
            Avro::String("{".into()),
            DataType::Json,
            "f: cannot be read as the column's type",
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-millis"}"#,
            Avro::TimestampMillis(i64::MAX),
            DataType::TimestampLtz { precision: 3 },
            "f: out of the type's range",
        ),
        (
            r#"["null","int"]"#,
            Avro::Union(0, Box::new(Avro::Null)),
            DataType::Int,
            "f: NULL where the column does not allow it",
        ),
        (
            r#"["string","int"]"#,
            Avro::Union(0, Box::new(Avro::String("x".into()))),
            DataType::Int,
            "f: of a type that the column cannot hold",
        ),
    ] {
        let read = field(schema, value, Type::not_null(ty.clone()));
        let read = read.expect_err(told).replace("string: of a type", "f: of a type");
        assert_eq!(read, told, "{schema} as {ty}");
    }
}

#[test]
fn types_that_never_fit_are_refused_when_the_plan_is_built() {
    for (schema, value, ty) in [
        ("\"long\"", Avro::Long(1), DataType::Int),
        ("\"double\"", Avro::Double(1.0), DataType::Real),
        ("\"string\"", Avro::String("1".into()), DataType::Int),
        ("\"long\"", Avro::Long(1), DataType::TimestampLtz { precision: 3 }),
        (r#"["null","string"]"#, Avro::Union(0, Box::new(Avro::Null)), DataType::Int),
    ] {
        let told = field(schema, value, Type::nullable(ty.clone())).expect_err("refused");
        assert!(told.contains("field f is") && told.contains(&ty.to_string()), "{told}");
    }
}

#[test]
fn fields_that_the_writer_does_not_have() {
    let writer = record_of(r#"{"name":"old","type":"int"}"#);
    let value = || Avro::Record(vec![("old".into(), Avro::Int(1))]);
    let int = |nullable| Type { data: DataType::Int, nullable };
    let reader = |field: &str| record_of(field);
    let with_default = reader(r#"{"name":"new","type":"int","default":7}"#);
    let null_default = reader(r#"{"name":"new","type":["null","int"],"default":null}"#);
    let alias = reader(r#"{"name":"new","type":"int","aliases":["older","old"]}"#);
    let wrong = reader(r#"{"name":"new","type":"string","default":"x"}"#);
    for (reader, nullable, read_as) in [
        (None, true, Ok(Value::Null)),
        (Some(&with_default), false, Ok(Value::Int(7))),
        (Some(&null_default), true, Ok(Value::Null)),
        (Some(&alias), false, Ok(Value::Int(1))),
        (
            None,
            false,
            Err("the schema has no field new for column new, which is NOT NULL".to_string()),
        ),
        (
            Some(&wrong),
            false,
            Err("the default of field new is not of the column's type".to_string()),
        ),
    ] {
        let reader = reader.map(String::as_str);
        assert_eq!(read(&writer, reader, value(), "new", int(nullable)), read_as, "{reader:?}");
    }
}

#[test]
fn defaults_inside_rows() {
    let inner = |extra: &str| {
        record_of(&format!(
            r#"{{"name":"p","type":{{"type":"record","name":"P","fields":[
                {{"name":"x","type":"int"}}{extra}]}}}}"#
        ))
    };
    let (writer, reader) = (
        inner(""),
        inner(r#",{"name":"tags","type":{"type":"map","values":"int"},"default":{"k":1}}"#),
    );
    let tags = DataType::Map(
        Box::new(Type::not_null(DataType::String)),
        Box::new(Type::not_null(DataType::Int)),
    );
    let row = DataType::Row(
        vec![
            Field::new("tags", Type::not_null(tags)),
            Field::new("x", Type::not_null(DataType::BigInt)),
        ]
        .into(),
    );
    let value = Avro::Record(vec![("p".into(), Avro::Record(vec![("x".into(), Avro::Int(3))]))]);
    let read = read(&writer, Some(&reader), value, "p", Type::not_null(row));
    let entry = (Value::String("k".into()), Value::Int(1));
    assert_eq!(read, Ok(Value::Row(vec![Value::Map(vec![entry]), Value::Int(3)])));
}

#[test]
fn enums_are_text_and_take_the_readers_default() {
    let symbols = |list: &str, default: &str| {
        record_of(&format!(
            r#"{{"name":"f","type":{{"type":"enum","name":"E","symbols":[{list}]{default}}}}}"#
        ))
    };
    let writer = symbols(r#""A","NEW""#, "");
    let with_default = symbols(r#""A","OTHER""#, r#","default":"OTHER""#);
    let value = || Avro::Record(vec![("f".into(), Avro::Enum(1, "NEW".into()))]);
    let text = || Type::not_null(DataType::String);
    assert_eq!(read(&writer, None, value(), "f", text()), Ok(Value::String("NEW".into())));
    let read = read(&writer, Some(&with_default), value(), "f", text());
    assert_eq!(read, Ok(Value::String("OTHER".into())));
}

#[test]
fn arrays_and_maps_in_blocks_with_sizes() {
    let schema = record_of(
        r#"{"name":"a","type":{"type":"array","items":"int"}},
           {"name":"m","type":{"type":"map","values":"string"}},{"name":"z","type":"int"}"#,
    );
    let schema = parse(&schema).expect("a schema");
    // -2 items in 2 bytes, 1 item, end; -1 entry in 4 bytes, the same key again, end; 5.
    let bytes = [3, 4, 2, 4, 2, 6, 0, 1, 8, 2, b'k', 2, b'v', 2, 2, b'k', 2, b'w', 0, 10];
    let reader = GenericDatumReader::builder(&schema).build().expect("names resolve");
    assert!(reader.read_value(&mut &bytes[..]).is_ok());
    let int = Type::not_null(DataType::Int);
    let text = Type::not_null(DataType::String);
    let map = DataType::Map(Box::new(text.clone()), Box::new(text));
    let all = [
        Field::new("a", Type::not_null(DataType::Array(Box::new(int.clone())))),
        Field::new("m", Type::not_null(map)),
        Field::new("z", int),
    ];
    let format = PayloadFormat::Avro { writer: &schema, reader: None };
    let plan = decode_plan(None, format, &columns(&all)).expect("a plan");
    let entry = (Value::String("k".into()), Value::String("w".into()));
    let ints = [1, 2, 3].map(Value::Int).to_vec();
    assert_eq!(
        decode(&plan, &bytes),
        Ok(vec![Value::Array(ints), Value::Map(vec![entry]), Value::Int(5)])
    );
    let plan = decode_plan(None, format, &columns(&all[2..])).expect("a plan");
    assert_eq!(decode(&plan, &bytes), Ok(vec![Value::Int(5)]));
    assert!(plan.to_string().contains("a: skip blocks( varints(1) )"), "{plan}");
}

const TREE: &str = r#"{"type":"record","name":"Tree","fields":[
    {"name":"v","type":"int"},
    {"name":"next","type":["null","Tree"]},
    {"name":"last","type":"int"}]}"#;

/// A chain of this many records and the outermost `last`.
fn chain(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for i in 0..length {
        bytes.extend_from_slice(&[2, if i + 1 < length { 2 } else { 0 }]);
    }
    bytes.extend(std::iter::repeat_n(8, length));
    bytes
}

#[test]
fn recursive_data_is_skipped_to_a_depth() {
    let schema = parse(TREE).expect("a schema");
    let last = [Field::new("last", Type::not_null(DataType::Int))];
    let format = PayloadFormat::Avro { writer: &schema, reader: None };
    let plan = decode_plan(None, format, &columns(&last)).expect("a plan");
    assert_eq!(decode(&plan, &chain(1)), Ok(vec![Value::Int(4)]));
    // Each record is two levels: the union and the record in it.
    let most = AVRO_DEPTH_MAX / 2;
    assert_eq!(decode(&plan, &chain(most)), Ok(vec![Value::Int(4)]));
    let told = decode(&plan, &chain(most + 1)).expect_err("too deep");
    assert_eq!(told, "next: nested too deeply");
    let columns = flow_schema::columns_of(&schema).expect("a record");
    assert_eq!(columns.left_out[0].0, "next");
    assert_eq!(columns.fields.len(), 2);
}

#[test]
fn paths_go_into_recursive_records_and_branches() {
    let schema = parse(TREE).expect("a schema");
    let column = |path: &[&str]| DecodeColumn {
        name: path.join("."),
        ty: Type::nullable(DataType::Int),
        origin: Origin::Value(path.iter().map(|p| p.to_string()).collect()),
    };
    let format = PayloadFormat::Avro { writer: &schema, reader: None };
    let paths = [column(&["next", "next", "v"]), column(&["next", "last"])];
    let plan = decode_plan(None, format, &paths).expect("a plan");
    assert_eq!(decode(&plan, &chain(3)), Ok(vec![Value::Int(1), Value::Int(4)]));
    assert_eq!(decode(&plan, &chain(2)), Ok(vec![Value::Null, Value::Int(4)]));
    assert_eq!(decode(&plan, &chain(1)), Ok(vec![Value::Null, Value::Null]));
    let told = decode_plan(None, format, &[column(&["v", "x"])]).expect_err("v is no record");
    assert_eq!(told.to_string(), "v is int in the schema, not a record");
}

#[test]
fn a_datum_that_is_no_record_is_the_only_column() {
    let schema = parse("\"long\"").expect("a schema");
    let format = PayloadFormat::Avro { writer: &schema, reader: None };
    let id = DecodeColumn {
        name: "id".into(),
        ty: Type::not_null(DataType::BigInt),
        origin: Origin::Value(vec!["id".into()]),
    };
    let plan = decode_plan(None, format, &[id]).expect("a plan");
    assert_eq!(decode(&plan, &[4]), Ok(vec![Value::Int(2)]));
    assert_eq!(decode(&plan, &[4, 4]), Err("bytes after the end of the record".into()));
    assert_eq!(decode(&plan, &[]), Err("id: the payload ends too early".into()));
}

#[test]
fn items_without_bytes_cannot_ask_for_memory() {
    let schema = record_of(r#"{"name":"a","type":{"type":"array","items":"null"}}"#);
    let schema = parse(&schema).expect("a schema");
    let format = PayloadFormat::Avro { writer: &schema, reader: None };
    let plan = decode_plan(None, format, &[]).expect("a plan");
    assert_eq!(decode(&plan, &[]), Ok(vec![]));
    let nulls = DataType::Array(Box::new(Type::nullable(DataType::Int)));
    let column = columns(&[Field::new("a", Type::not_null(nulls))]);
    let plan = decode_plan(None, format, &column).expect("a plan");
    assert_eq!(decode(&plan, &[2, 0]), Ok(vec![Value::Array(vec![Value::Null])]));
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0];
    let told = decode(&plan, &huge).expect_err("more items than bytes");
    assert_eq!(told, "a: more items than the payload can hold");
}

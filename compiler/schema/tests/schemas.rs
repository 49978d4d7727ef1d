//! Schemas as tables: the columns they offer, declared columns held against them, the levels of
//! compatibility, and what plans look like.

use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Origin};
use flow_ir::encode_plan::EncodePlan;
use flow_ir::types::{DataType, Field, Type};
use flow_schema::compat::{Level, can_read, check};
use flow_schema::{
    EncodeFormat, PayloadFormat, PlanError, Schema, check_declared, columns_of, decode_plan,
    derive, encode_plan, parse,
};

fn record(fields: &str) -> Schema {
    let text = format!("{{\"type\":\"record\",\"name\":\"R\",\"fields\":[{fields}]}}");
    parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn field(ty: &str) -> Schema {
    record(&format!("{{\"name\":\"f\",\"type\":{ty}}}"))
}

#[test]
fn avro_types_as_flow_types() {
    for (avro, flow) in [
        ("\"boolean\"", "BOOLEAN NOT NULL"),
        ("\"int\"", "INT NOT NULL"),
        ("\"long\"", "BIGINT NOT NULL"),
        ("\"float\"", "REAL NOT NULL"),
        ("\"double\"", "DOUBLE NOT NULL"),
        ("\"string\"", "STRING NOT NULL"),
        ("\"bytes\"", "BYTES NOT NULL"),
        (r#"["null","string"]"#, "STRING"),
        (r#"["long","null"]"#, "BIGINT"),
        (r#"["int"]"#, "INT NOT NULL"),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, "STRING NOT NULL"),
        (r#"{"type":"fixed","name":"F","size":3}"#, "BYTES NOT NULL"),
        (r#"{"type":"string","logicalType":"uuid"}"#, "UUID NOT NULL"),
        (r#"{"type":"int","logicalType":"date"}"#, "DATE NOT NULL"),
        (r#"{"type":"int","logicalType":"time-millis"}"#, "TIME(3) NOT NULL"),
        (r#"{"type":"long","logicalType":"time-micros"}"#, "TIME(6) NOT NULL"),
        (r#"{"type":"long","logicalType":"timestamp-millis"}"#, "TIMESTAMP_LTZ(3) NOT NULL"),
        (r#"{"type":"long","logicalType":"timestamp-micros"}"#, "TIMESTAMP_LTZ(6) NOT NULL"),
        (r#"{"type":"long","logicalType":"timestamp-nanos"}"#, "TIMESTAMP_LTZ(6) NOT NULL"),
        (r#"{"type":"long","logicalType":"local-timestamp-millis"}"#, "TIMESTAMP(3) NOT NULL"),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":12,"scale":3}"#,
            "DECIMAL(12, 3) NOT NULL",
        ),
        (r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#, "INTERVAL NOT NULL"),
        (r#"{"type":"array","items":["null","int"]}"#, "ARRAY<INT> NOT NULL"),
        (r#"{"type":"map","values":"long"}"#, "MAP<STRING NOT NULL, BIGINT NOT NULL> NOT NULL"),
        (r#"["null","int","string"]"#, "ROW<int INT, string STRING>"),
        (
            r#"["null",{"type":"record","name":"P","fields":[{"name":"x","type":"int"}]}]"#,
            "ROW<x INT NOT NULL>",
        ),
    ] {
        let columns = columns_of(&field(avro)).expect("a record");
        assert_eq!(columns.fields.len(), 1, "{avro}: {:?}", columns.left_out);
        assert_eq!(columns.fields[0].ty.to_string(), flow, "{avro}");
    }
}

#[test]
fn fields_without_a_type_are_left_out_with_the_reason() {
    for (avro, reason) in [
        ("\"null\"", "it is never anything but null"),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":50,"scale":3}"#,
            "it is a decimal of 50 digits; 38 is the most",
        ),
        (r#"["null","R"]"#, "record R contains itself"),
        (r#"{"type":"array","items":"R"}"#, "record R contains itself"),
    ] {
        let columns = columns_of(&field(avro)).expect("a record");
        assert_eq!(columns.left_out, [("f".to_string(), reason.to_string())], "{avro}");
    }
    assert!(columns_of(&parse("\"int\"").expect("a schema")).is_err());
}

/// Records that name each other twice: 2^60 fields if unfolded.
fn doubling(innermost: &str) -> Schema {
    let mut fields = String::new();
    let mut inner = innermost.to_string();
    for i in 0..60 {
        fields.push_str(&format!(
            r#"{{"name":"f{i}","type":{{"type":"record","name":"D{i}","fields":[
                {{"name":"a","type":{inner}}},{{"name":"b","type":{inner}}}]}}}},"#
        ));
        inner = format!("[\"null\",\"D{i}\"]");
    }
    record(fields.trim_end_matches(','))
}

#[test]
fn schemas_that_unfold_without_end_are_refused() {
    let schema = doubling("\"int\"");
    let columns = columns_of(&schema).expect("a record");
    assert!(columns.left_out.last().is_some_and(|(name, _)| name == "f59"));
    let format = PayloadFormat::Avro { writer: &schema, reader: None };
    let wanted = column(&["f0", "a"], Type::nullable(DataType::Int));
    assert_eq!(decode_plan(None, format, &[wanted]), Err(PlanError::TooLarge));
    assert!(can_read(&schema, &schema).is_empty());
    assert!(!can_read(&schema, &doubling("\"string\"")).is_empty());
}

fn column(path: &[&str], ty: Type) -> DecodeColumn {
    let origin = Origin::Value(path.iter().map(|p| p.to_string()).collect());
    DecodeColumn { name: path.join("_"), ty, origin }
}

#[test]
fn declared_columns_against_a_schema() {
    let schema = record(
        r#"{"name":"id","type":"long"},{"name":"name","type":["null","string"]},
           {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
           {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":4}},
           {"name":"p","type":{"type":"record","name":"P","fields":[{"name":"x","type":"int"}]}}"#,
    );
    let decimal = |precision, scale| DataType::Decimal { precision, scale };
    let point = |ty| DataType::Row(vec![Field::new("x", Type::not_null(ty))].into());
    for (name, ty, problem) in [
        ("id", Type::not_null(DataType::BigInt), None),
        ("id", Type::nullable(DataType::Double), None),
        ("name", Type::nullable(DataType::String), None),
        ("at", Type::not_null(DataType::Timestamp { precision: 3 }), None),
        ("at", Type::not_null(DataType::BigInt), None),
        ("price", Type::not_null(decimal(12, 4)), None),
        ("p", Type::not_null(point(DataType::BigInt)), None),
        (
            "id",
            Type::not_null(DataType::Int),
            Some("id is declared INT, the schema's field is BIGINT"),
        ),
        (
            "name",
            Type::not_null(DataType::String),
            Some("name is declared NOT NULL, the schema's field may be null"),
        ),
        (
            "price",
            Type::not_null(decimal(9, 2)),
            Some("price is declared DECIMAL(9, 2), the schema's field is DECIMAL(9, 4)"),
        ),
        (
            "p",
            Type::not_null(point(DataType::String)),
            Some(
                "p is declared ROW<x STRING NOT NULL>, \
                 the schema's field is ROW<x INT NOT NULL>",
            ),
        ),
        ("nmae", Type::nullable(DataType::String), Some("the schema has no field nmae")),
    ] {
        let problems = check_declared(&[Field::new(name, ty.clone())], &schema);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(told, problem.into_iter().collect::<Vec<_>>(), "{name} {ty}");
    }
    let all = ["x", "y"].map(|name| Field::new(name, Type::nullable(DataType::Int)));
    assert_eq!(check_declared(&all, &schema).len(), 2, "all problems in one go");
}

#[test]
fn what_can_be_read() {
    let e = |symbols: &str, default: &str| {
        format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{default}}}"#)
    };
    let fixed =
        |name: &str, size: u32| format!(r#"{{"type":"fixed","name":"{name}","size":{size}}}"#);
    let decimal = |scale: u32| {
        format!(r#"{{"type":"bytes","logicalType":"decimal","precision":9,"scale":{scale}}}"#)
    };
    let inner = |fields: &str| format!(r#"{{"type":"record","name":"P","fields":[{fields}]}}"#);
    let x = r#"{"name":"x","type":"int"}"#;
    let y = r#"{"name":"y","type":"int"}"#;
    let no_default = "f.y: the writer does not have the field; give it a default";
    let string = |s: &str| s.to_string();
    for (reader, writer, why) in [
        (string("\"long\""), string("\"int\""), None),
        (string("\"double\""), string("\"long\""), None),
        (string("\"bytes\""), string("\"string\""), None),
        (string("\"int\""), string("\"long\""), Some("f: long cannot be read as int")),
        (string("\"string\""), string("\"int\""), Some("f: int cannot be read as string")),
        (string(r#"["null","int"]"#), string("\"int\""), None),
        (string("\"int\""), string(r#"["null","int"]"#), Some("f: null cannot be read as int")),
        (
            string(r#"["null","int"]"#),
            string("\"string\""),
            Some("f: string is no branch of a union of null, int"),
        ),
        (string(r#"["string","long"]"#), string(r#"["int","string"]"#), None),
        (e("\"A\",\"B\"", ""), e("\"A\"", ""), None),
        (e("\"A\"", r#","default":"A""#), e("\"A\",\"B\"", ""), None),
        (
            e("\"A\"", ""),
            e("\"A\",\"B\",\"C\"", ""),
            Some("f: the reader's enum lacks B, C; add the symbols or an enum default"),
        ),
        (fixed("F", 2), fixed("F", 2), None),
        (fixed("F", 2), fixed("F", 3), Some("f: fixed(3) cannot be read as fixed(2)")),
        (decimal(2), decimal(2), None),
        (decimal(2), decimal(3), Some("f: decimal(9, 3) cannot be read as decimal(9, 2)")),
        (inner(x), inner(&format!("{x},{y}")), None),
        (inner(&format!("{x},{y}")), inner(x), Some(no_default)),
        (inner(&format!(r#"{x},{{"name":"y","type":"int","default":1}}"#)), inner(x), None),
        (inner(r#"{"name":"z","type":"int","aliases":["x"]}"#), inner(x), None),
        (
            string(r#"{"type":"array","items":"int"}"#),
            string(r#"{"type":"array","items":"string"}"#),
            Some("f[]: string cannot be read as int"),
        ),
        (string(r#"["null","R"]"#), string(r#"["null","R"]"#), None),
    ] {
        let told: Vec<String> =
            can_read(&field(&reader), &field(&writer)).iter().map(ToString::to_string).collect();
        assert_eq!(told, why.into_iter().collect::<Vec<_>>(), "{reader} reads {writer}");
    }
}

#[test]
fn levels_ask_different_versions() {
    let a = record(r#"{"name":"a","type":"int"}"#);
    let ab = record(r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":0}"#);
    let b = record(r#"{"name":"b","type":"int"}"#);
    for (level, new, versions, fields) in [
        (Level::None, &b, vec![a.clone()], vec![]),
        (Level::Backward, &ab, vec![a.clone()], vec![]),
        (Level::Backward, &b, vec![a.clone(), ab.clone()], vec![]),
        (Level::BackwardTransitive, &b, vec![a.clone(), ab.clone()], vec![(0, "b")]),
        (Level::Forward, &b, vec![ab.clone()], vec![(0, "a")]),
        (Level::Forward, &a, vec![ab.clone()], vec![]),
        (Level::ForwardTransitive, &ab, vec![b.clone(), a.clone()], vec![]),
        (Level::Full, &b, vec![a.clone()], vec![(0, "b"), (0, "a")]),
        (Level::FullTransitive, &ab, vec![b.clone(), a.clone()], vec![(0, "a")]),
        (Level::Full, &ab, vec![], vec![]),
    ] {
        let found = check(level, new, &versions);
        let found: Vec<_> = found.iter().map(|p| (p.version, p.field.as_str())).collect();
        assert_eq!(found, fields, "{level:?}");
        assert_eq!(Level::parse(level.word()), Some(level));
    }
}

#[test]
fn adding_a_nullable_column_keeps_derived_schemas_compatible() {
    let one = Field::new("a", Type::not_null(DataType::Int));
    let two = Field::new("b", Type::nullable(DataType::String));
    let old = derive("t", "", std::slice::from_ref(&one)).expect("a schema");
    let new = derive("t", "", &[one, two]).expect("a schema");
    let (old, new) = (parse(&old).expect("valid"), parse(&new).expect("valid"));
    assert_eq!(check(Level::Full, &new, &[old]), []);
}

#[test]
fn types_without_an_avro_form_are_told() {
    let map = DataType::Map(
        Box::new(Type::not_null(DataType::Int)),
        Box::new(Type::not_null(DataType::Int)),
    );
    let told = derive("t", "", &[Field::new("m", Type::not_null(map))]).expect_err("int keys");
    assert_eq!(told.to_string(), "column m: the keys of an Avro map are STRING, not INT");
}

const BID: &str = r#"{"name":"auction","type":"long"},{"name":"bidder","type":"long"},
    {"name":"price","type":"long"},{"name":"channel","type":"string"},
    {"name":"url","type":"string"},{"name":"seller","type":["null",{"type":"record","name":"S",
        "fields":[{"name":"id","type":"int"},{"name":"rating","type":"double"}]}]},
    {"name":"extra","type":"string"}"#;

fn bid_plan() -> DecodePlan {
    let schema = record(BID);
    let format = PayloadFormat::Avro { writer: &schema, reader: None };
    let columns = [
        column(&["price"], Type::not_null(DataType::BigInt)),
        column(&["seller", "id"], Type::nullable(DataType::Int)),
        column(&["price"], Type::nullable(DataType::Double)),
    ];
    decode_plan(None, format, &columns).expect("a plan")
}

#[test]
fn a_plan_reads_as_text() {
    let text = "\
c0 = price BIGINT NOT NULL from value[price]
c1 = seller_id INT from value[seller.id]
c2 = price DOUBLE from value[price]
key: unread
value: avro
  auction: skip varints(2)
  price: peek
    price: c0 = long
  price: c2 = long
  channel: skip strings(2)
  seller: union
    branch 0
    branch 1
      seller.id: c1 = int
      seller.rating: skip bytes(8)
  extra: skip strings(1)
";
    assert_eq!(bid_plan().to_string(), text);
}

#[test]
fn plans_survive_their_wire_form_and_altered_ones_are_found() {
    let plan = bid_plan();
    plan.verify().expect("builders make valid plans");
    let text = serde_json::to_string(&plan).expect("plans are data");
    let back: DecodePlan = serde_json::from_str(&text).expect("the same data");
    assert_eq!(back, plan);
    for (from, to) in [
        ("{\"Read\":[1,", "{\"Read\":[3,"),
        ("{\"Scalar\":\"Int\"}", "{\"Scalar\":\"String\"}"),
        ("{\"Scalar\":\"Int\"}", "{\"Array\":\"Null\"}"),
        ("{\"Varints\":2}", "{\"Recursive\":0}"),
    ] {
        assert!(text.contains(from), "{text}");
        let altered: DecodePlan = serde_json::from_str(&text.replace(from, to)).expect("data");
        assert!(altered.verify().is_err(), "{to}");
    }
}

#[test]
fn encode_plans_survive_their_wire_form_and_altered_ones_are_found() {
    let schema = record(BID);
    let fields = columns_of(&schema).expect("a record").fields;
    let all: Vec<usize> = (0..fields.len()).collect();
    let plan = encode_plan(EncodeFormat::Avro(&schema), &fields, &all).expect("a plan");
    plan.verify().expect("builders make valid plans");
    assert!(plan.to_string().contains("seller: c5 as union(null Some(0), 1) record"), "{plan}");
    let text = serde_json::to_string(&plan).expect("plans are data");
    let back: EncodePlan = serde_json::from_str(&text).expect("the same data");
    assert_eq!(back, plan);
    for (from, to) in
        [("{\"column\":6,", "{\"column\":7,"), ("{\"Scalar\":\"String\"}", "{\"Scalar\":\"Int\"}")]
    {
        assert!(text.contains(from), "{text}");
        let altered: EncodePlan = serde_json::from_str(&text.replace(from, to)).expect("data");
        assert!(altered.verify().is_err(), "{to}");
    }
}

#[test]
fn formats_without_a_form_for_a_type_say_so() {
    let date = || column(&["d"], Type::not_null(DataType::Date));
    let raw = decode_plan(None, PayloadFormat::Raw, &[date()]).expect_err("no raw dates");
    assert_eq!(raw.to_string(), "column d: format raw has no form for DATE");
    let key = DecodeColumn { origin: Origin::Key(vec!["d".into()]), ..date() };
    let told = decode_plan(None, PayloadFormat::Json, &[key]).expect_err("no key format");
    assert_eq!(told.to_string(), "column d is in the key, but the stream has no key.format");
    let fields = [Field::new("a", Type::not_null(DataType::Int))];
    assert_eq!(encode_plan(EncodeFormat::Raw, &fields, &[]), Err(PlanError::RawColumns(0)));
}

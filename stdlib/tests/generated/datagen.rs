//! Rows of declared columns, read by Avro's library.

use std::collections::BTreeMap;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use flow_ir::types::{DataType, Field, Type};
use flow_stdlib::generated::{Datagen, Generate};

fn options(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
}

fn columns() -> Vec<Field> {
    let row = DataType::Row(
        vec![
            Field::new("a", Type::not_null(DataType::Int)),
            Field::new("b", Type::nullable(DataType::Date)),
        ]
        .into(),
    );
    let map = DataType::Map(
        Box::new(Type::not_null(DataType::String)),
        Box::new(Type::nullable(DataType::BigInt)),
    );
    let types = [
        DataType::Boolean,
        DataType::TinyInt,
        DataType::BigInt,
        DataType::Real,
        DataType::Double,
        DataType::Decimal { precision: 38, scale: 10 },
        DataType::String,
        DataType::Bytes,
        DataType::Date,
        DataType::Time { precision: 3 },
        DataType::Timestamp { precision: 3 },
        DataType::TimestampLtz { precision: 6 },
        DataType::Uuid,
        DataType::Interval,
        DataType::Array(Box::new(Type::nullable(DataType::Int))),
        map,
        row,
    ];
    let column = |(i, ty)| Field::new(format!("c{i}"), Type { data: ty, nullable: i % 2 == 0 });
    types.into_iter().enumerate().map(column).collect()
}

/// The values of the first rows.
fn rows(columns: &[Field], given: &[(&str, &str)], count: u64) -> Vec<Vec<Value>> {
    let made = Datagen::new(columns, &options(given)).expect("fine options");
    let mut made = made.rows(1_700_000_000_000_000);
    let schema = flow_schema::derive("r", "", columns).expect("a schema");
    let schema = flow_schema::parse(&schema).expect("it is one");
    let row = |number| {
        let mut bytes = Vec::new();
        assert!(made.record(number, &mut bytes));
        let mut rest = &bytes[..];
        let reader = GenericDatumReader::builder(&schema).build().expect("names resolve");
        let value = reader.read_value(&mut rest).expect("its data");
        assert!(rest.is_empty());
        let Value::Record(fields) = value else { panic!("{value:?}") };
        let plain = |(_, value)| match value {
            Value::Union(_, value) => *value,
            value => value,
        };
        fields.into_iter().map(plain).collect()
    };
    (0..count).map(row).collect()
}

#[test]
fn every_type_has_values_that_avro_reads() {
    let given = [("fields.c6.length", "3"), ("fields.c14.length", "2")];
    let all = rows(&columns(), &given, 50);
    assert_eq!(all, rows(&columns(), &given, 50));
    for row in &all {
        assert!(matches!(&row[6], Value::String(text) if text.len() == 3), "{row:?}");
        assert!(matches!(&row[14], Value::Array(items) if items.len() == 2), "{row:?}");
    }
}

#[test]
fn sequences_bounds_and_nulls() {
    let columns = [
        Field::new("n", Type::nullable(DataType::Int)),
        Field::new("t", Type::nullable(DataType::String)),
        Field::new("d", Type::nullable(DataType::Decimal { precision: 5, scale: 2 })),
    ];
    let given = [
        ("fields.n.kind", "sequence"),
        ("fields.n.start", "-2"),
        ("fields.n.end", "4"),
        ("fields.t.null-rate", "1"),
        ("fields.d.min", "1.5"),
        ("fields.d.max", "1.5"),
    ];
    let made = Datagen::new(&columns, &options(&given)).expect("fine");
    assert_eq!(made.numbers.count, Some(7));
    let all = rows(&columns, &given, 7);
    let numbers: Vec<_> = all.iter().map(|row| row[0].clone()).collect();
    assert_eq!(numbers, (-2..=4).map(Value::Int).collect::<Vec<_>>());
    assert!(all.iter().all(|row| row[1] == Value::Null));
    let fixed = apache_avro::Decimal::from(150i16.to_be_bytes());
    assert!(all.iter().all(|row| row[2] == Value::Decimal(fixed.clone())), "{all:?}");
}

#[test]
fn options_of_no_use_are_named() {
    let columns = [Field::new("n", Type::nullable(DataType::Int))];
    for (name, value) in [
        ("fields.m.kind", "random"),
        ("fields.n.length", "3"),
        ("fields.n.kind", "some"),
        ("fields.n.min", "x"),
        ("fields.n.max", "99999999999"),
        ("fields.n.null-rate", "2"),
        ("rows-per-second", "-1"),
    ] {
        let refused = Datagen::new(&columns, &options(&[(name, value)]));
        assert_eq!(refused.expect_err("of no use").name, name);
    }
    let open = [("fields.n.kind", "sequence"), ("fields.n.start", "1")];
    let refused = Datagen::new(&columns, &options(&open)).expect_err("it has no end");
    assert_eq!(refused.name, "fields.n.end");
    let text = [Field::new("t", Type::nullable(DataType::String))];
    let huge = [("fields.t.length", "1000000000")];
    assert!(Datagen::new(&text, &options(&huge)).is_err());
}

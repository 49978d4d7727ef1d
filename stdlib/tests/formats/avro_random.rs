//! Random schemas and values: what apache-avro writes, plans read as apache-avro reads it; what it
//! refuses, they refuse.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use flow_ir::decode_plan::{DecodeColumn, Origin};
use flow_ir::types::Field;
use flow_ir::value::Value;
use flow_schema::{PayloadFormat, columns_of, decode_plan, parse};
use proptest::prelude::*;

use crate::support::{Random, columns, decode, expected};

/// A random record schema, a value of it and its bytes.
pub(crate) fn sample(random: &mut Random) -> (Schema, Avro, Vec<u8>) {
    let text = random.record(3);
    let schema = parse(&text).expect("the generator makes valid schemas");
    let value = random.value(&schema);
    let mut bytes = Vec::new();
    let writer = GenericDatumWriter::builder(&schema).build().expect("names resolve");
    writer.write_value(&mut bytes, value.clone()).unwrap_or_else(|e| panic!("{text}: {e}"));
    (schema, value, bytes)
}

/// The columns of a schema and what apache-avro's value of each is.
fn fields_of(schema: &Schema, value: &Avro) -> (Vec<Field>, Vec<Value>) {
    let Value::Row(values) = expected(value, schema) else { panic!("records are rows") };
    let fields = columns_of(schema).expect("a record").fields;
    assert_eq!(fields.len(), values.len(), "every generated field has a type");
    (fields, values)
}

fn read(schema: &Schema, fields: &[Field], bytes: &[u8]) -> Result<Vec<Value>, String> {
    let format = PayloadFormat::Avro { writer: schema, reader: None };
    let plan = decode_plan(None, format, &columns(fields)).expect("columns of the schema");
    decode(&plan, bytes)
}

proptest! {
    #![proptest_config(crate::support::config())]

    #[test]
    fn all_columns_read_as_apache_avro_reads_them(seed: u64) {
        let (schema, value, bytes) = sample(&mut Random::new(seed));
        let (fields, values) = fields_of(&schema, &value);
        prop_assert_eq!(read(&schema, &fields, &bytes), Ok(values), "{}", schema.canonical_form());
    }

    #[test]
    fn any_columns_in_any_order_read_the_same(seed: u64) {
        let mut random = Random::new(seed);
        let (schema, value, bytes) = sample(&mut random);
        let (fields, values) = fields_of(&schema, &value);
        let picks: Vec<usize> = (0..random.below(4)).map(|_| random.below(fields.len())).collect();
        let picked: Vec<Field> = picks.iter().map(|&i| fields[i].clone()).collect();
        let wanted: Vec<Value> = picks.iter().map(|&i| values[i].clone()).collect();
        prop_assert_eq!(read(&schema, &picked, &bytes), Ok(wanted), "{}", schema.canonical_form());
    }

    #[test]
    fn paths_read_what_whole_rows_hold(seed: u64) {
        let (schema, value, bytes) = sample(&mut Random::new(seed));
        let (fields, values) = fields_of(&schema, &value);
        let mut wanted = Vec::new();
        let mut paths = Vec::new();
        for (field, value) in fields.iter().zip(&values) {
            leaves(field, value, &mut vec![field.name.clone()], &mut paths, &mut wanted);
        }
        let format = PayloadFormat::Avro { writer: &schema, reader: None };
        let plan = decode_plan(None, format, &paths).expect("paths of the schema");
        prop_assert_eq!(decode(&plan, &bytes), Ok(wanted), "{}", plan);
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_as_apache_avro_reads_them(seed: u64) {
        let mut random = Random::new(seed);
        let (schema, value, bytes) = sample(&mut random);
        let (fields, _) = fields_of(&schema, &value);
        let reader = GenericDatumReader::builder(&schema).build().expect("names resolve");
        for _ in 0..20 {
            let damaged = random.damage(&bytes);
            let Ok(row) = read(&schema, &fields, &damaged) else { continue };
            let mut rest = &damaged[..];
            let theirs = reader.read_value(&mut rest);
            let theirs = theirs.unwrap_or_else(|e| panic!("{e}: {damaged:?} read as {row:?}"));
            prop_assert!(rest.is_empty());
            prop_assert_eq!(row, fields_of(&schema, &theirs).1);
        }
    }

    #[test]
    fn damaged_bytes_under_any_columns_never_panic(seed: u64) {
        let mut random = Random::new(seed);
        let (schema, value, bytes) = sample(&mut random);
        let (fields, _) = fields_of(&schema, &value);
        let picked: Vec<Field> =
            fields.into_iter().filter(|_| random.below(2) == 0).collect();
        for _ in 0..20 {
            let damaged = random.damage(&bytes);
            let _ = read(&schema, &picked, &damaged);
        }
    }
}

/// A column for each scalar that rows hold, however deep; below a NULL row all are NULL.
fn leaves(
    field: &Field,
    value: &Value,
    path: &mut Vec<String>,
    columns: &mut Vec<DecodeColumn>,
    values: &mut Vec<Value>,
) {
    use flow_ir::types::DataType;
    let (DataType::Row(inner), true) = (&field.ty.data, path.len() < 8) else {
        let ty = field.ty.with_nullable(true);
        let origin = Origin::Value(path.clone());
        columns.push(DecodeColumn { name: path.join("."), ty, origin });
        values.push(value.clone());
        return;
    };
    for (i, field) in inner.iter().enumerate() {
        let value = match value {
            Value::Row(values) => values[i].clone(),
            _ => Value::Null,
        };
        path.push(field.name.clone());
        leaves(field, &value, path, columns, values);
        path.pop();
    }
}

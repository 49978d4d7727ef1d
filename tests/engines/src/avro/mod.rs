//! Random Avro data: a writer's schema, perhaps a reader's, data that apache-avro wrote, the same
//! with damage, and what apache-avro reads.

mod envelope;
mod evolve;
mod schema;
mod value;

use std::sync::Once;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use flow_ir::types::{DataType, Field};
use flow_ir::value::Value;
use flow_schema::{columns_of, parse};

use crate::source::Source;
pub use envelope::{EnvelopeSample, Found};
use value::{Values, expected, has_branches, resolved};

/// Memory that apache-avro may take for one length in damaged data.
const ALLOCATION_BYTES_MAX: usize = 4 << 20;

/// Data of a schema.
#[derive(Debug)]
pub struct Sample {
    /// The schema that the data were written with.
    pub writer: Schema,
    /// The schema that the columns are declared by, if it is another.
    pub reader: Option<Schema>,
    /// The reader's schema as apache-avro takes it.
    plain: Option<Schema>,
    /// The fields that have a type, by the reader's schema.
    pub fields: Vec<Field>,
    /// Data that apache-avro wrote.
    pub good: Vec<Vec<u8>>,
}

impl Sample {
    /// Random data of a random schema; with `reads`, a reader sees it by its own now and then.
    ///
    /// # Errors
    /// If the generator made what is not valid.
    pub fn random(s: &mut Source<'_>, reads: bool) -> Result<Self, String> {
        limit_memory();
        let json = schema::record(s);
        let parsed = |json: &serde_json::Value| {
            parse(&json.to_string())
                .map_err(|e| format!("the generator made a bad schema: {e}\n{json}"))
        };
        let writer = parsed(&json)?;
        let (mut reader, mut plain) = (None, None);
        if reads && s.once_in(2) {
            let made = evolve::reader(s, &json);
            (reader, plain) = (Some(parsed(&made.renamed)?), Some(parsed(&made.plain)?));
        }
        let columns = columns_of(reader.as_ref().unwrap_or(&writer)).map_err(|e| e.to_string())?;
        let mut sample = Self { writer, reader, plain, fields: columns.fields, good: Vec::new() };
        for _ in 0..1 + s.below(5) {
            let bytes = write_random(s, &sample.writer)?;
            sample.good.push(bytes);
        }
        Ok(sample)
    }

    /// The fields' values in a datum as apache-avro reads it; `None` if it refuses the bytes, or
    /// they do not end with the datum. Of several branches apache-avro gives a reader the first
    /// that takes the value, not the writer's: such a value is not known.
    pub fn read(&self, payload: &[u8]) -> Option<Vec<Option<Value>>> {
        let (value, schema) = self.read_datum(payload)?;
        let names = ResolvedSchema::new(schema).ok()?;
        let (Avro::Record(values), Schema::Record(record)) = (&value, schema) else { return None };
        let declared = match self.reader.as_ref().unwrap_or(&self.writer) {
            Schema::Record(declared) => declared,
            _ => return None,
        };
        let of = |field: &Field| {
            let at = declared.fields.iter().position(|f| f.name == field.name)?;
            let (value, schema) = (&values[at].1, &record.fields[at].schema);
            let known = self.reader.is_none() || !has_branches(schema, names.get_names());
            Some(known.then(|| expected(value, schema, names.get_names(), &field.ty)))
        };
        self.fields.iter().map(of).collect()
    }

    /// The scalar at the end of a path of records, also of such as hold themselves; NULL where a
    /// union has no record.
    pub fn read_path(&self, payload: &[u8], path: &[String]) -> Option<Value> {
        let (value, mut schema) = self.read_datum(payload)?;
        let names = ResolvedSchema::new(schema).ok()?;
        let mut value = &value;
        for name in path {
            let inner;
            (value, inner) = inside(value, resolved(schema, names.get_names()));
            let (Avro::Record(values), Schema::Record(record)) =
                (value, resolved(inner, names.get_names()))
            else {
                return Some(Value::Null);
            };
            let at = record.fields.iter().position(|f| f.name == *name)?;
            (value, schema) = (&values[at].1, &record.fields[at].schema);
        }
        let ty = self.fields.iter().find(|f| Some(&f.name) == path.last())?;
        Some(expected(value, schema, names.get_names(), &ty.ty))
    }

    fn read_datum(&self, payload: &[u8]) -> Option<(Avro, &Schema)> {
        let reader = GenericDatumReader::builder(&self.writer);
        let reader = reader.maybe_reader_schema(self.plain.as_ref()).build().ok()?;
        let mut rest = payload;
        let value = reader.read_value(&mut rest).ok()?;
        rest.is_empty().then_some((value, self.plain.as_ref().unwrap_or(&self.writer)))
    }

    /// Paths through a field that holds the record itself, to a scalar field of the record.
    pub fn recursive_paths(&self) -> Vec<(Vec<String>, DataType)> {
        let Schema::Record(record) = &self.writer else { return Vec::new() };
        if self.reader.is_some() {
            return Vec::new();
        }
        let holds_itself = |schema: &Schema| match schema {
            Schema::Union(union) => {
                let variants = union.variants();
                variants.len() == 2
                    && variants.iter().any(|v| matches!(v, Schema::Null))
                    && variants
                        .iter()
                        .any(|v| matches!(v, Schema::Ref { name } if *name == record.name))
            }
            _ => false,
        };
        let mut paths = Vec::new();
        for through in record.fields.iter().filter(|f| holds_itself(&f.schema)) {
            for field in self.fields.iter().filter(|f| !f.ty.data.is_container()) {
                for times in 1..=3 {
                    let mut path = vec![through.name.clone(); times];
                    path.push(field.name.clone());
                    paths.push((path, field.ty.data.clone()));
                }
            }
        }
        paths
    }
}

/// Holds apache-avro to what damaged data may cost.
fn limit_memory() {
    static LIMIT: Once = Once::new();
    LIMIT.call_once(|| {
        apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX);
    });
}

/// The datum in a union.
fn inside<'v>(value: &'v Avro, schema: &'v Schema) -> (&'v Avro, &'v Schema) {
    match (value, schema) {
        (Avro::Union(branch, inner), Schema::Union(union)) => {
            (inner, &union.variants()[*branch as usize])
        }
        other => other,
    }
}

/// A random datum of a schema, written by apache-avro.
fn write_random(s: &mut Source<'_>, schema: &Schema) -> Result<Vec<u8>, String> {
    let names = ResolvedSchema::new(schema).map_err(|e| e.to_string())?;
    let value = Values { s, names: names.get_names() }.of(schema, 0);
    let writer = GenericDatumWriter::builder(schema).build().map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    let written = writer.write_value_ref(&mut bytes, &value);
    written.map_err(|e| format!("apache-avro does not write {value:?}: {e}"))?;
    Ok(bytes)
}

/// Whether apache-avro reads these bytes to their end.
pub fn reads_datum(schema: &Schema, payload: &[u8]) -> bool {
    let mut rest = payload;
    let reader = GenericDatumReader::builder(schema).build();
    reader.is_ok_and(|reader| reader.read_value(&mut rest).is_ok()) && rest.is_empty()
}

//! Random envelopes in Avro: a schema with rows before and after a change among other fields, data
//! that apache-avro wrote, and what it reads of them.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::ResolvedSchema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use flow_schema::parse;
use serde_json::{Value as Json, json};

use super::schema::{record, record_after};
use super::value::Values;
use super::{inside, limit_memory};
use crate::source::Source;

const OPERATIONS: [&str; 6] = ["c", "r", "u", "d", "t", ""];

/// Envelopes of a schema.
#[derive(Debug)]
pub struct EnvelopeSample {
    /// The schema.
    pub schema: Schema,
    /// That of the rows in it.
    row: Schema,
    /// Data that apache-avro wrote.
    pub good: Vec<Vec<u8>>,
}

/// What apache-avro finds in an envelope.
#[derive(Debug)]
pub struct Found {
    /// The rows before and after.
    pub rows: [Option<Avro>; 2],
    /// The operation, if it is not null.
    pub operation: Option<String>,
}

impl EnvelopeSample {
    /// Random envelopes of a random schema.
    ///
    /// # Errors
    /// If the generator made what is not valid.
    pub fn random(s: &mut Source<'_>) -> Result<Self, String> {
        limit_memory();
        let row = record(s);
        let json = schema(s, &row);
        let parsed = |json: &Json| {
            parse(&json.to_string())
                .map_err(|e| format!("the generator made a bad schema: {e}\n{json}"))
        };
        let mut sample = Self { schema: parsed(&json)?, row: parsed(&row)?, good: Vec::new() };
        for _ in 0..1 + s.below(4) {
            let bytes = sample.write_random(s)?;
            sample.good.push(bytes);
        }
        Ok(sample)
    }

    fn write_random(&self, s: &mut Source<'_>) -> Result<Vec<u8>, String> {
        let names = ResolvedSchema::new(&self.schema).map_err(|e| e.to_string())?;
        let mut value = Values { s, names: names.get_names() }.of(&self.schema, 0);
        if let Avro::Record(fields) = &mut value
            && let Some((_, operation)) = fields.iter_mut().find(|(name, _)| name == "op")
        {
            let letter = Avro::String((*s.pick(&OPERATIONS)).to_string());
            match operation {
                Avro::Union(_, inner) if matches!(**inner, Avro::String(_)) => **inner = letter,
                Avro::Union(..) => {}
                other => *other = letter,
            }
        }
        let writer =
            GenericDatumWriter::builder(&self.schema).build().map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        let written = writer.write_value_ref(&mut bytes, &value);
        written.map_err(|e| format!("apache-avro does not write {value:?}: {e}"))?;
        Ok(bytes)
    }

    /// What apache-avro finds in an envelope; `None` if it refuses the bytes, or they do not end
    /// with it.
    pub fn read(&self, payload: &[u8]) -> Option<Found> {
        let (Avro::Record(values), Schema::Record(record)) =
            (read_whole(&self.schema, payload)?, &self.schema)
        else {
            return None;
        };
        let field = |name: &str| {
            let at = record.fields.iter().position(|field| field.name == name)?;
            Some(inside(&values[at].1, &record.fields[at].schema).0.clone())
        };
        let row = |name| field(name).filter(|value| *value != Avro::Null);
        let operation = field("op").and_then(|operation| match operation {
            Avro::String(text) => Some(text),
            _ => None,
        });
        Some(Found { rows: [row("before"), row("after")], operation })
    }

    /// A row as apache-avro reads it.
    pub fn read_row(&self, bytes: &[u8]) -> Option<Avro> {
        read_whole(&self.row, bytes)
    }
}

fn read_whole(schema: &Schema, bytes: &[u8]) -> Option<Avro> {
    let mut rest = bytes;
    let value = GenericDatumReader::builder(schema).build().ok()?.read_value(&mut rest).ok()?;
    rest.is_empty().then(|| ordered(value))
}

/// A value whose maps are in order, so that equal ones look alike.
fn ordered(value: Avro) -> Avro {
    let all = |fields: Vec<(String, Avro)>| {
        fields.into_iter().map(|(name, value)| (name, ordered(value))).collect()
    };
    match value {
        Avro::Map(entries) => {
            let mut entries: Vec<(String, Avro)> = entries.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Avro::Record(all(entries))
        }
        Avro::Record(fields) => Avro::Record(all(fields)),
        Avro::Array(items) => Avro::Array(items.into_iter().map(ordered).collect()),
        Avro::Union(branch, inner) => Avro::Union(branch, Box::new(ordered(*inner))),
        other => other,
    }
}

/// An envelope around rows of a schema. The first of the two fields that have it defines it.
fn schema(s: &mut Source<'_>, row: &Json) -> Json {
    let mut fields = vec!["before", "after", "op"];
    for other in ["source", "ts_ms", "transaction"] {
        if s.once_in(2) {
            fields.insert(s.below(fields.len() + 1), other);
        }
    }
    if s.once_in(4) {
        fields.swap(0, 1);
    }
    let mut is_defined = false;
    let mut field = |name: &str| {
        let or_null = |s: &mut Source<'_>, ty: Json| match s.below(3) {
            0 => json!([ty, "null"]),
            1 => json!(["null", ty]),
            _ => ty,
        };
        let ty = match name {
            "before" | "after" => {
                let ty = if is_defined { row["name"].clone() } else { row.clone() };
                is_defined = true;
                or_null(s, ty)
            }
            "op" => or_null(s, json!("string")),
            "ts_ms" => or_null(s, json!("long")),
            _ => {
                let other = record_after(s, if name == "source" { 1_000 } else { 2_000 });
                or_null(s, other)
            }
        };
        json!({"name": name, "type": ty})
    };
    let fields: Vec<Json> = fields.into_iter().map(&mut field).collect();
    json!({"type": "record", "name": "Envelope", "fields": fields})
}

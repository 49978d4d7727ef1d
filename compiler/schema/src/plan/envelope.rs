//! Debezium's envelope in Avro: a record with the row before and after a change, and what the
//! change was.

use apache_avro::Schema;
use flow_ir::decode_plan::{AvroSkip, EnvelopeField, EnvelopePlan};

use super::PlanError;
use super::avro_skip::Skipper;
use crate::avro::Names;

/// An envelope of one schema.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The schema of the rows.
    pub row: Schema,
    /// How the envelope is taken apart.
    pub plan: EnvelopePlan,
}

/// The envelope that a schema is.
///
/// # Errors
/// If it is none, or unfolds into too many steps.
pub fn envelope(schema: &Schema) -> Result<Envelope, PlanError> {
    let none = || PlanError::NotARecord {
        field: "an envelope with the fields before, after and op".to_string(),
        schema: crate::avro::describe(schema),
    };
    let Schema::Record(record) = schema else { return Err(none()) };
    let mut skipper = Skipper::new(schema);
    let (mut fields, mut row, mut has_op) = (Vec::new(), None, false);
    for field in &record.fields {
        let names = Names::of(schema);
        fields.push(match field.name.as_str() {
            "before" | "after" => {
                let branches: Vec<&Schema> = match names.resolve(&field.schema) {
                    Schema::Union(union) => union.variants().iter().collect(),
                    single => vec![single],
                };
                let mut skips = Vec::with_capacity(branches.len());
                for branch in branches {
                    let of = names.resolve(branch);
                    skips.push(match of {
                        Schema::Null => None,
                        of => {
                            if matches!(of, Schema::Record(_)) && field.name == "after" {
                                row = Some(of.clone());
                            }
                            let mut skip: Vec<AvroSkip> = Vec::new();
                            skipper.skip(branch, &mut skip)?;
                            Some(skip)
                        }
                    });
                }
                match field.name.as_str() {
                    "before" => EnvelopeField::Before { branches: skips },
                    _ => EnvelopeField::After { branches: skips },
                }
            }
            "op" => {
                has_op = true;
                let branch = match names.resolve(&field.schema) {
                    Schema::Union(union) => {
                        let is_text = |s: &Schema| matches!(names.resolve(s), Schema::String);
                        let at = union.variants().iter().position(is_text);
                        Some(at.ok_or_else(none)? as u32)
                    }
                    Schema::String => None,
                    _ => return Err(none()),
                };
                EnvelopeField::Op { branch }
            }
            _ => {
                let mut skip: Vec<AvroSkip> = Vec::new();
                skipper.skip(&field.schema, &mut skip)?;
                EnvelopeField::Skip(skip)
            }
        });
    }
    let row = row.filter(|_| has_op).ok_or_else(none)?;
    Ok(Envelope { row, plan: EnvelopePlan { fields, recursive: skipper.recursive } })
}

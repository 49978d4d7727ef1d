//! Avro encode plans: the schema's fields in order, each given by the column of its name, else by
//! null or the field's default.

use apache_avro::Schema;
use apache_avro::schema::{RecordSchema, UnionSchema};
use flow_ir::decode_plan::AvroScalar;
use flow_ir::encode_plan::{AvroPut, AvroWrite};
use flow_ir::types::{DataType, Field, TYPE_DEPTH_MAX};

use super::PlanError;
use super::avro_read::scalar;
use super::default::{default_bytes, varint};
use crate::avro::{Names, branch_name, branches, describe, null_branch};
use crate::derive::avro_names;

/// The puts that write these columns as one datum of a schema. A schema that is no record takes
/// the only column as it is.
pub(super) fn avro_puts(
    schema: &Schema,
    columns: &[Field],
    written: &[usize],
) -> Result<Vec<AvroPut>, PlanError> {
    let writer = Writer { names: Names::of(schema) };
    match (schema, written) {
        (Schema::Record(record), _) => {
            let fields: Vec<Field> = written.iter().map(|&i| columns[i].clone()).collect();
            let mut puts = writer.record(record, &fields, "", 0)?;
            for put in &mut puts {
                if let AvroPut::Column { column, .. } = put {
                    *column = written[*column as usize] as u32;
                }
            }
            Ok(puts)
        }
        (_, &[only]) => {
            let Field { name, ty } = &columns[only];
            let datum = writer.datum(schema, &ty.data, name, 0)?;
            let (column, field) = (only as u32, name.clone());
            Ok(vec![AvroPut::Column { column, field, datum }])
        }
        (other, _) => {
            Err(PlanError::NotARecord { field: "the schema".to_string(), schema: describe(other) })
        }
    }
}

struct Writer<'a> {
    names: Names<'a>,
}

impl<'a> Writer<'a> {
    /// Writes a record from fields, whose numbers are their positions.
    fn record(
        &self,
        record: &'a RecordSchema,
        fields: &[Field],
        at: &str,
        depth: usize,
    ) -> Result<Vec<AvroPut>, PlanError> {
        let path = |name: &str| if at.is_empty() { name.into() } else { format!("{at}.{name}") };
        let derived = avro_names(fields);
        let mut puts = Vec::new();
        let mut used = vec![false; fields.len()];
        for field in &record.fields {
            let exact = fields.iter().position(|f| f.name == field.name);
            let column = exact.or_else(|| derived.iter().position(|name| *name == field.name));
            puts.push(match column {
                Some(i) => {
                    used[i] = true;
                    let at = path(&field.name);
                    let datum = self.datum(&field.schema, &fields[i].ty.data, &at, depth + 1)?;
                    AvroPut::Column { column: i as u32, field: at, datum }
                }
                None => AvroPut::Constant(self.constant(field, &path(&field.name))?),
            });
        }
        match used.iter().position(|used| !used) {
            Some(i) => Err(PlanError::NoField { column: path(&fields[i].name) }),
            None => Ok(puts),
        }
    }

    /// What stands for a field that no column gives: its default, else null.
    fn constant(
        &self,
        field: &'a apache_avro::schema::RecordField,
        at: &str,
    ) -> Result<Vec<u8>, PlanError> {
        if let Some(json) = &field.default {
            let bytes = default_bytes(json, &field.schema, &self.names);
            return bytes.ok_or_else(|| PlanError::BadDefault { field: at.to_string() });
        }
        match self.names.resolve(&field.schema) {
            Schema::Null => Ok(Vec::new()),
            Schema::Union(union) if null_branch(union).is_some() => {
                let mut out = Vec::new();
                varint(null_branch(union).unwrap_or(0) as i64, &mut out);
                Ok(out)
            }
            _ => Err(PlanError::MissingField { column: at.to_string(), field: at.to_string() }),
        }
    }

    fn datum(
        &self,
        schema: &'a Schema,
        ty: &DataType,
        at: &str,
        depth: usize,
    ) -> Result<AvroWrite, PlanError> {
        if depth > TYPE_DEPTH_MAX {
            return Err(PlanError::TooLarge);
        }
        let schema = self.names.resolve(schema);
        match (schema, ty) {
            (Schema::Union(union), _) => self.union(union, ty, at, depth),
            (Schema::Array(array), DataType::Array(item)) => {
                let item = self.datum(&array.items, &item.data, &format!("{at}[]"), depth + 1)?;
                Ok(AvroWrite::Array(Box::new(item)))
            }
            (Schema::Map(map), DataType::Map(key, value)) if key.data == DataType::String => {
                let value = self.datum(&map.types, &value.data, &format!("{at}[]"), depth + 1)?;
                Ok(AvroWrite::Map(Box::new(value)))
            }
            (Schema::Record(record), DataType::Row(fields)) => {
                self.record(record, fields, at, depth + 1).map(AvroWrite::Row)
            }
            _ => {
                write_scalar(schema, ty).map(AvroWrite::Scalar).ok_or_else(|| PlanError::Mismatch {
                    field: at.to_string(),
                    schema: describe(schema),
                    ty: flow_ir::types::Type::not_null(ty.clone()),
                })
            }
        }
    }

    /// The first branch that takes the type; of several branches a ROW named after them takes all.
    fn union(
        &self,
        union: &'a UnionSchema,
        ty: &DataType,
        at: &str,
        depth: usize,
    ) -> Result<AvroWrite, PlanError> {
        let values = branches(union);
        let null = null_branch(union).map(|i| i as u32);
        if let DataType::Row(fields) = ty
            && values.len() > 1
            && fields.iter().all(|f| values.iter().any(|(_, b)| branch_name(b) == f.name))
        {
            let mut out = Vec::new();
            for field in fields.iter() {
                let branch = values.iter().find(|(_, b)| branch_name(b) == field.name);
                if let Some((i, schema)) = branch {
                    let at = format!("{at}.{}", field.name);
                    out.push((*i as u32, self.datum(schema, &field.ty.data, &at, depth + 1)?));
                }
            }
            return Ok(AvroWrite::Variant { branches: out, null });
        }
        let mut refused = None;
        for (i, branch) in values {
            match self.datum(branch, ty, at, depth) {
                Ok(datum) => {
                    let (value, datum) = (i as u32, Box::new(datum));
                    return Ok(AvroWrite::Union { null, value, datum });
                }
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        Err(refused.unwrap_or_else(|| PlanError::Mismatch {
            field: at.to_string(),
            schema: "always null".to_string(),
            ty: flow_ir::types::Type::not_null(ty.clone()),
        }))
    }
}

/// How a type is written as a scalar of this schema.
fn write_scalar(schema: &Schema, ty: &DataType) -> Option<AvroScalar> {
    let by_form = match (schema, ty) {
        // These forms differ from what reading them would take.
        (Schema::Bytes, DataType::String | DataType::Json) => Some(AvroScalar::Bytes),
        (Schema::String, DataType::Uuid) => Some(AvroScalar::UuidText),
        (Schema::Long, _) => Some(AvroScalar::Long),
        (Schema::Double, _) => Some(AvroScalar::Double),
        _ => scalar(schema, None, ty),
    };
    by_form.filter(|form| form.writes(ty))
}

//! Building decode and encode plans. Key and value have formats of their own; each gives one
//! payload plan. What a plan cannot do is told here, before any record is read, with the field's
//! name.

mod avro_read;
mod avro_skip;
mod avro_write;
mod csv;
mod default;
mod envelope;
mod json;

use std::fmt;

use apache_avro::Schema;
use flow_ir::csv::CsvDialect;
use flow_ir::decode_plan::{
    AvroSkip, CsvPlan, DecodeColumn, DecodePlan, Origin, PayloadPlan, Sign, csv_reads_as,
    json_reads_as, json_writes_as, raw_reads_as,
};
use flow_ir::encode_plan::{CsvWriter, EncodePlan, JsonTimestamps, JsonWriter, PayloadWriter};
use flow_ir::types::{DataType, Field, Type};

pub(crate) use avro_read::readable;
pub use csv::{csv_dialect, csv_format};
pub use envelope::{Envelope, envelope};
pub use json::{is_bare_json, json_format, json_timestamps};

/// How the payloads to read are written.
#[derive(Clone, Copy, Debug)]
pub enum PayloadFormat<'a> {
    /// Avro data of one writer. The reader's schema, if there is one, gives aliases and defaults
    /// for fields that the writer does not have.
    Avro {
        /// The schema that the payloads were written with.
        writer: &'a Schema,
        /// The schema that the columns were declared by.
        reader: Option<&'a Schema>,
    },
    /// A JSON object (for an empty path, any JSON value).
    Json,
    /// The bytes themselves.
    Raw,
    /// Delimited text with these fields.
    Csv(&'a CsvFormat),
}

/// Delimited text: how it is written, and the names of its fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvFormat {
    /// How it is written.
    pub dialect: CsvDialect,
    /// The fields.
    pub names: Vec<String>,
}

/// How payloads are to be written.
#[derive(Clone, Copy, Debug)]
pub enum EncodeFormat<'a> {
    /// Avro data of this schema.
    Avro(&'a Schema),
    /// A JSON object. `debezium-json` writes its rows so and puts the envelope around them.
    Json(JsonTimestamps),
    /// One column's value in JSON, with no object around it.
    BareJson(JsonTimestamps),
    /// One column's bytes.
    Raw,
    /// Delimited text of the columns in order.
    Csv(&'a CsvDialect),
}

/// Why a plan cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The writer has no such field, no default stands in for it, and the column is NOT NULL.
    MissingField {
        /// The column, or the field that should take a column's values.
        column: String,
        /// The field with its path.
        field: String,
    },
    /// The field is of a type that does not become the column's.
    Mismatch {
        /// The field with its path.
        field: String,
        /// What the schema says.
        schema: String,
        /// What the column wants.
        ty: Type,
    },
    /// A path goes on where there is no record.
    NotARecord {
        /// The field with its path.
        field: String,
        /// What the schema says.
        schema: String,
    },
    /// The reader's default is not of the column's type.
    BadDefault {
        /// The field with its path.
        field: String,
    },
    /// A column of the key, but the stream has no key format.
    NoKeyFormat {
        /// The column.
        column: String,
    },
    /// The format has no form for the column's type.
    NoForm {
        /// The column.
        column: String,
        /// Its type.
        ty: Type,
        /// `raw`, `json` or `csv`.
        format: &'static str,
    },
    /// `raw` writes one column; this many were to be written.
    RawColumns(usize),
    /// The schema has no field for the column.
    NoField {
        /// The column.
        column: String,
    },
    /// The schema unfolds into too many steps.
    TooLarge,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::MissingField { column, field } => {
                write!(f, "the schema has no field {field} for column {column}, which is NOT NULL")
            }
            PlanError::Mismatch { field, schema, ty } => {
                write!(f, "field {field} is {schema} in the schema, which does not fit {ty}")
            }
            PlanError::NotARecord { field, schema } => {
                write!(f, "{field} is {schema} in the schema, not a record")
            }
            PlanError::BadDefault { field } => {
                write!(f, "the default of field {field} is not of the column's type")
            }
            PlanError::NoKeyFormat { column } => {
                write!(f, "column {column} is in the key, but the stream has no key.format")
            }
            PlanError::NoForm { column, ty, format } => {
                write!(f, "column {column}: format {format} has no form for {}", ty.data)
            }
            PlanError::RawColumns(count) => {
                write!(f, "format raw takes exactly one column, not {count}")
            }
            PlanError::NoField { column } => {
                write!(f, "the schema has no field for column {column}")
            }
            PlanError::TooLarge => f.write_str("the schema unfolds into too many steps"),
        }
    }
}

impl std::error::Error for PlanError {}

/// A column that one payload gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    column: u32,
    name: &'a str,
    path: &'a [String],
    ty: &'a Type,
}

/// The plan that reads these columns. Payloads that no column needs are not looked at.
///
/// # Errors
/// If a column cannot be read from the writer's schema; see `PlanError`.
pub fn decode_plan(
    key: Option<PayloadFormat<'_>>,
    value: PayloadFormat<'_>,
    columns: &[DecodeColumn],
) -> Result<DecodePlan, PlanError> {
    let (mut in_key, mut in_value) = (Vec::new(), Vec::new());
    for (i, DecodeColumn { name, ty, origin }) in columns.iter().enumerate() {
        let column = i as u32;
        match origin {
            Origin::Key(path) => in_key.push(Wanted { column, name, path, ty }),
            Origin::Value(path) => in_value.push(Wanted { column, name, path, ty }),
            Origin::Metadata(_) => {}
        }
    }
    let key = match (key, in_key.first()) {
        (_, None) => PayloadPlan::Unread,
        (None, Some(first)) => {
            return Err(PlanError::NoKeyFormat { column: first.name.to_string() });
        }
        (Some(format), Some(_)) => payload_plan(format, &in_key)?,
    };
    let value = match in_value.is_empty() {
        true => PayloadPlan::Unread,
        false => payload_plan(value, &in_value)?,
    };
    Ok(DecodePlan { columns: columns.to_vec(), key, value, sign: Sign::Plus })
}

/// How one datum of a schema is passed over, and the bodies of recursive records.
///
/// # Errors
/// If the schema unfolds into too many steps.
pub fn skips(schema: &Schema) -> Result<(Vec<AvroSkip>, Vec<Vec<AvroSkip>>), PlanError> {
    let mut skipper = avro_skip::Skipper::new(schema);
    let mut skips = Vec::new();
    skipper.skip(schema, &mut skips)?;
    Ok((skips, skipper.recursive))
}

fn payload_plan(
    format: PayloadFormat<'_>,
    wanted: &[Wanted<'_>],
) -> Result<PayloadPlan, PlanError> {
    let supported = |format, supports: fn(&flow_ir::types::DataType) -> bool| {
        wanted.iter().find(|w| !supports(&w.ty.data)).map_or(Ok(()), |w| {
            let (column, ty) = (w.name.to_string(), w.ty.clone());
            Err(PlanError::NoForm { column, ty, format })
        })
    };
    match format {
        PayloadFormat::Avro { writer, reader } => {
            avro_read::avro_plan(writer, reader, wanted).map(PayloadPlan::Avro)
        }
        PayloadFormat::Json => {
            supported("json", json_reads_as)?;
            Ok(PayloadPlan::Json(json::steps(wanted)))
        }
        PayloadFormat::Csv(CsvFormat { dialect, names }) => {
            supported("csv", csv_reads_as)?;
            let column = |name: &String| {
                let of = |w: &&Wanted<'_>| w.path.first() == Some(name);
                (name.clone(), wanted.iter().find(of).map(|w| w.column))
            };
            let fields = names.iter().map(column).collect();
            Ok(PayloadPlan::Csv(CsvPlan { dialect: dialect.clone(), fields }))
        }
        PayloadFormat::Raw => {
            supported("raw", raw_reads_as)?;
            Ok(PayloadPlan::Raw(wanted.iter().map(|w| w.column).collect()))
        }
    }
}

/// The plan that writes some columns of rows with these columns, in the order given (Avro: in the
/// schema's order, matched by name).
///
/// # Errors
/// If the format has no form for a column, or the schema has no field for it, or a field has
/// neither column nor default.
pub fn encode_plan(
    format: EncodeFormat<'_>,
    columns: &[Field],
    written: &[usize],
) -> Result<EncodePlan, PlanError> {
    let payload = match format {
        EncodeFormat::Avro(schema) => {
            PayloadWriter::Avro(avro_write::avro_puts(schema, columns, written)?)
        }
        EncodeFormat::Json(timestamps) | EncodeFormat::BareJson(timestamps) => {
            let bare = matches!(format, EncodeFormat::BareJson(_));
            let columns = with_form("json", json_writes_as, columns, written)?;
            PayloadWriter::Json(JsonWriter { columns, timestamps, bare })
        }
        EncodeFormat::Csv(dialect) => {
            let columns = with_form("csv", csv_reads_as, columns, written)?;
            PayloadWriter::Csv(CsvWriter { columns, dialect: dialect.clone() })
        }
        EncodeFormat::Raw => {
            let [only] = written[..] else { return Err(PlanError::RawColumns(written.len())) };
            let Field { name, ty } = &columns[only];
            if !raw_reads_as(&ty.data) {
                let (column, ty) = (name.clone(), ty.clone());
                return Err(PlanError::NoForm { column, ty, format: "raw" });
            }
            PayloadWriter::Raw(only as u32)
        }
    };
    Ok(EncodePlan { columns: columns.to_vec(), prefix: Vec::new(), payload })
}

/// The columns to write, if a format has a form for each.
fn with_form(
    format: &'static str,
    has_form: fn(&DataType) -> bool,
    columns: &[Field],
    written: &[usize],
) -> Result<Vec<u32>, PlanError> {
    let column = |&i: &usize| {
        let Field { name, ty } = &columns[i];
        match has_form(&ty.data) {
            true => Ok(i as u32),
            false => Err(PlanError::NoForm { column: name.clone(), ty: ty.clone(), format }),
        }
    };
    written.iter().map(column).collect()
}

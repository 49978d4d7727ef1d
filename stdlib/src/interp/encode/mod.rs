//! The reference interpreter of encode plans. Payloads are written end to end into the arena; what
//! a row's values do not allow (NULL, an unknown symbol, a number too large) is noted with the
//! field, and that row's payload is empty.

mod avro;
mod csv;
mod field;
mod json;
mod raw;

use std::sync::Arc;

use flow_ir::encode_plan::{EncodePlan, JsonWriter, PayloadWriter};
use flow_ir::kernel::{Encoder, ErrorBuffer, ErrorCode, KernelError, PayloadArena};
use flow_ir::row::{RowBatch, RowLayout, RowRef};
use flow_ir::types::{DataType, Type};

pub use csv::csv_header;
pub use field::FieldWriter;
pub(crate) use json::write_name;
pub use json::{write_json_scalar, write_string};

use avro::AvroPuts;
use csv::CsvRecord;
use json::{Form, JsonObject};

use crate::text::field_of;

/// Why a row cannot be written.
#[derive(Debug)]
struct Unfit {
    code: ErrorCode,
    /// The innermost field, once it is known.
    field: Option<String>,
    why: &'static str,
}

impl Unfit {
    #[cold]
    fn new(code: ErrorCode, why: &'static str) -> Self {
        Self { code, field: None, why }
    }

    fn null() -> Self {
        Self::new(ErrorCode::UnexpectedNull, "NULL where the schema does not allow it")
    }

    /// Names the field, unless an inner one is named.
    fn at(mut self, field: &str) -> Self {
        self.field.get_or_insert_with(|| field.to_string());
        self
    }
}

/// Writes rows by a plan.
#[derive(Debug)]
pub struct PlanEncoder {
    layout: Arc<RowLayout>,
    prefix: Vec<u8>,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    Empty,
    Avro(AvroPuts),
    Json(JsonObject),
    JsonValue(usize, Form),
    Csv(CsvRecord),
    Raw(usize, DataType),
}

impl PlanEncoder {
    /// An encoder for a plan.
    ///
    /// # Errors
    /// If the plan breaks a rule.
    pub fn new(plan: &EncodePlan) -> Result<Self, KernelError> {
        plan.verify().map_err(|invalid| KernelError(invalid.0))?;
        let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
        let writer = match &plan.payload {
            PayloadWriter::Empty => Writer::Empty,
            PayloadWriter::Avro(puts) => Writer::Avro(AvroPuts::new(puts, &plan.columns)),
            PayloadWriter::Json(JsonWriter { columns, timestamps, bare: true }) => {
                let column = columns[0] as usize;
                Writer::JsonValue(column, Form::new(&types[column].data, *timestamps))
            }
            PayloadWriter::Json(writer) => Writer::Json(JsonObject::new(writer, &plan.columns)),
            PayloadWriter::Csv(writer) => Writer::Csv(CsvRecord::new(writer, &plan.columns)),
            PayloadWriter::Raw(column) => {
                Writer::Raw(*column as usize, types[*column as usize].data.clone())
            }
        };
        let layout = Arc::new(RowLayout::new(types));
        Ok(Self { layout, prefix: plan.prefix.clone(), writer })
    }

    fn row(&mut self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        out.extend_from_slice(&self.prefix);
        match &mut self.writer {
            Writer::Empty => Ok(()),
            Writer::Avro(puts) => puts.write(row, out),
            Writer::Json(object) => object.write(row, out),
            Writer::JsonValue(column, form) => {
                form.write(field_of(row, &self.layout, *column), out)
            }
            Writer::Csv(record) => record.write(row, out),
            Writer::Raw(column, ty) => {
                raw::write(field_of(row, &self.layout, *column), ty, out);
                Ok(())
            }
        }
    }
}

impl Encoder for PlanEncoder {
    fn encode(&mut self, rows: &RowBatch, out: &mut PayloadArena, bad: &mut ErrorBuffer) {
        for (i, row) in rows.rows().enumerate() {
            let start = out.bytes.len();
            if let Err(unfit) = self.row(row, &mut out.bytes) {
                out.bytes.truncate(start);
                let detail = match &unfit.field {
                    Some(field) => format!("{field}: {}", unfit.why),
                    None => unfit.why.to_string(),
                };
                bad.note(i, None, unfit.code, Some(&detail));
            }
            out.close();
        }
    }
}

/// Appends a Debezium envelope around rows that a JSON plan wrote: `c` for a new row, `u` for a
/// row and what was there before, `d` for a row that went. Neither is an empty envelope's `d`.
pub fn debezium_envelope(before: Option<&[u8]>, after: Option<&[u8]>, out: &mut Vec<u8>) {
    let op: &[u8] = match (before, after) {
        (None, Some(_)) => b"c",
        (Some(_), Some(_)) => b"u",
        (Some(_) | None, None) => b"d",
    };
    out.extend_from_slice(b"{\"before\":");
    out.extend_from_slice(before.unwrap_or(b"null"));
    out.extend_from_slice(b",\"after\":");
    out.extend_from_slice(after.unwrap_or(b"null"));
    out.extend_from_slice(b",\"op\":\"");
    out.extend_from_slice(op);
    out.extend_from_slice(b"\"}");
}

//! One value, written by itself: what native code calls for values that it does not write itself.

use flow_ir::encode_plan::{AvroWrite, JsonTimestamps};
use flow_ir::types::DataType;

use super::avro::Datum;
use super::json::Form;
use crate::host::HostArg;

/// Writes values of one type.
#[derive(Debug)]
pub struct FieldWriter(Writer);

#[derive(Debug)]
enum Writer {
    Avro(Datum),
    Json(Form),
}

impl FieldWriter {
    /// Writes Avro data by a verified plan.
    pub fn avro(datum: &AvroWrite, ty: &DataType) -> Self {
        Self(Writer::Avro(Datum::new(datum, ty)))
    }

    /// Writes JSON values.
    pub fn json(ty: &DataType, timestamps: JsonTimestamps) -> Self {
        Self(Writer::Json(Form::new(ty, timestamps)))
    }

    /// Appends a value. `false`, and what was appended does not count, if it cannot be written so.
    pub fn write(&self, value: HostArg<'_>, out: &mut Vec<u8>) -> bool {
        match &self.0 {
            Writer::Avro(datum) => datum.write(value, out).is_ok(),
            Writer::Json(form) => form.write(value, out).is_ok(),
        }
    }
}

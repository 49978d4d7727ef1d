//! Rows of a result as JSON objects.

use flow_ir::encode_plan::JsonTimestamps;
use flow_ir::kernel::{Encoder, ErrorBuffer, KernelFactory, PayloadArena};
use flow_ir::row::RowBatch;
use flow_ir::types::Field;
use flow_schema::{EncodeFormat, encode_plan};

use crate::error::{Result, RuntimeError};
use crate::worker::describe;

/// Writes rows as JSON objects.
pub struct JsonRows {
    encoder: Box<dyn Encoder>,
    out: PayloadArena,
}

impl JsonRows {
    /// For rows of these columns, of which the first `visible` are written.
    ///
    /// # Errors
    /// If a column has no form in JSON.
    pub fn new(factory: &dyn KernelFactory, columns: &[Field], visible: usize) -> Result<Self> {
        let shown: Vec<usize> = (0..visible).collect();
        let plan = encode_plan(EncodeFormat::Json(JsonTimestamps::Iso), columns, &shown);
        let plan = plan.map_err(|e| RuntimeError::user(e.to_string()))?;
        let encoder = factory.encoder(&plan).map_err(|e| RuntimeError::internal(e.0))?;
        Ok(Self { encoder, out: PayloadArena::default() })
    }

    /// Calls `each` with the weight and the object of each row, in order.
    ///
    /// # Errors
    /// If a value has no form in JSON.
    pub fn write(&mut self, rows: &RowBatch, mut each: impl FnMut(i64, &str)) -> Result<()> {
        let mut bad = ErrorBuffer::default();
        self.out.clear();
        self.encoder.encode(rows, &mut self.out, &mut bad);
        if let Some(error) = bad.errors.first() {
            let message = format!("a row has no form in JSON: {}", describe(error));
            return Err(RuntimeError::user(message));
        }
        for index in 0..rows.len() {
            let text = std::str::from_utf8(self.out.get(index));
            each(rows.weight(index), text.map_err(|e| RuntimeError::internal(e.to_string()))?);
        }
        Ok(())
    }
}

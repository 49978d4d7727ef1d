//! Encoders of a sink: schemas are registered, their ids become the frames, plans become encoders.

use std::sync::Arc;

use flow_ir::connector::{ANSWER, VIEW, VIEW_OF};
use flow_ir::decode_plan::json_writes_as;
use flow_ir::encode_plan::JsonTimestamps;
use flow_ir::kernel::{Encoder, ErrorBuffer, KernelFactory, PayloadArena};
use flow_ir::physical::{Sink, Stream, SubjectSchema};
use flow_ir::row::RowBatch;
use flow_ir::types::Field;
use flow_registry::{Registry, RegistryError, Schema};
use flow_schema::{EncodeFormat, csv_dialect, encode_plan, json_format};

use super::{DEFAULT_FORMAT, frame_prefix};
use crate::error::{Result, RuntimeError};
use crate::worker::Encoding;

/// How the rows of a sink become records. Registers the stream's schemas.
///
/// # Errors
/// If a schema cannot be registered, or a column has no form in the stream's format.
pub(crate) fn encoding(
    stream: &Stream,
    sink: &Sink,
    factory: &dyn KernelFactory,
    registry: Option<&Arc<dyn Registry>>,
) -> Result<Encoding> {
    let columns: Vec<Field> =
        stream.columns.iter().map(|c| Field::new(c.name.clone(), c.ty.clone())).collect();
    let all: Vec<usize> = (0..columns.len()).collect();
    let maker = Maker { stream, columns: &columns, factory, registry };
    match stream.connector.as_str() {
        "blackhole" => Ok(Encoding::Discard),
        // An index repeats the changes of its view.
        VIEW if stream.option(VIEW_OF).is_some() => Ok(Encoding::Discard),
        VIEW => Ok(Encoding::Rows { net: false }),
        ANSWER => Ok(Encoding::Rows { net: true }),
        "print" => Ok(Encoding::Lines(maker.encoder("value", "json", None, &all)?)),
        _ => {
            let value_columns: Vec<usize> =
                all.iter().copied().filter(|&i| stream.in_value(i)).collect();
            let value = maker.encoder(
                "value",
                stream.value_format.as_deref().unwrap_or(DEFAULT_FORMAT),
                stream.schemas.value.as_ref(),
                &value_columns,
            )?;
            let key = match sink.keys.is_empty() {
                true => None,
                false => Some(maker.encoder(
                    "key",
                    stream.key_format.as_deref().unwrap_or(DEFAULT_FORMAT),
                    stream.schemas.key.as_ref(),
                    &sink.keys,
                )?),
            };
            Ok(Encoding::Records { key, value })
        }
    }
}

struct Maker<'a> {
    stream: &'a Stream,
    columns: &'a [Field],
    factory: &'a dyn KernelFactory,
    registry: Option<&'a Arc<dyn Registry>>,
}

impl Maker<'_> {
    fn encoder(
        &self,
        side: &str,
        format: &str,
        schema: Option<&SubjectSchema>,
        columns: &[usize],
    ) -> Result<Box<dyn Encoder>> {
        let parsed = schema.map(|s| flow_schema::parse(&s.schema)).transpose();
        let parsed = parsed.map_err(|e| self.refuse(&e.to_string()))?;
        let dialect;
        let format = match format {
            "avro" => {
                EncodeFormat::Avro(parsed.as_ref().ok_or_else(|| self.refuse("it has no schema"))?)
            }
            "raw" => EncodeFormat::Raw,
            "csv" => {
                dialect = csv_dialect(self.stream, side)
                    .map_err(|(name, takes)| self.refuse(&format!("'{name}' takes {takes}")))?;
                EncodeFormat::Csv(&dialect)
            }
            "json" | "debezium-json" => json_format(self.stream, side, columns.len()),
            other => return Err(self.refuse(&format!("format {other} cannot be written"))),
        };
        let mut plan =
            encode_plan(format, self.columns, columns).map_err(|e| self.refuse(&e.to_string()))?;
        if let Some(SubjectSchema { subject: Some(subject), schema }) = schema {
            plan.prefix = frame_prefix(self.register(subject, schema)?);
        }
        self.factory.encoder(&plan).map_err(|e| self.refuse(&e.0))
    }

    fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let registry = self.registry.ok_or_else(|| self.refuse("it has no schema registry"))?;
        registry.register(subject, &Schema::avro(schema)).map_err(registry_error)
    }

    fn refuse(&self, why: &str) -> RuntimeError {
        RuntimeError::user(format!("stream {} cannot be written: {why}", self.stream.name))
    }
}

/// The first row of a batch as a JSON object, for messages. Columns of types that JSON has no form
/// for are left out.
pub(crate) fn row_json(
    factory: &dyn KernelFactory,
    columns: &[Field],
    rows: &RowBatch,
) -> Option<String> {
    let types = rows.layout().types();
    let fits = columns.len() == types.len()
        && columns.iter().zip(types.iter()).all(|(column, ty)| column.ty.data == ty.data);
    let has_form = |&i: &usize| json_writes_as(&columns[i].ty.data);
    let shown: Vec<usize> = (0..columns.len()).filter(has_form).collect();
    let plan = encode_plan(EncodeFormat::Json(JsonTimestamps::Iso), columns, &shown).ok()?;
    let mut encoder = factory.encoder(&plan).ok().filter(|_| fits)?;
    let (mut out, mut bad) = (PayloadArena::default(), ErrorBuffer::default());
    encoder.encode(rows, &mut out, &mut bad);
    let text = std::str::from_utf8(out.get(0)).ok()?;
    (!text.is_empty()).then(|| text.to_string())
}

/// A registry's error, with whether to try again.
pub(super) fn registry_error(error: RegistryError) -> RuntimeError {
    let transient =
        matches!(error, RegistryError::Unreachable { .. } | RegistryError::Server { .. });
    match transient {
        true => RuntimeError::external(error.to_string()),
        false => RuntimeError::user(error.to_string()),
    }
}

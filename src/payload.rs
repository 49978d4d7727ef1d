//! JSON lines to payloads and back, for `flow topic`: the same plans that jobs use, made from a
//! topic's schema instead of a program.

use std::collections::HashMap;
use std::sync::Arc;

use flow_ir::decode_plan::{DecodeColumn, Origin};
use flow_ir::encode_plan::JsonTimestamps;
use flow_ir::kernel::{
    Decoder, Encoder, ErrorBuffer, KernelCx, KernelFactory, OnError, PayloadArena, Payloads, Record,
};
use flow_ir::row::{BatchBuilder, RowLayout};
use flow_registry::Registry;
use flow_runtime::format::{FRAME_BYTES, frame_id, frame_prefix};
use flow_schema::{EncodeFormat, PayloadFormat, Schema, columns_of, decode_plan, encode_plan};
use flow_stdlib::interp::Interpreter;

use crate::exit::{Failure, Result};

const CX: KernelCx = KernelCx { clock: 0, on_error: OnError::DropRow };

/// Key and value of a record.
type Encoded = (Option<Vec<u8>>, Vec<u8>);

/// Turns JSON lines into payloads.
pub enum Writer {
    /// Each line is the payload.
    Json,
    /// Avro in the registry's framing.
    Avro(Box<Converter>),
}

/// Shows payloads as JSON.
pub struct Shower {
    registry: Option<Arc<dyn Registry>>,
    by_id: HashMap<u32, Option<Converter>>,
}

/// One plan that reads and one that writes the same rows.
pub struct Converter {
    decoder: Box<dyn Decoder>,
    encoder: Box<dyn Encoder>,
    rows: BatchBuilder,
    skip: usize,
}

impl Converter {
    fn new(
        schema: &Schema,
        read: PayloadFormat<'_>,
        write: EncodeFormat<'_>,
        skip: usize,
        prefix: Vec<u8>,
    ) -> std::result::Result<Self, String> {
        let fields = columns_of(schema).map_err(|e| e.to_string())?.fields;
        let column = |f: &flow_ir::types::Field| DecodeColumn {
            name: f.name.clone(),
            ty: f.ty.clone(),
            origin: Origin::Value(vec![f.name.clone()]),
        };
        let columns: Vec<_> = fields.iter().map(column).collect();
        let all: Vec<usize> = (0..fields.len()).collect();
        let decode = decode_plan(None, read, &columns).map_err(|e| e.to_string())?;
        let mut encode = encode_plan(write, &fields, &all).map_err(|e| e.to_string())?;
        encode.prefix = prefix;
        let types: Vec<_> = fields.into_iter().map(|f| f.ty).collect();
        Ok(Self {
            decoder: Interpreter.decoder(&decode).map_err(|e| e.0)?,
            encoder: Interpreter.encoder(&encode).map_err(|e| e.0)?,
            rows: BatchBuilder::new(Arc::new(RowLayout::new(types))),
            skip,
        })
    }

    fn convert(&mut self, payload: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let record = Record { value: Some(payload), ..Record::default() };
        let payloads = Payloads {
            records: &[record],
            select: &[0],
            key_skip: 0,
            value_skip: self.skip,
            topic: "",
            partition: 0,
        };
        let (mut bad, mut out) = (ErrorBuffer::default(), PayloadArena::default());
        self.decoder.decode(&payloads, &CX, &mut self.rows, &mut Vec::new(), &mut bad);
        let rows = self.rows.take();
        self.encoder.encode(&rows, &mut out, &mut bad);
        match bad.errors.first() {
            Some(error) => Err(match &error.detail {
                Some(detail) => format!("{} ({detail})", error.code.message()),
                None => error.code.message().to_string(),
            }),
            None => Ok(out.get(0).to_vec()),
        }
    }
}

impl Writer {
    /// Writes Avro by the newest schema of the topic in a registry.
    ///
    /// # Errors
    /// If there is none, or it is no record.
    pub fn avro(topic: &str, registry: &dyn Registry) -> Result<Self> {
        let subject = format!("{topic}-value");
        let found = registry.latest(&subject).map_err(Failure::failed)?.ok_or_else(|| {
            Failure::failed(format!("{subject} is not in {}", registry.address()))
        })?;
        let schema = flow_schema::parse(&found.schema.text).map_err(Failure::failed)?;
        let write = EncodeFormat::Avro(&schema);
        let converter =
            Converter::new(&schema, PayloadFormat::Json, write, 0, frame_prefix(found.id));
        Ok(Self::Avro(Box::new(converter.map_err(Failure::failed)?)))
    }

    /// Key and value of a line; the key is the text of a field.
    ///
    /// # Errors
    /// Says what is wrong with the line.
    pub fn encode(
        &mut self,
        line: &str,
        key: Option<&str>,
    ) -> std::result::Result<Encoded, String> {
        let parsed: serde_json::Value =
            serde_json::from_str(line).map_err(|e| format!("it is not JSON: {e}"))?;
        let key = key
            .map(|field| match &parsed[field] {
                serde_json::Value::Null => Err(format!("it has no field {field}")),
                serde_json::Value::String(text) => Ok(text.clone().into_bytes()),
                other => Ok(other.to_string().into_bytes()),
            })
            .transpose()?;
        let value = match self {
            Writer::Json => line.as_bytes().to_vec(),
            Writer::Avro(converter) => converter.convert(line.as_bytes())?,
        };
        Ok((key, value))
    }
}

impl Shower {
    /// Shows payloads with the schemas of a registry.
    pub fn new(registry: Option<Arc<dyn Registry>>) -> Self {
        Self { registry, by_id: HashMap::new() }
    }

    /// A payload as JSON, if it can be read; else as text, else in hexadecimal.
    pub fn show(&mut self, payload: Option<&[u8]>) -> String {
        let Some(payload) = payload else { return "null".to_string() };
        if let Some(converter) = frame_id(payload).and_then(|id| self.converter(id))
            && let Ok(json) = converter.convert(payload)
        {
            return String::from_utf8_lossy(&json).into_owned();
        }
        match std::str::from_utf8(payload) {
            Ok(text) => text.to_string(),
            Err(_) => payload.iter().map(|b| format!("{b:02x}")).collect(),
        }
    }

    fn converter(&mut self, id: u32) -> Option<&mut Converter> {
        let registry = self.registry.clone()?;
        let made = self.by_id.entry(id).or_insert_with(|| {
            let text = registry.by_id(id).ok()??.text;
            let schema = flow_schema::parse(&text).ok()?;
            let read = PayloadFormat::Avro { writer: &schema, reader: None };
            let write = EncodeFormat::Json(JsonTimestamps::Iso);
            Converter::new(&schema, read, write, FRAME_BYTES, Vec::new()).ok()
        });
        made.as_mut()
    }
}

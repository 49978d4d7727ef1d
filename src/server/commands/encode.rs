//! JSON objects to records of a stream: checked against its columns, then written as the stream's
//! formats say, with the plans that jobs use.

use std::collections::BTreeSet;
use std::sync::Arc;

use flow_ir::decode_plan::{DecodeColumn, Origin};
use flow_ir::kernel::{
    Decoder, Encoder, ErrorBuffer, KernelCx, KernelFactory, OnError, PayloadArena, Payloads, Record,
};
use flow_ir::physical::{Stream, SubjectSchema};
use flow_ir::row::{BatchBuilder, RowLayout};
use flow_ir::types::Field;
use flow_registry::Registry;
use flow_runtime::format::frame_prefix;
use flow_schema::{
    EncodeFormat, PayloadFormat, csv_dialect, decode_plan, encode_plan, json_format,
};
use flow_stdlib::interp::Interpreter;
use serde_json::{Map, Value};

const CX: KernelCx = KernelCx { clock: 0, on_error: OnError::DropRow };

/// The format of a stream that names none.
const DEFAULT_FORMAT: &str = "json";

/// Key and value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
}

/// Encodes objects for one stream.
pub(super) struct StreamEncoder {
    columns: BTreeSet<String>,
    decoder: Box<dyn Decoder>,
    rows: BatchBuilder,
    key: Option<Box<dyn Encoder>>,
    value: Box<dyn Encoder>,
}

impl StreamEncoder {
    /// An encoder for a stream; Avro is written by the newest schema of its subject.
    ///
    /// # Errors
    /// Why records of this stream cannot be made from JSON.
    pub(super) fn new(
        stream: &Stream,
        registry: impl Fn() -> Result<Arc<dyn Registry>, String>,
    ) -> Result<Self, String> {
        let (mut fields, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for column in &stream.columns {
            let place = fields.len();
            match &column.origin {
                Origin::Metadata(_) => continue,
                Origin::Key(_) => {
                    keys.push(place);
                    if stream.option("value.fields-include") != Some("EXCEPT_KEY") {
                        values.push(place);
                    }
                }
                Origin::Value(path) => {
                    let itself = [column.name.clone()];
                    if !path.is_empty() && path[..] != itself {
                        return Err(format!("column {} stands inside another field", column.name));
                    }
                    values.push(place);
                }
            }
            fields.push(Field::new(column.name.clone(), column.ty.clone()));
        }
        if keys.is_empty() && stream.key_format.is_some() {
            keys.clone_from(&stream.primary_key);
        }
        let maker = Maker { stream, fields: &fields, registry: &registry };
        let key = match keys.is_empty() {
            true => None,
            false => Some(maker.encoder(
                "key",
                stream.key_format.as_deref().unwrap_or(DEFAULT_FORMAT),
                stream.schemas.key.as_ref(),
                &keys,
            )?),
        };
        let value_format = stream.value_format.as_deref().unwrap_or(DEFAULT_FORMAT);
        let value = maker.encoder("value", value_format, stream.schemas.value.as_ref(), &values)?;
        let column = |f: &Field| DecodeColumn {
            name: f.name.clone(),
            ty: f.ty.clone(),
            origin: Origin::Value(vec![f.name.clone()]),
        };
        let columns: Vec<_> = fields.iter().map(column).collect();
        let plan = decode_plan(None, PayloadFormat::Json, &columns).map_err(|e| e.to_string())?;
        let types: Vec<_> = fields.iter().map(|f| f.ty.clone()).collect();
        Ok(Self {
            columns: fields.iter().map(|f| f.name.clone()).collect(),
            decoder: Interpreter.decoder(&plan).map_err(|e| e.0)?,
            rows: BatchBuilder::new(Arc::new(RowLayout::new(types))),
            key,
            value,
        })
    }

    /// The record of an object.
    ///
    /// # Errors
    /// Says what is wrong with the object.
    pub(super) fn encode(&mut self, object: &Map<String, Value>) -> Result<Encoded, String> {
        if let Some(unknown) = object.keys().find(|name| !self.columns.contains(*name)) {
            let known: Vec<&str> = self.columns.iter().map(String::as_str).collect();
            return Err(format!("there is no column {unknown}; there are: {}", known.join(", ")));
        }
        let text = serde_json::to_vec(object).map_err(|e| e.to_string())?;
        let record = Record { value: Some(&text), ..Record::default() };
        let payloads = Payloads {
            records: &[record],
            select: &[0],
            key_skip: 0,
            value_skip: 0,
            topic: "",
            partition: 0,
        };
        let mut bad = ErrorBuffer::default();
        self.decoder.decode(&payloads, &CX, &mut self.rows, &mut Vec::new(), &mut bad);
        let rows = self.rows.take();
        let mut payload = |encoder: &mut Box<dyn Encoder>| {
            let mut out = PayloadArena::default();
            encoder.encode(&rows, &mut out, &mut bad);
            match bad.errors.first() {
                Some(error) => Err(match &error.detail {
                    Some(detail) => format!("{} ({detail})", error.code.message()),
                    None => error.code.message().to_string(),
                }),
                None => Ok(out.get(0).to_vec()),
            }
        };
        let value = payload(&mut self.value)?;
        let key = self.key.as_mut().map(payload).transpose()?;
        Ok(Encoded { key, value })
    }
}

struct Maker<'a, R> {
    stream: &'a Stream,
    fields: &'a [Field],
    registry: &'a R,
}

impl<R: Fn() -> Result<Arc<dyn Registry>, String>> Maker<'_, R> {
    fn encoder(
        &self,
        side: &str,
        format: &str,
        schema: Option<&SubjectSchema>,
        columns: &[usize],
    ) -> Result<Box<dyn Encoder>, String> {
        let mut prefix = Vec::new();
        let mut text = schema.map(|s| s.schema.clone());
        if let Some(subject) = schema.and_then(|s| s.subject.as_ref()) {
            let registry = (self.registry)()?;
            let newest = registry.latest(subject).map_err(|e| e.to_string())?;
            let newest =
                newest.ok_or_else(|| format!("{subject} is not in {}", registry.address()))?;
            prefix = frame_prefix(newest.id);
            text = Some(newest.schema.text);
        }
        let parsed = text.as_deref().map(flow_schema::parse).transpose();
        let parsed = parsed.map_err(|e| e.to_string())?;
        let dialect;
        let format = match (format, &parsed) {
            ("avro", Some(schema)) => EncodeFormat::Avro(schema),
            ("avro", None) => return Err("its schema is not known".into()),
            ("raw", _) => EncodeFormat::Raw,
            ("csv", _) => {
                dialect = csv_dialect(self.stream, side)
                    .map_err(|(name, takes)| format!("'{name}' takes {takes}"))?;
                EncodeFormat::Csv(&dialect)
            }
            ("json", _) => json_format(self.stream, side, columns.len()),
            (other, _) => return Err(format!("format {other} cannot be written")),
        };
        let mut plan = encode_plan(format, self.fields, columns).map_err(|e| e.to_string())?;
        plan.prefix = prefix;
        Interpreter.encoder(&plan).map_err(|e| e.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flow_ir::physical::{StreamColumn, StreamSchemas};
    use flow_ir::types::{DataType, Type};
    use flow_registry::{FolderRegistry, Schema};
    use serde_json::json;

    use super::*;

    fn column(name: &str, data: DataType, nullable: bool, origin: Origin) -> StreamColumn {
        StreamColumn { name: name.into(), ty: Type { data, nullable }, origin }
    }

    fn stream(format: &str, schemas: StreamSchemas) -> Stream {
        let value = |name: &str| Origin::Value(vec![name.into()]);
        Stream {
            name: "clicks".into(),
            connector: "kafka".into(),
            options: BTreeMap::new(),
            value_format: Some(format.into()),
            key_format: Some("raw".into()),
            columns: vec![
                column("page", DataType::String, false, Origin::Key(vec![])),
                column("n", DataType::BigInt, true, value("n")),
            ],
            primary_key: Vec::new(),
            schemas,
        }
    }

    fn none() -> Result<Arc<dyn Registry>, String> {
        Err("no registry".into())
    }

    fn encode(encoder: &mut StreamEncoder, object: Value) -> Result<Encoded, String> {
        encoder.encode(object.as_object().unwrap())
    }

    #[test]
    fn objects_are_checked_and_keys_are_made() {
        let mut encoder = StreamEncoder::new(&stream("json", StreamSchemas::default()), none)
            .map_err(|e| panic!("{e}"))
            .unwrap();
        let made = encode(&mut encoder, json!({"page": "p", "n": 3})).unwrap();
        assert_eq!(made.key.as_deref(), Some(&b"p"[..]));
        assert_eq!(made.value, br#"{"page":"p","n":3}"#);
        for (bad, part) in [
            (json!({"page": "p", "m": 1}), "there is no column m"),
            (json!({"page": "p", "n": "many"}), ""),
            (json!({"n": 1}), ""),
            (json!({"page": null, "n": 1}), ""),
        ] {
            let error = encode(&mut encoder, bad.clone()).unwrap_err();
            assert!(error.contains(part) && !error.is_empty(), "{bad}: {error}");
        }
        // What was refused leaves nothing behind.
        assert_eq!(encode(&mut encoder, json!({"page": "p", "n": 3})).unwrap(), made);
    }

    #[test]
    fn avro_is_written_by_the_newest_schema_of_the_registry() {
        let folder = tempfile::tempdir().unwrap();
        let registry: Arc<dyn Registry> = Arc::new(FolderRegistry::open(folder.path()).unwrap());
        let schema = r#"{"type":"record","name":"Click","fields":[
            {"name":"page","type":"string"},{"name":"n","type":["null","long"]}]}"#;
        let id = registry.register("clicks-value", &Schema::avro(schema)).unwrap();
        let value =
            SubjectSchema { subject: Some("clicks-value".into()), schema: schema.to_string() };
        let schemas = StreamSchemas { value: Some(value), key: None };
        let mut encoder = StreamEncoder::new(&stream("avro", schemas), || Ok(registry.clone()))
            .map_err(|e| panic!("{e}"))
            .unwrap();
        let made = encode(&mut encoder, json!({"page": "p", "n": 3})).unwrap();
        let expected = [frame_prefix(id), vec![2, b'p', 2, 6]].concat();
        assert_eq!(made.value, expected);
    }
}

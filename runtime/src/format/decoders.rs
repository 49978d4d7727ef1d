//! What reads the records of one scan: one scanner per pair of writer schemas, made when the first
//! record of a schema comes.

use std::collections::HashMap;
use std::sync::Arc;

use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Origin};
use flow_ir::kernel::{KernelFactory, KernelSpec, Record, ScanSpec, Scanner};
use flow_ir::physical::{Stream, SubjectSchema};
use flow_registry::Registry;
use flow_schema::{CsvFormat, PayloadFormat, Schema, csv_format, decode_plan};
use flow_stdlib::interp::scan::Staged;

use super::{DEFAULT_FORMAT, Framing, ViewDecoder, frame_id};
use crate::error::{Result, RuntimeError};

/// The schemas that a record's key and value were written with; `None` where the payload is bare,
/// not read, or absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct WriterIds {
    key: Option<u32>,
    value: Option<u32>,
}

/// How one of a record's two payloads is read.
struct Payload {
    /// `None`: no column needs it.
    framing: Option<Framing>,
    format: String,
    /// The declared schema: reader of framed payloads, writer of bare ones.
    declared: Option<Schema>,
    /// The fields, if it is delimited text.
    csv: CsvFormat,
}

/// What a scan does with a record that is read, whatever schema it has.
pub(crate) struct ScanSteps {
    /// See `ScanSpec`, also for the others.
    pub(crate) watermark: Option<KernelSpec>,
    pub(crate) max_future_skew: Option<i64>,
    pub(crate) map: Option<KernelSpec>,
}

impl ScanSteps {
    fn after(&self, decode: DecodePlan) -> ScanSpec {
        let (watermark, map) = (self.watermark.clone(), self.map.clone());
        ScanSpec { decode, watermark, max_future_skew: self.max_future_skew, map }
    }
}

/// Decoders of one scan.
pub(crate) struct Decoders {
    columns: Vec<DecodeColumn>,
    steps: ScanSteps,
    key: Payload,
    value: Payload,
    factory: Arc<dyn KernelFactory>,
    registry: Option<Arc<dyn Registry>>,
    /// Decoders, and why others cannot be made, by schemas that are known.
    made: HashMap<WriterIds, Result<Box<dyn Scanner>, String>>,
    /// Why the last records of an unknown schema were not read.
    unknown: String,
}

/// Why there is no decoder.
enum NoDecoder {
    /// The registry does not know the schema; it may the next time it is asked.
    Unknown(String),
    /// The schema cannot be read as the columns, now and later.
    Unreadable(String),
}

impl Payload {
    fn new(
        stream: &Stream,
        side: &str,
        format: Option<&str>,
        schema: Option<&SubjectSchema>,
        read: bool,
    ) -> Result<Self> {
        let format = format.unwrap_or(DEFAULT_FORMAT).to_string();
        let framed = format == "avro" && schema.is_none_or(|s| s.subject.is_some());
        let framing = if framed { Framing::Registry } else { Framing::Bare };
        let parse = |s: &SubjectSchema| flow_schema::parse(&s.schema);
        let declared = schema.filter(|_| format == "avro").map(parse).transpose().map_err(|e| {
            RuntimeError::user(format!("the schema of stream {} is not valid: {e}", stream.name))
        })?;
        let csv = match format == "csv" {
            true => csv_format(stream, side).map_err(|why| {
                RuntimeError::user(format!("stream {} cannot be read: {why}", stream.name))
            })?,
            false => CsvFormat::default(),
        };
        Ok(Self { framing: read.then_some(framing), format, declared, csv })
    }

    /// The id that the payload carries, if it must carry one.
    fn id(&self, payload: Option<&[u8]>) -> Result<Option<u32>, &'static str> {
        match (self.framing, payload) {
            (Some(Framing::Registry), Some(payload)) => {
                frame_id(payload).map(Some).ok_or("it does not begin with a schema id")
            }
            (Some(Framing::Registry | Framing::Bare) | None, _) => Ok(None),
        }
    }

    fn format<'a>(&'a self, writer: Option<&'a Schema>) -> Result<PayloadFormat<'a>, String> {
        match self.format.as_str() {
            "avro" => match (writer, &self.declared) {
                (Some(writer), reader) => {
                    Ok(PayloadFormat::Avro { writer, reader: reader.as_ref() })
                }
                (None, Some(schema)) => Ok(PayloadFormat::Avro { writer: schema, reader: None }),
                (None, None) => Err("no schema is known".to_string()),
            },
            "json" => Ok(PayloadFormat::Json),
            "raw" => Ok(PayloadFormat::Raw),
            "csv" => Ok(PayloadFormat::Csv(&self.csv)),
            other => Err(format!("format {other} cannot be read")),
        }
    }
}

impl Decoders {
    /// Decoders for a scan of these columns of a stream.
    ///
    /// # Errors
    /// If the stream's declared schemas are not valid.
    pub(crate) fn new(
        stream: &Stream,
        columns: &[DecodeColumn],
        steps: ScanSteps,
        factory: Arc<dyn KernelFactory>,
        registry: Option<Arc<dyn Registry>>,
    ) -> Result<Self> {
        let reads_key = columns.iter().any(|c| matches!(c.origin, Origin::Key(_)));
        let reads_value = columns.iter().any(|c| matches!(c.origin, Origin::Value(_)));
        let schemas = &stream.schemas;
        let key_format = stream.key_format.as_deref();
        let value_format = stream.value_format.as_deref();
        Ok(Self {
            columns: columns.to_vec(),
            steps,
            key: Payload::new(stream, "key", key_format, schemas.key.as_ref(), reads_key)?,
            value: Payload::new(
                stream,
                "value",
                value_format,
                schemas.value.as_ref(),
                reads_value,
            )?,
            factory,
            registry,
            made: HashMap::new(),
            unknown: String::new(),
        })
    }

    /// The one decoder for a view of another job, kept in the table of this number.
    ///
    /// # Errors
    /// If the view has no such columns.
    pub(crate) fn of_view(
        stream: &Stream,
        columns: &[DecodeColumn],
        table: u32,
        steps: ScanSteps,
        factory: Arc<dyn KernelFactory>,
    ) -> Result<Self> {
        let decoder = Box::new(ViewDecoder::new(stream, columns, table)?);
        let plan = DecodePlan { columns: columns.to_vec(), ..DecodePlan::default() };
        let scanner = Staged::new(&steps.after(plan), decoder, &*factory)
            .map_err(|e| RuntimeError::internal(e.0))?;
        let mut decoders = Self::new(stream, columns, steps, factory, None)?;
        decoders.made.insert(WriterIds::default(), Ok(Box::new(scanner)));
        Ok(decoders)
    }

    /// Bytes of framing before key and value.
    pub(crate) fn skips(&self) -> (usize, usize) {
        let skip = |p: &Payload| p.framing.map_or(0, Framing::bytes);
        (skip(&self.key), skip(&self.value))
    }

    /// The schemas that a record was written with.
    ///
    /// # Errors
    /// Says what is wrong with the payload.
    pub(crate) fn ids(&self, record: &Record<'_>) -> Result<WriterIds, &'static str> {
        Ok(WriterIds { key: self.key.id(record.key)?, value: self.value.id(record.value)? })
    }

    /// The decoder for records of these schemas; the inner error says why there is none.
    ///
    /// # Errors
    /// If the registry cannot be asked.
    pub(crate) fn get(
        &mut self,
        ids: WriterIds,
    ) -> Result<std::result::Result<&mut Box<dyn Scanner>, &str>> {
        if !self.made.contains_key(&ids) {
            let made = match self.make(ids)? {
                Ok(decoder) => Ok(decoder),
                Err(NoDecoder::Unreadable(why)) => Err(why),
                Err(NoDecoder::Unknown(why)) => {
                    self.unknown = why;
                    return Ok(Err(&self.unknown));
                }
            };
            self.made.insert(ids, made);
        }
        let made = self.made.get_mut(&ids).expect("it was just put there");
        Ok(made.as_mut().map_err(|why| why.as_str()))
    }

    fn make(&self, ids: WriterIds) -> Result<Result<Box<dyn Scanner>, NoDecoder>> {
        let mut writers = [None, None];
        for (writer, id) in writers.iter_mut().zip([ids.key, ids.value]) {
            if let Some(id) = id {
                match self.writer_schema(id)? {
                    Ok(schema) => *writer = Some(schema),
                    Err(why) => return Ok(Err(why)),
                }
            }
        }
        let [key, value] = &writers;
        let plan = || {
            let key = self.key.framing.map(|_| self.key.format(key.as_ref())).transpose()?;
            // A value that no column reads has no format that matters.
            let value = match self.value.framing {
                Some(_) => self.value.format(value.as_ref())?,
                None => PayloadFormat::Raw,
            };
            let plan = decode_plan(key, value, &self.columns).map_err(|e| e.to_string())?;
            self.factory.scanner(&self.steps.after(plan)).map_err(|e| e.0)
        };
        Ok(plan().map_err(NoDecoder::Unreadable))
    }

    fn writer_schema(&self, id: u32) -> Result<Result<Schema, NoDecoder>> {
        let Some(registry) = &self.registry else {
            let why = "the stream has no schema registry".to_string();
            return Ok(Err(NoDecoder::Unreadable(why)));
        };
        let found = registry.by_id(id).map_err(crate::format::encoders::registry_error)?;
        let address = registry.address();
        Ok(match found {
            Some(schema) => flow_schema::parse(&schema.text).map_err(|e| {
                NoDecoder::Unreadable(format!("schema {id} in {address} is not valid: {e}"))
            }),
            None => Err(NoDecoder::Unknown(format!("schema id {id} is not in {address}"))),
        })
    }
}

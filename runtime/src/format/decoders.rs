//! What reads the records of one scan: one scanner per pair of writer schemas, made when the first
//! record of a schema comes.

use std::collections::HashMap;
use std::sync::Arc;

use flow_ir::connector::{
    CANAL_JSON, DEBEZIUM_AVRO, FILE, MAXWELL_JSON, OGG_JSON, is_avro, is_changelog, is_json,
};
use flow_ir::decode_plan::{DecodeColumn, DecodePlan, Metadata, Origin, Sign};
use flow_ir::kernel::{KernelFactory, KernelSpec, Record, ScanSpec, Scanner};
use flow_ir::physical::{Stream, SubjectSchema};
use flow_registry::Registry;
use flow_schema::{CsvFormat, PayloadFormat, Schema, csv_format, decode_plan};
use flow_stdlib::interp::decode::Opener;
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
    /// Of records that say what happened to rows: the key's columns, if a key says which.
    changes: Option<Vec<u32>>,
    /// What takes their envelopes apart, by the schemas that they were written with.
    openers: HashMap<WriterIds, Result<Opener, String>>,
    nested: bool,
    /// Decoders, and why others cannot be made, by schemas that are known.
    made: HashMap<(WriterIds, bool), Result<Box<dyn Scanner>, String>>,
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
        // Records of container files name the schema of their file.
        let registered = schema.is_none_or(|s| s.subject.is_some()) || stream.connector == FILE;
        let framed = is_avro(&format) && registered;
        let framing = if framed { Framing::Registry } else { Framing::Bare };
        let parse = |s: &SubjectSchema| flow_schema::parse(&s.schema);
        let declared = schema.filter(|_| is_avro(&format)).map(parse).transpose().map_err(|e| {
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
            "avro" | DEBEZIUM_AVRO => match (writer, &self.declared) {
                (Some(writer), reader) => {
                    Ok(PayloadFormat::Avro { writer, reader: reader.as_ref() })
                }
                (None, Some(schema)) => Ok(PayloadFormat::Avro { writer: schema, reader: None }),
                (None, None) => Err("no schema is known".to_string()),
            },
            format if is_json(format) => Ok(PayloadFormat::Json),
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
        let changes = changes_of(stream, columns);
        let reads_value =
            changes.is_some() || columns.iter().any(|c| matches!(c.origin, Origin::Value(_)));
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
            changes,
            openers: HashMap::new(),
            nested: stream.option("debezium-json.schema-include") == Some("true"),
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
        decoders.made.insert((WriterIds::default(), true), Ok(Box::new(scanner)));
        Ok(decoders)
    }

    /// Whether records say which schemas they were written with.
    pub(crate) fn are_framed(&self) -> bool {
        [&self.key, &self.value].iter().any(|p| matches!(p.framing, Some(Framing::Registry)))
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

    /// Whether records say what happened to rows, and must be taken apart.
    pub(crate) fn opens(&self) -> bool {
        self.changes.is_some()
    }

    /// Whether a key says which row goes: then what is replaced need not be told.
    pub(crate) fn by_key(&self) -> bool {
        self.changes.as_ref().is_some_and(|key| !key.is_empty())
    }

    /// Asks for whatever reading records of these schemas takes.
    ///
    /// # Errors
    /// If the registry cannot be asked.
    pub(crate) fn learn(&mut self, ids: WriterIds) -> Result<()> {
        if self.opens() {
            let _ = self.opener(ids)?;
            let _ = self.get(ids, false)?;
        }
        let _ = self.get(ids, true)?;
        Ok(())
    }

    /// What takes records of these schemas apart; the inner error says why there is nothing.
    ///
    /// # Errors
    /// If the registry cannot be asked.
    pub(crate) fn opener(
        &mut self,
        ids: WriterIds,
    ) -> Result<std::result::Result<&mut Opener, &str>> {
        if !self.openers.contains_key(&ids) {
            let needs_before = !self.by_key();
            let made = match ids.value {
                None => Ok(match self.value.format.as_str() {
                    CANAL_JSON => Opener::captured(true, needs_before),
                    MAXWELL_JSON => Opener::captured(false, needs_before),
                    OGG_JSON => Opener::ogg(needs_before),
                    _ => Opener::json(self.nested, needs_before),
                }),
                Some(id) => match self.writer_schema(id)? {
                    Ok(schema) => flow_schema::envelope(&schema)
                        .map(|envelope| Opener::avro(envelope.plan, needs_before))
                        .map_err(|e| e.to_string()),
                    Err(NoDecoder::Unreadable(why)) => Err(why),
                    Err(NoDecoder::Unknown(why)) => {
                        self.unknown = why;
                        return Ok(Err(&self.unknown));
                    }
                },
            };
            self.openers.insert(ids, made);
        }
        let made = self.openers.get_mut(&ids).expect("it was just put there");
        Ok(made.as_mut().map_err(|why| why.as_str()))
    }

    /// The decoder for records of these schemas, whose rows come or go; the inner error says why
    /// there is none.
    ///
    /// # Errors
    /// If the registry cannot be asked.
    pub(crate) fn get(
        &mut self,
        ids: WriterIds,
        comes: bool,
    ) -> Result<std::result::Result<&mut Box<dyn Scanner>, &str>> {
        let ids = (ids, comes);
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

    fn make(&self, (ids, comes): (WriterIds, bool)) -> Result<Result<Box<dyn Scanner>, NoDecoder>> {
        let mut writers = [None, None];
        for (writer, id) in writers.iter_mut().zip([ids.key, ids.value]) {
            if let Some(id) = id {
                match self.writer_schema(id)? {
                    Ok(schema) => *writer = Some(schema),
                    Err(why) => return Ok(Err(why)),
                }
            }
        }
        let [key, mut value] = writers;
        if let (Some(envelope), true) = (&value, self.opens()) {
            value = match flow_schema::envelope(envelope) {
                Ok(envelope) => Some(envelope.row),
                Err(error) => return Ok(Err(NoDecoder::Unreadable(error.to_string()))),
            };
        }
        let sign = match &self.changes {
            Some(key) if !comes && !key.is_empty() => Sign::Delete(key.clone()),
            Some(_) if !comes => Sign::Minus,
            Some(_) | None => Sign::Plus,
        };
        let plan = || {
            let key = self.key.framing.map(|_| self.key.format(key.as_ref())).transpose()?;
            // A value that no column reads has no format that matters.
            let value = match self.value.framing {
                Some(_) => self.value.format(value.as_ref())?,
                None => PayloadFormat::Raw,
            };
            let plan = decode_plan(key, value, &self.columns).map_err(|e| e.to_string())?;
            let plan = DecodePlan { sign, ..plan };
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

/// The key's columns among those that are read of a stream whose records say what happened to
/// rows; none where rows go by themselves.
fn changes_of(stream: &Stream, columns: &[DecodeColumn]) -> Option<Vec<u32>> {
    if !stream.value_format.as_deref().is_some_and(is_changelog) {
        return None;
    }
    let tombstone = Origin::Metadata(Metadata::Tombstone);
    if !columns.iter().any(|column| column.origin == tombstone) {
        return Some(Vec::new());
    }
    let is_key = |column: &DecodeColumn| {
        stream.primary_key.iter().any(|&key| stream.columns[key].origin == column.origin)
    };
    let key = (0..columns.len()).filter(|&i| is_key(&columns[i]));
    Some(key.map(|i| i as u32).collect())
}

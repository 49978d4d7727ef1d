//! The reference interpreter of decode plans, batch by batch. A plan is resolved once into steps
//! with places and conversions; a record is then one flat walk over its bytes.
//!
//! What holds, whatever the bytes: no panic, memory bounded by the payload and
//! `CONTAINER_BYTES_MAX`, and a record that fails leaves no row behind. Of a record that fails the
//! first failure is noted, with the field. Under `OnError::KeepNull` a single value that has no
//! meaning in its column's type (out of range, not UTF-8, a bad number) becomes NULL and the row
//! stays, if the column may be NULL; bytes whose structure is lost, and values inside Avro
//! containers, always cost the record.

mod avro;
mod captured;
mod csv;
mod datum;
mod envelope;
mod field;
mod flat;
mod input;
mod json;
mod json_members;
mod json_scan;
mod raw;
mod required;
mod scalar;
mod sink;
mod tail;

use std::sync::Arc;

use flow_ir::decode_plan::{DecodePlan, InvalidPlan, Metadata, Origin, PayloadPlan, Sign};
use flow_ir::kernel::{
    Decoder, ErrorBuffer, ErrorCode, KernelCx, KernelError, OnError, Payloads, Record,
};
use flow_ir::row::{BatchBuilder, RowLayout};
use flow_ir::types::{DataType, Type};

pub use datum::DatumSkip;
pub use envelope::{Change, Opener};
pub use field::{FieldReader, HeadersReader, Left, varint};

use avro::AvroReader;
use csv::CsvReader;
use flat::{LANES, Lanes};
use json::JsonReader;
use required::Required;
use sink::{ColumnSink, Sink};
use tail::Tail;

/// Memory that the containers of one record may take.
pub const CONTAINER_BYTES_MAX: usize = 64 << 20;

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    Truncated,
    Varint,
    Length,
    Branch,
    Symbol,
    Items,
    Depth,
    Trailing,
    Framing,
    Boolean,
    Utf8,
    Json,
    NotObject,
    NotArray,
    Width,
    Size,
    Range,
    Uuid,
    Base64,
    Fields,
    Convert,
    Refused,
    Null,
}

impl Bad {
    fn code(self) -> ErrorCode {
        match self {
            Bad::Truncated
            | Bad::Varint
            | Bad::Length
            | Bad::Branch
            | Bad::Symbol
            | Bad::Items
            | Bad::Depth
            | Bad::Trailing
            | Bad::Framing
            | Bad::Boolean
            | Bad::Utf8
            | Bad::Json
            | Bad::Fields
            | Bad::Width => ErrorCode::Corrupt,
            Bad::Size | Bad::Range => ErrorCode::Overflow,
            Bad::NotObject
            | Bad::NotArray
            | Bad::Uuid
            | Bad::Base64
            | Bad::Convert
            | Bad::Refused => ErrorCode::BadCast,
            Bad::Null => ErrorCode::UnexpectedNull,
        }
    }

    /// Whether only the value is wrong, and where it ends is known.
    fn is_value(self) -> bool {
        match self {
            Bad::Symbol
            | Bad::Boolean
            | Bad::Utf8
            | Bad::Width
            | Bad::Range
            | Bad::Uuid
            | Bad::Base64
            | Bad::Convert
            | Bad::NotObject
            | Bad::NotArray => true,
            Bad::Truncated
            | Bad::Varint
            | Bad::Length
            | Bad::Branch
            | Bad::Items
            | Bad::Depth
            | Bad::Trailing
            | Bad::Framing
            | Bad::Json
            | Bad::Fields
            | Bad::Size
            | Bad::Refused
            | Bad::Null => false,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Bad::Truncated => "the payload ends too early",
            Bad::Varint => "not a valid integer",
            Bad::Length => "a negative length",
            Bad::Branch => "no such union branch",
            Bad::Symbol => "no such enum symbol",
            Bad::Items => "more items than the payload can hold",
            Bad::Depth => "nested too deeply",
            Bad::Trailing => "bytes after the end of the record",
            Bad::Framing => "shorter than its framing",
            Bad::Boolean => "not a boolean",
            Bad::Utf8 => "not UTF-8",
            Bad::Json => "not valid JSON",
            Bad::NotObject => "not a JSON object",
            Bad::NotArray => "not a JSON array",
            Bad::Width => "not as many bytes as the type has",
            Bad::Size => "containers of over 64 MiB",
            Bad::Range => "out of the type's range",
            Bad::Uuid => "not a UUID",
            Bad::Base64 => "not base64",
            Bad::Fields => "not as many fields as there are columns",
            Bad::Convert => "cannot be read as the column's type",
            Bad::Refused => "of a type that the column cannot hold",
            Bad::Null => "NULL where the column does not allow it",
        }
    }
}

/// What one record's walk shares: how errors are taken, and the memory that is left.
struct Run<'e> {
    record: usize,
    on_error: OnError,
    errors: &'e mut ErrorBuffer,
    /// The innermost field of the failure that ends the record.
    field: Option<Box<str>>,
    words_left: usize,
}

impl Run<'_> {
    /// Names the field of a failure. Goes on (`Ok`) if the field may be NULL instead.
    #[cold]
    fn failed(&mut self, bad: Bad, field: &str, resumes: bool) -> Result<(), Bad> {
        if resumes && bad.is_value() && self.on_error == OnError::KeepNull {
            self.note(bad, Some(field));
            return Ok(());
        }
        if self.field.is_none() && !field.is_empty() {
            self.field = Some(field.into());
        }
        Err(bad)
    }

    #[cold]
    fn note(&mut self, bad: Bad, field: Option<&str>) {
        let detail = match field {
            Some(field) if !field.is_empty() => format!("{field}: {}", bad.message()),
            Some(_) | None => bad.message().to_string(),
        };
        self.errors.note(self.record, None, bad.code(), Some(&detail));
    }

    /// Takes memory for a container.
    fn grow(&mut self, words: usize) -> Result<(), Bad> {
        self.words_left = self.words_left.checked_sub(words).ok_or(Bad::Size)?;
        Ok(())
    }

    /// Runs steps inside a container, where no value is left out.
    fn nested(&mut self, steps: impl FnOnce(&mut Self) -> Result<(), Bad>) -> Result<(), Bad> {
        let outside = std::mem::replace(&mut self.on_error, OnError::DropRow);
        let done = steps(self);
        self.on_error = outside;
        done
    }
}

/// Reads records by a plan.
#[derive(Debug)]
pub struct PlanDecoder {
    key: Payload,
    value: Payload,
    /// Reads values ahead, if the plan allows it.
    lanes: Option<Lanes>,
    metadata: Vec<(usize, Metadata)>,
    /// NOT NULL columns; and those that a tombstone has, too: keys and metadata.
    required: Required,
    required_of_tombstone: Required,
    /// Whether a column shows tombstones; then they are rows whose value columns are all NULL.
    shows_tombstones: bool,
    sign: Sign,
    headers: HeadersReader,
    tail: Option<Tail>,
}

#[derive(Debug)]
enum Payload {
    Unread,
    Avro(AvroReader),
    Json(JsonReader),
    Csv(CsvReader),
    Raw(Vec<(usize, DataType)>),
}

impl Payload {
    fn new(plan: &PayloadPlan, layout: &Arc<RowLayout>) -> Self {
        match plan {
            PayloadPlan::Unread => Payload::Unread,
            PayloadPlan::Avro(plan) => Payload::Avro(AvroReader::new(plan, layout)),
            PayloadPlan::Json(steps) => Payload::Json(JsonReader::new(steps, layout)),
            PayloadPlan::Csv(plan) => Payload::Csv(CsvReader::new(plan, layout)),
            PayloadPlan::Raw(columns) => {
                let column = |&c: &u32| {
                    let c = c as usize;
                    (c, layout.types()[c].data.clone())
                };
                Payload::Raw(columns.iter().map(column).collect())
            }
        }
    }

    /// Reads a payload; `None` leaves all columns NULL. Inlined, so that a flat Avro record costs
    /// one call.
    #[inline(always)]
    fn read(
        &mut self,
        bytes: Option<&[u8]>,
        framing: usize,
        row: &mut BatchBuilder,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        if let Payload::Unread = self {
            return Ok(());
        }
        let Some(bytes) = bytes else { return Ok(()) };
        let bytes = bytes.get(framing..).ok_or(Bad::Framing)?;
        match self {
            Payload::Unread => Ok(()),
            Payload::Avro(reader) => reader.read(bytes, row, run),
            Payload::Json(reader) => reader.read(bytes, row, run),
            Payload::Csv(reader) => reader.read(bytes, row, run),
            Payload::Raw(columns) => columns.iter().try_for_each(|(column, ty)| {
                let read = raw::read(bytes, ty, &mut ColumnSink { row, column: *column });
                read.or_else(|bad| run.failed(bad, "", true))
            }),
        }
    }
}

impl PlanDecoder {
    /// A decoder for a plan.
    ///
    /// # Errors
    /// If the plan breaks a rule.
    pub fn new(plan: &DecodePlan) -> Result<Self, KernelError> {
        plan.verify().map_err(|InvalidPlan(why)| KernelError(why))?;
        let types: Vec<Type> = plan.columns.iter().map(|c| c.ty.clone()).collect();
        let layout = Arc::new(RowLayout::new(types));
        let metadata: Vec<(usize, Metadata)> = (plan.columns.iter().enumerate())
            .filter_map(|(i, column)| match column.origin {
                Origin::Metadata(what) => Some((i, what)),
                Origin::Value(_) | Origin::Key(_) => None,
            })
            .collect();
        let in_value = |i: usize| matches!(plan.columns[i].origin, Origin::Value(_));
        let names = || plan.columns.iter().map(|c| c.name.as_str());
        Ok(Self {
            key: Payload::new(&plan.key, &layout),
            value: Payload::new(&plan.value, &layout),
            lanes: Lanes::new(plan, &layout),
            shows_tombstones: metadata.iter().any(|(_, what)| *what == Metadata::Tombstone),
            required: match &plan.sign {
                Sign::Plus | Sign::Minus => Required::new(&layout, names(), |_| true),
                Sign::Delete(key) => {
                    Required::new(&layout, names(), |i| !in_value(i) || key.contains(&(i as u32)))
                }
            },
            required_of_tombstone: Required::new(&layout, names(), |i| !in_value(i)),
            sign: plan.sign.clone(),
            metadata,
            headers: HeadersReader::default(),
            tail: Tail::of_plan(plan, &layout),
        })
    }

    /// Reads some records ahead. `false` if they are to be read one by one.
    fn walk_ahead(&mut self, positions: &[u32], from: &Payloads<'_>) -> bool {
        let Some(lanes) = &mut self.lanes else { return false };
        let Ok(positions) = <&[u32; LANES]>::try_from(positions) else { return false };
        let mut payloads = [&[][..]; LANES];
        for (payload, &position) in payloads.iter_mut().zip(positions) {
            let record = from.records.get(position as usize);
            match record.and_then(|record| record.value?.get(from.value_skip..)) {
                Some(bytes) => *payload = bytes,
                None => return false,
            }
        }
        lanes.walk(payloads)
    }

    /// Makes the row of a record that was read ahead. `false`, and there is none, if not all is in
    /// order.
    #[inline]
    fn put_ahead(
        &mut self,
        lane: usize,
        record: &Record<'_>,
        from: &Payloads<'_>,
        position: usize,
        row: &mut BatchBuilder,
    ) -> bool {
        let (Some(lanes), Some(value)) = (&self.lanes, record.value) else { return false };
        lanes.begin(lane, row);
        for &(column, what) in &self.metadata {
            put_metadata(what, record, from, position, &mut self.headers, row, column);
        }
        let done = row.put_texts(lanes.texts(), value) && self.required.missing(row).is_none();
        if !done {
            row.abandon();
        }
        done
    }

    #[inline]
    fn record(
        &mut self,
        record: &Record<'_>,
        from: &Payloads<'_>,
        row: &mut BatchBuilder,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        for &(column, what) in &self.metadata {
            put_metadata(what, record, from, run.record, &mut self.headers, row, column);
            if let (Metadata::Tombstone, Sign::Delete(_)) = (what, &self.sign) {
                row.set_word(column, 1);
            }
        }
        self.key.read(record.key, from.key_skip, row, run)?;
        self.value.read(record.value, from.value_skip, row, run)?;
        let required = match record.value.is_none() && self.shows_tombstones {
            true => &self.required_of_tombstone,
            false => &self.required,
        };
        match required.missing(row) {
            Some(name) => run.failed(Bad::Null, name, false),
            None => Ok(()),
        }
    }

    /// Reads one record by itself. Whether it is a row.
    fn decode_one(
        &mut self,
        record: &Record<'_>,
        from: &Payloads<'_>,
        position: usize,
        on_error: OnError,
        out: &mut BatchBuilder,
        errors: &mut ErrorBuffer,
    ) -> bool {
        let words_left = CONTAINER_BYTES_MAX / 8;
        let mut run = Run { record: position, on_error, errors, field: None, words_left };
        out.begin();
        let read = self.record(record, from, out, &mut run);
        if let Err(bad) = read {
            out.abandon();
            let field = run.field.take();
            run.note(bad, field.as_deref());
        }
        read.is_ok()
    }
}

impl Decoder for PlanDecoder {
    fn decode(
        &mut self,
        from: &Payloads<'_>,
        cx: &KernelCx,
        out: &mut BatchBuilder,
        origin: &mut Vec<u32>,
        bad: &mut ErrorBuffer,
    ) {
        let weight = if self.sign == Sign::Minus { -1 } else { 1 };
        for positions in from.select.chunks(LANES) {
            let ahead = self.sign == Sign::Plus && self.walk_ahead(positions, from);
            for (lane, &position) in positions.iter().enumerate() {
                let at = position as usize;
                let Some(record) = from.records.get(at) else { continue };
                if (ahead && self.put_ahead(lane, record, from, at, out))
                    || self.decode_one(record, from, at, cx.on_error, out, bad)
                {
                    if let Some(tail) = &mut self.tail {
                        tail.order(out);
                    }
                    out.finish(weight);
                    origin.push(position);
                }
            }
        }
    }
}

/// Sets a metadata column.
fn put_metadata(
    what: Metadata,
    record: &Record<'_>,
    from: &Payloads<'_>,
    position: usize,
    headers: &mut HeadersReader,
    row: &mut BatchBuilder,
    column: usize,
) {
    match what {
        Metadata::Timestamp => {
            if let Some(micros) = record.timestamp {
                row.set_i64(column, micros);
            }
        }
        Metadata::Topic => row.set_bytes(column, from.topic.as_bytes()),
        Metadata::Partition => row.set_i64(column, i64::from(from.partition)),
        Metadata::Offset => row.set_i64(column, record.offset),
        Metadata::BatchPosition => row.set_i64(column, position as i64),
        Metadata::Tombstone => row.set_word(column, u64::from(record.value.is_none())),
        Metadata::Watermark => row.set_i64(column, 0),
        Metadata::Headers => ColumnSink { row, column }.container(headers.read(record.headers)),
    }
}

#[cfg(test)]
mod tests;

//! Running a JSON plan. An object is gone through once: the places of wanted members are noted,
//! every value is passed over and checked; then each wanted member is read from its last place, as
//! its column's type. So of equal names the last one counts, and a value that does not fit its
//! column does not disturb the others.
//!
//! | type | taken from |
//! | --- | --- |
//! | BOOLEAN | true, false, or those words as a string |
//! | integers, DECIMAL | a number, or a string that is one; DECIMAL exactly from the digits |
//! | REAL, DOUBLE | likewise, also `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | STRING | a string; of any other value its text |
//! | BYTES | a string of base64 |
//! | DATE, TIME, INTERVAL, UUID | a string |
//! | TIMESTAMP, TIMESTAMP_LTZ | ISO 8601, UTC without an offset; whole milliseconds since 1970 |
//! | JSON | the text of any value; null is NULL |
//! | ARRAY, MAP, ROW | an array; objects, whose missing members are NULL fields of a ROW |

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use flow_ir::decode_plan::JsonStep;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, ContainerBuilder, RowLayout};
use flow_ir::types::{DataType, Type};

use super::json_members::{Finder, plain};
use super::json_scan::{Scan, Token};
use super::required::Required;
use super::scalar::{Decimal, put_uuid};
use super::sink::{ColumnSink, Element, ElementSink, MapBuilder, Sink};
use super::{Bad, Run};
use crate::decimal::Digits;
use crate::text::{
    parse_date, parse_decimal, parse_interval, parse_time, parse_timestamp, parse_uuid,
};

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads one payload.
#[derive(Debug)]
pub(super) struct JsonReader {
    steps: Vec<Step>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
enum Step {
    Column(usize, Reader),
    Members(Members),
}

/// The wanted members of an object.
#[derive(Debug)]
struct Members {
    finder: Finder,
    /// Path of each, for errors.
    paths: Vec<Box<str>>,
    into: Vec<Vec<Step>>,
}

impl JsonReader {
    /// A reader that sets columns of rows of this layout.
    pub(super) fn new(steps: &[JsonStep], layout: &RowLayout) -> Self {
        Self { steps: Step::list(steps, layout, ""), scratch: Vec::new() }
    }

    /// Reads a payload, which must be one value.
    pub(super) fn read(
        &mut self,
        payload: &[u8],
        row: &mut BatchBuilder,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        let mut end = Scan::new(payload);
        // A single object is checked while it is gone through.
        if let [Step::Members(members)] = &mut self.steps[..] {
            members.read(&mut end, row, &mut self.scratch, run)?;
        } else {
            end.token()?;
            for step in &mut self.steps {
                step.read(Scan::new(payload), row, "", &mut self.scratch, run)?;
            }
        }
        if end.is_done() { Ok(()) } else { Err(Bad::Trailing) }
    }
}

impl Step {
    fn list(steps: &[JsonStep], layout: &RowLayout, path: &str) -> Vec<Step> {
        let step = |step: &JsonStep| match step {
            JsonStep::Column(column) => {
                let column = *column as usize;
                Step::Column(column, Reader::new(&layout.types()[column].data))
            }
            JsonStep::Members(members) => {
                let paths: Vec<String> = (members.iter())
                    .map(|m| match path {
                        "" => m.name.clone(),
                        path => format!("{path}.{}", m.name),
                    })
                    .collect();
                let into = members.iter().zip(&paths);
                Step::Members(Members {
                    finder: Finder::new(members.iter().map(|m| m.name.as_str())),
                    into: into.map(|(m, path)| Step::list(&m.into, layout, path)).collect(),
                    paths: paths.into_iter().map(Into::into).collect(),
                })
            }
        };
        steps.iter().map(step).collect()
    }

    /// Reads the next value, or the one at a place.
    fn read(
        &mut self,
        mut scan: Scan<'_>,
        row: &mut BatchBuilder,
        path: &str,
        scratch: &mut Vec<u8>,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        match self {
            Step::Column(column, reader) => {
                let mut sink = ColumnSink { row, column: *column };
                let read = reader.read(&mut scan, &mut sink, scratch, run);
                read.or_else(|bad| run.failed(bad, path, true))
            }
            Step::Members(_) if scan.null()? => Ok(()),
            Step::Members(members) => {
                let read = members.read(&mut scan, row, scratch, run);
                read.or_else(|bad| run.failed(bad, path, true))
            }
        }
    }
}

impl Members {
    fn read(
        &mut self,
        scan: &mut Scan<'_>,
        row: &mut BatchBuilder,
        scratch: &mut Vec<u8>,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        self.find(scan, scratch)?;
        self.take(scan, row, scratch, run)
    }

    /// Goes through an object, and through the objects in it that are wanted for nothing but their
    /// members.
    fn find(&mut self, scan: &mut Scan<'_>, scratch: &mut Vec<u8>) -> Result<(), Bad> {
        let Self { finder, into, .. } = self;
        let inner = |member: usize, scan: &mut Scan<'_>, scratch: &mut Vec<u8>| match &mut into
            [member][..]
        {
            [Step::Members(inner)] if scan.peek()? == b'{' => {
                let start = scan.position();
                inner.find(scan, scratch)?;
                Ok(Some(scan.place_since(start)))
            }
            _ => Ok(None),
        };
        finder.find(scan, scratch, inner).map(|_| ())
    }

    /// Reads the members of the object that was gone through last.
    fn take(
        &mut self,
        scan: &Scan<'_>,
        row: &mut BatchBuilder,
        scratch: &mut Vec<u8>,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        let Self { finder, paths, into } = self;
        for ((steps, &place), path) in into.iter_mut().zip(finder.places()).zip(paths) {
            if !place.is_somewhere() {
                continue;
            }
            let token = scan.token_at(place);
            if let [Step::Members(inner)] = &mut steps[..] {
                let read = match token.first() {
                    b'n' => Ok(()),
                    b'{' => inner.take(scan, row, scratch, run),
                    _ => Err(Bad::NotObject),
                };
                read.or_else(|bad| run.failed(bad, path, true))?;
                continue;
            }
            for step in steps {
                match step {
                    Step::Column(column, reader) if !reader.is_container() => {
                        let mut sink = ColumnSink { row, column: *column };
                        let read = reader.read_token(token, &mut sink, scratch);
                        read.or_else(|bad| run.failed(bad, path, true))?;
                    }
                    step => step.read(scan.at(place), row, path, scratch, run)?,
                }
            }
        }
        Ok(())
    }
}

/// How a value becomes one of a type.
#[derive(Debug)]
pub(super) enum Reader {
    Boolean,
    Int(u32),
    Real,
    Double,
    Decimal(Decimal),
    Text,
    Bytes,
    Date,
    Time,
    Timestamp,
    Interval,
    Uuid,
    Json,
    Array {
        item: Box<Reader>,
        element: Element,
        items: ContainerBuilder,
        words: Vec<u64>,
    },
    Map {
        value: Box<Reader>,
        element: Element,
        is_container: bool,
        entries: MapBuilder,
    },
    Row(Box<RowReader>),
    /// A type that JSON has no form for; a verified plan has none.
    Never,
}

#[derive(Debug)]
pub(super) struct RowReader {
    finder: Finder,
    fields: Vec<Reader>,
    row: BatchBuilder,
    required: Required,
}

impl Reader {
    pub(super) fn new(ty: &DataType) -> Self {
        let element = |ty: &Type| Element { slot: ty.slot(), nullable: ty.nullable };
        match ty {
            DataType::Boolean => Reader::Boolean,
            DataType::TinyInt => Reader::Int(8),
            DataType::SmallInt => Reader::Int(16),
            DataType::Int => Reader::Int(32),
            DataType::BigInt => Reader::Int(64),
            DataType::Real => Reader::Real,
            DataType::Double => Reader::Double,
            DataType::Decimal { .. } => Reader::Decimal(Decimal::new(ty)),
            DataType::String => Reader::Text,
            DataType::Bytes => Reader::Bytes,
            DataType::Date => Reader::Date,
            DataType::Time { .. } => Reader::Time,
            DataType::Timestamp { .. } | DataType::TimestampLtz { .. } => Reader::Timestamp,
            DataType::Interval => Reader::Interval,
            DataType::Uuid => Reader::Uuid,
            DataType::Json => Reader::Json,
            DataType::Null => Reader::Never,
            DataType::Array(item) => Reader::Array {
                item: Box::new(Reader::new(&item.data)),
                element: element(item),
                items: ContainerBuilder::default(),
                words: Vec::new(),
            },
            DataType::Map(_, value) => Reader::Map {
                value: Box::new(Reader::new(&value.data)),
                element: element(value),
                is_container: value.data.is_container(),
                entries: MapBuilder::default(),
            },
            DataType::Row(fields) => {
                let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
                let layout = Arc::new(RowLayout::new(types));
                let names = fields.iter().map(|f| f.name.as_str());
                Reader::Row(Box::new(RowReader {
                    finder: Finder::new(fields.iter().map(|f| f.name.as_str())),
                    fields: fields.iter().map(|f| Reader::new(&f.ty.data)).collect(),
                    required: Required::new(&layout, names, |_| true),
                    row: BatchBuilder::new(layout),
                }))
            }
        }
    }

    /// Whether its values are built of others.
    fn is_container(&self) -> bool {
        matches!(self, Reader::Array { .. } | Reader::Map { .. } | Reader::Row(_))
    }

    /// Reads the next value. Nothing is set if it fails.
    fn read<S: Sink>(
        &mut self,
        scan: &mut Scan<'_>,
        sink: &mut S,
        scratch: &mut Vec<u8>,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        if self.is_container() && scan.null()? {
            return sink.null();
        }
        match self {
            Reader::Array { item, element, items, words } => {
                if scan.peek()? != b'[' {
                    return Err(Bad::NotArray);
                }
                items.clear();
                let mut more = scan.open(b'[', b']')?;
                while more {
                    let mut sink = ElementSink { elements: items, element: *element };
                    item.read(scan, &mut sink, scratch, run)?;
                    more = scan.more(b']')?;
                }
                words.clear();
                items.finish_array(words);
                run.grow(words.len())?;
                sink.container(words);
                Ok(())
            }
            Reader::Map { value, element, is_container, entries } => {
                if scan.peek()? != b'{' {
                    return Err(Bad::NotObject);
                }
                entries.clear();
                let mut more = scan.open(b'{', b'}')?;
                while more {
                    entries.keys.push_bytes(plain(scan.name()?, scratch)?);
                    let mut sink = ElementSink { elements: &mut entries.values, element: *element };
                    value.read(scan, &mut sink, scratch, run)?;
                    more = scan.more(b'}')?;
                }
                let words = entries.finish(element.slot, *is_container);
                run.grow(words.len())?;
                sink.container(words);
                Ok(())
            }
            Reader::Row(reader) => reader.read(scan, sink, scratch, run),
            scalar => scalar.read_token(scan.token()?, sink, scratch),
        }
    }

    /// Reads a value as one that is not built of others.
    #[inline]
    fn read_token<S: Sink>(
        &self,
        token: Token<'_>,
        sink: &mut S,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Bad> {
        match (self, token.first()) {
            (_, b'n') => return sink.null(),
            (Reader::Json, _) => sink.bytes(token.text),
            // What is between the quotes was found to be UTF-8.
            (Reader::Text, b'"') => sink.bytes(plain(token.string(), scratch)?),
            (Reader::Text, _) => sink.bytes(token.text),
            (_, b'"') => {
                let text = plain(token.string(), scratch)?;
                let text = std::str::from_utf8(text).map_err(|_| Bad::Utf8)?;
                return self.read_text(text, sink);
            }
            (Reader::Boolean, first @ (b't' | b'f')) => sink.word(u64::from(first == b't')),
            (Reader::Int(bits), b'-' | b'0'..=b'9') if let Some(value) = whole(token.text) => {
                sink.word(cut(value, *bits)? as u64);
            }
            (_, b'-' | b'0'..=b'9') => {
                let text = std::str::from_utf8(token.text).map_err(|_| Bad::Utf8)?;
                return self.read_number(text, sink);
            }
            _ => return Err(Bad::Convert),
        }
        Ok(())
    }

    /// Reads a number's text.
    pub(super) fn read_number<S: Sink>(&self, token: &str, sink: &mut S) -> Result<(), Bad> {
        match self {
            Reader::Int(bits) => sink.word(integer(token, *bits)? as u64),
            Reader::Timestamp => {
                let millis = integer(token, 64)?;
                sink.word(millis.checked_mul(1_000).ok_or(Bad::Range)? as u64);
            }
            // As ksqlDB writes them: days since 1970, milliseconds of the day.
            Reader::Date => sink.word(integer(token, 32)? as u64),
            Reader::Time => {
                let millis = integer(token, 64)?;
                if !(0..86_400_000).contains(&millis) {
                    return Err(Bad::Range);
                }
                sink.word(millis as u64 * 1_000);
            }
            Reader::Real => {
                let value: f32 = token.parse().map_err(|_| Bad::Convert)?;
                finite(f64::from(value), sink)?;
            }
            Reader::Double => finite(token.parse().map_err(|_| Bad::Convert)?, sink)?,
            Reader::Decimal(to) => {
                let value = parse_decimal(token, to.digits).map_err(bad_of)?;
                to.put(value, sink);
            }
            Reader::Boolean
            | Reader::Text
            | Reader::Bytes
            | Reader::Interval
            | Reader::Uuid
            | Reader::Json
            | Reader::Array { .. }
            | Reader::Map { .. }
            | Reader::Row(_)
            | Reader::Never => return Err(Bad::Convert),
        }
        Ok(())
    }

    /// Reads a string's characters.
    pub(super) fn read_text<S: Sink>(&self, text: &str, sink: &mut S) -> Result<(), Bad> {
        match self {
            Reader::Text => sink.bytes(text.as_bytes()),
            Reader::Boolean => match text.trim() {
                word if word.eq_ignore_ascii_case("true") => sink.word(1),
                word if word.eq_ignore_ascii_case("false") => sink.word(0),
                _ => return Err(Bad::Convert),
            },
            Reader::Bytes => {
                let bytes = BASE64.decode(text).map_err(|_| Bad::Base64)?;
                sink.bytes(&bytes);
            }
            Reader::Date => {
                let days = parse_date(text).ok_or(Bad::Convert)?;
                sink.word(i64::from(days) as u64);
            }
            Reader::Time => sink.word(parse_time(text).ok_or(Bad::Convert)? as u64),
            Reader::Timestamp => sink.word(parse_timestamp(text).ok_or(Bad::Convert)? as u64),
            Reader::Interval => {
                let (months, micros) = parse_interval(text).ok_or(Bad::Convert)?;
                sink.wide([months as u64, micros as u64]);
            }
            Reader::Uuid => put_uuid(parse_uuid(text).ok_or(Bad::Uuid)?, sink),
            Reader::Real | Reader::Double => {
                let value = match text.trim() {
                    "NaN" => f64::NAN,
                    "Infinity" | "+Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    number => return self.read_number(number, sink),
                };
                sink.word(value.to_bits());
            }
            Reader::Int(_) | Reader::Decimal(_) => return self.read_number(text.trim(), sink),
            Reader::Json
            | Reader::Array { .. }
            | Reader::Map { .. }
            | Reader::Row(_)
            | Reader::Never => return Err(Bad::Convert),
        }
        Ok(())
    }
}

impl RowReader {
    fn read<S: Sink>(
        &mut self,
        scan: &mut Scan<'_>,
        sink: &mut S,
        scratch: &mut Vec<u8>,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        let places = self.finder.find(scan, scratch, |_, _, _| Ok(None))?;
        self.row.abandon();
        self.row.begin();
        for (column, (field, &place)) in self.fields.iter_mut().zip(places).enumerate() {
            if place.is_somewhere() {
                let mut sink = ColumnSink { row: &mut self.row, column };
                field.read(&mut scan.at(place), &mut sink, scratch, run)?;
            }
        }
        if self.required.missing(&mut self.row).is_some() {
            return Err(Bad::Null);
        }
        let words = self.row.seal();
        run.grow(words.len())?;
        sink.container(words);
        Ok(())
    }
}

/// A whole number of at most this many bits; `1.0` and `1e3` are whole, too.
fn integer(token: &str, bits: u32) -> Result<i64, Bad> {
    let value = match token.parse::<i64>() {
        Ok(value) => value,
        Err(_) => {
            // Nineteen digits before the point and as many after it.
            const HALF: u32 = 19;
            let value = parse_decimal(token, Digits { precision: 2 * HALF, scale: HALF });
            let value = value.map_err(bad_of)?;
            let one = 10i128.pow(HALF);
            if value % one != 0 {
                return Err(Bad::Convert);
            }
            i64::try_from(value / one).map_err(|_| Bad::Range)?
        }
    };
    cut(value, bits)
}

/// A number that has at most this many bits.
fn cut(value: i64, bits: u32) -> Result<i64, Bad> {
    let shift = 64 - bits;
    if (value << shift) >> shift == value { Ok(value) } else { Err(Bad::Range) }
}

/// A JSON number that is nothing but a few digits, as nearly all are.
fn whole(token: &[u8]) -> Option<i64> {
    const DIGITS_MAX: usize = 18;
    let (negative, digits) = match token {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

fn finite<S: Sink>(value: f64, sink: &mut S) -> Result<(), Bad> {
    if !value.is_finite() {
        return Err(Bad::Range);
    }
    sink.word(value.to_bits());
    Ok(())
}

fn bad_of(code: ErrorCode) -> Bad {
    if code == ErrorCode::Overflow { Bad::Range } else { Bad::Convert }
}

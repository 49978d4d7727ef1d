//! Running a CSV plan. A field is the text of its column, as it is in JSON strings; numbers are
//! milliseconds where the column is a timestamp. An empty field is NULL unless the column is text;
//! where the dialect has a literal for NULL, that is NULL in every column.

use std::fmt;

use csv_core::{ReadRecordResult, ReaderBuilder};
use flow_ir::csv::CsvDialect;
use flow_ir::decode_plan::CsvPlan;
use flow_ir::row::{BatchBuilder, ContainerBuilder, RowLayout};
use flow_ir::types::DataType;

use super::json::Reader;
use super::scalar::put_json;
use super::sink::{ColumnSink, Element, ElementSink, Sink};
use super::{Bad, Run};

/// Reads one record.
pub(super) struct CsvReader {
    core: csv_core::Reader,
    fields: Vec<Field>,
    null: Option<Box<[u8]>>,
    elements: Box<str>,
    /// The fields of the last record end to end, and where they end.
    text: Vec<u8>,
    ends: Vec<usize>,
    items: ContainerBuilder,
    words: Vec<u64>,
}

struct Field {
    name: Box<str>,
    column: Option<(usize, Form)>,
}

/// What a field is read as.
enum Form {
    /// Text as it is, which may be empty.
    Text,
    Json,
    Scalar(Reader),
    Array(Reader, Element),
}

impl fmt::Debug for CsvReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CsvReader of {} fields", self.fields.len())
    }
}

/// What splits records of a dialect.
fn splitter(dialect: &CsvDialect) -> csv_core::Reader {
    let mut builder = ReaderBuilder::new();
    builder.delimiter(dialect.delimiter).escape(dialect.escape);
    match dialect.quote {
        Some(quote) => builder.quote(quote).double_quote(true),
        None => builder.quoting(false),
    };
    builder.build()
}

impl CsvReader {
    /// A reader that sets columns of rows of this layout.
    pub(super) fn new(plan: &CsvPlan, layout: &RowLayout) -> Self {
        let field = |(name, column): &(String, Option<u32>)| Field {
            name: name.as_str().into(),
            column: column.map(|column| {
                let column = column as usize;
                (column, Form::of(&layout.types()[column].data))
            }),
        };
        Self {
            core: splitter(&plan.dialect),
            fields: plan.fields.iter().map(field).collect(),
            null: plan.dialect.null.as_ref().map(|text| text.as_bytes().into()),
            elements: plan.dialect.elements.as_str().into(),
            text: Vec::new(),
            ends: vec![0; plan.fields.len() + 2],
            items: ContainerBuilder::default(),
            words: Vec::new(),
        }
    }

    /// Reads a payload, which must be one record with a field a column.
    pub(super) fn read(
        &mut self,
        payload: &[u8],
        row: &mut BatchBuilder,
        run: &mut Run<'_>,
    ) -> Result<(), Bad> {
        let count = self.split(payload)?;
        if count != self.fields.len() {
            return Err(Bad::Fields);
        }
        let mut start = 0;
        for (field, &end) in self.fields.iter().zip(&self.ends) {
            let text = &self.text[start..end];
            start = end;
            let Some((column, form)) = &field.column else { continue };
            let is_null = match &self.null {
                Some(null) if **null == *text => true,
                Some(_) | None => text.is_empty() && !matches!(form, Form::Text),
            };
            if is_null {
                continue;
            }
            let mut sink = ColumnSink { row, column: *column };
            let read = match form {
                Form::Array(reader, element) => read_array(
                    text,
                    (reader, *element, &self.elements),
                    (&mut self.items, &mut self.words),
                    &mut sink,
                    run,
                ),
                form => form.read(text, &mut sink),
            };
            read.or_else(|bad| run.failed(bad, &field.name, true))?;
        }
        Ok(())
    }

    /// Splits a record into `text` and `ends`; the number of fields.
    fn split(&mut self, payload: &[u8]) -> Result<usize, Bad> {
        self.core.reset();
        self.text.resize(payload.len().max(self.text.len()), 0);
        let (mut input, mut out, mut fields) = (payload, 0, 0);
        loop {
            let (result, read, wrote, ended) =
                self.core.read_record(input, &mut self.text[out..], &mut self.ends[fields..]);
            input = &input[read..];
            out += wrote;
            fields += ended;
            match result {
                ReadRecordResult::Record if input.is_empty() => return Ok(fields),
                // A line end that is not within quotes.
                ReadRecordResult::Record => return Err(Bad::Trailing),
                // The end of the input ends the record, also within quotes.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(Bad::Fields);
                }
                ReadRecordResult::End => return Err(Bad::Truncated),
            }
        }
    }
}

impl Form {
    fn of(ty: &DataType) -> Self {
        match ty {
            DataType::String => Form::Text,
            DataType::Json => Form::Json,
            DataType::Array(item) => Form::Array(
                Reader::new(&item.data),
                Element { slot: item.slot(), nullable: item.nullable },
            ),
            scalar => Form::Scalar(Reader::new(scalar)),
        }
    }

    fn read<S: Sink>(&self, text: &[u8], sink: &mut S) -> Result<(), Bad> {
        match self {
            Form::Text => {
                std::str::from_utf8(text).map_err(|_| Bad::Utf8)?;
                sink.bytes(text);
                Ok(())
            }
            Form::Json => put_json(text, sink),
            Form::Scalar(reader) | Form::Array(reader, _) => read_scalar(reader, text, sink),
        }
    }
}

fn read_scalar<S: Sink>(reader: &Reader, text: &[u8], sink: &mut S) -> Result<(), Bad> {
    let text = std::str::from_utf8(text).map_err(|_| Bad::Utf8)?;
    let is_whole = |text: &str| text.parse::<i64>().is_ok();
    match reader {
        Reader::Timestamp if is_whole(text.trim()) => reader.read_number(text.trim(), sink),
        reader => reader.read_text(text, sink),
    }
}

/// Reads the elements of an ARRAY; empty ones that are no text are NULL.
fn read_array<S: Sink>(
    text: &[u8],
    (reader, element, delimiter): (&Reader, Element, &str),
    (items, words): (&mut ContainerBuilder, &mut Vec<u64>),
    sink: &mut S,
    run: &mut Run<'_>,
) -> Result<(), Bad> {
    let text = std::str::from_utf8(text).map_err(|_| Bad::Utf8)?;
    items.clear();
    for item in text.split(delimiter) {
        let mut sink = ElementSink { elements: items, element };
        match reader {
            Reader::Text | Reader::Json => read_scalar(reader, item.as_bytes(), &mut sink)?,
            _ if item.is_empty() => sink.null()?,
            reader => read_scalar(reader, item.as_bytes(), &mut sink)?,
        }
    }
    words.clear();
    items.finish_array(words);
    run.grow(words.len())?;
    sink.container(words);
    Ok(())
}

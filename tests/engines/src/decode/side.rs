//! A record's key or value: its format, the columns read from it, payloads good and bad, and what
//! is known about the columns' values in each.

use flow_ir::decode_plan::{DecodeColumn, Origin, json_reads_as, raw_reads_as};
use flow_ir::encode_plan::JsonTimestamps;
use flow_ir::kernel::{ErrorBuffer, KernelFactory, PayloadArena};
use flow_ir::row::RowBatch;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_schema::{CsvFormat, EncodeFormat, PayloadFormat, Schema, decode_plan, encode_plan};
use flow_stdlib::interp::Interpreter;
use serde::de::IgnoredAny;

use crate::avro::Sample;
use crate::batch::{batch_of, values_of};
use crate::damage::damage;
use crate::source::Source;
use crate::types::{any_type, scalar_type};
use crate::values::{each_scalar, through_json, told_from_null, value};

/// Columns of a side at most.
const COLUMNS_MAX: usize = 8;

/// A key or value.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) format: Format,
    /// What is read from it.
    pub(super) columns: Vec<Wanted>,
    /// Its payloads.
    pub(super) payloads: Vec<Payload>,
    /// Whether all of a payload is read, so that one without values must be refused.
    pub(super) is_whole: bool,
}

/// How payloads are written.
#[derive(Debug)]
pub(super) enum Format {
    Avro(Box<Sample>),
    Json,
    Csv(CsvFormat),
    Raw,
}

/// A column to read.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) path: Vec<String>,
    pub(super) ty: Type,
    pub(super) known: Known,
}

/// Where a column's expected value is found.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// In a field, along these fields of the ROWs in it.
    Field(usize, Vec<usize>),
    /// By apache-avro along the column's path.
    Path,
    /// Nowhere: the column is read as another type than the schema's.
    No,
}

/// A payload.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) bytes: Vec<u8>,
    /// The columns' values as far as they are known; `None` if apache-avro or serde_json refuse the
    /// payload, or nothing is known about it.
    pub(super) values: Option<Vec<Option<Value>>>,
    /// Whether nothing is wrong with it.
    pub(super) is_good: bool,
}

impl Side {
    /// A random side.
    ///
    /// # Errors
    /// If the generator made what is not valid.
    pub(super) fn random(s: &mut Source<'_>) -> Result<Self, String> {
        match s.below(9) {
            0..=5 => Self::avro(s),
            6 => Ok(Self::json(s)),
            7 => Ok(Self::raw(s)),
            _ => Ok(Self::csv(s)),
        }
    }

    /// How the payloads are written.
    pub(super) fn format(&self) -> PayloadFormat<'_> {
        match &self.format {
            Format::Avro(sample) => {
                PayloadFormat::Avro { writer: &sample.writer, reader: sample.reader.as_ref() }
            }
            Format::Json => PayloadFormat::Json,
            Format::Csv(csv) => PayloadFormat::Csv(csv),
            Format::Raw => PayloadFormat::Raw,
        }
    }

    /// The schemas, for a report.
    pub(super) fn describe(&self) -> String {
        let json = |schema: &Schema| {
            serde_json::to_string(schema).unwrap_or_else(|_| schema.canonical_form())
        };
        match &self.format {
            Format::Avro(sample) => {
                let reader = sample.reader.as_ref().map_or("none".into(), json);
                format!("writer {}\nreader {reader}\n", json(&sample.writer))
            }
            Format::Json => "json\n".into(),
            Format::Csv(csv) => format!("{csv:?}\n"),
            Format::Raw => "raw\n".into(),
        }
    }

    fn avro(s: &mut Source<'_>) -> Result<Self, String> {
        let sample = Sample::random(s, true)?;
        let (good, fields) = (sample.good.clone(), sample.fields.clone());
        let paths = sample.recursive_paths();
        let writer_fields = match &sample.writer {
            Schema::Record(record) => record.fields.len(),
            _ => 0,
        };
        let is_natural = sample.reader.is_none() && writer_fields == fields.len();
        let format = Format::Avro(Box::new(sample));
        let mut side = Self { format, columns: Vec::new(), payloads: Vec::new(), is_whole: false };
        let all = side.choose(s, &fields);
        side.is_whole = is_natural && all;
        for (path, data) in paths {
            if s.once_in(2) && side.columns.len() < COLUMNS_MAX {
                let wanted = Wanted { path, ty: Type::nullable(data), known: Known::Path };
                side.columns.push(wanted);
            }
        }
        for bytes in &good {
            side.payload(bytes.clone(), true);
        }
        for _ in 0..s.below(12) {
            let whole = s.pick(&good).clone();
            side.payload(damage(s, &whole), false);
        }
        Ok(side)
    }

    /// Adds a payload that apache-avro knows about.
    fn payload(&mut self, bytes: Vec<u8>, is_good: bool) {
        let Format::Avro(sample) = &self.format else { return };
        let fields = sample.read(&bytes);
        let values = fields.map(|fields| {
            let known = |wanted: &Wanted| match &wanted.known {
                Known::Field(at, inner) => fields[*at].as_ref().map(|v| along(v, inner)),
                Known::Path => sample.read_path(&bytes, &wanted.path),
                Known::No => None,
            };
            self.columns.iter().map(known).collect()
        });
        self.payloads.push(Payload { bytes, values, is_good });
    }

    fn json(s: &mut Source<'_>) -> Self {
        let mut fields: Vec<Field> = Vec::new();
        for i in 0..1 + s.below(6) {
            let ty = any_type(s, 2);
            let name = *s.pick(&["a", "b c", "\u{fc}", "d\"", "", "A", "a.b"]);
            if json_reads_as(&ty.data) {
                fields.push(Field::new(format!("{name}{i}"), ty));
            }
        }
        let rows: Vec<Vec<Value>> = (0..1 + s.below(5))
            .map(|_| {
                fields
                    .iter()
                    .map(|f| each_scalar(value(s, &f.ty), &|v| through_json(told_from_null(v))))
                    .collect()
            })
            .collect();
        let style = *s.pick(&[JsonTimestamps::Iso, JsonTimestamps::Millis]);
        let rows = batch_of(&fields, &rows);
        let written = written(EncodeFormat::Json(style), &fields, &rows);
        let rows = values_of(&rows);
        let mut side = Self {
            format: Format::Json,
            columns: Vec::new(),
            payloads: Vec::new(),
            is_whole: true,
        };
        side.choose(s, &fields);
        for (bytes, row) in written.iter().zip(&rows) {
            // As milliseconds timestamps lose digits.
            let is_good = style == JsonTimestamps::Iso;
            let known = |wanted: &Wanted| match &wanted.known {
                Known::Field(at, inner) if is_good => Some(along(&row[*at], inner)),
                Known::Field(..) | Known::Path | Known::No => None,
            };
            let values = Some(side.columns.iter().map(known).collect());
            side.payloads.push(Payload { bytes: bytes.clone(), values, is_good });
        }
        for _ in 0..s.below(12) {
            let whole = s.pick(&written).clone();
            let bytes = damage(s, &whole);
            // What serde_json refuses is no JSON, whatever is read of it.
            let is_json = serde_json::from_slice::<IgnoredAny>(&bytes).is_ok();
            let values = is_json.then(|| vec![None; side.columns.len()]);
            side.payloads.push(Payload { bytes, values, is_good: false });
        }
        side
    }

    fn raw(s: &mut Source<'_>) -> Self {
        let mut columns = Vec::new();
        let mut payloads = Vec::new();
        for _ in 0..1 + s.below(3) {
            let ty = any_type(s, 0);
            let ty = if raw_reads_as(&ty.data) { ty } else { Type::nullable(DataType::Bytes) };
            let value = value(s, &ty);
            let field = [Field::new("v", ty.clone())];
            for bytes in written(EncodeFormat::Raw, &field, &batch_of(&field, &[vec![value]])) {
                let damaged = damage(s, &bytes);
                for bytes in [bytes, damaged] {
                    payloads.push(Payload { bytes, values: None, is_good: false });
                }
            }
            columns.push(Wanted { path: Vec::new(), ty, known: Known::No });
        }
        Self { format: Format::Raw, columns, payloads, is_whole: false }
    }

    /// Chooses columns among fields; whether they are all fields, each once, as they are.
    pub(super) fn choose(&mut self, s: &mut Source<'_>, fields: &[Field]) -> bool {
        let field = |at: usize| Wanted {
            path: vec![fields[at].name.clone()],
            ty: fields[at].ty.clone(),
            known: Known::Field(at, Vec::new()),
        };
        let mode = s.below(4);
        if mode == 0 || fields.is_empty() {
            self.columns = (0..fields.len()).map(field).collect();
            return true;
        }
        let mut candidates = Vec::new();
        for _ in 0..s.below(COLUMNS_MAX) {
            let at = s.below(fields.len());
            match mode {
                1 => candidates.push(field(at)),
                2 => leaves(&fields[at], at, &mut candidates),
                _ => {
                    let other = Type { data: scalar_type(s), nullable: !s.once_in(4) };
                    let known = Known::No;
                    candidates.push(Wanted { ty: other, known, ..field(at) });
                    candidates.push(field(at));
                }
            }
        }
        for wanted in candidates {
            // Another type may be one that the field is not read as.
            let is_natural = !matches!(wanted.known, Known::No);
            if is_natural || decode_plan(None, self.format(), &[wanted.in_value()]).is_ok() {
                self.columns.push(wanted);
            }
        }
        false
    }
}

impl Wanted {
    /// Whether the column is read as the schema says.
    pub(super) fn is_natural(&self) -> bool {
        !matches!(self.known, Known::No)
    }

    /// As a column of the value.
    pub(super) fn in_value(&self) -> DecodeColumn {
        let origin = Origin::Value(self.path.clone());
        DecodeColumn { name: self.path.join("."), ty: self.ty.clone(), origin }
    }

    /// As a column of the key.
    pub(super) fn in_key(&self) -> DecodeColumn {
        let origin = Origin::Key(self.path.clone());
        DecodeColumn { name: format!("key.{}", self.path.join(".")), ty: self.ty.clone(), origin }
    }
}

/// A column for each scalar that a field holds, however deep; below a NULL row all are NULL.
fn leaves(field: &Field, at: usize, out: &mut Vec<Wanted>) {
    fn walk(ty: &Type, wanted: &mut (Vec<String>, Vec<usize>), at: usize, out: &mut Vec<Wanted>) {
        match &ty.data {
            DataType::Row(fields) if wanted.1.len() < 8 => {
                for (i, field) in fields.iter().enumerate() {
                    wanted.0.push(field.name.clone());
                    wanted.1.push(i);
                    walk(&field.ty, wanted, at, out);
                    wanted.0.pop();
                    wanted.1.pop();
                }
            }
            _ => out.push(Wanted {
                path: wanted.0.clone(),
                ty: ty.with_nullable(true),
                known: Known::Field(at, wanted.1.clone()),
            }),
        }
    }
    walk(&field.ty, &mut (vec![field.name.clone()], Vec::new()), at, out);
}

/// The value along fields of ROWs; NULL below a NULL.
pub(super) fn along(value: &Value, fields: &[usize]) -> Value {
    match (fields, value) {
        ([], value) => value.clone(),
        ([first, rest @ ..], Value::Row(values)) => along(&values[*first], rest),
        (_, _) => Value::Null,
    }
}

/// The payloads of rows, as the interpreter writes them.
pub(super) fn written(format: EncodeFormat<'_>, fields: &[Field], rows: &RowBatch) -> Vec<Vec<u8>> {
    let all: Vec<usize> = (0..fields.len()).collect();
    let Ok(plan) = encode_plan(format, fields, &all) else { return Vec::new() };
    let (mut out, mut bad) = (PayloadArena::default(), ErrorBuffer::default());
    if let Ok(mut encoder) = Interpreter.encoder(&plan) {
        encoder.encode(rows, &mut out, &mut bad);
    }
    (0..out.len()).map(|i| out.get(i).to_vec()).collect()
}

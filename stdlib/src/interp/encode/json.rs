//! Rows as JSON objects, in the forms that the decoder reads back as the same values: DECIMAL as a
//! number with all its digits, BYTES as base64, dates and times as ISO 8601 (timestamps as
//! milliseconds if the plan says so), NaN and the infinities as the strings `"NaN"`, `"Infinity"`
//! and `"-Infinity"`, since JSON has no number for them. No payload holds a line break, so that a
//! file of JSON lines can take them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flow_ir::encode_plan::{JsonTimestamps, JsonWriter};
use flow_ir::row::{ArrayRef, MapRef, RowLayout, RowRef};
use flow_ir::types::{DataType, Field, Type};

use super::Unfit;
use crate::host::HostArg;
use crate::text::{
    TimeStyle, field_of, write_date, write_decimal, write_f32, write_f64, write_i64,
    write_interval, write_time, write_timestamp, write_uuid, write_value,
};

/// Fields of a row, written as one object.
#[derive(Debug)]
pub(super) struct JsonObject {
    layout: RowLayout,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    column: usize,
    /// The name as a JSON string, and the colon.
    name: Vec<u8>,
    value: Form,
}

/// How a value of a type is written.
#[derive(Debug)]
pub(super) enum Form {
    Scalar(DataType, JsonTimestamps),
    Array(Type, Box<Form>),
    /// The types of keys and values.
    Map(Type, Type, Box<Form>),
    Row(JsonObject),
}

impl JsonObject {
    pub(super) fn new(writer: &JsonWriter, columns: &[Field]) -> Self {
        let written = writer.columns.iter().map(|&c| c as usize);
        Self::of(columns, written, writer.timestamps)
    }

    fn of(
        fields: &[Field],
        written: impl Iterator<Item = usize>,
        timestamps: JsonTimestamps,
    ) -> Self {
        let member = |column: usize| {
            let mut name = Vec::new();
            write_string(fields[column].name.as_bytes(), &mut name);
            name.push(b':');
            Member { column, name, value: Form::new(&fields[column].ty.data, timestamps) }
        };
        let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
        Self { layout: RowLayout::new(types), members: written.map(member).collect() }
    }

    pub(super) fn write(&self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        out.push(b'{');
        for (i, member) in self.members.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&member.name);
            member.value.write(field_of(row, &self.layout, member.column), out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

impl Form {
    pub(super) fn new(ty: &DataType, timestamps: JsonTimestamps) -> Self {
        match ty {
            DataType::Array(item) => {
                Form::Array((**item).clone(), Box::new(Form::new(&item.data, timestamps)))
            }
            DataType::Map(key, value) => {
                let form = Box::new(Form::new(&value.data, timestamps));
                Form::Map((**key).clone(), (**value).clone(), form)
            }
            DataType::Row(fields) => Form::Row(JsonObject::of(fields, 0..fields.len(), timestamps)),
            scalar => Form::Scalar(scalar.clone(), timestamps),
        }
    }

    pub(super) fn write(&self, value: HostArg<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        if value.is_null() {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match self {
            Form::Scalar(ty, timestamps) => write_scalar(value, ty, *timestamps, out),
            Form::Row(object) => {
                let words = value.container();
                if words.len() < object.layout.fixed_words() {
                    return Err(Unfit::null());
                }
                object.write(RowRef::new(words), out)?;
            }
            Form::Array(item, form) => {
                let array = ArrayRef::new(value.container(), item.slot());
                out.push(b'[');
                for i in 0..array.len() {
                    if i > 0 {
                        out.push(b',');
                    }
                    form.write(HostArg::element(array, i, item), out)?;
                }
                out.push(b']');
            }
            Form::Map(key, ty, form) => {
                let map = MapRef::new(value.container(), key.slot(), ty.slot());
                let (keys, values) = (map.keys(), map.values());
                out.push(b'{');
                for i in 0..map.len() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_name(HostArg::element(keys, i, key), &key.data, out);
                    form.write(HostArg::element(values, i, ty), out)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }
}

/// A member's name and the colon; of a key that is no text, its text.
pub(crate) fn write_name(value: HostArg<'_>, ty: &DataType, out: &mut Vec<u8>) {
    match ty {
        DataType::String => write_string(value.bytes(), out),
        other => {
            let mut text = Vec::new();
            write_value(value, other, &mut text);
            write_string(&text, out);
        }
    }
    out.push(b':');
}

/// A value that is no container; timestamps in ISO form.
pub fn write_json_scalar(value: HostArg<'_>, ty: &DataType, out: &mut Vec<u8>) {
    write_scalar(value, ty, JsonTimestamps::Iso, out);
}

fn write_scalar(value: HostArg<'_>, ty: &DataType, timestamps: JsonTimestamps, out: &mut Vec<u8>) {
    let word = value.i64();
    match ty {
        DataType::Boolean => out.extend_from_slice(if word != 0 { b"true" } else { b"false" }),
        DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt => {
            write_i64(word, out);
        }
        DataType::Real | DataType::Double => write_float(value.f64(), ty, out),
        DataType::Decimal { scale, .. } => write_decimal(value.i128(), u32::from(*scale), out),
        DataType::String => write_string(value.bytes(), out),
        DataType::Json => {
            // Line breaks in valid JSON stand between tokens only.
            let blank = |&b: &u8| if matches!(b, b'\n' | b'\r') { b' ' } else { b };
            out.extend(value.bytes().iter().map(blank));
        }
        DataType::Timestamp { .. } | DataType::TimestampLtz { .. }
            if matches!(timestamps, JsonTimestamps::Millis | JsonTimestamps::Numbers) =>
        {
            write_i64(word.div_euclid(1_000), out);
        }
        DataType::Time { .. } if timestamps == JsonTimestamps::Numbers => {
            write_i64(word.div_euclid(1_000), out);
        }
        DataType::Date if timestamps == JsonTimestamps::Numbers => write_i64(word, out),
        DataType::Timestamp { .. } | DataType::TimestampLtz { .. }
            if timestamps == JsonTimestamps::Sql =>
        {
            let is_instant = matches!(ty, DataType::TimestampLtz { .. });
            let style = if is_instant { TimeStyle::SQL_UTC } else { TimeStyle::SQL };
            out.push(b'"');
            write_timestamp(word, style, out);
            out.push(b'"');
        }
        DataType::Bytes
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Timestamp { .. }
        | DataType::TimestampLtz { .. }
        | DataType::Interval
        | DataType::Uuid => {
            out.push(b'"');
            write_plain_text(value, ty, out);
            out.push(b'"');
        }
        // Containers have forms of their own, and a bare NULL is never written.
        DataType::Null | DataType::Array(_) | DataType::Map(_, _) | DataType::Row(_) => {
            out.extend_from_slice(b"null");
        }
    }
}

fn write_float(value: f64, ty: &DataType, out: &mut Vec<u8>) {
    let quote = !value.is_finite();
    if quote {
        out.push(b'"');
    }
    match ty {
        DataType::Real => write_f32(value as f32, out),
        _ => write_f64(value, out),
    }
    if quote {
        out.push(b'"');
    }
}

/// Values whose text needs no escapes.
pub(super) fn write_plain_text(value: HostArg<'_>, ty: &DataType, out: &mut Vec<u8>) {
    match ty {
        DataType::Bytes => {
            let bytes = value.bytes();
            let start = out.len();
            out.resize(start + base64::encoded_len(bytes.len(), true).unwrap_or(0), 0);
            let written = STANDARD.encode_slice(bytes, &mut out[start..]);
            out.truncate(start + written.unwrap_or(0));
        }
        DataType::Date => write_date(value.i64(), out),
        DataType::Time { .. } => write_time(value.i64(), out),
        DataType::TimestampLtz { .. } => write_timestamp(value.i64(), TimeStyle::ISO_UTC, out),
        DataType::Interval => {
            let (months, micros) = value.interval();
            write_interval(months, micros, out);
        }
        DataType::Uuid => write_uuid(value.i128() as u128, out),
        _ => write_timestamp(value.i64(), TimeStyle::ISO, out),
    }
}

/// A string between quotes; quotes, backslashes and control characters escaped.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    let special = |b: &u8| *b == b'"' || *b == b'\\' || *b < 0x20;
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

//! Rows as records of delimited text, in the forms that the decoder reads back as the same values:
//! as JSON has them, without quotes; timestamps with a blank between date and time. NULL is the
//! dialect's literal, else an empty field. No line end follows.

use flow_ir::csv::CsvDialect;
use flow_ir::encode_plan::CsvWriter;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{ArrayRef, RowLayout, RowRef};
use flow_ir::types::{DataType, Field, Type};

use super::Unfit;
use super::json::write_plain_text;
use crate::host::HostArg;
use crate::text::{
    TimeStyle, field_of, write_decimal, write_f32, write_f64, write_i64, write_timestamp,
};

/// Writes records.
#[derive(Debug)]
pub(super) struct CsvRecord {
    layout: RowLayout,
    columns: Vec<Column>,
    dialect: CsvDialect,
    text: Vec<u8>,
}

#[derive(Debug)]
struct Column {
    place: usize,
    name: String,
    ty: Type,
}

impl CsvRecord {
    pub(super) fn new(plan: &CsvWriter, columns: &[Field]) -> Self {
        let column = |&place: &u32| {
            let Field { name, ty } = &columns[place as usize];
            Column { place: place as usize, name: name.clone(), ty: ty.clone() }
        };
        let types: Vec<Type> = columns.iter().map(|f| f.ty.clone()).collect();
        Self {
            columns: plan.columns.iter().map(column).collect(),
            layout: RowLayout::new(types),
            dialect: plan.dialect.clone(),
            text: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, row: RowRef<'_>, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let start = out.len();
        for (i, Column { place, name, ty }) in self.columns.iter().enumerate() {
            if i > 0 {
                out.push(self.dialect.delimiter);
            }
            let value = field_of(row, &self.layout, *place);
            self.text.clear();
            if !value.is_null() {
                write_value(value, ty, &self.dialect.elements, &mut self.text);
            } else if let Some(null) = &self.dialect.null {
                self.text.extend_from_slice(null.as_bytes());
            }
            let put = put_field(&self.dialect, &self.text, out.len() == start, out);
            put.map_err(|unfit| unfit.at(name))?;
        }
        // An empty line is no record.
        if let (true, Some(quote)) = (out.len() == start, self.dialect.quote) {
            out.extend_from_slice(&[quote, quote]);
        }
        Ok(())
    }
}

/// Appends the names of columns as a record.
pub fn csv_header<'n>(
    dialect: &CsvDialect,
    names: impl Iterator<Item = &'n str>,
    out: &mut Vec<u8>,
) {
    for (i, name) in names.enumerate() {
        if i > 0 {
            out.push(dialect.delimiter);
        }
        // A name that has what ends it stands as it is: nobody reads it as a value.
        if put_field(dialect, name.as_bytes(), false, out).is_err() {
            out.extend(name.bytes().filter(|byte| !byte.is_ascii_control()));
        }
    }
}

/// Appends a field, between quotes where it needs them.
fn put_field(
    dialect: &CsvDialect,
    text: &[u8],
    is_first: bool,
    out: &mut Vec<u8>,
) -> Result<(), Unfit> {
    let ends = |byte: &u8| {
        *byte == dialect.delimiter
            || Some(*byte) == dialect.quote
            || Some(*byte) == dialect.escape
            || matches!(byte, b'\n' | b'\r')
    };
    let is_comment = is_first && dialect.comments && text.first() == Some(&b'#');
    if !text.iter().any(ends) && !is_comment {
        out.extend_from_slice(text);
        return Ok(());
    }
    let Some(quote) = dialect.quote else {
        let why = "it has a delimiter or a line end, and nothing is quoted";
        return Err(Unfit::new(ErrorCode::BadCast, why));
    };
    out.push(quote);
    for &byte in text {
        if byte == quote || Some(byte) == dialect.escape {
            out.push(dialect.escape.unwrap_or(quote));
        }
        out.push(byte);
    }
    out.push(quote);
    Ok(())
}

fn write_value(value: HostArg<'_>, ty: &Type, delimiter: &str, out: &mut Vec<u8>) {
    match &ty.data {
        DataType::Array(item) => {
            let array = ArrayRef::new(value.container(), item.slot());
            for i in 0..array.len() {
                if i > 0 {
                    out.extend_from_slice(delimiter.as_bytes());
                }
                let element = HostArg::element(array, i, item);
                if !element.is_null() {
                    write_value(element, item, delimiter, out);
                }
            }
        }
        DataType::Boolean => {
            out.extend_from_slice(if value.i64() != 0 { b"true" } else { b"false" });
        }
        DataType::TinyInt | DataType::SmallInt | DataType::Int | DataType::BigInt => {
            write_i64(value.i64(), out);
        }
        DataType::Real => write_f32(value.f64() as f32, out),
        DataType::Double => write_f64(value.f64(), out),
        DataType::Decimal { scale, .. } => write_decimal(value.i128(), u32::from(*scale), out),
        DataType::String | DataType::Json => out.extend_from_slice(value.bytes()),
        DataType::Timestamp { .. } => write_timestamp(value.i64(), TimeStyle::SQL, out),
        DataType::TimestampLtz { .. } => write_timestamp(value.i64(), TimeStyle::SQL_UTC, out),
        ty @ (DataType::Bytes
        | DataType::Date
        | DataType::Time { .. }
        | DataType::Interval
        | DataType::Uuid) => write_plain_text(value, ty, out),
        // A verified plan writes no other type.
        DataType::Null | DataType::Map(_, _) | DataType::Row(_) => {}
    }
}

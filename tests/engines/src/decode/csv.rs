//! A side of delimited text: what the interpreter writes of rows, and what comes back of it.

use flow_ir::types::Field;
use flow_ir::value::Value;
use flow_schema::{CsvFormat, EncodeFormat};

use super::side::{Format, Known, Payload, Side, along, written};
use crate::batch::{batch_of, values_of};
use crate::csv::{comes_back, dialect, fields};
use crate::damage::damage;
use crate::source::Source;
use crate::values::{told_from_null, value};

impl Side {
    /// Delimited text.
    pub(super) fn csv(s: &mut Source<'_>) -> Self {
        let (dialect, fields) = (dialect(s), fields(s));
        let rows: Vec<Vec<Value>> = (0..1 + s.below(5))
            .map(|_| fields.iter().map(|f| told_from_null(value(s, &f.ty))).collect())
            .collect();
        let rows = batch_of(&fields, &rows);
        let written = written(EncodeFormat::Csv(&dialect), &fields, &rows);
        let names = fields.iter().map(|f| f.name.clone()).collect();
        let format = Format::Csv(CsvFormat { dialect: dialect.clone(), names });
        let mut side = Self { format, columns: Vec::new(), payloads: Vec::new(), is_whole: false };
        side.choose(s, &fields);
        // A field goes to one column.
        let mut seen = Vec::new();
        side.columns.retain(|wanted| {
            let first = !seen.contains(&wanted.path);
            seen.push(wanted.path.clone());
            first
        });
        for (bytes, row) in written.iter().zip(&values_of(&rows)) {
            // A row that is refused is written as nothing.
            let is_read = |field: &Field, value: &Value| {
                let value = comes_back(value, &field.ty.data, &dialect);
                value.is_some_and(|value| field.ty.nullable || !value.is_null())
            };
            let is_good = !bytes.is_empty() && fields.iter().zip(row).all(|(f, v)| is_read(f, v));
            let known = |known: &Known| match known {
                Known::Field(at, inner) if is_good => {
                    let value = comes_back(&row[*at], &fields[*at].ty.data, &dialect)?;
                    Some(along(&value, inner))
                }
                Known::Field(..) | Known::Path | Known::No => None,
            };
            let values = Some(side.columns.iter().map(|wanted| known(&wanted.known)).collect());
            side.payloads.push(Payload { bytes: bytes.clone(), values, is_good });
        }
        for _ in 0..s.below(12) {
            let whole = s.pick(&written).clone();
            let bytes = damage(s, &whole);
            side.payloads.push(Payload { bytes, values: None, is_good: false });
        }
        side
    }
}

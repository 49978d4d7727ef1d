//! The Avro schema of a sink's columns. The same columns always give the same text.
//!
//! Names: Avro allows letters, digits and `_`, no digit first. Every other character becomes `_`,
//! a digit in front gets one before it, and a name that is already taken gets `_2`, `_3`, … .
//! Nested records are called after the path to them. A nullable column is a union of null and its
//! type, null first, with default null; so every later version that adds one stays compatible.

use std::fmt::Write;

use flow_ir::types::{DataType, Field, Type};

use crate::SchemaError;

/// The schema of records with these columns, as JSON text.
///
/// # Errors
/// If a column's type has no Avro form: a bare NULL, a MAP whose keys are not STRING.
pub fn derive(name: &str, namespace: &str, columns: &[Field]) -> Result<String, SchemaError> {
    let mut out = String::new();
    let namespace: Vec<String> =
        namespace.split('.').filter(|part| !part.is_empty()).map(avro_name).collect();
    let namespace = namespace.join(".");
    record(&avro_name(name), Some(&namespace), columns, &mut out)?;
    Ok(out)
}

/// The Avro names of columns, in order.
pub(crate) fn avro_names(columns: &[Field]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for column in columns {
        let name = avro_name(&column.name);
        let mut unique = name.clone();
        let mut count = 1;
        while names.contains(&unique) {
            count += 1;
            unique = format!("{name}_{count}");
        }
        names.push(unique);
    }
    names
}

/// A name with what Avro does not allow replaced.
pub(crate) fn avro_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let clean: String = name.chars().map(allowed).collect();
    if clean.starts_with(|c: char| c.is_ascii_digit()) || clean.is_empty() {
        return format!("_{clean}");
    }
    clean
}

fn record(
    name: &str,
    namespace: Option<&str>,
    fields: &[Field],
    out: &mut String,
) -> Result<(), SchemaError> {
    put(out, format_args!("{{\"type\":\"record\",\"name\":\"{name}\""));
    if let Some(namespace) = namespace.filter(|n| !n.is_empty()) {
        put(out, format_args!(",\"namespace\":\"{namespace}\""));
    }
    out.push_str(",\"fields\":[");
    for (i, (field, field_name)) in fields.iter().zip(avro_names(fields)).enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        put(out, format_args!("{{\"name\":\"{field_name}\",\"type\":"));
        let inner = format!("{name}_{field_name}");
        let typed = nullable(&field.ty, &inner, out);
        typed.map_err(|e| SchemaError(format!("column {}: {e}", field.name)))?;
        out.push_str(if field.ty.nullable { ",\"default\":null}" } else { "}" });
    }
    out.push_str("]}");
    Ok(())
}

fn nullable(ty: &Type, name: &str, out: &mut String) -> Result<(), SchemaError> {
    if ty.nullable {
        out.push_str("[\"null\",");
    }
    data(&ty.data, name, out)?;
    if ty.nullable {
        out.push(']');
    }
    Ok(())
}

/// Writes the schema of a type; a record in it is called `name`.
fn data(ty: &DataType, name: &str, out: &mut String) -> Result<(), SchemaError> {
    let logical = |base: &str, logical: &str| {
        format!("{{\"type\":\"{base}\",\"logicalType\":\"{logical}\"}}")
    };
    let text = match ty {
        DataType::Null => return Err(SchemaError("NULL has no type to write; CAST it".into())),
        DataType::Boolean => "\"boolean\"".into(),
        DataType::TinyInt | DataType::SmallInt | DataType::Int => "\"int\"".into(),
        DataType::BigInt => "\"long\"".into(),
        DataType::Real => "\"float\"".into(),
        DataType::Double => "\"double\"".into(),
        DataType::Decimal { precision, scale } => format!(
            "{{\"type\":\"bytes\",\"logicalType\":\"decimal\",\
             \"precision\":{precision},\"scale\":{scale}}}"
        ),
        DataType::String | DataType::Json => "\"string\"".into(),
        DataType::Bytes => "\"bytes\"".into(),
        DataType::Date => logical("int", "date"),
        DataType::Time { precision: 0..=3 } => logical("int", "time-millis"),
        DataType::Time { .. } => logical("long", "time-micros"),
        DataType::Timestamp { precision: 0..=3 } => logical("long", "local-timestamp-millis"),
        DataType::Timestamp { .. } => logical("long", "local-timestamp-micros"),
        DataType::TimestampLtz { precision: 0..=3 } => logical("long", "timestamp-millis"),
        DataType::TimestampLtz { .. } => logical("long", "timestamp-micros"),
        DataType::Uuid => logical("string", "uuid"),
        DataType::Interval => format!(
            "{{\"type\":\"fixed\",\"name\":\"{name}\",\"size\":12,\"logicalType\":\"duration\"}}"
        ),
        DataType::Array(item) => {
            out.push_str("{\"type\":\"array\",\"items\":");
            nullable(item, name, out)?;
            "}".into()
        }
        DataType::Map(key, value) => {
            if key.data != DataType::String {
                let key = &key.data;
                return Err(SchemaError(format!("the keys of an Avro map are STRING, not {key}")));
            }
            out.push_str("{\"type\":\"map\",\"values\":");
            nullable(value, name, out)?;
            "}".into()
        }
        DataType::Row(fields) => return record(name, None, fields, out),
    };
    out.push_str(&text);
    Ok(())
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String does not fail");
}

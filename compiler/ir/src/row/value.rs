//! Rows to owned values and back, by type: for tests, literals, logs and dead letters.

use super::container::{fields_layout, row_of};
use super::{ArrayRef, BatchBuilder, Column, ContainerBuilder, KeyEncoder, MapRef, RowRef};
use crate::types::{DataType, Slot, Type};
use crate::value::Value;

/// A value as it lies in a slot, borrowed from a row or container.
#[derive(Clone, Copy)]
enum Raw<'a> {
    Word(u64),
    Wide([u64; 2]),
    Bytes(&'a [u8]),
    Container(&'a [u64]),
}

/// The value of a column.
pub fn read_value(row: RowRef<'_>, column: Column, ty: &Type) -> Value {
    if row.is_null(column) {
        return Value::Null;
    }
    let raw = match column.slot {
        Slot::Word => Raw::Word(row.word(column)),
        Slot::Wide => Raw::Wide(row.wide(column)),
        Slot::Var if ty.data.is_container() => Raw::Container(row.container(column)),
        Slot::Var => Raw::Bytes(row.var(column)),
    };
    to_value(raw, &ty.data)
}

/// Sets a column of the open row to a value; NULL leaves it as it is after `begin`.
///
/// # Panics
/// If the value is not of the column's type.
pub fn push_value(out: &mut BatchBuilder, column: usize, value: &Value) {
    if value.is_null() {
        return;
    }
    let ty = out.layout().types()[column].clone();
    match ty.slot() {
        Slot::Word => out.set_word(column, word_of(value)),
        Slot::Wide => out.set_wide(column, wide_of(value)),
        Slot::Var if ty.data.is_container() => {
            let mut words = Vec::new();
            container_of(value, &ty.data, &mut words);
            out.set_container(column, &words);
        }
        Slot::Var => out.set_bytes(column, bytes_of(value)),
    }
}

fn to_value(raw: Raw<'_>, ty: &DataType) -> Value {
    match raw {
        Raw::Word(word) => word_value(word, ty),
        Raw::Wide([low, high]) => match ty {
            DataType::Interval => Value::Interval { months: low as i64, micros: high as i64 },
            DataType::Uuid => Value::Uuid(u128::from(low) | (u128::from(high) << 64)),
            _ => Value::Decimal((u128::from(low) | (u128::from(high) << 64)) as i128),
        },
        Raw::Bytes(bytes) => {
            let text = || String::from_utf8_lossy(bytes).into_owned();
            match ty {
                DataType::Bytes => Value::Bytes(bytes.to_vec()),
                DataType::Json => Value::Json(text()),
                _ => Value::String(text()),
            }
        }
        Raw::Container(words) => container_value(words, ty),
    }
}

fn word_value(word: u64, ty: &DataType) -> Value {
    match ty {
        DataType::Boolean => Value::Boolean(word != 0),
        DataType::Real | DataType::Double => Value::Float(f64::from_bits(word)),
        DataType::Decimal { .. } => Value::Decimal(i128::from(word as i64)),
        DataType::Date => Value::Date(word as i64 as i32),
        DataType::Time { .. } => Value::Time(word as i64),
        DataType::Timestamp { .. } => Value::Timestamp(word as i64),
        DataType::TimestampLtz { .. } => Value::TimestampLtz(word as i64),
        _ => Value::Int(word as i64),
    }
}

fn container_value(words: &[u64], ty: &DataType) -> Value {
    match ty {
        DataType::Row(fields) => {
            let layout = fields_layout(fields);
            if words.len() < layout.fixed_words() {
                return Value::Null;
            }
            let row = row_of(words);
            let field =
                |(i, f): (usize, &crate::types::Field)| read_value(row, layout.column(i), &f.ty);
            Value::Row(fields.iter().enumerate().map(field).collect())
        }
        DataType::Array(item) => {
            let array = ArrayRef::new(words, item.slot());
            Value::Array((0..array.len()).map(|i| element(array, i, item)).collect())
        }
        DataType::Map(key, value) => {
            let map = MapRef::new(words, key.slot(), value.slot());
            let entry = |i| (element(map.keys(), i, key), element(map.values(), i, value));
            Value::Map((0..map.len()).map(entry).collect())
        }
        _ => Value::Null,
    }
}

fn element(array: ArrayRef<'_>, index: usize, ty: &Type) -> Value {
    if array.is_null(index) {
        return Value::Null;
    }
    let raw = match ty.slot() {
        Slot::Word => Raw::Word(array.word(index)),
        Slot::Wide => Raw::Wide(array.wide(index)),
        Slot::Var if ty.data.is_container() => Raw::Container(array.container(index)),
        Slot::Var => Raw::Bytes(array.var(index)),
    };
    to_value(raw, &ty.data)
}

fn word_of(value: &Value) -> u64 {
    match value {
        Value::Boolean(v) => u64::from(*v),
        Value::Int(v) | Value::Time(v) | Value::Timestamp(v) | Value::TimestampLtz(v) => *v as u64,
        Value::Float(v) => v.to_bits(),
        Value::Decimal(v) => *v as i64 as u64,
        Value::Date(v) => i64::from(*v) as u64,
        other => panic!("{other:?} does not lie in one word"),
    }
}

fn wide_of(value: &Value) -> [u64; 2] {
    let split = |v: u128| [v as u64, (v >> 64) as u64];
    match value {
        Value::Decimal(v) => split(*v as u128),
        Value::Uuid(v) => split(*v),
        Value::Interval { months, micros } => [*months as u64, *micros as u64],
        other => panic!("{other:?} does not lie in two words"),
    }
}

fn bytes_of(value: &Value) -> &[u8] {
    match value {
        Value::String(v) | Value::Json(v) => v.as_bytes(),
        Value::Bytes(v) => v,
        other => panic!("{other:?} is not text or bytes"),
    }
}

fn container_of(value: &Value, ty: &DataType, out: &mut Vec<u64>) {
    let mut elements = ContainerBuilder::default();
    match (value, ty) {
        (Value::Row(values), DataType::Row(fields)) => {
            for (value, field) in values.iter().zip(fields.iter()) {
                push_element(&mut elements, value, &field.ty);
            }
            elements.finish_row(out);
        }
        (Value::Array(values), DataType::Array(item)) => {
            for value in values {
                push_element(&mut elements, value, item);
            }
            elements.finish_array(out);
        }
        (Value::Map(entries), DataType::Map(key, item)) => {
            let mut sorted: Vec<_> =
                entries.iter().map(|(k, v)| (KeyEncoder::value_bytes(k, key), k, v)).collect();
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            sorted.dedup_by(|later, kept| later.0 == kept.0);
            let mut values = ContainerBuilder::default();
            for (_, k, v) in sorted {
                push_element(&mut elements, k, key);
                push_element(&mut values, v, item);
            }
            elements.finish_map(&values, out);
        }
        (other, ty) => panic!("{other:?} is not {ty}"),
    }
}

fn push_element(out: &mut ContainerBuilder, value: &Value, ty: &Type) {
    match ty.slot() {
        slot if value.is_null() => out.push_null(slot),
        Slot::Word => out.push_word(word_of(value)),
        Slot::Wide => out.push_wide(wide_of(value)),
        Slot::Var if ty.data.is_container() => {
            let mut words = Vec::new();
            container_of(value, &ty.data, &mut words);
            out.push_container(&words);
        }
        Slot::Var => out.push_bytes(bytes_of(value)),
    }
}

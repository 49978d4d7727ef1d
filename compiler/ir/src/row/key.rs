//! Key bytes: an order-preserving, prefix-free and reversible encoding of columns. Two values are
//! the same key iff their bytes are equal; bytes compare as the values do, NULL last.
//!
//! Each column is a tag (1 value, 2 NULL) and then
//! * integers, dates and times: 8 bytes big-endian with the sign bit flipped;
//! * REAL and DOUBLE: the bits, all flipped when negative, else the sign bit; −0.0 as 0.0 and every
//!   NaN as one NaN, which sorts last;
//! * DECIMAL(p > 18): 16 bytes big-endian, sign flipped; UUID: 16 bytes big-endian; INTERVAL:
//!   months, then microseconds, as integers;
//! * text and bytes: the bytes with 0 written as 0 255, then 0 0;
//! * ROW: its fields; ARRAY: 1 and an element each, then 0; MAP: 1, key and value each, then 0.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::container::{fields_layout, row_of};
use super::{
    ArrayRef, BatchBuilder, Column, ContainerBuilder, MapRef, RowBatch, RowLayout, RowRef,
};
use crate::types::{DataType, Slot, Type};
use crate::value::Value;

/// Key groups; a key's group never changes.
pub const KEY_GROUPS: u64 = 256;

const TAG_VALUE: u8 = 1;
const TAG_NULL: u8 = 2;
const MORE: u8 = 1;
const END: u8 = 0;

/// The hash of key bytes that partitioning and hash tables use.
#[inline]
pub fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The key group of a key's hash.
#[inline]
pub fn key_group(hash: u64) -> u8 {
    (hash % KEY_GROUPS) as u8
}

/// The hash of a key that lies in the group of another one: of the partition that it belongs to.
pub fn key_hash_in(group: u8, key: &[u8]) -> u64 {
    key_hash(key) / KEY_GROUPS * KEY_GROUPS + u64::from(group)
}

/// A signed integer such that unsigned big-endian bytes order as the integers do.
pub fn order_i64(value: i64) -> [u8; 8] {
    ((value as u64) ^ (1 << 63)).to_be_bytes()
}

/// Keys of a batch's rows, end to end, with their hashes.
#[derive(Clone, Debug, Default)]
pub struct KeyBatch {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    hashes: Vec<u64>,
}

impl KeyBatch {
    /// Forgets the keys, keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.hashes.clear();
    }

    /// Keys.
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of key `index`.
    #[inline]
    pub fn key(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// The hash of key `index`.
    #[inline]
    pub fn hash(&self, index: usize) -> u64 {
        self.hashes[index]
    }

    /// Appends a key.
    #[inline]
    pub fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.close();
    }

    /// Appends a key, in parts end to end, that lies in this key group.
    #[inline]
    pub fn push_in(&mut self, group: u8, parts: [&[u8]; 3]) {
        parts.into_iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.close();
        if let Some(hash) = self.hashes.last_mut() {
            *hash = *hash / KEY_GROUPS * KEY_GROUPS + u64::from(group);
        }
    }

    #[inline]
    fn close(&mut self) {
        let start = self.ends.last().map_or(0, |&end| end as usize);
        self.hashes.push(key_hash(&self.bytes[start..]));
        self.ends.push(u32::try_from(self.bytes.len()).expect("keys of a batch stay under 4 GiB"));
    }
}

/// Writes the key bytes of some columns of a row.
#[derive(Clone, Debug)]
pub struct KeyEncoder {
    columns: Vec<(Column, Type)>,
}

impl KeyEncoder {
    /// Keys made of these columns of rows of this layout, in this order.
    pub fn new(layout: &RowLayout, columns: &[usize]) -> Self {
        let column = |&i: &usize| (layout.column(i), layout.types()[i].clone());
        Self { columns: columns.iter().map(column).collect() }
    }

    /// Appends the key of a row.
    pub fn append(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        for (column, ty) in &self.columns {
            append_column(row, *column, ty, out);
        }
    }

    /// Replaces `out` with the keys of all rows.
    pub fn encode(&self, rows: &RowBatch, out: &mut KeyBatch) {
        out.clear();
        for row in rows.rows() {
            self.append(row, &mut out.bytes);
            out.close();
        }
    }

    /// Whether any key column of the row is NULL.
    pub fn has_null(&self, row: RowRef<'_>) -> bool {
        self.columns.iter().any(|(column, _)| row.is_null(*column))
    }

    /// The key bytes of a single value.
    pub fn value_bytes(value: &Value, ty: &Type) -> Vec<u8> {
        let layout = Arc::new(RowLayout::new(vec![ty.clone()]));
        let mut row = BatchBuilder::new(layout.clone());
        row.begin();
        super::push_value(&mut row, 0, value);
        row.finish(1);
        let mut out = Vec::new();
        Self::new(&layout, &[0]).append(row.take().row(0), &mut out);
        out
    }
}

#[inline]
fn append_column(row: RowRef<'_>, column: Column, ty: &Type, out: &mut Vec<u8>) {
    if row.is_null(column) {
        out.push(TAG_NULL);
        return;
    }
    out.push(TAG_VALUE);
    match column.slot {
        Slot::Word => append_word(row.word(column), &ty.data, out),
        Slot::Wide => append_wide(row.wide(column), &ty.data, out),
        Slot::Var if ty.data.is_container() => {
            append_container(row.container(column), &ty.data, out);
        }
        Slot::Var => append_bytes(row.var(column), out),
    }
}

#[inline]
fn append_word(word: u64, ty: &DataType, out: &mut Vec<u8>) {
    let ordered = if ty.is_float() { float_order(word) } else { word ^ (1 << 63) };
    out.extend_from_slice(&ordered.to_be_bytes());
}

/// The bits of a float such that unsigned integers order as the floats do.
fn float_order(bits: u64) -> u64 {
    let value = f64::from_bits(bits);
    let canonical = if value.is_nan() {
        f64::NAN.to_bits() & !(1 << 63)
    } else if value == 0.0 {
        0
    } else {
        bits
    };
    if canonical >> 63 == 1 { !canonical } else { canonical | (1 << 63) }
}

fn append_wide([low, high]: [u64; 2], ty: &DataType, out: &mut Vec<u8>) {
    match ty {
        DataType::Interval => {
            out.extend_from_slice(&order_i64(low as i64));
            out.extend_from_slice(&order_i64(high as i64));
        }
        DataType::Uuid => {
            out.extend_from_slice(&high.to_be_bytes());
            out.extend_from_slice(&low.to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&(high ^ (1 << 63)).to_be_bytes());
            out.extend_from_slice(&low.to_be_bytes());
        }
    }
}

fn append_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // Most texts have no zero, which is soon seen.
    if !bytes.contains(&0) {
        out.extend_from_slice(bytes);
        out.extend_from_slice(&[0, 0]);
        return;
    }
    for (i, run) in bytes.split(|&b| b == 0).enumerate() {
        if i > 0 {
            out.extend_from_slice(&[0, 255]);
        }
        out.extend_from_slice(run);
    }
    out.extend_from_slice(&[0, 0]);
}

/// Appends the key bytes of a ROW, ARRAY or MAP in a tail, without a tag.
pub fn append_container_key(words: &[u64], ty: &DataType, out: &mut Vec<u8>) {
    append_container(words, ty, out);
}

/// Appends the key bytes of a column of a row, NULL included.
pub fn append_column_key(row: RowRef<'_>, column: Column, ty: &Type, out: &mut Vec<u8>) {
    append_column(row, column, ty, out);
}

/// Appends the key bytes of an element of an array, NULL included.
pub fn append_element_key(array: ArrayRef<'_>, index: usize, ty: &Type, out: &mut Vec<u8>) {
    append_element(array, index, ty, out);
}

fn append_container(words: &[u64], ty: &DataType, out: &mut Vec<u8>) {
    match ty {
        DataType::Row(fields) => {
            let layout = fields_layout(fields);
            for (i, field) in fields.iter().enumerate() {
                append_column(row_of(words), layout.column(i), &field.ty, out);
            }
        }
        DataType::Array(item) => {
            let array = ArrayRef::new(words, item.slot());
            for i in 0..array.len() {
                out.push(MORE);
                append_element(array, i, item, out);
            }
            out.push(END);
        }
        DataType::Map(key, value) => {
            let map = MapRef::new(words, key.slot(), value.slot());
            for i in 0..map.len() {
                out.push(MORE);
                append_element(map.keys(), i, key, out);
                append_element(map.values(), i, value, out);
            }
            out.push(END);
        }
        _ => {}
    }
}

fn append_element(array: ArrayRef<'_>, index: usize, ty: &Type, out: &mut Vec<u8>) {
    if array.is_null(index) {
        out.push(TAG_NULL);
        return;
    }
    out.push(TAG_VALUE);
    match ty.slot() {
        Slot::Word => append_word(array.word(index), &ty.data, out),
        Slot::Wide => append_wide(array.wide(index), &ty.data, out),
        Slot::Var if ty.data.is_container() => {
            append_container(array.container(index), &ty.data, out);
        }
        Slot::Var => append_bytes(array.var(index), out),
    }
}

/// Reads key bytes back into columns.
#[derive(Clone, Debug)]
pub struct KeyDecoder {
    types: Vec<Type>,
}

impl KeyDecoder {
    /// Keys made of columns of these types.
    pub fn new(types: Vec<Type>) -> Self {
        Self { types }
    }

    /// Writes the key's columns to the open row, the first into column `first`. Returns false,
    /// with some columns perhaps set, if the bytes are no such key.
    pub fn decode(&self, key: &[u8], out: &mut BatchBuilder, first: usize) -> bool {
        let mut input = key;
        self.types
            .iter()
            .enumerate()
            .all(|(i, ty)| read(&mut input, ty).is_some_and(|value| set(out, first + i, value)))
            && input.is_empty()
    }

    /// Bytes of the key that stands at the start of `bytes`, whatever follows it.
    pub fn prefix_len(&self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        for ty in &self.types {
            read(&mut rest, ty)?;
        }
        Some(bytes.len() - rest.len())
    }
}

/// A decoded value on its way into a slot.
enum Decoded {
    Null,
    Word(u64),
    Wide([u64; 2]),
    Bytes(Vec<u8>),
    Container(Vec<u64>),
}

fn set(out: &mut BatchBuilder, column: usize, value: Decoded) -> bool {
    match value {
        Decoded::Null => {}
        Decoded::Word(word) => out.set_word(column, word),
        Decoded::Wide(wide) => out.set_wide(column, wide),
        Decoded::Bytes(bytes) => out.set_bytes(column, &bytes),
        Decoded::Container(words) => out.set_container(column, &words),
    }
    true
}

#[inline]
fn push(out: &mut ContainerBuilder, slot: Slot, value: Decoded) {
    match value {
        Decoded::Null => out.push_null(slot),
        Decoded::Word(word) => out.push_word(word),
        Decoded::Wide(wide) => out.push_wide(wide),
        Decoded::Bytes(bytes) => out.push_bytes(&bytes),
        Decoded::Container(words) => out.push_container(&words),
    }
}

fn read(input: &mut &[u8], ty: &Type) -> Option<Decoded> {
    match byte(input)? {
        TAG_NULL => Some(Decoded::Null),
        TAG_VALUE => read_not_null(input, &ty.data),
        _ => None,
    }
}

fn read_not_null(input: &mut &[u8], ty: &DataType) -> Option<Decoded> {
    match ty.slot() {
        Slot::Word => {
            let ordered = word(input)?;
            Some(Decoded::Word(if ty.is_float() {
                if ordered >> 63 == 1 { ordered ^ (1 << 63) } else { !ordered }
            } else {
                ordered ^ (1 << 63)
            }))
        }
        Slot::Wide => {
            let (first, second) = (word(input)?, word(input)?);
            Some(Decoded::Wide(match ty {
                DataType::Interval => [first ^ (1 << 63), second ^ (1 << 63)],
                DataType::Uuid => [second, first],
                _ => [second, first ^ (1 << 63)],
            }))
        }
        Slot::Var if ty.is_container() => read_container(input, ty).map(Decoded::Container),
        Slot::Var => read_bytes(input).map(Decoded::Bytes),
    }
}

fn read_container(input: &mut &[u8], ty: &DataType) -> Option<Vec<u64>> {
    let mut elements = ContainerBuilder::default();
    let mut out = Vec::new();
    match ty {
        DataType::Row(fields) => {
            for field in fields.iter() {
                push(&mut elements, field.ty.slot(), read(input, &field.ty)?);
            }
            elements.finish_row(&mut out);
        }
        DataType::Array(item) => {
            while byte(input)? == MORE {
                push(&mut elements, item.slot(), read(input, item)?);
            }
            elements.finish_array(&mut out);
        }
        DataType::Map(key, value) => {
            let mut values = ContainerBuilder::default();
            while byte(input)? == MORE {
                push(&mut elements, key.slot(), read(input, key)?);
                push(&mut values, value.slot(), read(input, value)?);
            }
            elements.finish_map(&values, &mut out);
        }
        _ => return None,
    }
    Some(out)
}

fn read_bytes(input: &mut &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let run = input.iter().position(|&b| b == 0)?;
        out.extend_from_slice(&input[..run]);
        match input.get(run + 1)? {
            0 => {
                *input = &input[run + 2..];
                return Some(out);
            }
            255 => {
                out.push(0);
                *input = &input[run + 2..];
            }
            _ => return None,
        }
    }
}

fn byte(input: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = input.split_first()?;
    *input = rest;
    Some(first)
}

fn word(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_be_bytes(*bytes))
}

//! The one row format: what decoders write, operators read, exchanges move and state keeps.
//!
//! A row is a run of 64-bit words; every offset in it counts from its own first word, so a row
//! may be copied anywhere with one memcpy.
//!
//! ```text
//!  word 0        length of the whole row in bytes, a multiple of 8
//!  words 1..n    null bits, one a column, 64 a word, lowest bit first; a set bit is NULL
//!  slots         one or two words a column (`types::Slot`), zero where the column is NULL
//!  tail          variable values, each padded with zero bytes to a whole word
//! ```
//!
//! * A variable slot is `(offset: low u32, length: high u32)`, both in bytes, offset from the
//!   row's start.
//! * ROW in a tail is a row as above.
//! * ARRAY in a tail: word 0 its length in bytes, word 1 the count, null bits, then one slot an
//!   element, then its own tail. Offsets count from the array's word 0.
//! * MAP in a tail: word 0 its length in bytes, word 1 the count, null bits of the values, the key
//!   slots, the value slots, then its tail; entries ascend by the key bytes of their keys.
//!
//! Event time is an ordinary column. Equality and hashing go over key bytes (`key`), never over
//! raw rows, although a row that is built twice from the same values has the same words.

mod batch;
mod builder;
mod cell;

mod container;
mod key;
mod layout;
mod room;
mod value;

pub use batch::{RowBatch, RowRef};
pub use builder::BatchBuilder;
pub use cell::{ValueMut, ValueRef, VarHeap};
pub use container::{ArrayRef, ContainerBuilder, MapRef, array_words, map_words};
pub use key::{
    KEY_GROUPS, KeyBatch, KeyDecoder, KeyEncoder, append_column_key, append_container_key,
    append_element_key, key_group, key_hash, key_hash_in, order_i64,
};
pub use layout::{Column, RowLayout};
pub use room::RowRoom;
pub use value::{push_value, read_value};

/// Splits a variable slot into (byte offset, byte length).
#[inline]
pub fn unpack_var(slot: u64) -> (usize, usize) {
    ((slot & 0xffff_ffff) as usize, (slot >> 32) as usize)
}

/// Joins a byte offset and a byte length into a variable slot.
#[inline]
pub fn pack_var(offset: usize, len: usize) -> u64 {
    debug_assert!(offset <= u32::MAX as usize && len <= u32::MAX as usize);
    (offset as u64) | ((len as u64) << 32)
}

/// Words that hold `bytes` bytes.
#[inline]
pub fn words_for(bytes: usize) -> usize {
    bytes.div_ceil(8)
}

//! What generated code and its caller share, word by word.

use std::ffi::c_void;

use flow_ir::kernel::Payloads;
use flow_ir::row::RowBatch;

/// Why generated code came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// All rows are done.
    Done,
    /// The interpreter is to do the row at `next`: something is wrong with it, or unusual.
    Row,
    /// The row at `next` needs more room than there is: `need` words or bytes.
    Room,
}

impl Exit {
    /// The number that code returns.
    pub(super) fn number(self) -> i64 {
        match self {
            Exit::Done => 0,
            Exit::Row => 1,
            Exit::Room => 2,
        }
    }
}

/// What generated code and its caller share. Code reads and writes it by the offsets of `Slot`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Io {
    /// Words of the input batch, or `RawRecord`s.
    pub(super) input: *const c_void,
    /// First word of each input row; unused for records.
    pub(super) starts: *const u32,
    /// The row or record to begin with; afterwards, the first that is not done.
    pub(super) next: u64,
    /// Rows or records of the input.
    pub(super) count: u64,
    /// Where the next output begins, and where there is no more room.
    pub(super) out: *mut u8,
    pub(super) out_end: *mut u8,
    /// Address of word 0 of the output batch, from which row ends are counted, or of byte 0 of
    /// payloads.
    pub(super) out_zero: u64,
    /// End of each output row.
    pub(super) ends: *mut u32,
    /// Number of the input row of each output row.
    pub(super) origin: *mut u32,
    /// Output rows.
    pub(super) rows: u64,
    /// What the row at `next` needs, in bytes, when there is no room.
    pub(super) need: u64,
    /// The epoch's clock.
    pub(super) clock: i64,
    /// Watermark of the partition, and highest event time seen.
    pub(super) watermark: i64,
    pub(super) event_time: i64,
    /// Rows that were dated too far ahead.
    pub(super) ahead: u64,
    /// A `Context` for shims.
    pub(super) context: *mut c_void,
    /// Topic's bytes and partition, for metadata columns.
    pub(super) topic: *const u8,
    pub(super) topic_len: u64,
    pub(super) partition: i64,
}

/// A record as code reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct RawRecord {
    /// Address of the value, behind its framing; 0 without one.
    pub(super) value: u64,
    pub(super) value_len: u64,
    /// The key, likewise.
    pub(super) key: u64,
    pub(super) key_len: u64,
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    /// Whether there is a timestamp.
    pub(super) timed: u64,
    /// Position in its batch.
    pub(super) position: u64,
    /// Address of its headers, in the form of `flow_ir::kernel::Headers`.
    pub(super) headers: u64,
    pub(super) headers_len: u64,
}

/// A field of `Io`, by its offset in bytes.
macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident = $of:ident . $field:ident;)*) => {
        $($(#[$doc])* pub(in crate::codegen) const $name: i32 = offset_of!($of, $field) as i32;)*
    };
}

/// Offsets in bytes of what code reads and writes.
pub(super) mod at {
    use std::mem::offset_of;

    use super::{Io, RawRecord};

    offsets! {
        INPUT = Io.input;
        STARTS = Io.starts;
        NEXT = Io.next;
        COUNT = Io.count;
        OUT = Io.out;
        OUT_END = Io.out_end;
        OUT_ZERO = Io.out_zero;
        ENDS = Io.ends;
        ORIGIN = Io.origin;
        ROWS = Io.rows;
        NEED = Io.need;
        CLOCK = Io.clock;
        WATERMARK = Io.watermark;
        EVENT_TIME = Io.event_time;
        AHEAD = Io.ahead;
        CONTEXT = Io.context;
        TOPIC = Io.topic;
        TOPIC_LEN = Io.topic_len;
        PARTITION = Io.partition;
        VALUE = RawRecord.value;
        VALUE_LEN = RawRecord.value_len;
        KEY = RawRecord.key;
        KEY_LEN = RawRecord.key_len;
        OFFSET = RawRecord.offset;
        TIMESTAMP = RawRecord.timestamp;
        TIMED = RawRecord.timed;
        POSITION = RawRecord.position;
        HEADERS = RawRecord.headers;
        HEADERS_LEN = RawRecord.headers_len;
    }

    /// Bytes of a record.
    pub(in crate::codegen) const RECORD_BYTES: i64 = size_of::<RawRecord>() as i64;
}

impl Io {
    /// Over the rows of a batch.
    pub(super) fn over_rows(rows: &RowBatch) -> Self {
        let input = rows.words().as_ptr().cast();
        Self { input, starts: rows.starts().as_ptr(), count: rows.len() as u64, ..Io::empty() }
    }

    /// Over records.
    pub(super) fn over_records(records: &[RawRecord], from: &Payloads<'_>) -> Self {
        Self {
            input: records.as_ptr().cast(),
            count: records.len() as u64,
            topic: from.topic.as_ptr(),
            topic_len: from.topic.len() as u64,
            partition: i64::from(from.partition),
            ..Io::empty()
        }
    }

    fn empty() -> Self {
        Self {
            input: std::ptr::null(),
            starts: std::ptr::null(),
            next: 0,
            count: 0,
            out: std::ptr::null_mut(),
            out_end: std::ptr::null_mut(),
            out_zero: 0,
            ends: std::ptr::null_mut(),
            origin: std::ptr::null_mut(),
            rows: 0,
            need: 0,
            clock: 0,
            watermark: i64::MIN,
            event_time: i64::MIN,
            ahead: 0,
            context: std::ptr::null_mut(),
            topic: std::ptr::null(),
            topic_len: 0,
            partition: 0,
        }
    }
}

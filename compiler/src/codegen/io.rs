//! What generated code and its caller share, word by word.

use std::ffi::c_void;

use flow_ir::kernel::{Payloads, Record};
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
    /// Words of the input batch, or the values of records as `RawBytes`.
    pub(super) input: *const c_void,
    /// First word of each input row; unused for records.
    pub(super) starts: *const u32,
    /// The keys of records, and what else there is to know of each, where the code reads them.
    pub(super) keys: *const RawBytes,
    pub(super) about: *const RawAbout,
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
    /// For updates: the numbers of the picked rows and of their blocks, the blocks, and the weights
    /// of all rows, of which the offset in bytes is looked up under this mask.
    pub(super) picks: *const u32,
    pub(super) places: *const u32,
    pub(super) blocks: *mut u64,
    pub(super) weights: *const i64,
    pub(super) weight_mask: u64,
}

/// A record's value or key as code reads it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct RawBytes {
    /// Its address behind its framing; 0 without one, and where it is too short.
    pub(super) start: u64,
    pub(super) len: u64,
}

impl RawBytes {
    /// The bytes behind the framing.
    pub(super) fn behind(bytes: Option<&[u8]>, framing: usize) -> Self {
        match bytes.and_then(|bytes| bytes.get(framing..)) {
            Some(bytes) => Self { start: bytes.as_ptr() as u64, len: bytes.len() as u64 },
            None => Self { start: 0, len: 0 },
        }
    }
}

/// What else code reads of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct RawAbout {
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

impl RawAbout {
    fn new(position: u32, record: &Record<'_>) -> Self {
        Self {
            offset: record.offset,
            timestamp: record.timestamp.unwrap_or(0),
            timed: u64::from(record.timestamp.is_some()),
            position: u64::from(position),
            headers: record.headers.0.as_ptr() as u64,
            headers_len: record.headers.0.len() as u64,
        }
    }
}

/// Records as code reads them; what it does not read is empty.
#[derive(Debug, Default)]
pub(super) struct RawRecords {
    values: Vec<RawBytes>,
    keys: Vec<RawBytes>,
    about: Vec<RawAbout>,
    /// Bytes of all values and keys.
    pub(super) bytes: usize,
}

/// What a scan reads of records besides their values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reads {
    pub(super) keys: bool,
    pub(super) about: bool,
}

impl RawRecords {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Takes the records at these positions of a batch, in place of those before.
    pub(super) fn take(&mut self, payloads: &Payloads<'_>, select: &[u32], reads: Reads) {
        let records = || select.iter().map(|&at| (at, &payloads.records[at as usize]));
        self.values.clear();
        self.values.extend(records().map(|(_, r)| RawBytes::behind(r.value, payloads.value_skip)));
        self.keys.clear();
        if reads.keys {
            self.keys.extend(records().map(|(_, r)| RawBytes::behind(r.key, payloads.key_skip)));
        }
        self.about.clear();
        if reads.about {
            self.about.extend(records().map(|(at, record)| RawAbout::new(at, record)));
        }
        self.bytes = self.values.iter().chain(&self.keys).map(|bytes| bytes.len as usize).sum();
    }
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

    use super::{Io, RawAbout, RawBytes};

    offsets! {
        INPUT = Io.input;
        STARTS = Io.starts;
        KEYS = Io.keys;
        ABOUT = Io.about;
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
        PICKS = Io.picks;
        PLACES = Io.places;
        BLOCKS = Io.blocks;
        WEIGHTS = Io.weights;
        WEIGHT_MASK = Io.weight_mask;
        START = RawBytes.start;
        LEN = RawBytes.len;
        OFFSET = RawAbout.offset;
        TIMESTAMP = RawAbout.timestamp;
        TIMED = RawAbout.timed;
        POSITION = RawAbout.position;
        HEADERS = RawAbout.headers;
        HEADERS_LEN = RawAbout.headers_len;
    }

    /// Bytes that a value or key takes, and what else is read of a record.
    pub(in crate::codegen) const BYTES_BYTES: i64 = size_of::<RawBytes>() as i64;
    pub(in crate::codegen) const ABOUT_BYTES: i64 = size_of::<RawAbout>() as i64;
}

impl Io {
    /// Over the rows of a batch.
    pub(super) fn over_rows(rows: &RowBatch) -> Self {
        let input = rows.words().as_ptr().cast();
        Self { input, starts: rows.starts().as_ptr(), count: rows.len() as u64, ..Io::empty() }
    }

    /// Over records.
    pub(super) fn over_records(records: &RawRecords, from: &Payloads<'_>) -> Self {
        Self {
            input: records.values.as_ptr().cast(),
            keys: records.keys.as_ptr(),
            about: records.about.as_ptr(),
            count: records.values.len() as u64,
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
            keys: std::ptr::null(),
            about: std::ptr::null(),
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
            picks: std::ptr::null(),
            places: std::ptr::null(),
            blocks: std::ptr::null_mut(),
            weights: std::ptr::null(),
            weight_mask: 0,
        }
    }
}

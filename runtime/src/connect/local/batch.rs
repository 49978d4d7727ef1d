//! Records as bytes of the embedded log: a count, then each record with fixed-width lengths, so
//! that a batch is read by walking it once. Numbers are little-endian.
//!
//! ```text
//!  batch   u32 count, records; their offsets follow each other
//!  sparse  u32 count + 2^31, u32 offset behind the last, and of each record u32 offset, record;
//!          offsets count from that of the first
//!  record  i64 timestamp in ms, bytes key, bytes value, bytes headers (`kernel::Headers`)
//!  bytes   u32 length + 1 and the bytes; 0 for NULL
//! ```

use std::sync::Arc;

use flow_ir::kernel::{Headers, Record};

use crate::connect::{Outgoing, RecordBatch};

/// What the count of a sparse batch has more.
const SPARSE: u32 = 1 << 31;
/// How far the last record of a sparse batch may be behind its first.
pub(super) const SPARSE_DISTANCE_MAX: i64 = u32::MAX as i64 - 1;

/// Records of one partition that are written together.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// None, in the room of a batch that was written.
    pub(super) fn in_room_of(mut written: Vec<u8>) -> Self {
        written.clear();
        Self { bytes: written, count: 0 }
    }

    pub(super) fn push(&mut self, record: &Outgoing<'_>, timestamp: i64) {
        if self.count == 0 {
            self.bytes.extend_from_slice(&[0; 4]);
        }
        self.count += 1;
        self.bytes.extend_from_slice(&timestamp.to_le_bytes());
        push_bytes(record.key, &mut self.bytes);
        push_bytes(record.value, &mut self.bytes);
        push_bytes(Some(record.headers.0), &mut self.bytes);
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn finish(mut self) -> Arc<Vec<u8>> {
        self.bytes[..4].copy_from_slice(&self.count.to_le_bytes());
        Arc::new(self.bytes)
    }
}

/// Appends a batch of one record, as it is stored in another.
pub(super) fn push_single(record: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(record);
}

fn push_bytes(value: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(value) = value else {
        out.extend_from_slice(&[0; 4]);
        return;
    };
    out.extend_from_slice(&(value.len() as u32 + 1).to_le_bytes());
    out.extend_from_slice(value);
}

/// A batch of records between which others were left out.
#[derive(Default)]
pub(super) struct Sparse {
    bytes: Vec<u8>,
    count: u32,
    /// Offsets of the first and of the last.
    base: i64,
    last: i64,
}

impl Sparse {
    /// How far a record is behind the first.
    pub(super) fn distance(&self, offset: i64) -> i64 {
        if self.count == 0 { 0 } else { offset - self.base }
    }

    /// Adds the next record, at most `SPARSE_DISTANCE_MAX` behind the first.
    pub(super) fn push(&mut self, offset: i64, stored: &[u8]) {
        if self.count == 0 {
            self.bytes.extend_from_slice(&[0; 8]);
            self.base = offset;
        }
        let distance = self.distance(offset) as u32;
        self.bytes.extend_from_slice(&distance.to_le_bytes());
        self.bytes.extend_from_slice(stored);
        (self.count, self.last) = (self.count + 1, offset);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The batch and the offset of its first record, if it has one.
    pub(super) fn finish(mut self) -> Option<(i64, Vec<u8>)> {
        if self.count == 0 {
            return None;
        }
        let behind = self.distance(self.last) as u32 + 1;
        self.bytes[..4].copy_from_slice(&(self.count | SPARSE).to_le_bytes());
        self.bytes[4..8].copy_from_slice(&behind.to_le_bytes());
        Some((self.base, self.bytes))
    }
}

/// Stored records of one partition: batches end to end, each with the offset of its first record.
#[derive(Default)]
pub(super) struct Stored {
    parts: Vec<(i64, Vec<u8>)>,
    /// Records before this offset are left out.
    from: i64,
    records: usize,
    bytes: usize,
}

impl Stored {
    /// Hands out records from this offset on.
    pub(super) fn new(from: i64) -> Self {
        Self { from, ..Self::default() }
    }

    /// Adds a stored batch whose first record has this offset. Returns the offset after it.
    pub(super) fn push(&mut self, base: i64, bytes: Vec<u8>) -> i64 {
        let walk = Walk::new(base, &bytes);
        let behind = walk.behind();
        self.records += match self.from <= base {
            true => walk.left as usize,
            false => walk.filter(|record| record.offset >= self.from).count(),
        };
        self.bytes += bytes.len();
        self.parts.push((base, bytes));
        behind
    }

    pub(super) fn records_len(&self) -> usize {
        self.records
    }
}

impl RecordBatch for Stored {
    fn len(&self) -> usize {
        self.records
    }

    fn records<'a>(&'a self, out: &mut Vec<Record<'a>>) {
        for (base, bytes) in &self.parts {
            let records = Walk::new(*base, bytes).filter(|record| record.offset >= self.from);
            out.extend(records.map(StoredRecord::record));
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A record as it is stored.
#[derive(Clone, Copy)]
pub(super) struct StoredRecord<'a> {
    pub(super) offset: i64,
    /// Since 1970.
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    headers: &'a [u8],
    /// All of it but the offset.
    pub(super) stored: &'a [u8],
}

impl<'a> StoredRecord<'a> {
    /// The key; none is an empty one.
    pub(super) fn key_bytes(self) -> &'a [u8] {
        self.key.unwrap_or(&[])
    }

    /// As readers get it.
    pub(super) fn record(self) -> Record<'a> {
        Record {
            key: self.key,
            value: self.value,
            offset: self.offset,
            timestamp: Some(self.timestamp_ms.saturating_mul(1_000)),
            headers: Headers(self.headers),
        }
    }
}

/// Walks the records of a stored batch; stops where the bytes end too early.
pub(super) struct Walk<'a> {
    rest: &'a [u8],
    left: u32,
    base: i64,
    /// Of the next record, where it is not with it.
    offset: i64,
    /// Of a sparse batch: where it ends.
    sparse: Option<i64>,
}

impl<'a> Walk<'a> {
    /// A batch whose first record has this offset.
    pub(super) fn new(base: i64, batch: &'a [u8]) -> Self {
        let mut walk = Self { rest: batch, left: 0, base, offset: base, sparse: None };
        let count = walk.u32().unwrap_or(0);
        walk.left = count & !SPARSE;
        if count & SPARSE != 0 {
            walk.sparse = Some(base + i64::from(walk.u32().unwrap_or(0)));
        }
        walk
    }

    /// The offset behind the batch.
    fn behind(&self) -> i64 {
        self.sparse.unwrap_or(self.base + i64::from(self.left))
    }

    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        let Some(len) = self.u32()?.checked_sub(1) else { return Some(None) };
        let (bytes, rest) = self.rest.split_at_checked(len as usize)?;
        self.rest = rest;
        Some(Some(bytes))
    }

    fn record(&mut self) -> Option<StoredRecord<'a>> {
        let offset = match self.sparse {
            Some(_) => self.base + i64::from(self.u32()?),
            None => self.offset,
        };
        let before = self.rest;
        let (timestamp, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        let timestamp_ms = i64::from_le_bytes(*timestamp);
        let (key, value) = (self.bytes()?, self.bytes()?);
        let headers = self.bytes()?.unwrap_or(&[]);
        let stored = &before[..before.len() - self.rest.len()];
        self.offset = offset + 1;
        Some(StoredRecord { offset, timestamp_ms, key, value, headers, stored })
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = StoredRecord<'a>;

    fn next(&mut self) -> Option<StoredRecord<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.record()
    }
}

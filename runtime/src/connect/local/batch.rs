//! Records as bytes of the embedded log: a count, then each record with fixed-width lengths, so
//! that a batch is read by walking it once. Numbers are little-endian.
//!
//! ```text
//!  batch   u32 count, records
//!  record  i64 timestamp in ms, bytes key, bytes value, bytes headers (`kernel::Headers`)
//!  bytes   u32 length + 1 and the bytes; 0 for NULL
//! ```

use std::sync::Arc;

use flow_ir::kernel::{Headers, Record};

use crate::connect::{Outgoing, RecordBatch};

/// Records of one partition that are written together.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// None, with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes + bytes / 8), count: 0 }
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

/// Appends a batch of one record, whose bytes `Walk::next_stored` gave.
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
        let count = i64::from(count(&bytes));
        let skipped = (self.from - base).clamp(0, count);
        self.records += (count - skipped) as usize;
        self.bytes += bytes.len();
        self.parts.push((base, bytes));
        base + count
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
            let records = Walk::new(bytes).enumerate();
            out.extend(records.filter_map(|(i, mut record)| {
                record.offset = base + i as i64;
                (record.offset >= self.from).then_some(record)
            }));
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

fn count(batch: &[u8]) -> u32 {
    batch.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Walks the records of a stored batch; stops where the bytes end too early.
pub(super) struct Walk<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Walk<'a> {
    pub(super) fn new(batch: &'a [u8]) -> Self {
        Self { rest: batch.get(4..).unwrap_or(&[]), left: count(batch) }
    }

    /// The next record and the bytes that it is stored as.
    pub(super) fn next_stored(&mut self) -> Option<(Record<'a>, &'a [u8])> {
        let before = self.rest;
        let record = self.next()?;
        Some((record, &before[..before.len() - self.rest.len()]))
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

    fn record(&mut self) -> Option<Record<'a>> {
        let (timestamp, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        let timestamp = i64::from_le_bytes(*timestamp);
        let (key, value) = (self.bytes()?, self.bytes()?);
        let headers = Headers(self.bytes()?.unwrap_or(&[]));
        let timestamp = Some(timestamp.saturating_mul(1_000));
        Some(Record { key, value, offset: 0, timestamp, headers })
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.record()
    }
}

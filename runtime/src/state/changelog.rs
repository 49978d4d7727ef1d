//! State as records of the changelog topic: key = full key (table number, key group, key bytes),
//! value = the row's bytes, or a tombstone. The record of a key is in the partition of its shard,
//! so the last record of a key is its state.
//!
//! `records` turns an epoch's overlay into records; `Restorer` turns records back into a store on
//! disk. Records come from outside: each is checked before it is believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_ir::physical::{TableKind, TableSpec};
use flow_ir::row::{KEY_GROUPS, RowLayout, RowRef};

use super::error::{RecordError, RestoreError, StateError};
use super::overlay::{KEY_PREFIX_BYTES, Overlay, full_key_table};
use super::rocks::{BATCH_BYTES, Disk, DiskBatch};
use super::spill::row_words;
use super::windowed::END_BYTES;

/// One record of the changelog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The shard of its key: the partition it goes to.
    pub shard: u32,
    /// The record key.
    pub key: &'a [u8],
    /// The record value; `None`: a tombstone.
    pub value: Option<&'a [u8]>,
}

/// The shard of a key group in a job of `shards` shards.
pub fn shard_of(group: u8, shards: u32) -> u32 {
    u32::from(group) * shards / KEY_GROUPS as u32
}

/// An epoch's changes as records; the last one of a key counts.
pub fn records(overlay: &Overlay, shards: u32) -> impl ExactSizeIterator<Item = Record<'_>> {
    overlay.changes().map(move |change| Record {
        shard: shard_of(change.group(), shards),
        key: change.full_key(),
        value: change.row().map(RowRef::bytes),
    })
}

/// What records may be: the tables of a job by number.
#[derive(Debug)]
pub(super) struct RecordReader {
    tables: BTreeMap<u32, (TableKind, Arc<RowLayout>)>,
}

/// A record that was checked.
pub(super) struct Checked<'a> {
    pub(super) table: u32,
    pub(super) group: u8,
    pub(super) key: &'a [u8],
    /// Words of the row; `None`: a tombstone.
    pub(super) row: Option<Vec<u64>>,
}

impl RecordReader {
    /// A reader for these tables, with their numbers in the job's directory.
    pub(super) fn new(specs: &[TableSpec], numbers: &[u32]) -> Self {
        assert_eq!(specs.len(), numbers.len(), "a number a table");
        let table = |(spec, &number): (&TableSpec, &u32)| {
            (number, (spec.kind, Arc::new(RowLayout::new(spec.value.clone()))))
        };
        Self { tables: specs.iter().zip(numbers).map(table).collect() }
    }

    /// Checks a record.
    pub(super) fn read<'a>(
        &self,
        key: &'a [u8],
        value: Option<&[u8]>,
    ) -> Result<Checked<'a>, RecordError> {
        let short = RecordError::ShortKey { len: key.len() };
        if key.len() < KEY_PREFIX_BYTES {
            return Err(short);
        }
        let number = full_key_table(key);
        let (kind, layout) =
            self.tables.get(&number).ok_or(RecordError::UnknownTable { number })?;
        if *kind == TableKind::Windowed && key.len() < KEY_PREFIX_BYTES + END_BYTES {
            return Err(short);
        }
        let row = value
            .map(|bytes| row_words(bytes, layout).ok_or(RecordError::BadRow { number }))
            .transpose()?;
        Ok(Checked { table: number, group: key[4], key: &key[KEY_PREFIX_BYTES..], row })
    }
}

/// Writes changelog records to a store on disk. The store's position stays what it was until
/// `finish`: after a crash in between the same records are applied again, to the same effect.
pub struct Restorer<'d> {
    disk: &'d Disk,
    reader: RecordReader,
    batch: DiskBatch,
}

impl<'d> Restorer<'d> {
    /// Restores tables with these numbers in the job's directory to `disk`.
    pub fn new(specs: &[TableSpec], numbers: &[u32], disk: &'d Disk) -> Self {
        Self {
            disk,
            reader: RecordReader::new(specs, numbers),
            batch: DiskBatch::with_room(BATCH_BYTES),
        }
    }

    /// Applies the next record of a partition.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RestoreError> {
        self.reader.read(key, value)?;
        self.batch.push(key, value);
        if self.batch.bytes() >= BATCH_BYTES {
            let next = DiskBatch::with_room(BATCH_BYTES);
            self.disk.write(std::mem::replace(&mut self.batch, next))?;
        }
        Ok(())
    }

    /// Writes the rest and the position up to which the records went.
    pub fn finish(mut self, position: &[u8]) -> Result<(), StateError> {
        self.batch.position(position);
        self.disk.write(self.batch)
    }
}

//! The ordered key-value store under the embedded log: on disk RocksDB, with large values in files
//! beside it, else a tree in memory.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, RwLock};

use rocksdb::{
    DB, DBCompressionType, DBRecoveryMode, Direction, ErrorKind, IteratorMode, Options, WriteBatch,
    WriteBatchIterator, WriteOptions,
};

use thiserror::Error;

use super::segments::{Keep, Place, Segments};
use crate::error::{Result, RuntimeError};

/// Values of this size lie in files of their own, bytes.
pub(super) const LARGE_BYTES_MIN: usize = 16 << 10;
/// Where, in the store's folder.
const SEGMENTS: &str = "segments";
/// One memtable, bytes: what waits in memory to be written out is as much once more.
const MEMTABLE_BYTES: usize = 16 << 20;

/// Writes that become visible and durable together: one buffer, whatever the store. Ranges that are
/// deleted are so before all else.
#[derive(Default)]
pub(super) struct Changes {
    deleted: Vec<Range<Vec<u8>>>,
    batch: WriteBatch,
    large: Vec<Large>,
}

/// A large value.
struct Large {
    key: Vec<u8>,
    value: Arc<Vec<u8>>,
    keep: Keep,
}

impl Changes {
    /// A single write.
    pub(super) fn one(key: &[u8], value: &[u8]) -> Self {
        let mut changes = Self::default();
        changes.put(key, value);
        changes
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.batch.put(key, value);
    }

    /// Puts a batch of records, which may be large.
    pub(super) fn put_batch(&mut self, key: Vec<u8>, value: Arc<Vec<u8>>, keep: Keep) {
        match value.len() < LARGE_BYTES_MIN {
            true => self.put(&key, &value),
            false => self.large.push(Large { key, value, keep }),
        }
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.batch.delete(key);
    }

    /// Deletes all keys of a range.
    pub(super) fn delete_range(&mut self, keys: Range<Vec<u8>>) {
        self.deleted.push(keys);
    }
}

impl Changes {
    /// One batch of all but the large values. (What reads a batch back knows nothing of ranges.)
    fn with_ranges_first(&self) -> WriteBatch {
        let mut whole = WriteBatch::default();
        for keys in &self.deleted {
            whole.delete_range(&keys.start, &keys.end);
        }
        self.batch.iterate(&mut Append(&mut whole));
        whole
    }
}

/// The way out of a damaged log.
const DAMAGED_HELP: &str = "Nothing else holds what is in it: put the folder back as it was from a \
    copy, or begin with another one by --local.";

/// An ordered store with atomic batches.
pub(super) enum Kv {
    /// On disk.
    Rocks(Box<OnDisk>),
    /// In memory.
    Memory(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>),
}

/// A store in a folder.
pub(super) struct OnDisk {
    db: DB,
    segments: Segments,
}

impl OnDisk {
    fn open(dir: &Path) -> std::result::Result<Self, StoreError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        // What was synced is there, or is missed. A crash cuts off the last record alone.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_keep_log_file_num(2);
        options.set_write_buffer_size(MEMTABLE_BYTES);
        let db = DB::open(&options, dir)?;
        let segments = Segments::open(&dir.join(SEGMENTS), &places(&db, DATA..AFTER_DATA)?)?;
        Ok(Self { db, segments })
    }

    fn write(&self, mut changes: Changes) -> Result<()> {
        let values: Vec<_> =
            changes.large.iter().map(|large| (large.keep, large.value.as_slice())).collect();
        let written = self.segments.append(&values).map_err(disk_error)?;
        for (large, place) in changes.large.iter().zip(written) {
            changes.batch.put(&large.key, [&PLACE[..], &place.to_bytes()].concat());
        }
        let mut freed = Vec::new();
        for keys in &changes.deleted {
            freed.extend(places(&self.db, &keys.start..&keys.end).map_err(disk_error)?);
        }
        let batch = match changes.deleted.is_empty() {
            true => changes.batch,
            false => changes.with_ranges_first(),
        };
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options).map_err(disk_error)?;
        match freed.is_empty() {
            true => Ok(()),
            false => self.segments.release(&freed).map_err(disk_error),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        // What the iterator sees stays until it has been read.
        let files = self.segments.files();
        for entry in self.db.iterator(IteratorMode::From(from, Direction::Forward)) {
            let (key, value) = entry.map_err(disk_error)?;
            if !key.starts_with(prefix) {
                break;
            }
            let goes_on = match place(&key, &value) {
                Some(place) => visit(&key, &files.read(place).map_err(disk_error)?),
                None => visit(&key, &value),
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }
}

/// How the keys of batches begin, and what comes after them (`log`).
const DATA: &[u8] = b"d";
const AFTER_DATA: &[u8] = b"e";

/// What stands under a batch's key where the batch lies elsewhere: a batch of no records, which is
/// never written, and the place.
const PLACE: [u8; 4] = [0; 4];

/// The place of a value that lies elsewhere.
fn place(key: &[u8], value: &[u8]) -> Option<Place> {
    if key.starts_with(DATA) { Place::read(value.strip_prefix(&PLACE)?) } else { None }
}

/// The places under a range of keys.
fn places(db: &DB, keys: Range<&[u8]>) -> std::result::Result<Vec<Place>, rocksdb::Error> {
    let mut places = Vec::new();
    for entry in db.iterator(IteratorMode::From(keys.start, Direction::Forward)) {
        let (key, value) = entry?;
        if &*key >= keys.end {
            break;
        }
        places.extend(place(&key, &value));
    }
    Ok(places)
}

impl Kv {
    /// An empty store in memory.
    pub(super) fn memory() -> Self {
        Kv::Memory(RwLock::default())
    }

    /// The store in a folder, made when missing.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        // RocksDB would begin an empty one beside the files of the old one.
        if !dir.join("CURRENT").exists() && holds_records(dir) {
            return Err(damaged(dir, "the file CURRENT, which names the others, is gone"));
        }
        OnDisk::open(dir).map(|on_disk| Kv::Rocks(Box::new(on_disk))).map_err(|error| {
            match error.is_damage() {
                true => damaged(dir, &error.to_string()),
                false => RuntimeError::external(format!("cannot open {}: {error}", dir.display())),
            }
        })
    }

    /// The value of a key, of any but a batch's.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Kv::Rocks(on_disk) => on_disk.db.get(key).map_err(disk_error),
            Kv::Memory(map) => Ok(read(map).get(key).cloned()),
        }
    }

    /// Writes all changes, or none; on disk they are synced when this returns.
    pub(super) fn write(&self, changes: Changes) -> Result<()> {
        match self {
            Kv::Rocks(on_disk) => on_disk.write(changes),
            Kv::Memory(map) => {
                let mut map = map.write().unwrap_or_else(|e| e.into_inner());
                for keys in &changes.deleted {
                    map.retain(|key, _| !keys.contains(key));
                }
                changes.batch.iterate(&mut Apply(&mut map));
                let large = changes.large.into_iter();
                map.extend(large.map(|large| (large.key, Arc::unwrap_or_clone(large.value))));
                Ok(())
            }
        }
    }

    /// Calls `visit` with entries from `from` on in key order while they begin with `prefix` and it
    /// returns true.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        match self {
            Kv::Rocks(on_disk) => on_disk.scan(prefix, from, visit)?,
            Kv::Memory(map) => {
                for (key, value) in read(map).range(from.to_vec()..) {
                    if !key.starts_with(prefix) || !visit(key, value) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The last key before `before` that begins with `prefix`.
    pub(super) fn last_before(&self, prefix: &[u8], before: &[u8]) -> Result<Option<Vec<u8>>> {
        let found = match self {
            Kv::Rocks(on_disk) => on_disk
                .db
                .iterator(IteratorMode::From(before, Direction::Reverse))
                .find(|entry| entry.as_ref().map_or(true, |(key, _)| &**key < before))
                .transpose()
                .map_err(disk_error)?
                .map(|(key, _)| key.into_vec()),
            Kv::Memory(map) => {
                read(map).range(..before.to_vec()).next_back().map(|(key, _)| key.clone())
            }
        };
        Ok(found.filter(|key| key.starts_with(prefix)))
    }
}

/// Applies changes to a tree.
struct Apply<'m>(&'m mut BTreeMap<Vec<u8>, Vec<u8>>);

impl WriteBatchIterator for Apply<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key.to_vec(), value.to_vec());
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }
}

/// Appends changes to a batch.
struct Append<'b>(&'b mut WriteBatch);

impl WriteBatchIterator for Append<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.put(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.delete(key);
    }
}

fn read(
    map: &RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
) -> std::sync::RwLockReadGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
    map.read().unwrap_or_else(|e| e.into_inner())
}

/// Whether a folder has files with records of a log.
fn holds_records(dir: &Path) -> bool {
    let files = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_filled = |file: &DirEntry| file.metadata().is_ok_and(|m| m.len() > 0);
    let of_store = |file: &DirEntry| {
        let path = file.path();
        matches!(path.extension().and_then(|end| end.to_str()), Some("sst" | "blob" | "log"))
    };
    files(dir).any(|file| is_filled(&file) && of_store(&file))
        || files(&dir.join(SEGMENTS)).any(|file| is_filled(&file))
}

/// What the store, or a file beside it, says.
#[derive(Debug, Error)]
enum StoreError {
    #[error(transparent)]
    Rocks(#[from] rocksdb::Error),
    #[error(transparent)]
    File(#[from] io::Error),
}

impl StoreError {
    /// Whether bytes, or files, are not there as they were written.
    fn is_damage(&self) -> bool {
        match self {
            Self::Rocks(error) => {
                let text = error.as_ref();
                error.kind() == ErrorKind::Corruption || text.contains("No such file or directory")
            }
            Self::File(error) => matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ),
        }
    }
}

fn damaged(dir: &Path, why: &str) -> RuntimeError {
    RuntimeError::user(format!("the embedded log in {} is damaged: {why}", dir.display()))
        .with_help(DAMAGED_HELP)
}

/// A failure of the disk under the log. A full disk is not repaired by trying again at once.
fn disk_error(error: impl Into<StoreError>) -> RuntimeError {
    let error: StoreError = error.into();
    let (text, is_damage) = (error.to_string(), error.is_damage());
    let full = ["No space left", "Disk quota", "File too large"].iter().any(|t| text.contains(t));
    let error = RuntimeError::external(format!("the embedded log cannot be used: {text}"));
    if is_damage {
        error.fatal().with_help(DAMAGED_HELP)
    } else if full {
        error.fatal().with_help("The disk is full: free space and start the job again.")
    } else {
        error
    }
}

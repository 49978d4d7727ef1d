//! The ordered key-value store under the embedded log: RocksDB on disk, a tree in memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::RwLock;

use rocksdb::{
    DB, DBCompressionType, DBRecoveryMode, Direction, ErrorKind, IteratorMode, Options, WriteBatch,
    WriteBatchIterator, WriteOptions,
};

use crate::error::{Result, RuntimeError};

/// Values of this size lie in files of their own, bytes.
const BLOB_BYTES_MIN: u64 = 16 << 10;

/// Writes that become visible and durable together: one buffer, whatever the store. Ranges that are
/// deleted are so before all else.
#[derive(Default)]
pub(super) struct Changes {
    deleted: Vec<Range<Vec<u8>>>,
    batch: WriteBatch,
}

impl Changes {
    /// None, with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { deleted: Vec::new(), batch: WriteBatch::with_capacity_bytes(bytes) }
    }

    /// A single write.
    pub(super) fn one(key: &[u8], value: &[u8]) -> Self {
        let mut changes = Self::default();
        changes.put(key, value);
        changes
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.batch.put(key, value);
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
    /// One batch of all. (What reads a batch back knows nothing of ranges.)
    fn with_ranges_first(self) -> WriteBatch {
        let mut whole = WriteBatch::default();
        for keys in self.deleted {
            whole.delete_range(keys.start, keys.end);
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
    Rocks(Box<DB>),
    /// In memory.
    Memory(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>),
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
        let mut options = Options::default();
        options.create_if_missing(true);
        // What was synced is there, or is missed. A crash cuts off the last record alone.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_keep_log_file_num(2);
        // Batches of records are written out once, and not again by each compaction of their keys.
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_blob_compression_type(DBCompressionType::None);
        options.set_enable_blob_gc(true);
        DB::open(&options, dir).map(|db| Kv::Rocks(Box::new(db))).map_err(|error| {
            match is_damage(&error) {
                true => damaged(dir, error.as_ref()),
                false => RuntimeError::external(format!("cannot open {}: {error}", dir.display())),
            }
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Kv::Rocks(db) => db.get(key).map_err(disk_error),
            Kv::Memory(map) => Ok(read(map).get(key).cloned()),
        }
    }

    /// Writes all changes, or none; on disk they are synced when this returns.
    pub(super) fn write(&self, changes: Changes) -> Result<()> {
        match self {
            Kv::Rocks(db) => {
                let mut options = WriteOptions::default();
                options.set_sync(true);
                let batch = match changes.deleted.is_empty() {
                    true => changes.batch,
                    false => changes.with_ranges_first(),
                };
                db.write_opt(batch, &options).map_err(disk_error)
            }
            Kv::Memory(map) => {
                let mut map = map.write().unwrap_or_else(|e| e.into_inner());
                for keys in &changes.deleted {
                    map.retain(|key, _| !keys.contains(key));
                }
                changes.batch.iterate(&mut Apply(&mut map));
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
            Kv::Rocks(db) => {
                for entry in db.iterator(IteratorMode::From(from, Direction::Forward)) {
                    let (key, value) = entry.map_err(disk_error)?;
                    if !key.starts_with(prefix) || !visit(&key, &value) {
                        break;
                    }
                }
            }
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

    /// The last entry before `before` that begins with `prefix`.
    pub(super) fn last_before(
        &self,
        prefix: &[u8],
        before: &[u8],
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let found = match self {
            Kv::Rocks(db) => db
                .iterator(IteratorMode::From(before, Direction::Reverse))
                .find(|entry| entry.as_ref().map_or(true, |(key, _)| &**key < before))
                .transpose()
                .map_err(disk_error)?
                .map(|(key, value)| (key.into_vec(), value.into_vec())),
            Kv::Memory(map) => read(map)
                .range(..before.to_vec())
                .next_back()
                .map(|(key, value)| (key.clone(), value.clone())),
        };
        Ok(found.filter(|(key, _)| key.starts_with(prefix)))
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
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files = files.map(|file| (file.path(), file.metadata().map_or(0, |m| m.len())));
    files.any(|(path, bytes)| {
        let end = path.extension().and_then(|end| end.to_str());
        bytes > 0 && matches!(end, Some("sst" | "blob" | "log"))
    })
}

/// Whether bytes, or files, are not there as they were written.
fn is_damage(error: &rocksdb::Error) -> bool {
    error.kind() == ErrorKind::Corruption || error.as_ref().contains("No such file or directory")
}

fn damaged(dir: &Path, why: &str) -> RuntimeError {
    RuntimeError::user(format!("the embedded log in {} is damaged: {why}", dir.display()))
        .with_help(DAMAGED_HELP)
}

/// A failure of the disk under the log. A full disk is not repaired by trying again at once.
fn disk_error(error: rocksdb::Error) -> RuntimeError {
    let (text, is_damage) = (error.to_string(), is_damage(&error));
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

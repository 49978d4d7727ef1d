//! The store on disk: one RocksDB per job with one column family. A key is a full key (`overlay`),
//! a value the bytes of a row; the position up to which the changelog is in the store is written
//! behind the rows. No WAL, no fsync: the truth is in the changelog. What a crash leaves is all
//! that was written up to some moment: the rows up to some position, and perhaps some that are
//! newer, which come again when the changelog is read from that position.
//!
//! Many changes at once are a sorted file that RocksDB takes in as it is: they are written once,
//! and not to a memtable first.
//!
//! The position is kept with its hash: what `publish` wrote is what `open` accepts.

use std::io::ErrorKind;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use flow_ir::row::{RowRef, key_hash};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBPinnableSlice, DBRawIterator, Direction,
    IngestExternalFileOptions, Options, ReadOptions, SnapshotWithThreadMode, SstFileWriter,
    WriteBatch, WriteOptions,
};

use super::error::StateError;
use super::overlay::{Change, KEY_PREFIX_BYTES, Overlay, push_full_key};

/// Blocks read from disk that stay in memory, bytes.
pub const BLOCK_CACHE_BYTES: usize = 64 << 20;
/// One memtable, bytes; up to `MEMTABLES_MAX` of them wait to be written out.
pub const MEMTABLE_BYTES: usize = 32 << 20;
/// Memtables.
pub const MEMTABLES_MAX: i32 = 3;
/// RocksDB's levels, and those of them whose blocks are not compressed.
const LEVELS: usize = 7;
const UNCOMPRESSED_LEVELS: usize = 2;
/// Bloom filter bits a key: about one useless read in a hundred.
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// Threads that write out and compact.
const BACKGROUND_JOBS: i32 = 2;
/// Files that RocksDB holds open.
const OPEN_FILES_MAX: i32 = 512;
/// Changes are written in pieces of about this size, bytes.
pub(super) const BATCH_BYTES: usize = 4 << 20;
/// So many changes at once become a file, bytes.
const FILE_BYTES_MIN: usize = 8 << 20;
/// The file that is about to be taken in.
const INCOMING: &str = "incoming";
/// Files of the youngest level before they are compacted: one is what comes at once, and what is
/// looked for there is found by its filters.
const YOUNG_FILES_MAX: i32 = 12;
/// Room in a piece beside that, bytes: for the entry that fills it, and the position.
const ROOM_BYTES: usize = 64 << 10;
/// Keys of one multi-get.
const MULTI_GET_KEYS_MAX: usize = 1024;

/// Column family of everything.
const FAMILY: &str = "default";
/// Version of what is written; another one is refused.
const FORMAT: &[u8] = b"flow state 1";
/// A file that is there when the store was found to be damaged, and says how.
const DAMAGED: &str = "DAMAGED";
/// The store's own entries, under the table number that no table has.
const FORMAT_KEY: &[u8] = b"\xff\xff\xff\xff\0format";
const POSITION_KEY: &[u8] = b"\xff\xff\xff\xff\0position";

/// A job's state on disk. Shared by the workers, who read, and the one publisher.
pub struct Disk {
    db: DB,
    path: PathBuf,
    failed: AtomicBool,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Disk {
    /// Opens the store in this folder, or makes it. Refuses one that another process has open, and
    /// one whose own entries are damaged.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        if let Ok(what) = std::fs::read_to_string(path.join(DAMAGED)) {
            return Err(StateError::Corrupt { path: path.to_path_buf(), what });
        }
        let options = options();
        let db = DB::open_cf_with_opts(&options, path, [(FAMILY, options.clone())])
            .map_err(|error| StateError::from_rocks(path, error))?;
        let disk = Self { db, path: path.to_path_buf(), failed: AtomicBool::new(false) };
        match disk.get_own(FORMAT_KEY)? {
            None => disk.write_own(FORMAT_KEY, FORMAT)?,
            Some(found) if found == FORMAT => {}
            Some(_) => return Err(disk.corrupt("it is of another version".to_string())),
        }
        disk.position()?;
        Ok(disk)
    }

    /// The store's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where restore continues: what was last given to `publish`. `None`: the store is empty.
    pub fn position(&self) -> Result<Option<Vec<u8>>, StateError> {
        let Some(value) = self.get_own(POSITION_KEY)? else { return Ok(None) };
        match value.split_first_chunk::<8>() {
            Some((hash, position)) if u64::from_le_bytes(*hash) == key_hash(position) => {
                Ok(Some(position.to_vec()))
            }
            Some(_) | None => Err(self.corrupt("its position is unreadable".to_string())),
        }
    }

    /// Writes changes and then the position that includes them. The overlays are of workers that
    /// own different key groups, and for the disk.
    pub fn publish(&self, overlays: &[&Overlay], position: &[u8]) -> Result<(), StateError> {
        let bytes = overlays.iter().map(|overlay| overlay.bytes()).sum();
        if bytes >= FILE_BYTES_MIN {
            return self.take_in(overlays, position);
        }
        let mut writer = DiskBatch::with_room(bytes);
        for change in in_key_order(overlays) {
            writer.push(change.full_key(), change.row().map(RowRef::bytes));
            if writer.bytes() >= BATCH_BYTES {
                self.write(std::mem::replace(&mut writer, DiskBatch::with_room(bytes)))?;
            }
        }
        writer.position(position);
        self.write(writer)?;
        debug_assert_eq!(self.position().ok().flatten().as_deref(), Some(position));
        Ok(())
    }

    /// Publishes changes by way of a file.
    pub(super) fn take_in(&self, overlays: &[&Overlay], position: &[u8]) -> Result<(), StateError> {
        // The file with its position outlives a crash. So must all that came before it.
        self.flush()?;
        let path = self.path.join(INCOMING);
        // What a crash left may be a file of the database under a second name, not to be written.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.io_error(error)),
            Ok(()) | Err(_) => {}
        }
        let options = file_options();
        self.write_file(&options, &path, overlays, position).map_err(|error| self.error(error))?;
        let mut take_in = IngestExternalFileOptions::default();
        take_in.set_move_files(true);
        let taken = self.db.ingest_external_file_opts(&take_in, vec![path]);
        taken.map_err(|error| self.error(error))
    }

    fn write_file(
        &self,
        options: &Options,
        path: &Path,
        overlays: &[&Overlay],
        position: &[u8],
    ) -> Result<(), rocksdb::Error> {
        let mut file = SstFileWriter::create(options);
        file.open(path)?;
        for change in in_key_order(overlays) {
            match change.row() {
                Some(row) => file.put(change.full_key(), row.bytes())?,
                None => file.delete(change.full_key())?,
            }
        }
        // No table comes after the store's own.
        file.put(POSITION_KEY, hashed(position))?;
        file.finish()
    }

    /// Writes a batch, all or nothing.
    pub(super) fn write(&self, batch: DiskBatch) -> Result<(), StateError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch.batch, &options).map_err(|error| self.error(error))
    }

    /// Brings to disk what was written, as closing the store does; but that tells no errors.
    ///
    /// # Errors
    /// If it cannot be written, now or before in the background.
    pub fn flush(&self) -> Result<(), StateError> {
        self.db.flush().map_err(|error| self.error(error))
    }

    /// Deletes everything, the position too.
    pub fn wipe(&self) -> Result<(), StateError> {
        let mut batch = WriteBatch::default();
        batch.delete_range(&[][..], FORMAT_KEY);
        batch.delete(POSITION_KEY);
        self.write(DiskBatch { batch })?;
        self.flush()?;
        self.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    /// Bytes of the files, about.
    pub fn bytes(&self) -> u64 {
        let live = self.db.property_int_value("rocksdb.live-sst-files-size");
        let memory = self.db.property_int_value("rocksdb.cur-size-all-mem-tables");
        live.ok().flatten().unwrap_or(0) + memory.ok().flatten().unwrap_or(0)
    }

    /// Calls `each` with the group, key and row bytes (not verified) of a table's entries in these
    /// key groups, in the order of group and key, until it breaks.
    pub fn load(
        &self,
        table: u32,
        groups: RangeInclusive<u8>,
        mut each: impl FnMut(u8, &[u8], &[u8]) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<(), StateError> {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        push_full_key(table, *groups.start(), [&[], &[]], &mut from);
        match groups.end().checked_add(1) {
            Some(group) => push_full_key(table, group, [&[], &[]], &mut to),
            None => push_full_key(table + 1, 0, [&[], &[]], &mut to),
        }
        self.scan(&from, &to, Direction::Forward, |full_key, row| {
            match full_key.get(KEY_PREFIX_BYTES - 1..).and_then(<[u8]>::split_first) {
                Some((group, key)) => each(*group, key, row),
                None => Err(self.corrupt(format!("a key of {} bytes", full_key.len()))),
            }
        })
    }

    /// The store as it is now.
    pub fn snapshot(&self) -> DiskSnapshot<'_> {
        DiskSnapshot { disk: self, snapshot: self.db.snapshot() }
    }

    /// Whether an operation has failed: the store is to be opened anew then.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Calls `each` with the full key and row bytes of the entries from `from` to before `to`,
    /// forward or backward, until it breaks.
    pub(super) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<(), StateError> {
        self.scan_at(ReadOptions::default(), from, to, direction, each).map(drop)
    }

    fn scan_at(
        &self,
        mut options: ReadOptions,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<ControlFlow<()>, StateError> {
        if from >= to {
            return Ok(ControlFlow::Continue(()));
        }
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(to);
        let mut entries: DBRawIterator<'_> = self.db.raw_iterator_opt(options);
        match direction {
            Direction::Forward => entries.seek_to_first(),
            Direction::Reverse => entries.seek_to_last(),
        }
        while let Some((key, value)) = entries.item() {
            if each(key, value)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            match direction {
                Direction::Forward => entries.next(),
                Direction::Reverse => entries.prev(),
            }
        }
        entries.status().map_err(|error| self.error(error))?;
        Ok(ControlFlow::Continue(()))
    }

    /// The row bytes of a full key.
    pub(super) fn get(&self, full_key: &[u8]) -> Result<Option<DBPinnableSlice<'_>>, StateError> {
        self.db.get_pinned(full_key).map_err(|error| self.error(error))
    }

    /// Calls `each` with the place and row bytes of those of the full keys that are there. The
    /// keys ascend.
    pub(super) fn multi_get(
        &self,
        full_keys: &[&[u8]],
        mut each: impl FnMut(usize, &[u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        debug_assert!(full_keys.is_sorted(), "a multi-get reads in key order");
        let family = self.db.cf_handle(FAMILY).expect("opened with this family");
        for (chunk, keys) in full_keys.chunks(MULTI_GET_KEYS_MAX).enumerate() {
            let found = self.db.batched_multi_get_cf(family, keys.iter().copied(), true);
            for (i, row) in found.into_iter().enumerate() {
                if let Some(row) = row.map_err(|error| self.error(error))? {
                    each(chunk * MULTI_GET_KEYS_MAX + i, &row)?;
                }
            }
        }
        Ok(())
    }

    /// An error that says what is wrong with this store's bytes.
    pub(super) fn corrupt(&self, what: String) -> StateError {
        self.failed(StateError::Corrupt { path: self.path.clone(), what })
    }

    fn error(&self, error: rocksdb::Error) -> StateError {
        self.failed(StateError::from_rocks(&self.path, error))
    }

    /// Notes that an operation has failed. What was found to be damaged opens no more, also where
    /// opening reads nothing of it.
    fn failed(&self, error: StateError) -> StateError {
        self.failed.store(true, Ordering::Relaxed);
        if let StateError::Corrupt { what, .. } = &error {
            // Where even that cannot be written it is found to be damaged again.
            let _ = std::fs::write(self.path.join(DAMAGED), what);
        }
        error
    }

    fn io_error(&self, error: std::io::Error) -> StateError {
        self.failed(StateError::Io { path: self.path.clone(), message: error.to_string() })
    }

    fn get_own(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.get(key)?.map(|value| value.to_vec()))
    }

    fn write_own(&self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        self.db.put(key, value).map_err(|error| self.error(error))
    }
}

/// Takes keys and values until it breaks.
type Each<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StateError> + 'a;

/// The store as it was at some moment, between two epochs.
pub struct DiskSnapshot<'a> {
    disk: &'a Disk,
    snapshot: SnapshotWithThreadMode<'a, DB>,
}

impl DiskSnapshot<'_> {
    /// Calls `each` with keys and row bytes (not verified) of a table's entries, by group and key,
    /// until it breaks.
    pub fn table(
        &self,
        table: u32,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<ControlFlow<()>, StateError> {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        push_full_key(table, 0, [&[], &[]], &mut from);
        push_full_key(table + 1, 0, [&[], &[]], &mut to);
        self.scan(&from, &to, &mut each)
    }

    /// The same of the entries of a group with keys from `from` to before `to` (`None`: to the
    /// end).
    pub fn range(
        &self,
        table: u32,
        group: u8,
        from: &[u8],
        to: Option<&[u8]>,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<ControlFlow<()>, StateError> {
        let (mut low, mut high) = (Vec::new(), Vec::new());
        push_full_key(table, group, [from, &[]], &mut low);
        match (to, group.checked_add(1)) {
            (Some(to), _) => push_full_key(table, group, [to, &[]], &mut high),
            (None, Some(group)) => push_full_key(table, group, [&[], &[]], &mut high),
            (None, None) => push_full_key(table + 1, 0, [&[], &[]], &mut high),
        }
        self.scan(&low, &high, &mut each)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        each: &mut Each<'_>,
    ) -> Result<ControlFlow<()>, StateError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        self.disk.scan_at(options, from, to, Direction::Forward, |full_key, row| {
            match full_key.get(KEY_PREFIX_BYTES..) {
                Some(key) => each(key, row),
                None => Err(self.corrupt(format!("a key of {} bytes", full_key.len()))),
            }
        })
    }

    /// An error that says what is wrong with the store's bytes.
    pub(crate) fn corrupt(&self, what: String) -> StateError {
        self.disk.corrupt(what)
    }
}

/// Entries that are written together.
pub(super) struct DiskBatch {
    batch: WriteBatch,
}

impl DiskBatch {
    /// One with room for so many bytes, or for as many as are written together.
    pub(super) fn with_room(bytes: usize) -> Self {
        let room = bytes.min(BATCH_BYTES) + ROOM_BYTES;
        Self { batch: WriteBatch::with_capacity_bytes(room) }
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.batch.size_in_bytes()
    }

    /// Adds a row, or the removal of a key.
    pub(super) fn push(&mut self, full_key: &[u8], row: Option<&[u8]>) {
        match row {
            Some(row) => self.batch.put(full_key, row),
            None => self.batch.delete(full_key),
        }
    }

    /// Adds the position that includes the entries.
    pub(super) fn position(&mut self, position: &[u8]) {
        self.batch.put(POSITION_KEY, hashed(position));
    }
}

/// A position behind its hash.
fn hashed(position: &[u8]) -> Vec<u8> {
    [&key_hash(position).to_le_bytes(), position].concat()
}

/// The changes of all overlays by full key: they are merged as they are written. Each (table,
/// group) is of one overlay only, so whole runs come from one.
fn in_key_order<'a>(overlays: &[&'a Overlay]) -> impl Iterator<Item = Change<'a>> {
    let mut sources: Vec<_> = overlays.iter().map(|o| o.changes().peekable()).collect();
    let mut current = 0;
    let mut run: Option<[u8; KEY_PREFIX_BYTES]> = None;
    std::iter::from_fn(move || {
        let prefix = sources.get_mut(current)?.peek().map(|change| change.prefix());
        if prefix.is_none() || prefix != run {
            let heads = sources.iter_mut().enumerate();
            let heads = heads.filter_map(|(i, source)| Some((source.peek()?.full_key(), i)));
            current = heads.min()?.1;
            run = sources[current].peek().map(|change| change.prefix());
        }
        sources[current].next()
    })
}

fn blocks() -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    blocks
}

/// Of a file that is to be taken in. It is young, and soon compacted.
fn file_options() -> Options {
    let mut blocks = blocks();
    blocks.disable_cache();
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::None);
    options
}

fn options() -> Options {
    let mut blocks = blocks();
    blocks.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE_BYTES));
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    // What is young is soon written again.
    let levels = [DBCompressionType::None; UNCOMPRESSED_LEVELS];
    let others = [DBCompressionType::Lz4; LEVELS - UNCOMPRESSED_LEVELS];
    options.set_compression_per_level(&[&levels[..], &others[..]].concat());
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_write_buffer_number(MEMTABLES_MAX);
    options.set_level_zero_file_num_compaction_trigger(YOUNG_FILES_MAX);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_keep_log_file_num(2);
    options
}

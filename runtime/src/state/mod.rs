//! State: the tables of a job, kept in memory first, on disk behind, in the changelog for ever.
//!
//! ```text
//! operators ─change in place─> tables ─seal─> Overlay ─> changelog records ─> (Kafka commits)
//!                                 ^    │
//!                                 │    └─at times─> Overlay ─> Disk::publish, with the position
//!                                 └──── what is only on disk is read back when asked for
//! ```
//!
//! Every epoch has its records in the changelog; the disk follows some epochs later, with all that
//! has changed meanwhile and is still so. A row that came and went in between never gets there.
//!
//! One process has W workers and one `Disk`; a worker has one `StateStore` with all tables of the
//! job, holding the keys of the key groups that it owns.
//!
//! What always holds:
//! * An epoch's changes are in memory only, until the epoch is committed. A failed epoch drops the
//!   stores and opens them again: there is no undo.
//! * For a key that memory knows (a row, or a mark that it is gone) memory is right; for any other
//!   the disk is. So rows stay in memory until `published` says that they are on disk, and so do
//!   marks of keys that may be there.
//! * While nothing of a table is only on disk, the table does not read from disk.
//! * Rows that come from disk or changelog are verified first.

mod changelog;
mod error;
mod index;
mod load;
mod ordered;
mod overlay;
mod point;
mod prefetch;
mod rocks;
mod slots;
mod small;
mod spill;
mod windowed;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flow_ir::ids::TableId;
use flow_ir::physical::{TableKind, TableSpec};
use flow_ir::row::RowLayout;

pub use changelog::{Record, Restorer, records, shard_of};
pub use error::{RecordError, RestoreError, StateError};
pub use ordered::{OrderedEntry, OrderedTable};
pub use overlay::{Change, KEY_PREFIX_BYTES, Overlay};
pub use point::{PointTable, SlotId};
pub use rocks::{BLOCK_CACHE_BYTES, Disk, DiskSnapshot, MEMTABLE_BYTES, MEMTABLES_MAX};
pub use spill::prefix_end;
pub(crate) use spill::row_words;
pub use windowed::WindowedTable;

use changelog::RecordReader;
use overlay::{OverlayBuilder, Room};
use spill::DiskTable;

/// Eviction, once begun, goes on until this many percent of the budget are used, so that it is
/// not needed again at once. Loading at the start stops there too.
const LOW_WATER_PERCENT: usize = 75;

/// What a store is made of.
#[derive(Clone, Debug)]
pub struct StoreConfig<'a> {
    /// The job's tables, by `TableId`.
    pub specs: &'a [TableSpec],
    /// The tables' numbers in the job's directory, by `TableId`: different, below `u32::MAX`.
    pub numbers: &'a [u32],
    /// The key groups that the worker owns.
    pub groups: &'a [u8],
    /// The job's store on disk; without it nothing is evicted.
    pub disk: Option<Arc<Disk>>,
    /// Memory for tables and overlays for the disk, bytes. What an epoch touches, and what is not
    /// on disk yet, stays in memory even if it is more.
    pub budget_bytes: usize,
}

/// The tables of a worker.
#[derive(Debug)]
pub struct StateStore {
    tables: Vec<Table>,
    /// Table numbers to places in `tables`.
    places: BTreeMap<u32, usize>,
    groups: Arc<[u8]>,
    reader: RecordReader,
    has_disk: bool,
    budget_bytes: usize,
    /// The epoch under way, from 1: the number that its seal will have.
    epoch: u32,
    /// The last epoch whose changes were handed out for the disk.
    stored_until: u32,
    /// Handed out and not yet on disk, oldest first.
    pending: VecDeque<Arc<Overlay>>,
    /// What the epoch before changed: about as much as the next will.
    room: Room,
    /// What the sealed epochs changed that the disk has not followed, keys again and again.
    behind: Room,
}

/// A sealed epoch.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// What the epoch changed.
    pub changes: Arc<Overlay>,
    /// All that is to go to disk, if something is: once the epoch is committed.
    pub for_disk: Option<Arc<Overlay>>,
}

#[derive(Debug)]
struct Table {
    number: u32,
    /// Its part of the disk.
    disk: Option<DiskTable>,
    rows: Rows,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a store has a few tables, and they do not move")]
enum Rows {
    Point(PointTable),
    Ordered(OrderedTable),
    Windowed(WindowedTable),
}

/// What of a table is in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSize {
    /// Keys, also those that are gone and not yet gone from disk.
    pub rows: usize,
    /// Memory, bytes.
    pub bytes: usize,
}

impl TableSize {
    /// Adds another part.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

impl Rows {
    /// Keys in memory.
    fn len(&self) -> usize {
        match self {
            Rows::Point(table) => table.len(),
            Rows::Ordered(table) => table.len(),
            Rows::Windowed(table) => table.len(),
        }
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Rows::Point(table) => table.memory_bytes(),
            Rows::Ordered(table) => table.memory_bytes(),
            Rows::Windowed(table) => table.memory_bytes(),
        }
    }

    fn evict(&mut self, want: usize, published: u32) -> usize {
        match self {
            Rows::Point(table) => table.evict(want, published),
            Rows::Ordered(table) => table.evict(want, published),
            Rows::Windowed(table) => table.evict(want, published),
        }
    }
}

impl StateStore {
    /// Empty tables. `load` fills them from disk, `restore` from records.
    pub fn new(config: &StoreConfig<'_>) -> Self {
        assert_eq!(config.specs.len(), config.numbers.len(), "a number a table");
        let mut groups = config.groups.to_vec();
        groups.sort_unstable();
        groups.dedup();
        let groups: Arc<[u8]> = groups.into();
        let epoch = 1;
        let table = |(spec, &number): (&TableSpec, &u32)| {
            assert_ne!(number, u32::MAX, "the last table number is the store's own");
            let layout = Arc::new(RowLayout::new(spec.value.clone()));
            let disk = config
                .disk
                .as_ref()
                .map(|disk| DiskTable::new(disk.clone(), number, layout.clone(), groups.clone()));
            let rows = match spec.kind {
                TableKind::Point => Rows::Point(PointTable::new(layout, disk.clone(), epoch)),
                TableKind::Ordered => Rows::Ordered(OrderedTable::new(layout, disk.clone(), epoch)),
                TableKind::Windowed => {
                    Rows::Windowed(WindowedTable::new(number, layout, disk.clone(), epoch))
                }
            };
            Table { number, disk, rows }
        };
        let tables: Vec<Table> = config.specs.iter().zip(config.numbers).map(table).collect();
        let places: BTreeMap<u32, usize> =
            tables.iter().enumerate().map(|(place, table)| (table.number, place)).collect();
        assert_eq!(places.len(), tables.len(), "table numbers differ");
        Self {
            tables,
            places,
            groups,
            reader: RecordReader::new(config.specs, config.numbers),
            has_disk: config.disk.is_some(),
            budget_bytes: config.budget_bytes,
            epoch,
            stored_until: epoch - 1,
            pending: VecDeque::new(),
            room: Room::default(),
            behind: Room::default(),
        }
    }

    /// Changes the memory for tables and overlays for the disk; eviction follows it.
    pub fn set_budget(&mut self, bytes: usize) {
        self.budget_bytes = bytes;
    }

    /// A point table.
    ///
    /// # Panics
    /// If the plan declares the table as of another kind; likewise below.
    pub fn point(&mut self, id: TableId) -> &mut PointTable {
        match &mut self.tables[id.index()].rows {
            Rows::Point(table) => table,
            Rows::Ordered(_) | Rows::Windowed(_) => panic!("table {} is not point", id.0),
        }
    }

    /// An ordered table.
    pub fn ordered(&mut self, id: TableId) -> &mut OrderedTable {
        match &mut self.tables[id.index()].rows {
            Rows::Ordered(table) => table,
            Rows::Point(_) | Rows::Windowed(_) => panic!("table {} is not ordered", id.0),
        }
    }

    /// A windowed table.
    pub fn windowed(&mut self, id: TableId) -> &mut WindowedTable {
        match &mut self.tables[id.index()].rows {
            Rows::Windowed(table) => table,
            Rows::Point(_) | Rows::Ordered(_) => panic!("table {} is not windowed", id.0),
        }
    }

    /// Ends the epoch: copies the rows that it touched, and begins the next. If the disk is to
    /// follow it, copies also what has changed since the disk last followed one.
    pub fn seal(&mut self, to_disk: bool) -> Sealed {
        // If nothing else waits for the disk, one overlay is for both.
        let (to_disk, is_both) = (to_disk && self.has_disk, self.stored_until + 1 == self.epoch);
        let mut out = OverlayBuilder::with_room(self.room);
        for table in &mut self.tables {
            match &mut table.rows {
                Rows::Point(rows) => rows.seal(table.number, &[], to_disk && is_both, &mut out),
                Rows::Ordered(rows) => rows.seal(table.number, to_disk && is_both, &mut out),
                Rows::Windowed(rows) => rows.seal(to_disk && is_both, &mut out),
            }
        }
        let (changes, for_disk) = if to_disk && is_both {
            let both = Arc::new(out.finish_for_disk(self.epoch));
            (both.clone(), Some(both))
        } else {
            let changes = Arc::new(out.finish(self.epoch));
            self.behind.add(changes.room());
            (changes, to_disk.then(|| self.seal_for_disk()))
        };
        if let Some(overlay) = &for_disk {
            self.pending.push_back(overlay.clone());
            self.stored_until = self.epoch;
        }
        self.room = changes.room();
        self.epoch += 1;
        Sealed { changes, for_disk }
    }

    /// What has changed in the tables, all sealed, since the disk last followed.
    fn seal_for_disk(&mut self) -> Arc<Overlay> {
        let mut out = OverlayBuilder::with_room(std::mem::take(&mut self.behind));
        for table in &mut self.tables {
            match &mut table.rows {
                Rows::Point(rows) => rows.seal_for_disk(table.number, &[], &mut out),
                Rows::Ordered(rows) => rows.seal_for_disk(table.number, &mut out),
                Rows::Windowed(rows) => rows.seal_for_disk(&mut out),
            }
        }
        Arc::new(out.finish_for_disk(self.epoch))
    }

    /// Tells the store that what was handed out up to this seal is on disk, and evicts down to the
    /// budget. To be called between batches.
    pub fn published(&mut self, seal: u32) {
        while self.pending.front().is_some_and(|overlay| overlay.seal() <= seal) {
            let overlay = self.pending.pop_front().unwrap_or_default();
            for change in overlay.changes().filter(|change| change.row().is_none()) {
                let (group, key) = (change.group(), change.key());
                match &mut self.tables[self.places[&change.table()]].rows {
                    Rows::Point(table) => table.bury(group, key, seal),
                    Rows::Ordered(table) => table.bury(key, seal),
                    Rows::Windowed(table) => table.bury(group, key, seal),
                }
            }
        }
        self.evict(seal);
    }

    /// Memory of tables and of overlays that wait for the disk, bytes.
    pub fn memory_bytes(&self) -> usize {
        self.table_bytes() + self.pending.iter().map(|overlay| overlay.bytes()).sum::<usize>()
    }

    /// What each table holds in memory, by `TableId`.
    pub fn table_sizes(&self) -> impl Iterator<Item = TableSize> + '_ {
        self.tables
            .iter()
            .map(|table| TableSize { rows: table.rows.len(), bytes: table.rows.memory_bytes() })
    }

    /// Evicts rows that are on disk, a share of each table by its size, if over the budget.
    fn evict(&mut self, published: u32) {
        let (used, tables) = (self.memory_bytes(), self.table_bytes());
        if !self.has_disk || used <= self.budget_bytes {
            return;
        }
        let want = used - self.low_water_bytes();
        for table in &mut self.tables {
            let share = want as u128 * table.rows.memory_bytes() as u128 / tables.max(1) as u128;
            table.rows.evict(usize::try_from(share).unwrap_or(usize::MAX), published);
        }
    }

    fn table_bytes(&self) -> usize {
        self.tables.iter().map(|table| table.rows.memory_bytes()).sum()
    }

    fn low_water_bytes(&self) -> usize {
        self.budget_bytes / 100 * LOW_WATER_PERCENT
    }
}

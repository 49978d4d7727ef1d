//! Filling a store at the start: from disk, as much as the budget holds, or from records.

use std::ops::ControlFlow;

use flow_ir::row::{RowRef, order_i64};
use rocksdb::Direction;

use super::error::{RecordError, StateError};
use super::spill::DiskTable;
use super::windowed::split_end;
use super::{Rows, StateStore, WindowedTable};

/// Memory that a row takes beside its key and words, bytes, about.
const ROW_OVERHEAD_BYTES: usize = 64;

impl StateStore {
    /// Reads the worker's key groups from disk, until memory is used up to the budget; what is
    /// beyond stays on disk until asked for. Committed overlays are published before. To be called
    /// once, on an empty store.
    pub fn load(&mut self) -> Result<(), StateError> {
        let mut room = self.low_water_bytes();
        let groups = self.groups.clone();
        for table in &mut self.tables {
            let Some(disk) = &table.disk else { continue };
            for &group in groups.iter() {
                load_group(disk, group, &mut table.rows, &mut room)?;
            }
        }
        Ok(())
    }

    /// Puts a changelog record into memory: for a store without disk. Records of key groups that
    /// the worker does not own are passed over.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        assert!(!self.has_disk, "a store with a disk is restored by way of the disk");
        let record = self.reader.read(key, value)?;
        if self.groups.binary_search(&record.group).is_ok() {
            let row = record.row.as_deref().map(RowRef::new);
            self.tables[self.places[&record.table]].rows.restore(record.group, record.key, row);
        }
        Ok(())
    }
}

impl Rows {
    /// Puts a row as it is on disk or in the changelog.
    fn restore(&mut self, group: u8, key: &[u8], row: Option<RowRef<'_>>) {
        match self {
            Rows::Point(table) => table.restore(group, key, row),
            Rows::Ordered(table) => table.restore(group, key, row),
            Rows::Windowed(table) => {
                if let Some((end, key)) = split_end(key) {
                    table.at(end).restore(group, key, row);
                }
            }
        }
    }
}

/// Reads a table's rows of one key group while there is room.
fn load_group(
    disk: &DiskTable,
    group: u8,
    rows: &mut Rows,
    room: &mut usize,
) -> Result<(), StateError> {
    let mut complete = true;
    disk.scan(group, &[], None, Direction::Forward, |key, row| {
        let bytes = key.len() + row.len() * 8 + ROW_OVERHEAD_BYTES;
        complete = bytes <= *room;
        if !complete {
            return ControlFlow::Break(());
        }
        *room -= bytes;
        rows.restore(group, key, Some(RowRef::new(row)));
        ControlFlow::Continue(())
    })?;
    match rows {
        _ if complete => Ok(()),
        Rows::Point(table) => {
            table.more_on_disk();
            Ok(())
        }
        Rows::Ordered(table) => {
            table.more_on_disk(group);
            Ok(())
        }
        Rows::Windowed(table) => list_windows(disk, group, table),
    }
}

/// Begins the windows of which a group has rows on disk: one look per window, not per row.
fn list_windows(disk: &DiskTable, group: u8, table: &mut WindowedTable) -> Result<(), StateError> {
    let mut from = Vec::new();
    while let Some(key) = disk.first_key(group, &from)? {
        let Some((end, _)) = split_end(&key) else { return Err(disk.corrupt_key(&key)) };
        table.at(end).more_on_disk();
        match end.checked_add(1) {
            Some(next) => from = order_i64(next).to_vec(),
            None => break,
        }
    }
    Ok(())
}

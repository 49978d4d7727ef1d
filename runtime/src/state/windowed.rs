//! The windowed table: one point table per window end, so that a window that closes goes as a
//! whole. In the changelog and on disk a key is the end (`order_i64`), then the key bytes.
//!
//! A window stays listed while anything of it is on disk, even if no row of it is in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_ir::row::{RowLayout, order_i64};

use super::error::StateError;
use super::overlay::OverlayBuilder;
use super::point::PointTable;
use super::spill::DiskTable;

/// Bytes of the window's end in a key.
pub(super) const END_BYTES: usize = 8;

/// Key bytes to one row, per window.
#[derive(Debug)]
pub struct WindowedTable {
    table: u32,
    layout: Arc<RowLayout>,
    windows: BTreeMap<i64, PointTable>,
    /// Removals of the windows dropped in this epoch.
    dropped: OverlayBuilder,
    /// Of those dropped since rows were last handed out for the disk, what may be there.
    dropped_on_disk: OverlayBuilder,
    epoch: u32,
    disk: Option<DiskTable>,
}

impl WindowedTable {
    /// An empty table with this number, in this epoch.
    pub(super) fn new(
        table: u32,
        layout: Arc<RowLayout>,
        disk: Option<DiskTable>,
        epoch: u32,
    ) -> Self {
        Self {
            table,
            layout,
            windows: BTreeMap::new(),
            dropped: OverlayBuilder::default(),
            dropped_on_disk: OverlayBuilder::default(),
            epoch,
            disk,
        }
    }

    /// The layout of the values.
    pub fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }

    /// The table of the window that ends at `end` (event time, microseconds); begins the window if
    /// there is none.
    pub fn at(&mut self, end: i64) -> &mut PointTable {
        let (layout, disk, epoch) = (&self.layout, &self.disk, self.epoch);
        self.windows.entry(end).or_insert_with(|| {
            let disk = disk.as_ref().map(|disk| disk.under(&order_i64(end)));
            PointTable::new(layout.clone(), disk, epoch)
        })
    }

    /// The table of the window that ends at `end`, if there is such a window.
    pub fn window(&mut self, end: i64) -> Option<&mut PointTable> {
        self.windows.get_mut(&end)
    }

    /// The ends of all windows, ascending.
    pub fn ends(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.windows.keys().copied()
    }

    /// The ends of the windows with end ≤ `mark`, ascending.
    pub fn ends_until(&self, mark: i64) -> Vec<i64> {
        self.windows.range(..=mark).map(|(&end, _)| end).collect()
    }

    /// The ends of the windows in which a key was touched in this epoch, ascending.
    pub fn touched_ends(&self) -> Vec<i64> {
        let touched = self.windows.iter().filter(|(_, window)| !window.touched().is_empty());
        touched.map(|(&end, _)| end).collect()
    }

    /// Drops a window: all its keys are gone. Nothing if there is no such window.
    pub fn remove_window(&mut self, end: i64) -> Result<(), StateError> {
        if let Some(mut window) = self.windows.remove(&end) {
            let (dropped, on_disk) = (&mut self.dropped, &mut self.dropped_on_disk);
            window.seal_dropped(self.table, &order_i64(end), dropped, on_disk)?;
        }
        Ok(())
    }

    /// Keys in memory, of all windows.
    pub fn len(&self) -> usize {
        self.windows.values().map(PointTable::len).sum()
    }

    /// Whether no key is in memory.
    pub fn is_empty(&self) -> bool {
        self.windows.values().all(PointTable::is_empty)
    }

    /// Memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        let windows = self.windows.values().map(PointTable::memory_bytes).sum::<usize>();
        windows + self.dropped.bytes() + self.dropped_on_disk.bytes()
    }

    /// Copies what the epoch changed; begins the next. If it is `for_disk` as well, nothing else
    /// awaits to be handed out for the disk.
    pub(super) fn seal(&mut self, for_disk: bool, out: &mut OverlayBuilder) {
        out.append(std::mem::take(&mut self.dropped));
        for (end, window) in &mut self.windows {
            window.seal(self.table, &order_i64(*end), for_disk, out);
        }
        if for_disk {
            self.dropped_on_disk = OverlayBuilder::default();
        }
        self.epoch += 1;
    }

    /// Copies what was changed in the sealed epochs since rows were last handed out for the disk.
    pub(super) fn seal_for_disk(&mut self, out: &mut OverlayBuilder) {
        out.append(std::mem::take(&mut self.dropped_on_disk));
        for (end, window) in &mut self.windows {
            window.seal_for_disk(self.table, &order_i64(*end), out);
        }
    }

    /// Drops the mark of a key (its window's end first) whose removal is on disk.
    pub(super) fn bury(&mut self, group: u8, key: &[u8], published: u32) {
        if let Some((end, key)) = split_end(key)
            && let Some(window) = self.windows.get_mut(&end)
        {
            window.bury(group, key, published);
        }
    }

    /// Evicts clean rows until about `want` bytes are free; returns the bytes freed. Windows that
    /// were touched longest ago first, of those the farthest.
    pub(super) fn evict(&mut self, want: usize, published: u32) -> usize {
        let mut order: Vec<(u32, i64)> =
            self.windows.iter().map(|(&end, window)| (window.last_touch(), end)).collect();
        order.sort_unstable_by_key(|&(touch, end)| (touch, std::cmp::Reverse(end)));
        let mut freed = 0;
        for (_, end) in order {
            if freed >= want {
                break;
            }
            freed += self.at(end).evict(want - freed, published);
        }
        freed
    }
}

/// Splits a key of a windowed table into the window's end and the key proper.
pub(super) fn split_end(key: &[u8]) -> Option<(i64, &[u8])> {
    let (end, key) = key.split_first_chunk::<END_BYTES>()?;
    Some(((u64::from_be_bytes(*end) ^ (1 << 63)) as i64, key))
}

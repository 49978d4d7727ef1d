//! Reading from disk what of an ordered table is only there.

use std::ops::{Bound, ControlFlow};

use flow_ir::row::RowRef;
use rocksdb::Direction;

use super::super::error::StateError;
use super::super::small::Key;
use super::super::spill::DiskTable;
use super::{Entry, OrderedTable, is_empty};

/// Entries that a walk reads from disk before it looks at them.
const ENTRIES_READ_AT_ONCE: usize = 64;

impl OrderedTable {
    pub(super) fn read_key(&mut self, group: u8, key: &[u8]) -> Result<(), StateError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        if self.key_may_be_away(group, key)
            && !self.tree.contains_key(&Key::new(key))
            && let Some(row) = disk.get(group, key)?
        {
            self.came_back(group, key, RowRef::new(&row));
        }
        Ok(())
    }

    /// The disk, if something of a group, or of any, may be only there.
    fn disk_for(&self, group: Option<u8>) -> Option<DiskTable> {
        let disk = self.disk.as_ref()?;
        let any = |group: u8| self.only_on_disk[usize::from(group)].any();
        let needed = match group {
            Some(group) => any(group),
            None => disk.groups().iter().any(|group| any(*group)),
        };
        needed.then(|| disk.clone())
    }

    pub(super) fn read_range(
        &mut self,
        group: Option<u8>,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<(), StateError> {
        let Some(disk) = self.disk_for(group) else { return Ok(()) };
        let (low, high) = disk_range(from, to);
        for &g in disk.groups() {
            let wanted = group.is_none_or(|group| group == g);
            if !wanted || !self.only_on_disk[usize::from(g)].any() {
                continue;
            }
            disk.scan(g, &low, high.as_deref(), Direction::Forward, |key, row| {
                if !self.tree.contains_key(&Key::new(key)) {
                    self.came_back(g, key, RowRef::new(row));
                }
                ControlFlow::Continue(())
            })?;
            if low.is_empty() && high.is_none() {
                self.only_on_disk[usize::from(g)].none();
            }
        }
        Ok(())
    }

    /// Reads some entries from the start of a range; the key until which all are in memory then,
    /// `None` if all of the range is.
    pub(super) fn read_some(
        &mut self,
        group: u8,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> Result<Option<Vec<u8>>, StateError> {
        if is_empty(from, to) {
            return Ok(None);
        }
        let Some(disk) = self.disk_for(Some(group)) else { return Ok(None) };
        let (low, high) = disk_range(from, to);
        let (mut left, mut last) = (ENTRIES_READ_AT_ONCE, None);
        disk.scan(group, &low, high.as_deref(), Direction::Forward, |key, row| {
            if !self.tree.contains_key(&Key::new(key)) {
                self.came_back(group, key, RowRef::new(row));
            }
            left -= 1;
            if left > 0 {
                return ControlFlow::Continue(());
            }
            last = Some(key.to_vec());
            ControlFlow::Break(())
        })?;
        Ok(last)
    }

    /// Reads from one end of a range until an entry that is there is in memory.
    pub(super) fn read_end(
        &mut self,
        group: u8,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<(), StateError> {
        if is_empty(from, to) {
            return Ok(());
        }
        let Some(disk) = self.disk_for(Some(group)) else { return Ok(()) };
        let (low, high) = disk_range(from, to);
        disk.scan(group, &low, high.as_deref(), direction, |key, row| {
            match self.tree.get(&Key::new(key)) {
                Some(Entry { row: None, .. }) => return ControlFlow::Continue(()),
                Some(Entry { row: Some(_), .. }) => {}
                None => self.came_back(group, key, RowRef::new(row)),
            }
            ControlFlow::Break(())
        })
    }
}

/// The same range as a first key and the key after the last, if there is one.
fn disk_range(from: Bound<&[u8]>, to: Bound<&[u8]>) -> (Vec<u8>, Option<Vec<u8>>) {
    // Between a key and the same key with a zero byte more there is no other.
    let after = |key: &[u8]| [key, &[0]].concat();
    let low = match from {
        Bound::Unbounded => Vec::new(),
        Bound::Included(key) => key.to_vec(),
        Bound::Excluded(key) => after(key),
    };
    let high = match to {
        Bound::Unbounded => None,
        Bound::Excluded(key) => Some(key.to_vec()),
        Bound::Included(key) => Some(after(key)),
    };
    (low, high)
}

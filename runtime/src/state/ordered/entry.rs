//! What is in the tree under a key, and what is noted of keys that an epoch touches.

use super::super::small::Row;

/// One key of the tree.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The epoch that touched it last; 0: none since it was read from disk.
    pub(super) epoch: u32,
    pub(super) marks: Marks,
    /// `None`: the key is gone, but perhaps still on disk.
    pub(super) row: Option<Row>,
}

/// What else is known of a key: its group, whether a row of it may be on disk, and the place among
/// the keys touched in its last epoch, if that is below `PLACES`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks(u32);

/// Places of touched keys that are noted.
pub(super) const PLACES: usize = if cfg!(test) { 5 } else { (1 << 23) - 1 };
const STORED: u32 = 1 << 8;

impl Marks {
    pub(super) fn new(group: u8, is_stored: bool, touched: usize) -> Self {
        let place = (touched.min(PLACES) as u32) << 9;
        Self(place | if is_stored { STORED } else { 0 } | u32::from(group))
    }

    pub(super) fn group(self) -> u8 {
        self.0 as u8
    }

    pub(super) fn is_stored(self) -> bool {
        self.0 & STORED != 0
    }

    pub(super) fn set_stored(&mut self) {
        self.0 |= STORED;
    }

    pub(super) fn touched(self) -> usize {
        (self.0 >> 9) as usize
    }
}

/// A key touched in the epoch, what it was when the epoch began, and what it is.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) key_at: usize,
    pub(super) key_len: usize,
    pub(super) group: u8,
    pub(super) before: Before,
    /// Of those whose place is noted.
    pub(super) now: Option<Row>,
}

#[derive(Debug)]
pub(super) enum Before {
    /// Nowhere.
    Absent,
    /// Gone, and its removal perhaps not on disk yet.
    Gone,
    Row(Row),
}

impl Entry {
    /// Sets the row; notes what it was when the epoch began, if this is the first change since.
    pub(super) fn replace(
        &mut self,
        row: Option<Row>,
        epoch: u32,
        key: &[u8],
        touched: &mut Vec<Touched>,
        touched_keys: &mut Vec<u8>,
    ) {
        let now = row.clone();
        let old = std::mem::replace(&mut self.row, row);
        if self.epoch == epoch {
            if let Some(touched) = touched.get_mut(self.marks.touched()) {
                touched.now = now;
            }
            return;
        }
        let group = self.marks.group();
        self.epoch = epoch;
        self.marks = Marks::new(group, self.marks.is_stored(), touched.len());
        note(touched, touched_keys, (group, key), old.map_or(Before::Gone, Before::Row), now);
    }
}

/// Notes a key at its first change in the epoch.
pub(super) fn note(
    touched: &mut Vec<Touched>,
    touched_keys: &mut Vec<u8>,
    (group, key): (u8, &[u8]),
    before: Before,
    now: Option<Row>,
) {
    let (key_at, key_len) = (touched_keys.len(), key.len());
    touched_keys.extend_from_slice(key);
    touched.push(Touched { key_at, key_len, group, before, now });
}

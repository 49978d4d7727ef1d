//! What some epochs changed, immutable: per changed key its new row, or that it is gone. One of a
//! single epoch feeds the changelog; one for the disk holds the changes since the last such.
//!
//! A full key is table number (u32, big-endian), key group, key bytes. The same bytes are the
//! record key in the changelog and the key on disk, so nobody copies them again. In an overlay for
//! the disk entries ascend by it, one a key; else the last entry of a key counts.
//!
//! Short rows are copied. Long ones of ordered tables are shared with the table, which never
//! changes them in place.

use std::sync::Arc;

use flow_ir::row::{KEY_GROUPS, RowRef};

use super::small::Row;

/// Bytes of a full key before the table's own key: table number and key group.
pub const KEY_PREFIX_BYTES: usize = 5;

/// The changes of an epoch, or of several, on one worker.
#[derive(Debug, Default)]
pub struct Overlay {
    seal: u32,
    entries: Vec<Entry>,
    keys: Vec<u8>,
    words: Vec<u64>,
    shared: Vec<Arc<[u64]>>,
    /// Words of the shared rows.
    shared_words: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key_at: usize,
    key_len: u32,
    row: Place,
}

/// Where the row of an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nowhere: the key is gone.
    Gone,
    /// In `words`.
    Words { at: usize, len: u32 },
    /// In `shared`.
    Shared(usize),
}

/// Room for changes: their number, bytes of keys, words of rows, shared rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    entries: usize,
    keys: usize,
    words: usize,
    shared: usize,
}

impl Room {
    /// Takes what `other` would need in addition.
    pub(super) fn add(&mut self, other: Self) {
        let Self { entries, keys, words, shared } = other;
        self.entries += entries;
        self.keys += keys;
        self.words += words;
        self.shared += shared;
    }
}

/// One changed key.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    full_key: &'a [u8],
    row: Option<RowRef<'a>>,
}

impl<'a> Change<'a> {
    /// Table number, key group and key, as in the changelog and on disk.
    pub fn full_key(self) -> &'a [u8] {
        self.full_key
    }

    /// Table number and key group.
    pub(super) fn prefix(self) -> [u8; KEY_PREFIX_BYTES] {
        *self.full_key.first_chunk().expect("a full key begins with table number and key group")
    }

    /// The table's number in the job's directory.
    pub fn table(self) -> u32 {
        full_key_table(self.full_key)
    }

    /// The key's group.
    pub fn group(self) -> u8 {
        self.full_key[4]
    }

    /// The key bytes. In a windowed table they begin with the window's end (`order_i64`).
    pub fn key(self) -> &'a [u8] {
        &self.full_key[KEY_PREFIX_BYTES..]
    }

    /// The new row; `None`: the key is gone.
    pub fn row(self) -> Option<RowRef<'a>> {
        self.row
    }
}

impl Overlay {
    /// Number of the last epoch in it: of the seal that made it, from 1, one more each time in one
    /// store.
    pub fn seal(&self) -> u32 {
        self.seal
    }

    /// How much there is in it.
    pub(super) fn room(&self) -> Room {
        let Self { entries, keys, words, shared, .. } = self;
        let (entries, keys, words) = (entries.len(), keys.len(), words.len());
        Room { entries, keys, words, shared: shared.len() }
    }

    /// Changed keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Memory in bytes, shared rows too: the table may let them go first.
    pub fn bytes(&self) -> usize {
        let own = self.entries.len() * size_of::<Entry>() + self.keys.len();
        own + (self.words.len() + self.shared_words) * 8
    }

    /// All changes; of one for the disk in the order of their full keys.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = Change<'_>> {
        self.entries.iter().map(|entry| self.change(entry))
    }

    /// The key of an entry behind table number and key group.
    fn own_key(&self, entry: &Entry) -> &[u8] {
        &self.keys[entry.key_at + KEY_PREFIX_BYTES..entry.key_at + entry.key_len as usize]
    }

    fn change(&self, entry: &Entry) -> Change<'_> {
        let key = &self.keys[entry.key_at..entry.key_at + entry.key_len as usize];
        let row = match entry.row {
            Place::Gone => None,
            Place::Words { at, len } => Some(&self.words[at..at + len as usize]),
            Place::Shared(at) => Some(&*self.shared[at]),
        };
        Change { full_key: key, row: row.map(RowRef::new) }
    }
}

/// Table number of a full key.
pub(super) fn full_key_table(full_key: &[u8]) -> u32 {
    u32::from_be_bytes([full_key[0], full_key[1], full_key[2], full_key[3]])
}

/// Appends a full key.
pub(super) fn push_full_key(table: u32, group: u8, parts: [&[u8]; 2], out: &mut Vec<u8>) {
    out.extend_from_slice(&table.to_be_bytes());
    out.push(group);
    out.extend_from_slice(parts[0]);
    out.extend_from_slice(parts[1]);
}

/// Collects the changes of an epoch, in any order.
#[derive(Debug, Default)]
pub(super) struct OverlayBuilder {
    overlay: Overlay,
}

impl OverlayBuilder {
    /// Adds a key whose row `write` appends; `write` may leave the words as they are, and then
    /// the key is gone. `parts` are the key in two pieces, end to end.
    pub(super) fn push(
        &mut self,
        table: u32,
        group: u8,
        parts: [&[u8]; 2],
        write: impl FnOnce(&mut Vec<u64>),
    ) {
        let at = self.overlay.words.len();
        write(&mut self.overlay.words);
        let len = u32::try_from(self.overlay.words.len() - at).expect("rows stay < 32 GiB");
        let row = if len == 0 { Place::Gone } else { Place::Words { at, len } };
        self.push_entry(table, group, parts, row);
    }

    /// Adds a key and its row; `None`: the key is gone.
    pub(super) fn push_row(&mut self, table: u32, group: u8, key: &[u8], row: Option<Row>) {
        let key = [key, &[]];
        match row {
            Some(Row::Shared(row)) => {
                let place = Place::Shared(self.overlay.shared.len());
                self.overlay.shared_words += row.len();
                self.overlay.shared.push(row);
                self.push_entry(table, group, key, place);
            }
            Some(Row::Inline { .. }) | None => self.push(table, group, key, |words| {
                words.extend_from_slice(row.as_ref().map_or(&[], |row| row.row().words()));
            }),
        }
    }

    fn push_entry(&mut self, table: u32, group: u8, key: [&[u8]; 2], row: Place) {
        let key_at = self.overlay.keys.len();
        push_full_key(table, group, key, &mut self.overlay.keys);
        let key_len = u32::try_from(self.overlay.keys.len() - key_at).expect("keys stay < 4 GiB");
        self.overlay.entries.push(Entry { key_at, key_len, row });
    }

    /// An empty one with room for so much, and some more. What is not used of it is no memory.
    pub(super) fn with_room(room: Room) -> Self {
        let more = |len: usize| len + len / 8;
        let overlay = Overlay {
            seal: 0,
            entries: Vec::with_capacity(more(room.entries)),
            keys: Vec::with_capacity(more(room.keys)),
            words: Vec::with_capacity(more(room.words)),
            shared: Vec::with_capacity(more(room.shared)),
            shared_words: 0,
        };
        Self { overlay }
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.overlay.bytes()
    }

    /// Adds all changes of another part.
    pub(super) fn append(&mut self, part: Self) {
        let Overlay { entries, keys, words, shared, shared_words, .. } = part.overlay;
        let Room { keys: keys_at, words: words_at, shared: shared_at, .. } = self.overlay.room();
        self.overlay.entries.extend(entries.into_iter().map(|entry| Entry {
            key_at: entry.key_at + keys_at,
            row: match entry.row {
                Place::Gone => Place::Gone,
                Place::Words { at, len } => Place::Words { at: at + words_at, len },
                Place::Shared(at) => Place::Shared(at + shared_at),
            },
            ..entry
        }));
        self.overlay.keys.extend_from_slice(&keys);
        self.overlay.words.extend_from_slice(&words);
        self.overlay.shared.extend(shared);
        self.overlay.shared_words += shared_words;
    }

    /// Closes it for the changelog.
    pub(super) fn finish(self, seal: u32) -> Overlay {
        Overlay { seal, ..self.overlay }
    }

    /// Sorts and closes it for the disk. Where a key was added twice, a row wins over its removal:
    /// a window may be dropped and begun anew.
    pub(super) fn finish_for_disk(self, seal: u32) -> Overlay {
        let mut overlay = self.overlay;
        overlay.seal = seal;
        let (mut keyed, mut sorted) = (Vec::new(), Vec::with_capacity(overlay.entries.len()));
        let mut entries = std::mem::take(&mut overlay.entries);
        sort_by_group(&mut entries, &overlay);
        let prefix = |entry: &Entry| overlay.change(entry).prefix();
        for of_group in entries.chunk_by(|a, b| prefix(a) == prefix(b)) {
            let ascends = |a: &Entry, b: &Entry| overlay.own_key(a) < overlay.own_key(b);
            if of_group.is_sorted_by(ascends) {
                sorted.extend_from_slice(of_group);
                continue;
            }
            keyed.clear();
            keyed.extend(of_group.iter().map(|e| (sort_prefix(overlay.own_key(e)), *e)));
            keyed.sort_unstable_by(|(a_prefix, a), (b_prefix, b)| {
                a_prefix
                    .cmp(b_prefix)
                    .then_with(|| overlay.own_key(a).cmp(overlay.own_key(b)))
                    .then_with(|| (a.row == Place::Gone).cmp(&(b.row == Place::Gone)))
            });
            keyed.dedup_by(|(_, later), (_, first)| {
                overlay.own_key(later) == overlay.own_key(first)
            });
            sorted.extend(keyed.iter().map(|(_, entry)| *entry));
        }
        overlay.entries = sorted;
        overlay
    }
}

/// Sorts entries by table and key group; of one group they stay in their order, which an ordered
/// table gives by key. Tables give theirs one after the other.
fn sort_by_group(entries: &mut Vec<Entry>, overlay: &Overlay) {
    let table = |entry: &Entry| overlay.change(entry).table();
    entries.sort_by_key(table);
    let mut sorted = Vec::with_capacity(entries.len());
    for of_table in entries.chunk_by(|a, b| table(a) == table(b)) {
        let group = |entry: &Entry| usize::from(overlay.change(entry).group());
        let mut ends = [0; KEY_GROUPS as usize];
        of_table.iter().for_each(|entry| ends[group(entry)] += 1);
        let mut sum = sorted.len();
        for end in &mut ends {
            sum += std::mem::replace(end, sum);
        }
        sorted.extend_from_slice(of_table);
        for entry in of_table {
            let place = &mut ends[group(entry)];
            sorted[*place] = *entry;
            *place += 1;
        }
    }
    *entries = sorted;
}

/// The first 16 bytes of a key as a number that orders as they do: most comparisons of a sort
/// need no look at the keys.
fn sort_prefix(key: &[u8]) -> u128 {
    if let Some(first) = key.first_chunk() {
        return u128::from_be_bytes(*first);
    }
    let mut bytes = [0; 16];
    bytes[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(bytes)
}

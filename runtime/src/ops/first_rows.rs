//! The first rows of partitions, in memory: which numbers of them stay, and what changes in them.
//! The bytes of all rows lie end to end, each row behind its partition's key, as in the table.

use std::cmp::Ordering;
use std::ops::{Bound, ControlFlow, RangeInclusive};

use flow_ir::physical::Numbering;

use super::OpError;
use super::sorted::peers;
use crate::state::{OrderedTable, prefix_end};

/// So many rows come at least before a partition is put in order again.
const FRESH_ROWS_MIN: usize = 16;

/// The bytes of rows, end to end.
#[derive(Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
}

/// A row in an arena, and how often it is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    at: usize,
    len: usize,
    pub(super) weight: i64,
}

/// A row that stays, and its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) row: Placed,
    /// 0 where numbers are not asked for.
    pub(super) number: u64,
}

impl Arena {
    /// Adds a row behind its partition's key; `write` appends it.
    pub(super) fn push(
        &mut self,
        partition: &[u8],
        weight: i64,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Placed {
        self.bytes.extend_from_slice(partition);
        let at = self.bytes.len();
        write(&mut self.bytes);
        Placed { at, len: self.bytes.len() - at, weight }
    }

    /// Adds a row with the key that it has in the table: first the partition's, so many bytes.
    pub(super) fn push_key(&mut self, key: &[u8], partition: usize, weight: i64) -> Placed {
        let (partition, row) = key.split_at(partition);
        self.push(partition, weight, |bytes| bytes.extend_from_slice(row))
    }

    /// Forgets the row that was added last, and its partition's key, so many bytes.
    pub(super) fn pop(&mut self, row: Placed, partition: usize) {
        self.bytes.truncate(row.at - partition);
    }

    /// A row.
    pub(super) fn row(&self, row: Placed) -> &[u8] {
        &self.bytes[row.at..row.at + row.len]
    }

    /// The key of a row in the table; its partition's key is of so many bytes.
    pub(super) fn key(&self, row: Placed, partition: usize) -> &[u8] {
        &self.bytes[row.at - partition..row.at + row.len]
    }

    /// Bytes of all rows.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    fn compare(&self, a: Placed, b: Placed) -> Ordering {
        if a.at == b.at { Ordering::Equal } else { self.row(a).cmp(self.row(b)) }
    }
}

/// Which numbers stay.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    numbering: Numbering,
    shown: RangeInclusive<u64>,
}

/// Numbers rows that come in order.
struct Counter {
    numbering: Numbering,
    /// Rows so far.
    rows: u64,
    /// The number of the rows that came last, and what they are equal in.
    number: u64,
    peers: Vec<u8>,
}

impl Counter {
    fn new(numbering: Numbering) -> Self {
        Self { numbering, rows: 0, number: 0, peers: Vec::new() }
    }

    /// The number of the next row, the first of `weight` equal ones.
    fn next(&mut self, row: &[u8], weight: i64) -> Result<u64, OpError> {
        let first = self.rows.saturating_add(1);
        self.rows = self.rows.saturating_add(weight.unsigned_abs());
        if self.numbering == Numbering::RowNumber {
            return Ok(first);
        }
        let of = peers(row)?;
        if first == 1 || self.peers != of {
            self.peers.clear();
            self.peers.extend_from_slice(of);
            self.number = match self.numbering {
                Numbering::DenseRank => self.number + 1,
                Numbering::Rank | Numbering::RowNumber => first,
            };
        }
        Ok(self.number)
    }

    /// The number of a next row that is behind all others in the order.
    fn following(&self) -> u64 {
        match self.numbering {
            Numbering::DenseRank => self.number.saturating_add(1),
            Numbering::Rank | Numbering::RowNumber => self.rows.saturating_add(1),
        }
    }
}

impl Numbers {
    /// The numbers behind `offset`, so many; without a limit those up to it.
    pub(super) fn new(numbering: Numbering, offset: u64, limit: Option<u64>) -> Self {
        let shown = match limit {
            Some(limit) => offset.saturating_add(1)..=offset.saturating_add(limit),
            None => 1..=offset,
        };
        Self { numbering, shown }
    }

    fn last(&self) -> u64 {
        *self.shown.end()
    }

    /// Reads a partition's rows up to the last number.
    pub(super) fn read(
        &self,
        table: &mut OrderedTable,
        group: u8,
        partition: &[u8],
        arena: &mut Arena,
    ) -> Result<Vec<Placed>, OpError> {
        let end = prefix_end(partition);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let column = table.layout().column(0);
        let mut counter = Counter::new(self.numbering);
        let mut found = Vec::new();
        let mut failed = None;
        table.walk(group, Bound::Included(partition), to, |entry| {
            let weight = entry.row.i64(column);
            if weight <= 0 {
                return ControlFlow::Continue(());
            }
            match counter.next(&entry.key[partition.len()..], weight) {
                Ok(number) if number <= self.last() => {
                    found.push(arena.push_key(entry.key, partition.len(), weight));
                    return ControlFlow::Continue(());
                }
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
            ControlFlow::Break(())
        })?;
        failed.map_or(Ok(found), Err)
    }

    /// The rows that stay, of rows in order. Numbers are asked for where they are shown.
    pub(super) fn shown(
        &self,
        rows: &[Placed],
        numbered: bool,
        arena: &Arena,
    ) -> Result<Vec<Shown>, OpError> {
        let mut counter = Counter::new(self.numbering);
        let mut out: Vec<Shown> = Vec::with_capacity(rows.len());
        for &row in rows {
            let first = counter.next(arena.row(row), row.weight)?;
            if self.numbering != Numbering::RowNumber {
                let number = if numbered { first } else { 0 };
                out.extend(self.shown.contains(&first).then_some(Shown { row, number }));
                continue;
            }
            let from = first.max(*self.shown.start());
            let to = counter.rows.min(self.last());
            if numbered {
                let one = Placed { weight: 1, ..row };
                out.extend((from..=to).map(|number| Shown { row: one, number }));
            } else if from <= to {
                let weight = i64::try_from(to - from + 1).unwrap_or(i64::MAX);
                out.push(Shown { row: Placed { weight, ..row }, number: 0 });
            }
        }
        Ok(out)
    }

    /// Cuts rows in order behind the last number. Whether a row that is behind the last of them in
    /// the order cannot be among the first.
    fn cut(&self, rows: &mut Vec<Placed>, arena: &Arena) -> Result<bool, OpError> {
        let mut counter = Counter::new(self.numbering);
        for (i, row) in rows.iter_mut().enumerate() {
            if counter.next(arena.row(*row), row.weight)? > self.last() {
                rows.truncate(i);
                return Ok(true);
            }
            // Of equal rows the first may stay.
            let more = counter.rows.saturating_sub(self.last());
            if self.numbering == Numbering::RowNumber && more > 0 {
                row.weight = row.weight.saturating_sub_unsigned(more);
            }
        }
        Ok(counter.following() > self.last())
    }
}

/// The first rows of a partition of an append-only input.
pub(super) struct Kept {
    /// In order.
    rows: Vec<Placed>,
    /// Those that came since these were put in order.
    fresh: Vec<Placed>,
    /// Whether a row that is behind the last of `rows` in the order cannot be among the first.
    full: bool,
}

impl Kept {
    /// Of a partition that has these rows.
    pub(super) fn new(rows: &[Placed], numbers: &Numbers, arena: &Arena) -> Result<Self, OpError> {
        let mut kept = Self { rows: rows.to_vec(), fresh: Vec::new(), full: false };
        kept.full = numbers.cut(&mut kept.rows, arena)?;
        Ok(kept)
    }

    /// Adds a row if it can be among the first; whether it is kept.
    pub(super) fn add(
        &mut self,
        row: Placed,
        numbers: &Numbers,
        arena: &Arena,
    ) -> Result<bool, OpError> {
        if row.weight <= 0 {
            return Err(OpError::Internal("an append-only input takes a row back"));
        }
        if self.full && self.is_behind(row, numbers.numbering, arena)? {
            return Ok(false);
        }
        self.fresh.push(row);
        if self.fresh.len() >= self.rows.len().max(FRESH_ROWS_MIN) {
            self.settle(numbers, arena)?;
        }
        Ok(true)
    }

    /// Whether a row that begins so in its order cannot be among the first.
    pub(super) fn rejects(&self, order: &[u8], arena: &Arena) -> Result<bool, OpError> {
        if !self.full {
            return Ok(false);
        }
        let Some(last) = self.rows.last() else { return Ok(true) };
        Ok(order > peers(arena.row(*last))?)
    }

    /// The rows, in order.
    pub(super) fn finish(
        mut self,
        numbers: &Numbers,
        arena: &Arena,
    ) -> Result<Vec<Placed>, OpError> {
        self.settle(numbers, arena)?;
        Ok(self.rows)
    }

    fn is_behind(&self, row: Placed, numbering: Numbering, arena: &Arena) -> Result<bool, OpError> {
        let Some(last) = self.rows.last() else { return Ok(true) };
        let (row, last) = (arena.row(row), arena.row(*last));
        Ok(match numbering {
            Numbering::RowNumber => row > last,
            Numbering::Rank | Numbering::DenseRank => peers(row)? > peers(last)?,
        })
    }

    /// Puts the rows in order, and lets go of what cannot be among the first.
    fn settle(&mut self, numbers: &Numbers, arena: &Arena) -> Result<(), OpError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        self.rows.append(&mut self.fresh);
        // Stable, so that the run which is in order is not sorted again.
        self.rows.sort_by(|a, b| arena.compare(*a, *b));
        self.rows.dedup_by(|row, first| {
            let same = arena.compare(*row, *first).is_eq();
            if same {
                first.weight = first.weight.saturating_add(row.weight);
            }
            same
        });
        self.full = numbers.cut(&mut self.rows, arena)?;
        Ok(())
    }
}

/// Calls `each` with what must be added to old rows to make them the new ones, by row and number:
/// weights that are not 0. Both are in order.
pub(super) fn differences(
    old: &[Shown],
    new: &[Shown],
    arena: &Arena,
    mut each: impl FnMut(Shown) -> Result<(), OpError>,
) -> Result<(), OpError> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(old), Some(new)) => {
                arena.compare(old.row, new.row).then(old.number.cmp(&new.number))
            }
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        let gone = if order.is_le() { old.next() } else { None };
        let come = if order.is_ge() { new.next() } else { None };
        let weight = |shown: Option<&Shown>| shown.map_or(0, |shown| shown.row.weight);
        let weight = weight(come) - weight(gone);
        if let Some(shown) = come.or(gone).filter(|_| weight != 0) {
            each(Shown { row: Placed { weight, ..shown.row }, number: shown.number })?;
        }
    }
}

/// Rows as they are in the table.
pub(super) fn stored(rows: &[Placed]) -> Vec<Shown> {
    rows.iter().map(|&row| Shown { row, number: 0 }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A row as `SortedRows` writes it: what the order gives, the rest, the rest's length.
    fn row(order: u8, rest: u8) -> Vec<u8> {
        vec![order, rest, 0, 0, 0, 1]
    }

    proptest! {
        /// However rows come and however many, the first of them are what all of them in order
        /// have first.
        #[test]
        fn the_first_rows_are_kept(
            before in prop::collection::vec((0u8..20, 0u8..4, 1i64..4), 0..10),
            come in prop::collection::vec((0u8..20, 0u8..4, 1i64..4), 0..120),
            limit in 0u64..12,
            numbering in prop::sample::select(vec![
                Numbering::RowNumber, Numbering::Rank, Numbering::DenseRank,
            ]),
        ) {
            let (numbers, mut arena) = (Numbers::new(numbering, 0, Some(limit)), Arena::default());
            let first = |all: &BTreeMap<Vec<u8>, i64>| -> Result<Vec<(Vec<u8>, i64)>, OpError> {
                let (mut counter, mut rows) = (Counter::new(numbering), Vec::new());
                for (row, weight) in all {
                    // One by one, equal rows too.
                    let mut left = 0;
                    for _ in 0..*weight {
                        left += i64::from(counter.next(row, 1)? <= limit);
                    }
                    rows.extend((left > 0).then(|| (row.clone(), left)));
                }
                Ok(rows)
            };
            let mut all: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
            for (order, rest, weight) in before {
                *all.entry(row(order, rest)).or_default() += weight;
            }
            all = first(&all)?.into_iter().collect();
            let partition = [7];
            let place = |arena: &mut Arena, row: &[u8], weight| {
                arena.push(&partition, weight, |bytes| bytes.extend_from_slice(row))
            };
            let rows: Vec<Placed> =
                all.iter().map(|(row, weight)| place(&mut arena, row, *weight)).collect();
            let mut kept = Kept::new(&rows, &numbers, &arena)?;
            for (order, rest, weight) in come {
                let row = row(order, rest);
                *all.entry(row.clone()).or_default() += weight;
                let rejected = kept.rejects(&[order], &arena)?;
                let placed = place(&mut arena, &row, weight);
                if rejected {
                    prop_assert!(!kept.add(placed, &numbers, &arena)?, "it cannot be among them");
                    arena.pop(placed, partition.len());
                    continue;
                }
                if !kept.add(placed, &numbers, &arena)? {
                    arena.pop(placed, partition.len());
                }
            }
            let kept = kept.finish(&numbers, &arena)?;
            let kept: Vec<(Vec<u8>, i64)> =
                kept.iter().map(|row| (arena.row(*row).to_vec(), row.weight)).collect();
            prop_assert_eq!(kept, first(&all)?);
        }
    }
}

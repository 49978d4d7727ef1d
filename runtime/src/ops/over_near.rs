//! The rows of a partition around changes: those whose values the changes can touch, with the rows
//! that these are computed from, as they were when the epoch began and as they are.

use std::collections::VecDeque;
use std::ops::{Bound, ControlFlow, Range};
use std::sync::Arc;

use flow_ir::physical::Direction;
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout};
use flow_ir::types::Type;

use super::over_calls::Calls;
use super::over_reach::{Marks, Met, Reach, Walk, Way};
use super::sorted::SortedRows;
use super::{OpError, Order};
use crate::state::{OrderedEntry, OrderedTable, prefix_end};

/// Rows behind a change that are read at once, at first.
const ROWS_READ_AT_ONCE: usize = 16;
/// What a row takes in the lists of places, about, bytes.
const PLACE_BYTES: usize = 16;

/// Bytes of a row in order (`SortedRows`) and its weight.
pub(super) type Weighed = (Vec<u8>, i64);

/// Reads such rows.
pub(super) struct Near {
    pub(super) sorted: SortedRows,
    /// The columns in which rows are equal to the calls.
    pub(super) peers: Order,
    reach: Reach,
    /// One row, and all.
    one: BatchBuilder,
    rows: BatchBuilder,
}

/// A partition of the table.
pub(super) struct Source<'a> {
    pub(super) table: &'a mut OrderedTable,
    pub(super) key: &'a [u8],
    pub(super) group: u8,
    /// Bytes that reading may take.
    pub(super) limit: usize,
}

/// The rows at one time.
#[derive(Default)]
pub(super) struct Side {
    /// Their places in the batch, in order.
    pub(super) places: Vec<u32>,
    /// Those of them that may be touched.
    pub(super) touched: Range<usize>,
}

/// A row that was read.
struct Entry {
    place: u32,
    now: i64,
    change: i64,
}

impl Near {
    /// Of rows of these types.
    pub(super) fn new(
        types: &[Type],
        order: &[(usize, Direction)],
        peers: &[(usize, Direction)],
        reach: Reach,
    ) -> Self {
        let layout = Arc::new(RowLayout::new(types.to_vec()));
        Self {
            sorted: SortedRows::new(types, order),
            peers: Order::new(&layout, types, peers),
            reach,
            one: BatchBuilder::new(layout.clone()),
            rows: BatchBuilder::new(layout),
        }
    }

    /// Reads the rows around change number `next`, and around those behind it that touch the same
    /// rows; `next` is the one after these then. Gives the rows, and which of them there were and
    /// are.
    pub(super) fn read(
        &mut self,
        calls: &Calls,
        changes: &[Weighed],
        next: &mut usize,
        source: &mut Source<'_>,
    ) -> Result<(RowBatch, [Side; 2]), OpError> {
        let (mut entries, from) = self.read_back(calls, &changes[*next].0, source)?;
        let mut to = entries.len();
        let mut walk: Option<Walk> = None;
        let (mut rows, mut at_once) = (source.from(&changes[*next].0, 1)?, ROWS_READ_AT_ONCE);
        let mut cursor = rows.back().map_or(&changes[*next].0, |(row, _)| row).clone();
        let mut is_at_end = false;
        loop {
            if rows.is_empty() && !is_at_end {
                rows = source.after(&cursor, at_once)?;
                is_at_end = rows.len() < at_once;
                at_once = at_once.saturating_mul(2);
                cursor = rows.back().map_or(cursor, |(row, _)| row.clone());
            }
            let row = rows.front().map(|(row, _)| row);
            let changed =
                changes.get(*next).filter(|(changed, _)| row.is_none_or(|r| changed <= r));
            let (bytes, change) = match (changed, row) {
                (Some((changed, change)), _) => (changed, *change),
                (None, Some(row)) => (row, 0),
                (None, None) => break,
            };
            let now = rows.front().filter(|(row, _)| row == bytes).map_or(0, |(_, now)| *now);
            let is_there = row == Some(bytes);
            let (place, marks) = self.add(bytes, calls)?;
            let times = u64::try_from(now).unwrap_or(0);
            let met = match &mut walk {
                None => Met::Touched,
                Some(walk) => walk.meet(&marks, if changed.is_some() { 0 } else { times }),
            };
            if met == Met::Beyond {
                break;
            }
            entries.push(Entry { place, now, change });
            if changed.is_some() {
                *next += 1;
                walk = Some(Walk::new(Way::Ahead, self.reach, marks));
            }
            if changed.is_some() || met == Met::Touched {
                to = entries.len();
            }
            if is_there {
                rows.pop_front();
            }
            source.refuse_too_much(self.rows.bytes())?;
        }
        Ok((self.rows.take(), sides(&entries, from..to, source)?))
    }

    /// Takes rows back that it gave, to use their memory again.
    pub(super) fn recycle(&mut self, rows: RowBatch) {
        self.rows.recycle(rows);
    }

    /// The rows before a change, in order, and the first of them that may be touched.
    fn read_back(
        &mut self,
        calls: &Calls,
        change: &[u8],
        source: &mut Source<'_>,
    ) -> Result<(Vec<Entry>, usize), OpError> {
        let (_, marks) = self.add(change, calls)?;
        let mut walk = Walk::new(Way::Back, self.reach, marks);
        let mut all = match self.reach.back.all || self.reach.ahead.all {
            true => Some(source.all_before(change)?),
            false => None,
        };
        let (mut entries, mut touched) = (Vec::new(), 0);
        let mut cursor = change.to_vec();
        loop {
            let row = match &mut all {
                Some(all) => all.pop_back(),
                None => source.before(&cursor)?,
            };
            let Some((row, now)) = row else { break };
            let (place, marks) = self.add(&row, calls)?;
            match walk.meet(&marks, u64::try_from(now).unwrap_or(0)) {
                Met::Touched => touched = entries.len() + 1,
                Met::Needed => {}
                Met::Beyond => break,
            }
            entries.push(Entry { place, now, change: 0 });
            cursor = row;
            source.refuse_too_much(self.rows.bytes())?;
        }
        entries.reverse();
        let first = entries.len() - touched;
        Ok((entries, first))
    }

    /// Adds a row to the batch: its place there, and what walks look at.
    fn add(&mut self, bytes: &[u8], calls: &Calls) -> Result<(u32, Marks), OpError> {
        let place = self.rows.len() as u32;
        if !self.reach.needs_order() {
            self.rows.begin();
            self.sorted.read(bytes, &mut self.rows)?;
            self.rows.finish(1);
            return Ok((place, Marks::default()));
        }
        self.one.begin();
        self.sorted.read(bytes, &mut self.one)?;
        self.one.finish(1);
        let row = self.one.take();
        let marks = Marks::of(row.row(0), &self.peers, calls.frames());
        self.rows.push_row(row.row(0), 1);
        self.one.recycle(row);
        Ok((place, marks))
    }
}

/// The rows as they were and as they are.
fn sides(
    entries: &[Entry],
    touched: Range<usize>,
    source: &Source<'_>,
) -> Result<[Side; 2], OpError> {
    let mut sides: [Side; 2] = Default::default();
    for (i, entry) in entries.iter().enumerate() {
        for (side, times) in sides.iter_mut().zip([entry.now - entry.change, entry.now]) {
            let times = usize::try_from(times).unwrap_or(0);
            let places = &mut side.places;
            source
                .refuse_too_much(places.len().saturating_add(times).saturating_mul(PLACE_BYTES))?;
            if i == touched.start {
                side.touched.start = places.len();
            }
            places.extend(std::iter::repeat_n(entry.place, times));
            if i < touched.end {
                side.touched.end = places.len();
            }
        }
    }
    Ok(sides)
}

impl Source<'_> {
    fn refuse_too_much(&self, bytes: usize) -> Result<(), OpError> {
        if bytes > self.limit { Err(OpError::TooMuch) } else { Ok(()) }
    }

    fn weighed(&self) -> impl Fn(OrderedEntry<'_>) -> Weighed + use<> {
        let (length, weight): (usize, Column) = (self.key.len(), self.table.layout().column(0));
        move |entry| (entry.key[length..].to_vec(), entry.row.i64(weight))
    }

    /// So many rows from a row on.
    fn from(&mut self, row: &[u8], count: usize) -> Result<VecDeque<Weighed>, OpError> {
        self.walk(Bound::Included(&[self.key, row].concat()), count)
    }

    /// So many rows behind a row.
    fn after(&mut self, row: &[u8], count: usize) -> Result<VecDeque<Weighed>, OpError> {
        self.walk(Bound::Excluded(&[self.key, row].concat()), count)
    }

    fn walk(&mut self, from: Bound<&[u8]>, count: usize) -> Result<VecDeque<Weighed>, OpError> {
        let end = prefix_end(self.key);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let (weighed, mut rows) = (self.weighed(), VecDeque::new());
        self.table.walk(self.group, from, to, |entry| {
            rows.push_back(weighed(entry));
            match rows.len() < count {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        Ok(rows)
    }

    /// The row before a row.
    fn before(&mut self, row: &[u8]) -> Result<Option<Weighed>, OpError> {
        let (from, to) = (Bound::Included(self.key), [self.key, row].concat());
        let weighed = self.weighed();
        Ok(self.table.last(self.group, from, Bound::Excluded(&to))?.map(weighed))
    }

    /// All rows before a row, in order.
    fn all_before(&mut self, row: &[u8]) -> Result<VecDeque<Weighed>, OpError> {
        let (from, to) = (Bound::Included(self.key), [self.key, row].concat());
        let weighed = self.weighed();
        let rows = self.table.range(Some(self.group), from, Bound::Excluded(&to))?;
        Ok(rows.map(weighed).collect())
    }
}

//! TopN: the rows of each partition whose numbers lie in a range, as changes. At the first touch of
//! a partition in an epoch its first rows are read, at the epoch's end once more: what differs goes
//! out, rows taken back first.
//!
//! Of an append-only input only the rows are kept that can be among the first: a worse row is
//! rejected when it comes, and one that is pushed out goes. Without a limit the rows behind the
//! offset are the input's changes less those of the first rows.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, RangeInclusive};
use std::sync::Arc;

use flow_ir::ids::TableId;
use flow_ir::physical::{Changelog, Numbering, TableKind, TopN};
use flow_ir::row::{BatchBuilder, KeyBatch, KeyEncoder, RowBatch, RowLayout, key_group};
use flow_ir::types::{DataType, Type};

use super::changes::NetRows;
use super::sorted::{SortedRows, peers};
use super::{OpCx, OpError, Operator, Plan, columns_of};
use crate::state::{OrderedTable, PointTable, SlotId, prefix_end};

/// Rows in order: their bytes and weights.
type Sorted = Vec<(Vec<u8>, i64)>;

pub(super) struct TopNOp {
    keys: KeyEncoder,
    sorted: SortedRows,
    numbers: Numbers,
    /// Whether the number is a column, and where.
    rank: Option<usize>,
    /// Whether only the first rows are kept.
    bounded: bool,
    /// Without a limit: the changes of the input less those of the first rows.
    rest: Option<NetRows>,
    rows: TableId,
    /// The partitions that were touched in this epoch, by key.
    index: PointTable,
    partitions: Vec<Partition>,
    /// Bytes that these keep.
    kept_bytes: usize,
    key_batch: KeyBatch,
    slots: Vec<SlotId>,
    key: Vec<u8>,
    changes: Vec<Change>,
    row: BatchBuilder,
}

/// Which numbers stay.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    numbering: Numbering,
    shown: RangeInclusive<u64>,
}

/// A partition that was touched.
struct Partition {
    key: Vec<u8>,
    group: u8,
    /// Its first rows when the epoch began.
    before: Sorted,
    /// Its first rows now, where no others are kept.
    now: Option<Kept>,
}

/// A row that stays, its number and its weight.
type Shown<'r> = (&'r [u8], u64, i64);

/// A change of the output.
struct Change {
    row: Vec<u8>,
    number: u64,
    weight: i64,
}

impl TopNOp {
    pub(super) fn new(op: &TopN, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        columns_of(&op.order.iter().map(|(column, _)| *column).collect::<Vec<_>>(), &input)?;
        let shown = match op.limit {
            Some(limit) => op.offset.saturating_add(1)..=op.offset.saturating_add(limit),
            None => 1..=op.offset,
        };
        let layout = Arc::new(RowLayout::new(input.clone()));
        let place = Arc::new(RowLayout::new(vec![Type::not_null(DataType::BigInt)]));
        Ok(Self {
            keys: KeyEncoder::new(&layout, &op.keys),
            sorted: SortedRows::new(&input, &op.order),
            numbers: Numbers { numbering: op.numbering, shown },
            rank: op.rank.then_some(input.len()),
            bounded: plan.inputs[0].changelog == Changelog::Append,
            rest: op.limit.is_none().then(|| NetRows::new(&input)),
            rows: plan.table(op.rows, TableKind::Ordered, &[DataType::BigInt])?,
            index: PointTable::scratch(place),
            partitions: Vec::new(),
            kept_bytes: 0,
            key_batch: KeyBatch::default(),
            slots: Vec::new(),
            key: Vec::new(),
            changes: Vec::new(),
            row: BatchBuilder::new(layout),
        })
    }

    /// The partition of an entry of the index; begins it at its first touch.
    fn partition(&mut self, i: usize, cx: &mut OpCx<'_>) -> Result<usize, OpError> {
        let slot = self.slots[i];
        if !self.index.is_new(slot) {
            return Ok(self.index.value_ref(slot).word(0) as usize);
        }
        let (key, group) = (self.key_batch.key(i), key_group(self.key_batch.hash(i)));
        let before = self.numbers.read(cx.state.ordered(self.rows), group, key)?;
        self.kept_bytes +=
            before.iter().map(|(row, _)| row.len() + size_of_val(row)).sum::<usize>();
        let now = match self.bounded {
            true => Some(Kept::new(&before, self.numbers.numbering)?),
            false => None,
        };
        let place = self.partitions.len();
        self.partitions.push(Partition { key: key.to_vec(), group, before, now });
        self.index.value(slot).set_word(0, place as u64);
        Ok(place)
    }

    /// Adds the changes of a partition's shown rows.
    fn compare(&mut self, before: &Sorted, after: &Sorted) -> Result<(), OpError> {
        if before == after {
            return Ok(());
        }
        let numbered = self.rank.is_some();
        let before = self.numbers.shown(before, numbered)?;
        let after = self.numbers.shown(after, numbered)?;
        let (mut old, mut new) = (before.into_iter().peekable(), after.into_iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(old), Some(new)) => (old.0, old.1).cmp(&(new.0, new.1)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Ok(()),
            };
            let gone = if order.is_le() { old.next() } else { None };
            let come = if order.is_ge() { new.next() } else { None };
            let weight = come.map_or(0, |(.., w)| w) - gone.map_or(0, |(.., w)| w);
            if let Some((row, number, _)) = come.or(gone).filter(|_| weight != 0) {
                self.changes.push(Change { row: row.to_vec(), number, weight });
            }
        }
    }

    /// Emits the changes: rows that are taken back first.
    fn emit(&mut self, emit: &mut BatchBuilder) -> Result<(), OpError> {
        let changes = std::mem::take(&mut self.changes);
        if let Some(rest) = &mut self.rest {
            for change in &changes {
                self.row.begin();
                self.sorted.read(&change.row, &mut self.row)?;
                self.row.finish(-change.weight);
            }
            let rows = self.row.take();
            rest.add(rows.rows().enumerate().map(|(i, row)| (row, rows.weight(i))))?;
            return rest.emit(emit);
        }
        for back in [true, false] {
            for change in changes.iter().filter(|change| (change.weight < 0) == back) {
                emit.begin();
                self.sorted.read(&change.row, emit)?;
                if let Some(column) = self.rank {
                    emit.set_i64(column, i64::try_from(change.number).unwrap_or(i64::MAX));
                }
                emit.finish(change.weight);
            }
        }
        Ok(())
    }
}

impl Operator for TopNOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.keys.encode(rows, &mut self.key_batch);
        self.index.upsert(&self.key_batch, &mut self.slots)?;
        for (i, row) in rows.rows().enumerate() {
            let place = self.partition(i, cx)?;
            let partition = &mut self.partitions[place];
            self.key.clear();
            self.key.extend_from_slice(&partition.key);
            self.sorted.append(row, &mut self.key);
            match &mut partition.now {
                Some(kept) => {
                    let row = &self.key[partition.key.len()..];
                    self.kept_bytes += kept.add(row, rows.weight(i), &self.numbers)?;
                }
                None => {
                    let table = cx.state.ordered(self.rows);
                    table.add_weight(partition.group, &self.key, rows.weight(i))?;
                }
            }
            cx.refuse_too_much(self.kept_bytes)?;
        }
        match &mut self.rest {
            Some(rest) => rest.add(rows.rows().enumerate().map(|(i, r)| (r, rows.weight(i)))),
            None => Ok(()),
        }
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let table = cx.state.ordered(self.rows);
        for partition in std::mem::take(&mut self.partitions) {
            let Partition { key, group, before, now } = partition;
            let after = match now {
                Some(kept) => kept.store(table, group, &key, &before)?,
                None => self.numbers.read(table, group, &key)?,
            };
            self.compare(&before, &after)?;
        }
        self.index.clear();
        self.kept_bytes = 0;
        self.emit(cx.emit)
    }
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
        let first = self.rows + 1;
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
}

impl Numbers {
    /// The numbers behind `offset`, so many.
    pub(super) fn new(numbering: Numbering, offset: u64, limit: u64) -> Self {
        let shown = offset.saturating_add(1)..=offset.saturating_add(limit);
        Self { numbering, shown }
    }

    fn last(&self) -> u64 {
        *self.shown.end()
    }

    /// A partition's rows up to the last number.
    pub(super) fn read(
        &self,
        table: &mut OrderedTable,
        group: u8,
        key: &[u8],
    ) -> Result<Sorted, OpError> {
        let end = prefix_end(key);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let column = table.layout().column(0);
        let mut counter = Counter::new(self.numbering);
        let mut found: Sorted = Vec::new();
        let mut failed = None;
        table.walk(group, Bound::Included(key), to, |entry| {
            let (row, weight) = (&entry.key[key.len()..], entry.row.i64(column));
            if weight <= 0 {
                return ControlFlow::Continue(());
            }
            match counter.next(row, weight) {
                Ok(number) if number <= self.last() => {
                    found.push((row.to_vec(), weight));
                    return ControlFlow::Continue(());
                }
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
            ControlFlow::Break(())
        })?;
        failed.map_or(Ok(found), Err)
    }

    /// The rows that stay, with their numbers where these are shown, else 0, and weights.
    pub(super) fn shown<'r>(
        &self,
        rows: &'r Sorted,
        numbered: bool,
    ) -> Result<Vec<Shown<'r>>, OpError> {
        let mut counter = Counter::new(self.numbering);
        let mut out: Vec<Shown<'r>> = Vec::with_capacity(rows.len());
        for (row, weight) in rows {
            let first = counter.next(row, *weight)?;
            if self.numbering != Numbering::RowNumber {
                let number = if numbered { first } else { 0 };
                out.extend(self.shown.contains(&first).then_some((&row[..], number, *weight)));
                continue;
            }
            let from = first.max(*self.shown.start());
            let to = counter.rows.min(self.last());
            if numbered {
                out.extend((from..=to).map(|number| (&row[..], number, 1)));
            } else if from <= to {
                out.push((row, 0, i64::try_from(to - from + 1).unwrap_or(i64::MAX)));
            }
        }
        Ok(out)
    }
}

/// The first rows of a partition of an append-only input.
struct Kept {
    rows: BTreeMap<Vec<u8>, i64>,
    /// Their weights together.
    weight: u64,
    /// Rows that are equal in the order, with their weights together; only where they share a
    /// number.
    groups: BTreeMap<Vec<u8>, u64>,
}

impl Kept {
    fn new(rows: &Sorted, numbering: Numbering) -> Result<Self, OpError> {
        let mut kept = Self { rows: BTreeMap::new(), weight: 0, groups: BTreeMap::new() };
        for (row, weight) in rows {
            kept.insert(row, *weight, numbering)?;
        }
        Ok(kept)
    }

    /// Adds a row if it can be among the first, and lets go of what no longer can. Returns the
    /// bytes that it takes.
    fn add(&mut self, row: &[u8], weight: i64, numbers: &Numbers) -> Result<usize, OpError> {
        if weight <= 0 {
            return Err(OpError::Internal("an append-only input takes a row back"));
        }
        if self.is_full(numbers) && self.is_behind(row, numbers.numbering)? {
            return Ok(0);
        }
        self.insert(row, weight, numbers.numbering)?;
        match numbers.numbering {
            Numbering::RowNumber => self.trim_rows(numbers.last()),
            Numbering::Rank | Numbering::DenseRank => self.trim_groups(numbers)?,
        }
        Ok(row.len() + size_of::<(Vec<u8>, i64)>())
    }

    fn insert(&mut self, row: &[u8], weight: i64, numbering: Numbering) -> Result<(), OpError> {
        self.weight = self.weight.saturating_add(weight.unsigned_abs());
        if numbering != Numbering::RowNumber {
            let sum = self.groups.entry(peers(row)?.to_vec()).or_default();
            *sum = sum.saturating_add(weight.unsigned_abs());
        }
        match self.rows.get_mut(row) {
            Some(sum) => *sum = sum.saturating_add(weight),
            None => {
                self.rows.insert(row.to_vec(), weight);
            }
        }
        Ok(())
    }

    /// Whether a row behind all others cannot be among the first.
    fn is_full(&self, numbers: &Numbers) -> bool {
        match numbers.numbering {
            Numbering::RowNumber | Numbering::Rank => self.weight >= numbers.last(),
            Numbering::DenseRank => self.groups.len() as u64 >= numbers.last(),
        }
    }

    fn is_behind(&self, row: &[u8], numbering: Numbering) -> Result<bool, OpError> {
        Ok(match numbering {
            Numbering::RowNumber => {
                self.rows.last_key_value().is_none_or(|(last, _)| row > &last[..])
            }
            Numbering::Rank | Numbering::DenseRank => {
                let of = peers(row)?;
                self.groups.last_key_value().is_none_or(|(last, _)| of > &last[..])
            }
        })
    }

    fn trim_rows(&mut self, last: u64) {
        while self.weight > last
            && let Some(mut row) = self.rows.last_entry()
        {
            let weight = row.get().unsigned_abs();
            let gone = (self.weight - last).min(weight);
            self.weight -= gone;
            match i64::try_from(weight - gone) {
                Ok(left) if left > 0 => *row.get_mut() = left,
                Ok(_) | Err(_) => {
                    row.remove();
                }
            }
        }
    }

    fn trim_groups(&mut self, numbers: &Numbers) -> Result<(), OpError> {
        while let Some((group, weight)) = self.groups.last_key_value() {
            let before = match numbers.numbering {
                Numbering::DenseRank => self.groups.len() as u64 - 1,
                Numbering::Rank | Numbering::RowNumber => self.weight - weight,
            };
            if before < numbers.last() {
                break;
            }
            while let Some(row) = self.rows.last_entry() {
                if peers(row.key())? != group {
                    break;
                }
                row.remove();
            }
            self.weight -= weight;
            self.groups.pop_last();
        }
        Ok(())
    }

    /// Brings the table from what the partition was to what it is now; returns that.
    fn store(
        self,
        table: &mut OrderedTable,
        group: u8,
        partition: &[u8],
        before: &Sorted,
    ) -> Result<Sorted, OpError> {
        let mut change = |row: &[u8], weight: i64| -> Result<(), OpError> {
            let key = [partition, row].concat();
            table.add_weight(group, &key, weight)?;
            Ok(())
        };
        for (row, weight) in before {
            let now = self.rows.get(row).copied().unwrap_or(0);
            if now != *weight {
                change(row, now - weight)?;
            }
        }
        for (row, weight) in &self.rows {
            if before.binary_search_by(|(old, _)| old.cmp(row)).is_err() {
                change(row, *weight)?;
            }
        }
        Ok(self.rows.into_iter().collect())
    }
}

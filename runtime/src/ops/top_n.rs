//! TopN: the rows of each partition whose numbers lie in a range, as changes. At the first touch of
//! a partition in an epoch its first rows are read, at the epoch's end once more: what differs goes
//! out, rows taken back first.
//!
//! Of an append-only input only the rows are kept that can be among the first: a worse row is
//! rejected when it comes, and one that is pushed out goes. Without a limit the rows behind the
//! offset are the input's changes less those of the first rows.

use std::sync::Arc;

use flow_ir::ids::TableId;
use flow_ir::physical::{Changelog, TableKind, TopN};
use flow_ir::row::{BatchBuilder, KeyBatch, KeyEncoder, RowBatch, RowLayout, key_group};
use flow_ir::types::{DataType, Type};

use super::changes::NetRows;
use super::first_rows::{Arena, Kept, Numbers, Placed, Shown, differences, stored};
use super::sorted::SortedRows;
use super::{OpCx, OpError, Operator, Plan, columns_of};
use crate::state::{PointTable, SlotId};

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
    /// The rows of these.
    arena: Arena,
    key_batch: KeyBatch,
    slots: Vec<SlotId>,
    key: Vec<u8>,
    changes: Vec<Shown>,
    row: BatchBuilder,
}

/// A partition that was touched.
struct Partition {
    slot: SlotId,
    group: u8,
    /// Its first rows when the epoch began.
    before: Vec<Placed>,
    /// Its first rows now, where no others are kept.
    now: Option<Kept>,
}

impl TopNOp {
    pub(super) fn new(op: &TopN, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        columns_of(&op.order.iter().map(|(column, _)| *column).collect::<Vec<_>>(), &input)?;
        let layout = Arc::new(RowLayout::new(input.clone()));
        let place = Arc::new(RowLayout::new(vec![Type::not_null(DataType::BigInt)]));
        Ok(Self {
            keys: KeyEncoder::new(&layout, &op.keys),
            sorted: SortedRows::new(&input, &op.order),
            numbers: Numbers::new(op.numbering, op.offset, op.limit),
            rank: op.rank.then_some(input.len()),
            bounded: plan.inputs[0].changelog == Changelog::Append,
            rest: op.limit.is_none().then(|| NetRows::new(&input)),
            rows: plan.table(op.rows, TableKind::Ordered, &[DataType::BigInt])?,
            index: PointTable::scratch(place),
            partitions: Vec::new(),
            arena: Arena::default(),
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
        let (table, arena) = (cx.state.ordered(self.rows), &mut self.arena);
        let before = self.numbers.read(table, group, key, arena)?;
        let now = match self.bounded {
            true => Some(Kept::new(&before, &self.numbers, arena)?),
            false => None,
        };
        let place = self.partitions.len();
        self.partitions.push(Partition { slot, group, before, now });
        self.index.value(slot).set_word(0, place as u64);
        Ok(place)
    }

    /// Ends the epoch for a partition: what it is now goes into the table, where only first rows
    /// are kept, and what differs in the rows that stay is added to the changes.
    fn end(&mut self, partition: Partition, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let Self { numbers, index, arena, changes, .. } = self;
        let Partition { slot, group, before, now } = partition;
        let (key, table) = (index.key(slot), cx.state.ordered(self.rows));
        let after = match now {
            Some(kept) => {
                let after = kept.finish(numbers, arena)?;
                differences(&stored(&before), &stored(&after), arena, |Shown { row, .. }| {
                    table.add_weight(group, arena.key(row, key.len()), row.weight)?;
                    Ok(())
                })?;
                after
            }
            None => numbers.read(table, group, key, arena)?,
        };
        let numbered = self.rank.is_some();
        let before = numbers.shown(&before, numbered, arena)?;
        let after = numbers.shown(&after, numbered, arena)?;
        differences(&before, &after, arena, |change| {
            changes.push(change);
            Ok(())
        })
    }

    /// Emits the changes: rows that are taken back first.
    fn emit(&mut self, emit: &mut BatchBuilder) -> Result<(), OpError> {
        let changes = std::mem::take(&mut self.changes);
        if let Some(rest) = &mut self.rest {
            for change in &changes {
                self.row.begin();
                self.sorted.read(self.arena.row(change.row), &mut self.row)?;
                self.row.finish(-change.row.weight);
            }
            let rows = self.row.take();
            rest.add(rows.rows().enumerate().map(|(i, row)| (row, rows.weight(i))))?;
            return rest.emit(emit);
        }
        for back in [true, false] {
            for change in changes.iter().filter(|change| (change.row.weight < 0) == back) {
                emit.begin();
                self.sorted.read(self.arena.row(change.row), emit)?;
                if let Some(column) = self.rank {
                    emit.set_i64(column, i64::try_from(change.number).unwrap_or(i64::MAX));
                }
                emit.finish(change.row.weight);
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
            let (partition, key) = (&mut self.partitions[place], self.key_batch.key(i));
            let (sorted, weight) = (&self.sorted, rows.weight(i));
            match &mut partition.now {
                Some(kept) => {
                    // Most rows of a large partition need not be written as a whole.
                    self.key.clear();
                    sorted.append_order(row, &mut self.key);
                    if weight > 0 && kept.rejects(&self.key, &self.arena)? {
                        continue;
                    }
                    let row = self.arena.push(key, weight, |bytes| {
                        bytes.extend_from_slice(&self.key);
                        sorted.append_rest(row, bytes);
                    });
                    if !kept.add(row, &self.numbers, &self.arena)? {
                        self.arena.pop(row, key.len());
                    }
                }
                None => {
                    self.key.clear();
                    self.key.extend_from_slice(key);
                    sorted.append(row, &mut self.key);
                    let table = cx.state.ordered(self.rows);
                    table.add_weight(partition.group, &self.key, weight)?;
                }
            }
            cx.refuse_too_much(self.arena.bytes())?;
        }
        match &mut self.rest {
            Some(rest) => rest.add(rows.rows().enumerate().map(|(i, r)| (r, rows.weight(i)))),
            None => Ok(()),
        }
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        for partition in std::mem::take(&mut self.partitions) {
            self.end(partition, cx)?;
        }
        self.index.clear();
        self.emit(cx.emit)?;
        self.arena.clear();
        Ok(())
    }
}

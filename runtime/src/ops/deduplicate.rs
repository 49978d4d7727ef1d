//! Deduplicate: the first or last row per key of an append-only input, in an order that the plan
//! gives; ties go by the key bytes of the whole row, so that the result does not depend on the
//! order of arrival. What was there when the epoch began stays where the clock leads the order.

use std::cmp::Ordering;

use flow_ir::ids::TableId;
use flow_ir::physical::{Deduplicate, Direction, Keep, TableKind};
use flow_ir::row::{BatchBuilder, KeyBatch, KeyEncoder, RowBatch, RowLayout, RowRef};
use flow_ir::types::{Slot, Type};

use super::changes::emit_changes;
use super::{OpCx, OpError, Operator, Plan, columns_of, data};
use crate::state::{PointTable, SlotId};

/// What stands before a column's bytes in a rank.
const NULL_FIRST: u8 = 0;
const VALUE: u8 = 1;
const NULL_LAST: u8 = 2;

pub(super) struct DeduplicateOp {
    encoder: KeyEncoder,
    order: Order,
    /// How a row stands to the kept one if it takes its place.
    wanted: Ordering,
    /// Where rows of earlier epochs keep their place: what is left of a row that went out, NULLs.
    gone: Option<RowBatch>,
    rows: TableId,
    keys: KeyBatch,
    slots: Vec<SlotId>,
}

/// An order of rows.
pub(crate) struct Order {
    columns: Vec<(KeyEncoder, Direction)>,
    whole: KeyEncoder,
    /// The first column, where comparing its words decides if they differ and are not NULL.
    quick: Option<usize>,
    buffers: [Vec<u8>; 2],
    kept: Vec<u64>,
}

impl DeduplicateOp {
    pub(super) fn new(op: &Deduplicate, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        let order: Vec<usize> = op.order.iter().map(|(column, _)| *column).collect();
        columns_of(&order, &input)?;
        let layout = RowLayout::new(input.clone());
        Ok(Self {
            encoder: KeyEncoder::new(&layout, &op.keys),
            order: Order::new(&layout, &input, &op.order),
            wanted: match op.keep {
                Keep::First | Keep::Once => Ordering::Less,
                Keep::Last => Ordering::Greater,
            },
            gone: (op.keep == Keep::Once).then(|| nulls(layout)),
            rows: plan.table(op.rows, TableKind::Point, &data(&input))?,
            keys: KeyBatch::default(),
            slots: Vec::new(),
        })
    }
}

impl Order {
    /// By these columns, most significant first, then by the key bytes of the whole row.
    pub(crate) fn new(layout: &RowLayout, types: &[Type], order: &[(usize, Direction)]) -> Self {
        let encode = |&(column, direction): &(usize, Direction)| {
            (KeyEncoder::new(layout, &[column]), direction)
        };
        let all: Vec<usize> = (0..types.len()).collect();
        let quick = order
            .first()
            .map(|(column, _)| *column)
            .filter(|&column| types[column].slot() == Slot::Word && !types[column].data.is_float());
        Self {
            columns: order.iter().map(encode).collect(),
            whole: KeyEncoder::new(layout, &all),
            quick,
            buffers: [Vec::new(), Vec::new()],
            kept: Vec::new(),
        }
    }

    /// How `row` stands to the kept row of `slot`.
    fn compare(&mut self, row: RowRef<'_>, table: &PointTable, slot: SlotId) -> Ordering {
        let kept = table.value_ref(slot);
        if let Some(index) = self.quick {
            let column = table.layout().column(index);
            let by_word = row.i64(column).cmp(&(kept.word(index) as i64));
            if by_word.is_ne() && !row.is_null(column) && !kept.is_null(index) {
                let descending = self.columns[0].1.descending;
                return if descending { by_word.reverse() } else { by_word };
            }
        }
        self.kept.clear();
        kept.append_row(&mut self.kept);
        let [mut new, mut old] = std::mem::take(&mut self.buffers);
        self.rank(row, &mut new);
        self.rank(RowRef::new(&self.kept), &mut old);
        let ordering = new.cmp(&old);
        self.buffers = [new, old];
        ordering
    }

    /// Bytes that compare as the rows do. Each column's part is prefix-free in either direction.
    pub(crate) fn rank(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        out.clear();
        self.append_columns(row, out);
        self.append_whole(row, out);
    }

    /// The part of a rank that the columns of the order give.
    pub(super) fn append_columns(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        for (encoder, direction) in &self.columns {
            if encoder.has_null(row) {
                out.push(if direction.nulls_first { NULL_FIRST } else { NULL_LAST });
                continue;
            }
            out.push(VALUE);
            let start = out.len();
            encoder.append(row, out);
            if direction.descending {
                out[start..].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
    }

    /// The part of a rank that decides between rows that are equal in the order.
    pub(super) fn append_whole(&self, row: RowRef<'_>, out: &mut Vec<u8>) {
        self.whole.append(row, out);
    }
}

impl Operator for DeduplicateOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let table = cx.state.point(self.rows);
        self.encoder.encode(rows, &mut self.keys);
        table.upsert(&self.keys, &mut self.slots)?;
        for (row, &slot) in rows.rows().zip(&self.slots) {
            // An entry that this epoch has not touched was there before it.
            if self.gone.is_some() && !table.is_touched(slot) {
                continue;
            }
            if table.is_new(slot) || self.order.compare(row, table, slot) == self.wanted {
                table.set_row(slot, row);
            }
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let table = cx.state.point(self.rows);
        emit_changes(table, cx.emit);
        if let Some(gone) = &self.gone {
            for slot in table.touched().to_vec() {
                table.set_row(slot, gone.row(0));
            }
        }
        Ok(())
    }
}

/// A row in which every column is NULL.
fn nulls(layout: RowLayout) -> RowBatch {
    let mut row = BatchBuilder::new(layout.into());
    row.begin();
    row.finish(1);
    row.take()
}

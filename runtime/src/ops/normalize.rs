//! Normalize: the last row per key of a keyed changelog. A tombstone takes the row back; one for an
//! unknown key is nothing.

use flow_ir::ids::TableId;
use flow_ir::physical::{Normalize, TableKind};
use flow_ir::row::{Column, KeyBatch, KeyEncoder, RowBatch, RowLayout};

use super::changes::emit_changes;
use super::{OpCx, OpError, Operator, Plan, columns_of, data, words_of};
use crate::state::SlotId;

pub(super) struct NormalizeOp {
    encoder: KeyEncoder,
    tombstone: Column,
    rows: TableId,
    keys: KeyBatch,
    slots: Vec<SlotId>,
    /// One key that came back in the batch that removed it.
    again: KeyBatch,
}

impl NormalizeOp {
    pub(super) fn new(op: &Normalize, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        words_of(&[op.tombstone], &input)?;
        let layout = RowLayout::new(input.clone());
        Ok(Self {
            encoder: KeyEncoder::new(&layout, &op.keys),
            tombstone: layout.column(op.tombstone),
            rows: plan.table(op.rows, TableKind::Point, &data(&input))?,
            keys: KeyBatch::default(),
            slots: Vec::new(),
            again: KeyBatch::default(),
        })
    }
}

impl Operator for NormalizeOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let table = cx.state.point(self.rows);
        self.encoder.encode(rows, &mut self.keys);
        table.upsert(&self.keys, &mut self.slots)?;
        let mut revived = Vec::new();
        for (i, row) in rows.rows().enumerate() {
            let mut slot = self.slots[i];
            if row.word(self.tombstone) != 0 {
                table.remove(slot);
                continue;
            }
            if !table.is_live(slot) {
                self.again.clear();
                self.again.push(self.keys.key(i));
                table.upsert(&self.again, &mut revived)?;
                slot = revived[0];
            }
            table.set_row(slot, row);
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        emit_changes(cx.state.point(self.rows), cx.emit);
        Ok(())
    }
}

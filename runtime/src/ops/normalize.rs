//! Normalize: the last row per key of a keyed changelog. A tombstone takes the row back; one for an
//! unknown key is nothing. Where records say how often a row is there, the row is the key, and what
//! is kept of it is that number.

use flow_ir::ids::TableId;
use flow_ir::physical::{Normalize, TableKind};
use flow_ir::row::RowRef;
use flow_ir::row::{BatchBuilder, Column, KeyBatch, KeyDecoder, KeyEncoder, RowBatch, RowLayout};
use flow_ir::types::DataType;

use super::changes::emit_changes;
use super::{OpCx, OpError, Operator, Plan, columns_of, data, words_of};
use crate::state::{PointTable, SlotId};

pub(super) struct NormalizeOp {
    encoder: KeyEncoder,
    tombstone: Column,
    weights: Option<Weights>,
    rows: TableId,
    keys: KeyBatch,
    slots: Vec<SlotId>,
    /// One key that came back in the batch that removed it.
    again: KeyBatch,
}

/// How rows with weights are read from records, and made again from keys.
struct Weights {
    column: Column,
    decoder: KeyDecoder,
    tombstone: usize,
}

impl NormalizeOp {
    pub(super) fn new(op: &Normalize, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        words_of(&[op.tombstone], &input)?;
        words_of(op.weight.as_slice(), &input)?;
        let layout = RowLayout::new(input.clone());
        let weights = op.weight.map(|weight| Weights {
            column: layout.column(weight),
            decoder: KeyDecoder::new(op.keys.iter().map(|&key| input[key].clone()).collect()),
            tombstone: op.tombstone,
        });
        let kept = if weights.is_some() { vec![DataType::BigInt] } else { data(&input) };
        Ok(Self {
            encoder: KeyEncoder::new(&layout, &op.keys),
            tombstone: layout.column(op.tombstone),
            rows: plan.table(op.rows, TableKind::Point, &kept)?,
            weights,
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
            match &self.weights {
                Some(weights) => table.value(slot).set_word(0, row.word(weights.column)),
                None => table.set_row(slot, row),
            }
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let table = cx.state.point(self.rows);
        match &self.weights {
            Some(weights) => weights.emit_changes(table, cx.emit),
            None => {
                emit_changes(table, cx.emit);
                Ok(())
            }
        }
    }
}

impl Weights {
    /// Emits each row that is not there as often as when the epoch began.
    fn emit_changes(&self, table: &PointTable, emit: &mut BatchBuilder) -> Result<(), OpError> {
        let weight = table.layout().column(0);
        let number = |row: RowRef<'_>| if row.is_null(weight) { 0 } else { row.i64(weight) };
        for &slot in table.touched() {
            let before = table.before(slot).map_or(0, number);
            let now = if table.is_live(slot) { table.value_ref(slot).word(0) as i64 } else { 0 };
            let change = now.wrapping_sub(before);
            if change == 0 {
                continue;
            }
            emit.begin();
            if !self.decoder.decode(table.key(slot), emit, 0) {
                return Err(OpError::Internal("a counted row cannot be read back"));
            }
            emit.set_word(self.tombstone, 0);
            emit.finish(change);
        }
        Ok(())
    }
}

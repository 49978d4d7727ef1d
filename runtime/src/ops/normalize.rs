//! Normalize: the last row per key of a keyed changelog. A tombstone takes the row back; one for an
//! unknown key is nothing. Where records say how often a row is there, the row is the key, and what
//! is kept of it is that number. Where windows mind the changes' times, each record's change goes
//! out by itself: an update within an epoch may take a row back from a window that another closes.

use flow_ir::ids::TableId;
use flow_ir::physical::{Normalize, TableKind};
use flow_ir::row::RowRef;
use flow_ir::row::{BatchBuilder, Column, KeyBatch, KeyDecoder, KeyEncoder, RowBatch, RowLayout};
use flow_ir::types::{DataType, Slot};

use super::changes::emit_changes;
use super::{OpCx, OpError, Operator, Plan, columns_of, data, words_of};
use crate::state::{PointTable, SlotId};

pub(super) struct NormalizeOp {
    encoder: KeyEncoder,
    tombstone: Column,
    weights: Option<Weights>,
    each: Option<Each>,
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

/// How each record's change is emitted.
struct Each {
    /// All columns but that of the watermark, with their positions.
    columns: Vec<(usize, Column)>,
    watermark: (usize, Column),
    old: Vec<u64>,
}

impl NormalizeOp {
    pub(super) fn new(op: &Normalize, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        words_of(&[op.tombstone], &input)?;
        words_of(op.weight.as_slice(), &input)?;
        words_of(op.watermark.as_slice(), &input)?;
        if op.weight.is_some() && op.watermark.is_some() {
            return Err("counted rows have no watermark".into());
        }
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
            each: op.watermark.map(|at| {
                let columns = layout.columns().iter().copied().enumerate();
                let columns = columns.filter(|(index, _)| *index != at).collect();
                Each { columns, watermark: (at, layout.column(at)), old: Vec::new() }
            }),
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
            if let Some(each) = &mut self.each {
                each.emit_change(table, slot, row, row.word(self.tombstone) == 0, cx.emit);
            }
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
            _ if self.each.is_some() => Ok(()),
            Some(weights) => weights.emit_changes(table, cx.emit),
            None => {
                emit_changes(table, cx.emit);
                Ok(())
            }
        }
    }
}

impl Each {
    /// Takes back the row of an entry, and gives the one that takes its place, unless they are one.
    fn emit_change(
        &mut self,
        table: &PointTable,
        slot: SlotId,
        row: RowRef<'_>,
        comes: bool,
        emit: &mut BatchBuilder,
    ) {
        self.old.clear();
        if table.is_live(slot) && !table.is_new(slot) {
            table.value_ref(slot).append_row(&mut self.old);
        }
        let old = (!self.old.is_empty()).then(|| RowRef::new(&self.old));
        if let Some(old) = old {
            if comes && self.columns.iter().all(|&(_, column)| same(old, row, column)) {
                return;
            }
            emit.begin();
            for &(index, column) in &self.columns {
                emit.copy_column(index, old, column);
            }
            let (index, column) = self.watermark;
            emit.copy_column(index, row, column);
            emit.finish(-1);
        }
        if comes {
            emit.push_row(row, 1);
        }
    }
}

/// Whether two rows of one layout agree in a column, bit by bit.
fn same(a: RowRef<'_>, b: RowRef<'_>, column: Column) -> bool {
    let value = |row: RowRef<'_>| match column.slot {
        Slot::Word => [row.word(column), 0],
        Slot::Wide => row.wide(column),
        Slot::Var => [0, 0],
    };
    let var = column.slot == Slot::Var;
    a.is_null(column) == b.is_null(column)
        && (a.is_null(column) || value(a) == value(b) && (!var || a.var(column) == b.var(column)))
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

//! Materialize: keeps a view's rows in the order of its key, and passes on the net changes of each
//! epoch. The kept rows are what readers of the view see once the epoch is committed.

use flow_ir::ids::TableId;
use flow_ir::physical::{Materialize, TableKind};
use flow_ir::row::{BatchBuilder, KeyEncoder, RowBatch, RowLayout, key_group, key_hash};
use flow_ir::types::{DataType, Type};
use std::sync::Arc;

use super::changes::NetRows;
use super::{OpCx, OpError, Operator, Plan, columns_of, data};

pub(super) struct MaterializeOp {
    /// The columns that say where a row lies; its key is they and the ones of `rest`.
    hashed: KeyEncoder,
    rest: KeyEncoder,
    counted: bool,
    rows: TableId,
    net: NetRows,
    changed: BatchBuilder,
    key: Vec<u8>,
}

impl MaterializeOp {
    pub(super) fn new(op: &Materialize, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.keys, &input)?;
        let (hashed, rest) =
            op.keys.split_at_checked(op.hashed).ok_or("more columns are hashed than kept")?;
        let value = if op.counted { vec![Type::not_null(DataType::BigInt)] } else { input.clone() };
        let layout = Arc::new(RowLayout::new(input.clone()));
        Ok(Self {
            hashed: KeyEncoder::new(&layout, hashed),
            rest: KeyEncoder::new(&layout, rest),
            counted: op.counted,
            rows: plan.table(op.rows, TableKind::Ordered, &data(&value))?,
            net: NetRows::new(&input),
            changed: BatchBuilder::new(layout),
            key: Vec::new(),
        })
    }
}

impl Operator for MaterializeOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, _: &mut OpCx<'_>) -> Result<(), OpError> {
        self.net.add(rows.rows().enumerate().map(|(i, row)| (row, rows.weight(i))))
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.net.emit(&mut self.changed)?;
        let changed = self.changed.take();
        let table = cx.state.ordered(self.rows);
        // Rows that go come before rows that come: a key's old row before its new one.
        for (i, row) in changed.rows().enumerate() {
            self.key.clear();
            self.hashed.append(row, &mut self.key);
            let group = key_group(key_hash(&self.key));
            self.rest.append(row, &mut self.key);
            let weight = changed.weight(i);
            if self.counted {
                table.add_weight(group, &self.key, weight)?;
            } else if weight > 0 {
                table.put(group, &self.key, row)?;
            } else {
                table.delete(group, &self.key)?;
            }
        }
        cx.emit.push_batch(&changed);
        self.changed.recycle(changed);
        Ok(())
    }
}

//! Union: the rows of all inputs.

use flow_ir::row::RowBatch;

use super::{OpCx, OpError, Operator};

pub(super) struct UnionOp;

impl Operator for UnionOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        cx.emit.push_batch(rows);
        Ok(())
    }
}

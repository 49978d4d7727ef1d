//! Map: a kernel's filter and projection.

use flow_ir::kernel::{ErrorBuffer, Kernel};
use flow_ir::physical::Map;
use flow_ir::row::RowBatch;

use super::{OpCx, OpError, Operator, Plan, data};

pub(super) struct MapOp {
    kernel: Box<dyn Kernel>,
    bad: ErrorBuffer,
}

impl MapOp {
    pub(super) fn new(op: &Map, plan: &Plan<'_>) -> Result<Self, String> {
        if data(&op.kernel.output_types()) != data(&plan.output()) {
            return Err("the kernel makes other columns".into());
        }
        let kernel = plan.factory.kernel(&op.kernel).map_err(|e| e.0)?;
        Ok(Self { kernel, bad: ErrorBuffer::default() })
    }
}

impl Operator for MapOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.kernel.run(rows, &cx.kernel, cx.emit, &mut self.bad);
        cx.reports.take_failures(rows, &mut self.bad);
        Ok(())
    }
}

//! Filters and projections over batches as machine code: one loop a kernel. What only the output
//! needs is computed after the filter.

use cranelift_codegen::ir::{Block, InstBuilder};
use flow_ir::kernel::{ErrorBuffer, Kernel, KernelCx, KernelError, KernelSpec, RowError};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout};
use flow_stdlib::interp::InterpKernel;

use super::emit::{Cell, Emit};
use super::io::Exit;
use super::module::Code;
use super::rows::{copy_row, input_row, load_column, write_row};
use super::scalar::Registers;

/// A compiled filter and projection.
#[derive(Debug)]
pub(super) struct NativeKernel {
    code: Code,
    /// Does the rows that the code leaves, one by one.
    interpreter: InterpKernel,
    one: BatchBuilder,
    layout: RowLayout,
}

/// Computes the filter, goes to `dropped` where it is not TRUE, then computes the outputs.
pub(super) fn filter_and_project(
    e: &mut Emit<'_>,
    spec: &KernelSpec,
    dropped: Block,
    mut column: impl FnMut(&mut Emit<'_>, usize) -> Cell,
) -> Result<Vec<Cell>, KernelError> {
    let mut registers = Registers::new(&spec.program);
    if let Some(filter) = spec.filter {
        registers.compute(e, [filter].into_iter(), &mut column)?;
        e.check();
        let passes = e.is_true(registers.cell(filter));
        e.go_on_if(passes, dropped);
    }
    registers.compute(e, spec.outputs.iter().copied(), &mut column)?;
    e.check();
    Ok(spec.outputs.iter().map(|reg| registers.cell(*reg)).collect())
}

/// Writes the body of a kernel's loop.
pub(super) fn body(e: &mut Emit<'_>, spec: &KernelSpec) -> Result<(), KernelError> {
    let layout = RowLayout::new(spec.program.input.clone());
    let row = input_row(e);
    let column = |e: &mut Emit<'_>, number: usize| load_column(e, row, layout.column(number));
    if spec.is_identity() {
        let only = KernelSpec { outputs: Vec::new(), ..spec.clone() };
        filter_and_project(e, &only, e.next, column)?;
        copy_row(e, row);
    } else {
        let cells = filter_and_project(e, spec, e.next, column)?;
        write_row(e, &spec.output_layout(), &cells, false);
    }
    e.b.ins().jump(e.next, &[]);
    Ok(())
}

impl NativeKernel {
    /// A kernel of code that `body` wrote.
    pub(super) fn new(spec: &KernelSpec, code: Code) -> Result<Self, KernelError> {
        let layout = RowLayout::new(spec.program.input.clone());
        let one = BatchBuilder::new(std::sync::Arc::new(layout.clone()));
        Ok(Self { code, interpreter: InterpKernel::new(spec)?, one, layout })
    }
}

impl Kernel for NativeKernel {
    fn run(
        &mut self,
        rows: &RowBatch,
        cx: &KernelCx,
        out: &mut BatchBuilder,
        bad: &mut ErrorBuffer,
    ) {
        assert_eq!(
            rows.layout().columns(),
            self.layout.columns(),
            "the batch is of the program's input"
        );
        let mut from = 0;
        while from < rows.len() {
            let (exit, at) = self.code.rows_to_rows(rows, from, cx.clock, out);
            if exit == Exit::Done {
                break;
            }
            interpret(&mut self.interpreter, &mut self.one, rows, at, cx, out, bad);
            from = at + 1;
        }
    }
}

/// Does one row of a batch by the interpreter.
fn interpret(
    interpreter: &mut InterpKernel,
    one: &mut BatchBuilder,
    rows: &RowBatch,
    at: usize,
    cx: &KernelCx,
    out: &mut BatchBuilder,
    bad: &mut ErrorBuffer,
) {
    one.push_row(rows.row(at), rows.weight(at));
    let row = one.take();
    let mut failed = ErrorBuffer::default();
    interpreter.run(&row, cx, out, &mut failed);
    bad.errors.extend(failed.errors.into_iter().map(|e| RowError { row: at as u32, ..e }));
    one.recycle(row);
}

//! The body of an `Each`, run for the elements of one row's arrays by a kernel of its own.

use std::sync::Arc;

use flow_ir::each::{Each, EachKind};
use flow_ir::kernel::{ErrorBuffer, Kernel, KernelCx, KernelError, KernelSpec, OnError, RowError};
use flow_ir::row::{BatchBuilder, ContainerBuilder, RowBatch, RowLayout};
use flow_ir::scalar::ScalarProgram;
use flow_ir::types::{DataType, Slot, Type};

use super::register::{Frame, Register, Rows};
use super::scalar::InterpKernel;
use super::step::Failures;
use crate::host::{HostArg, HostError, HostOut, check_size};
use crate::text::field_of;

/// Elements that are computed at once, so that what is captured is not copied for all of them.
const ELEMENTS_AT_ONCE: usize = 256;

/// An `Each` made ready.
#[derive(Debug)]
pub(super) struct Loop {
    kind: EachKind,
    /// Types of the arrays.
    arrays: Vec<Type>,
    kernel: InterpKernel,
    input: BatchBuilder,
    output: BatchBuilder,
    bad: ErrorBuffer,
    items: ContainerBuilder,
}

/// Why a row failed.
#[derive(Debug)]
pub(super) enum LoopError {
    /// The body failed for an element; its result is NULL.
    Element(RowError),
    /// The operation failed.
    Whole(HostError),
}

impl From<HostError> for LoopError {
    fn from(error: HostError) -> Self {
        LoopError::Whole(error)
    }
}

impl Loop {
    /// The loop of an operation of `program`.
    ///
    /// # Errors
    /// If the body names an unknown host function or a cast that does not exist.
    pub(super) fn new(program: &ScalarProgram, each: &Each) -> Result<Self, KernelError> {
        let spec =
            KernelSpec { program: each.body.clone(), filter: None, outputs: vec![each.result] };
        let input = Arc::new(RowLayout::new(each.body.input.clone()));
        Ok(Self {
            kind: each.kind,
            arrays: each.arrays.iter().map(|reg| program.ty(*reg).clone()).collect(),
            kernel: InterpKernel::new(&spec)?,
            input: BatchBuilder::new(input),
            output: BatchBuilder::new(spec.output_layout()),
            bad: ErrorBuffer::default(),
            items: ContainerBuilder::default(),
        })
    }

    /// Computes the result from the operands of the operation, in their order.
    ///
    /// # Errors
    /// The first failure. Where it is an element's, the result is there all the same.
    pub(super) fn run(
        &mut self,
        args: &[HostArg<'_>],
        out: &mut HostOut<'_>,
    ) -> Result<(), LoopError> {
        let Some((arrays, rest)) = args.split_at_checked(self.arrays.len()) else { return Ok(()) };
        if arrays.iter().any(|array| array.is_null()) {
            return Ok(());
        }
        self.bad.clear();
        let arrays: Vec<Vec<HostArg<'_>>> =
            arrays.iter().zip(&self.arrays).map(|(arg, ty)| elements(*arg, ty)).collect();
        match self.kind {
            EachKind::Map => self.map(&arrays, rest, out)?,
            EachKind::Filter => self.filter(&arrays, rest, out)?,
            EachKind::Fold => self.fold(&arrays, rest, out)?,
        }
        match self.bad.errors.pop() {
            Some(error) => Err(LoopError::Element(error)),
            None => Ok(()),
        }
    }

    fn map(
        &mut self,
        arrays: &[Vec<HostArg<'_>>],
        captured: &[HostArg<'_>],
        out: &mut HostOut<'_>,
    ) -> Result<(), HostError> {
        let count = arrays.iter().map(Vec::len).max().unwrap_or(0);
        let mut bytes = 0;
        self.items.clear();
        let mut from = 0;
        while from < count {
            let to = count.min(from + ELEMENTS_AT_ONCE);
            let results = self.compute(from..to, arrays, captured);
            bytes += results.words().len() * 8;
            check_size(bytes)?;
            let layout = results.layout();
            let slot = layout.types()[0].slot();
            for row in 0..results.len() {
                field_of(results.row(row), layout, 0).push_to(&mut self.items, slot);
            }
            from = to;
        }
        self.items.finish_array(out.container());
        Ok(())
    }

    fn filter(
        &mut self,
        arrays: &[Vec<HostArg<'_>>],
        captured: &[HostArg<'_>],
        out: &mut HostOut<'_>,
    ) -> Result<(), HostError> {
        let slot = item_slot(&self.arrays[0]);
        let count = arrays[0].len();
        self.items.clear();
        let mut from = 0;
        while from < count {
            let to = count.min(from + ELEMENTS_AT_ONCE);
            let results = self.compute(from..to, arrays, captured);
            for (row, element) in arrays[0][from..to].iter().enumerate() {
                if field_of(results.row(row), results.layout(), 0).bool() {
                    element.push_to(&mut self.items, slot);
                }
            }
            from = to;
        }
        self.items.finish_array(out.container());
        Ok(())
    }

    fn fold(
        &mut self,
        arrays: &[Vec<HostArg<'_>>],
        rest: &[HostArg<'_>],
        out: &mut HostOut<'_>,
    ) -> Result<(), HostError> {
        let Some((init, captured)) = rest.split_first() else { return Ok(()) };
        let count = arrays.iter().map(Vec::len).max().unwrap_or(0);
        let mut last: Option<RowBatch> = None;
        for at in 0..count {
            self.input.begin();
            let accumulator = match &last {
                Some(batch) => field_of(batch.row(0), batch.layout(), 0),
                None => *init,
            };
            set(&mut self.input, 0, accumulator);
            fill(&mut self.input, 1, at, arrays, captured);
            let batch = self.run_body();
            check_size(batch.words().len() * 8)?;
            last = Some(batch);
        }
        match &last {
            Some(batch) => out.copy(field_of(batch.row(0), batch.layout(), 0)),
            None => out.copy(*init),
        }
        Ok(())
    }

    /// The body's results for some of the elements, a row each.
    fn compute(
        &mut self,
        elements: std::ops::Range<usize>,
        arrays: &[Vec<HostArg<'_>>],
        captured: &[HostArg<'_>],
    ) -> RowBatch {
        for at in elements {
            self.input.begin();
            fill(&mut self.input, 0, at, arrays, captured);
        }
        self.run_body()
    }

    /// Runs the body over the input; of the failures the first is kept.
    fn run_body(&mut self) -> RowBatch {
        let cx = KernelCx { clock: 0, on_error: OnError::KeepNull };
        let known = self.bad.errors.len();
        self.kernel.run(&self.input.take(), &cx, &mut self.output, &mut self.bad);
        self.bad.errors.truncate(known.max(1));
        self.output.take()
    }
}

/// The step that runs a loop for each row.
pub(super) fn each_step(
    each: &mut Loop,
    args: &[usize],
    frame: Frame<'_>,
    out: &mut Register,
    rows: Rows<'_>,
    failures: &mut Failures<'_>,
) {
    let home = frame.registers.len();
    let mut values: Vec<HostArg<'_>> = Vec::with_capacity(args.len());
    rows.each(|row| {
        values.clear();
        values.extend(args.iter().map(|a| frame.arg(&frame.registers[*a], row)));
        let done = out.put(row, home, |out| {
            let done = each.run(&values, out);
            if let Err(LoopError::Whole(_)) = done {
                out.null();
            }
            done
        });
        match done {
            Ok(()) => {}
            Err(LoopError::Whole(error)) => failures.note(row, &error),
            Err(LoopError::Element(error)) => failures.inner(row, &error),
        }
    });
}

fn item_slot(array: &Type) -> Slot {
    match &array.data {
        DataType::Array(item) => item.slot(),
        _ => Slot::Word,
    }
}

fn elements<'a>(arg: HostArg<'a>, ty: &Type) -> Vec<HostArg<'a>> {
    let DataType::Array(item) = &ty.data else { return Vec::new() };
    let array = arg.array(ty);
    (0..array.len()).map(|i| HostArg::element(array, i, item)).collect()
}

/// Sets the elements at a position, then what is captured, from a column on, and ends the row.
fn fill(
    input: &mut BatchBuilder,
    first: usize,
    at: usize,
    arrays: &[Vec<HostArg<'_>>],
    captured: &[HostArg<'_>],
) {
    let elements = arrays.iter().map(|array| array.get(at).copied().unwrap_or(HostArg::Null));
    for (column, value) in elements.chain(captured.iter().copied()).enumerate() {
        set(input, first + column, value);
    }
    input.finish(1);
}

fn set(input: &mut BatchBuilder, column: usize, value: HostArg<'_>) {
    match value {
        HostArg::Null => {}
        HostArg::Word(word) => input.set_word(column, word),
        HostArg::Wide(wide) => input.set_wide(column, wide),
        HostArg::Bytes(bytes) => input.set_bytes(column, bytes),
        HostArg::Container(words) => input.set_container(column, words),
    }
}

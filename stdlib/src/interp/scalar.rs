//! Filter and projection over a batch. The instructions that the filter needs run first, over all
//! rows; those that only the output needs run after it, over the rows that pass. Columns that go
//! straight to the output are copied from row to row. An instruction that neither needs never
//! runs, so it cannot fail.

use flow_ir::ids::Reg;
use flow_ir::kernel::{ErrorBuffer, Kernel, KernelCx, KernelError, KernelSpec, OnError};
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout};
use flow_ir::scalar::ScalarOp;
use flow_ir::types::Type;

use super::register::{Frame, Register, Rows};
use super::step::{Action, Failures, StepCx};

/// An interpreted filter and projection.
#[derive(Debug)]
pub struct InterpKernel {
    input: Vec<Type>,
    /// All registers, by instruction.
    registers: Vec<Register>,
    /// What runs before the filter.
    before: Phase,
    /// What runs after it.
    after: Phase,
    filter: Option<usize>,
    outputs: Vec<Output>,
    /// The output row is the input row.
    identity: bool,
    passing: Vec<u32>,
    failed: Vec<bool>,
}

/// Steps over the same rows.
#[derive(Debug, Default)]
struct Phase {
    steps: Vec<Step>,
    guards: Vec<Guard>,
}

#[derive(Debug)]
struct Step {
    register: usize,
    action: Action,
    site: Option<flow_ir::ids::SiteId>,
    /// Position among the phase's guards.
    guard: Option<usize>,
}

/// The rows of a phase where a register is TRUE.
#[derive(Debug)]
struct Guard {
    register: usize,
    rows: Vec<u32>,
    /// Whether `rows` are those of this batch.
    ready: bool,
}

#[derive(Clone, Copy, Debug)]
enum Output {
    Column(Column),
    Register(usize),
}

impl InterpKernel {
    /// A kernel for a filter and projection.
    ///
    /// # Errors
    /// If the program is not well formed, or names an unknown host function or cast.
    pub fn new(spec: &KernelSpec) -> Result<Self, KernelError> {
        spec.verify().map_err(|e| KernelError(e.to_string()))?;
        let program = &spec.program;
        let layout = RowLayout::new(program.input.clone());
        let outputs: Vec<Output> = spec
            .outputs
            .iter()
            .map(|r| match program.insts[r.index()].op {
                ScalarOp::Column(index) => Output::Column(layout.column(index as usize)),
                _ => Output::Register(r.index()),
            })
            .collect();
        let first = program.needed(spec.filter.into_iter());
        let wanted = outputs.iter().filter_map(|o| match o {
            Output::Column(_) => None,
            Output::Register(register) => Some(Reg::from(*register)),
        });
        let second = program.needed(wanted);
        let mut kernel = Self {
            input: program.input.clone(),
            registers: Vec::with_capacity(program.insts.len()),
            before: Phase::default(),
            after: Phase::default(),
            filter: spec.filter.map(|r| r.index()),
            identity: spec.is_identity(),
            outputs,
            passing: Vec::new(),
            failed: Vec::new(),
        };
        for (index, inst) in program.insts.iter().enumerate() {
            kernel.registers.push(match &inst.op {
                ScalarOp::Const(value) => Register::constant(&inst.ty, value, index),
                ScalarOp::Clock => Register::word_for_all(&inst.ty),
                _ => Register::new(&inst.ty),
            });
            let phase = match (first[index], second[index]) {
                (true, _) => &mut kernel.before,
                (false, true) => &mut kernel.after,
                (false, false) => continue,
            };
            let action = Action::new(program, &layout, inst)?;
            let guard = inst.guard.map(|g| phase.guard(g.index()));
            phase.steps.push(Step { register: index, action, site: inst.site, guard });
        }
        Ok(kernel)
    }

    /// Puts the rows that the filter lets pass into `passing`.
    fn select(&mut self, filter: usize, rows: usize, drop_failed: bool) {
        self.passing.clear();
        let (register, failed) = (&self.registers[filter], &self.failed);
        self.passing.extend((0..rows as u32).filter(|&row| {
            register.is_true(row as usize) && !(drop_failed && failed[row as usize])
        }));
    }
}

impl Phase {
    /// The guard on a register.
    fn guard(&mut self, register: usize) -> usize {
        if let Some(at) = self.guards.iter().position(|g| g.register == register) {
            return at;
        }
        self.guards.push(Guard { register, rows: Vec::new(), ready: false });
        self.guards.len() - 1
    }

    fn run(
        &mut self,
        registers: &mut [Register],
        cx: &StepCx<'_>,
        failed: &mut [bool],
        bad: &mut ErrorBuffer,
    ) {
        for guard in &mut self.guards {
            guard.ready = false;
        }
        for step in &mut self.steps {
            let (known, rest) = registers.split_at_mut(step.register);
            let out = &mut rest[0];
            out.begin(cx.batch.len());
            let rows = match step.guard {
                None => cx.rows,
                Some(guard) => {
                    cx.rows.each(|row| out.set_null(row));
                    self.guards[guard].open(known, cx.rows)
                }
            };
            let frame = Frame { registers: known, batch: cx.batch.words() };
            let mut failures = Failures { bad: &mut *bad, failed: &mut *failed, site: step.site };
            step.action.run(frame, out, &StepCx { rows, ..*cx }, &mut failures);
        }
    }
}

impl Guard {
    fn open(&mut self, registers: &[Register], rows: Rows<'_>) -> Rows<'_> {
        if !self.ready {
            self.rows.clear();
            let condition = &registers[self.register];
            let open = &mut self.rows;
            rows.each(|row| {
                if condition.is_true(row) {
                    open.push(row as u32);
                }
            });
            self.ready = true;
        }
        Rows::Some(&self.rows)
    }
}

impl Kernel for InterpKernel {
    fn run(
        &mut self,
        rows: &RowBatch,
        cx: &KernelCx,
        out: &mut BatchBuilder,
        bad: &mut ErrorBuffer,
    ) {
        assert_eq!(rows.layout().len(), self.input.len(), "the batch is of the program's input");
        let count = rows.len();
        self.failed.clear();
        self.failed.resize(count, false);
        let drop_failed = cx.on_error == OnError::DropRow;
        let all = StepCx { batch: rows, rows: Rows::All(count), clock: cx.clock };
        self.before.run(&mut self.registers, &all, &mut self.failed, bad);
        if let Some(filter) = self.filter {
            self.select(filter, count, drop_failed);
        }
        let passing = match self.filter {
            Some(_) => Rows::Some(&self.passing),
            None => Rows::All(count),
        };
        let rest = StepCx { rows: passing, ..all };
        self.after.run(&mut self.registers, &rest, &mut self.failed, bad);
        let frame = Frame { registers: &self.registers, batch: rows.words() };
        passing.each(|row| {
            if drop_failed && self.failed[row] {
                return;
            }
            if self.identity {
                return out.push_row(rows.row(row), rows.weight(row));
            }
            out.begin();
            for (column, output) in self.outputs.iter().enumerate() {
                match *output {
                    Output::Column(from) => out.copy_column(column, rows.row(row), from),
                    Output::Register(index) => {
                        frame.write(&frame.registers[index], row, out, column);
                    }
                }
            }
            out.finish(rows.weight(row));
        });
    }
}

//! The reference interpreter: what scalar programs, plans and update programs mean. It works
//! on whole batches; native code is held against it.

mod arith;
pub mod cast;
mod compare;
pub mod decode;
mod each;
pub mod encode;
mod register;
mod scalar;
pub mod scan;
mod single;
mod step;
pub(crate) mod update;

use std::sync::Arc;

use flow_ir::decode_plan::DecodePlan;
use flow_ir::encode_plan::EncodePlan;
use flow_ir::ids::Reg;
use flow_ir::kernel::{
    Decoder, Encoder, ErrorBuffer, ErrorCode, Kernel, KernelCx, KernelError, KernelFactory,
    KernelSpec, OnError, RowError, ScanSpec, Scanner, Updater,
};
use flow_ir::row::{BatchBuilder, RowLayout, push_value, read_value};
use flow_ir::scalar::ScalarProgram;
use flow_ir::update::UpdateProgram;
use flow_ir::value::Value;

pub use compare::compare_values;
pub use scalar::InterpKernel;
pub use single::Single;

/// Makes interpreted kernels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interpreter;

impl KernelFactory for Interpreter {
    fn kernel(&self, spec: &KernelSpec) -> Result<Box<dyn Kernel>, KernelError> {
        Ok(Box::new(InterpKernel::new(spec)?))
    }

    fn decoder(&self, plan: &DecodePlan) -> Result<Box<dyn Decoder>, KernelError> {
        Ok(Box::new(decode::PlanDecoder::new(plan)?))
    }

    fn scanner(&self, spec: &ScanSpec) -> Result<Box<dyn Scanner>, KernelError> {
        let decoder = self.decoder(&spec.decode)?;
        Ok(Box::new(scan::Staged::new(spec, decoder, self)?))
    }

    fn encoder(&self, plan: &EncodePlan) -> Result<Box<dyn Encoder>, KernelError> {
        Ok(Box::new(encode::PlanEncoder::new(plan)?))
    }

    fn updater(&self, program: &UpdateProgram) -> Result<Box<dyn Updater>, KernelError> {
        Ok(Box::new(update::InterpUpdater::new(program)?))
    }
}

/// The value of a register for one row, at this time of the epoch's clock (microseconds since
/// 1970). For constant folding and tests: a batch of one.
///
/// # Errors
/// What an instruction that the register needs failed with; `BadArgument` without a site if the
/// program is not well formed.
pub fn eval(
    program: &ScalarProgram,
    register: Reg,
    row: &[Value],
    clock: i64,
) -> Result<Value, RowError> {
    let broken = |why: String| RowError {
        row: 0,
        site: None,
        code: ErrorCode::BadArgument,
        detail: Some(why.into()),
    };
    let spec = KernelSpec { program: program.clone(), filter: None, outputs: vec![register] };
    let mut kernel = InterpKernel::new(&spec).map_err(|e| broken(e.0))?;
    if row.len() != program.input.len() {
        return Err(broken("a value a column is wanted".to_string()));
    }
    let mut input = BatchBuilder::new(Arc::new(RowLayout::new(program.input.clone())));
    input.begin();
    for (column, value) in row.iter().enumerate() {
        push_value(&mut input, column, value);
    }
    input.finish(1);
    let layout = spec.output_layout();
    let mut out = BatchBuilder::new(layout.clone());
    let mut bad = ErrorBuffer::default();
    let cx = KernelCx { clock, on_error: OnError::KeepNull };
    kernel.run(&input.take(), &cx, &mut out, &mut bad);
    if let Some(error) = bad.errors.into_iter().next() {
        return Err(error);
    }
    Ok(read_value(out.take().row(0), layout.column(0), &layout.types()[0]))
}

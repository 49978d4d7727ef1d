//! Native code for the per-record work of a job: scalar programs, decode plans and encode plans
//! become machine code for exactly this program and these schemas. The interpreter
//! (`flow_stdlib::interp`) defines what they mean.

use flow_ir::decode_plan::DecodePlan;
use flow_ir::encode_plan::EncodePlan;
use flow_ir::kernel::{Decoder, Encoder, Kernel, KernelError, KernelFactory, KernelSpec};
use flow_stdlib::interp::Interpreter;

/// Makes kernels of machine code.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl KernelFactory for Native {
    fn kernel(&self, spec: &KernelSpec) -> Result<Box<dyn Kernel>, KernelError> {
        Interpreter.kernel(spec)
    }

    fn decoder(&self, plan: &DecodePlan) -> Result<Box<dyn Decoder>, KernelError> {
        Interpreter.decoder(plan)
    }

    fn encoder(&self, plan: &EncodePlan) -> Result<Box<dyn Encoder>, KernelError> {
        Interpreter.encoder(plan)
    }
}

//! Interpreter and native code held against each other: random programs and plans, run by both over
//! the same rows and payloads, must give the same rows, payloads and failures.
//!
//! A check decides everything by a stream of bytes (`source`). `tests/random.rs` feeds a bounded
//! number of streams that follow from a seed; the targets in `fuzz` feed what libFuzzer makes
//! of the branches that it sees taken. Nothing else differs between the two.

pub mod avro;
pub mod batch;
pub mod csv;
pub mod damage;
pub mod decode;
pub mod encode;
pub mod envelope;
pub mod scalar;
pub mod source;
pub mod types;
pub mod update;
pub mod values;

use flow_compiler::codegen::Native;
use flow_ir::decode_plan::DecodePlan;
use flow_ir::encode_plan::EncodePlan;
use flow_ir::kernel::{
    Decoder, Encoder, Kernel, KernelError, KernelFactory, KernelSpec, ScanSpec, Scanner, Updater,
};
use flow_ir::update::UpdateProgram;

/// A kind of case, made of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, and that of its fuzz target.
    pub name: &'static str,
    /// Holds both engines against each other. The error is what they disagree on, with the program
    /// or plan, the row, and both answers.
    pub hold: fn(&[u8]) -> Result<(), String>,
    /// The program or plan that the bytes make, as text.
    pub show: fn(&[u8]) -> Result<String, String>,
}

/// All checks.
pub const CHECKS: [Check; 5] = [
    Check { name: "scalar", hold: scalar::hold, show: scalar::show },
    Check { name: "decode", hold: decode::hold, show: decode::show },
    Check { name: "encode", hold: encode::hold, show: encode::show },
    Check { name: "envelope", hold: envelope::hold, show: envelope::show },
    Check { name: "update", hold: update::hold, show: update::show },
];

/// The check of this name.
///
/// # Panics
/// If there is none.
pub fn check(name: &str) -> Check {
    CHECKS.into_iter().find(|check| check.name == name).expect("a check of this name")
}

/// One case of a check, as a fuzz target takes it.
///
/// # Panics
/// If the engines disagree; says on what.
pub fn fuzz(name: &str, bytes: &[u8]) {
    if let Err(why) = on_deep_stack(|| (check(name).hold)(bytes)) {
        panic!("{name}: {why}");
    }
}

/// Runs on a stack that is deep enough for apache-avro, which follows damaged data of recursive
/// schemas by a call a level.
///
/// # Panics
/// As the work does.
pub fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    const STACK_BYTES: usize = 256 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let done = thread.expect("a thread").join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The engine that the interpreter is held against.
///
/// # Panics
/// On a processor that Cranelift makes no code for.
pub fn native() -> impl KernelFactory {
    Twice(Native::verifying().expect("there is native code for this processor"))
}

/// Makes some kernels twice and gives the second one, which shares the code of the first.
struct Twice(Native);

impl Twice {
    fn make<T>(number: usize, make: impl Fn() -> Result<T, KernelError>) -> Result<T, KernelError> {
        let first = make()?;
        if number % 2 == 0 { Ok(first) } else { make() }
    }
}

impl KernelFactory for Twice {
    fn kernel(&self, spec: &KernelSpec) -> Result<Box<dyn Kernel>, KernelError> {
        Self::make(spec.program.insts.len(), || self.0.kernel(spec))
    }

    fn decoder(&self, plan: &DecodePlan) -> Result<Box<dyn Decoder>, KernelError> {
        Self::make(plan.columns.len(), || self.0.decoder(plan))
    }

    fn scanner(&self, spec: &ScanSpec) -> Result<Box<dyn Scanner>, KernelError> {
        Self::make(spec.decode.columns.len(), || self.0.scanner(spec))
    }

    fn encoder(&self, plan: &EncodePlan) -> Result<Box<dyn Encoder>, KernelError> {
        Self::make(plan.columns.len(), || self.0.encoder(plan))
    }

    fn updater(&self, program: &UpdateProgram) -> Result<Box<dyn Updater>, KernelError> {
        Self::make(program.updates.len(), || self.0.updater(program))
    }
}

//! Interpreter and native code held against each other: random programs and plans, run by both over
//! the same rows and payloads, must give the same rows, payloads and failures.
//!
//! A check decides everything by a stream of bytes (`source`). `tests/random.rs` feeds a bounded
//! number of streams that follow from a seed; the targets in `tests/fuzz` feed what libFuzzer makes
//! of the branches that it sees taken. Nothing else differs between the two.

pub mod avro;
pub mod batch;
pub mod damage;
pub mod decode;
pub mod encode;
pub mod scalar;
pub mod source;
pub mod types;
pub mod values;

use flow_compiler::codegen::Native;
use flow_ir::kernel::KernelFactory;

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
pub const CHECKS: [Check; 3] = [
    Check { name: "scalar", hold: scalar::hold, show: scalar::show },
    Check { name: "decode", hold: decode::hold, show: decode::show },
    Check { name: "encode", hold: encode::hold, show: encode::show },
];

/// The engine that the interpreter is held against.
///
/// # Panics
/// On a processor that Cranelift makes no code for.
pub fn native() -> impl KernelFactory {
    Native::verifying().expect("there is native code for this processor")
}

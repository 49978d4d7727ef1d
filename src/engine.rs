//! Which engine does the per-record work: native code, or the interpreter.

use std::sync::Arc;

use flow_compiler::codegen::{Compiled, Native};
use flow_ir::kernel::KernelFactory;
use flow_runtime::RuntimeError;
use flow_stdlib::interp::Interpreter;

/// Makes the kernels of jobs.
#[derive(Clone)]
pub struct Engine {
    factory: Arc<dyn KernelFactory>,
    native: Option<Arc<Native>>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Engine {
    /// Native code, unless it is not wanted (`--no-jit`) or not to be had for this processor.
    pub fn new(no_jit: bool) -> Self {
        match Native::new() {
            Ok(native) if !no_jit => {
                let native = Arc::new(native.in_background());
                Self { factory: native.clone(), native: Some(native) }
            }
            Ok(_) | Err(_) => Self { factory: Arc::new(Interpreter), native: None },
        }
    }

    /// Native code at once, and checked by Cranelift's verifier: for cases.
    ///
    /// # Errors
    /// If there is none for this processor.
    pub fn verifying() -> Result<Self, RuntimeError> {
        let native = Native::verifying().map_err(|e| RuntimeError::internal(e.0))?;
        let native = Arc::new(native);
        Ok(Self { factory: native.clone(), native: Some(native) })
    }

    /// What jobs make their kernels with.
    pub fn factory(&self) -> Arc<dyn KernelFactory> {
        self.factory.clone()
    }

    /// What compiling to native code has cost; `None` if everything is interpreted.
    pub fn compiled(&self) -> Option<Compiled> {
        self.native.as_ref().map(|native| native.compiled())
    }
}

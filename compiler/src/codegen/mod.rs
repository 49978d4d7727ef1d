//! Native code for the per-record work of a job: scalar programs, decode plans and encode plans
//! become machine code for exactly this program and these schemas. The interpreter
//! (`flow_stdlib::interp`) defines what they mean, and native code leaves it whatever is unusual:
//!
//! * a row or record in which anything fails is given back, and the interpreter does it again and
//!   says what is wrong, so that errors have one meaning and one wording;
//! * an operation that costs more than a call is one, of the function that the interpreter calls;
//! * a plan of a form that is not compiled is interpreted whole.
//!
//! The only place that names Cranelift. `emit` writes CLIF, `scalar`, `rows` and `avro` say what is
//! written, `module` owns code and calls it, `shims` is what code calls.

mod avro;
mod compare;
mod emit;
mod encode;
mod explain;
mod io;
mod kernel;
mod module;
mod raw;
mod rows;
mod scalar;
mod scan;
mod shims;
mod soon;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{AbiParam, UserFuncName};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_module::{Linkage, Module};
use flow_ir::decode_plan::DecodePlan;
use flow_ir::encode_plan::EncodePlan;
use flow_ir::kernel::{
    Decoder, Encoder, Kernel, KernelError, KernelFactory, KernelSpec, ScanSpec, Scanner,
};
use flow_stdlib::interp::Interpreter;
use flow_stdlib::interp::scan::Staged;

use emit::Emit;
use encode::NativeEncoder;
use kernel::NativeKernel;
use module::{Code, host_isa};
use scan::{NativeDecoder, NativeScan};
use soon::Soon;

/// Makes kernels of machine code for this processor.
#[derive(Clone)]
pub struct Native {
    compiler: Arc<Compiler>,
    background: bool,
    /// Whether it is an error that something is not compiled that could be.
    strict: bool,
}

/// Instructions of a program that is compiled, at most: a longer one would take seconds.
const COMPILED_INSTRUCTIONS_MAX: usize = 10_000;

/// Compiles functions, and counts.
struct Compiler {
    isa: OwnedTargetIsa,
    micros: AtomicU64,
    bytes: AtomicU64,
}

/// What compiling has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// Time spent.
    pub time: Duration,
    /// Machine code made, in bytes.
    pub code_bytes: u64,
}

/// A text form of what is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Programs and plans, by their own printers.
    Scalar,
    /// Cranelift's IR, before it is optimised.
    Clif,
    /// Machine code.
    Assembly,
}

impl Native {
    /// For the processor that this runs on.
    ///
    /// # Errors
    /// If Cranelift makes no code for it.
    pub fn new() -> Result<Self, KernelError> {
        Self::with(false)
    }

    /// The same with Cranelift's verifier on, where a failure to compile is an error: for tests.
    ///
    /// # Errors
    /// If Cranelift makes no code for this processor.
    pub fn verifying() -> Result<Self, KernelError> {
        Self::with(true)
    }

    fn with(verify: bool) -> Result<Self, KernelError> {
        let isa = host_isa(verify)?;
        let (micros, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let compiler = Arc::new(Compiler { isa, micros, bytes });
        Ok(Self { compiler, background: false, strict: verify })
    }

    /// What is compiled, or else interpreted where the system gives no memory for code.
    fn or_interpreted<T>(
        &self,
        compiled: Result<T, KernelError>,
        interpreted: impl FnOnce() -> Result<T, KernelError>,
    ) -> Result<T, KernelError> {
        match compiled {
            Err(_) if !self.strict => interpreted(),
            other => other,
        }
    }

    /// Scans are compiled on threads of their own, and interpreted until that is done.
    #[must_use]
    pub fn in_background(self) -> Self {
        Self { background: true, ..self }
    }

    /// What compiling has cost so far.
    pub fn compiled(&self) -> Compiled {
        Compiled {
            time: Duration::from_micros(self.compiler.micros.load(Ordering::Relaxed)),
            code_bytes: self.compiler.bytes.load(Ordering::Relaxed),
        }
    }
}

impl Compiler {
    /// A compiled scan, of a form that `scan::is_compiled`.
    fn scan(&self, spec: &ScanSpec) -> Result<NativeScan, KernelError> {
        // The interpreter verifies what the code relies on.
        let interpreter = Interpreter.scanner(spec)?;
        let (code, _) = self.function(&scan::KEEP, None, |e| scan::body(e, spec))?;
        Ok(NativeScan::new(spec, code, interpreter))
    }

    /// Compiles one function; its text, if a form is asked for. A panic of the code generator, a
    /// mistake of ours or Cranelift's, is an error like others.
    fn function(
        &self,
        keep: &[i32],
        form: Option<Form>,
        body: impl FnOnce(&mut Emit<'_>) -> Result<(), KernelError>,
    ) -> Result<(Code, String), KernelError> {
        catch_unwind(AssertUnwindSafe(|| self.compile(keep, form, body)))
            .unwrap_or_else(|_| Err(KernelError("native code: the generator panicked".into())))
    }

    fn compile(
        &self,
        keep: &[i32],
        form: Option<Form>,
        body: impl FnOnce(&mut Emit<'_>) -> Result<(), KernelError>,
    ) -> Result<(Code, String), KernelError> {
        let began = Instant::now();
        let internal = |e: &dyn std::fmt::Display| KernelError(format!("native code: {e}"));
        let mut module = module::module(self.isa.clone());
        let mut signature = module.make_signature();
        signature.params.push(AbiParam::new(I64));
        signature.returns.push(AbiParam::new(I32));
        let id = module
            .declare_function("run", Linkage::Export, &signature)
            .map_err(|e| internal(&e))?;
        let mut cx = module.make_context();
        cx.func.signature = signature;
        cx.func.name = UserFuncName::user(0, id.as_u32());
        cx.set_disasm(form == Some(Form::Assembly));
        let mut builder_cx = FunctionBuilderContext::new();
        let builder = FunctionBuilder::new(&mut cx.func, &mut builder_cx);
        let context = Emit::function(builder, &mut module, keep, body)?;
        let mut text = match form {
            Some(Form::Clif) => cx.func.display().to_string(),
            Some(Form::Scalar | Form::Assembly) | None => String::new(),
        };
        module.define_function(id, &mut cx).map_err(|e| internal(&e))?;
        if let Some(compiled) = cx.compiled_code() {
            self.bytes.fetch_add(compiled.code_info().total_size.into(), Ordering::Relaxed);
            text.push_str(compiled.vcode.as_deref().unwrap_or(""));
        }
        let code = Code::new(module, id, context)?;
        self.micros.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        Ok((code, text))
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native").field("compiled", &self.compiled()).finish_non_exhaustive()
    }
}

impl KernelFactory for Native {
    fn kernel(&self, spec: &KernelSpec) -> Result<Box<dyn Kernel>, KernelError> {
        spec.verify().map_err(|e| KernelError(e.to_string()))?;
        if spec.program.insts.len() > COMPILED_INSTRUCTIONS_MAX {
            return Interpreter.kernel(spec);
        }
        let compiled = || -> Result<Box<dyn Kernel>, KernelError> {
            let (code, _) = self.compiler.function(&[], None, |e| kernel::body(e, spec))?;
            Ok(Box::new(NativeKernel::new(spec, code)?))
        };
        self.or_interpreted(compiled(), || Interpreter.kernel(spec))
    }

    fn decoder(&self, plan: &DecodePlan) -> Result<Box<dyn Decoder>, KernelError> {
        let spec = ScanSpec { decode: plan.clone(), ..ScanSpec::default() };
        if !scan::is_compiled(&spec) {
            return Interpreter.decoder(plan);
        }
        let compiled = self.compiler.scan(&spec);
        let compiled = compiled.map(|scan| Box::new(NativeDecoder(scan)) as Box<dyn Decoder>);
        self.or_interpreted(compiled, || Interpreter.decoder(plan))
    }

    fn scanner(&self, spec: &ScanSpec) -> Result<Box<dyn Scanner>, KernelError> {
        if !scan::is_compiled(spec) {
            let decoder = self.decoder(&spec.decode)?;
            return Ok(Box::new(Staged::new(spec, decoder, self)?));
        }
        let (compiler, of) = (self.compiler.clone(), spec.clone());
        let make = move || compiler.scan(&of).map(|scan| Box::new(scan) as Box<dyn Scanner>);
        if self.background {
            return Ok(Box::new(Soon::new(Interpreter.scanner(spec)?, make)));
        }
        self.or_interpreted(make(), || Interpreter.scanner(spec))
    }

    fn encoder(&self, plan: &EncodePlan) -> Result<Box<dyn Encoder>, KernelError> {
        if !encode::is_compiled(plan) {
            return Interpreter.encoder(plan);
        }
        plan.verify().map_err(|e| KernelError(e.0))?;
        let compiled = || -> Result<Box<dyn Encoder>, KernelError> {
            let (code, _) = self.compiler.function(&[], None, |e| encode::body(e, plan))?;
            Ok(Box::new(NativeEncoder::new(plan, code)?))
        };
        self.or_interpreted(compiled(), || Interpreter.encoder(plan))
    }
}

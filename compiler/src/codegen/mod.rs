//! Native code for the per-record work of a job: scalar programs, decode plans, encode plans and
//! update programs become machine code for exactly this program and these schemas. The interpreter
//! (`flow_stdlib::interp`) defines what they mean, and native code leaves it whatever is unusual:
//!
//! * a row or record in which anything fails is given back, and the interpreter does it again and
//!   says what is wrong, so that errors have one meaning and one wording;
//! * an operation that costs more than a call is one, of the function that the interpreter calls;
//! * a plan of a form that is not compiled is interpreted whole.
//!
//! The only place that names Cranelift. `emit` writes CLIF; `scalar`, `rows`, `avro` and `update`
//! say what is written; `module` owns code and calls it, `shims` is what code calls.

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
mod update;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{AbiParam, UserFuncName};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::JITModule;
use cranelift_module::{FuncId, Linkage, Module};
use flow_ir::decode_plan::DecodePlan;
use flow_ir::encode_plan::EncodePlan;
use flow_ir::kernel::{
    Decoder, Encoder, Kernel, KernelError, KernelFactory, KernelSpec, ScanSpec, Scanner, Updater,
};
use flow_ir::update::UpdateProgram;
use flow_stdlib::interp::Interpreter;
use flow_stdlib::interp::scan::Staged;

use emit::Emit;
use encode::NativeEncoder;
use kernel::NativeKernel;
use module::{Machine, host_isa};
use scan::{NativeDecoder, NativeScan};
use shims::Context;
use soon::Soon;
use update::NativeUpdater;
use work::{Known, Work};

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

/// Compiles functions, each once, and counts.
struct Compiler {
    isa: OwnedTargetIsa,
    known: Mutex<Known>,
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
        let known = Mutex::default();
        let compiler = Arc::new(Compiler { isa, known, micros, bytes });
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
        let code = self.code(&Work::Scan(Box::new(spec.clone())))?;
        Ok(NativeScan::new(spec, code, interpreter))
    }

    /// Machine code of a work, and what its shims keep. A panic of the code generator, a mistake of
    /// ours or Cranelift's, is an error like others.
    fn machine(&self, work: &Work) -> Result<(Machine, Context), KernelError> {
        guarded(|| {
            let began = Instant::now();
            let (machine, context, _) = self.compile(work, None)?;
            self.micros.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
            Ok((machine, context))
        })
    }

    /// What the shims of a work keep that is compiled already: its function is written again, which
    /// numbers everything alike, and left at that.
    fn context(&self, work: &Work) -> Result<Context, KernelError> {
        guarded(|| {
            let began = Instant::now();
            let (mut context, ..) = self.write(work)?;
            // The code knows the addresses of the first ones.
            context.constants.clear();
            self.micros.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
            Ok(context)
        })
    }

    /// A text form of a work.
    fn text(&self, work: &Work, form: Form) -> Result<String, KernelError> {
        guarded(|| self.compile(work, Some(form)).map(|(_, _, text)| text))
    }

    /// Writes the function of a work into a module of its own.
    fn write(
        &self,
        work: &Work,
    ) -> Result<(Context, JITModule, FuncId, cranelift_codegen::Context), KernelError> {
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
        let mut builder_cx = FunctionBuilderContext::new();
        let builder = FunctionBuilder::new(&mut cx.func, &mut builder_cx);
        let context = Emit::function(builder, &mut module, work.keep(), |e| work.body(e))?;
        Ok((context, module, id, cx))
    }

    /// Compiles a work; its text, if a form is asked for.
    fn compile(
        &self,
        work: &Work,
        form: Option<Form>,
    ) -> Result<(Machine, Context, String), KernelError> {
        let (mut context, mut module, id, mut cx) = self.write(work)?;
        cx.set_disasm(form == Some(Form::Assembly));
        let mut text = match form {
            Some(Form::Clif) => cx.func.display().to_string(),
            Some(Form::Scalar | Form::Assembly) | None => String::new(),
        };
        module.define_function(id, &mut cx).map_err(|e| internal(&e))?;
        if let Some(compiled) = cx.compiled_code() {
            self.bytes.fetch_add(compiled.code_info().total_size.into(), Ordering::Relaxed);
            text.push_str(compiled.vcode.as_deref().unwrap_or(""));
        }
        let machine = Machine::new(module, id, std::mem::take(&mut context.constants))?;
        Ok((machine, context, text))
    }
}

fn internal(error: &dyn std::fmt::Display) -> KernelError {
    KernelError(format!("native code: {error}"))
}

fn guarded<T>(make: impl FnOnce() -> Result<T, KernelError>) -> Result<T, KernelError> {
    catch_unwind(AssertUnwindSafe(make))
        .unwrap_or_else(|_| Err(KernelError("native code: the generator panicked".into())))
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
            let code = self.compiler.code(&Work::Map(spec.clone()))?;
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
            let code = self.compiler.code(&Work::Encode(plan.clone()))?;
            Ok(Box::new(NativeEncoder::new(plan, code)?))
        };
        self.or_interpreted(compiled(), || Interpreter.encoder(plan))
    }

    fn updater(&self, program: &UpdateProgram) -> Result<Box<dyn Updater>, KernelError> {
        if !update::is_compiled(program) {
            return Interpreter.updater(program);
        }
        program.verify().map_err(|e| KernelError(e.to_string()))?;
        let compiled = || -> Result<Box<dyn Updater>, KernelError> {
            let code = self.compiler.code(&Work::Update(program.clone()))?;
            Ok(Box::new(NativeUpdater::new(program, code)))
        };
        self.or_interpreted(compiled(), || Interpreter.updater(program))
    }
}

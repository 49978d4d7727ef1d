//! What is compiled: one scan, filter and projection, writer, or updater, as one function. Workers
//! have the same work, so code is made once for all of them; what its shims keep is each worker's
//! own.

use std::sync::{Arc, OnceLock, Weak};

use flow_ir::encode_plan::EncodePlan;
use flow_ir::kernel::{KernelError, KernelSpec, ScanSpec};
use flow_ir::update::UpdateProgram;

use super::emit::Emit;
use super::module::{Code, Machine};
use super::{Compiler, encode, kernel, scan, update};

/// A work that is compiled.
#[derive(Clone, PartialEq)]
pub(super) enum Work {
    Scan(Box<ScanSpec>),
    Map(KernelSpec),
    Encode(EncodePlan),
    Update(UpdateProgram),
}

/// The code of a work, once it is made.
pub(super) type Making = OnceLock<Result<Machine, KernelError>>;

impl Work {
    /// What of the `Io` is carried from row to row.
    pub(super) fn keep(&self) -> &'static [i32] {
        match self {
            Work::Scan(_) => &scan::KEEP,
            Work::Update(_) => &update::KEEP,
            Work::Map(_) | Work::Encode(_) => &[],
        }
    }

    /// Writes the body of its loop.
    pub(super) fn body(&self, e: &mut Emit<'_>) -> Result<(), KernelError> {
        match self {
            Work::Scan(spec) => scan::body(e, spec),
            Work::Map(spec) => kernel::body(e, spec),
            Work::Encode(plan) => encode::body(e, plan),
            Work::Update(program) => {
                update::body(e, program);
                Ok(())
            }
        }
    }
}

impl Compiler {
    /// The code of a work. Who asks for what another is making waits for it.
    pub(super) fn code(&self, work: &Work) -> Result<Code, KernelError> {
        let making = self.making(work);
        let mut own = None;
        let made = making.get_or_init(|| {
            let (machine, context) = self.machine(work)?;
            own = Some(context);
            Ok(machine)
        });
        let entry = made.as_ref().map_err(KernelError::clone)?.entry();
        let context = match own {
            Some(context) => context,
            None => self.context(work)?,
        };
        Ok(Code::new(making, entry, context))
    }

    /// Where the code of a work is, or will be, for as long as anyone has it.
    fn making(&self, work: &Work) -> Arc<Making> {
        let mut known = self.known.lock().expect("nothing panics while it is locked");
        known.retain(|(_, making)| making.strong_count() > 0);
        let same = known.iter().find(|(other, _)| other == work);
        if let Some(making) = same.and_then(|(_, making)| making.upgrade()) {
            return making;
        }
        let making = Arc::new(Making::new());
        known.push((work.clone(), Arc::downgrade(&making)));
        making
    }
}

/// Works whose code there is.
pub(super) type Known = Vec<(Work, Weak<Making>)>;

//! A scan that is interpreted until its machine code is ready: a writer's schema that turns up
//! while a job runs makes nobody wait.

use std::sync::mpsc::{Receiver, TryRecvError, channel};

use flow_ir::kernel::{KernelCx, KernelError, Marks, Payloads, ScanOut, Scanner};

/// A scan whose code is being made.
pub(super) struct Soon {
    now: Box<dyn Scanner>,
    /// Where the code comes from; `None` once it is here, or will not come.
    coming: Option<Receiver<Box<dyn Scanner>>>,
}

impl Soon {
    /// Interprets while `make` runs on a thread of its own; for ever if it fails.
    pub(super) fn new(
        now: Box<dyn Scanner>,
        make: impl FnOnce() -> Result<Box<dyn Scanner>, KernelError> + Send + 'static,
    ) -> Self {
        let (ready, coming) = channel();
        let thread = std::thread::Builder::new().name("compile".into()).spawn(move || {
            if let Ok(made) = make() {
                // The scan may be gone by now.
                let _ = ready.send(made);
            }
        });
        Self { now, coming: thread.is_ok().then_some(coming) }
    }
}

impl Scanner for Soon {
    fn scan(
        &mut self,
        from: &Payloads<'_>,
        cx: &KernelCx,
        marks: &mut Marks,
        out: &mut ScanOut<'_>,
    ) {
        if let Some(coming) = &self.coming {
            match coming.try_recv() {
                Ok(made) => (self.now, self.coming) = (made, None),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.coming = None,
            }
        }
        self.now.scan(from, cx, marks, out);
    }
}

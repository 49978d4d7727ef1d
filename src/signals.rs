//! Ctrl-C and termination: noted, for whoever watches a job. The second Ctrl-C ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Notes SIGINT and SIGTERM from now on.
pub fn on_interrupt() {
    let noted = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
    if let Err(error) = noted {
        eprintln!("warning: Ctrl-C ends the job without a last commit: {error}");
    }
}

/// Whether a signal came.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

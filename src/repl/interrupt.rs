//! Ctrl-C: stops what runs, not the shell. While nothing runs, a signal ends the process (at the
//! prompt Ctrl-C is a key, not a signal).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use super::server::Server;

/// What the process ends with on a signal, as shells count: 128 + SIGINT.
const EXIT_BY_SIGNAL: i32 = 130;

static STATE: Mutex<State> = Mutex::new(State { running: None, stopped: false });
static CHANGED: Condvar = Condvar::new();

struct State {
    /// Whom the running statement asks; `None`: nothing runs.
    running: Option<Arc<dyn Server>>,
    /// Whether it is to stop.
    stopped: bool,
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(|e| e.into_inner())
}

/// Listens to signals from now on.
pub(super) fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        if let Err(error) = ctrlc::set_handler(on_signal) {
            eprintln!("warning: Ctrl-C ends the shell: {error}");
        }
    });
}

fn on_signal() {
    let asked = {
        let mut state = state();
        let asked = state.running.clone().filter(|_| !state.stopped);
        state.stopped = true;
        asked
    };
    CHANGED.notify_all();
    match asked {
        Some(server) => server.hang_up(),
        None => {
            // A terminal that a prompt has taken over is given back.
            let _ = crossterm::terminal::disable_raw_mode();
            std::process::exit(EXIT_BY_SIGNAL);
        }
    }
}

/// Something runs, and can be stopped, until this is dropped.
pub(super) struct Running(());

impl Running {
    /// Begins something that asks this server.
    pub(super) fn begin(server: Arc<dyn Server>) -> Self {
        *state() = State { running: Some(server), stopped: false };
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        state().running = None;
    }
}

/// Whether what runs is to stop.
pub(super) fn is_stopped() -> bool {
    state().stopped
}

/// Waits, unless what runs is to stop. Whether the time has passed.
pub(super) fn wait(time: Duration) -> bool {
    let until = Instant::now() + time;
    let mut state = state();
    while !state.stopped {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        state = CHANGED.wait_timeout(state, left).unwrap_or_else(|e| e.into_inner()).0;
    }
    false
}

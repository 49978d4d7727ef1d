//! A terminal with a program in it: keys go in, and what comes out is drawn on a screen as a
//! terminal would.
#![allow(dead_code)] // each test binary uses its own part

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// What is not on the screen after this time never will be.
const PATIENCE: Duration = Duration::from_secs(120);

const ROWS: u16 = 40;
const COLUMNS: u16 = 100;

/// Keys.
pub(crate) const ENTER: &str = "\r";
pub(crate) const TAB: &str = "\t";
pub(crate) const UP: &str = "\u{1b}[A";
pub(crate) const LEFT: &str = "\u{1b}[D";
pub(crate) const CTRL_C: &str = "\u{3}";
pub(crate) const CTRL_D: &str = "\u{4}";

/// A program in a terminal; ends with its value.
pub(crate) struct Terminal {
    shared: Arc<Shared>,
    child: Box<dyn Child + Send + Sync>,
    keys: Arc<Mutex<Box<dyn Write + Send>>>,
    _master: Box<dyn MasterPty + Send>,
}

struct Shared {
    drawn: Mutex<Drawn>,
    changed: Condvar,
}

struct Drawn {
    terminal: vt100::Parser<Reports>,
    /// Everything that was written, as it was.
    written: Vec<u8>,
    /// The program has closed its end.
    over: bool,
}

/// Answers a program that asks where the cursor is.
struct Reports(Arc<Mutex<Box<dyn Write + Send>>>);

impl vt100::Callbacks for Reports {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        _: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        kind: char,
    ) {
        if kind == 'n' && parameters == [[6]] {
            let (row, column) = screen.cursor_position();
            let answer = format!("\u{1b}[{};{}R", row + 1, column + 1);
            let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // A program that has ended needs no answer.
            let _ = keys.write_all(answer.as_bytes()).and_then(|()| keys.flush());
        }
    }
}

impl Terminal {
    /// Starts `flow` with these arguments; its history is in a folder.
    pub(crate) fn flow(arguments: &[&str], home: &Path) -> Terminal {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("the system has terminals");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_flow"));
        command.args(arguments);
        command.cwd(home);
        command.env("TERM", "xterm-256color");
        command.env("HOME", home);
        command.env_remove("FLOW_HISTORY");
        command.env_remove("FLOW_LOG");
        command.env_remove("FLOW_SERVER");
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).expect("flow starts");
        drop(pair.slave);
        let keys = pair.master.take_writer().expect("the terminal takes keys");
        let keys = Arc::new(Mutex::new(keys));
        let reader = pair.master.try_clone_reader().expect("the terminal is read");
        let rows = ROWS.try_into().expect("not zero");
        let columns = COLUMNS.try_into().expect("not zero");
        let terminal =
            vt100::Parser::new_with_callbacks(rows, columns, 1_000, Reports(keys.clone()));
        let drawn = Mutex::new(Drawn { terminal, written: Vec::new(), over: false });
        let shared = Arc::new(Shared { drawn, changed: Condvar::new() });
        let drawing = shared.clone();
        std::thread::spawn(move || draw(reader, &drawing));
        Terminal { shared, child, keys, _master: pair.master }
    }

    /// Presses keys.
    pub(crate) fn keys(&self, keys: &str) {
        let mut to = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        to.write_all(keys.as_bytes()).and_then(|()| to.flush()).expect("the terminal takes keys");
    }

    /// Types a line.
    pub(crate) fn line(&self, text: &str) {
        self.keys(text);
        self.keys(ENTER);
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.lock().terminal.screen().contents()
    }

    /// Everything that was written, with its escapes.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.lock().written).into_owned()
    }

    /// Waits until the screen is as wanted.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        let mut drawn = self.lock();
        loop {
            let screen = drawn.terminal.screen().contents();
            if wanted(&screen) {
                return screen;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !drawn.over, "no {what} on the screen:\n{screen}");
            let waited = self.shared.changed.wait_timeout(drawn, left);
            drawn = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until a text is on the screen.
    pub(crate) fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Waits until the prompt is the last line, with nothing behind it.
    pub(crate) fn prompt(&self) -> String {
        self.until("prompt", |screen| {
            screen.lines().rfind(|line| !line.trim().is_empty()).map(str::trim_end) == Some("flow>")
        })
    }

    /// Waits for the program's end; its exit code.
    pub(crate) fn exit_code(mut self) -> u32 {
        let until = Instant::now() + PATIENCE;
        let mut drawn = self.shared.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        while !drawn.over {
            let left = until.saturating_duration_since(Instant::now());
            let screen = drawn.terminal.screen().contents();
            assert!(!left.is_zero(), "it does not end:\n{screen}");
            let waited = self.shared.changed.wait_timeout(drawn, left);
            drawn = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(drawn);
        self.child.wait().expect("it has ended").exit_code()
    }

    fn lock(&self) -> MutexGuard<'_, Drawn> {
        self.shared.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn draw(mut reader: Box<dyn Read + Send>, shared: &Shared) {
    let mut bytes = [0; 4096];
    loop {
        let read = reader.read(&mut bytes).unwrap_or(0);
        let mut drawn = shared.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.over = read == 0;
        drawn.written.extend_from_slice(&bytes[..read]);
        drawn.terminal.process(&bytes[..read]);
        shared.changed.notify_all();
        if read == 0 {
            return;
        }
    }
}

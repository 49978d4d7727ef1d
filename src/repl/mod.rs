//! `flow repl`: a shell for statements of the language, always a client of a server's HTTP API. It
//! keeps the declarations of the session, and sends with each statement those that it needs.
//!
//! | file | what it does |
//! | --- | --- |
//! | `script` | text cut into statements and commands |
//! | `session` | what is set and declared, and checks against it |
//! | `statement` | what becomes of a statement |
//! | `select` | queries, once or as they change |
//! | `values` | INSERT INTO … VALUES |
//! | `views` | the server's views, as the checker knows them |
//! | `show` | SHOW, DESCRIBE and PRINT |
//! | `command` | what begins with a backslash |
//! | `help` | the language's forms, from its grammar |
//! | `server`, `http` | the API as data, and over a connection |
//! | `cell`, `table`, `live`, `screen` | results as text |
//! | `editor`, `highlight`, `complete` | lines on a terminal |
//! | `input` | a terminal, or a pipe |
//! | `interrupt` | Ctrl-C |

mod cell;
mod command;
mod complete;
mod editor;
mod help;
mod highlight;
mod http;
mod input;
mod interrupt;
mod live;
mod screen;
mod script;
mod select;
mod server;
mod session;
mod show;
mod statement;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod views;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::exit::{Exit, Failure, Result};
use crate::registries::Registries;
use screen::Screen;
use script::{Script, Step, cut, is_blank, is_command};
use session::Session;

pub use http::HttpServer;
pub use server::{Event, Problem, Refusal, Request, Server, Verb};

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns below each other.
    Table,
    /// An object a line.
    Json,
    /// RFC 4180, with a head.
    Csv,
}

impl Format {
    /// All formats with their names.
    const ALL: [(&'static str, Format); 3] =
        [("table", Format::Table), ("json", Format::Json), ("csv", Format::Csv)];
}

/// What can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Switches {
    format: Format,
    /// Changes instead of a table that is redrawn.
    changelog: bool,
    /// How long each statement took.
    timing: bool,
    /// Without a terminal: go on after an error.
    go_on: bool,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// It is done, or was stopped.
    Well,
    /// It failed, and that is told.
    Failed,
    /// The shell is to end.
    Quit,
}

/// A session of the shell.
struct Shell {
    server: Arc<dyn Server>,
    session: Arc<Mutex<Session>>,
    screen: Screen,
    switches: Switches,
    /// Files that are being read, to stop where one reads itself.
    including: Vec<std::path::PathBuf>,
    /// Whether the server could not be asked the last time.
    away: bool,
}

/// Runs the shell on standard input and output until it ends.
///
/// # Errors
/// If the terminal cannot be used, or, from a pipe, a statement failed.
pub fn run(server: Arc<dyn Server>, registries: Registries, greeting: &str) -> Result {
    interrupt::listen();
    let mut shell = Shell::new(server, Session::new(registries), Screen::new());
    input::run(&mut shell, greeting)
}

/// Asks one thing, after declarations, and writes the answer to standard output.
///
/// # Errors
/// If it has mistakes or is refused; that is told.
pub fn ask(
    server: Arc<dyn Server>,
    registries: Registries,
    declarations: &str,
    sql: &str,
    format: Format,
) -> Result {
    interrupt::listen();
    let mut shell = Shell::new(server, Session::new(registries), Screen::new());
    shell.switches.format = format;
    for (name, text) in [("declarations", declarations), ("query", sql)] {
        let script = Script { name: name.to_string(), text: text.to_string() };
        if shell.run_all(&script) == Done::Failed {
            return Err(Failure::shown(if shell.away { Exit::Failed } else { Exit::Mistakes }));
        }
    }
    Ok(())
}

impl Shell {
    fn new(server: Arc<dyn Server>, session: Session, screen: Screen) -> Self {
        let switches =
            Switches { format: Format::Table, changelog: false, timing: false, go_on: false };
        let session = Arc::new(Mutex::new(session));
        Self { server, session, screen, switches, including: Vec::new(), away: false }
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what a text says, step by step, up to the first failure.
    fn run_all(&mut self, script: &Script) -> Done {
        let cut = cut(&script.text);
        let mut so_far = Done::Well;
        for step in &cut.steps {
            match self.step(script, step) {
                // Ctrl-C stops what would come next, too.
                Done::Well if interrupt::is_stopped() => return so_far,
                Done::Well => {}
                Done::Failed if self.switches.go_on => so_far = Done::Failed,
                other => return other,
            }
        }
        let rest = script.text.get(cut.rest..).unwrap_or("");
        if is_blank(rest) {
            return so_far;
        }
        // The last semicolon may be missing.
        let start = script.text.len() - rest.trim_start().len();
        let is_command = is_command(rest.trim_start());
        match self.step(script, &Step { range: start..script.text.len(), is_command }) {
            Done::Well => so_far,
            other => other,
        }
    }

    /// Does one step; Ctrl-C stops it.
    fn step(&mut self, script: &Script, step: &Step) -> Done {
        let begun = Instant::now();
        let running = interrupt::Running::begin(self.server.clone());
        let done = match step.is_command {
            true => self.command(script, step),
            false => self.statement(script, &step.range),
        };
        drop(running);
        if self.switches.timing && done == Done::Well && !step.is_command {
            self.screen.line(&format!("Time: {:.3} ms", begun.elapsed().as_secs_f64() * 1e3));
        }
        done
    }

    /// Tells why there is no answer.
    fn problem(&mut self, problem: &Problem) -> Done {
        match problem {
            Problem::Stopped => {
                self.screen.remark("Stopped.");
                Done::Well
            }
            Problem::Refused(_) | Problem::Away(_) => {
                self.away = matches!(problem, Problem::Away(_));
                self.screen.error(&problem.to_string());
                Done::Failed
            }
        }
    }

    /// Tells what is wrong with what was typed.
    fn mistake(&mut self, message: &str) -> Done {
        self.screen.error(&format!("error: {message}"));
        Done::Failed
    }
}

//! Where the shell writes: a terminal, with its size and colours, or a pipe.

use crate::plain;
use std::io::{self, IsTerminal, Write};

use flow_compiler::diagnostics::Diagnostic;
use flow_compiler::diagnostics::render::{RenderStyle, render};
use flow_compiler::source::SourceMap;

use super::table::Frame;

/// Size of a terminal that does not tell it.
const SIZE: Size = Size { columns: 100, rows: 30 };

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Characters in a line.
    pub(super) columns: usize,
    /// Lines.
    pub(super) rows: usize,
}

/// Output and errors.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    terminal: bool,
    colour: bool,
}

impl Screen {
    /// The process's own.
    pub(super) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        Self { out: Box::new(io::stdout()), err: Box::new(io::stderr()), terminal, colour }
    }

    /// Writes both into these, as to a pipe.
    #[cfg(test)]
    pub(super) fn plain(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out, err, terminal: false, colour: false }
    }

    /// Whether results can be redrawn in place.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The terminal's size now.
    pub(super) fn size(&self) -> Size {
        match crossterm::terminal::size() {
            Ok((columns, rows)) if columns > 0 && rows > 0 => {
                Size { columns: usize::from(columns), rows: usize::from(rows) }
            }
            Ok(_) | Err(_) => SIZE,
        }
    }

    /// How tables are set.
    pub(super) fn frame(&self) -> Frame {
        let width = self.terminal.then(|| self.size().columns);
        Frame { terminal: self.terminal, width, colour: self.colour }
    }

    /// Writes to the output, at once. Whether somebody reads it.
    pub(super) fn write(&mut self, text: &str) -> bool {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).is_ok()
    }

    /// Writes a line to the output. Whether somebody reads it.
    pub(super) fn line(&mut self, text: &str) -> bool {
        self.write(&format!("{text}\n"))
    }

    /// Makes a terminal empty.
    pub(super) fn clear(&mut self) {
        if self.terminal {
            self.write("\u{1b}[H\u{1b}[2J");
        }
    }

    /// Writes a remark: only to a terminal, so that a pipe has nothing but results.
    pub(super) fn remark(&mut self, text: &str) {
        if self.terminal {
            self.line(text);
        }
    }

    /// Writes what went wrong.
    pub(super) fn error(&mut self, text: &str) {
        self.report(&plain::lines(text));
    }

    fn report(&mut self, text: &str) {
        // When errors cannot be written either, there is nobody to tell.
        let _ = writeln!(self.err, "{}", text.trim_end()).and_then(|()| self.err.flush());
    }

    /// Writes diagnostics as `flow check` shows them.
    pub(super) fn diagnostics(&mut self, found: &[Diagnostic], sources: &SourceMap) {
        let style = match self.colour {
            true => RenderStyle::Colour { columns: self.size().columns },
            false => RenderStyle::Plain,
        };
        self.report(&render(found, sources, style));
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

//! Lines at the bottom of the terminal that are drawn in place again and again, while everything
//! else that the process writes scrolls above them. There is one such block in a process, on
//! standard error. The cursor rests at the beginning of the line below it, so that a process that
//! is killed leaves the terminal in order.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossterm::cursor::MoveUp;
use crossterm::terminal::{self, Clear, ClearType};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns and rows of a terminal that does not tell them.
const SIZE: (u16, u16) = (80, 24);

/// The lines that are drawn; none when there is no block.
static BLOCK: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether standard error is a terminal on which a block can be drawn.
pub fn can_be_drawn() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Draws these lines in the place of the last ones, cut to the terminal's size.
pub fn draw(lines: &[String]) {
    let (columns, rows) = size();
    let lines = lines.iter().take(rows.saturating_sub(1));
    let lines: Vec<String> = lines.map(|line| cut(line, columns.saturating_sub(1))).collect();
    let mut block = block();
    write(&format!("{}{}", removal(&block, columns), text(&lines)));
    *block = lines;
}

/// Takes the block away.
pub fn clear() {
    let mut block = block();
    write(&removal(&block, size().0));
    block.clear();
}

/// Lets whole lines be written to the terminal, above the block if there is one.
pub fn above<T>(lines: impl FnOnce() -> T) -> T {
    let block = block();
    if block.is_empty() {
        return lines();
    }
    write(&removal(&block, size().0));
    let done = lines();
    write(&text(&block));
    done
}

/// Standard error above the block.
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        above(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn block() -> MutexGuard<'static, Vec<String>> {
    BLOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    let told = terminal::size().ok().filter(|(columns, rows)| *columns > 0 && *rows > 0);
    let (columns, rows) = told.unwrap_or(SIZE);
    (columns.into(), rows.into())
}

/// What removes a block. A terminal that has become narrower shows a line in several rows.
fn removal(block: &[String], columns: usize) -> String {
    let rows: usize = block.iter().map(|line| line.width().max(1).div_ceil(columns)).sum();
    match u16::try_from(rows).unwrap_or(u16::MAX) {
        0 => String::new(),
        rows => format!("{}\r{}", MoveUp(rows), Clear(ClearType::FromCursorDown)),
    }
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The beginning of a line that takes at most so many columns.
fn cut(line: &str, columns: usize) -> String {
    let mut left = columns;
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    line.chars().filter(|c| !c.is_control()).take_while(fits).collect()
}

fn write(text: &str) {
    // A terminal that is gone shows nothing; the job goes on.
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_by_what_they_take_on_the_screen() {
        assert_eq!(cut("watermark", 5), "water");
        assert_eq!(cut("日本語", 5), "日本");
        assert_eq!(cut("a\u{1b}[2Jb", 80), "a[2Jb");
        assert_eq!(cut("a", 0), "");
    }

    #[test]
    fn a_block_is_removed_with_the_rows_that_it_takes_now() {
        let block = ["0123456789".to_string(), String::new()];
        assert_eq!(removal(&block, 10), "\u{1b}[2A\r\u{1b}[J");
        assert_eq!(removal(&block, 4), "\u{1b}[4A\r\u{1b}[J");
        assert_eq!(removal(&[], 80), "");
    }
}

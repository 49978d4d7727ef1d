//! Where statements come from: a terminal, line by line with an editor; or a pipe, each as soon as
//! it is complete.

use std::io::{BufRead, IsTerminal};

use super::editor::{Editor, Line};
use super::script::{Script, cut, is_blank, is_command};
use super::{Done, Shell, interrupt};
use crate::exit::{Exit, Failure, Result};

/// What messages call standard input.
const STDIN: &str = "<stdin>";

/// Bytes that one statement may have; the parser takes no more either.
const STATEMENT_BYTES_MAX: usize = flow_compiler::syntax::SOURCE_MAX_BYTES;

/// Runs a shell until its input ends.
pub(super) fn run(shell: &mut Shell, greeting: &str) -> Result {
    if std::io::stdin().is_terminal() {
        shell.screen.remark(greeting);
        terminal(shell)
    } else {
        pipe(shell, &mut std::io::stdin().lock())
    }
}

fn terminal(shell: &mut Shell) -> Result {
    let mut editor = Editor::new(shell.session.clone(), shell.screen.frame().colour);
    loop {
        match editor.read()? {
            Line::Text(text) => {
                let script = Script { name: STDIN.to_string(), text };
                if shell.run_all(&script) == Done::Quit {
                    return Ok(());
                }
            }
            Line::GivenUp => {}
            Line::End => return Ok(()),
        }
    }
}

/// Does what comes from a pipe.
///
/// # Errors
/// After the first failure, unless it is to go on; or if it was stopped.
pub(super) fn pipe(shell: &mut Shell, input: &mut dyn BufRead) -> Result {
    let failed = || Failure::shown(Exit::Mistakes);
    // Line breaks in the place of what is done, so that lines count as in the whole.
    let mut text = String::new();
    let mut done_lines = 0;
    let mut has_failed = false;
    loop {
        let mut line = String::new();
        let read = input.read_line(&mut line);
        let read = read.map_err(|e| Failure::failed(format!("{STDIN} cannot be read: {e}")))?;
        text.push_str(&line);
        if text.len() > STATEMENT_BYTES_MAX {
            return Err(Failure::failed(format!("{STDIN} has a statement that is too long")));
        }
        // Only a semicolon or a command completes what was begun.
        let may_end = line.contains(';') || is_command(line.trim_start());
        if read > 0 && !may_end && !text.trim_start().is_empty() {
            continue;
        }
        let rest = cut(&text).rest;
        let is_done = read == 0 || is_blank(text.get(rest..).unwrap_or(""));
        if is_done {
            let lines = text.matches('\n').count();
            let taken = std::mem::take(&mut text);
            let script = Script { name: STDIN.to_string(), text: "\n".repeat(done_lines) + &taken };
            match shell.run_all(&script) {
                Done::Well => {}
                Done::Failed => has_failed = true,
                Done::Quit => break,
            }
            if interrupt::is_stopped() || (has_failed && !shell.switches.go_on) {
                return Err(failed());
            }
            done_lines += lines;
        }
        if read == 0 {
            break;
        }
    }
    if has_failed { Err(failed()) } else { Ok(()) }
}

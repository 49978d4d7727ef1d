//! Lines on a terminal: more than one to a statement, with history, colours, hints and a menu of
//! what can come.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use nu_ansi_term::{Color, Style};
use reedline::{
    ColumnarMenu, DefaultHinter, EditCommand, Emacs, FileBackedHistory, KeyCode, KeyModifiers,
    MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus, Reedline,
    ReedlineEvent, ReedlineMenu, Signal, ValidationResult, Validator, default_emacs_keybindings,
};

use super::complete::InContext;
use super::highlight::Colours;
use super::script::{cut, is_blank};
use super::session::Session;
use crate::exit::{Failure, Result};

/// Statements that the history holds.
const HISTORY_STATEMENTS: usize = 10_000;

/// The variable that says where the history is; empty: nowhere.
const HISTORY_VARIABLE: &str = "FLOW_HISTORY";

/// The history in the user's folder.
const HISTORY_FILE: &str = ".flow_history";

const MENU: &str = "completions";

/// What was typed.
pub(super) enum Line {
    /// Something to do.
    Text(String),
    /// Ctrl-C: what was begun is given up.
    GivenUp,
    /// Ctrl-D.
    End,
}

/// The editor.
pub(super) struct Editor {
    lines: Reedline,
}

impl Editor {
    /// An editor that completes from a session.
    pub(super) fn new(session: Arc<Mutex<Session>>, colour: bool) -> Self {
        let mut keys = default_emacs_keybindings();
        let menu = vec![ReedlineEvent::Menu(MENU.to_string()), ReedlineEvent::MenuNext];
        keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(menu));
        keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
        let newline = ReedlineEvent::Edit(vec![EditCommand::InsertNewline]);
        keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, newline);
        let menu = ColumnarMenu::default().with_name(MENU).with_columns(4).with_column_padding(2);
        let mut lines = Reedline::create()
            .with_edit_mode(Box::new(Emacs::new(keys)))
            .with_validator(Box::new(Whole))
            .with_completer(Box::new(InContext(session)))
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .use_bracketed_paste(true)
            .with_ansi_colors(colour);
        if colour {
            let faint = Style::new().fg(Color::DarkGray);
            lines = lines
                .with_highlighter(Box::new(Colours))
                .with_hinter(Box::new(DefaultHinter::default().with_style(faint)));
        }
        // A shell without its history is still a shell.
        if let Some(history) = history() {
            lines = lines.with_history(Box::new(history));
        }
        Self { lines }
    }

    /// The next line, or lines up to a semicolon.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub(super) fn read(&mut self) -> Result<Line> {
        match self.lines.read_line(&Arrow) {
            Ok(Signal::Success(text)) => {
                // What is written at once survives the end of the process, however it comes.
                let _ = self.lines.sync_history();
                Ok(Line::Text(text))
            }
            Ok(Signal::CtrlC) => Ok(Line::GivenUp),
            Ok(_) => Ok(Line::End),
            Err(error) => Err(Failure::failed(format!("the terminal cannot be read: {error}"))),
        }
    }
}

/// The history, in a file that only its owner may read: statements may hold passwords.
fn history() -> Option<FileBackedHistory> {
    let path = match std::env::var_os(HISTORY_VARIABLE) {
        Some(path) if path.is_empty() => return None,
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME")?).join(HISTORY_FILE),
    };
    let mut create = std::fs::OpenOptions::new();
    create.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut create, 0o600);
    create.open(&path).ok()?;
    FileBackedHistory::with_file(HISTORY_STATEMENTS, path).ok()
}

/// Enter ends what is complete, and else begins a new line.
struct Whole;

impl Validator for Whole {
    fn validate(&self, text: &str) -> ValidationResult {
        match is_blank(text.get(cut(text).rest..).unwrap_or("")) {
            true => ValidationResult::Complete,
            false => ValidationResult::Incomplete,
        }
    }
}

/// The prompt.
struct Arrow;

impl Prompt for Arrow {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("flow")
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("  … ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "nothing ",
        };
        Cow::Owned(format!(" ({failing}like '{}') ", search.term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enter_ends_what_is_complete() {
        let is_whole = |text: &str| matches!(Whole.validate(text), ValidationResult::Complete);
        for text in ["", "SELECT 1;", "SELECT 1; -- done", "\\d", "\\explain SELECT 1;", " \n"] {
            assert!(is_whole(text), "{text}");
        }
        for text in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "\\watch SELECT 1", "/* a"] {
            assert!(!is_whole(text), "{text}");
        }
    }
}

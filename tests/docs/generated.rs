//! Pages that are written by the code's own tables, so that they cannot lag behind them. A test per
//! page compares; `FLOW_BLESS=1` writes.

mod command;
mod diagnostics;
mod function;
mod options;

use libtest_mimic::{Failed, Trial};

use crate::block::folder;

/// Where they are, below `docs/src`.
pub(crate) const FOLDER: &str = "reference/generated/";

/// Writes a page.
type Writer = fn() -> Result<String, Failed>;

/// The pages: file and text.
const PAGES: [(&str, Writer); 8] = [
    ("functions.md", function::functions),
    ("aggregates.md", function::aggregates),
    ("connectors.md", options::connectors),
    ("settings.md", options::settings),
    ("diagnostics.md", diagnostics::page),
    ("words.md", options::words),
    ("commands.md", command::commands),
    ("http.md", command::http),
];

/// A test per page.
pub(crate) fn trials() -> Vec<Trial> {
    let trial = |(file, page): (&'static str, Writer)| {
        Trial::test(format!("generated::{file}"), move || {
            let path = folder().join(FOLDER).join(file);
            let text = page()?;
            if std::env::var_os("FLOW_BLESS").is_some_and(|value| value == "1") {
                std::fs::create_dir_all(folder().join(FOLDER))?;
                std::fs::write(&path, &text)?;
            }
            match std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
                true => Ok(()),
                false => Err(format!(
                    "{} is not what the code says; FLOW_BLESS=1 cargo test --test docs generated",
                    path.display()
                )
                .into()),
            }
        })
    };
    PAGES.into_iter().map(trial).collect()
}

/// A row of a table.
fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The head of a table.
fn head(cells: &[&str]) -> String {
    let line: Vec<&str> = cells.iter().map(|_| "---").collect();
    row(cells) + &row(&line)
}

/// Code within a line; text with backticks gets more of them around.
fn code(text: &str) -> String {
    match text.contains('`') {
        true => format!("`` {text} ``"),
        false => format!("`{text}`"),
    }
}

//! `flow new`.

use std::path::Path;

use clap::Args;

use super::say;
use crate::exit::{Failure, Result};

/// What stands for the name in the files.
const NAME: &str = "NAME";

/// The files of a new folder: path, text.
const FILES: [(&str, &str); 4] = [
    ("NAME.flow", include_str!("new/program.flow")),
    ("README.md", include_str!("new/README.md")),
    ("schemas/orders-value.avsc", include_str!("new/orders-value.avsc")),
    ("input/orders.jsonl", include_str!("new/orders.jsonl")),
];

/// Makes a folder with an example that runs: a program, a schema, input, and how to go on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  flow new shop")]
pub(super) struct NewArgs {
    /// Name of the folder and the program: letters, digits, `-` and `_`
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
}

impl NewArgs {
    pub(super) fn run(self) -> Result {
        let folder = Path::new(&self.name);
        let failed = |what: &Path, e: std::io::Error| {
            Failure::failed(format!("{} cannot be made: {e}", what.display()))
        };
        // Fails if anything of this name is there.
        std::fs::create_dir(folder).map_err(|e| failed(folder, e))?;
        for (path, text) in FILES {
            let path = folder.join(path.replace(NAME, &self.name));
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(|e| failed(parent, e))?;
            }
            std::fs::write(&path, text.replace(NAME, &self.name)).map_err(|e| failed(&path, e))?;
        }
        say(&format!("{0}: made; {0}/README.md says how to run it\n", self.name))
    }
}

fn name(text: &str) -> std::result::Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    match begins && text.chars().all(fits) {
        true => Ok(text.to_string()),
        false => Err("a name has letters, digits, `-` and `_`, and begins with one of them".into()),
    }
}

//! Rules about the text of files.

use libtest_mimic::Failed;

use super::{Source, all_sources};

const MAX_LINES: usize = 600;
const MAX_COLUMNS: usize = 100;

/// Where `unsafe` may stand: files, or folders that end in `/`. The rules' own text names it too.
const UNSAFE_HOMES: [&str; 7] = [
    "compiler/src/codegen/module.rs",
    "compiler/src/codegen/shims.rs",
    "compiler/ir/src/row/",
    "runtime/src/connect/kafka/batch.rs",
    "runtime/src/connect/kafka/describe.rs",
    "runtime/src/state/prefetch.rs",
    "tests/suite/tidy",
];

/// Files that do not begin with what they are for.
pub(super) fn headless() -> Result<Vec<String>, Failed> {
    let headless = |file: &Source| !file.text.starts_with("//! ");
    Ok(all_sources()?.into_iter().filter(headless).map(|file| file.path).collect())
}

/// Files with too many lines before their tests.
pub(super) fn long_files() -> Result<Vec<String>, Failed> {
    let mut long = Vec::new();
    for file in all_sources()? {
        let lines = file.text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        if lines > MAX_LINES {
            long.push(format!("{}: {lines} lines", file.path));
        }
    }
    Ok(long)
}

/// Lines that are too wide.
pub(super) fn wide_lines() -> Result<Vec<String>, Failed> {
    Ok(lines_where(all_sources()?, |_, line| line.chars().count() > MAX_COLUMNS))
}

/// The word `unsafe` outside its files, comments apart.
pub(super) fn unsafe_words() -> Result<Vec<String>, Failed> {
    let at_home = |path: &str| UNSAFE_HOMES.iter().any(|home| path.starts_with(home));
    Ok(lines_where(all_sources()?, |path, line| !at_home(path) && names(line, "unsafe")))
}

/// `path:line: text` of the lines that a test picks.
pub(super) fn lines_where(files: Vec<Source>, picks: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for Source { path, text } in files {
        for (number, line) in text.lines().enumerate() {
            if picks(&path, line) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// Whether a line of code names a word: whole, and not in a comment.
pub(super) fn names(line: &str, word: &str) -> bool {
    let code = line.split("//").next().unwrap_or(line);
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

/// Whether a word in a page means a file or folder of the repository.
pub(super) fn looks_like_a_path(word: &str) -> bool {
    const ROOTS: [&str; 8] =
        ["compiler/", "stdlib/", "runtime/", "src/", "tests/", "examples/", "grammar/", "scripts/"];
    !word.contains([' ', '*', '<', '…']) && ROOTS.iter().any(|root| word.starts_with(root))
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`; a word without braces as it is.
pub(super) fn expand_braces(word: &str) -> Vec<String> {
    let Some((start, rest)) = word.split_once('{') else { return vec![word.to_string()] };
    let Some((inner, end)) = rest.split_once('}') else { return vec![word.to_string()] };
    inner.split(',').map(|one| format!("{start}{}{end}", one.trim())).collect()
}

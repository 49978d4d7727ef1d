//! Rules about the text of files.

use libtest_mimic::Failed;

use super::{Source, all_sources};

const MAX_LINES: usize = 600;
const MAX_COLUMNS: usize = 100;
const MAX_FUNCTION_LINES: usize = 70;

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

/// Functions with too many lines, tests apart.
pub(super) fn long_functions() -> Result<Vec<String>, Failed> {
    let is_test = |path: &str| path.split(['/', '.']).any(|part| part == "tests");
    let files = all_sources()?.into_iter().filter(|file| !is_test(&file.path));
    let mut long = Vec::new();
    for Source { path, text } in files {
        for (name, start, lines) in functions(&text) {
            if lines > MAX_FUNCTION_LINES {
                long.push(format!("{path}:{start}: {name} has {lines} lines"));
            }
        }
    }
    Ok(long)
}

/// The functions before a file's tests: name, first line, number of lines. Since the text is
/// formatted, a body begins behind the first line that ends in a brace, and ends at the next brace
/// that stands where the function begins.
fn functions(text: &str) -> Vec<(&str, usize, usize)> {
    let lines: Vec<&str> = text.lines().take_while(|line| *line != "#[cfg(test)]").collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let rest = &lines[at..];
        let head = rest.iter().find(|line| line.ends_with(['{', '}', ';']));
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        if head.is_some_and(|head| head.ends_with('{'))
            && let Some(length) = rest.iter().position(|line| *line == end)
        {
            found.push((name, at + 1, length + 1));
        }
    }
    found
}

/// The name of the function that begins on a line.
fn function_name(line: &str) -> Option<&str> {
    let (before, rest) = line.trim_start().split_once("fn ")?;
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "\"C\""];
    let begins = before.split_whitespace().all(|word| words.contains(&word));
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    (begins && !name.is_empty()).then_some(name)
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

//! What is typed, cut into steps: statements, which end with a semicolon, and commands, which begin
//! with a backslash and end with the line (those that take a statement, with its semicolon).
//!
//! Always holds: steps are in order and do not overlap, and what is behind the last one is
//! incomplete or blank.

use std::ops::Range;

use flow_compiler::syntax::{StatementText, parse, statement_texts};
use flow_ir::span::FileId;

/// Commands whose argument is a statement.
const WITH_STATEMENT: [&str; 2] = ["explain", "watch"];

/// Commands that people write without a backslash, as in other shells: alone in a line.
const BARE: [&str; 4] = ["exit", "quit", "help", "clear"];

/// Text with its place, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// What messages call it: a file's path, or `<stdin>`.
    pub(super) name: String,
    /// The text. Where it is a part of something longer, as many line breaks stand before it as
    /// there, so that lines count the same.
    pub(super) text: String,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Where its text is; without the semicolon.
    pub(super) range: Range<usize>,
    /// Whether it begins with a backslash.
    pub(super) is_command: bool,
}

/// A text cut into steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// What is complete.
    pub(super) steps: Vec<Step>,
    /// Where the rest begins.
    pub(super) rest: usize,
}

impl Script {
    /// The text with everything but a range made blank: what a parser reads has its places from
    /// the whole.
    pub(super) fn alone(&self, range: &Range<usize>) -> String {
        let end = range.end.min(self.text.len());
        let start = range.start.min(end);
        let before = self.text.as_bytes().get(..start).unwrap_or(&[]);
        let mut alone: String =
            before.iter().map(|byte| if *byte == b'\n' { '\n' } else { ' ' }).collect();
        alone.push_str(self.text.get(start..end).unwrap_or(""));
        alone
    }

    /// The text of a step.
    pub(super) fn text_of(&self, step: &Step) -> &str {
        self.text.get(step.range.clone()).unwrap_or("")
    }
}

/// Cuts a text into steps.
pub(super) fn cut(text: &str) -> Cut {
    let mut cut = Cut::default();
    while let Some(next) = from(text, cut.rest, &mut cut.steps) {
        cut.rest = next;
    }
    cut
}

/// Takes the statements from `base` on, up to a command or what is incomplete. Where to go on, if
/// there is more to cut.
fn from(text: &str, base: usize, steps: &mut Vec<Step>) -> Option<usize> {
    let rest = text.get(base..)?;
    let pieces = statement_texts(rest);
    let mut set_start = None;
    let mut taken = 0;
    for piece in &pieces {
        let start = piece.tokens.first()?.start;
        if is_command(rest.get(start..)?) && set_start.is_none() {
            match taken {
                0 => return command(text, base + start, steps),
                _ => break,
            }
        }
        if rest.as_bytes().get(piece.end) != Some(&b';') {
            break;
        }
        if begins_set(piece, rest) && !ends_set(piece, rest) {
            set_start = set_start.or(Some(start));
        }
        if set_start.is_some() && !ends_set(piece, rest) {
            continue;
        }
        let start = set_start.take().unwrap_or(start);
        steps.push(Step { range: base + start..base + piece.end, is_command: false });
        taken = piece.end + 1;
    }
    (taken > 0).then_some(base + taken)
}

/// Whether a text begins with a command.
pub(super) fn is_command(text: &str) -> bool {
    let line = text.lines().next().unwrap_or("").trim();
    let word = line.strip_suffix(';').unwrap_or(line).trim_end();
    line.starts_with('\\') || BARE.iter().any(|bare| bare.eq_ignore_ascii_case(word))
}

/// Takes a command. Where to go on, if it is complete.
fn command(text: &str, start: usize, steps: &mut Vec<Step>) -> Option<usize> {
    let rest = text.get(start..)?;
    let line = rest.find('\n').unwrap_or(rest.len());
    let name = rest.get(1..line)?.split_whitespace().next().unwrap_or("");
    let end = if WITH_STATEMENT.contains(&name) {
        let behind = 1 + name.len();
        let pieces = statement_texts(rest.get(behind..)?);
        let end = behind + pieces.first()?.end;
        (rest.as_bytes().get(end) == Some(&b';')).then_some(end)?
    } else {
        line
    };
    steps.push(Step { range: start..start + end, is_command: true });
    Some((start + end + 1).min(text.len()))
}

/// Whether a text has nothing to do in it: blanks and whole comments.
pub(super) fn is_blank(text: &str) -> bool {
    statement_texts(text).is_empty() && parse(FileId(0), text).1.is_empty()
}

/// `[EXECUTE] STATEMENT SET BEGIN …` or `BEGIN STATEMENT SET`.
fn begins_set(piece: &StatementText, text: &str) -> bool {
    let words = piece.tokens.iter().take(5).filter_map(|t| text.get(t.start..t.end));
    let words: Vec<String> = words.map(str::to_ascii_uppercase).collect();
    let at = words.windows(2).position(|two| two == ["STATEMENT", "SET"]);
    at.is_some_and(|at| {
        let begin = Some("BEGIN");
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        words.get(at + 2).map(String::as_str) == begin || before.map(String::as_str) == begin
    })
}

fn ends_set(piece: &StatementText, text: &str) -> bool {
    let last = piece.tokens.last().and_then(|t| text.get(t.start..t.end));
    last.is_some_and(|word| word.eq_ignore_ascii_case("end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> (Vec<&str>, &str) {
        let cut = cut(text);
        let steps = cut.steps.iter().map(|step| &text[step.range.clone()]);
        (steps.collect(), &text[cut.rest..])
    }

    #[test]
    fn statements_end_with_semicolons_outside_strings_names_and_comments() {
        assert_eq!(steps("SELECT 1; SELECT 2"), (vec!["SELECT 1"], " SELECT 2"));
        assert_eq!(
            steps("SELECT 'a;b', \"c;d\", `e;f` -- g;h\n/* i;j */;"),
            (vec!["SELECT 'a;b', \"c;d\", `e;f` -- g;h\n/* i;j */"], "")
        );
        assert_eq!(steps("SELECT 'it''s; so';").0, ["SELECT 'it''s; so'"]);
        assert_eq!(steps(r"SELECT e'\';';").0, [r"SELECT e'\';'"]);
        assert_eq!(steps("SELECT 'a;").0, Vec::<&str>::new());
        assert_eq!(steps("SELECT 1 /* a;").0, Vec::<&str>::new());
        assert_eq!(steps(";; ;\n").0, Vec::<&str>::new());
        assert_eq!(steps("SELECT (1;"), (vec!["SELECT (1"], ""));
    }

    #[test]
    fn a_statement_set_is_one_step() {
        let set = "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END";
        assert_eq!(steps(&format!("{set}; SELECT 3;")).0, [set, "SELECT 3"]);
        let flink = "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END";
        assert_eq!(steps(&format!("{flink};")).0, [flink]);
        assert_eq!(steps("BEGIN STATEMENT SET; INSERT INTO a SELECT 1;").0, Vec::<&str>::new());
    }

    #[test]
    fn commands_end_with_the_line_or_with_their_statement() {
        let (found, rest) = steps("\\timing on\nSELECT 1; \\i it's.flow\n\\q");
        assert_eq!(found, ["\\timing on", "SELECT 1", "\\i it's.flow", "\\q"]);
        assert_eq!(rest, "");
        assert_eq!(steps("\\watch 2 SELECT\n 1; \\q").0, ["\\watch 2 SELECT\n 1", "\\q"]);
        assert_eq!(steps("\\explain SELECT 1"), (vec![], "\\explain SELECT 1"));
        assert_eq!(steps("\\explain").0, Vec::<&str>::new());
        assert_eq!(steps("SELECT 1; \\watch SELECT 2"), (vec!["SELECT 1"], " \\watch SELECT 2"));
    }

    #[test]
    fn blanks_and_comments_are_nothing_to_do() {
        assert!(is_blank(" \n-- a\n/* b */"));
        assert!(!is_blank("/* b"));
        assert!(!is_blank("a"));
    }

    #[test]
    fn a_range_alone_keeps_its_place() {
        let script = Script { name: "x".into(), text: "SELECT 'é';\n  SELECT 2; rest".into() };
        let step = &cut(&script.text).steps[1];
        let alone = script.alone(&step.range);
        assert_eq!(alone.find("SELECT 2"), script.text.find("SELECT 2"));
        assert_eq!(alone.trim(), "SELECT 2");
        assert_eq!(alone.matches('\n').count(), 1);
    }
}

//! A half-written statement, made whole around the cursor: a name is put where the cursor is, and
//! what cannot be parsed around it is left out, as little as possible. Only what can be named at
//! the cursor is then asked of the result, never what it means.

use flow_compiler::diagnostics::has_errors;
use flow_compiler::syntax::parse;
use flow_ir::span::FileId;

use super::place::Place;

/// The name put at the cursor; nobody has such a column.
const STANDIN: &str = "cursor_stands_here";

/// Words that an expression follows.
const BEFORE_EXPRESSION: &[&str] = &["SELECT", "WHERE", "ON", "HAVING", "BY", "QUALIFY"];

/// Words that end the clause before them.
const CLAUSES: &[&str] = &[
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "QUALIFY",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "ORDER",
    "LIMIT",
    "EMIT",
    "JOIN",
    "INNER",
    "LEFT",
    "CROSS",
];

/// A text in which the cursor's statement parses, and where the cursor is in it.
pub(super) fn repair(place: &Place<'_>) -> Option<(String, usize)> {
    let typed = place.typed();
    let head = place.text.get(place.statement.start..typed.start)?;
    let tail = place.text.get(typed.end..place.statement.end)?;
    let before = place.before();
    let (clause, left_open) = clause_head(place, before);
    let clause = place.text.get(place.statement.start..clause).unwrap_or(head);
    let rest = place.text.get(clause_tail(place, left_open)..place.statement.end).unwrap_or("");
    let clause = format!("{clause} ");
    let tries = [
        (head, tail.to_string()),
        (clause.as_str(), format!(" {rest}")),
        (head, closing(head)),
        (clause.as_str(), closing(&clause)),
    ];
    let (head, tail) = tries.into_iter().find(|(head, tail)| {
        let statement = format!("{head}{STANDIN}{tail}");
        let (ast, found) = parse(FileId(0), &statement);
        !has_errors(&found) && !ast.statements.is_empty()
    })?;
    let whole_before = place.text.get(..place.statement.start)?;
    let whole_after = place.text.get(place.statement.end..)?;
    let offset = whole_before.len() + head.len() + STANDIN.len();
    Some((format!("{whole_before}{head}{STANDIN}{tail}{whole_after}"), offset))
}

/// Where the expression around the cursor begins, and how many brackets it leaves open.
fn clause_head(place: &Place<'_>, before: usize) -> (usize, usize) {
    let (mut closed, mut open) = (0usize, 0usize);
    for at in (0..before).rev() {
        let token = place.tokens[at];
        let text = place.text_of(&token);
        match text {
            ")" | "]" => closed += 1,
            "(" | "[" if closed > 0 => closed -= 1,
            "(" | "[" => open += 1,
            _ if closed == 0 && BEFORE_EXPRESSION.iter().any(|w| w.eq_ignore_ascii_case(text)) => {
                return (token.end, open);
            }
            _ => {}
        }
    }
    (place.statement.start, 0)
}

/// Where the text goes on behind the expression around the cursor: at the next clause, or at the
/// bracket that closes the query.
fn clause_tail(place: &Place<'_>, mut left_open: usize) -> usize {
    let mut opened = 0usize;
    for token in place.tokens.iter().filter(|t| t.start >= place.offset) {
        let text = place.text_of(token);
        match text {
            "(" | "[" => opened += 1,
            ")" | "]" if opened > 0 => opened -= 1,
            ")" | "]" if left_open > 0 => left_open -= 1,
            ")" | "]" => return token.start,
            _ if opened == 0 && CLAUSES.iter().any(|w| w.eq_ignore_ascii_case(text)) => {
                return token.start;
            }
            _ => {}
        }
    }
    place.statement.end
}

/// The brackets that close what a text leaves open.
fn closing(head: &str) -> String {
    let mut open = Vec::new();
    for token in flow_compiler::syntax::tokens(head) {
        match head.get(token.start..token.end).unwrap_or("") {
            "(" => open.push(')'),
            "[" => open.push(']'),
            ")" | "]" => {
                open.pop();
            }
            _ => {}
        }
    }
    open.into_iter().rev().collect()
}

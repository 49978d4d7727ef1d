//! E01xx: text that is not a Flow program.

use flow_ir::span::Span;

use super::{Code, Diagnostic, nearest};

/// E0101: a token that cannot stand where it stands. `expected` lists what could, for people.
pub fn unexpected_token(at: Span, found: &str, expected: &[String]) -> Diagnostic {
    let label = match one_of(expected) {
        Some(list) => format!("expected {list}"),
        None => String::from("not expected here"),
    };
    Diagnostic::new(Code::E0101, format!("unexpected {found}"), at, label)
}

/// E0102: two items of a list without a comma between; `gap` is the empty span after the first.
pub fn missing_comma(gap: Span, next: Span) -> Diagnostic {
    Diagnostic::new(Code::E0102, "missing comma", next, "a comma is missing before this")
        .with_help("Put a comma between the two, or AS if the second is the name of the first.")
        .with_fix("insert a comma", gap, ",")
}

/// E0103: a bracket without its partner; `stop` is where it had to be closed at the latest.
pub fn unclosed_bracket(open: Span, bracket: char, stop: Span) -> Diagnostic {
    let partner = closing(bracket);
    Diagnostic::new(Code::E0103, format!("'{bracket}' is never closed"), open, "opened here")
        .with_related(stop, format!("expected '{partner}' before this"))
        .with_help(format!("Add the missing '{partner}'."))
}

/// E0104: a statement that begins with a word no statement begins with.
pub fn unknown_statement(at: Span, found: &str, statements: &[&'static str]) -> Diagnostic {
    let message = format!("no statement begins with {found}");
    let diagnostic = Diagnostic::new(Code::E0104, message, at, "not a statement");
    match nearest(found, statements.iter().copied()) {
        Some(name) => diagnostic.with_help(format!("Did you mean {name}?")).with_fix(
            format!("change to {name}"),
            at,
            name,
        ),
        None => diagnostic.with_help(format!("Statements begin with {}.", statements.join(", "))),
    }
}

/// E0105: a string without its closing quote.
pub fn unterminated_string(at: Span) -> Diagnostic {
    Diagnostic::new(Code::E0105, "string is never closed", at, "this quote has no partner")
        .with_help("Close the string with '. A quote inside a string is written twice: 'it''s'.")
}

/// E0106: a reserved word where a name is needed.
pub fn reserved_word(at: Span, word: &str) -> Diagnostic {
    let message = format!("{} is a reserved word", word.to_uppercase());
    Diagnostic::new(Code::E0106, message, at, "expected a name")
        .with_help(format!("Write \"{word}\" or `{word}` to use it as a name."))
        .with_fix("put it in quotes", at, format!("\"{word}\""))
}

/// E0107: a statement follows another without a semicolon; `end` is the empty span after the first.
pub fn missing_semicolon(end: Span, next: Span, keyword: &str) -> Diagnostic {
    let message = format!("missing semicolon before {}", keyword.to_uppercase());
    Diagnostic::new(Code::E0107, message, next, "a new statement begins here")
        .with_related(end, "the statement before it ends here")
        .with_help("End each statement with a semicolon.")
        .with_fix("insert a semicolon", end, ";")
}

/// E0108: more levels of nesting than Flow follows.
pub fn nested_too_deeply(at: Span, limit: usize) -> Diagnostic {
    let label = format!("more than {limit} levels");
    Diagnostic::new(Code::E0108, "nested too deeply", at, label)
        .with_help("Split the statement with views or WITH; write long chains of OR as IN (…).")
}

/// E0109: a block comment without its end.
pub fn unterminated_comment(at: Span) -> Diagnostic {
    Diagnostic::new(Code::E0109, "comment is never closed", at, "opened here")
        .with_help("Close the comment with */, or use -- for a comment of one line.")
}

/// E0110: a quoted name without its closing quote.
pub fn unterminated_name(at: Span, quote: char) -> Diagnostic {
    let message = "quoted name is never closed";
    Diagnostic::new(Code::E0110, message, at, "this quote has no partner")
        .with_help(format!("Close the name with {quote}."))
}

/// E0111: a character that no token begins with.
pub fn unexpected_character(at: Span, found: char) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::E0111,
        format!("unexpected character '{}'", found.escape_debug()),
        at,
        "not part of the language",
    );
    match look_alike(found) {
        Some(plain) => diagnostic
            .with_help(format!("Write {plain} instead; it looks alike."))
            .with_fix(format!("change to {plain}"), at, plain),
        None => diagnostic,
    }
}

/// E0112: the text ends inside a statement. `expected` lists what could follow, for people.
pub fn unexpected_end(at: Span, expected: &[String]) -> Diagnostic {
    let label = match one_of(expected) {
        Some(list) => format!("expected {list} here"),
        None => String::from("something is missing here"),
    };
    Diagnostic::new(Code::E0112, "statement ends too early", at, label)
}

/// E0113: a comma that nothing follows.
pub fn trailing_comma(at: Span, next: &str) -> Diagnostic {
    let label = format!("nothing between this and {next}");
    Diagnostic::new(Code::E0113, "comma with nothing after it", at, label)
        .with_help("Remove the comma, or add what is missing after it.")
        .with_fix("remove the comma", at, "")
}

/// E0114: a closing bracket without its partner.
pub fn unopened_bracket(at: Span, bracket: char) -> Diagnostic {
    let message = format!("'{bracket}' was never opened");
    Diagnostic::new(Code::E0114, message, at, "closes nothing")
        .with_help(format!("Remove the '{bracket}', or open it earlier."))
}

/// E0115: a statement of other systems that Flow does not have; `help` says what to do instead.
pub fn foreign_statement(at: Span, word: &str, help: &str) -> Diagnostic {
    let message = format!("Flow has no {} statement", word.to_uppercase());
    Diagnostic::new(Code::E0115, message, at, "not a statement of Flow").with_help(help)
}

/// W0124: a statement that is needed elsewhere and changes nothing here; `why` says why not.
pub fn statement_without_effect(at: Span, name: &str, why: &str) -> Diagnostic {
    let message = format!("{} changes nothing here", name.to_uppercase());
    Diagnostic::new(Code::W0124, message, at, "left out").with_help(why)
}

/// W0124: a hint of another engine, `/*+ NAME(…) */`, which is a comment here.
pub fn hint_without_effect(at: Span, name: &str) -> Diagnostic {
    let name = name.to_uppercase();
    let help = match name.as_str() {
        "OPTIONS" => "Write these options into WITH of the declaration.",
        "STATE_TTL" => {
            "State goes when nothing can need it any more: a window, an interval of a join, or a \
             filter on time bounds it."
        }
        "LOOKUP" => "A table that is looked up is read before all else, and kept.",
        _ => "How a query runs follows from the query; EXPLAIN shows it.",
    };
    statement_without_effect(at, &format!("/*+ {name} */"), help)
}

/// E0116: a literal that cannot be read: `why` is the message, `help` shows the right form.
pub fn malformed_literal(at: Span, why: &str, help: &str) -> Diagnostic {
    Diagnostic::new(Code::E0116, why, at, "").with_help(help)
}

/// E0117: a clause behind one that it has to precede.
pub fn misplaced_clause(at: Span, clause: &str, order: &str) -> Diagnostic {
    let message = format!("{clause} is in the wrong place");
    Diagnostic::new(Code::E0117, message, at, "too late, or a second time")
        .with_help(format!("The order is: {order}."))
}

/// E0118: a name in double quotes where a string is needed.
pub fn string_in_double_quotes(at: Span, text: &str) -> Diagnostic {
    let right = format!("'{}'", text.replace('\'', "''"));
    let message = "expected a string, found a quoted name";
    Diagnostic::new(Code::E0118, message, at, "double quotes make a name")
        .with_help(format!("Strings take single quotes: {right}."))
        .with_fix("use single quotes", at, right)
}

/// E0119: a file larger than Flow reads.
pub fn source_too_large(at: Span, bytes: usize, limit_bytes: usize) -> Diagnostic {
    let message = format!("the source has {bytes} bytes, more than {limit_bytes}");
    Diagnostic::new(Code::E0119, message, at, "")
        .with_help("Split the file and put the parts together with IMPORT 'file.flow'.")
}

/// E0120: STATEMENT SET without its BEGIN, END or inserts: `why` is the message.
pub fn incomplete_statement_set(at: Span, why: &str) -> Diagnostic {
    Diagnostic::new(Code::E0120, why, at, "")
        .with_help("Write EXECUTE STATEMENT SET BEGIN INSERT INTO …; INSERT INTO …; END;")
}

/// E0121: a word where a unit of time is needed.
pub fn unknown_unit(at: Span, word: &str, units: &[&'static str]) -> Diagnostic {
    let message = format!("unknown time unit {}", word.to_uppercase());
    let diagnostic = Diagnostic::new(Code::E0121, message, at, "expected a unit of time");
    match nearest(word, units.iter().copied()) {
        Some(name) => diagnostic.with_help(format!("Did you mean {name}?")).with_fix(
            format!("change to {name}"),
            at,
            name,
        ),
        None => diagnostic.with_help(format!("The units are {}.", units.join(", "))),
    }
}

/// E0122: a call whose words or arguments do not fit its special syntax; `form` shows it.
pub fn malformed_call(at: Span, function: &str, form: &str) -> Diagnostic {
    let message = format!("malformed call of {}", function.to_uppercase());
    Diagnostic::new(Code::E0122, message, at, "").with_help(format!("Its form is {form}."))
}

/// E0123: CREATE, SHOW, DROP and the like, followed by a word that names no kind of object.
pub fn unknown_object_kind(
    at: Span,
    verb: &str,
    word: &str,
    choices: &[&'static str],
) -> Diagnostic {
    let message = format!("cannot {} {}", verb.to_uppercase(), word.to_uppercase());
    let label = "not a kind of object";
    let diagnostic = Diagnostic::new(Code::E0123, message, at, label);
    match nearest(word, choices.iter().copied()) {
        Some(name) => diagnostic
            .with_help(format!("Did you mean {} {name}?", verb.to_uppercase()))
            .with_fix(format!("change to {name}"), at, name),
        None => diagnostic.with_help(format!(
            "After {} comes one of {}.",
            verb.to_uppercase(),
            choices.join(", ")
        )),
    }
}

fn one_of(expected: &[String]) -> Option<String> {
    match expected {
        [] => None,
        [only] => Some(only.clone()),
        [init @ .., last] => Some(format!("{} or {last}", init.join(", "))),
    }
}

fn closing(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        other => other,
    }
}

/// Characters that word processors and web pages put in place of plain ones.
fn look_alike(found: char) -> Option<&'static str> {
    match found {
        '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{2032}' => Some("'"),
        '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{2033}' => Some("\""),
        '\u{2013}' | '\u{2014}' | '\u{2212}' => Some("-"),
        '\u{00A0}' | '\u{3000}' => Some(" "),
        '\u{FF0C}' => Some(","),
        '\u{FF1B}' | '\u{037E}' => Some(";"),
        '\u{FF08}' => Some("("),
        '\u{FF09}' => Some(")"),
        _ => None,
    }
}

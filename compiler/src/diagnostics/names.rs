//! Problems with names (E02xx): streams, columns, fields, functions.

use flow_ir::span::Span;

use super::{Code, Diagnostic, nearest};

/// Names listed in a message before it says how many more there are.
const LISTED_NAMES_MAX: usize = 12;

/// `a, b and c`; a long list is cut.
pub fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED_NAMES_MAX).map(String::as_str).collect();
    match (names.len() - shown.len(), shown.split_last()) {
        (0, None) => String::from("nothing"),
        (0, Some((last, []))) => (*last).to_string(),
        (0, Some((last, before))) => format!("{} and {last}", before.join(", ")),
        (more, _) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Help for an unknown name: the nearest one with a fix, else what there is.
fn did_you_mean(found: Diagnostic, written: &str, span: Span, known: &[String]) -> Diagnostic {
    match nearest(written, known.iter().map(String::as_str)) {
        Some(name) => found.with_help(format!("Did you mean {name}?")).with_fix(
            format!("write {name}"),
            span,
            name,
        ),
        None if known.is_empty() => found,
        None => found.with_help(format!("Names here are {}.", list(known))),
    }
}

/// FROM or INSERT INTO names nothing that is declared.
pub fn unknown_relation(name: &str, span: Span, known: &[String]) -> Diagnostic {
    let message = format!("no stream, table or view is named {name}");
    let found = Diagnostic::new(Code::E0201, message, span, "not declared above");
    match known {
        [] => found.with_help(format!("Declare it first: CREATE STREAM {name} (…) WITH (…);")),
        known => did_you_mean(found, name, span, known),
    }
}

/// No column of the relations in FROM has this name.
pub fn unknown_column(name: &str, span: Span, known: &[String]) -> Diagnostic {
    missing_column(format!("no column is named {name}"), name, span, known)
}

/// `alias.column` where the alias's relation has no such column.
pub fn unknown_column_of(owner: &str, name: &str, span: Span, known: &[String]) -> Diagnostic {
    missing_column(format!("{owner} has no column named {name}"), name, span, known)
}

fn missing_column(message: String, name: &str, span: Span, known: &[String]) -> Diagnostic {
    did_you_mean(Diagnostic::new(Code::E0202, message, span, "unknown column"), name, span, known)
}

/// A string in double quotes where a column of that name does not exist.
pub fn quoted_string(name: &str, span: Span, known: &[String]) -> Diagnostic {
    unknown_column(name, span, known)
        .with_help(format!("Double quotes enclose names. For text write '{name}'."))
        .with_fix("write a string", span, format!("'{}'", name.replace('\'', "''")))
}

/// Several names fit.
pub fn ambiguous(what: &str, name: &str, span: Span, candidates: &[String]) -> Diagnostic {
    let message = format!("{what} {name} is ambiguous");
    Diagnostic::new(Code::E0203, message, span, format!("fits {}", list(candidates)))
        .with_help("Write the name in full, exactly as it is declared.")
}

/// A stream, table or view is declared again.
pub fn declared_twice(name: &str, span: Span, first: Span) -> Diagnostic {
    Diagnostic::new(Code::E0204, format!("{name} is declared twice"), span, "declared again")
        .with_related(first, "first declared here")
        .with_help("Rename one of the two, or remove it.")
}

/// Two columns of a declaration, a view or a sink have the same name.
pub fn duplicate_column(name: &str, place: &str, span: Span, first: Option<Span>) -> Diagnostic {
    let message = format!("{place} has two columns named {name}");
    let found = Diagnostic::new(Code::E0205, message, span, "second one")
        .with_help(format!("Give one of them another name, as in: … AS {name}_2."));
    match first {
        Some(first) if first != span => found.with_related(first, "first one"),
        Some(_) | None => found,
    }
}

/// No function of this name.
pub fn unknown_function(name: &str, span: Span, known: &[String]) -> Diagnostic {
    let message = format!("no function is named {}", name.to_uppercase());
    let found = Diagnostic::new(Code::E0206, message, span, "unknown function");
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => found.with_help(format!("Did you mean {near}?")).with_fix(
            format!("write {near}"),
            span,
            near,
        ),
        None => found.with_help("The language reference lists the functions."),
    }
}

/// A ROW has no such field.
pub fn unknown_field(name: &str, ty: &str, span: Span, known: &[String]) -> Diagnostic {
    let message = format!("{ty} has no field named {name}");
    did_you_mean(Diagnostic::new(Code::E0207, message, span, "unknown field"), name, span, known)
}

/// Two relations in one FROM have the same name.
pub fn duplicate_alias(name: &str, span: Span, first: Span) -> Diagnostic {
    let message = format!("FROM has two relations named {name}");
    Diagnostic::new(Code::E0208, message, span, "second one")
        .with_related(first, "first one")
        .with_help(format!("Give one of them another name, as in: … AS {name}_2."))
}

/// An index where a relation is needed.
pub fn index_as_relation(name: &str, span: Span, declared: Span) -> Diagnostic {
    let message = format!("{name} is an index, which is not read or written by name");
    Diagnostic::new(Code::E0210, message, span, "an index")
        .with_related(declared, "declared here")
        .with_help("Read its view: queries use an index where it saves work.")
}

/// `x.column` where FROM has no x.
pub fn unknown_alias(name: &str, span: Span, known: &[String]) -> Diagnostic {
    let message = format!("FROM has no relation named {name}");
    did_you_mean(Diagnostic::new(Code::E0209, message, span, "not in FROM"), name, span, known)
}

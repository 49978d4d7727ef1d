//! Problems with types (E03xx) and lints about values that change on the way.

use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};

use super::names::list;
use super::{Code, Diagnostic};

/// No overload of a function takes these arguments.
pub fn wrong_arguments(
    function: &str,
    given: &[Type],
    overloads: &[String],
    span: Span,
    cast: Option<String>,
) -> Diagnostic {
    let given: Vec<String> = given.iter().map(|ty| ty.data.to_string()).collect();
    let message = match given.as_slice() {
        [left, right] if !function.starts_with(char::is_alphabetic) => {
            format!("{left} {function} {right} is not defined")
        }
        given => format!("{function}({}) is not defined", given.join(", ")),
    };
    let mut help = match overloads {
        [] => String::new(),
        overloads => format!("There is {}.", list(overloads)),
    };
    if let Some(cast) = cast {
        help = format!("{help} Write {cast}.").trim().to_string();
    }
    let found = Diagnostic::new(Code::E0301, message, span, "these types do not fit");
    if help.is_empty() { found } else { found.with_help(help) }
}

/// WHERE, ON, HAVING, FILTER, WHEN, AND, OR, NOT need a BOOLEAN.
pub fn not_boolean(place: &str, ty: &Type, span: Span) -> Diagnostic {
    let message = format!("{place} needs a BOOLEAN, this is {}", ty.data);
    let test = match &ty.data {
        data if data.is_numeric() => "x <> 0",
        DataType::String => "x <> ''",
        _ => "x IS NOT NULL",
    };
    Diagnostic::new(Code::E0302, message, span, ty.data.to_string())
        .with_help(format!("Compare it with something, as in: {test}."))
}

/// CAST between types that have no conversion.
pub fn no_cast(from: &Type, to: &Type, span: Span) -> Diagnostic {
    let message = format!("{} cannot be cast to {}", from.data, to.data);
    Diagnostic::new(Code::E0303, message, span, from.data.to_string())
        .with_help("Go by way of a type that both convert to, often STRING.")
}

/// Values that must have one type have none in common.
pub fn no_common_type(place: &str, types: &[Type], span: Span, cast: Option<String>) -> Diagnostic {
    let mut names: Vec<String> = types.iter().map(|ty| ty.data.to_string()).collect();
    names.dedup();
    let message = format!("{place} mixes {}", list(&names));
    let help = match cast {
        Some(cast) => format!("They have no type in common. Write {cast}."),
        None => String::from("They have no type in common. CAST one of them."),
    };
    Diagnostic::new(Code::E0304, message, span, "no common type").with_help(help)
}

/// A literal is not a value of the type that its place needs.
pub fn bad_literal(text: &str, ty: &str, span: Span, help: Option<&str>) -> Diagnostic {
    let message = format!("{text} is not a valid {ty}");
    let found = Diagnostic::new(Code::E0305, message, span, format!("read as {ty}"));
    match help {
        Some(help) => found.with_help(help),
        None => found,
    }
}

/// No type of this name.
pub fn unknown_type(name: &str, span: Span, nearest: Option<&str>) -> Diagnostic {
    let found =
        Diagnostic::new(Code::E0306, format!("no type is named {name}"), span, "unknown type");
    match nearest {
        Some(near) => found.with_help(format!("Did you mean {near}?")).with_fix(
            format!("write {near}"),
            span,
            near,
        ),
        None => found.with_help(
            "Types are BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, REAL, DOUBLE, DECIMAL(p, s), \
             STRING, BYTES, DATE, TIME, TIMESTAMP(p), TIMESTAMP_LTZ(p), INTERVAL, UUID, JSON, \
             ARRAY<t>, MAP<k, v> and ROW<name t, …>.",
        ),
    }
}

/// Precision, scale or length that a type cannot have.
pub fn bad_type(ty: &str, why: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0307, format!("{ty} is not a type: {why}"), span, "out of range")
}

/// A query's column cannot go into a sink's column.
pub fn not_assignable(column: &str, from: &Type, to: &Type, span: Span) -> Diagnostic {
    let message = format!("column {column} is {}, the query gives {}", to.data, from.data);
    let help = format!("Write CAST(… AS {}).", to.data);
    does_not_fit(message, from.data.to_string(), span, help)
}

/// A NULL may reach a sink's NOT NULL column.
pub fn null_into_not_null(column: &str, ty: &Type, span: Span) -> Diagnostic {
    let message = format!("column {column} is NOT NULL, the query may give NULL");
    let help = format!(
        "Write COALESCE(…, …), leave the rows out by WHERE and CASE, or declare {column} without \
         NOT NULL."
    );
    does_not_fit(message, format!("{} that may be NULL", ty.data), span, help)
}

fn does_not_fit(message: String, label: String, span: Span, help: String) -> Diagnostic {
    Diagnostic::new(Code::E0308, message, span, label).with_help(help)
}

/// TIMESTAMP(7) to (9) are kept to microseconds.
pub fn precision_beyond_micros(ty: &str, span: Span) -> Diagnostic {
    Diagnostic::new(
        Code::W0309,
        format!("{ty} is kept to microseconds"),
        span,
        "more digits than are kept",
    )
    .with_help("Times are 64-bit microseconds. Write precision 6 to say so.")
}

/// INSERT narrows a number.
pub fn narrowed(column: &str, from: &Type, to: &Type, span: Span) -> Diagnostic {
    let message = format!("column {column} narrows {} to {}", from.data, to.data);
    let fraction = from.data.is_float() || matches!(from.data, DataType::Decimal { .. });
    let help = if fraction && to.data.is_integer() {
        format!(
            "The fraction is cut off, toward zero, and a value out of range is an error. Write \
             CAST(… AS {}) to round instead.",
            to.data
        )
    } else {
        format!(
            "A value out of range is an error. Write CAST(… AS {}) to say that it is meant.",
            to.data
        )
    };
    Diagnostic::new(Code::W0310, message, span, from.data.to_string()).with_help(help)
}

/// The call means something else in Flink SQL.
pub fn differs_from_flink(what: &str, ours: &str, rewrite: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::W0311, format!("{what} differs from Flink SQL"), span, ours)
        .with_help(rewrite)
}

/// AVG, or a deviation, of integers is no integer.
pub fn mean_with_fraction(function: &str, span: Span) -> Diagnostic {
    let rewrite = format!(
        "For Flink's whole number, insert it into an integer column, or write \
         CAST(TRUNC({function}(…)) AS BIGINT)."
    );
    let what = format!("{function} of integers");
    differs_from_flink(&what, "a DOUBLE with its fraction", &rewrite, span)
}

/// `x.f` or `x[i]` where x has no fields or elements.
pub fn no_parts(what: &str, ty: &Type, span: Span) -> Diagnostic {
    let message = format!("{} has no {what}", ty.data);
    Diagnostic::new(Code::E0312, message, span, ty.data.to_string())
}

/// A value that must be known when the program is checked.
pub fn not_constant(place: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0313, format!("{place} must be a constant"), span, "not a constant")
        .with_help("Write a literal.")
}

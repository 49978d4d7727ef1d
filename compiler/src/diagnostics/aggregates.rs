//! Problems with grouping and aggregates (E06xx).

use flow_ir::span::Span;

use super::{Code, Diagnostic};

/// A column that is neither grouped nor aggregated.
pub fn not_grouped(name: &str, span: Span, group_by: Option<Span>) -> Diagnostic {
    let message = format!("{name} is neither in GROUP BY nor in an aggregate");
    let found = no_key(message, span, "differs within a group");
    match group_by {
        Some(group_by) => found
            .with_related(group_by, "the groups")
            .with_help(format!("Add {name} to GROUP BY, or write MAX({name}).")),
        None => found.with_help(format!(
            "The aggregate makes one row of all. Write GROUP BY {name}, or MAX({name})."
        )),
    }
}

fn no_key(message: String, span: Span, label: &str) -> Diagnostic {
    Diagnostic::new(Code::E0601, message, span, label)
}

/// An aggregate where rows are not grouped yet, or inside another.
pub fn not_allowed_here(function: &str, place: &str, span: Span) -> Diagnostic {
    let message = format!("{function} cannot stand in {place}");
    let help = match place {
        "WHERE" => "Use HAVING, which filters groups.",
        "an aggregate" => "Aggregate in a subquery first, then aggregate its result.",
        _ => "Aggregate in a subquery in FROM, and use its column here.",
    };
    misplaced(message, span, "an aggregate", help)
}

fn misplaced(message: String, span: Span, label: &str, help: &str) -> Diagnostic {
    Diagnostic::new(Code::E0602, message, span, label).with_help(help)
}

/// `GROUP BY 7` where SELECT has fewer columns.
pub fn bad_position(position: &str, columns: usize, span: Span) -> Diagnostic {
    let message = format!("SELECT has no column number {position}");
    Diagnostic::new(Code::E0603, message, span, format!("there are {columns}"))
        .with_help("Positions count from 1.")
}

/// DISTINCT, FILTER, `*` or OVER on a call that does not take it.
pub fn modifier_not_taken(function: &str, modifier: &str, span: Span) -> Diagnostic {
    let message = format!("{function} does not take {modifier}");
    Diagnostic::new(Code::E0604, message, span, "not for this function")
}

/// OVER where it has no rows, or in another.
pub fn over_not_allowed_here(function: &str, place: &str, span: Span) -> Diagnostic {
    let message = format!("{function} OVER (…) cannot stand in {place}");
    let help = match place {
        "WHERE" | "HAVING" => "Use QUALIFY, which filters by what OVER computes.",
        _ => "Compute it in a subquery in FROM, and use its column here.",
    };
    misplaced(message, span, "computed later", help)
}

/// A frame that cannot be.
pub fn bad_frame(message: &str, label: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0608, message, span, label).with_help(
        "A frame is ROWS, RANGE or GROUPS BETWEEN start AND end; for example ROWS BETWEEN 2 \
         PRECEDING AND CURRENT ROW, or RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW.",
    )
}

/// A constant argument of an aggregate that is missing or of no use.
pub fn bad_constant(function: &str, takes: &str, span: Span) -> Diagnostic {
    let message = format!("{function} takes {takes}");
    Diagnostic::new(Code::E0606, message, span, "a constant is needed here")
}

/// GROUPING of something that is no key.
pub fn not_a_key(span: Span) -> Diagnostic {
    no_key("GROUPING takes what GROUP BY lists".into(), span, "not in GROUP BY")
}

/// More grouping sets than anyone means.
pub fn too_many_sets(most: usize, span: Span) -> Diagnostic {
    let message = format!("GROUP BY has more than {most} grouping sets");
    Diagnostic::new(Code::E0607, message, span, "too many")
        .with_help("Each is an aggregate of its own. List the ones you need in GROUPING SETS.")
}

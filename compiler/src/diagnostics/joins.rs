//! Problems with joins (E04xx).

use flow_ir::span::Span;

use super::names::list;
use super::{Code, Diagnostic};

/// FOR SYSTEM_TIME AS OF in a join that is neither inner nor left.
pub fn temporal_kind(kind: &str, span: Span) -> Diagnostic {
    let message = format!("a {kind} JOIN with the versions of a table is not available");
    Diagnostic::new(Code::E0401, message, span, "FOR SYSTEM_TIME AS OF").with_help(
        "Each row on the left looks its version up: write JOIN or LEFT JOIN. To join with the rows \
         that the table has now, leave FOR SYSTEM_TIME AS OF out.",
    )
}

/// FOR SYSTEM_TIME AS OF on something else than a keyed table.
pub fn temporal_needs_table(name: &str, span: Span, declared: Option<Span>) -> Diagnostic {
    let message = format!("{name} is not a table with a PRIMARY KEY");
    let found = Diagnostic::new(Code::E0402, message, span, "has no versions").with_help(
        "FOR SYSTEM_TIME AS OF looks a key up in a table. Declare it as: CREATE TABLE … (…, \
         PRIMARY KEY (…) NOT ENFORCED) WITH (…).",
    );
    match declared {
        Some(declared) => found.with_related(declared, "declared here"),
        None => found,
    }
}

/// A temporal join's ON must equate the whole primary key; the query knows the table by `alias`.
pub fn temporal_needs_key(table: &str, alias: &str, missing: &[String], span: Span) -> Diagnostic {
    let message = format!("the join with {table} must equate its primary key");
    let label = format!("says nothing of {}", list(missing));
    Diagnostic::new(Code::E0403, message, span, label)
        .with_help(format!("Write ON … = {alias}.{}.", missing.first().map_or("key", |m| m)))
}

/// FOR SYSTEM_TIME AS OF something else than the left side's event time.
pub fn temporal_time(span: Span, updating: bool) -> Diagnostic {
    let label = if updating { "the left side is updating" } else { "not an event time column" };
    let message = "FOR SYSTEM_TIME AS OF needs the event time of the left side";
    Diagnostic::new(Code::E0404, message, span, label).with_help(
        "Write the column of the left side's WATERMARK clause, as in: FOR SYSTEM_TIME AS OF o.ts; \
         the left side must be a stream that only appends.",
    )
}

/// An interval whose lower bound lies above its upper one.
pub fn empty_interval(span: Span) -> Diagnostic {
    let message = "no two rows can meet these bounds on time";
    Diagnostic::new(Code::E0405, message, span, "the lower bound lies above the upper one")
        .with_help("Swap the bounds, or the sign of an INTERVAL.")
}

/// A join without equal columns and without a bound in time.
pub fn cross_join(span: Span) -> Diagnostic {
    let message = "the join pairs every row with every row";
    Diagnostic::new(Code::W0406, message, span, "no column of one side equals one of the other")
        .with_help("Add an equality, as in: ON l.id = r.id.")
}

/// A table without WATERMARK dates its versions by the records, the left side's time is data.
pub fn temporal_clock_mismatch(table: &str, span: Span, declared: Span) -> Diagnostic {
    let message = format!("the versions of {table} are dated by their records' timestamps");
    Diagnostic::new(Code::W0407, message, span, "compared with a time from the data")
        .with_related(declared, "has no WATERMARK")
        .with_help(
            "On a replay both must mean the same clock. Declare WATERMARK FOR a column of the \
             table, or use the record's timestamp on the left side too.",
        )
}

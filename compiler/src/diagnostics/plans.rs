//! Problems with what a program as a whole does: changelogs, sinks, keys (E08xx), and what is not
//! available yet (E0901).

use flow_ir::span::Span;

use super::{Code, Diagnostic};

/// An updating query into a sink that only appends.
pub fn sink_cannot_update(sink: &str, format: &str, span: Span, declared: Span) -> Diagnostic {
    let message = format!("{sink} only appends, but the query takes rows back");
    Diagnostic::new(Code::E0801, message, span, "an updating result")
        .with_related(declared, format!("format {format}, no PRIMARY KEY"))
        .with_help(
            "Declare the sink with a PRIMARY KEY (the newest row per key, deletes as tombstones); \
             or use 'format' = 'debezium-json' (every change, before and after); or group by \
             window_start and window_end, which emits each window once.",
        )
}

/// INSERT, UNION or a column list with another number of columns.
pub fn wrong_count(what: &str, wants: usize, has: usize, span: Span) -> Diagnostic {
    let columns = |n: usize| if n == 1 { "1 column".to_string() } else { format!("{n} columns") };
    let message = format!("{what} has {}, the query gives {has}", columns(wants));
    Diagnostic::new(Code::E0803, message, span, columns(has))
        .with_help("Columns are matched by position; name the ones that are meant in SELECT.")
}

/// INSERT with named columns leaves out one that cannot be NULL.
pub fn column_left_out(sink: &str, column: &str, span: Span) -> Diagnostic {
    let message = format!("column {column} of {sink} is NOT NULL and gets no value");
    Diagnostic::new(Code::E0804, message, span, format!("{column} is left out"))
        .with_help(format!("Add {column} to the list and a value to SELECT."))
}

/// A program that declares and does not run anything.
pub fn nothing_runs(span: Span) -> Diagnostic {
    Diagnostic::new(Code::W0805, "the program runs nothing", span, "only declarations")
        .with_help("Add INSERT INTO … SELECT …, or a SELECT, which prints.")
}

/// INSERT INTO something that is not a stream or table: `a view`, `a SOURCE`.
pub fn not_a_target(name: &str, what: &str, span: Span, declared: Option<Span>) -> Diagnostic {
    let message = format!("{name} is {what} and cannot be written");
    let found = Diagnostic::new(Code::E0806, message, span, what)
        .with_help("Declare a stream or table: CREATE STREAM … WITH (…).");
    match declared {
        Some(declared) => found.with_related(declared, "declared here"),
        None => found,
    }
}

/// A function whose value depends on when it runs, over rows that may be taken back.
pub fn clock_over_updates(span: Span) -> Diagnostic {
    let message = "the current time cannot be used over rows that may be taken back";
    Diagnostic::new(Code::E0808, message, span, "differs from epoch to epoch")
        .with_help("A row must be taken back with the same values. Use it in the stream's query.")
}

/// An index of something that is not kept; `what` it is.
pub fn index_needs_view(name: &str, what: &str, span: Span) -> Diagnostic {
    let message = format!("{name} is {what}: it has no index");
    let label = "not a materialized view of this program";
    Diagnostic::new(Code::E0809, message, span, label).with_help(
        "An index is another order of the rows of a materialized view, in the program that keeps \
         it: CREATE MATERIALIZED VIEW … AS SELECT …; CREATE INDEX … ON that view.",
    )
}

/// FOR SYSTEM_TIME AS OF a view of another job, of which only the newest rows are kept.
pub fn view_without_versions(name: &str, job: &str, span: Span) -> Diagnostic {
    let message = format!("{name} is a view of job {job}, and has no versions");
    Diagnostic::new(Code::E0810, message, span, "only the newest row of a key is kept").with_help(
        format!(
            "Join it as it is: leave FOR SYSTEM_TIME out. Or let job {job} write the rows to a \
             table, too, whose topic keeps all versions: CREATE TABLE … (…, PRIMARY KEY (…) NOT \
             ENFORCED) WITH (…); INSERT INTO … SELECT …; and join that table."
        ),
    )
}

/// What is asked is not one query behind its declarations.
pub fn not_one_query(message: &str, label: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0811, message, span, label).with_help(
        "What is asked is one SELECT, or SUBSCRIBE TO a view or query; SET, CREATE STREAM, CREATE \
         TABLE and CREATE VIEW may stand before it. What is to run goes into a job: `flow submit`.",
    )
}

/// LIMIT or OFFSET of something else than a count.
pub fn not_a_count(clause: &str, span: Span) -> Diagnostic {
    let message = format!("{clause} takes a whole number, 0 or more");
    Diagnostic::new(Code::E0812, message, span, "not a number of rows")
        .with_help(format!("Write a literal: {clause} 10."))
}

/// ORDER BY of all rows of a result that has no last one.
pub fn order_without_end(span: Span) -> Diagnostic {
    let message = "the result has no end after which it could be sorted";
    Diagnostic::new(Code::E0813, message, span, "sorts by more than event time").with_help(
        "Add LIMIT n, which keeps the first n rows; or sort an append-only result by its event \
         time, ascending, which waits for the watermark; or sort where the result is read.",
    )
}

/// ORDER BY without LIMIT of a subquery or view; `top`: of rows that the program brings itself.
pub fn order_without_effect(span: Span, top: bool) -> Diagnostic {
    let help = match top {
        true => "A program gives its rows in no order. Sort where the result is read.",
        false => "The rows of a subquery or view have no order. Add LIMIT n, or leave it out.",
    };
    Diagnostic::new(Code::W0814, "ORDER BY has no effect here", span, "sorts nothing")
        .with_help(help)
}

/// An operator whose state grows as long as the job runs: `keeps` says what it keeps.
pub fn unbounded_state(keeps: &str, remedy: &str, span: Span) -> Diagnostic {
    let label = "its state grows with the input";
    Diagnostic::new(Code::W0815, keeps, span, label).with_help(remedy)
}

/// A statement that looks at what runs, and is no part of it.
pub fn of_the_shell(statement: &str, span: Span, instead: Option<&str>) -> Diagnostic {
    let message = format!("{statement} is a statement of the shell, not of a program");
    let instead = instead.unwrap_or("Write it in the shell, `flow repl`, or ask `flow query`.");
    lacking(message, span, "not part of a program", Some(instead))
}

/// More than a job may hold.
pub fn too_large(why: &str, span: Span) -> Diagnostic {
    let message = format!("this takes a larger job than there may be: {why}");
    let instead = "A relation has 4,000 columns at most, an expression 100,000 operations, a job \
                   10,000 operators. Split it; a long list of constants can be a table to join \
                   with.";
    lacking(message, span, "too large", Some(instead))
}

/// Parsed, planned, not there yet.
pub fn not_available(feature: &str, span: Span, instead: Option<&str>) -> Diagnostic {
    lacking(format!("{feature} is not available yet"), span, "not available yet", instead)
}

fn lacking(message: String, span: Span, label: &str, instead: Option<&str>) -> Diagnostic {
    let found = Diagnostic::new(Code::E0901, message, span, label);
    match instead {
        Some(instead) => found.with_help(instead),
        None => found,
    }
}

//! Problems with time and windows (E05xx).

use flow_ir::span::Span;

use super::{Code, Diagnostic};

/// A window or interval over a column that no watermark covers.
pub fn not_event_time(column: &str, why: &str, span: Span, help: String) -> Diagnostic {
    let message = format!("{column} is not an event time column");
    Diagnostic::new(Code::E0501, message, span, why).with_help(help)
}

/// A WATERMARK clause that cannot be.
pub fn bad_watermark(message: &str, label: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0502, message, span, label).with_help(
        "Write WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, where ts is a TIMESTAMP or \
         TIMESTAMP_LTZ column.",
    )
}

/// Arguments of a window function.
pub fn bad_window(message: impl Into<String>, label: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::E0503, message, span, label).with_help(
        "Write TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE), HOP(TABLE t, DESCRIPTOR(ts), \
         INTERVAL '10' SECOND, INTERVAL '1' MINUTE) with the slide before the size, CUMULATE \
         likewise with the step, or SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' \
         MINUTE).",
    )
}

/// GROUP BY with one bound of a window.
pub fn half_window(has: &str, lacks: &str, span: Span) -> Diagnostic {
    let message = format!("GROUP BY has the window's {has} but not its {lacks}");
    Diagnostic::new(Code::W0504, message, span, format!("{lacks} is missing")).with_help(format!(
        "Add {lacks}: with both the aggregate emits once, when the window closes. Without it each \
         row changes a result that is kept for ever."
    ))
}

/// Windows over a relation that takes rows back and has no event time.
pub fn window_over_updates(span: Span) -> Diagnostic {
    let message = "a window needs a relation that only appends";
    Diagnostic::new(Code::E0505, message, span, "takes rows back").with_help(
        "Window the stream first, then aggregate, join or deduplicate. A table's changes can be \
         windowed by the time that its WATERMARK names, but not by the clock.",
    )
}

/// A rebuild under idle.timeout may differ.
pub fn idle_timeout(stream: &str, span: Span) -> Diagnostic {
    let message = format!("'idle.timeout' of {stream} lets a rebuild differ");
    Diagnostic::new(Code::W0506, message, span, "depends on when records arrive").with_help(
        "Which partitions were idle is kept in the job's epochs, so a restart repeats it; a \
         rebuild from the log with --fresh may not.",
    )
}

/// TUMBLE_START and its like without a window in GROUP BY.
pub fn no_such_window(function: &str, span: Span) -> Diagnostic {
    let message = format!("{function} has no window of these arguments in GROUP BY");
    Diagnostic::new(Code::E0507, message, span, "no such window").with_help(
        "Write the same arguments in GROUP BY, as in: GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE).",
    )
}

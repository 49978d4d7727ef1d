//! Aggregate calls and windows as data. What they mean is in `flow-stdlib`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::Type;

/// One aggregate of a GROUP BY, over columns of the operator's input.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AggregateCall {
    /// Name in the standard library, upper case.
    pub function: String,
    /// Argument columns.
    pub args: Vec<usize>,
    /// Types of the arguments.
    pub arg_types: Vec<Type>,
    /// DISTINCT.
    pub distinct: bool,
    /// A BOOLEAN column: rows where it is not TRUE are left out.
    pub filter: Option<usize>,
    /// Whether rows may be taken back (the input is not append-only).
    pub retracts: bool,
    /// Type of the result.
    pub ty: Type,
}

/// How time is cut into windows. Times and lengths in microseconds; windows are `[start, end)` and
/// align to 1970-01-01 plus the offset, before it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WindowSpec {
    /// Back to back.
    Tumble {
        /// Length.
        size: i64,
        /// Shift of the alignment.
        offset: i64,
    },
    /// One window every `slide`; `size` is a multiple of `slide`.
    Hop {
        /// Length.
        size: i64,
        /// Distance of two starts.
        slide: i64,
        /// Shift of the alignment.
        offset: i64,
    },
}

impl WindowSpec {
    /// Length of a window.
    pub fn size(self) -> i64 {
        match self {
            WindowSpec::Tumble { size, .. } | WindowSpec::Hop { size, .. } => size,
        }
    }

    /// Length of a slice: the piece of time that belongs to the same windows.
    pub fn slice(self) -> i64 {
        match self {
            WindowSpec::Tumble { size, .. } => size,
            WindowSpec::Hop { slide, .. } => slide,
        }
    }

    /// Shift of the alignment.
    pub fn offset(self) -> i64 {
        match self {
            WindowSpec::Tumble { offset, .. } | WindowSpec::Hop { offset, .. } => offset,
        }
    }
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |micros: i64| micros as f64 / 1e6;
        match self {
            WindowSpec::Tumble { size, .. } => write!(f, "TUMBLE({}s)", seconds(*size)),
            WindowSpec::Hop { size, slide, .. } => {
                write!(f, "HOP({}s, {}s)", seconds(*slide), seconds(*size))
            }
        }
    }
}

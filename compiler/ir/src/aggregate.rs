//! Aggregate calls and windows as data. What they mean is in `flow-stdlib`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::physical::Direction;
use crate::types::Type;
use crate::value::Value;

/// One aggregate of a GROUP BY, over columns of the operator's input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateCall {
    /// Name in the standard library, upper case.
    pub function: String,
    /// Argument columns.
    pub args: Vec<usize>,
    /// Types of the arguments.
    pub arg_types: Vec<Type>,
    /// Constant arguments: a separator, a fraction, a number of values.
    pub params: Vec<Value>,
    /// The order in which rows count, most significant first; empty where it means nothing. Rows
    /// that it leaves equal count in the order of the key bytes of their arguments.
    pub order: Vec<OrderColumn>,
    /// DISTINCT.
    pub distinct: bool,
    /// IGNORE NULLS, for aggregates that otherwise take NULL as a value.
    pub ignore_nulls: bool,
    /// A BOOLEAN column: rows where it is not TRUE are left out.
    pub filter: Option<usize>,
    /// Whether rows may be taken back (the input is not append-only).
    pub retracts: bool,
    /// Type of the result.
    pub ty: Type,
}

/// A column of a call's ORDER BY.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderColumn {
    /// Position in the operator's input.
    pub column: usize,
    /// Its type.
    pub ty: Type,
    /// Which way.
    pub direction: Direction,
}

impl AggregateCall {
    /// A call without DISTINCT, FILTER, ORDER BY or constants over an append-only input.
    pub fn new(function: &str, args: Vec<usize>, arg_types: Vec<Type>, ty: Type) -> Self {
        Self {
            function: function.to_string(),
            args,
            arg_types,
            params: Vec::new(),
            order: Vec::new(),
            distinct: false,
            ignore_nulls: false,
            filter: None,
            retracts: false,
            ty,
        }
    }

    /// All columns that it reads: arguments, order, filter.
    pub fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        let order = self.order.iter().map(|by| by.column);
        self.args.iter().copied().chain(order).chain(self.filter)
    }

    /// Replaces each column number by what `map` gives for it.
    pub fn map_columns(&mut self, map: impl Fn(usize) -> usize) {
        let order = self.order.iter_mut().map(|by| &mut by.column);
        let all = self.args.iter_mut().chain(order).chain(&mut self.filter);
        all.for_each(|column| *column = map(*column));
    }

    /// The call as SQL writes it; `names` gives the names of columns.
    pub fn text(&self, names: impl Fn(&[usize]) -> String) -> String {
        let mut args = match (self.args.is_empty(), self.function.as_str()) {
            (true, "COUNT") => "*".to_string(),
            _ => names(&self.args),
        };
        for param in &self.params {
            args += &format!(", {}", param_text(param));
        }
        for (i, by) in self.order.iter().enumerate() {
            args += if i == 0 { " ORDER BY " } else { ", " };
            args += &names(&[by.column]);
            args += if by.direction.descending { " DESC" } else { "" };
        }
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let nulls = if self.ignore_nulls { " IGNORE NULLS" } else { "" };
        format!("{}({distinct}{args}){nulls}", self.function)
    }
}

/// A constant argument as SQL writes it.
fn param_text(value: &Value) -> String {
    match value {
        Value::Boolean(v) => v.to_string().to_uppercase(),
        Value::Int(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::String(v) => format!("'{}'", v.replace('\'', "''")),
        Value::Array(items) => {
            format!("ARRAY[{}]", items.iter().map(param_text).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

/// How time is cut into windows. Times and lengths in microseconds; windows are `[start, end)`, and
/// starts align to 1970-01-01 plus the offset, before it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WindowSpec {
    /// Back to back.
    Tumble {
        /// Length.
        size: i64,
        /// Shift of the alignment.
        offset: i64,
    },
    /// One window every `slide`; with a slide longer than the size some times are in none.
    Hop {
        /// Length.
        size: i64,
        /// Distance of two starts.
        slide: i64,
        /// Shift of the alignment.
        offset: i64,
    },
    /// Windows that share their start and grow by `step` up to `size`, a multiple of it.
    Cumulate {
        /// Length of the longest.
        size: i64,
        /// By how much each is longer than the one before, and length of the shortest.
        step: i64,
        /// Shift of the alignment.
        offset: i64,
    },
    /// From the first to `gap` after the last of rows that are at most `gap` apart: where windows
    /// begin and end depends on the rows.
    Session {
        /// Time without rows after which a session is over.
        gap: i64,
    },
}

impl WindowSpec {
    /// Length of a window: of the longest, of a session with one row.
    pub fn size(self) -> i64 {
        match self {
            WindowSpec::Tumble { size, .. }
            | WindowSpec::Hop { size, .. }
            | WindowSpec::Cumulate { size, .. } => size,
            WindowSpec::Session { gap } => gap,
        }
    }

    /// Distance of the ends of two windows that follow each other, where it is always the same.
    pub fn period(self) -> i64 {
        match self {
            WindowSpec::Tumble { size, .. } => size,
            WindowSpec::Hop { slide, .. } => slide,
            WindowSpec::Cumulate { step, .. } => step,
            WindowSpec::Session { gap } => gap,
        }
    }

    /// Length of a slice: a piece of time that belongs to the same windows.
    pub fn slice(self) -> i64 {
        match self {
            WindowSpec::Hop { size, slide, .. } if size % slide != 0 => gcd(size, slide),
            WindowSpec::Tumble { .. }
            | WindowSpec::Hop { .. }
            | WindowSpec::Cumulate { .. }
            | WindowSpec::Session { .. } => self.period(),
        }
    }

    /// Shift of the alignment.
    pub fn offset(self) -> i64 {
        match self {
            WindowSpec::Tumble { offset, .. }
            | WindowSpec::Hop { offset, .. }
            | WindowSpec::Cumulate { offset, .. } => offset,
            WindowSpec::Session { .. } => 0,
        }
    }

    /// Whether one bound of a window says the other: its end the start, and its start the end.
    pub fn bounds_say_each_other(self) -> [bool; 2] {
        match self {
            WindowSpec::Tumble { .. } | WindowSpec::Hop { .. } => [true, true],
            WindowSpec::Cumulate { .. } => [true, false],
            WindowSpec::Session { .. } => [false, false],
        }
    }
}

/// The greatest common divisor of two positive numbers.
fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |micros: i64| micros as f64 / 1e6;
        match self {
            WindowSpec::Tumble { size, .. } => write!(f, "TUMBLE({}s)", seconds(*size)),
            WindowSpec::Hop { size, slide, .. } => {
                write!(f, "HOP({}s, {}s)", seconds(*slide), seconds(*size))
            }
            WindowSpec::Cumulate { size, step, .. } => {
                write!(f, "CUMULATE({}s, {}s)", seconds(*step), seconds(*size))
            }
            WindowSpec::Session { gap } => write!(f, "SESSION({}s)", seconds(*gap)),
        }
    }
}

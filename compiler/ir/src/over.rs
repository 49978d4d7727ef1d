//! Calls of OVER, as operators run them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::aggregate::AggregateCall;
use crate::physical::Numbering;
use crate::types::Type;

/// One call over the rows of a partition in the operator's order, which gives each row a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverCall {
    /// What is computed.
    pub function: OverFunction,
    /// Over which of the partition's rows; functions of the whole partition pay no heed to it.
    pub frame: Frame,
    /// Type of the result.
    pub ty: Type,
}

/// What a call computes. Columns are the operator's input's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OverFunction {
    /// ROW_NUMBER, RANK, DENSE_RANK: BIGINT.
    Number(Numbering),
    /// PERCENT_RANK: DOUBLE.
    PercentRank,
    /// CUME_DIST: DOUBLE.
    CumeDist,
    /// NTILE: BIGINT; the number of buckets is at least 1.
    Ntile(u64),
    /// LAG and LEAD: the value of a row at a distance from the current one.
    Shift {
        /// The value.
        arg: usize,
        /// So many rows on; back where negative.
        by: i64,
        /// The value where there is no such row; NULL without it.
        default: Option<usize>,
        /// IGNORE NULLS: only rows count whose value is not NULL.
        ignore_nulls: bool,
    },
    /// FIRST_VALUE, LAST_VALUE, NTH_VALUE: the value of a row of the frame; NULL without one.
    Nth {
        /// The value.
        arg: usize,
        /// Which row, from 1.
        nth: u64,
        /// Whether it is counted from the end.
        from_last: bool,
        /// IGNORE NULLS.
        ignore_nulls: bool,
    },
    /// An aggregate over the frame.
    Aggregate(AggregateCall),
}

/// The rows around the current one that a call is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// What its bounds count.
    pub unit: FrameUnit,
    /// Where it begins.
    pub start: FrameBound,
    /// Where it ends, inclusive.
    pub end: FrameBound,
    /// What it leaves out.
    pub exclude: FrameExclude,
}

/// What a frame's bounds count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FrameUnit {
    /// Rows.
    Rows,
    /// Values of the order; the current row stands for all rows equal to it.
    Range,
    /// Groups of rows that are equal in the order.
    Groups,
}

/// One end of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrameBound {
    /// The partition's first row.
    UnboundedPreceding,
    /// So many rows or groups back.
    Preceding(u64),
    /// The current row, or with RANGE and GROUPS the rows equal to it.
    CurrentRow,
    /// So many rows or groups on.
    Following(u64),
    /// The partition's last row.
    UnboundedFollowing,
    /// With RANGE: at the value that the current row has in a column, of the type of the order's
    /// only column.
    Value(usize),
}

/// What a frame leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FrameExclude {
    /// Nothing.
    NoOthers,
    /// The current row.
    CurrentRow,
    /// The current row and those equal to it.
    Group,
    /// Those equal to the current row, not itself.
    Ties,
}

impl Frame {
    /// The whole partition.
    pub fn whole() -> Self {
        Self {
            unit: FrameUnit::Rows,
            start: FrameBound::UnboundedPreceding,
            end: FrameBound::UnboundedFollowing,
            exclude: FrameExclude::NoOthers,
        }
    }

    /// Whether it begins with the partition, ends with the current row or those equal to it, and
    /// leaves nothing out: as rows come in order, it only grows.
    pub fn is_running(&self) -> bool {
        (&self.start, &self.end) == (&FrameBound::UnboundedPreceding, &FrameBound::CurrentRow)
            && self.exclude == FrameExclude::NoOthers
    }

    /// The columns that its bounds read.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        let value = |bound: &FrameBound| match bound {
            FrameBound::Value(column) => Some(*column),
            FrameBound::UnboundedPreceding
            | FrameBound::Preceding(_)
            | FrameBound::CurrentRow
            | FrameBound::Following(_)
            | FrameBound::UnboundedFollowing => None,
        };
        [value(&self.start), value(&self.end)].into_iter().flatten()
    }
}

impl OverCall {
    /// All columns that it reads.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = self.frame.columns().collect();
        match &self.function {
            OverFunction::Number(_)
            | OverFunction::PercentRank
            | OverFunction::CumeDist
            | OverFunction::Ntile(_) => {}
            OverFunction::Shift { arg, default, .. } => {
                columns.push(*arg);
                columns.extend(default);
            }
            OverFunction::Nth { arg, .. } => columns.push(*arg),
            OverFunction::Aggregate(call) => columns.extend(call.columns()),
        }
        columns
    }

    /// Replaces each column number by what `map` gives for it.
    pub fn map_columns(&mut self, map: impl Fn(usize) -> usize) {
        for bound in [&mut self.frame.start, &mut self.frame.end] {
            if let FrameBound::Value(column) = bound {
                *column = map(*column);
            }
        }
        match &mut self.function {
            OverFunction::Number(_)
            | OverFunction::PercentRank
            | OverFunction::CumeDist
            | OverFunction::Ntile(_) => {}
            OverFunction::Shift { arg, default, .. } => {
                *arg = map(*arg);
                default.iter_mut().for_each(|column| *column = map(*column));
            }
            OverFunction::Nth { arg, .. } => *arg = map(*arg),
            OverFunction::Aggregate(call) => call.map_columns(map),
        }
    }

    /// The call as SQL writes it, without its window; `names` gives the names of columns.
    pub fn text(&self, names: impl Fn(&[usize]) -> String) -> String {
        let nulls = |ignore: bool| if ignore { " IGNORE NULLS" } else { "" };
        match &self.function {
            OverFunction::Number(numbering) => format!("{}()", numbering.name()),
            OverFunction::PercentRank => String::from("PERCENT_RANK()"),
            OverFunction::CumeDist => String::from("CUME_DIST()"),
            OverFunction::Ntile(buckets) => format!("NTILE({buckets})"),
            OverFunction::Shift { arg, by, default, ignore_nulls } => {
                let name = if *by < 0 { "LAG" } else { "LEAD" };
                let default = default.map_or(String::new(), |d| format!(", {}", names(&[d])));
                let (arg, by) = (names(&[*arg]), by.unsigned_abs());
                format!("{name}({arg}, {by}{default}){}", nulls(*ignore_nulls))
            }
            OverFunction::Nth { arg, nth, from_last, ignore_nulls } => {
                let arg = names(&[*arg]);
                let call = match (nth, from_last) {
                    (1, false) => format!("FIRST_VALUE({arg})"),
                    (1, true) => format!("LAST_VALUE({arg})"),
                    (nth, false) => format!("NTH_VALUE({arg}, {nth})"),
                    (nth, true) => format!("NTH_VALUE({arg}, {nth}) FROM LAST"),
                };
                format!("{call}{} {}", nulls(*ignore_nulls), self.frame)
            }
            OverFunction::Aggregate(call) => format!("{} {}", call.text(names), self.frame),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            FrameUnit::Rows => "ROWS",
            FrameUnit::Range => "RANGE",
            FrameUnit::Groups => "GROUPS",
        };
        write!(f, "{unit} {} .. {}", self.start, self.end)?;
        match self.exclude {
            FrameExclude::NoOthers => Ok(()),
            FrameExclude::CurrentRow => f.write_str(" EXCLUDE CURRENT ROW"),
            FrameExclude::Group => f.write_str(" EXCLUDE GROUP"),
            FrameExclude::Ties => f.write_str(" EXCLUDE TIES"),
        }
    }
}

impl fmt::Display for FrameBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameBound::UnboundedPreceding => f.write_str("UNBOUNDED PRECEDING"),
            FrameBound::Preceding(n) => write!(f, "{n} PRECEDING"),
            FrameBound::CurrentRow => f.write_str("CURRENT ROW"),
            FrameBound::Following(n) => write!(f, "{n} FOLLOWING"),
            FrameBound::UnboundedFollowing => f.write_str("UNBOUNDED FOLLOWING"),
            FrameBound::Value(_) => f.write_str("VALUE"),
        }
    }
}

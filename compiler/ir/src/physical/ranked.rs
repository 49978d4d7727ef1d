//! The operators over rows in an order: those that come first, and values computed from the rows
//! around each.

use serde::{Deserialize, Serialize};

use crate::ids::TableId;
use crate::over::OverCall;

/// Which row of a key stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Keep {
    /// The first in the order.
    First,
    /// The first in the order of those that an epoch brings, for good: the clock leads the order,
    /// so that no later epoch brings a row that stands before it.
    Once,
    /// The last in the order.
    Last,
}

impl Keep {
    /// Which row of a key it is, for EXPLAIN.
    pub fn text(self) -> &'static str {
        match self {
            Keep::First => "first",
            Keep::Once => "first, for good,",
            Keep::Last => "last",
        }
    }
}

/// One row per key, of an append-only input. Output: the input. Emits changes; with `Keep::Once`
/// rows that stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deduplicate {
    /// Key columns.
    pub keys: Vec<usize>,
    /// Columns of the order, most significant first, each ascending or descending; ties go by the
    /// key bytes of the whole row.
    pub order: Vec<(usize, Direction)>,
    /// Which row stays.
    pub keep: Keep,
    /// Point: key → row.
    pub rows: TableId,
}

/// How the rows of a partition are numbered, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Numbering {
    /// Each row by one more than the row before it.
    RowNumber,
    /// As RANK: rows that are equal in the order by the row number of the first of them.
    Rank,
    /// As DENSE_RANK: rows that are equal in the order by one more than those before them.
    DenseRank,
}

impl Numbering {
    /// The function's name.
    pub fn name(self) -> &'static str {
        match self {
            Numbering::RowNumber => "ROW_NUMBER",
            Numbering::Rank => "RANK",
            Numbering::DenseRank => "DENSE_RANK",
        }
    }

    /// Which numbers stay, for EXPLAIN.
    pub fn range_text(self, offset: u64, limit: Option<u64>) -> String {
        let name = self.name();
        match (offset, limit) {
            (0, Some(limit)) => format!("{name} <= {limit}"),
            (offset, None) => format!("{name} > {offset}"),
            (offset, Some(limit)) => {
                format!("{name} {} to {}", offset.saturating_add(1), offset.saturating_add(limit))
            }
        }
    }
}

/// The window that a row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RowWindow {
    /// Column of its end, not NULL.
    pub end: usize,
    /// Whether it closes by the epoch's clock instead of the watermark.
    pub by_clock: bool,
}

/// The rows of each partition whose numbers lie in a range. Output: the input, and with `rank` the
/// number (BIGINT). Emits changes, consolidated per epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopN {
    /// Partition columns.
    pub keys: Vec<usize>,
    /// Columns of the order, most significant first; ties go by the key bytes of the whole row.
    pub order: Vec<(usize, Direction)>,
    /// How rows are numbered.
    pub numbering: Numbering,
    /// Rows up to this number are left out.
    pub offset: u64,
    /// So many numbers behind `offset` stay; `None`, only with ROW_NUMBER and without `rank`: all.
    pub limit: Option<u64>,
    /// Whether the number is a column.
    pub rank: bool,
    /// Windows whose bounds are among the keys, of an append-only input: the rows go out when the
    /// window closes, and are not taken back.
    #[serde(default)]
    pub window: Option<RowWindow>,
    /// Ordered: for windows the end (BIGINT), then key, order, row → weight (BIGINT). Of an
    /// append-only input the first rows only.
    pub rows: TableId,
}

/// Gives each row values computed from the rows around it in its partition. Output: the input, and
/// the results. Emits changes, consolidated per epoch; with `time` each row once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Over {
    /// Partition columns.
    pub keys: Vec<usize>,
    /// Columns of the order, most significant first; ties go by the key bytes of the whole row.
    pub order: Vec<(usize, Direction)>,
    /// Rows that agree in so many columns of the order, the first, are equal to the calls.
    pub peers: usize,
    /// The calls.
    pub calls: Vec<OverCall>,
    /// Ordered: key, order, row → weight (BIGINT). With `time`: those of the rows gone by that
    /// later frames need.
    pub rows: TableId,
    /// For an append-only input whose order begins with its event time, ascending.
    pub time: Option<OverTime>,
}

/// How `Over` lets rows wait until the watermark has passed them. Its calls look back only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverTime {
    /// Event time column.
    pub time: usize,
    /// How far back frames reach, microseconds; `None`: by rows, or for ever.
    pub reach: Option<i64>,
    /// Ordered: time (BIGINT), key, order, row → weight (BIGINT): rows that wait.
    pub pending: TableId,
    /// Point: key → number of rows and of groups of equal rows gone by (BIGINT), then for each call
    /// with a running frame its accumulators, or for FIRST_VALUE the value, and whether there is
    /// one (BOOLEAN).
    pub carried: TableId,
    /// Ordered: time of a partition's last row (BIGINT), key → nothing (BIGINT): when its rows in
    /// `rows` are no longer needed.
    pub timers: TableId,
}

/// Ascending or descending, NULL as the largest value unless moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Direction {
    /// Descending.
    pub descending: bool,
    /// NULLS FIRST.
    pub nulls_first: bool,
}

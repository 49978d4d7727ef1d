//! The joins among the operators, and what they give.

use serde::{Deserialize, Serialize};

use super::Changelog;
use crate::ids::TableId;
use crate::kernel::KernelSpec;
use crate::types::{DataType, Field, Type};

/// What a join gives beside its pairs, or instead of them. (A right join is a left one turned
/// round.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JoinKind {
    /// Pairs only.
    Inner,
    /// Pairs, and left rows without a partner, their right columns NULL.
    Left,
    /// Pairs, and the rows of either side without a partner, the other columns NULL.
    Full,
    /// Left rows that have a partner, once each, and no right columns.
    Semi,
    /// Left rows that have none, and no right columns.
    Anti,
}

impl JoinKind {
    /// As it is written in plans.
    pub fn name(self) -> &'static str {
        match self {
            JoinKind::Inner => "inner",
            JoinKind::Left => "left",
            JoinKind::Full => "full",
            JoinKind::Semi => "semi",
            JoinKind::Anti => "anti",
        }
    }

    /// Whether the rows of a side (0 left, 1 right) go out alone where they have no partner.
    pub fn keeps_lonely(self, side: usize) -> bool {
        match self {
            JoinKind::Inner | JoinKind::Semi => false,
            JoinKind::Left | JoinKind::Anti => side == 0,
            JoinKind::Full => true,
        }
    }

    /// Whether it needs to know how many partners the rows of a side (0 left, 1 right) have.
    pub fn counts_partners(self, side: usize) -> bool {
        self.keeps_lonely(side) || (side == 0 && self == JoinKind::Semi)
    }

    /// Whether its output is pairs, and not left rows alone.
    pub fn has_pairs(self) -> bool {
        match self {
            JoinKind::Inner | JoinKind::Left | JoinKind::Full => true,
            JoinKind::Semi | JoinKind::Anti => false,
        }
    }
}

/// Joins two changelogs. Port 0 is left, 1 right. Output: left columns and, unless the kind is
/// semi or anti, right columns. Partners have equal keys and pass the condition; the weight of a
/// pair is the product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// What it gives.
    pub kind: JoinKind,
    /// Positions in the keys where NULL equals NULL; elsewhere it equals nothing.
    #[serde(default)]
    pub nulls_equal: Vec<usize>,
    /// Key columns of the left input.
    pub left_keys: Vec<usize>,
    /// Key columns of the right input, of the same types.
    pub right_keys: Vec<usize>,
    /// Over left and right columns; only its filter counts.
    pub condition: Option<KernelSpec>,
    /// Ordered: key, number of the row → `kept_row`: weight and, unless the kind is inner, the
    /// weight of the right rows that are its partners. Of an append-only input whose partners are
    /// not counted: key, number of the list → `kept_list`.
    pub left: TableId,
    /// Ordered: key, number of the row → `kept_row`: weight and, if the kind is full, likewise. Or
    /// lists, likewise.
    pub right: TableId,
}

impl Join {
    /// The value of a side's table: of an input (0 left, 1 right) of these columns that changes so.
    pub fn kept(kind: JoinKind, side: usize, row: &[Type], changelog: Changelog) -> Vec<Type> {
        match (kind.counts_partners(side), changelog) {
            (false, Changelog::Append) => kept_list(row),
            (false, Changelog::Retract) => kept_row(row, 1),
            (true, Changelog::Append | Changelog::Retract) => kept_row(row, 2),
        }
    }
}

/// The value under which a join keeps several rows of these columns: an ARRAY of ROWs, and their
/// weights; NULL if each is 1.
pub fn kept_list(row: &[Type]) -> Vec<Type> {
    let fields = row.iter().map(|ty| Field::new("", ty.clone())).collect();
    let row = Type::not_null(DataType::Row(fields));
    let array = |of| DataType::Array(Box::new(of));
    let weights = array(Type::not_null(DataType::BigInt));
    vec![Type::not_null(array(row)), Type::nullable(weights)]
}

/// The value under which a join keeps a row of these columns: so many BIGINTs, then a ROW.
pub fn kept_row(row: &[Type], numbers: usize) -> Vec<Type> {
    let fields = row.iter().map(|ty| Field::new("", ty.clone())).collect();
    let mut value = vec![Type::not_null(DataType::BigInt); numbers];
    value.push(Type::not_null(DataType::Row(fields)));
    value
}

/// Joins two append-only inputs of windows: rows with equal keys, which say the window, when that
/// closes. Output as `Join`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowJoin {
    /// What it gives.
    pub kind: JoinKind,
    /// Positions in the keys where NULL equals NULL.
    pub nulls_equal: Vec<usize>,
    /// Key columns of the left input, bounds of its window among them.
    pub left_keys: Vec<usize>,
    /// Key columns of the right input.
    pub right_keys: Vec<usize>,
    /// The end of the left row's window, not NULL.
    pub left_end: usize,
    /// The end of the right row's window, not NULL.
    pub right_end: usize,
    /// Whether windows close by the epoch's clock instead of the watermark.
    pub by_clock: bool,
    /// Over left and right columns; only its filter counts.
    pub condition: Option<KernelSpec>,
    /// Ordered: window end (BIGINT), key, row → weight (BIGINT).
    pub left: TableId,
    /// Ordered: window end (BIGINT), key, row → weight (BIGINT).
    pub right: TableId,
}

/// Joins two append-only streams: pairs with equal keys and
/// left time + lower ≤ right time ≤ left time + upper. Output as `Join`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntervalJoin {
    /// What it gives.
    pub kind: JoinKind,
    /// Positions in the keys where NULL equals NULL.
    #[serde(default)]
    pub nulls_equal: Vec<usize>,
    /// Key columns of the left input.
    pub left_keys: Vec<usize>,
    /// Key columns of the right input.
    pub right_keys: Vec<usize>,
    /// Event time column of the left input, not NULL.
    pub left_time: usize,
    /// Event time column of the right input, not NULL.
    pub right_time: usize,
    /// Microseconds, may be negative.
    pub lower: i64,
    /// Microseconds, at least `lower`.
    pub upper: i64,
    /// Over left and right columns; only its filter counts.
    pub condition: Option<KernelSpec>,
    /// Ordered: span of time, key, time, number of the row → `kept_row`: count, 1 if it is matched.
    /// Or where partners are not counted: span of time, key, number of the list → `kept_list`.
    pub left: TableId,
    /// Ordered: likewise.
    pub right: TableId,
    /// Ordered: expiry (BIGINT), side (INT), time (BIGINT), key → nothing: rows to be looked at
    /// when time passes. Of sides whose rows go out alone; others go with their span of time.
    pub timers: TableId,
}

impl IntervalJoin {
    /// Columns of the values in the table of a side (0 left, 1 right) with rows of these columns.
    pub fn kept(kind: JoinKind, side: usize, row: &[Type]) -> Vec<Type> {
        if kind.counts_partners(side) { kept_row(row, 2) } else { kept_list(row) }
    }
}

/// Joins each left row (port 0, append-only) to the version of the right relation (port 1) valid
/// at the left row's time. Output as `Join`. Emits when the joint watermark passes the left time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemporalJoin {
    /// Inner or left.
    pub kind: JoinKind,
    /// Key columns of the left input.
    pub left_keys: Vec<usize>,
    /// Key columns of the right input: its primary key.
    pub right_keys: Vec<usize>,
    /// Event time column of the left input, not NULL.
    pub left_time: usize,
    /// Version time column of the right input; `None`: one version, valid always.
    pub right_time: Option<usize>,
    /// The `Metadata::Watermark` column of the right input: an older version time is raised to it.
    pub right_watermark: Option<usize>,
    /// The `Metadata::Tombstone` column of the right input.
    pub right_tombstone: Option<usize>,
    /// Over left and right columns; only its filter counts.
    pub condition: Option<KernelSpec>,
    /// Ordered: time (BIGINT), key, row → count (BIGINT): left rows that wait.
    pub pending: TableId,
    /// Ordered: key, version time (BIGINT) → right row, deleted (BOOLEAN).
    pub versions: TableId,
}

/// Joins each left row (port 0) to the rows of the right side (port 1), which is read to its end
/// before anything else. Output as `Join`; its changelog kind is the left side's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookupJoin {
    /// Inner or left.
    pub kind: JoinKind,
    /// Key columns of the left input.
    pub left_keys: Vec<usize>,
    /// Key columns of the right input.
    pub right_keys: Vec<usize>,
    /// Over left and right columns; only its filter counts.
    pub condition: Option<KernelSpec>,
    /// Ordered: key, row → weight (BIGINT).
    pub right: TableId,
}

//! The operators: a closed set, one struct each. An operator's tables, ports and keys are here, in
//! the plan, and are not asked of the running object.
//!
//! Column numbers refer to the operator's input on the port named; output columns are listed with
//! each operator. Every operator that keeps a key gets its input hashed by exactly that key.

use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::joins::{IntervalJoin, Join, LookupJoin, TemporalJoin, WindowJoin};
use super::ranked::{Deduplicate, Over, TopN};

use crate::aggregate::{AggregateCall, WindowSpec};
use crate::decode_plan::DecodeColumn;
use crate::ids::{SiteId, StreamId, TableId};
use crate::kernel::KernelSpec;
use crate::value::Value;

/// What a vertex does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PhysicalOp {
    /// Reads a stream.
    Source(Source),
    /// Filters and projects.
    Map(Map),
    /// Makes rows of the elements of containers.
    Unnest(Unnest),
    /// Drops and counts late rows.
    Late(Late),
    /// Adds a row per window, with the window's bounds.
    WindowExpand(WindowExpand),
    /// Holds rows until their session is over, and adds its bounds.
    SessionWindow(SessionWindow),
    /// Aggregates per group and session; emits when the session is over.
    SessionAggregate(SessionAggregate),
    /// Aggregates within the epoch before an exchange, by group or by group and slice.
    PreAggregate(PreAggregate),
    /// Aggregates per group; emits changes.
    GroupAggregate(GroupAggregate),
    /// Aggregates per group and window; emits when the window closes.
    WindowAggregate(WindowAggregate),
    /// Joins the rows of windows that are the same, when they close.
    WindowJoin(WindowJoin),
    /// Joins two changelogs for ever.
    Join(Join),
    /// Joins two streams within a distance of event time.
    IntervalJoin(IntervalJoin),
    /// Joins each left row to the version of a table that was valid at its time.
    TemporalJoin(TemporalJoin),
    /// Joins each left row to the rows of a relation that is read before all else.
    LookupJoin(LookupJoin),
    /// Keeps the first or the last row per key.
    Deduplicate(Deduplicate),
    /// Keeps the first rows of each partition.
    TopN(TopN),
    /// Gives each row values computed from the rows around it.
    Over(Over),
    /// Turns a keyed changelog (last row per key, tombstones) into −old/+new.
    Normalize(Normalize),
    /// Keeps rows for readers.
    Materialize(Materialize),
    /// Passes on the rows of all its inputs.
    Union(Union),
    /// Writes a stream.
    Sink(Sink),
}

/// Reads a stream. Output: the columns, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// What it reads.
    pub stream: StreamId,
    /// The columns to decode. Hidden ones (`Metadata::Watermark`, …) are among them where needed.
    pub columns: Vec<DecodeColumn>,
    /// Over `columns`, one nullable output of a timestamp type: what the watermark rises to with
    /// the row. `None`: the stream has no event time.
    pub watermark: Option<KernelSpec>,
    /// Of a view: the rows in any of these ranges; none given: all rows. What reads the rows
    /// filters them again.
    pub ranges: Vec<KeyRange>,
    /// Of a stream: no record dated before this is wanted, microseconds since 1970. What reads the
    /// rows filters them again.
    #[serde(default)]
    pub since: Option<i64>,
}

/// The rows of a view that lie together in one of its orders: its key's, or an index's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyRange {
    /// The index; `None`: the key.
    pub index: Option<String>,
    /// Values of the first columns of the order; NULL is a value like another.
    pub equal: Vec<Value>,
    /// Where the next column's values begin, none NULL.
    pub from: Bound<Value>,
    /// Where they end.
    pub to: Bound<Value>,
}

/// Filters and projects. Output: the kernel's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// The work.
    pub kernel: KernelSpec,
}

/// Makes a row of each element of the containers of a row; several go side by side, the shorter
/// ones filled up with NULL. Output: the input, then for each ARRAY its element and for each MAP
/// its key and value, then perhaps the position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unnest {
    /// ARRAY and MAP columns.
    pub columns: Vec<usize>,
    /// Whether the position is a column: BIGINT, from 1.
    pub ordinality: bool,
    /// Whether a row without elements stays, once, with NULLs.
    pub outer: bool,
}

/// Drops rows that are late, counts them for their stream, and routes their source records to the
/// stream's late topic. Stands in a source's pipeline, before any exchange. Output: the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// The stream whose records these are.
    pub stream: StreamId,
    /// Event time column. A NULL goes by the error policy.
    pub time: usize,
    /// The `Metadata::Watermark` column.
    pub watermark: usize,
    /// The `Metadata::BatchPosition` column.
    pub position: usize,
    /// When a row is late.
    pub rule: LateRule,
    /// Where a NULL time is reported.
    pub site: Option<SiteId>,
}

/// When a row with time `ts` is late under its partition's watermark `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LateRule {
    /// Late for all its windows: their last end + lateness ≤ w.
    Windows {
        /// The windows.
        window: WindowSpec,
        /// `allowed.lateness` in microseconds.
        lateness: i64,
    },
    /// ts + lateness < w.
    Sessions {
        /// `allowed.lateness` in microseconds.
        lateness: i64,
    },
    /// Of rows that may be taken back: one that comes as in `Sessions`, one that goes while its own
    /// gap lasts, ts + gap + lateness < w.
    SessionChanges {
        /// The sessions' gap in microseconds.
        gap: i64,
        /// `allowed.lateness` in microseconds.
        lateness: i64,
    },
    /// ts < w.
    Rows,
}

impl LateRule {
    /// The rule for rows that are taken back.
    pub fn of_what_goes(self) -> LateRule {
        match self {
            LateRule::SessionChanges { gap, lateness } => {
                LateRule::Sessions { lateness: gap.saturating_add(lateness) }
            }
            LateRule::Windows { .. } | LateRule::Sessions { .. } | LateRule::Rows => self,
        }
    }
}

/// Where a window operator finds a row's windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WindowInput {
    /// From its event time. The windows with end + lateness > the `Metadata::Watermark` column;
    /// all of them where there is no such column.
    Time {
        /// Event time column, not NULL.
        time: usize,
        /// The watermark column.
        watermark: Option<usize>,
        /// How time is cut.
        window: WindowSpec,
    },
    /// The row says it: columns of window start and end that an earlier window operator made.
    Carried {
        /// Start column.
        start: usize,
        /// End column.
        end: usize,
    },
}

/// Adds a row per window. Output: the input, window_start, window_end (TIMESTAMP as the time
/// column's type), window_time (the last instant inside: end − 1 ms).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowExpand {
    /// Event time column. A NULL goes by the error policy.
    pub time: usize,
    /// The watermark column, as in `WindowInput::Time`.
    pub watermark: Option<usize>,
    /// How time is cut.
    pub window: WindowSpec,
    /// `allowed.lateness` in microseconds.
    pub lateness: i64,
    /// Where a NULL time is reported.
    pub site: Option<SiteId>,
}

/// Gives each row the bounds of its session, once that is over. A row is with another of its key
/// in a session if at most `gap` lies between them, or both are with a third; the session is
/// `[first time, last time + gap)`. Output: as `WindowExpand`. Rows that are taken back are
/// no longer in their session, which stays as long as it was. With allowed lateness, rows that
/// still come take back what went out of their session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionWindow {
    /// Key columns.
    pub keys: Vec<usize>,
    /// Time column. A NULL goes by the error policy.
    pub time: usize,
    /// Time without rows after which a session is over, microseconds.
    pub gap: i64,
    /// `allowed.lateness` in microseconds: > 0 makes the output retract.
    pub lateness: i64,
    /// Whether sessions end by the epoch's clock instead of the watermark.
    pub by_clock: bool,
    /// Where a NULL time is reported.
    pub site: Option<SiteId>,
    /// Ordered: key, start (BIGINT) → end (BIGINT), whether its rows are out (BOOLEAN).
    pub sessions: TableId,
    /// Ordered: key, time (BIGINT), row → weight (BIGINT).
    pub rows: TableId,
    /// Ordered: time (BIGINT), key → nothing: what to look at when time passes.
    pub timers: TableId,
}

/// Aggregates per group and session, of an append-only input, without keeping its rows: aggregates
/// that need no values. Output: the keys, the results, window_start, window_end (of the time
/// column's type). With allowed lateness, rows that still come take results back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionAggregate {
    /// Group key columns: sessions are of these.
    pub keys: Vec<usize>,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// Time column. A NULL goes by the error policy.
    pub time: usize,
    /// Time without rows after which a session is over, microseconds.
    pub gap: i64,
    /// `allowed.lateness` in microseconds: > 0 makes the output retract.
    pub lateness: i64,
    /// Whether sessions end by the epoch's clock instead of the watermark.
    pub by_clock: bool,
    /// Where a NULL time is reported.
    pub site: Option<SiteId>,
    /// Ordered: key, start (BIGINT) → end (BIGINT), whether its result is out (BOOLEAN),
    /// accumulators, count of rows (BIGINT).
    pub sessions: TableId,
    /// Ordered: time (BIGINT), key → nothing: what to look at when time passes.
    pub timers: TableId,
}

/// Aggregates within the epoch, before the exchange. Output: the keys; for a window, then slice
/// end (BIGINT: for `Carried` the window's end) and first open end (BIGINT: the first window end
/// that the rows may go into; for `Carried` the window's start); then the accumulator columns of
/// all aggregates in order (`stdlib::aggregates::state_types`); then `$rows` (BIGINT NULL), the net
/// number of rows (those that FILTER leaves out too), and `$values` (BYTES NULL): values of those
/// aggregates that need every value (DISTINCT, MIN/MAX that retracts, ARRAY_AGG), as bytes that
/// order as the call orders its rows, with their net weights. A group that has many values gives
/// them in several rows, the accumulators in the first one. Rows have weight +1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreAggregate {
    /// Group key columns.
    pub keys: Vec<usize>,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// Windows, or none.
    pub window: Option<WindowInput>,
    /// `allowed.lateness` in microseconds.
    pub lateness: i64,
}

/// Aggregates per group from the rows of a `PreAggregate`. Output: the keys, the results. A
/// group whose rows are all taken back goes; without keys there is one group, always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupAggregate {
    /// Number of key columns, the first of the input.
    pub keys: usize,
    /// The aggregates; their column numbers refer to the `PreAggregate`'s input.
    pub calls: Vec<AggregateCall>,
    /// Point: key → accumulators, and the count of rows (BIGINT) last.
    pub groups: TableId,
    /// Ordered: key, call (INT), value bytes → weight (BIGINT). Present iff a call needs its values
    /// in order.
    pub values: Option<TableId>,
    /// Point, by the group's key group: key, set of calls (INT), value bytes → what the filters
    /// let through (BIGINT …). Present iff a call is DISTINCT.
    pub distinct: Option<TableId>,
}

/// Aggregates per group and window from the rows of a `PreAggregate`. Output: the keys, the
/// results, window_start, window_end (of the time column's type).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowAggregate {
    /// Number of key columns, the first of the input.
    pub keys: usize,
    /// The aggregates; their column numbers refer to the `PreAggregate`'s input.
    pub calls: Vec<AggregateCall>,
    /// How time is cut; for `Carried` inputs `None`: the row says start and end.
    pub window: Option<WindowSpec>,
    /// `allowed.lateness` in microseconds: > 0 makes the output retract.
    pub lateness: i64,
    /// Whether changes go out in each epoch, and not only when the window closes: the output
    /// retracts.
    #[serde(default)]
    pub emits_changes: bool,
    /// Whether windows close by the epoch's clock instead of the watermark.
    #[serde(default)]
    pub by_clock: bool,
    /// Windowed: key → accumulators, window start (BIGINT), count of rows (BIGINT) last.
    pub groups: TableId,
    /// Ordered: window end (BIGINT), key, call (INT), value bytes → weight (BIGINT).
    pub values: Option<TableId>,
    /// Windowed, by the group's key group: key, set of calls (INT), value bytes → what the filters
    /// let through (BIGINT …).
    pub distinct: Option<TableId>,
}

/// Turns a keyed changelog into −old/+new. Output: the input without the tombstone column's
/// meaning (always FALSE). A tombstone for an unknown key is nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// Primary key columns.
    pub keys: Vec<usize>,
    /// The `Metadata::Tombstone` column.
    pub tombstone: usize,
    /// Where records count equal rows, the column that says how often theirs is there (BIGINT).
    /// `keys` are then the first columns, in order, and what a record changes is the row's weight.
    #[serde(default)]
    pub weight: Option<usize>,
    /// Where each record's change goes out by itself, the column of the watermark before the record
    /// (a timestamp or BIGINT): also the row that is taken back says that of the record that does.
    #[serde(default)]
    pub watermark: Option<usize>,
    /// Point: key → row; where rows are counted key → weight (BIGINT).
    pub rows: TableId,
}

/// Keeps a relation's rows in the order of some columns, for the readers of a view. Output: the
/// input's net changes of each epoch, rows taken back first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Materialize {
    /// Columns of the order. They hold a unique key of the input, or are all of its columns.
    pub keys: Vec<usize>,
    /// So many of `keys`, the first, say on which worker a row lies.
    pub hashed: usize,
    /// Whether equal rows are counted: `keys` are then all columns, each once.
    pub counted: bool,
    /// Ordered: key → row; where rows are counted key → weight (BIGINT).
    pub rows: TableId,
}

/// Passes on the rows of all its inputs, which have the same column types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Union {
    /// Number of inputs.
    pub inputs: u8,
}

/// Writes a stream. Input columns are the stream's, in order; no output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sink {
    /// What it writes.
    pub stream: StreamId,
    /// How changes become records.
    pub mode: SinkMode,
    /// Columns of the record key (key.fields or the primary key); empty: no key.
    pub keys: Vec<usize>,
}

/// How a changelog becomes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SinkMode {
    /// Every row is a record; the input is append-only.
    Append,
    /// Per key and epoch at most one record: the new row, or a tombstone. `keys` is a unique key
    /// of the input.
    Upsert,
    /// Deletes before inserts, as debezium-json envelopes.
    Changes,
}

impl PhysicalOp {
    /// The tables it owns, with the roles they have in `TableSpec`.
    pub fn tables(&self) -> Vec<TableId> {
        match self {
            PhysicalOp::Source(_)
            | PhysicalOp::Map(_)
            | PhysicalOp::Unnest(_)
            | PhysicalOp::Late(_)
            | PhysicalOp::WindowExpand(_)
            | PhysicalOp::PreAggregate(_)
            | PhysicalOp::Union(_)
            | PhysicalOp::Sink(_) => Vec::new(),
            PhysicalOp::SessionWindow(op) => vec![op.sessions, op.rows, op.timers],
            PhysicalOp::SessionAggregate(op) => vec![op.sessions, op.timers],
            PhysicalOp::GroupAggregate(op) => {
                std::iter::once(op.groups).chain(op.values).chain(op.distinct).collect()
            }
            PhysicalOp::WindowAggregate(op) => {
                std::iter::once(op.groups).chain(op.values).chain(op.distinct).collect()
            }
            PhysicalOp::WindowJoin(op) => vec![op.left, op.right],
            PhysicalOp::Join(op) => vec![op.left, op.right],
            PhysicalOp::IntervalJoin(op) => vec![op.left, op.right, op.timers],
            PhysicalOp::TemporalJoin(op) => vec![op.pending, op.versions],
            PhysicalOp::LookupJoin(op) => vec![op.right],
            PhysicalOp::Deduplicate(op) => vec![op.rows],
            PhysicalOp::TopN(op) => vec![op.rows],
            PhysicalOp::Over(op) => {
                let time = op.time.iter().flat_map(|t| [t.pending, t.carried, t.timers]);
                std::iter::once(op.rows).chain(time).collect()
            }
            PhysicalOp::Normalize(op) => vec![op.rows],
            PhysicalOp::Materialize(op) => vec![op.rows],
        }
    }

    /// Whether it goes by the epoch's clock instead of the watermark.
    pub fn goes_by_clock(&self) -> bool {
        match self {
            PhysicalOp::SessionWindow(op) => op.by_clock,
            PhysicalOp::SessionAggregate(op) => op.by_clock,
            PhysicalOp::WindowAggregate(op) => op.by_clock,
            PhysicalOp::WindowJoin(op) => op.by_clock,
            PhysicalOp::TopN(op) => op.window.is_some_and(|window| window.by_clock),
            PhysicalOp::Source(_)
            | PhysicalOp::Map(_)
            | PhysicalOp::Unnest(_)
            | PhysicalOp::Late(_)
            | PhysicalOp::WindowExpand(_)
            | PhysicalOp::PreAggregate(_)
            | PhysicalOp::GroupAggregate(_)
            | PhysicalOp::Join(_)
            | PhysicalOp::IntervalJoin(_)
            | PhysicalOp::TemporalJoin(_)
            | PhysicalOp::LookupJoin(_)
            | PhysicalOp::Deduplicate(_)
            | PhysicalOp::Over(_)
            | PhysicalOp::Normalize(_)
            | PhysicalOp::Materialize(_)
            | PhysicalOp::Union(_)
            | PhysicalOp::Sink(_) => false,
        }
    }

    /// The name of the operator's kind.
    pub fn kind(&self) -> &'static str {
        match self {
            PhysicalOp::Source(_) => "Source",
            PhysicalOp::Map(_) => "Map",
            PhysicalOp::Unnest(_) => "Unnest",
            PhysicalOp::Late(_) => "Late",
            PhysicalOp::WindowExpand(_) => "WindowExpand",
            PhysicalOp::SessionWindow(_) => "SessionWindow",
            PhysicalOp::SessionAggregate(_) => "SessionAggregate",
            PhysicalOp::PreAggregate(_) => "PreAggregate",
            PhysicalOp::GroupAggregate(_) => "GroupAggregate",
            PhysicalOp::WindowAggregate(_) => "WindowAggregate",
            PhysicalOp::WindowJoin(_) => "WindowJoin",
            PhysicalOp::Join(_) => "Join",
            PhysicalOp::IntervalJoin(_) => "IntervalJoin",
            PhysicalOp::TemporalJoin(_) => "TemporalJoin",
            PhysicalOp::LookupJoin(_) => "LookupJoin",
            PhysicalOp::Deduplicate(_) => "Deduplicate",
            PhysicalOp::TopN(_) => "TopN",
            PhysicalOp::Over(_) => "Over",
            PhysicalOp::Normalize(_) => "Normalize",
            PhysicalOp::Materialize(_) => "Materialize",
            PhysicalOp::Union(_) => "Union",
            PhysicalOp::Sink(_) => "Sink",
        }
    }
}

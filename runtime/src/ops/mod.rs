//! Operators: what a vertex of the job graph does to batches. Synchronous, single-threaded, no I/O,
//! no time of their own; what must survive an epoch is in a table, anything else is a cache.
//!
//! In an epoch a worker calls, in this order:
//!
//! ```text
//! on_batch*  ──all inputs have ended──>  on_watermark  ──>  on_epoch_end
//! ```
//!
//! `on_watermark` comes once an epoch, also when the watermark has not moved. What an operator
//! emits goes on before its next call, and before its watermark goes on.
//!
//! The law: however the same input is cut into batches and epochs, and on however many workers, the
//! net changelog is the same (`tests`).

mod accumulate;
mod aggregation;
mod by_key;
mod changes;
mod deduplicate;
mod first_rows;
mod group_aggregate;
mod groups;
mod interval_join;
mod join;
mod kept;
mod kept_lists;
mod late;
mod lookup_join;
mod map;
mod materialize;
mod normalize;
mod over;
mod over_calls;
mod over_frame;
mod over_near;
mod over_reach;
mod over_running;
mod over_time;
mod pairs;
mod pre_aggregate;
mod session_aggregate;
mod session_window;
mod sessions;
mod sorted;
mod temporal_join;
mod top_n;
mod union;
mod unnest;
mod value_list;
mod window_aggregate;
mod window_expand;
mod window_join;
mod window_top_n;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use flow_ir::ids::{SiteId, StreamId, TableId, VertexId};
use flow_ir::kernel::{ErrorBuffer, ErrorCode, KernelCx, KernelFactory, RowError};
use flow_ir::physical::{JobGraph, PhysicalOp, TableKind, Vertex};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout, RowRef};
use flow_ir::types::{DataType, Type};
use thiserror::Error;

pub(crate) use deduplicate::Order;
use window_expand::WINDOW_TIME_MICROS;

use crate::error::{Result, RuntimeError};
use crate::state::{StateError, StateStore};

/// An operator cannot go on; the epoch fails.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpError {
    /// Its state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// It makes more rows than it may.
    #[error("more rows than it may make")]
    TooMuch,
    /// Something that cannot happen: a bug.
    #[error("{0}")]
    Internal(&'static str),
}

/// What a vertex does to batches.
pub trait Operator: Send {
    /// Takes rows from an input.
    ///
    /// # Errors
    /// If the epoch must fail. Rows that fail are reported (`OpCx::reports`), and are no error.
    fn on_batch(&mut self, port: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError>;

    /// All inputs of the epoch are here, and no row older than `mark` will come: the minimum over
    /// the inputs' watermarks, `i64::MIN` for none yet, `i64::MAX` when all inputs have ended.
    ///
    /// # Errors
    /// If the epoch must fail.
    fn on_watermark(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let _ = (mark, cx);
        Ok(())
    }

    /// The epoch is over: what is to be emitted once an epoch goes out now.
    ///
    /// # Errors
    /// If the epoch must fail.
    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let _ = cx;
        Ok(())
    }

    /// The watermark that goes on when `mark` has come in: held back by as much as later output may
    /// be older than later input.
    fn watermark_out(&self, mark: i64) -> i64 {
        mark
    }
}

/// What an operator works with, besides its input.
#[derive(Debug)]
pub struct OpCx<'a> {
    /// The worker's tables.
    pub state: &'a mut StateStore,
    /// Takes output rows.
    pub emit: &'a mut BatchBuilder,
    /// The epoch's clock and what happens to rows that fail.
    pub kernel: KernelCx,
    /// The watermark that the operator got in the epoch before, also if that was before a restart;
    /// `i64::MIN` if there was none.
    pub mark: i64,
    /// The key groups that the worker owns, ascending.
    pub groups: &'a [u8],
    /// Bytes of rows that it may emit at once, and keep for itself until the epoch's end.
    pub limit_bytes: usize,
    /// What does not stop the operator.
    pub reports: &'a mut Reports,
}

impl OpCx<'_> {
    /// To be asked where a few rows can make very many.
    ///
    /// # Errors
    /// If more was emitted, or is `kept` by the operator itself, than may be: bytes.
    pub fn refuse_too_much(&self, kept: usize) -> std::result::Result<(), OpError> {
        match self.emit.is_over() || kept > self.limit_bytes {
            true => Err(OpError::TooMuch),
            false => Ok(()),
        }
    }
}

/// What operators noted; the worker empties it after each call and applies the error policy.
#[derive(Debug, Default)]
pub struct Reports {
    /// Whether failures keep their rows: for dead letters and messages.
    pub keep_rows: bool,
    /// Rows for which an expression failed.
    pub failures: Vec<Failure>,
    /// Rows that were left out as late.
    pub late: Vec<LateRow>,
}

/// A row for which an expression failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What happened; its row number is that in the batch of the call.
    pub error: RowError,
    /// The row alone, with its weight, if rows are kept.
    pub row: Option<RowBatch>,
}

/// A late row of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LateRow {
    /// Its stream.
    pub stream: StreamId,
    /// The record's position in the batch that the source read.
    pub position: i64,
}

impl Reports {
    /// Notes all failures of a call over `rows`, and empties the buffer.
    pub fn take_failures(&mut self, rows: &RowBatch, bad: &mut ErrorBuffer) {
        for error in bad.errors.drain(..) {
            let index = error.row as usize;
            let weight = rows.weight(index);
            self.fail(rows.layout(), rows.row(index), weight, error);
        }
    }

    /// Notes a failure of one row.
    pub fn fail(&mut self, layout: &Arc<RowLayout>, row: RowRef<'_>, weight: i64, error: RowError) {
        let row = self.keep_rows.then(|| {
            let mut alone = BatchBuilder::new(layout.clone());
            alone.push_row(row, weight);
            alone.take()
        });
        self.failures.push(Failure { error, row });
    }

    /// Notes that a row of a batch has no event time.
    fn without_time(&mut self, rows: &RowBatch, index: usize, site: Option<SiteId>) {
        let (code, detail) = (ErrorCode::UnexpectedNull, Some("event time".into()));
        let error = RowError { row: 0, site, code, detail };
        self.fail(rows.layout(), rows.row(index), rows.weight(index), error);
    }
}

/// Makes the operator of a vertex. Checks what the operator relies on, since graphs come as bytes.
///
/// # Errors
/// If the vertex is a source or sink, which the worker drives itself, or does not fit its inputs
/// and tables.
pub fn instantiate(
    graph: &JobGraph,
    vertex: VertexId,
    factory: &dyn KernelFactory,
) -> Result<Box<dyn Operator>> {
    let plan = Plan::of(graph, vertex, factory)?;
    let made: Result<Box<dyn Operator>, String> = match &plan.vertex.op {
        PhysicalOp::Source(_) | PhysicalOp::Sink(_) => {
            Err("is driven by the worker, not by an operator".into())
        }
        PhysicalOp::Map(op) => map::MapOp::new(op, &plan).map(boxed),
        PhysicalOp::Unnest(op) => unnest::UnnestOp::new(op, &plan).map(boxed),
        PhysicalOp::Late(op) => late::LateOp::new(op, &plan).map(boxed),
        PhysicalOp::WindowExpand(op) => window_expand::WindowExpandOp::new(op, &plan).map(boxed),
        PhysicalOp::SessionWindow(op) => session_window::SessionWindowOp::new(op, &plan).map(boxed),
        PhysicalOp::SessionAggregate(op) => {
            session_aggregate::SessionAggregateOp::new(op, &plan).map(boxed)
        }
        PhysicalOp::PreAggregate(op) => pre_aggregate::PreAggregateOp::new(op, &plan).map(boxed),
        PhysicalOp::GroupAggregate(op) => {
            group_aggregate::GroupAggregateOp::new(op, &plan).map(boxed)
        }
        PhysicalOp::WindowAggregate(op) => {
            window_aggregate::WindowAggregateOp::new(op, &plan).map(boxed)
        }
        PhysicalOp::WindowJoin(op) => window_join::WindowJoinOp::new(op, &plan).map(boxed),
        PhysicalOp::Join(op) => join::JoinOp::new(op, &plan).map(boxed),
        PhysicalOp::IntervalJoin(op) => interval_join::IntervalJoinOp::new(op, &plan).map(boxed),
        PhysicalOp::TemporalJoin(op) => temporal_join::TemporalJoinOp::new(op, &plan).map(boxed),
        PhysicalOp::LookupJoin(op) => lookup_join::LookupJoinOp::new(op, &plan).map(boxed),
        PhysicalOp::Deduplicate(op) => deduplicate::DeduplicateOp::new(op, &plan).map(boxed),
        PhysicalOp::TopN(op) if op.window.is_some() => {
            window_top_n::WindowTopNOp::new(op, &plan).map(boxed)
        }
        PhysicalOp::TopN(op) => top_n::TopNOp::new(op, &plan).map(boxed),
        PhysicalOp::Over(op) => match &op.time {
            Some(time) => over_time::OverTimeOp::new(op, time, &plan).map(boxed),
            None => over::OverOp::new(op, &plan).map(boxed),
        },
        PhysicalOp::Normalize(op) => normalize::NormalizeOp::new(op, &plan).map(boxed),
        PhysicalOp::Materialize(op) => materialize::MaterializeOp::new(op, &plan).map(boxed),
        PhysicalOp::Union(_) => Ok(boxed(union::UnionOp)),
    };
    made.map_err(|why| {
        let Vertex { name, op, .. } = plan.vertex;
        RuntimeError::internal(format!("operator {name} ({}): {why}", op.kind()))
    })
}

fn boxed(operator: impl Operator + 'static) -> Box<dyn Operator> {
    Box::new(operator)
}

/// What operators are made from.
struct Plan<'a> {
    graph: &'a JobGraph,
    id: VertexId,
    vertex: &'a Vertex,
    /// The vertices that its ports read.
    inputs: Vec<&'a Vertex>,
    factory: &'a dyn KernelFactory,
}

impl<'a> Plan<'a> {
    fn of(graph: &'a JobGraph, id: VertexId, factory: &'a dyn KernelFactory) -> Result<Self> {
        let outside = || RuntimeError::internal("a vertex is missing from the job graph");
        let vertex = graph.vertices.get(id.index()).ok_or_else(outside)?;
        let inputs = graph
            .inputs(id)
            .into_iter()
            .map(|edge| graph.vertices.get(edge.from.index()).ok_or_else(outside))
            .collect::<Result<_>>()?;
        Ok(Self { graph, id, vertex, inputs, factory })
    }

    /// Column types of an input.
    fn input(&self, port: usize) -> Result<Vec<Type>, String> {
        let input = self.inputs.get(port).ok_or_else(|| format!("input {port} is missing"))?;
        Ok(types(input))
    }

    /// Column types of the output.
    fn output(&self) -> Vec<Type> {
        types(self.vertex)
    }

    /// Checks that a table is of this kind, with values of these types.
    fn table(&self, id: TableId, kind: TableKind, value: &[DataType]) -> Result<TableId, String> {
        let spec = self.graph.tables.get(id.index()).ok_or("a table is missing")?;
        let fits = spec.owner == self.id
            && spec.kind == kind
            && spec.value.iter().map(|ty| &ty.data).eq(value);
        if fits { Ok(id) } else { Err(format!("table {} is not what it needs", spec.role)) }
    }
}

fn types(vertex: &Vertex) -> Vec<Type> {
    vertex.columns.iter().map(|column| column.ty.clone()).collect()
}

/// How far time has gone on for an operator whose windows close by the watermark, or by the epoch's
/// clock. When all inputs have ended no time is left.
fn time_of(by_clock: bool, mark: i64, cx: &OpCx<'_>) -> i64 {
    if by_clock && mark != i64::MAX { cx.kernel.clock } else { mark }
}

/// The watermark behind an operator whose rows come when their window is over, or later: their
/// `window_time` lies a millisecond before the window's end, which is above `mark`.
fn behind_windows(mark: i64, whole_millis: bool) -> i64 {
    match mark {
        i64::MIN | i64::MAX => mark,
        _ if whole_millis => mark.saturating_sub(mark.rem_euclid(WINDOW_TIME_MICROS)),
        _ => mark.saturating_sub(WINDOW_TIME_MICROS - 1),
    }
}

/// Whether times of a type lie on milliseconds.
fn whole_millis(ty: &Type) -> bool {
    matches!(
        ty.data,
        DataType::Timestamp { precision: ..=3 } | DataType::TimestampLtz { precision: ..=3 }
    )
}

/// Types without nullability: what decides how a row lies.
fn data(types: &[Type]) -> Vec<DataType> {
    types.iter().map(|ty| ty.data.clone()).collect()
}

/// Checks that columns are among `types`.
fn columns_of(columns: &[usize], types: &[Type]) -> Result<(), String> {
    match columns.iter().all(|column| *column < types.len()) {
        true => Ok(()),
        false => Err("a column number is out of range".into()),
    }
}

/// Checks that columns lie in one word, as times, booleans and counts do.
fn words_of(columns: &[usize], types: &[Type]) -> Result<(), String> {
    columns_of(columns, types)?;
    let word = |column: &usize| types[*column].slot() == flow_ir::types::Slot::Word;
    if columns.iter().all(word) { Ok(()) } else { Err("a time is not a number".into()) }
}

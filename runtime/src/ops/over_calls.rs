//! The values that the calls of OVER give to the rows of a partition. What a frame holds is carried
//! from row to row: frames move forward only, so that every row enters and leaves once.

use std::ops::Range;
use std::sync::Arc;

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::over::{Frame, OverCall, OverFunction};
use flow_ir::physical::{Direction, Numbering};
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout};
use flow_ir::types::Type;
use flow_stdlib::aggregates::Evaluator;

use super::over_frame::{Framed, Frames, Partition};
use super::over_reach::{Extent, Reach};
use super::over_running::{Running, Slot as CarriedSlot};
use super::{OpError, columns_of};

/// The calls of an operator.
pub(super) struct Calls {
    calls: Vec<Call>,
}

struct Call {
    function: Function,
    frames: Frames,
    values: BatchBuilder,
}

enum Function {
    Number(Numbering),
    PercentRank,
    CumeDist,
    Ntile(usize),
    Shift(Shift),
    Nth(Nth),
    Aggregate(Box<Evaluator>),
    /// With a running frame, over rows that pass once: its state is kept.
    Running(Running),
}

struct Shift {
    arg: Column,
    by: i64,
    default: Option<Column>,
    ignore_nulls: bool,
}

struct Nth {
    arg: Column,
    nth: usize,
    from_last: bool,
    ignore_nulls: bool,
}

/// What the calls gave.
pub(super) struct Values {
    /// By call: a value a row.
    columns: Vec<RowBatch>,
    /// Rows and what failed in them, by call and then row.
    failures: Vec<(usize, ErrorCode)>,
}

/// What went by before the rows that are looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gone {
    /// Rows.
    pub(super) rows: i64,
    /// Groups of equal rows.
    pub(super) groups: i64,
}

impl Calls {
    /// Calls over rows of these types. With `passing`, running frames keep their state in columns
    /// from `first_state` on.
    pub(super) fn new(
        calls: &[OverCall],
        types: &[Type],
        order: &[(usize, Direction)],
        passing: Option<usize>,
    ) -> Result<Self, String> {
        let layout = RowLayout::new(types.to_vec());
        let mut first_state = passing;
        let call = |call: &OverCall| {
            columns_of(&call.columns(), types)?;
            let carried = first_state.filter(|_| Running::is_one(call, types));
            let function = match carried {
                Some(first) => {
                    let running = Running::new(call, &layout, types, first)?;
                    first_state = Some(first + running.state_types().len());
                    Function::Running(running)
                }
                None => Function::new(call, &layout, types)?,
            };
            Ok(Call {
                function,
                frames: Frames::new(&call.frame, &layout, types, order)?,
                values: BatchBuilder::new(Arc::new(RowLayout::new(vec![call.ty.clone()]))),
            })
        };
        Ok(Self { calls: calls.iter().map(call).collect::<Result<_, String>>()? })
    }

    /// The states of all running frames.
    pub(super) fn state_types(&self) -> Vec<Type> {
        let running = self.calls.iter().filter_map(|call| match &call.function {
            Function::Running(running) => Some(running.state_types()),
            _ => None,
        });
        running.flatten().collect()
    }

    /// Whether anything is to be known of the rows gone by, beside those that frames hold.
    pub(super) fn is_carrying(&self) -> bool {
        let carries =
            |call: &Call| matches!(call.function, Function::Number(_) | Function::Running(_));
        self.calls.iter().any(carries)
    }

    /// What the values of a row depend on.
    pub(super) fn reach(&self) -> Reach {
        self.calls.iter().map(Call::reach).fold(Reach::default(), Reach::or)
    }

    /// The frames of all calls.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Frames> {
        self.calls.iter().map(|call| &call.frames)
    }

    /// The values of these rows; the rows before them are among the `gone`, there for frames that
    /// hold them.
    pub(super) fn evaluate(
        &mut self,
        partition: &Partition<'_>,
        rows: Range<usize>,
        gone: Gone,
        mut carried: Option<CarriedSlot<'_>>,
    ) -> Result<Values, OpError> {
        let mut values = Values { columns: Vec::new(), failures: Vec::new() };
        for call in &mut self.calls {
            let mut failures = Vec::new();
            call.evaluate(partition, rows.clone(), gone, carried.as_mut(), &mut failures)?;
            values.columns.push(call.values.take());
            values.failures.append(&mut failures);
        }
        Ok(values)
    }

    /// The first row that the frames of rows behind all these can hold.
    pub(super) fn first_needed(&self, partition: &Partition<'_>) -> usize {
        let needed = self.calls.iter().map(|call| call.first_needed(partition));
        needed.min().unwrap_or(partition.len())
    }
}

impl Function {
    fn new(call: &OverCall, layout: &RowLayout, types: &[Type]) -> Result<Self, String> {
        let column = |at: &usize| layout.column(*at);
        let fits = |at: &usize| types[*at].data == call.ty.data;
        let function = match &call.function {
            OverFunction::Number(numbering) => Function::Number(*numbering),
            OverFunction::PercentRank => Function::PercentRank,
            OverFunction::CumeDist => Function::CumeDist,
            OverFunction::Ntile(buckets) => {
                Function::Ntile(usize::try_from(*buckets).unwrap_or(usize::MAX).max(1))
            }
            OverFunction::Shift { arg, by, default, ignore_nulls } => {
                if !fits(arg) || !default.iter().all(fits) {
                    return Err("a value is of another type than the result".into());
                }
                let (by, ignore_nulls) = (*by, *ignore_nulls);
                let default = default.as_ref().map(column);
                Function::Shift(Shift { arg: column(arg), by, default, ignore_nulls })
            }
            OverFunction::Nth { arg, nth, from_last, ignore_nulls } => {
                if !fits(arg) || *nth == 0 {
                    return Err("a value is of another type than the result".into());
                }
                Function::Nth(Nth {
                    arg: column(arg),
                    nth: usize::try_from(*nth).unwrap_or(usize::MAX),
                    from_last: *from_last,
                    ignore_nulls: *ignore_nulls,
                })
            }
            OverFunction::Aggregate(aggregate) => {
                let aggregate = framed_call(aggregate, &call.frame);
                Function::Aggregate(Box::new(Evaluator::new(&[aggregate], layout)?))
            }
        };
        Ok(function)
    }
}

/// The call as it is evaluated: rows leave a frame that does not begin with the partition.
fn framed_call(call: &AggregateCall, frame: &Frame) -> AggregateCall {
    AggregateCall { retracts: !frame.is_running(), ..call.clone() }
}

impl Call {
    fn evaluate(
        &mut self,
        partition: &Partition<'_>,
        rows: Range<usize>,
        gone: Gone,
        carried: Option<&mut CarriedSlot<'_>>,
        failures: &mut Vec<(usize, ErrorCode)>,
    ) -> Result<(), OpError> {
        let (out, frames) = (&mut self.values, &self.frames);
        match &mut self.function {
            Function::Aggregate(held) => {
                return aggregate(held, frames, partition, rows, out, failures);
            }
            Function::Running(running) => {
                let carried = carried.ok_or(OpError::Internal("a running frame has no state"))?;
                return running.evaluate(carried, frames, partition, rows, out, failures);
            }
            Function::Shift(shift) => shift.evaluate(partition, rows, out),
            Function::Nth(nth) => nth.evaluate(frames, partition, rows, out),
            Function::Number(_)
            | Function::PercentRank
            | Function::CumeDist
            | Function::Ntile(_) => {
                let first_group = rows.clone().next().map_or(0, |i| partition.group(i));
                for i in rows.clone() {
                    out.begin();
                    let place = i - rows.start;
                    let peers = partition.peers(i);
                    let all = partition.len();
                    match &self.function {
                        Function::Number(Numbering::RowNumber) => {
                            out.set_i64(0, gone.rows + place as i64 + 1);
                        }
                        Function::Number(Numbering::Rank) => {
                            out.set_i64(0, gone.rows + (peers.start - rows.start) as i64 + 1);
                        }
                        Function::Number(Numbering::DenseRank) => {
                            let group = partition.group(i) - first_group;
                            out.set_i64(0, gone.groups + group as i64 + 1);
                        }
                        Function::PercentRank if all < 2 => out.set_f64(0, 0.0),
                        Function::PercentRank => {
                            out.set_f64(0, peers.start as f64 / (all - 1) as f64);
                        }
                        Function::CumeDist => out.set_f64(0, peers.end as f64 / all as f64),
                        Function::Ntile(buckets) => out.set_i64(0, bucket(i, all, *buckets)),
                        Function::Shift(_)
                        | Function::Nth(_)
                        | Function::Aggregate(_)
                        | Function::Running(_) => {}
                    }
                    out.finish(1);
                }
            }
        }
        Ok(())
    }

    fn reach(&self) -> Reach {
        match &self.function {
            // Rows are numbered from the first of their equals on.
            Function::Number(_) => Reach { back: Extent::ALL, ahead: Extent::PEERS },
            Function::PercentRank | Function::CumeDist | Function::Ntile(_) => Reach::ALL,
            Function::Shift(shift) => shift.reach(),
            Function::Nth(_) | Function::Aggregate(_) | Function::Running(_) => self.frames.reach(),
        }
    }

    fn first_needed(&self, partition: &Partition<'_>) -> usize {
        match &self.function {
            Function::Number(_) | Function::Running(_) => partition.len(),
            Function::Shift(shift) => shift.first_needed(partition),
            Function::PercentRank | Function::CumeDist | Function::Ntile(_) => 0,
            Function::Nth(nth) if nth.reads_last_row(&self.frames) => partition.len(),
            Function::Nth(_) | Function::Aggregate(_) => self.frames.first_needed(partition),
        }
    }
}

/// NTILE of a row: the first buckets have one row more where the rows do not divide.
fn bucket(i: usize, rows: usize, buckets: usize) -> i64 {
    let (size, more) = (rows / buckets, rows % buckets);
    let large = more * (size + 1);
    let bucket = if i < large { i / (size + 1) } else { more + (i - large) / size.max(1) };
    bucket as i64 + 1
}

/// The aggregate over the frame of each row.
fn aggregate(
    held: &mut Evaluator,
    frames: &Frames,
    partition: &Partition<'_>,
    rows: Range<usize>,
    out: &mut BatchBuilder,
    failures: &mut Vec<(usize, ErrorCode)>,
) -> Result<(), OpError> {
    let broken = |_| OpError::Internal("an aggregate cannot read its own values");
    held.clear();
    let mut errors = Vec::new();
    let mut within = 0..0;
    let mut values = BatchBuilder::new(out.layout().clone());
    let mut last: Option<(Framed, RowBatch, Option<ErrorCode>)> = None;
    for i in rows.clone() {
        let framed = frames.of(i, partition);
        if last.as_ref().is_none_or(|(same, ..)| *same != framed) {
            for j in within.start..framed.rows.start.min(within.end) {
                held.add(partition.row(j), -1).map_err(broken)?;
            }
            for j in within.end.max(framed.rows.start)..framed.rows.end {
                held.add(partition.row(j), 1).map_err(broken)?;
            }
            within = framed.rows.start..framed.rows.end.max(within.end);
            for j in framed.left_out() {
                held.add(partition.row(j), -1).map_err(broken)?;
            }
            values.begin();
            held.finish(&mut values, 0, &mut errors).map_err(broken)?;
            let failed = errors.drain(..).next();
            values.finish(1);
            for j in framed.left_out() {
                held.add(partition.row(j), 1).map_err(broken)?;
            }
            if let Some((_, spent, _)) = last.replace((framed, values.take(), failed)) {
                values.recycle(spent);
            }
        }
        if let Some((_, value, failed)) = &last {
            out.push_row(value.row(0), 1);
            failures.extend(failed.map(|code| (i - rows.start, code)));
        }
    }
    Ok(())
}

impl Shift {
    fn evaluate(&self, partition: &Partition<'_>, rows: Range<usize>, out: &mut BatchBuilder) {
        let given = given(partition, self.arg, self.ignore_nulls);
        let by = usize::try_from(self.by.unsigned_abs()).unwrap_or(usize::MAX);
        for i in rows {
            let at = match (self.by, &given) {
                (0, _) => Some(i),
                (..0, None) => i.checked_sub(by),
                (1.., None) => i.checked_add(by).filter(|at| *at < partition.len()),
                (..0, Some(given)) => {
                    let before = given.partition_point(|at| *at < i);
                    before.checked_sub(by).map(|at| given[at])
                }
                (1.., Some(given)) => {
                    let behind = given.partition_point(|at| *at <= i);
                    given.get(behind.saturating_add(by - 1)).copied()
                }
            };
            out.begin();
            match (at, self.default) {
                (Some(at), _) => out.copy_column(0, partition.row(at), self.arg),
                (None, Some(default)) => out.copy_column(0, partition.row(i), default),
                (None, None) => {}
            }
            out.finish(1);
        }
    }

    fn reach(&self) -> Reach {
        let far = match self.ignore_nulls {
            true => Extent::ALL,
            false => Extent::rows(self.by.unsigned_abs()),
        };
        match self.by {
            ..0 => Reach { back: far, ..Reach::default() },
            0 => Reach::default(),
            1.. => Reach { ahead: far, ..Reach::default() },
        }
    }

    fn first_needed(&self, partition: &Partition<'_>) -> usize {
        let by = usize::try_from(self.by.unsigned_abs()).unwrap_or(usize::MAX);
        match given(partition, self.arg, self.ignore_nulls) {
            _ if self.by > 0 => 0,
            None => partition.len().saturating_sub(by),
            Some(given) => match given.len().checked_sub(by) {
                Some(at) => given.get(at).copied().unwrap_or(partition.len()),
                None => given.first().copied().unwrap_or(partition.len()),
            },
        }
    }
}

impl Nth {
    fn evaluate(
        &self,
        frames: &Frames,
        partition: &Partition<'_>,
        rows: Range<usize>,
        out: &mut BatchBuilder,
    ) {
        let given = given(partition, self.arg, self.ignore_nulls);
        for i in rows {
            let framed = frames.of(i, partition);
            let mut parts = framed.parts();
            if self.from_last {
                parts.reverse();
            }
            let mut left = self.nth - 1;
            let mut found = None;
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                // Places of the rows that count, or of their numbers in `given`.
                let places = match &given {
                    None => part,
                    Some(given) => {
                        let place = |row: usize| given.partition_point(|at| *at < row);
                        place(part.start)..place(part.end)
                    }
                };
                if left < places.len() {
                    let place = match self.from_last {
                        true => places.end - 1 - left,
                        false => places.start + left,
                    };
                    found = Some(given.as_ref().map_or(place, |given| given[place]));
                    break;
                }
                left -= places.len();
            }
            out.begin();
            if let Some(at) = found {
                out.copy_column(0, partition.row(at), self.arg);
            }
            out.finish(1);
        }
    }

    /// Whether it is the value of the current row or one equal to it, though the frame is larger.
    fn reads_last_row(&self, frames: &Frames) -> bool {
        self.from_last && self.nth == 1 && !self.ignore_nulls && frames.are_running()
    }
}

/// The rows whose value is not NULL, if only these count.
fn given(partition: &Partition<'_>, arg: Column, ignore_nulls: bool) -> Option<Vec<usize>> {
    let given = |i: &usize| !partition.row(*i).is_null(arg);
    ignore_nulls.then(|| (0..partition.len()).filter(given).collect())
}

impl Values {
    /// Writes the values of a row to the open row, the first into column `first`.
    pub(super) fn write(&self, row: usize, out: &mut BatchBuilder, first: usize) {
        for (i, values) in self.columns.iter().enumerate() {
            out.copy_column(first + i, values.row(row), values.layout().column(0));
        }
    }

    /// What failed in a row.
    pub(super) fn failures(&self, row: usize) -> impl Iterator<Item = ErrorCode> {
        self.failures.iter().filter(move |(at, _)| *at == row).map(|(_, code)| *code)
    }

    /// Whether anything failed.
    pub(super) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }
}

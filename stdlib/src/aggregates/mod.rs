//! What every aggregate means. An aggregate's state is some accumulator columns of a row; NULL in
//! all of them is the state over nothing, so fresh state needs no setting up. Adding and merging
//! cannot fail and do not depend on the order; only results can be out of range.
//!
//! Adding a row with a negative weight takes it back. DISTINCT, and MIN/MAX that take back, need to
//! know every value: for them (`multiset`) the operator keeps value → weight, and tells the
//! aggregate of values that appear and disappear (DISTINCT) or sets its slot (MIN/MAX).
//!
//! Work goes over whole batches: `Aggregate` is a closed enum whose match stands outside the loop.

mod avg;
mod count;
mod min_max;
mod sum;
mod superaccumulator;
mod total;
mod wide;

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};

use avg::Avg;
use count::Count;
use min_max::Extreme;
use sum::Sum;
use total::{Exact, Float, Long, Short};

/// An aggregate function as users see it.
#[derive(Clone, Copy, Debug)]
pub struct AggregateDef {
    /// Name, upper case.
    pub name: &'static str,
    /// What it gives, for the reference.
    pub doc: &'static str,
    /// Examples, which are tests too.
    pub examples: &'static [Example],
    /// Type of the result for arguments of these types; no arguments stand for `*`. The error says
    /// what it takes instead.
    pub result: fn(&[Type]) -> Result<Type, String>,
}

/// An example over a BIGINT column `x`.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The call.
    pub call: &'static str,
    /// The values of `x`.
    pub rows: &'static [Option<i64>],
    /// The result as it prints.
    pub result: &'static str,
}

/// All aggregates, by name.
pub const AGGREGATES: &[AggregateDef] =
    &[avg::DEF, count::DEF, min_max::MAX, min_max::MIN, sum::DEF];

/// The aggregate of this name, in any case.
pub fn lookup(name: &str) -> Option<&'static AggregateDef> {
    AGGREGATES.iter().find(|def| def.name.eq_ignore_ascii_case(name))
}

/// Types of the accumulator columns of a call. Empty for calls that `instantiate` refuses.
pub fn state_types(call: &AggregateCall) -> Vec<Type> {
    instantiate(call).map_or_else(|_| Vec::new(), |aggregate| aggregate.state_types())
}

/// Why and how an aggregate needs every value of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multiset {
    /// DISTINCT: `Aggregate::add_value` with +1 where a value's weight becomes positive, with −1
    /// where it is no longer.
    Distinct,
    /// MIN over rows that may be taken back: the accumulator is the first value by key bytes.
    First,
    /// MAX over rows that may be taken back: the accumulator is the last value by key bytes.
    Last,
}

/// What multiset a call needs, if any. NULL arguments are never in it.
pub fn multiset(call: &AggregateCall) -> Option<Multiset> {
    let distinct = call.distinct.then_some(Multiset::Distinct);
    match call.function.as_str() {
        "MIN" => call.retracts.then_some(Multiset::First),
        "MAX" => call.retracts.then_some(Multiset::Last),
        _ => distinct,
    }
}

/// Whether a call needs a multiset.
pub fn is_multiset(call: &AggregateCall) -> bool {
    multiset(call).is_some()
}

/// The running form of a call.
///
/// # Errors
/// If there is no such aggregate over arguments of these types.
pub fn instantiate(call: &AggregateCall) -> Result<Aggregate, String> {
    let def = lookup(&call.function).ok_or_else(|| format!("no aggregate {}", call.function))?;
    let ty = (def.result)(&call.arg_types)?;
    if ty.data != call.ty.data || call.args.len() != call.arg_types.len() {
        return Err(format!("{} does not give {}", call.function, call.ty));
    }
    let arg = call.arg_types.first();
    let kind = match (def.name, arg) {
        ("COUNT", _) => Kind::Count(Count),
        ("SUM", Some(arg)) => Kind::sum(&arg.data, call.retracts),
        ("AVG", Some(arg)) => Kind::avg(&arg.data),
        ("MIN" | "MAX", Some(arg)) => Kind::Extreme(Extreme::new(arg.clone(), def.name == "MAX")),
        _ => return Err(format!("{} takes an argument", call.function)),
    };
    Ok(Aggregate { kind })
}

/// Where accumulators lie: a table of the runtime.
pub trait Accumulators {
    /// What names a row of accumulators.
    type Slot: Copy;

    /// The accumulators, to be changed.
    fn accumulators(&mut self, slot: Self::Slot) -> ValueMut<'_>;
}

/// The input of an aggregate: a batch and the columns that the call is about.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The rows, with their weights.
    pub rows: &'a RowBatch,
    /// The arguments.
    pub args: &'a [Column],
    /// FILTER: rows where it is not TRUE are left out.
    pub filter: Option<Column>,
}

impl Input<'_> {
    /// Whether a row counts.
    pub fn passes(&self, row: RowRef<'_>) -> bool {
        self.filter.is_none_or(|filter| !row.is_null(filter) && row.word(filter) != 0)
    }
}

/// What one kind of aggregate does to one row's state.
trait Meaning {
    /// Types of the accumulator columns.
    fn types(&self) -> Vec<Type>;

    /// Adds a row `weight` times. The accumulators are columns `first..` of `acc`.
    fn add(
        &self,
        acc: &mut ValueMut<'_>,
        first: usize,
        row: RowRef<'_>,
        args: &[Column],
        weight: i64,
    );

    /// Adds the accumulators that another row has in `columns`.
    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]);

    /// Sets a column of the open row to the result; leaves it NULL for NULL.
    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode>;
}

/// An aggregate ready to run.
#[derive(Clone, Debug)]
pub struct Aggregate {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Count(Count),
    SumShort(Sum<Short>),
    SumLong(Sum<Long>),
    SumFloat(Sum<Float>),
    AvgShort(Avg<Short>),
    AvgLong(Avg<Long>),
    AvgFloat(Avg<Float>),
    Extreme(Extreme),
}

impl Kind {
    fn sum(arg: &DataType, counted: bool) -> Self {
        let exact = Exact::of(arg);
        match arg {
            arg if arg.is_float() => Kind::SumFloat(Sum::new(Float, counted)),
            arg if total::is_short(arg) => Kind::SumShort(Sum::new(Short(exact), counted)),
            _ => Kind::SumLong(Sum::new(Long(exact), counted)),
        }
    }

    fn avg(arg: &DataType) -> Self {
        let exact = Exact::of(arg);
        match arg {
            arg if arg.is_float() => Kind::AvgFloat(Avg::new(Float)),
            arg if total::is_short(arg) => Kind::AvgShort(Avg::new(Short(exact))),
            _ => Kind::AvgLong(Avg::new(Long(exact))),
        }
    }
}

/// Runs an expression with `$meaning` bound to the aggregate's meaning, whatever kind it is.
macro_rules! with_meaning {
    ($aggregate:expr, $meaning:ident => $body:expr) => {
        match &$aggregate.kind {
            Kind::Count($meaning) => $body,
            Kind::SumShort($meaning) => $body,
            Kind::SumLong($meaning) => $body,
            Kind::SumFloat($meaning) => $body,
            Kind::AvgShort($meaning) => $body,
            Kind::AvgLong($meaning) => $body,
            Kind::AvgFloat($meaning) => $body,
            Kind::Extreme($meaning) => $body,
        }
    };
}

impl Aggregate {
    /// Types of the accumulator columns, all nullable.
    pub fn state_types(&self) -> Vec<Type> {
        with_meaning!(self, meaning => meaning.types())
    }

    /// Adds rows: number `picks[i]` of the batch to the accumulators in `slots[i]`, whose columns
    /// of this aggregate begin at `first`.
    pub fn add<T: Accumulators>(
        &self,
        table: &mut T,
        first: usize,
        slots: &[T::Slot],
        picks: &[u32],
        input: Input<'_>,
    ) {
        with_meaning!(self, meaning => {
            for (slot, pick) in slots.iter().zip(picks) {
                let row = input.rows.row(*pick as usize);
                if input.passes(row) {
                    let weight = input.rows.weight(*pick as usize);
                    meaning.add(&mut table.accumulators(*slot), first, row, input.args, weight);
                }
            }
        });
    }

    /// Adds one row of arguments `weight` times: a value that appears in a multiset or leaves it.
    pub fn add_value(
        &self,
        acc: &mut ValueMut<'_>,
        first: usize,
        value: RowRef<'_>,
        args: &[Column],
        weight: i64,
    ) {
        with_meaning!(self, meaning => meaning.add(acc, first, value, args, weight));
    }

    /// Merges partial accumulators: those that row `picks[i]` of the batch has in `columns` into
    /// those in `slots[i]`.
    pub fn merge<T: Accumulators>(
        &self,
        table: &mut T,
        first: usize,
        slots: &[T::Slot],
        picks: &[u32],
        rows: &RowBatch,
        columns: &[Column],
    ) {
        with_meaning!(self, meaning => {
            for (slot, pick) in slots.iter().zip(picks) {
                let from = rows.row(*pick as usize);
                meaning.merge(&mut table.accumulators(*slot), first, from, columns);
            }
        });
    }

    /// Sets a column of the open row to the result of the accumulators that `acc` has in
    /// `columns`.
    ///
    /// # Errors
    /// `Overflow` if the result does not fit its type; the column is NULL then.
    pub fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        with_meaning!(self, meaning => meaning.finish(acc, columns, out, column))
    }
}

#[cfg(test)]
mod tests;

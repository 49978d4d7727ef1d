//! What every aggregate means. An aggregate's state is some accumulator columns of a row; NULL in
//! all of them is the state over nothing, so fresh state needs no setting up. Adding and merging
//! cannot fail and do not depend on the order; only results can be out of range.
//!
//! Adding a row with a negative weight takes it back. Aggregates that need to know every value
//! have a multiset (`multiset`): the operator keeps value → weight. It tells the aggregate of
//! values that appear and disappear (DISTINCT), or sets the accumulators from the first or last
//! value, or from all of them in their order (`set`), once a group is to have a result.
//!
//! Work goes over whole batches. What has accumulators of fixed width alone is made of updates
//! (`fixed`), and all such calls of an operator are one program; for the others `Aggregate` is a
//! closed enum whose match stands outside the loop.

mod avg;
mod big;
mod bits;
mod booleans;
mod catalog;
mod count;
mod evaluator;
mod fixed;
mod gather;
mod hyperloglog;
mod instance;
mod json;
mod min_max;
mod moments;
mod pick;
mod program;
mod quantile;
mod ranks;
mod sets;
mod single;
mod sketch;
mod sum;
mod superaccumulator;
mod total;
mod values;

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowRef, ValueMut};
use flow_ir::types::Type;

pub use catalog::{AGGREGATES, AggregateDef, Example, NullUse, OrderUse, Param, lookup};
pub use evaluator::Evaluator;
pub use fixed::Updates;
pub use instance::instantiate;
pub use program::{adding, merging};
pub use sets::{DistinctSet, distinct_sets, distinct_words};
pub use values::{ValueReader, ValueWriter};

use instance::Kind;

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
    /// `Aggregate::set` with the first value: MIN, say, over rows that may be taken back.
    First,
    /// `Aggregate::set` with the last value.
    Last,
    /// `Aggregate::set` with all values, in order.
    Whole,
}

/// What multiset a call needs, if any. What is no value of it `ValueWriter::counts` says.
pub fn multiset(call: &AggregateCall) -> Option<Multiset> {
    let end = |end: Multiset| call.retracts.then_some(end);
    match lookup(&call.function)?.name {
        "MIN" => end(Multiset::First),
        "MAX" => end(Multiset::Last),
        "ANY_VALUE" | "ARG_MAX" | "ARG_MIN" | "EARLIEST_BY_OFFSET" | "FIRST_VALUE" => {
            end(Multiset::First)
        }
        "LAST_VALUE" | "LATEST_BY_OFFSET" => end(Multiset::Last),
        "APPROX_COUNT_DISTINCT" => end(Multiset::Distinct),
        "COUNT_DISTINCT" => Some(Multiset::Distinct),
        "ARRAY_AGG" | "ATTR" | "COLLECT" | "COLLECT_SET" | "HISTOGRAM" | "JSON_AGG"
        | "JSON_ARRAYAGG" | "JSON_OBJECTAGG" | "JSON_OBJECT_AGG" | "LISTAGG" | "MAP_AGG"
        | "MEDIAN" | "MODE" | "PERCENTILE_CONT" | "PERCENTILE_DISC" | "PRODUCT"
        | "SINGLE_VALUE" | "TOPK" | "TOPKDISTINCT" => Some(Multiset::Whole),
        _ => call.distinct.then_some(Multiset::Distinct),
    }
}

/// Whether a call needs a multiset.
pub fn is_multiset(call: &AggregateCall) -> bool {
    multiset(call).is_some()
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
    /// The arguments, then the columns of the call's order.
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

    /// What adding and merging are made of, where all accumulators are of fixed width.
    fn updates(&self) -> Option<&Updates> {
        None
    }

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

    /// Sets the accumulators, all NULL, from values of a multiset: rows of arguments, in order.
    fn set(&self, acc: &mut ValueMut<'_>, first: usize, values: &RowBatch) {
        let args = values.layout().columns();
        for (i, row) in values.rows().enumerate() {
            self.add(acc, first, row, args, values.weight(i));
        }
    }

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
            Kind::SumSpan($meaning) => $body,
            Kind::AvgSpan($meaning) => $body,
            Kind::Extreme($meaning) => $body,
            Kind::LongExtreme($meaning) => $body,
            Kind::CountIf($meaning) => $body,
            Kind::Moments($meaning) => $body,
            Kind::Truth($meaning) => $body,
            Kind::Bits($meaning) => $body,
            Kind::BitCounts($meaning) => $body,
            Kind::Pick($meaning) => $body,
            Kind::Gather($meaning) => $body,
            Kind::Ranks($meaning) => $body,
            Kind::Quantile($meaning) => $body,
            Kind::Json($meaning) => $body,
            Kind::Single($meaning) => $body,
            Kind::Registers($meaning) => $body,
            Kind::Sketch($meaning) => $body,
        }
    };
}

impl Aggregate {
    /// Whether it only counts the rows in which no argument is NULL.
    pub fn is_count(&self) -> bool {
        matches!(self.kind, Kind::Count(_))
    }

    /// Types of the accumulator columns, all nullable.
    pub fn state_types(&self) -> Vec<Type> {
        with_meaning!(self, meaning => meaning.types())
    }

    /// What adding and merging are made of, where all accumulators are of fixed width.
    pub fn updates(&self) -> Option<&Updates> {
        with_meaning!(self, meaning => meaning.updates())
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

    /// Sets the accumulators to what values of a multiset come to: rows of arguments, in the order
    /// of the values.
    pub fn set(&self, acc: &mut ValueMut<'_>, first: usize, values: &RowBatch) {
        with_meaning!(self, meaning => {
            (first..first + meaning.types().len()).for_each(|column| acc.set_null(column));
            meaning.set(acc, first, values);
        });
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
mod example_tests;
#[cfg(test)]
mod law_tests;
#[cfg(test)]
mod tests;

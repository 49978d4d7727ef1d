//! Aggregates whose accumulators are of fixed width. What adding and merging do they say as updates
//! (`flow_ir::update`), which interpreter and native code do over whole batches, those of all calls
//! in one pass (`program`).

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::Type;
use flow_ir::update::Update;

use super::Meaning;
use crate::interp::update::apply;

/// The updates of an aggregate. Its accumulators count from its first one.
#[derive(Clone, Debug)]
pub struct Updates {
    /// Of a row that is added; columns are numbers of arguments.
    pub adds: Vec<Update>,
    /// Of accumulators that are merged; columns are numbers of the accumulators.
    pub merges: Vec<Update>,
}

/// What one kind of aggregate of fixed width does.
pub(super) trait FixedMeaning {
    /// Types of the accumulator columns.
    fn types(&self) -> Vec<Type>;

    /// What adding a row and merging accumulators do.
    fn updates(&self) -> Updates;

    /// As `Meaning::finish`.
    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode>;
}

/// An aggregate of fixed width with its updates.
#[derive(Clone, Debug)]
pub(super) struct Fixed<M> {
    meaning: M,
    updates: Updates,
}

impl<M: FixedMeaning> Fixed<M> {
    pub(super) fn new(meaning: M) -> Self {
        Self { updates: meaning.updates(), meaning }
    }
}

/// Does updates of the accumulators from column `first` on.
fn run(
    updates: &[Update],
    acc: &mut ValueMut<'_>,
    first: usize,
    row: (RowRef<'_>, &[Column]),
    weight: i64,
) {
    let (state, words) = acc.fixed();
    for update in updates {
        apply(update, row, weight, (words, &state[first..]));
    }
}

impl<M: FixedMeaning> Meaning for Fixed<M> {
    fn types(&self) -> Vec<Type> {
        self.meaning.types()
    }

    fn updates(&self) -> Option<&Updates> {
        Some(&self.updates)
    }

    #[inline]
    fn add(
        &self,
        acc: &mut ValueMut<'_>,
        first: usize,
        row: RowRef<'_>,
        args: &[Column],
        weight: i64,
    ) {
        run(&self.updates.adds, acc, first, (row, args), weight);
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        run(&self.updates.merges, acc, first, (from, columns), 1);
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        self.meaning.finish(acc, columns, out, column)
    }
}

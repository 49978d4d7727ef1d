//! AVG: NULL over nothing. Integers and floats give the DOUBLE nearest to the exact average;
//! DECIMAL(p, s) gives DECIMAL(38, max(6, s)), as Flink, rounded half away from zero.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::Type;

use super::Meaning;
use super::catalog::{AggregateDef, Example};
use super::fixed::{FixedMeaning, Updates};
use super::sum::Sum;
use super::total::{FixedTotal, LongTotal, Total, avg_type};

pub(super) const DEF: AggregateDef = AggregateDef {
    name: "AVG",
    aliases: &["MEAN"],
    usage: "[DISTINCT] x",
    doc: "The average of the values that are not NULL; NULL if there is none. Integers, REAL and \
          DOUBLE give DOUBLE, rounded once from the exact average; DECIMAL(p, s) gives \
          DECIMAL(38, max(6, s)). Of an INTERVAL what is left of the months becomes 30 days each.",
    examples: &[
        Example { call: "AVG(x)", rows: &[Some(1), Some(2), None], result: "1.5" },
        Example { call: "AVG(x)", rows: &[], result: "NULL" },
    ],
    result: |args| match args {
        [Type { data, .. }] => match avg_type(data) {
            Some(ty) => Ok(Type::nullable(ty)),
            None => Err(format!("AVG takes a number or interval, not {data}")),
        },
        _ => Err("AVG takes one argument".into()),
    },
    ..AggregateDef::PLAIN
};

/// AVG: the accumulators of a SUM that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avg<T>(Sum<T>);

impl<T: Total> Avg<T> {
    pub(super) fn new(total: T) -> Self {
        Self(Sum::new(total, true))
    }

    /// Sets a result column to the average, leaves it NULL for nothing.
    fn result(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        match u64::try_from(acc.i64(columns[self.0.width])) {
            Ok(0) | Err(_) => Ok(()),
            Ok(count) => self.0.total.average(acc, columns, count, out, column),
        }
    }
}

impl<T: LongTotal> Meaning for Avg<T> {
    fn types(&self) -> Vec<Type> {
        self.0.types()
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
        self.0.add(acc, first, row, args, weight);
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        self.0.merge(acc, first, from, columns);
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        self.result(acc, columns, out, column)
    }
}

impl<T: FixedTotal> FixedMeaning for Avg<T> {
    fn types(&self) -> Vec<Type> {
        self.0.types()
    }

    fn updates(&self) -> Updates {
        self.0.updates()
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        self.result(acc, columns, out, column)
    }
}

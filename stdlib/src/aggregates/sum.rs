//! SUM: NULL over nothing. Integers add up in 128 bits and must fit BIGINT in the end;
//! DECIMAL(p, s) gives DECIMAL(38, s); REAL and DOUBLE add up exactly and are rounded once, to
//! DOUBLE.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};
use flow_ir::update::{Gate, Update, UpdateOp};

use super::Meaning;
use super::catalog::{AggregateDef, Example};
use super::fixed::{FixedMeaning, Updates};
use super::total::{FixedTotal, LongTotal, Total, sum_type};

pub(super) const DEF: AggregateDef = AggregateDef {
    name: "SUM",
    usage: "[DISTINCT] x",
    doc: "The sum of the values that are not NULL; NULL if there is none. Integers give BIGINT, \
          DECIMAL(p, s) gives DECIMAL(38, s), REAL and DOUBLE give DOUBLE, exact and independent \
          of the order; INTERVAL gives INTERVAL.",
    examples: &[
        Example { call: "SUM(x)", rows: &[Some(1), Some(2), None], result: "3" },
        Example { call: "SUM(x)", rows: &[None], result: "NULL" },
        Example { call: "SUM(DISTINCT x)", rows: &[Some(2), Some(2), Some(5)], result: "7" },
    ],
    result: |args| match args {
        [Type { data, .. }] => match sum_type(data) {
            Some(ty) => Ok(Type::nullable(ty)),
            None => Err(format!("SUM takes a number or interval, not {data}")),
        },
        _ => Err("SUM takes one argument".into()),
    },
    ..AggregateDef::PLAIN
};

/// SUM over one kind of total. Where rows may be taken back, a count of the values not NULL
/// follows the total.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum<T> {
    pub(super) total: T,
    /// Accumulator columns of the total.
    pub(super) width: usize,
    pub(super) counted: bool,
}

impl<T: Total> Sum<T> {
    pub(super) fn new(total: T, counted: bool) -> Self {
        let width = total.types().len();
        Self { total, width, counted }
    }

    /// Types of the accumulator columns.
    fn state_types(&self) -> Vec<Type> {
        let mut types = self.total.types();
        types.extend(self.counted.then(|| Type::nullable(DataType::BigInt)));
        types
    }

    /// Sets a result column to the sum, leaves it NULL for nothing.
    fn result(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        let nothing =
            acc.is_null(columns[0]) || (self.counted && acc.i64(columns[self.width]) <= 0);
        if nothing { Ok(()) } else { self.total.sum(acc, columns, out, column) }
    }
}

impl<T: LongTotal> Meaning for Sum<T> {
    fn types(&self) -> Vec<Type> {
        self.state_types()
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
        if row.is_null(args[0]) {
            return;
        }
        self.total.add(acc, first, row, args[0], weight);
        if self.counted {
            let count = first + self.width;
            acc.add_word(count, weight as u64);
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        if from.is_null(columns[0]) {
            return;
        }
        self.total.merge(acc, first, from, columns);
        if self.counted {
            let count = first + self.width;
            let more = from.word(columns[self.width]);
            acc.add_word(count, more);
        }
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

impl<T: FixedTotal> FixedMeaning for Sum<T> {
    fn types(&self) -> Vec<Type> {
        self.state_types()
    }

    fn updates(&self) -> Updates {
        let there = Gate::NotNull(0);
        let mut adds = vec![Update::new([there], 0, self.total.adding())];
        let mut merges = vec![Update::new([there], 0, self.total.merging())];
        if self.counted {
            let count = self.width as u32;
            adds.push(Update::new([there], count, UpdateOp::AddWeight));
            merges.push(Update::new([there], count, UpdateOp::Add(count)));
        }
        Updates { adds, merges }
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

//! COUNT: rows, or rows in which no argument is NULL. 0 over nothing.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};

use super::{AggregateDef, Example, Meaning};

pub(super) const DEF: AggregateDef = AggregateDef {
    name: "COUNT",
    doc: "COUNT(*) is the number of rows; COUNT(x) the number of rows where x is not NULL; \
          COUNT(DISTINCT x) the number of different values.",
    examples: &[
        Example { call: "COUNT(*)", rows: &[Some(1), None], result: "2" },
        Example { call: "COUNT(x)", rows: &[Some(1), None], result: "1" },
        Example { call: "COUNT(DISTINCT x)", rows: &[Some(1), Some(1), None], result: "1" },
        Example { call: "COUNT(x)", rows: &[], result: "0" },
    ],
    result: |_| Ok(Type::not_null(DataType::BigInt)),
};

/// COUNT: one BIGINT, NULL until the first row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count;

impl Meaning for Count {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::BigInt)]
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
        if !args.iter().any(|arg| row.is_null(*arg)) {
            acc.set_word(first, acc.word(first).wrapping_add(weight as u64));
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        acc.set_word(first, acc.word(first).wrapping_add(from.word(columns[0])));
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        out.set_word(column, acc.word(columns[0]));
        Ok(())
    }
}

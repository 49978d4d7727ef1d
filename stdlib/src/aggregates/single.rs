//! SINGLE_VALUE: what a scalar subquery comes to. NULL over nothing; several rows are an error.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};

use super::Meaning;
use super::catalog::{AggregateDef, Example, NullUse, only};
use super::gather::put;

pub(super) const DEF: AggregateDef = AggregateDef {
    name: "SINGLE_VALUE",
    doc: "The value of the only row; NULL if there is no row. More than one row is an error.",
    examples: &[
        Example { call: "SINGLE_VALUE(x)", rows: &[Some(4)], result: "4" },
        Example { call: "SINGLE_VALUE(x)", rows: &[], result: "NULL" },
    ],
    nulls: NullUse::Keep,
    result: |args| only("SINGLE_VALUE", args).map(|ty| ty.with_nullable(true)),
    ..AggregateDef::PLAIN
};

/// SINGLE_VALUE: the first value, and how many there are.
#[derive(Clone, Debug)]
pub(super) struct Single {
    ty: Type,
}

impl Single {
    pub(super) fn new(ty: &Type) -> Self {
        Self { ty: ty.with_nullable(true) }
    }
}

impl Meaning for Single {
    fn types(&self) -> Vec<Type> {
        vec![self.ty.clone(), Type::nullable(DataType::BigInt)]
    }

    fn add(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column], _: i64) {}

    fn merge(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column]) {}

    fn set(&self, acc: &mut ValueMut<'_>, first: usize, values: &RowBatch) {
        let present = (0..values.len()).filter(|i| values.weight(*i) > 0);
        let mut count = 0i64;
        for at in present {
            if count == 0 {
                put(acc, first, values.row(at), values.layout().column(0));
            }
            count = count.saturating_add(values.weight(at));
        }
        acc.set_word(first + 1, count as u64);
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        if acc.i64(columns[1]) > 1 {
            return Err(ErrorCode::SeveralRows);
        }
        out.copy_column(column, acc, columns[0]);
        Ok(())
    }
}

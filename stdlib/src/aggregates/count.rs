//! COUNT: rows, or rows in which no argument is NULL. 0 over nothing.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};

use super::Meaning;
use super::catalog::{AggregateDef, Example};

pub(super) const DEF: AggregateDef = AggregateDef {
    name: "COUNT",
    usage: "* | [DISTINCT] x, …",
    doc: "COUNT(*) is the number of rows; COUNT(x, …) the number of rows where no argument is \
          NULL; COUNT(DISTINCT x, …) the number of different values.",
    examples: &[
        Example { call: "COUNT(*)", rows: &[Some(1), None], result: "2" },
        Example { call: "COUNT(x)", rows: &[Some(1), None], result: "1" },
        Example { call: "COUNT(DISTINCT x)", rows: &[Some(1), Some(1), None], result: "1" },
        Example { call: "COUNT(x)", rows: &[], result: "0" },
    ],
    result: |_| Ok(Type::not_null(DataType::BigInt)),
    ..AggregateDef::PLAIN
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
            acc.add_word(first, weight as u64);
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        acc.add_word(first, from.word(columns[0]));
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

pub(super) const COUNT_DISTINCT: AggregateDef = AggregateDef {
    name: "COUNT_DISTINCT",
    usage: "x, …",
    doc: "COUNT(DISTINCT x, …), as ksqlDB writes it.",
    examples: &[Example {
        call: "COUNT_DISTINCT(x)",
        rows: &[Some(1), Some(1), None],
        result: "1",
    }],
    result: |args| match args {
        [] => Err("COUNT_DISTINCT takes an argument".into()),
        _ => Ok(Type::not_null(DataType::BigInt)),
    },
    ..AggregateDef::PLAIN
};

pub(super) const COUNT_IF: AggregateDef = AggregateDef {
    name: "COUNT_IF",
    aliases: &["COUNTIF"],
    usage: "condition",
    doc: "The number of rows where the condition is TRUE.",
    examples: &[Example { call: "COUNT_IF(x > 1)", rows: &[Some(1), Some(2), None], result: "1" }],
    result: |args| match args {
        [Type { data: DataType::Boolean, .. }] => Ok(Type::not_null(DataType::BigInt)),
        _ => Err("COUNT_IF takes a condition".into()),
    },
    ..AggregateDef::PLAIN
};

/// COUNT_IF: the accumulator of a COUNT.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountIf;

impl Meaning for CountIf {
    fn types(&self) -> Vec<Type> {
        Count.types()
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
        if !row.is_null(args[0]) && row.word(args[0]) != 0 {
            acc.add_word(first, weight as u64);
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        Count.merge(acc, first, from, columns);
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        Count.finish(acc, columns, out, column)
    }
}

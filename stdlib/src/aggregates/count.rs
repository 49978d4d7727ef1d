//! COUNT: rows, or rows in which no argument is NULL. 0 over nothing.

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef};
use flow_ir::types::{DataType, Type};
use flow_ir::update::{Gate, Update, UpdateOp};

use super::catalog::{AggregateDef, Example};
use super::fixed::{FixedMeaning, Updates};
use super::is_multiset;

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
pub(super) struct Count {
    /// Arguments that must not be NULL.
    args: u32,
}

impl Count {
    /// COUNT of the call's arguments; nothing in a value of a multiset is NULL.
    pub(super) fn of(call: &AggregateCall) -> Self {
        Self { args: if is_multiset(call) { 0 } else { call.args.len() as u32 } }
    }
}

impl FixedMeaning for Count {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::BigInt)]
    }

    fn updates(&self) -> Updates {
        let counted: Vec<Gate> = (0..self.args).map(Gate::NotNull).collect();
        Updates {
            adds: vec![Update::new(counted, 0, UpdateOp::AddWeight)],
            merges: vec![Update::new([], 0, UpdateOp::Add(0))],
        }
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

/// COUNT(*).
const COUNT_ALL: Count = Count { args: 0 };

/// COUNT_IF: the accumulator of a COUNT.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountIf;

impl FixedMeaning for CountIf {
    fn types(&self) -> Vec<Type> {
        COUNT_ALL.types()
    }

    fn updates(&self) -> Updates {
        let adds = vec![Update::new([Gate::IsTrue(0)], 0, UpdateOp::AddWeight)];
        Updates { adds, ..COUNT_ALL.updates() }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        COUNT_ALL.finish(acc, columns, out, column)
    }
}

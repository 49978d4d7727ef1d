//! BOOL_AND and BOOL_OR: NULL over nothing. How often TRUE and FALSE came, so that either can be
//! taken back.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};

use super::Meaning;
use super::catalog::{AggregateDef, Example, only};

pub(super) const AND: AggregateDef = AggregateDef {
    name: "BOOL_AND",
    aliases: &["EVERY", "LOGICAL_AND"],
    usage: "condition",
    doc: "Whether the condition is TRUE in all rows where it is not NULL; NULL if there is none.",
    examples: &[
        Example { call: "BOOL_AND(x > 1)", rows: &[Some(1), Some(2), None], result: "false" },
        Example { call: "BOOL_AND(x > 1)", rows: &[None], result: "NULL" },
    ],
    result: |args| result_type("BOOL_AND", args),
    ..AggregateDef::PLAIN
};

pub(super) const OR: AggregateDef = AggregateDef {
    name: "BOOL_OR",
    aliases: &["LOGICAL_OR"],
    usage: "condition",
    doc: "Whether the condition is TRUE in some row; NULL if it is NULL in all.",
    examples: &[Example { call: "BOOL_OR(x > 1)", rows: &[Some(1), Some(2)], result: "true" }],
    result: |args| result_type("BOOL_OR", args),
    ..AggregateDef::PLAIN
};

fn result_type(name: &str, args: &[Type]) -> Result<Type, String> {
    match only(name, args)?.data {
        DataType::Boolean => Ok(Type::nullable(DataType::Boolean)),
        _ => Err(format!("{name} takes a condition")),
    }
}

/// BOOL_AND or BOOL_OR: the numbers of FALSE and of TRUE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Truth {
    /// BOOL_AND.
    pub(super) all: bool,
}

impl Meaning for Truth {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::BigInt); 2]
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
        if !row.is_null(args[0]) {
            let at = first + usize::from(row.word(args[0]) != 0);
            acc.add_word(at, weight as u64);
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        for (i, column) in columns.iter().enumerate() {
            acc.add_word(first + i, from.word(*column));
        }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        match [acc.i64(columns[0]) > 0, acc.i64(columns[1]) > 0] {
            [false, false] => {}
            [some_false, some_true] => {
                let value = if self.all { !some_false } else { some_true };
                out.set_word(column, u64::from(value));
            }
        }
        Ok(())
    }
}

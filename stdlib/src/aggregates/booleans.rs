//! BOOL_AND and BOOL_OR: NULL over nothing. How often TRUE and FALSE came, so that either can be
//! taken back.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef};
use flow_ir::types::{DataType, Type};
use flow_ir::update::{Gate, Update, UpdateOp};

use super::catalog::{AggregateDef, Example, only};
use super::fixed::{FixedMeaning, Updates};

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

impl FixedMeaning for Truth {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::BigInt); 2]
    }

    fn updates(&self) -> Updates {
        Updates {
            adds: vec![
                Update::new([Gate::IsFalse(0)], 0, UpdateOp::AddWeight),
                Update::new([Gate::IsTrue(0)], 1, UpdateOp::AddWeight),
            ],
            merges: vec![
                Update::new([], 0, UpdateOp::Add(0)),
                Update::new([], 1, UpdateOp::Add(1)),
            ],
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

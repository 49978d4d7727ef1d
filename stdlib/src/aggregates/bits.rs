//! BIT_AND, BIT_OR and BIT_XOR of integers: NULL over nothing. Over rows that may be taken back
//! each bit is counted.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};
use flow_ir::update::{Gate, Update, UpdateOp};

use super::Meaning;
use super::catalog::{AggregateDef, Example, only};
use super::fixed::{FixedMeaning, Updates};

const ROWS: &[Option<i64>] = &[Some(6), Some(3), None];

pub(super) const AND: AggregateDef = AggregateDef {
    name: "BIT_AND",
    doc: "The bits that all values have; NULL if there is none. Of the argument's type.",
    examples: &[Example { call: "BIT_AND(x)", rows: ROWS, result: "2" }],
    result: |args| result_type("BIT_AND", args),
    ..AggregateDef::PLAIN
};

pub(super) const OR: AggregateDef = AggregateDef {
    name: "BIT_OR",
    doc: "The bits that some value has; NULL if there is none. Of the argument's type.",
    examples: &[Example { call: "BIT_OR(x)", rows: ROWS, result: "7" }],
    result: |args| result_type("BIT_OR", args),
    ..AggregateDef::PLAIN
};

pub(super) const XOR: AggregateDef = AggregateDef {
    name: "BIT_XOR",
    doc: "The bits that an odd number of values have; NULL if there is none. Of the argument's \
          type.",
    examples: &[Example { call: "BIT_XOR(x)", rows: ROWS, result: "5" }],
    result: |args| result_type("BIT_XOR", args),
    ..AggregateDef::PLAIN
};

fn result_type(name: &str, args: &[Type]) -> Result<Type, String> {
    let ty = only(name, args)?;
    match ty.data.is_integer() {
        true => Ok(ty.with_nullable(true)),
        false => Err(format!("{name} takes an integer, not {}", ty.data)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    And,
    Or,
    Xor,
}

/// One of the three. State: the word so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits {
    op: Op,
}

/// One of the three where each bit is counted. State: the number of values and of each bit, 64-bit
/// words lowest bit first.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitCounts(pub(super) Bits);

/// Words of the counts of bits.
const COUNTS: usize = 64;

impl Bits {
    pub(super) fn new(name: &str) -> Self {
        let op = match name {
            "BIT_AND" => Op::And,
            "BIT_OR" => Op::Or,
            _ => Op::Xor,
        };
        Self { op }
    }
}

impl FixedMeaning for Bits {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::BigInt)]
    }

    fn updates(&self) -> Updates {
        let there = Gate::NotNull(0);
        let op = match self.op {
            Op::And => UpdateOp::And(0),
            Op::Or => UpdateOp::Or(0),
            Op::Xor => UpdateOp::Xor(0),
        };
        let merges = vec![Update::new([there], 0, op)];
        let adds = match self.op {
            Op::And | Op::Or => merges.clone(),
            // A value that comes an even number of times changes no bit.
            Op::Xor => vec![
                Update::new([there], 0, UpdateOp::Touch),
                Update::new([there, Gate::Odd], 0, op),
            ],
        };
        Updates { adds, merges }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        out.copy_column(column, acc, columns[0]);
        Ok(())
    }
}

/// Adds to each count what `more` gives for its number.
fn add_counts(acc: &mut ValueMut<'_>, at: usize, more: impl Fn(usize) -> i64) {
    if acc.var(at).len() != COUNTS * 8 {
        acc.set_var(at, &[0; COUNTS * 8]);
    }
    for (i, bytes) in acc.var_mut(at).as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *bytes = i64::from_le_bytes(*bytes).wrapping_add(more(i)).to_le_bytes();
    }
}

fn count(bytes: &[u8], bit: usize) -> i64 {
    bytes.as_chunks::<8>().0.get(bit).map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

impl Meaning for BitCounts {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::BigInt), Type::nullable(DataType::Bytes)]
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
        let word = row.word(args[0]);
        acc.add_word(first, weight as u64);
        add_counts(acc, first + 1, |bit| if word >> bit & 1 == 1 { weight } else { 0 });
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        if from.is_null(columns[0]) {
            return;
        }
        acc.add_word(first, from.word(columns[0]));
        let counts = from.var(columns[1]);
        add_counts(acc, first + 1, |bit| count(counts, bit));
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        if acc.is_null(columns[0]) || acc.i64(columns[0]) <= 0 {
            return Ok(());
        }
        let (values, counts) = (acc.i64(columns[0]), acc.var(columns[1]));
        let is_set = |bit: &usize| match (self.0.op, count(counts, *bit)) {
            (Op::And, count) => count >= values,
            (Op::Or, count) => count > 0,
            (Op::Xor, count) => count % 2 != 0,
        };
        out.set_word(column, (0..COUNTS).filter(is_set).fold(0, |word, bit| word | 1 << bit));
        Ok(())
    }
}

//! BIT_AND, BIT_OR and BIT_XOR of integers: NULL over nothing. Over rows that may be taken back
//! each bit is counted.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};

use super::Meaning;
use super::catalog::{AggregateDef, Example, only};

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

/// One of the three. State: the word so far, or the number of values and of each bit, 64-bit words
/// lowest bit first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits {
    op: Op,
    counted: bool,
}

/// Words of the counts of bits.
const COUNTS: usize = 64;

impl Bits {
    pub(super) fn new(name: &str, retracts: bool) -> Self {
        let op = match name {
            "BIT_AND" => Op::And,
            "BIT_OR" => Op::Or,
            _ => Op::Xor,
        };
        Self { op, counted: retracts }
    }

    fn join(self, a: u64, b: u64) -> u64 {
        match self.op {
            Op::And => a & b,
            Op::Or => a | b,
            Op::Xor => a ^ b,
        }
    }

    fn take(self, acc: &mut ValueMut<'_>, at: usize, word: u64) {
        let joined = if acc.is_null(at) { word } else { self.join(acc.word(at), word) };
        acc.set_word(at, joined);
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

impl Meaning for Bits {
    fn types(&self) -> Vec<Type> {
        let mut types = vec![Type::nullable(DataType::BigInt)];
        types.extend(self.counted.then(|| Type::nullable(DataType::Bytes)));
        types
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
        if self.counted {
            acc.add_word(first, weight as u64);
            add_counts(acc, first + 1, |bit| if word >> bit & 1 == 1 { weight } else { 0 });
        } else if self.op != Op::Xor || weight % 2 != 0 {
            self.take(acc, first, word);
        } else {
            self.take(acc, first, 0);
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        if from.is_null(columns[0]) {
            return;
        }
        if self.counted {
            acc.add_word(first, from.word(columns[0]));
            let counts = from.var(columns[1]);
            add_counts(acc, first + 1, |bit| count(counts, bit));
        } else {
            self.take(acc, first, from.word(columns[0]));
        }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        if acc.is_null(columns[0]) || (self.counted && acc.i64(columns[0]) <= 0) {
            return Ok(());
        }
        if !self.counted {
            out.set_word(column, acc.word(columns[0]));
            return Ok(());
        }
        let (values, counts) = (acc.i64(columns[0]), acc.var(columns[1]));
        let is_set = |bit: &usize| match (self.op, count(counts, *bit)) {
            (Op::And, count) => count >= values,
            (Op::Or, count) => count > 0,
            (Op::Xor, count) => count % 2 != 0,
        };
        out.set_word(column, (0..COUNTS).filter(is_set).fold(0, |word, bit| word | 1 << bit));
        Ok(())
    }
}

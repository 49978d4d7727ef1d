//! Update programs: what each update does, and programs over batches, one update after the other.

use std::cmp::Ordering;

use flow_ir::kernel::{Blocks, KernelError, Updater};
use flow_ir::row::{Column, RowBatch, RowLayout, RowRef};
use flow_ir::update::{Gate, SlotOrder, Update, UpdateOp, UpdateProgram};

use crate::wide::Wide;

/// An interpreted updater.
#[derive(Debug)]
pub(crate) struct InterpUpdater {
    updates: Vec<Update>,
    input: RowLayout,
    state: RowLayout,
    /// Positions among the picked rows: of those that pass the gates of the update at hand.
    passing: Vec<u32>,
}

impl InterpUpdater {
    /// Of a program.
    ///
    /// # Errors
    /// If it is not well formed.
    pub(crate) fn new(program: &UpdateProgram) -> Result<Self, KernelError> {
        program.verify().map_err(|e| KernelError(e.to_string()))?;
        Ok(Self {
            updates: program.updates.clone(),
            input: RowLayout::new(program.input.clone()),
            state: RowLayout::new(program.state.clone()),
            passing: Vec::new(),
        })
    }
}

/// Evaluates an expression with `$op` bound to an operation, in an arm of its own for each, so that
/// what matches on it inside of a loop is decided outside.
macro_rules! for_each_op {
    ($given:expr, $op:ident => $body:expr) => {
        match $given {
            $op @ UpdateOp::Touch => $body,
            $op @ UpdateOp::AddWeight => $body,
            $op @ UpdateOp::Add(_) => $body,
            $op @ UpdateOp::AddWide(_) => $body,
            $op @ UpdateOp::AddProduct(_) => $body,
            $op @ UpdateOp::AddLong(_) => $body,
            $op @ UpdateOp::AddLongProduct(_) => $body,
            $op @ UpdateOp::And(_) => $body,
            $op @ UpdateOp::Or(_) => $body,
            $op @ UpdateOp::Xor(_) => $body,
            $op @ UpdateOp::Extreme { .. } => $body,
        }
    };
}

impl Updater for InterpUpdater {
    fn update(&mut self, rows: &RowBatch, picks: &[u32], blocks: &mut Blocks<'_>) {
        let Self { updates, input, state, passing } = self;
        assert_eq!(rows.layout().columns(), input.columns(), "the rows are of the program's types");
        assert_eq!(blocks.layout.columns(), state.columns(), "and so are the blocks");
        assert_eq!(picks.len(), blocks.places.len(), "a block a row");
        let (columns, state, words) = (input.columns(), state.columns(), state.fixed_words());
        let mut gates: Option<&[Gate]> = None;
        for Update { when, to, op } in &*updates {
            if gates != Some(when) {
                passing.clear();
                passing.extend(0..picks.len() as u32);
                for gate in when {
                    passing.retain(|at| {
                        let pick = picks[*at as usize] as usize;
                        holds(*gate, (rows.row(pick), columns), rows.weight(pick))
                    });
                }
                gates = Some(when);
            }
            for_each_op!(*op, op => for at in &*passing {
                let pick = picks[*at as usize] as usize;
                let start = blocks.places[*at as usize] as usize * words;
                let block = &mut blocks.words[start..start + words];
                act(op, *to, (rows.row(pick), columns), rows.weight(pick), (block, state));
            });
        }
    }
}

/// Does an update with a row that counts `weight` times. Columns are numbers among those given
/// beside the row, accumulators among those beside the block.
pub(crate) fn apply(
    update: &Update,
    row: (RowRef<'_>, &[Column]),
    weight: i64,
    block: (&mut [u64], &[Column]),
) {
    if update.when.iter().all(|gate| holds(*gate, row, weight)) {
        act(update.op, update.to, row, weight, block);
    }
}

/// Whether a gate holds.
#[inline]
fn holds(gate: Gate, (row, columns): (RowRef<'_>, &[Column]), weight: i64) -> bool {
    let column = |number: u32| columns[number as usize];
    match gate {
        Gate::NotNull(number) => !row.is_null(column(number)),
        Gate::IsTrue(number) => !row.is_null(column(number)) && row.word(column(number)) != 0,
        Gate::IsFalse(number) => !row.is_null(column(number)) && row.word(column(number)) == 0,
        Gate::Comes => weight > 0,
        Gate::Odd => weight % 2 != 0,
    }
}

/// Does an operation with accumulator `to`.
#[inline(always)]
fn act(
    op: UpdateOp,
    to: u32,
    (row, columns): (RowRef<'_>, &[Column]),
    weight: i64,
    (block, state): (&mut [u64], &[Column]),
) {
    let column = |number: u32| columns[number as usize];
    let Column { word, null_word, null_mask, slot } = state[to as usize];
    let (at, nulls) = (word as usize, null_word as usize);
    let was_null = block[nulls] & null_mask != 0;
    block[nulls] &= !null_mask;
    match op {
        UpdateOp::Touch => {}
        UpdateOp::AddWeight => block[at] = block[at].wrapping_add(weight as u64),
        UpdateOp::Add(number) => block[at] = block[at].wrapping_add(row.word(column(number))),
        UpdateOp::AddWide(number) => add_wide(block, at, wide(row, column(number))),
        UpdateOp::AddProduct(number) => {
            add_wide(block, at, i128::from(row.i64(column(number))) * i128::from(weight));
        }
        UpdateOp::AddLong([low, high]) => {
            let (low, high) = (wide(row, column(low)) as u128, row.i64(column(high)));
            add_long(block, state, to, Wide { low, high });
        }
        UpdateOp::AddLongProduct(number) => {
            add_long(block, state, to, Wide::product(wide(row, column(number)), weight));
        }
        UpdateOp::And(number) => {
            let value = row.word(column(number));
            block[at] = if was_null { value } else { block[at] & value };
        }
        UpdateOp::Or(number) => block[at] |= row.word(column(number)),
        UpdateOp::Xor(number) => block[at] ^= row.word(column(number)),
        UpdateOp::Extreme { column: number, order, greatest } => {
            let wanted = if greatest { Ordering::Greater } else { Ordering::Less };
            let value = value(order, row, column(number));
            if was_null || compare(order, value, block, at) == wanted {
                block[at..at + slot.words()].copy_from_slice(&value[..slot.words()]);
            }
        }
    }
}

fn wide(row: RowRef<'_>, column: Column) -> i128 {
    join(row.wide(column))
}

fn join([low, high]: [u64; 2]) -> i128 {
    i128::from(low) | (i128::from(high as i64) << 64)
}

fn add_wide(block: &mut [u64], at: usize, value: i128) {
    let sum = join([block[at], block[at + 1]]).wrapping_add(value);
    (block[at], block[at + 1]) = (sum as u64, (sum >> 64) as u64);
}

/// Adds to a 192-bit number in this accumulator and the next.
fn add_long(block: &mut [u64], state: &[Column], to: u32, value: Wide) {
    let (low, top) = (state[to as usize], state[to as usize + 1]);
    block[top.null_word as usize] &= !top.null_mask;
    let (at, above) = (low.word as usize, top.word as usize);
    let total = Wide { low: join([block[at], block[at + 1]]) as u128, high: block[above] as i64 };
    let Wide { low, high } = total.plus(value);
    (block[at], block[at + 1], block[above]) = (low as u64, (low >> 64) as u64, high as u64);
}

/// The words of a value as they are kept.
fn value(order: SlotOrder, row: RowRef<'_>, column: Column) -> [u64; 2] {
    match order {
        SlotOrder::Signed => [row.word(column), 0],
        SlotOrder::Float => [canonical(row.f64(column)).to_bits(), 0],
        SlotOrder::Wide | SlotOrder::Unsigned | SlotOrder::Interval => row.wide(column),
    }
}

/// How a value compares with the one that is kept.
fn compare(order: SlotOrder, value: [u64; 2], block: &[u64], at: usize) -> Ordering {
    let kept = |i: usize| block[at + i];
    match order {
        SlotOrder::Signed => (value[0] as i64).cmp(&(kept(0) as i64)),
        SlotOrder::Float => order_floats(f64::from_bits(value[0]), f64::from_bits(kept(0))),
        SlotOrder::Wide => join(value).cmp(&join([kept(0), kept(1)])),
        SlotOrder::Unsigned => (value[1], value[0]).cmp(&(kept(1), kept(0))),
        SlotOrder::Interval => {
            let signed = |low: u64, high: u64| (low as i64, high as i64);
            signed(value[0], value[1]).cmp(&signed(kept(0), kept(1)))
        }
    }
}

/// −0.0 as 0.0 and every NaN as one NaN, as in key bytes: the result must not depend on which of
/// several equal values came first.
fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::from_bits(f64::NAN.to_bits() & !(1 << 63))
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

fn order_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

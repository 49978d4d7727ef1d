//! What the joins share: sides whose rows are kept in key order, and pairs of rows that must pass
//! the join's condition.

use std::sync::Arc;

use flow_ir::kernel::{ErrorBuffer, Kernel, KernelSpec};
use flow_ir::physical::{Changelog, JoinKind};
use flow_ir::row::{
    BatchBuilder, Column, KeyBatch, KeyDecoder, KeyEncoder, RowBatch, RowLayout, RowRef,
};
use flow_ir::types::Type;

use super::{OpCx, OpError, Plan, columns_of, data};

/// One input of a join: how its rows are kept under key bytes and read back.
pub(super) struct Side {
    pub(super) layout: Arc<RowLayout>,
    /// The join key.
    pub(super) key: KeyEncoder,
    /// The whole row.
    whole: KeyEncoder,
    key_decoder: KeyDecoder,
    decoder: KeyDecoder,
    read: BatchBuilder,
    /// Keys of the batch at hand.
    pub(super) keys: KeyBatch,
}

impl Side {
    pub(super) fn new(types: Vec<Type>, keys: &[usize]) -> Result<Self, String> {
        columns_of(keys, &types)?;
        let layout = Arc::new(RowLayout::new(types.clone()));
        let all: Vec<usize> = (0..types.len()).collect();
        Ok(Self {
            key: KeyEncoder::new(&layout, keys),
            whole: KeyEncoder::new(&layout, &all),
            key_decoder: KeyDecoder::new(keys.iter().map(|key| types[*key].clone()).collect()),
            decoder: KeyDecoder::new(types),
            read: BatchBuilder::new(layout.clone()),
            layout,
            keys: KeyBatch::default(),
        })
    }

    /// Appends the row as key bytes.
    pub(super) fn append_row(&self, row: RowRef<'_>, key: &mut Vec<u8>) {
        self.whole.append(row, key);
    }

    /// What follows the join key in `bytes`.
    pub(super) fn after_key<'k>(&self, bytes: &'k [u8]) -> Result<&'k [u8], OpError> {
        let rest = self.key_decoder.prefix_len(bytes).and_then(|len| bytes.get(len..));
        rest.ok_or(OpError::Internal("the key of a join cannot be read back"))
    }

    /// Reads back, in order, the rows that `append_row` wrote; refuses more than fit into the
    /// limit, bytes.
    pub(super) fn rows<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        limit: usize,
    ) -> Result<RowBatch, OpError> {
        self.read.set_limit(limit);
        for key in keys {
            self.read.begin();
            if !self.decoder.decode(key, &mut self.read, 0) {
                return Err(OpError::Internal("a row of a join cannot be read back"));
            }
            self.read.finish(1);
            if self.read.is_over() {
                return Err(OpError::TooMuch);
            }
        }
        Ok(self.read.take())
    }

    /// Gives the buffers of rows that were read back.
    pub(super) fn recycle(&mut self, rows: RowBatch) {
        self.read.recycle(rows);
    }
}

/// Checks that two keys are of the same types.
pub(super) fn check_keys(
    left: &[Type],
    left_keys: &[usize],
    right: &[Type],
    right_keys: &[usize],
) -> Result<(), String> {
    columns_of(left_keys, left)?;
    columns_of(right_keys, right)?;
    let of = |types: &[Type], keys: &[usize]| -> Vec<Type> {
        keys.iter().map(|key| types[*key].clone()).collect()
    };
    match data(&of(left, left_keys)) == data(&of(right, right_keys)) {
        true => Ok(()),
        false => Err("the keys of the two sides are of different types".into()),
    }
}

/// Keys, end to end.
#[derive(Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    pub(super) fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start..self.ends[i]]
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Candidate pairs and the condition that they must pass.
pub(super) struct Pairs {
    left: Vec<Column>,
    right: Vec<Column>,
    /// Where the left columns of a pair are, and the right ones.
    of_pair: [Vec<Column>; 2],
    condition: Option<Box<dyn Kernel>>,
    /// Left and right columns. The weight of each is its position plus one, so that those which
    /// pass can be told from what the kernel lets through.
    candidates: BatchBuilder,
    passed: BatchBuilder,
    bad: ErrorBuffer,
    append_only: bool,
}

impl Pairs {
    /// For a join of inputs with these columns.
    pub(super) fn new(
        plan: &Plan<'_>,
        condition: Option<&KernelSpec>,
        kind: JoinKind,
    ) -> Result<Self, String> {
        let (left, right) = (plan.input(0)?, plan.input(1)?);
        let both: Vec<Type> = left.iter().chain(&right).cloned().collect();
        let made = if kind.has_pairs() { &both } else { &left };
        if data(made) != data(&plan.output()) {
            return Err("the output is not the columns of its sides".into());
        }
        let pair = Arc::new(RowLayout::new(both));
        let (of_left, of_right) = pair.columns().split_at(left.len());
        // Only the filter counts: the kernel need not make any column.
        let filter = condition.map(|spec| KernelSpec { outputs: Vec::new(), ..spec.clone() });
        let kernel = filter.map(|spec| plan.factory.kernel(&spec).map_err(|e| e.0));
        Ok(Self {
            left: RowLayout::new(left).columns().to_vec(),
            right: RowLayout::new(right).columns().to_vec(),
            condition: kernel.transpose()?,
            of_pair: [of_left.to_vec(), of_right.to_vec()],
            candidates: BatchBuilder::new(pair),
            passed: BatchBuilder::new(Arc::new(RowLayout::new(Vec::new()))),
            bad: ErrorBuffer::default(),
            append_only: plan.vertex.changelog == Changelog::Append,
        })
    }

    /// Adds a pair.
    pub(super) fn push(&mut self, left: RowRef<'_>, right: RowRef<'_>) {
        self.candidates.begin();
        copy(&mut self.candidates, 0, left, &self.left);
        copy(&mut self.candidates, self.left.len(), right, &self.right);
        self.candidates.finish(self.candidates.len() as i64 + 1);
    }

    /// Bytes of the pairs that wait.
    pub(super) fn bytes(&self) -> usize {
        self.candidates.bytes()
    }

    /// Takes the pairs, and the positions of those that pass the condition.
    pub(super) fn take(&mut self, cx: &mut OpCx<'_>) -> (RowBatch, Vec<usize>) {
        let pairs = self.candidates.take();
        let Some(condition) = &mut self.condition else {
            let all = (0..pairs.len()).collect();
            return (pairs, all);
        };
        condition.run(&pairs, &cx.kernel, &mut self.passed, &mut self.bad);
        for error in self.bad.errors.drain(..) {
            let row = pairs.row(error.row as usize);
            cx.reports.fail(pairs.layout(), row, 1, error);
        }
        let passed = self.passed.take();
        let place = |i| usize::try_from(passed.weight(i) - 1).ok();
        let places = (0..passed.len()).filter_map(place).collect();
        self.passed.recycle(passed);
        (pairs, places)
    }

    /// The columns of a side in a pair.
    pub(super) fn columns_of(&self, side: usize) -> &[Column] {
        &self.of_pair[side]
    }

    /// Gives the buffers of a taken batch back.
    pub(super) fn recycle(&mut self, pairs: RowBatch) {
        self.candidates.recycle(pairs);
    }

    /// Emits an output row with a weight: as often as it says where the output is append-only.
    pub(super) fn emit(&self, row: RowRef<'_>, weight: i64, emit: &mut BatchBuilder) {
        if self.append_only {
            emit.push_copies(row, weight);
        } else {
            emit.push_row(row, weight);
        }
    }

    /// Emits a row of a side (0 left, 1 right) without its partner.
    pub(super) fn emit_alone(
        &self,
        side: usize,
        row: RowRef<'_>,
        weight: i64,
        emit: &mut BatchBuilder,
    ) {
        let (first, columns) = match side {
            0 => (0, &self.left),
            _ => (self.left.len(), &self.right),
        };
        self.emit_columns(first, row, columns, weight, emit);
    }

    /// Emits the left row of a pair.
    pub(super) fn emit_left_of(&self, pair: RowRef<'_>, weight: i64, emit: &mut BatchBuilder) {
        self.emit_columns(0, pair, &self.of_pair[0], weight, emit);
    }

    fn emit_columns(
        &self,
        first: usize,
        row: RowRef<'_>,
        columns: &[Column],
        weight: i64,
        emit: &mut BatchBuilder,
    ) {
        let (times, weight) = if self.append_only { (weight, 1) } else { (1, weight) };
        for _ in 0..times {
            if emit.is_over() {
                return;
            }
            emit.begin();
            copy(emit, first, row, columns);
            emit.finish(weight);
        }
    }
}

/// A row is there so often at most: sums of weights are then far from 64 bits.
const WEIGHT_MAX: u64 = 1 << 56;

/// How often the pairs of rows of these weights are there.
///
/// # Errors
/// If that is more than can be counted.
pub(super) fn product(left: i64, right: i64) -> Result<i64, OpError> {
    let product = left.checked_mul(right);
    product.filter(|product| product.unsigned_abs() <= WEIGHT_MAX).ok_or(OpError::TooMuch)
}

/// The key columns of a side in which NULL equals nothing: all but those at these positions.
pub(super) fn strict(side: &Side, keys: &[usize], nulls_equal: &[usize]) -> KeyEncoder {
    let strict = keys.iter().enumerate().filter(|(at, _)| !nulls_equal.contains(at));
    let strict: Vec<usize> = strict.map(|(_, column)| *column).collect();
    KeyEncoder::new(&side.layout, &strict)
}

/// Sets the columns of the open row from `first` on to these ones of another row.
pub(super) fn copy(out: &mut BatchBuilder, first: usize, row: RowRef<'_>, columns: &[Column]) {
    for (i, column) in columns.iter().enumerate() {
        out.copy_column(first + i, row, *column);
    }
}

//! What changed in an epoch, as −old/+new: of the rows of a point table, and of output rows whose
//! weights add up.

use std::sync::Arc;

use flow_ir::row::{BatchBuilder, KeyBatch, KeyDecoder, KeyEncoder, RowLayout, RowRef};
use flow_ir::types::{DataType, Type};

use super::OpError;
use crate::state::{PointTable, SlotId};

/// Emits −old/+new for each entry that is not what it was when the epoch began, in the order of
/// their first touch.
pub(super) fn emit_changes(table: &PointTable, emit: &mut BatchBuilder) {
    let mut now = Vec::new();
    for &slot in table.touched() {
        let before = table.before(slot);
        now.clear();
        if table.is_live(slot) {
            table.value_ref(slot).append_row(&mut now);
        }
        if before.map_or(&[][..], RowRef::words) == now {
            continue;
        }
        if let Some(before) = before {
            emit.push_row(before, -1);
        }
        if !now.is_empty() {
            emit.push_row(RowRef::new(&now), 1);
        }
    }
}

/// Output rows of an epoch with their net weights.
pub(super) struct NetRows {
    encoder: KeyEncoder,
    decoder: KeyDecoder,
    /// Key bytes of the whole row → weight.
    weights: PointTable,
    keys: KeyBatch,
    added: Vec<i64>,
    slots: Vec<SlotId>,
    key: Vec<u8>,
}

impl NetRows {
    /// For rows of these types.
    pub(super) fn new(types: &[Type]) -> Self {
        let layout = RowLayout::new(types.to_vec());
        let all: Vec<usize> = (0..types.len()).collect();
        let weight = vec![Type::not_null(DataType::BigInt)];
        Self {
            encoder: KeyEncoder::new(&layout, &all),
            decoder: KeyDecoder::new(types.to_vec()),
            weights: PointTable::scratch(Arc::new(RowLayout::new(weight))),
            keys: KeyBatch::default(),
            added: Vec::new(),
            slots: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Adds rows with their weights.
    pub(super) fn add<'r>(
        &mut self,
        rows: impl Iterator<Item = (RowRef<'r>, i64)>,
    ) -> Result<(), OpError> {
        self.keys.clear();
        self.added.clear();
        for (row, weight) in rows {
            self.key.clear();
            self.encoder.append(row, &mut self.key);
            self.keys.push(&self.key);
            self.added.push(weight);
        }
        self.weights.upsert(&self.keys, &mut self.slots)?;
        for (&slot, weight) in self.slots.iter().zip(&self.added) {
            let mut sum = self.weights.value(slot);
            let total = (sum.word(0) as i64).checked_add(*weight).ok_or(OpError::TooMuch)?;
            sum.set_word(0, total as u64);
        }
        Ok(())
    }

    /// Memory, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.weights.memory_bytes()
    }

    /// Emits what is left, rows taken back first, and begins anew.
    pub(super) fn emit(&mut self, emit: &mut BatchBuilder) -> Result<(), OpError> {
        for taken_back in [true, false] {
            for &slot in self.weights.touched() {
                let weight = self.weights.value_ref(slot).word(0) as i64;
                if weight == 0 || (weight < 0) != taken_back {
                    continue;
                }
                emit.begin();
                if !self.decoder.decode(self.weights.key(slot), emit, 0) {
                    return Err(OpError::Internal("an output row cannot be read back"));
                }
                emit.finish(weight);
            }
        }
        self.weights.clear();
        Ok(())
    }
}

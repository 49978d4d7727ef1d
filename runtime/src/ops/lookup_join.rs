//! LookupJoin: each left row with the right rows that are there. The right side is read to its end
//! before anything else, so left rows wait only for the end of their epoch's inputs: nothing that
//! they are joined with changes after that.

use flow_ir::ids::TableId;
use flow_ir::physical::{JoinKind, LookupJoin, TableKind};
use flow_ir::row::{KeyBatch, RowBatch, key_group};
use flow_ir::types::DataType;

use super::join::PAIRS_MAX;
use super::pairs::{Pairs, Side, check_keys, product};
use super::{OpCx, OpError, Operator, Plan};

pub(super) struct LookupJoinOp {
    kind: JoinKind,
    sides: [Side; 2],
    right: TableId,
    pairs: Pairs,
    /// Of each pair, the left row of the batch and the right row's weight.
    origins: Vec<(usize, i64)>,
    /// Left rows of the epoch.
    waiting: Vec<RowBatch>,
    key: Vec<u8>,
}

impl LookupJoinOp {
    pub(super) fn new(op: &LookupJoin, plan: &Plan<'_>) -> Result<Self, String> {
        let (left, right) = (plan.input(0)?, plan.input(1)?);
        check_keys(&left, &op.left_keys, &right, &op.right_keys)?;
        Ok(Self {
            kind: op.kind,
            right: plan.table(op.right, TableKind::Ordered, &[DataType::BigInt])?,
            pairs: Pairs::new(plan, op.condition.as_ref(), op.kind)?,
            sides: [Side::new(left, &op.left_keys)?, Side::new(right, &op.right_keys)?],
            origins: Vec::new(),
            waiting: Vec::new(),
            key: Vec::new(),
        })
    }

    /// Keeps right rows.
    fn learn(&mut self, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut keys = std::mem::take(&mut self.sides[1].keys);
        self.sides[1].key.encode(rows, &mut keys);
        for (i, row) in rows.rows().enumerate() {
            if self.sides[1].key.has_null(row) {
                continue;
            }
            self.key.clear();
            self.key.extend_from_slice(keys.key(i));
            self.sides[1].append_row(row, &mut self.key);
            let table = cx.state.ordered(self.right);
            table.add_weight(key_group(keys.hash(i)), &self.key, rows.weight(i))?;
        }
        self.sides[1].keys = keys;
        Ok(())
    }

    /// Collects the pairs of row `i` of a batch.
    fn collect(
        &mut self,
        i: usize,
        rows: &RowBatch,
        keys: &KeyBatch,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (key, group) = (keys.key(i), key_group(keys.hash(i)));
        let (limit, table) = (cx.limit_bytes, cx.state.ordered(self.right));
        let weight = table.layout().column(0);
        let origins = &mut self.origins;
        let found = table.scan(Some(group), key)?.map(|entry| {
            origins.push((i, entry.row.i64(weight)));
            &entry.key[key.len()..]
        });
        let found = self.sides[1].rows(found, limit)?;
        for partner in found.rows() {
            self.pairs.push(rows.row(i), partner);
        }
        self.sides[1].recycle(found);
        Ok(())
    }

    /// Emits the pairs collected that pass, and notes whose they are.
    fn look(
        &mut self,
        rows: &RowBatch,
        matched: &mut [bool],
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (pairs, passed) = self.pairs.take(cx);
        for place in passed {
            let (i, weight) = self.origins[place];
            matched[i] = true;
            let weight = product(weight, rows.weight(i))?;
            self.pairs.emit(pairs.row(place), weight, cx.emit);
        }
        self.pairs.recycle(pairs);
        self.origins.clear();
        cx.refuse_too_much(0)
    }

    fn join(&mut self, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut keys = std::mem::take(&mut self.sides[0].keys);
        self.sides[0].key.encode(rows, &mut keys);
        let mut matched = vec![false; rows.len()];
        for (i, row) in rows.rows().enumerate() {
            if !self.sides[0].key.has_null(row) {
                self.collect(i, rows, &keys, cx)?;
            }
            if self.origins.len() >= PAIRS_MAX {
                self.look(rows, &mut matched, cx)?;
            }
        }
        self.look(rows, &mut matched, cx)?;
        self.sides[0].keys = keys;
        if self.kind.keeps_lonely(0) {
            for (i, row) in rows.rows().enumerate().filter(|(i, _)| !matched[*i]) {
                self.pairs.emit_alone(0, row, rows.weight(i), cx.emit);
            }
        }
        Ok(())
    }
}

impl Operator for LookupJoinOp {
    fn on_batch(&mut self, port: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        if port == 1 {
            return self.learn(rows, cx);
        }
        self.waiting.push(rows.clone());
        cx.refuse_too_much(self.waiting.iter().map(RowBatch::bytes).sum())
    }

    fn on_watermark(&mut self, _: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        for rows in std::mem::take(&mut self.waiting) {
            self.join(&rows, cx)?;
        }
        Ok(())
    }
}

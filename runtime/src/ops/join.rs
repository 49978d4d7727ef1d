//! Join: two changelogs for ever. Each side's rows are kept with their weights; a change on one
//! side meets all rows that the other side has by then, so that every pair is met once. Where a
//! row's output depends on whether it has partners, their weight is kept with it, and the row goes
//! out, or is taken back, when that becomes positive or is no longer. Where rows are taken back, an
//! epoch's output is added up first: what came and went within it is not seen.

use std::sync::Arc;

use flow_ir::ids::TableId;
use flow_ir::physical::{Changelog, Join, JoinKind, TableKind};
use flow_ir::row::{
    BatchBuilder, Column, KeyBatch, KeyEncoder, RowBatch, RowLayout, RowRef, key_group, key_hash,
};
use flow_ir::types::DataType;

use super::changes::NetRows;
use super::pairs::{Keys, Pairs, Side, check_keys, copy, product};
use super::{OpCx, OpError, Operator, Plan};
use crate::state::OrderedTable;

/// Pairs that are held before they are looked at, at most about this many.
pub(super) const PAIRS_MAX: usize = 16_384;

pub(super) struct JoinOp {
    kind: JoinKind,
    /// The key columns in which NULL equals nothing.
    strict: [KeyEncoder; 2],
    sides: [Side; 2],
    tables: [TableId; 2],
    /// Whether a side's rows know the weight of their partners.
    counted: [bool; 2],
    pairs: Pairs,
    /// Of each pair, the row of the batch and the partner's weight.
    origins: Vec<(usize, i64)>,
    /// Of each pair, the partner's key in its table, if its partners are counted.
    partners: Keys,
    /// Of each row of the batch, the weight of its partners.
    counts: Vec<i64>,
    alone: Alone,
    /// Output of the epoch, where rows may be taken back.
    net: Option<NetRows>,
    key: Vec<u8>,
}

/// Rows of one side that go out without a partner, with their weights.
struct Alone {
    rows: BatchBuilder,
    /// Where each side's columns begin in the output; a side without a place is not in it.
    first: [Option<usize>; 2],
}

impl Alone {
    fn push(&mut self, side: usize, row: RowRef<'_>, columns: &[Column], weight: i64) {
        let Some(first) = self.first[side].filter(|_| weight != 0) else { return };
        self.rows.begin();
        copy(&mut self.rows, first, row, columns);
        self.rows.finish(weight);
    }
}

impl JoinOp {
    pub(super) fn new(op: &Join, plan: &Plan<'_>) -> Result<Self, String> {
        let (left, right, output) = (plan.input(0)?, plan.input(1)?, plan.output());
        check_keys(&left, &op.left_keys, &right, &op.right_keys)?;
        let counted = [0, 1].map(|side| op.kind.counts_partners(side));
        let table = |id, side: usize| {
            let numbers = if counted[side] { 2 } else { 1 };
            plan.table(id, TableKind::Ordered, &vec![DataType::BigInt; numbers])
        };
        let retracts = plan.vertex.changelog == Changelog::Retract;
        if !retracts && !matches!(op.kind, JoinKind::Inner | JoinKind::Semi) {
            return Err("an outer or anti join takes rows back".into());
        }
        let strict = |keys: &[usize]| -> Vec<usize> {
            let at = keys.iter().enumerate().filter(|(at, _)| !op.nulls_equal.contains(at));
            at.map(|(_, column)| *column).collect()
        };
        let sides = [Side::new(left, &op.left_keys)?, Side::new(right, &op.right_keys)?];
        let right_first = op.kind.has_pairs().then_some(sides[0].layout.len());
        Ok(Self {
            kind: op.kind,
            strict: [
                KeyEncoder::new(&sides[0].layout, &strict(&op.left_keys)),
                KeyEncoder::new(&sides[1].layout, &strict(&op.right_keys)),
            ],
            tables: [table(op.left, 0)?, table(op.right, 1)?],
            counted,
            pairs: Pairs::new(plan, op.condition.as_ref(), op.kind)?,
            origins: Vec::new(),
            partners: Keys::default(),
            counts: Vec::new(),
            alone: Alone {
                rows: BatchBuilder::new(Arc::new(RowLayout::new(output.clone()))),
                first: [Some(0), right_first],
            },
            net: retracts.then(|| NetRows::new(&output)),
            key: Vec::new(),
            sides,
        })
    }

    /// Whether a row can have a partner.
    fn may_match(&self, side: usize, row: RowRef<'_>) -> bool {
        !self.strict[side].has_null(row)
    }

    /// How often a row of weight 1 goes out alone when its partners have this weight.
    fn shows_alone(&self, side: usize, partners: i64) -> i64 {
        let matched = partners > 0;
        i64::from(match self.kind {
            JoinKind::Semi => side == 0 && matched,
            _ => self.kind.keeps_lonely(side) && !matched,
        })
    }

    /// Collects the pairs of row `i` of the batch.
    fn collect(
        &mut self,
        own: usize,
        i: usize,
        row: RowRef<'_>,
        (key, group): (&[u8], u8),
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let other = 1 - own;
        let counted = self.counted[other];
        let (limit, table) = (cx.limit_bytes, cx.state.ordered(self.tables[other]));
        let weight = table.layout().column(0);
        let (origins, partners) = (&mut self.origins, &mut self.partners);
        let found = table.scan(Some(group), key)?.map(|entry| {
            origins.push((i, entry.row.i64(weight)));
            partners.push(if counted { entry.key } else { &[] });
            &entry.key[key.len()..]
        });
        let found = self.sides[other].rows(found, limit)?;
        for partner in found.rows() {
            let [left, right] = if own == 0 { [row, partner] } else { [partner, row] };
            self.pairs.push(left, right);
        }
        self.sides[other].recycle(found);
        Ok(())
    }

    /// Looks at the pairs collected: emits those that pass, and tells partners of each other.
    fn look(
        &mut self,
        own: usize,
        rows: &RowBatch,
        keys: &KeyBatch,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (pairs, passed) = self.pairs.take(cx);
        let other = 1 - own;
        for &place in &passed {
            let (i, partner) = self.origins[place];
            self.counts[i] = self.counts[i].wrapping_add(partner);
            if self.counted[other] {
                let table = cx.state.ordered(self.tables[other]);
                let (group, key) = (key_group(keys.hash(i)), self.partners.get(place));
                let (before, after) = add_partners(table, group, key, rows.weight(i))?;
                let shown = self.shows_alone(other, after) - self.shows_alone(other, before);
                let columns = self.pairs.columns_of(other);
                let weight = product(shown, partner)?;
                self.alone.push(other, pairs.row(place), columns, weight);
            }
        }
        if self.kind.has_pairs() {
            for &place in &passed {
                let (i, partner) = self.origins[place];
                product(rows.weight(i), partner)?;
            }
            let weights = passed.iter().map(|&place| {
                let (i, partner) = self.origins[place];
                (pairs.row(place), rows.weight(i) * partner)
            });
            match &mut self.net {
                Some(net) => net.add(weights)?,
                None => weights.for_each(|(row, weight)| self.pairs.emit(row, weight, cx.emit)),
            }
        }
        self.pairs.recycle(pairs);
        self.origins.clear();
        self.partners.clear();
        self.emit_alone(cx)?;
        cx.refuse_too_much(self.net.as_ref().map_or(0, NetRows::bytes))
    }

    /// Keeps a row of the batch, whose partners have this weight.
    fn keep(
        &mut self,
        own: usize,
        row: RowRef<'_>,
        weight: i64,
        (key, partners): (&[u8], i64),
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        self.key.clear();
        self.key.extend_from_slice(key);
        self.sides[own].append_row(row, &mut self.key);
        let group = key_group(key_hash(key));
        let table = cx.state.ordered(self.tables[own]);
        if !self.counted[own] {
            table.add_weight(group, &self.key, weight)?;
            return Ok(());
        }
        let column = table.layout().column(0);
        let known = table.get(group, &self.key)?.map_or(0, |entry| entry.i64(column));
        match known.wrapping_add(weight) {
            0 => table.delete(group, &self.key)?,
            sum => table.put(group, &self.key, RowRef::new(&counted_row(sum, partners)))?,
        }
        Ok(())
    }

    /// Emits the rows that go out alone.
    fn emit_alone(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        if self.alone.rows.is_empty() {
            return Ok(());
        }
        let alone = self.alone.rows.take();
        let rows = alone.rows().enumerate().map(|(i, row)| (row, alone.weight(i)));
        match &mut self.net {
            Some(net) => net.add(rows)?,
            None => rows.for_each(|(row, weight)| self.pairs.emit(row, weight, cx.emit)),
        }
        self.alone.rows.recycle(alone);
        Ok(())
    }
}

/// Adds to the weight of a row's partners; that before and after.
fn add_partners(
    table: &mut OrderedTable,
    group: u8,
    key: &[u8],
    weight: i64,
) -> Result<(i64, i64), OpError> {
    let columns = [table.layout().column(0), table.layout().column(1)];
    let Some(row) = table.get(group, key)? else {
        return Err(OpError::Internal("a partner is no longer there"));
    };
    let (own, before) = (row.i64(columns[0]), row.i64(columns[1]));
    let after = before.wrapping_add(weight);
    table.put(group, key, RowRef::new(&counted_row(own, after)))?;
    Ok((before, after))
}

/// A kept row's value: length, null bits, its weight and that of its partners.
fn counted_row(weight: i64, partners: i64) -> [u64; 4] {
    [32, 0, weight as u64, partners as u64]
}

impl Operator for JoinOp {
    fn on_batch(&mut self, port: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut keys = std::mem::take(&mut self.sides[port].keys);
        self.sides[port].key.encode(rows, &mut keys);
        self.counts.clear();
        self.counts.resize(rows.len(), 0);
        for (i, row) in rows.rows().enumerate() {
            if self.may_match(port, row) {
                self.collect(port, i, row, (keys.key(i), key_group(keys.hash(i))), cx)?;
            }
            if self.origins.len() >= PAIRS_MAX {
                self.look(port, rows, &keys, cx)?;
            }
        }
        self.look(port, rows, &keys, cx)?;
        for (i, row) in rows.rows().enumerate() {
            let (weight, partners) = (rows.weight(i), self.counts[i]);
            if self.may_match(port, row) {
                self.keep(port, row, weight, (keys.key(i), partners), cx)?;
            }
            let weight = product(weight, self.shows_alone(port, partners))?;
            self.alone.push(port, row, self.sides[port].layout.columns(), weight);
        }
        self.sides[port].keys = keys;
        self.emit_alone(cx)
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        match &mut self.net {
            Some(net) => net.emit(cx.emit),
            None => Ok(()),
        }
    }
}

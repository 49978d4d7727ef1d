//! Join: two changelogs for ever. Each side's rows are kept with their weights; a change on one
//! side meets all rows that the other side has by then, so that every pair is met once. Where a
//! row's output depends on whether it has partners, their weight is kept with it, and the row goes
//! out, or is taken back, when that becomes positive or is no longer. Where rows are taken back, an
//! epoch's output is added up first: what came and went within it is not seen.

use std::sync::Arc;

use flow_ir::ids::TableId;
use flow_ir::physical::{Changelog, Join, JoinKind, TableKind};
use flow_ir::row::{
    BatchBuilder, Column, KeyBatch, KeyEncoder, RowBatch, RowLayout, RowRef, key_group,
};
use flow_ir::types::Type;

use super::by_key::{ByKey, Run, rows_of};
use super::changes::NetRows;
use super::kept::{self, KeptRows};
use super::kept_lists::{self, KeptLists};
use super::pairs::{Keys, Pairs, Side, check_keys, copy, product};
use super::{OpCx, OpError, Operator, Plan, data};

/// Pairs that are held before they are looked at, at most about this many.
pub(super) const PAIRS_MAX: usize = 16_384;

pub(super) struct JoinOp {
    kind: JoinKind,
    /// The key columns in which NULL equals nothing.
    strict: [KeyEncoder; 2],
    sides: [Side; 2],
    kept: [Kept; 2],
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
    by_key: ByKey,
    key: Vec<u8>,
}

/// How the rows of one side are kept.
enum Kept {
    /// Each for itself, with its weight and perhaps that of its partners.
    Rows(KeptRows),
    /// In lists: they stay as they are.
    Lists(KeptLists),
}

impl Kept {
    /// How many rows a value holds.
    fn len(&self, value: RowRef<'_>) -> usize {
        match self {
            Self::Rows(_) => 1,
            Self::Lists(lists) => lists.len(value),
        }
    }

    /// Bytes of a key behind the join key.
    fn suffix(&self) -> usize {
        match self {
            Self::Rows(_) => kept::NUMBER_BYTES,
            Self::Lists(_) => kept_lists::NUMBER_BYTES,
        }
    }
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
        let side = |side: usize, id, row: &[Type]| -> Result<_, String> {
            let changelog = plan.inputs[side].changelog;
            let value = Join::kept(op.kind, side, row, changelog);
            let kept = match (counted[side], changelog) {
                (false, Changelog::Append) => Kept::Lists(KeptLists::new(row)),
                (false, Changelog::Retract) => Kept::Rows(KeptRows::new(row, 1)),
                (true, _) => Kept::Rows(KeptRows::new(row, 2)),
            };
            Ok((plan.table(id, TableKind::Ordered, &data(&value))?, kept))
        };
        let (left_table, left_kept) = side(0, op.left, &left)?;
        let (right_table, right_kept) = side(1, op.right, &right)?;
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
            kept: [left_kept, right_kept],
            tables: [left_table, right_table],
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
            by_key: ByKey::default(),
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

    /// Collects the pairs of the first rows of a run, of one at least; how many rows those were.
    fn collect(
        &mut self,
        own: usize,
        run: Run<'_>,
        rows: &RowBatch,
        keys: &KeyBatch,
        cx: &mut OpCx<'_>,
    ) -> Result<usize, OpError> {
        let (other, first) = (1 - own, run[0].1 as usize);
        let (key, group) = (keys.key(first), key_group(keys.hash(first)));
        let counted = self.counted[other];
        let Self { pairs, origins, partners, kept, tables, .. } = self;
        let entries = cx.state.ordered(tables[other]).run(group, key)?;
        let (mut count, mut bytes) = (0, 0);
        for entry in entries.clone() {
            count += kept[other].len(entry.row);
            bytes += entry.row.bytes().len();
        }
        if count == 0 {
            return Ok(run.len());
        }
        let of_row = |i: u32| bytes + count * rows.row(i as usize).bytes().len();
        let (mut taken, mut room) = (1, (cx.limit_bytes / 4).saturating_sub(of_row(run[0].1)));
        for (_, i) in &run[1..] {
            if (taken + 1) * count > PAIRS_MAX || of_row(*i) > room {
                break;
            }
            room -= of_row(*i);
            taken += 1;
        }
        let most = pairs.bytes().saturating_add(cx.limit_bytes);
        let mut meet = |key: &[u8], partner: RowRef<'_>, weight: i64| {
            for (_, i) in &run[..taken] {
                let (i, row) = (*i as usize, rows.row(*i as usize));
                origins.push((i, weight));
                partners.push(if counted { key } else { &[] });
                let [left, right] = if own == 0 { [row, partner] } else { [partner, row] };
                pairs.push(left, right);
            }
            if pairs.bytes() > most { Err(OpError::TooMuch) } else { Ok(()) }
        };
        for entry in entries {
            match &kept[other] {
                Kept::Rows(kept) => {
                    meet(entry.key, kept.row(entry.row), kept.number(entry.row, 0))?;
                }
                Kept::Lists(kept) => {
                    let mut rows = kept.rows(entry.row);
                    rows.try_for_each(|(partner, weight)| meet(&[], partner, weight))?;
                }
            }
        }
        Ok(taken)
    }

    /// Looks at the pairs collected: emits those that pass, and tells partners of each other.
    fn look(
        &mut self,
        own: usize,
        rows: &RowBatch,
        keys: &KeyBatch,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (pairs, mut passed) = self.pairs.take(cx);
        // What comes out is in the order of what came in.
        passed.sort_by_key(|&place| self.origins[place].0);
        let other = 1 - own;
        for &place in &passed {
            let (i, partner) = self.origins[place];
            self.counts[i] = self.counts[i].wrapping_add(partner);
            if let (true, Kept::Rows(kept)) = (self.counted[other], &mut self.kept[other]) {
                let table = cx.state.ordered(self.tables[other]);
                let (group, key) = (key_group(keys.hash(i)), self.partners.get(place));
                let add = |partners: i64| partners.wrapping_add(rows.weight(i));
                let (before, after) = kept.change(table, (group, key), 1, add)?;
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

    /// Keeps the rows of a run.
    fn keep(
        &mut self,
        own: usize,
        run: Run<'_>,
        rows: &RowBatch,
        keys: &KeyBatch,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let first = run[0].1 as usize;
        let (group, key) = (key_group(keys.hash(first)), keys.key(first));
        let table = cx.state.ordered(self.tables[own]);
        let kept = match &mut self.kept[own] {
            Kept::Rows(kept) => kept,
            Kept::Lists(kept) => {
                if rows_of(run, rows).any(|(_, weight)| weight < 0) {
                    return Err(OpError::Internal("an append-only input takes a row back"));
                }
                self.key.clear();
                self.key.extend_from_slice(key);
                return kept.add(table, group, &mut self.key, rows_of(run, rows));
            }
        };
        for (&(_, i), (row, weight)) in run.iter().zip(rows_of(run, rows)) {
            let partners = self.counts[i as usize];
            self.key.clear();
            self.key.extend_from_slice(key);
            let known = kept.find(table, group, &mut self.key, row)?;
            let known_weight = known.map_or(0, |numbers| numbers[0]);
            let at = (group, &self.key[..]);
            match (known_weight.wrapping_add(weight), known) {
                (0, None) => {}
                (0, Some(_)) => kept.remove(table, group, &self.key)?,
                (sum, _) if self.counted[own] => kept.put(table, at, &[sum, partners], row)?,
                (sum, _) => kept.put(table, at, &[sum], row)?,
            }
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

impl Operator for JoinOp {
    fn on_batch(&mut self, port: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        for (table, kept) in self.tables.iter().zip(&self.kept) {
            cx.state.ordered(*table).set_runs(kept.suffix());
        }
        let mut keys = std::mem::take(&mut self.sides[port].keys);
        self.sides[port].key.encode(rows, &mut keys);
        self.counts.clear();
        self.counts.resize(rows.len(), 0);
        let mut by_key = std::mem::take(&mut self.by_key);
        by_key.sort(&keys, |i| self.may_match(port, rows.row(i)));
        for mut run in by_key.runs(&keys) {
            while !run.is_empty() {
                let taken = self.collect(port, run, rows, &keys, cx)?;
                run = &run[taken..];
                if self.origins.len() >= PAIRS_MAX {
                    self.look(port, rows, &keys, cx)?;
                }
            }
        }
        self.look(port, rows, &keys, cx)?;
        for run in by_key.runs(&keys) {
            self.keep(port, run, rows, &keys, cx)?;
        }
        self.by_key = by_key;
        for (i, row) in rows.rows().enumerate() {
            let weight = product(rows.weight(i), self.shows_alone(port, self.counts[i]))?;
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

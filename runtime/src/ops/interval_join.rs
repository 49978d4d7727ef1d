//! IntervalJoin: pairs of two append-only streams whose times are within a distance. A row is kept
//! until the watermark says that no partner can come; one that is unmatched by then goes out alone,
//! where the join keeps the rows of its side. Of a semi join a left row goes out with its first
//! partner.

use std::ops::Bound::{Excluded, Included, Unbounded};

use flow_ir::ids::TableId;
use flow_ir::physical::{IntervalJoin, JoinKind, TableKind};
use flow_ir::row::{
    Column, KeyBatch, KeyEncoder, RowBatch, RowLayout, RowRef, key_group, key_hash,
};
use flow_ir::types::{DataType, Type};

use super::aggregation::{push_i64, read_i64};
use super::join::PAIRS_MAX;
use super::pairs::{Keys, Pairs, Side, check_keys, product, strict};
use super::{OpCx, OpError, Operator, Plan, words_of};
use crate::state::prefix_end;

/// Bytes of a number in a key.
const NUMBER_BYTES: usize = 9;
/// A row without columns: its length in bytes.
const EMPTY_ROW: [u64; 1] = [8];

pub(super) struct IntervalJoinOp {
    kind: JoinKind,
    /// The key columns in which NULL equals nothing.
    strict: [KeyEncoder; 2],
    lower: i64,
    upper: i64,
    sides: [Side; 2],
    times: [Column; 2],
    tables: [TableId; 2],
    timers: TableId,
    pairs: Pairs,
    /// Of each pair, the row of the batch and how often the partner is there.
    origins: Vec<(usize, i64)>,
    /// Of each pair, the partner's key in its table if it was not matched before.
    partners: Keys,
    count: Column,
    matched: Column,
    key: Vec<u8>,
}

impl IntervalJoinOp {
    pub(super) fn new(op: &IntervalJoin, plan: &Plan<'_>) -> Result<Self, String> {
        let (left, right) = (plan.input(0)?, plan.input(1)?);
        check_keys(&left, &op.left_keys, &right, &op.right_keys)?;
        words_of(&[op.left_time], &left)?;
        words_of(&[op.right_time], &right)?;
        if op.lower > op.upper {
            return Err("the interval is empty".into());
        }
        let kept = [DataType::BigInt, DataType::Boolean];
        let kept_layout = RowLayout::new(kept.clone().map(Type::not_null).to_vec());
        let table = |id| plan.table(id, TableKind::Ordered, &kept);
        let sides = [Side::new(left, &op.left_keys)?, Side::new(right, &op.right_keys)?];
        Ok(Self {
            kind: op.kind,
            strict: [
                strict(&sides[0], &op.left_keys, &op.nulls_equal),
                strict(&sides[1], &op.right_keys, &op.nulls_equal),
            ],
            lower: op.lower,
            upper: op.upper,
            times: [sides[0].layout.column(op.left_time), sides[1].layout.column(op.right_time)],
            sides,
            tables: [table(op.left)?, table(op.right)?],
            timers: plan.table(op.timers, TableKind::Ordered, &[])?,
            pairs: Pairs::new(plan, op.condition.as_ref(), op.kind)?,
            origins: Vec::new(),
            partners: Keys::default(),
            count: kept_layout.column(0),
            matched: kept_layout.column(1),
            key: Vec::new(),
        })
    }

    /// The times of partners of a row on this side.
    fn partner_times(&self, side: usize, time: i64) -> (i64, i64) {
        match side {
            0 => (time.saturating_add(self.lower), time.saturating_add(self.upper)),
            _ => (time.saturating_sub(self.upper), time.saturating_sub(self.lower)),
        }
    }

    /// The latest time of a partner: when the watermark is past it, the row goes.
    fn expiry(&self, side: usize, time: i64) -> i64 {
        self.partner_times(side, time).1
    }

    /// The latest time of rows of a side that go at this expiry.
    fn expired_until(&self, side: usize, expiry: i64) -> i64 {
        match (side, expiry) {
            (_, i64::MAX) => i64::MAX,
            (0, _) => expiry.saturating_sub(self.upper),
            (_, _) => expiry.saturating_add(self.lower),
        }
    }

    /// Collects the pairs of row `i` of the batch.
    fn collect(
        &mut self,
        side: usize,
        i: usize,
        row: RowRef<'_>,
        key: &[u8],
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (first, last) = self.partner_times(side, row.i64(self.times[side]));
        let (from, to) = (at_time(key, first), at_time(key, last));
        let to = prefix_end(&to);
        let group = key_group(key_hash(key));
        let limit = cx.limit_bytes;
        let table = cx.state.ordered(self.tables[1 - side]);
        let to = to.as_deref().map_or(Unbounded, Excluded);
        let entries = table.range(Some(group), Included(&from), to)?;
        let (count, matched) = (self.count, self.matched);
        let wants_flag = self.kind.counts_partners(1 - side);
        let (origins, partners) = (&mut self.origins, &mut self.partners);
        let entries = entries.map(|entry| {
            origins.push((i, entry.row.i64(count)));
            let unmatched = wants_flag && entry.row.word(matched) == 0;
            partners.push(if unmatched { entry.key } else { &[] });
            &entry.key[from.len()..]
        });
        let rows = self.sides[1 - side].rows(entries, limit)?;
        for partner in rows.rows() {
            let [left, right] = if side == 0 { [row, partner] } else { [partner, row] };
            self.pairs.push(left, right);
        }
        Ok(())
    }

    /// Looks at the pairs collected: emits those that pass, and notes who is matched.
    fn look(
        &mut self,
        side: usize,
        rows: &RowBatch,
        keys: &KeyBatch,
        matched: &mut [bool],
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (pairs, passed) = self.pairs.take(cx);
        for place in passed {
            let (i, count) = self.origins[place];
            matched[i] = true;
            let partner = self.partners.get(place);
            let mut is_first = !partner.is_empty();
            if is_first {
                let group = key_group(keys.hash(i));
                let table = cx.state.ordered(self.tables[1 - side]);
                let known = table.get(group, partner)?;
                is_first = known.is_some_and(|row| row.word(self.matched) == 0);
                table.put(group, partner, RowRef::new(&kept_row(count, true)))?;
            }
            if self.kind.has_pairs() {
                let weight = product(count, rows.weight(i))?;
                self.pairs.emit(pairs.row(place), weight, cx.emit);
            } else if is_first && self.kind == JoinKind::Semi && side == 1 {
                self.pairs.emit_left_of(pairs.row(place), count, cx.emit);
            }
        }
        self.pairs.recycle(pairs);
        self.origins.clear();
        self.partners.clear();
        cx.refuse_too_much(0)
    }

    /// Keeps a row, and sets the timer at which it goes.
    fn keep(
        &mut self,
        side: usize,
        row: RowRef<'_>,
        key: &[u8],
        weight: i64,
        matched: bool,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let time = row.i64(self.times[side]);
        let group = key_group(key_hash(key));
        self.key.clear();
        self.key.extend_from_slice(key);
        push_i64(time, &mut self.key);
        self.sides[side].append_row(row, &mut self.key);
        let table = cx.state.ordered(self.tables[side]);
        let old = table.get(group, &self.key)?;
        let (count, flag) = old.map_or((0, 0), |r| (r.i64(self.count), r.word(self.matched)));
        let row = kept_row(count.wrapping_add(weight), matched || flag != 0);
        table.put(group, &self.key, RowRef::new(&row))?;
        self.key.clear();
        push_i64(self.expiry(side, time), &mut self.key);
        push_i64(side as i64, &mut self.key);
        self.key.extend_from_slice(key);
        let timers = cx.state.ordered(self.timers);
        timers.put(group, &self.key, RowRef::new(&EMPTY_ROW))?;
        Ok(())
    }

    /// Drops the rows of a key whose time has come; left rows without a partner go out.
    fn expire(&mut self, timer: &[u8], group: u8, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let parts = timer.split_at_checked(2 * NUMBER_BYTES).and_then(|(numbers, key)| {
            Some((read_i64(numbers)?, read_i64(&numbers[NUMBER_BYTES..])?, key))
        });
        let Some((expiry, side, key)) = parts else {
            return Err(OpError::Internal("a timer cannot be read back"));
        };
        let side = usize::from(side != 0);
        let to = prefix_end(&at_time(key, self.expired_until(side, expiry)));
        let to = to.as_deref().map_or(Unbounded, Excluded);
        let from = at_time(key, i64::MIN);
        let alone = self.kind.keeps_lonely(side);
        let (count, matched) = (self.count, self.matched);
        let (mut counts, mut keys) = (Vec::new(), Keys::default());
        cx.state.ordered(self.tables[side]).drain(Some(group), Included(&from), to, |entry| {
            if alone && entry.row.word(matched) == 0 {
                counts.push(entry.row.i64(count));
                keys.push(&entry.key[from.len()..]);
            }
        })?;
        let rows = self.sides[side].rows((0..counts.len()).map(|i| keys.get(i)), cx.limit_bytes)?;
        for (row, count) in rows.rows().zip(counts) {
            self.pairs.emit_alone(side, row, count, cx.emit);
        }
        cx.refuse_too_much(0)
    }
}

/// A kept row's value: length, null bits, count and flag.
fn kept_row(count: i64, matched: bool) -> [u64; 4] {
    [32, 0, count as u64, u64::from(matched)]
}

/// The key with a time.
fn at_time(key: &[u8], time: i64) -> Vec<u8> {
    let mut bytes = key.to_vec();
    push_i64(time, &mut bytes);
    bytes
}

impl Operator for IntervalJoinOp {
    fn on_batch(&mut self, port: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut keys = std::mem::take(&mut self.sides[port].keys);
        self.sides[port].key.encode(rows, &mut keys);
        let mut matched = vec![false; rows.len()];
        for (i, row) in rows.rows().enumerate() {
            if !self.strict[port].has_null(row) {
                self.collect(port, i, row, keys.key(i), cx)?;
            }
            if self.origins.len() >= PAIRS_MAX {
                self.look(port, rows, &keys, &mut matched, cx)?;
            }
        }
        self.look(port, rows, &keys, &mut matched, cx)?;
        for (i, row) in rows.rows().enumerate() {
            let weight = rows.weight(i);
            // All is known of a left row that has a partner, where pairs are not asked for.
            let is_known = port == 0 && !self.kind.has_pairs() && matched[i];
            if self.strict[port].has_null(row) {
                if self.kind.keeps_lonely(port) {
                    self.pairs.emit_alone(port, row, weight, cx.emit);
                }
            } else if is_known && self.kind == JoinKind::Semi {
                self.pairs.emit_alone(port, row, weight, cx.emit);
            } else if !is_known {
                self.keep(port, row, keys.key(i), weight, matched[i], cx)?;
            }
        }
        self.sides[port].keys = keys;
        Ok(())
    }

    fn on_watermark(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut end = Vec::new();
        push_i64(mark, &mut end);
        let to = if mark == i64::MAX { Unbounded } else { Excluded(&end[..]) };
        let (mut timers, mut groups) = (Keys::default(), Vec::new());
        cx.state.ordered(self.timers).drain(None, Unbounded, to, |entry| {
            timers.push(entry.key);
            groups.push(entry.group);
        })?;
        for (i, group) in groups.into_iter().enumerate() {
            self.expire(timers.get(i), group, cx)?;
        }
        Ok(())
    }

    /// A pair may be as much older than the row that completes it as the times may differ.
    fn watermark_out(&self, mark: i64) -> i64 {
        match mark {
            i64::MIN | i64::MAX => mark,
            _ => mark.saturating_sub(self.upper.max(self.lower.saturating_neg()).max(0)),
        }
    }
}

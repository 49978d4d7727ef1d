//! IntervalJoin: pairs of two append-only streams whose times are within a distance. A row is kept
//! until the watermark says that no partner can come; one that is unmatched by then goes out alone,
//! where the join keeps the rows of its side. Of a semi join a left row goes out with its first
//! partner.
//!
//! Rows are kept by the span of time that they fall into, then by key. So partners are in a few
//! places, and what is too old goes span by span. They stand in lists there; where it matters
//! whether a row has partners, each stands for itself, by its time, and where rows go out alone
//! each has a timer, since that must not come late.

use std::ops::Bound::{Excluded, Included, Unbounded};

use flow_ir::ids::TableId;
use flow_ir::physical::{IntervalJoin, JoinKind, TableKind};
use flow_ir::row::{Column, KeyBatch, KeyEncoder, RowBatch, RowRef, key_group, order_i64};
use flow_ir::types::Type;

use super::aggregation::{NUMBER_BYTES, push_i64, read_i64};
use super::by_key::ByKey;
use super::join::PAIRS_MAX;
use super::kept::KeptRows;
use super::kept_lists::{KeptLists, NUMBER_BYTES as LIST_NUMBER_BYTES};
use super::pairs::{Keys, Pairs, Side, check_keys, product, strict};
use super::{OpCx, OpError, Operator, Plan, data, words_of};

/// Behind a place: more than any row's number, by which its key goes on.
const BEHIND_ROWS: [u8; 16] = [0xff; 16];
/// A row without columns: its length in bytes.
const EMPTY_ROW: [u64; 1] = [8];
/// The numbers of a kept row.
const COUNT: usize = 0;
const MATCHED: usize = 1;

pub(super) struct IntervalJoinOp {
    kind: JoinKind,
    /// The key columns in which NULL equals nothing.
    strict: [KeyEncoder; 2],
    lower: i64,
    upper: i64,
    /// Microseconds.
    span: i64,
    sides: [Side; 2],
    kept: [Kept; 2],
    times: [Column; 2],
    tables: [TableId; 2],
    timers: TableId,
    pairs: Pairs,
    /// Of each pair, the row of the batch and how often the partner is there.
    origins: Vec<(usize, i64)>,
    /// Of each pair, the partner's key in its table if it was not matched before.
    partners: Keys,
    by_key: ByKey,
    /// Rows of one key with the spans that they fall into.
    spans: Vec<(i64, usize)>,
    key: Vec<u8>,
    /// Of a range of keys.
    bounds: [Vec<u8>; 2],
}

/// How the rows of one side are kept.
enum Kept {
    /// Each for itself: count, 1 if it is matched.
    Rows(KeptRows),
    /// In lists.
    Lists(KeptLists),
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
        let table = |side, id, row: &[Type]| {
            plan.table(id, TableKind::Ordered, &data(&IntervalJoin::kept(op.kind, side, row)))
        };
        let tables = [table(0, op.left, &left)?, table(1, op.right, &right)?];
        let kept = |side, row: &[Type]| match op.kind.counts_partners(side) {
            true => Kept::Rows(KeptRows::new(row, MATCHED + 1)),
            false => Kept::Lists(KeptLists::new(row)),
        };
        let kept = [kept(0, &left), kept(1, &right)];
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
            // A row's partners are in three spans at most.
            span: (op.upper.saturating_sub(op.lower) / 2).max(1),
            sides,
            kept,
            tables,
            timers: plan.table(op.timers, TableKind::Ordered, &[])?,
            pairs: Pairs::new(plan, op.condition.as_ref(), op.kind)?,
            origins: Vec::new(),
            partners: Keys::default(),
            by_key: ByKey::default(),
            spans: Vec::new(),
            key: Vec::new(),
            bounds: Default::default(),
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
        (group, key): (u8, &[u8]),
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (first, last) = self.partner_times(side, row.i64(self.times[side]));
        let most = self.pairs.bytes().saturating_add(cx.limit_bytes);
        let (other, time) = (1 - side, self.times[1 - side]);
        let Self { pairs, origins, partners, kept, bounds: [from, to], .. } = self;
        let table = cx.state.ordered(self.tables[other]);
        let mut meet = |key: &[u8], partner: RowRef<'_>, count: i64| {
            origins.push((i, count));
            partners.push(key);
            let [left, right] = if side == 0 { [row, partner] } else { [partner, row] };
            pairs.push(left, right);
            if pairs.bytes() > most { Err(OpError::TooMuch) } else { Ok(()) }
        };
        for span in first.div_euclid(self.span)..=last.div_euclid(self.span) {
            from.clear();
            place(span, key, from);
            let kept = match &kept[other] {
                Kept::Rows(kept) => kept,
                Kept::Lists(kept) => {
                    for entry in table.run(group, from)? {
                        for (partner, count) in kept.rows(entry.row) {
                            if (first..=last).contains(&partner.i64(time)) {
                                meet(&[], partner, count)?;
                            }
                        }
                    }
                    continue;
                }
            };
            to.clear();
            place(span, key, to);
            push_i64(first, from);
            push_i64(last, to);
            to.extend_from_slice(&BEHIND_ROWS);
            for entry in table.range(Some(group), Included(from), Excluded(to))? {
                let is_matched = kept.number(entry.row, MATCHED) != 0;
                let key = if is_matched { &[] } else { entry.key };
                meet(key, kept.row(entry.row), kept.number(entry.row, COUNT))?;
            }
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
            if let (true, Kept::Rows(kept)) = (is_first, &mut self.kept[1 - side]) {
                let table = cx.state.ordered(self.tables[1 - side]);
                let at = (key_group(keys.hash(i)), partner);
                is_first = kept.change(table, at, MATCHED, |_| 1)?.0 == 0;
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

    /// Keeps the rows of a batch on a side whose rows stand in lists: those that may have partners.
    fn list(
        &mut self,
        side: usize,
        rows: &RowBatch,
        keys: &KeyBatch,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let Kept::Lists(kept) = &mut self.kept[side] else { return Ok(()) };
        let table = cx.state.ordered(self.tables[side]);
        self.by_key.sort(keys, |i| !self.strict[side].has_null(rows.row(i)));
        for run in self.by_key.runs(keys) {
            let spans = run.iter().map(|&(_, i)| {
                let time = rows.row(i as usize).i64(self.times[side]);
                (time.div_euclid(self.span), i as usize)
            });
            self.spans.clear();
            self.spans.extend(spans);
            self.spans.sort_unstable();
            for of_span in self.spans.chunk_by(|a, b| a.0 == b.0) {
                let (span, first) = of_span[0];
                self.key.clear();
                place(span, keys.key(first), &mut self.key);
                let rows = of_span.iter().map(|&(_, i)| (rows.row(i), rows.weight(i)));
                kept.add(table, key_group(keys.hash(first)), &mut self.key, rows)?;
            }
        }
        Ok(())
    }

    /// Keeps a row for itself, and sets the timer at which it goes if it may go out alone then.
    fn keep(
        &mut self,
        side: usize,
        row: RowRef<'_>,
        (group, key): (u8, &[u8]),
        weight: i64,
        matched: bool,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let Kept::Rows(kept) = &mut self.kept[side] else { return Ok(()) };
        let time = row.i64(self.times[side]);
        self.key.clear();
        place(time.div_euclid(self.span), key, &mut self.key);
        push_i64(time, &mut self.key);
        let table = cx.state.ordered(self.tables[side]);
        let known = kept.find(table, group, &mut self.key, row)?;
        let [count, flag] = known.unwrap_or_default();
        let numbers = [count.wrapping_add(weight), flag | i64::from(matched)];
        kept.put(table, (group, &self.key), &numbers, row)?;
        if self.kind.keeps_lonely(side) {
            self.key.clear();
            for number in [self.expiry(side, time), side as i64, time] {
                push_i64(number, &mut self.key);
            }
            self.key.extend_from_slice(key);
            let timers = cx.state.ordered(self.timers);
            timers.put(group, &self.key, RowRef::new(&EMPTY_ROW))?;
        }
        Ok(())
    }

    /// Drops the rows of a timer, which has come; those without a partner go out.
    fn expire(&mut self, timer: &[u8], group: u8, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let number = |at: usize| timer.get(at * NUMBER_BYTES..).and_then(read_i64);
        let (Some(side), Some(time), Some(key)) =
            (number(1), number(2), timer.get(3 * NUMBER_BYTES..))
        else {
            return Err(OpError::Internal("a timer cannot be read back"));
        };
        let side = usize::from(side != 0);
        let Kept::Rows(kept) = &self.kept[side] else {
            return Err(OpError::Internal("rows in lists have no timers"));
        };
        let [from, to] = &mut self.bounds;
        from.clear();
        place(time.div_euclid(self.span), key, from);
        push_i64(time, from);
        to.clone_from(from);
        to.extend_from_slice(&BEHIND_ROWS);
        let (from, to) = (Included(&from[..]), Excluded(&to[..]));
        let pairs = &self.pairs;
        cx.state.ordered(self.tables[side]).drain(Some(group), from, to, |entry| {
            if kept.number(entry.row, MATCHED) == 0 {
                let (row, count) = (kept.row(entry.row), kept.number(entry.row, COUNT));
                pairs.emit_alone(side, row, count, cx.emit);
            }
        })?;
        cx.refuse_too_much(0)
    }

    /// Drops the spans of a side that no partner can reach any more.
    fn drop_spans(&self, side: usize, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        // Rows up to this time have expired, but the last span may hold later ones.
        let expired = self.expired_until(side, mark.saturating_sub(1));
        let open = order_i64(expired.saturating_add(1).div_euclid(self.span));
        let to = if mark == i64::MAX { Unbounded } else { Excluded(&open[..]) };
        Ok(cx.state.ordered(self.tables[side]).drain(None, Unbounded, to, |_| {})?)
    }
}

/// Appends how the keys of rows begin that fall into a span and have this key.
fn place(span: i64, key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&order_i64(span));
    out.extend_from_slice(key);
}

impl Operator for IntervalJoinOp {
    fn on_batch(&mut self, port: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        for (table, kept) in self.tables.iter().zip(&self.kept) {
            if matches!(kept, Kept::Lists(_)) {
                cx.state.ordered(*table).set_runs(LIST_NUMBER_BYTES);
            }
        }
        let mut keys = std::mem::take(&mut self.sides[port].keys);
        self.sides[port].key.encode(rows, &mut keys);
        let mut matched = vec![false; rows.len()];
        for (i, row) in rows.rows().enumerate() {
            if !self.strict[port].has_null(row) {
                self.collect(port, i, row, (key_group(keys.hash(i)), keys.key(i)), cx)?;
            }
            if self.origins.len() >= PAIRS_MAX {
                self.look(port, rows, &keys, &mut matched, cx)?;
            }
        }
        self.look(port, rows, &keys, &mut matched, cx)?;
        let in_lists = matches!(self.kept[port], Kept::Lists(_));
        if in_lists {
            self.list(port, rows, &keys, cx)?;
        }
        for (i, row) in rows.rows().enumerate().filter(|_| !in_lists) {
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
                let at = (key_group(keys.hash(i)), keys.key(i));
                self.keep(port, row, at, weight, matched[i], cx)?;
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
        for side in [0, 1].into_iter().filter(|&side| !self.kind.keeps_lonely(side)) {
            self.drop_spans(side, mark, cx)?;
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

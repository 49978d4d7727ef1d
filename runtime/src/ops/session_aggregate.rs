//! SessionAggregate: what the rows of each session come to. No row is kept: of a session its end
//! and its accumulators are, from its first row on.
//!
//! The rows of a batch that are in one session whatever else comes are added up first; what they
//! come to then joins the sessions of the key that it touches into one. When a session is over its
//! result goes out. With allowed lateness it stays until it is gone; a row that still comes takes
//! back the results of the sessions that it touches.

use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use flow_ir::ids::{SiteId, TableId};
use flow_ir::kernel::OnError;
use flow_ir::physical::{SessionAggregate, TableKind};
use flow_ir::row::{
    BatchBuilder, Column, KeyBatch, KeyDecoder, KeyEncoder, RowBatch, RowLayout, RowRef, key_group,
};
use flow_ir::types::{DataType, Type};

use super::accumulate::Accumulate;
use super::aggregation::{Calls, Results, read_i64};
use super::changes::NetRows;
use super::sessions::{Sessions, numbered};
use super::{OpCx, OpError, Operator, Plan, columns_of, data, words_of};
use crate::state::{OrderedEntry, PointTable, SlotId};

/// Columns of a session's row before its accumulators: its end, and whether its result is out.
const HEAD: usize = 2;

pub(super) struct SessionAggregateOp {
    keys: KeyEncoder,
    calls: Calls,
    accumulate: Accumulate,
    time: Column,
    rule: Sessions,
    site: Option<SiteId>,
    sessions: TableId,
    runs: Runs,
    /// A session's row: the end, whether its result is out, accumulators, the number of rows.
    columns: Vec<Column>,
    row: BatchBuilder,
    output: Output,
}

/// Rows of a batch that are in one session.
struct Runs {
    /// Number of the run → accumulators, the number of rows.
    table: PointTable,
    /// By run: the batch's row that has its key, its first time and its last time.
    all: Vec<(usize, i64, i64)>,
    keys: KeyBatch,
    slots: Vec<SlotId>,
    row_keys: KeyBatch,
    picks: Vec<u32>,
    row_slots: Vec<SlotId>,
    /// The rows in the order of key and time.
    order: Vec<u32>,
}

/// Results of sessions, as changes.
struct Output {
    decoder: KeyDecoder,
    keys: usize,
    results: Results,
    rows: BatchBuilder,
    /// Of the epoch, where results may be taken back.
    net: Option<NetRows>,
}

/// A session of a key.
struct Session {
    start: i64,
    end: i64,
    is_out: bool,
    /// Its row alone.
    row: RowBatch,
}

impl SessionAggregateOp {
    pub(super) fn new(op: &SessionAggregate, plan: &Plan<'_>) -> Result<Self, String> {
        let (input, output) = (plan.input(0)?, plan.output());
        words_of(&[op.time], &input)?;
        columns_of(&op.keys, &input)?;
        let calls = Calls::new(&op.calls)?;
        calls.check_input(&input)?;
        if !calls.multisets.is_empty() {
            return Err("an aggregate needs its values".into());
        }
        let key_types: Vec<Type> = op.keys.iter().map(|key| input[*key].clone()).collect();
        let results = data(&key_types).into_iter().chain(calls.results());
        let time = input[op.time].data.clone();
        let expected: Vec<DataType> = results.chain([time.clone(), time]).collect();
        if data(&output) != expected {
            return Err("the output is not keys, results and the session's bounds".into());
        }
        let number = || Type::not_null(DataType::BigInt);
        let state: Vec<Type> = calls.state_types().into_iter().chain([number()]).collect();
        let head = [number(), Type::not_null(DataType::Boolean)];
        let session: Vec<Type> = head.into_iter().chain(state.iter().cloned()).collect();
        let timers = plan.table(op.timers, TableKind::Ordered, &[])?;
        let end = &output[output.len() - 1];
        let rule = Sessions::new((op.gap, op.lateness), op.by_clock, timers, end)?;
        let layout = RowLayout::new(input.clone());
        let stored = Arc::new(RowLayout::new(session.clone()));
        Ok(Self {
            keys: KeyEncoder::new(&layout, &op.keys),
            accumulate: Accumulate::adding(&calls, &input, plan.factory)?,
            time: layout.column(op.time),
            rule,
            site: op.site,
            sessions: plan.table(op.sessions, TableKind::Ordered, &data(&session))?,
            runs: Runs::new(state),
            columns: stored.columns().to_vec(),
            row: BatchBuilder::new(stored),
            output: Output {
                decoder: KeyDecoder::new(key_types),
                keys: op.keys.len(),
                results: Results::new(Arc::new(RowLayout::new(output.clone()))),
                rows: BatchBuilder::new(Arc::new(RowLayout::new(output.clone()))),
                net: (op.lateness > 0).then(|| NetRows::new(&output)),
            },
            calls,
        })
    }

    /// Adds up the rows of a batch that are in one session.
    fn add_up(&mut self, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let Runs { table, all, keys, slots, row_keys, picks, row_slots, order } = &mut self.runs;
        self.keys.encode(rows, row_keys);
        order.clear();
        for (i, row) in rows.rows().enumerate() {
            if row.is_null(self.time) {
                cx.reports.without_time(rows, i, self.site);
            } else {
                order.push(i as u32);
            }
        }
        let time = |i: u32| rows.row(i as usize).i64(self.time);
        let key = |i: u32| row_keys.key(i as usize);
        order.sort_unstable_by(|&a, &b| key(a).cmp(key(b)).then(time(a).cmp(&time(b))));
        all.clear();
        keys.clear();
        picks.clear();
        for &i in order.iter() {
            let at = time(i);
            match all.last_mut() {
                Some((first, _, last))
                    if row_keys.key(*first) == key(i) && at <= self.rule.end(*last) =>
                {
                    *last = at;
                }
                _ => all.push((i as usize, at, at)),
            }
            picks.push(i);
            keys.push(&(all.len() as u64).to_be_bytes());
        }
        table.clear();
        table.upsert(keys, row_slots)?;
        slots.clear();
        slots.extend(table.touched());
        self.accumulate.run(table, row_slots, picks, rows);
        Ok(())
    }

    /// Joins a run of rows with the sessions that it touches.
    fn join(&mut self, run: usize, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let ((row, start, last), slot) = (self.runs.all[run], self.runs.slots[run]);
        let key = self.runs.row_keys.key(row).to_vec();
        let group = key_group(self.runs.row_keys.hash(row));
        let (mut from, mut to) = (start, self.rule.end(last));
        let (mut before, mut is_new, mut parts) = (to.saturating_add(1), true, Vec::new());
        while let Some(session) = self.touching(from, before, &key, group, cx)? {
            before = session.start;
            if session.is_out {
                self.output.show(&self.calls, &self.columns, &key, &session, false, cx)?;
            } else {
                // Its timer is not behind the end of what it is now a part of.
                is_new = false;
            }
            from = from.min(session.start);
            to = to.max(session.end);
            self.take(&session.row, slot);
            parts.push(session.start);
            self.row.recycle(session.row);
        }
        for part in parts.into_iter().filter(|part| *part != from) {
            cx.state.ordered(self.sessions).delete(group, &numbered(&key, part))?;
        }
        self.row.begin();
        self.row.set_i64(0, to);
        self.row.set_word(1, 0);
        self.runs.table.write(slot, &mut self.row, HEAD);
        self.row.finish(1);
        let joined = self.row.take();
        cx.state.ordered(self.sessions).put(group, &numbered(&key, from), joined.row(0))?;
        self.row.recycle(joined);
        if is_new { self.rule.set_timer(to, &key, group, cx) } else { Ok(()) }
    }

    /// Adds what a session comes to to a run.
    fn take(&mut self, session: &RowBatch, slot: SlotId) {
        let state = &self.columns[HEAD..];
        let rows = session.row(0).word(state[self.calls.width]);
        self.runs.table.value(slot).add_word(self.calls.width, rows);
        for call in &self.calls.calls {
            let columns = &state[call.state.clone()];
            let table = &mut self.runs.table;
            call.aggregate.merge(table, call.state.start, &[slot], &[0], session, columns);
        }
    }

    /// The last session of a key that begins before a time and does not end before another.
    fn touching(
        &mut self,
        start: i64,
        before: i64,
        key: &[u8],
        group: u8,
        cx: &mut OpCx<'_>,
    ) -> Result<Option<Session>, OpError> {
        let (from, to) = (numbered(key, i64::MIN), numbered(key, before));
        let sessions = cx.state.ordered(self.sessions);
        let Some(last) = sessions.last(group, Included(&from), Excluded(&to))? else {
            return Ok(None);
        };
        if last.row.i64(self.columns[0]) < start {
            return Ok(None);
        }
        session(&mut self.row, &self.columns, key, last).map(Some)
    }

    /// Looks at the sessions of a key: gives the results of those that are over, drops those to
    /// which no row can come, and sets a timer for what is left.
    fn look(&mut self, key: &[u8], group: u8, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut sessions = Vec::new();
        for entry in cx.state.ordered(self.sessions).scan(Some(group), key)? {
            sessions.push(session(&mut self.row, &self.columns, key, entry)?);
        }
        let mut next: Option<i64> = None;
        for session in sessions {
            let at = numbered(key, session.start);
            let turn = self.rule.turn(session.end, session.is_out, mark);
            if turn.shows {
                self.output.show(&self.calls, &self.columns, key, &session, true, cx)?;
            }
            if turn.is_gone {
                cx.state.ordered(self.sessions).delete(group, &at)?;
                continue;
            }
            if turn.shows {
                self.row.begin();
                for (index, column) in self.columns.iter().enumerate() {
                    self.row.copy_column(index, session.row.row(0), *column);
                }
                self.row.set_word(1, 1);
                self.row.finish(1);
                let out = self.row.take();
                cx.state.ordered(self.sessions).put(group, &at, out.row(0))?;
            }
            next = Some(next.map_or(turn.due, |next| next.min(turn.due)));
        }
        next.map_or(Ok(()), |due| self.rule.set_timer(due, key, group, cx))
    }
}

/// A session as it is in the table, its row copied.
fn session(
    row: &mut BatchBuilder,
    columns: &[Column],
    key: &[u8],
    entry: OrderedEntry<'_>,
) -> Result<Session, OpError> {
    let start = read_i64(&entry.key[key.len()..]);
    let start = start.ok_or(OpError::Internal("a session cannot be read back"))?;
    let (end, is_out) = (entry.row.i64(columns[0]), entry.row.word(columns[1]) != 0);
    row.push_row(entry.row, 1);
    Ok(Session { start, end, is_out, row: row.take() })
}

impl Runs {
    fn new(state: Vec<Type>) -> Self {
        Self {
            table: PointTable::scratch(Arc::new(RowLayout::new(state))),
            all: Vec::new(),
            keys: KeyBatch::default(),
            slots: Vec::new(),
            row_keys: KeyBatch::default(),
            picks: Vec::new(),
            row_slots: Vec::new(),
            order: Vec::new(),
        }
    }
}

impl Output {
    /// Gives the result of a session, or takes it back.
    fn show(
        &mut self,
        calls: &Calls,
        columns: &[Column],
        key: &[u8],
        session: &Session,
        new: bool,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let row: RowRef<'_> = session.row.row(0);
        let (decoder, keys) = (&self.decoder, self.keys);
        let on_error: OnError = cx.kernel.on_error;
        self.results.begin();
        self.results.add(new, on_error, |out, errors| {
            if !decoder.decode(key, out, 0) {
                return Err(OpError::Internal("a session's key cannot be read back"));
            }
            calls.finish(row, &columns[HEAD..], out, keys, errors);
            out.set_i64(keys + calls.calls.len(), session.start);
            out.set_i64(keys + calls.calls.len() + 1, session.end);
            Ok(())
        })?;
        let Some(net) = &mut self.net else {
            self.results.emit(cx.emit, cx.reports);
            return cx.refuse_too_much(0);
        };
        self.results.emit(&mut self.rows, cx.reports);
        let rows = self.rows.take();
        net.add(rows.rows().enumerate().map(|(i, row)| (row, rows.weight(i))))?;
        self.rows.recycle(rows);
        cx.refuse_too_much(net.bytes())
    }
}

impl Operator for SessionAggregateOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.add_up(rows, cx)?;
        for run in 0..self.runs.all.len() {
            self.join(run, cx)?;
        }
        Ok(())
    }

    fn on_watermark(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mark = self.rule.time(mark, cx);
        for (group, key) in self.rule.due(mark, cx)? {
            self.look(&key, group, mark, cx)?;
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        match &mut self.output.net {
            Some(net) => net.emit(cx.emit),
            None => Ok(()),
        }
    }

    fn watermark_out(&self, mark: i64) -> i64 {
        self.rule.watermark_out(mark)
    }
}

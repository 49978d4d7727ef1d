//! SessionWindow: gives each row the bounds of its session, once that is over.
//!
//! Rows lie in a table by key and time; beside them the sessions that they make up, of a key in
//! order and apart from each other. A row joins the sessions that its own time and gap touch into
//! one; one that is taken back leaves it as long as it was. When a session is over, its rows go
//! out with its bounds. With allowed lateness they stay
//! until it is gone; a row that still comes takes back what went out of the sessions that it
//! touches.

use std::ops::Bound::{Excluded, Included};

use flow_ir::ids::{SiteId, TableId};
use flow_ir::physical::{SessionWindow, TableKind};
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout, RowRef, key_group, key_hash};
use flow_ir::types::{DataType, Type};

use super::aggregation::read_i64;
use super::changes::NetRows;
use super::pairs::Side;
use super::sessions::{Sessions, numbered};
use super::window_expand::WINDOW_TIME_MICROS;
use super::{OpCx, OpError, Operator, Plan, words_of};

pub(super) struct SessionWindowOp {
    side: Side,
    time: Column,
    rule: Sessions,
    site: Option<SiteId>,
    sessions: TableId,
    rows: TableId,
    /// Columns of a session's row: its end, and whether its rows are out.
    end: Column,
    is_out: Column,
    output: Output,
}

/// Rows with the bounds of their sessions.
struct Output {
    columns: Vec<Column>,
    row: BatchBuilder,
    /// Of the epoch, where rows may be taken back.
    net: Option<NetRows>,
}

/// A session of some key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    start: i64,
    end: i64,
    is_out: bool,
}

impl SessionWindowOp {
    pub(super) fn new(op: &SessionWindow, plan: &Plan<'_>) -> Result<Self, String> {
        let (input, output) = (plan.input(0)?, plan.output());
        words_of(&[op.time], &input)?;
        let width = input.len();
        words_of(&[width, width + 1, width + 2], &output)?;
        if output.len() != width + 3 {
            return Err("the output is not the input and three times".into());
        }
        let session = [DataType::BigInt, DataType::Boolean];
        let layout = RowLayout::new(session.clone().map(Type::not_null).to_vec());
        let table = |id, value: &[DataType]| plan.table(id, TableKind::Ordered, value);
        let side = Side::new(input, &op.keys)?;
        let timers = table(op.timers, &[])?;
        let rule = Sessions::new((op.gap, op.lateness), op.by_clock, timers, &output[width + 1])?;
        Ok(Self {
            time: side.layout.column(op.time),
            output: Output {
                columns: side.layout.columns().to_vec(),
                row: BatchBuilder::new(RowLayout::new(output.clone()).into()),
                net: (op.lateness > 0).then(|| NetRows::new(&output)),
            },
            side,
            rule,
            site: op.site,
            sessions: table(op.sessions, &session)?,
            rows: table(op.rows, &[DataType::BigInt])?,
            end: layout.column(0),
            is_out: layout.column(1),
        })
    }

    /// Takes a row of a key.
    fn take(
        &mut self,
        row: RowRef<'_>,
        weight: i64,
        key: &[u8],
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let time = row.i64(self.time);
        let group = key_group(key_hash(key));
        let end = self.rule.end(time);
        let mut at = numbered(key, time);
        self.side.append_row(row, &mut at);
        // What came too late, or was closed over, is not taken back.
        if weight < 0 && cx.state.ordered(self.rows).get(group, &at)?.is_none() {
            return Ok(());
        }
        let mut joined = Session { start: time, end, is_out: false };
        let (mut before, mut is_new, mut is_same) = (end.saturating_add(1), true, false);
        let mut parts = Vec::new();
        while let Some(session) = self.touching(joined, before, key, group, cx)? {
            before = session.start;
            let whole = session.start <= joined.start && session.end >= joined.end;
            if session.is_out {
                self.show(session, key, group, -1, cx)?;
            } else {
                // Its timer is not behind the end of what it is now a part of.
                (is_new, is_same) = (false, whole);
            }
            joined.start = joined.start.min(session.start);
            joined.end = joined.end.max(session.end);
            parts.push(session.start);
            if whole {
                break;
            }
        }
        if !is_same {
            for start in parts.into_iter().filter(|start| *start != joined.start) {
                cx.state.ordered(self.sessions).delete(group, &numbered(key, start))?;
            }
            self.put(joined, key, group, cx)?;
        }
        if is_new {
            self.rule.set_timer(joined.end, key, group, cx)?;
        }
        cx.state.ordered(self.rows).add_weight(group, &at, weight)?;
        Ok(())
    }

    /// The last session of a key that begins before a time and touches this one.
    fn touching(
        &self,
        with: Session,
        before: i64,
        key: &[u8],
        group: u8,
        cx: &mut OpCx<'_>,
    ) -> Result<Option<Session>, OpError> {
        let (from, to) = (numbered(key, i64::MIN), numbered(key, before));
        let sessions = cx.state.ordered(self.sessions);
        let last = sessions.last(group, Included(&from), Excluded(&to))?;
        let found = last.map(|entry| self.read(&entry.key[key.len()..], entry.row)).transpose()?;
        Ok(found.filter(|session| session.end >= with.start))
    }

    fn read(&self, start: &[u8], row: RowRef<'_>) -> Result<Session, OpError> {
        let start = read_i64(start).ok_or(OpError::Internal("a session cannot be read back"))?;
        Ok(Session { start, end: row.i64(self.end), is_out: row.word(self.is_out) != 0 })
    }

    fn put(
        &self,
        session: Session,
        key: &[u8],
        group: u8,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        // Length, null bits, the columns.
        let row = [32, 0, session.end as u64, u64::from(session.is_out)];
        let at = numbered(key, session.start);
        Ok(cx.state.ordered(self.sessions).put(group, &at, RowRef::new(&row))?)
    }

    /// Gives the rows of a session with its bounds, or takes them back (`sign`).
    fn show(
        &mut self,
        session: Session,
        key: &[u8],
        group: u8,
        sign: i64,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let (from, to) = (numbered(key, session.start), numbered(key, session.end));
        let mut weights = Vec::new();
        let table = cx.state.ordered(self.rows);
        let count = table.layout().column(0);
        let entries = table.range(Some(group), Included(&from), Excluded(&to))?.map(|entry| {
            weights.push(entry.row.i64(count));
            &entry.key[from.len()..]
        });
        let rows = self.side.rows(entries, cx.limit_bytes)?;
        for (row, weight) in rows.rows().zip(weights) {
            self.output.add(row, session, sign.wrapping_mul(weight), cx.emit)?;
        }
        cx.refuse_too_much(self.output.net.as_ref().map_or(0, NetRows::bytes))
    }

    /// Looks at the sessions of a key: gives the rows of those that are over, drops those to which
    /// no row can come, and sets a timer for what is left.
    fn look(&mut self, key: &[u8], group: u8, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut sessions = Vec::new();
        for entry in cx.state.ordered(self.sessions).scan(Some(group), key)? {
            sessions.push(self.read(&entry.key[key.len()..], entry.row)?);
        }
        let mut next: Option<i64> = None;
        for mut session in sessions {
            let turn = self.rule.turn(session.end, session.is_out, mark);
            if turn.shows {
                self.show(session, key, group, 1, cx)?;
                session.is_out = true;
                self.put(session, key, group, cx)?;
            }
            if turn.is_gone {
                let (from, to) = (numbered(key, session.start), numbered(key, session.end));
                let rows = cx.state.ordered(self.rows);
                rows.drain(Some(group), Included(&from), Excluded(&to), |_| {})?;
                cx.state.ordered(self.sessions).delete(group, &from)?;
                continue;
            }
            next = Some(next.map_or(turn.due, |next| next.min(turn.due)));
        }
        next.map_or(Ok(()), |due| self.rule.set_timer(due, key, group, cx))
    }
}

impl Output {
    fn add(
        &mut self,
        row: RowRef<'_>,
        session: Session,
        weight: i64,
        emit: &mut BatchBuilder,
    ) -> Result<(), OpError> {
        let Some(net) = &mut self.net else {
            // So often was the row there.
            for _ in 0..weight {
                if emit.is_over() {
                    break;
                }
                write(emit, row, &self.columns, session);
            }
            return Ok(());
        };
        write(&mut self.row, row, &self.columns, session);
        let bounded = self.row.take();
        net.add(std::iter::once((bounded.row(0), weight)))?;
        self.row.recycle(bounded);
        Ok(())
    }
}

/// Writes a row with a session's bounds.
fn write(out: &mut BatchBuilder, row: RowRef<'_>, columns: &[Column], session: Session) {
    out.begin();
    for (index, column) in columns.iter().enumerate() {
        out.copy_column(index, row, *column);
    }
    out.set_i64(columns.len(), session.start);
    out.set_i64(columns.len() + 1, session.end);
    out.set_i64(columns.len() + 2, session.end.saturating_sub(WINDOW_TIME_MICROS));
    out.finish(1);
}

impl Operator for SessionWindowOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let mut keys = std::mem::take(&mut self.side.keys);
        self.side.key.encode(rows, &mut keys);
        for (i, row) in rows.rows().enumerate() {
            if row.is_null(self.time) {
                cx.reports.without_time(rows, i, self.site);
            } else {
                self.take(row, rows.weight(i), keys.key(i), cx)?;
            }
        }
        self.side.keys = keys;
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

//! What both operators over sessions go by: when a session is over, when it is gone, and the timers
//! that say which sessions to look at.
//!
//! A session is over when the watermark is past its end: a row at the end itself would still join
//! it. It is gone, with its row in the table, when the watermark is past end + allowed lateness.
//! For each session of a key there is a timer at its next turn or before it. A timer that comes
//! too early, since its session has grown, is set anew.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use flow_ir::ids::TableId;
use flow_ir::row::RowRef;
use flow_ir::types::Type;
use flow_stdlib::windows::check_length;

use super::aggregation::{NUMBER_BYTES, push_i64};
use super::window_expand::WINDOW_TIME_MICROS;
use super::{OpCx, OpError, behind_windows, time_of, whole_millis};

/// A row without columns: its length in bytes. Timers say nothing beside their keys.
const EMPTY_ROW: [u64; 1] = [8];

/// The rule of an operator's sessions, and its timers.
pub(super) struct Sessions {
    /// Microseconds.
    gap: i64,
    lateness: i64,
    by_clock: bool,
    timers: TableId,
    /// Whether the sessions' bounds lie on milliseconds.
    whole_millis: bool,
}

/// What the watermark means for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// It is over, and its result is not out yet.
    pub(super) shows: bool,
    /// No row can come to it.
    pub(super) is_gone: bool,
    /// When to look at it again, unless it is gone.
    pub(super) due: i64,
}

impl Sessions {
    /// `end` is the type of a session's end in the output.
    pub(super) fn new(
        (gap, lateness): (i64, i64),
        by_clock: bool,
        timers: TableId,
        end: &Type,
    ) -> Result<Self, String> {
        check_length("gap", gap)?;
        if lateness < 0 {
            return Err("the allowed lateness is negative".into());
        }
        let whole_millis = whole_millis(end) && gap % WINDOW_TIME_MICROS == 0;
        Ok(Self { gap, lateness, by_clock, timers, whole_millis })
    }

    /// The end of a session whose last row has this time.
    pub(super) fn end(&self, last: i64) -> i64 {
        last.saturating_add(self.gap)
    }

    /// What a session's end and whether its result is out say under a watermark.
    pub(super) fn turn(&self, end: i64, is_out: bool, mark: i64) -> Turn {
        let is_past = |time: i64| time < mark || mark == i64::MAX;
        let (is_over, gone) = (is_past(end), end.saturating_add(self.lateness));
        Turn {
            shows: is_over && !is_out,
            is_gone: is_past(gone),
            due: if is_over { gone } else { end },
        }
    }

    pub(super) fn set_timer(
        &self,
        due: i64,
        key: &[u8],
        group: u8,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let mut timer = Vec::with_capacity(NUMBER_BYTES + key.len());
        push_i64(due, &mut timer);
        timer.extend_from_slice(key);
        Ok(cx.state.ordered(self.timers).put(group, &timer, RowRef::new(&EMPTY_ROW))?)
    }

    /// How far time has gone on.
    pub(super) fn time(&self, mark: i64, cx: &OpCx<'_>) -> i64 {
        time_of(self.by_clock, mark, cx)
    }

    /// Takes the timers before a time; the groups and keys whose sessions are to be looked at.
    pub(super) fn due(
        &self,
        time: i64,
        cx: &mut OpCx<'_>,
    ) -> Result<BTreeSet<(u8, Vec<u8>)>, OpError> {
        let mut due = BTreeSet::new();
        if time == i64::MIN {
            return Ok(due);
        }
        let mut until = Vec::new();
        push_i64(time, &mut until);
        let to = if time == i64::MAX { Unbounded } else { Excluded(&until[..]) };
        cx.state.ordered(self.timers).drain(None, Unbounded, to, |entry| {
            due.insert((entry.group, entry.key[NUMBER_BYTES..].to_vec()));
        })?;
        Ok(due)
    }

    /// The watermark behind the operator.
    pub(super) fn watermark_out(&self, mark: i64) -> i64 {
        // A session that ends at the mark is still to come.
        let reached = if mark == i64::MAX { mark } else { mark.saturating_sub(1) };
        behind_windows(reached, self.whole_millis)
    }
}

/// The key with a number behind it.
pub(super) fn numbered(key: &[u8], number: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + NUMBER_BYTES);
    bytes.extend_from_slice(key);
    push_i64(number, &mut bytes);
    bytes
}

//! WindowAggregate: the results of each group and window, once the watermark closes the window.
//!
//! A partial of a slice goes into every window of the slice from its first open end on. A window
//! gives its results when the watermark reaches its end. With allowed lateness it lives on until
//! the watermark reaches end + lateness, and rows that still come change its results: −old/+new
//! once an epoch. Where changes are asked for, a window gives them from its first row on. Windows
//! over processing time close by the clock, and no row of theirs can be late.

use flow_ir::aggregate::WindowSpec;
use flow_ir::physical::WindowAggregate;
use flow_ir::row::RowBatch;
use flow_stdlib::windows;

use super::aggregation::push_i64;
use super::groups::{Groups, Picks, Show, Tables};
use super::{OpCx, OpError, Operator, Plan, behind_windows, time_of, whole_millis};
use crate::state::prefix_end;

pub(super) struct WindowAggregateOp {
    groups: Groups,
    tables: Tables,
    window: Option<WindowSpec>,
    lateness: i64,
    emits_changes: bool,
    by_clock: bool,
    /// Whether the windows' bounds lie on milliseconds.
    whole_millis: bool,
    /// Rows of the batch by window: end, start, number.
    parts: Vec<(i64, i64, u32)>,
    key: Vec<u8>,
    picks: Picks,
}

impl WindowAggregateOp {
    pub(super) fn new(op: &WindowAggregate, plan: &Plan<'_>) -> Result<Self, String> {
        op.window.map_or(Ok(()), windows::check)?;
        if op.lateness < 0 {
            return Err("the allowed lateness is negative".into());
        }
        let tables = Tables { groups: op.groups, values: op.values, distinct: op.distinct };
        Ok(Self {
            groups: Groups::new(plan, op.keys, &op.calls, tables, true)?,
            tables,
            window: op.window,
            lateness: op.lateness,
            emits_changes: op.emits_changes,
            by_clock: op.by_clock,
            whole_millis: plan.output().last().is_some_and(whole_millis)
                && op.window.is_none_or(lies_on_millis),
            parts: Vec::new(),
            key: Vec::new(),
            picks: Picks::default(),
        })
    }

    /// Whether the window that ends at `end` is gone under the watermark `mark`.
    fn is_gone(&self, end: i64, mark: i64) -> bool {
        mark != i64::MIN && end <= mark.saturating_sub(self.lateness)
    }

    /// Fills `parts`, by window.
    fn split(&mut self, rows: &RowBatch, mark: i64) -> Result<(), OpError> {
        let Some(bounds) = self.groups.partials.window else {
            return Err(OpError::Internal("a window's bounds are missing"));
        };
        self.parts.clear();
        for (i, row) in rows.rows().enumerate() {
            let [slice, first] = bounds.map(|column| row.i64(column));
            match self.window {
                Some(spec) => {
                    let ends = windows::ends_from(slice, first, spec);
                    let part = |end| (end, windows::start(end, spec), i as u32);
                    self.parts.extend(ends.map(part));
                }
                None => self.parts.push((slice, first, i as u32)),
            }
        }
        self.parts.sort_unstable();
        match self.parts.first() {
            Some((end, _, _)) if !self.by_clock && self.is_gone(*end, mark) => {
                Err(OpError::Internal("a row came for a window that is closed"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes the rows of `parts[from..to]`, all of one window.
    fn merge(
        &mut self,
        parts: &[(i64, i64, u32)],
        rows: &RowBatch,
        cx: &mut OpCx<'_>,
    ) -> Result<(), OpError> {
        let Picks { keys, slots, rows: picks } = &mut self.picks;
        let end = parts[0].0;
        keys.clear();
        for (_, _, number) in parts {
            self.key.clear();
            self.groups.keys.append(rows.row(*number as usize), &mut self.key);
            keys.push(&self.key);
        }
        let table = cx.state.windowed(self.tables.groups).at(end);
        table.upsert(keys, slots)?;
        let start_index = self.groups.calls.width;
        for ((_, start, _), &slot) in parts.iter().zip(slots.iter()) {
            if table.is_new(slot) {
                table.value(slot).set_word(start_index, *start as u64);
            }
        }
        picks.clear();
        picks.extend(parts.iter().map(|(_, _, number)| *number));
        self.groups.merge(table, slots, picks, rows);
        self.groups.add_values(Some(end), &self.picks, rows, cx.state)
    }

    /// Gives the results of a window that closes now, or the changes of one whose results are out.
    fn show(&mut self, end: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let Some(table) = cx.state.windowed(self.tables.groups).window(end) else { return Ok(()) };
        let closed_before = !self.by_clock && cx.mark != i64::MIN && end <= cx.mark;
        let updates = self.emits_changes || closed_before;
        let show = Show { end: Some(end), updates, always: false };
        let slots = if updates { table.touched().to_vec() } else { table.entries()? };
        if !updates {
            self.groups.move_all(end, &slots);
            self.groups.settle(cx.state, end)?;
        }
        let table = cx.state.windowed(self.tables.groups).at(end);
        self.groups.collect(table, &slots, show, cx.kernel.on_error)?;
        self.groups.results.emit(cx.emit, cx.reports);
        self.groups.remove_empty(table);
        Ok(())
    }

    fn remove(&mut self, end: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        cx.state.windowed(self.tables.groups).remove_window(end)?;
        if let Some(distinct) = self.tables.distinct {
            cx.state.windowed(distinct).remove_window(end)?;
        }
        if let Some(values) = self.tables.values {
            let mut prefix = Vec::new();
            push_i64(end, &mut prefix);
            let after = prefix_end(&prefix);
            let to = after.as_deref().map_or(Unbounded, Excluded);
            cx.state.ordered(values).drain(None, Included(&prefix), to, |_| {})?;
        }
        Ok(())
    }
}

impl Operator for WindowAggregateOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        self.split(rows, cx.mark)?;
        let parts = std::mem::take(&mut self.parts);
        for window in parts.chunk_by(|a, b| a.0 == b.0) {
            self.merge(window, rows, cx)?;
        }
        self.parts = parts;
        Ok(())
    }

    fn on_watermark(&mut self, mark: i64, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let shown = if self.by_clock { i64::MIN } else { cx.mark };
        self.groups.settle(cx.state, if self.emits_changes { i64::MAX } else { shown })?;
        let mark = time_of(self.by_clock, mark, cx);
        let windows = cx.state.windowed(self.tables.groups);
        let mut ends = if mark == i64::MIN { Vec::new() } else { windows.ends_until(mark) };
        if self.emits_changes {
            ends.extend(windows.touched_ends().into_iter().filter(|end| *end > mark));
        }
        for end in ends {
            self.show(end, cx)?;
            if self.is_gone(end, mark) {
                self.remove(end, cx)?;
            }
        }
        Ok(())
    }

    fn watermark_out(&self, mark: i64) -> i64 {
        behind_windows(mark, self.whole_millis)
    }
}

/// Whether all bounds of these windows lie on milliseconds, of times that do.
fn lies_on_millis(spec: WindowSpec) -> bool {
    let millis = |micros: i64| micros % 1_000 == 0;
    millis(spec.size()) && millis(spec.period()) && millis(spec.offset())
}

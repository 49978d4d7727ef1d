//! WindowExpand: a row per window that is open for it, with the window's bounds.

use flow_ir::aggregate::WindowSpec;
use flow_ir::ids::SiteId;
use flow_ir::physical::WindowExpand;
use flow_ir::row::{Column, RowBatch, RowLayout};
use flow_stdlib::windows;

use super::{OpCx, OpError, Operator, Plan, words_of};

/// `window_time` is this much before the window's end, microseconds: the last millisecond inside,
/// as in Flink.
pub(super) const WINDOW_TIME_MICROS: i64 = 1_000;

pub(super) struct WindowExpandOp {
    columns: Vec<Column>,
    time: Column,
    watermark: Option<Column>,
    window: WindowSpec,
    lateness: i64,
    site: Option<SiteId>,
}

impl WindowExpandOp {
    pub(super) fn new(op: &WindowExpand, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        words_of(&[op.time], &input)?;
        words_of(op.watermark.as_slice(), &input)?;
        windows::check(op.window)?;
        let output = plan.output();
        let more = [input.len(), input.len() + 1, input.len() + 2];
        words_of(&more, &output)?;
        if output.len() != input.len() + more.len() {
            return Err("the output is not the input and three times".into());
        }
        let layout = RowLayout::new(input);
        Ok(Self {
            columns: layout.columns().to_vec(),
            time: layout.column(op.time),
            watermark: op.watermark.map(|column| layout.column(column)),
            window: op.window,
            lateness: op.lateness,
            site: op.site,
        })
    }
}

impl Operator for WindowExpandOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        for (i, row) in rows.rows().enumerate() {
            if row.is_null(self.time) {
                cx.reports.without_time(rows, i, self.site);
                continue;
            }
            let watermark = self.watermark.filter(|column| !row.is_null(*column));
            let watermark = watermark.map_or(i64::MIN, |column| row.i64(column));
            let slice = windows::slice_end(row.i64(self.time), self.window);
            let first = windows::first_open_end(slice, watermark, self.lateness, self.window);
            let Some(first) = first else { continue };
            for end in windows::ends_from(slice, first, self.window) {
                cx.emit.begin();
                for (index, column) in self.columns.iter().enumerate() {
                    cx.emit.copy_column(index, row, *column);
                }
                let width = self.columns.len();
                cx.emit.set_i64(width, windows::start(end, self.window));
                cx.emit.set_i64(width + 1, end);
                cx.emit.set_i64(width + 2, end.saturating_sub(WINDOW_TIME_MICROS));
                cx.emit.finish(rows.weight(i));
            }
        }
        Ok(())
    }
}

//! Late: leaves out rows that are behind the watermark of their own partition, which the source
//! wrote into each row; counts them for their stream.

use flow_ir::ids::{SiteId, StreamId};
use flow_ir::physical::{Late, LateRule};
use flow_ir::row::{Column, RowBatch, RowLayout};
use flow_stdlib::windows;

use super::{LateRow, OpCx, OpError, Operator, Plan, words_of};

pub(super) struct LateOp {
    stream: StreamId,
    time: Column,
    watermark: Column,
    position: Column,
    rule: LateRule,
    site: Option<SiteId>,
}

impl LateOp {
    pub(super) fn new(op: &Late, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        words_of(&[op.time, op.watermark, op.position], &input)?;
        let lateness = match op.rule {
            LateRule::Windows { window, lateness } => {
                windows::check(window)?;
                lateness
            }
            LateRule::Sessions { lateness } | LateRule::SessionChanges { lateness, .. } => lateness,
            LateRule::Rows => 0,
        };
        if lateness < 0 {
            return Err("the allowed lateness is negative".into());
        }
        let layout = RowLayout::new(input);
        Ok(Self {
            stream: op.stream,
            time: layout.column(op.time),
            watermark: layout.column(op.watermark),
            position: layout.column(op.position),
            rule: op.rule,
            site: op.site,
        })
    }
}

impl Operator for LateOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        let goes = self.rule.of_what_goes();
        for (i, row) in rows.rows().enumerate() {
            let weight = rows.weight(i);
            let rule = if weight < 0 { goes } else { self.rule };
            let watermark = match row.is_null(self.watermark) {
                true => i64::MIN,
                false => row.i64(self.watermark),
            };
            if row.is_null(self.time) {
                cx.reports.without_time(rows, i, self.site);
            } else if windows::is_late(row.i64(self.time), watermark, rule) {
                let position = row.i64(self.position);
                cx.reports.late.push(LateRow { stream: self.stream, position });
            } else {
                cx.emit.push_row(row, weight);
            }
        }
        Ok(())
    }
}

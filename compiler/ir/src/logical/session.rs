//! Session: a session window table function. Output: the input, window_start, window_end,
//! window_time of each row's session, once the session is over.

use super::schema::names;
use super::{Changes, PlanNode, Schema};
use crate::types::Field;

/// Adds the bounds of each row's session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Columns by which rows are parted, each part with sessions of its own.
    pub keys: Vec<usize>,
    /// Time column, not NULL.
    pub time: usize,
    /// Time without rows after which a session is over, microseconds.
    pub gap: i64,
    /// How long sessions stay open for late rows, microseconds: > 0 makes the output retract.
    pub lateness: i64,
    /// Whether sessions end by the clock, which is their time.
    pub by_clock: bool,
}

impl PlanNode for Session {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let mut schema = inputs[0].clone();
        let width = schema.width();
        let ty = schema.columns[self.time].ty.with_nullable(false);
        for name in ["window_start", "window_end", "window_time"] {
            schema.columns.push(Field::new(name, ty.clone()));
        }
        // Rows are held back until their session is over; its end is then above the watermark that
        // went on before.
        let bounded = self.lateness == 0 && !self.by_clock;
        schema.times = if bounded { vec![width + 1, width + 2] } else { Vec::new() };
        let corrects = self.lateness > 0;
        schema.changes = if corrects { Changes::Retract } else { Changes::Append };
        schema
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let seconds = |micros: i64| micros as f64 / 1e6;
        let (keys, time) = (names(inputs[0], &self.keys), names(inputs[0], &[self.time]));
        let mut line = format!("SESSION({}s) of {time} by [{keys}]", seconds(self.gap));
        if self.lateness > 0 {
            line += &format!(" lateness={}s", seconds(self.lateness));
        }
        line
    }
}

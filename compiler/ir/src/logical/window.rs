//! Window: a window table function. Output: the input, window_start, window_end, window_time, one
//! row per window.

use super::schema::names;
use super::{PlanNode, Schema};
use crate::aggregate::WindowSpec;
use crate::types::Field;

/// Adds a row per window.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Event time column, not NULL.
    pub time: usize,
    /// The `$watermark` column, where rows may be late for some of their windows.
    pub watermark: Option<usize>,
    /// How time is cut.
    pub window: WindowSpec,
    /// How long windows stay open for late rows, microseconds.
    pub lateness: i64,
    /// Whether windows close by the clock, which is their time.
    pub by_clock: bool,
}

impl PlanNode for Window {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let mut schema = inputs[0].clone();
        let width = schema.width();
        let ty = schema.columns[self.time].ty.with_nullable(false);
        for name in ["window_start", "window_end", "window_time"] {
            schema.columns.push(Field::new(name, ty.clone()));
        }
        for key in &mut schema.keys {
            key.push(width + 1);
        }
        // An accepted row's windows are open: their ends lie above the watermark.
        let bounded = self.lateness == 0 && !self.by_clock;
        schema.times = if bounded { vec![width + 1, width + 2] } else { Vec::new() };
        schema
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let mut line = format!("{} of {}", self.window, names(inputs[0], &[self.time]));
        if self.lateness > 0 {
            line += &format!(" lateness={}s", self.lateness as f64 / 1e6);
        }
        line
    }
}

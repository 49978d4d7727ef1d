//! Aggregate: one row per group, or per group and window. Output: the keys, the results, and for a
//! window window_start and window_end.

use super::schema::names;
use super::{Changes, PlanNode, Schema};
use crate::aggregate::AggregateCall;
use crate::physical::WindowInput;
use crate::types::Field;

/// Aggregates per group.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Group key columns, without those of a window.
    pub keys: Vec<usize>,
    /// The aggregates.
    pub calls: Vec<AggregateCall>,
    /// Names of the results.
    pub names: Vec<String>,
    /// Windows, or none.
    pub window: Option<WindowInput>,
    /// How long windows stay open for late rows, microseconds.
    pub lateness: i64,
    /// When the windows' results go out.
    pub emits: Emission,
}

/// When the results of a windowed aggregate go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Emission {
    /// Whether changes go out in each epoch, and not only when the window closes.
    pub changes: bool,
    /// Whether windows close by the clock, which is their time.
    pub by_clock: bool,
}

impl Aggregate {
    /// Whether it is a DISTINCT: groups without results.
    fn only_groups(&self) -> bool {
        self.calls.is_empty() && !self.keys.is_empty()
    }

    /// The columns that it reads.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns = self.keys.clone();
        for call in &self.calls {
            columns.extend(call.columns());
        }
        match self.window {
            Some(WindowInput::Time { time, watermark, .. }) => {
                columns.push(time);
                columns.extend(watermark);
            }
            Some(WindowInput::Carried { start, end }) => columns.extend([start, end]),
            None => {}
        }
        columns
    }

    /// Replaces each column number by what `map` gives for it.
    pub fn map_columns(&mut self, map: &impl Fn(usize) -> usize) {
        let move_to = |column: &mut usize| *column = map(*column);
        self.keys.iter_mut().for_each(move_to);
        for call in &mut self.calls {
            call.map_columns(map);
        }
        match &mut self.window {
            Some(WindowInput::Time { time, watermark, .. }) => {
                std::iter::once(time).chain(watermark).for_each(move_to);
            }
            Some(WindowInput::Carried { start, end }) => [start, end].into_iter().for_each(move_to),
            None => {}
        }
    }
}

impl PlanNode for Aggregate {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let input = &inputs[0].columns;
        let mut columns: Vec<Field> = self.keys.iter().map(|&k| input[k].clone()).collect();
        let results = self.calls.iter().zip(&self.names);
        columns.extend(results.map(|(call, name)| Field::new(name, call.ty.clone())));
        let mut key: Vec<usize> = (0..self.keys.len()).collect();
        let mut schema = Schema::append(columns);
        let bound = self.window.map(|window| match window {
            WindowInput::Time { time, .. } => input[time].ty.with_nullable(false),
            WindowInput::Carried { end, .. } => input[end].ty.with_nullable(false),
        });
        match bound {
            Some(ty) => {
                let width = schema.width();
                schema.columns.push(Field::new("window_start", ty.clone()));
                schema.columns.push(Field::new("window_end", ty));
                key.extend([width, width + 1]);
                if self.lateness > 0 || self.emits.changes {
                    schema.changes = Changes::Retract;
                } else if !self.emits.by_clock {
                    schema.times = vec![width + 1];
                }
            }
            // DISTINCT: a group that is there stays, and says nothing that could change.
            None if self.only_groups() && inputs[0].changes == Changes::Append => {}
            None => schema.changes = Changes::Retract,
        }
        schema.keys.push(key);
        schema
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let input = inputs[0];
        let calls = self.calls.iter().zip(&self.names);
        let calls = calls.map(|(call, name)| format!("{name} := {}", call_text(call, input)));
        let calls = calls.collect::<Vec<_>>().join(", ");
        let mut line = format!("by [{}] computes [{calls}]", names(input, &self.keys));
        match self.window {
            Some(WindowInput::Time { time, window, .. }) => {
                line += &format!(" in {window} of {}", names(input, &[time]));
            }
            Some(WindowInput::Carried { start, end }) => {
                line +=
                    &format!(" in windows [{}, {})", names(input, &[start]), names(input, &[end]));
            }
            None => {}
        }
        if self.emits.changes {
            line += " emits changes";
        }
        if self.lateness > 0 {
            line += &format!(" lateness={}s", self.lateness as f64 / 1e6);
        }
        line
    }
}

/// An aggregate call as SQL writes it.
fn call_text(call: &AggregateCall, input: &Schema) -> String {
    let filter = call
        .filter
        .map_or(String::new(), |column| format!(" FILTER (WHERE {})", names(input, &[column])));
    call.text(|columns| names(input, columns)) + &filter
}

//! Over: gives each row values computed from the rows around it in its partition. Output: the
//! input, and the results.

use super::schema::{names, order_text};
use super::{Changes, PlanNode, Schema};
use crate::over::OverCall;
use crate::physical::Direction;
use crate::types::Field;

/// Computes values over the rows of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    /// Partition columns.
    pub keys: Vec<usize>,
    /// Columns of the order, most significant first; ties go by the key bytes of the whole row.
    pub order: Vec<(usize, Direction)>,
    /// Rows that agree in so many columns of the order, the first, are equal to the calls.
    pub peers: usize,
    /// The calls.
    pub calls: Vec<OverCall>,
    /// Names of the results.
    pub names: Vec<String>,
    /// The event time column by which an append-only input is ordered, ascending, first of all:
    /// rows wait for the watermark and are emitted once.
    pub time: Option<usize>,
    /// With `time`: how far back RANGE frames reach, microseconds; `None`: not fixed.
    pub reach: Option<i64>,
}

impl Over {
    /// All columns that it reads, but for those that it only passes on.
    pub fn columns(&self) -> Vec<usize> {
        let order = self.order.iter().map(|(column, _)| *column);
        let calls = self.calls.iter().flat_map(OverCall::columns);
        self.keys.iter().copied().chain(order).chain(self.time).chain(calls).collect()
    }

    /// Replaces each column number by what `map` gives for it.
    pub fn map_columns(&mut self, map: impl Fn(usize) -> usize) {
        let order = self.order.iter_mut().map(|(column, _)| column);
        let own = self.keys.iter_mut().chain(order).chain(&mut self.time);
        own.for_each(|column| *column = map(*column));
        self.calls.iter_mut().for_each(|call| call.map_columns(&map));
    }
}

impl PlanNode for Over {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let mut columns = inputs[0].columns.clone();
        let results = self.names.iter().zip(&self.calls);
        columns.extend(results.map(|(name, call)| Field::new(name.clone(), call.ty.clone())));
        let keys = inputs[0].keys.clone();
        match self.time {
            Some(_) => Schema { columns, keys, ..inputs[0].clone() },
            None => Schema { columns, changes: Changes::Retract, keys, times: Vec::new() },
        }
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let order = order_text(inputs[0], &self.order);
        let calls = self.calls.iter().map(|call| call.text(|c| names(inputs[0], c)));
        let calls = calls.collect::<Vec<_>>().join(", ");
        let by = names(inputs[0], &self.keys);
        let waits = if self.time.is_some() { ", as time passes" } else { "" };
        format!("computes [{calls}] by [{by}] ordered [{order}]{waits}")
    }
}

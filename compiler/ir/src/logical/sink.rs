//! Sink: writes a stream. Its input has exactly the stream's columns.

use super::schema::names;
use super::{PlanNode, Schema};
use crate::ids::StreamId;
use crate::physical::SinkMode;

/// Writes a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Sink {
    /// The stream.
    pub stream: StreamId,
    /// Its name.
    pub name: String,
    /// How changes become records.
    pub mode: SinkMode,
    /// Columns of the record key; empty: no key.
    pub keys: Vec<usize>,
}

impl PlanNode for Sink {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        inputs[0].clone()
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let mode = match self.mode {
            SinkMode::Append => "append",
            SinkMode::Upsert => "upsert",
            SinkMode::Changes => "changes",
        };
        let columns: Vec<usize> = (0..inputs[0].width()).collect();
        let mut line = format!("{} [{}] {mode}", self.name, names(inputs[0], &columns));
        if !self.keys.is_empty() {
            line += &format!(" key=[{}]", names(inputs[0], &self.keys));
        }
        line
    }
}

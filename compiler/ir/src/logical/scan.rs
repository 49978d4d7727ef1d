//! Scan: reads a stream or table. Output: its columns, in order; computed columns of the
//! declaration are a projection above it.

use super::{Changes, PlanNode, Schema};
use crate::decode_plan::DecodeColumn;
use crate::expr::Expr;
use crate::ids::StreamId;
use crate::logical::text::expr_text;
use crate::types::Field;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanKind {
    /// Every record is a row.
    Stream,
    /// The changes of a view: rows are added and taken back.
    View,
    /// Records say which rows come and which go.
    Changes,
    /// A record replaces the row of its key; the `$tombstone` column says whether it deletes it.
    Table,
}

/// Reads a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The stream.
    pub stream: StreamId,
    /// Its name.
    pub name: String,
    /// What makes its content: connector, topic or path, and the options that change which rows
    /// it has. Part of the identity, never shown.
    pub content: String,
    /// The columns to decode, hidden ones last.
    pub columns: Vec<DecodeColumn>,
    /// Stream or table.
    pub kind: ScanKind,
    /// A table's primary key.
    pub key: Vec<usize>,
    /// What the watermark rises to with a row.
    pub watermark: Option<Expr>,
    /// The column that the watermark bounds, unless it is computed above.
    pub time: Option<usize>,
}

impl PlanNode for Scan {
    fn output(&self, _inputs: &[&Schema]) -> Schema {
        let columns = self.columns.iter().map(|c| Field::new(&c.name, c.ty.clone())).collect();
        let mut key = self.key.clone();
        key.sort_unstable();
        let (changes, keys) = match self.kind {
            ScanKind::Stream => (Changes::Append, Vec::new()),
            ScanKind::Changes => (Changes::Retract, Vec::new()),
            ScanKind::View if key.is_empty() => (Changes::Retract, Vec::new()),
            ScanKind::View => (Changes::Retract, vec![key]),
            ScanKind::Table if key.is_empty() => (Changes::Upsert, Vec::new()),
            ScanKind::Table => (Changes::Upsert, vec![key]),
        };
        Schema { columns, changes, keys, times: self.time.into_iter().collect() }
    }

    fn exprs(&self) -> Vec<&Expr> {
        self.watermark.iter().collect()
    }

    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        self.watermark.iter_mut().collect()
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let schema = self.output(inputs);
        let names: Vec<&str> = self.columns.iter().map(|c| c.name.as_str()).collect();
        let mut line = format!("{} [{}]", self.name, names.join(", "));
        if let Some(watermark) = &self.watermark {
            line += &format!(" watermark={}", expr_text(watermark, &schema.columns));
        }
        line
    }
}

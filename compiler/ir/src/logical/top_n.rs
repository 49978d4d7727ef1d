//! TopN: keeps the rows of each partition whose numbers lie in a range. Output: the input, and with
//! `rank` the number.

use super::schema::{names, order_text};
use super::{Changes, PlanNode, Schema};
use crate::physical::{Direction, Numbering, RowWindow};
use crate::types::{DataType, Field, Type};

/// The first rows of each partition.
#[derive(Clone, Debug, PartialEq)]
pub struct TopN {
    /// Partition columns.
    pub keys: Vec<usize>,
    /// Columns of the order, most significant first; ties go by the key bytes of the whole row.
    pub order: Vec<(usize, Direction)>,
    /// How rows are numbered.
    pub numbering: Numbering,
    /// Rows up to this number are left out.
    pub offset: u64,
    /// So many numbers behind `offset` stay; `None`, only with ROW_NUMBER and without `rank`: all.
    pub limit: Option<u64>,
    /// Whether the number is a column.
    pub rank: bool,
    /// Windows whose bounds are among the keys: the rows go out when the window closes.
    pub window: Option<RowWindow>,
}

impl PlanNode for TopN {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let mut columns = inputs[0].columns.clone();
        let mut keys = inputs[0].keys.clone();
        let mut key = self.keys.clone();
        key.sort_unstable();
        if self.rank {
            columns.push(Field::new("$rank", Type::not_null(DataType::BigInt)));
        }
        match self.numbering {
            Numbering::RowNumber if self.limit.is_some_and(|limit| limit <= 1) => keys.push(key),
            Numbering::RowNumber if self.rank => {
                key.push(columns.len() - 1);
                keys.push(key);
            }
            Numbering::RowNumber | Numbering::Rank | Numbering::DenseRank => {}
        }
        let (changes, times) = match self.window {
            Some(RowWindow { end, by_clock: false }) => (Changes::Append, vec![end]),
            Some(RowWindow { by_clock: true, .. }) => (Changes::Append, Vec::new()),
            None => (Changes::Retract, Vec::new()),
        };
        Schema { columns, changes, keys, times }
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let order = order_text(inputs[0], &self.order);
        let range = self.numbering.range_text(self.offset, self.limit);
        let by = names(inputs[0], &self.keys);
        let window = if self.window.is_some() { " of each window" } else { "" };
        format!("keeps {range} by [{by}] ordered [{order}]{window}")
    }
}

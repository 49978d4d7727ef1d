//! What a relation's rows look like and what is known about them. Facts are one-sided: a unique key
//! or a time column that is missing here may still exist.

use crate::decode_plan::{DecodeColumn, Metadata, Origin};
use crate::physical::Direction;
use crate::types::{DataType, Field, Type};

/// Which changes a relation's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Changes {
    /// Rows are only added.
    Append,
    /// The last row per key counts; tombstones delete. Only between a table's scan and the
    /// `Normalize` or temporal join that reads it.
    Upsert,
    /// Rows are added and taken back.
    Retract,
}

/// Columns of a relation and facts about its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Names and types; hidden columns (`Hidden`) are among them.
    pub columns: Vec<Field>,
    /// Which changes its rows are.
    pub changes: Changes,
    /// Unique keys: sets of columns, each ascending.
    pub keys: Vec<Vec<usize>>,
    /// Columns that the watermark bounds: no row comes with a value below it.
    pub times: Vec<usize>,
}

/// Columns that no user wrote: what the planner needs to know of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hidden {
    /// Watermark of the record's partition just before it.
    Watermark,
    /// Position in the source batch.
    Position,
    /// Whether the record is a tombstone.
    Tombstone,
    /// The record's partition.
    Partition,
    /// The record's offset.
    Offset,
    /// The record's timestamp, NULL where the source has none.
    Timestamp,
    /// Of a view whose equal rows are counted: how often the record's row is there.
    Weight,
    /// Of rows that a record's elements are: which one, from 1.
    Element,
}

impl Hidden {
    /// All of them.
    pub const ALL: [Hidden; 8] = [
        Hidden::Watermark,
        Hidden::Position,
        Hidden::Tombstone,
        Hidden::Partition,
        Hidden::Offset,
        Hidden::Timestamp,
        Hidden::Weight,
        Hidden::Element,
    ];

    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            Hidden::Watermark => "$watermark",
            Hidden::Position => "$position",
            Hidden::Tombstone => "$tombstone",
            Hidden::Partition => "$partition",
            Hidden::Offset => "$offset",
            Hidden::Timestamp => "$timestamp",
            Hidden::Weight => "$weight",
            Hidden::Element => "$element",
        }
    }

    /// How a scan reads it.
    pub fn column(self) -> DecodeColumn {
        let metadata = Origin::Metadata;
        let (origin, data) = match self {
            Hidden::Watermark => (metadata(Metadata::Watermark), DataType::BigInt),
            Hidden::Position => (metadata(Metadata::BatchPosition), DataType::BigInt),
            Hidden::Tombstone => (metadata(Metadata::Tombstone), DataType::Boolean),
            Hidden::Partition => (metadata(Metadata::Partition), DataType::Int),
            Hidden::Offset => (metadata(Metadata::Offset), DataType::BigInt),
            Hidden::Timestamp => {
                (metadata(Metadata::Timestamp), DataType::TimestampLtz { precision: 3 })
            }
            // The whole value of such a view's record is the number.
            Hidden::Weight => (Origin::Value(Vec::new()), DataType::BigInt),
            // No scan has one.
            Hidden::Element => (Origin::Value(Vec::new()), DataType::BigInt),
        };
        DecodeColumn {
            name: self.name().to_string(),
            ty: Type {
                data,
                nullable: matches!(self, Hidden::Timestamp | Hidden::Weight | Hidden::Element),
            },
            origin,
        }
    }
}

impl Schema {
    /// Append-only rows with these columns, nothing else known.
    pub fn append(columns: Vec<Field>) -> Self {
        Self { columns, changes: Changes::Append, keys: Vec::new(), times: Vec::new() }
    }

    /// Types of the columns.
    pub fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|c| c.ty.clone()).collect()
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Where a hidden column is.
    pub fn hidden(&self, hidden: Hidden) -> Option<usize> {
        self.columns.iter().position(|c| c.name == hidden.name())
    }

    /// The columns that are not hidden.
    pub fn visible(&self) -> Vec<usize> {
        (0..self.width()).filter(|&c| !self.is_hidden(c)).collect()
    }

    /// Whether a column is hidden.
    pub fn is_hidden(&self, column: usize) -> bool {
        Hidden::ALL.iter().any(|hidden| self.columns[column].name == hidden.name())
    }

    /// Whether these columns hold a unique key.
    pub fn is_unique(&self, columns: &[usize]) -> bool {
        self.keys.iter().any(|key| key.iter().all(|c| columns.contains(c)))
    }

    /// The facts after columns moved: `to` gives a column's new places.
    pub(super) fn moved(&self, columns: Vec<Field>, to: impl Fn(usize) -> Vec<usize>) -> Self {
        let first = |column: &usize| to(*column).first().copied();
        let mut keys: Vec<Vec<usize>> = Vec::new();
        for key in &self.keys {
            if let Some(mut moved) = key.iter().map(first).collect::<Option<Vec<_>>>() {
                moved.sort_unstable();
                keys.push(moved);
            }
        }
        let mut times: Vec<usize> = self.times.iter().flat_map(|&time| to(time)).collect();
        times.sort_unstable();
        Self { columns, changes: self.changes, keys, times }
    }
}

/// The names of these columns, for EXPLAIN.
pub(super) fn names(schema: &Schema, columns: &[usize]) -> String {
    let names: Vec<&str> = columns.iter().map(|&c| schema.columns[c].name.as_str()).collect();
    names.join(", ")
}

/// An order, for EXPLAIN.
pub(super) fn order_text(schema: &Schema, order: &[(usize, Direction)]) -> String {
    let order = order.iter().map(|(column, direction)| {
        let name = names(schema, &[*column]);
        if direction.descending { format!("{name} DESC") } else { name }
    });
    order.collect::<Vec<_>>().join(", ")
}

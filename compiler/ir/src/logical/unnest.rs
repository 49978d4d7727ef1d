//! Unnest: rows of the elements of containers. Output: the input, then for each ARRAY its element
//! and for each MAP its key and value, then perhaps the position.

use super::schema::names;
use super::{PlanNode, Schema};
use crate::types::{DataType, Field, Type};

/// Makes a row of each element; containers of one row go side by side, the shorter ones filled up
/// with NULL.
#[derive(Clone, Debug, PartialEq)]
pub struct Unnest {
    /// ARRAY and MAP columns.
    pub columns: Vec<usize>,
    /// Whether the position is a column: BIGINT, from 1.
    pub ordinality: bool,
    /// Whether a row without elements stays, once, with NULLs.
    pub outer: bool,
}

/// The columns that an element of a container has.
pub fn element_columns(container: &Type) -> Vec<Field> {
    let nullable = |ty: &Type| ty.with_nullable(true);
    match &container.data {
        DataType::Array(element) => vec![Field::new("element", nullable(element))],
        DataType::Map(key, value) => {
            vec![Field::new("key", nullable(key)), Field::new("value", nullable(value))]
        }
        _ => Vec::new(),
    }
}

impl PlanNode for Unnest {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        let mut schema = inputs[0].clone();
        for &column in &self.columns {
            schema.columns.extend(element_columns(&inputs[0].columns[column].ty));
        }
        let position = schema.width();
        if self.ordinality {
            let ty = Type { data: DataType::BigInt, nullable: self.outer };
            schema.columns.push(Field::new("ordinality", ty));
            schema.keys.iter_mut().for_each(|key| key.push(position));
        } else {
            schema.keys.clear();
        }
        schema
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        let outer = if self.outer { "outer " } else { "" };
        let ordinality = if self.ordinality { " with ordinality" } else { "" };
        format!("{outer}[{}]{ordinality}", names(inputs[0], &self.columns))
    }
}

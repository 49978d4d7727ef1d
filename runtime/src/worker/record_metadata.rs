//! What records have beside key and value, from columns of the rows that they are made of: their
//! timestamp and their headers.

use std::ops::Range;

use flow_ir::decode_plan::{Metadata, Origin};
use flow_ir::kernel::Headers;
use flow_ir::physical::Stream;
use flow_ir::row::{Column, RowLayout, RowRef, read_value};
use flow_ir::types::Type;
use flow_ir::value::Value;

/// What a record has beside its key and value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordMetadata {
    /// Milliseconds since 1970; `None`: the time of writing.
    pub(crate) timestamp: Option<i64>,
    /// Headers in the arena.
    pub(crate) headers: Range<usize>,
}

/// The columns of a sink's rows that its records have beside key and value.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetadataColumns {
    timestamp: Option<Column>,
    headers: Option<(Column, Type)>,
}

impl MetadataColumns {
    /// Those of a stream.
    pub(crate) fn of(stream: &Stream) -> Self {
        let layout = RowLayout::new(stream.types());
        let at = |wanted: Metadata| {
            stream.columns.iter().position(|c| c.origin == Origin::Metadata(wanted))
        };
        let headers = at(Metadata::Headers);
        Self {
            timestamp: at(Metadata::Timestamp).map(|at| layout.column(at)),
            headers: headers.map(|at| (layout.column(at), stream.columns[at].ty.clone())),
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.timestamp.is_none() && self.headers.is_none()
    }

    /// What a row says of its record; headers go to the end of `arena`.
    pub(super) fn read(&self, row: RowRef<'_>, arena: &mut Vec<u8>) -> RecordMetadata {
        let timestamp = self.timestamp.filter(|column| !row.is_null(*column));
        let timestamp = timestamp.map(|column| row.i64(column).div_euclid(1_000));
        let start = arena.len();
        if let Some((column, ty)) = &self.headers
            && let Value::Map(entries) = read_value(row, *column, ty)
        {
            for (name, value) in entries.iter() {
                let Value::String(name) = name else { continue };
                let value = match value {
                    Value::Bytes(bytes) => Some(&bytes[..]),
                    _ => None,
                };
                Headers::push(name, value, arena);
            }
        }
        RecordMetadata { timestamp, headers: start..arena.len() }
    }
}

#[cfg(test)]
mod tests {
    use flow_ir::row::{BatchBuilder, push_value};
    use flow_ir::types::DataType;

    use super::*;

    #[test]
    fn a_record_has_what_its_row_says() {
        let text = Type::not_null(DataType::String);
        let map = DataType::Map(Box::new(text), Box::new(Type::nullable(DataType::Bytes)));
        let types =
            vec![Type::nullable(DataType::TimestampLtz { precision: 3 }), Type::nullable(map)];
        let layout = RowLayout::new(types.clone());
        let columns = MetadataColumns {
            timestamp: Some(layout.column(0)),
            headers: Some((layout.column(1), types[1].clone())),
        };
        let entries = vec![
            (Value::String("a".into()), Value::Bytes(b"x".to_vec())),
            (Value::String("b".into()), Value::Null),
        ];
        let mut rows = BatchBuilder::new(layout.into());
        for values in [
            [Value::TimestampLtz(-1_500), Value::Map(entries)],
            [Value::Null, Value::Map(Vec::new())],
            [Value::Null, Value::Null],
        ] {
            rows.begin();
            values.iter().enumerate().for_each(|(at, value)| push_value(&mut rows, at, value));
            rows.finish(1);
        }
        let rows = rows.take();
        let mut arena = b"before".to_vec();
        let read = columns.read(rows.row(0), &mut arena);
        let mut expected = Vec::new();
        Headers::push("a", Some(b"x"), &mut expected);
        Headers::push("b", None, &mut expected);
        assert_eq!(read.timestamp, Some(-2), "a millisecond begins before what lies in it");
        assert_eq!(arena[read.headers], expected[..]);
        for row in [1, 2] {
            let read = columns.read(rows.row(row), &mut arena);
            assert_eq!((read.timestamp, read.headers.is_empty()), (None, true));
        }
    }
}

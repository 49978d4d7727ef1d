//! Rows of another job's view, read from the records of that job's changelog: the key bytes and the
//! row as its state keeps them; where equal rows are counted, the key is the whole row and the
//! value says how often it is there. A tombstone gives a row with the key's columns only. Records
//! come from outside: each is checked before it is believed, and those of other tables are passed
//! over.

use std::sync::Arc;

use flow_ir::connector::VIEW_COUNTED;
use flow_ir::decode_plan::{DecodeColumn, Metadata, Origin};
use flow_ir::kernel::{Decoder, ErrorBuffer, ErrorCode, KernelCx, Payloads, Record};
use flow_ir::physical::Stream;
use flow_ir::row::{BatchBuilder, Column, KeyDecoder, RowBatch, RowLayout, RowRef};
use flow_ir::types::{DataType, Type};

use crate::error::{Result, RuntimeError};
use crate::state::{KEY_PREFIX_BYTES, row_words};

/// Reads the records of one view.
pub(crate) struct ViewDecoder {
    /// The view's table, as it begins the keys of its records.
    table: [u8; 4],
    layout: RowLayout,
    /// The layout of values, where they are numbers of equal rows.
    weight: Option<RowLayout>,
    key: KeyDecoder,
    /// A decoded key; its columns in the key's order.
    key_row: BatchBuilder,
    columns: Vec<Place>,
}

/// What a column of the scan is.
enum Place {
    /// A column of the view, or a field within one, outermost first; and where in the key it is.
    Row(Vec<Column>, Option<usize>),
    /// Whether the row is gone.
    Tombstone,
    /// How often the row is there.
    Weight,
}

/// Why a record is no row of the view.
type Bad = (ErrorCode, &'static str);

const BAD_KEY: Bad = (ErrorCode::Corrupt, "its key is none of the view's");
const BAD_ROW: Bad = (ErrorCode::Corrupt, "its value is no row of the view");

impl ViewDecoder {
    /// A decoder for these columns of a view that is kept in the table of this number.
    ///
    /// # Errors
    /// If the stream has no such columns.
    pub(crate) fn new(stream: &Stream, columns: &[DecodeColumn], table: u32) -> Result<Self> {
        let types = stream.types();
        let layout = RowLayout::new(types.clone());
        let counted = stream.option(VIEW_COUNTED).is_some();
        let of_key = |&at: &usize| types.get(at).cloned();
        let key: Option<Vec<Type>> = stream.primary_key.iter().map(of_key).collect();
        let whole = stream.primary_key.iter().copied().eq(0..types.len());
        let key = key.filter(|_| whole || !counted);
        let key = key.ok_or_else(|| not_readable(stream, "its key"))?;
        let place = |column: &DecodeColumn| {
            let found = match &column.origin {
                Origin::Metadata(Metadata::Tombstone) => Some(Place::Tombstone),
                Origin::Value(path) if path.is_empty() => counted.then_some(Place::Weight),
                Origin::Value(path) => place(stream, &layout, path),
                Origin::Key(_) | Origin::Metadata(_) => None,
            };
            found.ok_or_else(|| not_readable(stream, &column.name))
        };
        Ok(Self {
            table: table.to_be_bytes(),
            columns: columns.iter().map(place).collect::<Result<_>>()?,
            key_row: BatchBuilder::new(Arc::new(RowLayout::new(key.clone()))),
            key: KeyDecoder::new(key),
            weight: counted.then(|| RowLayout::new(vec![Type::not_null(DataType::BigInt)])),
            layout,
        })
    }

    /// Appends the row of a record; `false` if it is one of another table.
    fn push(&mut self, record: &Record<'_>, out: &mut BatchBuilder) -> Result<bool, Bad> {
        let key = record.key.unwrap_or_default();
        let (prefix, key) = key.split_at_checked(KEY_PREFIX_BYTES).ok_or(BAD_KEY)?;
        if prefix[..4] != self.table {
            return Ok(false);
        }
        match (record.value, &self.weight) {
            (Some(value), None) => self.push_row(value, out)?,
            (Some(value), Some(layout)) => {
                let words = row_words(value, layout).ok_or(BAD_ROW)?;
                let (number, column) = (RowRef::new(&words), layout.column(0));
                if number.is_null(column) || number.i64(column) == 0 {
                    return Err(BAD_ROW);
                }
                self.push_counted(key, number.i64(column), out)?;
            }
            (None, _) => self.push_tombstone(key, out)?,
        }
        Ok(true)
    }

    fn push_row(&self, value: &[u8], out: &mut BatchBuilder) -> Result<(), Bad> {
        let words = row_words(value, &self.layout).ok_or(BAD_ROW)?;
        let row = RowRef::new(&words);
        if has_forbidden_null(row, &self.layout) {
            return Err((ErrorCode::UnexpectedNull, BAD_ROW.1));
        }
        self.write(row, 1, out);
        Ok(())
    }

    /// A row that is the key.
    fn push_counted(&mut self, key: &[u8], weight: i64, out: &mut BatchBuilder) -> Result<(), Bad> {
        let decoded = decode_key(&self.key, key, &mut self.key_row).ok_or(BAD_KEY)?;
        self.write(decoded.row(0), weight, out);
        self.key_row.recycle(decoded);
        Ok(())
    }

    /// Appends a row of the view.
    fn write(&self, row: RowRef<'_>, weight: i64, out: &mut BatchBuilder) {
        out.begin();
        for (column, place) in self.columns.iter().enumerate() {
            match place {
                Place::Row(path, _) => copy(row, path, column, out),
                Place::Tombstone => out.set_word(column, 0),
                Place::Weight => out.set_i64(column, weight),
            }
        }
        out.finish(1);
    }

    fn push_tombstone(&mut self, key: &[u8], out: &mut BatchBuilder) -> Result<(), Bad> {
        let decoded = decode_key(&self.key, key, &mut self.key_row).ok_or(BAD_KEY)?;
        let (row, layout) = (decoded.row(0), decoded.layout());
        out.begin();
        for (column, place) in self.columns.iter().enumerate() {
            match place {
                Place::Row(_, Some(at)) => out.copy_column(column, row, layout.column(*at)),
                Place::Row(_, None) | Place::Weight => {}
                Place::Tombstone => out.set_word(column, 1),
            }
        }
        out.finish(1);
        self.key_row.recycle(decoded);
        Ok(())
    }
}

impl Decoder for ViewDecoder {
    fn decode(
        &mut self,
        from: &Payloads<'_>,
        _: &KernelCx,
        out: &mut BatchBuilder,
        origin: &mut Vec<u32>,
        bad: &mut ErrorBuffer,
    ) {
        for &position in from.select {
            match self.push(&from.records[position as usize], out) {
                Ok(true) => origin.push(position),
                Ok(false) => {}
                Err((code, why)) => bad.note(position as usize, None, code, Some(why)),
            }
        }
    }
}

/// Where a column of the view, or a field within it, lies.
fn place(stream: &Stream, layout: &RowLayout, path: &[String]) -> Option<Place> {
    let (name, fields) = path.split_first()?;
    let at = stream.columns.iter().position(|column| column.name == *name)?;
    let mut places = vec![layout.column(at)];
    let mut ty = &stream.columns[at].ty;
    for name in fields {
        let DataType::Row(fields) = &ty.data else { return None };
        let field = fields.iter().position(|field| field.name == *name)?;
        let types: Vec<Type> = fields.iter().map(|field| field.ty.clone()).collect();
        places.push(RowLayout::new(types).column(field));
        ty = &fields[field].ty;
    }
    let in_key = stream.primary_key.iter().position(|&key| key == at);
    Some(Place::Row(places, in_key.filter(|_| fields.is_empty())))
}

/// Copies a column, or a field within it; where a ROW on the way is NULL, so is the field.
fn copy(row: RowRef<'_>, path: &[Column], column: usize, out: &mut BatchBuilder) {
    match path {
        [] => {}
        [last] => out.copy_column(column, row, *last),
        [outer, inner @ ..] if !row.is_null(*outer) => {
            copy(RowRef::new(row.container(*outer)), inner, column, out);
        }
        [_, ..] => {}
    }
}

fn decode_key(decoder: &KeyDecoder, key: &[u8], out: &mut BatchBuilder) -> Option<RowBatch> {
    out.begin();
    if !decoder.decode(key, out, 0) {
        out.abandon();
        return None;
    }
    out.finish(1);
    let decoded = out.take();
    let (row, layout) = (decoded.row(0), decoded.layout());
    (row.verify(layout) && !has_forbidden_null(row, layout)).then_some(decoded)
}

fn has_forbidden_null(row: RowRef<'_>, layout: &RowLayout) -> bool {
    let mut columns = layout.columns().iter().zip(layout.types().iter());
    columns.any(|(column, ty)| !ty.nullable && row.is_null(*column))
}

fn not_readable(stream: &Stream, what: &str) -> RuntimeError {
    RuntimeError::user(format!("{what} of view {} cannot be read", stream.name))
        .with_help("Compile the program anew.")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flow_ir::kernel::OnError;
    use flow_ir::physical::{StreamColumn, StreamSchemas};
    use flow_ir::row::{KeyEncoder, push_value, read_value};
    use flow_ir::types::Field;
    use flow_ir::value::Value;

    use super::*;

    /// A view `j.v` (n BIGINT NOT NULL, place ROW<x, y>, k STRING NOT NULL) by k.
    fn view() -> Stream {
        let int = || Type::nullable(DataType::BigInt);
        let place = DataType::Row(vec![Field::new("x", int()), Field::new("y", int())].into());
        let column = |name: &str, ty| StreamColumn {
            name: name.into(),
            ty,
            origin: Origin::Value(vec![name.into()]),
        };
        Stream {
            name: "j.v".into(),
            connector: flow_ir::connector::VIEW.into(),
            options: BTreeMap::new(),
            value_format: None,
            key_format: None,
            columns: vec![
                column("n", Type::not_null(DataType::BigInt)),
                column("place", Type::nullable(place)),
                column("k", Type::not_null(DataType::String)),
            ],
            primary_key: vec![2],
            schemas: StreamSchemas::default(),
        }
    }

    /// Columns k, place.y and whether the row is gone.
    fn wanted() -> Vec<DecodeColumn> {
        let column = |name: &str, ty, origin| DecodeColumn { name: name.into(), ty, origin };
        let path = |names: &[&str]| Origin::Value(names.iter().map(ToString::to_string).collect());
        vec![
            column("k", Type::not_null(DataType::String), path(&["k"])),
            column("place.y", Type::nullable(DataType::BigInt), path(&["place", "y"])),
            column(
                "$tombstone",
                Type::not_null(DataType::Boolean),
                Origin::Metadata(Metadata::Tombstone),
            ),
        ]
    }

    /// Key and row as the keeper writes them.
    fn record(table: u32, k: &str, place: Value) -> (Vec<u8>, Vec<u8>) {
        let layout = Arc::new(RowLayout::new(view().types()));
        let mut rows = BatchBuilder::new(layout.clone());
        rows.begin();
        for (at, value) in [Value::Int(7), place, Value::String(k.into())].iter().enumerate() {
            push_value(&mut rows, at, value);
        }
        rows.finish(1);
        let rows = rows.take();
        let mut key = [&table.to_be_bytes()[..], &[3]].concat();
        KeyEncoder::new(&layout, &[2]).append(rows.row(0), &mut key);
        (key, rows.row(0).bytes().to_vec())
    }

    type Read = (Vec<(Value, Value, Value)>, Vec<u32>, Vec<(u32, ErrorCode)>);

    fn read(records: &[(&[u8], Option<&[u8]>)]) -> Read {
        let mut decoder = ViewDecoder::new(&view(), &wanted(), 9).expect("the view can be read");
        let types = wanted().into_iter().map(|c| c.ty).collect::<Vec<_>>();
        let mut out = BatchBuilder::new(Arc::new(RowLayout::new(types)));
        let record = |&(key, value): &(_, _)| Record { key: Some(key), value, ..Record::default() };
        let records: Vec<Record<'_>> = records.iter().map(record).collect();
        let select: Vec<u32> = (0..records.len() as u32).collect();
        let from = Payloads {
            records: &records,
            select: &select,
            key_skip: 0,
            value_skip: 0,
            topic: "flow.j.changelog",
            partition: 0,
        };
        let (mut origin, mut bad) = (Vec::new(), ErrorBuffer::default());
        let cx = KernelCx { clock: 0, on_error: OnError::DropRow };
        decoder.decode(&from, &cx, &mut out, &mut origin, &mut bad);
        let rows = out.take();
        let layout = rows.layout();
        let value = |row, at: usize| read_value(row, layout.column(at), &layout.types()[at]);
        let found = rows.rows().map(|row| (value(row, 0), value(row, 1), value(row, 2)));
        let bad = bad.errors.iter().map(|error| (error.row, error.code)).collect();
        (found.collect(), origin, bad)
    }

    #[test]
    fn rows_and_tombstones_of_the_view_are_read_and_other_tables_passed_over() {
        let place = Value::Row(vec![Value::Int(1), Value::Int(2)]);
        let ((a, row), (b, bare)) = (record(9, "a", place), record(9, "b", Value::Null));
        let (other, _) = record(8, "a", Value::Null);
        let text = |text: &str| Value::String(text.into());
        let (rows, origin, bad) = read(&[
            (&a, Some(&row)),
            (&other, Some(b"what another table holds")),
            (&b, Some(&bare)),
            (&a, None),
        ]);
        let no = Value::Boolean(false);
        assert_eq!(
            rows,
            [
                (text("a"), Value::Int(2), no.clone()),
                (text("b"), Value::Null, no),
                (text("a"), Value::Null, Value::Boolean(true)),
            ]
        );
        assert_eq!(origin, [0, 2, 3]);
        assert!(bad.is_empty(), "{bad:?}");
    }

    #[test]
    fn damaged_records_are_noted_and_make_no_row() {
        let (key, row) = record(9, "a", Value::Null);
        for at in 0..=row.len() {
            let (rows, _, bad) = read(&[(&key, Some(&row[..at]))]);
            assert_eq!((rows.len(), bad.len()), if at == row.len() { (1, 0) } else { (0, 1) });
        }
        for at in 5..key.len() {
            let (rows, _, bad) = read(&[(&key[..at], None)]);
            assert_eq!((rows.len(), bad), (0, vec![(0, ErrorCode::Corrupt)]), "{at}");
        }
        let null_key = [&key[..5], &[2]].concat();
        assert_eq!(read(&[(&null_key, None), (b"", None)]).2.len(), 2);
        // The null bit of n, which is NOT NULL.
        let mut without = row.clone();
        without[8] |= 1;
        assert_eq!(read(&[(&key, Some(&without))]).2, [(0, ErrorCode::UnexpectedNull)]);
        for (at, flipped) in (0..row.len()).flat_map(|at| (0..8).map(move |bit| (at, 1 << bit))) {
            let mut row = row.clone();
            row[at] ^= flipped;
            let (rows, _, bad) = read(&[(&key, Some(&row))]);
            assert_eq!(rows.len() + bad.len(), 1, "byte {at}");
        }
    }

    #[test]
    fn a_counted_row_is_its_key() {
        let mut view = view();
        view.options.insert(VIEW_COUNTED.into(), "true".into());
        assert!(ViewDecoder::new(&view, &wanted(), 9).is_err(), "the key is not the whole row");
        view.primary_key = vec![0, 1, 2];
        let weight = DecodeColumn {
            name: "$weight".into(),
            ty: Type::nullable(DataType::BigInt),
            origin: Origin::Value(Vec::new()),
        };
        let columns = [&wanted()[..], &[weight]].concat();
        let mut decoder = ViewDecoder::new(&view, &columns, 9).expect("the view can be read");
        let types = columns.into_iter().map(|c| c.ty).collect::<Vec<_>>();
        let mut out = BatchBuilder::new(Arc::new(RowLayout::new(types)));
        let layout = Arc::new(RowLayout::new(view.types()));
        let mut rows = BatchBuilder::new(layout.clone());
        rows.begin();
        let place = Value::Row(vec![Value::Int(1), Value::Int(2)]);
        for (at, value) in [Value::Int(7), place, Value::String("a".into())].iter().enumerate() {
            push_value(&mut rows, at, value);
        }
        rows.finish(1);
        let rows = rows.take();
        let mut key = [&9u32.to_be_bytes()[..], &[3]].concat();
        KeyEncoder::new(&layout, &[0, 1, 2]).append(rows.row(0), &mut key);
        let number = |number: i64| {
            let not_null = Type::not_null(DataType::BigInt);
            let mut rows = BatchBuilder::new(Arc::new(RowLayout::new(vec![not_null])));
            rows.begin();
            rows.set_i64(0, number);
            rows.finish(1);
            rows.take().row(0).bytes().to_vec()
        };
        let mut push = |key: &[u8], value: Option<&[u8]>| {
            let record = Record { key: Some(key), value, ..Record::default() };
            decoder.push(&record, &mut out)
        };
        assert_eq!(push(&key, Some(&number(3))), Ok(true));
        assert_eq!(push(&key, None), Ok(true));
        assert_eq!(push(&key, Some(&number(0))), Err(BAD_ROW));
        assert_eq!(push(&key[..key.len() - 1], Some(&number(3))), Err(BAD_KEY));
        assert_eq!(push(&key, Some(&number(3)[8..])), Err(BAD_ROW));
        let found = out.take();
        let layout = found.layout();
        let value = |row, at: usize| read_value(row, layout.column(at), &layout.types()[at]);
        let found: Vec<Vec<Value>> =
            found.rows().map(|row| (0..4).map(|at| value(row, at)).collect()).collect();
        let text = Value::String("a".into());
        let row = |y, gone, weight| vec![text.clone(), y, Value::Boolean(gone), weight];
        assert_eq!(
            found,
            [row(Value::Int(2), false, Value::Int(3)), row(Value::Null, true, Value::Null)]
        );
    }

    #[test]
    fn columns_that_the_view_does_not_have_are_refused() {
        let mut columns = wanted();
        columns[1].origin = Origin::Value(vec!["place".into(), "z".into()]);
        let refused = ViewDecoder::new(&view(), &columns, 9).err().expect("there is no z");
        assert!(refused.to_string().contains("place.y of view j.v"), "{refused}");
        let mut keyed = view();
        keyed.primary_key = vec![5];
        assert!(ViewDecoder::new(&keyed, &wanted(), 9).is_err());
    }
}

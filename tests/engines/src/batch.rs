//! Random batches, and whether two answers are the same.

use std::fmt::Write;
use std::sync::Arc;

use flow_ir::kernel::RowError;
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowLayout, RowRef, push_value, read_value};
use flow_ir::types::{DataType, Field, Slot, Type};
use flow_ir::value::Value;

use crate::source::{Source, Spread};
use crate::values::values;

/// Weights of rows on edges that are not append-only.
const WEIGHTS: [i64; 6] = [1, -1, 2, -3, i64::MAX, i64::MIN];

/// Where the values of batches come from: each row takes one of each column's values.
#[derive(Debug)]
pub struct Pool {
    layout: Arc<RowLayout>,
    columns: Vec<Vec<Value>>,
    weighted: bool,
    spread: Spread,
}

impl Pool {
    /// Values for columns of these types.
    pub fn new(s: &mut Source<'_>, types: Vec<Type>) -> Self {
        let columns = types.iter().map(|ty| values(s, ty)).collect();
        Self::of(s, types, columns)
    }

    /// These values for columns of these types.
    pub fn of(s: &mut Source<'_>, types: Vec<Type>, columns: Vec<Vec<Value>>) -> Self {
        let (weighted, spread) = (s.once_in(3), s.spread());
        Self { layout: Arc::new(RowLayout::new(types)), columns, weighted, spread }
    }

    /// The values of each column.
    pub fn columns(&self) -> &[Vec<Value>] {
        &self.columns
    }

    /// A batch of so many rows.
    pub fn batch(&mut self, rows: usize) -> RowBatch {
        let mut out = BatchBuilder::new(self.layout.clone());
        for _ in 0..rows {
            out.begin();
            for (column, values) in self.columns.iter().enumerate() {
                push_value(&mut out, column, self.spread.pick(values));
            }
            out.finish(if self.weighted { *self.spread.pick(&WEIGHTS) } else { 1 });
        }
        out.take()
    }
}

/// A batch of these rows, each with weight 1.
pub fn batch_of(fields: &[Field], rows: &[Vec<Value>]) -> RowBatch {
    let types: Vec<Type> = fields.iter().map(|f| f.ty.clone()).collect();
    let mut out = BatchBuilder::new(Arc::new(RowLayout::new(types)));
    for row in rows {
        out.begin();
        row.iter().enumerate().for_each(|(column, value)| push_value(&mut out, column, value));
        out.finish(1);
    }
    out.take()
}

/// The values of a batch's rows.
pub fn values_of(batch: &RowBatch) -> Vec<Vec<Value>> {
    let layout = batch.layout();
    let value = |row, i: usize| read_value(row, layout.column(i), &layout.types()[i]);
    batch.rows().map(|row| (0..layout.len()).map(|i| value(row, i)).collect()).collect()
}

/// One row of a batch as a batch.
pub fn row_of(batch: &RowBatch, index: usize) -> RowBatch {
    let mut out = BatchBuilder::new(batch.layout().clone());
    out.push_row(batch.row(index), batch.weight(index));
    out.take()
}

/// A row's values and weight as text.
pub fn show_row(batch: &RowBatch, index: usize) -> String {
    let mut out = format!("weight {}", batch.weight(index));
    let layout = batch.layout();
    for (i, ty) in layout.types().iter().enumerate() {
        let value = read_value(batch.row(index), layout.column(i), ty);
        write!(out, "\n  {i}: {ty} = {value:?}").expect("writing to a String does not fail");
    }
    out
}

/// What differs between two answers; the first is the interpreter's.
pub fn difference(ours: &RowBatch, native: &RowBatch) -> Option<String> {
    if let Some(broken) = native.rows().position(|row| !row.verify(native.layout())) {
        return Some(format!("native row {broken} is not well formed:\n{:?}", native.row(broken)));
    }
    let same = |i: usize| {
        ours.weight(i) == native.weight(i) && same_row(ours.row(i), native.row(i), ours.layout())
    };
    let shorter = ours.len().min(native.len());
    let at = (0..shorter).find(|i| !same(*i)).or((ours.len() != native.len()).then_some(shorter))?;
    let show = |batch: &RowBatch| match at < batch.len() {
        true => format!("{}\n  {:x?}", show_row(batch, at), batch.row(at).words()),
        false => "none".to_string(),
    };
    Some(format!(
        "{} rows and {}; row {at}:\ninterpreter: {}\nnative: {}",
        ours.len(),
        native.len(),
        show(ours),
        show(native)
    ))
}

/// Whether two rows have the same words. The bits of a NaN may differ: neither IEEE 754 nor Rust
/// says which NaN an operation gives.
fn same_row(a: RowRef<'_>, b: RowRef<'_>, layout: &RowLayout) -> bool {
    if a.words() == b.words() {
        return true;
    }
    let same = |(column, ty): (&Column, &Type)| {
        if a.is_null(*column) != b.is_null(*column) {
            return false;
        }
        let value = |row| format!("{:?}", read_value(row, *column, ty));
        match column.slot {
            _ if holds_floats(&ty.data) => value(a) == value(b),
            Slot::Word => a.word(*column) == b.word(*column),
            Slot::Wide => a.wide(*column) == b.wide(*column),
            Slot::Var => a.word(*column) == b.word(*column) && a.var(*column) == b.var(*column),
        }
    };
    a.words().len() == b.words().len()
        && layout.columns().iter().zip(layout.types().iter()).all(same)
        && layout.types().iter().any(|ty| holds_floats(&ty.data))
}

fn holds_floats(ty: &DataType) -> bool {
    match ty {
        DataType::Array(item) => holds_floats(&item.data),
        DataType::Map(key, value) => holds_floats(&key.data) || holds_floats(&value.data),
        DataType::Row(fields) => fields.iter().any(|f| holds_floats(&f.ty.data)),
        other => other.is_float(),
    }
}

/// What differs between the failures of two answers, as sets.
pub fn error_difference(ours: &[RowError], native: &[RowError]) -> Option<String> {
    let sorted = |errors: &[RowError]| {
        let mut all: Vec<String> = errors.iter().map(|e| format!("{e:?}")).collect();
        all.sort();
        all
    };
    let (ours, native) = (sorted(ours), sorted(native));
    let at = (0..ours.len().max(native.len())).find(|&i| ours.get(i) != native.get(i))?;
    Some(format!(
        "{} failures and {}; the first to differ:\ninterpreter: {:?}\nnative: {:?}",
        ours.len(),
        native.len(),
        ours.get(at),
        native.get(at)
    ))
}

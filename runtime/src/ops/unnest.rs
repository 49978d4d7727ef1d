//! Unnest: a row of each element of a row's containers, with the row's own columns before it.

use flow_ir::physical::Unnest;
use flow_ir::row::{ArrayRef, BatchBuilder, Column, MapRef, RowBatch, RowLayout, RowRef};
use flow_ir::types::{DataType, Slot, Type};

use super::{OpCx, OpError, Operator, Plan, columns_of, data};

pub(super) struct UnnestOp {
    columns: Vec<Column>,
    containers: Vec<Container>,
    ordinality: bool,
    outer: bool,
}

/// A container's column and what its elements are.
struct Container {
    column: Column,
    /// The element; or the key and the value.
    elements: Vec<Type>,
}

impl Container {
    fn of(column: Column, ty: &Type) -> Result<Self, String> {
        let elements = match &ty.data {
            DataType::Array(element) => vec![(**element).clone()],
            DataType::Map(key, value) => vec![(**key).clone(), (**value).clone()],
            _ => return Err("a column to unnest is no ARRAY or MAP".into()),
        };
        Ok(Self { column, elements })
    }

    /// The elements of a row, side by side; none where the container is NULL.
    fn arrays<'r>(&self, row: RowRef<'r>) -> Vec<ArrayRef<'r>> {
        if row.is_null(self.column) {
            return Vec::new();
        }
        let words = row.container(self.column);
        match self.elements.as_slice() {
            [key, value] => {
                let map = MapRef::new(words, key.slot(), value.slot());
                vec![map.keys(), map.values()]
            }
            elements => elements.iter().map(|e| ArrayRef::new(words, e.slot())).collect(),
        }
    }
}

impl UnnestOp {
    pub(super) fn new(op: &Unnest, plan: &Plan<'_>) -> Result<Self, String> {
        let input = plan.input(0)?;
        columns_of(&op.columns, &input)?;
        let layout = RowLayout::new(input.clone());
        let container = |&c: &usize| Container::of(layout.column(c), &input[c]);
        let containers = op.columns.iter().map(container).collect::<Result<Vec<_>, _>>()?;
        let elements = containers.iter().flat_map(|c| data(&c.elements));
        let position = op.ordinality.then_some(DataType::BigInt);
        let made: Vec<DataType> =
            data(&input).into_iter().chain(elements).chain(position).collect();
        if made != data(&plan.output()) {
            return Err("the output is not the input and its elements".into());
        }
        let columns = layout.columns().to_vec();
        Ok(Self { columns, containers, ordinality: op.ordinality, outer: op.outer })
    }

    /// Emits the row with the elements at a position, from 0.
    fn emit(
        &self,
        row: RowRef<'_>,
        weight: i64,
        position: Option<usize>,
        arrays: &[Vec<ArrayRef<'_>>],
        out: &mut BatchBuilder,
    ) {
        out.begin();
        for (index, column) in self.columns.iter().enumerate() {
            out.copy_column(index, row, *column);
        }
        let mut at = self.columns.len();
        for (container, arrays) in self.containers.iter().zip(arrays) {
            for (part, ty) in container.elements.iter().enumerate() {
                if let (Some(array), Some(position)) = (arrays.get(part), position) {
                    set_element(out, at, *array, position, ty);
                }
                at += 1;
            }
        }
        if let Some(position) = position.filter(|_| self.ordinality) {
            out.set_i64(at, position as i64 + 1);
        }
        out.finish(weight);
    }
}

/// Sets a column of the open row to an element; leaves it NULL where there is none.
fn set_element(out: &mut BatchBuilder, column: usize, array: ArrayRef<'_>, at: usize, ty: &Type) {
    if at >= array.len() || array.is_null(at) {
        return;
    }
    match (ty.slot(), &ty.data) {
        (Slot::Word, _) => out.set_word(column, array.word(at)),
        (Slot::Wide, _) => out.set_wide(column, array.wide(at)),
        (Slot::Var, DataType::Array(_) | DataType::Map(..) | DataType::Row(_)) => {
            out.set_container(column, array.container(at));
        }
        (Slot::Var, _) => out.set_bytes(column, array.var(at)),
    }
}

impl Operator for UnnestOp {
    fn on_batch(&mut self, _: usize, rows: &RowBatch, cx: &mut OpCx<'_>) -> Result<(), OpError> {
        for (i, row) in rows.rows().enumerate() {
            let arrays: Vec<_> = self.containers.iter().map(|c| c.arrays(row)).collect();
            let longest = arrays.iter().flatten().map(|array| array.len()).max().unwrap_or(0);
            for position in 0..longest {
                self.emit(row, rows.weight(i), Some(position), &arrays, cx.emit);
            }
            if longest == 0 && self.outer {
                self.emit(row, rows.weight(i), None, &arrays, cx.emit);
            }
            cx.refuse_too_much(0)?;
        }
        Ok(())
    }
}

//! MIN and MAX: NULL over nothing. Values compare as their key bytes do: NaN above all, text by its
//! bytes, containers element by element. One slot of the argument's type; over inputs that take
//! rows back the operator keeps a multiset and sets the slot from its first or last value.

use std::cmp::Ordering;
use std::sync::Arc;

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, KeyEncoder, RowLayout, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};
use flow_ir::update::{Gate, SlotOrder, Update, UpdateOp};

use super::Meaning;
use super::catalog::{AggregateDef, Example};
use super::fixed::{FixedMeaning, Updates};

pub(super) const MIN: AggregateDef = AggregateDef {
    name: "MIN",
    usage: "x",
    doc: "The smallest value that is not NULL; NULL if there is none. Of the argument's type.",
    examples: &[
        Example { call: "MIN(x)", rows: &[Some(3), Some(-1), None], result: "-1" },
        Example { call: "MIN(x)", rows: &[None], result: "NULL" },
    ],
    result: |args| result_type("MIN", args),
    ..AggregateDef::PLAIN
};

pub(super) const MAX: AggregateDef = AggregateDef {
    name: "MAX",
    usage: "x",
    doc: "The largest value that is not NULL; NULL if there is none. Of the argument's type.",
    examples: &[
        Example { call: "MAX(x)", rows: &[Some(3), Some(-1), None], result: "3" },
        Example { call: "MAX(x)", rows: &[], result: "NULL" },
    ],
    result: |args| result_type("MAX", args),
    ..AggregateDef::PLAIN
};

fn result_type(name: &str, args: &[Type]) -> Result<Type, String> {
    match args {
        [Type { data: DataType::Null, .. }] => Err(format!("{name} of NULL has no type")),
        [ty] => Ok(ty.with_nullable(true)),
        _ => Err(format!("{name} takes one argument")),
    }
}

/// MIN or MAX of values of fixed width.
#[derive(Clone, Debug)]
pub(super) struct Extreme {
    ty: Type,
    order: SlotOrder,
    greatest: bool,
}

impl Extreme {
    /// Of values of a type; `None` if they are not of fixed width.
    pub(super) fn new(ty: &Type, greatest: bool) -> Option<Self> {
        let order = SlotOrder::of(&ty.data)?;
        Some(Self { ty: ty.with_nullable(true), order, greatest })
    }
}

impl FixedMeaning for Extreme {
    fn types(&self) -> Vec<Type> {
        vec![self.ty.clone()]
    }

    fn updates(&self) -> Updates {
        let op = UpdateOp::Extreme { column: 0, order: self.order, greatest: self.greatest };
        let there = Gate::NotNull(0);
        Updates {
            adds: vec![Update::new([there, Gate::Comes], 0, op)],
            merges: vec![Update::new([there], 0, op)],
        }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        out.copy_column(column, acc, columns[0]);
        Ok(())
    }
}

/// MIN or MAX of values that lie in the tail.
#[derive(Clone, Debug)]
pub(super) struct LongExtreme {
    /// Which end: `Less` for MIN, `Greater` for MAX.
    wanted: Ordering,
    ty: Type,
    order: Order,
}

/// How such values compare where they lie.
#[derive(Clone, Debug)]
enum Order {
    Bytes,
    /// By key bytes; the encoder reads a row of this one column.
    Keys(Arc<RowLayout>, KeyEncoder),
}

impl LongExtreme {
    pub(super) fn new(ty: &Type, greatest: bool) -> Self {
        let wanted = if greatest { Ordering::Greater } else { Ordering::Less };
        let order = match ty.data.is_container() {
            true => {
                let layout = Arc::new(RowLayout::new(vec![ty.clone()]));
                let encoder = KeyEncoder::new(&layout, &[0]);
                Order::Keys(layout, encoder)
            }
            false => Order::Bytes,
        };
        Self { wanted, order, ty: ty.with_nullable(true) }
    }

    /// Takes the value of a column if it is more extreme than the one kept.
    #[inline]
    fn take(&self, acc: &mut ValueMut<'_>, at: usize, row: RowRef<'_>, column: Column) {
        let further = acc.is_null(at)
            || self.wanted
                == match &self.order {
                    Order::Bytes => row.var(column).cmp(acc.var(at)),
                    Order::Keys(layout, encoder) => {
                        let value = key_bytes(layout, encoder, row.container(column));
                        let (kept, _) = acc.var(at).as_chunks::<8>();
                        let words = kept.iter().map(|bytes| u64::from_le_bytes(*bytes));
                        value.cmp(&key_bytes(layout, encoder, &words.collect::<Vec<u64>>()))
                    }
                };
        if further {
            acc.set_var(at, row.var(column));
        }
    }
}

fn key_bytes(layout: &Arc<RowLayout>, encoder: &KeyEncoder, container: &[u64]) -> Vec<u8> {
    let mut row = BatchBuilder::new(layout.clone());
    row.begin();
    row.set_container(0, container);
    row.finish(1);
    let mut bytes = Vec::new();
    encoder.append(row.take().row(0), &mut bytes);
    bytes
}

impl Meaning for LongExtreme {
    fn types(&self) -> Vec<Type> {
        vec![self.ty.clone()]
    }

    #[inline]
    fn add(
        &self,
        acc: &mut ValueMut<'_>,
        first: usize,
        row: RowRef<'_>,
        args: &[Column],
        weight: i64,
    ) {
        if weight > 0 && !row.is_null(args[0]) {
            self.take(acc, first, row, args[0]);
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        if !from.is_null(columns[0]) {
            self.take(acc, first, from, columns[0]);
        }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        out.copy_column(column, acc, columns[0]);
        Ok(())
    }
}

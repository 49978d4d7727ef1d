//! MIN and MAX: NULL over nothing. Values compare as their key bytes do: NaN above all, text by its
//! bytes, containers element by element. One slot of the argument's type; over inputs that take
//! rows back the operator keeps a multiset and sets the slot from its first or last value.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, KeyEncoder, RowLayout, RowRef, ValueMut};
use flow_ir::types::{DataType, Slot, Type};
use std::cmp::Ordering;
use std::sync::Arc;

use super::Meaning;
use super::catalog::{AggregateDef, Example};

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

/// MIN or MAX.
#[derive(Clone, Debug)]
pub(super) struct Extreme {
    /// Which end: `Less` for MIN, `Greater` for MAX.
    wanted: Ordering,
    ty: Type,
    order: Order,
}

/// How values of a type compare where they lie.
#[derive(Clone, Debug)]
enum Order {
    Signed,
    Float,
    Wide128,
    Uuid,
    Interval,
    Bytes,
    /// By key bytes; the encoder reads a row of this one column.
    Keys(Arc<RowLayout>, KeyEncoder),
}

impl Order {
    fn of(ty: &Type) -> Self {
        match (ty.slot(), &ty.data) {
            (Slot::Word, data) if data.is_float() => Order::Float,
            (Slot::Word, _) => Order::Signed,
            (Slot::Wide, DataType::Uuid) => Order::Uuid,
            (Slot::Wide, DataType::Interval) => Order::Interval,
            (Slot::Wide, _) => Order::Wide128,
            (Slot::Var, data) if data.is_container() => {
                let layout = Arc::new(RowLayout::new(vec![ty.clone()]));
                let encoder = KeyEncoder::new(&layout, &[0]);
                Order::Keys(layout, encoder)
            }
            (Slot::Var, _) => Order::Bytes,
        }
    }
}

impl Extreme {
    pub(super) fn new(ty: Type, max: bool) -> Self {
        let wanted = if max { Ordering::Greater } else { Ordering::Less };
        Self { wanted, order: Order::of(&ty), ty: ty.with_nullable(true) }
    }

    /// Takes the value of a column if it is more extreme than the one kept.
    #[inline]
    fn take(&self, acc: &mut ValueMut<'_>, at: usize, row: RowRef<'_>, column: Column) {
        let fresh = acc.is_null(at);
        match &self.order {
            Order::Signed => {
                if fresh || row.i64(column).cmp(&(acc.word(at) as i64)) == self.wanted {
                    acc.set_word(at, row.word(column));
                }
            }
            Order::Float => {
                let value = canonical(row.f64(column));
                let kept = f64::from_bits(acc.word(at));
                if fresh || order_floats(value, kept) == self.wanted {
                    acc.set_word(at, value.to_bits());
                }
            }
            Order::Wide128 => self.take_wide(acc, at, row, column, |v| (0, v)),
            Order::Uuid => {
                self.take_wide(acc, at, row, column, |v| (i64::MIN, v ^ i128::MIN));
            }
            Order::Interval => {
                self.take_wide(acc, at, row, column, |v| (v as i64, v >> 64));
            }
            Order::Bytes => {
                if fresh || row.var(column).cmp(acc.var(at)) == self.wanted {
                    acc.set_var(at, row.var(column));
                }
            }
            Order::Keys(layout, encoder) => {
                let value = key_bytes(layout, encoder, row.container(column));
                let (kept, _) = acc.var(at).as_chunks::<8>();
                let kept: Vec<u64> = kept.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
                if fresh || value.cmp(&key_bytes(layout, encoder, &kept)) == self.wanted {
                    acc.set_var(at, row.var(column));
                }
            }
        }
    }

    /// `take` for two words: `order` gives what compares as the values do.
    #[inline]
    fn take_wide(
        &self,
        acc: &mut ValueMut<'_>,
        at: usize,
        row: RowRef<'_>,
        column: Column,
        order: impl Fn(i128) -> (i64, i128),
    ) {
        let [low, high] = row.wide(column);
        let value = i128::from(low) | (i128::from(high as i64) << 64);
        if acc.is_null(at) || order(value).cmp(&order(acc.i128(at))) == self.wanted {
            acc.set_i128(at, value);
        }
    }
}

/// −0.0 as 0.0 and every NaN as one NaN, as in key bytes: the result must not depend on which of
/// several equal values came first.
fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::from_bits(f64::NAN.to_bits() & !(1 << 63))
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

fn order_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
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

impl Meaning for Extreme {
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

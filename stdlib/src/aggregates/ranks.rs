//! Values by how often they came, or by their size: ATTR, COLLECT, HISTOGRAM, MODE, PRODUCT, TOPK,
//! TOPKDISTINCT.
//! The operator keeps the values, in their order and each once with its weight.

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{
    BatchBuilder, Column, ContainerBuilder, RowBatch, RowRef, ValueMut, array_words, map_words,
};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Meaning;
use super::catalog::{
    AggregateDef, Example, NullUse, OrderUse, Param, array_of, map_of, number, only,
};
use super::gather::{bytes_of, push, put};
use super::moments::read_f64;

const ROWS: &[Option<i64>] = &[Some(2), Some(1), Some(2), None];

pub(super) const ATTR: AggregateDef = AggregateDef {
    name: "ATTR",
    usage: "x",
    doc: "The value that all rows have; NULL if two of them differ, as NULL does from others.",
    examples: &[
        Example { call: "ATTR(x)", rows: &[Some(2), Some(2)], result: "2" },
        Example { call: "ATTR(x)", rows: &[Some(2), None], result: "NULL" },
        Example { call: "ATTR(x)", rows: &[Some(2), Some(1)], result: "NULL" },
        Example { call: "ATTR(x)", rows: &[], result: "NULL" },
    ],
    nulls: NullUse::Keep,
    result: |args| only("ATTR", args).map(|ty| ty.with_nullable(true)),
    ..AggregateDef::PLAIN
};

pub(super) const COLLECT: AggregateDef = AggregateDef {
    name: "COLLECT",
    doc: "The multiset of the values that are not NULL: a MAP from each value to how often it is \
          there, as INT.",
    examples: &[Example { call: "COLLECT(x)", rows: ROWS, result: "{1=1, 2=2}" }],
    result: |args| only("COLLECT", args).map(|ty| map_of(ty, Type::not_null(DataType::Int))),
    ..AggregateDef::PLAIN
};

pub(super) const HISTOGRAM: AggregateDef = AggregateDef {
    name: "HISTOGRAM",
    doc: "How often each value is there that is not NULL: a MAP from values to BIGINT; NULL if \
          there is none.",
    examples: &[Example { call: "HISTOGRAM(x)", rows: ROWS, result: "{1=1, 2=2}" }],
    result: |args| only("HISTOGRAM", args).map(|ty| map_of(ty, Type::not_null(DataType::BigInt))),
    ..AggregateDef::PLAIN
};

pub(super) const MODE: AggregateDef = AggregateDef {
    name: "MODE",
    usage: "x",
    doc: "The value that is there most often, the smallest of several; NULL if there is none. Also \
          written MODE() WITHIN GROUP (ORDER BY x).",
    examples: &[
        Example { call: "MODE(x)", rows: ROWS, result: "2" },
        Example { call: "MODE() WITHIN GROUP (ORDER BY x)", rows: ROWS, result: "2" },
    ],
    order: OrderUse::FirstArgument,
    result: |args| only("MODE", args).map(|ty| ty.with_nullable(true)),
    ..AggregateDef::PLAIN
};

pub(super) const PRODUCT: AggregateDef = AggregateDef {
    name: "PRODUCT",
    doc: "The product of the values that are not NULL, as a DOUBLE, multiplied from the smallest \
          to the largest; NULL if there is none.",
    examples: &[Example { call: "PRODUCT(x)", rows: ROWS, result: "4" }],
    result: |args| number("PRODUCT", args).map(|_| Type::nullable(DataType::Double)),
    ..AggregateDef::PLAIN
};

pub(super) const TOPK: AggregateDef = AggregateDef {
    name: "TOPK",
    usage: "x, k",
    doc: "The k largest values that are not NULL, the largest first; NULL if there is none.",
    examples: &[Example { call: "TOPK(x, 2)", rows: ROWS, result: "[2, 2]" }],
    params: &[Param::Count],
    result: |args| only("TOPK", args).map(|ty| array_of(ty.with_nullable(false))),
    ..AggregateDef::PLAIN
};

pub(super) const TOPKDISTINCT: AggregateDef = AggregateDef {
    name: "TOPKDISTINCT",
    doc: "The k largest different values that are not NULL, the largest first; NULL if there is \
          none.",
    examples: &[Example { call: "TOPKDISTINCT(x, 2)", rows: ROWS, result: "[2, 1]" }],
    result: |args| only("TOPKDISTINCT", args).map(|ty| array_of(ty.with_nullable(false))),
    ..TOPK
};

#[derive(Clone, Copy, Debug)]
enum Form {
    Only,
    Counts {
        /// Whether nothing gives an empty map.
        empty: bool,
        /// The largest count that fits.
        most: i64,
    },
    Mode {
        /// The largest of several.
        last: bool,
    },
    Product,
    Top(usize),
}

/// One of the seven.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    form: Form,
    arg: Type,
    distinct: bool,
    result: Type,
}

impl Ranks {
    pub(super) fn new(name: &str, call: &AggregateCall) -> Option<Self> {
        let form = match (name, call.params.as_slice()) {
            ("ATTR", _) => Form::Only,
            ("COLLECT", _) => Form::Counts { empty: true, most: i64::from(i32::MAX) },
            ("HISTOGRAM", _) => Form::Counts { empty: false, most: i64::MAX },
            ("MODE", params) => Form::Mode { last: params.contains(&Value::Boolean(true)) },
            ("PRODUCT", _) => Form::Product,
            (_, [Value::Int(k)]) => Form::Top(usize::try_from(*k).ok()?),
            (_, _) => return None,
        };
        let distinct = call.distinct || name == "TOPKDISTINCT";
        let (arg, result) = (call.arg_types.first()?.clone(), call.ty.with_nullable(true));
        Some(Self { form, arg, distinct, result })
    }

    fn weight(&self, values: &RowBatch, at: usize) -> i64 {
        let weight = values.weight(at).max(0);
        if self.distinct { weight.min(1) } else { weight }
    }

    fn counts(&self, values: &RowBatch, most: i64) -> [ContainerBuilder; 2] {
        let mut parts = [ContainerBuilder::default(), ContainerBuilder::default()];
        let column = values.layout().column(0);
        for (at, row) in values.rows().enumerate() {
            let weight = self.weight(values, at).min(most);
            if weight > 0 {
                push(&mut parts[0], row, column, &self.arg);
                parts[1].push_word(weight as u64);
            }
        }
        parts
    }

    fn top(&self, values: &RowBatch, k: usize) -> ContainerBuilder {
        let mut items = ContainerBuilder::default();
        let column = values.layout().column(0);
        for at in (0..values.len()).rev() {
            for _ in 0..self.weight(values, at) {
                if items.len() == k {
                    return items;
                }
                push(&mut items, values.row(at), column, &self.arg);
            }
        }
        items
    }

    fn product(&self, values: &RowBatch) -> Option<f64> {
        let column = values.layout().column(0);
        let there = (0..values.len()).filter(|at| self.weight(values, *at) > 0);
        let power = |at| {
            let value = read_f64(values.row(at), column, &self.arg.data);
            let times = i32::try_from(self.weight(values, at)).unwrap_or(i32::MAX);
            value.powi(times)
        };
        there.map(power).reduce(|a, b| a * b)
    }

    /// The only value, unless that is NULL.
    fn only(&self, values: &RowBatch) -> Option<usize> {
        let mut there = (0..values.len()).filter(|at| self.weight(values, *at) > 0);
        let only = there.next().filter(|_| there.next().is_none())?;
        (!values.row(only).is_null(values.layout().column(0))).then_some(only)
    }

    fn mode(&self, values: &RowBatch, last: bool) -> Option<usize> {
        let there = (0..values.len()).filter(|at| self.weight(values, *at) > 0);
        let rank =
            |at: &usize| (self.weight(values, *at), if last { *at } else { usize::MAX - at });
        there.max_by_key(rank)
    }
}

impl Meaning for Ranks {
    fn types(&self) -> Vec<Type> {
        vec![self.result.clone()]
    }

    fn add(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column], _: i64) {}

    fn merge(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column]) {}

    fn set(&self, acc: &mut ValueMut<'_>, first: usize, values: &RowBatch) {
        match self.form {
            Form::Counts { most, .. } => {
                let [keys, counts] = self.counts(values, most);
                if !keys.is_empty() {
                    acc.set_var(first, &bytes_of(&map_words(&keys, &counts)));
                }
            }
            Form::Only => {
                if let Some(at) = self.only(values) {
                    put(acc, first, values.row(at), values.layout().column(0));
                }
            }
            Form::Mode { last } => {
                if let Some(at) = self.mode(values, last) {
                    put(acc, first, values.row(at), values.layout().column(0));
                }
            }
            Form::Product => {
                if let Some(product) = self.product(values) {
                    acc.set_word(first, product.to_bits());
                }
            }
            Form::Top(k) => {
                let items = self.top(values, k);
                if !items.is_empty() {
                    acc.set_var(first, &bytes_of(&array_words(&items)));
                }
            }
        }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        let empty = matches!(self.form, Form::Counts { empty: true, .. });
        if empty && acc.is_null(columns[0]) {
            let nothing = ContainerBuilder::default();
            out.set_container(column, &map_words(&nothing, &nothing));
            return Ok(());
        }
        out.copy_column(column, acc, columns[0]);
        Ok(())
    }
}

//! One row's value: the first or last in the call's order. Over rows that stay, the accumulators
//! are the order bytes of the row that is kept and its value; over others the operator keeps a
//! multiset and the accumulator is the value of its first or last entry.

use std::cmp::Ordering;

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowBatch, RowRef, ValueMut};
use flow_ir::types::{DataType, Type};

use super::Meaning;
use super::catalog::{AggregateDef, Example, NullUse, OrderUse, Param, only};
use super::gather::put;
use super::values::ValueWriter;

const ROWS: &[Option<i64>] = &[Some(2), Some(1), Some(3)];

pub(super) const FIRST_VALUE: AggregateDef = AggregateDef {
    name: "FIRST_VALUE",
    aliases: &["FIRST"],
    usage: "x [ORDER BY …]",
    doc: "The value of the first row in the order given, else by event time; NULL is a value \
          unless IGNORE NULLS follows the call.",
    examples: &[
        Example { call: "FIRST_VALUE(x)", rows: ROWS, result: "2" },
        Example { call: "FIRST_VALUE(x ORDER BY x)", rows: ROWS, result: "1" },
        Example { call: "FIRST_VALUE(x) IGNORE NULLS", rows: &[None, Some(4)], result: "4" },
    ],
    order: OrderUse::Rows,
    nulls: NullUse::Keep,
    result: |args| only("FIRST_VALUE", args).map(|ty| ty.with_nullable(true)),
    ..AggregateDef::PLAIN
};

pub(super) const LAST_VALUE: AggregateDef = AggregateDef {
    name: "LAST_VALUE",
    aliases: &["LAST"],
    doc: "The value of the last row in the order given, else by event time; NULL is a value \
          unless IGNORE NULLS follows the call.",
    examples: &[
        Example { call: "LAST_VALUE(x)", rows: ROWS, result: "3" },
        Example { call: "LAST_VALUE(x ORDER BY x DESC)", rows: ROWS, result: "1" },
        Example { call: "LAST_VALUE(x)", rows: &[Some(4), None], result: "NULL" },
    ],
    result: |args| only("LAST_VALUE", args).map(|ty| ty.with_nullable(true)),
    ..FIRST_VALUE
};

pub(super) const ANY_VALUE: AggregateDef = AggregateDef {
    name: "ANY_VALUE",
    aliases: &["ARBITRARY"],
    doc: "A value that is not NULL, of the first row that has one in the order given, else by \
          event time.",
    examples: &[Example { call: "ANY_VALUE(x)", rows: &[None, Some(4)], result: "4" }],
    nulls: NullUse::Skip,
    result: |args| only("ANY_VALUE", args).map(|ty| ty.with_nullable(true)),
    ..FIRST_VALUE
};

pub(super) const EARLIEST_BY_OFFSET: AggregateDef = AggregateDef {
    name: "EARLIEST_BY_OFFSET",
    aliases: &[],
    usage: "x [, ignore_nulls]",
    doc: "The first value by the records' offsets, whatever their event time: NULL is passed over \
          unless the second argument is FALSE. `EARLIEST_BY_OFFSET(x, n [, ignore_nulls])` gives \
          the first n, in an ARRAY.",
    examples: &[Example { call: "EARLIEST_BY_OFFSET(x)", rows: &[None, Some(4)], result: "4" }],
    params: &[Param::IgnoreNulls],
    result: |args| only("EARLIEST_BY_OFFSET", args).map(|ty| ty.with_nullable(true)),
    ..FIRST_VALUE
};

pub(super) const LATEST_BY_OFFSET: AggregateDef = AggregateDef {
    name: "LATEST_BY_OFFSET",
    doc: "The last value by the records' offsets, likewise; with n the last ones, in their order.",
    examples: &[Example { call: "LATEST_BY_OFFSET(x)", rows: &[Some(4), None], result: "4" }],
    result: |args| only("LATEST_BY_OFFSET", args).map(|ty| ty.with_nullable(true)),
    ..EARLIEST_BY_OFFSET
};

pub(super) const ARG_MAX: AggregateDef = AggregateDef {
    name: "ARG_MAX",
    aliases: &["MAX_BY", "ARGMAX"],
    usage: "x, y",
    doc: "The value of x in the row where y is largest, the first of equal ones by event time. \
          Rows where either is NULL are passed over.",
    examples: &[Example { call: "ARG_MAX(x, x * 10)", rows: ROWS, result: "3" }],
    order: OrderUse::LastArgument { descending: true },
    result: |args| by_other("ARG_MAX", args),
    ..AggregateDef::PLAIN
};

pub(super) const ARG_MIN: AggregateDef = AggregateDef {
    name: "ARG_MIN",
    aliases: &["MIN_BY", "ARGMIN"],
    doc: "The value of x in the row where y is smallest, the first of equal ones by event time. \
          Rows where either is NULL are passed over.",
    examples: &[Example { call: "ARG_MIN(x, x * 10)", rows: ROWS, result: "1" }],
    order: OrderUse::LastArgument { descending: false },
    result: |args| by_other("ARG_MIN", args),
    ..ARG_MAX
};

fn by_other(name: &str, args: &[Type]) -> Result<Type, String> {
    match args {
        [x, y] if x.data != DataType::Null && y.data != DataType::Null => Ok(x.with_nullable(true)),
        _ => Err(format!("{name} takes a value and what orders the rows")),
    }
}

/// The value of one row.
#[derive(Clone, Debug)]
pub(super) struct Pick {
    call: AggregateCall,
    /// How a row stands to the kept one if it takes its place; `None`: the operator's multiset
    /// decides.
    wanted: Option<Ordering>,
}

impl Pick {
    pub(super) fn new(name: &str, call: &AggregateCall) -> Self {
        let wanted = match name {
            "LAST_VALUE" | "LATEST_BY_OFFSET" => Ordering::Greater,
            _ => Ordering::Less,
        };
        Self { call: call.clone(), wanted: (!call.retracts).then_some(wanted) }
    }

    fn value(&self) -> usize {
        usize::from(self.wanted.is_some())
    }
}

impl Meaning for Pick {
    fn types(&self) -> Vec<Type> {
        let mut types: Vec<Type> = self.call.arg_types[..1].to_vec();
        types[0].nullable = true;
        if self.wanted.is_some() {
            types.insert(0, Type::nullable(DataType::Bytes));
        }
        types
    }

    fn add(
        &self,
        acc: &mut ValueMut<'_>,
        first: usize,
        row: RowRef<'_>,
        args: &[Column],
        weight: i64,
    ) {
        let (args, order) = args.split_at(self.call.args.len());
        let writer = ValueWriter::over(&self.call, args, order);
        if weight <= 0 || !writer.counts(row) {
            return;
        }
        let mut rank = Vec::with_capacity(64);
        writer.append(row, &mut rank);
        if acc.is_null(first) || Some(rank.as_slice().cmp(acc.var(first))) == self.wanted {
            acc.set_var(first, &rank);
            put(acc, first + 1, row, args[0]);
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        let [rank, value] = columns else { return };
        let fresh = acc.is_null(first);
        let better = || Some(from.var(*rank).cmp(acc.var(first))) == self.wanted;
        if !from.is_null(*rank) && (fresh || better()) {
            acc.set_var(first, from.var(*rank));
            put(acc, first + 1, from, *value);
        }
    }

    fn set(&self, acc: &mut ValueMut<'_>, first: usize, values: &RowBatch) {
        if let Some(row) = values.rows().next() {
            put(acc, first + self.value(), row, values.layout().column(0));
        }
    }

    fn finish(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        out.copy_column(column, acc, columns[self.value()]);
        Ok(())
    }
}

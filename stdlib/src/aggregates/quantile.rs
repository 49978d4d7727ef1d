//! Exact quantiles: MEDIAN, PERCENTILE_CONT, PERCENTILE_DISC. The operator keeps the values, in
//! their order and each once with its weight.

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::ErrorCode;
use flow_ir::row::{
    BatchBuilder, Column, ContainerBuilder, RowBatch, RowRef, ValueMut, array_words,
};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::Meaning;
use super::catalog::{AggregateDef, Example, OrderUse, Param, only};
use super::gather::{bytes_of, push, put};
use super::moments::read_f64;

const ROWS: &[Option<i64>] = &[Some(4), Some(1), Some(2), Some(3)];

pub(super) const MEDIAN: AggregateDef = AggregateDef {
    name: "MEDIAN",
    doc: "The middle value, or the mean of the two in the middle; NULL if there is none. Numbers \
          give DOUBLE, timestamps their own type.",
    examples: &[Example { call: "MEDIAN(x)", rows: ROWS, result: "2.5" }],
    result: |args| continuous("MEDIAN", args),
    ..AggregateDef::PLAIN
};

pub(super) const PERCENTILE_CONT: AggregateDef = AggregateDef {
    name: "PERCENTILE_CONT",
    aliases: &["QUANTILE_CONT", "PERCENTILE"],
    usage: "x, fraction",
    doc: "The value at a fraction of the way through the ordered values, between two of them in \
          proportion; NULL if there is none. Numbers give DOUBLE, timestamps their own type; an \
          array of fractions gives an array. Also written PERCENTILE_CONT(fraction) WITHIN GROUP \
          (ORDER BY x).",
    examples: &[
        Example { call: "PERCENTILE_CONT(x, 0.5)", rows: ROWS, result: "2.5" },
        Example {
            call: "PERCENTILE_CONT(0.1) WITHIN GROUP (ORDER BY x DESC)",
            rows: ROWS,
            result: "3.7",
        },
    ],
    params: &[Param::Fraction],
    order: OrderUse::FirstArgument,
    result: |args| continuous("PERCENTILE_CONT", args),
    ..AggregateDef::PLAIN
};

pub(super) const PERCENTILE_DISC: AggregateDef = AggregateDef {
    name: "PERCENTILE_DISC",
    aliases: &["QUANTILE_DISC", "QUANTILE"],
    doc: "The first of the ordered values such that at least the fraction of them is not behind \
          it; NULL if there is none. Of the argument's type; an array of fractions gives an array. \
          Also written PERCENTILE_DISC(fraction) WITHIN GROUP (ORDER BY x).",
    examples: &[
        Example { call: "PERCENTILE_DISC(x, 0.5)", rows: ROWS, result: "2" },
        Example {
            call: "PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY x DESC)",
            rows: ROWS,
            result: "3",
        },
    ],
    result: |args| only("PERCENTILE_DISC", args).map(|ty| ty.with_nullable(true)),
    ..PERCENTILE_CONT
};

fn continuous(name: &str, args: &[Type]) -> Result<Type, String> {
    match &only(name, args)?.data {
        data if data.is_numeric() => Ok(Type::nullable(DataType::Double)),
        data if data.is_timestamp() => Ok(Type::nullable(data.clone())),
        data => Err(format!("{name} takes a number or timestamp, not {data}")),
    }
}

/// Values at some fractions.
#[derive(Clone, Debug)]
pub(super) struct Quantile {
    fractions: Vec<f64>,
    /// Whether the result is an array.
    several: bool,
    continuous: bool,
    /// Counted from the largest value.
    descending: bool,
    arg: Type,
    distinct: bool,
    result: Type,
}

impl Quantile {
    pub(super) fn new(name: &str, call: &AggregateCall) -> Option<Self> {
        let (fractions, several) = match call.params.first() {
            None if name == "MEDIAN" => (vec![0.5], false),
            Some(Value::Float(fraction)) => (vec![*fraction], false),
            Some(Value::Array(items)) => (items.iter().filter_map(float).collect(), true),
            Some(_) | None => return None,
        };
        Some(Self {
            fractions,
            several,
            continuous: name != "PERCENTILE_DISC",
            descending: call.params.contains(&Value::Boolean(true)),
            arg: call.arg_types.first()?.clone(),
            distinct: call.distinct,
            result: call.ty.with_nullable(true),
        })
    }

    /// For each value the number of values up to it, itself included.
    fn ends(&self, values: &RowBatch) -> Vec<i64> {
        let mut end = 0i64;
        let weight = |at| {
            let weight = values.weight(at).max(0);
            if self.distinct { weight.min(1) } else { weight }
        };
        let mut until = |at| {
            end = end.saturating_add(weight(at));
            end
        };
        (0..values.len()).map(&mut until).collect()
    }

    /// The value at a fraction of the way, in the result's slot.
    fn between(&self, values: &RowBatch, ends: &[i64], fraction: f64) -> u64 {
        let count = ends.last().copied().unwrap_or(0);
        let mut place = fraction * (count - 1) as f64;
        if self.descending {
            place = (count - 1) as f64 - place;
        }
        let low = (place.floor() as i64).clamp(0, count - 1);
        let part = (place - low as f64).clamp(0.0, 1.0);
        let column = values.layout().column(0);
        let at = |place: i64| values.row(place_of(ends, place));
        let (low, high) = (at(low), at((low + 1).min(count - 1)));
        if self.arg.data.is_timestamp() {
            let (low, high) = (low.i64(column), high.i64(column));
            let more = ((i128::from(high) - i128::from(low)) as f64 * part).round() as i64;
            return low.saturating_add(more) as u64;
        }
        let [low, high] = [low, high].map(|row| read_f64(row, column, &self.arg.data));
        let value = if part == 0.0 || low == high { low } else { low + (high - low) * part };
        value.to_bits()
    }

    /// The row of the value that a fraction of the values reach.
    fn reached<'v>(&self, values: &'v RowBatch, ends: &[i64], fraction: f64) -> RowRef<'v> {
        let count = ends.last().copied().unwrap_or(0);
        let place = ((fraction * count as f64).ceil() as i64 - 1).clamp(0, count - 1);
        let place = if self.descending { count - 1 - place } else { place };
        values.row(place_of(ends, place))
    }
}

fn float(value: &Value) -> Option<f64> {
    if let Value::Float(value) = value { Some(*value) } else { None }
}

/// The first value that ends beyond a place.
fn place_of(ends: &[i64], place: i64) -> usize {
    ends.partition_point(|end| *end <= place).min(ends.len() - 1)
}

impl Meaning for Quantile {
    fn types(&self) -> Vec<Type> {
        vec![self.result.clone()]
    }

    fn add(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column], _: i64) {}

    fn merge(&self, _: &mut ValueMut<'_>, _: usize, _: RowRef<'_>, _: &[Column]) {}

    fn set(&self, acc: &mut ValueMut<'_>, first: usize, values: &RowBatch) {
        let ends = self.ends(values);
        if ends.last().copied().unwrap_or(0) == 0 {
            return;
        }
        let column = values.layout().column(0);
        let mut items = ContainerBuilder::default();
        for &fraction in &self.fractions {
            match (self.several, self.continuous) {
                (false, true) => acc.set_word(first, self.between(values, &ends, fraction)),
                (false, false) => put(acc, first, self.reached(values, &ends, fraction), column),
                (true, true) => items.push_word(self.between(values, &ends, fraction)),
                (true, false) => {
                    push(&mut items, self.reached(values, &ends, fraction), column, &self.arg);
                }
            }
        }
        if self.several {
            acc.set_var(first, &bytes_of(&array_words(&items)));
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

//! Running totals, the state that SUM and AVG share: exact, order-free, taken back exactly. One
//! for integers and short DECIMALs, one for long DECIMALs, one for floats.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::{DataType, Slot, Type};
use flow_ir::update::UpdateOp;

use super::superaccumulator::{Digits, Specials, add_in_place};
use crate::wide::Wide;

/// A running total in some accumulator columns. `first` is the position of the first of them in
/// the accumulator row; `columns` are where they lie in a row that was made of it.
pub(super) trait Total {
    /// Types of the accumulator columns; NULL in all of them is the total of nothing.
    fn types(&self) -> Vec<Type>;

    /// Sets a result column to the total.
    fn sum(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode>;

    /// Sets a result column to the total divided by `count`, which is positive.
    fn average(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        count: u64,
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode>;
}

/// A total whose accumulators are of fixed width.
pub(super) trait FixedTotal: Total {
    /// Adds argument 0 times the weight.
    fn adding(&self) -> UpdateOp;

    /// Adds another total, from accumulator 0 on.
    fn merging(&self) -> UpdateOp;
}

/// A total that grows and shrinks.
pub(super) trait LongTotal: Total {
    /// Adds a value, not NULL, `weight` times.
    fn add(&self, acc: &mut ValueMut<'_>, first: usize, row: RowRef<'_>, arg: Column, weight: i64);

    /// Adds another total, not NULL.
    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]);
}

/// What comes of a total of exact numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exact {
    /// Integers: the sum is BIGINT, the average DOUBLE.
    Integer,
    /// DECIMAL: the sum has the argument's scale, the average this many digits more.
    Decimal {
        /// Digits by which the average's scale exceeds the argument's.
        more_digits: u32,
    },
}

impl Exact {
    /// How totals of this type end.
    pub(super) fn of(arg: &DataType) -> Self {
        match average_type(arg).as_ref() {
            Some((DataType::Decimal { scale: to, .. }, from)) => {
                Exact::Decimal { more_digits: u32::from(to - from) }
            }
            Some(_) | None => Exact::Integer,
        }
    }

    fn sum(self, total: Wide, out: &mut BatchBuilder, column: usize) -> Result<(), ErrorCode> {
        match self {
            Exact::Integer => {
                let sum = total.to_i128().and_then(|v| i64::try_from(v).ok());
                out.set_i64(column, sum.ok_or(ErrorCode::Overflow)?);
            }
            Exact::Decimal { .. } => {
                set_wide(out, column, total.to_decimal().ok_or(ErrorCode::Overflow)?);
            }
        }
        Ok(())
    }

    fn average(
        self,
        total: Wide,
        count: u64,
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        match self {
            Exact::Integer => {
                out.set_f64(column, total.ratio(count).ok_or(ErrorCode::Overflow)?);
            }
            Exact::Decimal { more_digits } => {
                let average = total.average(more_digits, count);
                set_wide(out, column, average.ok_or(ErrorCode::Overflow)?);
            }
        }
        Ok(())
    }
}

/// Type of the average of a DECIMAL (Flink's: DECIMAL(38, max(6, s))) with the argument's scale.
fn average_type(arg: &DataType) -> Option<(DataType, u8)> {
    match arg {
        DataType::Decimal { scale, .. } => {
            Some((DataType::Decimal { precision: 38, scale: (*scale).max(6) }, *scale))
        }
        _ => None,
    }
}

/// Type of the sum of values of a type.
pub(super) fn sum_type(arg: &DataType) -> Option<DataType> {
    match arg {
        ty if ty.is_integer() => Some(DataType::BigInt),
        ty if ty.is_float() => Some(DataType::Double),
        DataType::Decimal { scale, .. } => Some(DataType::Decimal { precision: 38, scale: *scale }),
        DataType::Interval => Some(DataType::Interval),
        _ => None,
    }
}

/// Type of the average of values of a type.
pub(super) fn avg_type(arg: &DataType) -> Option<DataType> {
    match average_type(arg) {
        Some((ty, _)) => Some(ty),
        None if *arg == DataType::Interval => Some(DataType::Interval),
        None => (arg.is_integer() || arg.is_float()).then_some(DataType::Double),
    }
}

fn set_wide(out: &mut BatchBuilder, column: usize, value: i128) {
    out.set_wide(column, [value as u64, (value >> 64) as u64]);
}

fn wide_i128(row: RowRef<'_>, column: Column) -> i128 {
    let [low, high] = row.wide(column);
    i128::from(low) | (i128::from(high as i64) << 64)
}

/// A total of one-word values in 128 bits: fewer than 2^64 values never reach the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short(pub(super) Exact);

impl Total for Short {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::Decimal { precision: 38, scale: 0 })]
    }

    fn sum(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        self.0.sum(wide_i128(acc, columns[0]).into(), out, column)
    }

    fn average(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        count: u64,
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        self.0.average(wide_i128(acc, columns[0]).into(), count, out, column)
    }
}

impl FixedTotal for Short {
    fn adding(&self) -> UpdateOp {
        UpdateOp::AddProduct(0)
    }

    fn merging(&self) -> UpdateOp {
        UpdateOp::AddWide(0)
    }
}

/// A total of two-word DECIMALs in 192 bits: the low 128, then the high 64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Long(pub(super) Exact);

impl Long {
    fn read(row: RowRef<'_>, columns: &[Column]) -> Wide {
        Wide { low: wide_i128(row, columns[0]) as u128, high: row.i64(columns[1]) }
    }
}

impl Total for Long {
    fn types(&self) -> Vec<Type> {
        let low = Type::nullable(DataType::Decimal { precision: 38, scale: 0 });
        vec![low, Type::nullable(DataType::BigInt)]
    }

    fn sum(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        self.0.sum(Self::read(acc, columns), out, column)
    }

    fn average(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        count: u64,
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        self.0.average(Self::read(acc, columns), count, out, column)
    }
}

impl FixedTotal for Long {
    fn adding(&self) -> UpdateOp {
        UpdateOp::AddLongProduct(0)
    }

    fn merging(&self) -> UpdateOp {
        UpdateOp::AddLong([0, 1])
    }
}

/// A total of floats: the exact sum of the finite ones, then the counts of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Float;

impl Float {
    fn value(acc: RowRef<'_>, columns: &[Column], count: u64) -> f64 {
        let special = Specials::read(acc.var(columns[1])).decide();
        special.unwrap_or_else(|| Digits::read(acc.var(columns[0])).quotient(count))
    }
}

impl Total for Float {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::Bytes), Type::nullable(DataType::Bytes)]
    }

    fn sum(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        out.set_f64(column, Self::value(acc, columns, 1));
        Ok(())
    }

    fn average(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        count: u64,
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        out.set_f64(column, Self::value(acc, columns, count));
        Ok(())
    }
}

impl LongTotal for Float {
    #[inline]
    fn add(&self, acc: &mut ValueMut<'_>, first: usize, row: RowRef<'_>, arg: Column, weight: i64) {
        let value = row.f64(arg);
        if value.is_finite() && add_in_place(acc.var_mut(first), value, weight) {
            return;
        }
        let mut digits = Digits::read(acc.var(first));
        if value.is_finite() {
            digits.add(value, weight);
        } else {
            let mut specials = Specials::read(acc.var(first + 1));
            specials.add(value, weight);
            acc.set_var(first + 1, &specials.bytes());
        }
        digits.write(|bytes| acc.set_var(first, bytes));
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        let mut digits = Digits::read(acc.var(first));
        digits.merge(&Digits::read(from.var(columns[0])));
        digits.write(|bytes| acc.set_var(first, bytes));
        if !from.is_null(columns[1]) {
            let mut specials = Specials::read(acc.var(first + 1));
            specials.merge(Specials::read(from.var(columns[1])));
            acc.set_var(first + 1, &specials.bytes());
        }
    }
}

/// A total of intervals: months, then microseconds, side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span;

/// Microseconds of a month, where a fraction of one must become time: 30 days, as in Postgres.
const MONTH_MICROS: i128 = 30 * 86_400 * 1_000_000;

impl Span {
    fn set(
        months: i128,
        micros: i128,
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        match (i64::try_from(months), i64::try_from(micros)) {
            (Ok(months), Ok(micros)) => {
                out.set_wide(column, [months as u64, micros as u64]);
                Ok(())
            }
            (_, _) => Err(ErrorCode::Overflow),
        }
    }
}

impl Total for Span {
    fn types(&self) -> Vec<Type> {
        vec![Type::nullable(DataType::Decimal { precision: 38, scale: 0 }); 2]
    }

    fn sum(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        Self::set(wide_i128(acc, columns[0]), wide_i128(acc, columns[1]), out, column)
    }

    fn average(
        &self,
        acc: RowRef<'_>,
        columns: &[Column],
        count: u64,
        out: &mut BatchBuilder,
        column: usize,
    ) -> Result<(), ErrorCode> {
        let (months, count) = (wide_i128(acc, columns[0]), i128::from(count));
        let rest = (months % count).checked_mul(MONTH_MICROS);
        let micros = rest.and_then(|rest| rest.checked_add(wide_i128(acc, columns[1])));
        Self::set(months / count, micros.ok_or(ErrorCode::Overflow)? / count, out, column)
    }
}

impl LongTotal for Span {
    fn add(&self, acc: &mut ValueMut<'_>, first: usize, row: RowRef<'_>, arg: Column, weight: i64) {
        for (i, part) in row.wide(arg).into_iter().enumerate() {
            let value = i128::from(part as i64) * i128::from(weight);
            acc.set_i128(first + i, acc.i128(first + i).wrapping_add(value));
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        for i in 0..2 {
            let sum = acc.i128(first + i).wrapping_add(wide_i128(from, columns[i]));
            acc.set_i128(first + i, sum);
        }
    }
}

/// Whether values of this type lie in one word.
pub(super) fn is_short(arg: &DataType) -> bool {
    arg.slot() == Slot::Word
}

//! Variances, covariances, correlation and regression: exact sums of the arguments and of their
//! products, so that rows are taken back without a trace. What a result is made of, n·Σxy − Σx·Σy,
//! is exact too, and rounded once.
//!
//! Integers and DECIMALs of a variance are summed as integers; the arguments of the others, and
//! REAL and DOUBLE, as doubles, whose product is the sum of two doubles without a rest.

use flow_ir::kernel::ErrorCode;
use flow_ir::row::{BatchBuilder, Column, RowRef, ValueMut};
use flow_ir::types::{DataType, Slot, Type};

use super::Meaning;
use super::big::Big;
use super::catalog::{AggregateDef, Example, number};
use super::superaccumulator::{Addend, Digits, accumulate, accumulate_sum};

const ROWS: &[Option<i64>] = &[Some(1), Some(2), Some(6), None];
/// A double counts units of 2^−1074.
const FLOAT_UNIT_BITS: usize = 1074;

/// A variance or standard deviation.
const fn spread(
    name: &'static str,
    aliases: &'static [&'static str],
    doc: &'static str,
    examples: &'static [Example],
    result: fn(&[Type]) -> Result<Type, String>,
) -> AggregateDef {
    AggregateDef { name, aliases, doc, examples, result, ..AggregateDef::PLAIN }
}

/// An aggregate of the rows where neither of two numbers is NULL.
const fn pair(
    name: &'static str,
    doc: &'static str,
    examples: &'static [Example],
    result: fn(&[Type]) -> Result<Type, String>,
) -> AggregateDef {
    AggregateDef { name, usage: "y, x", doc, examples, result, ..AggregateDef::PLAIN }
}

pub(super) const VAR_POP: AggregateDef = spread(
    "VAR_POP",
    &[],
    "The variance of the values that are not NULL, as a DOUBLE; NULL if there is none.",
    &[Example { call: "VAR_POP(x)", rows: ROWS, result: "4.666666666666667" }],
    |args| one("VAR_POP", args),
);
pub(super) const VAR_SAMP: AggregateDef = spread(
    "VAR_SAMP",
    &["VARIANCE"],
    "The sample variance of the values that are not NULL, as a DOUBLE; NULL of fewer than two.",
    &[
        Example { call: "VAR_SAMP(x)", rows: ROWS, result: "7" },
        Example { call: "VAR_SAMP(x)", rows: &[Some(1)], result: "NULL" },
    ],
    |args| one("VAR_SAMP", args),
);
pub(super) const STDDEV_POP: AggregateDef = spread(
    "STDDEV_POP",
    &[],
    "The standard deviation of the values that are not NULL, as a DOUBLE; NULL if there is none.",
    &[Example { call: "STDDEV_POP(x)", rows: &[Some(1), Some(5)], result: "2" }],
    |args| one("STDDEV_POP", args),
);
pub(super) const STDDEV_SAMP: AggregateDef = spread(
    "STDDEV_SAMP",
    &["STDDEV", "STDDEV_SAMPLE"],
    "The sample standard deviation of the values that are not NULL, as a DOUBLE; NULL of fewer \
     than two.",
    &[Example { call: "STDDEV(x)", rows: &[Some(1), Some(2), Some(3)], result: "1" }],
    |args| one("STDDEV_SAMP", args),
);
pub(super) const COVAR_POP: AggregateDef = pair(
    "COVAR_POP",
    "The covariance of the rows where neither number is NULL; NULL if there is none.",
    &[Example { call: "COVAR_POP(x, x * 10)", rows: &[Some(1), Some(5)], result: "40" }],
    |args| two("COVAR_POP", args),
);
pub(super) const COVAR_SAMP: AggregateDef = pair(
    "COVAR_SAMP",
    "The sample covariance of the rows where neither number is NULL; NULL of fewer than two.",
    &[Example { call: "COVAR_SAMP(x, x * 10)", rows: &[Some(1), Some(5)], result: "80" }],
    |args| two("COVAR_SAMP", args),
);
pub(super) const CORR: AggregateDef = AggregateDef {
    name: "CORR",
    aliases: &["CORRELATION"],
    usage: "y, x",
    doc: "The correlation of the rows where neither number is NULL; NULL if either is constant.",
    examples: &[Example { call: "CORR(x, x * 10)", rows: ROWS, result: "1" }],
    result: |args| two("CORR", args),
    ..AggregateDef::PLAIN
};
pub(super) const REGR_AVGX: AggregateDef = pair(
    "REGR_AVGX",
    "The average of x over the rows where neither number is NULL.",
    &[Example { call: "REGR_AVGX(x, x * 10)", rows: ROWS, result: "30" }],
    |args| two("REGR_AVGX", args),
);
pub(super) const REGR_AVGY: AggregateDef = pair(
    "REGR_AVGY",
    "The average of y over the rows where neither number is NULL.",
    &[Example { call: "REGR_AVGY(x, x * 10)", rows: ROWS, result: "3" }],
    |args| two("REGR_AVGY", args),
);
pub(super) const REGR_COUNT: AggregateDef = pair(
    "REGR_COUNT",
    "The number of rows where neither number is NULL.",
    &[Example { call: "REGR_COUNT(x, x * 10)", rows: ROWS, result: "3" }],
    |args| two("REGR_COUNT", args).map(|_| Type::not_null(DataType::BigInt)),
);
pub(super) const REGR_INTERCEPT: AggregateDef = pair(
    "REGR_INTERCEPT",
    "Where the line of least squares through the points (x, y) meets the y axis; NULL if x is \
     constant.",
    &[Example { call: "REGR_INTERCEPT(x * 10, x)", rows: ROWS, result: "0" }],
    |args| two("REGR_INTERCEPT", args),
);
pub(super) const REGR_R2: AggregateDef = pair(
    "REGR_R2",
    "The square of the correlation: 1 if y is constant, NULL if x is.",
    &[Example { call: "REGR_R2(x * 10, x)", rows: ROWS, result: "1" }],
    |args| two("REGR_R2", args),
);
pub(super) const REGR_SLOPE: AggregateDef = pair(
    "REGR_SLOPE",
    "The slope of the line of least squares through the points (x, y); NULL if x is constant.",
    &[Example { call: "REGR_SLOPE(x * 10, x)", rows: ROWS, result: "10" }],
    |args| two("REGR_SLOPE", args),
);
pub(super) const REGR_SXX: AggregateDef = pair(
    "REGR_SXX",
    "The sum of the squares of x's distances from its average.",
    &[Example { call: "REGR_SXX(x * 10, x)", rows: ROWS, result: "14" }],
    |args| two("REGR_SXX", args),
);
pub(super) const REGR_SXY: AggregateDef = pair(
    "REGR_SXY",
    "The sum of the products of x's and y's distances from their averages.",
    &[Example { call: "REGR_SXY(x * 10, x)", rows: ROWS, result: "140" }],
    |args| two("REGR_SXY", args),
);
pub(super) const REGR_SYY: AggregateDef = pair(
    "REGR_SYY",
    "The sum of the squares of y's distances from its average.",
    &[Example { call: "REGR_SYY(x * 10, x)", rows: ROWS, result: "1400" }],
    |args| two("REGR_SYY", args),
);

fn one(name: &str, args: &[Type]) -> Result<Type, String> {
    number(name, args).map(|_| Type::nullable(DataType::Double))
}

fn two(name: &str, args: &[Type]) -> Result<Type, String> {
    match args {
        [y, x] if y.data.is_numeric() && x.data.is_numeric() => {
            Ok(Type::nullable(DataType::Double))
        }
        _ => Err(format!("{name} takes two numbers")),
    }
}

/// What is summed: an argument, or the product of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    Sum(usize),
    Product(usize, usize),
}

/// The result, of the arguments y and x, or of y alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
    CovarPop,
    CovarSamp,
    Corr,
    AvgX,
    AvgY,
    Intercept,
    R2,
    Slope,
    Sxx,
    Sxy,
    Syy,
}

const Y: usize = 0;
const X: usize = 1;

impl Form {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "VAR_POP" => Form::VarPop,
            "VAR_SAMP" => Form::VarSamp,
            "STDDEV_POP" => Form::StddevPop,
            "STDDEV_SAMP" => Form::StddevSamp,
            "COVAR_POP" => Form::CovarPop,
            "COVAR_SAMP" => Form::CovarSamp,
            "CORR" => Form::Corr,
            "REGR_AVGX" => Form::AvgX,
            "REGR_AVGY" => Form::AvgY,
            "REGR_INTERCEPT" => Form::Intercept,
            "REGR_R2" => Form::R2,
            "REGR_SLOPE" => Form::Slope,
            "REGR_SXX" => Form::Sxx,
            "REGR_SXY" => Form::Sxy,
            "REGR_SYY" => Form::Syy,
            _ => return None,
        })
    }

    fn terms(self) -> &'static [Term] {
        use Term::{Product, Sum};
        match self {
            Form::VarPop | Form::VarSamp | Form::StddevPop | Form::StddevSamp | Form::Syy => {
                &[Sum(Y), Product(Y, Y)]
            }
            Form::CovarPop | Form::CovarSamp | Form::Sxy => &[Sum(Y), Sum(X), Product(Y, X)],
            Form::Corr | Form::R2 => &[Sum(Y), Sum(X), Product(Y, Y), Product(X, X), Product(Y, X)],
            Form::AvgX => &[Sum(X)],
            Form::AvgY => &[Sum(Y)],
            Form::Intercept | Form::Slope => &[Sum(Y), Sum(X), Product(X, X), Product(Y, X)],
            Form::Sxx => &[Sum(X), Product(X, X)],
        }
    }
}

/// One of the above. State: the number of rows, the number of those with a NaN, an infinity or a
/// product that is none, then a sum for each term.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    form: Form,
    args: Vec<DataType>,
    /// The scale of the argument, where it is summed as an integer.
    exact: Option<u8>,
}

/// Accumulators before the sums.
const COUNTS: usize = 2;

impl Moments {
    pub(super) fn new(name: &str, args: &[Type]) -> Option<Self> {
        let exact = match args {
            [ty] => match ty.data {
                DataType::Decimal { scale, .. } => Some(scale),
                _ => ty.data.is_integer().then_some(0),
            },
            _ => None,
        };
        let args = args.iter().map(|ty| ty.data.clone()).collect();
        Some(Self { form: Form::of(name)?, args, exact })
    }

    fn add_exact(&self, acc: &mut ValueMut<'_>, first: usize, value: i128, weight: i64) {
        let magnitude = value.unsigned_abs();
        accumulate(acc, first, Addend::integer(magnitude, value < 0, weight, 0));
        let (high, low) = (magnitude >> 64, magnitude & u128::from(u64::MAX));
        for (at, part) in [low * low, 2 * high * low, high * high].into_iter().enumerate() {
            accumulate(acc, first + 1, Addend::integer(part, false, weight, at));
        }
    }

    /// Adds to the sums; false, with nothing added, if that has no meaning.
    fn add_floats(
        &self,
        acc: &mut ValueMut<'_>,
        first: usize,
        values: [f64; 2],
        weight: i64,
    ) -> bool {
        let rounded = |term: &Term| match *term {
            Term::Sum(i) => values[i],
            Term::Product(i, j) => values[i] * values[j],
        };
        let terms = self.form.terms();
        if !terms.iter().all(|term| rounded(term).is_finite()) {
            return false;
        }
        for (at, term) in terms.iter().enumerate() {
            let sum = rounded(term);
            accumulate(acc, first + at, Addend::new(sum, weight));
            if let Term::Product(i, j) = *term {
                let rest = values[i].mul_add(values[j], -sum);
                accumulate(acc, first + at, Addend::new(rest, weight));
            }
        }
        true
    }

    fn value(&self, count: u64, sums: &Sums) -> Option<f64> {
        let n = count as f64;
        let center = |i, j| sums.center(count, i, j);
        let sample = (count > 1).then_some(n * (n - 1.0));
        let value = match self.form {
            Form::VarPop => center(Y, Y) / (n * n),
            Form::VarSamp => center(Y, Y) / sample?,
            Form::StddevPop => (center(Y, Y) / (n * n)).sqrt(),
            Form::StddevSamp => (center(Y, Y) / sample?).sqrt(),
            Form::CovarPop => center(Y, X) / (n * n),
            Form::CovarSamp => center(Y, X) / sample?,
            Form::Corr => correlation(center(Y, X), center(Y, Y), center(X, X))?,
            Form::AvgX => sums.mean(X, n),
            Form::AvgY => sums.mean(Y, n),
            Form::Intercept => {
                sums.mean(Y, n) - ratio(center(Y, X), center(X, X))? * sums.mean(X, n)
            }
            Form::R2 if center(X, X) == 0.0 => return None,
            Form::R2 if center(Y, Y) == 0.0 => 1.0,
            Form::R2 => correlation(center(Y, X), center(Y, Y), center(X, X))?.powi(2),
            Form::Slope => ratio(center(Y, X), center(X, X))?,
            Form::Sxx => center(X, X) / n,
            Form::Sxy => center(Y, X) / n,
            Form::Syy => center(Y, Y) / n,
        };
        let scaled =
            |power: u8| value / 10f64.powi(i32::from(power) * i32::from(self.exact.unwrap_or(0)));
        Some(match self.form {
            Form::VarPop | Form::VarSamp => scaled(2),
            Form::StddevPop | Form::StddevSamp => scaled(1),
            Form::CovarPop
            | Form::CovarSamp
            | Form::Corr
            | Form::AvgX
            | Form::AvgY
            | Form::Intercept
            | Form::R2
            | Form::Slope
            | Form::Sxx
            | Form::Sxy
            | Form::Syy => value,
        })
    }
}

fn ratio(a: f64, b: f64) -> Option<f64> {
    (b != 0.0).then(|| a / b)
}

fn correlation(xy: f64, xx: f64, yy: f64) -> Option<f64> {
    if xx == 0.0 || yy == 0.0 {
        return None;
    }
    let product = xx * yy;
    let root = if product.is_normal() { product.sqrt() } else { xx.sqrt() * yy.sqrt() };
    Some((xy / root).clamp(-1.0, 1.0))
}

/// The sums of a group, as integers of 2^−`unit`.
struct Sums {
    terms: &'static [Term],
    sums: Vec<Big>,
    unit: usize,
}

impl Sums {
    fn of(&self, term: Term) -> Option<&Big> {
        let at = self.terms.iter().position(|t| *t == term)?;
        self.sums.get(at)
    }

    /// n·Σij − Σi·Σj.
    fn center(&self, count: u64, i: usize, j: usize) -> f64 {
        let terms = (self.of(Term::Product(i, j)), self.of(Term::Sum(i)), self.of(Term::Sum(j)));
        let (Some(product), Some(a), Some(b)) = terms else { return 0.0 };
        let count = Big::new(false, 0, vec![count]);
        let exact = product.times(&count).shifted(self.unit).minus(&a.times(b));
        let value = exact.to_f64(-2 * self.unit as i64);
        // Products too small for a double may lack a rest.
        if i == j { value.max(0.0) } else { value }
    }

    fn mean(&self, i: usize, n: f64) -> f64 {
        self.of(Term::Sum(i)).map_or(0.0, |sum| sum.to_f64(-(self.unit as i64)) / n)
    }
}

impl Meaning for Moments {
    fn types(&self) -> Vec<Type> {
        let mut types = vec![Type::nullable(DataType::BigInt); COUNTS];
        types.resize(COUNTS + self.form.terms().len(), Type::nullable(DataType::Bytes));
        types
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
        if args.iter().any(|arg| row.is_null(*arg)) {
            return;
        }
        acc.add_word(first, weight as u64);
        let sums = first + COUNTS;
        if self.exact.is_some() {
            return self.add_exact(acc, sums, read_i128(row, args[0]), weight);
        }
        let mut values = [0.0; 2];
        for ((value, arg), ty) in values.iter_mut().zip(args).zip(&self.args) {
            *value = read_f64(row, *arg, ty);
        }
        if !self.add_floats(acc, sums, values, weight) {
            acc.add_word(first + 1, weight as u64);
        }
    }

    fn merge(&self, acc: &mut ValueMut<'_>, first: usize, from: RowRef<'_>, columns: &[Column]) {
        for (i, column) in columns.iter().enumerate().filter(|(_, c)| !from.is_null(**c)) {
            match column.slot {
                Slot::Var => accumulate_sum(acc, first + i, from.var(*column)),
                Slot::Word | Slot::Wide => acc.add_word(first + i, from.word(*column)),
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
        let (counts, sums) = columns.split_at(COUNTS);
        let Some(count) = u64::try_from(acc.i64(counts[0])).ok().filter(|count| *count > 0) else {
            return Ok(());
        };
        if acc.i64(counts[1]) != 0 {
            out.set_f64(column, f64::NAN);
            return Ok(());
        }
        let sums = Sums {
            terms: self.form.terms(),
            sums: sums.iter().map(|c| Digits::read(acc.var(*c)).to_big()).collect(),
            unit: if self.exact.is_some() { 0 } else { FLOAT_UNIT_BITS },
        };
        if let Some(value) = self.value(count, &sums) {
            out.set_f64(column, value);
        }
        Ok(())
    }
}

/// The integer that a number's slot holds: that of a DECIMAL without its scale.
fn read_i128(row: RowRef<'_>, column: Column) -> i128 {
    match column.slot {
        Slot::Wide => {
            let [low, high] = row.wide(column);
            i128::from(low) | (i128::from(high as i64) << 64)
        }
        Slot::Word | Slot::Var => i128::from(row.i64(column)),
    }
}

/// A number as a double.
pub(super) fn read_f64(row: RowRef<'_>, column: Column, ty: &DataType) -> f64 {
    match ty {
        DataType::Decimal { scale, .. } => {
            read_i128(row, column) as f64 / 10f64.powi(i32::from(*scale))
        }
        ty if ty.is_float() => row.f64(column),
        _ => row.i64(column) as f64,
    }
}

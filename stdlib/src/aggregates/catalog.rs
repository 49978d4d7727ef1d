//! The table of aggregates: names, what they take, what they give.

use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;

use super::{
    avg, bits, booleans, count, gather, json, min_max, moments, pick, quantile, single, sum,
};
use super::{hyperloglog, ranks, sketch};

/// An aggregate function as users see it.
#[derive(Clone, Copy, Debug)]
pub struct AggregateDef {
    /// Name, upper case.
    pub name: &'static str,
    /// Other names of the same.
    pub aliases: &'static [&'static str],
    /// Its arguments, as they are written.
    pub usage: &'static str,
    /// What it gives, for the reference.
    pub doc: &'static str,
    /// Examples, which are tests too.
    pub examples: &'static [Example],
    /// The constants behind its arguments.
    pub params: &'static [Param],
    /// What the order of the rows means to it.
    pub order: OrderUse,
    /// What NULL in its arguments means to it.
    pub nulls: NullUse,
    /// Type of the result for arguments of these types; no arguments stand for `*`. The error says
    /// what it takes instead.
    pub result: fn(&[Type]) -> Result<Type, String>,
}

/// An example over a BIGINT column `x`.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The call.
    pub call: &'static str,
    /// The values of `x`.
    pub rows: &'static [Option<i64>],
    /// The result as it prints.
    pub result: &'static str,
}

/// A constant argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// What stands between texts; a comma if it is left out.
    Separator,
    /// A number from 0 to 1, or an array of them.
    Fraction,
    /// How many, at least 1.
    Count,
    /// Whether NULLs are passed over; TRUE if it is left out.
    IgnoreNulls,
}

/// What the order of rows means to an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderUse {
    /// Nothing.
    Nothing,
    /// Rows count in the order that the call gives, else in that of event time.
    Rows,
    /// The last argument is what rows are ordered by.
    LastArgument {
        /// The largest first.
        descending: bool,
    },
    /// `WITHIN GROUP (ORDER BY x)` is another way to write the first argument.
    FirstArgument,
}

/// What NULL means to an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullUse {
    /// Rows with a NULL argument are passed over.
    Skip,
    /// Rows whose first argument is NULL are passed over.
    SkipFirst,
    /// NULL is a value, unless the call says IGNORE NULLS.
    Keep,
}

impl AggregateDef {
    /// One that skips NULL, takes no constants and knows no order.
    pub(super) const PLAIN: Self = Self {
        name: "",
        aliases: &[],
        usage: "[DISTINCT] x",
        doc: "",
        examples: &[],
        params: &[],
        order: OrderUse::Nothing,
        nulls: NullUse::Skip,
        result: |_| Err(String::new()),
    };

    /// Type of the result for arguments of these types and these constants.
    ///
    /// # Errors
    /// Says what it takes instead.
    pub fn result_type(&self, args: &[Type], params: &[Value]) -> Result<Type, String> {
        let one = (self.result)(args)?;
        let several = params.iter().any(|param| matches!(param, Value::Array(_)));
        Ok(if several { array_of(one.with_nullable(false)) } else { one })
    }

    /// Name and aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// All aggregates, by name.
pub const AGGREGATES: &[AggregateDef] = &[
    pick::ANY_VALUE,
    hyperloglog::DEF,
    sketch::DEF,
    pick::ARG_MAX,
    pick::ARG_MIN,
    gather::ARRAY_AGG,
    ranks::ATTR,
    avg::DEF,
    bits::AND,
    bits::OR,
    bits::XOR,
    booleans::AND,
    booleans::OR,
    ranks::COLLECT,
    gather::COLLECT_SET,
    moments::CORR,
    count::DEF,
    count::COUNT_DISTINCT,
    count::COUNT_IF,
    moments::COVAR_POP,
    moments::COVAR_SAMP,
    pick::EARLIEST_BY_OFFSET,
    pick::FIRST_VALUE,
    ranks::HISTOGRAM,
    json::JSON_AGG,
    json::JSON_ARRAYAGG,
    json::JSON_OBJECTAGG,
    json::JSON_OBJECT_AGG,
    pick::LAST_VALUE,
    pick::LATEST_BY_OFFSET,
    gather::LISTAGG,
    gather::MAP_AGG,
    min_max::MAX,
    quantile::MEDIAN,
    min_max::MIN,
    ranks::MODE,
    quantile::PERCENTILE_CONT,
    quantile::PERCENTILE_DISC,
    ranks::PRODUCT,
    moments::REGR_AVGX,
    moments::REGR_AVGY,
    moments::REGR_COUNT,
    moments::REGR_INTERCEPT,
    moments::REGR_R2,
    moments::REGR_SLOPE,
    moments::REGR_SXX,
    moments::REGR_SXY,
    moments::REGR_SYY,
    single::DEF,
    moments::STDDEV_POP,
    moments::STDDEV_SAMP,
    sum::DEF,
    ranks::TOPK,
    ranks::TOPKDISTINCT,
    moments::VAR_POP,
    moments::VAR_SAMP,
];

/// The aggregate of this name, in any case.
pub fn lookup(name: &str) -> Option<&'static AggregateDef> {
    AGGREGATES.iter().find(|def| def.names().any(|known| known.eq_ignore_ascii_case(name)))
}

/// ARRAY of a type, or NULL.
pub(super) fn array_of(item: Type) -> Type {
    Type::nullable(DataType::Array(Box::new(item)))
}

/// MAP of types, or NULL; keys are never NULL.
pub(super) fn map_of(key: &Type, value: Type) -> Type {
    Type::nullable(DataType::Map(Box::new(key.with_nullable(false)), Box::new(value)))
}

/// The type of the only argument, which must have one.
pub(super) fn only<'a>(name: &str, args: &'a [Type]) -> Result<&'a Type, String> {
    match args {
        [Type { data: DataType::Null, .. }] => Err(format!("{name} of NULL has no type")),
        [ty] => Ok(ty),
        _ => Err(format!("{name} takes one argument")),
    }
}

/// The only argument, a number.
pub(super) fn number<'a>(name: &str, args: &'a [Type]) -> Result<&'a DataType, String> {
    let data = &only(name, args)?.data;
    if data.is_numeric() { Ok(data) } else { Err(format!("{name} takes a number, not {data}")) }
}

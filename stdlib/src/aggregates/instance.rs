//! Calls made ready to run: which of the kinds of aggregates a call is.

use flow_ir::aggregate::AggregateCall;
use flow_ir::types::{DataType, Type};

use super::Aggregate;
use super::avg::Avg;
use super::bits::{BitCounts, Bits};
use super::booleans::Truth;
use super::catalog::lookup;
use super::count::{Count, CountIf};
use super::fixed::Fixed;
use super::gather::Gather;
use super::hyperloglog::Registers;
use super::json::Json;
use super::min_max::{Extreme, LongExtreme};
use super::moments::Moments;
use super::pick::Pick;
use super::quantile::Quantile;
use super::ranks::Ranks;
use super::single::Single;
use super::sketch::Sketch;
use super::sum::Sum;
use super::total::{Exact, Float, Long, Short, Span, is_short};

/// The running form of a call.
///
/// # Errors
/// If there is no such aggregate over arguments of these types.
pub fn instantiate(call: &AggregateCall) -> Result<Aggregate, String> {
    let def = lookup(&call.function).ok_or_else(|| format!("no aggregate {}", call.function))?;
    let ty = def.result_type(&with_order(call), &call.params)?;
    if ty.data != call.ty.data || call.args.len() != call.arg_types.len() {
        return Err(format!("{} does not give {}", call.function, call.ty));
    }
    let kind = Kind::of(def.name, call);
    kind.map(|kind| Aggregate { kind }).ok_or_else(|| format!("{} lacks an argument", def.name))
}

/// The types of the arguments as they were written, an argument that only orders included.
fn with_order(call: &AggregateCall) -> Vec<Type> {
    let mut types = call.arg_types.clone();
    let last = match lookup(&call.function).map(|def| def.order) {
        Some(super::OrderUse::LastArgument { .. }) => call.order.first(),
        Some(_) | None => None,
    };
    types.extend(last.map(|by| by.ty.clone()));
    types
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Count(Fixed<Count>),
    SumShort(Fixed<Sum<Short>>),
    SumLong(Fixed<Sum<Long>>),
    SumFloat(Sum<Float>),
    SumSpan(Sum<Span>),
    AvgShort(Fixed<Avg<Short>>),
    AvgLong(Fixed<Avg<Long>>),
    AvgFloat(Avg<Float>),
    AvgSpan(Avg<Span>),
    Extreme(Fixed<Extreme>),
    LongExtreme(LongExtreme),
    CountIf(Fixed<CountIf>),
    Moments(Moments),
    Truth(Fixed<Truth>),
    Bits(Fixed<Bits>),
    BitCounts(BitCounts),
    Pick(Pick),
    Gather(Gather),
    Ranks(Ranks),
    Quantile(Quantile),
    Json(Json),
    Single(Single),
    Registers(Registers),
    Sketch(Sketch),
}

impl Kind {
    /// Of the aggregate of this name; `None` if the call lacks an argument or constant.
    fn of(name: &str, call: &AggregateCall) -> Option<Self> {
        let count = || Kind::Count(Fixed::new(Count::of(call)));
        if name == "COUNT" {
            return Some(count());
        }
        let arg = call.arg_types.first()?;
        Some(match name {
            "COUNT_DISTINCT" | "REGR_COUNT" => count(),
            "COUNT_IF" => Kind::CountIf(Fixed::new(CountIf)),
            "SUM" => Kind::sum(&arg.data, call.retracts),
            "AVG" => Kind::avg(&arg.data),
            "MIN" | "MAX" => match Extreme::new(arg, name == "MAX") {
                Some(extreme) => Kind::Extreme(Fixed::new(extreme)),
                None => Kind::LongExtreme(LongExtreme::new(arg, name == "MAX")),
            },
            "BIT_AND" | "BIT_OR" | "BIT_XOR" if call.retracts => {
                Kind::BitCounts(BitCounts(Bits::new(name)))
            }
            "BIT_AND" | "BIT_OR" | "BIT_XOR" => Kind::Bits(Fixed::new(Bits::new(name))),
            "BOOL_AND" => Kind::Truth(Fixed::new(Truth { all: true })),
            "BOOL_OR" => Kind::Truth(Fixed::new(Truth { all: false })),
            "ANY_VALUE" | "ARG_MAX" | "ARG_MIN" | "EARLIEST_BY_OFFSET" | "FIRST_VALUE"
            | "LAST_VALUE" | "LATEST_BY_OFFSET" => Kind::Pick(Pick::new(name, call)),
            "ARRAY_AGG" | "COLLECT_SET" | "LISTAGG" | "MAP_AGG" => {
                Kind::Gather(Gather::new(name, call))
            }
            "ATTR" | "COLLECT" | "HISTOGRAM" | "MODE" | "PRODUCT" | "TOPK" | "TOPKDISTINCT" => {
                Kind::Ranks(Ranks::new(name, call)?)
            }
            "MEDIAN" | "PERCENTILE_CONT" | "PERCENTILE_DISC" => {
                Kind::Quantile(Quantile::new(name, call)?)
            }
            "JSON_AGG" | "JSON_ARRAYAGG" | "JSON_OBJECTAGG" | "JSON_OBJECT_AGG" => {
                Kind::Json(Json::new(name, call))
            }
            "SINGLE_VALUE" => Kind::Single(Single::new(arg)),
            // The operator's multiset counts the values exactly.
            "APPROX_COUNT_DISTINCT" if call.retracts => count(),
            "APPROX_COUNT_DISTINCT" => Kind::Registers(Registers::new(&call.arg_types)),
            "APPROX_PERCENTILE" => Kind::Sketch(Sketch::new(call)?),
            _ => Kind::Moments(Moments::new(name, &call.arg_types)?),
        })
    }

    fn sum(arg: &DataType, counted: bool) -> Self {
        let exact = Exact::of(arg);
        match arg {
            DataType::Interval => Kind::SumSpan(Sum::new(Span, counted)),
            arg if arg.is_float() => Kind::SumFloat(Sum::new(Float, counted)),
            arg if is_short(arg) => Kind::SumShort(Fixed::new(Sum::new(Short(exact), counted))),
            _ => Kind::SumLong(Fixed::new(Sum::new(Long(exact), counted))),
        }
    }

    fn avg(arg: &DataType) -> Self {
        let exact = Exact::of(arg);
        match arg {
            DataType::Interval => Kind::AvgSpan(Avg::new(Span)),
            arg if arg.is_float() => Kind::AvgFloat(Avg::new(Float)),
            arg if is_short(arg) => Kind::AvgShort(Fixed::new(Avg::new(Short(exact)))),
            _ => Kind::AvgLong(Fixed::new(Avg::new(Long(exact)))),
        }
    }
}

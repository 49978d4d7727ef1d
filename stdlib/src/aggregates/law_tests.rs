//! Every aggregate over random rows: rows that were taken back leave no trace, and the results are
//! those of plain computation over the rows that are left.

use std::sync::Arc;

use flow_ir::aggregate::OrderColumn;
use flow_ir::physical::Direction;
use flow_ir::row::{RowLayout, push_value, read_value};
use flow_ir::types::DataType;
use flow_ir::value::Value;
use proptest::prelude::*;

use super::*;

/// Columns: x BIGINT, y DOUBLE, s STRING, b BOOLEAN, all nullable; arrival BIGINT.
const ARRIVAL: usize = 4;

fn layout() -> Arc<RowLayout> {
    let kinds = [DataType::BigInt, DataType::Double, DataType::String, DataType::Boolean];
    let mut types = kinds.map(Type::nullable).to_vec();
    types.push(Type::not_null(DataType::BigInt));
    Arc::new(RowLayout::new(types))
}

fn by(column: usize, descending: bool) -> OrderColumn {
    let direction = Direction { descending, nulls_first: descending };
    OrderColumn { column, ty: layout().types()[column].clone(), direction }
}

/// A call of an aggregate over the first of these arguments that it takes.
fn call_of(def: &AggregateDef, distinct: bool) -> AggregateCall {
    let params: Vec<Value> = def
        .params
        .iter()
        .filter_map(|param| match param {
            Param::Separator => Some(Value::String("; ".into())),
            Param::Fraction => Some(Value::Float(0.3)),
            Param::Count => Some(Value::Int(2)),
            Param::IgnoreNulls => None,
        })
        .collect();
    let choices: [&[usize]; 5] = [&[0], &[0, 1], &[2], &[3], &[1]];
    let found = choices.into_iter().find_map(|args| {
        let types: Vec<Type> = args.iter().map(|i| layout().types()[*i].clone()).collect();
        let ty = def.result_type(&types, &params).ok()?;
        Some((args.to_vec(), types, ty))
    });
    let (mut args, mut types, ty) = found.unwrap_or_else(|| panic!("{} takes nothing", def.name));
    let mut order = Vec::new();
    if let OrderUse::LastArgument { descending } = def.order {
        args.pop();
        types.pop();
        order.push(by(1, descending));
    }
    if def.order != OrderUse::Nothing && def.order != OrderUse::FirstArgument {
        order.push(by(ARRIVAL, false));
    }
    AggregateCall {
        params,
        order,
        distinct,
        retracts: true,
        ..AggregateCall::new(def.name, args, types, ty)
    }
}

type Row = (Option<i64>, Option<f64>, Option<String>, Option<bool>);

fn rows(values: &[Row]) -> RowBatch {
    let mut out = BatchBuilder::new(layout());
    for (arrival, (x, y, s, b)) in values.iter().enumerate() {
        out.begin();
        push_value(&mut out, 0, &x.map_or(Value::Null, Value::Int));
        push_value(&mut out, 1, &y.map_or(Value::Null, Value::Float));
        push_value(&mut out, 2, &s.clone().map_or(Value::Null, Value::String));
        push_value(&mut out, 3, &b.map_or(Value::Null, Value::Boolean));
        out.set_i64(ARRIVAL, arrival as i64);
        out.finish(1);
    }
    out.take()
}

fn result(call: &AggregateCall, steps: &[(RowRef<'_>, i64)]) -> Value {
    let mut evaluator = Evaluator::new(std::slice::from_ref(call), &layout()).expect("a call");
    let ty = Arc::new(RowLayout::new(vec![call.ty.clone()]));
    let mut out = BatchBuilder::new(ty.clone());
    let mut last = Value::Null;
    for at in 0..=steps.len() {
        if at > 0 {
            evaluator.add(steps[at - 1].0, steps[at - 1].1).expect("a row");
        }
        // A result in between must change nothing.
        if at % 3 == 0 || at == steps.len() {
            out.begin();
            evaluator.finish(&mut out, 0, &mut Vec::new()).expect("a result");
            out.finish(1);
            last = read_value(out.take().row(0), ty.column(0), &call.ty);
        }
    }
    last
}

fn row() -> impl Strategy<Value = Row> {
    let x = prop::option::weighted(0.8, -4i64..5);
    let y = prop::option::weighted(0.8, prop_oneof![-3.0..3.0f64, (-3i32..3).prop_map(f64::from)]);
    let s = prop::option::weighted(0.8, "[ab]{0,2}");
    (x, y, s, prop::option::weighted(0.8, any::<bool>()))
}

/// Plain computation over the values x, and y with x where both are there.
fn naive(name: &str, values: &[Row]) -> Option<Value> {
    let mut xs: Vec<i64> = values.iter().filter_map(|row| row.0).collect();
    let pairs: Vec<(f64, f64)> =
        values.iter().filter_map(|row| Some((row.0? as f64, row.1?))).collect();
    let floats: Vec<f64> = xs.iter().map(|x| *x as f64).collect();
    let float = |value: Option<f64>| Some(value.map_or(Value::Null, Value::Float));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let square = |values: &[f64]| {
        let mean = mean(values);
        values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
    };
    let (ys, zs): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let cross = || {
        let (a, b) = (mean(&ys), mean(&zs));
        pairs.iter().map(|(y, z)| (y - a) * (z - b)).sum::<f64>()
    };
    let (n, p) = (floats.len() as f64, pairs.len() as f64);
    let over = |least: usize, count: usize, value: f64| float((count >= least).then_some(value));
    let int = |value: Option<i64>| Some(value.map_or(Value::Null, Value::Int));
    xs.sort_unstable();
    match name {
        "VAR_POP" => over(1, xs.len(), square(&floats) / n),
        "VAR_SAMP" => over(2, xs.len(), square(&floats) / (n - 1.0)),
        "STDDEV_POP" => over(1, xs.len(), (square(&floats) / n).sqrt()),
        "STDDEV_SAMP" => over(2, xs.len(), (square(&floats) / (n - 1.0)).sqrt()),
        "COVAR_POP" => over(1, pairs.len(), cross() / p),
        "COVAR_SAMP" => over(2, pairs.len(), cross() / (p - 1.0)),
        "REGR_SXX" => over(1, pairs.len(), square(&zs)),
        "REGR_SYY" => over(1, pairs.len(), square(&ys)),
        "REGR_SXY" => over(1, pairs.len(), cross()),
        "REGR_AVGX" => over(1, pairs.len(), mean(&zs)),
        "REGR_AVGY" => over(1, pairs.len(), mean(&ys)),
        "REGR_COUNT" => int(Some(pairs.len() as i64)),
        "BIT_AND" => int(xs.iter().copied().reduce(|a, b| a & b)),
        "BIT_OR" => int(xs.iter().copied().reduce(|a, b| a | b)),
        "BIT_XOR" => int(xs.iter().copied().reduce(|a, b| a ^ b)),
        "APPROX_COUNT_DISTINCT" => {
            xs.dedup();
            int(Some(xs.len() as i64))
        }
        "FIRST_VALUE" => int(values.first().and_then(|row| row.0)),
        "LAST_VALUE" => int(values.last().and_then(|row| row.0)),
        "ANY_VALUE" => int(values.iter().find_map(|row| row.0)),
        "ARRAY_AGG" if values.is_empty() => Some(Value::Null),
        "ARRAY_AGG" => {
            let items = values.iter().map(|row| row.0.map_or(Value::Null, Value::Int));
            Some(Value::Array(items.collect()))
        }
        "MEDIAN" => {
            let half = xs.len() / 2;
            let middle = |at: usize| xs[at] as f64;
            float((!xs.is_empty()).then(|| match xs.len() % 2 {
                0 => (middle(half - 1) + middle(half)) / 2.0,
                _ => middle(half),
            }))
        }
        "PERCENTILE_DISC" => {
            let at = (0.3 * n).ceil() as usize;
            int((!xs.is_empty()).then(|| xs[at.max(1) - 1]))
        }
        _ => None,
    }
}

fn near(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
        (a, b) => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn rows_taken_back_leave_no_trace(
        values in prop::collection::vec(row(), 0..12),
        gone in prop::collection::vec(row(), 0..6),
    ) {
        let batch = rows(&[values.clone(), gone].concat());
        let all: Vec<RowRef<'_>> = batch.rows().collect();
        let (kept, gone) = all.split_at(values.len());
        let alone: Vec<_> = kept.iter().map(|row| (*row, 1)).collect();
        let early = gone.iter().map(|row| (*row, 1));
        let mixed = early.chain(alone.iter().rev().copied());
        let mixed: Vec<_> = mixed.chain(gone.iter().map(|row| (*row, -1))).collect();
        for def in AGGREGATES.iter().filter(|def| def.name != "SINGLE_VALUE") {
            for distinct in [false, true] {
                let call = call_of(def, distinct);
                let expected = result(&call, &alone);
                let same = result(&call, &mixed);
                prop_assert_eq!(&same, &expected, "{} {}", def.name, distinct);
                // Rows that stay need less state for the same result.
                let stays = AggregateCall { retracts: false, ..call.clone() };
                let same = result(&stays, &alone);
                prop_assert_eq!(&same, &expected, "{} {}", def.name, distinct);
                if let Some(plain) = naive(def.name, &values).filter(|_| !distinct) {
                    prop_assert!(near(&plain, &expected), "{} {plain:?} {expected:?}", def.name);
                }
            }
        }
    }
}

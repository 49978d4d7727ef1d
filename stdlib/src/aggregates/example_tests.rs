//! Every example of every aggregate. Examples call over a BIGINT x; what is read here is just
//! enough of the language to run them: `x`, `x > n`, `x * n`, `CAST(x AS STRING)`, constants,
//! DISTINCT, ORDER BY and WITHIN GROUP by x, IGNORE NULLS.

use std::sync::Arc;

use flow_ir::aggregate::OrderColumn;
use flow_ir::physical::Direction;
use flow_ir::row::{RowLayout, push_value, read_value};
use flow_ir::types::DataType;
use flow_ir::value::Value;

use super::*;

/// An argument: its type and its value for an x.
type Argument = (DataType, Box<dyn Fn(i64) -> Value>);

fn argument(text: &str) -> Option<Argument> {
    if text == "x" {
        return Some((DataType::BigInt, Box::new(Value::Int)));
    }
    if text == "CAST(x AS STRING)" {
        return Some((DataType::String, Box::new(|x| Value::String(x.to_string()))));
    }
    if let Some(n) = text.strip_prefix("x > ") {
        let n: i64 = n.parse().ok()?;
        return Some((DataType::Boolean, Box::new(move |x| Value::Boolean(x > n))));
    }
    let n: i64 = text.strip_prefix("x * ")?.parse().ok()?;
    Some((DataType::BigInt, Box::new(move |x| Value::Int(x * n))))
}

fn constant(text: &str) -> Value {
    if let Some(quoted) = text.strip_prefix('\'') {
        return Value::String(quoted.trim_end_matches('\'').to_string());
    }
    match text.parse() {
        Ok(count) => Value::Int(count),
        Err(_) => Value::Float(text.parse().expect("a number")),
    }
}

/// Splits at commas outside of quotes and parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty() && *part != "*");
    parts
}

/// A call with the values of its arguments and order for each x; x is the last column.
fn read(def: &AggregateDef, text: &str) -> (AggregateCall, Vec<Argument>) {
    let text = text.strip_suffix(" IGNORE NULLS").map_or((text, false), |text| (text, true));
    let (text, ignore) = text;
    let ignore_nulls = ignore || def.params == [Param::IgnoreNulls];
    let (call, within) = match text.split_once(" WITHIN GROUP (ORDER BY ") {
        Some((call, within)) => (call, within.strip_suffix(')')),
        None => (text, None),
    };
    let (_, inner) = call.split_once('(').expect("a call");
    let inner = inner.strip_suffix(')').expect("a call");
    let (inner, distinct) = inner.strip_prefix("DISTINCT ").map_or((inner, false), |i| (i, true));
    let (inner, by) = match inner.split_once(" ORDER BY ") {
        Some((inner, by)) => (inner, Some(by)),
        None => (inner, None),
    };
    let mut written = split(inner);
    if let Some(within) = within.filter(|_| def.order == OrderUse::FirstArgument) {
        written.insert(0, within.trim_end_matches(" DESC"));
    }
    let by = by.or(within).filter(|_| def.order == OrderUse::Rows);
    let (mut args, mut params) = (Vec::new(), Vec::new());
    for text in written {
        match argument(text) {
            Some(arg) => args.push(arg),
            None => params.push(constant(text)),
        }
    }
    if def.params == [Param::Separator] && params.is_empty() {
        params.push(Value::String(",".into()));
    }
    if def.order == OrderUse::FirstArgument && text.ends_with("DESC)") {
        params.push(Value::Boolean(true));
    }
    let types: Vec<Type> = args.iter().map(|(ty, _)| Type::nullable(ty.clone())).collect();
    let ty = def.result_type(&types, &params).expect("a type");
    let last = match def.order {
        OrderUse::LastArgument { descending } => Some(descending),
        _ => by.map(|by| by.ends_with(" DESC")),
    };
    if by.is_some() {
        args.push(argument("x").expect("x"));
    }
    let width = args.len() - usize::from(last.is_some());
    let order = last.map(|descending| OrderColumn {
        column: width,
        ty: Type::nullable(DataType::BigInt),
        direction: Direction { descending, nulls_first: descending },
    });
    let arrival =
        (def.order != OrderUse::Nothing && def.order != OrderUse::FirstArgument).then(|| {
            OrderColumn {
                column: args.len(),
                ty: Type::not_null(DataType::BigInt),
                direction: Direction { descending: false, nulls_first: false },
            }
        });
    let call = AggregateCall {
        params,
        distinct,
        ignore_nulls,
        order: order.into_iter().chain(arrival).collect(),
        ..AggregateCall::new(def.name, (0..width).collect(), types[..width].to_vec(), ty)
    };
    (call, args)
}

fn show(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null => "NULL".into(),
        Value::Boolean(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::String(v) | Value::Json(v) => v.clone(),
        Value::Array(items) => format!("[{}]", list(items.iter().map(show).collect())),
        Value::Map(entries) => {
            let entry = |(k, v): &(Value, Value)| format!("{}={}", show(k), show(v));
            format!("{{{}}}", list(entries.iter().map(entry).collect()))
        }
        other => format!("{other:?}"),
    }
}

fn evaluate(call: &AggregateCall, args: &[Argument], rows: &[Option<i64>]) -> Value {
    let mut types: Vec<Type> = args.iter().map(|(ty, _)| Type::nullable(ty.clone())).collect();
    types.push(Type::not_null(DataType::BigInt));
    let layout = Arc::new(RowLayout::new(types));
    let mut input = BatchBuilder::new(layout.clone());
    for (arrival, x) in rows.iter().enumerate() {
        input.begin();
        for (at, (_, value)) in args.iter().enumerate() {
            push_value(&mut input, at, &x.map_or(Value::Null, value));
        }
        input.set_i64(args.len(), arrival as i64);
        input.finish(1);
    }
    let mut evaluator = Evaluator::new(std::slice::from_ref(call), &layout).expect("a call");
    for row in input.take().rows() {
        evaluator.add(row, 1).expect("a row");
    }
    let result = Arc::new(RowLayout::new(vec![call.ty.clone()]));
    let mut out = BatchBuilder::new(result.clone());
    out.begin();
    evaluator.finish(&mut out, 0, &mut Vec::new()).expect("a result");
    out.finish(1);
    read_value(out.take().row(0), result.column(0), &call.ty)
}

#[test]
fn examples_give_what_they_say() {
    for def in AGGREGATES {
        for example in def.examples {
            let (call, args) = read(def, example.call);
            for retracts in [false, true] {
                let call = AggregateCall { retracts, ..call.clone() };
                let result = show(&evaluate(&call, &args, example.rows));
                assert_eq!(result, example.result, "{} over {:?}", example.call, example.rows);
            }
        }
        assert!(def.doc.ends_with('.') && !def.examples.is_empty(), "{}", def.name);
    }
    assert!(AGGREGATES.is_sorted_by_key(|def| def.name));
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = AGGREGATES.iter().flat_map(AggregateDef::names).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    let scalar = names.iter().filter(|name| crate::builtin::lookup(name).is_some());
    assert_eq!(scalar.collect::<Vec<_>>(), Vec::<&&str>::new());
}

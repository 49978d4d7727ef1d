//! Sums, counts and extremes over random values against plain arithmetic: in one go, in pieces
//! that are merged, and after values were taken back.

use std::sync::Arc;

use flow_ir::row::{RowLayout, VarHeap, push_value, read_value};
use flow_ir::types::DataType;
use flow_ir::value::Value;
use proptest::prelude::*;

use super::*;

/// Accumulators in a list.
struct Memory {
    layout: Arc<RowLayout>,
    words: Vec<Vec<u64>>,
    heap: VarHeap,
}

impl Memory {
    fn new(types: Vec<Type>, groups: usize) -> Self {
        let layout = Arc::new(RowLayout::new(types));
        let words = vec![vec![0; layout.fixed_words()]; groups];
        let mut memory = Self { layout, words, heap: VarHeap::default() };
        for group in 0..groups {
            memory.accumulators(group).clear();
        }
        memory
    }

    fn batch(&mut self) -> RowBatch {
        let mut out = BatchBuilder::new(self.layout.clone());
        for group in 0..self.words.len() {
            out.begin();
            self.accumulators(group).write(&mut out, 0);
            out.finish(1);
        }
        out.take()
    }
}

impl Accumulators for Memory {
    type Slot = usize;

    fn accumulators(&mut self, slot: usize) -> ValueMut<'_> {
        ValueMut::new(&self.layout, &mut self.words[slot], &mut self.heap)
    }
}

fn call(function: &str, arg: Option<DataType>, retracts: bool) -> AggregateCall {
    let arg_types: Vec<Type> = arg.into_iter().map(Type::nullable).collect();
    let ty = (lookup(function).expect("an aggregate").result)(&arg_types).expect("a type");
    let args = (0..arg_types.len()).collect();
    AggregateCall { retracts, ..AggregateCall::new(function, args, arg_types, ty) }
}

fn batch(ty: &DataType, values: &[(Value, i64)]) -> RowBatch {
    let mut out = BatchBuilder::new(Arc::new(RowLayout::new(vec![Type::nullable(ty.clone())])));
    for (value, weight) in values {
        out.begin();
        push_value(&mut out, 0, value);
        out.finish(*weight);
    }
    out.take()
}

fn finish(call: &AggregateCall, accumulators: RowRef<'_>) -> Result<Value, ErrorCode> {
    let aggregate = instantiate(call).expect("a call");
    let state = RowLayout::new(aggregate.state_types());
    let layout = Arc::new(RowLayout::new(vec![call.ty.clone()]));
    let mut out = BatchBuilder::new(layout.clone());
    out.begin();
    aggregate.finish(accumulators, state.columns(), &mut out, 0)?;
    out.finish(1);
    Ok(read_value(out.take().row(0), layout.column(0), &call.ty))
}

fn partial(call: &AggregateCall, ty: &DataType, values: &[(Value, i64)]) -> RowBatch {
    let aggregate = instantiate(call).expect("a call");
    let mut memory = Memory::new(aggregate.state_types(), 1);
    let rows = batch(ty, values);
    let args: Vec<Column> = call.args.iter().map(|i| rows.layout().column(*i)).collect();
    let picks: Vec<u32> = (0..rows.len() as u32).collect();
    let slots = vec![0; rows.len()];
    let input = Input { rows: &rows, args: &args, filter: None };
    aggregate.add(&mut memory, 0, &slots, &picks, input);
    memory.batch()
}

fn evaluate(
    call: &AggregateCall,
    ty: &DataType,
    values: &[(Value, i64)],
) -> Result<Value, ErrorCode> {
    finish(call, partial(call, ty, values).row(0))
}

/// The result over the pieces, each aggregated alone and then merged.
fn in_pieces(
    call: &AggregateCall,
    ty: &DataType,
    pieces: &[&[(Value, i64)]],
) -> Result<Value, ErrorCode> {
    let aggregate = instantiate(call).expect("a call");
    let mut memory = Memory::new(aggregate.state_types(), 1);
    for piece in pieces {
        let from = partial(call, ty, piece);
        let columns = from.layout().columns().to_vec();
        aggregate.merge(&mut memory, 0, &[0], &[0], &from, &columns);
    }
    finish(call, memory.batch().row(0))
}

#[test]
fn types_that_make_no_sense_are_refused() {
    let result = |name: &str, args: &[Type]| (lookup(name).expect("an aggregate").result)(args);
    let text = Type::nullable(DataType::String);
    assert_eq!(
        result("sum", std::slice::from_ref(&text)),
        Err("SUM takes a number or interval, not STRING".into())
    );
    assert!(result("AVG", &[text.clone(), text.clone()]).is_err());
    assert!(result("MIN", &[]).is_err());
    assert_eq!(result("max", std::slice::from_ref(&text)), Ok(text.clone()));
    let decimal = Type::not_null(DataType::Decimal { precision: 10, scale: 2 });
    let of = |p, s| Ok(Type::nullable(DataType::Decimal { precision: p, scale: s }));
    assert_eq!(result("SUM", std::slice::from_ref(&decimal)), of(38, 2));
    assert_eq!(result("AVG", &[decimal]), of(38, 6));
    assert!(lookup("MAXIMUM").is_none());
    assert_eq!(lookup("string_agg").map(|def| def.name), Some("LISTAGG"));
    let other = AggregateCall { ty: text, ..call("SUM", Some(DataType::Int), false) };
    assert!(instantiate(&other).is_err());
}

#[test]
fn sums_out_of_range_say_so() {
    let big = call("SUM", Some(DataType::BigInt), true);
    let over = [(Value::Int(i64::MAX), 2)];
    assert_eq!(evaluate(&big, &DataType::BigInt, &over), Err(ErrorCode::Overflow));
    let back = [(Value::Int(i64::MAX), 2), (Value::Int(i64::MAX), -1)];
    assert_eq!(evaluate(&big, &DataType::BigInt, &back), Ok(Value::Int(i64::MAX)));
    let ty = DataType::Decimal { precision: 38, scale: 0 };
    let decimal = call("SUM", Some(ty.clone()), true);
    let most = 10i128.pow(38) - 1;
    let over = [(Value::Decimal(most), 3)];
    assert_eq!(evaluate(&decimal, &ty, &over), Err(ErrorCode::Overflow));
    let back = [(Value::Decimal(most), 3), (Value::Decimal(most), -2)];
    assert_eq!(evaluate(&decimal, &ty, &back), Ok(Value::Decimal(most)));
    let average = call("AVG", Some(ty.clone()), true);
    assert_eq!(evaluate(&average, &ty, &over), Err(ErrorCode::Overflow), "six digits more");
}

#[test]
fn multisets_are_wanted_by_distinct_and_by_extremes_that_take_back() {
    let max = call("MAX", Some(DataType::Int), true);
    assert_eq!(multiset(&max), Some(Multiset::Last));
    assert_eq!(multiset(&call("MIN", Some(DataType::Int), true)), Some(Multiset::First));
    assert!(!is_multiset(&call("MAX", Some(DataType::Int), false)));
    assert!(!is_multiset(&AggregateCall { distinct: true, retracts: false, ..max }));
    let sum = call("SUM", Some(DataType::Int), false);
    assert_eq!(multiset(&AggregateCall { distinct: true, ..sum }), Some(Multiset::Distinct));
}

/// A type with a strategy for its values.
fn typed() -> impl Strategy<Value = (DataType, Vec<Value>)> {
    let row: Arc<[flow_ir::types::Field]> = Arc::new([
        flow_ir::types::Field::new("a", Type::nullable(DataType::Int)),
        flow_ir::types::Field::new("b", Type::nullable(DataType::String)),
    ]);
    let list = |value: BoxedStrategy<Value>| {
        let value = prop_oneof![1 => Just(Value::Null), 5 => value];
        prop::collection::vec(value, 0..12)
    };
    let of = move |ty: DataType, value: BoxedStrategy<Value>| {
        list(value).prop_map(move |values| (ty.clone(), values)).boxed()
    };
    let small = (-3i32..3).prop_map(i64::from);
    prop_oneof![
        of(DataType::Int, any::<i32>().prop_map(|v| Value::Int(v.into())).boxed()),
        of(DataType::BigInt, any::<i64>().prop_map(Value::Int).boxed()),
        of(DataType::Double, any::<f64>().prop_map(Value::Float).boxed()),
        of(DataType::Double, (-9..9).prop_map(|v| Value::Float(f64::from(v))).boxed()),
        of(
            DataType::Decimal { precision: 12, scale: 2 },
            (-999_999i128..999_999).prop_map(Value::Decimal).boxed()
        ),
        of(
            DataType::Decimal { precision: 30, scale: 8 },
            any::<i64>().prop_map(|v| Value::Decimal(i128::from(v) * 977)).boxed()
        ),
        of(DataType::String, "[a-c\0]{0,3}".prop_map(Value::String).boxed()),
        of(DataType::Uuid, any::<u128>().prop_map(Value::Uuid).boxed()),
        of(
            DataType::Interval,
            (small, any::<i64>())
                .prop_map(|(months, micros)| Value::Interval { months, micros })
                .boxed()
        ),
        of(
            DataType::Row(row),
            (0i64..3, "[a-b]{0,2}")
                .prop_map(|(a, b)| Value::Row(vec![Value::Int(a), Value::String(b)]))
                .boxed()
        ),
    ]
}

/// MIN or MAX by key bytes.
fn extreme(ty: &DataType, values: &[Value], max: bool) -> Value {
    let ty = Type::nullable(ty.clone());
    let key = |v: &&Value| flow_ir::row::KeyEncoder::value_bytes(v, &ty);
    let values = values.iter().filter(|v| !v.is_null());
    let found = if max { values.max_by_key(key) } else { values.min_by_key(key) };
    found.cloned().unwrap_or(Value::Null)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn extremes_are_the_first_and_last_by_key_bytes((ty, values) in typed(), cut in 0usize..12) {
        let rows: Vec<(Value, i64)> = values.iter().map(|v| (v.clone(), 1)).collect();
        let (head, tail) = rows.split_at(cut.min(rows.len()));
        for (name, max) in [("MIN", false), ("MAX", true)] {
            let call = call(name, Some(ty.clone()), false);
            let expected = extreme(&ty, &values, max);
            prop_assert_eq!(evaluate(&call, &ty, &rows), Ok(expected.clone()));
            prop_assert_eq!(in_pieces(&call, &ty, &[head, tail]), Ok(expected));
        }
    }

    #[test]
    fn sums_and_counts_are_exact_in_pieces_and_taken_back(
        values in prop::collection::vec(prop::option::weighted(0.8, any::<i32>()), 0..16),
        taken in prop::collection::vec(any::<bool>(), 16), cut in 0usize..24,
    ) {
        let value = |v: &Option<i32>| v.map_or(Value::Null, |v| Value::Int(v.into()));
        let mut rows: Vec<(Value, i64)> = values.iter().map(|v| (value(v), 1)).collect();
        let kept: Vec<i64> = values.iter().zip(&taken).filter(|(_, taken)| !**taken)
            .filter_map(|(v, _)| v.map(i64::from)).collect();
        let back = values.iter().zip(&taken).filter(|(_, taken)| **taken);
        rows.extend(back.map(|(v, _)| (value(v), -1)));
        let (head, tail) = rows.split_at(cut.min(rows.len()));
        let total: i64 = kept.iter().sum();
        let some = |v: Value| if kept.is_empty() { Value::Null } else { v };
        let expected = [
            ("COUNT", Value::Int(kept.len() as i64)),
            ("SUM", some(Value::Int(total))),
            ("AVG", some(Value::Float(total as f64 / kept.len() as f64))),
        ];
        for (name, expected) in expected {
            let call = call(name, Some(DataType::Int), true);
            prop_assert_eq!(evaluate(&call, &DataType::Int, &rows), Ok(expected.clone()));
            prop_assert_eq!(in_pieces(&call, &DataType::Int, &[tail, head]), Ok(expected));
        }
    }

    #[test]
    fn sums_of_any_number_type_do_not_depend_on_order_or_cut(
        (ty, values) in typed(), weights in prop::collection::vec(-3i64..4, 12), cut in 0usize..12,
    ) {
        prop_assume!(ty.is_numeric());
        let rows: Vec<(Value, i64)> = values.into_iter().zip(weights).collect();
        let mut reversed = rows.clone();
        reversed.reverse();
        let (head, tail) = rows.split_at(cut.min(rows.len()));
        for name in ["SUM", "AVG"] {
            let call = call(name, Some(ty.clone()), true);
            let whole = evaluate(&call, &ty, &rows);
            prop_assert_eq!(&evaluate(&call, &ty, &reversed), &whole);
            prop_assert_eq!(&in_pieces(&call, &ty, &[tail, head]), &whole);
            let undo: Vec<_> = rows.iter().map(|(v, w)| (v.clone(), -w)).collect();
            prop_assert_eq!(in_pieces(&call, &ty, &[&rows, &undo]), Ok(Value::Null));
        }
    }
}

#[test]
fn values_that_are_there_more_often_than_fits_are_refused_and_can_be_taken_back() {
    let often = 1_000_000_000_000;
    let names = [
        ("ARRAY_AGG", DataType::BigInt, Value::Int(7)),
        ("LISTAGG", DataType::String, Value::String(String::new())),
        ("JSON_AGG", DataType::BigInt, Value::Int(7)),
    ];
    for (name, ty, value) in names {
        let call = call(name, Some(ty.clone()), true);
        let rows = batch(&ty, &[(value, 1)]);
        let mut all = Evaluator::new(&[call.clone()], rows.layout()).expect("a call");
        let mut result = |weight| {
            all.add(rows.row(0), weight).expect("a row");
            let mut out = BatchBuilder::new(Arc::new(RowLayout::new(vec![call.ty.clone()])));
            let mut errors = Vec::new();
            out.begin();
            all.finish(&mut out, 0, &mut errors).expect("rows of the layout");
            out.finish(1);
            (out.take().row(0).is_null(out.layout().column(0)), errors)
        };
        assert_eq!(result(often), (true, vec![ErrorCode::Overflow]), "{name}");
        assert_eq!(result(1 - often), (false, Vec::new()), "{name}");
    }
    // The last value of a key is one, however often it is there.
    let types = vec![Type::nullable(DataType::BigInt); 2];
    let ty = (lookup("MAP_AGG").expect("an aggregate").result)(&types).expect("a type");
    let call =
        AggregateCall { retracts: true, ..AggregateCall::new("MAP_AGG", vec![0, 0], types, ty) };
    let rows = batch(&DataType::BigInt, &[(Value::Int(7), 1)]);
    let mut all = Evaluator::new(&[call.clone()], rows.layout()).expect("a call");
    all.add(rows.row(0), often).expect("a row");
    let mut out = BatchBuilder::new(Arc::new(RowLayout::new(vec![call.ty.clone()])));
    out.begin();
    all.finish(&mut out, 0, &mut Vec::new()).expect("rows of the layout");
    out.finish(1);
    let shown = read_value(out.take().row(0), out.layout().column(0), &call.ty);
    assert_eq!(shown, Value::Map(vec![(Value::Int(7), Value::Int(7))]));
}

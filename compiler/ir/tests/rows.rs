//! Rows and key bytes over random types and values: what is written comes back, key bytes order as
//! values do and are reversible, and no bytes that `verify` has not accepted are relied on.

use std::cmp::Ordering;
use std::sync::Arc;

use flow_ir::row::{
    BatchBuilder, KeyBatch, KeyDecoder, KeyEncoder, RowBatch, RowLayout, RowRef, ValueMut, VarHeap,
    push_value, read_value,
};
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use proptest::prelude::*;

/// A type and two of its values, perhaps NULL.
type Pair = (Type, Value, Value);

fn scalar() -> BoxedStrategy<(DataType, BoxedStrategy<Value>)> {
    let int = |ty: DataType, low: i64, high: i64| {
        (Just(ty), Just((low..=high).prop_map(Value::Int).boxed()))
    };
    let float = prop_oneof![
        any::<f64>(),
        Just(0.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY)
    ];
    let digits = |n: u32| -10i128.pow(n) + 1..10i128.pow(n);
    prop_oneof![
        (Just(DataType::Boolean), Just(any::<bool>().prop_map(Value::Boolean).boxed())),
        int(DataType::TinyInt, -128, 127),
        int(DataType::BigInt, i64::MIN, i64::MAX),
        (Just(DataType::Double), Just(float.prop_map(Value::Float).boxed())),
        (
            Just(DataType::Decimal { precision: 9, scale: 2 }),
            Just(digits(9).prop_map(Value::Decimal).boxed())
        ),
        (
            Just(DataType::Decimal { precision: 38, scale: 5 }),
            Just(digits(38).prop_map(Value::Decimal).boxed())
        ),
        (Just(DataType::String), Just("[a\u{0}é]{0,9}".prop_map(Value::String).boxed())),
        (
            Just(DataType::Bytes),
            Just(prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::Bytes).boxed())
        ),
        (Just(DataType::Date), Just(any::<i32>().prop_map(Value::Date).boxed())),
        (
            Just(DataType::TimestampLtz { precision: 3 }),
            Just(any::<i64>().prop_map(Value::TimestampLtz).boxed())
        ),
        (
            Just(DataType::Interval),
            Just(
                any::<(i64, i64)>()
                    .prop_map(|(months, micros)| Value::Interval { months, micros })
                    .boxed()
            )
        ),
        (Just(DataType::Uuid), Just(any::<u128>().prop_map(Value::Uuid).boxed())),
    ]
    .boxed()
}

fn typed() -> BoxedStrategy<(DataType, BoxedStrategy<Value>)> {
    scalar()
        .prop_recursive(3, 12, 3, |inner| {
            let array = inner.clone().prop_map(|(item, values)| {
                let values = prop::collection::vec(nullable(values), 0..4);
                let ty = DataType::Array(Box::new(Type::nullable(item)));
                (ty, values.prop_map(Value::Array).boxed())
            });
            let row = prop::collection::vec(inner, 1..4).prop_map(|fields| {
                let named = fields.iter().enumerate();
                let named = named
                    .map(|(i, (ty, _))| Field::new(format!("f{i}"), Type::nullable(ty.clone())));
                let ty = DataType::Row(named.collect());
                let values: Vec<_> = fields.into_iter().map(|(_, v)| nullable(v)).collect();
                (ty, values.prop_map(Value::Row).boxed())
            });
            prop_oneof![array, row]
        })
        .boxed()
}

fn nullable(values: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 5 => values].boxed()
}

fn pairs() -> BoxedStrategy<Vec<Pair>> {
    let pair = typed().prop_flat_map(|(ty, values)| {
        let values = nullable(values);
        (Just(Type::nullable(ty)), values.clone(), values)
    });
    prop::collection::vec(pair, 1..6).boxed()
}

fn batch(types: &[Type], rows: &[Vec<Value>]) -> RowBatch {
    let mut out = BatchBuilder::new(Arc::new(RowLayout::new(types.to_vec())));
    for row in rows {
        out.begin();
        for (column, value) in row.iter().enumerate() {
            push_value(&mut out, column, value);
        }
        out.finish(1);
    }
    out.take()
}

fn values(rows: &RowBatch, index: usize) -> Vec<Value> {
    let layout = rows.layout();
    let column = |(i, ty)| read_value(rows.row(index), layout.column(i), ty);
    layout.types().iter().enumerate().map(column).collect()
}

fn split(pairs: &[Pair]) -> (Vec<Type>, Vec<Value>, Vec<Value>) {
    let types = pairs.iter().map(|p| p.0.clone()).collect();
    let side = |f: fn(&Pair) -> &Value| pairs.iter().map(|p| f(p).clone()).collect();
    (types, side(|p| &p.1), side(|p| &p.2))
}

/// The order of values as the design has it: NULL last, NaN above all numbers.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) | (Value::TimestampLtz(a), Value::TimestampLtz(b)) => {
            a.cmp(b)
        }
        (Value::Float(a), Value::Float(b)) => match (a.is_nan(), b.is_nan()) {
            (false, false) => a.partial_cmp(b).expect("neither is NaN"),
            (a, b) => a.cmp(&b),
        },
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
        (Value::Interval { months, micros }, Value::Interval { months: m, micros: u }) => {
            (months, micros).cmp(&(m, u))
        }
        (Value::Array(a), Value::Array(b)) => lexicographic(a, b),
        (Value::Row(a), Value::Row(b)) => lexicographic(a, b),
        (a, b) => panic!("{a:?} and {b:?} are of different types"),
    }
}

fn lexicographic(a: &[Value], b: &[Value]) -> Ordering {
    let differing = a.iter().zip(b).map(|(a, b)| order(a, b)).find(|o| o.is_ne());
    differing.unwrap_or(a.len().cmp(&b.len()))
}

proptest! {
    #[test]
    fn rows_come_back(pairs in pairs()) {
        let (types, first, second) = split(&pairs);
        let rows = batch(&types, &[first.clone(), second.clone(), first.clone()]);
        prop_assert_eq!(values(&rows, 0), first.clone());
        prop_assert_eq!(values(&rows, 1), second);
        prop_assert_eq!(rows.row(0).words(), rows.row(2).words(), "equal values, equal words");
        prop_assert!(rows.rows().all(|row| row.verify(rows.layout())));
    }

    #[test]
    fn key_bytes_order_as_values_do_and_come_back(pairs in pairs()) {
        let (types, first, second) = split(&pairs);
        let rows = batch(&types, &[first.clone(), second.clone()]);
        let columns: Vec<usize> = (0..types.len()).collect();
        let mut keys = KeyBatch::default();
        KeyEncoder::new(rows.layout(), &columns).encode(&rows, &mut keys);
        prop_assert_eq!(keys.key(0).cmp(keys.key(1)), lexicographic(&first, &second));
        let mut out = BatchBuilder::new(rows.layout().clone());
        let decoder = KeyDecoder::new(types);
        for index in 0..2 {
            out.begin();
            prop_assert!(decoder.decode(keys.key(index), &mut out, 0));
            out.finish(1);
        }
        let back = out.take();
        prop_assert_eq!(values(&back, 0), first);
        prop_assert_eq!(values(&back, 1), second);
    }

    #[test]
    fn keys_that_are_cut_or_altered_are_refused_or_are_other_keys(
        pairs in pairs(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let (types, first, _) = split(&pairs);
        let rows = batch(&types, &[first]);
        let columns: Vec<usize> = (0..types.len()).collect();
        let mut key = Vec::new();
        KeyEncoder::new(rows.layout(), &columns).append(rows.row(0), &mut key);
        let decoder = KeyDecoder::new(types);
        let mut out = BatchBuilder::new(rows.layout().clone());
        out.begin();
        let cut = at.index(key.len());
        prop_assert!(!decoder.decode(&key[..cut], &mut out, 0), "cut at {cut}");
        out.abandon();
        key[cut] ^= flip;
        out.begin();
        if decoder.decode(&key, &mut out, 0) {
            out.finish(1);
        } else {
            out.abandon();
        }
    }

    /// Whatever the bytes, a row that `verify` accepts can be read, and what it does not accept is
    /// refused without a panic.
    #[test]
    fn altered_rows_are_refused_or_readable(
        pairs in pairs(), at in any::<prop::sample::Index>(), bit in 0u32..64,
    ) {
        let (types, first, _) = split(&pairs);
        let rows = batch(&types, &[first]);
        let mut words = rows.row(0).words().to_vec();
        let at = at.index(words.len());
        words[at] ^= 1 << bit;
        let row = RowRef::new(&words);
        if row.verify(rows.layout()) {
            for (i, ty) in types.iter().enumerate() {
                read_value(row, rows.layout().column(i), ty);
            }
        }
    }

    #[test]
    fn values_in_place_are_the_row_that_was_set(pairs in pairs()) {
        let (types, first, second) = split(&pairs);
        let rows = batch(&types, &[first, second.clone()]);
        let layout = rows.layout().clone();
        let (mut words, mut heap) = (vec![0; layout.fixed_words()], VarHeap::default());
        let mut value = ValueMut::new(&layout, &mut words, &mut heap);
        value.clear();
        value.set_row(rows.row(0));
        value.set_row(rows.row(1));
        let mut out = BatchBuilder::new(layout.clone());
        out.begin();
        value.write(&mut out, 0);
        out.finish(1);
        prop_assert_eq!(values(&out.take(), 0), second);
    }
}

#[test]
fn maps_are_sorted_and_have_each_key_once() {
    let (text, int) = (Type::not_null(DataType::String), Type::nullable(DataType::BigInt));
    let types = [Type::nullable(DataType::Map(Box::new(text), Box::new(int)))];
    let key = |k: &str| Value::String(k.into());
    let entries = vec![
        (key("b"), Value::Int(1)),
        (key("a"), Value::Null),
        (key("ab"), Value::Int(3)),
        (key("b"), Value::Int(4)),
    ];
    let rows = batch(&types, &[vec![Value::Map(entries)]]);
    let Value::Map(stored) = &values(&rows, 0)[0] else { panic!("a map comes back as a map") };
    let keys: Vec<&Value> = stored.iter().map(|(k, _)| k).collect();
    assert_eq!(keys, [&key("a"), &key("ab"), &key("b")]);
    assert!(rows.row(0).verify(rows.layout()));
}

#[test]
fn weights_appear_with_the_first_that_is_not_one() {
    let mut out = BatchBuilder::new(Arc::new(RowLayout::new(vec![])));
    for weight in [1, 1] {
        out.begin();
        out.finish(weight);
    }
    assert_eq!(out.take().weights(), None);
    for weight in [1, -1, 2] {
        out.begin();
        out.finish(weight);
    }
    let rows = out.take();
    assert_eq!(rows.weights(), Some(&[1, -1, 2][..]));
    let mut again = BatchBuilder::new(rows.layout().clone());
    again.push_batch(&rows);
    assert_eq!(again.take().weights(), rows.weights());
}

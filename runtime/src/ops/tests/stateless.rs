//! Map, Late and Union.

use flow_ir::aggregate::WindowSpec;
use flow_ir::ids::StreamId;
use flow_ir::kernel::KernelSpec;
use flow_ir::physical::{Changelog, Late, LateRule, Map, PhysicalOp, Union, Unnest};
use flow_ir::scalar::{ArithOp, CompareOp, Inst, ScalarOp, ScalarProgram};
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use proptest::prelude::*;

use super::harness::*;

/// `column a ≤ column b` over rows of these types, with the first `width` columns as output.
pub(super) fn at_most(input: &[Type], a: usize, b: usize, width: usize) -> KernelSpec {
    let mut program = ScalarProgram::new(input.to_vec());
    let mut push = |op, ty: Type| program.push(Inst { op, ty, guard: None, site: None });
    let columns: Vec<_> = input
        .iter()
        .enumerate()
        .map(|(i, ty)| push(ScalarOp::Column(i as u32), ty.clone()))
        .collect();
    let compare = ScalarOp::Compare(CompareOp::Le, columns[a], columns[b]);
    let filter = push(compare, null(DataType::Boolean));
    KernelSpec { program, filter: Some(filter), outputs: columns[..width].to_vec() }
}

fn pairs() -> impl Strategy<Value = Vec<(Option<i64>, Option<i64>, i64)>> {
    let value = || prop::option::weighted(0.8, -5i64..5);
    prop::collection::vec((value(), value(), prop_oneof![Just(1i64), Just(-1), Just(3)]), 0..20)
}

#[test]
pub(super) fn map_filters_and_projects() {
    let types = [null(DataType::BigInt), null(DataType::BigInt)];
    let mut kernel = at_most(&types, 0, 1, 2);
    let (a, b) = (kernel.outputs[0], kernel.outputs[1]);
    let sum = Inst {
        op: ScalarOp::Arith(ArithOp::Add, a, b),
        ty: null(DataType::BigInt),
        guard: None,
        site: None,
    };
    kernel.outputs = vec![kernel.program.push(sum), a];
    let mut graph = Graph::new();
    let source = graph.source(&types, Changelog::Retract);
    let output = kernel.output_types();
    let map = PhysicalOp::Map(Map { kernel });
    graph.add(map, &[(source, None)], output, Changelog::Retract);
    proptest!(ProptestConfig::with_cases(256), |(
        rows in pairs(), sizes in prop::collection::vec(1usize..6, 0..8),
    )| {
        let mut expected = Net::new();
        let mut events = Vec::new();
        for (a, b, weight) in rows {
            if let (Some(a), Some(b)) = (a, b) && a <= b {
                add(&mut expected, &[Value::Int(a + b), Value::Int(a)], weight);
            }
            events.push(Event { port: 0, row: vec![int(a), int(b)], weight, mark: i64::MIN });
        }
        assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected);
    });
}

#[test]
pub(super) fn unnest_makes_a_row_per_element() {
    let array = |element: DataType| null(DataType::Array(Box::new(null(element))));
    let types = [null(DataType::BigInt), array(DataType::String), array(DataType::BigInt)];
    let more = [DataType::String, DataType::BigInt, DataType::BigInt].map(null);
    let output: Vec<Type> = types.iter().cloned().chain(more).collect();
    let texts = || prop::collection::vec(prop::option::weighted(0.8, "[ab]{0,2}"), 0..4);
    let numbers = || prop::collection::vec(prop::option::weighted(0.8, -5i64..5), 0..4);
    let row =
        (0i64..3, prop::option::weighted(0.8, texts()), prop::option::weighted(0.8, numbers()));
    let rows = prop::collection::vec((row, prop_oneof![Just(1i64), Just(-1), Just(3)]), 0..12);
    proptest!(ProptestConfig::with_cases(128), |(
        rows in rows, outer in any::<bool>(), sizes in prop::collection::vec(1usize..6, 0..8),
    )| {
        let mut graph = Graph::new();
        let source = graph.source(&types, Changelog::Retract);
        let op = Unnest { columns: vec![1, 2], ordinality: true, outer };
        let op = PhysicalOp::Unnest(op);
        graph.add(op, &[(source, None)], output.clone(), Changelog::Retract);
        let (mut expected, mut events) = (Net::new(), Vec::new());
        for ((id, texts, numbers), weight) in rows {
            let text = |t: &Option<String>| t.clone().map_or(Value::Null, Value::String);
            let texts: Option<Vec<Value>> = texts.map(|all| all.iter().map(text).collect());
            let numbers: Option<Vec<Value>> = numbers.map(|all| all.into_iter().map(int).collect());
            let array = |all: &Option<Vec<Value>>| all.clone().map_or(Value::Null, Value::Array);
            let row = vec![Value::Int(id), array(&texts), array(&numbers)];
            let at = |all: &Option<Vec<Value>>, i: usize| {
                all.as_ref().and_then(|all| all.get(i).cloned()).unwrap_or(Value::Null)
            };
            let length = |all: &Option<Vec<Value>>| all.as_ref().map_or(0, Vec::len);
            let longest = length(&texts).max(length(&numbers));
            for i in 0..longest {
                let made = [at(&texts, i), at(&numbers, i), Value::Int(i as i64 + 1)];
                add(&mut expected, &[row.clone(), made.to_vec()].concat(), weight);
            }
            if longest == 0 && outer {
                add(&mut expected, &[row.clone(), vec![Value::Null; 3]].concat(), weight);
            }
            events.push(Event { port: 0, row, weight, mark: i64::MIN });
        }
        assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected);
    });
}

#[test]
fn rows_that_fail_are_reported_and_left_out() {
    let types = [not_null(DataType::BigInt), not_null(DataType::BigInt)];
    let mut kernel = at_most(&types, 0, 0, 2);
    let op = ScalarOp::Arith(ArithOp::Div, kernel.outputs[0], kernel.outputs[1]);
    let inst = Inst { op, ty: null(DataType::BigInt), guard: None, site: None };
    kernel.outputs = vec![kernel.program.push(inst)];
    let mut graph = Graph::new();
    let source = graph.source(&types, Changelog::Append);
    let output = kernel.output_types();
    graph.add(PhysicalOp::Map(Map { kernel }), &[(source, None)], output, Changelog::Append);
    let event = |a, b| Event {
        port: 0,
        row: vec![Value::Int(a), Value::Int(b)],
        weight: 1,
        mark: i64::MIN,
    };
    let events = [event(6, 3), event(1, 0), event(9, 3)];
    let mut expected = Net::new();
    add(&mut expected, &[Value::Int(2)], 1);
    add(&mut expected, &[Value::Int(3)], 1);
    for run in assert_law(&graph.graph, &events, Spread::Rows, &[2], &expected) {
        assert_eq!(run.failures, 1);
    }
}

#[test]
pub(super) fn late_leaves_out_late_rows() {
    let window = WindowSpec::Hop { size: 30, slide: 10, offset: 0 };
    let rules = [
        LateRule::Rows,
        LateRule::Windows { window, lateness: 0 },
        LateRule::Windows { window, lateness: 15 },
        LateRule::Sessions { lateness: 15 },
        LateRule::SessionChanges { gap: 20, lateness: 15 },
    ];
    let time = null(DataType::Timestamp { precision: 3 });
    let number = not_null(DataType::BigInt);
    let types = [time, number.clone(), number];
    let row = (
        prop::option::weighted(0.9, -40i64..100),
        prop_oneof![
            1 => Just(i64::MIN),
            6 => -40i64..100,
        ],
        any::<bool>(),
    );
    proptest!(ProptestConfig::with_cases(256), |(
        rows in prop::collection::vec(row, 0..20), rule in 0usize..5,
        sizes in prop::collection::vec(1usize..6, 0..8),
    )| {
        let rule = rules[rule];
        let mut graph = Graph::new();
        let of_changes = matches!(rule, LateRule::SessionChanges { .. });
        let changelog = if of_changes { Changelog::Retract } else { Changelog::Append };
        let source = graph.source(&types, changelog);
        let stream = StreamId(0);
        let late = Late { stream, time: 0, watermark: 1, position: 2, rule, site: None };
        graph.add(PhysicalOp::Late(late), &[(source, None)], types.to_vec(), changelog);
        let (mut expected, mut events, mut late, mut nulls) = (Net::new(), Vec::new(), 0, 0);
        for (position, (ts, w, goes)) in rows.into_iter().enumerate() {
            let time = ts.map_or(Value::Null, Value::Timestamp);
            let row = vec![time, Value::Int(w), Value::Int(position as i64)];
            let weight = if goes && of_changes { -1 } else { 1 };
            let is_late = |ts: i64| match rule {
                LateRule::Rows => ts < w,
                LateRule::Sessions { lateness } => ts + lateness < w,
                LateRule::SessionChanges { gap, lateness } => {
                    ts + lateness + if weight < 0 { gap } else { 0 } < w
                }
                LateRule::Windows { lateness, .. } => {
                    let last = ts.div_euclid(10) * 10 + 30;
                    w > i64::MIN && last + lateness <= w
                }
            };
            match ts {
                None => nulls += 1,
                Some(ts) if is_late(ts) => late += 1,
                Some(_) => add(&mut expected, &row, weight),
            }
            events.push(Event { port: 0, row, weight, mark: i64::MIN });
        }
        for run in assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected) {
            prop_assert_eq!(run.late.len(), late);
            prop_assert_eq!(run.failures, nulls);
        }
    });
}

#[test]
pub(super) fn unions_pass_everything() {
    let types = [null(DataType::BigInt)];
    let mut graph = Graph::new();
    let sources = [(); 3].map(|()| graph.source(&types, Changelog::Retract));
    let inputs = sources.map(|source| (source, None));
    let union = PhysicalOp::Union(Union { inputs: 3 });
    graph.add(union, &inputs, types.to_vec(), Changelog::Retract);
    let row = (0usize..3, prop::option::of(0i64..4), prop_oneof![Just(1i64), Just(-1)]);
    proptest!(ProptestConfig::with_cases(256), |(
        rows in prop::collection::vec(row, 0..20),
        sizes in prop::collection::vec(1usize..6, 0..8),
    )| {
        let (mut expected, mut events) = (Net::new(), Vec::new());
        for (port, value, weight) in rows {
            add(&mut expected, &[int(value)], weight);
            events.push(Event { port, row: vec![int(value)], weight, mark: i64::MIN });
        }
        assert_law(&graph.graph, &events, Spread::Rows, &sizes, &expected);
    });
}

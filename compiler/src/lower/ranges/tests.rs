//! Ranges of conditions, and that they hold every row that the condition keeps.

use flow_ir::ids::Reg;
use flow_ir::span::Span;
use flow_stdlib::builtin::lookup;
use flow_stdlib::interp;

use super::*;
use crate::scalar::{Columns, Program};

fn column(at: usize) -> Expr {
    Expr::column(at, types()[at].clone(), Span::default())
}

fn literal(value: Value, data: DataType) -> Expr {
    let nullable = value.is_null();
    Expr::literal(value, Type { data, nullable }, Span::default())
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let given: Vec<Type> = args.iter().map(|e| e.ty.clone()).collect();
    let resolved = lookup(name).expect("a builtin").resolve(&given).expect("an overload");
    let cast = |(arg, ty): (Expr, &Type)| match arg.ty.data == ty.data {
        true => arg,
        false => cast(arg, ty.data.clone()),
    };
    let args = args.into_iter().zip(&resolved.arg_types).map(cast).collect();
    let kind = ExprKind::Call { function: name.into(), overload: resolved.overload, args };
    Expr { kind, ty: resolved.ty, span: Span::default() }
}

fn cast(arg: Expr, data: DataType) -> Expr {
    let ty = Type { data, nullable: arg.ty.nullable };
    Expr { kind: ExprKind::Cast { arg: Box::new(arg), lenient: false }, ty, span: Span::default() }
}

fn boolean(kind: ExprKind) -> Expr {
    Expr { kind, ty: Type::nullable(DataType::Boolean), span: Span::default() }
}

fn and(args: Vec<Expr>) -> Expr {
    boolean(ExprKind::And(args))
}

fn or(args: Vec<Expr>) -> Expr {
    boolean(ExprKind::Or(args))
}

fn int(value: i64) -> Expr {
    literal(Value::Int(value), DataType::BigInt)
}

/// BIGINT a, STRING b, DECIMAL(10, 2) c, TIMESTAMP(3) d, SMALLINT e.
fn types() -> Vec<Type> {
    let decimal = DataType::Decimal { precision: 10, scale: 2 };
    let timestamp = DataType::Timestamp { precision: 3 };
    [DataType::BigInt, DataType::String, decimal, timestamp, DataType::SmallInt]
        .map(Type::nullable)
        .into()
}

/// The key is (a, b); an index is on d, and one on (e, c).
fn orders() -> Vec<Order> {
    let order = |index: Option<&str>, columns: &[usize]| Order {
        index: index.map(str::to_string),
        columns: columns.to_vec(),
    };
    vec![order(None, &[0, 1]), order(Some("by_d"), &[3, 0, 1]), order(Some("by_e"), &[4, 2, 0, 1])]
}

fn of(predicates: &[&Expr]) -> String {
    let range = |range: KeyRange| {
        let index = range.index.map_or(String::new(), |index| format!("{index} "));
        let from = match range.from {
            Bound::Included(value) => format!(" >= {value:?}"),
            Bound::Excluded(value) => format!(" > {value:?}"),
            Bound::Unbounded => String::new(),
        };
        let to = match range.to {
            Bound::Included(value) => format!(" <= {value:?}"),
            Bound::Excluded(value) => format!(" < {value:?}"),
            Bound::Unbounded => String::new(),
        };
        format!("{index}{:?}{from}{to}", range.equal)
    };
    ranges(predicates, &orders(), &types()).into_iter().map(range).collect::<Vec<_>>().join("; ")
}

fn text(value: &str) -> Expr {
    literal(Value::String(value.into()), DataType::String)
}

fn null() -> Expr {
    literal(Value::Null, DataType::BigInt)
}

#[test]
fn equalities_and_a_range_of_the_next_column() {
    let a = || call("=", vec![column(0), int(-5)]);
    assert_eq!(of(&[&a()]), "[Int(-5)]");
    assert_eq!(of(&[&call("=", vec![int(5), column(0)])]), "[Int(5)]");
    assert_eq!(of(&[&call("<", vec![int(5), column(0)])]), "[] > Int(5)");
    let from = call(">=", vec![column(1), text("b")]);
    let to = call("<", vec![column(1), text("d")]);
    assert_eq!(
        of(&[&and(vec![from.clone(), a(), to])]),
        r#"[Int(-5)] >= String("b") < String("d")"#
    );
    assert_eq!(of(&[&from]), "", "not the first column of any order");
    let both = call("=", vec![column(1), text("b")]);
    assert_eq!(of(&[&and(vec![both, a()])]), r#"[Int(-5), String("b")]"#);
}

#[test]
fn several_values_are_ranges_in_order_each_once() {
    let equal = |value: i64| call("=", vec![column(0), int(value)]);
    let list = or(vec![equal(7), equal(-1), or(vec![equal(7), equal(3)])]);
    assert_eq!(of(&[&list]), "[Int(-1)]; [Int(3)]; [Int(7)]");
    let fewer = or(vec![equal(3), equal(7), equal(9)]);
    assert_eq!(of(&[&and(vec![list.clone(), fewer])]), "[Int(3)]; [Int(7)]");
    let other = or(vec![equal(1), call("=", vec![column(1), text("x")])]);
    assert_eq!(of(&[&other]), "", "of two columns");
    assert_eq!(of(&[&or(vec![equal(1), call(">", vec![column(0), int(5)])])]), "");
    let many: Vec<Expr> = (0..=RANGES_MAX as i64).map(equal).collect();
    assert_eq!(of(&[&or(many.clone())]), "", "too many");
    assert_eq!(of(&[&or(many[1..].to_vec())]).matches(';').count(), RANGES_MAX - 1);
}

#[test]
fn null_is_equal_to_nothing() {
    let equal = |value: Expr| call("=", vec![column(0), value]);
    assert_eq!(of(&[&equal(null())]), "");
    assert_eq!(of(&[&or(vec![equal(null()), equal(int(1))])]), "[Int(1)]");
    assert_eq!(
        of(&[&or(vec![boolean(ExprKind::Literal(Value::Null)), equal(int(1))])]),
        "[Int(1)]"
    );
    assert_eq!(of(&[&call("<", vec![column(0), null()])]), "");
    assert_eq!(of(&[&boolean(ExprKind::IsNull(Box::new(column(0))))]), "[Null]");
    assert_eq!(of(&[&boolean(ExprKind::Not(Box::new(equal(int(1)))))]), "");
    let is_null = boolean(ExprKind::IsNull(Box::new(column(0))));
    assert_eq!(of(&[&or(vec![equal(int(1)), is_null])]), "[Int(1)]; [Null]");
    let distinct = call("IS NOT DISTINCT FROM", vec![column(0), int(1)]);
    assert_eq!(of(&[&distinct]), "[Int(1)]");
}

#[test]
fn texts_that_begin_alike_lie_together() {
    let a = || call("=", vec![column(0), int(1)]);
    let begins = |condition: Expr| of(&[&and(vec![a(), condition])]);
    let like = |pattern: &str| begins(call("LIKE", vec![column(1), text(pattern)]));
    assert_eq!(like("ab%"), r#"[Int(1)] >= String("ab") < String("ac")"#);
    assert_eq!(like("a_b"), r#"[Int(1)] >= String("a") < String("b")"#);
    assert_eq!(like("ab"), r#"[Int(1), String("ab")]"#);
    assert_eq!(like("%b"), "[Int(1)]");
    assert_eq!(like("_"), "[Int(1)]");
    assert_eq!(like(""), r#"[Int(1), String("")]"#);
    let of_text = |text: &str| format!("{:?}", Value::String(text.into()));
    let surrogates = format!("[Int(1)] >= {} < {}", of_text("a\u{d7ff}"), of_text("a\u{e000}"));
    assert_eq!(like("a\u{d7ff}%"), surrogates);
    let last = format!("[Int(1)] >= {} < {}", of_text("a\u{10ffff}"), of_text("b"));
    assert_eq!(like("a\u{10ffff}%"), last);
    assert_eq!(like("\u{10ffff}%"), format!("[Int(1)] >= {}", of_text("\u{10ffff}")));
    let escaped = |pattern: &str| begins(call("LIKE", vec![column(1), text(pattern), text("!")]));
    assert_eq!(escaped("a!%b%"), r#"[Int(1)] >= String("a%b") < String("a%c")"#);
    assert_eq!(escaped("a!%b"), r#"[Int(1), String("a%b")]"#);
    assert_eq!(escaped("a!"), "[Int(1)]", "it is no pattern");
    let starts = |start: &str| begins(call("STARTS_WITH", vec![column(1), text(start)]));
    assert_eq!(starts("a%"), r#"[Int(1)] >= String("a%") < String("a&")"#);
    assert_eq!(starts(""), "[Int(1)]");
    assert_eq!(begins(call("LIKE", vec![text("ab"), column(1)])), "[Int(1)]");
    assert_eq!(begins(call("ILIKE", vec![column(1), text("ab%")])), "[Int(1)]");
    let negated = boolean(ExprKind::Not(Box::new(call("LIKE", vec![column(1), text("a%")]))));
    assert_eq!(begins(negated), "[Int(1)]");
}

#[test]
fn what_cannot_be_leaves_a_range_that_can() {
    let above = call(">", vec![column(0), int(5)]);
    let below = call("<", vec![column(0), int(3)]);
    assert_eq!(of(&[&and(vec![above.clone(), below])]), "[] > Int(5)");
    let at = call("<=", vec![column(0), int(5)]);
    assert_eq!(of(&[&and(vec![at.clone(), above])]), "[] > Int(5)");
    let from = call(">=", vec![column(0), int(5)]);
    assert_eq!(of(&[&and(vec![at, from])]), "[] >= Int(5) <= Int(5)");
    let equal = |value: i64| call("=", vec![column(0), int(value)]);
    assert_eq!(of(&[&and(vec![equal(1), equal(2)])]), "[Int(1)]");
}

#[test]
fn the_tighter_bound_counts() {
    let from = |name: &str, value: i64| call(name, vec![column(0), int(value)]);
    let all = and(vec![from(">", 1), from(">=", 3), from(">", 3), from(">=", -9)]);
    assert_eq!(of(&[&all]), "[] > Int(3)");
    let all = and(vec![from("<", 9), and(vec![from("<=", 4), from("<", 4)]), from("<=", 7)]);
    assert_eq!(of(&[&all]), "[] < Int(4)");
}

#[test]
fn the_order_with_most_equal_columns_serves() {
    let at = Value::Timestamp(-1_000);
    let d = call("=", vec![column(3), literal(at, DataType::Timestamp { precision: 3 })]);
    let a = call("<", vec![column(0), int(3)]);
    assert_eq!(of(&[&and(vec![a.clone(), d])]), "by_d [Timestamp(-1000)] < Int(3)");
    let e = call("=", vec![column(4), literal(Value::Int(4), DataType::SmallInt)]);
    let c = literal(Value::Decimal(-150), DataType::Decimal { precision: 10, scale: 2 });
    let c = call(">", vec![column(2), c]);
    assert_eq!(of(&[&and(vec![e.clone(), c, a.clone()])]), "by_e [Int(4)] > Decimal(-150)");
    let key = call("=", vec![column(0), int(3)]);
    assert_eq!(of(&[&and(vec![e, key])]), "[Int(3)]", "the key comes first");
}

#[test]
fn constants_are_of_the_column_s_type_or_without_loss() {
    let e = |value: i64, data: DataType| {
        let value = literal(Value::Int(value), data);
        of(&[&call("=", vec![column(4), value])])
    };
    assert_eq!(e(-32_768, DataType::Int), "by_e [Int(-32768)]");
    assert_eq!(e(32_768, DataType::Int), "");
    assert_eq!(e(5, DataType::BigInt), "by_e [Int(5)]");
    let narrow = cast(column(0), DataType::Int);
    let five = literal(Value::Int(5), DataType::Int);
    assert_eq!(of(&[&call("=", vec![narrow, five])]), "", "a cast that may fail");
    let double = literal(Value::Float(5.0), DataType::Double);
    assert_eq!(of(&[&call("=", vec![column(0), double])]), "");
    let micros = literal(Value::Timestamp(1), DataType::Timestamp { precision: 6 });
    assert_eq!(of(&[&call(">", vec![column(3), micros])]), "by_d [] > Timestamp(1)");
    let date = cast(column(3), DataType::Date);
    let day = literal(Value::Date(3), DataType::Date);
    assert_eq!(of(&[&call("=", vec![date, day])]), "");
}

#[test]
fn several_readers_share_their_prefixes_or_read_all() {
    let a = |value: i64| call("=", vec![column(0), int(value)]);
    let b = |value: &str| call("=", vec![column(1), text(value)]);
    let one = and(vec![a(1), b("x")]);
    assert_eq!(of(&[&one, &one]), r#"[Int(1), String("x")]"#);
    assert_eq!(of(&[&one, &a(2)]), "[Int(1)]; [Int(2)]");
    assert_eq!(of(&[&one, &and(vec![a(1), b("y")])]).matches("; ").count(), 1);
    assert_eq!(of(&[&one, &b("x")]), "");
    let above = call(">", vec![column(0), int(5)]);
    assert_eq!(of(&[&above, &above]), "[] > Int(5)");
    assert_eq!(of(&[&above, &a(7)]), "");
    assert_eq!(of(&[]), "");
}

/// A row of small values, each also NULL.
fn rows() -> Vec<Vec<Value>> {
    let ints = [Value::Null, Value::Int(-1), Value::Int(0), Value::Int(1), Value::Int(2)];
    let texts = [Value::Null, Value::String(String::new()), Value::String("b".into())];
    let rest = [Value::Decimal(5), Value::Timestamp(-7), Value::Int(1)];
    let mut rows = Vec::new();
    for int in &ints {
        for text in &texts {
            rows.push([&[int.clone(), text.clone()], rest.as_slice()].concat());
        }
    }
    rows
}

/// Whether a condition is TRUE for a row.
fn keeps(condition: &Expr, row: &[Value]) -> bool {
    let mut program = Program::new(types());
    let reg: Reg = program.expr(condition, &Columns::Input);
    let (program, _) = program.finish();
    let value = interp::eval(&program, reg, row, 0).expect("a comparison does not fail");
    value == Value::Boolean(true)
}

fn within(range: &KeyRange, row: &[Value]) -> bool {
    let columns = &[0, 1];
    let bytes = |value: &Value, column: usize| KeyEncoder::value_bytes(value, &types()[column]);
    let prefix = range.equal.iter().zip(columns).all(|(value, &column)| row[column] == *value);
    let Some(&next) = columns.get(range.equal.len()) else { return prefix };
    let of = |bound: &Bound<Value>| bound.as_ref().map(|value| bytes(value, next));
    let (from, to) = (of(&range.from), of(&range.to));
    let key = bytes(&row[next], next);
    prefix && std::ops::RangeBounds::contains(&(from, to), &key)
}

#[test]
fn every_row_that_is_kept_is_in_one_range() {
    let mut atoms = vec![call("=", vec![column(0), null()])];
    for name in ["=", "<", "<=", ">", ">=", "<>"] {
        atoms.extend((-1..=1).map(|value| call(name, vec![column(0), int(value)])));
        atoms.push(call(name, vec![column(1), text("")]));
        atoms.push(call(name, vec![text("a"), column(1)]));
    }
    atoms.extend(["b%", "%", "", "b"].map(|form| call("LIKE", vec![column(1), text(form)])));
    atoms.extend([0, 1].map(|at| boolean(ExprKind::IsNull(Box::new(column(at))))));
    let orders = &orders()[..1];
    let mut ranged = 0;
    for (at, first) in atoms.iter().enumerate() {
        for (other, second) in atoms.iter().enumerate() {
            let third = &atoms[(at * 7 + other) % atoms.len()];
            let pair = vec![first.clone(), second.clone()];
            let either = or(pair.clone());
            for condition in [and(pair), or(vec![either.clone(), third.clone()]), either] {
                let condition = and(vec![condition, third.clone()]);
                let ranges = ranges(&[&condition], orders, &types());
                ranged += usize::from(!ranges.is_empty());
                for row in rows().iter().filter(|row| keeps(&condition, row)) {
                    let holding = ranges.iter().filter(|range| within(range, row)).count();
                    let one = ranges.is_empty() || holding == 1;
                    assert!(one, "{condition:?}\n{ranges:?}\n{row:?}");
                }
            }
        }
    }
    assert!(ranged > 500, "{ranged}");
}

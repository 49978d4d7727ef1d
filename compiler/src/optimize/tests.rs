//! Each pass on a small plan: what it makes of it, and that the plan stays as it was without it.

use std::sync::Arc;

use flow_ir::aggregate::{AggregateCall, WindowSpec};
use flow_ir::decode_plan::{DecodeColumn, Origin};
use flow_ir::expr::{Expr, ExprKind};
use flow_ir::ids::{NodeId, StreamId};
use flow_ir::logical::{
    Aggregate, Emission, Filter, Hidden, Join, JoinClass, Late, LogicalOp, Plan, Project, Scan,
    ScanKind, Sink, Union, Window, explain,
};
use flow_ir::physical::{JoinKind, LateRule, SinkMode, WindowInput};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_stdlib::builtin::lookup;

use super::*;

const AT: Span = Span { file: flow_ir::span::FileId(0), start: 0, end: 0 };

fn bigint() -> Type {
    Type::not_null(DataType::BigInt)
}

fn string() -> Type {
    Type::not_null(DataType::String)
}

fn timestamp() -> Type {
    Type::not_null(DataType::Timestamp { precision: 3 })
}

fn int(value: i64) -> Expr {
    Expr::literal(Value::Int(value), bigint(), AT)
}

fn text(value: &str) -> Expr {
    Expr::literal(Value::String(value.into()), string(), AT)
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let types: Vec<Type> = args.iter().map(|e| e.ty.clone()).collect();
    let resolved = lookup(name).expect("a builtin").resolve(&types).expect("an overload");
    let kind = ExprKind::Call { function: name.into(), overload: resolved.overload, args };
    Expr { kind, ty: resolved.ty, span: AT }
}

fn and(args: Vec<Expr>) -> Expr {
    Expr { kind: ExprKind::And(args), ty: Type::not_null(DataType::Boolean), span: AT }
}

/// A plan under construction.
#[derive(Default)]
struct Builder {
    plan: Plan,
}

impl Builder {
    fn scan(&mut self, name: &str, columns: &[(&str, Type)], hidden: &[Hidden]) -> NodeId {
        let column = |(name, ty): &(&str, Type)| DecodeColumn {
            name: name.to_string(),
            ty: ty.clone(),
            origin: Origin::Value(vec![name.to_string()]),
        };
        let mut columns: Vec<DecodeColumn> = columns.iter().map(column).collect();
        let time = columns.iter().position(|c| c.ty.data.is_timestamp());
        let watermark = time.map(|at| Expr::column(at, columns[at].ty.clone(), AT));
        columns.extend(hidden.iter().map(|h| h.column()));
        let op = Scan {
            stream: StreamId(0),
            name: name.into(),
            content: name.into(),
            columns,
            kind: ScanKind::Stream,
            key: vec![],
            watermark,
            time,
        };
        self.plan.add(LogicalOp::Scan(op), vec![], AT)
    }

    fn col(&self, node: NodeId, name: &str) -> Expr {
        let columns = &self.plan.schema(node).columns;
        let at = columns.iter().position(|c| c.name == name).expect("a column of this name");
        Expr::column(at, columns[at].ty.clone(), AT)
    }

    fn at(&self, node: NodeId, name: &str) -> usize {
        self.col(node, name).columns()[0]
    }

    fn filter(&mut self, input: NodeId, predicate: Expr) -> NodeId {
        self.plan.add(LogicalOp::Filter(Filter { predicate }), vec![input], AT)
    }

    fn project(&mut self, input: NodeId, columns: &[(&str, Expr)]) -> NodeId {
        let exprs = columns.iter().map(|(_, e)| e.clone()).collect();
        let names = columns.iter().map(|(name, _)| name.to_string()).collect();
        self.plan.add(LogicalOp::Project(Project { exprs, names, time: None }), vec![input], AT)
    }

    fn join(
        &mut self,
        sides: [NodeId; 2],
        keys: &[(usize, usize)],
        condition: Option<Expr>,
    ) -> NodeId {
        let (kind, class) = (JoinKind::Inner, JoinClass::Regular);
        let op = Join { kind, class, keys: keys.to_vec(), nulls_equal: vec![], condition };
        self.plan.add(LogicalOp::Join(op), sides.to_vec(), AT)
    }

    fn sink(&mut self, input: NodeId, mode: SinkMode) {
        let sink = Sink { stream: StreamId(9), name: "out".into(), mode, keys: vec![] };
        self.plan.add_sink(sink, input, AT);
    }
}

fn count() -> AggregateCall {
    AggregateCall::new("COUNT", vec![], vec![], bigint())
}

/// The plan after only this pass, and with it switched off.
fn with_and_without(builder: Builder, pass: &str) -> (String, String) {
    assert!(pass_names().any(|name| name == pass), "{pass} is in the list");
    let others = pass_names().filter(|name| *name != pass).map(String::from).collect::<Vec<_>>();
    let only = OptimizeOptions { without: others };
    let none = OptimizeOptions { without: pass_names().map(String::from).collect() };
    let (with, timings) = optimize(builder.plan.clone(), &only);
    assert_eq!(timings.len(), 1);
    let before = explain(&builder.plan);
    let (without, _) = optimize(builder.plan, &none);
    assert_eq!(explain(&without), before);
    (explain(&with), before)
}

#[track_caller]
fn assert_pass(builder: Builder, pass: &str, before: &str, after: &str) {
    let (with, without) = with_and_without(builder, pass);
    assert_eq!(without.trim(), before.trim(), "before:\n{without}");
    assert_eq!(with.trim(), after.trim(), "after:\n{with}");
}

fn bids(b: &mut Builder) -> NodeId {
    let columns = [("auction", bigint()), ("price", bigint()), ("extra", string())];
    b.scan("bid", &columns, &[])
}

fn timed_bids(b: &mut Builder) -> NodeId {
    let columns = [("auction", bigint()), ("price", bigint()), ("at", timestamp())];
    b.scan("bid", &columns, &[Hidden::Watermark, Hidden::Position])
}

#[test]
fn constants_fold_and_decided_filters_go() {
    let mut b = Builder::default();
    let scan = bids(&mut b);
    let price = b.col(scan, "price");
    let sum = call("+", vec![int(40), int(2)]);
    let more = call(">", vec![price.clone(), sum]);
    let always = call("=", vec![int(1), int(1)]);
    let filter = b.filter(scan, and(vec![more, always.clone()]));
    let filter = b.filter(filter, always);
    let project = b.project(filter, &[("price", price), ("bad", call("/", vec![int(1), int(0)]))]);
    b.sink(project, SinkMode::Append);
    assert_pass(
        b,
        "fold_constants",
        "
Sink out [price, bad] append
  Project [price, bad := 1 / 0]
    Filter 1 = 1
      Filter (price > (40 + 2)) AND (1 = 1)
        Scan bid [auction, price, extra]",
        "
Sink out [price, bad] append
  Project [price, bad := 1 / 0]
    Filter price > 42
      Scan bid [auction, price, extra]",
    );
}

#[test]
fn equal_subplans_are_shared() {
    let mut b = Builder::default();
    let scan = bids(&mut b);
    let sides: Vec<NodeId> = (0..2)
        .map(|start| {
            let mut price = b.col(scan, "price");
            price.span = Span { start, end: start, ..AT };
            b.filter(scan, call(">", vec![price, int(5)]))
        })
        .collect();
    let join = b.join([sides[0], sides[1]], &[(0, 0)], None);
    b.sink(join, SinkMode::Append);
    assert_pass(
        b,
        "share_subplan",
        "
Sink out [auction, price, extra, auction, price, extra] append
  Join inner on [auction = auction]
    Filter price > 5
      [1] Scan bid [auction, price, extra]
    Filter price > 5
      [1] Scan, as above",
        "
Sink out [auction, price, extra, auction, price, extra] append
  Join inner on [auction = auction]
    [1] Filter price > 5
      Scan bid [auction, price, extra]
    [1] Filter, as above",
    );
}

#[test]
fn filters_move_through_projections_joins_and_unions() {
    let mut b = Builder::default();
    let (first, second) = (bids(&mut b), bids(&mut b));
    let price = b.col(first, "price");
    let doubled = call("+", vec![price.clone(), price]);
    let auction = b.col(first, "auction");
    let left = b.project(first, &[("auction", auction), ("double", doubled)]);
    let other = bids(&mut b);
    let right = b.plan.add(LogicalOp::Union(Union), vec![second, other], AT);
    let join = b.join([left, right], &[(0, 0)], None);
    let left_only = call("=", vec![call("%", vec![Expr::column(0, bigint(), AT), int(7)]), int(0)]);
    let may_fail = call(">", vec![Expr::column(1, bigint(), AT), int(10)]);
    let right_only = call("=", vec![Expr::column(4, string(), AT), text("x")]);
    let both = call("<", vec![Expr::column(1, bigint(), AT), Expr::column(3, bigint(), AT)]);
    let filter = b.filter(join, and(vec![left_only, may_fail, right_only, both]));
    b.sink(filter, SinkMode::Append);
    assert_pass(
        b,
        "push_filter",
        "
Sink out [auction, double, auction, price, extra] append
  Filter ((auction % 7) = 0) AND (double > 10) AND (extra = 'x') AND (double < price)
    Join inner on [auction = auction]
      Project [auction, double := price + price]
        Scan bid [auction, price, extra]
      Union
        Scan bid [auction, price, extra]
        Scan bid [auction, price, extra]",
        "
Sink out [auction, double, auction, price, extra] append
  Join inner on [auction = auction] if double < price
    Project [auction, double := price + price]
      Filter ((auction % 7) = 0) AND ((price + price) > 10)
        Scan bid [auction, price, extra]
    Union
      Filter extra = 'x'
        Scan bid [auction, price, extra]
      Filter extra = 'x'
        Scan bid [auction, price, extra]",
    );
}

/// Column numbers of `late`'s hidden columns in `timed_bids`.
fn late(rule: LateRule) -> LogicalOp {
    LogicalOp::Late(Late { stream: StreamId(0), time: 2, watermark: 3, position: 4, rule })
}

fn tumble() -> WindowSpec {
    WindowSpec::Tumble { size: 10_000_000, offset: 0 }
}

/// COUNT per auction and window over a window table function, with a filter and a projection
/// between.
fn windowed_count(b: &mut Builder) -> NodeId {
    let scan = timed_bids(b);
    let rule = LateRule::Windows { window: tumble(), lateness: 0 };
    let late = b.plan.add(late(rule), vec![scan], AT);
    let window =
        Window { time: 2, watermark: Some(3), window: tumble(), lateness: 0, by_clock: false };
    let window = b.plan.add(LogicalOp::Window(window), vec![late], AT);
    let filter = b.filter(window, call(">", vec![b.col(window, "price"), int(5)]));
    let columns = ["window_start", "auction", "window_end"].map(|name| (name, b.col(filter, name)));
    let project = b.project(filter, &columns);
    let aggregate = Aggregate {
        keys: vec![1],
        calls: vec![count()],
        names: vec!["n".into()],
        window: Some(WindowInput::Carried { start: 0, end: 2 }),
        lateness: 0,
        emits: Emission::default(),
    };
    b.plan.add(LogicalOp::Aggregate(aggregate), vec![project], AT)
}

#[test]
fn a_filter_stops_at_late() {
    let mut b = Builder::default();
    let aggregate = windowed_count(&mut b);
    b.sink(aggregate, SinkMode::Append);
    assert_pass(
        b,
        "push_filter",
        "
Sink out [auction, n, window_start, window_end] append
  Aggregate by [auction] computes [n := COUNT(*)] in windows [window_start, window_end)
    Project [window_start, auction, window_end]
      Filter price > 5
        Window TUMBLE(10s) of at
          Late at for TUMBLE(10s)
            Scan bid [auction, price, at, $watermark, $position] watermark=at",
        "
Sink out [auction, n, window_start, window_end] append
  Aggregate by [auction] computes [n := COUNT(*)] in windows [window_start, window_end)
    Project [window_start, auction, window_end]
      Window TUMBLE(10s) of at
        Filter price > 5
          Late at for TUMBLE(10s)
            Scan bid [auction, price, at, $watermark, $position] watermark=at",
    );
}

#[test]
fn a_window_becomes_the_aggregates_own() {
    let mut b = Builder::default();
    let aggregate = windowed_count(&mut b);
    b.sink(aggregate, SinkMode::Append);
    let (after, _) = with_and_without(b, "fuse_window");
    assert_eq!(
        after.trim(),
        "
Sink out [auction, n, window_start, window_end] append
  Aggregate by [auction] computes [n := COUNT(*)] in TUMBLE(10s) of at
    Project [auction, at, $watermark]
      Filter price > 5
        Late at for TUMBLE(10s)
          Scan bid [auction, price, at, $watermark, $position] watermark=at"
            .trim(),
        "after:\n{after}"
    );
}

#[test]
fn an_aggregate_reads_past_picked_columns() {
    let mut b = Builder::default();
    let aggregate = windowed_count(&mut b);
    b.sink(aggregate, SinkMode::Append);
    let (after, _) = with_and_without(b, "merge_projects");
    assert_eq!(
        after.trim(),
        "
Sink out [auction, n, window_start, window_end] append
  Aggregate by [auction] computes [n := COUNT(*)] in windows [window_start, window_end)
    Filter price > 5
      Window TUMBLE(10s) of at
        Late at for TUMBLE(10s)
          Scan bid [auction, price, at, $watermark, $position] watermark=at"
            .trim(),
        "after:\n{after}"
    );
}

#[test]
fn only_time_that_is_minded_makes_a_watermark() {
    let mut b = Builder::default();
    let (first, second) = (timed_bids(&mut b), timed_bids(&mut b));
    let columns = [("auction", b.col(first, "auction")), ("at", b.col(first, "at"))];
    let project = b.project(first, &columns);
    b.sink(project, SinkMode::Append);
    let late = b.plan.add(late(LateRule::Rows), vec![second], AT);
    let project = b.project(late, &[("auction", b.col(late, "auction"))]);
    b.sink(project, SinkMode::Append);
    let (after, before) = with_and_without(b, "drop_watermark");
    assert_eq!(before.matches("watermark=at").count(), 2);
    assert_eq!(
        after.trim(),
        "
Sink out [auction, at] append
  Project [auction, at]
    Scan bid [auction, price, at, $watermark, $position]
Sink out [auction] append
  Project [auction]
    Late at for rows
      Scan bid [auction, price, at, $watermark, $position] watermark=at"
            .trim(),
        "after:\n{after}"
    );
}

#[test]
fn equal_expressions_become_keys() {
    let mut b = Builder::default();
    let (left, right) = (bids(&mut b), bids(&mut b));
    let upper = call("UPPER", vec![Expr::column(5, string(), AT)]);
    let equal = call("=", vec![Expr::column(2, string(), AT), upper]);
    let less = call("<", vec![Expr::column(1, bigint(), AT), Expr::column(4, bigint(), AT)]);
    let join = b.join([left, right], &[], Some(and(vec![equal, less])));
    b.sink(join, SinkMode::Append);
    assert_pass(
        b,
        "choose_join",
        "
Sink out [auction, price, extra, auction, price, extra] append
  Join inner on [] if (extra = UPPER(extra)) AND (price < price)
    Scan bid [auction, price, extra]
    Scan bid [auction, price, extra]",
        "
Sink out [auction, price, extra, auction, price, extra] append
  Project [auction, price, extra, auction, price, extra]
    Join inner on [extra = $key0] if price < price
      Scan bid [auction, price, extra]
      Project [auction, price, extra, $key0 := UPPER(extra)]
        Scan bid [auction, price, extra]",
    );
}

#[test]
fn a_join_of_windows_ends_with_them() {
    let mut b = Builder::default();
    let left = windowed_count(&mut b);
    let right = windowed_count(&mut b);
    let (start, end) = (b.at(left, "window_start"), b.at(left, "window_end"));
    let join = b.join([left, right], &[(start, start), (end, end)], None);
    b.sink(join, SinkMode::Append);
    let (after, before) = with_and_without(b, "choose_join");
    let second = |text: &str| text.trim().lines().nth(1).map(str::to_string).unwrap_or_default();
    assert_eq!(
        second(&before),
        "  Join inner on [window_start = window_start, window_end = window_end]"
    );
    assert_eq!(
        second(&after),
        "  IntervalJoin inner on [window_start = window_start, window_end = window_end] \
         where window_end - window_end in [0s, 0s]"
    );
}

#[test]
fn projections_merge_unless_work_would_double() {
    let mut b = Builder::default();
    let scan = bids(&mut b);
    let sum = call("+", vec![b.col(scan, "price"), int(1)]);
    let lower = b.project(scan, &[("sum", sum), ("auction", b.col(scan, "auction"))]);
    let sum = b.col(lower, "sum");
    let once = b.project(lower, &[("a", sum.clone()), ("auction", b.col(lower, "auction"))]);
    let a = b.col(once, "a");
    let twice = b.project(once, &[("x", call("*", vec![a.clone(), a]))]);
    let same = b.project(twice, &[("x", b.col(twice, "x"))]);
    b.sink(same, SinkMode::Append);
    assert_pass(
        b,
        "merge_projects",
        "
Sink out [x] append
  Project [x]
    Project [x := a * a]
      Project [a := sum, auction]
        Project [sum := price + 1, auction]
          Scan bid [auction, price, extra]",
        "
Sink out [x] append
  Project [x := a * a]
    Project [a := price + 1, auction]
      Scan bid [auction, price, extra]",
    );
}

#[test]
fn only_fields_that_are_read_are_decoded() {
    let mut b = Builder::default();
    let inner =
        DataType::Row(Arc::from([Field::new("city", string()), Field::new("zip", string())]));
    let fields = [Field::new("id", bigint()), Field::new("home", Type::not_null(inner.clone()))];
    let person = Type::nullable(DataType::Row(Arc::from(fields)));
    let scan = b.scan("event", &[("kind", bigint()), ("person", person)], &[]);
    let field = |arg: Expr, index, data: DataType| Expr {
        kind: ExprKind::Field { arg: Box::new(arg), index },
        ty: Type::nullable(data),
        span: AT,
    };
    let person = b.col(scan, "person");
    let home = field(person.clone(), 1, inner);
    let city = field(home, 0, DataType::String);
    let id = field(person, 0, DataType::BigInt);
    let filter = b.filter(scan, call("=", vec![city.clone(), text("Oslo")]));
    let project = b.project(filter, &[("id", id), ("city", city)]);
    b.sink(project, SinkMode::Append);
    assert_pass(
        b,
        "narrow_rows",
        "
Sink out [id, city] append
  Project [id := person.id, city := person.home.city]
    Filter person.home.city = 'Oslo'
      Scan event [kind, person]",
        "
Sink out [id, city] append
  Project [id := person.id, city := person.home.city]
    Filter person.home.city = 'Oslo'
      Scan event [kind, person, person.id, person.home.city]",
    );
}

#[test]
fn columns_go_that_nobody_reads() {
    let mut b = Builder::default();
    let aggregate = windowed_count(&mut b);
    let right = bids(&mut b);
    let filtered = b.filter(right, call("=", vec![b.col(right, "extra"), text("x")]));
    let join = b.join([aggregate, filtered], &[(0, 0)], None);
    let project = b.project(join, &[("n", b.col(join, "n")), ("price", b.col(join, "price"))]);
    b.sink(project, SinkMode::Append);
    let (after, _) = with_and_without(b, "prune_columns");
    assert_eq!(
        after.trim(),
        "
Sink out [n, price] append
  Project [n, price]
    Join inner on [auction = auction]
      Project [auction, n]
        Aggregate by [auction] computes [n := COUNT(*)] in windows [window_start, window_end)
          Project [window_start, auction, window_end]
            Filter price > 5
              Window TUMBLE(10s) of at
                Late at for TUMBLE(10s)
                  Scan bid [auction, price, at, $watermark, $position] watermark=at
      Project [auction, price]
        Filter extra = 'x'
          Scan bid [auction, price, extra]"
            .trim(),
        "after:\n{after}"
    );
}

#[test]
fn an_identity_follows_what_is_kept_and_nothing_else() {
    let identity = |limit: i64, filter_above: bool, more: bool| {
        let mut b = Builder::default();
        let (left, right) = (bids(&mut b), bids(&mut b));
        let mut columns =
            vec![("auction", b.col(left, "auction")), ("price", b.col(left, "price"))];
        if more {
            columns.insert(0, ("extra", b.col(left, "extra")));
        }
        let mut input = b.project(left, &columns);
        let price = b.col(input, "price");
        let keep = call(">", vec![price.clone(), int(limit)]);
        if !filter_above {
            input = b.filter(input, keep.clone());
        }
        let key = b.at(input, "auction");
        let join = b.join([input, right], &[(key, 0)], None);
        let top = if filter_above { b.filter(join, keep) } else { join };
        b.sink(top, SinkMode::Append);
        let (plan, _) = optimize(b.plan, &OptimizeOptions::default());
        let join =
            plan.order().into_iter().find(|&id| matches!(plan.node(id).op, LogicalOp::Join(_)));
        plan.node(join.expect("a join")).identity
    };
    assert_eq!(identity(5, true, false), identity(5, false, false), "the same rows are kept");
    assert_eq!(identity(5, true, false), identity(5, true, true), "a column more is no matter");
    assert_ne!(identity(5, true, false), identity(6, true, false), "other rows are kept");
}

#[test]
#[should_panic(expected = "after planning")]
fn a_broken_plan_is_told() {
    let mut b = Builder::default();
    let scan = bids(&mut b);
    b.sink(scan, SinkMode::Append);
    b.plan.nodes[scan.index()].schema.columns.pop();
    optimize(b.plan, &OptimizeOptions::default());
}

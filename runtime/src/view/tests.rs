//! Views against plain maps: random changes cut into epochs, read whole and by ranges, by key and
//! by index, from snapshots old and new, and through subscriptions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use flow_ir::connector::{VIEW, VIEW_OF};
use flow_ir::decode_plan::{DecodeColumn, Origin};
use flow_ir::ids::{StreamId, TableId, VertexId};
use flow_ir::kernel::{KernelCx, OnError};
use flow_ir::physical::{
    Changelog, Edge, JobGraph, KeyRange, Materialize, Partitioning, PhysicalOp, Settings, Sink,
    SinkMode, Source, Stream, StreamColumn, StreamSchemas, TableKind, TableSpec, Vertex, verify,
};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout, push_value, read_value};
use flow_ir::span::Span;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;
use flow_stdlib::interp::Interpreter;
use proptest::prelude::*;

use super::*;
use crate::format::encoding;
use crate::ops::instantiate;
use crate::state::{Disk, StateStore, StoreConfig};
use crate::worker::{Exchange, Parts, SinkWriter, Wiring};

/// A row: key, text, number.
type Row = (i64, Option<String>, Option<i64>);

/// Rows and how often they are there.
type Rows = BTreeMap<Row, i64>;

fn types() -> Vec<Type> {
    let null = Type::nullable;
    vec![Type::not_null(DataType::BigInt), null(DataType::String), null(DataType::Int)]
}

fn names() -> Vec<Field> {
    ["k", "t", "n"].into_iter().zip(types()).map(|(name, ty)| Field::new(name, ty)).collect()
}

/// A job with view `v` and its index `i` by text and number.
fn graph(counted: bool) -> JobGraph {
    let stream = |name: &str, connector: &str, of: Option<&str>| Stream {
        name: name.into(),
        connector: connector.into(),
        options: of.map(|of| (VIEW_OF.to_string(), of.to_string())).into_iter().collect(),
        value_format: None,
        key_format: None,
        columns: names()
            .into_iter()
            .map(|f| StreamColumn {
                origin: Origin::Value(vec![f.name.clone()]),
                name: f.name,
                ty: f.ty,
            })
            .collect(),
        primary_key: if counted { Vec::new() } else { vec![0] },
        schemas: StreamSchemas::default(),
    };
    let column = |f: Field| DecodeColumn {
        origin: Origin::Value(vec![f.name.clone()]),
        name: f.name,
        ty: f.ty,
    };
    let columns = names().into_iter().map(column).collect();
    let source =
        Source { stream: StreamId(0), columns, watermark: None, ranges: Vec::new(), since: None };
    let kept = |keys: &[usize], hashed, table| {
        PhysicalOp::Materialize(Materialize {
            keys: keys.to_vec(),
            hashed,
            counted,
            rows: TableId(table),
        })
    };
    let sink = |stream| {
        PhysicalOp::Sink(Sink { stream: StreamId(stream), mode: SinkMode::Changes, keys: vec![] })
    };
    let all = [0, 1, 2];
    let ops = [
        PhysicalOp::Source(source),
        kept(if counted { &all } else { &all[..1] }, if counted { 3 } else { 1 }, 0),
        sink(1),
        kept(&[1, 2, 0], 2, 1),
        sink(2),
    ];
    let vertex = |(i, op)| Vertex {
        name: format!("v{i}"),
        identity: i as u64,
        op,
        columns: names(),
        changelog: Changelog::Retract,
        span: Span::default(),
    };
    let edge = |from, to, partitioning| Edge {
        from: VertexId(from),
        to: VertexId(to),
        port: 0,
        partitioning,
    };
    let value = || if counted { vec![Type::not_null(DataType::BigInt)] } else { types() };
    let table = |owner| TableSpec {
        owner: VertexId(owner),
        role: "rows".into(),
        kind: TableKind::Ordered,
        key: Vec::new(),
        value: value(),
    };
    let by_key = if counted { all.to_vec() } else { vec![0] };
    let graph = JobGraph {
        name: "job".into(),
        settings: Settings::default(),
        streams: vec![
            stream("s", "kafka", None),
            stream("v", VIEW, None),
            stream("i", VIEW, Some("v")),
        ],
        vertices: ops.into_iter().enumerate().map(vertex).collect(),
        edges: vec![
            edge(0, 1, Partitioning::Hash(by_key)),
            edge(1, 2, Partitioning::Forward),
            edge(1, 3, Partitioning::Hash(vec![1, 2])),
            edge(3, 4, Partitioning::Forward),
        ],
        tables: vec![table(1), table(3)],
        sites: Vec::new(),
        sources: Vec::new(),
    };
    verify(&graph).expect("the graph is valid");
    graph
}

fn at(epoch: u64) -> At {
    At { epoch, inputs: Vec::new(), finished: false }
}

/// A job that runs on the test's thread.
struct Job {
    wiring: Wiring,
    views: Views,
    disk: Arc<Disk>,
    epoch: u64,
    rows: BatchBuilder,
    _folder: tempfile::TempDir,
}

impl Job {
    fn new(counted: bool) -> Self {
        let graph = graph(counted);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let views = Views::new(&graph).expect("the graph has views");
        let opened = views.disk(folder.path(), || Ok(Disk::open(folder.path()).expect("it opens")));
        let disk = opened.expect("the store opens");
        views.offer(&[4, 9], at(0));
        let operator = |i: usize| match &graph.vertices[i].op {
            PhysicalOp::Source(_) | PhysicalOp::Sink(_) => None,
            _ => Some(instantiate(&graph, VertexId::from(i), &Interpreter).expect("an operator")),
        };
        let sink = |(i, vertex): (usize, &Vertex)| {
            let PhysicalOp::Sink(sink) = &vertex.op else { return None };
            let stream = graph.stream(sink.stream);
            let encoding = encoding(stream, sink, &Interpreter, None).expect("views stay rows");
            let layout = Arc::new(RowLayout::new(types()));
            Some(SinkWriter::new(VertexId::from(i), sink, layout, encoding))
        };
        let groups: Vec<u8> = (0..=255).collect();
        let parts = Parts {
            operators: (0..graph.vertices.len()).map(operator).collect(),
            sinks: graph.vertices.iter().enumerate().filter_map(sink).collect(),
            exchange: Exchange::connect(1).0.pop().expect("one end"),
            store: StateStore::new(&StoreConfig {
                specs: &graph.tables,
                numbers: &[4, 9],
                groups: &groups,
                disk: Some(disk.clone()),
                budget_bytes: 1 << 20,
            }),
            groups,
            marks: vec![i64::MIN; graph.vertices.len()],
            memory_bytes: 1 << 20,
        };
        let wiring = Wiring::new(&graph, parts);
        let rows = BatchBuilder::new(Arc::new(RowLayout::new(types())));
        Self { wiring, views, disk, epoch: 0, rows, _folder: folder }
    }

    /// Runs and publishes an epoch.
    fn epoch(&mut self, changes: &[(Row, i64)]) {
        for ((k, t, n), weight) in changes {
            self.rows.begin();
            let text = t.clone().map_or(Value::Null, Value::String);
            let values = [Value::Int(*k), text, n.map_or(Value::Null, Value::Int)];
            for (column, value) in values.iter().enumerate() {
                push_value(&mut self.rows, column, value);
            }
            self.rows.finish(*weight);
        }
        let kernel = KernelCx { clock: 0, on_error: OnError::DropRow };
        self.wiring.begin(kernel, false);
        let rows = self.rows.take();
        self.wiring.push_source(VertexId(0), &rows, 0, kernel).expect("rows are taken");
        self.wiring.end_source(VertexId(0), i64::MAX).expect("the epoch ends");
        while !self.wiring.all_ended() {
            let message = self.wiring.receive();
            self.wiring.take(message).expect("rows are taken");
        }
        let wrote = self.wiring.end_epoch(true).expect("it fits");
        let (outputs, overlay) = (wrote.outputs, wrote.state.changes);
        self.epoch += 1;
        let mut changes = Vec::new();
        for (_, stream, staged, _) in outputs {
            assert!(stream == StreamId(1) || staged.rows.is_empty(), "an index has no changes");
            changes.extend(staged.rows.into_iter().map(|rows| (0, rows)));
        }
        let at = at(self.epoch);
        let seal = overlay.seal();
        let write = || {
            self.disk.publish(&[&overlay], b"position").expect("it is written");
            Ok(())
        };
        self.views.publish(write, Published { at, changes }).expect("it is published");
        self.wiring.published(seal);
    }

    fn read(&self, ranges: &[KeyRange]) -> Rows {
        self.views.read(|snapshot| Ok(rows(snapshot, ranges))).expect("views can be read")
    }
}

fn rows(snapshot: &Snapshot<'_>, ranges: &[KeyRange]) -> Rows {
    let mut found = Rows::new();
    let scanned = snapshot.scan(0, ranges, |batch| {
        add(&mut found, &batch);
        ControlFlow::Continue(())
    });
    scanned.expect("the store can be read");
    found
}

/// Adds rows by their weights.
fn add(to: &mut Rows, batch: &RowBatch) {
    for (index, row) in batch.rows().enumerate() {
        let layout = batch.layout();
        let value = |i: usize| read_value(row, layout.column(i), &layout.types()[i]);
        let Value::Int(k) = value(0) else { panic!("a key") };
        let text = match value(1) {
            Value::String(text) => Some(text),
            _ => None,
        };
        let number = match value(2) {
            Value::Int(n) => Some(n),
            _ => None,
        };
        let weight = to.entry((k, text, number)).or_default();
        *weight += batch.weight(index);
        to.retain(|_, weight| *weight != 0);
    }
}

fn row() -> impl Strategy<Value = Row> {
    let text =
        prop::option::weighted(0.8, prop_oneof![Just(""), Just("a"), Just("a\0"), Just("b")]);
    (-2i64..4, text, prop::option::weighted(0.8, -2i64..3))
        .prop_map(|(k, t, n)| (k, t.map(str::to_string), n))
}

/// A bound of a range of texts or numbers, where one is drawn.
fn bound<T: Clone + std::fmt::Debug>(
    of: impl Strategy<Value = T>,
) -> impl Strategy<Value = Bound<T>> {
    (of, 0..3).prop_map(|(value, kind)| match kind {
        0 => Bound::Unbounded,
        1 => Bound::Included(value),
        _ => Bound::Excluded(value),
    })
}

/// Whether a bound is there, or there is nothing to compare with.
fn within<T: Ord>(value: Option<&T>, from: &Bound<T>, to: &Bound<T>) -> bool {
    use std::ops::RangeBounds;
    let open = matches!((from, to), (Bound::Unbounded, Bound::Unbounded));
    open || value.is_some_and(|v| (from.as_ref(), to.as_ref()).contains(&v))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn views_are_what_their_changes_make_of_them(
        epochs in prop::collection::vec(prop::collection::vec((row(), any::<bool>()), 0..8), 1..6),
        counted in any::<bool>(),
        keys in (bound(-2i64..4), bound(-2i64..4)),
        texts in (bound("[ab]?"), bound("[ab]?")),
        numbers in (bound(-2i64..3), bound(-2i64..3)),
    ) {
        let mut job = Job::new(counted);
        let mut model = Rows::new();
        let (mut followed, mut subscription) = job
            .views
            .subscribe(&[0], |snapshot| Ok(rows(snapshot, &[])))
            .expect("views can be read");
        for drawn in epochs {
            let mut changes: Vec<(Row, i64)> = Vec::new();
            for (row, adds) in drawn {
                if counted {
                    let there = model.get(&row).copied().unwrap_or(0);
                    let weight = if adds || there == 0 { 1 } else { -1 };
                    changes.push((row.clone(), weight));
                    *model.entry(row).or_default() += weight;
                } else {
                    let old = model.keys().find(|(k, ..)| *k == row.0).cloned();
                    if let Some(old) = old {
                        model.remove(&old);
                        changes.push((old, -1));
                    }
                    if adds {
                        changes.push((row.clone(), 1));
                        model.insert(row, 1);
                    }
                }
            }
            model.retain(|_, weight| *weight != 0);
            job.epoch(&changes);
            prop_assert_eq!(&job.read(&[]), &model);
        }
        let value = |bound: &Bound<i64>| bound.map(Value::Int);
        let by_key =
            KeyRange { index: None, equal: vec![], from: value(&keys.0), to: value(&keys.1) };
        let expected = |keep: &dyn Fn(&Row) -> bool| -> Rows {
            model.iter().filter(|(row, _)| keep(row)).map(|(row, w)| (row.clone(), *w)).collect()
        };
        prop_assert_eq!(job.read(&[by_key]), expected(&|r| within(Some(&r.0), &keys.0, &keys.1)));
        let text = |bound: &Bound<String>| bound.clone().map(Value::String);
        let index = Some("i".to_string());
        let by_text = KeyRange {
            index: index.clone(),
            equal: vec![],
            from: text(&texts.0),
            to: text(&texts.1),
        };
        prop_assert_eq!(
            job.read(std::slice::from_ref(&by_text)),
            expected(&|r| within(r.1.as_ref(), &texts.0, &texts.1))
        );
        let by_number = |t: &str| KeyRange {
            index: index.clone(),
            equal: vec![Value::String(t.into())],
            from: value(&numbers.0),
            to: value(&numbers.1),
        };
        let of = |t: &str, r: &Row| {
            r.1.as_deref() == Some(t) && within(r.2.as_ref(), &numbers.0, &numbers.1)
        };
        prop_assert_eq!(job.read(&[by_number("a")]), expected(&|r| of("a", r)));
        // Overlapping ranges give each row once; a range of another order gives everything.
        let all = [by_number("a"), by_number("b"), by_number("a"), by_text];
        let either = |r: &Row| of("a", r) || of("b", r) || within(r.1.as_ref(), &texts.0, &texts.1);
        prop_assert_eq!(job.read(&all), expected(&either));
        let strange = KeyRange {
            index: Some("none".into()),
            equal: vec![],
            from: Bound::Unbounded,
            to: Bound::Unbounded,
        };
        prop_assert_eq!(job.read(&[strange]), expected(&|_| true));
        // What came by subscription adds up to the same, in the order of the epochs.
        let mut seen = BTreeSet::new();
        drop(std::mem::replace(&mut job.views, Views::new(&graph(counted)).expect("views")));
        while let Ok(step) = subscription.blocking_next() {
            prop_assert!(seen.last().is_none_or(|last| *last < step.at.epoch));
            seen.insert(step.at.epoch);
            step.changes.iter().for_each(|(_, rows)| add(&mut followed, rows));
        }
        prop_assert_eq!(followed, model);
    }
}

#[test]
fn a_subscription_goes_on_where_it_ended_or_says_that_it_cannot() {
    let mut job = Job::new(false);
    let row = |k: i64| (k, None, None);
    for k in 0..4 {
        job.epoch(&[(row(k), 1)]);
    }
    let mut later = job.views.resume(&[0], 2).expect("epoch 2 is kept");
    job.epoch(&[(row(0), -1)]);
    let epochs: Vec<u64> =
        (0..3).map(|_| later.blocking_next().expect("a step").at.epoch).collect();
    assert_eq!(epochs, [3, 4, 5]);
    // Nothing of before a start from elsewhere is kept.
    job.views.offer(&[4, 9], at(0));
    assert_eq!(later.blocking_next().expect_err("it has ended"), SubscriptionEnd::Gone);
    let resumed = job.views.resume(&[0], 5);
    assert!(resumed.is_ok(), "the start forgot what was before epoch 0");
    job.views.withdraw();
    assert_eq!(job.views.read(|_| Ok(())).expect_err("nothing to read"), ViewError::NotReady);
}

#[test]
fn whoever_does_not_take_changes_is_cut_off_and_the_job_goes_on() {
    let mut job = Job::new(false);
    let ((), mut slow) = job.views.subscribe(&[0], |_| Ok(())).expect("views can be read");
    let long = "x".repeat(1 << 20);
    for k in 0..80 {
        job.epoch(&[((k, Some(long.clone()), None), 1)]);
    }
    assert_eq!(job.views.subscriptions(), 0);
    let mut steps = 0;
    let end = loop {
        match slow.blocking_next() {
            Ok(_) => steps += 1,
            Err(end) => break end,
        }
    };
    assert_eq!(end, SubscriptionEnd::TooSlow);
    assert!((50..80).contains(&steps), "{steps} steps waited");
    assert_eq!(job.read(&[]).len(), 80);
}

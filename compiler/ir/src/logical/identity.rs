//! Identities: what an operator is, so that its state can follow it from one version of a program
//! to the next. A hash over the sub-plan in which a column stands for its definition: projections
//! leave no trace of their own, so selecting one column more changes nothing below it. Scans count
//! by content, columns by name; neither pruning nor parallelism is seen.

use xxhash_rust::xxh3::Xxh3;

use super::{
    Aggregate, Filter, Join, JoinClass, LogicalOp, Node, Over, Plan, Session, TopN, Unnest,
};
use crate::aggregate::AggregateCall;
use crate::expr::{Expr, ExprKind};
use crate::ids::NodeId;
use crate::over::OverCall;
use crate::physical::WindowInput;
use crate::types::DataType;

/// What a node is, and what its columns are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The sub-plan.
    pub node: u64,
    /// The definition of each output column.
    pub columns: Vec<u64>,
}

impl Identity {
    /// The identity of an operator that keeps rows with these columns: two that keep other columns
    /// cannot read each other's state, even where the types are the same.
    pub fn keeping_columns(node: u64, columns: &[u64]) -> u64 {
        Parts::new("keeps").hash(node).hashes(columns.iter().copied()).finish()
    }
}

/// The identity of each live node; zeros for dead ones.
pub fn identities(plan: &Plan) -> Vec<Identity> {
    let mut known: Vec<Identity> = vec![Identity::default(); plan.nodes.len()];
    for id in plan.order() {
        let node = plan.node(id);
        let identity = of_node(node, &|input: NodeId| &known[input.index()]);
        debug_assert_eq!(identity.columns.len(), node.schema.width());
        known[id.index()] = identity;
    }
    known
}

/// A hash of parts in order, each with its length.
struct Parts(Xxh3);

impl Parts {
    fn new(kind: &str) -> Self {
        Self(Xxh3::new()).text(kind)
    }

    fn text(mut self, text: &str) -> Self {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    fn hash(mut self, hash: u64) -> Self {
        self.0.update(&hash.to_le_bytes());
        self
    }

    fn hashes(self, hashes: impl IntoIterator<Item = u64>) -> Self {
        let hashes: Vec<u64> = hashes.into_iter().collect();
        let count = hashes.len() as u64;
        hashes.into_iter().fold(self.hash(count), Parts::hash)
    }

    /// Plain data by its debug form.
    fn data(self, data: &impl std::fmt::Debug) -> Self {
        self.text(&format!("{data:?}"))
    }

    fn finish(self) -> u64 {
        self.0.digest()
    }
}

fn of_node<'a>(node: &Node, of: &impl Fn(NodeId) -> &'a Identity) -> Identity {
    let input = |port: usize| of(node.inputs[port]);
    match &node.op {
        LogicalOp::Scan(scan) => {
            let key = scan.key.iter().map(|&k| Parts::new(&scan.columns[k].name).finish());
            let hash = Parts::new("scan").text(&scan.content).data(&scan.kind).hashes(key).finish();
            // A field that is read as a column of its own is still a field of its row.
            let column = |name: &str| {
                let (row, fields) = name.split_once('.').unwrap_or((name, ""));
                let row = Parts::new("column").hash(hash).text(row).finish();
                of_field(row, fields)
            };
            let columns = scan.columns.iter().map(|c| column(&c.name)).collect();
            Identity { node: hash, columns }
        }
        LogicalOp::Filter(filter) => of_filter(filter, input(0)),
        LogicalOp::Project(project) => {
            let columns = project.exprs.iter().map(|e| of_expr(e, &input(0).columns)).collect();
            Identity { node: input(0).node, columns }
        }
        LogicalOp::Join(join) => of_join(join, input(0), input(1)),
        LogicalOp::Unnest(unnest) => of_unnest(unnest, input(0), node.schema.width()),
        LogicalOp::Window(window) => {
            let parts = Parts::new("window").hash(input(0).node).data(&window.window);
            with_bounds(parts.hash(input(0).columns[window.time]).finish(), input(0))
        }
        LogicalOp::Session(session) => of_session(session, input(0)),
        LogicalOp::Aggregate(aggregate) => of_aggregate(aggregate, input(0)),
        LogicalOp::Deduplicate(dedup) => {
            let columns = &input(0).columns;
            let order = dedup.order.iter().map(|(c, d)| Parts::new("").hash(columns[*c]).data(d));
            let parts = Parts::new("dedup").hash(input(0).node).data(&dedup.keep);
            let parts = parts.hashes(dedup.keys.iter().map(|&k| columns[k]));
            keeping(parts.hashes(order.map(Parts::finish)).finish(), input(0))
        }
        LogicalOp::TopN(top) => of_top_n(top, input(0)),
        LogicalOp::Over(over) => of_over(over, input(0)),
        LogicalOp::Normalize(normalize) => {
            let keys = normalize.keys.iter().map(|&k| input(0).columns[k]);
            let parts = Parts::new("normalize").hash(input(0).node).hashes(keys);
            let parts = if normalize.weight.is_some() { parts.text("counted") } else { parts };
            let parts = if normalize.watermark.is_some() { parts.text("each") } else { parts };
            keeping(parts.finish(), input(0))
        }
        LogicalOp::Materialize(kept) => {
            let keys = kept.keys.iter().map(|&k| input(0).columns[k]);
            let parts = Parts::new("materialize").hash(input(0).node).hashes(keys);
            keeping(parts.hash(kept.hashed as u64).finish(), input(0))
        }
        LogicalOp::Union(_) => {
            let inputs: Vec<&Identity> = node.inputs.iter().map(|&i| of(i)).collect();
            let hash = Parts::new("union").hashes(inputs.iter().map(|i| i.node)).finish();
            let column = |c: usize| {
                let parts = Parts::new("column").hash(hash);
                parts.hashes(inputs.iter().map(|i| i.columns[c])).finish()
            };
            Identity { node: hash, columns: (0..node.schema.width()).map(column).collect() }
        }
        LogicalOp::Late(late) => {
            let parts = Parts::new("late").hash(input(0).node).data(&late.rule);
            let node = parts.hash(input(0).columns[late.time]).finish();
            Identity { node, columns: input(0).columns.clone() }
        }
        LogicalOp::Sink(sink) => {
            let parts = Parts::new("sink").text(&sink.name).hash(input(0).node);
            let node = parts.hashes(input(0).columns.iter().copied()).finish();
            Identity { node, columns: input(0).columns.clone() }
        }
    }
}

fn of_filter(filter: &Filter, input: &Identity) -> Identity {
    let predicate = &filter.predicate;
    let conjuncts = if let ExprKind::And(args) = &predicate.kind {
        &args[..]
    } else {
        std::slice::from_ref(predicate)
    };
    let of_conjunct = |e: &Expr| of_expr(e, &input.columns);
    let mut conjuncts: Vec<u64> = conjuncts.iter().map(of_conjunct).collect();
    conjuncts.sort_unstable();
    let node = Parts::new("filter").hash(input.node).hashes(conjuncts).finish();
    Identity { node, columns: input.columns.clone() }
}

/// A call is known by what it computes of which columns, whatever numbers these have.
fn of_over(over: &Over, input: &Identity) -> Identity {
    let columns = &input.columns;
    let order = over.order.iter().map(|(c, d)| Parts::new("").hash(columns[*c]).data(d));
    let call = |call: &OverCall| {
        let mut bare = call.clone();
        bare.map_columns(|_| 0);
        let read = call.columns().into_iter().map(|c| columns[c]);
        Parts::new("call").data(&bare).hashes(read).finish()
    };
    let calls: Vec<u64> = over.calls.iter().map(call).collect();
    let parts = Parts::new("over").hash(input.node).data(&(over.peers, over.time.is_some()));
    let parts = parts.hashes(over.keys.iter().map(|&k| columns[k]));
    let parts = parts.hashes(order.map(Parts::finish)).hashes(calls.iter().copied());
    let mut of = keeping(parts.finish(), input);
    let result = |call: &u64| Parts::new("result").hash(of.node).hash(*call).finish();
    let results: Vec<u64> = calls.iter().map(result).collect();
    of.columns.extend(results);
    of
}

fn of_top_n(top: &TopN, input: &Identity) -> Identity {
    let columns = &input.columns;
    let order = top.order.iter().map(|(c, d)| Parts::new("").hash(columns[*c]).data(d));
    let range = (top.numbering, top.offset, top.limit);
    let parts = Parts::new("top_n").hash(input.node).data(&range);
    let parts = parts.hashes(top.keys.iter().map(|&k| columns[k]));
    let parts = if top.window.is_some() { parts.text("windowed") } else { parts };
    let mut of = keeping(parts.hashes(order.map(Parts::finish)).finish(), input);
    let rank = Parts::new("rank").hash(of.node).finish();
    of.columns.extend(top.rank.then_some(rank));
    of
}

fn of_session(session: &Session, input: &Identity) -> Identity {
    let parts = Parts::new("session").hash(input.node).data(&session.gap);
    let keys = session.keys.iter().map(|&k| input.columns[k]);
    with_bounds(parts.hash(input.columns[session.time]).hashes(keys).finish(), input)
}

/// An operator that adds the bounds of a window to its input's columns.
fn with_bounds(node: u64, input: &Identity) -> Identity {
    let bounds = (0..3).map(|bound| Parts::new("bound").hash(node).hash(bound).finish());
    Identity { node, columns: input.columns.iter().copied().chain(bounds).collect() }
}

/// An operator whose output has its input's columns.
fn keeping(node: u64, input: &Identity) -> Identity {
    let column = |&c: &u64| Parts::new("column").hash(node).hash(c).finish();
    Identity { node, columns: input.columns.iter().map(column).collect() }
}

fn of_unnest(unnest: &Unnest, input: &Identity, made: usize) -> Identity {
    let columns = unnest.columns.iter().map(|&c| input.columns[c]);
    let parts = Parts::new("unnest").hash(input.node).hashes(columns);
    let node = parts.data(&(unnest.ordinality, unnest.outer)).finish();
    let elements = (input.columns.len()..made).map(|at| {
        Parts::new("element").hash(node).hash((at - input.columns.len()) as u64).finish()
    });
    Identity { node, columns: input.columns.iter().copied().chain(elements).collect() }
}

fn of_join(join: &Join, left: &Identity, right: &Identity) -> Identity {
    let both = [left.columns.clone(), right.columns.clone()].concat();
    let parts = Parts::new("join").hash(left.node).hash(right.node).data(&join.kind);
    let pairs = join.keys.iter();
    let pairs =
        pairs.map(|&(l, r)| Parts::new("=").hash(left.columns[l]).hash(right.columns[r]).finish());
    let parts = if join.nulls_equal.is_empty() { parts } else { parts.data(&join.nulls_equal) };
    let parts = parts.hashes(pairs).hashes(join.condition.iter().map(|e| of_expr(e, &both)));
    let parts = match join.class {
        JoinClass::Regular => parts.text("regular"),
        JoinClass::Lookup => parts.text("lookup"),
        JoinClass::Interval { left_time, right_time, lower, upper } => {
            let times = [left.columns[left_time], right.columns[right_time]];
            parts.text("interval").hashes(times).data(&(lower, upper))
        }
        JoinClass::Window { left_end, right_end, .. } => {
            parts.text("windows").hashes([left.columns[left_end], right.columns[right_end]])
        }
        JoinClass::Temporal { left_time, right_time } => {
            let right = right_time.map(|time| right.columns[time]);
            parts.text("temporal").hash(left.columns[left_time]).hashes(right)
        }
    };
    let node = parts.finish();
    let side = |port: u64, columns: &[u64]| {
        let column = |&c: &u64| Parts::new("column").hash(node).hash(port).hash(c).finish();
        columns.iter().map(column).collect::<Vec<_>>()
    };
    let mut columns = side(0, &left.columns);
    if join.kind.has_pairs() {
        columns.extend(side(1, &right.columns));
    }
    Identity { node, columns }
}

fn of_aggregate(aggregate: &Aggregate, input: &Identity) -> Identity {
    let call = |call: &AggregateCall| {
        let parts = Parts::new(&call.function).data(&call.distinct).data(&call.params);
        let parts = parts.data(&call.ignore_nulls);
        let parts = parts.hashes(call.args.iter().map(|&c| input.columns[c]));
        let parts = parts.hashes(call.order.iter().map(|by| input.columns[by.column]));
        let directions: Vec<_> = call.order.iter().map(|by| by.direction).collect();
        let parts = parts.data(&directions);
        parts.hashes(call.filter.map(|c| input.columns[c])).finish()
    };
    let keys: Vec<u64> = aggregate.keys.iter().map(|&k| input.columns[k]).collect();
    let calls: Vec<u64> = aggregate.calls.iter().map(call).collect();
    let parts = Parts::new("aggregate").hash(input.node).hashes(keys.iter().copied());
    let parts = parts.hashes(calls.iter().copied());
    let (parts, bounds) = match aggregate.window {
        Some(WindowInput::Time { time, window, .. }) => {
            (parts.text("time").hash(input.columns[time]).data(&window), 2)
        }
        Some(WindowInput::Carried { start, end }) => {
            (parts.text("carried").hashes([input.columns[start], input.columns[end]]), 2)
        }
        None => (parts, 0),
    };
    let parts = if aggregate.emits.changes { parts.text("changes") } else { parts };
    let node = parts.finish();
    let column = |kind: &str, of: u64| Parts::new(kind).hash(node).hash(of).finish();
    let keys = keys.into_iter().map(|key| column("key", key));
    let calls = calls.into_iter().map(|call| column("call", call));
    let bounds = (0..bounds).map(|bound| column("bound", bound));
    Identity { node, columns: keys.chain(calls).chain(bounds).collect() }
}

/// A field of a row by its name, or by its path of names.
fn of_field(row: u64, path: &str) -> u64 {
    let names = path.split('.').filter(|name| !name.is_empty());
    names.fold(row, |row, name| Parts::new("field").hash(row).text(name).finish())
}

fn of_expr(expr: &Expr, columns: &[u64]) -> u64 {
    let parts = match &expr.kind {
        ExprKind::Column(index) => return columns[*index],
        ExprKind::Literal(value) => Parts::new("literal").data(value),
        ExprKind::Call { function, .. } => Parts::new("call").text(function),
        ExprKind::Cast { lenient, .. } => Parts::new("cast").data(lenient),
        ExprKind::Case { branches, .. } => Parts::new("case").hash(branches.len() as u64),
        ExprKind::And(_) => Parts::new("and"),
        ExprKind::Or(_) => Parts::new("or"),
        ExprKind::Not(_) => Parts::new("not"),
        ExprKind::IsNull(_) => Parts::new("is null"),
        ExprKind::Field { arg, index } => {
            let row = of_expr(arg, columns);
            let DataType::Row(fields) = &arg.ty.data else { return row };
            return of_field(row, &fields[*index].name);
        }
        ExprKind::Row(_) => Parts::new("row"),
        ExprKind::Array(_) => Parts::new("array"),
        ExprKind::Param(number) => Parts::new("param").data(number),
        ExprKind::Each { kind, first, arrays, .. } => {
            Parts::new("each").data(kind).data(first).hash(arrays.len() as u64)
        }
        ExprKind::Clock => Parts::new("clock"),
    };
    let children = expr.children().into_iter().map(|child| of_expr(child, columns));
    parts.data(&expr.ty.data).hashes(children).finish()
}

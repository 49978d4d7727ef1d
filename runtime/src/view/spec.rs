//! The views of a job graph, and the orders that their rows are kept in.

use std::sync::Arc;

use flow_ir::connector::{ANSWER, VIEW, VIEW_OF};
use flow_ir::ids::{StreamId, TableId};
use flow_ir::physical::{JobGraph, Materialize, PhysicalOp, Stream};
use flow_ir::row::RowLayout;
use flow_ir::types::Field;

/// A view.
#[derive(Clone, Debug)]
pub struct ViewSpec {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Field>,
    /// A unique key; empty: equal rows are counted.
    pub key: Vec<usize>,
    /// The stream that stands for it in the graph.
    pub stream: StreamId,
    /// The orders of its rows: the key's first, then the indexes'. None: its rows are not kept, and
    /// it can only be subscribed to; so it is with the answer of a query that runs as a job.
    pub orders: Vec<Order>,
    pub(super) layout: Arc<RowLayout>,
}

/// An order of a view's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Name of the index; `None`: the view's own.
    pub index: Option<String>,
    /// Columns of the order.
    pub keys: Vec<usize>,
    /// So many of them say in which key group a row lies.
    pub hashed: usize,
    /// Whether rows are counted.
    pub counted: bool,
    /// Where the rows are.
    pub table: TableId,
}

/// The views of a graph that `verify` accepted, in the order of its vertices.
///
/// # Errors
/// If the graph is not what the compiler makes.
pub fn views(graph: &JobGraph) -> Result<Vec<ViewSpec>, String> {
    let mut views: Vec<ViewSpec> = Vec::new();
    for vertex in &graph.vertices {
        let PhysicalOp::Sink(sink) = &vertex.op else { continue };
        let stream = graph.stream(sink.stream);
        if stream.connector == ANSWER {
            views.push(ViewSpec::of(stream, sink.stream, Vec::new()));
            continue;
        }
        if stream.connector != VIEW {
            continue;
        }
        let of = stream.option(VIEW_OF);
        let index = of.map(|_| stream.name.clone());
        let order = order(graph, sink.stream, index)?;
        if let Some(of) = of {
            let view = views.iter_mut().find(|v| v.name == of);
            let view = view.ok_or_else(|| format!("index {} is of no view", stream.name))?;
            view.orders.push(order);
            continue;
        }
        views.push(ViewSpec::of(stream, sink.stream, vec![order]));
    }
    Ok(views)
}

/// The order that feeds the sink of a stream.
fn order(graph: &JobGraph, stream: StreamId, index: Option<String>) -> Result<Order, String> {
    let feeds = |edge: &&flow_ir::physical::Edge| match &graph.vertices[edge.to.index()].op {
        PhysicalOp::Sink(sink) => sink.stream == stream,
        _ => false,
    };
    let edge = graph.edges.iter().find(feeds).ok_or("a view has no input")?;
    match &graph.vertices[edge.from.index()].op {
        PhysicalOp::Materialize(Materialize { keys, hashed, counted, rows }) => Ok(Order {
            index,
            keys: keys.clone(),
            hashed: *hashed,
            counted: *counted,
            table: *rows,
        }),
        other => Err(format!("a view is fed by {}", other.kind())),
    }
}

impl ViewSpec {
    fn of(stream: &Stream, id: StreamId, orders: Vec<Order>) -> Self {
        let columns = stream.columns.iter().map(|c| Field::new(c.name.clone(), c.ty.clone()));
        Self {
            name: stream.name.clone(),
            columns: columns.collect(),
            key: stream.primary_key.clone(),
            stream: id,
            orders,
            layout: Arc::new(RowLayout::new(stream.types())),
        }
    }

    /// The layout of its rows.
    pub fn layout(&self) -> &Arc<RowLayout> {
        &self.layout
    }
}

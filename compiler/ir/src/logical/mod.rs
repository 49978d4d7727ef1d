//! Logical plans: what a program computes, before it is decided how. An arena of nodes with one
//! struct per operator; a node may feed several others (views are shared sub-plans). What always
//! holds, and `compiler/src/optimize/verify.rs` checks: a node's schema is what its operator's rule
//! makes of its inputs' schemas; every column number is in range; sinks have no readers.

mod aggregate;
mod deduplicate;
mod filter;
mod identity;
mod join;
mod late;
mod materialize;
mod normalize;
mod over;
mod print;
mod project;
mod scan;
mod schema;
mod session;
mod sink;
mod text;
mod top_n;
mod union;
mod unnest;
mod window;

pub use aggregate::{Aggregate, Emission};
pub use deduplicate::Deduplicate;
pub use filter::Filter;
pub use identity::{Identity, identities};
pub use join::{Join, JoinClass};
pub use late::Late;
pub use materialize::Materialize;
pub use normalize::Normalize;
pub use over::Over;
pub use print::explain;
pub use project::Project;
pub use scan::{Scan, ScanKind};
pub use schema::{Changes, Hidden, Schema};
pub use session::Session;
pub use sink::Sink;
pub use text::{expr_text, value_text};
pub use top_n::TopN;
pub use union::Union;
pub use unnest::{Unnest, element_columns};
pub use window::Window;

use crate::expr::Expr;
use crate::ids::NodeId;
use crate::span::Span;

/// A program's queries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// All nodes ever made; those that no sink reaches are dead.
    pub nodes: Vec<Node>,
    /// The sinks, in program order.
    pub sinks: Vec<NodeId>,
    /// Rows keep the position of their record for as long as they come from one: some error
    /// policy sends records to a topic.
    pub keep_positions: bool,
    /// Sources make watermarks though no operator minds the time: the clock follows event time.
    pub keep_watermarks: bool,
}

/// An operator in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it does.
    pub op: LogicalOp,
    /// Where its rows come from, by port.
    pub inputs: Vec<NodeId>,
    /// What its rows look like: `op`'s rule over the inputs' schemas.
    pub schema: Schema,
    /// The part of the program it comes from.
    pub origin: Span,
    /// Hash of the sub-plan before optimisation (`identities`); passes keep it.
    pub identity: u64,
}

/// The operators.
#[derive(Clone, Debug, PartialEq)]
pub enum LogicalOp {
    /// Reads a stream or table.
    Scan(Scan),
    /// Keeps the rows for which a condition is TRUE.
    Filter(Filter),
    /// Computes columns.
    Project(Project),
    /// Makes rows of the elements of containers.
    Unnest(Unnest),
    /// Pairs rows of two relations.
    Join(Join),
    /// Adds a row per window (a window table function).
    Window(Window),
    /// Holds rows until their session is over, and adds its bounds.
    Session(Session),
    /// Aggregates per group, perhaps per window.
    Aggregate(Aggregate),
    /// Keeps one row per key.
    Deduplicate(Deduplicate),
    /// Keeps the first rows of each partition.
    TopN(TopN),
    /// Gives each row values computed from the rows around it.
    Over(Over),
    /// Turns the last-row-per-key records of a table into −old/+new.
    Normalize(Normalize),
    /// Keeps rows for readers.
    Materialize(Materialize),
    /// Passes on the rows of all inputs.
    Union(Union),
    /// Drops late rows.
    Late(Late),
    /// Writes a stream.
    Sink(Sink),
}

/// What every operator says about itself. Column numbers are the input's; a join's right columns
/// follow its left ones in expressions.
pub trait PlanNode {
    /// The schema rule.
    fn output(&self, inputs: &[&Schema]) -> Schema;

    /// Its scalar expressions.
    fn exprs(&self) -> Vec<&Expr> {
        Vec::new()
    }

    /// Its scalar expressions, to be rewritten in place.
    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        Vec::new()
    }

    /// What follows its name on its EXPLAIN line; empty when there is nothing to say.
    fn explain(&self, inputs: &[&Schema]) -> String;
}

macro_rules! each_op {
    ($op:expr, $node:ident => $body:expr) => {
        match $op {
            LogicalOp::Scan($node) => $body,
            LogicalOp::Filter($node) => $body,
            LogicalOp::Project($node) => $body,
            LogicalOp::Unnest($node) => $body,
            LogicalOp::Join($node) => $body,
            LogicalOp::Window($node) => $body,
            LogicalOp::Session($node) => $body,
            LogicalOp::Aggregate($node) => $body,
            LogicalOp::Deduplicate($node) => $body,
            LogicalOp::TopN($node) => $body,
            LogicalOp::Over($node) => $body,
            LogicalOp::Normalize($node) => $body,
            LogicalOp::Materialize($node) => $body,
            LogicalOp::Union($node) => $body,
            LogicalOp::Late($node) => $body,
            LogicalOp::Sink($node) => $body,
        }
    };
}

impl PlanNode for LogicalOp {
    fn output(&self, inputs: &[&Schema]) -> Schema {
        each_op!(self, node => node.output(inputs))
    }

    fn exprs(&self) -> Vec<&Expr> {
        each_op!(self, node => node.exprs())
    }

    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        each_op!(self, node => node.exprs_mut())
    }

    fn explain(&self, inputs: &[&Schema]) -> String {
        each_op!(self, node => node.explain(inputs))
    }
}

impl LogicalOp {
    /// The name of the operator's kind.
    pub fn kind(&self) -> &'static str {
        match self {
            LogicalOp::Scan(_) => "Scan",
            LogicalOp::Filter(_) => "Filter",
            LogicalOp::Project(_) => "Project",
            LogicalOp::Unnest(_) => "Unnest",
            LogicalOp::Join(join) => match join.class {
                JoinClass::Regular => "Join",
                JoinClass::Interval { .. } => "IntervalJoin",
                JoinClass::Window { .. } => "WindowJoin",
                JoinClass::Temporal { .. } => "TemporalJoin",
                JoinClass::Lookup => "LookupJoin",
            },
            LogicalOp::Window(_) => "Window",
            LogicalOp::Session(_) => "Session",
            LogicalOp::Aggregate(_) => "Aggregate",
            LogicalOp::Deduplicate(_) => "Deduplicate",
            LogicalOp::TopN(_) => "TopN",
            LogicalOp::Over(_) => "Over",
            LogicalOp::Normalize(_) => "Normalize",
            LogicalOp::Materialize(_) => "Materialize",
            LogicalOp::Union(_) => "Union",
            LogicalOp::Late(_) => "Late",
            LogicalOp::Sink(_) => "Sink",
        }
    }

    /// Number of inputs; `None`: any.
    pub fn arity(&self) -> Option<usize> {
        match self {
            LogicalOp::Scan(_) => Some(0),
            LogicalOp::Filter(_)
            | LogicalOp::Project(_)
            | LogicalOp::Unnest(_)
            | LogicalOp::Window(_)
            | LogicalOp::Session(_)
            | LogicalOp::Aggregate(_)
            | LogicalOp::Deduplicate(_)
            | LogicalOp::TopN(_)
            | LogicalOp::Over(_)
            | LogicalOp::Normalize(_)
            | LogicalOp::Materialize(_)
            | LogicalOp::Late(_)
            | LogicalOp::Sink(_) => Some(1),
            LogicalOp::Join(_) => Some(2),
            LogicalOp::Union(_) => None,
        }
    }
}

impl Plan {
    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// A node's schema.
    pub fn schema(&self, id: NodeId) -> &Schema {
        &self.nodes[id.index()].schema
    }

    /// Adds a node; its schema follows from its operator and inputs.
    pub fn add(&mut self, op: LogicalOp, inputs: Vec<NodeId>, origin: Span) -> NodeId {
        let schema = self.derive(&op, &inputs);
        self.nodes.push(Node { op, inputs, schema, origin, identity: 0 });
        NodeId::from(self.nodes.len() - 1)
    }

    /// Adds a sink.
    pub fn add_sink(&mut self, sink: Sink, input: NodeId, origin: Span) -> NodeId {
        let id = self.add(LogicalOp::Sink(sink), vec![input], origin);
        self.sinks.push(id);
        id
    }

    /// What `op` makes of these inputs.
    pub fn derive(&self, op: &LogicalOp, inputs: &[NodeId]) -> Schema {
        let schemas: Vec<&Schema> = inputs.iter().map(|&i| self.schema(i)).collect();
        op.output(&schemas)
    }

    /// The nodes that sinks reach, inputs before their readers; deterministic.
    pub fn order(&self) -> Vec<NodeId> {
        let mut seen = vec![false; self.nodes.len()];
        let mut order = Vec::new();
        for &sink in &self.sinks {
            // An explicit stack: plans may be deeper than the thread's.
            let mut stack = vec![(sink, false)];
            while let Some((id, expanded)) = stack.pop() {
                if expanded {
                    order.push(id);
                } else if !seen[id.index()] {
                    seen[id.index()] = true;
                    stack.push((id, true));
                    stack.extend(self.node(id).inputs.iter().rev().map(|&input| (input, false)));
                }
            }
        }
        order
    }

    /// How many inputs of live nodes each node feeds.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len()];
        for id in self.order() {
            for input in &self.node(id).inputs {
                readers[input.index()] += 1;
            }
        }
        readers
    }

    /// Derives all live schemas anew, after operators or inputs were changed.
    pub fn refresh(&mut self) {
        for id in self.order() {
            let node = self.node(id);
            let schema = self.derive(&node.op, &node.inputs);
            self.nodes[id.index()].schema = schema;
        }
    }

    /// Whether a node's rows each come from one record, before any exchange; or behind one from an
    /// operator that lets each record through by itself, with its watermark.
    pub fn in_source_pipeline(&self, mut id: NodeId) -> bool {
        loop {
            let node = self.node(id);
            match &node.op {
                LogicalOp::Scan(_) => return true,
                LogicalOp::Filter(_)
                | LogicalOp::Project(_)
                | LogicalOp::Unnest(_)
                | LogicalOp::Window(_)
                | LogicalOp::Late(_) => id = node.inputs[0],
                LogicalOp::Normalize(_) | LogicalOp::Deduplicate(_) => {
                    return node.schema.hidden(Hidden::Watermark).is_some();
                }
                LogicalOp::Join(_)
                | LogicalOp::Session(_)
                | LogicalOp::Aggregate(_)
                | LogicalOp::TopN(_)
                | LogicalOp::Over(_)
                | LogicalOp::Materialize(_)
                | LogicalOp::Union(_)
                | LogicalOp::Sink(_) => return false,
            }
        }
    }
}

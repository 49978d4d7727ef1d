//! Logical plan to job graph: vertices in topological order, chains of filters and projections in
//! one kernel each, exchanges before keyed operators, state tables with their keys and values as
//! `flow_ir::physical` lays them down. Makes no choices: those were made by the passes.

mod aggregate;
mod bounds;
mod chain;
mod explain;
mod join;
mod ranges;
mod ranked;
mod sessions;
mod since;
mod sites;
mod state;

use std::collections::{BTreeMap, HashMap, HashSet};

use flow_ir::ids::{NodeId, StreamId, VertexId};
use flow_ir::logical::{self, Changes, Identity, LogicalOp, Node, Plan, Scan, identities};
use flow_ir::physical::{
    Changelog, Edge, JobGraph, Late, Materialize, Normalize, Partitioning, PhysicalOp, Sink,
    SinkMode, Source, SourceFile, Stream, Union, Unnest, Vertex, WindowExpand,
};
use flow_ir::types::{Field, Type};

pub use bounds::{Bound, state_bounds, unbounded_state};
pub use explain::{explain_graph, explain_graph_with};

use crate::check::typed::TypedModule;
use crate::source::SourceMap;
use sites::Sites;

/// How long the table of a temporal join may be silent before it no longer holds time back.
const VERSIONED_IDLE_TIMEOUT: &str = "5 s";

/// The job graph of a plan. `name` is the job's; the module gives streams and settings, the sources
/// the texts. `asked_at`: of a question that is asked at this time, microseconds since 1970, after
/// which its clock begins; it begins to read streams where its filters let it.
pub fn lower(
    plan: &Plan,
    module: &TypedModule,
    sources: &SourceMap,
    name: &str,
    asked_at: Option<i64>,
) -> JobGraph {
    let files = sources.iter().map(|(_, file)| SourceFile {
        name: file.name().to_string(),
        text: file.text().to_string(),
    });
    let graph = JobGraph {
        name: name.to_string(),
        settings: module.settings.clone(),
        streams: Vec::new(),
        vertices: Vec::new(),
        edges: Vec::new(),
        tables: Vec::new(),
        sites: Vec::new(),
        sources: files.collect(),
    };
    let mut lowering = Lowering {
        plan,
        module,
        asked_at,
        graph,
        absorbed: chain::absorbed(plan),
        aggregated: sessions::aggregated(plan),
        lowered: HashMap::new(),
        streams: BTreeMap::new(),
        sites: Sites::new(sources),
        names: HashMap::new(),
        definitions: identities(plan),
        identities: HashSet::new(),
    };
    for id in plan.order() {
        lowering.node(id);
    }
    lowering.graph.sites = lowering.sites.finish();
    lowering.graph
}

struct Lowering<'a> {
    plan: &'a Plan,
    module: &'a TypedModule,
    asked_at: Option<i64>,
    graph: JobGraph,
    /// Filters and projections that are part of their reader's kernel.
    absorbed: Vec<bool>,
    /// The sessions whose rows an aggregate adds up as they come: by the aggregate.
    aggregated: HashMap<NodeId, (NodeId, logical::Session)>,
    /// The vertex that makes a node's output.
    lowered: HashMap<NodeId, VertexId>,
    /// The graph's streams by the module's relations.
    streams: BTreeMap<StreamId, StreamId>,
    sites: Sites<'a>,
    /// How many vertices have a name already.
    names: HashMap<String, usize>,
    /// What the nodes' columns are, as far as kept state is concerned.
    definitions: Vec<Identity>,
    /// Identities of vertices that keep state: each once.
    identities: HashSet<u64>,
}

/// What a vertex is made of, apart from its place.
struct Part<'a> {
    id: NodeId,
    node: &'a Node,
    name: String,
    op: PhysicalOp,
    columns: Vec<Field>,
    changelog: Changelog,
}

impl<'a> Lowering<'a> {
    fn node(&mut self, id: NodeId) {
        let node = self.plan.node(id);
        let vertex = match &node.op {
            LogicalOp::Filter(_) | LogicalOp::Project(_) if self.absorbed[id.index()] => return,
            LogicalOp::Filter(_) | LogicalOp::Project(_) => self.map(id),
            LogicalOp::Scan(scan) => self.scan(id, scan),
            LogicalOp::Join(join) => self.join(id, join),
            LogicalOp::Aggregate(aggregate) => self.aggregate(id, aggregate),
            LogicalOp::Window(window) => {
                let op = PhysicalOp::WindowExpand(WindowExpand {
                    time: window.time,
                    watermark: window.watermark,
                    window: window.window,
                    lateness: window.lateness,
                    site: Some(self.sites.site(node.origin)),
                });
                self.forward(id, op)
            }
            LogicalOp::Session(_) if self.aggregated.values().any(|(of, _)| *of == id) => return,
            LogicalOp::Session(session) => self.session(id, session),
            LogicalOp::Unnest(unnest) => {
                let logical::Unnest { columns, ordinality, outer } = unnest.clone();
                self.forward(id, PhysicalOp::Unnest(Unnest { columns, ordinality, outer }))
            }
            LogicalOp::Late(late) => {
                let site = self.sites.site(node.origin);
                let op = PhysicalOp::Late(Late {
                    stream: self.stream(late.stream),
                    time: late.time,
                    watermark: late.watermark,
                    position: late.position,
                    rule: late.rule,
                    site: Some(site),
                });
                self.forward(id, op)
            }
            LogicalOp::Union(_) => {
                let inputs = u8::try_from(node.inputs.len());
                let inputs = inputs.expect("the planner nests unions of more than 255 inputs");
                self.forward(id, PhysicalOp::Union(Union { inputs }))
            }
            LogicalOp::Deduplicate(dedup) => self.deduplicate(id, dedup),
            LogicalOp::TopN(top) => self.top_n(id, top),
            LogicalOp::Over(over) => self.over(id, over),
            LogicalOp::Normalize(normalize) => {
                let logical::Normalize { keys, tombstone, weight, watermark } = normalize.clone();
                let rows = match weight {
                    Some(_) => self.weights_table(node, &keys),
                    None => self.rows_table(node, &keys),
                };
                let op = Normalize { keys: keys.clone(), tombstone, weight, watermark, rows };
                self.keyed(id, PhysicalOp::Normalize(op), keys)
            }
            LogicalOp::Materialize(view) => self.materialize(id, view),
            LogicalOp::Sink(sink) => self.sink(id, sink),
        };
        self.lowered.insert(id, vertex);
    }

    fn materialize(&mut self, id: NodeId, view: &logical::Materialize) -> VertexId {
        let hashed = view.keys[..view.hashed].to_vec();
        let op = Materialize {
            keys: view.keys.clone(),
            hashed: view.hashed,
            counted: view.counted,
            rows: self.view_table(self.plan.node(id), view),
        };
        self.keyed(id, PhysicalOp::Materialize(op), hashed)
    }

    fn sink(&mut self, id: NodeId, sink: &logical::Sink) -> VertexId {
        let stream = self.stream(sink.stream);
        let op = Sink { stream, mode: sink.mode, keys: sink.keys.clone() };
        let (op, name) = (PhysicalOp::Sink(op), format!("sink-{}", sink.name));
        let vertex = self.vertex(self.part(id, name, op));
        let partitioning = match sink.mode {
            SinkMode::Upsert => Partitioning::Hash(sink.keys.clone()),
            SinkMode::Append | SinkMode::Changes => Partitioning::Forward,
        };
        let from = self.lowered[&self.plan.node(id).inputs[0]];
        self.edge(from, vertex, 0, partitioning);
        vertex
    }

    fn scan(&mut self, id: NodeId, scan: &Scan) -> VertexId {
        let node = self.plan.node(id);
        let watermark = scan.watermark.as_ref().map(|watermark| {
            let nullable = watermark.ty.with_nullable(true);
            self.sites.output_kernel(&node.schema.types(), watermark, &nullable)
        });
        let stream = self.stream(scan.stream);
        let (columns, ranges, since) = (scan.columns.clone(), self.ranges(id), self.since(id));
        let source = Source { stream, columns, watermark, ranges, since };
        let name = format!("source-{}", scan.name);
        let part = self.part(id, name, PhysicalOp::Source(source));
        self.vertex(part)
    }

    /// A stream's place in the graph; only those that are used have one.
    fn stream(&mut self, relation: StreamId) -> StreamId {
        if let Some(id) = self.streams.get(&relation) {
            return *id;
        }
        let id = StreamId::from(self.graph.streams.len());
        let stream: Stream = self.module.relations[relation.index()].stream.clone();
        self.graph.streams.push(stream);
        self.streams.insert(relation, id);
        id
    }

    /// The versions of a table may fall silent: unless told otherwise, they hold no one up then.
    fn may_fall_silent(&mut self, mut input: NodeId) {
        while let Some(&below) = self.plan.node(input).inputs.first() {
            input = below;
        }
        if let LogicalOp::Scan(scan) = &self.plan.node(input).op
            && scan.watermark.is_some()
        {
            let id = self.stream(scan.stream);
            let options = &mut self.graph.streams[id.index()].options;
            options.entry("idle.timeout".into()).or_insert_with(|| VERSIONED_IDLE_TIMEOUT.into());
        }
    }

    fn part(&self, id: NodeId, name: String, op: PhysicalOp) -> Part<'a> {
        let node = self.plan.node(id);
        let changelog = match node.schema.changes {
            Changes::Append | Changes::Upsert => Changelog::Append,
            Changes::Retract => Changelog::Retract,
        };
        Part { id, node, name, op, columns: node.schema.columns.clone(), changelog }
    }

    /// Adds a vertex.
    fn vertex(&mut self, part: Part<'_>) -> VertexId {
        let id = VertexId::from(self.graph.vertices.len());
        let identity = self.identity(&part);
        let count = self.names.entry(part.name.clone()).or_insert(0);
        *count += 1;
        let name = match *count {
            1 => part.name,
            count => format!("{}-{count}", part.name),
        };
        self.graph.vertices.push(Vertex {
            name,
            identity,
            op: part.op,
            columns: part.columns,
            changelog: part.changelog,
            span: part.node.origin,
        });
        id
    }

    /// A vertex's identity: of its sub-plan, and where it keeps state of the columns that are kept.
    fn identity(&mut self, part: &Part<'_>) -> u64 {
        let node = part.node.identity;
        if part.op.tables().is_empty() {
            return node;
        }
        let mut identity =
            Identity::keeping_columns(node, &self.definitions[part.id.index()].columns);
        // Sub-plans that are equal but were not shared must not share their state by name.
        while !self.identities.insert(identity) {
            identity = identity.wrapping_add(1);
        }
        identity
    }

    fn edge(&mut self, from: VertexId, to: VertexId, port: u8, partitioning: Partitioning) {
        self.graph.edges.push(Edge { from, to, port, partitioning });
    }

    /// A vertex that takes its inputs where they are.
    fn forward(&mut self, id: NodeId, op: PhysicalOp) -> VertexId {
        let vertex = self.vertex(self.part(id, snake(op.kind()), op));
        for (port, input) in (0u8..).zip(&self.plan.node(id).inputs) {
            self.edge(self.lowered[input], vertex, port, Partitioning::Forward);
        }
        vertex
    }

    /// A vertex whose one input is hashed by these columns.
    fn keyed(&mut self, id: NodeId, op: PhysicalOp, keys: Vec<usize>) -> VertexId {
        let vertex = self.vertex(self.part(id, snake(op.kind()), op));
        let from = self.lowered[&self.plan.node(id).inputs[0]];
        self.edge(from, vertex, 0, Partitioning::Hash(keys));
        vertex
    }

    /// Types of the columns that a vertex makes.
    fn types(&self, vertex: VertexId) -> Vec<Type> {
        self.graph.vertices[vertex.index()].columns.iter().map(|c| c.ty.clone()).collect()
    }
}

/// `WindowAggregate` as `window-aggregate`.
fn snake(kind: &str) -> String {
    let mut name = String::new();
    for c in kind.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

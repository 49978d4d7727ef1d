//! The job graph: the one door between compiler and runtime. Plain data; vertices stand in
//! topological order; every list is indexed by the id of its kind.

mod codec;
mod joins;
mod ops;
mod placed;
mod ranked;
mod stream;
mod verify;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use codec::{ArtifactError, FORMAT_VERSION, decode, encode};
pub use joins::*;
pub use ops::*;
pub use ranked::*;
pub use stream::*;
pub use verify::{InvalidGraph, verify};

use crate::connector::{VIEW, VIEW_JOB};
use crate::ids::{StreamId, VertexId};
use crate::row::key_hash;
use crate::span::Span;
use crate::types::Field;

/// A compiled program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobGraph {
    /// The job's name: letters, digits, `.`, `_` and `-`, 1 to 200 bytes.
    pub name: String,
    /// Settings that change what the job does, as SET and the command line gave them.
    pub settings: Settings,
    /// The streams and tables that it reads and writes.
    pub streams: Vec<Stream>,
    /// The operators, inputs before their readers.
    pub vertices: Vec<Vertex>,
    /// What flows where.
    pub edges: Vec<Edge>,
    /// The state tables of all operators.
    pub tables: Vec<TableSpec>,
    /// Places that run-time errors point to.
    pub sites: Vec<Site>,
    /// The program: file names and texts, in the order of their `FileId`s.
    pub sources: Vec<SourceFile>,
}

/// A source file of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Name as given.
    pub name: String,
    /// The text.
    pub text: String,
}

/// An expression that may fail at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Where it stands.
    pub span: Span,
    /// Line and column, from 1, for messages where the text is not at hand.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// Settings that belong to the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Shards of the job's state; fixed at its first start. Power of two, 1 to 256.
    pub shards: u32,
    /// An epoch is cut after this time, milliseconds.
    pub commit_interval_ms: u64,
    /// An epoch is cut after this many bytes of input.
    pub epoch_max_bytes: u64,
    /// An epoch is cut after this many input records.
    pub epoch_max_records: u64,
    /// A partition further ahead of another that has records is not read, microseconds.
    pub watermark_max_drift: i64,
    /// What happens where an expression fails or a record cannot be decoded.
    pub error_policy: ErrorPolicy,
    /// What PROCTIME() and NOW() give.
    pub clock: ClockSetting,
    /// IANA name of the session time zone.
    pub time_zone: String,
    /// Everything that SET gave and the runtime reads by name, such as `properties.*`.
    pub other: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shards: 8,
            commit_interval_ms: 100,
            epoch_max_bytes: 64 << 20,
            epoch_max_records: 1_000_000,
            watermark_max_drift: 60_000_000,
            error_policy: ErrorPolicy::Fail,
            clock: ClockSetting::System,
            time_zone: "UTC".to_string(),
            other: BTreeMap::new(),
        }
    }
}

/// What happens where an expression fails or a record cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorPolicy {
    /// The job stops before the commit.
    Fail,
    /// The row is left out and counted.
    Skip,
    /// The expression becomes NULL; a record that cannot be decoded is left out.
    Null,
    /// The source record goes to this topic, unchanged.
    DeadLetter(String),
}

/// The clock that PROCTIME() and NOW() read, once an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockSetting {
    /// The system's.
    System,
    /// The highest event time that the job has read.
    Event,
    /// A fixed instant, microseconds since 1970.
    Fixed(i64),
}

/// An operator in the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vertex {
    /// Short name for plans and metrics, unique in the graph.
    pub name: String,
    /// What it is: hash of its logical sub-plan before optimisation. State follows it from one
    /// version of a program to the next.
    pub identity: u64,
    /// What it does.
    pub op: PhysicalOp,
    /// Names and types of its output columns; hidden ones begin with `$`.
    pub columns: Vec<Field>,
    /// Whether its output may take rows back.
    pub changelog: Changelog,
    /// The part of the program it comes from.
    pub span: Span,
}

/// Which weights a relation's rows may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Changelog {
    /// All +1.
    Append,
    /// Rows may be taken back; an update is −old, +new in one epoch.
    Retract,
}

/// One input of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Who sends.
    pub from: VertexId,
    /// Who receives.
    pub to: VertexId,
    /// Which of the receiver's inputs this is, from 0.
    pub port: u8,
    /// Where each row goes.
    pub partitioning: Partitioning,
}

/// Where the rows of an edge go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Partitioning {
    /// They stay on the worker.
    Forward,
    /// To the worker that owns the shard of these columns' key.
    Hash(Vec<usize>),
}

/// The kind of a state table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TableKind {
    /// Key bytes to one row: a hash table.
    Point,
    /// Key bytes to one row, read by prefix and range.
    Ordered,
    /// One point table per window end; whole ends are dropped.
    Windowed,
}

/// A state table of an operator. Keys are key bytes; the values are rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSpec {
    /// The operator that owns it.
    pub owner: VertexId,
    /// What it is for, unique within the operator: `groups`, `left`, `timers`.
    pub role: String,
    /// Its kind.
    pub kind: TableKind,
    /// Columns that make the key proper (without prefixes such as a window's end).
    pub key: Vec<crate::types::Type>,
    /// Columns of the value rows.
    pub value: Vec<crate::types::Type>,
}

impl TableSpec {
    /// Hash of what its keys and rows are made of.
    pub fn layout(&self) -> u64 {
        key_hash(format!("{:?} {:?} {:?}", self.kind, self.key, self.value).as_bytes())
    }
}

impl JobGraph {
    /// The edges into a vertex, by port.
    pub fn inputs(&self, vertex: VertexId) -> Vec<&Edge> {
        let mut edges: Vec<_> = self.edges.iter().filter(|e| e.to == vertex).collect();
        edges.sort_by_key(|e| e.port);
        edges
    }

    /// The edges out of a vertex.
    pub fn outputs(&self, vertex: VertexId) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |e| e.from == vertex)
    }

    /// The map that alone reads a vertex, on the same worker: a scan does it as well.
    pub fn map_above(&self, vertex: VertexId) -> Option<(VertexId, &Map)> {
        let mut outputs = self.outputs(vertex);
        let (Some(edge), None) = (outputs.next(), outputs.next()) else { return None };
        let above = self.vertices.get(edge.to.index())?;
        let source = matches!(self.vertices.get(vertex.index())?.op, PhysicalOp::Source(_));
        match (&edge.partitioning, &above.op) {
            (Partitioning::Forward, PhysicalOp::Map(map)) if source => Some((edge.to, map)),
            _ => None,
        }
    }

    /// What identifies a table from one program to the next: its operator, its role, and what its
    /// keys and rows are made of.
    pub fn table_name(&self, table: &TableSpec) -> String {
        let vertex = &self.vertices[table.owner.index()];
        format!("{:016x}/{}/{:016x}", vertex.identity, table.role, table.layout())
    }

    /// The views of other jobs that it reads, as job and stream, each once.
    pub fn views_read(&self) -> Vec<(&str, &Stream)> {
        let mut read: Vec<(&str, &Stream)> = Vec::new();
        for vertex in &self.vertices {
            let PhysicalOp::Source(source) = &vertex.op else { continue };
            let stream = self.stream(source.stream);
            if let Some(job) = stream.option(VIEW_JOB).filter(|_| stream.connector == VIEW)
                && read.iter().all(|(of, known)| (*of, &known.name) != (job, &stream.name))
            {
                read.push((job, stream));
            }
        }
        read
    }

    /// The declaration of a stream.
    pub fn stream(&self, id: StreamId) -> &Stream {
        &self.streams[id.index()]
    }

    /// By stream, whether its rows come to an operator that goes by the clock: which must be told
    /// when they end, and so has to be given the time until then.
    pub fn streams_by_clock(&self) -> Vec<bool> {
        let mut by_clock: Vec<bool> =
            self.vertices.iter().map(|vertex| vertex.op.goes_by_clock()).collect();
        let mut streams = vec![false; self.streams.len()];
        for (i, vertex) in self.vertices.iter().enumerate().rev() {
            for edge in self.inputs(VertexId::from(i)) {
                by_clock[edge.from.index()] |= by_clock[i];
            }
            if let PhysicalOp::Source(source) = &vertex.op {
                streams[source.stream.index()] |= by_clock[i];
            }
        }
        streams
    }
}

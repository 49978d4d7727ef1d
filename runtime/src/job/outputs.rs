//! Where a job's records go: the target of each sink, and the topics that records are put aside to.
//! Topics that are missing are made, all in one request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flow_ir::connector::{ANSWER, VIEW};
use flow_ir::physical::{PhysicalOp, Stream};
use flow_schema::container::Codec;
use flow_schema::{CsvFormat, csv_format};
use flow_stdlib::interp::encode;

use super::assign::{FILES, is_container, topic_of};
use super::attempt::Attempt;
use crate::commit::{EpochRecord, Target};
use crate::connect::file::{FileSink, OcfSink, TextSink};
use crate::connect::{DELETED_HELP, Log, NewTopic, TopicInfo};
use crate::error::{Result, RuntimeError};
use crate::worker::Policies;

/// The topics that the attempts of a job have written, by name, with their identities: a topic that
/// is another one the next time was deleted in between, and what it held is lost.
#[derive(Default)]
pub(crate) struct Written(Mutex<BTreeMap<String, String>>);

impl Written {
    /// Notes topics that are about to be written.
    ///
    /// # Errors
    /// If one is not the one that was written before.
    pub(super) fn note(&self, log: &dyn Log, topics: &[TopicInfo]) -> Result<()> {
        let mut known = self.0.lock().unwrap_or_else(|e| e.into_inner());
        for TopicInfo { name, id, .. } in topics {
            let before = known.entry(name.clone()).or_insert_with(|| id.clone());
            if before != id {
                let at = log.describe_self();
                return Err(RuntimeError::user(format!(
                    "topic {name} was deleted while it was written: that of this name in {at} is \
                     another one"
                ))
                .with_help(DELETED_HELP));
            }
        }
        Ok(())
    }
}

/// Where records go.
pub(super) struct Outputs {
    /// By stream; `None` for one that no sink writes.
    pub(super) targets: Vec<Option<Target>>,
    /// Partitions of the topics that records are put aside to.
    pub(super) aside_partitions: BTreeMap<String, u32>,
}

impl Outputs {
    /// Opens what sinks write to, as the record says how far it was written.
    ///
    /// # Errors
    /// If a sink cannot join the home log's transaction, or a topic or file cannot be made.
    pub(super) fn open(
        attempt: &Attempt<'_>,
        home: &Arc<dyn Log>,
        record: Option<&EpochRecord>,
    ) -> Result<Self> {
        let graph = attempt.graph;
        let mut written: Vec<bool> = graph.streams.iter().map(|_| false).collect();
        for vertex in &graph.vertices {
            if let PhysicalOp::Sink(sink) = &vertex.op {
                written[sink.stream.index()] = true;
            }
        }
        let sinks = || graph.streams.iter().zip(&written).filter(|(_, w)| **w).map(|(s, _)| s);
        let mut wanted = Vec::new();
        for stream in sinks().filter(|stream| is_topic(stream)) {
            must_be_home(attempt, home, stream)?;
            let partitions = stream.option("topic.partitions").and_then(|n| n.parse().ok());
            want(topic_of(stream), partitions.unwrap_or(0), &mut wanted);
        }
        let policies = Policies::new(graph);
        for name in policies.topics() {
            want(name, 0, &mut wanted);
        }
        let made = home.create_topics(&wanted)?;
        attempt.written.note(&**home, &made)?;
        let made: BTreeMap<String, u32> =
            made.into_iter().map(|topic| (topic.name, topic.partitions)).collect();
        let targets = graph.streams.iter().zip(&written).map(|(stream, written)| {
            written.then(|| target(attempt, stream, record, &made)).transpose()
        });
        Ok(Self { targets: targets.collect::<Result<_>>()?, aside_partitions: made })
    }
}

/// Whether a stream's records go into a topic.
fn is_topic(stream: &Stream) -> bool {
    !matches!(stream.connector.as_str(), "blackhole" | "print" | FILES | VIEW | ANSWER)
}

/// Adds a topic, unless one of this name is there.
fn want(name: &str, partitions: u32, wanted: &mut Vec<NewTopic>) {
    if wanted.iter().all(|topic| topic.name != name) {
        let (name, config) = (name.to_string(), Vec::new());
        wanted.push(NewTopic { name, partitions, compacted: false, config });
    }
}

fn must_be_home(attempt: &Attempt<'_>, home: &Arc<dyn Log>, stream: &Stream) -> Result<()> {
    let log = attempt.world.logs.of(stream)?;
    if log.cluster() == home.cluster() {
        return Ok(());
    }
    let (name, there, here) = (&stream.name, log.describe_self(), home.describe_self());
    Err(RuntimeError::user(format!("stream {name} is on {there}, but this job commits on {here}"))
        .with_help("All outputs of a job must be on one cluster."))
}

fn target(
    attempt: &Attempt<'_>,
    stream: &Stream,
    record: Option<&EpochRecord>,
    partitions: &BTreeMap<String, u32>,
) -> Result<Target> {
    match stream.connector.as_str() {
        "blackhole" => Ok(Target::Nothing),
        VIEW | ANSWER => {
            let view = attempt.views.specs().iter().position(|view| view.name == stream.name);
            Ok(view.map_or(Target::Nothing, Target::View))
        }
        "print" => {
            let prefix = stream.option("print-identifier").unwrap_or(&stream.name);
            Ok(Target::Print { prefix: prefix.to_string() })
        }
        FILES => {
            let path = stream.option("path").unwrap_or_default();
            let sinks = record.map_or(&[][..], |r| &r.sinks);
            let committed = sinks.iter().find(|s| s.path == path).map_or(0, |s| s.bytes);
            Ok(Target::File(file_sink(stream, path, committed)?))
        }
        _ => {
            let name = topic_of(stream).to_string();
            let partitions = partitions.get(&name).copied();
            let partitions = partitions.ok_or_else(|| {
                RuntimeError::internal(format!("topic {name} was made and is not there"))
            })?;
            let epoch_header = stream.option("sink.epoch-header") == Some("true");
            Ok(Target::Topic { name, partitions, epoch_header })
        }
    }
}

fn file_sink(stream: &Stream, path: &str, committed: u64) -> Result<FileSink> {
    if !is_container(stream) {
        let header = csv_header(stream)?;
        return Ok(FileSink::Text(TextSink::open(path, committed, header.as_deref())?));
    }
    let refuse =
        |why: &str| RuntimeError::user(format!("stream {} cannot be written: {why}", stream.name));
    let codec = match stream.option("avro.codec") {
        Some(name) => Codec::named(name).ok_or_else(|| refuse("its codec is not known"))?,
        None => Codec::Snappy,
    };
    let schema = stream.schemas.value.as_ref().ok_or_else(|| refuse("it has no schema"))?;
    Ok(FileSink::Container(OcfSink::open(path, committed, &schema.schema, codec)?))
}

/// The first line of a file whose options want the columns' names there.
fn csv_header(stream: &Stream) -> Result<Option<Vec<u8>>> {
    if stream.value_format.as_deref() != Some("csv") {
        return Ok(None);
    }
    let CsvFormat { dialect, names } = csv_format(stream, "value").map_err(|why| {
        RuntimeError::user(format!("stream {} cannot be written: {why}", stream.name))
    })?;
    let mut line = Vec::new();
    encode::csv_header(&dialect, names.iter().map(String::as_str), &mut line);
    Ok(dialect.header.then_some(line))
}

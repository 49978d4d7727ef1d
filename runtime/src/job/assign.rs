//! Which partitions a job reads, from where, and which worker reads which.

use std::path::Path;
use std::sync::Arc;

use flow_ir::connector::{VIEW, is_bounded, is_generated, parse_duration};
use flow_ir::ids::StreamId;
use flow_ir::physical::{JobGraph, PhysicalOp, Stream};
use flow_schema::csv_dialect;

use super::discovery::Found;
use super::first::First;
use super::floor::Feeding;
use super::read_views::ReadView;
use super::{lost, start};
use crate::commit::{EpochRecord, InputPosition};
use crate::connect::file::{FileReader, FileSchemas, OcfReader, STANDARD, Split, files, identity};
use crate::connect::generate::Generated;
use crate::connect::{Log, OffsetQuery, Reader, TopicInfo};
use crate::error::{Result, RuntimeError};
use crate::worker::{Input, Inputs};
use crate::world::{Clock, World};

/// What `InputPosition::cluster` says of files.
pub(crate) const FILES: &str = "file";

/// What it says of streams that make their records.
const GENERATED: &str = "generated";

/// The connector of test cases: what is there at the first start is all there is.
const CASES: &str = "case";

/// How long the table side of a temporal join may be silent before it stops holding time back,
/// milliseconds, where 'idle.timeout' does not say otherwise.
const TABLE_IDLE_TIMEOUT_MS: u64 = 5_000;

/// A partition that the job reads.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) stream: StreamId,
    pub(crate) position: InputPosition,
    /// It joins in with a watermark that none of its own rows has raised.
    joins: bool,
    pub(crate) timed: bool,
    idle_timeout_ms: Option<u64>,
    /// Read to its end before any other: a table without time, complete before it is joined.
    first: bool,
    /// The first offset that its log still has; `None` where older ones are not missed.
    pub(super) log_start: Option<i64>,
    /// Of a view of another job: the number of its table there.
    table: Option<u32>,
}

/// The topic of a stream.
pub(crate) fn topic_of(stream: &Stream) -> &str {
    stream.option("topic").unwrap_or(&stream.name)
}

/// The partitions of all streams that the graph reads: as the record says, else as the streams'
/// options say, with bounds resolved now.
///
/// # Errors
/// If a topic or file is missing, or is not the one that the record speaks of.
pub(crate) fn partitions(
    graph: &JobGraph,
    world: &World,
    record: Option<&EpochRecord>,
) -> Result<Vec<Partition>> {
    let logs = &*world.logs;
    let mut all = Vec::new();
    let mut floor = vec![i64::MIN; graph.streams.len()];
    Feeding::new(graph).raise(&mut floor, &start::marks(graph, record));
    for (i, stream) in graph.streams.iter().enumerate() {
        let id = StreamId::from(i);
        let sources = graph.vertices.iter().filter_map(|vertex| {
            let PhysicalOp::Source(source) = &vertex.op else { return None };
            Some(source)
        });
        let scans: Vec<_> = sources.filter(|source| source.stream == id).collect();
        if scans.is_empty() {
            continue;
        }
        let timed = scans.iter().any(|s| s.watermark.is_some());
        let is_table_side = feeds_temporal_table(graph, id);
        // Without time there is none to hold back.
        let idle_timeout_ms = idle_timeout(stream, is_table_side).filter(|_| timed);
        let ends = is_bounded(&stream.connector, |name| stream.option(name));
        let is_log = stream.connector != FILES && !is_generated(&stream.connector);
        let first = is_table_side && !timed && ends && !is_log;
        let join_at = if timed { floor[i] } else { i64::MIN };
        let mut table = None;
        let positions = match stream.connector.as_str() {
            FILES => {
                let positions = file_positions(stream, record)?;
                positions.into_iter().map(|position| (position, None)).collect()
            }
            connector if is_generated(connector) => {
                let positions = generated_positions(stream, record, &*world.clock)?;
                positions.into_iter().map(|position| (position, None)).collect()
            }
            VIEW => {
                let log = logs.of(stream)?;
                let view = ReadView::find(stream, &log)?;
                table = Some(view.table);
                let before = known(stream, record).cloned().collect();
                let positions = view.positions(stream, &log, before)?;
                positions.into_iter().map(|position| (position, None)).collect()
            }
            _ => {
                let since = scans.iter().map(|scan| scan.since).collect::<Option<Vec<i64>>>();
                let since = since.and_then(|all| all.into_iter().min());
                topic_positions(stream, &logs.of(stream)?, record, join_at, since)?
            }
        };
        let before = known(stream, record).count();
        let partition = |(number, (position, log_start)): (usize, _)| Partition {
            stream: id,
            position,
            joins: before > 0 && number >= before,
            timed,
            idle_timeout_ms,
            first,
            log_start,
            table,
        };
        all.extend(positions.into_iter().enumerate().map(partition));
    }
    Ok(all)
}

/// By stream: of a view of another job, the number of its table there.
pub(crate) fn view_tables(graph: &JobGraph, partitions: &[Partition]) -> Vec<Option<u32>> {
    let of = |i: usize| partitions.iter().find(|p| p.stream.index() == i)?.table;
    (0..graph.streams.len()).map(of).collect()
}

/// Warns of records that the inputs no longer have. `before` is the last record of the job, also
/// if it is forgotten now.
pub(crate) fn warn_of_lost(
    graph: &JobGraph,
    partitions: &[Partition],
    before: Option<&EpochRecord>,
) {
    let before = before.map_or(&[][..], |record| &record.inputs);
    for (i, stream) in graph.streams.iter().enumerate() {
        let ours = partitions.iter().filter(|p| p.stream.index() == i);
        let now = ours.filter_map(|p| Some((&p.position, p.log_start?)));
        if let Some(warning) = lost::read(stream, now, before) {
            tracing::warn!("{warning}");
        }
    }
}

/// Whether a job reads standard input, which cannot be read a second time.
pub fn reads_standard_input(graph: &JobGraph) -> bool {
    graph.vertices.iter().any(|vertex| {
        let PhysicalOp::Source(source) = &vertex.op else { return false };
        let stream = graph.stream(source.stream);
        stream.connector == FILES && stream.option("path") == Some(STANDARD)
    })
}

fn idle_timeout(stream: &Stream, is_table_side: bool) -> Option<u64> {
    let given = stream.option("idle.timeout").and_then(parse_duration);
    let given = given.map(|micros| (micros / 1_000).max(1) as u64);
    given.or_else(|| is_table_side.then_some(TABLE_IDLE_TIMEOUT_MS))
}

/// Whether a stream is the table side of a temporal or lookup join.
fn feeds_temporal_table(graph: &JobGraph, id: StreamId) -> bool {
    let mut fed = vec![false; graph.vertices.len()];
    for (i, vertex) in graph.vertices.iter().enumerate() {
        fed[i] = if let PhysicalOp::Source(source) = &vertex.op {
            source.stream == id
        } else {
            graph.edges.iter().any(|e| e.to.index() == i && fed[e.from.index()])
        };
        let is_join = matches!(vertex.op, PhysicalOp::TemporalJoin(_) | PhysicalOp::LookupJoin(_));
        let right = |e: &flow_ir::physical::Edge| e.to.index() == i && e.port == 1;
        if is_join && graph.edges.iter().any(|e| right(e) && fed[e.from.index()]) {
            return true;
        }
    }
    false
}

fn known<'a>(
    stream: &'a Stream,
    record: Option<&'a EpochRecord>,
) -> impl Iterator<Item = &'a InputPosition> {
    let inputs = record.map_or(&[][..], |r| &r.inputs);
    inputs.iter().filter(move |i| i.stream == stream.name)
}

/// The files of a stream: as they were listed at the first start.
fn file_positions(stream: &Stream, record: Option<&EpochRecord>) -> Result<Vec<InputPosition>> {
    let path = stream.option("path").unwrap_or_default();
    let before: Vec<InputPosition> = known(stream, record).cloned().collect();
    if before.is_empty() {
        let files = files(path)?.into_iter().enumerate();
        return files.map(|(number, file)| file_position(stream, file, number as u32)).collect();
    }
    for position in &before {
        let file = &position.topic;
        let is_ours = file == path || Path::new(file).starts_with(path);
        if !is_ours || identity(file)? != position.topic_id {
            let message = format!("the file {file} is not the one that this job began to read");
            return Err(RuntimeError::user(message)
                .with_help("Put the file back as it was, or start anew with --fresh."));
        }
    }
    Ok(before)
}

fn file_position(stream: &Stream, file: String, partition: u32) -> Result<InputPosition> {
    Ok(InputPosition {
        stream: stream.name.clone(),
        cluster: FILES.to_string(),
        topic_id: identity(&file)?,
        topic: file,
        partition,
        start: 0,
        offset: 0,
        watermark: i64::MIN,
        bound: None,
        ended: false,
        idle: false,
    })
}

/// The partitions of a stream that makes its records.
fn generated_positions(
    stream: &Stream,
    record: Option<&EpochRecord>,
    clock: &dyn Clock,
) -> Result<Vec<InputPosition>> {
    let generated = Generated::new(stream)?;
    let before: Vec<InputPosition> = known(stream, record).cloned().collect();
    if let Some(other) = before.first() {
        if before.iter().all(|p| p.cluster == GENERATED && generated.is(&p.topic_id)) {
            return Ok(before);
        }
        let message = format!(
            "stream {} makes other records than those that this job began with ({})",
            stream.name, other.topic_id
        );
        return Err(RuntimeError::user(message)
            .with_help("Put its options back as they were, or start anew with --fresh."));
    }
    let topic_id = generated.identity(clock);
    let position = |partition: u32| InputPosition {
        stream: stream.name.clone(),
        cluster: GENERATED.to_string(),
        topic: stream.connector.clone(),
        topic_id: topic_id.clone(),
        partition,
        start: i64::from(partition),
        offset: i64::from(partition),
        watermark: i64::MIN,
        bound: generated.numbers.count.and_then(|count| i64::try_from(count).ok()),
        ended: false,
        idle: false,
    };
    Ok((0..generated.numbers.partitions).map(position).collect())
}

/// Partitions that were found while the job runs. They begin with their first records, at the time
/// that their stream has passed on.
pub(crate) fn joining(
    graph: &JobGraph,
    all: &[Partition],
    found: &Found,
    floor: &[i64],
) -> Vec<Partition> {
    let stream = graph.stream(found.stream);
    let known = all.iter().filter(|p| p.stream == found.stream);
    let Some(other) = known.clone().next() else { return Vec::new() };
    let watermark = if other.timed { floor[found.stream.index()] } else { i64::MIN };
    let partition = |(number, &first): (u32, &i64)| Partition {
        position: InputPosition {
            watermark,
            ..fresh(stream, &found.log, &found.topic, number, first)
        },
        joins: true,
        log_start: Some(first),
        ..other.clone()
    };
    // The log may have been asked for offsets a moment after it was asked for the topic.
    let firsts = (0..found.topic.partitions).zip(&found.firsts);
    firsts.skip(known.count()).map(partition).collect()
}

/// Where each partition of a topic is read on, with its first offset. Partitions that were added
/// since the record join in with a watermark.
fn topic_positions(
    stream: &Stream,
    log: &Arc<dyn Log>,
    record: Option<&EpochRecord>,
    join_at: i64,
    since: Option<i64>,
) -> Result<Vec<(InputPosition, Option<i64>)>> {
    let topic = topic_of(stream);
    let info = log.topic(topic)?.ok_or_else(|| {
        RuntimeError::user(format!(
            "stream {}: there is no topic {topic} in {}",
            stream.name,
            log.describe_self()
        ))
        .with_help("Create it, or correct the option 'topic'.")
    })?;
    let mut before: Vec<InputPosition> = known(stream, record).cloned().collect();
    if let Some(other) = before.iter().find(|p| p.topic != topic || p.topic_id != info.id) {
        return Err(other_topic(&stream.name, topic, &other.topic));
    }
    let firsts = log.offsets(topic, OffsetQuery::Earliest)?;
    let positions = if before.is_empty() {
        first_positions(log, &First { stream, log: &**log, topic: &info, firsts: &firsts, since })?
    } else {
        if let Some(warning) = lost::unread(stream, &mut before, &firsts)? {
            tracing::warn!("{warning}");
        }
        // Partitions that were added since join in at their beginning, unless the stream ends with
        // what its bounds say.
        let is_bounded = before.iter().all(|p| p.bound.is_some());
        let until = if is_bounded { 0 } else { info.partitions };
        let added = before.len() as u32..until;
        let added = added.map(|p| InputPosition {
            watermark: join_at,
            ..fresh(stream, log, &info, p, firsts[p as usize])
        });
        before.extend(added.collect::<Vec<_>>());
        before
    };
    let with_first = |p: InputPosition| {
        let first = firsts.get(p.partition as usize).copied();
        (p, first)
    };
    Ok(positions.into_iter().map(with_first).collect())
}

/// A topic has the name of the one that a stream read `before`, and is another one.
pub(super) fn other_topic(stream: &str, topic: &str, before: &str) -> RuntimeError {
    RuntimeError::user(format!(
        "stream {stream}: topic {topic} is not the one that this job began to read ({before})"
    ))
    .with_help("The topic was deleted and made again, or renamed: start anew with --fresh.")
}

/// Where a first start begins, and ends if it is bounded.
fn first_positions(log: &Arc<dyn Log>, first: &First<'_>) -> Result<Vec<InputPosition>> {
    let (stream, info) = (first.stream, first.topic);
    let starts = first.starts()?;
    let bounds = match stream.connector.as_str() {
        CASES => Some(log.offsets(&info.name, OffsetQuery::End)?),
        _ => first.bounds(&starts)?,
    };
    let position = |p: u32| {
        let bound = bounds.as_ref().map(|bounds| bounds[p as usize]);
        InputPosition { bound, ..fresh(stream, log, info, p, starts[p as usize]) }
    };
    Ok((0..info.partitions).map(position).collect())
}

/// A partition that was not read yet, from an offset on.
pub(super) fn fresh(
    stream: &Stream,
    log: &Arc<dyn Log>,
    info: &TopicInfo,
    partition: u32,
    start: i64,
) -> InputPosition {
    InputPosition {
        stream: stream.name.clone(),
        cluster: log.cluster(),
        topic: info.name.clone(),
        topic_id: info.id.clone(),
        partition,
        start,
        offset: start,
        watermark: i64::MIN,
        bound: None,
        ended: false,
        idle: false,
    }
}

/// Deals partitions out to workers: each stream's in turn, so that all of them get some.
pub(crate) fn deal(partitions: &[Partition], workers: usize) -> Vec<Vec<usize>> {
    let mut hands = vec![Vec::new(); workers];
    for index in 0..partitions.len() {
        hands[index % workers].push(index);
    }
    hands
}

/// The inputs of one worker, with their readers: one a file or a part of a generated stream; one a
/// log, or as many as there are streams of the same topic, since a reader has a partition once.
///
/// # Errors
/// If a topic or file cannot be read.
pub(crate) fn open(
    graph: &JobGraph,
    partitions: &[Partition],
    hand: &[usize],
    world: &World,
) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    let mut of_logs = Vec::new();
    for &index in hand {
        let position = &partitions[index].position;
        let input = input(index, &partitions[index]);
        if input.ended {
            inputs.add_ended(input);
        } else if position.cluster == FILES {
            let reader = file_reader(graph.stream(input.stream), position)?;
            inputs.add_with_reader(input, reader);
        } else if position.cluster == GENERATED {
            let generated = Generated::new(graph.stream(input.stream))?;
            let clock = world.clock.clone();
            let reader = generated.reader(&position.topic_id, position.offset, clock)?;
            inputs.add_with_reader(input, Box::new(reader));
        } else {
            let log = world.logs.of(graph.stream(input.stream))?;
            of_logs.push((input, log));
        }
    }
    inputs.add(of_logs)?;
    Ok(inputs)
}

/// A reader of a stream's file.
fn file_reader(stream: &Stream, position: &InputPosition) -> Result<Box<dyn Reader>> {
    let (file, from) = (&position.topic, position.offset);
    Ok(match is_container(stream) {
        true => Box::new(OcfReader::open(file, from)?),
        false => Box::new(FileReader::open(file, from, split_of(stream)?)?),
    })
}

/// Whether a stream's files are Avro's containers.
pub(crate) fn is_container(stream: &Stream) -> bool {
    stream.connector == FILES && stream.value_format.as_deref() == Some("avro")
}

/// The schemas of the container files among these partitions that a stream has.
pub(crate) fn file_schemas(id: StreamId, partitions: &[Partition]) -> Result<FileSchemas> {
    let own = partitions.iter().filter(|p| p.stream == id);
    FileSchemas::read(own.map(|p| p.position.topic.as_str()))
}

/// How the text of a stream's files is split.
fn split_of(stream: &Stream) -> Result<Split> {
    match stream.value_format.as_deref() {
        Some("csv") => csv_dialect(stream, "value").map(Split::Csv).map_err(|(name, takes)| {
            RuntimeError::user(format!("stream {}: '{name}' takes {takes}", stream.name))
        }),
        Some("raw") => Ok(Split::Whole),
        Some(_) | None => Ok(Split::Lines),
    }
}

/// A partition as a worker reads it.
pub(crate) fn input(index: usize, partition: &Partition) -> Input {
    let position = &partition.position;
    Input {
        index,
        stream: partition.stream,
        topic: position.topic.clone(),
        partition: position.partition,
        offset: position.offset,
        bound: position.bound,
        watermark: position.watermark,
        own_watermark: if partition.joins { i64::MIN } else { position.watermark },
        ended: position.ended,
        idle: position.idle,
        idle_timeout_ms: partition.idle_timeout_ms,
        first: partition.first,
    }
}

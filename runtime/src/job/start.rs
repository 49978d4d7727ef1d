//! The start of an attempt: the log's truth first, then everything else is brought to it.
//!
//! 1. The writer is made: whatever an earlier process left open is settled, and it is fenced.
//! 2. The last epoch record is read; a start from nothing forgets it, and all state with it.
//! 3. The program is compared with the one that the record speaks of.
//! 4. The local store is brought to the record (`restore`).
//! 5. Partitions are as the record says, at first start as the options say.
//! 6. Output topics are made where they are missing.
//!
//! What waits for brokers goes on side by side where neither needs the other: 1 beside the internal
//! topics, 4 beside 6.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flow_ir::connector::{is_avro, is_generated};
use flow_ir::ids::StreamId;
use flow_ir::kernel::Record;
use flow_ir::physical::{JobGraph, Stream, Vertex};
use flow_ir::row::key_hash;
use flow_registry::Registry;

use super::assign::{self, FILES, Partition};
use super::attempt::Attempt;
use super::begun;
use super::outputs::Outputs;
use super::restore::{Changelog, open_store};
use crate::commit::{CommitState, Committer, CrashPoint, EpochRecord, RECORD_VERSION, TableEntry};
use crate::connect::{Assignment, Log, NewTopic, OffsetQuery, Outgoing, TopicInfo, Writer};
use crate::error::{Result, RuntimeError, Who};
use crate::metrics::{Metrics, PartitionMetrics};
use crate::state::Disk;
use crate::view::At;
use crate::world::Clock;

/// Everything that an attempt works with.
pub(crate) struct Started {
    pub(crate) record: Option<EpochRecord>,
    /// Table numbers in state keys, by `TableId`.
    pub(crate) numbers: Vec<u32>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) partitions: Vec<Partition>,
    /// By vertex: the watermark that it got before.
    pub(crate) marks: Vec<i64>,
    pub(crate) registries: Arc<Vec<Option<Arc<dyn Registry>>>>,
    /// By stream: of a view of another job, the number of its table there.
    pub(crate) view_tables: Arc<Vec<Option<u32>>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) committer: Committer,
    /// What every record of this attempt has in common.
    pub(crate) template: EpochRecord,
}

/// The internal topics of a job, as they are.
struct Internal {
    epochs: TopicInfo,
    changelog: TopicInfo,
}

/// Prepares an attempt.
///
/// # Errors
/// If something is missing, changed or unreachable; the message says what and what to do.
pub(crate) fn start(attempt: &Attempt<'_>) -> Result<Started> {
    let (graph, world) = (attempt.graph, attempt.world);
    let home = world.logs.home()?;
    let id = writer_id(&graph.name);
    let store_folder = attempt.config.state_dir.join("store");
    let Begun { internal, writer, record, forgotten } = begin(attempt, &home, &id, &store_folder)?;
    attempt.written.note(&*home, &[internal.epochs.clone(), internal.changelog.clone()])?;
    check_standing(attempt, &home, &internal, record.as_ref())?;
    let directory = directory(graph, record.as_ref());
    let numbers: Vec<u32> =
        graph.tables.iter().map(|t| directory[&graph.table_name(t)].number).collect();
    let partitions = assign::partitions(graph, world, record.as_ref())?;
    assign::warn_of_lost(graph, &partitions, record.as_ref().or(forgotten.as_ref()));
    let metrics = show_metrics(attempt, &partitions);
    let changelog_from = changelog_from(&home, &internal, record.as_ref())?;
    let changelog = Changelog {
        log: &home,
        topic: &internal.changelog.name,
        id: &internal.changelog.id,
        shards: graph.settings.shards,
        from: &changelog_from,
        specs: &graph.tables,
        numbers: &numbers,
    };
    let (now, shown) = (world.clock.now_micros(), (&*metrics, &**attempt.views));
    let (store, outputs) = both(
        || open_store(&store_folder, record.as_ref(), &changelog, now, shown),
        || Outputs::open(attempt, &home, record.as_ref()),
    )?;
    let (disk, position) = store;
    attempt.views.offer(&numbers, standing(record.as_ref(), &partitions));
    let committer = Committer {
        state: idle(record.as_ref(), &*world.clock),
        writer,
        targets: outputs.targets,
        aside_partitions: outputs.aside_partitions,
        epochs_topic: internal.epochs.name,
        changelog_topic: internal.changelog.name,
        shards: graph.settings.shards,
        group: format!("flow-{}", graph.name),
        home_cluster: home.cluster(),
        disk: disk.clone(),
        views: attempt.views.clone(),
        position,
        metrics: metrics.clone(),
        clock: world.clock.clone(),
        printer: world.printer.clone(),
        started_ms: attempt.started_ms,
        crash: CrashPoint::from_environment(),
    };
    let changelog = (internal.changelog.id, changelog_from);
    Ok(Started {
        marks: marks(graph, record.as_ref()),
        template: template(graph, directory, changelog),
        registries: Arc::new(registries(attempt, &partitions)?),
        view_tables: Arc::new(assign::view_tables(graph, &partitions)),
        record,
        numbers,
        disk,
        partitions,
        metrics,
        committer,
    })
}

/// What the log says first.
struct Begun {
    internal: Internal,
    writer: Box<dyn Writer>,
    /// The last epoch record; none at a first start and at one from nothing.
    record: Option<EpochRecord>,
    /// The last one of what a start from nothing forgets.
    forgotten: Option<EpochRecord>,
}

/// Steps 1 and 2.
fn begin(
    attempt: &Attempt<'_>,
    home: &Arc<dyn Log>,
    id: &str,
    store_folder: &Path,
) -> Result<Begun> {
    let graph = attempt.graph;
    if attempt.fresh {
        let mut writer = home.writer(id)?;
        let forgotten = forget(attempt, home, &mut *writer, store_folder)?;
        let internal = internal_topics(home, graph)?;
        return Ok(Begun { internal, writer, record: None, forgotten });
    }
    let (internal, writer) = both(|| internal_topics(home, graph), || home.writer(id))?;
    let record = last_record(home, &internal.epochs.name)?;
    Ok(Begun { internal, writer, record, forgotten: None })
}

/// Makes a start from nothing: epochs, also unreadable ones, views and state are forgotten. Returns
/// the last epoch record, if it could be read.
fn forget(
    attempt: &Attempt<'_>,
    home: &Arc<dyn Log>,
    writer: &mut dyn Writer,
    store_folder: &Path,
) -> Result<Option<EpochRecord>> {
    let [epochs, changelog] = internal_names(&attempt.graph.name);
    let mut forgotten = None;
    if home.topic(&epochs)?.is_some() {
        forgotten = last_record(home, &epochs).ok().flatten();
        // From here on nothing refers to what the changelog holds.
        forget_epochs(writer, &epochs)?;
    }
    attempt.views.close();
    remove_store(store_folder)?;
    delete_if_allowed(home, &[&changelog])?;
    Ok(forgotten)
}

/// Deletes internal topics of a job that nothing refers to. A log that does not let us keeps them:
/// they only take its room.
pub(super) fn delete_if_allowed(home: &Arc<dyn Log>, names: &[&str]) -> Result<()> {
    match home.delete_topics(names) {
        Err(error) if error.who == Who::User => {
            tracing::warn!("{} stay, with nothing that is needed: {error}", names.join(" and "));
            Ok(())
        }
        other => other,
    }
}

/// The transactional id of a job's writer.
pub(super) fn writer_id(job: &str) -> String {
    format!("flow-{job}-0")
}

/// The internal topics of a job: its epochs, and its changelog.
pub(super) fn internal_names(job: &str) -> [String; 2] {
    [format!("flow.{job}.epochs"), format!("flow.{job}.changelog")]
}

/// Where the records of this job's changelog begin.
fn changelog_from(
    home: &Arc<dyn Log>,
    internal: &Internal,
    record: Option<&EpochRecord>,
) -> Result<Vec<i64>> {
    match record {
        Some(record) => Ok(record.changelog_from.clone()),
        None => home.offsets(&internal.changelog.name, OffsetQuery::End),
    }
}

/// The committer's state before the first epoch.
fn idle(record: Option<&EpochRecord>, clock: &dyn Clock) -> CommitState {
    let committed = record.map_or(0, |record| record.epoch);
    CommitState::Idle { committed, at_ms: clock.monotonic_ms(), carries: false }
}

/// What the watermark of each vertex had reached.
pub(super) fn marks(graph: &JobGraph, record: Option<&EpochRecord>) -> Vec<i64> {
    let mark = |v: &Vertex| record.and_then(|r| r.marks.get(&mark_name(v)).copied());
    graph.vertices.iter().map(|v| mark(v).unwrap_or(i64::MIN)).collect()
}

/// Does two things at the same time that wait for others. Of two errors the first's is told.
fn both<A, B: Send>(
    here: impl FnOnce() -> Result<A>,
    there: impl FnOnce() -> Result<B> + Send,
) -> Result<(A, B)> {
    std::thread::scope(|scope| {
        let span = tracing::Span::current();
        let there = std::thread::Builder::new()
            .name("start".into())
            .spawn_scoped(scope, move || span.in_scope(there))
            .map_err(|e| RuntimeError::external(format!("no thread for the start: {e}")))?;
        let here = here();
        let panicked = |_| Err(RuntimeError::internal("a part of the start panicked"));
        let there = there.join().unwrap_or_else(panicked);
        Ok((here?, there?))
    })
}

/// What the job has read before this attempt.
fn standing(record: Option<&EpochRecord>, partitions: &[Partition]) -> At {
    At {
        epoch: record.map_or(0, |r| r.epoch),
        inputs: partitions.iter().map(|p| p.position.clone()).collect(),
        finished: record.is_some_and(|r| r.finished),
    }
}

/// Counters for the partitions of this attempt, shown from now on.
fn show_metrics(attempt: &Attempt<'_>, partitions: &[Partition]) -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::new(attempt.graph));
    metrics.restarts.set(attempt.restarts);
    metrics.add_partitions(partitions.iter().map(partition_metrics));
    *attempt.shown.write().unwrap_or_else(|e| e.into_inner()) = metrics.clone();
    metrics
}

/// What every record of this attempt has in common. The changelog is given by its identity and
/// where its records of this job begin.
fn template(
    graph: &JobGraph,
    directory: BTreeMap<String, TableEntry>,
    (changelog, changelog_from): (String, Vec<i64>),
) -> EpochRecord {
    EpochRecord {
        version: RECORD_VERSION,
        epoch: 0,
        fingerprint: fingerprint(graph),
        inputs: Vec::new(),
        sinks: Vec::new(),
        clock: i64::MIN,
        shards: graph.settings.shards,
        directory,
        marks: BTreeMap::new(),
        changelog,
        changelog_from,
        host: host_name(),
        pid: std::process::id(),
        finished: false,
    }
}

pub(super) fn remove_store(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(folder).map_err(|e| {
        RuntimeError::user(format!("the old state in {} cannot be removed: {e}", folder.display()))
    })
}

fn internal_topics(home: &Arc<dyn Log>, graph: &JobGraph) -> Result<Internal> {
    let compacted = |name: String, partitions| NewTopic {
        name,
        partitions,
        compacted: true,
        config: vec![("delete.retention.ms".into(), (7 * 24 * 3_600 * 1_000).to_string())],
    };
    let shards = graph.settings.shards;
    let [epochs, changelog] = internal_names(&graph.name);
    let made = home.create_topics(&[compacted(epochs, 1), compacted(changelog, shards)])?;
    let [epochs, changelog] = <[TopicInfo; 2]>::try_from(made)
        .map_err(|_| RuntimeError::internal("other topics than those that were to be made"))?;
    if changelog.partitions != shards {
        return Err(RuntimeError::user(format!(
            "job {} began with {} shards, the program now says {shards}",
            graph.name, changelog.partitions
        ))
        .with_help(format!(
            "The number of shards is fixed at a job's first start: SET 'job.shards' = '{}', start \
             anew with --fresh, or choose another job name.",
            changelog.partitions
        )));
    }
    Ok(Internal { epochs, changelog })
}

/// The last epoch record of the job.
pub(crate) fn last_record(home: &Arc<dyn Log>, topic: &str) -> Result<Option<EpochRecord>> {
    let end = home.offsets(topic, OffsetQuery::End)?;
    let earliest = home.offsets(topic, OffsetQuery::Earliest)?;
    if earliest[0] >= end[0] {
        return Ok(None);
    }
    let start = Assignment { topic: topic.to_string(), partition: 0, offset: earliest[0] };
    let mut reader = home.reader(&[start])?;
    let mut last: Option<(i64, Option<Vec<u8>>)> = None;
    while reader.position(0) < end[0] {
        let Some(fetched) = reader.poll(Duration::from_millis(100))? else { continue };
        let mut records: Vec<Record<'_>> = Vec::new();
        fetched.batch.records(&mut records);
        if let Some(record) = records.last() {
            last = Some((record.offset, record.value.map(<[u8]>::to_vec)));
        }
    }
    let Some((offset, Some(bytes))) = last else { return Ok(None) };
    EpochRecord::from_bytes(&bytes).map(Some).map_err(|why| {
        RuntimeError::user(format!("the epoch record {topic}-0@{offset} cannot be read: {why}"))
            .with_help("Run the version of Flow that wrote it, or start anew with --fresh.")
    })
}

/// Takes the job's last record away; its outputs stay.
pub(super) fn forget_epochs(writer: &mut dyn Writer, epochs: &str) -> Result<()> {
    writer.begin()?;
    writer.send(&Outgoing { topic: epochs, key: Some(b"epoch"), ..Outgoing::default() })?;
    match writer.commit() {
        crate::connect::Outcome::Committed => Ok(()),
        crate::connect::Outcome::Fenced => Err(RuntimeError::fenced()),
        crate::connect::Outcome::Aborted(why) => Err(not_reset(&why.message)),
        crate::connect::Outcome::Unknown(why) => Err(not_reset(&why)),
    }
}

fn not_reset(why: &str) -> RuntimeError {
    RuntimeError::external(format!("the job could not be reset: {why}"))
}

/// Under what a vertex's watermark is kept.
pub(crate) fn mark_name(vertex: &Vertex) -> String {
    format!("{:016x}/{}", vertex.identity, vertex.op.kind())
}

/// The job's tables with their numbers: known ones keep theirs.
fn directory(graph: &JobGraph, record: Option<&EpochRecord>) -> BTreeMap<String, TableEntry> {
    let mut directory = record.map_or_else(BTreeMap::new, |r| r.directory.clone());
    for table in &graph.tables {
        let next = directory.values().map(|e| e.number + 1).max().unwrap_or(0);
        let operator = graph.vertices[table.owner.index()].name.clone();
        directory.entry(graph.table_name(table)).or_insert(TableEntry { number: next, operator });
    }
    directory
}

fn fingerprint(graph: &JobGraph) -> u64 {
    let mut names: Vec<String> = graph.tables.iter().map(|t| graph.table_name(t)).collect();
    names.extend(graph.vertices.iter().map(mark_name));
    names.sort();
    key_hash(names.join("\n").as_bytes())
}

/// Refuses a program, or topics, that what the log says is not about; and to begin again what only
/// seems not to have begun.
fn check_standing(
    attempt: &Attempt<'_>,
    home: &Arc<dyn Log>,
    internal: &Internal,
    record: Option<&EpochRecord>,
) -> Result<()> {
    let (graph, state_dir) = (attempt.graph, &attempt.config.state_dir);
    let Internal { epochs, changelog } = internal;
    match record {
        Some(record) => {
            check_program(graph, record)?;
            check_changelog(graph, changelog, record)?;
        }
        None if attempt.fresh => {}
        None => begun::must_be_first(state_dir, home, epochs, changelog)?,
    }
    begun::note(state_dir, home, epochs)
}

/// Refuses to go on without the state: a changelog that was deleted and made again has none of it.
fn check_changelog(graph: &JobGraph, changelog: &TopicInfo, record: &EpochRecord) -> Result<()> {
    if record.changelog == changelog.id || graph.tables.is_empty() {
        return Ok(());
    }
    let TopicInfo { name, .. } = changelog;
    Err(RuntimeError::user(format!(
        "topic {name} is not the one that this job's state is in: it was deleted"
    ))
    .with_help(
        "Start anew with --fresh, which reads the inputs from their beginning again and makes the \
         state from them.",
    ))
}

/// Refuses a program whose state is not the one that the record speaks of.
fn check_program(graph: &JobGraph, record: &EpochRecord) -> Result<()> {
    if record.fingerprint == fingerprint(graph) {
        return Ok(());
    }
    let now: BTreeMap<String, &str> = graph
        .tables
        .iter()
        .map(|t| (graph.table_name(t), graph.vertices[t.owner.index()].name.as_str()))
        .collect();
    let gone = record.directory.iter().filter(|(name, _)| !now.contains_key(*name));
    let gone: Vec<String> = gone
        .map(|(name, entry)| format!("{} ({})", entry.operator, why_other(name, &now)))
        .collect();
    let added = now.iter().filter(|(name, _)| !record.directory.contains_key(*name));
    let added: Vec<String> = added.map(|(_, operator)| (*operator).to_string()).collect();
    if gone.is_empty() && added.is_empty() {
        return Ok(());
    }
    let mut parts = Vec::new();
    for (what, mut names) in [("state without an operator", gone), ("no state for", added)] {
        names.dedup();
        if !names.is_empty() {
            parts.push(format!("{what}: {}", names.join(", ")));
        }
    }
    Err(RuntimeError::user(format!(
        "job {} has state of another program ({})",
        graph.name,
        parts.join("; ")
    ))
    .with_help(
        "Start anew with --fresh, which reads the inputs from their beginning again, or run the \
         changed program under another name with --name.",
    ))
}

/// Why a table of the record is not one of the program's.
pub(super) fn why_other(name: &str, now: &BTreeMap<String, &str>) -> &'static str {
    let same_but_layout = name.rsplit_once('/').is_some_and(|(operator, _)| {
        now.keys().any(|n| n.rsplit_once('/').is_some_and(|(o, _)| o == operator))
    });
    if same_but_layout { "its columns have other types" } else { "changed or gone" }
}

/// Counters of a partition.
pub(super) fn partition_metrics(partition: &Partition) -> PartitionMetrics {
    let position = &partition.position;
    let name = match position.cluster.as_str() {
        FILES => position.topic.clone(),
        _ => format!("{}-{}", position.topic, position.partition),
    };
    PartitionMetrics {
        stream: partition.stream,
        name,
        watermark: position.watermark.into(),
        timed: partition.timed,
        lag: Default::default(),
        ended: Default::default(),
        idle: Default::default(),
        waits: Default::default(),
    }
}

/// The registry of each stream that needs one.
/// By stream: where the schemas of its payloads are.
fn registries(
    attempt: &Attempt<'_>,
    partitions: &[Partition],
) -> Result<Vec<Option<Arc<dyn Registry>>>> {
    let of = |(i, stream): (usize, &Stream)| -> Result<Option<Arc<dyn Registry>>> {
        let formats = [&stream.value_format, &stream.key_format];
        let avro = formats.iter().any(|f| f.as_deref().is_some_and(is_avro));
        let bare = stream.option("avro.bare") == Some("true") || is_generated(&stream.connector);
        if assign::is_container(stream) {
            return Ok(Some(Arc::new(assign::file_schemas(StreamId::from(i), partitions)?)));
        }
        (avro && !bare && stream.connector != FILES)
            .then(|| attempt.world.registries.of(stream))
            .transpose()
    };
    attempt.graph.streams.iter().enumerate().map(of).collect()
}

pub(crate) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_string(), |name| name.trim().to_string())
}

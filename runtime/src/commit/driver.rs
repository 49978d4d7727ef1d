//! Performs what `protocol` decides: sends an epoch into a transaction, commits, publishes.

use std::sync::Arc;
use std::time::Instant;

use flow_ir::ids::{StreamId, VertexId};
use flow_ir::kernel::Headers;
use flow_ir::row::{BatchBuilder, RowBatch};
use tracing::Span;

use super::protocol::{CommitAction, CommitEvent, CommitState, Moved, StopReason, next};
use super::span::{commit_span, note_outcome};
use super::{Epoch, EpochRecord};
use crate::connect::{Assignment, Outgoing, Writer};
use crate::error::{Result, RuntimeError};
use crate::job::{FileSink, LocalPosition};
use crate::metrics::Metrics;
use crate::state::{Disk, Overlay, Sealed, StateError, records};
use crate::view::{At, Published, Views};
use crate::worker::{Aside, Staged};
use crate::world::{Clock, Printer};

/// Key of the record in the epochs topic, which keeps the last one.
const RECORD_KEY: &[u8] = b"epoch";

/// Where the records of a sink go.
pub(crate) enum Target {
    /// A topic with this many partitions, in the epoch's transaction.
    Topic { name: String, partitions: u32, epoch_header: bool },
    /// A file, to the committed length.
    File(FileSink),
    /// The view of this number.
    View(usize),
    /// Lines for people, after the commit.
    Print { prefix: String },
    /// Nowhere.
    Nothing,
}

/// What the workers made of an epoch.
pub(crate) struct EpochOutput {
    /// Records by sink, with the number that counts for the stream.
    pub(crate) outputs: Vec<(VertexId, StreamId, Staged, u64)>,
    pub(crate) asides: Vec<Aside>,
    /// Of each worker.
    pub(crate) state: Vec<Sealed>,
    /// The record without its epoch number.
    pub(crate) record: EpochRecord,
    pub(crate) moved: Moved,
    /// Whether the job ends with it, or must show that it owns its id.
    pub(crate) must: bool,
    pub(crate) span: Span,
}

/// Commits the epochs of one attempt.
pub(crate) struct Committer {
    pub(crate) state: CommitState,
    pub(crate) writer: Box<dyn Writer>,
    /// By stream.
    pub(crate) targets: Vec<Option<Target>>,
    /// Partitions of the topics that records are put aside to.
    pub(crate) aside_partitions: std::collections::BTreeMap<String, u32>,
    pub(crate) epochs_topic: String,
    pub(crate) changelog_topic: String,
    pub(crate) shards: u32,
    pub(crate) group: String,
    pub(crate) home_cluster: String,
    pub(crate) disk: Arc<Disk>,
    pub(crate) views: Arc<Views>,
    pub(crate) position: LocalPosition,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) printer: Arc<dyn Printer>,
    pub(crate) started_ms: u64,
    pub(crate) crash: CrashPoint,
}

/// Where tests make the process die: `FLOW_CRASH_AT=stage:N`, `commit:N` or `publish:N` aborts it
/// when the N-th commit of this attempt has performed that action, before anything is made of its
/// outcome. Unset, as it always is outside of tests, nothing happens.
#[derive(Debug, Default)]
pub(crate) struct CrashPoint {
    at: Option<(String, u64)>,
    staged: u64,
}

impl CrashPoint {
    pub(crate) fn from_environment() -> Self {
        let text = std::env::var("FLOW_CRASH_AT").unwrap_or_default();
        let at =
            text.split_once(':').and_then(|(action, n)| Some((action.into(), n.parse().ok()?)));
        Self { at, staged: 0 }
    }

    /// To be called after each action.
    fn pass(&mut self, action: &str) {
        self.staged += u64::from(action == "stage");
        if self.at.as_ref().is_some_and(|(name, n)| name == action && *n == self.staged) {
            std::process::abort();
        }
    }
}

/// What became of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is durable.
    Committed(Epoch),
    /// Nothing was worth a commit; the next epoch carries its positions.
    Merged,
}

impl Committer {
    /// Commits an epoch, or merges it into the next.
    ///
    /// # Errors
    /// If this attempt is over: fenced, failed or unclear.
    pub(crate) fn commit(&mut self, epoch: EpochOutput) -> Result<Done> {
        let span = epoch.span.clone();
        let done = self.commit_or_merge(epoch);
        note_outcome(&span, &done);
        done
    }

    fn commit_or_merge(&mut self, mut epoch: EpochOutput) -> Result<Done> {
        let CommitState::Idle { committed, .. } = self.state else {
            return Err(RuntimeError::internal("an epoch is committed after its attempt ended"));
        };
        epoch.record.epoch = committed + 1;
        let (begun, begun_ms) = (Instant::now(), self.clock.monotonic_ms());
        let mut event = CommitEvent::Ended {
            epoch: committed + 1,
            moved: epoch.moved,
            last: epoch.must,
            now_ms: begun_ms,
        };
        let mut span = Span::none();
        loop {
            let (state, actions) = next(self.state.clone(), event);
            self.state = state;
            let mut following = None;
            for action in actions {
                let name = match action {
                    CommitAction::Stage(_) => "stage",
                    CommitAction::Commit(_) => "commit",
                    CommitAction::Publish(_) => "publish",
                    CommitAction::Abort | CommitAction::Merge(_) | CommitAction::Stop(_) => "",
                };
                if matches!(action, CommitAction::Stage(_)) {
                    span = commit_span(&epoch.span, committed + 1);
                }
                following = span.in_scope(|| self.perform(action, &mut epoch))?;
                self.crash.pass(name);
            }
            match (following, &self.state) {
                (Some(following), _) => event = following,
                (None, CommitState::Idle { committed: now, .. }) => {
                    if *now == committed {
                        // What is to go to disk does so, as of the epoch before: no state has
                        // changed.
                        self.follow(&epoch.state).map_err(|e| state_error(&e))?;
                        return Ok(Done::Merged);
                    }
                    self.metrics.commit_durations.note(begun.elapsed());
                    return Ok(Done::Committed(*now));
                }
                (None, _) => return Err(RuntimeError::internal("the commit has come to a halt")),
            }
        }
    }

    fn perform(
        &mut self,
        action: CommitAction,
        epoch: &mut EpochOutput,
    ) -> Result<Option<CommitEvent>> {
        match action {
            CommitAction::Stage(_) => Ok(Some(match self.stage(epoch) {
                Ok(()) => CommitEvent::Staged,
                Err(error) => {
                    if error.retry == crate::error::Retry::Never {
                        let _ = self.writer.abort();
                        return Err(error);
                    }
                    CommitEvent::StageFailed(error.to_string())
                }
            })),
            CommitAction::Commit(_) => Ok(Some(CommitEvent::Answered(self.writer.commit()))),
            CommitAction::Abort => {
                // An unclear abort is as good as a dropped writer: the attempt ends either way.
                let _ = self.writer.abort();
                Ok(None)
            }
            CommitAction::Publish(number) => Ok(Some(match self.publish(number, epoch) {
                Ok(()) => CommitEvent::Published { now_ms: self.clock.monotonic_ms() },
                Err(error) if error.retry == crate::error::Retry::Never => return Err(error),
                Err(error) => CommitEvent::PublishFailed(error.to_string()),
            })),
            CommitAction::Merge(_) => Ok(None),
            CommitAction::Stop(reason) => Err(stopped(reason)),
        }
    }

    /// Writes what is to go to disk, with the position.
    fn follow(&self, state: &[Sealed]) -> std::result::Result<(), StateError> {
        let overlays: Vec<&Overlay> = state.iter().filter_map(|s| s.for_disk.as_deref()).collect();
        match overlays.is_empty() {
            true => Ok(()),
            false => self.disk.publish(&overlays, &self.position.to_bytes()),
        }
    }

    /// Sends everything that belongs to the epoch.
    fn stage(&mut self, epoch: &mut EpochOutput) -> Result<()> {
        self.writer.begin()?;
        let mut header = Vec::new();
        Headers::push("flow.epoch", Some(&epoch.record.epoch.to_be_bytes()), &mut header);
        for (_, stream, staged, _) in &epoch.outputs {
            match &mut self.targets[stream.index()] {
                Some(Target::Topic { name, partitions, epoch_header }) => {
                    let epoch_header: &[u8] = if *epoch_header { &header } else { &[] };
                    for (at, record) in staged.records.iter().enumerate() {
                        let own = staged.metadata.get(at);
                        let headers = staged.headers(at, epoch_header);
                        self.writer.send(&Outgoing {
                            topic: name,
                            partition: record.partition % *partitions,
                            key: staged.bytes(&record.key),
                            value: staged.bytes(&record.value),
                            timestamp: own.and_then(|m| m.timestamp),
                            headers: Headers(&headers),
                        })?;
                    }
                }
                Some(Target::File(file)) => {
                    for record in &staged.records {
                        file.append(staged.bytes(&record.value).unwrap_or(&[]))?;
                    }
                }
                Some(Target::View(_) | Target::Print { .. } | Target::Nothing) | None => {}
            }
        }
        epoch.record.sinks = self.sync_files()?;
        for aside in &epoch.asides {
            self.writer.send(&Outgoing {
                topic: &aside.topic,
                partition: aside.partition % self.aside_partitions.get(&aside.topic).unwrap_or(&1),
                key: aside.key.as_deref(),
                value: aside.value.as_deref(),
                timestamp: aside.timestamp,
                headers: Headers(&aside.headers),
            })?;
        }
        for state in &epoch.state {
            for record in records(&state.changes, self.shards) {
                self.writer.send(&Outgoing {
                    topic: &self.changelog_topic,
                    partition: record.shard,
                    key: Some(record.key),
                    value: record.value,
                    ..Outgoing::default()
                })?;
            }
        }
        let here = epoch.record.inputs.iter().filter(|i| i.cluster == self.home_cluster);
        let offsets: Vec<Assignment> = here
            .map(|i| Assignment {
                topic: i.topic.clone(),
                partition: i.partition,
                offset: i.offset,
            })
            .collect();
        self.writer.send_offsets(&self.group, &offsets)?;
        self.writer.send(&Outgoing {
            topic: &self.epochs_topic,
            partition: 0,
            key: Some(RECORD_KEY),
            value: Some(&epoch.record.to_bytes()),
            ..Outgoing::default()
        })
    }

    /// Brings file sinks to disk, before the record that names their length.
    fn sync_files(&mut self) -> Result<Vec<super::SinkPosition>> {
        let mut positions = Vec::new();
        for target in self.targets.iter_mut().flatten() {
            if let Target::File(file) = target {
                positions.push(file.sync()?);
            }
        }
        Ok(positions)
    }

    /// The epoch is durable: the local store follows, then whoever looks.
    fn publish(&mut self, number: Epoch, epoch: &mut EpochOutput) -> Result<()> {
        self.position.epoch = number;
        self.position.written_at = self.clock.now_micros();
        for (partition, offset) in self.position.offsets.iter_mut().enumerate() {
            let until = self.writer.written_until(&self.changelog_topic, partition as u32);
            *offset = until.unwrap_or(*offset);
        }
        let write = || self.follow(&epoch.state).map_err(|e| state_error(&e));
        let changes = changes(&self.targets, &mut epoch.outputs);
        let at = At::of(&epoch.record);
        self.views.publish(write, Published { at, changes })?;
        let mut written = 0;
        for (_, stream, staged, count) in &epoch.outputs {
            let metrics = &self.metrics.streams[stream.index()];
            metrics.records_out.add(*count);
            metrics.bytes_out.add(staged.arena.len() as u64);
            written += count;
            if let Some(Target::Print { prefix }) = &self.targets[stream.index()] {
                for record in &staged.records {
                    let line = staged.bytes(&record.value).unwrap_or(&[]);
                    self.printer.line(prefix, &String::from_utf8_lossy(line));
                }
            }
        }
        if written > 0 && self.metrics.first_output_micros.get() == 0 {
            let micros = (self.clock.monotonic_ms() - self.started_ms) * 1_000;
            self.metrics.first_output_micros.set(micros.max(1));
        }
        self.metrics.epochs.add(1);
        Ok(())
    }
}

/// What the epoch changed in each view, all workers together.
fn changes(
    targets: &[Option<Target>],
    outputs: &mut [(VertexId, StreamId, Staged, u64)],
) -> Vec<(usize, RowBatch)> {
    let mut changes: Vec<(usize, BatchBuilder)> = Vec::new();
    for (_, stream, staged, _) in outputs {
        let Some(Target::View(view)) = targets[stream.index()] else { continue };
        for rows in staged.rows.drain(..) {
            let at = changes.iter().position(|(v, _)| *v == view).unwrap_or_else(|| {
                changes.push((view, BatchBuilder::new(rows.layout().clone())));
                changes.len() - 1
            });
            changes[at].1.push_batch(&rows);
        }
    }
    changes.into_iter().map(|(view, mut rows)| (view, rows.take())).collect()
}

fn stopped(reason: StopReason) -> RuntimeError {
    match reason {
        StopReason::Aborted(error) => error,
        StopReason::Restart(why) => RuntimeError::external(why),
        StopReason::Fenced => RuntimeError::fenced(),
        StopReason::StoreFailed(why) => RuntimeError::external(why),
    }
}

/// A failure of the local store.
pub(crate) fn state_error(error: &StateError) -> RuntimeError {
    match error {
        StateError::DiskFull { .. } | StateError::Locked { .. } => {
            RuntimeError::user(error.to_string())
        }
        StateError::Corrupt { .. } | StateError::Io { .. } => {
            RuntimeError::external(error.to_string())
        }
    }
}

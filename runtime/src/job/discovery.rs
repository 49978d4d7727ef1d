//! Partitions that are added to topics while the job reads them: `'scan.topic-partition-discovery
//! .interval'`. The topics are looked up on a thread of its own, since a broker may be slow to
//! answer; what it finds joins in at the next border of an epoch.
//!
//! Streams with bounds are left out: where they end was settled at the first start. So are views of
//! other jobs, whose topics keep their partitions.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use flow_ir::connector::{DISCOVERY_INTERVAL, KAFKA, parse_duration};
use flow_ir::ids::StreamId;
use flow_ir::physical::{JobGraph, Stream};

use super::assign::{self, Partition};
use crate::connect::{Log, OffsetQuery, TopicInfo};
use crate::error::Result;
use crate::world::Logs;

/// How often topics are looked up where the stream does not say, milliseconds. As in Flink.
const INTERVAL_MS: u64 = 5 * 60 * 1_000;

/// A topic that has more partitions than the job reads.
pub(super) struct Found {
    pub(super) stream: StreamId,
    pub(super) log: Arc<dyn Log>,
    pub(super) topic: TopicInfo,
    /// The partitions' first offsets.
    pub(super) firsts: Vec<i64>,
}

/// A stream whose topic is looked up from time to time.
#[derive(Clone)]
struct Watched {
    stream: StreamId,
    name: String,
    log: Arc<dyn Log>,
    topic: String,
    topic_id: String,
    /// Partitions that the job reads.
    known: u32,
    interval_ms: u64,
    due_ms: u64,
}

/// Looks for new partitions.
pub(super) struct Discovery {
    streams: Vec<Watched>,
    /// What the look under way will find.
    look: Option<Receiver<Vec<Result<Found>>>>,
}

impl Discovery {
    /// For the streams that a job reads these partitions of.
    ///
    /// # Errors
    /// If a stream's log cannot be opened.
    pub(super) fn new(
        graph: &JobGraph,
        partitions: &[Partition],
        logs: &dyn Logs,
        now_ms: u64,
    ) -> Result<Self> {
        let mut streams = Vec::new();
        for (i, stream) in graph.streams.iter().enumerate() {
            let id = StreamId::from(i);
            let own = || partitions.iter().filter(|p| p.stream == id);
            let Some(interval_ms) = interval_ms(stream) else { continue };
            let Some(first) = own().next().filter(|p| p.position.bound.is_none()) else { continue };
            streams.push(Watched {
                stream: id,
                name: stream.name.clone(),
                log: logs.of(stream)?,
                topic: first.position.topic.clone(),
                topic_id: first.position.topic_id.clone(),
                known: own().count() as u32,
                interval_ms,
                due_ms: now_ms.saturating_add(interval_ms),
            });
        }
        Ok(Self { streams, look: None })
    }

    /// What was found since the last call; begins a look when one is due. Returns at once.
    ///
    /// # Errors
    /// If a topic is another one than the job reads.
    pub(super) fn poll(&mut self, now_ms: u64) -> Result<Vec<Found>> {
        let Some(look) = &self.look else {
            self.begin(now_ms);
            return Ok(Vec::new());
        };
        let looked = match look.try_recv() {
            Ok(looked) => looked,
            Err(TryRecvError::Empty) => return Ok(Vec::new()),
            Err(TryRecvError::Disconnected) => Vec::new(),
        };
        self.look = None;
        let found = looked.into_iter().collect::<Result<Vec<_>>>()?;
        for Found { stream, topic, .. } in &found {
            let watched = self.streams.iter_mut().filter(|w| w.stream == *stream);
            watched.for_each(|w| w.known = topic.partitions);
        }
        Ok(found)
    }

    fn begin(&mut self, now_ms: u64) {
        let is_due = |w: &&mut Watched| w.due_ms <= now_ms;
        let due: Vec<Watched> = self
            .streams
            .iter_mut()
            .filter(is_due)
            .map(|watched| {
                watched.due_ms = now_ms.saturating_add(watched.interval_ms);
                watched.clone()
            })
            .collect();
        if due.is_empty() {
            return;
        }
        let (send, receive) = channel();
        let span = tracing::Span::current();
        // Nobody waits for it: an attempt that ends meanwhile takes no interest in what it finds.
        let made = std::thread::Builder::new().name("discovery".into()).spawn(move || {
            let found = span.in_scope(|| due.iter().filter_map(look).collect());
            let _ = send.send(found);
        });
        // Without a thread now, there is one the next time.
        self.look = made.is_ok().then_some(receive);
    }
}

/// How often the partitions of a stream's topic are looked up; `None`: at starts only.
fn interval_ms(stream: &Stream) -> Option<u64> {
    if stream.connector != KAFKA {
        return None;
    }
    let given = stream.option(DISCOVERY_INTERVAL).and_then(parse_duration);
    let millis = given.map_or(INTERVAL_MS, |micros| micros.unsigned_abs().div_ceil(1_000));
    (millis > 0).then_some(millis)
}

/// Looks a topic up. A log that does not answer is asked again the next time; a topic that is gone
/// is its reader's to tell.
fn look(watched: &Watched) -> Option<Result<Found>> {
    let Watched { stream, name, log, topic, topic_id, known, .. } = watched;
    let looked = || -> Result<Option<Found>> {
        let info =
            log.topic(topic)?.filter(|info| info.id != *topic_id || info.partitions > *known);
        let Some(info) = info else { return Ok(None) };
        let firsts = log.offsets(topic, OffsetQuery::Earliest)?;
        Ok(Some(Found { stream: *stream, log: log.clone(), topic: info, firsts }))
    };
    match looked() {
        Ok(Some(found)) if found.topic.id != *topic_id => {
            Some(Err(assign::other_topic(name, topic, topic)))
        }
        Ok(found) => found.map(Ok),
        Err(error) => {
            tracing::info!(%error, "topic {topic} cannot be looked up for new partitions");
            None
        }
    }
}

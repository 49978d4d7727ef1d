//! Reads assigned partitions, committed records only.
//!
//! * Positions only grow: with the records that are handed out, and past transaction markers and
//!   aborted records, which are never handed out, by the events that tell a partition's end.
//! * Nobody joins a group, and nothing is committed: the position of a job is in its epoch record.
//! * A broker that goes away is waited for. After `DOWN_MAX` the reader asks for it, and fails.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_ir::kernel::{Headers, Record};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::{Offset, TopicPartitionList};

use super::batch::{Client, FetchQueue, Message, Messages};
use super::client::{Context, Meaning, text};
use super::config::Config;
use super::{REQUEST_TIMEOUT, Shared};
use crate::connect::{Assignment, Fetched, LOST_RECORDS_HELP, OffsetQuery, Reader, RecordBatch};
use crate::error::{Result, RuntimeError};

/// For how long no broker may be reachable before the reader gives up.
const DOWN_MAX: Duration = Duration::from_secs(20);

/// How old a known end of a partition may be.
const ENDS_AGE_MAX: Duration = Duration::from_millis(100);

/// What is done with a reader's topics, in messages.
const READ: &str = "read";

/// Pause before a broker is asked again for a partition that it does not know yet.
const LEARN_PAUSE: Duration = Duration::from_millis(10);

/// What is known of a partition.
struct Partition {
    topic: String,
    partition: i32,
    /// Where reading goes on after what was handed out.
    position: i64,
    /// Records that are fetched and not handed out, each batch with where reading goes on after it.
    ready: VecDeque<(Box<dyn RecordBatch>, i64)>,
    paused: bool,
    /// The offset at which the end was met last.
    met_end: Option<i64>,
    /// Where the partition ends, as last heard.
    end: Option<i64>,
}

/// Reads some partitions.
pub(super) struct KafkaReader {
    partitions: Vec<Partition>,
    queue: FetchQueue,
    client: Arc<Client>,
    shared: Arc<Shared>,
    /// Identities of the topics, by name.
    topics: BTreeMap<String, String>,
    /// Whose turn it is.
    turn: usize,
    /// Topic handle, partition and position of the last message's partition.
    last: Option<(usize, i32, usize)>,
    down_since: Option<Instant>,
    ends_at: Instant,
}

impl KafkaReader {
    pub(super) fn new(shared: Arc<Shared>, assignment: &[Assignment]) -> Result<Self> {
        let topics = check_topics(&shared, assignment)?;
        let config = shared.config.reader();
        let made = config.create_with_context(Context::default());
        let client: Arc<Client> = Arc::new(made.map_err(|e| Config::refused(&e))?);
        let queue = FetchQueue::new(client.clone()).ok_or_else(no_queue)?;
        let mut reader = Self {
            partitions: Vec::new(),
            queue,
            client,
            shared,
            topics,
            turn: 0,
            last: None,
            down_since: None,
            ends_at: Instant::now(),
        };
        reader.assign(assignment)?;
        Ok(reader)
    }

    /// Begins to fetch partitions behind those that it has.
    fn assign(&mut self, assignment: &[Assignment]) -> Result<()> {
        let (first, at) = (self.partitions.len(), &self.shared.at);
        let names: Vec<_> =
            assignment.iter().map(|a| (a.topic.as_str(), a.partition as i32)).collect();
        self.queue.add(&names).ok_or_else(no_queue)?;
        let mut list = TopicPartitionList::with_capacity(assignment.len());
        let doing = "partitions are assigned";
        for a in assignment {
            list.add_partition_offset(&a.topic, a.partition as i32, Offset::Offset(a.offset))
                .map_err(|e| at.client_error(doing, &e))?;
        }
        let assigned = match first {
            0 => self.client.assign(&list),
            // What others have fetched and where they stand is not touched.
            _ => self.client.incremental_assign(&list),
        };
        assigned.map_err(|e| at.client_error(doing, &e))?;
        self.partitions.extend(assignment.iter().map(Partition::new));
        for index in first..self.partitions.len() {
            self.queue.forward(index, true);
        }
        Ok(())
    }

    /// Lets the client learn of partitions that were added to topics: it would take one that it
    /// does not know for one that is gone.
    fn learn(&self, assignment: &[Assignment]) -> Result<()> {
        let asked = Instant::now();
        for Assignment { topic, partition, .. } in assignment {
            let doing = format!("partition {topic}-{partition} is looked up");
            loop {
                let answer = self.client.fetch_metadata(Some(topic), REQUEST_TIMEOUT);
                let answer = answer.map_err(|e| self.shared.at.client_error(&doing, &e))?;
                let known = answer.topics().iter().flat_map(|t| t.partitions());
                if known.into_iter().any(|p| p.id() == *partition as i32) {
                    break;
                }
                // The broker that was asked hears of it later than the one that the job asked.
                if asked.elapsed() >= REQUEST_TIMEOUT {
                    return Err(self.shared.at.unreachable(&doing));
                }
                std::thread::sleep(LEARN_PAUSE);
            }
        }
        Ok(())
    }

    /// Takes what is fetched next.
    fn take(&mut self, wait: Duration) -> Result<()> {
        self.serve_events()?;
        let messages = self.queue.fetch(wait);
        self.watch_topics()?;
        if messages.is_empty() {
            self.watch_brokers()?;
        } else {
            self.down_since = None;
        }
        let mut sorted: Vec<Vec<Message>> = self.partitions.iter().map(|_| Vec::new()).collect();
        let mut ends = Vec::new();
        for message in messages {
            let Some(index) = self.index_of(&message) else { continue };
            match message.event() {
                None => sorted[index].push(message),
                Some(RDKafkaErrorCode::PartitionEOF) => ends.push((index, message.offset())),
                Some(code) => return Err(self.failure(index, code, message.value())),
            }
        }
        for (partition, messages) in self.partitions.iter_mut().zip(sorted) {
            if let Some(last) = messages.last() {
                let next = last.offset() + 1;
                let batch = Box::new(Messages::new(messages, &self.client));
                partition.ready.push_back((batch, next));
            }
        }
        // An end is met after the records before it: librdkafka keeps their order.
        for (index, offset) in ends {
            self.partitions[index].meet_end(offset);
            self.partitions[index].end = self.queue.high_watermark(index);
        }
        if self.ends_at.elapsed() >= ENDS_AGE_MAX {
            for (index, partition) in self.partitions.iter_mut().enumerate() {
                partition.end = self.queue.high_watermark(index);
            }
            self.ends_at = Instant::now();
        }
        Ok(())
    }

    /// Lets the client tell what it has to tell. A record that comes this way is one like any
    /// other, though librdkafka gives none here while the partitions are forwarded.
    fn serve_events(&mut self) -> Result<()> {
        let client = self.client.clone();
        while let Some(event) = client.poll(Duration::ZERO) {
            match event {
                Ok(message) => {
                    let (topic, number) = (message.topic(), message.partition());
                    let ours = |p: &&mut Partition| p.topic == topic && p.partition == number;
                    if let Some(partition) = self.partitions.iter_mut().find(ours) {
                        let next = message.offset() + 1;
                        partition.ready.push_back((Box::new(Single::new(message.detach())), next));
                    }
                }
                Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) => {
                    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                    match Meaning::of(code) {
                        Meaning::Unreachable | Meaning::Passing => {
                            tracing::info!(target: "kafka", %error, "the reader goes on");
                        }
                        Meaning::Refused | Meaning::Fenced | Meaning::Missing | Meaning::Wrong => {
                            self.client.context().check(&self.shared.at)?;
                            return Err(self.shared.at.error("records are read", code));
                        }
                    }
                }
            }
        }
        self.client.context().check(&self.shared.at)
    }

    /// Fails when no broker could be reached for too long.
    fn watch_brokers(&mut self) -> Result<()> {
        if self.client.context().take_down() {
            self.down_since.get_or_insert_with(Instant::now);
        }
        if self.down_since.is_some_and(|since| since.elapsed() >= DOWN_MAX) {
            self.shared.admin.reach()?;
            self.down_since = None;
        }
        Ok(())
    }

    /// Fails when a topic is gone, or another one than it was. The client tells of either before
    /// it hands out anything of what came after.
    fn watch_topics(&self) -> Result<()> {
        self.client.context().refuse_replaced(&self.shared.at, READ)?;
        match self.client.context().take_missing() {
            Some(topic) if self.shared.admin.is_gone(&topic) => {
                Err(self.shared.at.deleted(&topic, READ))
            }
            Some(topic) => self.other_topic(&topic).map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    /// Why a topic is not the one that was found, if that can be told.
    fn other_topic(&self, name: &str) -> Option<RuntimeError> {
        match self.shared.admin.topic(name) {
            Ok(Some(now)) if self.topics.get(name).is_some_and(|id| *id != now.id) => {
                Some(self.shared.at.replaced(name, READ))
            }
            Ok(None) if self.shared.admin.is_gone(name) => Some(self.shared.at.deleted(name, READ)),
            // The client finds it again by itself.
            Ok(_) | Err(_) => None,
        }
    }

    fn index_of(&mut self, message: &Message) -> Option<usize> {
        let (handle, number) = (message.topic_handle(), message.partition());
        match self.last {
            Some((h, n, index)) if (h, n) == (handle, number) => Some(index),
            _ => {
                let topic = message.topic()?;
                let ours = |p: &Partition| p.partition == number && p.topic == topic;
                let index = self.partitions.iter().position(ours)?;
                self.last = Some((handle, number, index));
                Some(index)
            }
        }
    }

    /// Why a partition cannot be read any more.
    fn failure(&self, index: usize, code: RDKafkaErrorCode, why: Option<&[u8]>) -> RuntimeError {
        let Partition { topic, partition, .. } = &self.partitions[index];
        let at = self.partitions[index].fetched_until();
        // Whatever else is told of another topic is a consequence.
        if let Some(error) = self.other_topic(topic) {
            return error;
        }
        match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                self.gone(topic, *partition, at)
            }
            other => {
                let why = why.map(String::from_utf8_lossy);
                let why = why.map_or_else(|| text(other), std::borrow::Cow::into_owned);
                tracing::info!(target: "kafka", "{why}");
                let doing = format!("{topic}-{partition}@{at} is read");
                self.shared.at.error(&doing, other)
            }
        }
    }

    /// Records that were to be read are not there.
    fn gone(&self, topic: &str, partition: i32, at: i64) -> RuntimeError {
        let first = self.shared.admin.offsets(topic, OffsetQuery::Earliest).ok();
        let first = first.and_then(|all| all.get(partition as usize).copied());
        let now = first.map_or_else(String::new, |first| format!("; it begins at {first} now"));
        RuntimeError::user(format!(
            "record {topic}-{partition}@{at}, which is to be read next, is not in the topic{now}"
        ))
        .with_help(LOST_RECORDS_HELP)
    }
}

fn no_queue() -> RuntimeError {
    RuntimeError::internal("the queue of a Kafka reader cannot be made")
}

impl Partition {
    fn new(assigned: &Assignment) -> Self {
        Self {
            topic: assigned.topic.clone(),
            partition: assigned.partition as i32,
            position: assigned.offset,
            ready: VecDeque::new(),
            paused: false,
            met_end: None,
            end: None,
        }
    }

    /// Where reading goes on after everything that is fetched.
    fn fetched_until(&self) -> i64 {
        self.ready.back().map_or(self.position, |(_, next)| *next)
    }

    /// Moves past what hands out no record before the end.
    fn meet_end(&mut self, offset: i64) {
        self.met_end = Some(offset);
        match self.ready.back_mut() {
            Some((_, next)) => *next = offset.max(*next),
            None => self.position = offset.max(self.position),
        }
    }
}

impl Reader for KafkaReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Fetched>> {
        let some_ready = |p: &Partition| !p.paused && !p.ready.is_empty();
        if !self.partitions.iter().any(some_ready) {
            self.take(wait)?;
        }
        for _ in 0..self.partitions.len() {
            let index = self.turn;
            self.turn = (self.turn + 1) % self.partitions.len();
            let partition = &mut self.partitions[index];
            if partition.paused {
                continue;
            }
            if let Some((batch, next_offset)) = partition.ready.pop_front() {
                partition.position = next_offset;
                return Ok(Some(Fetched { partition: index, batch, next_offset }));
            }
        }
        Ok(None)
    }

    fn add(&mut self, assignment: &[Assignment]) -> Result<()> {
        self.topics.append(&mut check_topics(&self.shared, assignment)?);
        self.learn(assignment)?;
        self.assign(assignment)
    }

    fn pause(&mut self, partition: usize, paused: bool) {
        if self.partitions[partition].paused != paused {
            self.partitions[partition].paused = paused;
            self.queue.forward(partition, !paused);
        }
    }

    fn position(&self, partition: usize) -> i64 {
        self.partitions[partition].position
    }

    fn at_end(&self, partition: usize) -> bool {
        let p = &self.partitions[partition];
        p.met_end == Some(p.position) && p.end.is_some_and(|end| p.position >= end)
    }

    fn lag(&self, partition: usize) -> u64 {
        let p = &self.partitions[partition];
        p.end.map_or(0, |end| end.saturating_sub(p.position).max(0) as u64)
    }
}

impl Drop for KafkaReader {
    /// A batch that is still in hand keeps the client, which must not go on fetching for nobody.
    fn drop(&mut self) {
        let _ = self.client.unassign();
    }
}

/// The identities of the topics, by name. Fails with the name of a topic or partition that is not
/// there.
fn check_topics(shared: &Shared, assignment: &[Assignment]) -> Result<BTreeMap<String, String>> {
    let mut identities = BTreeMap::new();
    let names: BTreeSet<&str> = assignment.iter().map(|a| a.topic.as_str()).collect();
    for name in names {
        let topic = shared.admin.topic(name)?.ok_or_else(|| shared.at.missing(name))?;
        let beyond = |a: &&Assignment| a.topic == name && a.partition >= topic.partitions;
        if let Some(absent) = assignment.iter().find(beyond) {
            return Err(RuntimeError::user(format!(
                "topic {name} has no partition {}, only {}",
                absent.partition, topic.partitions
            )));
        }
        identities.insert(topic.name, topic.id);
    }
    Ok(identities)
}

/// A record that came with the events, in memory of its own.
struct Single {
    message: OwnedMessage,
    headers: Vec<u8>,
}

impl Single {
    fn new(message: OwnedMessage) -> Self {
        let mut headers = Vec::new();
        for header in message.headers().into_iter().flat_map(|all| all.iter()) {
            Headers::push(header.key, header.value, &mut headers);
        }
        Self { message, headers }
    }
}

impl RecordBatch for Single {
    fn len(&self) -> usize {
        1
    }

    fn records<'a>(&'a self, out: &mut Vec<Record<'a>>) {
        let millis = self.message.timestamp().to_millis();
        out.push(Record {
            key: self.message.key(),
            value: self.message.payload(),
            offset: self.message.offset(),
            timestamp: millis.map(|ms| ms.saturating_mul(1_000)),
            headers: Headers(&self.headers),
        });
    }

    fn bytes(&self) -> usize {
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        len(self.message.key()) + len(self.message.payload())
    }
}

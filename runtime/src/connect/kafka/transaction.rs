//! Writes records in transactions. One client is one producer; it is given up as soon as an end is
//! unclear, because librdkafka cannot tell a late answer of one transaction from the next one's.
//!
//! ```text
//!  begin ─► send* ─► commit: all records delivered? ─ no ─► abort ─► Aborted
//!                        │ yes                               └ unclear ─► client gone
//!                        └─► EndTxn, asked again while that may help ─► Committed
//!                                 ├ a later producer of this id ─► Fenced
//!                                 └ anything else ─► client gone, Unknown
//! ```
//!
//! A broker fences a producer also when its transaction was open for too long. That is no other
//! process: it ends as Unknown, and the next writer settles it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use flow_ir::kernel::Headers;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::statistics::Statistics;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Context, Meaning};
use super::config::Config;
use super::{ANY_TOPIC, CONNECT_TIMEOUT, Shared};
use crate::connect::{Assignment, Outcome, Outgoing, Writer};
use crate::error::{Result, RuntimeError};

/// How long the open transaction of an earlier producer may take to be settled.
const INIT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one call into the client waits before its events are looked at.
const SLICE: Duration = Duration::from_secs(1);

/// How long a full queue is waited on before it is tried again.
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(10);

/// The pause before it is looked again for delivery reports when there was none.
const REPORTS_PAUSE: Duration = Duration::from_micros(500);

/// What is done with a writer's topics, in messages.
const WRITTEN: &str = "written";

/// Delivery reports are served after this many records.
const SENDS_PER_POLL: u32 = 1_024;

/// What came of the records of the open transaction.
#[derive(Default)]
struct Delivered {
    /// One past the last delivered offset, by slot.
    until: Vec<Option<i64>>,
    /// The first failure.
    failed: Option<Undelivered>,
}

/// A record that brokers do not take.
#[derive(Clone)]
struct Undelivered {
    topic: String,
    error: KafkaError,
}

/// Listens to the producer. A record carries its slot, the number of its topic and partition.
#[derive(Default)]
struct Deliveries {
    context: Context,
    delivered: Mutex<Delivered>,
}

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, Delivered> {
        self.delivered.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.context.log(level, facility, line);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: usize) {
        let mut delivered = self.lock();
        match result {
            Ok(message) => {
                if delivered.until.len() <= slot {
                    delivered.until.resize(slot + 1, None);
                }
                // A broker that had the record already may not say where.
                let until = Some(message.offset() + 1).filter(|&until| until > 0);
                delivered.until[slot] = delivered.until[slot].max(until);
            }
            Err((error, message)) => match error.rdkafka_error_code() {
                // Dropped with their transaction.
                Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => {}
                Some(_) | None => {
                    let topic = || message.topic().to_string();
                    let failed = || Undelivered { topic: topic(), error: error.clone() };
                    delivered.failed.get_or_insert_with(failed);
                }
            },
        }
    }
}

/// A topic that was written to: its partitions have slots in a row.
struct Topic {
    first_slot: usize,
    partitions: u32,
}

/// Writes under one transactional id.
pub(super) struct KafkaWriter {
    shared: Arc<Shared>,
    id: String,
    /// `None`: an end was unclear, or another producer has taken over.
    producer: Option<BaseProducer<Deliveries>>,
    fenced: bool,
    timeout: Duration,
    begun: Instant,
    topics: HashMap<String, Topic>,
    slots: usize,
    sends: u32,
    /// One past the last committed offset, by slot.
    written: Vec<Option<i64>>,
    groups: HashMap<String, ConsumerGroupMetadata>,
}

impl KafkaWriter {
    pub(super) fn new(shared: Arc<Shared>, id: &str) -> Result<Self> {
        shared.admin.reach()?;
        let made = shared.config.writer(id).create_with_context(Deliveries::default());
        let producer: BaseProducer<Deliveries> = made.map_err(|e| Config::refused(&e))?;
        let timeout = shared.config.transaction_timeout();
        let writer = Self {
            shared,
            id: id.to_string(),
            producer: Some(producer),
            fenced: false,
            timeout,
            begun: Instant::now(),
            topics: HashMap::new(),
            slots: 0,
            sends: 0,
            written: Vec::new(),
            groups: HashMap::new(),
        };
        writer.init()?;
        Ok(writer)
    }

    /// Takes the id over: fences earlier producers and settles what they left open.
    fn init(&self) -> Result<()> {
        let producer = self.producer()?;
        // A client that is connected asks for its coordinator at once, another half a second later.
        // The first answer tells it the brokers; the second comes by the connection that it keeps.
        for _ in 0..2 {
            if producer.client().fetch_metadata(Some(ANY_TOPIC), CONNECT_TIMEOUT).is_err() {
                // The calls below tell why.
                break;
            }
        }
        let doing = format!("producer {} is made", self.id);
        let begun = Instant::now();
        loop {
            let Err(error) = producer.init_transactions(SLICE) else { return Ok(()) };
            producer.poll(Duration::ZERO);
            producer.context().context.check(&self.shared.at)?;
            if !is_retriable(&error) || begun.elapsed() >= INIT_TIMEOUT {
                return Err(self.shared.at.client_error(&doing, &error));
            }
        }
    }

    fn producer(&self) -> Result<&BaseProducer<Deliveries>> {
        match &self.producer {
            Some(producer) => Ok(producer),
            None if self.fenced => Err(RuntimeError::fenced()),
            None => Err(RuntimeError::external(format!(
                "the last transaction of {} ended unclear: a new writer must settle it",
                self.id
            ))),
        }
    }

    /// An error of the open transaction, met while `doing` something.
    fn failure(&mut self, doing: &str, error: &KafkaError) -> RuntimeError {
        if self.is_taken_over(error) {
            return RuntimeError::fenced();
        }
        match error.rdkafka_error_code() {
            Some(code) if Meaning::of(code) == Meaning::Fenced => {
                RuntimeError::external(format!("{doing}: {}", self.expired()))
            }
            _ => self.shared.at.client_error(doing, error),
        }
    }

    /// Why a record was not taken.
    fn refusal(&mut self, Undelivered { topic, error }: &Undelivered) -> RuntimeError {
        let doing = format!("{topic} is written");
        self.missing(&doing, error, &[topic], WRITTEN)
            .unwrap_or_else(|| self.failure(&doing, error))
    }

    /// Which of these topics is gone, where the error may mean that; an error that passes if none
    /// is.
    fn missing(
        &self,
        doing: &str,
        error: &KafkaError,
        topics: &[&str],
        done: &str,
    ) -> Option<RuntimeError> {
        error.rdkafka_error_code().filter(|code| Meaning::of(*code) == Meaning::Missing)?;
        let gone = topics.iter().find(|topic| self.shared.admin.is_gone(topic));
        let passing = || RuntimeError::external(format!("{doing}: {error}"));
        Some(gone.map_or_else(passing, |topic| self.shared.at.deleted(topic, done)))
    }

    /// Whether the error says that another producer has taken over; it is remembered.
    fn is_taken_over(&mut self, error: &KafkaError) -> bool {
        let fences = |code| Meaning::of(code) == Meaning::Fenced;
        let fatal = self.producer.as_ref().and_then(|p| p.client().fatal_error());
        let fenced = error.rdkafka_error_code().is_some_and(fences)
            || fatal.is_some_and(|(code, _)| fences(code));
        self.fenced |= fenced && self.begun.elapsed() < self.timeout;
        self.fenced
    }

    fn expired(&self) -> String {
        let open = self.begun.elapsed().as_secs();
        format!("the transaction was open for {open} s, and the broker has ended it")
    }

    /// Waits until brokers have all records.
    fn deliver(&mut self) -> Result<(), Undelivered> {
        // Whoever is gone has nothing in flight: the end of the transaction tells.
        let Ok(producer) = self.producer() else { return Ok(()) };
        // Ends: a record is delivered, or fails after message.timeout.ms. The client's own flush
        // would serve reports for 100 ms each time, and wakes the threads of all brokers.
        while producer.in_flight_count() > 0 {
            serve_reports(producer);
        }
        producer.context().lock().failed.clone().map_or(Ok(()), Err)
    }

    /// Ends a transaction of which not all records could be written.
    fn give_up(&mut self, refused: &Undelivered) -> Outcome {
        if self.is_taken_over(&refused.error) {
            self.producer = None;
            return Outcome::Fenced;
        }
        let why = self.refusal(refused);
        match self.abort() {
            Ok(()) => Outcome::Aborted(why),
            Err(_) if self.fenced => Outcome::Fenced,
            Err(error) => Outcome::Unknown(format!("{}; then {}", why.message, error.message)),
        }
    }

    /// Asks for the end of the transaction until it is clear.
    fn end(&mut self) -> Outcome {
        let asked = Instant::now();
        loop {
            let answer = match &self.producer {
                Some(producer) => producer.commit_transaction(SLICE),
                None if self.fenced => return Outcome::Fenced,
                None => return Outcome::Unknown("the writer is gone".into()),
            };
            let Err(error) = answer else { return Outcome::Committed };
            if is_retriable(&error) && asked.elapsed() < self.timeout {
                continue;
            }
            let fenced = self.is_taken_over(&error);
            self.producer = None;
            if fenced {
                return Outcome::Fenced;
            }
            let why = self.shared.at.client_error("the transaction is committed", &error);
            return Outcome::Unknown(why.message);
        }
    }

    /// The slot of a partition, which exists.
    fn slot(&mut self, topic: &str, partition: u32) -> Result<usize> {
        if !self.topics.contains_key(topic) {
            let found = self.shared.admin.topic(topic)?;
            let info = found.ok_or_else(|| self.shared.at.missing(topic))?;
            let known = Topic { first_slot: self.slots, partitions: info.partitions };
            self.slots += info.partitions as usize;
            self.topics.insert(topic.to_string(), known);
        }
        let known = &self.topics[topic];
        if partition >= known.partitions {
            return Err(RuntimeError::user(format!("topic {topic} has no partition {partition}")));
        }
        Ok(known.first_slot + partition as usize)
    }

    /// The metadata of a consumer group that nobody is a member of.
    fn group(&mut self, group: &str) -> Result<&ConsumerGroupMetadata> {
        if !self.groups.contains_key(group) {
            let made = self.shared.config.group(group).create_with_context(Context::default());
            let consumer: BaseConsumer<Context> = made.map_err(|e| Config::refused(&e))?;
            let metadata = consumer
                .group_metadata()
                .ok_or_else(|| RuntimeError::internal("a consumer without its group"))?;
            self.groups.insert(group.to_string(), metadata);
        }
        Ok(&self.groups[group])
    }
}

impl Writer for KafkaWriter {
    fn begin(&mut self) -> Result<()> {
        let producer = self.producer()?;
        producer.context().context.refuse_replaced(&self.shared.at, WRITTEN)?;
        *producer.context().lock() = Delivered::default();
        let answer = producer.begin_transaction();
        self.begun = Instant::now();
        answer.map_err(|e| self.failure("a transaction is begun", &e))
    }

    fn send(&mut self, record: &Outgoing<'_>) -> Result<()> {
        let slot = self.slot(record.topic, record.partition)?;
        let mut native = BaseRecord {
            topic: record.topic,
            partition: Some(record.partition as i32),
            payload: record.value,
            key: record.key,
            timestamp: record.timestamp,
            headers: native_headers(record.headers),
            delivery_opaque: slot,
        };
        self.sends = self.sends.wrapping_add(1);
        let undelivered = |error| Undelivered { topic: record.topic.to_string(), error };
        let refused = loop {
            let producer = self.producer()?;
            match producer.send(native) {
                Ok(()) => {
                    if self.sends.is_multiple_of(SENDS_PER_POLL) {
                        producer.poll(Duration::ZERO);
                    }
                    break producer.context().lock().failed.clone();
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    native = back;
                    producer.poll(QUEUE_FULL_WAIT);
                    let failed = producer.context().lock().failed.clone();
                    if failed.is_some() {
                        break failed;
                    }
                }
                Err((error, _)) => break Some(undelivered(error)),
            }
        };
        refused.map_or(Ok(()), |refused| Err(self.refusal(&refused)))
    }

    fn send_offsets(&mut self, group: &str, offsets: &[Assignment]) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let doing = format!("offsets of group {group} are sent");
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for at in offsets {
            let offset = Offset::Offset(at.offset);
            list.add_partition_offset(&at.topic, at.partition as i32, offset)
                .map_err(|e| self.shared.at.client_error(&doing, &e))?;
        }
        self.group(group)?;
        let asked = Instant::now();
        loop {
            let producer = self.producer()?;
            let sent = producer.send_offsets_to_transaction(&list, &self.groups[group], SLICE);
            let Err(error) = sent else { return Ok(()) };
            producer.poll(Duration::ZERO);
            if !is_retriable(&error) || asked.elapsed() >= self.timeout {
                let topics: Vec<&str> = offsets.iter().map(|at| at.topic.as_str()).collect();
                let missing = self.missing(&doing, &error, &topics, "read");
                return Err(missing.unwrap_or_else(|| self.failure(&doing, &error)));
            }
        }
    }

    fn commit(&mut self) -> Outcome {
        if let Err(why) = self.deliver() {
            return self.give_up(&why);
        }
        let outcome = self.end();
        if let (Outcome::Committed, Some(producer)) = (&outcome, &self.producer) {
            let delivered = producer.context().lock();
            self.written.resize(self.slots, None);
            for (written, until) in self.written.iter_mut().zip(&delivered.until) {
                *written = until.or(*written);
            }
        }
        outcome
    }

    fn abort(&mut self) -> Result<()> {
        let asked = Instant::now();
        loop {
            let Err(error) = abort_once(self.producer()?) else { return Ok(()) };
            if !is_retriable(&error) || asked.elapsed() >= self.timeout {
                let why = self.failure("a transaction is aborted", &error);
                self.producer = None;
                return Err(why);
            }
        }
    }

    fn written_until(&self, topic: &str, partition: u32) -> Option<i64> {
        let known = self.topics.get(topic).filter(|t| partition < t.partitions)?;
        self.written.get(known.first_slot + partition as usize).copied().flatten()
    }

    fn is_fenced(&self) -> bool {
        let fatal = self.producer.as_ref().and_then(|p| p.client().fatal_error());
        self.fenced || fatal.is_some_and(|(code, _)| Meaning::of(code) == Meaning::Fenced)
    }
}

/// Serves delivery reports, or pauses when there are none. A poll that waits does not return when
/// one comes, and spins through its last millisecond.
fn serve_reports(producer: &BaseProducer<Deliveries>) {
    let open = producer.in_flight_count();
    producer.poll(Duration::ZERO);
    if producer.in_flight_count() == open {
        std::thread::sleep(REPORTS_PAUSE);
    }
}

/// Asks for the abort. It waits until the records that are dropped with it are reported, so another
/// thread serves the reports meanwhile.
fn abort_once(producer: &BaseProducer<Deliveries>) -> Result<(), KafkaError> {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                serve_reports(producer);
            }
        });
        let answer = producer.abort_transaction(SLICE);
        ended.store(true, Ordering::Relaxed);
        answer
    })
}

/// Whether the same call may go on where it stopped.
fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable(),
        // The client waits for delivery before it commits.
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        // Errors of other calls, which come with each version of the library.
        _ => false,
    }
}

fn native_headers(headers: Headers<'_>) -> Option<OwnedHeaders> {
    if headers.0.is_empty() {
        return None;
    }
    let add = |all: OwnedHeaders, (key, value)| all.insert(Header { key, value });
    Some(headers.fold(OwnedHeaders::new(), add))
}

//! Questions about a cluster: its identity, topics, offsets; and making and deleting topics.
//!
//! A topic's identity is Kafka's own topic id, in the form that Kafka's tools show. Brokers before
//! 2.8 give none; there cluster and name stand for it, and a topic that was deleted and made again
//! is not noticed.

use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic as NativeTopic, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Context, Endpoint, Meaning};
use super::config::Config;
use super::describe::{Described, describe};
use super::{ANY_TOPIC, CONNECT_TIMEOUT, REQUEST_TIMEOUT};
use crate::connect::{NewTopic, OffsetQuery, TopicInfo, fewer_partitions};
use crate::error::{Result, RuntimeError};

/// How long a broker may take to answer at all, in looks: a refusal need not wait for the last.
const CONNECT_LOOKS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(1_000), Duration::from_millis(3_500)];

/// Pause before a question is asked again that cannot be answered yet.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// For how long no broker may know a topic until it is gone, and the pause between two looks.
const GONE_AFTER: Duration = Duration::from_secs(5);
const GONE_PAUSE: Duration = Duration::from_millis(250);

/// Kafka's own numbers for questions about offsets: they stand where a timestamp would.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Asks one cluster.
pub(super) struct Admin {
    consumer: BaseConsumer<Context>,
    config: Config,
    at: Endpoint,
    cluster: String,
}

impl Admin {
    /// Connects to a cluster and learns its identity.
    ///
    /// # Errors
    /// If no broker answers, or refuses us.
    pub(super) fn connect(config: &Config, at: &Endpoint) -> Result<Self> {
        let made = config.admin().create_with_context(Context::default());
        let consumer: BaseConsumer<Context> = made.map_err(|e| Config::refused(&e))?;
        let mut admin =
            Self { consumer, config: config.clone(), at: at.clone(), cluster: String::new() };
        admin.reach()?;
        let id = admin.consumer.client().fetch_cluster_id(CONNECT_TIMEOUT);
        admin.cluster =
            id.ok_or_else(|| at.unreachable("the cluster is asked for its identity"))?;
        Ok(admin)
    }

    /// Fails when no broker answers. One that refuses us is noticed after the first look.
    pub(super) fn reach(&self) -> Result<()> {
        let mut last = RDKafkaErrorCode::OperationTimedOut;
        for wait in CONNECT_LOOKS {
            match describe(self.consumer.client(), &[ANY_TOPIC], wait) {
                Ok(_) => return Ok(()),
                Err(code) => last = code,
            }
            self.hear();
            self.consumer.context().check(&self.at)?;
        }
        let doing = "the cluster is contacted";
        match self.consumer.context().unreachable() {
            Some(why) if Meaning::of(last) == Meaning::Unreachable => {
                Err(self.at.unreachable_because(doing, &why))
            }
            Some(_) | None => Err(self.at.error(doing, last)),
        }
    }

    /// Takes in what the client has to tell: that comes as events.
    fn hear(&self) {
        while self.consumer.poll(Duration::ZERO).is_some() {}
    }

    pub(super) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Why a question failed. What a broker says of our identity comes as an event.
    fn failed(&self, doing: &str, error: &KafkaError) -> RuntimeError {
        self.hear();
        let refused = self.consumer.context().check(&self.at).err();
        refused.unwrap_or_else(|| self.at.client_error(doing, error))
    }

    /// All topics but Kafka's own, by name.
    pub(super) fn topics(&self) -> Result<Vec<TopicInfo>> {
        let doing = "topics are listed";
        let all = self.consumer.fetch_metadata(None, REQUEST_TIMEOUT);
        let all = all.map_err(|e| self.failed(doing, &e))?;
        let mut names: Vec<&str> = all.topics().iter().map(|t| t.name()).collect();
        names.sort_unstable();
        let described = self.describe(doing, &names)?;
        let shown = described.into_iter().filter(|t| !t.internal && t.error.is_none());
        let mut topics: Vec<TopicInfo> = shown.map(|t| self.info(t)).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// A topic, if it exists.
    pub(super) fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        Ok(self.look_up(&[name])?.pop().flatten())
    }

    /// Whether a topic is gone, and not just unknown to a broker that has not caught up. Takes its
    /// time.
    pub(super) fn is_gone(&self, name: &str) -> bool {
        let asked = Instant::now();
        while let Ok(None) = self.topic(name) {
            if asked.elapsed() >= GONE_AFTER {
                return true;
            }
            std::thread::sleep(GONE_PAUSE);
        }
        false
    }

    /// Topics by name; `None` where there is none.
    fn look_up(&self, names: &[&str]) -> Result<Vec<Option<TopicInfo>>> {
        let mut all: Vec<Option<TopicInfo>> = names.iter().map(|_| None).collect();
        let doing = format!("{} looked up", these(names));
        for found in self.describe(&doing, names)? {
            match found.error {
                None => {
                    let info = self.info(found);
                    let ours = names.iter().position(|name| *name == info.name);
                    if let Some(slot) = ours.and_then(|index| all.get_mut(index)) {
                        *slot = Some(info);
                    }
                }
                Some(code) if Meaning::of(code) == Meaning::Missing => {}
                Some(code) => return Err(self.at.error(&doing, code)),
            }
        }
        Ok(all)
    }

    fn describe(&self, doing: &str, names: &[&str]) -> Result<Vec<Described>> {
        let answer = describe(self.consumer.client(), names, REQUEST_TIMEOUT);
        answer.map_err(|code| self.failed(doing, &KafkaError::MetadataFetch(code)))
    }

    fn info(&self, topic: Described) -> TopicInfo {
        let id = topic.id.unwrap_or_else(|| format!("{}/{}", self.cluster, topic.name));
        TopicInfo { name: topic.name, id, partitions: topic.partitions as u32 }
    }

    /// Creates the topics that are missing, in one request, and waits until they can be used.
    pub(super) fn create(&self, topics: &[NewTopic]) -> Result<Vec<TopicInfo>> {
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let found = self.look_up(&names)?;
        let is_missing = |topic: &&NewTopic| !found.iter().flatten().any(|t| t.name == topic.name);
        let missing: Vec<&NewTopic> = topics.iter().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        self.request(&missing)?;
        let asked = Instant::now();
        loop {
            // The broker that we ask may hear of a topic later than the one that made it.
            let there: Vec<TopicInfo> = self.look_up(&names)?.into_iter().flatten().collect();
            if there.len() == names.len() {
                for made in there.iter().filter(|t| missing.iter().any(|m| m.name == t.name)) {
                    self.ask(made, LATEST)?;
                }
                return Ok(there);
            }
            if asked.elapsed() >= REQUEST_TIMEOUT {
                return Err(self.at.unreachable(&format!("{} made", these(&names))));
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    fn request(&self, topics: &[&NewTopic]) -> Result<()> {
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let native: Vec<NativeTopic<'_>> = topics.iter().map(|topic| native(topic)).collect();
        let doing = format!("{} made", these(&names));
        let answers = self
            .change(&doing, async |client, options| client.create_topics(&native, options).await)?;
        for answer in answers {
            match answer {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(self.at.error(&format!("topic {name} is made"), code));
                }
            }
        }
        Ok(())
    }

    /// Deletes those of the topics that are there, in one request, and waits until they are gone.
    pub(super) fn delete(&self, names: &[&str]) -> Result<()> {
        let there: Vec<TopicInfo> = self.look_up(names)?.into_iter().flatten().collect();
        let names: Vec<&str> = there.iter().map(|topic| topic.name.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let doing = format!("{} deleted", these(&names));
        let answers = self
            .change(&doing, async |client, options| client.delete_topics(&names, options).await)?;
        for answer in answers {
            match answer {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((name, code)) => {
                    return Err(self.at.error(&format!("topic {name} is deleted"), code));
                }
            }
        }
        let asked = Instant::now();
        // The broker that we ask may hear of it later.
        while self.look_up(&names)?.iter().flatten().any(|topic| there.contains(topic)) {
            if asked.elapsed() >= REQUEST_TIMEOUT {
                return Err(self.at.unreachable(&doing));
            }
            std::thread::sleep(RETRY_PAUSE);
        }
        Ok(())
    }

    /// Asks a cluster to change something.
    fn change<T>(
        &self,
        doing: &str,
        ask: impl AsyncFnOnce(&AdminClient<Context>, &AdminOptions) -> KafkaResult<T>,
    ) -> Result<T> {
        // A client of its own: nobody would serve its events between the rare calls.
        let made = self.config.admin().create_with_context(Context::default());
        let client: AdminClient<Context> = made.map_err(|e| Config::refused(&e))?;
        let options = AdminOptions::new()
            .request_timeout(Some(REQUEST_TIMEOUT))
            .operation_timeout(Some(REQUEST_TIMEOUT));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|e| RuntimeError::external(format!("{doing}: {e}")))?;
        let answer = runtime.block_on(ask(&client, &options));
        // It takes its thread 100 ms to end, which nobody has to wait for. If there is no thread to
        // wait instead, the client ends here.
        let _ = std::thread::Builder::new().spawn(move || drop(client));
        answer.map_err(|e| self.failed(doing, &e))
    }

    /// Gives a topic more partitions, this many in all, and waits until they can be used.
    pub(super) fn add_partitions(&self, topic: &str, partitions: u32) -> Result<TopicInfo> {
        let doing = format!("topic {topic} gets {partitions} partitions");
        let info = self.topic(topic)?.ok_or_else(|| self.at.missing(topic))?;
        if info.partitions == partitions {
            return Ok(info);
        }
        if info.partitions > partitions {
            return Err(fewer_partitions(&info, partitions));
        }
        let wanted = NewPartitions::new(topic, partitions as usize);
        let answer = self.change(&doing, async |client, options| {
            client.create_partitions([&wanted], options).await
        })?;
        if let Some(Err((_, code))) = answer.into_iter().next() {
            return Err(self.at.error(&doing, code));
        }
        let asked = Instant::now();
        loop {
            let info = self.topic(topic)?.filter(|info| info.partitions >= partitions);
            if let Some(info) = info {
                self.ask(&info, LATEST)?;
                return Ok(info);
            }
            if asked.elapsed() >= REQUEST_TIMEOUT {
                return Err(self.at.unreachable(&doing));
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    /// An offset of each partition of a topic. The end is the high watermark.
    pub(super) fn offsets(&self, topic: &str, query: OffsetQuery) -> Result<Vec<i64>> {
        let info = self.topic(topic)?.ok_or_else(|| self.at.missing(topic))?;
        match query {
            OffsetQuery::Earliest => self.ask(&info, EARLIEST),
            OffsetQuery::End => self.ask(&info, LATEST),
            OffsetQuery::Timestamp(at) => {
                let found = self.ask(&info, at.max(0))?;
                if found.iter().all(|&offset| offset >= 0) {
                    return Ok(found);
                }
                let ends = self.ask(&info, LATEST)?;
                let or_end = |(&found, &end): (&i64, &i64)| if found < 0 { end } else { found };
                Ok(found.iter().zip(&ends).map(or_end).collect())
            }
        }
    }

    /// What a group has committed for each partition of a topic.
    pub(super) fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>> {
        let doing = format!("offsets of group {group} in topic {topic} are asked for");
        let wrong = |e: KafkaError| self.at.client_error(&doing, &e);
        let info = self.topic(topic)?.ok_or_else(|| self.at.missing(topic))?;
        let made = self.config.group(group).create_with_context(Context::default());
        let consumer: BaseConsumer<Context> = made.map_err(|e| Config::refused(&e))?;
        let mut partitions = TopicPartitionList::with_capacity(info.partitions as usize);
        partitions.add_partition_range(topic, 0, info.partitions.saturating_sub(1) as i32);
        let answer = consumer.committed_offsets(partitions, REQUEST_TIMEOUT).map_err(wrong)?;
        let mut offsets = vec![None; info.partitions as usize];
        for found in answer.elements() {
            found.error().map_err(wrong)?;
            let slot = offsets.get_mut(found.partition() as usize);
            if let (Offset::Offset(offset), Some(slot)) = (found.offset(), slot) {
                *slot = Some(offset);
            }
        }
        Ok(offsets)
    }

    /// Asks each partition's leader for the first offset at this time (milliseconds since 1970) or
    /// later, -1 where there is none; `LATEST` and `EARLIEST` ask for ends.
    fn ask(&self, topic: &TopicInfo, time: i64) -> Result<Vec<i64>> {
        let doing = format!("offsets of topic {} are asked for", topic.name);
        let asked = Instant::now();
        loop {
            let code = match self.ask_once(topic, time, &doing)? {
                Ok(offsets) => return Ok(offsets),
                Err(code) => code,
            };
            // A partition without a leader for a moment, such as one that was just made.
            if asked.elapsed() >= REQUEST_TIMEOUT {
                return Err(self.at.error(&doing, code));
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    /// The inner error may pass.
    fn ask_once(
        &self,
        topic: &TopicInfo,
        time: i64,
        doing: &str,
    ) -> Result<std::result::Result<Vec<i64>, RDKafkaErrorCode>> {
        let mut times = TopicPartitionList::with_capacity(topic.partitions as usize);
        for partition in 0..topic.partitions {
            times
                .add_partition_offset(&topic.name, partition as i32, Offset::from_raw(time))
                .map_err(|e| self.at.client_error(doing, &e))?;
        }
        let answer = match self.consumer.offsets_for_times(times, REQUEST_TIMEOUT) {
            Ok(answer) => answer,
            Err(error) => match error.rdkafka_error_code() {
                Some(code) if may_pass(code) => return Ok(Err(code)),
                _ => return Err(self.failed(doing, &error)),
            },
        };
        let mut offsets = vec![-1; topic.partitions as usize];
        for found in answer.elements() {
            match found.error().err().and_then(|e| e.rdkafka_error_code()) {
                None => {}
                Some(code) if may_pass(code) => return Ok(Err(code)),
                Some(code) => return Err(self.at.error(doing, code)),
            }
            let offset = found.offset().to_raw().unwrap_or(-1);
            if let Some(slot) = offsets.get_mut(found.partition() as usize) {
                *slot = offset;
            }
        }
        Ok(Ok(offsets))
    }
}

/// How topics are called in messages.
fn these(names: &[&str]) -> String {
    match names {
        [name] => format!("topic {name} is"),
        _ => format!("topics {} are", names.join(", ")),
    }
}

/// A topic as the client library takes it.
fn native(topic: &NewTopic) -> NativeTopic<'_> {
    // -1: as many as the broker makes by default.
    let partitions = match topic.partitions {
        0 => -1,
        n => i32::try_from(n).unwrap_or(i32::MAX),
    };
    let mut native = NativeTopic::new(&topic.name, partitions, TopicReplication::Fixed(-1));
    if topic.compacted {
        native = native.set("cleanup.policy", "compact");
    }
    for (name, value) in &topic.config {
        native = native.set(name, value);
    }
    native
}

/// Whether a question about a topic that exists may be answered a moment later.
fn may_pass(code: RDKafkaErrorCode) -> bool {
    match Meaning::of(code) {
        Meaning::Missing | Meaning::Passing => true,
        Meaning::Refused | Meaning::Fenced | Meaning::Unreachable | Meaning::Wrong => false,
    }
}

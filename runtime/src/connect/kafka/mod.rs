//! Kafka as a log: rdkafka behind the same interface as the embedded log.
//!
//! * `config`: properties of clients; `security`: who asks, whom to trust. `client`: what
//!   librdkafka tells, and what errors mean.
//! * `admin`, `describe`: topics and offsets.
//! * `source`, `batch`: reading; a fetched batch hands out the bytes of native messages.
//! * `transaction`: writing, one transaction at a time.
//!
//! Native memory is touched in `batch` and `describe` only.

mod admin;
mod batch;
mod client;
mod config;
mod describe;
mod security;
mod source;
mod transaction;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admin::Admin;
use client::Endpoint;
use config::Config;
use source::KafkaReader;
use transaction::KafkaWriter;

pub use config::BOOTSTRAP_SERVERS;

use crate::connect::{Assignment, Log, NewTopic, OffsetQuery, Reader, TopicInfo, Writer};
use crate::error::{Result, RuntimeError};

/// How long a broker may take to answer at all. Whoever waits tries again with a pause.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A topic to ask about when any will do; it need not be there.
const ANY_TOPIC: &str = "__consumer_offsets";

/// How long an answered cluster may take for a question: a partition may be without a leader.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A Kafka cluster; clones share it.
#[derive(Clone)]
pub struct KafkaLog {
    shared: Arc<Shared>,
}

/// What readers and writers share.
struct Shared {
    config: Config,
    at: Endpoint,
    admin: Admin,
}

impl KafkaLog {
    /// Connects to the cluster that these properties name: those of `'properties.*'`, without the
    /// prefix.
    ///
    /// # Errors
    /// If a property is wrong, no broker answers, or it refuses this client.
    pub fn open(properties: &BTreeMap<String, String>) -> Result<Self> {
        let config = Config::new(properties)?;
        let at = Endpoint::new(config.servers());
        let admin = Admin::connect(&config, &at)?;
        Ok(Self { shared: Arc::new(Shared { config, at, admin }) })
    }
}

impl Log for KafkaLog {
    fn cluster(&self) -> String {
        self.shared.admin.cluster().to_string()
    }

    fn describe_self(&self) -> String {
        self.shared.at.describe()
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.shared.admin.topics()
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        self.shared.admin.topic(name)
    }

    fn create_topic(&self, topic: &NewTopic) -> Result<TopicInfo> {
        let made = self.create_topics(std::slice::from_ref(topic))?.pop();
        made.ok_or_else(|| RuntimeError::internal("a topic that was made is not told"))
    }

    fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<TopicInfo>> {
        self.shared.admin.create(topics)
    }

    fn add_partitions(&self, topic: &str, partitions: u32) -> Result<TopicInfo> {
        self.shared.admin.add_partitions(topic, partitions)
    }

    fn delete_topics(&self, names: &[&str]) -> Result<()> {
        self.shared.admin.delete(names)
    }

    fn offsets(&self, topic: &str, query: OffsetQuery) -> Result<Vec<i64>> {
        self.shared.admin.offsets(topic, query)
    }

    fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>> {
        self.shared.admin.group_offsets(group, topic)
    }

    fn reader(&self, assignment: &[Assignment]) -> Result<Box<dyn Reader>> {
        Ok(Box::new(KafkaReader::new(self.shared.clone(), assignment)?))
    }

    fn writer(&self, transactional_id: &str) -> Result<Box<dyn Writer>> {
        Ok(Box::new(KafkaWriter::new(self.shared.clone(), transactional_id)?))
    }
}

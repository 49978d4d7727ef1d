//! The properties of Kafka clients. A program says `'properties.NAME' = 'VALUE'`; here the names
//! stand without the prefix. Three layers, later ones win: Flow's defaults, the program's
//! properties, and what Flow's guarantees rest on.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::security;
use crate::error::{Result, RuntimeError};

/// The property that names the brokers.
pub const BOOTSTRAP_SERVERS: &str = "bootstrap.servers";

/// How the property that names the brokers is written in a program.
pub(super) const BOOTSTRAP_OPTION: &str = "properties.bootstrap.servers";

/// The group that readers name. They never join it: partitions are assigned.
const GROUP_ID: &str = "flow";

/// After this time without an end the broker aborts a transaction, milliseconds. An epoch lasts
/// 10 s at most; the rest is for a broker that is slow or comes back.
const TRANSACTION_TIMEOUT_MS: u64 = 60_000;

type Properties = &'static [(&'static str, &'static str)];

/// Defaults of every client.
const CLIENT: Properties = &[
    ("client.id", "flow"),
    // A broker that comes back is noticed within a second (10 s by default).
    ("reconnect.backoff.max.ms", "1000"),
    // Tells a dead peer from a silent one.
    ("socket.keepalive.enable", "true"),
    // Topics are made on purpose, with their partitions, or not at all.
    ("allow.auto.create.topics", "false"),
];

/// Defaults of readers.
const READER: Properties = &[
    ("group.id", GROUP_ID),
    // What one reader keeps fetched ahead, KiB: enough for a tenth of a second at 300 MB/s, and one
    // reader a worker stays far below the memory for state.
    ("queued.max.messages.kbytes", "32768"),
    ("queued.min.messages", "200000"),
    // Bytes of one partition and of all in one answer: few round trips, no long silence.
    ("fetch.message.max.bytes", "4194304"),
    ("fetch.max.bytes", "16777216"),
    // The end of a partition is told by an empty answer, which a broker holds back for this long.
    ("fetch.wait.max.ms", "50"),
    // A full queue is looked at again soon: at 1 s, the default, a quick reader would run dry.
    ("fetch.queue.backoff.ms", "2"),
    ("fetch.error.backoff.ms", "100"),
    // Costs nothing measurable, and a flipped bit must not become an answer.
    ("check.crcs", "true"),
];

/// What readers rest on.
const READER_FIXED: Properties = &[
    ("isolation.level", "read_committed"),
    // Positions are in the epoch record.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Moves positions past transaction markers, and tells the end.
    ("enable.partition.eof", "true"),
    // A position that is gone is lost data, never a silent jump.
    ("auto.offset.reset", "error"),
];

/// Defaults of writers.
const WRITER: Properties = &[
    // The cheapest codec that still halves typical records.
    ("compression.type", "lz4"),
    // Gathers batches while an epoch is sent; its commit does not wait for it.
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "100000"),
    // A transaction that begins while markers of the last one are written is told to come again: at
    // 100 ms, the default, that would be most of a commit.
    ("retry.backoff.ms", "10"),
    // What waits to be taken by brokers: KiB and records.
    ("queue.buffering.max.kbytes", "65536"),
    ("queue.buffering.max.messages", "500000"),
];

/// Consumer options of Java's client that have another name or no meaning here.
const IGNORED: &[&str] = &["key.deserializer", "value.deserializer", "max.poll.records"];

/// The properties of all clients of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Config {
    properties: BTreeMap<String, String>,
}

impl Config {
    /// The program's properties, without their prefix.
    pub(super) fn new(properties: &BTreeMap<String, String>) -> Result<Self> {
        if properties.get(BOOTSTRAP_SERVERS).is_none_or(|s| s.trim().is_empty()) {
            return Err(RuntimeError::user("no address of a Kafka broker is given").with_help(
                format!("Set '{BOOTSTRAP_OPTION}' to HOST:PORT, or KAFKA_BOOTSTRAP_SERVERS."),
            ));
        }
        let mut properties = properties.clone();
        properties.retain(|name, _| !IGNORED.contains(&name.as_str()));
        security::translate(&mut properties)?;
        security::check_files(&properties)?;
        Ok(Self { properties })
    }

    /// The addresses of brokers.
    pub(super) fn servers(&self) -> &str {
        self.properties.get(BOOTSTRAP_SERVERS).map_or("", String::as_str)
    }

    /// For questions about topics and offsets. It has no group and reads nothing.
    pub(super) fn admin(&self) -> ClientConfig {
        let mut config = self.layers(&[CLIENT], &[("isolation.level", "read_uncommitted")]);
        config.remove("group.id");
        config
    }

    /// For reading committed records.
    pub(super) fn reader(&self) -> ClientConfig {
        self.watchful(self.layers(&[CLIENT, READER], READER_FIXED))
    }

    /// For the metadata of a consumer group.
    pub(super) fn group(&self, group: &str) -> ClientConfig {
        self.layers(&[CLIENT], &[("enable.auto.commit", "false"), ("group.id", group)])
    }

    /// For writing in transactions.
    pub(super) fn writer(&self, transactional_id: &str) -> ClientConfig {
        let fixed = [("transactional.id", transactional_id), ("enable.idempotence", "true")];
        let mut config = self.layers(&[CLIENT, WRITER], &fixed);
        if !self.properties.contains_key("transaction.timeout.ms") {
            config.set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string());
        }
        self.watchful(config)
    }

    /// Lets a client say when a topic's name stands for another topic: it does so in a line about
    /// metadata (`client::OTHER_TOPIC`). There are few others of them.
    fn watchful(&self, mut config: ClientConfig) -> ClientConfig {
        let lines = match self.properties.get("debug") {
            Some(given) => format!("{given},metadata"),
            None => "metadata".to_string(),
        };
        config.set("debug", lines);
        config.set_log_level(RDKafkaLogLevel::Debug);
        config
    }

    /// After how long the broker aborts a transaction.
    pub(super) fn transaction_timeout(&self) -> Duration {
        let given = self.properties.get("transaction.timeout.ms");
        let millis = given.and_then(|text| text.parse().ok()).unwrap_or(TRANSACTION_TIMEOUT_MS);
        Duration::from_millis(millis)
    }

    fn layers(&self, defaults: &[Properties], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in defaults.iter().copied().flatten() {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        for (name, value) in fixed {
            config.set(*name, *value);
        }
        // Lines go to `tracing`, which filters; what matters comes back as an error.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// Why a client cannot be made.
    pub(super) fn refused(error: &KafkaError) -> RuntimeError {
        let KafkaError::ClientConfig(_, why, name, value) = error else {
            let why = match error {
                KafkaError::ClientCreation(why) => why.clone(),
                other => other.to_string(),
            };
            return RuntimeError::user(format!("no Kafka client can be made: {why}"))
                .with_help("Check the options 'properties.*'.");
        };
        let shown = if is_secret(name) { "…" } else { value };
        RuntimeError::user(format!("'properties.{name}' = '{shown}': {why}")).with_help(
            "Options 'properties.*' are those of librdkafka (see its CONFIGURATION.md), and those \
             of Java's client that say who asks and whom to trust.",
        )
    }
}

/// Whether an option's value must not be shown.
fn is_secret(name: &str) -> bool {
    ["password", "jaas", "secret", "token", "key.pem"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(properties: &[(&str, &str)]) -> Config {
        let own = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
        let mut all: BTreeMap<String, String> = properties.iter().map(own).collect();
        all.insert(BOOTSTRAP_SERVERS.into(), "b:9092".into());
        Config::new(&all).expect("it names a broker")
    }

    #[test]
    fn the_program_wins_over_defaults_and_not_over_guarantees() {
        let config = config(&[("fetch.wait.max.ms", "7"), ("isolation.level", "read_uncommitted")]);
        let reader = config.reader();
        assert_eq!(reader.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(reader.get("isolation.level"), Some("read_committed"));
        assert_eq!(reader.get("bootstrap.servers"), Some("b:9092"));
    }

    #[test]
    fn every_default_is_a_property_that_the_client_knows() {
        let config = config(&[]);
        for made in [config.admin(), config.reader(), config.group("g"), config.writer("w")] {
            assert!(made.create_native_config().is_ok(), "{:?}", made.config_map());
        }
    }

    #[test]
    fn a_login_as_java_writes_it_is_taken() {
        let jaas = "PlainLoginModule required username=me password=hush;";
        let reader = config(&[("sasl.jaas.config", jaas)]).reader();
        assert_eq!(reader.get("sasl.username"), Some("me"));
        assert!(reader.create_native_config().is_ok(), "the client knows the properties");
    }

    #[test]
    fn a_property_that_the_client_refuses_is_named_and_no_password_shown() {
        let refused = |name, value| {
            let config = config(&[(name, value)]).reader();
            let error = config.create_native_config().err().expect("it is refused");
            Config::refused(&error).to_string()
        };
        let told = refused("security.protocol", "TLS");
        assert!(told.contains("'properties.security.protocol' = 'TLS'"), "{told}");
        let told = refused("sasl.pasword", "hush");
        assert!(
            told.contains("'properties.sasl.pasword'") && told.contains("librdkafka"),
            "{told}"
        );
    }

    #[test]
    fn the_transaction_timeout_is_the_programs() {
        assert_eq!(config(&[]).transaction_timeout(), Duration::from_secs(60));
        let config = config(&[("transaction.timeout.ms", "5000")]);
        assert_eq!(config.transaction_timeout(), Duration::from_secs(5));
        assert_eq!(config.writer("w").get("transaction.timeout.ms"), Some("5000"));
    }

    #[test]
    fn without_an_address_there_is_no_client() {
        let error = Config::new(&BTreeMap::new()).expect_err("nothing says where the broker is");
        assert!(error.to_string().contains("properties.bootstrap.servers"), "{error}");
    }
}

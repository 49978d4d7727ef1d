//! Fills Kafka with Nexmark events: registers the schemas, creates the topics, writes each event as
//! a Confluent-framed Avro record whose key is its id as text, on the partition that Kafka's Java
//! client would choose.

use std::collections::BTreeMap;

use flow_registry::Schema;
use flow_runtime::connect::kafka::{BOOTSTRAP_SERVERS, KafkaLog};
use flow_runtime::connect::{Log, NewTopic, Outcome, Outgoing, Writer, murmur2};
use flow_stdlib::generated::{Generate, Nexmark, nexmark_schema};
use serde_json::Value;

use crate::Result;
use crate::measure::Meter;

/// The kinds of events; their topics.
const KINDS: [&str; 3] = ["person", "auction", "bid"];

/// Records of one transaction: few commits, each well inside the broker's time limit.
const TRANSACTION_RECORDS: u64 = 200_000;

#[derive(clap::Args)]
pub(crate) struct Load {
    /// HOST:PORT of a broker
    #[arg(long)]
    bootstrap: String,
    /// URL of a schema registry
    #[arg(long)]
    registry: String,
    /// Events in all
    #[arg(long, default_value = "2000000")]
    events: u64,
    /// Another seed gives other events
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Events a second of event time
    #[arg(long, default_value = "10000", value_parser = clap::value_parser!(u64).range(1..))]
    event_rate: u64,
    /// Event time of the first event, milliseconds since 1970 (2015-07-15)
    #[arg(long, default_value = "1436918400000")]
    begin: i64,
    /// Partitions of each topic
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: u32,
}

impl Load {
    pub(crate) fn run(&self) -> Result<Value> {
        let options = flow_registry::Options::new("--registry");
        let registry = flow_registry::open(&self.registry, &options)?;
        let log = open(&self.bootstrap)?;
        let mut kinds = Vec::new();
        for topic in KINDS {
            let subject = format!("{topic}-value");
            let id = registry.register(&subject, &Schema::avro(nexmark_schema(Some(topic))))?;
            let [a, b, c, d] = id.to_be_bytes();
            kinds.push(Kind { topic, framing: [0, a, b, c, d], events: self.events(topic)? });
            create(&log, topic, self.partitions)?;
        }
        let mut meter = Meter::new();
        let mut writer = log.writer("flow-bench-load")?;
        self.write(writer.as_mut(), &mut kinds, &mut meter)?;
        Ok(meter.figures())
    }

    /// What makes the events of a kind: those of connector `nexmark`.
    fn events(&self, kind: &str) -> Result<Box<dyn Generate>> {
        let option = |name: &str, value: String| (name.to_string(), value);
        let options = BTreeMap::from([
            option("table", kind.into()),
            option("seed", self.seed.to_string()),
            option("next-event.rate", self.event_rate.to_string()),
        ]);
        let rules = Nexmark::new(&options).map_err(|bad| format!("{}: {}", bad.name, bad.takes))?;
        Ok(Box::new(rules.events(self.begin * 1_000)))
    }

    fn write(&self, writer: &mut dyn Writer, kinds: &mut [Kind], meter: &mut Meter) -> Result<()> {
        let mut record = Vec::new();
        for first in (0..self.events).step_by(TRANSACTION_RECORDS as usize) {
            writer.begin()?;
            for number in first..self.events.min(first + TRANSACTION_RECORDS) {
                // An event is of one kind.
                let Some(topic) =
                    kinds.iter_mut().find_map(|kind| kind.record(number, &mut record))
                else {
                    continue;
                };
                let key = first_long(&record[FRAME_BYTES..]).to_string();
                writer.send(&Outgoing {
                    topic,
                    partition: murmur2(key.as_bytes()) % self.partitions,
                    key: Some(key.as_bytes()),
                    value: Some(&record),
                    timestamp: Some(
                        self.begin + (number as i64).saturating_mul(1_000) / self.event_rate as i64,
                    ),
                    ..Outgoing::default()
                })?;
                meter.add(1, record.len() as u64);
            }
            match writer.commit() {
                Outcome::Committed => {}
                other => return Err(format!("a transaction was not committed: {other:?}").into()),
            }
        }
        Ok(())
    }
}

/// Bytes of the registry's framing.
const FRAME_BYTES: usize = 5;

/// The events of a kind.
struct Kind {
    topic: &'static str,
    /// Stands before each record.
    framing: [u8; FRAME_BYTES],
    events: Box<dyn Generate>,
}

impl Kind {
    /// Puts the record of an event in place of another, if it is of this kind; its topic.
    fn record(&mut self, number: u64, record: &mut Vec<u8>) -> Option<&'static str> {
        record.clear();
        record.extend_from_slice(&self.framing);
        self.events.record(number, record).then_some(self.topic)
    }
}

/// The first field of an Avro record, a long: the id of a person or auction, the auction of a bid.
fn first_long(record: &[u8]) -> i64 {
    let length = record.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
    let bits =
        record[..length].iter().rev().fold(0u64, |bits, byte| bits << 7 | u64::from(byte & 0x7f));
    (bits >> 1) as i64 ^ -((bits & 1) as i64)
}

/// The cluster at this address.
pub(crate) fn open(bootstrap: &str) -> Result<KafkaLog> {
    Ok(KafkaLog::open(&BTreeMap::from([(BOOTSTRAP_SERVERS.into(), bootstrap.into())]))?)
}

/// Creates an empty topic. A filled one would be measured with what it holds from before.
pub(crate) fn create(log: &KafkaLog, name: &str, partitions: u32) -> Result<()> {
    if log.topic(name)?.is_some() {
        return Err(format!("there is a topic {name} already").into());
    }
    let config = Vec::new();
    log.create_topic(&NewTopic { name: name.into(), partitions, compacted: false, config })?;
    Ok(())
}

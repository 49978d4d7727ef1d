//! Fills Kafka with Nexmark events: registers the schemas, creates the topics, writes each event as
//! a Confluent-framed Avro record whose key is its id as text, on the partition that Kafka's Java
//! client would choose.

use std::collections::BTreeMap;

use flow_registry::Schema;
use flow_runtime::connect::kafka::{BOOTSTRAP_SERVERS, KafkaLog};
use flow_runtime::connect::{Log, NewTopic, Outcome, Outgoing, Writer, murmur2};
use serde_json::Value;

use crate::Result;
use crate::measure::Meter;
use crate::nexmark::{Kind, Nexmark};

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
    begin: u64,
    /// Partitions of each topic
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: u32,
}

impl Load {
    pub(crate) fn run(&self) -> Result<Value> {
        let options = flow_registry::Options::new("--registry");
        let registry = flow_registry::open(&self.registry, &options)?;
        let log = open(&self.bootstrap)?;
        let mut framings = Vec::new();
        for kind in Kind::ALL {
            let subject = format!("{}-value", kind.topic());
            let id = registry.register(&subject, &Schema::avro(kind.schema()))?;
            let [a, b, c, d] = id.to_be_bytes();
            framings.push([0, a, b, c, d]);
            create(&log, kind.topic(), self.partitions)?;
        }
        let mut meter = Meter::new();
        let mut writer = log.writer("flow-bench-load")?;
        self.write(writer.as_mut(), &framings, &mut meter)?;
        Ok(meter.figures())
    }

    /// `framings` stand before the records, by kind.
    fn write(
        &self,
        writer: &mut dyn Writer,
        framings: &[[u8; 5]],
        meter: &mut Meter,
    ) -> Result<()> {
        let stream = Nexmark { seed: self.seed, begin: self.begin, rate: self.event_rate };
        let (mut value, mut record) = (Vec::new(), Vec::new());
        for first in (0..self.events).step_by(TRANSACTION_RECORDS as usize) {
            writer.begin()?;
            for number in first..self.events.min(first + TRANSACTION_RECORDS) {
                value.clear();
                let event = stream.write(number, &mut value);
                record.clear();
                record.extend_from_slice(&framings[event.kind as usize]);
                record.extend_from_slice(&value);
                let key = event.key.to_string();
                writer.send(&Outgoing {
                    topic: event.kind.topic(),
                    partition: murmur2(key.as_bytes()) % self.partitions,
                    key: Some(key.as_bytes()),
                    value: Some(&record),
                    timestamp: i64::try_from(event.time).ok(),
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

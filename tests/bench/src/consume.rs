//! Reads a topic to its end and does nothing with the records: what any program that reads with
//! librdkafka pays at least.

use std::time::Duration;

use flow_runtime::connect::{Assignment, Log};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use crate::measure::Meter;
use crate::{Input, Result, load};

/// How long a call waits for records.
const WAIT: Duration = Duration::from_millis(100);

/// Silence of this many calls means that something is broken.
const SILENCE_MAX: u32 = 300;

/// The settings that decide a reader's speed, as Flow's reader has them: large answers, a queue
/// that never runs dry.
const SETTINGS: [(&str, &str); 9] = [
    ("group.id", "flow-bench"),
    ("enable.auto.commit", "false"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    ("queued.min.messages", "200000"),
    ("queued.max.messages.kbytes", "32768"),
    ("fetch.message.max.bytes", "4194304"),
    ("fetch.wait.max.ms", "50"),
    ("fetch.queue.backoff.ms", "2"),
];

/// With rdkafka's BaseConsumer.
pub(crate) fn poll(input: &Input) -> Result<Value> {
    let mut meter = Meter::new();
    let mut consumer = Assigned::new(input)?;
    while let Some(message) = consumer.next()? {
        if let Some(message) = message {
            meter.add(1, message.payload_len() as u64);
        }
    }
    Ok(meter.figures())
}

/// With Flow's reader.
pub(crate) fn batch(input: &Input) -> Result<Value> {
    let mut meter = Meter::new();
    let log = load::open(&input.bootstrap)?;
    let topic = log.topic(&input.topic)?.ok_or("there is no such topic")?;
    let assignment: Vec<Assignment> = (0..topic.partitions)
        .map(|partition| Assignment { topic: topic.name.clone(), partition, offset: 0 })
        .collect();
    let mut reader = log.reader(&assignment)?;
    let mut silence = 0;
    while !(0..assignment.len()).all(|partition| reader.at_end(partition)) {
        let Some(fetched) = reader.poll(WAIT)? else {
            silence += 1;
            if silence > SILENCE_MAX {
                return Err("no records come".into());
            }
            continue;
        };
        silence = 0;
        meter.add(fetched.batch.len() as u64, fetched.batch.bytes() as u64);
    }
    Ok(meter.figures())
}

/// A consumer of all partitions of a topic, from its beginning to its end.
pub(crate) struct Assigned {
    consumer: BaseConsumer,
    partitions: usize,
    ended: usize,
    silence: u32,
}

impl Assigned {
    pub(crate) fn new(input: &Input) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &input.bootstrap);
        for (name, value) in SETTINGS {
            config.set(name, value);
        }
        let consumer: BaseConsumer = config.create()?;
        let known = consumer.fetch_metadata(Some(&input.topic), Duration::from_secs(10))?;
        let partitions = known.topics().first().map_or(0, |topic| topic.partitions().len());
        if partitions == 0 {
            return Err(format!("there is no topic {}", input.topic).into());
        }
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(&input.topic, partition as i32, Offset::Beginning)?;
        }
        consumer.assign(&list)?;
        Ok(Self { consumer, partitions, ended: 0, silence: 0 })
    }

    pub(crate) fn partitions(&self) -> usize {
        self.partitions
    }

    /// The next record; `Some(None)` if there is none at the moment, `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Option<BorrowedMessage<'_>>>> {
        if self.ended == self.partitions {
            return Ok(None);
        }
        match self.consumer.poll(WAIT) {
            Some(Ok(message)) => {
                self.silence = 0;
                Ok(Some(Some(message)))
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                self.ended += 1;
                Ok(Some(None))
            }
            Some(Err(error)) => Err(error.into()),
            None if self.silence == SILENCE_MAX => Err("no records come".into()),
            None => {
                self.silence += 1;
                Ok(Some(None))
            }
        }
    }
}

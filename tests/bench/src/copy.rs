//! Reads a topic to its end and writes each record, as it is, to another topic in transactions:
//! what any program that reads and writes exactly once with librdkafka pays at least.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use crate::consume::Assigned;
use crate::measure::Meter;
use crate::{Input, Result, load};

/// How long a step of a transaction may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long a full queue is waited for before it is tried again.
const FULL: Duration = Duration::from_millis(5);

/// The pause before it is looked again for delivery reports when there was none.
const REPORTS_PAUSE: Duration = Duration::from_micros(500);

/// Records between two looks at the clock.
const LOOK_EVERY: u32 = 256;

/// The settings that decide a writer's speed, as Flow's writer has them.
const SETTINGS: [(&str, &str); 7] = [
    ("transactional.id", "flow-bench-copy"),
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    ("batch.size", "1000000"),
    ("batch.num.messages", "100000"),
    ("retry.backoff.ms", "10"),
    ("queue.buffering.max.messages", "500000"),
];

/// Copies with a commit after each `interval` in which there were records.
pub(crate) fn run(input: &Input, to: &str, interval: Duration) -> Result<Value> {
    let mut meter = Meter::new();
    let mut consumer = Assigned::new(input)?;
    let partitions = u32::try_from(consumer.partitions())?;
    load::create(&load::open(&input.bootstrap)?, to, partitions)?;
    let producer = producer(&input.bootstrap)?;
    let mut since = Instant::now();
    let (mut pending, mut commits) = (0, 0u64);
    while let Some(message) = consumer.next()? {
        if let Some(message) = message {
            if pending == 0 {
                producer.begin_transaction()?;
                since = Instant::now();
            }
            send(&producer, to, &message)?;
            meter.add(1, message.payload_len() as u64);
            pending += 1;
            if pending % LOOK_EVERY != 0 {
                continue;
            }
            producer.poll(Duration::ZERO);
        }
        if pending > 0 && since.elapsed() >= interval {
            commit(&producer)?;
            (pending, commits) = (0, commits + 1);
        }
    }
    if pending > 0 {
        commit(&producer)?;
        commits += 1;
    }
    let mut figures = meter.figures();
    figures["epochs"] = commits.into();
    Ok(figures)
}

fn producer(bootstrap: &str) -> Result<BaseProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    for (name, value) in SETTINGS {
        config.set(name, value);
    }
    let producer: BaseProducer = config.create()?;
    producer.init_transactions(TIMEOUT)?;
    Ok(producer)
}

/// rdkafka's own wait for what is not delivered yet would take 100 ms at least.
fn commit(producer: &BaseProducer) -> Result<()> {
    while producer.in_flight_count() > 0 {
        let open = producer.in_flight_count();
        producer.poll(Duration::ZERO);
        if producer.in_flight_count() == open {
            std::thread::sleep(REPORTS_PAUSE);
        }
    }
    Ok(producer.commit_transaction(TIMEOUT)?)
}

/// A record that cannot be delivered fails its transaction's commit.
fn send(producer: &BaseProducer, to: &str, message: &BorrowedMessage<'_>) -> Result<()> {
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(to).partition(message.partition());
    record.key = message.key();
    record.payload = message.payload();
    record.timestamp = message.timestamp().to_millis();
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(FULL);
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

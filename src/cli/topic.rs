//! `flow topic`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use flow_ir::kernel::Record;
use flow_registry::Registry;
use flow_runtime::connect::kafka::{BOOTSTRAP_SERVERS, KafkaLog};
use flow_runtime::connect::local::{Access, Purpose};
use flow_runtime::connect::{Assignment, Log, NewTopic, OffsetQuery, Reader};
use flow_runtime::error::Who;

use super::describe::describe;
use super::jobs::confirmed;
use super::produce::produce;
use super::schema::RegistryArgs;
use super::{define, put, say};
use crate::clusters::SERVERS_VARIABLE;
use crate::exit::{Failure, Result};
use crate::payload::Shower;
use crate::secrets::Secrets;

/// How long one look for new records waits.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// List, create, alter, describe, fill and read topics.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  flow topic create orders --partitions 4 --local data\n  \
    flow topic produce orders --local data --format avro < orders.jsonl\n  \
    flow topic consume totals --local data --follow\n  \
    flow topic consume totals --bootstrap 127.0.0.1:9092 --registry http://127.0.0.1:8081")]
pub(super) enum TopicCommand {
    /// List topics with their partitions and records
    #[command(after_help = "Example:\n  flow topic list --local data")]
    List {
        #[command(flatten)]
        at: LogArgs,
    },
    /// Create a topic
    #[command(after_help = "Example:\n  flow topic create orders --partitions 4 --local data")]
    Create {
        /// Its name
        topic: String,
        /// Its partitions
        #[arg(long, default_value_t = 1)]
        partitions: u32,
        /// Keep the last record per key only
        #[arg(long)]
        compacted: bool,
        #[command(flatten)]
        at: LogArgs,
    },
    /// Give a topic more partitions
    #[command(after_help = "Example:\n  flow topic alter orders --partitions 8 --local data\n\n\
        Records stay where they are. Those of a key that come later may go to another partition \
        than those\nbefore, and are then no longer in order with them. Jobs that read the topic \
        find the partitions\nby themselves: 'scan.topic-partition-discovery.interval'.")]
    Alter {
        /// Its name
        topic: String,
        /// Its partitions, old and new ones together
        #[arg(long)]
        partitions: u32,
        #[command(flatten)]
        at: LogArgs,
    },
    /// Delete a topic with its records
    #[command(after_help = "Example:\n  flow topic delete orders --local data\n\n\
        Jobs that read or write the topic stop, and say so. A topic that is made again under the \
        name is\nanother one.")]
    Delete {
        /// Its name
        topic: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        at: LogArgs,
    },
    /// Show a topic's partitions, offsets, newest records' times and schemas
    #[command(after_help = "Examples:\n  flow topic describe orders --local data\n  \
        flow topic describe orders --bootstrap 127.0.0.1:9092 --registry http://127.0.0.1:8081\n\n\
        Records are counted by offsets: on Kafka, marks of transactions count too.")]
    Describe {
        /// The topic
        topic: String,
        #[command(flatten)]
        at: LogArgs,
    },
    /// Write records, one a line, from a file or standard input
    #[command(after_help = "Examples:\n  \
        flow topic produce orders orders.jsonl --format avro --key order_id --local data\n  \
        tail -f orders.jsonl | flow topic produce orders --local data")]
    Produce {
        /// The topic
        topic: String,
        /// File with one JSON object a line; standard input when left out
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// What is written
        #[arg(long, value_enum, default_value = "json")]
        format: Format,
        /// Field that is the record's key
        #[arg(long, value_name = "FIELD")]
        key: Option<String>,
        #[command(flatten)]
        at: LogArgs,
    },
    /// Show records as JSON lines
    #[command(after_help = "Examples:\n  flow topic consume totals --keys --local data\n  \
        flow topic consume totals --headers --local data\n  \
        flow topic consume totals --follow --local data")]
    Consume {
        /// The topic
        topic: String,
        /// Go on and wait for more
        #[arg(long)]
        follow: bool,
        /// Show keys too, before the values
        #[arg(long)]
        keys: bool,
        /// Show headers too, before the values: pairs of name and value; bytes that are no text as
        /// hexadecimal digits behind 0x
        #[arg(long)]
        headers: bool,
        /// Records at most
        #[arg(long, value_name = "N")]
        max: Option<usize>,
        #[command(flatten)]
        at: LogArgs,
    },
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Each line as it is
    Json,
    /// Avro by the topic's schema in the registry
    Avro,
}

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Folder of the embedded log
    #[arg(long, value_name = "DIR", conflicts_with = "bootstrap")]
    local: Option<PathBuf>,
    /// Addresses of Kafka brokers; else KAFKA_BOOTSTRAP_SERVERS
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    /// A property of the Kafka client, such as security.protocol=SASL_SSL; takes ${secret:NAME}
    #[arg(long, value_name = "NAME=VALUE", value_parser = define)]
    property: Vec<(String, String)>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// A log for as long as a command needs it.
pub(super) enum Opened {
    Embedded(Access),
    Kafka(Arc<dyn Log>),
}

impl Opened {
    pub(super) fn log(&self) -> &Arc<dyn Log> {
        match self {
            Opened::Embedded(access) => access.log(),
            Opened::Kafka(log) => log,
        }
    }

    /// After a lost connection, or when a job waits for the log: the log of whoever owns it now.
    pub(super) fn again(self, at: &LogArgs) -> Result<Self> {
        match (self, &at.local) {
            (Opened::Embedded(access), Some(dir)) if access.must_yield() => {
                Ok(Opened::Embedded(access.hand_over(dir)?))
            }
            (Opened::Embedded(_) | Opened::Kafka(_), _) => at.open(),
        }
    }

    /// Whether a job waits for the log that this process owns.
    pub(super) fn must_yield(&self) -> bool {
        match self {
            Opened::Embedded(access) => access.must_yield(),
            Opened::Kafka(_) => false,
        }
    }
}

impl LogArgs {
    pub(super) fn open(&self) -> Result<Opened> {
        if let Some(dir) = &self.local {
            return Ok(Opened::Embedded(Access::open(dir, Purpose::Command)?));
        }
        let servers = self.bootstrap.clone().or_else(|| std::env::var(SERVERS_VARIABLE).ok());
        let servers = servers.ok_or_else(|| {
            Failure::usage(format!(
                "which log? Give --local DIR, --bootstrap HOST:PORT, or {SERVERS_VARIABLE}"
            ))
        })?;
        let mut properties: BTreeMap<String, String> = self.property.iter().cloned().collect();
        properties.insert(BOOTSTRAP_SERVERS.into(), servers);
        let secrets = Secrets::default();
        let filled = secrets.fill(&properties).map_err(Failure::failed)?;
        let log = KafkaLog::open(&filled).map_err(|mut error| {
            error.message = secrets.hide(&properties, &error.message);
            error
        });
        Ok(Opened::Kafka(Arc::new(log?)))
    }

    pub(super) fn registry(&self) -> Result<Option<Arc<dyn Registry>>> {
        self.registry.find(self.local.as_deref())
    }
}

impl TopicCommand {
    pub(super) fn run(self) -> Result {
        match self {
            TopicCommand::List { at } => list(&at),
            TopicCommand::Create { topic, partitions, compacted, at } => {
                let topic = NewTopic { name: topic, partitions, compacted, config: Vec::new() };
                let made = at.open()?.log().create_topic(&topic)?;
                say(&format!("{}: {} partitions\n", made.name, made.partitions))
            }
            TopicCommand::Alter { topic, partitions, at } => {
                let now = at.open()?.log().add_partitions(&topic, partitions)?;
                say(&format!("{}: {} partitions\n", now.name, now.partitions))
            }
            TopicCommand::Delete { topic, yes, at } => delete(&topic, yes, &at),
            TopicCommand::Describe { topic, at } => describe(&topic, &at),
            TopicCommand::Produce { topic, file, format, key, at } => {
                let input: Box<dyn Read + Send> = match &file {
                    None => Box::new(std::io::stdin()),
                    Some(path) => Box::new(std::fs::File::open(path).map_err(|e| {
                        Failure::failed(format!("{} cannot be read: {e}", path.display()))
                    })?),
                };
                produce(&topic, input, format, key.as_deref(), &at)
            }
            TopicCommand::Consume { topic, follow, keys, headers, max, at } => {
                let shown = Shown { keys, headers };
                consume(&topic, follow, &shown, max.unwrap_or(usize::MAX), &at)
            }
        }
    }
}

fn list(at: &LogArgs) -> Result {
    let access = at.open()?;
    let log = access.log();
    for topic in log.topics()? {
        let ends = log.offsets(&topic.name, OffsetQuery::End)?;
        let starts = log.offsets(&topic.name, OffsetQuery::Earliest)?;
        let records: i64 = ends.iter().zip(&starts).map(|(end, start)| end - start).sum();
        let (name, partitions) = (&topic.name, topic.partitions);
        say(&format!("{name}  {partitions} partitions, {records} records\n"))?;
    }
    Ok(())
}

/// What is shown of a record beside its value.
struct Shown {
    keys: bool,
    headers: bool,
}

impl Shown {
    /// A record's line.
    fn line(&self, record: &Record<'_>, payloads: &mut Shower) -> String {
        let mut line = String::new();
        if self.keys {
            line += &payloads.show(record.key);
            line.push('\t');
        }
        if self.headers {
            let pair = |(name, value): (&str, Option<&[u8]>)| {
                serde_json::json!([name, value.map(header_text)])
            };
            let pairs: Vec<serde_json::Value> = record.headers.map(pair).collect();
            line += &serde_json::Value::from(pairs).to_string();
            line.push('\t');
        }
        line + &payloads.show(record.value) + "\n"
    }
}

/// A header's value: as text where it is text, else as hexadecimal digits.
fn header_text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains(char::is_control) => text.to_string(),
        _ => value.iter().fold("0x".to_string(), |text, byte| text + &format!("{byte:02x}")),
    }
}

fn delete(topic: &str, yes: bool, at: &LogArgs) -> Result {
    let access = at.open()?;
    // Missing topics are told as by every other command.
    let ends = access.log().offsets(topic, OffsetQuery::End)?;
    let starts = access.log().offsets(topic, OffsetQuery::Earliest)?;
    let records: i64 = ends.iter().zip(&starts).map(|(end, start)| end - start).sum();
    if !yes && !confirmed(&format!("Delete {topic} with its {records} records?"))? {
        return Err(Failure::usage("nothing was changed; --yes does not ask"));
    }
    access.log().delete_topics(&[topic])?;
    say(&format!("{topic}: deleted\n"))
}

fn consume(topic: &str, follow: bool, shown: &Shown, max: usize, at: &LogArgs) -> Result {
    let mut access = at.open()?;
    let starts = access.log().offsets(topic, OffsetQuery::Earliest)?;
    let assigned = |(p, &offset): (usize, &i64)| Assignment {
        topic: topic.to_string(),
        partition: p as u32,
        offset,
    };
    let mut assignment: Vec<_> = starts.iter().enumerate().map(assigned).collect();
    let mut reader = access.log().reader(&assignment)?;
    let mut payloads = Shower::new(at.registry()?);
    let mut count = 0;
    while count < max {
        let polled = reader.poll(POLL);
        let lost = follow && polled.as_ref().is_err_and(|e| e.who == Who::External);
        if lost || access.must_yield() {
            // The log has another owner, or is to get one; reading goes on by way of it. What was
            // fetched and not shown is fetched again.
            drop((polled, reader));
            access = access.again(at)?;
            reader = access.log().reader(&assignment)?;
            continue;
        }
        let Some(fetched) = polled? else {
            if !follow && at_end(&*reader, assignment.len()) {
                break;
            }
            continue;
        };
        let mut records: Vec<Record<'_>> = Vec::new();
        fetched.batch.records(&mut records);
        for record in records.iter().take(max - count) {
            put(&shown.line(record, &mut payloads))?;
            count += 1;
        }
        assignment[fetched.partition].offset = fetched.next_offset;
    }
    Ok(())
}

pub(super) fn at_end(reader: &dyn Reader, partitions: usize) -> bool {
    (0..partitions).all(|p| reader.at_end(p))
}

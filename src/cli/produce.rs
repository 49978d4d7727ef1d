//! `flow topic produce`: lines become records as they come, so that whoever follows sees what is
//! typed. While it waits for lines, a job that starts gets the embedded log at once.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use flow_runtime::connect::{Outcome, Outgoing, Writer as LogWriter, murmur2};
use flow_runtime::error::Who;

use super::say;
use super::topic::{Format, LogArgs, Opened};
use crate::exit::{Failure, Result};
use crate::payload::Writer;

/// Records of one transaction at most.
const PRODUCE_RECORDS: usize = 1_000;

/// Bytes that are read at once at most.
const READ_BYTES: usize = 256 << 10;

/// Batches of lines that wait between reading and writing.
const WAITING_BATCHES: usize = 4;

/// How often a command that waits for lines looks whether a job wants its log.
const LOOK: Duration = Duration::from_millis(20);

/// Key, value and partition of a record.
type Encoded = (Option<Vec<u8>>, Vec<u8>, u32);

/// Writes one record a line.
pub(super) fn produce(
    topic: &str,
    input: Box<dyn Read + Send>,
    format: Format,
    key: Option<&str>,
    at: &LogArgs,
) -> Result {
    let mut session = Session::on(at.open()?, topic)?;
    let mut payloads = match format {
        Format::Json => Writer::Json,
        Format::Avro => {
            let registry = at.registry()?.ok_or_else(|| {
                Failure::usage("which registry? Give --registry URL, or SCHEMA_REGISTRY_URL")
            })?;
            Writer::avro(topic, &*registry)?
        }
    };
    let batches = batches(input);
    let (mut written, mut number) = (0, 0);
    loop {
        let batch = match batches.recv_timeout(LOOK) {
            Ok(batch) => batch.map_err(|e| Failure::failed(format!("line {}: {e}", number + 1)))?,
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if session.opened.must_yield() {
            session = session.again(topic, at)?;
        }
        let mut records: Vec<Encoded> = Vec::with_capacity(batch.len());
        for line in batch {
            number += 1;
            if line.trim().is_empty() {
                continue;
            }
            let encoded = payloads.encode(&line, key).map_err(|why| {
                Failure::failed(format!(
                    "line {number}: {why} ({written} records before it are written)"
                ))
            });
            let (key, value) = encoded?;
            let hash = key.as_deref().map_or(number, murmur2);
            records.push((key, value, hash % session.partitions));
        }
        if !records.is_empty() {
            session = session.write(topic, &records, at)?;
            written += records.len();
        }
    }
    say(&format!("{topic}: {written} records written\n"))
}

/// Reads lines on a thread of its own: all that are there, or as many as a transaction takes.
fn batches(input: Box<dyn Read + Send>) -> Receiver<std::io::Result<Vec<String>>> {
    let (send, receive) = sync_channel(WAITING_BATCHES);
    std::thread::spawn(move || {
        let mut input = BufReader::with_capacity(READ_BYTES, input);
        loop {
            let batch = batch(&mut input);
            let over = batch.as_ref().map_or(true, Vec::is_empty);
            let is_nothing = batch.as_ref().is_ok_and(Vec::is_empty);
            if is_nothing || send.send(batch).is_err() || over {
                return;
            }
        }
    });
    receive
}

/// The next lines; none at the end.
fn batch(input: &mut BufReader<impl Read>) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(lines);
        }
        line.truncate(line.trim_end_matches(['\n', '\r']).len());
        lines.push(line);
        // Another whole line is at hand, or reading it might take long.
        if lines.len() >= PRODUCE_RECORDS || !input.buffer().contains(&b'\n') {
            return Ok(lines);
        }
    }
}

/// A log with a writer.
struct Session {
    opened: Opened,
    writer: Box<dyn LogWriter>,
    partitions: u32,
}

impl Session {
    fn on(opened: Opened, topic: &str) -> Result<Self> {
        let log = opened.log();
        let info = log.topic(topic)?.ok_or_else(|| {
            Failure::failed(format!("there is no topic {topic} in {}", log.describe_self()))
        })?;
        let writer = log.writer(&format!("produce-{}", std::process::id()))?;
        Ok(Self { partitions: info.partitions, writer, opened })
    }

    /// The same on the log of whoever owns it now.
    fn again(self, topic: &str, at: &LogArgs) -> Result<Self> {
        drop(self.writer);
        Self::on(self.opened.again(at)?, topic)
    }

    /// Writes records in a transaction.
    fn write(mut self, topic: &str, records: &[Encoded], at: &LogArgs) -> Result<Self> {
        match self.writer.begin() {
            // The log's owner has gone; nothing is sent yet, so there is no doubt.
            Err(error) if error.who == Who::External => {
                self = self.again(topic, at)?;
                self.writer.begin()?;
            }
            begun => begun?,
        }
        for (key, value, partition) in records {
            self.writer.send(&Outgoing {
                topic,
                partition: *partition,
                key: key.as_deref(),
                value: Some(value),
                ..Outgoing::default()
            })?;
        }
        match self.writer.commit() {
            Outcome::Committed => Ok(self),
            Outcome::Aborted(why) => Err(Failure::failed(format!("nothing is written: {why}"))),
            Outcome::Fenced => {
                Err(Failure::failed("another process of the same id has taken over"))
            }
            Outcome::Unknown(why) => Err(Failure::failed(format!(
                "it is not known whether the last {} records are written: {why}",
                records.len()
            ))),
        }
    }
}

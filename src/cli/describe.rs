//! `flow topic describe`.

use std::time::{Duration, Instant};

use flow_ir::kernel::Record;
use flow_registry::Registry;
use flow_runtime::connect::{Assignment, Log, OffsetQuery};

use super::say;
use super::topic::{LogArgs, POLL, at_end};
use crate::exit::{Failure, Result};
use crate::figures::time;

/// Offsets before the end in which a partition's newest records are looked for: the last ones may
/// be marks of transactions.
const TAIL: i64 = 64;

/// How long the look may take: a transaction that is open keeps readers from the end.
const TAIL_WAIT: Duration = Duration::from_secs(2);

/// Shows a topic's partitions and the schemas of its keys and values.
///
/// # Errors
/// If the topic is missing, or its log or registry cannot be reached.
pub(super) fn describe(topic: &str, at: &LogArgs) -> Result {
    let access = at.open()?;
    let log = &**access.log();
    let starts = log.offsets(topic, OffsetQuery::Earliest)?;
    let ends = log.offsets(topic, OffsetQuery::End)?;
    let newest = newest(log, topic, &starts, &ends)?;
    let counts: Vec<i64> = starts.iter().zip(&ends).map(|(start, end)| end - start).collect();
    let (partitions, records) = (counts.len(), counts.iter().sum::<i64>());
    say(&format!("{topic}  {partitions} partitions, {records} records\n"))?;
    say("partition         start           end       records  newest\n")?;
    for (partition, count) in counts.iter().enumerate() {
        let (start, end) = (starts[partition], ends[partition]);
        let newest = newest[partition].map_or("-".to_string(), time);
        say(&format!("{partition:>9}  {start:>12}  {end:>12}  {count:>12}  {newest}\n"))?;
    }
    match at.registry()? {
        Some(registry) => schemas(topic, &*registry),
        None => Ok(()),
    }
}

/// The newest time, microseconds since 1970, among each partition's last records.
fn newest(log: &dyn Log, topic: &str, starts: &[i64], ends: &[i64]) -> Result<Vec<Option<i64>>> {
    let mut newest = vec![None; ends.len()];
    let tails = starts.iter().zip(ends).enumerate().filter(|(_, (start, end))| start < end);
    let tails: Vec<Assignment> = tails
        .map(|(partition, (start, end))| Assignment {
            topic: topic.to_string(),
            partition: partition as u32,
            offset: (end - TAIL).max(*start),
        })
        .collect();
    if tails.is_empty() {
        return Ok(newest);
    }
    let mut reader = log.reader(&tails)?;
    let until = Instant::now() + TAIL_WAIT;
    while Instant::now() < until {
        let Some(fetched) = reader.poll(POLL)? else {
            if at_end(&*reader, tails.len()) {
                break;
            }
            continue;
        };
        let mut records: Vec<Record<'_>> = Vec::new();
        fetched.batch.records(&mut records);
        let of = &mut newest[tails[fetched.partition].partition as usize];
        *of = records.iter().map(|record| record.timestamp).max().flatten().max(*of);
    }
    Ok(newest)
}

/// What the registry has for the topic's keys and values.
fn schemas(topic: &str, registry: &dyn Registry) -> Result {
    let mut found = false;
    for part in ["key", "value"] {
        let subject = format!("{topic}-{part}");
        let Some(newest) = registry.latest(&subject).map_err(Failure::failed)? else {
            continue;
        };
        let level = registry.compatibility(&subject).map_err(Failure::failed)?;
        let (id, version) = (newest.id, newest.version);
        say(&format!("{part:<7}{subject}: id {id}, version {version}, {level}\n"))?;
        found = true;
    }
    match found {
        true => Ok(()),
        false => say(&format!("no schemas of {topic} in {}\n", registry.address())),
    }
}

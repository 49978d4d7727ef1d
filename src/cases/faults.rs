//! A log whose commits fail now and then, as crashes do: the records are there or not, and the
//! writer does not know. The job has to start again and find out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flow_runtime::connect::{
    Assignment, Log, NewTopic, OffsetQuery, Outcome, Outgoing, Reader, TopicInfo, Writer,
};
use flow_runtime::error::Result;

/// What the job is told of an answer that it does not get.
pub(super) const LOST: &str = "the answer to the commit was lost";

/// A log with faults.
pub(super) struct FaultyLog {
    log: Arc<dyn Log>,
    commits: Arc<AtomicU64>,
}

impl FaultyLog {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        Self { log, commits: Arc::new(AtomicU64::new(0)) }
    }
}

/// What becomes of the commit with this number: the first succeeds, so that there is something to
/// go on from; later ones are lost before or after they take effect.
fn fault(number: u64) -> Fault {
    match number {
        1 | 5 => Fault::After,
        3 => Fault::Before,
        _ => Fault::None,
    }
}

enum Fault {
    None,
    /// The commit never arrives.
    Before,
    /// The commit takes effect, its answer is lost.
    After,
}

impl Log for FaultyLog {
    fn cluster(&self) -> String {
        self.log.cluster()
    }

    fn describe_self(&self) -> String {
        self.log.describe_self()
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.log.topics()
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        self.log.topic(name)
    }

    fn create_topic(&self, topic: &NewTopic) -> Result<TopicInfo> {
        self.log.create_topic(topic)
    }

    fn add_partitions(&self, topic: &str, partitions: u32) -> Result<TopicInfo> {
        self.log.add_partitions(topic, partitions)
    }

    fn delete_topics(&self, names: &[&str]) -> Result<()> {
        self.log.delete_topics(names)
    }

    fn offsets(&self, topic: &str, query: OffsetQuery) -> Result<Vec<i64>> {
        self.log.offsets(topic, query)
    }

    fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>> {
        self.log.group_offsets(group, topic)
    }

    fn reader(&self, assignment: &[Assignment]) -> Result<Box<dyn Reader>> {
        self.log.reader(assignment)
    }

    fn writer(&self, transactional_id: &str) -> Result<Box<dyn Writer>> {
        let writer = self.log.writer(transactional_id)?;
        Ok(Box::new(FaultyWriter { writer, commits: self.commits.clone() }))
    }
}

struct FaultyWriter {
    writer: Box<dyn Writer>,
    commits: Arc<AtomicU64>,
}

impl Writer for FaultyWriter {
    fn begin(&mut self) -> Result<()> {
        self.writer.begin()
    }

    fn send(&mut self, record: &Outgoing<'_>) -> Result<()> {
        self.writer.send(record)
    }

    fn send_offsets(&mut self, group: &str, offsets: &[Assignment]) -> Result<()> {
        self.writer.send_offsets(group, offsets)
    }

    fn commit(&mut self) -> Outcome {
        let lost = || Outcome::Unknown(LOST.into());
        match fault(self.commits.fetch_add(1, Ordering::Relaxed)) {
            Fault::None => self.writer.commit(),
            Fault::Before => lost(),
            Fault::After => {
                self.writer.commit();
                lost()
            }
        }
    }

    fn abort(&mut self) -> Result<()> {
        self.writer.abort()
    }

    fn written_until(&self, topic: &str, partition: u32) -> Option<i64> {
        self.writer.written_until(topic, partition)
    }

    fn is_fenced(&self) -> bool {
        self.writer.is_fenced()
    }
}

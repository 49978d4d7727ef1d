//! Where records come from and go to. A `Log` is a set of topics with transactions: Kafka, or the
//! embedded log. Files, generated streams, `print` and `blackhole` stand beside it. The job holds
//! one home log, in whose transactions outputs, changelog and epoch record are written together.
//!
//! Legal order of calls, for every implementation:
//!
//! ```text
//!  Log::open ─► describe / create_topic / offsets      at any time, from any thread
//!           ├─► reader(assignment) ─► poll* ─► add ─► poll* …   one thread; positions only grow
//!           └─► writer(id) ─► begin ─► send* ─► commit ─► begin …
//!                    │                     └─► abort ─► begin …
//!                    └ returns when the transaction that an earlier writer of this id left open
//!                      is settled; the earlier writer is fenced from then on
//! ```
//!
//! `poll` hands out batches of payload slices in buffers that the batch owns; nothing is copied
//! before decoding. All calls block their thread; none is made from an async task.

pub mod file;
pub(crate) mod generate;
pub mod kafka;
pub mod local;

use std::time::Duration;

use flow_ir::kernel::{Headers, Record};
use serde::{Deserialize, Serialize};

use crate::error::{Result, RuntimeError};
pub use crate::partition::murmur2;

/// Records fetched at once at most, a batch's target size.
pub const FETCH_RECORDS_MAX: usize = 4_096;

/// What can be done about a topic that was deleted under a job.
pub(crate) const DELETED_HELP: &str = "Everything before is committed and stays. Make the topic \
    again and start the job anew with --fresh; or, if it is one that the job writes, let it go on \
    without what was in the topic by starting it again.";

/// Refuses to take partitions away from a topic.
fn fewer_partitions(topic: &TopicInfo, wanted: u32) -> RuntimeError {
    let TopicInfo { name, partitions, .. } = topic;
    RuntimeError::user(format!("topic {name} has {partitions} partitions, {wanted} would be fewer"))
        .with_help("Partitions are only ever added: records would go with one that is taken away.")
}

/// What can be done about records that are gone before they were read.
pub(crate) const LOST_RECORDS_HELP: &str = "Retention has deleted them, or the topic was cut. \
    Start anew on what is left with --fresh; or go on without them: 'scan.lost-records' = 'skip' \
    in the stream's options. A longer 'retention.ms' of the topic keeps records until they are \
    read.";

/// A topic as it exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicInfo {
    /// Name.
    pub name: String,
    /// Identity: a topic that was deleted and made again has another.
    pub id: String,
    /// Number of partitions.
    pub partitions: u32,
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Number of partitions; 0: as many as the log makes by default.
    pub partitions: u32,
    /// Keeps the last record per key only.
    pub compacted: bool,
    /// Further settings, as the broker names them.
    pub config: Vec<(String, String)>,
}

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OffsetQuery {
    /// The first that is still there.
    Earliest,
    /// One past the last record that is there. A reader of committed records gets there when the
    /// transactions before it are settled.
    End,
    /// The first with a timestamp at or after this many milliseconds since 1970, else the end.
    Timestamp(i64),
}

/// Where to begin reading a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Topic, or path of a file.
    pub topic: String,
    /// Partition.
    pub partition: u32,
    /// The first offset to read.
    pub offset: i64,
}

/// Records of one partition, in order, in buffers that the batch owns.
pub trait RecordBatch: Send {
    /// Records.
    fn len(&self) -> usize;

    /// Whether there is no record.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records in order, appended to `out`.
    fn records<'a>(&'a self, out: &mut Vec<Record<'a>>);

    /// Bytes of keys and values.
    fn bytes(&self) -> usize;
}

/// What a poll brought.
pub struct Fetched {
    /// Position of the partition in the reader's assignment.
    pub partition: usize,
    /// The records.
    pub batch: Box<dyn RecordBatch>,
    /// Where reading goes on after them: past transaction markers too.
    pub next_offset: i64,
}

/// Reads committed records of the partitions that it was made for.
pub trait Reader: Send {
    /// Waits up to `wait` for records of a partition that is not paused.
    ///
    /// # Errors
    /// If the log cannot be reached or a partition's records are gone.
    fn poll(&mut self, wait: Duration) -> Result<Option<Fetched>>;

    /// Reads these partitions too, which it does not read yet. They are numbered on from those
    /// that it has.
    ///
    /// # Errors
    /// If one is not there or the log cannot be reached; the reader is then of no more use.
    fn add(&mut self, assignment: &[Assignment]) -> Result<()>;

    /// Stops or goes on handing out a partition's records.
    fn pause(&mut self, partition: usize, paused: bool);

    /// Where reading a partition goes on: moves past markers that hand out no record.
    fn position(&self, partition: usize) -> i64;

    /// Whether reading reached what was the partition's end when the log was last asked.
    fn at_end(&self, partition: usize) -> bool;

    /// Whether nothing will ever come from a partition any more: the end of a file.
    fn finished(&self, partition: usize) -> bool {
        let _ = partition;
        false
    }

    /// Records between the position and the partition's end, as last known.
    fn lag(&self, partition: usize) -> u64;
}

/// A record to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: u32,
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970; `None`: the time of writing.
    pub timestamp: Option<i64>,
    /// Headers in order.
    pub headers: Headers<'a>,
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// All records are there.
    Committed,
    /// None is there, for this reason.
    Aborted(RuntimeError),
    /// Another writer of the same id has taken over; none is there.
    Fenced,
    /// Nobody knows. The writer must be dropped and another one made, which settles it.
    Unknown(String),
}

/// Writes records in transactions, one at a time.
pub trait Writer: Send {
    /// Begins a transaction.
    ///
    /// # Errors
    /// If the writer is fenced or broken.
    fn begin(&mut self) -> Result<()>;

    /// Adds a record. May block while the log takes earlier ones.
    ///
    /// # Errors
    /// If the record is refused; the transaction can then only be aborted.
    fn send(&mut self, record: &Outgoing<'_>) -> Result<()>;

    /// Adds the positions that tools for consumer lag show under `group`.
    ///
    /// # Errors
    /// As `send`.
    fn send_offsets(&mut self, group: &str, offsets: &[Assignment]) -> Result<()>;

    /// Ends the transaction.
    fn commit(&mut self) -> Outcome;

    /// Gives the transaction up.
    ///
    /// # Errors
    /// If the end is unclear: the writer must be dropped.
    fn abort(&mut self) -> Result<()>;

    /// One past the offset of the last record that a committed transaction of this writer put into
    /// the partition; `None` if there was none.
    fn written_until(&self, topic: &str, partition: u32) -> Option<i64>;

    /// Whether another writer of the same id has taken over, as far as can be told without a
    /// transaction.
    fn is_fenced(&self) -> bool;
}

/// A set of topics with transactions.
pub trait Log: Send + Sync {
    /// Identity of the cluster.
    fn cluster(&self) -> String;

    /// How it is called in messages: addresses or folder, and the setting that names it.
    fn describe_self(&self) -> String;

    /// All topics, by name.
    ///
    /// # Errors
    /// If the log cannot be reached.
    fn topics(&self) -> Result<Vec<TopicInfo>>;

    /// A topic, if it exists.
    ///
    /// # Errors
    /// If the log cannot be reached.
    fn topic(&self, name: &str) -> Result<Option<TopicInfo>>;

    /// Creates a topic; one that is there already is left as it is.
    ///
    /// # Errors
    /// If the log refuses it.
    fn create_topic(&self, topic: &NewTopic) -> Result<TopicInfo>;

    /// Creates topics of different names, in one request where the log takes several.
    ///
    /// # Errors
    /// If the log refuses one. Others may have been created.
    fn create_topics(&self, topics: &[NewTopic]) -> Result<Vec<TopicInfo>> {
        topics.iter().map(|topic| self.create_topic(topic)).collect()
    }

    /// Gives a topic more partitions: this many in all. What is in it stays where it is.
    ///
    /// # Errors
    /// If the topic is missing or has more already, or the log refuses it.
    fn add_partitions(&self, topic: &str, partitions: u32) -> Result<TopicInfo>;

    /// Deletes topics with all their records, whoever reads or writes them; names that no topic has
    /// are passed over. A topic that is made under one of the names later is another.
    ///
    /// # Errors
    /// If the log refuses it or cannot be reached. Some of them may be gone.
    fn delete_topics(&self, names: &[&str]) -> Result<()>;

    /// An offset of each partition of a topic.
    ///
    /// # Errors
    /// If the topic is missing or the log cannot be reached.
    fn offsets(&self, topic: &str, query: OffsetQuery) -> Result<Vec<i64>>;

    /// The offsets that a group has committed for each partition of a topic: the next to read.
    ///
    /// # Errors
    /// As `offsets`, and if the log does not let this client see the group.
    fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>>;

    /// A reader of committed records of these partitions.
    ///
    /// # Errors
    /// If a topic is missing or the log cannot be reached.
    fn reader(&self, assignment: &[Assignment]) -> Result<Box<dyn Reader>>;

    /// The same for one that only wants each key's last record of compacted topics, in whatever
    /// order: its positions hold where it has read to the ends that stood when it began.
    ///
    /// # Errors
    /// As `reader`.
    fn reader_of_last(&self, assignment: &[Assignment]) -> Result<Box<dyn Reader>> {
        self.reader(assignment)
    }

    /// A writer of this transactional id; fences earlier ones.
    ///
    /// # Errors
    /// If the log cannot be reached.
    fn writer(&self, transactional_id: &str) -> Result<Box<dyn Writer>>;
}

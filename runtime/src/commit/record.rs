//! The epoch record: the truth about a job. It stands in the compacted topic `flow.NAME.epochs`,
//! in the same transaction as the outputs and the changelog of its epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Epoch;

/// Version of the record's form; another one is refused with a message.
pub const RECORD_VERSION: u32 = 2;

/// Everything that a restart needs to know beside the state itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// `RECORD_VERSION` of its writer.
    pub version: u32,
    /// The epoch that it closes.
    pub epoch: Epoch,
    /// Hash of the program's operators and their identities.
    pub fingerprint: u64,
    /// Where reading goes on.
    pub inputs: Vec<InputPosition>,
    /// Where file sinks end.
    pub sinks: Vec<SinkPosition>,
    /// The clock of the epoch, microseconds since 1970.
    pub clock: i64,
    /// Shards of the job, fixed at its first start.
    pub shards: u32,
    /// The tables of the job by what identifies them: operator identity, role and layout.
    pub directory: BTreeMap<String, TableEntry>,
    /// The watermark that each operator got, by its identity in hexadecimal.
    pub marks: BTreeMap<String, i64>,
    /// Identity of the changelog topic.
    pub changelog: String,
    /// Where the job's state begins in each partition of the changelog: what stands before belongs
    /// to a job of the same name that was forgotten.
    pub changelog_from: Vec<i64>,
    /// Host of the process.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// All inputs have ended and all windows are closed.
    pub finished: bool,
}

/// A table in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Its number in the keys of state and changelog.
    pub number: u32,
    /// The operator's name when the table was made, for messages.
    pub operator: String,
}

/// Where reading a partition goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPosition {
    /// Name of the stream in the program.
    pub stream: String,
    /// Identity of the cluster, or `file`.
    pub cluster: String,
    /// Topic, or path of the file.
    pub topic: String,
    /// Identity of the topic; for a file its size and the hash of its first 4 KiB at first start.
    pub topic_id: String,
    /// Partition.
    pub partition: u32,
    /// The first offset that the job read, or would have.
    pub start: i64,
    /// The next offset to read.
    pub offset: i64,
    /// The partition's watermark; `i64::MIN` before any.
    pub watermark: i64,
    /// The offset at which the partition ends, for a bounded read.
    pub bound: Option<i64>,
    /// Whether nothing more will come from it.
    pub ended: bool,
    /// Whether it is passed over until it delivers again.
    pub idle: bool,
}

/// Where a file sink ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkPosition {
    /// Path of the file.
    pub path: String,
    /// Bytes that belong to committed epochs.
    pub bytes: u64,
}

impl EpochRecord {
    /// The record as it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record has only string keys")
    }

    /// Reads a record.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if record.version != RECORD_VERSION {
            return Err(format!(
                "written in form {}, this program reads form {RECORD_VERSION}",
                record.version
            ));
        }
        Ok(record)
    }
}

//! What goes over the socket of an embedded log: frames of a JSON head and a body of record bytes.
//! A peer is not trusted: lengths are bounded, and anything malformed ends the connection.
//!
//! ```text
//!  frame   u32 head length, u32 body length (little-endian), head, body
//! ```

use std::io::{Error, ErrorKind, Read, Result, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::connect::{Assignment, NewTopic, OffsetQuery, Outcome, TopicInfo};
use crate::error::RuntimeError;

/// Bytes of a head at most.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// Bytes of a body at most: the records of one transaction, or of one batch.
pub(super) const BODY_BYTES_MAX: usize = 256 << 20;

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// `Log::cluster`.
    Cluster,
    /// `Log::topics`.
    Topics,
    /// `Log::create_topic`.
    CreateTopic(NewTopic),
    /// `Log::add_partitions`.
    AddPartitions(String, u32),
    /// `Log::delete_topics`.
    DeleteTopics(Vec<String>),
    /// `Log::offsets`.
    Offsets(String, OffsetQuery),
    /// `Log::group_offsets` of a group and a topic.
    GroupOffsets(String, String),
    /// `Log::reader`; the answer is its number.
    OpenReader(Vec<Assignment>),
    /// `Reader::add` of a reader.
    AddToReader(usize, Vec<Assignment>),
    /// `Reader::poll` of a reader, waiting this many milliseconds.
    Poll(usize, u64),
    /// `Reader::pause` of a reader's partition.
    Pause(usize, usize, bool),
    /// The reader is not needed any more.
    CloseReader(usize),
    /// `Log::writer`; the answer is its number.
    OpenWriter(String),
    /// A whole transaction of a writer; the body holds the batches.
    Commit(usize, Vec<PartOf>, Vec<(String, Assignment)>),
    /// `Writer::is_fenced`.
    IsFenced(usize),
    /// A job wants to own the log: whoever holds it for a command gives it up.
    Yield,
}

/// Consecutive records of a partition: where they begin and how long their batch is in the body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PartOf {
    pub(super) topic: String,
    pub(super) partition: u32,
    /// Offset of the first record, where it has one.
    pub(super) base: i64,
    pub(super) bytes: usize,
}

/// What the owner answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Response {
    /// Nothing but that it is done.
    Done,
    /// A cluster's identity.
    Cluster(String),
    /// Topics.
    Topics(Vec<TopicInfo>),
    /// The topic that was created or changed, or was there.
    Topic(TopicInfo),
    /// Offsets by partition.
    Offsets(Vec<i64>),
    /// What a group has committed, by partition.
    GroupOffsets(Vec<Option<i64>>),
    /// Number of a reader or writer on this connection.
    Opened(usize),
    /// What a poll brought; the body holds the batches.
    Polled(Polled),
    /// How a transaction ended, and where the partitions that it wrote to now end.
    Committed(Outcome, Vec<(String, u32, i64)>),
    /// Yes or no.
    Flag(bool),
    /// It cannot be done.
    Failed(RuntimeError),
}

/// A reader after a poll.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Polled {
    /// Partition and next offset of what came, if something did.
    pub(super) fetched: Option<(usize, i64)>,
    pub(super) parts: Vec<PartOf>,
    /// Position, whether it is at the end, and lag, by partition.
    pub(super) places: Vec<(i64, bool, u64)>,
}

/// Writes a frame.
pub(super) fn send(to: &mut impl Write, head: &impl Serialize, body: &[u8]) -> Result<()> {
    let head = serde_json::to_vec(head)?;
    if head.len() > HEAD_BYTES_MAX || body.len() > BODY_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidInput, "too large for one message"));
    }
    let mut frame = Vec::with_capacity(8 + head.len());
    frame.extend_from_slice(&(head.len() as u32).to_le_bytes());
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&head);
    to.write_all(&frame)?;
    to.write_all(body)?;
    to.flush()
}

/// Reads a frame.
pub(super) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> Result<(T, Vec<u8>)> {
    let mut lengths = [0; 8];
    from.read_exact(&mut lengths)?;
    let [head, body] = [0, 4].map(|at| {
        let bytes = [lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]];
        u32::from_le_bytes(bytes) as usize
    });
    if head > HEAD_BYTES_MAX || body > BODY_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "a message is too large"));
    }
    let head = serde_json::from_slice(&read_exactly(from, head)?)?;
    Ok((head, read_exactly(from, body)?))
}

/// Reads as many bytes, growing with what really comes.
fn read_exactly(from: &mut impl Read, len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(len as u64).read_to_end(&mut bytes)?;
    match bytes.len() == len {
        true => Ok(bytes),
        false => Err(Error::new(ErrorKind::UnexpectedEof, "a message is cut short")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_garbage_does_not() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Request::Offsets("t".into(), OffsetQuery::End), b"body").expect("sent");
        let (head, body) = receive::<Request>(&mut &bytes[..]).expect("received");
        assert!(matches!(head, Request::Offsets(t, OffsetQuery::End) if t == "t"));
        assert_eq!(body, b"body");
        for cut in 0..bytes.len() {
            assert!(receive::<Request>(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(receive::<Request>(&mut &[255; 64][..]).is_err());
    }
}

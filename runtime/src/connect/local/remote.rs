//! The embedded log as another process sees it: every call goes to the owner.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::batch::{Batch, Stored};
use super::wire::{PartOf, Request, Response, receive, send};
use crate::connect::{
    Assignment, Fetched, Log, NewTopic, OffsetQuery, Outcome, Outgoing, Reader, TopicInfo, Writer,
};
use crate::error::{Result, RuntimeError, Who};

/// A log behind its owner's socket.
pub(super) struct RemoteLog {
    owner: Arc<Owner>,
}

/// The connection; one call at a time.
struct Owner {
    stream: Mutex<UnixStream>,
    place: String,
}

impl Owner {
    fn call(&self, request: &Request, body: &[u8]) -> Result<(Response, Vec<u8>)> {
        let mut stream = self.stream.lock().unwrap_or_else(|e| e.into_inner());
        let answered = send(&mut *stream, request, body).and_then(|()| receive(&mut *stream));
        match answered {
            Ok((Response::Failed(error), _)) => Err(error),
            Ok(answer) => Ok(answer),
            Err(error) => Err(RuntimeError::external(format!(
                "the process that holds {} does not answer: {error}",
                self.place
            ))),
        }
    }

    fn ask(&self, request: &Request) -> Result<Response> {
        self.call(request, &[]).map(|(response, _)| response)
    }

    fn other(&self, response: &Response) -> RuntimeError {
        RuntimeError::internal(format!("the owner of {} answers {response:?}", self.place))
    }
}

impl RemoteLog {
    pub(super) fn connect(socket: &Path, place: &str) -> std::io::Result<Self> {
        let stream = Mutex::new(UnixStream::connect(socket)?);
        Ok(Self { owner: Arc::new(Owner { stream, place: place.to_string() }) })
    }

    /// Asks a command that holds the log to give it to a job.
    pub(super) fn ask_to_yield(&self) -> Result<()> {
        self.owner.ask(&Request::Yield).map(|_| ())
    }
}

impl Log for RemoteLog {
    fn cluster(&self) -> String {
        match self.owner.ask(&Request::Cluster) {
            Ok(Response::Cluster(id)) => id,
            Ok(_) | Err(_) => String::new(),
        }
    }

    fn describe_self(&self) -> String {
        format!("the embedded log ({})", self.owner.place)
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        match self.owner.ask(&Request::Topics)? {
            Response::Topics(topics) => Ok(topics),
            other => Err(self.owner.other(&other)),
        }
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        Ok(self.topics()?.into_iter().find(|t| t.name == name))
    }

    fn create_topic(&self, topic: &NewTopic) -> Result<TopicInfo> {
        match self.owner.ask(&Request::CreateTopic(topic.clone()))? {
            Response::Topic(topic) => Ok(topic),
            other => Err(self.owner.other(&other)),
        }
    }

    fn add_partitions(&self, topic: &str, partitions: u32) -> Result<TopicInfo> {
        match self.owner.ask(&Request::AddPartitions(topic.to_string(), partitions))? {
            Response::Topic(topic) => Ok(topic),
            other => Err(self.owner.other(&other)),
        }
    }

    fn delete_topics(&self, names: &[&str]) -> Result<()> {
        let names = names.iter().map(ToString::to_string).collect();
        match self.owner.ask(&Request::DeleteTopics(names))? {
            Response::Done => Ok(()),
            other => Err(self.owner.other(&other)),
        }
    }

    fn offsets(&self, topic: &str, query: OffsetQuery) -> Result<Vec<i64>> {
        match self.owner.ask(&Request::Offsets(topic.to_string(), query))? {
            Response::Offsets(offsets) => Ok(offsets),
            other => Err(self.owner.other(&other)),
        }
    }

    fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>> {
        match self.owner.ask(&Request::GroupOffsets(group.to_string(), topic.to_string()))? {
            Response::GroupOffsets(offsets) => Ok(offsets),
            other => Err(self.owner.other(&other)),
        }
    }

    fn reader(&self, assignment: &[Assignment]) -> Result<Box<dyn Reader>> {
        let number = match self.owner.ask(&Request::OpenReader(assignment.to_vec()))? {
            Response::Opened(number) => number,
            other => return Err(self.owner.other(&other)),
        };
        let places = assignment.iter().map(place).collect();
        Ok(Box::new(RemoteReader { owner: self.owner.clone(), number, places }))
    }

    fn writer(&self, transactional_id: &str) -> Result<Box<dyn Writer>> {
        let number = match self.owner.ask(&Request::OpenWriter(transactional_id.to_string()))? {
            Response::Opened(number) => number,
            other => return Err(self.owner.other(&other)),
        };
        Ok(Box::new(RemoteWriter {
            owner: self.owner.clone(),
            number,
            open: None,
            written: BTreeMap::new(),
        }))
    }
}

/// What is known of a partition before the first poll.
fn place(assigned: &Assignment) -> (i64, bool, u64) {
    (assigned.offset, false, 0)
}

struct RemoteReader {
    owner: Arc<Owner>,
    number: usize,
    /// Position, whether it is at the end, and lag, by partition.
    places: Vec<(i64, bool, u64)>,
}

impl Reader for RemoteReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Fetched>> {
        let wait_ms = wait.as_millis() as u64;
        let (response, body) = self.owner.call(&Request::Poll(self.number, wait_ms), &[])?;
        let Response::Polled(polled) = response else { return Err(self.owner.other(&response)) };
        if polled.places.len() == self.places.len() {
            self.places = polled.places;
        }
        let Some((partition, next_offset)) = polled.fetched else { return Ok(None) };
        let mut stored = Stored::new(0);
        let mut rest = &body[..];
        for PartOf { base, bytes, .. } in polled.parts {
            let Some((batch, after)) = rest.split_at_checked(bytes) else { break };
            stored.push(base, batch.to_vec());
            rest = after;
        }
        if partition >= self.places.len() {
            return Err(RuntimeError::internal("the owner hands out a partition nobody asked for"));
        }
        Ok(Some(Fetched { partition, batch: Box::new(stored), next_offset }))
    }

    fn add(&mut self, assignment: &[Assignment]) -> Result<()> {
        self.owner.ask(&Request::AddToReader(self.number, assignment.to_vec()))?;
        self.places.extend(assignment.iter().map(place));
        Ok(())
    }

    fn pause(&mut self, partition: usize, paused: bool) {
        // A lost connection shows at the next poll.
        let _ = self.owner.ask(&Request::Pause(self.number, partition, paused));
    }

    fn position(&self, partition: usize) -> i64 {
        self.places[partition].0
    }

    fn at_end(&self, partition: usize) -> bool {
        self.places[partition].1
    }

    fn lag(&self, partition: usize) -> u64 {
        self.places[partition].2
    }
}

impl Drop for RemoteReader {
    fn drop(&mut self) {
        let _ = self.owner.ask(&Request::CloseReader(self.number));
    }
}

/// Keeps a transaction until its commit, and sends it whole.
struct RemoteWriter {
    owner: Arc<Owner>,
    number: usize,
    open: Option<Open>,
    written: BTreeMap<(String, u32), i64>,
}

#[derive(Default)]
struct Open {
    batches: BTreeMap<(String, u32), Batch>,
    offsets: Vec<(String, Assignment)>,
}

impl Writer for RemoteWriter {
    fn begin(&mut self) -> Result<()> {
        if let Response::Flag(true) = self.owner.ask(&Request::IsFenced(self.number))? {
            return Err(RuntimeError::fenced());
        }
        self.open = Some(Open::default());
        Ok(())
    }

    fn send(&mut self, record: &Outgoing<'_>) -> Result<()> {
        let open = self.open.as_mut().expect("a transaction is begun before records are sent");
        let key = (record.topic.to_string(), record.partition);
        let now =
            || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        open.batches.entry(key).or_default().push(record, record.timestamp.unwrap_or_else(now));
        Ok(())
    }

    fn send_offsets(&mut self, group: &str, offsets: &[Assignment]) -> Result<()> {
        let open = self.open.as_mut().expect("a transaction is begun before offsets are sent");
        open.offsets.extend(offsets.iter().map(|o| (group.to_string(), o.clone())));
        Ok(())
    }

    fn commit(&mut self) -> Outcome {
        let open = self.open.take().expect("a transaction is begun before its commit");
        let (mut parts, mut body) = (Vec::new(), Vec::new());
        for ((topic, partition), batch) in open.batches {
            let bytes = batch.finish();
            parts.push(PartOf { topic, partition, base: 0, bytes: bytes.len() });
            body.extend_from_slice(&bytes);
        }
        let request = Request::Commit(self.number, parts, open.offsets);
        match self.owner.call(&request, &body) {
            Ok((Response::Committed(outcome, ends), _)) => {
                let ends = ends.into_iter().map(|(topic, p, end)| ((topic, p), end));
                self.written.extend(ends);
                outcome
            }
            Ok((other, _)) => Outcome::Unknown(self.owner.other(&other).to_string()),
            Err(error) => match error.who {
                Who::Successor => Outcome::Fenced,
                Who::External => Outcome::Unknown(error.to_string()),
                Who::User | Who::Internal => Outcome::Aborted(error),
            },
        }
    }

    fn abort(&mut self) -> Result<()> {
        self.open = None;
        Ok(())
    }

    fn written_until(&self, topic: &str, partition: u32) -> Option<i64> {
        self.written.get(&(topic.to_string(), partition)).copied()
    }

    fn is_fenced(&self) -> bool {
        matches!(self.owner.ask(&Request::IsFenced(self.number)), Ok(Response::Flag(true)))
    }
}

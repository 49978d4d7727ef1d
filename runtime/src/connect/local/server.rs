//! The owner's side of the socket: a thread a connection, each with its own readers and writers.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use flow_ir::kernel::Record;

use super::batch::{Batch, StoredRecord, Walk};
use super::log::LocalLog;
use super::wire::{BODY_BYTES_MAX, PartOf, Polled, Request, Response, receive, send};
use crate::connect::{Fetched, Log, Outcome, Outgoing, Reader, Writer};
use crate::error::{Result, RuntimeError};

/// Connections at the same time at most.
const CONNECTIONS_MAX: usize = 64;
/// Readers and writers of one connection at most.
const OPEN_MAX: usize = 64;
/// Longest wait of a poll.
const POLL_MAX: Duration = Duration::from_secs(5);

/// Serves a log until it is dropped.
pub(super) struct Server {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    yields: Arc<AtomicBool>,
}

impl Server {
    /// Listens at a path, which is made anew.
    pub(super) fn start(path: &Path, log: LocalLog) -> std::io::Result<Self> {
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let (stopping, yields) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (stop, asked) = (stopping.clone(), yields.clone());
        let thread = std::thread::Builder::new()
            .name("log-socket".into())
            .spawn(move || accept(&listener, &log, &stop, &asked))?;
        Ok(Self { path: path.to_path_buf(), stopping, thread: Some(thread), yields })
    }

    /// Whether a job has asked for the log.
    pub(super) fn must_yield(&self) -> bool {
        self.yields.load(Ordering::Acquire)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // A connection wakes the thread that waits for one.
        let _ = UnixStream::connect(&self.path);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A connection, to end it with, and the thread that serves it.
type Client = (UnixStream, JoinHandle<()>);

/// Takes connections until it is to stop, then ends them.
fn accept(
    listener: &UnixListener,
    log: &LocalLog,
    stopping: &Arc<AtomicBool>,
    yields: &Arc<AtomicBool>,
) {
    let mut clients: Vec<Client> = Vec::new();
    for stream in listener.incoming() {
        if stopping.load(Ordering::Acquire) {
            break;
        }
        clients.retain(|(_, thread)| !thread.is_finished());
        let Ok(stream) = stream else { continue };
        if clients.len() >= CONNECTIONS_MAX {
            continue;
        }
        let Ok(kept) = stream.try_clone() else { continue };
        let (log, yields) = (log.clone(), yields.clone());
        let thread = std::thread::Builder::new().name("log-client".into()).spawn(move || {
            let mut connection =
                Connection { log, yields, readers: Vec::new(), writers: Vec::new() };
            // The end of a connection, for whatever reason, is no error of the owner.
            let _ = connection.serve(stream);
        });
        clients.extend(thread.map(|thread| (kept, thread)));
    }
    for (stream, thread) in clients {
        let _ = stream.shutdown(std::net::Shutdown::Both);
        let _ = thread.join();
    }
}

/// One client.
struct Connection {
    log: LocalLog,
    yields: Arc<AtomicBool>,
    readers: Vec<Option<(Box<dyn Reader>, usize)>>,
    writers: Vec<Box<dyn Writer>>,
}

impl Connection {
    fn serve(&mut self, mut stream: UnixStream) -> std::io::Result<()> {
        loop {
            let (request, body) = receive::<Request>(&mut stream)?;
            let mut out = Vec::new();
            let response = self.answer(request, &body, &mut out).unwrap_or_else(Response::Failed);
            send(&mut stream, &response, &out)?;
        }
    }

    fn answer(&mut self, request: Request, body: &[u8], out: &mut Vec<u8>) -> Result<Response> {
        Ok(match request {
            Request::Cluster => Response::Cluster(self.log.cluster()),
            Request::Topics => Response::Topics(self.log.topics()?),
            Request::CreateTopic(topic) => Response::Topic(self.log.create_topic(&topic)?),
            Request::AddPartitions(topic, partitions) => {
                Response::Topic(self.log.add_partitions(&topic, partitions)?)
            }
            Request::DeleteTopics(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.log.delete_topics(&names)?;
                Response::Done
            }
            Request::Offsets(topic, query) => Response::Offsets(self.log.offsets(&topic, query)?),
            Request::GroupOffsets(group, topic) => {
                Response::GroupOffsets(self.log.group_offsets(&group, &topic)?)
            }
            Request::OpenReader(assignment) => {
                refuse_if_full(self.readers.iter().flatten().count())?;
                let reader = self.log.reader(&assignment)?;
                self.readers.push(Some((reader, assignment.len())));
                Response::Opened(self.readers.len() - 1)
            }
            Request::AddToReader(number, assignment) => {
                let (reader, partitions) = self.reader(number)?;
                reader.add(&assignment)?;
                *partitions += assignment.len();
                Response::Done
            }
            Request::CloseReader(number) => {
                if let Some(reader) = self.readers.get_mut(number) {
                    *reader = None;
                }
                Response::Done
            }
            Request::Poll(number, wait_ms) => {
                let wait = Duration::from_millis(wait_ms).min(POLL_MAX);
                let (reader, partitions) = self.reader(number)?;
                let fetched = reader.poll(wait)?;
                Response::Polled(polled(&**reader, *partitions, fetched, out))
            }
            Request::Pause(number, partition, paused) => {
                let (reader, partitions) = self.reader(number)?;
                if partition < *partitions {
                    reader.pause(partition, paused);
                }
                Response::Done
            }
            Request::OpenWriter(id) => {
                refuse_if_full(self.writers.len())?;
                self.writers.push(self.log.writer(&id)?);
                Response::Opened(self.writers.len() - 1)
            }
            Request::Commit(number, parts, offsets) => {
                let writer = self.writers.get_mut(number).ok_or_else(unknown)?;
                commit(&mut **writer, &parts, &offsets, body)?
            }
            Request::IsFenced(number) => {
                Response::Flag(self.writers.get(number).ok_or_else(unknown)?.is_fenced())
            }
            Request::Yield => {
                self.yields.store(true, Ordering::Release);
                Response::Done
            }
        })
    }

    fn reader(&mut self, number: usize) -> Result<&mut (Box<dyn Reader>, usize)> {
        self.readers.get_mut(number).and_then(Option::as_mut).ok_or_else(unknown)
    }
}

fn unknown() -> RuntimeError {
    RuntimeError::user("the client speaks of something that it has not opened")
}

fn refuse_if_full(open: usize) -> Result<()> {
    match open < OPEN_MAX {
        true => Ok(()),
        false => {
            Err(RuntimeError::user(format!("a client may open {OPEN_MAX} readers or writers")))
        }
    }
}

/// Describes a reader after a poll; the records go to `out`, in runs of consecutive offsets.
fn polled(
    reader: &dyn Reader,
    partitions: usize,
    fetched: Option<Fetched>,
    out: &mut Vec<u8>,
) -> Polled {
    let places =
        (0..partitions).map(|p| (reader.position(p), reader.at_end(p), reader.lag(p))).collect();
    let Some(fetched) = fetched else { return Polled { places, ..Polled::default() } };
    let mut records: Vec<Record<'_>> = Vec::with_capacity(fetched.batch.len());
    fetched.batch.records(&mut records);
    let mut parts = Vec::new();
    for run in records.chunk_by(|a, b| a.offset + 1 == b.offset) {
        let mut batch = Batch::default();
        for record in run {
            let outgoing = Outgoing {
                key: record.key,
                value: record.value,
                headers: record.headers,
                ..Outgoing::default()
            };
            batch.push(&outgoing, record.timestamp.map_or(0, |micros| micros / 1_000));
        }
        let bytes = batch.finish();
        let (topic, base) = (String::new(), run[0].offset);
        parts.push(PartOf { topic, partition: 0, base, bytes: bytes.len() });
        out.extend_from_slice(&bytes);
    }
    Polled { fetched: Some((fetched.partition, fetched.next_offset)), parts, places }
}

/// Writes a client's transaction.
fn commit(
    writer: &mut dyn Writer,
    parts: &[PartOf],
    offsets: &[(String, crate::connect::Assignment)],
    body: &[u8],
) -> Result<Response> {
    debug_assert!(body.len() <= BODY_BYTES_MAX);
    writer.begin()?;
    let staged = stage(writer, parts, offsets, body);
    if let Err(error) = staged {
        writer.abort()?;
        return Err(error);
    }
    let outcome = writer.commit();
    let mut ends: Vec<(String, u32, i64)> = Vec::new();
    if outcome == Outcome::Committed {
        let until = |p: &PartOf| {
            let until = writer.written_until(&p.topic, p.partition)?;
            Some((p.topic.clone(), p.partition, until))
        };
        ends = parts.iter().filter_map(until).collect();
        ends.dedup();
    }
    Ok(Response::Committed(outcome, ends))
}

fn stage(
    writer: &mut dyn Writer,
    parts: &[PartOf],
    offsets: &[(String, crate::connect::Assignment)],
    mut body: &[u8],
) -> Result<()> {
    for part in parts {
        let cut = || RuntimeError::user("a client's transaction is cut short");
        let (batch, rest) = body.split_at_checked(part.bytes).ok_or_else(cut)?;
        body = rest;
        for record in Walk::new(0, batch).map(StoredRecord::record) {
            writer.send(&Outgoing {
                topic: &part.topic,
                partition: part.partition,
                key: record.key,
                value: record.value,
                timestamp: record.timestamp.map(|micros| micros / 1_000),
                headers: record.headers,
            })?;
        }
    }
    for (group, offset) in offsets {
        writer.send_offsets(group, std::slice::from_ref(offset))?;
    }
    Ok(())
}

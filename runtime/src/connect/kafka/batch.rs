//! Fetches native messages by the batch and hands out their bytes without copying.
//!
//! * The partitions' queues are forwarded to one private queue. Forwarding is set before the
//!   assignment and stays: librdkafka keeps what the application has set. A partition that is not
//!   forwarded keeps its messages, and its fetcher stops when it has enough: that is a pause which
//!   throws nothing away.
//! * A message lives from the fetch until it is dropped, and no longer than its client, which the
//!   queue and each batch hold.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use flow_ir::kernel::{Headers, Record};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;

use super::client::Context;
use crate::connect::{FETCH_RECORDS_MAX, RecordBatch};

/// The client of a reader.
pub(super) type Client = BaseConsumer<Context>;

/// The queue of a reader, and those of its partitions. Fields are dropped in order: the client is
/// the last.
pub(super) struct FetchQueue {
    queue: Queue,
    partitions: Vec<PartitionQueue>,
    found: Vec<*mut sys::rd_kafka_message_t>,
    client: Arc<Client>,
}

struct PartitionQueue {
    queue: Queue,
    topic: CString,
    partition: i32,
}

/// A handle to a native queue.
struct Queue(NonNull<sys::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}

// SAFETY: `found` holds pointers only while `fetch` runs; the rest is Send.
unsafe impl Send for FetchQueue {}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: this is the only copy of the handle.
        unsafe { sys::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

impl FetchQueue {
    /// A queue that no partition is forwarded to yet. `None`: there is no memory for it.
    pub(super) fn new(client: Arc<Client>) -> Option<Self> {
        // SAFETY: the client is alive, and outlives the handle.
        let queue = unsafe { sys::rd_kafka_queue_new(client.client().native_ptr()) };
        let queue = Queue(NonNull::new(queue)?);
        let found = Vec::with_capacity(FETCH_RECORDS_MAX);
        Some(Self { queue, partitions: Vec::new(), found, client })
    }

    /// Forwards the queues of further partitions to it; they are numbered on. `None`: a name is no
    /// topic's.
    pub(super) fn add(&mut self, partitions: &[(&str, i32)]) -> Option<()> {
        let native = self.client.client().native_ptr();
        for &(topic, partition) in partitions {
            let topic = CString::new(topic).ok()?;
            // SAFETY: the client is alive, and outlives the handle; `topic` is a C string.
            let own =
                unsafe { sys::rd_kafka_queue_get_partition(native, topic.as_ptr(), partition) };
            let queue = Queue(NonNull::new(own)?);
            self.partitions.push(PartitionQueue { queue, topic, partition });
            self.forward(self.partitions.len() - 1, true);
        }
        Some(())
    }

    /// Whether a partition's messages come out of `fetch`.
    pub(super) fn forward(&self, partition: usize, on: bool) {
        let target = if on { self.queue.0.as_ptr() } else { std::ptr::null_mut() };
        // SAFETY: both queues are alive; librdkafka counts the reference that it keeps.
        unsafe {
            sys::rd_kafka_queue_forward(self.partitions[partition].queue.0.as_ptr(), target);
        }
    }

    /// The partition's end when a broker was last heard; `None` before that.
    pub(super) fn high_watermark(&self, partition: usize) -> Option<i64> {
        let PartitionQueue { topic, partition, .. } = &self.partitions[partition];
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is alive, `topic` is a C string, the offsets are written before the
        // return. No broker is asked.
        let error = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.client.client().native_ptr(),
                topic.as_ptr(),
                *partition,
                &mut low,
                &mut high,
            )
        };
        let known = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
        known.then_some(high)
    }

    /// The messages that are there, at most `FETCH_RECORDS_MAX`; when there are none, the first
    /// that come within `wait`.
    pub(super) fn fetch(&mut self, wait: Duration) -> Vec<Message> {
        // The native call waits until its buffer is full or the time is over: it must not wait
        // when something is there, and waits for one message only.
        if self.take(Duration::ZERO, FETCH_RECORDS_MAX) == 0 && !wait.is_zero() {
            let came = self.take(wait, 1);
            if came > 0 {
                self.take(Duration::ZERO, FETCH_RECORDS_MAX - came);
            }
        }
        self.found.drain(..).filter_map(NonNull::new).map(Message).collect()
    }

    /// Appends at most `max` messages to `found`. Returns how many.
    fn take(&mut self, wait: Duration, max: usize) -> usize {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        self.found.reserve(max);
        let free = self.found.spare_capacity_mut();
        // SAFETY: the queue is alive. `free` has room for `max` pointers, of which librdkafka
        // writes as many as it returns; they are ours to destroy.
        unsafe {
            let start = free.as_mut_ptr().cast();
            let count =
                sys::rd_kafka_consume_batch_queue(self.queue.0.as_ptr(), millis, start, max);
            let count = usize::try_from(count).unwrap_or(0).min(max);
            self.found.set_len(self.found.len() + count);
            count
        }
    }
}

/// A native message: a record, or an event of a partition. Must not outlive its client.
pub(super) struct Message(NonNull<sys::rd_kafka_message_t>);

// SAFETY: librdkafka lets any thread read and destroy a message, and we never write to one.
unsafe impl Send for Message {}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: this is the only copy of the handle.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

impl Message {
    /// What kind of event it is; `None`: a record.
    pub(super) fn event(&self) -> Option<RDKafkaErrorCode> {
        // SAFETY: the message is alive. The code is read as a number: one that the bindings do not
        // know would be no value of their enumeration.
        let code = unsafe { (&raw const (*self.0.as_ptr()).err).cast::<i32>().read() };
        let known = || RDKafkaRespErr::try_from(code).map(RDKafkaErrorCode::from);
        (code != 0).then(|| known().unwrap_or(RDKafkaErrorCode::Unknown))
    }

    pub(super) fn offset(&self) -> i64 {
        // SAFETY: the message is alive.
        unsafe { (*self.0.as_ptr()).offset }
    }

    pub(super) fn partition(&self) -> i32 {
        // SAFETY: the message is alive.
        unsafe { (*self.0.as_ptr()).partition }
    }

    /// Equal for messages of one topic that follow each other.
    pub(super) fn topic_handle(&self) -> usize {
        // SAFETY: the message is alive; the handle is compared only.
        unsafe { (*self.0.as_ptr()).rkt as usize }
    }

    pub(super) fn topic(&self) -> Option<&str> {
        // SAFETY: the message is alive, and so is its topic, whose name never changes.
        unsafe {
            let topic = (*self.0.as_ptr()).rkt;
            if topic.is_null() {
                return None;
            }
            CStr::from_ptr(sys::rd_kafka_topic_name(topic)).to_str().ok()
        }
    }

    fn key(&self) -> Option<&[u8]> {
        // SAFETY: the message is alive and owns `key_len` bytes behind `key`, or `key` is null.
        unsafe { bytes((*self.0.as_ptr()).key, (*self.0.as_ptr()).key_len) }
    }

    /// The value of a record, the reason of an event.
    pub(super) fn value(&self) -> Option<&[u8]> {
        // SAFETY: as `key`.
        unsafe { bytes((*self.0.as_ptr()).payload, (*self.0.as_ptr()).len) }
    }

    /// Microseconds since 1970.
    fn timestamp(&self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, `kind` is written before the return.
        let millis = unsafe { sys::rd_kafka_message_timestamp(self.0.as_ptr(), &mut kind) };
        (millis >= 0).then(|| millis.saturating_mul(1_000))
    }

    /// Appends the headers in `Headers`' form.
    fn headers(&self, out: &mut Vec<u8>) {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is alive and owns the headers; name and value lie in them and are
        // copied before the next call.
        unsafe {
            let found = sys::rd_kafka_message_headers(self.0.as_ptr(), &mut headers);
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            for index in 0.. {
                let (mut name, mut value, mut len) = (std::ptr::null(), std::ptr::null(), 0);
                let found =
                    sys::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut len);
                if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return;
                }
                let name = CStr::from_ptr(name).to_string_lossy();
                Headers::push(&name, bytes(value.cast_mut(), len), out);
            }
        }
    }
}

/// # Safety
/// `start` is null, or `len` bytes behind it live and stay unchanged for `'a`.
unsafe fn bytes<'a>(start: *mut c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

/// Records of one partition. Fields are dropped in order: messages before their client.
pub(super) struct Messages {
    messages: Vec<Message>,
    /// Headers of all records, and where each record's end. Empty when no record has any.
    headers: Vec<u8>,
    header_ends: Vec<u32>,
    bytes: usize,
    _client: Arc<Client>,
}

impl Messages {
    /// Records that this client fetched, in order.
    pub(super) fn new(messages: Vec<Message>, client: &Arc<Client>) -> Self {
        let mut made = Self {
            messages,
            headers: Vec::new(),
            header_ends: Vec::new(),
            bytes: 0,
            _client: client.clone(),
        };
        for (index, message) in made.messages.iter().enumerate() {
            let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
            made.bytes += len(message.key()) + len(message.value());
            let before = made.headers.len();
            message.headers(&mut made.headers);
            if made.headers.len() > before && made.header_ends.is_empty() {
                made.header_ends.resize(index, 0);
            }
            if !made.headers.is_empty() {
                let end = u32::try_from(made.headers.len()).expect("a batch stays under 4 GiB");
                made.header_ends.push(end);
            }
        }
        made
    }

    fn headers_of(&self, index: usize) -> Headers<'_> {
        let Some(&end) = self.header_ends.get(index) else { return Headers(&[]) };
        let start = index.checked_sub(1).map_or(0, |before| self.header_ends[before]);
        Headers(&self.headers[start as usize..end as usize])
    }
}

impl RecordBatch for Messages {
    fn len(&self) -> usize {
        self.messages.len()
    }

    fn records<'a>(&'a self, out: &mut Vec<Record<'a>>) {
        let record = |(index, message): (usize, &'a Message)| Record {
            key: message.key(),
            value: message.value(),
            offset: message.offset(),
            timestamp: message.timestamp(),
            headers: self.headers_of(index),
        };
        out.extend(self.messages.iter().enumerate().map(record));
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

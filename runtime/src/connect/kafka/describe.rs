//! Asks for topics with their identities, which the safe client does not offer. The identity tells
//! a topic from another one of the same name that was there before.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;

use super::client::Context;

/// A topic as the brokers describe it.
pub(super) struct Described {
    pub(super) name: String,
    /// `None`: the brokers are older than 2.8 and give topics no identity.
    pub(super) id: Option<String>,
    pub(super) partitions: usize,
    /// Whether it is Kafka's own.
    pub(super) internal: bool,
    pub(super) error: Option<RDKafkaErrorCode>,
}

/// Describes topics by name; a missing one has an error.
pub(super) fn describe(
    client: &Client<Context>,
    names: &[&str],
    wait: Duration,
) -> Result<Vec<Described>, RDKafkaErrorCode> {
    let names: Result<Vec<CString>, _> = names.iter().map(|name| CString::new(*name)).collect();
    let names = names.map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let mut problem = [0; 256];
    // SAFETY: the client is alive during the call. `pointers` are C strings that outlive the
    // collection, which copies them. Queue, collection and options are destroyed once, by their
    // guards, before this function returns.
    unsafe {
        let native = client.native_ptr();
        let queue = Guard::new(sys::rd_kafka_queue_new(native), sys::rd_kafka_queue_destroy)?;
        let topics = Guard::new(
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )?;
        let any = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = Guard::new(
            sys::rd_kafka_AdminOptions_new(native, any),
            sys::rd_kafka_AdminOptions_destroy,
        )?;
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options.get(),
            millis,
            problem.as_mut_ptr(),
            problem.len(),
        );
        sys::rd_kafka_DescribeTopics(native, topics.get(), options.get(), queue.get());
        // The request's own timeout answers first.
        let answer = sys::rd_kafka_queue_poll(queue.get(), millis.saturating_add(1_000));
        let event = Guard::new(answer, sys::rd_kafka_event_destroy)
            .map_err(|_| RDKafkaErrorCode::OperationTimedOut)?;
        read(event.get())
    }
}

/// Reads the answer.
///
/// # Safety
/// `event` is alive; everything read from it is copied before the return.
unsafe fn read(event: *mut sys::rd_kafka_event_t) -> Result<Vec<Described>, RDKafkaErrorCode> {
    // SAFETY: the functions take a live event and give pointers into it, null where it is none of
    // theirs; `count` topics stand behind `topics`.
    unsafe {
        check(sys::rd_kafka_event_error(event))?;
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        let mut all = Vec::with_capacity(count);
        for index in 0..count {
            let topic = *topics.add(index);
            let mut partitions = 0;
            sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
            let error = sys::rd_kafka_TopicDescription_error(topic);
            let name = sys::rd_kafka_TopicDescription_name(topic);
            all.push(Described {
                name: CStr::from_ptr(name).to_string_lossy().into_owned(),
                id: identity(sys::rd_kafka_TopicDescription_topic_id(topic)),
                partitions,
                internal: sys::rd_kafka_TopicDescription_is_internal(topic) != 0,
                error: check(sys::rd_kafka_error_code(error)).err(),
            });
        }
        Ok(all)
    }
}

/// # Safety
/// `uuid` is null or alive.
unsafe fn identity(uuid: *const sys::rd_kafka_Uuid_t) -> Option<String> {
    // SAFETY: the caller's; the text lies in the identity and is copied.
    unsafe {
        let is_zero = uuid.is_null()
            || (sys::rd_kafka_Uuid_most_significant_bits(uuid) == 0
                && sys::rd_kafka_Uuid_least_significant_bits(uuid) == 0);
        let text = (!is_zero).then(|| sys::rd_kafka_Uuid_base64str(uuid))?;
        if text.is_null() {
            return None;
        }
        // Kafka's own tools write identities in the alphabet for URLs.
        Some(CStr::from_ptr(text).to_string_lossy().replace('+', "-").replace('/', "_"))
    }
}

fn check(code: RDKafkaRespErr) -> Result<(), RDKafkaErrorCode> {
    match code.into() {
        RDKafkaErrorCode::NoError => Ok(()),
        error => Err(error),
    }
}

/// Owns a native object.
struct Guard<T> {
    object: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Guard<T> {
    /// # Safety
    /// `object` is null or the only handle to something that `destroy` ends.
    unsafe fn new(
        object: *mut T,
        destroy: unsafe extern "C" fn(*mut T),
    ) -> Result<Self, RDKafkaErrorCode> {
        let object = NonNull::new(object).ok_or(RDKafkaErrorCode::CriticalSystemResource)?;
        Ok(Self { object, destroy })
    }

    fn get(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: it is the only handle, and this is its end.
        unsafe { (self.destroy)(self.object.as_ptr()) }
    }
}

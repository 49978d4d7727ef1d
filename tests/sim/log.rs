//! The in-memory log as a job sees it whose process dies at a given action of a given commit: from
//! then on the writer does nothing more. Transaction markers may come late: each time a reader
//! waits, one more of them, chosen at random, arrives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow_ir::physical::Stream;
use flow_runtime::connect::local::LocalLog;
use flow_runtime::connect::{
    Assignment, Fetched, Log, NewTopic, OffsetQuery, Outcome, Outgoing, Reader, TopicInfo, Writer,
};
use flow_runtime::error::{Result, RuntimeError};
use flow_runtime::world::Logs;

use super::random::Random;

/// What the process does when it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It begins a transaction.
    Begin,
    /// It has sent this many records of the transaction.
    Send(u64),
    /// It asks for the commit, which never arrives.
    CommitLost,
    /// It asks for the commit, which takes effect; the answer never arrives.
    AnswerLost,
}

/// When a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    /// In its commit of this number, the first being 0.
    pub(crate) commit: usize,
    pub(crate) action: Action,
}

/// The log of one life of a job.
#[derive(Clone)]
pub(crate) struct SimLog(Arc<Life>);

struct Life {
    log: LocalLog,
    crash: Option<Crash>,
    dead: AtomicBool,
    /// Records sent, by transaction.
    sent: Mutex<Vec<u64>>,
    /// Chooses the next marker.
    random: Mutex<Random>,
}

impl SimLog {
    pub(crate) fn new(log: &LocalLog, crash: Option<Crash>, seed: u64) -> Self {
        Self(Arc::new(Life {
            log: log.clone(),
            crash,
            dead: AtomicBool::new(false),
            sent: Mutex::default(),
            random: Mutex::new(Random::new(seed)),
        }))
    }

    /// Whether the process died.
    pub(crate) fn crashed(&self) -> bool {
        self.0.dead.load(Ordering::SeqCst)
    }

    /// Records sent, by transaction.
    pub(crate) fn sent(&self) -> Vec<u64> {
        lock(&self.0.sent).clone()
    }
}

impl Life {
    /// Whether the process dies in its last transaction at this action; if so, it is dead now.
    fn dies(&self, action: Action) -> bool {
        let commit = lock(&self.sent).len().wrapping_sub(1);
        let dies = self.crash == Some(Crash { commit, action });
        if dies {
            self.dead.store(true, Ordering::SeqCst);
        }
        dies
    }

    fn refuse_the_dead(&self) -> Result<()> {
        match self.dead.load(Ordering::SeqCst) {
            true => Err(RuntimeError::user("the process has died")),
            false => Ok(()),
        }
    }

    /// Lets one more marker arrive. Returns whether there was one.
    fn release_one(&self) -> bool {
        let held = self.log.held_markers();
        if held.is_empty() {
            return false;
        }
        let (topic, partition) = &held[lock(&self.random).below(held.len())];
        self.log.release_marker(topic, *partition);
        true
    }
}

impl Logs for SimLog {
    fn home(&self) -> Result<Arc<dyn Log>> {
        Ok(Arc::new(self.clone()))
    }

    fn of(&self, _: &Stream) -> Result<Arc<dyn Log>> {
        self.home()
    }
}

impl Log for SimLog {
    fn cluster(&self) -> String {
        self.0.log.cluster()
    }

    fn describe_self(&self) -> String {
        self.0.log.describe_self()
    }

    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.0.log.topics()
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>> {
        self.0.log.topic(name)
    }

    fn create_topic(&self, topic: &NewTopic) -> Result<TopicInfo> {
        self.0.log.create_topic(topic)
    }

    fn add_partitions(&self, topic: &str, partitions: u32) -> Result<TopicInfo> {
        self.0.log.add_partitions(topic, partitions)
    }

    fn delete_topics(&self, names: &[&str]) -> Result<()> {
        self.0.log.delete_topics(names)
    }

    fn offsets(&self, topic: &str, query: OffsetQuery) -> Result<Vec<i64>> {
        self.0.log.offsets(topic, query)
    }

    fn group_offsets(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>> {
        self.0.log.group_offsets(group, topic)
    }

    fn reader(&self, assignment: &[Assignment]) -> Result<Box<dyn Reader>> {
        self.0.refuse_the_dead()?;
        let reader = self.0.log.reader(assignment)?;
        Ok(Box::new(SimReader { life: self.0.clone(), reader }))
    }

    fn writer(&self, transactional_id: &str) -> Result<Box<dyn Writer>> {
        let writer = self.0.log.writer(transactional_id)?;
        Ok(Box::new(SimWriter { life: self.0.clone(), writer }))
    }
}

struct SimReader {
    life: Arc<Life>,
    reader: Box<dyn Reader>,
}

impl Reader for SimReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Fetched>> {
        let fetched = self.reader.poll(Duration::ZERO)?;
        if fetched.is_some() || self.life.release_one() {
            return Ok(fetched);
        }
        self.reader.poll(wait)
    }

    fn add(&mut self, assignment: &[Assignment]) -> Result<()> {
        self.reader.add(assignment)
    }

    fn pause(&mut self, partition: usize, paused: bool) {
        self.reader.pause(partition, paused);
    }

    fn position(&self, partition: usize) -> i64 {
        self.reader.position(partition)
    }

    fn at_end(&self, partition: usize) -> bool {
        self.reader.at_end(partition)
    }

    fn lag(&self, partition: usize) -> u64 {
        self.reader.lag(partition)
    }
}

struct SimWriter {
    life: Arc<Life>,
    writer: Box<dyn Writer>,
}

impl Writer for SimWriter {
    fn begin(&mut self) -> Result<()> {
        lock(&self.life.sent).push(0);
        let begun = self.writer.begin();
        self.life.dies(Action::Begin);
        self.life.refuse_the_dead()?;
        begun
    }

    fn send(&mut self, record: &Outgoing<'_>) -> Result<()> {
        self.writer.send(record)?;
        let sent = {
            let mut all = lock(&self.life.sent);
            let last = all.last_mut().expect("a transaction is begun before records are sent");
            *last += 1;
            *last
        };
        self.life.dies(Action::Send(sent));
        self.life.refuse_the_dead()
    }

    fn send_offsets(&mut self, group: &str, offsets: &[Assignment]) -> Result<()> {
        self.writer.send_offsets(group, offsets)
    }

    fn commit(&mut self) -> Outcome {
        // Of all answers this one ends the job at once; what it says does not matter to the dead.
        if self.life.dies(Action::CommitLost) {
            return Outcome::Fenced;
        }
        let outcome = self.writer.commit();
        if self.life.dies(Action::AnswerLost) {
            return Outcome::Fenced;
        }
        outcome
    }

    fn abort(&mut self) -> Result<()> {
        self.life.refuse_the_dead()?;
        self.writer.abort()
    }

    fn written_until(&self, topic: &str, partition: u32) -> Option<i64> {
        self.writer.written_until(topic, partition)
    }

    fn is_fenced(&self) -> bool {
        self.writer.is_fenced()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

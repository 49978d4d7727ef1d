//! Writes commands to a log: one thread a log, which puts all that wait into one transaction. The
//! idempotency keys of a transaction are written in it, so that after a crash at any moment a key
//! is known exactly if its records are there.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use flow_ir::kernel::Record;
use flow_runtime::connect::murmur2;
use flow_runtime::connect::{Assignment, Log, NewTopic, OffsetQuery, Outcome, Outgoing, Writer};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Failed;
use super::encode::Encoded;
use crate::server::token::Token;

/// Commands of one transaction at most.
const BATCH_COMMANDS: usize = 1_000;

/// Idempotency keys that are remembered; older ones are forgotten.
const KEYS_MAX: usize = 100_000;

/// How long a broker keeps idempotency keys, milliseconds.
const KEYS_RETENTION_MS: u64 = 24 * 3_600 * 1_000;

/// How long a look for stored keys waits.
const POLL: Duration = Duration::from_millis(100);

/// Records to write.
pub(super) struct Command {
    pub(super) topic: String,
    pub(super) records: Vec<Encoded>,
    /// The caller's key, and a hash of what it was given for.
    pub(super) key: Option<(String, u64)>,
    pub(super) answer: oneshot::Sender<Result<Written, Failed>>,
}

/// Records that are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where they stand.
    pub token: Token,
    /// Whether an earlier request with the same key wrote them.
    pub repeated: bool,
}

/// Starts a writer; it ends when the sender is dropped.
///
/// # Errors
/// If no thread can be made.
pub(super) fn start(log: Arc<dyn Log>, server: &str) -> Result<Sender<Command>, Failed> {
    let (send, receive) = channel();
    let thread = CommandWriter {
        log,
        id: format!("flow-server-{server}"),
        keys_topic: format!("flow-server.{server}.commands"),
        session: None,
        turn: 0,
    };
    std::thread::Builder::new()
        .name("commands".into())
        .spawn(move || thread.run(&receive))
        .map_err(|e| Failed::away(format!("no thread to write commands: {e}")))?;
    Ok(send)
}

struct CommandWriter {
    log: Arc<dyn Log>,
    id: String,
    keys_topic: String,
    session: Option<Session>,
    /// Which partition the next record without a key goes to.
    turn: u32,
}

/// What lasts from one transaction to the next, until one ends unclear.
struct Session {
    writer: Box<dyn Writer>,
    keys: Keys,
    /// Partitions by topic.
    partitions: HashMap<String, u32>,
}

/// Idempotency keys, the oldest first.
#[derive(Default)]
struct Keys {
    known: HashMap<String, Known>,
    order: VecDeque<String>,
}

#[derive(Clone)]
struct Known {
    hash: u64,
    topic: String,
    /// `None` for one that was read back: where its records stand is not known any more.
    token: Option<Token>,
}

/// A key as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredKey {
    hash: u64,
    topic: String,
}

impl Keys {
    fn remember(&mut self, key: String, known: Known) {
        if self.known.insert(key.clone(), known).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > KEYS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

impl CommandWriter {
    fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(first) = commands.recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_COMMANDS
                && let Ok(command) = commands.try_recv()
            {
                batch.push(command);
            }
            self.perform(batch);
        }
    }

    /// Writes a batch in one transaction and answers. If the log does not take it, each command is
    /// tried by itself, so that one that is refused does not touch the others.
    fn perform(&mut self, batch: Vec<Command>) {
        let many = batch.len() > 1;
        match self.write(&batch) {
            Ok(written) => {
                for (command, written) in batch.into_iter().zip(written) {
                    // Whoever asked may have gone.
                    let _ = command.answer.send(written);
                }
            }
            Err(error) if many && !error.unclear => {
                for command in batch {
                    self.perform(vec![command]);
                }
            }
            Err(error) => {
                self.session = None;
                for command in batch {
                    let _ = command.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// The answers to a batch, in its order.
    fn write(&mut self, batch: &[Command]) -> Result<Vec<Result<Written, Failed>>, Failed> {
        if self.session.is_none() {
            self.session = Some(self.open()?);
        }
        let Some(session) = self.session.as_mut() else {
            return Err(Failed::away("the log has no writer".into()));
        };
        let mut answers: Vec<Option<Result<Written, Failed>>> = Vec::new();
        // Keys of this batch: a second command with the same key has to wait for the first.
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        let mut begun = false;
        for command in batch {
            let repeated = command.key.as_ref().and_then(|(key, hash)| {
                let busy = || Failed::conflict("a request with this key is under way".into());
                match session.keys.known.get(key) {
                    Some(known) => Some(repeat(&*self.log, known, *hash)),
                    None => (!taken.insert(key)).then(|| Err(busy())),
                }
            });
            if repeated.is_none() {
                if !begun {
                    session.writer.begin().map_err(Failed::of)?;
                    begun = true;
                }
                send(&*self.log, session, command, &self.keys_topic, &mut self.turn)?;
            }
            answers.push(repeated);
        }
        if begun {
            commit(session)?;
        }
        let answered = batch
            .iter()
            .zip(answers)
            .map(|(command, answer)| answer.unwrap_or_else(|| Ok(remember(session, command))));
        Ok(answered.collect())
    }

    /// A writer, which settles what an earlier one left open, and the keys that are stored.
    fn open(&self) -> Result<Session, Failed> {
        let topic = NewTopic {
            name: self.keys_topic.clone(),
            partitions: 1,
            compacted: false,
            config: vec![("retention.ms".into(), KEYS_RETENTION_MS.to_string())],
        };
        let writer = self.log.writer(&self.id).map_err(Failed::of)?;
        self.log.create_topic(&topic).map_err(Failed::of)?;
        let keys = self.stored_keys()?;
        Ok(Session { writer, keys, partitions: HashMap::new() })
    }

    fn stored_keys(&self) -> Result<Keys, Failed> {
        let mut keys = Keys::default();
        let topic = &self.keys_topic;
        let ends = self.log.offsets(topic, OffsetQuery::End).map_err(Failed::of)?;
        let starts = self.log.offsets(topic, OffsetQuery::Earliest).map_err(Failed::of)?;
        let (Some(&end), Some(&start)) = (ends.first(), starts.first()) else { return Ok(keys) };
        let offset = start.max(end.saturating_sub(KEYS_MAX as i64));
        let from = Assignment { topic: topic.clone(), partition: 0, offset };
        let mut reader = self.log.reader(&[from]).map_err(Failed::of)?;
        while reader.position(0) < end {
            let Some(fetched) = reader.poll(POLL).map_err(Failed::of)? else { continue };
            let mut records: Vec<Record<'_>> = Vec::new();
            fetched.batch.records(&mut records);
            for record in records {
                let key = record.key.and_then(|key| std::str::from_utf8(key).ok());
                let stored =
                    record.value.and_then(|value| serde_json::from_slice::<StoredKey>(value).ok());
                if let (Some(key), Some(StoredKey { hash, topic })) = (key, stored) {
                    keys.remember(key.to_string(), Known { hash, topic, token: None });
                }
            }
        }
        Ok(keys)
    }
}

/// The answer to a key that is known.
fn repeat(log: &dyn Log, known: &Known, hash: u64) -> Result<Written, Failed> {
    if known.hash != hash {
        return Err(Failed::refused("this key was given for another request".into()));
    }
    let token = match &known.token {
        Some(token) => token.clone(),
        // Its records stand before the present end: whoever waits for that has seen them.
        None => {
            let ends = log.offsets(&known.topic, OffsetQuery::End).map_err(Failed::of)?;
            Token::of(&known.topic, ends)
        }
    };
    Ok(Written { token, repeated: true })
}

/// Puts a command's records into the transaction.
fn send(
    log: &dyn Log,
    session: &mut Session,
    command: &Command,
    keys_topic: &str,
    turn: &mut u32,
) -> Result<(), Failed> {
    let topic = command.topic.as_str();
    let partitions = match session.partitions.get(topic) {
        Some(&partitions) => partitions,
        None => {
            let info = log.topic(topic).map_err(Failed::of)?;
            let info = info.ok_or_else(|| Failed::refused(format!("there is no topic {topic}")))?;
            session.partitions.insert(topic.to_string(), info.partitions);
            info.partitions
        }
    };
    for Encoded { key, value } in &command.records {
        *turn = turn.wrapping_add(1);
        let partition = key.as_deref().map_or(*turn, murmur2) % partitions.max(1);
        let record = Outgoing {
            topic,
            partition,
            key: key.as_deref(),
            value: Some(value),
            ..Outgoing::default()
        };
        session.writer.send(&record).map_err(Failed::of)?;
    }
    if let Some((key, hash)) = &command.key {
        let stored = StoredKey { hash: *hash, topic: topic.to_string() };
        let stored = serde_json::to_vec(&stored).map_err(|e| Failed::refused(e.to_string()))?;
        let record = Outgoing {
            topic: keys_topic,
            key: Some(key.as_bytes()),
            value: Some(&stored),
            ..Outgoing::default()
        };
        session.writer.send(&record).map_err(Failed::of)?;
    }
    Ok(())
}

fn commit(session: &mut Session) -> Result<(), Failed> {
    match session.writer.commit() {
        Outcome::Committed => Ok(()),
        Outcome::Aborted(why) => {
            let message = format!("nothing is written: {why}");
            Err(Failed { message, ..Failed::of(why) })
        }
        Outcome::Fenced => Err(Failed::away(
            "nothing is written: another server with the same data folder has taken over".into(),
        )),
        Outcome::Unknown(why) => Err(Failed {
            unclear: true,
            ..Failed::away(format!(
                "it is not known whether this is written ({why}); with an Idempotency-Key it can \
                 be sent again without harm"
            ))
        }),
    }
}

/// The answer to a command that was committed.
fn remember(session: &mut Session, command: &Command) -> Written {
    let topic = command.topic.as_str();
    let partitions = session.partitions.get(topic).copied().unwrap_or(0);
    let until = |p| session.writer.written_until(topic, p).unwrap_or(0);
    let token = Token::of(topic, (0..partitions).map(until).collect());
    if let Some((key, hash)) = &command.key {
        let known = Known { hash: *hash, topic: topic.into(), token: Some(token.clone()) };
        session.keys.remember(key.clone(), known);
    }
    Written { token, repeated: false }
}

#[cfg(test)]
mod tests {
    use flow_runtime::connect::local::LocalLog;

    use super::*;

    fn log(folder: &std::path::Path) -> Arc<dyn Log> {
        let log: Arc<dyn Log> = Arc::new(LocalLog::open(folder).unwrap());
        let topic =
            NewTopic { name: "t".into(), partitions: 1, compacted: false, config: Vec::new() };
        log.create_topic(&topic).unwrap();
        log
    }

    fn ask(
        writer: &Sender<Command>,
        topic: &str,
        key: Option<(&str, u64)>,
    ) -> Result<Written, Failed> {
        let (answer, receive) = oneshot::channel();
        let records = vec![Encoded { key: None, value: b"{}".to_vec() }];
        let key = key.map(|(key, hash)| (key.to_string(), hash));
        writer.send(Command { topic: topic.into(), records, key, answer }).unwrap();
        receive.blocking_recv().unwrap()
    }

    #[test]
    fn a_key_writes_once_also_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let end = || log.offsets("t", OffsetQuery::End).unwrap()[0];
        let writer = start(log.clone(), "s").unwrap();
        let first = ask(&writer, "t", Some(("k", 1))).unwrap();
        assert_eq!(first, Written { token: Token::of("t", vec![1]), repeated: false });
        let again = ask(&writer, "t", Some(("k", 1))).unwrap();
        assert_eq!(again, Written { token: Token::of("t", vec![1]), repeated: true });
        assert!(ask(&writer, "t", None).is_ok());
        assert_eq!(end(), 2);
        let other = ask(&writer, "t", Some(("k", 2))).unwrap_err();
        assert!(other.message.contains("another request"), "{other:?}");
        drop(writer);
        let writer = start(log.clone(), "s").unwrap();
        let later = ask(&writer, "t", Some(("k", 1))).unwrap();
        assert_eq!(later, Written { token: Token::of("t", vec![2]), repeated: true });
        assert_eq!(end(), 2);
    }

    #[test]
    fn a_topic_that_is_missing_is_refused_and_the_next_command_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let writer = start(log.clone(), "s").unwrap();
        let error = ask(&writer, "none", None).unwrap_err();
        assert!(error.message.contains("no topic none"), "{error:?}");
        assert!(ask(&writer, "t", None).is_ok());
        assert_eq!(log.offsets("t", OffsetQuery::End).unwrap(), [1]);
    }
}

//! What all clients of a cluster share: how they are called in messages, where librdkafka's lines
//! and errors go, and what its error codes mean for a job.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

use super::config::BOOTSTRAP_OPTION;
use crate::connect::DELETED_HELP;
use crate::error::{Result, RuntimeError};

/// How the client library says that a broker took a connection and closed it.
const HUNG_UP: &str = "Disconnected";

/// How the client library says that a topic's name stands for another topic now. It goes on as if
/// nothing had happened, with the offsets of the old one, and says so here alone.
const OTHER_TOPIC: &str = " changed id from ";

/// Listens to one client.
#[derive(Default)]
pub(super) struct Context {
    /// Why the brokers do not let this client in, and the code that goes with it.
    refused: Mutex<Option<(RDKafkaErrorCode, String)>>,
    /// Why no broker could be reached the last time.
    unreachable: Mutex<Option<String>>,
    /// No broker could be reached since it was last asked.
    down: AtomicBool,
    /// The first topic that was deleted and made again.
    replaced: OnceLock<String>,
    /// A topic that has lost a partition, as far as the client can tell.
    missing: Mutex<Option<String>>,
}

impl Context {
    /// Fails if the brokers do not let this client in: no retry mends that.
    pub(super) fn check(&self, at: &Endpoint) -> Result<()> {
        match &*lock(&self.refused) {
            Some((code, why)) => Err(at.refused(*code, why)),
            None => Ok(()),
        }
    }

    /// Fails if one of the client's topics is another one now. `done` says what is done with them.
    pub(super) fn refuse_replaced(&self, at: &Endpoint, done: &str) -> Result<()> {
        self.replaced.get().map_or(Ok(()), |topic| Err(at.replaced(topic, done)))
    }

    /// A topic that may be gone, told since the last call.
    pub(super) fn take_missing(&self) -> Option<String> {
        lock(&self.missing).take()
    }

    /// Why no broker could be reached the last time.
    pub(super) fn unreachable(&self) -> Option<String> {
        lock(&self.unreachable).clone()
    }

    /// Whether no broker could be reached since the last call.
    pub(super) fn take_down(&self) -> bool {
        self.down.swap(false, Ordering::Relaxed)
    }
}

impl ClientContext for Context {
    /// What matters comes back as an error: the lines are for those who look for a cause.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // That a broker hangs up, as on a protocol that it does not expect, is told here alone.
        if facility == "FAIL" && line.contains(HUNG_UP) {
            let why = line.split_once("]: ").map_or(line, |(_, why)| why);
            *lock(&self.unreachable) = Some(why.to_string());
        }
        // Nor is there an event for a partition of a reader that is gone.
        if let Some(topic) = with_error(line).filter(|_| facility == "ERROR") {
            *lock(&self.missing) = Some(topic.to_string());
        }
        if let Some(topic) = replaced(line) {
            self.replaced.get_or_init(|| topic.to_string());
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "kafka", facility, "{line}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                tracing::info!(target: "kafka", facility, "{line}");
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "kafka", facility, "{line}");
            }
        }
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let code = if is_certificate_alert(reason) { RDKafkaErrorCode::SSL } else { code };
        tracing::info!(target: "kafka", ?code, "{reason}");
        match Meaning::of(code) {
            Meaning::Refused => {
                lock(&self.refused).get_or_insert_with(|| (code, reason.to_string()));
            }
            Meaning::Unreachable if code == RDKafkaErrorCode::AllBrokersDown => {
                self.down.store(true, Ordering::Relaxed);
            }
            Meaning::Unreachable => *lock(&self.unreachable) = Some(reason.to_string()),
            Meaning::Fenced | Meaning::Missing | Meaning::Wrong | Meaning::Passing => {}
        }
    }
}

impl ConsumerContext for Context {}

/// Whether a broker hung up because it does not take this client's certificate: since TLS 1.3 that
/// comes after the handshake, and looks to the client library like any lost connection.
fn is_certificate_alert(reason: &str) -> bool {
    let about = ["certificate", "unknown ca", "access denied"];
    reason.contains("SSL routines")
        && reason.contains(" alert ")
        && about.iter().any(|what| reason.contains(what))
}

/// The topic that a line of the client library tells to be another one now.
fn replaced(line: &str) -> Option<&str> {
    let (before, ids) = line.split_once(OTHER_TOPIC)?;
    let (_, topic) = before.split_once("Topic ")?;
    let (old, _) = ids.split_once(" to ")?;
    // A topic that the client did not know has the identity zero, in base 64.
    let was_known = old.trim_end_matches('=').bytes().any(|byte| byte != b'A');
    was_known.then_some(topic)
}

/// The topic of a line about an error of a partition: `[THREAD]: CLIENT: TOPIC [PARTITION]: …`.
fn with_error(line: &str) -> Option<&str> {
    let (before, _) = line.split_once(" [")?;
    before.rsplit_once(": ").map(|(_, topic)| topic)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// What an error code means for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Who we are, or what we may do: the operator must act.
    Refused,
    /// Another producer has taken over the transactional id.
    Fenced,
    /// No broker answers.
    Unreachable,
    /// There is no such topic or partition.
    Missing,
    /// The request or a setting is wrong: it would fail again.
    Wrong,
    /// Anything else: it may pass.
    Passing,
}

impl Meaning {
    pub(super) fn of(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::SSL
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed => Self::Refused,
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Self::Fenced,
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut => Self::Unreachable,
            Code::UnknownTopic
            | Code::UnknownTopicId
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition => Self::Missing,
            Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidConfig
            | Code::InvalidArgument
            | Code::InvalidRequest
            | Code::InvalidTransactionTimeout
            | Code::InvalidRecord
            | Code::MessageSizeTooLarge
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature => Self::Wrong,
            // The codes are librdkafka's, and more come with each version.
            _ => Self::Passing,
        }
    }
}

/// A cluster in messages.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    servers: String,
}

impl Endpoint {
    pub(super) fn new(servers: &str) -> Self {
        Self { servers: servers.to_string() }
    }

    pub(super) fn describe(&self) -> String {
        format!("Kafka at {} ('{BOOTSTRAP_OPTION}')", self.servers)
    }

    /// The brokers do not let this client in.
    pub(super) fn refused(&self, code: RDKafkaErrorCode, why: &str) -> RuntimeError {
        use RDKafkaErrorCode as Code;
        let help = match code {
            Code::SSL => {
                "Check 'properties.ssl.ca.location', the certificates to trust; and, if the broker \
                 asks for one, this client's own: 'properties.ssl.certificate.location' and \
                 'properties.ssl.key.location'."
            }
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism => {
                "Check 'properties.sasl.username' and 'properties.sasl.password', and that the \
                 brokers offer 'properties.sasl.mechanism' at this address."
            }
            // The others are about what a user may do.
            _ => "Let this user do it, or be another: 'properties.sasl.username'.",
        };
        RuntimeError::user(format!("{} refuses this client: {why}", self.describe()))
            .with_help(help)
    }

    pub(super) fn unreachable(&self, doing: &str) -> RuntimeError {
        RuntimeError::external(format!(
            "{doing}: no broker answers at {} ('{BOOTSTRAP_OPTION}')",
            self.servers
        ))
        .with_help("Check that the broker runs there and that this machine may connect to it.")
    }

    /// The same with what was met on the way to the last broker.
    pub(super) fn unreachable_because(&self, doing: &str, why: &str) -> RuntimeError {
        let mut error = self.unreachable(doing);
        error.message = format!("{}: {why}", error.message);
        if why.contains(HUNG_UP) {
            error = error.with_help(
                "Check that 'properties.security.protocol' is the one of this address, and that \
                 the broker runs there.",
            );
        }
        error
    }

    pub(super) fn missing(&self, topic: &str) -> RuntimeError {
        RuntimeError::user(format!("there is no topic {topic} in {}", self.describe()))
            .with_help("Create it, or check the option 'topic'.")
    }

    /// A topic that is gone, though the job has found it; `done` says what it did with it.
    pub(super) fn deleted(&self, topic: &str, done: &str) -> RuntimeError {
        let at = self.describe();
        RuntimeError::user(format!("topic {topic} was deleted while it was {done}: {at} has none"))
            .with_help(DELETED_HELP)
    }

    /// A topic that is another one than the job has found.
    pub(super) fn replaced(&self, topic: &str, done: &str) -> RuntimeError {
        let at = self.describe();
        RuntimeError::user(format!(
            "topic {topic} was deleted and made again while it was {done}: {at} has another one of \
             that name"
        ))
        .with_help(DELETED_HELP)
    }

    /// An error code, met while `doing` something.
    pub(super) fn error(&self, doing: &str, code: RDKafkaErrorCode) -> RuntimeError {
        let why = text(code);
        match Meaning::of(code) {
            Meaning::Refused => self.refused(code, &format!("{doing}: {why}")),
            Meaning::Fenced => RuntimeError::fenced(),
            Meaning::Unreachable => self.unreachable(doing),
            Meaning::Missing | Meaning::Wrong => {
                RuntimeError::user(format!("{doing}: {why} ({})", self.describe()))
            }
            Meaning::Passing => {
                RuntimeError::external(format!("{doing}: {why} ({})", self.describe()))
            }
        }
    }

    /// An error of the client library, met while `doing` something.
    pub(super) fn client_error(&self, doing: &str, error: &KafkaError) -> RuntimeError {
        match error.rdkafka_error_code() {
            Some(code) => self.error(doing, code),
            None => RuntimeError::external(format!("{doing}: {error} ({})", self.describe())),
        }
    }
}

/// What a code says, without its name in the library.
pub(super) fn text(code: RDKafkaErrorCode) -> String {
    let shown = code.to_string();
    let inner = shown.split_once(" (").and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or_else(|| shown.clone(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Retry, Who};

    #[test]
    fn errors_say_who_must_act_and_where() {
        let at = Endpoint::new("b:9092");
        let refused = at.error("topics are listed", RDKafkaErrorCode::SaslAuthenticationFailed);
        assert_eq!((refused.who, refused.retry), (Who::User, Retry::Never));
        let down = at.error("topics are listed", RDKafkaErrorCode::OperationTimedOut);
        assert_eq!((down.who, down.retry), (Who::External, Retry::Backoff));
        assert!(down.message.contains("b:9092 ('properties.bootstrap.servers')"), "{down}");
        let fenced = at.error("a commit", RDKafkaErrorCode::ProducerFenced);
        assert_eq!(fenced.who, Who::Successor);
    }

    #[test]
    fn texts_leave_the_librarys_names_out() {
        assert_eq!(text(RDKafkaErrorCode::OperationTimedOut), "Local: Timed out");
    }

    #[test]
    fn a_refused_client_stays_refused() {
        let (context, at) = (Context::default(), Endpoint::new("b:9092"));
        assert!(context.check(&at).is_ok());
        context.error(KafkaError::Global(RDKafkaErrorCode::Authentication), "wrong password");
        let error = context.check(&at).expect_err("no retry mends that");
        assert!(error.message.contains("wrong password"), "{error}");
        assert!(error.to_string().contains("'properties.sasl.password'"), "{error}");
    }

    #[test]
    fn a_broker_that_hangs_up_on_a_certificate_refuses() {
        let lost = || KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure);
        let (context, at) = (Context::default(), Endpoint::new("b:9092"));
        context.error(lost(), "Receive failed: SSL routines::unexpected eof while reading");
        assert!(context.check(&at).is_ok(), "it may come back");
        context.error(lost(), "SSL routines::tlsv13 alert certificate required: number 116");
        let error = context.check(&at).expect_err("no retry mends that");
        assert!(error.to_string().contains("'properties.ssl.certificate.location'"), "{error}");
    }

    #[test]
    fn a_topic_that_was_made_again_is_told_and_one_that_was_found_is_not() {
        let (context, at) = (Context::default(), Endpoint::new("b:9092"));
        let found = "[thrd:main]: Topic orders changed id from AAAAAAAAAAAAAAAAAAAAAA to \
                     mQ3Xp8ZCTv2hCw1m5oB2Zg";
        context.log(RDKafkaLogLevel::Debug, "METADATA", found);
        assert!(context.refuse_replaced(&at, "read").is_ok());
        let again = "[thrd:main]: Topic orders.eu changed id from mQ3Xp8ZCTv2hCw1m5oB2Zg to \
                     AAAAp8ZCTv2hCw1m5oB2Zg";
        context.log(RDKafkaLogLevel::Debug, "METADATA", again);
        let error = context.refuse_replaced(&at, "read").expect_err("it is another one");
        assert_eq!((error.who, error.retry), (Who::User, Retry::Never));
        assert!(error.message.contains("topic orders.eu was deleted and made again"), "{error}");
    }

    #[test]
    fn a_topic_whose_partition_is_gone_is_noted() {
        let context = Context::default();
        let level = RDKafkaLogLevel::Error;
        let all_down = "[thrd:app]: flow#consumer-5: 127.0.0.1:9092/1: Connect failed";
        context.log(level, "ERROR", all_down);
        assert_eq!(context.take_missing(), None);
        let gone = "[thrd:app]: flow#consumer-5: orders.eu [0]: topic does not exist (Broker: …)";
        context.log(level, "ERROR", gone);
        assert_eq!(context.take_missing().as_deref(), Some("orders.eu"));
        assert_eq!(context.take_missing(), None);
    }

    #[test]
    fn a_stranger_is_told_to_check_its_protocol() {
        let (context, at) = (Context::default(), Endpoint::new("b:9092"));
        let line = "[thrd:main]: b:9092/bootstrap: Disconnected: connection closed by peer";
        context.log(RDKafkaLogLevel::Info, "FAIL", line);
        let why = context.unreachable().expect("it is noted");
        let error = at.unreachable_because("the cluster is contacted", &why);
        assert_eq!((error.who, error.retry), (Who::External, Retry::Backoff));
        assert!(error.to_string().contains("b:9092"), "{error}");
        assert!(error.to_string().contains("'properties.security.protocol'"), "{error}");
    }
}

//! The `flow` binary as tests use it: in a folder of its own, by what it says and its exit code.
#![allow(dead_code)] // each test binary uses its own part

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_ir::kernel::Record;
use flow_runtime::commit::EpochRecord;
use flow_runtime::connect::kafka::{BOOTSTRAP_SERVERS, KafkaLog};
use flow_runtime::connect::local::{Access, Purpose};
use flow_runtime::connect::{Assignment, Log, Outcome, Outgoing, Reader};

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long one look at a job's progress waits.
const LOOK: Duration = Duration::from_millis(200);

/// A folder in which commands run; the embedded log is in `data`, unless there is a broker.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
    broker: Option<Broker>,
}

/// A broker that the commands of a sandbox use.
struct Broker {
    bootstrap: String,
    log: Arc<dyn Log>,
}

/// The log of a sandbox, as another process sees it.
pub(crate) enum Client {
    Embedded(Access),
    Kafka(Arc<dyn Log>),
}

impl Client {
    pub(crate) fn log(&self) -> &Arc<dyn Log> {
        match self {
            Client::Embedded(access) => access.log(),
            Client::Kafka(log) => log,
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that runs. It is killed when it is dropped.
pub(crate) struct Running {
    child: Option<Child>,
    /// What was read of its standard error so far.
    told: Vec<u8>,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder can be made"), broker: None }
    }

    /// With a broker at this address instead of the embedded log.
    pub(crate) fn on_kafka(bootstrap: &str) -> Self {
        let properties = BTreeMap::from([(BOOTSTRAP_SERVERS.into(), bootstrap.to_string())]);
        let log = Arc::new(KafkaLog::open(&properties).expect("the broker answers"));
        Self { broker: Some(Broker { bootstrap: bootstrap.into(), log }), ..Self::new() }
    }

    /// The arguments that tell commands where the topics are; a broker is told by the environment.
    pub(crate) fn place(&self) -> &'static [&'static str] {
        if self.broker.is_some() { &[] } else { &["--local", "data"] }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).expect("the folder can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("the file is there")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flow"));
        command.args(arguments);
        self.place_in(command)
    }

    /// Lets a command run in the folder, on the sandbox's log.
    fn place_in(&self, mut command: Command) -> Command {
        command.current_dir(self.dir.path());
        command.env_remove("SCHEMA_REGISTRY_URL").env_remove("FLOW_CRASH_AT");
        match &self.broker {
            Some(broker) => command.env("KAFKA_BOOTSTRAP_SERVERS", &broker.bootstrap),
            None => command.env_remove("KAFKA_BOOTSTRAP_SERVERS"),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn flow(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// The same in a folder of the sandbox.
    pub(crate) fn flow_inside(&self, folder: &str, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.current_dir(self.path(folder));
        Running::new(command.spawn().expect("the command starts")).end()
    }

    /// The same for a process whose files may not grow beyond this size: to it the disk is full.
    pub(crate) fn flow_with_files_of(&self, kibibytes: u32, arguments: &[&str]) -> Ended {
        // A write beyond the limit is to fail, not to end the process.
        const LIMITED: &str = r#"trap '' XFSZ; ulimit -f "$0" && exec "$@""#;
        let mut limited = Command::new("bash");
        limited.args(["-c", LIMITED, &kibibytes.to_string(), env!("CARGO_BIN_EXE_flow")]);
        limited.args(arguments);
        let running = self.place_in(limited).spawn().expect("bash can be run");
        Running::new(running).end()
    }

    /// The same with text on standard input.
    pub(crate) fn flow_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let (running, mut stdin) = self.start_with_pipe(arguments);
        let input = input.to_string();
        let writer = std::thread::spawn(move || {
            // A command that fails early does not read all of it.
            let _ = stdin.write_all(input.as_bytes());
        });
        let ended = running.end();
        writer.join().expect("the writer ends");
        ended
    }

    /// Starts a command that reads what is written to the pipe.
    pub(crate) fn start_with_pipe(&self, arguments: &[&str]) -> (Running, ChildStdin) {
        let mut child =
            self.command(arguments).stdin(Stdio::piped()).spawn().expect("the command starts");
        let stdin = child.stdin.take().expect("stdin is a pipe");
        (Running::new(child), stdin)
    }

    /// Runs a command that must succeed; what it wrote to standard output.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let ended = self.flow(arguments);
        assert!(ended.status.success(), "flow {arguments:?}: {ended:?}");
        ended.stdout
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, &[])
    }

    /// Starts a command with more environment variables.
    pub(crate) fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        Running::new(command.spawn().expect("the command starts"))
    }

    /// Starts a command that writes its standard error to a file of the sandbox.
    pub(crate) fn start_logging(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
        log: &str,
    ) -> Running {
        let file = std::fs::File::create(self.path(log)).expect("the folder can be written");
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied()).stderr(file);
        Running::new(command.spawn().expect("the command starts"))
    }

    /// Creates a topic of JSON records and fills it; `key` is a field.
    pub(crate) fn fill(&self, topic: &str, partitions: u32, key: &str, lines: &str) {
        let partitions = partitions.to_string();
        let create = ["topic", "create", topic, "--partitions", &partitions];
        self.must(&[&create, self.place()].concat());
        self.produce(topic, key, lines);
    }

    /// Writes JSON records.
    pub(crate) fn produce(&self, topic: &str, key: &str, lines: &str) {
        let arguments = ["topic", "produce", topic, "--key", key];
        let ended = self.flow_with_input(&[&arguments, self.place()].concat(), lines);
        assert!(ended.status.success(), "{ended:?}");
    }

    /// Writes one payload as it is.
    pub(crate) fn produce_bytes(&self, topic: &str, payload: &[u8]) {
        self.produce_bytes_to(topic, 0, payload);
    }

    /// The same to a partition.
    pub(crate) fn produce_bytes_to(&self, topic: &str, partition: u32, payload: &[u8]) {
        let value = Some(payload);
        self.produce_record(&Outgoing { topic, partition, value, ..Outgoing::default() });
    }

    /// Writes one record as it is.
    pub(crate) fn produce_record(&self, record: &Outgoing<'_>) {
        let embedded = || Access::open(&self.path("data"), Purpose::Command).expect("it opens");
        let client = match &self.broker {
            Some(broker) => Client::Kafka(broker.log.clone()),
            None => Client::Embedded(embedded()),
        };
        let mut writer = client.log().writer("test").expect("a writer");
        writer.begin().expect("begins");
        writer.send(record).expect("taken");
        assert_eq!(writer.commit(), Outcome::Committed);
    }

    /// Deletes a topic.
    pub(crate) fn delete_topic(&self, topic: &str) {
        let access = Access::open(&self.path("data"), Purpose::Command).expect("the log opens");
        access.log().delete_topics(&[topic]).expect("it is deleted");
    }

    /// The values of a topic as JSON, sorted: an append-only result.
    pub(crate) fn all(&self, topic: &str) -> Vec<String> {
        let shown = self.must(&[&["topic", "consume", topic], self.place()].concat());
        let mut lines: Vec<String> = shown.lines().map(canonical).collect();
        lines.sort();
        lines
    }

    /// The last value of each key of a topic, as JSON: an updating result.
    pub(crate) fn last_of_each_key(&self, topic: &str) -> BTreeMap<String, String> {
        let shown = self.must(&[&["topic", "consume", topic, "--keys"], self.place()].concat());
        let mut last = BTreeMap::new();
        for line in shown.lines() {
            let (key, value) = line.split_once('\t').expect("a key, a tab, a value");
            last.insert(canonical(key), canonical(value));
        }
        last.retain(|_, value| value != "null");
        last
    }

    /// Waits until a job that runs has committed this many epochs in all. Returns false if it
    /// ended before.
    pub(crate) fn wait_for_epochs(&self, job: &mut Running, name: &str, epochs: u64) -> bool {
        let Some(client) = self.client(job) else { return false };
        let Some(mut records) = EpochRecords::of(client, job, name) else { return false };
        loop {
            match records.next() {
                Ok(Some(record)) if record.epoch >= epochs => return true,
                Ok(Some(_)) => {}
                Ok(None) => assert!(!records.is_overdue(), "{name} never gets to {epochs} epochs"),
                Err(()) => return false,
            }
        }
    }

    /// Waits until a job that runs has committed all records up to these ends of its streams, each
    /// the sum over partitions.
    pub(crate) fn wait_for_input(&self, job: &mut Running, name: &str, ends: &[(&str, i64)]) {
        let read = |record: &EpochRecord, stream: &str| -> i64 {
            record.inputs.iter().filter(|i| i.stream == stream).map(|i| i.offset).sum()
        };
        self.wait_for_record(job, name, |record| {
            ends.iter().all(|(stream, end)| read(record, stream) >= *end)
        });
    }

    /// Waits until this holds of the last epoch record of a job that runs, and gives the record.
    pub(crate) fn wait_for_record(
        &self,
        job: &mut Running,
        name: &str,
        holds: impl Fn(&EpochRecord) -> bool,
    ) -> EpochRecord {
        let client = self.client(job).expect("the job runs");
        let mut records = EpochRecords::of(client, job, name).expect("the job runs");
        let mut last = None;
        loop {
            assert!(!records.is_overdue(), "{name} never gets there: {last:?}");
            let Some(record) = records.next().expect("the job runs") else { continue };
            if holds(&record) {
                return record;
            }
            last = Some(record);
        }
    }

    /// A client of the log that the job works on; `None` if the job has ended.
    pub(crate) fn client(&self, job: &mut Running) -> Option<Client> {
        if let Some(broker) = &self.broker {
            return (!job.has_ended()).then(|| Client::Kafka(broker.log.clone()));
        }
        let pid = job.pid().to_string();
        let began = Instant::now();
        loop {
            let lock = std::fs::read_to_string(self.path("data/lock")).unwrap_or_default();
            let mut lines = lock.lines();
            if lines.next() == Some(&pid) && lines.next() == Some("job") && lines.next().is_some() {
                break;
            }
            if job.has_ended() {
                return None;
            }
            assert!(began.elapsed() < PATIENCE, "the job never opens its log");
            std::thread::yield_now();
        }
        Access::open(&self.path("data"), Purpose::Command).ok().map(Client::Embedded)
    }
}

/// The epoch records of a job, as they come.
struct EpochRecords {
    reader: Box<dyn Reader>,
    began: Instant,
    /// The reader's log.
    _client: Client,
}

impl EpochRecords {
    /// `None` if the job has ended before it made their topic.
    fn of(client: Client, job: &mut Running, name: &str) -> Option<Self> {
        let topic = format!("flow.{name}.epochs");
        while client.log().topic(&topic).ok()?.is_none() {
            if job.has_ended() {
                return None;
            }
            std::thread::yield_now();
        }
        let start = Assignment { topic, partition: 0, offset: 0 };
        let reader = client.log().reader(&[start]).ok()?;
        Some(Self { reader, began: Instant::now(), _client: client })
    }

    /// The last of those that came; an error if the log is gone.
    fn next(&mut self) -> Result<Option<EpochRecord>, ()> {
        let Some(fetched) = self.reader.poll(LOOK).map_err(|_| ())? else { return Ok(None) };
        let mut records: Vec<Record<'_>> = Vec::new();
        fetched.batch.records(&mut records);
        let last = records.last().and_then(|r| r.value);
        Ok(last.map(|bytes| EpochRecord::from_bytes(bytes).expect("an epoch record")))
    }

    fn is_overdue(&self) -> bool {
        self.began.elapsed() >= PATIENCE
    }
}

/// The last epoch record of a job.
pub(crate) fn last_record(log: &dyn Log, name: &str) -> EpochRecord {
    let start = Assignment { topic: format!("flow.{name}.epochs"), partition: 0, offset: 0 };
    let mut reader = log.reader(&[start]).expect("the job has begun");
    let fetched = reader.poll(LOOK).expect("readable").expect("it has committed");
    let mut records: Vec<Record<'_>> = Vec::new();
    fetched.batch.records(&mut records);
    let bytes = records.last().and_then(|r| r.value).expect("it is not forgotten");
    EpochRecord::from_bytes(bytes).expect("an epoch record")
}

/// JSON such that equal values are equal text; other text as it is.
pub(crate) fn canonical(line: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(line);
    value.map_or_else(|_| line.to_string(), |value| value.to_string())
}

impl Running {
    fn new(child: Child) -> Self {
        Self { child: Some(child), told: Vec::new() }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("it runs")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child().try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits until this is told on standard error.
    pub(crate) fn wait_until_told(&mut self, part: &str) {
        let began = Instant::now();
        let mut chunk = [0; 4_096];
        while !String::from_utf8_lossy(&self.told).contains(part) {
            let stderr = self.child().stderr.as_mut().expect("standard error is a pipe");
            let count = stderr.read(&mut chunk).expect("the pipe can be read");
            self.told.extend(&chunk[..count]);
            let over = count == 0 || began.elapsed() >= PATIENCE;
            assert!(!over, "{part:?} is not told: {}", String::from_utf8_lossy(&self.told));
        }
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let child = self.child.take().expect("it runs");
        let output = child.wait_with_output().expect("a child can be waited for");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let stderr = [std::mem::take(&mut self.told), output.stderr].concat();
        Ended { status: output.status, stdout: text(output.stdout), stderr: text(stderr) }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> Ended {
        self.child().kill().expect("a child can be killed");
        self.end()
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(self) -> Ended {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().expect("kill can be run");
        assert!(sent.success());
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Ended {
    /// Asserts the exit code and that standard error holds each of these.
    pub(crate) fn expect(&self, code: i32, told: &[&str]) {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        for part in told {
            assert!(self.stderr.contains(part), "{part:?} is not told: {}", self.stderr);
        }
    }

    /// The signal that ended it.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

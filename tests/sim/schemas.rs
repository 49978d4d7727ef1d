//! A registry that is away when records of a new schema come: their partition waits, the others go
//! on; it goes on when the registry is back, and the job stops when it stays away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flow::driver::{Additions, compile_with};
use flow::registries::Registries;
use flow_compiler::source::SourceMap;
use flow_ir::physical::{JobGraph, Stream};
use flow_registry::{
    CompatibilityLevel, RegisteredSchema, Registry, RegistryError, Schema, Verdict,
};
use flow_runtime::connect::local::LocalLog;
use flow_runtime::connect::{Log, NewTopic, Outcome, Outgoing};
use flow_runtime::error::{Retry, Who};
use flow_runtime::world::{Clock, Registries as JobRegistries, SystemClock, World};
use flow_runtime::{Config, JobHandle, start};
use flow_stdlib::interp::Interpreter;

use super::log::SimLog;
use super::{Nothing, PATIENCE, read};

const PROGRAM: &str = "
SET 'job.name' = 'schemas';
SET 'commit.interval' = '10 ms';
CREATE STREAM clicks WITH (connector = 'kafka', format = 'avro');
CREATE STREAM copies WITH (connector = 'kafka', format = 'json');
INSERT INTO copies SELECT page, n FROM clicks;
";

const FIRST: &str = r#"{"type": "record", "name": "Click", "fields": [
    {"name": "page", "type": "string"}, {"name": "n", "type": "long"}]}"#;

/// Begins with a field that the program does not know.
const SECOND: &str = r#"{"type": "record", "name": "Click", "fields": [
    {"name": "by", "type": "string", "default": ""},
    {"name": "page", "type": "string"}, {"name": "n", "type": "long"}]}"#;

/// A registry that can go away.
struct Leaving {
    inner: Arc<dyn Registry>,
    away: AtomicBool,
}

type Answer<T> = Result<T, RegistryError>;

impl Registry for Leaving {
    fn address(&self) -> &str {
        "http://registry:8081"
    }

    fn subjects(&self) -> Answer<Vec<String>> {
        self.inner.subjects()
    }

    fn versions(&self, subject: &str) -> Answer<Vec<u32>> {
        self.inner.versions(subject)
    }

    fn version(&self, subject: &str, version: u32) -> Answer<Option<RegisteredSchema>> {
        self.inner.version(subject, version)
    }

    fn latest(&self, subject: &str) -> Answer<Option<RegisteredSchema>> {
        self.inner.latest(subject)
    }

    fn by_id(&self, id: u32) -> Answer<Option<Schema>> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(RegistryError::Unreachable {
                address: self.address().into(),
                setting: "avro-confluent.url".into(),
                tries: 4,
                reason: "connection refused".into(),
            }),
            false => self.inner.by_id(id),
        }
    }

    fn register(&self, subject: &str, schema: &Schema) -> Answer<u32> {
        self.inner.register(subject, schema)
    }

    fn compatibility(&self, subject: &str) -> Answer<CompatibilityLevel> {
        self.inner.compatibility(subject)
    }

    fn check_compatible(&self, subject: &str, schema: &Schema) -> Answer<Verdict> {
        self.inner.check_compatible(subject, schema)
    }
}

/// Gives one registry to all streams.
struct One(Arc<Leaving>);

impl JobRegistries for One {
    fn of(&self, _: &Stream) -> flow_runtime::Result<Arc<dyn Registry>> {
        Ok(self.0.clone())
    }
}

/// A clock whose milliseconds are seconds.
#[derive(Default)]
struct Fast(SystemClock);

impl Clock for Fast {
    fn now_micros(&self) -> i64 {
        self.0.now_micros()
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.monotonic_ms() * 1_000
    }
}

/// A job over an Avro topic of two partitions, and its registry.
struct Bench {
    folder: tempfile::TempDir,
    registry: Arc<Leaving>,
    log: LocalLog,
    graph: JobGraph,
    first: u32,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inner = Registries::of_folder(folder.path()).expect("a folder is a registry");
        let first = inner.register("clicks-value", &Schema::avro(FIRST)).expect("registered");
        let mut sources = SourceMap::new();
        sources.add("schemas.flow", PROGRAM);
        let registries = Registries::with_local(Some(folder.path()));
        let compiled = compile_with(&sources, &registries, &Additions::default());
        let log = LocalLog::memory();
        for (name, partitions) in [("clicks", 2), ("copies", 1)] {
            let name = name.to_string();
            let topic = NewTopic { name, partitions, compacted: false, config: Vec::new() };
            log.create_topic(&topic).expect("created");
        }
        Self {
            graph: compiled.expect("the program has no mistakes").graph,
            registry: Arc::new(Leaving { inner, away: AtomicBool::new(false) }),
            folder,
            log,
            first,
        }
    }

    fn leave(&self, away: bool) {
        self.registry.away.store(away, Ordering::SeqCst);
    }

    fn start(&self, clock: Arc<dyn Clock>) -> JobHandle {
        let world = World {
            clock,
            logs: Arc::new(SimLog::new(&self.log, None, 0)),
            registries: Arc::new(One(self.registry.clone())),
            printer: Arc::new(Nothing),
        };
        let mut config = Config::new(self.folder.path().join("state"));
        config.parallelism = Some(2);
        start(self.graph.clone(), Arc::new(Interpreter), config, world).expect("it starts")
    }

    /// Writes a click of a schema; its other fields are texts.
    fn write(&self, partition: u32, id: u32, texts: &[&str], n: u8) {
        let mut value = [&[0], &id.to_be_bytes()[..]].concat();
        for text in texts {
            value.push(2 * text.len() as u8);
            value.extend_from_slice(text.as_bytes());
        }
        value.push(2 * n);
        let mut writer = self.log.writer("feed").expect("a writer");
        writer.begin().expect("begins");
        let value = Some(&value[..]);
        let record = Outgoing { topic: "clicks", partition, value, ..Outgoing::default() };
        writer.send(&record).expect("taken");
        assert_eq!(writer.commit(), Outcome::Committed);
    }

    /// Waits until the job has committed this many records of each partition.
    fn has_read(&self, job: &JobHandle, offsets: [i64; 2]) {
        let began = Instant::now();
        let read = || {
            let at = job.views().at().borrow().clone();
            at.is_some_and(|at| at.inputs.iter().map(|i| i.offset).eq(offsets))
        };
        while !read() {
            assert!(began.elapsed() < PATIENCE && !job.is_finished(), "{offsets:?} are not read");
            std::thread::yield_now();
        }
    }

    fn copies(&self) -> Vec<String> {
        let mut copies: Vec<_> = read(&self.log, "copies").into_iter().map(|(_, v)| v).collect();
        copies.sort();
        copies
    }
}

/// Whether each partition waits for a schema.
fn waiting(job: &JobHandle) -> Vec<bool> {
    job.metrics().partitions().iter().map(|p| p.waits.get() == 1).collect()
}

fn lines(numbers: &[u8]) -> Vec<String> {
    numbers.iter().map(|n| format!("{{\"page\":\"p\",\"n\":{n}}}")).collect()
}

#[test]
fn a_partition_waits_for_a_schema_and_the_others_go_on() {
    let bench = Bench::new();
    bench.write(0, bench.first, &["p"], 1);
    bench.write(1, bench.first, &["p"], 2);
    let job = bench.start(Arc::new(SystemClock::default()));
    bench.has_read(&job, [1, 1]);
    bench.leave(true);
    let second = bench.registry.register("clicks-value", &Schema::avro(SECOND)).expect("taken");
    bench.write(0, bench.first, &["p"], 3);
    bench.write(0, second, &["x", "p"], 4);
    bench.write(0, bench.first, &["p"], 5);
    bench.write(1, bench.first, &["p"], 6);
    bench.has_read(&job, [2, 2]);
    let began = Instant::now();
    while waiting(&job) != [true, false] {
        assert!(began.elapsed() < PATIENCE, "it does not wait");
    }
    assert_eq!(bench.copies(), lines(&[1, 2, 3, 6]));
    // It ends at once, and waits again when it is back.
    job.stop();
    job.join().expect("it stops");
    let job = bench.start(Arc::new(SystemClock::default()));
    while waiting(&job) != [true, false] {
        assert!(began.elapsed() < PATIENCE, "it does not wait");
    }
    bench.leave(false);
    bench.has_read(&job, [4, 2]);
    assert_eq!(bench.copies(), lines(&[1, 2, 3, 4, 5, 6]));
    assert_eq!(waiting(&job), [false, false]);
    job.stop();
    job.join().expect("it stops");
}

#[test]
fn a_registry_that_stays_away_stops_the_job_with_its_address_and_setting() {
    let bench = Bench::new();
    bench.write(0, bench.first, &["p"], 1);
    bench.leave(true);
    let error = bench.start(Arc::new(Fast::default())).join().expect_err("it cannot go on");
    assert_eq!((error.who, error.retry), (Who::External, Retry::Never), "{error}");
    for part in ["clicks-0 has waited", "http://registry:8081", "`avro-confluent.url`"] {
        assert!(error.message.contains(part), "{part}: {error}");
    }
    assert_eq!(bench.copies(), Vec::<String>::new());
    // It goes on where it was.
    bench.leave(false);
    let job = bench.start(Arc::new(SystemClock::default()));
    bench.has_read(&job, [1, 0]);
    job.stop();
    job.join().expect("it stops");
    assert_eq!(bench.copies(), lines(&[1]));
}

//! Simulated crashes over the in-memory log: the real job, whose process dies at every action of
//! every commit, with the local store kept or deleted, and with transaction markers that come late,
//! partition by partition. The answer is always that of a run that nobody disturbed.
//!
//! Everything random follows from a seed, which a failure prints; `FLOW_SIM_SEED` repeats one.

mod bank;
mod growth;
mod log;
mod random;
mod schemas;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flow::driver::{Additions, compile_with};
use flow::registries::Registries;
use flow_compiler::source::SourceMap;
use flow_ir::kernel::Record;
use flow_ir::physical::{JobGraph, Stream};
use flow_registry::Registry;
use flow_runtime::connect::local::LocalLog;
use flow_runtime::connect::{Assignment, Log, NewTopic, OffsetQuery, Outcome, Outgoing, murmur2};
use flow_runtime::world::{Printer, Registries as JobRegistries, SystemClock, World};
use flow_runtime::{Config, Ended, JobHandle, RuntimeError, start};
use flow_stdlib::interp::Interpreter;

use log::{Action, Crash, SimLog};
use random::Random;

/// A temporal join, a window over it, an interval join and an updating aggregate.
const PROGRAM: &str = "
SET 'job.name' = 'sim';
SET 'epoch.max.records' = '8';
SET 'commit.interval' = '${INTERVAL}';

CREATE TABLE customers (
  customer STRING, country STRING, at TIMESTAMP(3),
  PRIMARY KEY (customer) NOT ENFORCED, WATERMARK FOR at AS at
) WITH (connector = 'kafka', format = 'json', 'key.format' = 'raw', 'key.fields' = 'customer',
        ${READS});

CREATE STREAM orders (
  order_id STRING, customer STRING, amount BIGINT, at TIMESTAMP(3),
  WATERMARK FOR at AS at - INTERVAL '3' SECOND
) WITH (connector = 'kafka', format = 'json', ${READS});

CREATE STREAM payments (
  order_id STRING, paid BIGINT, at TIMESTAMP(3),
  WATERMARK FOR at AS at - INTERVAL '3' SECOND
) WITH (connector = 'kafka', format = 'json', ${READS});

CREATE VIEW enriched AS
SELECT o.order_id, o.customer, o.amount, o.at, c.country
FROM orders AS o
JOIN customers FOR SYSTEM_TIME AS OF o.at AS c ON o.customer = c.customer;

CREATE STREAM enriched_orders WITH (connector = 'kafka', format = 'json');
INSERT INTO enriched_orders SELECT order_id, country FROM enriched;

CREATE STREAM revenue WITH (connector = 'kafka', format = 'json');
INSERT INTO revenue
SELECT window_start, country, COUNT(*) AS orders, SUM(amount) AS amount
FROM TABLE(TUMBLE(TABLE enriched, DESCRIPTOR(at), INTERVAL '10' SECOND))
GROUP BY window_start, window_end, country;

CREATE STREAM paid WITH (connector = 'kafka', format = 'json');
INSERT INTO paid
SELECT o.order_id, o.amount, p.paid
FROM orders AS o
JOIN payments AS p
  ON p.order_id = o.order_id AND p.at BETWEEN o.at AND o.at + INTERVAL '10' SECOND;

CREATE TABLE totals (PRIMARY KEY (customer) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO totals
SELECT customer, COUNT(*) AS orders, SUM(amount) AS amount, MAX(amount) AS largest
FROM orders
GROUP BY customer;
";

/// Reads what is there when the job starts for the first time.
const BOUNDED: &str = "'scan.bounded.mode' = 'latest-offset'";

/// Streams whose output is append-only.
const APPENDED: [&str; 3] = ["enriched_orders", "revenue", "paid"];

/// The stream whose last record of a key is the answer.
const UPDATED: &str = "totals";

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// Seeds of lives at random, unless `FLOW_SIM_SEED` gives one.
const SEEDS: std::ops::Range<u64> = 0..24;

/// What a job left in its topics: per append-only stream the records, sorted; the last ones by key.
#[derive(Debug, PartialEq, Eq)]
struct Output {
    appended: Vec<Vec<String>>,
    updated: BTreeMap<String, String>,
}

/// A job with its input, over lives.
struct Sim {
    graph: JobGraph,
    log: LocalLog,
    folder: tempfile::TempDir,
}

impl Sim {
    fn new() -> Self {
        // Records cut its epochs, not time.
        let sim = Self::reading(BOUNDED, "10 s");
        for name in ["customers", "orders", "payments"].into_iter().chain(APPENDED).chain([UPDATED])
        {
            sim.create(name, 2);
        }
        sim.feed();
        sim
    }

    /// Without topics; its streams have these options, its epochs take this long at most.
    fn reading(options: &str, interval: &str) -> Self {
        Self::of(&PROGRAM.replace("${READS}", options).replace("${INTERVAL}", interval))
    }

    /// Of another program.
    fn of(program: &str) -> Self {
        let mut sources = SourceMap::new();
        sources.add("sim.flow", program.to_string());
        let compiled = compile_with(&sources, &Registries::default(), &Additions::default());
        let graph = compiled.expect("the program has no mistakes").graph;
        Self {
            graph,
            log: LocalLog::memory(),
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    fn create(&self, name: &str, partitions: u32) {
        let topic = NewTopic { name: name.into(), partitions, compacted: false, config: vec![] };
        self.log.create_topic(&topic).expect("created");
    }

    fn feed(&self) {
        let mut random = Random::new(7);
        let time =
            |ms: usize| format!("2026-01-01T00:{:02}:{:02}.000", ms / 60_000, ms / 1_000 % 60);
        let mut records: Vec<(&str, String, String)> = Vec::new();
        for i in 0..60 {
            let at = time(i * 1_000 + random.below(5_000));
            let (customer, amount) = (format!("c{}", random.below(4)), random.below(100));
            if i % 6 == 0 {
                let country = ["DE", "FR", "GB"][random.below(3)];
                let row = serde_json::json!({"customer": customer, "country": country, "at": at});
                records.push(("customers", customer.clone(), row.to_string()));
            }
            let id = format!("o{i}");
            let row = serde_json::json!({
                "order_id": id, "customer": customer, "amount": amount, "at": at,
            });
            records.push(("orders", id.clone(), row.to_string()));
            if random.below(3) > 0 {
                let at = time(i * 1_000 + 3_000 + random.below(6_000));
                let row = serde_json::json!({"order_id": id, "paid": amount, "at": at});
                records.push(("payments", id, row.to_string()));
            }
        }
        let mut writer = self.log.writer("feed").expect("a writer");
        writer.begin().expect("begins");
        for (topic, key, value) in &records {
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            let partition = murmur2(key.unwrap_or(&[])) % 2;
            let record = Outgoing { topic, partition, key, value, ..Outgoing::default() };
            writer.send(&record).expect("taken");
        }
        assert_eq!(writer.commit(), Outcome::Committed);
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    /// One life of the job.
    fn live(&self, log: &SimLog) -> Result<Ended, RuntimeError> {
        self.begin(log, 2)?.join()
    }

    fn begin(&self, log: &SimLog, parallelism: usize) -> Result<JobHandle, RuntimeError> {
        let mut config = Config::new(self.state());
        config.parallelism = Some(parallelism);
        // Workers that take a row at a time cut an epoch where it is due.
        config.batch_rows = 1;
        let world = World {
            clock: Arc::new(SystemClock::default()),
            logs: Arc::new(log.clone()),
            registries: Arc::new(Nothing),
            printer: Arc::new(Nothing),
        };
        start(self.graph.clone(), Arc::new(Interpreter), config, world)
    }

    fn delete_store(&self) {
        let store = self.state().join("store");
        std::fs::remove_dir_all(store).expect("the local store is there");
    }

    /// Lives to the end, which must come, after what happened before.
    fn finish(&self, seed: u64, before: Option<Crash>) -> SimLog {
        let log = SimLog::new(&self.log, None, seed);
        let ended = self.live(&log);
        let finished = matches!(ended, Ok(Ended::Finished | Ended::AlreadyFinished));
        assert!(finished, "after {before:?}: {ended:?}");
        log
    }

    fn output(&self) -> Output {
        self.log.hold_markers(false);
        for (topic, partition) in self.log.held_markers() {
            self.log.release_marker(&topic, partition);
        }
        let values = |topic: &&str| {
            let mut values: Vec<_> = read(&self.log, topic).into_iter().map(|(_, v)| v).collect();
            values.sort();
            values
        };
        Output {
            appended: APPENDED.iter().map(values).collect(),
            updated: read(&self.log, UPDATED).into_iter().collect(),
        }
    }
}

/// Keys and values of a topic, in the order of each partition.
fn read(log: &LocalLog, topic: &str) -> Vec<(String, String)> {
    let ends = log.offsets(topic, OffsetQuery::End).expect("the topic is there");
    let mut all = Vec::new();
    for (partition, end) in ends.into_iter().enumerate() {
        let (topic, partition) = (topic.to_string(), partition as u32);
        let start = Assignment { topic, partition, offset: 0 };
        let mut reader = log.reader(&[start]).expect("a reader");
        while reader.position(0) < end {
            let Some(fetched) = reader.poll(Duration::ZERO).expect("readable") else { continue };
            let mut records: Vec<Record<'_>> = Vec::new();
            fetched.batch.records(&mut records);
            let text = |bytes: Option<&[u8]>| {
                String::from_utf8_lossy(bytes.unwrap_or(b"null")).into_owned()
            };
            all.extend(records.iter().map(|r| (text(r.key), text(r.value))));
        }
    }
    all
}

/// No registry, no `print`.
struct Nothing;

impl JobRegistries for Nothing {
    fn of(&self, stream: &Stream) -> flow_runtime::Result<Arc<dyn Registry>> {
        Err(RuntimeError::internal(format!("{} needs no registry", stream.name)))
    }
}

impl Printer for Nothing {
    fn line(&self, _: &str, _: &str) {}
}

/// The answer, and how many records each transaction of an undisturbed run sends.
fn undisturbed() -> (Output, Vec<u64>) {
    let sim = Sim::new();
    let sent = sim.finish(0, None).sent();
    let output = sim.output();
    assert!(output.appended.iter().all(|records| records.len() > 10), "{output:?}");
    assert_eq!(output.updated.len(), 4);
    assert!(sent.len() >= 10, "there are many commits: {sent:?}");
    (output, sent)
}

/// Dies once, at every action of every commit.
fn every_crash(delete_store: bool, hold_markers: bool) {
    let (expected, sent) = undisturbed();
    let mut random = Random::new(1);
    let mut died = 0;
    for (commit, &sends) in sent.iter().enumerate() {
        let middle = Action::Send(1 + random.below(sends as usize) as u64);
        for action in [Action::Begin, middle, Action::CommitLost, Action::AnswerLost] {
            let crash = Crash { commit, action };
            let sim = Sim::new();
            sim.log.hold_markers(hold_markers);
            let log = SimLog::new(&sim.log, Some(crash), commit as u64);
            let ended = sim.live(&log);
            assert_eq!(log.crashed(), ended.is_err(), "{crash:?}: {ended:?}");
            died += u32::from(log.crashed());
            if delete_store {
                sim.delete_store();
            }
            sim.finish(commit as u64 + 1, Some(crash));
            assert_eq!(sim.output(), expected, "{crash:?}");
        }
    }
    // Epochs are cut a little differently from run to run, so that some crash may not be met.
    assert!(died as usize >= 2 * sent.len(), "{died} crashes in {} commits", sent.len());
}

#[test]
fn every_action_of_every_commit() {
    every_crash(false, false);
}

#[test]
fn every_action_of_every_commit_and_the_local_store_deleted() {
    every_crash(true, false);
}

#[test]
fn every_action_of_every_commit_with_late_markers() {
    every_crash(false, true);
}

#[test]
fn every_action_of_every_commit_with_late_markers_and_the_local_store_deleted() {
    every_crash(true, true);
}

/// Dies again and again within a few commits, until the job has finished.
#[test]
fn random_lives() {
    let (expected, sent) = undisturbed();
    let most = sent.iter().copied().max().unwrap_or(1) as usize;
    let given = std::env::var("FLOW_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or(SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let told = std::panic::catch_unwind(|| {
            let (mut random, sim) = (Random::new(seed), Sim::new());
            sim.log.hold_markers(random.below(2) == 0);
            let mut lives = Vec::new();
            loop {
                let action = match random.below(4) {
                    0 => Action::Begin,
                    1 => Action::Send(1 + random.below(most) as u64),
                    2 => Action::CommitLost,
                    _ => Action::AnswerLost,
                };
                let crash = Crash { commit: random.below(4), action };
                let log = SimLog::new(&sim.log, Some(crash), seed);
                lives.push(crash);
                if let Ok(Ended::Finished | Ended::AlreadyFinished) = sim.live(&log) {
                    break;
                }
                assert!(log.crashed(), "only a crash ends a life");
                if random.below(3) == 0 {
                    sim.delete_store();
                }
            }
            assert_eq!(sim.output(), expected, "{lives:?}");
        });
        assert!(told.is_ok(), "FLOW_SIM_SEED={seed} repeats it");
    }
}

/// The job's state is a function of the log: a store that is deleted is restored to the same.
#[test]
fn a_finished_job_does_nothing_more() {
    let sim = Sim::new();
    sim.finish(0, None);
    let output = sim.output();
    sim.delete_store();
    assert!(sim.finish(1, None).sent().is_empty(), "it has finished before");
    assert_eq!(sim.output(), output);
    assert!(Path::new(&sim.state()).exists());
}

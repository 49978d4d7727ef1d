//! Topics that get more partitions while the job lives and dies: in the end it leaves what a job
//! leaves that finds all partitions at its first start.

use std::time::Instant;

use flow_runtime::JobHandle;
use flow_runtime::connect::{Log, OffsetQuery, Outcome, Outgoing, Writer};

use super::log::{Action, Crash, SimLog};
use super::random::Random;
use super::{APPENDED, Output, PATIENCE, Sim, UPDATED};

/// Looks for new partitions all the time.
const GROWING: &str = "'scan.topic-partition-discovery.interval' = '1 ms'";

/// Topics that get more partitions.
const GROW: [&str; 2] = ["orders", "payments"];

/// Parts of the input, each of this many seconds of event time.
const PARTS: usize = 5;
const PART_SECONDS: usize = 20;

/// Seeds, unless `FLOW_SIM_SEED` gives one.
const LIVES: std::ops::Range<u64> = 0..12;

/// A record of the input.
struct Fed {
    topic: &'static str,
    partition: u32,
    key: String,
    value: String,
}

/// A job, and what it was fed.
struct Growing {
    sim: Sim,
    random: Random,
    /// Partitions of each topic of `GROW`.
    partitions: [u32; 2],
    fed: Vec<Fed>,
}

fn time(ms: usize) -> String {
    let (s, ms) = (ms / 1_000, ms % 1_000);
    format!("2026-01-01T{:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
}

impl Growing {
    fn new(seed: u64) -> Self {
        let sim = Sim::reading(GROWING, "10 ms");
        for name in ["customers"].into_iter().chain(GROW).chain(APPENDED).chain([UPDATED]) {
            sim.create(name, 2);
        }
        Self { sim, random: Random::new(seed), partitions: [2; 2], fed: Vec::new() }
    }

    /// Gives the topics up to two more partitions.
    fn grow(&mut self) {
        for (topic, partitions) in GROW.iter().zip(&mut self.partitions) {
            *partitions += self.random.below(3) as u32;
            self.sim.log.add_partitions(topic, *partitions).expect("it grows");
        }
    }

    /// The records of a part, later than those of earlier parts but for the streams' delay.
    fn feed(&mut self, part: usize) {
        let first = self.fed.len();
        for i in part * PART_SECONDS..(part + 1) * PART_SECONDS {
            let id = format!("o{i}");
            let (customer, amount) = (format!("c{}", self.random.below(4)), self.random.below(100));
            let at = |random: &mut Random| time(i * 1_000 + random.below(3_000));
            if i % 6 == 0 {
                let country = ["DE", "FR", "GB"][self.random.below(3)];
                let at = at(&mut self.random);
                let row = serde_json::json!({"customer": customer, "country": country, "at": at});
                let partition = self.random.below(2) as u32;
                let (topic, value) = ("customers", row.to_string());
                self.fed.push(Fed { topic, partition, key: customer.clone(), value });
            }
            let at_order = at(&mut self.random);
            let row = serde_json::json!({
                "order_id": id, "customer": customer, "amount": amount, "at": at_order,
            });
            self.push(0, id.clone(), row.to_string());
            let row =
                serde_json::json!({"order_id": id, "paid": amount, "at": at(&mut self.random)});
            self.push(1, id, row.to_string());
        }
        self.send_from(first);
    }

    fn push(&mut self, topic: usize, key: String, value: String) {
        let partition = self.random.below(self.partitions[topic] as usize) as u32;
        self.fed.push(Fed { topic: GROW[topic], partition, key, value });
    }

    /// A record of a later hour in each partition: closes the windows.
    fn close(&mut self) {
        let (first, at) = (self.fed.len(), time(3_600_000));
        for (topic, partitions) in
            [("customers", 2)].into_iter().chain(GROW.into_iter().zip(self.partitions))
        {
            for partition in 0..partitions {
                let key = format!("closing-{partition}");
                let row = serde_json::json!({
                    "order_id": key, "customer": key, "amount": 0, "paid": 0, "country": "",
                    "at": at,
                });
                self.fed.push(Fed { topic, partition, key, value: row.to_string() });
            }
        }
        self.send_from(first);
    }

    fn send_from(&self, first: usize) {
        let mut writer = self.sim.log.writer("feed").expect("a writer");
        send(&mut *writer, &self.fed[first..]);
    }

    /// Whether the job has committed all that is in its topics.
    fn is_read(&self, job: &JobHandle) -> bool {
        let Some(at) = job.views().at().borrow().clone() else { return false };
        let topics = ["customers"].into_iter().chain(GROW);
        let mut ends = topics.flat_map(|topic| {
            let ends = self.sim.log.offsets(topic, OffsetQuery::End).expect("the topic is there");
            ends.into_iter().enumerate().map(move |(p, end)| (topic, p as u32, end))
        });
        ends.all(|(topic, partition, end)| {
            let own = |i: &&_| is_of(i, topic, partition);
            at.inputs.iter().find(own).is_some_and(|input| input.offset >= end)
        })
    }

    /// Waits until the job has committed all that is there; false if it ends before.
    fn reads_all(&self, job: &JobHandle) -> bool {
        let began = Instant::now();
        while !job.is_finished() {
            if self.is_read(job) {
                return true;
            }
            let lost = || job.views().at().borrow().clone();
            assert!(began.elapsed() < PATIENCE, "{:?} of {:?}", lost(), self.partitions);
            std::thread::yield_now();
        }
        false
    }

    /// Lives until all that is there is read.
    fn finish(&self, parallelism: usize) {
        let log = SimLog::new(&self.sim.log, None, 0);
        let job = self.sim.begin(&log, parallelism).expect("it starts");
        assert!(self.reads_all(&job), "{:?}", job.join());
        job.stop();
        job.join().expect("it stops");
    }

    /// What a job leaves that finds all partitions, and all that is in them.
    fn undisturbed(&self) -> Output {
        let calm = Self { partitions: self.partitions, ..Self::new(0) };
        for (topic, partitions) in GROW.iter().zip(calm.partitions) {
            calm.sim.log.add_partitions(topic, partitions).expect("it grows");
        }
        let mut writer = calm.sim.log.writer("feed").expect("a writer");
        send(&mut *writer, &self.fed);
        calm.finish(1);
        calm.sim.output()
    }
}

fn is_of(input: &flow_runtime::commit::InputPosition, topic: &str, partition: u32) -> bool {
    input.topic == topic && input.partition == partition
}

fn send(writer: &mut dyn Writer, fed: &[Fed]) {
    writer.begin().expect("begins");
    for Fed { topic, partition, key, value } in fed {
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let record = Outgoing { topic, partition: *partition, key, value, ..Outgoing::default() };
        writer.send(&record).expect("taken");
    }
    assert_eq!(writer.commit(), Outcome::Committed);
}

/// Grows between and in lives that end at random actions of their first commits, or live on.
#[test]
fn partitions_that_are_added_while_the_job_lives_and_dies() {
    let given = std::env::var("FLOW_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = given.map_or(LIVES, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let told = std::panic::catch_unwind(|| {
            let mut growing = Growing::new(seed);
            growing.feed(0);
            for part in 1..PARTS {
                let action = match growing.random.below(4) {
                    0 => Action::Begin,
                    1 => Action::Send(1 + growing.random.below(8) as u64),
                    2 => Action::CommitLost,
                    _ => Action::AnswerLost,
                };
                let crash = Crash { commit: growing.random.below(30), action };
                let log = SimLog::new(&growing.sim.log, Some(crash), seed);
                let parallelism = [1, 2, 4][growing.random.below(3)];
                let job = growing.sim.begin(&log, parallelism).expect("it starts");
                growing.reads_all(&job);
                growing.grow();
                // What is written before its partition has joined in may come too late.
                growing.reads_all(&job);
                growing.feed(part);
                growing.reads_all(&job);
                job.stop();
                let ended = job.join();
                assert_eq!(ended.is_err(), log.crashed(), "only a crash ends a life: {ended:?}");
                if growing.random.below(3) == 0 {
                    growing.sim.delete_store();
                }
            }
            let parallelism = [1, 4][growing.random.below(2)];
            growing.finish(parallelism);
            growing.close();
            growing.finish(parallelism);
            let (found, expected) = (growing.sim.output(), growing.undisturbed());
            assert!(expected.appended.iter().all(|records| records.len() > 10), "{expected:?}");
            assert_eq!(found, expected, "{:?}", growing.partitions);
        });
        assert!(told.is_ok(), "FLOW_SIM_SEED={seed} repeats it");
    }
}

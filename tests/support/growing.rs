//! A topic that gets more partitions while a job reads it, is killed and goes on: the job finds
//! them by itself, its records hold them, and its answer is that of a job that found them all at
//! its first start. On whichever log its sandbox is.

use std::collections::BTreeMap;

use flow_runtime::commit::EpochRecord;
use flow_runtime::connect::OffsetQuery;

use crate::command::{Running, Sandbox};

/// A window, an updating aggregate, and a keyed table with its newest rows.
const PROGRAM: &str = "
SET 'job.name' = '${NAME}';

CREATE STREAM orders (
  order_id STRING, customer STRING, amount BIGINT, at TIMESTAMP(3),
  WATERMARK FOR at AS at - INTERVAL '5' SECOND
) WITH (connector = 'kafka', topic = '${TOPIC}', format = 'json',
        'scan.topic-partition-discovery.interval' = '50 ms');

CREATE TABLE newest (
  order_id STRING, customer STRING, amount BIGINT, PRIMARY KEY (order_id) NOT ENFORCED
) WITH (connector = 'kafka', topic = '${TOPIC}', format = 'json', 'key.format' = 'raw',
      'key.fields' = 'order_id', 'scan.topic-partition-discovery.interval' = '50 ms');

CREATE STREAM revenue WITH (connector = 'kafka', topic = '${NAME}-revenue', format = 'json');
INSERT INTO revenue
SELECT window_start, customer, COUNT(*) AS orders, SUM(amount) AS amount
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '10' SECOND))
GROUP BY window_start, window_end, customer;

CREATE TABLE totals (PRIMARY KEY (customer) NOT ENFORCED)
WITH (connector = 'kafka', topic = '${NAME}-totals', format = 'json', 'key.format' = 'json');
INSERT INTO totals
SELECT customer, COUNT(*) AS orders, SUM(amount) AS amount FROM newest GROUP BY customer;
";

/// Orders of a part of the input, two a second of event time.
const PART: u32 = 200;

/// What a job left in its topics.
type Output = (Vec<String>, BTreeMap<String, String>);

struct Job<'a> {
    sandbox: &'a Sandbox,
    topic: String,
    name: String,
    parallelism: &'static str,
}

impl Job<'_> {
    fn start(&self) -> Running {
        let (name, topic) = (format!("NAME={}", self.name), format!("TOPIC={}", self.topic));
        let run = ["run", "growing.flow", "--parallelism", self.parallelism];
        let state = ["--state-dir", &self.name, "-D", &name, "-D", &topic];
        self.sandbox.start(&[&run[..], &state, self.sandbox.place()].concat())
    }

    /// Orders of a part, as they are written: in the order of their times, within a few seconds.
    fn produce(&self, part: u32) {
        let line = |i: u32| {
            let at = i * 500 + i * 7 % 4_000;
            let (s, ms) = (at / 1_000, at % 1_000);
            format!(
                "{{\"order_id\":\"o{i}\",\"customer\":\"c{}\",\"amount\":{},\
                 \"at\":\"2026-01-01T00:{:02}:{:02}.{ms:03}\"}}\n",
                i % 5,
                i % 89,
                s / 60,
                s % 60
            )
        };
        let lines: String = (part * PART..(part + 1) * PART).map(line).collect();
        self.sandbox.produce(&self.topic, "order_id", &lines);
    }

    fn grow(&self, partitions: u32) {
        let partitions = partitions.to_string();
        let alter = ["topic", "alter", &self.topic, "--partitions", &partitions];
        let told = self.sandbox.must(&[&alter, self.sandbox.place()].concat());
        assert_eq!(told, format!("{}: {partitions} partitions\n", self.topic));
    }

    /// Waits until the job has committed all that is in its topic, of each partition, also of empty
    /// ones, and gives the record that says so.
    fn wait(&self, run: &mut Running) -> EpochRecord {
        let client = self.sandbox.client(run).expect("it runs");
        let ends = client.log().offsets(&self.topic, OffsetQuery::End).expect("it is there");
        drop(client);
        let partitions: Vec<u32> = (0..ends.len() as u32).collect();
        let has_read = |record: &EpochRecord, stream: &str| {
            let own: Vec<_> = record.inputs.iter().filter(|i| i.stream == stream).collect();
            let known: Vec<u32> = own.iter().map(|i| i.partition).collect();
            known == partitions && own.iter().zip(&ends).all(|(i, end)| i.offset >= *end)
        };
        let record = self.sandbox.wait_for_record(run, &self.name, |record| {
            has_read(record, "orders") && has_read(record, "newest")
        });
        assert!(record.inputs.iter().all(|i| i.bound.is_none() && !i.ended), "{record:?}");
        record
    }

    fn output(&self) -> Output {
        let topic = |stream: &str| format!("{}-{stream}", self.name);
        (self.sandbox.all(&topic("revenue")), self.sandbox.last_of_each_key(&topic("totals")))
    }
}

/// Runs a job of this many workers whose topic grows twice while it runs, and once while it rests.
pub(crate) fn is_followed(sandbox: &Sandbox, name: &str, parallelism: &'static str) {
    sandbox.write("growing.flow", PROGRAM);
    let topic = format!("{name}-orders");
    let job = |name: String| Job { sandbox, topic: topic.clone(), name, parallelism };
    let lives = job(name.to_string());
    sandbox.must(&[&["topic", "create", &topic, "--partitions", "2"], sandbox.place()].concat());
    lives.produce(0);
    let mut run = lives.start();
    let before = lives.wait(&mut run);
    lives.grow(5);
    // What is written before its partition has joined in may come too late.
    lives.wait(&mut run);
    lives.produce(1);
    let after = lives.wait(&mut run);
    let joined = after.inputs.iter().filter(|i| i.stream == "orders" && i.partition >= 2);
    let passed_on = before.inputs.iter().map(|i| i.watermark).max();
    assert!(joined.into_iter().all(|i| Some(i.watermark) > passed_on), "{after:?}");
    // It grows, and dies before or after it has noticed.
    lives.grow(6);
    run.kill();
    lives.produce(2);
    let mut run = lives.start();
    lives.wait(&mut run);
    lives.grow(7);
    lives.wait(&mut run);
    lives.produce(3);
    lives.wait(&mut run);
    run.kill();
    lives.produce(4);
    let mut run = lives.start();
    lives.wait(&mut run);
    run.interrupt().expect(0, &["stopped"]);

    let calm = job(format!("{name}-calm"));
    let mut run = calm.start();
    calm.wait(&mut run);
    run.interrupt().expect(0, &["stopped"]);
    let (found, expected) = (lives.output(), calm.output());
    assert!(expected.0.len() > 100 && expected.1.len() == 5, "{expected:?}");
    assert_eq!(found, expected);
}

/// Runs a job that ends where its topic ends at its first start: partitions that are added later
/// are no part of it.
pub(crate) fn is_left_alone_by_bounds(sandbox: &Sandbox) {
    let program = PROGRAM.replace("'50 ms')", "'50 ms', 'scan.bounded.mode' = 'latest-offset')");
    sandbox.write("growing.flow", format!("SET 'epoch.max.records' = '20';\n{program}"));
    let (topic, name) = ("bounded-orders".to_string(), "bounded".to_string());
    let job = Job { sandbox, topic, name, parallelism: "2" };
    sandbox.fill(&job.topic, 2, "order_id", "");
    job.produce(0);
    let crash = [("FLOW_CRASH_AT", "commit:3")];
    let (name, topic) = (format!("NAME={}", job.name), format!("TOPIC={}", job.topic));
    let run = ["run", "growing.flow", "-D", &name, "-D", &topic];
    let run = [&run[..], sandbox.place()].concat();
    assert_eq!(sandbox.start_with(&run, &crash).end().signal(), Some(6));
    job.grow(4);
    job.produce(1);
    sandbox.start(&run).end().expect(0, &["bounded finished"]);
    let (_, totals) = job.output();
    let orders: u32 = totals
        .values()
        .map(|row| serde_json::from_str::<serde_json::Value>(row).expect("JSON"))
        .map(|row| row["orders"].as_u64().expect("a count") as u32)
        .sum();
    assert_eq!(orders, PART);
}

//! `kill -9` of the real `flow run` while it works through its input, again and again, on the
//! embedded log: after the last start the committed output is that of a run that nobody disturbed.
//!
//! Moments are given by progress, not by time. Three sequences of ten: anywhere; between the begin
//! of a transaction and what the job makes of the commit's answer (`FLOW_CRASH_AT`, see
//! `runtime/src/commit/driver.rs`); and with the local store deleted after each.

#[path = "../support/command.rs"]
mod command;

use std::collections::BTreeMap;

use command::{Ended, Sandbox};

const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

/// A tumbling window, an interval join and an updating aggregate.
const PROGRAM: &str = "
SET 'job.name' = 'crash';
SET 'epoch.max.records' = '20';
SET 'commit.interval' = '10 s';

CREATE STREAM orders (
  order_id STRING, customer STRING, amount BIGINT, at TIMESTAMP(3),
  WATERMARK FOR at AS at - INTERVAL '5' SECOND
) WITH (connector = 'kafka', format = 'json', 'scan.bounded.mode' = '${MODE}');

CREATE STREAM payments (
  order_id STRING, paid BIGINT, at TIMESTAMP(3),
  WATERMARK FOR at AS at - INTERVAL '5' SECOND
) WITH (connector = 'kafka', format = 'json', 'scan.bounded.mode' = '${MODE}');

CREATE STREAM revenue WITH (connector = 'kafka', format = 'json');
INSERT INTO revenue
SELECT window_start, customer, COUNT(*) AS orders, SUM(amount) AS amount
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '10' SECOND))
GROUP BY window_start, window_end, customer;

CREATE STREAM paid WITH (connector = 'kafka', format = 'json');
INSERT INTO paid
SELECT o.order_id, o.amount, p.paid
FROM orders AS o
JOIN payments AS p
  ON p.order_id = o.order_id AND p.at BETWEEN o.at AND o.at + INTERVAL '20' SECOND;

CREATE TABLE totals (PRIMARY KEY (customer) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO totals
SELECT customer, COUNT(*) AS orders, SUM(amount) AS amount, MAX(amount) AS largest
FROM orders
GROUP BY customer;
";

/// Orders in the input.
const ORDERS: u64 = 2_000;

/// Epochs of an undisturbed run at least: records by records of an epoch.
const EPOCHS: i64 = 120;

/// What a run left in its topics.
#[derive(Debug, PartialEq, Eq)]
struct Output {
    revenue: Vec<String>,
    paid: Vec<String>,
    totals: BTreeMap<String, String>,
}

/// Input as JSON lines: orders and payments, out of order by a few seconds.
struct Input {
    orders: Vec<String>,
    payments: Vec<String>,
}

impl Input {
    fn new() -> Self {
        let mut seed = 42_u64;
        // Knuth's MMIX generator; the upper bits are good enough.
        let mut random = move |below: u64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let time = |ms: u64| {
            let (s, ms) = (ms / 1_000, ms % 1_000);
            format!("2026-01-01T{:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
        };
        let (mut orders, mut payments) = (Vec::new(), Vec::new());
        for i in 0..ORDERS {
            let at = i * 500 + random(6_000);
            let (customer, amount) = (random(9), 1 + random(99));
            orders.push(format!(
                r#"{{"order_id":"o{i}","customer":"c{customer}","amount":{amount},"at":"{}"}}"#,
                time(at)
            ));
            // Some come too late for their order; the order of arrival is that of the orders.
            if random(10) < 7 {
                let at = i * 500 + 4_000 + random(9_000);
                payments.push(format!(
                    r#"{{"order_id":"o{i}","paid":{},"at":"{}"}}"#,
                    1 + random(99),
                    time(at)
                ));
            }
        }
        Self { orders, payments }
    }
}

fn lines(of: &[String]) -> String {
    of.iter().map(|line| format!("{line}\n")).collect()
}

/// A sandbox with the program and the topics, the first records in them.
fn sandbox(input: &Input, filled: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("crash.flow", PROGRAM);
    for (topic, records) in [("orders", &input.orders), ("payments", &input.payments)] {
        sandbox.fill(topic, 2, "order_id", &lines(&records[..filled.min(records.len())]));
    }
    for topic in ["revenue", "paid", "totals"] {
        sandbox.must(&["topic", "create", topic, "--partitions", "2", "--local", "data"]);
    }
    sandbox
}

const RUN: [&str; 8] =
    ["run", "crash.flow", "--local", "data", "--parallelism", "2", "-D", "MODE=latest-offset"];
const FOLLOW: [&str; 8] =
    ["run", "crash.flow", "--local", "data", "--parallelism", "2", "-D", "MODE=unbounded"];

fn output(sandbox: &Sandbox) -> Output {
    Output {
        revenue: sandbox.all("revenue"),
        paid: sandbox.all("paid"),
        totals: sandbox.last_of_each_key("totals"),
    }
}

/// A bounded run that nobody disturbs.
fn undisturbed(input: &Input) -> Output {
    let sandbox = sandbox(input, usize::MAX);
    sandbox.must(&RUN);
    let output = output(&sandbox);
    assert!(output.revenue.len() > 500 && output.paid.len() > 500, "the job does something");
    assert_eq!(output.totals.len(), 9);
    output
}

/// Where a run is made to die.
enum Moment {
    /// When the job has committed this many epochs in all.
    Epochs(i64),
    /// Where `FLOW_CRASH_AT` says.
    Action(String),
}

/// One run from its start to its death.
fn live_until(sandbox: &Sandbox, moment: &Moment) {
    let died = |ended: Ended, signal: i32| {
        assert_eq!(ended.signal(), Some(signal), "the job ended before: {ended:?}");
    };
    match moment {
        Moment::Epochs(epochs) => {
            let mut job = sandbox.start(&RUN);
            assert!(sandbox.wait_for_epochs(&mut job, "crash", *epochs), "it ended too early");
            died(job.kill(), SIGKILL);
        }
        Moment::Action(at) => {
            died(sandbox.start_with(&RUN, &[("FLOW_CRASH_AT", at)]).end(), SIGABRT);
        }
    }
}

/// Dies at each moment in turn, then runs to the end.
fn survive(moments: &[Moment], delete_store: bool) {
    let input = Input::new();
    let expected = undisturbed(&input);
    let sandbox = sandbox(&input, usize::MAX);
    for moment in moments {
        live_until(&sandbox, moment);
        if delete_store {
            let store = sandbox.path("data/jobs/crash/store");
            // The first commit may come before the store's first write, never before its folder.
            std::fs::remove_dir_all(store).expect("the local store is there");
        }
    }
    let stderr = sandbox.flow(&RUN).stderr;
    assert!(stderr.contains("crash finished"), "{stderr}");
    assert_eq!(output(&sandbox), expected);
}

#[test]
fn killed_at_ten_epochs() {
    let moments: Vec<_> = (0..10).map(|i| Moment::Epochs(1 + i * EPOCHS / 11)).collect();
    survive(&moments, false);
}

#[test]
fn killed_ten_times_between_begin_and_the_commits_answer() {
    let moment = |i: u64| {
        let action = if i % 2 == 0 { "stage" } else { "commit" };
        Moment::Action(format!("{action}:{}", 1 + i * 5 % 13))
    };
    survive(&(0..10).map(moment).collect::<Vec<_>>(), false);
}

#[test]
fn killed_ten_times_and_the_local_store_deleted() {
    let moment = |i: i64| match i % 5 {
        0 => Moment::Epochs(1 + i * EPOCHS / 11),
        1 => Moment::Action(format!("stage:{}", 1 + i)),
        2 => Moment::Action(format!("commit:{}", 1 + i)),
        3 => Moment::Epochs(1 + i * EPOCHS / 11),
        _ => Moment::Action(format!("publish:{}", 1 + i)),
    };
    survive(&(0..10).map(moment).collect::<Vec<_>>(), true);
}

#[test]
fn killed_while_another_process_produces() {
    const CHUNKS: usize = 10;
    let input = Input::new();
    let ends = [("orders", input.orders.len() as i64), ("payments", input.payments.len() as i64)];
    let whole = sandbox(&input, usize::MAX);
    let mut job = whole.start(&FOLLOW);
    whole.wait_for_input(&mut job, "crash", &ends);
    job.interrupt().expect(0, &["crash stopped"]);
    let expected = output(&whole);
    assert!(expected.revenue.len() > 500 && expected.paid.len() > 500);

    let sandbox = sandbox(&input, 0);
    let chunk = |of: &[String], i: usize| {
        let size = of.len().div_ceil(CHUNKS);
        lines(&of[(i * size).min(of.len())..((i + 1) * size).min(of.len())])
    };
    for i in 0..CHUNKS {
        let mut job = sandbox.start(&FOLLOW);
        assert!(sandbox.client(&mut job).is_some(), "it runs until it is killed");
        sandbox.produce("orders", "order_id", &chunk(&input.orders, i));
        sandbox.produce("payments", "order_id", &chunk(&input.payments, i));
        assert_eq!(job.kill().signal(), Some(SIGKILL));
    }
    let mut job = sandbox.start(&FOLLOW);
    sandbox.wait_for_input(&mut job, "crash", &ends);
    job.interrupt().expect(0, &["crash stopped"]);
    assert_eq!(output(&sandbox), expected);
}

//! A job that is killed while it works through its input, again and again: after the last start its
//! committed output is that of a run that nobody disturbed. On whichever log its sandbox is.
#![allow(dead_code)] // each test binary uses its own part

use std::collections::BTreeMap;

use flow_runtime::connect::OffsetQuery;

use crate::command::{Ended, Running, Sandbox};

pub(crate) const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;

/// A tumbling window, an interval join and an updating aggregate.
const PROGRAM: &str = "
SET 'job.name' = '${NAME}';
SET 'epoch.max.records' = '8';
SET 'commit.interval' = '1 s';

CREATE STREAM orders (
  order_id STRING, customer STRING, amount BIGINT, at TIMESTAMP(3),
  WATERMARK FOR at AS at - INTERVAL '5' SECOND
) WITH (connector = 'kafka', topic = '${NAME}-orders', format = 'json',
        'scan.bounded.mode' = '${MODE}');

CREATE STREAM payments (
  order_id STRING, paid BIGINT, at TIMESTAMP(3),
  WATERMARK FOR at AS at - INTERVAL '5' SECOND
) WITH (connector = 'kafka', topic = '${NAME}-payments', format = 'json',
        'scan.bounded.mode' = '${MODE}');

CREATE STREAM revenue WITH (connector = 'kafka', topic = '${NAME}-revenue', format = 'json');
INSERT INTO revenue
SELECT window_start, customer, COUNT(*) AS orders, SUM(amount) AS amount
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '10' SECOND))
GROUP BY window_start, window_end, customer;

CREATE STREAM paid WITH (connector = 'kafka', topic = '${NAME}-paid', format = 'json');
INSERT INTO paid
SELECT o.order_id, o.amount, p.paid
FROM orders AS o
JOIN payments AS p
  ON p.order_id = o.order_id AND p.at BETWEEN o.at AND o.at + INTERVAL '20' SECOND;

CREATE TABLE totals (PRIMARY KEY (customer) NOT ENFORCED)
WITH (connector = 'kafka', topic = '${NAME}-totals', format = 'json', 'key.format' = 'json');
INSERT INTO totals
SELECT customer, COUNT(*) AS orders, SUM(amount) AS amount, MAX(amount) AS largest
FROM orders
GROUP BY customer;
";

/// Orders in the input.
const ORDERS: u64 = 2_000;

/// Epochs of an undisturbed run at least: records by records of an epoch, and room for those that
/// go by until a kill.
pub(crate) const EPOCHS: u64 = 250;

/// What a run left in its topics.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) revenue: Vec<String>,
    pub(crate) paid: Vec<String>,
    pub(crate) totals: BTreeMap<String, String>,
}

/// Input as JSON lines: orders and payments, out of order by a few seconds.
pub(crate) struct Input {
    pub(crate) orders: Vec<String>,
    pub(crate) payments: Vec<String>,
}

impl Input {
    pub(crate) fn new() -> Self {
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

    /// The i-th of n parts of both, as lines.
    pub(crate) fn part(&self, i: usize, n: usize) -> (String, String) {
        let part = |of: &[String]| {
            let size = of.len().div_ceil(n);
            lines(&of[(i * size).min(of.len())..((i + 1) * size).min(of.len())])
        };
        (part(&self.orders), part(&self.payments))
    }
}

fn lines(of: &[String]) -> String {
    of.iter().map(|line| format!("{line}\n")).collect()
}

/// Where a run of the job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Where the input ended at the first start.
    End,
    /// When it is stopped.
    Stopped,
}

/// Where a run is made to die.
pub(crate) enum Moment {
    /// When the job has committed this many epochs in all.
    Epochs(u64),
    /// Where `FLOW_CRASH_AT` says.
    Action(String),
}

/// Ten moments of a whole run.
pub(crate) fn ten_epochs() -> Vec<Moment> {
    (0..10).map(|i| Moment::Epochs(1 + i * EPOCHS / 11)).collect()
}

/// Ten moments between the begin of a transaction and what the job makes of the commit's answer.
pub(crate) fn ten_commits() -> Vec<Moment> {
    let moment = |i: u64| {
        let action = if i.is_multiple_of(2) { "stage" } else { "commit" };
        Moment::Action(format!("{action}:{}", 1 + i * 5 % 13))
    };
    (0..10).map(moment).collect()
}

/// Ten moments of both kinds, and just after the local store was written.
pub(crate) fn ten_of_all_kinds() -> Vec<Moment> {
    let moment = |i: u64| match i % 5 {
        0 | 3 => Moment::Epochs(1 + i * EPOCHS / 11),
        1 => Moment::Action(format!("stage:{}", 1 + i)),
        2 => Moment::Action(format!("commit:{}", 1 + i)),
        _ => Moment::Action(format!("publish:{}", 1 + i)),
    };
    (0..10).map(moment).collect()
}

/// The folder of the local state.
pub(crate) const STATE: &str = "state";

/// A job in a sandbox.
pub(crate) struct Job {
    pub(crate) sandbox: Sandbox,
    name: &'static str,
}

impl Job {
    /// With its program and topics, all its input in them.
    pub(crate) fn filled(sandbox: Sandbox, name: &'static str, input: &Input) -> Self {
        let job = Self::new(sandbox, name);
        job.produce(&input.part(0, 1));
        job
    }

    /// With its program and empty topics.
    pub(crate) fn new(sandbox: Sandbox, name: &'static str) -> Self {
        sandbox.write("crash.flow", PROGRAM);
        let job = Self { sandbox, name };
        for stream in ["orders", "payments", "revenue", "paid", "totals"] {
            let create = ["topic", "create", &job.topic(stream), "--partitions", "2"];
            job.sandbox.must(&[&create, job.sandbox.place()].concat());
        }
        job
    }

    pub(crate) fn topic(&self, stream: &str) -> String {
        format!("{}-{stream}", self.name)
    }

    /// Writes orders and payments.
    pub(crate) fn produce(&self, (orders, payments): &(String, String)) {
        self.sandbox.produce(&self.topic("orders"), "order_id", orders);
        self.sandbox.produce(&self.topic("payments"), "order_id", payments);
    }

    pub(crate) fn start(&self, until: Until) -> Running {
        self.start_with(until, STATE, &[], &[])
    }

    /// Starts it with the local state in this folder, more arguments and environment variables.
    pub(crate) fn start_with(
        &self,
        until: Until,
        state: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Running {
        let name = format!("NAME={}", self.name);
        let mode = match until {
            Until::End => "MODE=latest-offset",
            Until::Stopped => "MODE=unbounded",
        };
        let run = ["run", "crash.flow", "--parallelism", "2", "--state-dir", state];
        let defines = ["-D", &name, "-D", mode];
        let all = [&run[..], &defines, arguments, self.sandbox.place()].concat();
        self.sandbox.start_with(&all, variables)
    }

    /// Waits until it has committed this many epochs in all.
    pub(crate) fn wait_for_epochs(&self, run: &mut Running, epochs: u64) {
        let there = self.sandbox.wait_for_epochs(run, self.name, epochs);
        assert!(there, "it ended before epoch {epochs}");
    }

    /// Waits until it has committed all that is in its input now, and stops it.
    pub(crate) fn stop_at_end(&self, mut run: Running) {
        let client = self.sandbox.client(&mut run).expect("it runs");
        let ends = ["orders", "payments"].map(|stream| {
            let ends = client.log().offsets(&self.topic(stream), OffsetQuery::End);
            (stream, ends.expect("the topic is there").iter().sum())
        });
        drop(client);
        self.sandbox.wait_for_input(&mut run, self.name, &ends);
        run.interrupt().expect(0, &[&format!("{} stopped", self.name)]);
    }

    /// Runs it to the end of its input.
    pub(crate) fn finish(&self) {
        self.start(Until::End).end().expect(0, &[&format!("{} finished", self.name)]);
    }

    pub(crate) fn output(&self) -> Output {
        Output {
            revenue: self.sandbox.all(&self.topic("revenue")),
            paid: self.sandbox.all(&self.topic("paid")),
            totals: self.sandbox.last_of_each_key(&self.topic("totals")),
        }
    }

    /// What it makes of the input when nobody disturbs it.
    pub(crate) fn undisturbed(sandbox: Sandbox, input: &Input, until: Until) -> Output {
        let name = match until {
            Until::End => "calm",
            Until::Stopped => "calm-follower",
        };
        let job = Self::filled(sandbox, name, input);
        match until {
            Until::End => job.finish(),
            Until::Stopped => job.stop_at_end(job.start(until)),
        }
        let output = job.output();
        assert!(output.revenue.len() > 500 && output.paid.len() > 500, "the job does something");
        assert_eq!(output.totals.len(), 9);
        output
    }

    /// One run from its start to its death.
    pub(crate) fn live_until(&self, moment: &Moment) {
        let died = |ended: Ended, signal: i32| {
            assert_eq!(ended.signal(), Some(signal), "the job ended before: {ended:?}");
        };
        match moment {
            Moment::Epochs(epochs) => {
                let mut run = self.start(Until::End);
                self.wait_for_epochs(&mut run, *epochs);
                died(run.kill(), SIGKILL);
            }
            Moment::Action(at) => {
                let variables = [("FLOW_CRASH_AT", at.as_str())];
                died(self.start_with(Until::End, STATE, &[], &variables).end(), SIGABRT);
            }
        }
    }

    /// Dies at each moment in turn, then runs to the end.
    pub(crate) fn survive(&self, moments: &[Moment], delete_store: bool) {
        for moment in moments {
            self.live_until(moment);
            if delete_store {
                self.delete_store();
            }
        }
        self.finish();
    }

    pub(crate) fn delete_store(&self) {
        let store = self.sandbox.path(STATE).join("store");
        // The first commit may come before the store's first write, never before its folder.
        std::fs::remove_dir_all(store).expect("the local store is there");
    }
}

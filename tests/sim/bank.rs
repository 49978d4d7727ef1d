//! Transfers between accounts: what one loses the other gains. The balances by a union and those by
//! a join of two aggregates add up to nothing in every epoch that the job writes.

use std::collections::BTreeMap;

use flow_runtime::Ended;
use flow_runtime::connect::{Assignment, Log, OffsetQuery, Outcome, Outgoing};

use flow_ir::kernel::Record;
use std::time::Duration;

use super::Sim;
use super::log::SimLog;
use super::random::Random;

const PROGRAM: &str = "
SET 'job.name' = 'bank';
SET 'epoch.max.records' = '${CUT}';
SET 'commit.interval' = '10 s';

CREATE STREAM transfers (debit INT, credit INT, amount BIGINT)
WITH (connector = 'kafka', format = 'json', 'scan.bounded.mode' = 'latest-offset');

CREATE VIEW by_union AS
SELECT account, SUM(amount) AS balance
FROM (SELECT debit AS account, -amount AS amount FROM transfers
      UNION ALL SELECT credit, amount FROM transfers)
GROUP BY account;

CREATE VIEW by_join AS
SELECT COALESCE(d.account, c.account) AS account,
       COALESCE(c.total, 0) - COALESCE(d.total, 0) AS balance
FROM (SELECT debit AS account, SUM(amount) AS total FROM transfers GROUP BY debit) AS d
FULL JOIN (SELECT credit AS account, SUM(amount) AS total FROM transfers GROUP BY credit) AS c
  ON d.account = c.account;

CREATE STREAM union_balances
WITH (connector = 'kafka', format = 'debezium-json', 'sink.epoch-header' = 'true');
INSERT INTO union_balances SELECT account, balance FROM by_union;

CREATE STREAM join_balances
WITH (connector = 'kafka', format = 'debezium-json', 'sink.epoch-header' = 'true');
INSERT INTO join_balances SELECT account, balance FROM by_join;

CREATE STREAM totals
WITH (connector = 'kafka', format = 'debezium-json', 'sink.epoch-header' = 'true');
INSERT INTO totals
SELECT 0 AS account, COALESCE(SUM(balance), 0) AS balance FROM by_join;
";

const TRANSFERS: usize = 300;
const ACCOUNTS: usize = 7;
const OUTPUTS: [&str; 3] = ["union_balances", "join_balances", "totals"];

fn feed(sim: &Sim, seed: u64) {
    let mut random = Random::new(seed);
    let mut writer = sim.log.writer("feed").expect("a writer");
    writer.begin().expect("begins");
    for _ in 0..TRANSFERS {
        let row = serde_json::json!({
            "debit": random.below(ACCOUNTS), "credit": random.below(ACCOUNTS),
            "amount": random.below(100),
        });
        let (value, partition) = (row.to_string(), random.below(4) as u32);
        let value = Some(value.as_bytes());
        let record = Outgoing { topic: "transfers", partition, value, ..Outgoing::default() };
        writer.send(&record).expect("taken");
    }
    assert_eq!(writer.commit(), Outcome::Committed);
}

/// By how much each epoch changes the sum of the balances in a topic, and the balances in the end.
fn changes(sim: &Sim, topic: &str) -> (BTreeMap<u64, i64>, BTreeMap<i64, i64>) {
    let (mut by_epoch, mut balances) = (BTreeMap::new(), BTreeMap::new());
    let ends = sim.log.offsets(topic, OffsetQuery::End).expect("the topic is there");
    for (partition, end) in ends.into_iter().enumerate() {
        let start = Assignment { topic: topic.to_string(), partition: partition as u32, offset: 0 };
        let mut reader = sim.log.reader(&[start]).expect("a reader");
        while reader.position(0) < end {
            let Some(fetched) = reader.poll(Duration::ZERO).expect("readable") else { continue };
            let mut records: Vec<Record<'_>> = Vec::new();
            fetched.batch.records(&mut records);
            for record in records {
                let mut headers = record.headers;
                let header = headers.find(|(name, _)| *name == "flow.epoch");
                let epoch = header.and_then(|(_, value)| value).expect("an epoch");
                let epoch = u64::from_be_bytes(epoch.try_into().expect("eight bytes"));
                let value = record.value.expect("a change");
                let change: serde_json::Value = serde_json::from_slice(value).expect("JSON");
                for (side, sign) in [("before", -1), ("after", 1)] {
                    let row = &change[side];
                    let Some(balance) = row["balance"].as_i64() else { continue };
                    *by_epoch.entry(epoch).or_insert(0) += sign * balance;
                    let account = row["account"].as_i64().expect("an account");
                    *balances.entry(account).or_insert(0) += sign * balance;
                }
            }
        }
    }
    (by_epoch, balances)
}

#[test]
fn nothing_is_lost_between_accounts_in_any_epoch() {
    let mut answers = Vec::new();
    for (parallelism, cut) in [(1, 1), (1, 13), (2, 7), (4, 5), (4, 50)] {
        let sim = Sim::of(&PROGRAM.replace("${CUT}", &cut.to_string()));
        ["transfers"].into_iter().chain(OUTPUTS).for_each(|name| sim.create(name, 4));
        feed(&sim, 11);
        let log = SimLog::new(&sim.log, None, 0);
        let ended = sim.begin(&log, parallelism).and_then(flow_runtime::JobHandle::join);
        assert!(matches!(ended, Ok(Ended::Finished)), "{ended:?}");
        let [union, join, totals] = OUTPUTS.map(|topic| changes(&sim, topic));
        for (by_epoch, _) in [&union, &join, &totals] {
            assert!(by_epoch.values().all(|sum| *sum == 0), "workers {parallelism}: {by_epoch:?}");
        }
        assert!(union.0.len() > TRANSFERS / cut / 8, "there are many epochs");
        assert_eq!(union.1, join.1, "both ways give the same balances");
        assert!(union.1.len() == ACCOUNTS && union.1.values().any(|balance| *balance != 0));
        answers.push(union.1);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

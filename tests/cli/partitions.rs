//! Topics of the embedded log that get more partitions under a job.

use super::command::Sandbox;
use super::growing;

#[test]
fn partitions_that_are_added_join_in() {
    growing::is_followed(&Sandbox::new(), "one", "1");
}

#[test]
fn partitions_that_are_added_join_in_on_four_workers() {
    growing::is_followed(&Sandbox::new(), "four", "4");
}

#[test]
fn a_bounded_job_leaves_partitions_that_are_added_alone() {
    growing::is_left_alone_by_bounds(&Sandbox::new());
}

/// Counts orders by minute; those that come too late go to a topic.
const COUNTS: &str = "
SET 'job.name' = 'counts';
CREATE STREAM orders (id STRING, at TIMESTAMP(3), WATERMARK FOR at AS at)
WITH (connector = 'kafka', format = 'json', 'late.topic' = 'late',
      'scan.topic-partition-discovery.interval' = '50 ms');
CREATE STREAM minutes WITH (connector = 'kafka', format = 'json');
INSERT INTO minutes
SELECT window_start, COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;
";

#[test]
fn rows_of_a_new_partition_that_are_behind_its_stream_are_counted() {
    let sandbox = Sandbox::new();
    sandbox.write("counts.flow", COUNTS);
    let order = |id: u32, minute: u32| {
        format!("{{\"id\":\"o{id}\",\"at\":\"2026-01-01T00:{minute:02}:30\"}}\n")
    };
    sandbox.fill("orders", 1, "id", &[order(0, 1), order(1, 9)].concat());
    let run = ["run", "counts.flow", "--local", "data", "--stats", "stats.json"];
    let mut run = sandbox.start(&run);
    sandbox.wait_for_input(&mut run, "counts", &[("orders", 2)]);
    sandbox.must(&["topic", "alter", "orders", "--partitions", "2", "--local", "data"]);
    sandbox.wait_for_record(&mut run, "counts", |record| record.inputs.len() == 2);
    let old: String = (2..22).map(|id| order(id, 2)).collect();
    sandbox.produce("orders", "id", &old);
    let newer: String = (22..42).map(|id| order(id, 20)).collect();
    sandbox.produce("orders", "id", &newer);
    sandbox.wait_for_input(&mut run, "counts", &[("orders", 42)]);
    run.interrupt().expect(0, &["counts stopped"]);

    let stats: serde_json::Value =
        serde_json::from_str(&sandbox.read("stats.json")).expect("it is JSON");
    let count = |figure: &str| stats["streams"][0][figure].as_u64().expect("a count");
    let (late, behind) = (count("late"), count("late_after_idle"));
    assert!(late > 0 && behind > 0 && late + behind == 20, "{stats}");
    assert_eq!(sandbox.all("late").len(), 20);
    let minutes = sandbox.all("minutes");
    assert_eq!(minutes.len(), 2, "none twice: {minutes:?}");
}

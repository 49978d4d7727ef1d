//! Streams that say nothing for a while: they hold time back no longer, and come back.

use std::time::Duration;

use super::command::Sandbox;

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_secs(300);

const ONE: &str = "
SET 'job.name' = 'one';
CREATE STREAM clicks (page STRING, at TIMESTAMP(3), WATERMARK FOR at AS at)
WITH (connector = 'kafka', format = 'json', 'idle.timeout' = '100 ms');
CREATE STREAM minutes WITH (connector = 'kafka', format = 'json');
INSERT INTO minutes
SELECT MINUTE(window_start) AS m, COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(at), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;
";

const TWO: &str = "
SET 'job.name' = 'two';
CREATE STREAM calm (page STRING, at TIMESTAMP(3), WATERMARK FOR at AS at)
WITH (connector = 'kafka', format = 'json', 'idle.timeout' = '100 ms');
CREATE STREAM busy (page STRING, at TIMESTAMP(3), WATERMARK FOR at AS at)
WITH (connector = 'kafka', format = 'json');
CREATE VIEW clicks AS SELECT page, at FROM calm UNION ALL SELECT page, at FROM busy;
CREATE STREAM minutes WITH (connector = 'kafka', format = 'json');
INSERT INTO minutes
SELECT MINUTE(window_start) AS m, COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(at), INTERVAL '1' MINUTE))
GROUP BY window_start, window_end;
";

/// Clicks in these minutes.
fn clicks(minutes: &[u32]) -> String {
    let line = |m: &u32| format!("{{\"page\":\"p\",\"at\":\"2026-01-01T00:{m:02}:30\"}}\n");
    minutes.iter().map(line).collect()
}

/// What a job counts, by minute.
fn counts(counts: &[(u32, u32)]) -> Vec<String> {
    let mut lines: Vec<String> =
        counts.iter().map(|(m, n)| format!("{{\"m\":{m},\"n\":{n}}}")).collect();
    lines.sort();
    lines
}

fn wait_for_counts(sandbox: &Sandbox, expected: &[(u32, u32)]) {
    let (expected, began) = (counts(expected), std::time::Instant::now());
    loop {
        let found = sandbox.all("minutes");
        if found == expected {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{expected:?} never comes: {found:?}");
    }
}

#[test]
fn a_stream_that_is_silent_as_a_whole_keeps_its_windows() {
    let sandbox = Sandbox::new();
    sandbox.write("one.flow", ONE);
    sandbox.fill("clicks", 2, "page", &clicks(&[1, 1, 2]));
    let run = ["run", "one.flow", "--local", "data", "--parallelism", "2"];
    let mut running = sandbox.start(&run);
    let is_silent = |idle: bool| {
        move |r: &flow_runtime::commit::EpochRecord| r.inputs.iter().all(|i| i.idle == idle)
    };
    sandbox.wait_for_record(&mut running, "one", is_silent(true));
    // It comes back, also after a restart, to the window that was open.
    sandbox.produce("clicks", "page", &clicks(&[2]));
    sandbox.wait_for_input(&mut running, "one", &[("clicks", 4)]);
    sandbox.wait_for_record(&mut running, "one", is_silent(true));
    running.interrupt().expect(0, &["one stopped"]);
    let running = sandbox.start(&run);
    sandbox.produce("clicks", "page", &clicks(&[2, 9]));
    wait_for_counts(&sandbox, &[(1, 2), (2, 3)]);
    running.kill();
}

#[test]
fn a_silent_stream_goes_along_with_those_that_it_meets() {
    let sandbox = Sandbox::new();
    sandbox.write("two.flow", TWO);
    sandbox.fill("calm", 1, "page", &clicks(&[1]));
    sandbox.fill("busy", 1, "page", &clicks(&[1, 5]));
    let run = ["run", "two.flow", "--local", "data", "--stats", "stats.json"];
    let mut running = sandbox.start(&[&run[..], &["--parallelism", "2"]].concat());
    sandbox.wait_for_epochs(&mut running, "two", 1);
    wait_for_counts(&sandbox, &[(1, 2)]);
    // Back again: the first is behind what the other stream has reached, the second is not.
    sandbox.produce("calm", "page", &clicks(&[2, 5]));
    sandbox.wait_for_input(&mut running, "two", &[("calm", 3)]);
    sandbox.produce("busy", "page", &clicks(&[5, 9]));
    sandbox.produce("calm", "page", &clicks(&[9]));
    wait_for_counts(&sandbox, &[(1, 2), (5, 3)]);
    running.interrupt().expect(0, &["two stopped"]);
    let stats: serde_json::Value =
        serde_json::from_str(&sandbox.read("stats.json")).expect("it is JSON");
    assert_eq!(stats["streams"][0]["late_after_idle"], 1, "{stats}");
}

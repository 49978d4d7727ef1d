//! `flow run`: going on, stopping, being refused, figures.

use std::io::Write;

use flow_runtime::connect::{Outcome, Outgoing};

use super::command::{Running, Sandbox, last_record};
use super::{COUNTS, bounded, clicks, counted, counting, counts};

const RUN: [&str; 4] = ["run", "counts.flow", "--local", "data"];

/// Waits until the job has committed so many clicks.
fn wait_for_clicks(sandbox: &Sandbox, job: &mut Running, clicks: i64) {
    sandbox.wait_for_input(job, "counts", &[("clicks", clicks)]);
}

#[test]
fn ctrl_c_commits_and_the_next_run_goes_on() {
    let sandbox = counting();
    let mut job = sandbox.start(&RUN);
    wait_for_clicks(&sandbox, &mut job, 50);
    job.interrupt().expect(0, &["counts stopped", "in 50"]);
    assert_eq!(counts(&sandbox), counted(0..50));

    sandbox.produce("clicks", "page", &clicks(50..80));
    let mut job = sandbox.start(&RUN);
    wait_for_clicks(&sandbox, &mut job, 80);
    job.interrupt().expect(0, &["counts stopped", "in 30"]);
    assert_eq!(counts(&sandbox), counted(0..80));
}

#[test]
fn a_second_terminal_produces_and_follows_while_the_job_runs() {
    let sandbox = counting();
    let follow = ["topic", "consume", "clicks", "--follow", "--max", "90", "--local", "data"];
    let follower = sandbox.start(&follow);
    let mut job = sandbox.start(&RUN);
    wait_for_clicks(&sandbox, &mut job, 50);
    sandbox.produce("clicks", "page", &clicks(50..90));
    let followed = follower.end();
    followed.expect(0, &[]);
    assert_eq!(followed.stdout.lines().count(), 90);
    wait_for_clicks(&sandbox, &mut job, 90);
    let listed = sandbox.must(&["topic", "list", "--local", "data"]);
    assert!(listed.contains("clicks  2 partitions, 90 records"), "{listed}");
    assert_eq!(counts(&sandbox), counted(0..90), "what is committed can be read at once");
    job.interrupt().expect(0, &["counts stopped"]);
}

#[test]
fn a_producer_that_waits_for_lines_hands_the_log_to_jobs_and_goes_on() {
    let sandbox = counting();
    let produce = ["topic", "produce", "clicks", "--key", "page", "--local", "data"];
    let (producer, mut lines) = sandbox.start_with_pipe(&produce);
    let mut say = |n: u32| {
        lines.write_all(clicks(n..n + 1).as_bytes()).expect("the producer reads");
    };
    say(50);
    let mut job = sandbox.start(&RUN);
    wait_for_clicks(&sandbox, &mut job, 51);
    say(51);
    wait_for_clicks(&sandbox, &mut job, 52);
    job.interrupt().expect(0, &["counts stopped"]);
    let mut job = sandbox.start(&RUN);
    say(52);
    wait_for_clicks(&sandbox, &mut job, 53);
    drop(lines);
    let produced = producer.end();
    produced.expect(0, &[]);
    assert_eq!(produced.stdout, "clicks: 3 records written\n");
    assert_eq!(counts(&sandbox), counted(0..53));
    job.interrupt().expect(0, &["counts stopped"]);
}

#[test]
fn a_second_run_on_the_same_folder_is_refused_with_the_pid() {
    let sandbox = counting();
    let mut job = sandbox.start(&RUN);
    wait_for_clicks(&sandbox, &mut job, 50);
    let pid = format!("process {}", job.pid());
    sandbox.flow(&RUN).expect(4, &[&pid, "runs this job already"]);
    let other = sandbox.flow(&["run", "counts.flow", "--local", "data", "--name", "other"]);
    other.expect(4, &[&pid, "runs a job on the embedded log", "--local"]);
    job.interrupt().expect(0, &["counts stopped"]);
    let other = ["run", "bounded.flow", "--local", "data", "--name", "other"];
    sandbox.flow(&other).expect(0, &["other finished"]);
}

#[test]
fn a_job_that_another_process_takes_over_exits_3_and_names_it() {
    let sandbox = counting();
    let mut job = sandbox.start(&RUN);
    wait_for_clicks(&sandbox, &mut job, 50);
    let client = sandbox.client(&mut job).expect("it runs");
    let mut successor = client.log().writer("flow-counts-0").expect("a writer");
    // The successor shows at once that it owns the job.
    let mut record = last_record(&**client.log(), "counts");
    (record.pid, record.host) = (4711, "elsewhere".to_string());
    successor.begin().expect("begins");
    let (key, value) = (Some(&b"epoch"[..]), record.to_bytes());
    let topic = "flow.counts.epochs";
    let value = Some(&value[..]);
    successor.send(&Outgoing { topic, key, value, ..Outgoing::default() }).expect("taken");
    assert_eq!(successor.commit(), Outcome::Committed);
    sandbox.produce("clicks", "page", &clicks(50..60));
    let told = ["another process has taken over this job", "process 4711 on host elsewhere"];
    job.end().expect(3, &told);
}

#[test]
fn a_finished_job_says_so_and_starts_anew_when_told() {
    let sandbox = counting();
    let run = ["run", "bounded.flow", "--local", "data", "--name", "counts"];
    sandbox.flow(&run).expect(0, &["counts finished"]);
    sandbox.flow(&run).expect(0, &["has finished before", "--fresh"]);
    let asked = sandbox.flow_with_input(&[&run[..], &["--fresh"]].concat(), "n\n");
    asked.expect(2, &["[y/N]", "--fresh --yes"]);
    sandbox.produce("clicks", "page", &clicks(50..60));
    let fresh = [&run[..], &["--fresh", "--yes"]].concat();
    sandbox.flow(&fresh).expect(0, &["counts finished", "in 60"]);
    assert_eq!(counts(&sandbox), counted(0..60));
}

#[test]
fn what_a_forgotten_job_knew_does_not_come_back_from_the_changelog() {
    let sandbox = counting();
    let fresh = [&RUN[..], &["--fresh", "--yes"]].concat();
    let mut job = sandbox.start(&RUN);
    wait_for_clicks(&sandbox, &mut job, 50);
    job.interrupt().expect(0, &[]);
    // Anew over no input at all: its state is empty, and so it is after a restore.
    let program = sandbox.read("counts.flow").replace(
        "format = 'json');\nCREATE TABLE",
        "format = 'json', 'scan.startup.mode' = 'latest-offset');\nCREATE TABLE",
    );
    sandbox.write("counts.flow", program);
    let mut job = sandbox.start(&fresh);
    wait_for_clicks(&sandbox, &mut job, 50);
    job.interrupt().expect(0, &["counts stopped"]);
    std::fs::remove_dir_all(sandbox.path("data/jobs/counts/store")).expect("it is there");
    sandbox.produce("clicks", "page", &clicks(50..80));
    let mut job = sandbox.start(&RUN);
    wait_for_clicks(&sandbox, &mut job, 80);
    job.interrupt().expect(0, &["in 30"]);
    assert_eq!(counts(&sandbox), counted(50..80));
}

#[test]
fn state_of_another_program_is_refused_by_its_operators() {
    let sandbox = counting();
    let run = ["run", "bounded.flow", "--local", "data"];
    sandbox.must(&run);
    sandbox.write("bounded.flow", bounded(COUNTS).replace("SUM(n)", "MAX(n)"));
    let told = ["job bounded has state of another program", "aggregate", "--fresh", "--name"];
    sandbox.flow(&run).expect(4, &told);
    sandbox.flow(&[&run[..], &["--fresh", "--yes"]].concat()).expect(0, &["bounded finished"]);
}

#[test]
fn the_closing_figures_are_written_as_json() {
    let sandbox = counting();
    sandbox.must(&["run", "bounded.flow", "--local", "data", "--stats", "stats.json"]);
    let stats: serde_json::Value =
        serde_json::from_str(&sandbox.read("stats.json")).expect("it is JSON");
    for figure in [
        "wall_seconds",
        "cpu_seconds",
        "peak_memory_bytes",
        "state_memory_bytes",
        "state_disk_bytes",
        "epochs",
        "compile_seconds",
        "first_output_seconds",
        "records_in",
        "records_out",
    ] {
        assert!(stats[figure].is_number(), "{figure} is missing: {stats}");
    }
    assert_eq!(stats["job"], "bounded");
    assert_eq!((&stats["records_in"], &stats["records_out"]), (&50.into(), &3.into()));
    assert!(stats["peak_memory_bytes"].as_u64() > Some(1_000_000), "{stats}");
    let streams = stats["streams"].as_array().expect("a list of streams");
    let of = |name: &str| streams.iter().find(|s| s["stream"] == name).expect("it took part");
    for figure in ["records_in", "records_out", "late", "dead_lettered", "skipped"] {
        assert!(of("clicks")[figure].is_u64(), "{figure} is missing: {stats}");
    }
    assert_eq!(
        (&of("clicks")["records_in"], &of("counts")["records_out"]),
        (&50.into(), &3.into())
    );
}

#[test]
fn what_native_code_cost_is_told_and_without_it_the_answer_is_the_same() {
    let sandbox = counting();
    let stats = |arguments: &[&str]| -> serde_json::Value {
        let run = ["run", "bounded.flow", "--local", "data", "--fresh", "--yes"];
        sandbox.must(&[&run[..], &["--stats", "stats.json"], arguments].concat());
        serde_json::from_str(&sandbox.read("stats.json")).expect("it is JSON")
    };
    let (native, interpreted) = (stats(&[]), stats(&["--no-jit"]));
    assert!(native["native"]["code_bytes"].as_u64() > Some(0), "{native}");
    assert!(native["native"]["compile_seconds"].is_number(), "{native}");
    assert!(interpreted["native"].is_null(), "{interpreted}");
    assert_eq!(native["records_out"], interpreted["records_out"]);
}

#[test]
fn what_a_job_needs_and_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("counts.flow", COUNTS);
    let missing = ["there is no topic clicks", "the embedded log (", "'topic'"];
    sandbox.flow(&RUN).expect(4, &missing);
    sandbox
        .flow(&["run", "counts.flow"])
        .expect(4, &["nothing says which Kafka cluster", "--local DIR"]);
    sandbox.write("plain", "a file, not a folder");
    let state = ["run", "counts.flow", "--local", "data", "--state-dir", "plain/state"];
    sandbox.flow(&state).expect(4, &["the folder plain/state cannot be used"]);
    let local = sandbox.flow(&["run", "counts.flow", "--local", "plain/data"]);
    local.expect(4, &["plain/data"]);
    let stats = ["run", "b.flow", "--local", "data", "--stats", "no/such/folder/stats.json"];
    sandbox.write("b.flow", bounded(COUNTS));
    sandbox.fill("clicks", 1, "page", &clicks(0..3));
    sandbox.flow(&stats).expect(4, &["no/such/folder/stats.json cannot be written"]);
}

#[test]
fn a_late_record_counts_once_however_many_queries_leave_it_out() {
    let sandbox = Sandbox::new();
    let count = |name: &str, window: &str| {
        format!(
            "CREATE STREAM {name} WITH (connector = 'kafka', format = 'json');\n\
             INSERT INTO {name} SELECT COUNT(*) AS n FROM TUMBLE(visits, at, INTERVAL {window})\n\
             GROUP BY window_start, window_end;\n"
        )
    };
    let visits = "CREATE STREAM visits (at TIMESTAMP(3), WATERMARK FOR at AS at) WITH (\n\
                  connector = 'kafka', format = 'json', 'scan.bounded.mode' = 'latest-offset');\n";
    let queries = count("minutes", "'1' MINUTE") + &count("hours", "'1' HOUR");
    sandbox.write("late.flow", visits.to_string() + &queries);
    let at = |time: &str| format!("{{\"at\":\"2026-01-01T{time}\"}}\n");
    // The second is late for minutes, the last for both.
    let times = ["12:01:00", "12:00:00", "13:00:00", "12:00:00"];
    sandbox.fill("visits", 1, "at", &times.map(at).concat());
    sandbox.must(&["run", "late.flow", "--local", "data", "--stats", "stats.json"]);
    let stats: serde_json::Value =
        serde_json::from_str(&sandbox.read("stats.json")).expect("it is JSON");
    let streams = stats["streams"].as_array().expect("a list of streams");
    let visits = streams.iter().find(|s| s["stream"] == "visits").expect("it is read");
    assert_eq!(visits["late"], 2, "{stats}");
    assert_eq!(sandbox.all("minutes"), [r#"{"n":1}"#, r#"{"n":1}"#]);
    assert_eq!(sandbox.all("hours"), [r#"{"n":1}"#, r#"{"n":2}"#]);
}

//! Jobs come, rest, change, fail and go; and all of it survives a kill.

use serde_json::{Value, json};

use super::{COPY, COUNTS, Server, canonical, clicks, until};

#[test]
fn a_job_runs_rests_goes_on_and_is_dropped() {
    let server = Server::with_clicks(0..50);
    let made = server.submit("", COUNTS).expect(201);
    assert_eq!((&made["outcome"], &made["version"]), (&json!("created"), &json!(1)));
    assert!(made["plan"].as_str().unwrap().contains("GroupAggregate"), "{made}");
    server.wait_for_state("counts", "running");
    server.wait_for_input("counts", 50);
    server.wait_for_counts(0..50);

    let rests = server.ask("POST", "/v1/jobs/counts/pause", None).expect(200);
    assert_eq!(rests["state"], "paused");
    assert_eq!(rests["memory_bytes"], 0);
    server.sandbox.produce("clicks", "page", &clicks(50..80));
    server.ask("POST", "/v1/jobs/counts/resume", None).expect(200);
    server.wait_for_counts(0..80);

    let stopped = server.ask("POST", "/v1/jobs/counts/stop", None).expect(200);
    assert_eq!(stopped["state"], "stopped");
    server.ask("DELETE", "/v1/jobs/counts", None).expect(204);
    server.get("/v1/jobs/counts").tells(404, "there is no job counts");
    assert_eq!(server.get("/v1/jobs").expect(200)["jobs"], json!([]));
    assert!(!server.sandbox.path("data/jobs/counts").exists(), "its state is gone");
}

#[test]
fn a_paused_job_holds_no_thread() {
    let server = Server::with_clicks(0..10);
    let threads = || -> u64 {
        let page = server.get("/metrics").text;
        let line = page.lines().find_map(|line| line.strip_prefix("process_threads "));
        line.expect("threads are told").parse().expect("a number")
    };
    server.submit("", COUNTS).expect(201);
    server.wait_for_input("counts", 10);
    let task = format!("/proc/{}/task", server.running.as_ref().unwrap().pid());
    let of_jobs = || {
        let names = std::fs::read_dir(&task)
            .unwrap()
            .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("job") || name.starts_with("worker")).count()
    };
    assert_eq!(of_jobs(), 2, "the job's thread and its one worker");
    assert!(threads() > 2);
    server.ask("POST", "/v1/jobs/counts/pause", None).expect(200);
    assert_eq!(of_jobs(), 0);
}

#[test]
fn jobs_and_their_state_survive_a_kill() {
    let server = Server::with_clicks(0..40);
    server.submit("", COUNTS).expect(201);
    server.submit("?name=resting", COPY).expect(201);
    server.wait_for_state("resting", "running");
    server.ask("POST", "/v1/jobs/resting/pause", None).expect(200);
    server.wait_for_counts(0..40);
    let sandbox = server.kill();
    sandbox.produce("clicks", "page", &clicks(40..70));
    let server = Server::start_in(sandbox, &[]);
    server.wait_for_state("counts", "running");
    server.wait_for_counts(0..70);
    let read = server.wait_for("counts", "running", |job| job["metrics"]["records_in"] == 30);
    assert_eq!(read["version"], 1, "it read what was new, and nothing twice");
    assert_eq!(server.get("/v1/jobs/resting").json()["state"], "paused");
    // An end in order keeps them too.
    let server = Server::start_in(server.interrupt(), &[]);
    server.wait_for_state("counts", "running");
    server.wait_for_counts(0..70);
}

#[test]
fn a_changed_program_takes_over_or_says_what_it_loses() {
    let server = Server::with_clicks(0..30);
    server.submit("", COUNTS).expect(201);
    server.wait_for_counts(0..30);
    let same = server.submit("", COUNTS).expect(200);
    assert_eq!((&same["outcome"], &same["version"]), (&json!("unchanged"), &json!(1)));

    // Another sink beside the one that there is: the state stays.
    let more = format!(
        "{COUNTS} CREATE STREAM copies WITH (connector = 'kafka', format = 'json');
         INSERT INTO copies SELECT page, n FROM clicks;"
    );
    let next = server.submit("", &more).expect(200);
    assert_eq!((&next["outcome"], &next["version"]), (&json!("replaced"), &json!(2)));
    assert_eq!(next["goes_on"], true);
    server.wait_for("counts", "running again", |job| {
        job["state"] == "running" && job["version"] == 2
    });
    server.sandbox.produce("clicks", "page", &clicks(30..45));
    server.wait_for_counts(0..45);

    let other = COUNTS.replace("COUNT(*) AS clicks", "MIN(n) AS clicks");
    let would = server.submit("?dry_run=true", &other).expect(200);
    assert_eq!((&would["outcome"], &would["goes_on"]), (&json!("checked"), &json!(false)));
    let refused = server.submit("", &other).expect(409);
    assert_eq!(refused["code"], "loses_state");
    let lost = refused["changes"]["lost"].as_array().unwrap();
    assert!(!lost.is_empty() && lost.iter().all(|l| l["reason"].is_string()), "{refused}");
    assert!(refused["help"].as_str().unwrap().contains("fresh=true"), "{refused}");
    server.wait_for_state("counts", "running");

    server.submit("?fresh=true", &other).expect(200);
    server.wait_for("counts", "at the end of all input", |job| {
        job["version"] == 3 && job["metrics"]["records_in"] == 45 && job["metrics"]["lag"] == 0
    });
    let shards = format!("SET 'job.shards' = '16'; {other}");
    server.submit("", &shards).tells(409, "8 shards");
    server.submit("?fresh=true", &shards).expect(200);
    until("the changelog is made anew", || {
        let changelog = server.get("/v1/topics/flow.counts.changelog");
        (changelog.status == 200).then_some(())?;
        (changelog.json()["partitions"].as_array()?.len() == 16).then_some(())
    });
    server.wait_for_input("counts", 45);
}

/// The topics of the log, by name.
fn topics(server: &Server) -> Vec<String> {
    let listed = server.get("/v1/topics").expect(200);
    let names = listed["topics"].as_array().unwrap().iter();
    names.map(|topic| topic["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_dropped_job_takes_its_own_topics_with_it_and_leaves_its_outputs() {
    let server = Server::with_clicks(0..20);
    server.submit("", COUNTS).expect(201);
    server.wait_for_counts(0..20);
    let own = ["flow.counts.changelog", "flow.counts.epochs"];
    assert_eq!(topics(&server), [&["clicks", "counts"], &own[..]].concat());
    server.ask("DELETE", "/v1/jobs/counts?state=keep", None).expect(204);
    assert_eq!(topics(&server).len(), 4, "its state stays");
    server.submit("", COUNTS).expect(201);
    server.wait_for_state("counts", "running");
    server.ask("DELETE", "/v1/jobs/counts", None).expect(204);
    assert_eq!(topics(&server), ["clicks", "counts"]);
    server.submit("", COUNTS).expect(201);
    server.wait_for_input("counts", 20);
}

#[test]
fn a_drop_that_was_cut_off_is_finished_at_the_next_start() {
    let server = Server::with_clicks(0..20);
    server.submit("", COUNTS).expect(201);
    server.wait_for_counts(0..20);
    let sandbox = server.kill();
    // As if the server had died after the wish was written, and half of the topics were gone.
    let record = "data/server/jobs/counts/job.json";
    let wish = sandbox.read(record).replace("\"running\"", "\"dropped\"");
    sandbox.write(record, wish);
    sandbox.delete_topic("flow.counts.changelog");
    let server = Server::start_in(sandbox, &[]);
    until("the job is gone", || (server.get("/v1/jobs/counts").status == 404).then_some(()));
    assert_eq!(topics(&server), ["clicks", "counts"]);
    assert!(!server.sandbox.path("data/jobs/counts").exists());
}

#[test]
fn a_version_that_is_to_start_anew_does_so_once_also_over_a_kill() {
    let server = Server::with_clicks(0..20);
    server.submit("", COUNTS).expect(201);
    server.wait_for_counts(0..20);
    server.submit("?fresh=true", COUNTS).expect(200);
    server.wait_for("counts", "started anew", |job| {
        job["version"] == 2 && job["state"] == "running" && job["metrics"]["lag"] == 0
    });
    let server = Server::start_in(server.kill(), &[]);
    server.sandbox.produce("clicks", "page", &clicks(20..25));
    server.wait_for_counts(0..25);
    let job = server.wait_for_state("counts", "running");
    assert_eq!(job["metrics"]["records_in"], 5, "{job}");
}

#[test]
fn a_job_that_fails_stays_stopped_with_its_error_and_touches_no_other() {
    let server = Server::with_clicks(0..20);
    server.submit("", COUNTS).expect(201);
    let divide = "SET 'job.name' = 'divide';
CREATE STREAM pairs (a BIGINT, b BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE STREAM quotients WITH (connector = 'kafka', format = 'json');
INSERT INTO quotients SELECT a / b AS q FROM pairs;";
    server.sandbox.fill("pairs", 1, "a", "{\"a\":1,\"b\":0}\n");
    server.submit("", divide).expect(201);
    let failed = server.wait_for_state("divide", "failed");
    let error = failed["error"].as_str().unwrap().to_string();
    for part in ["record pairs-0@0", "division by zero", "'error.policy' = 'skip'"] {
        assert!(error.contains(part), "{error}");
    }
    let lines = server.get("/v1/jobs/divide/logs").expect(200)["lines"].to_string();
    assert!(lines.contains("division by zero"), "{lines}");
    server.wait_for_counts(0..20);
    assert_eq!(server.get("/v1/jobs/counts").json()["failures"], 0);

    // The command shows the same.
    let sandbox = server.interrupt();
    sandbox.write("divide.flow", divide);
    let ran = sandbox.flow(&["run", "divide.flow", "--local", "data"]);
    let same = error.replace("program.flow", "divide.flow");
    ran.expect(4, &[&same]);

    // It stays failed over a restart, and starts when it is asked to.
    let server = Server::start_in(sandbox, &[]);
    assert_eq!(server.get("/v1/jobs/divide").json()["state"], "failed");
    let skip = format!("SET 'error.policy' = 'skip'; {divide}");
    server.submit("", &skip).expect(200);
    let job = server.wait_for_state("divide", "running");
    assert_eq!(job["error"], Value::Null);
}

#[test]
fn a_job_that_ends_has_finished() {
    let server = Server::with_clicks(0..12);
    let bounded = COPY.replace(
        "format = 'json');\nCREATE STREAM copies",
        "format = 'json', 'scan.bounded.mode' = 'latest-offset');\nCREATE STREAM copies",
    );
    server.submit("", &bounded).expect(201);
    server.wait_for_state("copy", "finished");
    assert_eq!(server.sandbox.all("copies").len(), 12);
    let server = Server::start_in(server.kill(), &[]);
    assert_eq!(server.get("/v1/jobs/copy").json()["state"], "finished");
}

#[test]
fn a_dropped_job_begins_anew_unless_its_state_was_kept() {
    let server = Server::with_clicks(0..10);
    server.submit("", COUNTS).expect(201);
    server.wait_for_input("counts", 10);
    server.ask("DELETE", "/v1/jobs/counts?state=keep", None).expect(204);
    server.sandbox.produce("clicks", "page", &clicks(10..14));
    server.submit("", COUNTS).expect(201);
    server.wait_for_counts(0..14);
    server.wait_for_input("counts", 4);
    server.ask("DELETE", "/v1/jobs/counts", None).expect(204);
    server.submit("", COUNTS).expect(201);
    server.wait_for_input("counts", 14);
    server.wait_for_counts(0..14);
}

#[test]
fn two_servers_on_one_folder_are_refused_and_the_first_is_named() {
    let mut server = Server::start();
    let pid = server.running().pid().to_string();
    let second = ["server", "--local", "data", "--listen", "127.0.0.1:0"];
    server.sandbox.flow(&second).expect(4, &[&format!("process {pid} is a server on data")]);
    let elsewhere = [&second[..], &["--data", "elsewhere"]].concat();
    server.sandbox.flow(&elsewhere).expect(4, &[&pid, "embedded log"]);
    server.get("/health").expect(200);
}

#[test]
fn rows_of_a_print_stream_go_to_the_jobs_log() {
    let server = Server::with_clicks(0..3);
    let program = "SET 'job.name' = 'shown';
CREATE STREAM clicks (page STRING, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE STREAM shown WITH (connector = 'print');
INSERT INTO shown SELECT n FROM clicks;";
    server.submit("", program).expect(201);
    let lines = until("three rows are shown", || {
        let found = server.get("/v1/jobs/shown/logs").expect(200);
        let lines = found["lines"].as_array()?.clone();
        let rows: Vec<_> = lines.into_iter().filter(|l| l["level"] == "PRINT").collect();
        (rows.len() == 3).then_some(rows)
    });
    let text = lines[0]["text"].as_str().unwrap().split_once("> ").unwrap().1;
    assert_eq!(canonical(text.trim_start_matches('+')), "{\"n\":0}");
    let number = lines[1]["number"].as_u64().unwrap();
    let later = server.get(&format!("/v1/jobs/shown/logs?after={number}")).expect(200);
    assert_eq!(later["lines"][0]["number"], number + 1);
}

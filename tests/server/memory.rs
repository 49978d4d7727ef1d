//! Jobs and questions that want more memory than they may use.

use serde_json::{Value, json};

use super::{COPY, Sandbox, Server, clicks, until};

/// Pairs every click with every other.
const PAIRS: &str = "
SET 'job.name' = 'pairs';
CREATE STREAM clicks (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE STREAM pairs WITH (connector = 'blackhole');
INSERT INTO pairs
SELECT a.page AS a, b.page AS b FROM clicks AS a JOIN clicks AS b ON a.n - a.n = b.n - b.n;
";

/// Keeps a row a number.
const KEYS: &str = "
SET 'job.name' = 'keys';
CREATE STREAM keys (k BIGINT NOT NULL, text STRING) WITH (connector = 'kafka', format = 'json');
CREATE MATERIALIZED VIEW kept AS SELECT k, COUNT(*) AS n, MAX(text) AS text FROM keys GROUP BY k;
";

/// Rows of `keys`, each of its own key.
const ROWS: u64 = 60_000;

/// A server with so much memory for all its jobs.
fn with_memory(sandbox: Sandbox, memory: &str) -> Server {
    sandbox.write("small.toml", format!("memory = \"{memory}\"\n"));
    Server::start_in(sandbox, &["--config", "small.toml"])
}

fn memory_of(job: &Value) -> u64 {
    job["memory_bytes"].as_u64().expect("bytes")
}

#[test]
fn a_job_whose_rows_do_not_fit_stops_with_the_reason_and_its_neighbour_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.fill("clicks", 1, "page", &clicks(0..6_000));
    let server = with_memory(sandbox, "32MB");
    server.submit("", COPY).expect(201);
    server.submit("", PAIRS).expect(201);
    let failed = server.wait_for_state("pairs", "failed");
    let error = failed["error"].as_str().expect("an error");
    assert!(error.contains("join makes more rows") && error.contains("MB of memory"), "{error}");
    assert!(error.contains("epoch.max.records"), "it says what to do: {error}");
    server.sandbox.produce("clicks", "page", &clicks(6_000..6_010));
    server.wait_for_input("copy", 6_010);
    assert_eq!(server.get("/v1/jobs/copy").json()["failures"], 0);
    // It stays stopped over a restart, and alone.
    let server = Server::start_in(server.kill(), &["--config", "small.toml"]);
    server.wait_for_state("copy", "running");
    server.wait_for_state("pairs", "failed");
}

#[test]
fn a_job_with_more_state_than_memory_spills_and_its_neighbour_goes_on() {
    let sandbox = Sandbox::new();
    let row = |k: u64| format!("{{\"k\":{k},\"text\":\"{}\"}}\n", "x".repeat(100));
    sandbox.fill("keys", 2, "k", &(0..ROWS).map(row).collect::<String>());
    sandbox.fill("clicks", 1, "page", &clicks(0..10));
    let server = with_memory(sandbox, "4MB");
    server.submit("", COPY).expect(201);
    server.submit("", KEYS).expect(201);
    let share = 2 << 20;
    let job = server.wait_for("keys", "at the end, with its state on disk", |job| {
        let metrics = &job["metrics"];
        let in_memory = metrics["state_memory_bytes"].as_u64().unwrap_or(u64::MAX);
        let on_disk = metrics["state_disk_bytes"].as_u64() > Some(share);
        metrics["records_in"] == ROWS && metrics["lag"] == 0 && in_memory <= share && on_disk
    });
    assert_eq!(memory_of(&job), share);
    let sql = "SELECT COUNT(*) AS keys, SUM(n) AS n, MAX(k) AS last FROM kept";
    let rows = json!([{"keys": ROWS, "n": ROWS, "last": ROWS - 1}]);
    until("all rows are kept", || {
        let answer = server.post("/v1/query", &json!({ "sql": sql }));
        (answer.status == 200 && answer.json()["rows"] == rows).then_some(())
    });
    server.sandbox.produce("clicks", "page", &clicks(10..20));
    server.wait_for_input("copy", 20);
}

#[test]
fn memory_is_shared_by_the_jobs_that_run() {
    let sandbox = Sandbox::new();
    sandbox.fill("clicks", 1, "page", &clicks(0..10));
    let server = with_memory(sandbox, "64MB");
    let wait_for = |job: &str, megabytes: u64| {
        server.wait_for(job, &format!("with {megabytes} MB"), |job| {
            job["state"] == "running" && memory_of(job) == megabytes << 20
        });
    };
    server.submit("", COPY).expect(201);
    wait_for("copy", 64);
    server.submit("?name=other", COPY).expect(201);
    wait_for("other", 32);
    wait_for("copy", 32);
    server.ask("POST", "/v1/jobs/other/pause", None).expect(200);
    wait_for("copy", 64);
    assert_eq!(memory_of(&server.get("/v1/jobs/other").json()), 0);
    server.ask("POST", "/v1/jobs/other/resume", None).expect(200);
    wait_for("copy", 32);
}

#[test]
fn a_question_that_wants_too_much_is_refused_and_others_are_answered() {
    let sandbox = Sandbox::new();
    let row = |k: u64| format!("{{\"k\":{k},\"text\":\"x\"}}\n");
    sandbox.fill("keys", 1, "k", &(0..20_000).map(row).collect::<String>());
    let server = Server::start_in(sandbox, &[]);
    server.submit("", KEYS).expect(201);
    let all = json!({"sql": "SELECT COUNT(*) AS keys FROM kept"});
    until("all rows are kept", || {
        let answer = server.post("/v1/query", &all);
        (answer.status == 200 && answer.json()["rows"][0]["keys"] == 20_000).then_some(())
    });
    let pairs = "SELECT MAX(a.k + b.k) AS most FROM kept AS a JOIN kept AS b ON a.n = b.n";
    let refused = server.post("/v1/query", &json!({ "sql": pairs }));
    refused.tells(422, "MB of memory");
    let followed = server.post("/v1/query/stream", &json!({ "sql": pairs }));
    followed.tells(422, "MB of memory");
    let one = json!({"sql": "SELECT n FROM kept WHERE k = 7"});
    assert_eq!(server.post("/v1/query", &one).expect(200)["rows"], json!([{"n": 1}]));
    assert_eq!(server.get("/v1/jobs/keys").json()["state"], "running");
}

/// A row that is there a million million times when a thousand equal ones have come.
const OFTEN: &str = "
CREATE STREAM ones (k BIGINT NOT NULL) WITH (connector = 'kafka', format = 'json');
CREATE VIEW pairs AS SELECT a.k FROM ones AS a LEFT JOIN ones AS b ON a.k = b.k;
CREATE VIEW often AS SELECT a.k FROM pairs AS a LEFT JOIN pairs AS b ON a.k = b.k;
";

#[test]
fn a_row_that_is_there_very_often_is_counted_and_not_written_out() {
    let sandbox = Sandbox::new();
    sandbox.fill("ones", 1, "k", &"{\"k\":1}\n".repeat(1_000));
    sandbox.fill("clicks", 1, "page", &clicks(0..10));
    let server = with_memory(sandbox, "64MB");
    server.submit("", COPY).expect(201);
    let view = format!("{OFTEN}CREATE MATERIALIZED VIEW kept AS SELECT k FROM often;");
    server.submit("?name=keeps", &view).expect(201);
    server.wait_for_rows("SELECT COUNT(*) AS n FROM kept", &json!([{"n": 1_000_000_000_000_u64}]));
    let rows = server.post("/v1/query", &json!({"sql": "SELECT k FROM kept LIMIT 2"})).expect(200);
    assert_eq!(rows["rows"], json!([{"k": 1}, {"k": 1}]));
    let all = json!({"sql": "SELECT k FROM kept"});
    server.post("/v1/query", &all).tells(422, "the answer has 1000000000000 rows");
    let list = json!({"sql": "SELECT ARRAY_AGG(k) AS ks FROM kept"});
    server.post("/v1/query", &list).tells(422, "the result is out of range");
    // Pairs of it are more than can be counted.
    let pairs = json!({"sql": "SELECT COUNT(*) AS n FROM kept AS a JOIN kept AS b ON a.k = b.k"});
    server.post("/v1/query", &pairs).tells(422, "makes more rows");
    // The changes of a topic are records, one each time.
    let sink = "CREATE STREAM changes WITH (connector = 'kafka', format = 'debezium-json');
        INSERT INTO changes SELECT k FROM often;";
    server.submit("?name=writes", &format!("{OFTEN}{sink}")).expect(201);
    let failed = server.wait_for_state("writes", "failed");
    let error = failed["error"].as_str().expect("an error");
    assert!(error.contains("changes makes more rows") && error.contains("MB of memory"), "{error}");
    server.sandbox.produce("clicks", "page", &clicks(10..20));
    server.wait_for_input("copy", 20);
    assert_eq!(server.get("/v1/jobs/copy").json()["failures"], 0);
}

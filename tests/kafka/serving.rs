//! A server whose jobs and commands are on a real broker.

use serde_json::{Value, json};

use crate::command::Sandbox;
use crate::server::{Server, clicks, until};
use crate::support::Broker;

/// Counts per page, as a view.
const PAGES: &str = "
SET 'job.name' = '${JOB}';
CREATE STREAM clicks (page STRING NOT NULL, n BIGINT)
WITH (connector = 'kafka', topic = '${TOPIC}', format = 'json');
CREATE MATERIALIZED VIEW pages AS
SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM clicks GROUP BY page;
";

const ALL: &str = "SELECT page, clicks, n FROM pages ORDER BY page";

/// What `pages` holds after these clicks.
fn pages(numbers: std::ops::Range<u64>) -> Value {
    let of = |page: u64| numbers.clone().filter(move |n| n % 3 == page);
    let row = |page: u64| {
        let (clicks, n) = (of(page).count(), of(page).sum::<u64>());
        json!({"page": format!("p{page}"), "clicks": clicks, "n": n})
    };
    Value::from((0..3).map(row).collect::<Vec<_>>())
}

fn program(job: &str, topic: &str) -> String {
    PAGES.replace("${JOB}", job).replace("${TOPIC}", topic)
}

#[test]
fn a_command_is_written_once_and_a_view_is_read_after_it() {
    let broker = Broker::shared();
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    sandbox.must(&["topic", "create", "typed", "--partitions", "3"]);
    let server = Server::on_kafka(sandbox, &[]);
    server.submit("", &program("typed", "typed")).expect(201);
    server.wait_for_state("typed", "running");
    let send = |server: &Server, key: &str, body: &Value| {
        let body = body.to_string();
        let body = Some(("application/json", body.as_bytes()));
        server.ask_with("POST", "/v1/streams/clicks", body, &[("Idempotency-Key", key)])
    };
    let read_after = |server: &Server, token: &Value| {
        let sql = "SELECT clicks, n FROM pages WHERE page = 'p'";
        let asked = json!({"sql": sql, "at_least": token, "timeout_ms": 60_000});
        server.post("/v1/query", &asked).expect(200)["rows"].clone()
    };
    // Each write is in the answer to a question that carries its token.
    for n in 1..=20_u64 {
        let written = send(&server, &format!("k{n}"), &json!({"page": "p", "n": n})).expect(200);
        assert_eq!((&written["records"], &written["repeated"]), (&json!(1), &json!(false)));
        let sum = n * (n + 1) / 2;
        assert_eq!(read_after(&server, &written["token"]), json!([{"clicks": n, "n": sum}]));
    }
    let again = send(&server, "k20", &json!({"page": "p", "n": 20})).expect(200);
    assert_eq!(again["repeated"], true);
    send(&server, "k20", &json!({"page": "p", "n": 21})).tells(422, "another request");

    // The keys are in the log, with what was written under them.
    let server = Server::on_kafka(server.kill(), &[]);
    server.wait_for_state("typed", "running");
    let again = send(&server, "k20", &json!({"page": "p", "n": 20})).expect(200);
    assert_eq!(again["repeated"], true);
    assert_eq!(read_after(&server, &again["token"]), json!([{"clicks": 20, "n": 210}]));
    let next = send(&server, "k21", &json!({"page": "p", "n": 21})).expect(200);
    assert_eq!(next["repeated"], false);
    assert_eq!(read_after(&server, &next["token"]), json!([{"clicks": 21, "n": 231}]));
    assert_eq!(server.sandbox.all("typed").len(), 21);
}

#[test]
fn a_token_that_is_not_reached_in_time_is_told() {
    let broker = Broker::shared();
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    sandbox.must(&["topic", "create", "paused"]);
    let server = Server::on_kafka(sandbox, &[]);
    server.submit("", &program("paused", "paused")).expect(201);
    // Another job keeps the stream open for commands.
    let other = program("paused-too", "paused").replace("VIEW pages", "VIEW others");
    server.submit("", &other).expect(201);
    server.wait_for_state("paused", "running");
    server.wait_for_state("paused-too", "running");
    server.ask("POST", "/v1/jobs/paused/pause", None).expect(200);
    let click = json!({"page": "p", "n": 1});
    let written = server.post("/v1/streams/clicks?job=paused-too", &click).expect(200);
    let asked = json!({"sql": ALL, "at_least": written["token"], "timeout_ms": 300});
    server.post("/v1/query", &asked).tells(504, "has not read what the token stands for");
    server.ask("POST", "/v1/jobs/paused/resume", None).expect(200);
    let asked = json!({"sql": ALL, "at_least": written["token"], "timeout_ms": 60_000});
    let rows = server.post("/v1/query", &asked).expect(200)["rows"].clone();
    assert_eq!(rows, json!([{"page": "p", "clicks": 1, "n": 1}]));
}

#[test]
fn a_server_that_is_killed_goes_on_with_its_jobs_and_views() {
    let broker = Broker::shared();
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    sandbox.fill("survived", 2, "page", &clicks(0..30));
    let mut server = Server::on_kafka(sandbox, &[]);
    server.submit("", &program("survives", "survived")).expect(201);
    server.wait_for_rows(ALL, &pages(0..30));
    // It dies while it reads, at rest, and before it has started.
    for (round, dies) in
        [Dies::Reading, Dies::Resting, Dies::Starting, Dies::Reading].iter().enumerate()
    {
        let (from, to) = (30 + 60 * round as u32, 90 + 60 * round as u32);
        let expected = pages(0..u64::from(to));
        match dies {
            Dies::Reading => {
                server.sandbox.produce("survived", "page", &clicks(from..to));
                server = Server::on_kafka(server.kill(), &[]);
            }
            Dies::Resting => {
                server.sandbox.produce("survived", "page", &clicks(from..to));
                server.wait_for_rows(ALL, &expected);
                let epoch = epoch(&server);
                server = Server::on_kafka(server.kill(), &[]);
                until("the view is back, no older than it was", || {
                    let answer = server.post("/v1/query", &json!({"sql": ALL}));
                    if answer.status != 200 {
                        return None;
                    }
                    assert!(answer.json()["at"][0]["epoch"].as_u64() >= Some(epoch), "{answer:?}");
                    assert_eq!(answer.json()["rows"], expected);
                    Some(())
                });
            }
            Dies::Starting => {
                let sandbox = Server::on_kafka(server.kill(), &[]).kill();
                sandbox.produce("survived", "page", &clicks(from..to));
                server = Server::on_kafka(sandbox, &[]);
            }
        }
        server.wait_for_rows(ALL, &expected);
    }
    let job = server.wait_for_state("survives", "running");
    assert_eq!((&job["failures"], &job["error"]), (&json!(0), &Value::Null), "{job}");
}

/// When the server is killed.
enum Dies {
    Reading,
    Resting,
    Starting,
}

fn epoch(server: &Server) -> u64 {
    let answer = server.post("/v1/query", &json!({"sql": ALL})).expect(200);
    answer["at"][0]["epoch"].as_u64().expect("an epoch")
}

#[test]
fn a_paused_job_holds_no_thread_and_no_client() {
    let broker = Broker::shared();
    let sandbox = Sandbox::on_kafka(&broker.bootstrap());
    sandbox.fill("rested", 2, "page", &clicks(0..30));
    let server = Server::on_kafka(sandbox, &[]);
    let task = format!("/proc/{}/task", server.running.as_ref().expect("it runs").pid());
    // Of jobs, their workers, and the client library.
    let threads = || {
        let entries = std::fs::read_dir(&task).expect("its threads").flatten();
        let names = entries.filter_map(|e| std::fs::read_to_string(e.path().join("comm")).ok());
        let of_jobs = |name: &String| ["job", "worker", "rdk"].iter().any(|p| name.starts_with(p));
        names.filter(of_jobs).count()
    };
    let run = |job: &str, view: &str| {
        let source = program(job, "rested").replace("VIEW pages", &format!("VIEW {view}"));
        server.submit("", &source).expect(201);
        server.wait_for_rows(&ALL.replace("pages", view), &pages(0..30));
        let running = threads();
        server.ask("POST", &format!("/v1/jobs/{job}/pause"), None).expect(200);
        server.wait_for_state(job, "paused");
        running
    };
    run("rests-one", "one");
    // What is left is the server's own, whoever paused before.
    let at_rest = threads();
    assert!(run("rests-two", "two") > at_rest + 2, "a job that runs has threads");
    until("all that the second job had is gone", || (threads() <= at_rest).then_some(()));
}

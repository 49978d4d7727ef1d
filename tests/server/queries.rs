//! Questions to running jobs: views by SQL and by key, tokens, subscriptions, streams.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use flow_runtime::connect::Outgoing;
use serde_json::{Value, json};
use ureq::http::Request;

use super::{Sandbox, Server, clicks, until};

/// Counts per page, kept for readers, also by count.
const VIEWS: &str = "
SET 'job.name' = 'views';
CREATE STREAM clicks (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE MATERIALIZED VIEW counts AS
SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM clicks GROUP BY page;
CREATE INDEX by_clicks ON counts (clicks);
CREATE MATERIALIZED VIEW raised AS SELECT n FROM clicks WHERE n > 0;
";

const CLICKS: &str = "CREATE STREAM clicks (page STRING NOT NULL, n BIGINT)
WITH (connector = 'kafka', format = 'json');";

/// A server whose job `views` has read these clicks.
fn with_views(numbers: std::ops::Range<u32>) -> Server {
    let records = u64::from(numbers.end - numbers.start);
    let server = Server::with_clicks(numbers);
    server.submit("", VIEWS).expect(201);
    until("the views reflect the clicks", || {
        let at = server.try_query("SELECT COUNT(*) FROM counts")?["at"][0].clone();
        let offsets = at["offsets"].as_array()?.iter().map(|o| o["offset"].as_u64().unwrap_or(0));
        (at["epoch"] != 0 && offsets.sum::<u64>() == records).then_some(())
    });
    server
}

impl Server {
    fn query(&self, sql: &str) -> Value {
        self.post("/v1/query", &json!({ "sql": sql })).expect(200)
    }

    /// The same once the job offers its views.
    fn try_query(&self, sql: &str) -> Option<Value> {
        let answer = self.post("/v1/query", &json!({ "sql": sql }));
        (answer.status == 200).then(|| answer.json())
    }

    fn follow(&self, question: &Value) -> Events {
        let uri = format!("{}/v1/query/stream", self.address);
        let request = Request::post(uri).header("Content-Type", "application/json");
        let request = request.body(question.to_string()).expect("a request");
        let answer = self.agent.run(request).expect("it answers");
        assert_eq!(answer.status().as_u16(), 200);
        Events(Box::new(BufReader::new(answer.into_body().into_reader())))
    }
}

/// Server-sent events.
struct Events(Box<dyn BufRead>);

impl Events {
    /// The next event: its name and data.
    fn next(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).expect("it goes on") > 0, "no event comes");
            if let Some(found) = line.strip_prefix("event: ") {
                name = found.trim().to_string();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).expect("JSON"));
            }
        }
    }

    /// The next event, which has this name.
    fn expect(&mut self, name: &str) -> Value {
        let (found, data) = self.next();
        assert_eq!(found, name, "{data}");
        data
    }
}

#[test]
fn views_answer_sql_with_the_epoch_and_offsets_that_they_reflect() {
    let server = with_views(0..30);
    let rows = |sql: &str| server.query(sql)["rows"].clone();
    let one = json!([{"page": "p1", "clicks": 10, "n": 145}]);
    let sql = "SELECT * FROM counts WHERE page = 'p1'";
    server.wait_for_rows(sql, &one);
    assert_eq!(
        rows("SELECT page FROM counts ORDER BY n DESC LIMIT 2"),
        json!([{"page": "p2"}, {"page": "p1"}])
    );
    assert_eq!(
        rows("SELECT page FROM counts ORDER BY n LIMIT 1 OFFSET 1"),
        json!([{"page": "p1"}])
    );
    assert_eq!(rows("SELECT SUM(n) AS n, COUNT(*) FROM counts"), json!([{"n": 435, "count": 3}]));
    assert_eq!(
        rows("SELECT COUNT(*) AS n FROM counts WHERE clicks BETWEEN 10 AND 12"),
        json!([{"n": 3}])
    );
    assert_eq!(rows("SELECT COUNT(*) AS n FROM counts WHERE clicks > 10"), json!([{"n": 0}]));
    assert_eq!(
        rows("SELECT a.page FROM counts AS a JOIN raised AS r ON a.n = r.n + 116 ORDER BY 1"),
        json!([{"page": "p0"}, {"page": "p1"}])
    );
    assert_eq!(
        rows("SELECT page, page FROM counts WHERE page = 'p0'"),
        json!([{"page": "p0", "page_2": "p0"}])
    );
    let answer = server.query(sql);
    assert_eq!(answer["columns"][0], json!({"name": "page", "type": "STRING NOT NULL"}));
    let at = &answer["at"][0];
    assert_eq!(at["job"], "views");
    assert!(at["epoch"].as_u64().unwrap() > 0, "{at}");
    let read: i64 =
        at["offsets"].as_array().unwrap().iter().map(|o| o["offset"].as_i64().unwrap()).sum();
    assert_eq!(read, 30, "{at}");
    // Without SQL, by key, by index and by any column.
    let found = |path: &str| server.get(path).expect(200)["rows"].clone();
    assert_eq!(found("/v1/views/counts/rows?page=p1"), one);
    assert_eq!(found("/v1/views/counts/rows?clicks=10&limit=9").as_array().unwrap().len(), 3);
    assert_eq!(found("/v1/views/counts/rows?n=145&job=views"), one);
    assert_eq!(found("/v1/views/counts/rows?page=none"), json!([]));
    let views = server.get("/v1/views").expect(200);
    assert_eq!(views[0]["key"], json!(["page"]));
    assert_eq!(views[0]["indexes"], json!([{"name": "by_clicks", "columns": ["clicks"]}]));
    assert_eq!(views[1]["key"], Value::Null);
}

#[test]
fn what_was_written_is_read_by_its_token() {
    let server = with_views(0..3);
    for n in 1..20 {
        let written = server.post("/v1/streams/clicks", &json!({"page": "q", "n": 1})).expect(200);
        let asked = json!({
            "sql": "SELECT clicks FROM counts WHERE page = 'q'", "at_least": written["token"],
        });
        let answer = server.post("/v1/query", &asked).expect(200);
        assert_eq!(answer["rows"], json!([{ "clicks": n }]));
        let token = written["token"].as_str().unwrap();
        let found = server.get(&format!("/v1/views/counts/rows?page=q&at_least={token}"));
        assert_eq!(found.expect(200)["rows"][0]["clicks"], n);
    }
    server.post("/v1/query", &json!({"sql": "SELECT * FROM counts", "at_least": "x"})).expect(400);
    // {"clicks":[1000,1000]}: nobody has written so much.
    let far = "eyJjbGlja3MiOlsxMDAwLDEwMDBdfQ";
    let asked = json!({"sql": "SELECT * FROM counts", "at_least": far, "timeout_ms": 50});
    server.post("/v1/query", &asked).tells(504, "has not read");
}

#[test]
fn a_subscription_has_the_rows_then_every_change_and_goes_on_from_an_epoch() {
    let server = with_views(0..3);
    server.wait_for_rows("SELECT COUNT(*) AS n FROM counts", &json!([{"n": 3}]));
    let mut all = server.follow(&json!({"sql": "SUBSCRIBE TO counts"}));
    assert_eq!(all.expect("columns")["columns"][1]["name"], "clicks");
    let first = all.expect("rows");
    assert_eq!(first["changes"].as_array().unwrap().len(), 3);
    let mut sums = server.follow(&json!({
        "sql": "SUBSCRIBE TO SELECT SUM(clicks) AS c FROM counts WHERE page <> 'p0'"
    }));
    sums.expect("columns");
    assert_eq!(sums.expect("rows")["changes"], json!([[1, {"c": 2}]]));
    server.post("/v1/streams/clicks", &json!({"page": "p1", "n": 5})).expect(200);
    let change = json!([
        [-1, {"page": "p1", "clicks": 1, "n": 1}], [1, {"page": "p1", "clicks": 2, "n": 6}]
    ]);
    let second = all.expect("rows");
    assert_eq!(second["changes"], change);
    assert_eq!(sums.expect("rows")["changes"], json!([[-1, {"c": 2}], [1, {"c": 3}]]));
    let epoch = first["at"][0]["epoch"].clone();
    assert!(second["at"][0]["epoch"].as_u64() > epoch.as_u64());
    let mut later = server.follow(&json!({"sql": "SUBSCRIBE TO counts", "after_epoch": epoch}));
    later.expect("columns");
    assert_eq!(later.expect("rows")["changes"], change);
    let sum = json!({"sql": "SUBSCRIBE TO SELECT SUM(n) AS n FROM counts", "after_epoch": epoch});
    server.post("/v1/query/stream", &sum).tells(422, "filters and projects");
    let asked = json!({"sql": "SUBSCRIBE TO counts"});
    server.post("/v1/query", &asked).tells(422, "/v1/query/stream");
    // A view that is dropped ends what follows it.
    server.ask("DELETE", "/v1/jobs/views", None);
    assert_eq!(all.expect("end")["reason"], "gone");
}

#[test]
fn a_socket_tells_the_same() {
    let server = with_views(0..3);
    server.wait_for_rows("SELECT COUNT(*) AS n FROM counts", &json!([{"n": 3}]));
    server.get("/v1/query/socket?sql=SELECT+1").expect(400);
    let mut socket = TcpStream::connect(server.host()).expect("it accepts");
    let sql = "SUBSCRIBE+TO+SELECT+page+FROM+counts+WHERE+page+%3D+%27p1%27";
    let ask = format!(
        "GET /v1/query/socket?sql={sql} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(ask.as_bytes()).expect("it reads");
    let mut socket = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(socket.read_line(&mut head).expect("a head") > 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let mut message = || {
        let mut start = [0; 2];
        socket.read_exact(&mut start).expect("a frame");
        assert_eq!((start[0], start[1] & 0x80), (0x81, 0), "a whole text, not masked");
        let mut length = usize::from(start[1]);
        if length == 126 {
            let mut more = [0; 2];
            socket.read_exact(&mut more).expect("its length");
            length = usize::from(u16::from_be_bytes(more));
        }
        let mut text = vec![0; length];
        socket.read_exact(&mut text).expect("its text");
        serde_json::from_slice::<Value>(&text).expect("JSON")
    };
    assert_eq!(message()["columns"][0]["name"], "page");
    assert_eq!(message()["changes"], json!([[1, {"page": "p1"}]]));
}

#[test]
fn views_outlive_kills_and_pauses_and_go_with_their_job() {
    let server = with_views(0..30);
    let sql = "SELECT page, n FROM counts ORDER BY page";
    let rows = json!([
        {"page": "p0", "n": 135}, {"page": "p1", "n": 145}, {"page": "p2", "n": 155}
    ]);
    server.wait_for_rows(sql, &rows);
    let server = Server::start_in(server.kill(), &[]);
    server.wait_for_state("views", "running");
    server.wait_for_rows(sql, &rows);
    server.ask("POST", "/v1/jobs/views/pause", None).expect(200);
    server.wait_for_state("views", "paused");
    assert_eq!(server.query(sql)["rows"], rows, "a job that rests is read");
    server.ask("POST", "/v1/jobs/views/resume", None).expect(200);
    server.wait_for_state("views", "running");
    server.post("/v1/streams/clicks", &json!({"page": "p0", "n": 1})).expect(200);
    server.wait_for_rows("SELECT n FROM counts WHERE page = 'p0'", &json!([{"n": 136}]));
    server.ask("DELETE", "/v1/jobs/views", None);
    until("the views are gone", || {
        (server.get("/v1/views").expect(200) == json!([])).then_some(())
    });
    server.get("/v1/views/counts/rows").expect(404);
    server.post("/v1/query", &json!({ "sql": sql })).tells(400, "counts");
}

#[test]
fn streams_are_read_to_their_end_or_followed() {
    let sandbox = Sandbox::new();
    sandbox.fill("clicks", 2, "page", &clicks(0..30));
    let server = Server::start_in(sandbox, &[]);
    let ask = |sql: &str| {
        server.post("/v1/query", &json!({ "sql": sql, "declarations": CLICKS })).expect(200)["rows"]
            .clone()
    };
    assert_eq!(ask("SELECT n FROM clicks WHERE n >= 28 ORDER BY n"), json!([{"n": 28}, {"n": 29}]));
    assert_eq!(
        ask("SELECT page FROM clicks WHERE page = 'p1' LIMIT 2"),
        json!([{"page": "p1"}, {"page": "p1"}])
    );
    assert_eq!(
        ask("SELECT page, COUNT(*) AS c FROM clicks GROUP BY page ORDER BY page DESC LIMIT 1"),
        json!([{"page": "p2", "c": 10}])
    );
    assert_eq!(ask("SELECT n FROM clicks WHERE n > 100"), json!([]));
    let mut live = server.follow(&json!({
        "sql": "SELECT page, COUNT(*) AS c FROM clicks WHERE page = 'p1' GROUP BY page",
        "declarations": CLICKS,
    }));
    live.expect("columns");
    let mut counted = 0;
    while counted < 10 {
        let changes = live.expect("rows")["changes"].clone();
        counted = changes.as_array().unwrap().last().unwrap()[1]["c"].as_i64().unwrap();
    }
    server.submit("", super::COPY).expect(201);
    server.wait_for_state("copy", "running");
    server.post("/v1/streams/clicks", &json!({"page": "p1", "n": 1})).expect(200);
    let change = json!([[-1, {"page": "p1", "c": 10}], [1, {"page": "p1", "c": 11}]]);
    assert_eq!(live.expect("rows")["changes"], change);
    let records = server.get("/v1/topics/clicks/records?from=beginning&limit=2");
    let records = records.text;
    assert!(
        records.contains("event: record") && records.contains("\"reason\":\"limit\""),
        "{records}"
    );
    server.get("/v1/topics/none/records").expect(404);
}

#[test]
fn what_cannot_be_answered_is_told_at_its_place() {
    let server = with_views(0..3);
    let ask = |sql: &str| server.post("/v1/query", &json!({ "sql": sql }));
    let mistake = ask("SELECT pag FROM counts").expect(400);
    let shown = mistake["diagnostics"].as_str().unwrap();
    assert!(shown.contains("query:1:8") && shown.contains("page"), "{shown}");
    ask("SELECT * FROM count").tells(400, "counts");
    ask("").expect(400);
    ask("SELECT 1 / (n - n) AS x FROM counts").tells(422, "division by zero");
    ask("SELECT * FROM counts; SELECT 1").expect(400);
    server.post("/v1/query", &json!({"sq": "x"})).expect(400);
    server.get("/v1/views/counts/rows?pag=1").tells(422, "page");
    server.get("/v1/views/counts/rows?clicks=many").tells(422, "BIGINT");
    server.get("/v1/views/counts/rows?limit=x").expect(400);
    server.get("/v1/views/none/rows").expect(404);
}

#[test]
fn the_command_line_asks_the_same() {
    let server = with_views(0..30);
    let ask = |rest: &[&str]| {
        let sql = "SELECT page, n FROM counts WHERE n > 135 ORDER BY page";
        let base = ["query", sql, "--server", server.address.as_str()];
        server.sandbox.must(&[&base, rest].concat())
    };
    assert_eq!(ask(&["--format", "csv"]), "page,n\np1,145\np2,155\n");
    assert_eq!(
        ask(&["--format", "json"]),
        "{\"page\":\"p1\",\"n\":145}\n{\"page\":\"p2\",\"n\":155}\n"
    );
    assert!(ask(&[]).contains("p1"), "{}", ask(&[]));
    server.sandbox.write("clicks.flow", CLICKS);
    let sql = "SELECT n FROM clicks WHERE n > 27 ORDER BY n LIMIT 1";
    let asked = ["query", sql, "--declarations", "clicks.flow", "--format", "csv", "--server"];
    assert_eq!(server.sandbox.must(&[&asked[..], &[&server.address]].concat()), "n\n28\n");
    let ended =
        server.sandbox.flow(&["query", "SELECT x FROM counts", "--server", &server.address]);
    assert_eq!(ended.status.code(), Some(1));
}

#[test]
fn the_current_time_is_one_for_all_rows_of_an_answer() {
    let server = with_views(0..30);
    let sql = "SELECT page, NOW() AS at FROM counts WHERE NOW() > TO_TIMESTAMP_LTZ(0, 3)";
    let rows = server.query(sql)["rows"].clone();
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["at"] == rows[0]["at"]), "{rows:?}");
    // Followed, it is of the moment at which it began, and ends.
    let mut events = server.follow(&json!({ "sql": sql }));
    events.expect("columns");
    assert_eq!(events.expect("rows")["changes"].as_array().expect("changes").len(), 3);
    assert_eq!(events.expect("end")["reason"], "finished");
    let subscribe = json!({"sql": format!("SUBSCRIBE TO {sql}")});
    server.post("/v1/query", &subscribe).tells(400, "E0808");
    let after = json!({"sql": sql, "after_epoch": 1});
    server.post("/v1/query/stream", &after).tells(422, "the current time");
}

#[test]
fn a_range_of_record_times_is_read_of_a_stream() {
    let server = Server::start();
    server.sandbox.fill("ticks", 1, "n", "");
    // Out of order: what is dated later may stand before what is dated earlier.
    for (n, at) in [(1, 1_000), (2, 5_000), (3, 3_000), (4, 4_000), (5, 9_000)] {
        let value = json!({ "n": n }).to_string();
        let (topic, value, timestamp) = ("ticks", Some(value.as_bytes()), Some(at));
        server.sandbox.produce_record(&Outgoing { topic, value, timestamp, ..Outgoing::default() });
    }
    let declarations =
        "CREATE STREAM ticks (n BIGINT, at TIMESTAMP_LTZ(3) METADATA FROM 'timestamp')
        WITH (connector = 'kafka', format = 'json');";
    let between = |from: i64, to: i64| {
        let sql = format!(
            "SELECT n FROM ticks WHERE at >= TO_TIMESTAMP_LTZ({from}, 3)
             AND at < TO_TIMESTAMP_LTZ({to}, 3) ORDER BY n"
        );
        let asked = json!({"declarations": declarations, "sql": sql});
        server.post("/v1/query", &asked).expect(200)["rows"].clone()
    };
    let numbers = |of: &[i64]| Value::from(of.iter().map(|n| json!({"n": n})).collect::<Vec<_>>());
    assert_eq!(between(0, 10_000), numbers(&[1, 2, 3, 4, 5]));
    assert_eq!(between(2_000, 5_000), numbers(&[3, 4]));
    assert_eq!(between(4_000, 10_000), numbers(&[2, 4, 5]));
    assert_eq!(between(10_000, 20_000), numbers(&[]));
}

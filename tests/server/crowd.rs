//! Many who ask views at once, and subscribers who do not read, or go.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{Sandbox, Server, clicks, until};

const VIEWS: &str = "
SET 'job.name' = 'views';
CREATE STREAM clicks (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE MATERIALIZED VIEW counts AS SELECT page, COUNT(*) AS clicks FROM clicks GROUP BY page;
";

/// How many ask at once.
const CROWD: usize = 500;

/// A server whose view has read these clicks, with these limits.
fn with_view(numbers: std::ops::Range<u32>, limits: &str) -> Server {
    let sandbox = Sandbox::new();
    sandbox.write("limits.toml", format!("[limits]\nrate = 100000\n{limits}\n"));
    let records = u64::from(numbers.end - numbers.start);
    sandbox.fill("clicks", 1, "page", &clicks(numbers));
    let server = Server::start_in(sandbox, &["--config", "limits.toml"]);
    server.submit("", VIEWS).expect(201);
    server.wait_for_input("views", records);
    until("the view can be asked", || (server.clicks_of_first_page()? > 0).then_some(()));
    server
}

impl Server {
    fn clicks_of_first_page(&self) -> Option<u64> {
        let sql = json!({"sql": "SELECT clicks FROM counts WHERE page = 'p0'"});
        let answer = self.post("/v1/query", &sql);
        (answer.status == 200).then(|| answer.json()["rows"][0]["clicks"].as_u64())?
    }

    /// A subscription to the view, as a plain connection whose head has been read.
    fn subscribe(&self) -> Option<BufReader<TcpStream>> {
        let body = json!({"sql": "SUBSCRIBE TO counts"}).to_string();
        let mut stream = TcpStream::connect(self.host()).expect("it accepts");
        let head = format!(
            "POST /v1/query/stream HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut lines = BufReader::new(stream);
        let mut status = String::new();
        lines.read_line(&mut status).expect("it answers");
        status.starts_with("HTTP/1.1 200").then_some(lines)
    }

    fn subscriptions(&self) -> u64 {
        self.get("/v1/views").json()[0]["subscriptions"].as_u64().expect("a number")
    }
}

/// The last number of clicks on the first page that a subscription tells, read until it is this.
fn follow_to(lines: &mut BufReader<TcpStream>, clicks: u64) {
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).expect("it goes on") > 0, "it ended before {clicks}");
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let event: Value = serde_json::from_str(data).expect("JSON");
        let changes = event["changes"].as_array().cloned().unwrap_or_default();
        let is_it = |change: &Value| {
            change[0] == 1 && change[1]["page"] == "p0" && change[1]["clicks"] == clicks
        };
        if changes.iter().any(is_it) {
            return;
        }
    }
}

#[test]
fn five_hundred_questions_and_five_hundred_subscribers_are_served_at_once() {
    let server = with_view(0..30, &format!("streams = {CROWD}\nconnections = 2000"));
    let mut subscribers: Vec<_> =
        (0..CROWD).map(|_| server.subscribe().expect("there is room")).collect();
    assert_eq!(server.subscriptions(), CROWD as u64);
    assert!(server.subscribe().is_none(), "one more than may");
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..CROWD)
            .map(|n| {
                let server = &server;
                let sql = match n % 3 {
                    0 => "SELECT clicks FROM counts WHERE page = 'p0'",
                    1 => "SELECT SUM(clicks) AS clicks FROM counts",
                    _ => "SELECT page, clicks FROM counts ORDER BY clicks DESC LIMIT 2",
                };
                scope.spawn(move || server.post("/v1/query", &json!({ "sql": sql })).status)
            })
            .collect();
        server.sandbox.produce("clicks", "page", &clicks(30..60));
        for asked in asked {
            assert_eq!(asked.join().expect("it is answered"), 200);
        }
    });
    // Every one of them is told what the clicks came to.
    for subscriber in &mut subscribers {
        follow_to(subscriber, 20);
    }
    assert_eq!(server.clicks_of_first_page(), Some(20));
}

#[test]
fn a_subscriber_that_goes_leaves_nothing_behind() {
    let server = with_view(0..30, "streams = 20\nseconds = 5");
    for _ in 0..3 {
        let mut gone: Vec<_> = (0..20).map(|_| server.subscribe().expect("room")).collect();
        // Some go in the middle of an answer, some before they have read anything.
        gone.iter_mut().take(10).for_each(|lines| {
            let _ = lines.read(&mut [0; 64]).expect("it goes on");
        });
        drop(gone);
        until("their places are free", || {
            server.sandbox.produce("clicks", "page", &clicks(0..3));
            (server.subscriptions() == 0).then_some(())
        });
    }
    assert_eq!(server.get("/v1/jobs/views").json()["state"], "running");
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_off_and_the_others_and_the_job_go_on() {
    let server = with_view(0..30, "streams = 2\nseconds = 5");
    let silent = server.subscribe().expect("there is room");
    let mut other = server.subscribe().expect("there is room");
    assert_eq!(server.subscriptions(), 2);
    let long = "p".repeat(20_000);
    let mut records = 30;
    until("the silent one is cut off", || {
        let pages: Vec<Value> =
            (0..100).map(|n| json!({"page": format!("{long}{}", records + n), "n": n})).collect();
        server.post("/v1/streams/clicks", &json!(pages)).expect(200);
        records += 100;
        // The other one takes what comes.
        other.get_mut().set_nonblocking(true).expect("a socket");
        let mut taken = [0; 1 << 16];
        while matches!(other.read(&mut taken), Ok(n) if n > 0) {}
        (server.subscriptions() == 1).then_some(())
    });
    drop(silent);
    server.wait_for_input("views", records);
    assert!(server.clicks_of_first_page() >= Some(10));
}

//! Too much, too large, too slow, not HTTP at all.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::{COPY, Sandbox, Server, until};

/// A server whose limits are small.
fn strict(limits: &str) -> Server {
    let sandbox = Sandbox::new();
    sandbox.write("strict.toml", format!("[limits]\n{limits}"));
    Server::start_in(sandbox, &["--config", "strict.toml"])
}

/// Everything that the server sends until it ends the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is reset has ended too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn five_hundred_requests_at_once_are_answered_and_the_job_goes_on() {
    let server = Server::with_clicks(0..30);
    server.submit("", COPY).expect(201);
    server.wait_for_state("copy", "running");
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..500)
            .map(|n| {
                let server = &server;
                scope.spawn(move || match n % 5 {
                    0 => server.get("/v1/jobs/copy").status,
                    1 => server.get("/metrics").status,
                    2 => server.get("/v1/topics").status,
                    3 => server.get("/v1/jobs/copy/plan").status,
                    _ => server.post("/v1/streams/clicks", &json!({"page": "p", "n": n})).status,
                })
            })
            .collect();
        for asked in asked {
            assert_eq!(asked.join().expect("it is answered"), 200);
        }
    });
    server.wait_for_input("copy", 130);
}

#[test]
fn five_hundred_followers_are_served_and_one_more_than_may_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("strict.toml", "[limits]\nstreams = 500\n");
    sandbox.fill("clicks", 1, "page", "");
    let server = Server::start_in(sandbox, &["--config", "strict.toml"]);
    server.submit("", COPY).expect(201);
    server.wait_for_state("copy", "running");
    let ask = "GET /v1/jobs/copy/logs?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let followers: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut stream = TcpStream::connect(server.host()).expect("it accepts");
            stream.write_all(ask.as_bytes()).expect("it reads");
            let mut first = [0; 12];
            stream.read_exact(&mut first).expect("it answers");
            assert_eq!(&first, b"HTTP/1.1 200");
            stream
        })
        .collect();
    server.get("/v1/jobs/copy/logs?follow=true").tells(503, "too many follow");
    server.get("/v1/jobs/copy").expect(200);
    drop(followers);
    until("there is room again", || {
        let mut stream = TcpStream::connect(server.host()).ok()?;
        stream.write_all(ask.as_bytes()).ok()?;
        let mut first = [0; 12];
        stream.read_exact(&mut first).ok()?;
        (&first == b"HTTP/1.1 200").then_some(())
    });
}

#[test]
fn bodies_that_are_too_large_or_malformed_are_refused() {
    let server = strict("body = \"10KB\"");
    let large = format!("{COPY} -- {}", "x".repeat(20_000));
    server.submit("", &large).tells(413, "bytes, this server takes 10240 bytes");
    // What is announced is refused before it comes.
    let mut stream = TcpStream::connect(server.host()).expect("it listens");
    let head = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nx";
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("it answers");
    assert_eq!(&first, b"HTTP/1.1 413");
    let artifact = Some(("application/vnd.flow.job", large.as_bytes()));
    server.ask("POST", "/v1/jobs", artifact).expect(413);
    for (kind, body, status) in [
        ("application/json", "{", 400),
        ("application/json", "{\"source\": 1}", 400),
        ("application/json", "{\"source\": \"\", \"sauce\": \"\"}", 400),
        ("application/json", "", 400),
        ("application/vnd.flow.job", "", 422),
        ("application/vnd.flow.job", "FLOWJOB 1 0\n{}", 422),
        ("text/plain", "SELECT 1", 415),
    ] {
        let answer = server.ask("POST", "/v1/jobs?name=a", Some((kind, body.as_bytes())));
        assert_eq!(answer.status, status, "{kind} {body:?}: {answer:?}");
    }
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(800), close.repeat(800));
    let nested = format!("SELECT {}1{}", "(".repeat(2_000), ")".repeat(2_000));
    for (path, body, status) in [
        ("/v1/query", "{".to_string(), 400),
        ("/v1/query", json!({"sql": 1}).to_string(), 400),
        ("/v1/query", json!({"sql": ""}).to_string(), 400),
        ("/v1/query", json!({"sql": "\u{0}\u{feff}SELECT"}).to_string(), 400),
        ("/v1/query", json!({"sql": nested}).to_string(), 400),
        ("/v1/query", deep("{\"sql\":", "}"), 400),
        ("/v1/query", json!({"sql": "x".repeat(20_000)}).to_string(), 413),
        ("/v1/query/stream", deep("[", "]"), 400),
        ("/v1/streams/none", deep("[", "]"), 400),
        ("/v1/streams/none", "[]".to_string(), 400),
        ("/v1/streams/none", "{\"a\": 1e999}".to_string(), 400),
    ] {
        let answer = server.ask("POST", path, Some(("application/json", body.as_bytes())));
        assert_eq!(answer.status, status, "{path} {body:.60}: {answer:?}");
    }
    server.get("/v1/query/socket?sql=SELECT").expect(400);
    server.get("/v1/jobs?unknown=1").expect(200);
    server.submit("?unknown=1", COPY).expect(400);
    server.submit("?fresh=perhaps", COPY).expect(400);
    server.submit("?parallelism=0", COPY).expect(400);
    server.get("/v1/nothing").tells(404, "no_such_path");
    server.ask("PATCH", "/v1/jobs", None).tells(405, "no_such_method");
    assert_eq!(server.get("/v1/jobs").expect(200)["jobs"], json!([]));
}

#[test]
fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let server = Server::start();
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    for bytes in [&b"\0\xff\x16\x03\x01"[..], b"GET\r\n\r\n", many_headers.as_bytes()] {
        let mut stream = TcpStream::connect(server.host()).expect("it accepts");
        let _ = stream.write_all(bytes);
        let answer = rest(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    server.get("/health").expect(200);
}

#[test]
fn slow_clients_are_cut_off() {
    let server = strict("seconds = 1");
    let slow_head = "GET /health HTTP/1.1\r\nHost: local";
    let slow_body = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\
                     Content-Type: application/json\r\n\r\n{\"source";
    for (sent, answered) in [(slow_head, ""), (slow_body, "HTTP/1.1 408")] {
        let mut stream = TcpStream::connect(server.host()).expect("it accepts");
        stream.write_all(sent.as_bytes()).expect("it reads");
        // The connection ends without a word more from here.
        assert!(rest(stream).starts_with(answered), "{sent}");
    }
    server.get("/health").expect(200);
}

#[test]
fn a_follower_that_does_not_read_is_cut_off_and_the_job_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("strict.toml", "[limits]\nseconds = 1\nstreams = 1\n");
    sandbox.fill("clicks", 1, "page", "");
    let server = Server::start_in(sandbox, &["--config", "strict.toml"]);
    let program = "SET 'job.name' = 'shown';
CREATE STREAM clicks (page STRING, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE STREAM shown WITH (connector = 'print');
INSERT INTO shown SELECT page FROM clicks;";
    server.submit("", program).expect(201);
    server.wait_for_state("shown", "running");
    let mut stream = TcpStream::connect(server.host()).expect("it accepts");
    let ask = "GET /v1/jobs/shown/logs?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(ask.as_bytes()).expect("it reads");
    // Lines of 3 kB come until the only place for a follower is free again.
    let page = "p".repeat(3_000);
    let mut records = 0;
    until("the follower is cut off", || {
        let clicks = vec![json!({ "page": page }); 500];
        server.post("/v1/streams/clicks", &json!(clicks)).expect(200);
        records += 500;
        let again = server.get("/v1/jobs/shown/logs?follow=false");
        assert_eq!(again.status, 200);
        let mut probe = TcpStream::connect(server.host()).ok()?;
        probe.write_all(ask.as_bytes()).ok()?;
        let mut first = [0; 12];
        probe.read_exact(&mut first).ok()?;
        (&first == b"HTTP/1.1 200").then_some(())
    });
    server.wait_for_input("shown", records);
}

#[test]
fn callers_that_ask_too_often_are_turned_away_for_a_while() {
    let server = strict("rate = 5");
    let statuses: Vec<u16> = (0..60).map(|_| server.get("/v1/jobs").status).collect();
    assert!(statuses.contains(&429) && statuses.contains(&200), "{statuses:?}");
    until("it is answered again", || (server.get("/v1/jobs").status == 200).then_some(()));
}

//! Spans that a server sends to a collector of the tests' own, through the real binary. Built with
//! the feature `otel` only: `cargo test -p flow --features otel --test traces`. How spans become
//! OTLP is tested in `runtime/telemetry`; here the bytes are looked through for names.

#[path = "../support/command.rs"]
mod command;
#[path = "../support/server.rs"]
mod server;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use command::Sandbox;
use server::{COUNTS, PATIENCE, Server, clicks};

/// Where a collector listens, and the bodies that it gets.
fn collector() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    let (to, got) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let to = to.clone();
            std::thread::spawn(move || answer(connection, &to));
        }
    });
    (address, got)
}

/// Takes requests of a connection until it ends.
fn answer(connection: TcpStream, to: &Sender<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(connection.try_clone().ok()?);
    let mut writer = connection;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
        assert!(line.starts_with("POST /v1/traces "), "{line}");
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            match line.trim().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().ok()?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        to.send(body).ok()?;
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}

#[test]
fn epochs_commits_and_requests_of_a_server_reach_the_collector() {
    let (address, got) = collector();
    let sandbox = Sandbox::new();
    sandbox.fill("clicks", 2, "page", &clicks(0..20));
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", &*address), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let arguments = ["server", "--local", "data", "--listen", "127.0.0.1:0"];
    let server = Server::of(sandbox, &arguments, &variables);
    server.submit("", COUNTS).expect(201);
    server.wait_for_counts(0..20);
    let mut wanted =
        ["epoch", "commit", "committed", "flow.job", "counts", "POST /v1/jobs"].to_vec();
    while !wanted.is_empty() {
        let spans = got.recv_timeout(PATIENCE).expect("spans come");
        wanted.retain(|word| !spans.windows(word.len()).any(|part| part == word.as_bytes()));
    }
    server.interrupt();
}

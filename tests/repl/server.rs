//! A server that says what a test tells it to: answers by path, and events as the test sends them.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// A server on this machine.
pub(crate) struct Server {
    url: String,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    streams: Receiver<Stream>,
}

/// A stream of events that a client has begun.
pub(crate) struct Stream {
    /// What was asked.
    pub(crate) body: Value,
    connection: TcpStream,
}

impl Server {
    /// A server without answers; it does not tell which views it has.
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let answers: Arc<Mutex<HashMap<String, (u16, String)>>> = Arc::default();
        let (to, streams) = channel();
        let known = answers.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (known, to) = (known.clone(), to.clone());
                std::thread::spawn(move || serve(connection, &known, &to));
            }
        });
        Server { url, answers, streams }
    }

    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What a path is answered with from now on.
    pub(crate) fn answers(&self, path: &str, status: u16, body: &str) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(path.to_string(), (status, body.to_string()));
    }

    /// The next stream that a client begins.
    pub(crate) fn stream(&self) -> Stream {
        self.streams.recv().expect("the server runs")
    }
}

impl Stream {
    /// Sends an event.
    pub(crate) fn send(&mut self, name: &str, data: &str) {
        let event = format!("event: {name}\ndata: {data}\n\n");
        self.connection.write_all(event.as_bytes()).expect("the client is there");
    }

    /// Waits until the client has closed the connection.
    pub(crate) fn closed(mut self) {
        let read = self.connection.read(&mut [0; 64]);
        assert!(matches!(read, Ok(0) | Err(_)), "the client says something more");
    }
}

fn serve(
    connection: TcpStream,
    answers: &Mutex<HashMap<String, (u16, String)>>,
    streams: &Sender<Stream>,
) {
    let mut reader = BufReader::new(connection.try_clone().expect("a socket can be cloned"));
    while let Some((path, body)) = request(&mut reader) {
        let mut writer = connection.try_clone().expect("a socket can be cloned");
        if path == "/v1/query/stream" {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                        Connection: close\r\n\r\n";
            if writer.write_all(head.as_bytes()).is_ok() {
                let body = serde_json::from_str(&body).expect("a body is JSON");
                // The test may be over.
                let _ = streams.send(Stream { body, connection: writer });
            }
            return;
        }
        let missing = || (404, r#"{"code":"no_such_path","message":"nothing there"}"#.to_string());
        let answer = answers.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        let (status, text) = answer.unwrap_or_else(missing);
        let answer = format!(
            "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{text}",
            text.len()
        );
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Path and body of the next request of a connection.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_string();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).ok()? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, String::from_utf8(body).ok()?))
}

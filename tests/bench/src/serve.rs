//! Asks a server: how long lookups take while its job reads, and how long what is written takes to
//! be seen. Speaks HTTP by itself, a connection a client, so that what is measured is the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::Result;

/// Objects of one write.
const BATCH: u64 = 100;

/// Measures lookups.
#[derive(clap::Args)]
pub(crate) struct Lookup {
    /// HOST:PORT of the server
    #[arg(long)]
    address: String,
    /// Connections that ask at once
    #[arg(long, default_value = "1")]
    clients: u64,
    /// Requests of all clients together
    #[arg(long, default_value = "20000")]
    requests: u64,
    /// Path that asks for key N where it says {}
    #[arg(long)]
    path: String,
    /// Keys to ask for
    #[arg(long)]
    keys: u64,
}

/// Measures from a write to its being seen.
#[derive(clap::Args)]
pub(crate) struct Freshness {
    /// HOST:PORT of the server
    #[arg(long)]
    address: String,
    /// Stream to write, of columns page and n
    #[arg(long)]
    stream: String,
    /// View to look into, of columns page and n: the newest n of a page
    #[arg(long)]
    view: String,
    /// Events a second
    #[arg(long, default_value = "10000")]
    rate: u64,
    /// How long
    #[arg(long, default_value = "10")]
    seconds: u64,
}

/// A connection that asks one request after the other.
struct Client {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    fn new(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { address: address.to_string(), stream: BufReader::new(stream) })
    }

    /// Sends a request; the status and the length of the body, if it is told.
    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, Option<usize>)> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (0, None);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the server has gone".into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                return Ok((status, length));
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|s| s.parse().ok()).unwrap_or(0);
            }
            if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().ok();
            }
        }
    }

    /// The body of an answer that succeeds.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<String> {
        let (status, length) = self.send(method, path, body)?;
        let mut text = vec![0; length.ok_or("an answer of unknown length")?];
        self.stream.read_exact(&mut text)?;
        let text = String::from_utf8(text)?;
        match status {
            200..=299 => Ok(text),
            _ => Err(format!("{method} {path}: {status} {text}").into()),
        }
    }
}

impl Lookup {
    pub(crate) fn run(&self) -> Result<Value> {
        let began = Instant::now();
        let each = self.requests / self.clients.max(1);
        let micros = std::thread::scope(|scope| -> Result<Vec<u64>> {
            let client = |number: u64| move || self.client(number, each).map_err(|e| e.to_string());
            let clients: Vec<_> = (0..self.clients).map(|n| scope.spawn(client(n))).collect();
            let mut all = Vec::new();
            for client in clients {
                all.extend(client.join().map_err(|_| "a client panicked")??);
            }
            Ok(all)
        })?;
        let per_second = micros.len() as f64 / began.elapsed().as_secs_f64();
        let mut figures = percentiles(micros);
        figures["per_second"] = json!(per_second);
        Ok(figures)
    }

    fn client(&self, number: u64, requests: u64) -> Result<Vec<u64>> {
        let mut client = Client::new(&self.address)?;
        let mut micros = Vec::with_capacity(requests as usize);
        for request in 0..requests {
            let key = (number * requests + request).wrapping_mul(0x9e37_79b9) % self.keys;
            let path = self.path.replace("{}", &key.to_string());
            let asked = Instant::now();
            let answer = client.ask("GET", &path, "")?;
            micros.push(asked.elapsed().as_micros() as u64);
            if !answer.contains("\"rows\":[{") {
                return Err(format!("no row at {path}: {answer}").into());
            }
        }
        Ok(micros)
    }
}

impl Freshness {
    pub(crate) fn run(&self) -> Result<Value> {
        let over = AtomicBool::new(false);
        let told =
            std::thread::scope(|scope| -> std::result::Result<(Value, Value, u64), String> {
                let looks = scope.spawn(|| self.look(&over).map_err(|e| e.to_string()));
                let follows = scope.spawn(|| self.follow(&over).map_err(|e| e.to_string()));
                let written = self.write().map_err(|e| e.to_string());
                over.store(true, Ordering::Relaxed);
                let joined = "a client panicked";
                let looked = looks.join().map_err(|_| joined)??;
                let followed = follows.join().map_err(|_| joined)??;
                Ok((looked, followed, written?))
            });
        let (looked, followed, written) = told?;
        Ok(json!({ "written": written, "in_view": looked, "in_subscription": followed }))
    }

    /// Writes at the rate; how many events.
    fn write(&self) -> Result<u64> {
        let mut client = Client::new(&self.address)?;
        let (began, mut written) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(self.seconds) {
            let due = Duration::from_micros(written * 1_000_000 / self.rate.max(1));
            if let Some(early) = due.checked_sub(began.elapsed()) {
                std::thread::sleep(early);
            }
            let now = now_micros();
            let rows: Vec<Value> =
                (0..BATCH).map(|page| json!({ "page": page.to_string(), "n": now })).collect();
            let body = serde_json::to_string(&rows)?;
            client.ask("POST", &format!("/v1/streams/{}", self.stream), &body)?;
            written += BATCH;
        }
        Ok(written)
    }

    /// Looks into the view, again and again.
    fn look(&self, over: &AtomicBool) -> Result<Value> {
        let mut client = Client::new(&self.address)?;
        let (mut micros, mut seen) = (Vec::new(), 0);
        while !over.load(Ordering::Relaxed) {
            let path = format!("/v1/views/{}/rows?page=1", self.view);
            let answer: Value = serde_json::from_str(&client.ask("GET", &path, "")?)?;
            let newest = answer["rows"][0]["n"].as_u64().unwrap_or(0);
            if newest > seen {
                seen = newest;
                micros.push(now_micros().saturating_sub(newest));
            }
        }
        Ok(percentiles(micros))
    }

    /// Follows the view.
    fn follow(&self, over: &AtomicBool) -> Result<Value> {
        let mut client = Client::new(&self.address)?;
        let sql = format!("SUBSCRIBE TO SELECT n FROM {} WHERE page = '1'", self.view);
        let (status, _) =
            client.send("POST", "/v1/query/stream", &json!({ "sql": sql }).to_string())?;
        if status != 200 {
            return Err(format!("the subscription is refused: {status}").into());
        }
        client.stream.get_ref().set_read_timeout(Some(Duration::from_millis(200)))?;
        let (mut micros, mut line, mut first) = (Vec::new(), String::new(), true);
        while !over.load(Ordering::Relaxed) {
            match client.stream.read_line(&mut line) {
                Ok(0) => return Err("the subscription has ended".into()),
                Ok(_) => {}
                // What came of the line stays in it.
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(e) => return Err(e.into()),
            }
            if let Some(data) = line.strip_prefix("data: ")
                && let Ok(rows) = serde_json::from_str::<Value>(data)
                && let Some(newest) = rows["changes"].as_array().and_then(|c| c.last())
                && let Some(n) = newest[1]["n"].as_u64()
            {
                // The first are the rows that were there.
                if !std::mem::take(&mut first) {
                    micros.push(now_micros().saturating_sub(n));
                }
            }
            line.clear();
        }
        Ok(percentiles(micros))
    }
}

fn now_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Median and 99th percentile.
fn percentiles(mut micros: Vec<u64>) -> Value {
    micros.sort_unstable();
    let at = |percent: usize| {
        let last = micros.len().saturating_sub(1);
        micros.get(last * percent / 100).copied().unwrap_or(0)
    };
    json!({ "count": micros.len(), "p50_micros": at(50), "p99_micros": at(99) })
}

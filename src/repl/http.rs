//! A server over HTTP. A request can be ended from another thread: its connection is closed, so the
//! server sees that nobody listens any more.

use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;

use ureq::Body;
use ureq::http::{Method, Response};

use super::interrupt;
use super::server::{Event, Problem, Refusal, Request, Server, Verb};
use crate::client::{Ask, Client};
use crate::exit::Failure;

/// The largest answer that is read, and the largest line of an event.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// The server of a client.
pub struct HttpServer(Client);

impl HttpServer {
    /// Over the connections of this client.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    fn send(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let method = match request.verb {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Delete => Method::DELETE,
        };
        let body = request.body.as_ref().map(ToString::to_string);
        let body = body.as_ref().map(|body| ("application/json", body.as_bytes()));
        let ask = Ask { method, path: &request.path, body };
        // A signal before has been noted, one from here on ends the exchange.
        let answer = self.0.open(&ask, || match interrupt::is_stopped() {
            true => Err(Failure::failed("stopped")),
            false => Ok(()),
        });
        let response = answer.map_err(|failure| lost(failure.message))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = text(response)?;
        Err(Problem::Refused(Refusal::read(status.as_u16(), &body)))
    }
}

fn text(response: Response<Body>) -> Result<String, Problem> {
    let mut body = response.into_body();
    let text = body.with_config().limit(BODY_BYTES_MAX).read_to_string();
    text.map_err(|error| lost(error.to_string()))
}

/// What a connection that failed means.
fn lost(why: String) -> Problem {
    if interrupt::is_stopped() { Problem::Stopped } else { Problem::Away(why) }
}

impl Server for HttpServer {
    fn ask(&self, request: &Request) -> Result<String, Problem> {
        text(self.send(request)?)
    }

    fn follow(
        &self,
        request: &Request,
        take: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Problem> {
        let response = self.send(request)?;
        let mut events = Events { lines: BufReader::new(response.into_body().into_reader()) };
        loop {
            match events.next() {
                Ok(Some(event)) => {
                    if take(&event).is_break() {
                        return Ok(());
                    }
                }
                // A connection that was shut down may look as if it had ended.
                Ok(None) if interrupt::is_stopped() => return Err(Problem::Stopped),
                Ok(None) => return Ok(()),
                Err(error) => return Err(lost(error.to_string())),
            }
        }
    }

    fn hang_up(&self) {
        self.0.hang_up();
    }
}

/// Server-sent events of a connection.
struct Events<R> {
    lines: BufReader<R>,
}

impl<R: Read> Events<R> {
    /// The next event; `None` at the end. Comments and fields that the API does not use are
    /// skipped.
    fn next(&mut self) -> std::io::Result<Option<Event>> {
        let (mut name, mut data) = (String::new(), Vec::new());
        loop {
            let mut line = String::new();
            if (&mut self.lines).take(BODY_BYTES_MAX).read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                if !name.is_empty() || !data.is_empty() {
                    let more = self.lines.buffer().windows(2).any(|two| two == b"\n\n");
                    return Ok(Some(Event { name, data: data.join("\n"), more }));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value.to_string(),
                "data" => data.push(value.to_string()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<(String, String, bool)> {
        let mut events = Events { lines: BufReader::new(text.as_bytes()) };
        let next = || events.next().unwrap().map(|e| (e.name, e.data, e.more));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn events_are_read_with_comments_between() {
        let text = ": hello\n\nevent: columns\ndata: {}\n\n: still here\n\nevent:rows\r\n\
                    data: 1\ndata: 2\nid: 7\n\nevent: cut off";
        let event = |name: &str, data: &str, more| (name.to_string(), data.to_string(), more);
        assert_eq!(events(text), [event("columns", "{}", true), event("rows", "1\n2", false)]);
    }
}

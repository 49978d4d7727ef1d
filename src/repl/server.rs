//! What the shell asks of a server, and what it is answered: the HTTP API as data.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A server, as the shell sees it.
pub trait Server: Send + Sync {
    /// Asks and gives the answer's text, JSON.
    ///
    /// # Errors
    /// Why there is no answer.
    fn ask(&self, request: &Request) -> Result<String, Problem>;

    /// Asks and takes events as they come, until the server ends or `take` breaks.
    ///
    /// # Errors
    /// Why it cannot begin or go on.
    fn follow(
        &self,
        request: &Request,
        take: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Problem>;

    /// Ends what is under way on another thread: it fails with `Problem::Stopped`.
    fn hang_up(&self);
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What is done.
    pub verb: Verb,
    /// Path and query, percent-encoded.
    pub path: String,
    /// JSON, for POST.
    pub body: Option<serde_json::Value>,
}

/// HTTP methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Looks.
    Get,
    /// Makes or asks.
    Post,
    /// Takes away.
    Delete,
}

impl Request {
    /// GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self { verb: Verb::Get, path: path.into(), body: None }
    }

    /// POST.
    pub fn post(path: impl Into<String>, body: serde_json::Value) -> Self {
        Self { verb: Verb::Post, path: path.into(), body: Some(body) }
    }

    /// DELETE.
    pub fn delete(path: impl Into<String>) -> Self {
        Self { verb: Verb::Delete, path: path.into(), body: None }
    }
}

/// One part of a path, percent-encoded.
pub(super) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match plain(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// A server-sent event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its kind.
    pub name: String,
    /// Its data.
    pub data: String,
    /// Whether more has arrived already: who draws may wait for it.
    pub more: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// The server says no.
    Refused(Refusal),
    /// The server is not there, or does not speak the API.
    Away(String),
    /// Ctrl-C.
    Stopped,
}

/// The server's no.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// The HTTP status; 0 within a stream of events.
    #[serde(skip)]
    pub status: u16,
    /// Which error.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The diagnostics as text, where the request had a program.
    #[serde(alias = "diagnostics")]
    pub rendered: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Refused(refusal) => match (&refusal.rendered, &refusal.help) {
                (Some(rendered), _) if !rendered.is_empty() => f.write_str(rendered.trim_end()),
                (_, Some(help)) => write!(f, "error: {}\nhelp: {help}", refusal.message),
                (_, None) => write!(f, "error: {}", refusal.message),
            },
            Problem::Away(why) => write!(f, "error: {why}"),
            Problem::Stopped => f.write_str("stopped"),
        }
    }
}

impl Refusal {
    /// A refusal from an answer's or event's body.
    pub fn read(status: u16, body: &str) -> Self {
        let read: Result<Refusal, _> = serde_json::from_str(body);
        let mut refusal = read.unwrap_or_default();
        refusal.status = status;
        if refusal.message.is_empty() {
            refusal.message = format!("the server answered {status}: {}", body.trim());
        }
        refusal
    }
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Its type as SQL writes it.
    #[serde(rename = "type")]
    pub(super) ty: String,
}

/// A row: values by column name, as they were written.
pub(super) type Row = HashMap<String, Box<RawValue>>;

/// An answer of `/v1/query`.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    /// The columns, in order.
    pub(super) columns: Vec<Column>,
    /// The rows.
    pub(super) rows: Vec<Row>,
    /// As of when.
    #[serde(default)]
    pub(super) at: Vec<At>,
}

/// The epoch of a job that a result is of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct At {
    /// The job.
    pub(super) job: String,
    /// Its epoch.
    pub(super) epoch: u64,
}

/// The event `columns` of `/v1/query/stream`.
#[derive(Debug, Deserialize)]
pub(super) struct Columns {
    /// The columns, in order.
    pub(super) columns: Vec<Column>,
    /// Whether rows may be taken back, where the server says it.
    #[serde(default)]
    pub(super) updating: Option<bool>,
}

/// The event `rows` of `/v1/query/stream`.
#[derive(Debug, Deserialize)]
pub(super) struct Changes {
    /// Rows with how often they come (positive) or go (negative).
    pub(super) changes: Vec<(i64, Row)>,
    /// As of when.
    #[serde(default)]
    pub(super) at: Vec<At>,
}

/// The event `end` of `/v1/query/stream`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct End {
    /// Why no more rows come.
    pub(super) reason: String,
}

/// An answer's or event's body as a value.
///
/// # Errors
/// If it is not of the API's shape.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Problem> {
    serde_json::from_str(body)
        .map_err(|e| Problem::Away(format!("the server's answer is not understood: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_paths_are_encoded() {
        assert_eq!(segment("orders-2.v_1"), "orders-2.v_1");
        assert_eq!(segment("a/b ä"), "a%2Fb%20%C3%A4");
    }

    #[test]
    fn a_refusal_shows_its_diagnostics_else_message_and_help() {
        let shown = |body: &str| Problem::Refused(Refusal::read(400, body)).to_string();
        assert_eq!(shown(r#"{"code":"E0101","message":"m","rendered":"R\n"}"#), "R");
        assert_eq!(shown(r#"{"code":"x","message":"m","help":"H."}"#), "error: m\nhelp: H.");
        assert_eq!(shown(r#"{"code":"x","message":"m","help":null}"#), "error: m");
        assert_eq!(shown("<html>"), "error: the server answered 400: <html>");
    }

    #[test]
    fn numbers_keep_their_text() {
        let answer: Answer = read(
            r#"{"columns":[{"name":"d","type":"DECIMAL(38, 10)"}],
                "rows":[{"d":12345678901234567890.1234567890}],"at":[{"job":"j","epoch":7}]}"#,
        )
        .unwrap();
        assert_eq!(answer.rows[0]["d"].get(), "12345678901234567890.1234567890");
        assert_eq!(answer.at[0].epoch, 7);
    }
}

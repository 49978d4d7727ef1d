//! Bytes to messages and back: headers, a blank line, JSON. A message that is no JSON, or JSON that
//! is no message, is told apart from a stream that is out of step: after the first the next
//! message can be read, after the second nothing can.

use std::io::{self, BufRead, Read, Write};

use lsp_server::Message;
use serde_json::{Value, json};

/// Longest line of a header, in bytes.
const HEADER_LINE_MAX_BYTES: u64 = 8 << 10;
/// Most lines of headers.
const HEADER_LINES_MAX: usize = 64;
/// Largest message, in bytes: the largest source, with every character escaped.
const MESSAGE_MAX_BYTES: u64 = 128 << 20;

/// What arrived.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A message.
    Message(Message),
    /// Something else, with the answer to it.
    Malformed(Value),
}

/// Reads one message; `None` at the input's end.
pub(super) fn read(input: &mut impl BufRead) -> io::Result<Option<Incoming>> {
    let Some(length) = read_headers(input)? else { return Ok(None) };
    if length > MESSAGE_MAX_BYTES {
        return Err(out_of_step(&format!("a message of {length} bytes")));
    }
    let mut body = Vec::new();
    input.take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Err(out_of_step("it ends inside a message"));
    }
    Ok(Some(parse(&body)))
}

fn out_of_step(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The message's length; `None` at the input's end.
fn read_headers(input: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut length = None;
    for at in 0..HEADER_LINES_MAX {
        let mut line = Vec::new();
        input.by_ref().take(HEADER_LINE_MAX_BYTES).read_until(b'\n', &mut line)?;
        if line.is_empty() && at == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            return Err(out_of_step("a header that does not end"));
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if line.is_empty() {
            return match length {
                Some(length) => Ok(Some(length)),
                None => Err(out_of_step("no Content-Length")),
            };
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(out_of_step("a line that is no header"));
        };
        if name.trim().eq_ignore_ascii_case("content-length") {
            let value = value.trim().parse();
            length = Some(value.map_err(|_| out_of_step("a Content-Length that is no number"))?);
        }
    }
    Err(out_of_step("too many headers"))
}

fn parse(body: &[u8]) -> Incoming {
    let refuse = |id: Value, code: i32, why: String| {
        let error = json!({ "code": code, "message": why });
        Incoming::Malformed(json!({ "jsonrpc": "2.0", "id": id, "error": error }))
    };
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(e) => return refuse(Value::Null, -32700, format!("the message is not JSON: {e}")),
    };
    let id = value.get("id").filter(|id| id.is_number() || id.is_string()).cloned();
    match serde_json::from_value(value) {
        Ok(message) => Incoming::Message(message),
        Err(_) => {
            let why = "the message is neither a request nor a notification nor a response";
            refuse(id.unwrap_or(Value::Null), -32600, why.into())
        }
    }
}

/// Writes one message.
pub(super) fn write(out: &mut impl Write, message: &Value) -> io::Result<()> {
    let body = message.to_string();
    write!(out, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut input: &[u8]) -> (Vec<Incoming>, Option<String>) {
        let mut found = Vec::new();
        loop {
            match read(&mut input) {
                Ok(Some(incoming)) => found.push(incoming),
                Ok(None) => return (found, None),
                Err(e) => return (found, Some(e.to_string())),
            }
        }
    }

    fn framed(body: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn messages_follow_one_another_and_a_wrong_one_hides_none() {
        let good = r#"{"jsonrpc":"2.0","method":"exit"}"#;
        let text = [framed("{oops"), framed(r#"{"id":7}"#), framed(good)].concat();
        let (found, error) = all(text.as_bytes());
        assert_eq!(error, None);
        let [Incoming::Malformed(a), Incoming::Malformed(b), Incoming::Message(c)] = &found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!(a["error"]["code"], -32700);
        assert_eq!((b["error"]["code"].as_i64(), b["id"].as_i64()), (Some(-32600), Some(7)));
        assert!(matches!(c, Message::Notification(n) if n.method == "exit"));
    }

    #[test]
    fn a_stream_out_of_step_is_an_error() {
        for (text, why) in [
            ("hello\r\n\r\n", "no header"),
            ("Content-Length: x\r\n\r\n", "no number"),
            ("Content-Type: a\r\n\r\n", "no Content-Length"),
            ("Content-Length: 999999999999\r\n\r\n", "bytes"),
            ("Content-Length: 10\r\n\r\n{}", "inside"),
            ("Content-Length: 10", "does not end"),
        ] {
            let (found, error) = all(text.as_bytes());
            assert!(found.is_empty(), "{text}");
            assert!(error.is_some_and(|e| e.contains(why)), "{text}");
        }
    }

    #[test]
    fn deep_json_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let (found, _) = all(framed(&deep).as_bytes());
        assert!(matches!(&found[..], [Incoming::Malformed(a)] if a["error"]["code"] == -32700));
    }
}

//! An editor as the server sees it: starts `flow lsp`, sends messages, waits for answers. It keeps
//! the texts of open files and finds positions in them itself.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// What does not come in this time never will.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Client {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// What came while something else was waited for.
    early: VecDeque<Value>,
    texts: BTreeMap<String, String>,
    next_id: i64,
    /// Where the server keeps pages.
    _home: tempfile::TempDir,
}

impl Client {
    /// A server that has not been greeted.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let mut child = Command::new(env!("CARGO_BIN_EXE_flow"))
            .arg("lsp")
            .args(arguments)
            .env("XDG_CACHE_HOME", home.path())
            .env_remove("SCHEMA_REGISTRY_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("flow starts");
        let output = child.stdout.take().expect("it is piped");
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(message) = receive(&mut output) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let (input, early) = (child.stdin.take(), VecDeque::new());
        Self { child, input, messages, early, texts: BTreeMap::new(), next_id: 1, _home: home }
    }

    /// A server ready to serve.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(arguments: &[&str]) -> Self {
        let mut client = Self::start(arguments);
        client.request("initialize", json!({ "processId": null, "capabilities": {} }));
        client.notify("initialized", json!({}));
        client
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(bytes).and_then(|()| input.flush()).expect("the server reads");
    }

    pub(crate) fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.send_raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request without waiting; its id.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// The response to a request.
    pub(crate) fn response(&mut self, id: i64) -> Value {
        self.wait(|message| message["id"] == id && message.get("method").is_none())
    }

    /// The result of a request that succeeds.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        let response = self.response(id);
        assert!(response.get("error").is_none(), "{method}: {response}");
        response["result"].clone()
    }

    /// The first message that fits, in the order in which they come.
    pub(crate) fn wait(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.early.iter().position(&fits) {
            return self.early.remove(at).expect("it was found");
        }
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("the server answers");
            if fits(&message) {
                return message;
            }
            self.early.push_back(message);
        }
    }

    pub(crate) fn open(&mut self, uri: &str, text: &str) {
        self.texts.insert(uri.into(), text.into());
        let document = json!({ "uri": uri, "languageId": "flow", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// Replaces the first occurrence of `from`, as an editor does: by a range.
    pub(crate) fn edit(&mut self, uri: &str, version: i32, from: &str, to: &str) {
        let range = self.range(uri, from);
        let text = self.texts.get_mut(uri).expect("it is open");
        *text = text.replacen(from, to, 1);
        self.notify(
            "textDocument/didChange",
            json!({
                "textDocument": { "uri": uri, "version": version },
                "contentChanges": [{ "range": range, "text": to }],
            }),
        );
    }

    /// The diagnostics of a version of a document.
    pub(crate) fn diagnostics(&mut self, uri: &str, version: i32) -> Vec<Value> {
        let message = self.wait(|message| {
            message["method"] == "textDocument/publishDiagnostics"
                && message["params"]["uri"] == uri
                && message["params"]["version"] == version
        });
        message["params"]["diagnostics"].as_array().expect("a list").clone()
    }

    /// Their codes.
    pub(crate) fn codes(&mut self, uri: &str, version: i32) -> Vec<String> {
        let found = self.diagnostics(uri, version);
        found.iter().map(|d| d["code"].as_str().expect("a text").to_string()).collect()
    }

    /// The position of `before` in a text, moved behind it, in UTF-16 units.
    pub(crate) fn behind(&self, uri: &str, before: &str) -> Value {
        let text = &self.texts[uri];
        let at = text.find(before).unwrap_or_else(|| panic!("no {before}")) + before.len();
        position(text, at)
    }

    /// The range of the first occurrence of a text.
    pub(crate) fn range(&self, uri: &str, of: &str) -> Value {
        let text = &self.texts[uri];
        let at = text.find(of).unwrap_or_else(|| panic!("no {of}"));
        json!({ "start": position(text, at), "end": position(text, at + of.len()) })
    }

    /// The text with edits made, which do not overlap.
    pub(crate) fn apply(&self, uri: &str, edits: &Value) -> String {
        let mut text = self.texts[uri].clone();
        for edit in edits.as_array().expect("a list").iter().rev() {
            let at = |end: &str| offset(&self.texts[uri], &edit["range"][end]);
            let new = edit["newText"].as_str().expect("a text");
            text.replace_range(at("start")..at("end"), new);
        }
        text
    }

    /// A request about the position behind a text.
    pub(crate) fn at(&mut self, method: &str, uri: &str, before: &str) -> Value {
        let position = self.behind(uri, before);
        self.request(method, json!({ "textDocument": { "uri": uri }, "position": position }))
    }

    /// Ends the conversation as agreed.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        self.child.wait().expect("it ends")
    }

    /// Closes the input and waits for the end.
    pub(crate) fn hang_up(&mut self) -> ExitStatus {
        self.input = None;
        self.child.wait().expect("it ends")
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn receive(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim().split_once(':') {
            Some((_, value)) => length = value.trim().parse().expect("a length"),
            None => break,
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).expect("the server sends JSON"))
}

fn offset(text: &str, position: &Value) -> usize {
    let number = |name: &str| position[name].as_u64().expect("a number") as usize;
    let line: usize = text.split_inclusive('\n').take(number("line")).map(str::len).sum();
    let mut units = 0;
    let before = text[line..].chars().take_while(|c| {
        units += c.len_utf16();
        units <= number("character")
    });
    line + before.map(char::len_utf8).sum::<usize>()
}

fn position(text: &str, at: usize) -> Value {
    let line = text[..at].matches('\n').count();
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    json!({ "line": line, "character": text[start..at].encode_utf16().count() })
}

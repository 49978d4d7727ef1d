//! `flow server` through the real binary, as tests use it: in a sandbox, by its API.
#![allow(dead_code)] // each test binary uses its own part

use std::time::{Duration, Instant};

use crate::command::{Running, Sandbox, canonical};
use serde_json::Value;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};

/// What does not happen in this time never will.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The log of a server in its sandbox.
pub(crate) const LOG: &str = "server.log";

/// Counts per page, with state.
pub(crate) const COUNTS: &str = "
SET 'job.name' = 'counts';
CREATE STREAM clicks (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE TABLE counts (PRIMARY KEY (page) NOT ENFORCED)
WITH (connector = 'kafka', format = 'json', 'key.format' = 'json');
INSERT INTO counts SELECT page, COUNT(*) AS clicks, SUM(n) AS n FROM clicks GROUP BY page;
";

/// Copies clicks, without state.
pub(crate) const COPY: &str = "
SET 'job.name' = 'copy';
CREATE STREAM clicks (page STRING NOT NULL, n BIGINT) WITH (connector = 'kafka', format = 'json');
CREATE STREAM copies WITH (connector = 'kafka', format = 'json');
INSERT INTO copies SELECT page, n FROM clicks;
";

/// Clicks on three pages, one a line.
pub(crate) fn clicks(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| format!("{{\"page\":\"p{}\",\"n\":{n}}}\n", n % 3)).collect()
}

/// What `counts` holds after these clicks.
pub(crate) fn counted(numbers: std::ops::Range<u32>) -> Vec<String> {
    let of = |page: u32| {
        let all: Vec<u32> = numbers.clone().filter(|n| n % 3 == page).collect();
        let (clicks, n) = (all.len(), all.iter().sum::<u32>());
        canonical(&format!("{{\"page\":\"p{page}\",\"clicks\":{clicks},\"n\":{n}}}"))
    };
    (0..3).map(of).collect()
}

/// A server in a sandbox. It is killed when it is dropped.
pub(crate) struct Server {
    pub(crate) running: Option<Running>,
    pub(crate) sandbox: Sandbox,
    pub(crate) address: String,
    pub(crate) token: Option<String>,
    pub(crate) agent: Agent,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Asserts the status; the body as JSON.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// Asserts the status, and that the body holds this.
    pub(crate) fn tells(self, status: u16, part: &str) {
        assert!(self.text.contains(part), "{part:?} is not told: {self:?}");
        assert_eq!(self.status, status, "{self:?}");
    }
}

impl Server {
    /// On the embedded log, without tokens.
    pub(crate) fn start() -> Self {
        Self::start_in(Sandbox::new(), &[])
    }

    /// On the broker of its sandbox, without tokens.
    pub(crate) fn on_kafka(sandbox: Sandbox, variables: &[(&str, &str)]) -> Self {
        Self::of(sandbox, &["server", "--data", "data", "--listen", "127.0.0.1:0"], variables)
    }

    /// With topics of clicks.
    pub(crate) fn with_clicks(numbers: std::ops::Range<u32>) -> Self {
        let sandbox = Sandbox::new();
        sandbox.fill("clicks", 2, "page", &clicks(numbers));
        Self::start_in(sandbox, &[])
    }

    /// With more arguments.
    pub(crate) fn start_in(sandbox: Sandbox, arguments: &[&str]) -> Self {
        let base = ["server", "--local", "data", "--listen", "127.0.0.1:0"];
        Self::of(sandbox, &[&base, arguments].concat(), &[])
    }

    pub(crate) fn of(sandbox: Sandbox, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut running = sandbox.start_logging(arguments, variables, LOG);
        let address = until("the server listens", || {
            let log = sandbox.read(LOG);
            assert!(!running.has_ended(), "it ended: {log}");
            let (_, rest) = log.split_once("listens on ")?;
            Some(rest.split_once('\n')?.0.to_string())
        });
        let config = Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(PATIENCE)).build().new_agent();
        Self { running: Some(running), sandbox, address, token: None, agent }
    }

    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_string());
        self
    }

    pub(crate) fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("it runs")
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> &str {
        self.address.split_once("://").expect("an address").1
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Answer {
        self.ask_with(method, path, body, &[])
    }

    pub(crate) fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut answer = self.exchange(method, path, body, headers);
        let text = answer.body_mut().read_to_string().expect("text");
        Answer { status: answer.status().as_u16(), text }
    }

    /// The head of an answer, whose body can be read.
    pub(crate) fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
        headers: &[(&str, &str)],
    ) -> Response<Body> {
        let method: Method = method.parse().expect("a method");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (kind, bytes) = body.unwrap_or(("application/json", b""));
        if body.is_some() {
            request = request.header("Content-Type", kind);
        }
        let agent = self.agent.configure_request(request.body(bytes).expect("a request"));
        self.agent.run(agent.allow_non_standard_methods(true).build()).expect("it answers")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, Some(("application/json", body.to_string().as_bytes())))
    }

    /// Submits a program as text.
    pub(crate) fn submit(&self, query: &str, source: &str) -> Answer {
        self.post(&format!("/v1/jobs{query}"), &serde_json::json!({ "source": source }))
    }

    /// Waits until a question is answered with these rows.
    pub(crate) fn wait_for_rows(&self, sql: &str, expected: &Value) {
        let mut last = String::new();
        let found = try_until(|| {
            last = self.post("/v1/query", &serde_json::json!({ "sql": sql })).text;
            let answer: Value = serde_json::from_str(&last).ok()?;
            (answer["rows"] == *expected).then_some(())
        });
        found.unwrap_or_else(|| panic!("{sql} never gives {expected}: {last}"));
    }

    /// What the server says of a job once this holds.
    pub(crate) fn wait_for(&self, job: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = try_until(|| {
            last = self.get(&format!("/v1/jobs/{job}")).json();
            holds(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{job} never gets to be {what}: {last}"))
    }

    pub(crate) fn wait_for_state(&self, job: &str, state: &str) -> Value {
        self.wait_for(job, state, |found| found["state"] == state)
    }

    /// Waits until a job has read all its input.
    pub(crate) fn wait_for_input(&self, job: &str, records: u64) -> Value {
        self.wait_for(job, "at the end of its input", |found| {
            found["metrics"]["records_in"] == records && found["metrics"]["lag"] == 0
        })
    }

    /// Waits until `counts` holds what these clicks make.
    pub(crate) fn wait_for_counts(&self, numbers: std::ops::Range<u32>) {
        let expected = counted(numbers);
        until("the counts are right", || {
            let topic = self.get("/v1/topics/counts").json();
            topic["records"].as_i64().filter(|&records| records > 0)?;
            let now: Vec<String> = self.sandbox.last_of_each_key("counts").into_values().collect();
            (now == expected).then_some(())
        });
    }

    /// `kill -9`; the sandbox is left as it is.
    pub(crate) fn kill(mut self) -> Sandbox {
        self.running.take().expect("it runs").kill();
        self.sandbox
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(mut self) -> Sandbox {
        let ended = self.running.take().expect("it runs").interrupt();
        assert_eq!(ended.status.code(), Some(0), "{}", self.sandbox.read(LOG));
        self.sandbox
    }
}

/// Between two looks: a server takes only so many requests a second of one address.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    try_until(look).unwrap_or_else(|| panic!("it never comes to it that {what}"))
}

pub(crate) fn try_until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(PAUSE);
    }
    None
}

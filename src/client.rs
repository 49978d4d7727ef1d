//! A server as commands see it: where it is and with which token, requests, and answers.
//!
//! The server is the one of `--server`, else FLOW_SERVER, else that of a context in the user's
//! `~/.config/flow/config.toml`, else the one on this machine. A token comes from FLOW_TOKEN or the
//! context, never from the command line, where other users of the machine could see it; the token
//! of a context goes to that context's server only.
//!
//! ```toml
//! context = "production"          # unless --context or FLOW_CONTEXT says another
//! [contexts.production]
//! server = "https://flow.example.org:7878"
//! token = "flow_…"
//! ca = "ca.pem"                   # unless a public authority signed the certificate
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::{Method, Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

use crate::exit::{Exit, Failure, Result};
use crate::server::api::error::Problem;
use crate::server::config::LISTEN;

/// Environment variables.
const SERVER: &str = "FLOW_SERVER";
const TOKEN: &str = "FLOW_TOKEN";
const CONTEXT: &str = "FLOW_CONTEXT";

/// Whether the environment names a server, or a context.
pub fn is_named() -> bool {
    [SERVER, CONTEXT].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
}

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a whole request may take; longer than a server waits for a job.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// The user's file of contexts.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Contexts {
    context: Option<String>,
    contexts: BTreeMap<String, Context>,
}

/// A server that a user works with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    server: String,
    token: Option<String>,
    ca: Option<PathBuf>,
}

/// A connection to a server.
pub struct Client {
    agent: Agent,
    /// For answers that go on; gives way to a new one when they are ended.
    patient: Mutex<Agent>,
    url: String,
    token: Option<String>,
}

/// What a server answers to a request that it refuses.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The body.
    pub problem: Problem,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, problem } = refusal;
        let mut message = problem.message;
        if let Some(diagnostics) = problem.diagnostics {
            message = format!("{message}\n{}", diagnostics.trim_end());
        }
        if let Some(help) = problem.help {
            message.push_str(&format!("\n  help: {help}"));
        }
        let exit = match (problem.code.as_str(), status) {
            ("mistakes", _) => Exit::Mistakes,
            (_, 400 | 404 | 409) => Exit::Usage,
            _ => Exit::Failed,
        };
        Self { exit, message }
    }
}

/// What to ask for.
pub struct Ask<'a> {
    /// The method.
    pub method: Method,
    /// The path, from `/v1`, with its query.
    pub path: &'a str,
    /// Media type and bytes of the body.
    pub body: Option<(&'a str, &'a [u8])>,
}

impl Client {
    /// A client of the server that is meant.
    ///
    /// # Errors
    /// If there is no such context, or its file cannot be read.
    pub fn new(server: Option<&str>, context: Option<&str>) -> Result<Self> {
        let variable = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
        let named = context.map(str::to_string).or_else(|| variable(CONTEXT));
        let address = server.map(str::to_string).or_else(|| match context {
            // A context that is asked for wins over the environment.
            Some(_) => None,
            None => variable(SERVER),
        });
        let context = match (&address, named) {
            (Some(_), None) => None,
            (_, named) => contexts()?.pick(named.as_deref())?,
        };
        let of_context = context.as_ref().map(|context| context.server.clone());
        let is_other = address.is_some() && address != of_context;
        let own = context.filter(|_| !is_other);
        let token = variable(TOKEN).or_else(|| own.as_ref().and_then(|own| own.token.clone()));
        let ca = own.as_ref().and_then(|own| own.ca.as_deref()).map(certificates).transpose()?;
        let url = address.or(of_context).unwrap_or_else(|| format!("http://{LISTEN}"));
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        Ok(Self::with(&url, token, ca))
    }

    /// A client of the server at this address.
    pub fn at(url: &str, token: &str) -> Self {
        Self::with(url, Some(token.to_string()), None)
    }

    fn with(url: &str, token: Option<String>, ca: Option<RootCerts>) -> Self {
        let agent = |whole: Option<Duration>| {
            let tls = TlsConfig::builder();
            let tls = match &ca {
                Some(roots) => tls.root_certs(roots.clone()),
                None => tls,
            };
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .timeout_global(whole)
                .user_agent(concat!("flow/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.build());
            config.build().new_agent()
        };
        Self {
            agent: agent(Some(REQUEST_TIMEOUT)),
            patient: Mutex::new(agent(None)),
            url: url.trim_end_matches('/').to_string(),
            token,
        }
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// If the server refuses, cannot be reached, or answers with something else.
    pub fn json<T: DeserializeOwned>(&self, ask: &Ask<'_>) -> Result<T> {
        let bytes = self.bytes(ask)?.map_err(Failure::from)?;
        serde_json::from_slice(&bytes).map_err(|e| self.odd(&e))
    }

    /// Gets JSON.
    ///
    /// # Errors
    /// As `json`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(&Ask { method: Method::GET, path, body: None })
    }

    /// The body of an answer, or what the server says against the request.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub fn bytes(&self, ask: &Ask<'_>) -> Result<std::result::Result<Vec<u8>, Refusal>> {
        let mut answer = self.exchange(&self.agent, ask)?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|e| self.away(&e))?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(Ok(body));
        }
        let problem = serde_json::from_slice(&body)
            .map_err(|_| Failure::failed(format!("{} answers with status {status}", self.url)))?;
        Ok(Err(Refusal { status, problem }))
    }

    /// The data of server-sent events, as they come, until the server or the reader ends.
    ///
    /// # Errors
    /// If the server refuses or cannot be reached.
    pub fn events(&self, path: &str) -> Result<impl Iterator<Item = std::io::Result<String>>> {
        let ask = Ask { method: Method::GET, path, body: None };
        let answer = self.exchange(&self.patient(), &ask)?;
        if !answer.status().is_success() {
            let mut body = Vec::new();
            let _ = answer.into_body().into_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut body);
            let problem: Problem = serde_json::from_slice(&body).map_err(|e| self.odd(&e))?;
            return Err(Failure::failed(problem.message));
        }
        let lines = BufReader::new(answer.into_body().into_reader()).lines();
        Ok(lines.filter_map(|line| match line {
            Ok(line) => line.strip_prefix("data:").map(|data| Ok(data.trim_start().to_string())),
            Err(error) => Some(Err(error)),
        }))
    }

    /// An answer as it comes, whatever its status, however long it takes; `hang_up` ends it.
    /// `begin` is called when that is so.
    ///
    /// # Errors
    /// If the server cannot be reached, or `begin` says no.
    pub fn open(&self, ask: &Ask<'_>, begin: impl FnOnce() -> Result) -> Result<Response<Body>> {
        let agent = self.patient();
        begin()?;
        self.exchange(&agent, ask)
    }

    /// Ends what `open` and its answers wait for on other threads: their connections are closed.
    pub fn hang_up(&self) {
        let mut agent = self.patient.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = agent.config().new_agent();
        std::mem::replace(&mut *agent, fresh).shutdown();
    }

    fn patient(&self) -> Agent {
        self.patient.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn exchange(&self, agent: &Agent, ask: &Ask<'_>) -> Result<Response<Body>> {
        let mut request =
            Request::builder().method(ask.method.clone()).uri(format!("{}{}", self.url, ask.path));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let told = |e: &dyn std::fmt::Display| {
            Failure::usage(format!("{} cannot be asked: {e}", self.url))
        };
        let answer = match ask.body {
            Some((kind, bytes)) => {
                let request = request.header("Content-Type", kind).body(bytes);
                agent.run(request.map_err(|e| told(&e))?)
            }
            None => agent.run(request.body(SendBody::none()).map_err(|e| told(&e))?),
        };
        answer.map_err(|e| self.away(&e))
    }

    fn away(&self, error: &ureq::Error) -> Failure {
        Failure::failed(format!(
            "no server answers at {}: {error}; flow server starts one, and --server or {SERVER} \
             names another",
            self.url
        ))
    }

    fn odd(&self, error: &serde_json::Error) -> Failure {
        Failure::failed(format!("{} does not answer as a Flow server does: {error}", self.url))
    }
}

impl Contexts {
    fn pick(&self, named: Option<&str>) -> Result<Option<Context>> {
        let Some(name) = named.or(self.context.as_deref()) else { return Ok(None) };
        self.contexts.get(name).cloned().map(Some).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            Failure::usage(format!("there is no context {name}; there are: {}", known.join(", ")))
        })
    }
}

fn contexts() -> Result<Contexts> {
    let Some(path) = contexts_file() else { return Ok(Contexts::default()) };
    let told = |why: String| Failure::usage(format!("{} cannot be read: {why}", path.display()));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Contexts::default()),
        Err(e) => return Err(told(e.to_string())),
    };
    let mut found: Contexts = toml::from_str(&text).map_err(|e| told(e.to_string()))?;
    let base = path.parent().unwrap_or(Path::new(""));
    for context in found.contexts.values_mut() {
        context.ca = context.ca.take().map(|ca| base.join(ca));
    }
    Ok(found)
}

/// Where the user's contexts are.
fn contexts_file() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let config = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))?;
    Some(config.join("flow").join("config.toml"))
}

fn certificates(file: &Path) -> Result<RootCerts> {
    let told =
        |why: String| Failure::usage(format!("{} holds no certificates: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|e| told(e.to_string()))?;
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| told(e.to_string()))? {
            found.push(certificate);
        }
    }
    match found.is_empty() {
        true => Err(told("none is in it".into())),
        false => Ok(RootCerts::new_with_certs(&found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_picked_by_name_else_by_default() {
        let text = "context = 'a'\n[contexts.a]\nserver = 'h:1'\n[contexts.b]\nserver = 'h:2'\n";
        let contexts: Contexts = toml::from_str(text).unwrap();
        assert_eq!(contexts.pick(None).unwrap().unwrap().server, "h:1");
        assert_eq!(contexts.pick(Some("b")).unwrap().unwrap().server, "h:2");
        let error = contexts.pick(Some("c")).unwrap_err().message;
        assert!(error.contains("there are: a, b"), "{error}");
        assert!(Contexts::default().pick(None).unwrap().is_none());
    }
}
